from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic


class LogSoftmaxBeforeCrossEntropy(Rule):
    """log-softmax output reaches cross-entropy, which applies log-softmax itself

    ## Why
    Log-softmax is idempotent, so the loss is correct, and the first log-softmax is wasted work. It is often the sign
    of a model that was written for `NLLLoss`, where it belongs.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            return F.cross_entropy(F.log_softmax(head(x), dim=1), y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            return F.cross_entropy(head(x), y)

    ## Limits
    Fires only when the value is known to be the output of a log-softmax on every path.
    """

    group = Group.REDUNDANT
    topic = Topic.LOSSES
    listens_to = calls("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss.__call__")

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning is Semantic.LOG_PROBS:
            yield self.found(
                call.place.site,
                "cross-entropy gets log-probabilities: log-softmax is computed twice",
                hint="pass the logits, or use nll_loss on the log-probabilities",
                trail=value.trail,
                last=(call.place.site, "cross-entropy applies log-softmax to it"),
                fix=edit.without_activation(call, "input"),
            )
