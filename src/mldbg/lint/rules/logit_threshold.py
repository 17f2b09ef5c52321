from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, misuse, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Call, Compared
from mldbg.lint.rule import Rule, Topic, both, calls, hears
from mldbg.operations.keras import LOSSES as FLAGGED
from mldbg.operations.losses import LOSSES
from mldbg.operations.torch import LOSS_CLASSES
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.facts import Place
    from mldbg.lint.interpret.value import Value

_HALF = 0.5
_TAKES_LOGITS = {loss.function for loss in LOSSES.values() if loss.applies == "sigmoid"} | {
    f"{cls}.__call__" for cls, loss in LOSS_CLASSES.items() if loss.applies == "sigmoid"
}
_ROUNDS = ("torch.round", "torch.Tensor.round")
_METHODS = tuple(
    f"{owner}.{name}"
    for owner in ("torch", "torch.Tensor")
    for name in ("gt", "ge", "lt", "le", "greater", "greater_equal", "less", "less_equal")
)
_SAYS_ACTIVATION = re.compile(r"softmax|sigmoid|prob|logit|activ", re.IGNORECASE)


class LogitThreshold(Rule):
    """logits are compared with 0.5, as if they were probabilities

    ## Why
    A probability of 0.5 is a logit of 0. Who compares a logit with 0.5 asks for a probability of 0.62, and so does `round`:
    positives are missed, recall and accuracy come out too low, and nothing fails.

    ## Bad
        import torch
        from torch import nn

        loss_fn = nn.BCEWithLogitsLoss()

        def step(model, x, y):
            scores = model(x)
            loss = loss_fn(scores, y)
            hits = ((scores > 0.5) == y.bool()).sum()
            return loss, hits

    ## Good
        import torch
        from torch import nn

        loss_fn = nn.BCEWithLogitsLoss()

        def step(model, x, y):
            scores = model(x)
            loss = loss_fn(scores, y)
            hits = ((scores > 0) == y.bool()).sum()
            return loss, hits

    ## Limits
    That they are logits is proved by a loss that takes logits: it gets the same tensor, or what the same layer of the model
    gives. The output of a linear layer alone is no proof, for it may be a regression. Other numbers than 0.5 are silent.
    """

    group = Group.CORRECTNESS
    topic = Topic.LOSSES
    listens_to = both(calls(*_TAKES_LOGITS, *FLAGGED, *_ROUNDS, *_METHODS), hears(Compared))

    def __init__(self) -> None:
        self._logits: dict[object, Site] = {}
        """What a loss takes for logits, as tensors or as the layers that give them, and where the loss is."""
        self._waiting: dict[object, list[tuple[Place, Value, Fix | None]]] = {}
        """Comparisons of what may turn out to be logits, by each of their keys."""

    def on_compared(self, compared: Compared) -> Iterator[Finding]:
        if compared.bound == _HALF:
            fix = _with_zero(compared.place.site, compared.node)
            yield from self._compared(compared.value, compared.place, fix)

    def on_call(self, call: Call) -> Iterator[Finding]:
        if call.name in _ROUNDS:
            if "decimals" not in call.arguments:
                yield from self._compared(call.argument("input"), call.place, None)
        elif call.name in _METHODS:
            node = call.nodes.get("other")
            if call.argument("other").constant == _HALF and node is not None:
                yield from self._compared(call.argument("input"), call.place, _with_zero(call.place.site, node))
        else:
            yield from self._on_loss(call)

    def _on_loss(self, call: Call) -> Iterator[Finding]:
        loss = FLAGGED.get(call.name)
        value = call.argument(loss.prediction if loss is not None else "input")
        if loss is not None and loss.flag and not misuse.flag(call, loss.flag, usual=False):
            return
        if call.place.supposed or _depends_on_activation(call.place):
            return
        keys = _keys(value)
        self._logits |= dict.fromkeys(keys, call.place.site)
        for key in keys:
            for place, compared, fix in self._waiting.pop(key, ()):
                yield self._reported(place, compared, place.site, call.place.site, fix)

    def _compared(self, value: Value, place: Place, fix: Fix | None) -> Iterator[Finding]:
        if value.meaning not in (None, Semantic.LOGITS) or value.scaled or _depends_on_activation(place):
            return
        keys = _keys(value)
        known = next((self._logits[key] for key in keys if key in self._logits), None)
        if known is not None:
            yield self._reported(place, value, place.site, known, fix)
        elif keys and not place.supposed:
            for key in keys:
                self._waiting.setdefault(key, []).append((place, value, fix))

    def _reported(self, place: Place, value: Value, site: Site, loss: Site, fix: Fix | None) -> Finding:
        return self.found(
            site,
            "logits are compared with 0.5, which is a probability of 0.62",
            hint="compare with 0, or apply sigmoid first",
            trail=value.trail if value.meaning is Semantic.LOGITS else None,
            ladder=[(loss, "this loss takes them for logits")],
            last=(place.site, "compared with 0.5 here"),
            fix=fix,
        )


def _keys(value: Value) -> frozenset[object]:
    """What identifies a tensor, and the layer that made it."""
    found: set[object] = {value.origin} if value.origin is not None else set()
    if value.meaning is Semantic.LOGITS and value.trail is not None:
        found.add(value.trail.steps()[0][0])
    return frozenset(found)


def _depends_on_activation(place: Place) -> bool:
    """Whether a test that leads here may know whether probabilities are there, or they are made in place."""
    if any(_SAYS_ACTIVATION.search(nodes.code(condition.test.node)) for condition in place.conditions):
        return True
    return place.function is not None and "sigmoid_(" in edit.code_in(place.site.part, place.function)


def _with_zero(site: Site, node: cst.BaseExpression) -> Fix | None:
    return edit.unsafe(edit.replaced(site.part, node, "0")) if nodes.is_number(node) else None
