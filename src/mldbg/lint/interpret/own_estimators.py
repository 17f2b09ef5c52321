"""Estimators that the project wrote itself: classes with fit and transform, whose methods are executed like any others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.estimators import Estimators, rows_given
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import ClassThing, Data, Fit, FitKind, Function, Means, Object, Value

_METHODS = frozenset({"fit", "transform", "fit_transform", "partial_fit"})
_OF_MODELS = ("predict", "forward", "score", "predict_proba")


class OwnEstimators:
    """Follows fit and transform of the project's own scalers, imputers and decompositions."""

    def __init__(self, machine: Machine, classes: Classes, estimators: Estimators) -> None:
        self.machine = machine
        self.classes = classes
        self.estimators = estimators
        self._under_way: set[Ref] = set()

    def called(
        self, base: Value, thing: Object, name: str, arguments: Sequence[Argument], site: Site, run: Callable[[], Value]
    ) -> Value:
        """The result of a method that `run` executes."""
        given = rows_given(arguments) if name in _METHODS else None
        if given is None or thing.ref in self._under_way or not self._prepares_data(thing):
            return run()
        features = given.value
        self._under_way.add(thing.ref)
        try:
            result = run()
        finally:
            self._under_way.discard(thing.ref)
        if name != "transform" and self._has_learned(thing, features):
            self.estimators.learn(base, thing, name, features, site, FitKind.TRANSFORM)
        return result if name == "fit" else self._with_fits(result, features, thing)

    def _prepares_data(self, thing: Object) -> bool:
        """Whether a class of the project fits and transforms, and does not predict."""
        cls = thing.cls
        if not isinstance(cls, ClassThing) or self.classes.is_module(cls):
            return False
        has = [
            isinstance(found.thing, Function)
            for name in ("fit", "transform")
            if (found := self.classes.class_attribute(cls, name))
        ]
        return has == [True, True] and not any(self.classes.class_attribute(cls, name) for name in _OF_MODELS)

    def _has_learned(self, thing: Object, features: Value) -> bool:
        """Whether fitting has left something in the object that was computed from the rows, by no other estimator."""
        held = [value for key, value in self.machine.state.record(thing.ref).items() if isinstance(key, str)]
        if any(isinstance(one.thing, Object) and self.machine.state.get(one.thing.ref, Slot.FITS) is not None for one in held):
            return False
        return any(one.data is not None and one != features and not one.data.rows.isdisjoint(features.rows) for one in held)

    def _with_fits(self, result: Value, features: Value, thing: Object) -> Value:
        """What a transform gives, with the fit of the object in the place of the arithmetic inside."""
        learned = self.estimators.fits_of(thing)
        data = result.data
        if data is None or not learned:
            return result
        before = features.fits
        kept = frozenset(fit for fit in data.fits if fit in before or fit.means is not Means.ARITHMETIC)
        trail = (features.trail if before else None) or _first(learned).trail
        whole = derived_data(features) or Data()
        return replace(result, data=replace(data, rows=whole.rows | data.rows, fits=kept | learned), trail=trail)


def _first(fits: frozenset[Fit]) -> Fit:
    return min(fits, key=lambda fit: (fit.site.part.module.path, fit.site.span))
