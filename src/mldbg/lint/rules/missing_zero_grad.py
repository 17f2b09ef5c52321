from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, Escape, GradientsCleared, GradientUse, Loop
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import repeated_steps

_NAMED_ONLY = re.compile(r"\.zero_grad[ \t]*(?:#.*)?$", re.MULTILINE)


class MissingZeroGrad(Rule):
    """a loop runs backward and step, and nothing ever clears the gradients

    ## Why
    `backward()` adds to `.grad`. If it is never cleared, every step follows the sum of all gradients since the start,
    like a huge momentum term. The loss still decreases at first, then training becomes unstable or stalls.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                loss = nn.functional.cross_entropy(model(x), y)
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
    Looks at the innermost loop in which an optimizer steps again and again after backward, helpers and closures
    included: not at a loop over several models, each with its own optimizer, but at the one around it. Silent when
    anything in it may clear gradients (a conditional zero_grad, or unknown code that receives the optimizer), and
    where a framework owns the loop. What is called a scheduler, a meter, a logger or an average of weights is taken to
    leave gradients alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        passes = [fact for fact in loop.facts if isinstance(fact, Backward)]
        inner = any(isinstance(fact, Loop) and _trains_in_each_round(fact) for fact in loop.facts)
        if inner or any(isinstance(fact, Escape) for fact in loop.facts) or any(fact.owned for fact in passes):
            return
        step = next((step for step in repeated_steps(loop) if not _is_cleared(step, loop)), None)
        if step is None or not passes or _NAMED_ONLY.search(nodes.code(loop.node)):
            return  # what is named and not called is another rule's
        before = [fact for fact in loop.facts[: loop.facts.index(step)] if isinstance(fact, Backward)]
        first = before[-1] if before else passes[0]
        yield self.found(
            first.place.site,
            "gradients are never cleared in this loop: every step uses the sum of all gradients so far",
            hint="call zero_grad() once per step, before backward",
            last=(step.place.site, "the step uses gradients accumulated over all iterations"),
            trail=first_step(first.place.site, "backward adds to the gradients"),
            fix=_fix(first, step),
        )


def _is_cleared(step: GradientUse, loop: Loop) -> bool:
    """Whether anything in the loop clears the gradients of this optimizer, or may."""
    clearings = [fact for fact in loop.facts if isinstance(fact, GradientsCleared)]
    return any(_may_be_of(step, clearing) and not _is_of_another(step, clearing, loop) for clearing in clearings)


def _may_be_of(step: GradientUse, clearing: GradientsCleared) -> bool:
    return not step.parameters or not clearing.parameters or not clearing.parameters.isdisjoint(step.parameters)


def _is_of_another(step: GradientUse, clearing: GradientsCleared, loop: Loop) -> bool:
    """Whether another optimizer clears its own gradients only: it steps with them, and this one after a backward of its own."""
    if clearing.identity in (None, step.identity) or not {clearing.identity, step.identity}.isdisjoint(_NOBODY):
        return False
    own = [fact for fact in loop.facts[: loop.facts.index(step)] if isinstance(fact, GradientUse | Backward)]
    other = [index for index, fact in enumerate(own) if isinstance(fact, GradientUse) and fact.identity == clearing.identity]
    return bool(other) and any(isinstance(fact, Backward) for fact in own[other[-1] :])


_NOBODY = frozenset({Slot.UNNAMED, Slot.ANY_OPTIMIZER})
"""Identities under which several optimizers may go."""


def _trains_in_each_round(loop: Loop) -> bool:
    return any(isinstance(fact, Backward) for fact in loop.facts) and any(True for _ in repeated_steps(loop))


def _fix(backward: Backward, step: GradientUse) -> Fix | None:
    """Clear just before backward, when the optimizer has a name there and steps whenever backward runs."""
    statement = edit.statement_of(backward.place)
    if step.expression is None or statement is None or step.place.function is not backward.place.function:
        return None
    if step.place.conditions != backward.place.conditions:
        return None  # gradients are meant to add up in between
    return edit.unsafe(edit.inserted_before(backward.place.site.part, statement, f"{nodes.code(step.expression)}.zero_grad()"))
