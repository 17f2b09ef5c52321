"""Objects that are built from models and losses: a framework calls their methods, which the program never does."""

from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import ClassThing, Function, Lazy, Object, Symbol, Value
from mldbg.operations import tables, torch
from mldbg.operations.effect import Loss

DEEPEST_LOSS = 3
"""Attributes from an object to the loss that it holds: `self.output.loss`."""


class Holding:
    """Finds the losses that objects hold, and the methods that apply them."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents) -> None:
        self._machine = machine
        self._classes = classes
        self._contents = contents

    def is_informative(self, value: Value) -> bool:
        """Whether an argument says more of an object that is built from it than the name of the parameter: a loss, a model."""
        return self.is_loss(value) or self._is_model(value)

    def methods(self, value: Value) -> list[Function]:
        """The methods of an object that may apply a loss that it holds, as their text says it."""
        assert isinstance(value.thing, Object)
        cls = value.thing.cls
        assert isinstance(cls, ClassThing)
        calls = frozenset(f"{name}(" for name in self._names_of_losses(value.thing, DEEPEST_LOSS))
        found: dict[str, Function] = {}
        for ancestor in self._classes.ancestors(cls) if calls else ():
            if not isinstance(ancestor, ClassThing) or ancestor.part.is_framework:
                continue
            for name, function in self._classes.functions(ancestor):
                found.setdefault(name, function)
        return [
            function
            for name, function in found.items()
            if name != "__init__" and function.inner is None and not calls.isdisjoint(function.part.words)
        ]

    def _names_of_losses(self, thing: Object, depth: int) -> Iterator[str]:
        """The attributes that hold a loss, of an object and of the objects that it holds."""
        self._machine.built(thing.ref)
        for key, value in list(self._machine.state.record(thing.ref).items()):
            if not isinstance(key, str) or isinstance(value.thing, Lazy):
                continue
            for one in members(value):
                if self.is_loss(one):
                    yield key
                elif depth > 1 and isinstance(one.thing, Object) and isinstance(one.thing.cls, ClassThing) and one.thing != thing:
                    yield from self._names_of_losses(one.thing, depth - 1)

    def is_loss(self, value: Value) -> bool:
        """Whether a value is a loss of a library."""
        thing = value.thing
        if isinstance(thing, Object):
            return isinstance(thing.cls, str) and tables.is_loss(thing.cls)
        return isinstance(thing, Symbol) and isinstance(self._machine.effect_of(thing.name), Loss)

    def _is_model(self, value: Value) -> bool:
        thing = value.thing
        if not isinstance(thing, Object) or thing.cls is None:
            return False
        if isinstance(thing.cls, str):
            return thing.cls in torch.CONTAINERS or thing.cls.startswith(torch.MODEL_FACTORIES)
        return self._classes.is_module(thing.cls) or self._machine.outstanding.knows(thing.ref)
