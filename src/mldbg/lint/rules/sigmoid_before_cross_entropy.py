from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic


class SigmoidBeforeCrossEntropy(Rule):
    """sigmoid or ReLU output is used as logits of cross-entropy

    ## Why
    Cross-entropy expects unbounded logits. After a sigmoid they lie between 0 and 1, after a ReLU they are
    non-negative: the softmax inside can then no longer express certainty (sigmoid), or classes at zero get no
    gradient (ReLU).

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
    Fires only when the last operation on every path is a sigmoid, ReLU or softplus; a ReLU before the last layer is
    fine.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls("torch.nn.functional.cross_entropy", "torch.nn.CrossEntropyLoss.__call__")

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning in (Semantic.UNIT_INTERVAL, Semantic.NON_NEGATIVE):
            yield self.found(
                call.place.site,
                f"cross-entropy gets {value.meaning.words} where it expects logits",
                hint="pass the last linear layer's output; for independent labels use binary_cross_entropy_with_logits",
                trail=value.trail,
                last=(call.place.site, "cross-entropy interprets it as logits"),
            )
