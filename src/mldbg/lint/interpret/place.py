"""Where in a run something happens: the calls and the undecided tests that lead there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mldbg.lint.interpret.value import Among, Option, Outcome

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site


@dataclass(frozen=True, slots=True)
class Condition:
    """A test whose outcome is not known, and the outcome that leads here.

    Attributes:
        test: the expression; of a `case` its pattern.
        holds: False behind `else`, and after `if test: continue`.
        deciding: finds the loops whose round decides it. A function, for most conditions are never asked.
        outcome: the same, in words that tests elsewhere share; None where nothing is to be told apart by it.
    """

    test: Site
    holds: bool
    deciding: Callable[[], frozenset[cst.CSTNode]] = field(compare=False, repr=False)
    outcome: Outcome | None = field(default=None, compare=False, repr=False)

    @property
    def opposite(self) -> Condition:
        """That the test has the other outcome."""
        so = self.outcome
        outcome = Outcome(so.subject, so.equals, not so.holds, so.test, so.usual, so.said) if so is not None else None
        return Condition(self.test, not self.holds, self.deciding, outcome)

    @property
    def chosen_by(self) -> frozenset[cst.CSTNode]:
        """The loops whose round decides it."""
        return self.deciding()


def told(*conditions: Condition) -> frozenset[Outcome]:
    """The outcomes of tests, where anything is to be told apart by all of them; else none."""
    outcomes = [condition.outcome for condition in conditions]
    return frozenset(outcome for outcome in outcomes if outcome is not None) if None not in outcomes else frozenset()


@dataclass(frozen=True, slots=True)
class Supposition:
    """That of the few values that something may be it is this one."""

    among: Among
    option: Option

    def excludes(self, other: Supposition) -> bool:
        """Whether both cannot be so."""
        if self.among == other.among and self.option != other.option:
            return True
        return any(one.excludes(two) for one in self.option.when for two in other.option.when)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the run a fact was observed."""

    site: Site
    within: tuple[str, ...]
    function: cst.CSTNode | None
    """The innermost function definition, or None at module level."""
    conditions: tuple[Condition, ...] = ()
    """The undecided tests on which it depends that this place is reached, outermost first, callers included.

    The tests of `while` and the choice of an exception handler are not among them.
    """
    supposed: tuple[Supposition, ...] = ()
    """What is supposed of values that may be one of several, for what is observed here."""

    def conditions_inside(self, around: Place) -> tuple[Condition, ...]:
        """Those that stand inside a loop or call that was entered at another place."""
        return self.conditions[len(around.conditions) :]
