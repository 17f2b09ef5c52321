"""Functions that pick elements of a tensor, or put some into it, by places along an axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Shape, Tensor, Transfer, broadcast, of
from mldbg.operations.sizes import ANY, Dim
from mldbg.operations.transfers.elementwise import refuse, refuse_as_mask, shape_of
from mldbg.operations.transfers.moving import check_axis, ranks_differ, shape_or_any


def check_index(size: Dim, index: Dim) -> None:
    """Raises Mismatch where an axis has no such place."""
    if isinstance(size, int) and isinstance(index, int) and not -size <= index < size:
        raise Mismatch(Problem.SIZES, f"index {index} of an axis of size {size}", size, index)


def _refuse_as_index(index: Tensor, kinds: str = "float bool complex") -> None:
    refuse(kinds, index, what="an index")


def _narrowed(given: Given) -> Result:
    value, axis, length = given.tensor(), given.integer("dim"), given.size("length")
    shape = shape_or_any(value)
    size, start = shape.at(axis), given.raw("start")
    if isinstance(size, int) and isinstance(length, int) and isinstance(start, int):
        first = start + size if start < 0 else start
        if length < 0 or not 0 <= first <= size or first + length > size:
            raise Mismatch(Problem.SIZES, f"{length} places from {start} on of an axis of size {size}", size, first + length)
    return replace(value, shape=shape.with_axis(axis, size if length == size else length))


def _entry(given: Given) -> Result:
    """`select`"""
    value, axis = given.tensor(), given.integer("dim")
    shape = shape_or_any(value)
    check_index(shape.at(axis), given.size("index", ANY) if isinstance(given.raw("index"), int) else ANY)
    return replace(value, shape=shape.without(axis))


def _entries(given: Given) -> Result:
    """`index_select`"""
    value, axis, index = given.tensor(), given.integer("dim"), given.tensor("index")
    _refuse_as_index(index)
    shape, places = shape_or_any(value), shape_or_any(index)
    if places.least_rank > 1:
        raise ranks_differ(places, 1)
    check_axis(shape, axis)
    if shape == Shape():
        return value
    return replace(value, shape=shape.with_axis(axis, places.count() if places.rank is not None else ANY))


def _check_inside(index: Shape, outer: Shape, axis: int | None, what: str) -> None:
    """Raises Mismatch where an index is larger than what it indexes, at an axis other than `axis`."""
    if index.rest is not None or outer.rest is not None:
        return
    if max(len(index.front), 1) != max(len(outer.front), 1):
        raise ranks_differ(index, len(outer.front))
    place = outer.place(axis) if axis is not None else None
    for number, (inner, size) in enumerate(zip(index.front or (1,), outer.front or (1,), strict=True)):
        if number != place and isinstance(inner, int) and isinstance(size, int) and inner > size:
            raise Mismatch(Problem.SIZES, f"at axis {number} the index has size {inner} and {what} {size}", inner, size)


def _gathered(given: Given) -> Result:
    value, axis, index = given.tensor(), given.integer("dim"), given.tensor("index")
    _refuse_as_index(index)
    shape = shape_or_any(value)
    check_axis(shape, axis)
    if index.shape is not None:
        _check_inside(index.shape, shape, axis, "the tensor")
    return Tensor(index.shape, value.dtype)


def _scattered(given: Given) -> Result:
    value, axis, index = given.tensor(), given.integer("dim"), given.tensor("index")
    _refuse_as_index(index)
    shape = shape_or_any(value)
    check_axis(shape, axis)
    source = given.raw("src") if given.has("src") else given.raw("value")
    if isinstance(source, Tensor) and dtypes.agree(source.dtype, value.dtype) is False:
        raise Mismatch(Problem.DTYPE, f"elements of type {source.dtype} are put into a tensor of type {value.dtype}")
    if index.shape is not None:
        _check_inside(index.shape, shape, axis, "the tensor")
        if isinstance(source, Tensor) and source.shape is not None:
            _check_inside(index.shape, source.shape, None, "the source")
    return value


def _added(given: Given) -> Result:
    """`index_add` and `index_copy`: a slice of the source for each place."""
    value, axis, index = given.tensor(), given.integer("dim"), given.tensor("index")
    _refuse_as_index(index)
    if index.shape is not None and index.shape.least_rank > 1:
        raise ranks_differ(index.shape, 1)
    check_axis(shape_or_any(value), axis)
    return value


def _taken_along(given: Given) -> Result:
    value, index = given.tensor(), given.tensor("indices")
    _refuse_as_index(index)
    if not given.has("dim"):
        return Tensor(of(shape_or_any(index).count()), value.dtype)
    axis = given.integer("dim")
    dims, index_dims = given.dims(), given.dims("indices")
    if len(dims) != len(index_dims):
        raise ranks_differ(of(*index_dims), len(dims))
    of(*dims).at(axis)
    place = of(*dims).place(axis)
    without = broadcast(of(*dims[:place], 1, *dims[place + 1 :]), of(*index_dims[:place], 1, *index_dims[place + 1 :]))
    return Tensor(without.with_axis(place, index_dims[place]), value.dtype)


def _taken(given: Given) -> Result:
    index = given.tensor("index")
    _refuse_as_index(index)
    return Tensor(index.shape, given.tensor().dtype)


def _masked(given: Given) -> Result:
    value, mask = given.tensor(), given.tensor("mask")
    refuse_as_mask(mask)
    shape_of(value, mask)
    return Tensor(of(ANY), value.dtype)


_INDEX = ("input", "dim", "index")

METHODS_AND_FUNCTIONS: Mapping[str, Transfer] = {
    "narrow": Transfer(("input", "dim", "start", "length"), _narrowed),
    "select": Transfer(_INDEX, _entry),
    "index_select": Transfer(_INDEX, _entries),
    "gather": Transfer(_INDEX, _gathered),
    "scatter scatter_add": Transfer((*_INDEX, "src"), _scattered),
    "index_add index_copy": Transfer((*_INDEX, "source"), _added),
    "index_fill": Transfer((*_INDEX, "value"), _added),
    "take_along_dim": Transfer(("input", "indices", "dim"), _taken_along),
    "take": Transfer(("input", "index"), _taken),
    "masked_select": Transfer(("input", "mask"), _masked),
}

FUNCTIONS: Mapping[str, Transfer] = {}

METHODS: Mapping[str, Transfer] = {
    f"{name}_": Transfer(row.params, row.compute)
    for name, row in (
        ("scatter", METHODS_AND_FUNCTIONS["scatter scatter_add"]),
        ("scatter_add", METHODS_AND_FUNCTIONS["scatter scatter_add"]),
        ("index_add", METHODS_AND_FUNCTIONS["index_add index_copy"]),
        ("index_copy", METHODS_AND_FUNCTIONS["index_add index_copy"]),
        ("index_fill", METHODS_AND_FUNCTIONS["index_fill"]),
    )
}
