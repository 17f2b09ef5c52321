"""What is summed up or collected in variables, and where that starts anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site, module_ref
from mldbg.lint.interpret.facts import Accumulated, Cell, Restarted
from mldbg.lint.interpret.join import is_loss
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.parts import made_of, parts_of
from mldbg.lint.interpret.rounds import counters, names_in, under_a_loop
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.source_text import code, last_name
from mldbg.lint.interpret.tree import below
from mldbg.lint.interpret.value import Constant, Entries, Items, Object, Unknown, Value

ANY_ITEM = "[]"
"""The cell of an item of which the key is not known."""

_JOINS = frozenset({"cat", "concat", "concatenate", "hstack", "vstack"})
"""Functions that put tensors one behind the other."""

MOST_KEPT = 16
"""Values in what is added that are looked at one by one."""


def note_kept(
    machine: Machine,
    into: cst.BaseExpression,
    before: Value,
    value: Value,
    expression: cst.BaseExpression | None,
    site: Site,
    counted: frozenset[cst.CSTNode] | None = None,
) -> None:
    """Tell that a value is added to what an expression names; of a tuple, list or dict each value in it.

    `expression` is None where more than what is added keeps the graph.
    """
    content = before.thing.ref if isinstance(before.thing, Object) else None
    cells = _cells(machine, into)
    total = machine.new_ref(site, Made.TOTAL)
    place, text, grad = machine.place(site), code(into), machine.state.grad
    for one, node in held_in(machine, value, expression):
        machine.facts.append(Accumulated(place, text, content, one, node, before, grad, cells, total, counted))


def held_in(machine: Machine, value: Value, node: cst.BaseExpression | None) -> Iterator[tuple[Value, cst.BaseExpression | None]]:
    """A value, or those in a tuple, list or dict, and where the source names each."""
    todo: list[tuple[Value, cst.BaseExpression | None]] = [(value, node)]
    for _ in range(MOST_KEPT):
        if not todo:
            return
        one, here = todo.pop(0)
        held = _content(machine, one)
        if held is None:
            yield one, here
        else:
            nodes = _nodes_in(here)
            todo += zip(held, nodes if len(nodes) == len(held) else [None] * len(held), strict=True)


def _content(machine: Machine, value: Value) -> tuple[Value, ...] | None:
    thing = value.thing
    if isinstance(thing, Object) and thing.cls in ("builtins.list", "builtins.dict"):
        held = machine.state.get(thing.ref, Slot.ITEMS)
        thing = held.thing if held is not None else thing
    if isinstance(thing, Items):
        return thing.all
    return tuple(each for _, each in thing.items) if isinstance(thing, Entries) else None


def _nodes_in(node: cst.BaseExpression | None) -> list[cst.BaseExpression]:
    if isinstance(node, cst.Tuple | cst.List | cst.Dict):
        return [element.value for element in node.elements]
    return []


def with_total(machine: Machine, before: Value, value: Value, result: Value, site: Site) -> Value:
    """The result of adding to a variable, made of what it held and of what is added, and of the sum itself."""
    if not isinstance(result.thing, Unknown) or not (is_loss(before) or is_loss(value)):
        return result
    terms = [one.origin for one in (before, value) if is_loss(one) or isinstance(one.thing, Unknown)]
    parts = frozenset(part for origin in terms for part in parts_of(origin))
    return replace(result, origin=made_of(machine.new_ref(site), parts | {machine.new_ref(site, Made.TOTAL)}))


def terms_added(target: cst.BaseExpression, total: cst.BaseExpression) -> list[cst.BaseExpression]:
    """What `total = total + a + b`, `mean = 0.9 * mean + 0.1 * a` and `all = torch.cat([all, a])` add to the target.

    Empty where they do not go on from it.
    """
    terms, todo = [], [total] if _mentions(total, target) or isinstance(target, cst.Subscript) else []
    while todo:
        node = todo.pop()
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
            todo += [node.right, node.left]
        elif node is total and isinstance(node, cst.Call) and last_name(node) in _JOINS and node.args:
            todo += _nodes_in(node.args[0].value)
        else:
            terms.append(node)
    others = [node for node in terms if not _is_scaled(node, target)]
    return others if len(others) < len(terms) else []


def _is_scaled(node: cst.BaseExpression, target: cst.BaseExpression) -> bool:
    """Whether an expression is the target itself, times or divided by something, or `values.get(key, 0)` for `values[key]`."""
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Multiply | cst.Divide):
        return _is_scaled(node.left, target) or (isinstance(node.operator, cst.Multiply) and _is_scaled(node.right, target))
    if isinstance(target, cst.Subscript) and isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        return node.func.attr.value in ("get", "setdefault", "pop") and node.func.value.deep_equals(target.value)
    return node.deep_equals(target)


def note_item(machine: Machine, target: cst.Subscript, value: Value, node: cst.BaseExpression, site: Site) -> None:
    """Tell that each value is put into a place of its own, `values[step] = value`, where a counter of a loop says which."""
    index = target.slice[0].slice if len(target.slice) == 1 else None
    if not isinstance(index, cst.Index) or not isinstance(index.value, cst.Name):
        return
    counted = frozenset(loop.node for loop in machine.frame.loops if index.value.value in counters(loop.node))
    if counted:
        note_kept(machine, target.value, machine.now(target.value), value, node, site, counted)


def note_restart(machine: Machine, target: cst.BaseExpression, source: cst.BaseExpression, value: Value, site: Site) -> None:
    """Tell that a variable was given a value in a loop, unless it was made from what the variable held."""
    if not under_a_loop(machine.frames):
        return
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            note_restart(machine, element.value, source, value, site)
    elif isinstance(target, cst.Subscript):
        _note_item_restarted(machine, target, source, value, site)
    elif isinstance(target, cst.Name | cst.Attribute) and (not _mentions(source, target) or _is_cut(source, value)):
        content = value.thing.ref if isinstance(value.thing, Object) else None
        cell = _cell(machine, target)
        if cell is not None or content is not None:
            by_loss = is_loss(value) and value.attached is not False
            machine.facts.append(Restarted(machine.place(site), cell, content, by_loss))


def _note_item_restarted(machine: Machine, target: cst.Subscript, source: cst.BaseExpression, value: Value, site: Site) -> None:
    """`sums["loss"] = 0.0` starts that sum anew, `sums[name] = 0.0` any of them."""
    if terms_added(target, source) and not _is_cut(source, value):
        return
    cell = _cell(machine, target)
    if cell is None and isinstance(value.thing, Constant):
        base = machine.now(target.value)
        cell = (base.thing.ref, ANY_ITEM) if isinstance(base.thing, Object) else None
    if cell is not None:
        machine.facts.append(Restarted(machine.place(site), cell, None))


def note_cut(machine: Machine, node: cst.BaseExpression, site: Site) -> None:
    """Tell that what a variable holds lets go of its graph."""
    cell = _cell(machine, node)
    if cell is not None:
        machine.facts.append(Restarted(machine.place(site), cell, None))


def note_emptied(machine: Machine, container: Value, site: Site) -> None:
    """Tell that a container has lost elements."""
    if isinstance(container.thing, Object):
        machine.facts.append(Restarted(machine.place(site), None, container.thing.ref))


def _cells(machine: Machine, node: cst.BaseExpression) -> frozenset[Cell]:
    """The variables on the way to what an expression names: of `state.losses["train"]` the name `state` and its attribute."""
    found: set[Cell] = set()
    while True:
        cell = _cell(machine, node)
        if cell is not None:
            found.add(cell)
        if isinstance(node, cst.Subscript):
            base = machine.now(node.value)
            found.update([(base.thing.ref, ANY_ITEM)] if isinstance(base.thing, Object) else [])
        if isinstance(node, cst.Attribute | cst.Subscript):
            node = node.value
        elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
            node = node.func.value  # history.setdefault("loss", [])
        else:
            return frozenset(found)


def _cell(machine: Machine, node: cst.BaseExpression) -> Cell | None:
    if isinstance(node, cst.Name):
        return _holder(machine, node.value), node.value
    if isinstance(node, cst.Attribute) and isinstance(node.value, cst.Name | cst.Attribute):
        base = machine.now(node.value)
        return (base.thing.ref, node.attr.value) if isinstance(base.thing, Object) else None
    if not isinstance(node, cst.Subscript) or len(node.slice) != 1:
        return None
    index = node.slice[0].slice
    if isinstance(index, cst.Index) and isinstance(index.value, cst.SimpleString | cst.Integer):
        base = machine.now(node.value)
        return (base.thing.ref, f"[{code(index.value)}]") if isinstance(base.thing, Object) else None
    return None


def _holder(machine: Machine, name: str) -> Ref:
    """The frame or module whose variable a name is."""
    frame = machine.frame
    ref: Ref | None = None if name in frame.global_names else frame.ref
    while ref is not None:
        if machine.state.get(ref, name) is not None:
            return ref
        closure = machine.state.get(ref, Slot.CLOSURE)
        ref = closure.thing.ref if closure is not None and isinstance(closure.thing, Object) else None
    return module_ref(frame.module)


@lru_cache(maxsize=4096)
def _mentions(source: cst.BaseExpression, target: cst.BaseExpression) -> bool:
    """Remembered, because loops execute the same assignment again and again."""
    if isinstance(target, cst.Name):
        return target.value in names_in(source)
    if isinstance(target, cst.Attribute) and not _has_attribute(source, target.attr.value):
        return False  # to write the code of a tree takes long
    return bool(re.search(rf"(?<![\w.]){re.escape(code(target))}\b", code(source)))


def _has_attribute(source: cst.CSTNode, name: str) -> bool:
    todo = [source]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.Attribute) and node.attr.value == name:
            return True
        todo.extend(below(node))
    return False


def _is_cut(source: cst.BaseExpression, value: Value) -> bool:
    """`total.detach()`, `[float(loss) for loss in losses]`, `losses[-100:]`: the old graphs are let go."""
    held = value.thing if isinstance(value.thing, Items) else None
    every = (value,) if held is None else held.all
    return isinstance(source, cst.Subscript) or all(one.attached is False for one in every)
