"""Names: what they mean at a point of the program, at a module's top level, and behind an import."""

from __future__ import annotations

import builtins
from collections.abc import Callable

from mldbg.lint.interpret.address import Made, Ref, module_ref
from mldbg.lint.interpret.frames import with_named_role
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module, Modules, Part
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import UNKNOWN, ClassThing, File, Function, ModuleThing, Object, Record, Symbol, Value, literal
from mldbg.lint.library.names import CONVENTIONAL_ALIASES
from mldbg.lint.outline import Import, Kind
from mldbg.operations import tables
from mldbg.operations.sklearn import UNIMPORTED
from mldbg.operations.spelling import canonical

MOST_STAR_IMPORTS = 20
"""Star imports of one module that are looked through; a module with more only collects names for others."""

MOST_HANDING_ON = 60
"""Modules that hand names on to one another by star imports, and are looked through."""

BUILTIN_NAMES = frozenset(dir(builtins))


class Names:
    """Looks names up and binds them. What a module's top level defines is executed when somebody asks for it."""

    def __init__(self, machine: Machine, modules: Modules) -> None:
        self.machine = machine
        self.modules = modules
        self.executed: set[Module] = set()
        """Modules whose top level is executed statement by statement."""
        self.listener: Callable[[Module, str, Value | None], None] | None = None
        """Is told what was read at the top level of modules, where that may change."""
        self.filled: Callable[[Module, Part, str, Value], None] | None = None
        """Executes what else happens to a value that a name of a module is bound to."""
        self._evaluating: set[tuple[Module, str]] = set()
        self._assignments: dict[tuple[Part, str], tuple[Value | None, dict[Ref, Record]]] = {}

    def lookup(self, name: str) -> Value:
        """The value of a name at this point."""
        frame = self.machine.frame
        state = self.machine.state
        ref: Ref | None = frame.ref if name not in frame.global_names else module_ref(frame.module)
        while ref is not None:
            record = state.record(ref)
            value = record.get(name)
            if value is not None:
                if self.listener is not None and ref.kind is Made.MODULE:
                    self.listener(frame.module, name, value)
                return value
            closure = record.get(Slot.CLOSURE)
            ref = closure.thing.ref if closure is not None and isinstance(closure.thing, Object) else None
        return self.module_name(frame.module, name)

    def module_name(self, module: Module, name: str) -> Value:
        """A module-level name: as executed so far, else from the text that binds it, else imported, else a builtin."""
        found = self.module_attribute(module, name)
        if found is not None:
            return found
        if name == "__name__":
            return literal("__main__" if module is self.machine.entry else module.name)
        if name == "__file__" and module.file is not None:
            return Value(File(str(module.file)))
        if name in BUILTIN_NAMES:
            return Value(Symbol(f"builtins.{name}"))
        if name in CONVENTIONAL_ALIASES:
            return Value(Symbol(CONVENTIONAL_ALIASES[name]))
        if name in UNIMPORTED:
            return Value(Symbol(UNIMPORTED[name]))
        return Value(origin=module_ref(module).inside(Made.ATTRIBUTE, name))

    def module_attribute(self, module: Module, name: str) -> Value | None:
        value = self.machine.state.get(module_ref(module), name)
        if value is None:
            fixed: Value | None = module.definitions.get(name)
            if fixed is not None:
                return fixed
            value = self._looked_up(module, name)
            if (
                value is not None
                and isinstance(value.thing, Symbol | ModuleThing | Function | ClassThing)
                and self._never_changes(module, name)
            ):
                module.definitions[name] = value
        if self.listener is not None:
            self.listener(module, name, value)
        return value

    def attribute_of_module(self, module: Module, name: str) -> Value:
        found = self.module_attribute(module, name)
        if found is not None:
            return found
        inner = self.modules.find(f"{module.name}.{name}", module)
        return Value(ModuleThing(inner)) if inner else UNKNOWN

    def _never_changes(self, module: Module, name: str) -> bool:
        """Whether a name is bound by one definition or import only, so that every state sees the same."""
        part = module.part_of.get(name)
        return part is None or (part.statement.kind in (Kind.FUNCTION, Kind.CLASS) and name not in module.parts_of)

    def _looked_up(self, module: Module, name: str) -> Value | None:
        for part in reversed(module.parts_of.get(name) or [module.part_of[name]] if name in module.part_of else []):
            if part.statement.kind is Kind.CLASS:
                return Value(ClassThing(part, None, module_ref(module)))
            if part.statement.kind is Kind.FUNCTION:
                return Value(Function(part, None, module_ref(module)))
            of_itself = module not in self.executed
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
            with self.machine.elsewhere(state, []):
                value = self._defined_in(module, part, name)
                if value is not None and self.filled is not None:
                    under_way, self._evaluating = self._evaluating, set()  # it is bound: who imports it finds it
                    self.filled(module, part, name, value)
                    self._evaluating = under_way
                made = {ref: self.machine.state.record(ref) for ref in self.machine.state.refs() if ref != module_ref(module)}
            self._assignments[key] = (value, made)
        value, made = self._assignments[key]
        self.machine.state.adopt(made)
        return value

    def _defined_in(self, module: Module, part: Part, name: str) -> Value | None:
        key = (module, name)
        if key in self._evaluating:
            return None
        self._evaluating.add(key)
        live, self.machine.state.live = self.machine.state.live, True
        try:
            with self.machine.in_module(module):
                self.machine.frame.part = part
                if module not in self.executed:
                    mark = len(self.machine.facts)  # a look-up is no event: what is defined there is told where it is executed
                    self.machine.execute(part.tree)
                    del self.machine.facts[mark:]
            return self.machine.state.get(module_ref(module), name)
        finally:
            self.machine.state.live = live
            self._evaluating.discard(key)

    def _from_star(self, module: Module, star: Import, name: str) -> Value | None:
        source = self.modules.find(module.absolute(star), module)
        origin = star.module if source is None else self._origin(source, name)
        if isinstance(origin, str):
            qualified = canonical(f"{origin}.{name}")
            return Value(Symbol(qualified)) if self.machine.effect_of(qualified) or tables.is_known(qualified) else None
        if origin is None or (origin, f"*{name}") in self._evaluating:
            return None
        self._evaluating.add((origin, f"*{name}"))
        try:
            return self.module_attribute(origin, name)
        finally:
            self._evaluating.discard((origin, f"*{name}"))

    def _origin(self, module: Module, name: str) -> Module | str | None:
        """The module that gives a name to those that star-import `module`, itself or one that it star-imports in turn."""
        key = ("origin of", name)
        if key not in module.kept:
            module.kept[key] = next((each for each in self._handing_on(module) if self._gives(each, name)), None)
        found: Module | str | None = module.kept[key]
        return found

    def _gives(self, module: Module | str, name: str) -> bool:
        if isinstance(module, str):
            qualified = canonical(f"{module}.{name}")
            return self.machine.effect_of(qualified) is not None or tables.is_known(qualified)
        return name in module.text and (name in module.part_of or name in module.outline.imports)

    def _handing_on(self, module: Module) -> tuple[Module | str, ...]:
        """A module and all that it star-imports, each once; those outside the project by their names."""
        if "handing on" not in module.kept:
            found: dict[Module | str, None] = {}
            todo: list[Module | str] = [module]
            while todo and len(found) < MOST_HANDING_ON:
                each = todo.pop(0)
                if each in found:
                    continue
                found[each] = None
                if isinstance(each, Module):
                    stars = each.outline.star_imports[:MOST_STAR_IMPORTS]
                    todo += [self.modules.find(each.absolute(star), each) or star.module for star in stars]
            module.kept["handing on"] = tuple(found)
        handing: tuple[Module | str, ...] = module.kept["handing on"]
        return handing

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
                    value = self.module_attribute(source, what.name)
                finally:
                    self._evaluating.discard(key)
                if value is not None:
                    return value
        if inner is not None:
            return Value(ModuleThing(inner))
        return UNKNOWN if source is not None or what.level else Value(Symbol(canonical(f"{dotted}.{what.name}")))

    def bind(self, name: str, value: Value) -> None:
        """Assign to a plain name."""
        frame = self.machine.frame
        target = frame.ref
        if name in frame.global_names:
            target = module_ref(frame.module)
        elif name in frame.outer_names:
            target = self._owner_of(name) or target
        self.machine.state.set(target, name, with_named_role(name, value, frame.part))

    def set_in_module(self, module: Module, name: str, value: Value) -> None:
        """Assign to an attribute of a module of the project."""
        self.machine.state.set(module_ref(module), name, value)

    def _owner_of(self, name: str) -> Ref | None:
        closure = self.machine.state.get(self.machine.frame.ref, Slot.CLOSURE)
        while closure is not None and isinstance(closure.thing, Object):
            if self.machine.state.get(closure.thing.ref, name) is not None:
                return closure.thing.ref
            closure = self.machine.state.get(closure.thing.ref, Slot.CLOSURE)
        return None
