from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.operations.losses import LOSSES, misuse_of
from mldbg.semantics import IGNORED_CLASS, Semantic
from mldbg.verify import draw
from mldbg.verify.bench import Bench, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import BCE, BCE_LOGITS, KL_DIV, LOG_PROBS, LOGITS, LossCall, loss_calls, probe_of

LOUD = 30.0
"""Weights are multiplied by this: real numbers grow out of the unit interval, and only what is squashed stays there."""

ROWS = 4
"""Fewer rows that happen to sum to 1 are no evidence."""


@dataclass(frozen=True, slots=True)
class _Fault:
    cause: str
    why: str
    next_step: str
    harmless: bool = False


class LossInputRange(Check):
    """what enters the loss is what the loss expects

    ## Why
    Cross-entropy and BCE-with-logits squash their input themselves. Given probabilities they squash twice: the loss can
    never come near 0, gradients are small, and training looks merely mediocre. NLLLoss and KLDivLoss want log-probabilities,
    and on anything else have no minimum. Nothing raises.

    ## Measures
    The tensors that reach torch's loss functions while the loss runs on the output of an untrained model. The statistic is the
    largest deviation of a row's sum from 1 (of exp of the values, where log-probabilities are wanted). Probabilities are rows
    within [0, 1] that sum to 1 within the rounding of their dtype: a fixed 1e-5 fails in bfloat16, whose rounding is 8e-3. A
    sigmoid needs two witnesses, as numbers may lie in [0, 1] by chance: the autograd graph names it, or the values still lie
    there, at both ends, when all weights are multiplied by 30.

    ## Causes
    - `softmax-before-cross-entropy`: cross-entropy, or a custom loss that applies softmax, gets probabilities.
    - `softmax-over-batch`: softmax was taken along the batch instead of the classes.
    - `sigmoid-before-cross-entropy`: cross-entropy gets values squashed to [0, 1] one by one.
    - `log-softmax-before-cross-entropy`: cross-entropy gets log-probabilities: the loss is correct, the work is done twice
      (warns).
    - `single-logit-softmax`: softmax or cross-entropy over one class is constant.
    - `sigmoid-before-bce-with-logits`: BCE-with-logits gets probabilities.
    - `bce-on-logits`: binary cross-entropy gets values outside [0, 1].
    - `nll-without-log-probs`: NLLLoss gets logits or probabilities.
    - `ctc-without-log-probs`: CTCLoss gets logits or probabilities.
    - `kl-div-without-log-probs`: KLDivLoss gets logits or probabilities as its input.
    - `targets-out-of-range`: the targets of a binary or soft-label loss are outside [0, 1]: the loss has no minimum.

    ## Limits
    It covers functions of torch, and custom losses that do not change when a constant is added to all logits.
    """

    id = "U6"
    stage = Stage.LOSS
    kind = Kind.EXACT
    after = ("input-range",)
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        calls = loss_calls(bench) or _of_own_softmax(bench)
        judged = [call for call in calls if call.given.ndim and call.given.numel()]
        if not judged:
            return self.skipped("the loss calls no function whose input has a known meaning", "use the losses of torch.nn")
        if not all(bool(torch.isfinite(call.given).all() | (call.given == -torch.inf).any()) for call in judged):
            return self.cannot_tell("what enters the loss is not finite", "see first-non-finite")
        loud = loss_calls(bench, LOUD)
        found: list[tuple[LossCall, _Fault]] = []
        for index, call in enumerate(judged):
            louder = loud[index].given if index < len(loud) and loud[index].name == call.name else None
            found += [(call, fault) for fault in _JUDGES.get(call.wants, _nothing)(call, louder, bench)]
        found.sort(key=lambda pair: pair[1].harmless)
        call = found[0][0] if found else judged[0]
        numbers: dict[str, Any] = {
            "figure": Figure(
                f"What enters {call.name}",
                lambda canvas: _drawn(canvas, call),
                "Left: the values; grey is the unit interval. Right: the sum over the classes, by row. Logits spread "
                "out on the left and miss 1 on the right; probabilities stay in the grey and sum to 1.",
            ),
            "statistic": _off_one(call),
            "null": _EXPECTED[call.wants],
            "threshold": _tolerance(call.given),
            "function": call.name,
            "made_by": call.made_by,
        }
        if not found:
            names = ", ".join(dict.fromkeys(each.name for each in judged))
            return self.passed(f"{names} gets what it expects: {_EXPECTED[call.wants]}", **numbers)
        fault = found[0][1]
        tell = self.warned if fault.harmless else self.failed
        return tell(fault.cause, fault.why, fault.next_step, **numbers)


_EXPECTED = {
    LOGITS: "logits, whose rows do not sum to 1",
    BCE_LOGITS: "logits, which leave the unit interval",
    BCE: "probabilities, in [0, 1]",
    LOG_PROBS: "log-probabilities: exp of a row sums to 1",
    KL_DIV: "log-probabilities: exp of a row sums to 1",
    "values": "values without a known range",
}


# ----------------------------------------------------------------------------------------------------------------- the judges
def _nothing(call: LossCall, louder: Tensor | None, bench: Bench) -> Iterator[_Fault]:
    yield from ()


def _logits(call: LossCall, louder: Tensor | None, bench: Bench) -> Iterator[_Fault]:
    given, axis = call.given, call.axis if call.axis is not None else -1
    if call.name == "cross_entropy" and call.target is not None and call.target.is_floating_point():
        yield from _soft_targets(call, axis)
    if given.shape[axis] == 1:
        yield _Fault(
            "single-logit-softmax",
            f"{call.name} runs over a class axis of length 1: its softmax is always 1, whatever the logit",
            "use binary_cross_entropy_with_logits, or one output per class",
        )
    elif _is_probs(given, axis):
        yield _Fault(
            "softmax-before-cross-entropy",
            f"every row that enters {call.name} is in [0, 1] and sums to 1 (within {_off_one(call):.1g}): softmax is "
            "applied twice",
            "remove the softmax from the model (apply it only where probabilities are displayed)",
        )
    elif call.made_by == "Softmax" and _is_over_batch(given, bench):
        yield _Fault(
            "softmax-over-batch",
            f"every column that enters {call.name} sums to 1: the softmax ran along the batch and mixes its rows",
            "remove the softmax from the model; where probabilities are displayed, apply it along the class axis",
        )
    elif _is_log_probs(given, axis) and call.made_by != "LogSigmoid":
        yield _Fault(
            "log-softmax-before-cross-entropy",
            f"exp of every row that enters {call.name} sums to 1: log-softmax is applied twice, which is redundant",
            "use nll_loss with log-probabilities, or cross_entropy with logits",
            harmless=True,
        )
    elif _is_squashed(call, louder):
        yield _Fault(
            "sigmoid-before-cross-entropy",
            f"all values entering {call.name} lie in [0, 1], each on its own: softmax then cannot express certainty",
            "remove the sigmoid; for several labels at once use binary_cross_entropy_with_logits",
        )


def _bce_logits(call: LossCall, louder: Tensor | None, bench: Bench) -> Iterator[_Fault]:
    yield from _binary_targets(call)
    squashed = _is_squashed(call, louder)
    if squashed or (call.given.ndim > 1 and call.given.shape[-1] > 1 and _is_probs(call.given, -1)):
        yield _Fault(
            "sigmoid-before-bce-with-logits",
            f"all values entering {call.name} lie in [0, 1]: the sigmoid inside maps them to [0.5, 0.73]",
            "remove the sigmoid from the model, or use binary_cross_entropy",
        )


def _bce(call: LossCall, louder: Tensor | None, bench: Bench) -> Iterator[_Fault]:
    yield from _binary_targets(call)
    low, high = float(call.given.min()), float(call.given.max())
    tolerance = _tolerance(call.given)
    if low < -tolerance or high > 1 + tolerance:
        yield _Fault(
            "bce-on-logits",
            f"values from {low:.3g} to {high:.3g} enter {call.name}, which expects probabilities",
            "use binary_cross_entropy_with_logits",
        )


def _log_probs(call: LossCall, louder: Tensor | None, bench: Bench) -> Iterator[_Fault]:
    axis = call.axis if call.axis is not None else -1
    if call.wants == KL_DIV and call.given.ndim > 1 and _is_log_probs(call.given, 1):
        return
    if not _is_log_probs(call.given, axis):
        over_batch = call.given.ndim == 2 and _is_log_probs(call.given, 0)
        kind = "probabilities" if _is_probs(call.given, axis) else "log-probabilities over the batch" if over_batch else "logits"
        loss = LOSSES.get(call.name)
        misuse = misuse_of(loss, Semantic.LOGITS) if loss is not None else None
        cause = misuse.rule if misuse is not None else "nll-without-log-probs"
        yield _Fault(
            "softmax-over-batch" if over_batch else cause,
            f"{kind} enter {call.name}: exp of a row sums to {float(call.given.double().exp().sum(axis).mean()):.3g} "
            "instead of 1",
            "apply log_softmax along the class axis first"
            + ("" if call.wants == KL_DIV else ", or use cross_entropy on the logits"),
        )


def _binary_targets(call: LossCall) -> Iterator[_Fault]:
    if call.target is None or not call.target.numel():
        return
    low, high = float(call.target.min()), float(call.target.max())
    if low < 0 or high > 1:
        yield _Fault(
            "targets-out-of-range",
            f"targets from {low:.3g} to {high:.3g} enter {call.name}: outside [0, 1] it has no minimum",
            "map the targets to 0 and 1",
        )


def _soft_targets(call: LossCall, axis: int) -> Iterator[_Fault]:
    target = call.target
    assert target is not None
    if target.shape == call.given.shape and bool((target < 0).any()):
        yield _Fault(
            "targets-out-of-range",
            f"targets down to {float(target.min()):.3g} enter {call.name} as probabilities: it has no minimum",
            "use class ids, or rows of probabilities",
        )


_JUDGES: dict[str, Callable[[LossCall, Tensor | None, Bench], Iterator[_Fault]]] = {
    LOGITS: _logits,
    BCE_LOGITS: _bce_logits,
    BCE: _bce,
    LOG_PROBS: _log_probs,
    KL_DIV: _log_probs,
}


# ---------------------------------------------------------------------------------------------------------------- the evidence
def _tolerance(given: Tensor, meaning: Semantic = Semantic.PROBS) -> float:
    return meaning.tolerance.of(str(given.dtype).removeprefix("torch."))


def _rows(given: Tensor, axis: int) -> int:
    return given.numel() // max(given.shape[axis], 1)


def _is_over_batch(given: Tensor, bench: Bench) -> bool:
    """Whether a softmax ran along the batch, which a loss may have flattened since."""
    main = main_tensor(bench.output)
    return any(each.ndim > 1 and _is_probs(each, 0, least=1) for each in (given, main) if each is not None)


def _is_probs(given: Tensor, axis: int, least: int = ROWS) -> bool:
    tolerance = _tolerance(given)
    if given.shape[axis] < 2 or _rows(given, axis) < least:
        return False
    within = bool(((given >= -tolerance) & (given <= 1 + tolerance)).all())
    return within and float((given.double().sum(axis) - 1).abs().max()) <= tolerance


def _is_log_probs(given: Tensor, axis: int) -> bool:
    tolerance = _tolerance(given, Semantic.LOG_PROBS)
    return float(given.max()) <= tolerance and float((given.double().exp().sum(axis) - 1).abs().max()) <= tolerance


def _is_squashed(call: LossCall, louder: Tensor | None) -> bool:
    """Whether a sigmoid, or a softmax, made the values."""
    if not bool(((call.given >= 0) & (call.given <= 1)).all()):
        return False
    if call.made_by in ("Sigmoid", "Softmax"):
        return True
    if louder is None or not bool(((louder >= 0) & (louder <= 1)).all()):
        return False
    ends = bool((louder > 0.99).any()) and bool((louder < 0.01).any())
    between = bool(((call.given > 0.01) & (call.given < 0.99)).all())
    return ends and between and call.given.numel() >= ROWS


def _off_one(call: LossCall) -> float:
    """The largest deviation of a row's sum from 1."""
    axis = call.axis if call.axis is not None else -1
    values = call.given.double()
    return float(((values.exp() if call.wants in (LOG_PROBS, KL_DIV) else values).sum(axis) - 1).abs().max())


def _of_own_softmax(bench: Bench) -> tuple[LossCall, ...]:
    """A loss that calls no known function but does not heed a constant added to all classes applies softmax itself."""
    probe = probe_of(bench)
    targets = bench.first[1]
    if probe is None or bench.classes is None or not isinstance(targets, Tensor) or probe.main.ndim != 2:
        return ()
    main = probe.random(bench.rng("loss-input-range"))
    shift = torch.linspace(-1, 1, len(main), dtype=main.dtype, device=main.device)[:, None]
    first, second = probe.at(main), probe.at(main + shift)
    if not (np.isfinite(first) and abs(first - second) <= 1e3 * probe.exactness * abs(first)):
        return ()
    kept = targets[targets != IGNORED_CLASS]
    return (LossCall("the loss's own softmax", LOGITS, probe.main, kept, "", 1),)


def _drawn(canvas: Canvas, call: LossCall) -> None:
    axis = call.axis if call.axis is not None else -1
    values = call.given.double().flatten().cpu().numpy()
    values = values[np.isfinite(values)]
    left, right = canvas.subplots(1, 2)
    draw.dressed(left, f"value entering {call.name}", "count")
    left.hist(values, bins=40, color=draw.SEEN)
    draw.band(left, 0, 1, "[0, 1]", upright=True)
    draw.legend(left)
    inside = call.given.double().exp() if call.wants in (LOG_PROBS, KL_DIV) else call.given.double()
    sums = inside.sum(axis).flatten().cpu().numpy()
    draw.dressed(right, "sum of exp over classes" if call.wants in (LOG_PROBS, KL_DIV) else "sum over classes", "rows")
    sums = sums[np.isfinite(sums)]
    right.hist(sums, bins=np.histogram_bin_edges(np.append(sums, (0.9, 1.1)), 40), color=draw.SEEN)  # no closer look than at 10 %
    draw.line(right, 1.0, "1: probabilities", color=draw.INK, upright=True)
    draw.legend(right)
