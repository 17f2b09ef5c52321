"""Which torch function has which effect on meanings: the shared rows, carried out on real tensors.

A function that stands in no row, or in one that loses every meaning, gives a result of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mldbg.contracts.sanitize import carrying, combining, losses, making
from mldbg.contracts.sanitize.effect import LOG_PROBS, PROBS, UNIT, Effect
from mldbg.operations import effect as kinds
from mldbg.operations.torch import ATTRIBUTES, ROWS

_MOVES: Mapping[kinds.Move, Effect] = {
    kinds.Move.REGROUP: carrying.follows(carrying.regroup),
    kinds.Move.FLATTEN: carrying.follows(carrying.regroup),
    kinds.Move.TRANSPOSE: carrying.moves(carrying.transpose),
    kinds.Move.PERMUTE: carrying.moves(carrying.permute),
    kinds.Move.MOVE: carrying.moves(carrying.movedim),
    kinds.Move.REVERSE: carrying.moves(carrying.reverse),
    kinds.Move.SWAP_LAST: carrying.moves(carrying.swap_last),
    kinds.Move.SQUEEZE: carrying.moves(carrying.squeeze),
    kinds.Move.UNSQUEEZE: carrying.moves(carrying.unsqueeze),
    kinds.Move.REPEAT: carrying.follows(carrying.expand),
}

_ARITHMETIC: Mapping[kinds.Arithmetic, Effect] = {
    kinds.Arithmetic.TIMES: combining.operands(combining.times, combining.unknown, commutes=True),
    kinds.Arithmetic.OVER: combining.operands(combining.times, combining.unknown, commutes=False),
    kinds.Arithmetic.PLUS: combining.operands(combining.plus, combining.summed, commutes=True, adds=True),
    kinds.Arithmetic.MINUS: combining.operands(combining.plus, combining.difference, commutes=False),
    kinds.Arithmetic.TO: combining.operands(combining.power, combining.unknown, commutes=False),
    kinds.Arithmetic.FROM: combining.operands(combining.complement, combining.difference, commutes=False),
}


def _given(row: kinds.Gives) -> Effect | None:
    if row.meaning in (PROBS, LOG_PROBS):
        return making.softmaxes(row.meaning, row.verb)
    if row.meaning is UNIT:
        return making.sigmoid
    return making.activation(row) if row.meaning is not None else None


def _selected(row: kinds.Selects) -> Effect:
    match row.what:
        case kinds.Choice.INDEX:
            return carrying.follows(carrying.index)
        case kinds.Choice.ALL:
            return carrying.follows(carrying.keep)
        case kinds.Choice.CUT | kinds.Choice.PARTS:
            return carrying.cut(row.params.index("dim"))
        case kinds.Choice.ENTRY | kinds.Choice.ENTRIES:
            return carrying.follows(carrying.drop_axis)
        case kinds.Choice.VALUES | kinds.Choice.BEST:
            return carrying.follows(carrying.pick)
        case kinds.Choice.EXTREME:
            return combining.extreme


def _lossy(row: kinds.Loss) -> Effect | None:
    if "log_target" in row.params:
        return losses.divergence(row)
    if row.elementwise:
        return losses.elementwise(row.name)
    return losses.loss(row) if row.takes is not None else None


_CARRIED_OUT: Mapping[type, Callable[[Any], Effect | None]] = {
    kinds.Gives: _given,
    kinds.Affine: making.layer,
    kinds.Keeps: lambda row: carrying.follows(carrying.keep),
    kinds.Clamps: carrying.clamps,
    kinds.Drops: lambda row: carrying.follows(carrying.lose_in_training if row.shifts else carrying.scale_in_training),
    kinds.Moves: lambda row: _MOVES[row.how],
    kinds.Selects: _selected,
    kinds.Reduces: lambda row: carrying.reduce(total=row.total),
    kinds.Pools: lambda row: carrying.follows(carrying.pick) if row.greatest else carrying.pools(row),
    kinds.Maps: lambda row: making.maps(row) if row.meanings else None,
    kinds.Negates: lambda row: carrying.follows(carrying.negate),
    kinds.Normalizer: lambda row: making.normalises,
    kinds.Operates: lambda row: _ARITHMETIC[row.how],
    kinds.Joins: lambda row: combining.concatenates(row.axis),
    kinds.Stacks: lambda row: combining.stacks,
    kinds.Chooses: combining.chooses,
    kinds.Fills: lambda row: combining.fills,
    kinds.Multiplies: lambda row: making.product,
    kinds.Contracts: lambda row: making.contraction,
    kinds.Loss: _lossy,
}
"""How each kind of effect is carried out on real tensors; None where nothing is left to know."""

NOT_CARRIED_OUT = frozenset(
    {
        kinds.Arranges,
        kinds.Derives,
        kinds.Returns,
        kinds.Trains,
        kinds.Wraps,
        kinds.WrapsAll,
        kinds.Resamples,
        kinds.SplitsArrays,
        kinds.RandomSplits,
        kinds.CrossValidates,
        kinds.NoEffect,
        kinds.Scales,
        kinds.Writes,
        kinds.Special,
    }
)
"""Kinds that say nothing of what the numbers of a tensor mean."""

_OWNERS = {"torch": torch, "torch.Tensor": Tensor, "torch.nn.functional": functional, "torch.special": torch.special}


def _functions() -> Iterator[tuple[Any, Effect]]:
    """The functions behind the rows. A release of torch that lacks one is served without it; classes are no functions."""
    for name, row in ROWS.items():
        package, _, last = name.rpartition(".")
        function = getattr(_OWNERS.get(package), last, None)
        carry_out = _CARRIED_OUT.get(type(row))
        if carry_out is None or not callable(function) or isinstance(function, type):
            continue
        effect = carry_out(row)
        if effect is not None:
            yield function, effect


def _attributes() -> Iterator[tuple[Any, Effect]]:
    for names, row in ATTRIBUTES.items():
        effect = _CARRIED_OUT[type(row)](row)
        assert effect is not None
        yield from ((getattr(Tensor, name).__get__, effect) for name in names.split())


def _forgets(watch: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`tensor.data = other` replaces the values without a new version."""
    watch.tags.put(args[0], None)
    return function(*args, **kwargs)


EFFECTS: Mapping[Any, Effect] = {
    **dict(_functions()),
    **dict(_attributes()),
    Tensor.data.__set__: _forgets,  # type: ignore[attr-defined]
}
"""torch function, as a function mode gets it -> effect."""
