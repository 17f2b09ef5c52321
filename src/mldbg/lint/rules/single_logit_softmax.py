from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.keras import ENDING
from mldbg.operations.losses import LOSSES, SINGLE_LOGIT
from mldbg.operations.torch import NORMALIZERS
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Site

_TAKES_RESULT = frozenset(
    name
    for loss in LOSSES.values()
    if loss.takes in (Semantic.UNIT_INTERVAL, Semantic.LOG_PROBS)
    for name in (loss.function, loss.call)
)
"""Losses that take what a softmax, or its logarithm, gives."""

_TAKES_COLUMNS = frozenset(
    name for loss in LOSSES.values() if loss.takes is Semantic.UNIT_INTERVAL for name in (loss.function, loss.call)
)
"""Losses that take one probability for each row, as a column."""


class SingleLogitSoftmax(Rule):
    """softmax or cross-entropy over a class axis of size one is constant

    ## Why
    Softmax of a single number is always 1; its logarithm and the cross-entropy are 0. The loss is constant, no
    gradient flows, and the model predicts the same for every input. One output means a binary problem:
    sigmoid and binary cross-entropy.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 1)

        def predict(x):
            return F.softmax(head(x), dim=-1)

    ## Good
        import torch
        from torch import nn

        head = nn.Linear(64, 1)

        def predict(x):
            return torch.sigmoid(head(x))

    ## Limits
    Fires when the last layer is known to have one output and the axis is known to be its last one. `dim=1` counts
    only where the tensor is known to have two axes: over a sequence, softmax of one score per step along axis 1 is
    attention. Where the size is known only to who builds the model, the softmax is reported when a loss takes its result.
    So is one whose axis is squeezed on the way to the loss, and one along axis 1 whose result is the input of `BCELoss`
    as it is.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*NORMALIZERS, *misuse.calls_of(SINGLE_LOGIT), *_TAKES_RESULT, *ENDING)

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        axes = value.axes
        site: Site | None = call.place.site
        what = "softmax"
        if call.name in ENDING:
            value = call.result
            is_single = value.meaning in (Semantic.PROBS, Semantic.LOG_PROBS) and value.axes.is_single
        elif call.name in _TAKES_RESULT:  # the softmax is in a model whose sizes are known where it is made
            made = value.meaning in (Semantic.PROBS, Semantic.LOG_PROBS) and value.origin is not None
            site = value.origin.site if made and value.origin is not None else site
            columns = axes.rank is None and axes.along == 1 and axes.last == 1 and call.name in _TAKES_COLUMNS
            is_single = axes.single or (made and (axes.is_single or columns))
        else:
            what = "softmax" if call.name in NORMALIZERS else "cross-entropy"
            axis = call.argument("dim").constant if call.name in NORMALIZERS else 1
            is_single = axes.last == 1 and (axis == -1 or (axes.rank is not None and axis == axes.rank - 1))
        if is_single and site is not None:
            yield self.found(
                site,
                SINGLE_LOGIT.message_on(None, what=what),
                hint=SINGLE_LOGIT.hint,
                trail=value.trail,
                last=(site, SINGLE_LOGIT.last.format(what=what)) if site is call.place.site else None,
            )
