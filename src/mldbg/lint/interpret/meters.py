"""Metrics that are objects: when they are built, updated, computed and reset."""

from __future__ import annotations

from collections.abc import Sequence

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import MeterUse
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import ClassThing, Lazy, Object, Value
from mldbg.operations.meters import KEEPS_OBJECT, METHODS, Use, is_meter


class Meters:
    """Tells the rules what becomes of metrics that gather."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self._known = False
        """Whether there is any."""

    def built(self, name: str, value: Value, site: Site) -> None:
        """An object of a class outside the project is built."""
        if is_meter(name) and isinstance(value.thing, Object):
            self._known = True
            self._tell(Use.MADE, value.thing.ref, site)

    def method(self, base: Value, name: str, site: Site) -> Value | None:
        """A method is called; its result where that is the metric itself."""
        use = METHODS.get(name)
        if not self._known or (use is None and name not in KEEPS_OBJECT):
            return None
        ref = self._ref(base)
        if use is not None and (ref is not None or (use is Use.RESET and not _is_of_another_class(base))):
            self._tell(use, ref, site)
        return base if ref is not None and use is None else None

    def called(self, thing: Object, site: Site) -> None:
        """`metric(preds, target)` takes in a batch, and gives its value for this batch."""
        if self._known and isinstance(thing.cls, str) and is_meter(thing.cls):
            self._tell(Use.UPDATED, thing.ref, site)

    def given_away(self, arguments: Sequence[Argument], site: Site) -> None:
        """Unknown code gets values, and may reset those that are metrics, or hold such."""
        for argument in arguments if self._known else ():
            for value in self._held(argument.value):
                ref = self._ref(value)
                if ref is not None:
                    self._tell(Use.GIVEN_AWAY, ref, site)

    def _held(self, value: Value) -> Sequence[Value]:
        if isinstance(value.thing, Lazy):
            return ()
        items = self.contents.items_of(value)
        mapping = self.contents.mapping_of(value) if items is None else None
        return items.all if items is not None else [held for _, held in mapping.items] if mapping is not None else [value]

    def _ref(self, value: Value) -> Ref | None:
        thing = value.thing
        cls = self.classes.outside_base(thing.cls) if isinstance(thing, Object) else None
        return thing.ref if isinstance(thing, Object) and cls is not None and is_meter(cls) else None

    def _tell(self, use: Use, ref: Ref | None, site: Site) -> None:
        self.machine.facts.append(MeterUse(self.machine.place(site), use, ref))


def _is_of_another_class(base: Value) -> bool:
    """Whether something is known to be no metric, nor to hold one."""
    return isinstance(base.thing, Object) and isinstance(base.thing.cls, ClassThing | str)
