"""Functions that make tensors of numbers, and what a tensor says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import ceil, nan

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    UNKNOWN,
    Argument,
    Each,
    Given,
    Mismatch,
    Perhaps,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    number_as_tensor,
    of,
)
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, quotient, said
from mldbg.operations.transfers.elementwise import operand, shape_of
from mldbg.operations.transfers.moving import ranks_differ, shape_or_any

Compute = Callable[[Given], Result]
DEFAULT = "float32"


def _dtype(given: Given, usual: str | None) -> str | None:
    return given.dtype("dtype", usual)


def _number_type(value: Argument) -> str | None:
    """The type of a tensor made of a number."""
    if isinstance(value, Tensor):
        return value.dtype
    if value is UNKNOWN or isinstance(value, Perhaps | AnySize):
        return None
    return {"float": DEFAULT, "int": "int64"}.get(kind := str(number_as_tensor(value).dtype), kind)


def _checked(sizes: tuple[Dim, ...]) -> Shape:
    for size in sizes:
        if isinstance(size, int) and size < 0:
            raise Mismatch(Problem.SIZES, f"a size of {size}")
    return of(*sizes)


# --- of a given shape ---


def _made(dtype: str) -> Compute:
    def compute(given: Given) -> Result:
        return Tensor(_checked(given.sizes("size")), _dtype(given, dtype))

    return compute


def _full(given: Given) -> Result:
    return Tensor(_checked(given.sizes("size")), _dtype(given, _number_type(given.raw("fill_value"))))


def _random_integers(given: Given) -> Result:
    """`randint(high, size)`, or `randint(low, high, size)`."""
    name = "size" if given.has("size") else "high"
    return Tensor(_checked(given.sizes(name)), _dtype(given, "int64"))


def _normal(given: Given) -> Result:
    """`normal`: of a size, or of the shape of what it is given."""
    if given.has("size"):
        return Tensor(_checked(given.sizes("size")), _dtype(given, DEFAULT))
    mean = operand(given, "mean")
    deviation = operand(given, "std") if given.has("std") else 1.0
    kinds = [value.dtype for value in (mean, deviation) if isinstance(value, Tensor)]
    if not kinds:
        raise Unsure
    return Tensor(shape_of(mean, deviation), kinds[0])


def _eye(given: Given) -> Result:
    rows = given.size("n")
    return Tensor(_checked((rows, given.size("m", rows))), _dtype(given, DEFAULT))


# --- of a given range ---


def _arange(given: Given) -> Result:
    bounds = [given.raw(name) for name in ("start", "end") if given.has(name)]
    start, end = bounds if len(bounds) == 2 else (0, *bounds)
    step = given.raw("step") if given.has("step") else 1
    dtype = _dtype(given, _range_type(start, end, step))
    if dtype is None:
        is_exact = all(isinstance(bound, int | Size) for bound in (start, end, step))
        return Tensor(of(_steps(start, end, step) if is_exact else ANY))
    if dtypes.kind(dtype) == "int":
        _steps(start, end, step)  # they have to lead there before they are rounded, too
        start, end, step = (int(bound) if isinstance(bound, float) else bound for bound in (start, end, step))
    return Tensor(of(_steps(start, end, step)), dtype)


def _range_type(*bounds: Argument) -> str | None:
    if any(isinstance(bound, float) for bound in bounds):
        return DEFAULT
    return "int64" if all(isinstance(bound, int | Size) for bound in bounds) else None


def _steps(start: Argument, end: Argument, step: Argument) -> Dim:
    """How many numbers there are from one to the other."""
    if isinstance(start, int | float) and isinstance(end, int | float) and isinstance(step, int | float):
        if step == 0 or (end - start) * step < 0:
            raise Mismatch(Problem.SIZES, f"steps of {step} do not lead from {start} to {end}")
        return ceil((end - start) / step)
    if isinstance(start, int | Size) and isinstance(end, int | Size) and isinstance(step, int) and step > 0:
        return quotient(end - start + step - 1, step)
    return ANY


def _points(given: Given) -> Result:
    """`linspace` and `logspace`"""
    return Tensor(_checked((given.size("steps"),)), _dtype(given, DEFAULT))


def _permutation(given: Given) -> Result:
    return Tensor(_checked((given.size("n"),)), _dtype(given, "int64"))


# --- like another ---


def _like(given: Given) -> Result:
    value = given.tensor()
    return replace(value, dtype=_dtype(given, value.dtype))


def _new(given: Given) -> Result:
    return Tensor(_checked(given.sizes("size")), _dtype(given, given.tensor().dtype))


def _new_of_data(given: Given) -> Result:
    return Tensor(_nested(given.raw("data")).shape, _dtype(given, given.tensor().dtype))


# --- of data ---


def _of_data(given: Given) -> Result:
    """`tensor` and `as_tensor`: of numbers in sequences, or of a tensor or array."""
    found = _nested(given.raw("data"))
    return replace(found, dtype=_dtype(given, found.dtype))


def _nested(value: Argument) -> Tensor:
    """The tensor that sequences of numbers become. Raises Mismatch where they are ragged."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Perhaps) or value is UNKNOWN or isinstance(value, AnySize):
        return Tensor()
    if isinstance(value, bool | int | float | Size):
        return Tensor(Shape(), _number_type(value))
    if isinstance(value, Each) and value.tensor.shape is not None:
        return replace(value.tensor, shape=value.tensor.shape.with_new(0, ANY))
    if not isinstance(value, tuple):
        raise Unsure
    if not value:
        return Tensor(of(0), DEFAULT)
    if any(isinstance(each, Tensor) for each in value):
        raise Unsure
    inner = [_nested(each) for each in value]
    shapes = {each.shape for each in inner}
    if None in shapes:
        raise Unsure
    if len(shapes) > 1:
        raise Mismatch(Problem.SIZES, "the sequences in it differ in length")
    shape = inner[0].shape
    assert shape is not None
    return Tensor(shape.with_new(0, len(value)), _common([each.dtype for each in inner]))


def _common(found: list[str | None]) -> str | None:
    order = ("bool", "int", "float")
    if None in found:
        return None
    return max((each for each in found if each), key=lambda each: order.index(dtypes.KINDS[each]))


def _kept(given: Given) -> Result:
    return given.tensor("ndarray")


def _drawn(given: Given) -> Result:
    """`multinomial`: draws from each row of weights."""
    dims = given.dims()
    if len(dims) not in (1, 2):
        raise ranks_differ(of(*dims), "1 or 2")
    count = given.size("num_samples")
    without_replacement = not given.has("replacement") or given.raw("replacement") is False
    if without_replacement and isinstance(count, int) and isinstance(dims[-1], int) and count > dims[-1]:
        raise Mismatch(Problem.SIZES, f"{count} are drawn of {said(dims[-1])}", dims[-1], count)
    return Tensor(of(*dims[:-1], count), "int64")


def _indices(given: Given) -> Result:
    """`nonzero`: as many rows as there are, and a column for each axis."""
    rank = shape_or_any(given.tensor()).rank
    if given.has("as_tuple"):
        if given.flag("as_tuple") and rank is None:
            raise Unsure
        if given.flag("as_tuple"):
            return (Tensor(of(ANY), "int64"),) * max(rank or 0, 1)
    return Tensor(of(ANY, rank if rank is not None else ANY), "int64")


# --- what a tensor says of itself ---


def _size(given: Given) -> Result:
    shape = given.shape()
    return shape.at(given.integer("dim")) if given.has("dim") else shape.dims


def _count(given: Given) -> Result:
    return given.shape().count()


def _rank(given: Given) -> Result:
    rank = given.shape().rank
    if rank is None:
        raise Unsure
    return rank


def _length(given: Given) -> Result:
    return given.shape().at(0)


def _only_element(given: Given) -> Result:
    value = given.tensor()
    count = value.shape.count() if value.shape is not None else ANY
    if isinstance(count, int) and count != 1:
        raise Mismatch(Problem.ELEMENTS, f"{value.shape} has {count} elements where one is needed", count, 1)
    return {"int": ANY, "float": nan}.get(dtypes.kind(value.dtype) or "", UNKNOWN)


# --- the tables ---

METHODS_AND_FUNCTIONS: Mapping[str, Transfer] = {
    "multinomial": Transfer(("input", "num_samples", "replacement"), _drawn),
    "nonzero": Transfer(("input",), _indices),
    "numel": Transfer(("input",), _count),
}

FUNCTIONS: Mapping[str, Transfer] = {
    "zeros ones empty rand randn": Transfer(("*size",), _made(DEFAULT)),
    "full": Transfer(("size", "fill_value"), _full),
    "randint": Transfer(("low", "high", "size"), _random_integers),
    "randperm": Transfer(("n",), _permutation),
    "normal": Transfer(("mean", "std", "size"), _normal),
    "eye": Transfer(("n", "m"), _eye),
    "arange": Transfer(("start", "end", "step"), _arange),
    "linspace logspace": Transfer(("start", "end", "steps"), _points),
    "zeros_like ones_like empty_like rand_like randn_like": Transfer(("input",), _like),
    "full_like": Transfer(("input", "fill_value"), _like),
    "randint_like": Transfer(("input", "low", "high"), _like),
    "tensor as_tensor asarray": Transfer(("data", "dtype"), _of_data),
    "from_numpy": Transfer(("ndarray",), _kept),
}

METHODS: Mapping[str, Transfer] = {
    "new_zeros new_ones new_empty": Transfer(("input", "*size"), _new),
    "new_full": Transfer(("input", "size", "fill_value"), _new),
    "new_tensor": Transfer(("input", "data"), _new_of_data),
    "size": Transfer(("input", "dim"), _size),
    "shape": Transfer(("input",), _size),
    "nelement": Transfer(("input",), _count),
    "__len__": Transfer(("input",), _length),
    "dim ndimension ndim": Transfer(("input",), _rank),
    "item": Transfer(("input",), _only_element),
}
