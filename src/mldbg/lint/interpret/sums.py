"""What is summed up or collected in variables, and where that starts anew."""

from __future__ import annotations

import re
from functools import lru_cache

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site, module_ref
from mldbg.lint.interpret.facts import Accumulated, Cell, Restarted
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.rounds import names_in, under_a_loop
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import Items, Object, Value


def note_kept(
    machine: Machine, into: cst.BaseExpression, before: Value, value: Value, expression: cst.BaseExpression, site: Site
) -> None:
    """Tell that a value is added to what an expression names."""
    content = before.thing.ref if isinstance(before.thing, Object) else None
    cells = _cells(machine, into)
    machine.facts.append(
        Accumulated(machine.place(site), code(into), content, value, expression, before, machine.state.grad, cells)
    )


def note_restart(machine: Machine, target: cst.BaseExpression, source: cst.BaseExpression, value: Value, site: Site) -> None:
    """Tell that a variable was given a value in a loop, unless it was made from what the variable held."""
    if not under_a_loop(machine.frames):
        return
    if isinstance(target, cst.Tuple | cst.List):
        for element in target.elements:
            note_restart(machine, element.value, source, value, site)
    elif isinstance(target, cst.Name | cst.Attribute) and (not _mentions(source, target) or _is_cut(source, value)):
        content = value.thing.ref if isinstance(value.thing, Object) else None
        cell = _cell(machine, target)
        if cell is not None or content is not None:
            machine.facts.append(Restarted(machine.place(site), cell, content))


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
    return bool(re.search(rf"(?<![\w.]){re.escape(code(target))}\b", code(source)))


def _is_cut(source: cst.BaseExpression, value: Value) -> bool:
    """`total.detach()`, `[float(loss) for loss in losses]`, `losses[-100:]`: the old graphs are let go."""
    held = value.thing if isinstance(value.thing, Items) else None
    every = (value,) if held is None else held.all
    return isinstance(source, cst.Subscript) or all(one.attached is False for one in every)
