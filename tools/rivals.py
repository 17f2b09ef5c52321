"""Try the 18 faults of `rivals_faults.py` with this project and with four others, and write the table into docs/calibration.md.

Each rival is installed into an environment of its own under `.rivals/`; nothing of it is imported here.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from mldbg.verify.report.calibration import spliced

HOME = Path(__file__).resolve().parent.parent
STORE = HOME / ".rivals"
PAGE = HOME / "docs" / "calibration.md"
START, END = "<!-- rivals: written by make rivals -->", "<!-- end of rivals -->"
OURS = "mldebug"
RIVALS = {
    "torchtest2": "torchtest2",
    "pytest-torch": "pytest_torch",
    "neural-net-checklist": "neural_net_checklist",
    "torch-audit": "torch_audit",
}
"""Distribution, and the name that its version is asked for."""


# ------------------------------------------------------------------------------------------------------------------- running
def python_of(tool: str) -> Path:
    """The interpreter of a tool's environment, made where it is missing."""
    if tool == OURS:
        return Path(sys.executable)
    python = STORE / tool / "bin" / "python"
    if not (STORE / tool / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", STORE / tool], check=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", HOME / "constraints.txt"]
        subprocess.run([*pip, tool, "torch", "numpy"], check=True)
        (STORE / tool / "ready").touch()
    return python


def version(tool: str) -> str:
    """The installed version."""
    name = "mldebug-lint" if tool == OURS else tool
    code = f"import importlib.metadata as m; print(m.version({name!r}))"
    return subprocess.run([python_of(tool), "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def judged(tool: str, seeds: int) -> list[dict[str, Any]]:
    """All runs of a tool; kept in `.rivals/` as they come."""
    environment = os.environ | {"PYTHONPATH": f"{HOME / 'src'}:{HOME / 'tools'}", "OMP_NUM_THREADS": "1"}
    command = [python_of(tool), HOME / "tools" / "rivals_judges.py", tool, "--seeds", str(seeds)]
    STORE.mkdir(exist_ok=True)
    file = STORE / f"{tool}.jsonl"
    with file.open("w", encoding="utf-8") as output:
        subprocess.run(command, check=True, stdout=output, env=environment)
    print(f"{tool}: done", flush=True)
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


# --------------------------------------------------------------------------------------------------------------------- table
@dataclass(frozen=True, slots=True)
class Judge:
    """What one tool said in all runs."""

    tool: str
    version: str
    runs: Sequence[dict[str, Any]]

    @property
    def healthy(self) -> int:
        """Runs of healthy hosts."""
        return sum(not run["fault"] for run in self.runs)

    @property
    def trials(self) -> int:
        """Runs of faults."""
        return len(self.runs) - self.healthy

    def new_alarms(self, run: dict[str, Any]) -> list[dict[str, str]]:
        """The alarms of a faulty run that the healthy run of the same host and seed has not; warnings last."""
        healthy = next(r for r in self.runs if not r["fault"] and (r["host"], r["seed"]) == (run["host"], run["seed"]))
        known = {key(alarm) for alarm in healthy["alarms"]}
        return sorted((alarm for alarm in run["alarms"] if key(alarm) not in known), key=lambda alarm: alarm["level"] == "WARN")

    def of(self, fault: str) -> list[list[dict[str, str]]]:
        """The new alarms, seed by seed."""
        return [self.new_alarms(run) for run in self.runs if run["fault"] == fault]

    def found(self, fault: str) -> int:
        """Seeds in which there is a new alarm."""
        return sum(bool(alarms) for alarms in self.of(fault))

    def always_found(self, fault: str) -> bool:
        """Whether there is a new alarm in every seed, and at least one seed."""
        return 0 < self.found(fault) == len(self.of(fault))

    def healthy_with(self, levels: Iterable[str]) -> int:
        """Healthy runs with an alarm of one of these levels."""
        return sum(any(alarm["level"] in levels for alarm in run["alarms"]) for run in self.runs if not run["fault"])

    def cell(self, fault: str) -> str:
        """The alarms in order of their frequency, and in how many seeds there was one."""
        every = self.of(fault)
        names: dict[str, int] = {}
        for alarms in every:
            for alarm in alarms[:1] if self.tool == OURS else alarms:
                names[alarm.get("cause") or alarm["name"]] = names.get(alarm.get("cause") or alarm["name"], 0) + 1
        ranked = sorted(names, key=lambda name: -names[name])
        return f"{', '.join(ranked[:2])} {self.found(fault)}/{len(every)}" if ranked else "-"


def key(alarm: dict[str, str]) -> tuple[str, str]:
    """What makes two alarms the same."""
    return alarm["name"], alarm.get("cause", "")


def table(judges: Sequence[Judge], faults: Sequence[str], named: dict[str, Sequence[str]]) -> str:
    """Faults by tools, then totals."""
    rows = [["fault", *(f"{judge.tool} {judge.version}" for judge in judges)], ["---"] * (len(judges) + 1)]
    rows += [[fault, *(judge.cell(fault) for judge in judges)] for fault in faults]
    rows.append(["**faults found in every seed**", *(str(sum(j.always_found(f) for f in faults)) for j in judges)])
    rows.append(["**trials in which the fault was found**", *(f"{sum(j.found(f) for f in faults)}/{j.trials}" for j in judges)])
    first = [
        sum(bool(alarms) and alarms[0].get("cause") in named[fault] for fault in faults for alarms in judge.of(fault))
        for judge in judges
    ]
    told = [f"{n}/{j.trials}" if n else "gives no cause" for n, j in zip(first, judges, strict=True)]
    rows.append(["**trials whose first alarm names the cause**", *told])
    serious = ("FAIL", "ERROR", "FATAL")
    rows.append(["**healthy runs with a FAIL or ERROR**", *(f"{j.healthy_with(serious)}/{j.healthy}" for j in judges)])
    rows.append(["**healthy runs with a WARN**", *(f"{j.healthy_with(('WARN',))}/{j.healthy}" for j in judges)])
    rows.append(["seconds for each run, median", *(f"{median(run['seconds'] for run in j.runs):.1f}" for j in judges)])
    rows.append(["runs stopped at the limit of time", *(str(sum(bool(run["note"]) for run in j.runs)) for j in judges)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--tool", action="append", help="run only this one; the others' last results are used")
    arguments = parser.parse_args()
    sys.path.insert(0, str(HOME / "tools"))
    from rivals_faults import FAULTS

    tools = (OURS, *RIVALS)
    chosen = arguments.tool or tools
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(lambda tool: judged(tool, arguments.seeds), chosen))
    read = {
        tool: [json.loads(line) for line in (STORE / f"{tool}.jsonl").read_text(encoding="utf-8").splitlines()] for tool in tools
    }
    judges = [Judge(tool, version(tool), read[tool]) for tool in tools]
    text = table(judges, [case.name for case in FAULTS], {case.name: case.causes for case in FAULTS})
    print(text)
    PAGE.write_text(spliced(PAGE.read_text(encoding="utf-8"), text, START, END), encoding="utf-8")


if __name__ == "__main__":
    main()
