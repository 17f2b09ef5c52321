"""The outline of a module: which text defines which top-level name, found with `ast`, which is nine times faster than libcst.

libcst trees are built later, for single statements, and only for those that the interpreter asks for.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from mldbg.lint.prose import without_prose

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_OTHER_ENDS = re.compile(r"[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Where `str.splitlines` sees a line end and Python does not."""
_WORD = re.compile(r"(?<!def )\b\w+\(?")


class Kind(Enum):
    """What a top-level statement does."""

    FUNCTION = "function"
    CLASS = "class"
    IMPORT = "import"
    ASSIGNMENT = "assignment"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Import:
    """What an import statement binds a name to: a module, or a name in it. `level` counts leading dots."""

    module: str
    name: str | None
    level: int


@dataclass(frozen=True, slots=True)
class Statement:
    """A top-level statement (or several that share a line): lines `first` to `last`, counted from 1, and the names it binds.

    Of a class also `methods` (name, first and last line) and `bases`, the identifiers in its header.
    """

    kind: Kind
    first: int
    last: int
    names: tuple[str, ...]
    methods: tuple[tuple[str, int, int], ...] = ()
    bases: frozenset[str] = frozenset()
    base_names: tuple[str | None, ...] = ()
    """Of a class the dotted name of each base, None where it is no plain name."""


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
    """The text is not Python that this tool can read; carries the line (0 where none is known)."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def outline(text: str) -> Outline:
    """The outline of a module's text.

    Raises:
        CannotOutlineError: the text has a syntax error that libcst finds too, or is nested too deeply to be analysed.
    """
    lines = tuple(split_lines(text))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        line, reason = error.lineno or 0, error.msg
        if reason.startswith(("too many nested", "too many statically nested")):
            raise CannotOutlineError(line, "nested too deeply to be analysed") from None
        if not _libcst_reads(text):
            raise CannotOutlineError(line, f"syntax error: {reason}") from None
        return Outline(lines, (Statement(Kind.CODE, 1, len(lines), ()),), {}, ())
    except (RecursionError, MemoryError):
        raise CannotOutlineError(0, "nested too deeply to be analysed") from None
    except ValueError as error:
        raise CannotOutlineError(0, f"not Python: {error}") from None
    imports: dict[str, Import] = {}
    stars: list[Import] = []
    for node in _import_statements(tree.body):
        _note_import(node, imports, stars)
    return Outline(lines, tuple(_merged(_statement(node) for node in tree.body)), imports, tuple(stars))


def split_lines(text: str) -> list[str]:
    """The lines as Python counts them, with their ends."""
    if _OTHER_ENDS.search(text) is None:
        return text.splitlines(keepends=True)
    return [match[0] for match in _LINE.finditer(text)]


def _libcst_reads(text: str) -> bool:
    """Whether libcst can parse what `ast` could not (syntax newer than the running Python). Asked in a process of its own:
    on input that is nested very deeply its parser overflows the stack, which no exception handler survives.
    """
    program = "import sys, libcst; libcst.parse_module(sys.stdin.buffer.read().decode())"
    command = [sys.executable, "-c", program]
    return subprocess.run(command, input=text.encode(), capture_output=True, check=False).returncode == 0  # noqa: S603  # our own program


def _statement(node: ast.stmt) -> Statement:
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    last = node.end_lineno or node.lineno
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return Statement(Kind.FUNCTION, first, last, (node.name,))
    if isinstance(node, ast.ClassDef):
        bases = frozenset(name.id for base in node.bases for name in ast.walk(base) if isinstance(name, ast.Name))
        return Statement(Kind.CLASS, first, last, (node.name,), tuple(_methods(node)), bases, tuple(map(_dotted, node.bases)))
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


def _methods(node: ast.ClassDef) -> Iterator[tuple[str, int, int]]:
    for item in node.body:
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([item.lineno, *(decorator.lineno for decorator in item.decorator_list)])
            yield item.name, first, item.end_lineno or item.lineno


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


def _merged(statements: Iterator[Statement]) -> Iterator[Statement]:
    """Statements on one physical line (`a = 1; b = 2`) become one."""
    held: Statement | None = None
    for statement in statements:
        if held is not None and statement.first <= held.last:
            held = Statement(Kind.CODE, held.first, max(held.last, statement.last), held.names + statement.names)
            continue
        if held is not None:
            yield held
        held = statement
    if held is not None:
        yield held
