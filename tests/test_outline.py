"""The outline of odd layouts, and of syntax that is newer than the running Python. Oracles: `ast`, `compile` and libcst."""

import ast
import warnings
from collections.abc import Iterator
from dataclasses import replace

import libcst as cst
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mldbg.lint import newer
from mldbg.lint.interpret.module import Module
from mldbg.lint.outline import TOO_DEEP, CannotOutlineError, Statement, bound, outline, uses
from mldbg.lint.statement import split_lines, with_sure_places

PIECES = (
    "x = 1", "a.b = c.d, e.f[0] = g",
    "y: int = 2", "x += 1", "z = (\n1,\n)", "z = '''\n\\\n'''", "import a", "from b import (c,\n  d)", "pass", "del x",
    "f(x)", "if x: y = 1", "if x:\n    y = 1", "if x: y = 1; z = 2", "while x:\n\ty = 1\n\n\t# deep", "for i in x: pass",
    "with a as b: c = 1", "def f(): return 1", "def f(\n):\n    return 1\n    # tail\n  # odd", "class A: x = 1",
    "class A(B, c.D):\n    @e\n    def g(self): pass", "@d\ndef f(): pass", "@d\n# between\n\n@e.f(1,\n2)\nclass A:\n    pass",
    "@(\nd)\ndef f(): pass", "@ \\\nd\ndef f():\n    pass", "async def f():\n    await x",
    "try:\n    x = 1\nexcept E as e: pass\nfinally:\n    import q", "x = 1 \\\n  + 2", "# note", "# note \\", "'''doc'''",
    "lambda: (yield)", "é = 'ü\u2028'", "match x:\n    case [y]: z = 1", "global g", "a = b = lambda q: {q: (w := 1)}",
    "def f(x=[i for i in j]): pass", "class A:\n    '''doc\n    '''\n    x = 1\n    @ \\\n    d\n    def h(self): 1\n",
)  # fmt: skip
ENDS = (
    "\n", "\n\n", "\\\n\n", " \\\n  \n", "; \\\n\n", ";\n", "; ", " ;\\\n", "\n\f", "\n\f\n", "  # c\n", " # c \\\n", "\n\\\n",
    "\n  # c\n", "\\\n\\\n\n", "\t\n", "\\\n# c\n", "",
)  # fmt: skip
NEWLINES = ("\n", "\r\n", "\r")

layouts = st.tuples(
    st.sampled_from(("", "\n", "# c\n", "\f", "\\\n")),
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=6),
).map(lambda parts: parts[0] + "".join(piece + end for piece, end in parts[1]))


def read_by_python(text: str) -> ast.Module | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except SyntaxError:
            return None


def read_by_libcst(text: str) -> cst.Module | None:
    try:
        return cst.parse_module(text)
    except (cst.ParserSyntaxError, cst.CSTValidationError):
        return None


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(layouts, st.sampled_from(NEWLINES))
@example("x = f(3)\\\n\ny = 2\n", "\n")
@example("x = f(3)\\\n", "\n")
@example("x = f(3);\\\n  y = 2\n", "\r\n")
@example("@(\nd)\ndef f(): pass\n", "\r")
def test_each_statement_stands_for_itself_and_none_is_lost(text: str, newline: str) -> None:
    text = text.replace("\n", newline)
    tree = read_by_python(text)
    if tree is None:
        return
    found = outline(text)
    pieces = [found.text(statement) for statement in found.statements]
    if read_by_libcst(with_sure_places(text)) is not None:
        assert [piece for piece in pieces if read_by_libcst(with_sure_places(piece)) is None] == []
    assert [ast.dump(node) for piece in pieces for node in ast.parse(piece).body] == [ast.dump(node) for node in tree.body]
    assert all(before.last < after.first for before, after in zip(found.statements, found.statements[1:], strict=False))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(layouts, st.sampled_from(NEWLINES))
def test_both_trees_give_the_same_outline(text: str, newline: str) -> None:
    text = text.replace("\n", newline)
    if read_by_python(text) is None or read_by_libcst(with_sure_places(text)) is None:
        return
    found, other = outline(text), newer.contents(text)
    assert [ordered(each) for each in other.statements] == [ordered(each) for each in found.statements]
    assert (other.imports, other.star_imports) == (found.imports, found.star_imports)
    assert newer.uses(text) == uses(text)
    assert newer.bound(text) == bound(text)


def ordered(statement: Statement) -> Statement:
    """The order of names says nothing."""
    return replace(statement, names=tuple(sorted(statement.names)))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(layouts, st.sampled_from(NEWLINES))
@example("class A:\n    def f(self): x\\\n\n    y\n    @ \\\n    d\n\f    def g(self): z;\\\n\n\n", "\n")
def test_every_name_is_where_python_sees_it(text: str, newline: str) -> None:
    text = text.replace("\n", newline)
    tree = read_by_python(text)
    if tree is None or read_by_libcst(with_sure_places(text)) is None:
        return
    lines = split_lines(text)
    wanted = {
        (node.id, node.lineno, len(lines[node.lineno - 1].encode()[: node.col_offset].decode()) + 1)
        for node in ast.walk(tree)
        if isinstance(node, ast.Name)
    }
    assert wanted <= set(names_of_all_parts(text))


def names_of_all_parts(text: str) -> Iterator[tuple[str, int, int]]:
    for whole in Module("a.py", None, text).parts:
        for part in (whole, *whole.methods.values()):
            for node in part.parents:
                if isinstance(node, cst.Name):
                    span = part.span(node)
                    yield node.value, span.line, span.column


DEEP = {
    "sum": "x = " + "+".join(["x"] * 9000),
    "attributes": "x = x" + ".y" * 9000,
    "calls": "x = x" + "()" * 9000,
    "minuses": "x = " + "-" * 9000 + "x",
    "terms": "x = " + " and ".join(["x"] * 9000),
    "terms in many lines": "x = (" + "\nor ".join(["x"] * 9000) + ")",
    "branches": "if x: pass\n" + "elif x: pass\n" * 9000,
    "terms of a condition": "def f():\n    if " + " and ".join(["x"] * 9000) + ": pass\n",
    "terms of a case": "match x:\n    case 1 if " + " and ".join(["x"] * 9000) + ": pass\n",
    "terms of a decorator": "@f(" + " and ".join(["x"] * 9000) + ")\ndef f(): pass\n",
    "terms of a handler": "try: pass\nexcept " + " or ".join(["x"] * 9000) + ": pass\n",
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_what_would_overflow_the_stack_of_libcst_is_refused(text: str) -> None:
    with pytest.raises(CannotOutlineError, match=TOO_DEEP):
        outline(text)


@pytest.mark.parametrize(
    "text",
    [
        "x = [" + "-1, " * 9000 + "]\n",
        "x = {\n" + "'a': (1 and 2),\n" * 5000 + "}\n",
        "x = 1 + 2\n" * 9000,
        "x = " + " and ".join(["x"] * 900),
    ],
    ids=["row", "table", "statements", "terms"],
)
def test_what_is_long_and_flat_is_read(text: str) -> None:
    assert outline(text).statements
