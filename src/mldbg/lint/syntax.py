"""Is it Python at all? For files in which no rule can fire, so that a broken file is never passed over in silence."""

from __future__ import annotations

import symtable
import warnings
from dataclasses import replace

from mldbg.lint.files import Source, encoded
from mldbg.lint.finding import Problem
from mldbg.lint.notebook import Notebook
from mldbg.lint.statement import split_lines


def problem(source: Source) -> Problem | None:
    """What is wrong with the syntax of a file.

    `symtable` parses in C and builds no tree for Python: 410,000 lines/s, where `ast.parse` reaches 145,000. What it refuses
    is judged by the outline, as if a rule had wanted the file.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            symtable.symtable(source.data, source.path, "exec")  # type: ignore[arg-type]  # bytes are read by their coding comment
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _judged_by_outline(source)
    return None


def _judged_by_outline(source: Source) -> Problem | None:
    from mldbg.lint.outline import CannotOutlineError, outline

    try:
        outline(source.text)
    except CannotOutlineError as error:
        return Problem(source.path, error.line, error.reason)
    return None


def without_broken_cells(source: Source, notebook: Notebook) -> tuple[Source, tuple[Problem, ...]]:
    """A notebook as a module that can be read: cells that are no Python are empty in it. One problem tells of all of them."""
    if problem(source) is None:
        return source, ()
    lines = split_lines(source.text)
    starts = notebook.first_lines()
    broken: list[Problem] = []
    for start, end in zip(starts, [*starts[1:], len(lines) + 1], strict=True):
        cell = lines[start - 1 : end - 1]
        found = problem(replace(source, data=encoded("".join(cell), like=source.data)))
        if found is not None:
            broken.append(replace(found, line=start + max(found.line, 1) - 1))
            lines[start - 1 : end - 1] = ["\n"] * len(cell)
    if not broken:
        return source, ()
    more = len(broken) - 1
    also = f" (nor can {more} more cell{'s' if more > 1 else ''} be read)" if more else ""
    first = replace(broken[0], message=broken[0].message + also)
    return replace(source, data=encoded("".join(lines), like=source.data)), (first,)
