import pytest

from mldbg.lint import directives, suppress
from mldbg.lint.finding import Finding, Group, Span

RULES = {
    "log-of-softmax": Group.CORRECTNESS,
    "fit-on-test": Group.CORRECTNESS,
    "fit-before-split": Group.CORRECTNESS,
    "log-softmax-before-cross-entropy": Group.REDUNDANT,
    "unused-suppression": Group.SUSPICIOUS,
    "invalid-suppression": Group.SUSPICIOUS,
}
ACTIVE = {name for name, group in RULES.items() if group is not Group.REDUNDANT}

ALLOW = "# mldebug: allow[log-of-softmax] measured"
STATEMENT = "total = first(\n    f(x),\n    g(x),\n)\n"
DECORATED = "@first(\n    1,\n)\n@second\ndef f(\n    x,\n): return g(x)\nh(x)\n"


def at(line: int, rule: str = "log-of-softmax", end_line: int | None = None) -> Finding:
    return Finding(Span("a.py", line, 1, end_line or line, 5), rule, "something happens", RULES[rule], "do something")


def left(text: str, *findings: Finding, active: set[str] = ACTIVE) -> list[tuple[int, str]]:
    return [(each.span.line, each.rule) for each in suppress.apply(findings, text, "a.py", active, RULES)]


def only_complaint(text: str) -> Finding:
    [finding] = suppress.apply([], text, "a.py", ACTIVE, RULES)
    return finding


def commented(text: str, line: int, comment: str = ALLOW) -> str:
    """The text with a comment behind one of its lines."""
    lines = text.split("\n")
    lines[line - 1] += "  " + comment
    return "\n".join(lines)


def above(text: str, line: int, comment: str = ALLOW) -> str:
    """The text with a comment on a line of its own before one of its lines."""
    lines = text.split("\n")
    return "\n".join([*lines[: line - 1], comment, *lines[line - 1 :]])


# --- which lines a comment is about ---


def test_a_comment_on_the_line_takes_the_finding_away() -> None:
    assert left("f(x)  # mldebug: allow[log-of-softmax] measured, is fine\n", at(1)) == []


def test_a_comment_on_the_line_above_does_too() -> None:
    assert left("# mldebug: allow[log-of-softmax] measured\nf(x)\n", at(2)) == []


def test_comments_above_may_be_stacked() -> None:
    text = "# mldebug: allow[log-of-softmax] a\n# mldebug: allow[fit-on-test] b\n# more words\nf(x)\n"
    assert left(text, at(4), at(4, "fit-on-test")) == []


@pytest.mark.parametrize("between", ["\n", "\n\n\n", "# why\n\n# and when\n", "    \n", "\x0c\n", "# fmt: off\n"])
def test_blank_lines_and_comments_may_follow(between: str) -> None:
    line = 2 + between.count("\n")
    assert left(f"{ALLOW}\n{between}f(x)\ng(x)\n", at(line), at(line + 1)) == [(line + 1, "log-of-softmax")]


def test_a_comment_behind_code_says_nothing_about_the_next_line() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax]\ng(x)\n"
    assert left(text, at(2)) == [(2, "log-of-softmax"), (1, "unused-suppression")]


@pytest.mark.parametrize("line", [1, 4])
@pytest.mark.parametrize("finding", [at(1, end_line=4), at(2), at(3)])
def test_on_the_first_or_last_line_of_a_statement_it_is_about_all_of_it(line: int, finding: Finding) -> None:
    assert left(commented(STATEMENT, line), finding) == []


@pytest.mark.parametrize("finding", [at(2), at(3), at(4), at(2, end_line=5)])
def test_above_a_statement_it_is_about_all_of_it(finding: Finding) -> None:
    assert left(above(STATEMENT, 1), finding) == []


def test_in_the_middle_of_a_statement_it_is_about_what_touches_its_line() -> None:
    text = commented(STATEMENT, 2)
    assert left(text, at(1, end_line=4)) == []
    assert left(text, at(2)) == []
    assert left(text, at(3)) == [(3, "log-of-softmax"), (2, "unused-suppression")]
    text = above(STATEMENT, 3)
    assert left(text, at(1, end_line=5)) == []
    assert left(text, at(4)) == []
    assert left(text, at(2)) == [(2, "log-of-softmax"), (3, "unused-suppression")]


@pytest.mark.parametrize("line", [1, 3, 4, 5, 7])
def test_decorators_and_the_line_of_the_function_are_one_statement(line: int) -> None:
    text = commented(DECORATED, line)
    assert left(text, at(1), at(4), at(6)) == []
    assert left(text, at(8)) == [(8, "log-of-softmax"), (line, "unused-suppression")]


def test_above_decorators_it_is_about_them_and_the_line_of_the_function() -> None:
    assert left(above(DECORATED, 1), at(2), at(5), at(6), at(8)) == []


@pytest.mark.parametrize("header", ["for x in y:", "with f() as x:", "if x:", "while x:", "class A(B):", "def f(x):"])
def test_a_comment_on_a_header_is_not_about_the_body(header: str) -> None:
    assert left(f"{header}  {ALLOW}\n    g(x)\n", at(1), at(2)) == [(2, "log-of-softmax")]


def test_a_comment_at_the_end_of_a_file_is_about_nothing() -> None:
    assert left(f"f(x)\n{ALLOW}\n", at(1)) == [(1, "log-of-softmax"), (2, "unused-suppression")]


def test_two_statements_on_a_line() -> None:
    assert left(f"f(x); g(x)  {ALLOW}\n", at(1), at(1)) == []


# --- what stands beside it ---


@pytest.mark.parametrize(
    "comment",
    [
        f"# noqa: E501  {ALLOW}",
        f"# type: ignore  {ALLOW}",
        f"# type: ignore[arg-type]  # noqa: E501  {ALLOW}",
        f"{ALLOW}  # noqa",
        f"{ALLOW}  # type: ignore",
        f"# noqa  {ALLOW}  # pragma: no cover",
        f"# words before it {ALLOW}",
        "#mldebug:allow[log-of-softmax]",
        "#   mldebug:   allow [ log-of-softmax ]   measured",
        f"{ALLOW}, see issue #12",
    ],
)
def test_other_comments_may_stand_before_and_behind(comment: str) -> None:
    assert left(f"f(x)  {comment}\n", at(1)) == []
    assert left(f"{comment}\nf(x)\n", at(2)) == []
    assert left(f"f(x)  {comment}\n") == [(1, "unused-suppression")]


def test_several_suppressions_in_one_comment() -> None:
    text = f"f(x)  {ALLOW}  # mldebug: allow[fit-on-test] wanted\n"
    assert left(text, at(1), at(1, "fit-on-test")) == []
    assert left(text, at(1)) == [(1, "unused-suppression")]


def test_nothing_is_said_about_code_that_is_commented_out() -> None:
    assert left(f"# f(x)  {ALLOW}\ng(x)\n") == []
    assert left("# f(x)  # mldebug: allow[nonsense]\ng(x)\n") == []
    assert left("# f(x)  # mldbg: allow[log-of-softmax]\ng(x)\n") == []
    assert left("# to keep it, write mldebug: allow[log-of-softmax]\ng(x)\n") == []
    assert left(f"# noqa  {ALLOW}\ng(x)\n") == [(1, "unused-suppression")]


def test_a_string_is_no_comment() -> None:
    assert left('s = "# mldebug: allow[log-of-softmax]"\n', at(1)) == [(1, "log-of-softmax")]
    assert left('"""\n# mldebug: allow[log-of-softmax]\n"""\n', at(3)) == [(3, "log-of-softmax")]
    assert left('s = """\n# mldebug: allow[nonsense]\n"""  # mldebug: allow[log-of-softmax]\n', at(1, end_line=3)) == []


def test_text_that_does_not_tokenize_still_has_comments() -> None:
    text = (
        "f(x)  # mldebug: allow[log-of-softmax]\ng('# mldebug: allow[fit-on-test]')\n# mldebug: allow[fit-on-test]\n\nk()\nh(((\n"
    )
    assert left(text, at(1), at(5, "fit-on-test")) == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "h((("])
def test_line_ends_of_all_systems(end: str, last: str) -> None:
    text = f"# mldebug: allow[log-of-softmax] a\n\nf(x)\ng(x)  {ALLOW}\nh(x)\n{last}".replace("\n", end)
    assert left(text, at(3), at(4), at(5)) == [(5, "log-of-softmax")]


def test_form_feeds_end_no_line() -> None:
    assert left("x = 1\n\x0c\n# mldebug: allow[log-of-softmax] a\nf(x)\n", at(4)) == []


# --- names ---


def test_several_names_in_one_comment() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax, fit-on-test] both are wanted\n"
    assert left(text, at(1), at(1, "fit-on-test")) == []


def test_other_rules_are_not_suppressed() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax]\n"
    assert left(text, at(1), at(1, "fit-on-test")) == [(1, "fit-on-test")]


def test_a_group_stands_for_its_rules() -> None:
    text = "f(x)  # mldebug: allow[correctness] both\n"
    assert left(text, at(1), at(1, "fit-on-test")) == []
    assert left(text, at(1, "log-softmax-before-cross-entropy")) == [
        (1, "log-softmax-before-cross-entropy"),
        (1, "unused-suppression"),
    ]


def test_a_group_is_unused_only_if_all_of_it_ran() -> None:
    text = "f(x)  # mldebug: allow[correctness] both\n"
    assert left(text, active=ACTIVE - {"fit-on-test"}) == []
    assert left("f(x)  # mldebug: allow[redundant]\n") == []
    assert left("f(x)  # mldebug: allow[security] a group without rules\n") == []


def test_all_rules_cannot_be_suppressed() -> None:
    finding = only_complaint("f(x)  # mldebug: allow[ALL]\n")
    assert (finding.rule, finding.message) == ("invalid-suppression", "a comment cannot suppress ALL")
    assert left("f(x)  # mldebug: allow[ALL]\n", at(1)) == [(1, "log-of-softmax"), (1, "invalid-suppression")]


@pytest.mark.parametrize(
    ("name", "meant"),
    [("log-of-sofmax", "log-of-softmax"), ("log_of_softmax", "log-of-softmax"), ("corectness", "correctness")],
)
def test_an_unknown_name_is_a_finding_with_advice(name: str, meant: str) -> None:
    finding = only_complaint(f"f(x)  # mldebug: allow[{name}]\n")
    assert (finding.rule, finding.message) == ("invalid-suppression", f'unknown rule "{name}" (did you mean "{meant}"?)')


# --- whole files ---


@pytest.mark.parametrize(
    "top",
    [
        "",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n",
        "# Licence\n\n",
        '"""A docstring\nof two lines."""\n\n',
        "'''a'''  ",
    ],
)
def test_a_file_can_be_spoken_about_at_its_top(top: str) -> None:
    text = f"{top}# mldebug: allow-file[log-of-softmax] exact in float64\n\nimport torch\n\n\nf(x)\ng(x)\n"
    last = text.count("\n")
    assert left(text, at(last - 1), at(last), at(last, "fit-on-test")) == [(last, "fit-on-test")]


@pytest.mark.parametrize("before", ["import torch\n", '"""a"""\n"""b"""\n', '"""a""".strip()\n', "x = 1  "])
def test_further_down_it_cannot(before: str) -> None:
    finding = only_complaint(f"{before}# mldebug: allow-file[log-of-softmax] exact\n\nf(x)\n")
    assert finding.rule == "invalid-suppression"
    assert finding.message == "this suppresses nothing: allow-file counts only above the first statement of a file"


def test_one_that_is_unused_in_the_whole_file_says_so() -> None:
    assert (
        only_complaint("# mldebug: allow-file[log-of-softmax] exact\nf(x)\n").message
        == "nothing to suppress in this file for log-of-softmax"
    )


# --- comments that suppress nothing ---


def test_an_unused_suppression_is_a_finding() -> None:
    finding = only_complaint("f(x)  # mldebug: allow[log-of-softmax]  # noqa\n")
    assert (finding.rule, finding.group, finding.span) == ("unused-suppression", Group.SUSPICIOUS, Span("a.py", 1, 7, 1, 39))
    assert (finding.message, finding.hint) == ("nothing to suppress here for log-of-softmax", "remove the comment")


def test_of_several_names_only_the_unused_one_has_to_go() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax, fit-on-test]\n"
    [finding] = suppress.apply([at(1)], text, "a.py", ACTIVE, RULES)
    assert (finding.message, finding.hint) == ("nothing to suppress here for fit-on-test", "remove the name from the comment")


def test_a_suppression_of_a_rule_that_did_not_run_is_left_alone() -> None:
    assert left("f(x)  # mldebug: allow[log-of-softmax]\n", active={"fit-on-test", "unused-suppression"}) == []


@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("# mldebug: allow", "no rule is named"),
        ("# mldebug: allow log-of-softmax", "no rule is named"),
        ("# mldebug: allow file[log-of-softmax]", "no rule is named"),
        ("# mldebug: allow[]", "there is no name between the brackets"),
        ("# mldebug: allow[ , ]", "there is no name between the brackets"),
        ("# mldebug: allow[log-of-softmax", "the closing bracket is missing"),
        ("# mldebug: allow(log-of-softmax)", "names of rules go in square brackets"),
        ("# mldebug: ignore[log-of-softmax]", 'unknown directive "ignore"'),
        ("# mldebug: alow[log-of-softmax]", 'unknown directive "alow" (did you mean "allow"?)'),
        ("# mldebug: allow_file[log-of-softmax]", 'unknown directive "allow_file" (did you mean "allow-file"?)'),
        ("# mldebug: allow-line[log-of-softmax]", 'unknown directive "allow-line" (did you mean "allow"?)'),
        ("# mldebug-lint: ignore[log-of-softmax]", 'a suppression starts with "# mldebug: allow["'),
        ("# mldebug ignore", 'a suppression starts with "# mldebug: allow["'),
        ("# noqa  # mldbg: disable", 'a suppression starts with "# mldebug: allow["'),
        ("# mldebug:", "the directive is missing"),
        ("# mldebug allow[log-of-softmax]", 'a suppression starts with "# mldebug: allow["'),
        ("# mldbg: allow[log-of-softmax]", 'a suppression starts with "# mldebug: allow["'),
        ("# MLDebug: Allow[log-of-softmax]", 'a suppression starts with "# mldebug: allow["'),
        ("# noqa; mldebug: allow[log-of-softmax]", 'a suppression starts with "# mldebug: allow["'),
        ("# noqa  # mldebug-lint: allow[log-of-softmax]", 'a suppression starts with "# mldebug: allow["'),
    ],
)
def test_a_comment_of_another_form_says_what_is_wrong(comment: str, problem: str) -> None:
    assert left(f"f(x)  {comment}\n", at(1)) == [(1, "log-of-softmax"), (1, "invalid-suppression")]
    finding = only_complaint(f"f(x)  {comment}\n")
    assert finding.message == f"this suppresses nothing: {problem}"
    assert finding.hint == "write: # mldebug: allow[rule-name] reason"


@pytest.mark.parametrize(
    "comment",
    ["# mldebug is a linter", "# mldebug skips this, see below", "# see mldebug: it allows [brackets]", "# mldbg.contracts[x]"],
)
def test_words_about_the_linter_are_no_suppression(comment: str) -> None:
    assert left(f"f(x)  {comment}\n") == []


@pytest.mark.parametrize("name", ["unused-suppression", "unused-allowance", "suspicious"])
def test_complaints_can_be_suppressed_in_turn(name: str) -> None:
    assert left(f"f(x)  # mldebug: allow[log-of-softmax, {name}] only on some platforms\n") == []
    assert left(f"# mldebug: allow[log-of-softmax, {name}] only on some platforms\nf(x)\n") == []
    assert left(f"# mldebug: allow-file[{name}]\nf(x)  {ALLOW}\n") == []


@pytest.mark.parametrize("name", ["unused-suppression", "unused-allowance", "invalid-suppression", "unknown-allowance"])
def test_a_complaint_that_is_not_there_cannot(name: str) -> None:
    assert left(f"f(x)  # mldebug: allow[log-of-softmax, {name}]\n", at(1)) == [(1, "unused-suppression")]


def test_a_finding_outside_of_the_checked_rules_is_found_by_fixes_too() -> None:
    assert suppress.allowed(at(2), f"{ALLOW}\nf(x)\n")
    assert not suppress.allowed(at(2, "fit-on-test"), f"{ALLOW}\nf(x)\n")


@pytest.mark.parametrize("comment", ["# mldebug: allow[a]", "#mldebug allow", "#\tMLDBG: allow(b)", "x  #  mldebug-lint"])
def test_files_with_such_comments_are_looked_at(comment: str) -> None:
    assert directives.may_stand_in(f"x = 1\n{comment}\n".encode())
    assert not directives.may_stand_in(b"import torch\n# a comment about debugging\nx = 1\n")
