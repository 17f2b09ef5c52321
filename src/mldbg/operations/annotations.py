"""Array annotations: what a name annotates, and what a symbolic axis comes to."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping

from mldbg.operations import dims
from mldbg.operations.dtypes import COMPLEX, FLOATS, INTEGERS
from mldbg.operations.families import FAMILIES, MEANINGS
from mldbg.operations.sizes import ANY, AnySize, Dim
from mldbg.semantics import Semantic

_PACKAGES = ("jaxtyping.", "mldbg.contracts.", "mldbg.")


def family_of(name: str) -> tuple[str, Semantic | None] | None:
    """The family and the meaning that a qualified name annotates; None where it is no array annotation."""
    package = next((package for package in _PACKAGES if name.startswith(package)), None)
    if package is None:
        return None
    last = name.rpartition(".")[2]
    if package == "jaxtyping.":
        return (last, None) if last in FAMILIES else None
    return MEANINGS.get(last)


def kind_of(family: str) -> str | None:
    """What a family says of the type of elements: the type, or its kind."""
    allowed = FAMILIES.get(family, frozenset())
    if len(allowed) == 1:
        return next(iter(allowed))
    for kind, names in (("float", FLOATS), ("int", INTEGERS), ("complex", COMPLEX)):
        if allowed and allowed <= set(names):
            return kind
    return None


def computed(dim: dims.Symbolic, names: Mapping[str, Dim], argument: Callable[[ast.expr], Dim]) -> Dim:
    """What a symbolic axis comes to, as far as it can be told without running anything.

    Args:
        dim: the axis.
        names: sizes of named axes.
        argument: the size that an expression over the parameters has, such as `self.d` of `{self.d}`; their names begin with
            `dims.ARGUMENT`.
    """
    return _value(ast.parse(dim.source.strip(), mode="eval").body, names, argument)


def _value(node: ast.expr, names: Mapping[str, Dim], argument: Callable[[ast.expr], Dim]) -> Dim:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id=name) if not name.startswith(dims.ARGUMENT):
            return names.get(name, ANY)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, names, argument)
        case ast.BinOp(left=left, op=op, right=right):
            return _operated(op, _value(left, names, argument), _value(right, names, argument))
        case ast.Name() | ast.Attribute():
            return argument(node)
        case _:
            return ANY


def _operated(op: ast.operator, one: Dim, two: Dim) -> Dim:
    match op:
        case ast.Add():
            return one + two
        case ast.Sub():
            return one - two
        case ast.Mult():
            return one * two
        case ast.FloorDiv() if two != 0:
            return one // two
        case ast.Mod() if two != 0:
            return one - one // two * two
        case ast.Pow() if isinstance(two, int) and 0 <= two <= 4 and not isinstance(one, AnySize):
            result: Dim = 1
            for _ in range(two):
                result = result * one
            return result
        case _:
            return ANY
