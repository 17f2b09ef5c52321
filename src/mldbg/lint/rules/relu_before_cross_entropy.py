from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class ReluBeforeCrossEntropy(Rule):
    """ReLU or softplus output is used as logits of cross-entropy

    ## Why
    Cross-entropy expects unbounded logits. After a ReLU no score is below zero: a class whose score falls to zero gets no
    gradient any more, and if all do, the prediction stays uniform.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            scores = F.relu(head(x))
            return F.cross_entropy(scores, y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        body, head = nn.Linear(64, 64), nn.Linear(64, 10)

        def loss_of(x, y):
            return F.cross_entropy(head(F.relu(body(x))), y)

    ## Limits
    Fires only when the last operation on every path is a ReLU or softplus; a ReLU before the last layer is fine.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
