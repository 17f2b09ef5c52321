"""Where an axis goes when the shape changes. Each function gives the new place of an axis, or None where it is lost."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from torch import Tensor

Shape = Sequence[int]


def reshaped(axis: int, old: Shape, new: Shape) -> int | None:
    """An axis survives view, reshape, flatten, ... if everything before it and everything after it was only regrouped.

    An axis of size 1 is lost unless the shape stays: it could be any of several.
    """
    if tuple(old) == tuple(new):
        return axis
    if old[axis] == 1:
        return None
    before, after = prod(old[:axis]), prod(old[axis + 1 :])
    for place, size in enumerate(new):
        if size == old[axis] and prod(new[:place]) == before and prod(new[place + 1 :]) == after:
            return place
    return None


def permuted(axis: int, rank: int, order: Sequence[int]) -> int | None:
    """`permute(order)`."""
    places = [dim % rank for dim in order]
    return places.index(axis) if axis in places else None


def swapped(axis: int, rank: int, first: int, second: int) -> int:
    """`transpose(first, second)`."""
    first, second = first % rank, second % rank
    return {first: second, second: first}.get(axis, axis)


def moved(axis: int, rank: int, source: Sequence[int], target: Sequence[int]) -> int:
    """`movedim(source, target)`."""
    order: list[int | None] = [None] * rank
    for start, end in zip(source, target, strict=True):
        order[end % rank] = start % rank
    taken = set(order)
    rest = iter(dim for dim in range(rank) if dim not in taken)
    return [next(rest) if dim is None else dim for dim in order].index(axis)


def squeezed(axis: int, old: Shape, dims: Sequence[int] | None) -> int | None:
    """`squeeze(dims)`; None stands for every axis of size 1."""
    rank = len(old)
    gone = {dim for dim in (range(rank) if dims is None else [d % rank for d in dims]) if old[dim] == 1}
    return None if axis in gone else axis - sum(dim < axis for dim in gone)


def unsqueezed(axis: int, rank: int, dim: int) -> int:
    """`unsqueeze(dim)`."""
    return axis + 1 if dim % (rank + 1) <= axis else axis


def without(axis: int, rank: int, dims: Sequence[int], *, keep: bool) -> int | None:
    """The axis after a reduction over dims; None where it was reduced itself."""
    gone = {dim % rank for dim in dims}
    if axis in gone:
        return None
    return axis if keep else axis - sum(dim < axis for dim in gone)


class Indexed(NamedTuple):
    """What `tensor[index]` does to an axis.

    axis: its new place; None where it is lost.
    whole: whether all its entries are still there, in their order.
    """

    axis: int | None
    whole: bool


def indexed(axis: int, old: Shape, rank: int, index: Any) -> Indexed:
    """`tensor[index]` for a tensor of shape old; rank: the number of axes of the result."""
    items = list(index) if isinstance(index, tuple) else [index]
    if not any(item is Ellipsis for item in items):
        items.append(Ellipsis)
    fill = len(old) - sum(map(_span, items))
    advanced = sum(_is_advanced(item) for item in items)
    place = new_place = 0
    for position, item in enumerate(items):
        width = fill if item is Ellipsis else _span(item)
        if place <= axis < place + width:
            if item is Ellipsis and position == len(items) - 1:
                return Indexed(rank - len(old) + axis, whole=True)  # what stands behind the index keeps its distance from the end
            whole = item is Ellipsis or (isinstance(item, slice) and item.indices(old[axis]) == (0, old[axis], 1))
            followed = whole and advanced <= 1 and not (advanced and any(isinstance(other, int) for other in items))
            return Indexed(new_place + axis - place if followed else None, whole)
        place += width
        new_place += _rank_of_result(item) if item is not Ellipsis else width
    return Indexed(None, whole=False)


def _is_advanced(item: Any) -> bool:
    return not (item is None or item is Ellipsis or isinstance(item, slice | int)) or isinstance(item, bool)


def _is_mask(item: Any) -> bool:
    return str(getattr(item, "dtype", "")) in {"torch.bool", "torch.uint8", "bool"}


def _span(item: Any) -> int:
    """How many axes of the tensor an item of an index consumes."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    return int(item.ndim) if _is_mask(item) else 1


def _rank_of_result(item: Any) -> int:
    """How many axes of the result come from an item of an index."""
    if isinstance(item, int) and not isinstance(item, bool):
        return 0
    if isinstance(item, Tensor) and not _is_mask(item):
        return item.dim()
    return 1
