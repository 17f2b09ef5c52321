from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Edit, Finding, Group
from mldbg.lint.interpret.facts import Call
from mldbg.lint.rule import Rule, Topic, calls
from mldbg.operations.torch import DROPOUT_LAYERS, DROPOUTS

if TYPE_CHECKING:
    from mldbg.lint.interpret.value import ClassThing

_ATTENTION = "torch.nn.functional.scaled_dot_product_attention"
_SAYS_MODE = re.compile(r"train|eval|infer|\bmc\b|sampl|stochastic", re.IGNORECASE)
_ON_PURPOSE = re.compile(
    r"\bmc\b|\bmc_?drop|monte|bayes|uncertain|epistemic|stochastic|(?<!-)\balways|on purpose|intention|deliberate"
    r"|denois|corrupt|\bnois|augment|(?:also|even|active|on|applied) (?:at|during|in) (?:test|infer|eval)"
    r"|at (?:test|inference) time",
    re.IGNORECASE,
)
"""What code says, in names, comments or docstrings, that drops values at all times because it wants to."""

_ONLY_TRAINS = re.compile(r"(?:^|_)(?:train|training|loss|losses)(?:_|$)")
"""What a function is called that runs in training only."""


class DropoutAlwaysOn(Rule):
    """dropout in a module acts in evaluation mode, too

    ## Why
    `F.dropout(x)` drops values unless it is told `training=False`; it knows nothing of `model.eval()`. A dropout layer that is
    made where it is applied starts in training mode each time, and `scaled_dot_product_attention` drops with `dropout_p` in both
    modes. Predictions are then noisy and worse than they need be, and differ from call to call.

    ## Bad
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(20, 64)
                self.last = nn.Linear(64, 2)

            def forward(self, x):
                x = F.relu(self.first(x))
                x = F.dropout(x, p=0.5)
                return self.last(x)

    ## Good
        import torch.nn.functional as F
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Linear(20, 64)
                self.last = nn.Linear(64, 2)

            def forward(self, x):
                x = F.relu(self.first(x))
                x = F.dropout(x, p=0.5, training=self.training)
                return self.last(x)

    ## Limits
    Fires inside modules, and in functions that they call. `training=True` says that it is meant, and so do names, comments and
    docstrings of the class that speak of Monte-Carlo dropout, uncertainty or noise. A rate of 0 and a test of the mode around the
    call are silent.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = calls(*DROPOUTS, *DROPOUT_LAYERS, _ATTENTION)

    def on_call(self, call: Call) -> Iterator[Finding]:
        module = call.module
        if module is None or _asks_for_mode(call) or _is_meant(call, module):
            return
        if call.name == _ATTENTION:
            what = _dropped_attention(call, module)
            change = _unless_training(call) if what else None
        elif call.name in DROPOUT_LAYERS:
            what = "a dropout layer made here is in training mode each time" if _is_made_here(call) else ""
            change = None
        else:
            what = "dropout acts in evaluation mode, too: it is not told whether the model trains" if _is_untold(call) else ""
            change = edit.with_argument(call, "training", "self.training") if what and _has_self(call) else None
        if what:
            yield self.found(
                call.place.site,
                what,
                hint="pass training=self.training, or make an nn.Dropout in __init__"
                if call.name != _ATTENTION
                else "pass dropout_p=p if self.training else 0.0",
                fix=edit.safe(change) if change is not None else None,
            )


def _is_untold(call: Call) -> bool:
    """Whether a function drops with its usual `training=True`."""
    rate = call.nodes.get("p")
    if call.argument("p").constant in (0, 0.0) or (rate is not None and _SAYS_MODE.search(nodes.code(rate))):
        return False
    return edit.is_given(call, "training") is False


def _dropped_attention(call: Call, module: ClassThing) -> str:
    node = call.nodes.get("dropout_p")
    if node is None or call.argument("dropout_p").constant in (0, 0.0) or "def train(" in module.part.code:
        return ""
    texts = [nodes.code(node), *map(nodes.code, edit.sources_of(call.place, node))]
    if any(map(_SAYS_MODE.search, texts)) or edit.is_parameter(call.place, node):
        return ""
    return "attention drops weights in evaluation mode, too: dropout_p does not depend on the mode"


def _unless_training(call: Call) -> Edit | None:
    node = call.nodes["dropout_p"]
    plain = nodes.is_literal(node) or not any(map(nodes.is_call, nodes.descendants(node)))
    if not plain or not _has_self(call):
        return None
    return edit.replaced(call.place.site.part, node, f"{nodes.code(node)} if self.training else 0.0")


def _is_made_here(call: Call) -> bool:
    """Whether a dropout layer is made in the function that applies it, and nobody sets its mode there."""
    made = edit.constructor(call)
    site = call.place.site
    if made is None or made.part is not site.part or call.argument("p").constant in (0, 0.0):
        return False
    function = edit.function_around(made.part, made.node)
    if function is None or function is not edit.function_around(site.part, site.node) or edit.is_attribute_of(made):
        return False
    text = edit.code_in(made.part, function)
    return not text.lstrip().startswith("def __init__") and ".eval(" not in text and ".train(" not in text


def _has_self(call: Call) -> bool:
    """Whether `self` is the module where the call stands."""
    site, cls = call.place.site, call.module
    function = edit.outermost_function(site)
    if function is None or cls is None or nodes.first_parameter(function) != "self" or site.part.module is not cls.part.module:
        return False
    return cls.part.statement.first <= site.part.statement.first <= cls.part.statement.last


def _asks_for_mode(call: Call) -> bool:
    """Whether a test around the call, or one before it that leaves the function, asks for the mode."""
    if any(_SAYS_MODE.search(nodes.code(condition.test.node)) for condition in call.place.conditions):
        return True
    return any(_SAYS_MODE.search(nodes.code(test)) for test in edit.tests_over(call.place.site))


def _is_meant(call: Call, module: ClassThing) -> bool:
    """Whether the class, or the function that holds the call, says that values are dropped at all times."""
    statements = {module.part: module.part.statement, call.place.site.part: call.place.site.part.statement}
    if any(_ON_PURPOSE.search(part.module.outline.text(statement)) for part, statement in statements.items()):
        return True
    return any(_ON_PURPOSE.search(name) or _ONLY_TRAINS.search(name) for name in call.place.within)
