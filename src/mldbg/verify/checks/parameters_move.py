from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, dense
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.statistics import median_absolute_deviation
from mldbg.verify.wiring import NOT_FINITE, NOT_FINITE_NEXT, is_readable, listed, trainable

STEPS = 3
"""Training steps: a branch that starts at zero moves in the second."""

MOST_DEVIATIONS = 3.0
"""Distance of a layer's update ratio from the median over layers, in median absolute deviations."""

LEAST_DECADES = 2.0
"""The same in decades: Adam's first steps change every weight by the same amount, so that ratios differ by the initial scales."""


LEAST_GRADIENT = 1e-6
"""In units of the largest gradient; what is below has vanished, which is the business of `gradient-depth`."""


class ParametersMove(Check):
    """a training step moves every parameter that gets a gradient

    ## Why
    Between a gradient and a moved weight lie the optimizer, its groups, its learning rates and the dtype. A learning rate of
    zero, or a step below the rounding of a bfloat16 weight, silently loses the update.

    ## Measures
    Bit by bit, whether each parameter with a gradient differs after three real steps of your optimizer. Beside it the
    logarithm of the update ratio, |dw| / |w| of the last step by weight matrix: where one lies more than 3 median absolute
    deviations and 2 decades from the median over all, there is a warning. 1e-3 is drawn as a reference, not as a limit. The
    statistic is the share of parameters (counted in tensors) with a gradient that did not move. Where a scheduler has set
    the learning rate to zero for a warm-up, its `initial_lr` is used.

    ## Causes
    - `zero-learning-rate`: the group of the parameter has the learning rate 0.
    - `update-below-rounding`: the step is smaller than the rounding of the weight.
    - `not-in-optimizer`: the parameter gets a gradient but no group holds it.
    - `uneven-updates`: one layer's update ratio is far from all others' (a warning).

    ## Limits
    Whether the steps lead anywhere is for the learning checks to say.
    """

    id = "W3"
    stage = Stage.WIRING
    kind = Kind.EXACT
    needs = ("optimizer",)
    after = ("input-range", "first-non-finite", "gradient-reach", "optimizer-ledger")
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        model = bench.model(0)
        optimizer = bench.optimizer(model)
        wanted = trainable(bench, model)
        rates = {id(p): float(group.get("lr", np.nan)) for group in optimizer.param_groups for p in group["params"]}
        moved: set[str] = set()
        sizes: dict[str, float] = {}
        ratios: dict[str, float] = {}
        inputs, targets = bench.first
        with seeded(bench.experiment.seed), torch.enable_grad():
            for _ in range(STEPS):
                before = {name: p.detach().clone() for name, p in wanted.items()}
                if not np.isfinite(bench.step(model, optimizer, copied(inputs), copied(targets))):
                    break
                for name, parameter in wanted.items():
                    if parameter.grad is not None:
                        sizes[name] = max(sizes.get(name, 0.0), _size(dense(parameter.grad)))
                    if not torch.equal(parameter.detach(), before[name]):
                        moved.add(name)
                    if parameter.ndim >= 2:
                        ratios[name] = _ratio(before[name], parameter.detach())
        largest = max(sizes.values(), default=0.0)
        reached = {name for name, size in sizes.items() if size > LEAST_GRADIENT * largest}
        if not reached:
            return self.skipped("no parameter gets a nonzero gradient", "fix gradient-reach first")
        still = [name for name in wanted if name in reached and name not in moved]
        logs = {name: float(np.log10(value)) for name, value in ratios.items() if name in moved and 0 < value < np.inf}
        odd = _odd(logs)
        numbers: dict[str, Any] = {
            "statistic": len(still) / len(reached),
            "null": "0: what gets a gradient moves",
            "threshold": 0.0,
            "figure": Figure(
                "Relative change of each weight matrix in one step",
                lambda canvas: _drawn(canvas, logs, odd, still),
                "From the first layer to the last, followed by what did not move. The dashed line is a reference, not a limit.",
            ),
            "still": still,
            "ratios": logs,
        }
        if still:
            cause, next_step = _why(still[0], rates.get(id(wanted[still[0]])))
            why = f"{listed(still)} gets a gradient but did not change in {STEPS} steps"
            return self.failed(cause, why, next_step, **numbers)
        if odd:
            typical = float(np.median(list(logs.values())))
            return self.warned(
                "uneven-updates",
                f"{listed(odd)} changes by 10^{logs[odd[0]]:.1f} of itself in a step, the median layer by 10^{typical:.1f}",
                "compare its initial scale and learning rate with those of the other layers",
                **numbers,
            )
        return self.passed(f"{len(reached)} of {len(reached)} parameters with a gradient moved", **numbers)


def _size(gradient: Tensor) -> float:
    """Root mean square; 0 where it is not finite."""
    size = float(gradient.double().pow(2).mean().sqrt()) if gradient.numel() else 0.0
    return size if np.isfinite(size) else 0.0


def _ratio(before: Tensor, after: Tensor) -> float:
    size = float(before.double().norm())
    return float((after.double() - before.double()).norm()) / size if size else np.inf


def _odd(logs: dict[str, float]) -> list[str]:
    if len(logs) < 4:
        return []
    values = np.array(list(logs.values()))
    middle, spread = float(np.median(values)), median_absolute_deviation(values)
    limit = max(MOST_DEVIATIONS * spread, LEAST_DECADES)
    return [name for name, value in logs.items() if abs(value - middle) > limit]


def _why(name: str, rate: float | None) -> tuple[str, str]:
    if rate is None:
        return "not-in-optimizer", f"add {name} to the optimizer"
    if rate == 0:
        return "zero-learning-rate", "set a learning rate above zero"
    return "update-below-rounding", "raise the learning rate, or keep the weights in float32"


def _drawn(canvas: Canvas, logs: dict[str, float], odd: list[str], still: list[str]) -> None:
    ax = draw.axes(canvas, "weight matrix, from the first to the last", "|dw| / |w| of one step [decades]")
    lowest = min([*logs.values(), -3.0]) - 1
    names = [*logs, *still]
    ax.plot(range(len(logs), len(names)), [lowest] * len(still), "v", color=draw.BAD, label="did not move")
    for place, (name, value) in enumerate(logs.items()):
        ax.plot(place, value, "o", color=draw.BAD if name in odd else draw.SEEN)
    draw.line(ax, -3, "one thousandth")
    if len(names) <= 12:
        ax.set_xticks(range(len(names)), names, rotation=30, ha="right", fontsize="x-small")
    draw.legend(ax)
