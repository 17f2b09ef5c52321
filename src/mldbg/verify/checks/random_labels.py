from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from scipy import stats
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import Stakes, batches, can_be_permuted, end_of, optimizer_of, stakes, trained
from mldbg.verify.outcome import Figure, Outcome

DRAWS = 6
"""Runs with permuted targets."""

BATCHES = 8
"""Batches that are trained on in turn, where the factory makes different ones: random labels of many rows take longer to
learn."""

STEPS = 80
"""Steps of each run."""

LEVEL = 0.99
"""Of the one-sided prediction interval."""

FITTED = 0.1
"""Share of the stakes left at which a batch counts as fitted."""

SPEED = 0.1
"""Relative difference of the areas under the curves that would still mean something."""

MOVES = 0.5
"""Share of the stakes that is left, at most, after as many steps on a single batch: else the steps are too short to tell."""

LEARNED = 0.97
"""Share of the stakes that is left, at most, with real or with permuted targets: else there is nothing to compare."""

CEILING = 2.0
"""A share above it counts as this much."""


class RandomLabels(Check):
    """the model learns the real targets faster than permuted ones

    ## Why
    A network with enough weights fits random labels (Zhang and others 2017), so a falling training loss proves nothing about
    the labels, and the number of parameters nothing about capacity. Both are measured by fitting random labels.

    ## Measures
    The same fresh model is trained for 80 steps on up to 8 batches in turn with their targets, and 6 times with the targets
    permuted within each batch. The statistic is the relative difference of the areas under the curves (share of the
    reducible loss left), with a prediction interval from the permuted runs. Real targets that are faster (99 %) are
    learnable. Real targets whose advantage is surely below 10 %, while a single batch is learned in as many steps, look
    random to this model: a warning. If permuted targets are fitted as well (below 0.1), capacity is not the limit, whatever
    the number of parameters.

    ## Causes
    - `labels-look-random`: the targets are learned barely faster than permuted ones: they were shuffled, or the inputs say
      nothing about them.

    ## Limits
    A hard task, where 80 steps are all memorising, looks the same: it warns and never fails. If little is learned in that
    many steps (97 % of the reducible loss is left), it cannot tell. Held-out rows, if available, say more (label-alignment).
    """

    id = "T7"
    stage = Stage.LEARNING
    kind = Kind.HEURISTIC
    after = (Stage.LOSS, Stage.WIRING, "first-non-finite", "overfit-one-batch", "learning-rate")
    cost = 1.5

    def run(self, bench: Bench) -> Outcome:
        if not can_be_permuted(bench):
            return self.skipped(
                "needs a batch of at least 8 rows whose targets are one tensor and not all equal", "use a larger batch"
            )
        at_stake = stakes(bench)
        if at_stake is None:
            return self.cannot_tell(
                "the reducible loss on the batch is unknown: the loss has no floor, or no constant output is worse",
                "use a loss of output and targets that is bounded below",
            )
        rng = bench.rng("random-labels")
        real = _shares(bench, at_stake, None)
        permuted = [_shares(bench, at_stake, rng) for _ in range(DRAWS)]
        areas = np.array([curve.mean() for curve in permuted])
        half = float(stats.t.ppf(LEVEL, DRAWS - 1)) * float(areas.std(ddof=1)) * math.sqrt(1 + 1 / DRAWS)
        seen = 1 - float(real.mean() / areas.mean())
        error = half / float(areas.mean())
        left_real, left_permuted = end_of(real.tolist()), float(np.mean([end_of(curve.tolist()) for curve in permuted]))
        capacity = (
            "permuted targets are fitted too: capacity is not the limit"
            if left_permuted <= FITTED
            else f"{left_permuted:.2g} of the reducible loss is left with permuted targets"
        )
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Learning actual and permuted targets",
                lambda canvas: _drawn(canvas, real, permuted),
                "Grey: permuted targets. Blue: actual targets, which should be below.",
            ),
            "statistic": seen,
            "null": "0 within the prediction interval of permuted targets",
            "threshold": error,
            "left_real": left_real,
            "left_permuted": left_permuted,
        }
        moves = at_stake.share(end_of(bench.overfit().losses[:STEPS])) < MOVES
        if seen > error and seen + error >= SPEED:
            return self.passed(
                f"real targets are learned faster, area {seen:.0%} smaller (null {error:.0%}); {capacity}", **numbers
            )
        learned = min(left_real, left_permuted) < LEARNED
        if moves and learned and seen + error < SPEED:
            return self.warned(
                "labels-look-random",
                f"real targets are learned barely faster than permuted ones: the area differs by {seen:.1%}, at most "
                f"{seen + error:.1%}",
                "inspect ten rows by hand, inputs next to targets",
                **numbers,
            )
        if seen > error:
            why = f"real targets are learned faster, but little is learned in {STEPS} steps: the area is {seen:.1%} smaller"
        else:
            why = f"real targets are not learned faster than permuted ones: an area {error:.1%} smaller would have been detected"
        return self.cannot_tell(
            f"{why}; {left_real:.2g} of the reducible loss is left",
            "use larger batches, or check whether more steps learn more",
            **numbers,
        )


def _shares(bench: Bench, at_stake: Stakes, rng: np.random.Generator | None) -> np.ndarray:
    """The share of the reducible loss left, step by step; with a generator the targets are permuted within each batch."""
    drawn = batches(bench, BATCHES)
    if rng is not None:
        drawn = [(inputs, _permuted(targets, rng)) for inputs, targets in drawn]
    model = bench.model(0)
    optimizer = optimizer_of(bench, model)
    losses: list[float] = []
    for step in range(STEPS):
        losses += trained(bench, model, optimizer, 1, drawn[step % len(drawn)], seed=step)
        if not math.isfinite(losses[-1]):
            break
    shares = np.array([min(at_stake.share(loss), CEILING) for loss in losses])
    return np.pad(shares, (0, STEPS - len(shares)), constant_values=CEILING)


def _permuted(targets: Tensor, rng: np.random.Generator) -> Tensor:
    return targets[torch.from_numpy(rng.permutation(len(targets))).to(targets.device)]


def _drawn(canvas: Canvas, real: np.ndarray, permuted: list[np.ndarray]) -> None:
    ax = draw.axes(canvas, "step", "share of the reducible loss left")
    for index, curve in enumerate(permuted):
        ax.plot(curve, color=draw.NULL, linewidth=0.8, label=None if index else "permuted targets")
    ax.plot(real, color=draw.SEEN, label="real targets")
    draw.line(ax, FITTED, "fitted below")
    draw.legend(ax)
