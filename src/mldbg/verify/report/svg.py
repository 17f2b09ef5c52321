"""A picture as inline SVG for the page: text stays text, role colours become variables, ids are unique on the page."""

from __future__ import annotations

import io
import logging
import re
import warnings
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.collections import Collection
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D

from mldbg.verify import draw
from mldbg.verify.outcome import Figure

WIDTH, HEIGHT = 6.4, 3.4
"""Inches of a picture that does not ask for another size; the page scales it."""

MOST_POINTS = 1500
"""Lines and collections with more points become an image inside the picture: as paths they would take megabytes."""

ROLES = {
    draw.INK: "--ink",
    "#000000": "--ink",
    draw.SEEN: "--seen",
    draw.NULL: "--null",
    draw.BAD: "--bad",
    draw.GOOD: "--good",
}
"""Colours that the page sets for light and for dark."""

STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: texts are placed the same way everywhere
    "font.size": 9,
    "mathtext.fontset": "dejavusans",
    "axes.edgecolor": draw.INK,
    "axes.labelcolor": draw.INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 9,
    "axes.titlecolor": draw.INK,
    "axes.prop_cycle": cycler(color=[draw.SEEN, draw.BAD, draw.GOOD, draw.NULL, "#8e5bb5", "#c98a1b"]),
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": draw.INK,
    "xtick.color": draw.INK,
    "ytick.color": draw.INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
    "image.cmap": "cividis",
    "svg.fonttype": "none",
    "svg.hashsalt": "mldebug-verify",
    "path.simplify": True,
}

_SVG = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?:e-?\d+)?")
_REFERENCE = re.compile(r"#([\w\-]+)")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\b")
_FONT = re.compile(r"font:\s*(?:(italic|oblique)\s+)?(?:(bold|\d+)\s+)?([\d.]+)px[^;]*")
_FAMILY = re.compile(r"\s*font-family:[^;]*;?")


def picture(figure: Figure, name: str) -> str:
    """The `<svg>` element of a figure, without references to anything outside.

    Args:
        figure: what is drawn.
        name: a prefix for all ids, unique on the page.
    """
    with warnings.catch_warnings(), mpl.rc_context(STYLE):  # type: ignore[arg-type]  # its keys are known names
        warnings.simplefilter("ignore")  # about fonts and layouts: nothing that a reader of the page could act on
        canvas = drawn(figure)
        file = io.BytesIO()
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    root = ET.fromstring(file.getvalue())  # noqa: S314  # what matplotlib has just written
    _tidy(root, name)
    _describe(root, figure, name)
    return ET.tostring(root, encoding="unicode", short_empty_elements=True)


def drawn(figure: Figure) -> Canvas:
    """The figure on a canvas of the house size, with heavy parts marked to become images."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # the search for fonts is no news
    canvas = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained", dpi=144)
    FigureCanvasSVG(canvas)
    figure.draw(canvas)
    for artist in canvas.findobj(_is_heavy):
        artist.set_rasterized(True)
    return canvas


def _is_heavy(artist: Artist) -> bool:
    points = 0
    if isinstance(artist, Line2D):
        points = np.size(artist.get_xdata()) // 4  # a line is simplified, its points are cheap
    elif isinstance(artist, Collection):
        points = max(np.shape(artist.get_offsets())[0], sum(np.shape(path.vertices)[0] for path in artist.get_paths()))
    return points > MOST_POINTS


def _tidy(root: ET.Element, name: str) -> None:
    """Short numbers, variables for colours, no metadata, and only ids that something refers to, prefixed."""
    _unwanted(root)
    used = {match for element in root.iter() for value in element.attrib.values() for match in _REFERENCE.findall(value)}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        link = element.attrib.pop(_LINK, None)
        if link is not None:
            element.set("href", link)
        for key, value in list(element.attrib.items()):
            if key == "id" and value not in used:
                del element.attrib[key]
            elif key == "id":
                element.set(key, f"{name}-{value}")
            elif not value.startswith("data:"):
                element.set(key, _shortened(_prefixed(_coloured(value), used, name), key))
        if element.tag in ("g", "defs", "svg") and element.text:
            element.text = element.text.strip()
        element.tail = (element.tail or "").strip() if element.tag != "tspan" else element.tail


def _unwanted(root: ET.Element) -> None:
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)


def _coloured(value: str) -> str:
    return _COLOUR.sub(lambda match: f"var({ROLES[match[0].lower()]})" if match[0].lower() in ROLES else match[0], value)


def _prefixed(value: str, used: set[str], name: str) -> str:
    return _REFERENCE.sub(lambda match: f"#{name}-{match[1]}" if match[1] in used and "var(" not in match[0] else match[0], value)


def _shortened(value: str, key: str) -> str:
    digits = 4 if key == "transform" else 2
    value = _NUMBER.sub(lambda match: f"{float(match[0]):.{digits}f}".rstrip("0").rstrip("."), value)
    if key == "style":
        value = _FAMILY.sub("", _FONT.sub(_plain_font, value)).strip().rstrip(";")
    return " ".join(value.split())


def _plain_font(match: re.Match[str]) -> str:
    """The font of a text without its family, which the page sets."""
    parts = [f"font-size: {match[3]}px"]
    if match[1]:
        parts.append(f"font-style: {match[1]}")
    if match[2]:
        parts.append(f"font-weight: {match[2]}")
    return "; ".join(parts)


def _describe(root: ET.Element, figure: Figure, name: str) -> None:
    """For those who hear the page: a title and a description."""
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    texts = [("title", figure.title)] + ([("desc", figure.caption)] if figure.caption else [])
    root.set("aria-labelledby", " ".join(f"{name}-{tag}" for tag, _ in texts))
    for index, (tag, text) in enumerate(texts):
        element = ET.Element(tag, {"id": f"{name}-{tag}"})
        element.text = text
        root.insert(index, element)
