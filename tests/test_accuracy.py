"""The blind batches are what docs/accuracy.md says they are, and the command counts as the page promises."""

from __future__ import annotations

import ast
import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from mldbg.lint import registry

ROOT = Path(__file__).parent.parent
ACCURACY = runpy.run_path(str(ROOT / "tools" / "accuracy.py"))
BATCHES = sorted((ROOT / "fixtures" / "blind").iterdir())

each_batch = pytest.mark.parametrize("batch", BATCHES, ids=lambda batch: batch.name)


def programs(batch: Path) -> list[Any]:
    found: list[Any] = ACCURACY["programs"](batch)
    return found


def line_of(place: str, batch: Path) -> str:
    """The line of a program that a label means."""
    file, *cell, line = place.split(":")
    text = (batch / "programs" / file).read_text("utf-8")
    if cell:
        code = [each for each in json.loads(text)["cells"] if each["cell_type"] == "code"]
        text = "".join(code[int(cell[0].removeprefix("cell ")) - 1]["source"])
    return text.splitlines()[int(line) - 1]


@each_batch
def test_every_program_has_one_label(batch: Path) -> None:
    names = [program.name for program in programs(batch)]
    assert sorted(names) == sorted(path.name for path in (batch / "programs").iterdir() if path.name != "__pycache__")


@each_batch
def test_bugs_name_a_rule_and_lines_that_exist(batch: Path) -> None:
    known = {rule.name for rule in registry.rules()}
    for program in programs(batch):
        assert program.rule is None or program.rule in known
        assert bool(program.places) == (program.rule is not None)
        for place in program.places:
            assert line_of(place, batch).strip(), place


@each_batch
def test_programs_are_python(batch: Path) -> None:
    for file in (batch / "programs").rglob("*.py"):
        ast.parse(file.read_text("utf-8"))


@each_batch
def test_the_first_look_was_stored(batch: Path) -> None:
    first = ACCURACY["first_look"](batch)
    assert first is not None
    assert {said.program for said in first.findings} <= {program.name for program in programs(batch)}


def test_only_the_labelled_place_counts_as_found(tmp_path: Path) -> None:
    rows = [
        {"program": "a.py", "verdict": "bug", "rule": "bce-on-logits", "places": ["a.py:3"], "why": ""},
        {"program": "b.py", "verdict": "bug", "rule": "bce-on-logits", "places": ["b.py:3"], "why": ""},
        {"program": "c", "verdict": "ok", "trap": ""},
    ]
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    judged = {"program": "c", "place": "c/x.py:2", "rule": "fit-on-test", "verdict": "true", "why": "it is"}
    (tmp_path / "judged.jsonl").write_text(json.dumps(judged), "utf-8")
    said = ACCURACY["Said"]
    findings = (
        said("a.py", "a.py:3", "bce-on-logits"),
        said("b.py", "b.py:4", "bce-on-logits"),
        said("c", "c/x.py:2", "fit-on-test"),
        said("c", "c/x.py:2", "bce-on-logits"),
    )
    counted = ACCURACY["count"](tmp_path, ACCURACY["Look"]("2026-01-01", findings, ()))
    assert (counted.found, counted.bugs, counted.true) == ({"a.py"}, 2, 2)
    assert counted.false == (findings[1], findings[3])
