from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.ladder import (
    OVER_CLASSES,
    BatchesOfLosses,
    axis_parameter,
    calls_of_losses,
    class_axis,
    ladder,
    loss_named,
    shape_of,
    short,
)
from mldbg.lint.rule import Rule, Topic, calls


class ArgmaxOverBatch(Rule):
    """argmax along the batch, or over all of it, where each sample has a prediction

    ## Why
    Along axis 0 argmax says which sample has the highest score for each class. Without `dim` it gives one number for the whole
    batch, an index into the flattened tensor. Compared with labels, both give an accuracy of chance and no error.

    ## Bad
        import torch
        from jaxtyping import Float, Int
        from torch import Tensor

        def accuracy(logits: Float[Tensor, "batch classes"], labels: Int[Tensor, "batch"]) -> Tensor:
            return (logits.argmax() == labels).float().mean()

    ## Good
        import torch
        from jaxtyping import Float, Int
        from torch import Tensor

        def accuracy(logits: Float[Tensor, "batch classes"], labels: Int[Tensor, "batch"]) -> Tensor:
            return (logits.argmax(dim=1) == labels).float().mean()

    ## Limits
    Fires when the first axis is known to be that of the batch and there are more axes: a convolution, batch normalisation or
    a recurrent layer with `batch_first` came before, the axis was given a name that says so, or a loss over classes has taken the
    same tensor; or the source says that predictions are compared with the labels of a loader's batch (without an axis that is
    *suspicious*, for the batches may hold one sample). The fix takes the only other axis with more than one entry, or the one
    that is named after the classes.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = calls("torch.argmax", "torch.Tensor.argmax", "torch.max", "torch.Tensor.max", *calls_of_losses(*OVER_CLASSES))

    def __init__(self) -> None:
        self._batches = BatchesOfLosses()

    def on_call(self, call: Call) -> Iterator[Finding]:
        if loss_named(call.name) is not None:
            self._batches.note(call)
            return
        value = call.argument("input")
        shape = shape_of(value)
        name = axis_parameter(call)
        dim = call.argument(name)
        axis = dim.constant if isinstance(dim.constant, int) and not isinstance(dim.constant, bool) else None
        whole = (name not in call.arguments or dim.is_none) and "argmax" in call.name
        if axis is None and not whole:
            return
        if shape is None or not self._batches.hold(value, axis):
            yield from self._by_labels(call, axis)
            return
        site = call.place.site
        what = "over the whole batch" if whole else f"along the batch, axis {axis}"
        yield self.found(
            site,
            f"{short(call.name)} runs {what} of {shape}: no sample gets a prediction of its own",
            hint="take the axis of the classes, mostly dim=-1",
            ladder=ladder(value),
            last=(site, f"{short(call.name)} runs here"),
            fix=_fix(call, axis or 0),
        )

    def _by_labels(self, call: Call, axis: int | None) -> Iterator[Finding]:
        """Predictions that are compared with the labels of a batch, of a model of which nothing is known."""
        scores = call.nodes.get("input") or nodes.receiver_of(call.place.site.node)
        shape = shape_of(call.argument("input"))
        if axis not in (None, 0) or scores is None or (shape is not None and shape.rank == 1):
            return
        if not edit.is_prediction_for_labels(call.place, scores):
            return
        site = call.place.site
        change = edit.with_argument(call, axis_parameter(call), "1") if axis == 0 else None
        found = self.found(
            site,
            f"{short(call.name)} runs {'over the whole batch' if axis is None else 'along the batch'}, "
            "but is compared with one label for each sample",
            hint="take the axis of the classes, mostly dim=-1",
            fix=edit.unsafe(change) if change is not None else None,
        )
        yield found if axis == 0 else replace(found, group=Group.SUSPICIOUS)  # it may be a loader of single samples


def _fix(call: Call, batch: int) -> Fix | None:
    """The axis of the classes, where that is plain."""
    axis = class_axis(call.argument("input"), batch)
    change = edit.with_argument(call, axis_parameter(call), str(axis)) if axis is not None else None
    return edit.unsafe(change) if change is not None else None
