from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Evaluated
from mldbg.lint.interpret.value import FitKind
from mldbg.lint.leakage import leaks, split_first
from mldbg.lint.rule import Rule, Topic, hears


class SelectionBeforeSplit(Rule):
    """features are selected using the target of rows that are later held out

    ## Why
    Supervised selection keeps the columns that correlate with the target *in these rows*, by chance or not. Selected
    on all rows, pure noise reaches a high cross-validation score (Hastie, Tibshirani, Friedman, The Elements of
    Statistical Learning, section 7.10.2).

    ## Bad
        from sklearn.feature_selection import SelectKBest
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score

        def evaluate(X, y):
            X = SelectKBest(k=20).fit_transform(X, y)
            return cross_val_score(LogisticRegression(), X, y)

    ## Good
        from sklearn.feature_selection import SelectKBest
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import cross_val_score
        from sklearn.pipeline import make_pipeline

        def evaluate(X, y):
            return cross_val_score(make_pipeline(SelectKBest(k=20), LogisticRegression()), X, y)

    ## Limits
    Knows scikit-learn's selectors (and Boruta, mlxtend); manual selection from a table of correlations is not
    detected.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Evaluated)

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        for leak in leaks(evaluated, FitKind.SELECTION):
            yield self.found(
                leak.fit.site,
                f"{leak.fit.estimator} selects features using rows that are later held out{leak.beside}",
                hint="put the selector into a Pipeline with the model, so that it is fitted on the training rows only",
                trail=leak.trail,
                last=(evaluated.place.site, evaluated.how),
                fix=split_first(leak),
            )
