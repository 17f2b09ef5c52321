from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.rows import Floats, rounding

FEWEST_ROWS = 8
"""In fewer rows an identity may hold by chance."""

FEWEST_COLUMNS = 2
"""In one column too."""


class ScalerFingerprint(Check):
    """the preprocessing was fitted on the training set alone

    ## Why
    A scaler that was fitted before the split has seen the test set. The leak is small for a mean and large for a selection
    or an encoding, but it shows that the order is wrong. Agreeing means of train and test prove nothing: they agree without
    a leak too.

    ## Measures
    A fitted set betrays itself: on it, and only on it, the fitted statistics are exact to within rounding. Standardised:
    means 0 and standard deviations 1 in all columns; min-max: the extremes of every column are exactly 0 and 1 (or -1 and
    1), and hit by single rows, as measured values are; principal components: means 0 and no covariance. Which of train, test
    and both together has such a fingerprint? The tolerance lies, on a logarithmic scale, halfway between rounding and what
    sampling does to the mean of as many rows.

    ## Causes
    - `fit-before-split`: train and test together have the fingerprint, train has not.
    - `fit-on-test`: the test set has its own fingerprint.

    ## Limits
    Sees standardisation, min-max scaling and principal components on all rows that were fitted; not after a selection of rows,
    not target encodings, nor what was scaled by constants.
    """

    id = "A6"
    stage = Stage.APPARATUS
    kind = Kind.EXACT
    needs = ("train", "test")
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        train, test = bench.arrays("train")[0], bench.arrays("test")[0]
        if train.shape[1] != test.shape[1]:
            return self.skipped("train and test have different columns", "provide both in the form the model receives")
        if min(len(train), len(test)) < FEWEST_ROWS:
            return self.skipped(f"needs {FEWEST_ROWS} rows in train and in test", "use more rows")
        if train.shape == test.shape and np.array_equal(train, test, equal_nan=True):
            return self.skipped("train and test are the same rows", "provide two different sets")
        pooled = np.concatenate([train, test])
        used = np.isfinite(pooled).all(axis=0) & (train != train[:1]).any(axis=0) & (test != test[:1]).any(axis=0)
        if used.sum() < FEWEST_COLUMNS:
            return self.skipped(f"needs {FEWEST_COLUMNS} columns of finite values that vary", "provide the processed arrays")
        sets = {"train": train[:, used], "test": test[:, used], "pooled": pooled[:, used]}
        prints = {name: _fingerprint(rows) for name, rows in sets.items()}
        tolerance = _tolerance(sets["pooled"])
        deviations = {name: _deviation(rows) for name, rows in sets.items()}
        numbers: dict[str, Any] = {
            "figure": Figure(
                "How exactly each set is centred, column by column",
                lambda canvas: _drawn(canvas, sets, tolerance),
                "The set a scaler was fitted on lies at rounding level, below the dashed line; it should be train.",
            ),
            "statistic": deviations["pooled"],
            "null": "only train is at rounding level, or no set is",
            "threshold": tolerance,
            "deviations": deviations,
            "fingerprints": {name: found for name, found in prints.items() if found},
        }
        if prints["pooled"] and not prints["train"]:
            return self.failed(
                "fit-before-split",
                f"train and test together are {prints['pooled']} to within rounding, train alone is not: "
                "the scaler was fitted on both",
                "split first, fit on train, and apply the fitted scaler to test",
                **numbers,
            )
        if prints["test"]:
            return self.failed(
                "fit-on-test",
                f"test is {prints['test']} to within rounding on its own: a scaler was fitted on the test set",
                "apply the scaler fitted on train to test",
                **numbers,
            )
        if prints["train"]:
            return self.passed(
                f"train is {prints['train']} to within rounding, test is not: the scaler was fitted on train", **numbers
            )
        return self.passed(
            "no set is centred or scaled to within rounding: no sign of a scaler fitted on the wrong rows", **numbers
        )


@dataclass(frozen=True, slots=True)
class Print:
    """A kind of preprocessing and its trace on the rows that it was fitted on."""

    name: str
    left: Callable[[Floats, float], bool]


def _fingerprint(rows: Floats) -> str | None:
    tolerance = _tolerance(rows)
    return next((each.name for each in _PRINTS if each.left(rows, tolerance)), None)


def _tolerance(rows: Floats) -> float:
    """The geometric mean of rounding and of the standard error of a mean, for columns of unit scale."""
    return math.sqrt(rounding(rows) / math.sqrt(len(rows)))


def _spread(rows: Floats) -> Floats:
    return np.asarray(np.maximum(rows.std(axis=0), np.finfo(np.float64).tiny))


def _centred(rows: Floats, tolerance: float) -> bool:
    return bool((np.abs(rows.mean(axis=0)) / _spread(rows) < tolerance).all())


def _is_standardised(rows: Floats, tolerance: float) -> bool:
    """By the standard deviation with n, or with n - 1."""
    unit = any(bool((np.abs(rows.std(axis=0, ddof=ddof) - 1) < tolerance).all()) for ddof in (0, 1))
    return unit and _centred(rows, tolerance)


def _is_min_max(rows: Floats, tolerance: float) -> bool:
    """Extremes at 0 (or -1) and 1, hit by single rows: saturated pixels, shares and yes-or-no columns do so without a scaler."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    single = ((rows == low).sum(axis=0) <= 2) & ((rows == high).sum(axis=0) <= 2)
    many = np.array([len(np.unique(column)) > len(rows) / 2 for column in rows.T])
    used = single & many
    if used.sum() < FEWEST_COLUMNS or used.mean() < 0.5:
        return False
    small = rounding(rows) * 8
    return any(
        bool((np.abs(low[used] - least) <= small).all() and (np.abs(high[used] - 1) <= small).all()) for least in (0.0, -1.0)
    )


def _is_uncorrelated(rows: Floats, tolerance: float) -> bool:
    """Columns are centred and have no covariance with one another. Few rows for many columns make that no surprise."""
    if not _centred(rows, tolerance) or len(rows) <= rows.shape[1]:
        return False
    scaled = (rows - rows.mean(axis=0)) / _spread(rows)
    correlation = scaled.T @ scaled / len(rows) - np.eye(rows.shape[1])
    return bool((np.abs(correlation) < tolerance).all())


_PRINTS = (Print("standardised", _is_standardised), Print("min-max scaled", _is_min_max), Print("uncorrelated", _is_uncorrelated))


def _deviation(rows: Floats) -> float:
    """The largest distance of a column's mean from 0, in its standard deviations."""
    return float((np.abs(rows.mean(axis=0)) / _spread(rows)).max())


def _drawn(canvas: Canvas, sets: dict[str, Floats], tolerance: float) -> None:
    ax = draw.axes(canvas, "|mean of a column| [its standard deviations]", "", log_x=True)
    for row, (name, rows) in enumerate(sets.items()):
        values = np.maximum(np.abs(rows.mean(axis=0)) / _spread(rows), 1e-18)
        jitter = row + np.linspace(-0.2, 0.2, len(values))
        fitted = bool((values < tolerance).all())
        colour = draw.SEEN if not fitted else draw.GOOD if name == "train" else draw.BAD
        ax.scatter(values, jitter, s=10, color=colour)
    ax.set_yticks(range(len(sets)), list(sets))
    ax.set_xlim(1e-19, 1e2)
    ax.invert_yaxis()
    draw.line(ax, tolerance, "limit of rounding", upright=True)
    draw.legend(ax)
