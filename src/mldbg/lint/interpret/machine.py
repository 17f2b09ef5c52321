"""What evaluation sees of the machine that runs it. `Interpreter` is the one that there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.budget import Budget
from mldbg.lint.interpret.facts import Condition, Fact, Place, Supposition
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.outstanding import Outstanding
from mldbg.lint.interpret.sightings import Watcher
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import Constant, Function, Value
from mldbg.operations.effect import Effect


class Machine(Protocol):
    """The point that execution has reached, and the ways to go on from there.

    Attributes:
        state: what holds at this point.
        frames: the functions, class bodies and modules under way, outermost first.
        facts: what was told to the rules so far.
        conditions: the undecided tests on which it depends that this point is reached.
        supposed: what is supposed at this point of values that may be one of several.
        usual: what things are unless somebody sets them: options of a command.
        paddings: ids that an embedding takes, and which of them it calls the padding.
        budget: how much may still be executed; then project functions are unknown code.
        outstanding: what was defined on the way and may have to be executed by itself.
        entry: the module that is checked.
        watcher: is told which values names get; None where nobody watches.
    """

    state: State
    frames: list[Frame]
    facts: list[Fact]
    conditions: list[Condition]
    supposed: tuple[Supposition, ...]
    usual: dict[Ref, Constant]
    paddings: set[tuple[Ref, object]]
    budget: Budget
    outstanding: Outstanding
    entry: Module | None
    watcher: Watcher | None

    # -------------------------------------------------------------------------------------------------------- where we are
    @property
    def executed(self) -> int:
        """Statements executed since the entry point: what has come to be later has a higher number."""

    @property
    def frame(self) -> Frame:
        """The innermost frame."""

    def site(self, node: cst.CSTNode) -> Site:
        """A node of the code under way, as a place in the source."""

    def place(self, site: Site) -> Place:
        """Where a fact is observed."""

    def condition(self, test: cst.CSTNode, *, holds: bool) -> Condition:
        """A test at this point whose outcome is not known."""

    def outcomes(self, test: cst.CSTNode) -> tuple[Condition, Condition]:
        """That a test at this point holds, and that it fails, where neither is known."""

    def new_ref(self, site: Site, kind: Made = Made.VALUE, detail: object = None) -> Ref:
        """The identity of what a place makes under the calls under way."""

    def feeding(self) -> tuple[str, ...]:
        """What the loops around this point iterate over, as the source says it."""

    def effect_of(self, name: str) -> Effect | None:
        """The row of the library tables, or of the user's own, for a qualified name."""

    # ------------------------------------------------------------------------------------------------------------- going on
    def evaluate(self, node: cst.BaseExpression) -> Value:
        """The value of an expression."""

    def now(self, node: cst.BaseExpression) -> Value:
        """The value of an expression, computed even if it could wait."""

    def execute(self, body: cst.Module | cst.BaseSuite) -> None:
        """Execute statements in order until control leaves."""

    def attribute(self, base: Value, name: str, site: Site) -> Value:
        """The value of `base.name`."""

    def item(self, base: Value, indices: list[Value], node: cst.CSTNode, site: Site) -> Value:
        """The value of `base[indices]`."""

    def call(self, callee: Value, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of a call."""

    def call_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """The value of `base.name(...)`."""

    def call_function(
        self,
        function: Function,
        arguments: Sequence[Argument],
        site: Site,
        *,
        assume: bool = False,
        at_yield: Callable[[Value], None] | None = None,
    ) -> Value:
        """Execute a project function; `assume`: parameters without an argument are guessed from names and annotations."""

    # ------------------------------------------------------------------------------------------- waiting, and being elsewhere
    def defer(self, node: cst.CSTNode, compute: Callable[[], Value]) -> Value:
        """A value that is computed when somebody asks, in the state as it is now."""

    def force(self, value: Value) -> Value:
        """The value itself, where it was deferred."""

    def built(self, ref: Ref) -> None:
        """Run the __init__ that an object still waits for."""

    def elsewhere(self, state: State, frames: list[Frame]) -> AbstractContextManager[None]:
        """Execute at another point of the program; the rules hear nothing of what happens there."""

    def in_module(self, module: Module) -> AbstractContextManager[None]:
        """Execute at the top level of a module."""

    def under(self, *conditions: Condition) -> AbstractContextManager[None]:
        """Execute what depends on these conditions, and on none that arises inside once it is over."""

    def round(self, node: cst.CSTNode, number: int) -> AbstractContextManager[None]:
        """One round of a loop whose rounds are taken one by one: what it makes is told apart from what the others make."""
