"""Calls of torch's functions that join and split tensors, and of those that select from them."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from shapes.drawing import DTYPES, FLOATS, SIZES, axes, broadcast_pair, shapes, tensors
from shapes.oracle import Case, Drawn, T


def _both(names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split() for package in ("torch", "torch.Tensor"))


def _functions(names: str) -> tuple[str, ...]:
    return tuple(f"torch.{name}" for name in names.split())


# --- joining and splitting ---


@st.composite
def _cat(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(0, 4))
    axis = draw(axes(len(sizes)))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        here = list(sizes)
        if sizes and -len(sizes) <= axis < len(sizes):
            here[axis] = draw(SIZES)
        if draw(st.integers(0, 8)) == 0:
            here = list(draw(shapes(0, 3)))
        parts.append(T(tuple(here), draw(DTYPES)))
    values: object = tuple(parts) if draw(st.booleans()) else parts
    options = [Drawn((values,)), Drawn((values, axis)), Drawn((values,), {"dim": axis}), Drawn((values,), {"axis": axis})]
    return draw(st.sampled_from(options))


@st.composite
def _stack(draw: st.DrawFn, *, with_axis: bool = True) -> Drawn:
    sizes = draw(shapes(0, 3))
    others = draw(shapes(0, 3))
    parts = [
        T(sizes if draw(st.integers(0, 8)) else others, draw(DTYPES if draw(st.integers(0, 3)) == 0 else st.just("float32")))
        for _ in range(draw(st.integers(1, 3)))
    ]
    if not with_axis:
        return Drawn((parts,))
    axis = draw(st.integers(-len(sizes) - 2, len(sizes) + 1))
    return draw(st.sampled_from([Drawn((parts,)), Drawn((parts, axis)), Drawn((parts,), {"dim": axis})]))


@st.composite
def _pile(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(0, 3))
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        here = list(sizes)
        if draw(st.booleans()) and here:
            here[draw(st.integers(0, len(here) - 1))] = draw(SIZES)
        parts.append(T(tuple(here), draw(DTYPES)))
    return Drawn((parts,))


@st.composite
def _at_least(draw: st.DrawFn) -> Drawn:
    values = tuple(draw(tensors(0, 4)) for _ in range(draw(st.integers(1, 3))))
    return Drawn(values) if draw(st.booleans()) else Drawn((values,))


@st.composite
def _split(draw: st.DrawFn, *, lists_only: bool = False, keyword: str = "split_size") -> Drawn:
    value = draw(tensors(0, 4))
    rank = len(value.sizes)
    axis = draw(axes(rank))
    total = value.sizes[axis] if -rank <= axis < rank else 4
    size: object = draw(st.sampled_from([1, 2, 3, total]))
    if lists_only or draw(st.booleans()):
        first = draw(st.integers(0, total))
        size = [first, total - first] if draw(st.integers(0, 3)) else [first, draw(SIZES)]
    default = Drawn((value, size)) if axis == 0 or isinstance(size, int) else Drawn((value, size, axis))
    return draw(st.sampled_from([default, Drawn((value, size, axis)), Drawn((value, size), {"dim": axis})]))


@st.composite
def _chunk(draw: st.DrawFn, *, indices: bool = False) -> Drawn:
    value = draw(tensors(0, 4))
    axis = draw(axes(len(value.sizes)))
    count: object = draw(st.integers(0 if draw(st.integers(0, 5)) == 0 else 1, 5))
    if indices and draw(st.booleans()):
        count = tuple(draw(st.lists(st.integers(-2, 5), max_size=3)))
    return draw(st.sampled_from([Drawn((value, count)), Drawn((value, count, axis)), Drawn((value, count), {"dim": axis})]))


@st.composite
def _unbind(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    axis = draw(axes(len(value.sizes)))
    return draw(st.sampled_from([Drawn((value,)), Drawn((value, axis)), Drawn((value,), {"dim": axis})]))


@st.composite
def _grid(draw: st.DrawFn) -> Drawn:
    dtype = draw(DTYPES)
    values = tuple(
        T(draw(shapes(0, 1)) if draw(st.integers(0, 8)) else draw(shapes(2, 2)), dtype if draw(st.integers(0, 8)) else "float64")
        for _ in range(draw(st.integers(1, 3)))
    )
    keywords = {"indexing": draw(st.sampled_from(["ij", "xy"]))}
    return Drawn(values, keywords) if draw(st.booleans()) else Drawn((values,), keywords)


@st.composite
def _product(draw: st.DrawFn) -> Drawn:
    return Drawn(tuple(T(draw(shapes(1, 1)), "float32") for _ in range(draw(st.integers(1, 3)))))


@st.composite
def _blocks(draw: st.DrawFn) -> Drawn:
    return Drawn(tuple(draw(tensors(0, 2, DTYPES)) for _ in range(draw(st.integers(1, 3)))))


# --- selecting ---

_INDEX_TYPES = st.sampled_from(["int64", "int64", "int64", "int64", "float32"])


@st.composite
def _narrow(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3))
    args = draw(axes(len(value.sizes))), draw(st.integers(-3, 3)), draw(st.integers(0, 3))
    return draw(st.sampled_from([Drawn((value, *args)), Drawn((value, args[0]), {"start": args[1], "length": args[2]})]))


@st.composite
def _select(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3))
    return Drawn((value, draw(axes(len(value.sizes))), draw(st.integers(-3, 3))))


@st.composite
def _index_select(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 3))
    return Drawn((value, draw(axes(len(value.sizes))), T(draw(shapes(1, 1) | shapes(0, 2)), draw(_INDEX_TYPES))))


@st.composite
def _inside(draw: st.DrawFn, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Mostly sizes that are no larger."""
    if draw(st.integers(0, 6)) == 0:
        return draw(shapes(0, 3))
    return tuple(draw(st.integers(1, size)) if draw(st.integers(0, 8)) else draw(SIZES) for size in sizes)


@st.composite
def _gather(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3))
    axis = draw(axes(len(value.sizes)))
    index = T(draw(_inside(value.sizes)), draw(_INDEX_TYPES))
    return draw(st.sampled_from([Drawn((value, axis, index)), Drawn((value,), {"dim": axis, "index": index})]))


@st.composite
def _scatter(draw: st.DrawFn, *, values: bool) -> Drawn:
    value = draw(tensors(0, 3, FLOATS))
    axis = draw(axes(len(value.sizes)))
    index = T(draw(_inside(value.sizes)), draw(_INDEX_TYPES))
    if values and draw(st.booleans()):
        return Drawn((value, axis, index, 1.0)) if draw(st.booleans()) else Drawn((value, axis, index), {"value": 1.0})
    source_sizes = (
        tuple(size + draw(st.integers(0, 1)) for size in index.sizes) if draw(st.integers(0, 4)) else draw(shapes(0, 3))
    )
    source = T(source_sizes, value.dtype if draw(st.integers(0, 4)) else draw(FLOATS))
    return Drawn((value, axis, index, source)) if draw(st.booleans()) else Drawn((value, axis, index), {"src": source})


@st.composite
def _index_add(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(1, 3))
    axis = draw(st.integers(-len(sizes), len(sizes) - 1))
    count = draw(SIZES)
    source = list(sizes)
    source[axis] = count
    return Drawn((T(sizes, "float32"), axis, T((count,), "int64"), T(tuple(source), "float32")))


@st.composite
def _index_fill(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 3, FLOATS))
    return Drawn((value, draw(axes(len(value.sizes))), T(draw(shapes(1, 1)), "int64"), 1.0))


@st.composite
def _take_along(draw: st.DrawFn) -> Drawn:
    one, two = draw(broadcast_pair())
    dtype = draw(st.sampled_from(["int64", "int64", "int64", "float32"]))
    if draw(st.integers(0, 3)) == 0:
        return Drawn((T(one, "float32"), T(two, dtype)))
    if draw(st.booleans()):
        two = tuple(draw(st.sampled_from([size, 1])) for size in one)
    return Drawn((T(one, "float32"), T(two, dtype), draw(axes(len(one)))))


_MASKS = st.sampled_from(["bool", "bool", "bool", "float32"])
_TAKEN = st.builds(lambda value, sizes, kind: Drawn((value, T(sizes, kind))), tensors(0, 3), shapes(0, 3), _INDEX_TYPES)
_MASKED = st.builds(lambda pair, kind: Drawn((T(pair[0], "float32"), T(pair[1], kind))), broadcast_pair(), _MASKS)


# --- indexing ---


@st.composite
def _slice(draw: st.DrawFn) -> slice:
    bound = st.none() | st.none() | st.integers(-4, 5)
    return slice(draw(bound), draw(bound), draw(st.sampled_from([None, None, None, 1, 2, 3, 0, -1])))


@st.composite
def _plain_index(draw: st.DrawFn, rank: int) -> list[object]:
    """Numbers, slices and new axes."""
    item = st.integers(-2, 2) | _slice() | st.none() | _slice()
    items: list[object] = list(draw(st.lists(item, max_size=rank + (draw(st.integers(0, 3)) == 0))))
    if draw(st.integers(0, 2)) == 0:
        items.insert(draw(st.integers(0, len(items))), ...)
    return items


@st.composite
def _indexed(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    items = draw(_plain_index(len(value.sizes)))
    return Drawn((value, tuple(items)))


def stored(value: torch.Tensor, index: Any, part: torch.Tensor) -> torch.Tensor:
    value[index] = part
    return value


@st.composite
def _stored(draw: st.DrawFn) -> Drawn:
    """Parts of the size that the index selects, and others; axes of size 1 in front."""
    value = draw(tensors(0, 3))
    items: Any = tuple(draw(_plain_index(len(value.sizes))))
    try:
        place = tuple(torch.empty(value.sizes)[items].shape)
    except (IndexError, ValueError, TypeError):
        place = ()
    sizes = draw(st.sampled_from([place, place, place[1:], tuple(1 for _ in place), (1, *place), draw(shapes(0, 3))]))
    return Drawn((value, items, T(sizes, value.dtype)))


@st.composite
def _indexed_by_tensors(draw: st.DrawFn) -> Drawn:
    """Tensors and lists of places, masks: in any positions."""
    sizes = tuple(draw(st.sampled_from([2, 3, 3, 4])) for _ in range(draw(st.integers(1, 4))))
    items: list[object] = []
    place = 0
    shape = draw(shapes(0, 2))
    while place < len(sizes) and draw(st.integers(0, 5)):
        kind = draw(st.sampled_from(["tensor", "tensor", "slice", "all", "number", "list", "mask", "new", "scalar", "flag"]))
        if kind == "tensor":
            other = draw(st.sampled_from([shape, shape, (1,), shape[-1:], draw(shapes(1, 2))]))
            items.append(T(other, draw(st.sampled_from(["int64", "int64", "int64", "int32", "float32"]))) if other else 1)
        elif kind == "mask":
            rank = draw(st.integers(1, 2))
            mask = sizes[place : place + rank] if draw(st.integers(0, 5)) else draw(shapes(rank, rank))
            items.append(T(mask, "bool"))
            place += rank - 1
        elif kind == "list":
            items.append(draw(st.sampled_from([[0, 1], [1], [0, 1, 1]])))
        elif kind == "flag":
            items.append([draw(st.booleans()) for _ in range(sizes[place])])
        else:
            items.append({"slice": slice(0, 2), "all": slice(None), "number": 1, "new": None, "scalar": T((), "int64")}[kind])
        place += kind != "new"
    if draw(st.integers(0, 3)) == 0:
        items.insert(draw(st.integers(0, len(items))), ...)
    masked = any(isinstance(item, T) and item.dtype == "bool" for item in items)
    if masked:  # how many places a mask selects depends on numbers, and so does whether others fit these
        first = next(place for place, item in enumerate(items) if isinstance(item, T) and item.dtype == "bool")
        items = [item for place, item in enumerate(items) if place == first or not isinstance(item, T | list)]
    return Drawn((T(sizes, draw(DTYPES)), tuple(items)), open=masked)


CASES = [
    Case(_functions("cat concat concatenate"), _cat()),
    Case(_functions("stack"), _stack()),
    Case(_functions("hstack vstack row_stack dstack column_stack"), _pile()),
    Case(_functions("atleast_1d atleast_2d atleast_3d"), _at_least()),
    Case(_both("split"), _split()),
    Case(_both("split_with_sizes"), _split(lists_only=True)),
    Case(_both("chunk"), _chunk()),
    Case(_both("tensor_split"), _chunk(indices=True)),
    Case(_both("unbind"), _unbind()),
    Case(_functions("meshgrid"), _grid(), real="values"),
    Case(_functions("cartesian_prod"), _product()),
    Case(_functions("block_diag"), _blocks()),
    Case(_both("narrow"), _narrow()),
    Case(_both("select"), _select()),
    Case(_both("index_select"), _index_select(), real="zeros"),
    Case(_both("gather"), _gather(), real="zeros"),
    Case((*_both("scatter"), "torch.Tensor.scatter_"), _scatter(values=True), real="zeros"),
    Case((*_both("scatter_add"), "torch.Tensor.scatter_add_"), _scatter(values=False), real="zeros"),
    Case((*_both("index_add index_copy"), "torch.Tensor.index_add_", "torch.Tensor.index_copy_"), _index_add(), real="zeros"),
    Case((*_both("index_fill"), "torch.Tensor.index_fill_"), _index_fill(), real="zeros"),
    Case(_both("take_along_dim"), _take_along(), real="zeros"),
    Case(
        _both("take"),
        st.builds(lambda one, two, kind: Drawn((one, T(two, kind))), tensors(0, 3), shapes(0, 3), _INDEX_TYPES),
        real="zeros",
    ),
    Case(_both("masked_select"), _MASKED, real="values", open=True),
    Case(("torch.Tensor.__getitem__",), _indexed() | _indexed_by_tensors(), real="values"),
    Case(("torch.Tensor.__setitem__",), _stored(), real="zeros", called="shapes.cases_tensors_parts.stored"),
]
