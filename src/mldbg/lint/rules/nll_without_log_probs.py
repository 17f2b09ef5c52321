from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class NllWithoutLogProbs(Rule):
    """NLLLoss gets logits or probabilities instead of log-probabilities

    ## Why
    `NLLLoss` only picks the target's entry and flips its sign. On logits it has no minimum: it decreases without
    bound as the logits grow. On probabilities it lies between -1 and 0 and barely punishes a confident mistake.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            return F.nll_loss(head(x), y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 10)

        def loss_of(x, y):
            return F.nll_loss(F.log_softmax(head(x), dim=1), y)

    ## Limits
    Fires only when the value's meaning is known on every path.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
