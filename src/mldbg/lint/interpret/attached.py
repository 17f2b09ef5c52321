"""`mldbg.contracts.attach(model, {"encoder.*": {"x": ...}})`: what a program promises of modules that others wrote.

The names of axes mean the same in all modules during one call of the outermost one that has a promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import libcst as cst

from mldbg.lint.interpret.address import Context, Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument, bound
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.declared import Declarations
from mldbg.lint.interpret.facts import Promise
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import UNKNOWN, ClassThing, Declared, Function, Object, Value, literal
from mldbg.operations.transfers.tables import ROWS

ATTACH = frozenset({"mldbg.attach", "mldbg.contracts.attach", "mldbg.contracts.attach.attach"})

DEEPEST_MODULE = 6
"""Modules inside modules that a pattern is compared with."""

HANDLE = "mldbg.contracts.attach.Attachment"
"""The class of what `attach` returns."""
_RESULT = "return"


@dataclass(frozen=True, slots=True)
class Promised:
    """What a parameter of a module's forward is declared to be, or its result."""

    name: str
    declared: Declared
    site: Site


class Attached:
    """Holds the modules of a model to what a program attached to them.

    Args:
        machine: the machine.
        contents: reads containers of layers.
        declarations: holds values against annotations.
    """

    def __init__(self, machine: Machine, contents: Contents, declarations: Declarations) -> None:
        self._machine = machine
        self._contents = contents
        self._declarations = declarations
        self._promises: list[tuple[Promised, ...]] = []
        """What was attached so far; records of modules refer to it by the index."""
        self._scope: Frame | None = None
        """Of the call under way of the outermost module with a promise."""

    # --- attaching ---

    def attach(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`attach(model, promises)`: the handle that takes the promises off again."""
        given, nodes = bound(("model", "promises"), arguments, None)
        model, promises = given.get("model", UNKNOWN).thing, nodes.get("promises")
        ref = self._machine.new_ref(site, Made.OBJECT, HANDLE)
        self._machine.state.open(ref)
        if not isinstance(model, Object) or not isinstance(promises, cst.Dict):
            return Value(Object(ref, HANDLE), origin=ref)
        modules = dict(self._modules(model, ()))
        self._put(model.ref, ())  # the model itself begins the scope, promised or not
        self._machine.state.set(ref, "model", Value(model))
        for pattern, inner in _entries(promises):
            said = self._machine.now(pattern).constant
            promised = tuple(self._read(inner)) if isinstance(inner, cst.Dict) else ()
            for path, module in modules.items():
                if isinstance(said, str) and promised and _matches(path, said.split(".")):
                    self._put(module.ref, promised)
        return Value(Object(ref, HANDLE), origin=ref)

    def remove(self, handle: Object) -> None:
        """`handle.remove()`"""
        model = self._machine.state.get(handle.ref, "model")
        if model is not None and isinstance(model.thing, Object):
            for _, module in self._modules(model.thing, ()):
                self._machine.state.drop(module.ref, Slot.PROMISED)

    def _put(self, ref: Ref, promised: tuple[Promised, ...]) -> None:
        self._promises.append((*self._of(ref), *promised))
        self._machine.state.set(ref, Slot.PROMISED, literal(len(self._promises) - 1))

    def _of(self, ref: Ref) -> tuple[Promised, ...]:
        held = self._machine.state.get(ref, Slot.PROMISED)
        return self._promises[held.constant] if held is not None and isinstance(held.constant, int) else ()

    def _read(self, promises: cst.Dict) -> Iterator[Promised]:
        for key, annotation in _entries(promises):
            name, declared = self._machine.now(key).constant, self._machine.now(annotation).thing
            if isinstance(name, str) and isinstance(declared, Declared):
                yield Promised(name, declared, self._machine.site(annotation))

    def _modules(self, module: Object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Object]]:
        """The module and those inside it, with their paths as `named_modules` says them."""
        yield path, module
        if len(path) == DEEPEST_MODULE:
            return
        self._machine.built(module.ref)
        inside = [(name, value) for name, value in self._machine.state.record(module.ref).items() if isinstance(name, str)]
        items = self._contents.items_of(Value(module))
        if items is not None and items.exact:
            inside += [(str(place), value) for place, value in enumerate(items.tail)]
        for name, value in inside:
            if isinstance(value.thing, Object) and self._is_module(value.thing):
                yield from self._modules(value.thing, (*path, name))

    def _is_module(self, thing: Object) -> bool:
        if isinstance(thing.cls, ClassThing):
            return self._contents.classes.is_module(thing.cls)
        return isinstance(thing.cls, str) and thing.cls.startswith("torch.nn.")

    # --- calls ---

    def called(
        self, module: Object, arguments: Sequence[Argument], site: Site, call: Callable[[Sequence[Argument]], Value]
    ) -> Value:
        """The value of calling a module, its arguments and its result held to what was attached to it."""
        if not self._promises or self._machine.state.get(module.ref, Slot.PROMISED) is None:
            return call(arguments)
        promised = {each.name: each for each in self._of(module.ref)}
        with self._within_scope(module, site) as scope:
            names = self._parameters(module)
            told = len(self._machine.facts)
            given = []
            for place, argument in enumerate(arguments):
                name = argument.keyword or (names[place] if place < len(names) and not argument.star else "")
                held = self._held(promised.get(name), argument.value, scope, Promise.ARGUMENT, name, site)
                given.append(replace(argument, value=held))
            fits = len(self._machine.facts) == told
            result = self._machine.force(call(given))
            if not fits:
                return result  # what comes of a wrong argument is no news
            return self._held(promised.get(_RESULT), result, scope, Promise.RETURN, _class_of(module), site)

    def _held(self, promised: Promised | None, value: Value, scope: Frame, where: Promise, name: str, site: Site) -> Value:
        if promised is None:
            return value
        told = len(self._machine.facts)
        held = self._declarations.held(promised.declared, value, scope, promised.site, where, name, site)
        return held if len(self._machine.facts) == told else value  # what follows works with what is there

    @contextmanager
    def _within_scope(self, module: Object, site: Site) -> Iterator[Frame]:
        """The scope of the names of axes, in which `self` is the module at hand."""
        state, outer = self._machine.state, self._scope
        if outer is None:
            ref = self._machine.new_ref(site, Made.FRAME, "attached")
            state.open(ref)
            self._scope = Frame(ref, self._machine.frame.part, None, context=Context(site, self._machine.frame.context))
        scope = self._scope
        assert scope is not None
        before = state.get(scope.ref, "self")
        state.set(scope.ref, "self", Value(module))
        try:
            yield scope
        finally:
            self._scope = outer
            if before is not None:
                self._machine.state.set(scope.ref, "self", before)

    def _parameters(self, module: Object) -> tuple[str, ...]:
        """The names of the positional parameters of a module's forward."""
        if isinstance(module.cls, ClassThing):
            method = self._contents.classes.class_attribute(module.cls, "forward")
            if method is None or not isinstance(method.thing, Function):
                return ()
            params = method.thing.node.params
            return tuple(parameter.name.value for parameter in (*params.posonly_params, *params.params))[1:]
        row = ROWS.get(f"{module.cls}.__call__")
        return row.params if row is not None else ("input",)


def _entries(node: cst.Dict) -> Iterator[tuple[cst.BaseExpression, cst.BaseExpression]]:
    return ((element.key, element.value) for element in node.elements if isinstance(element, cst.DictElement))


def _class_of(module: Object) -> str:
    """The name of a module's class."""
    return module.cls.name if isinstance(module.cls, ClassThing) else str(module.cls).rpartition(".")[2]


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path fits, segment by segment: `**` stands for any number of them, `""` for none."""
    if not path:
        return not pattern or all(one in ("", "**") for one in pattern)
    if not pattern:
        return False
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or _matches(path[1:], pattern)
    return fnmatchcase(path[0], pattern[0]) and _matches(path[1:], pattern[1:])
