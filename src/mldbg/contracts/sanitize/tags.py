"""What is known of each tensor: a weak side table from tensors to meanings."""

from __future__ import annotations

import weakref
from functools import partial
from typing import NamedTuple

from torch import Tensor

from mldbg.contracts.sanitize.site import Site
from mldbg.semantics import Semantic


class Tag(NamedTuple):
    """What the numbers of a tensor are, and where they became that.

    axis: the axis along which a law ties the values together (for logits: the axis of the layer's outputs), counted
        from 0; None where it is not known, or where each value stands alone.
    scaled: probabilities times a constant, or a sum of several: not negative, but no longer of sum 1.
    masked: where minus infinity was put among probabilities. Right for a choice by argmax, wrong for a weighted mean.
    """

    meaning: Semantic
    axis: int | None
    site: Site
    scaled: bool = False
    masked: Site | None = None

    def along(self, axis: int | None) -> Tag:
        """The same with another axis."""
        return self if axis == self.axis else self._replace(axis=axis)


_Entry = tuple[Tag, int | None, weakref.ref[Tensor]]
"""The tag, the version of the tensor it was given to, and a reference that takes the entry away when the tensor goes."""


class Tags:
    """Tensor -> tag, by identity. Holds no tensor alive, and puts nothing on the tensor, which may be copied or pickled.

    A tensor and its views share one version counter, which every in-place change raises. A tag of an older version is
    not given out: what was written into the memory since then is unknown.
    """

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, tensor: object) -> Tag | None:
        """The tag of a tensor; None where nothing is known."""
        entry = self._entries.get(id(tensor))
        if entry is None:
            return None
        assert isinstance(tensor, Tensor)
        return entry[0] if entry[1] == _version(tensor) else None

    def put(self, tensor: Tensor, tag: Tag | None) -> None:
        """Says what a tensor is from now on. Only floating-point tensors mean anything here."""
        key = id(tensor)
        if tag is None:
            self._entries.pop(key, None)
        elif tensor.is_floating_point():
            # Called with the dead reference, this is `pop(key, reference)`: silent where the entry is gone already.
            forget = partial(self._entries.pop, key)
            self._entries[key] = (tag, _version(tensor), weakref.ref(tensor, forget))


def _version(tensor: Tensor) -> int | None:
    try:
        return tensor._version  # noqa: SLF001 (there is no public name for it)
    except RuntimeError:  # tensors made in inference mode have no version counter
        return None
