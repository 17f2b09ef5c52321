"""Data loaders: what they were built with, and by which names the functions under way know their samplers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.facts import Loader, Named
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import ArgumentOf, Slot, argument_of
from mldbg.lint.interpret.value import UNKNOWN, Items, Object, Value
from mldbg.operations.loading import ATTRIBUTES, CHAINS, SAMPLERS

DEEPEST_CHAIN = 3
"""Chains of transforms in chains."""


def described(machine: Machine, value: Value) -> tuple[Loader, ...]:
    """The loaders that going through a value goes through, as they are at this point."""
    if not value.loaders:
        return ()
    sites = {ref: ref.site for ref in value.loaders if ref.site is not None}
    return tuple(described_one(machine, ref) for ref in sorted(sites, key=lambda ref: sites[ref].span))


def attribute(machine: Machine, base: Value, name: str) -> Value | None:
    """An attribute of a loader that holds what it was built with; None of anything else."""
    if len(base.loaders) != 1 or name not in ATTRIBUTES:
        return None
    return machine.state.get(next(iter(base.loaders)), argument_of(name))


def transforms_of(machine: Machine, dataset: Object, depth: int = 0) -> Iterator[Value]:
    """What a dataset applies to a row: what it was given as transform, or holds under such a name, and members of chains."""
    machine.built(dataset.ref)
    for name, value in machine.state.record(dataset.ref).items():
        said = name.name if isinstance(name, ArgumentOf) else name if isinstance(name, str) else ""
        for each in members(value):
            if isinstance(each.thing, Object) and each.thing.cls in CHAINS:
                yield from _links(machine, each.thing, depth)
            elif "transform" in said:
                yield each


def _links(machine: Machine, chain: Object, depth: int) -> Iterator[Value]:
    for value in machine.state.record(chain.ref).values():
        held = value.thing
        if isinstance(held, Object):
            inside = machine.state.get(held.ref, Slot.ITEMS)
            held = inside.thing if inside is not None else held
        for each in held.all if isinstance(held, Items) else ():
            if isinstance(each.thing, Object) and each.thing.cls in CHAINS and depth < DEEPEST_CHAIN:
                yield from _links(machine, each.thing, depth + 1)
            else:
                yield each


def refs_in(values: Sequence[Value]) -> frozenset[Ref]:
    """The identities of loaders and samplers among some values."""
    loaders = frozenset[Ref]().union(*(value.loaders for value in values))
    return loaders | {value.thing.ref for value in values if isinstance(value.thing, Object) and value.thing.cls in SAMPLERS}


def described_one(machine: Machine, ref: Ref) -> Loader:
    """A loader, as it is at this point."""
    arguments = _built_with(machine, ref)
    whole = _whole(machine, arguments.get("dataset", UNKNOWN))
    dataset = whole.thing
    parts = dict(_parts(machine, arguments))
    steps: tuple[str, ...] = ()
    if isinstance(dataset, Object):
        parts |= {dataset.ref: _built_with(machine, dataset.ref)} if isinstance(dataset.cls, str) else {}
        found = (each.thing for each in transforms_of(machine, dataset))
        steps = tuple(thing.cls for thing in found if isinstance(thing, Object) and isinstance(thing.cls, str))
    loader = Loader(ref, arguments, parts, steps, whole)
    named: dict[tuple[Ref, cst.CSTNode | None], Named] = {}
    for sampler, function, name in _names(machine, loader):
        named.setdefault((sampler, function), name)
    return replace(loader, named=named)


def _whole(machine: Machine, dataset: Value) -> Value:
    """The dataset of which a loader loads the rows, or some of them: `random_split(dataset, ...)`."""
    if isinstance(dataset.thing, Object) or not dataset.rows:
        return dataset
    for frame in reversed(machine.frames):
        for value in machine.state.record(frame.ref).values():
            if isinstance(value.thing, Object) and value.thing.ref in dataset.rows:
                return value
    return dataset


def _built_with(machine: Machine, ref: Ref) -> Mapping[str, Value]:
    return {key.name: value for key, value in machine.state.record(ref).items() if isinstance(key, ArgumentOf)}


def _parts(machine: Machine, arguments: Mapping[str, Value]) -> Iterator[tuple[Ref, Mapping[str, Value]]]:
    for name in ATTRIBUTES & arguments.keys():
        for value in members(arguments[name]):
            if isinstance(value.thing, Object):
                inner = _built_with(machine, value.thing.ref)
                yield value.thing.ref, {**inner, **dict(_held(machine, value.thing.ref))}
                yield from _parts(machine, inner)


def _names(machine: Machine, loader: Loader) -> Iterator[tuple[Ref, cst.CSTNode | None, Named]]:
    """By which expressions the functions under way know the samplers of a loader."""
    own = loader.arguments.get("sampler")
    for frame in machine.frames:
        held = dict(_held(machine, frame.ref))
        owner = held.get("self")
        if owner is not None and isinstance(owner.thing, Object):
            held.update((f"self.{name}", value) for name, value in _held(machine, owner.thing.ref))
        if own is not None:
            held.update((f"{name}.sampler", own) for name, value in [*held.items()] if _is_alone(value, loader.ref))
        function = frame.function.node if frame.function is not None else None
        for name, value in held.items():
            if isinstance(value.thing, Object) and value.thing.ref in loader.parts:
                yield value.thing.ref, function, Named(name, value.or_none)


def _is_alone(value: Value, loader: Ref) -> bool:
    return value.loaders == {loader} and not value.or_none and not isinstance(value.thing, Items)


def _held(machine: Machine, ref: Ref) -> Iterator[tuple[str, Value]]:
    return ((name, value) for name, value in machine.state.record(ref).items() if isinstance(name, str))
