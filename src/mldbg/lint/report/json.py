"""The report for programs: one JSON object whose shape only ever changes together with `version`.

Every place in a notebook has a `cell`, which places in files lack: lines count from the first one of that cell.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mldbg.lint.finding import Edit, Finding, Fix, Problem, Span, Step
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result

VERSION = 1


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """Findings and errors, in the order of the other reports."""
    del rules
    report = {
        "version": VERSION,
        "findings": [_finding(finding) for finding in result.findings],
        "errors": [_error(problem) for problem in result.problems],
    }
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _finding(finding: Finding) -> dict[str, Any]:
    span = finding.span
    return {
        "rule": finding.rule,
        "group": finding.group.value,
        **_start(span),
        "end_line": span.end_line,
        "end_column": span.end_column,
        "message": finding.message,
        "hint": finding.hint,
        "steps": [_step(step) for step in finding.steps],
        "fix": _fix(finding.fix) if finding.fix else None,
    }


def _step(step: Step) -> dict[str, Any]:
    return {**_start(step.span), "text": step.text}


def _fix(fix: Fix) -> dict[str, Any]:
    return {"safe": fix.safe, "edits": [_edit(edit) for edit in fix.edits]}


def _edit(edit: Edit) -> dict[str, Any]:
    span = edit.span
    return {**_start(span), "end_line": span.end_line, "end_column": span.end_column, "replacement": edit.replacement}


def _start(span: Span) -> dict[str, Any]:
    return {**_file(span.path, span.cell), "line": span.line, "column": span.column}


def _file(path: str, cell: int) -> dict[str, Any]:
    return {"path": path, "cell": cell} if cell else {"path": path}


def _error(problem: Problem) -> dict[str, Any]:
    return {**_file(problem.path, problem.cell), "line": problem.line, "message": problem.message}
