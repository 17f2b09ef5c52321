from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from scipy import stats

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.rows import MOST_COLUMNS, Floats, groups, nearest, row_keys, standardised
from mldbg.verify.statistics import clopper_pearson

FEWEST_ROWS = 20
"""Minimum test rows for estimating a share."""

MOST_QUERIES = 1000
"""Rows of test (and of train, for the null) whose neighbours are looked up."""

MOST_TRAIN = 20_000
"""Rows among which they are looked up."""

TOLERATED = 0.01
"""Share of test rows that may be in train: a blank image, a record entered twice."""

FEWEST_HITS = 5
"""Fewer rows in common are a warning, however small test is."""

CLOSE = 0.1
"""A near-duplicate is nearer than this, in median distances of a train row to its nearest neighbour in train."""

TOLERATED_CLOSE = 0.05
"""Share of test rows that may have a near-duplicate beyond the share that train rows have."""

CHANCE = 1e-4
"""Probability, under the null, at which shares of duplicates are held to differ."""


class TrainTestOverlap(Check):
    """no row of test, and none of its groups, is in train

    ## Why
    A row that is also in train is remembered, not predicted. Copies come from oversampling or augmenting before the split,
    from joins, from splitting the pictures of a patient at random.

    ## Measures
    Exactly: the groups of train and test have nothing in common, where groups are given; how many test rows are in train, bit by
    bit in float32. Rows of few possible values agree by chance: so the share must exceed what train rows find among the other
    train rows (Fisher's exact test, p < 0.0001), unless values are continuous, where there is no chance; where more than 5 % of
    train rows agree with others by chance, it warns only, as a drift has the same effect. It fails where more than 1 % of test
    rows, by the lower bound of Clopper and Pearson, is in train; below it warns. Near- duplicates: the distance to the nearest
    train row, from test rows and, as the null, from train rows to others.

    ## Causes
    - `group-overlap`: a group is on both sides.
    - `train-test-overlap`: test rows are in train.
    - `resample-before-split`: train rows have copies too: rows were duplicated before the split.
    - `near-duplicates`: test rows have a far nearer neighbour in train than train rows have.

    ## Limits
    Near-duplicates are only seen where train rows have none: noisy copies made before the split look the same on both sides.
    Distances are Euclidean on standardised columns: shifted or turned images are not near.
    """

    id = "A8"
    stage = Stage.APPARATUS
    kind = Kind.EXACT
    needs = ("train", "test")
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        train, test = bench.arrays("train")[0], bench.arrays("test")[0]
        shared, known = _shared_groups(bench)
        if shared:
            return self.failed(
                "group-overlap",
                f"{len(shared)} of the {known} groups of test are in train as well, such as {shared[0]!r}",
                "split by group (GroupShuffleSplit, GroupKFold)",
                Figure("Groups on each side", lambda canvas: _groups(canvas, len(shared), known), "Red: on both sides."),
                statistic=len(shared) / known,
                null="0: no group is on both sides",
                threshold=0.0,
            )
        if train.shape[1] != test.shape[1]:
            return self.skipped("train and test have different columns", "provide both in the form the model receives")
        same = _same_rows(train, test)
        bench.tick()
        near = _distances(train, test, bench.rng("train-test-overlap"))
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Distance to the nearest row of train",
                lambda canvas: _drawn(canvas, near),
                "The null is the distance between train rows. Test rows should not be nearer.",
            )
            if near is not None
            else Figure(
                "Rows with an identical one",
                lambda canvas: _equal(canvas, same),
                "Rows of test identical to a row of train, and rows of train identical to another one.",
            ),
            "statistic": same.share,
            "null": "0: no row of test is in train",
            "threshold": TOLERATED,
            "rows_in_train": same.hits,
            "rows": same.trials,
            "share_within_train": same.within,
        }
        if same.hits and same.beyond_chance:
            doubled = same.within > TOLERATED
            many = same.hits >= FEWEST_HITS and same.low > TOLERATED
            verdict = self.failed if many and (same.continuous or same.within < TOLERATED_CLOSE) else self.warned
            return verdict(
                "resample-before-split" if doubled else "train-test-overlap",
                f"{same.hits} of {same.trials} rows of test are in train"
                + (f", and {same.within:.0%} of the rows of train have a copy there too" if doubled else ""),
                "drop duplicates before the split, and resample only the training set after it",
                **numbers,
            )
        if near is not None and near.low > TOLERATED_CLOSE:
            return self.failed(
                "near-duplicates",
                f"{near.hits} of {len(near.test)} rows of test have a row of train within a tenth of the usual "
                f"distance (of train rows, {near.within:.1%} do)",
                "inspect such pairs; split by what they have in common",
                **numbers,
            )
        note = f"; {same.hits} identical rows are no more than chance produces with few possible values" if same.hits else ""
        return self.passed(
            f"none of {same.trials} rows of test is in train{note}" if not note else f"no overlap{note}", **numbers
        )


def _equal(canvas: Canvas, same: Same) -> None:
    draw.bars(canvas, ["test in train", "train, within"], [same.share, same.within], "share of rows")


@dataclass(frozen=True, slots=True)
class Same:
    """Rows of test that are in train, and how many rows of train are there twice."""

    hits: int
    trials: int
    within_hits: int
    within_trials: int
    continuous: bool

    @property
    def share(self) -> float:
        return self.hits / self.trials

    @property
    def within(self) -> float:
        return self.within_hits / self.within_trials

    @property
    def low(self) -> float:
        return clopper_pearson(self.hits, self.trials)[0]

    @property
    def beyond_chance(self) -> bool:
        """Continuous values do not agree by chance; others must agree more often than within train."""
        if self.continuous:
            return True
        table = [[self.hits, self.trials - self.hits], [self.within_hits, self.within_trials - self.within_hits]]
        return float(stats.fisher_exact(table, alternative="greater")[1]) < CHANCE


@dataclass(frozen=True, slots=True)
class Near:
    """Distances to the nearest train row in median distances within train."""

    test: Floats
    train: Floats

    @property
    def hits(self) -> int:
        return int((self.test < CLOSE).sum())

    @property
    def within(self) -> float:
        return float((self.train < CLOSE).mean())

    @property
    def low(self) -> float:
        """Lower bound of the share of near-duplicates in test, less the upper bound of what train has."""
        within = clopper_pearson(int((self.train < CLOSE).sum()), len(self.train), 1 - CHANCE)[1]
        return clopper_pearson(self.hits, len(self.test), 1 - CHANCE)[0] - within


def _shared_groups(bench: Bench) -> tuple[list[Any], int]:
    """Groups on both sides, and how many test has."""
    given = groups(bench)
    if given is None:
        return [], 0
    train, test = (set(each.tolist()) for each in given)
    return sorted(train & test, key=str), len(test)


def _same_rows(train: Floats, test: Floats) -> Same:
    kept = row_keys(train[np.isfinite(train).all(axis=1)])
    known = Counter(kept)
    asked = row_keys(test[np.isfinite(test).all(axis=1)])
    hits = sum(key in known for key in asked)
    doubled = sum(count for count in known.values() if count > 1)
    return Same(hits, max(len(asked), 1), doubled, max(len(kept), 1), _is_continuous(train))


def _is_continuous(train: Floats) -> bool:
    """Whether some column has different values in most of its rows, so that whole rows do not agree by chance."""
    sample = train[:1000]
    return any(len(np.unique(column)) > len(sample) / 2 for column in sample.T)


def _distances(train: Floats, test: Floats, rng: np.random.Generator) -> Near | None:
    """None where there is too little to compare, or where train rows have no distance from one another."""
    train, test = train[np.isfinite(train).all(axis=1)], test[np.isfinite(test).all(axis=1)]
    if len(test) < FEWEST_ROWS or len(train) < FEWEST_ROWS:
        return None
    if len(train) > MOST_TRAIN:
        train = train[rng.choice(len(train), MOST_TRAIN, replace=False)]
    if train.shape[1] > MOST_COLUMNS:
        mixed = rng.normal(size=(train.shape[1], MOST_COLUMNS // 4)) / np.sqrt(MOST_COLUMNS // 4)
        train, test = train @ mixed, test @ mixed
    rows, asked = standardised(train), standardised(test, train)
    asked = asked[rng.choice(len(asked), min(len(asked), MOST_QUERIES), replace=False)]
    probes = rng.choice(len(rows), min(len(rows), MOST_QUERIES), replace=False)
    within = nearest(rows[probes], rows, 1, itself=probes)[0][:, 0]
    across = nearest(asked, rows, 1)[0][:, 0]
    usual = float(np.median(within))
    return Near(across / usual, within / usual) if usual > 0 else None


def _drawn(canvas: Canvas, near: Near) -> None:
    ax = draw.axes(
        canvas, "distance to the nearest row of train [median within train]", "share of rows nearer than this", log_x=True
    )
    for values, colour, label in ((near.train, draw.NULL, "train rows (null)"), (near.test, draw.SEEN, "test rows")):
        steps = np.sort(np.maximum(values, 1e-6))
        ax.step(steps, np.arange(1, len(steps) + 1) / len(steps), where="post", color=colour, label=label)
    draw.line(ax, CLOSE, "near-duplicate", color=draw.BAD, upright=True)
    draw.legend(ax)


def _groups(canvas: Canvas, shared: int, known: int) -> None:
    draw.bars(
        canvas, ["only in test", "in train as well"], [known - shared, shared], "groups of test [number]", bad=[False, True]
    )
