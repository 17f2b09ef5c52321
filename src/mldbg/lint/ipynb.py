"""The JSON of a notebook: where the source of each code cell stands in it. Nothing else in the file is ever written to.

Formats 4 (cells) and 2 and 3 (worksheets of cells) of Jupyter: https://nbformat.readthedocs.io/en/latest/format_description.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_PYTHON = re.compile(r"(?:ipython|python|pyspark|xpython)[\d. ]*")
_OTHER_KERNELS = re.compile(
    r"\.net|bash|cling|deno|go|haskell|ihaskell|ijava|ijavascript|ir$|java|julia|kotlin|matlab|octave|ruby|rust|sage|sas|scala|sos|"
    r"spark|spylon|stata|tslab|xcpp|xeus-cling|xr$",
    re.IGNORECASE,
)
"""How the names of kernels begin that run another language. For notebooks that say no more than the kernel's name."""

_UNIT = re.compile(
    r'(?P<between>"\s*,\s*")|\\u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|\\u[\da-fA-F]{4}|\\.|[^\\"]', re.DOTALL
)
"""What stands in the file for one character of a string, and what stands between two strings of a list."""


class NotANotebookError(Exception):
    """The text is no notebook that can be read.

    Attributes:
        line: of the file, or 0 where no line is known.
        reason: why, in one line.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Range:
    """A part of the file's text."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CodeCell:
    """A code cell.

    Attributes:
        number: its place among all cells, counted from 1.
        language: what its own metadata say, or "".
        whole: where the value of its source stands.
        pieces: where the strings of its source stand, quotes included, and what they say: one, or one for each element of a list.
    """

    number: int
    language: str
    whole: Range
    pieces: tuple[tuple[Range, str], ...]

    @property
    def source(self) -> str:
        """Its text."""
        return "".join(text for _, text in self.pieces)


@dataclass(frozen=True, slots=True)
class Document:
    """A notebook as it is in its file.

    Attributes:
        text: the whole file.
        language: what its kernel runs, "python" where nothing is said.
    """

    text: str
    language: str
    cells: tuple[CodeCell, ...]


def document(text: str) -> Document:
    """The notebook with this text. An empty file is a notebook without cells.

    Raises:
        NotANotebookError: it is not JSON, or not what Jupyter calls a notebook.
    """
    start = _after_space(text, 0)
    if start == len(text):
        return Document(text, "python", ())
    top = _checked(text, start)
    if not isinstance(top, dict):
        raise NotANotebookError(0, "is not a notebook: its JSON is no object")
    cells = tuple(_code_cells(text, start, top))
    return Document(text, _language_of(top, cells), cells)


def is_python(language: str) -> bool:
    """Whether a language is Python by one of its names."""
    return _PYTHON.fullmatch(language.lower()) is not None


def rewritten(found: Document, sources: Mapping[int, str]) -> str:
    """The text of the file with new sources for some cells, by their numbers. Everything else stays as it is."""
    pieces: list[str] = []
    done = 0
    for cell in found.cells:
        if cell.number in sources:
            pieces += [found.text[done : cell.whole.start], _written(found.text, cell, sources[cell.number])]
            done = cell.whole.end
    return "".join([*pieces, found.text[done:]])


def places(text: str, cell: CodeCell) -> list[int]:
    """For each character of a cell's source where it stands in the text of the file; at last where the source ends."""
    if not cell.pieces:
        return [cell.whole.start + 1]
    found: list[int] = []
    at, end = cell.pieces[0][0].start + 1, cell.pieces[-1][0].end - 1
    while at < end:
        unit = _UNIT.match(text, at)
        assert unit is not None  # the text was read as JSON
        if not unit["between"]:
            found.append(at)
        at = unit.end()
    return [*found, end]


def offset(raw: str, count: int) -> int:
    """Where in a part of a source as the file spells it the character begins that has `count` others before it."""
    for unit in _UNIT.finditer(raw):
        if unit["between"]:
            continue
        if not count:
            return unit.start()
        count -= 1
    return len(raw)


def escaped(text: str, like: str) -> str:
    """What a string of JSON holds for a text, in a file that is like another text in whether it has anything but ASCII."""
    return json.dumps(text, ensure_ascii=like.isascii())[1:-1]


# --- reading ---


def _checked(text: str, start: int) -> Any:
    """The value that the whole text is."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except json.JSONDecodeError as error:
        raise NotANotebookError(error.lineno, f"is not a notebook: invalid JSON ({_lower(error.msg)})") from None
    except (RecursionError, ValueError):  # nested too deeply, or an endless number
        raise NotANotebookError(0, "is not a notebook: its JSON cannot be read") from None
    if _after_space(text, end) != len(text):
        line = text.count("\n", 0, end) + 1
        raise NotANotebookError(line, "is not a notebook: invalid JSON (something stands behind its end)")
    return value


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:].removesuffix(":")


def _code_cells(text: str, start: int, top: Mapping[str, Any]) -> Iterator[CodeCell]:
    number = 0
    for cells, at in _lists_of_cells(text, start, top):
        for cell, place in zip(cells, _elements(text, at), strict=True):
            number += 1
            if not isinstance(cell, dict):
                raise NotANotebookError(_line(text, place.start), f"is not a notebook: cell {number} is no object")
            if cell.get("cell_type") == "code":
                yield _code_cell(text, place, cell, number)


def _lists_of_cells(text: str, start: int, top: Mapping[str, Any]) -> Iterator[tuple[list[Any], int]]:
    """The lists of cells, and where each one stands: one, or one for each worksheet."""
    members = _members(text, start)
    if isinstance(top.get("cells"), list):
        yield top["cells"], members["cells"].start
        return
    sheets = top.get("worksheets")
    if not isinstance(sheets, list) or not all(isinstance(sheet, dict) for sheet in sheets):
        raise NotANotebookError(0, "is not a notebook: it has no cells")
    for sheet, place in zip(sheets, _elements(text, members["worksheets"].start), strict=True):
        if isinstance(sheet.get("cells"), list):
            yield sheet["cells"], _members(text, place.start)["cells"].start


def _code_cell(text: str, place: Range, cell: Mapping[str, Any], number: int) -> CodeCell:
    key = "source" if "source" in cell else "input"
    source = cell.get(key)
    texts: list[Any] = source if isinstance(source, list) else [source]
    if not all(isinstance(one, str) for one in texts):
        raise NotANotebookError(_line(text, place.start), f"is not a notebook: cell {number} has no source")
    whole = _members(text, place.start)[key]
    ranges = _elements(text, whole.start) if isinstance(source, list) else [whole]
    return CodeCell(number, _language_of_cell(cell), whole, tuple(zip(ranges, texts, strict=True)))


def _members(text: str, start: int) -> dict[str, Range]:
    """Where the values of the object that starts here stand."""
    found: dict[str, Range] = {}
    at = _after_space(text, start + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        value = _after_space(text, _after_space(text, at) + 1)
        _, end = _DECODER.raw_decode(text, value)
        found[key] = Range(value, end)
        at = _after_comma(text, end)
    return found


def _elements(text: str, start: int) -> list[Range]:
    """Where the elements of the list that starts here stand."""
    found: list[Range] = []
    at = _after_space(text, start + 1)
    while text[at] != "]":
        _, end = _DECODER.raw_decode(text, at)
        found.append(Range(at, end))
        at = _after_comma(text, end)
    return found


def _after_comma(text: str, at: int) -> int:
    at = _after_space(text, at)
    return _after_space(text, at + 1) if text[at] == "," else at


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


# --- languages ---


def _language_of(top: Mapping[str, Any], cells: tuple[CodeCell, ...]) -> str:
    """The language of the kernel: what the kernel said of itself, what its specification says, or what its name tells."""
    metadata = _mapping(top.get("metadata"))
    kernel = _mapping(metadata.get("kernelspec"))
    for said in (_mapping(metadata.get("language_info")).get("name"), kernel.get("language")):
        if isinstance(said, str) and said:
            return said
    name = kernel.get("name")
    if isinstance(name, str) and _OTHER_KERNELS.match(name):
        shown = kernel.get("display_name")
        return shown if isinstance(shown, str) and shown else name
    spoken = {cell.language for cell in cells}
    return next(iter(spoken)) if "worksheets" in top and len(spoken) == 1 and "" not in spoken else "python"


def _language_of_cell(cell: Mapping[str, Any]) -> str:
    """What a cell says of itself: in the third format each one does, later those that an editor gave another language."""
    said = cell.get("language") or _mapping(_mapping(cell.get("metadata")).get("vscode")).get("languageId")
    return said if isinstance(said, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


# --- writing ---


def _written(text: str, cell: CodeCell, source: str) -> str:
    """The value of a changed source, laid out as the old one was; lines that stay keep their spelling."""
    if text[cell.whole.start] != "[":
        return f'"{escaped(source, text)}"'
    before = {said: text[place.start : place.end] for place, said in cell.pieces}
    lines = source.splitlines(keepends=True)
    elements = [before.get(line) or f'"{escaped(line, text)}"' for line in lines]
    opening, between, closing = _layout(text, cell)
    return f"[{opening}{between.join(elements)}{closing}]" if elements else "[]"


def _layout(text: str, cell: CodeCell) -> tuple[str, str, str]:
    """What stands before the first element of a list, between two, and behind the last."""
    ranges = [place for place, _ in cell.pieces]
    if not ranges:
        return "", ", ", ""
    opening = text[cell.whole.start + 1 : ranges[0].start]
    closing = text[ranges[-1].end : cell.whole.end - 1]
    if len(ranges) > 1:
        return opening, text[ranges[0].end : ranges[1].start], closing
    return opening, f",{opening or ' '}", closing
