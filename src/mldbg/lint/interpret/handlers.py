"""Exceptions: `try`, its handlers and its `finally`, and `raise`."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from mldbg.lint.interpret.exits import Exits, Guard
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.value import UNKNOWN


class Handlers:
    """Executes `try`, and knows in which states its body can be left."""

    def __init__(self, machine: Machine, names: Names) -> None:
        self.machine = machine
        self.names = names
        self._guards: list[Guard] = []

    def try_(self, node: cst.Try | cst.TryStar) -> None:
        """A `try` with everything that belongs to it."""
        if node.finalbody is None:
            self._guarded(node)
            return
        machine = self.machine
        last = node.finalbody
        exits = Exits(machine.frame)
        inside = self.guard() is not None
        guard = Guard(machine.state, node.body.body if inside and not node.handlers else None)
        self._guards.append(guard)
        try:
            self._guarded(node)
        finally:
            self._guards.pop()
        executed = machine.state.live
        if executed:
            self.machine.execute(last.body)
        ended = machine.state.fork()

        def leave(state: State) -> State | None:
            machine.state.become(state)
            self.machine.execute(last.body)
            return machine.state.fork() if machine.state.live else None

        executed = exits.lead_through(leave) or executed
        if guard.raised and (inside or not executed):
            left = leave(merged(guard.raised))
            self._raised([] if left is None else [left])
        elif not executed:  # it is still of interest what stands there
            machine.state.live = True
            self.machine.execute(last.body)
        machine.state.become(ended)

    def _guarded(self, node: cst.Try | cst.TryStar) -> None:
        """The body of a `try`, its `else`, and its handlers, which start from wherever in the body an exception can occur."""
        machine = self.machine
        guard = Guard(machine.state, node.body.body, [machine.state.fork()]) if node.handlers else None
        grad = machine.state.grad
        if guard is not None:
            self._guards.append(guard)
        try:
            self.machine.execute(node.body)
        finally:
            if guard is not None:
                self._guards.pop()
        if node.orelse is not None and machine.state.live:
            self.machine.execute(node.orelse.body)
        if guard is None:
            return
        ends = [machine.state.fork()]
        start = merged(guard.raised)
        start.grad = grad
        for handler in node.handlers:
            machine.state.become(start.fork())
            if handler.name is not None and isinstance(handler.name.name, cst.Name):
                self.names.bind(handler.name.name.value, UNKNOWN)
            self.machine.execute(handler.body)
            ends.append(machine.state.fork())
        if not any(_catches_all(handler) for handler in node.handlers):
            self._raised(guard.raised[1:])
        machine.state.become(merged(ends))

    def raise_(self, node: cst.Raise) -> None:
        """Control goes to the handlers."""
        self._raised([self.machine.state])
        self.machine.state.live = False

    def _raised(self, states: list[State]) -> None:
        """Tell the innermost `try` around this point (if what is executed is not deferred) in which states an exception flies."""
        guard = self.guard()
        if guard is not None:
            guard.raised += [state.fork() for state in states if state.live]

    def guard(self) -> Guard | None:
        """The innermost `try` around this point, unless what is executed was deferred."""
        return self._guards[-1] if self._guards and self._guards[-1].state is self.machine.state else None

    def guard_of(self, body: Sequence[cst.CSTNode]) -> Guard | None:
        """The `try` under way whose body consists of these statements, if exceptions can occur after each of them."""
        return self.guard() if self._guards and self._guards[-1].body is body else None


def _catches_all(handler: cst.ExceptHandler | cst.ExceptStarHandler) -> bool:
    return handler.type is None or (isinstance(handler.type, cst.Name) and handler.type.value in ("Exception", "BaseException"))
