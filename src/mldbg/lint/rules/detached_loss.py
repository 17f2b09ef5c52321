from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Group
from mldbg.lint.gradient_flow import Backtrace, Carried, Flow, forward_of, is_deliberate, is_meant, made_leaves, terms_in
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Backward, Call, ModelCall
from mldbg.lint.ladder import calls_of_losses
from mldbg.lint.rule import Listening, Rule, Topic
from mldbg.operations.losses import LOSSES

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part


class DetachedLoss(Rule):
    """no gradient reaches the parameters: the loss, or a term of it, is computed from indices, plain numbers or a new tensor

    ## Why
    `argmax`, comparisons, `item()`, `detach()`, `numpy()` and `torch.tensor(...)` end the graph; the gradient of `round` is zero.
    Backward then either raises, or, after a `requires_grad_()` that makes it pass, computes nothing for the model: the loss is
    logged and training does nothing. As one term of a sum it is added to the log and to nothing else.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                optimizer.zero_grad()
                predicted = model(x).argmax(1)
                loss = nn.functional.mse_loss(predicted.float(), y.float())
                loss.requires_grad = True
                loss.backward()
                optimizer.step()

    ## Good
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()

    ## Limits
    Followed backwards within a function and into functions of the same file, from `backward()` and from sums with a known loss.
    What goes through a call that is not known (a model, a critic) has a gradient. A term that is detached on purpose is left
    alone, and so are inputs that are made leaves to be optimised themselves.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = Listening(frozenset({Backward, Call, ModelCall}), frozenset(calls_of_losses(*LOSSES)))

    def __init__(self) -> None:
        self._losses: dict[cst.CSTNode, Call] = {}
        self._heard: dict[cst.CSTNode, list[Call]] = {}
        """Calls of losses that record a graph, by function."""
        self._forwards: dict[cst.CSTNode, Part] = {}
        self._terms: dict[cst.CSTNode, dict[cst.CSTNode, list[tuple[cst.BaseExpression, cst.BaseExpression]]]] = {}
        """What goes into sums, by function: looked up once, however many losses a function holds."""

    def on_model_call(self, call: ModelCall) -> Iterator[Finding]:
        forward = forward_of(call.model)
        if forward is None or call.place.site.node in self._forwards:
            return
        self._forwards[call.place.site.node] = forward
        scope = call.place.function or call.place.site.part.tree
        for loss in self._heard.get(scope, ()):  # `cross_entropy(...) + dice(...)`: the other term is computed after the loss
            yield from self._terms_without_gradient(loss)

    def on_call(self, call: Call, /) -> Iterator[Finding]:
        self._losses[call.node] = call
        if not call.grad:
            return
        self._heard.setdefault(call.place.function or call.place.site.part.tree, []).append(call)
        yield from self._terms_without_gradient(call)

    def _terms_without_gradient(self, call: Call) -> Iterator[Finding]:
        """Findings from what is added to a loss."""
        part = call.place.site.part
        scope = call.place.function or part.tree
        if scope not in self._terms:
            self._terms[scope] = terms_in(scope, part)
        trace = Backtrace(self._losses, self._forwards, weighted=True)
        for one, other in self._terms[scope].get(call.node, ()):
            term = trace.carried(other, part)
            if term.flow is Flow.CUT and not is_meant(term) and trace.carried(one, part).flow is not Flow.CUT:
                yield self._finding(term, "a term of the loss has no gradient", call)

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        part, loss = backward.place.site.part, edit.differentiated(backward.place.site.node)
        if loss is None:
            return
        carried = Backtrace(self._losses, self._forwards).carried(loss, part)
        if carried.flow is Flow.RAW and nodes.is_any_name(loss) and edit.is_made_leaf(part, loss):
            carried = Backtrace(self._losses, self._forwards, inside=True).carried(loss, part)
        if carried.flow is Flow.CUT and not (is_deliberate(carried) and made_leaves(part, loss)):
            yield self._finding(carried, "no gradient of the loss reaches the parameters", backward)

    def _finding(self, carried: Carried, what: str, fact: Backward | Call) -> Finding:
        assert carried.part is not None
        assert carried.node is not None
        ends = "backward runs on what comes of it" if isinstance(fact, Backward) else "the other term is a loss"
        return self.found(
            site_of(carried.part, carried.node),
            f"{what}: this {_WHY.get(carried.by, carried.by)}",
            hint="compute the loss from the outputs themselves; turn them into classes or numbers only for metrics and logs",
            last=(fact.place.site, ends),
        )


_WHY = {"detach": "cuts the graph", "data": "cuts the graph", "no_grad": "is computed under no_grad"}
"""What happens to the gradient where code says that none is wanted, as the end of a sentence."""
