"""SARIF 2.1.0, the interchange format of static analysis: code scanning services and editors read it.

A finding's path is a `codeFlow`, its fix is a `fix`, and what could not be checked is a notification of the invocation.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from mldbg import __version__
from mldbg.lint import page
from mldbg.lint.finding import Edit, Finding, Fix, Group, Problem, Span, Step
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

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
    run = {
        "tool": {"driver": _driver(rules)},
        "invocations": [_invocation(result.problems)],
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, [rule.name for rule in rules]) for finding in result.findings],
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


def _invocation(problems: Iterable[Problem]) -> dict[str, Any]:
    notifications = [_notification(problem) for problem in problems]
    return {"executionSuccessful": not notifications, "toolExecutionNotifications": notifications}


def _notification(problem: Problem) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _artifact(problem.path)}
    if problem.line:
        place["region"] = {"startLine": problem.line}
    return {"level": "error", "message": {"text": problem.message}, "locations": [{"physicalLocation": place}]}


def _result(finding: Finding, rules: list[str]) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.group],
        "message": {"text": f"{finding.message}\n{finding.hint}"},
        "locations": [_location(finding.span)],
    }
    if finding.rule in rules:
        result["ruleIndex"] = rules.index(finding.rule)
    if finding.steps:
        result["codeFlows"] = [{"threadFlows": [{"locations": [_station(step) for step in finding.steps]}]}]
    if finding.fix:
        result["fixes"] = [_fix(finding.fix, finding.hint)]
    return result


def _station(step: Step) -> dict[str, Any]:
    return {"location": _location(step.span) | {"message": {"text": step.text}}}


def _fix(fix: Fix, description: str) -> dict[str, Any]:
    paths = dict.fromkeys(edit.span.path for edit in fix.edits)
    changes = [_change(path, [edit for edit in fix.edits if edit.span.path == path]) for path in paths]
    return {"description": {"text": description}, "artifactChanges": changes, "properties": {"safe": fix.safe}}


def _change(path: str, edits: Iterable[Edit]) -> dict[str, Any]:
    replacements = [{"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.replacement}} for edit in edits]
    return {"artifactLocation": _artifact(path), "replacements": replacements}


def _location(span: Span) -> dict[str, Any]:
    return {"physicalLocation": {"artifactLocation": _artifact(span.path), "region": _region(span)}}


def _region(span: Span) -> dict[str, int]:
    return {"startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column}


def _artifact(path: str) -> dict[str, str]:
    return {"uri": PurePosixPath(path).as_uri() if path.startswith("/") else quote(path)}
