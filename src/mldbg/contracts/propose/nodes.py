"""What several calls have in common at one place: at a parameter, a result, or inside of either."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from mldbg.contracts.propose.forms import SCALARS, Absent, Array, Entries, Fields, Form, Items, Other

Of = TypeVar("Of")

MOST_PLACES = 6
"""A tuple with more places is taken for a sequence of equals."""


@dataclass(frozen=True, slots=True)
class Tensors(Generic[Of]):
    """A tensor in each call. place: where it stands, as `hidden[0]`."""

    seen: tuple[tuple[Of, Array], ...]
    place: str


@dataclass(frozen=True, slots=True)
class Row(Generic[Of]):
    """A tuple with as many places in each call."""

    parts: tuple[Node[Of], ...]


@dataclass(frozen=True, slots=True)
class Many(Generic[Of]):
    """A list, or a tuple of any length, of equals."""

    cls: type
    part: Node[Of]


@dataclass(frozen=True, slots=True)
class Table(Generic[Of]):
    """A dict of equals. key: class of all its keys."""

    key: type
    part: Node[Of]


@dataclass(frozen=True, slots=True)
class Record(Generic[Of]):
    """A dataclass or NamedTuple, whose fields have annotations of their own."""

    cls: type
    parts: tuple[tuple[str, Node[Of]], ...]


@dataclass(frozen=True, slots=True)
class Optional(Generic[Of]):
    """None in some calls."""

    part: Node[Of]


@dataclass(frozen=True, slots=True)
class Either(Generic[Of]):
    """One kind in some calls, another in others."""

    parts: tuple[Node[Of], ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """None in all calls."""


@dataclass(frozen=True, slots=True)
class Plain:
    """No tensor. cls: its class, where it is one of numbers or text; None for what is not known."""

    cls: type | None


Node = Tensors[Of] | Row[Of] | Many[Of] | Table[Of] | Record[Of] | Optional[Of] | Either[Of] | Nothing | Plain


def merged(seen: Sequence[tuple[Of, Form]], place: str) -> Node[Of]:
    """The node of the forms in several calls."""
    present = [(call, form) for call, form in seen if not isinstance(form, Absent)]
    if not present:
        return Nothing()
    if len(present) < len(seen):
        inner = merged(present, place)
        return inner if isinstance(inner, Plain) else Optional(inner)
    kinds = {type(form) for _, form in seen}
    if len(kinds) > 1:
        groups = [merged([(call, form) for call, form in seen if type(form) is kind], place) for kind in _in_order(seen)]
        return Plain(None) if any(isinstance(one, Plain) for one in groups) else Either(tuple(groups))
    return _alike(seen, place)


def _in_order(seen: Iterable[tuple[Of, Form]]) -> list[type]:
    return list(dict.fromkeys(type(form) for _, form in seen))


def _alike(seen: Sequence[tuple[Of, Form]], place: str) -> Node[Of]:
    """The node of forms of one kind."""
    arrays = [(call, form) for call, form in seen if isinstance(form, Array)]
    if arrays:
        return Tensors(tuple(arrays), place)
    items = [(call, form) for call, form in seen if isinstance(form, Items)]
    if items:
        return _of_items(items, place)
    tables = [(call, form) for call, form in seen if isinstance(form, Entries)]
    if tables:
        every = [(call, part) for call, form in tables for part in form.parts.values()]
        keys = {type(key) for _, form in tables for key in form.parts}
        key = next(iter(keys)) if len(keys) == 1 else object
        return Table(key, merged(every, f"{place}[*]")) if every else Plain(None)
    records = [(call, form) for call, form in seen if isinstance(form, Fields)]
    if records:
        classes = {form.cls for _, form in records}
        if len(classes) > 1:
            return Plain(None)
        names = records[0][1].parts
        parts = [(name, merged([(call, form.parts[name]) for call, form in records], f"{place}.{name}")) for name in names]
        return Record(records[0][1].cls, tuple(parts))
    others = {form.cls for _, form in seen if isinstance(form, Other)}
    only = next(iter(others)) if len(others) == 1 else None
    return Plain(only if only in SCALARS else None)


def _of_items(seen: Sequence[tuple[Of, Items]], place: str) -> Node[Of]:
    classes, lengths = {form.cls for _, form in seen}, {len(form.parts) for _, form in seen}
    if len(classes) > 1:
        return Plain(None)
    cls, length = classes.pop(), lengths.pop()
    if cls is tuple and not lengths and length <= MOST_PLACES:
        columns = [[(call, form.parts[index]) for call, form in seen] for index in range(length)]
        return Row(tuple(merged(column, f"{place}[{index}]") for index, column in enumerate(columns)))
    every = [(call, part) for call, form in seen for part in form.parts]
    return Many(cls, merged(every, f"{place}[*]")) if every else Plain(None)
