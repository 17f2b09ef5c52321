"""Calls of torch's functions that make tensors, and what a tensor says of itself."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from shapes.drawing import DTYPES, FLOATS, SIZES, axes, shapes, tensors
from shapes.oracle import Case, Drawn, T


def _both(names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split() for package in ("torch", "torch.Tensor"))


def _functions(names: str) -> tuple[str, ...]:
    return tuple(f"torch.{name}" for name in names.split())


def _methods(names: str) -> tuple[str, ...]:
    return tuple(f"torch.Tensor.{name}" for name in names.split())


_TYPES = st.sampled_from([torch.float64, torch.float16, torch.int64])
_FLOAT_TYPES = st.sampled_from([torch.float64, torch.float16])
_KEYWORDS: st.SearchStrategy[dict[str, object]] = st.just({}) | st.fixed_dictionaries({"dtype": _TYPES})
_SIZES = shapes(0, 3) | shapes(0, 3) | shapes(0, 3) | st.lists(st.sampled_from([2, 3, -1]), max_size=3).map(tuple)
_FILLS = st.sampled_from([1, 0.5, True])


@st.composite
def _sized(draw: st.DrawFn, *, typed: st.SearchStrategy[object] = _TYPES) -> Drawn:
    sizes = draw(_SIZES)
    keywords: dict[str, object] = {"dtype": draw(typed)} if draw(st.booleans()) else {}
    options = [Drawn((sizes,), keywords), Drawn((list(sizes),), keywords), Drawn((), {"size": sizes, **keywords})]
    return draw(st.sampled_from([*options, Drawn(sizes, keywords)] if sizes else options))


@st.composite
def _full(draw: st.DrawFn) -> Drawn:
    sizes, fill, keywords = draw(_SIZES), draw(_FILLS), draw(_KEYWORDS)
    return draw(st.sampled_from([Drawn((sizes, fill), keywords), Drawn((), {"size": sizes, "fill_value": fill, **keywords})]))


@st.composite
def _randint(draw: st.DrawFn) -> Drawn:
    sizes, keywords = draw(_SIZES), draw(_KEYWORDS)
    options = [
        Drawn((5, sizes), keywords),
        Drawn((0, 5, sizes), keywords),
        Drawn((0, 5), {"size": sizes, **keywords}),
        Drawn((5,), {"size": sizes}),
        Drawn((), {"low": 0, "high": 3, "size": sizes}),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _arange(draw: st.DrawFn) -> Drawn:
    number = st.integers(-3, 9) | st.sampled_from([0.5, 2.5, 4.0, 9.9])
    start, end = draw(number), draw(number)
    step = draw(st.sampled_from([1, 2, 3, 0.5, 0.1, -1, 0]))
    keywords = draw(_KEYWORDS)
    options = [
        Drawn((end,), keywords),
        Drawn((start, end), keywords),
        Drawn((start, end, step), keywords),
        Drawn((), {"end": end, **keywords}),
        Drawn((start,), {"end": end, "step": step, **keywords}),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _points(draw: st.DrawFn) -> Drawn:
    count = draw(st.integers(-1 if draw(st.integers(0, 4)) == 0 else 1, 5))
    return draw(st.sampled_from([Drawn((0, 1, count)), Drawn((0.0, 1.0), {"steps": count, "dtype": draw(_FLOAT_TYPES)})]))


@st.composite
def _eye(draw: st.DrawFn) -> Drawn:
    one, two, keywords = draw(SIZES), draw(SIZES), draw(_KEYWORDS)
    return draw(
        st.sampled_from([Drawn((one,), keywords), Drawn((one, two), keywords), Drawn((one,), {"m": two}), Drawn((-one,))])
    )


@st.composite
def _normal(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3, FLOATS))
    options = [
        Drawn((0.0, 1.0, draw(_SIZES))),
        Drawn((0.0, 1.0), {"size": draw(_SIZES)}),
        Drawn((value,)),
        Drawn((value, 1.0)),
        Drawn((0.0, value)),
        Drawn((value, T(value.sizes, value.dtype))),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _like(draw: st.DrawFn, *extra: object, dtypes: st.SearchStrategy[str] = DTYPES) -> Drawn:
    typed = draw(st.just({}) | st.fixed_dictionaries({"dtype": _FLOAT_TYPES}))
    return Drawn((draw(tensors(0, 4, dtypes)), *extra), typed)


@st.composite
def _new(draw: st.DrawFn) -> Drawn:
    value, sizes, keywords = draw(tensors(0, 2)), draw(_SIZES), draw(_KEYWORDS)
    options = [Drawn((value, sizes), keywords), Drawn((value,), {"size": sizes, **keywords})]
    return draw(st.sampled_from([*options, Drawn((value, *sizes), keywords)] if sizes else options))


_NUMBER = st.sampled_from([1, 2, 0.5, 3.0, True])


@st.composite
def _data(draw: st.DrawFn, *, of_tensors: bool = True) -> object:
    """Numbers in sequences, now and then ragged."""
    if of_tensors and draw(st.integers(0, 5)) == 0:
        return draw(tensors(0, 3))
    rows, columns = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    options: list[object] = [
        draw(_NUMBER),
        [draw(_NUMBER) for _ in range(rows)],
        tuple([draw(_NUMBER) for _ in range(columns)] for _ in range(rows)),
        [[1] * draw(st.integers(1, 2)), [2.0]],
        [[[draw(_NUMBER)] * columns] * 2] * max(rows, 1),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _of_data(draw: st.DrawFn) -> Drawn:
    return Drawn((draw(_data()),), draw(_KEYWORDS))


@st.composite
def _multinomial(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(1, 2, st.just("float32")) | tensors(0, 3, st.just("float32")))
    count = draw(st.integers(1, 4))
    flag = draw(st.booleans())
    return draw(
        st.sampled_from([Drawn((value, count)), Drawn((value, count, flag)), Drawn((value, count), {"replacement": flag})])
    )


@st.composite
def _size(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4))
    axis = draw(axes(len(value.sizes)))
    return draw(st.sampled_from([Drawn((value,)), Drawn((value, axis)), Drawn((value,), {"dim": axis})]))


@st.composite
def _nonzero(draw: st.DrawFn) -> Drawn:
    return Drawn((draw(tensors(0, 4)),), draw(st.sampled_from([{}, {"as_tuple": True}, {"as_tuple": False}])))


_ALONE = tensors(0, 4).map(lambda value: Drawn((value,)))

CASES = [
    Case(_functions("zeros ones empty"), _sized()),
    Case(_functions("rand randn"), _sized(typed=_FLOAT_TYPES)),
    Case(_functions("full"), _full()),
    Case(_functions("randint"), _randint()),
    Case(_functions("randperm"), st.integers(-1, 6).map(lambda count: Drawn((count,)))),
    Case(_functions("normal"), _normal()),
    Case(_functions("eye"), _eye()),
    Case(_functions("arange"), _arange()),
    Case(_functions("linspace logspace"), _points()),
    Case(_functions("zeros_like ones_like empty_like"), _like()),
    Case(_functions("rand_like randn_like"), _like(dtypes=FLOATS)),
    Case(_functions("full_like"), _like(1)),
    Case(_functions("randint_like"), _like(0, 1)),
    Case(_functions("tensor as_tensor asarray"), _of_data()),
    Case(_functions("from_numpy"), tensors(0, 3).map(lambda value: Drawn((value,))), real="numpy"),
    Case(_methods("new_zeros new_ones new_empty"), _new()),
    Case(
        _methods("new_full"),
        st.builds(lambda value, sizes, fill: Drawn((value, sizes, fill)), tensors(0, 2, FLOATS), _SIZES, _FILLS),
    ),
    Case(
        _methods("new_tensor"),
        st.builds(lambda value, data: Drawn((value, data)), tensors(0, 2, FLOATS), _data(of_tensors=False)),
        real="values",
    ),
    Case(_both("multinomial"), _multinomial(), real="values"),
    Case(_both("nonzero"), _nonzero(), real="values", open=True),
    Case(_methods("size"), _size()),
    Case((*_both("numel"), *_methods("nelement shape dim ndimension ndim __len__")), _ALONE),
    Case(_methods("item"), _ALONE | tensors(0, 1).map(lambda value: Drawn((value,))), real="values", open=True),
]
