"""Time the linter against its parsers, in one run on the same tree: the release of transformers that `make ecosystem` uses.

Each contender is a fresh process over all files, with one process of its own. Rounds are interleaved, so that a busy machine
troubles all of them alike; medians are shown. CPU seconds are user and system time of the whole process. TorchFix, which takes
tens of minutes, runs once, at the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
STORE = HOME / ".benchmark"
TORCHFIX = "torchfix==0.7.0"
STARTS = 10

LINTER, BASE = "mldebug-lint", "libcst.parse_module"

PARSE = """\
import sys
from pathlib import Path
{imports}
failed = 0
for name in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    data = Path(name).read_bytes()
    try:
        {parse}
    except Exception:
        failed += 1
if failed:
    print(failed, "files could not be parsed", file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    cpu: float
    wall: float
    peak: float
    """In megabytes."""
    ended: bool = True
    """False where it was stopped: it would have taken more."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A command to time."""

    name: str
    command: Sequence[str]
    folder: Path
    exit_codes: frozenset[int] = frozenset({0})
    limit: int | None = None
    """CPU seconds after which it is stopped."""


def measure(contender: Contender) -> Cost:
    """Run a command to its end."""
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(contender.command, cwd=contender.folder, stdout=output, stderr=subprocess.STDOUT)
        if contender.limit is not None and sys.platform == "linux":
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (contender.limit, contender.limit + 1))
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        ended = process.returncode not in (-signal.SIGXCPU, -signal.SIGKILL)
        if ended and process.returncode not in contender.exit_codes:
            output.seek(0)
            text = output.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{contender.name} ended with exit code {process.returncode}:\n{text}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * unit / 1e6, ended)


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure by itself."""
    return Cost(
        statistics.median(cost.cpu for cost in costs),
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.peak for cost in costs),
        all(cost.ended for cost in costs),
    )


# ---------------------------------------------------------------------------------------------------------------- contenders
def linter(tree: Path) -> Contender:
    """The command with default rules; its settings are those of the tree, not of the project around it."""
    (tree / ".git").mkdir(exist_ok=True)  # a project of its own: the .gitignore that leaves it out of ours ends here
    settings = tree / "mldebug-lint.toml"
    settings.write_text("[tool.mldebug-lint]\n", encoding="utf-8")
    options = ["--jobs", "1", "--format", "json", "--exit-zero", "--config", settings.name, "."]
    # Files that cannot be checked are part of a real tree: the exit code 2 about them is no failure of the benchmark.
    return Contender(LINTER, [*_linter(), *options], tree, frozenset({0, 2}))


def _linter() -> list[str]:
    script = Path(sys.executable).with_name("mldebug-lint")
    return [str(script)] if script.exists() else [sys.executable, "-m", "mldbg.lint"]


def parser(name: str, imports: str, parse: str, names: Path) -> Contender:
    """A process that parses all files and keeps nothing."""
    return Contender(name, [sys.executable, "-c", PARSE.format(imports=imports, parse=parse), str(names)], HOME)


def torchfix(tree: Path) -> Contender:
    """TorchFix as its own command, in an environment of its own (it pins another libcst). Exit code 1: files it failed on."""
    environment = STORE / TORCHFIX.replace("==", "-")
    command = environment / ("Scripts" if os.name == "nt" else "bin") / "torchfix"
    if not command.exists():
        print(f"installing {TORCHFIX}", file=sys.stderr)
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(command.with_name("python")), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, TORCHFIX], check=True)
    return Contender("torchfix", [str(command), "--jobs", "1", "."], tree, frozenset({0, 1}))


def fetched_tree() -> Path:
    """The tree of transformers, downloaded when it is missing."""
    command = [sys.executable, str(HOME / "tools" / "ecosystem.py"), "--fetch", "transformers"]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return Path(found.stdout.strip())


# -------------------------------------------------------------------------------------------------------------------- output
def show(costs: Mapping[str, Sequence[Cost]]) -> None:
    """Medians, and the ratios to bare parsing."""
    print(f"{'':<22}{'CPU s':>10}{'wall s':>10}{'peak MB':>10}{'CPU / libcst':>15}{'spread of CPU':>20}")
    for name, measured in costs.items():
        show_row(name, measured, median(costs[BASE]).cpu)


def show_row(name: str, measured: Sequence[Cost], base: float) -> None:
    """One contender's line of the table."""
    cost = median(measured)
    spread = f"{min(each.cpu for each in measured):.2f} to {max(each.cpu for each in measured):.2f}"
    note = "" if cost.ended else "  stopped: takes more"
    print(
        f"{name:<22}{cost.cpu:>10.2f}{cost.wall:>10.2f}{cost.peak:>10.0f}{cost.cpu / base:>15.3f}{spread:>20}{note}", flush=True
    )


def start_up() -> None:
    """The CPU time of the command on a file in which no rule can fire."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "nothing.py")
        file.write_text("def add(first, second):\n    return first + second\n", encoding="utf-8")
        contenders = [
            Contender("mldebug-lint, one file", [*_linter(), file.name], Path(folder)),
            Contender("python -c pass", [sys.executable, "-c", "pass"], Path(folder)),
        ]
        for contender in contenders:
            measure(contender)  # writes bytecode
        costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
        for _ in range(STARTS):
            for contender in contenders:
                costs[contender.name].append(measure(contender))
    print(f"\nStart-up (median of {STARTS}, on a file that the gate rejects)")
    for name, measured in costs.items():
        cost = median(measured)
        print(f"{name:<24}{cost.cpu:>8.3f} s CPU{cost.wall:>8.3f} s wall{cost.peak:>8.0f} MB")


def main() -> int:
    """Run the command line."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=3, help="how often each contender runs (default: 3)")
    arguments.add_argument("--tree", type=Path, help="another folder to run on (default: transformers)")
    arguments.add_argument("--limit", type=int, default=3600, help="CPU seconds after which TorchFix is stopped (default: 3600)")
    arguments.add_argument("--without-torchfix", action="store_true", help="leave out what takes tens of minutes")
    options = arguments.parse_args()
    STORE.mkdir(exist_ok=True)
    tree = options.tree.resolve() if options.tree else fetched_tree()
    found = sorted(tree.rglob("*.py"))
    lines = sum(file.read_bytes().count(b"\n") for file in found)  # this also brings all files into the system's cache
    names = STORE / "files.txt"
    names.write_text("".join(f"{file}\n" for file in found), encoding="utf-8")
    contenders = [
        linter(tree),
        parser(BASE, "import libcst", "libcst.parse_module(data)", names),
        parser("ast.parse", "import ast", "ast.parse(data)", names),
    ]
    costs: dict[str, list[Cost]] = {contender.name: [] for contender in contenders}
    for number in range(options.rounds):
        for contender in contenders:
            print(f"round {number + 1} of {options.rounds}: {contender.name}", file=sys.stderr)
            costs[contender.name].append(measure(contender))
    print(f"{tree.name}: {len(found)} files, {lines:,} lines; median of {options.rounds} rounds, one process each")
    show(costs)
    start_up()
    if not options.without_torchfix:
        print(f"\n{TORCHFIX}, once, stopped after {options.limit} s of CPU", flush=True)
        contender = replace(torchfix(tree), limit=options.limit)
        show_row(contender.name, [measure(contender)], median(costs[BASE]).cpu)
    return 0


if __name__ == "__main__":
    sys.exit(main())
