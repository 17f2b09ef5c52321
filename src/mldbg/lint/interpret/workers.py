"""What the workers of a data loader do: they make rows, put them together, and run what they are started with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.facts import Heard, LoaderBuilt
from mldbg.lint.interpret.loading import described_one
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf, Slot
from mldbg.lint.interpret.value import UNKNOWN, Bound, ClassThing, Function, Items, Object, Partial, Value
from mldbg.operations.loading import CHAINS

_MAKES_ROWS = ("__getitem__", "__iter__", "__getitems__")

MOST_CALLABLES = 12
"""Attributes of a dataset, and members of a chain of transforms, that are called."""


class Workers:
    """Executes what the workers of a loader execute, and listens to which libraries it calls.

    Args:
        machine: the machine.
        classes: the classes of the project.
    """

    def __init__(self, machine: Machine, classes: Classes) -> None:
        self._machine = machine
        self._classes = classes
        self._heard: list[Heard] | None = None

    def hear(self, name: str, receiver: Value | None, arguments: Sequence[Argument], site: Site) -> None:
        """A library is called."""
        if self._heard is not None:
            given = tuple((argument.keyword, argument.value) for argument in arguments if not argument.star)
            self._heard.append(Heard(self._machine.place(site), name, receiver, given))

    def built(self, ref: Ref, site: Site) -> None:
        """Tell that a loader was built."""
        machine = self._machine
        if self._heard is not None or machine.budget.silent:
            return
        loader = described_one(machine, ref)
        dataset = self._whole(loader.arguments.get("dataset", UNKNOWN))
        workers = self._has_workers(loader.arguments.get("num_workers"))
        rows: tuple[Heard, ...] = ()
        started: tuple[Heard, ...] = ()
        if workers and isinstance(dataset.thing, Object):
            rows = self._listen(lambda: self._make_rows(dataset, loader.arguments.get("collate_fn"), site))
            start = loader.arguments.get("worker_init_fn", UNKNOWN)
            started = self._listen(lambda: self._call(start, site))
        machine.facts.append(LoaderBuilt(machine.place(site), loader, dataset, workers, rows, started))

    def _has_workers(self, number: Value | None) -> bool | None:
        if number is None:
            return False
        constant = number.constant
        if constant is None:
            ref = number.thing.ref if isinstance(number.thing, Object) else number.origin
            usual = self._machine.usual.get(ref) if ref is not None else None
            constant = usual.value if usual is not None else None
        return constant > 0 if isinstance(constant, int) else None

    def _whole(self, dataset: Value) -> Value:
        """The dataset of the project of which a loader loads the rows, or some of them: `random_split(dataset, ...)`."""
        if isinstance(dataset.thing, Object):
            return dataset
        wanted = dataset.rows
        for frame in reversed(self._machine.frames):
            for value in self._machine.state.record(frame.ref).values():
                if isinstance(value.thing, Object) and value.thing.ref in wanted and isinstance(value.thing.cls, ClassThing):
                    return value
        return dataset

    # --- listening ---

    def _listen(self, act: Callable[[], object]) -> tuple[Heard, ...]:
        """The calls that something makes; nothing of it is left behind."""
        machine = self._machine
        heard: list[Heard] = []
        self._heard = heard
        try:
            with machine.elsewhere(machine.state.fork(), machine.frames):
                act()
        finally:
            self._heard = None
        return tuple(heard)

    def _make_rows(self, dataset: Value, collate: Value | None, site: Site) -> None:
        assert isinstance(dataset.thing, Object)
        cls = dataset.thing.cls
        for name in _MAKES_ROWS:
            method = self._classes.class_attribute(cls, name) if isinstance(cls, ClassThing) else None
            if method is not None and isinstance(method.thing, Function):
                index = [] if name == "__iter__" else [Argument(Value(origin=self._machine.new_ref(site, Made.ELEMENT, "index")))]
                self._machine.force(self._machine.call_function(method.thing, [Argument(dataset), *index], site))
        for transform in list(self._transforms(dataset.thing))[:MOST_CALLABLES]:
            self._call(transform, site)
        if collate is not None:
            self._call(collate, site)

    def _call(self, callee: Value, site: Site) -> None:
        """Call something of the project with one argument of which nothing is known."""
        for each in members(callee):
            if isinstance(each.thing, Function | Bound | Partial) or self._is_of_project(each):
                self._machine.force(self._machine.call(each, [Argument(UNKNOWN)], site))

    @staticmethod
    def _is_of_project(value: Value) -> bool:
        return isinstance(value.thing, Object) and isinstance(value.thing.cls, ClassThing)

    def _transforms(self, thing: Object) -> Iterator[Value]:
        """What a library's dataset, or a chain of transforms in any dataset, applies to a row."""
        of_library = isinstance(thing.cls, str)
        self._machine.built(thing.ref)
        for name, value in self._machine.state.record(thing.ref).items():
            for each in members(value):
                if isinstance(each.thing, Object) and each.thing.cls in CHAINS:
                    yield from self._members(each.thing.ref)
                elif of_library and isinstance(name, ArgumentOf) and "transform" in name.name:
                    yield each

    def _members(self, chain: Ref) -> Iterator[Value]:
        for value in self._machine.state.record(chain).values():
            held = value.thing
            if isinstance(held, Object):
                inside = self._machine.state.get(held.ref, Slot.ITEMS)
                held = inside.thing if inside is not None else held
            if isinstance(held, Items):
                yield from held.all
