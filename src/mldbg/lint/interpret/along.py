"""Where the axis of a law goes: asked of the transfer functions, for a tensor of which often nothing but that axis is known.

What is taken for granted beside it: there are more axes than that of the law, and one of samples is in front of it where it is
counted from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mldbg.lint.interpret.value import Axes
from mldbg.operations.axis import marked, place_after
from mldbg.operations.effect import Move
from mldbg.operations.shape import Argument, Mismatch, Rest, Shape, Tensor, Unsure
from mldbg.operations.sizes import ANY, Dim
from mldbg.operations.transfers.tables import ROWS

_MOVES = {
    Move.TRANSPOSE: "torch.Tensor.transpose",
    Move.PERMUTE: "torch.Tensor.permute",
    Move.MOVE: "torch.Tensor.movedim",
    Move.REVERSE: "torch.Tensor.T",
    Move.SWAP_LAST: "torch.Tensor.mT",
    Move.SQUEEZE: "torch.Tensor.squeeze",
    Move.UNSQUEEZE: "torch.Tensor.unsqueeze",
}
"""The transfer function that stands for each kind of move. A reshape is told by sizes, which nobody knows here."""


def moved(how: Move, axes: Axes, arguments: Sequence[Argument]) -> int | None:
    """The place of the axis of the law after a move; None where it is lost, or that is not known."""
    dims = _integers(arguments)
    match how:
        case Move.UNSQUEEZE:
            return after(_MOVES[how], _tensor(axes, [dim - 1 if dim > 0 else dim + 1 for dim in dims]), arguments)
        case Move.SQUEEZE:
            return after(_MOVES[how], _tensor(axes, dims, others=True, size=1), arguments)
        case Move.SWAP_LAST:
            return after(_MOVES[how], _tensor(axes, (-1, -2)), arguments)
        case _:
            return after(_MOVES[how], _tensor(axes, dims), arguments) if how in _MOVES else None


def without(axes: Axes, dims: Sequence[int]) -> int | None:
    """The place of the axis of the law after other axes have gone."""
    return after("torch.Tensor.sum", _tensor(axes, dims, others=True), [tuple(dims)])


def flattened(axes: Axes, start: int, end: int) -> int | None:
    """The place of the axis of the law after those from `start` to `end` have become one."""
    return after("torch.Tensor.flatten", _tensor(axes, (start, end)), [start, end])


def arranged(axes: Axes, pattern: str) -> int | None:
    """The place of the axis of the law behind the arrow of a pattern of einops, which says how many axes there are."""
    return after("einops.reduce", _tensor(replace(axes, rank=None)), [pattern, "mean"])


def picked(axes: Axes, items: Sequence[Argument]) -> int | None:
    """The place of the axis of the law in `tensor[items]`; None also where some of its entries may be left out."""
    return after("torch.Tensor.__getitem__", _tensor(axes), [tuple(items)])


def after(name: str, tensor: Tensor | None, arguments: Sequence[Argument]) -> int | None:
    """The place of the marked axis of a tensor in what a function gives that gets it first."""
    return place_after(ROWS[name], [tensor, *arguments], {}) if tensor is not None else None


def _tensor(axes: Axes, named: Sequence[int] = (), *, others: bool = False, size: Dim = ANY) -> Tensor | None:
    """A tensor with a mark on the axis of the law; None where that is not known.

    Args:
        axes: what is known of its axes.
        named: axes that the call names, so that they are there.
        others: whether none of these is the axis of the law. Then one that is counted from the other end is on that side of it if
            the law's is the outermost one of its own end, and is taken to be if it is itself the outermost one.
        size: that of the named axes.
    """
    along = axes.along
    if along is None:
        return None
    front = max((dim + 1 for dim in named if dim >= 0), default=0)
    back = max((-dim for dim in named if dim < 0), default=0)
    if axes.rank is not None:
        shape = Shape((ANY,) * axes.rank)
    elif along >= 0:
        behind = back if others and along == 0 else int(others and back > 0)
        shape = Shape((ANY,) * max(front, along + 1), Rest(), (ANY,) * max(behind, along == 0))
    else:
        before = front if others and along == -1 else 1
        shape = Shape((ANY,) * max(before, 1), Rest(), (ANY,) * max(back, -along))
    try:
        for dim in named if size is not ANY else ():
            shape = shape.with_axis(dim, size)
        return Tensor(marked(shape, along))
    except (Mismatch, Unsure):
        return None


def _integers(arguments: Sequence[Argument]) -> list[int]:
    """The axes that a call names, one by one or in sequences."""
    found: list[int] = []
    for each in arguments:
        if isinstance(each, tuple):
            found += _integers(each)
        elif isinstance(each, int) and not isinstance(each, bool):
            found.append(each)
    return found
