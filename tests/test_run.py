"""What needs to see all findings together, and what happens when the engine fails."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mldbg.lint import engine, registry, run
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.finding import Finding, Group, Problem, Span, Step
from mldbg.lint.run import Task

RULES = registry.rules()


def task(root: Path, per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> Task:
    return Task(Config(root=root, per_file_ignores=per_file_ignores), RULES, RULES)


def finding(path: str = "a.py", line: int = 1, steps: int = 0, rule: str = "log-of-softmax") -> Finding:
    span = Span(path, line, 1, line, 2)
    return Finding(span, rule, "something happens", Group.CORRECTNESS, "change it", (Step(span, "a step"),) * steps)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def engine_finds(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def set_findings(**by_file: list[Finding] | Exception) -> None:
        def check(source: Source, *_: object) -> engine.Outcome:
            found = by_file.get(Path(source.path).stem, [])
            if isinstance(found, Exception):
                raise found
            return engine.Outcome(tuple(found), ())

        monkeypatch.setattr(engine, "check", check)

    return set_findings


def test_one_defect_reached_from_two_files_is_reported_once_with_the_shortest_path(
    project: Path, engine_finds: Callable[..., None]
) -> None:
    engine_finds(a=[finding(steps=3)], b=[finding(steps=1)])
    assert run.check_files([project], task(project)).findings == (finding(steps=1),)


def test_findings_are_sorted_by_place(project: Path, engine_finds: Callable[..., None]) -> None:
    engine_finds(a=[finding("b.py", 1), finding("a.py", 12)], b=[finding("a.py", 2)])
    found = run.check_files([project], task(project)).findings
    assert [(each.span.path, each.span.line) for each in found] == [("a.py", 2), ("a.py", 12), ("b.py", 1)]


def test_per_file_ignores_look_at_where_the_finding_is(project: Path, engine_finds: Callable[..., None]) -> None:
    engine_finds(b=[finding("a.py"), finding("b.py")])
    ignoring = task(project, per_file_ignores=(("b.py", ("log-of-softmax",)),))
    assert run.check_files([project], ignoring).findings == (finding("a.py"),)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RecursionError("too deep"), "internal error: RecursionError: too deep; please report it, along with this file"),
        (KeyError("x\ny"), "internal error: KeyError: 'x\\ny'; please report it, along with this file"),
        (ValueError("two\nlines"), "internal error: ValueError: two lines; please report it, along with this file"),
    ],
)
def test_an_error_of_ours_is_a_problem_of_one_file(
    project: Path, engine_finds: Callable[..., None], error: Exception, message: str
) -> None:
    engine_finds(a=error, b=[finding("b.py")])
    result = run.check_files([project], task(project))
    assert result.problems == (Problem("a.py", 0, message),)
    assert result.findings == (finding("b.py"),)
    assert result.checked == 1


def test_progress_counts_every_file(project: Path, engine_finds: Callable[..., None]) -> None:
    engine_finds()
    seen: list[tuple[int, int]] = []
    run.check_files([project, project / "gone.py"], task(project), jobs=1, progress=lambda *count: seen.append(count))
    assert seen == [(1, 2), (2, 2)]


def test_broken_syntax_is_noticed_even_where_no_rule_can_fire(project: Path) -> None:
    (project / "a.py").write_text("def f(:\n    pass\n", encoding="utf-8")
    (project / "b.py").write_text("# coding: latin-1\nname = '\\d'\n", encoding="utf-8")
    [problem] = run.check_files([project], task(project)).problems
    assert (problem.path, problem.line) == ("a.py", 1)
    assert problem.message.startswith("syntax error: ")
