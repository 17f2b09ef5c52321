"""Loops: rounds until the state is stable."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.assignment import Assignment
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import GradientsCleared, GradientUse, Loop, ModeSet
from mldbg.lint.interpret.frames import LoopFrame
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.operators import truth_of
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import UNKNOWN, Value

MOST_ROUNDS = 4
"""Rounds of a loop until what still changes is taken as unknown; real code needs two or three."""

MOST_WIDENED = 8
"""Rounds after that."""

MOST_UNROLLED = 12
"""Elements of a known sequence that a loop takes one by one."""


class Loops:
    """Executes loops."""

    def __init__(self, machine: Machine, contents: Contents, assignment: Assignment, training: Training) -> None:
        self.machine = machine
        self.contents = contents
        self.assignment = assignment
        self.training = training

    def leave_round(self, how: str) -> None:
        """Execute `break` and `continue`: the round ends here."""
        frame = self.machine.frame
        if frame.loops:
            getattr(frame.loops[-1], how).append(self.machine.state.fork())
        self.machine.state.live = False

    def for_(self, node: cst.For) -> None:
        """A `for`: round by round over few known elements, else until nothing changes."""
        machine = self.machine
        iterable = machine.evaluate(node.iter)
        site = machine.site(node)
        items = self.contents.iterated(iterable)
        if (
            items is not None
            and items.exact
            and 0 < len(items.tail) <= MOST_UNROLLED
            and len({value.thing for value in items.tail}) > 1
        ):
            self._unrolled(node, items.tail, site)
        else:
            element = self.contents.element_of(iterable, site)
            self._rounds(node, feeding(node), lambda: self.assignment.assign(node.target, element, site))
            if iterable.origin is not None and iterable.origin.kind is Made.PARAMETERS:
                self._note_clearing(iterable.rows)

    def _note_clearing(self, models: frozenset[Ref]) -> None:
        """Tell that a loop over the parameters of models clears the gradient of each, or of each that has one."""
        loop = self.machine.facts[-1] if self.machine.facts else None
        if not isinstance(loop, Loop):
            return
        for fact in loop.facts:
            if isinstance(fact, GradientsCleared):
                tests = [code(cast("cst.BaseExpression", each.test.node)) for each in fact.place.conditions_inside(loop.place)]
                if all("grad" in test for test in tests):
                    self.training.clear_all(models, fact.place.site)
                    return

    def _leave_loop(self, node: cst.For | cst.While, breaks: list[State]) -> None:
        """The `else` of a loop runs unless it was left by break."""
        if node.orelse is not None and self.machine.state.live:
            self.machine.execute(node.orelse.body)
        if breaks:
            self.machine.state.become(merged([self.machine.state, *breaks]))

    def _unrolled(self, node: cst.For, elements: tuple[Value, ...], site: Site) -> None:
        """A loop over few known elements that differ: round after round."""
        machine = self.machine
        loop = LoopFrame(feeding(node), node, machine.executed)
        machine.frame.loops.append(loop)
        for number, element in enumerate(elements):
            if not machine.state.live:
                break
            with machine.round(node, number), machine.under():
                self.assignment.assign(node.target, element, site)
                self.machine.execute(node.body)
            if loop.continues:
                machine.state.become(merged([machine.state, *loop.continues]))
                loop.continues.clear()
        machine.frame.loops.pop()
        self._leave_loop(node, loop.breaks)

    def while_(self, node: cst.While) -> None:
        """A `while`, until nothing changes."""
        endless = truth_of(self.machine.evaluate(node.test)) is True
        self._rounds(node, "", lambda: self._test(node), endless=endless)

    def _test(self, node: cst.While) -> None:
        self.machine.evaluate(node.test)

    def _rounds(self, node: cst.For | cst.While, fed_by: str, begin: Callable[[], None], *, endless: bool = False) -> None:
        """Execute a loop until its state at the start of a round is stable; only the last round's facts count."""
        machine = self.machine
        started = machine.executed
        entry = machine.state.fork()
        modes = self.training.modes(entry)
        start = len(machine.facts)
        first = entry
        loop = LoopFrame(fed_by, node, started)
        for number in range(MOST_ROUNDS + MOST_WIDENED):
            loop = LoopFrame(fed_by, node, started)
            machine.state.become(entry.fork())
            machine.frame.loops.append(loop)
            begin()
            with machine.under():
                self.machine.execute(node.body)
            machine.frame.loops.pop()
            ended = merged([machine.state, *loop.continues])
            following = merged([entry, ended])
            if not ended.live or entry.settled(following):
                break
            if number >= MOST_ROUNDS - 1:
                _widen(entry, following)
            if number == MOST_ROUNDS + MOST_WIDENED - 1:
                break
            del machine.facts[start:]
            entry = following
        facts = tuple(machine.facts[start:])
        models = {fact.model.ref for fact in facts if isinstance(fact, ModeSet) and fact.model is not None}
        built = frozenset(ref for ref in models if ref.kind in (Made.OBJECT, Made.COPY) and not first.has(ref))
        modes_at_end = self.training.modes(ended)
        cleared = self.training.cleared(ended) if ended.live and any(isinstance(fact, GradientUse) for fact in facts) else {}
        machine.facts.append(Loop(machine.place(machine.site(node)), node, facts, modes, modes_at_end, built, cleared))
        if endless:
            machine.state.become(merged(loop.breaks) if loop.breaks else ended)
        else:
            machine.state.become(following)
            self._leave_loop(node, loop.breaks)


def _widen(entry: State, following: State) -> None:
    """What a round has changed is unknown from then on."""
    for ref in entry.differing(following):
        before, after = entry.record(ref), following.record(ref)
        if entry.has(ref) and before is not after:
            for name in [name for name, value in after.items() if before.get(name) != value]:
                following.set(ref, name, UNKNOWN)


def feeding(node: cst.For) -> str:
    """What a loop iterates over, as the source says it, without wrappers such as tqdm and enumerate."""
    expression = node.iter
    while isinstance(expression, cst.Call) and expression.args:
        expression = expression.args[0].value
    return code(expression) if isinstance(expression, cst.Name | cst.Attribute) else ""
