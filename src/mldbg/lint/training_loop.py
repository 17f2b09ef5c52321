"""What the rules about training loops share: which steps a loop repeats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mldbg.lint import nodes
from mldbg.lint.interpret.facts import Backward, Condition, GradientUse, Loop, ModelCall
from mldbg.lint.interpret.value import Object
from mldbg.lint.library.names import says_loss

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Ref

_EQUATION = re.compile(r"==|\bis\b(?! not)|(^|\W|_)(last|final)(_|\W|$)")
_INEQUATION = re.compile(r"!=|\bis not\b|\bnot\b.*(\W|_)(last|final)(_|\W|$)")


def repeated_steps(loop: Loop) -> Iterator[GradientUse]:
    """Steps that an optimizer takes in more than one round: not those of the optimizers that have one round each, and not the
    one behind the last of several chunks of a batch.
    """
    for fact in loop.facts:
        if not isinstance(fact, GradientUse) or fact.clip or loop.node in fact.chosen_by:
            continue
        if not any(holds_once(condition, loop) for condition in fact.place.conditions_inside(loop.place)):
            yield fact


def trained_models(loop: Loop) -> frozenset[Ref]:
    """The models whose weights a loop changes: those that its optimizers have, or where that is not known, those that it runs."""
    steps = [fact for fact in loop.facts if isinstance(fact, GradientUse) and not fact.clip]
    if not steps or not any(isinstance(fact, Backward) for fact in loop.facts):
        return frozenset()
    known = frozenset(ref for step in steps for ref in step.parameters)
    if all(step.parameters for step in steps):
        return known
    calls = [fact for fact in loop.facts if isinstance(fact, ModelCall) and fact.grad and fact.training is not False]
    models = [fact.model.thing for fact in calls if not says_loss(nodes.code(fact.expression))]
    return known | {model.ref for model in models if isinstance(model, Object)}


def holds_once(condition: Condition, loop: Loop) -> bool:
    """`index == last`, `is_last`: in one round perhaps; `index % every == 0`, or what the rounds do not decide, in many."""
    inner = {fact.node for fact in loop.facts if isinstance(fact, Loop)}
    if loop.node not in condition.chosen_by or not inner.isdisjoint(condition.chosen_by):
        return False
    test = nodes.code(cast("cst.BaseExpression", condition.test.node))
    return "%" not in test and bool((_EQUATION if condition.holds else _INEQUATION).search(test))
