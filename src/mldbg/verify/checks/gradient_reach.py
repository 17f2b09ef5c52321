from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.wiring import (
    NOT_FINITE,
    NOT_FINITE_NEXT,
    floats_of,
    gradients,
    is_readable,
    listed,
    trainable,
    warmed,
)

TRIES = 3
"""Fresh models, each with a batch of its own."""

NUDGE = 0.1
"""Size of the change that tries whether a parameter matters, in units of its own root mean square."""

MOST_ROWS = 40
"""Parameters in the picture."""

Reach = dict[str, list[float]]
"""By parameter the root mean square of its gradient in each try; NaN where it has none."""


class GradientReach(Check):
    """every parameter that moves the loss gets a gradient

    ## Why
    A detached tensor, a detour through numpy or a rounding step cuts the graph. Everything before the cut stays at its
    initial values; what comes after it still learns, so the loss falls and nothing looks broken.

    ## Measures
    By trainable parameter, over three fresh models and batches, and again after three gradient steps (what starts at zero, like a
    residual branch with a zero-initialised last layer, gets its gradient then): no gradient, one that is exactly zero, or one. A
    parameter without a gradient is wired wrongly if it matters: if a change of it by a tenth of its size changes the loss by more
    than rounding. One that changes neither loss nor output is unused. The statistic is the share of trainable parameters (counted
    in tensors) that matter and get none.

    ## Causes
    - `detached`: the loss depends on the parameter, but it is not in the graph of the loss.
    - `loss-detached`: the loss has no graph at all.
    - `zero-gradient`: the loss depends on the parameter, but the gradient is exactly zero: a step function lies between.
    - `unused-parameters`: no output depends on the parameter (a warning).

    ## Limits
    A parameter that reaches an output which this loss does not use (an auxiliary head) is healthy. Rows of an embedding that are
    not in the batch are not judged, nor are parameters declared as `frozen`.
    """

    id = "W1"
    stage = Stage.WIRING
    kind = Kind.EXACT
    after = ("input-range", "first-non-finite")
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        names = list(trainable(bench, bench.model(0)))
        if not names:
            return self.skipped("no parameter is trainable", "use a model with trainable parameters")
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        reach = bench.once("gradient reach", lambda: _measured(bench, names))
        if reach is None:
            return self.failed(
                "loss-detached",
                "the loss has no graph: backward() would raise, or do nothing",
                "look for .item(), .data, .numpy(), torch.tensor(...) or no_grad() between the model and the loss",
                statistic=1.0,
                null="0: every parameter that the loss depends on gets a gradient",
                threshold=0.0,
                figure=Figure(
                    "Gradients by parameter",
                    lambda canvas: _drawn(canvas, {name: [np.nan] * (TRIES + 1) for name in names}, names),
                    "Crossed: not in the graph of the loss. No parameter is.",
                ),
            )
        absent = [name for name in names if np.isnan(reach[name]).all()]
        zero = [name for name in names if name not in absent and not np.nansum(reach[name])]
        matter = _that_matter(bench, [*absent, *zero]) if absent or zero else []
        detached = [name for name in absent if name in matter]
        stepped = [name for name in zero if name in matter]
        unused = [name for name in absent if name not in matter and name not in _in_output(bench)]
        numbers: dict[str, Any] = {
            "statistic": (len(detached) + len(stepped)) / len(names),
            "null": "0: every parameter that the loss depends on gets a gradient",
            "threshold": 0.0,
            "figure": Figure(
                "Gradients by parameter",
                lambda canvas: _drawn(canvas, reach, [*detached, *stepped]),
                "One column per fresh model and batch, the last after three steps. Blank: exactly zero. Crossed: not "
                "in the graph of the loss. Red names affect the loss and still get none.",
            ),
            "without": absent,
            "zero": zero,
        }
        if detached:
            return self.failed(
                "detached",
                f"the loss depends on {listed(detached)}, but no gradient reaches it: the graph is cut after it",
                f"look for detach(), .data, no_grad() or numpy in what follows {_module(detached[-1])}; if intended, "
                "declare it: Experiment(..., frozen=[...])",
                **numbers,
            )
        if stepped:
            return self.failed(
                "zero-gradient",
                f"the loss depends on {listed(stepped)}, but the gradient is exactly zero",
                "look for rounding, sign, argmax or a comparison after it, and use a smooth or straight-through version",
                **numbers,
            )
        if unused:
            return self.warned(
                "unused-parameters",
                f"no output depends on {listed(unused)}",
                "use it in forward, remove it, or declare it: Experiment(..., frozen=[...])",
                **numbers,
            )
        rest = f"; this loss does not use {listed(absent)}" if absent else ""
        return self.passed(f"{len(names) - len(absent) - len(zero)} of {len(names)} parameters get a gradient{rest}", **numbers)


def _module(parameter: str) -> str:
    return parameter.rpartition(".")[0] or parameter


def _measured(bench: Bench, names: Sequence[str]) -> Reach | None:
    """Gradients of fresh models, then of the warmed one; None where the loss never has a graph."""
    tries = [gradients(bench, bench.model(seed), bench.batch(seed), seed) for seed in range(TRIES)]
    if all(each is None for each in tries):
        return None
    tries.append(gradients(bench, warmed(bench), bench.first))
    return {name: [_size(each[name]) if each is not None and name in each else np.nan for each in tries] for name in names}


def _size(gradient: Tensor | None) -> float:
    """Root mean square; NaN for no gradient. A gradient that is not finite counts as one."""
    if gradient is None or not gradient.numel():
        return np.nan
    size = float(gradient.double().pow(2).mean().sqrt())
    return size if np.isfinite(size) else np.inf


def _that_matter(bench: Bench, names: Sequence[str]) -> list[str]:
    """The parameters whose change changes the loss, in training mode with the same random numbers."""
    model = warmed(bench)
    parameters = dict(model.named_parameters())
    generator = torch.Generator().manual_seed(bench.experiment.seed)
    start, again = _loss(bench, model), _loss(bench, model)
    found = []
    for name in names:
        parameter = parameters[name]
        scale = float(parameter.detach().double().pow(2).mean().sqrt()) or 1.0
        noise = torch.randn(parameter.shape, generator=generator).to(parameter)
        before = parameter.detach().clone()
        with torch.no_grad():
            parameter.add_(NUDGE * scale * noise)
        changed = _loss(bench, model)
        with torch.no_grad():
            parameter.copy_(before)
        rounding = 256 * torch.finfo(parameter.dtype).eps * max(abs(start), abs(changed))
        if abs(changed - start) > max(rounding, 10 * abs(again - start)):
            found.append(name)
    return found


def _loss(bench: Bench, model: nn.Module) -> float:
    with torch.no_grad(), seeded(bench.experiment.seed):
        buffers = {name: each.clone() for name, each in model.named_buffers()}
        value = float(bench.loss(bench.run(model, copied(bench.first[0])), copied(bench.first[1])))
        for name, each in model.named_buffers():
            if name in buffers and buffers[name].shape == each.shape:
                each.copy_(buffers[name])
    return value


def _in_output(bench: Bench) -> set[str]:
    """The trainable parameters that some output depends on, by the graph."""
    model = bench.model(0)
    wanted = trainable(bench, model)
    with seeded(bench.experiment.seed), torch.enable_grad():
        outputs = [each for each in floats_of(bench.run(model, copied(bench.first[0]))) if each.requires_grad]
        if not outputs:
            return set()
        total = torch.stack([each.double().sum() for each in outputs]).sum()
        found: tuple[Tensor | None, ...] = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
    return {name for name, each in zip(wanted, found, strict=True) if each is not None}


def _drawn(canvas: Canvas, reach: Reach, bad: Sequence[str]) -> None:
    names = [*bad, *(name for name in reach if name not in bad)][:MOST_ROWS]
    names = [name for name in reach if name in names]
    values = np.array([reach[name] for name in names], dtype=float)
    with np.errstate(divide="ignore"):
        logs = np.log10(np.where(np.isfinite(values) & (values > 0), values, np.nan))
    ax = draw.axes(canvas, "fresh model and batch", "")
    top = float(np.nanmax(logs)) if np.isfinite(logs).any() else 0.0
    image = ax.imshow(logs - top, aspect="auto", cmap="cividis", interpolation="nearest", vmax=0)
    for row, column in zip(*np.nonzero(np.isnan(values)), strict=True):
        ax.plot(column, row, marker="x", color=draw.NULL)
    ax.set_xticks(range(values.shape[1]), [*(str(each + 1) for each in range(values.shape[1] - 1)), "after 3 steps"])
    ax.set_yticks(range(len(names)), names, fontsize="x-small")
    for label, name in zip(ax.get_yticklabels(), names, strict=True):
        label.set_color(draw.BAD if name in bad else draw.INK)
    canvas.colorbar(image, ax=ax, label="RMS of the gradient [decades below the largest]")
