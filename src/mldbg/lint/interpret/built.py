"""What the `__init__` of an object has left behind, so that it runs once and not in each state that looks into the object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import Record


@dataclass(frozen=True, slots=True)
class Built:
    """An object after its `__init__`: what it has been given, and the records of what was made for it."""

    given: Record
    made: dict[Ref, Record]

    @classmethod
    def between(cls, before: State, after: State, ref: Ref) -> Self | None:
        """What was left for an object; None where something else that was there before has changed, too."""
        made: dict[Ref, Record] = {}
        for other in after.differing(before):
            record = after.record(other)
            if not before.has(other):
                made[other] = dict(record)
            elif other is not ref and record != before.record(other):
                return None
        known = before.record(ref)
        given = {key: value for key, value in after.record(ref).items() if key not in known or known[key] != value}
        return cls(given, made)

    def leave(self, state: State, ref: Ref) -> None:
        """Give it to the object in another state in which it was not built yet."""
        state.adopt(self.made)
        for key, value in self.given.items():
            state.set(ref, key, value)
        state.drop(ref, Slot.UNBUILT)
