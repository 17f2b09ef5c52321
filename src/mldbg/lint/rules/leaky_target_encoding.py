from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Evaluated, Fitted
from mldbg.lint.interpret.value import FitKind, Means
from mldbg.lint.leakage import Leak, leaks
from mldbg.lint.library.names import says_label
from mldbg.lint.rule import Rule, Topic, hears


class LeakyTargetEncoding(Rule):
    """categories are replaced by means of the target that were taken of rows that are held out later

    ## Why
    The mean target of a category with few rows is nearly the target of each of them. Computed before the split, it hands the
    model the answers of the test rows: rare categories are predicted perfectly, and nothing of it holds for new rows.

    ## Bad
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import train_test_split

        def evaluate(flats):
            flats["city_rent"] = flats.groupby("city")["rent"].transform("mean")
            train, test = train_test_split(flats, random_state=0)
            model = Ridge().fit(train[["area", "city_rent"]], train["rent"])
            return model.score(test[["area", "city_rent"]], test["rent"])

    ## Good
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import train_test_split

        def evaluate(flats):
            train, test = train_test_split(flats, random_state=0)
            means = train.groupby("city")["rent"].mean()
            model = Ridge().fit(train[["area"]].assign(city_rent=train["city"].map(means)), train["rent"])
            return model.score(test[["area"]].assign(city_rent=test["city"].map(means)), test["rent"])

    ## Limits
    Means by group, as pandas computes them, count where their column is the one that a model learns to predict, or is named like
    labels; and so do the encoders of category_encoders. They have to be taken of rows that are split or cross-validated, with the
    held-out part evaluated or passed on. Means of training rows that are used for these rows themselves lead to overfitting but
    leave the test score honest: they are not reported, nor are sums and counts from which a row's own target is taken out.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Evaluated, Fitted)

    def __init__(self) -> None:
        self.targets: set[str] = set()
        self.leaking: list[Leak] = []

    def on_fitted(self, fitted: Fitted) -> Iterator[Finding]:
        data = fitted.labels.data if fitted.labels is not None else None
        if data is not None and data.column is not None and fitted.predicts:
            self.targets.add(data.column)
        yield from ()

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        self.leaking += leaks(evaluated, FitKind.TARGET)
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        for leak in self.leaking:
            fit = leak.fit
            if fit.column is None or fit.column in self.targets or (not self.targets and says_label(fit.column)):
                yield self.found(
                    fit.site,
                    f"{_encoding(leak)} rows that are later held out: it tells the model their targets",
                    hint="take the means of the training part only, or encode out of fold",
                    trail=leak.trail,
                    last=(leak.evaluated.place.site, leak.evaluated.how),
                )
        self.targets.clear()
        self.leaking.clear()


def _encoding(leak: Leak) -> str:
    if leak.fit.means is Means.ESTIMATOR:
        return f"{leak.fit.estimator} is fitted on the targets of"
    return f"{leak.fit.estimator} uses means of"
