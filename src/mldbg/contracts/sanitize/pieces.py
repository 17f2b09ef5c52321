"""Tensors of several meanings: a detector's boxes and classes side by side, both sides of a similarity in one stack.

What is joined along an axis is known piece by piece, until something takes one of the pieces out again. What else happens to such
a tensor, its own tag says, if it has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from mldbg.contracts.sanitize import axes
from mldbg.contracts.sanitize.carrying import part, whole_or_part
from mldbg.contracts.sanitize.effect import LOG_PROBS, PROBS, UNIT, Arguments, Effect, Function, Keywords, first_of
from mldbg.contracts.sanitize.tags import Pieces, Tag
from mldbg.contracts.sanitize.watch import Watch

_MEANINGS = (PROBS, UNIT, LOG_PROBS)
"""What an activation made: pieces without any of it are not worth following."""


def keeps_pieces(effect: Effect) -> Effect:
    """Of casts, copies, detach: all stays where it is."""

    def kept(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        pieces = watch.pieces.of(first_of(args, kwargs)) if watch.pieces else None
        result = effect(watch, function, args, kwargs)
        if pieces is not None and isinstance(result, Tensor):
            watch.pieces.put(result, pieces)
        return result

    return kept


def moves_pieces(name: str, effect: Effect) -> Effect:
    """Of permute, view, expand and the like: the axes are elsewhere. name: of the row; empty for a reshape."""

    def moved(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        pieces = watch.pieces.of(source) if watch.pieces else None
        if pieces is None:
            return effect(watch, function, args, kwargs)
        shape = source.shape
        result = effect(watch, function, args, kwargs)

        def place(axis: int) -> int | None:
            now = axes.place(name, axis, shape, args, kwargs) if name else axes.regrouped(axis, shape, result.shape)
            return now if now is not None and result.shape[now] == shape[axis] else None

        watch.pieces.put(result, _moved(pieces, len(shape), place) if isinstance(result, Tensor) else None)
        return result

    return moved


def _moved(pieces: Pieces, rank: int, place: Any) -> Pieces | None:
    axis = place(pieces.axis)
    if axis is None:
        return None
    tags = [whole_or_part(tag, tag.moved(rank, place)) if tag is not None else None for tag in pieces.tags]
    return Pieces(axis, pieces.ends, tuple(tags))


def chooses_pieces(name: str, effect: Effect) -> Effect:
    """Of an index, split, narrow, select and the like: what they take of a tensor of numbers of the entries, they take here."""

    def chosen(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        pieces = watch.pieces.of(source) if watch.pieces else None
        result = effect(watch, function, args, kwargs)
        if pieces is None:
            return result
        numbers = _numbers_taken(source, pieces.axis, function, args, kwargs)

        def place(axis: int) -> int | None:
            now = axes.place(name, axis, source.shape, args, kwargs)
            return now if now is not None and each.shape[now] == source.shape[axis] else None

        many = isinstance(result, tuple | list)
        for each, taken in zip(result if many else (result,), numbers if many else (numbers,), strict=False):
            if isinstance(each, Tensor) and isinstance(taken, Tensor):
                with suppress(
                    RuntimeError, NotImplementedError
                ):  # numbers that cannot be read: under vmap, fake and meta tensors
                    _put(watch, each, _taken(pieces, taken, source.dim(), place))
        return result

    return chosen


def _numbers_taken(source: Tensor, axis: int, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """What a function takes of the numbers of the entries along an axis; empty where it cannot be asked."""
    size = source.shape[axis]
    numbers = torch.arange(size, device=source.device).view([-1 if each == axis else 1 for each in range(source.dim())])
    numbers = numbers.expand(source.shape)
    try:
        return function(numbers, *args[1:], **kwargs) if args else function(**{**kwargs, "input": numbers})
    except (RuntimeError, NotImplementedError, TypeError):
        return ()


def _put(watch: Watch, tensor: Tensor, found: Tag | Pieces | None) -> None:
    if isinstance(found, Tag):
        watch.tags.put(tensor, found)
    elif found is not None:
        watch.pieces.put(tensor, found)


def _taken(pieces: Pieces, taken: Tensor, rank: int, place: Any) -> Tag | Pieces | None:
    """What the entries with these numbers are: of one meaning, or pieces again."""
    if taken.numel() == 0:
        return None
    low, high = map(int, taken.aminmax())
    if pieces.piece(low) == pieces.piece(high):
        tag = pieces.tags[pieces.piece(low)]
        return _of_piece(pieces, tag, taken, rank, place) if tag is not None else None
    axis = _axis_that_counts(taken)
    if axis is None:
        return None
    order = taken.movedim(axis, 0).flatten(1)[:, 0].tolist() if taken.dim() > 1 else taken.tolist()
    runs: list[tuple[int, int]] = []  # piece, entries
    for number in order:
        piece = pieces.piece(number)
        runs[-1:] = [(piece, runs[-1][1] + 1)] if runs and runs[-1][0] == piece else [*runs[-1:], (piece, 1)]
    tags: list[Tag | None] = []
    ends: list[int] = []
    for piece, entries in runs:
        tag = pieces.tags[piece]
        if tag is not None and tag.axis == pieces.axis:
            tag = tag.along(axis) if entries == pieces.size(piece) and order == sorted(set(order)) else part(tag)
        elif tag is not None:
            tag = whole_or_part(tag, tag.moved(rank, place))
        tags.append(tag)
        ends.append((ends[-1] if ends else 0) + entries)
    return Pieces(axis, tuple(ends), tuple(tags))


def _of_piece(pieces: Pieces, tag: Tag, taken: Tensor, rank: int, place: Any) -> Tag | None:
    if tag.axis != pieces.axis:
        return whole_or_part(tag, tag.moved(rank, place))
    axis, piece = _axis_that_counts(taken), pieces.piece(int(taken.flatten()[0]))
    first = pieces.ends[piece] - pieces.size(piece)
    if axis is not None and taken.shape[axis] == pieces.size(piece):
        order = taken.movedim(axis, 0).flatten(1)[:, 0] if taken.dim() > 1 else taken
        if bool((order == torch.arange(first, pieces.ends[piece], device=order.device)).all()):
            return tag.along(axis)
    return part(tag)


def _axis_that_counts(taken: Tensor) -> int | None:
    """The only axis along which numbers differ."""
    differs = [axis for axis in range(taken.dim()) if taken.shape[axis] > 1 and bool((taken.diff(dim=axis) != 0).any())]
    return differs[0] if len(differs) == 1 else None


def joined(watch: Watch, tensors: Sequence[Any], axis: int, *, stacks: bool) -> Pieces | None:
    """The pieces of what is put one behind the other along an axis; None where none of them is worth it."""
    if not isinstance(tensors, list | tuple) or not all(isinstance(each, Tensor) and each.dim() for each in tensors):
        return None
    tags = [watch.tags.of(each) for each in tensors]
    tags = [tag if tag is not None and tag.meaning is not None and tag.cut is None else None for tag in tags]
    if not any(tag is not None and tag.meaning in _MEANINGS for tag in tags):
        return None
    rank = tensors[0].dim()
    axis %= rank + stacks
    ends, end = [], 0
    for each in tensors:
        end += 1 if stacks else each.shape[axis]
        ends.append(end)
    if stacks:
        tags = [tag.moved(rank, lambda old: old + (old >= axis)) if tag is not None else None for tag in tags]
    return Pieces(axis, tuple(ends), tuple(tags))


def written(watch: Watch, base: Tensor, index: Any, new: Tag | None) -> Pieces | None:
    """The pieces after an assignment to a slice along one axis.

    new: of what is written, its axis counted in the tensor that gets it.
    """
    cut = _slice_of(base, index)
    if cut is None:
        return None
    axis, start, stop = cut
    size, old, before = base.shape[axis], watch.tags.of(base), watch.pieces.of(base)
    if before is not None and before.axis != axis:
        return None
    each = [before.tags[before.piece(number)] if before is not None else old for number in range(size)]
    each[start:stop] = [new] * (stop - start)
    if not any(tag is not None and tag.meaning in _MEANINGS for tag in each):
        return None
    ends = [number for number in range(1, size + 1) if number == size or each[number] is not each[number - 1]]
    tags = [each[end - 1] for end in ends]
    halves = [tag if tag is new or tag is None or tag.axis != axis or before is not None else part(tag) for tag in tags]
    return Pieces(axis, tuple(ends), tuple(halves))


def _slice_of(base: Tensor, index: Any) -> tuple[int, int, int] | None:
    """(axis, start, stop) where an index is whole slices but for one axis, of which it takes a part."""
    every = list(index) if isinstance(index, tuple) else [index]
    if sum(each is Ellipsis for each in every) > 1 or any(type(each) not in (int, slice, type(...)) for each in every):
        return None
    at = next((place for place, each in enumerate(every) if each is Ellipsis), len(every))
    every[at : at + 1] = [slice(None)] * (base.dim() - len(every) + (at < len(every)))
    cuts = [(axis, each) for axis, each in enumerate(every) if each != slice(None)]
    if len(cuts) != 1:
        return None
    axis, each = cuts[0]
    size = base.shape[axis]
    if not isinstance(each, slice):
        return axis, each % size, each % size + 1
    start, stop, step = each.indices(size)
    return (axis, start, stop) if step == 1 and start < stop else None
