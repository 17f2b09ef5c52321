"""Pictures that are changed at random: which data sets give them out so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import RandomPart
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.provenance import of_file
from mldbg.lint.interpret.slots import argument_of
from mldbg.lint.interpret.value import Constant, Data, Known, Object, Role, Value
from mldbg.operations import augmenting
from mldbg.operations.spelling import canonical

DEEPEST = 4
"""Compositions inside one another that are looked into."""


class Augmenting:
    """Finds random transforms in data sets, and tells of held-out data that has some."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents

    def made(self, arguments: Sequence[Argument], site: Site, result: Value) -> None:
        """A data set was made of which it is known that it is held out."""
        data = result.data
        if data is None or data.role is None or not data.role.held_out or data.known not in (Known.LIBRARY, Known.FILE):
            return
        given = [each.value for each in arguments if each.keyword in augmenting.GIVEN_AS]
        given += [each.value for each in arguments[1:] if each.keyword is None]
        for transform in given:
            found = next(self.random_in(transform, 0), None)
            if found is not None:
                self._tell(data, found, site)
                return

    def flows(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """`generator.flow_from_directory("data/val")` of a Keras generator."""
        if name not in augmenting.KERAS_FLOWS or not isinstance(base.thing, Object) or not isinstance(base.thing.cls, str):
            return
        if not base.thing.cls.endswith(augmenting.KERAS_GENERATOR):
            return
        record = self.machine.state.record(base.thing.ref)
        settings = (record.get(argument_of(setting)) for setting in augmenting.KERAS_RANDOM)
        if not any(held is not None and isinstance(held.thing, Constant) and held.constant for held in settings):
            return
        subset = next((each.value.constant for each in arguments if each.keyword == "subset"), None)
        data = arguments[0].value.data if arguments and name == "flow" else None
        if subset == "validation":
            data = Data(role=Role.VALIDATION, known=Known.LIBRARY)
        elif name != "flow" and subset is None:
            data = Data(role=of_file(self.machine, arguments), known=Known.FILE)
        if data is not None and data.role is not None and data.role.held_out and data.known is not Known.NAME:
            self._tell(data, (base.thing.ref.site or site, augmenting.KERAS_GENERATOR), site)

    def behind(self, data: Data | None) -> tuple[Site, str, Site] | None:
        """The random transform of the data set that rows come from: where it is made, its name, and where the data set is."""
        rows = [*data.rows, *([data.itself] if data.itself is not None else [])] if data is not None else []
        for row in rows:
            if row.kind is not Made.OBJECT or row.site is None:
                continue
            record = self.machine.state.record(row)
            for name in augmenting.GIVEN_AS:
                held = record.get(argument_of(name)) or record.get(name)
                found = next(self.random_in(held, 0), None) if held is not None else None
                if found is not None:
                    return (*found, row.site)
        return None

    def random_in(self, value: Value, depth: int) -> Iterator[tuple[Site, str]]:
        """The transforms in a composition that change pictures at random: where each is made, and its name."""
        thing = value.thing
        items = self.contents.items_of(value)
        if items is not None and depth < DEEPEST:
            for one in items.all:
                yield from self.random_in(one, depth + 1)
            return
        if not isinstance(thing, Object) or not isinstance(thing.cls, str) or depth >= DEEPEST:
            return
        cls = canonical(thing.cls)
        record = self.machine.state.record(thing.ref)
        inner = augmenting.COMPOSITIONS.get(cls)
        if inner is not None:
            held = record.get(argument_of(inner)) or record.get(argument_of("0"))
            if held is not None:
                yield from self.random_in(held, depth + 1)
        elif augmenting.changes_at_random(cls) and thing.ref.site is not None:
            share = record.get(argument_of("p"))
            if share is None or share.constant not in (0, 0.0, 1, 1.0) or "Crop" in cls or "Rotat" in cls:
                yield thing.ref.site, cls.rpartition(".")[2]

    def _tell(self, data: Data, found: tuple[Site, str], site: Site) -> None:
        self.machine.facts.append(RandomPart(self.machine.place(site), Value(data=data), found[0], found[1]))
