from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mldbg.lint import edit
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, Escape, GradientUse, Loop, SchedulerStep
from mldbg.lint.interpret.value import Object, Value
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.operations.schedulers import PLATEAU


class SchedulerBeforeOptimizer(Rule):
    """a loop steps the learning-rate scheduler before the optimizer has stepped

    ## Why
    Since torch 1.1 the first value of a schedule is set when the scheduler is built. A loop that begins with `scheduler.step()`
    throws that value away: the whole schedule is one step early, a warm-up skips its first rate, and `StepLR` drops one epoch too
    soon. torch only warns.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader, epochs):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
            for _ in range(epochs):
                scheduler.step()
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()

    ## Good
        import torch
        from torch import nn

        def train(model, loader, epochs):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=30)
            for _ in range(epochs):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                scheduler.step()

    ## Limits
    Fires where a round steps the scheduler under no test, without an epoch, before its own optimizer, and no step of an optimizer
    comes before the loop. Of a scheduler that is only called so (a parameter, an attribute of something unknown) it is
    *suspicious*: it may be one that has to step first. Not for ReduceLROnPlateau.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(GradientUse, Loop)

    def __init__(self) -> None:
        self._stepped: list[GradientUse] = []

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        self._stepped += [] if use.clip else [use]
        yield from ()

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        inside = {fact.place.site for fact in loop.facts if isinstance(fact, GradientUse)}
        entry = loop.place.within[:1]
        before = [use for use in self._stepped if use.place.site not in inside and use.place.within[:1] == entry]
        deeper = {id(fact) for one in loop.facts if isinstance(one, Loop) for fact in one.facts}
        for index, step in enumerate(loop.facts):
            if not isinstance(step, SchedulerStep) or step.given or id(step) in deeper or _is_plateau(step.scheduler):
                continue
            if step.place.conditions_inside(loop.place) or any(_may_be_of(step, use) for use in before):
                continue
            earlier, later = loop.facts[:index], loop.facts[index + 1 :]
            if any(isinstance(fact, Escape) or (isinstance(fact, Backward) and fact.owned) for fact in loop.facts):
                continue
            if any(isinstance(fact, GradientUse) and not fact.clip and _may_be_of(step, fact) for fact in earlier):
                continue
            uses = [fact for fact in later if isinstance(fact, GradientUse) and not fact.clip and _may_be_of(step, fact)]
            if uses:
                yield self._finding(step, uses[0], loop)

    def _finding(self, step: SchedulerStep, use: GradientUse, loop: Loop) -> Finding:
        known = isinstance(step.scheduler.thing, Object) and step.scheduler.thing.cls is not None
        finding = self.found(
            step.place.site,
            "the scheduler steps before the optimizer: the first value of the schedule is never used",
            hint="step the scheduler behind the optimizer" + ("" if known else ", unless this one has to step first"),
            last=(use.place.site, "the optimizer steps only here"),
            fix=_fix(step, use, loop),
        )
        return finding if known else replace(finding, group=Group.SUSPICIOUS)


def _is_plateau(scheduler: Value) -> bool:
    return isinstance(scheduler.thing, Object) and scheduler.thing.cls == PLATEAU


def _may_be_of(step: SchedulerStep, use: GradientUse) -> bool:
    """Whether an optimizer may be the one whose learning rate a scheduler sets: only of two known objects is it clear."""
    one, two = step.optimizer.thing, use.optimizer.thing
    return not isinstance(one, Object) or not isinstance(two, Object) or one.ref is two.ref


def _fix(step: SchedulerStep, use: GradientUse, loop: Loop) -> Fix | None:
    """Move the step behind what steps the optimizer, in the same block."""
    part, statement = step.place.site.part, edit.statement_of(step.place)
    if statement is None or not edit.is_statement(step.place.site) or part is not loop.place.site.part:
        return None
    block = edit.siblings(part, statement)
    target = next((one for one in block if use.place.site.part is part and edit.holds(part, one, use.place.site.node)), None)
    return edit.moved_after(part, statement, target) if target is not None and target is not statement else None
