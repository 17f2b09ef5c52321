"""The house style of the pictures: labelled axes with units, the null and its band drawn, no chart junk.

Colours have roles; the report replaces them by variables, so that light and dark pages both read well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
    from matplotlib.legend import Legend

INK = "#222222"
"""Axes, labels."""

SEEN = "#0b6e99"
"""What was measured."""

NULL = "#8a8a8a"
"""What is expected when nothing is wrong: lines and bands."""

BAD = "#c0392b"
"""What is wrong: the threshold that was crossed, the offending part."""

GOOD = "#2e7d32"
"""What is right beside something wrong."""


def axes(canvas: Canvas, x: str, y: str, *, log_x: bool = False, log_y: bool = False) -> Axes:
    """One pair of axes with labels (give units in brackets)."""
    ax = canvas.add_subplot()
    dressed(ax, x, y)
    if log_x:
        ax.set_xscale("log")
    if log_y:
        ax.set_yscale("log")
    return ax


def dressed(ax: Axes, x: str, y: str) -> None:
    """Labels, and only the two spines that carry ticks."""
    ax.set_xlabel(x)
    ax.set_ylabel(y)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def band(ax: Axes, low: float, high: float, label: str, *, upright: bool = False) -> None:
    """The range of the null."""
    (ax.axvspan if upright else ax.axhspan)(low, high, color=NULL, alpha=0.25, linewidth=0, label=label)


def line(ax: Axes, at: float, label: str, *, color: str = NULL, upright: bool = False) -> None:
    """A reference: the null, a threshold, a known constant (dashed), or a measured value (solid, in its colour)."""
    style = "-" if color == SEEN else "--"
    (ax.axvline if upright else ax.axhline)(at, color=color, linewidth=1, linestyle=style, label=label)


def legend(ax: Axes) -> None:
    """A legend without a frame, where there is something to tell apart: above the axes, where it hides nothing."""
    labels = ax.get_legend_handles_labels()[1]
    if not labels:
        return
    if ax.get_title():
        _small_marks(ax.legend(frameon=False, fontsize="small"))
        return
    wide = ax.get_position().width > 0.5  # of the whole figure, before the layout is made
    columns = max(1, min(len(labels), (90 if wide else 40) // (max(map(len, labels)) + 6)))
    shown = ax.legend(frameon=False, fontsize="small", loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=columns)
    _small_marks(shown)


def _small_marks(shown: Legend) -> None:
    """Marks of any size fit into a line of text."""
    for handle in shown.legend_handles:
        if isinstance(handle, Line2D):
            handle.set_markersize(min(handle.get_markersize(), 6))


def null_histogram(canvas: Canvas, null: ArrayLike, seen: float, label: str, *, threshold: float | None = None) -> None:
    """A null distribution with the measured value as a line."""
    ax = axes(canvas, label, "draws of the null")
    ax.hist(np.asarray(null), bins=30, color=NULL, alpha=0.5, label="null")
    line(ax, seen, "measured", color=SEEN, upright=True)
    if threshold is not None:
        line(ax, threshold, "threshold", color=BAD, upright=True)
    legend(ax)


def bars(canvas: Canvas, names: Sequence[str], values: ArrayLike, label: str, *, bad: Sequence[bool] = ()) -> Axes:
    """Horizontal bars, first name at the top, each with a dot at its end so that a zero is seen; offending ones in the colour for
    it.
    """
    heights = np.asarray(values, dtype=float)
    width, _ = canvas.get_size_inches()
    canvas.set_size_inches(width, min(max(0.26 * len(heights) + 1.0, 1.5), 6.0))
    ax = axes(canvas, label, "")
    places = np.arange(len(heights))
    colours = [BAD if index < len(bad) and bad[index] else SEEN for index in range(len(heights))]
    ax.barh(places, heights, height=0.6, color=colours)
    ax.scatter(heights, places, s=14, color=colours, zorder=3, clip_on=False)
    ax.set_yticks(places, list(names))
    ax.invert_yaxis()
    return ax
