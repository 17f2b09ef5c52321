"""Operators applied to abstract values: arithmetic, comparison, truth. Nothing here depends on the state."""

from __future__ import annotations

import libcst as cst

from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.carried import LOST, Left, multiplied, operated
from mldbg.lint.interpret.join import is_loss, mix_data, rows_of_first
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.parts import made_of, parts_of, scaled
from mldbg.lint.interpret.shapes import size_of
from mldbg.lint.interpret.value import (
    MOST_TEXT,
    Constant,
    Entries,
    Function,
    Items,
    Object,
    Opaque,
    Symbol,
    Unknown,
    Value,
    literal,
)
from mldbg.lint.library.names import says_loss
from mldbg.operations.effect import Arithmetic
from mldbg.operations.sizes import same
from mldbg.semantics import Semantic

MOST_POWER = 64
"""The greatest exponent for which a power of numbers is computed."""

_SCALINGS = (cst.Multiply, cst.Divide, cst.MultiplyAssign, cst.DivideAssign, cst.Add, cst.Subtract)


def combined(operator: cst.BaseBinaryOp | cst.BaseAugOp, left: Value, right: Value, origin: Ref) -> Value:
    """The value of arithmetic on two tensors or arrays; `origin`: where it is done."""
    rest = _left_after(operator, left, right)
    meaning = rest.meaning
    if isinstance(operator, _SCALINGS) and (is_loss(left) or is_loss(right)):
        origin = _origin_of_loss(operator, left, right, origin)
    elif isinstance(operator, cst.Multiply | cst.Divide):
        origin = _origin_of_term(left, right, origin)
    carrier = left if left.meaning is meaning and left.trail is not None else right
    data = mix_data(derived_data(left), derived_data(right))
    if isinstance(operator, cst.MatrixMultiply | cst.MatrixMultiplyAssign):
        data = rows_of_first(derived_data(left), data)
    keeps_trail = meaning is not None or (data is not None and data.fits)
    trail = carrier.trail or left.trail or right.trail
    return Value(
        meaning=meaning,
        data=data,
        origin=origin,
        axes=rest.axes,
        attached=_attached(left, right),
        trail=trail if keeps_trail else None,
        scaled=rest.scaled,
    )


def _origin_of_term(left: Value, right: Value, made: Ref) -> Ref:
    """`0.1 * penalty`, `penalty * self.weight`: what is multiplied with a number, or with a setting, stays a term of a loss."""
    for term, factor in ((left, right), (right, left)):
        number = isinstance(factor.thing, Constant) or (isinstance(factor.thing, Object) and factor.thing.cls is None)
        if number and isinstance(term.thing, Unknown) and term.origin is not None:
            return scaled(made, term.origin)
    return made


def _origin_of_loss(operator: cst.BaseBinaryOp | cst.BaseAugOp, left: Value, right: Value, made: Ref) -> Ref:
    """A loss times a factor or plus a number is the same loss; what several are added up or multiplied to has them as parts."""
    sums = isinstance(operator, cst.Add | cst.Subtract)
    terms = [value.origin for value in (left, right) if (sums and not isinstance(value.thing, Constant)) or is_loss(value)]
    known = [origin for origin in terms if origin is not None]
    if len(known) == 1:
        return known[0]
    return made_of(made, frozenset(part for origin in known for part in parts_of(origin)))


def _left_after(operator: cst.BaseBinaryOp | cst.BaseAugOp, left: Value, right: Value) -> Left:
    """What a sum, product ... of two values leaves of their meanings."""
    if Semantic.SCALAR_LOSS in (left.meaning, right.meaning):
        return Left(Semantic.SCALAR_LOSS, (left if left.meaning is Semantic.SCALAR_LOSS else right).axes)
    if isinstance(operator, cst.MatrixMultiply | cst.MatrixMultiplyAssign):
        return multiplied(left, right)
    how = _ARITHMETIC.get(type(operator))
    return operated(how, left, right) if how is not None else LOST


_ARITHMETIC: dict[type[cst.CSTNode], Arithmetic] = {
    cst.Add: Arithmetic.PLUS,
    cst.AddAssign: Arithmetic.PLUS,
    cst.Subtract: Arithmetic.MINUS,
    cst.SubtractAssign: Arithmetic.MINUS,
    cst.Multiply: Arithmetic.TIMES,
    cst.MultiplyAssign: Arithmetic.TIMES,
    cst.Divide: Arithmetic.OVER,
    cst.DivideAssign: Arithmetic.OVER,
    cst.Power: Arithmetic.TO,
    cst.PowerAssign: Arithmetic.TO,
}


def _attached(left: Value, right: Value) -> bool | None:
    """Whether a sum or product hangs on a graph: it is cut off where one side is, unless the other is known to be a loss."""
    cut = [value.attached is False for value in (left, right)]
    if not any(cut):
        return None
    return (
        None
        if any(value.meaning is Semantic.SCALAR_LOSS and not off for value, off in zip((left, right), cut, strict=True))
        else False
    )


NORMALISABLE = (None, Semantic.NON_NEGATIVE, Semantic.UNIT_INTERVAL)
"""Meanings of values that become probabilities when they are divided by their sum."""


def summed_axis(node: cst.BinaryOperation) -> cst.BaseExpression | None:
    """The axis of `q / q.sum(1, keepdim=True)`, also where something small is added to the sum; None of any other division."""
    if not isinstance(node.operator, cst.Divide) or not isinstance(node.left, cst.Name | cst.Attribute):
        return None
    total = node.right
    if (
        isinstance(total, cst.BinaryOperation)
        and isinstance(total.operator, cst.Add)
        and isinstance(total.right, cst.BaseNumber | cst.Name)
    ):
        total = total.left
    if isinstance(total, cst.Call) and isinstance(total.func, cst.Attribute) and total.func.attr.value in ("clamp", "clamp_min"):
        total = total.func.value
    if not isinstance(total, cst.Call) or not isinstance(total.func, cst.Attribute) or total.func.attr.value != "sum":
        return None
    arguments = [arg for arg in total.args if arg.keyword is None]
    named = {arg.keyword.value: arg.value for arg in total.args if arg.keyword is not None}
    kept = named.get("keepdim")
    if not isinstance(kept, cst.Name) or kept.value != "True":
        return None
    summed, rest = total.func.value, arguments
    if not summed.deep_equals(node.left):  # torch.sum(q, 1, keepdim=True)
        if not arguments or not arguments[0].value.deep_equals(node.left):
            return None
        rest = arguments[1:]
    return rest[0].value if rest else named.get("dim")


def is_named_loss(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Attribute):
        return says_loss(node.attr.value)
    return isinstance(node, cst.Name) and says_loss(node.value)


def folded(operator: cst.BaseBinaryOp, left: Value, right: Value) -> Value | None:
    """Arithmetic on numbers and strings that are known."""
    one, two = left.constant, right.constant
    if isinstance(one, str) and isinstance(two, str) and isinstance(operator, cst.Add) and len(one) + len(two) <= MOST_TEXT:
        return literal(one + two)
    if isinstance(one, bool | str | type(None)) or isinstance(two, bool | str | type(None)):
        return None
    if not isinstance(one, int | float) or not isinstance(two, int | float) or max(abs(one), abs(two)) > 1e12:
        return None
    if isinstance(operator, cst.Add):
        return literal(one + two)
    if isinstance(operator, cst.Subtract):
        return literal(one - two)
    if isinstance(operator, cst.Multiply):
        return literal(one * two)
    if isinstance(operator, cst.FloorDivide) and two != 0:
        return literal(one // two)
    if isinstance(operator, cst.Divide) and two != 0:
        return literal(one / two)
    if isinstance(operator, cst.Modulo) and two != 0:
        return literal(one % two)
    if isinstance(operator, cst.Power) and one > 0 and abs(two) <= MOST_POWER:
        return literal(one**two)
    return None


def compared(operator: cst.BaseCompOp, left: Value, right: Value) -> bool | None:
    if left.or_none or right.or_none:
        return None
    if isinstance(operator, cst.Is | cst.IsNot | cst.Equal | cst.NotEqual):
        same = _identical(left, right) if isinstance(operator, cst.Is | cst.IsNot) else _same(left, right)
        if same is None:
            return None
        return same if isinstance(operator, cst.Is | cst.Equal) else not same
    one, two = left.constant, right.constant
    if isinstance(operator, cst.In | cst.NotIn) and isinstance(left.thing, Constant) and isinstance(right.thing, Items):
        members = right.thing.tail
        if right.thing.exact and all(isinstance(member.thing, Constant) for member in members):
            inside = any(member.constant == one for member in members)
            return inside if isinstance(operator, cst.In) else not inside
        return None
    if isinstance(operator, cst.In | cst.NotIn) and isinstance(one, str) and isinstance(two, str):
        return (one in two) is isinstance(operator, cst.In)
    if isinstance(one, int | float) and isinstance(two, int | float):
        for kind, answer in (
            (cst.LessThan, one < two),
            (cst.GreaterThan, one > two),
            (cst.LessThanEqual, one <= two),
            (cst.GreaterThanEqual, one >= two),
        ):
            if isinstance(operator, kind):
                return answer
    return None


def _identical(left: Value, right: Value) -> bool | None:
    one, two = left.thing, right.thing
    if not isinstance(one, Constant) or not isinstance(two, Constant):
        return _same(left, right)
    if one.kind != two.kind or one.value != two.value:
        return False
    return True if one.kind in ("bool", "NoneType") else None


def _same(left: Value, right: Value) -> bool | None:
    if isinstance(left.thing, Items) and isinstance(right.thing, Items) and left.thing.exact and right.thing.exact:
        return _same_shape(left.thing, right.thing)
    if isinstance(left.thing, Constant) and isinstance(right.thing, Constant):
        return left.thing.value == right.thing.value
    for one, two in ((left, right), (right, left)):
        if one.is_none and isinstance(two.thing, Object | Items | Function | Symbol | Opaque | Entries):
            return None if isinstance(two.thing, Object) and two.thing.cls is None else False
        if one.is_none and (two.meaning is not None or two.shaped is not None or _is_statistic(two)):
            return False
    return None


def _is_statistic(value: Value) -> bool:
    return value.data is not None and value.data.condensed


def _same_shape(left: Items, right: Items) -> bool | None:
    """Whether two tuples of sizes are equal."""
    if len(left.tail) != len(right.tail):
        return False
    sizes = [(size_of(one), size_of(two)) for one, two in zip(left.tail, right.tail, strict=True)]
    known = [same(one, two) if one is not None and two is not None else None for one, two in sizes]
    return False if False in known else None if None in known else True


def truth_of(value: Value) -> bool | None:
    """Whether a value is true, where that is known."""
    thing = value.thing
    known: bool | None = None
    if isinstance(thing, Constant):
        known = bool(thing.value)
    elif isinstance(thing, Items) and thing.exact:
        known = bool(thing.tail)
    elif isinstance(thing, Function):
        known = True
    return None if value.or_none and known else known
