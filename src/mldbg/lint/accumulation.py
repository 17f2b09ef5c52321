"""Gradients that add up over several rounds of a loop: which steps wait for them, and how many rounds they wait."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.interpret.facts import Backward, Condition, Escape, Fact, GradientsCleared, GradientUse, Loop
from mldbg.lint.outline import Kind
from mldbg.lint.training_loop import trained_models

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part
else:
    from mldbg.lint.nodes import cst  # loaded when it is first used


_SIZE = re.compile(r"^len\(\w+\)$|\.size\(0\)$|\.shape\[0\]$")
"""How the size of a batch is written."""


@dataclass(frozen=True, slots=True)
class Accumulation:
    """An optimizer that steps every few rounds of a loop, while backward runs in each.

    Attributes:
        loop: the loop.
        step: what the optimizer does every few rounds.
        condition: the test that lets it.
        every: the number of rounds, as the test says it.
        passes: the backward passes of each round.
    """

    loop: Loop
    step: GradientUse
    condition: Condition
    every: cst.BaseExpression
    passes: tuple[Backward, ...]

    def waits(self, fact: Fact) -> bool:
        """Whether a fact happens only every few rounds, as the step does."""
        return any(condition.test is self.condition.test for condition in fact.place.conditions)


def accumulations(loop: Loop) -> Iterator[Accumulation]:
    """What adds up in a loop: of a single optimizer, whose gradients no unknown code gets and nobody owns."""
    steps = [fact for fact in loop.facts if isinstance(fact, GradientUse) and not fact.clip and loop.node not in fact.chosen_by]
    if len({step.identity for step in steps}) != 1 or any(isinstance(fact, Escape) for fact in loop.facts):
        return
    inner = {id(fact) for one in loop.facts if isinstance(one, Loop) for fact in one.facts}
    step = steps[0]
    if id(step) in inner:
        return
    for condition in step.place.conditions_inside(loop.place):
        every = _rounds_between(condition, loop)
        if every is None or _is_one(every, condition.test.part, loop):
            continue
        found = [fact for fact in loop.facts if isinstance(fact, Backward) and id(fact) not in inner]
        passes = tuple(fact for fact in found if not any(one.test is condition.test for one in fact.place.conditions))
        if passes and len(passes) == len(found) and not any(fact.owned for fact in passes):
            yield Accumulation(loop, step, condition, every, passes)
            return


def clears_own(clearing: GradientsCleared, step: GradientUse, loop: Loop) -> bool:
    """Whether gradients that are cleared are those that an optimizer steps with."""
    if clearing.identity is not None:
        return clearing.identity == step.identity
    trained = step.parameters or trained_models(loop)
    return bool(clearing.parameters) and len(trained) == 1 and clearing.parameters == trained


# ------------------------------------------------------------------------------------------------------------------- tests
def _rounds_between(condition: Condition, loop: Loop) -> cst.BaseExpression | None:
    """The `k` of a test that holds in every k-th round: `(step + 1) % k == 0`, or `seen >= k` where `seen` starts anew."""
    test, part = condition.test.node, condition.test.part
    if loop.node not in condition.chosen_by and not _counts_by_hand(test, part, loop):
        return None
    return _every(test, part, loop, holds=condition.holds, depth=0)


def _every(test: cst.CSTNode, part: Part, loop: Loop, *, holds: bool, depth: int) -> cst.BaseExpression | None:
    if depth > 4:  # names made of names
        return None
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return _every(test.expression, part, loop, holds=not holds, depth=depth + 1)
    if isinstance(test, cst.BooleanOperation):
        sides = (test.left, test.right)
        return next((each for side in sides if (each := _every(side, part, loop, holds=holds, depth=depth + 1))), None)
    if isinstance(test, cst.Name):
        here = loop.place.site.part
        if part is here:
            made = part.names_in(loop.node).made.get(test.value, [])
            return _every(made[0], part, loop, holds=holds, depth=depth + 1) if len(made) == 1 else None
        given = edit.argument_in(loop.node, part, test)
        return _every(given, here, loop, holds=holds, depth=depth + 1) if given is not None else None
    if isinstance(test, cst.BinaryOperation) and isinstance(test.operator, cst.Modulo):
        return test.right if not holds else None
    if not isinstance(test, cst.Comparison) or len(test.comparisons) != 1:
        return None
    operator, other = test.comparisons[0].operator, test.comparisons[0].comparator
    if isinstance(test.left, cst.BinaryOperation) and isinstance(test.left.operator, cst.Modulo):
        wanted = cst.Equal if holds else cst.NotEqual | cst.GreaterThan
        return test.left.right if isinstance(operator, wanted) else None
    reached = cst.Equal | cst.GreaterThanEqual if holds else cst.NotEqual | cst.LessThan
    return other if isinstance(operator, reached) and starts_anew(test.left, part, loop) else None


def _is_one(every: cst.BaseExpression, part: Part, loop: Loop) -> bool:
    """Whether the number of rounds is written as 1, or as a name that is 1."""
    if not isinstance(every, cst.Name):
        return nodes.number_of(every) == 1
    scope = edit.function_around(part, loop.node) if part is loop.place.site.part else None
    made = part.names_in(scope).made.get(every.value, []) if scope is not None else []
    constant = part.module.part_of.get(every.value)
    if not made and constant is not None and constant.statement.kind is Kind.ASSIGNMENT:
        made = constant.names_in(constant.tree).made.get(every.value, [])
    return bool(made) and all(nodes.number_of(value) == 1 for value in made)


def _counts_by_hand(test: cst.CSTNode, part: Part, loop: Loop) -> bool:
    """Whether a name or attribute in a test counts the rounds: `self.steps += 1`."""
    scope = loop.node if part is loop.place.site.part else (edit.function_around(part, test) or part.tree)
    counted = {nodes.code(target) for target in _counted(scope)}
    return any(isinstance(node, cst.Name | cst.Attribute) and nodes.code(node) in counted for node in nodes.descendants(test))


def _counted(scope: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    for node in nodes.descendants(scope):
        if isinstance(node, cst.AugAssign) and isinstance(node.operator, cst.AddAssign) and _is_count(node.value):
            yield node.target


def _is_count(node: cst.BaseExpression) -> bool:
    """Whether what is added is one, or the size of a batch."""
    return nodes.number_of(node) == 1 or _SIZE.search(nodes.code(node)) is not None


def starts_anew(counter: cst.BaseExpression, part: Part, loop: Loop) -> bool:
    """Whether a name or attribute counts up in a loop and is set back to a number there."""
    scope = loop.node if part is loop.place.site.part else (edit.function_around(part, counter) or part.tree)
    text = nodes.code(counter)
    if not isinstance(counter, cst.Name | cst.Attribute) or all(nodes.code(one) != text for one in _counted(scope)):
        return False
    set_back = [one for one in nodes.descendants(scope) if isinstance(one, cst.Assign) and nodes.number_of(one.value) is not None]
    return any(nodes.code(target.target) == text for one in set_back for target in one.targets)


# --------------------------------------------------------------------------------------------------------------- the loss
def losses_written(backward: Backward, loop: Loop) -> Iterator[cst.CSTNode]:
    """What the loss of a backward pass is written as: the expression itself, and what the names in it are given around.

    Statements that change a name in place are among them.
    """
    part, call = backward.place.site.part, backward.place.site.node
    if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
        return
    scope = edit.function_around(part, call) or loop.node
    seen: set[str] = set()
    todo: list[cst.CSTNode] = [call.func.value]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
            if node.func.attr.value == "scale" and node.args:
                todo.append(node.args[0].value)  # scaler.scale(loss)
            elif node.func.attr.value in ("mean", "div"):
                todo.append(node.func.value)
        for name in sorted(_names(node) - seen):
            seen.add(name)
            todo += _given(name, scope)


def _names(node: cst.CSTNode) -> set[str]:
    """The names whose values make up an expression, as far as it is arithmetic."""
    if isinstance(node, cst.Name):
        return {node.value}
    if isinstance(node, cst.BinaryOperation):
        return _names(node.left) | _names(node.right)
    return set()


def _given(name: str, scope: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for node in nodes.descendants(scope):
        if isinstance(node, cst.Assign) and any(nodes.is_name(target.target, name) for target in node.targets):
            yield node.value
        elif isinstance(node, cst.AugAssign) and nodes.is_name(node.target, name):
            yield node


def is_scaled(node: cst.CSTNode) -> bool:
    """Whether an expression is a quotient or a product, or its value is changed in place; or calls what may be one."""
    if isinstance(node, cst.AugAssign):
        return True
    if isinstance(node, cst.BinaryOperation):
        return not isinstance(node.operator, cst.Add) or is_scaled(node.left) or is_scaled(node.right)
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in ("div", "mul", "div_")


def divisors(backward: Backward, accumulation: Accumulation) -> Iterator[cst.BaseExpression]:
    """By which growing counters of the loop a loss is divided on its way to backward."""
    part, loop = backward.place.site.part, accumulation.loop
    scope = loop.node if part is loop.place.site.part else (edit.function_around(part, backward.place.site.node) or part.tree)
    counters = {nodes.code(target) for target in _counted(scope)}
    counters |= set(_enumerated(loop.node)) if part is loop.place.site.part else set()
    for node in losses_written(backward, loop):
        divisor = _divisor(node)
        counter = divisor
        while isinstance(counter, cst.BinaryOperation) and isinstance(counter.operator, cst.Add | cst.Modulo):
            counter = counter.left  # `step % every + 1`
        if divisor is not None and counter is not None and nodes.bare(counter) in counters:
            yield divisor


def _divisor(node: cst.CSTNode) -> cst.BaseExpression | None:
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Divide):
        return node.right
    if isinstance(node, cst.AugAssign) and isinstance(node.operator, cst.DivideAssign):
        return node.value
    called = node.func.attr.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else ""
    return node.args[0].value if isinstance(node, cst.Call) and called in ("div", "div_") and node.args else None


def _enumerated(loop: cst.For | cst.While) -> Iterator[str]:
    """The names that number the rounds: `step` in `for step, batch in enumerate(loader)`."""
    if isinstance(loop, cst.For):
        called = nodes.code(loop.iter).partition("(")[0].rpartition(".")[2]
        first = loop.target.elements[0].value if isinstance(loop.target, cst.Tuple) else loop.target
        text = nodes.code(loop.iter)
        if isinstance(first, cst.Name) and (called in ("range", "trange") or "enumerate(" in text):
            yield first.value
