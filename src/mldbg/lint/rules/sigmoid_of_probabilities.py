from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import SIGMOID_OF_PROBS
from mldbg.operations.torch import SIGMOIDS


class SigmoidOfProbabilities(Rule):
    """sigmoid is applied to what a sigmoid gave

    ## Why
    Sigmoid expects unbounded logits. Probabilities lie between 0 and 1, so what comes out lies between 0.5 and 0.73: above a
    threshold of 0.5 for every sample, and useless as a confidence or in a loss. Usually the model was trained with `BCELoss`
    and ends with a sigmoid, and the code that predicts was written for a model that does not.

    ## Bad
        import torch
        from torch import nn

        scorer = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid())

        @torch.no_grad()
        def is_positive(x):
            return torch.sigmoid(scorer(x)) > 0.5

    ## Good
        import torch
        from torch import nn

        scorer = nn.Sequential(nn.Linear(64, 1), nn.Sigmoid())

        @torch.no_grad()
        def is_positive(x):
            return scorer(x) > 0.5

    ## Limits
    Fires only when the value is known to lie between 0 and 1 on every path. One with a layer, an offset or a gain in between is
    fine, and so is one of several that were added up.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*SIGMOIDS)

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning in SIGMOID_OF_PROBS.gets and misuse.is_exact(value) and not misuse.is_conditional(call):
            yield self.found(
                call.place.site,
                SIGMOID_OF_PROBS.message,
                hint=SIGMOID_OF_PROBS.hint,
                trail=value.trail,
                last=(call.place.site, "sigmoid is applied to it again"),
                fix=edit.without_call(call),
            )
