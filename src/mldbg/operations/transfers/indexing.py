"""`tensor[...]`: numbers, slices, new axes, masks and tensors of places."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import EllipsisType

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    Argument,
    Given,
    Mismatch,
    Perhaps,
    Rest,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    counted,
    of,
)
from mldbg.operations.sizes import ANY, CUT, AnySize, Dim, Size, at_most, atom, is_name, quotient, said, same
from mldbg.operations.transfers.moving import ANY_SHAPE, shape_or_any
from mldbg.operations.transfers.selecting import check_index


@dataclass(frozen=True)
class Places:
    """A tensor of places along some axes; `shape`: what it puts in the place of them."""

    shape: Shape
    mask: Shape | None = None

    @property
    def axes(self) -> int:
        return len(self.mask.front) if self.mask is not None else 1


Item = int | Size | AnySize | slice | EllipsisType | Places | None
"""What stands in the brackets, one of them."""


def _indexed(given: Given) -> Result:
    value, index = given.tensor(), given.raw("index")
    items = [_item(each) for each in (index if isinstance(index, tuple) else (index,))]
    shape = select(shape_or_any(value), items)
    return replace(value, shape=None if shape == ANY_SHAPE else shape)


def _item(value: Argument) -> Item:
    if isinstance(value, bool):
        return Places(of(int(value)), Shape())
    if value is None or isinstance(value, int | Size | AnySize | slice | EllipsisType):
        return value
    if isinstance(value, Tensor):
        return _tensor_item(value)
    if isinstance(value, tuple):
        return _sequence_item(value)
    raise Unsure  # also where a number is not known: it may as well be a tensor


def _tensor_item(value: Tensor) -> Item:
    kind = dtypes.kind(value.dtype)
    if kind in ("float", "complex"):
        raise Mismatch(Problem.DTYPE, f"a tensor of type {value.dtype} as an index")
    shape = shape_or_any(value)
    if kind is None or value.dtype == "uint8" or (kind == "bool" and shape.rank is None):
        raise Unsure
    if kind == "bool":
        return Places(of(ANY), shape)
    return Places(shape) if shape != Shape() else ANY


def _sequence_item(value: tuple[object, ...]) -> Places:
    if value and all(isinstance(each, bool) for each in value):
        return Places(of(sum(map(bool, value))), of(len(value)))
    if any(isinstance(each, bool) or not isinstance(each, int | Size) for each in value):
        raise Unsure
    return Places(of(len(value)))


# --- axes ---


def select(shape: Shape, items: Sequence[Item]) -> Shape:
    """The shape of what is selected."""
    if sum(item is ... for item in items) > 1:
        raise Unsure
    cut = next((place for place, item in enumerate(items) if item is ...), len(items))
    before, after = items[:cut], items[cut + 1 :]
    if shape.rest is None:
        taken = _axes_of(items)
        if taken > len(shape.front):
            reason = f"{counted(taken, 'index', 'indices')} for {shape}, which has {counted(len(shape.front), 'axis', 'axes')}"
            raise Mismatch(Problem.RANK, reason)
        between: Sequence[Item] = [slice(None)] * (len(shape.front) - taken)
        return _arranged(list(_pieces(shape.front, [*before, *between, *after])))
    return _select_open(shape, before, after)


def _axes_of(items: Sequence[Item]) -> int:
    return sum(item.axes if isinstance(item, Places) else item is not None and item is not ... for item in items)


def _select_open(shape: Shape, before: Sequence[Item], after: Sequence[Item]) -> Shape:
    """Where the number of axes is not known: both ends by themselves."""
    tensors = [[item for item in items if isinstance(item, Places)] for items in (before, after)]
    if all(tensors) or any(item.shape.rest is not None for items in tensors for item in items):
        raise Unsure
    first, last = _axes_of(before), _axes_of(after)
    ends_apart = first <= len(shape.front) and last <= len(shape.back)
    front = (*shape.front[:first], *(ANY,) * (first - len(shape.front)))
    kept = max(len(shape.back) - last, 0)
    back = (*(ANY,) * (last - len(shape.back)), *shape.back[kept:])
    left, right = _arranged(list(_pieces(front, before))), _arranged(list(_pieces(back, after)))
    if ends_apart:
        return Shape((*left.front, *shape.front[first:]), shape.rest, (*shape.back[:kept], *right.front))
    middle_front = shape.front[first:] if last <= len(shape.back) else ()
    middle_back = shape.back[:kept] if first <= len(shape.front) else ()
    return Shape((*left.front, *middle_front), Rest(), (*middle_back, *right.front))


@dataclass(frozen=True)
class _Replaced:
    """Axes for which a tensor of places stands."""

    shape: Shape


def _pieces(dims: Sequence[Dim], items: Sequence[Item]) -> Iterator[Dim | _Replaced]:
    """What becomes of each axis; those that a number picks from are gone."""
    place = 0
    for item in items:
        if item is None:
            yield 1
        elif isinstance(item, Places):
            _check_mask(dims[place : place + item.axes], item, place)
            yield _Replaced(item.shape)
            place += item.axes
        elif isinstance(item, slice):
            yield sliced(dims[place], item)
            place += 1
        elif isinstance(item, int | Size | AnySize):
            check_index(dims[place], item)
            place += 1


def _check_mask(dims: Sequence[Dim], item: Places, place: int) -> None:
    for offset, (size, wanted) in enumerate(zip(item.mask.front if item.mask is not None else (), dims, strict=False)):
        if same(size, wanted) is False:
            reason = f"a mask of size {said(size)} for axis {place + offset}, which has size {said(wanted)}"
            raise Mismatch(Problem.SIZES, reason, size, wanted)


def _arranged(pieces: Sequence[Dim | _Replaced]) -> Shape:
    """The axes together: those of all tensors of places as one, in front where there are others between them."""
    where = [number for number, piece in enumerate(pieces) if isinstance(piece, _Replaced)]
    dims = [piece for piece in pieces if not isinstance(piece, _Replaced)]
    if not where:
        return of(*dims)
    shapes = [piece.shape for piece in pieces if isinstance(piece, _Replaced)]
    if len(shapes) > 1 and any(shape.rest is not None for shape in shapes):
        raise Unsure  # one without axes is like a number, and is not between others
    picked = broadcast(*shapes)
    start = where[0] if where[-1] - where[0] == len(where) - 1 else 0
    if picked.rest is None:
        return of(*dims[:start], *picked.front, *dims[start:])
    return Shape((*dims[:start], *picked.front), picked.rest, (*picked.back, *dims[start:]))


# --- slices ---


def sliced(size: Dim, part: slice) -> Dim:
    """The size of a slice of an axis; ANY where that is not certain."""
    start, stop, step = (_bound(each) for each in (part.start, part.stop, part.step))
    if isinstance(step, int) and step < 1:
        raise Mismatch(Problem.SIZES, f"a slice with step {step}")
    if isinstance(size, int) and all(each is None or isinstance(each, int) for each in (start, stop, step)):
        left = len(range(*slice(start, stop, step).indices(size)))
        return size if left == size else left
    if isinstance(stop, Size) and start in (None, 0) and step in (None, 1) and not isinstance(size, Size):
        return stop  # who cuts a buffer to a length takes the buffer to be long enough
    if isinstance(start, Size) and isinstance(stop, Size) and step in (None, 1) and at_most(1, stop - start):
        return stop - start  # and who cuts windows out of a series, `x[i : i + n]`, takes them from inside
    first = _from_front(start, size) if start is not None else 0
    last = _from_front(stop, size) if stop is not None else size
    if first is None or last is None:
        return _cut(size, start, stop, step)
    if isinstance(start, int) and start < 0 and stop is None and step in (None, 1):
        return -start  # also where the size is not known
    if not at_most(first, last) and not (stop is None and _fits(first, size)):
        return 0 if at_most(last, first) else _cut(size, start, stop, step)
    step = 1 if step is None else step
    length = last - first if first != 0 else last
    return length if step == 1 else quotient(length + step - 1, step)


def _cut(size: Dim, *bounds: Dim | None) -> Dim:
    """What the same bounds leave of the same size, whatever number that is: `x[:240]` and `y[:240]` have as many rows.

    A bound with a name says more than that: `mask[:time]` is cut to fit something of that size.
    """
    if not isinstance(size, Size) or any(isinstance(bound, AnySize | Size) for bound in bounds):
        return ANY
    start, stop = ("" if bound is None else said(bound) for bound in bounds[:2])
    return atom(f"{said(size)}[{start}:{stop}]", (CUT, size, *bounds), positive=False)


def _bound(value: object) -> Dim | None:
    if value is None or isinstance(value, int | Size):
        return value
    return value.size if isinstance(value, Perhaps) else ANY


def _from_front(bound: Dim, size: Dim) -> Dim | None:
    """A bound that is counted from the front; None where it is not certain that it lies on the axis."""
    if isinstance(bound, int) and bound < 0:
        return size + bound if _fits(-bound, size) else None
    return bound if at_most(0, bound) and _fits(bound, size) else None


def _fits(bound: Dim, size: Dim) -> bool:
    """Whether an axis is certain to have so many entries; one it always has."""
    return at_most(bound, size) or bound in (0, 1)


def _stored(given: Given) -> Result:
    """`x[index] = value`: the value is broadcast to what the index selects; axes of size 1 in front of it fall away."""
    part, value = _indexed(given), given.raw("value")
    if not isinstance(part, Tensor) or not isinstance(value, Tensor) or part.shape is None or value.shape is None:
        return given.tensor()
    place, stored = part.shape, value.shape
    if place.rest is not None or stored.rest is not None:
        return given.tensor()
    surplus = max(0, len(stored.front) - len(place.front))
    if any(isinstance(size, int) and size != 1 for size in stored.front[:surplus]):
        raise Mismatch(Problem.RANK, f"{stored} is stored where {place} is")
    for there, size in zip(reversed(place.front), reversed(stored.front), strict=False):
        if (
            isinstance(size, int | Size)
            and size != 1
            and same(there, size) is False
            and not (isinstance(size, Size) and is_name(size))
        ):
            raise Mismatch(Problem.SIZES, f"{stored} is stored where {place} is", there, size)
    return given.tensor()


METHODS: Mapping[str, Transfer] = {
    "__getitem__": Transfer(("input", "index"), _indexed),
    "__setitem__": Transfer(("input", "index", "value"), _stored),
}
