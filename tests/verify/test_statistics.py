"""The statistics that verdicts rest on, each against an oracle that computes it in another way."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mldbg.verify import statistics

P_VALUES = st.lists(st.one_of(st.floats(0, 0.05), st.floats(0, 1), st.just(0.01)), min_size=1, max_size=6)


def rejected_by_closed_testing(p_values: list[float], alpha: float) -> list[bool]:
    """Holm's procedure by the closure principle: a hypothesis falls if Bonferroni rejects every intersection that holds it."""
    hypotheses = range(len(p_values))
    intersections = [set(held) for size in range(1, len(p_values) + 1) for held in itertools.combinations(hypotheses, size)]
    falls = [min(p_values[each] for each in held) <= alpha / len(held) for held in intersections]
    return [all(fell for held, fell in zip(intersections, falls, strict=True) if each in held) for each in hypotheses]


# --- holm ---


@given(P_VALUES)
@settings(deadline=None)
def test_holm_is_closed_testing_with_bonferroni(p_values: list[float]) -> None:
    assert statistics.holm(p_values, 0.05) == rejected_by_closed_testing(p_values, 0.05)


def test_holm_rejects_more_than_bonferroni() -> None:
    p_values = [0.012, 0.001, 0.04, 0.02]
    assert [p <= 0.05 / 4 for p in p_values] == [True, True, False, False]
    assert statistics.holm(p_values, 0.05) == [True, True, True, True]


def test_holm_stops_at_the_first_that_is_too_large() -> None:
    assert statistics.holm([0.03, 0.001, 0.049], 0.05) == [False, True, False]


def test_holm_at_the_bound_and_of_nothing() -> None:
    assert statistics.holm([0.005, 0.01], 0.01) == [True, True]
    assert statistics.holm([math.nextafter(0.005, 1), 0.01], 0.01) == [False, False]
    assert statistics.holm([]) == []
    assert statistics.holm([0.01]) == [True]


def test_holm_holds_the_error_of_a_family() -> None:
    families = np.random.default_rng(0).random((4000, 5))
    error = np.mean([any(statistics.holm(list(family), 0.05)) for family in families])
    assert 0.04 < error < 0.06


# --- proportions ---


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (7, 20), (500, 1000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_clopper_pearson_is_that_of_scipy(hits: int, trials: int, confidence: float) -> None:
    interval = stats.binomtest(hits, trials).proportion_ci(confidence, method="exact")
    assert statistics.clopper_pearson(hits, trials, confidence) == pytest.approx((interval.low, interval.high), abs=1e-9)


@pytest.mark.parametrize(("hits", "trials"), [(0, 1), (1, 1), (0, 20), (20, 20), (1, 20), (7, 20), (500, 1000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_wilson_solves_its_equation(hits: int, trials: int, confidence: float) -> None:
    """Its bounds are the p for which the observed share is z standard errors, those of p itself, away."""
    z = stats.norm.ppf((1 + confidence) / 2)
    share = hits / trials
    for bound in statistics.wilson(hits, trials, confidence):
        assert (share - bound) ** 2 == pytest.approx(z**2 * bound * (1 - bound) / trials, abs=1e-9)
    low, high = statistics.wilson(hits, trials, confidence)
    assert low <= share <= high
    assert low < high


def test_no_trials_say_nothing_about_a_share() -> None:
    assert statistics.wilson(0, 0) == (0.0, 1.0)


# --- permutations ---


@pytest.mark.parametrize(("seen", "p"), [(5.0, 1 / 5), (4.0, 2 / 5), (3.5, 2 / 5), (2.0, 4 / 5), (0.0, 1.0)])
def test_permutation_p_counts_what_is_as_large(seen: float, p: float) -> None:
    assert statistics.permutation_p(seen, np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx(p)


def test_permutation_p_is_exact_for_what_is_exchangeable() -> None:
    """The chance of p <= k / (n + 1) is k / (n + 1), whatever the distribution."""
    rng = np.random.default_rng(0)
    p_values = np.array([statistics.permutation_p(draws[0], draws[1:]) for draws in rng.exponential(size=(20_000, 20))])
    for k in (1, 2, 10, 19):
        assert np.mean(p_values <= k / 20 + 1e-9) == pytest.approx(k / 20, abs=0.012)


# --- means ---


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("count", [2, 3, 10, 100])
def test_t_interval_is_that_of_scipy(count: int, confidence: float) -> None:
    values = np.random.default_rng(count).normal(3, 2, count)
    interval = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert statistics.t_interval(values, confidence) == pytest.approx((interval.low, interval.high))


def test_one_value_has_no_interval() -> None:
    assert statistics.t_interval([3.0]) == (-math.inf, math.inf)
    assert statistics.t_interval([3.0, 3.0]) == (3.0, 3.0)


@pytest.mark.parametrize("confidence", [0.8, 0.99])
def test_bootstrap_interval_is_that_of_scipy(confidence: float) -> None:
    values = np.random.default_rng(1).exponential(size=200)
    found = statistics.bootstrap_interval(values, lambda rows: float(np.mean(rows)), np.random.default_rng(2), confidence, 20_000)
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=confidence, method="percentile", rng=np.random.default_rng(3)
    ).confidence_interval
    width = oracle.high - oracle.low
    assert found == pytest.approx((oracle.low, oracle.high), abs=0.05 * width)


def test_bootstrap_draws_whole_rows_of_the_same_number() -> None:
    rows = np.stack([np.arange(50.0), np.arange(50.0)], axis=1)
    seen: list[tuple[int, bool]] = []

    def statistic(draw: statistics.Floats) -> float:
        seen.append((len(draw), bool((draw[:, 0] == draw[:, 1]).all())))
        return float(draw.mean())

    low, high = statistics.bootstrap_interval(rows, statistic, np.random.default_rng(0), draws=100)
    assert seen == [(50, True)] * 100
    assert low < rows.mean() < high


# --- spread ---


@pytest.mark.parametrize("counts", [[1.0], [1, 1], [1, 2, 3], [5, 0, 5], [0.2, 0.3, 0.5]])
def test_entropy_is_that_of_scipy(counts: list[float]) -> None:
    assert statistics.entropy(counts) == pytest.approx(stats.entropy(counts))


def test_median_absolute_deviation_estimates_a_standard_deviation() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0, 100.0])
    assert statistics.median_absolute_deviation(values) == pytest.approx(3 / stats.norm.ppf(0.75))
    normal = np.random.default_rng(0).normal(5, 3, 100_000)
    assert statistics.median_absolute_deviation(normal) == pytest.approx(3, rel=0.02)
