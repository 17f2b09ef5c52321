from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import UnknownParameter
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.suggest import did_you_mean


class InvalidStepParameter(Rule):
    """a grid or set_params names a step or a parameter that the pipeline does not have

    ## Why
    Parameters of a step are named `step__parameter`: the name that the Pipeline gives the step, two underscores, the name of
    the parameter. scikit-learn looks them up only when the search fits, perhaps after hours of loading and preparing.

    ## Bad
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        def search(X, y):
            pipe = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
            return GridSearchCV(pipe, {"svc__C": [1, 10]}).fit(X, y)

    ## Good
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import Pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC

        def search(X, y):
            pipe = Pipeline([("scale", StandardScaler()), ("clf", SVC())])
            return GridSearchCV(pipe, {"clf__C": [1, 10]}).fit(X, y)

    ## Limits
    Knows the steps of Pipeline, make_pipeline, ColumnTransformer, FeatureUnion and of voting and stacking ensembles where all
    of them are written down, and the parameters of the usual estimators of scikit-learn, in all versions together. Silent about
    steps that are computed, replaced in the same grid, or changed later.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    about_experiments = True
    listens_to = hears(UnknownParameter)

    def on_unknown_parameter(self, unknown: UnknownParameter) -> Iterator[Finding]:
        part = unknown.part
        known = ", ".join(sorted(unknown.known)[:MOST_NAMED])
        yield self.found(
            unknown.place.site,
            f"`{unknown.key}`: {unknown.owner} has nothing called `{part}`{did_you_mean(part, unknown.known)}",
            hint=f"it has {known}{' and others' if len(unknown.known) > MOST_NAMED else ''}",
        )


MOST_NAMED = 8
"""Names that a hint lists."""
