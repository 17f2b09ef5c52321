"""Calls of torch's functions and tensor methods: this file has those on single elements, the ones beside it the others."""

from __future__ import annotations

from hypothesis import strategies as st

from shapes import cases_tensors_axes, cases_tensors_created, cases_tensors_moved, cases_tensors_parts
from shapes.drawing import DTYPES, FLOATS, broadcast_pair, tensors
from shapes.oracle import Case, Drawn, T

NUMBERS = st.sampled_from([1, 2, 2.5, 0.5, True])
NOT_BOOL = DTYPES.filter(lambda dtype: dtype != "bool") | st.sampled_from(["float16", "bfloat16", "uint8", "int8"])
EVERY = DTYPES | st.sampled_from(["float16", "bfloat16", "uint8", "int16"])


def both(names: str) -> tuple[str, ...]:
    """As functions and as methods."""
    return tuple(f"{package}.{name}" for name in names.split() for package in ("torch", "torch.Tensor"))


def functions(names: str) -> tuple[str, ...]:
    return tuple(f"torch.{name}" for name in names.split())


def methods(names: str) -> tuple[str, ...]:
    return tuple(f"torch.Tensor.{name}" for name in names.split())


def in_place(names: str) -> tuple[str, ...]:
    return methods(" ".join(f"{name}_" for name in names.split()))


def with_in_place(names: str, calls: st.SearchStrategy[Drawn], *more: str) -> list[Case]:
    """Names that also work in place; there the meta device checks too little."""
    return [Case((*both(names), *more), calls), Case(in_place(names), calls, real="values")]


def alone(dtypes: st.SearchStrategy[str]) -> st.SearchStrategy[Drawn]:
    return tensors(0, 4, dtypes).map(lambda value: Drawn((value,)))


@st.composite
def pairs(
    draw: st.DrawFn, dtypes: st.SearchStrategy[str], numbers: st.SearchStrategy[object] | None = NUMBERS, keyword: str = "other"
) -> Drawn:
    """Two operands, the second often a number."""
    one, two = draw(broadcast_pair())
    other: object = T(two, draw(dtypes))
    if numbers is not None and draw(st.integers(0, 2)) == 0:
        other = draw(numbers)
    value = T(one, draw(dtypes))
    return Drawn((value,), {keyword: other}) if keyword and draw(st.integers(0, 4)) == 0 else Drawn((value, other))


@st.composite
def _three(draw: st.DrawFn, dtypes: st.SearchStrategy[str], *, alike: bool = False) -> Drawn:
    one, two = draw(broadcast_pair())
    third = draw(st.sampled_from([one, two, (), (1,)]))
    first = draw(dtypes)
    others = [draw(dtypes) if not alike or draw(st.integers(0, 5)) == 0 else first for _ in range(2)]
    return Drawn((T(one, first), T(two, others[0]), T(third, others[1])))


@st.composite
def _lerp(draw: st.DrawFn) -> Drawn:
    one, two = draw(broadcast_pair())
    dtype = draw(FLOATS)
    other = draw(st.sampled_from([dtype, dtype, "float64"]))
    weight: object = draw(st.sampled_from([0.5, T((), dtype), T(one, dtype)]))
    return Drawn((T(one, dtype), T(two, other), weight))


@st.composite
def _where(draw: st.DrawFn, *, is_method: bool = False) -> Drawn:
    one, two = draw(broadcast_pair())
    condition = T(
        draw(st.sampled_from([one, two, (), (1,)])), draw(st.sampled_from(["bool", "bool", "bool", "int64", "float32"]))
    )
    first: object = T(one, draw(DTYPES))
    second: object = draw(st.sampled_from([T(two, draw(DTYPES)), T(two, draw(DTYPES)), draw(NUMBERS)]))
    if is_method:
        return Drawn((first, condition, second))
    first = draw(st.sampled_from([first, first, draw(NUMBERS)]))
    return Drawn((condition, first, second))


@st.composite
def _masked(draw: st.DrawFn) -> Drawn:
    one, two = draw(broadcast_pair())
    mask = T(two, draw(st.sampled_from(["bool", "bool", "bool", "bool", "float32", "int64"])))
    return Drawn((T(one, draw(FLOATS)), mask, draw(st.sampled_from([0.0, 1, float("-inf")]))))


@st.composite
def _clamp(draw: st.DrawFn) -> Drawn:
    one, two = draw(broadcast_pair())
    value = T(one, draw(NOT_BOOL))
    if draw(st.booleans()):
        bound = T(two, draw(NOT_BOOL))
        return draw(st.sampled_from([Drawn((value,), {"min": bound}), Drawn((value, bound)), Drawn((value, None, bound))]))
    number = st.sampled_from([0, 1, 0.5])
    keywords = draw(st.sampled_from([("min",), ("max",), ("min", "max")]))
    return Drawn((value,), {name: draw(number) for name in keywords})


_DTYPE_VALUES = st.sampled_from(["float32", "float16", "int64", "bool"])


@st.composite
def _cast(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3, EVERY))
    dtype = getattr(__import__("torch"), draw(_DTYPE_VALUES))
    options = [
        Drawn((value, dtype)),
        Drawn((value,), {"dtype": dtype}),
        Drawn((value, "meta", dtype)),
        Drawn((value, "meta")),
        Drawn((value,), {"device": "meta"}),
        Drawn((value, T((2,), draw(EVERY)))),
        Drawn((value,), {"device": "meta", "dtype": dtype}),
    ]
    return draw(st.sampled_from(options))


_DTYPE = st.builds(lambda value, dtype: Drawn((value, getattr(__import__("torch"), dtype))), tensors(0, 3, EVERY), _DTYPE_VALUES)

_SAME = "abs absolute relu floor ceil trunc fix"
_ROOTS = (
    "exp exp2 log log2 log10 log1p expm1 sqrt rsqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh "
    "arcsin arccos arctan sigmoid erf erfc erfinv lgamma digamma reciprocal deg2rad rad2deg logit"
)
_ROUNDED = st.builds(
    lambda drawn, mode: Drawn(drawn.args, {"rounding_mode": mode}),
    pairs(NOT_BOOL, keyword=""),
    st.sampled_from(["floor", "trunc", None]),
)
_COMPARED = "eq ne lt le gt ge greater less greater_equal less_equal not_equal"
_BITS = st.sampled_from(["int64", "int32", "bool", "bool", "uint8", "int64", "float32"])
_BITS_NUMBERS = st.sampled_from([1, 2, True])

CASES = [
    *with_in_place(_SAME, alone(NOT_BOOL), "torch.Tensor.__abs__"),
    Case((*both("frac"), *in_place("frac")), alone(NOT_BOOL), real="values"),
    *with_in_place("sign sgn square nan_to_num", alone(EVERY)),
    *with_in_place("neg negative", alone(EVERY), *both("positive"), "torch.Tensor.__neg__"),
    *with_in_place(_ROOTS, alone(EVERY)),
    *with_in_place("round", alone(NOT_BOOL) | tensors(0, 3, FLOATS).map(lambda value: Drawn((value,), {"decimals": 2}))),
    Case((*both("bitwise_not"), *in_place("bitwise_not"), *methods("__invert__")), alone(_BITS), real="values"),
    Case((*both("logical_not isnan isinf isfinite isposinf isneginf signbit"), *in_place("logical_not")), alone(EVERY)),
    *with_in_place("add mul multiply", pairs(EVERY)),
    Case(methods("__add__ __radd__ __mul__ __rmul__"), pairs(EVERY, keyword="")),
    Case(methods("__iadd__ __imul__"), pairs(EVERY, keyword=""), real="values"),
    *with_in_place("floor_divide remainder fmod", pairs(NOT_BOOL)),
    Case(methods("__floordiv__ __rfloordiv__ __mod__ __rmod__"), pairs(NOT_BOOL, keyword="")),
    Case(methods("__ifloordiv__"), pairs(NOT_BOOL, keyword=""), real="values"),
    Case((*both("sub subtract"), *functions("rsub"), *in_place("sub subtract")), pairs(EVERY), real="values"),
    Case(methods("__sub__ __rsub__ __isub__"), pairs(EVERY, keyword=""), real="values"),
    *with_in_place("div divide", pairs(EVERY) | _ROUNDED),
    *with_in_place("true_divide", pairs(EVERY)),
    Case(methods("__truediv__ __rtruediv__"), pairs(EVERY, keyword="")),
    Case(methods("__itruediv__"), pairs(EVERY, keyword=""), real="values"),
    *with_in_place("pow", pairs(NOT_BOOL, keyword="exponent", numbers=st.sampled_from([2, 0.5, 3.0]))),
    Case(methods("__pow__ __rpow__"), pairs(NOT_BOOL, keyword="", numbers=st.sampled_from([2, 0.5, 3.0]))),
    Case(both("maximum minimum fmax fmin"), pairs(EVERY, numbers=None)),
    *with_in_place("atan2 arctan2", pairs(EVERY, numbers=None)),
    *with_in_place(_COMPARED, pairs(EVERY)),
    Case(methods("__eq__ __ne__ __lt__ __le__ __gt__ __ge__"), pairs(EVERY, keyword="")),
    *with_in_place("logical_and logical_or logical_xor", pairs(EVERY, numbers=None)),
    Case(
        (*both("bitwise_and bitwise_or bitwise_xor"), *in_place("bitwise_and bitwise_or bitwise_xor")),
        pairs(_BITS, numbers=_BITS_NUMBERS),
        real="values",
    ),
    Case(methods("__and__ __or__ __xor__"), pairs(_BITS, numbers=_BITS_NUMBERS, keyword=""), real="values"),
    Case((*both("lerp"), *in_place("lerp")), _lerp(), real="values"),
    *with_in_place("addcmul", _three(NOT_BOOL)),
    *with_in_place("addcdiv", _three(FLOATS)),
    Case((*both("masked_fill"), *in_place("masked_fill")), _masked(), real="values"),
    *with_in_place("clamp clip", _clamp()),
    *with_in_place("clamp_min", pairs(NOT_BOOL, keyword="min", numbers=st.sampled_from([1, 0.5]))),
    *with_in_place("clamp_max", pairs(NOT_BOOL, keyword="max", numbers=st.sampled_from([1, 0.5]))),
    Case(functions("where"), _where()),
    Case(methods("where"), _where(is_method=True)),
    Case((*both("clone detach"), *methods("contiguous cpu detach_ zero_ data")), alone(EVERY), real="values"),
    Case(methods("cuda pin_memory"), alone(EVERY), called="torch.Tensor.cpu", real="values"),
    Case((*both("bernoulli"), *methods("requires_grad_ uniform_ normal_ bernoulli_")), alone(FLOATS)),
    Case(methods("fill_"), tensors(0, 3).map(lambda value: Drawn((value, 1)))),
    Case(methods("copy_"), pairs(DTYPES, numbers=None, keyword=""), real="values"),
    Case(methods("float double half bfloat16 long int short byte bool"), alone(EVERY)),
    Case(methods("to"), _cast()),
    Case(methods("type"), _DTYPE),
    Case(methods("type_as"), st.builds(lambda one, two: Drawn((one, two)), tensors(0, 3, EVERY), tensors(0, 2, EVERY))),
    *cases_tensors_axes.CASES,
    *cases_tensors_created.CASES,
    *cases_tensors_moved.CASES,
    *cases_tensors_parts.CASES,
]
