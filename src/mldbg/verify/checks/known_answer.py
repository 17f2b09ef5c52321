from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn
from torch.optim import Optimizer

from mldbg.verify import draw
from mldbg.verify.bench import Bench, needs_closure
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.learning import still_falling
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded

FEATURES, ROWS = 8, 64
"""Size of the planted problem."""

CONDITION = 10.0
"""Ratio of its largest to its smallest curvature."""

STEPS = 600
"""Steps of training."""

PROBE = 10
"""Steps after which the length of a step is measured."""

WAY = 30.0
"""Steps of the measured length from the start to the answer, for an optimizer whose steps do not grow with the gradient."""

REACHED = 1e-2
"""Share of the excess loss that may be left: an optimizer with steps of constant length circles at (1 / WAY)^2 = 1e-3."""

FAR = 0.1
"""Share of the excess loss that is far from the answer."""

ENOUGH = 3.0
"""Ways to the answer that an optimizer must have gone before it is blamed for being elsewhere."""


@dataclass(frozen=True, slots=True)
class _Planted:
    """A least-squares problem whose answer is known: the loss is `curvature * mean((x w - y)^2) / 2`, w of shape (8, 1)."""

    x: Tensor
    y: Tensor
    answer: Tensor
    curvature: float

    @property
    def least(self) -> float:
        return float(self.loss(self.x @ self.answer))

    @property
    def distance(self) -> float:
        """From zero, where training starts, to the answer."""
        return float(self.answer.double().norm())

    def loss(self, output: Tensor) -> Tensor:
        return self.curvature * (output - self.y).square().mean() / 2


class KnownAnswer(Check):
    """the optimizer finds a known answer

    ## Why
    An optimizer that climbs, stands still or ends up in the wrong place is easy to spot when the right place is known.

    ## Measures
    The user's optimizer trains a linear layer on a planted least-squares problem (8 weights, 64 rows with noise, condition number
    10), whose answer the normal equation (X'X)^-1 X'y gives by a QR decomposition. The statistic is the excess loss over that
    answer, as a share of the excess at the start, after 600 steps; at most 0.01 may be left. The problem is measured out for the
    optimizer, so that its learning rate, which belongs to another model, does not matter: curvatures are in units of the inverse
    of the gain (step by gradient) where steps grow with the gradient, as for SGD; where they do not, as for Adam, the answer lies
    30 steps away. Gradient descent with this gain loses a factor of (1 - 0.5 / 10)^2 in each step; the picture shows that bound.

    ## Causes
    - `optimizer-goes-uphill`: the loss rises: maximize=True, or a wrong sign.
    - `optimizer-does-nothing`: no weight changes.
    - `optimizer-misses-the-answer`: the loss plateaus above its minimum.

    ## Limits
    It tests the mechanics, with weight decay off, not the learning rate (that is learning-rate). An optimizer factory that asks
    for parts of its own model cannot be given a linear layer: SKIP.
    """

    id = "T2"
    stage = Stage.WIRING  # before what is trained with this optimizer; it needs nothing of the model
    kind = Kind.EXACT
    needs = ("optimizer",)
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        try:
            optimizer = _optimizer(bench, _layer(bench))
        except ExperimentError as error:
            return self.skipped(
                f"the optimizer cannot be given a linear layer: {error}",
                "make optimizer(model) work for any model, using model.parameters()",
            )
        if needs_closure(optimizer):
            return self.skipped("an optimizer that evaluates the loss itself has no step that can be measured", "not applicable")
        planted = _planted(bench)
        if planted is None:
            return self.failed(
                "optimizer-does-nothing",
                f"no weight of a linear layer changes in {PROBE} steps",
                "check the learning rate and which parameters the optimizer received",
                Figure("Weights after each step", _unmoved, "They should move away from zero at once."),
                statistic=1.0,
                null=f"at most {REACHED} of the excess loss is left",
                threshold=REACHED,
            )
        losses, path = _descended(bench, planted)
        excess = np.array(losses) - planted.least
        left = float(excess[-20:].mean() / excess[0]) if np.isfinite(excess).all() else math.inf
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Excess loss over the known answer",
                lambda canvas: _drawn(canvas, excess / excess[0], planted),
                "Relative to the excess loss at the start. Grey: the bound for gradient descent with the gain of the optimizer.",
            ),
            "statistic": left,
            "null": f"at most {REACHED} of the excess loss is left",
            "threshold": REACHED,
            "condition": CONDITION,
            "curvature": planted.curvature,
        }
        if left <= REACHED:
            return self.passed(
                f"the known answer is reached: {left:.1g} of the excess loss is left after {STEPS} steps", **numbers
            )
        if not left <= 1.0:
            return self.failed(
                "optimizer-goes-uphill",
                f"the loss of a planted least-squares problem grows {'unboundedly' if math.isinf(left) else f'{left:.3g}-fold'}",
                "look for maximize=True, a wrong sign, or a momentum of 1 or more",
                **numbers,
            )
        if left <= FAR or path < ENOUGH * planted.distance or still_falling(losses, planted.least):
            return self.cannot_tell(
                f"{left:.2g} of the excess loss is left after {STEPS} steps: the optimizer is slow, or its steps are too large",
                "see learning-rate",
                **numbers,
            )
        return self.failed(
            "optimizer-misses-the-answer",
            f"the loss plateaus with {left:.2g} of the excess loss left, after {path / planted.distance:.2g} times the distance "
            f"to the answer",
            "turn off its options (clipping, noise, masks) one by one",
            **numbers,
        )


def _layer(bench: Bench) -> nn.Linear:
    dtype = next((each.dtype for each in bench.model(0).parameters() if each.is_floating_point()), torch.float32)
    layer = nn.Linear(FEATURES, 1, bias=False, device=bench.device, dtype=dtype if dtype.itemsize >= 4 else torch.float32)
    nn.init.zeros_(layer.weight)
    return layer


def _planted(bench: Bench) -> _Planted | None:
    """The problem in the optimizer's own units, or None where the optimizer does not move."""
    rng = bench.rng("known-answer")
    left, _ = np.linalg.qr(rng.standard_normal((ROWS, FEATURES)))
    right, _ = np.linalg.qr(rng.standard_normal((FEATURES, FEATURES)))
    x = math.sqrt(ROWS) * left * np.sqrt(np.geomspace(1 / CONDITION, 1, FEATURES)) @ right.T
    small, large = (_travelled(bench, size) for size in (1.0, 10.0))
    if not small > 0:
        return None
    grows = large > 3 * small
    length = 1.0 if grows else WAY * small
    curvature = 0.5 / small if grows else 1.0
    direction = rng.standard_normal((FEATURES, 1))
    noise = rng.standard_normal((ROWS, 1))
    y = length * (x @ direction / math.sqrt(FEATURES) + 0.1 * noise)
    like = _layer(bench).weight
    answer = np.linalg.lstsq(x, y, rcond=None)[0]
    planted = [torch.as_tensor(each).to(like) for each in (x, y, answer)]
    return _Planted(planted[0], planted[1], planted[2], curvature)


def _optimizer(bench: Bench, layer: nn.Linear) -> Optimizer:
    """The user's, without weight decay, which would pull the answer towards zero."""
    optimizer = bench.optimizer(layer)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0
    return optimizer


def _travelled(bench: Bench, gradient: float) -> float:
    """The length of a step of one weight under a constant gradient: the mean of some steps."""
    layer = _layer(bench)
    optimizer = _optimizer(bench, layer)
    for _ in range(PROBE):
        layer.weight.grad = torch.full_like(layer.weight, gradient)
        _step(optimizer)
    return float(layer.weight.detach().double().abs().mean()) / PROBE


def _descended(bench: Bench, planted: _Planted) -> tuple[list[float], float]:
    """The losses, and the length of the path through the weights."""
    layer = _layer(bench)
    optimizer = _optimizer(bench, layer)
    losses: list[float] = []
    path = 0.0
    with seeded(bench.experiment.seed), torch.enable_grad():
        for _ in range(STEPS):
            bench.tick()
            optimizer.zero_grad(set_to_none=True)
            loss = planted.loss(layer(planted.x))
            losses.append(float(loss.detach()))
            if not math.isfinite(losses[-1]):
                break
            loss.backward()  # type: ignore[no-untyped-call]
            before = layer.weight.detach().clone()
            _step(optimizer)
            path += float((layer.weight.detach() - before).double().norm())
    return losses, path


def _step(optimizer: Optimizer) -> None:
    try:
        optimizer.step()
    except (RuntimeError, TypeError, ValueError) as error:
        raise ExperimentError(f"optimizer.step() raised {type(error).__name__}: {error}") from error


def _unmoved(canvas: Canvas) -> None:
    ax = draw.axes(canvas, "step", "norm of the weights [own unit]")
    ax.plot(range(PROBE + 1), [0.0] * (PROBE + 1), color=draw.BAD, marker="o")


def _drawn(canvas: Canvas, left: np.ndarray, planted: _Planted) -> None:
    ax = draw.axes(canvas, "step", "excess loss [share of that at the start]", log_y=True)
    steps = np.arange(len(left))
    ax.plot(steps, np.maximum(left, 1e-12), color=draw.SEEN, label="the optimizer")
    ax.plot(steps, np.maximum((1 - 0.5 / CONDITION) ** (2 * steps), 1e-12), color=draw.NULL, label="gradient descent, bound")
    draw.line(ax, REACHED, "reached below", color=draw.BAD)
    draw.legend(ax)
