"""Modules of the project as the interpreter sees them: parsed one definition at a time, on first use."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from mldbg.lint.finding import Problem, Span
from mldbg.lint.imports import Finder, Home, Look, absolute
from mldbg.lint.interpret.tree import below
from mldbg.lint.outline import CannotOutlineError, Import, Kind, Outline, Statement, bound, outline, uses
from mldbg.lint.statement import split_lines, width_of_feeds, with_sure_places

_TEST_TOOLS = re.compile(r"^\s*(?:import|from) (?:pytest\b|unittest\b(?!\.mock| import mock))", re.MULTILINE)
_TEST_FILE = re.compile(r"test_\w+\.py|\w+_test\.py|tests\.py")
_TEST_FOLDERS = frozenset({"test", "tests", "testing", "unittests", "unit_tests"})
_TEST_FUNCTION = re.compile(r"^\s*(?:async )?def test_\w+\(", re.MULTILINE)
_ASSERTION = re.compile(r"\bassert(?:_\w+|[A-Z]\w+)?\b|\.testing\.")

_WORD = re.compile(r"\w+")
_IMPORTING_BY_NAME = ("import_module(", "iter_modules(", "walk_packages(")

LONGEST_LINE = 500_000
"""Characters of a line that is parsed: libcst takes six seconds for so many, and four times as long for twice as many."""

LONGEST_CLASS = 1_000
"""Lines of a class beyond which calls of its methods give an unknown value."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names below a node: how often each stands there, and what plain assignments `name = value` make of it."""

    uses: Counter[str]
    made: dict[str, list[cst.BaseExpression]]


class Part:
    """The text of one top-level statement, and its libcst tree once somebody asks for it."""

    __slots__ = ("__dict__", "module", "statement")

    def __init__(self, module: Module, statement: Statement) -> None:
        self.module = module
        self.statement = statement
        self.sites: dict[cst.CSTNode, Any] = {}
        """The identity of each node that was looked at, as a place in the source."""
        self.made: dict[Any, Any] = {}
        """Identities of what was made in it under no call."""
        self._said: dict[re.Pattern[str], bool] = {}

    @property
    def code(self) -> str:
        """Its text without comments and long strings."""
        return "".join(self.module.outline.code[self.statement.first - 1 : self.statement.last])

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern matches somewhere in its code; remembered, for it may be looked at together with many files."""
        if pattern not in self._said:
            self._said[pattern] = pattern.search(self.code) is not None
        return self._said[pattern]

    @property
    def words(self) -> frozenset[str]:
        """The words of its code."""
        return self.module.outline.words(self.statement.first, self.statement.last)

    @property
    def is_decorated(self) -> bool:
        """Whether decorators stand above it."""
        return self.module.outline.lines[self.statement.first - 1].lstrip().startswith("@")

    @property
    def is_framework(self) -> bool:
        """Whether it is so long that it must be a framework's class, whose methods are executed by themselves only."""
        return self.statement.last - self.statement.first > LONGEST_CLASS

    @cached_property
    def kept(self) -> dict[Any, Any]:
        """What others have found out about nodes of its syntax."""
        return {}

    @cached_property
    def tree(self) -> cst.Module:
        """Its syntax. A class holds a stub for each of its methods, which are parsed when somebody looks at them.

        Raises CannotOutlineError where libcst cannot read what Python can, or would take very long.
        """
        text, numbers = self._layout
        for at, code in zip(numbers, split_lines(text), strict=False):
            if len(code) > LONGEST_LINE:
                reason = (
                    f"a line of {len(code):,} characters (limit {LONGEST_LINE:,}) is not analysed: minified or generated code"
                )
                raise CannotOutlineError(at, reason, self.module.path)
        try:
            return cst.parse_module(with_sure_places(text))
        except (cst.ParserSyntaxError, cst.CSTValidationError) as error:
            line = numbers[error.raw_line - 1] if isinstance(error, cst.ParserSyntaxError) else self.statement.first
            reason = f"libcst {version('libcst')}, which reads the code, cannot parse this: unknown syntax, or a very long chain"
            raise CannotOutlineError(line, reason, self.module.path) from None

    @property
    def depth(self) -> int:
        """How deep its tree is."""
        depth = 0
        level: list[cst.CSTNode] = [self.tree]
        while level:
            depth, level = depth + 1, [child for node in level for child in node.children]
        return depth

    def parsed(self) -> Iterator[Part]:
        """Those of itself and its methods whose trees were built."""
        if "tree" in self.__dict__:
            yield self
        for method in self.__dict__.get("methods", {}).values():
            yield from method.parsed()

    @property
    def _text(self) -> str:
        """Its source text, as a module that holds nothing else."""
        return self.module.outline.text(self.statement)

    @cached_property
    def _layout(self) -> tuple[str, Sequence[int]]:
        """The text that is parsed, and for each of its lines the line of the file."""
        first, last = self.statement.first, self.statement.last
        if not self.statement.methods:
            return self._text, range(first, last + 1)
        lines = self.module.outline.lines
        text: list[str] = []
        numbers: list[int] = []
        here = first
        for name, start, end in self.statement.methods:
            indent = lines[start - 1][: len(lines[start - 1]) - len(lines[start - 1].lstrip())]
            text += [*lines[here - 1 : start - 1], f"{indent}def {name}(): ...\n"]
            numbers += range(here, start + 1)
            here = end + 1
        return "".join([*text, *lines[here - 1 : last]]), [*numbers, *range(here, last + 1)]

    @cached_property
    def methods(self) -> dict[cst.FunctionDef, Method]:
        """Of a class the parts that its stubs stand for."""
        if not self.statement.methods:
            return {}
        body = cast("cst.ClassDef", self.tree.body[0]).body.body
        stubs = [node for node in body if isinstance(node, cst.FunctionDef)]
        parts = [
            Method(self.module, Statement(Kind.FUNCTION, first, last, (name,))) for name, first, last in self.statement.methods
        ]
        return dict(zip(stubs, parts, strict=True))

    @property
    def function(self) -> cst.FunctionDef:
        """The function that it defines."""
        return cast("cst.FunctionDef", self.tree.body[0])

    @cached_property
    def is_test(self) -> bool:
        """Whether it is a function or class that only a test runner calls: it asserts, and nothing in its module calls it."""
        if self.statement.kind not in (Kind.FUNCTION, Kind.CLASS) or not self.statement.names[0].startswith(("test_", "Test")):
            return False
        name = self.statement.names[0]
        called = self.module.outline.mentions[name] > _WORD.findall(self.code).count(name)
        return not called and _ASSERTION.search(self.code) is not None and _TEST_FUNCTION.search(self.code) is not None

    @cached_property
    def bound_names(self) -> frozenset[str]:
        """The variables, parameters and attributes that are bound in it; functions and classes are none."""
        names = set(self.statement.names) if self.statement.kind not in (Kind.FUNCTION, Kind.CLASS) else set()
        return frozenset(names) | bound(self._text)

    @cached_property
    def _ranges(self) -> dict[cst.CSTNode, CodeRange]:
        wrapper = MetadataWrapper(self.tree, unsafe_skip_copy=True)
        return dict(wrapper.resolve(PositionProvider))

    @cached_property
    def parents(self) -> dict[cst.CSTNode, cst.CSTNode]:
        """The parent of every node of the tree."""
        found: dict[cst.CSTNode, cst.CSTNode] = {}
        todo: list[cst.CSTNode] = [self.tree]
        while todo:
            node = todo.pop()
            for child in below(node):
                found[child] = node
                todo.append(child)
        return found

    @cached_property
    def _names(self) -> dict[cst.CSTNode, Names]:
        return {}

    def names_in(self, scope: cst.CSTNode) -> Names:
        """The names below a node of this part's tree; found once, for many findings in one function may ask."""
        if scope not in self._names:
            found = self._names[scope] = Names(Counter(), {})
            todo = [scope]
            while todo:
                node = todo.pop()
                todo.extend(below(node))
                if isinstance(node, cst.Name):
                    found.uses[node.value] += 1
                elif isinstance(node, cst.Assign) and len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Name):
                    found.made.setdefault(node.targets[0].target.value, []).append(node.value)
        return self._names[scope]

    def span(self, node: cst.CSTNode) -> Span:
        """Where a node of this part's tree stands in the file."""
        place = self._ranges[node]
        start, end, numbers = place.start, place.end, self._layout[1]
        end_line = numbers[end.line - 1] if end.line <= len(numbers) else numbers[-1] + 1
        start_line = numbers[start.line - 1]
        return Span(
            self.module.path, start_line, self._column(start_line, start.column), end_line, self._column(end_line, end.column)
        )

    def _column(self, line: int, column: int) -> int:
        lines = self.module.outline.lines
        return column + 1 + (width_of_feeds(lines[line - 1]) if line <= len(lines) else 0)


class Method(Part):
    """A method by itself: parsed in a class of its own, which keeps its columns as they are."""

    @cached_property
    def _layout(self) -> tuple[str, Sequence[int]]:
        return self._text, range(self.statement.first - 1, self.statement.last + 1)

    @property
    def _text(self) -> str:
        return "class _:\n" + self.module.outline.text(self.statement)

    @property
    def function(self) -> cst.FunctionDef:
        """The function that it defines."""
        return cast("cst.FunctionDef", cast("cst.ClassDef", self.tree.body[0]).body.body[0])


_NOTHING = Outline((), (), {}, ())


class Module:
    """A file of the project.

    Attributes:
        path: as the reports print it.
        file: where it lies; None for standard input.
        name: dotted import name, as far as the folders tell.
        text: its source text.
        wanted: whether it is the file that is checked: one that cannot be read then raises CannotOutlineError, where one that
            is only imported defines nothing.
        passed_over: is told of a file that cannot be read.
    """

    def __init__(
        self,
        path: str,
        file: Path | None,
        text: str,
        *,
        wanted: bool = True,
        passed_over: Callable[[Problem], None] | None = None,
    ) -> None:
        self.wanted = wanted
        self._passed_over = passed_over
        self.definitions: dict[str, Any] = {}
        """Cache: values of names that exactly one definition or import binds."""
        self.kept: dict[Any, Any] = {}
        """What others have found out about the module."""
        self.made: dict[Any, Any] = {}
        """The identity of its namespace."""
        self.path = path
        self.file = file
        self.text = text
        self.home = Home(file)
        self.found: set[Path] = set()
        """The project files that its imports led to."""
        self.looks: list[Look] = []
        """What its imports were found to lead to."""
        self.missing: set[Path] = set()
        """Where something else was looked for in vain."""
        self.sought: set[str] = set()
        """The absolute names that its imports were looked for by."""
        self._said: dict[re.Pattern[str], bool] = {}

    @property
    def name(self) -> str:
        return self.home.name

    @property
    def places_in_vain(self) -> set[Path]:
        """Where its imports, and other things that it names, were looked for in vain."""
        return self.missing.union(*(look.missing for look in self.looks))

    @property
    def is_read(self) -> bool:
        """Whether it was read, and is Python."""
        return isinstance(self.__dict__.get("_read"), Outline)

    @property
    def outline(self) -> Outline:
        """Raises CannotOutlineError where the module is wanted and cannot be read."""
        read = self._read
        if isinstance(read, Outline):
            return read
        if self.wanted:
            raise CannotOutlineError(read.line, read.reason, read.path)
        return _NOTHING

    def must_be_read(self) -> None:
        """Raises CannotOutlineError where the file cannot be read, even if that was passed over when it was imported."""
        self.wanted = True
        read = self._read
        if isinstance(read, CannotOutlineError):
            raise CannotOutlineError(read.line, read.reason, read.path)

    @cached_property
    def _read(self) -> Outline | CannotOutlineError:
        try:
            return outline(self.text)
        except CannotOutlineError as error:
            if self._passed_over is not None:
                self._passed_over(Problem(self.path, error.line, error.reason))
            return error

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return tuple(Part(self, statement) for statement in self.outline.statements)

    @cached_property
    def part_of(self) -> dict[str, Part]:
        """For each top-level name the part that binds it last."""
        return {name: part for part in self.parts for name in part.statement.names}

    @cached_property
    def parts_of(self) -> dict[str, tuple[Part, ...]]:
        """For each top-level name that several parts bind those parts, first to last."""
        found: dict[str, tuple[Part, ...]] = {}
        for part in self.parts:
            for name in part.statement.names:
                found[name] = (*found.get(name, ()), part)
        return {name: parts for name, parts in found.items() if len(parts) > 1}

    @cached_property
    def uses(self) -> Counter[str]:
        """How often each name is read or bound in the whole file."""
        return uses(self.text)

    @cached_property
    def is_test(self) -> bool:
        """Whether the module holds tests of software: what is split and scored there is no experiment.

        A file `test.py` that evaluates a model asserts nothing and is none.
        """
        if ("pytest" in self.text or "unittest" in self.text) and _TEST_TOOLS.search(self.text) is not None:
            return True
        if self.file is None or not (_TEST_FILE.fullmatch(self.file.name) or self.file.parent.name in _TEST_FOLDERS):
            return False
        return _TEST_FUNCTION.search(self.text) is not None and _ASSERTION.search("".join(self.outline.code)) is not None

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern matches somewhere in its text; remembered, for many files may import it."""
        if pattern not in self._said:
            self._said[pattern] = pattern.search(self.text) is not None
        return self._said[pattern]

    def says_in_code(self, pattern: re.Pattern[str]) -> bool:
        """The same of its text without comments and long strings."""
        return self.says(pattern) and pattern.search("".join(self.outline.code)) is not None

    @cached_property
    def uses_torch(self) -> bool:
        """Whether the text says so: conventional names then mean what they mean in torch code."""
        return "torch" in self.text or ".backward(" in self.text

    def absolute(self, imported: Import) -> str:
        """The absolute dotted module name that an import statement of this module names."""
        return absolute(imported, self.name, is_package=self.home.is_package)


class Modules:
    """The project's modules by file and by import name; nothing outside the project is ever read.

    `read` gives display path and text of a file, or None where it cannot be read; `leads_to` the files of the project that one
    imports.
    """

    def __init__(
        self,
        finder: Finder,
        read: Callable[[Path], tuple[str, str] | None],
        passed_over: Callable[[Problem], None] | None = None,
        leads_to: Callable[[Path], frozenset[Path]] = lambda _: frozenset(),
    ) -> None:
        self.leads_to = leads_to
        self._imported: dict[Path, tuple[Path, ...]] = {}
        self._passed_over = passed_over
        self._finder = finder
        self._read = read
        self._by_file: dict[Path, Module | None] = {}
        self.settings: dict[Any, Any] = {}
        """The content of configuration files."""
        self._unnamed: list[Module] = []

    def add(self, module: Module) -> None:
        """Make a module known before anything imports it."""
        if module.file is None:
            self._unnamed.append(module)
        else:
            self._by_file[module.file] = module

    def is_of_project(self, path: Path) -> bool:
        """Whether a file or folder may be looked at: nothing outside the project is."""
        return self._finder.is_of_project(path)

    def at(self, file: Path) -> Module | None:
        """The module of a file, or None where that cannot be read."""
        return self._load(file)

    def known_as(self, path: str, file: Path | None, text: str) -> Module | None:
        """The module of a file, if it was read already, and as the same text."""
        module = self._by_file.get(file) if file is not None else None
        return module if module is not None and module.path == path and module.text == text else None

    def known(self) -> list[Module]:
        """All modules read so far."""
        return [*self._unnamed, *(module for module in self._by_file.values() if module is not None)]

    def find(self, dotted: str, importer: Module) -> Module | None:
        """The project module that `importer` gets by this absolute name, or None when it is not the project's."""
        look = self._finder.find(dotted, importer.home)
        if dotted not in importer.sought:
            importer.sought.add(dotted)
            importer.looks.append(look)
        if look.file is not None:
            importer.found.add(look.file)
        return self._load(look.file) if look.file is not None else None

    def imported_by(self, file: Path) -> tuple[Path, ...]:
        """The files of the project that a file imports; where it imports by names, all that lie beside it, too."""
        if file not in self._imported:
            found = set(self.leads_to(file))
            module = self._load(file)
            if module is not None and any(call in module.text for call in _IMPORTING_BY_NAME):
                found.update(file.parent.glob("*.py"))
            self._imported[file] = tuple(sorted(found, key=os.fspath))
        return self._imported[file]

    def consulted_by(self, module: Module) -> tuple[frozenset[Path], frozenset[Path]]:
        """The files that what is known of a module rests on, and where files were looked for in vain.

        Both reach through the imports of these files. They may hold more than was needed: a
        shared module counts with all that was ever looked up in it.
        """
        found: set[Path] = set()
        missing = module.places_in_vain
        todo = list(module.found)
        while todo:
            file = todo.pop()
            if file in found:
                continue
            found.add(file)
            other = self._by_file.get(file)
            if other is not None:
                missing |= other.places_in_vain
                todo += other.found
        return frozenset(found - {module.file}), frozenset(missing)

    def _load(self, file: Path) -> Module | None:
        if file not in self._by_file:
            self._by_file[file] = None  # an import cycle, or a file that cannot be read
            read = self._read(file)
            if read is not None:
                self._by_file[file] = Module(read[0], file, read[1], wanted=False, passed_over=self._passed_over)
        return self._by_file[file]
