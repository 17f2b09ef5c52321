from __future__ import annotations

from mldbg.lint import misuse
from mldbg.lint.finding import Group
from mldbg.lint.rule import Rule, Topic


class KlDivWithoutLogProbs(Rule):
    """the first argument of kl_div is not log-probabilities

    ## Why
    `kl_div(input, target)` computes `target * (log(target) - input)`: it expects the *logarithm* of the prediction.
    With probabilities or logits in its place, the result decreases during training but is not a divergence; it can
    even be negative.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        student = nn.Linear(64, 10)

        def distill(x, teacher_probs):
            return F.kl_div(F.softmax(student(x), dim=1), teacher_probs, reduction="batchmean")

    ## Good
        import torch.nn.functional as F
        from torch import nn

        student = nn.Linear(64, 10)

        def distill(x, teacher_probs):
            return F.kl_div(F.log_softmax(student(x), dim=1), teacher_probs, reduction="batchmean")

    ## Limits
    Looks at the first argument only; `log_target` says what the second one is.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to, on_call = misuse.of(__name__)
