"""What an index leaves of the axis along which a law holds, where only some of the index and of the axes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mldbg.lint.interpret import along
from mldbg.lint.interpret.value import Axes, Constant, Items, Opaque, Value
from mldbg.operations.shape import Argument, Tensor, of
from mldbg.operations.sizes import ANY

MASK = "a boolean mask"
"""The class that comparisons of arrays have."""

SLICE = "builtins.slice"


class _Kind(Enum):
    """What one item of an index does."""

    WHOLE = auto()
    """`:`"""
    CUT = auto()
    """`2:`"""
    ENTRY = auto()
    """`3`: the axis goes."""
    NEW = auto()
    """`None`: an axis comes."""
    REST = auto()
    """`...`"""
    MASK = auto()
    """A boolean mask over any number of axes, of which one is left."""
    OTHER = auto()
    """Not known: a number, a list of numbers, or a mask that somebody passes in."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What an index does to an axis: whether it may take only some of its entries, and its new place where that is known."""

    touched: bool
    along: int | None = None


def indexed(axes: Axes, indices: Sequence[Value]) -> Indexed:
    """What `tensor[indices]` does to the axis of the law.

    Of one that is counted from the other end, or is not known, an index that picks along the first axis only is taken to pick
    samples.
    """
    kinds = [_kind(index) for index in indices]
    if _Kind.MASK in kinds:
        return _masked(axes, kinds, indices)
    if kinds.count(_Kind.REST) > 1:
        return Indexed(touched=True)
    if axes.along is None:
        middle = kinds.index(_Kind.REST) if _Kind.REST in kinds else len(kinds)
        return Indexed(touched=any(map(_picks, [*_consuming(kinds[:middle])[1:], *kinds[middle + 1 :]])))
    if along.picked(axes, _items(_consuming(kinds), 0)) is None:
        return Indexed(touched=True)
    places = {along.picked(axes, _items(kinds, other)) for other in (0, _NUMBERS)}
    return Indexed(touched=False, along=places.pop() if len(places) == 1 else None)


_NUMBERS = Tensor(of(ANY), "int64")
"""A list of numbers of entries."""


def _items(kinds: Sequence[_Kind], other: int | Tensor) -> list[Argument]:
    """The items as a transfer function takes them, with `other` for those that are not known. What does nothing is left out."""
    given: dict[_Kind, Argument] = {
        _Kind.WHOLE: slice(None),
        _Kind.CUT: slice(ANY, ANY),
        _Kind.ENTRY: 0,
        _Kind.NEW: None,
        _Kind.REST: ...,
        _Kind.OTHER: other,
    }
    kinds = list(kinds)
    while kinds and kinds[-1] is _Kind.WHOLE and _Kind.REST not in kinds:
        kinds.pop()
    return [given[kind] for kind in kinds]


def change_of_rank(indices: Sequence[Value]) -> int | None:
    """How many axes come or go by `tensor[indices]`; None where that is not known."""
    kinds = [_kind(index) for index in indices]
    if _Kind.OTHER in kinds or _Kind.MASK in kinds:
        return None
    return kinds.count(_Kind.NEW) - kinds.count(_Kind.ENTRY)


def _masked(axes: Axes, kinds: Sequence[_Kind], indices: Sequence[Value]) -> Indexed:
    """A mask of one axis picks samples; one of more, or of nobody knows how many, picks single numbers."""
    rows = len(kinds) == 1 and indices[0].axes.rank == 1
    return Indexed(touched=not rows and (axes.rank is None or indices[0].axes.rank != 1), along=axes.along if rows else None)


def _consuming(kinds: Sequence[_Kind]) -> list[_Kind]:
    return [kind for kind in kinds if kind is not _Kind.NEW]


def _picks(kind: _Kind) -> bool:
    return kind in (_Kind.CUT, _Kind.ENTRY, _Kind.OTHER)


def _kind(index: Value) -> _Kind:
    thing = index.thing
    if isinstance(thing, Items) and thing.cls == SLICE:
        return _Kind.WHOLE if all(bound.is_none for bound in thing.tail) else _Kind.CUT
    if isinstance(thing, Opaque) and thing.cls == MASK:
        return _Kind.MASK
    if isinstance(thing, Constant):
        if thing.value is None:
            return _Kind.NEW
        if thing.value is Ellipsis:
            return _Kind.REST
        if isinstance(thing.value, int) and not isinstance(thing.value, bool):
            return _Kind.ENTRY
    return _Kind.OTHER
