from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.wiring import (
    NORMALISATIONS,
    NOT_FINITE,
    NOT_FINITE_NEXT,
    TOLERANCE,
    Rig,
    finite,
    hooked,
    is_batch_of_rows,
    is_readable,
    listen,
    replaced_rows,
    rig_of,
)

PROBES = 6
"""Rows that are changed, one after the other."""

SOFTMAXES = frozenset({"softmax", "log_softmax", "safe_softmax"})

_TIME_MAJOR = (nn.RNNBase, nn.MultiheadAttention)


@dataclass(frozen=True)
class Mixing:
    """What changing one row at a time does.

    Attributes:
        probes: the changed rows, shape (probes,).
        changes: of each row of the output, shape (rows, probes), in units of the largest output.
        rounding: what is none, in these units.
    """

    probes: NDArray[np.int_]
    changes: NDArray[np.float64]
    rounding: float

    @property
    def others(self) -> float:
        """The largest change of a row that was not touched."""
        return float(np.where(np.arange(len(self.changes))[:, None] == self.probes[None, :], 0.0, self.changes).max())

    @property
    def own(self) -> float:
        """The largest change of a row that was."""
        return float(self.changes[self.probes, np.arange(len(self.probes))].max())


class BatchIndependence(Check):
    """the output of a row does not depend on the other rows of its batch

    ## Why
    A `view` that takes the axes in the wrong order, a softmax over the batch or a recurrent layer that mistakes the batch
    axis for time mixes examples. The loss still falls, and the model works only in batches like those it was trained on.

    ## Measures
    In float64 where the model runs in it: one row at a time is replaced, and every other row of the output must stay the
    same, within rounding; first in evaluation mode, then in training mode with the same dropout masks and with BatchNorm,
    which mixes rows by design, held still. The statistic is the largest change of another row, in units of the largest
    change of the row itself.

    ## Causes
    - `softmax-over-batch`: a softmax runs along the batch axis.
    - `batch-first`: a recurrent or attention layer mistakes the batch axis for time: batch_first is missing.
    - `batchnorm-in-training-mode`: a BatchNorm stays in training mode after `model.eval()`.
    - `batch-mixing`: rows are mixed in another way (a warning if only in training mode).

    ## Limits
    Only for inputs, targets and outputs with one row for each example. Of an output with a value for each pair of rows, as in
    contrastive models, only pairs without the changed row must stay. Models that are meant to compare the rows of a batch
    (graphs, sets, in-context learners) fail; ignore the check for them.
    """

    id = "W9"
    stage = Stage.WIRING
    kind = Kind.EXACT
    after = ("input-range", "first-non-finite")
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        if bench.size < 2 or not is_batch_of_rows(bench):
            return self.skipped(
                "needs inputs and outputs with one row per example, and at least two examples",
                "make the batch axis the first axis",
            )
        rig = rig_of(bench, bench.model(0))
        mixing = _mixing(rig)
        training = False
        if mixing.others <= mixing.rounding < mixing.own:
            rig.model.train()
            for module in rig.model.modules():
                if isinstance(module, NORMALISATIONS):
                    module.eval()
            second = _mixing(rig)
            training = second.others > second.rounding
            mixing = second if training else mixing
        share = mixing.others / mixing.own if mixing.own else 0.0
        numbers: dict[str, Any] = {
            "statistic": share,
            "null": "0: only the changed row changes",
            "threshold": mixing.rounding / mixing.own if mixing.own else None,
            "figure": Figure(
                "Which rows of the output change with which row of the input",
                lambda canvas: _drawn(canvas, mixing),
                "One column per changed row. Only the circled cells may be filled.",
            ),
        }
        if mixing.others <= mixing.rounding:
            if mixing.own <= mixing.rounding:
                return self.cannot_tell(
                    f"the output does not change with the input; a change of {mixing.rounding:.1g} would have been detected",
                    "see input-dependence",
                    **numbers,
                )
            return self.passed("no row of the output changes with another row of the input", **numbers)
        cause, place = _cause(rig)
        where = f", first seen after {place}" if place else ""
        why = f"changing one row of the input changes others of the output, by {share:.2g} of its own change{where}"
        if training:
            return self.warned(
                cause, f"in training mode {why}", "if the layer is not a normalisation, check what it mixes", **numbers
            )
        if cause == "batch-first" and _is_time_major(bench):
            return self.warned(cause, why, "set batch_first=True, or Experiment(..., time_axis=0) if time comes first", **numbers)
        return self.failed(cause, why, _NEXT[cause], **numbers)


_NEXT = {
    "softmax-over-batch": "apply softmax along the class axis: dim=1 or dim=-1",
    "batch-first": "set batch_first=True, or move the time axis to the front",
    "batchnorm-in-training-mode": "look for an overridden train() method, or a module that eval() does not reach",
    "batch-mixing": "check view, reshape and transpose: the first axis must remain the batch",
}


def _mixing(rig: Rig) -> Mixing:
    size = rig.bench.size
    rng = rig.bench.rng("batch-independence")
    probes = np.sort(rng.permutation(size)[:PROBES])
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    base, again = rig.outputs(), rig.outputs()
    judged = [index for index, each in enumerate(base) if each.shape[:1] == (size,)]
    scales = {index: max(float(base[index].abs().max()), 1e-300) for index in judged}
    changes = np.zeros((size, len(probes)))
    for column, row in enumerate(probes):
        outputs = rig.outputs(replaced_rows(rig.inputs, size, torch.tensor([row]), generator))
        for index in judged:
            gaps = _unpaired((outputs[index] - base[index]).abs(), int(row), size).reshape(size, -1).amax(1) / scales[index]
            changes[:, column] = np.maximum(changes[:, column], gaps.double().cpu().numpy())
    repeated = max(float((again[index] - base[index]).abs().max()) / scales[index] for index in judged)
    return Mixing(probes, changes, TOLERANCE * rig.eps + 10 * repeated)


def _unpaired(changes: Tensor, row: int, size: int) -> Tensor:
    """Changes without those of the pairs that the changed row belongs to, in an output with a value for each pair of rows."""
    if changes.ndim < 2 or changes.shape[1] != size:
        return changes
    changes = changes.clone()
    others = torch.arange(size, device=changes.device) != row
    changes[others, row] = 0
    return changes


def _cause(rig: Rig) -> tuple[str, str]:
    """Why rows mix, and the first module after which they do."""
    size = rig.bench.size
    for heard in listen(rig, SOFTMAXES):
        if heard.value.ndim >= 2 and heard.value.shape[0] == size and heard.numbers[:1] in ((0,), (-heard.value.ndim,)):
            return "softmax-over-batch", heard.module
    place = _first_mixing(rig)
    module = dict(rig.model.named_modules()).get(place)
    if isinstance(module, NORMALISATIONS) and module.training:
        return "batchnorm-in-training-mode", place
    kinds = [each for each in (module.modules() if module is not None else ()) if isinstance(each, _TIME_MAJOR)]
    if place and any(not each.batch_first for each in kinds):
        return "batch-first", place
    return "batch-mixing", place


def _first_mixing(rig: Rig) -> str:
    """The first module in the order of the calls whose output mixes rows; "" where it happens outside of all."""
    size = rig.bench.size
    kept: list[dict[str, Tensor]] = []
    modules = {name: module for name, module in rig.model.named_modules() if name}

    def keep(name: str, _: nn.Module, __: Any, output: Any) -> None:
        found = main_tensor(output)
        if found is not None and found.shape[:1] == (size,):
            kept[-1].setdefault(name, finite(found.detach()))

    generator = torch.Generator().manual_seed(rig.bench.experiment.seed)
    changed = torch.tensor([size // 2])
    with hooked(modules, keep):
        for inputs in (rig.inputs, replaced_rows(rig.inputs, size, changed, generator)):
            kept.append({})
            rig.outputs(inputs)
    before, after = kept
    others = torch.arange(size) != size // 2
    for name, value in before.items():
        if name in after and after[name].shape == value.shape:
            gap = float(_unpaired((after[name] - value).abs(), size // 2, size)[others.to(value.device)].max())
            if gap > TOLERANCE * rig.eps * max(float(value.abs().max()), 1e-300):
                return name
    return ""


def _is_time_major(bench: Bench) -> bool:
    """Whether targets have the same two leading axes as the inputs, so that time may well come first."""
    inputs, targets = main_tensor(bench.first[0]), bench.first[1]
    return inputs is not None and isinstance(targets, Tensor) and targets.ndim >= 2 and targets.shape[:2] == inputs.shape[:2]


def _drawn(canvas: Canvas, mixing: Mixing) -> None:
    ax = draw.axes(canvas, "changed row of the input", "row of the output")
    with np.errstate(divide="ignore"):
        logs = np.log10(np.where(mixing.changes > mixing.rounding, mixing.changes, np.nan))
    image = ax.imshow(logs, aspect="auto", cmap="cividis", interpolation="nearest")
    ax.plot(range(len(mixing.probes)), mixing.probes, "o", mfc="none", color=draw.GOOD, markersize=9)
    ax.set_xticks(range(len(mixing.probes)), [str(each) for each in mixing.probes])
    canvas.colorbar(image, ax=ax, label="change of the output [decades of its size]")
