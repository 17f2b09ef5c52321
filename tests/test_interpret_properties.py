"""What the interpreter claims of random programs is what Python computes when it runs them.

Programs are drawn feature by feature. Wherever a program was watched while it really ran, some observation of the interpreter
at the same line must agree: each constant, and each list, tuple or dict whose content the interpreter claims to know. A real
None agrees with everything, as a join lets None give way.
"""

from __future__ import annotations

import ast
import copy
import itertools
import random
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Never

import libcst as cst
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mldbg.lint import engine, registry
from mldbg.lint.files import Source
from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.interpreter import Interpreter
from mldbg.lint.interpret.join import join, joined
from mldbg.lint.interpret.module import Part
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    Axes,
    Constant,
    Data,
    Entries,
    Items,
    Object,
    Opaque,
    Role,
    Symbol,
    Trail,
    Value,
    literal,
)
from mldbg.semantics import Semantic
from test_interpret import CASES, class_name, content, expression, files_of, interpreted, same

EXAMPLES = 40
FEATURES = (
    "branches",
    "conditional_expressions",
    "loops",
    "loop_else",
    "while_loops",
    "unpacking",
    "list_changes",
    "list_aliases",
    "dicts",
    "comprehensions",
    "try_statements",
    "functions",
    "redefinitions",
    "closures",
    "global_names",
    "classes",
    "match_statements",
    "with_statements",
    "generators",
    "strings",
)
WATCHED = ("a", "b", "c", "xs", "ys", "t", "m", "s", "p", "k", "o.v", "o.w")
START = """from oracle import u
from contextlib import nullcontext

a = 1
b = 2
c = 0
xs = [1, 2]
ys = []
t = (1, 2)
m = {"p": 1}
s = "s"
"""
CLASS = """
class C:
    w = 5

    def __init__(self, v):
        self.v = v

    def add(self, n):
        self.v = self.v + n
        return self.v

o = C(1)
"""


# --- random programs ---


class Writer:
    """Writes a program with the help of random choices; of the statements only those of the features it is given."""

    def __init__(self, choose: Callable[[int], int], features: frozenset[str]) -> None:
        self.choose = choose
        self.features = features
        self.lines: list[str] = []
        self.functions: list[str] = []
        self.count = 0

    def one_of(self, *options: Any) -> Any:
        return options[self.choose(len(options))]

    def has(self, feature: str) -> bool:
        return feature in self.features

    def write(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    def number(self, depth: int = 2) -> str:
        simple = [str(self.choose(4)), "a", "b", "c"]
        if depth == 0:
            return str(self.one_of(*simple))
        more: list[Callable[[], str]] = [
            lambda: f"({self.number(depth - 1)} {self.one_of('+', '-', f'* {self.choose(3)} +')} {self.number(depth - 1)})",
            lambda: f"len({self.one_of('xs', 'ys', 't')})",
            lambda: f"-{self.number(0)}",
            lambda: f"t[{self.choose(2)}]",
            lambda: f"xs[{self.one_of(0, 1, -1)}]",
        ]
        if self.has("conditional_expressions"):
            more += [
                lambda: f"({self.number(depth - 1)} if {self.truth()} else {self.number(depth - 1)})",
                lambda: f"({self.one_of('a', 'b')} := {self.number(depth - 1)})",
                lambda: f"({self.truth()} and {self.number(depth - 1)})",
                lambda: f"({self.number(depth - 1)} or {self.number(depth - 1)})",
            ]
        if self.has("dicts"):
            more += [lambda: f"m.get({self.key()}, {self.number(0)})", lambda: f"m[{self.key()}]", lambda: "len(m)"]
        if self.functions:
            more += [lambda: f"{self.one_of(*self.functions)}({self.number(depth - 1)})"] * 3
        if self.has("classes"):
            more += [lambda: "o.v", lambda: f"o.add({self.number(0)})", lambda: "o.w"]
        if self.has("comprehensions"):
            more += [lambda: f"sum({self.sequence()})"]
        return str(self.one_of(*simple)) if self.choose(2) else str(self.one_of(*more)())

    def truth(self) -> str:
        return str(
            self.one_of(
                lambda: "u()",
                lambda: f"{self.number(1)} {self.one_of('<', '==', '>=', '!=', 'is')} {self.number(0)}",
                lambda: f"not {self.number(0)}",
                lambda: f"{self.number(0)} in {self.one_of('xs', 't', '(0, 1)')}",
                lambda: f"(u() {self.one_of('and', 'or')} {self.number(0)})",
                lambda: str(self.one_of("xs", "ys", "t", "m", "s")),
            )()
        )

    def key(self) -> str:
        return str(self.one_of("'p'", "'q'", "1"))

    def sequence(self) -> str:
        options: list[Callable[[], str]] = [
            lambda: str(self.one_of("xs", "ys", "t", "t[:1]", "xs[1:]")),
            lambda: f"[{self.number(1)}, {self.number(1)}]",
            lambda: f"({self.number(1)}, {self.number(1)})",
            lambda: f"range({self.choose(4)})",
            lambda: f"reversed({self.one_of('xs', 't')})",
        ]
        if self.has("comprehensions"):
            options += [
                lambda: f"[{self.one_of('k', 'k + a', 'k * 2')} for k in {self.one_of('xs', 't', 'range(3)')}]",
                lambda: f"[k for k in {self.one_of('xs', 't')} if {self.one_of('k > 1', 'u()')}]",
                lambda: "{k % 2 for k in xs}",
                lambda: "[k + j for k in t for j in xs]",
                lambda: "[[k] for k in t][0]",
            ]
        if any(line.startswith("def g") for line in self.lines) and self.has("generators"):
            options += [lambda: f"g({self.number(0)})", lambda: f"list(g({self.number(0)}))"] * 3
        if self.has("dicts"):
            options += [lambda: "m", lambda: "m.values()", lambda: "[k for k, _ in m.items()]"]
        return str(self.one_of(*options)())

    def block(self, indent: int, depth: int, *, loop: bool = False, function: bool = False) -> None:
        for _ in range(1 + self.choose(3)):
            self.statement(indent, depth, loop=loop, function=function)

    def statement(self, indent: int, depth: int, *, loop: bool = False, function: bool = False) -> None:
        simple = [
            lambda: self.write(indent, f"{self.one_of('a', 'b', 'c')} = {self.number()}"),
            lambda: self.write(indent, f"{self.one_of('a', 'b', 'c')} {self.one_of('+=', '-=', '*= 2 -')} {self.number(1)}"),
            lambda: self.write(indent, f"t = ({self.number(1)}, {self.number(1)})"),
            lambda: self.write(indent, f"xs = [{self.number(1)}, {self.number(1)}]"),
        ]
        special = self.special(indent, depth, loop=loop, function=function)
        options = simple if depth == 0 or not special or self.choose(3) == 0 else special
        self.one_of(*options)()

    def special(self, indent: int, depth: int, *, loop: bool, function: bool) -> list[Callable[[], None]]:
        found: list[Callable[[], None]] = []
        inner = {"depth": depth - 1, "loop": loop, "function": function}
        if self.has("branches"):
            found.append(lambda: self.branch(indent, inner))
        if self.has("loops"):
            found.append(lambda: self.for_loop(indent, inner))
        if self.has("while_loops"):
            found.append(lambda: self.while_loop(indent, inner))
        if loop:
            found += [
                lambda: self.write(
                    indent, str(self.one_of("if u(): break", "if u(): continue", "if a == 1: break", "if b: continue"))
                )
            ] * 2
        if function:
            found.append(lambda: self.write(indent, f"if {self.truth()}: return {self.number(1)}"))
        if self.has("unpacking"):
            found += [
                lambda: self.write(indent, "a, b = b, a"),
                lambda: self.write(indent, f"a, b = {self.one_of('t', 'xs', 'sorted(t)')}"),
                lambda: self.write(indent, f"a, *ys = {self.sequence()}"),
                lambda: self.write(indent, f"(a, b), c = t, {self.number(0)}"),
                lambda: self.write(indent, f"xs = [*{self.sequence()}, a]"),
                lambda: self.write(indent, f"a = b = {self.number(1)}"),
            ]
        if self.has("list_changes"):
            found += [lambda: self.write(indent, self.list_change("xs"))] * 2
        if self.has("list_aliases"):
            found += [
                lambda: self.write(
                    indent, str(self.one_of("ys = xs", "xs = ys", "ys = xs[:]", "ys = list(xs)", "ys = xs.copy()"))
                ),
                lambda: self.write(indent, f"xs.append({self.one_of('a', 'ys', '[a]')})"),
                lambda: self.write(indent, "ys += [b]"),
                lambda: self.write(indent, f"t = ({self.one_of('xs', 'ys')}, {self.one_of('xs', '[a]')})"),
            ]
        if self.has("dicts"):
            found += [lambda: self.write(indent, self.dict_change())] * 2
        if self.has("comprehensions"):
            found += [
                lambda: self.write(indent, f"xs = list({self.sequence()})"),
                lambda: self.write(indent, f"t = tuple({self.sequence()})"),
                lambda: self.write(indent, "m = {k: k + a for k in xs}"),
            ]
        if self.has("try_statements"):
            found += [lambda: self.try_statement(indent, inner)] * 2 + [lambda: self.write(indent, "if u(): raise ValueError")]
        if self.has("match_statements"):
            found.append(lambda: self.match(indent, inner))
        if self.has("with_statements"):
            found.append(lambda: self.with_statement(indent, inner))
        if self.has("classes"):
            found += [
                lambda: self.write(indent, f"o.v = {self.number(1)}"),
                lambda: self.write(indent, f"o = C({self.number(1)})"),
                lambda: self.write(indent, f"xs.append(C({self.number(0)}).v)"),
                lambda: self.write(indent, f"C.w = {self.number(0)}"),
            ]
        if self.has("strings"):
            found += [
                lambda: self.write(
                    indent, f"s = {self.one_of('s + str(a)', 's', repr('x'))} + {self.one_of(repr('y'), 's', repr(''))}"
                ),
                lambda: self.write(indent, f"s = {self.one_of(repr('x'), 's * 2', 's[:1]', 's.upper()', 'f' + repr('{a}'))}"),
                lambda: self.write(
                    indent, f"a = {self.one_of('s == ' + repr('s'), 'len(s)', repr('x') + ' in s', 's < ' + repr('x'))}"
                ),
            ]
        if indent == 0 and not self.features.isdisjoint(("functions", "redefinitions", "closures", "generators", "global_names")):
            found += [self.function] * 3
        return found

    def list_change(self, name: str) -> str:
        n = self.number(1)
        return str(
            self.one_of(
                f"{name}.append({n})",
                f"{name}.extend(({n}, {n}))",
                f"{name} += [{n}]",
                f"{name}[0] = {n}",
                f"{name}.insert(0, {n})",
                f"a = {name}.pop()",
                f"{name}.reverse()",
                f"{name}.sort()",
                f"{name}.clear()",
                f"del {name}[0]",
                f"{name}.remove({n})",
                f"{name}[1:] = [{n}]",
                f"{name} *= 2",
                f"t += ({n},)",
            )
        )

    def dict_change(self) -> str:
        key, n = self.key(), self.number(1)
        return str(
            self.one_of(
                f"m[{key}] = {n}",
                f"m.update({{{key}: {n}}})",
                f"a = m.pop({key}, 0)",
                f"m.setdefault({key}, {n})",
                f"del m[{key}]",
                "m.clear()",
                f"m = {{{key}: {n}}}",
                f"m = {{**m, {key}: {n}}}",
                f"m = dict(m, p={n})",
                f"m |= {{{key}: {n}}}",
                f"m[{key}] += 1",
                "a = 'p' in m",
            )
        )

    def branch(self, indent: int, inner: dict[str, Any]) -> None:
        self.write(indent, f"if {self.truth()}:")
        self.block(indent + 1, **inner)
        if self.choose(2):
            self.write(indent, f"elif {self.truth()}:")
            self.block(indent + 1, **inner)
        if self.choose(2):
            self.write(indent, "else:")
            self.block(indent + 1, **inner)

    def for_loop(self, indent: int, inner: dict[str, Any]) -> None:
        header = self.one_of(
            lambda: f"for k in {self.sequence()}:",
            lambda: f"for a in {self.sequence()}:",
            lambda: "for k, b in enumerate(xs):",
            lambda: "for k, b in zip(xs, t):",
            lambda: f"for k in ({self.number(0)}, {self.number(0)}, {self.number(0)}):",
        )()
        self.write(indent, header)
        self.block(indent + 1, **{**inner, "loop": True})
        self.loop_else(indent, inner)

    def loop_else(self, indent: int, inner: dict[str, Any]) -> None:
        if self.has("loop_else") and self.choose(2):
            self.write(indent, "else:")
            self.block(indent + 1, **inner)

    def while_loop(self, indent: int, inner: dict[str, Any]) -> None:
        test = self.one_of("u()", "u() and a < 5", "a < 3 and u()", "n()")
        self.write(indent, f"while {test}:")
        self.block(indent + 1, **{**inner, "loop": True})
        self.loop_else(indent, inner)

    def try_statement(self, indent: int, inner: dict[str, Any]) -> None:
        self.write(indent, "try:")
        self.block(indent + 1, **inner)
        if self.choose(2):
            self.write(indent + 1, str(self.one_of("raise ValueError", "if u(): raise ValueError", "a = t[9]", "1 // c")))
            self.block(indent + 1, **inner)
        handled = self.choose(4)
        if handled:
            self.write(indent, f"except {self.one_of('Exception', 'ValueError', '(IndexError, ValueError)')}:")
            self.block(indent + 1, **inner)
            if self.choose(3) == 0:
                self.write(indent, "else:")
                self.block(indent + 1, **inner)
        if not handled or self.choose(3) == 0:
            self.write(indent, "finally:")
            self.block(indent + 1, **inner)

    def match(self, indent: int, inner: dict[str, Any]) -> None:
        self.write(indent, f"match {self.one_of('a', 't', 'm', 'xs', 's')}:")
        for pattern in ("1", "(k, 2)", "[b, *ys]", "{'p': c}", "0 | 2", "k if u()", "str()", "_")[self.choose(4) :: 2]:
            self.write(indent + 1, f"case {pattern}:")
            self.block(indent + 2, **inner)

    def with_statement(self, indent: int, inner: dict[str, Any]) -> None:
        self.write(indent, f"with nullcontext({self.number(0)}) as {self.one_of('k', 'a')}:")
        self.block(indent + 1, **inner)

    def function(self) -> None:
        name = self.one_of("f", "g")
        if f"def {name}(" in "\n".join(self.lines) and not self.has("redefinitions"):
            return
        self.write(0, f"def {name}(p{self.one_of('', '=3', ', *rest', ', **more')}):")
        if self.has("global_names"):
            self.write(1, "global a, xs")
        local = "" if self.has("global_names") else "a = p; xs = [p]"
        self.write(1, local or "pass")
        self.write(1, "b = c = p; t = (p, p); ys = []; m = {}; s = ''; k = 0")
        if name == "g" and self.has("generators"):
            self.write(1, "yield p")
            self.write(1, f"yield from {self.one_of('xs', 't', '(p, 7)')}")
            if self.choose(2):
                self.write(1, "xs.append(p)")
                self.write(1, "yield xs[-1]")
        elif self.has("closures"):
            self.closure()
        else:
            self.block(1, 1, function=True)
            if self.choose(3):
                self.write(1, f"return {self.one_of('a', 'b', 'p', 't[0]', 'len(xs)')}")
        if name not in self.functions and not (name == "g" and self.has("generators")):
            self.functions.append(name)
        self.write(0, f"ys = [{name}({self.number(0)})]" if not self.has("generators") else f"xs = list({self.sequence()})")

    def closure(self) -> None:
        self.write(1, "def inner(q):")
        if self.choose(2):
            self.write(2, "nonlocal b, c")
        else:
            self.write(2, "b = 0; c = q")
        self.write(2, f"b {self.one_of('=', '+=')} q")
        self.write(2, f"return {self.one_of('b', 'p + b', 'c')}")
        self.block(1, 1, function=True)
        self.write(1, f"{self.one_of('b', 'inner')} = inner(1) if {self.truth()} else lambda q: b")
        self.write(1, f"fs = [inner, lambda q: {self.one_of('b', 'q', 'p')}] if callable(b) else [lambda q: p]")
        self.write(1, "return fs[0](2)")


def program(choose: Callable[[int], int], features: frozenset[str]) -> str:
    """The text of a random program, ready to be watched."""
    writer = Writer(choose, features)
    for _ in range(2 + choose(5)):
        writer.statement(0, 2)
    text = START + (CLASS if "classes" in features else "") + "\n".join(writer.lines) + "\n"
    ast.parse(text)
    return text


# --- the oracle ---


class Notes(ast.NodeTransformer):
    """Lets a program note its variables after every simple statement outside of functions."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return node  # what a function does shows outside, and the interpreter need not enter it
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if (
                isinstance(block, list) and block and block[0].lineno != getattr(node, "lineno", 0)
            ):  # `if u(): break` is not watched
                setattr(node, name, list(self.noted(block)))
        return node

    @staticmethod
    def noted(block: list[ast.stmt]) -> Iterator[ast.stmt]:
        for statement, following in itertools.zip_longest(block, block[1:]):
            yield statement
            last_of_line = following is None or following.lineno != statement.end_lineno
            if (
                not hasattr(statement, "body")
                and not hasattr(statement, "cases")
                and last_of_line
                and not isinstance(statement, ast.Global | ast.Nonlocal | ast.ImportFrom)
            ):
                names = ", ".join(f"lambda: {name}" for name in WATCHED)
                yield ast.parse(f"note_({statement.end_lineno}, {names})").body[0]


Snapshot = tuple[object, ...]
MISSING = types.SimpleNamespace()
"""What stands for a name that is not bound."""


class Stopped(BaseException):
    """The program ran for too long."""


def really_seen(text: str, bits: list[bool]) -> list[tuple[int, Snapshot]]:
    """What a program's variables really are after each line. `u()` gives the bits in turn, then False."""
    seen: list[tuple[int, Snapshot]] = []
    stopped = False

    def stop() -> Never:
        nonlocal stopped
        stopped = True
        raise Stopped

    def note(line: int, *names: Callable[[], object]) -> None:
        if stopped:  # a `finally` or `with` of the program, on the way out
            return
        if len(seen) > 300:
            stop()
        values: list[object] = []
        for name in names:
            try:
                values.append(copy.deepcopy(name()))
            except (NameError, AttributeError, TypeError, RecursionError):
                values.append(MISSING)
        seen.append((line, tuple(values)))

    answers = iter(bits)
    tree = ast.fix_missing_locations(Notes().visit(ast.parse(text)))
    tree.body.pop(0)  # from oracle import u
    namespace: dict[str, Any] = {
        "u": lambda: next(answers, False),
        "n": lambda: next(answers, False),
        "note_": note,
        "__name__": "__main__",
    }
    lines = itertools.count()

    def count(*_: object) -> Any:
        if next(lines) > 3000:
            stop()
        return count

    before = sys.gettrace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(tree, "program", "exec")
    sys.settrace(count)
    try:
        exec(code, namespace)
    except (Exception, Stopped):  # noqa: BLE001  # a program may fail: what was seen before counts
        pass
    finally:
        sys.settrace(before)
    return seen


def watch(run: Interpreter, part: Part, comment: cst.Comment) -> Iterator[tuple[int, Snapshot]]:
    line = int(comment.value.removeprefix("#"))
    values = []
    for name in WATCHED:
        value = run.expressions.of(expression(name))
        values.append(... if class_name(run, value) == "generator" else content(run, value))
    yield line, tuple(values)


def numbered(text: str) -> str:
    """The text with a comment behind every line, which says its number."""
    return "".join(f"{line}  #{number}\n" for number, line in enumerate(text.splitlines(), start=1))


def agrees(known: object, real: object) -> bool:
    if known is ... or real is MISSING or real is None:
        return True
    if isinstance(known, list | tuple):
        return type(real) is type(known) and len(real) == len(known) and all(map(agrees, known, real))
    if isinstance(known, dict):
        return isinstance(real, dict) and list(real) == list(known) and all(map(agrees, known.values(), real.values()))
    return same(known, real)


def contradictions(text: str, bits: list[bool]) -> list[str]:
    """Lines at which what really happened is not among what the interpreter saw."""
    claimed: dict[int, list[Snapshot]] = {}
    for seen in interpreted(Path("program.py"), Path("missing"), watch, numbered(text)):
        assert isinstance(seen, tuple)
        claimed.setdefault(seen[0], []).append(seen[1])
    found = []
    for line, real in really_seen(text, bits):
        assert isinstance(real, tuple)
        if not any(all(map(agrees, known, real)) for known in claimed.get(line, [])):
            known = claimed.get(line, [()])[-1]
            wrong = [
                f"{name} is {k!r}, really {r!r}" for name, k, r in zip(WATCHED, known, real, strict=False) if not agrees(k, r)
            ]
            found.append(f"line {line} {text.splitlines()[line - 1].strip()!r}: {'; '.join(wrong) or 'never reached'}")
    return found


PROGRAMS = 50
"""Programs of each feature."""


@pytest.mark.parametrize("feature", FEATURES)
def test_claims_about_programs_are_true(feature: str) -> None:
    features = frozenset({feature, "branches", *(["loops"] if feature == "loop_else" else [])})
    reports: list[str] = []
    for seed in range(PROGRAMS):
        chance = random.Random(seed)
        text = program(chance.randrange, features)
        bits = [chance.random() < 0.5 for _ in range(10)]
        wrong = contradictions(text, bits)
        if wrong:
            reports.append("\n".join([numbered(text), *wrong, f"u() gives {bits}"]))
    assert not reports, f"{len(reports)} of {PROGRAMS} programs; the shortest:\n{min(reports, key=len)}"


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate],
)
@given(
    data=st.data(),
    features=st.frozensets(st.sampled_from(FEATURES), min_size=2, max_size=5),
    bits=st.lists(st.booleans(), max_size=12),
)
def test_claims_about_mixed_programs_are_true(data: st.DataObject, features: frozenset[str], bits: list[bool]) -> None:
    text = program(lambda count: data.draw(st.integers(0, count - 1)), features)
    wrong = contradictions(text, bits)
    assert not wrong, "\n".join(["", numbered(text), *wrong, f"u() gives {bits}"])


def test_contradictions_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    text = START + "a = 5\nif u():\n    xs.append(a)\n"
    assert not contradictions(text, [True])
    monkeypatch.setattr(
        Names, "bind", lambda names, name, value: names.machine.state.set(names.machine.frame.ref, name, literal(1))
    )
    assert contradictions(text, [True])


# --- no text makes the linter fail ---

RULES = registry.rules()
TEXTS = [file.read_text(encoding="utf-8") for case in CASES for file in files_of(case)]
SEEDS = 16


def outcome(text: str) -> engine.Outcome:
    return engine.check(Source("example.py", None, text.encode()), RULES, engine.Project(Path("missing")))


def mutated(chance: random.Random) -> str:
    """Some fixture after a few changes of lines and words; mostly Python, and mostly nonsense."""
    lines = chance.choice(TEXTS).splitlines()
    other = chance.choice(TEXTS).splitlines()
    for _ in range(chance.randint(1, 12)):
        here = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                del lines[here]
            case 1:
                there = chance.randrange(len(lines))
                lines[here], lines[there] = lines[there], lines[here]
            case 2:
                lines.insert(here, chance.choice(other))
            case 3:
                words = [word for word in chance.choice(other).replace("(", " ").replace(")", " ").split() if word.isidentifier()]
                old = [word for word in lines[here].split() if word.isidentifier()]
                if words and old:
                    lines[here] = lines[here].replace(chance.choice(old), chance.choice(words))
            case 4:
                lines[here:here] = lines[chance.randrange(len(lines)) :][:5]
            case _:
                lines[here] = (
                    lines[here].replace("self", "cls").replace("x", chance.choice(("None", "x.x", "*x", "x[0]", "x()", "(x, y)")))
                )
        if not lines:
            return ""
    return "\n".join(lines) + "\nloss.backward()\n"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nonsense_is_checked_without_failure(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(3):
        assert isinstance(outcome(mutated(chance)), engine.Outcome)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def test_programs_with_everything_are_checked_without_failure(data: st.DataObject) -> None:
    text = program(lambda count: data.draw(st.integers(0, count - 1)), frozenset(FEATURES)) + "loss.backward()\n"
    assert isinstance(outcome(text), engine.Outcome)


def parts_of(text: str) -> list[str]:
    return [part.strip() for part in text.split("¦") if part.strip()]


EXPRESSIONS = parts_of(
    """
x ¦ self ¦ cls ¦ 1 ¦ 's' ¦ None ¦ ... ¦ x.y ¦ x.y.z ¦ f(x) ¦ f(*x, **y) ¦ x[0] ¦ x[1:] ¦ x[:, None] ¦ x[...] ¦
[x, *y] ¦ (x,) ¦ {x: y, **z} ¦ {*x} ¦ lambda *a, b=1, **k: (a, b) ¦ x if y else z ¦ [a for a in x if a] ¦
{a: b for a, b in x} ¦ (a async for a in x) ¦ await x ¦ (yield x) ¦ (yield) ¦ (yield from x) ¦ (y := x) ¦
f'{x!r:>{y}}' ¦ b'x' ¦ 1j ¦ -x ¦ not x ¦ ~x ¦ x @ y ¦ x ** -1 ¦ x < y < z ¦ x is not y ¦ super().f(x) ¦
super(A, x).f() ¦ super ¦ super()() ¦ nn.Sequential(*x)(y) ¦ nn.Sequential() ¦ nn.ModuleDict(x)[y] ¦
F.softmax(x, 1) ¦ F.cross_entropy(*x) ¦ torch.cat([]) ¦ partial(f, x)() ¦ partial() ¦ train_test_split(x) ¦
train_test_split() ¦ KFold().split(x) ¦ StandardScaler().fit_transform() ¦ SelectKBest().fit(x, y)[0] ¦
copy.deepcopy(x) ¦ getattr(x, 'y') ¦ getattr(x) ¦ setattr(x, 'y', x) ¦ isinstance(x, y) ¦ zip() ¦ enumerate() ¦
map(f, x) ¦ sum() ¦ next() ¦ dict(x, y=z) ¦ dict([(1, 2), (3,)]) ¦ list() ¦ tuple(x) ¦ reversed() ¦ x.append() ¦
x.append(x) ¦ x.update(x) ¦ x.extend() ¦ x.pop() ¦ {}.get() ¦ {}.items(1) ¦ [].append ¦ (1, 2)[5] ¦ [1][x] ¦
''.join(x) ¦ x.step() ¦ x.step(x) ¦ x.backward() ¦ x.zero_grad() ¦ x.train(*y) ¦ x.eval() ¦ x.fit() ¦ x.predict() ¦
nn.Sequential(x, y, x) ¦ nn.ModuleList([x, *x]) ¦ x()()() ¦ A() ¦ A().f ¦ A.f(A) ¦ Net()(Net()) ¦ Net.forward ¦
'%s' % x ¦ 0 // 0 ¦ 1 % 0 ¦
"""
)
STATEMENTS = parts_of(
    """
{0} ¦ x = {0} ¦ x: int = {0} ¦ x: int ¦ x += {0} ¦ x.y = {0} ¦ x[0] = {0} ¦ x[{0}] = {1} ¦ x[:] = {0} ¦ x, *y = {0} ¦
[x, (y, z)] = {0} ¦ x = y = {0} ¦ *x, = {0} ¦ del x ¦ del x[0], y.z ¦ assert {0}, {1} ¦ global x ¦
import torch as x ¦ from torch import nn, optim as y ¦ from . import x ¦ from .x import * ¦ from torch import * ¦
pass ¦ raise ¦ return {0} ¦ if {0}: x = 1 ¦ while {0}: break ¦ for x in {0}: pass ¦
for x, *y in {0}:\n    continue\nelse:\n    x = 1 ¦ with {0} as x, {1} as (y, z): pass ¦
try: {0}\nexcept A as x: {1}\nelse: y\nfinally: z ¦ try: {0}\nfinally: pass ¦ try: {0}\nexcept* A: pass ¦
def f(x, /, y={0}, *z, a, b={1}, **k): return {0} ¦ @x\n@f({0})\ndef g(): yield {0} ¦
async def f():\n    async with {0} as x: pass\n    async for y in {1}: await y ¦ class A({0}): pass ¦
class A(A, metaclass=x):\n    y = {0}\n    def f(self): self.y = {0} ¦
class Net(nn.Module):\n    def __init__(self): self.x = {0}\n    def forward(self, x): return {1} ¦
match {0}:\n    case x: pass ¦ x = lambda: {0} ¦
match {0}:\n    case A(x=1) | [1, *_] as y: pass\n    case {{'a': z, **k}} if {1}: pass ¦ f = f ¦ class f: pass ¦
@property\ndef x(self): return {0} ¦
@contextmanager\ndef f(x):\n    try:\n        yield {0}\n    finally:\n        pass ¦ with f({0}) as x: return {1} ¦
def f(): return f() ¦ x.f = f ¦ A.x = A ¦ Net.x = Net ¦ x.append(x) ¦ x.add_module('x', x) ¦ x['x'] = x ¦
x = nn.Sequential(x, x) ¦ f.x = {0} ¦
@dataclass\nclass A:\n    x: int = {0}\n    y: list = field(default_factory=list) ¦ x = A({0}, y={1}) ¦
loss = criterion({0}) ¦ for x in loader: x.backward() ¦
"""
)


def nonsense(chance: random.Random) -> str:
    """Statements of every kind with expressions of every kind in random order; valid Python as far as `ast` says."""
    found: list[str] = []
    while len(found) < 25:
        statement = chance.choice(STATEMENTS).format(chance.choice(EXPRESSIONS), chance.choice(EXPRESSIONS))
        inside = chance.random() < 0.3
        if inside:
            statement = "def outer(x, y, self):\n" + "\n".join(f"    {line}" for line in statement.splitlines())
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                ast.parse(statement)
        except SyntaxError:
            continue
        found.append(statement)
    return "\n".join(found) + "\nloss.backward()\n"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_construct_is_checked_without_failure(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(6):
        text = nonsense(chance)
        found = outcome(text)
        assert not found.problems, f"{text}\n{found.problems}"


# --- joins ---

REFS = st.sampled_from([Ref(None, None, Made.VALUE, name) for name in "abc"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(0, 2), st.sampled_from(["x", "y"]), st.sampled_from([0.0, 1.0]))
PLAIN = st.one_of(
    st.builds(literal, SCALARS),
    st.just(UNKNOWN),
    st.builds(
        lambda ref, cls: Value(Object(ref, cls), origin=ref), REFS, st.sampled_from([None, "torch.nn.Linear", "builtins.list"])
    ),
    st.builds(lambda name: Value(Symbol(name)), st.sampled_from(["torch", "numpy"])),
    st.builds(lambda name: Value(Opaque(name)), st.sampled_from(["builtins.str", "a.B"])),
    st.builds(
        Value,
        meaning=st.none() | st.sampled_from(list(Semantic)),
        data=st.none() | st.builds(Data, rows=st.frozensets(REFS, max_size=2), role=st.none() | st.sampled_from(list(Role))),
        origin=st.none() | REFS,
        axes=st.builds(Axes, st.none() | st.integers(1, 3), st.none() | st.integers(1, 2)),
        attached=st.none() | st.booleans(),
    ),
)


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    elements = st.lists(inner, max_size=3).map(tuple)
    return st.one_of(
        st.builds(lambda tail, lead: Value(Items("builtins.tuple", tail, lead)), elements, st.none() | inner),
        st.builds(
            lambda keys, tail, exact: Value(Entries(tuple(zip(keys, tail, strict=False)), exact)),
            st.lists(st.sampled_from("xyz"), unique=True, max_size=3),
            elements,
            st.booleans(),
        ),
    )


VALUES = st.recursive(PLAIN, _containers, max_leaves=5)
laws = settings(max_examples=300, deadline=None, derandomize=True, database=None)


def as_set(value: Value) -> object:
    """A value in which the order of a dict's keys does not count."""
    thing = value.thing
    if isinstance(thing, Entries):
        return (
            "dict",
            thing.exact,
            frozenset((key, as_set(held)) for key, held in thing.items),
            as_set(Value(data=value.data, meaning=value.meaning)),
        )
    if isinstance(thing, Items):
        return (
            "items",
            tuple(map(as_set, thing.tail)),
            as_set(thing.lead) if thing.lead is not None else None,
            value.data,
            value.meaning,
        )
    return value


@laws
@given(VALUES)
def test_a_value_joined_with_itself_is_itself(value: Value) -> None:
    assert join(value, value) == value
    assert join(value, copy.deepcopy(value)) == value


@laws
@given(VALUES, VALUES)
def test_join_is_commutative(one: Value, two: Value) -> None:
    assert as_set(join(one, two)) == as_set(join(two, one))


OBJECTS = st.builds(lambda ref, cls: Value(Object(ref, cls), origin=ref), REFS, st.sampled_from([None, "a.B"]))


@laws
@given(OBJECTS, OBJECTS)
def test_join_of_objects_is_commutative(one: Value, two: Value) -> None:
    assert join(one, two) == join(two, one)


@laws
@given(VALUES, VALUES)
def test_join_absorbs_its_arguments(one: Value, two: Value) -> None:
    both = join(one, two)
    assert join(both, one) == both
    assert join(both, two) == both


@laws
@given(VALUES)
def test_nothing_is_known_of_what_may_be_anything(value: Value) -> None:
    both = join(value, UNKNOWN)
    if not value.is_none:
        assert both.thing == UNKNOWN.thing
        assert both.meaning is None
        assert both.axes == Axes()
        assert both.attached is (False if value.attached is False else None)  # what may be detached counts as detached


@laws
@given(VALUES)
def test_none_gives_way(value: Value) -> None:
    perhaps = value if value.is_none else replace(value, or_none=True)
    assert join(value, NONE) == perhaps
    assert join(NONE, value) == perhaps


@laws
@given(st.lists(VALUES, min_size=1, max_size=6))
def test_joins_come_to_rest(values: list[Value]) -> None:
    whole = joined(values)
    for value in values:
        whole = join(whole, value)
    assert joined([whole, *values]) == whole


@laws
@given(VALUES, VALUES)
def test_a_constant_survives_a_join_only_when_both_agree(one: Value, two: Value) -> None:
    both = join(one, two)
    if isinstance(both.thing, Constant) and not both.is_none:
        assert both.thing in {one.thing, two.thing}
        assert all(value.is_none or value.thing == both.thing for value in (one, two))


def test_the_trail_of_a_join_is_that_of_either() -> None:
    trail = Trail(None, "softmax", None, 1)  # type: ignore[arg-type]
    known = Value(meaning=Semantic.PROBS, trail=trail)
    bare = Value(meaning=Semantic.PROBS)
    assert join(known, bare) == join(bare, known)
