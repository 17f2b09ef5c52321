"""Calls of torch's linear layers, normalisations, activations, embeddings, and their functions; and all other cases of layers."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from shapes import cases_grids, cases_losses, cases_products, cases_sequences
from shapes.drawing import FLOATS, SIZES, axes, broadcast_pair, shapes
from shapes.drawing_layers import DTYPE_PAIRS, MOSTLY_FLOATS, NUMBERS, functions, in_torch, layers, rarely, sometimes_other
from shapes.oracle import Case, Drawn, T

# --- linear layers ---


@st.composite
def _linear(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(1, 4)) if not rarely(draw) else ()
    features = draw(sometimes_other(sizes[-1] if sizes else 3))
    out = draw(SIZES)
    built, named = draw(
        st.sampled_from(
            [((features, out), {}), ((features, out, False), {}), ((), {"out_features": out, "in_features": features})]
        )
    )
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), built=built, built_with=named)


@st.composite
def _lazy_linear(draw: st.DrawFn) -> Drawn:
    return Drawn((T(draw(shapes(1, 4))),), built=(draw(SIZES),))


@st.composite
def _linear_function(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(1, 4)) if not rarely(draw) else ()
    inside = draw(sometimes_other(sizes[-1] if sizes else 3))
    weight = draw(st.sampled_from([(draw(SIZES), inside)] * 5 + [(inside,), (2, 2, inside)]))
    dtypes = draw(DTYPE_PAIRS)
    kwargs = {}
    if len(weight) == 2 and draw(st.booleans()):
        kwargs["bias"] = T((draw(sometimes_other(weight[0])),), dtypes[1])
    return Drawn((T(sizes, dtypes[0]), T(weight, dtypes[1])), kwargs)


@st.composite
def _bilinear(draw: st.DrawFn, *, layer: bool) -> Drawn:
    lead = draw(shapes(0, 2))
    first, second, out = draw(SIZES), draw(SIZES), draw(SIZES)
    other = lead if not rarely(draw) else draw(shapes(0, 2))
    pair = (T((*lead, first)), T((*other, second)))
    weights = (draw(sometimes_other(first)), draw(sometimes_other(second)))
    return Drawn(pair, built=(*weights, out)) if layer else Drawn((*pair, T((out, *weights))))


# --- normalisations ---


@st.composite
def _batch_norm(draw: st.DrawFn, least: int, most: int, *, lazy: bool = False) -> Drawn:
    rank = draw(st.integers(least, most)) if not rarely(draw) else draw(st.integers(1, 6))
    sizes = (draw(st.sampled_from([2, 3])), *draw(shapes(rank - 1, rank - 1)))
    features = draw(sometimes_other(sizes[1] if rank > 1 else 2))
    named: dict[str, object] = draw(
        st.sampled_from([{}, {}, {"affine": False}, {"affine": False, "track_running_stats": False}, {"momentum": 0.2}])
    )
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), built=() if lazy else (features,), built_with=named)


@st.composite
def _channel_function(draw: st.DrawFn, *, instance: bool) -> Drawn:
    rank = draw(st.integers(3, 5)) if instance else draw(st.integers(2, 5))
    sizes = (draw(st.sampled_from([2, 3])), draw(SIZES), *(draw(st.sampled_from([2, 3])) for _ in range(rank - 2)))
    statistic = T((draw(sometimes_other(sizes[1])),))
    kwargs = {} if not draw(st.booleans()) else {"weight": T((draw(sometimes_other(sizes[1])),))}
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)), statistic, statistic), kwargs)


@st.composite
def _instance_norm(draw: st.DrawFn, count: int) -> Drawn:
    rank = draw(st.sampled_from([count + 1, count + 2, count + 2])) if not rarely(draw) else draw(st.integers(1, 6))
    sizes = draw(shapes(rank, rank))
    channels = sizes[-count - 1] if rank > count else 2
    named = draw(st.sampled_from([{}, {"affine": True}, {"affine": True}]))
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), built=(draw(sometimes_other(channels)),), built_with=named)


@st.composite
def _layer_norm(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(1, 4))
    normalized: object = sizes[draw(st.integers(0, len(sizes) - 1)) :]
    if rarely(draw):
        normalized = draw(shapes(1, 3))
    if layer and draw(st.booleans()):
        normalized = draw(sometimes_other(sizes[-1]))
    value = T(sizes, draw(MOSTLY_FLOATS))
    if layer:
        return Drawn((value,), built=(normalized,), built_with=draw(st.sampled_from([{}, {"elementwise_affine": False}])))
    kwargs = {"weight": T(normalized)} if draw(st.booleans()) else {}  # type: ignore[arg-type] # a tuple here
    return Drawn((value, normalized), kwargs)


@st.composite
def _group_norm(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(2, 5)) if not rarely(draw) else (3,)
    channels = draw(sometimes_other(sizes[1] if len(sizes) > 1 else 3))
    groups = draw(st.sampled_from([1, 1, 2, 3, channels, channels]))
    value = T(sizes, draw(MOSTLY_FLOATS))
    if layer:
        named = draw(st.sampled_from([{}, {}, {"affine": False}]))
        return Drawn((value,), built=(groups, channels), built_with=named)
    return Drawn((value, groups), {"weight": T((channels,))} if draw(st.booleans()) else {})


# --- activations ---


def _elementwise(dtypes: st.SearchStrategy[str], least: int = 0, most: int = 4) -> st.SearchStrategy[Drawn]:
    return st.builds(lambda sizes, dtype: Drawn((T(sizes, dtype),)), shapes(least, most), dtypes)


def _dropout(least: int) -> st.SearchStrategy[Drawn]:
    """`torch.dropout`, of which all arguments have to be given."""
    return _elementwise(FLOATS, least).map(lambda drawn: Drawn((*drawn.args, 0.5, True)))


@st.composite
def _threshold(draw: st.DrawFn, *, layer: bool) -> Drawn:
    value = T(draw(shapes()), draw(NUMBERS))
    return Drawn((value,), built=(0, 1)) if layer else Drawn((value, 0, 1))


@st.composite
def _along_axis(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(0, 4))
    axis = draw(axes(len(sizes)))
    value = T(sizes, draw(MOSTLY_FLOATS))
    if layer:
        return draw(st.sampled_from([Drawn((value,), built=(axis,)), Drawn((value,), built_with={"dim": axis})]))
    if rarely(draw):
        return Drawn((value,), {"dim": axis, "dtype": torch.float64})
    return draw(st.sampled_from([Drawn((value, axis)), Drawn((value,), {"dim": axis})]))


@st.composite
def _normalize(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(0, 4))
    value = T(sizes, draw(MOSTLY_FLOATS))
    axis = draw(axes(len(sizes)))
    return draw(st.sampled_from([Drawn((value,)), Drawn((value,), {"dim": axis}), Drawn((value, 2.0, axis))]))


@st.composite
def _gumbel(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(1, 4))
    named: dict[str, object] = draw(st.sampled_from([{}, {"hard": True}, {"tau": 0.5}]))
    return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), {**named, "dim": draw(axes(len(sizes)))})


@st.composite
def _glu(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(1, 4))
    axis = draw(axes(len(sizes)))
    if -len(sizes) <= axis < len(sizes) and not rarely(draw):
        place = axis % len(sizes)
        sizes = (*sizes[:place], 2 * sizes[place], *sizes[place + 1 :])
    value = T(sizes, draw(MOSTLY_FLOATS))
    return Drawn((value,), built=(axis,)) if layer else Drawn((value, axis))


@st.composite
def _prelu(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(shapes(0, 4))
    slopes = draw(st.sampled_from([1, sizes[1] if len(sizes) > 1 else 1, 2]))
    value = T(sizes, draw(MOSTLY_FLOATS))
    return Drawn((value,), built=(slopes,)) if layer else Drawn((value, T((slopes,))))


# --- embeddings ---

_INDICES = st.sampled_from(["int64", "int64", "int64", "int32", "float32", "bool", "int8"])


@st.composite
def _embedding(draw: st.DrawFn, *, layer: bool) -> Drawn:
    value = T(draw(shapes(0, 3)), draw(_INDICES))
    features = draw(SIZES)
    if not layer:
        weight = (5, features) if not rarely(draw) else (5, 2, features)
        return Drawn((value, T(weight, draw(FLOATS))))
    return draw(
        st.sampled_from(
            [
                Drawn((value,), built=(5, features)),
                Drawn((value,), built_with={"num_embeddings": 5, "embedding_dim": features, "padding_idx": 0}),
            ]
        )
    )


@st.composite
def _embedding_bag(draw: st.DrawFn) -> Drawn:
    rank = draw(st.sampled_from([1, 2, 2, 3]))
    value = T(draw(shapes(rank, rank)), draw(_INDICES))
    named = draw(st.sampled_from([{}, {"mode": "sum"}]))
    return Drawn((value,), built=(5, draw(SIZES)), built_with=named)


@st.composite
def _one_hot(draw: st.DrawFn) -> Drawn:
    value = T(draw(shapes(0, 3)), draw(st.sampled_from(["int64", "int64", "int64", "int32", "float32"])))
    classes = draw(SIZES) + 1
    return draw(st.sampled_from([Drawn((value, classes)), Drawn((value,), {"num_classes": classes})]))


# --- axes and distances ---


@st.composite
def _flatten(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(0, 5))
    value = T(sizes, draw(FLOATS))
    one, two = draw(axes(len(sizes))), draw(axes(len(sizes)))
    both = {"start_dim": one, "end_dim": two}
    calls = [Drawn((value,)), Drawn((value,)), Drawn((value,), built=(one,)), Drawn((value,), built_with=both)]
    return draw(st.sampled_from(calls))


@st.composite
def _unflatten(draw: st.DrawFn) -> Drawn:
    parts = draw(shapes(1, 3))
    sizes, place = draw(shapes(0, 2)), 0
    place = draw(st.integers(0, len(sizes)))
    whole = 1
    for part in parts:
        whole *= part
    full = (*sizes[:place], draw(sometimes_other(whole)), *sizes[place:])
    wanted = draw(st.sampled_from([parts, (*parts[:-1], -1)]))
    return Drawn((T(full),), built=(draw(st.sampled_from([place, place - len(full)])), wanted))


@st.composite
def _similarity(draw: st.DrawFn, *, layer: bool) -> Drawn:
    one, two = draw(broadcast_pair())
    dtypes = draw(st.sampled_from([("float32", "float32")] * 3 + [("float64", "float64"), ("float32", "float64")]))
    pair = (T(one, dtypes[0]), T(two, dtypes[1]))
    axis = draw(axes(max(len(one), len(two))))
    if layer:
        return draw(st.sampled_from([Drawn(pair), Drawn(pair, built=(axis,))]))
    return draw(st.sampled_from([Drawn(pair), Drawn(pair, {"dim": axis}), Drawn((*pair, axis))]))


@st.composite
def _distance(draw: st.DrawFn, *, layer: bool) -> Drawn:
    one, two = draw(broadcast_pair().filter(any))
    pair = (T(one), T(two))
    named = draw(st.sampled_from([{}, {"keepdim": True}]))
    return Drawn(pair, built_with=named) if layer else Drawn(pair, named)


_KEEPS_FLOATS = "ELU SELU CELU LeakyReLU GELU SiLU Mish Hardswish Hardsigmoid LogSigmoid Softplus Softshrink Hardshrink"

CASES = [
    *cases_grids.CASES,
    *cases_sequences.CASES,
    *cases_products.CASES,
    *cases_losses.CASES,
    Case(layers("Linear"), _linear(), real="values"),
    Case(layers("LazyLinear"), _lazy_linear(), real="values"),
    Case(functions("linear"), _linear_function(), real="values"),
    Case(layers("Bilinear"), _bilinear(layer=True), real="values"),
    Case((*functions("bilinear"), "torch.bilinear"), _bilinear(layer=False), real="values"),
    Case(layers("BatchNorm1d"), _batch_norm(2, 3), real="values"),
    Case(layers("BatchNorm2d"), _batch_norm(4, 4), real="values"),
    Case(layers("BatchNorm3d"), _batch_norm(5, 5), real="values"),
    Case(layers("LazyBatchNorm1d"), _batch_norm(2, 3, lazy=True), real="values"),
    Case(layers("LazyBatchNorm2d"), _batch_norm(4, 4, lazy=True), real="values"),
    Case(layers("LazyBatchNorm3d"), _batch_norm(5, 5, lazy=True), real="values"),
    Case(functions("batch_norm"), _channel_function(instance=False), real="values"),
    Case(functions("instance_norm"), _channel_function(instance=True), real="values"),
    *(Case(layers(f"InstanceNorm{count}d"), _instance_norm(count), real="values") for count in (1, 2, 3)),
    Case(layers("LayerNorm RMSNorm"), _layer_norm(layer=True), real="values"),
    Case((*functions("layer_norm rms_norm"), *in_torch("layer_norm rms_norm")), _layer_norm(layer=False), real="values"),
    Case(layers("GroupNorm"), _group_norm(layer=True), real="values"),
    Case((*functions("group_norm"), "torch.group_norm"), _group_norm(layer=False), real="values"),
    Case(
        layers("LocalResponseNorm"),
        st.builds(lambda sizes, count: Drawn((T(sizes),), built=(count,)), shapes(2, 5), st.sampled_from([1, 2, 3])),
        real="values",
    ),
    Case(
        functions("local_response_norm"),
        st.builds(lambda sizes, count: Drawn((T(sizes), count)), shapes(2, 5), st.sampled_from([1, 2, 3])),
        real="values",
    ),
    Case(layers("Identity ReLU ReLU6 Hardtanh"), _elementwise(NUMBERS), real="values"),
    Case((*functions("relu relu_ relu6 hardtanh hardtanh_"), "torch.relu_"), _elementwise(NUMBERS), real="values"),
    Case(layers("Threshold"), _threshold(layer=True), real="values"),
    Case((*functions("threshold threshold_"), *in_torch("threshold threshold_")), _threshold(layer=False), real="values"),
    Case(layers(_KEEPS_FLOATS), _elementwise(NUMBERS), real="values"),
    Case(
        functions(_KEEPS_FLOATS.lower().replace("leakyrelu", "leaky_relu")),
        _elementwise(NUMBERS),
        real="values",
    ),
    Case(layers("RReLU"), _elementwise(MOSTLY_FLOATS), real="values"),
    Case((*functions("rrelu rrelu_"), *in_torch("rrelu rrelu_")), _elementwise(MOSTLY_FLOATS), real="values"),
    Case(functions("elu_ selu_ celu_ leaky_relu_"), _elementwise(NUMBERS), real="values"),
    Case(in_torch("selu selu_ celu celu_ hardshrink"), _elementwise(NUMBERS), real="values"),
    Case(in_torch("dropout dropout_ alpha_dropout"), _dropout(0), real="values"),
    Case(in_torch("feature_dropout feature_alpha_dropout"), _dropout(2), real="values"),
    Case(layers("Sigmoid Tanh Softsign Tanhshrink"), _elementwise(NUMBERS), real="values"),
    Case(functions("sigmoid tanh softsign tanhshrink"), _elementwise(NUMBERS), real="values"),
    Case(layers("Dropout AlphaDropout"), _elementwise(FLOATS), real="values"),
    Case(functions("dropout alpha_dropout"), _elementwise(FLOATS), real="values"),
    Case(layers("FeatureAlphaDropout"), _elementwise(FLOATS, 2), real="values"),
    Case(functions("feature_alpha_dropout"), _elementwise(FLOATS, 2), real="values"),
    Case(layers("Dropout1d"), _elementwise(FLOATS, 1, 4), real="values"),
    Case(layers("Dropout2d"), _elementwise(FLOATS, 3, 4), real="values"),
    Case(layers("Dropout3d"), _elementwise(FLOATS, 4, 5), real="values"),
    Case(functions("dropout1d"), _elementwise(FLOATS, 1, 4), real="values"),
    Case(functions("dropout2d"), _elementwise(FLOATS, 3, 4), real="values"),
    Case(functions("dropout3d"), _elementwise(FLOATS, 4, 5), real="values"),
    Case(layers("Softmax LogSoftmax Softmin"), _along_axis(layer=True), real="values"),
    Case(functions("softmax log_softmax softmin"), _along_axis(layer=False), real="values"),
    Case(layers("Softmax2d"), _elementwise(MOSTLY_FLOATS, 2, 5), real="values"),
    Case(functions("gumbel_softmax"), _gumbel(), real="values"),
    Case(functions("normalize"), _normalize(), real="values"),
    Case(layers("GLU"), _glu(layer=True), real="values"),
    Case(functions("glu"), _glu(layer=False), real="values"),
    Case(layers("PReLU"), _prelu(layer=True), real="values"),
    Case((*functions("prelu"), "torch.prelu"), _prelu(layer=False), real="values"),
    Case(layers("Embedding"), _embedding(layer=True), real="values"),
    Case(functions("embedding"), _embedding(layer=False), real="values"),
    Case(in_torch("embedding"), _embedding(layer=False).map(lambda drawn: Drawn(drawn.args[::-1])), real="values"),
    Case(layers("EmbeddingBag"), _embedding_bag(), real="values"),
    Case(functions("one_hot"), _one_hot(), real="values"),
    Case(layers("Flatten"), _flatten(), real="values"),
    Case(layers("Unflatten"), _unflatten(), real="values"),
    Case(layers("CosineSimilarity"), _similarity(layer=True), real="values"),
    Case((*functions("pdist"), "torch.pdist"), _elementwise(MOSTLY_FLOATS, 1, 3), real="values"),
    Case((*functions("cosine_similarity"), "torch.cosine_similarity"), _similarity(layer=False), real="values"),
    Case(layers("PairwiseDistance"), _distance(layer=True), real="values"),
    Case((*functions("pairwise_distance"), "torch.pairwise_distance"), _distance(layer=False), real="values"),
]
