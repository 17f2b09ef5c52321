"""The machine: where execution stands, entry points, laziness, and calls of the project's own functions and classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import libcst as cst

from mldbg.lint.interpret import loading
from mldbg.lint.interpret.address import GRADIENTS, Context, Made, Ref, Site, made_at, module_ref, site_of
from mldbg.lint.interpret.arguments import Argument, completed
from mldbg.lint.interpret.assignment import Assignment
from mldbg.lint.interpret.batches import Batches
from mldbg.lint.interpret.budget import Budget
from mldbg.lint.interpret.built import Built
from mldbg.lint.interpret.choices import Choices, given, is_one_of, members, outcome_of
from mldbg.lint.interpret.classes import (
    Classes,
    is_classmethod,
    is_of_framework,
    is_property,
    is_static,
    leaves_it_to_others,
    qualified,
)
from mldbg.lint.interpret.columns import of_attribute
from mldbg.lint.interpret.configuration import Configuration
from mldbg.lint.interpret.construction import Construction
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.declared import Declarations
from mldbg.lint.interpret.decorators import Decorators
from mldbg.lint.interpret.estimators import Estimators
from mldbg.lint.interpret.expressions import Expressions
from mldbg.lint.interpret.facts import Condition, Fact, Place, Supposition
from mldbg.lint.interpret.frames import Frame, fed_by
from mldbg.lint.interpret.holding import Holding
from mldbg.lint.interpret.join import came_of, joined, scored_as, settled
from mldbg.lint.interpret.library_calls import LibraryCalls
from mldbg.lint.interpret.lineage import Lineage, data_of_arguments
from mldbg.lint.interpret.module import Module, Modules
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.outstanding import Outstanding
from mldbg.lint.interpret.own_estimators import OwnEstimators
from mldbg.lint.interpret.parameters import Parameters
from mldbg.lint.interpret.registries import Registries
from mldbg.lint.interpret.remembered import Remembered
from mldbg.lint.interpret.roots import Reach
from mldbg.lint.interpret.rounds import chosen_by, loops_under_way
from mldbg.lint.interpret.shapes import usual_size
from mldbg.lint.interpret.shaping import Shaping
from mldbg.lint.interpret.sightings import Seen, Watcher
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.statements import Statements
from mldbg.lint.interpret.subscripts import Subscripts
from mldbg.lint.interpret.supposed import SupposedModels
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    Bound,
    ClassThing,
    Constant,
    Data,
    Entries,
    Function,
    Items,
    Lazy,
    Method,
    ModuleThing,
    Object,
    Partial,
    Record,
    Super,
    Symbol,
    Unknown,
    Value,
    literal,
)
from mldbg.operations import tables
from mldbg.operations.configuration import DICTS
from mldbg.operations.effect import Effect
from mldbg.operations.spelling import canonical

RUNS = ("__call__", "forward")
"""Methods that run a module: who describes one of them describes the other."""

DEEPEST_CALL = 10

DEEPEST_DICT = 4
"""Dicts inside dicts for which a function that calls itself is followed."""

DEEPEST_ATTRIBUTE = 4
"""Attributes of attributes of something unknown that have an identity of their own."""

_HAPPENINGS = frozenset(
    {"backward", "step", "zero_grad", "eval", "train", "fit", "fit_transform", "fit_resample", "partial_fit"}
    | {"append", "extend", "update", "score", "predict"}
    | {"softmax", "log_softmax", "sigmoid", "argmax"}
)
"""Methods that do something, may get what they should not, or say what their result is: they cannot wait until somebody asks."""


class Interpreter:
    """Executes definitions on abstract values and collects facts, of one checked file; `modules` and their trees are shared."""

    def __init__(self, modules: Modules, effects: Mapping[str, Effect], words: frozenset[str] = frozenset()) -> None:
        self.reach = Reach(words)
        self.effects = effects
        self.state = State()
        self.state.ensure(GRADIENTS)
        self.facts: list[Fact] = []
        self.frames: list[Frame] = []
        self.conditions: list[Condition] = []
        """The undecided tests on which it depends that this point is reached."""
        self.supposed: tuple[Supposition, ...] = ()
        self.usual: dict[Ref, Constant] = {}
        self.paddings: set[tuple[Ref, object]] = set()
        self.visited: set[cst.CSTNode] = set()
        self.followed: set[cst.CSTNode] = set()
        """Functions of which one call was followed to its end, with all that it calls."""
        self.budget = Budget()
        self.outstanding = Outstanding(words, self.budget)
        self.entry: Module | None = None
        self.watcher: Watcher | None = None
        self.choices = Choices(self)
        self.names = Names(self, modules)
        self.registries = Registries(self, self.names, modules)
        self.names.filled = self.registries.fill
        self.remembered = Remembered(self, self.names, DEEPEST_CALL)
        self.classes = Classes(self, self.names)
        self.classes.filled = self.registries.fill_class
        self.contents = Contents(self, self.classes)
        self.lineage = Lineage(self, self.contents)
        self.estimators = Estimators(self, self.classes, self.contents, self.lineage)
        self.training = Training(self, self.classes, self.contents, self.lineage, self.estimators)
        self.construction = Construction(self, self.classes, self.contents, self.training)
        self.holding = Holding(self, self.classes, self.contents)
        self.own_estimators = OwnEstimators(self, self.classes, self.estimators)
        self.configuration = Configuration(self, self.names, self.contents, self.lineage)
        self.declarations = Declarations(self, self.classes)
        self.shaping = Shaping(self, self.construction, Batches(self, self.classes, self.contents), self.declarations)
        self.library = LibraryCalls(
            self,
            self.classes,
            self.contents,
            self.lineage,
            self.estimators,
            self.training,
            self.construction,
            self.configuration,
            self.shaping,
        )
        self.assignment = Assignment(self, self.names, self.classes, self.contents, self.training, self.shaping)
        self.subscripts = Subscripts(self, self.contents, self.shaping, self.estimators.tables)
        self.expressions = Expressions(self, self.names, self.contents, self.library, self.assignment, self.subscripts)
        self.decorators = Decorators(self)
        self.supposed_models = SupposedModels(self, self.names, modules)
        self.parameters = Parameters(self, self.names, self.classes, self.configuration)
        self.statements = Statements(
            self,
            self.names,
            self.classes,
            self.contents,
            self.estimators,
            self.training,
            self.expressions,
            self.assignment,
            self.declarations,
        )
        self._applying: set[Ref] = set()
        """Objects that were built from a loss: what they do with it is told, whatever the text of their class says."""
        self._contexts: dict[tuple[Site, Context | None, int], Context] = {}
        self._built: dict[Ref, Built | None] = {}
        self._unbuilt: dict[Ref, tuple[Value, list[Frame], Sequence[Argument], Site]] = {}

    def follow_shapes(self, wanted: frozenset[str]) -> None:
        """Follow the shapes of tensors. Then nothing waits until somebody asks for it: each call is of interest.

        Args:
            wanted: names of calls that some rule listens to.
        """
        self.shaping.on = self.declarations.shapes = self.parameters.numbers = True
        self.shaping.wanted = wanted

    @property
    def executed(self) -> int:
        return self.budget.executed

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def site(self, node: cst.CSTNode) -> Site:
        return site_of(self.frame.part, node)

    def place(self, site: Site) -> Place:
        within = tuple(frame.function.name for frame in self.frames if frame.function is not None)
        function = self.frame.function
        return Place(site, within, function.node if function else None, tuple(self.conditions), self.supposed)

    def condition(self, test: cst.CSTNode, *, holds: bool) -> Condition:
        """A test at this point whose outcome is not known."""
        deciding = partial(chosen_by, test, loops_under_way(self.frames))
        return Condition(self.site(test), holds, deciding, outcome_of(self, test, holds=holds))

    def outcomes(self, test: cst.CSTNode) -> tuple[Condition, Condition]:
        """That a test at this point holds, and that it fails, where neither is known."""
        holds = self.condition(test, holds=True)
        return holds, holds.opposite

    @contextmanager
    def under(self, *conditions: Condition) -> Iterator[None]:
        """Execute what depends on these conditions, and on none that arises inside once it is over."""
        known = len(self.conditions)
        self.conditions += conditions
        try:
            yield
        finally:
            del self.conditions[known:]

    def new_ref(self, site: Site, kind: Made = Made.VALUE, detail: object = None) -> Ref:
        return made_at(site, self.frame.context, kind, detail)

    def feeding(self) -> tuple[str, ...]:
        """What the loops around this point iterate over, as the source says it."""
        return tuple(fed_by(self.frames))

    def effect_of(self, name: str) -> Effect | None:
        return self.effects.get(name) or tables.effect_of(name)

    def defer(self, node: cst.CSTNode, compute: Callable[[], Value]) -> Value:
        """A value that is computed when somebody asks, in the state as it is now; the rules hear nothing of what happens then."""
        state, frames = self.state.fork(), list(self.frames)
        circumstances = list(self.conditions), self.supposed
        done: list[tuple[Value, dict[Ref, Record]]] = []

        def run() -> tuple[Value, dict[Ref, Record]]:
            if not done:
                done.append((UNKNOWN, {}))  # guards against recursion
                known = state.refs()  # nothing has touched the state in the meantime
                with self.elsewhere(state, frames), given(self, *circumstances):
                    value = self.force(compute())
                    made = {ref: dict(self.state.record(ref)) for ref in self.state.refs() - known}
                done[0] = (value, made)
            return done[0]

        return Value(Lazy(self.new_ref(self.site(node), Made.LAZY), run))

    def force(self, value: Value) -> Value:
        """The value itself, where it was deferred."""
        while isinstance(value.thing, Lazy):
            known, made = value.thing.compute()
            self.state.adopt(made)
            value = came_of(value, known)
        return value

    @contextmanager
    def elsewhere(self, state: State, frames: list[Frame]) -> Iterator[None]:
        """Execute at another point of the program; the rules hear nothing of what happens there."""
        saved = self.state, self.frames
        mark = len(self.facts)
        self.state, self.frames = state, list(frames)
        self.state.live = True
        try:
            with self.budget.silently():
                yield
        finally:
            self.state, self.frames = saved
            del self.facts[mark:]

    def _may_wait(self, cls: ClassThing) -> bool:
        return not self.shaping.on and self.classes.is_module(cls) and self.reach.is_quiet(cls.part)

    def built(self, ref: Ref) -> None:
        """Run the __init__ that an object still waits for."""
        if self.state.get(ref, Slot.UNBUILT) is None:
            return
        self.state.drop(ref, Slot.UNBUILT)
        value, frames, arguments, site = self._unbuilt[ref]
        assert isinstance(value.thing, Object)
        assert isinstance(value.thing.cls, ClassThing)
        known = self._built.get(ref)
        if known is not None:
            known.leave(self.state, ref)
        else:
            live, before, refused = self.state.live, self.state.fork(), self.budget.refused
            with self.elsewhere(self.state, frames), self.budget.now.apart():
                self._initialise(value, value.thing.cls, arguments, site)
            self.state.live = live
            self._built[ref] = Built.between(before, self.state, ref) if self.budget.refused == refused else None
        self.training.spread_inside(value.thing)

    @contextmanager
    def in_module(self, module: Module) -> Iterator[None]:
        ref = module_ref(module)
        self.state.ensure(ref)
        part = module.parts[0] if module.parts else None
        if part is None:
            return
        self.frames.append(Frame(ref, part, None))
        try:
            yield
        finally:
            self.frames.pop()

    @contextmanager
    def round(self, node: cst.CSTNode, number: int) -> Iterator[None]:
        """One round of a loop whose rounds are taken one by one: what it makes is told apart from what the others make."""
        frame = self.frame
        outer = frame.context
        key = (self.site(node), outer, number)
        frame.context = self._contexts.setdefault(key, Context(self.site(node), outer))
        try:
            yield
        finally:
            frame.context = outer

    # ---------------------------------------------------------------------------------------------------------- evaluation
    def evaluate(self, node: cst.BaseExpression) -> Value:
        """The value of an expression."""
        return self.expressions.of(node)

    def now(self, node: cst.BaseExpression) -> Value:
        """The value of an expression, computed even if it could wait."""
        return self.force(self.expressions.of(node))

    def execute(self, body: cst.Module | cst.BaseSuite) -> None:
        """Execute statements in order until control leaves."""
        self.statements.suite(body)

    def item(self, base: Value, indices: list[Value], node: cst.CSTNode, site: Site) -> Value:
        """The value of `base[indices]`."""
        return self.subscripts.item(base, indices, node, site)

    def module_name(self, module: Module, name: str) -> Value:
        """What a name means at a module's top level."""
        return self.names.module_name(module, name)

    def attribute(self, base: Value, name: str, site: Site) -> Value:
        """The value of `base.name`."""
        if isinstance(base.thing, Lazy):
            return self.defer(site.node, lambda: self.attribute(self.force(base), name, site))
        if base.among is not None:
            return self.choices.each(base, lambda one: self.attribute(one, name, site), site)
        thing = base.thing
        if base.loaders and (held := loading.attribute(self, base, name)) is not None:
            return held
        if isinstance(thing, Symbol):
            return Value(Symbol(canonical(f"{thing.name}.{name}")))
        if isinstance(thing, ModuleThing):
            return self.names.attribute_of_module(thing.module, name)
        if isinstance(thing, ClassThing | Function) and name in ("__name__", "__qualname__"):
            return literal(thing.name)
        if isinstance(thing, ClassThing):
            return self.classes.class_attribute(thing, name) or UNKNOWN
        if isinstance(thing, Super):
            found = self.classes.super_attribute(thing, name)
            return UNKNOWN if found is None else self._bound(found, thing.receiver)
        if isinstance(thing, Object):
            return self._object_attribute(base, thing, name, site)
        if isinstance(thing, Entries) and thing.get(name) is not None:
            return thing.get(name) or UNKNOWN
        return self.library.attribute(base, name, site)

    def _object_attribute(self, base: Value, thing: Object, name: str, site: Site) -> Value:
        self.built(thing.ref)
        held = self.state.get(thing.ref, name)
        if held is not None:
            return held
        if isinstance(thing.cls, ClassThing):
            found = self.classes.class_attribute(thing.cls, name)
            if found is not None:
                if isinstance(found.thing, Function) and is_property(found.thing):
                    return self.call_function(found.thing, [Argument(base)], site)
                return self._bound(found, base)
        entries = self.state.get(thing.ref, Slot.ITEMS)
        if entries is not None and isinstance(entries.thing, Entries) and self.classes.outside_base(thing.cls) in DICTS:
            return entries.thing.get(name) or UNKNOWN  # what a dict of the project's own is made for, as a rule
        if name == "training":
            mode = self.state.get(thing.ref, Slot.MODE)
            return mode if mode is not None and isinstance(mode.thing, Constant) else UNKNOWN
        if name == "module" and thing.ref.kind is not Made.SELF and (thing.cls is None or self.classes.is_module(thing.cls)):
            return base  # a parallel wrapper stands for what it wraps
        if thing.cls is None or isinstance(thing.cls, ClassThing):
            return self._child(base, thing, name)
        return self.library.attribute(base, name, site)

    def _child(self, base: Value, thing: Object, name: str) -> Value:
        """An attribute of which nothing is known: an object with an identity of its own, so that its mode can be followed."""
        if thing.ref.depth(Made.ATTRIBUTE) >= DEEPEST_ATTRIBUTE:
            return UNKNOWN
        ref = thing.ref.inside(Made.ATTRIBUTE, name)
        data = base.data
        if not isinstance(thing.cls, ClassThing):
            data = Data(rows=base.rows) if data is None else replace(data, rows=base.rows)
        data = of_attribute(data, name)
        self.state.ensure(ref)
        trail, size = base.trail if data and data.fits else None, usual_size(self.usual.get(ref))
        return self.estimators.tables.attribute(base, name, Value(Object(ref), data=data, origin=ref, trail=trail, size=size))

    def _bound(self, found: Value, receiver: Value) -> Value:
        if isinstance(found.thing, Function) and not is_static(found.thing):
            return Value(Bound(found.thing, receiver))
        return found

    def call(self, callee: Value, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of a call."""
        callee = self.force(callee)
        if callee.among is not None:
            supposing = not _chooses_command(callee, site)
            return self.choices.each(callee, lambda one: self.call(one, arguments, site), site, supposing=supposing)
        thing = callee.thing
        if isinstance(thing, Function):
            return self.call_function(thing, arguments, site)
        if isinstance(thing, Bound):
            return self.call_function(thing.function, [Argument(thing.receiver), *arguments], site)
        if isinstance(thing, ClassThing):
            return self.instantiate(thing, arguments, site)
        if isinstance(thing, Partial):
            return self.call(thing.callee, completed(thing, arguments), site)
        if isinstance(thing, Object):
            attached = self.shaping.attached
            return attached.called(thing, arguments, site, lambda given: self.call_object(callee, thing, given, site))
        if isinstance(thing, Symbol):
            return self.library.call_symbol(thing.name, arguments, site)
        if isinstance(thing, Method):
            return self.library.call_method(thing.receiver, thing.name, arguments, site)
        return self.library.unknown_call(callee, "", arguments, site)

    def call_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of `base.name(...)`."""
        if isinstance(base.thing, Lazy):
            waiting = base
            if name not in _HAPPENINGS:
                return scored_as(
                    self.defer(site.node, lambda: self.call_method(self.force(waiting), name, arguments, site)), waiting
                )
            base = self.force(base)
        if base.among is not None and name != "backward":
            return self.choices.each(base, lambda one: self.call_method(one, name, arguments, site), site)
        thing = base.thing
        if name == "__call__" and isinstance(thing, Object | Function | Bound | Partial):
            return self.call(base, arguments, site)
        if isinstance(thing, Object):
            self.built(thing.ref)
        if isinstance(thing, Symbol | ModuleThing | ClassThing):
            callee = self.attribute(base, name, site)
            if isinstance(callee.thing, Unknown) and callee.among is None:
                return self.library.unknown_call(callee, name, arguments, site)
            if isinstance(callee.thing, Function) and isinstance(thing, ClassThing) and is_classmethod(callee.thing):
                arguments = [Argument(base), *arguments]
            return self.call(callee, arguments, site)
        if isinstance(thing, Super):
            found = self.classes.super_attribute(thing, name)
            if found is not None:
                return self.call(self._bound(found, thing.receiver), arguments, site)
            outside = next((base for base in self.classes.behind(thing) if isinstance(base, str)), None)
            return self.library.call_super(thing.receiver, outside, name, arguments, site)
        if isinstance(thing, Object):
            held = self.state.get(thing.ref, name)
            if held is not None and (held.among is not None or not isinstance(held.thing, Unknown)):
                return self.call(held, arguments, site)
            if isinstance(thing.cls, ClassThing):
                row = self._row_for(thing.cls, *(RUNS if name in RUNS else (name,)))
                if row is not None:
                    return self.library.apply(self.effects[row], row, arguments, site, None)
                found = self.classes.class_attribute(thing.cls, name)
                if found is not None:
                    if isinstance(found.thing, Function) and is_classmethod(found.thing):
                        return self.call_function(found.thing, [Argument(Value(thing.cls)), *arguments], site)
                    if isinstance(found.thing, Function) and is_property(found.thing):
                        return self.call(self.attribute(base, name, site), arguments, site)
                    method = self._bound(found, base)
                    return self.own_estimators.called(
                        base, thing, name, arguments, site, lambda: self.call(method, arguments, site)
                    )
        return self.library.call_method(base, name, arguments, site)

    def call_object(self, callee: Value, thing: Object, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of calling an object: its __call__, a module's forward, a library object's behaviour."""
        cls = thing.cls
        if isinstance(cls, ClassThing):
            module = self.classes.is_module(cls)
            with self.training.inside_model(module):
                if module and not self.shaping.on and self.reach.is_quiet(cls.part) and thing.ref not in self._applying:
                    result = self.defer(site.node, lambda: self._run_object(callee, cls, arguments, site))
                else:
                    result = self._run_object(callee, cls, arguments, site)
            if module:
                return self.training.model_called(callee, arguments, site, result)
            return result
        return self.library.call_library_object(callee, thing, arguments, site)

    def _run_object(self, callee: Value, cls: ClassThing, arguments: Sequence[Argument], site: Site) -> Value:
        row = self._row_for(cls, *RUNS)
        if row is not None:
            return self.library.apply(self.effects[row], row, arguments, site, None)
        module = self.classes.is_module(cls)
        replaced = self.state.get(callee.thing.ref, "forward") if module and isinstance(callee.thing, Object) else None
        if replaced is not None:
            return self.call(replaced, arguments, site)
        method = self.classes.run_by_call(cls)
        if method is not None and isinstance(method.thing, Function):
            return self.call_function(method.thing, [Argument(callee), *arguments], site)
        if self.classes.outside_base(cls) in tables.CONTAINERS:
            return self.library.run_container(callee, arguments, site)
        return self.lineage.unknown_result(site)

    def _row_for(self, cls: ClassThing, *methods: str) -> str | None:
        """The user's own row for a method of an object: for its class, or for the base that it has the method from."""
        for ancestor in self.classes.ancestors(cls) if self.effects else ():
            if not isinstance(ancestor, ClassThing):
                continue
            for method in methods:
                name = f"{ancestor.part.module.name}.{ancestor.name}.{method}"
                if name in self.effects:
                    return name
            if any(method in self.classes.class_record(ancestor) for method in methods):
                return None
        return None

    def instantiate(self, cls: ClassThing, arguments: Sequence[Argument], site: Site) -> Value:
        """A new object of a project class."""
        ref = self.new_ref(site, Made.OBJECT, cls.name)
        value = Value(Object(ref, cls), data=data_of_arguments(arguments), origin=ref)
        held = [one for argument in arguments for one in members(argument.value)]
        self.state.open(ref)
        if self._may_wait(cls):
            self._unbuilt[ref] = (value, list(self.frames), arguments, site)
            self._built.pop(ref, None)
            self.state.set(ref, Slot.UNBUILT, NONE)
        else:
            self._initialise(value, cls, arguments, site)
        if self.classes.is_module(cls):
            self.training.start_in_training_mode(value, site)
        if any(self.holding.is_loss(one) or is_one_of(one, self._applying) for one in held):
            self._applying.add(ref)
        if not cls.part.module.is_test and any(map(self.holding.is_informative, held)):
            self.outstanding.built(ref, value)
        return value

    def _initialise(self, value: Value, cls: ClassThing, arguments: Sequence[Argument], site: Site) -> None:
        assert isinstance(value.thing, Object)
        init = self.classes.class_attribute(cls, "__init__")
        if init is not None and isinstance(init.thing, Function):
            self.call_function(init.thing, [Argument(value), *arguments], site)
        elif self.classes.takes_fields(cls):
            self.classes.fill_fields(cls, value.thing.ref, arguments)
            self.construction.after_init(value, cls, site)
        else:
            self.construction.construct_base(value.thing.ref, self.classes.outside_base(cls), arguments)
        self.declarations.built(cls, value.thing.ref, site)

    def call_function(
        self,
        function: Function,
        arguments: Sequence[Argument],
        site: Site,
        *,
        assume: bool = False,
        at_yield: Callable[[Value], None] | None = None,
    ) -> Value:
        """Execute a project function; `assume`: parameters without an argument are guessed from names and annotations."""
        if self.effects and not assume:
            name = qualified(function)
            if name in self.effects:
                given = arguments[1:] if function.owner is not None and not is_static(function) else arguments
                return self.library.apply(self.effects[name], name, given, site, None)
        if assume or at_yield is not None or self.shaping.on:
            return self._entered(function, arguments, site, assume=assume, at_yield=at_yield)
        return self.remembered.result(function, arguments, site, lambda: self._entered(function, arguments, site))

    def _entered(
        self,
        function: Function,
        arguments: Sequence[Argument],
        site: Site,
        *,
        assume: bool = False,
        at_yield: Callable[[Value], None] | None = None,
    ) -> Value:
        node = function.node
        depth = len(self.frames)
        active = sum(1 for frame in self.frames if frame.function is not None and frame.function.node is node)
        admitted = depth <= DEEPEST_CALL and (assume or self.budget.now.admits(node))
        calls_itself = active > 0 and not self._goes_down(function, arguments, active)
        if calls_itself or not admitted or (not assume and is_of_framework(function)):
            if not admitted:
                self.budget.refuse(self.frames)
            elif active:
                self.remembered.cut()
            return self.library.unknown_call(UNKNOWN, function.name, arguments, site)
        if not assume and leaves_it_to_others(node):
            given = arguments[1:] if function.owner is not None and not is_static(function) else arguments
            return self.library.unknown_call(UNKNOWN, function.name, given, site)
        if not assume and not function.raw and isinstance(node, cst.FunctionDef) and node.decorators:
            wrapped = self.decorators.applied(function)
            if wrapped is not None:
                return self.call(wrapped, arguments, site)
        outer = self.frame.context
        context = self._contexts.setdefault((site, outer, -1), Context(site, outer))
        frame = Frame(
            made_at(site_of(function.part, node), context, Made.FRAME),
            function.part,
            function.closure,
            function,
            context,
            at_yield=at_yield,
            assumed=assume,
        )
        frame.is_init = function.name == "__init__"
        self.state.open(frame.ref)
        self.state.set(frame.ref, Slot.CLOSURE, Value(Object(function.closure)))
        entered = self.frames[-1]
        self.frames.append(frame)
        self.remembered.entered(depth)
        grad = self.state.grad
        refused = self.budget.refused
        try:
            with nullcontext() if assume else self.budget.now.call(node):
                informed = self.parameters.bind(function, arguments, assume=assume)
                self.declarations.bind(function, frame)
                if self.watcher is not None:
                    self.watcher(Seen.ENTERED, site, function.name, UNKNOWN)
                if informed and not self.budget.silent:
                    self.visited.add(node)
                if isinstance(node, cst.FunctionDef):
                    wish = self.decorators.grad_wish(node)
                    if wish is not None:
                        self.state.grad = wish
                frame.conditions = len(self.conditions)
                with self.under():
                    result = self._body(node)
        finally:
            self.frames.pop()
            if self.budget.refused == refused:
                self.followed.add(node)
            elif node not in self.followed:
                self.visited.discard(node)  # not all that it calls was followed: it is worth a look of its own
        assert self.frames[-1] is entered
        self.state.grad = grad
        if not frame.keeps:
            self.state.close(frame.ref)
        if assume:
            return result
        if isinstance(result.thing, Lazy):
            return self.defer(site.node, lambda: _came_back(self.force(result), function, site))
        return _came_back(result, function, site)

    def _goes_down(self, function: Function, arguments: Sequence[Argument], active: int) -> bool:
        """Whether a function calls itself for a dict inside the one that it got, as wrappers of settings do."""
        dicts = [argument.value.thing for argument in arguments if self.contents.mapping_of(argument.value) is not None]
        if not dicts or active > DEEPEST_DICT:
            return False
        params = function.node.params
        names = [parameter.name.value for parameter in (*params.posonly_params, *params.params)]
        under_way = [frame.ref for frame in self.frames if frame.function is not None and frame.function.node is function.node]
        given = [value.thing for ref in under_way for name in names if (value := self.state.get(ref, name)) is not None]
        return not any(thing in given for thing in dicts)

    def _finish(self, frame: Frame) -> Value:
        """The value of a function whose body was executed: the join over its return statements and its end."""
        states = [state for _, state in frame.returns]
        values = [value for value, _ in frame.returns]
        if self.state.live or not states:
            values.append(NONE)
            states.append(self.state.fork())
        ended = merged(states)
        was_live = ended.live
        self.state.become(ended)
        if frame.yields:
            return Value(Items("builtins.generator", (), joined(frame.yields)))
        return settled(joined(values)) if was_live or values else UNKNOWN

    def _body(self, node: cst.FunctionDef | cst.Lambda) -> Value:
        """Execute a function's body in the frame just opened; the value it returns."""
        if isinstance(node, cst.Lambda):
            return self.evaluate(node.body)
        frame = self.frame
        self.execute(node.body)
        return self._finish(frame)


def _chooses_command(callee: Value, site: Site) -> bool:
    """Whether one of several functions is run for what it does: `{"train": train, "predict": predict}[mode](args)`.

    That is a branch like any other, and no value that the rest of the program depends on.
    """
    functions = all(isinstance(one.thing, Function) for one in members(callee))
    return functions and isinstance(site.part.parents.get(site.node), cst.Expr)


def _came_back(result: Value, function: Function, site: Site) -> Value:
    return result.step(site, f"returned by `{function.name}`")
