"""The outline of a module: which text defines which top-level name, found with `ast`, which is nine times faster than libcst.

libcst trees are built later, for single statements, and only for those that the interpreter asks for.
"""

from __future__ import annotations

import ast
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate

from mldbg.lint.prose import without_prose
from mldbg.lint.statement import Import, Kind, Statement, carried_to, covering, split_lines, with_sure_places

__all__ = [
    "TOO_DEEP", "CannotOutlineError", "Import", "Kind", "Outline", "Statement", "bound", "outline", "split_lines", "trees",
    "uses",
]  # fmt: skip

TOO_DEEP = "nested too deeply to be analysed"

MOST_LEVELS = 2_000
"""Levels of nesting with which libcst's parser stays well below the 8 MB of a usual stack."""

_BLOCKS = ("body", "handlers", "orelse", "finalbody")  # a match statement is taken whole
_NEVER_NEWER = ("(unicode error)", "(value error)", "bytes can only contain ASCII", "invalid non-printable character U+FEFF")
"""How `ast` begins what it says about errors in any Python that libcst overlooks."""

_HALF_A_STACK = 4_000_000
_ASK_LIBCST = """
import sys, threading, libcst
text = sys.stdin.buffer.read().decode()
read = []
threading.stack_size(int(sys.argv[1]))
asked = threading.Thread(target=lambda: read.append(libcst.parse_module(text)))
asked.start()
asked.join()
sys.exit(0 if read else 1)
"""

_ANY_WORD = re.compile(r"\w+")
_WORD = re.compile(r"(?<!def )\b\w+\(?")


@dataclass(frozen=True)
class Outline:
    """The top-level statements of a module in order, and what its import statements bind."""

    lines: tuple[str, ...]
    statements: tuple[Statement, ...]
    imports: dict[str, Import]
    star_imports: tuple[Import, ...]
    _words: dict[tuple[int, int], frozenset[str]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def code(self) -> tuple[str, ...]:
        """The lines without comments and long strings."""
        return tuple(split_lines(without_prose("".join(self.lines))))

    @cached_property
    def mentions(self) -> Counter[str]:
        """How often each word stands in the code."""
        return Counter(word for line in self.code for word in _ANY_WORD.findall(line))

    def text(self, statement: Statement) -> str:
        """The source text of a statement."""
        return "".join(self.lines[statement.first - 1 : statement.last])

    def words(self, first: int, last: int) -> frozenset[str]:
        """The identifiers (and words of short strings) in the code of some lines; of calls also with the parenthesis."""
        lines = (first, last)
        if lines not in self._words:
            found = set(_WORD.findall("".join(self.code[first - 1 : last])))
            self._words[lines] = frozenset(found | {word[:-1] for word in found if word[-1] == "("})
        return self._words[lines]


class CannotOutlineError(Exception):
    """The text is not Python that this tool can read.

    Attributes:
        line: where, or 0 where no line is known.
        reason: why, in one line.
        path: the file, as reports print it; None for the one that was to be read.
    """

    def __init__(self, line: int, reason: str, path: str | None = None) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason
        self.path = path


def outline(text: str) -> Outline:
    """The outline of a module's text.

    Raises:
        CannotOutlineError: the text has a syntax error that libcst finds too, or is nested too deeply to be analysed.
    """
    lines = tuple(split_lines(text))
    tree = _tree(text)
    if tree is None:
        from mldbg.lint.newer import contents

        found = contents(text)
        return Outline(lines, found.statements, found.imports, found.star_imports)
    too_deep = _first_too_deep(tree, lines)
    if too_deep is not None:
        raise CannotOutlineError(too_deep, TOO_DEEP)
    imports: dict[str, Import] = {}
    stars: list[Import] = []
    for node in _import_statements(tree.body):
        _note_import(node, imports, stars)
    statements = [_statement(node, lines) for node in tree.body]
    ends = [_end_column(node, lines) for node in tree.body]
    return Outline(lines, tuple(covering(lines, statements, ends)), imports, tuple(stars))


def uses(text: str) -> Counter[str]:
    """How often each name is read or bound in a text that `outline` can read; names of definitions, parameters, attributes and
    imports do not count.
    """
    tree = _tree(text)
    if tree is None:
        from mldbg.lint import newer

        return newer.uses(text)
    return Counter(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def bound(text: str) -> frozenset[str]:
    """The variables, parameters and attributes that a statement's text binds, at any depth."""
    tree = _tree(text)
    if tree is None:
        from mldbg.lint import newer

        return newer.bound(text)
    return frozenset(name for node in ast.walk(tree) if (name := _bound_by(node)) is not None)


def _bound_by(node: ast.AST) -> str | None:
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
        return node.id if isinstance(node, ast.Name) else node.attr
    return None


def trees(text: str) -> tuple[ast.Module, ...]:
    """A text that `outline` can read, as `ast` reads it: where its syntax is newer, those statements that `ast` can read."""
    tree = _tree(text)
    if tree is not None:
        return (tree,)
    found = outline(text)
    return tuple(tree for each in found.statements if (tree := _parsed_or_none(found.text(each))) is not None)


def _parsed_or_none(text: str) -> ast.Module | None:
    try:
        return _parsed(text)
    except SyntaxError:
        return None


def _parsed(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def _tree(text: str) -> ast.Module | None:
    """What `ast` reads; None where only libcst can. Raises CannotOutlineError."""
    try:
        return _parsed(text)
    except SyntaxError as error:
        line, reason = error.lineno or 0, error.msg
        if reason.startswith(("too many nested", "too many statically nested", "too many levels of indentation")):
            raise CannotOutlineError(line, TOO_DEEP) from None
        if reason.startswith(_NEVER_NEWER) or not _libcst_reads(with_sure_places(text)):
            raise CannotOutlineError(line, f"syntax error: {reason}") from None
        return None
    except (RecursionError, MemoryError):
        raise CannotOutlineError(0, TOO_DEEP) from None
    except ValueError as error:
        raise CannotOutlineError(0, f"not Python: {error}") from None


def _first_too_deep(tree: ast.Module, lines: Sequence[str]) -> int | None:
    """The line of a statement on which libcst's parser could overflow the stack, which kills the process.

    `ast` refuses most of them, but newer Pythons fewer than older ones, and `a and b and ...` is flat for `ast` and nested for
    libcst. So are strings side by side and the `for ... for ...` of a comprehension, but of those libcst itself refuses too many.
    Levels are counted only in statements with as many characters.
    """
    starts = list(accumulate(map(len, lines), initial=0))
    todo: list[tuple[ast.stmt | ast.ExceptHandler, int]] = [(node, 1) for node in tree.body]
    while todo:
        node, depth = todo.pop()
        first = min((each.lineno for each in getattr(node, "decorator_list", ())), default=node.lineno)
        if depth + starts[node.end_lineno or node.lineno] - starts[first - 1] <= MOST_LEVELS:
            continue  # each level takes a character at least
        inner = [each for block in _BLOCKS for each in getattr(node, block, ())]
        last = inner[0].lineno if inner else node.end_lineno or node.lineno
        nested = starts[last] - starts[first - 1] > MOST_LEVELS and _may_nest("".join(lines[first - 1 : last]))
        if depth > MOST_LEVELS or (nested and _levels(node) > MOST_LEVELS):
            return node.lineno
        todo.extend((each, depth + 1) for each in inner)
    return None


_NESTS = re.compile(r"[^\w\s,:\"'#]|\b(?:and|await|else|for|if|in|is|lambda|not|or|yield)\b|[\"']\s+[\"']")
"""What a level of an expression takes at least one of. Of a table of names there are few, as long as it may be."""


def _may_nest(text: str) -> bool:
    return sum(1 for _ in _NESTS.finditer(text)) > MOST_LEVELS


def _levels(statement: ast.AST) -> int:
    """How deeply a statement is nested, as libcst counts."""
    deepest = 0
    todo: list[tuple[ast.AST, int]] = [(statement, 1)]
    while todo:
        node, depth = todo.pop()
        deepest = max(deepest, depth)
        below = depth + (len(node.values) if isinstance(node, ast.BoolOp) else 1)
        todo.extend((child, below) for child in ast.iter_child_nodes(node))
    return deepest


@lru_cache(maxsize=8)
def _libcst_reads(text: str) -> bool:
    """Whether libcst can parse what `ast` could not (syntax newer than the running Python). Asked in a process of its own:
    on input that is nested very deeply its parser overflows the stack, which no exception handler survives. What passes there,
    with half of a usual stack, can be parsed here.
    """
    import subprocess

    command = [sys.executable, "-c", _ASK_LIBCST, str(_HALF_A_STACK)]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=False).returncode == 0  # noqa: S603  # our own program


def _end_column(node: ast.stmt, lines: Sequence[str]) -> int:
    """The column behind a statement, in characters, where `ast` counts bytes."""
    line, column = lines[(node.end_lineno or node.lineno) - 1], node.end_col_offset or 0
    return column if line.isascii() else len(line.encode()[:column].decode())


def _first_line(node: ast.stmt, lines: Sequence[str]) -> int:
    """Where a statement begins: a definition with the @ of its first decorator, which may stand above what it decorates with."""
    decorators = getattr(node, "decorator_list", [])
    if not decorators:
        return node.lineno
    line: int = decorators[0].lineno
    while line > 1 and not lines[line - 1].lstrip().startswith("@"):
        line -= 1
    return line


def _statement(node: ast.stmt, lines: Sequence[str]) -> Statement:
    first, last = _first_line(node, lines), node.end_lineno or node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return Statement(Kind.FUNCTION, first, last, (node.name,))
    if isinstance(node, ast.ClassDef):
        bases = frozenset(name.id for base in node.bases for name in ast.walk(base) if isinstance(name, ast.Name))
        return Statement(
            Kind.CLASS, first, last, (node.name,), tuple(_methods(node, lines)), bases, tuple(map(_dotted, node.bases))
        )
    if isinstance(node, ast.Import | ast.ImportFrom):
        return Statement(Kind.IMPORT, first, last, ())
    kind = Kind.ASSIGNMENT if isinstance(node, ast.Assign | ast.AnnAssign) else Kind.CODE
    return Statement(kind, first, last, tuple(dict.fromkeys(_bound_names(node))))


def _dotted(node: ast.expr) -> str | None:
    """`nn.Module`, and Generic of `Generic[T]`."""
    if isinstance(node, ast.Subscript):
        return _dotted(node.value)
    if isinstance(node, ast.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr}" if base is not None else None
    return node.id if isinstance(node, ast.Name) else None


def _methods(node: ast.ClassDef, lines: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            last = carried_to(lines, item.end_lineno or item.lineno, _end_column(item, lines))
            yield item.name, _first_line(item, lines), last


def _bound_names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds at module level; definitions inside `if` and `try` count."""
    todo: list[ast.AST] = [node]
    while todo:
        item = todo.pop()
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield item.name
        elif isinstance(item, ast.Name):
            if isinstance(item.ctx, ast.Store):
                yield item.id
        elif not isinstance(item, ast.Lambda | ast.Constant | ast.Dict):
            todo.extend(ast.iter_child_nodes(item))


def _import_statements(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports of the module, in text order, also those nested in other statements; the last one of a name counts."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Try | ast.TryStar):
            handlers = [statement for handler in node.handlers for statement in handler.body]
            yield from _import_statements([*handlers, *node.orelse, *node.body, *node.finalbody])
        elif isinstance(node, ast.If | ast.For | ast.AsyncFor | ast.While):
            yield from _import_statements([*node.orelse, *node.body])
        elif isinstance(node, ast.With | ast.AsyncWith):
            yield from _import_statements(node.body)
        elif isinstance(node, ast.Match):
            yield from _import_statements([statement for case in reversed(node.cases) for statement in case.body])


def _note_import(node: ast.Import | ast.ImportFrom, imports: dict[str, Import], stars: list[Import]) -> None:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.asname:
                imports[alias.asname] = Import(alias.name, None, 0)
            else:
                top = alias.name.partition(".")[0]
                imports[top] = Import(top, None, 0)
        return
    for alias in node.names:
        if alias.name == "*":
            stars.append(Import(node.module or "", None, node.level))
        else:
            imports[alias.asname or alias.name] = Import(node.module or "", alias.name, node.level)
