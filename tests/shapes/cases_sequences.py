"""Calls of torch's recurrent layers, attention and transformers."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

from shapes.drawing import SIZES, shapes
from shapes.drawing_layers import MOSTLY_FLOATS, functions, layers, mostly, rarely, sometimes_other
from shapes.oracle import Case, Drawn, T

LENGTHS = st.sampled_from([1, 2, 3, 4])


@st.composite
def _recurrent(draw: st.DrawFn, *, cells: bool) -> Drawn:
    inputs, features, count = draw(SIZES), draw(st.sampled_from([2, 3, 4])), draw(st.sampled_from([1, 1, 2]))
    first, both = draw(st.booleans()), draw(st.booleans())
    projected = draw(mostly(0, 1)) if cells else 0
    length, batch = draw(LENGTHS), draw(LENGTHS)
    sizes = (batch, length) if first else (length, batch)
    batched = draw(mostly(True, False))
    lead: tuple[int, ...] = sizes if batched else (length,)
    if rarely(draw):
        lead = draw(shapes(0, 3))
    value = T((*lead, draw(sometimes_other(inputs))), draw(MOSTLY_FLOATS))
    built: tuple[object, ...] = (inputs, features, count)
    options: dict[str, object] = {"batch_first": first, "bidirectional": both}
    if projected:
        options["proj_size"] = projected
    if cells and draw(st.booleans()):
        built, options = (*built, True, first), {key: each for key, each in options.items() if key != "batch_first"}
    args: tuple[object, ...] = (value,)
    if draw(st.booleans()):
        layers_there = draw(sometimes_other(count * (2 if both else 1)))
        start = (layers_there, draw(sometimes_other(batch))) if batched else (layers_there,)
        hidden = T((*start, draw(sometimes_other(projected or features))))
        args = (value, (hidden, T((*start, features)))) if cells else (value, hidden)
    return Drawn(args, built=built, built_with=options)


@st.composite
def _cell(draw: st.DrawFn, *, cells: bool) -> Drawn:
    inputs, features = draw(SIZES), draw(SIZES)
    lead = draw(shapes(0, 1)) if not rarely(draw) else draw(shapes(2, 2))
    value = T((*lead, draw(sometimes_other(inputs))), draw(MOSTLY_FLOATS))
    args: tuple[object, ...] = (value,)
    if draw(st.booleans()):
        start = tuple(draw(sometimes_other(size)) for size in lead)
        hidden = T((*start, draw(sometimes_other(features))))
        args = (value, (hidden, T((*lead, features)))) if cells else (value, hidden)
    return Drawn(args, built=(inputs, features))


@st.composite
def _attention(draw: st.DrawFn) -> Drawn:
    heads = draw(st.sampled_from([1, 2, 2]))
    features = draw(sometimes_other(heads * draw(st.sampled_from([1, 2, 3]))))
    queries, keys, batch = draw(LENGTHS), draw(LENGTHS), draw(LENGTHS)
    first, batched = draw(st.booleans()), draw(mostly(True, False))
    kdim, vdim = (draw(SIZES), draw(SIZES)) if rarely(draw) else (features, features)

    def sequence(length: int, size: int) -> T:
        there = draw(mostly(batch, 2))
        lead = () if not batched else (there, length) if first else (length, there)
        return T((*lead, draw(sometimes_other(size))) if batched else (length, draw(sometimes_other(size))), "float32")

    query, key = sequence(queries, features), sequence(keys, kdim)
    value = T((*key.sizes[:-1], vdim)) if not rarely(draw) else sequence(draw(LENGTHS), vdim)
    options: dict[str, object] = {}
    if rarely(draw):
        options["need_weights"] = False
    if rarely(draw):
        options["average_attn_weights"] = False
    if draw(st.booleans()):
        masks = [(queries, keys), (queries, keys), ((batch if batched else 1) * heads, queries, keys), (keys, queries)]
        options["attn_mask"] = T(draw(st.sampled_from(masks)), draw(st.sampled_from(["bool", "float32"])))
    if rarely(draw):
        options["key_padding_mask"] = T((batch, keys) if batched else (keys,), "bool")
    built_with: dict[str, object] = {"batch_first": first} if first else {}
    if (kdim, vdim) != (features, features):
        built_with |= {"kdim": kdim, "vdim": vdim}
    if rarely(draw):
        built_with[draw(st.sampled_from(["add_bias_kv", "add_zero_attn"]))] = True
    return Drawn((query, key, value), options, built=(features, heads), built_with=built_with)


@st.composite
def _dot_product(draw: st.DrawFn) -> Drawn:
    lead = draw(shapes(0, 2))
    queries, keys, features, values = draw(LENGTHS), draw(LENGTHS), draw(SIZES), draw(SIZES)
    dtype = draw(MOSTLY_FLOATS)

    def tensor(*sizes: int) -> T:
        return T((*(lead if not rarely(draw) else draw(shapes(0, 2))), *sizes), dtype)

    args = (
        tensor(queries, features),
        tensor(draw(sometimes_other(keys)) if len(lead) < 2 else keys, draw(sometimes_other(features))),
        tensor(keys, values),
    )
    options: dict[str, object] = {}
    if draw(st.booleans()):
        mask = draw(st.sampled_from([(queries, keys), (1, keys), (queries, 1), (*lead, queries, keys), (keys, queries)]))
        options["attn_mask"] = T(mask, draw(st.sampled_from(["bool", "float32"])))
    elif draw(st.booleans()):
        options["is_causal"] = True
    return Drawn(args, options)


# --- transformers ---


@st.composite
def _encoder_layer(draw: st.DrawFn) -> Drawn:
    features = draw(sometimes_other(4))
    sizes = draw(shapes(1, 2)) if not rarely(draw) else draw(shapes(0, 3))
    value = T((*sizes, draw(sometimes_other(features))), draw(MOSTLY_FLOATS))
    options = draw(st.sampled_from([{}, {"batch_first": True}]))
    return Drawn((value,), built=(features, draw(st.sampled_from([1, 2])), 8), built_with=options)


@st.composite
def _pair(draw: st.DrawFn, features: int) -> tuple[T, T]:
    """A target and a source for a batch that comes second."""
    batch = draw(st.sampled_from([(), (2,), (3,)]))
    other = batch if not rarely(draw) else draw(st.sampled_from([(), (2,)]))
    target = T((draw(LENGTHS), *batch, draw(sometimes_other(features))), draw(MOSTLY_FLOATS))
    return target, T((draw(LENGTHS), *other, draw(sometimes_other(features))))


@st.composite
def _decoder_layer(draw: st.DrawFn) -> Drawn:
    target, memory = draw(_pair(4))
    return Drawn((target, memory), built=(4, 2, 8))


@st.composite
def _transformer(draw: st.DrawFn) -> Drawn:
    target, source = draw(_pair(4))
    return Drawn((source, target), built=(4, 2, 1, 1, 8))


def _encoder() -> st.SearchStrategy[Drawn]:
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8)
    return st.builds(lambda lead: Drawn((T((*lead, 4)),), built=(layer, 2)), shapes(1, 2))


def _decoder() -> st.SearchStrategy[Drawn]:
    layer = torch.nn.TransformerDecoderLayer(4, 2, 8)
    return st.builds(
        lambda lead, length: Drawn((T((*lead, 4)), T((length, *lead[1:], 4))), built=(layer, 2)), shapes(1, 2), LENGTHS
    )


CASES = [
    Case(layers("GRU"), _recurrent(cells=False), real="values"),
    Case(layers("RNN"), _recurrent(cells=False), real="values"),
    Case(layers("LSTM"), _recurrent(cells=True), real="values"),
    Case(layers("RNNCell GRUCell"), _cell(cells=False), real="values"),
    Case(layers("LSTMCell"), _cell(cells=True), real="values"),
    Case(layers("MultiheadAttention"), _attention(), real="values"),
    Case(functions("scaled_dot_product_attention"), _dot_product(), real="values"),
    Case(layers("TransformerEncoderLayer"), _encoder_layer(), real="values"),
    Case(layers("TransformerDecoderLayer"), _decoder_layer(), real="values"),
    Case(layers("TransformerEncoder"), _encoder(), real="values"),
    Case(layers("TransformerDecoder"), _decoder(), real="values"),
    Case(layers("Transformer"), _transformer(), real="values"),
]
