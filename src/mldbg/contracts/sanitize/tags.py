"""What is known of each tensor: a weak side table from tensors to meanings."""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor

from mldbg.contracts.sanitize.finding import Finding
from mldbg.contracts.sanitize.site import Site
from mldbg.semantics import Semantic

MASKS = (Semantic.KEEP_MASK, Semantic.DROP_MASK)
"""Meanings of masks, which need not be floating-point tensors."""

_OF_ANY_TYPE = (*MASKS, Semantic.ONE_HOT)
"""Meanings that tensors of integers and truth values can have."""

_TIED = (Semantic.PROBS, Semantic.LOG_PROBS)
"""Meanings of which a loss asks along which axis they hold."""


class Total(NamedTuple):
    """What a tensor becomes by its own sums, or by the logarithm of its sum of exponentials.

    gives: probabilities if it is divided by them, log-probabilities if that is subtracted.
    axis: along which they were taken, counted from 0.
    """

    gives: Semantic
    axis: int

    def fits(self, tensor: Tensor, total: Tensor) -> bool:
        """Whether each value of a tensor meets the sum over its own row, as far as the shapes say."""
        row = tensor.shape[self.axis] if self.axis < tensor.dim() else None
        others = (*tensor.shape[: self.axis], *tensor.shape[self.axis + 1 :])
        return (
            row is not None
            and total.dim() == tensor.dim()
            and total.shape[self.axis] in (1, row)
            and (*total.shape[: self.axis], *total.shape[self.axis + 1 :]) == others
        )


def _nowhere() -> None:
    """Stands for the user's line, which takes a microsecond to find, and is only asked of what has a meaning."""


UNASKED = Site(_nowhere.__code__, 0)


@dataclass(eq=False, slots=True)
class Cut:
    """Where a mask set some of the weights of a softmax to 0.

    in_parts: the same weights met another mask: their mean is taken in parts, which are put together.
    """

    site: Site
    in_parts: bool = False


class Span(NamedTuple):
    """A step of `(x - x.min()) / (x.max() - x.min())`, by which scores are squeezed into [0, 1]."""

    scores: weakref.ref[Tensor]
    part: Literal["least", "greatest", "above the least", "range"]

    def after(self, part: Literal["above the least", "range"]) -> Tag:
        """The tag of a difference."""
        return Tag(None, None, UNASKED, span=Span(self.scores, part))


class Tag(NamedTuple):
    """What the numbers of a tensor are, and where they became that.

    meaning: None where only the total is known.
    axis: the axis along which a law ties the values together (for logits: the axis of the layer's outputs), counted
        from 0; None where it is not known, or where each value stands alone.
    scaled: probabilities times a constant, or a sum of several: not negative, but no longer of sum 1.
    masked: where minus infinity was put among probabilities. Right for a choice by argmax, wrong for a weighted mean.
    others: where the axis of the law is not known any more, the axes of which it is known that they are others.
    by_hand: normalised by arithmetic. Whether it was the tensor's own sum, and no value was negative, the values have to prove.
    total: where the values are sums over an axis, by which somebody may normalise.
    made: what the values were part of, or made from, where they are less than that by now: some of a softmax's probabilities.
    compared: of a mask that a comparison with one id made, these ids: whether they are tokens, and that one the padding, the
        values have to prove.
    empty: of a mask that a comparison of data with 0 made: whether what is 0 is padding, the values have to prove.
    within: of a mask that compares positions with lengths: it says by True, or by False, which ones are within.
    inverted: of scores in which an inverted mask has left positions out: what is said if they come to a softmax as they are, and
        the sizes that they have now.
    cut: where some of a softmax's weights were set to 0. Of probabilities: these are those weights. With no meaning: products of
        those weights and rows, along `axis`.
    mean: they are sums of such products: means of rows, which are too small.
    parts: of a whole softmax, where some of it was set to 0 in another tensor.
    exponents: of exponentials, the probabilities of which they were taken.
    picked: of a product of one-hot rows along `axis` with log-probabilities along another one, what these are.
    span: where the values are on their way to be scaled by their own range.
    classes: of log-probabilities along `axis`, the axis of the outputs of the layer whose scores they were, where it is another.
    weighed: of weights times values in [0, 1], the axis along which the weights sum to 1, and what the values were.
    summed: of sums of values in [0, 1], what these were: divided by how many there are they lie in [0, 1] again.
    logged: they are a logarithm, or scores to which one was added.
    rate: they are positive because an exponential or a softplus made them so, as a rate is of which the logarithm is not.
    """

    meaning: Semantic | None
    axis: int | None
    site: Site | str
    scaled: bool = False
    masked: Site | None = None
    others: tuple[int, ...] = ()
    by_hand: bool = False
    total: Total | None = None
    made: Semantic | None = None
    compared: weakref.ref[Tensor] | None = None
    empty: bool = False
    within: bool = False
    inverted: tuple[Finding, torch.Size] | None = None
    classes: int | None = None
    weighed: tuple[int | None, Tag] | None = None
    summed: Tag | None = None
    logged: bool = False
    rate: bool = False
    cut: Cut | None = None
    mean: bool = False
    parts: Cut | None = None
    exponents: Tag | None = None
    picked: Tag | None = None
    span: Span | None = None

    @property
    def is_aside(self) -> bool:
        """Whether it says only where the values come from, and arithmetic with another tensor need not heed it."""
        return self.meaning is None and self.total is None

    @property
    def is_declared(self) -> bool:
        """Of a mask: whether a contract says what it is."""
        return self.compared is None and not self.empty and not self.within

    def along(self, axis: int | None) -> Tag:
        """The same with another axis."""
        return self if axis == self.axis else self._replace(axis=axis)

    def moved(self, rank: int, place: Callable[[int], int | None]) -> Tag:
        """The same after an operation that puts axes elsewhere, or merges them.

        rank: of the tensor before. place: where an axis is now; None where it is lost.
        """
        if self.classes is not None:
            return self._replace(classes=None).moved(rank, place)._replace(classes=place(self.classes))
        if self.axis is not None:
            now = place(self.axis)
            if now is not None:
                return self.along(now)
            others = tuple(axis for axis in range(rank) if axis != self.axis) if self.meaning in _TIED else ()
        else:
            others = self.others
        return self._replace(axis=None, others=tuple(now for axis in others if (now := place(axis)) is not None))

    def opposite(self) -> Tag:
        """Of a mask: what its inverse is."""
        keeps = self.meaning is Semantic.KEEP_MASK
        return self._replace(meaning=Semantic.DROP_MASK if keeps else Semantic.KEEP_MASK)

    def loosely(self) -> Tag:
        """Of probabilities: values in [0, 1] that are tied together no more."""
        return Tag(Semantic.UNIT_INTERVAL, None, self.site, by_hand=self.by_hand, made=self.made or self.meaning)


class Pieces(NamedTuple):
    """What the pieces are of which a tensor was joined along an axis.

    ends: where each piece ends along it. tags: of the pieces, their axes counted in the whole; None where nothing is known.
    """

    axis: int
    ends: tuple[int, ...]
    tags: tuple[Tag | None, ...]

    def piece(self, number: int) -> int:
        """The piece that holds an entry."""
        return bisect_right(self.ends, number)

    def size(self, piece: int) -> int:
        """How many entries a piece has."""
        return self.ends[piece] - (self.ends[piece - 1] if piece else 0)


Known = TypeVar("Known")


class Table(Generic[Known]):
    """Tensor -> what is known of it, by identity. Holds no tensor alive, and puts nothing on it: it may be copied or pickled.

    A tensor and its views share one version counter, which every in-place change raises. What was known of an older version is
    not given out: what was written into the memory since then is unknown.
    """

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Known, int | None, weakref.ref[Tensor]]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def of(self, tensor: object) -> Known | None:
        """What is known of a tensor; None where nothing is."""
        entry = self._entries.get(id(tensor))
        if entry is None:
            return None
        assert isinstance(tensor, Tensor)
        return entry[0] if entry[1] == _version(tensor) else None

    def put(self, tensor: Tensor, known: Known | None) -> None:
        """Says what a tensor is from now on."""
        key = id(tensor)
        if known is None:
            self._entries.pop(key, None)
        else:
            # Called with the dead reference, this is `pop(key, reference)`: silent where the entry is gone already.
            forget = partial(self._entries.pop, key)
            self._entries[key] = (known, _version(tensor), weakref.ref(tensor, forget))


class Tags(Table[Tag]):
    """What the numbers of tensors mean: those of floating-point tensors, and masks and one-hot rows of any type."""

    def put(self, tensor: Tensor, known: Tag | None) -> None:
        if known is None or tensor.is_floating_point() or known.meaning in _OF_ANY_TYPE:
            super().put(tensor, known)


def _version(tensor: Tensor) -> int | None:
    try:
        return tensor._version  # noqa: SLF001 (there is no public name for it)
    except RuntimeError:  # tensors made in inference mode have no version counter
        return None
