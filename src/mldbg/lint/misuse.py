"""What the rules about losses share: which calls they hear, when a meaning is misused, and the fix that follows from the case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.finding import Finding, Fix
from mldbg.lint.rule import Listening, Rule, calls
from mldbg.operations.effect import Loss
from mldbg.operations.losses import LOSSES, Misuse, Remedy, misuse_named
from mldbg.operations.tables import effect_of
from mldbg.operations.torch import LOSS_CLASSES

if TYPE_CHECKING:
    from mldbg.lint.interpret.facts import Call
    from mldbg.lint.interpret.value import Value

OnCall = Callable[[Rule, "Call"], Iterator[Finding]]


def of(module: str) -> tuple[Listening, OnCall]:
    """What the rule in a module listens to, and how it judges a call: both follow from the misuse of that name."""
    misuse = misuse_named(module.rpartition(".")[2].replace("_", "-"))

    def on_call(rule: Rule, call: Call) -> Iterator[Finding]:
        yield from _found(rule, misuse, call)

    return calls(*calls_of(misuse)), on_call


def calls_of(misuse: Misuse) -> Iterator[str]:
    """The qualified names of the calls that a misuse is about."""
    for loss in misuse.losses:
        yield loss.function
        yield from (f"{cls}.__call__" for cls, row in LOSS_CLASSES.items() if row is loss)


def is_exact(value: Value) -> bool:
    """Whether a value is what an activation gave, or an annotation says: nothing scaled it, and no division made it."""
    if value.scaled or value.trail is None:
        return False
    return not nodes.is_arithmetic(value.trail.steps()[0][0].node)


_SAYS_ACTIVATION = re.compile(r"softmax|sigmoid|prob|logit|activ|norm", re.IGNORECASE)


def is_conditional(call: Call) -> bool:
    """Whether an activation is applied under a test that may know whether it was applied already."""
    told = [condition for condition in call.place.conditions if condition.outcome is not None]
    if told and call.place.supposed:
        return True
    return any(_SAYS_ACTIVATION.search(nodes.code(condition.test.node)) for condition in call.place.conditions)


def flag(call: Call, name: str, usual: bool) -> bool | None:
    """A flag of a loss, given in the call or where the loss was built; None where it is not known."""
    match edit.is_given(call, name):
        case True:
            given = call.argument(name).constant
            return given if isinstance(given, bool) else None
        case False:
            return usual
        case None:
            return None


def _found(rule: Rule, misuse: Misuse, call: Call) -> Iterator[Finding]:
    value = call.argument(misuse.parameter)
    case = misuse.gets.get(value.meaning) if value.meaning is not None else None
    if case is not None:
        yield rule.found(
            call.place.site,
            misuse.message_on(value.meaning),
            hint=misuse.hint_on(value.meaning),
            trail=value.trail,
            last=(call.place.site, misuse.last),
            fix=_fix(call, misuse, case.remedy),
        )


def _fix(call: Call, misuse: Misuse, remedy: Remedy | None) -> Fix | None:
    match remedy:
        case Remedy.DROP_ACTIVATION:
            return edit.without_activation(call, misuse.parameter)
        case Remedy.LOG_ACTIVATION:
            return edit.other_activation(call, misuse.parameter, {"softmax": "log_softmax", "Softmax": "LogSoftmax"})
        case Remedy.FUSED_LOSS:
            return _fused(call)
        case None:
            return None


def _fused(call: Call) -> Fix | None:
    """The loss becomes the one that takes logits, where its name can be exchanged alone."""
    loss = effect_of(call.name)
    if not isinstance(loss, Loss) or loss.fused is None:
        return None
    made = edit.constructor(call)
    change = (
        edit.renamed(call.place.site, loss.name, loss.fused)
        if made is None
        else edit.renamed(made, loss.cls, LOSSES[loss.fused].cls)
    )
    return edit.unsafe(change) if change is not None else None
