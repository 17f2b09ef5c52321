from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mldbg.lint.finding import Finding, Group
from mldbg.lint.held_out import Choices, way_of
from mldbg.lint.interpret.facts import Chosen, Evaluated, Keeps, Loop, Scored
from mldbg.lint.rule import Rule, Topic, hears


class TestSetReused(Rule):
    """a model, a hyper-parameter or a threshold is chosen by its score on the test set

    ## Why
    The best of many settings on the test set is best partly by chance: its score there is the maximum of many noisy ones, and
    too good. The more settings are tried, and the fewer test rows there are, the larger the gap.

    ## Bad
        from sklearn.model_selection import train_test_split
        from sklearn.neighbors import KNeighborsClassifier

        def best_k(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            best, best_score = None, 0.0
            for k in range(1, 31):
                score = KNeighborsClassifier(k).fit(X_train, y_train).score(X_test, y_test)
                if score > best_score:
                    best, best_score = k, score
            print("accuracy on new data:", best_score)
            return best

    ## Good
        from sklearn.model_selection import cross_val_score, train_test_split
        from sklearn.neighbors import KNeighborsClassifier

        def best_k(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
            best, best_score = None, 0.0
            for k in range(1, 31):
                score = cross_val_score(KNeighborsClassifier(k), X_train, y_train).mean()
                if score > best_score:
                    best, best_score = k, score
            print("accuracy on new data:", KNeighborsClassifier(best).fit(X_train, y_train).score(X_test, y_test))
            return best

    ## Limits
    A choice is a comparison of scores that keeps a setting, a model or its weights, or `argmax`, and `max` with a key, of
    several scores. Scores that are only shown side by side choose nothing. What counts as test data is said on the page of
    test-as-validation, which is about the epochs of one training. Where only a variable's name says that the rows are
    test data, or nothing is seen of a final result on them, the finding is in the group suspicious.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Chosen, Evaluated, Scored, Loop)

    def __init__(self) -> None:
        self.choices = Choices()

    def on_chosen(self, chosen: Chosen) -> Iterator[Finding]:
        self.choices.hear(chosen)
        yield from ()

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        self.choices.hear(evaluated)
        yield from ()

    def on_scored(self, scored: Scored) -> Iterator[Finding]:
        self.choices.hear(scored)
        yield from ()

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        self.choices.hear(loop)
        yield from ()

    def at_end(self) -> Iterator[Finding]:
        for chosen, group in self.choices.by_test_data(trains=False):
            called = "the test set" if group is Group.CORRECTNESS else "what is called test data"
            found = self.found(
                chosen.place.site,
                f"{called} decides {chosen.keeps.value}, so its score is no longer one of unseen data",
                hint="choose by cross-validation or on a validation set, and score the test set once, at the end",
                trail=way_of(chosen),
                last=(chosen.place.site, f"its scores decide {chosen.keeps.value}"),
            )
            yield replace(found, group=Group.SUSPICIOUS if chosen.keeps is Keeps.SCORE else group)
        self.choices.forget()
