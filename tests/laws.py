"""The laws that every rule obeys. Each is a plain function that raises AssertionError, so that a test can feed it a fault.

A fixture folder `fixtures/lint/<rule>/` holds cases: files or folders called `bad_*` and `good_*`. A line on which a finding
starts ends with `# expect: rule-name`. Beside a fixable `bad_x.py` lies `bad_x.fixed.py`: the text after all fixes.
"""

import ast
import io
import re
import shutil
import tokenize
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from mldbg.lint import engine, page, run
from mldbg.lint.config import Config
from mldbg.lint.engine import Facts, Project, facts_of
from mldbg.lint.files import Source, read
from mldbg.lint.finding import Finding
from mldbg.lint.rule import Rule
from mldbg.lint.run import Result, Task
from mldbg.operations import tables
from mldbg.operations.transfers import tables as transfers

FIXTURES = Path(__file__).parent.parent / "fixtures" / "lint"
PAGES = Path(__file__).parent.parent / "docs" / "rules"

MARK = re.compile(r"\s*# expect: ([\w\-]+(?:, [\w\-]+)*)$", re.MULTILINE)
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
NEWER_SYNTAX = "\n\ndef first_of[T](items: list[T]) -> T:\n    return items[0]\n"

Rules = tuple[type[Rule], ...]
Judge = Callable[[Rules], tuple[Finding, ...]]
Place = tuple[str, int, str]


# --- cases ---


def cases(folder: Path, prefix: str) -> list[Path]:
    """The files and folders that are cases; the expected results of fixes are not."""
    found = (path for path in folder.glob(f"{prefix}_*") if path.is_dir() or path.suffix == ".py")
    return sorted(path for path in found if ".fixed" not in path.name)


def python_files(case: Path) -> list[Path]:
    return sorted(case.rglob("*.py")) if case.is_dir() else [case]


def fixed_case(case: Path) -> Path:
    return case.with_name(f"{case.stem}.fixed{case.suffix}")


def marks(case: Path) -> list[Place]:
    """Where the comments of a case expect which rule."""
    places = []
    for file in python_files(case):
        for number, line in enumerate(file.read_text(encoding="utf-8").split("\n"), start=1):
            match = MARK.search(line)
            names = match[1].split(", ") if match else []
            places += [(file.name, number, name) for name in names]
    return sorted(places)


def without_marks(text: str) -> str:
    return MARK.sub("", text)


# --- runs ---


def task(root: Path, rules: Rules, known: Rules | None = None) -> Task:
    return Task(Config(root=root), rules, rules if known is None else known)


def check_case(case: Path, rules: Rules, known: Rules | None = None) -> Result:
    root = case if case.is_dir() else case.parent
    return run.check_files([case], task(root, rules, known), jobs=1)


def check_text(text: str, rules: Rules) -> Result:
    return run.check_source(Source("example.py", None, text.encode()), task(Path("missing"), rules))


def places(result: Result) -> list[Place]:
    assert not result.problems, result.problems
    return sorted((Path(finding.span.path).name, finding.span.line, finding.rule) for finding in result.findings)


# --- laws about a rule ---


def name_is_that_of_the_module(rule: type[Rule]) -> None:
    assert NAME.fullmatch(rule.name), rule.name
    assert rule.name == rule.__module__.rpartition(".")[2].replace("_", "-")


def docstring_has_all_sections(rule: type[Rule]) -> None:
    assert page.summary(rule), "no summary"
    assert not page.summary(rule).endswith("."), "the summary is a claim, without a full stop"
    sections = page.sections(rule)
    assert tuple(sections) == page.SECTIONS, f"sections are {tuple(sections)}"
    assert all(sections.values()), "an empty section"


def bad_example_fires_this_rule_only(rule: type[Rule], rules: Rules) -> None:
    fired = {name for _, _, name in places(check_text(page.sections(rule)["Bad"] + "\n", rules))}
    assert fired == {rule.name}, f"the Bad example fires {sorted(fired)}"


def good_example_is_silent(rule: type[Rule], rules: Rules) -> None:
    fired = places(check_text(page.sections(rule)["Good"] + "\n", rules))
    assert not fired, f"the Good example fires {fired}"


def page_is_up_to_date(rule: type[Rule], pages: Path) -> None:
    file = pages / f"{rule.name}.md"
    assert file.is_file(), f"{file.name} is missing: run `make docs`"
    assert file.read_text(encoding="utf-8") == page.render(rule), f"{file.name} is stale: run `make docs`"


# --- laws about fixtures ---


def has_enough_cases(folder: Path) -> None:
    assert len(cases(folder, "bad")) >= 3, "at least three bad cases show a defect in different styles"
    assert len(cases(folder, "good")) >= 1, "at least one good case shows when the rule is silent"


def holds_nothing_but_cases(folder: Path) -> None:
    known = {*cases(folder, "bad"), *cases(folder, "good")}
    known |= {fixed_case(case) for case in known}
    strays = sorted(path.name for path in folder.iterdir() if path not in known and path.name != "__pycache__")
    assert not strays, f"{strays} are neither cases nor results of fixes of cases"


def bad_case_is_about_its_rule(case: Path, rule_name: str) -> None:
    assert {name for _, _, name in marks(case)} == {rule_name}, f"marks of {case.name} must name {rule_name} and nothing else"


def good_case_has_no_marks(case: Path) -> None:
    assert not marks(case), f"{case.name} is good: it expects nothing"


def findings_are_those_marked(case: Path, rules: Rules, result: Result | None = None) -> None:
    found, expected = places(result if result is not None else check_case(case, rules)), marks(case)
    missing = [place for place in expected if place not in found]
    surplus = [place for place in found if place not in expected]
    assert found == expected, f"not found: {missing}; not expected: {surplus}"


def executed(case: Path, rules: Rules) -> list[Judge]:
    """For each file of a case what rules make of it, after it was executed once."""
    root = case if case.is_dir() else case.parent
    project = Project(root, known=rules)
    sources = [source for file in python_files(case) if isinstance(source := read(file), Source)]
    return [_judge(source, [facts_of(source, project, shapes=shapes) for shapes in (False, True)], project) for source in sources]


def _judge(source: Source, runs: Sequence[Facts], project: Project) -> Judge:
    return lambda rules: engine.judged(source, runs, rules, project).findings


def order_of_rules_changes_nothing(judge: Judge, rules: Rules) -> None:
    assert judge(rules) == judge(rules[::-1])


def rules_find_alone_what_they_find_among_others(judge: Judge, rules: Rules, rule_name: str) -> None:
    """All findings restricted to one rule are those of that rule alone; what is executed is the same for all of them."""
    among_all = judge(rules)
    concerned = {finding.rule for finding in among_all} | {rule_name}
    for rule in rules:
        if rule.name in concerned:
            restricted = tuple(finding for finding in among_all if finding.rule == rule.name)
            assert judge((rule,)) == restricted, rule.name


def newer_syntax_costs_no_finding(case: Path, rules: Rules, scratch: Path) -> None:
    """A file is judged alike when something stands in it that the running Python cannot read, but libcst can."""
    copy = copied(case, scratch)
    for file in python_files(copy):
        file.write_text(file.read_text(encoding="utf-8") + NEWER_SYNTAX, encoding="utf-8")
    findings_are_those_marked(copy, rules)


def names_listened_to_have_rows(rule: type[Rule]) -> None:
    """A call without a row is never told, unless it builds an object."""
    known = transfers.ROWS if rule.about_shapes else {}
    told = [name for name in sorted(rule.listens_to.names) if not tables.is_class(name)]
    nameless = [name for name in told if tables.effect_of(name) is None and name not in known]
    assert not nameless, f"{rule.name} listens to {nameless}, of which the tables know nothing"


def fixes_give_the_expected_text(case: Path, rules: Rules, scratch: Path) -> None:
    expected = fixed_case(case)
    before = check_case(case, rules).findings
    fixable = [finding for finding in before if finding.fix]
    copy = copied(case, scratch)
    if not expected.exists():
        assert not apply_all_fixes(copy, rules), f"{case.name} is changed by fixes: {expected.name} is missing"
        return
    assert fixable, f"{expected.name} exists, but {case.name} has no fix"
    apply_all_fixes(copy, rules)
    assert texts(copy) == texts(expected)
    remains = check_case(copy, rules)
    assert not remains.problems, f"the fixed text has problems: {remains.problems}"
    assert not [finding for finding in remains.findings if finding.fix], "something fixable remains"
    assert not apply_all_fixes(copy, rules), "a second run changes something"
    new = Counter(finding.rule for finding in remains.findings) - Counter(finding.rule for finding in before if not finding.fix)
    assert not new, f"after the fix there is more to report: {dict(new)}"


def fixes_keep_comments(case: Path) -> None:
    """Every comment of the text before stands in the fixed text, too, marks aside."""
    before = [comment for text in texts(case).values() for comment in comments(text)]
    after = [comment for text in texts(fixed_case(case)).values() for comment in comments(text)]
    assert not Counter(before) - Counter(after), f"comments are lost: {list(Counter(before) - Counter(after))}"


def comments(text: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def fixed_text_parses(case: Path) -> None:
    for file in python_files(case):
        ast.parse(file.read_text(encoding="utf-8"))


def no_folder_is_an_orphan(fixtures: Path, rules: Sequence[type[Rule]]) -> None:
    folders = {path.name for path in fixtures.iterdir() if path.is_dir()}
    assert folders == {rule.name for rule in rules}


def copied(case: Path, scratch: Path) -> Path:
    copy = scratch / case.name
    if case.is_dir():
        shutil.copytree(case, copy, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(case, copy)
    return copy


def apply_all_fixes(case: Path, rules: Rules) -> bool:
    root = case if case.is_dir() else case.parent
    fixed, problems = run.fix_files(check_case(case, rules), task(root, rules), unsafe=True)
    assert not problems, problems
    for each in fixed:
        Path(each.source.path).write_text(each.text, encoding="utf-8")
    return bool(fixed)


def texts(case: Path) -> dict[str, str]:
    root = case if case.is_dir() else None
    return {
        file.relative_to(root).as_posix() if root else "": without_marks(file.read_text(encoding="utf-8"))
        for file in python_files(case)
    }


# --- laws about findings ---


def message_follows_the_convention(finding: Finding) -> None:
    """A message is a claim, a hint is advice; both are one line and end without a full stop."""
    for text in (finding.message, finding.hint, *(step.text for step in finding.steps)):
        assert text == text.strip() != "", f"blank, or blanks around: {text!r}"
        assert "\n" not in text, f"more than one line: {text!r}"
        assert not text.endswith("."), f"a full stop at the end: {text!r}"
        assert not is_capitalised(text), f"an upper-case start: {text!r}"


def is_capitalised(text: str) -> bool:
    """Whether a text starts as a sentence does; a name from code (`CrossEntropyLoss`, `X`, F.softmax) may be upper case."""
    word = re.match(r"[\w.]+", text)
    return word is not None and re.fullmatch(r"[A-Z][a-z]+", word[0]) is not None
