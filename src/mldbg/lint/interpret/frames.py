"""What is under way while code is executed: frames and loops, and how names become roles."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import libcst as cst

from mldbg.lint.interpret.address import Context, Ref, Site
from mldbg.lint.interpret.module import Module, Part
from mldbg.lint.interpret.state import State
from mldbg.lint.interpret.value import ClassThing, Data, Function, Known, Object, Opaque, Role, Unknown, Value
from mldbg.lint.library.names import is_part_alone, says_test, says_training, says_validation
from mldbg.lint.outline import Kind


@dataclass(slots=True)
class LoopFrame:
    """A loop under way: the states in which it was left or continued, and what it iterates over."""

    feeding: str
    node: cst.For | cst.While
    started: int = 0
    """The moment at which its first round began."""
    facts_before: int = 0
    """How many facts there were when the round under way began."""
    ran_on: frozenset[Data] = frozenset()
    """The rows on which a model was run in the round under way."""
    one_by_one: int = 1
    """How many rounds are taken, where they are taken one by one."""
    batches: Site | None = None
    """Where the batches are made that it goes through, where that is known."""
    breaks: list[State] = field(default_factory=list)
    continues: list[State] = field(default_factory=list)


@dataclass(slots=True)
class Frame:
    """A function, class body or module that is being executed."""

    ref: Ref
    part: Part
    closure: Ref | None
    function: Function | None = None
    context: Context | None = None
    returns: list[tuple[Value, State]] = field(default_factory=list)
    yields: list[Value] = field(default_factory=list)
    loops: list[LoopFrame] = field(default_factory=list)
    outer_names: set[str] = field(default_factory=set)
    global_names: set[str] = field(default_factory=set)
    at_yield: Callable[[Value], None] | None = None
    assumed: bool = False
    """Nothing is known of the caller."""
    is_init: bool = False
    conditions: int = 0
    """How many undecided tests it depended on that this was entered."""
    defines: ClassThing | None = None
    """The class whose body this is."""
    names_outside: dict[str, str] = field(default_factory=dict)
    """By which names the caller knows what the parameters stand for: `run(val_loader)` of `def run(loader)`."""
    unpacking: tuple[cst.Call, tuple[str, ...]] | None = None
    """The call whose result the statement under way unpacks, and the names that it unpacks it into."""
    axes: dict[str, Any] = field(default_factory=dict)
    """What the names of axes in its annotations stand for."""
    ran_on: frozenset[Data] = frozenset()
    """The rows on which a model was run here."""
    keeps: bool = False
    """Something defined here (a function, lambda or class) has the frame as its closure, and may read it after it ended.

    Where it is False the frame's record is closed at the end: nothing else refers to it by name, and a deferred value keeps a
    fork of the state in which the record is still open.
    """

    @property
    def module(self) -> Module:
        return self.part.module


def fed_by(frames: list[Frame]) -> Iterator[str]:
    """What the loops under way iterate over, as the source says it, and as the callers do where that is known."""
    for frame in frames:
        for loop in frame.loops:
            outside = frame.names_outside.get(loop.feeding)
            if loop.feeding and (outside is None or not says_training(outside)):
                yield loop.feeding
            if outside is not None:
                yield outside


def loop_started(frames: list[Frame]) -> int | None:
    """The innermost loop under way, by the moment at which it began."""
    return next((frame.loops[-1].started for frame in reversed(frames) if frame.loops), None)


def with_named_role(name: str, value: Value, part: Part) -> Value:
    """A value of unknown role takes the role that its name says: X_test is test data.

    Only where parts of data exist: the value comes out of a split, or the text around binds a name of another role, too.
    """
    role = _named_role(name)
    if role is None or not isinstance(value.thing, Unknown | Opaque | Object):
        return value
    if value.role is not None:
        return _named_side(role, value)
    if isinstance(value.thing, Object) and value.thing.cls is not None and not is_dataset(value.thing):
        return value
    if not (value.data or value.rows):
        return value
    if (value.data is None or value.data.split is None) and not _has_counterpart(name, role, part):
        return value
    data = replace(value.data or Data(), rows=value.rows, role=role)
    if data.split is not None:
        return replace(value, data=replace(data, known=Known.NAMED_PART))
    return replace(value, data=replace(data, known=Known.NAME, itself=data.itself or identity_of(value)))


def identity_of(value: Value) -> Ref | None:
    """What tells a set from others, whatever names it has."""
    return value.thing.ref if isinstance(value.thing, Object) else value.origin


def one_of_many(value: Value, ref: Ref) -> Value:
    """One of several of which only is known what they have in common: it is not the same as another one."""
    thing = value.thing
    if not isinstance(thing, Unknown | Object) or (isinstance(thing, Object) and thing.cls is not None and not is_dataset(thing)):
        return value
    data = value.data or (Data(rows=value.rows) if value.rows else None)
    return replace(value, data=replace(data, itself=ref)) if data is not None and data.split is None else value


def _named_side(role: Role, value: Value) -> Value:
    """Which held-out part the second side of a split is, its name says: `X_train, X_val = train_test_split(X)`."""
    data = value.data
    if data is not None and isinstance(value.thing, Object) and data.known is Known.NAME and is_dataset(value.thing):
        return replace(value, data=replace(data, itself=value.thing.ref))  # a set that was made of such rows
    if data is None or data.known is not Known.SPLIT or not role.held_out or data.role is None or not data.role.held_out:
        return value
    return value if data.role is role else replace(value, data=replace(data, role=role))


def with_keyed_role(key: str, value: Value, module: Module) -> Value:
    """What stands under a key that names a part of the data, where others stand beside it: `parts["test"]`."""
    role = _named_role(key)
    if role is None or value.role is not None or not value.rows or all(other is role for other in _roles_of_keys(module)):
        return value
    return replace(value, data=replace(value.data or Data(), rows=value.rows, role=role, known=Known.NAME))


def held_under_key(key: object, value: Value, module: Module) -> Value:
    """What is put under a key that names a part of the data: `{"train": rows[:n], "test": rows[n:]}`."""
    thing = value.thing
    if not isinstance(key, str) or not isinstance(thing, Unknown | Opaque | Object) or value.data is None:
        return value
    if isinstance(thing, Object) and thing.cls is not None and not is_dataset(thing):
        return value
    return with_keyed_role(key, value, module)


def _roles_of_keys(module: Module) -> frozenset[Role]:
    known: frozenset[Role] | None = module.kept.get(_KEYS)
    if known is None:
        roles = (_named_role(key) for key in _KEY.findall(module.text))
        known = module.kept[_KEYS] = frozenset(role for role in roles if role is not None)
    return known


def is_dataset(thing: Object) -> bool:
    """Whether an object of the project gives out rows by their index."""
    return isinstance(thing.cls, ClassThing) and any(name == "__getitem__" for name, *_ in thing.cls.part.statement.methods)


def _has_counterpart(name: str, role: Role, part: Part) -> bool:
    """Whether another part of data stands beside; what is called `val` alone is one only beside what is called `train` alone."""
    around = _roles_around(part)
    if is_part_alone(name):
        return any(alone and other.held_out is not role.held_out for other, alone in around)
    return any(other is not role for other, _ in around)


def _roles_around(part: Part) -> frozenset[_Said]:
    """The roles that variables bound around a place say, and whether their name says nothing else."""
    if part.statement.kind in (Kind.FUNCTION, Kind.CLASS):
        return _roles_of(part)
    module = part.module
    known: frozenset[_Said] | None = module.kept.get(_ROLES)
    if known is None:
        outside = [each for each in module.parts if each.statement.kind in (Kind.ASSIGNMENT, Kind.CODE)]
        known = module.kept[_ROLES] = frozenset(said for each in outside for said in _roles_of(each))
    return known


def _roles_of(part: Part) -> frozenset[_Said]:
    known: frozenset[_Said] | None = part.kept.get(_ROLES)
    if known is None:
        roles = [(_named_role(name), is_part_alone(name)) for name in part.bound_names]
        known = part.kept[_ROLES] = frozenset((role, alone) for role, alone in roles if role is not None)
    return known


_Said = tuple[Role, bool]
_ROLES = "roles"
_KEYS = "roles of keys"
_KEY = re.compile(r"""\[\s*["'](\w+)["']\s*\]""")


@lru_cache(maxsize=8192)
def _named_role(name: str) -> Role | None:
    said = [
        role
        for role, says in ((Role.TRAIN, says_training), (Role.TEST, says_test), (Role.VALIDATION, says_validation))
        if says(name)
    ]
    return said[0] if len(said) == 1 else None
