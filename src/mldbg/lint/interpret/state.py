"""What holds at one point of a program: the records of frames, objects, classes and modules, copied on write at branches."""

from __future__ import annotations

from collections.abc import Collection

from mldbg.lint.interpret.address import GRADIENTS, Ref
from mldbg.lint.interpret.join import join, of_branches
from mldbg.lint.interpret.slots import Key
from mldbg.lint.interpret.value import UNKNOWN, Outcome, Record, Value

_NO_OUTCOMES: frozenset[Outcome] = frozenset()


class _Log:
    """The records that a state has written since it was forked, and the log of what it was forked from.

    A log is no longer written to once it is the `before` of others: whatever two states have in common above it is the same
    object in both.
    """

    __slots__ = ("before", "depth", "written")

    def __init__(self, before: _Log | None) -> None:
        self.before = before
        self.depth: int = before.depth + 1 if before is not None else 0
        self.written: set[Ref] = set()


class State:
    """Records by identity, and the circumstances of the point reached.

    A record is shared by all states that were forked since it was written, and is copied before one of them writes to it
    again. Two states that hold the same record object therefore agree about it, and only what was written since they parted
    has to be compared.

    Attributes:
        live: control can reach this point.
        grad: operations record a graph for backward (False under no_grad).
    """

    __slots__ = ("_log", "_owned", "_records", "grad", "live")

    def __init__(self) -> None:
        self._records: dict[Ref, Record] = {}
        self._owned: set[Ref] = set()
        """Those of the records written since the last fork that no other state holds."""
        self._log = _Log(None)
        self.live = True
        self.grad = True

    def fork(self) -> State:
        """A copy; both share records until one of them writes."""
        copy = State.__new__(State)
        copy._records = self._records.copy()
        copy._owned = set()
        copy.live, copy.grad = self.live, self.grad
        shared = self._log if self._log.written or self._log.before is None else self._log.before
        copy._log, self._log = _Log(shared), _Log(shared)
        self._owned = set()
        return copy

    def has(self, ref: Ref) -> bool:
        return ref in self._records

    def get(self, ref: Ref, key: Key) -> Value | None:
        record = self._records.get(ref)
        return record.get(key) if record is not None else None

    def record(self, ref: Ref) -> Record:
        """The record for reading only."""
        return self._records.get(ref, {})

    def set(self, ref: Ref, key: Key, value: Value) -> None:
        self._own(ref)[key] = value

    def drop(self, ref: Ref, key: Key) -> None:
        if key in self._records.get(ref, {}):
            del self._own(ref)[key]

    def open(self, ref: Ref) -> None:
        """Start an empty record."""
        self._records[ref] = {}
        self._note(ref)

    def ensure(self, ref: Ref) -> None:
        """Start an empty record if there is none."""
        if ref not in self._records:
            self.open(ref)

    def close(self, ref: Ref) -> None:
        """Forget a record."""
        self._records.pop(ref, None)
        self._owned.discard(ref)
        self._log.written.add(ref)

    def _own(self, ref: Ref) -> Record:
        if ref not in self._owned:
            self._records[ref] = dict(self._records.get(ref, {}))
            self._note(ref)
        return self._records[ref]

    def _note(self, ref: Ref) -> None:
        self._owned.add(ref)
        self._log.written.add(ref)

    def refs(self) -> frozenset[Ref]:
        """Everything that has a record."""
        return frozenset(self._records)

    def adopt(self, records: dict[Ref, Record]) -> None:
        """Add records of objects that are not known here."""
        for ref, record in records.items():
            if ref not in self._records:
                self._records[ref] = record
                self._log.written.add(ref)

    def become(self, other: State) -> None:
        """Take over another state's content; the other is not to be used any more."""
        self._records, self._owned, self._log = other._records, other._owned, other._log
        self.live, self.grad = other.live, other.grad

    def left_for(self, other: State) -> State:
        """Take over another state's content as `become` does; the content that was here until now, as a state of its own."""
        here = State.__new__(State)
        here.become(self)
        self.become(other)
        return here

    def meet(self, other: State, here: frozenset[Outcome] = _NO_OUTCOMES, there: frozenset[Outcome] = _NO_OUTCOMES) -> None:
        """What `merged` makes of two states that are not to be used any more, without copying either.

        Args:
            other: the other state.
            here: outcomes of tests without which this state is not reached.
            there: those for the other.
        """
        if not other.live:
            return
        if self.live:
            _merge(self, other, here, there)
        else:
            self.become(other)

    def differing(self, other: State) -> Collection[Ref]:
        """The records in which two states may differ, and perhaps some in which they do not."""
        written: set[Ref] = set()
        one, two = self._log, other._log
        while one is not two:
            later, other_log = (one, two) if one.depth >= two.depth else (two, one)
            written |= later.written
            if later.before is None or len(written) > len(self._records):
                return self._records.keys() | other._records.keys()
            one, two = later.before, other_log
        return written

    def settled(self, following: State) -> bool:
        """Whether the next round of a loop, which starts from `following`, would see nothing new.

        What was known here is unchanged (trails aside), and no slot was added.
        """
        for ref in self.differing(following):
            record, other = self._records.get(ref), following._records.get(ref)
            if record is None or other is record:
                continue
            if other is None or any(other.get(name) != value for name, value in record.items()):
                return False
            if any(not isinstance(key, str) and key not in record for key in other):
                return False
        return True


def merged(states: list[State]) -> State:
    """The state after control flows together. A name that only some of the states know keeps its value; gradients do not."""
    live = [state for state in states if state.live]
    if not live:
        result = states[0].fork()
        result.live = False
        return result
    result = live[0].fork()
    for state in live[1:]:
        _merge(result, state)
    return result


def _merge(into: State, other: State, here: frozenset[Outcome] = _NO_OUTCOMES, there: frozenset[Outcome] = _NO_OUTCOMES) -> None:
    for ref in into.differing(other):
        mine, record = into._records.get(ref), other._records.get(ref)
        if record is None:
            continue
        if mine is None:
            into._records[ref] = dict(record)
            into._note(ref)
        elif mine is not record:
            changed = {
                name: value if held is None else of_branches(held, here, value, there) if here or there else join(held, value)
                for name, value in record.items()
                if (held := mine.get(name)) is not value
            }
            if ref is GRADIENTS:  # what one way does to an optimizer's gradients does not hold on the way that leaves them
                changed |= dict.fromkeys(mine.keys() ^ record.keys(), UNKNOWN)
            if changed:
                into._records[ref] = {**mine, **changed}
                into._note(ref)
    into.grad = into.grad and other.grad
