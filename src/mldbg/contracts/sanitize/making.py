"""Effects that make a meaning: activations, layers, logarithms; and those that use one without being a loss."""

from __future__ import annotations

import sys
from typing import Any

from torch import Tensor, nn

from mldbg.contracts.sanitize import evidence
from mldbg.contracts.sanitize.carrying import note_total
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
from mldbg.operations.effect import Affine, Gives, Maps
from mldbg.operations.losses import (
    DOUBLE_SIGMOID,
    DOUBLE_SOFTMAX,
    LOG_OF_SOFTMAX,
    MASK_AFTER_SOFTMAX,
    PROBS_AS_LOGITS,
    SINGLE_LOGIT,
)


def softmaxes(row: Gives) -> Effect:
    """Of softmax and its kin: the values along `dim` become probabilities or their logarithms."""
    name, place = row.verb, row.params.index("dim")

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        dim, rank = argument(args, kwargs, place, "dim", default=row.axis), source.dim()
        if dim is None:  # torch.nn.functional chooses: the first axis of 0, 1 and 3, else the second
            dim = 0 if rank in (0, 1, 3) else 1
        axis = dim % rank if rank else 0
        before = watch.tags.of(source)
        if before is not None and before.inverted is not None and axis == rank - 1 and before.inverted[1] == source.shape[-2:]:
            watch.say(before.inverted[0])
        if before is not None and before.axis == axis:
            if before.meaning is LOGITS and source.shape[axis] == 1:
                watch.found(SINGLE_LOGIT, name, "input", source, before, f"axis {axis}, of size 1")
            elif before.meaning is PROBS and _is_whole(before, source):
                watch.found(DOUBLE_SOFTMAX, name, "input", source, before, f"axis {axis}")
        result = function(*args, **kwargs)
        watch.tags.put(result, Tag(row.meaning, axis, watch.here()))
        return result

    return effect


def _is_whole(tag: Tag, tensor: Tensor) -> bool:
    """Whether probabilities sum to 1: scaled ones have to prove it."""
    return evidence.is_whole(tag, tensor) if tag.scaled else not evidence.refuted(tag, tensor)


def sigmoid(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Each value by itself goes into [0, 1]."""
    source = first_of(args, kwargs)
    before = watch.tags.of(source)
    if before is not None and before.meaning is UNIT and not evidence.refuted(before, source):
        watch.found(DOUBLE_SIGMOID, "sigmoid", "input", source, before)
    result = function(*args, **kwargs)
    watch.tags.put(result, Tag(UNIT, None, watch.here()))
    return result


def activation(row: Gives) -> Effect:
    """ReLU and the like: each value by itself. Some meanings stay what they are."""
    assert row.meaning is not None
    meaning = row.meaning

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        before = watch.tags.of(first_of(args, kwargs))
        result = function(*args, **kwargs)
        keeps = before is not None and before.meaning in row.keeps_meanings
        axis = before.axis if before is not None and before.meaning is meaning else None
        watch.tags.put(result, before if keeps else Tag(meaning, axis, watch.here()))
        return result

    return effect


def layer(row: Affine) -> Effect:
    """An affine layer: its outputs may be any real number.

    The axis of its outputs is taken for known only where the weight is a parameter, and so the size of the axis a choice of the
    author.
    """
    named = next(name for name in ("weight", "mat2") if name in row.params)
    place = row.params.index(named)

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        result = function(*args, **kwargs)
        chosen = isinstance(argument(args, kwargs, place, named), nn.Parameter)
        axis = result.dim() + row.features
        watch.tags.put(result, Tag(LOGITS, axis if chosen and axis >= 0 else None, watch.here()))
        return result

    return effect


def product(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """A matrix product is an affine layer when the second factor is a parameter, and a weighted mean of attention."""
    first, second = first_of(args, kwargs), argument(args, kwargs, 1, "other", "mat2")
    _check_weights(watch, first)
    weights, rows = watch.tags.of(first), watch.tags.of(second)
    result = function(*args, **kwargs)
    if weights is not None and rows is not None:
        watch.tags.put(result, _mixed(weights, first, rows, second, result))
    if isinstance(second, nn.Parameter) and second.dim() > 1:
        watch.tags.put(result, Tag(LOGITS, result.dim() - 1, watch.here()))
    return result


def _mixed(weights: Tag, first: Tensor, rows: Tag, second: Tensor, result: Tensor) -> Tag | None:
    """What weights that sum to 1 make of rows of probabilities: their means are probabilities again."""
    runs_over_rows = weights.meaning is PROBS and weights.axis == first.dim() - 1 and second.dim() >= 2
    if runs_over_rows and rows.meaning is PROBS and rows.axis == second.dim() - 1:
        return rows._replace(axis=result.dim() - 1, scaled=weights.scaled or rows.scaled)
    return rows.loosely() if runs_over_rows and rows.meaning is UNIT and not weights.scaled else None


def contraction(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """einsum(equation, *operands)"""
    for operand in args[1:]:
        _check_weights(watch, operand)
    return function(*args, **kwargs)


def _check_weights(watch: Watch, weights: Any) -> None:
    tag = watch.tags.of(weights)
    if tag is not None and tag.masked is not None:
        watch.found(MASK_AFTER_SOFTMAX, "softmax", "mask", weights, tag, consumer=tag.masked)


def maps(row: Maps) -> Effect:
    """Of log and exp: one meaning turns into another.

    Scaled probabilities may sum to 1 again, as a weighted mean of several does. Of their logarithm the values have to prove it.
    """

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        tag = watch.tags.of(source)
        exact = tag is not None and not tag.scaled and not tag.by_hand
        if exact and tag is not None and is_log and tag.meaning in LOG_OF_SOFTMAX.gets and watch.listens_to(LOG_OF_SOFTMAX.rule):
            watch.found(LOG_OF_SOFTMAX, row.verb, "input", source, tag)
        result = function(*args, **kwargs)
        meaning = row.meanings.get(tag.meaning) if tag is not None and tag.meaning is not None and tag.masked is None else None
        if tag is not None and meaning is not None and (not tag.scaled or is_log):
            made = tag.made or tag.meaning if meaning is UNIT else None
            by_hand = tag.by_hand or tag.scaled
            watch.tags.put(result, Tag(meaning, tag.axis, watch.here(), others=tag.others, by_hand=by_hand, made=made))
        return result

    is_log = row.verb == "log"
    return effect


_DISTRIBUTIONS = ("torch/distributions/categorical.py", "torch/distributions/one_hot_categorical.py")


def normalises(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Of logsumexp: what it is subtracted from becomes log-probabilities. Torch's Categorical does so with its logits."""
    source = first_of(args, kwargs)
    tag = watch.tags.of(source)
    if tag is not None and tag.meaning is PROBS and tag.axis == source.dim() - 1 and not evidence.refuted(tag, source):
        caller = sys._getframe(2).f_code.co_filename.replace("\\", "/")  # noqa: SLF001
        if caller.endswith(_DISTRIBUTIONS):
            watch.found(PROBS_AS_LOGITS, "Categorical", "logits", source, tag)
    result = function(*args, **kwargs)
    note_total(watch, LOG_PROBS, result, args, kwargs)
    return result
