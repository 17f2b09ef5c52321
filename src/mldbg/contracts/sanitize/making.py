"""Effects that make a meaning: activations, layers, logarithms; and those that use one without being a loss."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn

from mldbg.contracts.sanitize import evidence
from mldbg.contracts.sanitize.effect import (
    LOG_PROBS,
    LOGITS,
    NON_NEGATIVE,
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
from mldbg.contracts.sanitize.watch import Misuse, Watch
from mldbg.semantics import Semantic

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
        source = first_of(args, kwargs)
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
    source = first_of(args, kwargs)
    before = watch.tags.of(source)
    if before is not None and before.meaning is UNIT and not evidence.refuted(before, source):
        watch.found(_DOUBLE_SIGMOID, "sigmoid", "input", source, before)
    result = function(*args, **kwargs)
    watch.tags.put(result, Tag(UNIT, None, watch.here()))
    return result


def non_negative(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """ReLU and the like. Probabilities stay what they are."""
    before = watch.tags.of(first_of(args, kwargs))
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
    first, second = first_of(args, kwargs), argument(args, kwargs, 1, "other", "mat2")
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


_LOG_OF_SOFTMAX = Misuse(
    "log-of-softmax",
    "logarithm of a softmax or sigmoid: it is minus infinity where the value underflows to 0",
    "values that cannot underflow",
    "use log_softmax or logsigmoid, which compute the same from the logits",
)


def logarithm(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Probabilities become log-probabilities."""
    source = first_of(args, kwargs)
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
    tag = watch.tags.of(first_of(args, kwargs))
    result = function(*args, **kwargs)
    if tag is not None and tag.meaning is LOG_PROBS:
        watch.tags.put(result, Tag(PROBS, tag.axis, watch.here()))
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
    source = first_of(args, kwargs)
    tag = watch.tags.of(source)
    if tag is not None and tag.meaning is PROBS and tag.axis == source.dim() - 1 and not evidence.refuted(tag, source):
        caller = sys._getframe(2).f_code.co_filename.replace("\\", "/")  # noqa: SLF001
        if caller.endswith(_DISTRIBUTIONS):
            watch.found(_PROBS_AS_LOGITS, "Categorical", "logits", source, tag)
    return function(*args, **kwargs)
