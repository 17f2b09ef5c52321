from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, doubled
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import NO_PROBE, PROBE_NEXT, Probe, probe_of
from mldbg.verify.state import seeded
from mldbg.verify.statistics import Floats

DIRECTIONS = 32
"""Random directions along which the derivative is taken."""

STEPS = tuple(10.0**-power for power in range(1, 8))
"""Steps of the central difference, in units of the size of the inputs."""

ROOTS = 100.0
"""The tolerance in units of the root of rounding: 1.5e-6 in float64, 0.03 in float32."""

SMOOTH = 1.5
"""A slope that is worth a word; with kinks on the way it lies below."""

Function = Callable[[Sequence[Tensor]], Tensor]


class GradientCheck(Check):
    """autograd's derivative of the loss agrees with finite differences

    ## Why
    A hand-written backward pass, a detached tensor or a value extracted with .item() makes the gradient wrong or missing.
    Training still runs, and the loss may even fall.

    ## Measures
    In float64, central differences along 32 random directions against the gradient of autograd, for steps from 0.1 to 1e-7
    of the size of the inputs. The smallest relative error (root mean square over directions) must be rounding. For a correct
    gradient of a smooth function the error falls with the square of the step until rounding takes over; the error of a wrong
    one does not depend on the step. The slope distinguishes the two without any absolute limit. With `gradient=(function,
    inputs)` that function is measured, else the loss as a function of random outputs. (Comparing gradient norms with fixed
    limits, as some guides do under this name, checks nothing.)

    ## Causes
    - `wrong-gradient`: autograd's gradient is not the derivative. Of a loss this warns, as a part may be detached on purpose.
    - `detached-loss`: the loss depends on the outputs but has no gradient, or one that is zero everywhere.

    ## Limits
    The loss alone is measured, not the model; straight-through estimators have a wrong gradient on purpose, and that of ctc_loss
    supposes normalised inputs.
    """

    id = "U10"
    stage = Stage.LOSS
    kind = Kind.EXACT
    after = ("input-range",)
    cost = 0.4

    def run(self, bench: Bench) -> Outcome:
        made = _given(bench) if bench.experiment.gradient is not None else _of_loss(bench)
        if made is None:
            return self.skipped(NO_PROBE, PROBE_NEXT)
        function, inputs, name = made
        value = function(inputs)
        if not bool(torch.isfinite(value.detach()).all()):
            return self.cannot_tell(f"{name} is not finite for random outputs", "see loss-input-range")
        tolerance = ROOTS * math.sqrt(float(torch.finfo(value.dtype).eps))
        analytic = _gradients(value, inputs)
        errors, size = _errors(function, inputs, analytic, bench)
        if not bool(np.isfinite(errors).all()):
            return self.cannot_tell(f"{name} is not finite near the point of measurement", "use inputs well inside its domain")
        best, slope = float(errors.min()), _slope(errors)
        numbers: dict[str, Any] = {
            "figure": Figure(
                f"Error of the gradient of {name} against the step of the finite difference",
                lambda canvas: _drawn(canvas, errors, tolerance),
                "The error of a correct gradient falls with the square of the step (dashed) until rounding takes over; "
                "that of a wrong one stays constant.",
            ),
            "statistic": best,
            "null": "rounding error at the best step",
            "threshold": tolerance,
            "slope": slope,
            "directions": DIRECTIONS,
        }
        if analytic is None:
            return self.failed(
                "detached-loss",
                f"{name} depends on its input but has no gradient with respect to it",
                "compute it with tensor operations only: no .detach(), .item(), .data, argmax, numpy or "
                "torch.tensor(...) in between",
                **numbers,
            )
        if size == 0:
            return self.cannot_tell(
                f"{name} is flat at random outputs: there is no gradient to measure", "provide gradient=...", **numbers
            )
        if best <= tolerance:
            return self.passed(f"gradient and finite differences of {name} agree to {best:.1g}{_words(slope)}", **numbers)
        if slope is not None and slope > 0.5 and errors[-1] == best:
            return self.cannot_tell(
                f"the error of the gradient of {name} is still falling at the smallest step",
                "use inputs of typical magnitude",
                **numbers,
            )
        if not any(bool(each.any()) for each in analytic):
            return self.failed(
                "detached-loss",
                f"{name} changes with its input, but its gradient is zero",
                "look for a detached or rounded value, or a clamp, between the output and the loss",
                **numbers,
            )
        tell = self.failed if bench.experiment.gradient is not None else self.warned
        return tell(
            "wrong-gradient",
            f"gradient and finite differences of {name} differ by {best:.2g} of their size at every step",
            "check the backward method of the custom function, and values taken out of the graph, unless a "
            "stop-gradient is intended",
            **numbers,
        )


def _of_loss(bench: Bench) -> tuple[Function, Sequence[Tensor], str] | None:
    probe: Probe | None = probe_of(bench)
    if probe is None:
        return None
    free = probe.free(bench.rng("gradient-check")).to(probe.dtype)
    return lambda inputs: probe.loss(probe.link(inputs[0])), [free.requires_grad_()], "the loss"


def _given(bench: Bench) -> tuple[Function, Sequence[Tensor], str]:
    """The user's function, as a scalar: its result times fixed random weights."""
    given = bench.experiment.gradient
    assert given is not None
    try:
        function, values = given
        inputs = [each.detach().to(bench.device) for each in values]
    except (TypeError, ValueError, AttributeError) as error:
        raise ExperimentError("Experiment: gradient must be a pair (function, inputs), inputs a tuple of tensors") from error

    def scalar(inputs: Sequence[Tensor]) -> Tensor:
        bench.tick()
        try:
            with seeded(bench.experiment.seed):
                value = function(*inputs)
        except Exception as error:
            raise ExperimentError(f"gradient: the function raised {type(error).__name__}: {error}") from error
        if not isinstance(value, Tensor):
            raise ExperimentError(f"gradient: the function returned a {type(value).__name__}, not a tensor")
        weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype, device=value.device)
        return (value.flatten() * weights).sum()

    try:
        scalar(doubled(inputs))
        inputs = doubled(inputs)
    except ExperimentError:
        scalar(inputs)  # a function that has no float64 is measured as it is
    for each in inputs:
        each.requires_grad_(each.is_floating_point())
    if not any(each.requires_grad for each in inputs):
        raise ExperimentError("gradient: none of the inputs is a floating-point tensor")
    return scalar, inputs, "the function"


def _gradients(value: Tensor, inputs: Sequence[Tensor]) -> list[Tensor] | None:
    leaves = [each for each in inputs if each.requires_grad]
    if not value.requires_grad:
        return None
    found: tuple[Tensor | None, ...] = torch.autograd.grad(value, leaves, allow_unused=True)
    if all(each is None for each in found):
        return None
    return [torch.zeros_like(leaf) if each is None else each for each, leaf in zip(found, leaves, strict=True)]


def _errors(function: Function, inputs: Sequence[Tensor], analytic: list[Tensor] | None, bench: Bench) -> tuple[Floats, float]:
    """Relative error (root mean square over directions) for each step, and the size of the derivatives."""
    rng = bench.rng("gradient-check, directions")
    leaves = [each for each in inputs if each.requires_grad]
    exact = np.zeros(DIRECTIONS)
    numeric = np.zeros((len(STEPS), DIRECTIONS))
    with torch.no_grad():
        for direction in range(DIRECTIONS):
            ways = [torch.from_numpy(rng.standard_normal(tuple(leaf.shape))).to(leaf) * _size(leaf) for leaf in leaves]
            if analytic is not None:
                exact[direction] = sum(float((gradient * way).sum()) for gradient, way in zip(analytic, ways, strict=True))
            for row, step in enumerate(STEPS):
                above, below = (float(function(_moved(inputs, ways, sign * step))) for sign in (1, -1))
                numeric[row, direction] = (above - below) / (2 * step)
    size = float(np.sqrt(np.mean(np.square(exact))))
    scale = size or float(np.sqrt(np.mean(np.square(numeric[2]))))
    difference = np.sqrt(np.mean(np.square(numeric - exact), axis=1))
    return np.asarray(difference / scale if scale else difference), scale


def _moved(inputs: Sequence[Tensor], ways: Sequence[Tensor], step: float) -> list[Tensor]:
    remaining = iter(ways)
    return [each + step * next(remaining) if each.requires_grad else each for each in copied_with_flags(inputs)]


def copied_with_flags(inputs: Sequence[Tensor]) -> list[Tensor]:
    """Copies that still say which of them are differentiated."""
    return [copied(each).requires_grad_(each.requires_grad) for each in inputs]


def _size(leaf: Tensor) -> float:
    """Root mean square of the values; 1 where all are 0."""
    return float(leaf.detach().square().mean().sqrt()) or 1.0


def _slope(errors: Floats) -> float | None:
    """Of log error on log step, before rounding takes over: from the largest step to the best one.

    None where it is rounding all along: a quadratic function has no error of that kind.
    """
    rows = [
        row for row in range(int(errors.argmin()) + 1) if errors[row] > 10 * errors.min() or errors.max() < 100 * errors.min()
    ]
    if len(rows) < 2:
        return None
    x, y = np.log10(np.array(STEPS)[rows]), np.log10(np.maximum(errors[rows], 1e-300))
    return float(np.polyfit(x, y, 1)[0])


def _words(slope: float | None) -> str:
    return "" if slope is None or slope < SMOOTH else f", the error falls with the step to the power {slope:.2g}"


def _drawn(canvas: Canvas, errors: Floats, tolerance: float) -> None:
    ax = draw.axes(canvas, "step [size of the inputs]", "relative error of the gradient", log_x=True, log_y=True)
    ax.plot(STEPS, np.maximum(errors, 1e-17), "o-", color=draw.BAD if errors.min() > tolerance else draw.SEEN, label="measured")
    ax.plot(STEPS, errors[0] * (np.array(STEPS) / STEPS[0]) ** 2, color=draw.NULL, linestyle="--", linewidth=1, label="slope 2")
    draw.line(ax, tolerance, "tolerance", color=draw.BAD)
    ax.set_ylim(bottom=1e-17)
    draw.legend(ax)
