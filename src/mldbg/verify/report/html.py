"""A run as one page that needs nothing else: no script, no network. What failed comes first, in gate order."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from mldbg.verify.catalogue import Entry
from mldbg.verify.check import Stage
from mldbg.verify.outcome import Outcome, Verdict
from mldbg.verify.report import INCOMPLETE, Record, counted

MOST_BYTES = 1_900_000
"""The page stays below 2 MB: beyond this, pictures of checks that passed are left out, largest first."""

MARKS = {Verdict.PASS: "✓", Verdict.FAIL: "✗", Verdict.WARN: "!", Verdict.CANNOT_TELL: "?", Verdict.SKIP: "·"}
"""What tells verdicts apart without colour."""

LEFT_OUT = (
    '<p class="muted">The picture was omitted to keep the page below 2 MB; run this check alone with --select to see it.</p>'
)

_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class _Pictures:
    """The figures as HTML, by check."""

    of: dict[str, str]

    def __getitem__(self, outcome: Outcome) -> str:
        return self.of.get(outcome.check, "")


def render(record: Record) -> str:
    """The page as text."""
    pictures = {outcome.check: _figure(outcome) for outcome in record.report.outcomes if outcome.figure}
    text = _page(record, _Pictures(pictures))
    size = len(text.encode())
    expendable = sorted(record.of(Verdict.PASS), key=lambda outcome: -len(pictures.get(outcome.check, "")))
    for outcome in expendable:
        if size <= MOST_BYTES:
            break
        size -= len(pictures.get(outcome.check, "").encode())
        pictures[outcome.check] = LEFT_OUT
    return _page(record, _Pictures(pictures)) if LEFT_OUT in pictures.values() else text


def _page(record: Record, pictures: _Pictures) -> str:
    stages = "".join(_stage(stage, record, pictures) for stage in Stage)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'  # else a browser asks the server for one
        f"<title>{record.verdict}: {escape(record.subject)}</title>\n"
        f"<style>\n{files(__package__).joinpath('page.css').read_text(encoding='utf-8')}</style>\n</head>\n<body>\n"
        f"{_header(record)}<main>\n{_findings(record)}{stages}</main>\n{_footer(record)}</body>\n</html>\n"
    )


# ------------------------------------------------------------------------------------------------------------------ the summary
def _header(record: Record) -> str:
    report = record.report
    facts = [
        ("device", f"{report.device}{f', {report.dtype}' if report.dtype else ''}"),
        ("seed", str(report.seed)),
        ("noise floor", _floor(record)),
        ("time", f"{report.seconds:.1f} s"),
        ("versions", ", ".join(f"{name} {number}" for name, number in record.versions.items())),
    ]
    rows = "".join(f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return (
        f'<header class="{_class(record.verdict)}">\n<h1>{escape(record.subject)}</h1>\n'
        f'<p class="lead"><span class="mark">{_headline(record)}</span><br>{_counts(record)}</p>\n'
        f'{_gate(record)}<dl class="facts">{rows}</dl>\n</header>\n'
    )


def _headline(record: Record) -> str:
    failures = counted(record.counts[Verdict.FAIL], "check")
    return {
        Verdict.FAIL: f"✗ {failures} failed",
        INCOMPLETE: "! Not everything could be measured",
        Verdict.WARN: "! Nothing failed, with warnings",
        Verdict.CANNOT_TELL: "? Nothing failed, but some checks could not tell",
        Verdict.PASS: "✓ Nothing failed",
        Verdict.SKIP: "· Nothing was measured",
    }[record.verdict]


def _counts(record: Record) -> str:
    words = {
        Verdict.FAIL: "failed",
        Verdict.WARN: "warned",
        Verdict.CANNOT_TELL: "cannot tell",
        Verdict.PASS: "passed",
        Verdict.SKIP: "skipped",
    }
    parts = [f"{count} {words[verdict]}" for verdict, count in record.counts.items() if count]
    return f"{counted(len(record.report.outcomes), 'check')}: {', '.join(parts)}" if parts else "no check"


def _floor(record: Record) -> str:
    floor = record.report.floor
    if floor is None:
        return "not measured"
    rounding = "" if math.isnan(floor.rounding) else f"; {floor.rounding:.1g} against float64 on the CPU"
    return (
        f"relative to the loss at the start: {floor.repeatability:.1g} between two runs of one seed{rounding}; "
        f"{floor.reproducibility:.1g} over seeds"
    )


def _gate(record: Record) -> str:
    """One cell for each check, stage by stage."""
    parts = []
    for stage in Stage:
        cells = "".join(
            f'<a class="cell {_class(outcome.verdict)}" href="#{_anchor(outcome)}" title="{outcome.check}: {outcome.verdict}" '
            f'aria-label="{outcome.check}: {outcome.verdict}">{MARKS[outcome.verdict]}</a>'
            for outcome in _of_stage(stage, record)
        )
        if cells:
            parts.append(f"<li><b>{stage.title}</b>{cells}</li>")
    return f'<ol class="gate">{"".join(parts)}</ol>\n'


def _findings(record: Record) -> str:
    """The causes that were found, and what could not be measured."""
    found = record.of(Verdict.FAIL, Verdict.WARN)
    causes = "".join(
        f'<li class="{_class(outcome.verdict)}"><a href="#{_anchor(outcome)}"><code>{escape(outcome.cause or "")}</code></a> '
        f"{_inline(outcome.why)}</li>"
        for outcome in found
    )
    problems = "".join(f"<li>{_inline(problem.message)}</li>" for problem in record.report.problems)
    text = f'<h2 id="causes">Causes found</h2>\n<ul class="causes">{causes}</ul>\n' if causes else ""
    return text + (f'<h2 id="problems">Could not be measured</h2>\n<ul class="problems">{problems}</ul>\n' if problems else "")


# ------------------------------------------------------------------------------------------------------------------- the checks
def _stage(stage: Stage, record: Record, pictures: _Pictures) -> str:
    mine = {outcome.check for outcome in _of_stage(stage, record)}
    if not mine:
        return ""
    told = [outcome for outcome in record.of(*MARKS) if outcome.check in mine]
    done = [outcome for outcome in told if outcome.verdict is not Verdict.SKIP]
    entries = "".join(_check(outcome, record, pictures) for outcome in done)
    skipped = _skipped([outcome for outcome in told if outcome.verdict is Verdict.SKIP])
    small = f"<small>{len(done)} of {counted(len(told), 'check')} run</small>"
    heading = f'<h2 id="stage-{stage.title}">{stage.value}. {stage.title.capitalize()}{small}</h2>'
    return f"<section>\n{heading}\n{entries}{skipped}</section>\n"


def _check(outcome: Outcome, record: Record, pictures: _Pictures) -> str:
    entry = record.catalogue.get(outcome.check)
    if outcome.verdict in (Verdict.FAIL, Verdict.WARN, Verdict.CANNOT_TELL):
        return _open(outcome, entry, record, pictures)
    shown = " open" if outcome.statistic is None and outcome.figure else ""  # a check without a number has only a picture to say
    return (
        f'<details class="check {_class(outcome.verdict)}" id="{_anchor(outcome)}"{shown}>'
        f'<summary>{_mark(outcome)} <h3>{outcome.check}</h3> <span class="why">{_inline(outcome.why)}</span></summary>\n'
        f'<div class="inner">{pictures[outcome]}{_more(outcome, entry, record)}</div></details>\n'
    )


def _open(outcome: Outcome, entry: Entry | None, record: Record, pictures: _Pictures) -> str:
    kind = f'<span class="kind">{entry.id}, {entry.kind.value}</span>' if entry else ""
    claim = f'<p class="claim">Expected: {_inline(entry.summary)}.</p>' if entry else ""
    rows = [("seen", _inline(outcome.why), "")]
    if outcome.cause:
        meaning = entry.causes.get(outcome.cause, "") if entry else ""
        rows.append(("cause", f"<code>{escape(outcome.cause)}</code>{': ' + _inline(meaning) if meaning else ''}", "cause"))
    if outcome.next_step:
        rows.append(("next step", _inline(outcome.next_step), "next"))
    told = "".join(f'<dt>{name}</dt><dd class="{kind_}">{text}</dd>' for name, text, kind_ in rows)
    return (
        f'<article class="check {_class(outcome.verdict)}" id="{_anchor(outcome)}">'
        f'{_mark(outcome)} <h3>{outcome.check}</h3>{kind}{claim}<dl class="told">{told}</dl>\n'
        f"{pictures[outcome]}{_more(outcome, entry, record)}</article>\n"
    )


def _mark(outcome: Outcome) -> str:
    return f'<span class="mark">{MARKS[outcome.verdict]} {outcome.verdict}</span>'


def _figure(outcome: Outcome) -> str:
    from mldbg.verify.report.svg import picture

    assert outcome.figure
    title = f"<b>{_inline(outcome.figure.title)}</b>"
    try:
        drawn = picture(outcome.figure, outcome.check)
    except Exception as error:  # noqa: BLE001  # a picture that cannot be drawn does not take the report with it
        drawn = f'<p class="muted">The picture could not be drawn: {escape(f"{type(error).__name__}: {error}")}</p>'
    caption = f"<figcaption>{_inline(outcome.figure.caption)}</figcaption>" if outcome.figure.caption else ""
    return f"<figure>{title}{drawn}{caption}</figure>\n"


def _more(outcome: Outcome, entry: Entry | None, record: Record) -> str:
    """All numbers, and what the check is about."""
    rows = list(_numbers(outcome, record))
    table = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    about = "".join(
        f"<h4>{title}</h4>{_block(text)}" for title, text in (entry.sections.items() if entry else ()) if title != "Causes"
    )
    return (
        f'<details class="more"><summary>numbers, and how they are measured</summary><table class="numbers">{table}</table>'
        f"{about}</details>\n"
    )


def _numbers(outcome: Outcome, record: Record) -> Iterator[tuple[str, str]]:
    if outcome.statistic is not None:
        yield "statistic", _number(outcome.statistic)
    if outcome.null:
        yield "null", outcome.null
    if outcome.threshold is not None:
        yield "threshold", _number(outcome.threshold)
    if outcome.p_value is not None:
        yield "p-value", _number(outcome.p_value)
    for name, value in outcome.details.items():
        text = _number(value) if isinstance(value, float) else str(value)
        yield name.replace("_", " "), text if len(text) <= 300 else f"{text[:300]} …"
    yield "time", f"{record.report.spent.get(outcome.check, 0.0):.2f} s"


def _skipped(outcomes: Iterable[Outcome]) -> str:
    """Compact: one line for each reason, with the checks that share it."""
    reasons: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        reasons.setdefault((outcome.why, outcome.next_step), []).append(outcome)
    lines = "".join(
        f"<li>{', '.join(f'<span id={_quoted(_anchor(each))}>{each.check}</span>' for each in together)}: {_inline(why)}"
        f"{'; ' + _inline(step) if step else ''}</li>"
        for (why, step), together in reasons.items()
    )
    return f'<ul class="skipped" aria-label="skipped">{lines}</ul>\n' if lines else ""


# ------------------------------------------------------------------------------------------------------------------ small parts
def _of_stage(stage: Stage, record: Record) -> list[Outcome]:
    """The outcomes of a stage, in gate order; what the catalogue does not know counts to the first stage."""
    found = []
    for outcome in record.report.outcomes:
        entry = record.catalogue.get(outcome.check)
        if (entry.stage if entry else Stage.APPARATUS) is stage:
            found.append(outcome)
    return found


def _anchor(outcome: Outcome) -> str:
    return f"check-{outcome.check}"


def _class(verdict: str) -> str:
    return verdict.lower()


def _quoted(text: str) -> str:
    return f'"{text}"'


def _number(value: float) -> str:
    return f"{value:.4g}"


def _inline(text: str) -> str:
    """Escaped, with `code` set as such."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _block(text: str) -> str:
    """A section of a docstring: paragraphs and flat lists."""
    parts = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.lstrip().startswith("- "):
            items = re.split(r"^- ", paragraph, flags=re.MULTILINE)[1:]
            parts.append("<ul>" + "".join(f"<li>{_inline(_joined(item))}</li>" for item in items) + "</ul>")
        else:
            parts.append(f"<p>{_inline(_joined(paragraph))}</p>")
    return "".join(parts)


def _joined(text: str) -> str:
    return " ".join(text.split())


def _footer(record: Record) -> str:
    version = record.versions.get("mldebug-lint", "")
    return (
        f"<footer>mldebug-verify {escape(version)}. A passed check found nothing wrong of its kind; a skipped check "
        "says nothing.</footer>\n"
    )
