from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


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
    listens_to, on_call = misuse.of(__name__)
