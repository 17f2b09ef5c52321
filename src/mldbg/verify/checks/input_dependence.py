from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import stakes
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.statistics import t_interval
from mldbg.verify.wiring import (
    NOT_FINITE,
    NOT_FINITE_NEXT,
    TOLERANCE,
    has_rows,
    is_readable,
    replaced_rows,
    rig_of,
    taken,
    warmed,
)

SEEDS = 5
"""Pairs of training runs."""

STEPS = 30
"""Steps of each."""

LEAST_GAP = 0.01
"""The smallest gap that is worth having, in units of the loss without the inputs."""


NEAR = 0.02
"""Relative distance from the loss of the best constant output within which training has come to it."""


@dataclass(frozen=True)
class Curves:
    """Losses by seed and step, shape (seeds, steps): with the inputs, and with each row's inputs taken from another row."""

    real: NDArray[np.float64]
    shuffled: NDArray[np.float64]

    @property
    def gaps(self) -> NDArray[np.float64]:
        """By seed how much higher the loss ends without the inputs, in units of that loss."""
        tail = max(self.real.shape[1] // 5, 1)
        without = self.shuffled[:, -tail:].mean(1)
        return np.asarray((without - self.real[:, -tail:].mean(1)) / np.maximum(np.abs(without), 1e-300))


class InputDependence(Check):
    """the model learns from its inputs, not only from the targets

    ## Why
    A model that ignores its inputs still lowers the loss, down to that of the class frequencies. So does one that is fed the same
    row again and again, as by a data loader that returns a constant.

    ## Measures
    First exactly: whether rows of the batch differ, and whether another input changes the output beyond rounding (in float64
    where the model runs in it, after three gradient steps). Then five pairs of short training runs with your optimizer on
    one batch, from the same seed: with the inputs, and with the input rows reshuffled in each step, which preserves their
    distribution (zeros would not, and BatchNorm turns them into something else). The statistic is the paired gap between the
    two losses at the end, in units of the loss without the inputs, with its 99 % interval.

    ## Causes
    - `constant-input`: all rows of the batch are the same although their targets differ.
    - `ignores-input`: no output changes with the input; as a warning, where training plateaus at the loss of the best
      constant output and gains less than 1 % from the inputs.

    ## Limits
    A gap on one batch may be memorisation. Whether inputs and targets belong together is for `label-alignment` to say.
    """

    id = "W10"
    stage = Stage.WIRING
    kind = Kind.STATISTICAL
    after = ("input-range", "first-non-finite")
    cost = 1.0

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        if bench.size < 2 or not has_rows(bench.first[0], bench.size):
            return self.skipped("needs inputs with at least two rows", "make the batch axis the first axis")
        if _constant_rows(bench):
            return self.failed(
                "constant-input",
                f"all {bench.size} rows of the inputs are the same, but their targets are not",
                "check what the loader returns for different indices, and the scaling before it",
                statistic=0.0,
                null="rows differ",
                threshold=0.0,
                figure=Figure("The first rows of the inputs", lambda canvas: _rows_drawn(canvas, bench), "They should differ."),
            )
        change, rounding = _sensitivity(bench)
        if change <= rounding:
            return self.failed(
                "ignores-input",
                "no output changes when the inputs are replaced",
                "look for an input that is overwritten, masked away or multiplied by zero in forward",
                statistic=change,
                null="above rounding: the output changes with the inputs",
                threshold=rounding,
                figure=Figure(
                    "Change of the output when all inputs are replaced",
                    lambda canvas: _change_drawn(canvas, change, rounding),
                    "Anything below the dashed line is rounding.",
                ),
            )
        curves = bench.once("input dependence", lambda: _curves(bench))
        gaps = curves.gaps
        if not np.isfinite(gaps).all():
            return self.cannot_tell(
                "a training run ends with a non-finite loss", "fix first-non-finite or lower the learning rate"
            )
        low, high = t_interval(gaps)
        numbers: dict[str, Any] = {
            "statistic": float(gaps.mean()),
            "null": "above 0: the inputs lower the loss",
            "threshold": LEAST_GAP,
            "figure": Figure(
                "Training with the inputs, and with the inputs of other rows",
                lambda canvas: _drawn(canvas, curves),
                "Lines are means over the seeds, bands their range. Without the inputs only the target frequencies can "
                "be learned.",
            ),
            "interval": (low, high),
            "sensitivity": change,
        }
        if low > 0:
            return self.passed(
                f"the inputs lower the loss by {100 * gaps.mean():.1f} % ({100 * low:.1f} to {100 * high:.1f} %)", **numbers
            )
        if high < LEAST_GAP and _rests_without_inputs(bench, curves):
            return self.warned(
                "ignores-input",
                f"with the inputs of other rows the loss ends less than {100 * max(high, 0):.2f} % higher",
                "see whether signal-collapse or dead-units shows where the inputs are lost",
                **numbers,
            )
        return self.cannot_tell(
            f"the gap of {100 * gaps.mean():.2g} % after {STEPS} steps has an interval that includes 0; "
            f"a gap of {100 * (high - low) / 2:.2g} % would have been detected",
            "use a larger batch or an optimizer that learns faster",
            **numbers,
        )


def _constant_rows(bench: Bench) -> bool:
    """Whether all inputs are the same in all rows, and targets are not."""
    inputs, targets = bench.first
    same = all(bool((finite == finite[:1]).all()) for finite in tensors_in(inputs))
    varied = any(each.shape[:1] == (bench.size,) and bool((each != each[:1]).any()) for each in tensors_in(targets))
    return same and varied


def _sensitivity(bench: Bench) -> tuple[float, float]:
    """The largest change of an output, in units of its size, when all inputs are replaced; and what is rounding."""
    rig = rig_of(bench, warmed(bench))
    generator = torch.Generator().manual_seed(bench.experiment.seed)
    base, again = rig.outputs(), rig.outputs()
    other = rig.outputs(replaced_rows(rig.inputs, bench.size, torch.arange(bench.size), generator))

    def distance(after: list[Tensor]) -> float:
        pairs = [(x, y) for x, y in zip(base, after, strict=True) if x.shape == y.shape and x.numel()]
        return max((float((y - x).abs().max()) / max(float(x.abs().max()), 1e-300) for x, y in pairs), default=math.inf)

    return distance(other), TOLERANCE * rig.eps + 10 * distance(again)


def _curves(bench: Bench) -> Curves:
    return Curves(
        np.array([_losses(bench, seed, shuffled=False) for seed in range(SEEDS)]),
        np.array([_losses(bench, seed, shuffled=True) for seed in range(SEEDS)]),
    )


def _losses(bench: Bench, seed: int, *, shuffled: bool) -> list[float]:
    """Losses of a training run on the first batch; NaN after one that is not finite."""
    model = bench.model(seed)
    optimizer = bench.optimizer(model, seed)
    inputs, targets = bench.first
    generator = torch.Generator().manual_seed(bench.experiment.seed + seed)
    losses = [math.nan] * STEPS
    with seeded(bench.experiment.seed + seed), torch.enable_grad():
        for step in range(STEPS):
            order = torch.randperm(bench.size, generator=generator)
            given = taken(inputs, bench.size, order) if shuffled else inputs
            losses[step] = bench.step(model, optimizer, copied(given), copied(targets))
            if not math.isfinite(losses[step]):
                break
    return losses


def _rests_without_inputs(bench: Bench, curves: Curves) -> bool:
    """Whether training has come to the loss of the best output that does not depend on the input; before that nothing is told."""
    known = stakes(bench)
    return known is not None and abs(float(curves.real[:, -5:].mean()) - known.null) <= NEAR * abs(known.null)


def _drawn(canvas: Canvas, curves: Curves) -> None:
    ax = draw.axes(canvas, "step", "loss on the batch")
    for values, color, label in (
        (curves.real, draw.SEEN, "with the inputs"),
        (curves.shuffled, draw.NULL, "inputs of other rows"),
    ):
        steps = np.arange(values.shape[1])
        ax.fill_between(steps, values.min(0), values.max(0), color=color, alpha=0.25, linewidth=0)
        ax.plot(steps, values.mean(0), color=color, label=label)
    draw.legend(ax)


def _rows_drawn(canvas: Canvas, bench: Bench) -> None:
    first = next(tensors_in(bench.first[0])).detach().cpu().double().flatten(1)
    ax = draw.axes(canvas, "feature", "row")
    image = ax.imshow(first[:32, :128].numpy(), aspect="auto", cmap="cividis", interpolation="nearest")
    canvas.colorbar(image, ax=ax, label="value of the input")


def _change_drawn(canvas: Canvas, change: float, rounding: float) -> None:
    ax = draw.bars(canvas, ["all inputs"], [max(change, rounding / 100)], "change of the output [its size]", bad=[True])
    ax.set_xscale("log")
    ax.set_xlim(rounding / 1000, 1)
    draw.line(ax, rounding, "rounding", upright=True)
    draw.legend(ax)
