"""Lint programs whose author knew nothing of the linter but its list of rules, and count what it finds and what it makes up.

A batch is a folder of `fixtures/blind/`. It holds `programs/`, the author's verdict on each in `index.jsonl`, and what the linter
said on the first look in `first.json`, which is written once. Where a finding of that look is neither at a labelled place nor
plainly wrong, `judged.jsonl` says what somebody who read the program thinks of it.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

from mldbg.verify.statistics import clopper_pearson

ROOT = Path(__file__).resolve().parent.parent
BATCHES = ROOT / "fixtures" / "blind"
PAGE = ROOT / "docs" / "accuracy.md"
_TABLE = re.compile(r"(<!-- accuracy: .*?-->\n).*?(<!-- end -->)", re.DOTALL)


SPLIT_OFF = {"clip-after-step": "step-before-backward", "statistic-before-split": "fit-before-split"}
"""Rules that report what another one reported before, by whose name the labels of those days call it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program, and what its author says of it.

    Attributes:
        rule: the rule that claims its bug; None of a right program.
        also: other rules under whose name its author would accept the report, too.
        places: where a reviewer would accept the finding: `file:line`, or `file:cell N:line`.
    """

    name: str
    rule: str | None
    places: frozenset[str]
    about: str
    also: frozenset[str] = frozenset()

    def claims(self, rule: str) -> bool:
        """Whether a finding of a rule is about its bug."""
        names = {rule, SPLIT_OFF.get(rule, rule)}
        return self.rule is not None and (self.rule in names or not names.isdisjoint(self.also))


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """A finding of the linter in a program."""

    program: str
    place: str
    rule: str


@dataclass(frozen=True, slots=True)
class Look:
    """What the linter said of a batch: its findings, and the programs that it could not check."""

    made: str
    findings: tuple[Said, ...]
    unchecked: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """How the findings of one look compare with the labels.

    A bug is found by a finding of its rule at one of its places. Any other finding is false, unless a person judged it true.
    """

    found: frozenset[str]
    bugs: int
    true: int
    false: tuple[Said, ...]

    def recall(self) -> str:
        return share(len(self.found), self.bugs)

    def precision(self) -> str:
        return share(self.true, self.true + len(self.false))


def share(hits: int, trials: int) -> str:
    """A proportion with the exact interval of Clopper and Pearson at 95 %."""
    if not trials:
        return "none"
    low, high = clopper_pearson(hits, trials)
    return f"{hits}/{trials} = {hits / trials:.2f} ({low:.2f}-{high:.2f})"


# --- a batch ---


def programs(batch: Path) -> list[Program]:
    rows = [json.loads(line) for line in (batch / "index.jsonl").read_text("utf-8").splitlines() if line.strip()]
    return [
        Program(
            row["program"],
            row.get("rule"),
            frozenset(row.get("places", ())),
            row.get("why") or row.get("trap", ""),
            frozenset(row.get("also", ())),
        )
        for row in rows
    ]


def judged_true(batch: Path) -> frozenset[Said]:
    """Findings off the labelled places that a person who read the program calls true."""
    file = batch / "judged.jsonl"
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()] if file.is_file() else []
    return frozenset(Said(row["program"], row["place"], row["rule"]) for row in rows if row["verdict"] == "true")


def first_look(batch: Path) -> Look | None:
    file = batch / "first.json"
    if not file.is_file():
        return None
    stored = json.loads(file.read_text("utf-8"))
    return Look(stored["made"], tuple(Said(**each) for each in stored["findings"]), tuple(stored["unchecked"]))


def look(batch: Path) -> Look:
    """Lint each program as its author would: in a folder of its own, with no configuration."""
    findings: list[Said] = []
    unchecked: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for program in programs(batch):
            copy = Path(folder) / program.name
            source = batch / "programs" / program.name
            if source.is_dir():
                copytree(source, copy)
            else:
                copy.write_bytes(source.read_bytes())
            report = linted(copy)
            found = {Said(program.name, place(source, finding), finding["rule"]) for finding in report["findings"]}
            findings += sorted(found)
            if report["errors"]:
                unchecked.append(program.name)
    return Look(f"{datetime.now(UTC):%Y-%m-%d}", tuple(findings), tuple(unchecked))


def linted(program: Path) -> Mapping[str, list[dict[str, object]]]:
    folder, target = (program, ".") if program.is_dir() else (program.parent, program.name)
    command = [sys.executable, "-P", "-m", "mldbg.lint", "--jobs", "1", "--format", "json", "--exit-zero", target]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False)
    if not done.stdout.strip():
        return {"findings": [], "errors": [{"message": done.stderr.strip()}]}
    report: Mapping[str, list[dict[str, object]]] = json.loads(done.stdout)
    return report


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT / "src")}


def place(program: Path, finding: Mapping[str, object]) -> str:
    """Where a finding stands, as the labels say it; they count the cells with code only."""
    path = str(finding["path"])
    file = program if path == program.name else program / path
    inside = path if path == program.name else f"{program.name}/{path}"
    if "cell" not in finding:
        return f"{inside}:{finding['line']}"
    kinds = [cell["cell_type"] for cell in json.loads(file.read_text("utf-8"))["cells"]]
    return f"{inside}:cell {kinds[: int(str(finding['cell']))].count('code')}:{finding['line']}"


def count(batch: Path, seen: Look) -> Count:
    known = {program.name: program for program in programs(batch)}
    judged = judged_true(batch)
    found: set[str] = set()
    false: list[Said] = []
    true = 0
    for said in seen.findings:
        program = known[said.program]
        if program.claims(said.rule) and said.place in program.places:
            found.add(said.program)
            true += 1
        elif said in judged:
            true += 1
        else:
            false.append(said)
    return Count(frozenset(found), sum(program.rule is not None for program in known.values()), true, tuple(false))


# --- the page and the command ---


def table(counts: Sequence[tuple[Path, Look, Count, Count]]) -> str:
    lines = [
        "| batch | programs | first look | recall then | precision then | recall now | precision now |",
        "|---|---|---|---|---|---|---|",
    ]
    for batch, seen, then, now in counts:
        right = len(programs(batch)) - then.bugs
        lines.append(
            f"| {batch.name} | {then.bugs} with a bug, {right} right | {seen.made} | {then.recall()} | {then.precision()} "
            f"| {now.recall()} | {now.precision()} |"
        )
    return "\n".join([*lines, ""])


def by_rule(counts: Sequence[tuple[Path, Look, Count, Count]]) -> str:
    bugs: Counter[str] = Counter()
    then: Counter[str] = Counter()
    now: Counter[str] = Counter()
    for batch, _, first, latest in counts:
        for program in programs(batch):
            if program.rule is not None:
                bugs[program.rule] += 1
                then[program.rule] += program.name in first.found
                now[program.rule] += program.name in latest.found
    lines = ["| rule | bugs | found at first look | found now |", "|---|---|---|---|"]
    lines += [f"| {rule} | {bugs[rule]} | {then[rule]} | {now[rule]} |" for rule in sorted(bugs)]
    return "\n".join([*lines, ""])


def _details(batch: Path, counted: Count) -> Iterator[str]:
    for program in programs(batch):
        if program.rule is not None and program.name not in counted.found:
            yield f"  missed  {program.rule}  {', '.join(sorted(program.places))}: {program.about}"
    for said in counted.false:
        yield f"  false   {said.rule}  {said.place}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batches", nargs="*", help="names of batches (default: all, and then docs/accuracy.md is written)")
    parser.add_argument("--details", action="store_true", help="list what is missed and what is false")
    options = parser.parse_args(arguments)
    counts: list[tuple[Path, Look, Count, Count]] = []
    for batch in sorted(BATCHES.iterdir(), key=lambda each: each.name):
        if options.batches and batch.name not in options.batches:
            continue
        latest = look(batch)
        first = first_look(batch)
        if first is None:
            first = latest
            (batch / "first.json").write_text(json.dumps(asdict(first), indent=1) + "\n", "utf-8")
        then, now = count(batch, first), count(batch, latest)
        counts.append((batch, first, then, now))
        print(f"{batch.name}: first look recall {then.recall()}, precision {then.precision()}")
        print(f"{' ' * len(batch.name)}  now        recall {now.recall()}, precision {now.precision()}")
        if latest.unchecked:
            print(f"  not checked: {', '.join(latest.unchecked)}")
        if options.details:
            print("\n".join(_details(batch, now)))
    if not options.batches:
        text = PAGE.read_text("utf-8")
        PAGE.write_text(_TABLE.sub(lambda match: f"{match[1]}\n{table(counts)}\n{by_rule(counts)}\n{match[2]}", text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
