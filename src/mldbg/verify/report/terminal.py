"""A run in about twenty lines: what is wrong first, then what could not be told, then what was not done."""

from __future__ import annotations

from collections.abc import Iterator

import click

from mldbg.verify.outcome import Outcome, Verdict
from mldbg.verify.report import INCOMPLETE, Record, counted

MOST_TOLD = 6
"""Failures and warnings that get lines of their own."""

MOST_UNSURE = 4
"""The same for what could not be told."""

COLOURS = {
    Verdict.FAIL: "red",
    Verdict.WARN: "yellow",
    Verdict.CANNOT_TELL: "magenta",
    Verdict.PASS: "green",
    Verdict.SKIP: "bright_black",
    INCOMPLETE: "yellow",
}


def render(record: Record) -> str:
    """The summary as text, styled for a terminal."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Record) -> Iterator[str]:
    report = record.report
    where = f"{report.device}{f', {report.dtype}' if report.dtype else ''}, seed {report.seed}, {report.seconds:.1f} s"
    yield f"{_styled(record.verdict)}  {click.style(record.subject, bold=True)}  ({where})"
    yield f"noise floor of the loss: {record.floor}"
    counts = [f"{count} {verdict}" for verdict, count in record.counts.items() if count]
    yield f"{counted(len(report.outcomes), 'check')}: {', '.join(counts)}"
    told = record.of(Verdict.FAIL, Verdict.WARN)
    for outcome in told[:MOST_TOLD]:
        yield from _found(outcome)
    if len(told) > MOST_TOLD:
        yield f"and {len(told) - MOST_TOLD} more: {_listed(told[MOST_TOLD:])}"
    unsure = record.of(Verdict.CANNOT_TELL)
    for outcome in unsure[:MOST_UNSURE]:
        yield f"{_styled(Verdict.CANNOT_TELL)}  {outcome.check}: {outcome.why}"
    if len(unsure) > MOST_UNSURE:
        yield f"{_styled(Verdict.CANNOT_TELL)}  {len(unsure) - MOST_UNSURE} more: {_listed(unsure[MOST_UNSURE:])}"
    yield from _skipped(record.of(Verdict.SKIP))


def _found(outcome: Outcome) -> Iterator[str]:
    yield f"{_styled(outcome.verdict)}  {click.style(outcome.check, bold=True)}: {outcome.cause}: {outcome.why}"
    if outcome.next_step:
        yield f"      -> {outcome.next_step}"


def _skipped(outcomes: list[Outcome]) -> Iterator[str]:
    waiting: dict[str, list[Outcome]] = {}
    lacking: set[str] = set()
    others = []
    for outcome in outcomes:
        needs = outcome.details.get("needs")
        if "depends_on" in outcome.details:
            waiting.setdefault(str(outcome.details["depends_on"]), []).append(outcome)
        elif isinstance(needs, list):
            lacking |= set(needs)
        else:
            others.append(outcome)
    for cause, greyed in waiting.items():
        yield click.style(f"SKIP  after {cause}: {_listed(greyed)}", dim=True)
    if lacking:
        number = sum("needs" in outcome.details for outcome in outcomes)
        yield click.style(f"SKIP  {counted(number, 'check')} more with Experiment(..., {', '.join(sorted(lacking))})", dim=True)
    if others:
        yield click.style(f"SKIP  {_listed(others)}", dim=True)


def _listed(outcomes: list[Outcome]) -> str:
    return ", ".join(outcome.check for outcome in outcomes)


def _styled(verdict: str) -> str:
    return click.style(verdict, fg=COLOURS[verdict], bold=True)
