"""What a rule reports: plain frozen data, text ranges only, no syntax tree inside.

Lines and columns count from 1, columns count characters, and an end column is exclusive: the convention of SARIF and of
most editors. Paths are as the reports print them (relative to the working directory where possible). In a notebook, reports
count lines from the first one of a cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Group(StrEnum):
    """What kind of harm a rule is about; `correctness` is on by default, the others are opted into."""

    CORRECTNESS = "correctness"
    SUSPICIOUS = "suspicious"
    REDUNDANT = "redundant"
    PERFORMANCE = "performance"
    REPRODUCIBILITY = "reproducibility"
    SECURITY = "security"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A range of text in a file, or in one cell of a notebook: `cell` is its place among all cells, 0 where there are none."""

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    cell: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One station on the way from cause to effect."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Replace the text of a range; an empty range inserts, an empty replacement deletes."""

    span: Span
    replacement: str


@dataclass(frozen=True, slots=True, order=True)
class Fix:
    """Edits that belong together. `safe`: the meaning is kept, or plainly was intended; otherwise a person must ask for it."""

    safe: bool
    edits: tuple[Edit, ...]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """A defect at a place, with the path that leads to it. `message` says what happens, `hint` what to do."""

    span: Span
    rule: str
    message: str
    group: Group
    hint: str
    steps: tuple[Step, ...] = ()
    fix: Fix | None = None


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something that could not be checked: a file (line 0) or a place in it, with the reason in one line; `cell` as in `Span`."""

    path: str
    line: int
    message: str
    cell: int = 0


@dataclass(frozen=True, slots=True, order=True)
class Partly:
    """A definition, or the top level of a file (line 0), that calls more than was followed: what it does was seen in part."""

    path: str
    line: int
    name: str
    cell: int = 0


def cell_name(path: str, cell: int) -> str:
    """A file, or a cell of a notebook, as reports for people name it."""
    return f"{path}:cell {cell}" if cell else path


def in_cell(message: str, cell: int, line: int) -> str:
    """A message that says where it belongs by itself, for readers that know only lines of a notebook's file."""
    return f"cell {cell}, line {line}: {message}" if cell else message
