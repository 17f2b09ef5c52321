"""The closing line of the reports that people read."""

from __future__ import annotations

from mldbg.lint.finding import Problem
from mldbg.lint.run import Result


def closing(result: Result) -> str:
    """How much was found, what can be fixed, and what could not be checked."""
    found = counted(len(result.findings), "finding") if result.findings else "no findings"
    parts = [f"{found} in {counted(result.checked, 'file')}"]
    safe = sum(1 for finding in result.findings if finding.fix and finding.fix.safe)
    unsafe = sum(1 for finding in result.findings if finding.fix and not finding.fix.safe)
    if safe:
        parts.append(f"{safe} fixable with --fix")
    if unsafe:
        parts.append(f"{unsafe}{' more' if safe else ''} fixable with --fix --unsafe-fixes")
    if result.problems:
        parts.append(f"{counted(len({problem.path for problem in result.problems}), 'file')} could not be checked")
    return "; ".join(parts)


def place(problem: Problem) -> str:
    """Where a problem is: a file, or a line in it."""
    return f"{problem.path}:{problem.line}" if problem.line else problem.path


def counted(count: int, noun: str) -> str:
    """A number with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
