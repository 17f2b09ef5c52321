"""Masks that say by True what to keep, or what to drop, on their way to attention.

What a mask says is known where a contract declares it, and where it comes from a comparison: `ids != pad` keeps, `ids == pad`
drops, if the values show that this id is the padding; `arange(T) < lengths` keeps. Of other masks the values speak where they
leave no doubt: a causal mask that sees later positions only, a padding mask that leaves out a whole sequence and beginnings.
"""

from __future__ import annotations

import operator
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mldbg.contracts.flags import Site
from mldbg.contracts.sanitize import carrying, combining, evidence, tables
from mldbg.contracts.sanitize.effect import Arguments, Effect, Function, Keywords, argument, first_of
from mldbg.contracts.sanitize.finding import Finding
from mldbg.contracts.sanitize.site import users_locals
from mldbg.contracts.sanitize.tags import MASKS, Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.effect import Attends, Test, Tests
from mldbg.operations.losses import DROPPED_AS_KEPT, KEPT_AS_DROPPED
from mldbg.operations.torch import ROWS
from mldbg.semantics import FORGOTTEN, Semantic

KEEP, DROP = Semantic.KEEP_MASK, Semantic.DROP_MASK


def declared(watch: Watch, tensor: Tensor, site: Site) -> None:
    """A contract says what a mask is. One that another contract has called the opposite is misused there."""
    if site.meaning.semantic not in MASKS:
        return
    before = _of(watch, tensor)
    if before is not None and before.meaning is not site.meaning.semantic and before.is_declared:
        misuse = KEPT_AS_DROPPED if before.meaning is KEEP else DROPPED_AS_KEPT
        watch.found(misuse, site.contract, site.parameter, tensor, before)
    watch.tags.put(tensor, Tag(site.meaning.semantic, None, site.place))


def _of(watch: Watch, tensor: Any) -> Tag | None:
    tag = watch.tags.of(tensor)
    return tag if tag is not None and tag.meaning in MASKS else None


# ------------------------------------------------------------------------------------------------------- what makes a mask
_Relation = Callable[[Any, Any], bool]


def _compares(relation: _Relation) -> Effect:
    """`mask == 0` is the inverse, `mask > 0` the mask; `ids != pad` keeps, `ids == pad` drops."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        result = function(*args, **kwargs)
        source, other = first_of(args, kwargs), argument(args, kwargs, 1, "other")
        tag = _of(watch, source)
        if isinstance(result, Tensor) and isinstance(source, Tensor):
            if tag is not None:
                watch.tags.put(result, _after(relation, tag, other))
            elif relation in (operator.eq, operator.ne) and _are_ids(source) and _is_one_id(other):
                meaning = KEEP if relation is operator.ne else DROP
                watch.tags.put(result, Tag(meaning, None, watch.here(), compared=weakref.ref(source)))
            elif relation in (operator.eq, operator.ne) and _are_empty_data(source, other):
                here = watch.here()
                if watch.looks_at(here) and evidence.are_fractions(source):
                    watch.tags.put(result, Tag(KEEP if relation is operator.ne else DROP, None, here, empty=True))
            elif relation in _ORDERS and isinstance(other, Tensor):
                less = relation in (operator.lt, operator.le)
                if (before_end := _is_within(watch, source, other)) or _is_within(watch, other, source):
                    watch.tags.put(result, Tag(KEEP if less is before_end else DROP, None, watch.here(), within=True))
        return result

    return effect


_ORDERS = (operator.lt, operator.le, operator.gt, operator.ge)


def _is_within(watch: Watch, positions: Tensor, lengths: Tensor) -> bool:
    """Whether positions 0, 1, 2, ... along one axis are compared with numbers that a variable calls lengths, one for each row.

    A number of places that are left out at the beginning is compared in the same way, so that the name has to tell.
    """
    if not (_are_ids(positions) and _are_ids(lengths) and lengths.numel() > 1):
        return False
    rank = max(positions.dim(), lengths.dim())
    steps, ends = (each[(None,) * (rank - each.dim())] for each in (positions, lengths))
    axes = [axis for axis in range(rank) if ends.shape[axis] == 1 < steps.shape[axis]]
    if len(axes) != 1 or not _are_called_lengths(lengths) or not watch.looks_at(watch.here()):
        return False
    return evidence.counts_up(steps.movedim(axes[0], -1).reshape(-1), steps.shape[axes[0]])


_FRAMES = 3
"""How many functions of the user's may hand lengths on under another name."""


def _are_called_lengths(tensor: Tensor) -> bool:
    memory = _memory(tensor)
    if memory is None:
        return False
    names = chain.from_iterable(local.items() for local in islice(users_locals(3), _FRAMES))
    called = (value for name, value in names if "len" in name and "pad" not in name)
    return any(isinstance(value, Tensor) and _memory(value) == memory for value in called)


def _memory(tensor: Tensor) -> int | None:
    """Where the values of a tensor and of its views lie; None for one that has none of its own: batched, fake, meta, sparse."""
    if type(tensor) not in (Tensor, torch.nn.Parameter):
        return None
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (RuntimeError, NotImplementedError):
        return None


def _after(relation: _Relation, tag: Tag, number: Any) -> Tag | None:
    """What a comparison makes of a mask, whose values are 0 and 1."""
    if not isinstance(number, int | float):
        return None
    match relation(0, number), relation(1, number):
        case False, True:
            return tag
        case True, False:
            return tag.opposite()
        case _:
            return None


def _are_ids(tensor: Tensor) -> bool:
    return tensor.dim() > 0 and not tensor.is_floating_point() and not tensor.is_complex() and tensor.dtype is not torch.bool


def _are_empty_data(source: Tensor, other: Any) -> bool:
    """Whether data are compared with 0: rows of nothing but zeros may be padding."""
    is_zero = isinstance(other, int | float) and not isinstance(other, bool) and other == 0
    return is_zero and source.is_floating_point() and source.dim() > 1 and not source.requires_grad


def _is_one_id(other: Any) -> bool:
    if isinstance(other, Tensor):
        return other.dim() == 0
    return isinstance(other, int) and not isinstance(other, bool)


def _inverts(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
    return tag.opposite() if tag.meaning in MASKS and (result.dtype is torch.bool or args[0].dtype is torch.bool) else None


def _over_features(kept: Semantic) -> Effect:
    """`all(-1)` of what is 0, `any(-1)` of what is not: a row that holds something is no padding. kept: of which that is so."""

    def change(tag: Tag, shape: torch.Size, result: Tensor, args: Arguments, kwargs: Keywords) -> Tag | None:
        is_reduced = argument(args, kwargs, 1, "dim", "axis") in (-1, len(shape) - 1) and len(shape) > 2
        return tag if is_reduced and tag.meaning is kept else None

    return carrying.follows(change)


def _joins(kept: Semantic) -> Effect:
    """`&` and `|`. kept: the meaning that another mask, whatever it is, only makes stricter."""

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        left, right = _of(watch, first_of(args, kwargs)), _of(watch, argument(args, kwargs, 1, "other"))
        result = function(*args, **kwargs)
        tag = left or right
        if tag is not None and isinstance(result, Tensor):
            alike = left is not None and right is not None and left.meaning is right.meaning
            alone = (left is None or right is None) and tag.meaning is kept
            surely = next((one for one in (left, right) if one is not None and one.is_declared), tag)
            watch.tags.put(result, surely if alike or alone else None)
        return result

    return effect


# -------------------------------------------------------------------------------------------------------- what takes a mask
def _judged(watch: Watch, mask: Tensor, role: Semantic, function: str, parameter: str) -> Finding | None:
    """What is wrong with a boolean mask where True keeps, or drops."""
    misuse = DROPPED_AS_KEPT if role is KEEP else KEPT_AS_DROPPED
    if not watch.listens_to(misuse.rule):
        return None
    opposite, tag = (DROP if role is KEEP else KEEP), _of(watch, mask)
    is_declared = tag is not None and tag.is_declared
    if is_declared and tag is not None and tag.meaning is role:
        return None
    proof = "" if is_declared else _proof(mask, ~mask if role is KEEP else mask, parameter, tag, opposite)
    if not (is_declared or proof):
        return None
    if tag is None or tag.meaning is role:
        tag = Tag(opposite, None, watch.here())
    return watch.suspected(misuse, function, parameter, mask, tag, proof)


def _proof(mask: Tensor, dropped: Tensor, parameter: str, tag: Tag | None, opposite: Semantic) -> str:
    """What the values show, where no contract says what the mask is; empty where they leave a doubt."""
    if "padding" not in parameter and not (mask.dim() > 2 and mask.shape[-2] == 1):  # queries against keys
        if evidence.sees_later_positions_only(dropped):
            return "what takes part are later positions only"
    elif tag is None and evidence.leaves_out_all_keys(dropped):
        return "the keys of a whole sequence are left out"
    if tag is None or tag.meaning is not opposite:
        return ""
    if tag.within:
        return "what takes part is what lies beyond the lengths"
    are_tokens = tag.empty or (tag.compared is not None and evidence.are_tokens(tag.compared()))
    return "what takes part is the padding" if are_tokens and evidence.keeps_one_end(dropped) else ""


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype is torch.bool


def _attends(name: str, row: Attends) -> Effect:
    """Attention: what each of its masks says by True is known."""
    name = name.rpartition(".")[2]

    def effect(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
        for parameter, role in row.masks.items():
            mask = argument(args, kwargs, row.params.index(parameter), parameter)
            if _is_mask(mask):
                _say(watch, _judged(watch, mask, role, name, parameter))
        return function(*args, **kwargs)

    return effect


def _say(watch: Watch, finding: Finding | None) -> None:
    if finding is not None:
        watch.say(finding)


def _is_forgotten(value: Any) -> bool:
    return isinstance(value, int | float) and value <= FORGOTTEN


def _fills(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """masked_fill(mask, -inf): True drops. So do torch's own modules with their masks; elsewhere a softmax has to follow."""
    mask, finding = argument(args, kwargs, 1, "mask"), None
    if _is_mask(mask) and _is_forgotten(argument(args, kwargs, 2, "value")):
        module, name = _of_torch(sys._getframe(2))  # noqa: SLF001 (the handler of the mode stands between)
        finding = _judged(watch, mask, DROP, module or "masked_fill", name or "mask")
        if module:
            _say(watch, finding)
    result = combining.fills(watch, function, args, kwargs)
    _note(watch, result, finding)
    return result


def _of_torch(frame: FrameType) -> tuple[str, str]:
    """The module of torch that turns its boolean mask into numbers, and the parameter; empty where it is somebody else."""
    if frame.f_code is not getattr(getattr(functional, "_canonical_mask", None), "__code__", None) or frame.f_back is None:
        return "", ""
    module = frame.f_back.f_locals.get("self")
    return f"nn.{type(module).__name__}" if module is not None else "attention", str(frame.f_locals.get("mask_name", "mask"))


def _chooses(watch: Watch, function: Function, args: Arguments, kwargs: Keywords) -> Any:
    """where(mask, scores, -inf): True keeps. where(mask, -inf, scores): True drops."""
    finding = None
    if function is torch.where:
        mask, one, two = (argument(args, kwargs, at, name) for at, name in enumerate(("condition", "input", "other")))
        if _is_mask(mask) and (_is_forgotten(one) or _is_forgotten(two)):
            finding = _judged(watch, mask, KEEP if _is_forgotten(two) else DROP, "where", "condition")
    result = tables.EFFECTS[function](watch, function, args, kwargs)
    _note(watch, result, finding)
    return result


def _note(watch: Watch, scores: Any, finding: Finding | None) -> None:
    if finding is not None and isinstance(scores, Tensor):
        tag = watch.tags.of(scores) or Tag(None, None, watch.here())
        watch.tags.put(scores, tag._replace(inverted=(finding, scores.shape[-2:])))


def _named(*names: str) -> list[Any]:
    """The methods of a tensor and functions of torch with these names."""
    found = [getattr(owner, name, None) for owner in (Tensor, torch) for name in names]
    return [function for function in found if function is not None]


_RELATIONS: Mapping[Test, _Relation] = {
    Test.EQUAL: operator.eq,
    Test.UNEQUAL: operator.ne,
    Test.GREATER: operator.gt,
    Test.NOT_LESS: operator.ge,
    Test.LESS: operator.lt,
    Test.NOT_GREATER: operator.le,
}


def _tests(how: Test) -> Effect:
    match how:
        case Test.TRUE:
            return carrying.follows(carrying.keep)
        case Test.NOT:
            return carrying.follows(_inverts)
        case Test.AND:
            return _joins(KEEP)
        case Test.OR:
            return _joins(DROP)
        case _:
            return _compares(_RELATIONS[how])


def _of_rows() -> Iterator[tuple[Any, Effect]]:
    for name, row in ROWS.items():
        function = tables.function_of(name)
        if function is not None and isinstance(row, Tests):
            yield function, _tests(row.how)
        elif function is not None and isinstance(row, Attends):
            yield function, _attends(name, row)


EFFECTS: Mapping[Any, Effect] = {
    **dict(_of_rows()),
    **dict.fromkeys([Tensor.int, Tensor.long, Tensor.byte], carrying.follows(carrying.keep)),
    **dict.fromkeys(_named("all"), _over_features(DROP)),
    **dict.fromkeys(_named("any"), _over_features(KEEP)),
    **dict.fromkeys(_named("masked_fill", "masked_fill_"), _fills),
    torch.where: _chooses,
}
"""torch function -> effect; those that have a row of their own do what it says as well."""
