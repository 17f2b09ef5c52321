"""Methods of sequences and mappings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.choices import one_of_entries
from mldbg.lint.interpret.choosing import in_round
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.frames import loop_started
from mldbg.lint.interpret.join import joined, tuple_of
from mldbg.lint.interpret.lineage import Lineage
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.slots import Slot
from mldbg.lint.interpret.snapshots import note_weights
from mldbg.lint.interpret.sums import note_emptied, note_kept
from mldbg.lint.interpret.value import UNKNOWN, Constant, Entries, Items, Object, Value, literal
from mldbg.operations.python import LOSES_CONTENT, REARRANGES
from mldbg.operations.torch import RETURNS_SELF


class Containers:
    """Applies methods to known contents."""

    def __init__(self, machine: Machine, contents: Contents, lineage: Lineage) -> None:
        self.machine = machine
        self.contents = contents
        self.lineage = lineage

    def sequence_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A method of a list, or of a container of layers."""
        machine = self.machine
        items = self.contents.items_of(base)
        assert items is not None
        if name in LOSES_CONTENT:
            note_emptied(machine, base, site)
        values = [argument.value for argument in arguments]
        if name == "append" and values:
            self.tell_appended(base, arguments, site)
            since = loop_started(machine.frames)
            added = values[0] if since is None else values[0].gathered(since)
            self.contents.extend(base, Items("", (in_round(machine, added),)))
            return literal(None)
        if name in ("extend", "__iadd__") and values:
            self.tell_appended(base, arguments, site)
            more = self.contents.items_of(values[0]) or Items("", (), self.contents.element_of(values[0], site))
            self.contents.extend(base, more)
            return literal(None)
        if name == "insert" and len(values) == 2 and isinstance(base.thing, Object):
            self.tell_appended(base, arguments[1:], site)
            machine.state.set(
                base.thing.ref,
                Slot.ITEMS,
                Value(Items(items.cls, (), joined([*items.all, values[1]]))),
            )
            return literal(None)
        if name == "add_module" and len(values) == 2:
            self.contents.extend(base, Items("", (values[1],)))
            return literal(None)
        if name == "clear" and isinstance(base.thing, Object):
            machine.state.set(base.thing.ref, Slot.ITEMS, Value(Items(items.cls, ())))
            return literal(None)
        if name in REARRANGES and isinstance(base.thing, Object):
            every = [
                *items.all,
                *(values if name.startswith(("append", "extend")) else ()),
            ]
            machine.state.set(base.thing.ref, Slot.ITEMS, Value(Items(items.cls, (), joined(every) if every else None)))
            return literal(None)
        if name == "pop":
            element = self.contents.element_of(base, site)
            if isinstance(base.thing, Object) and items.tail:
                machine.state.set(
                    base.thing.ref,
                    Slot.ITEMS,
                    Value(Items(items.cls, (), joined(items.all))),
                )
            return element
        if name == "copy":
            return self.contents.new_sequence(site.node, items)
        if name in RETURNS_SELF:
            return base
        mapping = machine.state.get(base.thing.ref, Slot.NAMES) if isinstance(base.thing, Object) else None
        if mapping is not None and isinstance(mapping.thing, Entries):
            return self.mapping_method(Value(mapping.thing), name, arguments, site)
        return self.lineage.unknown_result(site)

    def mapping_method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value:
        """A method of a dict."""
        machine = self.machine
        mapping = self.contents.mapping_of(base)
        assert mapping is not None
        if name in LOSES_CONTENT:
            note_emptied(machine, base, site)
        values = [argument.value for argument in arguments]
        every = joined([value for _, value in mapping.items]) if mapping.items else UNKNOWN
        if name in ("get", "pop", "setdefault") and values:
            key = values[0]
            if isinstance(key.thing, Constant):
                held = mapping.get(key.constant)
                if name == "pop" and isinstance(base.thing, Object):
                    rest = tuple((one, value) for one, value in mapping.items if one != key.constant)
                    machine.state.set(base.thing.ref, Slot.ITEMS, Value(replace(mapping, items=rest)))
                if held is not None:
                    return held
                if name == "setdefault" and len(values) > 1 and isinstance(base.thing, Object):
                    machine.state.set(
                        base.thing.ref, Slot.ITEMS, Value(replace(mapping, items=(*mapping.items, (key.constant, values[1]))))
                    )
                if mapping.exact and len(values) > 1:
                    return values[1]
            elif name == "get":
                return one_of_entries(machine, mapping, key, site.node, values[1] if len(values) > 1 else None)
            return UNKNOWN
        if name == "items":
            pairs = tuple(tuple_of(literal(key), value) for key, value in mapping.items)
            return Value(Items("builtins.generator", pairs, None if mapping.exact else tuple_of(UNKNOWN, every)))
        if name == "values":
            return Value(
                Items("builtins.generator", tuple(value for _, value in mapping.items), None if mapping.exact else every)
            )
        if name == "keys":
            return Value(
                Items("builtins.generator", tuple(literal(key) for key, _ in mapping.items), None if mapping.exact else UNKNOWN)
            )
        if name == "update" and isinstance(base.thing, Object):
            machine.state.set(base.thing.ref, Slot.ITEMS, Value(self.contents.merged(arguments, mapping)))
            return literal(None)
        if name in ("clear", "popitem") and isinstance(base.thing, Object):
            left = Entries((), exact=name == "clear")
            machine.state.set(base.thing.ref, Slot.ITEMS, Value(left))
            return UNKNOWN
        if name == "copy":
            return self.contents.new_mapping(site.node, mapping)
        return self.lineage.unknown_result(site)

    def tell_appended(self, base: Value, arguments: Sequence[Argument], site: Site) -> None:
        """`values.append(value)` keeps the value."""
        node = site.node
        if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or arguments[0].node is None:
            return
        note_weights(self.machine, node.func.value, arguments[0].node, arguments[0].value, collected=True)
        if not self.contents.is_bounded(base):
            note_kept(self.machine, node.func.value, base, arguments[0].value, arguments[0].node, site)
