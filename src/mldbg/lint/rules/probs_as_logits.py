from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.distributions import TAKES_LOGITS
from mldbg.operations.losses import PROBS_AS_LOGITS


class ProbsAsLogits(Rule):
    """a distribution gets probabilities as its logits

    ## Why
    `Categorical(logits=...)` and its kin apply softmax or sigmoid themselves. Of probabilities these make a distribution that is
    nearly uniform: an agent explores for ever, a decoder's likelihood cannot become large, and entropies stay near their
    maximum. Nothing fails.

    ## Bad
        from torch import nn
        from torch.distributions import Categorical

        policy = nn.Sequential(nn.Linear(4, 2), nn.Softmax(dim=-1))

        def act(state):
            return Categorical(logits=policy(state)).sample()

    ## Good
        from torch import nn
        from torch.distributions import Categorical

        policy = nn.Sequential(nn.Linear(4, 2), nn.Softmax(dim=-1))

        def act(state):
            return Categorical(probs=policy(state)).sample()

    ## Limits
    Fires only when the value is known to be the output of a softmax or sigmoid on every path. Log-probabilities are logits, too.
    The first positional argument of these distributions is `probs`.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*TAKES_LOGITS)

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("logits")
        axis = TAKES_LOGITS[call.name]
        elsewhere = axis is not None and value.axes.are_along(axis) is False
        if value.meaning in PROBS_AS_LOGITS.gets and not elsewhere and misuse.is_exact(value):
            yield self.found(
                call.place.site,
                PROBS_AS_LOGITS.message,
                hint=PROBS_AS_LOGITS.hint,
                trail=value.trail,
                last=(call.place.site, "the distribution normalises it as logits"),
                fix=edit.other_keyword(call, "logits", "probs"),
            )
