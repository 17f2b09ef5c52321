"""Where an axis goes: asked of the transfer functions, which answer it along with the shape of the result.

One axis of the operand is marked, by a size that occurs nowhere else: of a tensor whose sizes are known by a number of a class of
its own, of any other by a name. The transfer function of the operation passes sizes on. Where the mark stands in the result, the
axis is; where it is gone, the axis was reduced, cut, repeated, or merged with others. So `sanitize`, which has real tensors, and
the linter, which often knows neither size nor rank, have one answer to one question.

A reshape is told by sizes, and one size may be that of several axes: there is a rule for it, which compares what stands before an
axis and behind it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mldbg.operations.shape import Argument, Each, Mismatch, Result, Shape, Tensor, Transfer, Unsure
from mldbg.operations.sizes import Dim, atom, product, same


class Marked(int):
    """The size of the marked axis. It counts as any other number, and what is computed from it is a plain one."""


NAME = atom("marked", "the marked axis", scope="the marked axis")
"""The size of the marked axis where it is not known."""


def marked(shape: Shape, axis: int) -> Shape:
    """The shape with a mark on one axis. Raises Mismatch where there is no such axis, Unsure where it is not a known one."""
    size = shape.at(axis)
    return shape.with_axis(axis, Marked(size) if isinstance(size, int) else NAME)


def is_mark(size: Dim) -> bool:
    return isinstance(size, Marked) or size == NAME


def place_of_mark(result: Result) -> int | None:
    """The marked axis of what a transfer function gives; None where it is lost. Of several results one holds it.

    It is counted from the last axis where the number of axes is not known, and it stands among the last.
    """
    if isinstance(result, tuple):
        return next((place for each in result if (place := place_of_mark(each)) is not None), None)
    if isinstance(result, Each):
        result = result.tensor
    shape = result.shape if isinstance(result, Tensor) else None
    if shape is None:
        return None
    place = next((place for place, size in enumerate((*shape.front, *shape.back)) if is_mark(size)), None)
    return place if place is None or place < len(shape.front) else place - shape.least_rank


def place_after(transfer: Transfer, arguments: Sequence[Argument], keywords: Mapping[str, Argument]) -> int | None:
    """The place of the marked axis of an argument in the result of a call; None where it is lost, or that is not known."""
    try:
        return place_of_mark(transfer.compute(transfer.bound(arguments, keywords)))
    except (Mismatch, Unsure):
        return None


def regrouped(axis: int, old: Sequence[Dim], new: Sequence[Dim]) -> int | None:
    """The place of an axis after a reshape: it is still there where all before it and all behind it was only regrouped.

    An axis of size 1 is lost unless the shape stays: it could be any of several.
    """
    if tuple(old) == tuple(new):
        return axis
    if old[axis] == 1:
        return None
    before, behind = product(old[:axis]), product(old[axis + 1 :])
    for place, size in enumerate(new):
        if same(size, old[axis]) and same(product(new[:place]), before) and same(product(new[place + 1 :]), behind):
            return place
    return None
