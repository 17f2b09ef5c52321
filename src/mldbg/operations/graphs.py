"""Layers of PyTorch Geometric: what they end with, a linear map or a sum over neighbours, gives any real number.

DGL's layers are not here: most of them take an activation, which they apply last. Source: torch_geometric.nn.conv 2.8.
"""

from __future__ import annotations

from mldbg.operations.effect import Affine, Effect, Maps
from mldbg.semantics import Semantic

_LAYERS = (
    "GCNConv SAGEConv GATConv GATv2Conv GraphConv ChebConv TAGConv SGConv TransformerConv RGCNConv LEConv "
    "ClusterGCNConv FeaStConv HypergraphConv"
)

_PROPAGATION = Maps({Semantic.LOGITS: Semantic.LOGITS}, "APPNP")
"""Weighted sums over neighbours of what it is given; whether shares stay shares depends on the normalisation."""

ROWS: dict[str, Effect] = {
    f"{place}.{name}.__call__": row
    for place in ("torch_geometric.nn", "torch_geometric.nn.conv")
    for name, row in ({each: Affine(each) for each in _LAYERS.split()} | {"APPNP": _PROPAGATION}).items()
}
