from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import CrossValidated
from mldbg.lint.interpret.value import Data, Fit, FitKind, Means, Role
from mldbg.lint.leakage import learning
from mldbg.lint.rule import Rule, Topic, hears


class PreprocessingOutsideCv(Rule):
    """preprocessing is fitted before the cross-validation that its result goes into, and not in each fold

    ## Why
    The scaler, imputer or decomposition has seen the rows that each fold holds out. The cross-validated scores are then a little
    too good, and settings are chosen by scores of another procedure than the one that will be used. For a mean and a standard
    deviation of many rows the difference is small; for few rows, or a decomposition of many columns, it is not.

    ## Bad
        from sklearn.decomposition import PCA
        from sklearn.model_selection import GridSearchCV, train_test_split
        from sklearn.svm import SVC

        def evaluate(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            pca = PCA(20).fit(X_train)
            search = GridSearchCV(SVC(), {"C": [0.1, 1, 10]}).fit(pca.transform(X_train), y_train)
            return search.score(pca.transform(X_test), y_test)

    ## Good
        from sklearn.decomposition import PCA
        from sklearn.model_selection import GridSearchCV, train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.svm import SVC

        def evaluate(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            search = GridSearchCV(make_pipeline(PCA(20), SVC()), {"svc__C": [0.1, 1, 10]}).fit(X_train, y_train)
            return search.score(X_test, y_test)

    ## Limits
    Fires for what fit-before-split leaves alone: preprocessing of the training part before it is cross-validated, and of all rows
    before a search. How much it matters depends on the data, so the rule is in the group suspicious. Stateless transformers
    learn nothing. Choosing columns and adding rows are the matter of selection-before-split and resample-before-split.
    """

    group = Group.SUSPICIOUS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(CrossValidated)

    def on_cross_validated(self, validated: CrossValidated) -> Iterator[Finding]:
        data = validated.value.data
        if data is None:
            return
        for fit in sorted(data.fits, key=lambda one: (one.site.part.module.path, one.site.span)):
            if fit.kind in (FitKind.TRANSFORM, FitKind.STATISTIC) and _is_contested(fit, data, searches=validated.searches):
                yield self.found(
                    fit.site,
                    f"{learning(fit)} rows that the folds of a cross-validation hold out",
                    hint=_hint(fit),
                    trail=fit.trail,
                    last=(validated.place.site, validated.how),
                )


def _is_contested(fit: Fit, data: Data, *, searches: bool) -> bool:
    """Whether a fit has seen the rows that are cross-validated, and no evaluation on others shows it."""
    if fit.rows.isdisjoint(data.rows):
        return False
    if data.role is Role.TRAIN:
        return fit.role is Role.TRAIN and data.split is not None
    return searches and data.role is None and data.split is None and fit.role is None


def _hint(fit: Fit) -> str:
    if fit.means is Means.ESTIMATOR:
        return f"put the {fit.estimator} and the model into a Pipeline, and cross-validate that"
    return "compute it in each fold: a transformer in a Pipeline does"
