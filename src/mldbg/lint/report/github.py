"""Workflow commands of GitHub Actions: each line becomes an annotation on the changed code."""

from __future__ import annotations

from collections.abc import Sequence

from mldbg.lint.finding import Finding, Problem
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """Findings are errors, what could not be checked is a warning."""
    del rules
    commands = [_finding(finding) for finding in result.findings] + [_problem(problem) for problem in result.problems]
    return "".join(f"{command}\n" for command in commands)


def _finding(finding: Finding) -> str:
    span = finding.span
    place: dict[str, str | int] = {"file": span.path, "line": span.line, "endLine": span.end_line}
    if span.line == span.end_line:  # GitHub reads columns as belonging to one line
        place |= {"col": span.column, "endColumn": span.end_column}
    steps = [f"{number}. {step.span.path}:{step.span.line} {step.text}" for number, step in enumerate(finding.steps, start=1)]
    text = "\n".join([finding.message, *steps, f"hint: {finding.hint}"])
    return _command("error", place | {"title": finding.rule}, text)


def _problem(problem: Problem) -> str:
    place: dict[str, str | int] = {"file": problem.path}
    if problem.line:
        place["line"] = problem.line
    return _command("warning", place | {"title": "not checked"}, problem.message)


def _command(name: str, properties: dict[str, str | int], text: str) -> str:
    written = ",".join(f"{key}={_in_property(str(value))}" for key, value in properties.items())
    return f"::{name} {written}::{_in_text(text)}"


def _in_text(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _in_property(text: str) -> str:
    return _in_text(text).replace(":", "%3A").replace(",", "%2C")
