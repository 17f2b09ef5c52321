"""What objects of modules hold after their `__init__`, and whether torch sees the layers among it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import ModuleBuilt
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import ClassThing, Function, Items, Lazy, Object, Value

DEEPEST_CONTAINER = 3
"""Lists inside lists that are looked through for layers."""


class Registered:
    """Tells of modules that are built. `read`: the attributes that running an object of a class reads."""

    def __init__(
        self, machine: Machine, classes: Classes, contents: Contents, read: Callable[[ClassThing], frozenset[str] | None]
    ) -> None:
        self._machine = machine
        self._classes = classes
        self._contents = contents
        self._read = read

    def tell(self, value: Value) -> None:
        """An object has been built."""
        thing = value.thing
        if not isinstance(thing, Object) or not isinstance(thing.cls, ClassThing) or not self._machine.frames:
            return
        record = self._machine.state.record(thing.ref)
        attributes = {key: held for key, held in record.items() if isinstance(key, str) and not isinstance(held.thing, Lazy)}
        modules: dict[str, tuple[Object, ...]] = {}
        seen: set[object] = set()
        for key, held in attributes.items():
            plain = isinstance(held.thing, Object) and held.thing.cls in ("builtins.list", "builtins.dict")
            if plain or isinstance(held.thing, Items) or self._contents.mapping_of(held) is not None:
                modules[key] = tuple(self._modules_in(held, DEEPEST_CONTAINER))
            else:
                seen.update(self._held_by(held, set()))
        hidden = frozenset(key for key, found in modules.items() if found and not any(one.ref in seen for one in found))
        init = self._classes.class_attribute(thing.cls, "__init__")
        function = init.thing if init is not None and isinstance(init.thing, Function) else None
        place = self._machine.place(self._machine.site(self._machine.frame.part.tree))
        fact = ModuleBuilt(place, thing.cls, attributes, modules, hidden, self._read(thing.cls), function)
        self._machine.facts.append(fact)

    def _modules_in(self, value: Value, depth: int) -> Iterator[Object]:
        items, mapping = self._contents.items_of(value), self._contents.mapping_of(value)
        several = items.all if items is not None else tuple(one for _, one in mapping.items) if mapping is not None else ()
        for one in (each for held in several for each in members(held)):
            if isinstance(one.thing, Object) and self._classes.is_module(one.thing.cls):
                yield one.thing
            elif depth > 1 and not isinstance(one.thing, Lazy):
                yield from self._modules_in(one, depth - 1)

    def _held_by(self, value: Value, seen: set[object]) -> Iterator[object]:
        """A module and those that are registered in it."""
        thing = value.thing
        if not isinstance(thing, Object) or thing.ref in seen or not self._classes.is_module(thing.cls):
            return
        seen.add(thing.ref)
        yield thing.ref
        items = self._contents.items_of(value)
        for one in items.all if items is not None else ():
            yield from self._held_by(one, seen)
        for key, held in dict(self._machine.state.record(thing.ref)).items():
            if isinstance(key, str):
                yield from self._held_by(held, seen)
