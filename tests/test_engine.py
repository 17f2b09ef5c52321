"""Edits, proved fixes, the gate and the outline."""

from __future__ import annotations

import ast
import gc
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import libcst as cst
import pytest

from mldbg.lint import engine, gate, page, registry
from mldbg.lint.files import Source
from mldbg.lint.finding import Edit, Finding, Fix, Group, Span
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.facts import Call, Written
from mldbg.lint.interpret.library_calls import LibraryCalls
from mldbg.lint.interpret.value import Value
from mldbg.lint.outline import CannotOutlineError, Import, Kind, Outline, outline
from mldbg.lint.rule import Rule, calls
from mldbg.lint.triggers import SHAPE_TRIGGERS, TRIGGERS, Trigger, with_calls

RULES = registry.rules()


def span(line: int, column: int, end_line: int | None = None, end_column: int | None = None) -> Span:
    """A range; without an end it is empty."""
    return Span("a.py", line, column, line if end_line is None else end_line, column if end_column is None else end_column)


def edit(replacement: str, *place: int) -> Edit:
    return Edit(span(*place), replacement)


# --- apply: text and edits ---


def test_no_edit_changes_nothing() -> None:
    assert engine.apply("a\r\nb\rc\n\fd", []) == "a\r\nb\rc\n\fd"


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        ("x = 1\n", [edit("2", 1, 5, 1, 6)], "x = 2\n"),
        ("x = 1\n", [edit("yy", 1, 1, 1, 2)], "yy = 1\n"),
        ("x = 1\n", [edit("", 1, 1, 2, 1)], ""),
        ("a\nb\nc\n", [edit("", 2, 1, 3, 1)], "a\nc\n"),
        ("a\nb\nc\n", [edit("X\nY", 1, 2, 3, 1)], "aX\nYc\n"),
        ("a\nb\n", [edit("0\n", 1, 1)], "0\na\nb\n"),
        ("a\nb\n", [edit("c\n", 3, 1)], "a\nb\nc\n"),
        ("a\nb", [edit("c", 2, 2)], "a\nbc"),
        ("a\nb", [edit("c\n", 3, 1)], "a\nbc\n"),
        ("", [edit("a\n", 1, 1)], "a\n"),
        ("a\n", [edit("b", 9, 9)], "a\nb"),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_one_edit(text: str, edits: list[Edit], expected: str) -> None:
    assert engine.apply(text, edits) == expected


def test_the_order_of_edits_does_not_count() -> None:
    edits = [edit("1", 1, 1, 1, 2), edit("2", 1, 3, 1, 4), edit("3", 2, 1, 2, 2)]
    assert engine.apply("a b\nc\n", edits) == engine.apply("a b\nc\n", edits[::-1]) == "1 2\n3\n"


def test_neighbours_do_not_overlap() -> None:
    assert engine.apply("ab\n", [edit("1", 1, 1, 1, 2), edit("2", 1, 2, 1, 3)]) == "12\n"


def test_of_edits_that_overlap_the_first_in_the_text_wins() -> None:
    edits = [edit("late", 1, 2, 1, 4), edit("early", 1, 1, 1, 3)]
    assert engine.apply("abcd\n", edits) == "earlycd\n"


def test_of_edits_of_one_place_that_overlap_the_shorter_wins() -> None:
    assert engine.apply("abcd\n", [edit("long", 1, 1, 1, 4), edit("short", 1, 1, 1, 2)]) == "shortbcd\n"


def test_insertions_at_one_place_all_count_in_their_order() -> None:
    assert engine.apply("b\n", [edit("1", 1, 1), edit("2", 1, 1), edit("3", 1, 1)]) == "123b\n"


def test_an_insertion_and_a_replacement_at_one_place_both_count() -> None:
    assert engine.apply("b\n", [edit("new", 1, 1, 1, 2), edit("# ", 1, 1)]) == "# new\n"


def test_an_insertion_inside_a_replaced_range_is_dropped() -> None:
    assert engine.apply("abc\n", [edit("x", 1, 1, 1, 4), edit("lost", 1, 2)]) == "x\n"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends_are_counted_and_kept(newline: str) -> None:
    text = newline.join(["first", "second", "third", ""])
    assert engine.apply(text, [edit("2nd", 2, 1, 2, 7)]) == newline.join(["first", "2nd", "third", ""])


def test_mixed_line_ends() -> None:
    assert engine.apply("a\r\nb\rc\nd", [edit("X", 3, 1, 3, 2), edit("Y", 4, 1, 4, 2)]) == "a\r\nb\rX\nY"


def test_columns_count_characters() -> None:
    assert engine.apply("é = '😀'; x = 1\n", [edit("2", 1, 14, 1, 15)]) == "é = '😀'; x = 2\n"


@pytest.mark.parametrize("separator", ["\f", "\v", "\x1c", "\x85", "\u2028"])
def test_what_ends_no_line_of_python_ends_none_here(separator: str) -> None:
    text = f"a = '{separator}'\nb = 1\n"
    assert engine.apply(text, [edit("2", 2, 5, 2, 6)]) == f"a = '{separator}'\nb = 2\n"


# --- rules to experiment with ---


class Found(Rule):
    """Reports calls of F.softmax with a fix that is set from outside."""

    group = Group.CORRECTNESS
    listens_to = calls("torch.nn.functional.softmax")
    replacement: ClassVar[str] = "F.relu(x)"
    safe: ClassVar[bool] = True
    fixes: ClassVar[bool] = True

    def on_call(self, call: Call) -> Iterator[Finding]:
        place = call.place.site.span
        fix = Fix(self.safe, (Edit(place, self.replacement),)) if self.fixes else None
        yield self.found(call.place.site, "softmax", hint="none", fix=fix)


class Dislikes(Rule):
    """Reports calls of F.relu."""

    group = Group.CORRECTNESS
    listens_to = calls("torch.nn.functional.relu")

    def on_call(self, call: Call) -> Iterator[Finding]:
        yield self.found(call.place.site, "relu", hint="none")


Found.name, Dislikes.name = "found", "dislikes"

HEAD = "import torch.nn.functional as F\n"
ONE = HEAD + "y = F.softmax(x)\n"


def source(text: str) -> Source:
    return Source("a.py", None, text.encode())


def project() -> engine.Project:
    return engine.Project(Path("missing"), known=(Found, Dislikes))


def fixed(text: str, *rules: type[Rule], unsafe: bool = False) -> str:
    return engine.fix(source(text), rules or (Found,), project(), unsafe)[0]


def rule_names(text: str, *rules: type[Rule]) -> list[str]:
    return [finding.rule for finding in engine.check(source(text), rules, project()).findings]


# --- fix: every fix is proved ---


def test_a_fix_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fixed(ONE) == HEAD + "y = F.relu(x)\n"
    monkeypatch.setattr(Found, "replacement", "(F.relu(\n    x))")
    assert fixed(ONE) == HEAD + "y = (F.relu(\n    x))\n"


def test_what_remains_is_reported() -> None:
    text, outcome = engine.fix(source(ONE), (Found, Dislikes), project(), False)
    assert text == ONE
    assert [finding.rule for finding in outcome.findings] == ["found"]
    text, outcome = engine.fix(source(ONE), (Found,), project(), False)
    assert not outcome.findings


def test_a_fix_that_brings_another_finding_is_refused() -> None:
    assert fixed(ONE, Found, Dislikes) == ONE


def test_a_fix_that_brings_a_finding_that_was_there_elsewhere_is_refused() -> None:
    text = HEAD + "z = F.relu(x)\ny = F.softmax(x)\n"
    assert rule_names(text, Found, Dislikes) == ["dislikes", "found"]
    assert fixed(text, Found, Dislikes) == text


def test_a_fix_after_which_its_finding_remains_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Found, "replacement", "F.softmax(x)")
    assert fixed(ONE) == ONE
    monkeypatch.setattr(Found, "replacement", "F.softmax(F.softmax(x))")
    assert fixed(ONE) == ONE


@pytest.mark.parametrize("replacement", ["F.relu(x", "F.relu(x) = 1", "x\n  y", "\0", "(" * 300 + ")" * 300])
def test_a_fix_that_does_not_parse_is_refused(monkeypatch: pytest.MonkeyPatch, replacement: str) -> None:
    monkeypatch.setattr(Found, "replacement", replacement)
    assert fixed(ONE) == ONE


def test_an_unsafe_fix_is_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Found, "safe", False)
    assert fixed(ONE) == ONE
    assert fixed(ONE, unsafe=True) != ONE


def test_a_finding_without_a_fix_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Found, "fixes", False)
    assert fixed(ONE, unsafe=True) == ONE


def test_what_does_not_count_is_not_fixed() -> None:
    text = HEAD + "y = F.softmax(x)\nz = F.softmax(x)\n"
    result, _ = engine.fix(source(text), (Found,), project(), False, keep=lambda finding, _: finding.span.line == 3)
    assert result == HEAD + "y = F.softmax(x)\nz = F.relu(x)\n"


def test_many_findings_are_fixed_at_once() -> None:
    text = HEAD + "".join(f"y{number} = F.softmax(x)\n" for number in range(30))
    assert fixed(text) == text.replace("softmax", "relu")


def test_nested_findings_are_fixed_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Found, "replacement", "x")
    assert fixed(HEAD + "y = F.softmax(F.softmax(x))\n") == HEAD + "y = x\n"


def test_one_fix_that_fails_does_not_keep_others_from_being_taken() -> None:
    class Careful(Dislikes):
        def on_call(self, call: Call) -> Iterator[Finding]:
            if call.place.site.span.line == 3:
                yield from super().on_call(call)

    Careful.name = "careful"
    text = HEAD + "a = F.softmax(x)\nb = F.softmax(x)\nc = F.softmax(x)\n"
    assert fixed(text, Found, Careful) == HEAD + "a = F.relu(x)\nb = F.softmax(x)\nc = F.relu(x)\n"


def test_identical_lines_are_fixed_all() -> None:
    text = HEAD + "y = F.softmax(x)\n" * 3
    assert fixed(text) == HEAD + "y = F.relu(x)\n" * 3


def test_fixing_again_changes_nothing() -> None:
    once = fixed(HEAD + "y = F.softmax(F.softmax(x)); z = F.softmax(x)\n")
    assert fixed(once) == once


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("end", ["", "end"])
def test_a_fix_keeps_the_rest_of_the_text(newline: str, end: str) -> None:
    lines = ["# ☃ é", "import torch.nn.functional as F", "", "s = '😀'; y = F.softmax(x)  # ü", "\fz = 1"]
    text = newline.join(lines) + (newline if end else "")
    assert fixed(text) == text.replace("softmax", "relu")


def test_columns_of_findings_count_characters() -> None:
    (finding,) = engine.check(source(HEAD + "é = '😀'; y = F.softmax(x)\n"), (Found,), project()).findings
    assert (finding.span.line, finding.span.column, finding.span.end_column) == (2, 14, 26)


# --- check ---


def test_a_text_without_a_trigger_is_only_checked_for_its_syntax() -> None:
    assert engine.facts_of(source("y = x\n"), project()) == engine.Facts()
    [problem] = engine.check(source("def (:\n"), RULES, project()).problems
    assert (problem.line, problem.message) == (1, "syntax error: invalid syntax")


USES = "from {package} import probabilities\nfrom torch.nn.functional import cross_entropy\n\n\n"
USES += "def loss(x, y):\n    return cross_entropy(probabilities(x), y)\n"
MAKES = "from torch.nn.functional import softmax\n\n\ndef probabilities(x):\n    return softmax(x, dim=1)\n"


@pytest.mark.parametrize(
    ("importer", "package", "seen"),
    [
        ("site-packages/one/use.py", "one.make", True),
        ("site-packages/one/use.py", "two.make", False),
        ("site-packages/one/scripts/use.py", "two.make", False),
        ("site-packages/one/use.py", "app", False),
        ("use.py", "app", True),
        ("use.py", "one.make", False),
    ],
)
def test_installed_packages_do_not_see_their_neighbours(tmp_path: Path, importer: str, package: str, seen: bool) -> None:
    packages = tmp_path / "site-packages"
    (packages / "one" / "scripts").mkdir(parents=True)
    (packages / "two").mkdir()
    for name in ("one", "two"):
        (packages / name / "__init__.py").touch()
    for maker in (packages / "one" / "make.py", packages / "two" / "make.py", tmp_path / "app.py"):
        maker.write_text(MAKES, encoding="utf-8")
    file = tmp_path / importer
    file.write_text(USES.format(package=package), encoding="utf-8")
    for root in {tmp_path, packages if file.is_relative_to(packages) else tmp_path}:
        outcome = engine.check(Source(str(file), file, file.read_bytes()), RULES, engine.Project(root))
        assert [finding.rule for finding in outcome.findings] == ["softmax-before-cross-entropy"] * seen


def test_a_syntax_error_is_a_problem() -> None:
    outcome = engine.check(source("softmax = 1\ndef (:\n"), (Found,), project())
    assert not outcome.findings
    assert [(problem.path, problem.line) for problem in outcome.problems] == [("a.py", 2)]
    assert outcome.problems[0].message.startswith("syntax error")


def test_a_byte_order_mark_shifts_nothing() -> None:
    data = b"\xef\xbb\xbf" + b"import torch.nn.functional as F; y = F.softmax(x)\n"
    (finding,) = engine.check(Source("a.py", None, data), (Found,), project()).findings
    assert (finding.span.line, finding.span.column) == (1, 38)


def test_the_recursion_limit_is_restored() -> None:
    before = sys.getrecursionlimit()
    engine.check(source(ONE), (Found,), project())
    assert sys.getrecursionlimit() == before


@pytest.mark.parametrize(
    "expression",
    [
        "+".join(["x"] * 3000),
        "x" + ".y" * 3000,
        "x" + "[0]" * 1000,
        "f(" * 90 + ")" * 90,
        "not " * 500 + "x",
        "x" + "()" * 1000,
        "[" * 90 + "]" * 90,
        " or ".join(["x"] * 1900),
        "x if x else " * 1900 + "x",
    ],
    ids=["sum", "attributes", "subscripts", "calls", "nots", "chain", "lists", "terms", "choices"],
)
def test_deep_nesting_is_an_outcome(expression: str) -> None:
    outcome = engine.check(source(f"{HEAD}z = {expression}\ny = F.softmax(z)\n"), (Found,), project())
    assert all("deep" in problem.message for problem in outcome.problems)
    assert outcome.problems or outcome.findings


def test_many_statements_and_branches_end() -> None:
    body = "".join(f"{'    ' * depth}if x:\n" for depth in range(1, 60)) + "    " * 60 + "y = F.softmax(x)\n"
    assert engine.check(source(HEAD + "def f(x):\n" + body), (Found,), project()).findings
    flat = "".join(f"if u{number}: y = F.softmax(x)\n" for number in range(400))
    assert len(engine.check(source(HEAD + flat), (Found,), project()).findings) == 400


MANY = {
    "losses of one name": ("def f(x, y):\n    p = F.softmax(x, 1)\n", "    a{n} = F.cross_entropy(p, y)\n"),
    "losses of a call": ("def f(x, y):\n", "    a{n} = F.cross_entropy(F.softmax(x, 1), y)\n"),
    "losses of the module": ("", "a{n} = F.cross_entropy(F.softmax(x, 1), y)\n"),
    "losses of a name of the module": ("p = F.softmax(x, 1)\n", "a{n} = F.cross_entropy(p, y)\n"),
    "functions": ("", "def f{n}(x, y):\n    return F.cross_entropy(F.softmax(x, 1), y)\n\n\n"),
    "functions that call one": (
        "def p(x):\n    return F.softmax(x, 1)\n\n\n",
        "def f{n}(x, y):\n    return F.cross_entropy(p(x), y)\n\n\n",
    ),
    "methods": ("class A:\n", "    def f{n}(self, x, y):\n        return F.cross_entropy(F.softmax(x, 1), y)\n\n"),
    "tests": ("", "def test_{n}(x, y):\n    assert F.cross_entropy(F.softmax(x, 1), y) > {n}\n\n\n"),
    "statements": ("y = F.cross_entropy(F.softmax(x, 1), y)\n", "a{n} = x + {n}\n"),
}


@pytest.mark.parametrize(("first", "each"), MANY.values(), ids=MANY)
def test_the_time_grows_with_the_number_of_findings_not_with_its_square(first: str, each: str) -> None:
    def seconds(count: int) -> float:
        text = HEAD + first + "".join(each.replace("{n}", str(number)) for number in range(count))
        before = time.process_time()
        assert engine.check(source(text), registry.rules(), engine.Project(Path("missing"))).findings
        return time.process_time() - before

    gc.disable()
    try:
        few, many = (min(seconds(count) for _ in range(3)) for count in (100, 800))
    finally:
        gc.enable()
    assert many / few < 24, "eight times as many; squares would make it 64"


def test_functions_that_call_each_other_often_end() -> None:
    text = HEAD + "".join(f"def f{n}(x):\n    return f{n + 1}(x) + f{n + 1}(x) + f{n + 1}(F.softmax(x))\n" for n in range(30))
    assert engine.check(source(text), (Found,), project()).findings


OF_ITSELF = {
    "a list in itself": "x = [1]\nx.append(x)\nx.extend(x)\nfor x in x: x = [x, *x]",
    "a dict in itself": "x = {}\nx['x'] = x\nx.update(x)\nx = {'x': x, **x}\nx = x['x']['x']",
    "a list wrapped in a loop": "while y: x = [x]",
    "partial of itself": "p = functools.partial(f, x)\np = functools.partial(p, p)\np = functools.partial(p, x=p)\nx = p(p)",
    "a lambda called with itself": "g = lambda g: g(g)\nx = g(g)\nh = lambda h: lambda x: h(h)(x)\nx = h(h)(x)",
    "a decorator in itself": (
        "def d(f):\n    return d(f)\n@d\ndef g(x):\n    return g\n@g\ndef h(x):\n    return h(h)(x)\nx = h(x)"
    ),
    "a container in itself": "n = nn.Sequential(nn.ReLU())\nn.append(n)\nn.add_module('n', n)\nx = n(x)",
    "a list of layers in itself": "n = nn.ModuleList()\nn.append(n)\nn = nn.ModuleList([*n, n])\nx = n(x)",
    "a dict of layers in itself": "n = nn.ModuleDict({})\nn['n'] = n\nn.eval()\nx = n['n']['n'](x)",
    "two containers in each other": "n = nn.Sequential()\nm = nn.Sequential(n)\nn.append(m)\nx = n(x)",
    "a container doubled over and over": "n = nn.ReLU()\n" + "n = nn.Sequential(n, n)\n" * 30 + "x = n(x)",
    "an object of its own class": "class A:\n    a = None\nA.a = A()\nA.a.a = A\nx = A().a.a.a(x)",
    "a class that names itself": "class N(nn.Module):\n    def f(self, x):\n        return self.N.f(self, x)\nN.N = N",
    "a class in its own bases": "class A(A):\n    pass\nx = A()(x)",
    "an attribute that is itself": (
        "class A:\n    def __init__(self):\n        self.a = self\n        self.b = A()\nx = A().a.a.b.a.b.a"
    ),
    "a property of itself": "class A:\n    @property\n    def a(self):\n        return self.a\nx = A().a.a",
    "two classes that call each other": (
        "class A:\n    def __call__(self, x):\n        return B()(x)\n    def __getattr__(self, k):\n"
        "        return getattr(B(), k)\nclass B(A):\n    def __call__(self, x):\n        return A()(x)\n"
        "    def __getattr__(self, k):\n        return getattr(A(), k)\nx = A()(B().a.b)"
    ),
    "a module that holds itself in a container": (
        "class N(nn.Module):\n    def __init__(self):\n        self.a = nn.Sequential(self, nn.ReLU())\n"
        "        self.a.append(self.a)\n    def forward(self, x):\n        return self.a(x)\nx = N()(x)"
    ),
    "operators of themselves": (
        "class A:\n    def __add__(self, o):\n        return self + o\n    def __getitem__(self, i):\n"
        "        return self[i]\n    def __iter__(self):\n        yield from self\nx = A() + A()\nx = [*x[0]]"
    ),
}


@pytest.mark.parametrize("text", OF_ITSELF.values(), ids=OF_ITSELF)
@pytest.mark.parametrize("inside", [False, True], ids=["module", "function"])
def test_what_is_made_of_itself_is_followed_to_an_end(text: str, inside: bool) -> None:
    head = HEAD + "import functools\nfrom torch import nn\n"
    body = "def f(x, y):\n    " + text.replace("\n", "\n    ") + "\n    F.softmax(x)\n" if inside else f"{text}\nF.softmax(x)\n"
    outcome = engine.check(source(head + body), (Found,), project())
    assert not outcome.problems
    assert outcome.findings


@pytest.mark.parametrize("branches", [300, 900, 1900])
def test_many_branches_are_an_outcome(branches: int) -> None:
    ladder = "    if x: pass\n" + "    elif x: pass\n" * branches
    text = f"{HEAD}def f(x):\n{ladder}    return F.softmax(x)\n\n\ndef g(x):\n    return F.softmax(x)\n"
    outcome = engine.check(source(text), (Found,), project())
    assert [problem.line for problem in outcome.problems] in ([], [2])
    assert all("deep" in problem.message for problem in outcome.problems)
    assert [finding.span.line for finding in outcome.findings][-1] == branches + 8


def test_an_error_that_cannot_be_written_down_is_one_line() -> None:
    class UnspeakableError(Exception):
        def __str__(self) -> str:
            return str(self)

    assert engine.internal_error("a.py", 3, UnspeakableError()).message.startswith("internal error: UnspeakableError: ")
    assert len(engine.internal_error("a.py", 3, ValueError("x" * 10_000)).message) < 500


def test_a_defect_of_ours_costs_one_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    original = LibraryCalls.call_symbol

    def call_symbol(calls: LibraryCalls, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        if name == "torch.endless":
            return call_symbol(calls, name, arguments, site)
        return original(calls, name, arguments, site)

    monkeypatch.setattr(LibraryCalls, "call_symbol", call_symbol)
    text = "import torch\n" + HEAD + "def f(x):\n    return F.softmax(torch.endless(x))\n\n\ndef g(x):\n    return F.softmax(x)\n"
    outcome = engine.check(source(text), (Found,), project())
    [problem] = outcome.problems
    assert problem.line == 3
    assert problem.message.startswith("internal error: RecursionError: ")
    assert problem.message.endswith("; please report it, along with this file")
    assert [finding.span.line for finding in outcome.findings] == [8]


def test_a_very_long_line_is_not_analysed() -> None:
    table = ", ".join(["(1, -2)"] * 60_000)
    outcome = engine.check(
        source(HEAD + f"\n\ndef f(x):\n    table = [{table}]\n    return F.softmax(x, table)\n"), (Found,), project()
    )
    [problem] = outcome.problems
    assert problem.line == 5
    assert problem.message == "a line of 540,013 characters (limit 500,000) is not analysed: minified or generated code"
    assert engine.check(
        source(HEAD + f"TABLE = [{table}]\n\n\ndef f(x):\n    return F.softmax(x)\n"), (Found,), project()
    ).findings


def test_what_libcst_gives_up_on_need_not_be_new_syntax() -> None:
    strings = "\n".join(["    'abc'"] * 10_000)
    [problem] = engine.check(source(HEAD + f"def f(x):\n    F.softmax(x, (\n{strings}\n    ))\n"), (Found,), project()).problems
    assert "cannot parse this: unknown syntax, or a very long chain" in problem.message


class Failing(Found):
    """Stands for a rule of another package with a defect."""

    def on_call(self, call: Call) -> Iterator[Finding]:
        raise ValueError(f"nothing is known of {call.name}")


@pytest.mark.parametrize("rules", [(Found, Failing), (Failing, Found)])
def test_a_rule_that_fails_costs_no_finding_of_others(rules: tuple[type[Rule], ...]) -> None:
    outcome = engine.check(source(HEAD + "def f(x):\n    return F.softmax(x)\n"), rules, project())
    assert [finding.span.line for finding in outcome.findings] == [3]
    [problem] = outcome.problems
    assert problem.message == (
        f"internal error in the rule {Failing.name}: ValueError: nothing is known of torch.nn.functional.softmax; "
        f"please report it to the authors of {__name__}, along with this file"
    )


# --- gate ---


def passes(text: bytes, *triggers: Trigger) -> bool:
    return bool(gate.present(text, triggers))


def trigger(*words: str, beside: tuple[tuple[str, ...], ...] = ()) -> Trigger:
    return Trigger(frozenset(words), beside)


def test_without_a_trigger_nothing_passes() -> None:
    assert not passes(b"backward", trigger())


@pytest.mark.parametrize(
    "text",
    [
        b"x.backward()",
        b"'backward'",
        b"\nbackward",
        b"a\r\nbackward\r\n",
        b"backward",
        b"'#' + backward",
        b"'" + 3 * b'"' + b"', backward",
    ],
)
def test_a_trigger_word_passes(text: bytes) -> None:
    assert passes(text, trigger("backward"))


@pytest.mark.parametrize("text", [b"", b"back ward", b"Backward", b"backwar", b"backwards()", b"my_backward", b"x.backward2"])
def test_other_words_do_not(text: bytes) -> None:
    assert not passes(text, trigger("backward"))


@pytest.mark.parametrize(
    "text",
    [b"# backward", b"'''backward'''", b'"""\n>>> x.backward()\n"""', b'"""a "quoted" backward \\""" b"""', b"def backward(): 0"],
)
def test_prose_and_the_name_of_a_definition_do_not(text: bytes) -> None:
    assert not passes(text, trigger("backward"))


def test_a_word_that_must_be_called_passes_only_as_a_call() -> None:
    assert passes(b"x.backward()", trigger("backward("))
    assert not passes(b"x.backward", trigger("backward("))


def test_each_trigger_stands_for_itself() -> None:
    one, two, three = trigger("one"), trigger("two", "deux"), trigger("three")
    assert gate.present(b"three deux", (one, two, three)) == (two, three)


def test_what_must_stand_beside_is_looked_for_in_code_only() -> None:
    wanted = trigger("fit", beside=(("sklearn", "imblearn"), (r"split\(",)))
    assert passes(b"import sklearn; fit; split()", wanted)
    assert not passes(b"import sklearn; fit; split", wanted)
    assert not passes(b"import numpy; fit; split()  # sklearn", wanted)


def test_a_word_is_no_pattern() -> None:
    assert not passes(b"abc", trigger("a.c"))


def test_words_beside_letters_that_are_not_ascii_pass() -> None:
    assert passes("x = 'é'; backward".encode(), trigger("backward"))


def test_what_a_rule_of_another_package_listens_to_is_worth_executing() -> None:
    assert not passes(b"nn.Bilinear(2, 2, 2)", *TRIGGERS)
    assert passes(b"nn.Bilinear(2, 2, 2)", *with_calls({"torch.nn.Bilinear.__call__"}))
    assert with_calls({"torch.nn.CrossEntropyLoss.__call__"}) == TRIGGERS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_bad_example_of_a_rule_passes_the_gate(rule: type[Rule]) -> None:
    assert rule.__doc__ is not None
    bad = rule.__doc__.partition("## Bad")[2]
    where = rule.listens_to.where
    reads = where is not None and where.search(page.sections(rule)["Bad"]) is not None
    if reads or rule.listens_to.kinds == {Written}:
        assert reads
        return
    triggers = SHAPE_TRIGGERS if rule.about_shapes else TRIGGERS
    assert passes(bad.encode(), *triggers)


# --- outline ---


def kinds(text: str) -> list[tuple[Kind, int, int, tuple[str, ...]]]:
    return [(statement.kind, statement.first, statement.last, statement.names) for statement in outline(text).statements]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("# only a comment\n", []),
        ("x = 1", [(Kind.ASSIGNMENT, 1, 1, ("x",))]),
        ("x: int = 1\n", [(Kind.ASSIGNMENT, 1, 1, ("x",))]),
        ("x, (y, *z) = 1\n", [(Kind.ASSIGNMENT, 1, 1, ("x", "y", "z"))]),
        ("x.y = z[0] = 1\n", [(Kind.ASSIGNMENT, 1, 1, ())]),
        ("x += 1\n", [(Kind.CODE, 1, 1, ("x",))]),
        ("print((y := 1))\n", [(Kind.CODE, 1, 1, ("y",))]),
        ("import a\n", [(Kind.IMPORT, 1, 1, ())]),
        ("def f():\n    x = 1\n", [(Kind.FUNCTION, 1, 2, ("f",))]),
        ("async def f(): 0\n", [(Kind.FUNCTION, 1, 1, ("f",))]),
        ("class C:\n    x = 1\n\n    def m(self): 0\n", [(Kind.CLASS, 1, 4, ("C",))]),
        ("@d\n@e(\n  1\n)\ndef f():\n    0\n", [(Kind.FUNCTION, 1, 6, ("f",))]),
        ("@d\nclass C: 0\n", [(Kind.CLASS, 1, 2, ("C",))]),
        ("x = (\n  1,\n)\n\ny = 2\n", [(Kind.ASSIGNMENT, 1, 3, ("x",)), (Kind.ASSIGNMENT, 5, 5, ("y",))]),
        ("a = 1; b = 2; import c\n", [(Kind.CODE, 1, 1, ("a", "b"))]),
        ("a = 1; b = (\n2)\nc = 3\n", [(Kind.CODE, 1, 2, ("a", "b")), (Kind.ASSIGNMENT, 3, 3, ("c",))]),
        ("a = '''\n'''; b = 2\n", [(Kind.CODE, 1, 2, ("a", "b"))]),
        ("if x:\n    def f(): 0\nelse:\n    f = 1\n", [(Kind.CODE, 1, 4, ("f",))]),
        ("for i in x:\n    y = i\n", [(Kind.CODE, 1, 2, ("i", "y"))]),
        ("with a as b: c = 1\n", [(Kind.CODE, 1, 1, ("b", "c"))]),
        ("'''\ndoc\n'''\nx = 1\n", [(Kind.CODE, 1, 3, ()), (Kind.ASSIGNMENT, 4, 4, ("x",))]),
        ("x = 1 \\\n  + 2\n", [(Kind.ASSIGNMENT, 1, 2, ("x",))]),
        ("x = 1\r\ny = 2\r\n", [(Kind.ASSIGNMENT, 1, 1, ("x",)), (Kind.ASSIGNMENT, 2, 2, ("y",))]),
        ("x = 1\ry = 2\r", [(Kind.ASSIGNMENT, 1, 1, ("x",)), (Kind.ASSIGNMENT, 2, 2, ("y",))]),
        (
            "x = 1\n\fy = 2\n\f\nz = 3\n",
            [(Kind.ASSIGNMENT, 1, 1, ("x",)), (Kind.ASSIGNMENT, 2, 2, ("y",)), (Kind.ASSIGNMENT, 4, 4, ("z",))],
        ),
        ("# é\nx = '\u2028'\ny = 1\n", [(Kind.ASSIGNMENT, 2, 2, ("x",)), (Kind.ASSIGNMENT, 3, 3, ("y",))]),
        ("try:\n    x = 1\nexcept E as error:\n    y = 2\n", [(Kind.CODE, 1, 4, ("x", "y"))]),
        ("match x:\n    case [y]: z = 1\n", [(Kind.CODE, 1, 2, ("z",))]),
        ("x = 1\ndel x\n", [(Kind.ASSIGNMENT, 1, 1, ("x",)), (Kind.CODE, 2, 2, ())]),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_statements(text: str, expected: list[tuple[Kind, int, int, tuple[str, ...]]]) -> None:
    found = [(kind, first, last, tuple(sorted(names))) for kind, first, last, names in kinds(text)]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    [
        "@d\ndef f():\n    '''\n    '''\n    return 1\n\n\nclass C:\n    pass\nx = 1; y = (\n  2)\n",
        "def f():\r\n    return 1\r\n\r\nx = [\r\n1]\r\n",
        "x = 1\n\f\ndef f():\n    pass\n\f\ny = 2",
        "if x:\n    pass\n# comment\nelif y:\n    pass\nelse: z\n",
        "x = '''\n  text\n'''\ny = 1",
        "class C:\n    x = 1\n    # a comment at the end\n\nz = 1\n",
    ],
)
def test_the_text_of_each_statement_stands_for_itself(text: str) -> None:
    found: Outline = outline(text)
    pieces = [found.text(statement) for statement in found.statements]
    for piece in pieces:
        cst.parse_module(piece)
    merged = "".join(pieces)
    assert [ast.dump(node) for node in ast.parse(merged).body] == [ast.dump(node) for node in ast.parse(text).body]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a.b.c\n", {"a": Import("a", None, 0)}),
        ("import a.b as c\n", {"c": Import("a.b", None, 0)}),
        ("import a, b as c\n", {"a": Import("a", None, 0), "c": Import("b", None, 0)}),
        ("from a.b import c as d, e\n", {"d": Import("a.b", "c", 0), "e": Import("a.b", "e", 0)}),
        ("from . import a\n", {"a": Import("", "a", 1)}),
        ("from ..a import b\n", {"b": Import("a", "b", 2)}),
        ("if x:\n    import a\nelse:\n    import b as a\n", {"a": Import("a", None, 0)}),
        ("try:\n    from a import f\nexcept ImportError:\n    from b import f\n", {"f": Import("a", "f", 0)}),
        ("try:\n    x\nexcept ImportError:\n    from b import f\n", {"f": Import("b", "f", 0)}),
        ("try:\n    x\nfinally:\n    import a\n", {"a": Import("a", None, 0)}),
        ("if TYPE_CHECKING:\n    from a import B\n", {"B": Import("a", "B", 0)}),
        ("with x:\n    import a\n", {"a": Import("a", None, 0)}),
        ("def f():\n    import a\n", {}),
        ("class C:\n    import a\n", {}),
        ("import a; import b\n", {"a": Import("a", None, 0), "b": Import("b", None, 0)}),
        ("import a\nimport b as a\n", {"a": Import("b", None, 0)}),
        ("if x:\n    try:\n        import a\n    except E: pass\n", {"a": Import("a", None, 0)}),
        ("for x in y:\n    import a\n", {"a": Import("a", None, 0)}),
        ("while x:\n    import a\n", {"a": Import("a", None, 0)}),
        ("try:\n    import a\nexcept* E:\n    pass\n", {"a": Import("a", None, 0)}),
        ("async def f():\n    async with x:\n        import a\n", {}),
        ("match x:\n    case 1:\n        import a\n", {"a": Import("a", None, 0)}),
    ],
    ids=lambda value: repr(value) if isinstance(value, str) else "",
)
def test_imports(text: str, expected: dict[str, Import]) -> None:
    assert outline(text).imports == expected


def test_star_imports() -> None:
    assert outline("from a import *\nfrom .b import *\n").star_imports == (Import("a", None, 0), Import("b", None, 1))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def (:\n", 1),
        ("x = 1\ny = (\n", 2),
        ("  x = 1\n", 1),
        ("x = 'a\n", 1),
        ("return return\n", 1),
        ("x = 1\n\n\nif x\n", 4),
        ("\ufeffx = 1\n", 1),
        ("x = 1\ny = '\\x1'\n", 2),
        ("x = b'\u00e9'\n", 1),
        ("print 1\n", 1),
    ],
)
def test_what_nobody_can_read_is_a_syntax_error(text: str, line: int) -> None:
    with pytest.raises(CannotOutlineError, match=r"^syntax error") as caught:
        outline(text)
    assert caught.value.line == line


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 250 + ")" * 250,
        "x = " + "[" * 5000 + "]" * 5000,
        "x = " + "-" * 100_000 + "1",
        "x = " + "f(" * 150 + ")" * 150 + "\n" + "{" * 9000,
    ],
    ids=["brackets", "lists", "minuses", "calls"],
)
def test_deep_nesting_cannot_be_outlined(text: str) -> None:
    with pytest.raises(CannotOutlineError):
        outline(text)


def test_many_levels_of_blocks_are_too_many() -> None:
    text = "".join(f"{' ' * depth}if x:\n" for depth in range(120)) + " " * 120 + "x\n"
    with pytest.raises(CannotOutlineError):
        outline(text)


@pytest.mark.parametrize("text", ["type X = int\n", "def f[T](x: T) -> T:\n    return x\n", 'x = f\'{"a" + f"{"b"}"}\'\n'])
def test_syntax_newer_than_the_running_python_is_outlined(text: str) -> None:
    found = outline("import a\n" + text + "y = 1\n")
    assert found.imports == {"a": Import("a", None, 0)}
    assert [statement.kind for statement in found.statements][0::2] == [Kind.IMPORT, Kind.ASSIGNMENT]


def test_newer_syntax_is_checked() -> None:
    text = HEAD + "type X = int\n\n\ndef f[T](x: T) -> T:\n    return F.softmax(x)\n\n\nf(1)\n"
    assert rule_names(text, Found) == ["found"]


def test_words_of_a_statement() -> None:
    found = outline("a = b.c('d e')  # f\n\n\ng = 1\n")
    first = found.statements[0]
    assert found.words(first.first, first.last) == {"a", "b", "c", "c(", "d", "e"}
