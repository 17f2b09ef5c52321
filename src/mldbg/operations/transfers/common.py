"""What the transfer functions of layers, losses and products share: arguments that may be unknown, checks, ends of shapes.

Here an argument of which nothing is known gives no `Unsure` but an open value, `ANY` or a shape of any axes, so that what does
not depend on it is still computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import UNKNOWN, Given, Mismatch, Rest, Shape, Tensor, Transfer, Unsure, broadcast, counted
from mldbg.operations.sizes import ANY, Dim, said, same, same_axis

ANY_SHAPE = Shape((), Rest())
"""The shape of which nothing is known."""

FUNCTIONAL = "torch.nn.functional"


# --- arguments ---


def tensor(given: Given, name: str = "input") -> Tensor:
    """A tensor; one that says nothing where the argument is not known."""
    return given.tensor(name) if given.raw(name) not in (UNKNOWN, None) else Tensor()


def shape(given: Given, name: str = "input") -> Shape:
    """The shape of a tensor, open where it is not known."""
    return tensor(given, name).shape or ANY_SHAPE


def size(given: Given, name: str, usual: Dim | None = None) -> Dim:
    """A size; ANY where it is not known."""
    try:
        return given.size(name, usual)
    except Unsure:
        return ANY


def each_size(given: Given, name: str, count: int, usual: Dim | tuple[Dim, ...] | None = None) -> tuple[Dim, ...]:
    """One size for each of several axes; ANY where they are not known."""
    try:
        return given.repeated(name, count, usual)
    except Unsure:
        return (ANY,) * count


def flag(given: Given, name: str, *, usual: bool = False) -> bool | None:
    """A flag; None where it is not known."""
    value = given.values.get(name, usual)
    return value if isinstance(value, bool) else None


def made(result: Shape, dtype: str | None = None) -> Tensor:
    """The tensor of a shape, which is None where nothing is known of it."""
    return Tensor(None if result == ANY_SHAPE else result, dtype)


# --- shapes ---


def ending(start: Shape, dropped: int, *sizes: Dim) -> Shape:
    """A shape with other axes in the place of its last ones, whose number has been checked."""
    if start.rest is None:
        return Shape((*start.front[: max(len(start.front) - dropped, 0)], *sizes))
    beyond = dropped - len(start.back)
    if beyond <= 0:
        return Shape(start.front, start.rest, (*start.back[: len(start.back) - dropped], *sizes))
    return Shape(start.front[: max(len(start.front) - beyond, 0)], Rest(), sizes)


def last(start: Shape, count: int) -> tuple[Dim, ...]:
    """The last sizes of a shape, whose number of axes has been checked."""
    return tuple(start.at(axis - count) for axis in range(count))


def shown(dims: Iterable[Dim]) -> str:
    """Sizes as people write them."""
    return str(Shape(tuple(dims)))


# --- checks ---


def check_rank(start: Shape, least: int, most: int | None, what: str) -> None:
    """Raises Mismatch where a shape cannot have a number of axes that is allowed."""
    fewest = start.least_rank
    if (most is None or fewest <= most) and (start.rest is not None or fewest >= least):
        return
    wanted = str(least) if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    if most == least + 1:
        wanted = f"{least} or {most}"
    there = counted(fewest, "axis", "axes") if start.rest is None else f"at least {counted(fewest, 'axis', 'axes')}"
    raise Mismatch(
        Problem.RANK, f"{what} takes a tensor with {wanted} {'axis' if wanted == '1' else 'axes'}, and {start} has {there}"
    )


def check_feature(start: Shape, axis: int, wanted: Dim, parameter: str | None = None) -> None:
    """Raises Mismatch where an axis has not the size that a layer was built for, which a parameter of its constructor says."""
    got = start.at(axis)
    if same_axis(got, wanted) is False:
        where = "the last axis" if axis == -1 else f"axis {axis}"
        reason = f"{where} has size {said(got)}, and the layer was built for {said(wanted)}"
        raise Mismatch(Problem.FEATURES, reason, got, wanted, parameter=parameter)


def check_equal(one: Dim, two: Dim, what: str) -> None:
    """Raises Mismatch where two sizes that have to be equal differ."""
    if same_axis(one, two) is False:
        raise Mismatch(Problem.SIZES, f"{what}: {said(one)} and {said(two)}", one, two)


def check_same_shape(one: Shape, two: Shape, what: str) -> None:
    """Raises Mismatch where two shapes that have to be equal differ."""
    if one.rest is None and two.rest is None and len(one.front) != len(two.front):
        raise Mismatch(Problem.RANK, f"{what}: {one} and {two}")
    if one.rest is None and two.rest is None:
        for first, second in zip(one.front, two.front, strict=True):
            check_equal(first, second, f"{what}, {one} and {two}, and sizes of one axis differ")


def check_fits(start: Shape, wanted: Shape, what: str) -> None:
    """Raises Mismatch where a shape cannot be broadcast to another one."""
    if start.rest is None and wanted.rest is None and len(start.front) > len(wanted.front):
        raise Mismatch(Problem.RANK, f"{what} has shape {start}, which does not go with {wanted}")
    both = broadcast(start, wanted)
    if both.rest is None and wanted.rest is None:
        for got, size_there in zip(both.front, wanted.front, strict=True):
            check_equal(got, size_there, f"{what} has shape {start}, which does not go with {wanted}")


def check_fits_exactly(start: Shape, wanted: Shape, what: str) -> None:
    """Raises Mismatch where a parameter has not the shape that it must have."""
    if start.rest is not None or wanted.rest is not None:
        return
    if len(start.front) != len(wanted.front) or any(
        same(one, two) is False for one, two in zip(start.front, wanted.front, strict=True)
    ):
        raise Mismatch(Problem.FEATURES, f"{what} has shape {start}, and must have {wanted}")


def check_floats(value: Tensor, what: str) -> None:
    """Raises Mismatch for integers where only floating-point numbers work."""
    if dtypes.kind(value.dtype) in ("int", "bool"):
        raise Mismatch(Problem.DTYPE, f"{what} takes floating-point numbers, and gets {value.dtype}")


def common_dtype(*values: Tensor, what: str) -> str | None:
    """The type of tensors that must have one type. Raises Mismatch where they cannot have.

    Floats of up to 32 bits may differ: autocast brings them together.
    """
    known = [value.dtype for value in values if value.dtype is not None]
    if not known:
        return None
    result = known[0]
    for dtype in known[1:]:
        if dtypes.agree(result, dtype) is False and (
            dtypes.kind(result) != "float" or dtypes.kind(dtype) != "float" or "float64" in (result, dtype)
        ):
            raise Mismatch(Problem.DTYPE, f"{what} takes tensors of one type, and gets {result} and {dtype}")
        if result != dtype:
            result = dtypes.KINDS[dtype]
    return result


# --- rows ---


def under(packages: Sequence[str], rows: Mapping[str, Transfer]) -> dict[str, Transfer]:
    """Rows by qualified name, from rows under names with spaces between them."""
    return {f"{package}.{name}": transfer for names, transfer in rows.items() for package in packages for name in names.split()}


def of_layers(rows: Mapping[str, Transfer]) -> dict[str, Transfer]:
    """The same for classes of `torch.nn`: what is known is what a call of one gives."""
    return {f"{name}.__call__": transfer for name, transfer in under(("torch.nn",), rows).items()}
