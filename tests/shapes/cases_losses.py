"""Calls of torch's losses."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from shapes.drawing import SIZES, broadcast_pair, shapes
from shapes.drawing_layers import MOSTLY_FLOATS, functions, layers, mostly, rarely, sometimes_other
from shapes.oracle import Case, Drawn, T

_REDUCTIONS: st.SearchStrategy[dict[str, object]] = st.sampled_from(
    [{}, {}, {"reduction": "none"}, {"reduction": "sum"}, {"reduction": "mean"}, {"reduce": False}]
)
_NEW_REDUCTIONS: st.SearchStrategy[dict[str, object]] = st.sampled_from([{}, {}, {"reduction": "none"}, {"reduction": "sum"}])


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
        target = T(there, draw(st.sampled_from(["int64"] * 7 + ["int32", "float32", "bool"])))
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
def _broadcast(draw: st.DrawFn, *, layer: bool, reductions: st.SearchStrategy[dict[str, object]], alike: bool = False) -> Drawn:
    one, two = draw(broadcast_pair())
    dtypes = draw(st.sampled_from([("float32", "float32")] * 3 + [("float64", "float64"), ("float32", "float64")]))
    if alike:
        dtypes = ("float32", "float32")
    return _called((T(one, dtypes[0]), T(two, dtypes[1])), draw(reductions), layer=layer)


@st.composite
def _multi_margin(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = (*draw(shapes(0, 1)), draw(SIZES) + 1) if not rarely(draw) else draw(shapes(2, 3).map(lambda each: (*each, 2)))
    there = tuple(draw(sometimes_other(size)) for size in sizes[:-1])
    target = T(there if not rarely(draw) else (1,), draw(mostly("int64", "float32", "int64")))
    return _called((T(sizes, draw(MOSTLY_FLOATS)), target), draw(_REDUCTIONS), layer=layer)


@st.composite
def _several_labels(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = (*draw(shapes(0, 1)), draw(SIZES) + 1) if not rarely(draw) else (2, 2, 2)
    other = sizes if not rarely(draw) else (*draw(shapes(0, 1)), sizes[-1])
    target = T(other, draw(mostly("int64", "float32", "int64")))
    return _called((T(sizes, draw(MOSTLY_FLOATS)), target), draw(_REDUCTIONS), layer=layer)


@st.composite
def _several_logits(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(1, 3))
    other = sizes if not rarely(draw) else draw(shapes(1, 3))
    options: dict[str, object] = draw(_REDUCTIONS)
    if draw(st.booleans()):
        options = {**options, "weight": T((draw(sometimes_other(sizes[-1])),))}
    return _called((T(sizes, draw(MOSTLY_FLOATS)), T(other)), options, layer=layer)


@st.composite
def _temporal(draw: st.DrawFn, *, layer: bool) -> Drawn:
    length, batch, classes = draw(SIZES) + 1, draw(SIZES), draw(SIZES) + 1
    sizes = draw(mostly((length, batch, classes), (length, batch, 1, classes)))
    targets = draw(st.sampled_from([(batch, 1), (batch, 1), (draw(sometimes_other(batch)), 2)]))
    lengths = T((batch,), "int64")
    return _called((T(sizes), T(targets, "int64"), lengths, lengths), draw(_NEW_REDUCTIONS), layer=layer)


@st.composite
def _gaussian(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(1, 3))
    spread = draw(st.sampled_from([sizes, sizes, sizes[:-1], (*sizes[:-1], 1)]))
    if rarely(draw):
        spread = draw(shapes(0, 3).filter(lambda each: len(each) != len(sizes)))
    return _called((T(sizes), T(sizes), T(spread)), draw(_NEW_REDUCTIONS), layer=layer)


@st.composite
def _cosine_embedding(draw: st.DrawFn, *, layer: bool) -> Drawn:
    lead, features = draw(shapes(0, 1)), draw(SIZES)
    one, two = (*lead, features), (*lead, draw(sometimes_other(features)))
    there = tuple(draw(sometimes_other(size)) for size in lead)
    if rarely(draw):
        there = draw(shapes(0, 2))
    return _called((T(one), T(two), T(there)), draw(_REDUCTIONS), layer=layer)


@st.composite
def _three(draw: st.DrawFn, *, layer: bool, least: int) -> Drawn:
    sizes = draw(shapes(least, 3))
    others = [tuple(draw(sometimes_other(size)) for size in sizes) if rarely(draw) else sizes for _ in range(2)]
    if rarely(draw):
        others[1] = draw(shapes(least, 3))
    return _called((T(sizes), *(T(each) for each in others)), draw(_REDUCTIONS), layer=layer)


def _both(loss: str, function: str, calls: Callable[..., st.SearchStrategy[Drawn]], **options: object) -> tuple[Case, Case]:
    """A loss as a layer and as a function."""
    return (
        Case(layers(loss), calls(layer=True, **options), real="values"),
        Case(functions(function), calls(layer=False, **options), real="values"),
    )


CASES = [
    *_both("CrossEntropyLoss", "cross_entropy", _classes, probabilities=True),
    *_both("NLLLoss NLLLoss2d", "nll_loss", _classes, probabilities=False),
    *_both("BCELoss", "binary_cross_entropy", _equal, positive=False),
    *_both("BCEWithLogitsLoss", "binary_cross_entropy_with_logits", _equal, positive=True),
    *_both("MSELoss L1Loss SmoothL1Loss", "mse_loss l1_loss smooth_l1_loss", _broadcast, reductions=_REDUCTIONS),
    *_both("KLDivLoss PoissonNLLLoss", "kl_div poisson_nll_loss", _broadcast, reductions=_REDUCTIONS),
    *_both("HingeEmbeddingLoss", "hinge_embedding_loss", _broadcast, reductions=_REDUCTIONS, alike=True),
    *_both("SoftMarginLoss", "soft_margin_loss", _broadcast, reductions=_REDUCTIONS, alike=True),
    *_both("HuberLoss", "huber_loss", _broadcast, reductions=_NEW_REDUCTIONS),
    *_both("MultiMarginLoss", "multi_margin_loss", _multi_margin),
    *_both("MultiLabelMarginLoss", "multilabel_margin_loss", _several_labels),
    *_both("MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss", _several_logits),
    *_both("CTCLoss", "ctc_loss", _temporal),
    *_both("GaussianNLLLoss", "gaussian_nll_loss", _gaussian),
    *_both("CosineEmbeddingLoss", "cosine_embedding_loss", _cosine_embedding),
    *_both("MarginRankingLoss", "margin_ranking_loss", _three, least=0),
    *_both("TripletMarginLoss", "triplet_margin_loss", _three, least=1),
]
