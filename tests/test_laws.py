"""Every rule obeys every law, and every law can be broken."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import laws
import mldbg.lint.rules
from mldbg.lint import outline, page, registry
from mldbg.lint.finding import Finding, Group, Span
from mldbg.lint.registry import RegistryError
from mldbg.lint.rule import Rule, calls
from mldbg.lint.run import Result

RULES = tuple(sorted(registry.built_in(mldbg.lint.rules), key=lambda rule: rule.name))
WITH_COMMENT_RULES = (*RULES, *registry.about_comments())
BAD = [case for rule in WITH_COMMENT_RULES for case in laws.cases(laws.FIXTURES / rule.name, "bad")]
GOOD = [case for rule in WITH_COMMENT_RULES for case in laws.cases(laws.FIXTURES / rule.name, "good")]
FIXED = [laws.fixed_case(case) for case in BAD if laws.fixed_case(case).exists()]

each_rule = pytest.mark.parametrize("rule", WITH_COMMENT_RULES, ids=lambda rule: rule.name)


def each_case(cases: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: f"{case.parent.name}/{case.name}")


# --- the laws hold ---


@each_rule
def test_name(rule: type[Rule]) -> None:
    laws.name_is_that_of_the_module(rule)


@each_rule
def test_docstring(rule: type[Rule]) -> None:
    laws.docstring_has_all_sections(rule)


@each_rule
def test_bad_example(rule: type[Rule]) -> None:
    laws.bad_example_fires_this_rule_only(rule, RULES)


@each_rule
def test_good_example(rule: type[Rule]) -> None:
    laws.good_example_is_silent(rule, RULES)


@each_rule
def test_page(rule: type[Rule]) -> None:
    laws.page_is_up_to_date(rule, laws.PAGES)


@each_rule
def test_fixture_folder(rule: type[Rule]) -> None:
    laws.has_enough_cases(laws.FIXTURES / rule.name)
    laws.holds_nothing_but_cases(laws.FIXTURES / rule.name)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_names_listened_to(rule: type[Rule]) -> None:
    laws.names_listened_to_have_rows(rule)


@each_case(BAD)
def test_bad_case(case: Path) -> None:
    laws.bad_case_is_about_its_rule(case, case.parent.name)
    result = laws.check_case(case, RULES)
    laws.findings_are_those_marked(case, RULES, result)
    for finding in result.findings:
        laws.message_follows_the_convention(finding)


@each_case(GOOD)
def test_good_case(case: Path) -> None:
    laws.good_case_has_no_marks(case)
    laws.findings_are_those_marked(case, RULES)


@each_case(BAD)
def test_fixes(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    laws.fixes_give_the_expected_text(case, RULES, tmp_path)


@each_case([case for case in BAD if laws.fixed_case(case).exists()])
def test_fixes_keep_comments(case: Path) -> None:
    laws.fixes_keep_comments(case)


@each_case(FIXED)
def test_fixed_text_parses(case: Path) -> None:
    laws.fixed_text_parses(case)


@each_case(BAD)
def test_order_and_selection_of_rules(case: Path) -> None:
    for judge in laws.executed(case, RULES):
        laws.order_of_rules_changes_nothing(judge, RULES)
        laws.rules_find_alone_what_they_find_among_others(judge, RULES, case.parent.name)


@each_case([next(iter(laws.cases(laws.FIXTURES / rule.name, kind))) for rule in WITH_COMMENT_RULES for kind in ("bad", "good")])
def test_newer_syntax(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outline, "_libcst_reads", lambda _text: True)  # it does; asked, it starts a process
    laws.newer_syntax_costs_no_finding(case, RULES, tmp_path)


def test_no_orphans() -> None:
    laws.no_folder_is_an_orphan(laws.FIXTURES, WITH_COMMENT_RULES)


def test_no_page_without_a_rule() -> None:
    assert {file.stem for file in laws.PAGES.glob("*.md")} == {rule.name for rule in WITH_COMMENT_RULES}


@pytest.mark.parametrize("part", ["contracts", "operations", "verify"])
def test_own_code_is_clean(part: str) -> None:
    """The linter itself calls no library of this field, and that its interpreter executes itself would take minutes."""
    source = Path(mldbg.lint.rules.__path__[0]).parents[1] / part
    result = laws.check_case(source, RULES)
    assert (result.findings, result.problems) == ((), ())


# --- each law can be broken ---

WITNESS = next(rule for rule in RULES if rule.name == "log-of-softmax")
BUG = f"import torch\n\n\ndef f(x):\n    return torch.log(torch.softmax(x, dim=-1))  # expect: {WITNESS.name}\n"
NO_BUG = "import torch\n\n\ndef f(x):\n    return torch.log_softmax(x, dim=-1)\n"


def breaks(law: Callable[[], None]) -> None:
    with pytest.raises(AssertionError):
        law()


def altered(docstring: str) -> type[Rule]:
    """The witness with another docstring."""
    return type(WITNESS.__name__, (WITNESS,), {"__doc__": docstring, "__module__": WITNESS.__module__})


def folder_with(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return folder


def docstring(*, summary: str = "a claim", **sections: str) -> str:
    texts = {"Why": "Because.", "Bad": "    " + BUG.replace("\n", "\n    "), "Good": "    " + NO_BUG, "Limits": "Few."} | sections
    return "\n\n".join([summary, *(f"## {title}\n{text}" for title, text in texts.items() if text)])


def test_a_wrong_name_is_noticed() -> None:
    wrong = type("Wrong", (WITNESS,), {"__module__": WITNESS.__module__})
    wrong.name = "another-name"  # type: ignore[attr-defined]
    breaks(partial(laws.name_is_that_of_the_module, wrong))


@pytest.mark.parametrize(
    "faulty",
    [
        docstring(Limits=""),
        docstring(summary=""),
        docstring(summary="A sentence."),
        docstring(Notes="A section too many."),
        docstring(Why=" "),
    ],
)
def test_a_faulty_docstring_is_noticed(faulty: str) -> None:
    laws.docstring_has_all_sections(altered(docstring()))
    breaks(partial(laws.docstring_has_all_sections, altered(faulty)))


def test_a_mute_bad_example_is_noticed() -> None:
    rule = altered(docstring(Bad="    x = 1\n"))
    breaks(partial(laws.bad_example_fires_this_rule_only, rule, RULES))


def test_a_bad_example_of_another_rule_is_noticed() -> None:
    others = tuple(rule for rule in RULES if rule is not WITNESS)
    breaks(partial(laws.bad_example_fires_this_rule_only, WITNESS, others))


def test_a_firing_good_example_is_noticed() -> None:
    rule = altered(docstring(Good=page.sections(WITNESS)["Bad"].replace("\n", "\n    ")))
    breaks(partial(laws.good_example_is_silent, rule, RULES))


def test_a_name_without_a_row_is_noticed() -> None:
    laws.names_listened_to_have_rows(WITNESS)
    listening = type("Listening", (WITNESS,), {"listens_to": calls("torch.no_such_function"), "__module__": WITNESS.__module__})
    breaks(partial(laws.names_listened_to_have_rows, listening))


def test_rules_that_decide_about_each_other_are_noticed() -> None:
    (judge,) = laws.executed(BAD[0], RULES)
    laws.rules_find_alone_what_they_find_among_others(judge, RULES, BAD[0].parent.name)

    def deciding(rules: laws.Rules) -> tuple[Finding, ...]:
        return judge(rules) if rules == RULES else ()

    breaks(partial(laws.rules_find_alone_what_they_find_among_others, deciding, RULES, BAD[0].parent.name))


def test_a_stale_or_missing_page_is_noticed(tmp_path: Path) -> None:
    page.write([WITNESS], tmp_path)
    laws.page_is_up_to_date(WITNESS, tmp_path)
    breaks(partial(laws.page_is_up_to_date, altered(docstring()), tmp_path))
    (tmp_path / f"{WITNESS.name}.md").unlink()
    breaks(partial(laws.page_is_up_to_date, WITNESS, tmp_path))


def test_the_page_of_a_removed_rule_is_removed(tmp_path: Path) -> None:
    folder_with(tmp_path)
    (tmp_path / "gone.md").write_text("old", encoding="utf-8")
    page.write([WITNESS], tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"{WITNESS.name}.md"]


def test_missing_cases_are_noticed(tmp_path: Path) -> None:
    breaks(partial(laws.has_enough_cases, folder_with(tmp_path, bad_1="", bad_2="", good_1="")))
    breaks(partial(laws.has_enough_cases, folder_with(tmp_path, **{"bad_2.fixed": ""})))
    laws.has_enough_cases(folder_with(tmp_path, bad_3=""))
    (tmp_path / "good_1.py").unlink()
    breaks(partial(laws.has_enough_cases, tmp_path))


def test_a_stray_file_is_noticed(tmp_path: Path) -> None:
    laws.holds_nothing_but_cases(folder_with(tmp_path, bad_1="", **{"bad_1.fixed": ""}))
    breaks(partial(laws.holds_nothing_but_cases, folder_with(tmp_path, **{"bad_2.fixed": ""})))


def test_a_bad_case_without_marks_or_with_those_of_others_is_noticed(tmp_path: Path) -> None:
    folder_with(tmp_path, bad_1=NO_BUG, bad_2=BUG)
    breaks(partial(laws.bad_case_is_about_its_rule, tmp_path / "bad_1.py", WITNESS.name))
    breaks(partial(laws.bad_case_is_about_its_rule, tmp_path / "bad_2.py", "fit-on-test"))


def test_a_marked_good_case_is_noticed(tmp_path: Path) -> None:
    breaks(partial(laws.good_case_has_no_marks, folder_with(tmp_path, good_1=BUG) / "good_1.py"))


def test_a_missing_and_a_surplus_finding_are_noticed(tmp_path: Path) -> None:
    folder_with(tmp_path, right=BUG, surplus=laws.without_marks(BUG), missing=NO_BUG.rstrip() + f"  # expect: {WITNESS.name}\n")
    laws.findings_are_those_marked(tmp_path / "right.py", RULES)
    breaks(partial(laws.findings_are_those_marked, tmp_path / "surplus.py", RULES))
    breaks(partial(laws.findings_are_those_marked, tmp_path / "missing.py", RULES))


def test_a_case_that_cannot_be_read_is_noticed(tmp_path: Path) -> None:
    broken = folder_with(tmp_path, broken=BUG + "def f(:\n") / "broken.py"
    breaks(partial(laws.findings_are_those_marked, broken, RULES))


def test_a_judgement_that_depends_on_the_order_is_noticed() -> None:
    breaks(partial(laws.order_of_rules_changes_nothing, lambda rules: (finding(rules[0].name),), RULES))


def test_a_wrong_fix_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_with(
        tmp_path, **{"bad_1": BUG, "bad_1.fixed": NO_BUG.replace("-1", "-2"), "bad_2": BUG, "bad_2.fixed": NO_BUG, "bad_3": BUG}
    )
    for name in ("one", "two", "three", "four"):
        (tmp_path / name).mkdir()
    laws.fixes_give_the_expected_text(tmp_path / "bad_2.py", RULES, tmp_path / "two")
    breaks(partial(laws.fixes_give_the_expected_text, tmp_path / "bad_1.py", RULES, tmp_path / "one"))
    breaks(partial(laws.fixes_give_the_expected_text, tmp_path / "bad_3.py", RULES, tmp_path / "three"))
    folder_with(tmp_path, **{"bad_4": NO_BUG, "bad_4.fixed": NO_BUG})
    breaks(partial(laws.fixes_give_the_expected_text, tmp_path / "bad_4.py", RULES, tmp_path / "four"))


def test_a_fix_that_brings_another_finding_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder_with(tmp_path, **{"bad_1": BUG, "bad_1.fixed": NO_BUG})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    laws.fixes_give_the_expected_text(tmp_path / "bad_1.py", RULES, tmp_path / "one")
    seen = laws.check_case

    def check(case: Path, rules: laws.Rules, known: laws.Rules | None = None) -> Result:
        result = seen(case, rules, known)
        return result if result.findings else Result(findings=(finding("nan-equality"),))

    monkeypatch.setattr(laws, "check_case", check)
    breaks(partial(laws.fixes_give_the_expected_text, tmp_path / "bad_1.py", RULES, tmp_path / "two"))


def test_a_comment_that_a_fix_takes_away_is_noticed(tmp_path: Path) -> None:
    folder_with(tmp_path, **{"bad_1": "x = 1  # why\n", "bad_1.fixed": "x = 2  # why\n"})
    laws.fixes_keep_comments(tmp_path / "bad_1.py")
    folder_with(tmp_path, **{"bad_1.fixed": "x = 2\n"})
    breaks(partial(laws.fixes_keep_comments, tmp_path / "bad_1.py"))


def test_fixed_text_that_does_not_parse_is_noticed(tmp_path: Path) -> None:
    broken = folder_with(tmp_path, broken="def f(:\n") / "broken.py"
    with pytest.raises(SyntaxError):
        laws.fixed_text_parses(broken)


def test_an_orphan_is_noticed(tmp_path: Path) -> None:
    (tmp_path / WITNESS.name).mkdir()
    laws.no_folder_is_an_orphan(tmp_path, [WITNESS])
    (tmp_path / "gone").mkdir()
    breaks(partial(laws.no_folder_is_an_orphan, tmp_path, [WITNESS]))


def finding(
    rule: str = "log-of-softmax", message: str = "the logarithm is taken of softmax", hint: str = "use log_softmax"
) -> Finding:
    return Finding(Span("a.py", 1, 1, 1, 2), rule, message, Group.CORRECTNESS, hint)


@pytest.mark.parametrize("text", ["", "Softmax is applied twice", "it is wrong.", "two\nlines", " blank"])
def test_a_message_against_the_convention_is_noticed(text: str) -> None:
    breaks(partial(laws.message_follows_the_convention, finding(message=text)))
    breaks(partial(laws.message_follows_the_convention, finding(hint=text)))


@pytest.mark.parametrize(
    "text", ["CrossEntropyLoss gets probabilities", "X is scaled", "F.softmax is applied", "`Linear` is unused"]
)
def test_a_message_may_start_with_a_name_from_code(text: str) -> None:
    laws.message_follows_the_convention(finding(message=text))


# --- the registry behind the laws ---


def test_a_module_with_two_rules_is_refused() -> None:
    module = type(pytest)("two_rules")
    for name in ("One", "Two"):
        setattr(module, name, type(name, (WITNESS,), {"__module__": "two_rules"}))
    with pytest.raises(RegistryError, match="two_rules must define exactly one rule, but defines 2"):
        registry.rule_in(module)


def test_selection() -> None:
    names = {rule.name for rule in registry.selected(RULES, ["ALL"], ["correctness"])}
    assert names == {rule.name for rule in RULES if rule.group is not Group.CORRECTNESS}
    assert registry.selected(RULES, [WITNESS.name], []) == (WITNESS,)
    assert registry.selected(RULES, [], []) == tuple(rule for rule in RULES if rule.group is Group.CORRECTNESS)
