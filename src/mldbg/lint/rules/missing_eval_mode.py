from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import ModelCall
from mldbg.lint.library.names import says_evaluation, says_stochastic
from mldbg.lint.rule import Rule, Topic, hears

_NAMED_ONLY = re.compile(r"\.eval[ \t]*$", re.MULTILINE)


class MissingEvalMode(Rule):
    """an evaluation runs a model with dropout or batch normalisation in training mode

    ## Why
    In training mode dropout zeroes random units and batch normalisation uses (and updates) statistics of the batch
    at hand: the scores are noisy, depend on the batch size, and evaluating even changes the model. `no_grad` does
    not change the mode.

    ## Bad
        import torch
        from torch import nn

        def main(train_loader, test_loader):
            model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 2))
            correct = 0
            with torch.no_grad():
                for x, y in test_loader:
                    correct += (model(x).argmax(1) == y).sum().item()
            return correct

    ## Good
        import torch
        from torch import nn

        def main(train_loader, test_loader):
            model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 2))
            model.eval()
            correct = 0
            with torch.no_grad():
                for x, y in test_loader:
                    correct += (model(x).argmax(1) == y).sum().item()
            return correct

    ## Limits
    Fires when the model is known to be in training mode on every path, its forward is known to reach a layer for
    which that matters, and it is used for an evaluation: gradients are off, or a loop runs over held-out data, in a
    function or over a loader whose name says so. Weights that were loaded from a file say so, too, where gradients are off in
    a loop, the result is used, and nothing around trains. Monte-Carlo dropout that is named as such is left alone.
    """

    group = Group.CORRECTNESS
    topic = Topic.TRAINING
    about_experiments = True
    listens_to = hears(ModelCall)

    def on_model_call(self, call: ModelCall) -> Iterator[Finding]:
        layer = call.dependent_in_training
        if layer is None or not _is_evaluation(call) or _NAMED_ONLY.search(call.place.site.part.code):
            return  # what is named and not called is another rule's
        yield self.found(
            call.place.site,
            f"the model is evaluated in training mode, where {layer} behaves differently",
            hint="call model.eval() before evaluating, and model.train() before training resumes",
            trail=call.mode_set.trail if call.mode_set is not None else None,
            last=(call.place.site, "evaluated here while still in training mode"),
            fix=_fix(call),
        )


def _is_evaluation(call: ModelCall) -> bool:
    names = (*call.place.within, *call.feeding)
    if any(says_stochastic(name) for name in names):
        return False
    held_out = call.data.role is not None and call.data.role.held_out
    said_by_loop = any(says_evaluation(name) for name in call.feeding)
    if call.loaded and not call.grad and call.feeding and not edit.is_statement(call.place.site):
        return True  # trained elsewhere, and run here for what it says; a bare call gathers statistics of batches
    said = held_out or said_by_loop or any(says_evaluation(name) for name in call.place.within)
    return said and (not call.grad or (bool(call.feeding) and (held_out or said_by_loop)))


def _fix(call: ModelCall) -> Fix | None:
    """Switch the mode before the outermost statement of the evaluation in this function."""
    statement = edit.outermost_evaluation(call.place)
    if statement is None:
        return None
    return edit.unsafe(edit.inserted_before(call.place.site.part, statement, f"{nodes.code(call.expression)}.eval()"))
