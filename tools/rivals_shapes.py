"""Try torchtyc and pyrefly on the blind batches about shapes: print the bugs they find, and the right programs they complain of.

Each rival is installed into an environment of its own under `.rivals/`, with a torch beside it, and sees a copy of each program;
nothing of it is imported here. The labels are those of `accuracy.py`. A bug counts as found by any error at one of its places,
whatever the error says.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copytree

from accuracy import BATCHES, ROOT, Program, count, first_look, programs

STORE = ROOT / ".rivals"
OWN = "mldebug-lint, first looks"
SHAPES = ("2026-11-29-10", "2026-11-29-11", "2026-11-29-12")
"""The batches whose programs are about shapes; those that are not there are left out."""
TORCH = "torch==2.13.0"
NEEDED = ("jaxtyping", "einops", "beartype", "numpy", "pandas", "scikit-learn", "scipy")
"""What the programs import."""
TENSORS = re.compile(r"tensor|shape|\btorch\b|\bdim(ension)?s?\b|broadcast|^\S+-(error|mismatch) |^tuple-arity", re.IGNORECASE)
"""What an error about tensors, and not about some other type, holds; those of torchtyc all are, which the last two see to."""
IMPORTS = re.compile(r"ModuleNotFoundError|No module named|attempted relative import|missing-(import|source|module-attribute)")
"""What only says that something cannot be imported."""
UNREAD = "invalid-annotation"
"""The error of pyrefly at an annotation of jaxtyping whose form it does not support; it says nothing of the program."""


@dataclass(frozen=True, slots=True)
class Rival:
    """A tool in one of its ways of use.

    Attributes:
        column: its name in the table.
        home: the environment that it is installed in.
        packages: what is installed there beside torch and what the programs need.
        commands: the command lines that check a program, made of the environment and of the program's folder.
        declared: whether the annotated functions of the copy are put under `@static_jaxtyping` first.
    """

    column: str
    home: str
    packages: tuple[str, ...]
    commands: Callable[[Path, Path], Iterator[list[str]]]
    declared: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Report:
    """An error that a rival reports."""

    place: str
    rule: str
    message: str

    def counts(self) -> bool:
        return self.rule != UNREAD and not IMPORTS.search(f"{self.rule} {self.message}")

    def of_tensors(self) -> bool:
        return bool(TENSORS.search(f"{self.rule} {self.message}"))


@dataclass(frozen=True, slots=True)
class Heard:
    """What a rival says of a program, and what kept it from saying more."""

    program: str
    reports: tuple[Report, ...]
    notes: tuple[str, ...]


# ------------------------------------------------------------------------------------------------------------------- commands
def torchtyc_check(home: Path, folder: Path) -> Iterator[list[str]]:
    """The way of its README: import each file and trace each annotated function."""
    python = str(home / "bin" / "python")
    yield [str(home / "bin" / "torchtyc"), "check", "--format", "json", "--python", python, "--timeout", "60", "."]


def torchtyc_run(home: Path, folder: Path) -> Iterator[list[str]]:
    """`check`, and then what a user would start, on meta tensors: each file with a `__main__` block, or the only file."""
    yield from torchtyc_check(home, folder)
    python = str(home / "bin" / "python")
    files = sorted(folder.rglob("*.py"))
    for file in [file for file in files if "__main__" in file.read_text("utf-8")] or files[: len(files) == 1]:
        target = str(file.relative_to(folder))
        yield [str(home / "bin" / "torchtyc"), "run", "--format", "json", "--python", python, "--timeout", "60", target]


def pyrefly_check(home: Path, folder: Path) -> Iterator[list[str]]:
    """A project with an empty configuration: the preset is `default`, and packages in the folder are found.

    Shapes are on as soon as `shape_extensions`, which the stubs bring, is found.
    """
    (folder / "pyrefly.toml").touch()
    python = str(home / "bin" / "python")
    options = ["--python-interpreter-path", python, "--output-format", "json", "--summary=none"]
    yield [str(home / "bin" / "pyrefly"), "check", *options]


_PYREFLY = ("pyrefly==1.5.0", "pyrefly-torch-stubs==1.4.0")
RIVALS = (
    Rival("torchtyc check", "torchtyc", ("torchtyc==0.5.0",), torchtyc_check),
    Rival("torchtyc check and run", "torchtyc", ("torchtyc==0.5.0",), torchtyc_run),
    Rival("pyrefly with torch stubs", "pyrefly", _PYREFLY, pyrefly_check),
    Rival("pyrefly with torch stubs, annotations declared", "pyrefly", _PYREFLY, pyrefly_check, declared=True),
    Rival("pyrefly 1.4.0 with torch stubs", "pyrefly-1.4.0", ("pyrefly==1.4.0", _PYREFLY[1]), pyrefly_check),
    Rival("pyrefly without torch stubs", "pyrefly-plain", _PYREFLY[:1], pyrefly_check),
)


# ---------------------------------------------------------------------------------------------------------------- declarations
_DTYPES = re.compile(r"(Float|Int|UInt|Bool|Num|Real|Inexact|Integer|Complex|Shaped|Key)\d*|BFloat16")
_AXIS = re.compile(r"[?#]*(\*?)[?#]*(?:\w+=)?([A-Za-z]\w*)(?:[+-]1)?")


def axes(function: ast.FunctionDef) -> list[str]:
    """The names of axes in the annotations of jaxtyping that a function's head holds; an axis of many begins with a star."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    heads = [argument.annotation for argument in every] + [function.returns]
    nodes = [node for head in heads if head is not None for node in ast.walk(head)]
    found: dict[str, str] = {}
    for node in nodes:
        match node:
            case ast.Subscript(ast.Name(dtype) | ast.Attribute(attr=dtype), ast.Tuple([_, ast.Constant(str(text))])):
                for axis in map(_AXIS.fullmatch, text.split() if _DTYPES.fullmatch(dtype) else ()):
                    if axis:
                        found.setdefault(axis[2], axis[1])
    return [star + name for name, star in found.items()]


def declare(file: Path) -> list[int]:
    """Put each annotated function of a file under `@static_jaxtyping`; return which line each line was."""
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    new: dict[int, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and (names := axes(node)):
            new[node.lineno] = f'{" " * node.col_offset}@static_jaxtyping("{" ".join(names)}")'
    if new:
        late = [each for each in tree.body if not (isinstance(each, ast.ImportFrom) and each.module == "__future__")]
        late = late[1:] if ast.get_docstring(tree) is not None else late
        first = min([late[0].lineno, *(each.lineno for each in getattr(late[0], "decorator_list", ()))])
        new[first] = "\n".join(["from shape_extensions import static_jaxtyping", *([new[first]] if first in new else [])])
    lines, old = [], []
    for number, line in enumerate(text.splitlines(), 1):
        added = new[number].split("\n") if number in new else []
        lines += [*added, line]
        old += [number] * (len(added) + 1)
    file.write_text("\n".join([*lines, ""]), "utf-8")
    return old


# -------------------------------------------------------------------------------------------------------------------- running
def installed(rival: Rival, store: Path) -> Path:
    """A rival's environment, made where it is missing; torch comes first, so that its plain build is not fetched."""
    home = store / rival.home
    if not (home / "ready").exists():
        python = home / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
        subprocess.run([*pip, TORCH], check=True)
        subprocess.run([*pip, *rival.packages, *NEEDED, TORCH], check=True)
        (home / "ready").touch()
    return home


def heard(rival: Rival, home: Path, batch: Path, program: Program, limit: float) -> Heard:
    """Check a copy of a program, in a folder of its own."""
    source = batch / "programs" / program.name
    reports: set[Report] = set()
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent).resolve() / Path(program.name).stem
        if source.is_dir():
            copytree(source, folder)
        else:
            folder.mkdir()
            (folder / program.name).write_bytes(source.read_bytes())
        inside = f"{program.name}/" if source.is_dir() else ""
        old = {file: declare(file) for file in folder.rglob("*.py")} if rival.declared else {}
        for command in rival.commands(home, folder):
            output, note = ran(command, folder, limit)
            notes += [note] if note else []
            for path, report in read(output):
                file = (folder / path).resolve()
                place = file.relative_to(folder) if file.is_relative_to(folder) else file
                line = old[file][int(report.place) - 1] if file in old else report.place
                reports.add(Report(f"{inside}{place}:{line}", report.rule, report.message))
            notes += stops(output)
    return Heard(program.name, tuple(sorted(reports)), tuple(notes))


def ran(command: Sequence[str], folder: Path, limit: float) -> tuple[dict[str, object], str]:
    """The JSON that a command writes, and a note where it writes none or takes too long."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYREFLY_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            output, errors = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return {}, f"{command[1]}: stopped after {limit:.0f} s"
    try:
        return json.loads(output), ""
    except json.JSONDecodeError:
        return {}, f"{command[1]}: {(errors or output).strip()[-300:]}"


def read(output: Mapping[str, object]) -> Iterator[tuple[str, Report]]:
    """The errors in what torchtyc (`diagnostics`, lines counted from 0) or pyrefly (`errors`, lines counted from 1) writes."""
    for key, first, rule, message in (("diagnostics", 1, "rule", "message"), ("errors", 0, "name", "description")):
        for row in output.get(key, ()):
            if row["severity"] == "error":
                yield row["path"], Report(str(row["line"] + first), row[rule], row[message])


def stops(output: Mapping[str, object]) -> Iterator[str]:
    """Why torchtyc could not check a file, or not run it to its end."""
    if output.get("worker_error"):
        yield f"worker: {output['worker_error']}"
    for row in output.get("run_status", ()):
        if row["state"] not in ("completed", "error"):
            yield f"run {row['state']} at line {row['line'] + 1 if row['line'] is not None else '?'}: {row['reason']}"


# ---------------------------------------------------------------------------------------------------------------------- table
@dataclass(frozen=True, slots=True)
class Tally:
    """Figures of one rival in some programs."""

    found: int = 0
    bugs: int = 0
    spoken: int = 0
    of_tensors: int = 0
    right: int = 0
    beside: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(**{name: value + getattr(other, name) for name, value in asdict(self).items()})

    def cells(self) -> list[str]:
        spoken = f"{self.spoken}/{self.right}" + (f" ({self.of_tensors} about tensors)" if self.of_tensors < self.spoken else "")
        return [f"{self.found}/{self.bugs}", spoken, str(self.beside)]


def tally(program: Program, said: Heard) -> Tally:
    """A program's figures; a report beside the places of a bug counts as false only if it is about tensors."""
    reports = [report for report in said.reports if report.counts()]
    tensors = any(report.of_tensors() for report in reports)
    if program.rule is None:
        return Tally(spoken=bool(reports), of_tensors=tensors, right=1)
    beside = sum(report.of_tensors() and report.place not in program.places for report in reports)
    return Tally(found=any(report.place in program.places for report in reports), bugs=1, beside=beside)


def own(batch: Path) -> Tally:
    """The figures of mldebug-lint on its first look; a bug counts as found only under a rule that its label names."""
    seen = first_look(batch)
    if seen is None:
        return Tally()
    right = {program.name for program in programs(batch) if program.rule is None}
    counted = count(batch, seen)
    spoken = {said.program for said in counted.false} & right
    beside = sum(said.program not in right for said in counted.false)
    return Tally(len(counted.found), counted.bugs, len(spoken), len(spoken), len(right), beside)


def table(tallies: Mapping[tuple[str, str], Tally], batches: Sequence[str], columns: Sequence[str]) -> str:
    lines = ["| rival | batch | bugs found | right programs with a report | reports beside the bug |", "|---|---|---|---|---|"]
    for column in columns:
        lines += [f"| {' | '.join([column, batch, *tallies[column, batch].cells()])} |" for batch in batches]
        total = sum((tallies[column, batch] for batch in batches), Tally())
        lines.append(f"| {' | '.join(f'**{cell}**' for cell in [column, 'all', *total.cells()])} |")
    return "\n".join(lines)


def details(program: Program, said: Heard) -> Iterator[str]:
    kind = program.rule or "right"
    yield f"  {program.name} ({kind}): {', '.join(said.notes) or 'checked'}"
    for report in said.reports:
        mark = "found" if report.place in program.places else "false" if report.of_tensors() or not program.rule else "other"
        mark = mark if report.counts() else "not counted"
        yield f"    {mark}  {report.place}  {report.rule}  {' '.join(report.message.split())[:200]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("batches", nargs="*", default=[name for name in SHAPES if (BATCHES / name / "index.jsonl").is_file()])
    parser.add_argument("--store", type=Path, default=STORE, help="folder for the environments (default: .rivals/)")
    parser.add_argument("--only", action="append", choices=[rival.column for rival in RIVALS], help="run only this rival")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for each command")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--details", action="store_true", help="list every report")
    options = parser.parse_args()
    chosen = [rival for rival in RIVALS if not options.only or rival.column in options.only]
    tallies: dict[tuple[str, str], Tally] = {(OWN, name): own(BATCHES / name) for name in options.batches}
    for rival in chosen:
        home = installed(rival, options.store.resolve())
        for name in options.batches:
            batch = BATCHES / name
            known = programs(batch)
            with ThreadPoolExecutor(options.jobs) as pool:
                said = list(pool.map(lambda program: heard(rival, home, batch, program, options.limit), known))  # noqa: B023
            tallies[rival.column, name] = sum(map(tally, known, said), Tally())
            if options.details:
                print(f"{rival.column}, {name}")
                print("\n".join(line for pair in zip(known, said, strict=True) for line in details(*pair)), flush=True)
    print(table(tallies, options.batches, [OWN, *(rival.column for rival in chosen)]))


if __name__ == "__main__":
    main()
