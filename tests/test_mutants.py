"""The right programs are right, every mutator fits into one of them, and the command counts as docs/accuracy.md promises."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from mldbg.lint import registry

ROOT = Path(__file__).parent.parent
CLEAN = ROOT / "fixtures" / "clean"
NAMES = sorted(path.name for path in CLEAN.iterdir() if path.name != "__pycache__")
PAGE = (ROOT / "docs" / "accuracy.md").read_text("utf-8")

ABOUT_ANNOTATIONS = {"meaning-mismatch"}

sys.path.insert(0, str(ROOT / "tools"))
MUTANTS: Any = importlib.import_module("mutants")
PLACES: Any = importlib.import_module("mutants_places")


@cache
def programs() -> dict[str, Any]:
    return {program.name: program for program in PLACES.programs(CLEAN)}


def texts(name: str) -> dict[str, str]:
    path = CLEAN / name
    return {file.name: file.read_text("utf-8") for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])}


def originals(program: Any) -> dict[str, str]:
    return {source.name: source.text for source in program.sources}


def mutants(mutator: str, program: str) -> list[Any]:
    chosen = next(each for each in PLACES.MUTATORS if each.name == mutator)
    return list(PLACES.mutants_of(programs()[program], chosen, 3))


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_found_in_a_right_program(name: str) -> None:
    assert not {said for said in MUTANTS.linted(texts(name)) if said.rule in MUTANTS.on_by_default()}


@cache
def some_mutants() -> list[tuple[Any, list[Any]]]:
    """Each mutator, with what it makes of the first two programs that it fits into."""
    found = []
    for mutator in PLACES.MUTATORS:
        planted = (list(PLACES.mutants_of(program, mutator, 3)) for program in programs().values())
        found.append((mutator, [mutant for each in islice(filter(None, planted), 2) for mutant in each]))
    return found


def test_every_mutator_plants_a_bug_that_shows_in_the_text() -> None:
    for mutator, planted in some_mutants():
        assert planted, mutator.name
        for mutant in planted:
            assert mutant.texts != originals(mutant.program), mutant.name
            for text in mutant.texts.values():
                ast.parse(text)


def test_places_are_what_was_written_and_lines_of_the_original() -> None:
    for _, planted in some_mutants():
        for mutant in planted:
            before = originals(mutant.program)
            assert mutant.places >= mutant.changed, mutant.name
            assert mutant.places, mutant.name
            for file, line in mutant.places:
                text = mutant.texts[file].split("\n")[line - 1]
                assert text.strip(), f"{mutant.name}: {file}:{line}"
                assert (file, line) in mutant.changed or text in before[file].split("\n"), f"{mutant.name}: {file}:{line}"


def test_mutators_have_names_of_their_own() -> None:
    names = [mutator.name for mutator in PLACES.MUTATORS]
    assert len(names) == len(set(names))


def test_rules_without_shapes_have_a_mutator() -> None:
    planted = {mutator.rule for mutator in PLACES.MUTATORS}
    without = {rule.name for rule in registry.rules() if not rule.about_shapes} - planted - ABOUT_ANNOTATIONS
    assert not without, f"nothing plants the bug of {sorted(without)}"


@pytest.mark.parametrize(
    ("mutator", "program"),
    [
        ("zero_grad_dropped", "cifar_script.py"),
        ("softmax_in_forward", "transformer_classifier"),
        ("test_part_fitted", "churn_logreg.py"),
        ("train_dropped", "ddp_resnet"),
        ("nll_of_logits", "news_nll.py"),
    ],
)
def test_some_mutants_are_found_and_nothing_else(mutator: str, program: str) -> None:
    before = MUTANTS.said_of(programs()[program])
    for mutant in mutants(mutator, program):
        judged = MUTANTS.judged(mutant, before)
        assert judged.found, mutant.name
        assert not judged.false, judged.false


def test_a_finding_of_another_rule_or_at_another_place_is_false() -> None:
    (mutant,) = mutants("zero_grad_dropped", "cifar_script.py")
    other = next(each for each in PLACES.MUTATORS if each.rule == "nan-equality")
    by_another = MUTANTS.judged(PLACES.Mutant(mutant.program, other, 1, mutant.texts, mutant.places, mutant.changed), frozenset())
    assert not by_another.found
    assert {said.rule for said in by_another.false} == {"missing-zero-grad"}
    elsewhere = PLACES.Mutant(
        mutant.program, mutant.mutator, 1, mutant.texts, frozenset({("cifar_script.py", 1)}), mutant.changed
    )
    assert not MUTANTS.judged(elsewhere, frozenset()).found


def test_what_the_original_has_is_not_counted_again() -> None:
    (mutant,) = mutants("zero_grad_dropped", "cifar_script.py")
    unchanged = PLACES.Mutant(mutant.program, mutant.mutator, 1, originals(mutant.program), mutant.places, mutant.changed)
    (place, *_) = sorted(mutant.places)
    before = frozenset({MUTANTS.Said(*place, "missing-zero-grad")})
    assert not MUTANTS.judged(unchanged, before).false


def test_edits_that_overlap_are_refused() -> None:
    program = programs()["cifar_script.py"]
    edit = PLACES.Edit("cifar_script.py", 0, 10, "one")
    overlapping = PLACES.Edit("cifar_script.py", 5, 12, "other")
    mutator = PLACES.Mutator("a-rule", "a_mutator", lambda _: iter([PLACES.change(edit, overlapping)]), frozenset())
    with pytest.raises(PLACES.OverlapError):
        list(PLACES.mutants_of(program, mutator, 3))


def test_a_rule_that_does_not_exist_is_listed_as_such() -> None:
    judged = MUTANTS.Judged("a.py: x 1", "nan-equality", "x", frozenset({("a.py", 1)}), True, frozenset({"nan-equality"}), ())
    table = MUTANTS.table({"a.py": []}, [judged])
    assert "| nan-equality | correctness | 1 | 1 | 1 | 1.00 (0.03-1.00) | 0 |" in table
    assert "1 right programs, 1 of them without" in table


def test_the_page_has_two_tables_and_each_tool_writes_its_own() -> None:
    accuracy = re.compile(r"(<!-- accuracy: .*?-->\n).*?(<!-- end -->)", re.DOTALL)
    assert "written by `make accuracy`" in PAGE
    assert len(MUTANTS._TABLE.findall(PAGE)) == 1
    inside = accuracy.search(PAGE)
    assert inside
    assert "<!-- mutants" not in inside[0]
    assert "<!-- accuracy" not in MUTANTS._TABLE.search(PAGE)[0]
