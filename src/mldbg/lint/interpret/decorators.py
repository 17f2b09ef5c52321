"""Decorators of the project's functions: what they make of a function, and what they say about recording a graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, made_at, site_of
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.budget import MOST_FOR_DECORATORS
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import UNKNOWN, Bound, Function, Object, Symbol, Value
from mldbg.operations import torch


class Decorators:
    """Applies decorators."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def grad_wish(self, node: cst.FunctionDef) -> bool | None:
        """What a function's decorators say about recording a graph."""
        for decorator in node.decorators:
            inner = decorator.decorator
            target = inner.func if isinstance(inner, cst.Call) else inner
            thing = self.machine.evaluate(target).thing
            if isinstance(thing, Symbol):
                if thing.name in torch.NO_GRAD:
                    return False
                if thing.name in torch.ENABLE_GRAD:
                    return True
        return None

    def applied(self, function: Function) -> Value | None:
        """What the project's decorators make of a function; None where they leave it as it is. Others are taken to do that."""
        value = Value(replace(function, raw=True))
        changed = False
        assert isinstance(function.node, cst.FunctionDef)
        with self._inside(function):
            for decorator in reversed(function.node.decorators):
                node = decorator.decorator
                thing = self.machine.now(node.func if isinstance(node, cst.Call) else node).thing
                if not isinstance(thing, Function) or thing.part.module is not function.part.module:
                    continue
                made = self.machine.now(node)
                wrapped = (
                    self.machine.call(made, [Argument(value)], self.machine.site(node))
                    if isinstance(made.thing, Function | Bound)
                    else UNKNOWN
                )
                if isinstance(wrapped.thing, Function | Bound) and wrapped != value:
                    value, changed = wrapped, True
        return value if changed else None

    @contextmanager
    def _inside(self, function: Function) -> Iterator[None]:
        """Where a function was defined: what its decorators' names mean."""
        ref = made_at(site_of(function.part, function.node), None, Made.DECORATORS)
        self.machine.state.open(ref)
        self.machine.state.set(ref, Slot.CLOSURE, Value(Object(function.closure)))
        self.machine.frames.append(Frame(ref, function.part, function.closure))
        try:
            with self.machine.budget.now.call(function.node, MOST_FOR_DECORATORS):
                yield
        finally:
            self.machine.frames.pop()
            self.machine.state.close(ref)
