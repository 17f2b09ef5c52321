"""Programs as text with a syntax tree over it: where a bug fits, and how it is put there."""

from __future__ import annotations

import re
import textwrap
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider

STATEMENT = (cst.SimpleStatementLine, cst.BaseCompoundStatement)


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Other text in the place of a range of a file; `aside`: it is needed, and nobody would report it."""

    file: str
    start: int
    end: int
    text: str
    aside: bool = False


class Source:
    """A file of a program."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        self._positions = wrapper.resolve(PositionProvider)
        self.parents = wrapper.resolve(ParentNodeProvider)
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.sites = [Site(self, node) for node in _nodes(wrapper.module) if node in self._positions]
        self._by_kind: dict[tuple[type[cst.CSTNode], ...], list[Site]] = {}

    def of(self, *kinds: type[cst.CSTNode]) -> list[Site]:
        """All nodes of some kinds, in the order of the text."""
        if kinds not in self._by_kind:
            self._by_kind[kinds] = [site for site in self.sites if not kinds or isinstance(site.node, kinds)]
        return self._by_kind[kinds]

    def range(self, node: cst.CSTNode) -> tuple[int, int]:
        found = self._positions[node]
        return tuple(self._starts[at.line - 1] + at.column for at in (found.start, found.end))

    def line_start(self, offset: int) -> int:
        return self._starts[bisect_right(self._starts, offset) - 1]

    def line_end(self, offset: int) -> int:
        """Where the line after that of an offset begins."""
        end = self.text.find("\n", offset)
        return len(self.text) if end < 0 else end + 1

    def importing(self, statement: str) -> list[Edit]:
        """Import something, unless it is there."""
        if statement in self.text.splitlines():
            return []
        first = next(site for site in self.sites if isinstance(site.node, cst.Import | cst.ImportFrom))
        return [replace(first.statement.before(statement), aside=True)]


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)


@dataclass(frozen=True)
class Site:
    """A node of a file."""

    source: Source = field(repr=False)
    node: cst.CSTNode

    @cached_property
    def range(self) -> tuple[int, int]:
        return self.source.range(self.node)

    @property
    def code(self) -> str:
        start, end = self.range
        return self.source.text[start:end]

    def at(self, node: cst.CSTNode) -> Site:
        return Site(self.source, node)

    # --- around it ---

    def ancestors(self) -> Iterator[Site]:
        node = self.source.parents.get(self.node)
        while node is not None and not isinstance(node, cst.Module):
            yield self.at(node)
            node = self.source.parents.get(node)

    def _nearest(self, kinds: type[cst.CSTNode] | tuple[type[cst.CSTNode], ...]) -> Site | None:
        return next((site for site in self.ancestors() if isinstance(site.node, kinds)), None)

    @property
    def statement(self) -> Site:
        return self if isinstance(self.node, STATEMENT) else self._nearest(STATEMENT) or self

    @property
    def loop(self) -> Site | None:
        return self._nearest((cst.For, cst.While))

    @property
    def function(self) -> Site | None:
        return self._nearest(cst.FunctionDef)

    @property
    def owner(self) -> Site | None:
        """The class that it stands in."""
        return self._nearest(cst.ClassDef)

    @property
    def scope(self) -> str:
        """The text of the function that it stands in, or of the whole file."""
        return self.function.code if self.function else self.source.text

    def inside(self, *kinds: type[cst.CSTNode]) -> list[Site]:
        """All nodes within it, in the order of the text."""
        return [site for site in self.source.of(*kinds) if self.contains(site) and site.node is not self.node]

    def calls(self, pattern: str) -> list[Site]:
        return [site for site in self.inside(cst.Call) if re.fullmatch(pattern, site.func)]

    def contains(self, other: Site) -> bool:
        return self.source is other.source and self.range[0] <= other.range[0] and other.range[1] <= self.range[1]

    # --- parts of it ---

    @property
    def func(self) -> str:
        return self.at(self.node.func).code if isinstance(self.node, cst.Call) else ""

    @property
    def args(self) -> list[Site]:
        return [self.at(arg.value) for arg in self.node.args] if isinstance(self.node, cst.Call) else []

    def keyword(self, name: str) -> Site | None:
        found = [arg for arg in self.node.args if arg.keyword is not None and arg.keyword.value == name]
        return self.at(found[0].value) if found else None

    @property
    def target(self) -> str:
        """What a statement assigns to; empty where it is no assignment to one target."""
        node = self.statement.node
        if isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], cst.Assign) and len(node.body[0].targets) == 1:
            return self.at(node.body[0].targets[0].target).code
        return ""

    @property
    def value(self) -> Site | None:
        """What a statement assigns, returns or is."""
        node = self.statement.node
        if isinstance(node, cst.SimpleStatementLine) and isinstance(
            node.body[0], cst.Assign | cst.Return | cst.Expr | cst.AugAssign
        ):
            return self.at(node.body[0].value) if node.body[0].value is not None else None
        return None

    @property
    def siblings(self) -> list[Site]:
        """The statements of the block that a statement stands in."""
        parent = self.source.parents[self.statement.node]
        return [self.at(node) for node in parent.body]

    @property
    def body(self) -> list[Site]:
        """The statements of a compound statement."""
        return [self.at(node) for node in self.node.body.body]

    # --- changes ---

    def put(self, text: str) -> Edit:
        return Edit(self.source.name, *self.range, text)

    def sub(self, pattern: str, replacement: str) -> Edit:
        """Its text with a pattern replaced."""
        return self.put(re.sub(pattern, replacement, self.code))

    def _lines(self) -> tuple[int, int]:
        start, end = self.statement.range
        return self.source.line_start(start), self.source.line_end(end)

    @property
    def block_text(self) -> str:
        """The whole lines of a statement, moved to the left."""
        start, end = self._lines()
        return textwrap.dedent(self.source.text[start:end]).rstrip("\n")

    def _indented(self, text: str) -> str:
        start, _ = self._lines()
        indent = self.source.text[start : self.statement.range[0]]
        return textwrap.indent(text, indent) + "\n"

    def drop(self) -> Edit:
        if len(self.siblings) == 1:
            return self.statement.put("pass")
        return Edit(self.source.name, *self._lines(), "")

    def before(self, text: str) -> Edit:
        start, _ = self._lines()
        return Edit(self.source.name, start, start, self._indented(text))

    def after(self, text: str) -> Edit:
        _, end = self._lines()
        return Edit(self.source.name, end, end, self._indented(text))


@dataclass(frozen=True)
class Program:
    """A right program."""

    name: str
    sources: tuple[Source, ...]

    @cached_property
    def text(self) -> str:
        return "\n".join(source.text for source in self.sources)

    def sites(self, *kinds: type[cst.CSTNode]) -> Iterator[Site]:
        for source in self.sources:
            yield from source.of(*kinds)

    def calls(self, pattern: str) -> Iterator[Site]:
        """The calls of what is written like this."""
        return (site for site in self.sites(cst.Call) if re.fullmatch(pattern, site.func))

    def statements(self, pattern: str) -> Iterator[Site]:
        """The simple statements that begin like this."""
        return (site for site in self.sites(cst.SimpleStatementLine) if re.match(pattern, site.code))


@dataclass(frozen=True)
class Change:
    """A bug planted in a program, and the places apart from the changed text itself where a report of it is right."""

    edits: tuple[Edit, ...]
    at: tuple[Site, ...]


def change(*edits: Edit | Iterable[Edit], at: Iterable[Site | None] = ()) -> Change:
    flat = [edit for each in edits for edit in ([each] if isinstance(each, Edit) else each)]
    return Change(tuple(sorted(set(flat))), tuple(site for site in at if site is not None))


@dataclass(frozen=True)
class Mutator:
    """A way to plant the bug of a rule.

    Attributes:
        also: other rules that may rightly report it.
    """

    rule: str
    name: str
    plants: Callable[[Program], Iterator[Change]]
    also: frozenset[str]


MUTATORS: list[Mutator] = []


def mutator(rule: str, *also: str) -> Callable[[Callable[[Program], Iterator[Change]]], Callable[[Program], Iterator[Change]]]:
    def register(plants: Callable[[Program], Iterator[Change]]) -> Callable[[Program], Iterator[Change]]:
        MUTATORS.append(Mutator(rule, plants.__name__, plants, frozenset(also)))
        return plants

    return register


@dataclass(frozen=True)
class Mutant:
    """A program with a bug.

    Attributes:
        number: which of the mutator's changes of this program it is.
        places: file and line where a report is right.
        changed: file and line of what was written.
    """

    program: Program
    mutator: Mutator
    number: int
    texts: dict[str, str]
    places: frozenset[tuple[str, int]]
    changed: frozenset[tuple[str, int]]

    @property
    def name(self) -> str:
        return f"{self.program.name}: {self.mutator.name} {self.number}"


class OverlapError(Exception):
    """Edits that overlap."""


def mutants_of(program: Program, mutator: Mutator, most: int) -> Iterator[Mutant]:
    """At most so many mutants, spread over the places that there are."""
    found = list(mutator.plants(program))
    chosen = found if len(found) <= most else [found[round(i * (len(found) - 1) / (most - 1))] for i in range(most)]
    for number, each in enumerate(chosen, start=1):
        yield _applied(program, mutator, number, each)


def _applied(program: Program, mutator: Mutator, number: int, planted: Change) -> Mutant:
    texts: dict[str, str] = {}
    places: set[tuple[str, int]] = set()
    changed: set[tuple[str, int]] = set()
    for source in program.sources:
        edits = sorted(edit for edit in planted.edits if edit.file == source.name)
        parts: list[str] = []
        done = 0
        for edit in edits:
            if edit.start < done:
                raise OverlapError(f"{program.name}: {mutator.name}")
            parts += [source.text[done : edit.start], edit.text]
            done = edit.end
            length = sum(map(len, parts))
            text = "".join(parts)
            first = text.count("\n", 0, length - len(edit.text)) + 1
            lines = edit.text.split("\n")
            if not edit.aside:
                changed |= {(source.name, first + i) for i, line in enumerate(lines) if line.strip()}
        texts[source.name] = "".join([*parts, source.text[done:]])
        for site in planted.at:
            if site.source is source:
                places |= {(source.name, line) for line in _lines_after(site, edits, texts[source.name])}
    return Mutant(program, mutator, number, texts, frozenset(places | changed), frozenset(changed))


def _lines_after(site: Site, edits: list[Edit], text: str) -> Iterator[int]:
    """The lines of a node in the text after the edits; of a compound statement the first. None where it was deleted."""
    start, end = site.range
    if any(edit.start <= start and end <= edit.end and not edit.text.strip() for edit in edits):
        return
    if isinstance(site.node, cst.BaseCompoundStatement):
        end = start
    first, last = (text.count("\n", 0, _moved(offset, edits)) + 1 for offset in (start, end))
    lines = text.split("\n")
    yield from (line for line in range(first, last + 1) if lines[line - 1].strip())


def _moved(offset: int, edits: list[Edit]) -> int:
    """Where an offset is after the edits; inside of one, where its text ends."""
    moved = offset
    for edit in edits:
        if edit.end <= offset:
            moved += len(edit.text) - (edit.end - edit.start)
        elif edit.start < offset:
            moved += len(edit.text) - (offset - edit.start)
    return moved


def programs(folder: Path) -> list[Program]:
    """The programs of a folder: files, and folders of files."""
    found = sorted(path for path in folder.iterdir() if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"))
    return [
        Program(
            path.name,
            tuple(
                Source(file.name, file.read_text("utf-8")) for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])
            ),
        )
        for path in found
    ]
