"""Calls of torch's losses."""

from __future__ import annotations

from drawing import SIZES, broadcast_pair, shapes
from drawing_layers import MOSTLY_FLOATS, functions, layers, rarely, sometimes_other
from hypothesis import strategies as st
from oracle import Case, Drawn, T

_REDUCTIONS = st.sampled_from([{}, {}, {"reduction": "none"}, {"reduction": "sum"}, {"reduction": "mean"}, {"reduce": False}])
_NEW_REDUCTIONS = st.sampled_from([{}, {}, {"reduction": "none"}, {"reduction": "sum"}])


def _called(args: tuple[T, ...], options: dict[str, object], *, layer: bool) -> Drawn:
    return Drawn(args, built_with=options) if layer else Drawn(args, options)


@st.composite
def _classes(draw: st.DrawFn, *, layer: bool, probabilities: bool) -> Drawn:
    sizes = draw(shapes(1, 5))
    sizes = (sizes[0], sizes[1] + 1, *sizes[2:]) if len(sizes) > 1 else (sizes[0] + 1,)
    classes = sizes[1] if len(sizes) > 1 else sizes[0]
    options: dict[str, object] = draw(_REDUCTIONS)
    if draw(st.booleans()):
        options = {**options, "weight": T((draw(sometimes_other(classes)),))}
    if probabilities and draw(st.booleans()):
        target = T(tuple(draw(sometimes_other(size)) if rarely(draw) else size for size in sizes), draw(MOSTLY_FLOATS))
    else:
        there = (*sizes[:1], *sizes[2:]) if len(sizes) > 1 else ()
        there = tuple(draw(sometimes_other(size)) if rarely(draw) else size for size in there)
        if rarely(draw):
            there = (*there, 1)
        target = T(there, draw(st.sampled_from(["int64"] * 6 + ["int32", "float32", "uint8", "bool"])))
    return _called((T(sizes, draw(MOSTLY_FLOATS)), target), options, layer=layer)


@st.composite
def _equal(draw: st.DrawFn, *, layer: bool, positive: bool) -> Drawn:
    sizes = draw(shapes(0, 3))
    other = sizes if not rarely(draw) else draw(st.sampled_from([(*sizes, 1), sizes[:-1], draw(shapes(0, 3))]))
    options: dict[str, object] = draw(_REDUCTIONS)
    if rarely(draw):
        options = {**options, "weight": T(draw(st.sampled_from([sizes, sizes[-1:], (2, *sizes)])))}
    if positive and rarely(draw):
        options = {**options, "pos_weight": T(draw(st.sampled_from([sizes, sizes[-1:]])))}
    return _called((T(sizes, draw(MOSTLY_FLOATS)), T(other, draw(MOSTLY_FLOATS))), options, layer=layer)


@st.composite
def _broadcast(draw: st.DrawFn, *, layer: bool, reductions: st.SearchStrategy[dict[str, object]]) -> Drawn:
    one, two = draw(broadcast_pair())
    dtypes = draw(st.sampled_from([("float32", "float32")] * 3 + [("float64", "float64"), ("float32", "float64")]))
    return _called((T(one, dtypes[0]), T(two, dtypes[1])), draw(reductions), layer=layer)


CASES = [
    Case(layers("CrossEntropyLoss"), _classes(layer=True, probabilities=True), real="values"),
    Case(functions("cross_entropy"), _classes(layer=False, probabilities=True), real="values"),
    Case(layers("NLLLoss NLLLoss2d"), _classes(layer=True, probabilities=False), real="values"),
    Case(functions("nll_loss"), _classes(layer=False, probabilities=False), real="values"),
    Case(layers("BCELoss"), _equal(layer=True, positive=False), real="values"),
    Case(functions("binary_cross_entropy"), _equal(layer=False, positive=False), real="values"),
    Case(layers("BCEWithLogitsLoss"), _equal(layer=True, positive=True), real="values"),
    Case(functions("binary_cross_entropy_with_logits"), _equal(layer=False, positive=True), real="values"),
    Case(layers("MSELoss L1Loss SmoothL1Loss KLDivLoss"), _broadcast(layer=True, reductions=_REDUCTIONS), real="values"),
    Case(functions("mse_loss l1_loss smooth_l1_loss kl_div"), _broadcast(layer=False, reductions=_REDUCTIONS), real="values"),
    Case(layers("HuberLoss"), _broadcast(layer=True, reductions=_NEW_REDUCTIONS), real="values"),
    Case(functions("huber_loss"), _broadcast(layer=False, reductions=_NEW_REDUCTIONS), real="values"),
]
