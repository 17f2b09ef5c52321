"""docs/contracts.md says what the contracts do: its program is run, its tables are compared with the code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from mldbg import contracts
from mldbg.contracts import Mode, meanings
from mldbg.contracts.sanitize import mode

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")


def block(start: str) -> str:
    return GUIDE.partition(start)[2].partition("```")[0]


def test_the_program_prints_what_the_guide_shows(tmp_path: Path) -> None:
    program = tmp_path / "classifier.py"
    program.write_text(block("```python\n"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=False)
    shown = block("$ python classifier.py\n").splitlines()
    printed = done.stderr.splitlines()
    assert shown == [line for line in printed if line in shown]
    assert f'File "{program}"' in done.stderr


def test_what_is_observed_is_what_the_guide_shows(tmp_path: Path) -> None:
    program = tmp_path / "tagger.py"
    program.write_text("# tagger.py\n" + block("```python\n# tagger.py\n"), encoding="utf-8")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (block("$ python tagger.py\n"), "")
    program.write_text(program.read_text(encoding="utf-8").replace("print(seen)", 'print(seen.diff(), end="")'), encoding="utf-8")
    diff = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, check=True).stdout
    subprocess.run(["git", "apply", "-p0", "-"], cwd=tmp_path, input=diff, check=True)
    again = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (again.stdout, again.stderr) == ("", "")


def test_every_mode_and_meaning_is_in_a_table() -> None:
    assert re.findall(r"^\| `(\w+)`(?: \(default\))? \| (?:yes|no)", GUIDE, re.MULTILINE) == [each.name.lower() for each in Mode]
    names = {name for name in contracts.__all__ if isinstance(getattr(contracts, name), type(meanings.Probs))}
    listed = {name for row in re.findall(r"^\| (`[A-Z].*?) \|", GUIDE, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    assert listed == names


def test_rules_that_the_linter_does_not_have_are_named() -> None:
    listed = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", block("only a run shows:").partition("##")[0]))
    lint_rules = {path.stem for path in (ROOT / "docs" / "rules").glob("*.md")}
    assert listed == mode.RULES - lint_rules
