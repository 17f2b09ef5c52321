from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from scipy import stats

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.rows import Floats, groups, targets_of, varying
from mldbg.verify.statistics import ALPHA, PERMUTATIONS, permutation_p

FEWEST_ROWS = 30
"""Effective rows in each part below which no drift of interest would be seen."""

SURE = 1e-4
"""Probability of a false alarm over all columns; between this and ALPHA it is a warning."""

SMALL = 0.1
"""Wasserstein distance in standard deviations, below which a difference may be significant and does not matter."""

MOST_TIES = 0.6
"""Share of rows with the most frequent value of a column, for a rank correlation."""

CLEAR_CHANGE = 0.3
"""Change of a rank correlation that matters."""

CLEAR_AUC = 0.6
"""How well train and test must be told apart by a joint look at the columns."""

MOST_ROWS = 500
"""Rows of each part for the joint look."""

MOST_COLUMNS = 256
"""Columns that are tested; more are thinned evenly."""

FEATURES = 100
"""Random Fourier features (Rahimi and Recht 2007) of the joint look."""


class Drift(Check):
    """test has the distribution of train

    ## Why
    A model is judged on test as if it came from where train came from. With another sensor, another season or a filter on
    one of the two, the score says as much about the difference as about the model.

    ## Measures
    Each column and the target: Kolmogorov-Smirnov (classes: chi-square), with Holm over all, *and* a Wasserstein distance over
    0.1 standard deviations: at p < 0.05 without correction one of 50 honest columns alarms in 92 % of all runs. It fails at p <
    0.0001 over all columns and warns at p < 0.01. Rows that follow one another in time are not independent: the number of rows is
    divided by each column's autocorrelation time (Geyer's initial positive sequence), without which an AR(1) column with 0.9
    alarms in 72 %; where groups are given, they are counted. Jointly: rank correlations of all pairs of columns (Fisher's z,
    Bonferroni, a change over 0.3); and a classifier on random Fourier features that tells train from test leave-one-out, whose
    AUC against 200 permutations of blocks as long as that time must exceed 0.6 by far (without groups).

    ## Causes
    - `drift`: a column, or the target, is distributed differently in test.
    - `joint-drift`: the columns are related differently in test, though each one alone looks the same.

    ## Limits
    A split by group differs by the groups: give `groups`, and groups are the units. With fewer than 30 effective rows there
    is no verdict.
    """

    id = "A11"
    stage = Stage.APPARATUS
    kind = Kind.STATISTICAL
    needs = ("train", "test")
    cost = 0.7

    def run(self, bench: Bench) -> Outcome:
        parts = _parts(bench)
        if parts is None:
            return self.skipped(
                "train and test have different columns, or none that varies", "provide both in the form the model receives"
            )
        train, test, names = parts
        if min(len(train), len(test)) < FEWEST_ROWS:
            return self.cannot_tell(
                f"{min(len(train), len(test))} rows are too few: only a shift larger than "
                f"{_smallest(len(train), len(test)):.1f} sd would be detected",
                f"use at least {FEWEST_ROWS} rows in train and in test",
            )
        found = [_compared(train[:, column], test[:, column], names[column], bench) for column in range(len(names))]
        bench.tick()
        order = sorted(found, key=lambda each: each.p_value)
        adjusted = [min(each.p_value * (len(order) - rank), 1.0) for rank, each in enumerate(order)]
        rejected = [
            each
            for each, p_value in zip(order, np.maximum.accumulate(adjusted).tolist(), strict=True)
            if p_value < ALPHA and each.effect > SMALL and each.rows >= FEWEST_ROWS
        ]
        joint = _joint(train, test, max(each.time for each in found), bench)
        tie = _tie(train, test, names, min(each.rows for each in found))
        worst = rejected[0] if rejected else max(found, key=lambda each: each.effect)
        surest = min((p_value for each, p_value in zip(order, adjusted, strict=True) if each in rejected), default=1.0)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "The columns that differ most between train and test",
                lambda canvas: _drawn(canvas, train, test, names, rejected, order),
                "Cumulative distributions. W: Wasserstein distance in standard deviations; below 0.1 it is negligible.",
            ),
            "statistic": worst.effect,
            "null": "train and test come from the same distribution",
            "threshold": SMALL,
            "columns": [each.name for each in rejected],
            "auc": joint.auc if joint else None,
            "joint_p_value": joint.p_value if joint else None,
        }
        step = "find out how the collection of train and test differed; split at random, or report both"
        if rejected:
            why = f"{worst.name} differs by {worst.effect:.2f} sd between train and test"
            why += f" (p = {surest:.1g} over {len(found)} columns)"
            verdict = self.failed if surest < SURE else self.warned
            return verdict("drift", why, step, p_value=surest, **numbers)
        if tie is not None and tie.p_value < SURE and tie.change > CLEAR_CHANGE:
            why = f"{tie.pair} are correlated differently in test: {tie.seen[0]:+.2f} in train, {tie.seen[1]:+.2f} in test"
            return self.failed("joint-drift", why, step, p_value=tie.p_value, **numbers)
        if joint is not None and joint.clear:
            why = f"a classifier tells train from test with an AUC of {joint.auc:.2f}, though no column alone differs"
            return self.failed("joint-drift", why, step, p_value=joint.p_value, **numbers)
        if min(each.rows for each in found) < FEWEST_ROWS:
            few = min(found, key=lambda each: each.rows)
            units = _group_counts(bench)
            if units is not None and few.rows == min(units):
                return self.cannot_tell(f"one part has only {min(units)} groups", "use more groups", **numbers)
            return self.cannot_tell(
                f"rows are correlated in time: {few.name} has only {few.rows:.0f} effective rows, in which a shift of "
                f"{_smallest(few.rows, few.rows):.1f} sd would be detected",
                "use more rows",
                **numbers,
            )
        return self.passed(
            f"no column differs beyond chance and {SMALL} sd (the most: {worst.name}, {worst.effect:.2f} sd)", **numbers
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """A column in train and test.

    Attributes:
        name: its name.
        p_value: that both are drawn from one distribution.
        effect: Wasserstein distance in standard deviations.
        rows: effective rows in the smaller part.
        time: autocorrelation time [rows].
    """

    name: str
    p_value: float
    effect: float
    rows: float
    time: float


@dataclass(frozen=True, slots=True)
class Tie:
    """The pair of columns whose rank correlation differs most surely."""

    pair: str
    p_value: float
    seen: tuple[float, float]

    @property
    def change(self) -> float:
        return abs(self.seen[0] - self.seen[1])


@dataclass(frozen=True, slots=True)
class Joint:
    """How well train and test are told apart."""

    auc: float
    null: Floats

    @property
    def p_value(self) -> float:
        return permutation_p(self.auc, self.null)

    @property
    def clear(self) -> bool:
        """Beyond all permutations, by five of their standard deviations, and by an amount that matters."""
        far = float(self.null.mean()) + 5 * float(self.null.std(ddof=1))
        return self.p_value < ALPHA and self.auc > max(CLEAR_AUC, far)


def _parts(bench: Bench) -> tuple[Floats, Floats, list[str]] | None:
    """Columns of train and test, with the target as the last where it is one number a row; rows with NaN are left out."""
    (train, y), (test, z) = bench.arrays("train"), bench.arrays("test")
    if train.shape[1] != test.shape[1]:
        return None
    used = np.flatnonzero(varying(np.concatenate([train, test])))
    if len(used) > MOST_COLUMNS:
        used = used[np.linspace(0, len(used) - 1, MOST_COLUMNS).astype(int)]
    names = [f"column {index}" for index in used.tolist()]
    train, test = train[:, used], test[:, used]
    both = targets_of(np.concatenate([y.reshape(len(y), -1), z.reshape(len(z), -1)])) if y.shape[1:] == z.shape[1:] else None
    if both is not None:
        codes = both[0].astype(np.float64)[:, None]
        train, test = np.concatenate([train, codes[: len(y)]], axis=1), np.concatenate([test, codes[len(y) :]], axis=1)
        names.append("the target")
    train, test = train[np.isfinite(train).all(axis=1)], test[np.isfinite(test).all(axis=1)]
    return (train, test, names) if names and len(train) and len(test) else None


def autocorrelation_time(x: Floats) -> float:
    """How many rows are worth one independent row, at least 1: 1 + 2 * sum of autocorrelations, up to the first pair of lags
    whose sum is not positive (Geyer 1992).
    """
    size = len(x)
    centred = x - x.mean()
    power = np.abs(np.fft.rfft(centred, 2 * size)) ** 2
    rho = np.fft.irfft(power)[:size]
    if rho[0] <= 0:
        return 1.0
    rho = rho / rho[0]
    total, limit = 0.0, 3 * np.sqrt(2 / size)  # white noise has sums of two lags within three standard errors anyway
    for lag in range(1, size - 1, 2):
        pair = float(rho[lag] + rho[lag + 1])
        if pair <= limit:
            break
        total += pair
    return max(1 + 2 * total, 1.0)


def _compared(one: Floats, other: Floats, name: str, bench: Bench) -> Compared:
    scale = float(np.concatenate([one, other]).std())
    if scale == 0:
        return Compared(name, 1.0, 0.0, min(len(one), len(other)), 1.0)
    time = max(autocorrelation_time(one), autocorrelation_time(other))
    rows = [len(each) / time for each in (one, other)]
    units = _group_counts(bench)
    if units is not None:
        rows = [min(count, limit) for count, limit in zip(rows, units, strict=True)]
    effect = float(stats.wasserstein_distance(one, other)) / scale
    values = np.unique(np.concatenate([one, other]))
    if len(values) <= 20:
        table = np.array(
            [[float((part == value).mean()) * size for value in values] for part, size in zip((one, other), rows, strict=True)]
        )
        p_value = float(stats.chi2_contingency(table, correction=False).pvalue) if len(values) > 1 else 1.0
        if table.sum(axis=0).min() < 5:
            p_value = max(p_value, _kolmogorov(one, other, rows))  # chi-square is not to be trusted with rare values
    else:
        p_value = _kolmogorov(one, other, rows)
    return Compared(name, p_value, effect, min(rows), time)


def _kolmogorov(one: Floats, other: Floats, rows: list[float]) -> float:
    every = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(each), every, side="right") / len(each) for each in (one, other)]
    distance = float(np.abs(below[0] - below[1]).max())
    size = rows[0] * rows[1] / (rows[0] + rows[1])
    return float(stats.kstwobign.sf(distance * np.sqrt(size)))


def _group_counts(bench: Bench) -> tuple[int, int] | None:
    given = groups(bench)
    return None if given is None else (len(np.unique(given[0])), len(np.unique(given[1])))


def _smallest(one: float, other: float) -> float:
    """Shift in standard deviations that a two-sample test at SURE sees with 80 % probability."""
    return float((stats.norm.isf(SURE / 2) + stats.norm.isf(0.2)) * np.sqrt(1 / one + 1 / other))


def _tie(train: Floats, test: Floats, names: list[str], rows: float) -> Tie | None:
    """By Fisher's z with the variance for ranks of Bonett and Wright (2000), Bonferroni over all pairs; None for one column."""
    if len(names) < 2 or rows < FEWEST_ROWS:
        return None
    usable = [column for column in range(len(names)) if all(_is_spread(part[:, column]) for part in (train, test))]
    if len(usable) < 2:
        return None
    first, second = (np.corrcoef(stats.rankdata(part[:, usable], axis=0), rowvar=False) for part in (train, test))
    one, other = np.triu_indices(len(usable), 1)
    r = np.clip(np.stack([first[one, other], second[one, other]]), -0.9999, 0.9999)
    spread = np.sqrt(((1 + r**2 / 2) / (rows - 3)).sum(axis=0))
    z = np.abs(np.arctanh(r[0]) - np.arctanh(r[1])) / spread
    best = int(z.argmax())
    pair = f"{names[usable[one[best]]]} and {names[usable[other[best]]]}"
    return Tie(pair, min(2 * float(stats.norm.sf(z[best])) * len(z), 1.0), (float(r[0, best]), float(r[1, best])))


def _is_spread(column: Floats) -> bool:
    """Whether no value has most of the rows: a few other ones would make any correlation."""
    return bool(np.unique(column, return_counts=True)[1].max() <= MOST_TIES * len(column))


def _joint(train: Floats, test: Floats, time: float, bench: Bench) -> Joint | None:
    """None where blocks are too few to be permuted."""
    rng = bench.rng("drift")
    train, test = train[:MOST_ROWS], test[:MOST_ROWS]
    length = int(np.ceil(2 * time)) if time > 1.5 else 1
    if groups(bench) is not None or min(len(train), len(test)) // length < 10:
        return None
    rows = np.concatenate([train, test])
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-300)
    width = np.sqrt(rows.shape[1])
    waves = np.cos(rows @ rng.normal(size=(rows.shape[1], FEATURES)) / width + rng.uniform(0, 2 * np.pi, FEATURES))
    waves -= waves.mean(axis=0)
    gram = waves.T @ waves
    solved = np.linalg.inv(gram + np.trace(gram) / FEATURES * 0.1 * np.eye(FEATURES)) @ waves.T
    hat = waves @ solved + 1 / len(rows)
    leverage = np.diag(hat)
    hat = (hat - np.diag(leverage)) / np.maximum(1 - leverage, 1e-12)[:, None]
    sides = np.repeat([0.0, 1.0], [len(train), len(test)])
    blocks = np.arange(len(rows)) // length
    null = _auc(hat, np.stack([_permuted(sides, blocks, rng) for _ in range(PERMUTATIONS)], axis=1))
    return Joint(float(_auc(hat, sides[:, None])[0]), null)


def _permuted(sides: Floats, blocks: NDArray[np.int_], rng: np.random.Generator) -> Floats:
    """Whole blocks of rows change sides."""
    of_block = sides[np.unique(blocks, return_index=True)[1]]
    return np.asarray(rng.permutation(of_block)[blocks])


def _auc(hat: Floats, sides: Floats) -> Floats:
    """Of the leave-one-out predictions that a row is of test, by ranks; `sides` has one labelling in each column."""
    ranks = (hat @ sides).argsort(axis=0).argsort(axis=0) + 1.0
    ones = np.maximum(sides.sum(axis=0), 1)
    zeros = np.maximum(len(sides) - ones, 1)
    return np.asarray(((ranks * sides).sum(axis=0) - ones * (ones + 1) / 2) / (ones * zeros))


def _drawn(
    canvas: Canvas, train: Floats, test: Floats, names: list[str], rejected: list[Compared], order: list[Compared]
) -> None:
    shown = [*rejected, *(each for each in order if each not in rejected)][:4]
    grid = canvas.subplots(1, len(shown), squeeze=False)[0]
    for ax, each in zip(grid, shown, strict=True):
        draw.dressed(ax, f"{each.name} [its unit]", "share of rows below" if ax is grid[0] else "")
        column = names.index(each.name)
        for rows, colour, label in ((train, draw.NULL, "train"), (test, draw.SEEN, "test")):
            values = np.sort(rows[:, column])
            ax.step(values, np.arange(1, len(values) + 1) / len(values), where="post", color=colour, label=label)
        ax.set_title(f"W = {each.effect:.2f} sd", fontsize="small", color=draw.BAD if each in rejected else draw.INK)
    draw.legend(grid[0])
