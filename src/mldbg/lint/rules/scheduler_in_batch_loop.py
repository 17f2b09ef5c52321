from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, GradientUse, Loop, Schedule, SchedulerStep
from mldbg.lint.interpret.value import Object, first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.schedule import counts_batches, counts_rounds_of
from mldbg.lint.training_loop import holds_once
from mldbg.operations.schedulers import PLATEAU


class SchedulerInBatchLoop(Rule):
    """a learning-rate schedule that counts epochs is stepped in each batch, or one that counts batches once per epoch

    ## Why
    A scheduler counts its own steps. `CosineAnnealingLR(optimizer, T_max=epochs)` that is stepped in each batch reaches its end
    within the first epoch and then swings up and down; `OneCycleLR` made for all batches and stepped once per epoch never leaves
    its warm-up. Nothing fails, training is only worse.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader, epochs):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
            for _ in range(epochs):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                    scheduler.step()

    ## Good
        import torch
        from torch import nn

        def train(model, loader, epochs):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
            for _ in range(epochs):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                scheduler.step()

    ## Limits
    Fires where the length of the schedule is the number of rounds of the loop around (or a share, or milestones made of it)
    and the scheduler steps in the loop over batches inside; and where the length is a product with `len(loader)`, and it
    steps only in the loop around. Literal lengths that look like epochs (`step_size=10`) and a metric of each batch are
    reported in the group *suspicious*. Silent where `step` gets an epoch.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        inner = [fact for fact in loop.facts if isinstance(fact, Loop) and _trains(fact)]
        if not inner:
            return
        steps = [fact for fact in loop.facts if isinstance(fact, SchedulerStep)]
        below = {id(fact): one for one in inner for fact in one.facts if isinstance(fact, SchedulerStep)}
        deeper = {id(fact) for one in loop.facts if isinstance(one, Loop) for fact in one.facts}
        for step in steps:
            batches = below.get(id(step))
            if step.given:
                if batches is not None and _is_plateau(step) and _as_often_as_optimizer(step, batches):
                    yield replace(self._of_one_batch(step), group=Group.SUSPICIOUS)
                continue
            if batches is not None and _as_often_as_optimizer(step, batches):
                yield from self._per_batch(step, loop, batches)
            elif id(step) not in deeper and all(one.scheduler != step.scheduler for one in steps if id(one) in deeper):
                yield from self._per_epoch(step, loop, inner[0])

    def _per_batch(self, step: SchedulerStep, loop: Loop, batches: Loop) -> Iterator[Finding]:
        if any(counts_batches(schedule) for schedule in step.schedules):
            return
        for schedule in step.schedules:
            if not counts_rounds_of(schedule, loop):
                continue
            yield self.found(
                step.place.site,
                f"the schedule counts epochs (`{said(schedule)}`), and the scheduler steps in each batch",
                hint="step once per epoch, behind the loop over batches, or count batches: epochs * len(loader)",
                trail=first_step(schedule.site, f"`{said(schedule)}` is the number of rounds of the outer loop"),
                last=(step.place.site, "the scheduler steps in the loop inside"),
                fix=_moved_out(step, batches),
            )
            return
        looks = next((schedule for schedule in step.schedules if _looks_like_epochs(schedule)), None)
        if looks is not None:
            finding = self.found(
                step.place.site,
                f"`{said(looks)}` looks like a number of epochs, and the scheduler steps in each batch",
                hint="step once per epoch, behind the loop over batches, unless batches are meant",
                trail=first_step(looks.site, "the schedule is built here"),
                last=(step.place.site, "the scheduler steps in the loop over batches"),
            )
            yield replace(finding, group=Group.SUSPICIOUS)

    def _of_one_batch(self, step: SchedulerStep) -> Finding:
        return self.found(
            step.place.site,
            "ReduceLROnPlateau steps in each batch: its patience counts batches, and it compares the losses of single batches",
            hint="step once per epoch with the loss on validation data, unless batches are meant",
        )

    def _per_epoch(self, step: SchedulerStep, loop: Loop, batches: Loop) -> Iterator[Finding]:
        if not nodes.is_counted(loop.node) or step.place.conditions_inside(loop.place):
            return
        for schedule in step.schedules:
            length = counts_batches(schedule)
            if not length:
                continue
            yield self.found(
                step.place.site,
                f"the schedule counts batches (`{length}` per epoch), and the scheduler steps once per epoch",
                hint="step the scheduler in the loop over batches, after the optimizer",
                trail=first_step(schedule.site, f"the length of the schedule is made with `{length}`"),
                last=(step.place.site, "the scheduler steps outside of the loop over batches"),
                fix=_moved_in(step, batches),
            )
            return


def said(schedule: Schedule) -> str:
    """An argument as the call may say it."""
    return f"{schedule.parameter}={nodes.bare(schedule.node)}"


def _trains(loop: Loop) -> bool:
    """Whether a loop runs over batches: it trains, and no loop in it does."""
    steps = [fact for fact in loop.facts if isinstance(fact, GradientUse) and not fact.clip]
    inner = [fact for one in loop.facts if isinstance(one, Loop) for fact in one.facts if isinstance(fact, GradientUse)]
    return bool(steps) and not inner and any(isinstance(fact, Backward) for fact in loop.facts)


def _as_often_as_optimizer(step: SchedulerStep, loop: Loop) -> bool:
    """Whether a scheduler steps whenever the optimizer does: not behind the last batch, nor under a test of its own."""
    own = step.place.conditions_inside(loop.place)
    steps = [fact for fact in loop.facts if isinstance(fact, GradientUse) and not fact.clip]
    shared = {id(condition.test) for fact in steps for condition in fact.place.conditions_inside(loop.place)}
    return all(id(condition.test) in shared and not holds_once(condition, loop) for condition in own)


def _is_plateau(step: SchedulerStep) -> bool:
    thing = step.scheduler.thing
    return isinstance(thing, Object) and thing.cls == PLATEAU


_MOST_EPOCHS = 200
"""Greatest length that looks like a number of epochs."""


def _looks_like_epochs(schedule: Schedule) -> bool:
    if schedule.parameter not in ("step_size", "milestones", "T_max"):
        return False
    numbers = nodes.numbers_in(schedule.node)
    return bool(numbers) and all(1 < number <= _MOST_EPOCHS for number in numbers)


def _moved_out(step: SchedulerStep, batches: Loop) -> Fix | None:
    part, statement = step.place.site.part, edit.statement_of(step.place)
    if statement is None or part is not batches.place.site.part or statement not in nodes.siblings_in(batches.node):
        return None
    if len(nodes.siblings_in(batches.node)) < 2:  # nothing would be left
        return None
    text = edit.indented_like(part, batches.node, nodes.code(step.place.site.node))
    return edit.unsafe(edit.removed(part, statement), edit.inserted_after(part, batches.node, text))


def _moved_in(step: SchedulerStep, batches: Loop) -> Fix | None:
    part, statement = step.place.site.part, edit.statement_of(step.place)
    used = [fact for fact in batches.facts if isinstance(fact, GradientUse) and not fact.clip]
    target = edit.statement_of(used[-1].place) if used else None
    plain = part is batches.place.site.part and statement is not None and target in nodes.siblings_in(batches.node)
    if not plain or statement is None or target is None or len(edit.siblings(part, statement)) < 2:
        return None
    text = edit.indented_like(part, target, nodes.code(step.place.site.node))
    return edit.unsafe(edit.removed(part, statement), edit.inserted_after(part, target, text))
