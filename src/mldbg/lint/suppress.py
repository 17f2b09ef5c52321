"""Suppression: comments `# mldebug: allow[rule-name] reason` take findings away, and are themselves kept honest.

A comment that suppresses nothing, and one that cannot, are findings too (the rules in `comment_rules`), which can be suppressed
or ignored in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from mldbg.lint.config import ALL, current_name
from mldbg.lint.directives import FORM, Directive, directives
from mldbg.lint.finding import Finding, Group
from mldbg.lint.suggest import aside, did_you_mean

UNUSED = "unused-suppression"
INVALID = "invalid-suppression"
OWN_NAMES = (UNUSED, INVALID)


def apply(
    findings: Iterable[Finding], text: str, path: str, active: Collection[str], known: Mapping[str, Group]
) -> list[Finding]:
    """The findings of one file that no comment suppresses, and findings about comments that suppress nothing.

    A suppression is reported as unused only if its rule was active in this run (of a group: all its rules): otherwise nothing is
    known about it. `known` holds all rules with their groups.
    """
    ours = directives(text, path)
    found = list(findings)
    found += [complaint for each in ours for complaint in _complaints(each, found, active, known, about_us=False)]
    last = [complaint for each in ours for complaint in _complaints(each, found, active, known, about_us=True)]
    return [finding for finding in found if not _suppressed(finding, ours)] + last


def allowed(finding: Finding, text: str) -> bool:
    """Whether a comment in the file of a finding suppresses it."""
    return _suppressed(finding, directives(text, finding.span.path))


def _suppressed(finding: Finding, ours: Iterable[Directive]) -> bool:
    return any(_covers(each, name, finding) for each in ours for name in each.names)


def _covers(directive: Directive, name: str, finding: Finding) -> bool:
    named = current_name(name) in (finding.rule, finding.group.value)
    about_itself = finding.rule in OWN_NAMES and finding.span == directive.span
    return named and (about_itself or finding.span in directive.reach)


def _complaints(
    directive: Directive, findings: list[Finding], active: Collection[str], known: Mapping[str, Group], *, about_us: bool
) -> Iterator[Finding]:
    """What is wrong with a directive: what it says of other rules, or, once those complaints are known, of our own two."""
    if not directive.meant:
        return
    if directive.problem and not about_us:
        yield _complaint(directive, INVALID, f"this suppresses nothing: {directive.problem}", f"write: {FORM}")
    for name in directive.names:
        if (current_name(name) in OWN_NAMES) is about_us:
            yield from _about_name(directive, name, findings, active, known)


def _about_name(
    directive: Directive, name: str, findings: list[Finding], active: Collection[str], known: Mapping[str, Group]
) -> Iterator[Finding]:
    rules = {rule for rule, group in known.items() if current_name(name) in (rule, group.value)}
    if name == ALL:
        yield _complaint(
            directive, INVALID, "a comment cannot suppress ALL", "name the rules or a group, or use per-file-ignores"
        )
    elif not rules and name not in set(Group):
        message = f'unknown rule "{name}"' + aside(did_you_mean(name, [*known, *Group]))
        yield _complaint(directive, INVALID, message, "use a name that `mldebug-lint --list` shows, or remove the comment")
    elif rules and rules <= set(active) and not any(_covers(directive, name, finding) for finding in findings):
        where = "in this file" if directive.of_file else "here"
        hint = "remove the comment" if len(directive.names) == 1 else "remove the name from the comment"
        yield _complaint(directive, UNUSED, f"nothing to suppress {where} for {name}", hint)


def _complaint(directive: Directive, rule: str, message: str, hint: str) -> Finding:
    return Finding(span=directive.span, rule=rule, message=message, group=Group.SUSPICIOUS, hint=hint)
