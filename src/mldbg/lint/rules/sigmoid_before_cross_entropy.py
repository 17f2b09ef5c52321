from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class SigmoidBeforeCrossEntropy(Rule):
    """sigmoid or ReLU output is used as logits of cross-entropy

    ## Why
    Cross-entropy expects unbounded logits. After a sigmoid they lie between 0 and 1, after a ReLU they are
    non-negative: the softmax inside can then no longer express certainty (sigmoid), or classes at zero get no
    gradient (ReLU).

    ## Bad
        import torch
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            scores = torch.sigmoid(head(x))
            return F.cross_entropy(scores, y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            return F.cross_entropy(head(x), y)

    ## Limits
    Fires only when the last operation on every path is a sigmoid, ReLU or softplus; a ReLU before the last layer is
    fine.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
