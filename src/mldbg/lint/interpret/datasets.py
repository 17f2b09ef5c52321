"""Datasets of the project: classes whose objects hold rows and give them out one by one."""

from __future__ import annotations

from dataclasses import replace

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.frames import is_dataset
from mldbg.lint.interpret.join import join_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import ClassThing, Data, Entries, Function, Items, Object, Value
from mldbg.lint.library.names import says_label


def held_fits(machine: Machine, value: Value) -> Value | None:
    """The rows in a dataset's attributes, where something was learned from them; labels do not count."""
    thing = value.thing
    if not isinstance(thing, Object) or not is_dataset(thing):
        return None
    data: Data | None = None
    trail = None
    for name, held in machine.state.record(thing.ref).items():
        if isinstance(name, str) and held.fits and not says_label(name):
            data = join_data(data, held.data)
            trail = trail or held.trail
    if data is None:
        return None
    return Value(data=replace(data.without_names(), role=value.role or data.role), origin=value.origin, trail=trail)


def row_of(machine: Machine, classes: Classes, value: Value, site: Site) -> Value | None:
    """What a dataset gives for one index: of all that is known of it only from which data it was made.

    A loader puts several of them into one batch, so that neither axes nor constants are those of one.
    """
    thing = value.thing
    if held_fits(machine, value) is None or not isinstance(thing, Object) or not isinstance(thing.cls, ClassThing):
        return None
    method = classes.class_attribute(thing.cls, "__getitem__")
    if method is None or not isinstance(method.thing, Function):
        return None
    index = Value(origin=machine.new_ref(site, Made.ELEMENT, "index"))
    made = machine.call_function(method.thing, [Argument(value), Argument(index)], site)
    made = machine.force(made)
    if isinstance(made.thing, Items):  # inputs with labels: the dataset is one part of a split
        pair = enumerate(made.thing.tail)
        return Value(
            Items(made.thing.cls, tuple(_only_lineage(machine, one, value, thing.ref.site, site, at) for at, one in pair))
        )
    if isinstance(made.thing, Entries):
        named = made.thing.items
        return Value(Entries(tuple((key, _only_lineage(machine, one, value, thing.ref.site, site, key)) for key, one in named)))
    return _only_lineage(machine, made, value, None, site, None)


def _only_lineage(machine: Machine, made: Value, dataset: Value, split: Site | None, site: Site, place: object) -> Value:
    data = made.data
    if data is not None:
        data = replace(data, role=made.role or dataset.role, split=data.split or split, one_row=True)
    return Value(data=data, origin=machine.new_ref(site, Made.ELEMENT, (place,)), trail=made.trail if made.fits else None)
