"""numpy: what is left of the meaning of a tensor that goes through arrays. Rows that say nothing stand in `python`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mldbg.operations.effect import (
    Arithmetic,
    Choice,
    Chooses,
    Clamps,
    Effect,
    Joins,
    Maps,
    Move,
    Moves,
    Operates,
    Reduces,
    Selects,
    Special,
    Stacks,
)
from mldbg.semantics import Semantic

_AXIS = ("input", "axis")

FUNCTIONS: Mapping[str, Effect] = {
    "array asarray ascontiguousarray copy": Selects(Choice.ALL),
    "concatenate": Joins(params=("tensors", "axis")),
    "vstack": Joins(params=("tensors",)),
    "hstack": Joins(1, params=("tensors",)),
    "stack": Stacks(params=("tensors", "axis")),
    "mean": Reduces(params=_AXIS),
    "sum": Reduces(total=True, params=_AXIS),
    "max min amax amin": Selects(Choice.VALUES, _AXIS),
    "sort": Selects(Choice.VALUES, _AXIS),
    "clip": Clamps(("input", "min", "max")),
    "where": Chooses(("condition", "input", "other")),
    "maximum minimum": Chooses(("input", "other")),
    "exp": Maps({Semantic.LOG_PROBS: Semantic.PROBS}, "exp"),
    "log": Maps({Semantic.PROBS: Semantic.LOG_PROBS}, "log"),
    "add": Operates(Arithmetic.PLUS),
    "subtract": Operates(Arithmetic.MINUS),
    "multiply": Operates(Arithmetic.TIMES),
    "divide": Operates(Arithmetic.OVER),
    "power": Operates(Arithmetic.TO),
    "expand_dims": Moves(Move.UNSQUEEZE, _AXIS),
    "zeros empty zeros_like empty_like": Special("waiting"),
}
"""Names in `numpy`."""


def _rows() -> Iterator[tuple[str, Effect]]:
    for names, effect in FUNCTIONS.items():
        yield from ((f"numpy.{name}", effect) for name in names.split())


ROWS: dict[str, Effect] = dict(_rows())

PURE_FUNCTIONS: frozenset[str] = frozenset(
    {f"numpy.{name}" for name in ("append", "delete", "insert", "concatenate", "vstack", "hstack", "stack", "reshape", "ravel")}
    | {f"numpy.{name}" for name in ("transpose", "squeeze", "expand_dims", "clip", "where", "sort", "unique", "nan_to_num")}
    | {"numpy.random.permutation"}
)
"""Functions that are called for their result alone."""
