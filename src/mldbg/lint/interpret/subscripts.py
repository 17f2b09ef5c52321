"""What a subscript picks out of a value."""

from __future__ import annotations

from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret import carried, marks
from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.choices import Choices, is_told_apart_by_meaning, one_of_entries
from mldbg.lint.interpret.columns import Columns, picks_one
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.declared import declared
from mldbg.lint.interpret.frames import one_of_many, with_keyed_role
from mldbg.lint.interpret.indexing import MASK
from mldbg.lint.interpret.join import join_all, join_data, scored_as
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.provenance import part_under_key
from mldbg.lint.interpret.ranks import rank_of_item
from mldbg.lint.interpret.shaping import Shaping
from mldbg.lint.interpret.slots import Slot, argument_of
from mldbg.lint.interpret.splits import picked, split_apart
from mldbg.lint.interpret.tables import Tables
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    ClassThing,
    Constant,
    Data,
    Declared,
    Entries,
    FitKind,
    Items,
    Lazy,
    ModuleThing,
    Object,
    Opaque,
    Symbol,
    Trail,
    Unknown,
    Value,
)
from mldbg.operations import tables
from mldbg.operations.annotations import family_of

MOST_SHUFFLES = 4
"""Shufflings one after the other that are told apart."""

_STACKING = frozenset({"numpy.r_", "numpy.c_"})

DEEPEST_ITEM = 3
"""Items of items of something unknown that have an identity of their own."""


class Subscripts:
    """Evaluates `base[indices]`."""

    def __init__(self, machine: Machine, contents: Contents, shaping: Shaping, tables: Tables) -> None:
        self.machine = machine
        self.shaping = shaping
        self.tables = tables
        self.contents = contents
        self.columns = Columns(contents)
        self.choices = Choices(machine)

    def item(self, base: Value, indices: list[Value], node: cst.CSTNode, site: Site) -> Value:
        """The value of `base[indices]`."""
        if isinstance(base.thing, Lazy):
            return scored_as(self.machine.defer(node, lambda: self.item(self.machine.force(base), indices, node, site)), base)
        if is_told_apart_by_meaning(base):
            return self.choices.each(base, lambda one: self.item(one, indices, node, site), site)
        indices = [self.machine.force(index) for index in indices]
        index = indices[0] if len(indices) == 1 else UNKNOWN
        found = self._known_item(base, index, site)
        if found is not None:
            return found
        if isinstance(base.thing, Symbol):
            if base.thing.name in _STACKING:
                return self._stacked(indices, node)
            return self._annotation(base.thing.name, indices) or base  # list[int], Float[Tensor, "..."]
        data = _rows_of_part(derived_data(base), indices, self.machine.new_ref(site, Made.ROWS))
        if data is not None and data.columns:
            names = self.columns.named(indices[-1])
            data = data if names is None else data.of_columns(names)
        data = _with_selection(data, indices)
        drawn = next((one.data.order for one in indices[:1] if one.data is not None and one.data.order), ())
        if data is not None and drawn:
            data = replace(data, order=(data.order + drawn)[-MOST_SHUFFLES:])
        if data is not None and isinstance(index.constant, str):
            data = replace(data, column=index.constant)
        if data is not None and not data.condensed and picks_one(index, node):
            data = replace(data, one_row=True)
        fold = next((one.data for one in indices if one.data is not None and one.data.picks is not None), None)
        if data is not None and fold is not None:
            data = picked(data, fold.picks, fold.split)
        numbers = next((one.data for one in indices if one.data is not None and one.data.split is not None), None)
        if data is not None and data.role is None and fold is None and numbers is not None and numbers.split is not None:
            data = split_apart(data, numbers.role, numbers.split)  # the numbers of the rows were split: `X[train_rows]`
        origin = self.machine.new_ref(self.machine.site(node))
        if (
            base.shaped is None
            and isinstance(base.thing, Object)
            and base.thing.cls is None
            and index.constant is not None
            and isinstance(index.constant, str | int)
            and base.thing.ref.depth(Made.ITEM) < DEEPEST_ITEM
        ):
            ref = base.thing.ref.inside(Made.ITEM, str(index.constant))
            self.machine.state.ensure(ref)
            held = Value(Object(ref), data=data, origin=ref, trail=base.trail)
            held = self.tables.item(base, node, indices, held)
            return self._keyed(index, self.shaping.item(base, indices, site, held))
        rest = carried.picked(base, indices)
        picked_out = Value(
            meaning=rest.meaning,
            data=data,
            origin=origin,
            axes=rest.axes if rest.axes.rank is not None else replace(rest.axes, rank=rank_of_item(base, indices)),
            attached=base.attached,
            trail=_trail_of(base, indices) if rest.meaning is not None or (data is not None and data.fits) else None,
            scaled=rest.scaled,
        )
        picked_out = marks.picked(base, indices, picked_out, site)
        picked_out = part_under_key(base, index.constant, picked_out)
        picked_out = self.tables.item(base, node, indices, picked_out)
        return self._keyed(index, self.shaping.item(base, indices, site, picked_out))

    def _stacked(self, indices: list[Value], node: cst.CSTNode) -> Value:
        """`np.r_[a, b]`: the rows of all."""
        data: Data | None = None
        for index in indices:
            data = join_data(data, derived_data(index)) if index.thing != Unknown() or index.data or index.rows else data
        trail = next((index.trail for index in indices if index.fits), None)
        return Value(data=data, origin=self.machine.new_ref(self.machine.site(node)), trail=trail)

    @staticmethod
    def _annotation(name: str, indices: list[Value]) -> Value | None:
        """`Float[Tensor, "batch d"]`, and `Float[Image, "batch"]` of an `Image` that is such a thing itself."""
        if family_of(name) is None or len(indices) != 2:
            return None
        inner = indices[0].thing
        made = declared(name, indices[1], inner if isinstance(inner, Declared) else None)
        return Value(made) if made is not None else None

    def _keyed(self, index: Value, item: Value) -> Value:
        """An item, with the role that its key says."""
        if not isinstance(index.constant, str):
            return item
        return with_keyed_role(index.constant, item, self.machine.frame.module)

    def _known_item(self, base: Value, index: Value, site: Site) -> Value | None:
        made = self._made_on_demand(base, index, site)
        if made is not None:
            return made
        mapping = self.contents.mapping_of(base)
        if mapping is not None:
            if not isinstance(index.thing, Constant):
                return one_of_entries(self.machine, mapping, index, site.node)
            return mapping.get(index.constant)
        field = self._field(base, index)
        if field is not None:
            return field
        items = self.contents.items_of(base)
        if items is None:
            return self._member(base, index, site)
        self.machine.outstanding.has_use(base)
        if isinstance(index.thing, Items) and index.thing.cls == "builtins.slice":
            bounds = [bound.constant for bound in index.thing.tail if isinstance(bound.thing, Constant)]
            numbers = [bound for bound in bounds if bound is None or isinstance(bound, int)]
            if items.exact and len(numbers) == 3 and numbers[2] != 0:
                items = replace(items, tail=items.tail[slice(*numbers)])
            else:
                items = Items(items.cls, (), join_all(items))
            cls = base.thing.cls if isinstance(base.thing, Object) else None
            copied = isinstance(cls, str) and (cls == "builtins.list" or cls in tables.CONTAINERS)
            return self.contents.new_sequence(site.node, items, str(cls)) if copied else Value(items)
        position = index.constant
        named = self._named_layer(base, index, items) if isinstance(position, str) else None
        if named is not None:
            return named
        if isinstance(position, int) and not isinstance(position, bool):
            if position < 0 and -position <= len(items.tail):
                return items.tail[position]
            if items.exact and 0 <= position < len(items.tail):
                return items.tail[position]
        return one_of_many(self.contents.element_of(base, site), self.machine.new_ref(site, Made.ITEM))

    def _made_on_demand(self, base: Value, index: Value, site: Site) -> Value | None:
        """`meters["loss"]` of `defaultdict(AverageMeter)`: an object that stays; keys that are not known share one."""
        thing = base.thing
        if not isinstance(thing, Object) or self.contents.classes.outside_base(thing.cls) != "collections.defaultdict":
            return None
        factory = self.machine.state.get(thing.ref, argument_of("0"))
        if factory is None or not isinstance(factory.thing, ClassThing):
            return None  # lists and numbers are followed by where they stand
        key = index.constant if isinstance(index.thing, Constant) else Ellipsis
        held = self.machine.state.get(thing.ref, Slot.ITEMS)
        entries = held.thing if held is not None and isinstance(held.thing, Entries) else Entries((), exact=False)
        known = entries.get(key)
        if known is None:
            known = self.machine.call(factory, [], site)
            self.machine.state.set(thing.ref, Slot.ITEMS, Value(Entries((*entries.items, (key, known)), exact=False)))
        return known

    def _member(self, base: Value, index: Value, site: Site) -> Value | None:
        """`globals()["Net"]`, `sys.modules[__name__]`, and `Net[int]` of a generic class."""
        module = self.machine.frame.module
        if isinstance(base.thing, ModuleThing):
            return self.contents.member_of(base.thing.module, index, site)
        if base.thing == Symbol("sys.modules") and index.constant in (module.name, "__main__"):
            return Value(ModuleThing(module))
        return base if isinstance(base.thing, ClassThing) else None

    def _field(self, base: Value, index: Value) -> Value | None:
        """`output["logits"]` and `output[0]` of a dataclass-like object of the project."""
        if not isinstance(base.thing, Object):
            return None
        if isinstance(index.constant, str):
            return self.machine.state.get(base.thing.ref, index.constant)
        if isinstance(index.constant, int) and isinstance(base.thing.cls, ClassThing):
            return self._filled_field(base.thing, base.thing.cls, index.constant)
        return None

    def _filled_field(self, output: Object, cls: ClassThing, position: int) -> Value | None:
        """`output[0]` of a ModelOutput: the first field that is not None."""
        if not any(isinstance(base, str) and base.endswith("ModelOutput") for base in self.contents.classes.ancestors(cls)):
            return None
        fields = [self.machine.state.get(output.ref, name) or NONE for name in self.contents.classes.fields(cls)]
        filled = [field for field in fields if not field.is_none]
        if any(field.or_none for field in fields) or not -len(filled) <= position < len(filled):
            return None
        return filled[position]

    def _named_layer(self, base: Value, index: Value, items: Items) -> Value | None:
        """`heads["a"]` of an nn.ModuleDict that is as it was made."""
        held = self.machine.state.get(base.thing.ref, Slot.NAMES) if isinstance(base.thing, Object) else None
        if held is None or not isinstance(held.thing, Entries) or tuple(value for _, value in held.thing.items) != items.tail:
            return None
        return held.thing.get(index.constant)


def _rows_of_part(data: Data | None, indices: list[Value], part: Ref) -> Data | None:
    """Lineage of some of the rows: they are rows of the whole, and a part of it with an identity of its own."""
    first = indices[0].thing if indices else Unknown()
    sliced = isinstance(first, Items) and first.cls == "builtins.slice" and not all(bound.is_none for bound in first.tail)
    masked = isinstance(first, Opaque) and first.cls == MASK
    if data is None or not data.rows or not (sliced or masked):
        return data
    return replace(data, rows=data.rows | {part})


def _with_selection(data: Data | None, indices: list[Value]) -> Data | None:
    """Columns that were chosen by a fitted selector carry that fit with them."""
    chosen = frozenset(fit for index in indices for fit in index.fits if fit.kind is FitKind.SELECTION)
    return replace(data or Data(), fits=(data.fits if data else frozenset()) | chosen) if chosen else data


def _trail_of(base: Value, indices: list[Value]) -> Trail | None:
    return base.trail or next((index.trail for index in indices if index.fits), None)
