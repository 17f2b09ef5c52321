"""Functions that make one tensor of several, or several of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeGuard

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Argument, Each, Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure, of
from mldbg.operations.sizes import ANY, PART, AnySize, Dim, atom, divided, product, said, same
from mldbg.operations.transfers.moving import ANY_SHAPE, ranks_differ, shape_or_any, with_rank

MOST_PARTS = 64
"""Parts that are told apart; of more it is only said that they are alike."""

Compute = Callable[[Given], Result]


# --- joining ---


def _parts(given: Given, name: str = "tensors") -> tuple[Tensor, ...] | Each:
    """What is joined: tensors, or any number of tensors that are alike."""
    value = given.raw(name)
    return value if isinstance(value, Each) else given.tensors(name)


def joined(shapes: Sequence[Shape], axis: int) -> Shape:
    """The shape of tensors joined along an axis. Raises Mismatch where other axes differ."""
    shapes = [shape for shape in shapes if shape != of(0)] or [of(0)]  # those pass with tensors of any number of axes
    if of(ANY) in shapes and any(shape.rank != 1 for shape in shapes):
        return ANY_SHAPE  # it may be one of those
    rank = next((shape.rank for shape in shapes if shape.rank is not None), None)
    if rank is None:
        return _joined_open(shapes, axis)
    if rank == 0:
        raise ranks_differ(shapes[0], "at least 1")
    closed = [with_rank(shape, rank) for shape in shapes]
    place = closed[0].place(axis)
    total = closed[0].front[place]
    for shape in closed[1:]:
        total = total + shape.front[place]
    sizes = [total if index == place else _agreed([shape.front[index] for shape in closed], index, axis) for index in range(rank)]
    return of(*sizes)


def _joined_open(shapes: Sequence[Shape], axis: int) -> Shape:
    """Where no number of axes is known: only axes counted from the same end as the one that is joined are compared."""
    first = shapes[0]
    if any(shape.rest is None or (shape.front, shape.back) == ((), ()) for shape in shapes):
        return ANY_SHAPE
    total: Dim = 0
    for shape in shapes:
        total = total + shape.at(axis)
    alike = all(len(shape.front) == len(first.front) and len(shape.back) == len(first.back) for shape in shapes)
    if not alike:
        return ANY_SHAPE
    front = [_or_any([shape.front[index] for shape in shapes]) for index in range(len(first.front))]
    back = [_or_any([shape.back[index] for shape in shapes]) for index in range(len(first.back))]
    rest = first.rest if all(shape.rest == first.rest for shape in shapes) else ANY_SHAPE.rest
    try:
        return Shape(tuple(front), rest, tuple(back)).with_axis(axis, total)
    except Unsure:
        return ANY_SHAPE


def _or_any(sizes: Sequence[Dim]) -> Dim:
    return sizes[0] if all(same(size, sizes[0]) for size in sizes) else ANY


def _agreed(sizes: Sequence[Dim], index: int, axis: int | None) -> Dim:
    """The size that several tensors share at an axis."""
    for one in sizes:
        for other in sizes:
            if same(one, other) is False:
                where = f"joined along axis {axis}, " if axis is not None else ""
                reason = f"{where}tensors have sizes {said(one)} and {said(other)} at axis {index}"
                raise Mismatch(Problem.SIZES, reason, other, one)
    return min(sizes, key=lambda size: (not isinstance(size, int), isinstance(size, AnySize)))


def _common_type(parts: Sequence[Tensor]) -> str | None:
    dtype = parts[0].dtype
    for part in parts[1:]:
        dtype = dtypes.promoted(dtype, part.dtype)
    return dtype


def _joining(axis: int | None) -> Compute:
    """`axis`: where it joins if the call does not say."""

    def compute(given: Given) -> Result:
        parts = _parts(given)
        place = given.integer("dim", axis)
        if isinstance(parts, Each):
            shape = parts.tensor.shape
            if shape is None or shape.rest is not None:
                raise Unsure
            return replace(parts.tensor, shape=shape.with_axis(place, ANY))
        if not parts:
            raise Mismatch(Problem.ELEMENTS, "there is nothing to join")
        return Tensor(joined([shape_or_any(part) for part in parts], place), _common_type(parts))

    return compute


def _stacked(given: Given) -> Result:
    parts, axis = _parts(given), given.integer("dim", 0)
    if isinstance(parts, Each):
        return replace(parts.tensor, shape=shape_or_any(parts.tensor).with_new(axis, ANY))
    if not parts:
        raise Mismatch(Problem.ELEMENTS, "there is nothing to stack")
    return Tensor(_equal([shape_or_any(part) for part in parts]).with_new(axis, len(parts)), _common_type(parts))


def _equal(shapes: Sequence[Shape]) -> Shape:
    """The shape that all of these are."""
    rank = next((shape.rank for shape in shapes if shape.rank is not None), None)
    if rank is None:
        return shapes[0] if all(shape == shapes[0] for shape in shapes) else ANY_SHAPE
    closed = [with_rank(shape, rank) for shape in shapes]
    return of(*(_agreed([shape.front[index] for shape in closed], index, None) for index in range(rank)))


def _piling(least: int, axis: int | None) -> Compute:
    """`hstack` and its kin: tensors are first given so many axes; `axis` None: the second, or the only one."""

    def compute(given: Given) -> Result:
        parts = given.tensors("tensors")
        if not parts:
            raise Mismatch(Problem.ELEMENTS, "there is nothing to stack")
        shapes = [_with_axes(shape_or_any(part), least) for part in parts]
        place = axis if axis is not None else min(len(shapes[0].dims) - 1, 1)
        return Tensor(joined(shapes, place), _common_type(parts))

    return compute


def _with_axes(shape: Shape, least: int) -> Shape:
    """As `atleast_1d` and its kin do it."""
    if shape.rest is not None:
        return shape if shape.least_rank >= least else ANY_SHAPE
    dims = shape.front
    if least == 3 and len(dims) == 2:
        return of(*dims, 1)
    if least == 3 and len(dims) == 1:
        return of(1, *dims, 1)
    return of(*(1,) * (least - len(dims)), *dims)


def _columns(given: Given) -> Result:
    """`column_stack`"""
    parts = given.tensors("tensors")
    shapes = [_as_columns(shape_or_any(part)) for part in parts]
    return Tensor(joined(shapes, 1), _common_type(parts))


def _as_columns(shape: Shape) -> Shape:
    return of(shape.count(), 1) if len(shape.dims) < 2 else shape


def _at_least(count: int) -> Compute:
    def compute(given: Given) -> Result:
        results = tuple(replace(each, shape=_with_axes(shape_or_any(each), count)) for each in _given_tensors(given))
        return results if _is_nested(given.raw("tensors")) or len(results) > 1 else results[0]

    return compute


# --- splitting ---


def _parts_along(value: Tensor, axis: int, sizes: Sequence[Dim]) -> Result:
    shape = shape_or_any(value)
    whole = shape.at(axis)
    return tuple(replace(value, shape=shape.with_axis(axis, whole if same(size, whole) else size)) for size in sizes)


def _alike(value: Tensor, axis: int, size: Dim, count: int | None) -> Result:
    part = replace(value, shape=shape_or_any(value).with_axis(axis, size))
    return (part,) * count if count is not None and count <= MOST_PARTS else Each(part)


def _split(given: Given) -> Result:
    value, axis = given.tensor(), given.integer("dim", 0)
    sizes = given.raw("split_size")
    total = shape_or_any(value).at(axis)
    if isinstance(sizes, tuple):
        return _split_into(value, axis, given.sizes("split_size"), total)
    size = given.size("split_size")
    if isinstance(size, int) and isinstance(total, int):
        if size <= 0:
            raise Mismatch(Problem.SIZES, f"parts of size {size}")
        count = max(-(-total // size), 1)
        if count > MOST_PARTS:
            return _alike(value, axis, size if total % size == 0 else _part(total, size), None)
        return _parts_along(value, axis, [min(size, total - size * index) for index in range(count)])
    count_exact = divided(total, size)
    if isinstance(count_exact, int) and count_exact > 0:
        return _alike(value, axis, size, count_exact)
    return _alike(value, axis, _part(total, size) if count_exact is None else size, None)


def _part(total: Dim, size: Dim) -> Dim:
    """The size of one of the parts, the last of which may be smaller: what is split alike goes together."""
    if isinstance(total, AnySize) or isinstance(size, AnySize):
        return ANY
    return atom(PART, (PART, total, size))


def _split_into(value: Tensor, axis: int, sizes: Sequence[Dim], total: Dim) -> Result:
    together: Dim = 0
    for size in sizes:
        together = together + size
    if same(together, total) is False:
        reason = f"parts of together {said(together)} of an axis of size {said(total)}"
        raise Mismatch(Problem.SIZES, reason, total, together)
    unknown = [index for index, size in enumerate(sizes) if isinstance(size, AnySize)]
    if len(unknown) == 1:
        others: Dim = 0
        for index, size in enumerate(sizes):
            others = others + size if index != unknown[0] else others
        sizes = [total - others if index == unknown[0] else size for index, size in enumerate(sizes)]
    return _parts_along(value, axis, sizes)


def _chunks(given: Given) -> Result:
    value, axis, count = given.tensor(), given.integer("dim", 0), given.size("chunks")
    total = shape_or_any(value).at(axis)
    if isinstance(count, int) and count <= 0:
        raise Mismatch(Problem.SIZES, f"{count} chunks")
    if not isinstance(count, int):
        exact = divided(total, count)
        return _alike(value, axis, exact if exact is not None else ANY, None)
    if isinstance(total, int):
        size = max(-(-total // count), 1)
        parts = max(-(-total // size), 1)
        if parts > MOST_PARTS:
            return _alike(value, axis, ANY, None)
        return _parts_along(value, axis, [min(size, total - size * index) for index in range(parts)])
    exact = divided(total, count)
    if exact is not None:
        return _alike(value, axis, exact, count)
    return _alike(value, axis, ANY, 1 if count == 1 else None)


def _tensor_split(given: Given) -> Result:
    value, axis = given.tensor(), given.integer("dim", 0)
    total = shape_or_any(value).at(axis)
    where = given.raw("indices_or_sections")
    if isinstance(where, tuple):
        bounds = given.sizes("indices_or_sections")
        if isinstance(total, int) and all(isinstance(bound, int) for bound in bounds):
            edges = [None, *bounds, None]
            sizes = [len(range(*slice(*pair).indices(total))) for pair in pairwise(edges)]
            return _parts_along(value, axis, sizes)
        return _alike(value, axis, ANY, len(bounds) + 1)
    count = given.integer("indices_or_sections")
    if count <= 0:
        raise Mismatch(Problem.SIZES, f"{count} parts")
    if isinstance(total, int) and count <= MOST_PARTS:
        small, more = divmod(total, count)
        return _parts_along(value, axis, [small + (index < more) for index in range(count)])
    exact = divided(total, count)
    return _alike(value, axis, exact if exact is not None else ANY, count)


def _unbound(given: Given) -> Result:
    value, axis = given.tensor(), given.integer("dim", 0)
    shape = shape_or_any(value)
    count = shape.at(axis)
    part = replace(value, shape=shape.without(axis))
    return (part,) * count if isinstance(count, int) and count <= MOST_PARTS else Each(part)


# --- grids ---


def _given_tensors(given: Given) -> tuple[Tensor, ...]:
    """Tensors one by one or in a sequence."""
    value = given.raw("tensors")
    if isinstance(value, tuple) and len(value) == 1 and not isinstance(value[0], Tensor | tuple):
        raise Unsure  # one tensor, or a sequence of them
    return Given({"tensors": value[0] if _is_nested(value) else value}).tensors("tensors")


def _is_nested(value: Argument) -> TypeGuard[tuple[Argument]]:
    return isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], tuple)


def _lengths(tensors: Sequence[Tensor]) -> list[Dim]:
    shapes = [shape_or_any(tensor) for tensor in tensors]
    for shape in shapes:
        if shape.least_rank > 1:
            raise ranks_differ(shape, "at most 1")
    return [shape.count() for shape in shapes]


def _grid(given: Given) -> Result:
    tensors = _given_tensors(given)
    if not tensors:
        raise Mismatch(Problem.ELEMENTS, "there is nothing to make a grid of")
    lengths = _lengths(tensors)
    for tensor in tensors:
        if dtypes.agree(tensor.dtype, tensors[0].dtype) is False:
            raise Mismatch(Problem.DTYPE, f"elements of type {tensors[0].dtype} here and {tensor.dtype} there")
    if given.text("indexing", "ij") == "xy" and len(lengths) > 1:
        lengths[:2] = lengths[1::-1]
    return tuple(Tensor(of(*lengths), tensor.dtype) for tensor in tensors)


def _all_pairs(given: Given) -> Result:
    """`cartesian_prod`"""
    tensors = _given_tensors(given)
    for tensor in tensors:
        if tensor.shape is not None and tensor.shape.rank not in (1, None):
            raise ranks_differ(tensor.shape, 1)
    lengths = [shape_or_any(tensor).at(0) for tensor in tensors]
    shape = of(lengths[0]) if len(tensors) == 1 else of(product(lengths), len(tensors))
    return Tensor(shape, tensors[0].dtype)


def _blocks(given: Given) -> Result:
    """`block_diag`"""
    tensors = given.tensors("tensors")
    rows: Dim = 0
    columns: Dim = 0
    for tensor in tensors:
        dims = shape_or_any(tensor).dims
        if len(dims) > 2:
            raise ranks_differ(of(*dims), "at most 2")
        height, width = of(1, 1, *dims).dims[-2:]
        rows, columns = rows + height, columns + width
    return Tensor(of(rows, columns), _common_type(tensors))


# --- the tables ---

METHODS_AND_FUNCTIONS: Mapping[str, Transfer] = {
    "split": Transfer(("input", "split_size", "dim"), _split),
    "split_with_sizes": Transfer(("input", "split_size", "dim"), _split),
    "chunk": Transfer(("input", "chunks", "dim"), _chunks),
    "tensor_split": Transfer(("input", "indices_or_sections", "dim"), _tensor_split),
    "unbind": Transfer(("input", "dim"), _unbound),
}

FUNCTIONS: Mapping[str, Transfer] = {
    "cat concat concatenate": Transfer(("tensors", "dim"), _joining(0)),
    "stack": Transfer(("tensors", "dim"), _stacked),
    "hstack": Transfer(("tensors",), _piling(1, None)),
    "vstack row_stack": Transfer(("tensors",), _piling(2, 0)),
    "dstack": Transfer(("tensors",), _piling(3, 2)),
    "column_stack": Transfer(("tensors",), _columns),
    "atleast_1d": Transfer(("*tensors",), _at_least(1)),
    "atleast_2d": Transfer(("*tensors",), _at_least(2)),
    "atleast_3d": Transfer(("*tensors",), _at_least(3)),
    "meshgrid": Transfer(("*tensors",), _grid),
    "cartesian_prod": Transfer(("*tensors",), _all_pairs),
    "block_diag": Transfer(("*tensors",), _blocks),
}

METHODS: Mapping[str, Transfer] = {}
