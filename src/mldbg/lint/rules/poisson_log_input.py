from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import Mark
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import LOGARITHM_AS_RATE, LOSSES, RATE_AS_LOGARITHM

_LOSS = LOSSES["poisson_nll_loss"]


class PoissonLogInput(Rule):
    """the Poisson loss gets a rate where it expects its logarithm, or the other way round

    ## Why
    `poisson_nll_loss` and `PoissonNLLLoss` take the logarithm of the rate unless `log_input=False` says otherwise. A rate (what
    an exponential or softplus gives) is exponentiated once more: the model learns the logarithm of what it is taken for. With
    `log_input=False` the output of a layer is taken for a rate, and the logarithm of a negative rate is NaN.

    ## Bad
        from torch import nn

        head = nn.Linear(64, 1)
        loss_fn = nn.PoissonNLLLoss()

        def loss_of(x, counts):
            return loss_fn(head(x).exp(), counts)

    ## Good
        from torch import nn

        head = nn.Linear(64, 1)
        loss_fn = nn.PoissonNLLLoss(log_input=False)

        def loss_of(x, counts):
            return loss_fn(head(x).exp(), counts)

    ## Limits
    Fires only when the flag is known, in the call or where the loss was built, and the last operation before the loss. A ReLU is
    not taken for a sign of a rate.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(_LOSS.function, _LOSS.call)

    def on_call(self, call: Call) -> Iterator[Finding]:
        value, marked = call.argument("input"), call.argument("input").marked
        logged = misuse.flag(call, "log_input", usual=True)
        is_rate = marked is not None and marked.mark is Mark.RATE and value.attached is not False
        if logged is False and value.meaning in LOGARITHM_AS_RATE.gets:
            wrong, trail, last = LOGARITHM_AS_RATE, value.trail, "its logarithm is taken"
        elif logged and is_rate and marked is not None:
            wrong, trail, last = RATE_AS_LOGARITHM, marked.trail, "its exponential is taken"
        else:
            return
        change = edit.with_argument(call, "log_input", str(not logged))
        yield self.found(
            call.place.site,
            wrong.message_on(value.meaning),
            hint=wrong.hint,
            trail=trail,
            last=(call.place.site, last),
            fix=edit.unsafe(change) if change is not None else None,
        )
