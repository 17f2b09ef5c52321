"""Functions that give the elements of a tensor other places: views, reshapes, transpositions, repetitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    Given,
    Mismatch,
    Rest,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    counted,
    of,
    reshaped,
)
from mldbg.operations.sizes import ANY, Dim, Size, product, quotient, said, same

Compute = Callable[[Given], Result]
ANY_SHAPE = Shape((), Rest(), ())


# --- axes ---


def shape_or_any(value: Tensor) -> Shape:
    """A shape of which nothing is known, where a tensor has none."""
    return value.shape if value.shape is not None else ANY_SHAPE


def with_rank(shape: Shape, rank: int) -> Shape:
    """A shape whose number of axes turns out to be `rank`. Raises Mismatch where it cannot be."""
    if shape.rest is None:
        if len(shape.front) != rank:
            raise ranks_differ(shape, rank)
        return shape
    missing = rank - shape.least_rank
    if missing < 0:
        raise ranks_differ(shape, rank)
    return Shape((*shape.front, *(ANY,) * missing, *shape.back))


def ranks_differ(shape: Shape, wanted: int | str) -> Mismatch:
    """What is raised where a tensor has another number of axes."""
    verb = "is" if wanted == 1 else "are"
    return Mismatch(Problem.RANK, f"{shape} has {counted(shape.least_rank, 'axis', 'axes')} where {wanted} {verb} needed")


def check_axis(shape: Shape, axis: int) -> None:
    """Raises Mismatch where there is no such axis."""
    if shape.rest is None:
        shape.place(axis)


def places(shape: Shape, axes: Sequence[int], rank: int | None = None) -> tuple[int, ...]:
    """Axes counted from the front, all of them different; `rank`: counted in a tensor of so many axes."""
    found = tuple((shape if rank is None else of(*(ANY,) * rank)).place(axis) for axis in axes)
    if len(set(found)) < len(found):
        raise Mismatch(Problem.RANK, f"the same axis twice in {tuple(axes)}")
    return found


# --- reshapes ---


def reshape(given: Given) -> Result:
    """`view` and `reshape`."""
    value = given.tensor()
    return replace(value, shape=reshaped(shape_or_any(value), given.sizes("shape" if given.has("shape") else "size")))


def _as_other(given: Given) -> Result:
    value = given.tensor()
    return replace(value, shape=reshaped(shape_or_any(value), given.dims("other")))


def _flattened(given: Given) -> Result:
    value = given.tensor()
    start, end = given.integer("start_dim", 0), given.integer("end_dim", -1)
    return replace(value, shape=flat(shape_or_any(value), start, end))


def flat(shape: Shape, start: int, end: int) -> Shape:
    """The shape with the axes from `start` to `end` made one."""
    if shape.rest is None:
        first, last = shape.place(start), shape.place(end)
        if first > last:
            raise Mismatch(Problem.RANK, f"axis {start} comes after axis {end}")
        return of(*shape.front[:first], product(shape.front[first : last + 1]), *shape.front[last + 1 :])
    if 0 <= start <= len(shape.front) and end < 0 and -end - 1 <= len(shape.back):
        return of(*shape.front[:start], ANY, *shape.back[len(shape.back) + end + 1 :])
    if 0 <= start <= end < len(shape.front):
        return replace(shape, front=(*shape.front[:start], product(shape.front[start : end + 1]), *shape.front[end + 1 :]))
    if -len(shape.back) <= start <= end < 0:
        first, last = start % len(shape.back), end % len(shape.back)
        return replace(shape, back=(*shape.back[:first], product(shape.back[first : last + 1]), *shape.back[last + 1 :]))
    raise Unsure


def _unflattened(given: Given) -> Result:
    value, axis, sizes = given.tensor(), given.integer("dim"), given.sizes("sizes")
    shape = shape_or_any(value)
    inner = reshaped(of(shape.at(axis)), sizes).front
    result = shape.without(axis)
    for size in reversed(inner) if axis >= 0 or result.rest is None else inner:
        result = result.with_new(shape.place(axis) if result.rest is None else axis, size)
    return replace(value, shape=result)


def _ravelled(given: Given) -> Result:
    value = given.tensor()
    return replace(value, shape=of(shape_or_any(value).count()))


# --- other orders ---


def _permuted(given: Given) -> Result:
    value = given.tensor()
    axes = given.axes("dims")
    if axes is None:
        raise Unsure
    shape = with_rank(shape_or_any(value), len(axes))
    return replace(value, shape=of(*(shape.front[place] for place in places(shape, axes))))


def swapped(shape: Shape, one: int, two: int) -> Shape:
    """The shape with two axes in each other's place."""
    check_axis(shape, one)
    check_axis(shape, two)
    return shape.with_axis(one, shape.at(two)).with_axis(two, shape.at(one)) if shape.front or shape.rest else shape


def _swapping(first: str, second: str) -> Compute:
    def compute(given: Given) -> Result:
        value = given.tensor()
        return replace(value, shape=swapped(shape_or_any(value), given.integer(first), given.integer(second)))

    return compute


def _moved(given: Given) -> Result:
    value = given.tensor()
    dims = given.dims()
    source, destination = given.axes("source"), given.axes("destination")
    if source is None or destination is None:
        raise Unsure
    if len(source) != len(destination):
        raise Mismatch(Problem.RANK, f"{len(source)} axes are moved to {len(destination)} places")
    shape = of(*dims)
    sources, targets = places(shape, source), places(shape, destination)
    order = [place for place in range(len(dims)) if place not in sources]
    for target, place in sorted(zip(targets, sources, strict=True)):
        order.insert(target, place)
    return replace(value, shape=of(*(dims[place] for place in order[: len(dims)])))


def _of_matrix(given: Given) -> Result:
    """`t`, which also takes vectors."""
    value = given.tensor()
    shape = shape_or_any(value)
    if shape.least_rank > 2:
        raise ranks_differ(shape, "at most 2")
    return replace(value, shape=of(*reversed(shape.dims)))


def _reversed(given: Given) -> Result:
    value = given.tensor()
    shape = shape_or_any(value)
    if shape.rest is None:
        return replace(value, shape=of(*reversed(shape.front)))
    return replace(value, shape=Shape(shape.back[::-1], Rest(), shape.front[::-1]))


def _last_two_swapped(given: Given) -> Result:
    value = given.tensor()
    shape = shape_or_any(value)
    if shape == Shape():
        return value
    if shape.rest is None and len(shape.front) < 2:
        raise ranks_differ(shape, "at least 2")
    return replace(value, shape=swapped(shape, -1, -2))


def _conjugate(given: Given) -> Result:
    value = given.tensor()
    shape = shape_or_any(value)
    if shape.rest is None and len(shape.front) not in (0, 2):
        raise ranks_differ(shape, 2)
    return replace(value, shape=of(*reversed(shape.dims)))


def _rotated(given: Given) -> Result:
    value = given.tensor()
    turns, axes = given.integer("k", 1), given.axes("dims") or (0, 1)
    shape = shape_or_any(value)
    if len(axes) != 2:
        raise Mismatch(Problem.RANK, "a rotation takes two axes")
    if shape.rest is None:
        if len(shape.front) < 2:
            raise ranks_differ(shape, "at least 2")
        places(shape, axes)
    return replace(value, shape=swapped(shape, *axes) if turns % 2 else shape)


# --- axes of size 1 ---


def _squeezed(given: Given) -> Result:
    value = given.tensor()
    shape = shape_or_any(value)
    axes = given.axes("dim")
    if axes is None:
        if any(same(size, 1) is None for size in shape.dims):
            raise Unsure
        return replace(value, shape=of(*(size for size in shape.dims if size != 1)))
    if not shape.front and shape.rest is None:
        places(shape, axes)
        return value
    if shape.rest is None:
        axes = places(shape, axes)
    elif len(axes) > 1 and not all(-len(shape.back) <= axis < len(shape.front) for axis in axes):
        return replace(value, shape=ANY_SHAPE)
    for axis in sorted(axes, key=lambda axis: (axis < 0, -axis if axis >= 0 else axis)):
        shape = _without_one(shape, axis)
    return replace(value, shape=shape)


def _without_one(shape: Shape, axis: int) -> Shape:
    """The shape without an axis, should that have size 1."""
    is_one = same(shape.at(axis), 1)
    if is_one is False:
        return shape
    if is_one:
        return shape.without(axis)
    if shape.rest is None:
        return Shape(shape.front[:axis], Rest(), shape.front[axis + 1 :])
    if axis >= 0:
        return Shape(shape.front[:axis], Rest(), shape.back if axis < len(shape.front) else ())
    is_inside = -axis <= len(shape.back)
    return Shape(shape.front if is_inside else (), Rest(), shape.back[len(shape.back) + axis + 1 :] if is_inside else shape.back)


def _unsqueezed(given: Given) -> Result:
    value = given.tensor()
    return replace(value, shape=shape_or_any(value).with_new(given.integer("dim"), 1))


# --- repetitions ---


def expanded(shape: Shape, sizes: Sequence[Dim]) -> Shape:
    """The shape broadcast to these sizes, where -1 leaves one as it is."""
    lead = len(sizes) - shape.least_rank
    if lead < 0:
        raise Mismatch(Problem.RANK, f"{shape} has more axes than {of(*sizes)}")
    if shape.rest is not None:
        shape = Shape((*(ANY,) * (len(sizes) - len(shape.back)), *shape.back))
        return of(*(_expanded_size(have, want) for have, want in zip(shape.front, sizes, strict=True)))
    if any(size == -1 for size in sizes[:lead]):
        raise Mismatch(Problem.RANK, "-1 stands for an axis that is not there")
    tail = (_expanded_size(have, want) for have, want in zip(shape.front, sizes[lead:], strict=True))
    return of(*sizes[:lead], *tail)


def _expanded_size(have: Dim, want: Dim) -> Dim:
    if want == -1:
        return have
    if have != 1 and same(have, want) is False:
        raise Mismatch(Problem.SIZES, f"an axis of size {said(have)} cannot be expanded to {said(want)}", have, want)
    return have if have == want else want


def _expanding(sizes: str) -> Compute:
    def compute(given: Given) -> Result:
        value = given.tensor()
        return replace(value, shape=expanded(shape_or_any(value), given.sizes(sizes)))

    return compute


def _as_wide(given: Given) -> Result:
    value = given.tensor()
    return replace(value, shape=expanded(shape_or_any(value), given.dims("other")))


def _repeated(given: Given) -> Result:
    value, repeats = given.tensor(), given.sizes("repeats")
    shape = shape_or_any(value)
    if len(repeats) < shape.least_rank:
        raise Mismatch(Problem.RANK, f"{len(repeats)} repeats for {shape}")
    return replace(value, shape=_times(shape, repeats))


def _tiled(given: Given) -> Result:
    value, repeats = given.tensor(), given.sizes("dims")
    shape = shape_or_any(value)
    missing = len(shape.dims) - len(repeats)
    return replace(value, shape=_times(shape, (*(1,) * missing, *repeats)))


def _times(shape: Shape, repeats: Sequence[Dim]) -> Shape:
    if shape.rest is not None:
        shape = Shape((*(ANY,) * (len(repeats) - len(shape.back)), *shape.back))
    sizes = (*(1,) * (len(repeats) - len(shape.front)), *shape.front)
    return of(*(product((size, times)) for size, times in zip(sizes, repeats, strict=True)))


def _each_repeated(given: Given) -> Result:
    value = given.tensor()
    shape = shape_or_any(value)
    times = given.raw("repeats")
    if times is None:  # the only argument says how often each number from 0 on comes
        return Tensor(of(ANY), value.dtype)
    if isinstance(times, Tensor):
        number: Dim = given.size("output_size", ANY)
    else:
        number = ANY
    if not given.has("dim"):
        return replace(value, shape=of(number if isinstance(times, Tensor) else product((shape.count(), given.size("repeats")))))
    axis = given.integer("dim")
    size = shape.at(axis)
    number = number if isinstance(times, Tensor) else product((size, given.size("repeats")))
    return replace(value, shape=shape.with_axis(axis, number))


def _broadcast_together(given: Given) -> Result:
    tensors = given.tensors("tensors")
    if len(tensors) == 1 and tensors[0].says_nothing:
        raise Unsure  # it may be a sequence that is unpacked
    shapes = [tensor.shape for tensor in tensors if tensor.shape is not None]
    together = broadcast(*shapes) if shapes else None
    shape = together if len(shapes) == len(tensors) else None
    return tuple(replace(tensor, shape=shape) for tensor in tensors)


# --- windows and diagonals ---


def _windows(given: Given) -> Result:
    value = given.tensor()
    shape, axis = shape_or_any(value), given.integer("dimension")
    size, step = given.size("size"), given.size("step")
    if shape == Shape():
        raise Unsure
    have = shape.at(axis)
    if isinstance(have, int) and isinstance(size, int) and size > have:
        raise Mismatch(Problem.SIZES, f"windows of size {size} along an axis of size {have}", size, have)
    return replace(value, shape=shape.with_axis(axis, quotient(have - size, step) + 1).with_new(-1, size))


def _diagonal(given: Given) -> Result:
    value = given.tensor()
    dims = given.dims()
    offset = given.integer("offset", 0)
    one, two = places(of(*dims), (given.integer("dim1", 0), given.integer("dim2", 1)))
    rest = [size for place, size in enumerate(dims) if place not in (one, two)]
    return replace(value, shape=of(*rest, _diagonal_size(dims[one], dims[two], offset)))


def _diagonal_size(rows: Dim, columns: Dim, offset: int) -> Dim:
    if isinstance(rows, int) and isinstance(columns, int):
        return max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    return rows if offset == 0 and same(rows, columns) else ANY


def _diag(given: Given) -> Result:
    value = given.tensor()
    dims, offset = given.dims(), given.integer("diagonal", 0)
    if len(dims) == 1:
        return replace(value, shape=of(*(dims[0] + abs(offset),) * 2))
    if len(dims) != 2:
        raise ranks_differ(of(*dims), "1 or 2")
    return replace(value, shape=of(_diagonal_size(dims[0], dims[1], offset)))


def _triangle(given: Given) -> Result:
    value = given.tensor()
    if value.shape is not None and value.shape.rest is None and len(value.shape.front) < 2:
        raise ranks_differ(value.shape, "at least 2")
    return value


def _turned_round(given: Given) -> Result:
    """`flip`: its axes have to be there."""
    value = given.tensor()
    axes = given.axes("dims")
    if value.shape is not None and value.shape.rest is None and axes is not None:
        places(value.shape, axes)
    return value


def _rolled(given: Given) -> Result:
    value = given.tensor()
    axes = given.axes("dims")
    if value.shape is not None and axes is not None:
        for axis in axes:
            value.shape.at(axis)
    shifts = given.raw("shifts")
    if not isinstance(shifts, int | Size | tuple):
        return value
    count = len(shifts) if isinstance(shifts, tuple) else 1
    if (axes is not None and len(axes) != count) or (axes is None and count > 1):
        raise Mismatch(Problem.RANK, f"{count} shifts for {len(axes) if axes is not None else 0} axes")
    return value


# --- the tables ---

_TWO = ("input", "other")
_SWAPS: Mapping[str, Transfer] = {
    "transpose swapdims": Transfer(("input", "dim0", "dim1"), _swapping("dim0", "dim1")),
    "swapaxes": Transfer(("input", "axis0", "axis1"), _swapping("axis0", "axis1")),
}

METHODS_AND_FUNCTIONS: Mapping[str, Transfer] = {
    **_SWAPS,
    "flatten": Transfer(("input", "start_dim", "end_dim"), _flattened),
    "unflatten": Transfer(("input", "dim", "sizes"), _unflattened),
    "ravel": Transfer(("input",), _ravelled),
    "movedim moveaxis": Transfer(("input", "source", "destination"), _moved),
    "t": Transfer(("input",), _of_matrix),
    "adjoint": Transfer(("input",), _last_two_swapped),
    "rot90": Transfer(("input", "k", "dims"), _rotated),
    "squeeze": Transfer(("input", "dim"), _squeezed),
    "unsqueeze": Transfer(("input", "dim"), _unsqueezed),
    "repeat_interleave": Transfer(("input", "repeats", "dim"), _each_repeated),
    "diagonal": Transfer(("input", "offset", "dim1", "dim2"), _diagonal),
    "diag": Transfer(("input", "diagonal"), _diag),
    "tril triu": Transfer(("input", "diagonal"), _triangle),
    "roll": Transfer(("input", "shifts", "dims"), _rolled),
}

SEVERAL: Mapping[str, tuple[str, Compute]] = {
    "reshape": ("shape", reshape),
    "permute": ("dims", _permuted),
    "broadcast_to": ("size", _expanding("size")),
    "tile": ("dims", _tiled),
    "flip": ("dims", _turned_round),
}
"""Functions of a tensor and several numbers, which a method also takes one by one: `permute(x, (1, 0))`, `x.permute(1, 0)`."""

FUNCTIONS: Mapping[str, Transfer] = {"broadcast_tensors": Transfer(("*tensors",), _broadcast_together)}

METHODS: Mapping[str, Transfer] = {
    "view": Transfer(("input", "*size"), reshape),
    "view_as reshape_as": Transfer(_TWO, _as_other),
    "expand": Transfer(("input", "*size"), _expanding("size")),
    "expand_as": Transfer(_TWO, _as_wide),
    "repeat": Transfer(("input", "*repeats"), _repeated),
    "unfold": Transfer(("input", "dimension", "size", "step"), _windows),
    "T": Transfer(("input",), _reversed),
    "mT mH": Transfer(("input",), _last_two_swapped),
    "H": Transfer(("input",), _conjugate),
    "data": Transfer(("input",), lambda given: given.tensor()),
    "t_": Transfer(("input",), _of_matrix),
    "squeeze_": Transfer(("input", "dim"), _squeezed),
    "unsqueeze_": Transfer(("input", "dim"), _unsqueezed),
    "transpose_ swapdims_": _SWAPS["transpose swapdims"],
    "swapaxes_": _SWAPS["swapaxes"],
    "tril_ triu_": Transfer(("input", "diagonal"), _triangle),
}
