"""From which data a result was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.join import join_data, mix_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import Data, Lazy, Object, Opaque, Unknown, Value

MOST_ROWS = 8
"""More sources than this in one value say nothing any more."""


class Lineage:
    """Gives results of which little more is known than what they were made from."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents

    def unknown_result(self, site: Site, data: Data | None = None, trail: Value | None = None) -> Value:
        """Something of which only its place of birth is known, and perhaps the data it was made from."""
        kept = trail.trail if trail is not None and data is not None and data.fits else None
        return Value(data=data, origin=self.machine.new_ref(site), trail=kept)

    def derived(self, values: Sequence[Value], site: Site) -> Value:
        """Something made from the data of several values."""
        data: Data | None = None
        carrier: Value | None = None
        for value in values:
            items = self.contents.items_of(value) if not isinstance(value.thing, Lazy) else None
            every = items.all if items is not None else (value,)
            for one in every:
                data = mix_data(data, derived_data(one))
                if one.fits and carrier is None:
                    carrier = one
        if data is not None and len(data.rows) > MOST_ROWS:
            data = None
        return self.unknown_result(site, data, carrier)


def derived_data(value: Value) -> Data | None:
    """The lineage of something made from a value."""
    rows = value.rows
    if value.data is not None:
        return value.data if value.data.rows else replace(value.data, rows=rows)
    return Data(rows=rows) if rows and isinstance(value.thing, Unknown | Opaque | Object) else None


def made_of_element(value: Value, element: Value) -> Value:
    """What is made of each element of some data: where nothing says of which, of that element's."""
    told = value.data is not None and (value.data.rows or value.data.fits)
    if told or value.meaning is not None or not isinstance(value.thing, Unknown) or element.data is None:
        return value
    return replace(value, data=derived_data(element), trail=element.trail if element.fits else value.trail)


def data_of_arguments(arguments: Sequence[Argument]) -> Data | None:
    """The lineage of an object that is built from data."""
    data: Data | None = None
    for argument in arguments:
        if argument.value.role is not None or argument.value.fits:
            data = join_data(data, argument.value.data)
    return data.without_names() if data is not None else None
