"""Which torch function has which effect on meanings: the shared rows, carried out on real tensors.

A function that stands in no row, or in one that loses every meaning, gives a result of which nothing is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mldbg.contracts.sanitize import carrying, combining, losses, making, writing
from mldbg.contracts.sanitize.effect import LOG_PROBS, PROBS, UNIT, Effect
from mldbg.contracts.sanitize.pieces import chooses_pieces, keeps_pieces, moves_pieces
from mldbg.operations import effect as kinds
from mldbg.operations.torch import ATTRIBUTES, ROWS

_ARITHMETIC: Mapping[kinds.Arithmetic, Effect] = {
    kinds.Arithmetic.TIMES: combining.operands(combining.times, combining.weighted, commutes=True, weighs=True),
    kinds.Arithmetic.OVER: combining.operands(combining.times, combining.unknown, commutes=False, normalises_to=PROBS),
    kinds.Arithmetic.PLUS: combining.operands(combining.plus, combining.summed, commutes=True, adds=True),
    kinds.Arithmetic.MINUS: combining.operands(combining.plus, combining.difference, commutes=False, normalises_to=LOG_PROBS),
    kinds.Arithmetic.TO: combining.operands(combining.power, combining.unknown, commutes=False),
    kinds.Arithmetic.FROM: combining.operands(combining.complement, combining.difference, commutes=False),
}


def _given(row: kinds.Gives) -> Effect | None:
    if row.meaning in (PROBS, LOG_PROBS):
        return making.softmaxes(row)
    if row.meaning is UNIT:
        return making.sigmoid
    return making.activation(row) if row.meaning is not None else None


def _moved(name: str, row: kinds.Moves) -> Effect:
    match row.how:
        case kinds.Move.REGROUP | kinds.Move.FLATTEN:
            return moves_pieces("", carrying.follows(carrying.regroup))
        case kinds.Move.REPEAT:
            return moves_pieces(name, carrying.chooses_entries(name))
        case _:
            return moves_pieces(name, carrying.moves(name))


def _bound(name: str, effect: Effect) -> Effect:
    match name.rpartition(".")[2]:
        case "amin" | "min":
            return carrying.extremes(effect, "least")
        case "amax" | "max":
            return carrying.extremes(effect, "greatest")
        case _:
            return effect


def _selected(name: str, row: kinds.Selects) -> Effect:
    match row.what:
        case kinds.Choice.ALL:
            return carrying.follows(carrying.keep)
        case kinds.Choice.VALUES if name.endswith(".gather"):
            return carrying.takes_classes(carrying.follows(carrying.pick), by_index=False)
        case kinds.Choice.VALUES | kinds.Choice.BEST:
            return _bound(name, carrying.follows(carrying.pick))
        case kinds.Choice.EXTREME:
            return _bound(name, combining.extreme)
        case _ if name.endswith(".__getitem__"):
            return carrying.takes_classes(chooses_pieces(name, carrying.chooses_entries(name)), by_index=True)
        case _:
            return chooses_pieces(name, carrying.chooses_entries(name))


def _lossy(row: kinds.Loss) -> Effect | None:
    if "log_target" in row.params:
        return losses.divergence(row)
    if row.elementwise:
        return losses.elementwise(row)
    if "log_input" in row.params:
        return losses.counts(row)
    return losses.loss(row) if row.takes is not None else None


_CARRIED_OUT: Mapping[type, Callable[[str, Any], Effect | None]] = {
    kinds.Gives: lambda name, row: _given(row),
    kinds.Affine: lambda name, row: making.layer(row),
    kinds.Keeps: lambda name, row: keeps_pieces(carrying.follows(carrying.keep)),
    kinds.Clamps: lambda name, row: carrying.clamps(row),
    kinds.Drops: lambda name, row: carrying.follows(carrying.lose_in_training if row.shifts else carrying.scale_in_training),
    kinds.Moves: _moved,
    kinds.Selects: _selected,
    kinds.Reduces: lambda name, row: carrying.reduce(name, total=row.total),
    kinds.Pools: lambda name, row: carrying.follows(carrying.pick) if row.greatest else carrying.pools(row),
    kinds.Maps: lambda name, row: making.maps(row) if row.meanings else None,
    kinds.Negates: lambda name, row: carrying.follows(carrying.negate),
    kinds.Normalizer: lambda name, row: making.normalises,
    kinds.Operates: lambda name, row: _ARITHMETIC[row.how],
    kinds.Joins: lambda name, row: combining.joins(name),
    kinds.Stacks: lambda name, row: combining.joins(name, stacks=True),
    kinds.Chooses: lambda name, row: combining.chooses(row),
    kinds.Fills: lambda name, row: combining.fills,
    kinds.Multiplies: lambda name, row: making.product,
    kinds.Contracts: lambda name, row: making.contraction,
    kinds.Loss: lambda name, row: _lossy(row),
}
"""How each kind of effect is carried out on real tensors, by the name of its row; None where nothing is left to know."""

NOT_CARRIED_OUT = frozenset(
    {
        kinds.Activates,
        kinds.Arranges,
        kinds.Derives,
        kinds.FlaggedLoss,
        kinds.Returns,
        kinds.Trains,
        kinds.Wraps,
        kinds.WrapsAll,
        kinds.Resamples,
        kinds.SplitsArrays,
        kinds.RandomSplits,
        kinds.CrossValidates,
        kinds.Measures,
        kinds.NoEffect,
        kinds.Scales,
        kinds.Writes,
        kinds.Special,
        kinds.Tests,
        kinds.Attends,
    }
)
"""Kinds that say nothing of what the numbers of a tensor mean. Masks, and what takes them, are followed in `masks`."""

_OWNERS = {"torch": torch, "torch.Tensor": Tensor, "torch.nn.functional": functional, "torch.special": torch.special}


def function_of(name: str) -> Any:
    """The function behind a row. A release of torch that lacks it is served without it; classes are no functions."""
    package, _, last = name.rpartition(".")
    function = getattr(_OWNERS.get(package), last, None)
    return function if callable(function) and not isinstance(function, type) else None


def _functions() -> Iterator[tuple[Any, Effect]]:
    """The functions behind the rows, and what they do."""
    for name, row in ROWS.items():
        function, carry_out = function_of(name), _CARRIED_OUT.get(type(row))
        if carry_out is None or function is None:
            continue
        effect = carry_out(name, row)
        if effect is not None:
            yield function, effect


def _attributes() -> Iterator[tuple[Any, Effect]]:
    for names, row in ATTRIBUTES.items():
        for name in names.split():
            effect = _CARRIED_OUT[type(row)](f"torch.Tensor.{name}", row)
            assert effect is not None
            yield getattr(Tensor, name).__get__, effect


def _forgets(watch: Any, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`tensor.data = other` replaces the values without a new version."""
    watch.tags.put(args[0], None)
    return function(*args, **kwargs)


def _named(effect: Effect, *names: str) -> Mapping[Any, Effect]:
    """One effect for functions of torch, for the methods of these names, and for those that work in place."""
    owners = [(owner, name) for name in names for owner, name in ((torch, name), (Tensor, name), (Tensor, f"{name}_"))]
    return {getattr(owner, name): effect for owner, name in owners if hasattr(owner, name)}


EFFECTS: Mapping[Any, Effect] = {
    **dict(_functions()),
    **dict(_attributes()),
    Tensor.data.__set__: _forgets,  # type: ignore[attr-defined]
    torch.broadcast_tensors: making.broadcasts,
    torch.tril: combining.triangle(upper=False),
    Tensor.tril: combining.triangle(upper=False),
    torch.triu: combining.triangle(upper=True),
    Tensor.triu: combining.triangle(upper=True),
    torch.cdist: making.scores,
    functional.cosine_similarity: making.scores,
    functional.pad: writing.pads,
    **dict.fromkeys([functional.hardtanh, functional.hardtanh_], writing.reads_bounds(carrying.clamps(kinds.Clamps()))),
    Tensor.__setitem__: writing.assigns,
    Tensor.copy_: writing.copies,
    **_named(writing.puts, "index_put"),
    **_named(writing.replaces("src", 3), "scatter"),
    **_named(writing.replaces("source", 3), "index_copy"),
    **_named(writing.replaces("source", 2), "masked_scatter"),
    **_named(writing.replaces("src", 1), "select_scatter", "slice_scatter"),
    **_named(writing.adds_into("src", rows=False), "scatter_add"),
    **_named(writing.adds_into("source", rows=True), "index_add"),
    **_named(writing.interpolates, "lerp"),
    **_named(writing.adds_product, "addcmul"),
    **_named(carrying.follows(carrying.turn), "rot90"),
    **_named(carrying.follows(carrying.keep), "roll", "flip", "fliplr", "flipud"),  # which take pieces elsewhere
    torch.as_strided: carrying.follows(carrying.pick),
    Tensor.as_strided: carrying.follows(carrying.pick),
    **_named(carrying.follows(carrying.accumulate), "cumsum"),
    Tensor.unfold: carrying.follows(carrying.window),
}
"""torch function, as a function mode gets it -> effect."""
