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
from mldbg.verify.rows import Floats, Table, has_numbers, of_arrays, of_batch, rounding, thinned, varying
from mldbg.verify.statistics import ALPHA

FEWEST_ROWS = 24
"""Below, one column in many may follow the target by chance."""

MOST_ROWS = 2000
"""More tell nothing new."""

ORACLE = 0.99
"""Held-out score of one column above which nothing is left to learn."""

BOTH_WAYS = 0.95
"""Share of a column's variance that the target explains: a copy is explained by it, a mere cause is not."""

COPY, SURELY = 0.97, 0.9
"""Score of a copy with noise, and its lower bound: in a few hundred rows no bound reaches ORACLE."""

FEW_VALUES = 20
"""A column of so few values is predicted from by value, others by their neighbours in rank."""

NEIGHBOURS = 3
"""Neighbours in rank on either side."""

FOLDS = 5
"""Parts of the cross-validation."""


class SingleFeatureOracle(Check):
    """no input column is the target in disguise

    ## Why
    A column that was filled in after the outcome (a code, a date, the target itself in another unit) predicts it perfectly
    and does not exist when the model is used. The curves look wonderful.

    ## Measures
    For each column the held-out score of a prediction from it alone, by its values or by neighbours in rank: the share of
    the way from the best constant guess (0) to no error (1); for values R2. It fails where the relation holds both ways, as
    for a copy: a score over 0.97 (surely over 0.9, by a Clopper-Pearson bound at 1 % over all columns) from a column of
    whose variance the target explains more than 95 %; or column and target determine each other exactly (classes: one
    value each; values: a linear function, to rounding); or columns spell the classes as one-hot. An oracle of one direction
    (the label is whether a column exceeds a limit; the last value of a slow series) may be the honest task: a warning where
    its lower bound exceeds 0.99.

    ## Causes
    - `target-in-features`: one column is the target, perhaps recoded or with noise.
    - `one-feature-decides`: one column alone predicts the target (a warning).

    ## Limits
    Needs one class id or value a row, and two columns that vary. Token ids are not judged: tasks of copying are honest
    there. Leaks that need two columns are not seen.
    """

    id = "A7"
    stage = Stage.APPARATUS
    kind = Kind.STATISTICAL
    cost = 0.5

    def run(self, bench: Bench) -> Outcome:
        if not has_numbers(bench.first[0]):
            return self.skipped("the inputs are token ids", "not applicable: this check is about columns of measurements")
        sources = [each for each in (of_arrays(bench, "train"), of_batch(*bench.first, "batch")) if each is not None]
        able = [each for each in sources if len(each) >= FEWEST_ROWS and varying(each.x).sum() >= 2]
        if not able:
            return self.skipped(
                f"needs {FEWEST_ROWS} rows with one class id or value each, and two columns that vary",
                "provide train, or use such a batch",
            )
        outcomes = []
        for table in able:
            bench.tick()
            outcomes.append(self._judged(thinned(table, MOST_ROWS, bench.rng("single-feature-oracle")), bench))
        return max(outcomes, key=lambda each: each.cause is not None and 1 + (each.cause == "target-in-features"))

    def _judged(self, table: Table, bench: Bench) -> Outcome:
        columns = np.flatnonzero(varying(table.x))
        scores = _scores(table, columns, bench.rng("single-feature-oracle folds"))
        best = max(scores, key=lambda each: (each.copy, each.low, each.score))
        top = sorted(scores, key=lambda each: -each.score)[:12]
        numbers: dict[str, Any] = {
            "figure": Figure(
                "What each column alone says about the target",
                lambda canvas: _drawn(canvas, top),
                "Bars: held-out score of one column (0: constant guess, 1: no error), with a simultaneous lower bound.",
            ),
            "statistic": best.score,
            "null": f"no column alone exceeds {ORACLE}",
            "threshold": ORACLE,
            "column": best.column,
            "explained_by_target": best.explained,
            "source": table.source,
        }
        step = "find out when this column is filled in: anything known only after the outcome must go"
        if best.copy:
            why = f"column {best.column} of {table.source} is the target: {best.copy}"
            return self.failed("target-in-features", why, step, **numbers)
        spelled = _one_hot(table, columns)
        if spelled:
            why = f"columns {', '.join(map(str, spelled))} of {table.source} are the target, one-hot"
            return self.failed("target-in-features", why, step, **numbers)
        if best.low > ORACLE:
            why = f"column {best.column} of {table.source} alone scores {best.score:.4f}"
            return self.warned("one-feature-decides", why, step, **numbers)
        return self.passed(f"the best of {len(columns)} columns alone scores {best.score:.2f}", **numbers)


@dataclass(frozen=True, slots=True)
class Score:
    """What one column tells.

    Attributes:
        column: its index.
        score: held out; 0 for the best constant guess, 1 for no error.
        low: lower bound of the score, over all columns.
        explained: share of the column's variance that the target explains.
        copy: in words, how it is a copy of the target; empty where it is none.
    """

    column: int
    score: float
    low: float
    explained: float
    copy: str


def _scores(table: Table, columns: NDArray[np.int_], rng: np.random.Generator) -> list[Score]:
    folds = rng.permutation(len(table)) % FOLDS
    alpha = ALPHA / len(columns)
    found = []
    for column in columns.tolist():
        x = table.x[:, column]
        score, low = _held_out(x, table, folds, alpha)
        explained = _explained(x, table)
        copy = _exact_copy(x, table)
        if not copy and score > COPY and low > SURELY and explained > BOTH_WAYS and table.classes is not None:
            copy = f"it scores {score:.4f} on held-out rows, and the target explains {explained:.1%} of its variance"
        found.append(Score(column, score, low, explained, copy))
    return found


def _held_out(x: Floats, table: Table, folds: NDArray[np.int_], alpha: float) -> tuple[float, float]:
    """Score and its lower bound (of R2 by Fisher's transformation of the correlation with the prediction)."""
    y = table.y
    marks = np.eye(table.classes)[y] if table.classes is not None else np.asarray(y, dtype=float)[:, None]
    values, coded = np.unique(x, return_inverse=True)
    guesses = _by_value(coded, marks, folds) if len(values) <= FEW_VALUES else _by_neighbours(x, marks)
    rows = len(y)
    if table.classes is not None:
        base = float(marks.mean(axis=0).max())
        right = int((guesses.argmax(axis=1) == y).sum())
        bound = float(stats.beta.ppf(alpha, right, rows - right + 1)) if right else 0.0
        return (right / rows - base) / (1 - base), (bound - base) / (1 - base)
    numbers = marks[:, 0]
    spread = float(((numbers - numbers.mean()) ** 2).sum())
    score = 1 - float(((guesses[:, 0] - numbers) ** 2).sum()) / spread
    z = np.arctanh(np.sqrt(np.clip(score, 0, 1 - 1e-15))) - stats.norm.isf(alpha) / np.sqrt(rows - 3)
    return score, float(np.tanh(max(z, 0)) ** 2)


def _by_value(coded: NDArray[np.int_], marks: Floats, folds: NDArray[np.int_]) -> Floats:
    """The mean target of rows with the same value, in the other folds."""
    count = int(coded.max()) + 1
    guesses = np.empty_like(marks)
    for fold in range(FOLDS):
        inside, outside = folds != fold, folds == fold
        totals = np.zeros((count, marks.shape[1]))
        np.add.at(totals, coded[inside], marks[inside])
        sizes = np.bincount(coded[inside], minlength=count)[:, None]
        means = np.where(sizes > 0, totals / np.maximum(sizes, 1), marks[inside].mean(axis=0))
        guesses[outside] = means[coded[outside]]
    return guesses


def _by_neighbours(x: Floats, marks: Floats) -> Floats:
    """The mean target of the neighbours in rank, without the row itself."""
    order = np.argsort(x, kind="stable")
    padded = np.concatenate([np.zeros((NEIGHBOURS, marks.shape[1])), marks[order], np.zeros((NEIGHBOURS, marks.shape[1]))])
    counted = np.concatenate([np.zeros(NEIGHBOURS), np.ones(len(x)), np.zeros(NEIGHBOURS)])
    steps = [NEIGHBOURS + step for step in range(-NEIGHBOURS, NEIGHBOURS + 1) if step]
    totals = sum(padded[step : step + len(x)] for step in steps)
    sizes = sum(counted[step : step + len(x)] for step in steps)
    guesses = np.empty_like(marks)
    guesses[order] = totals / np.asarray(sizes)[:, None]
    return guesses


def _explained(x: Floats, table: Table) -> float:
    """Correlation ratio of classes, squared correlation of values."""
    centred = x - x.mean()
    total = float((centred**2).sum())
    if not total:
        return 0.0
    if table.classes is None:
        y = table.y - table.y.mean()
        return float((centred @ y) ** 2 / total / (y @ y))
    sizes = np.bincount(table.y, minlength=table.classes)
    sums = np.bincount(table.y, weights=centred, minlength=table.classes)
    return float((sums**2 / np.maximum(sizes, 1)).sum()) / total


def _exact_copy(x: Floats, table: Table) -> str:
    """Classes: every class has one value and every value one class. Values: a linear function to rounding."""
    if table.classes is not None:
        values, coded = np.unique(x, return_inverse=True)
        pairs = np.unique(coded * table.classes + table.y)
        one_to_one = len(values) == len(pairs) == len(np.unique(table.y))
        return "each of its values maps to one class" if one_to_one else ""
    y = np.asarray(table.y, dtype=float)
    centred, about = x - x.mean(), y - y.mean()
    slope = float(centred @ about / (centred @ centred))
    left = float(np.abs(about - slope * centred).max())
    tolerance = 16 * max(rounding(x), rounding(y)) * float(np.abs(y).max() + np.abs(slope * x).max())
    return "it is a linear function of it, to within rounding" if len(np.unique(y)) > 2 and left <= tolerance else ""


def _one_hot(table: Table, columns: NDArray[np.int_]) -> list[int]:
    """Columns of two values each that mark one class, a column for every class but perhaps one; else empty."""
    if table.classes is None or table.classes < 3:
        return []
    marked: dict[int, int] = {}
    for column in columns.tolist():
        x = table.x[:, column]
        values = np.unique(x)
        if len(values) == 2:
            for value in values:
                inside = np.unique(table.y[x == value])
                if len(inside) == 1 and not bool((table.y[x != value] == inside[0]).any()):
                    marked.setdefault(int(inside[0]), column)
    return sorted(marked.values()) if len(marked) >= len(np.unique(table.y)) - 1 else []


def _drawn(canvas: Canvas, top: list[Score]) -> None:
    names = [f"column {each.column}" for each in top]
    label = "held-out score of one column [0 constant guess, 1 no error]"
    ax = draw.bars(canvas, names, [max(each.score, 0) for each in top], label, bad=[bool(each.copy) for each in top])
    for row, each in enumerate(top):
        if each.low > 0:
            ax.plot([each.low, each.low, each.low, each.score], [row - 0.2, row + 0.2, row, row], color=draw.INK, linewidth=1)
    draw.line(ax, ORACLE, f"{ORACLE}", color=draw.BAD, upright=True)
    ax.set_xlim(0, 1.05)
    draw.legend(ax)
