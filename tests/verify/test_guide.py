"""docs/verify.md names every field of an experiment, every verdict, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from mldbg.verify import Experiment, Verdict

GUIDE = (Path(__file__).parents[2] / "docs" / "verify.md").read_text(encoding="utf-8")


def rows(header: str) -> list[str]:
    return GUIDE.partition(header)[2].partition("\n\n")[0].splitlines()[1:]


def test_every_field_is_in_the_table() -> None:
    named = {name for row in rows("| Field | What it is |\n") for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    optional = {field.name for field in fields(Experiment)} - {"model", "batch", "loss", "seed"}
    assert named == optional


def test_every_verdict_is_in_the_table() -> None:
    assert [row.split("|")[1].strip() for row in rows("| Verdict | Means |\n")] == [verdict.value for verdict in Verdict]
