"""What people call the axes of the tensor that goes into a layer of torch."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OF_AXES = re.compile(r"torch\.nn\.(?:Linear|LayerNorm|RMSNorm|(?:Conv(?:Transpose)?|BatchNorm|InstanceNorm)(?P<dims>\d)d)$")
"""Layers that know which axis is which."""

_SPATIAL = ("depth", "height", "width")


def usual_axes(layer: str | None, rank: int) -> Sequence[str]:
    """The names of the axes, one for each; none where they may have another order. layer: as in `torch.nn.Linear`."""
    found = _OF_AXES.match(layer) if layer is not None else None
    if found is None:
        return ()
    dims = found["dims"]
    if dims is not None:
        return ("batch", "channels", *_SPATIAL[-int(dims) :]) if rank == int(dims) + 2 else ()
    return {2: ("batch", "dim"), 3: ("batch", "length", "dim")}.get(rank, ())
