"""Try six other linters on the blind batches: the bugs at which they report anything, and the right programs they complain of.

Each rival is installed into an environment of its own under `.rivals/` and sees a copy of each program in a folder of its own,
with the rules that are on when a user just runs it; nothing of it is imported here. The labels are those of `accuracy.py`. Rivals
do not have our rules, so whatever one says counts: a bug is *met* by any report at one of its places, and *touched* by any report
in the program, which is all that can be asked of those that name no line.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree

from accuracy import BATCHES, ROOT, Program, count, first_look, programs

STORE = ROOT / ".rivals"
OWN = "mldebug-lint, first look"
LIMIT = 120.0
"""Seconds for one command."""

Report = tuple[str, int]
"""A file, relative to the program's folder, and a line; 0 where the rival names none."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A linter.

    Attributes:
        package: what is installed.
        reports: what it says of the files in a folder, given the folder of its commands.
    """

    package: str
    reports: Callable[[Path, Path, Sequence[str]], Iterator[Report]]

    @property
    def name(self) -> str:
        return self.package.replace("==", " ")


def _said(command: Sequence[str | Path], folder: Path) -> str:
    """What a command prints; nothing where it takes too long."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _torchfix(commands: Path, folder: Path, files: Sequence[str]) -> Iterator[Report]:
    for match in re.finditer(r"^(\S+?\.py):(\d+):\d+: TOR", _said([commands / "torchfix", "."], folder), re.MULTILINE):
        yield match[1], int(match[2])


def _waldean(commands: Path, folder: Path, files: Sequence[str]) -> Iterator[Report]:
    for file in files:
        output = _said([commands / "waldean", "check", "--format", "sarif", file], folder)
        for run in json.loads(output)["runs"] if output.strip().startswith("{") else ():
            for result in run["results"]:
                for location in result["locations"]:
                    yield file, location["physicalLocation"].get("region", {}).get("startLine", 0)


def _mlguard(commands: Path, folder: Path, files: Sequence[str]) -> Iterator[Report]:
    output = _said([commands / "mlguard-lint", "--format", "json", "."], folder)
    for row in json.loads(output) if output.strip().startswith("[") else ():
        yield row["path"], row["line"]


def _leaklens(commands: Path, folder: Path, files: Sequence[str]) -> Iterator[Report]:
    output = _said([commands / "leaklens", "--json", "--scan", *files], folder)
    for row in json.loads(output)["findings"] if output.strip().startswith("{") else ():
        file, _, line = row["column"].rpartition(":")
        yield file, int(line) if line.isdigit() else 0


def _mldoct(commands: Path, folder: Path, files: Sequence[str]) -> Iterator[Report]:
    for file in files:
        for _ in re.finditer(r"│ (?:CRITICAL|WARNING|HIGH|INFO)", _said([commands / "mldoctor", "check", file], folder)):
            yield file, 0


def _smells(commands: Path, folder: Path, files: Sequence[str]) -> Iterator[Report]:
    with tempfile.TemporaryDirectory() as out:
        _said([commands / "ml_smell_detector", "analyze", ".", "--output-dir", out], folder)
        table = Path(out, "analysis_report.csv")
        for row in csv.DictReader(table.open(encoding="utf-8")) if table.is_file() else ():
            lines = [int(number) for number in re.findall(r"Line (\d+)", row["Location"] or "")]
            yield from ((row["File Path"], line) for line in lines or [0])


RIVALS = (
    Rival("torchfix==0.7.0", _torchfix),
    Rival("waldean==0.6.0", _waldean),
    Rival("mlguard-lint==0.1.1", _mlguard),
    Rival("leaklens-ml==0.11.0", _leaklens),
    Rival("mldoct==1.0.0", _mldoct),
    Rival("ml-code-smell-detector==0.1.2", _smells),
)


def installed(rival: Rival, store: Path) -> Path:
    """The folder of a rival's commands, whose environment is made where it is missing."""
    home = store / rival.package.partition("==")[0]
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-c", ROOT / "constraints.txt", rival.package], check=True)
        (home / "ready").touch()
    return home / "bin"


def heard(rival: Rival, commands: Path, batch: Path, program: Program) -> frozenset[str]:
    """What a rival says of a program, as `file:line`."""
    source = batch / "programs" / program.name
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / "program"
        if source.is_dir():
            copytree(source, folder)
        else:
            folder.mkdir()
            (folder / program.name).write_bytes(source.read_bytes())
        files = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.py"))
        if not files:
            return frozenset()
        inside = f"{program.name}/" if source.is_dir() else ""
        found = [(str(path).removeprefix("./"), line) for path, line in rival.reports(commands, folder, files)]
    return frozenset(f"{inside}{path.removeprefix(str(folder) + '/')}:{line}" for path, line in found)


@dataclass(frozen=True, slots=True)
class Tally:
    """Figures of one tool: bugs met and touched, and right programs with a report."""

    met: int = 0
    touched: int = 0
    bugs: int = 0
    spoken: int = 0
    right: int = 0

    def __add__(self, other: Tally) -> Tally:
        pairs = ((getattr(self, name), getattr(other, name)) for name in self.__slots__)
        return Tally(*(one + two for one, two in pairs))

    def row(self, name: str) -> str:
        return f"| {name} | {self.met}/{self.bugs} | {self.touched}/{self.bugs} | {self.spoken}/{self.right} |"


def tally(program: Program, said: frozenset[str]) -> Tally:
    if program.rule is None:
        return Tally(spoken=bool(said), right=1)
    return Tally(met=not said.isdisjoint(program.places), touched=bool(said), bugs=1)


def own(batch: Path) -> Tally:
    """The figures of mldebug-lint on its first look, counted as those of the others."""
    seen = first_look(batch)
    assert seen is not None, f"{batch.name} was never looked at"
    assert count(batch, seen).bugs
    places: dict[str, set[str]] = {}
    for said in seen.findings:
        places.setdefault(said.program, set()).add(said.place)
    return sum((tally(program, frozenset(places.get(program.name, ()))) for program in programs(batch)), Tally())


def table(batches: Sequence[Path], store: Path, jobs: int) -> Iterator[str]:
    """The rows of the table, one a tool."""
    yield "| tool | a report at the bug | a report in the program with the bug | right programs with a report |"
    yield "|---|---|---|---|"
    yield sum(map(own, batches), Tally()).row(OWN)
    for rival in RIVALS:
        commands = installed(rival, store)
        total = Tally()
        for batch in batches:
            known = programs(batch)
            with ThreadPoolExecutor(jobs) as pool:
                said = list(pool.map(lambda program: heard(rival, commands, batch, program), known))  # noqa: B023
            total += sum(map(tally, known, said), Tally())
        yield total.row(rival.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batches", nargs="+", help="names of batches")
    parser.add_argument("--store", type=Path, default=STORE, help="folder for the environments (default: .rivals/)")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    for line in table([BATCHES / name for name in options.batches], options.store.resolve(), options.jobs):
        print(line, flush=True)


if __name__ == "__main__":
    main()
