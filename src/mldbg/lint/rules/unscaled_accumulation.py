from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.accumulation import Accumulation, accumulations, divisors, is_scaled, losses_written
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Backward, GradientsCleared, Loop
from mldbg.lint.interpret.join import is_loss
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears

if TYPE_CHECKING:
    import libcst as cst

_SUMMED = re.compile(r"reduction ?= ?[\"'](?:sum|none)|size_average ?= ?False|\.sum\(")
"""What says that a loss is no mean over a batch."""


class UnscaledAccumulation(Rule):
    """gradients of several batches are added up without dividing each loss by their number

    ## Why
    Backward adds to the gradients, so that k batches give k times the gradient of one, where the mean over all of them was meant:
    the learning rate is k times too large, and clipping cuts k times as often. A divisor that itself counts the batches is
    worse: the first one enters in full and the last one by a k-th.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader, every):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            seen = 0
            for x, y in loader:
                seen += 1
                loss = nn.functional.cross_entropy(model(x), y) / seen
                loss.backward()
                if seen == every:
                    optimizer.step()
                    optimizer.zero_grad()
                    seen = 0

    ## Good
        import torch
        from torch import nn

        def train(model, loader, every):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            seen = 0
            for x, y in loader:
                seen += 1
                loss = nn.functional.cross_entropy(model(x), y) / every
                loss.backward()
                if seen == every:
                    optimizer.step()
                    optimizer.zero_grad()
                    seen = 0

    ## Limits
    A divisor that counts the rounds is reported for certain. A mean over each batch that is not divided at all is reported in the
    group *suspicious*: the learning rate may have been chosen for it. Silent where a loss is a sum, where anything is divided or
    multiplied on its way to backward, and where the loss comes from code that is not known.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        for accumulation in accumulations(loop):
            if not _adds_up(accumulation):
                continue
            for backward in accumulation.passes:
                growing = next(divisors(backward, accumulation), None)
                if growing is not None:
                    yield self._growing(backward, accumulation, growing)
                elif _is_plain_mean(backward, accumulation):
                    yield replace(self._undivided(backward, accumulation), group=Group.SUSPICIOUS)

    def _growing(self, backward: Backward, accumulation: Accumulation, divisor: cst.BaseExpression) -> Finding:
        part, every = backward.place.site.part, nodes.code(accumulation.every)
        return self.found(
            site_of(part, divisor),
            f"the loss is divided by `{nodes.bare(divisor)}`, which grows from round to round: each batch counts less",
            hint=f"divide by the number of batches that are added up, `{every}`",
            last=(accumulation.step.place.site, f"the step uses the gradients of `{every}` rounds"),
            fix=_fix(accumulation, divisor, part is accumulation.condition.test.part),
        )

    def _undivided(self, backward: Backward, accumulation: Accumulation) -> Finding:
        every = nodes.code(accumulation.every)
        return self.found(
            backward.place.site,
            f"gradients of `{every}` batches are added up, and no loss is divided by `{every}`",
            hint=f"divide the loss by `{every}` before backward, unless the learning rate was chosen for the sum",
            trail=first_step(backward.place.site, "backward adds to the gradients in each round"),
            last=(accumulation.step.place.site, "the step uses their sum"),
        )


def _adds_up(accumulation: Accumulation) -> bool:
    """Whether gradients are cleared where the step is taken, and only there: cleared in each round, they do not add up."""
    cleared = [fact for fact in accumulation.loop.facts if isinstance(fact, GradientsCleared)]
    tests = [fact.place.conditions_inside(accumulation.loop.place) for fact in cleared]
    return bool(tests) and all(tests)


def _is_plain_mean(backward: Backward, accumulation: Accumulation) -> bool:
    """Whether backward runs on the mean of a batch as a loss gave it."""
    written = list(losses_written(backward, accumulation.loop))
    text = backward.place.site.part.module.text
    made = any(edit.made_by(backward.loss, nodes.owner_of(node)) for node in written)  # of `outputs.loss` the call before it
    known = is_loss(backward.loss) or any(nodes.code(node).endswith(".loss") for node in written)
    return made and known and not any(map(is_scaled, written)) and _SUMMED.search(text) is None


def _fix(accumulation: Accumulation, divisor: cst.BaseExpression, same_part: bool) -> Fix | None:
    if not same_part or not nodes.is_plain(accumulation.every):
        return None
    part = accumulation.condition.test.part
    return edit.unsafe(edit.replaced(part, divisor, nodes.code(accumulation.every)))
