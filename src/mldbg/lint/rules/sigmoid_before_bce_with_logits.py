from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic


class SigmoidBeforeBceWithLogits(Rule):
    """sigmoid is applied before a loss that applies it again

    ## Why
    `BCEWithLogitsLoss` applies a sigmoid. Given values between 0 and 1, the second sigmoid maps them to [0.5,
    0.73]: the model can never predict the negative class with confidence, and the loss cannot fall below 0.31 for a
    positive and 0.69 for a negative.

    ## Bad
        import torch
        from torch import nn

        head = nn.Linear(20, 1)
        criterion = nn.BCEWithLogitsLoss()

        def loss_of(x, y):
            return criterion(torch.sigmoid(head(x)), y)

    ## Good
        from torch import nn

        head = nn.Linear(20, 1)
        criterion = nn.BCEWithLogitsLoss()

        def loss_of(x, y):
            return criterion(head(x), y)

    ## Limits
    Fires only when the value is known to be the output of a sigmoid or softmax on every path; a sigmoid on the
    target is fine.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls("torch.nn.functional.binary_cross_entropy_with_logits", "torch.nn.BCEWithLogitsLoss.__call__")

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning in (Semantic.UNIT_INTERVAL, Semantic.PROBS):
            yield self.found(
                call.place.site,
                "binary cross-entropy with logits gets probabilities: sigmoid is applied on top of them",
                hint="pass the logits: drop the activation before the loss and apply it only for predictions",
                trail=value.trail,
                last=(call.place.site, "the loss applies sigmoid to it"),
                fix=edit.without_activation(call, "input"),
            )
