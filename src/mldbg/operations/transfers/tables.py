"""All rows together: the transfer function of a qualified name."""

from __future__ import annotations

from mldbg.operations.shape import Transfer
from mldbg.operations.transfers import (
    arrays,
    convolutions,
    distributions,
    einops,
    layers,
    linear_algebra,
    losses,
    products,
    samples,
    sequences,
    tensors,
)

ROWS: dict[str, Transfer] = {
    **tensors.ROWS,
    **layers.ROWS,
    **convolutions.ROWS,
    **sequences.ROWS,
    **products.ROWS,
    **linear_algebra.ROWS,
    **losses.ROWS,
    **arrays.ROWS,
    **einops.ROWS,
    **samples.ROWS,
    **distributions.ROWS,
}
