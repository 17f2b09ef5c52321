from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.facts import Backward, Evaluated, Fitted, GradientUse, ModelCall
from mldbg.lint.interpret.value import Data, Known, Role, Trail, first_step
from mldbg.lint.overlap import fed_by, overlap
from mldbg.lint.rule import Rule, Topic, hears

_PICKS = re.compile(r"Subset|[sS]ampler|randperm|permutation|isin\(|\[:|:\]|\.(?:select|take|skip|filter)\(")
"""What takes some of the rows of a set."""

_SETS = frozenset({Made.OBJECT, Made.PARAMETER, Made.ATTRIBUTE, Made.COPY})
"""What a data set is, other than some part that was taken out of something."""


@dataclass(frozen=True, slots=True)
class _Learned:
    """Rows that a model has learned from, and where."""

    rows: Data
    site: Site


class OverlappingSplits(Rule):
    """a model is evaluated on rows that it has learned from, because two splits or two loaders share them

    ## Why
    Two random splits of the same rows cut them in different places: most of what one of them holds out is in the other one's
    training part. The same happens where a loader gets `subset.dataset` instead of the subset, or one set is given to two
    loaders. The score is then largely one of rows that the model has seen, and says nothing of new ones.

    ## Bad
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import train_test_split

        def evaluate(table, features):
            train, _ = train_test_split(table, test_size=0.2, random_state=1)
            _, test = train_test_split(table, test_size=0.2, random_state=2)
            model = RandomForestClassifier().fit(train[features], train["label"])
            return model.score(test[features], test["label"])

    ## Good
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import train_test_split

        def evaluate(table, features):
            train, test = train_test_split(table, test_size=0.2, random_state=1)
            model = RandomForestClassifier().fit(train[features], train["label"])
            return model.score(test[features], test["label"])

    ## Limits
    Which rows two values share follows from the splits that they went through, from `Subset.dataset`, and from the set that a
    loader was built with. A function that reads the rows and splits them without a seed makes two splits where it is called for
    one part and again for the other. Splits with the same arguments and the same seed are one split. A held-out part may be
    split again; rows split off a training part belong to nothing that was fitted on the whole of it. Rows that are in a table
    twice, and files with the same rows, are not seen.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Fitted, Backward, GradientUse, Evaluated, ModelCall)

    def __init__(self) -> None:
        self.fitted: dict[object, _Learned] = {}
        self.learned: dict[Data, _Learned] = {}
        self.waiting: list[_Learned] = []
        self.drawn_twice: list[tuple[Data, Finding]] = []

    def at_end(self) -> Iterator[Finding]:
        trained = {learned.rows.rows for learned in self.learned.values()}
        yield from (found for data, found in self.drawn_twice if data.rows not in trained)
        self.drawn_twice.clear()
        self.fitted.clear()
        self.learned.clear()
        self.waiting.clear()

    def on_fitted(self, fitted: Fitted) -> Iterator[Finding]:
        if fitted.predicts and fitted.value.rows:
            data = fitted.value.data or Data(rows=fitted.value.rows)
            self.fitted[fitted.estimator.rows] = _Learned(data.as_part(), fitted.place.site)
        yield from ()

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        for rows in backward.loss.data.scores if backward.loss.data is not None else ():
            self.waiting.append(_Learned(rows, backward.place.site))
        yield from ()

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        if not use.clip:  # gradients that no optimizer uses are those of an attack, or of a picture
            for learned in self.waiting:
                self.learned.setdefault(learned.rows, learned)
            self.waiting.clear()
        yield from ()

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        learned = self.fitted.get(evaluated.estimator.rows) if evaluated.estimator.rows else None
        data = evaluated.value.data
        if learned is not None and data is not None:
            reason = overlap(learned.rows, data, fitted=True)
            if reason is not None:
                yield self._shared(evaluated.place.site, reason, learned, data, evaluated.how)

    def on_model_call(self, call: ModelCall) -> Iterator[Finding]:
        data = call.data.data
        if data is None or (call.grad and call.training is not False):
            return
        for learned in list(self.learned.values()):
            reason = overlap(learned.rows, data) or _named_otherwise(learned.rows, data, call)
            if reason is not None:
                found = self._shared(call.place.site, reason, learned, data, "the model is evaluated on them")
                if learned.rows.rows == data.rows:
                    yield found
                else:  # another model may be trained on the other part of this split
                    self.drawn_twice.append((data, found))
                return

    def _shared(self, site: Site, reason: str, learned: _Learned, data: Data, how: str) -> Finding:
        anew = data.split if learned.rows.rows != data.rows else None  # what is wrong is that this split is made twice
        return self.found(
            anew or site,
            f"the model is evaluated on rows that it has learned from: {reason}",
            hint="take both parts from one split, and give each loader the part that is meant for it",
            trail=_way(learned, data),
            last=(site, how),
        )


def _named_otherwise(learned: Data, data: Data, call: ModelCall) -> str | None:
    """A loader that is called one of held-out rows holds the very rows that the model learns from."""
    by_name = data.known is learned.known is Known.NAME and data.role is not learned.role
    if by_name and data.itself is not None and data.itself is learned.itself:
        return "one set has two names, and was given to the loaders of both parts"
    name = next(fed_by(call), None)
    if name is None or data.rows != learned.rows or not _is_one_set(learned, data):
        return None
    modules = {call.place.site.part.module, *(row.site.part.module for row in data.rows if row.site is not None)}
    if any(_PICKS.search(module.text) for module in modules):
        return None  # rows may have been picked by numbers that are not followed
    return f"`{name}` holds the set that the model learns from"


def _is_one_set(learned: Data, data: Data) -> bool:
    if data.as_part() == learned.as_part():
        if data.role is None:
            return all(row.kind in _SETS for row in data.rows)
        return data.known in (Known.LIBRARY, Known.SPLIT, Known.NAMED_PART) and data.role is Role.TRAIN
    return data.role is None and data.split is None and learned.role is Role.TRAIN and learned.split is not None


def _way(learned: _Learned, data: Data) -> Trail:
    here = first_step(learned.site, "the model learns from these rows here")
    if data.split is not None and data.split is not learned.site:
        return Trail(data.split, "those for the evaluation are split off here", here, 2)
    return here
