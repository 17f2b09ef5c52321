"""What functions of numpy share: the arrays that arguments are, their types, axes, and what is broadcast to what.

An array is what numpy makes one of: an array, a tensor, a number, or a nested list of such. Other than torch, numpy has no axis 0
of an array without axes, except where it reduces one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce

from mldbg.operations.problem import Problem
from mldbg.operations.shape import UNKNOWN, Argument, Each, Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure, counted, of
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, same
from mldbg.operations.transfers import array_types
from mldbg.operations.transfers.array_types import Type, Weak
from mldbg.operations.transfers.einops import alike, known

Compute = Callable[[Given], Result]
TypeRule = Callable[[str | None], str | None]
"""How the type of a result follows from the type in which it is computed."""


def kept(dtype: str | None) -> str | None:
    return dtype


def always(dtype: str) -> TypeRule:
    return lambda _: dtype


# --- arguments ---


def is_number(value: Argument) -> bool:
    return isinstance(value, bool | int | float | Size | AnySize)


def _kind_of_number(value: Argument) -> str:
    return "bool" if isinstance(value, bool) else "float" if isinstance(value, float) else "int"


def array_of(value: Argument) -> Tensor:
    """The array that numpy makes of an argument. Raises Unsure where that is not known."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, Each):
        return Tensor(known(value.tensor).with_new(0, ANY), value.tensor.dtype)
    if is_number(value):
        return Tensor(Shape(), array_types.OF_NUMBERS[_kind_of_number(value)])
    if not isinstance(value, tuple):
        raise Unsure
    if not value:
        return Tensor(of(0), "float64")
    parts = [array_of(each) if each is not UNKNOWN else Tensor() for each in value]
    return Tensor(reduce(alike, map(known, parts)).with_new(0, len(parts)), array_types.promoted(part.dtype for part in parts))


def array_in(given: Given, name: str = "a") -> tuple[Shape, str | None]:
    """The shape and the type of an array; the shape has any axes where it is not known."""
    value = array_of(given.raw(name))
    return known(value), value.dtype


def element_type(value: Argument) -> Type:
    return Weak(_kind_of_number(value)) if is_number(value) else array_of(value).dtype


def named_type(given: Given, usual: str | None) -> str | None:
    """The type that a call names; None where it names one that is not known."""
    value = given.raw("dtype")
    if value is None:
        return usual
    return array_types.named(value) if isinstance(value, str) else None


def sizes_in(given: Given, name: str) -> tuple[Dim, ...]:
    """The sizes of a new array."""
    sizes = given.sizes(name)
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise Mismatch(Problem.SIZES, "a size is negative")
    return sizes


def several_in(given: Given, name: str) -> tuple[Tensor, ...] | Each:
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


def place_of(shape: Shape, axis: int, *, more: int = 0) -> int:
    """An axis, counted from the front where the number of axes is known; `more`: axes that come beside those of the shape."""
    if shape.rest is not None:
        return axis
    rank = len(shape.front) + more
    if not -rank <= axis < rank:
        raise Mismatch(Problem.RANK, f"axis {axis} of an array with {counted(rank, 'axis', 'axes')}")
    return axis % rank


def places_of(shape: Shape, axes: Sequence[int]) -> tuple[int, ...]:
    found = tuple(place_of(shape, axis) for axis in axes)
    if len(set(found)) < len(found):
        raise Mismatch(Problem.RANK, "an axis comes twice")
    return found


def at_least(shape: Shape, rank: int, what: str) -> None:
    if shape.rest is None and len(shape.front) < rank:
        raise Mismatch(
            Problem.RANK, f"{what} takes an array with at least {counted(rank, 'axis', 'axes')}, and {shape} has fewer"
        )


def at_most(shape: Shape, rank: int, what: str) -> None:
    if shape.least_rank > rank:
        raise Mismatch(Problem.RANK, f"{what} takes at most {counted(rank, 'axis', 'axes')}, and {shape} has more")


def with_rank(shape: Shape, rank: int) -> Shape:
    """The shape as one with this number of axes. Raises Mismatch where it has another number."""
    missing = rank - shape.least_rank
    if missing < 0 or (missing and shape.rest is None):
        raise Mismatch(Problem.RANK, f"{shape} has another number of axes than {rank}")
    return of(*shape.front, *(ANY,) * missing, *shape.back)


def without_axes(shape: Shape, axes: Sequence[int]) -> Shape:
    """The shape without some axes: those counted from the front and those counted from the end each from the inside."""
    for axis in sorted(axes, key=lambda axis: (axis < 0, -axis if axis >= 0 else axis)):
        shape = shape.without(axis)
    return shape


def reduced_along(shape: Shape, axes: Sequence[int] | None, *, keeps: bool) -> Shape:
    if axes is None:
        return Shape() if not keeps else of(*(1,) * len(shape.dims))
    axes = places_of(shape, axes)
    if not keeps:
        return without_axes(shape, axes)
    for axis in axes:
        shape = shape.with_axis(axis, 1)
    return shape


def check_broadcast_to(shape: Shape, target: Shape) -> None:
    """Raises Mismatch where an array cannot be broadcast to a shape whose number of axes is known."""
    lead = len(target.front) - shape.least_rank
    if lead < 0:
        raise Mismatch(Problem.RANK, f"{shape} has more axes than {target}")
    tail = shape.front if shape.rest is None else shape.back
    for have, want in zip(tail, target.front[len(target.front) - len(tail) :], strict=True):
        if have != 1 and same(have, want) is False:
            raise Mismatch(Problem.SIZES, f"{shape} cannot be broadcast to {target}", have, want)


# --- rows ---


def in_numpy(rows: Mapping[str, Transfer]) -> dict[str, Transfer]:
    """Rows by qualified name, from rows under names in `numpy` with spaces between them."""
    return {f"numpy.{name}": transfer for names, transfer in rows.items() for name in names.split()}
