from __future__ import annotations

from collections.abc import Iterator, Sequence

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, Fact, Loop, ModelCall, ModeSet
from mldbg.lint.interpret.value import Object, first_step
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import holds_once


class TrainModeNotRestored(Rule):
    """eval() inside the epoch loop is never followed by train()

    ## Why
    After the first validation the model stays in evaluation mode: from the second epoch on there is no dropout, and
    batch normalisation neither uses nor updates batch statistics. Training continues
    under different dynamics than it started with, and nothing reports it.

    ## Bad
        import torch
        from torch import nn

        def fit(model, train_loader, val_loader, optimizer):
            for epoch in range(10):
                for x, y in train_loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                model.eval()
                with torch.no_grad():
                    for x, y in val_loader:
                        print(nn.functional.cross_entropy(model(x), y).item())

    ## Good
        import torch
        from torch import nn

        def fit(model, train_loader, val_loader, optimizer):
            for epoch in range(10):
                model.train()
                for x, y in train_loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                model.eval()
                with torch.no_grad():
                    for x, y in val_loader:
                        print(nn.functional.cross_entropy(model(x), y).item())

    ## Limits
    Fires when a loop trains a model and then puts it into evaluation mode, or puts it there, evaluates and then trains, and
    nothing in the loop puts it back. A
    model that was in evaluation mode before the loop (frozen batch normalisation), or that has no mode-dependent
    layer, is left alone, and so is a switch after which the loop is left, or in a round that is picked out with `==`.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        for index, fact in enumerate(loop.facts):
            if not isinstance(fact, ModeSet) or fact.training is not False or fact.model is None:
                continue
            before, behind = loop.facts[:index], loop.facts[index + 1 :]
            trained = _training_of(fact.model, before) or _training_of(fact.model, _behind_an_evaluation(fact.model, behind))
            if trained is None or trained.mode_dependent is False:
                continue
            on_purpose = loop.mode_at_start.get(fact.model.ref) is False
            if on_purpose or fact.model.ref in loop.built_inside or _is_restored(loop, fact.model) or not _goes_on(loop, fact):
                continue
            yield self._stays(loop, fact, trained) if trained in before else self._trained_behind(fact, trained)
            return

    def _stays(self, loop: Loop, switch: ModeSet, trained: ModelCall) -> Finding:
        return self.found(
            switch.place.site,
            "the model stays in evaluation mode: from the next epoch on, it trains without dropout and batch statistics",
            hint="call model.train() at the top of each epoch",
            trail=first_step(trained.place.site, "trained here"),
            last=(switch.place.site, "switched to evaluation mode, and the loop starts over"),
            fix=_fix(loop, switch),
        )

    def _trained_behind(self, switch: ModeSet, trained: ModelCall) -> Finding:
        return self.found(
            switch.place.site,
            "the model stays in evaluation mode after the evaluation: it trains without dropout and batch statistics",
            hint="call model.train() before training",
            trail=first_step(switch.place.site, "switched to evaluation mode"),
            last=(trained.place.site, "trained here, still in evaluation mode"),
        )


def _training_of(model: Object, facts: Sequence[Fact]) -> ModelCall | None:
    """The last call that trains a model, where a backward pass follows."""
    runs = [index for index, one in enumerate(facts) if isinstance(one, ModelCall) and one.grad and one.model.thing == model]
    passes = [index for index, one in enumerate(facts) if isinstance(one, Backward)]
    last = facts[runs[-1]] if runs and passes else None
    return last if isinstance(last, ModelCall) else None


def _behind_an_evaluation(model: Object, facts: Sequence[Fact]) -> Sequence[Fact]:
    """What happens behind an evaluation: a call of the model without gradients, before any other."""
    for index, one in enumerate(facts):
        if isinstance(one, ModelCall) and one.model.thing == model:
            return () if one.grad else facts[index + 1 :]
    return ()


def _is_restored(loop: Loop, model: Object) -> bool:
    """Whether something in the loop puts a model, or a model that may be this one, back into training mode."""
    return any(isinstance(one, ModeSet) and one.model in (None, model) and one.training is not False for one in loop.facts)


def _goes_on(loop: Loop, fact: ModeSet) -> bool:
    """Whether there are rounds behind the one that switches the mode: it does not leave the loop then, nor is it the last."""
    left = fact.model is not None and loop.mode_at_end.get(fact.model.ref, True) is True
    return not left and not any(holds_once(condition, loop) for condition in fact.place.conditions_inside(loop.place))


def _fix(loop: Loop, fact: ModeSet) -> Fix | None:
    first = nodes.first_of_body(loop.node)
    if first is None or fact.expression is None or fact.place.function is not loop.place.function:
        return None
    if edit.is_bound_between(fact.place.site, loop.node, fact.expression):
        return None  # `for net in nets: net.eval()`: at the top of the epoch the name holds none, or the last one
    return edit.unsafe(edit.inserted_before(loop.place.site.part, first, f"{nodes.code(fact.expression)}.train()"))
