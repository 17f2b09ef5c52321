"""Effects that make a meaning: activations, layers, logarithms; and those that use one without being a loss."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mldbg.contracts.sanitize import axes, evidence
from mldbg.contracts.sanitize.carrying import note_total
from mldbg.contracts.sanitize.combining import uses_mean
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
    LOG_OF_SOFTMAX,
    MASK_AFTER_SOFTMAX,
    PROBS_AS_LOGITS,
    SIGMOID_OF_PROBS,
    SINGLE_LOGIT,
    SOFTMAX_OF_PROBS,
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
            elif before.meaning is PROBS and evidence.is_one_distribution(before, source):
                watch.found(SOFTMAX_OF_PROBS, name, "input", source, before, f"axis {axis}")
        result = function(*args, **kwargs)
        classes = before.axis if before is not None and before.meaning is LOGITS and before.axis != axis else None
        watch.tags.put(result, Tag(row.meaning, axis, watch.here(), classes=classes))
        return result

    return effect


def sigmoid(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Each value by itself goes into [0, 1]."""
    source = first_of(args, kwargs)
    before = watch.tags.of(source)
    if before is not None and before.meaning is UNIT and not evidence.refuted(before, source):
        watch.found(SIGMOID_OF_PROBS, "sigmoid", "input", source, before)
    result = function(*args, **kwargs)
    watch.tags.put(result, Tag(UNIT, None, watch.here()))
    return result


def activation(row: Gives) -> Effect:
    """ReLU and the like: each value by itself. Some meanings stay what they are."""
    assert row.meaning is not None
    meaning, is_rate = row.meaning, row.verb == "softplus"

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        before = watch.tags.of(source)
        is_mean = before is not None and before.mean
        if is_mean and function not in _HOMOGENEOUS:
            uses_mean(watch, source, before)
        result = function(*args, **kwargs)
        keeps = before is not None and (before.meaning in row.keeps_meanings or (is_mean and function in _HOMOGENEOUS))
        axis = before.axis if before is not None and before.meaning is meaning else None
        if row.axis is not None:
            axis = row.axis % result.dim()
        watch.tags.put(result, before if keeps else Tag(meaning, axis, watch.here(), rate=is_rate))
        return result

    return effect


_HOMOGENEOUS = (torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, functional.relu, functional.relu_, functional.leaky_relu)
"""Activations behind which a mean can still be divided by the sum of its weights."""


def layer(row: Affine) -> Effect:
    """An affine layer: its outputs may be any real number.

    The axis of its outputs is taken for known only where the weight is a parameter, or there is a bias, and so the size of the
    axis a choice of the author.
    """
    named = next(name for name in ("weight", "mat2", "batch2") if name in row.params)
    place = row.params.index(named)

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        uses_mean(watch, source, watch.tags.of(source))
        result = function(*args, **kwargs)
        chosen = isinstance(argument(args, kwargs, place, named), nn.Parameter) or _has_bias(row, args, kwargs)
        axis = result.dim() + row.features
        watch.tags.put(result, Tag(LOGITS, axis if chosen and axis >= 0 else None, watch.here()))
        return result

    return effect


def _has_bias(row: Affine, args: Arguments, kwargs: Keywords) -> bool:
    """Whether each output has a bias of its own, so that they are outputs even where weights are handed over as plain tensors."""
    return "bias" in row.params and isinstance(argument(args, kwargs, row.params.index("bias"), "bias"), Tensor)


def product(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """A matrix product is an affine layer when the second factor is a parameter, and a weighted mean of attention."""
    first, second = first_of(args, kwargs), argument(args, kwargs, 1, "other", "mat2")
    _check_weights(watch, first)
    weights, rows = watch.tags.of(first), watch.tags.of(second)
    result = function(*args, **kwargs)
    cut = _mean_after_cut(watch, weights, first, rows, second)
    if cut is not None:
        watch.tags.put(result, cut)
    elif weights is not None and rows is not None:
        watch.tags.put(result, _mixed(weights, first, rows, second, result))
    if _may_be_any(weights) and _may_be_any(rows) and _are_computed(first, second):
        watch.tags.put(result, Tag(LOGITS, None, watch.here()))
    if isinstance(second, nn.Parameter) and second.dim() > 1:
        watch.tags.put(result, Tag(LOGITS, result.dim() - 1, watch.here()))
    return result


def _mean_after_cut(watch: Watch, one: Tag | None, first: Tensor, two: Tag | None, second: Tensor) -> Tag | None:
    """What a matrix product makes of weights some of which were set to 0. A product with a vector may be any sum."""
    if one is not None and one.mean and isinstance(second, nn.Parameter):
        uses_mean(watch, first, one)
    elif min(first.dim(), second.dim()) >= 2:
        if one is not None and _is_cut(one) and one.axis == first.dim() - 1:
            return _sum_after_cut(one)
        if two is not None and _is_cut(two) and two.axis == second.dim() - 2:
            return _sum_after_cut(two)
    return None


def _is_cut(tag: Tag) -> bool:
    return tag.meaning is PROBS and tag.cut is not None


def _sum_after_cut(tag: Tag) -> Tag:
    return Tag(None, None, tag.site, cut=tag.cut, mean=True)


def _may_be_any(tag: Tag | None) -> bool:
    """Whether nothing is known that makes a sum of products with such values more than a score."""
    return tag is None or tag.meaning is LOGITS


def _mixed(weights: Tag, first: Tensor, rows: Tag, second: Tensor, result: Tensor) -> Tag | None:
    """What weights that sum to 1 make of rows of probabilities: their means are probabilities again."""
    if weights.meaning is not PROBS or weights.axis != first.dim() - 1 or second.dim() < 2:
        return None
    return _mean_of(weights, rows, result.dim() - 1 if rows.axis == second.dim() - 1 else None)


def _mean_of(weights: Tag, rows: Tag, axis: int | None) -> Tag | None:
    """Means of rows, with weights that sum to 1. axis: where that of the rows' law is in the means; None where it is lost."""
    if rows.meaning is PROBS and axis is not None:
        by_hand = weights.by_hand or rows.by_hand
        return rows._replace(axis=axis, scaled=weights.scaled or rows.scaled, by_hand=by_hand, cut=None, parts=None)
    return rows.loosely()._replace(by_hand=weights.by_hand) if rows.meaning is UNIT and not weights.scaled else None


def contraction(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """einsum(equation, *operands). One that sums rows of probabilities, with weights that sum to 1, gives probabilities."""
    operands = args[1] if len(args) == 2 and isinstance(args[1], list | tuple) else args[1:]
    for operand in operands:
        _check_weights(watch, operand)
    result = function(*args, **kwargs)
    known = {place: tag for place, operand in enumerate(operands) if (tag := watch.tags.of(operand)) is not None}
    is_layer = any(isinstance(operand, nn.Parameter) and operand.dim() > 1 for operand in operands)
    if (known or is_layer) and len(operands) == 2 and isinstance(args[0], str):
        letters = axes.letters_of(args[0], tuple(operand.dim() for operand in operands))
        if letters is not None and is_layer:
            watch.tags.put(result, _of_layer(watch, operands, letters))
        for place, tag in known.items():
            if letters is not None and _averages(tag, letters, place):
                watch.tags.put(result, _averaged(tag, known.get(1 - place), letters, place))
    return result


def _of_layer(watch: Watch, operands: Sequence[Tensor], letters: axes.Letters) -> Tag | None:
    """What an einsum with a parameter gives: the axis that the parameter alone has is that of a layer's outputs."""
    place = next(place for place, operand in enumerate(operands) if isinstance(operand, nn.Parameter))
    own = [letter for letter in letters.result if letter not in letters.operands[1 - place]]
    is_affine = len(own) == 1 and letters.summed and letters.summed <= {*letters.operands[place]}
    return Tag(LOGITS, letters.result.index(own[0]), watch.here()) if is_affine else None


def _averaged(weights: Tag, rows: Tag | None, letters: axes.Letters, place: int) -> Tag | None:
    """What an einsum makes of weights and rows. place: of the weights among the operands."""
    of_weights, of_rows = letters.operands[place], letters.operands[1 - place]
    if weights.cut is not None:
        return _sum_after_cut(weights) if set(of_rows) - set(of_weights) else None
    if rows is None:
        return None
    letter = of_rows[rows.axis] if rows.axis is not None else ""
    kept = letter != "" and letter in letters.result and letter not in of_weights
    return _mean_of(weights, rows, letters.result.index(letter) if kept else None)


def _averages(weights: Tag, letters: axes.Letters, place: int) -> bool:
    """Whether an einsum sums over the axis along which these weights sum to 1, which the other operand has, and over no other."""
    if weights.meaning is not PROBS or weights.axis is None:
        return False
    summed = letters.operands[place][weights.axis]
    return summed in letters.operands[1 - place] and letters.summed == {summed}


def scores(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """cdist, cosine_similarity: how near two computed things are. A table of learned centres may be that of a density."""
    first, second = first_of(args, kwargs), argument(args, kwargs, 1, "x2")
    result = function(*args, **kwargs)
    if _are_computed(first, second):
        watch.tags.put(result, Tag(LOGITS, None, watch.here()))
    return result


def _are_computed(*tensors: Any) -> bool:
    """Whether all come from layers, and none is a parameter or data."""
    return all(isinstance(each, Tensor) and each.grad_fn is not None for each in tensors)


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
            site = tag.site if meaning is tag.meaning else watch.here()
            watch.tags.put(result, Tag(meaning, tag.axis, site, others=tag.others, by_hand=by_hand, made=made))
        elif is_exp and (result.requires_grad or (tag is not None and tag.meaning is PROBS)):
            exponents = tag if tag is not None and tag.meaning is PROBS and tag.masked is None else None
            watch.tags.put(result, Tag(None, None, watch.here(), rate=result.requires_grad, exponents=exponents))
        elif is_log:
            watch.tags.put(result, Tag(None, None, watch.here(), logged=True))
        return result

    is_log, is_exp = row.verb == "log", row.verb == "exp"
    return effect


_DISTRIBUTIONS = f"torch{os.sep}distributions{os.sep}"
"""The folder of torch's distributions, where a call comes from one of them."""


def normalises(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """Of logsumexp: what it is subtracted from becomes log-probabilities. Torch's Categorical does so with its logits."""
    source = first_of(args, kwargs)
    tag = watch.tags.of(source)
    if tag is not None and (tag.meaning is UNIT or (tag.meaning is PROBS and tag.axis == source.dim() - 1)):
        distribution = _distribution_that_gets(source)
        if distribution is not None and not evidence.refuted(tag, source):
            watch.found(PROBS_AS_LOGITS, distribution, "logits", source, tag)
            return function(*args, **kwargs)
    result = function(*args, **kwargs)
    note_total(watch, LOG_PROBS, result, args, kwargs)
    return result


def broadcasts(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """broadcast_tensors(*tensors), by which a Bernoulli, Binomial, Geometric, ... takes its logits.

    They are reported where the distribution is made, and are known no more, so that its likelihood is not reported once more.
    """
    results = function(*args, **kwargs)
    for source, result in zip(args, results, strict=False):
        tag = watch.tags.of(source)
        if tag is not None:
            watch.tags.put(result, tag if result.shape == source.shape else None)
        if tag is not None and tag.meaning in (PROBS, UNIT) and not evidence.refuted(tag, source):
            distribution = _distribution_that_gets(source)
            if distribution is not None:
                watch.tags.put(result, None)
                watch.found(PROBS_AS_LOGITS, distribution, "logits", source, tag)
    return results


def _distribution_that_gets(logits: Tensor) -> str | None:
    """The distribution of torch that is being made of these logits; None where none is."""
    frame = sys._getframe(2)  # noqa: SLF001 (inspect.stack would read source files)
    for _ in range(_FRAMES):
        code = frame.f_code
        if code.co_name == "__init__" and _DISTRIBUTIONS in code.co_filename and frame.f_locals.get("logits") is logits:
            return code.co_qualname.partition(".")[0]
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


_FRAMES = 8
"""How far up a distribution's constructor may be: the mode, torch's dispatch and a helper lie between."""
