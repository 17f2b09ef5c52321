"""Predictions: whether a value is the classes or the scores that a model predicts, from where they are made to their use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.join import joined
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf
from mldbg.lint.interpret.source_text import last_name
from mldbg.lint.interpret.value import (
    OF_PREDICTIONS,
    UNKNOWN,
    VALUES_AND_INDICES,
    Constant,
    Items,
    Lazy,
    Mark,
    Marked,
    Object,
    Opaque,
    Symbol,
    Unknown,
    Value,
    first_step,
    is_blank,
    onward,
)
from mldbg.lint.library.names import says_truth
from mldbg.operations import predictors
from mldbg.operations.predictors import Gives
from mldbg.operations.sklearn import PIPELINES, SEARCHES
from mldbg.semantics import Semantic

_MARKS = {Gives.CLASSES: Mark.PREDICTED_CLASSES, Gives.SCORES: Mark.PREDICTED_SCORES, Gives.EITHER: Mark.PREDICTED}
_SOFT = (Mark.PREDICTED, Mark.PREDICTED_SCORES)
_SOFT_MEANINGS = (Semantic.LOGITS, Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL)
_THRESHOLD = re.compile(r"thresh|(^|_)thr?(_|$)|cut_?off", re.IGNORECASE)
_ABOVE = (cst.GreaterThan, cst.GreaterThanEqual)
_BELOW = (cst.LessThan, cst.LessThanEqual)
_WHOLE = re.compile(r"^(u?int\d*|bool_?|long)$")

DEEPEST_COMPOSITE = 6
"""Pipelines in searches in ensembles that are looked into for the estimator that predicts."""


class Predictions:
    """Marks what models predict, and follows it."""

    def __init__(self, machine: Machine, classes: Classes, contents: Contents) -> None:
        self.machine = machine
        self.classes = classes
        self.contents = contents

    # --- where they are made ---

    def of_method(self, base: Value, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """The result of a method, with what is known of it as a prediction."""
        if name in predictors.METHODS and arguments and not isinstance(base.thing, Constant | Items):
            return self._predicted(base, name, arguments, result, site)
        if name == "fit_predict" and arguments:
            gives = self._gives(base)
            return self._made(result, Mark.PREDICTED_CLASSES, base, name, site) if gives is Gives.CLASSES else result
        return self._kept(name, [Argument(base), *arguments], result, site, is_method=True)

    def of_function(self, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """The result of a function outside the project, with what is known of it as a prediction."""
        last = name.rpartition(".")[2]
        if last == "cross_val_predict" and arguments:
            return self._predicted_by_folds(arguments, result, site)
        return self._kept(last, arguments, result, site, is_method=False) if arguments else result

    def _predicted(self, base: Value, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        gives = predictors.METHODS[name]
        if gives is Gives.EITHER:
            known = self._gives(base)
            if known is None and isinstance(base.thing, Object) and base.thing.cls in _NO_PREDICTORS:
                return result
            gives = known or Gives.EITHER
        for argument in arguments:
            if argument.keyword in predictors.SCORES_INSTEAD:
                values = predictors.SCORES_INSTEAD[argument.keyword]
                gives = Gives.SCORES if argument.value.constant in values else gives
        return self._made(result, _MARKS[gives], base, name, site)

    def _predicted_by_folds(self, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        method = next((one.value for one in arguments if one.keyword == "method"), None)
        estimator = next((one.value for one in arguments if one.keyword in (None, "estimator")), UNKNOWN)
        if method is not None and method.constant != "predict":
            gives = Gives.SCORES if isinstance(method.constant, str) else Gives.EITHER
        else:
            gives = self._gives(estimator) or Gives.EITHER
        return self._made(result, _MARKS[gives], estimator, "cross_val_predict", site)

    def _gives(self, estimator: Value) -> Gives | None:
        """What `predict` of an estimator gives, where its class is known."""
        if estimator.among is not None:
            found = {self._gives(option.value) for option in estimator.among.options}
            return found.pop() if len(found) == 1 else None
        cls = self._class_of(estimator)
        return predictors.predicts(cls) if cls is not None else None

    def _class_of(self, estimator: Value) -> str | None:
        """The class outside the project of what predicts: of a composite its last step."""
        cls: str | None = None
        for _ in range(DEEPEST_COMPOSITE):
            thing = estimator.thing
            known = thing.cls if isinstance(thing, Object | Opaque) else None
            cls = known if isinstance(known, str) else self.classes.outside_base(known)
            inner = self._inside(thing, cls) if isinstance(thing, Object) and cls is not None else None
            if inner is None:
                return cls
            estimator = inner
        return cls

    def _inside(self, composite: Object, cls: str) -> Value | None:
        """The estimator that predicts for another one; None for one that predicts itself."""
        given = {
            key.name: value for key, value in self.machine.state.record(composite.ref).items() if isinstance(key, ArgumentOf)
        }
        if cls in SEARCHES:
            return given.get("estimator", given.get("0"))
        if cls not in PIPELINES:
            return None
        if cls.endswith("make_pipeline"):
            positions = [int(name) for name in given if name.isdigit()]
            return given[str(max(positions))] if positions else None
        steps = self.contents.items_of(given.get("steps", given.get("0", UNKNOWN)))
        last = self.contents.items_of(steps.tail[-1]) if steps is not None and steps.tail else None
        return last.tail[-1] if last is not None and len(last.tail) == 2 else None

    def _made(self, result: Value, mark: Mark, model: Value, method: str, site: Site) -> Value:
        by = (self._class_of(model) or "").rpartition(".")[2]
        name = f"{by}." if by and method != "cross_val_predict" else ""
        marked = Marked(mark, site, first_step(site, f"{name}{method}() returns {_SAID[mark]}"), by=by)
        if isinstance(result.thing, Object):
            result = replace(result, thing=Unknown())
        return replace(result, marked=marked)

    # --- what keeps them ---

    def _kept(self, name: str, arguments: Sequence[Argument], result: Value, site: Site, *, is_method: bool) -> Value:
        """What a function makes of predictions that are its first argument."""
        if name in predictors.WITH_PLACES:
            return _with_places(name, arguments, result, site, is_method=is_method)
        if name not in _FOLLOWED:
            return result
        first = self.as_array(arguments[0].value, joins=name in predictors.JOINS)
        if name == "append" and not is_method and len(arguments) > 1:
            first = _together([first, self.as_array(arguments[1].value)])
        if name in predictors.BEST_PLACE:
            return self._best(first, arguments[0], result, site)
        marked = first.marked
        if name in predictors.ROUNDS:
            places = [one.value.constant for one in arguments[1:] if one.keyword in (None, "decimals", "ndigits")]
            if is_soft(first) and all(number in (0, None) for number in places):
                return _classes(first, result, site, "rounding leaves classes")
            return replace(result, marked=marked) if marked is not None and marked.mark in OF_PREDICTIONS else result
        if isinstance(result.thing, Object) and isinstance(result.thing.cls, str) and result.thing.cls.startswith("builtins."):
            return result  # a list: its elements are predictions
        if marked is None or marked.mark not in OF_PREDICTIONS:
            return result
        if is_soft(first) and (name in predictors.TO_WHOLE_NUMBERS or (name == "astype" and _is_whole(arguments))):
            return _classes(first, result, site, "whole numbers are left")
        return replace(result, marked=marked)

    def _best(self, first: Value, argument: Argument, result: Value, site: Site) -> Value:
        if is_soft(first):
            return _classes(first, result, site, "argmax returns classes")
        if argument.node is not None and says_truth(last_name(argument.node)):
            return result  # the classes that one-hot labels stand for
        marked = Marked(Mark.CLASSES, site, first_step(site, "argmax returns classes"))
        return replace(result, marked=marked) if isinstance(result.thing, Unknown) else result

    def as_array(self, value: Value, *, joins: bool = False) -> Value:
        """A list or tuple as the array that it would make: what its elements have in common."""
        if isinstance(value.thing, Lazy):
            value = self.machine.force(value)
        items = self.contents.items_of(value) if isinstance(value.thing, Items | Object) else None
        if items is None:
            return value
        every = [self.machine.force(one) for one in items.all]
        if joins:
            every = [self.as_array(one) for one in every]
        return replace(_together(every), origin=value.origin, data=value.data) if every else value

    def compared(self, operator: cst.CSTNode, left: Value, right: Value, result: Value, site: Site) -> Value:
        """`scores > 0.5` gives classes."""
        node = site.node
        if not isinstance(node, cst.Comparison) or len(node.comparisons) != 1:
            return result
        above = isinstance(operator, (*_ABOVE, *_BELOW))
        sides = ((left, right, node.comparisons[0].comparator), (right, left, node.left)) if above else ()
        for scores, bound, written in sides:
            single = isinstance(bound.constant, int | float) or _THRESHOLD.search(last_name(written))
            if single and is_soft(scores):
                return _classes(scores, result, site, "the comparison with a threshold returns classes")
        whole = isinstance(operator, cst.Equal | cst.NotEqual) and isinstance(right.thing, Constant)
        if left.marked is not None and left.marked.mark in _HARD and (whole or above) and isinstance(right.thing, Constant):
            return replace(result, marked=left.marked)
        share = right.constant
        unknown = isinstance(left.thing, Unknown | Object | Opaque) and left.meaning is None
        is_threshold = (isinstance(share, float) and 0 < share < 1) or _THRESHOLD.search(
            last_name(node.comparisons[0].comparator)
        )
        if unknown and isinstance(operator, _ABOVE) and is_threshold and not says_truth(last_name(node.left)):
            marked = Marked(Mark.CLASSES, site, first_step(site, "the comparison with a threshold returns classes"))
            return replace(result, marked=marked)
        return result


_HARD = (Mark.PREDICTED_CLASSES, Mark.CLASSES)

_FOLLOWED = predictors.REARRANGES | predictors.ROUNDS | predictors.BEST_PLACE

_NO_PREDICTORS = ("builtins.list", "builtins.dict")


def is_soft(value: Value) -> bool:
    """Whether a value is scores, or what a model gives of which that is not known."""
    if value.marked is not None and value.marked.mark in OF_PREDICTIONS:
        return value.marked.mark in _SOFT
    return value.meaning in _SOFT_MEANINGS


def stored(base: Value, value: Value) -> Marked | None:
    """The mark of an array once `array[rows] = value` has put predictions into it, where it was empty or holds such already."""
    marked = value.marked
    if marked is None or marked.mark not in OF_PREDICTIONS:
        return None
    return marked if is_blank(base) or base.marked == marked else None


def combined(left: Value, right: Value, result: Value) -> Value:
    """Arithmetic: predictions stay what they are beside a number, and scores beside scores."""
    marks = [
        value.marked if value.marked is not None and value.marked.mark in OF_PREDICTIONS else None for value in (left, right)
    ]
    if marks == [None, None] or result.marked is not None:
        return result
    for marked, other in ((marks[0], right), (marks[1], left)):
        if marked is not None and isinstance(other.thing, Constant):
            return replace(result, marked=marked)
    one, two = marks
    if one is not None and two is not None and one.mark is two.mark and one.mark in _SOFT:
        return replace(result, marked=one)
    return result


def chosen(test: Value, values: Sequence[Value], result: Value) -> Value:
    """`1 if score > 0.5 else 0`"""
    hard = test.marked is not None and test.marked.mark in _HARD
    return replace(result, marked=test.marked) if hard and all(isinstance(value.thing, Constant) for value in values) else result


_SAID = {
    Mark.PREDICTED_CLASSES: "classes",
    Mark.PREDICTED_SCORES: "scores",
    Mark.PREDICTED: "what the model predicts",
}


def _classes(scores: Value, result: Value, site: Site, text: str) -> Value:
    marked = scores.marked if scores.marked is not None and scores.marked.mark in OF_PREDICTIONS else None
    trail = onward(marked.trail if marked is not None else None, site, text)
    return replace(result, marked=Marked(Mark.PREDICTED_CLASSES, site, trail))


def _together(values: Sequence[Value]) -> Value:
    """What several arrays are together: what is empty counts for nothing."""
    full = [value for value in values if not is_blank(value) and not (isinstance(value.thing, Items) and not value.thing.all)]
    return joined(full) if full else UNKNOWN


def _with_places(name: str, arguments: Sequence[Argument], result: Value, site: Site, *, is_method: bool) -> Value:
    """`torch.max(scores, 1)`: the greatest values, and where they are. An array of numpy knows no such pair."""
    if isinstance(result.thing, Items) and result.thing.cls == VALUES_AND_INDICES:
        places = result.thing.tail[1]
        found = _place_of_best(arguments[0], replace(places, thing=Unknown()), site)
        return replace(result, thing=replace(result.thing, tail=(result.thing.tail[0], found)))
    named = [one for one in arguments[1:] if one.keyword in (None, "dim", "k")]
    if not named or not isinstance(named[0].value.constant, int) or isinstance(named[0].value.constant, bool):
        return result
    if is_method and not _gives_pair(arguments, site):
        return result
    if not is_method and not _is_of_torch(site):
        return result
    if name == "topk" and named[0].value.constant != 1:
        return result
    place = _place_of_best(arguments[0], Value(data=result.data, origin=result.origin), site)
    return Value(Items(VALUES_AND_INDICES, (result, place)))


def _place_of_best(scores: Argument, place: Value, site: Site) -> Value:
    if is_soft(scores.value):
        return _classes(scores.value, place, site, "the place of the greatest score is a class")
    node = scores.node
    if node is None and isinstance(site.node, cst.Call) and isinstance(site.node.func, cst.Attribute):
        node = site.node.func.value
    if says_truth(last_name(node)):
        return place
    return replace(place, marked=Marked(Mark.CLASSES, site, first_step(site, "the place of the greatest score is a class")))


def _gives_pair(arguments: Sequence[Argument], site: Site) -> bool:
    """Whether `scores.max(1)` is of torch, as its use says: it is unpacked into two, or its second part is taken."""
    if any(argument.keyword in ("dim", "keepdim") for argument in arguments):
        return True
    parent = site.part.parents.get(site.node)
    if isinstance(parent, cst.Subscript):
        index = parent.slice[0].slice
        return isinstance(index, cst.Index) and isinstance(index.value, cst.Integer) and index.value.value == "1"
    if isinstance(parent, cst.Attribute):
        return parent.attr.value == "indices"
    targets = parent.targets if isinstance(parent, cst.Assign) else ()
    return any(isinstance(one.target, cst.Tuple) and len(one.target.elements) == 2 for one in targets)


def _is_of_torch(site: Site) -> bool:
    node = site.node
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and last_name(node.func.value) == "torch"


def _is_whole(arguments: Sequence[Argument]) -> bool:
    """`astype(int)`, `astype("int32")`"""
    if len(arguments) < 2:
        return False
    value = arguments[1].value
    name = value.thing.name.rpartition(".")[2] if isinstance(value.thing, Symbol) else value.constant
    return isinstance(name, str) and bool(_WHOLE.match(name))
