from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import RowsSplit
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears


class GroupLeakage(Rule):
    """rows of one patient, subject or user may land on both sides of a random split

    ## Why
    Rows of one person, machine or recording resemble one another far more than those of others. Where some of them are in
    the training set and some in the test set, a model scores by recognising whose they are: what is reported is how well it
    does on people it has seen.

    ## Bad
        import pandas as pd
        from sklearn.model_selection import train_test_split

        visits = pd.read_csv("visits.csv")
        print(visits["patient_id"].nunique(), "patients,", len(visits), "visits")
        train, test = train_test_split(visits, test_size=0.2, random_state=0)

    ## Good
        import pandas as pd
        from sklearn.model_selection import GroupShuffleSplit

        visits = pd.read_csv("visits.csv")
        print(visits["patient_id"].nunique(), "patients,", len(visits), "visits")
        folds = GroupShuffleSplit(n_splits=1, test_size=0.2, random_state=0)
        train, test = next(folds.split(visits, groups=visits["patient_id"]))

    ## Limits
    Judged by the name of a column that the program uses: patient, subject, participant, speaker, session and the like; of
    users, customers, devices and the like only where the program counts the different ones, or computes something within the
    rows of each. A column that is only dropped counts for nothing: it may number the rows. Silent where groups are given,
    where one row of each is kept, and where the identifiers are split instead of the rows.
    """

    group = Group.SUSPICIOUS
    topic = Topic.LEAKAGE
    about_experiments = True
    listens_to = hears(RowsSplit)

    def on_rows_split(self, split: RowsSplit) -> Iterator[Finding]:
        if split.group is None or split.grouped or split.shuffles is not True:
            return
        column, used = split.group
        yield self.found(
            split.place.site,
            f"{split.by} deals rows out at random, though `{column}` says that several may belong together",
            hint="keep them together with GroupShuffleSplit or GroupKFold, or split the identifiers",
            trail=first_step(used, f"`{column}` says whose each row is"),
            last=(split.place.site, "its rows may land on both sides"),
        )
