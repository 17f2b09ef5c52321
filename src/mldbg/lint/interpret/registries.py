"""Registries: what decorators and single statements at module level put into a dict or an object, also in other files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import libcst as cst

from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module, Modules, Part
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import Bound, ClassThing, Entries, Function, Object, Value
from mldbg.lint.outline import Kind

MOST_MODULES = 80
"""Modules of a program that are searched for what they put into a registry; in a larger one a registry's content is unknown."""

MOST_PUT = 60
"""Things in one registry that are followed."""

_DECORATOR = re.compile(r"^[ \t]*@[ \t]*([\w.]+)", re.MULTILINE)


class Registries:
    """Fills registries at module level.

    Args:
        machine: the machine.
        names: looks names up.
        modules: the project's modules.
    """

    def __init__(self, machine: Machine, names: Names, modules: Modules) -> None:
        self._machine = machine
        self._names = names
        self._modules = modules
        self._program: list[Module] | None = None
        self._done: set[Part] = set()

    def fill(self, module: Module, part: Part, name: str, value: Value) -> None:
        """Execute what puts something into the object that a name of a module was bound to by a part."""
        thing = value.thing
        if not self._may_be_registry(value) or not isinstance(thing, Object):
            return
        named = rf"{name}(?<!\w{name})"
        code, holder = (thing.cls.part.code, r"\w") if isinstance(thing.cls, ClassThing) else (module.text, named)
        if not _is_filled(code, holder) or not self._modules_of_program():
            return
        filling = list(self._filling(module, part, name))
        if len(filling) <= MOST_PUT:
            for each in filling:
                self._execute(each)

    def fill_class(self, cls: ClassThing) -> None:
        """The same for dicts that are attributes of a class at module level: its subclasses may put themselves into them."""
        record = self._machine.state.record(cls.ref)
        if not any(self._may_be_registry(value) for value in record.values()):
            return
        self.fill(cls.part.module, cls.part, cls.name, Value(Object(cls.ref, cls)))
        if not self._modules_of_program():
            return
        told = record.get("__init_subclass__")
        heirs = self._heirs(cls) if told is not None and isinstance(told.thing, Function) else []
        for part in heirs if len(heirs) <= MOST_PUT else ():
            with self._machine.in_module(part.module):
                self._machine.frame.part = part
                heir = self._names.module_attribute(part.module, part.statement.names[0])
                site = self._machine.site(part.tree.body[0])
                if heir is not None and self._machine.attribute(heir, "__init_subclass__", site) == told:
                    self._machine.call(told, [Argument(heir)], site)
                self._machine.state.live = True

    def _heirs(self, cls: ClassThing) -> list[Part]:
        """The classes of the program that derive from a class, as the headers say it."""
        modules = dict.fromkeys((cls.part.module, *self._modules_of_program()))
        classes = [part for module in modules for part in module.parts if part.statement.kind is Kind.CLASS]
        names, heirs = {cls.name}, dict[Part, None]()
        grown = True
        while grown and len(heirs) <= MOST_PUT:
            grown = False
            for part in classes:
                bases = {base.rpartition(".")[2] for base in part.statement.base_names if base is not None}
                if part not in heirs and not names.isdisjoint(bases):
                    heirs[part], grown = None, True
                    names.update(part.statement.names)
        return list(heirs)

    def decorate(self, part: Part) -> None:
        """Execute the decorators of a definition, once, for what they do besides changing it."""
        if part in self._done or not part.is_decorated or not self._modules_of_program():
            return  # of a large program others may register more, and what is in a registry is not known
        with self._machine.in_module(part.module):
            self._machine.frame.part = part
            self._decorate(part)

    def _may_be_registry(self, value: Value) -> bool:
        thing = value.thing
        if not isinstance(thing, Object):
            return False
        held = self._machine.state.get(thing.ref, Slot.ITEMS)
        return isinstance(thing.cls, ClassThing) or (held is not None and isinstance(held.thing, Entries))

    def _filling(self, module: Module, bound: Part, name: str) -> Iterator[Part]:
        """The statements after the one that made a registry, and the decorated definitions, that put something into it."""
        directly = re.compile(rf"{name}\s*(?:\[|\.\w+\()")
        makers = {name} | {
            each for part in module.parts if part is not bound and name in part.words for each in part.statement.names
        }
        used = _used_as_decorator(makers)
        for each in dict.fromkeys((module, *self._modules_of_program())):
            if each is not module and used(each.text) is None:
                continue
            for part in each.parts:
                kind = part.statement.kind
                if each is module and kind in (Kind.ASSIGNMENT, Kind.CODE):
                    if part.statement.first > bound.statement.last and directly.match(part.code.lstrip()):
                        yield part
                elif kind in (Kind.FUNCTION, Kind.CLASS) and part.is_decorated:
                    heads = _decorators(part)
                    if any(self._is_one_of(head, makers, each, module) for head in heads):
                        yield part

    def _is_one_of(self, decorator: str, makers: set[str], user: Module, module: Module) -> bool:
        """Whether a decorator is, by its text and the imports of the module that uses it, one of some names of a module."""
        first, *rest = decorator.split(".")
        if user is module:
            return first in makers
        imported = user.outline.imports.get(first)
        if imported is None:
            return first in makers  # a star import
        through_module = rest[:-1] or rest  # `kinds.register`, `kinds.MODELS.register`
        return imported.name in makers or not makers.isdisjoint(through_module)

    def _execute(self, part: Part) -> None:
        with self._machine.in_module(part.module):
            self._machine.frame.part = part
            if part.statement.kind in (Kind.ASSIGNMENT, Kind.CODE):
                self._machine.execute(part.tree)
            else:
                self._decorate(part)
            self._machine.state.live = True

    def _decorate(self, part: Part) -> None:
        node = part.tree.body[0]
        value = self._names.module_attribute(part.module, part.statement.names[0])
        if value is None or not isinstance(node, cst.ClassDef | cst.FunctionDef):
            return
        for decorator in reversed(node.decorators):
            made = self._machine.now(decorator.decorator)
            if part in self._done:
                return  # to look at the registry was enough
            if isinstance(made.thing, Function | Bound):
                self._machine.call(made, [Argument(value)], self._machine.site(decorator.decorator))
        self._done.add(part)

    def _modules_of_program(self) -> list[Module]:
        """The modules that the entry point leads to through imports, itself included; none where they are too many."""
        if self._program is None:
            self._program = self._reached(self._machine.entry)
        return self._program

    def _reached(self, entry: Module | None) -> list[Module]:
        if entry is None or entry.file is None:
            return [] if entry is None else [entry]
        found: dict[Path, None] = {}
        todo = [entry.file]
        while todo:
            file = todo.pop(0)
            if file in found:
                continue
            found[file] = None
            if len(found) > MOST_MODULES:
                return []
            todo += self._modules.imported_by(file)
        modules = (self._modules.at(file) for file in found)
        return [module for module in modules if module is not None]


def _used_as_decorator(names: Iterable[str]) -> Callable[[str], object]:
    """Searches a text for decorators that may be one of some names, which the text may have given others."""
    either = "|".join(map(re.escape, sorted(names)))
    return re.compile(rf"^[ \t]*@[\w. \t]*\b(?:{either})\b|\b(?:{either})[ \t]+as[ \t]+\w", re.MULTILINE).search


def _is_filled(code: str, holder: str) -> bool:
    """Whether code puts something into a dict, or registers something."""
    return re.search(rf"{holder}(?:\[[^\]\n]+\]\s*=(?!=)|\.(?:update|setdefault)\()", code) is not None


def registers(part: Part) -> bool:
    """Whether the decorators of a definition say that they put it into a registry."""
    return part.is_decorated and any("regist" in head.lower() for head in _decorators(part))


def _decorators(part: Part) -> list[str]:
    """The names of a definition's decorators."""
    lines = part.module.outline.lines[part.statement.first - 1 : part.statement.last]
    header: list[str] = []
    for line in lines:
        if line.lstrip().startswith(("class ", "def ", "async ")):
            break
        header.append(line)
    return _DECORATOR.findall("".join(header))
