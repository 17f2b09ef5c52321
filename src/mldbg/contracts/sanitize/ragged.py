"""Sequences of unequal length: padded to one tensor, packed to one list of entries, and back. Padding is no part of a law."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from mldbg.contracts.sanitize.carrying import whole_or_part
from mldbg.contracts.sanitize.combining import common
from mldbg.contracts.sanitize.effect import Arguments, Effect, Function, Keywords, argument
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.semantics import Semantic


def _padded(tag: Tag | None, value: Any) -> Tag | None:
    """What rows with a tag are together with padding."""
    if tag is None or not isinstance(value, int | float):
        return None
    match tag.meaning:
        case Semantic.PROBS if value == 0:
            return tag._replace(scaled=True)
        case Semantic.UNIT_INTERVAL if 0 <= value <= 1:
            return tag
        case Semantic.NON_NEGATIVE if value >= 0:
            return tag
        case Semantic.LOGITS | Semantic.LOG_PROBS:
            return tag
        case _:
            return None


def _pads(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """pad_sequence(sequences, batch_first, padding_value): the sequences get an axis of their own, beside that of entries."""
    sequences = argument(args, kwargs, 0, "sequences")
    result = function(*args, **kwargs)
    tag = common(watch, sequences)
    if tag is not None:
        moved = tag.moved(result.dim() - 1, lambda axis: axis + 1 if axis else None)
        known = whole_or_part(tag, moved)
        is_even = len({each.shape[0] for each in sequences}) == 1
        watch.tags.put(result, known if is_even else _padded(known, argument(args, kwargs, 2, "padding_value", default=0.0)))
    return result


def _packs(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """_pack_padded_sequence(input, lengths, batch_first) -> (entries, sizes): the first two axes become one, without padding."""
    return _with_rows(watch, function, args, kwargs, lambda axis: axis - 1 if axis > 1 else None, lambda tag: tag)


def _unpacks(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """_pad_packed_sequence(entries, sizes, batch_first, padding_value, ...) -> (padded, lengths)."""
    padding = argument(args, kwargs, 3, "padding_value", default=0.0)
    return _with_rows(watch, function, args, kwargs, lambda axis: axis + 1 if axis else None, lambda tag: _padded(tag, padding))


def _with_rows(
    watch: Watch,
    function: Function,
    args: Arguments,
    kwargs: Keywords,
    place: Callable[[int], int | None],
    padded: Callable[[Tag | None], Tag | None],
) -> Any:
    source = args[0]
    tag = watch.tags.of(source)
    results = function(*args, **kwargs)
    if tag is not None and isinstance(results[0], Tensor):
        watch.tags.put(results[0], padded(whole_or_part(tag, tag.moved(source.dim(), place))))
    return results


_BY_NAME: Mapping[tuple[Any, str], Effect] = {
    (torch._C._nn, "pad_sequence"): _pads,  # noqa: SLF001 (what torch.nn.utils.rnn calls)
    (torch, "_pack_padded_sequence"): _packs,
    (torch, "_pad_packed_sequence"): _unpacks,
}
EFFECTS: Mapping[Any, Effect] = {
    function: effect for (owner, name), effect in _BY_NAME.items() if (function := getattr(owner, name, None)) is not None
}
"""torch function -> effect."""
