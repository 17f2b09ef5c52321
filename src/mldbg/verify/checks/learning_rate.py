from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import SEEDS, Stakes, end_of, stakes, trial
from mldbg.verify.learning import STEPS as TRIAL
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.statistics import clopper_pearson, t_interval

STEPS = 40
"""Steps at each learning rate."""

FEW_SEEDS = 3
"""Seeds at rates other than the user's and the best."""

DECADES = 7
"""How far the search goes to either side."""

MISSED = 0.25
"""Share of the possible progress that an unstable rate must miss."""

USELESS = 0.999
"""Share that a rate misses which is too low: a thousand times slower than the best."""

SLOW = 0.99
"""Share that is worth a warning."""


@dataclass(frozen=True, slots=True)
class _Rate:
    """Runs at one learning rate, seed by seed.

    Attributes:
        factor: of the user's rate.
        starts: losses before the first step.
        ends: mean losses of the last quarter, infinite where a run ended early.
        peaks: the largest losses on the way, infinite where a run ended early.
    """

    factor: float
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    peaks: tuple[float, ...]

    @property
    def progress(self) -> float:
        """The median fall of the loss; minus infinity for runs that blow up."""
        return float(np.median([start - end for start, end in zip(self.starts, self.ends, strict=True)]))

    @property
    def blown(self) -> int:
        """Runs that ended in a loss that is not finite."""
        return sum(not math.isfinite(end) for end in self.ends)

    def wild(self, possible: float) -> int:
        """Runs whose loss rose above the first one by more than half of the progress that is possible."""
        return sum(peak > start + 0.5 * possible for start, peak in zip(self.starts, self.peaks, strict=True))


class LearningRate(Check):
    """the learning rate makes progress without blowing up

    ## Why
    A rate that is a thousand times too low looks like a model that cannot learn, and one that is too high like a hard
    problem: the loss jumps, then stays on a plateau with dead units.

    ## Measures
    Fresh models are trained for 40 steps on one batch with the user's optimizer, with its rates (of every parameter group)
    multiplied by powers of ten, at three seeds each and five at the user's rate and at the best one. The statistic is the share
    of the progress of the best rate that the user's rate misses, paired by seed, with a t-interval at 95 %: 0 is as good as the
    best, 1 no progress or a rise; progress is counted from a run at a rate of 0 with the same draws of dropout. Too high is a
    rate that misses more than a quarter (lower bound) where a tenth of it or less does not, and whose loss rose above the first
    one in every run by more than half of the possible progress. Too low is a rate that misses 99.9 % (lower bound; 99 %: a
    warning) of the progress of a rate at least a hundred times higher. One run with the steepest slope, as in the common range
    test, has no error bars and depends on the smoothing.

    ## Causes
    - `learning-rate-too-high`: the loss blows up or jumps, a lower rate learns.
    - `learning-rate-too-low`: nothing moves, a much higher rate learns.

    ## Limits
    Forty steps on one batch: schedules and warm-up are not part of it, and a rate that is good here may be too high on noisy
    batches later. Where no rate makes progress, the rate is not the problem, and the verdict is CANNOT-TELL.
    """

    id = "T3"
    stage = Stage.LEARNING
    kind = Kind.STATISTICAL
    needs = ("optimizer",)
    after = (Stage.LOSS, Stage.WIRING, "first-non-finite")
    cost = 3.0

    def run(self, bench: Bench) -> Outcome:
        rates = bench.once("learning rates", lambda: _searched(bench))
        user = rates[1.0]
        best = max(rates.values(), key=lambda rate: rate.progress)
        if not _learns(best, stakes(bench)):
            return self.cannot_tell(
                f"no learning rate from {min(rates):g} to {max(rates):g} times yours makes progress within {STEPS} steps",
                "see the other checks: the rate is not the problem",
                figure=self._figure(rates, best),
            )
        missed = _missed(bench, user, best)
        low, high = t_interval(missed, 0.95)
        numbers: dict[str, Any] = {
            "figure": self._figure(rates, best),
            "statistic": float(np.mean(missed)),
            "null": "0: as good as the best rate; up to 0.25 is acceptable",
            "interval": (low, high),
            "best_factor": best.factor,
            "blown_up": {str(rate.factor): (rate.blown, len(rate.ends)) for rate in rates.values()},
            "blown_up_bounds_at_yours": clopper_pearson(user.blown, len(user.ends)),
        }
        if best.factor < 1 and low > MISSED and user.wild(best.progress) == len(user.ends):
            return self.failed(
                "learning-rate-too-high",
                f"the loss {'blows up' if user.blown else 'jumps above its first value'} in all {SEEDS} runs, "
                f"at {best.factor:g} of the rate it falls by {best.progress:.3g}",
                f"try {best.factor:g} of the learning rate",
                threshold=MISSED,
                **numbers,
            )
        if best.factor >= 100 and low > SLOW:
            say = self.failed if low > USELESS else self.warned
            return say(
                "learning-rate-too-low",
                f"in {STEPS} steps the loss falls by {1 - np.mean(missed):.1g} of what it falls by at {best.factor:g} "
                f"times the rate",
                f"try {best.factor / 10:g} times the learning rate",
                threshold=USELESS,
                **numbers,
            )
        return self.passed(
            f"the rate learns without blowing up; in {STEPS} steps it misses {max(np.mean(missed), 0):.0%} (95 % interval "
            f"{low:.2f} to {high:.2f}) of the progress of the best, {best.factor:g} times yours",
            threshold=MISSED,
            **numbers,
        )

    def _figure(self, rates: dict[float, _Rate], best: _Rate) -> Figure:
        return Figure(
            f"Loss after {STEPS} steps against the learning rate",
            lambda canvas: _drawn(canvas, rates, best),
            "One line per seed. The loss is scaled so that 1 is the loss of the untrained model and 0 the best "
            "reached; runs that blew up are at the top. The red line is the current learning rate.",
        )


def _searched(bench: Bench) -> dict[float, _Rate]:
    """Rates by factor: the user's, its neighbours, and further to either side as long as there is something to gain."""
    rates = {1.0: _rate(bench, 1.0, SEEDS)}
    for factors in ([10.0**k for k in range(1, DECADES + 1)], [10.0**-k for k in range(1, DECADES + 1)]):
        top = rates[1.0].progress
        for factor in factors:
            found = rates[factor] = _rate(bench, factor, FEW_SEEDS)
            if factor > 1 and (found.blown or found.progress < 0.9 * top):
                break
            if factor < 1 and found.progress < 0.9 * top and not found.wild(abs(top)):
                break
            top = max(top, found.progress)
    while len((best := max(rates.values(), key=lambda rate: rate.progress)).ends) < SEEDS:
        rates[best.factor] = _rate(bench, best.factor, SEEDS)  # with more seeds, another may turn out to be the best
    return dict(sorted(rates.items()))


def _rate(bench: Bench, factor: float, seeds: int) -> _Rate:
    steps = TRIAL if factor == 1 else STEPS  # the user's own rate is run for longer, for seed-variance
    curves = [trial(bench, seed, factor, steps)[:STEPS] for seed in range(seeds)]
    whole = [len(curve) == STEPS and math.isfinite(curve[-1]) for curve in curves]
    return _Rate(
        factor,
        tuple(curve[0] for curve in curves),
        tuple(end_of(curve) if ok else math.inf for curve, ok in zip(curves, whole, strict=True)),
        tuple(max(curve) if ok else math.inf for curve, ok in zip(curves, whole, strict=True)),
    )


def _learns(best: _Rate, at_stake: Stakes | None) -> bool:
    """Whether the loss falls by a tenth of the stakes (of its first value without them), beyond the spread of seeds."""
    falls = [start - end for start, end in zip(best.starts, best.ends, strict=True)]
    scale = at_stake.null - at_stake.floor if at_stake is not None else abs(float(np.median(best.starts)))
    return math.isfinite(best.progress) and best.progress > 0.1 * scale and t_interval(falls, 0.95)[0] > 0


def _missed(bench: Bench, user: _Rate, best: _Rate) -> np.ndarray:
    """By seed: the share of the best rate's progress that the user's rate misses, at most 1.

    Progress is counted from where the loss is after as many steps at a rate of 0, with the same draws of dropout.
    """
    if user is best:
        return np.zeros(SEEDS)
    still = _rate(bench, 0.0, SEEDS)
    triples = zip(still.ends, user.ends, best.ends, strict=True)
    return np.array([min((end - top) / max(start - top, 1e-30), 1.0) for start, end, top in triples])


def _drawn(canvas: Canvas, rates: dict[float, _Rate], best: _Rate) -> None:
    ax = draw.axes(
        canvas, "learning rate [times yours]", "loss after the steps [share of the possible progress left]", log_x=True
    )
    ceiling = 2.0
    for seed in range(SEEDS):
        points = [
            (rate.factor, (rate.ends[seed] - best.ends[seed]) / max(rate.starts[seed] - best.ends[seed], 1e-30))
            for rate in rates.values()
            if seed < len(rate.ends)
        ]
        ax.plot([x for x, _ in points], [min(y, ceiling) for _, y in points], "o-", color=draw.SEEN, markersize=3, linewidth=0.8)
    draw.band(ax, -0.02, 0.02, "as good as the best")
    draw.line(ax, 1.0, "untrained model")
    draw.line(ax, 1.0, "yours", color=draw.BAD, upright=True)
    ax.set_ylim(-0.1, ceiling + 0.1)
    draw.legend(ax)
