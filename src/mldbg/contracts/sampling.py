"""Which rows `sampled` mode looks at: few, evenly spaced, others each time, and each row of a tensor at some time.

A row lies along the law's axis, or along the last one for a law about single values; a law of the user's own says how many axes
it needs whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor

ROWS = 32
"""Rows that are looked at."""

_TURNS = tuple(prime**0.5 % 1 for prime in (2, 3, 5, 7, 11, 13, 17, 19))
"""For each axis, the part of its range by which the rows move from one check to the next. Roots of primes have no common measure,
so no choice of rows is left out: neither where a site sees every second check only, nor where two axes are sampled (Weyl)."""


def counts(shape: Sequence[int], whole: Collection[int]) -> list[int] | None:
    """How many places are looked at along each axis of a shape; None where that is all of them.

    whole: the axes that rows lie along.
    """
    left, few, found = ROWS, False, list(shape)
    for other, size in enumerate(shape):
        if other in whole:
            continue
        if size > left:
            found[other], left, few = left, 1, True
        else:
            left //= size
    return found if few else None


def rows(tensor: Tensor, wanted: Sequence[int], number: int) -> Tensor:
    """The rows that check `number` looks at, as a view of the shape `wanted`."""
    index = []
    for other, (size, count) in enumerate(zip(tensor.shape, wanted, strict=True)):
        if size == count:
            index.append(slice(None))
            continue
        stride = size // count
        starts = size - stride * (count - 1)
        start = int(number * _TURNS[other % len(_TURNS)] % 1 * starts)
        index.append(slice(start, start + stride * (count - 1) + 1, stride))
    return tensor[tuple(index)]
