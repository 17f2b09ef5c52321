from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import NO_PROBE, PROBE_NEXT, Probe, permuted, probe_of

ROUNDINGS = 64.0
"""Summing the same numbers in another order moves a loss by a few units of rounding: 64 and a root of the count is beyond that.
"""

DRAWS = 8
"""Random outputs, each with its own permutation of the targets."""


class Pairing(Check):
    """the loss depends on which target belongs to which row

    ## Why
    A loss that does not change when the targets are shuffled cannot teach a model anything about individual rows. The usual
    reason is a broadcast: predictions of shape (N, 1) minus targets of shape (N,) are an (N, N) table of all pairs, and the
    best that a model can do is to predict the mean.

    ## Measures
    The largest relative change of the loss when the targets of random outputs are permuted, over 8 draws (half of them with
    the mean and spread of the targets: far from all of them an absolute error does not heed their order), in float64 where
    the loss can do that. A sound loss changes by about the spread of the targets; a change within rounding in all draws
    fails.

    ## Causes
    - `mse-broadcast`: output and target have different shapes and are broadcast to all pairs; confirmed by a loss that does
      change once the output has the target's shape.
    - `targets-ignored`: the loss stays the same whatever the targets are.
    - `pairing-lost`: the loss depends on the set of targets only, not on their order (warns: a loss of distributions is meant
      to).

    ## Limits
    A loss that needs no targets should get None as targets; the check is then skipped. It needs two different targets.
    """

    id = "U4"
    stage = Stage.LOSS
    kind = Kind.EXACT
    after = ("input-range",)
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        targets = bench.first[1]
        if not isinstance(targets, Tensor) or targets.shape[:1] != (bench.size,):
            return self.skipped("needs targets in one tensor with one row per input", "make the targets a tensor")
        if bench.size < 2 or len(torch.unique(targets, dim=0)) < 2:
            return self.skipped("needs a batch with two different targets", "use a larger batch")
        probe = probe_of(bench)
        if probe is None:
            return self.skipped(NO_PROBE, PROBE_NEXT)
        as_is, permuted_losses = _losses(probe, bench.size, bench.rng(self.name))
        if not all(map(_finite, [*as_is, *permuted_losses])):
            return self.cannot_tell("the loss of random outputs is not finite", "see input-range and loss-input-range")
        change = max(abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in zip(as_is, permuted_losses, strict=True))
        threshold = ROUNDINGS * probe.exactness * max(1.0, targets.numel() ** 0.5 / 8)
        figure = Figure(
            "Loss of random outputs, with actual and with permuted targets",
            lambda canvas: _drawn(canvas, as_is, permuted_losses),
            "Each mark is one draw of random outputs. A sound loss changes when targets are permuted: the marks leave the line.",
        )
        numbers: dict[str, Any] = {
            "figure": figure,
            "statistic": change,
            "null": "for a loss that ignores the pairing: 0 within rounding",
            "threshold": threshold,
        }
        if change > threshold:
            return self.passed(f"permuting the targets changes the loss by up to {change:.2g} of its size", **numbers)
        shape, wanted = tuple(probe.main.shape), tuple(targets.shape)
        if probe.broadcasts():
            return self.failed(
                "mse-broadcast",
                f"output {shape} and targets {wanted} are broadcast to all pairs: permuting the targets leaves the loss as it is "
                f"(relative change {change:.1g}); with an output of shape {wanted} it changes",
                f"make the shapes equal, as with output.reshape(target.shape), or target[:, None]: both {wanted} or both {shape}",
                **numbers,
            )
        if _ignores(probe, targets):
            return self.failed(
                "targets-ignored",
                f"the loss stays the same when all targets are replaced (relative change {change:.1g})",
                "make the loss use its second argument; use None as targets if it needs none",
                **numbers,
            )
        return self.warned(
            "pairing-lost",
            f"permuting the targets does not change the loss (relative change {change:.1g}), although replacing the targets does",
            "compare output and target row by row before averaging, unless the loss is meant to compare sets",
            **numbers,
        )


def _finite(value: float) -> bool:
    return value - value == 0


def _losses(probe: Probe, rows: int, rng: Any) -> tuple[list[float], list[float]]:
    as_is, with_others = [], []
    for draw_number in range(DRAWS):
        main = probe.random(rng, like_targets=draw_number % 2 == 0)
        order = torch.from_numpy(rng.permutation(rows))
        while torch.equal(permuted(probe.targets, order), probe.targets):
            order = torch.from_numpy(rng.permutation(rows))
        as_is.append(probe.at(main))
        with_others.append(probe.at(main, permuted(probe.targets, order)))
    return as_is, with_others


def _ignores(probe: Probe, targets: Tensor) -> bool:
    main = probe.random(probe.bench.rng("pairing, other targets"))
    every = [targets[row : row + 1].expand_as(targets) for row in range(len(targets))]
    values = [probe.at(main, each) for each in every[:16]]
    return max(values) - min(values) <= ROUNDINGS * probe.exactness * max(map(abs, values))


def _drawn(canvas: Canvas, as_is: list[float], with_others: list[float]) -> None:
    ax = draw.axes(canvas, "loss with the actual targets", "loss with permuted targets")
    low, high = min(*as_is, *with_others), max(*as_is, *with_others)
    ax.plot([low, high], [low, high], color=draw.NULL, linewidth=1, linestyle="--", label="no change: the pairing is ignored")
    ax.plot(as_is, with_others, "o", color=draw.SEEN, label="random outputs")
    draw.legend(ax)
