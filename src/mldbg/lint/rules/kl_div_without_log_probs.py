from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic


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
    listens_to = calls("torch.nn.functional.kl_div", "torch.nn.KLDivLoss.__call__")

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning in (Semantic.LOGITS, Semantic.PROBS, Semantic.UNIT_INTERVAL, Semantic.NON_NEGATIVE):
            yield self.found(
                call.place.site,
                f"kl_div gets {value.meaning.words} as its first argument, where it expects log-probabilities",
                hint="apply log_softmax to the prediction; the target is the second argument",
                trail=value.trail,
                last=(call.place.site, "kl_div interprets it as log-probabilities"),
                fix=edit.other_activation(call, "input", {"softmax": "log_softmax", "Softmax": "LogSoftmax"}),
            )
