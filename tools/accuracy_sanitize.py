"""Run programs whose author knew nothing of `sanitize` but its list of rules, and count what it finds and what it makes up.

A batch is a folder of `fixtures/blind-sanitize/`. It holds `programs/`, the author's verdict on each in `index.jsonl`, and what
`sanitize` said on the first look in `first.json`, which is written once. A finding counts where its rule, or the line where the
value is misused, is the author's; any other is listed, and is a false alarm unless `judged.jsonl` says why it is true.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BATCHES = ROOT / "fixtures" / "blind-sanitize"
_SECONDS = 120

_PROGRAM = """
import json, runpy, sys, warnings
from mldbg import sanitize
warnings.simplefilter("ignore")
out, path = sys.stdout, sys.argv[1]
sys.argv = [path]
sys.stdout = sys.stderr
with sanitize(collect=True) as report:
    runpy.run_path(path, run_name="__main__")
json.dump([[f.rule, f.producer, f.consumer, f.message] for f in report.findings], out)
"""

Said = dict[str, str]
"""A finding: its rule, the lines of its producer and its consumer (`file:line`), and its message."""


@dataclass(frozen=True, slots=True)
class Count:
    """How a batch came out.

    Attributes:
        wrong, found: programs with a bug, and those of them whose bug is found.
        right, alarms: programs without one, and findings that are not about a bug that its author, or a judge, knows.
    """

    wrong: int
    found: int
    right: int
    alarms: int

    def __str__(self) -> str:
        share = f"{self.found}/{self.wrong} = {self.found / self.wrong:.2f}"
        return f"found {share} of the wrong programs; {self.alarms} false alarms, in {self.right} right programs and the others"


def said_of(program: Path) -> list[Said]:
    """What sanitize says of a program. Raises RuntimeError where the program fails under it."""
    command = [sys.executable, "-c", _PROGRAM, program.name]
    ended = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if ended.returncode:
        raise RuntimeError(f"{program.name} fails under sanitize: {ended.stderr.strip().splitlines()[-1]}")
    findings = []
    for rule, producer, consumer, message in json.loads(ended.stdout):
        places = {"producer": Path(producer).name, "consumer": Path(consumer).name}
        findings.append({"rule": rule, **places, "message": message})
    return findings


def look(batch: Path) -> dict[str, list[Said]]:
    """What sanitize says of each program of a batch."""
    programs = sorted((batch / "programs").glob("*.py"))
    with ThreadPoolExecutor(2) as pool:
        return dict(zip((each.name for each in programs), pool.map(said_of, programs), strict=True))


def labels_of(batch: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (batch / "index.jsonl").read_text().splitlines()]


def judged_true(batch: Path) -> set[tuple[str, str, str]]:
    """The findings beside the labels of which somebody who read the program says that they are true."""
    path = batch / "judged.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {(row["program"], row["consumer"], row["rule"]) for row in rows if row["verdict"] == "true"}


def counted(batch: Path, said: dict[str, list[Said]], *, details: bool = False) -> Count:
    """What was found, and what was made up."""
    labels = labels_of(batch)
    known = judged_true(batch)
    found = alarms = 0
    for label in labels:
        name = label["program"]
        place = f"{name}:{label['consumer']}"
        claimed = said[name] if label["rule"] is not None else []
        about = [one for one in claimed if one["rule"] == label["rule"] or one["consumer"] == place]
        others = [one for one in said[name] if one not in about]
        false = [one for one in others if (name, one["consumer"], one["rule"]) not in known]
        found += bool(about)
        alarms += len(false)
        if details and label["verdict"] == "bug" and not about:
            print(f"missed  {place} {label['rule']}: {label['why']}")
        if details:
            for one in false:
                print(f"alarm   {one['consumer']} {one['rule']} (made at {one['producer']}): {one['message']}")
    wrong = sum(label["verdict"] == "bug" for label in labels)
    return Count(wrong, found, len(labels) - wrong, alarms)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("batches", nargs="*", type=Path, help="folders; all of them where none is named")
    parser.add_argument("--details", action="store_true", help="list what was missed and what is false")
    options = parser.parse_args(arguments)
    for batch in options.batches or sorted(each for each in BATCHES.iterdir() if each.is_dir()):
        now = look(batch)
        first = batch / "first.json"
        if not first.exists():
            first.write_text(json.dumps({"date": datetime.now(UTC).date().isoformat(), "said": now}, indent=1) + "\n")
        before = json.loads(first.read_text())
        print(f"{batch.name}, first look on {before['date']}: {counted(batch, before['said'])}")
        print(f"{batch.name}, now: {counted(batch, now, details=options.details)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
