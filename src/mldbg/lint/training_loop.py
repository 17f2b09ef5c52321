"""What the rules about training loops share: which steps a loop repeats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mldbg.lint import edit
from mldbg.lint.interpret.facts import Condition, GradientUse, Loop

if TYPE_CHECKING:
    import libcst as cst

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


def holds_once(condition: Condition, loop: Loop) -> bool:
    """`index == last`, `is_last`: in one round perhaps; `index % every == 0`, or what the rounds do not decide, in many."""
    inner = {fact.node for fact in loop.facts if isinstance(fact, Loop)}
    if loop.node not in condition.chosen_by or not inner.isdisjoint(condition.chosen_by):
        return False
    test = edit.code(cast("cst.BaseExpression", condition.test.node))
    return "%" not in test and bool((_EQUATION if condition.holds else _INEQUATION).search(test))
