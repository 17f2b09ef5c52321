"""Losses on real tensors: what the shared rows say they take, held against the tags and the values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from mldbg.contracts.sanitize import evidence
from mldbg.contracts.sanitize.carrying import comes_from_any_weights
from mldbg.contracts.sanitize.effect import LOG_PROBS, LOGITS, NON_NEGATIVE, UNIT, Arguments, Effect, Function, Keywords, argument
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.effect import ClassAxis, Loss
from mldbg.operations.losses import (
    BROADCAST,
    LOGARITHM_AS_RATE,
    OVER_BATCH,
    RATE_AS_LOGARITHM,
    SINGLE_LOGIT,
    TARGET_IS_LOGGED,
    TARGET_IS_NOT_LOGGED,
    WRONG_AXIS,
    Proof,
    misuse_of,
)
from mldbg.operations.shape import Shape, extra_axis

_Judge = Callable[[Tag, Tensor, int | None], bool]
"""(tag, tensor, class axis) -> whether the values allow, or show, what the tag says."""


def _not_refuted(tag: Tag, tensor: Tensor, axis: int | None) -> bool:
    return not evidence.refuted(tag, tensor)


def _outside_unit_interval(tag: Tag, tensor: Tensor, axis: int | None) -> bool:
    return evidence.leaves_unit_interval(tag, tensor) or (tag.meaning is LOGITS and comes_from_any_weights(tensor))


def _not_log_probs(tag: Tag, tensor: Tensor, axis: int | None) -> bool:
    return evidence.is_not_log_probs(tensor.dim() - 1 if axis is None else axis, tensor)


PROOFS: Mapping[Proof, _Judge] = {
    Proof.NOT_REFUTED: _not_refuted,
    Proof.OUTSIDE_UNIT_INTERVAL: _outside_unit_interval,
    Proof.NOT_LOG_PROBS: _not_log_probs,
}


def _axis_of(row: Loss, tensor: Tensor) -> int | None:
    match row.class_axis:
        case ClassAxis.SECOND:
            return 1 if tensor.dim() > 1 else 0
        case ClassAxis.LAST:
            return tensor.dim() - 1
        case None:
            return None


def loss(row: Loss) -> Effect:
    """A loss whose first argument must have one meaning."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensor = argument(args, kwargs, 0, row.params[0])
        tag = watch.tags.of(tensor)
        if tag is not None:
            target = argument(args, kwargs, 1, row.params[1])
            if tag.is_aside and tag.made is LOGITS and row.takes is UNIT:
                _check_squeezed(watch, row, tensor, tag)
            elif not (tag.meaning is LOG_PROBS and _pairs(tag, tensor, target)):
                _check(watch, row, tensor, tag)
        return function(*args, **kwargs)

    return effect


def _check_squeezed(watch: Watch, row: Loss, tensor: Tensor, tag: Tag) -> None:
    """Scores that were forced into [0, 1] by a clamp have no gradient where they were beyond."""
    misuse = misuse_of(row, LOGITS)
    if misuse is not None and tensor.requires_grad:
        watch.found(misuse, row.name, "input", tensor, tag)


def _pairs(tag: Tag, tensor: Tensor, target: Any) -> bool:
    """Whether sample i belongs to class i, as in a contrastive loss: similarities get a softmax in both directions.

    Several such squares may lie one below the other.
    """
    if tensor.dim() != 2 or not isinstance(target, Tensor):
        return False
    rows, classes = tensor.shape
    can_be = rows == classes if tag.axis == 0 else tag.axis is None and rows % max(classes, 1) == 0
    return can_be and evidence.counts_up(target, classes)


def _check(watch: Watch, row: Loss, tensor: Tensor, tag: Tag) -> None:
    axis = _axis_of(row, tensor)
    misuse = misuse_of(row, tag.meaning)
    if axis is not None and tag.meaning is LOG_PROBS and _ran_elsewhere(tag, axis):
        if _not_log_probs(tag, tensor, axis) and _not_refuted(tag, tensor, axis):
            elsewhere = OVER_BATCH if tag.axis == 0 and tensor.dim() == 2 else WRONG_AXIS
            watch.found(elsewhere, row.name, "input", tensor, tag, _axes_in_words(tag, axis))
    elif misuse is not None and tag.meaning is not None:
        if watch.listens_to(misuse.rule) and PROOFS[misuse.gets[tag.meaning].proof](tag, tensor, axis):
            watch.found(misuse_of(row, tag.made) or misuse, row.name, "input", tensor, tag, _axes_in_words(tag, axis))
    elif tag.meaning is LOGITS and row.name in SINGLE_LOGIT.at and _is_single(tensor, tag, axis):
        watch.found(SINGLE_LOGIT, row.name, "input", tensor, tag, f"axis {axis} (classes), of size 1")


def _ran_elsewhere(tag: Tag, axis: int) -> bool:
    """Whether the axis of the law is known to be another one, even where it is not known any more which."""
    return axis in tag.others if tag.axis is None else tag.axis != axis


def _is_single(tensor: Tensor, tag: Tag, axis: int | None) -> bool:
    """Whether the layer's outputs lie along the class axis, and there is one."""
    return axis is not None and axis == tag.axis and tensor.shape[axis] == 1


def _axes_in_words(tag: Tag, axis: int | None) -> str:
    if axis is None:
        return ""
    if not _ran_elsewhere(tag, axis):
        return f"axis {axis} (classes)"
    ran = f"axis {tag.axis}" if tag.axis is not None else "another axis, which was merged or taken from since"
    return f"axis {axis} (classes); the activation ran over {ran}"


def divergence(row: Loss) -> Effect:
    """kl_div: the first argument is logged; of the second `log_target` says so."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensor, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
        tag, of_target = watch.tags.of(tensor), watch.tags.of(target)
        if tag is not None:
            _check(watch, row, tensor, tag)
        if of_target is not None and of_target.meaning is not None:
            misuse = TARGET_IS_NOT_LOGGED if kwargs.get("log_target") else TARGET_IS_LOGGED
            case = misuse.gets.get(of_target.meaning)
            if case is not None and PROOFS[case.proof](of_target, target, None):
                watch.found(misuse, row.name, "target", target, of_target)
        return function(*args, **kwargs)

    return effect


def counts(row: Loss) -> Effect:
    """poisson_nll_loss: `log_input`, which is the usual, says that the first argument is the logarithm of a rate."""
    place = row.params.index("log_input")

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensor = argument(args, kwargs, 0, "input")
        tag = watch.tags.of(tensor)
        if tag is not None:
            if argument(args, kwargs, place, "log_input", default=True):
                if tag.rate and tensor.requires_grad and not evidence.is_negative(tensor):
                    watch.found(RATE_AS_LOGARITHM, row.name, "input", tensor, tag._replace(meaning=NON_NEGATIVE))
            elif tag.meaning in LOGARITHM_AS_RATE.gets and _may_be_negative(tag, tensor):
                watch.found(LOGARITHM_AS_RATE, row.name, "input", tensor, tag)
        return function(*args, **kwargs)

    return effect


def _may_be_negative(tag: Tag, tensor: Tensor) -> bool:
    is_free = tag.meaning is LOGITS and comes_from_any_weights(tensor)
    return is_free or tag.logged or evidence.is_negative(tensor)


def elementwise(loss: Loss) -> Effect:
    """A loss that compares prediction and target value by value, and broadcasts them.

    A table of all pairs that is meant has no reduction. So then only the one output of a layer is reported.
    """
    position = loss.params.index("reduction")

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensor, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
        if isinstance(tensor, Tensor) and isinstance(target, Tensor) and abs(tensor.dim() - target.dim()) == 1:
            column, row = (tensor, target) if tensor.dim() > target.dim() else (target, tensor)
            axis = extra_axis(Shape(tuple(column.shape)), Shape(tuple(row.shape)))
            is_table = argument(args, kwargs, position, "reduction") == "none"
            if axis is not None and not (is_table and not _is_output(watch.tags.of(column), column, axis)):
                tags = (watch.tags.of(tensor), watch.tags.of(target))
                tag = next((tag for tag in tags if tag is not None and tag.meaning is not None), None)
                watch.found(BROADCAST, loss.name, "input", tensor, tag, f"{tuple(tensor.shape)} against {tuple(target.shape)}")
        return function(*args, **kwargs)

    return effect


def _is_output(tag: Tag | None, column: Tensor, axis: int) -> bool:
    """Whether an axis is that of a layer's outputs, of which there is one."""
    return tag is not None and tag.meaning is LOGITS and tag.axis == axis % column.dim()
