"""What deserves an execution of its own: functions, lambdas, classes and chains of layers that nothing has called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Ref
    from mldbg.lint.interpret.budget import Budget
    from mldbg.lint.interpret.value import ClassThing, Function, Value

MOST_OUTSTANDING = 30
"""Definitions inside those that one entry point executes which are executed by themselves."""

MOST_OBJECTS = 10
"""Objects built by what one entry point executes whose methods are executed by themselves."""


class Outstanding:
    """What was defined on the way and may never be called: a closure that is returned, a lambda that is stored, a callback.

    Args:
        words: such a definition is worth executing when it holds one of them.
        budget: says whether the rules hear what is under way.
    """

    def __init__(self, words: frozenset[str], budget: Budget) -> None:
        self._budget = budget
        self._words = frozenset(word.removesuffix("(") for word in words)
        self._defined: dict[cst.CSTNode, Function | ClassThing] = {}
        self._built: dict[Ref, Value] = {}
        self._chains: dict[Ref, Value] = {}

    def note(self, thing: Function | ClassThing) -> None:
        """Something was defined inside something else. Of several times the first counts."""
        if self._budget.silent or len(self._defined) >= MOST_OUTSTANDING:
            return
        if thing.node not in self._defined and self._is_of_interest(thing):
            self._defined[thing.node] = thing

    def take(self) -> list[Function | ClassThing]:
        """What was defined since the last time."""
        taken = list(self._defined.values())
        self._defined.clear()
        return taken

    def built(self, ref: Ref, value: Value) -> None:
        """An object was built from a loss, or from a model: a framework may call its methods."""
        if not self._budget.silent and len(self._built) < MOST_OBJECTS:
            self._built.setdefault(ref, value)

    def knows(self, ref: Ref) -> bool:
        """Whether an object was built from a loss, or from a model."""
        return ref in self._built

    def take_built(self) -> list[Value]:
        """What was built since the last time."""
        taken = list(self._built.values())
        self._built.clear()
        return taken

    def chained(self, chain: Value) -> None:
        """Layers were put into a chain that is no part of a model yet."""
        if chain.origin is not None and not self._budget.silent and len(self._chains) < MOST_OBJECTS:
            self._chains[chain.origin] = chain

    def has_use(self, chain: Value) -> None:
        """A chain was applied, or taken apart: how its layers fit shows there."""
        if chain.origin is not None:
            self._chains.pop(chain.origin, None)

    def take_chain(self) -> Value | None:
        """The last chain that nothing has used: it may hold others."""
        return self._chains.popitem()[1] if self._chains else None

    def _is_of_interest(self, thing: Function | ClassThing) -> bool:
        if thing.part.module.is_test:
            return False  # what a test defines inside itself is as small as the test allows, and means nothing
        return not self._words.isdisjoint(thing.part.names_in(thing.node).uses)
