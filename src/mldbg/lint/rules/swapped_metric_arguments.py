from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import OF_PREDICTIONS, Mark
from mldbg.lint.library.names import says_truth
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations import metrics


class SwappedMetricArguments(Rule):
    """predictions are given where a metric takes the labels, and the labels where it takes the predictions

    ## Why
    scikit-learn's metrics take `(y_true, y_pred)`, torchmetrics takes `(preds, target)`. Exchanged, precision becomes recall and
    recall becomes precision, a confusion matrix is transposed, R² divides by the variance of the predictions, and averages
    over classes are weighted by how often each was predicted. The numbers look plausible.

    ## Bad
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import precision_score

        def evaluate(X_train, X_test, y_train, y_test):
            y_pred = LogisticRegression().fit(X_train, y_train).predict(X_test)
            return precision_score(y_pred, y_test)

    ## Good
        from sklearn.linear_model import LogisticRegression
        from sklearn.metrics import precision_score

        def evaluate(X_train, X_test, y_train, y_test):
            y_pred = LogisticRegression().fit(X_train, y_train).predict(X_test)
            return precision_score(y_test, y_pred)

    ## Limits
    Fires where what stands in the place of the labels comes from `predict` and its like, from `argmax`, rounding or a threshold,
    and what stands in the place of the predictions comes from none of these and is called labels. Two predictions that
    are compared with one another are left alone, and so are metrics that give the same either way: accuracy, Cohen's
    kappa, the Matthews correlation, squared and absolute errors. Unweighted F1 is the same, too; it is reported,
    for it no longer is once it is averaged by weight. The fix names the parameters and leaves the arguments where they stand.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    about_experiments = True
    listens_to = calls(*(name for name, row in metrics.MEASURES.items() if not row.symmetric))

    def on_call(self, call: Call) -> Iterator[Finding]:
        row = metrics.MEASURES[call.name]
        truth, predicted = call.argument(row.truth), call.argument(row.predicted)
        node = call.nodes.get(row.predicted)
        if truth.marked is None or truth.marked.mark not in OF_PREDICTIONS or node is None:
            return
        if predicted.marked is not None and predicted.marked.mark in OF_PREDICTIONS:
            return
        if not says_truth(edit.last_name(node)) or _is_said(call, row.truth):
            return
        if truth.marked.mark is Mark.CLASSES and says_truth(edit.last_name(call.nodes.get(row.truth))):
            return
        yield self.found(
            call.place.site,
            f"{_title(call.name)} gets predictions as `{row.truth}` and the labels `{nodes.code(node)}` as `{row.predicted}`",
            hint=f"its order is ({', '.join(name for name in row.params if name != 'self')}); naming the parameters settles it",
            trail=truth.marked.trail,
            last=(call.place.site, f"they are given as `{row.truth}`"),
            fix=_named(call, row.truth, row.predicted),
        )


def _title(name: str) -> str:
    return name.removesuffix(".__call__").removesuffix(".update").removesuffix(".from_predictions").rpartition(".")[2]


def _is_said(call: Call, name: str) -> bool:
    """Whether the call names the parameter: who writes `y_true=teacher.predict(X)` means it."""
    return edit.keyword_of(call.place.site, call.nodes.get(name)) is not None


def _named(call: Call, truth: str, predicted: str) -> Fix | None:
    """Give each of the two to the parameter that is meant."""
    part = call.place.site.part
    first, second = call.nodes.get(truth), call.nodes.get(predicted)
    if first is None or second is None or edit.positional(call.place.site) not in ([first, second], [second, first]):
        return None
    return edit.safe(edit.preceded_by(part, first, f"{predicted}="), edit.preceded_by(part, second, f"{truth}="))
