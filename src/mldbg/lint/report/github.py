"""Workflow commands of GitHub Actions: each line becomes an annotation on the changed code.

GitHub shows the changes of a notebook as those of its JSON, and knows no cells: an annotation sits on the line of the file that
holds the line of code, and its text names cell and line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mldbg.lint.finding import Finding, Problem, Span, cell_name, in_cell
from mldbg.lint.notebook import Layout, Region
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """Findings are errors, what could not be checked is a warning."""
    del rules
    commands = [_finding(finding, result.notebooks) for finding in result.findings]
    commands += [_problem(problem, result.notebooks) for problem in result.problems]
    return "".join(f"{command}\n" for command in commands)


def _finding(finding: Finding, notebooks: Mapping[str, Layout]) -> str:
    region = _region(finding.span, notebooks)
    place: dict[str, str | int] = {"file": finding.span.path, "line": region.line, "endLine": region.end_line}
    if region.line == region.end_line:  # GitHub reads columns as belonging to one line
        place |= {"col": region.column, "endColumn": region.end_column}
    steps = [f"{number}. {_place(step.span)} {step.text}" for number, step in enumerate(finding.steps, start=1)]
    message = in_cell(finding.message, finding.span.cell, finding.span.line)
    text = "\n".join([message, *steps, f"hint: {finding.hint}"])
    return _command("error", place | {"title": finding.rule}, text)


def _problem(problem: Problem, notebooks: Mapping[str, Layout]) -> str:
    place: dict[str, str | int] = {"file": problem.path}
    if problem.line:
        span = Span(problem.path, problem.line, 1, problem.line, 1, problem.cell)
        place["line"] = _region(span, notebooks).line
    return _command("warning", place | {"title": "not checked"}, in_cell(problem.message, problem.cell, problem.line))


def _region(span: Span, notebooks: Mapping[str, Layout]) -> Span | Region:
    return notebooks[span.path].region(span) if span.cell else span


def _place(span: Span) -> str:
    return f"{cell_name(span.path, span.cell)}:{span.line}"


def _command(name: str, properties: dict[str, str | int], text: str) -> str:
    written = ",".join(f"{key}={_in_property(str(value))}" for key, value in properties.items())
    return f"::{name} {written}::{_in_text(text)}"


def _in_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _in_property(text: str) -> str:
    return _in_text(text).replace(":", "%3A").replace(",", "%2C")
