from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic


class BceOnLogits(Rule):
    """BCELoss gets a value that never went through a sigmoid

    ## Why
    `BCELoss` takes the logarithm of its input and of one minus its input, so the input must be a probability. Raw
    layer outputs lie outside [0, 1]: torch raises on some versions and devices, and elsewhere the clamped
    logarithms produce a loss that decreases but means nothing.

    ## Bad
        from torch import nn

        model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 1))
        criterion = nn.BCELoss()

        def loss_of(x, y):
            return criterion(model(x), y)

    ## Good
        from torch import nn

        model = nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 1))
        criterion = nn.BCEWithLogitsLoss()

        def loss_of(x, y):
            return criterion(model(x), y)

    ## Limits
    Fires only when the value is known to be the output of a layer with unbounded values (or
    log-probabilities, or the output of a ReLU). A value of unknown origin, or one clamped to a range, is left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls("torch.nn.functional.binary_cross_entropy", "torch.nn.BCELoss.__call__")

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        if value.meaning in (Semantic.LOGITS, Semantic.LOG_PROBS, Semantic.NON_NEGATIVE):
            yield self.found(
                call.place.site,
                f"binary cross-entropy gets {value.meaning.words} where it expects probabilities",
                hint="use BCEWithLogitsLoss / binary_cross_entropy_with_logits, which applies the sigmoid itself",
                trail=value.trail,
                last=(call.place.site, "binary cross-entropy takes its logarithm"),
                fix=_with_logits(call) if value.meaning is Semantic.LOGITS else None,
            )


def _with_logits(call: Call) -> Fix | None:
    made = edit.constructor(call)
    name = "BCEWithLogitsLoss" if made is not None else "binary_cross_entropy_with_logits"
    change = edit.renamed(made or call.place.site, name)
    return edit.unsafe(change) if change is not None else None
