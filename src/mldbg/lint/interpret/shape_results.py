"""Values with the shapes that were computed for them, and numbers that are sizes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.module import Part
from mldbg.lint.interpret.shapes import FLOAT, INT, argument, name_of, number, size_of
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.tree import descendants
from mldbg.lint.interpret.value import (
    VALUES_AND_INDICES,
    Constant,
    Entries,
    Items,
    Object,
    Opaque,
    Shaped,
    Trail,
    Unknown,
    Value,
    onward,
)
from mldbg.operations import dtypes, shape
from mldbg.operations.shape import Each, NotGiven, Perhaps, Rest, Shape, Tensor
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, atom, product
from mldbg.operations.transfers import array_types

ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "floor_divide": "//"}

SIGNS = {
    **ARITHMETIC,
    "div": "/",
    "remainder": "%",
    "pow": "**",
    "matmul": "@",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}

WITH_PLACES = frozenset({"max", "min", "topk", "sort", "median", "nanmedian", "mode", "kthvalue", "cummax", "cummin"})
"""Functions that return values and their places under the names `values` and `indices`."""

NUMBERS = ("math.", "builtins.float", "builtins.round")
"""Functions whose result is a number and no tensor."""

ARITHMETIC_OF_NUMBERS = frozenset({*ARITHMETIC, "div", "pow", "remainder"})

FROM_ARRAY = frozenset({"torch.from_numpy", "torch.tensor", "torch.as_tensor", "torch.Tensor", "torch.FloatTensor"})

OPERATORS: dict[type[cst.CSTNode], str] = {
    cst.Add: "add",
    cst.AddAssign: "add",
    cst.Subtract: "sub",
    cst.SubtractAssign: "sub",
    cst.Multiply: "mul",
    cst.MultiplyAssign: "mul",
    cst.Divide: "div",
    cst.DivideAssign: "div",
    cst.FloorDivide: "floor_divide",
    cst.FloorDivideAssign: "floor_divide",
    cst.Modulo: "remainder",
    cst.ModuloAssign: "remainder",
    cst.Power: "pow",
    cst.PowerAssign: "pow",
    cst.MatrixMultiply: "matmul",
    cst.MatrixMultiplyAssign: "matmul",
    cst.BitAnd: "bitwise_and",
    cst.BitOr: "bitwise_or",
    cst.BitOrAssign: "bitwise_or",
    cst.BitAndAssign: "bitwise_and",
    cst.BitXorAssign: "bitwise_xor",
    cst.BitXor: "bitwise_xor",
    cst.Equal: "eq",
    cst.NotEqual: "ne",
    cst.LessThan: "lt",
    cst.LessThanEqual: "le",
    cst.GreaterThan: "gt",
    cst.GreaterThanEqual: "ge",
}
"""The torch function that an operator stands for."""

IN_PLACE = (
    cst.AddAssign,
    cst.SubtractAssign,
    cst.MultiplyAssign,
    cst.DivideAssign,
    cst.FloorDivideAssign,
    cst.ModuloAssign,
    cst.PowerAssign,
)
"""Operators that write into what stands on their left."""


class Shaper:
    """Gives values the shapes that a transfer function computed for them."""

    def __init__(
        self, site: Site, name: str, before: Shaped | None, ladder: Trail | None, *, is_array: bool, stretched: Site | None
    ) -> None:
        self._site = site
        self._name = name
        self._before = before
        self._ladder = ladder
        self._is_array = is_array
        self._stretched = stretched

    def value(self, made: shape.Result, result: Value) -> Value:
        """The value with its shape; of a tuple each element."""
        if isinstance(made, Tensor):
            return self._tensor(made, result)
        if isinstance(made, Each):
            return Value(Items("builtins.tuple", (), self._tensor(made.tensor, element(result))), data=result.data)
        if isinstance(made, tuple):
            held = result.thing if isinstance(result.thing, Items) and result.thing.exact else None
            elements = held.tail if held is not None and len(held.tail) == len(made) else [element(result)] * len(made)
            cls = VALUES_AND_INDICES if self._name in WITH_PLACES and len(made) == 2 else "builtins.tuple"
            tail = tuple(self.value(one, element) for one, element in zip(made, elements, strict=True))
            return replace(result, thing=Items(held.cls if held is not None else cls, tail), shaped=None)
        if isinstance(made, int | Size) and not isinstance(made, bool):
            return number(made)
        if isinstance(made, AnySize | float):
            return replace(result, thing=Opaque(FLOAT if isinstance(made, float) else INT), shaped=None)
        return without_shape(result)

    def _tensor(self, tensor: Tensor, result: Value) -> Value:
        if tensor.says_nothing:
            return without_shape(result)
        dtype = dtypes.kind(tensor.dtype) if self._is_array and self._name in SIGNS else tensor.dtype
        shaped = Shaped(replace(tensor, dtype=dtype), self._onward(tensor), self._stretched, is_array=self._is_array)
        thing = Unknown() if isinstance(result.thing, Items | Entries | Constant | Object) else result.thing
        return replace(result, thing=thing, shaped=shaped, size=None)

    def _onward(self, tensor: Tensor) -> Trail | None:
        after = tensor.shape
        if after is None:
            return self._ladder
        before = self._before.tensor.shape if self._before is not None else None
        if before == after:
            return self._ladder
        name = SIGNS.get(self._name, self._name)
        text = f"`{name}`: {before} -> {after}" if before is not None else f"`{name}` gives {after}"
        return onward(self._ladder, self._site, text)


def may_be_tensor(value: Value) -> bool:
    """Whether nothing is known of an operand, so that it may have any shape."""
    return isinstance(argument(value), Perhaps | NotGiven)


def with_unknown(known: Shaped) -> Shaped | None:
    """What is known of arithmetic with something unknown: it may have more axes, and an axis of size 1 may grow."""
    shape = known.tensor.shape
    if shape is None:
        return None
    dims = shape.front if shape.rest is None else shape.back
    grown = Shape((), Rest(), tuple(ANY if dim == 1 else dim for dim in dims))
    return replace(known, tensor=Tensor(grown), is_batch=False)


def axis_atom(ref: Ref, axis: int) -> Size:
    """The size of an axis of something of which nothing else is known."""
    return atom(f"{name_of(ref)}.shape[{axis}]", (ref, axis))


def identity(value: Value) -> Ref | None:
    return value.thing.ref if isinstance(value.thing, Object) else value.origin


def is_plain(value: Value) -> bool:
    """Whether it may be a tensor of which nothing is known."""
    thing = value.thing
    return isinstance(thing, Unknown) or (isinstance(thing, Object) and thing.cls is None)


_MOST_FACTORS = 4
"""The highest power of a size that is followed: a grid has two or three sides."""


def computed(name: str, left: Value, right: Value) -> Dim | None:
    """What arithmetic of two numbers gives; None where one of them is none, or both are literal."""
    one, two = size_of(left), size_of(right)
    if one is None or two is None or (isinstance(left.thing, Constant) and isinstance(right.thing, Constant)):
        return None
    match name:
        case "add":
            return one + two
        case "sub":
            return one - two
        case "mul":
            return one * two
        case "floor_divide":
            return one // two if two != 0 else None
        case "pow":
            return product([one] * two) if isinstance(two, int) and 0 <= two <= _MOST_FACTORS else None
        case _:
            return None


def is_any(size: Dim) -> bool:
    return isinstance(size, AnySize | int)


def holds_array(value: Value) -> bool:
    return value.shaped is not None and value.shaped.is_array


def is_expected_to_fail(site: Site) -> bool:
    """Whether a place lies in a `try` with a handler, or in `with raises(...)`: what fails there is dealt with.

    So it is in `raises(RuntimeError, lambda: a @ b)`.
    """
    node: cst.CSTNode | None = site.node
    inner: cst.CSTNode | None = None
    while node is not None:
        if isinstance(node, cst.Try) and inner is node.body and node.handlers:
            return True
        if isinstance(node, cst.With) and any("raises" in code(item.item) for item in node.items):
            return True
        if isinstance(node, cst.Call) and isinstance(inner, cst.Arg) and "raises" in code(node.func).lower():
            return True
        inner, node = node, site.part.parents.get(node)
    return False


def is_tried(call: Site) -> bool:
    """Whether a function calls one of its parameters in a `try`: whoever hands it something asks whether that fails."""
    function: cst.CSTNode | None = call.node
    if not isinstance(function, cst.Call) or not isinstance(function.func, cst.Name) or not is_expected_to_fail(call):
        return False
    name = function.func.value
    while function is not None and not isinstance(function, cst.FunctionDef):
        function = call.part.parents.get(function)
    return function is not None and any(param.name.value == name for param in function.params.params)


_SHAPE_ATTRIBUTES = frozenset({"shape", "ndim"})
_SHAPE_METHODS = frozenset({"size", "dim", "ndimension", "numel", "nelement"})


def asks_for_shape(test: cst.CSTNode, part: Part, function: cst.CSTNode | None, asker: cst.CSTNode) -> bool:
    """Whether a test asks for the shape of something, itself or through a flag: `is_single = x.ndim == 2`.

    So may a function that is asked of the tensor alone, also through a name: `if type_of_target(y) == "multilabel"`.

    Args:
        test: the test.
        part: the definition in which it stands.
        function: the function that was executed there, None outside of any.
        asker: what is done where the test has passed.
    """
    used = {node.value for node in descendants(asker) if isinstance(node, cst.Name)}
    return any(
        _says_shape(node)
        or (isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value == "len")
        or _is_told_of(node, used)
        or (function is not None and isinstance(node, cst.Name) and _is_flag_of_shape(node.value, part, function, used))
        for node in descendants(test)
    )


def _is_flag_of_shape(name: str, part: Part, function: cst.CSTNode, used: Collection[str]) -> bool:
    """Whether a name is given what is true or false for what a shape is, or what a function says of a name that is used."""
    tests = (cst.Comparison, cst.BooleanOperation, cst.UnaryOperation)
    made = part.names_in(function).made.get(name, ())
    return any(
        (isinstance(value, tests) and any(map(_says_shape, descendants(value)))) or _is_told_of(value, used) for value in made
    )


def _is_told_of(value: cst.CSTNode, used: Collection[str]) -> bool:
    """Whether a function is called with one of some names alone."""
    if not isinstance(value, cst.Call) or not isinstance(value.func, cst.Name) or len(value.args) != 1:
        return False
    argument = value.args[0].value
    return isinstance(argument, cst.Name) and argument.value in used


def _says_shape(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Call):
        return isinstance(node.func, cst.Attribute) and node.func.attr.value in _SHAPE_METHODS
    return isinstance(node, cst.Attribute) and node.attr.value in _SHAPE_ATTRIBUTES


def promoted_arrays(left: Value, right: Value) -> tuple[Value, Value]:
    """Two arrays with elements of the type that numpy brings both to before it multiplies them; other values as they are."""
    if left.shaped is None or right.shaped is None or not (left.shaped.is_array and right.shaped.is_array):
        return left, right
    dtype = array_types.promoted((left.shaped.tensor.dtype, right.shaped.tensor.dtype))
    one, two = (replace(each, tensor=replace(each.tensor, dtype=dtype)) for each in (left.shaped, right.shaped))
    return replace(left, shaped=one), replace(right, shaped=two)


def runs_backwards(index: Value) -> bool:
    """Whether a slice has a negative step, which arrays allow: `x[::-1]`."""
    items = index.thing if isinstance(index.thing, Items) and index.thing.cls == "builtins.slice" else None
    step = items.tail[2].constant if items is not None and len(items.tail) == 3 else None
    return isinstance(step, int) and step < 0


def without_shape(value: Value) -> Value:
    return replace(value, shaped=None) if value.shaped is not None else value


def element(result: Value) -> Value:
    """One of several results, of which only where they come from is known."""
    return Value(data=result.data, origin=result.origin, attached=result.attached)


def sizes(known: Shape) -> Value:
    """`tensor.shape` as a tuple."""
    if known.rest is None:
        return Value(Items("builtins.tuple", tuple(map(number, known.front))))
    return Value(Items("builtins.tuple", tuple(map(number, known.back)), Value(Opaque("builtins.int"))))


def with_numbers(result: Value) -> Value:
    """What `enumerate` gives: the first of each pair is a number."""
    items = result.thing if isinstance(result.thing, Items) else None
    pair = items.lead.thing if items is not None and items.lead is not None else None
    if items is None or items.lead is None or not isinstance(pair, Items) or len(pair.tail) != 2:
        return result
    counted = replace(items.lead, thing=replace(pair, tail=(Value(Opaque(INT)), pair.tail[1])))
    return replace(result, thing=replace(items, lead=counted))


def number_result(name: str, result: Value) -> Value:
    """The result of a function of Python: a number, where it is one."""
    of_number = isinstance(result.thing, Unknown) or (name == "builtins.float" and isinstance(result.thing, Opaque))
    return replace(result, thing=Opaque(FLOAT), shaped=None) if name.startswith(NUMBERS) and of_number else result


def named_dtype(value: Value) -> str | None:
    name = getattr(value.thing, "name", value.constant)
    return dtypes.named(name.rpartition(".")[2]) if isinstance(name, str) else None
