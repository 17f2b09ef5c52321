"""All rows together: the transfer function of a qualified name."""

from __future__ import annotations

from mldbg.operations.shape import Transfer
from mldbg.operations.transfers import (
    array_algebra,
    array_random,
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
    spectra,
    tensors,
)

ROWS: dict[str, Transfer] = {
    **tensors.ROWS,
    **layers.ROWS,
    **convolutions.ROWS,
    **sequences.ROWS,
    **spectra.ROWS,
    **products.ROWS,
    **linear_algebra.ROWS,
    **losses.ROWS,
    **arrays.ROWS,
    **array_algebra.ROWS,
    **array_random.ROWS,
    **einops.ROWS,
    **samples.ROWS,
    **distributions.ROWS,
}
