from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


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
    listens_to, on_call = misuse.of(__name__)
