from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Evaluated
from mldbg.lint.interpret.value import FitKind, Means
from mldbg.lint.leakage import leaks, learning
from mldbg.lint.rule import Rule, Topic, hears

_TRAIN = re.compile(r"(?<![a-z])tr(?:ain)?(?![a-z])", re.IGNORECASE)
_HELD_OUT = re.compile(r"(?<![a-z])(?:va|val|valid|te|test|dev)(?![a-z])", re.IGNORECASE)


class StatisticBeforeSplit(Rule):
    """gaps are filled, values cut off or columns scaled with a statistic of rows that are held out later

    ## Why
    The mean of all rows is partly one of the rows that the model is tested on. What is filled in carries it into the training
    data, so the test rows are not unseen any more. With few rows, or many gaps, the score is too good; and the numbers that a
    model in use would fill in are other ones.

    ## Bad
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import train_test_split

        def evaluate(table):
            table["age"] = table["age"].fillna(table["age"].mean())
            train, test = train_test_split(table, random_state=0)
            model = Ridge().fit(train[["age", "income"]], train["price"])
            return model.score(test[["age", "income"]], test["price"])

    ## Good
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import train_test_split

        def evaluate(table):
            train, test = train_test_split(table, random_state=0)
            mean_age = train["age"].mean()
            model = Ridge().fit(train[["age", "income"]].fillna({"age": mean_age}), train["price"])
            return model.score(test[["age", "income"]].fillna({"age": mean_age}), test["price"])

    ## Limits
    Seen are `fillna` and `clip` of pandas, and `np.where`, that get a statistic of the rows that they are applied to, where
    these are split and the held-out part is then evaluated or passed on; and scaling by hand, `(x - x.mean()) / x.std()`. What
    an estimator or a function such as `scale()` learns is reported by fit-before-split. Constants, and what is computed for
    each row or each group by itself, are no statistic of all rows. Rows of a competition without labels are only predicted.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Evaluated)

    def on_evaluated(self, evaluated: Evaluated) -> Iterator[Finding]:
        for leak in leaks(evaluated, FitKind.STATISTIC, FitKind.TRANSFORM, by=(Means.ARITHMETIC,)):
            if _is_done_for_each_part(leak.fit.site):
                continue
            yield self.found(
                leak.fit.site,
                f"{learning(leak.fit)} rows that are later held out, so the evaluation does not use unseen data{leak.beside}",
                hint="split first, and take the statistic from the training part, for both parts",
                trail=leak.trail,
                last=(evaluated.place.site, evaluated.how),
            )


def _is_done_for_each_part(site: Site) -> bool:
    """Whether something goes through the parts of a split: `[(part - mean) / std for part in (train, val, test)]`."""
    node = site.part.parents.get(site.node)
    while node is not None:
        through = nodes.gone_through(node)
        if through is not None and _TRAIN.search(through) and _HELD_OUT.search(through):
            return True
        node = site.part.parents.get(node)
    return False
