"""The effect of every kind of statement on the interpreter's state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import libcst as cst

from mldbg.lint.interpret.expressions import derived_data, spliced, truth_of
from mldbg.lint.interpret.facts import Accumulated, Condition, Loop, ModeSet
from mldbg.lint.interpret.frames import Argument, Frame, LoopFrame, with_named_role
from mldbg.lint.interpret.module import Site
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    Bound,
    ClassThing,
    Constant,
    Data,
    Function,
    Items,
    Lazy,
    Mapping,
    ModuleThing,
    Object,
    Opaque,
    Ref,
    Symbol,
    Value,
    join,
    join_data,
    joined,
    literal,
    tuple_of,
)
from mldbg.lint.library.names import says_label
from mldbg.lint.outline import Import, Kind
from mldbg.operations import torch
from mldbg.operations.python import DATACLASSES
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.interpreter import Interpreter

MOST_ROUNDS = 4
"""Rounds of a loop until what still changes is taken as unknown; real code needs two or three."""

MOST_WIDENED = 8
"""Rounds after that."""

MOST_UNROLLED = 12
"""Elements of a known sequence that a loop takes one by one."""


@dataclass(slots=True)
class Guard:
    """A `try` under way: the state that runs through it, and the states in which an exception can leave its body."""

    state: State
    body: Sequence[cst.CSTNode] | None
    """Statements after each of which an exception can occur; None: only where one is raised."""
    raised: list[State] = field(default_factory=list)


class Exits:
    """The states in which the block that follows is left by return, break and continue."""

    def __init__(self, frame: Frame) -> None:
        self._returns, self._returned = frame.returns, len(frame.returns)
        loop = frame.loops[-1] if frame.loops else None
        self._jumps = [] if loop is None else [(states, len(states)) for states in (loop.breaks, loop.continues)]

    def states(self) -> list[State]:
        """All of them."""
        jumps = [state for states, mark in self._jumps for state in states[mark:]]
        return [state for _, state in self._returns[self._returned :]] + jumps

    def lead_through(self, step: Callable[[State], State | None]) -> bool:
        """Replace them by what comes of them on the way out (None: control goes elsewhere); whether there are any."""
        values = self._returns[self._returned :]
        del self._returns[self._returned :]
        jumps = [(states, states[mark:]) for states, mark in self._jumps]
        for states, mark in self._jumps:
            del states[mark:]
        for states, left in jumps:
            after = step(merged(left)) if left else None
            if after is not None:
                states.append(after)
        after = step(merged([state for _, state in values])) if values else None
        if after is not None:
            self._returns += [(value, after) for value, _ in values]
        return bool(values) or any(left for _, left in jumps)


class Statements:
    """Executes statements on the interpreter's current state."""

    def __init__(self, run: Interpreter) -> None:
        self.run = run
        self._guards: list[Guard] = []
        self._by_type: dict[type, Callable[[Any], None]] = {
            cst.SimpleStatementLine: lambda node: self.block(node.body),
            cst.Expr: self._expression,
            cst.Assign: self._assignment,
            cst.AnnAssign: self._annotated,
            cst.AugAssign: self._augmented,
            cst.Return: self._return,
            cst.Raise: self._raise,
            cst.Assert: lambda node: self._evaluate(node.test),
            cst.Del: self._delete,
            cst.Import: self._import,
            cst.ImportFrom: self._import_from,
            cst.Global: lambda node: self._run_frame().global_names.update(item.name.value for item in node.names),
            cst.Nonlocal: lambda node: self._run_frame().outer_names.update(item.name.value for item in node.names),
            cst.Break: lambda node: self._leave_round("breaks"),
            cst.Continue: lambda node: self._leave_round("continues"),
            cst.If: self._if,
            cst.For: self._for,
            cst.While: self._while,
            cst.With: self._with,
            cst.Try: self._try,
            cst.TryStar: self._try,
            cst.FunctionDef: self._function,
            cst.ClassDef: self._class,
            cst.Match: self._match,
        }

    def _run_frame(self) -> Frame:
        return self.run.frame

    def _evaluate(self, node: cst.BaseExpression) -> None:
        self.run.expressions.of(node)

    def block(self, body: Sequence[cst.CSTNode]) -> None:
        """Execute statements in order until control leaves."""
        guard = self._guard() if self._guards and self._guards[-1].body is body else None
        for statement in body:
            if not self.run.state.live:
                return
            execute = self._by_type.get(type(statement))
            if execute is not None:
                self.run.executed += 1
                execute(statement)
                if guard is not None and self.run.state.live:
                    guard.raised.append(self.run.state.fork())

    def _suite(self, suite: cst.BaseSuite) -> None:
        self.block(suite.body)

    # ---------------------------------------------------------------------------------------------------------- functions
    def body(self, node: cst.FunctionDef | cst.Lambda) -> Value:
        """Execute a function's body in the frame just opened; the value it returns."""
        if isinstance(node, cst.Lambda):
            return self.run.expressions.of(node.body)
        frame = self.run.frame
        self._suite(node.body)
        return self.run.finish(frame)

    def bind_parameters(self, function: Function, arguments: Sequence[Argument], *, assume: bool) -> None:
        """Give the parameters of a function their values."""
        parameters = function.node.params
        positional = [argument.value for argument in arguments if argument.keyword is None and not argument.star]
        named = {argument.keyword: argument.value for argument in arguments if argument.keyword is not None}
        spread = any(argument.star for argument in arguments)
        everything = [*parameters.posonly_params, *parameters.params]
        for index, parameter in enumerate(everything):
            name = parameter.name.value
            if index < len(positional):
                self._bind(name, positional[index], function, assume=assume)
            elif name in named:
                self._bind(name, named.pop(name), function, assume=assume)
            else:
                self._bind_missing(parameter, spread=spread, assume=assume)
        for parameter in parameters.kwonly_params:
            name = parameter.name.value
            if name in named:
                self._bind(name, named.pop(name), function, assume=assume)
            else:
                self._bind_missing(parameter, spread=spread, assume=assume)
        if isinstance(parameters.star_arg, cst.Param):
            unknown_rest = assume or spread
            rest = UNKNOWN if unknown_rest else tuple_of(*positional[len(everything) :])
            self.run.bind(parameters.star_arg.name.value, rest)
        if parameters.star_kwarg is not None:
            ref = self.run.new_ref(parameters.star_kwarg, "kwargs")
            self.run.state.open(ref)
            content = Mapping(tuple((key, value) for key, value in named.items()), exact=not (assume or spread))
            self.run.state.set(ref, "#items", Value(content))
            self.run.bind(parameters.star_kwarg.name.value, Value(Object(ref, "builtins.dict")))

    def _bind(self, name: str, value: Value, function: Function, *, assume: bool) -> None:
        if not assume and value.trail is not None and (value.meaning is not None or value.fits) and name != "self":
            frame = self.run.frame
            site = frame.context.site if frame.context else None
            if site is not None:
                value = value.step(site, f"passed to `{function.name}` as `{name}`")
        self.run.bind(name, value)

    def _bind_missing(self, parameter: cst.Param, *, spread: bool, assume: bool) -> None:
        name = parameter.name.value
        if parameter.default is not None and not spread:
            value = self.run.expressions.of(parameter.default)
            if not assume or isinstance(value.thing, Symbol | Function | ClassThing) or _is_library_object(value):
                self.run.bind(name, value)
                return
        ref = self.run.new_ref(parameter, name)
        self.run.state.ensure(ref)
        cls = self._annotated_class(parameter) if assume else None
        self.run.bind(name, Value(Object(ref, cls), origin=ref))

    def _annotated_class(self, parameter: cst.Param) -> str | ClassThing | None:
        """The class that a parameter's annotation names, where objects of it can be followed."""
        if parameter.annotation is None:
            return None
        node: cst.BaseExpression = parameter.annotation.annotation
        if not isinstance(node, cst.Name | cst.Attribute):
            return None
        thing = self.run.expressions.of(node).thing
        if (
            isinstance(thing, Symbol)
            and thing.name.startswith(("torch.optim.", "torch.nn.", "sklearn."))
            and thing.name != "torch.nn.Module"
        ):
            return thing.name
        return None

    def grad_wish(self, node: cst.FunctionDef) -> bool | None:
        """What a function's decorators say about recording a graph."""
        for decorator in node.decorators:
            inner = decorator.decorator
            target = inner.func if isinstance(inner, cst.Call) else inner
            thing = self.run.expressions.of(target).thing
            if isinstance(thing, Symbol):
                if thing.name in torch.NO_GRAD:
                    return False
                if thing.name in torch.ENABLE_GRAD:
                    return True
        return None

    def _function(self, node: cst.FunctionDef) -> None:
        frame = self.run.frame
        in_class = frame.ref.label.startswith("class")
        closure = frame.closure if in_class and frame.closure is not None else frame.ref
        owner = self._class_being_defined if in_class else None
        frame.keeps = True
        self.run.state.set(frame.ref, node.name.value, Value(Function(frame.part, node, closure, owner)))

    def decorated(self, function: Function) -> Value | None:
        """What the project's decorators make of a function; None where they leave it as it is. Others are taken to do that."""
        run = self.run
        value = Value(replace(function, raw=True))
        changed = False
        assert isinstance(function.node, cst.FunctionDef)
        with run.inside(function):
            for decorator in reversed(function.node.decorators):
                node = decorator.decorator
                thing = run.expressions.now(node.func if isinstance(node, cst.Call) else node).thing
                if not isinstance(thing, Function) or thing.part.module is not function.part.module:
                    continue
                made = run.expressions.now(node)
                wrapped = (
                    run.call(made, [Argument(value)], run.site(node)) if isinstance(made.thing, Function | Bound) else UNKNOWN
                )
                if isinstance(wrapped.thing, Function | Bound) and wrapped != value:
                    value, changed = wrapped, True
        return value if changed else None

    _class_being_defined: ClassThing | None = None

    def _class(self, node: cst.ClassDef) -> None:
        frame = self.run.frame
        frame.keeps = True
        inner = None if frame.part.statement.kind is Kind.CLASS and frame.part.tree.body[0] is node else node
        self.run.state.set(frame.ref, node.name.value, Value(ClassThing(frame.part, inner, frame.ref)))

    def class_body(self, cls: ClassThing) -> None:
        """Execute a class body in the frame just opened: attributes, and under `#` names its bases and fields."""
        run = self.run
        ref = run.frame.ref
        bases = [run.expressions.of(base.value) for base in cls.node.bases if base.star == ""]
        run.state.set(ref, "#bases", tuple_of(*bases))
        for decorator in cls.node.decorators:
            target = decorator.decorator.func if isinstance(decorator.decorator, cst.Call) else decorator.decorator
            thing = run.expressions.of(target).thing
            if isinstance(thing, Symbol) and (thing.name in DATACLASSES or thing.name.endswith(".dataclass")):
                run.state.set(ref, "#dataclass", literal(True))
        outer, self._class_being_defined = self._class_being_defined, cls
        try:
            self._suite(cls.node.body)
        finally:
            self._class_being_defined = outer
        run.state.set(ref, "#fields", tuple_of(*(literal(name) for name in _field_names(cls.node))))

    def _return(self, node: cst.Return) -> None:
        value = NONE if node.value is None else self.run.expressions.of(node.value)
        value = stepped(value, self.run.site(node), "returned")
        if self.run.frame.function is not None:
            self.run.estimators.handed_on(value, self.run.site(node))
        self.run.frame.returns.append((value, self.run.state.fork()))
        self.run.state.live = False

    def _raise(self, node: cst.Raise) -> None:
        self._raised([self.run.state])
        self.run.state.live = False

    def _raised(self, states: list[State]) -> None:
        """Tell the innermost `try` around this point (if what is executed is not deferred) in which states an exception flies."""
        guard = self._guard()
        if guard is not None:
            guard.raised += [state.fork() for state in states if state.live]

    def _guard(self) -> Guard | None:
        return self._guards[-1] if self._guards and self._guards[-1].state is self.run.state else None

    # --------------------------------------------------------------------------------------------------------- assignment
    def _expression(self, node: cst.Expr) -> None:
        if not isinstance(node.value, cst.SimpleString):
            self.run.expressions.of(node.value)

    def _assignment(self, node: cst.Assign) -> None:
        if len(node.targets) == 1 and isinstance(node.value, cst.Call):
            names = _plain_names(node.targets[0].target)
            if names:
                self.run.library.unpacking = (node.value, names)
        value = self.run.expressions.of(node.value)
        self.run.library.unpacking = None
        if isinstance(node.value, cst.BinaryOperation) and isinstance(node.value.operator, cst.Add) and len(node.targets) == 1:
            self._note_sum(node.targets[0].target, node.value, self.run.site(node))
        for target in node.targets:
            self.assign(target.target, value, self.run.site(node))

    def _annotated(self, node: cst.AnnAssign) -> None:
        if node.value is not None:
            self.assign(node.target, self.run.expressions.of(node.value), self.run.site(node))

    def assign(self, target: cst.BaseExpression, value: Value, site: Site) -> None:
        """Bind a target (name, attribute, subscript, tuple of targets) to a value."""
        if isinstance(target, cst.Name):
            self.run.bind(target.value, value)
        elif isinstance(target, cst.Tuple | cst.List):
            self._unpack(target, value, site)
        elif isinstance(target, cst.StarredElement):
            self.assign(target.value, value, site)
        elif isinstance(target, cst.Attribute):
            self._assign_attribute(target, value, site)
        elif isinstance(target, cst.Subscript):
            self._assign_item(target, value, site)

    def _unpack(self, target: cst.Tuple | cst.List, value: Value, site: Site) -> None:
        elements = list(target.elements)
        if isinstance(value.thing, Lazy) and not any(isinstance(element, cst.StarredElement) for element in elements):
            for index, element in enumerate(elements):
                self.assign(element.value, self._deferred_item(value, index, len(elements), site), site)
            return
        items = self.run.items_of(value)
        starred = next((index for index, element in enumerate(elements) if isinstance(element, cst.StarredElement)), None)
        if items is not None and items.exact and starred is not None and len(items.tail) >= len(elements) - 1:
            extra = len(items.tail) - len(elements) + 1
            middle = tuple_of(*items.tail[starred : starred + extra], cls="builtins.list")
            values = [*items.tail[:starred], middle, *items.tail[starred + extra :]]
        elif items is not None and items.exact and starred is None and len(items.tail) == len(elements):
            values = list(items.tail)
        else:
            values = [self._unpacked(value, index, items, site) for index in range(len(elements))]
        for element, item in zip(elements, values, strict=True):
            self.assign(element.value, item, site)

    def _deferred_item(self, value: Value, index: int, count: int, site: Site) -> Value:
        """One of the values that something not computed yet will be unpacked into."""

        def compute() -> Value:
            known = self.run.force(value)
            items = self.run.items_of(known)
            if items is not None and items.exact and len(items.tail) == count:
                return items.tail[index]
            return self._unpacked(known, index, items, site)

        made = self.run.defer(site.node, compute)
        assert isinstance(made.thing, Lazy)
        return Value(replace(made.thing, key=(made.thing.key, index)))

    def _unpacked(self, value: Value, index: int, items: Items | None, site: Site) -> Value:
        if items is not None:
            every = [*items.tail, *([items.lead] if items.lead is not None else [])]
            return joined(every) if every else UNKNOWN
        origin = Ref(site, self.run.frame.context, f"item {index}")
        data = value.data
        if isinstance(value.thing, Object) and value.thing.cls is None:
            self.run.state.ensure(origin)
            return Value(Object(origin), data=data, origin=origin)
        return Value(data=data, origin=origin, trail=value.trail if value.fits else None)

    def _assign_attribute(self, target: cst.Attribute, value: Value, site: Site) -> None:
        base = self.run.expressions.now(target.value)
        name = target.attr.value
        if isinstance(base.thing, Object):
            self.run.built(base.thing.ref)
        if name == "grad":
            self.run.training.clear_gradients(None, site)
            return
        thing = base.thing
        if isinstance(thing, Object):
            self.run.state.set(thing.ref, name, with_named_role(name, value))
        elif isinstance(thing, ModuleThing):
            self.run.set_in_module(thing.module, name, value)
        elif isinstance(thing, ClassThing):
            self.run.class_record(thing)
            self.run.state.set(thing.ref, name, value)

    def _assign_item(self, target: cst.Subscript, value: Value, site: Site) -> None:
        value = self.run.force(value)
        base = self.run.expressions.now(target.value)
        indices = [self.run.expressions.of(item.slice.value) for item in target.slice if isinstance(item.slice, cst.Index)]
        index = indices[0] if len(indices) == 1 and len(target.slice) == 1 else UNKNOWN
        thing = base.thing
        self.run.library.some_changed(base)
        if isinstance(thing, Object):
            held = self.run.state.get(thing.ref, "#items")
            if held is not None and isinstance(held.thing, Mapping):
                self.run.state.set(thing.ref, "#items", Value(_with_item(held.thing, index, value)))
                return
            if held is not None and isinstance(held.thing, Items):
                every = joined([*held.thing.tail, *([held.thing.lead] if held.thing.lead is not None else []), value])
                self.run.state.set(thing.ref, "#items", Value(Items(held.thing.cls, (), every)))
                return
        if base.meaning is not None and base.meaning is not value.meaning and not _masks(base, value):
            base = replace(base, meaning=None)
            self.rebind(target.value, base)
        if not value.fits or (isinstance(index.constant, str) and says_label(index.constant)):
            return
        data = join_data(derived_data(base), Data(rows=base.rows, role=base.role, fits=value.fits))
        self.rebind(target.value, replace(base, data=data, trail=value.trail))

    def rebind(self, node: cst.BaseExpression, value: Value) -> None:
        """A value was changed in place: the name or attribute that holds it now holds what it became."""
        if isinstance(node, cst.Name):
            self.run.bind(node.value, value)
        elif isinstance(node, cst.Attribute):
            holder = self.run.expressions.of(node.value)
            if isinstance(holder.thing, Object) and node.attr.value not in ("loc", "iloc", "values"):
                self.run.state.set(holder.thing.ref, node.attr.value, value)
            elif node.attr.value in ("loc", "iloc", "values"):
                self.rebind(node.value, replace(holder, data=value.data, trail=value.trail))

    def _augmented(self, node: cst.AugAssign) -> None:
        run = self.run
        before = run.expressions.now(node.target)
        value = run.expressions.now(node.value)
        site = run.site(node)
        run.library.some_changed(before)
        first, second = run.items_of(before), run.items_of(value)
        if isinstance(node.operator, cst.AddAssign):
            if first is not None:
                more = second or Items("", (), run.element_of(value, site))
                if isinstance(before.thing, Object):
                    self.extend(before, more)
                else:
                    self.assign(node.target, Value(spliced(first, more)), site)
                return
            into = _code(node.target)
            ref = before.thing.ref if isinstance(before.thing, Object) else None
            run.facts.append(Accumulated(run.place(site), into, ref, value, node.value, before, run.state.grad))
        if isinstance(node.target, cst.Attribute) and node.target.attr.value == "grad":
            run.training.clear_gradients(None, site)
            return
        result = UNKNOWN
        if not (isinstance(before.thing, Constant) and isinstance(value.thing, Constant)):
            result = run.expressions.combined(node.operator, before, value, site)
        self.assign(node.target, result, site)

    def extend(self, sequence: Value, more: Items) -> None:
        """A list grows at its end."""
        held = self.run.items_of(sequence)
        if held is None or not isinstance(sequence.thing, Object):
            return
        if more.exact:
            grown = replace(held, tail=(*held.tail, *more.tail))
            if len(grown.tail) > 64:
                grown = Items(held.cls, (), joined([*grown.tail, *([held.lead] if held.lead is not None else [])]))
        else:
            rest = [*held.tail, *(value for value in (held.lead, more.lead) if value is not None)]
            grown = Items(held.cls, more.tail, joined(rest))
        self.run.state.set(sequence.thing.ref, "#items", Value(grown))

    def _note_sum(self, target: cst.BaseExpression, total: cst.BinaryOperation, site: Site) -> None:
        """`total = total + value` accumulates as `total += value` does."""
        if isinstance(target, cst.Name | cst.Attribute) and target.deep_equals(total.left):
            run = self.run
            before, value = run.expressions.now(total.left), run.expressions.now(total.right)
            run.facts.append(Accumulated(run.place(site), _code(target), None, value, total.right, before, run.state.grad))

    def _delete(self, node: cst.Del) -> None:
        targets = [element.value for element in node.target.elements] if isinstance(node.target, cst.Tuple) else [node.target]
        for target in targets:
            if isinstance(target, cst.Name):
                self.run.state.drop(self.run.frame.ref, target.value)
            elif isinstance(target, cst.Subscript):
                self._delete_item(target)
            elif isinstance(target, cst.Attribute):
                base = self.run.expressions.now(target.value)
                if isinstance(base.thing, Object):
                    self.run.built(base.thing.ref)
                    self.run.state.drop(base.thing.ref, target.attr.value)

    def _delete_item(self, target: cst.Subscript) -> None:
        run = self.run
        base = run.expressions.now(target.value)
        run.library.some_changed(base)
        held = run.state.get(base.thing.ref, "#items") if isinstance(base.thing, Object) else None
        if held is None or not isinstance(base.thing, Object):
            return
        plain = target.slice[0].slice if len(target.slice) == 1 else None
        index = run.expressions.now(plain.value) if isinstance(plain, cst.Index) else UNKNOWN
        if isinstance(held.thing, Mapping):
            rest = tuple((key, value) for key, value in held.thing.items if key != index.constant)
            left = replace(held.thing, items=rest) if isinstance(index.thing, Constant) else Mapping((), exact=False)
            run.state.set(base.thing.ref, "#items", Value(left))
        elif isinstance(held.thing, Items):
            run.state.set(base.thing.ref, "#items", Value(_without(held.thing, index.constant)))

    # ------------------------------------------------------------------------------------------------------------ imports
    def _import(self, node: cst.Import) -> None:
        for alias in node.names:
            dotted = _code(alias.name)
            if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
                self.run.state.set(
                    self.run.frame.ref, alias.asname.name.value, self.run.imported(self.run.frame.module, Import(dotted, None, 0))
                )
            else:
                top = dotted.partition(".")[0]
                self.run.state.set(self.run.frame.ref, top, self.run.imported(self.run.frame.module, Import(top, None, 0)))

    def _import_from(self, node: cst.ImportFrom) -> None:
        if isinstance(node.names, cst.ImportStar):
            return
        module = _code(node.module) if node.module is not None else ""
        for alias in node.names:
            name = _code(alias.name)
            bound = alias.asname.name.value if alias.asname is not None and isinstance(alias.asname.name, cst.Name) else name
            value = self.run.imported(self.run.frame.module, Import(module, name, len(node.relative)))
            self.run.state.set(self.run.frame.ref, bound, value)

    # ------------------------------------------------------------------------------------------------------------ branches
    def decided(self, test: cst.BaseExpression) -> bool | None:
        """Evaluate a condition; whether it holds, where that is known."""
        return truth_of(self.run.expressions.of(test))

    def _if(self, node: cst.If) -> None:
        truth = self.decided(node.test)
        if truth is True:
            self._suite(node.body)
            return
        if truth is False:
            self._else(node.orelse)
            return
        run = self.run
        site = run.site(node.test)
        other = run.state.fork()
        jumps = self._under(Condition(site, holds=True), lambda: self._suite(node.body))
        taken = run.state.fork()
        run.state.become(other)
        other_jumps = self._under(Condition(site, holds=False), lambda: self._else(node.orelse))
        only_one_goes_on = taken.live is not run.state.live
        if only_one_goes_on and (other_jumps if taken.live else jumps):  # a branch that raises is no alternative
            run.conditions.append(Condition(site, holds=taken.live))
        run.state.become(merged([taken, run.state]))

    def _under(self, condition: Condition, branch: Callable[[], None]) -> bool:
        """Execute a branch; whether it can be left by return, break or continue."""
        exits = Exits(self.run.frame)
        with self.run.under(condition):
            branch()
        return bool(exits.states())

    def _else(self, orelse: cst.If | cst.Else | None) -> None:
        if isinstance(orelse, cst.If):
            self._if(orelse)
        elif orelse is not None:
            self._suite(orelse.body)

    def _match(self, node: cst.Match) -> None:
        run = self.run
        subject = run.expressions.of(node.subject)
        ends: list[State] = []
        for case in node.cases:
            unmatched = run.state.fork()
            self._bind_pattern(case.pattern, subject)
            truth = True if case.guard is None else self.decided(case.guard)
            failed = run.state.fork() if truth is not True and run.state.live else None
            if truth is not False:
                sure = truth is True and _always_matches(case.pattern)
                with run.under(*([] if sure else [Condition(run.site(case.pattern), holds=True)])):
                    self._suite(case.body)
                ends.append(run.state.fork())
            left = [] if _always_matches(case.pattern) else [unmatched]
            left += [] if failed is None else [failed]
            if not left:
                run.state.live = False
                break
            run.state.become(merged(left))
        run.state.become(merged([run.state, *ends]))

    def _bind_pattern(self, pattern: cst.MatchPattern, subject: Value) -> None:
        """Give the names in a pattern their values."""
        todo: list[tuple[cst.CSTNode, Value]] = [(pattern, subject)]
        while todo:
            here, value = todo.pop()
            name = here.rest if isinstance(here, cst.MatchMapping) else None
            if isinstance(here, cst.MatchAs | cst.MatchStar):
                name = here.name
            if name is not None:
                self.run.bind(name.value, value)
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

    def _try(self, node: cst.Try | cst.TryStar) -> None:
        if node.finalbody is None:
            self._guarded(node)
            return
        run = self.run
        last = node.finalbody
        exits = Exits(run.frame)
        inside = self._guard() is not None
        guard = Guard(run.state, node.body.body if inside and not node.handlers else None)
        self._guards.append(guard)
        try:
            self._guarded(node)
        finally:
            self._guards.pop()
        executed = run.state.live
        if executed:
            self._suite(last.body)
        ended = run.state.fork()

        def leave(state: State) -> State | None:
            run.state.become(state)
            self._suite(last.body)
            return run.state.fork() if run.state.live else None

        executed = exits.lead_through(leave) or executed
        if guard.raised and (inside or not executed):
            left = leave(merged(guard.raised))
            self._raised([] if left is None else [left])
        elif not executed:  # it is still of interest what stands there
            run.state.live = True
            self._suite(last.body)
        run.state.become(ended)

    def _guarded(self, node: cst.Try | cst.TryStar) -> None:
        """The body of a `try`, its `else`, and its handlers, which start from wherever in the body an exception can occur."""
        run = self.run
        guard = Guard(run.state, node.body.body, [run.state.fork()]) if node.handlers else None
        grad = run.state.grad
        if guard is not None:
            self._guards.append(guard)
        try:
            self._suite(node.body)
        finally:
            if guard is not None:
                self._guards.pop()
        if node.orelse is not None and run.state.live:
            self._suite(node.orelse.body)
        if guard is None:
            return
        ends = [run.state.fork()]
        start = merged(guard.raised)
        start.grad = grad
        for handler in node.handlers:
            run.state.become(start.fork())
            if handler.name is not None and isinstance(handler.name.name, cst.Name):
                run.bind(handler.name.name.value, UNKNOWN)
            self._suite(handler.body)
            ends.append(run.state.fork())
        if not any(_catches_all(handler) for handler in node.handlers):
            self._raised(guard.raised[1:])
        run.state.become(merged(ends))

    # --------------------------------------------------------------------------------------------------------------- with
    def _with(self, node: cst.With) -> None:
        self._enter(list(node.items), node.body)

    def _enter(self, items: list[cst.WithItem], body: cst.BaseSuite) -> None:
        if not items:
            self._suite(body)
            return
        run = self.run
        item, rest = items[0], items[1:]
        manager = self._context_function(item.item)
        if manager is not None:
            self._run_context_function(manager, item, rest, body)
            return
        value = run.expressions.now(item.item)
        entered = self._call_if_defined(value, "__enter__", item)
        if item.asname is not None:
            self.assign(item.asname.name, entered if entered is not None else value, run.site(item))
        grad = run.state.grad
        wish = _grad_wish(value)
        if wish is not None:
            run.state.grad = wish
        exits = Exits(run.frame)
        self._enter(rest, body)
        run.state.grad = grad
        if wish is not None:
            for state in exits.states():
                state.grad = grad
        if isinstance(value.thing, Object) and isinstance(value.thing.cls, ClassThing):
            self._exit(value, item, exits)

    def _exit(self, value: Value, item: cst.WithItem, exits: Exits) -> None:
        """Call __exit__ wherever the block of a `with` is left."""
        run = self.run
        self._call_if_defined(value, "__exit__", item)
        if not exits.states():
            return
        ended = run.state.fork()

        def leave(state: State) -> State | None:
            run.state.become(state)
            self._call_if_defined(value, "__exit__", item)
            return run.state.fork() if run.state.live else None

        exits.lead_through(leave)
        run.state.become(ended)

    def _call_if_defined(self, value: Value, name: str, item: cst.WithItem) -> Value | None:
        if not isinstance(value.thing, Object) or not isinstance(value.thing.cls, ClassThing) or not self.run.state.live:
            return None
        method = self.run.class_attribute(value.thing.cls, name)
        if method is None or not isinstance(method.thing, Function):
            return None
        arguments = (
            [Argument(value)] if name == "__enter__" else [Argument(value), Argument(NONE), Argument(NONE), Argument(NONE)]
        )
        return self.run.call_function(method.thing, arguments, self.run.site(item))

    def _context_function(self, node: cst.BaseExpression) -> Value | None:
        """The project's @contextmanager function that a with-item calls."""
        if not isinstance(node, cst.Call):
            return None
        callee = self.run.expressions.of(node.func) if isinstance(node.func, cst.Name | cst.Attribute) else UNKNOWN
        function = callee.thing.function if isinstance(callee.thing, Bound) else callee.thing
        if isinstance(function, Function) and isinstance(function.node, cst.FunctionDef):
            for decorator in function.node.decorators:
                if _code(decorator.decorator).rpartition(".")[2] in ("contextmanager", "asynccontextmanager"):
                    return callee
        return None

    def _run_context_function(self, manager: Value, item: cst.WithItem, rest: list[cst.WithItem], body: cst.BaseSuite) -> None:
        """Execute a generator function with the with-body standing at its yield."""
        run = self.run
        assert isinstance(item.item, cst.Call)
        arguments = run.expressions.arguments(item.item)
        thing = manager.thing
        if isinstance(thing, Bound):
            arguments, thing = [Argument(thing.receiver), *arguments], thing.function
        assert isinstance(thing, Function)
        here = run.frames[-1]
        exits = Exits(here)
        ran = ends = left = False

        def at_yield(value: Value) -> None:
            nonlocal ran, ends, left
            if ran:
                return
            ran = True
            inner = run.frames[:]
            position = len(inner) - 1 - inner[::-1].index(here)
            run.frames[:] = inner[: position + 1]
            try:
                if item.asname is not None:
                    self.assign(item.asname.name, value, run.site(item))
                self._enter(rest, body)
            finally:
                run.frames[:] = inner
            ends = run.state.live
            states = exits.states()
            if states:  # the rest of the function is executed once, for all ways out of the block together
                left = True
                run.state.become(merged([run.state, *states]))

        run.call_function(thing, arguments, run.site(item.item), at_yield=at_yield)
        if not ran:
            self._enter(rest, body)
        elif left:
            ended = run.state.fork()
            exits.lead_through(lambda _: ended if ended.live else None)
            run.state.live = ended.live and ends

    # -------------------------------------------------------------------------------------------------------------- loops
    def _leave_round(self, how: str) -> None:
        frame = self.run.frame
        if frame.loops:
            getattr(frame.loops[-1], how).append(self.run.state.fork())
        self.run.state.live = False

    def _for(self, node: cst.For) -> None:
        run = self.run
        iterable = run.expressions.of(node.iter)
        site = run.site(node)
        items = run.items_of(iterable)
        if (
            items is not None
            and items.exact
            and 0 < len(items.tail) <= MOST_UNROLLED
            and len({value.thing for value in items.tail}) > 1
        ):
            self._unrolled(node, items.tail, site)
        else:
            element = run.element_of(iterable, site)
            self._rounds(node, feeding(node), lambda: self.assign(node.target, element, site))

    def _leave_loop(self, node: cst.For | cst.While, breaks: list[State]) -> None:
        """The `else` of a loop runs unless it was left by break."""
        if node.orelse is not None and self.run.state.live:
            self._suite(node.orelse.body)
        if breaks:
            self.run.state.become(merged([self.run.state, *breaks]))

    def _unrolled(self, node: cst.For, elements: tuple[Value, ...], site: Site) -> None:
        """A loop over few known elements that differ: round after round."""
        run = self.run
        loop = LoopFrame(feeding(node))
        run.frame.loops.append(loop)
        for number, element in enumerate(elements):
            if not run.state.live:
                break
            with run.round(node, number), run.under():
                self.assign(node.target, element, site)
                self._suite(node.body)
            if loop.continues:
                run.state.become(merged([run.state, *loop.continues]))
                loop.continues.clear()
        run.frame.loops.pop()
        self._leave_loop(node, loop.breaks)

    def _while(self, node: cst.While) -> None:
        endless = self.decided(node.test) is True
        self._rounds(node, "", lambda: self._evaluate(node.test), endless=endless)

    def _rounds(self, node: cst.For | cst.While, fed_by: str, begin: Callable[[], None], *, endless: bool = False) -> None:
        """Execute a loop until its state at the start of a round is stable; only the last round's facts count."""
        run = self.run
        entry = run.state.fork()
        modes = run.training.modes()
        start = len(run.facts)
        first = entry
        loop = LoopFrame(fed_by)
        for number in range(MOST_ROUNDS + MOST_WIDENED):
            loop = LoopFrame(fed_by)
            run.state.become(entry.fork())
            run.frame.loops.append(loop)
            begin()
            with run.under():
                self._suite(node.body)
            run.frame.loops.pop()
            ended = merged([run.state, *loop.continues])
            following = merged([entry, ended])
            if not ended.live or entry.settled(following):
                break
            if number >= MOST_ROUNDS - 1:
                _widen(entry, following)
            if number == MOST_ROUNDS + MOST_WIDENED - 1:
                break
            del run.facts[start:]
            entry = following
        facts = tuple(run.facts[start:])
        models = {fact.model.ref for fact in facts if isinstance(fact, ModeSet)}
        built = frozenset(ref for ref in models if ref.label.startswith(("new ", "copy")) and not first.has(ref))
        run.facts.append(Loop(run.place(run.site(node)), node, facts, modes, built))
        if endless:
            run.state.become(merged(loop.breaks) if loop.breaks else ended)
        else:
            run.state.become(following)
            self._leave_loop(node, loop.breaks)


def _widen(entry: State, following: State) -> None:
    """What a round has changed is unknown from then on."""
    for ref in entry.refs():
        before, after = entry.record(ref), following.record(ref)
        if before is not after:
            for name in [name for name, value in after.items() if before.get(name) != value]:
                following.set(ref, name, UNKNOWN)


def _always_matches(pattern: cst.MatchPattern) -> bool:
    if isinstance(pattern, cst.MatchOr):
        return any(_always_matches(element.pattern) for element in pattern.patterns)
    return isinstance(pattern, cst.MatchAs) and (pattern.pattern is None or _always_matches(pattern.pattern))


def _catches_all(handler: cst.ExceptHandler | cst.ExceptStarHandler) -> bool:
    return handler.type is None or (isinstance(handler.type, cst.Name) and handler.type.value in ("Exception", "BaseException"))


def feeding(node: cst.For) -> str:
    """What a loop iterates over, as the source says it, without wrappers such as tqdm and enumerate."""
    expression = node.iter
    while isinstance(expression, cst.Call) and expression.args:
        expression = expression.args[0].value
    return _code(expression) if isinstance(expression, cst.Name | cst.Attribute) else ""


def stepped(value: Value, site: Site, text: str) -> Value:
    """A value one step further on its way; of a tuple each element."""
    if isinstance(value.thing, Lazy):
        return value
    if isinstance(value.thing, Items) and value.thing.exact and len(value.thing.tail) <= 8:
        return replace(value, thing=replace(value.thing, tail=tuple(stepped(item, site, text) for item in value.thing.tail)))
    if value.trail is not None and (value.meaning is not None or value.fits):
        return value.step(site, text)
    return value


def _grad_wish(value: Value) -> bool | None:
    if isinstance(value.thing, Opaque):
        if value.thing.cls in torch.NO_GRAD:
            return False
        if value.thing.cls in torch.ENABLE_GRAD:
            return True
    return None


def _is_library_object(value: Value) -> bool:
    return isinstance(value.thing, Object) and isinstance(value.thing.cls, str) and not value.thing.cls.startswith("builtins.")


def _masks(base: Value, value: Value) -> bool:
    """`logits[mask] = -inf`: still logits."""
    return base.meaning is Semantic.LOGITS and isinstance(value.constant, int | float)


def _without(items: Items, position: object) -> Items:
    if isinstance(position, int) and items.exact and -len(items.tail) <= position < len(items.tail):
        position %= len(items.tail)
        return replace(items, tail=items.tail[:position] + items.tail[position + 1 :])
    return Items(items.cls, (), joined([*items.tail, *([items.lead] if items.lead is not None else [])]))


def _with_item(mapping: Mapping, index: Value, value: Value) -> Mapping:
    if not isinstance(index.thing, Constant):
        return replace(mapping, exact=False, items=tuple((key, join(held, value)) for key, held in mapping.items))
    rest = tuple((key, held) for key, held in mapping.items if key != index.constant)
    return replace(mapping, items=(*rest, (index.constant, value)))


def _plain_names(target: cst.BaseExpression) -> tuple[str, ...]:
    if not isinstance(target, cst.Tuple | cst.List):
        return ()
    simple = [
        element
        for element in target.elements
        if isinstance(element, cst.Element) and isinstance(element.value, cst.Name | cst.Attribute)
    ]
    names = [_code(element.value) for element in simple]
    return tuple(names) if len(names) == len(target.elements) else ()


def _field_names(node: cst.ClassDef) -> list[str]:
    lines = [line for line in node.body.body if isinstance(line, cst.SimpleStatementLine)]
    fields = [statement for line in lines for statement in line.body if isinstance(statement, cst.AnnAssign)]
    return [field.target.value for field in fields if isinstance(field.target, cst.Name)]


def _code(node: cst.CSTNode) -> str:
    return cst.Module([]).code_for_node(node)
