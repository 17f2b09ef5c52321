"""The interpreter's core: frames, names, attributes, and calls of the project's own functions and classes."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.estimators import Estimators
from mldbg.lint.interpret.expressions import Expressions
from mldbg.lint.interpret.facts import Condition, Fact, Place
from mldbg.lint.interpret.frames import CLOSURE, Argument, Frame, module_ref, with_named_role
from mldbg.lint.interpret.library_calls import LibraryCalls
from mldbg.lint.interpret.module import Module, Modules, Part, Site
from mldbg.lint.interpret.roots import Reach
from mldbg.lint.interpret.state import Record, State, merged
from mldbg.lint.interpret.statements import Statements
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    Bound,
    ClassThing,
    Constant,
    Context,
    Data,
    Function,
    Items,
    Lazy,
    Method,
    ModuleThing,
    Object,
    Partial,
    Ref,
    Super,
    Symbol,
    Unknown,
    Value,
    joined,
    literal,
)
from mldbg.lint.interpret.value import (
    Mapping as MappingThing,
)
from mldbg.lint.library.names import CONVENTIONAL_ALIASES
from mldbg.lint.outline import Import, Kind
from mldbg.operations import python, tables, torch
from mldbg.operations.effect import Effect
from mldbg.operations.spelling import canonical

DEEPEST_CALL = 10
MOST_STAR_IMPORTS = 20
"""Star imports of one module that are looked through; a module with more only collects names for others."""

MOST_STATEMENTS = 4_000
"""Statements that one entry point may execute; beyond it, calls of project functions give an unknown value."""

MOST_FOR_DECORATORS = 60
"""Statements that applying a function's decorators may take; a wrapper needs few."""

BUILTIN_NAMES = frozenset(dir(builtins))


UNBUILT = "#unbuilt"

_HAPPENINGS = frozenset(
    {"backward", "step", "zero_grad", "eval", "train", "fit", "fit_transform", "fit_resample", "partial_fit"}
    | {"append", "extend", "update", "score", "predict"}
)
"""Methods that do something, and so cannot wait until somebody asks for their result."""


class Interpreter:
    """Executes definitions on abstract values and collects facts.

    One interpreter serves one checked file; `modules` and their parse trees are shared.
    """

    def __init__(self, modules: Modules, effects: Mapping[str, Effect], words: frozenset[str] = frozenset()) -> None:
        self.reach = Reach(words)
        self.modules = modules
        self.effects = effects
        self.state = State()
        self.facts: list[Fact] = []
        self.frames: list[Frame] = []
        self.conditions: list[Condition] = []
        """The undecided tests on which it depends that this point is reached."""
        self.visited: set[cst.CSTNode] = set()
        self.unheard = 0
        """What is executed now is not told to the rules."""
        self.executed = 0
        self.limit = MOST_STATEMENTS
        self.entry: Module | None = None
        self.expressions = Expressions(self)
        self.statements = Statements(self)
        self.library = LibraryCalls(self)
        self.training = Training(self)
        self.estimators = Estimators(self)
        self._evaluating: set[tuple[Module, str]] = set()
        self._executed_modules: set[Module] = set()
        self._assignments: dict[tuple[Part, str], tuple[Value | None, dict[Ref, Record]]] = {}
        self._class_records: dict[Ref, dict[Ref, Record]] = {}
        self._contexts: dict[tuple[Site, Context | None, int], Context] = {}
        self._unbuilt: dict[Ref, tuple[Value, list[Frame], Sequence[Argument], Site]] = {}

    # ------------------------------------------------------------------------------------------------------------- places
    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def site(self, node: cst.CSTNode) -> Site:
        return Site(self.frame.part, node)

    def place(self, site: Site) -> Place:
        within = tuple(frame.function.name for frame in self.frames if frame.function is not None)
        function = self.frame.function
        return Place(site, within, function.node if function else None, tuple(self.conditions))

    @contextmanager
    def under(self, *conditions: Condition) -> Iterator[None]:
        """Execute what depends on these conditions, and on none that arises inside once it is over."""
        known = len(self.conditions)
        self.conditions += conditions
        try:
            yield
        finally:
            del self.conditions[known:]

    def new_ref(self, node: cst.CSTNode, label: str = "") -> Ref:
        return Ref(self.site(node), self.frame.context, label)

    # ------------------------------------------------------------------------------------------------------------ laziness
    def defer(self, node: cst.CSTNode, compute: Callable[[], Value]) -> Value:
        """A value that is computed when somebody asks, in the state as it is now; the rules hear nothing of what happens then."""
        state, frames = self.state.fork(), list(self.frames)
        known = state.refs()
        done: list[tuple[Value, dict[Ref, Record]]] = []

        def run() -> tuple[Value, dict[Ref, Record]]:
            if not done:
                done.append((UNKNOWN, {}))  # in case that computing asks for itself
                with self._elsewhere(state, frames):
                    value = self.force(compute())
                    made = {ref: dict(self.state.record(ref)) for ref in self.state.refs() - known}
                done[0] = (value, made)
            return done[0]

        return Value(Lazy(self.new_ref(node, "lazy"), run))

    def force(self, value: Value) -> Value:
        """The value itself, where it was deferred."""
        while isinstance(value.thing, Lazy):
            or_none = value.or_none
            value, made = value.thing.compute()
            self.state.adopt(made)
            if or_none:
                value = replace(value, or_none=True)
        return value

    @contextmanager
    def _elsewhere(self, state: State, frames: list[Frame]) -> Iterator[None]:
        """Execute at another point of the program; the rules hear nothing of what happens there."""
        saved = self.state, self.frames, self.library.unpacking
        mark = len(self.facts)
        self.state, self.frames, self.library.unpacking = state, list(frames), None
        self.state.live = True
        self.unheard += 1
        try:
            yield
        finally:
            self.unheard -= 1
            self.state, self.frames, self.library.unpacking = saved
            del self.facts[mark:]

    def _may_wait(self, cls: ClassThing) -> bool:
        return self.is_module(cls) and self.reach.is_quiet(cls.part)

    def built(self, ref: Ref) -> None:
        """Run the __init__ that an object still waits for."""
        if self.state.get(ref, UNBUILT) is None:
            return
        self.state.drop(ref, UNBUILT)
        value, frames, arguments, site = self._unbuilt[ref]
        assert isinstance(value.thing, Object)
        assert isinstance(value.thing.cls, ClassThing)
        live = self.state.live
        with self._elsewhere(self.state, frames):
            self._initialise(value, value.thing.cls, arguments, site)
        self.state.live = live
        self.training.spread_inside(value.thing)

    def feeding(self) -> tuple[str, ...]:
        """What the loops around this point iterate over, as the source says it."""
        return tuple(loop.feeding for frame in self.frames for loop in frame.loops if loop.feeding)

    def effect_of(self, name: str) -> Effect | None:
        return self.effects.get(name) or tables.effect_of(name)

    # -------------------------------------------------------------------------------------------------------- entry points
    def run_module(self, module: Module) -> None:
        """Execute the module's top level, statement by statement."""
        self._executed_modules.add(module)
        with self._in_module(module):
            for part in module.parts:
                again = part.statement.kind is not Kind.IMPORT and not module.parts_of.keys().isdisjoint(part.statement.names)
                if again or part.statement.kind in (Kind.ASSIGNMENT, Kind.CODE):
                    self.frame.part = part
                    self.statements.block(part.tree.body)
                    if not self.state.live:
                        self.state.live = True  # sys.exit() or raise at top level: what stands below is still of interest

    def run_function(self, function: Function, receiver: Value | None = None) -> None:
        """Execute a function with nothing known of its arguments but their names and annotations."""
        if function.node in self.visited:
            return
        with self._in_module(function.part.module):
            self.frame.part = function.part
            arguments = [] if receiver is None else [Argument(receiver)]
            self.call_function(function, arguments, self.site(function.node), assume=True)

    def class_of(self, module: Module, part: Part) -> ClassThing | None:
        """The class that a top-level class statement defines."""
        return ClassThing(part, None, module_ref(module)) if part.statement.kind is Kind.CLASS else None

    def run_class(self, cls: ClassThing, wanted: frozenset[str] | None = None) -> None:
        """Execute the wanted methods of a class (None: all) on an object of which only __init__ is known to have run."""
        before = self.state.fork()
        with self._in_module(cls.part.module):
            self.frame.part = cls.part
            methods = self._methods(cls, wanted)
            nested = [value.thing for value in self.class_record(cls).values() if isinstance(value.thing, ClassThing)]
            pending = [method for method in methods if method.node not in self.visited or method.owner != cls]
            if pending:
                self_value = self.assumed_instance(cls)
                ready = self.state.fork()
                for method in pending:
                    self.executed = 0
                    self.state.become(ready.fork())
                    receiver = None if _is_static(method) else self_value
                    self.visited.discard(method.node)
                    self.run_function(method, receiver)
            for inner in nested:
                self.run_class(inner)
        self.state.become(before)

    def _methods(self, cls: ClassThing, wanted: frozenset[str] | None) -> list[Function]:
        """The methods of a class to execute by themselves, and inherited ones of the project that hold a trigger word."""
        found: dict[str, Function] = {}
        for ancestor in self.ancestors(cls):
            if not isinstance(ancestor, ClassThing) or (ancestor != cls and ancestor.part.is_framework):
                continue
            names = wanted if ancestor == cls else self.reach.loud_methods(ancestor.part)
            for name, value in self.class_record(ancestor).items():
                if isinstance(value.thing, Function) and name != "__init__" and (names is None or name in names):
                    found.setdefault(name, value.thing)
        return list(found.values())

    def assumed_instance(self, cls: ClassThing) -> Value:
        """An object of a class after __init__ with unknown arguments."""
        ref = Ref(Site(cls.part, cls.node), None, "self")
        self_value = Value(Object(ref, cls), origin=ref)
        self.state.open(ref)
        init = self.class_attribute(cls, "__init__")
        if init is not None and isinstance(init.thing, Function):
            self.call_function(init.thing, [Argument(self_value)], Site(cls.part, cls.node), assume=True)
            self.state.live = True
        return self_value

    @contextmanager
    def _in_module(self, module: Module) -> Iterator[None]:
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

    @contextmanager
    def inside(self, function: Function) -> Iterator[None]:
        """Where a function was defined: what its decorators' names mean."""
        ref = Ref(Site(function.part, function.node), None, "decorators")
        self.state.open(ref)
        self.state.set(ref, CLOSURE, Value(Object(function.closure)))
        self.frames.append(Frame(ref, function.part, function.closure))
        limit, self.limit = self.limit, min(self.limit, self.executed + MOST_FOR_DECORATORS)
        try:
            yield
        finally:
            self.limit = limit
            self.frames.pop()
            self.state.close(ref)

    # -------------------------------------------------------------------------------------------------------------- names
    def lookup(self, name: str) -> Value:
        """The value of a name at this point."""
        ref: Ref | None = self.frame.ref
        if name in self.frame.global_names:
            ref = module_ref(self.frame.module)
        while ref is not None:
            value = self.state.get(ref, name)
            if value is not None:
                return value
            closure = self.state.get(ref, CLOSURE)
            ref = closure.thing.ref if closure is not None and isinstance(closure.thing, Object) else None
        return self.module_name(self.frame.module, name)

    def module_name(self, module: Module, name: str) -> Value:
        """A module-level name: as executed so far, else from the text that binds it, else imported, else a builtin."""
        found = self._module_attribute(module, name)
        if found is not None:
            return found
        if name == "__name__":
            return literal("__main__" if module is self.entry else module.name)
        if name in BUILTIN_NAMES:
            return Value(Symbol(f"builtins.{name}"))
        if name in CONVENTIONAL_ALIASES:
            return Value(Symbol(CONVENTIONAL_ALIASES[name]))
        return UNKNOWN

    def _module_attribute(self, module: Module, name: str) -> Value | None:
        value = self.state.get(module_ref(module), name)
        if value is not None:
            return value
        fixed = module.definitions.get(name)
        if fixed is not None:
            return fixed
        value = self._looked_up(module, name)
        if (
            value is not None
            and isinstance(value.thing, Symbol | ModuleThing | Function | ClassThing)
            and self._never_changes(module, name)
        ):
            module.definitions[name] = value
        return value

    def _never_changes(self, module: Module, name: str) -> bool:
        """Whether a name is bound by one definition or import only, so that every state sees the same."""
        part = module.part_of.get(name)
        return part is None or (part.statement.kind in (Kind.FUNCTION, Kind.CLASS) and name not in module.parts_of)

    def _looked_up(self, module: Module, name: str) -> Value | None:
        for part in reversed(module.parts_of.get(name) or [module.part_of[name]] if name in module.part_of else []):
            if part.statement.kind is Kind.CLASS:
                return Value(ClassThing(part, None, module_ref(module)))
            of_itself = part.statement.kind not in (Kind.FUNCTION, Kind.CLASS) and module not in self._executed_modules
            value = self._assigned(module, part, name) if of_itself else self._defined_in(module, part, name)
            if value is not None:
                return value
        imported = module.outline.imports.get(name)
        if imported is not None:
            return self.imported(module, imported)
        for star in module.outline.star_imports[:MOST_STAR_IMPORTS]:
            value = self._from_star(module, star, name)
            if value is not None:
                return value
        return None

    def _assigned(self, module: Module, part: Part, name: str) -> Value | None:
        """What a statement of a module that is not being executed assigns to a name: computed once, in a state of its own."""
        key = (part, name)
        if key not in self._assignments:
            self._assignments[key] = (None, {})
            state = State()
            with self._elsewhere(state, []):
                value = self._defined_in(module, part, name)
                made = {ref: self.state.record(ref) for ref in self.state.refs() if ref != module_ref(module)}
            self._assignments[key] = (value, made)
        value, made = self._assignments[key]
        self.state.adopt(made)
        return value

    def _defined_in(self, module: Module, part: Part, name: str) -> Value | None:
        key = (module, name)
        if key in self._evaluating:
            return None
        self._evaluating.add(key)
        live, self.state.live = self.state.live, True
        try:
            with self._in_module(module):
                self.frame.part = part
                if part.statement.kind in (Kind.FUNCTION, Kind.CLASS) or module not in self._executed_modules:
                    mark = len(self.facts)
                    self.statements.block(part.tree.body)
                    del self.facts[mark:]
            return self.state.get(module_ref(module), name)
        finally:
            self.state.live = live
            self._evaluating.discard(key)

    def _from_star(self, module: Module, star: Import, name: str) -> Value | None:
        source = self.modules.find(module.absolute(star), module)
        if source is not None:
            if (source, f"*{name}") in self._evaluating or name not in source.text:
                return None
            self._evaluating.add((source, f"*{name}"))
            try:
                return self._module_attribute(source, name)
            finally:
                self._evaluating.discard((source, f"*{name}"))
        qualified = canonical(f"{star.module}.{name}")
        return Value(Symbol(qualified)) if self.effect_of(qualified) or tables.is_known(qualified) else None

    def imported(self, module: Module, what: Import) -> Value:
        """What an import statement binds."""
        dotted = module.absolute(what)
        if what.name is None:
            found = self.modules.find(dotted, module)
            return Value(ModuleThing(found)) if found else Value(Symbol(canonical(dotted)))
        known = canonical(f"{dotted}.{what.name}")
        if tables.is_known(known):
            return Value(Symbol(known))  # the tables know it better than its source, when that is the project itself
        inner = self.modules.find(f"{dotted}.{what.name}" if dotted else what.name, module)
        source = self.modules.find(dotted, module)
        if source is not None:
            key = (source, f"from {what.name}")
            if key not in self._evaluating:
                self._evaluating.add(key)
                try:
                    value = self._module_attribute(source, what.name)
                finally:
                    self._evaluating.discard(key)
                if value is not None:
                    return value
        if inner is not None:
            return Value(ModuleThing(inner))
        return UNKNOWN if source is not None or what.level else Value(Symbol(canonical(f"{dotted}.{what.name}")))

    def bind(self, name: str, value: Value) -> None:
        """Assign to a plain name."""
        frame = self.frame
        target = frame.ref
        if name in frame.global_names:
            target = module_ref(frame.module)
        elif name in frame.outer_names:
            target = self._owner_of(name) or target
        self.state.set(target, name, with_named_role(name, value))

    def set_in_module(self, module: Module, name: str, value: Value) -> None:
        """Assign to an attribute of a module of the project."""
        self.state.set(module_ref(module), name, value)

    def _owner_of(self, name: str) -> Ref | None:
        closure = self.state.get(self.frame.ref, CLOSURE)
        while closure is not None and isinstance(closure.thing, Object):
            if self.state.get(closure.thing.ref, name) is not None:
                return closure.thing.ref
            closure = self.state.get(closure.thing.ref, CLOSURE)
        return None

    # ---------------------------------------------------------------------------------------------------------- attributes
    def attribute(self, base: Value, name: str, site: Site) -> Value:
        """The value of `base.name`."""
        if isinstance(base.thing, Lazy):
            return self.defer(site.node, lambda: self.attribute(self.force(base), name, site))
        thing = base.thing
        if isinstance(thing, Symbol):
            return Value(Symbol(canonical(f"{thing.name}.{name}")))
        if isinstance(thing, ModuleThing):
            return self.attribute_of_module(thing.module, name)
        if isinstance(thing, ClassThing):
            found = self.class_attribute(thing, name)
            return UNKNOWN if found is None else found
        if isinstance(thing, Super):
            found = self._super_attribute(thing, name)
            return UNKNOWN if found is None else self._bound(found, thing.receiver)
        if isinstance(thing, Object):
            return self._object_attribute(base, thing, name, site)
        if isinstance(thing, MappingThing) and thing.get(name) is not None:
            return thing.get(name) or UNKNOWN
        return self.library.attribute(base, name, site)

    def attribute_of_module(self, module: Module, name: str) -> Value:
        found = self._module_attribute(module, name)
        if found is not None:
            return found
        inner = self.modules.find(f"{module.name}.{name}", module)
        return Value(ModuleThing(inner)) if inner else UNKNOWN

    def _object_attribute(self, base: Value, thing: Object, name: str, site: Site) -> Value:
        self.built(thing.ref)
        held = self.state.get(thing.ref, name)
        if held is not None:
            return held
        if isinstance(thing.cls, ClassThing):
            found = self.class_attribute(thing.cls, name)
            if found is not None:
                if isinstance(found.thing, Function) and _is_property(found.thing):
                    return self.call_function(found.thing, [Argument(base)], site)
                return self._bound(found, base)
        if name == "training":
            mode = self.state.get(thing.ref, "#mode")
            return mode if mode is not None and isinstance(mode.thing, Constant) else UNKNOWN
        if thing.cls is None or isinstance(thing.cls, ClassThing):
            return self._child(base, thing, name)
        return self.library.attribute(base, name, site)

    def _child(self, base: Value, thing: Object, name: str) -> Value:
        """An attribute of which nothing is known: an object with an identity of its own, so that its mode can be followed."""
        ref = Ref(thing.ref.site, thing.ref.context, f"{thing.ref.label}.{name}")
        if ref.label.count(".") > 4:
            return UNKNOWN
        data = base.data if isinstance(thing.cls, ClassThing) else replace(base.data or Data(), rows=base.rows)
        self.state.ensure(ref)
        return Value(Object(ref), data=data, origin=ref, trail=base.trail if data and data.fits else None)

    def _bound(self, found: Value, receiver: Value) -> Value:
        if isinstance(found.thing, Function):
            if _is_static(found.thing):
                return found
            return Value(Bound(found.thing, receiver))
        return found

    def class_record(self, cls: ClassThing) -> dict[str, Value]:
        """The attributes that a class body defines."""
        ref = cls.ref
        if not self.state.has(ref):
            if cls.inner is not None:
                self._execute_class(cls)
            elif ref in self._class_records:
                self.state.adopt(self._class_records[ref])
            else:
                state = State()
                with self._elsewhere(state, []), self._in_module(cls.part.module):
                    self._execute_class(cls)
                    made = {each: self.state.record(each) for each in self.state.refs() if each != module_ref(cls.part.module)}
                self._class_records[ref] = made
                self.state.adopt(made)
        return self.state.record(ref)

    def _execute_class(self, cls: ClassThing) -> None:
        ref = cls.ref
        self.state.open(ref)
        self.state.set(ref, CLOSURE, Value(Object(cls.closure)))
        live, self.state.live = self.state.live, True
        self.frames.append(Frame(ref, cls.part, cls.closure))
        mark = len(self.facts)
        try:
            self.statements.class_body(cls)
        finally:
            del self.facts[mark:]
            self.frames.pop()
            self.state.live = live

    def bases(self, cls: ClassThing) -> list[Value]:
        """The values of a class's base expressions."""
        if cls.inner is None:
            return [self._named(cls.part.module, name) for name in cls.part.statement.base_names]
        self.class_record(cls)
        held = self.state.get(cls.ref, "#bases")
        return list(held.thing.tail) if held is not None and isinstance(held.thing, Items) else []

    def _named(self, module: Module, dotted: str | None) -> Value:
        """What a dotted name means at a module's top level, as far as it leads to classes."""
        if dotted is None:
            return UNKNOWN
        first, *rest = dotted.split(".")
        value = self.module_name(module, first)
        for name in rest:
            if isinstance(value.thing, Symbol):
                value = Value(Symbol(canonical(f"{value.thing.name}.{name}")))
            elif isinstance(value.thing, ModuleThing):
                value = self.attribute_of_module(value.thing.module, name)
            else:
                return UNKNOWN
        return value

    def ancestors(self, cls: ClassThing) -> Iterator[ClassThing | str]:
        """The class and its bases, depth first; bases outside the project by qualified name."""
        todo: list[ClassThing | str] = [cls]
        seen: set[ClassThing | str] = set()
        while todo:
            here = todo.pop(0)
            if here in seen or any(self._inherits(other, here) for other in todo):
                continue
            seen.add(here)
            yield here
            if isinstance(here, ClassThing):
                found = [base.thing for base in self.bases(here)]
                todo[:0] = [
                    thing if isinstance(thing, ClassThing) else thing.name
                    for thing in found
                    if isinstance(thing, ClassThing | Symbol)
                ]

    def _inherits(self, cls: ClassThing | str, base: ClassThing | str) -> bool:
        """Whether a class of the project has another class among its bases and theirs."""
        todo, seen = [cls], {cls}
        while todo:
            here = todo.pop()
            for value in self.bases(here) if isinstance(here, ClassThing) else ():
                if value.thing == base or (isinstance(value.thing, Symbol) and value.thing.name == base):
                    return True
                if isinstance(value.thing, ClassThing) and value.thing not in seen:
                    seen.add(value.thing)
                    todo.append(value.thing)
        return False

    def class_attribute(self, cls: ClassThing, name: str) -> Value | None:
        """An attribute of a class or of its bases in the project."""
        for ancestor in self.ancestors(cls):
            if isinstance(ancestor, ClassThing):
                found = self.class_record(ancestor).get(name)
                if found is not None:
                    return found
        return None

    def _super_attribute(self, thing: Super, name: str) -> Value | None:
        for ancestor in self._behind(thing):
            if isinstance(ancestor, ClassThing):
                found = self.class_record(ancestor).get(name)
                if found is not None:
                    return found
        return None

    def _behind(self, thing: Super) -> list[ClassThing | str]:
        """The classes in which super() looks: those behind its class in the order of the receiver's class."""
        receiver = thing.receiver.thing
        whole = (
            list(self.ancestors(receiver.cls)) if isinstance(receiver, Object) and isinstance(receiver.cls, ClassThing) else []
        )
        return whole[whole.index(thing.cls) + 1 :] if thing.cls in whole else list(self.ancestors(thing.cls))[1:]

    def outside_base(self, cls: ClassThing | str | None) -> str | None:
        """The first base outside the project, or None when there is none."""
        if cls is None or isinstance(cls, str):
            return cls
        names = [ancestor for ancestor in self.ancestors(cls) if isinstance(ancestor, str)]
        return next((name for name in names if name != "builtins.object"), None)

    def has_unknown_base(self, cls: ClassThing) -> bool:
        """Whether a method that the project does not define may come from a base that is not known."""
        return any(
            isinstance(base.thing, Unknown)
            for ancestor in self.ancestors(cls)
            if isinstance(ancestor, ClassThing)
            for base in self.bases(ancestor)
        )

    def is_module(self, cls: ClassThing | str | None) -> bool:
        """Whether objects of a class are torch modules."""
        if isinstance(cls, ClassThing):
            return any(tables.is_module_class(base) for base in self.ancestors(cls) if isinstance(base, str))
        return cls is not None and tables.is_module_class(cls)

    # --------------------------------------------------------------------------------------------------------------- calls
    def call(self, callee: Value, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of a call."""
        callee = self.force(callee)
        thing = callee.thing
        if isinstance(thing, Function):
            return self.call_function(thing, arguments, site)
        if isinstance(thing, Bound):
            return self.call_function(thing.function, [Argument(thing.receiver), *arguments], site)
        if isinstance(thing, ClassThing):
            return self.instantiate(thing, arguments, site)
        if isinstance(thing, Partial):
            given = [Argument(value, keyword) for keyword, value in thing.arguments]
            fresh = {argument.keyword for argument in arguments if argument.keyword}
            given = [argument for argument in given if argument.keyword is None or argument.keyword not in fresh]
            positional = [argument for argument in given if argument.keyword is None]
            named = [argument for argument in given if argument.keyword is not None]
            return self.call(thing.callee, [*positional, *arguments, *named], site)
        if isinstance(thing, Object):
            return self.call_object(callee, thing, arguments, site)
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
                return self.defer(site.node, lambda: self.call_method(self.force(waiting), name, arguments, site))
            base = self.force(base)
        thing = base.thing
        if isinstance(thing, Object):
            self.built(thing.ref)
        if isinstance(thing, Symbol | ModuleThing | ClassThing):
            callee = self.attribute(base, name, site)
            if isinstance(callee.thing, Unknown):
                return self.library.unknown_call(callee, name, arguments, site)
            if isinstance(callee.thing, Function) and isinstance(thing, ClassThing) and _is_classmethod(callee.thing):
                arguments = [Argument(base), *arguments]
            return self.call(callee, arguments, site)
        if isinstance(thing, Super):
            found = self._super_attribute(thing, name)
            if found is not None:
                return self.call(self._bound(found, thing.receiver), arguments, site)
            outside = next((base for base in self._behind(thing) if isinstance(base, str)), None)
            return self.library.call_super(thing.receiver, outside, name, arguments, site)
        if isinstance(thing, Object):
            held = self.state.get(thing.ref, name)
            if held is not None and not isinstance(held.thing, Unknown):
                return self.call(held, arguments, site)
            if isinstance(thing.cls, ClassThing):
                found = self.class_attribute(thing.cls, name)
                if found is not None:
                    if isinstance(found.thing, Function) and _is_classmethod(found.thing):
                        return self.call_function(found.thing, [Argument(Value(thing.cls)), *arguments], site)
                    if isinstance(found.thing, Function) and _is_property(found.thing):
                        return self.call(self.attribute(base, name, site), arguments, site)
                    return self.call(self._bound(found, base), arguments, site)
        return self.library.call_method(base, name, arguments, site)

    def call_object(self, callee: Value, thing: Object, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of calling an object: its __call__, a module's forward, a library object's behaviour."""
        cls = thing.cls
        if isinstance(cls, ClassThing):
            module = self.is_module(cls)
            self.training.running += module
            if module and self.reach.is_quiet(cls.part):
                result = self.defer(site.node, lambda: self._run_object(callee, cls, arguments, site))
            else:
                result = self._run_object(callee, cls, arguments, site)
            self.training.running -= module
            if module:
                self.training.model_called(callee, arguments, site, result)
            return result
        return self.library.call_library_object(callee, thing, arguments, site)

    def _run_object(self, callee: Value, cls: ClassThing, arguments: Sequence[Argument], site: Site) -> Value:
        method = self.class_attribute(cls, "__call__")
        module = self.is_module(cls)
        if method is None and module:
            method = self.class_attribute(cls, "forward")
        if method is not None and isinstance(method.thing, Function):
            return self.call_function(method.thing, [Argument(callee), *arguments], site)
        if module and self.outside_base(cls) in torch.CONTAINERS:
            return self.library.run_container(callee, arguments, site)
        return self.library.unknown_result(site)

    def instantiate(self, cls: ClassThing, arguments: Sequence[Argument], site: Site) -> Value:
        """A new object of a project class."""
        ref = Ref(site, self.frame.context, f"new {cls.name}")
        value = Value(Object(ref, cls), data=self.library.data_of_arguments(arguments), origin=ref)
        self.state.open(ref)
        if self._may_wait(cls):
            self._unbuilt[ref] = (value, list(self.frames), arguments, site)
            self.state.set(ref, UNBUILT, NONE)
        else:
            self._initialise(value, cls, arguments, site)
        if self.is_module(cls):
            self.training.start_in_training_mode(value, site)
        return value

    def _initialise(self, value: Value, cls: ClassThing, arguments: Sequence[Argument], site: Site) -> None:
        assert isinstance(value.thing, Object)
        init = self.class_attribute(cls, "__init__")
        if init is not None and isinstance(init.thing, Function):
            self.call_function(init.thing, [Argument(value), *arguments], site)
        elif self._takes_fields(cls):
            self._fill_fields(cls, value.thing.ref, arguments)
            after = self.class_attribute(cls, "__post_init__")
            if after is not None and isinstance(after.thing, Function):
                self.call_function(after.thing, [Argument(value)], site)
        else:
            self.library.construct_base(value.thing.ref, self.outside_base(cls), arguments)

    def _takes_fields(self, cls: ClassThing) -> bool:
        for ancestor in self.ancestors(cls):
            if isinstance(ancestor, str):
                if canonical(ancestor) in python.FIELD_BASES or ancestor.endswith(".ModelOutput"):
                    return True
            elif self.class_record(ancestor).get("#dataclass") is not None:
                return True
        return False

    def _fill_fields(self, cls: ClassThing, ref: Ref, arguments: Sequence[Argument]) -> None:
        names: list[str] = []
        for ancestor in reversed([a for a in self.ancestors(cls) if isinstance(a, ClassThing)]):
            held = self.class_record(ancestor).get("#fields")
            if held is not None and isinstance(held.thing, Items):
                names += [str(value.constant) for value in held.thing.tail if value.constant not in names]
        positional = [argument for argument in arguments if argument.keyword is None and not argument.star]
        for name, argument in zip(names, positional, strict=False):
            self.state.set(ref, name, argument.value)
        for argument in arguments:
            if argument.keyword is not None:
                self.state.set(ref, argument.keyword, argument.value)

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
        node = function.node
        if self.effects and not assume:
            name = _qualified(function)
            if name in self.effects:
                given = arguments[1:] if function.owner is not None and not _is_static(function) else arguments
                return self.library.apply(self.effects[name], name, given, site, None)
        depth = len(self.frames)
        active = sum(1 for frame in self.frames if frame.function is not None and frame.function.node is node)
        if active > 0 or self.executed > self.limit or depth > DEEPEST_CALL or (not assume and _is_of_framework(function)):
            return self.library.unknown_call(UNKNOWN, function.name, arguments, site)
        if not self.unheard:
            self.visited.add(node)
        if not assume and not function.raw and isinstance(node, cst.FunctionDef) and node.decorators:
            wrapped = self.statements.decorated(function)
            if wrapped is not None:
                return self.call(wrapped, arguments, site)
        outer = self.frame.context
        context = self._contexts.setdefault((site, outer, -1), Context(site, outer))
        frame = Frame(
            Ref(Site(function.part, node), context, "frame"),
            function.part,
            function.closure,
            function,
            context,
            at_yield=at_yield,
            assumed=assume,
        )
        frame.is_init = function.name == "__init__"
        self.state.open(frame.ref)
        self.state.set(frame.ref, CLOSURE, Value(Object(function.closure)))
        entered = self.frames[-1]
        self.frames.append(frame)
        grad = self.state.grad
        try:
            self.statements.bind_parameters(function, arguments, assume=assume)
            if isinstance(node, cst.FunctionDef):
                wish = self.statements.grad_wish(node)
                if wish is not None:
                    self.state.grad = wish
            with self.under():
                result = self.statements.body(node)
        finally:
            self.frames.pop()
        assert self.frames[-1] is entered
        self.state.grad = grad
        if not frame.keeps:
            self.state.close(frame.ref)
        if assume:
            return result
        if isinstance(result.thing, Lazy):
            return self.defer(site.node, lambda: _came_back(self.force(result), function, site))
        return _came_back(result, function, site)

    def finish(self, frame: Frame) -> Value:
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
        return joined(values) if was_live or values else UNKNOWN

    # ------------------------------------------------------------------------------------------------------------ contents
    def items_of(self, value: Value) -> Items | None:
        """The elements of a sequence or container, where known."""
        thing = self.force(value).thing
        if isinstance(thing, Items):
            return thing
        if isinstance(thing, Object):
            self.built(thing.ref)
            held = self.state.get(thing.ref, "#items")
            if held is not None and isinstance(held.thing, Items):
                return held.thing
            if isinstance(thing.cls, ClassThing):
                return self._fields_of(thing, thing.cls)
        return None

    def _fields_of(self, thing: Object, cls: ClassThing) -> Items | None:
        """A NamedTuple unpacks into its fields."""
        if not any(isinstance(base, str) and base == "typing.NamedTuple" for base in self.ancestors(cls)):
            return None
        held = self.class_record(cls).get("#fields")
        if held is None or not isinstance(held.thing, Items):
            return None
        return Items(
            "builtins.tuple", tuple(self.state.get(thing.ref, str(name.constant)) or UNKNOWN for name in held.thing.tail)
        )

    def mapping_of(self, value: Value) -> MappingThing | None:
        """The content of a dict, where known."""
        thing = self.force(value).thing
        if isinstance(thing, MappingThing):
            return thing
        if isinstance(thing, Object):
            held = self.state.get(thing.ref, "#items")
            if held is not None and isinstance(held.thing, MappingThing):
                return held.thing
        return None

    def new_sequence(self, node: cst.CSTNode, items: Items, cls: str = "builtins.list") -> Value:
        """A mutable sequence."""
        ref = self.new_ref(node, cls)
        self.state.open(ref)
        self.state.set(ref, "#items", Value(items))
        return Value(Object(ref, cls), origin=ref)

    def new_mapping(self, node: cst.CSTNode, mapping: MappingThing, cls: str = "builtins.dict") -> Value:
        """A dict."""
        ref = self.new_ref(node, cls)
        self.state.open(ref)
        self.state.set(ref, "#items", Value(mapping))
        return Value(Object(ref, cls), origin=ref)

    def element_of(self, value: Value, site: Site) -> Value:
        """What iterating over a value yields: the join of its elements."""
        value = self.force(value)
        items = self.items_of(value)
        if items is not None:
            every = [*items.tail, *([items.lead] if items.lead is not None else [])]
            return joined(every) if every else UNKNOWN
        mapping = self.mapping_of(value)
        if mapping is not None:
            return joined([literal(key) for key, _ in mapping.items]) if mapping.items else UNKNOWN
        thing = value.thing
        if isinstance(thing, Object) and isinstance(thing.cls, ClassThing):
            method = self.class_attribute(thing.cls, "__iter__")
            if method is not None and isinstance(method.thing, Function):
                made = self.call_function(method.thing, [Argument(value)], site)
                return self.element_of(made, site) if made.thing != value.thing else UNKNOWN
        return Value(
            data=value.data or (Data(rows=value.rows) if value.rows else None),
            origin=Ref(site, self.frame.context, "element"),
            trail=value.trail if value.fits else None,
        )


def _qualified(function: Function) -> str:
    """The name by which the user's configuration calls a function of the project."""
    owner = [function.owner.name] if function.owner is not None else []
    return ".".join([function.part.module.name, *owner, function.name])


def _is_of_framework(function: Function) -> bool:
    """Whether a function is a method of a class so long that it must be a framework; those are executed by themselves only."""
    owner = function.owner
    return owner is not None and owner.part.is_framework


def _came_back(result: Value, function: Function, site: Site) -> Value:
    if result.trail is not None and (result.meaning is not None or result.fits):
        return result.step(site, f"returned by `{function.name}`")
    return result


def _decorators(function: Function) -> list[str]:
    if not isinstance(function.node, cst.FunctionDef):
        return []
    names = []
    for decorator in function.node.decorators:
        node = decorator.decorator
        if isinstance(node, cst.Call):
            node = node.func
        names.append(node.attr.value if isinstance(node, cst.Attribute) else node.value if isinstance(node, cst.Name) else "")
    return names


def _is_static(function: Function) -> bool:
    return "staticmethod" in _decorators(function)


def _is_classmethod(function: Function) -> bool:
    return "classmethod" in _decorators(function)


def _is_property(function: Function) -> bool:
    return any(name in ("property", "cached_property") for name in _decorators(function))
