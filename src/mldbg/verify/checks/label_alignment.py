from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.rows import (
    CheapModels,
    Floats,
    Table,
    batches,
    distinct,
    nearest,
    of_arrays,
    of_batch,
    row_keys,
    standardised,
    targets_of,
    thinned,
)
from mldbg.verify.statistics import ALPHA, PERMUTATIONS, permutation_p

FEWEST_ROWS = 24
"""Fewer rows hold no skill that could be told from luck."""

MOST_ROWS = 400
"""More are not needed to see skill, and cost the square."""

BATCHES = 4
"""Batches of the factory that are looked at without a loader."""

SMALL_SKILL = 0.2
"""Share of the way from chance to no error; below, labels as good as ignore the inputs."""

CLEAR_SKILL = 0.3
"""The same, above which labels as good as surely follow the inputs: the reference of a comparison."""

NEAR, FAR = 3.0, 3.5
"""Standard deviations of the null that a skill may be above what was seen: for a warning, and for a failure."""

OF_REFERENCE = 0.6
"""Share of the reference's skill that a source without skill surely does not reach."""

MOST_WRONG = 0.05
"""Share of rows whose label contradicts the same row of `train`, up to which it is a warning."""


class LabelAlignment(Check):
    """labels belong to the inputs they are paired with

    ## Why
    Labels that were shuffled, sorted, or shifted by one row against their inputs cannot be learned, and overfitting one
    batch does not reveal it: a network memorises anything.

    ## Measures
    First exactly: rows of the batch and the loader that are rows of `train` must have the labels that they have there. Then
    by skill: what cheap models (ridge regression, 5 nearest neighbours) predict leave-one-out (mean recall of classes,
    squared error of values; equal rows are taken once), against 200 permutations of the labels. Skill means that labels and
    inputs are aligned. Without skill the task may just be hard, so that it fails only where train or test has clear
    skill by the same models (without skill in test alone it warns: test may be drawn elsewhere), or where labels fit when
    they are shifted by some rows. It warns where the rows have structure (neighbours are nearer than in rows with
    independently permuted columns), they are enough to exclude a skill of 0.2, and labels ignore it. All else is CANNOT-TELL.

    ## Causes
    - `labels-do-not-match-inputs`: labels contradict those of `train`, or nothing can be learned from this source while it can
      from another (a warning where there is no other).
    - `labels-are-shifted`: labels match the inputs shifted by some rows.

    ## Limits
    Targets must be class ids or values, one to a row. Cheap models have little skill on hard tasks. A permutation null holds
    for exchangeable rows; in a time series skill may come from neighbouring rows, and it passes.
    """

    id = "A5"
    stage = Stage.APPARATUS
    kind = Kind.STATISTICAL
    cost = 1.0

    def run(self, bench: Bench) -> Outcome:
        wrong = _contradictions(bench)
        if wrong is not None and wrong.share > 0:
            verdict = self.failed if wrong.share > MOST_WRONG else self.warned
            return verdict(
                "labels-do-not-match-inputs",
                f"{wrong.count} of {wrong.compared} rows of the {wrong.source} have a different label than the same row of train",
                "find where inputs and labels diverge: they are shuffled, sorted or filtered separately",
                Figure("Labels of the same rows", lambda canvas: _pairs(canvas, wrong), "On the diagonal, both sources agree."),
                statistic=wrong.share,
                null="0: the same row has the same label everywhere",
                threshold=0.0,
            )
        sources = [each for each in _sources(bench) if len(each) >= FEWEST_ROWS]
        if not sources:
            return self.skipped(
                f"needs {FEWEST_ROWS} rows with one class id or value each", "provide train or a larger batch with such targets"
            )
        found = [_measured(bench, each) for each in sources]
        bench.tick()
        arrays = [each for each in found if each.table.source in ("train", "test")]  # batches may hold rows again, augmented
        clear = [each for each in arrays if each.skilled and each.skill > CLEAR_SKILL]
        reference = max((each.skill for each in clear), default=0.0)
        lost = [each for each in found if not each.skilled and each.at_most(FAR) < OF_REFERENCE * reference]
        main = lost[0] if lost else found[0]
        figure = Figure(
            "Held-out skill of cheap models against permuted labels",
            lambda canvas: _drawn(canvas, main),
            "Grey: with shuffled labels. Blue: with the actual labels. 0 is chance, 1 is no error.",
        )
        numbers: dict[str, Any] = {
            "figure": figure,
            "statistic": main.skill,
            "null": "the skill reached with permuted labels",
            "threshold": float(np.quantile(main.null, 1 - ALPHA)),
            "source": main.table.source,
            "rows": len(main.table),
            "skill_by_source": {each.table.source: each.skill for each in found},
        }
        same = all(each.table.classes == main.table.classes for each in clear)
        if lost and same:
            verdict = self.warned if main.table.source == "test" else self.failed  # another test may be another task
            return verdict(
                "labels-do-not-match-inputs",
                f"cheap models have a skill of {clear[0].skill:.2f} on {clear[0].table.source} and {main.skill:.2f} "
                f"on {main.table.source} (surely below {main.at_most(FAR):.2f})",
                f"compare how {main.table.source} and {clear[0].table.source} pair inputs with labels",
                **numbers,
            )
        if main.skilled:
            why = f"labels of {main.table.source} follow its inputs: a skill of {main.skill:.2f} (p = {main.p_value:.3f})"
            return self.passed(why, **numbers)
        shift = _shift(main)
        if shift is not None:
            return self.failed(
                "labels-are-shifted",
                f"labels fit the inputs {abs(shift[0])} rows {'further' if shift[0] > 0 else 'before'} with a skill of "
                f"{shift[1]:.2f}, and {main.skill:.2f} as they are",
                "look for an extra or missing row: a header, a dropped first row, a shift",
                **numbers,
            )
        said = f"cheap models find no signal in {len(main.table)} rows of {main.table.source}: a skill of {main.skill:.2f}"
        if main.at_most(NEAR) < SMALL_SKILL and _has_structure(bench, main.table):
            return self.warned(
                "labels-do-not-match-inputs",
                f"{said} (below {main.at_most(NEAR):.2f}), although the inputs have structure",
                "inspect rows together with their labels; provide train and test, so that sources can be compared",
                **numbers,
            )
        smallest = float(np.quantile(main.null, 1 - ALPHA)) - float(main.null.mean())
        return self.cannot_tell(
            f"{said}; one of {smallest:.2f} would have been detected. The task may be hard",
            "provide train and test, or more rows",
            **numbers,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """Skill on a source, and its permutation null."""

    table: Table
    models: CheapModels
    skill: float
    null: Floats

    @property
    def p_value(self) -> float:
        return permutation_p(self.skill, self.null)

    @property
    def skilled(self) -> bool:
        return self.p_value < ALPHA

    def at_most(self, deviations: float) -> float:
        """A skill that is not exceeded: so many standard deviations of the null above what was seen."""
        return max(self.skill, float(self.null.mean())) + deviations * float(self.null.std(ddof=1))


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Rows that two sources share, with their labels."""

    source: str
    compared: int
    count: int
    known: NDArray[Any]
    given: NDArray[Any]

    @property
    def share(self) -> float:
        return self.count / self.compared if self.compared else 0.0


def _sources(bench: Bench) -> list[Table]:
    parts = [of_arrays(bench, "train"), of_arrays(bench, "test"), _of_batches(bench)]
    rng = bench.rng("label-alignment")
    return [thinned(distinct(each), MOST_ROWS, rng) for each in parts if each is not None]


def _of_batches(bench: Bench) -> Table | None:
    """The loader's first batches together, or a few batches of other seeds."""
    source = "the loader" if bench.experiment.loader is not None else "the batches"
    several = _some_batches(bench) or [bench.first, *(bench.batch(seed) for seed in range(1, BATCHES))]
    if all(_are_row_numbers(targets) for _, targets in several):
        return None
    tables = [of_batch(inputs, targets, source) for inputs, targets in several]
    found = [each for each in tables if each is not None]
    given = [np.asarray(y.detach().cpu()).reshape(-1) for _, y in several if isinstance(y, Tensor)]
    targets = np.concatenate(given) if given else np.empty(0)
    merged = targets_of(targets)
    whole = len(found) == len(tables) and len(targets) == sum(map(len, found)) >= bench.size
    if merged is None or not whole or len({each.x.shape[1] for each in found}) != 1:
        return of_batch(*bench.first, "the batch")
    return Table(np.concatenate([each.x for each in found]), merged[0], merged[1], source)


def _are_row_numbers(targets: Any) -> bool:
    """Whether each row's target is its own number in the batch, as for a contrastive loss: that says nothing of the inputs."""
    if not isinstance(targets, Tensor) or targets.is_floating_point():
        return False
    return torch.equal(targets, torch.arange(len(targets), device=targets.device).to(targets))


def _measured(bench: Bench, table: Table) -> Measured:
    bench.tick()
    rng = bench.rng(f"label-alignment {table.source}")
    models = CheapModels(table.x)
    null = models.skills(np.stack([rng.permutation(table.y) for _ in range(PERMUTATIONS)]), table.classes)
    return Measured(table, models, models.skill(table.y, table.classes), null)


def _shift(found: Measured) -> tuple[int, float] | None:
    """The shift of the labels, of at most 3 rows, that gives them clear skill far outside of the null."""
    best: tuple[int, float] | None = None
    far = float(found.null.mean()) + 8 * float(found.null.std(ddof=1))
    for rows in (-3, -2, -1, 1, 2, 3):
        skill = found.models.skill(np.roll(found.table.y, rows), found.table.classes)
        if skill > max(far, CLEAR_SKILL) and (best is None or skill > best[1]):
            best = (-rows, skill)
    return best


def _contradictions(bench: Bench) -> Contradiction | None:
    """Rows of the loader's first batches, else of the batch, against the same rows of `train`."""
    if bench.experiment.train is None:
        return None
    x, y = bench.arrays("train")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or y.dtype.kind not in "fiub":
        return None
    labels: dict[bytes, set[float]] = {}
    for key, label in zip(row_keys(x), y.tolist(), strict=True):
        labels.setdefault(key, set()).add(float(np.float32(label)))
    worst: Contradiction | None = None
    for source, several in (("batch", [bench.first]), ("loader", _some_batches(bench))):
        known, given, wrong = [], [], 0
        for inputs, targets in several:
            table = _raw(inputs, targets)
            for key, label in table:
                if key in labels:
                    known.append(min(labels[key]))
                    given.append(label)
                    wrong += label not in labels[key]
        if len(known) >= 8 and (worst is None or wrong / len(known) > worst.share):
            worst = Contradiction(source, len(known), wrong, np.array(known), np.array(given))
    return worst


def _some_batches(bench: Bench) -> list[tuple[Any, Any]]:
    return bench.once("some batches of the loader", lambda: _begun(bench))


def _begun(bench: Bench) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    if bench.experiment.loader is not None:
        for batch in batches(bench):
            if not isinstance(batch, tuple | list) or len(batch) != 2 or len(found) >= 8:
                break
            found.append((batch[0], batch[1]))
    return found


def _raw(inputs: Any, targets: Any) -> list[tuple[bytes, float]]:
    """Contents and label of every row; none where labels are not one number a row."""
    try:
        x, y = (np.asarray(each.detach().cpu()) for each in (inputs, targets))
    except AttributeError:
        return []
    if not x.ndim or y.reshape(len(y) if y.ndim else 1, -1).shape[1:] != (1,) or len(y) != len(x):
        return []
    return list(zip(row_keys(x), y.reshape(-1).astype(np.float32).astype(float).tolist(), strict=True))


def _has_structure(bench: Bench, table: Table) -> bool:
    """Whether rows have neighbours nearer than where columns are permuted independently, by at least a tenth."""
    z = standardised(table.x)
    every = np.arange(len(z))
    rng = bench.rng("label-alignment structure")
    mixed = rng.permuted(z, axis=0)
    seen, null = (float(np.median(nearest(rows, rows, 1, itself=every)[0])) for rows in (z, mixed))
    return seen < 0.9 * null


def _drawn(canvas: Canvas, found: Measured) -> None:
    label = f"held-out skill on {found.table.source} [0 chance, 1 no error]"
    draw.null_histogram(canvas, found.null, found.skill, label, threshold=float(np.quantile(found.null, 1 - ALPHA)))


def _pairs(canvas: Canvas, wrong: Contradiction) -> None:
    ax = draw.axes(canvas, "label in train", f"label in the {wrong.source}")
    low, high = float(min(wrong.known.min(), wrong.given.min())), float(max(wrong.known.max(), wrong.given.max()))
    ax.plot([low, high], [low, high], color=draw.NULL, linewidth=1, linestyle="--", label="agreement")
    blur = np.random.default_rng(0).normal(0, 0.01 * (high - low), (2, len(wrong.known)))
    bad = wrong.known != wrong.given
    for chosen, colour, label in ((~bad, draw.SEEN, "same"), (bad, draw.BAD, "another")):
        ax.scatter(wrong.known[chosen] + blur[0][chosen], wrong.given[chosen] + blur[1][chosen], s=6, color=colour, label=label)
    draw.legend(ax)
