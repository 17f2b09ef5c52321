"""References to the weights of a model that a variable keeps while a loop goes on, instead of a copy."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.facts import WeightsKept
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.rounds import under_a_loop
from mldbg.lint.interpret.sums import held_in
from mldbg.lint.interpret.value import Object, Value

_SAME_TENSOR = frozenset({"detach", "view_as", "requires_grad_"})
"""Methods of a tensor whose result shares its memory."""


def note_weights(
    machine: Machine, into: cst.BaseExpression, source: cst.BaseExpression, value: Value, *, collected: bool = False
) -> None:
    """Tell that a variable now refers to the weights of a model, where a loop may go on to change them."""
    if machine.budget.silent or not under_a_loop(machine.frames):
        return
    if isinstance(into, cst.Tuple) and isinstance(source, cst.Tuple):
        held = [one for one, _ in held_in(machine, value, None)]
        if len(held) == len(into.elements) == len(source.elements):
            for target, element, one in zip(into.elements, source.elements, held, strict=True):
                note_weights(machine, target.value, element.value, one)
        return
    if not isinstance(into, cst.Name | cst.Attribute | cst.Subscript):
        return
    collected = collected or (isinstance(into, cst.Subscript) and _is_by_round(into))
    for model, node, whole in _referred(machine, source, value):
        machine.facts.append(WeightsKept(machine.place(machine.site(node)), model, into, node, whole, collected))


def _is_by_round(target: cst.Subscript) -> bool:
    index = target.slice[0].slice
    return isinstance(index, cst.Index) and not isinstance(index.value, cst.SimpleString | cst.Integer)


def _referred(machine: Machine, source: cst.BaseExpression, value: Value) -> Iterator[tuple[Ref, cst.BaseExpression, bool]]:
    """The models whose weights an expression refers to, where it does so, and whether it is the model itself."""
    if isinstance(source, cst.DictComp):
        model = _same_weights(machine, source)
        if model is not None:
            yield model, source, False
        return
    for one, node in held_in(machine, value, source):
        origin = one.origin
        if node is None or origin is None:
            continue
        if origin.kind is Made.WEIGHTS and isinstance(origin.detail, Ref):
            yield origin.detail, node, False
        elif isinstance(one.thing, Object) and isinstance(node, cst.Name | cst.Attribute):
            yield one.thing.ref, node, True
        elif isinstance(node, cst.DictComp):
            model = _same_weights(machine, node)
            if model is not None:
                yield model, node, False


def _same_weights(machine: Machine, node: cst.DictComp) -> Ref | None:
    """The model of `{name: weight for name, weight in model.state_dict().items()}`: another dict, and the same tensors."""
    iterated, target = node.for_in.iter, node.for_in.target
    if not isinstance(iterated, cst.Call) or not isinstance(iterated.func, cst.Attribute) or not isinstance(target, cst.Tuple):
        return None
    weight = target.elements[-1].value
    if iterated.func.attr.value != "items" or not isinstance(weight, cst.Name) or not _is_same_tensor(node.value, weight.value):
        return None
    origin = machine.now(iterated.func.value).origin
    return origin.detail if origin is not None and origin.kind is Made.WEIGHTS and isinstance(origin.detail, Ref) else None


def _is_same_tensor(node: cst.BaseExpression, name: str) -> bool:
    """`weight`, `weight.detach()`, `weight.data`"""
    while not isinstance(node, cst.Name):
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in _SAME_TENSOR:
            node = node.func.value
        elif isinstance(node, cst.Attribute) and node.attr.value == "data":
            node = node.value
        else:
            return False
    return node.value == name
