from __future__ import annotations

import re
from collections.abc import Iterator

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Backward, GradientUse, Loop, ModelCall
from mldbg.lint.interpret.value import ClassThing, Object
from mldbg.lint.library.names import says_evaluation
from mldbg.lint.rule import Rule, Topic, hears

_NEEDS_GRADIENTS = re.compile(
    r"autograd|\bgrad\(|requires_grad|backward|set_grad_enabled|enable_grad|jacobian|hessian|\bvjp|\bjvp|create_graph"
)
_SAYS_GRADIENTS = re.compile(
    r"attack|adversar|fgsm|\bpgd|salien|grad_?cam|gradient|attribution|influence|fisher|sharpness|adapt|invert|inversion|optimi",
    re.IGNORECASE,
)
_LOADS = re.compile(r"loader|batches|\bdl\b|_dl\b|_iter\b|dataset|data_?set|\bds\b|_ds\b", re.IGNORECASE)


class MissingNoGrad(Rule):
    """an evaluation loop records a graph for a backward pass that never comes

    ## Why
    Without `torch.no_grad()` every operation keeps what its gradient would need. An evaluation then takes about twice the
    memory, and runs out of it where outputs are collected. `model.eval()` does not turn this off.

    ## Bad
        from torch import nn

        def accuracy(model: nn.Module, test_loader):
            model.eval()
            correct = 0
            for x, y in test_loader:
                correct += (model(x).argmax(1) == y).sum().item()
            return correct / len(test_loader.dataset)

    ## Good
        import torch
        from torch import nn

        @torch.no_grad()
        def accuracy(model: nn.Module, test_loader):
            model.eval()
            correct = 0
            for x, y in test_loader:
                correct += (model(x).argmax(1) == y).sum().item()
            return correct / len(test_loader.dataset)

    ## Limits
    Fires in loops over batches in which a model runs in evaluation mode, or over data that are called validation or test
    data, and nothing asks for gradients: attacks, saliency and the like are silent, and so are files that freeze parameters.
    Frameworks that run the loop turn gradients off themselves. Callers in other files are not known: a function that all of
    them call under `no_grad` is reported, and `@torch.no_grad()` above it says so to everybody.
    """

    group = Group.PERFORMANCE
    topic = Topic.TRAINING
    about_experiments = True
    listens_to = hears(Loop)

    def on_loop(self, loop: Loop) -> Iterator[Finding]:
        if any(isinstance(fact, Backward | GradientUse) for fact in loop.facts):
            return
        seen = set()
        for call in loop.facts:
            if not isinstance(call, ModelCall) or call.place.site in seen or not _records(call) or not _is_evaluation(call):
                continue
            if _wants_gradients(call, loop):
                continue
            seen.add(call.place.site)
            yield self.found(
                call.place.site,
                "the model is evaluated with gradients on: each batch records a graph that nobody uses",
                hint="evaluate under torch.no_grad() or torch.inference_mode()",
                trail=call.mode_set.trail if call.mode_set is not None and call.training is False else None,
                last=(call.place.site, "a graph is recorded here"),
                fix=_fix(call, loop),
            )


def _records(call: ModelCall) -> bool:
    """Whether a graph is recorded, of something that is known to be a model with parameters."""
    thing = call.model.thing
    return call.grad and (call.training is False or (isinstance(thing, Object) and isinstance(thing.cls, ClassThing)))


def _is_evaluation(call: ModelCall) -> bool:
    if not call.feeding:
        return False
    batches = any(map(_LOADS.search, call.feeding)) or any(map(says_evaluation, call.feeding))
    named = any(map(says_evaluation, call.place.within))
    return _is_held_out(call) or (call.training is False and batches) or (call.training is False and named)


def _is_held_out(call: ModelCall) -> bool:
    held_out = call.data.role is not None and call.data.role.held_out
    return held_out or any(map(says_evaluation, call.feeding))


def _wants_gradients(call: ModelCall, loop: Loop) -> bool:
    """Whether the code around asks for gradients, says that it will, or has turned them off for the parameters."""
    names = (*call.place.within, nodes.code(call.expression))
    if any(map(_SAYS_GRADIENTS.search, names)):
        return True
    texts = [edit.code_in(loop.place.site.part, loop.node)]
    if call.place.function is not None and call.place.function is not loop.place.function:
        texts.append(edit.code_in(call.place.site.part, call.place.function))
    if any(map(_NEEDS_GRADIENTS.search, texts)):
        return True
    text = "".join(call.place.site.part.module.outline.code)
    return bool(re.search(r"requires_grad_\(False\)|\.requires_grad\s*=\s*False|set_grad_enabled\(False", text))


def _fix(call: ModelCall, loop: Loop) -> Fix | None:
    """Put the outermost loop of the evaluation under no_grad."""
    part = call.place.site.part
    if call.place.function is not loop.place.function or "torch" not in part.module.outline.imports:
        return None
    statement = edit.outermost_evaluation(call.place)
    return edit.unsafe(*edit.put_under(part, statement, "with torch.no_grad():")) if statement is not None else None
