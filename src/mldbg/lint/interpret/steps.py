"""Parameters of estimators inside others, by the names that grids and `set_params` give them: `clf__estimator__C`."""

from __future__ import annotations

import re
from collections.abc import Sequence

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import UnknownParameter
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf
from mldbg.lint.interpret.value import UNKNOWN, Object, Value
from mldbg.operations.estimator_parameters import parameters_of
from mldbg.operations.sklearn import PIPELINES, SEARCHES

_CHANGES_STEPS = re.compile(r"\.steps\b|\.named_steps\b\s*\[[^\]]*\]\s*=|\.transformers\b|\.insert\(")
"""What stands in a text that changes the steps of a pipeline after it was built."""

_GRIDS = ("param_grid", "param_distributions", "1")
_LISTS = {
    "sklearn.pipeline.FeatureUnion": "transformer_list",
    "sklearn.compose.ColumnTransformer": "transformers",
    "sklearn.ensemble.VotingClassifier": "estimators",
    "sklearn.ensemble.VotingRegressor": "estimators",
    "sklearn.ensemble.StackingClassifier": "estimators",
    "sklearn.ensemble.StackingRegressor": "estimators",
}
"""Composites beside pipelines, and the parameter that takes pairs of a name and an estimator."""

DEEPEST_PARAMETER = 6


class Steps:
    """Tells the rules of parameters that no estimator has."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents

    def built(self, name: str, value: Value, site: Site) -> None:
        """A search is built for an estimator and a grid."""
        if name not in SEARCHES or not isinstance(value.thing, Object):
            return
        given = self._given(value.thing)
        estimator = given.get("estimator", given.get("0", UNKNOWN))
        grid = next((given[key] for key in _GRIDS if key in given), UNKNOWN)
        items = self.contents.items_of(grid)
        for one in items.tail if items is not None else (grid,):
            mapping = self.contents.mapping_of(one)
            keys = [key for key, _ in mapping.items if isinstance(key, str)] if mapping is not None else []
            self._check(estimator, keys, site)

    def set(self, base: Value, arguments: Sequence[Argument], site: Site) -> None:
        """`pipeline.set_params(clf__C=1)`"""
        self._check(base, [argument.keyword for argument in arguments if argument.keyword is not None], site)

    def _check(self, estimator: Value, keys: Sequence[str], site: Site) -> None:
        if self.machine.supposed or self.machine.conditions:
            return  # one of several, or under a test: the program may have asked which
        replaced = {key for key in keys if "__" not in key}
        for key in keys:
            if any(key.startswith(f"{step}__") for step in replaced):
                continue  # the grid puts another estimator there
            known = self._unknown(estimator, key, 0)
            if known is not None:
                machine = self.machine
                machine.facts.append(UnknownParameter(machine.place(site), key, *known))

    def _unknown(self, estimator: Value, key: str, depth: int) -> tuple[str, str, frozenset[str]] | None:
        """The part of a key that nothing is called, of what it ought to be a part, and what that has; None where all is well."""
        thing = estimator.thing
        if estimator.among is not None or estimator.or_none or not isinstance(thing, Object) or depth > DEEPEST_PARAMETER:
            return None
        cls = thing.cls
        if not isinstance(cls, str):
            return None
        first, nested, rest = key.partition("__")
        inside = self._steps(thing, cls)
        own = parameters_of("sklearn.pipeline.Pipeline" if cls in PIPELINES else cls)
        title = cls.rpartition(".")[2] if not cls.endswith("make_pipeline") else "Pipeline"
        if inside is not None and first in inside:
            step = inside[first]
            return self._unknown(step, rest, depth + 1) if nested else None
        if own is None or (_is_composite(cls) and inside is None):
            return None
        if first not in own:
            return first, title, frozenset(inside or ()) | (own if inside is None else frozenset())
        return self._unknown(self._given(thing).get(first, UNKNOWN), rest, depth + 1) if nested else None

    def _steps(self, thing: Object, cls: str) -> dict[str, Value] | None:
        """The steps of a composite by name; None where it has none, or they are not all known."""
        if not _is_composite(cls) or _CHANGES_STEPS.search(self.machine.frame.module.text):
            return None
        given = self._given(thing)
        if cls.endswith("make_pipeline"):
            return self._named_by_class(thing, given)
        listed = self.contents.items_of(given.get(_LISTS.get(cls, "steps"), given.get("0", UNKNOWN)))
        if listed is None or not listed.exact:
            return None
        found: dict[str, Value] = {}
        for entry in listed.tail:
            pair = self.contents.items_of(entry)
            name = pair.tail[0].constant if pair is not None and len(pair.tail) >= 2 else None
            if pair is None or not isinstance(name, str):
                return None
            found[name] = pair.tail[1]
        return found

    @staticmethod
    def _named_by_class(thing: Object, given: dict[str, Value]) -> dict[str, Value] | None:
        """make_pipeline calls its steps as their classes, in lower case; of several of one class each gets a number."""
        site = thing.ref.site
        if site is None or not isinstance(site.node, cst.Call) or any(arg.star for arg in site.node.args):
            return None
        steps = [given[str(number)] for number in range(len(given)) if str(number) in given]
        names: list[str] = []
        for step in steps:
            cls = step.thing.cls if isinstance(step.thing, Object) else None
            if cls is None or step.among is not None:
                return None
            names.append((cls.rpartition(".")[2] if isinstance(cls, str) else cls.name).lower())
        if any(name.startswith("make_") for name in names):
            return None
        numbered = [
            f"{name}-{names[: place + 1].count(name)}" if names.count(name) > 1 else name for place, name in enumerate(names)
        ]
        return dict(zip(numbered, steps, strict=True))

    def _given(self, thing: Object) -> dict[str, Value]:
        record = self.machine.state.record(thing.ref)
        return {key.name: value for key, value in record.items() if isinstance(key, ArgumentOf)}


def _is_composite(cls: str) -> bool:
    return cls in PIPELINES or cls in _LISTS
