from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.gradient_flow import comes_from
from mldbg.lint.interpret.facts import Call, ModelCall
from mldbg.lint.library.names import says_loss
from mldbg.lint.rule import Listening, Rule, Topic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part

_READS_GRADIENT = re.compile(r"autograd\.grad\(|\.grad\b(?!_)")


class RebuiltTensor(Rule):
    """a tensor that a network has computed is made anew with requires_grad=True, which cuts it off from the network

    ## Why
    `torch.tensor(x, requires_grad=True)` copies the numbers of `x` into a new leaf. The gradient of what follows ends there,
    and no layer before it learns, although everything runs and the loss has a gradient.

    ## Bad
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Linear(8, 4)
                self.head = nn.Linear(4, 2)

            def forward(self, x):
                hidden = self.encoder(x)
                hidden = torch.tensor(hidden, requires_grad=True)
                return self.head(hidden)

    ## Good
        import torch
        from torch import nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.encoder = nn.Linear(8, 4)
                self.head = nn.Linear(4, 2)

            def forward(self, x):
                return self.head(self.encoder(x))

    ## Limits
    Fires for what comes from a network, or from a parameter of it, as a tensor: in a `forward` whose result depends on it, and in
    a function that calls a network and runs backward on what follows. Leaves made of data are fine, and so are functions that
    read the gradient of the leaf. A loss that is rebuilt is reported by detached-loss.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = Listening(frozenset({Call, ModelCall}), frozenset({"torch.tensor", "torch.autograd.Variable"}))

    def __init__(self) -> None:
        self._outputs: set[cst.CSTNode] = set()

    def on_model_call(self, call: ModelCall) -> Iterator[Finding]:
        if call.grad and not says_loss(nodes.code(call.expression).rpartition(".")[2]):
            self._outputs.add(call.place.site.node)
        yield from ()

    def on_call(self, call: Call, /) -> Iterator[Finding]:
        part, node, function = call.place.site.part, call.node, call.place.function
        leaf, data = edit.argument_of(node, 99, "requires_grad"), edit.argument_of(node, 0, "data")
        if leaf is None or not nodes.is_name(leaf, "True") or data is None or not call.grad:
            return
        if nodes.is_any_name(data) and says_loss(data.value):
            return  # detached-loss says it
        scope = function or part.tree
        if _READS_GRADIENT.search(nodes.code(scope)):
            return
        is_forward = nodes.is_named(function, "forward") if function is not None else False
        copied = frozenset({"detach", "numpy"}) if is_forward else frozenset[str]()
        made = comes_from(
            data, part, lambda one: one in self._outputs or (is_forward and _is_of_network(one, part)), through=copied
        )
        if made and _is_needed(node, part, scope, is_forward=is_forward):
            yield self.found(
                call.place.site,
                f"`{nodes.bare(data)}` is copied into a new leaf: no gradient reaches the network that computed it",
                hint="use the tensor itself; detach it if the gradient shall end here",
            )


def _is_of_network(node: cst.CSTNode, part: Part) -> bool:
    """`self.layer(x)`, and `self.weight` where that is a parameter."""
    text = part.module.text
    called = nodes.called_attribute(node)
    if called is not None:
        return re.search(rf"self\.{re.escape(called)} ?= ?(?:nn|torch\.nn)\.(?!Parameter)\w+\(", text) is not None
    name = nodes.own_attribute(node)
    return name is not None and re.search(rf"self\.{re.escape(name)} ?= ?(?:nn|torch\.nn)\.Parameter\(", text) is not None


def _is_needed(node: cst.CSTNode, part: Part, scope: cst.CSTNode, *, is_forward: bool) -> bool:
    """Whether the result of a forward, or what backward runs on, depends on a leaf."""
    ends = nodes.returned_in(scope) if is_forward else edit.differentiated_in(scope)
    return any(comes_from(end, part, lambda one: one is node, through_calls=True) for end in ends)
