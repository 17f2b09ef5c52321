from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Evaluated
from mldbg.lint.interpret.value import FitKind
from mldbg.lint.leakage import leaks, split_first
from mldbg.lint.rule import Rule, Topic, hears


class ResampleBeforeSplit(Rule):
    """rows are over-sampled before the split, so that copies of one row land on both sides

    ## Why
    Over-sampling repeats rows (or interpolates between them). If the split comes afterwards, a test row has a
    twin in the training set: the score measures memorisation. The test set also has an artificial class balance.

    ## Bad
        from imblearn.over_sampling import SMOTE
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import train_test_split

        def evaluate(X, y):
            X_res, y_res = SMOTE().fit_resample(X, y)
            X_train, X_test, y_train, y_test = train_test_split(X_res, y_res, random_state=0)
            return RandomForestClassifier().fit(X_train, y_train).score(X_test, y_test)

    ## Good
        from imblearn.over_sampling import SMOTE
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import train_test_split

        def evaluate(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            X_res, y_res = SMOTE().fit_resample(X_train, y_train)
            return RandomForestClassifier().fit(X_res, y_res).score(X_test, y_test)

    ## Limits
    Knows imbalanced-learn's over-samplers, and sklearn.utils.resample and pandas' sample with replacement. Under-sampling
    leaks nothing.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Evaluated)

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        for leak in leaks(evaluated, FitKind.RESAMPLING):
            yield self.found(
                leak.fit.site,
                f"{leak.fit.estimator} repeats or mixes rows before the split, so copies of training rows end up in the test set"
                f"{leak.beside}",
                hint="split first, then resample the training set only (or use imblearn.pipeline)",
                trail=leak.trail,
                last=(evaluated.place.site, evaluated.how),
                fix=split_first(leak),
            )
