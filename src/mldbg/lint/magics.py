"""What IPython understands and Python does not: commands in the cells of a notebook, made into Python with as many lines.

A command leaves a mark, a comment that stands nowhere else in the notebook, so that it can be put back when a fix has changed
the lines around it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

PYTHON_CELLS = frozenset(
    {
        "capture", "debug", "heat", "lprun", "memit", "memray_flamegraph", "mprun", "notify", "prun", "pyinstrument", "scalene",
        "snakeviz", "time", "timeit", "wandb",
    }
)  # fmt: skip
"""Cell magics that run the rest of the cell as Python, in the namespace of the notebook. All others hand it to something else."""

_OTHER_LANGUAGES = re.compile(r"\s*%(?:fs|md(?:-sandbox)?|r|scala|sh)\b|\s*%sql\s*$")
"""Databricks says in the first line of a cell what the cell is; elsewhere `%sql` has its statement on the same line."""

_AUTOMAGIC = frozenset(
    {
        "alias", "apt", "apt-get", "autoreload", "cat", "cd", "conda", "config", "cp", "env", "history", "load_ext", "ls",
        "mamba", "matplotlib", "micromamba", "mkdir", "mv", "pip", "pip3", "rm", "rmdir", "run", "uv", "who", "whos",
    }
)  # fmt: skip
"""Commands that a cell of one line may hold without their `%`."""

_CELL_MAGIC = re.compile(r"%%(?P<name>\w*)")
_COMMAND = re.compile(r"\s*(?:[%!,;/]|\?{1,2}\s*[\w%*])")
_HELP = re.compile(r"\s*%{0,2}(?!\d)[\w*]+(?:\.(?!\d)[\w*]+|\[[^][]+\])*\?{1,2}\s*(?:#.*)?")
_ASSIGNED = re.compile(r"(?P<target>\s*[^\W\d][^=#%!(]*=\s*)(?:!|%(?=\s*[^\W\d]))")
_RUNS_REST = re.compile(r"%time\s+(?=\S)")
_RUN = re.compile(
    r"\s*%run\s+(?:-[a-ln-zA-Z]\S*\s+)*(?:(?P<module>-m\s+)|\"|')?(?P<file>(?:\.{1,2}/)*[\w./]+?)(?:\.py)?[\"']?(?:\s.*)?"
)
_LEXEME = re.compile(
    r"""(?P<long>\"{3}|'{3})|(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?|\#.*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<carried>\\$)"""
)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_BLANK = re.compile(r"\s*(?:#.*)?")

UNKNOWN_RESULT = "get_ipython()"
"""A call whose result nobody knows; it stands for the output of a command."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a cell.

    Attributes:
        written: as its author wrote it, without its end.
        end: what ends it; "" for the last line of most cells.
        python: what stands for it in the module.
        mark: the comment by which a command is recognised, or "" where the line is Python as it is written.
        cut: the column, counted from 0, where `python` lacks something, and what it lacks.
    """

    written: str
    end: str
    python: str
    mark: str = ""
    cut: tuple[int, str] = (0, "")

    def restored(self, python: str) -> str | None:
        """What the author would have written for a changed line that holds the mark; None where that cannot be said."""
        if python == self.python:
            return self.written
        column, lacking = self.cut
        if not lacking or not python.endswith(self.mark) or python[:column] != self.python[:column]:
            return None
        return python[:column] + lacking + python[column : -len(self.mark)].rstrip()


def split_lines(text: str) -> list[str]:
    """The lines as Python counts them, with their ends."""
    return _LINE.findall(text)


def as_python(source: str, marks: Iterator[str]) -> tuple[Line, ...]:
    """The lines of a cell with something in place of the commands.

    Args:
        source: the text of the cell.
        marks: comments that stand nowhere else, one for each command.
    """
    lines = [_without_end(line) for line in split_lines(source)]
    written = [line for line, _ in lines]
    first = next((index for index, line in enumerate(written) if _BLANK.fullmatch(line) is None), len(written))
    if first < len(written) and _is_for_another_language(written[first]):
        return blank(source)
    automatic = _automatic(written)
    commands = dict(_commands(written)) | ({automatic: automatic} if automatic is not None else {})
    made: list[Line] = []
    done = 0
    for index, (line, end) in enumerate(lines):
        if index < done:
            mark = next(marks)
            made.append(Line(line, end, mark, mark))
        elif index in commands:
            done = commands[index] + 1
            made.append(_replaced(line, end, next(marks), whole=done == index + 1))
        else:
            made.append(Line(line, end, line))
    return tuple(made)


_AWAY = " "
"""What keeps an old Macintosh's line end apart from the next one: together they would be a single line end."""


def blank(source: str) -> tuple[Line, ...]:
    """A cell that holds no Python of this notebook: as many blank lines."""
    lines = list(map(_without_end, split_lines(source)))
    before = ["", *(end for _, end in lines)]
    return tuple(Line(line, end, _AWAY if last == "\r" else "") for last, (line, end) in zip(before, lines, strict=False))


def is_indented(lines: Iterable[Line]) -> bool:
    """Whether the code of a cell begins with an indentation, which IPython takes away."""
    return next((line.python[0] in " \t" for line in lines if _BLANK.fullmatch(line.python) is None), False)


def _without_end(line: str) -> tuple[str, str]:
    text = line.rstrip("\r\n")
    return text, line[len(text) :]


def _is_for_another_language(first: str) -> bool:
    magic = _CELL_MAGIC.match(first)
    return magic["name"] not in PYTHON_CELLS if magic else _OTHER_LANGUAGES.match(first) is not None


def _automatic(lines: Sequence[str]) -> int | None:
    """The only line of code in a cell, where it is a command without its `%`."""
    code = [index for index, line in enumerate(lines) if not (_BLANK.fullmatch(line) or _CELL_MAGIC.match(line))]
    if len(code) != 1:
        return None
    [index] = code
    word, _, rest = lines[index].strip().partition(" ")
    return index if word in _AUTOMAGIC and rest.strip() and not _is_python(lines[index].strip()) else None


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# --- where commands stand ---


def _commands(lines: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the last line of each command: one begins where a statement may."""
    state = _Between()
    index = 0
    while index < len(lines):
        if state.is_between_statements and _is_command(lines[index]):
            last = index
            while lines[last].endswith("\\") and last + 1 < len(lines):
                last += 1
            yield index, last
            index = last + 1
        else:
            state.read(lines[index])
            index += 1


def _is_command(line: str) -> bool:
    return bool(_COMMAND.match(line) or _HELP.fullmatch(line) or _ASSIGNED.match(line))


class _Between:
    """Whether a new statement may begin: no bracket or long string is open, and no backslash carries the last line on."""

    def __init__(self) -> None:
        self.depth = 0
        self.quotes = ""
        self.carried = False

    @property
    def is_between_statements(self) -> bool:
        return not (self.depth or self.quotes or self.carried)

    def read(self, line: str) -> None:
        """Take notice of one line."""
        at = 0
        self.carried = False
        while True:
            if self.quotes:
                closed = re.compile(r"(?:\\.|(?!" + self.quotes + r").)*" + self.quotes).match(line, at)
                if closed is None:
                    return
                at, self.quotes = closed.end(), ""
            found = _LEXEME.search(line, at)
            if found is None:
                return
            at = found.end()
            self.quotes = found["long"] or ""
            self.carried = bool(found["carried"])
            self.depth = max(0, self.depth + bool(found["open"]) - bool(found["close"]))


# --- what stands for them ---


def _silenced(line: str, end: str, mark: str) -> Line:
    """A comment; in a block, which may hold nothing else, a statement that does nothing."""
    indent = line[: len(line) - len(line.lstrip())]
    return Line(line, end, f"{indent}pass  {mark}" if indent else mark, mark)


def _replaced(line: str, end: str, mark: str, *, whole: bool) -> Line:
    """What stands for the first line of a command; it is the only one where it is `whole`."""
    assigned = _ASSIGNED.match(line)
    start = assigned.end("target") if assigned else len(line) - len(line.lstrip())
    rest = _RUNS_REST.match(line, start) if whole else None
    if rest and _is_python(line[:start].lstrip() + line[rest.end() :]):
        return Line(line, end, f"{line[:start]}{line[rest.end() :]}  {mark}", mark, (start, rest[0]))
    if assigned:
        return Line(line, end, f"{line[:start]}{UNKNOWN_RESULT}  {mark}", mark)
    module = _run_module(line)
    return Line(line, end, f"{line[:start]}from {module} import *  {mark}", mark) if module else _silenced(line, end, mark)


def _run_module(line: str) -> str | None:
    """The module that `%run` executes in the namespace of the notebook, whatever folder it is in."""
    found = _RUN.fullmatch(line)
    if found is None:
        return None
    parts = found["file"].split("." if found["module"] else "/")
    named = [part for part in parts if part not in (".", "..")]
    return ".".join(named) if named and all(part.isidentifier() for part in named) else None
