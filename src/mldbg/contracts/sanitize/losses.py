"""What each loss of torch takes, and what it means when something else comes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

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
)
from mldbg.contracts.sanitize.making import SINGLE_LOGIT
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Misuse, Watch
from mldbg.semantics import Semantic

Proof = Callable[[Tag, Tensor, int | None], bool]
"""(tag, tensor, class axis) -> whether the values allow, or show, what the tag says."""


def not_refuted(tag: Tag, tensor: Tensor, axis: int | None) -> bool:
    """Enough where an activation fixed the meaning: the values only must not contradict it."""
    return not evidence.refuted(tag, tensor)


def outside_unit_interval(tag: Tag, tensor: Tensor, axis: int | None) -> bool:
    """Needed where the output of a layer *may* be a probability."""
    return evidence.leaves_unit_interval(tag, tensor)


def not_log_probs(tag: Tag, tensor: Tensor, axis: int | None) -> bool:
    """Needed where the output of a layer *may* be normalised."""
    return evidence.is_not_log_probs(tensor.dim() - 1 if axis is None else axis, tensor)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A meaning that a loss must not get: the misuse it is, and the proof it takes."""

    misuse: Misuse
    proof: Proof = not_refuted


_LOGITS = LOGITS.words
_SOFTMAX_CE = Misuse(
    "softmax-before-cross-entropy",
    "cross-entropy gets probabilities: softmax is applied twice",
    _LOGITS,
    "pass the logits: drop the softmax before the loss and apply it only for predictions",
)
_SIGMOID_CE = "sigmoid-before-cross-entropy"
_SIGMOID_CE_ADVICE = "pass the last linear layer's output; for independent labels use binary_cross_entropy_with_logits"
_LOG_SOFTMAX_CE = Misuse(
    "log-softmax-before-cross-entropy",
    "cross-entropy gets log-probabilities: log-softmax is computed twice",
    _LOGITS,
    "pass the logits, or use nll_loss on the log-probabilities",
)
_SIGMOID_BCE = Misuse(
    "sigmoid-before-bce-with-logits",
    "binary cross-entropy with logits gets probabilities: sigmoid is applied on top",
    _LOGITS,
    "pass the logits: drop the activation before the loss and apply it only for predictions",
)

CROSS_ENTROPY: Mapping[Semantic, Wrong] = {
    PROBS: Wrong(_SOFTMAX_CE),
    LOG_PROBS: Wrong(_LOG_SOFTMAX_CE),
    **{
        meaning: Wrong(
            Misuse(_SIGMOID_CE, f"cross-entropy gets {meaning.words} where it expects logits", _LOGITS, _SIGMOID_CE_ADVICE)
        )
        for meaning in (UNIT, NON_NEGATIVE)
    },
}
WITH_LOGITS: Mapping[Semantic, Wrong] = {PROBS: Wrong(_SIGMOID_BCE), UNIT: Wrong(_SIGMOID_BCE)}
BINARY: Mapping[Semantic, Wrong] = {
    meaning: Wrong(
        Misuse(
            "bce-on-logits",
            f"binary cross-entropy gets {meaning.words} where it expects probabilities",
            "probabilities",
            "use BCEWithLogitsLoss / binary_cross_entropy_with_logits, which applies the sigmoid itself",
        ),
        outside_unit_interval,
    )
    for meaning in (LOGITS, LOG_PROBS, NON_NEGATIVE)
}


def _not_logged(rule: str, name: str, advice: str) -> Mapping[Semantic, Wrong]:
    """A loss that takes log-probabilities."""

    def wrong(meaning: Semantic, proof: Proof) -> Wrong:
        message = f"{name} gets {meaning.words} where it expects log-probabilities"
        return Wrong(Misuse(rule, message, LOG_PROBS.words, advice), proof)

    activations = {meaning: wrong(meaning, not_refuted) for meaning in (PROBS, UNIT, NON_NEGATIVE)}
    return {**activations, LOGITS: wrong(LOGITS, not_log_probs)}


NLL = _not_logged(
    "nll-without-log-probs", "negative log-likelihood", "use cross_entropy on the logits, or log_softmax before nll_loss"
)
KL = _not_logged(
    "kl-div-without-log-probs", "kl_div", "apply log_softmax to the prediction, which comes first; the target comes second"
)
CTC = _not_logged("ctc-without-log-probs", "ctc_loss", "apply log_softmax(dim=-1) to the scores before ctc_loss")

_OVER_BATCH = Misuse(
    "softmax-over-batch",
    "log-softmax ran over the samples of the batch, the loss expects it over the classes",
    "log-probabilities along the class axis",
    "give log_softmax the class axis: dim=1, or dim=-1 where classes come last",
)
_WRONG_AXIS = Misuse(
    "wrong-class-axis",
    "log-softmax ran over another axis than the loss takes for the classes",
    "log-probabilities along the class axis",
    "give log_softmax the class axis, or move the classes to axis 1 before the loss",
)


def class_axis(tensor: Tensor) -> int:
    """Where torch's classification losses look for the classes: (C), (N, C) or (N, C, d1, ...)."""
    return 1 if tensor.dim() > 1 else 0


def last_axis(tensor: Tensor) -> int:
    """Where `ctc_loss` looks for the classes: (T, N, C)."""
    return tensor.dim() - 1


def loss(name: str, wrong: Mapping[Semantic, Wrong], axis_of: Callable[[Tensor], int] | None = None) -> Effect:
    """A loss whose first argument must have one meaning. axis_of: where it looks for the classes, if it does."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensor = argument(args, kwargs, 0, "input", "log_probs")
        tag = watch.tags.of(tensor)
        if tag is not None:
            axis = axis_of(tensor) if axis_of is not None else None
            target = argument(args, kwargs, 1, "target", "targets")
            if not (tag.axis == 0 and tag.meaning is LOG_PROBS and _pairs(tensor, target)):
                _check(watch, name, wrong, tensor, tag, axis)
        return function(*args, **kwargs)

    return effect


def _pairs(tensor: Tensor, target: Any) -> bool:
    """Whether sample i belongs to class i, as in a contrastive loss: similarities get a softmax in both directions."""
    is_square = tensor.dim() == 2 and tensor.shape[0] == tensor.shape[1]
    return is_square and isinstance(target, Tensor) and evidence.counts_up(target)


def _check(watch: Watch, name: str, wrong: Mapping[Semantic, Wrong], tensor: Tensor, tag: Tag, axis: int | None) -> None:
    seen = wrong.get(tag.meaning)
    words = _axes_in_words(tag, axis)
    if axis is not None and tag.meaning is LOG_PROBS and tag.axis not in (None, axis):
        if not_log_probs(tag, tensor, axis) and not_refuted(tag, tensor, axis):
            misuse = _OVER_BATCH if tag.axis == 0 and tensor.dim() == 2 else _WRONG_AXIS
            watch.found(misuse, name, "input", tensor, tag, words)
    elif seen is not None:
        if watch.listens_to(seen.misuse.rule) and seen.proof(tag, tensor, axis):
            watch.found(seen.misuse, name, "input", tensor, tag, words)
    elif tag.meaning is LOGITS and wrong is CROSS_ENTROPY and axis is not None and tag.axis == axis and tensor.shape[axis] == 1:
        watch.found(SINGLE_LOGIT, name, "input", tensor, tag, f"axis {axis} (classes), of size 1")


def _axes_in_words(tag: Tag, axis: int | None) -> str:
    if axis is None:
        return ""
    ran = f"; the activation ran over axis {tag.axis}" if tag.axis not in (None, axis) else ""
    return f"axis {axis} (classes){ran}"


_KL_TARGET = "kl-div-log-target"
_TARGET_IS_LOGGED = Wrong(
    Misuse(
        _KL_TARGET,
        "kl_div gets log-probabilities as its target, and log_target is not set",
        PROBS.words,
        "set log_target=True, or pass the probabilities",
    )
)
_TARGET_IS_NOT_LOGGED = Wrong(
    Misuse(
        _KL_TARGET,
        "kl_div gets probabilities as its target, and log_target says that they are logged",
        LOG_PROBS.words,
        "drop log_target=True, or pass the log-probabilities",
    )
)
KL_TARGET: Mapping[Semantic, Wrong] = {LOG_PROBS: _TARGET_IS_LOGGED}
KL_LOG_TARGET: Mapping[Semantic, Wrong] = {PROBS: _TARGET_IS_NOT_LOGGED, UNIT: _TARGET_IS_NOT_LOGGED}


def divergence(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """kl_div: the first argument is logged; of the second `log_target` says so."""
    tensor, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
    tag, of_target = watch.tags.of(tensor), watch.tags.of(target)
    if tag is not None:
        _check(watch, "kl_div", KL, tensor, tag, None)
    if of_target is not None:
        wrong = (KL_LOG_TARGET if kwargs.get("log_target") else KL_TARGET).get(of_target.meaning)
        if wrong is not None and wrong.proof(of_target, target, None):
            watch.found(wrong.misuse, "kl_div", "target", target, of_target)
    return function(*args, **kwargs)


_BROADCAST = Misuse(
    "broadcast-loss",
    "a column (N, 1) is compared with a row (N): every prediction meets every target",
    "prediction and target of the same shape",
    "squeeze(-1) the one that has the extra axis",
)


def elementwise(name: str) -> Effect:
    """A loss that compares prediction and target value by value, and broadcasts them."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensor, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
        if isinstance(tensor, Tensor) and isinstance(target, Tensor) and tensor.dim() != target.dim():
            column, row = (tensor, target) if tensor.dim() > target.dim() else (target, tensor)
            if row.dim() and row.shape[-1] > 1 and column.shape == (*row.shape, 1):
                tag = watch.tags.of(tensor) or watch.tags.of(target)
                watch.found(_BROADCAST, name, "input", tensor, tag, f"{tuple(tensor.shape)} against {tuple(target.shape)}")
        return function(*args, **kwargs)

    return effect
