"""SARIF 2.1.0, the interchange format of static analysis: code scanning services and editors read it.

A finding's path is a `codeFlow`, its fix is a `fix`, and what could not be checked is a notification of the invocation.
A region of a notebook is one of its JSON, the only text that the readers of SARIF have; the logical location names the cell, and
messages name cell and line. Fixes replace JSON by JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from mldbg import __version__
from mldbg.lint import page
from mldbg.lint.finding import Edit, Finding, Fix, Group, Problem, Span, Step, cell_name, in_cell
from mldbg.lint.notebook import Layout, Region
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

Notebooks = Mapping[str, Layout]

_LEVELS = {
    Group.CORRECTNESS: "error",
    Group.SECURITY: "error",
    Group.SUSPICIOUS: "warning",
    Group.REPRODUCIBILITY: "warning",
    Group.REDUNDANT: "note",
    Group.PERFORMANCE: "note",
}


def render(result: Result, rules: Sequence[type[Rule]]) -> str:
    """One log with one run."""
    names = [rule.name for rule in rules]
    run = {
        "tool": {"driver": _driver(rules)},
        "invocations": [_invocation(result.problems, result.notebooks)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, names, result.notebooks) for finding in result.findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False) + "\n"


def _driver(rules: Iterable[type[Rule]]) -> dict[str, Any]:
    return {"name": "mldebug-lint", "semanticVersion": __version__, "rules": [_descriptor(rule) for rule in rules]}


def _descriptor(rule: type[Rule]) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": page.summary(rule)},
        "help": {"text": page.explain(rule), "markdown": page.body(rule)},
        "defaultConfiguration": {"enabled": rule.group is Group.CORRECTNESS, "level": _LEVELS[rule.group]},
        "properties": {"tags": [rule.group.value]},
    }


def _invocation(problems: Iterable[Problem], notebooks: Notebooks) -> dict[str, Any]:
    notifications = [_notification(problem, notebooks) for problem in problems]
    return {"executionSuccessful": not notifications, "toolExecutionNotifications": notifications}


def _notification(problem: Problem, notebooks: Notebooks) -> dict[str, Any]:
    span = Span(problem.path, problem.line, 1, problem.line, 1, problem.cell)
    place: dict[str, Any] = {"artifactLocation": _artifact(problem.path)}
    if problem.line:
        place["region"] = {"startLine": notebooks[problem.path].region(span).line if problem.cell else problem.line}
    location = {"physicalLocation": place} | _logical(span)
    return {"level": "error", "message": {"text": in_cell(problem.message, problem.cell, problem.line)}, "locations": [location]}


def _result(finding: Finding, rules: list[str], notebooks: Notebooks) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.group],
        "message": {"text": f"{in_cell(finding.message, finding.span.cell, finding.span.line)}\n{finding.hint}"},
        "locations": [_location(finding.span, notebooks)],
    }
    if finding.rule in rules:
        result["ruleIndex"] = rules.index(finding.rule)
    if finding.steps:
        result["codeFlows"] = [{"threadFlows": [{"locations": [_station(step, notebooks) for step in finding.steps]}]}]
    if finding.fix:
        result["fixes"] = [_fix(finding.fix, finding.hint, notebooks)]
    return result


def _station(step: Step, notebooks: Notebooks) -> dict[str, Any]:
    return {
        "location": _location(step.span, notebooks) | {"message": {"text": in_cell(step.text, step.span.cell, step.span.line)}}
    }


def _fix(fix: Fix, description: str, notebooks: Notebooks) -> dict[str, Any]:
    paths = dict.fromkeys(edit.span.path for edit in fix.edits)
    changes = [_change(path, [edit for edit in fix.edits if edit.span.path == path], notebooks) for path in paths]
    return {"description": {"text": description}, "artifactChanges": changes, "properties": {"safe": fix.safe}}


def _change(path: str, edits: Iterable[Edit], notebooks: Notebooks) -> dict[str, Any]:
    replacements = [_replacement(edit, notebooks) for edit in edits]
    return {"artifactLocation": _artifact(path), "replacements": replacements}


def _replacement(edit: Edit, notebooks: Notebooks) -> dict[str, Any]:
    region, text = notebooks[edit.span.path].edit(edit) if edit.span.cell else (edit.span, edit.replacement)
    return {"deletedRegion": _region(region), "insertedContent": {"text": text}}


def _location(span: Span, notebooks: Notebooks) -> dict[str, Any]:
    region = notebooks[span.path].region(span) if span.cell else span
    return {"physicalLocation": {"artifactLocation": _artifact(span.path), "region": _region(region)}} | _logical(span)


def _logical(span: Span) -> dict[str, Any]:
    if not span.cell:
        return {}
    return {"logicalLocations": [{"name": f"cell {span.cell}", "fullyQualifiedName": cell_name(span.path, span.cell)}]}


def _region(span: Span | Region) -> dict[str, int]:
    return {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}


def _artifact(path: str) -> dict[str, str]:
    return {"uri": PurePosixPath(path).as_uri() if path.startswith("/") else quote(path)}
