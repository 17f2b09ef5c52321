from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.rows import batches, nearest, standardised, vectors

SHOWN = 12
"""Rows on the sheet: what one looks at without getting tired."""


class ContactSheet(Check):
    """a dozen rows as the model receives them, with their targets and nearest neighbours

    ## Why
    Most faults of a data path are obvious at a glance: upside-down images, labels of the neighbouring row, empty texts.
    Nobody looks, because looking takes ten lines of code.

    ## Measures
    Nothing is judged. The first rows of the loader (of the batch without one) are shown as the model receives them: images
    as images, tokens decoded where there is a tokenizer, other rows as their values. Next to each are its target and the
    distance to its nearest neighbour in the batch, in units of the median distance of two rows (0: an exact duplicate).

    ## Causes
    None: this check always passes.

    ## Limits
    Normalised images are stretched to the range of the row, so that brightness cannot be compared between rows.
    """

    id = "A2"
    stage = Stage.APPARATUS
    kind = Kind.HEURISTIC
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        inputs, targets = _rows(bench)
        x = vectors(inputs)
        if x is None or not len(x):
            return self.skipped("the inputs have no tensor with a batch axis", "use a batch of tensors")
        finite = np.where(np.isfinite(x), x, 0.0)
        closest = _closeness(finite)
        figure = Figure(
            "The first rows as the model receives them",
            lambda canvas: _sheet(canvas, bench, inputs, targets, closest),
            "y: target. d: distance to the nearest row of the batch (1: the median distance between rows, 0: a duplicate).",
        )
        twins = int((closest == 0).sum())
        return self.passed(
            f"{min(len(x), SHOWN)} rows to look at; {twins} of {len(x)} rows have an exact duplicate in their batch",
            figure,
            statistic=float(np.median(closest)),
            null="no verdict: look at the picture",
            duplicates=twins,
        )


def _rows(bench: Bench) -> tuple[Any, Any]:
    if bench.experiment.loader is not None:
        first = next(batches(bench), None)
        if isinstance(first, tuple | list) and len(first) == 2:
            return first[0], first[1]
    return bench.first


def _closeness(x: np.ndarray) -> np.ndarray:
    """Distance to the nearest other row, in units of the median distance of two rows."""
    if len(x) < 2:
        return np.full(len(x), np.nan)
    z = standardised(x)
    every = np.arange(len(z))
    near = nearest(z, z, 1, itself=every)[0][:, 0]
    other = (
        nearest(z, z, len(z) - 1, itself=every)[0] if len(z) <= 256 else nearest(z[:256], z, len(z) - 1, itself=every[:256])[0]
    )
    typical = float(np.median(other))
    return near / typical if typical else np.zeros(len(z))


def _sheet(canvas: Canvas, bench: Bench, inputs: Any, targets: Any, closest: np.ndarray) -> None:
    tensors = [each.detach().cpu() for each in tensors_in(inputs) if each.ndim]
    floats = [each for each in tensors if each.is_floating_point()]
    main = (floats or tensors)[0]
    count = min(len(main), SHOWN)
    show = _shower(bench, main)
    grid = canvas.subplots(3, 4, squeeze=False).ravel()
    for row, ax in enumerate(grid):
        if row >= count:
            ax.set_axis_off()
            continue
        target = _of_row(targets, row)
        if bench.experiment.render is not None:
            bench.experiment.render(ax, main[row], target)
        else:
            show(ax, main[row])
        ax.set_title(f"y = {_short(target)}   d = {closest[row]:.2f}", fontsize="small")


def _shower(bench: Bench, main: Tensor) -> Callable[[Any, Tensor], None]:
    if main.is_floating_point() and main.ndim >= 3 and min(main.shape[-2:]) > 1:
        return _image
    if main.is_floating_point():
        return _profile
    decode = getattr(bench.experiment.tokenizer, "decode", None)

    def text(ax: Any, row: Tensor) -> None:
        ids = row.reshape(-1).tolist()
        words = str(decode(ids)) if decode is not None else " ".join(map(str, ids))
        ax.set_axis_off()
        ax.text(0, 0.5, words[:120], wrap=True, fontsize="x-small", va="center", transform=ax.transAxes)

    return text


def _image(ax: Any, row: Tensor) -> None:
    picture = row.double()
    if picture.ndim > 2:
        picture = picture.reshape(-1, *picture.shape[-2:])
        picture = picture[:3].permute(1, 2, 0) if len(picture) >= 3 else picture[0]
    low, high = picture.min(), picture.max()
    ax.imshow(((picture - low) / torch.clamp(high - low, min=1e-12)).numpy(), cmap="gray", interpolation="nearest")
    ax.set_axis_off()


def _profile(ax: Any, row: Tensor) -> None:
    draw.dressed(ax, "column", "value")
    ax.plot(row.reshape(-1).double().numpy(), color=draw.SEEN, linewidth=0.8, marker=".", markersize=2)
    ax.tick_params(labelsize="x-small")


def _of_row(targets: Any, row: int) -> Any:
    return targets[row] if isinstance(targets, Tensor) and targets.ndim and row < len(targets) else targets


def _short(target: Any) -> str:
    if isinstance(target, Tensor):
        return f"{target.item():.4g}" if target.numel() == 1 else f"shape {tuple(target.shape)}"
    return str(target)[:16]
