"""What the length of a learning-rate schedule counts: the epochs of a loop, or batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.interpret.value import Constant, Object
from mldbg.lint.outline import Kind

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.facts import Loop, Schedule
    from mldbg.lint.interpret.module import Part
    from mldbg.lint.interpret.value import Value
else:
    from mldbg.lint.nodes import cst  # loaded when it is first used

DEEPEST_NAME = 3
"""Names made of names that are followed."""

_ROUNDING = frozenset({"int", "round", "floor", "ceil", "max", "min"})


def counts_rounds_of(schedule: Schedule, loop: Loop) -> bool:
    """Whether the length of a schedule is the number of rounds of a loop, or a share of it."""
    from mldbg.lint.interpret.rounds import stop_of_range

    stop = stop_of_range(loop.node) if isinstance(loop.node, cst.For) else None
    if stop is None or schedule.parameter == "steps_per_epoch":
        return False
    if _are_same(schedule.length, loop.bound, schedule.parameter):
        return True
    part, here = schedule.site.part, loop.place.site.part
    same_scope = part is here and edit.function_around(part, schedule.node) is edit.function_around(here, loop.node)
    if isinstance(stop, cst.Name) and not same_scope and not _is_global(stop.value, here):
        return False
    if isinstance(stop, cst.Integer) or part.module is not here.module:
        return False
    return _counts(schedule.node, _said(stop), part, frozenset(), 0)


def _said(node: cst.BaseExpression) -> str:
    """An expression, without the object whose attribute it is: what `__init__` gets is kept under the same name."""
    return nodes.bare(node).removeprefix("self.")


def _are_same(length: Value, bound: Value, parameter: str) -> bool:
    """Whether two numbers are the same thing: what one name holds, or equal numbers that are not small."""
    one, two = length.thing, bound.thing
    if isinstance(one, Constant) and isinstance(two, Constant):
        return parameter in ("T_max", "total_steps", "total_iters") and one.kind == "int" and one.value == two.value
    if isinstance(one, Object) and isinstance(two, Object):
        return one.ref is two.ref
    return length.origin is not None and length.origin is bound.origin


def _is_global(name: str, part: Part) -> bool:
    made = part.module.part_of.get(name)
    return made is not None and made.statement.kind is Kind.ASSIGNMENT


def _counts(node: cst.CSTNode, stop: str, part: Part, numbers: frozenset[str], depth: int) -> bool:
    """Whether an expression is a number of rounds: that of the loop, a share of it, or a list of such."""
    if not isinstance(node, cst.BaseExpression):
        return False
    if _said(node) == stop:
        return True
    match node:
        case cst.Name() if depth < DEEPEST_NAME:
            made = _made(node, part)
            return made is not None and _counts(made, stop, part, numbers, depth + 1)
        case cst.Call(func=func, args=args):
            return nodes.code(func).rpartition(".")[2] in _ROUNDING and any(
                _counts(arg.value, stop, part, numbers, depth) for arg in args
            )
        case cst.BinaryOperation(left=left, operator=cst.Add() | cst.Subtract(), right=right):
            return any(_counts(side, stop, part, numbers, depth) for side in (left, right))
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            return (_counts(left, stop, part, numbers, depth) and _is_share(right, numbers)) or (
                _counts(right, stop, part, numbers, depth) and _is_share(left, numbers)
            )
        case cst.BinaryOperation(left=left, operator=cst.Divide() | cst.FloorDivide(), right=right):
            return _counts(left, stop, part, numbers, depth) and isinstance(right, cst.BaseNumber | cst.Name)
        case cst.List(elements=elements) | cst.Tuple(elements=elements):
            return any(_counts(element.value, stop, part, numbers, depth) for element in elements)
        case cst.ListComp(elt=elt, for_in=cst.CompFor(target=cst.Name(value=name))):
            return _counts(elt, stop, part, numbers | {name}, depth)
        case cst.Lambda(params=cst.Parameters(params=[cst.Param(name=cst.Name(value=name))]), body=body):
            return any(
                isinstance(one, cst.BinaryOperation)
                and isinstance(one.operator, cst.Divide)
                and nodes.is_name(one.left, name)
                and _counts(one.right, stop, part, numbers, depth)
                for one in nodes.descendants(body)
            )
    return False


def _is_share(node: cst.BaseExpression, numbers: frozenset[str]) -> bool:
    return isinstance(node, cst.BaseNumber) or (isinstance(node, cst.Name) and node.value in numbers)


def _made(node: cst.Name, part: Part) -> cst.BaseExpression | None:
    """What a name is made of, where that is written once: in the function around, or at the top level."""
    scope = edit.function_around(part, node)
    made = part.names_in(scope).made.get(node.value, []) if scope is not None else []
    home = part.module.part_of.get(node.value)
    if not made and home is not None and home.statement.kind is Kind.ASSIGNMENT:
        made = home.names_in(home.tree).made.get(node.value, [])
    return made[0] if len(made) == 1 else None


def counts_batches(schedule: Schedule) -> str:
    """What says that the length of a schedule is a number of batches: the `len(loader)` that it is multiplied by; else empty."""
    return _batches(schedule.node, schedule.site.part, schedule.parameter == "steps_per_epoch", 0)


def _batches(node: cst.CSTNode, part: Part, alone: bool, depth: int) -> str:
    if isinstance(node, cst.Name) and depth < DEEPEST_NAME:
        made = _made(node, part)
        return _batches(made, part, alone, depth + 1) if made is not None else ""
    if isinstance(node, cst.Call):
        name = nodes.code(node.func).rpartition(".")[2]
        if name == "len" and alone:
            return nodes.code(node)
        inside = [_batches(arg.value, part, alone, depth) for arg in node.args] if name in _ROUNDING else []
        return next((found for found in inside if found), "")
    if isinstance(node, cst.Lambda):
        shares = [one.right for one in nodes.descendants(node.body) if isinstance(one, cst.BinaryOperation) and _divides(one)]
        return next((found for share in shares if (found := _batches(share, part, alone, depth))), "")
    if isinstance(node, cst.BinaryOperation):
        grows = isinstance(node.operator, cst.Multiply)
        sides = (node.left, node.right) if not isinstance(node.operator, cst.Divide | cst.FloorDivide) else (node.left,)
        return next((found for side in sides if (found := _batches(side, part, alone or grows, depth))), "")
    return ""


def _divides(node: cst.BinaryOperation) -> bool:
    return isinstance(node.operator, cst.Divide)
