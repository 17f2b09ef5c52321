"""Functions along axes: sums, extremes, orders, running sums."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure, of
from mldbg.operations.sizes import ANY, Dim
from mldbg.operations.transfers.elementwise import (
    Compute,
    TypeRule,
    always,
    as_computed,
    counting,
    elementwise,
    floating,
    kept,
    refuse,
)
from mldbg.operations.transfers.moving import check_axis, places

# --- reductions ---


def reduced(shape: Shape | None, axes: Sequence[int] | None, *, keepdim: bool) -> Shape | None:
    """The shape after a reduction over some axes, over all where none are given."""
    if not axes:
        return Shape() if not keepdim else _all_ones(shape)
    if shape is None:
        return None
    if shape.rest is None:
        axes = places(shape, axes)
        if not shape.front:
            return shape
    for axis in sorted(axes, key=lambda axis: (axis < 0, -axis if axis >= 0 else axis)):
        try:
            shape = shape.with_axis(axis, 1) if keepdim else shape.without(axis)
        except Unsure:
            return None
    return shape


def _all_ones(shape: Shape | None) -> Shape | None:
    return of(*(1,) * len(shape.front)) if shape is not None and shape.rest is None else None


def reduction(rule: TypeRule = as_computed, refuses: str = "", *, one_axis: bool = False, takes_type: bool = False) -> Compute:
    """A function that makes one number of those along some axes.

    `one_axis`: it takes no more than one; `takes_type`: a type may be given in which it computes.
    """

    def compute(given: Given) -> Result:
        value = given.tensor()
        computed = given.dtype("dtype", value.dtype) if takes_type else value.dtype
        refuse(refuses, Tensor(dtype=computed), what="the operation")
        dtype = computed if takes_type and given.has("dtype") else rule(computed)
        axes = (given.integer("dim"),) if one_axis and given.has("dim") else given.axes("dim")
        return Tensor(reduced(value.shape, axes, keepdim=given.flag("keepdim")), dtype)

    return compute


def _mean_of_numbers(given: Given) -> Result:
    """`nanmean`, which takes floats alone, whatever it computes in."""
    refuse("int bool", given.tensor(), what="the operation")
    return reduction(refuses="int bool", takes_type=True)(given)


def _spread(given: Given) -> Tensor:
    """`std` and `var`, where a flag may stand in the place of the axes."""
    value = given.tensor()
    refuse("int bool", value, what="the operation")
    axes = None if isinstance(given.raw("dim"), bool) else given.axes("dim")
    return Tensor(reduced(value.shape, axes, keepdim=given.flag("keepdim")), dtypes.magnitude(value.dtype))


def _spread_and_mean(given: Given) -> Result:
    spread = _spread(given)
    return spread, replace(spread, dtype=given.tensor().dtype)


def _found(dtype: str | None) -> str | None:
    """The type of `all` and `any`, which leave bytes bytes."""
    return "uint8" if dtype == "uint8" else "bool" if dtype is not None else None


def _extreme(given: Given) -> Result:
    """`max` and `min`: of all elements, along an axis with the places, or of two tensors."""
    other = given.raw("other") if given.has("other") else given.raw("dim")
    if isinstance(other, Tensor):
        return elementwise("input", "other")(Given({"input": given.tensor(), "other": other}))
    if given.has("other"):
        raise Unsure
    return _with_places(given) if given.has("dim") else _of_all(given)


def _with_places(given: Given, usual: int | None = None) -> Result:
    value, axis = given.tensor(), given.integer("dim", usual)
    shape = reduced(value.shape, (axis,), keepdim=given.flag("keepdim"))
    return Tensor(shape, value.dtype), Tensor(shape, "int64")


def _of_all(given: Given) -> Result:
    return Tensor(Shape(), given.tensor().dtype)


def _middle(given: Given) -> Result:
    return _with_places(given) if given.has("dim") else _of_all(given)


def _most_common(given: Given) -> Result:
    return _with_places(given, -1)


def _kth(given: Given) -> Result:
    _check_count(given)
    return _with_places(given, -1)


def _check_count(given: Given) -> None:
    value, count = given.tensor(), given.size("k")
    if value.shape is None:
        return
    size = value.shape.at(given.integer("dim", -1)) if value.shape != Shape() else 1
    if isinstance(size, int) and isinstance(count, int) and count > size:
        raise Mismatch(Problem.SIZES, f"{count} are taken of an axis of size {size}", size, count)


def _highest(given: Given) -> Result:
    """`topk`"""
    _check_count(given)
    value, axis = given.tensor(), given.integer("dim", -1)
    shape = value.shape
    if shape is not None:
        check_axis(shape, axis)
        shape = _resized(shape, axis, given.size("k"))
    return Tensor(shape, value.dtype), Tensor(shape, "int64")


def _resized(shape: Shape, axis: int, size: Dim) -> Shape | None:
    if shape == Shape():
        return shape
    try:
        return shape.with_axis(axis, size)
    except Unsure:
        return None


def _least_and_greatest(given: Given) -> Result:
    value = given.tensor()
    axes = (given.integer("dim"),) if given.has("dim") else None
    shape = reduced(value.shape, axes, keepdim=given.flag("keepdim"))
    return (Tensor(shape, value.dtype),) * 2


def _norm(given: Given) -> Result:
    value = given.tensor()
    dtype = given.dtype("dtype", value.dtype)
    refuse("int bool", Tensor(dtype=dtype), what="a norm")
    return Tensor(reduced(value.shape, given.axes("dim"), keepdim=given.flag("keepdim")), dtypes.magnitude(dtype))


def _quantile(given: Given) -> Result:
    value = given.tensor()
    refuse("int bool", value, what="a quantile")
    shape = reduced(value.shape, (given.integer("dim"),) if given.has("dim") else None, keepdim=given.flag("keepdim"))
    points = given.raw("q")
    if isinstance(points, float | int):
        return replace(value, shape=shape)
    if not isinstance(points, Tensor) or points.shape is None or shape is None:
        raise Unsure
    return replace(value, shape=of(*points.shape.dims, *shape.dims))


def _distinct(given: Given) -> Result:
    """`unique`: how many there are depends on the values."""
    value = given.tensor()
    shape, inverse = of(ANY), value.shape
    if given.has("dim"):
        axis = given.integer("dim")
        if value.shape is None:
            raise Unsure
        shape, inverse = value.shape.with_axis(axis, ANY), of(value.shape.at(axis))
    results = [Tensor(shape, value.dtype)]
    results += [Tensor(inverse, "int64")] * given.flag("return_inverse")
    results += [Tensor(of(ANY), "int64")] * given.flag("return_counts")
    return results[0] if len(results) == 1 else tuple(results)


# --- along an axis, of the same shape ---


def along(rule: TypeRule = as_computed, refuses: str = "", usual: int | None = None, results: str = "") -> Compute:
    """A function that keeps the shape and works along an axis; `results`: `places` beside the values, or these alone."""

    def compute(given: Given) -> Result:
        value = given.tensor()
        computed = given.dtype("dtype", value.dtype)
        refuse(refuses, Tensor(dtype=computed), what="the operation")
        axis = given.integer("dim", usual)
        if value.shape is not None:
            check_axis(value.shape, axis)
        dtype = computed if given.has("dtype") else rule(computed)
        values, found = Tensor(value.shape, dtype), Tensor(value.shape, "int64")
        return (values, found) if results == "both" else found if results == "places" else values

    return compute


def _differences(given: Given) -> Result:
    value, times, axis = given.tensor(), given.integer("n", 1), given.integer("dim", -1)
    if given.has("prepend") or given.has("append") or value.shape is None:
        raise Unsure
    size = value.shape.at(axis)
    left: Dim = max(size - times, 0) if isinstance(size, int) else size - times if times <= 1 else ANY
    return replace(value, shape=value.shape.with_axis(axis, left))


def _counts(given: Given) -> Result:
    """`bincount`"""
    value = given.tensor()
    if value.shape is not None and value.shape.rank not in (1, None):
        raise Mismatch(Problem.RANK, f"counts of {value.shape}, where one axis is needed")
    return Tensor(of(ANY), "int64" if not given.has("weights") else None)


# --- the tables ---

_DIMS = ("input", "dim", "keepdim")
_AXIS = ("input", "dim")

METHODS_AND_FUNCTIONS: Mapping[str, Transfer] = {
    "sum nansum": Transfer(_DIMS, reduction(counting, takes_type=True)),
    "mean": Transfer(_DIMS, reduction(refuses="int bool", takes_type=True)),
    "nanmean": Transfer(_DIMS, _mean_of_numbers),
    "prod": Transfer(_DIMS, reduction(counting, takes_type=True, one_axis=True)),
    "amax amin": Transfer(_DIMS, reduction()),
    "argmax argmin": Transfer(_DIMS, reduction(always("int64"), one_axis=True)),
    "all any": Transfer(_DIMS, reduction(_found)),
    "logsumexp": Transfer(_DIMS, reduction(floating)),
    "count_nonzero": Transfer(_AXIS, reduction(always("int64"))),
    "std var": Transfer(("input", "dim", "unbiased", "keepdim"), _spread),
    "max min": Transfer(_DIMS, _extreme),
    "median nanmedian": Transfer(_DIMS, _middle),
    "mode": Transfer(_DIMS, _most_common),
    "kthvalue": Transfer(("input", "k", "dim", "keepdim"), _kth),
    "topk": Transfer(("input", "k", "dim", "largest", "sorted"), _highest),
    "aminmax": Transfer(("input",), _least_and_greatest),
    "norm": Transfer(("input", "p", "dim", "keepdim", "dtype"), _norm),
    "quantile nanquantile": Transfer(("input", "q", "dim", "keepdim"), _quantile),
    "cumsum cumprod": Transfer(_AXIS, along(counting)),
    "logcumsumexp": Transfer(_AXIS, along()),
    "cummax cummin": Transfer(_AXIS, along(results="both")),
    "sort": Transfer(("input", "dim", "descending"), along(usual=-1, results="both")),
    "argsort": Transfer(("input", "dim", "descending"), along(usual=-1, results="places")),
    "msort": Transfer(("input",), kept),
    "softmax log_softmax": Transfer(("input", "dim", "dtype"), along(refuses="int bool")),
    "diff": Transfer(("input", "n", "dim"), _differences),
    "bincount": Transfer(("input", "weights"), _counts),
}

FUNCTIONS: Mapping[str, Transfer] = {
    "unique": Transfer(("input", "sorted", "return_inverse", "return_counts", "dim"), _distinct),
    "unique_consecutive": Transfer(("input", "return_inverse", "return_counts", "dim"), _distinct),
    "std_mean var_mean": Transfer(("input", "dim", "unbiased", "keepdim"), _spread_and_mean),
}

METHODS: Mapping[str, Transfer] = {name: FUNCTIONS[name] for name in ("unique", "unique_consecutive")} | {
    "cumsum_ cumprod_": Transfer(_AXIS, along())
}
