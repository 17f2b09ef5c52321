from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class CtcWithoutLogProbs(Rule):
    """CTCLoss gets logits or probabilities instead of log-probabilities

    ## Why
    `CTCLoss` adds up the log-probabilities of all alignments and applies no softmax itself. On logits the loss can be lowered by
    raising every score: it becomes negative, and the alignments are never learned.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 32)

        def loss_of(frames, targets, lengths, target_lengths):
            scores = head(frames)
            return F.ctc_loss(scores, targets, lengths, target_lengths)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        head = nn.Linear(64, 32)

        def loss_of(frames, targets, lengths, target_lengths):
            log_probs = F.log_softmax(head(frames), dim=-1)
            return F.ctc_loss(log_probs, targets, lengths, target_lengths)

    ## Limits
    Fires only when the value's meaning is known on every path. Losses of other packages, some of which take logits, are left
    alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
