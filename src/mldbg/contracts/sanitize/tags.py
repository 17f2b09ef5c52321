"""What is known of each tensor: a weak side table from tensors to meanings."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from torch import Tensor

from mldbg.contracts.sanitize.site import Site
from mldbg.semantics import Semantic


class Tag(NamedTuple):
    """What the numbers of a tensor are, and where they became that.

    axis: the axis along which a law ties the values together (for logits: the axis of the layer's outputs), counted
        from 0; None where it is not known, or where each value stands alone.
    scaled: probabilities times a constant, or a sum of several: not negative, but no longer of sum 1.
    """

    meaning: Semantic
    axis: int | None
    site: Site
    scaled: bool = False

    def along(self, axis: int | None) -> Tag:
        """The same with another axis."""
        return self if axis == self.axis else Tag(self.meaning, axis, self.site, self.scaled)


class _Entry(weakref.ref[Tensor]):
    """A tag with the tensor's identity and its version; goes when the tensor goes."""

    __slots__ = ("key", "tag", "version")

    key: int
    tag: Tag
    version: int | None


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
        if entry is None or entry.version != _version(tensor):
            return None
        return entry.tag

    def put(self, tensor: object, tag: Tag | None) -> None:
        """Says what a tensor is from now on. Only floating-point tensors mean anything here."""
        if tag is None:
            self._entries.pop(id(tensor), None)
        elif isinstance(tensor, Tensor) and tensor.is_floating_point():
            entry = _Entry(tensor, self._forget)
            entry.key, entry.tag, entry.version = id(tensor), tag, _version(tensor)
            self._entries[entry.key] = entry

    def _forget(self, entry: weakref.ref[Tensor]) -> None:
        assert isinstance(entry, _Entry)
        if self._entries.get(entry.key) is entry:
            del self._entries[entry.key]


def _version(tensor: object) -> int | None:
    assert isinstance(tensor, Tensor)
    try:
        return tensor._version  # noqa: SLF001 (there is no public name for it)
    except RuntimeError:  # tensors made in inference mode have no version counter
        return None
