"""torch: recurrent layers, attention, transformers."""

from __future__ import annotations

from collections.abc import Callable

from mldbg.operations.problem import Problem
from mldbg.operations.shape import UNKNOWN, Given, Mismatch, Rest, Result, Shape, Tensor, Transfer, Unsure, broadcast
from mldbg.operations.sizes import ANY, Dim, same
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    FUNCTIONAL,
    check_equal,
    check_feature,
    check_fits,
    check_floats,
    check_rank,
    common_dtype,
    ending,
    flag,
    made,
    of_layers,
    shape,
    size,
    tensor,
    under,
)

# --- recurrent layers ---


def _recurrent(given: Given, *, cells: bool) -> Result:
    """The outputs of all steps, and the state after the last one."""
    directions = _factor(given, "bidirectional")
    features, projected = size(given, "hidden_size"), size(given, "proj_size", 0) if cells else 0
    outputs = features if projected == 0 else projected
    layers = directions * size(given, "num_layers", 1)
    if given.raw("input") is UNKNOWN:  # it may be a packed sequence, and what comes out then is one
        return UNKNOWN, _states(Shape((layers,), Rest()), outputs, features, None, cells=cells)
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, 3, "the layer")
    check_feature(start, -1, size(given, "input_size"), "input_size")
    check_floats(value, "the layer")
    state = _state_start(given, start, layers)
    _check_states(given, start, state, outputs, features, cells=cells)
    return (
        made(ending(start, 1, directions * outputs), value.dtype),
        _states(state, outputs, features, value.dtype, cells=cells),
    )


def _factor(given: Given, name: str) -> Dim:
    """2 where a flag is set."""
    value = flag(given, name)
    return ANY if value is None else 1 + value


def _state_start(given: Given, start: Shape, layers: Dim) -> Shape:
    """The axes of a state before that of its features."""
    if start.rest is not None:
        return Shape((layers,), Rest())
    if start.rank == 2:
        return Shape((layers,))
    first = flag(given, "batch_first")
    return Shape((layers, ANY if first is None else start.front[0 if first else 1]))


def _states(start: Shape, outputs: Dim, features: Dim, dtype: str | None, *, cells: bool) -> Result:
    hidden = Tensor(start.with_new(-1, outputs), dtype)
    return (hidden, Tensor(start.with_new(-1, features), dtype)) if cells else hidden


def _check_states(given: Given, start: Shape, state: Shape, outputs: Dim, features: Dim, *, cells: bool) -> None:
    """Raises Mismatch where a first state does not fit the input."""
    first = given.raw("hx")
    several = first if isinstance(first, tuple) else (first,)
    for each, last in zip(several, (outputs, features), strict=False):
        if not isinstance(each, Tensor) or each.shape is None or each.shape.rest is not None:
            continue
        wanted = state.with_new(-1, last)
        if wanted.rest is not None:
            continue
        _check_state(each.shape, wanted)


def _check_state(there: Shape, wanted: Shape) -> None:
    if len(there.front) != len(wanted.front):
        raise Mismatch(Problem.RANK, f"the state has shape {there}, and needs {wanted}")
    for got, need in zip(there.front, wanted.front, strict=True):
        if same(got, need) is False:
            raise Mismatch(Problem.SIZES, f"the state has shape {there}, and needs {wanted}", got, need)


def _cell(given: Given, *, cells: bool = False) -> Result:
    """One step."""
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 1, 2, "the cell")
    check_feature(start, -1, size(given, "input_size"), "input_size")
    check_floats(value, "the cell")
    wanted = ending(start, 1, size(given, "hidden_size"))
    first = given.raw("hx")
    for each in first if isinstance(first, tuple) else (first,):
        if isinstance(each, Tensor) and each.shape is not None and each.shape.rest is None and wanted.rest is None:
            _check_state(each.shape, wanted)
    result = made(wanted, value.dtype)
    return (result, result) if cells else result


# --- attention ---


def _attention(given: Given) -> Result:
    """The result, and the weights where they are wanted."""
    query, key, value = (tensor(given, name) for name in ("query", "key", "value"))
    starts = [each.shape or ANY_SHAPE for each in (query, key, value)]
    embedded, heads = size(given, "embed_dim"), size(given, "num_heads")
    _check_heads(embedded, heads)
    for start, wanted in zip(starts, (embedded, size(given, "kdim", embedded), size(given, "vdim", embedded)), strict=True):
        check_rank(start, 2, 3, "the attention")
        check_feature(start, -1, wanted)
    _check_ranks(starts, "query, key and value")
    for each in (query, key, value):
        check_floats(each, "the attention")
    first = flag(given, "batch_first")
    _check_sequences(starts, first)
    result = made(ending(starts[0], 1, embedded), common_dtype(query, key, value, what="the attention"))
    return result, _weights(given, starts, heads, first, result.dtype)


def _check_heads(features: Dim, heads: Dim) -> None:
    if isinstance(features, int) and isinstance(heads, int) and heads > 0 and features % heads:
        raise Mismatch(Problem.FEATURES, f"{features} features cannot be divided among {heads} heads", features)


def _check_ranks(starts: list[Shape], what: str) -> None:
    ranks = {start.rank for start in starts} - {None}
    if len(ranks) > 1:
        raise Mismatch(Problem.RANK, f"{what} have different numbers of axes: {', '.join(map(str, starts))}")


def _axes(start: Shape, first: bool | None) -> tuple[Dim, Dim]:
    """The size of the batch, 1 without one, and the length of the sequence."""
    if start.rank == 2:
        return 1, start.front[0]
    if start.rank is None or first is None:
        return ANY, ANY
    return (start.front[0], start.front[1]) if first else (start.front[1], start.front[0])


def _check_sequences(starts: list[Shape], first: bool | None) -> None:
    query, key, value = (_axes(start, first) for start in starts)
    check_equal(key[1], value[1], "key and value have different lengths")
    check_equal(key[0], value[0], "key and value have batches of different sizes")
    check_equal(query[0], key[0], "query and key have batches of different sizes")


def _weights(given: Given, starts: list[Shape], heads: Dim, first: bool | None, dtype: str | None) -> Result:
    wanted, averaged = flag(given, "need_weights", usual=True), flag(given, "average_attn_weights", usual=True)
    (batch, queries), (_, keys) = _axes(starts[0], first), _axes(starts[1], first)
    _check_masks(given, batch, queries, keys, heads)
    if not wanted or averaged is None or starts[0].rank is None:
        return UNKNOWN
    for name in ("add_bias_kv", "add_zero_attn"):
        keys = keys + (_factor(given, name) - 1)
    ends = (queries, keys) if averaged else (heads, queries, keys)
    return Tensor(Shape(ends if starts[0].rank == 2 else (batch, *ends)), dtype)


def _check_masks(given: Given, batch: Dim, queries: Dim, keys: Dim, heads: Dim) -> None:
    mask, padding = given.raw("attn_mask"), given.raw("key_padding_mask")
    if isinstance(mask, Tensor) and mask.shape is not None:
        check_rank(mask.shape, 2, 3, "the attention mask")
        if mask.shape.rank is not None:
            wanted = (batch * heads, queries, keys)[3 - mask.shape.rank :]
            for got, need in zip(mask.shape.front, wanted, strict=True):
                check_equal(got, need, f"the attention mask has shape {mask.shape}, and does not fit")
    if isinstance(padding, Tensor) and padding.shape is not None:
        check_rank(padding.shape, 1, 2, "the padding mask")
        check_equal(padding.shape.at(-1), keys, f"the padding mask has shape {padding.shape}, and does not fit")
        if padding.shape.rank == 2:
            check_equal(padding.shape.at(0), batch, f"the padding mask has shape {padding.shape}, and does not fit")


def _dot_product_attention(given: Given) -> Result:
    query, key, value = (tensor(given, name) for name in ("query", "key", "value"))
    starts = [each.shape or ANY_SHAPE for each in (query, key, value)]
    for start in starts:
        check_rank(start, 2, None, "the attention")
    for each in (query, key, value):
        check_floats(each, "the attention")
    dtype = common_dtype(query, key, value, what="the attention")
    check_equal(starts[0].at(-1), starts[1].at(-1), "query and key have different features")
    check_equal(starts[1].at(-2), starts[2].at(-2), "key and value have different lengths")
    if given.has("attn_mask") and flag(given, "is_causal"):
        raise Mismatch(Problem.SIZES, "a mask is given, and is_causal as well")
    grouped = flag(given, "enable_gqa")
    if grouped is None:
        raise Unsure
    if grouped:
        return made(ending(starts[0], 1, starts[2].at(-1)), dtype)
    batch = broadcast(*(ending(start, 2) for start in starts[:2]))
    weights = _joined(batch, starts[0].at(-2), starts[1].at(-2))
    if given.has("attn_mask"):
        weights = _with_mask(weights, given)
    batch = broadcast(ending(weights, 2), ending(starts[2], 2))
    return made(_joined(batch, starts[0].at(-2), starts[2].at(-1)), dtype)


def _with_mask(weights: Shape, given: Given) -> Shape:
    mask = shape(given, "attn_mask")
    ends = Shape((weights.at(-2), weights.at(-1)))
    check_fits(
        mask if mask.rest is None and len(mask.front) <= 2 else ending(ANY_SHAPE, 0, mask.at(-2), mask.at(-1)), ends, "the mask"
    )
    return broadcast(weights, mask)


def _joined(batch: Shape, *sizes: Dim) -> Shape:
    return ending(batch, 0, *sizes)


# --- transformers ---


def _encoder_layer(given: Given) -> Result:
    value = tensor(given, "src")
    start = value.shape or ANY_SHAPE
    _check_heads(size(given, "d_model"), size(given, "nhead"))
    check_rank(start, 2, 3, "the layer")
    check_feature(start, -1, size(given, "d_model"))
    check_floats(value, "the layer")
    return value


def _decoder_layer(given: Given) -> Result:
    target, memory = tensor(given, "tgt"), tensor(given, "memory")
    return _decoded(given, target, memory)


def _transformer(given: Given) -> Result:
    return _decoded(given, tensor(given, "tgt"), tensor(given, "src"))


def _decoded(given: Given, target: Tensor, source: Tensor) -> Result:
    starts = [each.shape or ANY_SHAPE for each in (target, source)]
    features = size(given, "d_model", 512)
    _check_heads(features, size(given, "nhead", 8))
    for start in starts:
        check_rank(start, 2, 3, "the layer")
        check_feature(start, -1, features)
    _check_ranks(starts, "source and target")
    for each in (target, source):
        check_floats(each, "the layer")
    first = flag(given, "batch_first")
    check_equal(_axes(starts[0], first)[0], _axes(starts[1], first)[0], "source and target have batches of different sizes")
    return target


def _keeps(name: str) -> Callable[[Given], Result]:
    return lambda given: tensor(given, name)


# --- rows ---

_DECODER = (
    "tgt",
    "memory",
    "tgt_mask",
    "memory_mask",
    "tgt_key_padding_mask",
    "memory_key_padding_mask",
    "tgt_is_causal",
    "memory_is_causal",
)
_ATTENTION = (
    "query",
    "key",
    "value",
    "key_padding_mask",
    "need_weights",
    "attn_mask",
    "average_attn_weights",
    "is_causal",
)

LAYERS: dict[str, Transfer] = {
    "RNN GRU": Transfer(("input", "hx"), lambda given: _recurrent(given, cells=False)),
    "LSTM": Transfer(("input", "hx"), lambda given: _recurrent(given, cells=True)),
    "RNNCell GRUCell": Transfer(("input", "hx"), _cell),
    "LSTMCell": Transfer(("input", "hx"), lambda given: _cell(given, cells=True)),
    "MultiheadAttention": Transfer(_ATTENTION, _attention),
    "TransformerEncoderLayer": Transfer(("src", "src_mask", "src_key_padding_mask", "is_causal"), _encoder_layer),
    "TransformerEncoder": Transfer(("src", "mask", "src_key_padding_mask", "is_causal"), _keeps("src")),
    "TransformerDecoderLayer": Transfer(_DECODER, _decoder_layer),
    "TransformerDecoder": Transfer(_DECODER, _keeps("tgt")),
    "Transformer": Transfer(("src", "tgt", "src_mask", "tgt_mask", "memory_mask"), _transformer),
}
FUNCTIONS: dict[str, Transfer] = {
    "scaled_dot_product_attention": Transfer(
        ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), _dot_product_attention
    ),
}

ROWS: dict[str, Transfer] = {**of_layers(LAYERS), **under((FUNCTIONAL,), FUNCTIONS)}
