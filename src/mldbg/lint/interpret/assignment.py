"""Binding targets to values, changing them in place, and deleting them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret import carried, marks, predictions, scaling
from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.choices import Choices
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.columns import Columns, picks_one
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import BehindPart, FlagSet, LayerSet, ModeSet
from mldbg.lint.interpret.frames import held_under_key, loop_started, one_of_many, with_named_role
from mldbg.lint.interpret.heads import replace_last
from mldbg.lint.interpret.join import join, join_data, joined, named_loss, scored_as, scores_of, tuple_of
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.shaping import Shaping
from mldbg.lint.interpret.sightings import Seen
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.sums import note_emptied
from mldbg.lint.interpret.training import Training
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    ClassThing,
    Constant,
    Data,
    Entries,
    Items,
    Lazy,
    Method,
    ModuleThing,
    Object,
    Unknown,
    Value,
    is_blank,
)
from mldbg.lint.library.names import says_label, says_model
from mldbg.operations import torch


class Assignment:
    """Writes to names, attributes and items."""

    def __init__(
        self,
        machine: Machine,
        names: Names,
        classes: Classes,
        contents: Contents,
        training: Training,
        shaping: Shaping,
    ) -> None:
        self.machine = machine
        self.names = names
        self.classes = classes
        self.contents = contents
        self.choices = Choices(machine)
        self.columns = Columns(contents)
        self.training = training
        self.shaping = shaping
        self.tables = training.estimators.tables

    def assign(self, target: cst.BaseExpression, value: Value, site: Site) -> None:
        """Bind a target (name, attribute, subscript, tuple of targets) to a value."""
        if self.machine.watcher is not None and isinstance(target, cst.Name | cst.Attribute):
            self.machine.watcher(Seen.ASSIGNED, site, code(target), value)
        if isinstance(target, cst.Name):
            self.names.bind(target.value, self._named(target.value, value))
        elif isinstance(target, cst.Tuple | cst.List):
            self._unpack(target, value, site)
        elif isinstance(target, cst.StarredElement):
            self.assign(target.value, value, site)
        elif isinstance(target, cst.Attribute):
            self._assign_attribute(target, value, site)
        elif isinstance(target, cst.Subscript):
            self._assign_item(target, value, site)

    def _named(self, name: str, value: Value) -> Value:
        """A value of which nothing is known is what its name says: a loss, or a model with an identity and a mode of its own."""
        value = named_loss(name, value)
        ref = value.origin
        is_result = isinstance(value.thing, Unknown) and ref is not None and ref.kind is Made.VALUE
        if not is_result or value.meaning is not None or value.among is not None or value.fits or not says_model(name):
            return value
        assert ref is not None
        if not self.machine.frame.module.uses_torch or self.machine.budget.silent:
            return value
        self.machine.state.ensure(ref)
        return replace(value, thing=Object(ref))

    def _unpack(self, target: cst.Tuple | cst.List, value: Value, site: Site) -> None:
        elements = list(target.elements)
        if isinstance(value.thing, Lazy) and not any(isinstance(element, cst.StarredElement) for element in elements):
            for index, element in enumerate(elements):
                self.assign(element.value, self._deferred_item(value, index, len(elements), site), site)
            return
        items = self.contents.items_of(value)
        starred = next((index for index, element in enumerate(elements) if isinstance(element, cst.StarredElement)), None)
        if items is not None and items.exact and starred is not None and len(items.tail) >= len(elements) - 1:
            extra = len(items.tail) - len(elements) + 1
            middle = tuple_of(*items.tail[starred : starred + extra], cls="builtins.list")
            values = [*items.tail[:starred], middle, *items.tail[starred + extra :]]
        elif items is not None and items.exact and starred is None and len(items.tail) == len(elements):
            values = list(items.tail)
        else:
            values = [self._unpacked(value, index, items, site) for index in range(len(elements))]
        for element, item in zip(elements, values, strict=True):
            self.assign(element.value, item, site)

    def _deferred_item(self, value: Value, index: int, count: int, site: Site) -> Value:
        """One of the values that something not computed yet will be unpacked into."""

        def compute() -> Value:
            known = self.machine.force(value)
            items = self.contents.items_of(known)
            if items is not None and items.exact and len(items.tail) == count:
                return items.tail[index]
            return self._unpacked(known, index, items, site)

        made = self.machine.defer(site.node, compute)
        assert isinstance(made.thing, Lazy)
        return scored_as(Value(replace(made.thing, key=(made.thing.key, index))), value)

    def _unpacked(self, value: Value, index: int, items: Items | None, site: Site) -> Value:
        if items is not None:
            return one_of_many(joined(items.all), self.machine.new_ref(site, Made.UNPACKED, index))
        origin = self.machine.new_ref(site, Made.UNPACKED, index)
        data = value.data
        if isinstance(value.thing, Object) and value.thing.cls is None:
            self.machine.state.ensure(origin)
            return Value(Object(origin), data=data, origin=origin)
        return replace(self.contents.entry_of(value, origin), data=data)

    def _assign_attribute(self, target: cst.Attribute, value: Value, site: Site) -> None:
        name = target.attr.value
        bases = self.choices.now(target.value)
        for base in bases:
            if isinstance(base.thing, Object):
                self.machine.built(base.thing.ref)
        if name == "grad":
            self.training.clear_gradients(None, site)
            return
        if name == "training" and value.constant is not False:  # `for module in model.modules(): module.training = True`
            self.machine.facts.append(ModeSet(self.machine.place(site), None, True, target.value))
        self._tell_behind(target, value, site)
        self._note_layer(target, value, bases, site)
        for base in bases:
            if name in torch.FLAGS_OF_TENSORS and isinstance(base.thing, Object):
                self._tell_flag(base.thing, target, value)
            self._set_attribute(base, name, value, site)

    def _tell_flag(self, thing: Object, target: cst.Attribute, value: Value) -> None:
        """Tell of a flag of tensors that is set on a module, unless a class of the project has an attribute of that name."""
        own = isinstance(thing.cls, ClassThing) and self.classes.class_attribute(thing.cls, target.attr.value) is not None
        if self.classes.is_module(thing.cls) and not own:
            place = self.machine.place(self.machine.site(target))
            self.machine.facts.append(FlagSet(place, thing, target.value, target.attr.value, value))

    def _tell_behind(self, target: cst.Attribute, value: Value, site: Site) -> None:
        """`train_set.dataset.transform = ...`, where the other part has the same data set behind it."""
        name, holder = target.attr.value, target.value
        if name != "dataset":
            if not isinstance(holder, cst.Attribute) or holder.attr.value != "dataset":
                return
            holder = holder.value
        part = self.machine.evaluate(holder)
        if part.data is not None and part.data.split is not None:
            self.machine.facts.append(BehindPart(self.machine.place(site), part, code(holder), name, value))

    def _note_layer(self, target: cst.Attribute | cst.Subscript, value: Value, bases: Sequence[Value], site: Site) -> None:
        """Tell that a model gets a new layer with parameters, unless it is being built."""
        layer = value.thing
        if not isinstance(layer, Object) or layer.cls is None:
            return
        if self.machine.frame.is_init and isinstance(target, cst.Attribute) and isinstance(target.value, cst.Name):
            return  # `self.fc = nn.Linear(...)`
        if not (self.classes.is_module(layer.cls) if isinstance(layer.cls, ClassThing) else layer.cls in torch.WITH_PARAMETERS):
            return
        models = [base.thing for base in bases if isinstance(base.thing, Object)]
        if isinstance(target, cst.Attribute):
            held = [self.machine.state.get(model.ref, target.attr.value) for model in models]
            if any(one is not None and one.thing == layer for one in held):
                return  # `model.fc = model.fc.to(device)`
        refs = {model.ref for model in models}
        node: cst.BaseExpression = target.value
        while isinstance(node, cst.Attribute | cst.Subscript):
            node = node.value
            refs |= {one.thing.ref for one in self.choices.now(node) if isinstance(one.thing, Object)}
        self.machine.facts.append(LayerSet(self.machine.place(site), target, frozenset(refs)))

    def _set_attribute(self, base: Value, name: str, value: Value, site: Site) -> None:
        thing = base.thing
        if isinstance(thing, Object):
            held = with_named_role(name, self._named(name, value), self.machine.frame.part)
            self.contents.set_attribute(thing, name, held)
            self.training.estimators.evaluations.kept(held, name, site)
        elif isinstance(thing, ModuleThing):
            self.names.set_in_module(thing.module, name, value)
        elif isinstance(thing, ClassThing):
            self.classes.class_record(thing)
            self.machine.state.set(thing.ref, name, value)

    def indices(self, node: cst.Subscript) -> list[Value]:
        """What stands in the brackets; of a slice its three bounds."""
        return [self._index(element.slice) for element in node.slice]

    def _index(self, index: cst.BaseSlice) -> Value:
        if isinstance(index, cst.Index):
            return self.machine.evaluate(index.value)
        assert isinstance(index, cst.Slice)
        bounds = (index.lower, index.upper, index.step)
        return Value(Items("builtins.slice", tuple(self.machine.evaluate(one) if one is not None else NONE for one in bounds)))

    def _assign_item(self, target: cst.Subscript, value: Value, site: Site) -> None:
        value = self.machine.force(value)
        bases = self.choices.now(target.value)
        self._note_layer(target, value, bases, site)
        for base in bases:
            self._set_item(target, base, value, site)

    def _set_item(self, target: cst.Subscript, base: Value, value: Value, site: Site) -> None:
        items = self.indices(target)
        indices = [each for each, item in zip(items, target.slice, strict=True) if isinstance(item.slice, cst.Index)]
        index = indices[0] if len(indices) == 1 and len(target.slice) == 1 else UNKNOWN
        thing = base.thing
        self.contents.some_changed(base)
        if isinstance(thing, Method):
            replace_last(self.machine, thing, index, value)
            return
        if isinstance(thing, Object):
            held = self.machine.state.get(thing.ref, Slot.ITEMS)
            if held is not None and isinstance(held.thing, Entries):
                value = held_under_key(index.constant, value, self.machine.frame.module)
                self.machine.state.set(thing.ref, Slot.ITEMS, Value(_with_item(held.thing, index, value)))
                if scores_of(value) and not isinstance(index.thing, Constant):
                    self.rebind(target.value, scored_as(base, value))
                return
            if held is not None and isinstance(held.thing, Items):
                if any(isinstance(item.slice, cst.Slice) for item in target.slice):
                    note_emptied(self.machine, base, site)
                self.machine.state.set(thing.ref, Slot.ITEMS, Value(_with_element(held.thing, index, value)))
                return
        self.shaping.stored(base, items, value, site)
        written = carried.written(base, value)
        after = _with(base, written, value) if written is not None else base
        if base.marked is not None or value.marked is not None:
            after = replace(after, marked=predictions.stored(base, value) or marks.written(base, index, value, site))
        if after is not base:
            base = after
            self.rebind(target.value, base)
        kept = self.tables.stored(base, target, self.columns.replaced(target, indices), value)
        if kept is not base:
            base = kept
            self._table_changed(target.value, base)
        since = loop_started(self.machine.frames)
        if since is not None and picks_one(index, target):
            value = value.gathered(since)
        value = scaling.noted_mask(base, items, value, self.machine.new_ref(site, Made.ITEM))
        fits = frozenset() if isinstance(index.constant, str) and says_label(index.constant) else value.fits
        self._fill(target, base, indices, replace(value, data=Data(fits=fits)))

    def _fill(self, target: cst.Subscript, base: Value, indices: list[Value], value: Value) -> None:
        """A table, or columns of it, gets content that was made by fits."""
        old = derived_data(base)
        if not value.fits and (old is None or not old.columns):
            return
        names = self.columns.replaced(target, indices)
        if names is not None and old is not None:
            data = old.with_column_set(names, value.fits)
        else:
            data = join_data(old, Data(rows=base.rows, role=base.role, fits=value.fits)) or Data()
        if data != old:
            self._table_changed(target.value, replace(base, data=data, trail=value.trail if value.fits else base.trail))

    def _table_changed(self, node: cst.BaseExpression, value: Value) -> None:
        """A table got other columns: so has what its name stands for, as after `d = self.df`."""
        frame = self.machine.frame
        self.rebind(node, value)
        if not isinstance(node, cst.Name) or value.origin is None:
            return
        scope = frame.function.node if frame.function is not None else frame.part.tree
        made = frame.part.names_in(scope).made.get(node.value, [])
        if len(made) == 1 and isinstance(made[0], cst.Name | cst.Attribute):
            other = self.machine.now(made[0])
            if other.origin == value.origin and other.thing == value.thing:
                self.rebind(made[0], value)

    def rebind(self, node: cst.BaseExpression, value: Value) -> None:
        """A value was changed in place: the name or attribute that holds it now holds what it became."""
        if isinstance(node, cst.Subscript):
            self._rewrite(node, value)
        elif isinstance(node, cst.Name):
            self.names.bind(node.value, value)
        elif isinstance(node, cst.Attribute):
            holder = self.machine.evaluate(node.value)
            if isinstance(holder.thing, Object) and node.attr.value not in ("loc", "iloc", "values"):
                self.machine.state.set(holder.thing.ref, node.attr.value, value)
            elif node.attr.value in ("loc", "iloc", "values"):
                self.rebind(node.value, replace(holder, data=value.data, trail=value.trail))

    def _rewrite(self, node: cst.Subscript, value: Value) -> None:
        """Part of a tensor was changed in place: `scores[:, 0].sigmoid_()`."""
        base = self.machine.now(node.value)
        written = carried.written(base, value)
        if written is not None:
            self.rebind(node.value, _with(base, written, value))

    def delete(self, node: cst.Del) -> None:
        """Unbind targets."""
        targets = [element.value for element in node.target.elements] if isinstance(node.target, cst.Tuple) else [node.target]
        for target in targets:
            if isinstance(target, cst.Name):
                self.machine.state.drop(self.machine.frame.ref, target.value)
            elif isinstance(target, cst.Subscript):
                self._delete_item(target)
            elif isinstance(target, cst.Attribute):
                for base in self.choices.now(target.value):
                    if isinstance(base.thing, Object):
                        self.machine.built(base.thing.ref)
                        self.machine.state.drop(base.thing.ref, target.attr.value)

    def _delete_item(self, target: cst.Subscript) -> None:
        machine = self.machine
        base = machine.now(target.value)
        self.contents.some_changed(base)
        note_emptied(machine, base, machine.site(target))
        plain = target.slice[0].slice if len(target.slice) == 1 else None
        index = machine.now(plain.value) if isinstance(plain, cst.Index) else UNKNOWN
        self.tables.deleted(base, index)
        if base.data is not None and base.data.columns:
            names = self.columns.named(index)
            self.rebind(target.value, replace(base, data=base.data.without_columns(names or frozenset())))
        held = machine.state.get(base.thing.ref, Slot.ITEMS) if isinstance(base.thing, Object) else None
        if held is None or not isinstance(base.thing, Object):
            return
        if isinstance(held.thing, Entries):
            rest = tuple((key, value) for key, value in held.thing.items if key != index.constant)
            left = replace(held.thing, items=rest) if isinstance(index.thing, Constant) else Entries((), exact=False)
            machine.state.set(base.thing.ref, Slot.ITEMS, Value(left))
        elif isinstance(held.thing, Items):
            machine.state.set(base.thing.ref, Slot.ITEMS, Value(_without(held.thing, index.constant)))


def _with(base: Value, written: carried.Left, value: Value) -> Value:
    """A tensor after some of its values were replaced."""
    thing = Unknown() if is_blank(base) else base.thing
    trail = base.trail if base.meaning is not None else value.trail if written.meaning is not None else None
    return replace(base, thing=thing, meaning=written.meaning, axes=written.axes, scaled=written.scaled, marked=None, trail=trail)


def _without(items: Items, position: object) -> Items:
    if isinstance(position, int) and items.exact and -len(items.tail) <= position < len(items.tail):
        position %= len(items.tail)
        return replace(items, tail=items.tail[:position] + items.tail[position + 1 :])
    return Items(items.cls, (), joined(items.all))


def _with_element(items: Items, index: Value, value: Value) -> Items:
    """The content of a sequence after `items[index] = value`."""
    at = index.constant
    if items.exact and isinstance(at, int) and -len(items.tail) <= at < len(items.tail):
        tail = list(items.tail)
        tail[at] = value
        return replace(items, tail=tuple(tail))
    return Items(items.cls, (), joined([*items.all, value]))


def _with_item(mapping: Entries, index: Value, value: Value) -> Entries:
    if not isinstance(index.thing, Constant):
        return replace(mapping, exact=False, items=tuple((key, join(held, value)) for key, held in mapping.items))
    return mapping.with_item(index.constant, value)
