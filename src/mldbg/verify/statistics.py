"""The statistics that all checks share. Every threshold that is not a user's wish comes from here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ALPHA = 0.01
"""Probability of a false alarm in a family of statistical checks."""

PERMUTATIONS = 200
"""Draws of a permutation null; the smallest p-value is 1 / (PERMUTATIONS + 1), below ALPHA."""

Floats = NDArray[np.float64]


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> list[bool]:
    """Which hypotheses Holm's step-down procedure rejects (Holm 1979): family-wise error at most alpha, any dependence."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def clopper_pearson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided bounds of a binomial proportion (Clopper and Pearson 1934)."""
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(stats.beta.ppf(1 - tail, hits + 1, trials - hits))
    return low, high


def wilson(hits: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Score interval of a binomial proportion (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    interval = stats.binomtest(hits, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def permutation_p(seen: float, null: Floats) -> float:
    """One-sided p-value of a statistic that is large when something is there; never 0 (Phipson and Smyth 2010)."""
    return (1 + int(np.sum(null >= seen))) / (1 + len(null))


def t_interval(values: Sequence[float] | Floats, confidence: float = 0.99) -> tuple[float, float]:
    """Student's interval of a mean; of one value the whole line."""
    data = np.asarray(values, dtype=float)
    if len(data) < 2:
        return -math.inf, math.inf
    half = float(stats.t.ppf((1 + confidence) / 2, len(data) - 1) * data.std(ddof=1) / math.sqrt(len(data)))
    return float(data.mean()) - half, float(data.mean()) + half


def bootstrap_interval(
    values: Floats,
    statistic: Callable[[Floats], float],
    rng: np.random.Generator,
    confidence: float = 0.99,
    draws: int = 1000,
) -> tuple[float, float]:
    """Percentile bootstrap over the rows of `values` (first axis)."""
    found = [statistic(values[rng.integers(0, len(values), len(values))]) for _ in range(draws)]
    low, high = np.quantile(found, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def entropy(counts: Sequence[float] | Floats) -> float:
    """Shannon entropy in nats of a distribution given by counts."""
    shares = np.asarray(counts, dtype=float)
    shares = shares[shares > 0] / shares.sum()
    return float(-(shares * np.log(shares)).sum())


def median_absolute_deviation(values: Floats) -> float:
    """Scaled to estimate a standard deviation (factor 1.4826)."""
    return float(stats.median_abs_deviation(values, scale="normal"))
