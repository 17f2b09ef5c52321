"""Effects that write or add one tensor's values into another: index assignment, copy_, scatter_add, padding, interpolation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from mldbg.contracts.sanitize import axes, evidence, pieces
from mldbg.contracts.sanitize.carrying import part, scaled
from mldbg.contracts.sanitize.combining import fills, summed, weighted
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
)
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.semantics import FORGOTTEN

_GETITEM = "torch.Tensor.__getitem__"


def _of_zeros(watch: Watch, base: Any, like: Tag) -> Tag | None:
    """Zeros among which values are put: they are as logits, in [0, 1], and add nothing to rows of probabilities."""
    if like.meaning not in (PROBS, UNIT, LOGITS) or not isinstance(base, Tensor) or not base.is_floating_point():
        return None
    if base.requires_grad or not watch.looks_at(watch.here()) or not evidence.is_zero(base):
        return None
    return like._replace(scaled=like.scaled or like.meaning is PROBS)


def _beside(old: Tag, new: Tag, axis: int | None) -> Tag | None:
    """A tensor some of whose values were written over. axis: of the old one's law, if whole rows along it were."""
    if old.meaning is None or old.total is not None or new.total is not None or old.masked or new.masked:
        return None
    if old.meaning is new.meaning and old.meaning in (PROBS, LOGITS, LOG_PROBS) and axis is not None and axis == old.axis:
        return old._replace(scaled=old.scaled or new.scaled, by_hand=old.by_hand or new.by_hand, cut=None, parts=None)
    if old.meaning is LOGITS and new.meaning is LOGITS:
        return old.along(None)
    if {old.meaning, new.meaning} <= {PROBS, UNIT} and not (old.scaled or new.scaled):
        return old.loosely()
    return None


def assigns(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """`tensor[index] = value`: the values that are written beside those that stay."""
    base, value = first_of(args, kwargs), argument(args, kwargs, 2, "value")
    new = watch.tags.of(value)
    if new is None:
        return fills(watch, function, args, kwargs)
    tag = _after_writing(watch, base, args[1], value, new)
    side_by_side = None
    if tag is None or tag.meaning is not new.meaning:
        side_by_side = pieces.written(watch, base, args[1], new if value.dim() == base.dim() else loosened(new))
    result = function(*args, **kwargs)
    watch.tags.put(base, tag)
    watch.pieces.put(base, side_by_side)
    return result


def puts(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """index_put: as an assignment to an index."""
    base, value = first_of(args, kwargs), argument(args, kwargs, 2, "values")
    new, index = watch.tags.of(value), argument(args, kwargs, 1, "indices")
    tag = None
    if new is not None and not argument(args, kwargs, 3, "accumulate", default=False):
        tag = _after_writing(watch, base, tuple(index), value, new)
    result = function(*args, **kwargs)
    watch.tags.put(result, tag)
    return result


def copies(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """copy_: what was there is gone."""
    base, value = first_of(args, kwargs), argument(args, kwargs, 1, "src")
    new = watch.tags.of(value)
    result = function(*args, **kwargs)
    watch.tags.put(base, _broadcast(new, value.shape, base.dim()) if new is not None else None)
    return result


def _broadcast(tag: Tag, shape: torch.Size, rank: int) -> Tag:
    return tag.moved(len(shape), lambda axis: axis + rank - len(shape))


def _after_writing(watch: Watch, base: Tensor, index: Any, value: Tensor, new: Tag) -> Tag | None:
    every = index if isinstance(index, tuple) else (index,)
    if all(each is Ellipsis or (isinstance(each, slice) and each == slice(None)) for each in every):
        return _broadcast(new, value.shape, base.dim()) if base.dim() >= value.dim() else None
    axis, is_whole = _written_axis(base, index, new, value.shape)
    old = watch.tags.of(base)
    if old is not None:
        return _beside(old, new, axis if is_whole else None)
    zeros = _of_zeros(watch, base, new.along(axis) if axis is not None else loosened(new))
    return _beside(zeros, new, axis) if zeros is not None else None


def loosened(tag: Tag) -> Tag:
    """What is left of a meaning where its axis is not known."""
    return tag.loosely() if tag.meaning is PROBS and not tag.scaled else tag.along(None)


def _written_axis(base: Tensor, index: Any, new: Tag, shape: torch.Size) -> tuple[int | None, bool]:
    """The axis of the tensor along which the law of the written rows holds, and whether they take all of it."""
    try:
        target = base.detach()[index].shape
    except (RuntimeError, IndexError, TypeError):
        return None, False
    if new.axis is None or len(target) < len(shape):
        return None, False
    wanted = new.axis + len(target) - len(shape)
    for axis in range(base.dim()):
        if target[wanted] == shape[new.axis] and axes.place(_GETITEM, axis, base.shape, (base, index), {}) == wanted:
            return axis, target[wanted] == base.shape[axis]
    return _cut_axis(base, index, wanted), False


def _cut_axis(base: Tensor, index: Any, wanted: int) -> int | None:
    """The axis of which a slice takes a part, where nothing but slices and numbers stands in the index."""
    every = list(index) if isinstance(index, tuple) else [index]
    if any(not isinstance(each, slice) and each is not Ellipsis and type(each) is not int for each in every):
        return None
    if Ellipsis in every:
        at = every.index(Ellipsis)
        every[at : at + 1] = [slice(None)] * (base.dim() - len(every) + 1)
    sliced = [axis for axis in range(base.dim()) if axis >= len(every) or isinstance(every[axis], slice)]
    return sliced[wanted] if wanted < len(sliced) else None


def replaces(parameter: str, place: int) -> Effect:
    """scatter, index_copy, select_scatter, ...: some values are replaced by those of another tensor."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        base, source = first_of(args, kwargs), argument(args, kwargs, place, parameter, "value")
        old, new = watch.tags.of(base), watch.tags.of(source)
        tag = None
        if new is not None and "reduce" not in kwargs:
            old = old if old is not None else _of_zeros(watch, base, loosened(new))
            tag = _beside(old, new, None) if old is not None else None
        elif old is not None and old.meaning in (UNIT, LOGITS) and isinstance(source, int | float):
            tag = old.along(None) if old.meaning is LOGITS or 0 <= source <= 1 else None
        result = function(*args, **kwargs)
        watch.tags.put(result, tag)
        return result

    return effect


def adds_into(parameter: str, *, rows: bool) -> Effect:
    """scatter_add, index_add: the values of `parameter` are added to those of the first argument at places along `dim`.

    Rows of probabilities that are spread along their own axis keep their sum, and nothing becomes negative.
    rows: whether whole rows go to one place.
    """

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        base, source = first_of(args, kwargs), argument(args, kwargs, 3, parameter)
        dim, new, old = argument(args, kwargs, 1, "dim"), watch.tags.of(source), watch.tags.of(base)
        tag = None
        if new is not None and type(dim) is int and base.dim() and kwargs.get("alpha", 1) == 1:
            tag = _added(watch, base, old, new, dim % base.dim(), rows=rows)
        result = function(*args, **kwargs)
        watch.tags.put(result, tag)
        return result

    return effect


def _added(watch: Watch, base: Tensor, old: Tag | None, new: Tag, dim: int, *, rows: bool) -> Tag | None:
    if new.meaning is LOGITS:
        return old.along(None) if old is not None and old.meaning is LOGITS else None
    if new.meaning is not PROBS or new.axis is None or new.masked is not None or not (rows or new.axis == dim):
        return None
    if old is None:
        return _of_zeros(watch, base, new._replace(cut=None, parts=None))
    same = old.meaning is PROBS and old.axis == new.axis and old.masked is None
    return old._replace(scaled=True, cut=None, parts=None) if same else None


def pads(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """functional.pad: a constant, or the tensor's own values, around it. Sizes below 0 cut off."""
    source = first_of(args, kwargs)
    tag = watch.tags.of(source)
    result = function(*args, **kwargs)
    if tag is not None and tag.meaning is not None:
        sizes, mode = argument(args, kwargs, 1, "pad"), argument(args, kwargs, 2, "mode", default="constant")
        value = argument(args, kwargs, 3, "value") or 0
        watch.tags.put(result, _padded(tag, source.dim(), list(sizes), None if mode != "constant" else value))
    return result


def _padded(tag: Tag, rank: int, sizes: list[int], value: float | None) -> Tag | None:
    """value: None where the tensor's own values are repeated."""
    touched = [rank - 1 - place // 2 for place, size in enumerate(sizes) if size]
    cut = [rank - 1 - place // 2 for place, size in enumerate(sizes) if size < 0]
    if not touched or (tag.meaning is LOGITS and tag.axis not in touched):
        return tag
    if tag.meaning is UNIT:
        return tag if value is None or 0 <= value <= 1 else None
    if tag.axis in cut or (value is None and tag.axis in touched):
        return part(tag)
    if value is None:
        return tag
    if tag.meaning is PROBS:
        return scaled(tag) if value >= 0 else None
    if tag.meaning is LOG_PROBS:
        return tag if tag.axis is not None and set(touched) == {tag.axis} and value <= FORGOTTEN else None
    return tag.along(None) if tag.meaning is LOGITS else None


def interpolates(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """lerp: a mean of two tensors, with a weight from 0 to 1, unless the values say otherwise."""
    one, two = first_of(args, kwargs), argument(args, kwargs, 1, "end")
    weight = argument(args, kwargs, 2, "weight")
    first, second = watch.tags.of(one), watch.tags.of(two)
    new = None
    if first is not None and second is not None and one.shape == two.shape:
        new = summed(first, one, second, two)
        within = isinstance(weight, int | float) and 0 <= weight <= 1
        if within and {first.meaning, second.meaning} <= {PROBS, UNIT} and not (first.scaled or second.scaled):
            new = first if new is not None else first.loosely()
        elif new is not None and new.meaning is PROBS and isinstance(weight, int | float):
            new = None
    result = function(*args, **kwargs)
    watch.tags.put(result, new if isinstance(one, Tensor) and result.shape == one.shape else None)
    return result


def adds_product(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """addcmul: a tensor plus the product of two others."""
    base, one, two = first_of(args, kwargs), argument(args, kwargs, 1, "tensor1"), argument(args, kwargs, 2, "tensor2")
    tag, first, second = map(watch.tags.of, (base, one, two))
    new, value = None, kwargs.get("value", 1)
    if tag is not None and first is not None and second is not None and isinstance(value, int | float) and value > 0:
        product = weighted(first, one, second, two)
        larger = one if one.dim() > two.dim() or one.numel() >= two.numel() else two
        new = summed(tag, base, product, larger) if product is not None else None
    result = function(*args, **kwargs)
    watch.tags.put(result, new if isinstance(base, Tensor) and result.shape == base.shape else None)
    return result


def reads_bounds(clamp: Effect) -> Effect:
    """hardtanh: a clamp, to [-1, 1] where no bounds are given."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        bounds = [argument(args, kwargs, place, name, default=usual) for place, name, usual in _BOUNDS]

        def as_called(*_: Any, **__: Any) -> Any:
            return function(*args, **kwargs)

        return clamp(watch, as_called, (first_of(args, kwargs), *bounds), {})

    return effect


_BOUNDS = ((1, "min_val", -1.0), (2, "max_val", 1.0))
