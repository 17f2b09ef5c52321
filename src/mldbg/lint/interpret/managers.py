"""Context managers: `with`, and functions of the project that are one."""

from __future__ import annotations

import libcst as cst

from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.assignment import Assignment
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.exits import Exits
from mldbg.lint.interpret.expressions import Expressions
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.value import NONE, UNKNOWN, Bound, ClassThing, Function, Object, Opaque, Value
from mldbg.operations import torch


class Managers:
    """Executes `with`."""

    def __init__(self, machine: Machine, classes: Classes, expressions: Expressions, assignment: Assignment) -> None:
        self.machine = machine
        self.classes = classes
        self.expressions = expressions
        self.assignment = assignment

    def with_(self, node: cst.With) -> None:
        """A `with` and its items, from left to right."""
        self._enter(list(node.items), node.body)

    def _enter(self, items: list[cst.WithItem], body: cst.BaseSuite) -> None:
        if not items:
            self.machine.execute(body)
            return
        machine = self.machine
        item, rest = items[0], items[1:]
        manager = self._context_function(item.item)
        if manager is not None:
            self._run_context_function(manager, item, rest, body)
            return
        value = machine.now(item.item)
        entered = self._call_if_defined(value, "__enter__", item)
        if item.asname is not None:
            self.assignment.assign(item.asname.name, entered if entered is not None else value, machine.site(item))
        grad = machine.state.grad
        wish = _grad_wish(value)
        if wish is not None:
            machine.state.grad = wish
        exits = Exits(machine.frame)
        self._enter(rest, body)
        machine.state.grad = grad
        if wish is not None:
            for state in exits.states():
                state.grad = grad
        if isinstance(value.thing, Object) and isinstance(value.thing.cls, ClassThing):
            self._exit(value, item, exits)

    def _exit(self, value: Value, item: cst.WithItem, exits: Exits) -> None:
        """Call __exit__ wherever the block of a `with` is left."""
        machine = self.machine
        self._call_if_defined(value, "__exit__", item)
        if not exits.states():
            return
        ended = machine.state.fork()

        def leave(state: State) -> State | None:
            machine.state.become(state)
            self._call_if_defined(value, "__exit__", item)
            return machine.state.fork() if machine.state.live else None

        exits.lead_through(leave)
        machine.state.become(ended)

    def _call_if_defined(self, value: Value, name: str, item: cst.WithItem) -> Value | None:
        if not isinstance(value.thing, Object) or not isinstance(value.thing.cls, ClassThing) or not self.machine.state.live:
            return None
        method = self.classes.class_attribute(value.thing.cls, name)
        if method is None or not isinstance(method.thing, Function):
            return None
        arguments = (
            [Argument(value)] if name == "__enter__" else [Argument(value), Argument(NONE), Argument(NONE), Argument(NONE)]
        )
        return self.machine.call_function(method.thing, arguments, self.machine.site(item))

    def _context_function(self, node: cst.BaseExpression) -> Value | None:
        """The project's @contextmanager function that a with-item calls."""
        if not isinstance(node, cst.Call):
            return None
        callee = self.machine.evaluate(node.func) if isinstance(node.func, cst.Name | cst.Attribute) else UNKNOWN
        function = callee.thing.function if isinstance(callee.thing, Bound) else callee.thing
        if isinstance(function, Function) and isinstance(function.node, cst.FunctionDef):
            for decorator in function.node.decorators:
                if code(decorator.decorator).rpartition(".")[2] in ("contextmanager", "asynccontextmanager"):
                    return callee
        return None

    def _run_context_function(self, manager: Value, item: cst.WithItem, rest: list[cst.WithItem], body: cst.BaseSuite) -> None:
        """Execute a generator function with the with-body standing at its yield."""
        machine = self.machine
        assert isinstance(item.item, cst.Call)
        arguments = self.expressions.arguments(item.item)
        thing = manager.thing
        if isinstance(thing, Bound):
            arguments, thing = [Argument(thing.receiver), *arguments], thing.function
        assert isinstance(thing, Function)
        here = machine.frames[-1]
        exits = Exits(here)
        ran = ends = left = False

        def at_yield(value: Value) -> None:
            nonlocal ran, ends, left
            if ran:
                return
            ran = True
            inner = machine.frames[:]
            position = len(inner) - 1 - inner[::-1].index(here)
            machine.frames[:] = inner[: position + 1]
            try:
                if item.asname is not None:
                    self.assignment.assign(item.asname.name, value, machine.site(item))
                self._enter(rest, body)
            finally:
                machine.frames[:] = inner
            ends = machine.state.live
            states = exits.states()
            if states:  # the rest of the function is executed once, for all ways out of the block together
                left = True
                machine.state.become(merged([machine.state, *states]))

        machine.call_function(thing, arguments, machine.site(item.item), at_yield=at_yield)
        if not ran:
            self._enter(rest, body)
        elif left:
            ended = machine.state.fork()
            exits.lead_through(lambda _: ended if ended.live else None)
            machine.state.live = ended.live and ends


def _grad_wish(value: Value) -> bool | None:
    if isinstance(value.thing, Opaque):
        if value.thing.cls in torch.NO_GRAD:
            return False
        if value.thing.cls in torch.ENABLE_GRAD:
            return True
    return None
