"""The kinds of effect that an operation can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mldbg.semantics import Semantic


@dataclass(frozen=True, slots=True)
class Gives:
    """The result is a tensor made from the first argument, with this meaning. `verb` names the step in a path."""

    meaning: Semantic | None
    verb: str
    params: tuple[str, ...] = ("input", "dim")
    keeps_axes: bool = True
    keeps_meanings: frozenset[Semantic] = frozenset()
    """Meanings of the input that survive."""


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear layer: any real number can come out; the last axis gets the layer's `out` constructor argument as its size."""

    verb: str
    out: str | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Keeps:
    """The result is the argument itself, as far as meaning and lineage go."""

    of: int = 0
    keeps_axes: bool = True
    attached: bool | None = None
    """False: the result is cut off from the graph."""
    rank_from_shape: bool = False
    """The result's rank is the number of sizes given."""


@dataclass(frozen=True, slots=True)
class Maps:
    """The meaning of the first argument turns into another; unlisted meanings are lost."""

    meanings: Mapping[Semantic, Semantic]
    verb: str
    params: tuple[str, ...] = ("input",)

    def __hash__(self) -> int:
        return hash((self.verb, tuple(self.meanings.items())))


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss function: the result is a scalar loss."""

    params: tuple[str, ...] = ("input", "target")


@dataclass(frozen=True, slots=True)
class Derives:
    """The result is made from the data of all arguments; meanings are lost."""


@dataclass(frozen=True, slots=True)
class Returns:
    """The result is an instance of a class outside the project.

    Attributes:
        params: names of the leading parameters.
        holds: the parameter whose argument the instance keeps, as its constructor would.
    """

    cls: str
    params: tuple[str, ...] = ()
    holds: str = ""


@dataclass(frozen=True, slots=True)
class Wraps:
    """The result stands for the argument: DataParallel(model), torch.compile(model), tqdm(loader)."""

    of: int = 0
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class WrapsAll:
    """The result is the tuple of the arguments (one argument: itself): accelerator.prepare(...)."""


@dataclass(frozen=True, slots=True)
class Resamples:
    """Rows are drawn again, with the same row possibly twice."""

    replace_keyword: str | None = None
    """Only when this keyword is not False."""
    default: bool = True


@dataclass(frozen=True, slots=True)
class SplitsArrays:
    """train_test_split: for each array its training part and its test part."""


@dataclass(frozen=True, slots=True)
class RandomSplits:
    """random_split: parts of a dataset, in the order of the sizes."""


@dataclass(frozen=True, slots=True)
class CrossValidates:
    """Splits the data, fits and scores: cross_val_score(estimator, X, y)."""


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Known to change nothing that matters here; the result is not known."""


@dataclass(frozen=True, slots=True)
class Special:
    """Has an effect of its own in the interpreter, by this name."""

    name: str
    params: tuple[str, ...] = field(default=())


Effect = (
    Gives
    | Affine
    | Keeps
    | Maps
    | Loss
    | Derives
    | Returns
    | Wraps
    | WrapsAll
    | Resamples
    | SplitsArrays
    | RandomSplits
    | CrossValidates
    | NoEffect
    | Special
)
