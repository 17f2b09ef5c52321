"""A notebook as one module: the code of its cells in their order, and the way back from there to cells and the file."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import TypeVar

from mldbg.lint import ipynb, magics
from mldbg.lint.finding import Edit, Finding, Partly, Problem, Span
from mldbg.lint.ipynb import CodeCell, Document, NotANotebookError
from mldbg.lint.magics import Line, split_lines

__all__ = ["Layout", "NotANotebookError", "Notebook", "Region", "opened"]

Told = TypeVar("Told", Problem, Partly)

_BOM = b"\xef\xbb\xbf"
_FIRST = "# coding: utf-8\n"
"""The first line of each module, so that no comment in a cell is read as the declaration of another encoding."""
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell as a part of the module: a line of ours, its header, and as many lines as its source has."""

    source: CodeCell
    header: str
    lines: tuple[Line, ...]

    @property
    def text(self) -> str:
        """The lines of the module behind the header."""
        return "".join(line.python + (line.end or "\n") for line in self.lines)


@dataclass(frozen=True, slots=True)
class Notebook:
    """A notebook: what its file holds, and its code cells.

    Attributes:
        document: its JSON.
        marked: whether a byte order mark stands before the JSON.
        mark: how the comments begin that stand for commands and begin cells; nothing else in the notebook holds it.
    """

    document: Document
    marked: bool
    mark: str
    cells: tuple[Cell, ...]

    @property
    def language(self) -> str:
        """What its kernel runs."""
        return self.document.language

    @property
    def module(self) -> str:
        """All cells as one module. Their lines keep their numbers, counted from the header of each."""
        return "".join([_FIRST, *(cell.header + cell.text for cell in self.cells)])

    def first_lines(self) -> list[int]:
        """For each code cell the line of the module on which its header stands."""
        found: list[int] = []
        line = 2
        for cell in self.cells:
            found.append(line)
            line += 1 + len(cell.lines)
        return found

    def sources(self, module: str) -> dict[int, str] | None:
        """For each cell that a changed module changes, by its number, the new source; None where no notebook gives this module.

        Each header and each command must be there, once and in order: they stand for what a fix has not seen.
        """
        parts = self._cut_up(module)
        if parts is None:
            return None
        found: dict[int, str] = {}
        for cell, lines in zip(self.cells, parts, strict=True):
            if "".join(lines) != cell.text:
                source = self._source(cell, lines)
                if source is None:
                    return None
                found[cell.source.number] = source
        return found

    def contents(self, module: str) -> bytes | None:
        """The bytes of the file once the module is changed; None where no notebook gives this module."""
        sources = self.sources(module)
        if sources is None:
            return None
        text = ipynb.rewritten(self.document, sources)
        return (_BOM if self.marked else b"") + text.encode()

    def _cut_up(self, module: str) -> list[list[str]] | None:
        """The lines of each cell."""
        lines = split_lines(module)
        headers = [index for index, line in enumerate(lines) if f"# {self.mark}cell " in line]
        if lines[:1] != [_FIRST] or [lines[index] for index in headers] != [cell.header for cell in self.cells]:
            return None
        ends = [*headers[1:], len(lines)] if headers else []
        if lines[1 : (headers or [len(lines)])[0]]:
            return None
        return [lines[start + 1 : end] for start, end in zip(headers, ends, strict=True)]

    def _source(self, cell: Cell, lines: Sequence[str]) -> str | None:
        """The source of a cell with other lines."""
        commands = {line.mark: line for line in cell.lines if line.mark}
        pieces: list[str] = []
        for line in lines:
            text = line.rstrip("\r\n")
            mark = next((mark for mark in commands if text.endswith(mark)), None)
            written = commands.pop(mark).restored(text) if mark else text
            if written is None or (not mark and f"# {self.mark}" in text):
                return None
            pieces.append(written + line[len(text) :])
        source = "".join(pieces)
        ended = not cell.lines or bool(cell.lines[-1].end)
        silenced = any(line.written and not line.python for line in cell.lines)
        if commands or silenced or _SURROGATE.search(cell.source.source):
            return None
        return source if ended else source.removesuffix("\n")

    def layout(self) -> Layout:
        """Where the lines of the module stand."""
        starts = [0, *(found.end() for found in re.finditer("\n", self.document.text))]
        lines: list[Place | None] = [None]
        for cell in self.cells:
            lines += [None, *_places(self.document.text, cell, starts)]
        return Layout(tuple(lines))


def opened(data: bytes) -> Notebook:
    """The notebook in a file.

    Raises:
        NotANotebookError: the bytes are no notebook.
    """
    marked = data.startswith(_BOM)
    try:
        text = data.removeprefix(_BOM).decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise NotANotebookError(line, "is not a notebook: not valid UTF-8") from None
    document = ipynb.document(text)
    mark = _mark("".join(cell.source for cell in document.cells))
    marks = (f"# {mark}{number}." for number in count(1))
    return Notebook(document, marked, mark, tuple(_cell(cell, mark, marks) for cell in document.cells))


def _mark(code: str) -> str:
    """What begins no comment in the code."""
    mark = "%"
    while f"# {mark}" in code:
        mark += "%"
    return mark


def _cell(cell: CodeCell, mark: str, marks: Iterator[str]) -> Cell:
    """A cell with its header, which opens a block for lines that are all indented: IPython takes the indentation away."""
    ours = not cell.language or ipynb.is_python(cell.language)
    source = _SURROGATE.sub("?", cell.source)
    lines = magics.as_python(source, marks) if ours else magics.blank(source)
    opening = "if True:  " if magics.is_indented(lines) else ""
    return Cell(cell, f"{opening}# {mark}cell {cell.number}\n", lines)


# --- places ---


@dataclass(frozen=True, slots=True)
class Region:
    """A range of text in the file of a notebook: lines and columns counted from 1, in characters, the last column exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of the module stands.

    Attributes:
        cell: the number of its cell.
        number: its number in the cell.
        text: the line as it is written in the cell.
        ended: whether a line end follows in the cell.
        cut: the column, counted from 0, from which on the module lacks some characters, and how many.
        file_line: the line of the file on which its first character stands.
        file_column: the column there.
        raw: what stands in the file for the line and its end.
    """

    cell: int
    number: int
    text: str
    ended: bool
    cut: tuple[int, int]
    file_line: int
    file_column: int
    raw: str

    def in_file(self, column: int | None) -> tuple[int, int]:
        """Line and column of the file for a column of the line; for None where the line and its end are over."""
        raw = self.raw if column is None else self.raw[: ipynb.offset(self.raw, column - 1)]
        rows = raw.count("\n")
        return self.file_line + rows, len(raw) - raw.rindex("\n") if rows else self.file_column + len(raw)


def _places(text: str, cell: Cell, starts: Sequence[int]) -> Iterator[Place]:
    """The places of a cell's lines. `starts` says where the lines of the file begin in its text."""
    places = ipynb.places(text, cell.source)
    done = 0
    for number, line in enumerate(cell.lines, start=1):
        end = done + len(line.written) + len(line.end)
        row = bisect_right(starts, places[done])
        yield Place(
            cell.source.number,
            number,
            line.written,
            bool(line.end),
            (line.cut[0], len(line.cut[1])),
            row,
            places[done] - starts[row - 1] + 1,
            text[places[done] : places[end]],
        )
        done = end


@dataclass(frozen=True)
class Layout:
    """For each line of a module the place in its notebook; None for lines that no cell holds."""

    lines: tuple[Place | None, ...]

    @cached_property
    def _by_cell(self) -> dict[tuple[int, int], Place]:
        return {(place.cell, place.number): place for place in self.lines if place is not None}

    @cached_property
    def _last(self) -> dict[int, Place]:
        """The last line of each cell."""
        return {place.cell: place for place in self.lines if place is not None}

    def finding(self, finding: Finding, path: str) -> Finding:
        """A finding with those of its places in cells that lie in the notebook with this path."""
        steps = tuple(replace(step, span=self.span(step.span)) if step.span.path == path else step for step in finding.steps)
        fix = finding.fix
        if fix is not None:
            edits = (replace(edit, span=self.span(edit.span)) if edit.span.path == path else edit for edit in fix.edits)
            fix = replace(fix, edits=tuple(edits))
        span = self.span(finding.span) if finding.span.path == path else finding.span
        return replace(finding, span=span, steps=steps, fix=fix)

    def problem(self, problem: Told) -> Told:
        """A problem, or what was followed in part, with its line in a cell."""
        cell, line, _ = self._in_cell(problem.line, 1) if problem.line else (0, 0, 0)
        return replace(problem, cell=cell, line=line) if cell else replace(problem, line=0)

    def span(self, span: Span) -> Span:
        """A range of the module as a range in a cell, or in two that follow one another: `cell` is the first one."""
        cell, line, column = self._in_cell(span.line, span.column)
        end_cell, end_line, end_column = self._in_cell(span.end_line, span.end_column)
        if end_cell != cell:  # what is about several cells is shown where it begins
            last = self._last[cell]
            end_line, end_column = last.number, len(last.text) + 1
        return Span(span.path, line, column, end_line, end_column, cell)

    def text(self, span: Span) -> str:
        """The line of a cell on which a span begins."""
        place = self._by_cell.get((span.cell, span.line))
        return place.text if place is not None else ""

    def region(self, span: Span) -> Region:
        """A range in a cell as a range in the file."""
        start = self._in_file(span.cell, span.line, span.column)
        return Region(*start, *self._in_file(span.cell, span.end_line, span.end_column))

    def edit(self, edit: Edit) -> tuple[Region, str]:
        """An edit of a cell as one of the file."""
        span, text = edit.span, edit.replacement
        last = self._last.get(span.cell)
        if last is not None and not last.ended and span.line > last.number and text:
            text = "\n" + text.removesuffix("\n")
        return self.region(span), ipynb.escaped(text, like="")

    def _in_cell(self, line: int, column: int) -> tuple[int, int, int]:
        """Cell, line and column. A line that no cell holds counts as the one behind the cell above it."""
        place = self.lines[line - 1] if 0 < line <= len(self.lines) else None
        if place is not None:
            start, lacking = place.cut
            return place.cell, place.number, min(column + (lacking if column > start else 0), len(place.text) + 1)
        above = next((place for place in reversed(self.lines[: line - 1]) if place is not None), None)
        return (above.cell, above.number + 1, 1) if above is not None else (0, line, column)

    def _in_file(self, cell: int, line: int, column: int) -> tuple[int, int]:
        place = self._by_cell.get((cell, line))
        if place is not None:
            return place.in_file(column)
        last = self._last.get(cell)
        return last.in_file(None) if last is not None else (1, 1)
