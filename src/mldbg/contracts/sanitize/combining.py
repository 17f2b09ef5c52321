"""Effects of several operands: arithmetic, concatenation, masks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from mldbg.contracts.sanitize import axes, evidence, pieces
from mldbg.contracts.sanitize.carrying import follows, has_axes, part, pick, scaled, whole_or_part
from mldbg.contracts.sanitize.effect import (
    LOG_PROBS,
    LOGITS,
    NON_NEGATIVE,
    PROBS,
    UNIT,
    Arguments,
    Effect,
    Function,
    Keywords,
    argument,
    first_of,
)
from mldbg.contracts.sanitize.tags import MASKS, Cut, Span, Tag, Total
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.effect import Chooses
from mldbg.operations.losses import CUT_AFTER_SOFTMAX, SOFTMAX_OF_PROBS
from mldbg.semantics import FORGOTTEN, Semantic

EPSILON = 1e-3
"""A constant up to this size that is added to probabilities keeps a logarithm finite and changes nothing else."""

Combine = Callable[[Tag, Any], Tag | None]
"""(tag of one operand, the other: a number, or a tensor of one element) -> tag of the result."""


Both = Callable[[Tag, Tensor, Tag, Tensor], Tag | None]
"""(tag of the left operand, that operand, tag of the right one, that one) -> tag of the result, axis included."""


def operands(
    combine: Combine,
    both: Both,
    *,
    commutes: bool,
    adds: bool = False,
    weighs: bool = False,
    normalises_to: Semantic | None = None,
) -> Effect:
    """An elementwise operation of a tensor with a number or with another tensor.

    combine: what a number makes of the tensor. both: what two tensors with tags give.
    normalises_to: what a tensor becomes whose right operand is its own total.
    adds, weighs: whether it is a sum, or a product, of which a mask may be one part.
    commutes: whether the number may stand on the left. Another tensor without a tag makes the result unknown, unless it is a
        bias or a mask that the operation adds.
    """
    scales = weighs or normalises_to is PROBS

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        left, right = first_of(args, kwargs), argument(args, kwargs, 1, "other")
        tag, other = watch.tags.of(left), watch.tags.of(right)
        if tag is None and other is None:
            return function(*args, **kwargs)
        if adds and isinstance(left, Tensor) and isinstance(right, Tensor):
            uses_mean(watch, left, tag)
            uses_mean(watch, right, other)
        if weighs and isinstance(left, Tensor) and isinstance(right, Tensor):
            for weights, known, factor in ((left, tag, right), (right, other, left)):
                weighed = _weighed(watch, weights, known, factor) if known is not None else None
                if weighed is not None:
                    result = function(*args, **kwargs)
                    watch.tags.put(result, weighed)
                    return result
            for values, known, factor in ((left, tag, right), (right, other, left)):
                kept = _masked(watch, values, known, factor) if known is not None else None
                if kept is not None:
                    result = function(*args, **kwargs)
                    watch.tags.put(result, kept if result.shape == values.shape else None)
                    return result
        if normalises_to is PROBS and tag is not None and tag.summed is not None:
            result = function(*args, **kwargs)
            watch.tags.put(result, tag.summed._replace(by_hand=True) if result.shape == left.shape else None)
            return result
        if other is not None and isinstance(left, Tensor):
            if tag is not None and other.total is not None and other.total.gives is normalises_to:
                _normalised_again(watch, tag, left, other.total, right)
            if other.span is not None and normalises_to is not None:
                scaled_down = _by_own_range(watch, tag, left, other.span, divides=normalises_to is PROBS)
                result = function(*args, **kwargs)
                watch.tags.put(result, scaled_down)
                return result
        if tag is not None and other is not None and weighs:
            picked = _picked(tag, left, other, right) or _picked(other, right, tag, left)
            if picked is not None:
                result = function(*args, **kwargs)
                watch.tags.put(result, picked)
                return result
        if tag is not None and other is not None and not (weighs and tag.rate and other.rate):
            tag, other = None if tag.is_aside else tag, None if other.is_aside else other
        total = other.total if other is not None else None
        shape: torch.Size | None = left.shape if tag is not None else right.shape
        if "alpha" in kwargs or "rounding_mode" in kwargs:
            new = None
        elif total is not None and total.gives is normalises_to and isinstance(left, Tensor) and total.fits(left, right):
            new, shape = Tag(normalises_to, total.axis, watch.here(), by_hand=True), left.shape
        elif tag is not None and other is not None:
            new, shape = both(tag, left, other, right), None
        elif tag is not None:
            new = combine(tag, right) if _is_constant(right) else _beside(watch, tag, left, right, adds=adds, scales=scales)
            if new is None and normalises_to is PROBS and _is_shared_out(tag, left, right):
                new = tag._replace(scaled=True, cut=None, parts=None)
        elif other is not None:
            new = combine(other, left) if commutes and _is_constant(left) else None
            if new is None and commutes and isinstance(left, Tensor):
                new = _beside(watch, other, right, left, adds=adds, scales=scales)
        else:
            new = None
        result = function(*args, **kwargs)
        watch.tags.put(result, new if shape is None or result.shape == shape else None)
        return result

    return effect


def _normalised_again(watch: Watch, tag: Tag, left: Tensor, total: Total, right: Tensor) -> None:
    """A softmax by hand, or the logarithm of one. Reports it where what goes in are probabilities already."""
    by_exponentials = total.gives is PROBS and tag.exponents is not None
    before = tag.exponents if by_exponentials else tag if total.gives is LOG_PROBS and tag.meaning is PROBS else None
    if before is None or before.axis != total.axis or not total.fits(left, right):
        return
    exponents = left.detach().log() if by_exponentials else left
    is_own = evidence.is_normaliser(exponents, right, total.axis, logged=not by_exponentials)
    if is_own and evidence.is_one_distribution(before, exponents):
        watch.found(SOFTMAX_OF_PROBS, "softmax", "input", exponents, before, f"axis {total.axis}")


def _by_own_range(watch: Watch, tag: Tag | None, left: Tensor, span: Span, *, divides: bool) -> Tag | None:
    """The next step of `(x - x.min()) / (x.max() - x.min())`, of which the right operand is the least value, or the range."""
    mine = tag.span if tag is not None else None
    if not divides and span.part == "least":
        if span.scores() is left:
            return span.after("above the least")
        return span.after("range") if mine is not None and mine.part == "greatest" and mine.scores is span.scores else None
    if divides and span.part == "range" and mine is not None and mine.part == "above the least" and mine.scores is span.scores:
        return Tag(None, None, watch.here(), made=LOGITS)
    return None


def _picked(one: Tag, one_hot: Tensor, two: Tag, logs: Tensor) -> Tag | None:
    """The product of one-hot rows with log-probabilities of which the values show that they ran over another axis."""
    if one.meaning is not Semantic.ONE_HOT or two.meaning is not LOG_PROBS or one_hot.shape != logs.shape:
        return None
    if one.axis is None or two.axis is None or one.axis == two.axis:
        return None
    proved = evidence.is_not_log_probs(one.axis, logs) and not evidence.refuted(two, logs)
    return Tag(None, one.axis, two.site, picked=two) if proved and evidence.picks_twice(one_hot, two.axis) else None


def _is_constant(value: Any) -> bool:
    """A number, or a tensor that holds one and is not computed for each sample: a temperature."""
    return isinstance(value, int | float) or (isinstance(value, Tensor) and value.numel() == 1 and value.dim() <= 1)


def _beside(watch: Watch, tag: Tag, tensor: Tensor, other: Any, *, adds: bool, scales: bool) -> Tag | None:
    """What an operation with an unknown tensor leaves: scores plus an offset are scores, a rate times an exposure is a rate."""
    if not isinstance(other, Tensor):
        return None
    if scales and tag.rate and not other.requires_grad:
        return _still_rate(tag)
    if not adds:
        return None
    if tag.meaning is LOGITS and (isinstance(other, nn.Parameter) or not other.requires_grad):
        beside = watch.tags.of(other)
        return tag._replace(logged=True) if beside is not None and beside.logged else tag
    if tag.meaning is PROBS and not tag.scaled and evidence.hides(other) and not evidence.refuted(tag, tensor):
        return tag._replace(scaled=True, masked=watch.here())
    return _blended(tag) if tag.meaning is PROBS else None


def _blended(tag: Tag) -> Tag | None:
    """What probabilities are after something was added to them: probabilities again, if the values show it, as in a mixture."""
    is_whole = tag.axis is not None and tag.masked is None and tag.cut is None
    return tag._replace(scaled=False, by_hand=True, parts=None) if is_whole else None


def _is_shared_out(tag: Tag, rows: Any, number: Any) -> bool:
    """Whether rows of probabilities are divided by a number of each row that was counted: a mean over what is not masked."""
    if tag.meaning is not PROBS or tag.axis is None or tag.masked is not None or tag.cut is not None:
        return False
    counted = isinstance(rows, Tensor) and isinstance(number, Tensor) and not number.requires_grad
    return counted and _is_even_along(tag.axis, rows, number)


def uses_mean(watch: Watch, tensor: Tensor, tag: Tag | None) -> None:
    """A weighted mean goes on to where nobody divides it any more. Reports it where a mask set some of its weights to 0."""
    if tag is not None and tag.mean and tag.cut is not None and not tag.cut.in_parts:
        watch.found(CUT_AFTER_SOFTMAX, "softmax", "mask", tensor, tag, consumer=tag.cut.site)


def _weighed(watch: Watch, weights: Tensor, tag: Tag, factor: Tensor) -> Tag | None:
    """What a product of a softmax's weights with a mask, or of masked weights with rows, is; None where it is neither."""
    if tag.meaning is not PROBS or tag.axis is None or (_is_computed(watch, factor) and tag.cut is None):
        return None
    lead = weights.dim() - factor.dim()
    if lead < 0 or tag.axis < lead or factor.shape[tag.axis - lead] != weights.shape[tag.axis]:
        return None
    others = list(zip(weights.shape[lead:], factor.shape, strict=True))
    if all(size in (1, whole) for whole, size in others):
        return cut_by(watch, weights, tag, factor)
    is_rows = tag.cut is not None and all(size == whole or whole == 1 for whole, size in others)
    return Tag(None, tag.axis, tag.site, cut=tag.cut) if is_rows else None


def _is_computed(watch: Watch, factor: Tensor) -> bool:
    """Whether something is known of a factor by which it is no mask."""
    tag = watch.tags.of(factor)
    return tag is not None and tag.meaning not in MASKS


def _masked(watch: Watch, values: Tensor, tag: Tag, factor: Tensor) -> Tag | None:
    """What a factor of 0 and 1 leaves: rows that are taken away as a whole, values in [0, 1], scores."""
    if tag.meaning not in (PROBS, UNIT, LOGITS) or tag.cut is not None or tag.total is not None or factor.requires_grad:
        return None
    if _is_computed(watch, factor) or factor.numel() == 1 or factor.dim() > values.dim():
        return None
    if tag.meaning is PROBS and (tag.axis is None or tag.masked is not None or not _is_even_along(tag.axis, values, factor)):
        return None
    if factor.dtype is not torch.bool and not (watch.looks_at(watch.here()) and evidence.is_mask(factor)):
        return None
    return tag if tag.meaning is not PROBS else tag._replace(scaled=True, parts=None)


def cut_by(watch: Watch, weights: Tensor, tag: Tag, kept: Tensor) -> Tag | None:
    """The tag of a softmax's weights where a mask keeps some of them and sets the others to 0; None where that is not certain."""
    if tag.meaning is not PROBS or tag.axis is None or tag.masked is not None or kept.requires_grad:
        return None
    if tag.cut is not None:  # one mask after another
        return tag if evidence.is_mask(kept) else None
    if tag.parts is not None:
        tag.parts.in_parts = True
        return None
    kept = kept[(None,) * (weights.dim() - kept.dim())]
    if kept.shape[tag.axis] != weights.shape[tag.axis]:
        return None
    here = watch.here()
    if not watch.looks_at(here) or not evidence.cuts(weights, kept, tag.axis) or evidence.refuted(tag, weights):
        return None
    cut = Cut(here)
    watch.tags.put(weights, tag._replace(parts=cut))
    return tag._replace(scaled=True, cut=cut)


def triangle(*, upper: bool) -> Effect:
    """tril, triu: as a mask that looks back or ahead."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        tag = watch.tags.of(source)
        new = None
        if tag is not None and tag.meaning is PROBS:
            diagonal = argument(args, kwargs, 1, "diagonal", default=0)
            ones = torch.ones(source.shape[-2:], device=source.device)
            kept = ones.triu(diagonal) if upper else ones.tril(diagonal)
            new = cut_by(watch, source, tag, kept)
        result = function(*args, **kwargs)
        watch.tags.put(result, new)
        return result

    return effect


def times(tag: Tag, number: Any) -> Tag | None:
    """A tensor times or divided by a constant. The sign of a constant in a tensor is not read."""
    if tag.mean and isinstance(number, Tensor):  # it may be what normalises it
        return None
    if tag.picked is not None:
        return tag
    if tag.rate and not isinstance(number, Tensor):
        return _still_rate(tag) if number > 0 else None
    if tag.meaning is LOGITS or isinstance(number, Tensor) or number > 0:
        return scaled(tag)
    return None


def plus(tag: Tag, number: Any) -> Tag | None:
    """A tensor plus or minus a constant."""
    if tag.meaning is LOGITS:
        return tag
    is_epsilon = not isinstance(number, Tensor) and abs(number) <= EPSILON
    if tag.span is not None:
        return tag if is_epsilon else None
    if tag.rate and tag.total is None:
        return _still_rate(tag) if is_epsilon else None
    if tag.meaning is PROBS and not is_epsilon and not isinstance(number, Tensor) and number > 0:
        return _blended(tag)
    return tag if is_epsilon and (tag.meaning in (PROBS, UNIT) or tag.total is not None) else None


def _still_rate(tag: Tag) -> Tag:
    return Tag(None, None, tag.site, rate=True)


def power(tag: Tag, number: Any) -> Tag | None:
    """A tensor to the power of a constant: what lies in [0, 1] stays there."""
    if tag.meaning is LOGITS and not isinstance(number, Tensor) and number == 2:  # as of distances
        return tag.along(None)
    inside = tag.meaning in (PROBS, UNIT) and not tag.scaled
    return tag.loosely() if inside and not isinstance(number, Tensor) and number > 0 else None


def complement(tag: Tag, number: Any) -> Tag | None:
    """A constant minus a tensor: 1 - p is a probability again."""
    if tag.meaning is LOGITS:
        return tag
    if tag.meaning in MASKS and not isinstance(number, Tensor) and number == 1:
        return tag.opposite()
    if tag.meaning in (PROBS, UNIT) and not tag.scaled and not isinstance(number, Tensor) and number == 1:
        return tag.loosely()
    return None


def summed(first: Tag, left: Tensor, second: Tag, right: Tensor) -> Tag | None:
    """A sum of two tensors."""
    if first.meaning is not second.meaning or first.axis != second.axis or left.shape != right.shape:
        return None
    return scaled(first) if first.meaning in (PROBS, LOGITS) else None


def difference(first: Tag, left: Tensor, second: Tag, right: Tensor) -> Tag | None:
    """A difference of two tensors."""
    both_logits = first.meaning is LOGITS and second.meaning is LOGITS
    return first if both_logits and first.axis == second.axis and left.shape == right.shape else None


def weighted(first: Tag, left: Tensor, second: Tag, right: Tensor) -> Tag | None:
    """A product of two tensors: probabilities with a weight for each row, two rates, or two values in [0, 1] each time."""
    if first.rate and second.rate:
        return _still_rate(first) if left.shape == right.shape else None
    for tag, tensor, weight, factor in ((first, left, second, right), (second, right, first, left)):
        is_row = tag.meaning is PROBS and tag.axis is not None and weight.meaning in _NEVER_NEGATIVE
        if is_row and tag.axis is not None and _is_even_along(tag.axis, tensor, factor):
            return scaled(tag)
    if not (_is_within_unit(first) and _is_within_unit(second)):
        return None
    weights, values = (first, second) if first.meaning is PROBS else (second, first)
    if weights.meaning is PROBS and values.meaning is UNIT:
        return weights.loosely()._replace(weighed=(weights.axis, values) if left.dim() == right.dim() else None)
    return weights.loosely()


_NEVER_NEGATIVE = (PROBS, UNIT, NON_NEGATIVE)


def _is_even_along(axis: int, tensor: Tensor, factor: Tensor) -> bool:
    """Whether a factor that leaves the shape as it is has one value for each row along an axis."""
    sizes = (*(1,) * (tensor.dim() - factor.dim()), *factor.shape)
    fits = len(sizes) == tensor.dim() and all(size in (1, whole) for size, whole in zip(sizes, tensor.shape, strict=True))
    return fits and sizes[axis] == 1


def _is_within_unit(tag: Tag) -> bool:
    return tag.meaning in (PROBS, UNIT) and not tag.scaled


def unknown(first: Tag, left: Tensor, second: Tag, right: Tensor) -> Tag | None:
    """A quotient or power of two tensors."""
    return None


def joins(name: str, *, stacks: bool = False) -> Effect:
    """Of cat, stack and the like: what all parts are, the whole is; not so along the axis that sums to 1."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        tensors = argument(args, kwargs, 0, "tensors")
        if isinstance(tensors, list | tuple) and not stacks:
            for tensor in tensors:
                uses_mean(watch, tensor, watch.tags.of(tensor))
        tag = common(watch, tensors)
        result = function(*args, **kwargs)
        if tag is not None and has_axes(tag):
            shapes = tuple(tensor.shape for tensor in tensors)
            moved = tag.moved(len(shapes[0]), lambda axis: axes.place(name, axis, shapes, args, kwargs))
            tag = whole_or_part(tag, moved)
        watch.tags.put(result, tag)
        if may_differ and (tag is None or (tag.axis is None and tag.made is not None)):
            side_by_side = pieces.joined(watch, tensors, argument(args, kwargs, 1, "dim", "axis", default=0), stacks=stacks)
            watch.pieces.put(result, side_by_side)
        return result

    may_differ = stacks or name.rpartition(".")[2].startswith(("cat", "concat"))
    return effect


def common(watch: Watch, tensors: Iterable[Any]) -> Tag | None:
    """The tag that all tensors share, apart from where they were made; None if there is none."""
    tags = [watch.tags.of(tensor) for tensor in tensors] if isinstance(tensors, list | tuple) else []
    first = tags[0] if tags else None
    if first is None:
        return None
    for tag in tags:
        if tag is None or tag.meaning is not first.meaning or tag.axis != first.axis or tag.others != first.others:
            return None
        if tag.rate != first.rate or tag.cut is not first.cut:
            return None
    return first._replace(scaled=any(tag is not None and tag.scaled for tag in tags))


def fills(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """masked_fill and `tensor[mask] = value`: logits stay logits; probabilities no longer sum to 1."""
    source = first_of(args, kwargs)
    tag = watch.tags.of(source)
    if tag is None:
        return function(*args, **kwargs)
    value = argument(args, kwargs, 2, "value")
    is_number = isinstance(value, int | float)
    new = None
    if is_number and (tag.meaning is LOGITS or (tag.meaning is UNIT and 0 <= value <= 1)):
        new = tag
    elif is_number and tag.meaning is PROBS and value >= 0:
        mask = argument(args, kwargs, 1, "mask", "index")
        new = (cut_by(watch, source, tag, ~mask) if value == 0 and _covers(mask, source, function) else None) or scaled(tag)
    elif is_number and tag.meaning is PROBS and value <= FORGOTTEN and not tag.scaled and not evidence.refuted(tag, source):
        new = tag._replace(scaled=True, masked=watch.here())
    result = function(*args, **kwargs)
    filled = result if isinstance(result, Tensor) else source
    watch.tags.put(filled, new if filled.shape == source.shape else None)
    return result


def _covers(mask: Any, source: Tensor, function: Function) -> bool:
    """Whether what says where to fill is a mask, whose axes are the last ones of the tensor: those of an index are the first."""
    if not isinstance(mask, Tensor) or mask.dtype is not torch.bool:
        return False
    return mask.dim() == source.dim() or (mask.dim() < source.dim() and function is not Tensor.__setitem__)


def chooses(row: Chooses) -> Effect:
    """where(condition, a, b), maximum(a, b): what both are, value by value."""
    places = [row.params.index(name) for name in ("input", "other")]
    condition = row.params.index("condition") if "condition" in row.params else None

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        left, right = argument(args, kwargs, places[0], "input", "self"), argument(args, kwargs, places[1], "other")
        tag, other = watch.tags.of(left), watch.tags.of(right)
        new = None
        if tag is not None and other is not None:
            new = _either(tag, other)
        elif condition is not None and tag is not None:
            new = _or_constant(watch, left, tag, argument(args, kwargs, condition, "condition"), right)
        elif condition is not None and other is not None:
            new = _or_constant(watch, right, other, ~argument(args, kwargs, condition, "condition"), left)
        result = function(*args, **kwargs)
        if new is not None:
            watch.tags.put(result, new if result.shape in (getattr(left, "shape", None), getattr(right, "shape", None)) else None)
        return result

    return effect


def _or_constant(watch: Watch, tensor: Tensor, tag: Tag, kept: Tensor, value: Any) -> Tag | None:
    """The tag of values some of which a condition replaces by a constant, as masked_fill does."""
    if tag.meaning not in (PROBS, UNIT, LOGITS) or tag.total is not None:
        return None
    if tag.meaning is PROBS:
        return (cut_by(watch, tensor, tag, kept) or scaled(tag)) if _is_zero(value) else None
    if _is_constant(value) and not isinstance(value, Tensor):
        return tag if tag.meaning is LOGITS or 0 <= value <= 1 else None
    return tag if _is_zero(value) else None


def _is_zero(value: Any) -> bool:
    """Whether it is the number 0, or a tensor that holds no other."""
    if isinstance(value, Tensor):
        return not value.requires_grad and evidence.is_zero(value)
    return isinstance(value, int | float) and value == 0


def _either(one: Tag, two: Tag) -> Tag | None:
    """The tag of values that come from one or the other of two tensors."""
    new = part(one) if one.meaning is two.meaning else None
    return new._replace(scaled=one.scaled or two.scaled) if new is not None else None


def extreme(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """max(x), max(x, dim) with the places beside the values, max(a, b) value by value."""
    if isinstance(argument(args, kwargs, 1, "other"), Tensor):
        return _PAIRWISE(watch, function, args, kwargs)
    return follows(pick)(watch, function, args, kwargs)


_PAIRWISE = chooses(Chooses(("input", "other")))
