"""What calls of the project's functions gave that depend on constants alone: `is_available("torch")` is asked all the time.

Such a call is executed once for all files. Its result is taken again where everything that it read at module level is the same,
and where executing it once more would not have met a limit that it did not meet then: what is found must not depend on which
files were checked before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import libcst as cst

from mldbg.lint.interpret.address import Context, Made, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.budget import Account
from mldbg.lint.interpret.facts import Fact, Loop, Restarted
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import ClassThing, Constant, Data, Function, Items, ModuleThing, Opaque, Symbol, Unknown, Value

MOST_TRIES = 3
"""Calls that are looked at before one is taken to be none of this kind."""

_Key = tuple[object, ...]
_Result = Constant | Unknown | Symbol | Opaque
_Definition = Function | ClassThing | ModuleThing | Symbol


@dataclass(frozen=True, slots=True)
class _Call:
    """What a call has given, read and taken."""

    result: Value
    reads: dict[tuple[Module, str], Value | None]
    statements: dict[cst.CSTNode, int]
    """Of each function that was called."""
    height: int
    """Calls inside one another."""


@dataclass(slots=True)
class _Notes:
    """What is noted while a call is under way."""

    depth: int
    reads: dict[tuple[Module, str], Value | None] = field(default_factory=dict)
    deepest: int = 0
    is_cut: bool = False


class Remembered:
    """Calls functions, or remembers what they gave.

    Args:
        machine: the machine.
        names: looks names up, and tells of it.
        deepest: calls inside one another beyond which none is followed.
    """

    def __init__(self, machine: Machine, names: Names, deepest: int) -> None:
        self._machine = machine
        self._names = names
        self._deepest = deepest
        self._under_way: list[_Notes] = []
        names.listener = self._note_read

    def entered(self, depth: int) -> None:
        """A call is entered, with so many others around it."""
        for notes in self._under_way:
            notes.deepest = max(notes.deepest, depth)

    def cut(self) -> None:
        """A function that calls itself is not entered again."""
        for notes in self._under_way:
            notes.is_cut = True

    def _note_read(self, module: Module, name: str, value: Value | None) -> None:
        for notes in self._under_way:
            notes.reads.setdefault((module, name), value)

    def result(self, function: Function, arguments: Sequence[Argument], site: Site, call: Callable[[], Value]) -> Value:
        """The value of a call; `call` executes it."""
        key = _key(function, arguments)
        if key is None:
            return call()
        kept = function.part.kept
        known = kept.get(key, 0)
        if isinstance(known, _Call):
            return self._again(known, site) if self._holds(known) else call()
        if known >= MOST_TRIES:
            return call()
        value, made = self._noted(site, call)
        kept[key] = known + 1 if made is None else made
        return value

    def _noted(self, site: Site, call: Callable[[], Value]) -> tuple[Value, _Call | None]:
        """Execute a call; what there is to remember of it, if that is all that it did."""
        machine = self._machine
        budget = machine.budget
        account, executed = budget.now, budget.executed
        own, refused, facts = dict(account.own), budget.refused, len(machine.facts)
        begun = account.executed
        before = machine.state.fork()
        notes = _Notes(len(machine.frames))
        self._under_way.append(notes)
        try:
            value = call()
        finally:
            self._under_way.pop()
        took = account.executed - begun
        quiet = budget.refused == refused and all(map(_tells_nothing, machine.facts[facts:])) and not notes.is_cut
        alone = budget.executed - executed == took  # nothing was put down to the other account
        if not (quiet and alone and machine.state.live and _says_all(value) and all(map(_is_fixed, notes.reads.values()))):
            return value, None
        changed = machine.state.grad != before.grad or _has_changed(before, machine.state)
        if changed or not _is_made_by_call(value, site, machine.frame.context):
            return value, None
        statements = {node: count - own.get(node, 0) for node, count in account.own.items() if count != own.get(node, 0)}
        return value, _Call(value, notes.reads, statements, max(notes.deepest - notes.depth, 0))

    def _holds(self, known: _Call) -> bool:
        """Whether the call would give the same here, and meet no limit."""
        machine = self._machine
        account: Account = machine.budget.now
        active = {frame.function.node for frame in machine.frames if frame.function is not None}
        taken = sum(known.statements.values())
        return (
            account.has_room_for(taken)
            and len(machine.frames) + known.height <= self._deepest
            and active.isdisjoint(known.statements)
            and all(account.admits(node) for node in known.statements)
            and all(_is_same(self._names.module_attribute(module, name), value) for (module, name), value in known.reads.items())
        )

    def _again(self, known: _Call, site: Site) -> Value:
        self._machine.budget.now.take(known.statements)
        self.entered(len(self._machine.frames) + known.height)
        return self._made_again(known.result, site, ())

    def _made_again(self, value: Value, site: Site, place: tuple[int, ...]) -> Value:
        """The same value, as this call makes it: what is not known, and its rows, are others than those of the first call."""
        if isinstance(value.thing, Items):
            elements = (self._made_again(each, site, (*place, number)) for number, each in enumerate(value.thing.tail))
            value = replace(value, thing=replace(value.thing, tail=tuple(elements)))
        if value.origin is None and value.data is None:
            return value
        ref = self._machine.new_ref(site, Made.VALUE, place or None)
        data = Data(frozenset({ref})) if value.data is not None else None
        return replace(value, origin=ref if value.origin is not None else None, data=data)


def _key(function: Function, arguments: Sequence[Argument]) -> _Key | None:
    """What tells such calls apart: of a function at module level the constants that it gets; None for another call."""
    if function.owner is not None or function.raw or function.closure.kind is not Made.MODULE:
        return None
    given: list[object] = [function.node]
    for argument in arguments:
        value = argument.value
        if argument.star or not isinstance(value.thing, Constant) or not _says_all(value) or value.data is not None:
            return None
        given += [argument.keyword, type(value.thing.value), value.thing.value]
    try:
        hash(tuple(given))
    except TypeError:
        return None
    return "gave", *given


def _says_all(value: Value) -> bool:
    """Whether nothing more is known of a value than what it is, and that it has rows."""
    data = value.data
    if value.meaning is not None or value.among is not None or (data is not None and data != Data(data.rows)):
        return False
    if isinstance(value.thing, Items) and value.thing.cls == "builtins.tuple" and value.thing.exact:
        return all(map(_says_all, value.thing.tail))
    return isinstance(value.thing, _Result)


def _tells_nothing(fact: Fact) -> bool:
    """Whether a fact is of no interest to anybody outside the call: that a variable got another value, in a loop."""
    return isinstance(fact, Restarted) or (isinstance(fact, Loop) and all(map(_tells_nothing, fact.facts)))


def _is_fixed(value: Value | None) -> bool:
    """Whether what was read at module level is the same as long as it is equal: an object may have been changed inside."""
    return value is None or isinstance(value.thing, _Definition) or _says_all(value)


def _is_same(value: Value | None, known: Value | None) -> bool:
    """Whether what is read at module level is what was read then; what nothing is known of has another identity in each file."""
    if value is None or known is None or not _says_all(value) or not _says_all(known):
        return value == known
    return value.thing == known.thing


def _is_made_by_call(value: Value, site: Site, outer: Context | None) -> bool:
    """Whether what a call gave, as far as nothing is known of it, was made in it: it is no thing at module level."""
    if isinstance(value.thing, Items):
        return all(_is_made_by_call(element, site, outer) for element in value.thing.tail)
    refs = (value.data.rows if value.data is not None else frozenset()) | ({value.origin} if value.origin is not None else set())
    return all(_is_under(ref.context, site, outer) for ref in refs)


def _is_under(context: Context | None, site: Site, outer: Context | None) -> bool:
    while context is not None:
        if context.site is site and context.outer is outer:
            return True
        context = context.outer
    return False


def _has_changed(before: State, after: State) -> bool:
    """Whether a call has left anything behind; that modules were found to define something does not count."""
    for ref in after.differing(before):
        if not before.has(ref) and ref.kind not in (Made.MODULE, Made.CLASS):
            continue  # it was made in the call
        record, known = after.record(ref), before.record(ref)
        if record is known:
            continue
        for name in record.keys() | known.keys():
            new = record.get(name)
            if new != known.get(name) and not (name not in known and new is not None and isinstance(new.thing, _Definition)):
                return True
    return False
