import pytest

from mldbg.lint import suppress
from mldbg.lint.finding import Finding, Group, Span

KNOWN = {"log-of-softmax", "fit-on-test", "fit-before-split"}


def at(line: int, rule: str = "log-of-softmax", end_line: int | None = None) -> Finding:
    return Finding(Span("a.py", line, 1, end_line or line, 5), rule, "something happens", Group.CORRECTNESS, "do something")


def left(text: str, *findings: Finding, active: set[str] = KNOWN) -> list[tuple[int, str]]:
    return [(each.span.line, each.rule) for each in suppress.apply(findings, text, "a.py", active, KNOWN)]


def test_a_comment_on_the_line_takes_the_finding_away() -> None:
    assert left("f(x)  # mldebug: allow[log-of-softmax] measured, is fine\n", at(1)) == []


def test_a_comment_on_the_line_above_does_too() -> None:
    assert left("# mldebug: allow[log-of-softmax] measured\nf(x)\n", at(2)) == []


def test_comments_above_may_be_stacked() -> None:
    text = "# mldebug: allow[log-of-softmax] a\n# mldebug: allow[fit-on-test] b\n# more words\nf(x)\n"
    assert left(text, at(4), at(4, "fit-on-test")) == []


def test_a_comment_behind_code_says_nothing_about_the_next_line() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax]\ng(x)\n"
    assert left(text, at(2)) == [(2, "log-of-softmax"), (1, "unused-allowance")]


@pytest.mark.parametrize("text", ["f(  # mldebug: allow[log-of-softmax]\nx\n)\n", "f(\nx\n)  # mldebug: allow[log-of-softmax]\n"])
def test_a_statement_of_several_lines_is_allowed_on_its_first_or_last(text: str) -> None:
    assert left(text, at(1, end_line=3)) == []


def test_several_names_in_one_comment() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax, fit-on-test] both are wanted\n"
    assert left(text, at(1), at(1, "fit-on-test")) == []


def test_other_rules_are_not_allowed() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax]\n"
    assert left(text, at(1), at(1, "fit-on-test")) == [(1, "fit-on-test")]


def test_an_unused_allowance_is_a_finding() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax]\n"
    [finding] = suppress.apply([], text, "a.py", KNOWN, KNOWN)
    assert (finding.rule, finding.group, finding.span) == ("unused-allowance", Group.SUSPICIOUS, Span("a.py", 1, 7, 1, 39))
    assert finding.message == "log-of-softmax reports nothing here"


def test_an_allowance_for_a_rule_that_did_not_run_is_left_alone() -> None:
    assert left("f(x)  # mldebug: allow[log-of-softmax]\n", active={"fit-on-test"}) == []


def test_an_unknown_name_is_a_finding_with_advice() -> None:
    [finding] = suppress.apply([], "f(x)  # mldebug: allow[log-of-sofmax]\n", "a.py", KNOWN, KNOWN)
    assert finding.rule == "unknown-allowance"
    assert finding.message == 'unknown rule "log-of-sofmax"; did you mean "log-of-softmax"'


@pytest.mark.parametrize("comment", ["# mldebug: allow", "# mldebug: ignore[log-of-softmax]", "# mldebug: allow[]"])
def test_a_comment_of_another_form_is_a_finding(comment: str) -> None:
    assert left(f"f(x)  {comment}\n", at(1)) == [(1, "log-of-softmax"), (1, "unknown-allowance")]


def test_a_string_is_no_comment() -> None:
    assert left('s = "# mldebug: allow[log-of-softmax]"\n', at(1)) == [(1, "log-of-softmax")]
    assert left('"""\n# mldebug: allow[log-of-softmax]\n"""\n', at(3)) == [(3, "log-of-softmax")]


def test_text_that_does_not_tokenize_still_has_comments() -> None:
    text = "f(x)  # mldebug: allow[log-of-softmax]\ng('# mldebug: allow[fit-on-test]')\nh(((\n"
    assert left(text, at(1)) == []


def test_line_ends_of_windows() -> None:
    assert left("# mldebug: allow[log-of-softmax] a\r\nf(x)\r\n", at(2)) == []


def test_form_feeds_end_no_line() -> None:
    assert left("x = 1\n\x0c\n# mldebug: allow[log-of-softmax] a\nf(x)\n", at(4)) == []
