from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import Mark, Symbol, Value, first_step, onward
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations import metrics, predictors

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Ref

_HARD = (Mark.PREDICTED_CLASSES, Mark.CLASSES)


class HardLabelsInRankingMetric(Rule):
    """a metric of scores or probabilities is computed from predicted classes

    ## Why
    ROC AUC, average precision, log loss, the Brier score and the curves behind them compare scores. Classes are scores
    with two values only: the ROC curve has a single corner, and the area under it is the mean of sensitivity and
    specificity at one threshold, often far below the AUC of the same model. Log loss of classes counts errors,
    each of them with the logarithm of the clipping constant. Nothing fails, the number only is another one.

    ## Bad
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.metrics import roc_auc_score

        def evaluate(X_train, X_test, y_train, y_test):
            model = RandomForestClassifier().fit(X_train, y_train)
            return roc_auc_score(y_test, model.predict(X_test))

    ## Good
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.metrics import roc_auc_score

        def evaluate(X_train, X_test, y_train, y_test):
            model = RandomForestClassifier().fit(X_train, y_train)
            return roc_auc_score(y_test, model.predict_proba(X_test)[:, 1])

    ## Limits
    That a value is classes follows from the class of the estimator (scikit-learn, imbalanced-learn, xgboost, lightgbm,
    catboost; the last step of a Pipeline, the estimator of a search), from `argmax`, a comparison with a threshold or
    rounding, or from another metric that takes the same value and refuses anything but classes. `predict` of a regressor, a
    ranker, a Keras network or a booster gives scores; where nothing says which it is, nothing is reported. A scorer that
    `make_scorer` builds of such a metric calls `predict`, unless it is told otherwise. The fix supposes that class 1 is
    the positive one.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    about_experiments = True
    listens_to = calls(metrics.SCORERS, *(name for name, row in metrics.MEASURES.items() if row.ranks or row.of_classes))

    def __init__(self) -> None:
        self._taken_for_classes: dict[Ref, Call] = {}
        self._undecided: dict[Ref, list[Call]] = {}

    def on_call(self, call: Call) -> Iterator[Finding]:
        if call.name == metrics.SCORERS:
            yield from self._scorer(call)
            return
        row = metrics.MEASURES[call.name]
        value = _predicted(call)
        if value is None or value.marked is None:
            return
        if not row.ranks:
            yield from self._decided(call, value)
        elif value.marked.mark in _HARD:
            yield self._hard(call, value)
        elif value.marked.mark is Mark.PREDICTED and value.origin is not None:
            known = self._taken_for_classes.get(value.origin)
            if known is not None:
                yield self._hard(call, value, known)
            else:
                self._undecided.setdefault(value.origin, []).append(call)

    def _decided(self, call: Call, value: Value) -> Iterator[Finding]:
        """A metric that refuses anything but classes gets a value: it is classes, in the metrics before, too."""
        if value.marked is None or value.marked.mark is not Mark.PREDICTED or value.origin is None:
            return
        self._taken_for_classes[value.origin] = call
        for waiting in self._undecided.pop(value.origin, []):
            yield self._hard(waiting, value, call)

    def _hard(self, call: Call, value: Value, proof: Call | None = None) -> Finding:
        name = _title(call.name)
        marked = value.marked
        assert marked is not None
        trail = marked.trail
        if proof is not None:
            trail = onward(trail, proof.place.site, f"{_title(proof.name)} takes classes and nothing else")
        return self.found(
            call.place.site,
            f"{name} gets predicted classes, but it compares scores: what comes out is its value at a single threshold",
            hint="pass probabilities or scores: predict_proba(X)[:, 1], decision_function(X), or the output before argmax",
            trail=trail,
            last=(call.place.site, f"{name} compares scores"),
            fix=_fix(call, value),
        )

    def _scorer(self, call: Call) -> Iterator[Finding]:
        """make_scorer(roc_auc_score) calls predict."""
        thing = call.argument("score_func").thing
        row = metrics.MEASURES.get(_canonical(thing.name)) if isinstance(thing, Symbol) else None
        if row is None or not row.ranks or not isinstance(thing, Symbol) or _asks_for_scores(call):
            return
        yield self.found(
            call.place.site,
            f"a scorer made of {_title(thing.name)} calls predict, so that the metric gets classes instead of scores",
            hint='say response_method="predict_proba", or use the scorer by its name, as in scoring="roc_auc"',
            trail=first_step(call.place.site, "nothing asks make_scorer for another method than predict"),
        )


def _canonical(name: str) -> str:
    return name if name in metrics.MEASURES else f"sklearn.metrics.{name.rpartition('.')[2]}"


def _asks_for_scores(call: Call) -> bool:
    return len(call.arguments) > 1 and any(name not in ("score_func", "greater_is_better") for name in call.arguments)


def _title(name: str) -> str:
    """A metric as the program calls it: `roc_auc_score`, `AUROC`."""
    parts = name.removesuffix(".__call__").removesuffix(".update").split(".")
    return ".".join(parts[-2:]) if parts[-1] == "from_predictions" else parts[-1]


def _predicted(call: Call) -> Value | None:
    """What is measured: the argument that holds the predictions, however this version of the library calls it."""
    names = (metrics.MEASURES[call.name].predicted, *sorted(metrics.OTHER_SPELLINGS))
    return next((call.arguments[name] for name in names if name in call.arguments), None)


def _node_of_predicted(call: Call) -> cst.BaseExpression | None:
    names = (metrics.MEASURES[call.name].predicted, *sorted(metrics.OTHER_SPELLINGS))
    return next((call.nodes[name] for name in names if name in call.nodes), None)


def _fix(call: Call, value: Value) -> Fix | None:
    """Let the metric get probabilities, where the call of `predict` can be read off and nothing was done to its result."""
    node = _node_of_predicted(call)
    marked = value.marked
    made = marked.site if marked is not None else None
    if node is None or made is None or value.origin is None or value.origin.site is not made:
        return None
    part = call.place.site.part
    functions = edit.function_around(made.part, made.node), edit.function_around(part, node)
    if made.part.module is not part.module or functions[0] is not functions[1]:
        return None
    text = nodes.other_method(made.node, "predict", _instead(call, value))
    if text is None or "\n" in text:
        return None
    columns = "" if call.name.rpartition(".")[2] in _TAKE_ALL or "predict_proba" not in text else "[:, 1]"
    return edit.unsafe(edit.replaced(part, node, text + columns))


_TAKE_ALL = ("log_loss", "top_k_accuracy_score")
"""Metrics that take the probabilities of all classes."""


def _instead(call: Call, value: Value) -> str | None:
    """The method to call instead of `predict`; None where the model may have none."""
    cls = value.marked.by if value.marked is not None else ""
    if cls not in predictors.WITHOUT_PROBABILITIES:
        return "predict_proba"
    needs_probabilities = call.name.rpartition(".")[2] in ("log_loss", "brier_score_loss", "calibration_curve")
    return None if needs_probabilities or cls in predictors.WITHOUT_SCORES else "decision_function"
