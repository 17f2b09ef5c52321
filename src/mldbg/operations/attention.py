"""Attention of torch: which masks it takes, and whether True in one of them keeps a position or leaves it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mldbg.operations.effect import Attends
from mldbg.semantics import Semantic

KEEP, DROP = Semantic.KEEP_MASK, Semantic.DROP_MASK


def _drops(*params: str) -> Attends:
    """Attention that leaves out where its masks are True."""
    return Attends(params, dict.fromkeys((name for name in params if name.endswith("mask")), DROP))


_OF_LAYER = ("src", "src_mask", "src_key_padding_mask", "is_causal")
_OF_DECODER = (
    *("tgt", "memory", "tgt_mask", "memory_mask", "tgt_key_padding_mask", "memory_key_padding_mask"),
    *("tgt_is_causal", "memory_is_causal"),
)

LAYERS: Mapping[str, Attends] = {
    "MultiheadAttention": _drops(
        *("query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights", "is_causal")
    ),
    "TransformerEncoderLayer": _drops(*_OF_LAYER),
    "TransformerEncoder": _drops("src", "mask", "src_key_padding_mask", "is_causal"),
    "TransformerDecoderLayer": _drops(*_OF_DECODER),
    "TransformerDecoder": _drops(*_OF_DECODER),
    "Transformer": _drops(
        *("src", "tgt", "src_mask", "tgt_mask", "memory_mask"),
        *("src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask"),
    ),
}
"""Layers of `torch.nn`, as they are called."""

FUNCTIONAL: Mapping[str, Attends] = {
    "scaled_dot_product_attention": Attends(
        ("query", "key", "value", "attn_mask", "dropout_p", "is_causal"), {"attn_mask": KEEP}
    ),
    "multi_head_attention_forward": _drops(
        *("query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias", "bias_k", "bias_v"),
        *("add_zero_attn", "dropout_p", "out_proj_weight", "out_proj_bias", "training", "key_padding_mask", "need_weights"),
        "attn_mask",
    ),
}
"""Names in `torch.nn.functional`."""


def _rows() -> Iterable[tuple[str, Attends]]:
    yield from ((f"torch.nn.{name}.__call__", row) for name, row in LAYERS.items())
    yield from ((f"torch.nn.functional.{name}", row) for name, row in FUNCTIONAL.items())


ROWS: Mapping[str, Attends] = dict(_rows())
"""By the qualified name of the call."""
