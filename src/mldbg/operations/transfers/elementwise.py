"""Functions that work on each element by itself: arithmetic, comparison, rounding, changes of type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product as combinations

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    UNKNOWN,
    Argument,
    Given,
    Mismatch,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    number_as_tensor,
    of,
)
from mldbg.operations.sizes import ANY, Size, same

Compute = Callable[[Given], Result]
TypeRule = Callable[[str | None], str | None]
"""How the type of a result follows from the type in which it is computed."""


# --- types ---


def as_computed(dtype: str | None) -> str | None:
    return dtype


def always(dtype: str) -> TypeRule:
    return lambda _: dtype


def floating(dtype: str | None) -> str | None:
    """Integers become floats."""
    return dtypes.floating(dtype) if dtypes.kind(dtype) is not None else None


def counting(dtype: str | None) -> str | None:
    """The type of a sum: those of small integers do not overflow."""
    return "int64" if dtypes.kind(dtype) in ("int", "bool") else dtype


_ORDER = ("bool", "int", "float", "complex")


def result_type(*values: Argument) -> str | None:
    """The type of arithmetic on tensors and Python numbers.

    Tensors with axes decide; those without axes, and after them Python numbers, only where they are of a higher kind.
    """
    options = [_groups_of(value) for value in values]
    found = {_result_type(tuple(zip(values, groups, strict=True))) for groups in combinations(*options)}
    if len(found) == 1:
        return found.pop()
    kinds = {dtypes.kind(dtype) for dtype in found}
    return kinds.pop() if len(kinds) == 1 else None


_AXES, _NO_AXES, _NUMBER = range(3)


def _groups_of(value: Argument) -> tuple[int, ...]:
    if not isinstance(value, Tensor):
        return (_NUMBER,)
    if value.shape is not None and (value.shape.rank is not None or value.shape.least_rank > 0):
        return (_AXES,) if value.shape.least_rank else (_NO_AXES,)
    return (_AXES, _NO_AXES)


def _result_type(values: tuple[tuple[Argument, int], ...]) -> str | None:
    result: str | None = None
    is_first = True
    for group in (_AXES, _NO_AXES, _NUMBER):
        members = [_dtype_of(value) for value, its_group in values if its_group == group]
        if not members:
            continue
        dtype = members[0]
        for other in members[1:]:
            dtype = dtypes.promoted(dtype, other)
        result = dtype if is_first else _of_higher_kind(result, dtype)
        is_first = False
    return result


def _dtype_of(value: Argument) -> str | None:
    if isinstance(value, Tensor):
        return value.dtype
    return {"float": "float32", "int": "int64"}.get(kind := str(number_as_tensor(value).dtype), kind)


def _of_higher_kind(one: str | None, two: str | None) -> str | None:
    first, second = dtypes.kind(one), dtypes.kind(two)
    if first is None or second is None:
        return None
    if (first, second) == ("float", "complex"):
        return "complex"
    return one if _ORDER.index(first) >= _ORDER.index(second) else two


def refuse(kinds: str, *values: Argument, what: str) -> None:
    """Raises Mismatch where an operand has elements of one of these kinds."""
    for value in values:
        kind = dtypes.kind(_dtype_of(value))
        if kind is not None and kind in kinds.split():
            raise Mismatch(Problem.DTYPE, f"{what} is not defined for elements of type {_dtype_of(value)}")


def refuse_as_mask(mask: Tensor) -> None:
    """Raises Mismatch where a tensor is no mask; older versions of torch take bytes as one."""
    if mask.dtype != "uint8":
        refuse("int float complex", mask, what="a mask")


# --- operands ---


def operand(given: Given, name: str) -> Argument:
    """A tensor or a number; a tensor of which nothing is known where it is not known which."""
    value = given.raw(name)
    return value if isinstance(value, int | float | Size) else given.tensor(name)


def shape_of(*values: Argument) -> Shape | None:
    """The shape of operands that are broadcast."""
    shapes = [value.shape if isinstance(value, Tensor) else Shape() for value in values]
    known = [shape for shape in shapes if shape is not None]
    together = broadcast(*known) if known else None
    return together if len(known) == len(shapes) else None


def elementwise(*names: str, rule: TypeRule = as_computed, refuses: str = "") -> Compute:
    """A function of operands that are broadcast; `refuses`: kinds of elements that none of them may have."""

    def compute(given: Given) -> Result:
        values = [operand(given, name) for name in names]
        refuse(refuses, *values, what="the operation")
        return Tensor(shape_of(*values), rule(result_type(*values)))

    return compute


def in_place(compute: Compute) -> Compute:
    """The same function where it writes into its first operand: what comes out has to fit there."""

    def computed(given: Given) -> Result:
        target = given.tensor()
        result = compute(given)
        if not isinstance(result, Tensor):
            raise Unsure
        _check_fits(result.shape, target.shape)
        have, want = dtypes.kind(result.dtype), dtypes.kind(target.dtype)
        if have is not None and want is not None and _ORDER.index(have) > _ORDER.index(want):
            reason = f"elements of type {result.dtype} cannot be written into a tensor of type {target.dtype}"
            raise Mismatch(Problem.DTYPE, reason)
        return target

    return computed


def _check_fits(result: Shape | None, target: Shape | None) -> None:
    if result is None or target is None or result.rank is None or target.rank is None:
        return
    differs = result.rank != target.rank or any(
        same(one, two) is False for one, two in zip(result.dims, target.dims, strict=True)
    )
    if differs:
        raise Mismatch(Problem.SIZES, f"a result of shape {result} does not fit into {target}")


def _copied(given: Given) -> Result:
    """`copy_`, which changes any type into that of the tensor."""
    target = given.tensor()
    _check_fits(shape_of(target, operand(given, "src")), target.shape)
    return target


# --- those with rules of their own ---


def _power(given: Given) -> Result:
    one, two = operand(given, "input"), operand(given, "exponent")
    dtype = result_type(one, two)
    return Tensor(shape_of(one, two), dtype if dtype != "bool" else None)


def _divided(given: Given) -> Result:
    one, two = operand(given, "input"), operand(given, "other")
    dtype, mode = result_type(one, two), given.raw("rounding_mode")
    if mode is None or dtype == floating(dtype):
        return Tensor(shape_of(one, two), floating(dtype))
    return Tensor(shape_of(one, two), dtype if isinstance(mode, str) else None)


def _divides_other(given: Given) -> Result:
    """`__rtruediv__`, which multiplies by the reciprocal."""
    value, other = given.tensor(), operand(given, "other")
    return Tensor(shape_of(value, other), result_type(replace(value, dtype=floating(value.dtype)), other))


def _clamped(given: Given) -> Result:
    bounds = [operand(given, name) for name in ("min", "max") if given.has(name)]
    value = given.tensor()
    return Tensor(shape_of(value, *bounds), result_type(value, *bounds))


def _chosen(given: Given) -> Result:
    """`where`: by a condition from one of two operands; alone, the places where it holds."""
    condition = given.tensor("condition")
    if "input" not in given.values and "other" not in given.values:
        rank = condition.shape.rank if condition.shape is not None else None
        if rank is None:
            raise Unsure
        return (Tensor(of(ANY), "int64"),) * max(rank, 1)
    refuse_as_mask(condition)
    one, two = operand(given, "input"), operand(given, "other")
    return Tensor(shape_of(condition, one, two), result_type(one, two))


def _filled(given: Given) -> Result:
    value, mask = given.tensor(), given.tensor("mask")
    refuse_as_mask(mask)
    return Tensor(shape_of(value, mask), value.dtype)


def _interpolated(given: Given) -> Result:
    one, two, weight = given.tensor(), given.tensor("end"), operand(given, "weight")
    for other in (two, weight):
        if isinstance(other, Tensor) and dtypes.agree(one.dtype, other.dtype) is False:
            raise Mismatch(Problem.DTYPE, f"elements of type {one.dtype} here and {other.dtype} there")
    return Tensor(shape_of(one, two, weight), one.dtype)


def _squared(given: Given) -> Result:
    value = given.tensor()
    return Tensor(value.shape, "int64" if value.dtype == "bool" else value.dtype)


def _absolute(given: Given) -> Result:
    value = operand(given, "input")
    return Tensor(shape_of(value), dtypes.magnitude(result_type(value)))


# --- types and copies ---


def kept(given: Given) -> Result:
    """The same shape and type."""
    return given.tensor()


def _with_type(dtype: str) -> Compute:
    return lambda given: replace(given.tensor(), dtype=dtype)


def _cast(given: Given) -> Result:
    """`to` and `type`: the type stands in any argument, as a type or as another tensor; others are devices."""
    value = given.tensor()
    arguments = [argument for name, argument in given.values.items() if name in ("first", "second", "dtype", "other")]
    for argument in arguments:
        if isinstance(argument, Tensor):
            return replace(value, dtype=argument.dtype)
        if isinstance(argument, str) and dtypes.named(argument.rpartition(".")[2]) is not None:
            return replace(value, dtype=dtypes.named(argument.rpartition(".")[2]))
    is_device = all(isinstance(argument, str | bool | int) or argument is None for argument in arguments)
    return value if is_device else replace(value, dtype=None)


def _cast_or_named(given: Given) -> Result:
    """`type`, which without an argument gives the name of the type."""
    return _cast(given) if given.has("dtype") else UNKNOWN


def _type_of_other(given: Given) -> Result:
    return replace(given.tensor(), dtype=given.tensor("other").dtype)


# --- the tables ---

_ONE = ("input",)
_TWO = ("input", "other")

_UNARY: Mapping[str, Compute] = {
    "abs absolute": _absolute,
    "relu floor ceil trunc fix sign sgn": elementwise("input"),
    "frac": elementwise("input", refuses="int bool"),
    "neg negative": elementwise("input", refuses="bool"),
    "square": _squared,
    "exp exp2 log log2 log10 log1p expm1 sqrt rsqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh "
    "arcsin arccos arctan sigmoid erf erfc erfinv lgamma digamma reciprocal deg2rad rad2deg": elementwise("input", rule=floating),
    "bitwise_not": elementwise("input", refuses="float complex"),
    "logical_not": elementwise("input", rule=always("bool")),
}
"""Names that also work in place."""

_BINARY: Mapping[str, Compute] = {
    "add mul multiply floor_divide remainder fmod": elementwise(*_TWO),
    "sub subtract": elementwise(*_TWO, refuses="bool"),
    "div divide true_divide": _divided,
    "atan2 arctan2": elementwise(*_TWO, rule=floating),
    "eq ne lt le gt ge greater less greater_equal less_equal not_equal logical_and logical_or logical_xor": elementwise(
        *_TWO, rule=always("bool")
    ),
    "bitwise_and bitwise_or bitwise_xor": elementwise(*_TWO, refuses="float complex"),
}
"""The same for two operands."""

_IN_PLACE_TOO: Mapping[str, Transfer] = {
    **{names: Transfer(_ONE, compute) for names, compute in _UNARY.items()},
    **{names: Transfer(_TWO, compute) for names, compute in _BINARY.items()},
    "round": Transfer(("input", "decimals"), elementwise("input")),
    "nan_to_num": Transfer(("input", "nan", "posinf", "neginf"), elementwise("input")),
    "logit": Transfer(("input", "eps"), elementwise("input", rule=floating)),
    "pow": Transfer(("input", "exponent"), _power),
    "clamp clip": Transfer(("input", "min", "max"), _clamped),
    "clamp_min": Transfer(("input", "min"), _clamped),
    "clamp_max": Transfer(("input", "max"), _clamped),
    "lerp": Transfer(("input", "end", "weight"), _interpolated),
    "addcmul addcdiv": Transfer(("input", "tensor1", "tensor2"), elementwise("input", "tensor1", "tensor2")),
    "masked_fill": Transfer(("input", "mask", "value"), _filled),
}

METHODS_AND_FUNCTIONS: Mapping[str, Transfer] = {
    **_IN_PLACE_TOO,
    "isnan isinf isfinite isposinf isneginf signbit": Transfer(_ONE, elementwise("input", rule=always("bool"))),
    "maximum minimum fmax fmin": Transfer(_TWO, elementwise(*_TWO)),
    "positive": Transfer(_ONE, elementwise("input", refuses="bool")),
    "clone detach": Transfer(_ONE, kept),
    "bernoulli": Transfer(("input", "p"), kept),
}

FUNCTIONS: Mapping[str, Transfer] = {
    "where": Transfer(("condition", "input", "other"), _chosen),
    "rsub": Transfer(_TWO, elementwise(*_TWO, refuses="bool")),
}

METHODS: Mapping[str, Transfer] = {
    **{
        " ".join(f"{name}_" for name in names.split()): Transfer(row.params, in_place(row.compute))
        for names, row in _IN_PLACE_TOO.items()
    },
    "where": Transfer(("input", "condition", "other"), _chosen),
    "__add__ __radd__ __mul__ __rmul__ __floordiv__ __rfloordiv__ __mod__ __rmod__": Transfer(_TWO, elementwise(*_TWO)),
    "__sub__ __rsub__": Transfer(_TWO, elementwise(*_TWO, refuses="bool")),
    "__truediv__": Transfer(_TWO, elementwise(*_TWO, rule=floating)),
    "__rtruediv__": Transfer(_TWO, _divides_other),
    "__pow__ __rpow__": Transfer(("input", "exponent"), _power),
    "__iadd__ __imul__ __ifloordiv__": Transfer(_TWO, in_place(elementwise(*_TWO))),
    "__isub__": Transfer(_TWO, in_place(elementwise(*_TWO, refuses="bool"))),
    "__itruediv__": Transfer(_TWO, in_place(elementwise(*_TWO, rule=floating))),
    "__eq__ __ne__ __lt__ __le__ __gt__ __ge__": Transfer(_TWO, elementwise(*_TWO, rule=always("bool"))),
    "__and__ __or__ __xor__": Transfer(_TWO, elementwise(*_TWO, refuses="float complex")),
    "__neg__": Transfer(_ONE, elementwise("input", refuses="bool")),
    "__abs__": Transfer(_ONE, _absolute),
    "__invert__": Transfer(_ONE, elementwise("input", refuses="float complex")),
    "contiguous cpu cuda requires_grad_ detach_ pin_memory zero_ fill_ uniform_ normal_ bernoulli_": Transfer(_ONE, kept),
    "copy_": Transfer(("input", "src"), _copied),
    "float": Transfer(_ONE, _with_type("float32")),
    "double": Transfer(_ONE, _with_type("float64")),
    "half": Transfer(_ONE, _with_type("float16")),
    "bfloat16": Transfer(_ONE, _with_type("bfloat16")),
    "long": Transfer(_ONE, _with_type("int64")),
    "int": Transfer(_ONE, _with_type("int32")),
    "short": Transfer(_ONE, _with_type("int16")),
    "byte": Transfer(_ONE, _with_type("uint8")),
    "bool": Transfer(_ONE, _with_type("bool")),
    "to": Transfer(("input", "first", "second"), _cast),
    "type": Transfer(("input", "dtype"), _cast_or_named),
    "type_as": Transfer(_TWO, _type_of_other),
}
