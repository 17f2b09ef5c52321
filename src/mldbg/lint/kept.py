"""What a loop keeps for later: whether somebody reads it then, and whether the loop goes on in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit, nodes

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Ref
    from mldbg.lint.interpret.facts import Condition, Loop, Place
    from mldbg.lint.interpret.module import Part
else:
    from mldbg.lint.nodes import cst  # loaded when it is first used


def root_of(target: cst.BaseExpression) -> cst.BaseExpression:
    """The variable of which a target is an item: `best` of `best["model"]`; of an attribute, the attribute."""
    while isinstance(target, cst.Subscript):
        target = target.value
    return target


def is_made_in(ref: Ref, loop: Loop) -> bool:
    """Whether each round of a loop makes this anew."""
    here: Ref | None = ref
    while here is not None:
        if here.site is not None and _is_below(here.site.part, here.site.node, loop.node):
            return True
        context = here.context
        while context is not None:
            if context.site is not loop.place.site and _is_below(context.site.part, context.site.node, loop.node):
                return True
            context = context.outer
        here = here.whole
    return False


def _is_below(part: Part, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    here: cst.CSTNode | None = node
    while here is not None and here is not loop:
        here = part.parents.get(here)
    return here is loop and node is not loop


def is_record(place: Place, conditions: Sequence[Condition]) -> bool:
    """Whether a place keeps a record: it stands under a test that compares what the same block then sets."""
    statement = edit.statement_of(place)
    block = edit.siblings(place.site.part, statement) if statement is not None else []
    bound = {nodes.code(target) for one in block for target in _targets(one)}
    for condition in conditions:
        test = condition.test.node
        if any(nodes.code(side) in bound for side in _compared(test)):
            return True
    return False


def _compared(test: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    for node in nodes.descendants(test):
        if isinstance(node, cst.Comparison):
            yield from (node.left, *(one.comparator for one in node.comparisons))


def _targets(statement: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    """What a statement line binds."""
    for node in statement.body if isinstance(statement, cst.SimpleStatementLine) else ():
        targets = [one.target for one in node.targets] if isinstance(node, cst.Assign) else []
        for target in targets:
            yield from (one.value for one in target.elements) if isinstance(target, cst.Tuple) else (target,)


def is_left_at_once(place: Place, loop: Loop) -> bool:
    """Whether the loop is left by the block that a place stands in: nothing happens in between."""
    statement = edit.statement_of(place)
    while statement is not None and statement is not loop.node:
        block = edit.siblings(place.site.part, statement)
        last = block[-1].body[-1] if block and isinstance(block[-1], cst.SimpleStatementLine) else None
        leaves = cst.Break | cst.Return | cst.Raise if place.function is loop.place.function else cst.Raise
        if isinstance(last, leaves):
            return True
        parent = _two_above(place.site.part, statement)
        statement = parent if isinstance(parent, cst.If | cst.With | cst.Try) else None
    return False


def is_read_later(place: Place, target: cst.BaseExpression, loop: Loop) -> bool:
    """Whether what a target holds is read elsewhere than right behind the place, where it is still what it was.

    An attribute that nobody around reads is there for somebody else, unless what stands behind it has used it.
    """
    root, part = root_of(target), place.site.part
    name = root.attr.value if isinstance(root, cst.Attribute) else cast("cst.Name", root).value
    is_attribute = isinstance(root, cst.Attribute)
    here = list(_here(place))
    if sum(1 for each in _bindings(loop.node, name, is_attribute=is_attribute)) > 1:
        return False  # each branch sets it, for what stands behind them
    read_here = any(_is_read(one, name, part, is_attribute) for block in here for one in nodes.descendants(block))
    below = {id(node) for block in here for node in nodes.descendants(block)}
    scopes = _scopes(place, is_attribute)
    elsewhere = any(
        id(node) not in below and _is_read(node, name, scope_part, is_attribute)
        for scope_part, scope in scopes
        for node in nodes.descendants(scope)
    )
    return elsewhere or (is_attribute and not read_here)


def _here(place: Place) -> Iterator[cst.CSTNode]:
    """The statement of a place, and those behind it in its block."""
    statement = edit.statement_of(place)
    if statement is None:
        return
    block = edit.siblings(place.site.part, statement)
    yield from block[block.index(statement) :] if statement in block else [statement]


def _bindings(node: cst.CSTNode, name: str, *, is_attribute: bool) -> Iterator[cst.CSTNode]:
    for one in nodes.descendants(node):
        if isinstance(one, cst.SimpleStatementLine):
            for target in _targets(one):
                held = target.attr if is_attribute and isinstance(target, cst.Attribute) else target
                if isinstance(held, cst.Name) and held.value == name and (held is not target) is is_attribute:
                    yield one


def _scopes(place: Place, is_attribute: bool) -> Iterator[tuple[Part, cst.CSTNode]]:
    """Where a variable may be read: the function that it belongs to, or for an attribute and at top level all of the module."""
    part = place.site.part
    if place.function is not None and not is_attribute:
        yield part, place.function
        return
    for one in part.module.parts:
        yield one, one.tree
        for method in one.methods.values():
            yield method, method.tree


def _is_read(node: cst.CSTNode, name: str, part: Part, is_attribute: bool) -> bool:
    """Whether a node reads a variable, and does not only ask whether there is something in it."""
    if is_attribute:
        if not isinstance(node, cst.Attribute) or node.attr.value != name:
            return False
    elif not isinstance(node, cst.Name) or node.value != name:
        return False
    parent = part.parents.get(node)
    if isinstance(parent, cst.AssignTarget | cst.Param | cst.Comparison | cst.Global | cst.Nonlocal | cst.NameItem):
        return False
    if isinstance(parent, cst.Attribute) and (parent.attr is node or not _is_used_as_value(parent, part)):
        return False
    if isinstance(parent, cst.Arg) and parent.keyword is node:
        return False
    return not (isinstance(parent, cst.Element) and isinstance(_two_above(part, parent), cst.AssignTarget))


def _two_above(part: Part, node: cst.CSTNode) -> cst.CSTNode | None:
    parent = part.parents.get(node)
    return part.parents.get(parent) if parent is not None else None


def _is_used_as_value(attribute: cst.Attribute, part: Part) -> bool:
    """`best.append(weights)` only adds to what is kept."""
    return attribute.attr.value not in ("append", "extend", "insert", "clear")
