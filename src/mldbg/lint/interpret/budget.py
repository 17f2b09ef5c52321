"""How much is executed: what an entry point, each function in it and work that nobody hears may take, and what was left out.

Only calls of project functions are ever refused; a body that was entered is executed to its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.frames import Frame
    from mldbg.lint.interpret.module import Module
    from mldbg.lint.interpret.value import Function

MOST_STATEMENTS = 4_000
"""Statements that all calls of one entry point may take; beyond it, calls of project functions give an unknown value."""

MOST_FOR_CALL = 2_000
"""Statements that one call may take, with all that it calls: a large helper leaves something for what follows it."""

MOST_FOR_DEFINITION = 100
"""Statements that all calls of a definition may take of which shapes are followed while nothing in its file runs on data."""

MOST_WHILE_SILENT = 500
"""The same where only a value is wanted and the rules hear nothing: the layers of a model."""

MOST_FOR_DECORATORS = 60
"""Statements that applying a function's decorators may take; a wrapper needs few."""


@dataclass(slots=True)
class Account:
    """What one kind of work has taken: that which the rules hear, or that which they do not.

    Attributes:
        executed: statements so far, those of the entry point's own body included.
        limit: the count at which the call under way has taken what it may.
        most: statements that one call may take.
        total: statements that all calls together may take.
        answers: each call that is under way alone is admitted: somebody waits for its value, and its own body is worth a look.
        calls: how many calls are under way.
        since: the count at which the outermost of them began.
        taken: statements of the outermost calls that are over.
        inside: statements that calls inside the one under way have taken.
        own: statements of each function's own body, in all of its calls.
    """

    most: int
    answers: bool = False
    total: int = MOST_STATEMENTS
    executed: int = 0
    limit: int = MOST_STATEMENTS
    calls: int = 0
    since: int = 0
    taken: int = 0
    inside: int = 0
    own: dict[cst.CSTNode, int] = field(default_factory=dict)

    @property
    def left(self) -> int:
        """Statements that calls of this entry point may still take."""
        return self.total - self.taken - (self.executed - self.since if self.calls else 0)

    def admits(self, function: cst.CSTNode) -> bool:
        """Whether a function may be called once more.

        Not one that has taken more than what is left for all: a helper that is called over and over leaves the other half to
        functions that were called less.
        """
        if self.answers and not self.calls:
            return True
        return not (self.calls and self.exhausted) and self.own.get(function, 0) <= self.left

    @property
    def exhausted(self) -> bool:
        """Whether the call under way has taken what it may."""
        return self.executed > self.limit

    def has_room_for(self, statements: int) -> bool:
        """Whether a call may take so many and end before what is under way has taken what it may."""
        limit = self.limit if self.calls else self.executed + self.left
        return self.executed + statements <= min(limit, self.executed + self.most)

    def take(self, statements: Mapping[cst.CSTNode, int]) -> None:
        """Put down what a call would take that need not be executed again: the statements of each function's own body."""
        took = sum(statements.values())
        self.executed += took
        self.inside += took
        if not self.calls:
            self.taken += took
        for function, count in statements.items():
            self.own[function] = self.own.get(function, 0) + count

    @contextmanager
    def call(self, function: cst.CSTNode, most: int | None = None) -> Iterator[None]:
        """A call is under way, which may take so many statements."""
        start, limit, inside = self.executed, self.limit, self.inside
        if not self.calls:
            limit, self.since = start + self.left, start
        self.limit, self.inside = min(limit, start + (self.most if most is None else most)), 0
        self.calls += 1
        try:
            yield
        finally:
            took = self.executed - start
            self.own[function] = self.own.get(function, 0) + took - self.inside
            self.limit, self.inside = limit, inside + took
            self.calls -= 1
            if not self.calls:
                self.taken += self.executed - self.since

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Something is under way that is put down to none of the calls that are: others need it, too."""
        start, calls, limit, inside = self.executed, self.calls, self.limit, self.inside
        if calls:
            self.taken += start - self.since
        self.calls = 0
        try:
            yield
        finally:
            took = self.executed - start
            self.calls, self.limit, self.inside, self.since = calls, limit + took, inside + took, self.executed


class Budget:
    """What the entry point under way has taken, and how often it was refused more."""

    __slots__ = ("_heard", "_unheard", "now", "partly", "refused", "total")

    def __init__(self) -> None:
        self.total = MOST_STATEMENTS
        """Statements that all calls of one entry point may take."""
        self.partly: dict[Function | Module, None] = {}
        """Functions called by nobody, or by a module's top level, and top levels, of which not every call was followed."""
        self.begin()

    def begin(self) -> None:
        """Another entry point begins."""
        most = min(MOST_FOR_CALL, self.total)
        self._heard, self._unheard = Account(most, total=self.total), Account(MOST_WHILE_SILENT, answers=True)
        self.now = self._heard
        self.refused = 0

    @property
    def executed(self) -> int:
        """All statements so far, as a clock."""
        return self._heard.executed + self._unheard.executed

    @property
    def silent(self) -> bool:
        """Whether the rules hear nothing of what is under way."""
        return self.now is self._unheard

    @contextmanager
    def silently(self) -> Iterator[None]:
        """What only a value is wanted of is put down to an account of its own."""
        before, self.now = self.now, self._unheard
        try:
            yield
        finally:
            self.now = before

    def refuse(self, under_way: Sequence[Frame]) -> None:
        """A call is not followed: what is under way is followed only in part."""
        self.refused += 1
        functions = (frame.function for frame in under_way if frame.function is not None)
        outermost = next(functions, under_way[0].module if under_way else None)
        if outermost is not None:
            self.partly[outermost] = None
