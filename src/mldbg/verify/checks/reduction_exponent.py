from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, mapped
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import NO_PROBE, PROBE_NEXT, Probe, class_axis, probe_of, repeated

MEAN, SUM = 0.0, 1.0

TOLERANCE = 1e3
"""Units of rounding by which an exponent may differ from a whole number."""

Exponents = tuple[float, float]
"""Of the loss and of its gradient by the output."""


class ReductionExponent(Check):
    """doubling the batch changes the loss as its reduction says

    ## Why
    A loss that is summed over the batch grows with it: its gradient, the useful learning rate and every comparison between runs
    then depend on the batch size. "Off by a factor of the batch size" is invisible at a fixed size.

    ## Measures
    The exponent k = log2 of the loss of a batch written twice over the loss of the batch: 0 for a mean, 1 for a sum, exactly. The
    same for the gradient of a row, 1 + log2 of the ratio of its norms, which a constant added to the loss does not change. The
    gradient decides. It is also done along each further axis that outputs and targets share (places of a sequence), for the
    record.

    ## Causes
    - `sum-reduction`: the loss is a sum over the batch. Without a declared `reduction` this warns.
    - `mean-reduction`: the loss is a mean over the batch, but a sum was declared.
    - `wrong-reduction`: neither, but one was declared: the loss is divided by, or multiplied with, something else.

    ## Limits
    Without a declared reduction a loss that compares rows with one another, as contrastive ones do, passes with its exponent
    shown.
    """

    id = "U3"
    stage = Stage.LOSS
    kind = Kind.EXACT
    after = ("input-range",)
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        declared = bench.experiment.reduction
        if declared not in (None, "mean", "sum"):
            raise ExperimentError(f'Experiment: reduction must be "mean" or "sum", not {declared!r}')
        probe = probe_of(bench)
        if probe is None:
            return self.skipped(NO_PROBE, PROBE_NEXT)
        if bench.size < 2 or probe.main.shape[0] != bench.size:
            return self.skipped("needs a batch of two rows, with one output row each", "use a larger batch")
        try:
            of_batch = _exponents(probe, 0, bench)
        except ExperimentError:
            return self.skipped(
                "the loss does not accept a batch of twice the size", "have the loss take the batch size from its input"
            )
        if not all(map(math.isfinite, of_batch)):
            return self.cannot_tell("the loss or its gradient is zero or not finite for random outputs", "see gradient-check")
        others = _along_others(probe, bench)
        seen = of_batch[1]
        threshold = TOLERANCE * probe.exactness
        figure = Figure(
            "How the loss grows with the batch and with each further axis",
            lambda canvas: _drawn(canvas, {"batch": of_batch, **others}),
            "0: a mean along that axis; 1: a sum. Bars in between come from a loss that compares rows, or from a wrong divisor.",
        )
        wanted = {"mean": MEAN, "sum": SUM, None: MEAN}[declared]
        numbers: dict[str, Any] = {
            "figure": figure,
            "statistic": seen,
            "null": "0 for a mean, 1 for a sum over the batch, within rounding",
            "threshold": wanted + threshold,
            "exponent_of_the_loss": of_batch[0],
            "along_other_axes": {name: pair[1] for name, pair in others.items()},
        }
        if abs(seen - wanted) <= threshold:
            name = "sum" if wanted else "mean"
            return self.passed(f"the loss is a {name} over the batch: doubled, its gradient grows as 2^{seen:.3g}", **numbers)
        is_sum, is_mean = abs(seen - SUM) <= threshold, abs(seen - MEAN) <= threshold
        if declared is None and not is_sum:
            return self.passed(
                f"the loss is neither a mean nor a sum over the batch: its gradient grows as 2^{seen:.3g}", **numbers
            )
        why = f"doubling the batch multiplies the gradient of a row by 2^{seen - 1:.3g}: "
        if is_sum:
            tell = self.warned if declared is None else self.failed
            return tell(
                "sum-reduction",
                why + f"the loss is a sum over the batch{'' if declared is None else ', but a mean was declared'}, "
                f"and {bench.size} times too large here",
                'use reduction="mean", or declare Experiment(..., reduction="sum") if it is intended',
                **numbers,
            )
        cause = "mean-reduction" if is_mean else "wrong-reduction"
        return self.failed(
            cause,
            why + (f"the loss is a {'mean' if is_mean else 'mixture of rows'}, but a {declared} was declared"),
            "check what the loss is divided by, or correct the declaration",
            **numbers,
        )


def _exponents(probe: Probe, axis: int, bench: Bench) -> Exponents:
    """Of the loss and of its gradient when everything is written twice along an axis."""
    rng = bench.rng("reduction-exponent")
    values: list[float] = []
    gradients: list[float] = []
    for _ in range(3):
        main = probe.random(rng)
        length = main.shape[axis]
        if axis == 0:
            output, targets = repeated(bench.output, length), repeated(probe.targets, length)
        else:
            output, targets = bench.output, _twice(probe.targets, axis, length)
        once, twice = probe.loss(main), probe.loss(torch.cat([main, main], axis), targets, output)
        values.append(_log2(float(twice.detach()), float(once.detach())))
        g_once, g_twice = probe.gradient(main), probe.gradient(torch.cat([main, main], axis), targets, output)
        if g_once is not None and g_twice is not None:
            gradients.append(1 + _log2(float(g_twice.narrow(axis, 0, length).norm()), float(g_once.norm())))
    return _median(values), _median(gradients)


def _along_others(probe: Probe, bench: Bench) -> dict[str, Exponents]:
    """The same along the axes that the output shares with the targets, other than batch and classes."""
    targets = probe.targets
    if not isinstance(targets, Tensor):
        return {}
    found: dict[str, Exponents] = {}
    classes = class_axis(bench)
    for axis in range(1, min(probe.main.ndim, targets.ndim)):
        if axis == classes or probe.main.shape[axis] != targets.shape[axis]:
            continue
        try:
            found[f"axis {axis}"] = _exponents(probe, axis, bench)
        except ExperimentError:
            continue
    return {name: pair for name, pair in found.items() if all(map(math.isfinite, pair))}


def _twice(value: Any, axis: int, length: int) -> Any:
    return mapped(value, lambda x: torch.cat([x, x], axis) if x.ndim > axis and x.shape[axis] == length else x)


def _log2(above: float, below: float) -> float:
    return math.log2(above / below) if below and math.isfinite(above / below) and above / below > 0 else math.nan


def _median(values: list[float]) -> float:
    finite = sorted(value for value in values if math.isfinite(value))
    return finite[len(finite) // 2] if finite else math.nan


def _drawn(canvas: Canvas, exponents: dict[str, Exponents]) -> None:
    ax = draw.bars(
        canvas, list(exponents), [pair[1] for pair in exponents.values()], "exponent k of the gradient [log2 per doubling]"
    )
    draw.line(ax, MEAN, "mean", upright=True)
    draw.line(ax, SUM, "sum", color=draw.INK, upright=True)
    ax.set_xlim(
        min(-0.2, *(pair[1] - 0.1 for pair in exponents.values())), max(1.2, *(pair[1] + 0.1 for pair in exponents.values()))
    )
    draw.legend(ax)
