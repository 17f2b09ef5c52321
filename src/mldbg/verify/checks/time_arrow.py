from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, mapped, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.wiring import NOT_FINITE, NOT_FINITE_NEXT, TOLERANCE, Rig, finite, is_readable, rig_of

PROBES = 8
"""Places in time that are changed, one after the other."""


class TimeArrow(Check):
    """no output depends on a later input

    ## Why
    A model that sees the future predicts it well in training and has nothing to look at in production. A missing or
    transposed causal mask, a symmetric padding of a convolution, or a normalisation over time lets it look.

    ## Measures
    In evaluation mode, in float64 where the model runs in it: the input at one time step is replaced (measurements by those
    of other rows and steps with noise, tokens by tokens of the batch), and every output at an earlier step must stay the
    same, within rounding. Eight steps are tried, including the last. A finite change finds whatever a Jacobian would, and
    works for tokens; a NaN as a probe does not, since a softmax spreads it even through a mask. The statistic is the largest
    change at an earlier place, in units of the largest change at all.

    ## Causes
    - `looks-ahead`: an output changes with an input after it.

    ## Limits
    Needs an output with a time axis as long as that of the input. Leaks that exist only in training mode are not seen.
    """

    id = "W8"
    stage = Stage.WIRING
    kind = Kind.EXACT
    needs = ("time_axis",)
    after = ("input-range", "first-non-finite")
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        axis = bench.experiment.time_axis
        assert axis is not None
        timed = [each for each in tensors_in(bench.first[0]) if each.ndim > axis]
        length = timed[0].shape[axis] if timed else 0
        rig = rig_of(bench, bench.model(0))
        base = rig.outputs()
        axes = {index: _time_axis(each, axis, length) for index, each in enumerate(base)}
        judged = {index: place for index, place in axes.items() if place is not None}
        if length < 2 or not judged:
            return self.skipped(
                "no output has a time axis as long as that of the input",
                "use a model that returns an output for each time step, or omit time_axis",
            )
        probes, changes, rounding = _changes(rig, base, judged, axis, length)
        largest = float(changes.max())
        ahead = np.where(np.arange(length)[:, None] < probes[None, :], changes, 0.0)
        leak = float(ahead.max())
        numbers: dict[str, Any] = {
            "statistic": leak / largest if largest else 0.0,
            "null": "0: later inputs change no earlier output",
            "threshold": rounding / largest if largest else None,
            "figure": Figure(
                "Which output changes with which input",
                lambda canvas: _drawn(canvas, probes, changes, rounding),
                "Columns: the position whose input was changed. Rows: the positions of the outputs. Anything above the "
                "line is look-ahead; it must be empty.",
            ),
            "probes": probes.tolist(),
        }
        if largest <= rounding:
            return self.cannot_tell(
                f"no output changes with the input at {len(probes)} positions; one of {rounding:.1g} would have been detected",
                "see input-dependence",
                **numbers,
            )
        if leak > rounding:
            output, column = np.unravel_index(int(ahead.argmax()), ahead.shape)
            return self.failed(
                "looks-ahead",
                f"the output at position {output} changes with the input at position {probes[column]}",
                "check the causal mask, the padding of convolutions and any averaging over time; "
                "if the model may look ahead, omit time_axis",
                **numbers,
            )
        return self.passed(f"no output changes with a later input, at {len(probes)} of {length} positions", **numbers)


def _time_axis(output: Tensor, axis: int, length: int) -> int | None:
    """Where an output has time: the same axis as the input, or the only other one of that length after the batch."""
    if output.ndim > axis and output.shape[axis] == length:
        return axis
    others = [place for place in range(1, output.ndim) if output.shape[place] == length]
    return others[0] if len(others) == 1 else None


def _changes(
    rig: Rig, base: list[Tensor], judged: dict[int, int], axis: int, length: int
) -> tuple[NDArray[np.int_], NDArray[np.float64], float]:
    """Probed places, changes of shape (length, probes) in units of the largest output, and what is rounding in these units."""
    rng = rig.bench.rng("time-arrow")
    probes = np.sort(np.append(rng.permutation(length - 1)[: PROBES - 1], length - 1))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    sizes = {index: max(float(base[index].abs().max()), 1e-300) for index in judged}
    changes = np.zeros((length, len(probes)))
    for column, place in enumerate(probes):
        outputs = rig.outputs(_replaced(rig.inputs, axis, length, int(place), generator))
        for index, time in judged.items():
            gaps = (outputs[index] - base[index]).abs().movedim(time, 0).reshape(length, -1).amax(1) / sizes[index]
            changes[:, column] = np.maximum(changes[:, column], gaps.double().cpu().numpy())
    repeated = [
        float((after - base[index]).abs().max()) / sizes[index] for index, after in enumerate(rig.outputs()) if index in judged
    ]
    return probes, changes, TOLERANCE * rig.eps + 10 * max(repeated)


def _replaced(inputs: Any, axis: int, length: int, place: int, generator: torch.Generator) -> Any:
    """The inputs with another content at one place in time: of random rows and places, with noise for measurements."""

    def change(each: Tensor) -> Tensor:
        if each.ndim <= axis or each.shape[axis] != length:
            return each
        rows = each.movedim(axis, 0).clone()
        flat = each.movedim(axis, 0).reshape(-1, *rows.shape[2:]) if rows.ndim > 1 else each
        chosen = torch.randint(0, len(flat), rows.shape[1:2], generator=generator).to(each.device)
        content = flat[chosen].reshape(rows[place].shape)
        if each.is_floating_point():
            spread = float(finite(each).double().std()) or 1.0
            content = content + spread * torch.randn(content.shape, generator=generator).to(each)
        rows[place] = content
        return rows.movedim(0, axis)

    return mapped(inputs, change)


def _drawn(canvas: Canvas, probes: NDArray[np.int_], changes: NDArray[np.float64], rounding: float) -> None:
    ax = draw.axes(canvas, "position of the changed input", "position of the output")
    with np.errstate(divide="ignore"):
        logs = np.log10(np.where(changes > rounding, changes, np.nan))
    image = ax.imshow(logs, aspect="auto", cmap="cividis", interpolation="nearest")
    ax.step(
        np.append(np.arange(len(probes)) - 0.5, len(probes) - 0.5),
        np.append(probes, probes[-1]) - 0.5,
        where="post",
        color=draw.BAD,
    )
    ax.set_xticks(range(len(probes)), [str(each) for each in probes])
    canvas.colorbar(image, ax=ax, label="change of the output [decades of its size]")
