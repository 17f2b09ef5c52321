from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class SoftmaxBeforeCrossEntropy(Rule):
    """softmax output reaches cross-entropy, which applies log-softmax itself

    ## Why
    `CrossEntropyLoss` and `F.cross_entropy` expect logits and apply log-softmax to them. Given probabilities they
    apply softmax a second time. All inputs then lie between 0 and 1, so the predicted distribution can never get
    close to certainty: with 10 classes the lowest reachable loss is 1.46 instead of 0, and gradients are small.
    Training runs, the loss decreases, and the model is worse than it could be.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(64, 10)

            def forward(self, x):
                return F.softmax(self.head(x), dim=1)

        def loss_of(x, y):
            return F.cross_entropy(Net()(x), y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(64, 10)

            def forward(self, x):
                return self.head(x)

        def loss_of(x, y):
            return F.cross_entropy(Net()(x), y)

    ## Limits
    Fires only when the value that reaches the loss is known to be the output of a softmax on every path. Soft labels
    (softmax on the target) are fine. The fix removes the softmax if only the loss uses it.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
