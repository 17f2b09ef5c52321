"""What fits on data, splits it and evaluates on it: scikit-learn's conventions, followed by many libraries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Evaluated, Fitted
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.lineage import Lineage, derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf, Slot
from mldbg.lint.interpret.source_text import last_name
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Data,
    Fit,
    FitKind,
    Items,
    Lazy,
    Object,
    Role,
    Unknown,
    Value,
    first_step,
    onward,
)
from mldbg.lint.library.names import says_label
from mldbg.operations import sklearn
from mldbg.operations.effect import Resamples

_LOOKS_ON = re.compile(
    r"plot|show|draw|print|log|save|dump|write|export|describe|report|hist|display|len|visuali[sz]e|inspect|check|assert",
    re.IGNORECASE,
)
_FITTING = frozenset({"fit", "fit_transform", "fit_resample", "fit_sample", "partial_fit", "fit_predict"})
_FOLDS = re.compile(r"(^|_)(cv|kf|skf|gkf|kfold|folds?|splitter|tscv|rkf|sss)(_|$|[0-9])|fold$|split$", re.IGNORECASE)

MOST_INSIDE = 100
"""Values that are looked through for the estimators in a composite."""


class Estimators:
    """Fits, splits and evaluations in the interpreter's state."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents, lineage: Lineage) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self.lineage = lineage

    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
        """The result of an estimator's or splitter's method, or None when it is not one."""
        if not isinstance(base.thing, Object | Unknown) or (
            isinstance(base.thing, Object) and self.classes.is_module(base.thing.cls)
        ):
            return None
        features = _features(arguments)
        if name in _FITTING and features is not None and isinstance(base.thing, Object):
            return self._fit(base, base.thing, name, features, arguments, site)
        if (
            name in ("transform", "inverse_transform")
            and features is not None
            and isinstance(base.thing, Object)
            and base.thing.cls is not None
        ):
            return self._transformed(features, self._fits(base.thing), site)
        if name in sklearn.EVALUATING_METHODS and features is not None:
            self.used(features, f"is passed to `{name}`", site, base, scored=name in ("score", "evaluate"))
            return self.lineage.derived([features], site)
        if name in ("get_support", "get_feature_names_out") and isinstance(base.thing, Object):
            return self._about_fit(base.thing, site)
        if name == "split" and features is not None and self._is_splitter(base, site):
            return self._folds(features, site)
        return None

    # ------------------------------------------------------------------------------------------------------------------ fit
    def _fit(
        self, base: Value, estimator: Object, method: str, features: Value, arguments: Sequence[Argument], site: Site
    ) -> Value:
        machine = self.machine
        name = self._name(estimator)
        earlier = self._fits(estimator)
        kind = self._kind(estimator)
        before = tuple(sorted(earlier, key=lambda fit: fit.estimator))
        machine.facts.append(Fitted(machine.place(site), base, name, method, features, before, self._prepares(estimator, method)))
        seen = features.role.value + " data" if features.role is not None else "the data"
        trail = onward(features.trail if features.fits else None, site, f"{name or 'an estimator'} is fitted on {seen}")
        fit = Fit(
            kind or FitKind.TRANSFORM, name if kind is not None else "", site, features.rows, features.role, estimator.ref, trail
        )
        machine.state.set(estimator.ref, Slot.FITS, Value(data=Data(fits=frozenset({fit}))))
        machine.state.set(estimator.ref, Slot.TRAINED, Value(data=features.data))
        if self._is_search(estimator) and features.role is None and features.data is not None:
            # unsupervised scaling before a search is contested, and a rule of its own; selection and resampling are not
            serious = frozenset(fit for fit in features.fits if fit.kind is not FitKind.TRANSFORM)
            searched = replace(features, data=replace(features.data.without_names(), fits=serious))
            self._evaluated(searched, f"cross-validated by {name}", site, Role.VALIDATION, base)
        if method == "fit_transform":
            return self._transformed(features, frozenset({fit}), site)
        if method in ("fit_resample", "fit_sample"):
            labels = arguments[1].value if len(arguments) > 1 else UNKNOWN
            return tuple_of(self._transformed(features, frozenset({fit}), site), self.lineage.derived([labels], site))
        if method == "fit_predict":
            return self.lineage.derived([features], site)
        return base

    def _transformed(self, features: Value, fits: frozenset[Fit], site: Site) -> Value:
        known = frozenset(fit for fit in fits if fit.estimator)
        data = derived_data(features) or Data()
        data = replace(data.without_names(), fits=data.fits | known, condensed=False)
        trail = features.trail if features.fits else None
        for fit in sorted(known, key=lambda fit: fit.estimator):
            trail = fit.trail if trail is None else trail
        return Value(data=data, origin=self.machine.new_ref(site), trail=trail)

    def _about_fit(self, estimator: Object, site: Site) -> Value:
        """What a fitted selector says of the columns."""
        fits = frozenset(fit for fit in self._fits(estimator) if fit.kind is FitKind.SELECTION)
        trail = next((fit.trail for fit in sorted(fits, key=lambda fit: fit.estimator)), None)
        return Value(data=Data(fits=fits) if fits else None, origin=self.machine.new_ref(site), trail=trail)

    def _fits(self, estimator: Object) -> frozenset[Fit]:
        held = self.machine.state.get(estimator.ref, Slot.FITS)
        return held.fits if held is not None else frozenset()

    def _name(self, estimator: Object) -> str:
        cls = estimator.cls
        if isinstance(cls, ClassThing):
            return cls.name
        return cls.rpartition(".")[2] if cls is not None else ""

    def _kind(self, estimator: Object) -> FitKind | None:
        """What an estimator learns, as far as the tables know it."""
        cls = estimator.cls
        if not isinstance(cls, str):
            return None
        cls = sklearn.BUILDERS.get(cls, cls)
        if cls in sklearn.SELECTORS:
            return FitKind.SELECTION
        if cls in sklearn.RESAMPLERS:
            return FitKind.RESAMPLING
        if cls in ("sklearn.compose.ColumnTransformer", "sklearn.pipeline.FeatureUnion") or cls in sklearn.PIPELINES:
            kinds = self._kinds_inside(estimator)
            for kind in (FitKind.SELECTION, FitKind.TRANSFORM):
                if kind in kinds:
                    return kind
            return None
        return FitKind.TRANSFORM if cls in sklearn.TRANSFORMERS else None

    def _kinds_inside(self, estimator: Object) -> set[FitKind]:
        """The kinds of the estimators that were given to a composite's constructor, however deeply nested in lists and tuples."""
        found: set[FitKind] = set()
        todo = [value for key, value in self.machine.state.record(estimator.ref).items() if isinstance(key, ArgumentOf)]
        for _ in range(MOST_INSIDE):
            if not todo:
                break
            value = todo.pop()
            items = self.contents.items_of(value)
            if items is not None:
                todo += items.tail
            elif isinstance(value.thing, Object) and value.thing.ref != estimator.ref:
                kind = self._kind(value.thing)
                if kind is not None:
                    found.add(kind)
        return found

    def _prepares(self, estimator: Object, method: str) -> bool:
        """Whether an estimator prepares data: it is known to, or it transforms what it is fitted on."""
        return self._kind(estimator) is not None or (method == "fit_transform" and estimator.cls is None)

    def _is_search(self, estimator: Object) -> bool:
        return isinstance(estimator.cls, str) and estimator.cls in sklearn.SEARCHES

    # ---------------------------------------------------------------------------------------------------------------- splits
    def split_arrays(self, arguments: Sequence[Argument], site: Site) -> Value:
        """train_test_split: training and test part of each array, in order."""
        arrays = [argument for argument in arguments if argument.keyword is None]
        if not arrays or any(argument.star for argument in arrays):
            return self.lineage.unknown_result(site)
        parts: list[Value] = []
        for position, argument in enumerate(arrays):
            label = says_label(last_name(argument.node)) or (position == 1 and len(arrays) == 2)
            parts += [self._part(argument.value, role, site, label=label) for role in (Role.TRAIN, Role.TEST)]
        return tuple_of(*parts, cls="builtins.list")

    def _part(self, value: Value, role: Role, site: Site, *, label: bool) -> Value:
        fits = frozenset() if label else value.fits
        columns = frozenset() if label or value.data is None else value.data.columns
        inner = value.data.role if value.data is not None else None
        kept = Role.TRAIN if role is Role.TRAIN else (Role.VALIDATION if inner is Role.TRAIN else role)
        rows = value.rows or frozenset({self.machine.new_ref(site)})
        data = Data(rows=rows, role=kept, split=site, fits=fits, columns=columns)
        trail = onward(value.trail, site, "the train/test split happens only here") if fits else None
        return Value(data=data, origin=self.machine.new_ref(site, Made.SPLIT, role), trail=trail)

    def random_split(self, arguments: Sequence[Argument], site: Site) -> Value:
        """random_split: parts whose role the names say."""
        value = arguments[0].value if arguments else UNKNOWN
        data = replace(derived_data(value) or Data(), split=site, role=None)
        part = Value(data=data, origin=self.machine.new_ref(site), trail=value.trail if value.fits else None)
        return Value(Items("builtins.list", (), part))

    def _is_splitter(self, base: Value, site: Site) -> bool:
        thing = base.thing
        if isinstance(thing, Object) and isinstance(thing.cls, str):
            return thing.cls in sklearn.SPLITTERS
        node = site.node.func.value if isinstance(site.node, cst.Call) and isinstance(site.node.func, cst.Attribute) else None
        return bool(_FOLDS.search(last_name(node)))

    def _folds(self, features: Value, site: Site) -> Value:
        """Pairs of index arrays."""
        pair = tuple(
            Value(data=Data(rows=features.rows, split=site, picks=role), origin=self.machine.new_ref(site, Made.SPLIT, role))
            for role in (Role.TRAIN, Role.TEST)
        )
        return Value(Items("builtins.generator", (), tuple_of(*pair)))

    def resample(self, effect: Resamples, arguments: Sequence[Argument], site: Site) -> Value:
        """Rows drawn with replacement: the same row can land on both sides of a later split."""
        given = next((argument.value for argument in arguments if argument.keyword == effect.replace_keyword), None)
        arrays = [argument.value for argument in arguments if argument.keyword is None]
        repeats = effect.default if given is None else given.constant is True
        found = []
        for value in arrays:
            made = self.lineage.derived([value], site)
            if repeats and made.data is not None:
                trail = first_step(site, "rows are resampled with replacement")
                fit = Fit(FitKind.RESAMPLING, "resample", site, value.rows, value.role, None, trail)
                made = replace(made, data=replace(made.data, fits=made.data.fits | {fit}), trail=trail)
            found.append(made)
        return found[0] if len(found) == 1 else tuple_of(*found)

    # ------------------------------------------------------------------------------------------------------------ evaluation
    def cross_validate(self, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """cross_val_score(estimator, X, y): X is split, fitted on and scored."""
        named = {argument.keyword: argument.value for argument in arguments if argument.keyword}
        positional = [argument.value for argument in arguments if argument.keyword is None]
        features = named.get("X", positional[1] if len(positional) > 1 else None)
        estimator = named.get("estimator", positional[0] if positional else UNKNOWN)
        if features is not None and features.role is None:
            self._evaluated(features, f"split and scored by `{name.rpartition('.')[2]}`", site, Role.VALIDATION, estimator)
        return self.lineage.unknown_result(site)

    def used(self, value: Value, how: str, site: Site, estimator: Value = UNKNOWN, *, scored: bool = False) -> None:
        """Data goes into a prediction, a score or a model: an evaluation, if it is held out."""
        if isinstance(value.thing, Lazy):
            return
        items = self.contents.items_of(value)
        for one in items.tail if items is not None else (value,):
            if one.role is not None and one.role.held_out:
                self._evaluated(one, f"the {one.role.value} set {how}", site, one.role, estimator, scored=scored)

    def _evaluated(self, value: Value, how: str, site: Site, role: Role, estimator: Value, *, scored: bool = True) -> None:
        machine = self.machine
        thing = estimator.thing
        trained = machine.state.get(thing.ref, Slot.TRAINED) if isinstance(thing, Object) else None
        machine.facts.append(
            Evaluated(
                machine.place(site),
                how,
                value,
                role,
                trained.fits if trained is not None else frozenset(),
                estimator,
                scored or (value.data is not None and value.data.split is not None),
            )
        )

    def handed_on(self, value: Value, site: Site) -> None:
        """A function of which no caller is known returns held-out data: somebody will evaluate on it."""
        functions = [frame for frame in self.machine.frames if frame.function is not None]
        if len(functions) == 1 and functions[0].assumed:
            self.used(value, "is returned", site)

    def passed_on(self, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """Unknown code gets held-out data, and does not look as if it only looked at it."""
        if not _LOOKS_ON.search(name):
            for argument in arguments:
                self.used(argument.value, f"is passed to `{name}`" if name else "is passed on", site)


def _features(arguments: Sequence[Argument]) -> Value | None:
    for argument in arguments:
        if argument.keyword in ("X", "x", "data", "raw_documents"):
            return argument.value
    first = arguments[0] if arguments else None
    if first is None or first.keyword is not None or first.star:
        return None
    return first.value
