from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import TARGET_IS_LOGGED, TARGET_IS_NOT_LOGGED, misuse_of


class KlDivLogTarget(Rule):
    """the target of kl_div is not what log_target says it is

    ## Why
    `kl_div(input, target)` takes the logarithm of the prediction and the target as it is, unless `log_target=True` says that
    the target is a logarithm, too. Log-probabilities taken for probabilities are negative weights: the result is NaN or a
    number of either sign, and no divergence. Probabilities taken for logarithms are exponentiated.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        student, teacher = nn.Linear(64, 10), nn.Linear(64, 10)

        def distill(x):
            log_q = F.log_softmax(teacher(x), dim=-1)
            return F.kl_div(F.log_softmax(student(x), dim=-1), log_q, reduction="batchmean")

    ## Good
        import torch.nn.functional as F
        from torch import nn

        student, teacher = nn.Linear(64, 10), nn.Linear(64, 10)

        def distill(x):
            log_q = F.log_softmax(teacher(x), dim=-1)
            return F.kl_div(F.log_softmax(student(x), dim=-1), log_q, reduction="batchmean", log_target=True)

    ## Limits
    Fires only when both are known: what the target is, and the flag, in the call or where the loss was built. Where the first
    argument is wrong as well, the two may have changed places, and `kl-div-without-log-probs` says so.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*misuse.calls_of(TARGET_IS_LOGGED))

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument(TARGET_IS_LOGGED.parameter)
        logged = misuse.flag(call, "log_target", usual=False)
        wrong = TARGET_IS_NOT_LOGGED if logged else TARGET_IS_LOGGED
        swapped = misuse_of(wrong.losses[0], call.argument("input").meaning) is not None
        if logged is not None and value.meaning in wrong.gets and not swapped:
            change = edit.with_argument(call, "log_target", str(not logged))
            yield self.found(
                call.place.site,
                wrong.message_on(value.meaning),
                hint=wrong.hint,
                trail=value.trail,
                last=(call.place.site, f"kl_div takes it for {wrong.expected}"),
                fix=edit.unsafe(change) if change is not None else None,
            )
