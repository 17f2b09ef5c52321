from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Backward, Escape, Gradients, GradientsCleared, GradientUse, Loop, ModelCall
from mldbg.lint.interpret.value import Object, first_step
from mldbg.lint.library.names import says_loss
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import holds_once


class StepBeforeBackward(Rule):
    """the optimizer steps while the gradients are cleared

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
    Fires when the gradients are cleared on every path to the step (or by the round before), and a backward stands in the
    same loop or block. With two optimizers each has its own gradients.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop, GradientUse, Backward)

    def __init__(self) -> None:
        self._idle: list[GradientUse] = []
        self._passes: list[Backward] = []

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        passes = [fact for fact in loop.facts if isinstance(fact, Backward) and not fact.owned]
        for index, fact in enumerate(loop.facts):
            if not isinstance(fact, GradientUse) or fact.clip or not passes:
                continue
            if fact.gradients is Gradients.CLEARED:
                yield self._finding(fact, passes, fact.cleared)
            elif fact.gradients is Gradients.UNKNOWN:
                cleared = _cleared_before_round(loop, index) or _cleared_by_hand(loop, index)
                if cleared is not None:
                    yield self._finding(fact, passes, cleared)

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        if use.gradients is Gradients.CLEARED and not use.clip:
            self._idle.append(use)
            passes = [one for one in self._passes if edit.same_block(use.place, one.place)]
            if passes:
                yield self._finding(use, passes, use.cleared)

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        if not backward.owned:
            self._passes.append(backward)
            for use in self._idle:
                if edit.same_block(use.place, backward.place):
                    yield self._finding(use, [backward], use.cleared)

    def _finding(self, use: GradientUse, passes: list[Backward], cleared: Site | None) -> Finding:
        return self.found(
            use.place.site,
            "the optimizer steps on cleared gradients: no backward has run since",
            hint="call zero_grad, then backward, then step",
            trail=first_step(cleared, "gradients are cleared here") if cleared is not None else None,
            last=(use.place.site, "the optimizer steps with no backward in between"),
            fix=_fix(use, passes[0]),
        )


def _cleared_before_round(loop: Loop, index: int) -> Site | None:
    """Where a round clears the gradients on which the next one steps first of all."""
    step, before = loop.facts[index], loop.facts[:index]
    assert isinstance(step, GradientUse)
    touched = any(isinstance(fact, Backward | GradientsCleared | Escape) for fact in before)
    if touched or any(holds_once(condition, loop) for condition in step.place.conditions_inside(loop.place)):
        return None
    return loop.cleared_at_end.get(step.identity)


def _cleared_by_hand(loop: Loop, index: int) -> Site | None:
    """Where the only model's gradients are cleared, one by one, before the only optimizer of which nothing is known steps."""
    step, before = loop.facts[index], loop.facts[:index]
    assert isinstance(step, GradientUse)
    steps = {fact.identity for fact in loop.facts if isinstance(fact, GradientUse) and not fact.clip}
    cleared = [fact for fact in before if isinstance(fact, GradientsCleared) and fact.parameters]
    plain = not step.parameters and isinstance(step.optimizer.thing, Object) and step.optimizer.thing.cls is None
    if not plain or not cleared or len(steps) > 1 or any(isinstance(fact, Backward | Escape) for fact in before):
        return None
    calls = [fact for fact in loop.facts if isinstance(fact, ModelCall)]
    models = [fact.model.thing for fact in calls if not says_loss(nodes.code(fact.expression))]
    refs = {model.ref for model in models if isinstance(model, Object)}
    return cleared[-1].place.site if refs == cleared[-1].parameters else None


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
