"""Layers of libraries for graphs: like linear layers they give any real number."""

from __future__ import annotations

from mldbg.operations.effect import Affine, Effect

_LAYERS = {
    "torch_geometric.nn": "GCNConv SAGEConv GATConv GATv2Conv GraphConv ChebConv TAGConv SGConv TransformerConv RGCNConv LEConv "
    "ClusterGCNConv FeaStConv HypergraphConv APPNP",
    "dgl.nn": "GraphConv SAGEConv GATConv GATv2Conv ChebConv TAGConv SGConv RelGraphConv APPNPConv",
}
"""By package, those that end with a linear map, a sum over neighbours, or both, as the packages' documentation says."""

_PLACES = {"torch_geometric.nn": ("torch_geometric.nn", "torch_geometric.nn.conv"), "dgl.nn": ("dgl.nn", "dgl.nn.pytorch")}

ROWS: dict[str, Effect] = {
    f"{place}.{name}.__call__": Affine(name)
    for package, names in _LAYERS.items()
    for name in names.split()
    for place in _PLACES[package]
}
