"""The pass over code as it is written: who is told of what, and what is not even parsed."""

from pathlib import Path

import libcst as cst
import pytest

from mldbg.lint import written
from mldbg.lint.engine import Project, facts_of
from mldbg.lint.files import Source
from mldbg.lint.interpret.facts import Written
from mldbg.lint.interpret.gathered import Gathered
from mldbg.lint.interpret.module import Module
from mldbg.lint.rule import Listening, reads

COMPARISONS = reads("Comparison", where=r"\bnan\b")
NAMES = reads("Name", where=r"\bwanted\b")

TEXT = '''
def plain(x):
    return x == 1


def asked(x):
    """nan"""
    return x == 2  # nan


class Table:
    limit = 3 == 4

    def rows(self, x):
        def inner(y):
            return y == nan
        return inner(x)

    def columns(self, x):
        return x == 5
'''


def told(*listening: Listening) -> list[tuple[int, tuple[str, ...]]]:
    module = Module("example.py", None, TEXT)
    pieces = [piece for _, several in written.pieces(Gathered(module), listening) for piece in several]
    return [(piece.place.site.span.line, piece.place.within) for piece in pieces]


def test_only_code_that_matches_is_told_with_the_functions_around_it() -> None:
    assert told(COMPARISONS) == [(12, ()), (16, ("rows", "inner"))]
    assert told(NAMES) == []


def test_comments_and_docstrings_do_not_count() -> None:
    assert 8 not in [line for line, _ in told(COMPARISONS)]


def test_what_matches_nowhere_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    parse = cst.parse_module

    def noted(text: str) -> cst.Module:
        parsed.append(text)
        return parse(text)

    monkeypatch.setattr(cst, "parse_module", noted)
    told(COMPARISONS)
    assert len(parsed) == 2  # the class without its methods, and the one method that matches
    assert "y == nan" in parsed[1]
    parsed.clear()
    told(NAMES)
    assert parsed == []


def test_a_file_without_the_words_costs_the_search_alone() -> None:
    project = Project(Path("missing"), known=())
    project.reads = (NAMES,)
    assert facts_of(Source("example.py", None, TEXT.encode()), project).entries == ()
    project.reads = (COMPARISONS,)
    (entry,) = facts_of(Source("example.py", None, TEXT.encode()), project).entries
    assert all(isinstance(fact, Written) and fact.found == {COMPARISONS.where} for fact in entry.facts)


def test_what_cannot_be_read_is_said_once() -> None:
    project = Project(Path("missing"), known=())
    project.reads = (COMPARISONS,)
    (problem,) = facts_of(Source("example.py", None, b"x = nan +\n"), project).problems
    assert problem.line == 1
