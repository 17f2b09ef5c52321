"""The full report for people: each finding with its line, the path that leads to it, and what to do."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Sequence

from click import style

from mldbg.lint import files
from mldbg.lint.finding import Finding, Fix, Span, Step, cell_name
from mldbg.lint.report.summary import closing, place, problem_line
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result

LineOf = Callable[[Span], str]
"""Gives the line on which a range of text begins, or "" where it is not known."""


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """Findings, problems and a closing line."""
    del rules  # a person asks with --explain
    line_of = _line_of(result)
    blocks = ["\n".join(_finding(finding, line_of)) for finding in result.findings]
    if result.problems:
        blocks.append("\n".join(problem_line(problem) for problem in result.problems))
    return "\n\n".join([*blocks, closing(result)]) + "\n"


def _finding(finding: Finding, line_of: LineOf) -> Iterator[str]:
    span = finding.span
    yield f"{place(span)}: {finding.message} {style(f'[{finding.rule}]', fg='red')}"
    yield from _excerpt(span, line_of)
    yield from _path(finding.steps, line_of)
    yield f"  {style('hint:', fg='green')} {finding.hint}"
    if finding.fix:
        yield f"  {style('fix:', fg='green')} {_how_to_fix(finding.fix)}"


def _how_to_fix(fix: Fix) -> str:
    return "available with --fix" if fix.safe else "available with --fix --unsafe-fixes; review the change before keeping it"


def _excerpt(span: Span, line_of: LineOf) -> Iterator[str]:
    line = line_of(span)
    if not line.strip():
        return
    number = str(span.line)
    end = span.end_column if span.end_line == span.line else len(line.rstrip()) + 1
    marked = line[span.column - 1 : end - 1]
    before = "".join(char if char == "\t" else " " * width(char) for char in line[: span.column - 1])
    bar = style("|", fg="blue")
    yield f"  {style(number, fg='blue')} {bar} {line.rstrip()}"
    yield f"  {' ' * len(number)} {bar} {before}{style('^' * max(1, width(marked)), fg='red', bold=True)}"


def _path(steps: tuple[Step, ...], line_of: LineOf) -> Iterator[str]:
    if not steps:
        return
    yield f"  {style('path:', fg='green')}"
    places = [f"{cell_name(step.span.path, step.span.cell)}:{step.span.line}" for step in steps]
    place_width = max(map(len, places))
    text_width = max(len(step.text) for step in steps)
    for number, (step, where) in enumerate(zip(steps, places, strict=True), start=1):
        code = style(line_of(step.span).strip(), dim=True)
        yield f"    {number}. {where:<{place_width}}  {step.text:<{text_width}}  {code}".rstrip()


def _line_of(result: Result) -> LineOf:
    lines = {path: files.lines(text) for path, text in result.texts.items()}

    def line_of(span: Span) -> str:
        if span.cell:
            return result.notebooks[span.path].text(span)
        known = lines.get(span.path, [])
        return known[span.line - 1] if 0 < span.line <= len(known) else ""

    return line_of


def width(text: str) -> int:
    """Columns on a terminal: wide East Asian characters take two."""
    return len(text) if text.isascii() else sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
