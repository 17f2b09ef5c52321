"""New objects of classes outside the project: layers, containers, losses, estimators; and copies of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument, bound
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import OptimizerBuilt
from mldbg.lint.interpret.join import joined
from mldbg.lint.interpret.lineage import data_of_arguments
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf, Slot, argument_of
from mldbg.lint.interpret.training import Training, refers_to_weights
from mldbg.lint.interpret.tree import descendants
from mldbg.lint.interpret.value import UNKNOWN, ClassThing, Data, Entries, Function, Items, Object, Value, literal
from mldbg.operations import keras, tables, torch
from mldbg.operations.configuration import DICTS

AFTER_INIT = ("__post_init__", "__attrs_post_init__")
"""What a generated __init__ calls at its end."""

MOST_COPIED = 200
"""Objects inside one that deepcopy is followed into."""


class Construction:
    """Opens the records of new objects and fills them."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents, training: Training) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self.training = training
        self._written: dict[Ref, dict[str, Site]] = {}

    def construct(self, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A new object of a class outside the project."""
        ref = self.machine.new_ref(site, Made.OBJECT, name)
        self.machine.state.open(ref)
        value = Value(Object(ref, name), data=data_of_arguments(arguments), origin=ref)
        self.construct_base(ref, name, arguments)
        if tables.is_optimizer_class(name) and arguments and arguments[0].node is not None and arguments[0].star == "":
            place = self.machine.place(site)
            models = self.training.parameters_of(value) or self._named_in(arguments[0].node)
            self.machine.facts.append(OptimizerBuilt(place, value, arguments[0].node, models))
        if tables.is_module_class(name) and name not in tables.LOSS_CLASSES:
            if name.startswith("transformers.") and name.endswith(torch.GIVES_EVALUATION_MODE):
                self.machine.state.set(ref, Slot.MODE, literal(False))
                self.training.note(ref)
            else:
                self.training.start_in_training_mode(value, site)
        return value

    def _named_in(self, given: cst.BaseExpression) -> frozenset[Ref]:
        """The models of which some parameters are picked in an expression: `[p for p in model.parameters() if ...]`."""
        owners = [
            node.func.value
            for node in descendants(given)
            if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute)
            if node.func.attr.value in torch.GIVES_PARAMETERS
        ]
        loops = (node.target for node in descendants(given) if isinstance(node, cst.CompFor))
        inner = {name.value for target in loops for name in descendants(target) if isinstance(name, cst.Name)}
        roots = [(owner, _root(owner)) for owner in owners]
        values = [self.machine.now(owner) for owner, root in roots if root is not None and root not in inner]
        return frozenset(one.thing.ref for one in values if isinstance(one.thing, Object))

    def construct_base(self, ref: Ref, name: str | None, arguments: Sequence[Argument]) -> None:
        """Keep the constructor's arguments in the object's record; fill containers."""
        if name in tables.CONTAINERS:
            of_keras = name == keras.CHAIN
            self._fill_container(ref, [one for one in arguments if one.keyword in (None, "layers")] if of_keras else arguments)
            return
        if name is None:
            return
        if name in DICTS:
            self._fill_dict(ref, arguments)
            return
        given, nodes = bound(tables.constructor_parameters(name, len(arguments)), arguments, None)
        self._written[ref] = {key: self.machine.site(node) for key, node in nodes.items()}
        for key, value in given.items():
            self.machine.state.set(ref, argument_of(key), value)

    def _fill_dict(self, ref: Ref, arguments: Sequence[Argument]) -> None:
        """`super().__init__(settings)` of a dict with more to it."""
        self.machine.state.set(ref, Slot.ITEMS, Value(self.contents.merged(arguments, Entries(()))))

    def constructor_arguments(self, receiver: Value) -> dict[str, Value]:
        """What a layer or loss object was built with."""
        if not isinstance(receiver.thing, Object):
            return {}
        record = self.machine.state.record(receiver.thing.ref)
        return {key.name: value for key, value in record.items() if isinstance(key, ArgumentOf)}

    def written(self, ref: Ref) -> Mapping[str, Site]:
        """The expressions that stand for the arguments of the constructor that made an object, by parameter."""
        return self._written.get(ref, {})

    def _fill_container(self, ref: Ref, arguments: Sequence[Argument]) -> None:
        machine = self.machine
        first = arguments[0].value if arguments else None
        mapping = self.contents.mapping_of(first) if first is not None and len(arguments) == 1 else None
        if mapping is not None:
            content = Value(
                Items("builtins.list", tuple(value for _, value in mapping.items), None if mapping.exact else UNKNOWN)
            )
            machine.state.set(ref, Slot.ITEMS, content)
            machine.state.set(ref, Slot.NAMES, Value(mapping))
            return
        inner = self.contents.items_of(first) if first is not None and len(arguments) == 1 else None
        is_layer = first is not None and isinstance(first.thing, Object) and first.thing.cls not in ("builtins.list", None)
        if inner is not None and not is_layer:
            items = replace(inner, cls="builtins.list")
        else:
            items = Items("builtins.list", ())
            for argument in arguments:
                if argument.star == "*":
                    more = self.contents.items_of(argument.value)
                    lead = joined([*items.tail, *(more.tail if more and more.exact else ())]) if items.tail else UNKNOWN
                    items = Items("builtins.list", more.tail if more is not None and not more.exact else (), lead)
                else:
                    items = replace(items, tail=(*items.tail, argument.value))
        machine.state.set(ref, Slot.ITEMS, Value(items))

    def clone(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A copy: an object of its own with the same content."""
        if not arguments:
            return UNKNOWN
        value = arguments[0].value
        if refers_to_weights(value):
            return UNKNOWN
        if not isinstance(value.thing, Object):
            return value
        return self._copied(value, site, {})

    def shallow(self, arguments: Sequence[Argument], site: Site) -> Value:
        """A copy that holds the same tensors."""
        if arguments and refers_to_weights(arguments[0].value):
            return arguments[0].value
        return self.clone(arguments, site)

    def replaced(self, arguments: Sequence[Argument], site: Site) -> Value:
        """`dataclasses.replace(config, size=7)`: a new object that shares what the other holds, but for the fields given."""
        value = arguments[0].value if arguments and arguments[0].keyword is None else UNKNOWN
        old = value.thing
        if not isinstance(old, Object):
            return UNKNOWN
        self.machine.built(old.ref)
        ref = self.machine.new_ref(site, Made.COPY)
        record = {name: held for name, held in self.machine.state.record(old.ref).items() if name is not Slot.FITS}
        if any(argument.star for argument in arguments):  # `**changes`: any field may be another
            record = dict.fromkeys([*record, *(self.classes.fields(old.cls) if isinstance(old.cls, ClassThing) else ())], UNKNOWN)
        record |= {argument.keyword: argument.value for argument in arguments if argument.keyword is not None}
        self.machine.state.open(ref)
        for name, held in record.items():
            self.machine.state.set(ref, name, held)
        made = replace(value, thing=replace(old, ref=ref), data=value.data or Data(rows=value.rows), origin=ref)
        if isinstance(old.cls, ClassThing):
            self.after_init(made, old.cls, site)
        return made

    def after_init(self, made: Value, cls: ClassThing, site: Site) -> None:
        """Fields that are computed from others are computed again."""
        for name in AFTER_INIT:
            after = self.classes.class_attribute(cls, name)
            if after is not None and isinstance(after.thing, Function):
                self.machine.call_function(after.thing, [Argument(made)], site)

    def _copied(self, value: Value, site: Site, done: dict[Ref, Ref]) -> Value:
        """A copy of an object and of the objects in it."""
        if not isinstance(value.thing, Object):
            return value
        old = value.thing.ref
        if old not in done and len(done) < MOST_COPIED:
            new = self.machine.new_ref(site, Made.COPY, len(done))
            done[old] = new
            self.machine.built(old)
            self.machine.state.open(new)
            for name, held in dict(self.machine.state.record(old)).items():
                if name is not Slot.FITS:
                    self.machine.state.set(new, name, self._copied_content(held, site, done))
            self.training.note(new)
        ref = done.get(old)
        return replace(value, thing=replace(value.thing, ref=ref), origin=ref) if ref is not None else UNKNOWN

    def _copied_content(self, value: Value, site: Site, done: dict[Ref, Ref]) -> Value:
        if isinstance(value.thing, Items):
            tail = tuple(self._copied(item, site, done) for item in value.thing.tail)
            lead = self._copied(value.thing.lead, site, done) if value.thing.lead is not None else None
            return replace(value, thing=replace(value.thing, tail=tail, lead=lead))
        return self._copied(value, site, done)


def _root(node: cst.BaseExpression) -> str | None:
    """The name that an expression is, or an attribute of; None of anything else, which could not be read twice."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else None
