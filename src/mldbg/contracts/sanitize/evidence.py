"""What the values say about a suspicion. Read only when a finding is about to be made, so that the price does not matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mldbg.contracts.sanitize.tags import Tag
from mldbg.semantics import FORGOTTEN, Semantic

SLACK = 0.05
"""How far values may be from a law before they refute it. Coarse on purpose: the law is asked whether memory was
overwritten behind the tags' back, not whether rounding (bfloat16: 0.03 on a sum) or a small epsilon was at work."""

ROUNDING = 1e-3
"""How far sums of a layer may be outside [0, 1] by rounding. A layer that is not trained yet gives little more than that."""

CUT_OFF = 0.25
"""The share of values that a guard against rounding, or a linear model of a probability that fits, does not come near."""

LEAST_PLACES, LEAST_MASK, LEAST_ROWS = 4, 32, 3
"""Places in a row, values in a mask, and rows that keep some of theirs: below that the shape of a mask may be chance."""

EVEN = 0.01
"""How far equal sums may be apart, as a share of them. Rounding (float16: 5e-4 on a value) stays below it."""


def refuted(tag: Tag, tensor: Tensor) -> bool:
    """Whether the values cannot be what the tag says. Values that cannot be read refute nothing but what they had to prove."""
    if tag.by_hand and tag.scaled and tag.meaning is Semantic.PROBS:
        return not sums_are_equal(tag, tensor)
    broken = _truth(lambda values: _breaks_law(tag, values), tensor)
    return broken is not False if tag.by_hand else broken is True


def is_whole(tag: Tag, tensor: Tensor) -> bool:
    """Whether scaled probabilities are seen to sum to 1 all the same, as a weighted mean of several does."""
    whole = tag._replace(scaled=False, by_hand=True)
    return tag.axis is not None and not refuted(whole, tensor)


def sums_are_equal(tag: Tag, tensor: Tensor) -> bool:
    """Whether scaled probabilities are seen to sum to 1 in every row, or to one number below it in each of several rows.

    So does what a temperature divides. Rows from which a mask or dropout took something sum to several numbers.
    """
    axis = tag.axis

    def even(values: Tensor) -> Tensor:
        sums = values.sum(axis)
        low, high = sums.aminmax()
        is_below = (low > 0) & (high <= 1 + SLACK) & (high - low <= EVEN * high)
        return is_below & (values >= 0).all() & (sums.numel() > 1)

    return is_whole(tag, tensor) or (axis is not None and _truth(even, tensor) is True)


def is_one_distribution(tag: Tag, tensor: Tensor) -> bool:
    """Whether probabilities sum to 1, or to the same less: scaled ones have to prove it.

    Divided by a temperature above 1 they are flatter still. Below 1 they may be sharpened on purpose.
    """
    return sums_are_equal(tag, tensor) if tag.scaled else not refuted(tag, tensor)


def is_normaliser(exponents: Tensor, total: Tensor, axis: int, *, logged: bool) -> bool:
    """Whether a tensor is seen to be the sum of these exponentials along an axis, or the logarithm of it."""

    def same(values: Tensor) -> Tensor:
        own = values.logsumexp(axis, keepdim=True)
        other = total.detach().to(values)
        return ((own - (other if logged else other.log())).abs() <= EVEN).all()

    return _truth(same, exponents) is True


def picks_twice(one_hot: Tensor, axis: int) -> bool:
    """Whether one-hot rows are seen to pick the same class at several places along an axis: no matching of one with one."""
    return _truth(lambda values: (values.sum(axis) > 1).any(), one_hot) is True


def repeats(ids: Tensor, axis: int) -> bool:
    """Whether an id is seen at two places along an axis: no matching of one with one."""

    def claim(values: Tensor) -> Tensor:
        return (values.sort(axis).values.diff(dim=axis) == 0).any()

    return _truth(claim, ids) is True


def leaves_unit_interval(tag: Tag, tensor: Tensor) -> bool:
    """Whether a value is seen outside [0, 1]. Values that cannot be read prove nothing."""
    return _truth(lambda values: ((values < -SLACK) | (values > 1 + SLACK)).any(), tensor) is True


def is_negative(tensor: Tensor) -> bool:
    """Whether a value is seen below 0. Values that cannot be read prove nothing."""
    return _truth(lambda values: (values < -SLACK).any(), tensor) is True


def is_below_zero(tensor: Tensor) -> bool:
    """Whether a value is seen below 0, by however little."""
    return _truth(lambda values: (values < 0).any(), tensor) is True


def is_cut_off(tensor: Tensor) -> bool:
    """Whether many values, some of them negative, are seen to lie outside [0, 1], where a clamp takes their gradient."""

    def outside(values: Tensor) -> Tensor:
        beyond = (values < -ROUNDING) | (values > 1 + ROUNDING)
        return (beyond.float().mean() >= CUT_OFF) & (values < -ROUNDING).any()

    return _truth(outside, tensor) is True


def is_not_log_probs(axis: int, tensor: Tensor) -> bool:
    """Whether the exponentials along the axis are seen not to sum to 1. Values that cannot be read prove nothing."""
    return _truth(lambda values: ((values.exp().sum(axis) - 1).abs() > SLACK).any(), tensor) is True


def hides(tensor: Tensor) -> bool:
    """Whether a tensor that is added holds minus infinity, or a number meant as such: an additive mask, and not activations."""
    return _truth(lambda values: (values <= 10 * FORGOTTEN).any(), tensor) is True


def cuts(weights: Tensor, kept: Tensor, axis: int) -> bool:
    """Whether a mask is seen to take some of the weights that no choice among the weights themselves would take.

    Rows must differ in how much they keep, and what was taken must weigh something, some of it more than what was kept: a choice
    of the best takes the least. Masks that say little, because they are small, prove nothing. What may be taken: the end, or the
    beginning, of each row, as padding and a look ahead do; what is not joined in a graph; keys that all queries of a sample lack.

    weights: before the mask. kept: 0 or 1, of as many axes; each of size 1, or of that of the weights.
    """

    def claim(values: Tensor) -> bool:
        mask = kept.detach().to(values)
        rows = mask.movedim(axis, -1).reshape(-1, mask.shape[axis])
        if rows.shape[1] < LEAST_PLACES or rows.numel() < LEAST_MASK or not _is_mask(rows):
            return False
        numbers = rows.sum(1)
        numbers = numbers[numbers > 0]
        if (numbers < rows.shape[1]).sum() < LEAST_ROWS or numbers.min() == numbers.max():
            return False
        if not (_cuts_ends(rows) or _is_graph(mask, axis) or (axis == values.dim() - 1 and _lacks_keys(values, mask))):
            return False
        taken = values * (1 - mask)
        least = values.masked_fill(mask == 0, float("inf")).amin(axis)
        return bool((taken.sum(axis) > SLACK).any() & ((taken.amax(axis) > least) & least.isfinite()).any())

    return _truth(claim, weights) is True


def _cuts_ends(rows: Tensor) -> bool:
    steps = rows.diff(dim=1)
    return bool((steps <= 0).all() | (steps >= 0).all())


def _is_graph(mask: Tensor, axis: int) -> bool:
    """Whether a mask of nodes along an axis against nodes says the same in both directions, and joins some that are not the same.

    The axis of the other nodes lies beside it.
    """
    besides = [other for other in (axis - 1, axis + 1) if 0 <= other < mask.dim() and mask.shape[other] == mask.shape[axis]]
    return any(
        bool((mask == mask.transpose(axis, other)).all() & (mask.movedim((axis, other), (-1, -2)).tril(-1) > 0).any())
        for other in besides
    )


def _lacks_keys(values: Tensor, mask: Tensor) -> bool:
    """Whether a mask says one thing to all queries, of which there are several, and different things in different samples.

    What it says is not all the same in the sense that a key is missing everywhere: that may be one that stands for nothing.
    """
    if values.dim() < 3 or mask.shape[-2] != 1 or values.shape[-2] == 1:
        return False
    return mask.shape[0] == values.shape[0] >= LEAST_ROWS and bool((mask > 0).flatten(0, -2).any(0).all())


def is_mask(tensor: Tensor) -> bool:
    """Whether all values are seen to be 0 or 1."""
    return _truth(_is_mask, tensor) is True


def is_zero(tensor: Tensor) -> bool:
    """Whether all values are seen to be 0."""
    return _truth(lambda values: (values == 0).all(), tensor) is True


def _is_mask(values: Tensor) -> Tensor:
    return ((values == 0) | (values == 1)).all()


def counts_up(tensor: Tensor, end: int) -> bool:
    """Whether the values are 0, 1, 2, ..., and start again where they come to `end`."""
    return _truth(lambda values: (values == torch.arange(len(values), device=values.device) % end).all(), tensor) is True


LEAST_VOCABULARY = 16
"""Ids that stay below it may be types, segments or documents, of which any may be the one that is looked for."""


def sees_later_positions_only(dropped: Tensor) -> bool:
    """Whether a mask of positions against themselves leaves out the present and all of the past, and nothing else.

    dropped: True where a position is left out, of shape (..., positions, positions).
    """

    def claim(values: Tensor) -> Tensor:
        past = torch.ones(values.shape[-2:], dtype=torch.bool, device=values.device).tril()
        return ((values > 0) == past).flatten(-2).all(-1).any()

    is_square = dropped.dim() > 1 and dropped.shape[-1] == dropped.shape[-2] and dropped.shape[-1] > 2
    return is_square and _truth(claim, dropped) is True


def leaves_out_all_keys(dropped: Tensor) -> bool:
    """Whether a padding mask leaves out a whole sequence, and the beginning of every other one up to some place.

    Such is the inverse of right padding. Left padding leaves out beginnings as well, but no whole sequence.
    dropped: True where a key is left out, of shape (..., keys).
    """

    def claim(values: Tensor) -> Tensor:
        rows = values.flatten(0, -2) > 0 if values.dim() > 1 else values[None] > 0
        return rows[:, 0].all() & rows.all(1).any() & (rows[:, :-1] >= rows[:, 1:]).all()

    return dropped.dim() > 0 and dropped.shape[-1] > 1 and _truth(claim, dropped) is True


def are_tokens(ids: Tensor | None) -> bool:
    """Whether there are so many ids that one of them may be the padding. None: they are gone."""
    return ids is not None and _truth(lambda values: values.max() >= LEAST_VOCABULARY, ids) is True


def are_fractions(tensor: Tensor) -> bool:
    """Whether values are seen that are no whole numbers: measured data, of which hardly a value is 0 by chance."""
    return _truth(lambda values: (values != values.round()).any(), tensor) is True


def keeps_one_end(dropped: Tensor) -> bool:
    """Whether a mask keeps some places at one end of each row and no other, as what keeps the padding does.

    A single position at an end may be that of a class token, which others attend to on purpose.
    """

    def claim(values: Tensor) -> Tensor:
        rows = values.flatten(0, -2) > 0 if values.dim() > 1 else values[None] > 0
        first, last = rows[:, :-1], rows[:, 1:]
        at_one_end = (rows[:, 0].all() & (first >= last).all()) | (rows[:, -1].all() & (first <= last).all())
        return at_one_end & ((~rows).sum(1).amax() > 1)

    return dropped.dim() > 0 and dropped.shape[-1] > 1 and _truth(claim, dropped) is True


def statistics(tensor: Tensor) -> Mapping[str, float]:
    """The range of the values, for the message; empty where it cannot be read."""
    found: dict[str, float] = {}

    def read(values: Tensor) -> bool:
        low, high = values.aminmax()
        found.update({"min": float(low), "max": float(high), "NaN count": float(values.isnan().sum())})
        return True

    _truth(read, tensor)
    return {name: value for name, value in found.items() if name != "NaN count" or value}


def _breaks_law(tag: Tag, values: Tensor) -> Tensor:
    # Comparisons with NaN are false: a row that is NaN breaks nothing.
    match tag.meaning:
        case Semantic.NON_NEGATIVE:
            broken = values < 0
        case Semantic.PROBS if tag.scaled:
            broken = values < -SLACK
        case Semantic.PROBS | Semantic.UNIT_INTERVAL:
            broken = (values < -SLACK) | (values > 1 + SLACK)
            if tag.meaning is Semantic.PROBS and tag.axis is not None:
                return broken.any() | ((values.sum(tag.axis) - 1).abs() > SLACK).any()
        case Semantic.LOG_PROBS:
            broken = values > SLACK
            if tag.axis is not None:
                return broken.any() | ((values.exp().sum(tag.axis) - 1).abs() > SLACK).any()
        case _:
            broken = values.isnan() & False
    return broken.any()


def _truth(claim: Callable[[Tensor], Tensor | bool], tensor: Tensor) -> bool | None:
    """Whether a claim holds for the values; None where they cannot be read.

    That is so under vmap, for fake and meta tensors, and while a CUDA graph is being recorded.
    """
    if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    try:
        with torch.no_grad():
            return bool(claim(tensor.detach().float()))
    except (RuntimeError, NotImplementedError):
        return None
