from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Learned
from mldbg.lint.rule import Rule, Topic, hears

if TYPE_CHECKING:
    from mldbg.lint.interpret.table import Column


class TargetInFeatures(Rule):
    """a model is fitted on features among which the target still is

    ## Why
    The model copies its answer from the question: the score is perfect, or nearly so, whatever the other columns hold, and
    nothing of it is left once the target is not known.

    ## Bad
        import pandas as pd
        from sklearn.ensemble import RandomForestClassifier

        def fit(path):
            df = pd.read_csv(path)
            y = df["churn"]
            X = df.drop(columns=["customer_id"])
            return RandomForestClassifier().fit(X, y)

    ## Good
        import pandas as pd
        from sklearn.ensemble import RandomForestClassifier

        def fit(path):
            df = pd.read_csv(path)
            y = df["churn"]
            X = df.drop(columns=["customer_id", "churn"])
            return RandomForestClassifier().fit(X, y)

    ## Limits
    Follows which columns of one table the features and the labels are: by name, or counted, through `drop`, lists of names and
    of `df.columns`, `loc`, `iloc` and slices of arrays, splits, scalers and functions. Where a column is dropped under a name
    that is not known, nothing is. Only models that take all columns are of interest: a Pipeline with a ColumnTransformer picks
    its own.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(Learned)

    def on_learned(self, learned: Learned) -> Iterator[Finding]:
        data, labels = learned.features.data, learned.labels.data
        if data is not None and labels is not None and data.split is labels.split and data.role is not labels.role:
            return  # a split that was unpacked in another order than it comes in is another rule's
        table, target = data.table if data is not None else None, labels.table if labels is not None else None
        if table is None or target is None or table.of is None or table.of is not target.of or target.column is None:
            return
        if table.cut != target.cut:
            return  # other rows of the same columns: the past of the target
        for twin in sorted((table.alike(target.column) | target.alike(target.column)) - {target.column}, key=str):
            if table.holds(twin) and not table.holds(target.column) and twin not in dict(table.later):
                yield self.found(
                    learned.place.site,
                    f"the target {_said(target.column)} and the feature {_said(twin)} are computed from one another",
                    hint="drop both from the features before the model is fitted",
                    last=(learned.place.site, f"the features are {_columns(table.only)}, and the labels {_said(target.column)}"),
                )
        if table.holds(target.column):
            yield self.found(
                learned.place.site,
                f"the target {_said(target.column)} is still among the features",
                hint="drop it from the features before the model is fitted",
                last=(learned.place.site, f"the features are {_columns(table.only)}, and the labels {_said(target.column)}"),
            )


def _said(column: Column) -> str:
    return f"`{column}`" if isinstance(column, str) else f"(column {column[1]})"


def _columns(only: frozenset[Column] | None) -> str:
    if only is None:
        return "all columns that were not dropped"
    return ", ".join(sorted(str(one) if isinstance(one, str) else f"column {one[1]}" for one in only))
