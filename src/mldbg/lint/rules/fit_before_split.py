from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Evaluated
from mldbg.lint.interpret.value import Fit, FitKind, Means
from mldbg.lint.leakage import leaks, learning, split_first
from mldbg.lint.rule import Rule, Topic, hears


class FitBeforeSplit(Rule):
    """a scaler, imputer, encoder, decomposition or vectoriser is fitted on data that is split later

    ## Why
    What is fitted on all rows has seen the held-out ones: their mean, their scale, their vocabulary are part of the
    training input. The test score then no longer estimates performance on new data; with small data sets, or with
    steps such as PCA and target encoding, it is far too optimistic.

    ## Bad
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.preprocessing import StandardScaler

        def evaluate(X, y):
            X = StandardScaler().fit_transform(X)
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            return LogisticRegression().fit(X_train, y_train).score(X_test, y_test)

    ## Good
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.preprocessing import StandardScaler

        def evaluate(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            scaler = StandardScaler().fit(X_train)
            model = LogisticRegression().fit(scaler.transform(X_train), y_train)
            return model.score(scaler.transform(X_test), y_test)

    ## Limits
    Fires when the fitted result is split (or cross-validated) and the held-out part is then evaluated or passed on. Fitting is
    also what `scale()` and its like do, and the project's own classes with `fit` and `transform`; what is scaled by hand, `(X -
    X.mean()) / X.std()`, is reported by statistic-before-split. Parts that are returned, kept in an object, written to files or
    given to unknown code count as passed on. A training part that is split once more is all rows again. A test set without
    labels, as in a competition, is only predicted: nothing is evaluated there, and nothing reported. Of several fits side by
    side, each for some columns, the first is reported. Stateless transformers and label encoders learn nothing that leaks. The
    fix moves the split up where the two statements follow one another.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Evaluated)

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        for leak in leaks(evaluated, FitKind.TRANSFORM, by=(Means.ESTIMATOR, Means.FUNCTION)):
            yield self.found(
                leak.fit.site,
                f"{learning(leak.fit)} rows that are later held out, so the evaluation does not use unseen data{leak.beside}",
                hint=_hint(leak.fit),
                trail=leak.trail,
                last=(evaluated.place.site, evaluated.how),
                fix=split_first(leak),
            )


def _hint(fit: Fit) -> str:
    if fit.means is Means.ESTIMATOR:
        return f"split first and fit on the training set only, or put the {fit.estimator} into a Pipeline"
    return "split first and scale both parts with the statistics of the training set"
