"""How many axes a tensor has after an operation, where that follows from how many its arguments have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mldbg.lint.interpret.carried import Carrying, elements_of
from mldbg.lint.interpret.indexing import change_of_rank
from mldbg.lint.interpret.value import Constant, Items, Value
from mldbg.operations.effect import (
    Choice,
    Clamps,
    Drops,
    Fills,
    Joins,
    Move,
    Moves,
    Negates,
    Operates,
    Pools,
    Reduces,
    Selects,
    Stacks,
)

_REORDER = (Move.TRANSPOSE, Move.PERMUTE, Move.MOVE, Move.REVERSE, Move.SWAP_LAST)


def rank_after(effect: Carrying, given: Mapping[str, Value], values: Sequence[Value]) -> int | None:
    """The number of axes of the result; None where it is not known."""
    first = values[0].axes.rank if values else None
    match effect:
        case Moves(Move.UNSQUEEZE):
            return first + 1 if first is not None else None
        case Moves(how) if how in _REORDER:
            return first
        case Joins() | Stacks():
            ranks = {each.axes.rank for each in elements_of(values[0])} if values else set()
            one = ranks.pop() if len(ranks) == 1 else None
            return one + isinstance(effect, Stacks) if one is not None else None
        case Operates() if len(values) == 2:
            known = [0 if isinstance(each.thing, Constant) else each.axes.rank for each in values]
            return max(rank for rank in known if rank is not None) if None not in known else None
        case Reduces() if first is not None:
            return _reduced(first, given)
        case Selects(Choice.ENTRY):
            return first - 1 if first else None
        case Pools() | Negates() | Clamps() | Drops() | Fills() | Selects(Choice.CUT):
            return first
        case _:
            return None


def _reduced(rank: int, given: Mapping[str, Value]) -> int | None:
    dims = given.get("dim", given.get("axis"))
    keepdim = given.get("keepdim")
    if dims is None or (keepdim is not None and not isinstance(keepdim.thing, Constant)):
        return None
    if keepdim is not None and keepdim.constant:
        return rank
    gone = dims.thing.tail if isinstance(dims.thing, Items) and dims.thing.exact else (dims,)
    return rank - len(gone) if all(isinstance(dim.constant, int) for dim in gone) else None


def rank_of_item(base: Value, indices: Sequence[Value]) -> int | None:
    """The number of axes of `base[indices]`."""
    change = change_of_rank(indices)
    return base.axes.rank + change if base.axes.rank is not None and change is not None else None
