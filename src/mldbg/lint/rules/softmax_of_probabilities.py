from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, misuse
from mldbg.lint.finding import Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.ladder import axis_parameter
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.effect import Gives
from mldbg.operations.keras import SOFTMAXES
from mldbg.operations.losses import SOFTMAX_OF_PROBS
from mldbg.operations.tables import effect_of
from mldbg.operations.torch import NORMALIZERS

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Ref

_PICKS = tuple(f"{owner}.{name}" for owner in ("torch", "torch.Tensor") for name in ("max", "argmax", "topk"))


class SoftmaxOfProbabilities(Rule):
    """softmax or log-softmax is applied to what is probabilities already

    ## Why
    Softmax expects unbounded logits. Probabilities lie between 0 and 1, so none of the exponentials is more than 2.7 times
    another: with 10 classes a prediction of 0.99 becomes 0.23. The largest stays the largest, and everything else that is
    done with the result is wrong: confidences, thresholds, averages of several models, KL terms, the gradient.

    ## Bad
        import torch
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(64, 10)

            def forward(self, x):
                return F.softmax(self.head(x), dim=-1)

        @torch.no_grad()
        def confidence(net: Net, x):
            return F.softmax(Net()(x), dim=-1).max(dim=-1).values

    ## Good
        import torch
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.head = nn.Linear(64, 10)

            def forward(self, x):
                return self.head(x)

        @torch.no_grad()
        def confidence(net: Net, x):
            return F.softmax(Net()(x), dim=-1).max(dim=-1).values

    ## Limits
    Fires only when the value is known to be the output of a softmax on every path, along the same axis, and nothing scaled it
    (axis 1 of a tensor with an unknown number of axes is taken for the last one if the best class is picked along it):
    to divide probabilities by a temperature, or their logarithms, sharpens them on purpose. The fix drops the second softmax; a
    log-softmax of probabilities it leaves to you.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = calls(*(name for name in NORMALIZERS if "softmin" not in name.lower()), *SOFTMAXES, *_PICKS)

    def __init__(self) -> None:
        self._along_first: dict[Ref, Finding] = {}
        """Findings that hold if axis 1 is the last one, by what the second softmax gives."""

    def on_call(self, call: Call) -> Iterator[Finding]:
        if call.name in _PICKS:
            origin = call.argument("input").origin
            if origin in self._along_first and call.argument(axis_parameter(call)).constant == 1:
                yield self._along_first.pop(origin)
            return
        value = call.argument("logits" if "logits" in call.arguments else "input")
        effect = effect_of(call.name)
        usual = effect.axis if isinstance(effect, Gives) else None
        dim = call.argument("dim").constant if "dim" in call.arguments else usual
        along = value.axes.are_along(dim) if isinstance(dim, int) else False
        if along is False or value.meaning not in SOFTMAX_OF_PROBS.gets or not misuse.is_exact(value):
            return
        if misuse.is_conditional(call):
            return
        found = self.found(
            call.place.site,
            SOFTMAX_OF_PROBS.message,
            hint=SOFTMAX_OF_PROBS.hint,
            trail=value.trail,
            last=(call.place.site, "softmax is applied to it again"),
            fix=edit.without_call(call) if "log" not in call.name.lower() else None,
        )
        if along:
            yield found
        elif (value.axes.along, dim) == (-1, 1) and call.result.origin is not None:
            self._along_first[call.result.origin] = found
