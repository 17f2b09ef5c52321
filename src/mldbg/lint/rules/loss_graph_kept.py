from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.facts import Accumulated, Backward, Escape, Loop, Restarted
from mldbg.lint.interpret.parts import parts_of
from mldbg.lint.interpret.value import first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import holds_once, repeated_steps


class LossGraphKept(Rule):
    """loss tensors are summed or collected for logging and keep every graph alive

    ## Why
    A loss tensor holds on to its computation graph. `total += loss` builds one long graph over all batches, and a
    list of losses keeps one graph per batch: memory grows with every step until the run is killed, often hours later.

    ## Bad
        from torch import nn

        def train(model, loader, optimizer):
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss
            return total

    ## Good
        from torch import nn

        def train(model, loader, optimizer):
            total = 0.0
            for x, y in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(x), y)
                loss.backward()
                optimizer.step()
                total += loss.item()
            return total

    ## Limits
    Fires when the loss that backward runs on, or a part of it, is accumulated. A sum that is itself differentiated (several
    losses, then one backward) is fine, and so is anything under no_grad, a sum that the same loop sets back or detaches,
    and a sum over the layers or the chunks of one batch. Tests of software, whose loops are short, are left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    about_experiments = True
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        passes = [fact for fact in loop.facts if isinstance(fact, Backward)]
        if not _trains(loop):
            return
        for fact in loop.facts:
            if not isinstance(fact, Accumulated) or not fact.grad or fact.value.attached is False or _starts_anew(fact, loop):
                continue
            backward = _backward_of(fact, passes)
            if backward is None or (fact.counted is not None and loop.node not in fact.counted):
                continue
            yield self.found(
                fact.place.site,
                f"`{fact.into}` keeps the graph of every loss alive: memory grows with each step",
                hint="accumulate loss.item(), or loss.detach() to avoid a device synchronisation",
                trail=first_step(backward.place.site, "backward runs on this loss"),
                last=(fact.place.site, f"the loss tensor itself is stored in `{fact.into}`"),
                fix=_fix(fact, backward) if not any(one.by_loss for one in _restarts(fact, loop)) else None,
            )


def _backward_of(fact: Accumulated, passes: list[Backward]) -> Backward | None:
    """The backward pass on the loss that is added, or on a sum of which it is a part; None where there is one on the total."""
    parts = parts_of(fact.value.origin)
    covered = frozenset[Ref]()
    found: list[Backward] = []
    for one in passes:
        within = parts_of(one.loss.origin)
        if fact.total in within or fact.into_ref in within:
            return None
        if not one.keeps_graph and not parts.isdisjoint(within):
            covered |= within
            found.append(one)
    return found[0] if found and parts <= covered else None


def _trains(loop: Loop) -> bool:
    """Whether the loop may be the one that goes on for all of the training: not one over layers, models or chunks of a batch."""
    unknown = any(isinstance(fact, Escape) or (isinstance(fact, Backward) and fact.owned) for fact in loop.facts)
    return unknown or any(True for _ in repeated_steps(loop))


def _starts_anew(sum_of: Accumulated, loop: Loop) -> bool:
    """Whether somewhere in the loop the sum is set back, cut off its graph, or the list loses elements.

    Not where it only begins, `if total is None: total = loss`.
    """
    return not all(
        one.by_loss and any(holds_once(condition, loop) for condition in one.place.conditions_inside(loop.place))
        for one in _restarts(sum_of, loop)
    )


def _restarts(sum_of: Accumulated, loop: Loop) -> list[Restarted]:
    return [
        fact
        for fact in loop.facts
        if isinstance(fact, Restarted)
        and (fact.cell in sum_of.cells or (fact.content is not None and fact.content == sum_of.into_ref))
    ]


def _fix(fact: Accumulated, backward: Backward) -> Fix | None:
    """Detach what is added.

    Not safe in another function, which others may call with plain numbers, and in code that does not name torch: the loss of
    another library may have a backward() and no detach().
    """
    if fact.expression is None:
        return None
    part = fact.place.site.part
    change = edit.replaced(part, fact.expression, nodes.detached(fact.expression))
    plain = fact.place.function is backward.place.function and "torch" in part.module.text
    return edit.safe(change) if plain else edit.unsafe(change)
