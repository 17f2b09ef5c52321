from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import end_of, optimizer_of, stakes, still_falling, trained
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.statistics import t_interval

WIDTHS = (1, 2, 4, 8)
"""Factors that are tried."""

SEEDS = 3
"""Paired seeds of each."""

STEPS = 60
"""Steps of each run."""

FLAT = 0.02
"""Change of the share left for each doubling that is none."""

MUCH = 0.25
"""Share of the stakes that is left at all sizes, where size should matter."""


class CapacitySweep(Check):
    """a larger model fits better

    ## Why
    If doubling the width changes nothing and much is left to be learned, the problem is the objective or the data, not the
    size of the model, and no larger model is worth its cost.

    ## Measures
    `width(k)` for k = 1, 2, 4, 8, trained for 60 steps on one batch with three seeds, paired over sizes. The statistic is the
    dose-response slope: the change of the share of the reducible loss left per doubling, with a t-interval at 99 %. The number of
    parameters must grow with k: that is exact.

    ## Causes
    - `width-ignored`: the number of parameters does not grow with k.
    - `size-does-not-matter`: a warning: the slope is confidently within 0.02 of 0, all runs have plateaued, and more than a
      quarter of the reducible loss is left at every size.

    ## Limits
    It uses one batch, and so tells what can be fitted, not what generalises. Sizes beyond 8 times the smallest are not
    tried.
    """

    id = "T8"
    stage = Stage.LEARNING
    kind = Kind.STATISTICAL
    needs = ("width",)
    after = (Stage.LOSS, "first-non-finite")
    cost = 1.5

    def run(self, bench: Bench) -> Outcome:
        benches = [_of_width(bench, factor) for factor in WIDTHS]
        counts = [sum(each.numel() for each in narrow.model(0).parameters()) for narrow in benches]
        if any(later <= earlier for earlier, later in itertools.pairwise(counts)):
            listed = ", ".join(f"{count:,} at {factor}" for factor, count in zip(WIDTHS, counts, strict=True))
            return self.failed(
                "width-ignored",
                f"the number of parameters does not grow with the factor: {listed}",
                "have width(k) pass k to every layer",
                Figure(
                    "Number of parameters against the width factor",
                    lambda canvas: _counts_drawn(canvas, counts),
                    "It must increase from point to point.",
                ),
                statistic=float(min(np.diff(counts))),
                null="every larger factor yields more parameters",
                threshold=0.0,
            )
        at_stake = stakes(bench)
        if at_stake is None:
            return self.cannot_tell(
                "the reducible loss on the batch is unknown: the loss has no floor, or no constant output is worse",
                "use a loss of output and targets that is bounded below",
            )
        curves = [[_curve(narrow, seed) for narrow in benches] for seed in range(SEEDS)]
        left = np.array([[min(at_stake.share(end_of(curve)), 2.0) for curve in row] for row in curves])
        slopes = [float(np.polyfit(np.log2(WIDTHS), row, 1)[0]) for row in left]
        low, high = t_interval(slopes)
        falling = any(still_falling(curve, at_stake.floor) for row in curves for curve in row)
        numbers: dict[str, Any] = {
            "figure": Figure(
                f"Loss left after {STEPS} steps against the size of the model",
                lambda canvas: _drawn(canvas, counts, left),
                "One line per seed. 1 is the loss of the best constant output, 0 the lowest possible.",
            ),
            "statistic": float(np.mean(slopes)),
            "null": "below 0: a larger model leaves less loss",
            "threshold": FLAT,
            "interval": (low, high),
            "parameters": counts,
            "left": left.tolist(),
        }
        if low > -FLAT and high < FLAT and left.min() > MUCH and not falling:
            return self.warned(
                "size-does-not-matter",
                f"{left.min():.2g} of the reducible loss or more is left at every size; a doubling changes it by "
                f"{np.mean(slopes):+.2g} (99 % interval {low:.2g} to {high:.2g})",
                "check the objective and the data: a larger model will not help",
                **numbers,
            )
        return self.passed(
            f"{left[:, 0].mean():.2g} of the reducible loss is left at {counts[0]:,} parameters, {left[:, -1].mean():.2g} at "
            f"{counts[-1]:,}: {np.mean(slopes):+.2g} per doubling of the width",
            **numbers,
        )


def _of_width(bench: Bench, factor: int) -> Bench:
    """A bench whose model has another width; batch and loss are the same."""
    width = bench.experiment.width
    assert width is not None  # needs
    return Bench(replace(bench.experiment, model=lambda: width(factor)), bench.device, bench.seconds)


def _curve(narrow: Bench, seed: int) -> tuple[float, ...]:
    model = narrow.model(seed)
    return trained(narrow, model, optimizer_of(narrow, model, seed), STEPS, seed=seed)


def _counts_drawn(canvas: Canvas, counts: list[int]) -> None:
    ax = draw.axes(canvas, "width factor", "parameters")
    ax.plot(WIDTHS, counts, "o-", color=draw.BAD)


def _drawn(canvas: Canvas, counts: list[int], left: np.ndarray) -> None:
    ax = draw.axes(canvas, "parameters", "share of the reducible loss left", log_x=True)
    for seed, row in enumerate(left):
        ax.plot(counts, row, "o-", color=draw.SEEN, markersize=3, linewidth=0.8, label=None if seed else "one seed")
    draw.line(ax, 1.0, "best constant output")
    ax.set_ylim(bottom=-0.05)
    draw.legend(ax)
