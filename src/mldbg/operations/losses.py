"""What each loss of torch takes and applies, and what each misuse of one, or of an activation, is called and means.

The linter, `sanitize` and the bench read the same rows, so that a misuse has one name wherever it is seen. The linter and
`sanitize` say it in the sentence of its row; the bench says what it measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from mldbg.operations.effect import ClassAxis, Loss
from mldbg.semantics import Semantic

LOGITS, PROBS, LOG_PROBS = Semantic.LOGITS, Semantic.PROBS, Semantic.LOG_PROBS
UNIT, NON_NEGATIVE = Semantic.UNIT_INTERVAL, Semantic.NON_NEGATIVE

# ----------------------------------------------------------------------------------------------------------------- the losses
_OLD_REDUCTION = ("size_average", "reduce", "reduction")
_PAIR = ("input", "target", *_OLD_REDUCTION)
_WEIGHTED = ("input", "target", "weight", *_OLD_REDUCTION)


def _rows() -> Iterable[Loss]:
    classes = ("input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction")
    yield Loss("cross_entropy", "CrossEntropyLoss", (*classes, "label_smoothing"), LOGITS, "log-softmax", ClassAxis.SECOND)
    yield Loss("nll_loss", "NLLLoss", classes, LOG_PROBS, class_axis=ClassAxis.SECOND, fused="cross_entropy")
    yield Loss("kl_div", "KLDivLoss", (*_PAIR, "log_target"), LOG_PROBS)
    yield Loss(
        "ctc_loss",
        "CTCLoss",
        ("log_probs", "targets", "input_lengths", "target_lengths", "blank", "reduction", "zero_infinity"),
        LOG_PROBS,
        class_axis=ClassAxis.LAST,
    )
    yield Loss("binary_cross_entropy", "BCELoss", _WEIGHTED, UNIT, fused="binary_cross_entropy_with_logits")
    yield Loss("binary_cross_entropy_with_logits", "BCEWithLogitsLoss", (*_WEIGHTED, "pos_weight"), LOGITS, "sigmoid")
    yield Loss("multilabel_soft_margin_loss", "MultiLabelSoftMarginLoss", _WEIGHTED, LOGITS, "sigmoid")
    yield Loss("mse_loss", "MSELoss", (*_PAIR, "weight"), elementwise=True)
    yield Loss("l1_loss", "L1Loss", (*_PAIR, "weight"), elementwise=True)
    yield Loss("smooth_l1_loss", "SmoothL1Loss", (*_PAIR, "beta"), elementwise=True)
    yield Loss("huber_loss", "HuberLoss", ("input", "target", "reduction", "delta", "weight"), elementwise=True)
    yield Loss(
        "poisson_nll_loss",
        "PoissonNLLLoss",
        ("input", "target", "log_input", "full", "size_average", "eps", "reduce", "reduction"),
    )
    yield Loss("gaussian_nll_loss", "GaussianNLLLoss", ("input", "target", "var", "full", "eps", "reduction"))
    yield Loss("hinge_embedding_loss", "HingeEmbeddingLoss", ("input", "target", "margin", *_OLD_REDUCTION))
    yield Loss("soft_margin_loss", "SoftMarginLoss", _PAIR)
    yield Loss("multi_margin_loss", "MultiMarginLoss", ("input", "target", "p", "margin", "weight", *_OLD_REDUCTION))
    yield Loss("multilabel_margin_loss", "MultiLabelMarginLoss", _PAIR)
    yield Loss("cosine_embedding_loss", "CosineEmbeddingLoss", ("input1", "input2", "target", "margin", *_OLD_REDUCTION))
    yield Loss("margin_ranking_loss", "MarginRankingLoss", ("input1", "input2", "target", "margin", *_OLD_REDUCTION))
    yield Loss(
        "triplet_margin_loss",
        "TripletMarginLoss",
        ("anchor", "positive", "negative", "margin", "p", "eps", "swap", *_OLD_REDUCTION),
    )


LOSSES: Mapping[str, Loss] = {loss.name: loss for loss in _rows()}
"""By the name of the function in `torch.nn.functional`."""

OLD_CLASSES: Mapping[str, str] = {"NLLLoss2d": "nll_loss"}
"""Classes of `torch.nn` that older code builds for a loss."""

MADE_OF: Mapping[str, str] = {
    "torch.nn.functional.log_softmax": "cross_entropy",
    "torch.log_softmax": "cross_entropy",
    "torch.Tensor.log_softmax": "cross_entropy",
    "torch.nn.functional.logsigmoid": "binary_cross_entropy_with_logits",
}
"""Functions of which people build a loss of their own, and the loss whose input they take."""


# --------------------------------------------------------------------------------------------------------------- the misuses
class Proof(Enum):
    """What the values must show, where they can be read, before a meaning counts as misused."""

    NOT_REFUTED = "they do not contradict the meaning: an activation fixed it"
    OUTSIDE_UNIT_INTERVAL = "one of them is outside [0, 1]: the output of a layer may be a probability by chance"
    NOT_LOG_PROBS = "their exponentials do not sum to 1: the output of a layer may be normalised"


class Remedy(Enum):
    """Which change of the program repairs it, where one does that plainly."""

    DROP_ACTIVATION = "the activation before the loss goes"
    LOG_ACTIVATION = "a softmax before the loss becomes a log-softmax"
    FUSED_LOSS = "the loss becomes the one that takes logits"


@dataclass(frozen=True, slots=True)
class Case:
    """One meaning that must not come, and what follows from it."""

    proof: Proof = Proof.NOT_REFUTED
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Misuse:
    """A meaning where another one belongs.

    Attributes:
        rule: its name, in all readers.
        message: what happens, in one line. `{meaning}` stands for the words of the meaning that came; `{activation}` and
            `{stable}` for the activation that makes it and the function that computes its logarithm; `{what}` for who takes the
            class axis.
        hint: what to do about it; it may hold the same words in braces.
        expected: what belongs there.
        at: names of the losses that get it. Those of other functions are their readers' business.
        gets: the meanings that make it a misuse.
        parameter: which argument is meant.
        last: the last step of the path.
        optional: it is wasteful or fragile and gives the right numbers, so `sanitize` is silent unless asked for it.
    """

    rule: str
    message: str
    hint: str
    expected: str
    at: tuple[str, ...] = ()
    gets: Mapping[Semantic, Case] = field(default_factory=dict)
    parameter: str = "input"
    last: str = ""
    optional: bool = False

    def message_on(self, meaning: Semantic | None, **words: str) -> str:
        """What happens where this meaning comes."""
        return self.message.format_map(_words(meaning) | words)

    def hint_on(self, meaning: Semantic | None, **words: str) -> str:
        """What to do where this meaning comes."""
        return self.hint.format_map(_words(meaning) | words)

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The losses that get it."""
        return tuple(LOSSES[name] for name in self.at)


def _words(meaning: Semantic | None) -> dict[str, str]:
    activation, stable = _ACTIVATIONS.get(meaning, ("softmax or sigmoid", "log_softmax or logsigmoid"))
    return {"meaning": meaning.words if meaning is not None else "a tensor", "activation": activation, "stable": stable}


_ACTIVATIONS: Mapping[Semantic | None, tuple[str, str]] = {PROBS: ("softmax", "log_softmax"), UNIT: ("sigmoid", "logsigmoid")}

_NOT_LOGGED: Mapping[Semantic, Case] = {
    PROBS: Case(remedy=Remedy.LOG_ACTIVATION),
    UNIT: Case(),
    NON_NEGATIVE: Case(),
}
_LOGGED_ALONG_CLASSES = "log-probabilities along the class axis"

OVER_BATCH = Misuse(
    "softmax-over-batch",
    "log-softmax ran over the batch, but the loss expects it over the classes",
    "apply log_softmax along the class axis: dim=1, or dim=-1 if classes come last",
    _LOGGED_ALONG_CLASSES,
    at=("cross_entropy", "nll_loss", "ctc_loss"),
)
WRONG_AXIS = Misuse(
    "wrong-class-axis",
    "log-softmax ran over a different axis than the class axis of the loss",
    "apply log_softmax along the class axis, or move the classes to axis 1 before the loss",
    _LOGGED_ALONG_CLASSES,
    at=("cross_entropy", "nll_loss", "ctc_loss"),
)
BROADCAST = Misuse(
    "broadcast-loss",
    "a column (N, 1) is compared with a row (N): every prediction is paired with every target",
    "apply squeeze(-1) to the one with the extra axis",
    "prediction and target of equal shape",
    at=tuple(loss.name for loss in LOSSES.values() if loss.elementwise),
)
SINGLE_LOGIT = Misuse(
    "single-logit-softmax",
    "{what} over a class axis of size one is constant: nothing is learned",
    "use one output with sigmoid and binary cross-entropy, or as many outputs as classes",
    "two or more classes, with one logit each",
    at=("cross_entropy",),
    last="{what} over its only column",
)
SOFTMAX_OF_PROBS = Misuse(
    "softmax-of-probabilities",
    "softmax is applied to probabilities: the result is nearly uniform",
    "apply softmax only once: drop it here, or where the probabilities are produced",
    LOGITS.words,
    gets={PROBS: Case()},
)
SIGMOID_OF_PROBS = Misuse(
    "sigmoid-of-probabilities",
    "sigmoid is applied to probabilities: the result lies between 0.5 and 0.73",
    "apply sigmoid only once: drop it here, or where the probabilities are produced",
    LOGITS.words,
    gets={UNIT: Case()},
)
LOG_OF_SOFTMAX = Misuse(
    "log-of-softmax",
    "logarithm of a {activation}: -inf where the {activation} underflows to 0",
    "use {stable}, which computes the same value directly from the logits",
    "values that cannot underflow",
    gets={PROBS: Case(), UNIT: Case()},
    last="its logarithm is taken",
    optional=True,
)
MASK_AFTER_SOFTMAX = Misuse(
    "mask-after-softmax",
    "the mask is applied after the softmax: the weighted mean is infinite or NaN where something is masked",
    "apply the mask (-inf) to the scores, then apply softmax",
    "a mask on the scores, before the softmax",
)
CUT_AFTER_SOFTMAX = Misuse(
    "mask-after-softmax",
    "the mask is applied after the softmax: the weights that are left do not sum to 1",
    "apply the mask (-inf) to the scores, then apply softmax; or divide the weights by their sum",
    "a mask on the scores, before the softmax",
)
PROBS_AS_LOGITS = Misuse(
    "probs-as-logits",
    "a distribution gets probabilities as its logits: it is nearly uniform",
    "pass them as probs=, or pass the logits",
    "logits (unbounded values), or log-probabilities",
    gets={PROBS: Case(), UNIT: Case()},
)
KEPT_AS_DROPPED = Misuse(
    "inverted-attention-mask",
    "a position is left out where the mask is True, but it is True where positions take part",
    "invert it (~mask): nn.MultiheadAttention, nn.Transformer and masked_fill leave out where True, "
    "scaled_dot_product_attention and Hugging Face keep",
    Semantic.DROP_MASK.words,
    gets={Semantic.KEEP_MASK: Case()},
    parameter="attn_mask",
)
DROPPED_AS_KEPT = Misuse(
    "inverted-attention-mask",
    "a position takes part where the mask is True, but it is True where positions are left out",
    "invert it (~mask): scaled_dot_product_attention and Hugging Face keep where True, "
    "nn.MultiheadAttention, nn.Transformer and masked_fill leave out",
    Semantic.KEEP_MASK.words,
    gets={Semantic.DROP_MASK: Case()},
    parameter="attn_mask",
)
TARGET_IS_LOGGED = Misuse(
    "kl-div-log-target",
    "kl_div gets log-probabilities as its target, but log_target is not set",
    "set log_target=True, or pass the probabilities",
    PROBS.words,
    at=("kl_div",),
    gets={LOG_PROBS: Case()},
    parameter="target",
)
TARGET_IS_NOT_LOGGED = Misuse(
    "kl-div-log-target",
    "kl_div gets probabilities as its target, but log_target=True says they are log-probabilities",
    "drop log_target=True, or pass the log-probabilities",
    LOG_PROBS.words,
    at=("kl_div",),
    gets={PROBS: Case(), UNIT: Case()},
    parameter="target",
)
RATE_AS_LOGARITHM = Misuse(
    "poisson-log-input",
    "the Poisson loss gets a rate, but log_input=True, which is the default, says it is the logarithm of one",
    "pass log_input=False, or pass the values before the exponential",
    "the logarithm of a rate",
    gets={NON_NEGATIVE: Case()},
)
LOGARITHM_AS_RATE = Misuse(
    "poisson-log-input",
    "the Poisson loss gets {meaning}, but log_input=False says it is a rate: the logarithm of a negative one is NaN",
    "drop log_input=False, or pass the exponential of the values",
    "a rate (at least 0)",
    gets={LOGITS: Case(), LOG_PROBS: Case()},
)

MISUSES: tuple[Misuse, ...] = (
    Misuse(
        "softmax-before-cross-entropy",
        "cross-entropy gets probabilities: softmax is applied twice",
        "pass the logits: drop the softmax before the loss and apply it only for predictions",
        LOGITS.words,
        at=("cross_entropy",),
        gets={PROBS: Case(remedy=Remedy.DROP_ACTIVATION)},
        last="cross-entropy applies log-softmax to it",
    ),
    Misuse(
        "log-softmax-before-cross-entropy",
        "cross-entropy gets log-probabilities: log-softmax is computed twice",
        "pass the logits, or use nll_loss on the log-probabilities",
        LOGITS.words,
        at=("cross_entropy",),
        gets={LOG_PROBS: Case(remedy=Remedy.DROP_ACTIVATION)},
        last="cross-entropy applies log-softmax to it",
        optional=True,
    ),
    Misuse(
        "sigmoid-before-cross-entropy",
        "cross-entropy gets {meaning} where it expects logits",
        "pass the last linear layer's output; for independent labels use binary_cross_entropy_with_logits",
        LOGITS.words,
        at=("cross_entropy",),
        gets={UNIT: Case()},
        last="cross-entropy interprets it as logits",
    ),
    Misuse(
        "relu-before-cross-entropy",
        "cross-entropy gets {meaning} where it expects logits",
        "pass the last linear layer's output: no activation belongs between it and the loss",
        LOGITS.words,
        at=("cross_entropy",),
        gets={NON_NEGATIVE: Case()},
        last="cross-entropy interprets it as logits",
    ),
    Misuse(
        "sigmoid-before-bce-with-logits",
        "binary cross-entropy with logits gets probabilities: sigmoid is applied on top of them",
        "pass the logits: drop the activation before the loss and apply it only for predictions",
        LOGITS.words,
        at=("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss"),
        gets={PROBS: Case(remedy=Remedy.DROP_ACTIVATION), UNIT: Case(remedy=Remedy.DROP_ACTIVATION)},
        last="the loss applies sigmoid to it",
    ),
    Misuse(
        "bce-on-logits",
        "binary cross-entropy gets {meaning} where it expects probabilities",
        "use BCEWithLogitsLoss / binary_cross_entropy_with_logits, which applies the sigmoid itself",
        PROBS.words,
        at=("binary_cross_entropy",),
        gets={
            LOGITS: Case(Proof.OUTSIDE_UNIT_INTERVAL, Remedy.FUSED_LOSS),
            LOG_PROBS: Case(Proof.OUTSIDE_UNIT_INTERVAL),
            NON_NEGATIVE: Case(Proof.OUTSIDE_UNIT_INTERVAL),
        },
        last="binary cross-entropy takes its logarithm",
    ),
    Misuse(
        "nll-without-log-probs",
        "negative log-likelihood gets {meaning} where it expects log-probabilities",
        "use cross_entropy on the logits, or log_softmax before nll_loss",
        LOG_PROBS.words,
        at=("nll_loss",),
        gets={**_NOT_LOGGED, LOGITS: Case(Proof.NOT_LOG_PROBS, Remedy.FUSED_LOSS)},
        last="nll_loss interprets it as log-probabilities",
    ),
    Misuse(
        "kl-div-without-log-probs",
        "kl_div gets {meaning} as its first argument, where it expects log-probabilities",
        "apply log_softmax to the prediction; the target is the second argument",
        LOG_PROBS.words,
        at=("kl_div",),
        gets={**_NOT_LOGGED, LOGITS: Case(Proof.NOT_LOG_PROBS)},
        last="kl_div interprets it as log-probabilities",
    ),
    Misuse(
        "ctc-without-log-probs",
        "ctc_loss gets {meaning} where it expects log-probabilities",
        "apply log_softmax(dim=-1) to the scores before ctc_loss",
        LOG_PROBS.words,
        at=("ctc_loss",),
        gets={**_NOT_LOGGED, LOGITS: Case(Proof.NOT_LOG_PROBS)},
        parameter="log_probs",
        last="ctc_loss interprets it as log-probabilities",
    ),
    TARGET_IS_LOGGED,
    TARGET_IS_NOT_LOGGED,
    OVER_BATCH,
    WRONG_AXIS,
    BROADCAST,
    SINGLE_LOGIT,
    SOFTMAX_OF_PROBS,
    SIGMOID_OF_PROBS,
    LOG_OF_SOFTMAX,
    MASK_AFTER_SOFTMAX,
    KEPT_AS_DROPPED,
    DROPPED_AS_KEPT,
    CUT_AFTER_SOFTMAX,
    PROBS_AS_LOGITS,
    RATE_AS_LOGARITHM,
    LOGARITHM_AS_RATE,
)


def misuse_of(loss: Loss, meaning: Semantic | None) -> Misuse | None:
    """The misuse it is when a loss gets this meaning as its first argument; None where it is none."""
    return next(
        (each for each in MISUSES if loss.name in each.at and each.parameter == loss.params[0] and meaning in each.gets), None
    )


def misuse_named(rule: str) -> Misuse:
    """The misuse that a rule of the linter is about. Raises KeyError where there is none."""
    found = next((each for each in MISUSES if each.rule == rule), None)
    if found is None:
        raise KeyError(rule)
    return found
