from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.ladder import calls_of_losses, ladder, loss_named, shape_of, supposed_shape
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import LOSSES

if TYPE_CHECKING:
    from mldbg.operations.shape import Shape


def _meets_all(one: Shape, two: Shape) -> bool:
    """Whether a column meets a row: `(n, 1)` and `(n,)`, also where nothing but the last axis of the column is known."""
    from mldbg.operations.shape import crossed

    if crossed(one, two):
        return True
    for column, row in ((one, two), (two, one)):
        if row.rest is None and len(row.front) == 1 and row.front[0] != 1 and column.at_end(0) == 1 and column.least_rank >= 1:
            return column.rank is None or column.rank >= 2
    return False


class BroadcastLoss(Rule):
    """a loss compares each prediction with every target, for their shapes are broadcast

    ## Why
    `(n, 1)` against `(n,)` gives `(n, n)`: each prediction is compared with each target. Nothing fails, the loss falls to the
    variance of the targets, and the model learns their mean.

    ## Bad
        import torch
        from torch import nn

        def main():
            x, y = torch.randn(64, 8), torch.randn(64)
            model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
            return nn.functional.mse_loss(model(x), y)

    ## Good
        import torch
        from torch import nn

        def main():
            x, y = torch.randn(64, 8), torch.randn(64)
            model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 1))
            return nn.functional.mse_loss(model(x).squeeze(-1), y)

    ## Limits
    Fires when both shapes are known well enough: one has an axis of size 1 that the other lacks. A table of all pairs that
    is meant has `reduction="none"` and an axis that was put in for it. The fix squeezes the axis of size 1 in the call. Where the
    target is an array of labels of which only the name is known, as in `torch.tensor(target.to_numpy())`, the finding is
    *suspicious*: it supposes that they are one column.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = calls(*calls_of_losses(*(name for name, loss in LOSSES.items() if loss.elementwise)))

    def on_call(self, call: Call) -> Iterator[Finding]:
        one, two = call.argument("input"), call.argument("target")
        labels = supposed_shape(two)
        first, second = shape_of(one), labels or shape_of(two)
        if first is None or second is None or not _meets_all(first, second):
            return
        meant = call.argument("reduction").constant == "none" and any(
            each.shaped is not None and each.shaped.stretched is not None for each in (one, two)
        )
        if meant:
            return
        site = call.place.site
        found = self.found(
            site,
            f"`{loss_named(call.name)}` compares each prediction with every target: {first} against {second}",
            hint="give both the same shape, with squeeze(-1) on the prediction or unsqueeze(-1) on the target",
            ladder=ladder(one, two),
            last=(site, f"{first} and {second} are broadcast here"),
            fix=_fix(call, first, second),
        )
        yield replace(found, group=Group.SUSPICIOUS, fix=None) if labels is not None else found


def _fix(call: Call, first: Shape, second: Shape) -> Fix | None:
    """The axis of size 1 that one of both has alone is squeezed."""
    for name, column, row in (("input", first, second), ("target", second, first)):
        axis = _column_axis(column, row)
        if axis is not None:
            return edit.squeezed(call, name, axis)
    return None


def _column_axis(column: Shape, row: Shape) -> int | None:
    """The axis of size 1 of a column that meets a row, also where nothing but the last axis of the column is known."""
    from mldbg.operations.shape import extra_axis

    open_column = column.rank is None and column.at_end(0) == 1 and row.rank == 1
    return -1 if open_column else extra_axis(column, row)
