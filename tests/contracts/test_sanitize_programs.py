"""`sanitize` on whole programs: fixtures/sanitize/bad_*.py must be found out, good_*.py must stay silent.

A program marks the line that gives a tensor its meaning with `producer`, and the line that misuses it with `consumer: rule`.
Where there are several, both carry a number. `# raises: Name` says that the program itself ends with this exception.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mldbg.contracts.sanitize import OPTIONAL, RULES, Report, follow, sanitize

ROOT = Path(__file__).parents[2]
PROGRAMS = sorted((ROOT / "fixtures/sanitize").glob("*.py"))
BAD = [path for path in PROGRAMS if path.name.startswith("bad_")]
GOOD = [path for path in PROGRAMS if path.name.startswith("good_")]

PRODUCER = re.compile(r"#.*\bproducer(?P<number> \d+)?(?:,|$)")
CONSUMER = re.compile(r"#.*\bconsumer(?P<number> \d+)?: (?P<rule>[\w-]+)$")
RAISES = re.compile(r"^# raises: (\w+)$", re.MULTILINE)

Found = list[tuple[str, str, str]]


def marks(path: Path) -> Found:
    """(rule, producer, consumer) as the comments say."""
    producers: dict[str | None, str] = {}
    consumers: dict[str | None, tuple[str, str]] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if mark := PRODUCER.search(line):
            producers[mark["number"]] = f"{path}:{number}"
        if mark := CONSUMER.search(line):
            consumers[mark["number"]] = (mark["rule"], f"{path}:{number}")
    assert producers.keys() == consumers.keys(), "every consumer has its producer"
    return sorted((rule, producers[key], place) for key, (rule, place) in consumers.items())


def run(path: Path) -> dict[str, Any]:
    """The names that a program leaves, and nothing if it ends as it says."""
    raises = RAISES.search(path.read_text())
    try:
        return runpy.run_path(str(path))
    except Exception as error:
        if raises is None or type(error).__name__ != raises[1]:
            raise
        return {}


def found(report: Report) -> Found:
    return sorted((finding.rule, finding.producer, finding.consumer) for finding in report.findings)


def name(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", BAD, ids=name)
def test_bad_program_is_found_with_both_lines(path: Path) -> None:
    with sanitize(collect=True) as report:
        run(path)
    assert found(report) == marks(path) != []


@pytest.mark.parametrize("path", GOOD, ids=name)
def test_good_program_is_silent(path: Path) -> None:
    assert marks(path) == []
    with sanitize(collect=True) as report:
        run(path)
    assert found(report) == []


def test_there_are_programs_for_every_rule() -> None:
    assert {rule for path in BAD for rule, _, _ in marks(path)} == RULES - OPTIONAL
    assert min(len(BAD), len(GOOD)) >= 36


def test_nothing_is_found_without_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "EFFECTS", {})
    for path in BAD[:5]:
        with sanitize(collect=True) as report:
            run(path)
        assert found(report) != marks(path)


def tensors(names: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor among the names of a program, parameters and gradients included."""
    for name, value in names.items():
        if isinstance(value, nn.Module):
            for key, parameter in value.named_parameters():
                yield f"{name}.{key}", parameter.detach()
                if parameter.grad is not None:
                    yield f"{name}.{key}.grad", parameter.grad
        elif isinstance(value, Tensor):
            yield name, value.detach()


HAS_THREADS = re.compile(r"^(import threading|from concurrent)", re.MULTILINE)  # the order of their work is not fixed


@pytest.mark.parametrize("path", [path for path in PROGRAMS if not HAS_THREADS.search(path.read_text())], ids=name)
def test_results_are_the_same_bit_for_bit(path: Path) -> None:
    bare = dict(tensors(run(path)))
    with sanitize(collect=True):
        watched = dict(tensors(run(path)))
    assert bare.keys() == watched.keys()
    for key, value in bare.items():
        assert torch.equal(value.nan_to_num(), watched[key].nan_to_num()), key
