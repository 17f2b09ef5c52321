"""Shapes of abstract values: what a value is as an argument of a transfer function, and what two shapes have in common."""

from __future__ import annotations

from math import nan

from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.value import Constant, Items, Object, Opaque, Shaped, Symbol, Value
from mldbg.operations import dtypes
from mldbg.operations.shape import UNKNOWN, Argument, Each, Mismatch, Perhaps, Rest, Shape, Tensor, Unsure
from mldbg.operations.sizes import ANY, AnySize, Dim, atom

_CONSTANTS = frozenset(f"{package}.{name}" for package in ("torch", "math", "numpy") for name in ("pi", "e", "inf", "nan", "tau"))
"""Numbers that libraries hold."""

FLOAT = "builtins.float"
INT = "builtins.int"
"""The class of a number that is known to be one."""


def joined(one: Shaped | None, two: Shaped | None) -> Shaped | None:
    """What is known of a tensor that is one of two."""
    if one is None or two is None:
        return None
    if one.tensor == two.tensor:
        return one
    shape = _joined_shapes(one.tensor.shape, two.tensor.shape)
    first, second = one.tensor.dtype, two.tensor.dtype
    dtype = first if first == second else dtypes.kind(first) if dtypes.kind(first) == dtypes.kind(second) else None
    tensor = Tensor(shape, dtype)
    if tensor.says_nothing:
        return None
    return Shaped(
        tensor,
        one.ladder or two.ladder,
        one.stretched or two.stretched,
        one.is_array or two.is_array,
        one.is_batch and two.is_batch,
    )


def _joined_shapes(one: Shape | None, two: Shape | None) -> Shape | None:
    if one is None or two is None or one == two:
        return one if one == two else None
    if one.rest is None and two.rest is None and len(one.front) == len(two.front):
        return Shape(tuple(map(_joined_dims, one.front, two.front)))
    backs = [shape.front if shape.rest is None else shape.back for shape in (one, two)]
    length = min(map(len, backs))
    back = tuple(map(_joined_dims, backs[0][len(backs[0]) - length :], backs[1][len(backs[1]) - length :]))
    return Shape((), Rest(), back)


def entry(shaped: Shaped | None) -> Shaped | None:
    """One entry along the first axis."""
    if shaped is None:
        return None
    left, supposed = _without_first(shaped.tensor), _without_first(shaped.supposed)
    if left is None and supposed is None:
        return None
    made = Shaped(left or Tensor(), shaped.ladder, is_array=shaped.is_array, supposed=supposed)
    return None if shaped.is_table or may_be_anything(shaped, made) else made


def may_be_anything(whole: Shaped, entry: Shaped | None) -> bool:
    """Whether an entry of a table or array may be a text or another object: it is a single one, of no known type."""
    untyped = (whole.is_table or whole.is_array) and whole.tensor.dtype is None
    return untyped and entry is not None and entry.tensor.shape is not None and entry.tensor.shape.rank == 0


def _without_first(tensor: Tensor | None) -> Tensor | None:
    if tensor is None or tensor.shape is None:
        return None
    try:
        return Tensor(tensor.shape.without(0), tensor.dtype)
    except (Mismatch, Unsure):
        return None


def _joined_dims(one: Dim, two: Dim) -> Dim:
    return one if one == two else ANY


def size_of(value: Value) -> Dim | None:
    """The number that a value is, if it is a number; None where it is something else, or nothing tells it from other numbers."""
    thing = value.thing
    if isinstance(thing, Constant):
        return thing.value if thing.kind == "int" and isinstance(thing.value, int) else None
    if value.size is not None:
        return value.size
    if value.shaped is not None or value.among is not None or value.meaning is not None or value.or_none:
        return None
    if isinstance(thing, Object) and thing.cls is None:
        return atom(name_of(thing.ref), thing.ref, positive=False)
    return None


def usual_size(usual: Constant | None) -> int | None:
    """The size that a setting gives where nobody sets it; None where its usual value is none, or a mark that somebody has to."""
    number = usual.value if usual is not None and usual.kind == "int" else None
    return number if isinstance(number, int) and number > 0 else None


def name_of(ref: Ref) -> str:
    """How people call something of which only its identity is known."""
    if ref.kind in (Made.ATTRIBUTE, Made.ITEM) and ref.whole is not None:
        return str(ref.detail)
    if ref.kind is Made.PARAMETER and ref.site is not None:
        name = getattr(ref.site.node, "name", None)
        return name.value if name is not None else "n"
    return "n"


def argument(value: Value, elements: Items | None = None) -> Argument:
    """What a transfer function is given for a value; `elements`: of a list what it holds."""
    if value.shaped is not None:
        return value.shaped.tensor
    if value.or_none or value.among is not None:
        return UNKNOWN
    thing = value.thing
    if isinstance(thing, Constant):
        return thing.value
    if isinstance(thing, Symbol):
        return nan if thing.name in _CONSTANTS else thing.name
    if isinstance(thing, Items) and thing.cls == "builtins.slice":
        return slice(*(argument(bound) for bound in thing.tail))
    items = thing if isinstance(thing, Items) else elements
    if elements is not None and elements.exact and not elements.tail:
        return UNKNOWN  # a list that others fill
    if items is not None:
        if items.exact:
            return tuple(argument(item) for item in items.tail)
        if items.all and all(is_number(item) or isinstance(item.constant, int | float) for item in items.all):
            floats = any(isinstance(item.constant, float) or _is_float(item) for item in items.all)
            return Each(Tensor(Shape(), "float32" if floats else "int64"))
        alike = [item.shaped for item in items.all]
        if alike and all(one is not None and alike[0] is not None and one.tensor == alike[0].tensor for one in alike):
            return Each(alike[0].tensor) if alike[0] is not None else UNKNOWN
        return UNKNOWN
    if isinstance(thing, Opaque) and thing.cls == FLOAT:
        return nan  # a number that is not known
    size = size_of(value)
    if size is None:
        return ANY if isinstance(thing, Opaque) and thing.cls == INT else UNKNOWN
    return size if isinstance(size, int) or (isinstance(thing, Opaque) and thing.cls == INT) else Perhaps(size)


def number(size: Dim) -> Value:
    """The value of a number that is a size."""
    if isinstance(size, int):
        return Value(Constant("int", size))
    return Value(Opaque(INT), size=None if isinstance(size, AnySize) else size)


def _is_float(value: Value) -> bool:
    return isinstance(value.thing, Opaque) and value.thing.cls == FLOAT


def is_number(value: Value) -> bool:
    """Whether a value is known to be a number that no tensor is."""
    return class_of_number(value) is not None


def class_of_number(value: Value) -> str | None:
    """INT or FLOAT, of a number that no tensor is and whose value is not known; None of anything else."""
    thing = value.thing
    if isinstance(thing, Symbol):
        return FLOAT if thing.name in _CONSTANTS else None
    return thing.cls if isinstance(thing, Opaque) and thing.cls in (INT, FLOAT) else None
