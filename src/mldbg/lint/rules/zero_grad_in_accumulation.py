from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.accumulation import Accumulation, accumulations, clears_own
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, Escape, Gradients, GradientsCleared, GradientUse, Loop
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import repeated_steps

_READS_GRADIENTS = re.compile(r"\.grad\b")


class ZeroGradInAccumulation(Rule):
    """gradients that should add up over several batches are cleared in each of them

    ## Why
    Gradient accumulation runs backward on several small batches and steps once. With `zero_grad()` in each of them only the
    gradients of the last one are left when the optimizer steps: the others were computed for nothing, and with a loss that is
    divided by the number of batches the step is that many times too small as well.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader, every):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for step, (x, y) in enumerate(loader):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y) / every
                loss.backward()
                if (step + 1) % every == 0:
                    optimizer.step()

    ## Good
        import torch
        from torch import nn

        def train(model, loader, every):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for step, (x, y) in enumerate(loader):
                loss = nn.functional.cross_entropy(model(x), y) / every
                loss.backward()
                if (step + 1) % every == 0:
                    optimizer.step()
                    optimizer.zero_grad()

    ## Limits
    Fires where a test on the number of the round decides that the optimizer steps, and backward and the clearing of its
    gradients depend on no test; and where a loop over parts of a batch clears and runs backward, and the step stands behind it.
    Silent with several optimizers, where the code reads `.grad` itself, and where a framework or unknown code gets the optimizer.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        for accumulation in accumulations(loop):
            step = accumulation.step
            if step.gradients is Gradients.CLEARED or _READS_GRADIENTS.search(nodes.code(loop.node)):
                continue
            inner = {id(fact) for one in loop.facts if isinstance(one, Loop) for fact in one.facts}
            for fact in loop.facts:
                if not isinstance(fact, GradientsCleared) or id(fact) in inner or not clears_own(fact, step, loop):
                    continue
                if fact.place.conditions_inside(loop.place) == accumulation.passes[0].place.conditions_inside(loop.place):
                    every = nodes.code(accumulation.every)
                    yield self._finding(fact, step, f"the optimizer steps every `{every}` rounds", _fix(fact, accumulation))
        yield from self._before_a_step_outside(loop)

    def _before_a_step_outside(self, loop: Loop) -> Iterator[Finding]:
        """A loop over parts clears and runs backward, and the step stands behind that loop."""
        parts = [(index, fact) for index, fact in enumerate(loop.facts) if isinstance(fact, Loop)]
        steps = list(repeated_steps(loop))
        if len({step.identity for step in steps}) != 1 or any(isinstance(fact, Escape) for fact in loop.facts):
            return
        for index, part in parts:
            behind = loop.facts[index + 1 :]
            first = next((fact for fact in behind if isinstance(fact, Backward | GradientUse | GradientsCleared | Loop)), None)
            if not isinstance(first, GradientUse) or first.clip or _is_tried_again(part):
                continue
            if any(isinstance(fact, GradientUse) for fact in part.facts) or _READS_GRADIENTS.search(nodes.code(loop.node)):
                continue
            passes = [fact for fact in part.facts if isinstance(fact, Backward) and not fact.owned]
            cleared = [fact for fact in part.facts if isinstance(fact, GradientsCleared) and clears_own(fact, first, loop)]
            for fact in cleared if passes and not passes[0].place.conditions_inside(part.place) else ():
                if not fact.place.conditions_inside(part.place):
                    yield self._finding(fact, first, "the optimizer steps after several rounds", None)

    def _finding(self, clearing: GradientsCleared, step: GradientUse, when: str, fix: Fix | None) -> Finding:
        return self.found(
            step.place.site,
            f"{when}, but gradients are cleared in each: only those of the last round are left",
            hint="clear the gradients right after the step, and nowhere else in the loop",
            trail=first_step(clearing.place.site, "gradients are cleared here, in each round"),
            last=(step.place.site, "the step uses what is left"),
            fix=fix,
        )


def _is_tried_again(loop: Loop) -> bool:
    """Whether a loop repeats the same thing until it works: `for attempt in range(3): ... break`."""
    return any(nodes.is_break(node) for node in nodes.descendants(loop.node))


def _fix(clearing: GradientsCleared, accumulation: Accumulation) -> Fix | None:
    """Move the clearing behind the step; drop it where the gradients are cleared there already."""
    part = clearing.place.site.part
    statement, step = edit.statement_of(clearing.place), edit.statement_of(accumulation.step.place)
    plain = clearing.place.function is accumulation.step.place.function and edit.is_statement(clearing.place.site)
    if statement is None or step is None or not plain or len(edit.siblings(part, statement)) < 2:
        return None
    facts = accumulation.loop.facts
    cleared = any(isinstance(fact, GradientsCleared) and accumulation.waits(fact) for fact in facts)
    added = (
        ()
        if cleared
        else (edit.inserted_after(part, step, edit.indented_like(part, step, nodes.code(clearing.place.site.node))),)
    )
    return edit.unsafe(edit.removed(part, statement), *added)
