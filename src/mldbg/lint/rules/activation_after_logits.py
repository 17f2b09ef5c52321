from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.interpret.value import Mark
from mldbg.lint.ladder import calls_of_losses, loss_named
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.value import Trail

_BINARY = ("binary_cross_entropy_with_logits", "multilabel_soft_margin_loss")


class ActivationAfterLogits(Rule):
    """a ReLU or dropout stands between the last linear layer and a loss on logits

    ## Why
    The last layer's output is the logits. A ReLU leaves no negative ones: no probability below 0.5, and no gradient where the
    answer is no. Dropout sets random logits to 0 and doubles the others: it makes the loss noisy, and regularises nothing.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(20, 64)
                self.last = nn.Linear(64, 10)
                self.drop = nn.Dropout(0.5)

            def forward(self, x):
                x = F.relu(self.first(x))
                return self.drop(self.last(x))

        def loss_of(net: Net, x, y):
            return F.cross_entropy(Net()(x), y)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(20, 64)
                self.last = nn.Linear(64, 10)
                self.drop = nn.Dropout(0.5)

            def forward(self, x):
                x = F.relu(self.first(x))
                return self.last(self.drop(x))

        def loss_of(net: Net, x, y):
            return F.cross_entropy(Net()(x), y)

    ## Limits
    A ReLU right before cross-entropy is what relu-before-cross-entropy is about; here are the binary losses, and one before a
    log-softmax. A ReLU may be meant, where scores below 0 have no sense: hence the group. Word dropout of whole inputs, and
    dropout before the last layer, are silent.
    """

    group = Group.SUSPICIOUS
    topic = Topic.LOSSES
    listens_to = calls(*calls_of_losses("cross_entropy", "nll_loss", *_BINARY))

    def on_call(self, call: Call) -> Iterator[Finding]:
        value = call.argument("input")
        mark = value.marked.mark if value.marked is not None else None
        trail: Trail | None = value.marked.trail if value.marked is not None else None
        if mark is Mark.DROPPED:
            what, hint = "dropout is applied to the logits", "apply dropout before the last layer"
        elif mark is Mark.RECTIFIED or (loss_named(call.name) in _BINARY and value.meaning is Semantic.NON_NEGATIVE):
            what, hint = "a ReLU or softplus is applied to the logits", "pass the last layer's output to the loss as it is"
            trail = trail if mark is Mark.RECTIFIED else value.trail
        else:
            return
        yield self.found(
            call.place.site,
            f"{what}: {'their sign is lost' if mark is not Mark.DROPPED else 'random ones become 0'}",
            hint=hint,
            trail=trail,
            last=(call.place.site, f"`{loss_named(call.name)}` takes it for logits"),
            fix=edit.without_last(call, "input"),
        )
