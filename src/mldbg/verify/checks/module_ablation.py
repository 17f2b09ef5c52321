from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, doubled, mapped
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.wiring import (
    NOT_FINITE,
    NOT_FINITE_NEXT,
    TOLERANCE,
    Rig,
    floats_of,
    hooked,
    is_readable,
    listed,
    plain_attention,
    rig_of,
    warmed,
)

TRIES = 3
"""Models and batches in which a module must do nothing to be called idle: an expert may get no row in one batch."""

MOST_MODULES = 60
"""More are thinned out, the innermost kept."""

Change = Callable[[Tensor], Tensor]


class ModuleAblation(Check):
    """every module that is computed changes the output

    ## Why
    A branch that is multiplied by zero, masked away or overwritten costs time and memory and does nothing. The model still
    trains, as the rest of it is enough.

    ## Measures
    By module with parameters: the relative change of the output when its own output is replaced by zeros, and by its mean over
    the batch; in evaluation mode, in float64 where the model runs in it, after three gradient steps (a residual branch whose last
    layer starts at zero is healthy: it takes part after a step). A module is idle where neither changes the output by more
    than rounding although it is connected: a NaN in its place arrives at the output. That must hold for three models and batches.
    The statistic is the smallest change over the connected modules, in units of the output.

    ## Causes
    - `does-nothing`: a module is computed and connected, but its output does not matter.

    ## Limits
    A module that is not connected to any output (an auxiliary head whose result is dropped) is reported by `gradient-reach`.
    """

    id = "W7"
    stage = Stage.WIRING
    kind = Kind.EXACT
    after = ("input-range", "first-non-finite", "gradient-reach", "dead-units")
    cost = 0.4

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        model = bench.model(0)
        names = _candidates(model)
        if not names:
            return self.skipped("the model has no submodules", "not applicable: there is nothing to remove")
        rig = rig_of(bench, warmed(bench))
        effects = bench.once("module ablation", lambda: _effects(rig, names))
        floor = TOLERANCE * rig.eps
        idle = [name for name, effect in effects.items() if effect <= floor and _is_connected(rig, name)]
        for seed in range(1, TRIES):
            if idle:
                other = _with_batch(rig_of(bench, warmed(bench, seed)), bench, seed)
                again = _effects(other, idle)
                idle = [name for name in idle if name in again and again[name] <= floor]
        seen = {name: effect for name, effect in effects.items() if effect > floor or name in idle}
        numbers: dict[str, Any] = {
            "statistic": min(seen.values(), default=0.0),
            "null": "above rounding: removing a module changes the output",
            "threshold": floor,
            "figure": Figure(
                "Effect of removing each module on the output",
                lambda canvas: _drawn(canvas, effects, floor, idle),
                "The larger of two changes: the module's output replaced by zeros, and by its mean over the batch. Anything "
                "left of the dashed line is rounding.",
            ),
            "effects": effects,
        }
        if idle:
            outer = [name for name in idle if not any(name.startswith(f"{each}.") for each in idle)]
            return self.failed(
                "does-nothing",
                f"the output is the same without {listed(outer)}, although it is computed and connected",
                "look for a factor or weights that remain zero, a mask, or an overwritten result",
                **numbers,
            )
        return self.passed(
            f"each of {len(seen)} modules changes the output, the least by {min(seen.values(), default=0):.1g} of it", **numbers
        )


def _candidates(model: nn.Module) -> list[str]:
    """Modules with parameters, by name, at most so many."""
    found = [name for name, module in model.named_modules() if name and any(True for _ in module.parameters())]
    if len(found) > MOST_MODULES:
        inner = [name for name in found if not any(other.startswith(f"{name}.") for other in found)]
        found = inner[:: -(-len(inner) // MOST_MODULES)]
    return found


def _effects(rig: Rig, names: Sequence[str]) -> dict[str, float]:
    """By module that is called: the largest relative change of an output without it."""
    modules = dict(rig.model.named_modules())
    start = rig.outputs()
    effects: dict[str, float] = {}
    for name in names:
        changes: list[float] = []
        for change in (torch.zeros_like, _mean):
            called, outputs = _changed(rig, modules[name], change)
            if called and len(outputs) == len(start):
                changes += [_distance(before, after) for before, after in zip(start, outputs, strict=True)]
        if changes:
            effects[name] = max(changes)
    return effects


def _changed(rig: Rig, module: nn.Module, change: Change) -> tuple[bool, list[Tensor]]:
    """The outputs of the model with the floating-point outputs of one module changed, and whether it was called."""
    called: list[bool] = []

    def react(_: str, __: nn.Module, ___: Any, output: Any) -> Any:
        called.append(True)
        return mapped(output, lambda each: change(each) if each.is_floating_point() else each)

    with hooked({"": module}, react):
        outputs = rig.outputs()
    return bool(called), outputs


def _mean(value: Tensor) -> Tensor:
    return value.mean(0, keepdim=True).expand_as(value).clone() if value.ndim else value


def _distance(before: Tensor, after: Tensor) -> float:
    if before.shape != after.shape or not before.numel():
        return float("inf")
    size = float(before.abs().max())
    return float((after - before).abs().max()) / size if size else float(after.abs().max() > 0)


def _is_connected(rig: Rig, name: str) -> bool:
    """Whether a NaN in the place of the module's output arrives at an output: zero times NaN is NaN."""
    module = dict(rig.model.named_modules())[name]

    def poison(_: str, __: nn.Module, ___: Any, output: Any) -> Any:
        return mapped(output, lambda each: torch.full_like(each, torch.nan) if each.is_floating_point() else each)

    with hooked({name: module}, poison), torch.no_grad(), plain_attention():
        output = rig.bench.run(rig.model, rig.inputs)
    return any(bool(torch.isnan(each).any()) for each in floats_of(output))


def _with_batch(rig: Rig, bench: Bench, seed: int) -> Rig:
    """The same rig with another batch, in the rig's arithmetic."""
    inputs, targets = bench.batch(seed)
    if rig.eps < torch.finfo(torch.float32).eps:
        inputs, targets = doubled(inputs), doubled(targets)
    return Rig(bench, rig.model, inputs, targets, rig.eps)


def _drawn(canvas: Canvas, effects: dict[str, float], floor: float, idle: Sequence[str]) -> None:
    least = floor / 10
    names = sorted(effects, key=lambda name: effects[name])[:30]
    names = [name for name in effects if name in names]
    ax = draw.bars(
        canvas,
        names,
        [max(effects[name], least) for name in names],
        "change of the output [its size]",
        bad=[n in idle for n in names],
    )
    ax.set_xscale("log")
    ax.set_xlim(left=least / 2)
    draw.line(ax, floor, "rounding", upright=True)
    draw.legend(ax)
