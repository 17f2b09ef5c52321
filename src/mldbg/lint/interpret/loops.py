"""Loops: rounds until the state is stable."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import cast

import libcst as cst

from mldbg.lint.interpret.address import Context, Made, Ref, Site
from mldbg.lint.interpret.assignment import Assignment
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Fact, GradientsCleared, GradientUse, Loader, Loop, ModeSet, SchedulerStep
from mldbg.lint.interpret.frames import LoopFrame
from mldbg.lint.interpret.join import widened
from mldbg.lint.interpret.loading import described
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.operators import truth_of
from mldbg.lint.interpret.rounds import stop_of_range, under_a_loop
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import UNKNOWN, Items, Mark, Value, moment

MOST_ROUNDS = 4
"""Rounds of a loop until what still changes is taken as unknown; real code needs two or three."""

MOST_WIDENED = 8
"""Rounds after that."""

MOST_UNROLLED = 12
"""Elements of a known sequence that a loop takes one by one."""

MOST_UNROLLED_TOGETHER = 36
"""Rounds that loops inside one another take one by one, all together."""

_Visit = tuple[cst.CSTNode, Ref, Context | None]
"""A loop, under certain calls."""


class Loops:
    """Executes loops."""

    def __init__(self, machine: Machine, contents: Contents, assignment: Assignment, training: Training) -> None:
        self.machine = machine
        self.contents = contents
        self.assignment = assignment
        self.training = training
        self._stable: dict[_Visit, State] = {}
        """Of the loops inside the one under way, what held at the start of each round when they were executed last."""

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
        if items is not None and self._is_worth_unrolling(items):
            self._unrolled(node, items.tail, site)
        else:
            element = self.contents.element_of(iterable, site)
            loaders = described(machine, iterable)
            batches = self._batches(node, iterable)
            self._rounds(
                node,
                feeding(node),
                lambda: self.assignment.assign(node.target, element, site),
                loaders=loaders,
                batches=batches,
            )
            if iterable.origin is not None and iterable.origin.kind is Made.PARAMETERS:
                self._note_clearing(iterable.rows)

    def _batches(self, node: cst.For, iterable: Value) -> Site | None:
        """Where the loader was made that a loop goes through."""
        over = fed_with(node) if iterable.marked is None else None
        marked = self.machine.evaluate(over).marked if over is not None else iterable.marked
        return marked.site if marked is not None and marked.mark is Mark.BATCHED else None

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

    def _is_worth_unrolling(self, items: Items) -> bool:
        """Whether the elements differ and are few, the rounds of loops around counted with them."""
        around = prod(loop.one_by_one for frame in self.machine.frames for loop in frame.loops)
        few = items.exact and 0 < len(items.tail) <= min(MOST_UNROLLED, MOST_UNROLLED_TOGETHER // around)
        return few and len({value.thing for value in items.tail}) > 1

    def _leave_loop(self, node: cst.For | cst.While, breaks: list[State]) -> None:
        """The `else` of a loop runs unless it was left by break."""
        if node.orelse is not None and self.machine.state.live:
            self.machine.execute(node.orelse.body)
        if breaks:
            self.machine.state.become(merged([self.machine.state, *breaks]))

    def _unrolled(self, node: cst.For, elements: tuple[Value, ...], site: Site) -> None:
        """A loop over few known elements that differ: round after round."""
        machine = self.machine
        loop = LoopFrame(feeding(node), node, moment(), len(machine.facts), one_by_one=len(elements))
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

    def _rounds(
        self,
        node: cst.For | cst.While,
        fed_by: str,
        begin: Callable[[], None],
        *,
        endless: bool = False,
        loaders: tuple[Loader, ...] = (),
        batches: Site | None = None,
    ) -> None:
        """Execute a loop until its state at the start of a round is stable; only one round's facts count.

        That is the last one, or the last before calls were refused that had been followed until then.
        """
        machine = self.machine
        started = moment()
        first = machine.state.fork()
        modes = self.training.modes(first)
        start = len(machine.facts)
        entry = self._resumed(node, first)
        facts: tuple[Fact, ...] = ()
        refused = 0
        for number in range(MOST_ROUNDS + MOST_WIDENED):
            del machine.facts[start:]
            before = machine.budget.refused
            loop = self._round(LoopFrame(fed_by, node, started, start, batches=batches), entry, begin)
            ended = merged([machine.state, *loop.continues])
            following = merged([entry, ended])
            cut_short = machine.budget.refused - before
            if number == 0 or cut_short <= refused:
                facts, refused, seen = tuple(machine.facts[start:]), cut_short, ended
            else:
                break
            if not ended.live or entry.settled(following):
                break
            if number >= MOST_ROUNDS - 1:
                _widen(entry, following)
                if entry.settled(following):
                    break
            entry = following
        machine.facts[start:] = facts
        self._remember(node, following)
        models = {fact.model.ref for fact in facts if isinstance(fact, ModeSet) and fact.model is not None}
        loading = (one for fact in facts if isinstance(fact, Loop) for one in fact.loaders)
        found = models.union(*((one.ref, *one.parts) for one in loading))
        built = frozenset(ref for ref in found if ref.kind in (Made.OBJECT, Made.COPY) and not first.has(ref))
        cleared = self.training.cleared(seen) if seen.live and any(isinstance(fact, GradientUse) for fact in facts) else {}
        modes_at_end = self.training.modes(seen)
        bound = self._bound(node) if any(isinstance(fact, SchedulerStep) for fact in facts) else UNKNOWN
        place = machine.place(machine.site(node))
        machine.facts.append(Loop(place, node, facts, modes, modes_at_end, built, cleared, loaders, bound))
        if endless:
            machine.state.become(merged(loop.breaks) if loop.breaks else ended)
        else:
            if isinstance(node, cst.For) and ended.live:
                _fill(first, ended, following)
            machine.state.become(following)
            self._leave_loop(node, loop.breaks)

    def _bound(self, node: cst.For | cst.While) -> Value:
        """The value of `epochs` in `for epoch in range(epochs)`."""
        stop = stop_of_range(node) if isinstance(node, cst.For) else None
        return self.machine.now(stop) if isinstance(stop, cst.Name | cst.Attribute | cst.Integer | cst.Subscript) else UNKNOWN

    def _round(self, loop: LoopFrame, entry: State, begin: Callable[[], None]) -> LoopFrame:
        """Execute one round; the states in which it was left."""
        machine = self.machine
        machine.state.become(entry.fork())
        machine.frame.loops.append(loop)
        begin()
        with machine.under():
            machine.execute(loop.node.body)
        machine.frame.loops.pop()
        return loop

    def _resumed(self, node: cst.For | cst.While, first: State) -> State:
        """Where the rounds of a loop begin: where they ended in the last round of the loop around it, which knew less."""
        if self.machine.budget.silent:
            return first
        if not under_a_loop(self.machine.frames):
            self._stable.clear()
        known = self._stable.get(self._visit(node))
        return first if known is None else merged([first, known])

    def _remember(self, node: cst.For | cst.While, stable: State) -> None:
        if under_a_loop(self.machine.frames) and not self.machine.budget.silent and stable.live:
            self._stable[self._visit(node)] = stable.fork()

    def _visit(self, node: cst.For | cst.While) -> _Visit:
        frame = self.machine.frame
        return node, frame.ref, frame.context


def _fill(first: State, ended: State, following: State) -> None:
    """Lists that were empty before a `for` end like at the end of a round: nobody loops over nothing to build a network."""
    for ref in first.differing(ended):
        before, after = first.get(ref, Slot.ITEMS), ended.get(ref, Slot.ITEMS)
        if before is None or after is None or not isinstance(before.thing, Items) or not isinstance(after.thing, Items):
            continue
        if before.thing.exact and not before.thing.tail and after.thing.tail:
            following.set(ref, Slot.ITEMS, after)


def _widen(entry: State, following: State) -> None:
    """Of what a round has changed, only little is known from then on."""
    for ref in entry.differing(following):
        before, after = entry.record(ref), following.record(ref)
        if entry.has(ref) and before is not after:
            for name, value in list(after.items()):
                known = before.get(name)
                if known != value:
                    following.set(ref, name, UNKNOWN if known is None else widened(known, value))


def feeding(node: cst.For) -> str:
    """What a loop iterates over, as the source says it."""
    expression = fed_with(node)
    return code(expression) if expression is not None else ""


def fed_with(node: cst.For) -> cst.Name | cst.Attribute | None:
    """What a loop iterates over, without wrappers such as tqdm and enumerate."""
    expression = node.iter
    while isinstance(expression, cst.Call) and expression.args:
        expression = expression.args[0].value
    return expression if isinstance(expression, cst.Name | cst.Attribute) else None
