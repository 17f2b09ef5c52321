"""Facts about rows of data: what learns from them, what is scored on them, and what their scores decide."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.place import Place
    from mldbg.lint.interpret.value import Fit, Role, Value


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Held-out data is used: scored, predicted, run through a model, cross-validated, or handed on."""

    place: Place
    how: str
    value: Value
    role: Role
    estimator_fits: frozenset[Fit]
    estimator: Value
    scored: bool
    """There are labels for these rows: they come out of a split of rows that had some, or are given to a score."""


class Keeps(Enum):
    """What a score decides."""

    WEIGHTS = "which weights are kept"
    STOP = "when training stops"
    RATE = "how the learning rate falls"
    SETTING = "which setting is kept"
    SCORE = "which score is kept"
    NOTHING = "nothing that is seen"


@dataclass(frozen=True, slots=True)
class Chosen:
    """A score decides something: what is kept of several attempts, or when to stop.

    Attributes:
        value: the score, or the rows that it will be computed on.
        keeps: what it decides.
        what: the same with the names of the program, as part of a sentence.
        trains: it is one of the scores that a training reaches, one after the other; else one of several models or settings.
        has_validation: some rows were split off for validation besides.
        read_later: names that hold what was chosen.
    """

    place: Place
    value: Value
    keeps: Keeps
    what: str
    trains: bool
    has_validation: bool = False
    read_later: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Scored:
    """A model is scored on rows, whichever part they are.

    Attributes:
        how: as part of a sentence.
        value: the rows.
    """

    place: Place
    how: str
    value: Value


@dataclass(frozen=True, slots=True)
class BehindPart:
    """What is behind a part of a data set is changed, `part.dataset.transform = value`, or replaced, `part.dataset = value`.

    Attributes:
        part: the part.
        name: how the program names it.
        attribute: what is given a new value; `dataset` where all of it is replaced.
        value: the new value.
    """

    place: Place
    part: Value
    name: str
    attribute: str
    value: Value


@dataclass(frozen=True, slots=True)
class Paired:
    """The rows of two arrays are taken for pairs, although each was shuffled by itself.

    Attributes:
        first, second: where each was shuffled.
        names: what the two are called there.
    """

    place: Place
    first: Site
    second: Site
    names: tuple[str, str]


@dataclass(frozen=True, slots=True)
class RandomPart:
    """A held-out part of the data is given out with changes at random.

    Attributes:
        value: the rows.
        transform: where what changes them is made.
        name: its class.
        runs: a model is run on them, outside of training; else the data set is made.
    """

    place: Place
    value: Value
    transform: Site
    name: str
    runs: bool = False


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """Rows are cross-validated: by a search, or by a function that does it.

    Attributes:
        how: as part of a sentence.
        value: the rows.
        searches: a search does it, to choose settings.
    """

    place: Place
    how: str
    value: Value
    searches: bool


@dataclass(frozen=True, slots=True)
class Fitted:
    """An estimator is fitted on a value."""

    place: Place
    estimator: Value
    estimator_name: str
    method: str
    value: Value
    before: tuple[Fit, ...]
    """What the same object was fitted on earlier."""
    transforms: bool
    """The estimator prepares data; it does not predict."""
    predicts: bool = True
    """It predicts, perhaps after it has prepared the data: a pipeline."""
    labels: Value | None = None
    """What it learns to predict, where it is given."""


@dataclass(frozen=True, slots=True)
class Learned:
    """A model that takes all columns of its features is fitted on features and labels, or cross-validated."""

    place: Place
    estimator: str
    features: Value
    labels: Value


@dataclass(frozen=True, slots=True)
class RowsSplit:
    """Rows are dealt out to parts, or to folds.

    Attributes:
        by: the function or class that does it.
        arrays: what is split, row by row.
        nodes: where the source names these.
        shuffles: whether the rows are shuffled first; None where that is not known.
        grouped: whether groups are kept together.
        group: a column that says which rows belong together, where several may, and where it is used.
    """

    place: Place
    by: str
    arrays: tuple[Value, ...]
    nodes: tuple[cst.BaseExpression | None, ...]
    shuffles: bool | None
    grouped: bool = False
    group: tuple[str, Site] | None = None
