"""What the rows of the library tables say of tensors: meanings, axes, graphs."""

from __future__ import annotations

from dataclasses import replace

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.lineage import Lineage, derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import UNKNOWN, Axes, Constant, Entries, Items, Object, Symbol, Value, literal, onward
from mldbg.operations.effect import Affine, Gives, Keeps, Maps
from mldbg.semantics import Semantic


class Tensors:
    """Applies effects on tensors."""

    def __init__(self, machine: Machine, contents: Contents, lineage: Lineage) -> None:
        self.machine = machine
        self.contents = contents
        self.lineage = lineage

    def gives(self, effect: Gives, value: Value, site: Site) -> Value:
        """The result of an operation that gives its numbers a meaning."""
        kept = value.meaning in effect.keeps_meanings
        meaning = value.meaning if kept else effect.meaning
        text = f"{effect.verb} returns {meaning.words}" if meaning is not None else f"passed through {effect.verb}"
        data = derived_data(value)
        start = value.trail if value.fits else None
        return Value(
            meaning=meaning,
            data=data,
            origin=value.origin if kept else Ref(site, self.machine.frame.context),
            axes=value.axes if effect.keeps_axes else Axes(),
            attached=value.attached if self.machine.state.grad else False,
            trail=value.trail if kept else onward(start, site, text),
        )

    def affine(self, effect: Affine, value: Value, layer: Value | None, site: Site) -> Value:
        """The result of a layer that gives any real number."""
        last = None
        if effect.out is not None and layer is not None and isinstance(layer.thing, Object):
            out = self.machine.state.get(layer.thing.ref, f"#argument {effect.out}")
            size = out.constant if out is not None else None
            last = size if isinstance(size, int) else None
        start = value.trail if value.fits else None
        return Value(
            meaning=Semantic.LOGITS,
            data=derived_data(value),
            origin=Ref(site, self.machine.frame.context),
            axes=Axes(value.axes.rank, last),
            attached=None if self.machine.state.grad else False,
            trail=onward(start, site, f"{effect.verb} returns unbounded values"),
        )

    def maps(self, effect: Maps, value: Value, site: Site) -> Value:
        """The result of an operation that turns one meaning into another."""
        meaning = effect.meanings.get(value.meaning) if value.meaning is not None else None
        return Value(
            meaning=meaning,
            data=derived_data(value),
            origin=Ref(site, self.machine.frame.context),
            axes=value.axes,
            attached=value.attached,
            trail=onward(value.trail, site, f"{effect.verb} returns {meaning.words}") if meaning is not None else None,
        )

    def keeps(self, effect: Keeps, values: list[Value], site: Site) -> Value:
        """The result of an operation that leaves the meaning as it is."""
        value = values[effect.of] if effect.of < len(values) else UNKNOWN
        if isinstance(value.thing, Constant | Items | Entries | Symbol) or self.contents.items_of(value) is not None:
            return self.lineage.derived([value], site)
        if not effect.keeps_axes:
            rank = None
            sizes = values[1:]
            if effect.rank_from_shape and len(sizes) > 1:
                rank = len(sizes)
            value = replace(value, axes=Axes(rank=rank))
        if effect.attached is False:
            value = replace(value, attached=False)
        if value.origin is None:
            value = replace(value, origin=Ref(site, self.machine.frame.context))
        return value

    def flattened(self, given: dict[str, Value], value: Value, site: Site, *, is_layer: bool) -> Value:
        """torch.flatten and nn.Flatten: the axes from `start_dim` on become one."""
        start = given.get("start_dim", literal(1 if is_layer else 0)).constant
        kept = self.keeps(Keeps(keeps_axes=False), [value], site)
        whole = "end_dim" not in given
        return replace(kept, axes=Axes(rank=start + 1)) if isinstance(start, int) and start >= 0 and whole else kept

    def filled(self, values: list[Value], site: Site) -> Value:
        """torch.randn(2, 3): a new tensor with as many axes as sizes."""
        sizes = [value for value in values if isinstance(value.constant, int)]
        rank = len(values) if len(values) > 1 and len(sizes) == len(values) else None
        return replace(self.lineage.unknown_result(site), axes=Axes(rank=rank), attached=False)
