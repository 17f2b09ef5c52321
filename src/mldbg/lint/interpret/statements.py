"""The effect of every kind of statement on the interpreter's state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import libcst as cst

from mldbg.lint.interpret import scaling
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.assignment import Assignment
from mldbg.lint.interpret.choices import Choices
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.declared import Declarations
from mldbg.lint.interpret.estimators import Estimators
from mldbg.lint.interpret.exits import Exits
from mldbg.lint.interpret.expressions import Expressions
from mldbg.lint.interpret.facts import Condition, told
from mldbg.lint.interpret.handlers import Handlers
from mldbg.lint.interpret.join import spliced, under
from mldbg.lint.interpret.loops import Loops
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.managers import Managers
from mldbg.lint.interpret.module import Part
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.operators import combined, truth_of
from mldbg.lint.interpret.rounds import under_a_loop
from mldbg.lint.interpret.shapes import number
from mldbg.lint.interpret.sightings import Seen
from mldbg.lint.interpret.snapshots import note_weights
from mldbg.lint.interpret.source_text import code, measured_first
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.sums import note_item, note_kept, note_restart, terms_added, with_total
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import NONE, UNKNOWN, ClassThing, Constant, Function, Items, Lazy, Object, Unknown, Value
from mldbg.lint.library.names import says_batch
from mldbg.lint.outline import Import, Kind

MOST_STEPPED = 8
"""Elements of a returned tuple whose ways are followed one by one."""


class Statements:
    """Executes statements on the machine's current state."""

    def __init__(
        self,
        machine: Machine,
        names: Names,
        classes: Classes,
        contents: Contents,
        estimators: Estimators,
        training: Training,
        expressions: Expressions,
        assignment: Assignment,
        declarations: Declarations,
    ) -> None:
        self.machine = machine
        self.shaping = expressions.library.shaping
        self.declarations = declarations
        self.names = names
        self.contents = contents
        self.estimators = estimators
        self.training = training
        self.assignment = assignment
        self.marks = expressions.marks
        self.hits = expressions.library.hits
        self.choices = Choices(machine)
        self.handlers = Handlers(machine, names)
        loops = Loops(machine, contents, assignment, training)
        managers = Managers(machine, classes, expressions, assignment)
        self._by_type: dict[type, Callable[[Any], None]] = {
            cst.SimpleStatementLine: lambda node: self.block(node.body),
            cst.Expr: self._expression,
            cst.Assign: self._assignment,
            cst.AnnAssign: self._annotated,
            cst.AugAssign: self._augmented,
            cst.Return: self._return,
            cst.Raise: self.handlers.raise_,
            cst.Assert: self._assert,
            cst.Del: assignment.delete,
            cst.Import: self._import,
            cst.ImportFrom: self._import_from,
            cst.Global: lambda node: self.machine.frame.global_names.update(item.name.value for item in node.names),
            cst.Nonlocal: lambda node: self.machine.frame.outer_names.update(item.name.value for item in node.names),
            cst.Break: lambda node: loops.leave_round("breaks"),
            cst.Continue: lambda node: loops.leave_round("continues"),
            cst.If: self._if,
            cst.For: loops.for_,
            cst.While: loops.while_,
            cst.With: managers.with_,
            cst.Try: self.handlers.try_,
            cst.TryStar: self.handlers.try_,
            cst.FunctionDef: self._function,
            cst.ClassDef: self._class,
            cst.Match: self._match,
        }

    def block(self, body: Sequence[cst.CSTNode]) -> None:
        """Execute statements in order until control leaves."""
        guard = self.handlers.guard_of(body)
        for statement in body:
            if not self.machine.state.live:
                return
            execute = self._by_type.get(type(statement))
            if execute is not None:
                self.machine.budget.now.executed += 1
                execute(statement)
                if guard is not None and self.machine.state.live:
                    guard.raised.append(self.machine.state.fork())

    def suite(self, suite: cst.Module | cst.BaseSuite) -> None:
        """Execute the statements of a suite, or of a whole module."""
        self.block(suite.body)

    def _assert(self, node: cst.Assert) -> None:
        self.machine.evaluate(node.test)
        stated = self.shaping.asserted(node.test)
        if stated is not None:
            self.assignment.rebind(*stated)

    def _expression(self, node: cst.Expr) -> None:
        if not isinstance(node.value, cst.SimpleString):
            self.machine.evaluate(node.value)

    def _assignment(self, node: cst.Assign) -> None:
        if len(node.targets) == 1 and isinstance(node.value, cst.Call):
            names = _plain_names(node.targets[0].target)
            if names:
                self.machine.frame.unpacking = (node.value, names)
        value = self.machine.evaluate(node.value)
        self.machine.frame.unpacking = None
        if len(node.targets) == 1:
            value = self._summed(node.targets[0].target, node.value, value, self.machine.site(node))
        for target in node.targets:
            self._assign(target.target, node.value, value, self.machine.site(node))
        if len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Tuple):
            self._learn_rank(node.targets[0].target, node.value)
        elif self.shaping.on and len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Name):
            self._learn_batch(node.targets[0].target.value, node.value)

    def _learn_batch(self, name: str, source: cst.BaseExpression) -> None:
        """`batch = len(x)`, `x.size(0)` or `x.shape[0]` says what the first axis of `x` is."""
        tensor = measured_first(source) if says_batch(name) else None
        if tensor is not None:
            known = self.shaping.as_batch(self.machine.evaluate(tensor))
            if known is not None:
                self.assignment.rebind(tensor, known)

    def _learn_rank(self, target: cst.Tuple, source: cst.BaseExpression) -> None:
        """`b, t, d = x.shape` and `b, t, d = x.size()` say how many axes `x` has."""
        shape = source.func if isinstance(source, cst.Call) and not source.args else source
        if not isinstance(shape, cst.Attribute) or shape.attr.value != ("size" if shape is not source else "shape"):
            return
        if isinstance(shape.value, cst.Name) and not any(isinstance(one, cst.StarredElement) for one in target.elements):
            value = self.machine.evaluate(shape.value)
            if isinstance(value.thing, Unknown | Object) and value.axes.rank is None:
                axes = replace(value.axes, rank=len(target.elements))
                value = replace(value, axes=axes)
                self.assignment.rebind(shape.value, value)
            if self.shaping.on:
                self._name_sizes(target, shape.value, value)

    def _name_sizes(self, target: cst.Tuple, source: cst.Name, value: Value) -> None:
        names = [one.value.value if isinstance(one.value, cst.Name) else "_" for one in target.elements]
        known = self.shaping.unpacked(value, names, self.machine.site(target))
        if known is None or known.shaped is None or known.shaped.tensor.shape is None:
            return
        self.assignment.rebind(source, known)
        if self.machine.watcher is not None:
            self.machine.watcher(Seen.LEARNED, self.machine.site(target), source.value, known)
        for element, size in zip(target.elements, known.shaped.tensor.shape.dims, strict=True):
            self.assignment.assign(element.value, number(size), self.machine.site(target))

    def _annotated(self, node: cst.AnnAssign) -> None:
        if node.value is None:
            return
        value = self.machine.evaluate(node.value)
        if self.machine.frame.defines is None:
            value = self.declarations.assigned(node.annotation, code(node.target), value, self.machine.site(node))
        self._assign(node.target, node.value, value, self.machine.site(node))

    def _assign(self, target: cst.BaseExpression, source: cst.BaseExpression, value: Value, site: Site) -> None:
        self.assignment.assign(target, value, site)
        if isinstance(target, cst.Subscript) and under_a_loop(self.machine.frames):
            note_item(self.machine, target, value, source, site)
        note_restart(self.machine, target, source, value, site)
        note_weights(self.machine, target, source, value)

    def _augmented(self, node: cst.AugAssign) -> None:
        machine = self.machine
        before = machine.now(node.target)
        value = machine.now(node.value)
        site = machine.site(node)
        self.contents.some_changed(before)
        first, second = self.contents.items_of(before), self.contents.items_of(value)
        if isinstance(node.operator, cst.AddAssign):
            if first is not None:
                more = second or Items("", (), self.contents.element_of(value, site))
                note_kept(machine, node.target, before, value, node.value, site)
                if isinstance(before.thing, Object):
                    self.contents.extend(before, more)
                else:
                    self.assignment.assign(node.target, Value(spliced(first, more)), site)
                return
            note_kept(machine, node.target, before, value, node.value, site)
        if isinstance(node.target, cst.Attribute) and node.target.attr.value == "grad":
            self.training.clear_gradients(None, site)
            return
        result = UNKNOWN
        if not (isinstance(before.thing, Constant) and isinstance(value.thing, Constant)):
            origin = machine.new_ref(site)
            result = combined(node.operator, before, value, origin)
            result = scaling.noted(node.operator, before, value, result, origin)
            result = self.marks.combined(node.operator, before, value, result, site)
            result = self.shaping.operation(node.operator, before, value, site, result)
            if isinstance(node.operator, cst.AddAssign):
                result = with_total(machine, before, value, result, site)
            result = self.estimators.evaluations.choosing.in_loop(result)
        result = self.hits.combined(node.operator, before, value, result, site)
        self.assignment.assign(node.target, result, site)

    def _summed(
        self, target: cst.BaseExpression, total: cst.BaseExpression, value: Value, site: Site, *, whole: bool = True
    ) -> Value:
        """`total = total + value` accumulates as `total += value` does; the value assigned."""
        machine = self.machine
        if isinstance(total, cst.IfExp):  # `mean = loss if mean is None else 0.9 * mean + 0.1 * loss`
            for branch in (total.body, total.orelse):
                value = self._summed(target, branch, value, site, whole=False)
            return value
        if not isinstance(total, cst.BinaryOperation | cst.Call):
            return value
        if machine.budget.silent or (isinstance(target, cst.Name) and not under_a_loop(machine.frames)):
            return value  # nothing is summed up from round to round
        terms = terms_added(target, total) if isinstance(target, cst.Name | cst.Attribute | cst.Subscript) else []
        if not terms:
            return value
        before = machine.now(target)
        for term in terms:
            added = machine.now(term)
            note_kept(machine, target, before, added, term if whole else None, site)
            value = with_total(machine, before, added, value, site)
        return value

    def _return(self, node: cst.Return) -> None:
        value = NONE if node.value is None else self.machine.evaluate(node.value)
        value = self.declarations.returned(value, self.machine.site(node))
        value = stepped(value, self.machine.site(node), "returned")
        value = self.estimators.evaluations.choosing.returned(value)
        if self.machine.watcher is not None:
            self.machine.watcher(Seen.RETURNED, self.machine.site(node), "return", value)
        if self.machine.frame.function is not None:
            self.estimators.evaluations.handed_on(value, self.machine.site(node))
        value = under(value, told(*self.machine.conditions[self.machine.frame.conditions :]))
        self.machine.frame.returns.append((value, self.machine.state.fork()))
        self.machine.state.live = False

    def _function(self, node: cst.FunctionDef) -> None:
        frame = self.machine.frame
        owner = frame.defines
        closure = frame.closure if owner is not None and frame.closure is not None else frame.ref
        frame.keeps = True
        method = frame.part.methods.get(node)
        inner = None if method is not None or _is_whole(frame.part, Kind.FUNCTION, node) else node
        function = Function(method or frame.part, inner, closure, owner)
        self.machine.state.set(frame.ref, node.name.value, Value(function))
        if owner is None and (frame.function is not None or frame.part.statement.kind is Kind.CODE):
            self.machine.outstanding.note(function)

    def _class(self, node: cst.ClassDef) -> None:
        frame = self.machine.frame
        frame.keeps = True
        inner = None if _is_whole(frame.part, Kind.CLASS, node) else node
        cls = ClassThing(frame.part, inner, frame.ref)
        self.machine.state.set(frame.ref, node.name.value, Value(cls))
        if inner is not None and frame.defines is None:
            self.machine.outstanding.note(cls)

    def _import(self, node: cst.Import) -> None:
        for alias in node.names:
            dotted = code(alias.name)
            if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
                self.machine.state.set(
                    self.machine.frame.ref,
                    alias.asname.name.value,
                    self.names.imported(self.machine.frame.module, Import(dotted, None, 0)),
                )
            else:
                top = dotted.partition(".")[0]
                self.machine.state.set(
                    self.machine.frame.ref, top, self.names.imported(self.machine.frame.module, Import(top, None, 0))
                )

    def _import_from(self, node: cst.ImportFrom) -> None:
        if isinstance(node.names, cst.ImportStar):
            return
        module = code(node.module) if node.module is not None else ""
        for alias in node.names:
            name = code(alias.name)
            bound = alias.asname.name.value if alias.asname is not None and isinstance(alias.asname.name, cst.Name) else name
            value = self.names.imported(self.machine.frame.module, Import(module, name, len(node.relative)))
            self.machine.state.set(self.machine.frame.ref, bound, value)

    def decided(self, test: cst.BaseExpression) -> bool | None:
        """Evaluate a condition; whether it holds, where that is known."""
        truth = truth_of(self.machine.evaluate(test))
        return self.choices.decided(test) if truth is None else truth

    def _if(self, node: cst.If) -> None:
        value = self.machine.evaluate(node.test)
        truth = truth_of(value)
        truth = self.choices.decided(node.test) if truth is None else truth
        if truth is True:
            self.suite(node.body)
            return
        if truth is False:
            self._else(node.orelse)
            return
        machine = self.machine
        self.estimators.evaluations.choosing.branched(node, value)
        holds, fails = machine.outcomes(node.test)
        other = machine.state.fork()
        jumps = self._under(holds, lambda: self.suite(node.body))
        taken = machine.state.left_for(other)
        other_jumps = self._under(fails, lambda: self._else(node.orelse))
        only_one_goes_on = taken.live is not machine.state.live
        if only_one_goes_on and (other_jumps if taken.live else jumps):  # a branch that raises is no alternative
            machine.conditions.append(holds if taken.live else fails)
        taken.meet(machine.state, told(holds), told(fails))
        machine.state.become(taken)

    def _under(self, condition: Condition, branch: Callable[[], None]) -> bool:
        """Execute a branch; whether it can be left by return, break or continue."""
        exits = Exits(self.machine.frame)
        with self.machine.under(condition):
            branch()
        return bool(exits.states())

    def _else(self, orelse: cst.If | cst.Else | None) -> None:
        if isinstance(orelse, cst.If):
            self._if(orelse)
        elif orelse is not None:
            self.suite(orelse.body)

    def _match(self, node: cst.Match) -> None:
        machine = self.machine
        subject = machine.evaluate(node.subject)
        ends: list[State] = []
        for case in node.cases:
            unmatched = machine.state.fork()
            self._bind_pattern(case.pattern, subject)
            truth = True if case.guard is None else self.decided(case.guard)
            failed = machine.state.fork() if truth is not True and machine.state.live else None
            if truth is not False:
                sure = truth is True and _always_matches(case.pattern)
                with machine.under(*([] if sure else [machine.condition(case.pattern, holds=True)])):
                    self.suite(case.body)
                ends.append(machine.state.fork())
            left = [] if _always_matches(case.pattern) else [unmatched]
            left += [] if failed is None else [failed]
            if not left:
                machine.state.live = False
                break
            machine.state.become(merged(left))
        machine.state.become(merged([machine.state, *ends]))

    def _bind_pattern(self, pattern: cst.MatchPattern, subject: Value) -> None:
        """Give the names in a pattern their values."""
        todo: list[tuple[cst.CSTNode, Value]] = [(pattern, subject)]
        while todo:
            here, value = todo.pop()
            name = here.rest if isinstance(here, cst.MatchMapping) else None
            if isinstance(here, cst.MatchAs | cst.MatchStar):
                name = here.name
            if name is not None:
                self.names.bind(name.value, value)
            if isinstance(here, cst.MatchAs):
                todo += [(here.pattern, value)] if here.pattern is not None else []
            elif isinstance(
                here,
                cst.MatchPattern
                | cst.MatchOrElement
                | cst.MatchSequenceElement
                | cst.MatchMappingElement
                | cst.MatchKeywordElement,
            ):
                todo += [(child, UNKNOWN) for child in here.children]


def _is_whole(part: Part, kind: Kind, node: cst.CSTNode) -> bool:
    """Whether a part consists of this definition."""
    return part.statement.kind is kind and part.tree.body[0] is node


def _always_matches(pattern: cst.MatchPattern) -> bool:
    if isinstance(pattern, cst.MatchOr):
        return any(_always_matches(element.pattern) for element in pattern.patterns)
    return isinstance(pattern, cst.MatchAs) and (pattern.pattern is None or _always_matches(pattern.pattern))


def stepped(value: Value, site: Site, text: str) -> Value:
    """A value one step further on its way; of a tuple each element."""
    if isinstance(value.thing, Lazy):
        return value
    if isinstance(value.thing, Items) and value.thing.exact and len(value.thing.tail) <= MOST_STEPPED:
        return replace(value, thing=replace(value.thing, tail=tuple(stepped(item, site, text) for item in value.thing.tail)))
    return value.step(site, text)


def _plain_names(target: cst.BaseExpression) -> tuple[str, ...]:
    if not isinstance(target, cst.Tuple | cst.List):
        return ()
    simple = [
        element
        for element in target.elements
        if isinstance(element, cst.Element) and isinstance(element.value, cst.Name | cst.Attribute)
    ]
    names = [code(element.value) for element in simple]
    return tuple(names) if len(names) == len(target.elements) else ()
