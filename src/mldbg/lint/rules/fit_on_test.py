from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Evaluated, Fitted
from mldbg.lint.interpret.value import Fit, FitKind, Means, Role, Unknown
from mldbg.lint.leakage import first_of_two, learning
from mldbg.lint.library.names import at_the_start
from mldbg.lint.rule import Rule, Topic, hears

PASSING = (FitKind.CENTRING, FitKind.STATISTIC, FitKind.TARGET)
"""What is learned in passing, and by no object that was fitted before."""


class FitOnTest(Rule):
    """an estimator is fitted on test data

    ## Why
    A scaler that is fitted again on the test part maps the same measurement to another number there: the model sees
    inputs on a scale it was not trained on, and the test score belongs to a model that cannot be deployed. The test
    set must only ever be transformed.

    ## Bad
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        def evaluate(X_train, X_test, y_train, y_test):
            scaler = StandardScaler()
            X_train = scaler.fit_transform(X_train)
            X_test = scaler.fit_transform(X_test)
            return LogisticRegression().fit(X_train, y_train).score(X_test, y_test)

    ## Good
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        def evaluate(X_train, X_test, y_train, y_test):
            scaler = StandardScaler()
            X_train = scaler.fit_transform(X_train)
            X_test = scaler.transform(X_test)
            return LogisticRegression().fit(X_train, y_train).score(X_test, y_test)

    ## Limits
    Fires when the same object was fitted on training data before, when a second one of its class prepares the
    test part for a model whose training data went through the first, or when a model is trained on what a fit on test
    data has made of the training data. A helper that fits on each file it is given counts as a second object. Which set a
    value belongs to follows from the split, or else from its name. A second scaler for other purposes is left alone. The
    fix is unsafe: the object may last have been fitted on other columns, and an encoder may reject categories it has not seen.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Fitted, Evaluated)

    def on_fitted(self, fitted: Fitted) -> Iterator[Finding]:
        yield from self._fitted_again(fitted)
        yield from self._fitted_first(fitted)

    def _fitted_again(self, fitted: Fitted) -> Iterator[Finding]:
        value = fitted.value
        trained = next((fit for fit in fitted.before if fit.role is Role.TRAIN), None)
        if fitted.transforms and value.role is not None and value.role.held_out and trained is not None:
            name = at_the_start(fitted.estimator_name) or "the estimator"
            change = edit.renamed(fitted.place.site, "fit_transform", "transform") if fitted.method == "fit_transform" else None
            yield self.found(
                fitted.place.site,
                f"{name} is fitted again on {value.role.value} data: this overwrites the fit on the training data",
                hint="only call transform on held-out data, with the estimator fitted on the training set",
                trail=trained.trail,
                last=(fitted.place.site, f"the same object is fitted on {value.role.value} data"),
                fix=edit.unsafe(change) if change is not None else None,
            )

    def _fitted_first(self, fitted: Fitted) -> Iterator[Finding]:
        """A model is trained on rows that were prepared with what was learned from the test set."""
        value = fitted.value
        if fitted.transforms or isinstance(fitted.estimator.thing, Unknown) or value.role is not Role.TRAIN:
            return
        for fit in sorted(value.fits, key=lambda fit: (fit.site.part.module.path, fit.site.span)):
            if fit.role is not None and fit.role.held_out and fit.kind not in PASSING:
                yield self.found(
                    fit.site,
                    f"{learning(fit)} {fit.role.value} data, and the training data is prepared with what it learned there",
                    hint="fit on the training set, and only call transform on held-out data",
                    trail=fit.trail,
                    last=(fitted.place.site, "a model is trained on what it made of the training data"),
                )

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        for fit in evaluated.value.fits:
            if fit.kind not in PASSING:
                for first, role in _fitted_before(fit, evaluated):
                    yield self.found(
                        fit.site,
                        _second(fit, role),
                        hint="keep the object fitted on the training set and only call transform on held-out data",
                        trail=first.trail,
                        last=(evaluated.place.site, evaluated.how),
                    )


def _fitted_before(fit: Fit, evaluated: Evaluated) -> Iterator[tuple[Fit, Role]]:
    """The fits of the training data for which a fit of evaluated rows is a second one, and what these rows are."""
    if fit.role is None:  # fitted by a helper, before any name said what the rows are
        first = first_of_two(fit, evaluated) if fit.rows <= evaluated.value.rows else None
        if first is not None and evaluated.role.held_out:
            yield first, evaluated.role
    elif fit.role.held_out:
        for first in evaluated.estimator_fits:
            if first.estimator == fit.estimator and first.role is Role.TRAIN and _is_another(fit, first):
                yield first, fit.role


def _is_another(fit: Fit, first: Fit) -> bool:
    """Whether two objects were fitted; or one on the test set first, and then again on the training set."""
    if fit.by != first.by:
        return True
    return fit.site.part is first.site.part and fit.site.span < first.site.span


def _second(fit: Fit, role: Role) -> str:
    match fit.means:
        case Means.ESTIMATOR:
            return f"a second {fit.estimator} is fitted on {role.value} data; the model was trained with the first one"
        case Means.FUNCTION | Means.ARITHMETIC:
            return f"{learning(fit)} {role.value} data; the model was trained with those of the training data"
