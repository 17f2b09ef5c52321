"""What was seen of values: their kinds, dtypes and sizes, and nothing of their memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from mldbg.semantics import Semantic


@dataclass(eq=False, slots=True)
class Mark:
    """What is learned of the numbers of one tensor while a block runs, by what is done with them.

    tables: lengths of the embedding tables that took them as ids.
    classes: (number of classes, ignored id) of the losses that took them as targets.
    masks: whether they said what to mask. loss: whether they are a loss.
    """

    tables: list[int] = field(default_factory=list)
    classes: list[tuple[int, int]] = field(default_factory=list)
    masks: bool = False
    loss: bool = False


@dataclass(frozen=True, eq=False, slots=True)
class Array:
    """One tensor in one call.

    meaning, axis: as `sanitize` followed them; the axis counts from 0.
    site: of the operation that made the meaning; identity tells one run of it from another.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    mark: Mark
    meaning: Semantic | None = None
    axis: int | None = None
    site: object = None


@dataclass(frozen=True, eq=False, slots=True)
class Absent:
    """None."""


@dataclass(frozen=True, eq=False, slots=True)
class Items:
    """A list or a tuple."""

    cls: type
    parts: tuple[Form, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Entries:
    """A mapping."""

    parts: Mapping[Any, Form]


@dataclass(frozen=True, eq=False, slots=True)
class Fields:
    """A dataclass or a NamedTuple."""

    cls: type
    parts: Mapping[str, Form]


@dataclass(frozen=True, eq=False, slots=True)
class Other:
    """Anything else."""

    cls: type


Form = Array | Absent | Items | Entries | Fields | Other

DEEPEST = 8
"""Containers inside one another that are looked into."""


def form_of(value: Any, seen: Callable[[torch.Tensor], Array | None], depth: int = 0) -> Form:
    """The form of a value. seen: makes that of a tensor; None for one that has no plain shape."""
    if value is None:
        return Absent()
    if isinstance(value, torch.Tensor):
        return seen(value) or Other(type(value))
    if depth >= DEEPEST:
        return Other(type(value))
    names = _field_names(value)
    if names is not None:
        return Fields(type(value), {name: form_of(getattr(value, name, None), seen, depth + 1) for name in names})
    if isinstance(value, (list, tuple)):
        cls = list if isinstance(value, list) else tuple
        return Items(cls, tuple(form_of(part, seen, depth + 1) for part in value))
    if isinstance(value, dict):
        return Entries({key: form_of(part, seen, depth + 1) for key, part in value.items()})
    return Other(type(value))


def _field_names(value: Any) -> Sequence[str] | None:
    if dataclasses.is_dataclass(value):
        return [one.name for one in dataclasses.fields(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return list(value._fields)
    return None


def rebuilt(form: Form) -> Any:
    """A value of the same form, of tensors without memory. Raises TypeError for what cannot be made."""
    match form:
        case Array(dtype, shape):
            return torch.empty(shape, dtype=dtype, device="meta")
        case Absent():
            return None
        case Items(cls, parts):
            return cls(map(rebuilt, parts))
        case Entries(parts):
            return {key: rebuilt(part) for key, part in parts.items()}
        case Fields(cls) | Other(cls):
            if cls in SCALARS:
                return cls()
            raise TypeError(cls.__name__)


SCALARS = (bool, int, float, str)
"""Classes that are worth naming inside a tuple with tensors."""


def arrays(form: Form, place: str = "") -> Iterable[tuple[str, Array]]:
    """All tensors of a form, with their places: `[0]`, `['mask']`, `.logits`."""
    match form:
        case Array():
            yield place, form
        case Items(_, parts):
            for index, part in enumerate(parts):
                yield from arrays(part, f"{place}[{index}]")
        case Entries(parts):
            for key, part in parts.items():
                yield from arrays(part, f"{place}[{key!r}]")
        case Fields(_, parts):
            for name, part in parts.items():
                yield from arrays(part, f"{place}.{name}")
        case _:
            pass
