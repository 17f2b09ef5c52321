"""`sanitize` on whole programs: fixtures/sanitize/bad_*.py must be found out, good_*.py must stay silent.

A program marks the line that gives a tensor its meaning with `producer`, and the line that misuses it with `consumer: rule`.
Where there are several, both carry a number. `# raises: Name` says that the program itself ends with this exception.
"""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import laws
import mldbg.lint.rules
from mldbg.contracts.sanitize import OPTIONAL, RULES, Finding, Report, follow, sanitize
from mldbg.lint import registry
from mldbg.lint import run as linting
from mldbg.lint.finding import Finding as Linted
from mldbg.operations.losses import MISUSES, Misuse

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
    monkeypatch.setattr(follow, "_EFFECTS", {})
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


# --- the linter says the same ---

NAMES_SHAPES = frozenset({"broadcast-loss", "softmax-over-batch", "wrong-class-axis"})
"""Rules whose findings say in the linter which shapes and axes meet, so that their messages have words of their own."""


@cache
def linted() -> tuple[Linted, ...]:
    """What the linter says of all programs, without running them."""
    rules = tuple(registry.built_in(mldbg.lint.rules))
    return linting.check_files(PROGRAMS, laws.task(ROOT / "fixtures/sanitize", rules)).findings


def agree(said: Linted, finding: Finding) -> bool:
    """Whether a finding of the linter is that of `sanitize`: its place is one of the two lines, and its path holds both."""
    lines = {f"{step.span.path}:{step.span.line}" for step in said.steps}
    return (
        said.rule == finding.rule
        and f"{said.span.path}:{said.span.line}" in (finding.producer, finding.consumer)
        and {finding.producer, finding.consumer} <= lines
        and (said.message == finding.message or said.rule in NAMES_SHAPES)
    )


def agreements(rule: str) -> list[tuple[Linted, Finding]]:
    """Pairs of one misuse as the linter and as `sanitize` say it, from the programs for which the linter names the rule."""
    by_linter = [said for said in linted() if said.rule == rule]
    pairs = []
    for path in sorted({said.span.path for said in by_linter}):
        with sanitize(collect=True, include=OPTIONAL) as report:
            run(Path(path))
        pairs += [(said, finding) for said in by_linter for finding in report.findings if agree(said, finding)]
    return pairs


def is_about(finding: Finding, misuse: Misuse) -> bool:
    """Whether a finding is about this misuse, and not about another one of the same rule."""
    blank = re.sub(r"\\{\w+\\}", ".*", re.escape(misuse.message))
    return finding.rule == misuse.rule and re.fullmatch(blank, finding.message) is not None


@pytest.mark.parametrize("misuse", MISUSES, ids=lambda misuse: misuse.rule)
def test_the_linter_says_the_same_of_the_same_lines(misuse: Misuse) -> None:
    pairs = [(said, finding) for said, finding in agreements(misuse.rule) if is_about(finding, misuse)]
    assert pairs
    said, finding = pairs[0]
    elsewhere = replace(said.span, line=said.span.line + 1)
    assert not agree(replace(said, span=elsewhere), finding)
    assert not agree(replace(said, steps=()), finding)
    assert not agree(replace(said, rule="another"), finding)
    assert agree(replace(said, message="another"), finding) is (misuse.rule in NAMES_SHAPES)
    others = [other for other in MISUSES if other.message != misuse.message]
    assert not any(is_about(finding, other) for other in others)
