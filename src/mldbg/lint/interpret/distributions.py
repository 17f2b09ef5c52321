"""Distributions of torch: what they were built with, and batches and values that are broadcast against one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from mldbg.lint.interpret.arguments import Argument, bound
from mldbg.lint.interpret.facts import Broadcast, Place
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf
from mldbg.lint.interpret.value import Object, Shaped, Value
from mldbg.operations import shape
from mldbg.operations.distributions import CONSTRUCTOR_PARAMETERS
from mldbg.operations.shape import UNKNOWN, Built, Given, Mismatch, Shape, Tensor, Transfer, Unsure, crossed
from mldbg.operations.transfers.distributions import ATTRIBUTES, pair
from mldbg.operations.transfers.tables import ROWS

DEEPEST_DISTRIBUTION = 3
"""Distributions inside one another."""


class Distributions:
    """Reads distributions off their records; `argument`: what a transfer function is given for any other value."""

    def __init__(self, machine: Machine, argument: Callable[[Value], shape.Argument]) -> None:
        self.machine = machine
        self._argument = argument

    def described(self, value: Value, depth: int = DEEPEST_DISTRIBUTION) -> shape.Argument | None:
        """A distribution as an argument; None of anything else."""
        built = self._built_with(value)
        if built is None or not isinstance(value.thing, Object) or not isinstance(value.thing.cls, str):
            return None
        if depth == 0 or value.or_none or value.among is not None:
            return UNKNOWN
        given = {name: self.described(each, depth - 1) or self._argument(each) for name, each in built.items()}
        return Built(value.thing.cls, given)

    def _built_with(self, value: Value) -> Mapping[str, Value] | None:
        thing = value.thing
        if not isinstance(thing, Object) or not isinstance(thing.cls, str) or thing.cls not in CONSTRUCTOR_PARAMETERS:
            return None
        record = self.machine.state.record(thing.ref)
        return {key.name: held for key, held in record.items() if isinstance(key, ArgumentOf)}

    def member(self, base: Value, name: str, *, attribute: bool) -> tuple[str, Transfer] | None:
        """The row of a method or an attribute of a distribution, with its name; None of anything else."""
        thing = base.thing
        if (name in ATTRIBUTES) is not attribute or self._built_with(base) is None or not isinstance(thing, Object):
            return None
        row = ROWS.get(f"{thing.cls}.{name}")
        return (f"{thing.cls}.{name}", row) if row is not None else None

    def note_crossing(
        self, name: str, row: Transfer, given: Given, arguments: Sequence[Argument], result: Value, place: Place
    ) -> None:
        """Tell of values `(n, 1)` under a batch `(n,)`, and of two parameters or distributions with such shapes."""
        try:
            shapes = pair(name, given)
        except (Unsure, Mismatch):
            return
        if not crossed(*shapes.values()):
            return
        values, nodes = bound(row.params, arguments, None)
        one, two = (self._shown(values[param], known) for param, known in shapes.items())
        if name in CONSTRUCTOR_PARAMETERS:
            result = Value(shaped=Shaped(Tensor(shape.broadcast(*shapes.values()))))
        left, right = (nodes.get(param) if _is_whole(values[param], known) else None for param, known in shapes.items())
        self.machine.facts.append(Broadcast(place, name.rpartition(".")[2], one, two, result, (left, right)))

    def _shown(self, value: Value, known: Shape) -> Value:
        """A value with the shape that is broadcast, which of a distribution comes from the parameter with the most axes."""
        built = self._built_with(value)
        while built:
            value = max(built.values(), key=_rank)
            built = self._built_with(value)
        before = value.shaped or Shaped(Tensor())
        return replace(value, shaped=replace(before, tensor=Tensor(known, before.tensor.dtype)))


def _rank(value: Value) -> int:
    known = value.shaped.tensor.shape if value.shaped is not None else None
    return known.least_rank if known is not None else -1


def _is_whole(value: Value, known: Shape) -> bool:
    """Whether a shape is that of a tensor itself, and not of its part that is broadcast."""
    return value.shaped is not None and value.shaped.tensor.shape == known
