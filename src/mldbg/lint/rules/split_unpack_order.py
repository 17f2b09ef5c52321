from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.library.names import array_and_part
from mldbg.lint.rule import Rule, Topic, calls


class SplitUnpackOrder(Rule):
    """results of train_test_split are unpacked in the wrong order

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
    Judged by the names of the targets; silent unless they tell both the array and the part. Where only the two parts
    are swapped and the sizes say that the first part is the smaller one, the swap is deliberate. The fix is safe
    where inputs were paired with inputs; where it turns another part into the training part, it needs review.
    """

    group = Group.CORRECTNESS
    topic = Topic.LEAKAGE
    listens_to = calls("sklearn.model_selection.train_test_split")

    def on_call(self, call: Call) -> Iterator[Finding]:
        wanted = _in_returned_order(call)
        if wanted and wanted != call.targets and not (_exchanges_parts(call.targets, wanted) and _first_part_is_small(call)):
            yield self.found(
                call.place.site,
                f"unpacked as {', '.join(call.targets)}, but returned as {', '.join(wanted)}",
                hint="for each array, train_test_split returns the training part, then the test part",
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
    given = [nodes.code(arg.value).lower() for arg in call.node.args if arg.keyword is None and arg.star == ""]
    if len(given) != len(arrays):
        return ()
    if set(given) == set(arrays):
        arrays = given
    return tuple(told[array, part] for array in arrays for part in ("train", "test"))


def _exchanges_parts(targets: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether inputs go with labels as they should, and only the two parts stand in each other's place."""
    return all({targets[index], targets[index + 1]} == {wanted[index], wanted[index + 1]} for index in range(0, len(wanted), 2))


def _first_part_is_small(call: Call) -> bool:
    """Whether the sizes say that what is returned first is at most one half: the name `test` is right for it then."""
    first, second = call.argument("train_size").constant, call.argument("test_size").constant
    return (isinstance(first, float) and first <= 0.5) or (isinstance(second, float) and second >= 0.5)


def _fix(call: Call, wanted: tuple[str, ...]) -> Fix | None:
    names = edit.unpacked_names(call.place.site)
    if len(names) != len(wanted):
        return None
    part = call.place.site.part
    changes = [edit.replaced(part, node, name) for node, name in zip(names, wanted, strict=True) if nodes.code(node) != name]
    # Exchanged parts may be meant so: a study of small training sets trains on the small part on purpose.
    return edit.safe(*changes) if _training_part_stays(call.targets, wanted) else edit.unsafe(*changes)


def _training_part_stays(targets: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether the new order leaves the features of the training part where they were."""
    return targets[0] == wanted[0]
