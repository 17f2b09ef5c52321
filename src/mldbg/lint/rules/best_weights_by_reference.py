from __future__ import annotations

from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.facts import Loop, WeightsKept
from mldbg.lint.interpret.value import first_step
from mldbg.lint.kept import is_left_at_once, is_made_in, is_read_later, is_record, root_of
from mldbg.lint.rule import Rule, Topic, hears
from mldbg.lint.training_loop import trained_models


class BestWeightsByReference(Rule):
    """the best weights are kept by reference, and training goes on changing them

    ## Why
    `model.state_dict()` returns the tensors of the model, not a copy, and an optimizer changes them in place. What is kept as
    "the best weights" is whatever the last step left: early stopping restores nothing, and a list of snapshots holds one and the
    same state many times.

    ## Bad
        import torch
        from torch import nn

        def train(model, loader, evaluate, epochs):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            best, best_weights = 0.0, None
            for _ in range(epochs):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                score = evaluate(model)
                if score > best:
                    best = score
                    best_weights = model.state_dict()
            model.load_state_dict(best_weights)

    ## Good
        import copy

        import torch
        from torch import nn

        def train(model, loader, evaluate, epochs):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            best, best_weights = 0.0, None
            for _ in range(epochs):
                for x, y in loader:
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(x), y).backward()
                    optimizer.step()
                score = evaluate(model)
                if score > best:
                    best = score
                    best_weights = copy.deepcopy(model.state_dict())
            model.load_state_dict(best_weights)

    ## Limits
    Fires where a loop trains a model, a variable or list keeps its state dict (or, beside a record that is compared, the model
    itself) under a condition or once per round, and somebody reads it later. Shallow copies (`dict()`, `.copy()`, a
    comprehension over the items) count as references. Weights that are written to a file at once, or kept just before the loop
    ends, are fine, and so is a model that each round makes anew.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        kept = [fact for fact in loop.facts if isinstance(fact, WeightsKept)]
        trained = trained_models(loop) if kept else frozenset()
        for fact in kept:
            if not _is_of(fact.model, trained) or is_made_in(fact.model, loop) or not _is_meant_to_last(fact, loop):
                continue
            name = nodes.code(root_of(fact.into))
            what = "the model itself" if fact.whole else "the tensors of the model"
            yield self.found(
                fact.place.site,
                f"`{name}` refers to {what}: training goes on and changes what it holds",
                hint="keep a copy: copy.deepcopy(model.state_dict())",
                trail=first_step(loop.place.site, "this loop trains the model in each round"),
                last=(fact.place.site, "no copy is made here"),
                fix=_fix(fact),
            )


def _is_of(model: Ref, trained: frozenset[Ref]) -> bool:
    """Whether the weights are those of a trained model, or of the module that a wrapper of it holds."""
    return model in trained or (model.whole is not None and model.whole in trained)


def _is_meant_to_last(fact: WeightsKept, loop: Loop) -> bool:
    conditions = fact.place.conditions_inside(loop.place)
    if not conditions and not fact.collected:
        return False
    if fact.whole and not is_record(fact.place, conditions):
        return False
    return not is_left_at_once(fact.place, loop) and is_read_later(fact.place, fact.into, loop)


def _fix(fact: WeightsKept) -> Fix | None:
    """Copy what is kept. Not safe for a whole model, which may hold what cannot be copied."""
    part = fact.place.site.part
    copying = edit.name_of_function(part, "copy", "deepcopy")
    if copying is None:
        return None
    name, imports = copying
    changes = (*imports, edit.replaced(part, fact.source, f"{name}({nodes.code(fact.source)})"))
    return edit.unsafe(*changes) if fact.whole else edit.safe(*changes)
