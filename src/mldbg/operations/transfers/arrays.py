"""numpy: functions of arrays, and what makes them.

An array is what numpy makes one of: an array, a tensor, a number, or a nested list of such. Other than torch, numpy has no axis 0
of an array without axes, except where it reduces one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, divided, product, quotient, said, same
from mldbg.operations.transfers import array_types
from mldbg.operations.transfers.array_types import Type, Weak
from mldbg.operations.transfers.einops import DOTS, Axis, Pattern, Side, Term, alike, contracted, known

Compute = Callable[[Given], Result]
TypeRule = Callable[[str | None], str | None]
"""How the type of a result follows from the type in which it is computed."""


def _kept(dtype: str | None) -> str | None:
    return dtype


def _always(dtype: str) -> TypeRule:
    return lambda _: dtype


# --- arguments ---


def _is_number(value: Argument) -> bool:
    return isinstance(value, bool | int | float | Size | AnySize)


def _kind_of_number(value: Argument) -> str:
    return "bool" if isinstance(value, bool) else "float" if isinstance(value, float) else "int"


def array_of(value: Argument) -> Tensor:
    """The array that numpy makes of an argument. Raises Unsure where that is not known."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Each):
        return Tensor(known(value.tensor).with_new(0, ANY), value.tensor.dtype)
    if _is_number(value):
        return Tensor(Shape(), array_types.OF_NUMBERS[_kind_of_number(value)])
    if not isinstance(value, tuple):
        raise Unsure
    if not value:
        return Tensor(of(0), "float64")
    parts = [array_of(each) if each is not UNKNOWN else Tensor() for each in value]
    return Tensor(reduce(alike, map(known, parts)).with_new(0, len(parts)), array_types.promoted(part.dtype for part in parts))


def _array(given: Given, name: str = "a") -> tuple[Shape, str | None]:
    """The shape and the type of an array; the shape has any axes where it is not known."""
    value = array_of(given.raw(name))
    return known(value), value.dtype


def _type_of(value: Argument) -> Type:
    return Weak(_kind_of_number(value)) if _is_number(value) else array_of(value).dtype


def _dtype(given: Given, usual: str | None) -> str | None:
    """The type that a call names; None where it names one that is not known."""
    value = given.raw("dtype")
    if value is None:
        return usual
    return array_types.named(value) if isinstance(value, str) else None


def _sizes(given: Given, name: str) -> tuple[Dim, ...]:
    """The sizes of a new array."""
    sizes = given.sizes(name)
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise Mismatch(Problem.SIZES, "a size is negative")
    return sizes


def _several(given: Given, name: str) -> tuple[Tensor, ...] | Each:
    """A sequence of arrays. An array is the sequence of its entries along the first axis."""
    value = given.raw(name)
    if isinstance(value, Each):
        return value
    if isinstance(value, Tensor):
        if value.shape == Shape():
            raise Mismatch(Problem.RANK, "an array without axes is no sequence")
        return Each(Tensor(known(value).without(0), value.dtype))
    if not isinstance(value, tuple):
        raise Unsure
    if not value:
        raise Mismatch(Problem.SIZES, "there is no array")
    return tuple(array_of(each) if each is not UNKNOWN else Tensor() for each in value)


# --- axes ---


def _axis(shape: Shape, axis: int, *, more: int = 0) -> int:
    """An axis, counted from the front where the number of axes is known; `more`: axes that come beside those of the shape."""
    if shape.rest is not None:
        return axis
    rank = len(shape.front) + more
    if not -rank <= axis < rank:
        raise Mismatch(Problem.RANK, f"axis {axis} of an array with {counted(rank, 'axis', 'axes')}")
    return axis % rank


def _axes(shape: Shape, axes: Sequence[int]) -> tuple[int, ...]:
    found = tuple(_axis(shape, axis) for axis in axes)
    if len(set(found)) < len(found):
        raise Mismatch(Problem.RANK, "an axis comes twice")
    return found


def _at_least(shape: Shape, rank: int, what: str) -> None:
    if shape.rest is None and len(shape.front) < rank:
        raise Mismatch(
            Problem.RANK, f"{what} takes an array with at least {counted(rank, 'axis', 'axes')}, and {shape} has fewer"
        )


def _at_most(shape: Shape, rank: int, what: str) -> None:
    if shape.least_rank > rank:
        raise Mismatch(Problem.RANK, f"{what} takes at most {counted(rank, 'axis', 'axes')}, and {shape} has more")


def _with_rank(shape: Shape, rank: int) -> Shape:
    """The shape as one with this number of axes. Raises Mismatch where it has another number."""
    missing = rank - shape.least_rank
    if missing < 0 or (missing and shape.rest is None):
        raise Mismatch(Problem.RANK, f"{shape} has another number of axes than {rank}")
    return of(*shape.front, *(ANY,) * missing, *shape.back)


# --- new arrays ---


def _created(shape: str) -> Compute:
    return lambda given: Tensor(of(*_sizes(given, shape)), _dtype(given, "float64"))


def _filled(given: Given) -> Result:
    shape = of(*_sizes(given, "shape"))
    filling, dtype = _array(given, "fill_value") if given.raw("fill_value") is not UNKNOWN else (Shape((), Rest()), None)
    _check_fills(filling, shape)
    return Tensor(shape, _dtype(given, dtype))


def _check_fills(filling: Shape, shape: Shape) -> None:
    """Raises Mismatch where an array cannot be written into one of a shape. Axes of size 1 in front do no harm."""
    if filling.rest is not None or shape.rest is not None:
        return
    beyond = max(len(filling.front) - len(shape.front), 0)
    if all(same(size, 1) is not False for size in filling.front[:beyond]):
        _check_broadcast_to(of(*filling.front[beyond:]), shape)
    else:
        raise Mismatch(Problem.RANK, f"{filling} has more axes than {shape}")


def _alike_created(given: Given) -> Result:
    shape, dtype = _array(given)
    if given.has("shape"):
        shape = of(*_sizes(given, "shape"))
    if given.has("fill_value") and given.raw("fill_value") is not UNKNOWN:
        _check_fills(_array(given, "fill_value")[0], shape)
    return Tensor(shape, _dtype(given, dtype))


def _converted(given: Given) -> Result:
    value = array_of(given.raw("a"))
    return Tensor(value.shape, _dtype(given, value.dtype))


def _contiguous(given: Given) -> Result:
    value = array_of(given.raw("a"))
    return Tensor(_at_least_a_vector(known(value)), _dtype(given, value.dtype))


def _range(given: Given) -> Result:
    start, stop, step = (given.raw(name) for name in ("start", "stop", "step"))
    if stop is None:
        start, stop = 0, start
    start, step = 0 if start is None else start, 1 if step is None else step
    numbers = (start, stop, step)
    if step == 0 or not all(map(_is_number, numbers)):
        raise Unsure
    is_float = any(isinstance(number, float) for number in numbers)
    return Tensor(of(_range_size(start, stop, step)), _dtype(given, "float64" if is_float else "int64"))


def _range_size(start: Argument, stop: Argument, step: Argument) -> Dim:
    if isinstance(start, int | float) and isinstance(stop, int | float) and isinstance(step, int | float):
        return max(math.ceil((stop - start) / step), 0)
    is_size = isinstance(stop, Size) and start == 0 and isinstance(step, int) and step > 0
    return quotient(stop + (step - 1), step) if is_size and isinstance(stop, Size) and isinstance(step, int) else ANY


def _spaced(given: Given) -> Result:
    start, stop, number = given.raw("start"), given.raw("stop"), given.size("num", 50)
    shape = broadcast(known(array_of(start)), known(array_of(stop)))
    axis = _axis(shape, given.integer("axis", 0), more=1)
    types = [_type_of(value) for value in (start, stop)]
    if isinstance(number, int) and number < 0:
        raise Mismatch(Problem.SIZES, "a size is negative")
    result = Tensor(shape.with_new(axis, number), _dtype(given, array_types.promoted([*types, Weak("float")])))
    return (result, UNKNOWN) if given.flag("retstep") else result


def _identity(given: Given) -> Result:
    rows = given.size("N")
    sizes = (rows, given.size("M", rows))
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise Mismatch(Problem.SIZES, "a size is negative")
    return Tensor(of(*sizes), _dtype(given, "float64"))


# --- random numbers ---


def _random(dtype: str, *parameters: str, fits: bool = True) -> Compute:
    """Numbers of a distribution whose parameters may be arrays. Without sizes and arrays it is a number of Python.

    `fits`: whether these arrays have to fit the sizes.
    """

    def compute(given: Given) -> Result:
        values = [given.raw(name) for name in parameters if given.has(name)]
        shape = broadcast(Shape(), *(known(array_of(value)) for value in values if value is not UNKNOWN))
        if given.has("size"):
            sizes = of(*_sizes(given, "size"))
            if fits:
                _check_broadcast_to(shape, sizes)
            return Tensor(sizes, _dtype(given, dtype))
        if UNKNOWN in values or shape == Shape():
            raise Unsure
        return Tensor(shape, _dtype(given, dtype))

    return compute


def _random_of_sizes(given: Given) -> Result:
    if not given.sizes("sizes"):
        raise Unsure  # a number of Python
    return Tensor(of(*_sizes(given, "sizes")), "float64")


def _permutation(given: Given) -> Result:
    value = given.raw("x")
    if isinstance(value, int | Size) and not isinstance(value, bool):
        return Tensor(of(value), "int64")
    shape, dtype = _array(given, "x")
    if shape == Shape():
        raise Unsure
    return Tensor(shape, dtype)


# --- each element by itself ---


def _elementwise(*names: str, rule: TypeRule = _kept, refuses: Sequence[str] = ()) -> Compute:
    """A function of arrays that are broadcast; `refuses`: types in which it cannot be computed."""

    def compute(given: Given) -> Result:
        values = [given.raw(name) for name in names if given.has(name)]
        shape = broadcast(*(known(array_of(value)) for value in values))
        dtype = array_types.promoted(map(_type_of, values))
        if dtype in refuses:
            raise Mismatch(Problem.DTYPE, f"the operation is not defined for elements of type {dtype}")
        return Tensor(shape, rule(dtype))

    return compute


def _clipped(given: Given) -> Result:
    value = array_of(given.raw("a"))
    bounds = [given.raw(name) for name in ("a_min", "a_max", "min", "max") if given.has(name)]
    shape = broadcast(known(value), *(known(array_of(bound)) for bound in bounds))
    return Tensor(shape, array_types.promoted([value.dtype, *map(_type_of, bounds)]))


def _chosen(given: Given) -> Result:
    condition, _ = _array(given, "condition")
    if not given.has("x") and not given.has("y"):
        return (Tensor(of(ANY), "int64"),) * len(condition.dims)
    values = [given.raw("x"), given.raw("y")]
    shape = broadcast(condition, *(known(array_of(value)) for value in values))
    return Tensor(shape, array_types.promoted(map(_type_of, values)))


# --- reductions ---


def _without(shape: Shape, axes: Sequence[int]) -> Shape:
    """The shape without some axes: those counted from the front and those counted from the end each from the inside."""
    for axis in sorted(axes, key=lambda axis: (axis < 0, -axis if axis >= 0 else axis)):
        shape = shape.without(axis)
    return shape


def _reduced(shape: Shape, axes: Sequence[int] | None, *, keeps: bool) -> Shape:
    if axes is None:
        return Shape() if not keeps else of(*(1,) * len(shape.dims))
    axes = _axes(shape, axes)
    if not keeps:
        return _without(shape, axes)
    for axis in axes:
        shape = shape.with_axis(axis, 1)
    return shape


def _is_of_no_axis(shape: Shape, axis: Argument) -> bool:
    """Whether axis 0 of an array without axes is meant, where that is allowed."""
    return shape == Shape() and isinstance(axis, int) and axis in (0, -1)


def _reduction(rule: TypeRule = _kept, *, of_numbers: bool = True) -> Compute:
    """`of_numbers`: whether an array without axes may be reduced along axis 0."""

    def compute(given: Given) -> Result:
        shape, dtype = _array(given)
        if of_numbers and _is_of_no_axis(shape, given.raw("axis")):
            return Tensor(shape, _dtype(given, rule(dtype)))
        return Tensor(_reduced(shape, given.axes("axis"), keeps=given.flag("keepdims")), _dtype(given, rule(dtype)))

    return compute


def _accumulated(given: Given) -> Result:
    shape, dtype = _array(given)
    result = _dtype(given, array_types.counting(dtype))
    if not given.has("axis"):
        return Tensor(of(shape.count()), result)
    if _is_of_no_axis(shape, given.raw("axis")):
        return Tensor(of(1), result)
    _axis(shape, given.integer("axis"))
    return Tensor(shape, result)


def _norm(given: Given) -> Result:
    shape, dtype = _array(given, "x")
    axes, keeps = given.axes("axis"), given.flag("keepdims")
    if axes is None and given.has("ord"):
        _at_least(shape, 1, "a norm of an order")
        _at_most(shape, 2, "a norm of an order")
    if axes is not None:
        if len(axes) not in (1, 2):
            raise Mismatch(Problem.RANK, "a norm goes along one axis or two")
        _axes(shape, axes)
    return Tensor(_reduced(shape, axes, keeps=keeps), array_types.averaged(array_types.magnitude(dtype)))


# --- other shapes and orders ---


def _reshaped(given: Given) -> Result:
    shape, dtype = _array(given)
    sizes = given.sizes("shape")
    if any(isinstance(size, int) and size < -1 for size in sizes):
        raise Unsure  # numpy reads it as -1
    return Tensor(reshaped(shape, sizes), dtype)


def _ravelled(given: Given) -> Result:
    shape, dtype = _array(given)
    return Tensor(of(shape.count()), dtype)


def _transposed(given: Given) -> Result:
    shape, dtype = _array(given)
    axes = given.axes("axes")
    if axes is None:
        rest = None if shape.rest is None else Rest()
        return Tensor(Shape(shape.back[::-1], rest, shape.front[::-1]) if rest else of(*shape.front[::-1]), dtype)
    shape = _with_rank(shape, len(axes))
    return Tensor(of(*(shape.front[axis] for axis in _axes(shape, axes))), dtype)


def _swapped(given: Given) -> Result:
    shape, dtype = _array(given)
    one, two = (_axis(shape, given.integer(name)) for name in ("axis1", "axis2"))
    return Tensor(shape.with_axis(one, shape.at(two)).with_axis(two, shape.at(one)), dtype)


def _moved(given: Given) -> Result:
    shape, dtype = _array(given)
    source, destination = given.axes("source"), given.axes("destination")
    if source is None or destination is None:
        raise Unsure
    if len(source) != len(destination):
        raise Mismatch(Problem.RANK, f"{counted(len(source), 'axis', 'axes')} and {counted(len(destination), 'place', 'places')}")
    dims = shape.dims
    sources, targets = _axes(shape, source), _axes(shape, destination)
    order = [place for place in range(len(dims)) if place not in sources]
    for target, place in sorted(zip(targets, sources, strict=True)):
        order.insert(target, place)
    return Tensor(of(*(dims[place] for place in order)), dtype)


def _expanded(given: Given) -> Result:
    shape, dtype = _array(given)
    axes = given.axes("axis")
    if axes is None:
        raise Unsure
    if len(axes) == 1:
        return Tensor(shape.with_new(_axis(shape, axes[0], more=1), 1), dtype)
    result = list(shape.dims)
    places = [_axis(shape, axis, more=len(axes)) for axis in axes]
    if len(set(places)) < len(places):
        raise Mismatch(Problem.RANK, "an axis comes twice")
    for place in sorted(places):
        result.insert(place, 1)
    return Tensor(of(*result), dtype)


def _squeezed(given: Given) -> Result:
    shape, dtype = _array(given)
    axes = given.axes("axis")
    if axes is None:
        if any(same(size, 1) is None for size in shape.dims):
            raise Unsure
        return Tensor(of(*(size for size in shape.dims if size != 1)), dtype)
    if _is_of_no_axis(shape, given.raw("axis")):
        return Tensor(shape, dtype)
    axes = _axes(shape, axes)
    for axis in axes:
        size = shape.at(axis)
        if same(size, 1) is False:
            raise Mismatch(Problem.SIZES, f"axis {axis} has size {said(size)}, and only one of size 1 can be left out", size, 1)
    return Tensor(_without(shape, axes), dtype)


def _check_broadcast_to(shape: Shape, target: Shape) -> None:
    """Raises Mismatch where an array cannot be broadcast to a shape whose number of axes is known."""
    lead = len(target.front) - shape.least_rank
    if lead < 0:
        raise Mismatch(Problem.RANK, f"{shape} has more axes than {target}")
    tail = shape.front if shape.rest is None else shape.back
    for have, want in zip(tail, target.front[len(target.front) - len(tail) :], strict=True):
        if have != 1 and same(have, want) is False:
            raise Mismatch(Problem.SIZES, f"{shape} cannot be broadcast to {target}", have, want)


def _broadcast_to(given: Given) -> Result:
    shape, dtype = _array(given, "array")
    target = of(*_sizes(given, "shape"))
    _check_broadcast_to(shape, target)
    return Tensor(target, dtype)


def _repeated(given: Given) -> Result:
    shape, dtype = _array(given)
    if not given.has("axis"):
        return Tensor(of(_repeated_size(shape.count(), given.raw("repeats"))), dtype)
    if shape == Shape():
        raise Unsure
    axis = _axis(shape, given.integer("axis"))
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
    return product((size, numbers[0])) if _is_number(times[0]) else ANY


def _tiled(given: Given) -> Result:
    shape, dtype = _array(given, "A")
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
        _at_least(shape, 1, "joining arrays")
        return Tensor(shape.with_axis(_axis(shape, axis), ANY), arrays.tensor.dtype)
    shapes = [known(array) for array in arrays]
    dtype = array_types.promoted(array.dtype for array in arrays)
    for shape in shapes:
        _at_least(shape, 1, "joining arrays")
    rank = next((shape.rank for shape in shapes if shape.rank is not None), None)
    if rank is None:
        return Tensor(shapes[0] if len(shapes) == 1 else None, dtype)
    same_rank = [_with_rank(shape, rank) for shape in shapes]
    place = _axis(same_rank[0], axis)
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
    arrays = _several(given, "arrays")
    if "axis" in given.values and given.raw("axis") is None:
        return _joined(_mapped(arrays, lambda shape: of(shape.count())), 0)
    return _joined(arrays, given.integer("axis", 0))


def _stacked(given: Given) -> Result:
    arrays, axis = _several(given, "arrays"), given.integer("axis", 0)
    if isinstance(arrays, Each):
        shape, size, dtype = known(arrays.tensor), ANY, arrays.tensor.dtype
        return Tensor(shape.with_new(_axis(shape, axis, more=1), size), dtype)
    shape = reduce(alike, map(known, arrays))
    result = shape.with_new(_axis(shape, axis, more=1), len(arrays))
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
    arrays = _mapped(_several(given, "tup"), _at_least_a_vector)
    first = known(arrays.tensor if isinstance(arrays, Each) else arrays[0])
    if first.rest is not None and first.least_rank < 2:
        raise Unsure
    return _joined(arrays, 0 if first.rank == 1 else 1)


def _stacking(change: Callable[[Shape], Shape], axis: int) -> Compute:
    return lambda given: _joined(_mapped(_several(given, "tup"), change), axis)


def _splitting(*, exact: bool) -> Compute:
    def compute(given: Given) -> Result:
        shape, dtype = _array(given, "ary")
        axis = _axis(shape, given.integer("axis", 0))
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


# --- products ---


def _contract(one: Dim, two: Dim) -> None:
    if same(one, two) is False:
        raise Mismatch(Problem.SIZES, f"sizes {said(one)} and {said(two)} are to be summed over together", two, one)


def _dotted(one: Shape, two: Shape) -> Shape:
    if one == Shape() or two == Shape():
        return one if two == Shape() else two
    _contract(one.dims[-1], two.dims[-2 if len(two.dims) > 1 else -1])
    return of(*one.dims[:-1], *two.dims[:-2], *two.dims[-1:][: len(two.dims) - 1])


def _multiplied(one: Shape, two: Shape) -> Shape:
    for shape in (one, two):
        _at_least(shape, 1, "a product of matrices")
    left, right = one.dims, two.dims
    _contract(left[-1], right[-2 if len(right) > 1 else -1])
    batch = broadcast(of(*left[:-2]), of(*right[:-2]))
    return of(*batch.dims, *left[:-1][-1:], *right[-1:][: len(right) - 1])


def _inner(one: Shape, two: Shape) -> Shape:
    if one == Shape() or two == Shape():
        return one if two == Shape() else two
    _contract(one.dims[-1], two.dims[-1])
    return of(*one.dims[:-1], *two.dims[:-1])


def _outer(one: Shape, two: Shape) -> Shape:
    return of(one.count(), two.count())


def _product(how: Callable[[Shape, Shape], Shape], first: str = "a", second: str = "b") -> Compute:
    def compute(given: Given) -> Result:
        (one, its_dtype), (two, other) = _array(given, first), _array(given, second)
        return Tensor(how(one, two), array_types.promoted((its_dtype, other)))

    return compute


def _tensordot(given: Given) -> Result:
    (one, its_dtype), (two, other) = _array(given), _array(given, "b")
    axes = given.raw("axes")
    count = 2 if axes is None else axes
    if isinstance(count, int) and not isinstance(count, bool):
        if count < 0:
            raise Unsure
        first, second = tuple(range(-count, 0)), tuple(range(count))
    elif isinstance(axes, tuple) and len(axes) == 2:
        first, second = (Given({"axes": each}).axes("axes") or () for each in axes)
    else:
        raise Unsure
    if len(first) != len(second):
        raise Mismatch(Problem.RANK, f"{len(first)} and {len(second)} axes are to be summed over together")
    of_one, of_two = of(*one.dims), of(*two.dims)
    first, second = _axes(of_one, first), _axes(of_two, second)
    for here, there in zip(first, second, strict=True):
        _contract(of_one.at(here), of_two.at(there))
    return Tensor(of(*_without(of_one, first).dims, *_without(of_two, second).dims), array_types.promoted((its_dtype, other)))


def _einsum(given: Given) -> Result:
    text = given.text("subscripts")
    operands = given.raw("operands")
    if not isinstance(operands, tuple):
        raise Unsure
    arrays = [array_of(each) for each in operands]
    return Tensor(contracted(_subscripts(text), [known(array) for array in arrays]), _promoted(arrays))


def _promoted(arrays: Sequence[Tensor]) -> str | None:
    return array_types.promoted(array.dtype for array in arrays)


def _subscripts(text: str) -> Pattern:
    """The letters of numpy's einsum as a pattern. Without an arrow those that come once are left, in alphabetical order."""
    before, arrow, after = text.replace(_STAR, "?").replace(DOTS, _STAR).replace(" ", "").partition("->")
    inputs = tuple(_letters(each) for each in before.split(","))
    if arrow:
        return Pattern(inputs, _letters(after))
    letters = before.replace(",", "").replace(_STAR, "")
    once = "".join(sorted(letter for letter in letters if letters.count(letter) == 1))
    return Pattern(inputs, _letters(_STAR * (_STAR in before) + once))


_STAR = "*"
"""Dots as one letter."""


def _letters(text: str) -> Side:
    for letter in text:
        if letter != _STAR and not (letter.isascii() and letter.isalpha()):
            raise Mismatch(Problem.PATTERN, f"the subscripts `{text}` are not only letters and dots")
    if text.count(_STAR) > 1:
        raise Mismatch(Problem.PATTERN, "dots stand more than once for one array")
    return Side(tuple(Term((Axis(DOTS if letter == _STAR else letter),)) for letter in text))


# --- matrices ---


def _square(shape: Shape) -> None:
    _at_least(shape, 2, "linear algebra")
    rows, columns = shape.at(-2), shape.at(-1)
    if same(rows, columns) is False:
        raise Mismatch(Problem.SIZES, f"a matrix of {said(rows)} times {said(columns)} is not square", columns, rows)


def _of_matrices(*types: str | None) -> str | None:
    dtype = array_types.promoted(map(array_types.averaged, types))
    if "float16" in types or dtype == "float16":
        raise Mismatch(Problem.DTYPE, "linear algebra is not defined for elements of type float16")
    return dtype


def _inverse(given: Given) -> Result:
    shape, dtype = _array(given)
    _square(shape)
    return Tensor(shape, _of_matrices(dtype))


def _solved(given: Given) -> Result:
    (matrix, its_dtype), (right, other) = _array(given), _array(given, "b")
    _square(matrix)
    dtype = _of_matrices(its_dtype, other)
    if right.rank == 1:
        _contract(matrix.at(-1), right.front[0])
        return Tensor(_without(matrix, [-2, -1]).with_new(-1, right.front[0]) if matrix.rest is None else None, dtype)
    _at_least(right, 1, "linear algebra")
    if matrix.rest is not None or right.rest is not None:
        return Tensor(None, dtype)
    _contract(matrix.at(-1), right.at(-2))
    batch = broadcast(of(*matrix.front[:-2]), of(*right.front[:-2]))
    return Tensor(of(*batch.front, *right.front[-2:]), dtype)


def _diagonal(given: Given) -> Result:
    shape, dtype = _array(given, "v")
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
    shape, dtype = _array(given, "m")
    _at_least(shape, 1, "a triangle")
    if shape.rest is not None and shape.least_rank < 2:
        return Tensor(None, dtype)
    return Tensor(of(*shape.front * 2) if shape.rank == 1 else shape, dtype)


# --- selections ---


def _sorted(rule: TypeRule = _kept) -> Compute:
    def compute(given: Given) -> Result:
        shape, dtype = _array(given)
        if "axis" in given.values and given.raw("axis") is None:
            return Tensor(of(shape.count()), rule(dtype))
        if shape == Shape():
            raise Unsure
        _axis(shape, given.integer("axis", -1))
        return Tensor(shape, rule(dtype))

    return compute


def _flipped(given: Given) -> Result:
    shape, dtype = _array(given, "m")
    _axes(shape, given.axes("axis") or ())
    return Tensor(shape, dtype)


def _rolled(given: Given) -> Result:
    shape, dtype = _array(given)
    axes, shifts = given.axes("axis"), given.raw("shift")
    if axes is not None:
        for axis in axes:
            _axis(shape, axis)
        if isinstance(shifts, tuple):
            broadcast_size(len(shifts), len(axes), "shifts and axes: ")
    return Tensor(shape, dtype)


def _padded(given: Given) -> Result:
    shape, dtype = _array(given, "array")
    dims, width = shape.dims, given.raw("pad_width")
    if not dims or not (isinstance(width, tuple) or _is_number(width)):
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
    shape, dtype = _array(given)
    indices, index_dtype = _array(given, "indices")
    _check_whole(index_dtype if indices != of(0) else None)
    if not given.has("axis"):
        return Tensor(indices, dtype)
    if shape == Shape():
        raise Unsure
    axis = _axis(shape, given.integer("axis"))
    if shape.rest is not None or indices.rest is not None:
        return Tensor(None, dtype)
    return Tensor(of(*shape.front[:axis], *indices.front, *shape.front[axis + 1 :]), dtype)


def _taken_along(given: Given) -> Result:
    (shape, dtype), (indices, index_dtype) = _array(given, "arr"), _array(given, "indices")
    if dtypes.kind(index_dtype) not in ("int", None):
        raise Mismatch(Problem.DTYPE, f"an index is a whole number, and these are {index_dtype}")
    if "axis" in given.values and given.raw("axis") is None:
        return Tensor(_with_rank(indices, 1), dtype)
    if shape.rest is not None or indices.rest is not None:
        raise Unsure
    axis = _axis(shape, given.integer("axis", -1))
    if len(indices.front) != len(shape.front):
        raise Mismatch(
            Problem.RANK, f"the array has {counted(len(shape.front), 'axis', 'axes')}, the indices {len(indices.front)}"
        )
    return Tensor(broadcast(shape.with_axis(axis, 1), indices.with_axis(axis, 1)).with_axis(axis, indices.front[axis]), dtype)


def _unique(given: Given) -> Result:
    shape, dtype = _array(given, "ar")
    if given.has("axis"):
        axis = _axis(shape, given.integer("axis"))
        values = Tensor(shape.with_axis(axis, ANY), dtype)
    else:
        values = Tensor(of(ANY), dtype)
    places = Tensor(of(ANY), "int64")
    extras = {"return_index": places, "return_inverse": Tensor(None, "int64"), "return_counts": places}
    found = [extra for name, extra in extras.items() if given.flag(name)]
    return (values, *found) if found else values


def _counted(given: Given) -> Result:
    shape, dtype = _array(given, "x")
    if shape != of(0):
        _with_rank(shape, 1)
        _check_whole(dtype)
    if given.has("weights") and given.raw("weights") is not UNKNOWN:
        alike(_with_rank(shape, 1), _with_rank(_array(given, "weights")[0], 1))
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
    "random.rand random.randn": Transfer(("*sizes",), _random_of_sizes),
    "random.random random.random_sample": Transfer(("size",), _random("float64")),
    "random.normal": Transfer(("loc", "scale", "size"), _random("float64", "loc", "scale")),
    "random.uniform": Transfer(("low", "high", "size"), _random("float64", "low", "high")),
    "random.randint": Transfer(("low", "high", "size", "dtype"), _random("int64", "low", "high", fits=False)),
    "random.permutation": Transfer(("x",), _permutation),
    "add multiply maximum minimum": Transfer(_TWO, _elementwise(*_TWO)),
    "subtract": Transfer(_TWO, _elementwise(*_TWO, refuses=("bool",))),
    "divide true_divide": Transfer(_TWO, _elementwise(*_TWO, rule=array_types.averaged)),
    "power": Transfer(_TWO, _elementwise(*_TWO, rule=array_types.not_bool)),
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor": Transfer(
        _TWO, _elementwise(*_TWO, rule=_always("bool"))
    ),
    "exp expm1 log log2 log10 log1p sqrt sin cos tan tanh sinh cosh arctan": Transfer(
        _ONE, _elementwise("x", rule=array_types.floating)
    ),
    "abs absolute": Transfer(_ONE, _elementwise("x", rule=array_types.magnitude)),
    "negative sign": Transfer(_ONE, _elementwise("x", refuses=("bool",))),
    "square": Transfer(_ONE, _elementwise("x", rule=array_types.not_bool)),
    "floor ceil": Transfer(_ONE, _elementwise("x")),
    "isnan isinf isfinite logical_not": Transfer(_ONE, _elementwise("x", rule=_always("bool"))),
    "clip": Transfer(("a", "a_min", "a_max"), _clipped),
    "where": Transfer(("condition", "x", "y"), _chosen),
    "sum": Transfer(_SUMMED, _reduction(array_types.counting)),
    "prod": Transfer(_SUMMED, _reduction(array_types.counting)),
    "mean": Transfer(_SUMMED, _reduction(array_types.averaged, of_numbers=False)),
    "std var": Transfer(
        ("a", "axis", "dtype", "out", "ddof", "keepdims"),
        _reduction(lambda dtype: array_types.averaged(array_types.magnitude(dtype)), of_numbers=False),
    ),
    "max min amax amin": Transfer(_CHOSEN, _reduction()),
    "all any": Transfer(_CHOSEN, _reduction(_always("bool"))),
    "argmax argmin": Transfer(_CHOSEN, _reduction(_always("int64"))),
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
    "dot": Transfer(("a", "b"), _product(_dotted)),
    "matmul": Transfer(_TWO, _product(_multiplied, *_TWO)),
    "inner": Transfer(("a", "b"), _product(_inner)),
    "outer": Transfer(("a", "b"), _product(_outer)),
    "tensordot": Transfer(("a", "b", "axes"), _tensordot),
    "einsum": Transfer(("subscripts", "*operands"), _einsum),
    "sort": Transfer(("a", "axis"), _sorted()),
    "argsort": Transfer(("a", "axis"), _sorted(_always("int64"))),
    "flip": Transfer(("m", "axis"), _flipped),
    "roll": Transfer(("a", "shift", "axis"), _rolled),
    "diag": Transfer(("v", "k"), _diagonal),
    "tril triu": Transfer(("m", "k"), _triangle),
    "pad": Transfer(("array", "pad_width", "mode"), _padded),
    "take": Transfer(("a", "indices", "axis"), _taken),
    "take_along_axis": Transfer(("arr", "indices", "axis"), _taken_along),
    "unique": Transfer(("ar", "return_index", "return_inverse", "return_counts", "axis"), _unique),
    "bincount": Transfer(("x", "weights", "minlength"), _counted),
    "linalg.norm": Transfer(("x", "ord", "axis", "keepdims"), _norm),
    "linalg.inv": Transfer(("a",), _inverse),
    "linalg.solve": Transfer(("a", "b"), _solved),
}
"""Names in `numpy`."""


def _rows() -> Iterator[tuple[str, Transfer]]:
    for names, transfer in FUNCTIONS.items():
        yield from ((f"numpy.{name}", transfer) for name in names.split())


ROWS: dict[str, Transfer] = dict(_rows())
