"""Suppression: comments `# mldebug: allow[rule-name] reason` take findings away, and are themselves kept honest.

A comment behind code holds for findings that start or end on its line; a comment on a line of its own holds for the next
line of code. A name that no rule has, and a name that allows nothing, are findings too.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from mldbg.lint.finding import Finding, Group, Span
from mldbg.lint.suggest import did_you_mean

MARKER = "mldebug:"
UNKNOWN = "unknown-allowance"
UNUSED = "unused-allowance"
OWN_NAMES = (UNKNOWN, UNUSED)

_COMMENT = re.compile(r"#\s*mldebug:")
_ALLOWANCE = re.compile(r"#\s*mldebug:\s*allow\[([^\]]*)\]")
_COMMENT_ONLY = re.compile(r"\s*#")


@dataclass(frozen=True, slots=True)
class _Allowance:
    """One comment of ours: where it stands, the line of code that it is about, the rules that it names."""

    span: Span
    about: int
    names: tuple[str, ...]
    understood: bool

    def covers(self, finding: Finding) -> bool:
        return finding.rule in self.names and self.about in (finding.span.line, finding.span.end_line)


def apply(
    findings: Iterable[Finding], text: str, path: str, active_rules: Collection[str], known_rules: Collection[str]
) -> list[Finding]:
    """The findings of one file that no comment allows, and findings about comments that allow nothing.

    An unused allowance is reported only for a rule that was active in this run: of the others nothing is known.
    """
    allowances = _allowances(text, path)
    found = list(findings)
    kept = [finding for finding in found if not any(allowance.covers(finding) for allowance in allowances)]
    for allowance in allowances:
        kept += _complaints(allowance, found, active_rules, known_rules)
    return kept


def allowed(finding: Finding, text: str) -> bool:
    """Whether a comment in the file of a finding allows it."""
    return any(allowance.covers(finding) for allowance in _allowances(text, finding.span.path))


def _complaints(
    allowance: _Allowance, findings: list[Finding], active_rules: Collection[str], known_rules: Collection[str]
) -> Iterator[Finding]:
    if not allowance.understood:
        yield _complaint(
            allowance,
            UNKNOWN,
            "malformed suppression comment: it suppresses nothing",
            "write: # mldebug: allow[rule-name] reason",
        )
    about = [finding.rule for finding in findings if allowance.covers(finding)]
    for name in allowance.names:
        if name not in known_rules:
            message = f'unknown rule "{name}"{did_you_mean(name, known_rules)}'.removesuffix("?")
            yield _complaint(allowance, UNKNOWN, message, "name a rule that `mldebug-lint --list` shows, or remove the comment")
        elif name in active_rules and name not in about:
            yield _complaint(allowance, UNUSED, f"{name} reports nothing here", "remove the name from the comment")


def _complaint(allowance: _Allowance, rule: str, message: str, hint: str) -> Finding:
    return Finding(span=allowance.span, rule=rule, message=message, group=Group.SUSPICIOUS, hint=hint)


def _allowances(text: str, path: str) -> list[_Allowance]:
    if not _COMMENT.search(text):
        return []
    lines = text.split("\n")
    return [_allowance(path, line, column, comment, lines) for line, column, comment in _comments(text)]


def _allowance(path: str, line: int, column: int, comment: str, lines: list[str]) -> _Allowance:
    match = _ALLOWANCE.match(comment)
    names = tuple(name.strip() for name in match[1].split(",") if name.strip()) if match else ()
    span = Span(path, line, column, line, column + len(comment))
    alone = not lines[line - 1][: column - 1].strip()
    return _Allowance(span, _next_code(line, lines) if alone else line, names, understood=bool(names))


def _next_code(line: int, lines: list[str]) -> int:
    while line < len(lines) and _COMMENT_ONLY.match(lines[line]):
        line += 1
    return line + 1


def _comments(text: str) -> list[tuple[int, int, str]]:
    """Line, column and text of each comment that begins with our marker."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, SyntaxError):
        return list(_comments_of_broken_text(text))
    return [
        (token.start[0], token.start[1] + 1, token.string)
        for token in tokens
        if token.type == tokenize.COMMENT and _COMMENT.match(token.string)
    ]


def _comments_of_broken_text(text: str) -> Iterator[tuple[int, int, str]]:
    """The same by regular expression, on lines where the marker cannot stand inside a string."""
    for number, line in enumerate(text.split("\n"), start=1):
        match = _COMMENT.search(line)
        if match and not set("\"'") & set(line[: match.start()]):
            yield number, match.start() + 1, line[match.start() :].rstrip()
