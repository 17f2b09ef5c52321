"""How the parameters of a function get their values."""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

from mldbg.lint.interpret.address import Made
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.configuration import Configuration
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.shapes import FLOAT, INT
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.supposed import MODEL_NAMES
from mldbg.lint.interpret.value import UNKNOWN, Axes, ClassThing, Entries, Function, Object, Opaque, Symbol, Value
from mldbg.lint.library.names import says_one_hot
from mldbg.operations.configuration import DECORATING
from mldbg.operations.sizes import atom
from mldbg.semantics import Semantic


class Parameters:
    """Binds parameters in the frame just opened."""

    def __init__(self, machine: Machine, names: Names, classes: Classes, configuration: Configuration) -> None:
        self.machine = machine
        self.names = names
        self.classes = classes
        self.configuration = configuration
        self.numbers = False
        """Whether parameters that are numbers are told apart, as sizes of tensors."""
        self.model: ClassThing | None = None
        """What a parameter that takes a model is supposed to get, where nothing else says it."""

    def bind(self, function: Function, arguments: Sequence[Argument], *, assume: bool) -> bool:
        """Give the parameters of a function their values.

        Returns whether they say as much as names and annotations would: where an argument is wholly unknown, the function by
        itself says more.
        """
        parameters = function.node.params
        in_order = [argument for argument in arguments if argument.keyword is None and not argument.star]
        positional = [argument.value for argument in in_order]
        given = {argument.keyword: argument.value for argument in arguments if argument.keyword is not None}
        named = dict(given)
        spread = any(argument.star for argument in arguments)
        everything = [*parameters.posonly_params, *parameters.params]
        self._remember_names_outside([parameter.name.value for parameter in everything], in_order, arguments)
        for index, parameter in enumerate(everything):
            name = parameter.name.value
            if index < len(positional):
                self._bind(name, positional[index], function, assume=assume)
            elif name in named:
                self._bind(name, named.pop(name), function, assume=assume)
            else:
                self._bind_missing(parameter, function, spread=spread, assume=assume)
        for parameter in parameters.kwonly_params:
            name = parameter.name.value
            if name in named:
                self._bind(name, named.pop(name), function, assume=assume)
            else:
                self._bind_missing(parameter, function, spread=spread, assume=assume)
        if isinstance(parameters.star_arg, cst.Param):
            unknown_rest = assume or spread
            rest = UNKNOWN if unknown_rest else tuple_of(*positional[len(everything) :])
            self.names.bind(parameters.star_arg.name.value, rest)
        if parameters.star_kwarg is not None:
            ref = self.machine.new_ref(self.machine.site(parameters.star_kwarg), Made.KEYWORDS)
            self.machine.state.open(ref)
            content = Entries(tuple((key, value) for key, value in named.items()), exact=not (assume or spread))
            self.machine.state.set(ref, Slot.ITEMS, Value(content))
            self.names.bind(parameters.star_kwarg.name.value, Value(Object(ref, "builtins.dict")))
        return assume or not any(value == UNKNOWN for value in (*positional[: len(everything)], *given.values()))

    def _remember_names_outside(self, names: Sequence[str], in_order: Sequence[Argument], arguments: Sequence[Argument]) -> None:
        """Remember by which names the caller knows what it hands in: `run(val_loader)` for `def run(loader)`."""
        frames = self.machine.frames
        outside = frames[-2].names_outside if len(frames) > 1 else {}
        keyed = [(argument.keyword, argument) for argument in arguments if argument.keyword is not None]
        for name, argument in (*zip(names, in_order, strict=False), *keyed):
            if isinstance(argument.node, cst.Name | cst.Attribute):
                given = code(argument.node)
                frames[-1].names_outside[name] = outside.get(given, given)

    def _bind(self, name: str, value: Value, function: Function, *, assume: bool) -> None:
        context = self.machine.frame.context
        if not assume and context is not None and name != "self":
            value = value.step(context.site, f"passed to `{function.name}` as `{name}`")
        self.names.bind(name, value)

    def _bind_missing(self, parameter: cst.Param, function: Function, *, spread: bool, assume: bool) -> None:
        name = parameter.name.value
        if parameter.default is not None and not spread:
            value = self.machine.evaluate(parameter.default)
            if not assume or isinstance(value.thing, Symbol | Function | ClassThing) or _is_library_object(value):
                self.names.bind(name, value)
                return
        if function.part.is_decorated and any(tool in function.part.module.text for tool in DECORATING):
            given = self.configuration.given_by_decorator(function, name, self.machine.site(parameter))
            if given is not None:
                self.names.bind(name, given)
                return
        ref = self.machine.new_ref(self.machine.site(parameter), Made.PARAMETER)
        number = _number_of(parameter) if self.numbers else None
        if number is not None:
            size = atom(name, ref, positive=False) if number == INT else None
            self.names.bind(name, Value(Opaque(number), origin=ref, size=size))
            return
        self.machine.state.ensure(ref)
        cls = self._annotated_class(parameter) if assume else None
        if assume and cls is None and parameter.annotation is None and name in MODEL_NAMES:
            cls = self.model
        if isinstance(cls, ClassThing):
            mark = len(self.machine.facts)
            self.names.bind(name, self.classes.assumed_instance(cls, ref))
            del self.machine.facts[mark:]
            return
        hot = parameter.default is None and says_one_hot(name)
        meaning, axes = (Semantic.ONE_HOT, Axes(along=-1)) if hot else (None, Axes())
        self.names.bind(name, Value(Object(ref, cls), meaning=meaning, axes=axes, origin=ref))

    def _annotated_class(self, parameter: cst.Param) -> str | ClassThing | None:
        """The class that a parameter's annotation names, where objects of it can be followed."""
        if parameter.annotation is None:
            return None
        node: cst.BaseExpression = parameter.annotation.annotation
        if isinstance(node, cst.Subscript):
            node = node.value  # `Net[int]` of a generic class
        if not isinstance(node, cst.Name | cst.Attribute):
            return None
        thing = self.machine.evaluate(node).thing
        if (
            isinstance(thing, Symbol)
            and thing.name.startswith(("torch.optim.", "torch.nn.", "sklearn."))
            and thing.name != "torch.nn.Module"
        ):
            return thing.name
        return thing if isinstance(thing, ClassThing) and self._is_that_network(thing) else None

    def _is_that_network(self, cls: ClassThing) -> bool:
        """Whether a class is a network that is meant as it is: nothing in its module derives from it."""
        if cls.part.is_framework or not self.classes.is_module(cls) or self.classes.class_attribute(cls, "forward") is None:
            return False
        return not any(cls.name in part.statement.base_names for part in cls.part.module.parts)


def _number_of(parameter: cst.Param) -> str | None:
    """The class of a number that a parameter is annotated as, or has as its default; None where it may be something else."""
    node = parameter.annotation.annotation if parameter.annotation is not None else None
    if isinstance(node, cst.Name):
        return {"int": INT, "float": FLOAT}.get(node.value)
    kinds: dict[type, str] = {cst.Integer: INT, cst.Float: FLOAT}
    return kinds.get(type(parameter.default)) if node is None else None


def _is_library_object(value: Value) -> bool:
    return isinstance(value.thing, Object) and isinstance(value.thing.cls, str) and not value.thing.cls.startswith("builtins.")
