"""Where the axis of a tag goes: the call is handed to the transfer function of the operation, with that axis marked."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import torch

from mldbg.contracts.sanitize.effect import Arguments, Keywords
from mldbg.operations import axis as operations
from mldbg.operations.shape import UNKNOWN, Argument, Shape, Tensor
from mldbg.operations.transfers.tensors import ROWS

MOST_CALLS = 4096
"""Calls that are remembered: a training step makes the same ones again and again."""

regrouped = lru_cache(MOST_CALLS)(operations.regrouped)
"""The place of an axis after view, reshape, flatten, ..., from the shapes before and after."""


def place(name: str, axis: int, source: torch.Size | tuple[torch.Size, ...], args: Arguments, kwargs: Keywords) -> int | None:
    """The place of an axis in the result of a torch function; None where it is lost.

    name: of the row. source: the shape of the first argument before the call, or of the tensors in it.
    """
    described = _index if name.endswith("__getitem__") else _described
    rest = tuple(map(described, args[1:]))
    named = tuple((key, _described(value)) for key, value in kwargs.items() if key not in _SOURCES)
    return _place(name, axis, source, rest, named)


class Letters(NamedTuple):
    """The axes of an einsum, by their letters.

    operands: of each operand. result: of what comes out. summed: those that do not come out.
    """

    operands: tuple[str, ...]
    result: str
    summed: frozenset[str]


@lru_cache(MOST_CALLS)
def letters_of(equation: str, ranks: tuple[int, ...]) -> Letters | None:
    """The axes of an einsum; None where a letter is repeated in one operand. Axes under an ellipsis get digits as letters.

    ranks: of the operands.
    """
    left, arrow, result = equation.replace(" ", "").partition("->")
    operands = left.split(",")
    hidden = [rank - len(operand.replace("...", "")) for operand, rank in zip(operands, ranks, strict=True)]
    dots = "".join(map(chr, range(ord("0"), ord("0") + max((0, *hidden)))))  # aligned at their end, as in broadcasting
    named = tuple(each.replace("...", dots[len(dots) - number :]) for each, number in zip(operands, hidden, strict=True))
    if any(len(set(each)) != len(each) for each in named):
        return None
    every = "".join(operands)
    usual = "..." + "".join(sorted(letter for letter in {*every} - {"."} if every.count(letter) == 1))
    out = (result if arrow else usual).replace("...", dots)
    return Letters(named, out, frozenset("".join(named)) - frozenset(out))


_SOURCES = ("input", "self", "tensors")
"""Names of the first parameter."""


@lru_cache(MOST_CALLS)
def _place(
    name: str,
    axis: int,
    source: torch.Size | tuple[torch.Size, ...],
    rest: tuple[Argument, ...],
    named: tuple[tuple[str, Argument], ...],
) -> int | None:
    first = _marked(source, axis) if isinstance(source, torch.Size) else tuple(_marked(each, axis) for each in source)
    keywords = {key: _with_slices(value) for key, value in named}
    return operations.place_after(ROWS[name], [first, *map(_with_slices, rest)], keywords)


def _marked(sizes: torch.Size, axis: int) -> Tensor:
    return Tensor(operations.marked(Shape(tuple(sizes)), axis))


def _described(value: Any) -> Argument:
    """An argument as a transfer function takes it."""
    if value is None or isinstance(value, bool | float | str):
        return value
    if isinstance(value, torch.Tensor):
        return Tensor(Shape(tuple(value.shape)), str(value.dtype).removeprefix("torch."))
    if isinstance(value, tuple | list):
        return tuple(map(_described, value))
    return int(value) if hasattr(value, "__index__") else UNKNOWN


class _Slice(NamedTuple):
    """A slice, which has no hash before Python 3.12."""

    start: Argument
    stop: Argument
    step: Argument


def _with_slices(value: Argument) -> Argument:
    if isinstance(value, _Slice):
        return slice(*value)
    return tuple(map(_with_slices, value)) if isinstance(value, tuple) else value


def _index(value: Any) -> Argument:
    """What stands in the brackets. Sequences and truth values are tensors there, and bytes are truth values."""
    if isinstance(value, tuple):
        return tuple(map(_index, value))
    if value is None or value is Ellipsis or type(value) is int:
        return value
    if isinstance(value, slice):
        return _Slice(_described(value.start), _described(value.stop), _described(value.step))
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        return UNKNOWN
    return Tensor(Shape(tuple(tensor.shape)), "bool" if tensor.dtype in (torch.bool, torch.uint8) else "int64")
