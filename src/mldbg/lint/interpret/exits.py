"""Ways in which control leaves a block other than by its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import libcst as cst

from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.state import State, merged


@dataclass(slots=True)
class Guard:
    """A `try` under way: the state that runs through it, and the states in which an exception can leave its body."""

    state: State
    body: Sequence[cst.CSTNode] | None
    """Statements after each of which an exception can occur; None: only where one is raised."""
    raised: list[State] = field(default_factory=list)


class Exits:
    """The states in which the block that follows is left by return, break and continue."""

    def __init__(self, frame: Frame) -> None:
        self._returns, self._returned = frame.returns, len(frame.returns)
        loop = frame.loops[-1] if frame.loops else None
        self._jumps = [] if loop is None else [(states, len(states)) for states in (loop.breaks, loop.continues)]

    def states(self) -> list[State]:
        """All of them."""
        jumps = [state for states, mark in self._jumps for state in states[mark:]]
        return [state for _, state in self._returns[self._returned :]] + jumps

    def lead_through(self, step: Callable[[State], State | None]) -> bool:
        """Replace them by what comes of them on the way out (None: control goes elsewhere); whether there are any."""
        values = self._returns[self._returned :]
        del self._returns[self._returned :]
        jumps = [(states, states[mark:]) for states, mark in self._jumps]
        for states, mark in self._jumps:
            del states[mark:]
        for states, left in jumps:
            after = step(merged(left)) if left else None
            if after is not None:
                states.append(after)
        after = step(merged([state for _, state in values])) if values else None
        if after is not None:
            self._returns += [(value, after) for value, _ in values]
        return bool(values) or any(left for _, left in jumps)
