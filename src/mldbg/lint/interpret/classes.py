"""Classes of the project: their records, their bases in Python's order, and what objects of them have."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, made_at, module_ref, site_of
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Function,
    Items,
    ModuleThing,
    Object,
    Record,
    Super,
    Symbol,
    Unknown,
    Value,
    literal,
)
from mldbg.operations import keras, python, tables
from mldbg.operations.python import DATACLASSES
from mldbg.operations.spelling import canonical


class Classes:
    """Executes class bodies, each once, and finds attributes along the bases."""

    def __init__(self, machine: Machine, names: Names) -> None:
        self.machine = machine
        self.names = names
        self._records: dict[Ref, dict[Ref, Record]] = {}
        self._lines: dict[ClassThing, tuple[ClassThing | str, ...]] = {}
        """The ancestors of classes for which they are the same in every state."""
        self.filled: Callable[[ClassThing], None] | None = None
        """Executes what else happens to the attributes of a class."""

    def class_record(self, cls: ClassThing) -> Record:
        """The attributes that a class body defines."""
        ref = cls.ref
        if not self.machine.state.has(ref):
            if cls.inner is not None:
                self._execute_class(cls)
            elif ref in self._records:
                self.machine.state.adopt(self._records[ref])
            else:
                state = State()
                with self.machine.elsewhere(state, []), self.machine.in_module(cls.part.module):
                    self._execute_class(cls)
                    if self.filled is not None:
                        self.filled(cls)
                    made = {
                        each: self.machine.state.record(each)
                        for each in self.machine.state.refs()
                        if each != module_ref(cls.part.module)
                    }
                self._records[ref] = made
                self.machine.state.adopt(made)
        return self.machine.state.record(ref)

    def _execute_class(self, cls: ClassThing) -> None:
        ref = cls.ref
        self.machine.state.open(ref)
        self.machine.state.set(ref, Slot.CLOSURE, Value(Object(cls.closure)))
        live, self.machine.state.live = self.machine.state.live, True
        self.machine.frames.append(Frame(ref, cls.part, cls.closure, defines=cls))
        mark = len(self.machine.facts)
        try:
            self._execute_body(cls)
        finally:
            del self.machine.facts[mark:]
            self.machine.frames.pop()
            self.machine.state.live = live

    def _execute_body(self, cls: ClassThing) -> None:
        """Execute a class body in the frame just opened: attributes, and under `#` names its bases and fields."""
        machine = self.machine
        ref = machine.frame.ref
        bases = [machine.evaluate(base.value) for base in cls.node.bases if base.star == ""]
        machine.state.set(ref, Slot.BASES, tuple_of(*bases))
        for decorator in cls.node.decorators:
            target = decorator.decorator.func if isinstance(decorator.decorator, cst.Call) else decorator.decorator
            thing = machine.evaluate(target).thing
            if isinstance(thing, Symbol) and (thing.name in DATACLASSES or thing.name.endswith(".dataclass")):
                machine.state.set(ref, Slot.DATACLASS, literal(True))
        machine.execute(cls.node.body)
        machine.state.set(ref, Slot.FIELDS, tuple_of(*(literal(name) for name in _field_names(cls.node))))

    def bases(self, cls: ClassThing) -> list[Value]:
        """The values of a class's base expressions."""
        if cls.inner is None:
            return [self._named(cls.part.module, name) for name in cls.part.statement.base_names]
        self.class_record(cls)
        held = self.machine.state.get(cls.ref, Slot.BASES)
        return list(held.thing.tail) if held is not None and isinstance(held.thing, Items) else []

    def _named(self, module: Module, dotted: str | None) -> Value:
        """What a dotted name means at a module's top level, as far as it leads to classes."""
        if dotted is None:
            return UNKNOWN
        first, *rest = dotted.split(".")
        value = self.names.module_name(module, first)
        for name in rest:
            if isinstance(value.thing, Symbol):
                value = Value(Symbol(canonical(f"{value.thing.name}.{name}")))
            elif isinstance(value.thing, ModuleThing):
                value = self.names.attribute_of_module(value.thing.module, name)
            else:
                return UNKNOWN
        return value

    def ancestors(self, cls: ClassThing) -> tuple[ClassThing | str, ...]:
        """The class and its bases, depth first; bases outside the project by qualified name."""
        known = self._lines.get(cls)
        if known is None:
            known = tuple(self._line(cls))
            if all(self._has_fixed_bases(each) for each in known if isinstance(each, ClassThing)):
                self._lines[cls] = known
        return known

    def _has_fixed_bases(self, cls: ClassThing) -> bool:
        """Whether a class has the same bases in every state: each is named by what one definition or import binds."""
        module = cls.part.module
        names = [name.partition(".") for name in cls.part.statement.base_names if name is not None]
        return cls.inner is None and all(
            name in module.definitions
            and self.machine.state.get(module_ref(module), name) is None
            and (not rest or isinstance(module.definitions[name].thing, Symbol))
            for name, _, rest in names
        )

    def _line(self, cls: ClassThing) -> Iterator[ClassThing | str]:
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

    def functions(self, cls: ClassThing) -> Iterator[tuple[str, Function]]:
        """The functions that a class body defines, by name."""
        for key, value in self.class_record(cls).items():
            if isinstance(key, str) and isinstance(value.thing, Function):
                yield key, value.thing

    def class_attribute(self, cls: ClassThing, name: str) -> Value | None:
        """An attribute of a class or of its bases in the project."""
        for ancestor in self.ancestors(cls):
            if isinstance(ancestor, ClassThing):
                found = self.class_record(ancestor).get(name)
                if found is not None:
                    return found
        return None

    def is_of_keras(self, value: Value) -> bool:
        """Whether a value is a model or a layer of Keras."""
        cls = value.thing.cls if isinstance(value.thing, Object) else None
        if isinstance(cls, str):
            return cls in keras.BASES
        return cls is not None and not keras.BASES.isdisjoint(base for base in self.ancestors(cls) if isinstance(base, str))

    def run_by_call(self, cls: ClassThing) -> Value | None:
        """The method of the project that a call of an object runs: `forward` of a module of torch, `call` of one of Keras."""
        method = self.class_attribute(cls, "__call__")
        if method is None and self.is_module(cls):
            return self.class_attribute(cls, "forward")
        if method is None and not keras.BASES.isdisjoint(base for base in self.ancestors(cls) if isinstance(base, str)):
            return self.class_attribute(cls, "call")
        return method

    def super_attribute(self, thing: Super, name: str) -> Value | None:
        """What `super().name` finds in the project."""
        for ancestor in self.behind(thing):
            if isinstance(ancestor, ClassThing):
                found = self.class_record(ancestor).get(name)
                if found is not None:
                    return found
        return None

    def behind(self, thing: Super) -> list[ClassThing | str]:
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

    def assumed_instance(self, cls: ClassThing, ref: Ref | None = None) -> Value:
        """An object of a class after __init__ with unknown arguments; without an identity it is the one that methods run on."""
        site = site_of(cls.part, cls.node)
        ref = made_at(site, None, Made.SELF) if ref is None else ref
        value = Value(Object(ref, cls), origin=ref)
        self.machine.state.open(ref)
        init = self.class_attribute(cls, "__init__")
        if init is not None and isinstance(init.thing, Function):
            self.machine.call_function(init.thing, [Argument(value)], site, assume=True)
            self.machine.state.live = True
        return value

    def takes_fields(self, cls: ClassThing) -> bool:
        """Whether a class gets an __init__ from its fields."""
        for ancestor in self.ancestors(cls):
            if isinstance(ancestor, str):
                if canonical(ancestor) in python.FIELD_BASES or ancestor.endswith(".ModelOutput"):
                    return True
            elif self.class_record(ancestor).get(Slot.DATACLASS) is not None:
                return True
        return False

    def fields(self, cls: ClassThing) -> list[str]:
        """The annotated names of a class and of its bases in the project, in the order of their parameters."""
        names: list[str] = []
        for ancestor in reversed([a for a in self.ancestors(cls) if isinstance(a, ClassThing)]):
            held = self.class_record(ancestor).get(Slot.FIELDS)
            if held is not None and isinstance(held.thing, Items):
                names += [str(value.constant) for value in held.thing.tail if value.constant not in names]
        return names

    def fill_fields(self, cls: ClassThing, ref: Ref, arguments: Sequence[Argument]) -> None:
        """Do what an __init__ made from fields does."""
        positional = [argument for argument in arguments if argument.keyword is None and not argument.star]
        for name, argument in zip(self.fields(cls), positional, strict=False):
            self.machine.state.set(ref, name, argument.value)
        for argument in arguments:
            if argument.keyword is not None:
                self.machine.state.set(ref, argument.keyword, argument.value)


def _field_names(node: cst.ClassDef) -> list[str]:
    lines = [line for line in node.body.body if isinstance(line, cst.SimpleStatementLine)]
    fields = [statement for line in lines for statement in line.body if isinstance(statement, cst.AnnAssign)]
    return [field.target.value for field in fields if isinstance(field.target, cst.Name)]


def _decorators(function: Function) -> list[str]:
    if function.inner is None and not function.part.is_decorated:
        return []  # as the text says, which need not be parsed for that
    if not isinstance(function.node, cst.FunctionDef):
        return []
    names = []
    for decorator in function.node.decorators:
        node = decorator.decorator
        if isinstance(node, cst.Call):
            node = node.func
        names.append(node.attr.value if isinstance(node, cst.Attribute) else node.value if isinstance(node, cst.Name) else "")
    return names


def leaves_it_to_others(node: cst.FunctionDef | cst.Lambda) -> bool:
    """Whether a function does nothing but raise NotImplementedError: what is called is what a subclass has in its place."""
    block = node.body.body if isinstance(node.body, cst.IndentedBlock) else ()
    lines = [statement for line in block if isinstance(line, cst.SimpleStatementLine) for statement in line.body]
    if not block or len(lines) > 2 or len(block) != len(lines) or not isinstance(lines[-1], cst.Raise):
        return False
    raised = lines[-1].exc.func if isinstance(lines[-1].exc, cst.Call) else lines[-1].exc
    only = len(lines) == 1 or (isinstance(lines[0], cst.Expr) and isinstance(lines[0].value, cst.BaseString))
    return only and isinstance(raised, cst.Name) and raised.value == "NotImplementedError"


def is_static(function: Function) -> bool:
    return "staticmethod" in _decorators(function)


def is_classmethod(function: Function) -> bool:
    return "classmethod" in _decorators(function)


def is_property(function: Function) -> bool:
    return any(name in ("property", "cached_property") for name in _decorators(function))


def qualified(function: Function) -> str:
    """The name by which the user's configuration calls a function of the project."""
    owner = [function.owner.name] if function.owner is not None else []
    return ".".join([function.part.module.name, *owner, function.name])


def is_of_framework(function: Function) -> bool:
    """Whether a function is a method of a class so long that it must be a framework; those are executed by themselves only."""
    owner = function.owner
    return owner is not None and owner.part.is_framework
