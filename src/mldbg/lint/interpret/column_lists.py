"""Lists of the names of a table's columns: `[name for name in df.columns if name != "target"]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import libcst as cst

from mldbg.lint.interpret.address import Ref
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.data import moment
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.table import Column, Table
from mldbg.lint.interpret.value import UNKNOWN, Object, Value
from mldbg.operations import columns

Names = Callable[[Value], frozenset[str]]
"""The names that a value says; none where it does not say."""


@dataclass(frozen=True, slots=True)
class _List:
    """Names of columns: those of a table, as it was at a moment."""

    table: Table
    at: int


class ColumnLists:
    """Remembers which values are lists of column names, and what was taken out of them since."""

    def __init__(self, machine: Machine, names: Names) -> None:
        self.machine = machine
        self.names = names
        self._known: dict[Ref, _List] = {}
        self._numbers: dict[Ref, set[Column]] = {}
        """Of tables, by their identity, the columns that were given numbers."""
        self._added: dict[Ref, dict[Column | None, int]] = {}
        """Of tables, by their identity, when each of their columns was set last; None: one of which the name is not known."""

    def column_set(self, table: Table, name: Column | None, content: Value = UNKNOWN) -> None:
        """A column of a table gets new content: it may not have been there before."""
        if table.of is None:
            return
        self._added.setdefault(table.of, {})[name] = moment()
        numbers = self._numbers.setdefault(table.of, set())
        if name is None:
            numbers.clear()
        elif _holds_numbers(content):
            numbers.add(name)
        else:
            numbers.discard(name)

    def of_numbers(self, table: Table) -> Table | None:
        """The columns of a table that are known to hold numbers: others may do so as well; None where none are."""
        known = self._numbers.get(table.of, set()) if table.of is not None else set()
        held = frozenset(name for name in known if table.holds(name))
        return table.to(held) if held else None

    def note(self, value: Value, table: Table | None, at: int | None = None) -> None:
        """A value holds the names of a table's columns, or of unknown ones."""
        ref = _identity(value)
        if ref is not None and table is not None and table.of is not None:
            self._known[ref] = _List(table, moment() if at is None else at)
        elif ref is not None:
            self._known.pop(ref, None)

    def named_by(self, value: Value, table: Table) -> Table | None:
        """The columns of a table that a list names; None where it is no such list of this table."""
        ref = _identity(value)
        listed = self._known.get(ref) if ref is not None else None
        if listed is None or listed.table.of is not table.of or table.of is None:
            return None
        added = {name for name, at in self._added.get(table.of, {}).items() if at > listed.at}
        if None in added:
            return None
        gone = listed.table.without | {name for name in added if name is not None}
        if listed.table.only is not None:
            return table.to(listed.table.only - gone)
        return table.but(gone)

    def copied(self, source: Value, made: Value) -> None:
        """`list(df.columns)`, `df.columns.tolist()`"""
        listed = self._listed(source)
        if listed is not None:
            self.note(made, listed.table, listed.at)

    def after_method(self, base: Value, name: str, arguments: Sequence[Argument], made: Value) -> None:
        """`names.remove("target")` changes a list; `df.columns.drop("target")` makes another one."""
        listed = self._listed(base)
        if listed is None:
            return
        plain = [argument.value for argument in arguments]
        names = frozenset[Column](self.names(plain[0])) if plain else frozenset[Column]()
        if name == "remove":
            self.note(base, listed.table.but(names) if names else None, listed.at)
        elif name in columns.CHANGES_A_LIST:
            self.note(base, None)
        elif name in columns.LISTS_ANEW:
            self.note(made, listed.table, listed.at)
        elif name in columns.LISTS_OTHERS and names:
            self.note(made, listed.table.but(names), listed.at)

    def changed(self, base: Value) -> None:
        """Something in a list is deleted or replaced."""
        if self._listed(base) is not None:
            self.note(base, None)

    def chosen(self, node: cst.CSTNode, made: Value) -> None:
        """`[name for name in df.columns if name not in ("id", "target")]`"""
        clause = node.for_in if isinstance(node, cst.ListComp) else None
        if clause is None or clause.inner_for_in is not None or not self._known:
            return
        if not isinstance(clause.target, cst.Name) or not isinstance(node, cst.ListComp) or not _is(node.elt, clause.target):
            return
        gone: frozenset[Column] = frozenset()
        for condition in clause.ifs:
            without = self._left_out(condition.test, clause.target)
            if without is None:
                return
            gone |= without
        listed = self._listed(self.machine.now(clause.iter))
        if listed is not None:
            self.note(made, listed.table.but(gone) if gone else listed.table, listed.at)

    def _left_out(self, test: cst.BaseExpression, name: cst.Name) -> frozenset[Column] | None:
        """The columns that a condition leaves out; None where it may leave out others."""
        if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
            parts = [self._left_out(side, name) for side in (test.left, test.right)]
            return None if None in parts else frozenset(one for part in parts if part is not None for one in part)
        if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
            inner = test.expression
            kinds: tuple[type[cst.BaseCompOp], ...] = (cst.Equal, cst.In)
        else:
            inner, kinds = test, (cst.NotEqual, cst.NotIn)
        if not isinstance(inner, cst.Comparison) or len(inner.comparisons) != 1 or not _is(inner.left, name):
            return None
        compared = inner.comparisons[0]
        if not isinstance(compared.operator, kinds):
            return None
        value = self.machine.now(compared.comparator)
        names = self.names(value)
        if isinstance(compared.operator, cst.In | cst.NotIn) and isinstance(value.constant, str):
            return None  # part of a text
        return frozenset[Column](names) if names else None

    def _listed(self, value: Value) -> _List | None:
        ref = _identity(value)
        return self._known.get(ref) if ref is not None else None


def _holds_numbers(value: Value) -> bool:
    """Whether a column was made by what gives numbers: `map({"yes": 1, "no": 0})`, `astype(int)`."""
    site = value.origin.site if value.origin is not None else None
    return site is not None and isinstance(site.node, cst.Call) and columns.GIVES_NUMBERS.search(code(site.node)) is not None


def _identity(value: Value) -> Ref | None:
    return value.thing.ref if isinstance(value.thing, Object) else value.origin


def _is(node: cst.BaseExpression, name: cst.Name) -> bool:
    return isinstance(node, cst.Name) and node.value == name.value
