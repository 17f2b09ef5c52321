from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class SigmoidBeforeCrossEntropy(Rule):
    """sigmoid output is used as logits of cross-entropy

    ## Why
    Cross-entropy expects unbounded logits. After a sigmoid they lie between 0 and 1, and the softmax inside can no longer
    express certainty: of ten classes none gets more than 0.23.

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
    Fires only when the last operation on every path is a sigmoid; one before the last layer is fine. For labels that may
    be true together, the loss is `binary_cross_entropy_with_logits`.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
