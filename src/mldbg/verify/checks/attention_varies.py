from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, main_tensor, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.wiring import (
    NOT_FINITE,
    NOT_FINITE_NEXT,
    TOLERANCE,
    Heard,
    is_readable,
    listed,
    listen,
    replaced_rows,
    rig_of,
    warmed,
)

SOFTMAXES = frozenset({"softmax", "safe_softmax"})


@dataclass(frozen=True)
class Map:
    """The attention of one layer.

    Attributes:
        name: the module, numbered where it attends more than once.
        mean: over inputs, of the head that varies most, shape (queries, keys).
        spread: standard deviation over inputs, the same shape.
        share: variance over inputs in units of the whole variance of that head, 0 where all is constant.
        entropy: mean entropy of a row, in units of that of uniform attention.
    """

    name: str
    mean: Tensor
    spread: Tensor
    share: float
    entropy: float


class AttentionVaries(Check):
    """attention depends on the input

    ## Why
    Attention weights that are the same for every input make the layer a fixed linear map: queries or keys do not reach it,
    or the scores are scaled to nothing. The model still learns, as an average over positions would.

    ## Measures
    The results of every softmax over keys, whichever function of torch makes it, for all rows of the batch, in float64 where
    the model runs in it, after three gradient steps (a query projection that starts at zero is healthy). For each head, the
    variance over inputs at a fixed pair of positions, in units of the total variance; the check fails if it is zero within
    rounding in all layers, and warns if it is in some. The entropy, relative to that of uniform attention, is reported too.

    ## Causes
    - `constant-attention`: the weights do not depend on the input.

    ## Limits
    One constant layer may be by design, as in a decoder whose first queries are learned. Fused attention of other libraries
    is not covered. Needs at least two rows that differ.
    """

    id = "W11"
    stage = Stage.WIRING
    kind = Kind.EXACT
    after = ("input-range", "first-non-finite")
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        floats = list(tensors_in(bench.first[0]))
        if bench.size < 2 or not any(bool((each != each[:1]).any()) for each in floats):
            return self.skipped("needs a batch of at least two rows that differ", "use a larger batch")
        rig = rig_of(bench, warmed(bench))
        other = rig.outputs(
            replaced_rows(rig.inputs, bench.size, torch.arange(bench.size), torch.Generator().manual_seed(bench.experiment.seed))
        )
        if all(torch.equal(before, after) for before, after in zip(rig.outputs(), other, strict=True)):
            return self.skipped("no output changes with the input", "fix input-dependence first")
        maps = _maps(bench, listen(rig, SOFTMAXES))
        if not maps:
            return self.skipped(
                "no attention found: no softmax over at least two keys", "not applicable to a model without attention"
            )
        floor = TOLERANCE * rig.eps
        still = [each for each in maps if float(each.spread.max()) <= floor]
        least = min(maps, key=lambda each: each.share)
        numbers: dict[str, Any] = {
            "statistic": least.share,
            "null": "above 0: attention varies with the input",
            "threshold": 0.0,
            "figure": Figure(
                f"Attention of {least.name}: mean and variation over inputs",
                lambda canvas: _drawn(canvas, least),
                "The head that varies most. Right: standard deviation over the rows of the batch; blank means a fixed map.",
            ),
            "layers": {each.name: {"share": each.share, "entropy": each.entropy} for each in maps},
        }
        if still:
            judge = self.failed if len(still) == len(maps) else self.warned
            return judge(
                "constant-attention",
                f"the attention of {listed([each.name for each in still])} is the same for every input",
                "check whether queries and keys depend on the input, and the scale of the scores",
                **numbers,
            )
        return self.passed(
            f"attention varies with the input in {len(maps)} layers; its entropy is {_entropy(maps):.2f} of the uniform maximum",
            **numbers,
        )


def _maps(bench: Bench, softmaxes: list[Heard]) -> list[Map]:
    """The softmax results that look like attention: shape (B, ..., queries, keys), or with batch and heads in one axis."""
    output = main_tensor(bench.output)
    found: list[Map] = []
    for heard in softmaxes:
        value = heard.value
        fits = value.ndim >= 3 and value.shape[-1] > 1 and value.shape[0] % bench.size == 0 and value.shape[0] > 0
        if not fits or (output is not None and value.shape == output.shape):
            continue
        heads = value.double().reshape(bench.size, -1, value.shape[-2], value.shape[-1])
        over_inputs = heads.var(0, correction=0)
        whole = heads.var((0, 2, 3), correction=0)
        head = int(over_inputs.mean((1, 2)).argmax())
        spread = over_inputs[head].sqrt().cpu()
        share = float(over_inputs[head].mean() / whole[head]) if float(whole[head]) > 1e-24 else 0.0
        entropy = float(-torch.special.xlogy(heads, heads).sum(-1).mean()) / math.log(value.shape[-1])
        name = heard.module or "the model"
        earlier = sum(each.name == name or each.name.startswith(f"{name} #") for each in found)
        found.append(Map(f"{name} #{earlier + 1}" if earlier else name, heads[:, head].mean(0).cpu(), spread, share, entropy))
    return found


def _entropy(maps: list[Map]) -> float:
    return float(np.mean([each.entropy for each in maps]))


def _drawn(canvas: Canvas, shown: Map) -> None:
    left, right = canvas.subplots(1, 2)
    for ax, values, label in ((left, shown.mean, "mean weight"), (right, shown.spread, "sd over inputs")):
        draw.dressed(ax, "key [position]", "query [position]")
        image = ax.imshow(
            values.numpy(), cmap="cividis", vmin=0, vmax=float(values.max()) or 1.0, aspect="auto", interpolation="nearest"
        )
        canvas.colorbar(image, ax=ax, label=label)
