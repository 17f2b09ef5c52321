from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import RowsSplit
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.columns import FOLLOWS_TIME

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.table import Table
    from mldbg.lint.interpret.value import Value


class ShuffledTimeSplit(Rule):
    """rows that follow one another in time are shuffled before they are split

    ## Why
    After a shuffle most test rows stand between training rows of the day before and the day after. Where rows hold lags,
    rolling statistics or overlapping windows, their neighbours hold the very same numbers, often the target itself. The score
    tells how well the model fills gaps in a past that it knows, and nothing about the future.

    ## Bad
        import pandas as pd
        from sklearn.model_selection import train_test_split

        prices = pd.read_csv("prices.csv")
        prices["yesterday"] = prices["close"].shift(1)
        X_train, X_test, y_train, y_test = train_test_split(prices[["yesterday"]], prices["close"])

    ## Good
        import pandas as pd
        from sklearn.model_selection import train_test_split

        prices = pd.read_csv("prices.csv")
        prices["yesterday"] = prices["close"].shift(1)
        X_train, X_test, y_train, y_test = train_test_split(prices[["yesterday"]], prices["close"], shuffle=False)

    ## Limits
    That rows follow one another in time is known from `shift`, `rolling`, `ewm`, `expanding`, `diff` and `pct_change` in one
    of their columns, from `resample` and `asfreq`, from overlapping windows of a series, and from sorting by a column
    that is called date or time. A date column alone says nothing, and neither do lags within groups. The splits are
    `train_test_split`, folds that shuffle, `ShuffleSplit` and `random_split`. The fix leaves the last rows for the test.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(RowsSplit)

    def on_rows_split(self, split: RowsSplit) -> Iterator[Finding]:
        timed = next(
            (table.follows for table in map(_table, split.arrays) if table is not None and table.follows is not None), None
        )
        if timed is None or split.shuffles is not True or split.grouped:
            return
        yield self.found(
            split.place.site,
            f"{split.by} shuffles rows that follow one another in time: test rows lie between rows of the training set",
            hint="split at a point in time (shuffle=False), or use TimeSeriesSplit",
            trail=first_step(timed, _why(timed)),
            last=(split.place.site, "they are shuffled here"),
            fix=_unshuffled(split),
        )


def _table(value: Value) -> Table | None:
    return value.data.table if value.data is not None else None


def _why(timed: Site) -> str:
    return FOLLOWS_TIME.get(nodes.method_of(timed.node), "each row is a window of a series, and overlaps with the next")


def _unshuffled(split: RowsSplit) -> Fix | None:
    site = split.place.site
    if split.by != "train_test_split" or edit.names_keyword(site, "stratify"):
        return None
    change = edit.with_keyword(site, "shuffle", "False")
    return edit.unsafe(change) if change is not None else None
