"""What the rows of the library tables say of tensors: meanings, axes, graphs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mldbg.lint.interpret import along
from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.carried import LOST, Carrying, Left, elements_of, left, other_extreme
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.join import tuple_of
from mldbg.lint.interpret.lineage import Lineage, derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.ranks import rank_after
from mldbg.lint.interpret.slots import argument_of
from mldbg.lint.interpret.value import (
    NO_ENTRIES,
    UNKNOWN,
    VALUES_AND_INDICES,
    ZEROS,
    Axes,
    Constant,
    Entries,
    Items,
    Object,
    Opaque,
    Symbol,
    Unknown,
    Value,
    literal,
    onward,
)
from mldbg.operations.effect import Affine, Choice, Clamps, Drops, Fills, Gives, Keeps, Maps, Moves, Selects
from mldbg.semantics import Semantic

RANK_OF_SEQUENCES = 3
"""Axes of a batch of sequences of feature vectors, which recurrent layers are nearly always given."""


class Tensors:
    """Applies effects on tensors."""

    def __init__(self, machine: Machine, contents: Contents, lineage: Lineage) -> None:
        self.machine = machine
        self.contents = contents
        self.lineage = lineage

    def gives(self, effect: Gives, value: Value, dim: Value | None, site: Site) -> Value:
        """The result of an operation that gives its numbers a meaning, which lies along an axis where one is named."""
        along = effect.axis if dim is None else dim.constant if isinstance(dim.constant, int) else None
        kept = value.meaning in effect.keeps_meanings
        meaning = value.meaning if kept else effect.meaning
        text = f"{effect.verb} returns {meaning.words}" if meaning is not None else f"passed through {effect.verb}"
        data = derived_data(value)
        start = value.trail if value.fits else None
        return Value(
            meaning=meaning,
            data=data,
            origin=value.origin if kept else self.machine.new_ref(site),
            axes=value.axes if kept else replace(value.axes, along=along),
            attached=value.attached if self.machine.state.grad else False,
            trail=value.trail if kept else onward(start, site, text),
            scaled=kept and value.scaled,
        )

    def affine(self, effect: Affine, value: Value, layer: Value | None, site: Site) -> Value:
        """The result of a layer that gives any real number."""
        last = None
        if effect.out is not None and layer is not None and isinstance(layer.thing, Object):
            out = self.machine.state.get(layer.thing.ref, argument_of(effect.out))
            size = out.constant if out is not None else None
            last = size if isinstance(size, int) else None
        start = value.trail if value.fits else None
        return Value(
            meaning=Semantic.LOGITS,
            data=derived_data(value),
            origin=self.machine.new_ref(site),
            axes=Axes(value.axes.rank or effect.rank, last, effect.features),
            attached=None if self.machine.state.grad else False,
            trail=onward(start, site, f"{effect.verb} returns unbounded values"),
        )

    def maps(self, effect: Maps, value: Value, site: Site) -> Value:
        """The result of an operation that turns one meaning into another."""
        meaning = effect.meanings.get(value.meaning) if value.meaning is not None and not value.scaled else None
        return Value(
            meaning=meaning,
            data=derived_data(value),
            origin=self.machine.new_ref(site),
            axes=value.axes,
            attached=value.attached,
            trail=onward(value.trail, site, f"{effect.verb} returns {meaning.words}") if meaning is not None else None,
        )

    def keeps(self, effect: Keeps, values: list[Value], site: Site) -> Value:
        """The result of an operation that leaves the meaning as it is."""
        if not values:
            return self.waiting([literal(0)], site)  # torch.Tensor()
        value = values[effect.of] if effect.of < len(values) else UNKNOWN
        sequence = self.contents.items_of(value)
        if sequence is not None and sequence.exact and not sequence.tail:
            return self.waiting([literal(0)], site)  # torch.tensor([])
        if isinstance(value.thing, Constant | Items | Entries | Symbol) or sequence is not None:
            return self.lineage.derived([value], site)
        if effect.attached is False:
            value = replace(value, attached=False)
        if value.origin is None:
            value = replace(value, origin=self.machine.new_ref(site))
        return value

    def moved(self, effect: Moves, given: dict[str, Value], values: list[Value], site: Site) -> Value:
        """The same tensor with other axes."""
        kept = self.keeps(Keeps(), values, site)
        if not isinstance(kept.thing, Unknown):
            return kept
        rest = left(effect, given, values)
        rank = rest.axes.rank if rest.axes.rank is not None else rank_after(effect, given, values)
        return _with(kept, replace(rest, axes=replace(rest.axes, rank=rank)))

    def selected(self, effect: Selects, given: dict[str, Value], values: list[Value], site: Site) -> Value:
        """Part of a tensor, or a tuple of parts."""
        means = values and any(each.meaning is not None for each in elements_of(self._computed(values[0])))
        if not means:
            return self.lineage.derived(values, site)
        one = self.carried(effect, given, values, site)
        match effect.what:
            case Choice.PARTS | Choice.ENTRIES:
                return Value(Items("builtins.tuple", (), one))
            case Choice.BEST:
                return self._with_places(one, site)
            case Choice.EXTREME if "dim" in given and other_extreme(given) is None:
                says_axis = isinstance(given["dim"].constant, int)
                return self._with_places(one, site) if says_axis else self.lineage.derived(values, site)
            case _:
                return one

    def _with_places(self, values: Value, site: Site) -> Value:
        """What `scores.topk(5)` returns: `values, indices`."""
        return Value(Items(VALUES_AND_INDICES, (values, self.lineage.unknown_result(site))))

    def recurrent(self, given: Mapping[str, Value], values: list[Value], site: Site, *, cell: bool) -> Value:
        """What `output, state = rnn(x)` gives: batches of sequences, and the last state of each layer (`cell`: two of them)."""
        made = self.lineage.derived(values, site)
        rank = given["input"].axes.rank if "input" in given else None
        attached = None if self.machine.state.grad else False
        output = replace(made, axes=Axes(rank or RANK_OF_SEQUENCES), attached=attached)
        state = replace(output, origin=self.machine.new_ref(site, Made.UNPACKED, 1))
        return tuple_of(output, tuple_of(state, state) if cell else state)

    def copied(self, given: Mapping[str, Value], values: list[Value], site: Site) -> Value:
        """`buffer.copy_(scores)`: the buffer holds the same numbers."""
        source = given.get("src", UNKNOWN)
        made = replace(self.lineage.derived(values, site), attached=source.attached)
        return replace(made, meaning=source.meaning, axes=source.axes, scaled=source.scaled, trail=source.trail or made.trail)

    def scattered(self, given: Mapping[str, Value], values: list[Value], site: Site) -> Value:
        """`zeros.scatter_(1, labels.unsqueeze(1), 1)`: one-hot rows along that axis."""
        made = replace(self.lineage.derived(values, site), attached=values[0].attached if values else None)
        if not values or not isinstance(values[0].thing, Opaque) or values[0].thing.cls != ZEROS:
            return made
        put, dim = given.get("src", given.get("value", UNKNOWN)).constant, given.get("dim", UNKNOWN).constant
        if put != 1 or isinstance(put, bool) or not isinstance(dim, int):
            return made
        trail = onward(None, site, f"scatter puts ones into zeros: {Semantic.ONE_HOT.words}")
        return replace(made, meaning=Semantic.ONE_HOT, axes=Axes(values[0].axes.rank, along=dim), trail=trail)

    def carried(self, effect: Carrying, given: Mapping[str, Value], values: list[Value], site: Site) -> Value:
        """What is made from tensors, with what is left of their meaning."""
        made = self.lineage.derived(values, site)
        values = [self._computed(value) for value in values]
        source = next((each for value in values for each in elements_of(value) if each.meaning is not None), None)
        rest = left(effect, {name: self._computed(one) for name, one in given.items()}, values) if source is not None else LOST
        same_places = isinstance(effect, Clamps | Drops | Fills)
        rank = rank_after(effect, given, values)
        if source is None or rest.meaning is None:
            return replace(made, axes=values[0].axes if same_places and values else Axes(rank))
        if rest.axes.rank is None:
            rest = replace(rest, axes=replace(rest.axes, rank=rank))
        bounded = isinstance(effect, Clamps) and source.meaning is not Semantic.SCALAR_LOSS  # no longer what an activation gave
        origin = source.origin if same_places and not bounded else made.origin
        return replace(_with(made, rest), origin=origin, attached=source.attached, trail=source.trail)

    def _computed(self, value: Value) -> Value:
        """A sequence with all its elements computed."""
        items = self.contents.items_of(value)
        if items is None:
            return value
        lead = self.machine.force(items.lead) if items.lead is not None else None
        return Value(Items(items.cls, tuple(self.machine.force(each) for each in items.tail), lead))

    def flattened(self, given: dict[str, Value], value: Value, site: Site, *, is_layer: bool) -> Value:
        """torch.flatten and nn.Flatten: the axes from `start_dim` on become one."""
        start, end = (given.get(name, literal(usual)).constant for name, usual in (("start_dim", int(is_layer)), ("end_dim", -1)))
        kept = self.keeps(Keeps(), [value], site)
        if not isinstance(start, int) or not isinstance(end, int):
            return replace(kept, axes=Axes())
        rank = start + 1 if start >= 0 and end == -1 else None
        return replace(kept, axes=Axes(rank, along=along.flattened(kept.axes, start, end)))

    def filled(self, values: list[Value], site: Site) -> Value:
        """torch.randn(2, 3): a new tensor with as many axes as sizes."""
        sizes = [value for value in values if isinstance(value.constant, int)]
        rank = len(values) if len(values) > 1 and len(sizes) == len(values) else None
        return replace(self.lineage.unknown_result(site), axes=Axes(rank=rank), attached=False)

    def waiting(self, values: list[Value], site: Site) -> Value:
        """torch.zeros(2, 3), torch.empty(0): a tensor that waits for its values."""
        made = replace(self.lineage.derived(values, site), axes=self.filled(values, site).axes, attached=False)
        sizes = self.contents.items_of(values[0]) if len(values) == 1 else None
        every = values if sizes is None else sizes.all
        nothing = any(size.constant == 0 and isinstance(size.constant, int) for size in every)
        return replace(made, thing=Opaque(NO_ENTRIES if nothing else ZEROS))


def _with(value: Value, rest: Left) -> Value:
    return replace(value, meaning=rest.meaning, axes=rest.axes, scaled=rest.scaled)
