"""What fits on data, splits it and evaluates on it: scikit-learn's conventions, followed by many libraries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument, axis_of
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.datasets import held_fits
from mldbg.lint.interpret.evaluations import Evaluations
from mldbg.lint.interpret.facts import CrossValidated, Fitted, Learned, RowsSplit
from mldbg.lint.interpret.frames import identity_of, with_named_role
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.lineage import Lineage, derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf, Slot, argument_of
from mldbg.lint.interpret.source_text import last_name
from mldbg.lint.interpret.splits import as_whole, fits_after_folds, pair_of_folds, split_apart
from mldbg.lint.interpret.tables import Tables
from mldbg.lint.interpret.value import (
    UNKNOWN,
    Axes,
    ClassThing,
    Constant,
    Data,
    Fit,
    FitKind,
    Items,
    Known,
    Means,
    Object,
    Role,
    Unknown,
    Value,
    first_step,
    onward,
)
from mldbg.lint.library.names import array_and_part, at_the_start, says_label
from mldbg.operations import columns, rows, sklearn
from mldbg.operations.effect import Resamples, Scales
from mldbg.operations.tables import is_predictor_class

_FITTING = frozenset({"fit", "fit_transform", "fit_resample", "fit_sample", "partial_fit", "fit_predict"})
_FOLDS = re.compile(r"(^|_)(cv|kf|skf|gkf|kfold|folds?|splitter|tscv|rkf|sss)(_|$|[0-9])|fold$|split$", re.IGNORECASE)

DEEPEST_ESTIMATOR = 5
"""Estimators in estimators that are looked into."""

MOST_INSIDE = 100
"""Values that are looked through for the estimators in a composite."""


class Estimators:
    """Fits, splits and evaluations in the interpreter's state."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents, lineage: Lineage) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents
        self.lineage = lineage
        self.evaluations = Evaluations(machine, contents)
        self.tables = Tables(machine, contents)

    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
        """The result of an estimator's or splitter's method, or None when it is not one."""
        if not isinstance(base.thing, Object | Unknown) or (
            isinstance(base.thing, Object) and self.classes.is_module(base.thing.cls)
        ):
            return None
        if name == "sample" and any(argument.keyword == "replace" and argument.value.constant is True for argument in arguments):
            return self.resample(Resamples("replace"), [Argument(base)], site)
        if name in _FITTING:
            self.evaluations.watching.fitted(base, arguments, site)
        given = rows_given(arguments)
        if given is None:
            if name in ("get_support", "get_feature_names_out") and isinstance(base.thing, Object):
                return self.about_fit(base.thing, site)
            return None
        if name in _FITTING:
            features = self._as_data(given, site)
            self.evaluations.validated(features, arguments, site, base)
            if isinstance(base.thing, Object):
                return self._fit(base, base.thing, name, features, arguments, site)
            if name == "fit" and base.rows and len(arguments) > 1:  # something that is not known learns from features and labels
                place, labels = self.machine.place(site), arguments[1].value
                self.machine.facts.append(Fitted(place, base, "", name, features, (), transforms=False, labels=labels))
            return None
        if name in ("transform", "inverse_transform") and isinstance(base.thing, Object) and base.thing.cls is not None:
            return self._transformed(base.thing, self._as_data(given, site), self.fits_of(base.thing), site)
        if name in sklearn.EVALUATING_METHODS:
            self.evaluations.used(given.value, f"is passed to `{name}`", site, base, scored=name in ("score", "evaluate"))
            if name in ("score", "evaluate"):
                self.evaluations.choosing.scored(given.value, f"`{name}` is computed on them", site)
            return self.evaluations.choosing.predicted(given.value, self.lineage.derived([given.value], site))
        if name in ("get_support", "get_feature_names_out") and isinstance(base.thing, Object):
            return self.about_fit(base.thing, site)
        if name == "split" and self._is_splitter(base, site):
            self._tell_split(self._name_of(base), arguments[:2], site, *self._shuffled_folds(base, arguments))
            return self._folds(given.value, site)
        return None

    def _as_data(self, given: Argument, site: Site) -> Value:
        """Rows that are given to an estimator: those of a list are its elements', and its name may say which part it is."""
        value = given.value
        if not isinstance(value.thing, Items) and not (isinstance(value.thing, Object) and value.thing.cls == "builtins.list"):
            return value
        made = self.lineage.derived([value], site)
        if made.data is None:
            made = replace(made, data=Data(rows=value.rows or made.rows))
        return with_named_role(last_name(given.node), made, self.machine.frame.part)

    # ------------------------------------------------------------------------------------------------------------------ fit
    def _fit(
        self, base: Value, estimator: Object, method: str, features: Value, arguments: Sequence[Argument], site: Site
    ) -> Value:
        if method == "fit_transform" and isinstance(estimator.cls, ClassThing) and self._fits_by_itself(estimator.cls):
            self.machine.call_method(base, "fit", arguments, site)
            return self.machine.call_method(base, "transform", arguments[:1], site)
        self._tell_learned(base, features, arguments[1:], site)
        kind = self._kind(estimator)
        prepares = self._prepares(estimator, method, rows_given(arguments))
        labels = next((each.value for each in arguments[1:] if each.keyword in (None, "y")), None)
        fit = self.learn(base, estimator, method, features, site, kind, prepares=prepares, labels=labels)
        if self._is_search(estimator) and arguments:
            folds = self.machine.state.get(estimator.ref, argument_of("cv")) or UNKNOWN
            self._tell_split(self._name_of(folds), arguments[:1], site, *self._shuffled_folds(folds, arguments))
        if self._is_search(estimator) and features.fits:
            how = f"{self._name(estimator)} cross-validates them"
            self.machine.facts.append(CrossValidated(self.machine.place(site), how, features, searches=True))
        if self._is_search(estimator) and features.data is not None and (features.role is None or features.data.split is None):
            # unsupervised scaling before a search is contested, and a rule of its own; selection and resampling are not
            serious = frozenset(
                fit for fit in fits_after_folds(features.data) if fit.kind in (FitKind.SELECTION, FitKind.RESAMPLING)
            )
            searched = replace(features, data=replace(features.data.without_names(), fits=serious))
            self.evaluations.evaluated(searched, f"cross-validated by {self._name(estimator)}", site, Role.VALIDATION, base)
        if method == "fit_transform":
            return self._transformed(estimator, features, frozenset({fit}), site)
        if method in ("fit_resample", "fit_sample"):
            labels = arguments[1].value if len(arguments) > 1 else UNKNOWN
            return tuple_of(self._transformed(estimator, features, frozenset({fit}), site), self.lineage.derived([labels], site))
        if method == "fit_predict":
            return self.lineage.derived([features], site)
        return base

    def _fits_by_itself(self, cls: ClassThing) -> bool:
        """Whether a class of the project has fit and transform, and fit_transform from a base outside."""
        return all(self.classes.class_attribute(cls, name) is not None for name in ("fit", "transform"))

    def learn(
        self,
        base: Value,
        estimator: Object,
        method: str,
        features: Value,
        site: Site,
        kind: FitKind | None,
        *,
        prepares: bool = True,
        labels: Value | None = None,
    ) -> Fit:
        """Note that an estimator is fitted, and tell the rules."""
        machine = self.machine
        name = self._name(estimator)
        earlier = self.fits_of(estimator)
        before = tuple(sorted(earlier, key=lambda fit: fit.estimator))
        predicts = not prepares or (method == "fit" and estimator.cls in sklearn.PIPELINES)
        machine.facts.append(Fitted(machine.place(site), base, name, method, features, before, prepares, predicts, labels))
        seen = features.role.value + " data" if features.role is not None else "the data"
        trail = onward(
            features.trail if features.fits else None, site, f"{at_the_start(name) or 'an estimator'} is fitted on {seen}"
        )
        fit = Fit(
            kind or FitKind.TRANSFORM,
            name if kind is not None else "",
            site,
            features.rows,
            features.role,
            estimator.ref,
            trail,
            split=features.data.split if features.data is not None else None,
        )
        machine.state.set(estimator.ref, Slot.FITS, Value(data=Data(fits=frozenset({fit}))))
        machine.state.set(estimator.ref, Slot.TRAINED, Value(data=features.data))
        return fit

    def _transformed(self, estimator: Object, features: Value, fits: frozenset[Fit], site: Site) -> Value:
        known = frozenset(fit for fit in fits if fit.estimator)
        data = derived_data(features) or Data()
        data = replace(data.without_names(), fits=data.fits | known, condensed=False)
        trail = features.trail if features.fits else None
        for fit in sorted(known, key=lambda fit: fit.estimator):
            trail = fit.trail if trail is None else trail
        is_table = self._kind(estimator) is FitKind.TRANSFORM
        return Value(data=data, origin=self.machine.new_ref(site), trail=trail, axes=Axes(rank=2 if is_table else None))

    def about_fit(self, estimator: Object, site: Site) -> Value:
        """What a fitted selector says of the columns."""
        fits = frozenset(fit for fit in self.fits_of(estimator) if fit.kind is FitKind.SELECTION)
        trail = next((fit.trail for fit in sorted(fits, key=lambda fit: fit.estimator)), None)
        return Value(data=Data(fits=fits) if fits else None, origin=self.machine.new_ref(site), trail=trail)

    def fits_of(self, estimator: Object) -> frozenset[Fit]:
        """What an estimator was fitted on last."""
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
        if cls in sklearn.TARGET_ENCODERS:
            return FitKind.TARGET
        if cls in sklearn.RESAMPLERS:
            return FitKind.RESAMPLING
        if cls in ("sklearn.compose.ColumnTransformer", "sklearn.pipeline.FeatureUnion") or cls in sklearn.PIPELINES:
            kinds = self._kinds_inside(estimator)
            for kind in (FitKind.SELECTION, FitKind.TARGET, FitKind.TRANSFORM):
                if kind in kinds:
                    return kind
            return None
        return FitKind.TRANSFORM if cls in sklearn.TRANSFORMERS and not self._was_told_before(estimator, cls) else None

    def _was_told_before(self, estimator: Object, cls: str) -> bool:
        """Whether an argument of its constructor tells an estimator what others of its class learn."""
        if cls in sklearn.FILLS_CONSTANT:
            argument, value = sklearn.FILLS_CONSTANT[cls]
            held = self.machine.state.get(estimator.ref, argument_of(argument))
            return held is not None and held.constant == value
        argument, learned = sklearn.TOLD_BEFORE.get(cls, ("", frozenset()))
        given = self.machine.state.get(estimator.ref, argument_of(argument)) if argument else None
        return given is not None and not (isinstance(given.thing, Constant) and given.constant in learned)

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

    def _prepares(self, estimator: Object, method: str, given: Argument | None) -> bool:
        """Whether an estimator prepares data: it is known to, or it transforms what it is fitted on."""
        if estimator.cls in sklearn.NUMBERING:  # of labels the same classes are in all parts, and get the same numbers
            return given is not None and not _is_label(given.node)
        return self._kind(estimator) is not None or (method == "fit_transform" and estimator.cls is None)

    def _is_search(self, estimator: Object) -> bool:
        return isinstance(estimator.cls, str) and estimator.cls in sklearn.SEARCHES

    def scaled(self, effect: Scales, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """scale(X): what a scaler gives that is fitted on X and nothing else."""
        given = rows_given(arguments)
        features = given.value if given is not None else None
        made = self.lineage.derived([features] if features is not None else [], site)
        if (
            features is None
            or made.data is None
            or made.data.one_row
            or not rows.runs_over_rows(axis_of(arguments, effect.position, effect.axis))
        ):
            return made
        title = name.rpartition(".")[2]
        trail = onward(features.trail if features.fits else None, site, f"`{title}` takes its statistics from these rows")
        machine = self.machine
        by = machine.new_ref(site)
        fit = Fit(FitKind.TRANSFORM, title, site, features.rows, made.role, by, trail, Means.FUNCTION, made.data.split)
        return replace(made, data=replace(made.data, fits=made.data.fits | {fit}), trail=made.trail or trail)

    # ---------------------------------------------------------------------------------------------------------------- splits
    def split_arrays(self, arguments: Sequence[Argument], site: Site) -> Value:
        """train_test_split: training and test part of each array, in order."""
        arrays = [argument for argument in arguments if argument.keyword is None]
        if not arrays or any(argument.star for argument in arrays):
            return self.lineage.unknown_result(site)
        self._tell_split("train_test_split", arrays, site, *_shuffled_arrays(arguments))
        parts: list[Value] = []
        for position, argument in enumerate(arrays):
            label = says_label(last_name(argument.node)) or (position == 1 and len(arrays) == 2)
            parts += [self._part(argument.value, role, site, label=label) for role in (Role.TRAIN, Role.TEST)]
        return tuple_of(*parts, cls="builtins.list")

    def _part(self, value: Value, role: Role, site: Site, *, label: bool) -> Value:
        value = self.tables.with_table(value, self.tables.of(value))  # its parts have the same columns
        whole = derived_data(value)
        rows = value.rows or frozenset({self.machine.new_ref(site)})
        data = Data(rows=rows, role=role, split=site)
        if whole is not None:
            data = replace(data, role=_side(role, whole.role), whole=as_whole(whole), column=whole.column, table=whole.table)
        if whole is not None and not label:
            data = split_apart(whole, data.role, site)
        data = replace(data, known=Known.SPLIT)
        if data.role is Role.VALIDATION:
            self.evaluations.choosing.validation |= rows
        trail = onward(value.trail, site, "the train/test split happens only here") if data.fits else None
        return Value(data=replace(data, rows=rows), origin=self.machine.new_ref(site, Made.SPLIT, role), trail=trail)

    def random_split(self, arguments: Sequence[Argument], site: Site) -> Value:
        """random_split: parts whose role the names say."""
        value = arguments[0].value if arguments else UNKNOWN
        self._tell_split("random_split", arguments[:1], site, True, False)  # it always shuffles
        value = held_fits(self.machine, value) or value
        data = derived_data(value) or Data()
        data = replace(data, split=site, role=None, known=None, whole=as_whole(data), itself=identity_of(value))
        part = Value(data=data, origin=self.machine.new_ref(site), trail=value.trail if value.fits else None)
        return Value(Items("builtins.list", (), part))

    def _tell_learned(self, estimator: Value, features: Value, others: Sequence[Argument], site: Site) -> None:
        """A model learns labels from a table: the rules may ask which columns it gets."""
        labels = next((argument.value for argument in others if argument.keyword in (None, "y") and not argument.star), None)
        if labels is None or not self._takes_all_columns(estimator):
            return
        names = {self._name(option.thing) for option in members(estimator) if isinstance(option.thing, Object)}
        machine = self.machine
        tables = (self.tables.of(value) for value in (features, labels))
        known = [self.tables.with_table(value, table) for value, table in zip((features, labels), tables, strict=True)]
        machine.facts.append(Learned(machine.place(site), next(iter(sorted(names)), ""), *known))

    def _takes_all_columns(self, estimator: Value, depth: int = 0) -> bool:
        """Whether a model learns from all columns that it is given: none of its steps may pick some of them by name."""
        if estimator.among is not None:
            return all(self._takes_all_columns(option.value, depth) for option in estimator.among.options)
        thing = estimator.thing
        cls = thing.cls if isinstance(thing, Object) else None
        if not isinstance(thing, Object) or not isinstance(cls, str) or depth > DEEPEST_ESTIMATOR:
            return False
        given = {key.name: value for key, value in self.machine.state.record(thing.ref).items() if isinstance(key, ArgumentOf)}
        if cls in sklearn.SEARCHES:
            inner = given.get("estimator", given.get("0"))
            return inner is not None and self._takes_all_columns(inner, depth + 1)
        if cls in sklearn.PIPELINES:
            steps = [value for name, value in given.items() if name.isdigit()]
            if not cls.endswith("make_pipeline"):
                listed = self.contents.items_of(given.get("steps", given.get("0", UNKNOWN)))
                pairs = [self.contents.items_of(pair) for pair in listed.tail] if listed is not None and listed.exact else [None]
                if any(pair is None or len(pair.tail) != 2 for pair in pairs):
                    return False
                steps = [pair.tail[1] for pair in pairs if pair is not None]
            taking = (step.constant == "passthrough" or self._takes_all_columns(step, depth + 1) for step in steps)
            return bool(steps) and all(taking)
        if depth > 0 and cls in sklearn.TRANSFORMERS:
            return cls not in ("sklearn.compose.ColumnTransformer", "sklearn.pipeline.FeatureUnion")
        return is_predictor_class(cls) or cls.startswith(sklearn.NETWORK_PACKAGES)

    def _tell_split(self, by: str, given: Sequence[Argument], site: Site, shuffles: bool | None, grouped: bool) -> None:
        machine = self.machine
        arrays = tuple(self._as_data(argument, site) for argument in given)
        nodes = tuple(argument.node for argument in given)
        machine.facts.append(RowsSplit(machine.place(site), by, arrays, nodes, shuffles, grouped, self.tables.group_of(arrays)))

    @staticmethod
    def _name_of(splitter: Value) -> str:
        cls = splitter.thing.cls if isinstance(splitter.thing, Object) else None
        return cls.rpartition(".")[2] if isinstance(cls, str) else ""

    def _shuffled_folds(self, splitter: Value, arguments: Sequence[Argument], groups_at: int = 3) -> tuple[bool | None, bool]:
        """Whether a splitter shuffles the rows (None: not known), and whether it keeps groups together.

        `groups_at`: how many arguments a call has by position that names the groups with the last of them.
        """
        plain = [argument for argument in arguments if argument.keyword is None]
        name = self._name_of(splitter)
        grouped = "Group" in name or any(argument.keyword == "groups" for argument in arguments) or len(plain) >= groups_at
        if name in columns.RANDOM_SPLITTERS:
            return True, grouped
        if name not in columns.SHUFFLING_SPLITTERS or not isinstance(splitter.thing, Object):
            return None, grouped
        shuffle = self.machine.state.get(splitter.thing.ref, argument_of("shuffle"))
        return (shuffle.constant is True if shuffle is not None else False), grouped

    def _is_splitter(self, base: Value, site: Site) -> bool:
        thing = base.thing
        if isinstance(thing, Object) and isinstance(thing.cls, str):
            return thing.cls in sklearn.SPLITTERS
        node = site.node.func.value if isinstance(site.node, cst.Call) and isinstance(site.node.func, cst.Attribute) else None
        return bool(_FOLDS.search(last_name(node)))

    def _folds(self, features: Value, site: Site) -> Value:
        """Pairs of index arrays."""
        return Value(Items("builtins.generator", (), pair_of_folds(self.machine, features.rows, site)))

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
        given = (named[key] for key in ("X", "dtrain", "train_set") if key in named)
        features = next(given, positional[1] if len(positional) > 1 else None)
        estimator = named.get("estimator", positional[0] if positional else UNKNOWN)
        if features is not None:
            labels = [Argument(value) for value in positional[2:]] + [one for one in arguments if one.keyword == "y"]
            self._tell_learned(estimator, features, labels, site)
        if "cv" in named and features is not None:
            split = [argument for argument in arguments if argument.value is features]
            self._tell_split(self._name_of(named["cv"]), split, site, *self._shuffled_folds(named["cv"], arguments, 4))
        if features is not None and features.fits:
            how = f"`{name.rpartition('.')[2]}` splits and scores them"
            self.machine.facts.append(CrossValidated(self.machine.place(site), how, features, searches=False))
        if features is not None and features.role in (None, Role.TRAIN):
            folds = (
                replace(features, data=replace(features.data, fits=fits_after_folds(features.data)))
                if features.data
                else features
            )
            self.evaluations.evaluated(
                folds, f"split and scored by `{name.rpartition('.')[2]}`", site, Role.VALIDATION, estimator
            )
        return self.lineage.unknown_result(site)


def _side(role: Role, whole: Role | None) -> Role:
    """Which part a side of a split is, if what is split was a part itself: of held-out rows none is for training."""
    if whole is Role.TRAIN:
        return Role.TRAIN if role is Role.TRAIN else Role.VALIDATION
    return Role.VALIDATION if role is Role.TRAIN and whole is not None else role


def _shuffled_arrays(arguments: Sequence[Argument]) -> tuple[bool | None, bool]:
    """Whether train_test_split shuffles; None where that is not known. It knows no groups."""
    if any(argument.star for argument in arguments):
        return None, False
    shuffle = next((argument.value for argument in arguments if argument.keyword == "shuffle"), None)
    if shuffle is None or shuffle.constant is True:
        return True, False
    return (False if isinstance(shuffle.thing, Constant) else None), False


def rows_given(arguments: Sequence[Argument]) -> Argument | None:
    """The argument that holds the rows."""
    for argument in arguments:
        if argument.keyword in ("X", "x", "data", "raw_documents"):
            return argument
    first = arguments[0] if arguments else None
    return first if first is not None and first.keyword is None and not first.star else None


def _is_label(node: cst.BaseExpression | None) -> bool:
    """Whether an expression names labels: `y_train`, `train["label"]`, `frame.target.values`."""
    while node is not None:
        if isinstance(node, cst.Subscript):
            inner = node.slice[-1].slice
            chosen = inner.value if isinstance(inner, cst.Index) else None
            if isinstance(chosen, cst.SimpleString) and says_label(str(chosen.evaluated_value)):
                return True
            node = node.value
        elif isinstance(node, cst.Call):
            node = node.func
        elif isinstance(node, cst.Attribute):
            if says_label(array_and_part(node.attr.value)[0]):
                return True
            node = node.value
        else:
            return isinstance(node, cst.Name) and says_label(array_and_part(node.value)[0])
    return False
