"""All rows together: the transfer function of a qualified name."""

from __future__ import annotations

from mldbg.operations.shape import Transfer
from mldbg.operations.transfers import arrays, convolutions, einops, layers, losses, products, samples, sequences, tensors

ROWS: dict[str, Transfer] = {
    **tensors.ROWS,
    **layers.ROWS,
    **convolutions.ROWS,
    **sequences.ROWS,
    **products.ROWS,
    **losses.ROWS,
    **arrays.ROWS,
    **einops.ROWS,
    **samples.ROWS,
}
