"""What becomes of held-out data: it is scored, run through a model, or handed to others who will do that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mldbg.lint.interpret.address import Site, module_ref
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.augmenting import Augmenting
from mldbg.lint.interpret.choosing import Choosing
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Evaluated
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import UNKNOWN, FitKind, Lazy, Object, Role, Value
from mldbg.lint.interpret.watching import Watching
from mldbg.operations import sklearn
from mldbg.operations.effect import Writes

_LOOKS_ON = re.compile(
    r"plot|show|draw|print|log|describe|report|hist|display|len|visuali[sz]e|inspect|check|assert|fig|image|scatter|contour|"
    r"pcolor|heatmap|legend|annotate|errorbar|violin|(^|_)(bar|barh|box|text|set|stem|fill)(_|$)",
    re.IGNORECASE,
)

DEEPEST_HELD = 3
"""Lists in tuples in dicts that are looked into for held-out data."""


class Evaluations:
    """Tells the rules where held-out data is used."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents
        self.choosing = Choosing(machine, contents)
        self.watching = Watching(machine, contents, self.choosing)
        self.augmenting = Augmenting(machine, contents)

    def used(self, value: Value, how: str, site: Site, estimator: Value = UNKNOWN, *, scored: bool = False) -> None:
        """Data goes into a prediction, a score or a model: an evaluation, if it is held out."""
        for one in self._held(value):
            if one.role is not None and one.role.held_out:
                self.evaluated(one, f"the {one.role.value} set {how}", site, one.role, estimator, scored=scored)

    def evaluated(self, value: Value, how: str, site: Site, role: Role, estimator: Value, *, scored: bool = True) -> None:
        """Data is used as this part of it."""
        machine = self.machine
        value = self._searched(value, site)
        thing = estimator.thing
        trained = machine.state.get(thing.ref, Slot.TRAINED) if isinstance(thing, Object) else None
        machine.facts.append(
            Evaluated(
                machine.place(site),
                how,
                value,
                role,
                trained.fits if trained is not None else estimator.fits,  # unknown code made it from what it was given
                estimator,
                scored or (value.data is not None and value.data.split is not None),
            )
        )

    def _searched(self, value: Value, site: Site) -> Value:
        """What is evaluated inside a fit that splits its rows itself: a search, before which scaling all rows is contested."""
        data = value.data
        if data is None or not data.fits:
            return value
        part = (data.split or site).part
        functions = (frame.function for frame in self.machine.frames if frame.function is not None)
        if not any(one.name == "fit" and one.owner is not None and one.part is part for one in functions):
            return value
        serious = frozenset(fit for fit in data.fits if fit.kind in (FitKind.SELECTION, FitKind.RESAMPLING))
        return replace(value, data=replace(data.without_names(), fits=serious))

    def _held(self, value: Value, depth: int = 0) -> Iterator[Value]:
        """The values in tuples, lists and dicts, or the value itself."""
        if isinstance(value.thing, Lazy):
            return
        items = self.contents.items_of(value)
        mapping = self.contents.mapping_of(value) if items is None else None
        if items is None and mapping is None:
            yield value
        elif depth < DEEPEST_HELD:
            for one in items.tail if items is not None else (held for _, held in mapping.items) if mapping is not None else ():
                yield from self._held(one, depth + 1)

    # ---------------------------------------------------------------------------------------------------------- inside a fit
    def validated(self, features: Value, arguments: Sequence[Argument], site: Site, estimator: Value) -> None:
        """A fit evaluates on what some of its arguments hold: `validation_data=`, `eval_set=`, `validation_split=`."""
        for argument in arguments:
            if argument.keyword in sklearn.VALIDATION_KEYWORDS:
                self.used(argument.value, f"is given as `{argument.keyword}`", site, estimator)
            elif argument.keyword == "validation_split" and not argument.value.is_none and argument.value.constant != 0:
                for one in self._held(features):
                    if one.role is None and one.fits:
                        self.evaluated(one, "partly held out by `validation_split`", site, Role.VALIDATION, estimator)

    # ------------------------------------------------------------------------------------------------------------ handed on
    def handed_on(self, value: Value, site: Site, how: str = "is returned") -> None:
        """A function of which no caller is known gives held-out data away: somebody will evaluate on it."""
        functions = [frame for frame in self.machine.frames if frame.function is not None]
        if len(functions) == 1 and functions[0].assumed:
            self.used(value, how, site)

    def kept(self, value: Value, name: str, site: Site) -> None:
        """A method keeps a part of split data in its object, whose users will evaluate on it."""
        if value.data is not None and value.data.split is not None and value.fits:
            self.handed_on(value, site, f"is kept as `{name}`")

    def passed_on(self, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """Unknown code gets held-out data, and does not look as if it only looked at it."""
        if not _LOOKS_ON.search(name):
            for argument in arguments:
                self.used(argument.value, f"is passed to `{name}`" if name else "is passed on", site)

    def written(self, effect: Writes, arguments: Sequence[Argument], site: Site) -> None:
        """A function writes values to a file, from which others will read them."""
        for position, argument in enumerate(arguments):
            beyond = position < effect.first or (effect.last is not None and position > effect.last)
            if argument.keyword is not None or not beyond:
                self.used(argument.value, "is written to a file", site)

    def left_behind(self, module: Module) -> None:
        """A script ends with a part of split data that it never reads: it is there for whoever imports it or goes on."""
        for name, value in list(self.machine.state.record(module_ref(module)).items()):
            unread = isinstance(name, str) and value.fits and module.uses[name] == 1
            if unread and value.data is not None and value.data.split is not None:
                self.used(value, f"is left for others as `{name}`", value.data.split)
