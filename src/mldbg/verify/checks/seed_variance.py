from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from scipy import stats

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import SEEDS, STEPS, Stakes, end_of, stakes, still_falling, trial
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.statistics import clopper_pearson, t_interval

LEARNED = 0.5
"""A run that leaves less of the stakes has learned."""

STUCK = 0.9
"""A run that leaves more, at rest, has not."""


class SeedVariance(Check):
    """training does not depend on the luck of the seed

    ## Why
    One clean curve is not evidence. If some seeds learn and others do not, a comparison of two single runs compares seeds.

    ## Measures
    Five fresh models are trained for 100 steps on one batch, alike but for the seed. The statistic is the standard deviation
    of the share of the reducible loss that is left (1: best constant output, 0: the known floor); mean, interquartile mean
    and a t-interval at 99 % are given. A claim that one variant is better than another needs such an interval of *paired*
    differences, seed by seed. Values that were standardised within each seed are not independent (of two values one follows
    from the other), and a t-test on them is wrong. It fails if one seed learned more than half and another plateaus with
    more than 90 % left.

    ## Causes
    - `seed-decides`: some seeds learn, others do not: initial weights kill the model, or a random part is not under control.

    ## Limits
    Five seeds: a failure that happens to one seed in ten is missed more often than not. The data order is not varied.
    """

    id = "T11"
    stage = Stage.LEARNING
    kind = Kind.STATISTICAL
    after = (Stage.LOSS, Stage.WIRING, "first-non-finite", "overfit-one-batch", "learning-rate")
    cost = 1.5

    def run(self, bench: Bench) -> Outcome:
        at_stake = stakes(bench)
        if at_stake is None:
            return self.cannot_tell(
                "the reducible loss on the batch is unknown: the loss has no floor, or no constant output is worse",
                "use a loss of output and targets that is bounded below, and a batch with different targets",
            )
        curves = [trial(bench, seed, steps=STEPS) for seed in range(SEEDS)]
        left = np.array([at_stake.share(end_of(curve)) for curve in curves])
        stuck = [share > STUCK and not still_falling(curve, at_stake.floor) for share, curve in zip(left, curves, strict=True)]
        finite = left[np.isfinite(left)]
        spread = float(finite.std(ddof=1)) if len(finite) > 1 else math.inf
        numbers: dict[str, Any] = {
            "figure": Figure(
                f"The same training with {SEEDS} seeds",
                lambda canvas: _drawn(canvas, curves, at_stake, stuck),
                "1 is the loss of the best constant output, 0 the lowest possible. Red: a seed that learned nothing.",
            ),
            "statistic": spread,
            "null": "a spread that is small compared with 1",
            "left": left.tolist(),
            "stuck_bounds": clopper_pearson(sum(stuck), SEEDS),
        }
        if any(stuck) and not all(stuck) and bool((left < LEARNED).any()):
            return self.failed(
                "seed-decides",
                f"{sum(stuck)} of {SEEDS} seeds plateau without learning anything, while the best leaves {left.min():.2g} of "
                f"the stakes",
                "compare the first steps of a good and a bad seed: initial weights, dead units, random parts of the model",
                threshold=STUCK,
                **numbers,
            )
        if not len(finite):
            return self.cannot_tell("no seed ends with a finite loss", "see first-non-finite and learning-rate", **numbers)
        low, high = t_interval(finite)
        middle = float(stats.trim_mean(finite, 0.25))
        return self.passed(
            f"{finite.mean():.2g} of the reducible loss is left after {STEPS} steps (99 % interval {max(low, 0):.2g} to "
            f"{high:.2g}, "
            f"interquartile mean {middle:.2g}): two single runs that differ by less than {2 * math.sqrt(2) * spread:.1g} "
            f"do not differ",
            interval=(low, high),
            interquartile_mean=middle,
            **numbers,
        )


def _drawn(canvas: Canvas, curves: list[tuple[float, ...]], at_stake: Stakes, stuck: list[bool]) -> None:
    ax = draw.axes(canvas, "step", "share of the reducible loss left", log_y=True)
    for seed, (curve, bad) in enumerate(zip(curves, stuck, strict=True)):
        label = "seed that learned nothing" if bad and seed == stuck.index(True) else "one seed" if seed == 0 else None
        shares = np.maximum([at_stake.share(loss) for loss in curve], 1e-4)
        ax.plot(shares, color=draw.BAD if bad else draw.SEEN, linewidth=0.8, label=label)
    draw.line(ax, 1.0, "best constant output")
    draw.legend(ax)
