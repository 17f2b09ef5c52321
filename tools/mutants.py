"""Plant the bug of each rule in right programs, wherever it fits, and count what the linter finds and what it makes up.

The programs are in `fixtures/clean/`: nothing is to be found in them. A mutator (`mutants_*.py`) is written from what a rule
claims, not from what it can see. Mutants live in memory and in temporary folders.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import mutants_data
import mutants_losses
import mutants_training
import mutants_usage
from mutants_places import MUTATORS, Mutant, Mutator, Program, mutants_of, programs

from mldbg.lint import registry, run
from mldbg.lint.config import Config
from mldbg.lint.run import Task
from mldbg.verify.statistics import clopper_pearson

ROOT = Path(__file__).resolve().parent.parent
CLEAN = ROOT / "fixtures" / "clean"
PAGE = ROOT / "docs" / "accuracy.md"
MOST = 3
FAMILIES = (mutants_losses, mutants_training, mutants_data, mutants_usage)
_TABLE = re.compile(r"(<!-- mutants: .*?-->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """A finding: the file inside of its program, the line, and the rule."""

    file: str
    line: int
    rule: str


@dataclass(frozen=True, slots=True)
class Judged:
    """What the linter said of a mutant.

    Attributes:
        found: whether its rule, or another that may rightly report it, did so at one of the places.
        by: the rules that did.
        false: what the original does not have and nobody can mean.
    """

    name: str
    rule: str
    mutator: str
    places: frozenset[tuple[str, int]]
    found: bool
    by: frozenset[str]
    false: tuple[Said, ...]


# --- linting ---


def linted(texts: Mapping[str, str]) -> frozenset[Said]:
    """What all rules say of a program that is alone in its folder."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, "utf-8")
        known = registry.rules()
        target = Path(folder) if len(texts) > 1 else Path(folder) / next(iter(texts))
        result = run.check_files([target], Task(Config(root=Path(folder)), known, known), jobs=1)
    if result.problems:
        raise RuntimeError(f"{sorted(texts)}: {result.problems}")
    return frozenset(Said(Path(finding.span.path).name, finding.span.line, finding.rule) for finding in result.findings)


@cache
def on_by_default() -> frozenset[str]:
    return frozenset(rule.name for rule in registry.rules() if registry.is_on(rule))


def said_of(program: Program) -> frozenset[Said]:
    return linted({source.name: source.text for source in program.sources})


def judged(mutant: Mutant, before: frozenset[Said]) -> Judged:
    """Compare what is said of a mutant with its places, and with what is said of the original."""
    claimed = {mutant.mutator.rule, *mutant.mutator.also}
    old = {
        (said.file, said.rule, _line_of(said, {source.name: source.text for source in mutant.program.sources})) for said in before
    }
    by: set[str] = set()
    false: list[Said] = []
    for said in sorted(linted(mutant.texts)):
        if said.rule in claimed and (said.file, said.line) in mutant.places:
            by.add(said.rule)
        elif (said.file, said.rule, _line_of(said, mutant.texts)) not in old and said.rule in claimed | on_by_default():
            false.append(said)
    return Judged(mutant.name, mutant.mutator.rule, mutant.mutator.name, mutant.places, bool(by), frozenset(by), tuple(false))


def _unjudged(mutant: Mutant) -> Judged:
    """A mutant of a rule that does not exist."""
    return Judged(mutant.name, mutant.mutator.rule, mutant.mutator.name, mutant.places, found=False, by=frozenset(), false=())


def _line_of(said: Said, texts: Mapping[str, str]) -> str:
    return texts[said.file].split("\n")[said.line - 1].strip()


def judged_of(program: Program, mutators: Sequence[Mutator], most: int = MOST) -> tuple[list[Said], list[Judged]]:
    """The false alarms in a program, and what is said of its mutants."""
    before = said_of(program)
    known = {rule.name for rule in registry.rules()}
    found = [
        judged(mutant, before) if mutator.rule in known else _unjudged(mutant)
        for mutator in mutators
        for mutant in mutants_of(program, mutator, most)
    ]
    return sorted(said for said in before if said.rule in on_by_default()), found


def _judged_by_name(name: str, names: frozenset[str]) -> tuple[list[Said], list[Judged]]:
    """For a worker: programs and mutators stay where they are."""
    program = next(each for each in _programs() if each.name == name)
    return judged_of(program, [each for each in MUTATORS if each.name in names])


@cache
def _programs() -> list[Program]:
    return programs(CLEAN)


# --- the table ---


def share(hits: int, trials: int) -> str:
    """A proportion with the exact interval of Clopper and Pearson at 95 %."""
    if not trials:
        return "none"
    low, high = clopper_pearson(hits, trials)
    return f"{hits / trials:.2f} ({low:.2f}-{high:.2f})"


def table(alarms: Mapping[str, Sequence[Said]], mutants: Sequence[Judged]) -> str:
    silent = sum(not said for said in alarms.values())
    known = {rule.name: rule.group.value for rule in registry.rules()}
    existing = [mutant for mutant in mutants if mutant.rule in known]
    found, false = sum(mutant.found for mutant in existing), sum(len(mutant.false) for mutant in existing)
    hit = sum(len(mutant.by) for mutant in existing)
    noise = sum(map(len, alarms.values()))
    summary = (
        f"{len(alarms)} right programs, {silent} of them without a finding of the rules that are on by default; "
        f"{len(mutants)} mutants, {len(existing)} of them with the bug of a rule that exists. "
        f"Recall {share(found, len(existing))}, precision {share(hit, hit + false + noise)}."
    )
    lines = [
        summary,
        "",
        "| rule | group | mutants | programs | found | recall | false |",
        "|---|---|---|---|---|---|---|",
    ]
    for rule in sorted({mutator.rule for mutator in MUTATORS}):
        own = [mutant for mutant in mutants if mutant.rule == rule]
        if not own:
            continue
        sizes = f"{len(own)} | {len({mutant.name.partition(':')[0] for mutant in own})}"
        if rule in known:
            hits = sum(mutant.found for mutant in own)
            said = sum(len(mutant.false) for mutant in own)
            lines.append(f"| {rule} | {known[rule]} | {sizes} | {hits} | {share(hits, len(own))} | {said} |")
        else:
            lines.append(f"| {rule} | no such rule | {sizes} | | | |")
    return "\n".join([*lines, ""])


def details(alarms: Mapping[str, Sequence[Said]], mutants: Iterable[Judged]) -> Iterator[str]:
    for program, found in alarms.items():
        yield from (f"  alarm   {said.rule}  {program}: {said.file}:{said.line}" for said in found)
    known = {rule.name for rule in registry.rules()}
    for mutant in mutants:
        if not mutant.found and mutant.rule in known:
            places = ", ".join(f"{file}:{line}" for file, line in sorted(mutant.places))
            yield f"  missed  {mutant.rule}  {mutant.name}  {places}"
        yield from (f"  false   {said.rule}  {mutant.name}  {said.file}:{said.line}" for said in mutant.false)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rule", action="append", help="only this rule's mutants (default: all, and then docs/accuracy.md is written)"
    )
    parser.add_argument("--details", action="store_true", help="list what is missed and what is false")
    parser.add_argument("--show", action="store_true", help="print the mutants that are missed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of processes")
    options = parser.parse_args(arguments)
    chosen = [mutator for mutator in MUTATORS if not options.rule or mutator.rule in options.rule]
    if not chosen:
        parser.error(f"no mutator plants the bug of {', '.join(options.rule)}")
    names = frozenset(mutator.name for mutator in chosen)
    alarms: dict[str, list[Said]] = {}
    mutants: list[Judged] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        futures = {program.name: pool.submit(_judged_by_name, program.name, names) for program in _programs()}
        for name, future in futures.items():
            alarms[name], found = future.result()
            mutants += found
    print(table(alarms, mutants))
    if options.details:
        print("\n".join(details(alarms, mutants)))
    if options.show:
        print("\n".join(_shown(chosen, [mutant.name for mutant in mutants if not mutant.found])))
    if not options.rule:
        text = PAGE.read_text("utf-8")
        PAGE.write_text(_TABLE.sub(lambda match: f"{match[1]}\n{table(alarms, mutants)}\n{match[2]}", text), "utf-8")
    return 0


def _shown(mutators: Sequence[Mutator], names: Sequence[str]) -> Iterator[str]:
    from difflib import unified_diff

    for mutant in (each for mutator in mutators for program in _programs() for each in mutants_of(program, mutator, MOST)):
        if mutant.name in names:
            for source in mutant.program.sources:
                before, after = source.text.splitlines(), mutant.texts[source.name].splitlines()
                yield from unified_diff(before, after, mutant.name, source.name, n=2, lineterm="")


if __name__ == "__main__":
    sys.exit(main())
