from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import Value
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.losses import LOG_OF_SOFTMAX
from mldbg.operations.torch import LOGARITHMS

if TYPE_CHECKING:
    import libcst as cst

_GUARDED = re.compile(r"clamp|clip(?!_grad)|\beps\b|_eps\b|\b1e-\d")
"""What keeps probabilities away from zero, wherever it stands in the function that picks some of them."""


class LogOfSoftmax(Rule):
    """the logarithm of a softmax or sigmoid underflows; log_softmax and logsigmoid do not

    ## Why
    For a class whose logit trails far behind (by about 104 in float32), softmax returns exactly 0, and its logarithm
    is minus infinity: the loss becomes inf or NaN, or the gradient vanishes. `log_softmax` and `logsigmoid` compute
    the same value from the logits without the detour.

    ## Bad
        import torch
        import torch.nn.functional as F

        def log_likelihood(logits):
            return torch.log(F.softmax(logits, dim=1))

    ## Good
        import torch.nn.functional as F

        def log_likelihood(logits):
            return F.log_softmax(logits, dim=1)

    ## Limits
    Follows what the activation gave as far as nothing changes it: with an epsilon added, clamped, averaged or mixed it is left
    alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*LOGARITHMS)

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        activation = edit.argument_call(call, "input")
        if value.meaning in LOG_OF_SOFTMAX.gets and not value.scaled and _is_unchanged(call, value):
            close = activation is not None and edit.got_meaning_at(value, activation)
            yield self.found(
                call.place.site,
                LOG_OF_SOFTMAX.message_on(value.meaning),
                hint=LOG_OF_SOFTMAX.hint_on(value.meaning),
                trail=value.trail,
                last=(call.place.site, LOG_OF_SOFTMAX.last),
                fix=_fix(call, activation) if activation is not None and close else None,
            )


def _is_unchanged(call: Call, value: Value) -> bool:
    """Whether what the activation gave comes here as it was, or some of its entries: clamped or averaged it cannot be zero."""
    if value.trail is None or value.origin is None or value.origin.site is None:
        return False
    born = value.trail.steps()[0][0].node
    made = value.origin.site.node
    if not nodes.is_call(born):
        return False  # a division by the sum
    if made is born:
        return True
    picked = call.nodes.get("input")
    return made is picked and nodes.is_item_of_name(picked) and not _GUARDED.search(call.place.site.part.code)


def _fix(call: Call, activation: cst.Call) -> Fix | None:
    part = call.place.site.part
    if len(call.node.args) > 1:  # torch.log(..., out=buffer) does more than compute
        return None
    change = edit.other_function(part, activation, {"softmax": "log_softmax", "Softmax": "LogSoftmax", "Sigmoid": "LogSigmoid"})
    changes = (change,) if change is not None else edit.as_logsigmoid(part, activation)
    return edit.safe(*changes, *edit.unwrapped(part, call.node, activation)) if changes else None
