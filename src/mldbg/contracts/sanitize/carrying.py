"""Effects that carry a meaning from the first argument to the result: views, slices, casts, reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from mldbg.contracts.sanitize import axes
from mldbg.contracts.sanitize.effect import (
    LOG_PROBS,
    LOGITS,
    PROBS,
    UNIT,
    Arguments,
    Effect,
    Function,
    Keywords,
    argument,
    first_of,
    numbers,
)
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.effect import Clamps, Pools
from mldbg.semantics import Semantic

Change = Callable[[Tag, torch.Size, Tensor, Arguments, Keywords], Tag | None]
"""(tag, shape before, result, args, kwargs) -> tag of the result."""


def follows(change: Change) -> Effect:
    """An effect that does nothing unless the first argument has a tag."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        tag = watch.tags.of(source)
        if tag is None:
            return function(*args, **kwargs)
        shape = source.shape
        result = function(*args, **kwargs)
        for each in result if isinstance(result, tuple) else (result,):
            if isinstance(each, Tensor):
                watch.tags.put(each, change(tag, shape, each, args, kwargs))
        return result

    return effect


def part(tag: Tag) -> Tag | None:
    """Some of the values that a law ties together: probabilities stay between 0 and 1, log-probabilities become unknown."""
    if tag.meaning is PROBS:
        return None if tag.scaled else Tag(UNIT, None, tag.site)
    return None if tag.meaning is LOG_PROBS else tag.along(None)


def keep(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Same values in the same places: casts, copies, detach, clamp."""
    return tag if result.shape == shape else None


EPSILON = 1e-3
"""A bound up to this far inside [0, 1] keeps a logarithm finite and changes nothing else of probabilities."""

TINY_LOG = -12.0
"""A log-probability that is cut off here was below 1e-5."""


def clamps(row: Clamps) -> Effect:
    """Values beyond a bound are put onto it. Bounds that are tensors are not read."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        given = dict(zip(row.params, args, strict=False)) | kwargs
        low, high = (given[name] if isinstance(given.get(name), int | float) else None for name in ("min", "max"))
        if tag.meaning in (PROBS, LOG_PROBS):
            lowest, highest = (EPSILON, 1 - EPSILON) if tag.meaning is PROBS else (TINY_LOG, 0)
            if (low is None or low <= lowest) and (high is None or high >= highest or tag.scaled):
                return tag
            return part(tag) if (low is None or low <= 1) and (high is None or high >= 0) else None
        within = (low is None or low <= 1) and (high is None or high >= 0)
        return tag if tag.meaning is not UNIT or within else None

    return follows(change)


def lose_in_training(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Alpha dropout: some values become negative."""
    return tag if tag.meaning is LOGITS or not _drops(args, kwargs) else None


def scale_in_training(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Dropout: some values become 0, the others are scaled."""
    return scaled(tag) if _drops(args, kwargs) else tag


def _drops(args: Arguments, kwargs: Keywords) -> bool:
    training = argument(args, kwargs, 2, "training", "train", default=True)
    return bool(training and argument(args, kwargs, 1, "p", default=0.5))


def scaled(tag: Tag) -> Tag | None:
    """Times a constant that is not negative."""
    match tag.meaning:
        case Semantic.PROBS:
            return tag._replace(scaled=True)
        case Semantic.LOGITS:
            return tag
        case _:
            return None


def regroup(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """view, reshape, flatten, unflatten, ravel."""
    return tag if tag.axis is None else tag.along(axes.reshaped(tag.axis, shape, result.shape))


Move = Callable[[int, torch.Size, Arguments, Keywords], int | None]
"""(axis, shape before, args, kwargs) -> axis of the result."""


def moves(place: Move) -> Effect:
    """The axis goes elsewhere, the values stay."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        return tag if tag.axis is None else tag.along(place(tag.axis, shape, args, kwargs))

    return follows(change)


def transpose(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    first = argument(args, kwargs, 1, "dim0", "axis0")
    second = argument(args, kwargs, 2, "dim1", "axis1")
    return axes.swapped(axis, len(shape), first, second)


def swap_last(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    return axes.swapped(axis, len(shape), -2, -1)


def reverse(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    return len(shape) - 1 - axis


def permute(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    order = numbers(args, kwargs, 1, "dims")
    return None if order is None else axes.permuted(axis, len(shape), order)


def movedim(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    source, target = argument(args, kwargs, 1, "source"), argument(args, kwargs, 2, "destination")
    return axes.moved(axis, len(shape), _listed(source), _listed(target))


def squeeze(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    dims = argument(args, kwargs, 1, "dim")
    return axes.squeezed(axis, shape, None if dims is None else _listed(dims))


def unsqueeze(axis: int, shape: torch.Size, args: Arguments, kwargs: Keywords) -> int | None:
    return axes.unsqueezed(axis, len(shape), argument(args, kwargs, 1, "dim"))


def _listed(value: int | Sequence[int]) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def expand(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """expand, repeat, repeat_interleave: new axes come in front, and others than the tag's may be repeated."""
    if tag.axis is None:
        return tag
    axis = tag.axis + result.dim() - len(shape)
    return tag.along(axis) if axis >= 0 and result.shape[axis] == shape[tag.axis] else None


def index(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """`tensor[...]`"""
    if tag.axis is None:
        return tag
    found = axes.indexed(tag.axis, shape, result.dim(), args[1])
    return tag.along(found.axis) if found.whole else part(tag)


def cut(position: int) -> Effect:
    """Some of the entries along one axis: narrow, split, chunk, index_select. position: where `dim` stands."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        dim = argument(args, kwargs, position, "dim", default=0)
        if not isinstance(dim, int):
            return None
        touched = tag.axis == dim % len(shape)
        return part(tag) if touched and result.shape != shape else tag

    return follows(change)


def drop_axis(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """select, unbind: one entry along an axis, which is gone."""
    dim = argument(args, kwargs, 1, "dim", default=0)
    if tag.axis is None or not isinstance(dim, int):
        return tag if tag.axis is None else None
    axis = axes.without(tag.axis, len(shape), [dim], keep=False)
    return part(tag) if axis is None else tag.along(axis)


def pick(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Single values, of places that are not followed: masked_select, take."""
    return part(tag)


def reduce(*, total: bool) -> Effect:
    """Means and sums over other axes than the one that sums to 1. total: a sum, so that probabilities are scaled.

    A mean of numbers in [0, 1] stays there, whatever the axis.
    """

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        dims = numbers(args[:2], kwargs, 1, "dim")
        if dims is not None and tag.meaning is UNIT and not total:
            return tag
        if dims is None or tag.axis is None or tag.meaning not in (PROBS, LOGITS):
            return None
        keepdim = bool(argument(args, kwargs, 2, "keepdim", default=False))
        axis = axes.without(tag.axis, len(shape), dims, keep=keepdim)
        if axis is None:
            return None
        return scaled(tag.along(axis)) if total else tag.along(axis)

    return follows(change)


def pools(row: Pools) -> Effect:
    """Means over neighbours along the last axes, as pooling and interpolation take. Bicubic interpolation overshoots."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        given = dict(zip(row.params, args, strict=False)) | kwargs
        if given.get("mode") == "bicubic":
            return None
        whole_sums = given.get("divisor_override") is None
        if tag.meaning is UNIT:
            return tag if whole_sums else None
        untouched = 2 if row.spatial is None else len(shape) - row.spatial
        if tag.meaning not in (PROBS, LOGITS) or tag.axis is None or tag.axis >= untouched:
            return None
        padded = row.beyond or given.get("padding", 0) not in (0, (0,) * len(shape[untouched:]))
        return scaled(tag) if padded or not whole_sums else tag

    return follows(change)


def negate(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """`-x`"""
    return tag if tag.meaning is LOGITS else None
