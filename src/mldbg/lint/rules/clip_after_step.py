from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.facts import Backward, Escape, Fact, Gradients, GradientsCleared, GradientUse, Loop
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears

_BOUND = re.compile(r"max_?(?:grad_?)?norm|clip", re.IGNORECASE)
_WHOLE = (GradientsCleared, Backward, GradientUse)
"""What a function does to gradients that takes one step."""

MOST_CLIPPED = 1e4
"""Greatest norm that clips: a greater one is given to measure the norm."""


class ClipAfterStep(Rule):
    """gradients are clipped where it has no effect: after the step that uses them, or before backward computes them

    ## Why
    Clipping changes the gradients that are there. Behind the step it changes what is cleared next, and before backward there is
    nothing to clip: the steps are as large as without it, and exploding gradients explode.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)

    ## Good
        import torch
        from torch import nn

        def train(model, loader):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for x, y in loader:
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()

    ## Limits
    Fires where a loop has one optimizer, and its gradients are clipped between its step and the next clearing, or between the
    clearing and backward. A norm that is kept (`norm = clip_grad_norm_(...)`) and has neither a small bound nor one of that name
    is taken for a measurement. Silent where unknown code gets the optimizer.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop, GradientUse, GradientsCleared, Backward)

    def __init__(self) -> None:
        self._idle: list[GradientUse] = []
        self._passes: list[Backward] = []
        self._before: list[Backward | GradientUse | GradientsCleared] = []
        """What has happened to gradients, clipping apart."""

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        passes = [fact for fact in loop.facts if isinstance(fact, Backward) and not fact.owned]
        for index, fact in enumerate(loop.facts if passes else ()):
            if not isinstance(fact, GradientUse) or not fact.clip:
                continue
            before, after = _around(loop, index)
            if fact.gradients is Gradients.CLEARED or (_is_cleared(before, fact) and isinstance(after, Backward)):
                yield self._early(fact, passes[0], before.place.site if isinstance(before, GradientsCleared) else fact.cleared)
            elif isinstance(before, GradientUse) and isinstance(after, GradientsCleared) and _is_meant(before, fact):
                yield self._late(fact, passes[-1])

    def on_gradient_use(self, use: GradientUse) -> Iterator[Finding]:
        if not use.clip:
            self._before.append(use)
        elif use.gradients is Gradients.CLEARED:
            self._idle.append(use)
            passes = [one for one in self._passes if edit.same_block(use.place, one.place)]
            if passes:
                yield self._early(use, passes[0], use.cleared)
        else:
            backward = self._of_a_whole_step(use)
            if backward is not None:
                yield self._late(use, backward)

    def on_gradients_cleared(self, clearing: GradientsCleared) -> Iterator[Finding]:
        self._before.append(clearing)
        yield from ()

    def _of_a_whole_step(self, clip: GradientUse) -> Backward | None:
        """The backward pass of a block that clears, runs backward, steps and then clips: the next call begins with clearing."""
        here = [one for one in self._before if edit.same_block(clip.place, one.place)]
        here = [one for one in here if one.place.within == clip.place.within and _are_alike(one, clip)]
        steps = [one for one in here if isinstance(one, GradientUse)]
        passes = [one for one in here if isinstance(one, Backward) and not one.owned]
        if len({one.place.site for one in here}) != len(_WHOLE) or not steps or not passes:
            return None
        if edit.steps_behind(clip.place) or not _is_meant(steps[-1], clip):
            return None
        return passes[-1] if tuple(type(one) for one in here[-len(_WHOLE) :]) == _WHOLE else None

    def on_backward(self, backward: Backward) -> Iterator[Finding]:
        self._before.append(backward)
        if not backward.owned:
            self._passes.append(backward)
            for use in self._idle:
                if edit.same_block(use.place, backward.place):
                    yield self._early(use, backward, use.cleared)

    def _early(self, clip: GradientUse, backward: Backward, cleared: Site | None) -> Finding:
        return self.found(
            clip.place.site,
            "gradients are clipped while still cleared: no backward has run since",
            hint="call zero_grad, then backward, then clip, then step",
            trail=first_step(cleared, "gradients are cleared here") if cleared is not None else None,
            last=(clip.place.site, "gradients are clipped with no backward in between"),
            fix=_moved_behind(backward, clip),
        )

    def _late(self, clip: GradientUse, backward: Backward) -> Finding:
        return self.found(
            clip.place.site,
            "gradients are clipped after the step that uses them: the clipping has no effect",
            hint="clip between backward and step",
            last=(clip.place.site, "gradients are clipped here, and cleared before the next step"),
            fix=_moved_behind(backward, clip),
        )


def _around(loop: Loop, index: int) -> tuple[Fact | None, Fact | None]:
    """What a round does to the gradients of the only optimizer just before a place, and next; nothing where more may happen."""
    kinds = (Backward, GradientUse, GradientsCleared, Escape)
    round_ = [fact for fact in (*loop.facts[index + 1 :], *loop.facts[:index]) if isinstance(fact, kinds)]
    round_ = [fact for fact in round_ if not (isinstance(fact, GradientUse) and fact.clip)]
    steps = {fact.identity for fact in round_ if isinstance(fact, GradientUse)}
    if len(steps) != 1 or any(isinstance(fact, Escape) for fact in round_):
        return None, None
    return round_[-1], round_[0]


def _are_alike(one: Fact, other: Fact) -> bool:
    """Whether two things happen in the same rounds, and in one function."""
    return one.place.conditions == other.place.conditions and one.place.function is other.place.function


def _is_cleared(before: Fact | None, clip: GradientUse) -> bool:
    return isinstance(before, GradientsCleared) and _are_alike(before, clip)


def _is_meant(step: GradientUse, clip: GradientUse) -> bool:
    """Whether a call clips what the step has used, and does not only measure it."""
    return _are_alike(step, clip) and (not edit.is_used(clip.place.site) or _clips(clip.place.site))


def _clips(site: Site) -> bool:
    """Whether the bound is a number that some gradients exceed, or is called a bound: whoever only measures writes a huge one."""
    bound = edit.argument_of(site.node, 1, "max_norm", "clip_value")
    number = nodes.float_of(bound) if bound is not None else None
    named = bound is not None and _BOUND.search(nodes.last_name(bound) or "") is not None
    return named or (number is not None and number < MOST_CLIPPED)


def _moved_behind(backward: Backward, clip: GradientUse) -> Fix | None:
    part, gradient, statement = clip.place.site.part, edit.statement_of(backward.place), edit.statement_of(clip.place)
    plain = gradient is not None and statement is not None and edit.same_block(clip.place, backward.place)
    return edit.moved_after(part, statement, gradient) if plain and statement and gradient else None
