"""A calibration as a table for a terminal, as JSON, and as the page `docs/calibration.md`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from mldbg.verify.calibration import Calibration, Rate, Row
from mldbg.verify.outcome import Verdict
from mldbg.verify.report import counted, versions
from mldbg.verify.trial import Trial

VERSION = 1
"""Of the JSON format; raised when a field changes its meaning or goes away."""

_COLUMNS = ("check", "faults found", "right cause", "false alarms", "warnings", "cannot tell")

_FLOOR = """\
Relative differences of the loss of the untrained model, medians over seeds. Repeatability: the same seed twice. Rounding: on
{device} in the model's dtype against the CPU in float64. Over seeds: the standard deviation."""

START, END = "<!-- calibration: written by make calibrate -->", "<!-- end of calibration -->"
"""What stands between these lines of a page is written anew."""


# ----------------------------------------------------------------------------------------------------------------------- text
def percent(rate: Rate) -> str:
    """Like `98 % (95-100)`; a dash where nothing was tried."""
    if not rate.trials:
        return "-"
    low, high = rate.bounds
    return f"{100 * rate.share:.0f} % ({100 * low:.0f}-{100 * high:.0f})"


def counts(rate: Rate) -> str:
    """Like `3/60`; a dash where nothing was tried."""
    return f"{rate.hits}/{rate.trials}" if rate.trials else "-"


def summary(calibration: Calibration) -> list[str]:
    """The totals in a few lines."""
    total = calibration.total
    hosts = {trial.host for trial in calibration.injected}
    tried = (counted(len(calibration.by_fault), "fault"), counted(len(hosts), "host"), counted(total.detection.trials, "trial"))
    most = 100 * total.false_alarms.bounds[1]
    return [
        f"{tried[0]} in {tried[1]}: {tried[2]} on {calibration.device}",
        f"found: {counts(total.detection)} = {percent(total.detection)}",
        f"right cause named first: {counts(total.cause)} = {percent(total.cause)}",
        f"found by the fault's own check: {counts(total.own)} = {percent(total.own)}",
        f"healthy runs with a FAIL: {counts(total.false_alarms)} (at most {most:.1f} %), with a WARN: {counts(total.warnings)}",
    ]


def table(calibration: Calibration) -> str:
    """One line for each check, aligned for a terminal; the noise floor of each host; the totals, and what was missed."""
    noise = [("noise floor of the loss", "repeatability", f"{calibration.device} against CPU in float64", "over seeds")]
    return "\n".join(
        [
            *_aligned([_COLUMNS, *map(_cells, calibration.by_check)]),
            "",
            *_aligned([*noise, *floors(calibration)]),
            "",
            *summary(calibration),
            *missed(calibration),
        ]
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def missed(calibration: Calibration) -> list[str]:
    """What nobody saw, and healthy runs that failed."""
    unseen = Counter((trial.fault, trial.host) for trial in calibration.misses)
    lines = [f"undetected: {fault} in {host} ({counted(number, 'seed')})" for (fault, host), number in sorted(unseen.items())]
    false = Counter(
        (alarm.check, alarm.cause, trial.host)
        for trial in calibration.healthy
        for alarm in trial.alarms
        if alarm.verdict == Verdict.FAIL
    )
    return lines + [
        f"false alarm: {check} ({cause}) in {host} ({counted(number, 'seed')})"
        for (check, cause, host), number in sorted(false.items())
    ]


def mutations(calibration: Calibration) -> str:
    """Of a user's own experiment: which faults were caught there and by which check, and which would have gone unseen."""
    caught: dict[str, set[str]] = {}
    unseen: dict[str, None] = {}
    untried: dict[str, str] = {}
    for trial, found in zip(calibration.injected, calibration.found, strict=True):
        if found.first is not None:
            caught.setdefault(trial.fault, set()).add(f"{found.first.check}: {found.first.cause}")
        elif trial.problems:
            untried[trial.fault] = trial.problems[0]
        else:
            unseen[trial.fault] = None
    healthy = sorted({f"{alarm.check}: {alarm.cause}" for trial in calibration.healthy for alarm in trial.alarms})
    sure = {fault: ", ".join(sorted(by)) for fault, by in caught.items() if fault not in unseen and fault not in untried}
    parts = [
        _listed("the unmodified experiment already raises alarms; these do not count", dict.fromkeys(healthy, "")),
        _listed(f"caught: {len(sure)} of {counted(len(calibration.by_fault), 'fault')}", sure),
        _listed(f"would go undetected: {len(unseen)}", dict.fromkeys(unseen, "")),
        _listed("could not be injected", untried),
    ]
    return "\n\n".join(part for part, wanted in zip(parts, (healthy, True, True, untried), strict=True) if wanted)


def _listed(title: str, rows: Mapping[str, str]) -> str:
    width = max(map(len, rows), default=0)
    return "\n".join([title, *(f"  {name.ljust(width)}  {text}".rstrip() for name, text in rows.items())])


# ----------------------------------------------------------------------------------------------------------------------- JSON
def data(calibration: Calibration) -> dict[str, Any]:
    """The calibration as nested dictionaries, lists, texts and numbers."""
    return {
        "version": VERSION,
        "versions": versions(),
        "device": calibration.device,
        "total": _row(calibration.total),
        "checks": [_row(row) for row in calibration.by_check],
        "faults": [_row(row) for row in calibration.by_fault],
        "healthy": [_trial(trial) for trial in calibration.healthy],
        "injected": [
            {
                **_trial(trial),
                "detected": found.detected,
                "right_cause": found.right,
                "own_check": found.own,
                "first": found.first and asdict(found.first),
            }
            for trial, found in zip(calibration.injected, calibration.found, strict=True)
        ],
    }


def render(calibration: Calibration) -> str:
    """The JSON as text."""
    return json.dumps(data(calibration), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _rate(rate: Rate) -> dict[str, float]:
    low, high = rate.bounds
    return {"hits": rate.hits, "trials": rate.trials, "share": rate.share, "low": low, "high": high}


def _row(row: Row) -> dict[str, Any]:
    return {name: row.name if name == "name" else _rate(getattr(row, name)) for name in Row.__dataclass_fields__}


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "host": trial.host,
        "seed": trial.seed,
        "fault": trial.fault or None,
        "alarms": [asdict(alarm) for alarm in trial.alarms],
        "verdicts": trial.verdicts,
        "problems": list(trial.problems),
        "seconds": round(trial.seconds, 2),
    }


# ----------------------------------------------------------------------------------------------------------------------- page
def page(calibration: Calibration) -> str:
    """The part of `docs/calibration.md` that is measured."""
    parts = [
        f"Measured on {calibration.device} with {_named(versions())}. Bounds are Clopper and Pearson's at 95 %.",
        "\n".join(f"- {line}" for line in summary(calibration)),
        "### By check",
        "A fault counts for the check that must catch it, whichever check saw it first.",
        _markdown(_COLUMNS, [_cells(row) for row in calibration.by_check]),
        "### By fault",
        _markdown(("fault", "its check", "hosts", "found", "right cause", "first alarms"), _of_faults(calibration)),
        "### Noise floor of the initial loss",
        _FLOOR.format(device=calibration.device),
        _markdown(("host", "repeatability", "rounding", "over seeds"), floors(calibration)),
        "### What was missed, and what was said wrongly",
        "\n".join(f"- {line}" for line in missed(calibration)) or "Nothing.",
    ]
    return "\n\n".join(parts)


def floors(calibration: Calibration) -> list[tuple[str, ...]]:
    """By host the medians of repeatability, rounding and spread over seeds."""
    rows: list[tuple[str, ...]] = []
    for host in dict.fromkeys(trial.host for trial in calibration.healthy):
        found = [trial.floor for trial in calibration.healthy if trial.host == host and trial.floor is not None]
        if found:
            numbers = [
                median(getattr(floor, name) for floor in found) for name in ("repeatability", "rounding", "reproducibility")
            ]
            rows.append((host, *(f"{number:.1g}" for number in numbers)))
    return rows


def spliced(text: str, part: str, start: str = START, end: str = END) -> str:
    """The page with what stands between two marker lines written anew. Raises ValueError where they are missing."""
    before, found, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no lines {start} and {end}")
    return f"{before}{start}\n\n{part}\n\n{end}{after}"


def _cells(row: Row) -> tuple[str, ...]:
    found, right = (f"{counts(rate)} = {percent(rate)}" if rate.trials else "-" for rate in (row.detection, row.cause))
    return row.name, found, right, counts(row.false_alarms), counts(row.warnings), counts(row.untold)


def _of_faults(calibration: Calibration) -> list[tuple[str, ...]]:
    by_name = {fault.name: fault for fault in calibration.faults}
    rows: list[tuple[str, ...]] = []
    for row in calibration.by_fault:
        judged = [
            (trial, found)
            for trial, found in zip(calibration.injected, calibration.found, strict=True)
            if trial.fault == row.name
        ]
        first = Counter(f"{found.first.check}: {found.first.cause}" for _, found in judged if found.first)
        hosts = len({trial.host for trial, _ in judged})
        alarms = ", ".join(f"{name} ({number})" for name, number in first.most_common(3))
        rows.append((row.name, by_name[row.name].check, str(hosts), counts(row.detection), counts(row.cause), alarms or "-"))
    return rows


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _named(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items())
