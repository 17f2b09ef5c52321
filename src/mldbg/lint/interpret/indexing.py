"""What an index leaves of the axis along which a law holds, where only some of the index and of the axes are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from mldbg.lint.interpret.value import Axes, Constant, Items, Opaque, Value

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
    middle = kinds.index(_Kind.REST) if _Kind.REST in kinds else len(kinds)
    front, back = kinds[:middle], kinds[middle + 1 :]
    along = axes.along
    if along is not None and axes.rank:
        along = along % axes.rank if not back else along % axes.rank - axes.rank
    if along is None:
        return Indexed(touched=any(_picks(kind) for kind in [*_consuming(front)[1:], *back]))
    if along >= 0:
        return _from_front(along, front, back)
    return _from_back(along, front, back, open_middle=_Kind.REST in kinds)


def change_of_rank(indices: Sequence[Value]) -> int | None:
    """How many axes come or go by `tensor[indices]`; None where that is not known."""
    kinds = [_kind(index) for index in indices]
    if _Kind.OTHER in kinds or _Kind.MASK in kinds:
        return None
    return kinds.count(_Kind.NEW) - kinds.count(_Kind.ENTRY)


def _from_front(along: int, front: Sequence[_Kind], back: Sequence[_Kind]) -> Indexed:
    """The axis is counted from the first one on: what stands behind an ellipsis may mean it."""
    consuming = _consuming(front)
    touched = along < len(consuming) and _picks(consuming[along])
    if touched or (along >= len(consuming) and any(map(_picks, back))):
        return Indexed(touched=True)
    before, seen = 0, 0
    for kind in front:
        if seen > along or (seen == along and kind is not _Kind.NEW):
            break
        seen += kind is not _Kind.NEW
        if kind is _Kind.OTHER:
            return Indexed(touched=False)
        before += {_Kind.ENTRY: -1, _Kind.NEW: 1}.get(kind, 0)
    return Indexed(touched=False, along=along + before)


def _from_back(along: int, front: Sequence[_Kind], back: Sequence[_Kind], *, open_middle: bool) -> Indexed:
    """The axis is counted from the last one on: only what stands behind an ellipsis surely means it or what follows it."""
    if open_middle:
        consuming = _consuming(back)
        if -along <= len(consuming):
            if _picks(consuming[along]):
                return Indexed(touched=True)
            behind, seen = 0, 0
            for kind in reversed(back):
                if seen == -along:
                    break
                seen += kind is not _Kind.NEW
                if kind is _Kind.OTHER:
                    return Indexed(touched=False)
                behind += {_Kind.ENTRY: -1, _Kind.NEW: 1}.get(kind, 0)
            return Indexed(touched=False, along=along - behind)
        shift = sum({_Kind.ENTRY: -1, _Kind.NEW: 1}.get(kind, 0) for kind in back)
        known = _Kind.OTHER not in back
        return Indexed(touched=any(map(_picks, _consuming(front)[1:])), along=along - shift if known else None)
    return Indexed(touched=any(map(_picks, _consuming(front)[1:])), along=along)


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
