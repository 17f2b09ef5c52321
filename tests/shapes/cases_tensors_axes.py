"""Calls of torch's functions along axes: sums, extremes, orders."""

from __future__ import annotations

from hypothesis import strategies as st

from shapes.drawing import DTYPES, FLOATS, axes, broadcast_pair, shapes, tensors
from shapes.oracle import Case, Drawn, T

_NOT_BOOL = st.sampled_from(["float32", "float32", "float64", "int64", "int32"])
_FLOATS_MOSTLY = FLOATS | FLOATS | FLOATS | st.sampled_from(["int64", "bool"])


def _both(names: str) -> tuple[str, ...]:
    return tuple(f"{package}.{name}" for name in names.split() for package in ("torch", "torch.Tensor"))


@st.composite
def _several(draw: st.DrawFn, rank: int) -> object:
    """An axis, several, or none."""
    if draw(st.booleans()):
        return draw(axes(rank))
    found = draw(st.lists(axes(rank), min_size=1, max_size=2, unique=True))
    return tuple(found) if draw(st.booleans()) else found


@st.composite
def reductions(
    draw: st.DrawFn,
    dtypes: st.SearchStrategy[str] = DTYPES,
    *,
    one: bool = False,
    typed: bool = False,
    keepdim: bool = True,
    needed: bool = False,
) -> Drawn:
    """Of all elements, or along axes; `one`: along one at most; `needed`: an axis has to be given."""
    value = draw(tensors(0, 4, dtypes))
    keywords: dict[str, object] = {}
    args: list[object] = [value]
    if typed and draw(st.integers(0, 3)) == 0:
        import torch

        keywords["dtype"] = draw(st.sampled_from([torch.float32, torch.float64, torch.int64]))
    if not needed and draw(st.integers(0, 3)) == 0:
        return Drawn(tuple(args), keywords)
    axis = draw(axes(len(value.sizes)) if one else _several(len(value.sizes)))
    keeps = draw(st.booleans())
    if draw(st.booleans()):
        args.append(axis)
        if keepdim and keeps and draw(st.booleans()):
            args.append(keeps)
            keeps = False
    else:
        keywords[draw(st.sampled_from(["dim", "dim", "axis"]))] = axis
    if keepdim and keeps:
        keywords[draw(st.sampled_from(["keepdim", "keepdim", "keepdims"]))] = keeps
    return Drawn(tuple(args), keywords)


@st.composite
def _spread(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 4, _FLOATS_MOSTLY))
    rank = len(value.sizes)
    flag = draw(st.booleans())
    options = [
        Drawn((value,)),
        Drawn((value, flag)),
        Drawn((value, draw(axes(rank)))),
        Drawn((value, draw(axes(rank)), False)),
        Drawn((value, draw(_several(rank))), {"unbiased": False, "keepdim": flag}),
        Drawn((value,), {"dim": draw(axes(rank)), "keepdim": flag}),
        Drawn((value,), {"dim": draw(_several(rank)), "correction": 0}),
        Drawn((value,), {"unbiased": flag}),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _with_other(draw: st.DrawFn) -> Drawn:
    one, two = draw(broadcast_pair())
    other = T(two, draw(DTYPES))
    value = T(one, draw(DTYPES))
    return Drawn((value,), {"other": other}) if draw(st.booleans()) else Drawn((value, other))


@st.composite
def _counted(draw: st.DrawFn, *, keepdim: bool = False) -> Drawn:
    """`topk` and `kthvalue`"""
    value = draw(tensors(0, 4, _NOT_BOOL))
    rank = len(value.sizes)
    count = draw(st.integers(1, 3))
    keywords: dict[str, object] = {}
    if draw(st.booleans()):
        axis = draw(axes(rank))
        if draw(st.booleans()):
            return Drawn((value, count, axis))
        keywords["dim"] = axis
    if keepdim and draw(st.booleans()):
        keywords["keepdim"] = True
    return Drawn((value, count), keywords)


@st.composite
def _along(draw: st.DrawFn, dtypes: st.SearchStrategy[str] = DTYPES, *, needed: bool = True, typed: bool = False) -> Drawn:
    value = draw(tensors(0, 4, dtypes))
    axis = draw(axes(len(value.sizes)))
    keywords: dict[str, object] = {}
    if typed and draw(st.integers(0, 3)) == 0:
        import torch

        keywords["dtype"] = torch.float64
    if not needed and draw(st.integers(0, 2)) == 0:
        return Drawn((value,), keywords)
    return Drawn((value, axis), keywords) if draw(st.booleans()) else Drawn((value,), {"dim": axis, **keywords})


@st.composite
def _norm(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3, _FLOATS_MOSTLY))
    rank = len(value.sizes)
    options = [
        Drawn((value,)),
        Drawn((value, 2)),
        Drawn((value,), {"dim": draw(axes(rank)), "keepdim": draw(st.booleans())}),
        Drawn((value, 2, draw(axes(rank)))),
        Drawn((value, 1, draw(axes(rank)), True)),
        Drawn((value,), {"p": 2, "dim": draw(axes(rank))}),
    ]
    return draw(st.sampled_from(options))


@st.composite
def _quantile(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3, st.sampled_from(["float32", "float64", "float32", "int64"])))
    points: object = draw(st.sampled_from([0.5, T((), value.dtype), T((3,), value.dtype)]))
    keywords: dict[str, object] = {}
    if draw(st.booleans()):
        keywords = {"dim": draw(axes(len(value.sizes))), "keepdim": draw(st.booleans())}
    return Drawn((value, points), keywords)


@st.composite
def _unique(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3, _NOT_BOOL))
    keywords: dict[str, object] = {name: True for name in ("return_inverse", "return_counts") if draw(st.booleans())}
    if draw(st.booleans()) and value.sizes:
        keywords["dim"] = draw(axes(len(value.sizes)))
    return Drawn((value,), keywords)


@st.composite
def _diff(draw: st.DrawFn) -> Drawn:
    value = draw(tensors(0, 3, _NOT_BOOL))
    keywords: dict[str, object] = {"n": draw(st.integers(1, 3))} if draw(st.booleans()) else {}
    return Drawn((value,), keywords | ({"dim": draw(axes(len(value.sizes)))} if draw(st.booleans()) else {}))


_BYTES = DTYPES | st.just("uint8")

CASES = [
    Case(_both("sum nansum"), reductions(_BYTES, typed=True)),
    Case(_both("mean nanmean"), reductions(_FLOATS_MOSTLY, typed=True)),
    Case(_both("prod"), reductions(one=True, typed=True)),
    Case(_both("amax amin"), reductions()),
    Case(_both("argmax argmin"), reductions(_NOT_BOOL, one=True)),
    Case(_both("all any"), reductions(_BYTES)),
    Case(_both("logsumexp"), reductions(needed=True)),
    Case(_both("count_nonzero"), reductions(keepdim=False)),
    Case(_both("std var"), _spread(), real="values"),
    Case(("torch.std_mean", "torch.var_mean"), _spread(), real="values"),
    Case(_both("max min"), reductions(one=True) | _with_other()),
    Case(_both("median nanmedian"), reductions(_NOT_BOOL, one=True)),
    Case(_both("mode"), reductions(one=True)),
    Case(_both("kthvalue"), _counted(keepdim=True)),
    Case(_both("topk"), _counted()),
    Case(
        _both("aminmax"),
        reductions(one=True).filter(lambda drawn: len(drawn.args) == 1 and not {"axis", "keepdims"} & drawn.kwargs.keys()),
    ),
    Case(_both("norm"), _norm()),
    Case(_both("quantile nanquantile"), _quantile(), real="values"),
    Case((*_both("cumsum cumprod"),), _along(typed=True)),
    Case(("torch.Tensor.cumsum_", "torch.Tensor.cumprod_"), _along()),
    Case(_both("cummax cummin"), _along(), real="values"),
    Case(_both("logcumsumexp"), _along(FLOATS)),
    Case(_both("sort argsort"), _along(needed=False), real="values"),
    Case(_both("msort"), tensors(1, 4).map(lambda value: Drawn((value,)))),
    Case(_both("softmax log_softmax"), _along(_FLOATS_MOSTLY, typed=True), real="values"),
    Case(_both("diff"), _diff()),
    Case(
        _both("bincount"),
        st.builds(lambda sizes: Drawn((T(sizes, "int64"),)), shapes(1, 1) | shapes(0, 2)),
        real="values",
        open=True,
    ),
    Case(_both("unique unique_consecutive"), _unique(), real="values", open=True),
]
