"""The outline of a file that the running Python cannot read but libcst can: its syntax is newer.

What `outline` reads off the tree of `ast`, this reads off the tree of libcst: both give the same for syntax that both know.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from mldbg.lint.statement import Import, Kind, Statement, carried_to, covering, split_lines, with_sure_places

Ranges = Mapping[cst.CSTNode, CodeRange]

# Fields that hold a `Name` which is no use of a name.
_LABELS: Mapping[type[cst.CSTNode], frozenset[str]] = {
    cst.Arg: frozenset({"keyword"}),
    cst.Attribute: frozenset({"attr"}),
    cst.ClassDef: frozenset({"name", "type_parameters"}),
    cst.ExceptHandler: frozenset({"name"}),
    cst.ExceptStarHandler: frozenset({"name"}),
    cst.FunctionDef: frozenset({"name", "type_parameters"}),
    cst.Global: frozenset({"names"}),
    cst.Import: frozenset({"names"}),
    cst.ImportFrom: frozenset({"module", "names"}),
    cst.MatchAs: frozenset({"name"}),
    cst.MatchKeywordElement: frozenset({"key"}),
    cst.MatchMapping: frozenset({"rest"}),
    cst.MatchStar: frozenset({"name"}),
    cst.Nonlocal: frozenset({"names"}),
    cst.Param: frozenset({"name"}),
}


@dataclass(frozen=True, slots=True)
class Contents:
    """The top-level statements of a module in order, and what its import statements bind."""

    statements: tuple[Statement, ...]
    imports: dict[str, Import]
    star_imports: tuple[Import, ...]


def contents(text: str) -> Contents:
    """The statements and imports of a text that libcst is known to read."""
    text = with_sure_places(text)
    wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
    ranges = wrapper.resolve(PositionProvider)
    body = wrapper.module.body
    imports: dict[str, Import] = {}
    stars: list[Import] = []
    for item in _import_statements(body):
        _note_import(item, imports, stars)
    ends = [ranges[item].end.column for item in body]
    lines = split_lines(text)
    statements = covering(lines, [_statement(item, ranges, lines) for item in body], ends)
    return Contents(tuple(statements), imports, tuple(stars))


def uses(text: str) -> Counter[str]:
    """How often each name is read or bound; names of definitions, parameters, attributes and imports do not count."""
    found: Counter[str] = Counter()
    todo: list[cst.CSTNode] = [cst.parse_module(with_sure_places(text))]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.Name):
            found[node.value] += 1
        todo.extend(_expressions_in(node))
    return found


def bound(text: str) -> frozenset[str]:
    """The variables, parameters and attributes that are bound, at any depth."""
    found: set[str] = set()
    todo: list[cst.CSTNode] = [cst.parse_module(with_sure_places(text))]
    while todo:
        node = todo.pop()
        target = node.name if isinstance(node, cst.Param) else _target(node)
        if target is not None:
            found.update(_names_in(target, attributes=True))
        todo.extend(node.children)
    return frozenset(found)


def _expressions_in(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The children of a node without its labels."""
    labels = _LABELS.get(type(node))
    if labels is None:
        yield from node.children
        return
    left_out = [getattr(node, label) for label in labels]
    flat = {id(each) for value in left_out for each in (value if isinstance(value, tuple | list) else [value])}
    yield from (child for child in node.children if id(child) not in flat)


# --- statements ---


def _statement(item: cst.CSTNode, ranges: Ranges, lines: Sequence[str]) -> Statement:
    first, last = _lines(item, ranges)
    if isinstance(item, cst.FunctionDef):
        return Statement(Kind.FUNCTION, first, last, (item.name.value,))
    if isinstance(item, cst.ClassDef):
        methods = tuple(_method(each, ranges, lines) for each in item.body.body if isinstance(each, cst.FunctionDef))
        identifiers = frozenset(name for base in item.bases for name in _identifiers(base.value))
        dotted = tuple(None if base.star else _dotted(base.value) for base in item.bases)
        return Statement(Kind.CLASS, first, last, (item.name.value,), methods, identifiers, dotted)
    return Statement(_kind(item), first, last, () if _kind(item) is Kind.IMPORT else tuple(dict.fromkeys(_bound_names(item))))


def _lines(item: cst.CSTNode, ranges: Ranges) -> tuple[int, int]:
    decorators = item.decorators if isinstance(item, cst.FunctionDef | cst.ClassDef) else ()
    return min(ranges[each].start.line for each in (item, *decorators)), ranges[item].end.line


def _method(item: cst.FunctionDef, ranges: Ranges, lines: Sequence[str]) -> tuple[str, int, int]:
    first, last = _lines(item, ranges)
    return item.name.value, first, carried_to(lines, last, ranges[item].end.column)


def _kind(item: cst.CSTNode) -> Kind:
    only = item.body[0] if isinstance(item, cst.SimpleStatementLine) and len(item.body) == 1 else None
    if isinstance(only, cst.Import | cst.ImportFrom):
        return Kind.IMPORT
    return Kind.ASSIGNMENT if isinstance(only, cst.Assign | cst.AnnAssign) else Kind.CODE


def _identifiers(base: cst.BaseExpression) -> Iterator[str]:
    todo: list[cst.CSTNode] = [base]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.Name):
            yield node.value
        todo.extend(_expressions_in(node))


def _dotted(node: cst.CSTNode | None) -> str | None:
    """`nn.Module`, and Generic of `Generic[T]`."""
    if isinstance(node, cst.Subscript):
        return _dotted(node.value)
    if isinstance(node, cst.Attribute):
        base = _dotted(node.value)
        return f"{base}.{node.attr.value}" if base is not None else None
    return node.value if isinstance(node, cst.Name) else None


def _bound_names(item: cst.CSTNode) -> Iterator[str]:
    """Names that a statement binds at module level; definitions inside `if` and `try` count."""
    todo = [item]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            yield node.name.value
        elif not isinstance(node, cst.Lambda | cst.Dict):
            target = _target(node)
            if target is not None:
                yield from _names_in(target)
            todo.extend(node.children)


def _target(node: cst.CSTNode) -> cst.CSTNode | None:
    """What a node binds, if it binds anything."""
    if isinstance(node, cst.AssignTarget | cst.AnnAssign | cst.AugAssign | cst.For | cst.CompFor | cst.NamedExpr):
        return node.target
    if isinstance(node, cst.WithItem):
        return node.asname.name if node.asname is not None else None
    return node.name if isinstance(node, cst.TypeAlias) else None


def _names_in(target: cst.CSTNode, *, attributes: bool = False) -> Iterator[str]:
    if isinstance(target, cst.Name):
        yield target.value
    elif isinstance(target, cst.Attribute) and attributes:
        yield target.attr.value
    elif isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            yield from _names_in(element.value, attributes=attributes)


# --- imports ---


def _import_statements(body: Sequence[cst.CSTNode]) -> Iterator[cst.Import | cst.ImportFrom]:
    """Imports of the module, in text order, also those nested in other statements; the last one of a name counts."""
    for item in body:
        if isinstance(item, cst.Import | cst.ImportFrom):
            yield item
        elif isinstance(item, cst.SimpleStatementLine):
            yield from _import_statements(item.body)
        else:
            for block in _blocks(item):
                yield from _import_statements(block.body if isinstance(block, cst.BaseSuite) else [block])


def _blocks(item: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The blocks of a compound statement that belong to the module's scope; the likeliest comes last."""
    if isinstance(item, cst.Try | cst.TryStar):
        yield from (handler.body for handler in item.handlers)
        yield from (part.body for part in (item.orelse,) if part)
        yield item.body
        yield from (part.body for part in (item.finalbody,) if part)
    elif isinstance(item, cst.If | cst.For | cst.While):
        if item.orelse is not None:
            yield item.orelse.body if isinstance(item.orelse, cst.Else) else item.orelse
        yield item.body
    elif isinstance(item, cst.With):
        yield item.body
    elif isinstance(item, cst.Match):
        yield from (case.body for case in reversed(item.cases))


def _note_import(item: cst.Import | cst.ImportFrom, imports: dict[str, Import], stars: list[Import]) -> None:
    if isinstance(item, cst.Import):
        for alias in item.names:
            module = _dotted(alias.name) or ""
            top = module.partition(".")[0]
            imports[_alias(alias) or top] = Import(module if alias.asname else top, None, 0)
        return
    module, level = _dotted(item.module) or "", len(item.relative)
    if isinstance(item.names, cst.ImportStar):
        stars.append(Import(module, None, level))
        return
    for alias in item.names:
        name = _dotted(alias.name) or ""
        imports[_alias(alias) or name] = Import(module, name, level)


def _alias(alias: cst.ImportAlias) -> str | None:
    return _dotted(alias.asname.name) if alias.asname is not None else None
