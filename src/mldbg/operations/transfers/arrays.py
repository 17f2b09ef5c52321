"""numpy: functions of arrays, and what makes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from itertools import pairwise

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    UNKNOWN,
    Argument,
    Each,
    Given,
    Mismatch,
    Rest,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    broadcast_size,
    counted,
    of,
    reshaped,
)
from mldbg.operations.sizes import ANY, Dim, Size, divided, product, quotient, said, same
from mldbg.operations.transfers import array_types
from mldbg.operations.transfers.array_arguments import (
    Compute,
    TypeRule,
    always,
    array_in,
    array_of,
    at_least,
    check_broadcast_to,
    element_type,
    in_numpy,
    is_number,
    kept,
    named_type,
    place_of,
    places_of,
    reduced_along,
    several_in,
    sizes_in,
    with_rank,
    without_axes,
)
from mldbg.operations.transfers.array_types import Weak
from mldbg.operations.transfers.einops import alike, known

# --- new arrays ---


def _created(shape: str) -> Compute:
    return lambda given: Tensor(of(*sizes_in(given, shape)), named_type(given, "float64"))


def _filled(given: Given) -> Result:
    shape = of(*sizes_in(given, "shape"))
    filling, dtype = array_in(given, "fill_value") if given.raw("fill_value") is not UNKNOWN else (Shape((), Rest()), None)
    _check_fills(filling, shape)
    return Tensor(shape, named_type(given, dtype))


def _check_fills(filling: Shape, shape: Shape) -> None:
    """Raises Mismatch where an array cannot be written into one of a shape. Axes of size 1 in front do no harm."""
    if filling.rest is not None or shape.rest is not None:
        return
    beyond = max(len(filling.front) - len(shape.front), 0)
    if all(same(size, 1) is not False for size in filling.front[:beyond]):
        check_broadcast_to(of(*filling.front[beyond:]), shape)
    else:
        raise Mismatch(Problem.RANK, f"{filling} has more axes than {shape}")


def _alike_created(given: Given) -> Result:
    shape, dtype = array_in(given)
    if given.has("shape"):
        shape = of(*sizes_in(given, "shape"))
    if given.has("fill_value") and given.raw("fill_value") is not UNKNOWN:
        _check_fills(array_in(given, "fill_value")[0], shape)
    return Tensor(shape, named_type(given, dtype))


def _converted(given: Given) -> Result:
    value = array_of(given.raw("a"))
    return Tensor(value.shape, named_type(given, value.dtype))


def _contiguous(given: Given) -> Result:
    value = array_of(given.raw("a"))
    return Tensor(_at_least_a_vector(known(value)), named_type(given, value.dtype))


def _range(given: Given) -> Result:
    start, stop, step = (given.raw(name) for name in ("start", "stop", "step"))
    if stop is None:
        start, stop = 0, start
    start, step = 0 if start is None else start, 1 if step is None else step
    numbers = (start, stop, step)
    if step == 0 or not all(map(is_number, numbers)):
        raise Unsure
    is_float = any(isinstance(number, float) for number in numbers)
    return Tensor(of(_range_size(start, stop, step)), named_type(given, "float64" if is_float else "int64"))


def _range_size(start: Argument, stop: Argument, step: Argument) -> Dim:
    if isinstance(start, int | float) and isinstance(stop, int | float) and isinstance(step, int | float):
        return max(math.ceil((stop - start) / step), 0)
    is_size = isinstance(stop, Size) and start == 0 and isinstance(step, int) and step > 0
    return quotient(stop + (step - 1), step) if is_size and isinstance(stop, Size) and isinstance(step, int) else ANY


def _spaced(given: Given) -> Result:
    start, stop, number = given.raw("start"), given.raw("stop"), given.size("num", 50)
    shape = broadcast(known(array_of(start)), known(array_of(stop)))
    axis = place_of(shape, given.integer("axis", 0), more=1)
    types = [element_type(value) for value in (start, stop)]
    if isinstance(number, int) and number < 0:
        raise Mismatch(Problem.SIZES, "a size is negative")
    result = Tensor(shape.with_new(axis, number), named_type(given, array_types.promoted([*types, Weak("float")])))
    return (result, UNKNOWN) if given.flag("retstep") else result


def _identity(given: Given) -> Result:
    rows = given.size("N")
    sizes = (rows, given.size("M", rows))
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise Mismatch(Problem.SIZES, "a size is negative")
    return Tensor(of(*sizes), named_type(given, "float64"))


# --- each element by itself ---


def _elementwise(*names: str, rule: TypeRule = kept, refuses: Sequence[str] = ()) -> Compute:
    """A function of arrays that are broadcast; `refuses`: types in which it cannot be computed."""

    def compute(given: Given) -> Result:
        values = [given.raw(name) for name in names if given.has(name)]
        shape = broadcast(*(known(array_of(value)) for value in values))
        dtype = array_types.promoted(map(element_type, values))
        if dtype in refuses:
            raise Mismatch(Problem.DTYPE, f"the operation is not defined for elements of type {dtype}")
        return Tensor(shape, rule(dtype))

    return compute


def _clipped(given: Given) -> Result:
    value = array_of(given.raw("a"))
    bounds = [given.raw(name) for name in ("a_min", "a_max", "min", "max") if given.has(name)]
    shape = broadcast(known(value), *(known(array_of(bound)) for bound in bounds))
    return Tensor(shape, array_types.promoted([value.dtype, *map(element_type, bounds)]))


def _chosen(given: Given) -> Result:
    condition, _ = array_in(given, "condition")
    if not given.has("x") and not given.has("y"):
        return (Tensor(of(ANY), "int64"),) * len(condition.dims)
    values = [given.raw("x"), given.raw("y")]
    shape = broadcast(condition, *(known(array_of(value)) for value in values))
    return Tensor(shape, array_types.promoted(map(element_type, values)))


# --- reductions ---


def _is_of_no_axis(shape: Shape, axis: Argument) -> bool:
    """Whether axis 0 of an array without axes is meant, where that is allowed."""
    return shape == Shape() and isinstance(axis, int) and axis in (0, -1)


def _reduction(rule: TypeRule = kept, *, of_numbers: bool = True) -> Compute:
    """`of_numbers`: whether an array without axes may be reduced along axis 0."""

    def compute(given: Given) -> Result:
        shape, dtype = array_in(given)
        if of_numbers and _is_of_no_axis(shape, given.raw("axis")):
            return Tensor(shape, named_type(given, rule(dtype)))
        return Tensor(reduced_along(shape, given.axes("axis"), keeps=given.flag("keepdims")), named_type(given, rule(dtype)))

    return compute


def _accumulated(given: Given) -> Result:
    shape, dtype = array_in(given)
    result = named_type(given, array_types.counting(dtype))
    if not given.has("axis"):
        return Tensor(of(shape.count()), result)
    if _is_of_no_axis(shape, given.raw("axis")):
        return Tensor(of(1), result)
    place_of(shape, given.integer("axis"))
    return Tensor(shape, result)


# --- other shapes and orders ---


def _reshaped(given: Given) -> Result:
    shape, dtype = array_in(given)
    sizes = given.sizes("shape")
    if any(isinstance(size, int) and size < -1 for size in sizes):
        raise Unsure  # numpy reads it as -1
    return Tensor(reshaped(shape, sizes), dtype)


def _ravelled(given: Given) -> Result:
    shape, dtype = array_in(given)
    return Tensor(of(shape.count()), dtype)


def _transposed(given: Given) -> Result:
    shape, dtype = array_in(given)
    axes = given.axes("axes")
    if axes is None:
        rest = None if shape.rest is None else Rest()
        return Tensor(Shape(shape.back[::-1], rest, shape.front[::-1]) if rest else of(*shape.front[::-1]), dtype)
    shape = with_rank(shape, len(axes))
    return Tensor(of(*(shape.front[axis] for axis in places_of(shape, axes))), dtype)


def _swapped(given: Given) -> Result:
    shape, dtype = array_in(given)
    one, two = (place_of(shape, given.integer(name)) for name in ("axis1", "axis2"))
    return Tensor(shape.with_axis(one, shape.at(two)).with_axis(two, shape.at(one)), dtype)


def _moved(given: Given) -> Result:
    shape, dtype = array_in(given)
    source, destination = given.axes("source"), given.axes("destination")
    if source is None or destination is None:
        raise Unsure
    if len(source) != len(destination):
        raise Mismatch(Problem.RANK, f"{counted(len(source), 'axis', 'axes')} and {counted(len(destination), 'place', 'places')}")
    dims = shape.dims
    sources, targets = places_of(shape, source), places_of(shape, destination)
    order = [place for place in range(len(dims)) if place not in sources]
    for target, place in sorted(zip(targets, sources, strict=True)):
        order.insert(target, place)
    return Tensor(of(*(dims[place] for place in order)), dtype)


def _expanded(given: Given) -> Result:
    shape, dtype = array_in(given)
    axes = given.axes("axis")
    if axes is None:
        raise Unsure
    if len(axes) == 1:
        return Tensor(shape.with_new(place_of(shape, axes[0], more=1), 1), dtype)
    result = list(shape.dims)
    places = [place_of(shape, axis, more=len(axes)) for axis in axes]
    if len(set(places)) < len(places):
        raise Mismatch(Problem.RANK, "an axis comes twice")
    for place in sorted(places):
        result.insert(place, 1)
    return Tensor(of(*result), dtype)


def _squeezed(given: Given) -> Result:
    shape, dtype = array_in(given)
    axes = given.axes("axis")
    if axes is None:
        if any(same(size, 1) is None for size in shape.dims):
            raise Unsure
        return Tensor(of(*(size for size in shape.dims if size != 1)), dtype)
    if _is_of_no_axis(shape, given.raw("axis")):
        return Tensor(shape, dtype)
    axes = places_of(shape, axes)
    for axis in axes:
        size = shape.at(axis)
        if same(size, 1) is False:
            raise Mismatch(Problem.SIZES, f"axis {axis} has size {said(size)}, and only one of size 1 can be left out", size, 1)
    return Tensor(without_axes(shape, axes), dtype)


def _broadcast_to(given: Given) -> Result:
    shape, dtype = array_in(given, "array")
    target = of(*sizes_in(given, "shape"))
    check_broadcast_to(shape, target)
    return Tensor(target, dtype)


def _repeated(given: Given) -> Result:
    shape, dtype = array_in(given)
    if not given.has("axis"):
        return Tensor(of(_repeated_size(shape.count(), given.raw("repeats"))), dtype)
    if shape == Shape():
        raise Unsure
    axis = place_of(shape, given.integer("axis"))
    return Tensor(shape.with_axis(axis, _repeated_size(shape.at(axis), given.raw("repeats"))), dtype)


def _repeated_size(size: Dim, repeats: Argument) -> Dim:
    times = repeats if isinstance(repeats, tuple) else (repeats,)
    numbers = [each if isinstance(each, int | Size) else ANY for each in times]
    if any(isinstance(number, int) and number < 0 for number in numbers):
        raise Mismatch(Problem.SIZES, "a number of repeats is negative")
    if isinstance(repeats, tuple) and len(repeats) != 1:
        if same(size, len(repeats)) is False:
            raise Mismatch(Problem.SIZES, f"{len(repeats)} numbers of repeats for {said(size)} entries", size, len(repeats))
        total: Dim = 0
        for number in numbers:
            total = total + number
        return total
    return product((size, numbers[0])) if is_number(times[0]) else ANY


def _tiled(given: Given) -> Result:
    shape, dtype = array_in(given, "A")
    repeats = given.sizes("reps")
    if any(isinstance(number, int) and number < 0 for number in repeats):
        raise Mismatch(Problem.SIZES, "a number of repeats is negative")
    rank = max(len(shape.dims), len(repeats))
    sizes, times = ((1,) * (rank - len(each)) + each for each in (shape.dims, repeats))
    return Tensor(of(*(product(pair) for pair in zip(sizes, times, strict=True))), dtype)


# --- several arrays into one, and one into several ---


def _joined(arrays: Sequence[Tensor] | Each, axis: int) -> Tensor:
    """The arrays behind one another along an axis."""
    if isinstance(arrays, Each):
        shape = known(arrays.tensor)
        at_least(shape, 1, "joining arrays")
        return Tensor(shape.with_axis(place_of(shape, axis), ANY), arrays.tensor.dtype)
    shapes = [known(array) for array in arrays]
    dtype = array_types.promoted(array.dtype for array in arrays)
    for shape in shapes:
        at_least(shape, 1, "joining arrays")
    rank = next((shape.rank for shape in shapes if shape.rank is not None), None)
    if rank is None:
        return Tensor(shapes[0] if len(shapes) == 1 else None, dtype)
    same_rank = [with_rank(shape, rank) for shape in shapes]
    place = place_of(same_rank[0], axis)
    total: Dim = 0
    for shape in same_rank:
        total = total + shape.front[place]
    others = reduce(alike, (shape.without(place) for shape in same_rank))
    return Tensor(others.with_new(place, total), dtype)


def _mapped(arrays: Sequence[Tensor] | Each, change: Callable[[Shape], Shape]) -> Sequence[Tensor] | Each:
    if isinstance(arrays, Each):
        return Each(Tensor(change(known(arrays.tensor)), arrays.tensor.dtype))
    return tuple(Tensor(change(known(array)), array.dtype) for array in arrays)


def _concatenated(given: Given) -> Result:
    arrays = several_in(given, "arrays")
    if "axis" in given.values and given.raw("axis") is None:
        return _joined(_mapped(arrays, lambda shape: of(shape.count())), 0)
    return _joined(arrays, given.integer("axis", 0))


def _stacked(given: Given) -> Result:
    arrays, axis = several_in(given, "arrays"), given.integer("axis", 0)
    if isinstance(arrays, Each):
        shape, size, dtype = known(arrays.tensor), ANY, arrays.tensor.dtype
        return Tensor(shape.with_new(place_of(shape, axis, more=1), size), dtype)
    shape = reduce(alike, map(known, arrays))
    result = shape.with_new(place_of(shape, axis, more=1), len(arrays))
    return Tensor(result, array_types.promoted(array.dtype for array in arrays))


def _as_rows(shape: Shape) -> Shape:
    if shape.least_rank >= 2:
        return shape
    return of(*(1,) * (2 - len(shape.dims)), *shape.dims)


def _as_columns(shape: Shape) -> Shape:
    if shape.least_rank >= 2:
        return shape
    return of(*shape.dims, *(1,) * (2 - len(shape.dims)))


def _at_least_a_vector(shape: Shape) -> Shape:
    return of(1) if shape == Shape() else shape


def _side_by_side(given: Given) -> Result:
    arrays = _mapped(several_in(given, "tup"), _at_least_a_vector)
    first = known(arrays.tensor if isinstance(arrays, Each) else arrays[0])
    if first.rest is not None and first.least_rank < 2:
        raise Unsure
    return _joined(arrays, 0 if first.rank == 1 else 1)


def _stacking(change: Callable[[Shape], Shape], axis: int) -> Compute:
    return lambda given: _joined(_mapped(several_in(given, "tup"), change), axis)


def _splitting(*, exact: bool) -> Compute:
    def compute(given: Given) -> Result:
        shape, dtype = array_in(given, "ary")
        axis = place_of(shape, given.integer("axis", 0))
        parts = _parts(shape.at(axis), given.raw("indices_or_sections"), exact=exact)
        if parts is None:
            return Each(Tensor(shape.with_axis(axis, ANY), dtype))
        return tuple(Tensor(shape.with_axis(axis, size), dtype) for size in parts)

    return compute


def _parts(size: Dim, sections: Argument, *, exact: bool) -> Sequence[Dim] | None:
    """The sizes of the parts of an axis; None where their number is not known."""
    if isinstance(sections, tuple):
        cuts = [0, *sections, size]
        if not all(isinstance(cut, int) for cut in cuts):
            return [ANY] * (len(cuts) - 1)
        return [len(range(*slice(one, two).indices(cuts[-1]))) for one, two in pairwise(cuts)]
    if not isinstance(sections, int) or isinstance(sections, bool):
        return None
    if sections < 1:
        raise Mismatch(Problem.SIZES, f"{sections} parts")
    if isinstance(size, int):
        if exact and size % sections:
            raise Mismatch(Problem.SIZES, f"an axis of size {size} does not fall into {sections} equal parts", size)
        return [size // sections + (index < size % sections) for index in range(sections)]
    part = divided(size, sections)
    return [part if part is not None else quotient(size, sections) if exact else ANY] * sections


def _diagonal(given: Given) -> Result:
    shape, dtype = array_in(given, "v")
    offset, dims = given.integer("k", 0), shape.dims
    if len(dims) == 1:
        return Tensor(of(*(dims[0] + abs(offset),) * 2), dtype)
    if len(dims) != 2:
        raise Mismatch(Problem.RANK, f"a diagonal is that of an array with 1 or 2 axes, and {shape} has {len(dims)}")
    rows, columns = dims
    if isinstance(rows, int) and isinstance(columns, int):
        return Tensor(of(max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)), dtype)
    return Tensor(of(rows if offset == 0 and same(rows, columns) else ANY), dtype)


def _triangle(given: Given) -> Result:
    shape, dtype = array_in(given, "m")
    at_least(shape, 1, "a triangle")
    if shape.rest is not None and shape.least_rank < 2:
        return Tensor(None, dtype)
    return Tensor(of(*shape.front * 2) if shape.rank == 1 else shape, dtype)


# --- selections ---


def _sorted(rule: TypeRule = kept) -> Compute:
    def compute(given: Given) -> Result:
        shape, dtype = array_in(given)
        if "axis" in given.values and given.raw("axis") is None:
            return Tensor(of(shape.count()), rule(dtype))
        if shape == Shape():
            raise Unsure
        place_of(shape, given.integer("axis", -1))
        return Tensor(shape, rule(dtype))

    return compute


def _flipped(given: Given) -> Result:
    shape, dtype = array_in(given, "m")
    places_of(shape, given.axes("axis") or ())
    return Tensor(shape, dtype)


def _rolled(given: Given) -> Result:
    shape, dtype = array_in(given)
    axes, shifts = given.axes("axis"), given.raw("shift")
    if axes is not None:
        for axis in axes:
            place_of(shape, axis)
        if isinstance(shifts, tuple):
            broadcast_size(len(shifts), len(axes), "shifts and axes: ")
    return Tensor(shape, dtype)


def _padded(given: Given) -> Result:
    shape, dtype = array_in(given, "array")
    dims, width = shape.dims, given.raw("pad_width")
    if not dims or not (isinstance(width, tuple) or is_number(width)):
        raise Unsure
    pairs = _pairs(width, len(dims))
    if any(isinstance(each, int) and each < 0 for pair in pairs for each in pair):
        raise Mismatch(Problem.SIZES, "an axis is padded by a negative number")
    return Tensor(of(*(size + before + after for size, (before, after) in zip(dims, pairs, strict=True))), dtype)


def _pairs(width: Argument, rank: int) -> Sequence[tuple[Dim, Dim]]:
    """How much stands before and behind each axis: a number, a pair, or a number or pair for each axis."""
    rows = width if isinstance(width, tuple) else (width,)
    if not rows:
        raise Unsure
    if not any(isinstance(row, tuple) for row in rows):
        rows = (rows,)
    pairs = [_pair(row) for row in rows]
    if len(pairs) not in (1, rank):
        raise Mismatch(Problem.RANK, f"{len(pairs)} pairs of widths for {counted(rank, 'axis', 'axes')}")
    return pairs * rank if len(pairs) == 1 else pairs


def _pair(row: Argument) -> tuple[Dim, Dim]:
    if not isinstance(row, tuple):
        raise Unsure
    if len(row) not in (1, 2):
        raise Mismatch(Problem.RANK, f"{len(row)} widths for the two ends of an axis")
    first, last = (each if isinstance(each, int | Size) else ANY for each in (row[0], row[-1]))
    return first, last


def _check_whole(dtype: str | None) -> None:
    if dtypes.kind(dtype) in ("float", "complex"):
        raise Mismatch(Problem.DTYPE, f"an index is a whole number, and these are {dtype}")


def _taken(given: Given) -> Result:
    shape, dtype = array_in(given)
    indices, index_dtype = array_in(given, "indices")
    _check_whole(index_dtype if indices != of(0) else None)
    if not given.has("axis"):
        return Tensor(indices, dtype)
    if shape == Shape():
        raise Unsure
    axis = place_of(shape, given.integer("axis"))
    if shape.rest is not None or indices.rest is not None:
        return Tensor(None, dtype)
    return Tensor(of(*shape.front[:axis], *indices.front, *shape.front[axis + 1 :]), dtype)


def _taken_along(given: Given) -> Result:
    (shape, dtype), (indices, index_dtype) = array_in(given, "arr"), array_in(given, "indices")
    if dtypes.kind(index_dtype) not in ("int", None):
        raise Mismatch(Problem.DTYPE, f"an index is a whole number, and these are {index_dtype}")
    if "axis" in given.values and given.raw("axis") is None:
        return Tensor(with_rank(indices, 1), dtype)
    if shape.rest is not None or indices.rest is not None:
        raise Unsure
    axis = place_of(shape, given.integer("axis", -1))
    if len(indices.front) != len(shape.front):
        raise Mismatch(
            Problem.RANK, f"the array has {counted(len(shape.front), 'axis', 'axes')}, the indices {len(indices.front)}"
        )
    return Tensor(broadcast(shape.with_axis(axis, 1), indices.with_axis(axis, 1)).with_axis(axis, indices.front[axis]), dtype)


def _unique(given: Given) -> Result:
    shape, dtype = array_in(given, "ar")
    if given.has("axis"):
        axis = place_of(shape, given.integer("axis"))
        values = Tensor(shape.with_axis(axis, ANY), dtype)
    else:
        values = Tensor(of(ANY), dtype)
    places = Tensor(of(ANY), "int64")
    extras = {"return_index": places, "return_inverse": Tensor(None, "int64"), "return_counts": places}
    found = [extra for name, extra in extras.items() if given.flag(name)]
    return (values, *found) if found else values


def _counted(given: Given) -> Result:
    shape, dtype = array_in(given, "x")
    if shape != of(0):
        with_rank(shape, 1)
        _check_whole(dtype)
    if given.has("weights") and given.raw("weights") is not UNKNOWN:
        alike(with_rank(shape, 1), with_rank(array_in(given, "weights")[0], 1))
    return Tensor(of(ANY), "float64" if given.has("weights") else "int64")


# --- the tables ---


_ONE = ("x",)
_TWO = ("x1", "x2")
_LIKE = ("a", "dtype", "order", "subok", "shape")
_SUMMED = ("a", "axis", "dtype", "out", "keepdims")
_CHOSEN = ("a", "axis", "out", "keepdims")

FUNCTIONS: Mapping[str, Transfer] = {
    "array asarray": Transfer(("a", "dtype"), _converted),
    "ascontiguousarray": Transfer(("a", "dtype"), _contiguous),
    "zeros ones empty": Transfer(("shape", "dtype"), _created("shape")),
    "full": Transfer(("shape", "fill_value", "dtype"), _filled),
    "zeros_like ones_like empty_like": Transfer(_LIKE, _alike_created),
    "full_like": Transfer(("a", "fill_value", *_LIKE[1:]), _alike_created),
    "arange": Transfer(("start", "stop", "step", "dtype"), _range),
    "linspace": Transfer(("start", "stop", "num", "endpoint", "retstep", "dtype", "axis"), _spaced),
    "eye": Transfer(("N", "M", "k", "dtype"), _identity),
    "identity": Transfer(("N", "dtype"), _identity),
    "add multiply maximum minimum": Transfer(_TWO, _elementwise(*_TWO)),
    "subtract": Transfer(_TWO, _elementwise(*_TWO, refuses=("bool",))),
    "divide true_divide": Transfer(_TWO, _elementwise(*_TWO, rule=array_types.averaged)),
    "power": Transfer(_TWO, _elementwise(*_TWO, rule=array_types.not_bool)),
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor": Transfer(
        _TWO, _elementwise(*_TWO, rule=always("bool"))
    ),
    "exp expm1 log log2 log10 log1p sqrt sin cos tan tanh sinh cosh arctan": Transfer(
        _ONE, _elementwise("x", rule=array_types.floating)
    ),
    "abs absolute": Transfer(_ONE, _elementwise("x", rule=dtypes.magnitude)),
    "negative sign": Transfer(_ONE, _elementwise("x", refuses=("bool",))),
    "square": Transfer(_ONE, _elementwise("x", rule=array_types.not_bool)),
    "floor ceil": Transfer(_ONE, _elementwise("x")),
    "isnan isinf isfinite logical_not": Transfer(_ONE, _elementwise("x", rule=always("bool"))),
    "clip": Transfer(("a", "a_min", "a_max"), _clipped),
    "where": Transfer(("condition", "x", "y"), _chosen),
    "sum": Transfer(_SUMMED, _reduction(array_types.counting)),
    "prod": Transfer(_SUMMED, _reduction(array_types.counting)),
    "mean": Transfer(_SUMMED, _reduction(array_types.averaged, of_numbers=False)),
    "std var": Transfer(
        ("a", "axis", "dtype", "out", "ddof", "keepdims"),
        _reduction(lambda dtype: array_types.averaged(dtypes.magnitude(dtype)), of_numbers=False),
    ),
    "max min amax amin": Transfer(_CHOSEN, _reduction()),
    "all any": Transfer(_CHOSEN, _reduction(always("bool"))),
    "argmax argmin": Transfer(_CHOSEN, _reduction(always("int64"))),
    "median": Transfer(("a", "axis", "out", "overwrite_input", "keepdims"), _reduction(array_types.averaged, of_numbers=False)),
    "cumsum": Transfer(("a", "axis", "dtype"), _accumulated),
    "reshape": Transfer(("a", "shape"), _reshaped),
    "ravel": Transfer(("a",), _ravelled),
    "transpose": Transfer(("a", "axes"), _transposed),
    "swapaxes": Transfer(("a", "axis1", "axis2"), _swapped),
    "moveaxis": Transfer(("a", "source", "destination"), _moved),
    "expand_dims": Transfer(("a", "axis"), _expanded),
    "squeeze": Transfer(("a", "axis"), _squeezed),
    "broadcast_to": Transfer(("array", "shape"), _broadcast_to),
    "repeat": Transfer(("a", "repeats", "axis"), _repeated),
    "tile": Transfer(("A", "reps"), _tiled),
    "concatenate": Transfer(("arrays", "axis"), _concatenated),
    "stack": Transfer(("arrays", "axis"), _stacked),
    "vstack": Transfer(("tup",), _stacking(_as_rows, 0)),
    "hstack": Transfer(("tup",), _side_by_side),
    "column_stack": Transfer(("tup",), _stacking(_as_columns, 1)),
    "split": Transfer(("ary", "indices_or_sections", "axis"), _splitting(exact=True)),
    "array_split": Transfer(("ary", "indices_or_sections", "axis"), _splitting(exact=False)),
    "sort": Transfer(("a", "axis"), _sorted()),
    "argsort": Transfer(("a", "axis"), _sorted(always("int64"))),
    "flip": Transfer(("m", "axis"), _flipped),
    "roll": Transfer(("a", "shift", "axis"), _rolled),
    "diag": Transfer(("v", "k"), _diagonal),
    "tril triu": Transfer(("m", "k"), _triangle),
    "pad": Transfer(("array", "pad_width", "mode"), _padded),
    "take": Transfer(("a", "indices", "axis"), _taken),
    "take_along_axis": Transfer(("arr", "indices", "axis"), _taken_along),
    "unique": Transfer(("ar", "return_index", "return_inverse", "return_counts", "axis"), _unique),
    "bincount": Transfer(("x", "weights", "minlength"), _counted),
}
"""Names in `numpy`."""

METHODS = frozenset(
    {"all", "any", "argmax", "argmin", "argsort", "clip", "cumsum", "max", "mean", "min", "prod", "ravel", "repeat", "squeeze"}
    | {"std", "sum", "swapaxes", "take", "var", "dot", "trace"}
)
"""Functions that arrays have as methods, with the same parameters in the same order."""


ROWS: dict[str, Transfer] = in_numpy(FUNCTIONS)
