"""Top-level statements of a module: the lines that each covers, and the names that it binds. No syntax tree inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_OTHER_ENDS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
"""Where `str.splitlines` sees a line end and Python does not."""
_FEED = re.compile(r"[ \t\f]*\f")
_FEEDS = re.compile(r"(?:(?<=[\r\n])|\A)[ \t\f]*\f")
_ONLY_BACKSLASH = re.compile(r"(?:(?<=[\r\n])|\A)[ \t\f]*\\[\r\n]")
_BETWEEN = " \t\f\r\n;"
"""What may stand behind a statement without belonging to it."""


class Kind(Enum):
    """What a top-level statement does."""

    FUNCTION = "function"
    CLASS = "class"
    IMPORT = "import"
    ASSIGNMENT = "assignment"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Import:
    """What an import statement binds a name to: a module, or a name in it. `level` counts leading dots."""

    module: str
    name: str | None
    level: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A top-level statement (or several that share a line): lines `first` to `last`, counted from 1, and the names it binds.

    Of a class also `methods` (name, first and last line) and `bases`, the identifiers in its header.
    """

    kind: Kind
    first: int
    last: int
    names: tuple[str, ...]
    methods: tuple[tuple[str, int, int], ...] = ()
    bases: frozenset[str] = frozenset()
    base_names: tuple[str | None, ...] = ()
    """Of a class the dotted name of each base, None where it is no plain name."""


def split_lines(text: str) -> list[str]:
    """The lines as Python counts them, with their ends."""
    if not any(end in text for end in _OTHER_ENDS):
        return text.splitlines(keepends=True)
    return [match[0] for match in _LINE.finditer(text)]


def with_sure_places(text: str) -> str:
    """The text without what libcst drops at the beginning of a logical line, whereupon it miscounts lines and columns.

    Form feeds there go, and what stands before them: Python begins to count an indentation behind them. A line that holds only a
    backslash becomes blank.
    """
    if "\f" in text:
        text = _FEEDS.sub("", text)
    if ("\\\n" not in text and "\\\r" not in text) or _ONLY_BACKSLASH.search(text) is None:
        return text
    lines: list[str] = []
    carried = False
    for line in split_lines(text):
        ended = line.rstrip("\r\n")
        blank = not carried and ended.strip(_BETWEEN) == "\\"
        lines.append(line[len(ended) :] if blank else line)
        carried = not blank and ended.endswith("\\") and not ended.lstrip().startswith("#")
    return "".join(lines)


def width_of_feeds(line: str) -> int:
    """How many characters `with_sure_places` takes from the beginning of a line."""
    found = _FEED.match(line)
    return len(found[0]) if found else 0


def covering(lines: Sequence[str], statements: Sequence[Statement], ends: Sequence[int]) -> Iterator[Statement]:
    r"""The statements with all the physical lines of their logical lines, so that each can be parsed by itself.

    A tree knows where its nodes are, not where a backslash carries a line on: `x = 1; \` reaches to the next line even if that
    is blank. Statements that share a physical line become one.

    Args:
        lines: the lines of the module, with their ends.
        statements: what the tree says.
        ends: the column behind each statement in its last line, counted in characters from 0.
    """
    held: Statement | None = None
    for statement, end in zip(statements, ends, strict=True):
        last = carried_to(lines, statement.last, end)
        if held is not None and statement.first <= held.last:
            names = tuple(dict.fromkeys(held.names + statement.names))
            held = Statement(Kind.CODE, held.first, max(held.last, last), names)
            continue
        if held is not None:
            yield held
        held = replace(statement, last=last) if last != statement.last else statement
    if held is not None:
        yield held


def carried_to(lines: Sequence[str], last: int, end: int) -> int:
    r"""The last line of the logical line whose code ends in this line and column: `x = 1; \` reaches to the next, be it blank."""
    rest = lines[last - 1][end:]
    while rest.strip(_BETWEEN) == "\\" and last < len(lines):
        last += 1
        rest = lines[last - 1]
    return last
