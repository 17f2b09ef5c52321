from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import SINGLE_LOGIT
from mldbg.operations.torch import NORMALIZERS


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
    attention.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*NORMALIZERS, *misuse.calls_of(SINGLE_LOGIT))

    def on_call(self, call: Call) -> Iterator[Finding]:
        axes = call.argument("input").axes
        if axes.last != 1:
            return
        loss = call.name not in NORMALIZERS
        axis = 1 if loss else call.argument("dim").constant
        if axis == -1 or (axes.rank is not None and axis == axes.rank - 1):
            what = "cross-entropy" if loss else "softmax"
            yield self.found(
                call.place.site,
                SINGLE_LOGIT.message_on(None, what=what),
                hint=SINGLE_LOGIT.hint,
                trail=call.argument("input").trail,
                last=(call.place.site, SINGLE_LOGIT.last.format(what=what)),
            )
