"""What lists, tuples, dicts and containers of layers hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret import carried, shapes
from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choices import one_of_entries
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.datasets import row_of
from mldbg.lint.interpret.join import joined
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.splits import pair_of_folds
from mldbg.lint.interpret.value import (
    MOST_ITEMS,
    OF_PREDICTIONS,
    UNKNOWN,
    ClassThing,
    Constant,
    Data,
    Entries,
    Function,
    Items,
    ModuleThing,
    Object,
    Opaque,
    Value,
    literal,
)
from mldbg.lint.outline import Kind
from mldbg.operations import sklearn
from mldbg.operations.configuration import ATTRIBUTE_DICTS

MOST_CLASSES = 12
"""Classes of a module that are looked at for its networks, where one is asked for by a name that is not known."""


class Contents:
    """Reads and changes the content of sequences and mappings."""

    def __init__(self, machine: Machine, classes: Classes) -> None:
        self.machine = machine
        self.classes = classes

    def items_of(self, value: Value) -> Items | None:
        """The elements of a sequence or container, where known."""
        thing = self.machine.force(value).thing
        if isinstance(thing, Items):
            return thing
        if isinstance(thing, Object):
            self.machine.built(thing.ref)
            held = self.machine.state.get(thing.ref, Slot.ITEMS)
            if held is not None and isinstance(held.thing, Items):
                return held.thing
            if isinstance(thing.cls, ClassThing):
                return self._fields_of(thing, thing.cls)
        return None

    def _fields_of(self, thing: Object, cls: ClassThing) -> Items | None:
        """A NamedTuple unpacks into its fields."""
        if not any(isinstance(base, str) and base == "typing.NamedTuple" for base in self.classes.ancestors(cls)):
            return None
        held = self.classes.class_record(cls).get(Slot.FIELDS)
        if held is None or not isinstance(held.thing, Items):
            return None
        return Items(
            "builtins.tuple", tuple(self.machine.state.get(thing.ref, str(name.constant)) or UNKNOWN for name in held.thing.tail)
        )

    def is_bounded(self, value: Value) -> bool:
        """Whether a sequence drops its oldest elements: a deque with `maxlen`."""
        return isinstance(value.thing, Object) and self.machine.state.get(value.thing.ref, Slot.BOUNDED) is not None

    def mapping_of(self, value: Value) -> Entries | None:
        """The content of a dict, where known."""
        thing = self.machine.force(value).thing
        if isinstance(thing, Entries):
            return thing
        if isinstance(thing, Object):
            held = self.machine.state.get(thing.ref, Slot.ITEMS)
            if held is not None and isinstance(held.thing, Entries):
                return held.thing
        return None

    def new_sequence(self, node: cst.CSTNode, items: Items, cls: str = "builtins.list") -> Value:
        """A mutable sequence."""
        ref = self.machine.new_ref(self.machine.site(node), Made.LIST if cls == "builtins.list" else Made.CONTAINER)
        self.machine.state.open(ref)
        self.machine.state.set(ref, Slot.ITEMS, Value(items))
        return Value(Object(ref, cls), origin=ref)

    def new_mapping(self, node: cst.CSTNode, mapping: Entries, cls: str = "builtins.dict") -> Value:
        """A dict."""
        ref = self.machine.new_ref(self.machine.site(node), Made.DICT)
        self.machine.state.open(ref)
        self.machine.state.set(ref, Slot.ITEMS, Value(mapping))
        return Value(Object(ref, cls), origin=ref)

    def set_attribute(self, thing: Object, name: str, value: Value) -> None:
        """Set an attribute of an object; of a dict whose entries are attributes it is an entry."""
        held = self.machine.state.get(thing.ref, Slot.ITEMS) if thing.cls in ATTRIBUTE_DICTS else None
        if held is not None and isinstance(held.thing, Entries):
            self.machine.state.set(thing.ref, Slot.ITEMS, Value(held.thing.with_item(name, value)))
        else:
            self.machine.state.set(thing.ref, name, value)

    def merged(self, arguments: Sequence[Argument], onto: Entries) -> Entries:
        """`dict(settings, width=8)`, `settings.update(more)`: dicts, pairs and keywords, each over what stands before it."""
        for argument in arguments:
            if argument.keyword is not None:
                onto = onto.with_item(argument.keyword, argument.value)
                continue
            more = self.mapping_of(argument.value)
            onto = onto.under(more if more is not None else self._pairs_of(argument.value))
        return onto

    def _pairs_of(self, value: Value) -> Entries | None:
        """A dict that is given as pairs of keys and values."""
        items = self.items_of(value)
        pairs = [self.items_of(pair) for pair in items.tail] if items is not None and items.exact else [None]
        found: dict[object, Value] = {}
        for pair in pairs:
            if pair is None or len(pair.tail) != 2 or not isinstance(pair.tail[0].thing, Constant):
                return None
            found[pair.tail[0].constant] = pair.tail[1]
        return Entries(tuple(found.items()))

    def element_of(self, value: Value, site: Site) -> Value:
        """What iterating over a value yields: the join of its elements."""
        value = self.machine.force(value)
        self.machine.outstanding.has_use(value)
        items = self.items_of(value)
        if items is not None:
            return joined(items.all)
        mapping = self.mapping_of(value)
        if mapping is not None:
            return joined([literal(key) for key, _ in mapping.items]) if mapping.items else UNKNOWN
        thing = value.thing
        if isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls in sklearn.SPLITTERS:
            return pair_of_folds(self.machine, frozenset(), site)  # KFold(n, n_folds=3) of old held the pairs itself
        if isinstance(thing, Object) and isinstance(thing.cls, ClassThing):
            method = self.classes.class_attribute(thing.cls, "__iter__")
            if method is not None and isinstance(method.thing, Function):
                made = self.machine.call_function(method.thing, [Argument(value)], site)
                return self.element_of(made, site) if made.thing != value.thing else UNKNOWN
        row = row_of(self.machine, self.classes, value, site)
        if row is not None:
            return row
        return self.entry_of(value, self.machine.new_ref(site, Made.ELEMENT))

    @staticmethod
    def entry_of(value: Value, origin: Ref) -> Value:
        """One entry along the first axis of a tensor or an array."""
        rest = carried.entry(value)
        data = value.data or (Data(rows=value.rows) if value.rows else None)
        return Value(
            meaning=rest.meaning,
            data=replace(data, one_row=True) if data is not None else None,
            origin=origin,
            axes=rest.axes,
            attached=value.attached if rest.meaning is not None else None,
            trail=value.trail if rest.meaning is not None or value.fits else None,
            scaled=rest.scaled,
            marked=value.marked if value.marked is not None and value.marked.mark in OF_PREDICTIONS else None,
            shaped=shapes.entry(value.shaped),
        )

    def iterated(self, value: Value) -> Items | None:
        """What iterating over a value yields, one by one: elements of a sequence, keys of a dict."""
        self.machine.outstanding.has_use(value)
        items = self.items_of(value)
        mapping = self.mapping_of(value) if items is None else None
        if mapping is None or not mapping.exact:
            return items
        return Items("builtins.generator", tuple(literal(key) for key, _ in mapping.items))

    def member_of(self, module: Module, name: Value, site: Site) -> Value:
        """`getattr(models, name)`: what a module holds under a name; where that is not known, one of its networks."""
        namespace = Value(ModuleThing(module))
        if isinstance(name.thing, Constant):
            return self.machine.attribute(namespace, name.thing.value, site) if isinstance(name.thing.value, str) else UNKNOWN
        inherited = {base for part in module.parts for base in part.statement.base_names}
        classes = [
            part.statement.names[0]
            for part in module.parts
            if part.statement.kind is Kind.CLASS and part.statement.names[0] not in inherited
        ]
        if len(classes) > MOST_CLASSES:
            return UNKNOWN
        values = [(each, self.machine.attribute(namespace, each, site)) for each in classes]
        networks = [(each, value) for each, value in values if self._is_network(value)]
        exact = not any(part.statement.kind is Kind.FUNCTION for part in module.parts)
        return one_of_entries(self.machine, Entries(tuple(networks), exact), name, site.node)

    def _is_network(self, value: Value) -> bool:
        return isinstance(value.thing, ClassThing) and self.classes.is_module(value.thing)

    def extend(self, sequence: Value, more: Items) -> None:
        """A list grows at its end."""
        held = self.items_of(sequence)
        if held is None or not isinstance(sequence.thing, Object):
            return
        if more.exact:
            grown = replace(held, tail=(*held.tail, *more.tail))
            if len(grown.tail) > MOST_ITEMS:
                grown = Items(held.cls, (), joined(grown.all))
        else:
            rest = [*held.all, *(() if more.lead is None else (more.lead,))]
            grown = Items(held.cls, more.tail, joined(rest))
        self.machine.state.set(sequence.thing.ref, Slot.ITEMS, Value(grown))

    def some_changed(self, value: Value) -> None:
        """A list or dict was changed of which only the class is known: it may be any of those there are."""
        cls = value.thing.cls if isinstance(value.thing, Opaque) else ""
        kind = {"builtins.list": Made.LIST, "builtins.dict": Made.DICT}.get(cls)
        if kind is None:
            return
        left = Value(Items(cls, (), UNKNOWN) if kind is Made.LIST else Entries((), exact=False))
        for ref in self.machine.state.refs():
            if ref.kind is kind:
                self.machine.state.set(ref, Slot.ITEMS, left)
