from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.library.names import array_and_part
from mldbg.lint.rule import Rule, calls


class SplitUnpackOrder(Rule):
    """results of train_test_split are unpacked in another order than it returns them

    ## Why
    `train_test_split(X, y)` returns `X_train, X_test, y_train, y_test`. Unpacked as `X_train, y_train, X_test,
    y_test`, inputs are paired with inputs. With one feature column the shapes even agree, and nothing fails.

    ## Bad
        from sklearn.model_selection import train_test_split

        def halves(X, y):
            X_train, y_train, X_test, y_test = train_test_split(X, y)
            return X_train, y_train

    ## Good
        from sklearn.model_selection import train_test_split

        def halves(X, y):
            X_train, X_test, y_train, y_test = train_test_split(X, y)
            return X_train, y_train

    ## Limits
    Decided from the target names; silent unless they say both the array and the part.
    """

    group = Group.CORRECTNESS
    listens_to = calls("sklearn.model_selection.train_test_split")

    def on_call(self, call: Call) -> Iterator[Finding]:
        wanted = _in_returned_order(call)
        if wanted and wanted != call.targets:
            yield self.found(
                call.place.site,
                f"unpacked as {', '.join(call.targets)}, but returned as {', '.join(wanted)}",
                hint="for each array train_test_split returns its training part, then its test part",
                last=(call.place.site, "train_test_split returns both parts of each array in turn"),
                fix=_fix(call, wanted),
            )


def _in_returned_order(call: Call) -> tuple[str, ...]:
    """The target names in the order of the values; empty where the names do not say it."""
    told = {array_and_part(name.rpartition(".")[2]): name for name in call.targets}
    arrays = list(dict.fromkeys(array for array, _ in told))
    parts = {(array, part) for array in arrays for part in ("train", "test")}
    if len(told) != len(call.targets) or set(told) != parts:
        return ()
    given = [edit.code(arg.value).lower() for arg in call.node.args if arg.keyword is None and arg.star == ""]
    if len(given) != len(arrays):
        return ()
    if set(given) == set(arrays):
        arrays = given
    return tuple(told[array, part] for array in arrays for part in ("train", "test"))


def _fix(call: Call, wanted: tuple[str, ...]) -> Fix | None:
    names = edit.unpacked_names(call.place.site)
    part = call.place.site.part
    changed = [(node, name) for node, name in zip(names, wanted, strict=False) if edit.code(node) != name]
    return edit.safe(*(edit.replaced(part, node, name) for node, name in changed)) if len(names) == len(wanted) else None
