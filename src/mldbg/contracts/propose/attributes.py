"""Which attributes of a module say the size of an axis: `self.d_model`, `self.config.hidden_size`, `self.conv1.in_channels`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from torch import Tensor, nn

_OF_FEATURES = re.compile(
    r"(?:^|_)(?:in|out|dim|dims|d|features?|channels?|planes|hidden|embed\w*|emb\d*|embd|width|size|units|latent\w*|inner|model"
    r"|classes|labels|tags|actions|vocab\w*|num_embeddings|z|c|nc|ch|inplanes|ff|ffn|h_dim|z_dim)(?:_|\d|$)|dim$|size$|channels$",
    re.IGNORECASE,
)
"""Names for the length of an axis of features, of which a tensor has one."""

_NO_SIZE = re.compile(
    r"stride|pad|group|kernel|dilat|layers?$|depth|stack|blocks?$|seed|epoch|step|^max|_max|limit|context|iter|batch|ind(?:ex|ices)|idx"
    r"|start|end$|(?:^|_)ids?$|rank|bits|factor|ratio|expan|reduc|scale|version|warm|every|world|beam|chunk|patience|count|block_size|axis"
    r"|window|order|level|pos|length|seq|num_workers|verbose|k$|top|experts?|num_heads?|n_heads?|^heads?$|nhead|freq"
    r"|image_size|img_size|patch|size_list|bins|buckets|memory_size|buffer|queue|timeout|port|momentum|eps",
    re.IGNORECASE,
)
"""Names for something else, whose value may be the size of an axis by chance."""

_CONFIGURATIONS = ("config", "cfg", "conf", "args", "hparams", "opt", "params", "options", "settings")

_OF_HEADS = re.compile(r"(?:^|_)(?:n|num)?_?heads?$", re.IGNORECASE)
"""Names for the number of heads of an attention."""

LEAST = 4
"""A size up to this is found by chance too often to be that of an attribute whose name does not say so."""


def sizes_of(module: nn.Module) -> dict[str, int]:
    """Path from `self` -> whole number, of the module, of its configuration, and of the layers in it, in this order."""
    found: dict[str, int] = dict(_whole(vars(module)))
    for name in _CONFIGURATIONS:
        inner = vars(module).get(name)
        if inner is not None and not isinstance(inner, (nn.Module, Tensor, dict, list, tuple, str)) and name.isidentifier():
            found |= {f"{name}.{key}": value for key, value in _whole(_attributes(inner))}
    for name, child in module.named_children():
        if name.isidentifier():
            found |= {f"{name}.{key}": value for key, value in _whole(vars(child)) if is_for_features(key)}
            if isinstance(child, nn.Sequential) and len(child):
                for place in (0, -1):
                    inside = _whole(vars(child[place]))
                    found |= {f"{name}[{place}].{key}": value for key, value in inside if is_for_features(key)}
    return found


def _attributes(value: Any) -> Mapping[str, Any]:
    attributes = dict(getattr(value, "__dict__", {}))
    for name in getattr(type(value), "__slots__", ()):
        if isinstance(name, str) and hasattr(value, name):
            attributes[name] = getattr(value, name)
    return attributes


def _whole(attributes: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in attributes.items():
        if type(value) is int and value > 0 and not name.startswith("_") and name.isidentifier():
            yield name, value
        elif name == "normalized_shape":  # of a LayerNorm
            yield f"{name}[-1]", value[-1]


def is_for_features(name: str) -> bool:
    """Whether an attribute is called like the number of features, channels or classes."""
    last = name.rpartition(".")[2]
    return last == "normalized_shape[-1]" or (_NO_SIZE.search(last) is None and _OF_FEATURES.search(last) is not None)


class Attribute(Enum):
    """Which attributes may be the size of an axis: any, those called like a size of features, or the number of heads as well."""

    ANY = auto()
    NAMED = auto()
    HEADS = auto()


def attribute_for(several: Sequence[tuple[Mapping[str, int], int]], *, result: bool, kind: Attribute) -> str | None:
    """The attribute that is the size of an axis in every call; None where none is, or only by chance.

    several: for each call, the attributes of its module and the size. result: whether the axis is that of a result.
    kind: what the axis may be.
    """
    first, size = several[0]
    names = [name for name in first if all(attributes.get(name) == each for attributes, each in several)]
    if kind is Attribute.HEADS:
        found = next((name for name in names if "." not in name and _OF_HEADS.search(name)), None)
        if found is not None:
            return found
    names = [name for name in names if kind is Attribute.ANY or is_for_features(name)]
    names = [name for name in names if _rank(name, size, result=result) is not None]
    return min(names, key=lambda name: _rank(name, size, result=result) or (), default=None)


def _rank(name: str, size: int, *, result: bool) -> tuple[int, ...] | None:
    """What is preferred comes first; None for what says no size."""
    owner, _, last = name.rpartition(".")
    good = is_for_features(last)
    if not good and _NO_SIZE.search(last):
        return None
    if size <= LEAST and (not good or last == "dim" or owner.count(".")):
        return None
    if not good and owner:
        return None
    side = 0 if re.match(r"out" if result else r"in", last) else 2 if re.match(r"in_|out_|in\d|out\d|input|output", last) else 1
    level = 0 if not owner else 1 if owner in _CONFIGURATIONS else 3 if "[" in owner else 2
    return level, 1 if "[" in last or not good else 0, side


def bound_for(several: Sequence[tuple[Mapping[str, int], int]]) -> str | None:
    """The attribute that is the number of ids in every call."""
    first, _ = several[0]
    names = [name for name in first if all(attributes.get(name) == each for attributes, each in several)]
    named = [name for name in names if re.search(r"vocab|embeddings|tokens|classes|labels|num_|n_", name.rpartition(".")[2])]
    found = [name for name in named if name.count(".") == 0 or name.partition(".")[0] in _CONFIGURATIONS]
    return next(iter([*found, *named]), None)
