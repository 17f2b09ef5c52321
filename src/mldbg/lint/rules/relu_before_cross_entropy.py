from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class ReluBeforeCrossEntropy(Rule):
    """ReLU or softplus output is used as logits of cross-entropy

    ## Why
    Cross-entropy expects unbounded logits. After a ReLU a class can be no less likely than the others at zero, and where its
    score is zero it gets no gradient: a class that is dead for all samples never comes back.

    ## Bad
        import torch
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            scores = F.relu(head(x))
            return F.cross_entropy(scores, y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            return F.cross_entropy(head(x), y)

    ## Limits
    Fires only when the last operation on every path is a ReLU, softplus or another activation that is never negative; one before
    the last layer is fine.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
