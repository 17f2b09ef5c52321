"""What the reports for people share: places, problems, and the closing line."""

from __future__ import annotations

from click import style

from mldbg.lint.finding import Problem, Span, cell_name
from mldbg.lint.run import Result


def closing(result: Result) -> str:
    """How much was found, what can be fixed, and what could not be checked."""
    found = counted(len(result.findings), "finding") if result.findings else "no findings"
    if result.checked:
        parts = [f"{found} in {counted(result.checked, 'file')}"]
    else:
        parts = [found] if result.findings else ["no files were checked"]
    safe = sum(1 for finding in result.findings if finding.fix and finding.fix.safe)
    unsafe = sum(1 for finding in result.findings if finding.fix and not finding.fix.safe)
    if safe:
        parts.append(f"{safe} fixable with --fix")
    if unsafe:
        parts.append(f"{unsafe}{' more' if safe else ''} fixable with --fix --unsafe-fixes")
    if result.problems:
        parts.append(f"{counted(len({problem.path for problem in result.problems}), 'file')} could not be checked")
    return "; ".join(parts)


def place(span: Span) -> str:
    """Where something starts, in the form that terminals and editors turn into a link; in a notebook with the cell."""
    return style(f"{cell_name(span.path, span.cell)}:{span.line}:{span.column}", bold=True)


def problem_line(problem: Problem) -> str:
    """What could not be checked: a file, or a line in it, and why."""
    name = cell_name(problem.path, problem.cell)
    where = f"{name}:{problem.line}" if problem.line else name
    return f"{style(where, bold=True)}: {problem.message}"


def counted(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
