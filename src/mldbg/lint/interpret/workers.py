"""What the workers of a data loader do: they make rows, put them together, and run what they are started with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site, site_of
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.facts import Heard, LoaderBuilt, Place
from mldbg.lint.interpret.loading import described_one, transforms_of
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.tree import descendants
from mldbg.lint.interpret.value import UNKNOWN, Bound, ClassThing, Function, Items, Object, Partial, Value, literal
from mldbg.operations.loading import ITERABLE

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
        place, kept, iterates = machine.place(site), self._kept(dataset), self._iterates(dataset)
        holds = self._holds_rows(dataset)
        machine.facts.append(LoaderBuilt(place, loader, dataset, workers, rows, started, kept, iterates, holds))

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

    # --- the dataset ---

    def _method(self, dataset: Value, name: str) -> Function | None:
        cls = dataset.thing.cls if isinstance(dataset.thing, Object) else None
        found = self._classes.class_attribute(cls, name) if isinstance(cls, ClassThing) else None
        return found.thing if found is not None and isinstance(found.thing, Function) else None

    def _iterates(self, dataset: Value) -> Site | None:
        """The `__iter__` of an IterableDataset of the project."""
        cls = dataset.thing.cls if isinstance(dataset.thing, Object) else None
        method = self._method(dataset, "__iter__")
        if method is None or not isinstance(cls, ClassThing) or ITERABLE not in self._classes.ancestors(cls):
            return None
        return site_of(method.part, method.node)

    def _holds_rows(self, dataset: Value) -> bool:
        """Whether an attribute of a dataset is a sequence of which something is known."""
        if not isinstance(dataset.thing, Object):
            return False
        record = self._machine.state.record(dataset.thing.ref)
        values = [value.thing for name, value in record.items() if isinstance(name, str)]
        return any(isinstance(thing, Items) or (isinstance(thing, Object) and thing.cls == "builtins.list") for thing in values)

    def _kept(self, dataset: Value) -> tuple[Heard, ...]:
        """The methods by which `__init__` makes what it keeps for rows, up to where that is back on the CPU."""
        init, row = self._method(dataset, "__init__"), self._method(dataset, "__getitem__")
        if init is None or row is None:
            return ()
        found = []
        needed = {each.attr.value for each in descendants(row.node) if isinstance(each, cst.Attribute)}
        for node in descendants(init.node):
            target = node.targets[0].target if isinstance(node, cst.Assign) else None
            if isinstance(node, cst.Assign) and isinstance(target, cst.Attribute) and target.attr.value in needed:
                found += [self._as_heard(init, call, dataset) for call in _chained(node.value)]
        return tuple(found)

    def _as_heard(self, init: Function, call: cst.Call, dataset: Value) -> Heard:
        assert isinstance(call.func, cst.Attribute)
        given = tuple((arg.keyword.value if arg.keyword else None, self._default(init, arg.value, dataset)) for arg in call.args)
        place = Place(site_of(init.part, call), (init.name,), init.node)
        return Heard(place, f".{call.func.attr.value}", None, given)

    @staticmethod
    def _default(init: Function, node: cst.BaseExpression, dataset: Value) -> Value:
        """What a parameter of `__init__` is that the dataset was built without; unknown of anything else."""
        ref = dataset.thing.ref if isinstance(dataset.thing, Object) else None
        built = ref.site.node if ref is not None and ref.site is not None else None
        params = init.node.params.params
        names = [param.name.value for param in params]
        if not isinstance(node, cst.Name) or node.value not in names or not isinstance(built, cst.Call):
            return UNKNOWN
        place = names.index(node.value)
        by_position = sum(arg.keyword is None for arg in built.args) + 1 > place
        by_name = any(arg.star or (arg.keyword is not None and arg.keyword.value == node.value) for arg in built.args)
        default = params[place].default
        text = default.evaluated_value if isinstance(default, cst.SimpleString) else None
        return literal(text) if isinstance(text, str) and not by_position and not by_name else UNKNOWN

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
        for transform in list(transforms_of(self._machine, dataset.thing))[:MOST_CALLABLES]:
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


_BACK = frozenset({"cpu", "numpy", "tolist", "item"})


def _chained(node: cst.BaseExpression) -> Iterator[cst.Call]:
    """The method calls that an expression ends with, last first: `net.to(device).eval()`."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value not in _BACK:
        yield node
        node = node.func.value
