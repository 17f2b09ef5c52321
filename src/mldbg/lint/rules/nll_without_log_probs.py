from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic


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
    listens_to = calls("torch.nn.functional.nll_loss", "torch.nn.NLLLoss.__call__")

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning in (Semantic.LOGITS, Semantic.PROBS, Semantic.UNIT_INTERVAL, Semantic.NON_NEGATIVE):
            yield self.found(
                call.place.site,
                f"negative log-likelihood gets {value.meaning.words} where it expects log-probabilities",
                hint="use cross_entropy on the logits, or log_softmax before nll_loss",
                trail=value.trail,
                last=(call.place.site, "nll_loss interprets it as log-probabilities"),
                fix=_fix(call),
            )


def _fix(call: Call) -> Fix | None:
    """On logits cross-entropy is meant; a softmax that only the loss uses becomes a log-softmax."""
    if call.argument("input").meaning is not Semantic.LOGITS:
        return edit.other_activation(call, "input", {"softmax": "log_softmax", "Softmax": "LogSoftmax"})
    made = edit.constructor(call)
    change = edit.renamed(made or call.place.site, "CrossEntropyLoss" if made is not None else "cross_entropy")
    return edit.unsafe(change) if change is not None else None
