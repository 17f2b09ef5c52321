"""From which rows something was made, what was learned from these before, and the steps by which it came to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum, StrEnum
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Ref, Site
    from mldbg.lint.interpret.table import Table

MOST_STEPS = 16


class Role(StrEnum):
    """Which part of the data a value holds."""

    TRAIN = "training"
    VALIDATION = "validation"
    TEST = "test"

    @property
    def held_out(self) -> bool:
        return self is not Role.TRAIN


class Known(Enum):
    """How it is known which part of the data a value holds, the surest first."""

    LIBRARY = 'a data set\'s own part: `train=False`, `split="test"`'
    FILE = "the name of the file that it was read from"
    SPLIT = "a split"
    NAMED_PART = "the name of one side of a split that does not say which side is which"
    NAME = "nothing but its name"


class FitKind(StrEnum):
    """What was learned from data."""

    TRANSFORM = "transform"
    SELECTION = "selection"
    RESAMPLING = "resampling"
    STATISTIC = "statistic"
    """Gaps were filled, or values cut off, with a statistic of the rows."""
    TARGET = "target"
    """Means of the target, for each category."""
    CENTRING = "centring"
    """The mean was subtracted: half of what a scaler does, and no leak to speak of by itself."""


moment: Callable[[], int] = count().__next__
"""A number that grows from call to call, so that it can be said what was first."""


class Means(Enum):
    """By what means something was learned from data."""

    ESTIMATOR = "an object with a fit method"
    FUNCTION = "a function that scales what it is given"
    ARITHMETIC = "arithmetic with statistics"


@dataclass(frozen=True, slots=True)
class Fit:
    """An estimator was fitted: where, on which rows, and on which part of the data (None: all of it, or not known).

    `split`: the split that this part came out of; None where only its name says which part it is. `column`: that of the table of
    which statistics were learned, where it is known to be one.
    """

    kind: FitKind
    estimator: str
    site: Site
    rows: frozenset[Ref]
    role: Role | None
    by: Ref | None
    trail: Trail | None = field(default=None, compare=False)
    means: Means = Means.ESTIMATOR
    split: Site | None = None
    column: str | None = None
    born: int = field(default_factory=moment, compare=False)


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Rows were put into a random order: two that were drawn alike are equal."""

    drawn: tuple[object, ...]
    site: Site = field(compare=False)


@dataclass(frozen=True, slots=True)
class Data:
    """Which rows a value holds, which part of them it is and by which split, and the fits whose result flowed into it.

    `picks`: the value is an index array that picks this part out of the rows. `condensed`: it holds none of the rows, but a
    statistic of them (a mean, a vocabulary). `columns`: those of the fits that are known to be in named columns only.
    `one_row`: it is one row (or batch, or file) among many, as iterating gives it, so that a statistic of it is one of no other.
    `whole`: the part that the split divided, if it was one: training and validation rows together are training rows again.
    `known`: how the part is known. `scores`: the rows of which a model's predictions went into it. `order`: the shuffling that
    these rows have been through since they were together with others. `column`: the only one it is.
    `itself`: what was called a part of the data, where nothing but its name says so.
    `table`: the columns that it is, and the order of the rows.
    """

    rows: frozenset[Ref] = frozenset()
    role: Role | None = None
    split: Site | None = None
    fits: frozenset[Fit] = frozenset()
    picks: Role | None = None
    condensed: bool = False
    columns: frozenset[tuple[str, Fit]] = frozenset()
    one_row: bool = False
    whole: tuple[Role, Site | None] | None = None
    table: Table | None = None
    known: Known | None = None
    order: tuple[Shuffle, ...] = ()
    column: str | None = None
    itself: Ref | None = None
    scores: frozenset[Data] = frozenset()

    def as_part(self) -> Data:
        """Which rows these are, and nothing else."""
        return Data(rows=self.rows, role=self.role, split=self.split, whole=self.whole, known=self.known, itself=self.itself)

    def with_column_set(self, names: frozenset[str], fits: frozenset[Fit]) -> Data:
        """The lineage of a table after columns were given new content."""
        kept = self.without_columns(names)
        new = frozenset((name, fit) for name in names for fit in fits - kept.fits_everywhere)
        return replace(kept, fits=kept.fits | fits, columns=kept.columns | new)

    def of_columns(self, names: frozenset[str]) -> Data:
        """The lineage of some columns of a table."""
        return self._with_columns(frozenset((name, fit) for name, fit in self.columns if name in names))

    def without_columns(self, names: frozenset[str]) -> Data:
        """The lineage of a table without some of its columns."""
        return self._with_columns(frozenset((name, fit) for name, fit in self.columns if name not in names))

    def _with_columns(self, columns: frozenset[tuple[str, Fit]]) -> Data:
        gone = {fit for _, fit in self.columns} - {fit for _, fit in columns}
        return replace(self, fits=self.fits - gone, columns=columns)

    def without_names(self) -> Data:
        """The lineage of something of which the columns are no longer known by name."""
        return replace(self, columns=frozenset()) if self.columns else self

    def gathered(self, since: int) -> Data:
        """The lineage of what was one among many, and is now put together with the others.

        What was learned in passing, by arithmetic or a function, was learned from the one alone. `since`: the moment at
        which going through the many began.
        """
        alone = {fit for fit in self.fits if fit.means is not Means.ESTIMATOR and fit.born > since}
        if not alone and not self.one_row:
            return self
        kept = frozenset((name, fit) for name, fit in self.columns if fit not in alone)
        return replace(self, fits=self.fits - alone, columns=kept, one_row=False)

    @property
    def fits_everywhere(self) -> frozenset[Fit]:
        """The fits that may be in any column."""
        return self.fits - {fit for _, fit in self.columns}


@dataclass(frozen=True, slots=True)
class Trail:
    """Steps, last first."""

    site: Site
    text: str
    before: Trail | None
    length: int

    def steps(self) -> list[tuple[Site, str]]:
        """From cause to effect."""
        found: list[tuple[Site, str]] = []
        here: Trail | None = self
        while here is not None:
            if not found or found[-1] != (here.site, here.text):
                found.append((here.site, here.text))
            here = here.before
        return found[::-1]


def onward(trail: Trail | None, site: Site, text: str) -> Trail:
    """The trail with one more step."""
    if trail is not None and (trail.length >= MOST_STEPS or (trail.site == site and trail.text == text)):
        return trail
    return Trail(site, text, trail, 1 + (trail.length if trail else 0))


def first_step(site: Site, text: str) -> Trail:
    """A trail that begins here."""
    return Trail(site, text, None, 1)
