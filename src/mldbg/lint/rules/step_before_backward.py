from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, Gradients, GradientUse, Loop
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears


class StepBeforeBackward(Rule):
    """the optimizer steps (or gradients are clipped) while the gradients are cleared

    ## Why
    A step between `zero_grad()` and `backward()` moves nothing: the gradients are zero or None. The gradients that
    backward computes afterwards are cleared unused. The loss does not change, or only momentum and weight
    decay move the weights.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                optimizer.step()
                loss.backward()

    ## Good
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                loss = nn.functional.cross_entropy(model(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    ## Limits
    Fires when the gradients are cleared on every path to the step, and a backward stands in the same loop or block.
    With two optimizers each has its own gradients.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop, GradientUse, Backward)

    def __init__(self) -> None:
        self._idle: list[GradientUse] = []
        self._passes: list[Backward] = []

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        passes = [fact for fact in loop.facts if isinstance(fact, Backward) and not fact.owned]
        for fact in loop.facts:
            if isinstance(fact, GradientUse) and fact.gradients is Gradients.CLEARED and passes:
                yield self._finding(fact, passes)

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        if use.gradients is Gradients.CLEARED:
            self._idle.append(use)
            passes = [one for one in self._passes if edit.same_block(use.place, one.place)]
            if passes:
                yield self._finding(use, passes)

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        if not backward.owned:
            self._passes.append(backward)
            for use in self._idle:
                if edit.same_block(use.place, backward.place):
                    yield self._finding(use, [backward])

    def _finding(self, use: GradientUse, passes: list[Backward]) -> Finding:
        what = "gradients are clipped" if use.clip else "the optimizer steps"
        return self.found(
            use.place.site,
            f"{what} while still cleared: no backward has run since"
            if use.clip
            else f"{what} on cleared gradients: no backward has run since",
            hint="call zero_grad, then backward, then clip, then step",
            trail=first_step(use.cleared, "gradients are cleared here") if use.cleared is not None else None,
            last=(use.place.site, f"{what} with no backward in between"),
            fix=_fix(use, passes[0]),
        )


def _fix(use: GradientUse, backward: Backward) -> Fix | None:
    """Move the step behind backward; or, where backward comes first, move the clearing behind the step."""
    step, gradient = edit.statement_of(use.place), edit.statement_of(backward.place)
    if step is None or gradient is None or not edit.same_block(use.place, backward.place):
        return None
    part = use.place.site.part
    if edit.precedes(part, step, gradient):
        return edit.moved_after(part, step, gradient)
    clearing = edit.statement_at(use.cleared) if use.cleared is not None else None
    if clearing is not None and edit.precedes(part, gradient, clearing) and edit.precedes(part, clearing, step):
        return edit.moved_after(part, clearing, step)
    return None
