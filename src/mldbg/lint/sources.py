"""Where what an expression holds comes from, as far as the text around says it: for rules about code as it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.outline import Kind
from mldbg.operations.persistence import (
    FETCHES,
    FETCHING_METHODS,
    HANDED_IN,
    MEMORY,
    METHODS_WRITE_TO,
    SAVES,
    WRITES_TO,
)

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.facts import Place
    from mldbg.lint.interpret.module import Module, Part

MOST_SOURCES = 200
"""Expressions that are looked through."""

_Found = tuple["Part", "cst.CSTNode"]


def sources(place: Place, node: cst.CSTNode) -> Iterator[_Found]:
    """An expression, what it is made of, and what the names in it stand for, in the function, its module and its functions."""
    todo: deque[tuple[Part, cst.CSTNode | None, cst.CSTNode]] = deque([(place.site.part, place.function, node)])
    seen: set[cst.CSTNode] = set()
    while todo and len(seen) < MOST_SOURCES:
        part, function, top = todo.popleft()
        for each in nodes.descendants(top):
            if each in seen:
                continue
            seen.add(each)
            yield part, each
            name, attribute = nodes.name_of(each), nodes.own_attribute(each)
            if name is not None and nodes.is_label(part, each):
                continue
            if name is not None:
                todo.extend(_meanings(part, function, name))
            if attribute is not None:
                todo.extend(_meanings_of_attribute(part, attribute))


def meanings(place: Place, name: str, *, of_self: bool = False) -> list[tuple[Part, cst.BaseExpression]]:
    """What a name, or an attribute of `self`, was bound to, each with the part that says so."""
    part = place.site.part
    found = _meanings_of_attribute(part, name) if of_self else _meanings(part, place.function, name)
    return [(where, value) for where, _, value in found]


def _meanings(
    part: Part, function: cst.CSTNode | None, name: str
) -> Iterator[tuple[Part, cst.CSTNode | None, cst.BaseExpression]]:
    """What a name was bound to: in the function under way, else at the top level of the module."""
    local = _bindings(part, function).get(name) if function is not None else None
    if local is not None:
        yield from ((part, function, value) for value in local)
        return
    for outer in part.module.parts:
        if name not in outer.statement.names and outer.statement.kind is not Kind.CODE:
            continue
        if outer.statement.kind is Kind.FUNCTION:
            yield from ((outer, outer.function, value) for value in nodes.returned(outer.function))
        elif outer.statement.kind in (Kind.ASSIGNMENT, Kind.CODE):
            yield from ((outer, None, value) for value in _bindings(outer, outer.tree).get(name, ()))


def _meanings_of_attribute(part: Part, name: str) -> Iterator[tuple[Part, cst.CSTNode | None, cst.BaseExpression]]:
    """What the methods of a class give to an attribute of `self`; of a method what it returns."""
    for cls in part.module.parts:
        methods = list(cls.methods.values()) if cls.statement.kind is Kind.CLASS else []
        if part not in methods:
            continue
        for method in methods:
            if method.function.name.value == name:
                yield from ((method, method.function, value) for value in nodes.returned(method.function))
            elif name in method.words:
                bound = nodes.attributes_bound(method.function).get(name, ())
                yield from ((method, method.function, value) for value in bound)


def _bindings(part: Part, scope: cst.CSTNode) -> Mapping[str, list[cst.BaseExpression]]:
    known: dict[cst.CSTNode, Mapping[str, list[cst.BaseExpression]]] = part.kept.setdefault(_KEY, {})
    if scope not in known:
        known[scope] = nodes.bindings(scope)
    return known[scope]


_KEY = "bindings"


def is_of_the_program(place: Place, node: cst.BaseExpression | None) -> bool:
    """Whether what is read is a buffer in memory, or was saved before by the same function or script."""
    if node is None:
        return False
    for part, each in sources(place, node):
        function = nodes.called(each)
        if (
            function is not None
            and reading.qualified(part, function) in MEMORY
            and nodes.argument(each, "initial_bytes", 0) is None
        ):
            return True
    read = _keys(place.site.part, place.function, node)
    start = place.site.span
    for part, call, target in _calls_with_target(place, SAVES):
        if part.span(call) < start and not read.isdisjoint(_keys(part, place.function, target)):
            return True
    return False


def fetched(place: Place, node: cst.BaseExpression) -> _Found | None:
    """The call by which what an expression holds, or the file that it names, comes in from outside; None where none is seen."""
    for part, each in sources(place, node):
        if _is_fetch(part, each):
            return part, each
    keys = _keys(place.site.part, place.function, node)
    for outer, scope in _everywhere(place.site.part.module):
        for each in nodes.descendants(scope):
            target = _written_to(outer, each)
            if target is None or nodes.code(target) not in keys:
                continue
            if edit.function_around(outer, each) is place.function or _is_known_everywhere(outer, target):
                return outer, each
    return None


def _is_fetch(part: Part, node: cst.CSTNode) -> bool:
    function = nodes.called(node)
    if function is None:
        return nodes.is_dotted(node) and nodes.code(node).startswith(HANDED_IN)
    method = nodes.last_name(function)
    return reading.qualified(part, function) in FETCHES or method in FETCHING_METHODS


def _written_to(part: Part, node: cst.CSTNode) -> cst.BaseExpression | None:
    """Where a call puts what it fetches."""
    function = nodes.called(node)
    if function is None:
        return None
    name, method = reading.qualified(part, function), nodes.last_name(function)
    place = WRITES_TO.get(name or "", METHODS_WRITE_TO.get(method or ""))
    if place is None:
        return _fetched_into(part, node) if method == "write" else None
    return next(
        (given for name in _TARGETS if (given := nodes.argument(node, name)) is not None), nodes.argument(node, "", place)
    )


_TARGETS = ("filename", "out", "output", "dst", "Filename", "local_path")


def _fetched_into(part: Part, node: cst.CSTNode) -> cst.BaseExpression | None:
    """The path of the file that a downloaded text is written to: `with open(path, "wb") as f: f.write(response.content)`."""
    function, content = nodes.called(node), nodes.argument(node, "", 0)
    scope = edit.function_around(part, node)
    held = nodes.owner(function) if function is not None else None
    name = nodes.name_of(held) if held is not None else None
    if name is None or content is None:
        return None
    bound = _bindings(part, scope if scope is not None else part.tree)
    opened = next((nodes.argument(each, "file", 0) for each in bound.get(name, ()) if nodes.code(each).startswith("open(")), None)
    names = {nodes.name_of(each) for each in nodes.descendants(content)}
    origins = [value for each in names if each is not None for value in bound.get(each, ())]
    came = any(_is_fetch(part, each) for origin in (content, *origins) for each in nodes.descendants(origin))
    return opened if came else None


def _keys(part: Part, function: cst.CSTNode | None, node: cst.BaseExpression) -> frozenset[str]:
    """The texts under which a file is known: that of the expression, and of the paths that it was opened by."""
    found = {nodes.code(node)}
    name = nodes.name_of(node)
    bound = _bindings(part, function if function is not None else part.tree).get(name, []) if name is not None else []
    for each in (node, *bound):
        path = nodes.argument(each, "file", 0)
        if path is not None and nodes.last_name(nodes.called(each)) in ("open", "Path", "str"):
            found |= {nodes.code(path)}
    return frozenset(found)


def _calls_with_target(place: Place, table: Mapping[str, int]) -> Iterator[tuple[Part, cst.CSTNode, cst.BaseExpression]]:
    """The calls of some functions in the function or script around a place, and the argument of each that the table says."""
    part = place.site.part
    scopes: list[_Found] = [(part, place.function)] if place.function is not None else []
    if place.function is None:
        scopes += [(each, each.tree) for each in part.module.parts if each.statement.kind in (Kind.ASSIGNMENT, Kind.CODE)]
    for each, scope in scopes:
        for node in nodes.descendants(scope):
            function = nodes.called(node)
            name = (reading.qualified(each, function) or "") if function is not None else ""
            target = nodes.argument(node, "f", table[name]) if name in table else None
            if target is not None:
                yield each, node, target


def _everywhere(module: Module) -> Iterator[_Found]:
    for part in module.parts:
        if part.statement.kind is not Kind.IMPORT:
            yield part, part.tree
            yield from ((method, method.function) for method in part.methods.values())


def _is_known_everywhere(part: Part, node: cst.BaseExpression) -> bool:
    """Whether an expression stands for the same in all functions: a literal, an attribute of the object, a module's name."""
    name = nodes.name_of(node)
    if name is not None:
        return name in part.module.part_of and name not in part.bound_names
    return nodes.text_of(node) is not None or nodes.code(node).startswith("self.")
