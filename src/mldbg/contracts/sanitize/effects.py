"""What a torch function does to the meaning of its tensors: the kinds of effect that `tables` is written in.

Every effect runs the function itself, once, with the arguments as they came, and gives back what it gave. Tags are read
before, because an in-place function changes the version of its argument.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mldbg.contracts.sanitize import axes, evidence
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Misuse, Watch
from mldbg.semantics import FORGOTTEN, Semantic

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS
NON_NEGATIVE = Semantic.NON_NEGATIVE

Function = Callable[..., Any]
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]
Effect = Callable[[Watch, Function, Arguments, Keywords], Any]
"""(watch, torch function, its arguments, its keywords) -> its result."""

EPSILON = 1e-3
"""A constant up to this size that is added to probabilities keeps a logarithm finite and changes nothing else."""


def argument(args: Arguments, kwargs: Keywords, position: int, *names: str, default: Any = None) -> Any:
    """An argument by position or by one of its names."""
    if len(args) > position:
        return args[position]
    for name in names:
        if name in kwargs:
            return kwargs[name]
    return default


def numbers(args: Arguments, kwargs: Keywords, position: int, name: str) -> list[int] | None:
    """An argument that is a list of whole numbers, or several arguments: `permute(0, 2, 1)`, `permute((0, 2, 1))`."""
    value = argument(args, kwargs, position, name)
    if isinstance(value, int) and not isinstance(value, bool):
        return [int(item) for item in args[position:]] if len(args) > position else [value]
    return None if value is None else list(value)


def _first(args: Arguments, kwargs: Keywords) -> Any:
    return args[0] if args else kwargs.get("input", kwargs.get("self"))


# Effects that make a meaning.

_DOUBLE_SOFTMAX = Misuse(
    "double-softmax",
    "softmax is applied to probabilities: the result is nearly uniform",
    "logits (any real number)",
    "apply softmax once: drop it here, or where the probabilities are made",
)
_DOUBLE_SIGMOID = Misuse(
    "double-sigmoid",
    "sigmoid is applied to probabilities: the result lies between 0.5 and 0.73",
    "logits (any real number)",
    "apply sigmoid once: drop it here, or where the probabilities are made",
)
SINGLE_LOGIT = Misuse(
    "single-logit-softmax",
    "softmax over the single output of a layer is constant: nothing is learned",
    "one logit for each of two or more classes",
    "use one output with sigmoid and binary cross-entropy, or as many outputs as classes",
)


def softmaxes(meaning: Semantic, name: str) -> Effect:
    """Of softmax and log_softmax: the values along `dim` become probabilities or their logarithms."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = _first(args, kwargs)
        dim, rank = argument(args, kwargs, 1, "dim"), source.dim()
        if dim is None:  # torch.nn.functional chooses: the first axis of 0, 1 and 3, else the second
            dim = 0 if rank in (0, 1, 3) else 1
        axis = dim % rank if rank else 0
        before = watch.tags.of(source)
        if before is not None and before.axis == axis:
            if before.meaning is LOGITS and source.shape[axis] == 1:
                watch.found(SINGLE_LOGIT, name, "input", source, before, f"axis {axis}, of size 1")
            elif before.meaning is PROBS and not before.scaled and not evidence.refuted(before, source):
                watch.found(_DOUBLE_SOFTMAX, name, "input", source, before, f"axis {axis}")
        result = function(*args, **kwargs)
        watch.tags.put(result, Tag(meaning, axis, watch.here()))
        return result

    return effect


def sigmoid(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Each value by itself goes into [0, 1]."""
    source = _first(args, kwargs)
    before = watch.tags.of(source)
    if before is not None and before.meaning is UNIT and not evidence.refuted(before, source):
        watch.found(_DOUBLE_SIGMOID, "sigmoid", "input", source, before)
    result = function(*args, **kwargs)
    watch.tags.put(result, Tag(UNIT, None, watch.here()))
    return result


def non_negative(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """ReLU and the like. Probabilities stay what they are."""
    before = watch.tags.of(_first(args, kwargs))
    result = function(*args, **kwargs)
    keeps = before is not None and before.meaning in (PROBS, UNIT)
    watch.tags.put(result, before if keeps else Tag(NON_NEGATIVE, None, watch.here()))
    return result


def layer(features_from_end: int = 1, weight: int = 1) -> Effect:
    """An affine layer: its outputs may be any real number.

    features_from_end: where the axis of the layer's outputs lies (1: last). It is taken for known only where the weight is
    a parameter, and so the size of the axis a choice of the author.
    weight: which argument is the weight.
    """

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        result = function(*args, **kwargs)
        chosen = isinstance(argument(args, kwargs, weight, "weight", "mat2"), nn.Parameter)
        axis = result.dim() - features_from_end
        watch.tags.put(result, Tag(LOGITS, axis if chosen and axis >= 0 else None, watch.here()))
        return result

    return effect


MASK_AFTER_SOFTMAX = Misuse(
    "mask-after-softmax",
    "the mask comes after the softmax: the weighted mean is infinite or NaN where something is masked",
    "a mask on the scores, before softmax",
    "add or fill the mask (-inf) into the scores, then apply softmax",
)


def product(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """A matrix product is an affine layer when the second factor is a parameter, and a weighted mean of attention."""
    first, second = _first(args, kwargs), argument(args, kwargs, 1, "other", "mat2")
    _check_weights(watch, first)
    result = function(*args, **kwargs)
    if isinstance(second, nn.Parameter) and second.dim() > 1:
        watch.tags.put(result, Tag(LOGITS, result.dim() - 1, watch.here()))
    return result


def contraction(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """einsum(equation, *operands)"""
    for operand in args[1:]:
        _check_weights(watch, operand)
    return function(*args, **kwargs)


def _check_weights(watch: Watch, weights: Any) -> None:
    tag = watch.tags.of(weights)
    if tag is not None and tag.masked is not None:
        watch.found(MASK_AFTER_SOFTMAX, "softmax", "mask", weights, tag, consumer=tag.masked)


# Effects that carry a meaning from the first argument to the result.

Change = Callable[[Tag, torch.Size, Tensor, Arguments, Keywords], Tag | None]
"""(tag, shape before, result, args, kwargs) -> tag of the result."""


def follows(change: Change) -> Effect:
    """An effect that does nothing unless the first argument has a tag."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = _first(args, kwargs)
        tag = watch.tags.of(source)
        if tag is None:
            return function(*args, **kwargs)
        shape = source.shape
        result = function(*args, **kwargs)
        for each in (result,) if isinstance(result, Tensor) else result:
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


def scale_in_training(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Dropout: some values become 0, the others are scaled."""
    training = argument(args, kwargs, 2, "training", "train", default=True)
    if not training or not argument(args, kwargs, 1, "p", default=0.5):
        return tag
    return scaled(tag)


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
    """Means and sums over other axes than the one that sums to 1. total: a sum, so that probabilities are scaled."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        dims = numbers(args[:2], kwargs, 1, "dim")
        if dims is None or tag.axis is None or tag.meaning not in (PROBS, LOGITS):
            return None
        keepdim = bool(argument(args, kwargs, 2, "keepdim", default=False))
        axis = axes.without(tag.axis, len(shape), dims, keep=keepdim)
        if axis is None:
            return None
        return scaled(tag.along(axis)) if total else tag.along(axis)

    return follows(change)


def pools(spatial: int | None = None) -> Effect:
    """Means over neighbours along the last axes (None: all behind samples and channels), as pooling and interpolation take."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        untouched = 2 if spatial is None else len(shape) - spatial
        return tag if tag.meaning in (PROBS, LOGITS) and tag.axis is not None and tag.axis < untouched else None

    return follows(change)


_LOG_OF_SOFTMAX = Misuse(
    "log-of-softmax",
    "logarithm of a softmax or sigmoid: it is minus infinity where the value underflows to 0",
    "values that cannot underflow",
    "use log_softmax or logsigmoid, which compute the same from the logits",
)


def logarithm(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Probabilities become log-probabilities."""
    source = _first(args, kwargs)
    tag = watch.tags.of(source)
    exact = tag is not None and not tag.scaled and tag.meaning in (PROBS, UNIT)
    if exact and watch.listens_to("log-of-softmax"):
        watch.found(_LOG_OF_SOFTMAX, "log", "input", source, tag)
    result = function(*args, **kwargs)
    if tag is not None and exact and tag.meaning is PROBS:
        watch.tags.put(result, Tag(LOG_PROBS, tag.axis, watch.here()))
    return result


def exponential(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Log-probabilities become probabilities."""
    tag = watch.tags.of(_first(args, kwargs))
    result = function(*args, **kwargs)
    if tag is not None and tag.meaning is LOG_PROBS:
        watch.tags.put(result, Tag(PROBS, tag.axis, watch.here()))
    return result


# Effects of two operands.

Combine = Callable[[Tag, Any], Tag | None]
"""(tag of one operand, the other: a number, or a tensor of one element) -> tag of the result."""


def operands(combine: Combine, both: Callable[[Tag, Tag], Tag | None], *, commutes: bool) -> Effect:
    """An elementwise operation of a tensor with a number or with another tensor.

    combine: what a number makes of the tensor. both: what two tensors with tags give.
    commutes: whether the number may stand on the left. Another tensor without a tag makes the result unknown.
    """

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        left, right = _first(args, kwargs), argument(args, kwargs, 1, "other")
        tag, other = watch.tags.of(left), watch.tags.of(right)
        if tag is None and other is None:
            return function(*args, **kwargs)
        if "alpha" in kwargs or "rounding_mode" in kwargs:
            new = None
        elif tag is not None and other is not None:
            new = both(tag, other) if left.shape == right.shape else None
        elif tag is not None:
            new = combine(tag, right) if _is_constant(right) else _beside(watch, tag, left, right, function)
        else:
            assert other is not None
            new = combine(other, left) if commutes and _is_constant(left) else None
            if new is None and commutes and isinstance(left, Tensor):
                new = _beside(watch, other, right, left, function)
        result = function(*args, **kwargs)
        shape = left.shape if tag is not None else right.shape
        watch.tags.put(result, new if result.shape == shape else None)
        return result

    return effect


def _is_constant(value: Any) -> bool:
    """A number, or a tensor that holds one and is not computed for each sample: a temperature."""
    return isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1 and value.dim() <= 1)


def _beside(watch: Watch, tag: Tag, tensor: Tensor, other: Any, function: Function) -> Tag | None:
    """What an operation with an unknown tensor leaves: logits plus a bias are logits, all else is unknown."""
    if function not in ADDITIONS or not isinstance(other, Tensor):
        return None
    if tag.meaning is LOGITS and isinstance(other, nn.Parameter):
        return tag
    if tag.meaning is PROBS and not tag.scaled and evidence.hides(other) and not evidence.refuted(tag, tensor):
        return tag._replace(scaled=True, masked=watch.here())
    return None


ADDITIONS = frozenset({torch.add, Tensor.add, Tensor.add_, Tensor.__add__, Tensor.__iadd__, Tensor.__radd__})


def times(tag: Tag, number: Any) -> Tag | None:
    """A tensor times or divided by a constant. The sign of a constant in a tensor is not read."""
    if tag.meaning is LOGITS or isinstance(number, Tensor) or number > 0:
        return scaled(tag)
    return None


def plus(tag: Tag, number: Any) -> Tag | None:
    """A tensor plus or minus a constant."""
    if tag.meaning is LOGITS:
        return tag
    is_epsilon = not isinstance(number, Tensor) and abs(number) <= EPSILON
    return tag if is_epsilon and tag.meaning in (PROBS, UNIT) else None


def complement(tag: Tag, number: Any) -> Tag | None:
    """A constant minus a tensor: 1 - p is a probability again."""
    if tag.meaning is LOGITS:
        return tag
    if tag.meaning in (PROBS, UNIT) and not tag.scaled and not isinstance(number, Tensor) and number == 1:
        return Tag(UNIT, None, tag.site)
    return None


def summed(first: Tag, second: Tag) -> Tag | None:
    """A sum of two tensors."""
    if first.meaning is not second.meaning or first.axis != second.axis:
        return None
    return scaled(first) if first.meaning in (PROBS, LOGITS) else None


def difference(first: Tag, second: Tag) -> Tag | None:
    """A difference of two tensors."""
    both_logits = first.meaning is LOGITS and second.meaning is LOGITS
    return first if both_logits and first.axis == second.axis else None


def unknown(first: Tag, second: Tag) -> Tag | None:
    """A product or quotient of two tensors."""
    return None


def negate(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """`-x`"""
    return tag if tag.meaning is LOGITS else None


# Effects of several tensors.


def concatenates(along: int = 0) -> Effect:
    """Of cat and the like: what all parts are, the whole is; not so along the axis that sums to 1. along: the usual axis."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensors = argument(args, kwargs, 0, "tensors")
        tag = _common(watch, tensors)
        result = function(*args, **kwargs)
        if tag is not None and result.dim() == tensors[0].dim() > along:
            dim = argument(args, kwargs, 1, "dim", "axis", default=along)
            watch.tags.put(result, tag if tag.axis != dim % result.dim() else part(tag))
        return result

    return effect


def stacks(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """stack: a new axis."""
    tag = _common(watch, argument(args, kwargs, 0, "tensors"))
    result = function(*args, **kwargs)
    if tag is not None:
        dim = argument(args, kwargs, 1, "dim", default=0)
        axis = None if tag.axis is None else axes.unsqueezed(tag.axis, result.dim() - 1, dim)
        watch.tags.put(result, tag.along(axis))
    return result


def _common(watch: Watch, tensors: Iterable[Any]) -> Tag | None:
    """The tag that all tensors share, apart from where they were made; None if there is none."""
    tags = [watch.tags.of(tensor) for tensor in tensors] if isinstance(tensors, list | tuple) else []
    first = tags[0] if tags else None
    if first is None:
        return None
    for tag in tags:
        if tag is None or tag.meaning is not first.meaning or tag.axis != first.axis:
            return None
    return first._replace(scaled=any(tag is not None and tag.scaled for tag in tags))


def fills(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """masked_fill and `tensor[mask] = value`: logits stay logits; probabilities no longer sum to 1."""
    source = _first(args, kwargs)
    tag = watch.tags.of(source)
    if tag is None:
        return function(*args, **kwargs)
    value = argument(args, kwargs, 2, "value")
    is_number = isinstance(value, int | float)
    new = None
    if is_number and tag.meaning is LOGITS:
        new = tag
    elif is_number and tag.meaning is PROBS and value >= 0:
        new = scaled(tag)
    elif is_number and tag.meaning is PROBS and value <= FORGOTTEN and not tag.scaled and not evidence.refuted(tag, source):
        new = tag._replace(scaled=True, masked=watch.here())
    result = function(*args, **kwargs)
    filled = result if isinstance(result, Tensor) else source
    watch.tags.put(filled, new if filled.shape == source.shape else None)
    return result


def chooses(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """where(condition, a, b): what both are; a number may replace some logits."""
    left, right = argument(args, kwargs, 1, "input", "self"), argument(args, kwargs, 2, "other")
    tag, other = watch.tags.of(left), watch.tags.of(right)
    result = function(*args, **kwargs)
    if tag is not None and other is not None and tag.meaning is other.meaning:
        new = tag.along(None) if tag.meaning is not LOG_PROBS else None
        watch.tags.put(result, new._replace(scaled=tag.scaled or other.scaled) if new is not None else None)
    return result


_PROBS_AS_LOGITS = Misuse(
    "probs-as-logits",
    "a distribution gets probabilities as its logits: it is nearly uniform",
    "logits (any real number), or log-probabilities",
    "pass them as probs=, or pass the logits",
)
_DISTRIBUTIONS = ("torch/distributions/categorical.py", "torch/distributions/one_hot_categorical.py")


def normalises(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """logsumexp: torch's Categorical applies it to what it was given as logits."""
    source = _first(args, kwargs)
    tag = watch.tags.of(source)
    if tag is not None and tag.meaning is PROBS and tag.axis == source.dim() - 1 and not evidence.refuted(tag, source):
        caller = sys._getframe(2).f_code.co_filename.replace("\\", "/")  # noqa: SLF001
        if caller.endswith(_DISTRIBUTIONS):
            watch.found(_PROBS_AS_LOGITS, "Categorical", "logits", source, tag)
    return function(*args, **kwargs)
