"""Effects that carry a meaning from the first argument to the result: views, slices, casts, reductions."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor

from mldbg.contracts.sanitize import axes, evidence
from mldbg.contracts.sanitize.effect import (
    LOG_PROBS,
    LOGITS,
    PROBS,
    UNIT,
    Arguments,
    Effect,
    Function,
    Keywords,
    argument,
    first_of,
)
from mldbg.contracts.sanitize.tags import UNASKED, Span, Tag, Total
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.effect import Clamps, Pools
from mldbg.operations.losses import OVER_BATCH, WRONG_AXIS
from mldbg.semantics import Semantic

Change = Callable[[Tag, torch.Size, Tensor, Arguments, Keywords], Tag | None]
"""(tag, shape before, result, args, kwargs) -> tag of the result."""


def follows(change: Change) -> Effect:
    """An effect that does nothing unless the first argument has a tag."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        tag = watch.tags.of(source)
        if tag is None:
            return function(*args, **kwargs)
        shape = source.shape
        result = function(*args, **kwargs)
        for each in result if isinstance(result, tuple) else (result,):
            if isinstance(each, Tensor):
                watch.tags.put(each, change(tag, shape, each, args, kwargs))
        return result

    return effect


def part(tag: Tag) -> Tag | None:
    """Some of the values that a law ties together: probabilities stay between 0 and 1, log-probabilities become unknown."""
    if tag.meaning is PROBS:
        return None if tag.scaled else tag.loosely()
    return None if tag.meaning is LOG_PROBS else tag.along(None)


def keep(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Same values in the same places: casts, copies, detach, clamp."""
    return tag if result.shape == shape else None


EPSILON = 1e-3
"""A bound up to this far inside [0, 1] keeps a logarithm finite and changes nothing else of probabilities."""

TINY_LOG = -12.0
"""A log-probability that is cut off here was below 1e-5."""


def clamps(row: Clamps) -> Effect:
    """Values beyond a bound are put onto it. Bounds that are tensors are not read."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        if tag.total is not None:  # kept from 0 before it divides
            return tag
        given = dict(zip(row.params, args, strict=False)) | kwargs
        low, high = (given[name] if isinstance(given.get(name), int | float) else None for name in ("min", "max"))
        if tag.meaning in (PROBS, LOG_PROBS):
            lowest, highest = (EPSILON, 1 - EPSILON) if tag.meaning is PROBS else (TINY_LOG, 0)
            if (low is None or low <= lowest) and (high is None or high >= highest or tag.scaled):
                return tag
            return part(tag) if (low is None or low <= 1) and (high is None or high >= 0) else None
        within = (low is None or low <= 1) and (high is None or high >= 0)
        return tag if tag.meaning is not UNIT or within else None

    carried = follows(change)

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source, given = first_of(args, kwargs), dict(zip(row.params, args, strict=False)) | kwargs
        cut_at = None
        if _cuts_unit_interval(given.get("min"), given.get("max")) and is_score(source):
            here = watch.here()
            cut_at = here if watch.looks_at(here) and evidence.is_cut_off(source) else None
        result = carried(watch, function, args, kwargs)
        if cut_at is not None:
            watch.tags.put(result, Tag(None, None, cut_at, made=LOGITS))
        return result

    return effect


def _cuts_unit_interval(low: Any, high: Any) -> bool:
    """Whether bounds are 0 and 1, or a little inside."""
    numbers = isinstance(low, int | float) and isinstance(high, int | float)
    return numbers and 0 <= low <= EPSILON and 1 - EPSILON <= high <= 1


_MOVE_ONLY = re.compile(
    r"(Squeeze|Unsqueeze|View|UnsafeView|ReshapeAlias|Select|Slice|Gather|Index|IndexSelect|MaskedSelect|Split|Unbind|Transpose"
    r"|Permute|T|Clone|ToCopy)Backward\d$"
)
_SUMS_PRODUCTS = re.compile(r"(Addmm|Mm|Bmm|Addbmm|Baddbmm|Mv|Dot|Convolution|Sum)Backward\d$")


def is_score(tensor: Any) -> bool:
    """Whether values are raw sums of a layer, or of several, as the graph of their gradients says, and no arithmetic came after.

    A sigmoid by hand has some: `(x + 1) / 2`, `0.2 * x + 0.5`.
    """
    node = _behind_moves(getattr(tensor, "grad_fn", None))
    if node is None:
        return False
    name = node.name()
    adds_two = name.startswith("AddBackward") and all(function is not None for function, _ in node.next_functions)
    return adds_two or _SUMS_PRODUCTS.match(name) is not None


def _behind_moves(node: Any) -> Any:
    """The node of the graph that made the values which later ones only move, or choose from."""
    while node is not None and _MOVE_ONLY.match(node.name()):
        node = node.next_functions[0][0]
    return node


def comes_from_any_weights(tensor: Tensor) -> bool:
    """Whether values are the sums of a layer with weights below 0, which nothing keeps within bounds."""
    node = _behind_moves(tensor.grad_fn)
    if node is not None and node.name().startswith("AddBackward") and len(node.next_functions) == 2:
        sums, bias = (function for function, _ in node.next_functions)
        node = _behind_moves(sums) if getattr(bias, "variable", None) is not None else node
    if node is None or not _SUMS_PRODUCTS.match(node.name()):
        return False
    leaves = (_behind_moves(each) for each, _ in node.next_functions)
    weights = (getattr(leaf, "variable", None) for leaf in leaves)
    return any(isinstance(each, Tensor) and each.dim() > 1 and evidence.is_below_zero(each) for each in weights)


def lose_in_training(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Alpha dropout: some values become negative."""
    return tag if tag.meaning is LOGITS or not _drops(args, kwargs) else None


def scale_in_training(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Dropout: some values become 0, the others are scaled."""
    return scaled(tag) if _drops(args, kwargs) else tag


def _drops(args: Arguments, kwargs: Keywords) -> bool:
    training = argument(args, kwargs, 2, "training", "train", default=True)
    return bool(training and argument(args, kwargs, 1, "p", default=0.5))


def scaled(tag: Tag) -> Tag | None:
    """Times a constant that is not negative."""
    if tag.mean:
        return tag
    match tag.meaning:
        case Semantic.PROBS:
            return tag._replace(scaled=True)
        case Semantic.LOGITS:
            return tag
        case _:
            return None


def regroup(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """view, reshape, flatten, unflatten, ravel."""
    return tag.moved(len(shape), lambda axis: axes.regrouped(axis, shape, result.shape)) if has_axes(tag) else tag


def moves(name: str) -> Effect:
    """The axis goes elsewhere, the values stay: permute, squeeze, ..."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        return tag.moved(len(shape), lambda axis: axes.place(name, axis, shape, args, kwargs)) if has_axes(tag) else tag

    return follows(change)


def has_axes(tag: Tag) -> bool:
    """Whether anything is known of where the law's axis is, or is not."""
    return tag.axis is not None or tag.others != ()


def chooses_entries(name: str) -> Effect:
    """Some of the entries along axes, or each of them several times: an index, narrow, split, select, expand, ..."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        if not has_axes(tag):
            return tag

        def place(axis: int) -> int | None:
            now = axes.place(name, axis, shape, args, kwargs)
            return now if now is not None and result.shape[now] == shape[axis] else None  # of several results one may be whole

        return whole_or_part(tag, tag.moved(len(shape), place))

    return follows(change)


def whole_or_part(tag: Tag, moved: Tag) -> Tag | None:
    """What is known after an operation that puts axes elsewhere and may take entries away.

    Log-probabilities say something as long as it is known along which axis they were not normalised.
    """
    if tag.axis is None or moved.axis is not None or (tag.meaning is LOG_PROBS and moved.others):
        return moved
    return part(tag)


def pick(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Single values, of places that are not followed: masked_select, take."""
    return part(tag)


def turn(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """rot90: two axes change places with every odd number of turns."""
    one, two = (axis % len(shape) for axis in argument(args, kwargs, 2, "dims", default=(0, 1)))
    if argument(args, kwargs, 1, "k", default=1) % 2 == 0:
        return tag
    return tag.moved(len(shape), lambda axis: {one: two, two: one}.get(axis, axis))


def window(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """Tensor.unfold: windows along one axis, which get an axis of their own behind all others."""
    dim = argument(args, kwargs, 1, "dimension") % len(shape)
    return part(tag) if tag.axis == dim else tag._replace(others=())


def accumulate(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """cumsum: the sums of probabilities along their own axis stay below 1."""
    dim = argument(args, kwargs, 1, "dim")
    if tag.meaning is LOGITS:
        return tag.along(None)
    if tag.meaning is not PROBS or tag.scaled or type(dim) is not int:
        return None
    return tag.loosely() if tag.axis == dim % len(shape) else scaled(tag)


def reduce(name: str, *, total: bool) -> Effect:
    """Means and sums over other axes than the one that sums to 1. total: a sum, so that probabilities are scaled.

    A mean of numbers in [0, 1] stays there, whatever the axis.
    """

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        if tag.meaning is UNIT and not total and argument(args, kwargs, 1, "dim", "axis") is not None:
            return tag
        if tag.meaning is UNIT and total and (dim := _only_axis(args, kwargs)) is not None:
            if tag.weighed is not None and dim % len(shape) == tag.weighed[0]:
                return tag.weighed[1]._replace(by_hand=True)
            return Tag(None, None, tag.site, summed=tag._replace(weighed=None))
        if tag.picked is not None:
            return None
        if tag.mean and argument(args, kwargs, 1, "dim", "axis") is not None:  # over heads
            return tag
        if tag.axis is not None and tag.meaning is None and tag.cut is not None:
            dim = _only_axis(args, kwargs)
            if dim is None or not total:
                return None
            is_mean = dim % len(shape) == tag.axis
            return tag.along(None if is_mean else axes.place(name, tag.axis, shape, args, kwargs))._replace(mean=is_mean)
        if tag.axis is None or tag.meaning not in (PROBS, LOGITS):
            return None
        axis = axes.place(name, tag.axis, shape, args, kwargs)
        if axis is None:
            return None
        return scaled(tag.along(axis)) if total else tag.along(axis)

    def means(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        _check_picked(watch, args, kwargs)
        return carried(watch, function, args, kwargs)

    carried = follows(change)
    if not total:
        return means

    def sums(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        result = means(watch, function, args, kwargs)
        note_total(watch, PROBS, result, args, kwargs)
        return result

    return sums


def _check_picked(watch: Watch, args: Arguments, kwargs: Keywords) -> None:
    """A sum over one-hot rows times log-probabilities, a cross-entropy by hand, where these ran over another axis."""
    source = first_of(args, kwargs)
    tag = watch.tags.of(source)
    if tag is None or tag.picked is None or tag.axis is None:
        return
    dims = argument(args, kwargs, 1, "dim", "axis")
    summed = {dim % source.dim() for dim in (dims if isinstance(dims, tuple | list) else [dims])} if dims is not None else None
    if summed is None or tag.axis in summed:
        elsewhere = OVER_BATCH if tag.picked.axis == 0 and source.dim() == 2 else WRONG_AXIS
        ran = f"axis {tag.axis} (classes); the activation ran over axis {tag.picked.axis}"
        watch.found(elsewhere, "sum", "input", source, tag.picked, ran)


def takes_classes(effect: Effect, *, by_index: bool) -> Effect:
    """gather(dim, index), or `x[rows, index]`: so a cross-entropy by hand takes the log-probability of one class from each row.

    Reported where the scores were a layer's outputs along that axis, and the log-softmax ran over another one.
    """

    def noted(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        source = first_of(args, kwargs)
        tag = watch.tags.of(source)
        if tag is not None and tag.classes is not None and tag.axis is not None and tag.meaning is LOG_PROBS:
            taken = _by_index(source, args[1]) if by_index else argument(args, kwargs, 2, "index")
            dim = 1 if by_index else argument(args, kwargs, 1, "dim")
            dim = dim % source.dim() if type(dim) is int else None
            if dim is not None and dim == tag.classes and isinstance(taken, Tensor) and _takes_one_of_each(taken, source, dim):
                proved = evidence.is_not_log_probs(dim, source) and not evidence.refuted(tag, source)
                if proved and evidence.repeats(taken, tag.axis):
                    elsewhere = OVER_BATCH if tag.axis == 0 and source.dim() == 2 else WRONG_AXIS
                    ran = f"axis {dim} (classes); the activation ran over axis {tag.axis}"
                    watch.found(elsewhere, "indexing" if by_index else "gather", "input", source, tag, ran)
        return effect(watch, function, args, kwargs)

    return noted


def _by_index(source: Tensor, index: Any) -> Tensor | None:
    """Of `x[rows, classes]`, with one of each: the classes, as `gather` wants them."""
    pair = index if isinstance(index, tuple) else ()
    if source.dim() != 2 or len(pair) != 2 or not all(isinstance(each, Tensor) and each.dim() == 1 for each in pair):
        return None
    rows, classes = pair
    every = rows.shape == classes.shape == source.shape[:1] and evidence.counts_up(rows, len(rows))
    return classes.unsqueeze(1) if every and not classes.is_floating_point() else None


def _takes_one_of_each(index: Tensor, source: Tensor, dim: int) -> bool:
    wanted = (*source.shape[:dim], 1, *source.shape[dim + 1 :])
    return tuple(index.shape) == wanted and source.shape[dim] > 1


def extremes(effect: Effect, part: Literal["least", "greatest"]) -> Effect:
    """amin, amax, and min and max of all values: by the least and the greatest somebody may scale the scores."""

    def noted(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        result = effect(watch, function, args, kwargs)
        if len(args) == 1 and not kwargs and isinstance(result, Tensor) and is_score(args[0]):
            watch.tags.put(result, Tag(None, None, UNASKED, span=Span(weakref.ref(args[0]), part)))
        return result

    return noted


def _only_axis(args: Arguments, kwargs: Keywords) -> int | None:
    """The axis of a reduction over one."""
    dim = argument(args, kwargs, 1, "dim", "axis")
    if isinstance(dim, tuple | list) and len(dim) == 1:
        (dim,) = dim
    return dim if type(dim) is int else None


def note_total(watch: Watch, gives: Semantic, result: Tensor, args: Arguments, kwargs: Keywords) -> None:
    """Of sum and logsumexp over one axis: the result may normalise what it was taken from."""
    dim, source = _only_axis(args, kwargs), first_of(args, kwargs)
    if dim is not None and source.is_floating_point() and source.dim():
        total, known = Total(gives, dim % source.dim()), watch.tags.of(result)
        watch.tags.put(result, known._replace(total=total) if known is not None else Tag(None, None, UNASKED, total=total))


def pools(row: Pools) -> Effect:
    """Means over neighbours along the last axes, as pooling and interpolation take. Bicubic interpolation overshoots."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        given = dict(zip(row.params, args, strict=False)) | kwargs
        if given.get("mode") == "bicubic":
            return None
        whole_sums = given.get("divisor_override") is None
        if tag.meaning is UNIT:
            return tag if whole_sums else None
        untouched = 2 if row.spatial is None else len(shape) - row.spatial
        if tag.meaning not in (PROBS, LOGITS) or tag.axis is None or tag.axis >= untouched:
            return None
        padded = row.beyond or given.get("padding", 0) not in (0, (0,) * len(shape[untouched:]))
        return scaled(tag) if padded or not whole_sums else tag

    return follows(change)


def negate(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    """`-x`"""
    return tag if tag.meaning is LOGITS or tag.picked is not None else None
