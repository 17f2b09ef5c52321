from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Backward, Chosen, Evaluated, Fitted, ModelCall, Scored
from mldbg.lint.interpret.value import Data, Known, Role, Value, first_step
from mldbg.lint.overlap import fed_by
from mldbg.lint.rule import Rule, Topic, hears

_HELD_OUT = re.compile(r"train ?= ?False|split ?= ?[\"'](?:test|val)|[\"'/](?:test|val|valid|validation)[\"'/.]")
_CROSS_VALIDATES = re.compile(r"best_score_|cv_results_|cross_val|cross_validate|train_test_split|\.split\(\w")
_SAYS_HELD_OUT = re.compile(r"test|val|held_?out|(?<![a-z])te(?![a-z])", re.IGNORECASE)
"""Names that contradict: the split was unpacked in another order than it comes in, which is another defect."""

_SAYS_TEST = re.compile(
    r"(?<![a-z])test[ _-]*(?:set|data|score|acc|auc|rmse|mae|mse|loss|err|f1|r2|ap\b|precision|recall)", re.IGNORECASE
)
"""What says that a score is one of the test: a smoke test and a permutation test are something else."""


class ScoreOnTrain(Rule):
    """the only score of a model is computed on the rows that it was fitted on

    ## Why
    A model can reproduce its training rows without having learned anything that holds for others: a tree or a nearest
    neighbour scores 100 % on random labels. The training score says how well the model fits, not how well it predicts.

    ## Bad
        from sklearn.metrics import accuracy_score
        from sklearn.model_selection import train_test_split
        from sklearn.tree import DecisionTreeClassifier

        def evaluate(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            tree = DecisionTreeClassifier().fit(X_train, y_train)
            return accuracy_score(y_train, tree.predict(X_train))

    ## Good
        from sklearn.metrics import accuracy_score
        from sklearn.model_selection import train_test_split
        from sklearn.tree import DecisionTreeClassifier

        def evaluate(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            tree = DecisionTreeClassifier().fit(X_train, y_train)
            return accuracy_score(y_test, tree.predict(X_test))

    ## Limits
    Fires where the rows were split, the training part is scored, and the held-out part is never predicted, scored or handed on:
    a training score beside a test score, a learning curve and cross-validation are fine, unless it is printed or kept as that of
    the test. A search that is fitted on all rows chooses what is to hold for others: a score of these rows is reported, unless
    the scores of its folds, or any others, are looked at. Where nothing was ever split otherwise, how well a model describes its
    data can be the question, and nothing is reported.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Scored, Fitted, Evaluated, Chosen, Backward, ModelCall)

    def __init__(self) -> None:
        self.scored: list[Scored] = []
        self.fitted: list[Fitted] = []
        self.learned: set[Data] = set()
        self.runs: list[ModelCall] = []
        self.has_other = False
        self.evaluated: list[Site] = []

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        self.learned |= backward.loss.data.scores if backward.loss.data is not None else frozenset()
        yield from ()

    def on_model_call(self, call: ModelCall) -> Iterator[Finding]:
        if not call.grad and next(fed_by(call), None) is None:  # what is called test data may be training data: another rule's
            self.runs.append(call)
        yield from ()

    def on_scored(self, scored: Scored) -> Iterator[Finding]:
        self.scored.append(scored)
        yield from ()

    def on_fitted(self, fitted: Fitted) -> Iterator[Finding]:
        if fitted.predicts:
            self.fitted.append(fitted)
        yield from ()

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        self.has_other = True
        self.evaluated.append(evaluated.place.site)
        yield from ()

    def on_chosen(self, chosen: Chosen) -> Iterator[Finding]:
        self.has_other = self.has_other or chosen.value.role is not Role.TRAIN
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        searches = {fit.place.site for fit in self.fitted if "SearchCV" in fit.estimator_name}
        searched = self._searched() if searches.issuperset(self.evaluated) else None
        found = list(self._called_test()) if self.has_other else [*self._judged(), *self._run()]
        found += [searched] if searched is not None else []
        self.evaluated.clear()
        self.learned.clear()
        self.runs.clear()
        self.scored.clear()
        self.fitted.clear()
        self.has_other = False
        yield from found[-1:]

    def _searched(self) -> Finding | None:
        """A search that got all rows, on which what it found is scored, and on no others."""
        on_all = [(scored, self._search_of(scored)) for scored in self.scored]
        first, search = on_all[0] if on_all else (None, None)
        if first is None or search is None or any(one is None for _, one in on_all):
            return None
        return self.found(
            first.place.site,
            "the only score is one of the rows that the search was fitted on",
            hint="report `best_score_`, or hold rows out before the search and score these",
            trail=first_step(search.place.site, "the best model is fitted again on all these rows"),
            last=(first.place.site, first.how),
        )

    def _search_of(self, scored: Scored) -> Fitted | None:
        if _SAYS_HELD_OUT.search(nodes.code(scored.place.site.node)):
            return None
        return next((one for one in self.fitted if _is_search_of(one, _part(scored.value))), None)

    def _of_fitted_rows(self) -> Iterator[tuple[Scored, Fitted]]:
        for scored in self.scored:
            part = _part(scored.value)
            fit = next((one for one in self.fitted if _part(one.value).rows == part.rows and _is_on(one, part)), None)
            if fit is not None and not _SAYS_HELD_OUT.search(nodes.code(scored.place.site.node)):
                yield scored, fit

    def _called_test(self) -> Iterator[Finding]:
        """Scores of the rows that a model was fitted on that are printed or kept as those of the test."""
        for scored, fit in self._of_fitted_rows():
            if _is_called_test(scored.place.site):
                yield self.found(
                    scored.place.site,
                    "what is called a test score is one of the rows that the model was fitted on",
                    hint="score the held-out part",
                    trail=first_step(fit.place.site, "the model is fitted on these rows"),
                    last=(scored.place.site, scored.how),
                )

    def _judged(self) -> Iterator[Finding]:
        for scored, fit in self._of_fitted_rows():
            if _validates(fit):
                continue
            yield self.found(
                scored.place.site,
                "the only score is one of the rows that the model was fitted on; those that were split off are never used",
                hint="score the held-out part",
                trail=first_step(fit.place.site, "the model is fitted on these rows"),
                last=(scored.place.site, scored.how),
            )

    def _run(self) -> Iterator[Finding]:
        """Networks that are run without gradients on the training data, and on nothing else."""
        for call in self.runs:
            part = _part(call.data)
            if part.role is Role.TRAIN and part in self.learned and _leaves_some_out(part, call.place.site.part.module.text):
                yield self.found(
                    call.place.site,
                    "the model is evaluated on the rows that it was trained on only; the held-out part is never used",
                    hint="evaluate on the held-out part",
                    last=(call.place.site, "these are training data"),
                )


def _is_called_test(site: Site) -> bool:
    """Whether a score is printed beside a text, or given a name, that says it is one of test data.

    Where a line holds several texts, it is not known which of its scores is called what.
    """
    statement = edit.statement_at(site)
    if statement is None or not nodes.is_line(statement):
        return False
    texts = [text for node in nodes.descendants(statement) if (text := nodes.raw_text_of(node))]
    said = " ".join((*texts, *(nodes.code(target) for target in nodes.targets_of(statement))))
    return len(texts) <= 1 and _SAYS_TEST.search(said) is not None and "train" not in said.lower()


def _leaves_some_out(part: Data, text: str) -> bool:
    """Whether there is a held-out part besides some training data."""
    if part.known in (Known.LIBRARY, Known.FILE):
        return _HELD_OUT.search(text) is not None
    return part.known in (Known.SPLIT, Known.NAMED_PART)


def _part(value: Value) -> Data:
    return value.data.as_part() if value.data is not None else Data(rows=value.rows)


def _is_on(fit: Fitted, part: Data) -> bool:
    """Whether a model was fitted on the training part of a split, of which this is a score."""
    fitted = _part(fit.value)
    was_split = part.role is Role.TRAIN and part.known in (Known.SPLIT, Known.NAMED_PART)
    return was_split and fitted.role is part.role and fitted.split is part.split


def _is_search_of(fit: Fitted, part: Data) -> bool:
    """Whether a search for the best setting got all rows, of which this is a score, and its own scores are not looked at."""
    fitted = _part(fit.value)
    if "SearchCV" not in fit.estimator_name or not part.rows or part.role is not None or fitted != part:
        return False
    return _CROSS_VALIDATES.search(fit.place.site.part.module.text) is None


def _validates(fit: Fitted) -> bool:
    """Whether a fit holds some of its rows out by itself."""
    text = nodes.code(fit.place.site.node)
    return "validation" in text or "eval_set" in text or "CV" in fit.estimator_name
