from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.wiring import (
    NOT_FINITE,
    NOT_FINITE_NEXT,
    Listening,
    hooked,
    is_readable,
    listed,
    plain_attention,
    weighted_modules,
    without_dropout,
)

SEEDS = 3
"""Fresh models with batches of their own; the median over them counts."""

LEAST_ROWS = 8
"""With fewer rows a healthy unit is off in all of them too often."""

MOST_DEAD = 0.9
"""Share of a layer's units that are off for every row."""

MOST_SATURATED = 0.95
"""Share of a layer's values at which the slope of a sigmoid or tanh is below a thousandth of its largest."""

LEAST_SPREAD = 1e-3
"""Root mean square of the differences between rows, in units of that of the values, relative to the same of the inputs."""

_FLAT: dict[str, tuple[Callable[[Tensor, tuple[float, ...]], Tensor], str]] = {
    "relu": (lambda y, _: y == 0, "ReLU"),
    "relu_": (lambda y, _: y == 0, "ReLU"),
    "clamp_min": (lambda y, bounds: y == bounds[0] if bounds else torch.zeros_like(y, dtype=torch.bool), "clamp"),
    "hardtanh": (
        lambda y, bounds: torch.isin(y, torch.tensor(bounds or (-1.0, 1.0), dtype=y.dtype, device=y.device)),
        "hardtanh",
    ),
    "gelu": (lambda y, _: y == 0, "GELU"),
    "silu": (lambda y, _: y == 0, "SiLU"),
    "sigmoid": (lambda y, _: (y == 0) | (y == 1), "sigmoid"),
    "tanh": (lambda y, _: y.abs() == 1, "tanh"),
}
"""Operations, and where their slope is exactly zero."""

_SLOPES: dict[str, Callable[[Tensor], Tensor]] = {"sigmoid": lambda y: 4 * y * (1 - y), "tanh": lambda y: 1 - y * y}
"""Slope by result, in units of the largest."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward pass shows.

    Attributes:
        dead: share of dead units by site of an activation.
        saturated: share of saturated values by site.
        spread: how much rows differ, by layer.
        rank: effective rank by layer, in units of the largest possible.
    """

    dead: dict[str, float]
    saturated: dict[str, float]
    spread: dict[str, float]
    rank: dict[str, float]


class DeadUnits(Check):
    """units respond to their inputs, and rows remain distinguishable through the layers

    ## Why
    A ReLU that is off for every row passes no gradient and stays off. A deep net whose layers shrink the signal below their
    biases gives every row the same output. Both have a perfect loss at the start: that of chance.

    ## Measures
    In training mode with dropout off, over three fresh models and batches, the median of
    - the share of units of each activation that stand where its slope is exactly zero, for every row (and position, for
      channels); it fails at 0.9;
    - the share of values of each sigmoid or tanh with a slope below a thousandth of its largest; a warning at 0.95;
    - how much rows differ at the output of each layer with a weight, in units of the size of the values, relative to the same of
      the inputs. It fails below a thousandth, if it stays so through the last two layers or more.

    The effective rank (exponential of the entropy of the singular values) is drawn beside it, but has no threshold: a fixed one
    of 0.05 calls every healthy sigmoid net with two layers collapsed (0.044), as all its activations share a large mean.

    ## Causes
    - `dead-units`: most units of an activation are off for every row.
    - `signal-collapse`: rows become indistinguishable with depth.
    - `saturated-units`: a sigmoid or tanh is saturated almost everywhere (a warning).

    ## Limits
    Needs 8 rows that differ. Activations inside fused recurrent layers are not seen.
    """

    id = "W5"
    stage = Stage.WIRING
    kind = Kind.EXACT
    after = ("input-range", "first-non-finite")
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        if bench.size < LEAST_ROWS:
            return self.skipped(f"needs a batch of {LEAST_ROWS} rows; this one has {bench.size}", "use a larger batch")
        passes = bench.once("dead units", lambda: [_measured(bench, seed) for seed in range(SEEDS)])
        dead, saturated = _medians([each.dead for each in passes]), _medians([each.saturated for each in passes])
        spread, rank = _medians([each.spread for each in passes]), _medians([each.rank for each in passes])
        off = [site for site, share in dead.items() if share >= MOST_DEAD]
        flat = [site for site, share in saturated.items() if share >= MOST_SATURATED]
        collapsed = _collapsed(spread)
        numbers: dict[str, Any] = {
            "statistic": max(dead.values(), default=0.0),
            "null": "0: every unit responds to some row",
            "threshold": MOST_DEAD,
            "figure": Figure(
                "Dead units and the difference between rows, by depth",
                lambda canvas: _drawn(canvas, dead, spread, rank),
                "Left: units whose slope is zero for every row. Right: how much rows differ, relative to the inputs; "
                "below the dashed line they are indistinguishable.",
            ),
            "dead": dead,
            "saturated": saturated,
            "spread": spread,
            "effective_rank": rank,
        }
        if off:
            return self.failed(
                "dead-units",
                f"{100 * dead[off[0]]:.0f} % of the units of {listed(off)} are off for every row: no gradient passes",
                "check the biases and the scale of the weights before it, and the scale of the inputs",
                **numbers,
            )
        if collapsed:
            return self.failed(
                "signal-collapse",
                f"from {collapsed[0]} on rows differ by {spread[collapsed[-1]]:.1g} of their size, relative to the inputs",
                "use an initialisation gain that suits the activation, normalisation, or residual connections",
                **{
                    **numbers,
                    "statistic": spread[collapsed[-1]],
                    "threshold": LEAST_SPREAD,
                    "null": "1: as different as the inputs",
                },
            )
        if flat:
            return self.warned(
                "saturated-units",
                f"{100 * saturated[flat[0]]:.0f} % of the values of {listed(flat)} are saturated",
                "rescale the inputs, or the weights before it",
                **numbers,
            )
        worst = max(dead, key=lambda site: dead[site], default=None)
        said = f"at most {100 * dead[worst]:.0f} % of a layer's units are off ({worst})" if worst else "no unit can be off"
        return self.passed(f"{said}; rows remain distinguishable", **numbers)


def _measured(bench: Bench, seed: int) -> Pass:
    model = without_dropout(bench.model(seed))
    inputs, _ = bench.batch(seed)
    outputs: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, _: Any, output: Any) -> None:
        found = main_tensor(output)
        judged = found is not None and found.shape[:1] == (bench.size,) and any(bool((p != 0).any()) for p in module.parameters())
        if found is not None and judged:
            outputs[name] = found.detach().flatten(1).double()

    listening = Listening(model, frozenset(_FLAT))
    try:
        with (
            torch.no_grad(),
            seeded(bench.experiment.seed + seed),
            plain_attention(),
            listening,
            hooked(weighted_modules(model), keep),
        ):
            bench.run(model, copied(inputs))
    finally:
        listening.close()
    dead: dict[str, float] = {}
    saturated: dict[str, float] = {}
    for heard in listening.heard:
        site = f"{heard.module} ({_FLAT[heard.operation][1]})" if heard.module else _FLAT[heard.operation][1]
        if heard.value.ndim < 2 or heard.value.shape[0] < 2 or not heard.value.numel():
            continue
        share = _dead_share(_FLAT[heard.operation][0](heard.value, heard.numbers))
        dead[site] = min(dead.get(site, 1.0), share)
        if heard.operation in _SLOPES:
            share = float((_SLOPES[heard.operation](heard.value.double()) < 1e-3).double().mean())
            saturated[site] = min(saturated.get(site, 1.0), share)
    reference = _spread_of_inputs(inputs)
    spread = {name: _spread(value) / reference for name, value in outputs.items()}
    return Pass(dead, saturated, spread, {name: _effective_rank(value) for name, value in outputs.items()})


def _dead_share(flat: Tensor) -> float:
    """Share of units that are flat in all rows; channels may be the second or the last axis, the smaller share counts."""
    return min(float(flat.movedim(axis, -1).reshape(-1, flat.shape[axis]).all(0).double().mean()) for axis in {1, flat.ndim - 1})


def _spread(rows: Tensor) -> float:
    """Root mean square of the differences from the mean row, in units of that of the values; NaN where all is zero."""
    size = float(rows.pow(2).mean())
    return math.sqrt(float((rows - rows.mean(0)).pow(2).mean()) / size) if size and math.isfinite(size) else math.nan


def _spread_of_inputs(inputs: Any) -> float:
    """The same of the inputs; 1 for tokens. Inputs with one row for all say nothing, so that nothing is judged."""
    floats = [each.detach().double().flatten(1) for each in tensors_in(inputs) if each.is_floating_point() and each.ndim > 1]
    return (_spread(floats[0]) or math.nan) if floats else 1.0


def _effective_rank(rows: Tensor) -> float:
    if not bool(torch.isfinite(rows).all()) or not bool((rows != 0).any()):
        return math.nan
    values = torch.linalg.svdvals(rows[:, :512])
    shares = values[values > 0] / values.sum()
    return math.exp(-float((shares * shares.log()).sum())) / min(len(rows), rows.shape[1], 512)


def _medians(passes: list[dict[str, float]]) -> dict[str, float]:
    return {key: float(np.median([each[key] for each in passes if key in each])) for key in passes[0]}


def _collapsed(spread: dict[str, float]) -> list[str]:
    """The layers from which on rows cannot be told apart until the end: not the first (else the inputs are lost before it, see
    input-dependence), and at least two, for one may have a large bias.
    """
    judged = [name for name, value in spread.items() if math.isfinite(value)]
    first = len(judged)
    while first and spread[judged[first - 1]] < LEAST_SPREAD:
        first -= 1
    return judged[first:] if first and len(judged) - first >= 2 else []


def _drawn(canvas: Canvas, dead: dict[str, float], spread: dict[str, float], rank: dict[str, float]) -> None:
    left, right = canvas.subplots(1, 2)
    draw.dressed(left, "activation, in call order", "units off for every row [%]")
    left.bar(
        range(len(dead)),
        [100 * each for each in dead.values()],
        color=[draw.BAD if each >= MOST_DEAD else draw.SEEN for each in dead.values()],
    )
    left.set_ylim(0, 100)
    draw.line(left, 100 * MOST_DEAD, "threshold", color=draw.BAD)
    draw.dressed(right, "layer, in call order", "relative to the largest possible")
    right.semilogy(list(spread.values()), "o-", color=draw.SEEN, label="difference between rows")
    right.semilogy(list(rank.values()), "s:", color=draw.NULL, label="effective rank")
    draw.line(right, LEAST_SPREAD, "indistinguishable", color=draw.BAD)
    draw.legend(right)
