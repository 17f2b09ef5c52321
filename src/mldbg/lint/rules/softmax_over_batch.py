from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.draws import PICKS, picked_beside_softmax
from mldbg.lint.finding import Edit, Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.ladder import (
    BatchesOfLosses,
    axis_parameter,
    batch_axis,
    calls_of_losses,
    class_axis,
    ladder,
    loss_named,
    shape_of,
    short,
)
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.torch import NORMALIZERS
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.value import Value


class SoftmaxOverBatch(Rule):
    """softmax along the batch: the samples compete with one another

    ## Why
    What comes out adds up to one over the batch, not over the classes. The probability of a sample then depends on which others
    happen to be in its batch, and a batch of one gives 1 everywhere.

    ## Bad
        import torch.nn.functional as F
        from jaxtyping import Float
        from torch import Tensor

        def probabilities(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
            return F.softmax(logits, dim=0)

    ## Good
        import torch.nn.functional as F
        from jaxtyping import Float
        from torch import Tensor

        def probabilities(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
            return F.softmax(logits, dim=1)

    ## Limits
    Fires when the axis is known to be that of the batch: a convolution, batch normalisation or a recurrent layer with
    `batch_first` came before, the axis was given a name that says so, or a draw or an argmax takes the last axis of the result,
    or a loss has taken the same tensor for a batch. Tables with two batch axes, as in contrastive losses, are left alone. The fix
    takes the only other axis with more than one entry, or the one that is named after the classes.
    """

    group = Group.CORRECTNESS
    topic = Topic.SHAPES
    about_shapes = True
    about_experiments = True
    listens_to = calls(*NORMALIZERS, *calls_of_losses("cross_entropy", "nll_loss", "ctc_loss"), *PICKS)

    def __init__(self) -> None:
        self._batches = BatchesOfLosses()

    def on_call(self, call: Call) -> Iterator[Finding]:
        if loss_named(call.name) is not None:
            self._batches.note(call)
            yield from self._on_loss(call)
            return
        if call.name in PICKS:
            yield from picked_beside_softmax(self, call, over_first=True)
            return
        value = call.argument("input")
        shape = shape_of(value)
        name = axis_parameter(call)
        dim = call.argument(name)
        axis = dim.constant if isinstance(dim.constant, int) else None
        if shape is None or (axis is None and name in call.arguments and not dim.is_none):
            return
        if axis is None:
            axis = 0 if shape.rank in (0, 1, 3) else 1  # what torch takes where nobody says it
        if not self._batches.hold(value, axis) or value.meaning in (
            Semantic.PROBS,
            Semantic.LOG_PROBS,
        ):  # Sinkhorn's rows and columns
            return
        site = call.place.site
        yield self.found(
            site,
            f"{short(call.name)} runs along the batch, axis {axis} of {shape}",
            hint="take the axis of the classes, mostly dim=-1",
            ladder=ladder(value),
            last=(site, f"{short(call.name)} runs along axis {axis} here"),
            fix=_along_classes(value, axis, lambda axis: edit.with_argument(call, name, str(axis))),
        )

    def _on_loss(self, call: Call) -> Iterator[Finding]:
        """Log-probabilities that add up over the batch, where a loss shows which axis that is."""
        value = call.argument("log_probs" if "log_probs" in call.arguments else "input")
        along, shape = value.axes.along, shape_of(value)
        made = value.origin.site if value.origin is not None else None
        if value.meaning is not Semantic.LOG_PROBS or along is None or made is None or not batch_axis(value, along):
            return
        yield self.found(
            made,
            f"log-softmax ran along the batch, axis {along} of {shape}",
            hint="take the axis of the classes, mostly dim=-1",
            trail=value.trail,
            last=(call.place.site, f"`{loss_named(call.name)}` is called here"),
            fix=_along_classes(value, along, lambda axis: edit.with_axis(made, axis)),
        )


def _along_classes(value: Value, batch: int, change: Callable[[int], Edit | None]) -> Fix | None:
    """The axis of the classes, where that is plain."""
    axis = class_axis(value, batch)
    made = change(axis) if axis is not None else None
    return edit.unsafe(made) if made is not None else None
