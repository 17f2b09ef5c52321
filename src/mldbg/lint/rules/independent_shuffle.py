from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Paired
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears


class IndependentShuffle(Rule):
    """inputs and labels are shuffled each by itself, and then taken for pairs

    ## Why
    Two shuffles draw two orders: afterwards a row's label is the one of some other row. The model learns the share of each
    class and nothing else, the loss stays at chance level, and no error is raised, because the lengths still agree.

    ## Bad
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        def fit(X, y):
            np.random.shuffle(X)
            np.random.shuffle(y)
            return LogisticRegression().fit(X, y)

    ## Good
        import numpy as np
        from sklearn.linear_model import LogisticRegression

        def fit(X, y):
            order = np.random.permutation(len(X))
            return LogisticRegression().fit(X[order], y[order])

    ## Limits
    Followed are the shuffles of Python, numpy, torch, pandas (`sample(frac=1)`) and scikit-learn, and orders that are drawn as
    indices. Two shuffles with the same seed, set again before the second, give the same order. Shuffling only the labels, or
    the labels once more, is a test against chance and is left alone. Pairs are what goes together into `fit`, a split, a
    `TensorDataset`, or `zip` where the second is named like labels.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Paired)

    def on_paired(self, paired: Paired) -> Iterator[Finding]:
        named = [f"`{name}`" if name else what for name, what in zip(paired.names, ("inputs", "labels"), strict=True)]
        yield self.found(
            paired.second,
            f"{named[0]} and {named[1]} are shuffled each by itself, so that their rows no longer belong together",
            hint="draw one order for both: `order = rng.permutation(len(X)); X, y = X[order], y[order]`",
            trail=first_step(paired.first, f"{named[0]} gets one order"),
            last=(paired.place.site, "the rows are taken for pairs"),
        )
