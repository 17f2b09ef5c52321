"""Calls of torch's functions that give elements other places."""

from __future__ import annotations

from math import prod

from hypothesis import strategies as st

from shapes.drawing import DTYPES, SIZES, axes, broadcast_pair, tensors
from shapes.oracle import Case, Drawn, T


def _both(names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split() for package in ("torch", "torch.Tensor"))


def _methods(names: str) -> tuple[str, ...]:
    return tuple(f"torch.Tensor.{name}" for name in names.split())


@st.composite
def _new_sizes(draw: st.DrawFn, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes for as many elements, mostly, with -1 for one of them now and then."""
    left = list(sizes)
    merged: list[int] = []
    while left:
        take = draw(st.integers(1, len(left)))
        merged.append(prod(left[:take]))
        del left[:take]
    order = draw(st.permutations(merged))
    found: list[int] = []
    for size in order:
        divisor = draw(st.sampled_from([each for each in range(1, size + 1) if size % each == 0]))
        found += draw(st.sampled_from([[size], [divisor, size // divisor]]))
    if draw(st.integers(0, 4)) == 0:
        found.append(draw(SIZES))
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))):
        if found:
            found[draw(st.integers(0, len(found) - 1))] = -1
    return tuple(found)


@st.composite
def _one_by_one(draw: st.DrawFn, value: T, numbers: tuple[object, ...], keyword: str) -> Drawn:
    options = [Drawn((value, numbers)), Drawn((value, list(numbers))), Drawn((value,), {keyword: numbers})]
    if numbers:
        options += [Drawn((value, *numbers))] * 3
    return draw(st.sampled_from(options))


@st.composite
def _reshape(draw: st.DrawFn, keyword: str, *, is_method: bool) -> Drawn:
    value = draw(tensors(0, 4))
    sizes = draw(_new_sizes(value.sizes))
    if is_method:
        return draw(_one_by_one(value, sizes, keyword))
    return draw(st.sampled_from([Drawn((value, sizes)), Drawn((value,), {keyword: sizes})]))


@st.composite
def _permute(draw: st.DrawFn, *, is_method: bool, free: bool = False) -> Drawn:
    """`free`: any axes, not all."""
    value = draw(tensors(0, 4))
    rank = len(value.sizes)
    order: tuple[int, ...] = tuple(draw(st.permutations(range(rank))))
    order = tuple(axis - rank if draw(st.integers(0, 3)) == 0 else axis for axis in order)
    if free or draw(st.integers(0, 4)) == 0:
        order = tuple(draw(st.lists(axes(rank), min_size=0, max_size=rank + 1)))
    if is_method:
        return draw(_one_by_one(value, order, "dims"))
    return draw(st.sampled_from([Drawn((value, order)), Drawn((value,), {"dims": order})]))


@st.composite
def _two_axes(draw: st.DrawFn, one: str, two: str) -> Drawn:
    value = draw(tensors(0, 4))
    pair = draw(axes(len(value.sizes))), draw(axes(len(value.sizes)))
    return draw(st.sampled_from([Drawn((value, *pair)), Drawn((value,), {one: pair[0], two: pair[1]})]))


@st.composite
def _moved(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    rank = len(value.sizes)
    if draw(st.booleans()):
        return Drawn((value, draw(axes(rank)), draw(axes(rank))))
    count = draw(st.integers(0, rank))
    source = tuple(draw(st.permutations(range(rank))))[:count]
    target = tuple(draw(st.permutations(range(rank))))[: count if draw(st.integers(0, 5)) else max(count - 1, 0)]
    if draw(st.booleans()):
        target = tuple(axis - rank for axis in target)
    return Drawn((value, source, target))


@st.composite
def _flatten(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    rank = len(value.sizes)
    first, last = draw(axes(rank)), draw(axes(rank))
    options = [
        Drawn((value,)),
        Drawn((value, first)),
        Drawn((value, first, last)),
        Drawn((value,), {"start_dim": first}),
        Drawn((value,), {"end_dim": last}),
        Drawn((value, 0, last)),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _unflatten(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 4))
    axis = draw(axes(len(value.sizes)))
    size = value.sizes[axis] if -len(value.sizes) <= axis < len(value.sizes) else 4
    sizes = draw(_new_sizes((size,)))
    return draw(st.sampled_from([Drawn((value, axis, sizes)), Drawn((value,), {"dim": axis, "sizes": sizes})]))


@st.composite
def _axis(draw: st.DrawFn, *, several: bool = False, optional: bool = False) -> Drawn:
    sizes = tuple(draw(st.sampled_from([1, 1, 2, 3])) for _ in range(draw(st.integers(0, 4))))
    value = T(sizes, draw(DTYPES))
    axis: object = draw(axes(len(sizes)))
    if several and draw(st.integers(0, 3)) == 0:
        axis = tuple(draw(st.lists(axes(len(sizes)), min_size=1, max_size=2)))
    if optional and draw(st.integers(0, 2)) == 0:
        return Drawn((value,))
    return draw(st.sampled_from([Drawn((value, axis)), Drawn((value,), {"dim": axis})]))


@st.composite
def _unsqueeze(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    axis = draw(st.integers(-len(value.sizes) - 2, len(value.sizes) + 1))
    return draw(st.sampled_from([Drawn((value, axis)), Drawn((value,), {"dim": axis})]))


@st.composite
def _expand(draw: st.DrawFn, *, is_method: bool = True, as_other: bool = False) -> Drawn:
    one, two = draw(broadcast_pair())
    if draw(st.integers(0, 3)) and len(two) < len(one):
        one, two = two, one
    sizes = tuple(-1 if draw(st.integers(0, 4)) == 0 else size for size in two)
    value = T(one, draw(DTYPES))
    if as_other:
        return Drawn((value, T(two, draw(DTYPES))))
    if is_method:
        return draw(_one_by_one(value, sizes, "size"))
    return Drawn((value, sizes))


@st.composite
def _repeat(draw: st.DrawFn, keyword: str, *, is_method: bool = True) -> Drawn:
    value = draw(tensors(0, 3))
    repeats = tuple(draw(st.lists(st.integers(1, 3), min_size=max(len(value.sizes) - 1, 0), max_size=4)))
    return draw(_one_by_one(value, repeats, keyword)) if is_method else Drawn((value, repeats))


@st.composite
def _repeat_interleave(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3))
    times = draw(st.integers(1, 3))
    axis = draw(axes(len(value.sizes)))
    return draw(st.sampled_from([Drawn((value, times)), Drawn((value, times, axis)), Drawn((value, times), {"dim": axis})]))


@st.composite
def _as_other(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    sizes = tuple(abs(size) for size in draw(_new_sizes(value.sizes)))
    return Drawn((value, T(sizes, draw(DTYPES))))


@st.composite
def _together(draw: st.DrawFn) -> Drawn:
    one, two = draw(broadcast_pair())
    values = [T(one, draw(DTYPES)), T(two, draw(DTYPES))] + [T((), "float32")] * draw(st.integers(0, 1))
    return Drawn(tuple(values))


@st.composite
def _windows(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 4))
    return Drawn((value, draw(axes(len(value.sizes))), draw(st.integers(1, 4)), draw(st.integers(1, 3))))


@st.composite
def _diagonal(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 4))
    rank = len(value.sizes)
    offset = draw(st.integers(-2, 2))
    one, two = draw(axes(rank)), draw(axes(rank))
    return draw(
        st.sampled_from(
            [
                Drawn((value,)),
                Drawn((value, offset)),
                Drawn((value, offset, one, two)),
                Drawn((value,), {"dim1": -2, "dim2": -1}),
            ]
        )
    )


@st.composite
def _with_offset(draw: st.DrawFn, least: int, most: int) -> Drawn:
    value = draw(tensors(least, most))
    offset = draw(st.integers(-2, 2))
    return draw(st.sampled_from([Drawn((value,)), Drawn((value, offset)), Drawn((value,), {"diagonal": offset})]))


@st.composite
def _roll(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3))
    rank = len(value.sizes)
    pair = tuple(draw(st.lists(axes(rank), min_size=2, max_size=2)))
    options = [
        Drawn((value, 1)),
        Drawn((value, 1, draw(axes(rank)))),
        Drawn((value, (1, 2), pair)),
        Drawn((value, (1, 2), (0,))),
        Drawn((value,), {"shifts": 1, "dims": draw(axes(rank))}),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _rotate(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 4))
    rank = len(value.sizes)
    turns = draw(st.integers(-2, 4))
    pair = [draw(axes(rank)), draw(axes(rank))]
    return draw(
        st.sampled_from([Drawn((value,)), Drawn((value, turns)), Drawn((value, turns, pair)), Drawn((value,), {"dims": pair})])
    )


def _alone(least: int = 0, most: int = 4) -> st.SearchStrategy[Drawn]:
    return tensors(least, most).map(lambda value: Drawn((value,)))


CASES = [
    Case(("torch.Tensor.view",), _reshape("size", is_method=True)),
    Case(("torch.Tensor.reshape",), _reshape("shape", is_method=True)),
    Case(("torch.reshape",), _reshape("shape", is_method=False)),
    Case(_methods("view_as reshape_as"), _as_other()),
    Case(("torch.Tensor.permute",), _permute(is_method=True)),
    Case(("torch.permute",), _permute(is_method=False)),
    Case(("torch.Tensor.flip",), _permute(is_method=True, free=True)),
    Case(("torch.flip",), _permute(is_method=False, free=True)),
    Case((*_both("transpose swapdims"), *_methods("transpose_ swapdims_")), _two_axes("dim0", "dim1")),
    Case((*_both("swapaxes"), *_methods("swapaxes_")), _two_axes("axis0", "axis1")),
    Case(_both("movedim moveaxis"), _moved()),
    Case((*_both("t"), *_methods("t_")), _alone(0, 3)),
    Case((*_both("adjoint"), *_methods("mT mH")), _alone()),
    Case(_methods("T"), _alone()),
    Case(_methods("H"), _alone(0, 3)),
    Case(_both("flatten"), _flatten()),
    Case(_both("unflatten"), _unflatten()),
    Case(_both("ravel"), _alone()),
    Case((*_both("squeeze"), *_methods("squeeze_")), _axis(several=True, optional=True)),
    Case((*_both("unsqueeze"), *_methods("unsqueeze_")), _unsqueeze()),
    Case(_methods("expand broadcast_to"), _expand()),
    Case(("torch.broadcast_to",), _expand(is_method=False)),
    Case(_methods("expand_as"), _expand(as_other=True)),
    Case(_methods("repeat"), _repeat("repeats")),
    Case(_methods("tile"), _repeat("dims")),
    Case(("torch.tile",), _repeat("dims", is_method=False)),
    Case(_both("repeat_interleave"), _repeat_interleave()),
    Case(("torch.broadcast_tensors",), _together()),
    Case(_methods("unfold"), _windows()),
    Case(_both("diagonal"), _diagonal()),
    Case(_both("diag"), _with_offset(0, 3)),
    Case((*_both("tril triu"), *_methods("tril_ triu_")), _with_offset(0, 4)),
    Case(_both("roll"), _roll()),
    Case(_both("rot90"), _rotate()),
]
