"""Which axes are one and the same: those whose sizes agree in every forward pass; and what people would call them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from mldbg.contracts.ledger import RESULT
from mldbg.contracts.propose.forms import Array, arrays
from mldbg.contracts.propose.recording import Call
from mldbg.operations.usual_axes import usual_axes

Sizes = dict[int, int]
"""The size of an axis in each forward pass in which it was seen."""

_GENERIC: Mapping[int, Sequence[str]] = {
    1: ("batch",),
    2: ("batch", "dim"),
    3: ("batch", "length", "dim"),
    4: ("batch", "channels", "height", "width"),
    5: ("batch", "channels", "depth", "height", "width"),
}

EXACT, GOOD, FAIR, POOR = range(4)
"""How much a hint about a name is worth: the layer says it, the kind of layer, the shape of an input, any other shape."""


@dataclass(eq=False)
class Axis:
    """Axes that have had the same size in every pass.

    role: tells axes apart that never differed in size but stand side by side in an input.
    parameter: of the model, where the axis is one of an input. hints: how good, when, and which name.
    """

    sizes: Sizes
    role: int
    parameter: str = ""
    hints: list[tuple[int, int, str]] = field(default_factory=list)
    name: str = ""

    @property
    def base(self) -> str:
        """The best name, which other axes may have as well."""
        return min(self.hints)[2]


@dataclass(frozen=True, slots=True)
class Label:
    """What is known of one axis of one tensor. base, role: what it would be called, and which of several of equal size it is."""

    axis: Axis | None
    base: str
    role: int


class Axes:
    """The axes of all tensors of a recording."""

    def __init__(self, calls: Sequence[Call], given: Mapping[str, Mapping[int, str]]) -> None:
        """given: names in annotations that stay: `path.parameter` -> index -> name."""
        self.passes = max((call.passing for call in calls), default=0)
        self.batch: Axis | None = None
        self.alike: list[tuple[str, str]] = []
        """Names of axes that had equal sizes in every pass, side by side in an input."""
        self._all: list[Axis] = []
        self._labels: dict[tuple[int, int], Label] = {}
        self._given = given
        places = _places(calls)
        self._most_alike, self._ranks_alike = _side_by_side(places)
        self._begin(calls)
        for place in places:
            self._enter(place)
        self._choose_names()

    def label(self, array: Array, index: int) -> Label:
        """What is known of an axis; index: from the front."""
        return self._labels[id(array), index]

    def may_be_batch(self, size: int) -> bool:
        """Whether a size that never changes may be that of the batch, which never did either."""
        return size > 1 and self.batch is not None and set(self.batch.sizes.values()) == {size}

    def _begin(self, calls: Sequence[Call]) -> None:
        """The first axis of what the model gets is that of the batch, as a rule."""
        sizes: Sizes = {}
        is_common, largest = True, 0
        for call in calls:
            inputs = [array for form in call.arguments.values() for _, array in arrays(form) if array.shape] if call.outer else []
            if inputs:
                sizes.setdefault(call.passing, inputs[0].shape[0])
                largest = max(largest, *(len(array.shape) for array in inputs))
                is_common = is_common and all(array.shape[0] == inputs[0].shape[0] for array in inputs)
        if sizes and (len(set(sizes.values())) > 1 or (is_common and largest > 1)):
            self.batch = Axis(sizes, 0, hints=[(FAIR, -1, "batch")])
            self._all.append(self.batch)

    def _enter(self, place: _Place) -> None:
        """Finds the axes of the tensors at one place, of one rank."""
        vectors = [_by_pass(place.seen, index) for index in range(place.rank)]
        for index, sizes in enumerate(vectors):
            role = self._role(vectors, index)
            call, array = place.seen[0]
            goodness, base = _hint(call, place, array, index)
            given = self._given.get(f"{call.path}.{place.slot}", {}).get(index) if not place.inside else None
            axis = None
            if sizes is not None and role is not None:
                axis = self._found(sizes, role, base, index, place)
            if axis is not None:
                order = len(axis.hints)
                axis.hints.append((goodness, order, base))
                if given:
                    axis.hints.append((-1, order, given))
            for _, each in place.seen:
                self._labels[id(each), index] = Label(axis, axis.base if axis is not None else base, role or 0)

    def _role(self, vectors: Sequence[Sizes | None], index: int) -> int | None:
        """Which of several axes of equal size this is; None where nobody can say."""
        sizes = vectors[index]
        if sizes is None:
            return 0
        known = self._most_alike.get(_key(sizes))
        alike = known or (self._ranks_alike.get(len(vectors), 1) if len(set(sizes.values())) > 1 else 1)
        if sum(other == sizes for other in vectors) < alike:
            return None if known else 0
        return min(sum(other == sizes for other in vectors[:index]), alike - 1)

    def _found(self, sizes: Sizes, role: int, base: str, index: int, place: _Place) -> Axis | None:
        """The axis that has these sizes, a new one where none has; None for a size that never changes."""
        if index == 0 and role == 0 and self.batch is not None and _agree(self.batch.sizes, sizes):
            self.batch.sizes.update(sizes)
            return self.batch
        is_constant = len(set(sizes.values())) == 1
        if is_constant and (len(sizes) > 1 or self.passes == 1):
            return None
        for axis in self._all:
            shared = len(axis.sizes.keys() & sizes.keys())
            is_enough = shared > 1 or (shared == 1 and any(base == hint for _, _, hint in axis.hints))
            if axis.role == role and is_enough and _agree(axis.sizes, sizes):
                axis.sizes.update(sizes)
                return axis
        if is_constant:
            return None
        axis = Axis(dict(sizes), role, place.slot if place.is_input else "")
        self._all.append(axis)
        return axis

    def _choose_names(self) -> None:
        self._all = [axis for axis in self._all if axis.hints]
        inputs: dict[str, set[str]] = {}
        for axis in self._all:
            if axis.parameter:
                inputs.setdefault(axis.base, set()).add(axis.parameter)
        taken: set[str] = set()
        for axis in sorted(self._all, key=lambda axis: (min(axis.hints)[0] >= 0, axis is not self.batch)):
            base = axis.base
            several = min(axis.hints)[0] >= 0 and axis.parameter and len(inputs[base]) > 1
            axis.name = free(f"{axis.parameter}_{base}" if several else base, taken)
            taken.add(axis.name)
        groups: dict[tuple[tuple[int, int], ...], list[str]] = {}
        for axis in self._all:
            if axis.parameter or axis is self.batch:
                groups.setdefault(_key(axis.sizes), []).append(axis.name)
        self.alike = [(names[0], names[1]) for key, names in groups.items() if len(names) > 1 and len({s for _, s in key}) > 1]


def free(name: str, taken: Iterable[str]) -> str:
    """A name that is not taken: `height`, `height2`, `height3`."""
    number, each = 1, name
    while each in taken:
        number += 1
        each = f"{name}{number}"
    return each


@dataclass(frozen=True, slots=True)
class _Place:
    """Tensors of one rank at one place of one module.

    slot: the parameter, or `return`. inside: where inside of it. is_input: whether it is an argument of the model.
    """

    slot: str
    inside: str
    rank: int
    is_input: bool
    seen: list[tuple[Call, Array]]


def _places(calls: Sequence[Call]) -> list[_Place]:
    """All places, those of the model's own arguments first."""
    found: dict[tuple[str, str, str, int], _Place] = {}
    for outer in (True, False):
        for call in calls:
            for slot, form in call.slots():
                is_input = call.outer and slot != RESULT
                if is_input is not outer:
                    continue
                for inside, array in arrays(form):
                    key = (call.path, slot, inside, len(array.shape))
                    place = found.setdefault(key, _Place(slot, inside, len(array.shape), is_input, []))
                    place.seen.append((call, array))
    return list(found.values())


def _by_pass(seen: Sequence[tuple[Call, Array]], index: int) -> Sizes | None:
    """The size in each pass; None where it changes within one."""
    sizes: Sizes = {}
    for call, array in seen:
        if sizes.setdefault(call.passing, array.shape[index]) != array.shape[index]:
            return None
    return sizes


def _key(sizes: Sizes) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(sizes.items()))


def _agree(one: Sizes, two: Sizes) -> bool:
    shared = one.keys() & two.keys()
    return bool(shared) and all(one[each] == two[each] for each in shared)


def _side_by_side(places: Sequence[_Place]) -> tuple[dict[tuple[tuple[int, int], ...], int], dict[int, int]]:
    """How many axes of one input have the same sizes in all passes: by these sizes, and by the rank of such an input."""
    by_sizes: dict[tuple[tuple[int, int], ...], int] = {}
    by_rank: dict[int, int] = {}
    for place in places:
        if place.is_input:
            vectors = [sizes for index in range(place.rank) if (sizes := _by_pass(place.seen, index)) is not None]
            counts = Counter(_key(sizes) for sizes in vectors if len(set(sizes.values())) > 1)
            for key, count in counts.items():
                if count > 1:
                    by_sizes[key] = max(count, by_sizes.get(key, 1))
                    by_rank[place.rank] = max(count, by_rank.get(place.rank, 1))
    return by_sizes, by_rank


def _hint(call: Call, place: _Place, array: Array, index: int) -> tuple[int, str]:
    """What an axis of a tensor would be called, and how good that is."""
    module, rank = call.module, place.rank
    cls = type(module)
    names: Sequence[str]
    if isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and rank == 3 and (place.slot != RESULT or place.inside == "[0]"):
        names = ("batch", "length", "dim") if module.batch_first else ("length", "batch", "dim")
        return EXACT, names[index]
    if isinstance(module, nn.RNNBase) and rank == 3:
        return EXACT, ("layers", "batch", "dim")[index]
    if isinstance(module, nn.Embedding) and rank == 2:
        return GOOD, ("batch", "length")[index]
    usual = usual_axes(f"torch.nn.{cls.__name__}" if cls.__module__.startswith("torch.nn.") else None, rank)
    if usual:
        return (GOOD if rank > 3 else POOR), usual[index]
    names = _GENERIC.get(rank, ())
    if not array.dtype.is_floating_point and rank in (2, 3):
        names = ("batch", "length", "length")[:rank]
    base = names[index] if index < len(names) else "n"
    return (FAIR if place.is_input else POOR), base


FAMILY_NAMES = ("Float", "Int", "UInt", "Integer", "Bool", "Complex", "Shaped")
"""Of jaxtyping."""

_UNSIGNED = {dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype) and str(dtype).startswith("torch.uint")}


def family_of(dtypes: Iterable[torch.dtype]) -> str:
    """The narrowest family of jaxtyping, of those that people write, that has all of these dtypes."""
    found = {_family(dtype) for dtype in dtypes}
    if len(found) == 1:
        return found.pop()
    return "Integer" if found == {"Int", "UInt"} else "Shaped"


def _family(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "Float"
    if dtype.is_complex:
        return "Complex"
    if dtype == torch.bool:
        return "Bool"
    if dtype in _UNSIGNED:
        return "UInt"
    return "Int" if str(dtype).startswith("torch.int") else "Shaped"
