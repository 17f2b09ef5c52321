from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Learned
from mldbg.lint.interpret.value import first_step
from mldbg.lint.library.names import at_the_start
from mldbg.lint.rule import Rule, Topic, hears

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.table import Column


class FutureFeature(Rule):
    """a feature holds values of later rows

    ## Why
    A negative shift, a centred window and filling backwards put into a row what is only known later. A model that is given it
    as a feature predicts with tomorrow's newspaper: it scores well on any split, and cannot be used.

    ## Bad
        import pandas as pd
        from sklearn.linear_model import Ridge

        def fit(path):
            df = pd.read_csv(path)
            df["next_open"] = df["open"].shift(-1)
            df["target"] = df["close"].shift(-1)
            df = df.dropna()
            return Ridge().fit(df[["open", "next_open"]], df["target"])

    ## Good
        import pandas as pd
        from sklearn.linear_model import Ridge

        def fit(path):
            df = pd.read_csv(path)
            df["previous_open"] = df["open"].shift(1)
            df["target"] = df["close"].shift(-1)
            df = df.dropna()
            return Ridge().fit(df[["open", "previous_open"]], df["target"])

    ## Limits
    Knows `shift`, `diff` and `pct_change` with a negative number, `rolling(center=True)`, and `bfill` of a column of a table
    whose rows are known to follow one another in time. A column counts as a feature once a model is fitted on it. The target
    may look ahead. Silent where the rows are sorted backwards.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Learned)

    def on_learned(self, learned: Learned) -> Iterator[Finding]:
        data, labels = learned.features.data, learned.labels.data
        table, target = data.table if data is not None else None, labels.table if labels is not None else None
        if table is None or table.backwards:
            return
        ahead = {site: column for column, site in sorted(table.later, key=lambda one: str(one[0])) if table.holds(column)}
        if table.future is not None and table.column is None and not table.later:
            ahead[table.future] = ""
        for site, column in ahead.items():
            if target is not None and target.column is not None and target.column == column and target.of is table.of:
                continue  # the target among the features: that is another matter
            yield self.found(
                site,
                f"{_feature(column)} holds values of later rows, and a model is fitted on it",
                hint="shift forwards, so that each row only holds what was known by then",
                trail=first_step(site, f"{_how(site)} looks ahead"),
                last=(learned.place.site, f"{at_the_start(learned.estimator) or 'a model'} gets it as a feature"),
            )


def _feature(column: Column) -> str:
    return f"the feature `{column}`" if isinstance(column, str) and column else "a feature"


def _how(site: Site) -> str:
    return f"`{nodes.code(site.node)}`" if nodes.is_call(site.node) else "it"
