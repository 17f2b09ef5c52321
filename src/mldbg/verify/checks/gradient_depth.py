from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.statistics import t_interval
from mldbg.verify.wiring import NOT_FINITE, NOT_FINITE_NEXT, hooked, is_readable, weighted_modules

Floats = NDArray[np.float64]

SEEDS = 5
"""Fresh models with batches of their own."""

LEAST_LAYERS = 4
"""A slope over fewer layers says nothing about depth."""

MOST_SLOPE = 0.5
"""Decades for each layer. The default initialisation of torch loses 0.39 a layer with ReLU, and nets of usual depth learn."""

MOST_SPAN = 3.0
"""Decades between the first layer and the last. A steep but short net still learns."""

STEPS = 50
"""Training steps in which the growth in time is looked for."""

MOST_GROWTH = 100.0
"""A gradient norm in units of the running median of the norms before it."""


class GradientDepth(Check):
    """the gradient neither vanishes nor explodes with depth

    ## Why
    Each layer multiplies the gradient. If the factor is far from one, the first layers of a deep network learn nothing or
    blow up; saturating activations and wrong initial scales cause this.

    ## Measures
    The gradient at the *output* of each layer with a weight (the gradients of parameters mix in their fan-in), and the slope
    of log10 of its root mean square over the order of the calls: decades for each layer. It is taken for five fresh models,
    and fails where the 99 % interval of |slope| lies above 0.5 and the whole net spans more than three decades. Only ratios
    are used, so the unit of the loss does not matter, as it would for limits on absolute norms. With an optimizer also
    growth in time: a gradient norm above 100 running medians, with a loss above that of the start, is a warning.

    ## Causes
    - `vanishing-gradient`: it gets smaller towards the first layer.
    - `exploding-gradient`: it gets larger towards the first layer.
    - `gradients-grow`: the norm jumps during the first steps of training (a warning).

    ## Limits
    Needs four layers. With residual connections the slope is that of the branches. The inside of a fused recurrent layer is
    not visible.
    """

    id = "W4"
    stage = Stage.WIRING
    kind = Kind.STATISTICAL
    after = ("input-range", "first-non-finite", "gradient-reach")
    cost = 0.3

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        profiles = bench.once("gradient depth", lambda: [_profile(bench, seed) for seed in range(SEEDS)])
        usable = [np.array(each) for each in profiles if np.isfinite(each).sum() >= LEAST_LAYERS]
        if len(usable) < 3:
            layers = max(map(len, profiles))
            with_gradient = max(int(np.isfinite(each).sum()) for each in profiles)
            if layers >= LEAST_LAYERS:
                return self.skipped(
                    f"needs {LEAST_LAYERS} layers with a nonzero gradient; {with_gradient} of {layers} layers have one",
                    "not applicable where a layer is zero-initialised on purpose; otherwise see gradient-reach",
                )
            return self.skipped(
                f"needs {LEAST_LAYERS} layers with a gradient; this network has {with_gradient}",
                "not applicable: a shallow network has no depth in which to lose it",
            )
        slopes = np.array([_slope(each) for each in usable])
        low, high = t_interval(slopes)
        slope = float(slopes.mean())
        span = abs(slope) * (float(np.median([len(each) for each in usable])) - 1)
        spread = max(float(slopes.std(ddof=1)), 1e-12) / math.sqrt(len(slopes))
        p_value = float(stats.t.sf((abs(slope) - MOST_SLOPE) / spread, len(slopes) - 1))
        times = _in_time(bench)
        numbers: dict[str, Any] = {
            "statistic": slope,
            "null": "0 within 0.5 decades per layer",
            "threshold": MOST_SLOPE,
            "figure": Figure(
                "The gradient by depth",
                lambda canvas: _drawn(canvas, usable, slope),
                "One line per fresh model: the gradient at the output of each layer, relative to the last. Grey: a "
                "slope within half a decade per layer.",
            ),
            "interval": (low, high),
            "decades": span,
            "growth": times,
        }
        text = f"{abs(slope):.2f} decades per layer, {span:.1f} over the network"
        if min(abs(low), abs(high)) > MOST_SLOPE and low * high > 0 and span > MOST_SPAN:
            vanishing = slope > 0
            return self.failed(
                "vanishing-gradient" if vanishing else "exploding-gradient",
                f"the gradient {'shrinks' if vanishing else 'grows'} towards the first layer by {text}",
                "use ReLU-like activations, normalisation or residual connections"
                if vanishing
                else "use a smaller initialisation gain, or add normalisation",
                p_value=p_value,
                **numbers,
            )
        if times is not None and times > MOST_GROWTH:
            return self.warned(
                "gradients-grow",
                f"within {STEPS} steps the gradient norm rises to {times:.3g} times its running median, and so does the loss",
                "lower the learning rate, or clip the gradient",
                **numbers,
            )
        return self.passed(f"the gradient changes by {text}", **numbers)


def _profile(bench: Bench, seed: int) -> list[float]:
    """log10 of the RMS of the gradient at each layer's output, in the order of the calls; NaN where there is none."""
    model = bench.model(seed)
    inputs, targets = bench.batch(seed)
    outputs: list[Tensor] = []

    def keep(_: str, __: nn.Module, ___: Any, output: Any) -> None:
        found = main_tensor(output)
        if found is not None and found.requires_grad:
            found.retain_grad()
            outputs.append(found)

    with seeded(bench.experiment.seed + seed), torch.enable_grad(), hooked(weighted_modules(model), keep):
        loss = bench.loss(bench.run(model, inputs), targets)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    sizes = [float(each.grad.double().pow(2).mean().sqrt()) if each.grad is not None else 0.0 for each in outputs]
    return [math.log10(each) if 0 < each < math.inf else math.nan for each in sizes]


def _slope(profile: Floats) -> float:
    """Least squares, over the layers that have a gradient."""
    good = np.isfinite(profile)
    return float(np.polyfit(np.nonzero(good)[0], profile[good], 1)[0])


def _in_time(bench: Bench) -> float | None:
    """The largest ratio of a gradient norm to the median of those before, at a loss above the first; None without optimizer."""
    if bench.experiment.optimizer is None:
        return None
    model = bench.model(0)
    optimizer = bench.optimizer(model)
    norms: list[float] = []
    largest = first = 0.0
    with torch.enable_grad():
        for step in range(STEPS):
            inputs, targets = bench.batch(step)
            with seeded(bench.experiment.seed + step):
                value = bench.step(model, optimizer, copied(inputs), copied(targets))
            squares = [
                float(p.grad.double().pow(2).sum()) for p in model.parameters() if p.grad is not None and not p.grad.is_sparse
            ]
            norm = math.sqrt(sum(squares))
            if not math.isfinite(norm) or not math.isfinite(value):
                return math.inf
            if step == 0:
                first = value
            if len(norms) >= 5 and value > first:
                largest = max(largest, norm / max(float(np.median(norms)), 1e-300))
            norms.append(norm)
    return largest


def _drawn(canvas: Canvas, profiles: list[Floats], slope: float) -> None:
    ax = draw.axes(canvas, "layer, in call order", "RMS gradient / that of the last layer [decades]")
    bad = abs(slope) > MOST_SLOPE
    longest = max(map(len, profiles))
    places = np.arange(longest)
    ax.fill_between(
        places,
        -MOST_SLOPE * (longest - 1 - places),
        MOST_SLOPE * (longest - 1 - places),
        color=draw.NULL,
        alpha=0.25,
        linewidth=0,
        label="half a decade per layer",
    )
    for index, profile in enumerate(profiles):
        last = profile[np.isfinite(profile)][-1]
        ax.plot(
            profile - last,
            "o-",
            markersize=3,
            linewidth=1,
            color=draw.BAD if bad else draw.SEEN,
            label="fresh models" if not index else None,
        )
    draw.legend(ax)
