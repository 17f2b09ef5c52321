from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, dense, doubled, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import Probe, part, probe_of
from mldbg.verify.state import seeded

ROUNDINGS = 1e4
"""Units of rounding by which two gradients of the same thing may differ: other shapes of matrix products, other orders of sums.
"""

PARTS = (1, 2, 4, 8)
"""Numbers of micro-batches for the picture."""

Gradient = tuple[float, Tensor]
"""A loss and its derivative by all trained parameters, flattened."""

Fault = tuple[str, str, str]
"""A cause, why, and what to do."""


class PaddingAndAccumulation(Check):
    """padding changes nothing, and micro-batches add up to the batch

    ## Why
    A loss averaged over all positions counts padding as data, and its size depends on how a batch happens to be padded.
    Gradients of micro-batches, each a mean over its own tokens, do not average to the gradient of the batch when
    micro-batches hold different numbers of tokens: "divide by the number of accumulation steps" is then wrong, by a factor
    that changes from step to step.

    ## Measures
    With `pad`: the relative difference of the loss and of the parameters' gradient between the batch and the same
    batch with masked padding. With `accumulate`: the relative L2 distance between the gradient it leaves and that of the whole
    batch. Both in evaluation mode, where Dropout and BatchNorm cannot differ, in float64 where the model can do that; both must
    be rounding. Without either: whether micro-batches weighted by their rows add up to the batch at all, which says how to
    accumulate.

    ## Causes
    - `padding-counted`: masked padding changes the loss or its gradient. The message says whether it reaches the outputs
      before it or only the loss.
    - `looks-ahead`: the same, where padding after the last position reaches earlier outputs although `time_axis` rules that
      out (see time-arrow).
    - `accumulation-scale`: the accumulated gradient has the right direction but the wrong length: it is not divided, or
      divided twice.
    - `ragged-accumulation`: micro-batches of different sizes are averaged as if they were equal.

    ## Limits
    A loss that compares rows with one another cannot be accumulated at all; this is reported, but does not fail.
    """

    id = "U5"
    stage = Stage.LOSS
    kind = Kind.EXACT
    after = ("input-range",)
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        if bench.size < 2:
            return self.skipped("needs a batch of two rows", "use a larger batch")
        experiment = bench.experiment
        probe = probe_of(bench)
        scan = _scan(probe, bench) if probe is not None else {}
        if experiment.pad is None and experiment.accumulate is None:
            return self._from_the_loss(scan, probe)
        setting = _Setting(bench)
        whole_loss, whole = setting.gradient_of(*bench.first)
        if not (math.isfinite(whole_loss) and bool(torch.isfinite(whole).all())):
            return self.cannot_tell("the loss or its gradient is not finite", "see input-range and first-non-finite")
        threshold = ROUNDINGS * setting.exactness
        if _distance(setting.gradient_of(*bench.first, draw=1)[1], whole) > threshold:
            return self.cannot_tell("in evaluation mode the gradient depends on random numbers", "see mode-audit")
        errors: dict[str, float] = {}
        found: list[Fault] = []
        if experiment.pad is not None:
            padded_loss, padded = setting.gradient_of(*_padded(bench))
            of_loss = abs(padded_loss - whole_loss) / max(abs(whole_loss), 1e-300)
            errors["padding"] = max(of_loss, _distance(padded, whole))
            if errors["padding"] > threshold:
                found.append(_counted(setting, (whole_loss, padded_loss), _distance(padded, whole), threshold))
        if experiment.accumulate is not None:
            accumulated = setting.accumulated(*bench.first)
            errors["accumulation"] = _distance(accumulated, whole)
            if errors["accumulation"] > threshold:
                found.append(_accumulated_wrongly(accumulated, whole, threshold))
        worst = max(errors.values())
        numbers: dict[str, Any] = {
            "figure": _figure(scan, errors, threshold),
            "statistic": worst,
            "null": "0 to rounding",
            "threshold": threshold,
            **{f"error_of_{name}": value for name, value in errors.items()},
        }
        if found:
            cause, _, next_step = found[0]
            return self.failed(cause, "; ".join(each[1] for each in found), next_step, **numbers)
        return self.passed(f"{' and '.join(errors)} leave the gradient unchanged (relative error {worst:.1g})", **numbers)

    def _from_the_loss(self, scan: dict[str, list[float]], probe: Probe | None) -> Outcome:
        """Without `pad` and `accumulate`: whether the loss is a sum over rows."""
        next_step = (
            "provide pad(inputs, targets), accumulate(model, inputs, targets) or both to test your padding and accumulation"
        )
        if probe is None or not scan:
            return self.skipped("needs pad or accumulate", next_step)
        worst = max(scan["weighted by rows"])
        threshold = ROUNDINGS * probe.exactness
        if not worst <= threshold:
            return self.skipped(
                f"the loss is not a sum over rows (weighting micro-batches by rows is off by up to {worst:.2g}), so "
                "the correct weighting cannot be inferred from it",
                next_step,
            )
        return self.passed(
            "micro-batches weighted by their rows add up to the batch",
            _figure(scan, {}, threshold),
            statistic=worst,
            null="0 to rounding",
            threshold=threshold,
        )


class _Setting:
    """One model in evaluation mode, in float64 where it can do that, and gradients of its parameters."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.double = True
        try:
            self.gradient_of(*bench.first)
        except ExperimentError:
            self.double = False
        self.exactness = float(torch.finfo(torch.float64 if self.double else torch.float32).eps)

    def gradient_of(self, inputs: Any, targets: Any, *, draw: int = 0) -> Gradient:
        """The loss of the whole batch at once; `draw` seeds what may be random in the model."""

        def backward(model: nn.Module, inputs: Any, targets: Any) -> Tensor:
            value = self.bench.loss(self.bench.run(model, inputs), targets)
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
            if value.dtype != torch.float64:
                self.double = False
            return value.detach()

        value, gradient = self._gradient(backward, inputs, targets, draw)
        return float(value), gradient

    def output_of(self, inputs: Any) -> Any:
        """The output of the same model."""
        model = self.bench.model(0).eval()
        inputs = copied(inputs)
        if self.double:
            model, inputs = model.double(), doubled(inputs)
        with torch.no_grad():
            return self.bench.run(model, inputs)

    def accumulated(self, inputs: Any, targets: Any) -> Tensor:
        """What the user's accumulation leaves. Raises ExperimentError where it fails or leaves nothing."""
        accumulate = self.bench.experiment.accumulate
        assert accumulate is not None
        try:
            _, gradient = self._gradient(accumulate, inputs, targets)
        except ExperimentError:
            raise
        except Exception as error:
            raise ExperimentError(f"accumulate(model, inputs, targets) raised {type(error).__name__}: {error}") from error
        if not bool(gradient.any()):
            raise ExperimentError("accumulate(model, inputs, targets) left no gradient in .grad")
        return gradient

    def _gradient(
        self, backward: Callable[[nn.Module, Any, Any], Any], inputs: Any, targets: Any, draw: int = 0
    ) -> tuple[Any, Tensor]:
        model = self.bench.model(0).eval()
        object.__setattr__(
            model, "train", lambda mode=True: model
        )  # whatever the user's code asks for, it stays in evaluation mode
        inputs, targets = copied(inputs), copied(targets)
        if self.double:
            model, inputs, targets = model.double(), doubled(inputs), doubled(targets)
        with torch.enable_grad(), seeded(self.bench.experiment.seed + draw):
            value = backward(model, inputs, targets)
        parts = [
            (torch.zeros_like(parameter) if parameter.grad is None else dense(parameter.grad)).flatten().double()
            for parameter in model.parameters()
            if parameter.requires_grad
        ]
        return value, torch.cat(parts) if parts else torch.zeros(1)


def _counted(setting: _Setting, losses: tuple[float, float], distance: float, threshold: float) -> Fault:
    whole, padded = losses
    why = f"masked padding changes the loss from {whole:.5g} to {padded:.5g}, its gradient by {distance:.2g} of its size"
    if not _before(setting, threshold):
        return (
            "padding-counted",
            why,
            "exclude padded positions from the loss, both from its sum and from its divisor (ignore_index, or a mask)",
        )
    why += ", and the outputs at the positions before it"
    if setting.bench.experiment.time_axis is not None:
        return "looks-ahead", why, "check the causal mask, the padding of convolutions and any averaging over time"
    return "padding-counted", why, "mask padded positions in the model (attention, pooling), and exclude them from the loss"


def _before(setting: _Setting, threshold: float) -> bool:
    """Whether the outputs of the places that were there before change with the padding behind them."""
    inputs = setting.bench.first[0]
    longer = _padded(setting.bench)[0]
    old = list(tensors_in(inputs))
    if not all(_same_start(before, after, 0.0) for before, after in zip(old, tensors_in(longer), strict=False)):
        return False
    without, with_padding = (list(tensors_in(setting.output_of(each))) for each in (inputs, longer))
    return any(_same_start(before, after, threshold) is False for before, after in zip(without, with_padding, strict=False))


def _same_start(before: Tensor, after: Tensor, threshold: float) -> bool | None:
    """Whether a tensor that got longer begins with the one before; None where it is another tensor altogether."""
    if before.ndim != after.ndim or any(new < old for old, new in zip(before.shape, after.shape, strict=True)):
        return None
    start = after[tuple(slice(0, size) for size in before.shape)]
    return float((start.double() - before.double()).abs().max()) <= threshold * float(before.double().abs().max())


def _accumulated_wrongly(accumulated: Tensor, whole: Tensor, threshold: float) -> Fault:
    ratio = float(accumulated @ whole) / max(float(whole @ whole), 1e-300)
    if ratio > 0 and _distance(accumulated, ratio * whole) <= 10 * threshold * max(ratio, 1):
        why = f"the accumulated gradient is {ratio:.3g} times that of the batch"
        return "accumulation-scale", why, "divide each micro-batch's loss by the number of micro-batches"
    why = f"the accumulated gradient differs from that of the batch by {_distance(accumulated, whole):.2g} of its size"
    next_step = "sum over the tokens of each micro-batch, and divide once by the number of tokens of the whole batch"
    return "ragged-accumulation", why, next_step


def _padded(bench: Bench) -> tuple[Any, Any]:
    pad = bench.experiment.pad
    assert pad is not None
    try:
        made: Any = pad(*copied(bench.first))
    except Exception as error:
        raise ExperimentError(f"pad(inputs, targets) raised {type(error).__name__}: {error}") from error
    if not isinstance(made, tuple | list) or len(made) != 2:
        raise ExperimentError("pad(inputs, targets) did not return a pair (inputs, targets)")
    return made[0], made[1]


def _distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm()) / max(float(other.norm()), 1e-300)


def _scan(probe: Probe, bench: Bench) -> dict[str, list[float]]:
    """Relative error of the gradient by random outputs, put together from micro-batches, for each number of them."""
    if probe.main.shape[0] != bench.size:
        return {}
    main = probe.random(bench.rng("padding-and-accumulation"))
    try:
        whole = probe.gradient(main)
        if whole is None or not bool(torch.isfinite(whole).all()) or not bool(whole.any()):
            return {}
        errors: dict[str, list[float]] = {"plain mean": [], "weighted by rows": []}
        for count in PARTS:
            chunks = torch.arange(bench.size).chunk(count) if count <= bench.size else ()
            if not chunks:
                continue
            gradients = [
                probe.gradient(
                    main[chunk.to(main.device)], part(probe.targets, bench.size, chunk), part(bench.output, bench.size, chunk)
                )
                for chunk in chunks
            ]
            known = [each for each in gradients if each is not None]
            summed = bench.experiment.reduction == "sum"
            plain = torch.cat([each * (1 if summed else 1 / len(chunks)) for each in known])
            rows = torch.cat([each * (1 if summed else len(each) / bench.size) for each in known])
            errors["plain mean"].append(_distance(plain, whole))
            errors["weighted by rows"].append(_distance(rows, whole))
    except (ExperimentError, RuntimeError):
        return {}
    return errors if all(map(math.isfinite, errors["weighted by rows"])) else {}


def _figure(scan: dict[str, list[float]], errors: dict[str, float], threshold: float) -> Figure:
    return Figure(
        "Relative error of the gradient against that of the whole batch",
        lambda canvas: _drawn(canvas, scan, errors, threshold),
        "Dots: gradients with respect to random outputs, accumulated over micro-batches. Lines: your padding and "
        "accumulation. Everything in the grey band is rounding.",
    )


def _drawn(canvas: Canvas, scan: dict[str, list[float]], errors: dict[str, float], threshold: float) -> None:
    ax = draw.axes(canvas, "number of micro-batches", "relative error of the gradient", log_y=True)
    least = 1e-17
    for (name, values), colour, mark in zip(scan.items(), (draw.NULL, draw.SEEN), ("o", "."), strict=False):
        ax.plot(PARTS[: len(values)], [max(value, least) for value in values], mark, color=colour, label=name)
    for name, value in errors.items():
        draw.line(ax, max(value, least), name, color=draw.BAD if value > threshold else draw.GOOD)
    draw.band(ax, least, threshold, "rounding")
    ax.set_xscale("log", base=2)
    ax.set_xticks(PARTS, [str(count) for count in PARTS])
    draw.legend(ax)
