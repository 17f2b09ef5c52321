from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, dense, doubled, moved, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.learning import optimizer_of, stakes, trained
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.tracing import Operation, Trace, traced

SEEDS = 3
"""Fresh models and batches that are tried."""

STEPS = 300
"""Training steps that are tried; the same as those of overfit-one-batch."""

RISE = 10.0
"""A loss that rose by so many times what can be learned was on its way up."""

GROWTH = 100.0
"""Weights that grew by this factor were, too."""


class FirstNonFinite(Check):
    """no NaN and no infinity in the loss or in a gradient

    ## Why
    One NaN in a gradient is a NaN in every weight after the next step. It is rarely noticed where it arose.

    ## Measures
    Loss and gradients of three fresh models on three batches, and the loss during 300 steps of training on one batch. If
    something is not finite, the step is run again with every operation recorded, forward and backward in call order: the
    check names the first one with finite inputs and a non-finite result, among those that the loss or the gradient depends
    on, with the range of its inputs. A mask of minus infinity that a softmax removes is not a fault. The same step in
    float64 distinguishes an overflow of the data type (finite there) from 0/0, log 0 and the derivative of a square root at
    0.

    ## Causes
    - `non-finite-data`: NaN or infinity in the inputs or targets.
    - `non-finite-weights`: NaN or infinity in the fresh weights.
    - `overflow`: beyond the range of the data type; in float64 the step is finite.
    - `log-of-softmax`: the logarithm of a softmax that underflowed to 0.
    - `undefined-operation`: an operation of the forward pass that is undefined for its input, like 0/0 or the logarithm of
      0.
    - `undefined-gradient`: the forward pass is finite, the backward pass is not, as for a square root at 0 or a `where` that
      hides a NaN.

    ## Limits
    A loss that rises long before it overflows, or growing weights, are a matter for learning-rate: CANNOT-TELL here.
    """

    id = "T12"
    stage = Stage.APPARATUS
    kind = Kind.EXACT
    cost = 0.6

    def run(self, bench: Bench) -> Outcome:
        for seed in range(SEEDS):
            model, batch = bench.model(seed), bench.batch(seed)
            if not _is_finite(bench, model, batch, seed):
                with seeded(bench.experiment.seed + seed):
                    trace = traced(bench, bench.model(seed), *batch)
                return self._placed(bench, bench.model(seed), batch, trace, "at the first step")
        return self._in_training(bench)

    def _in_training(self, bench: Bench) -> Outcome:
        with seeded(bench.experiment.seed):
            first = traced(bench, bench.model(0), *bench.first)
        figure = _figure(first)
        try:
            losses = bench.overfit(STEPS).losses
        except ExperimentError:
            return self.passed("loss and gradients of fresh models are finite; training cannot be tested", figure, statistic=0.0)
        if math.isfinite(losses[-1]):
            return self.passed(
                f"loss and gradients of {SEEDS} fresh models are finite, and so is the loss for {len(losses)} steps",
                figure,
                statistic=0.0,
                null="0: the number of steps whose loss or gradient is not finite",
                threshold=0.0,
            )
        model = bench.model(0)
        optimizer = optimizer_of(bench, model)
        before = _size(model)
        trained(bench, model, optimizer, len(losses) - 1)
        at_stake = stakes(bench)
        scale = at_stake.null - at_stake.floor if at_stake is not None else abs(losses[0])
        weights_are_whole = all(bool(torch.isfinite(each).all()) for each in model.parameters())
        grown = _size(model) > GROWTH * before if weights_are_whole else len(losses) > 1 and losses[-2] > losses[0] + RISE * scale
        if grown or max(losses[:-1]) > losses[0] + RISE * scale:
            return self.cannot_tell(
                f"the loss is not finite after {len(losses) - 1} steps, but the loss or the weights had grown long before",
                "see learning-rate",
                figure,
            )
        if not weights_are_whole:  # the gradient of the step before was not finite, or the optimizer's arithmetic
            model = bench.model(0)
            optimizer = optimizer_of(bench, model)
            trained(bench, model, optimizer, len(losses) - 2)
        with seeded(bench.experiment.seed):
            trace = traced(bench, model, *bench.first)
        return self._placed(bench, model, bench.first, trace, f"at step {len(losses)} of training")

    def _placed(self, bench: Bench, model: nn.Module, batch: tuple[Any, Any], trace: Trace, when: str) -> Outcome:
        cause, place, advice = _cause(bench, model, batch, trace)
        what = (
            "the loss"
            if not math.isfinite(trace.loss)
            else f"the gradient of {trace.bad_gradients[0]}"
            if trace.bad_gradients
            else "it"
        )
        return self.failed(
            cause,
            f"{what} is not finite {when}; it starts in {place}",
            advice,
            _figure(trace),
            statistic=1.0,
            null="0: the number of steps whose loss or gradient is not finite",
            threshold=0.0,
            place=place,
            loss=repr(trace.loss),
            gradients=list(trace.bad_gradients),
        )


def _is_finite(bench: Bench, model: nn.Module, batch: tuple[Any, Any], seed: int) -> bool:
    with seeded(bench.experiment.seed + seed), torch.enable_grad():
        loss = bench.loss(bench.run(model, copied(batch[0])), copied(batch[1]))
        if not bool(torch.isfinite(loss)):
            return False
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    return all(bool(torch.isfinite(dense(each.grad)).all()) for each in model.parameters() if each.grad is not None)


def _cause(bench: Bench, model: nn.Module, batch: tuple[Any, Any], trace: Trace) -> tuple[str, str, str]:
    """Cause, place and advice."""
    culprit = trace.culprit
    if culprit is None or (not culprit.gives_birth and not culprit.backward):
        for name, part in zip(("inputs", "targets"), batch, strict=True):
            if not all(bool(torch.isfinite(each).all()) for each in tensors_in(part)):
                return "non-finite-data", f"the {name} of the batch", f"find out how NaN or infinity gets into the {name}"
        for name, parameter in model.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                return "non-finite-weights", f"the fresh weights {name}", "check the initialisation"
    if culprit is None:
        return "undefined-operation", "an operation that torch does not expose", "check what is computed outside torch"
    place = _described(culprit, trace)
    forward = culprit if culprit.of is None else trace.operations[culprit.of]
    if forward.name == "log" and any("softmax" in maker for maker in forward.makers):
        return "log-of-softmax", place, "use log_softmax, which stays exact where softmax underflows to 0"
    if _in_double(bench, model, batch):
        return (
            "overflow",
            f"{place}; in float64 it is finite",
            "scale the input down, or compute this part in float32 or in logarithms",
        )
    if culprit.backward:
        return "undefined-gradient", place, "keep the input away from the value where the derivative is undefined"
    return "undefined-operation", place, "keep its input inside its domain, before the operation and not after"


def _described(operation: Operation, trace: Trace) -> str:
    """What, where, in which line, and from which inputs; of an operation backward the inputs of the forward one."""
    what = operation.where if operation.backward else f"{operation.name} in {operation.where}"
    source = operation if operation.of is None else trace.operations[operation.of]
    at = f" ({operation.line})" if operation.line else ""
    inputs = f", inputs from {source.low:.3g} to {source.high:.3g}" if not math.isnan(source.low) else ""
    return f"{what}{at}{inputs}"


def _in_double(bench: Bench, model: nn.Module, batch: tuple[Any, Any]) -> bool:
    """Whether the same step is finite in float64 on the CPU."""
    wide = Bench(bench.experiment, "cpu")
    try:
        inputs, targets = (doubled(moved(copied(each), "cpu")) for each in batch)
        with seeded(bench.experiment.seed):
            return traced(wide, model.to("cpu").double(), inputs, targets).is_finite
    except ExperimentError:
        return False  # an operation without a float64 version


def _size(model: nn.Module) -> float:
    return math.sqrt(sum(float(parameter.detach().double().square().sum()) for parameter in model.parameters()))


def _figure(trace: Trace) -> Figure:
    return Figure(
        "The largest input of each operation of one step, in call order",
        lambda canvas: _drawn(canvas, trace),
        "Blue: forward, green: backward. A red line marks the first result that is not finite; the dashed line is the "
        "largest float32.",
    )


def _drawn(canvas: Canvas, trace: Trace) -> None:
    ax = draw.axes(canvas, "operation [call order]", "largest absolute input", log_y=True)
    for backward, colour, label in ((False, draw.SEEN, "forward"), (True, draw.GOOD, "backward")):
        part = [op for op in trace.operations if op.backward is backward and not math.isnan(op.low)]
        sizes = np.maximum([max(abs(op.low), abs(op.high)) for op in part], 1e-12)
        ax.plot([op.index for op in part], sizes, ".", color=colour, markersize=3, label=label)
    draw.line(ax, float(np.finfo(np.float32).max), "largest float32")
    if trace.culprit is not None:
        draw.line(ax, trace.culprit.index, trace.culprit.name, color=draw.BAD, upright=True)
    draw.legend(ax)
