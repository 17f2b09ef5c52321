"""Tables: which of their columns a value is, which of these hold values of later rows, and whether the rows follow in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.column_lists import ColumnLists
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.indexing import MASK
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.table import Column, Table
from mldbg.lint.interpret.value import (
    OF_PREDICTIONS,
    UNKNOWN,
    Constant,
    Data,
    Function,
    Items,
    Marked,
    Object,
    Opaque,
    Unknown,
    Value,
)
from mldbg.lint.library.names import says_party, says_unit
from mldbg.operations import columns

_WHOLE = ("values", "array", "loc", "iloc", "at", "iat")
"""Attributes that hold all columns of a table."""

_ACCESSORS = ("loc", "iloc", "at", "iat")
_SAYS_TIME = re.compile(
    r"(^|_| )(date|dates|datetime|time|timestamp|ts|day|month|year|week|hour|period)(_|$| )|(?i:date|timestamp)"
)

LAST_COUNTED = 64
"""Columns that are counted one by one."""


class Tables:
    """Follows columns and the order of rows through the operations of pandas and numpy."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents
        self.lists = ColumnLists(machine, self._names)
        self.removed: dict[Ref, frozenset[Column]] = {}
        """Of tables, by their identity, the columns that were taken out of them in place, by whichever name."""
        self.groups: dict[Ref, tuple[str, Site]] = {}
        """Of rows, the column that says which of them belong together, and where it is used."""
        self.one_of_each: set[Ref] = set()
        """Rows of which there is one for each value of such a column."""

    # --- what is known of a value ---

    def of(self, value: Value) -> Table | None:
        """The table that a value is, or a part of; None for what is none."""
        if not isinstance(value.thing, Unknown | Opaque | Object) or (
            isinstance(value.thing, Object) and value.thing.cls is not None
        ):
            return None
        if value.data is not None and value.data.table is not None:
            table = value.data.table
            gone = self.removed.get(table.of) if table.of is not None else None
            return table.but(gone) if gone else table
        ref = value.thing.ref if isinstance(value.thing, Object) else value.origin
        return Table(of=ref) if ref is not None else None

    @staticmethod
    def with_table(value: Value, table: Table | None) -> Value:
        """A value of which more is known as a table."""
        if (value.data.table if value.data is not None else None) == table:
            return value
        return replace(value, data=replace(value.data or Data(rows=value.rows), table=table))

    # --- parts ---

    def attribute(self, base: Value, name: str, result: Value, site: Site | None = None) -> Value:
        """`df.values`, `df.target`, `df.columns`"""
        known = base.data is not None and base.data.table is not None
        if name == "columns" and (known or self._is_of_tables()):
            if site is not None:
                result = replace(result, origin=self.machine.new_ref(site))
            self.lists.note(result, self.of(base))
        if name in _WHOLE:
            table = self.of(base)
        elif name in ("str", "dt", "cat", "index", "columns", "shape") or not (known or self._is_of_tables()):
            return result
        else:
            table = self.of(base)
            if table is not None:
                table = table.to(frozenset({name})) if table.of is not None and table.only is None else table.lost
        return self.with_table(result, table) if table is not None else result

    def _is_of_tables(self) -> bool:
        uses = self.machine.frame.module.uses
        return bool(uses["pd"] or uses["pandas"])

    def item(self, base: Value, node: cst.CSTNode, indices: Sequence[Value], result: Value) -> Value:
        """`df["a"]`, `df[["a", "b"]]`, `df.loc[rows, "a"]`, `df.iloc[:, :-1]`, `array[:, 0]`"""
        if not isinstance(node, cst.Subscript) or not isinstance(result.thing, Unknown | Opaque | Object):
            return result
        table = self.of(base)
        window = self._window(node, indices)
        if window is not None and (table is None or table.timed is None):
            table = replace(table.lost if table is not None else Table(), timed=window, whole=True)
            return self.with_table(result, table)
        if table is None or (isinstance(result.thing, Object) and result.thing.cls is not None):
            return result
        accessor = node.value.attr.value if isinstance(node.value, cst.Attribute) else ""
        at = accessor in _ACCESSORS
        if len(indices) == 1 and (at or _says_rows(indices[0])):
            cut = table.cut if not _is_slice(indices[0]) else (*table.cut, code(node.slice[0]))
            if not _is_slice(indices[0]) and table.timed is not None and _is_sort(table.timed):
                table = replace(table, timed=None, whole=False)  # rows before a date: a split at a point in time
            return self.with_table(result, replace(table, cut=cut, backwards=table.backwards or _is_reversed(indices[0])))
        chosen = self._chosen(table, indices[-1])
        if len(indices) == 2 and _cuts(indices[0]):
            chosen = replace(chosen, cut=(*chosen.cut, code(node.slice[0])))
        if isinstance(chosen.column, str) and says_unit(chosen.column):
            self._note_group(base, chosen.column, self.machine.site(node))
        marked = next((mark for name, mark in chosen.marks if name == chosen.column), None)
        if isinstance(marked, Marked):
            result = replace(result, marked=marked)
        return self.with_table(result, chosen)

    def _names(self, index: Value) -> frozenset[str]:
        """The names of columns that an index says; none where it says rows, or is not known."""
        if isinstance(index.constant, str):
            return frozenset({index.constant})
        items = self.contents.items_of(index)
        if items is None or not items.exact or (isinstance(index.thing, Items) and index.thing.cls == "builtins.slice"):
            return frozenset()
        names = [item.constant for item in items.tail]
        return (
            frozenset(name for name in names if isinstance(name, str))
            if all(isinstance(name, str) for name in names)
            else frozenset()
        )

    def _chosen(self, table: Table, index: Value) -> Table:
        """The table of the columns that an index picks."""
        names = self._names(index)
        if names:
            return table.to(frozenset[Column](names))
        listed = self.lists.named_by(index, table)
        if listed is not None:
            return listed
        if isinstance(index.thing, Items) and index.thing.cls == "builtins.slice":
            bounds = [bound.constant if isinstance(bound.thing, Constant) else "?" for bound in index.thing.tail]
            if bounds == [None, None, None]:
                return table
            if table.only is None and not table.without and not any(isinstance(bound, str) for bound in bounds):
                return _counted(table, bounds)
            return table.lost
        whole = table.only is None and not table.without
        if isinstance(index.constant, int) and whole:
            return table.to(frozenset[Column]({("#", index.constant)}))
        return table.lost

    # --- methods and functions ---

    def of_method(self, base: Value, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """What a method makes of a table."""
        self.lists.after_method(base, name, arguments, result)
        table = self.of(base)
        if table is None or not isinstance(result.thing, Unknown | Opaque | Object):
            return result
        if isinstance(result.thing, Object) and result.thing.cls is not None:
            return result
        self._note_groups(table, base, name, arguments, site)
        made = self._after_method(table, base, name, arguments, site)
        if name == "to_frame" and made is not None and made.of is None:
            made = replace(made, of=result.origin)  # of a series that came out of no table
        if made is None:
            held = result.data.table if result.data is not None else None
            return self.with_table(result, held.lost) if held is not None else result
        return self.with_table(result, made)

    def _after_method(self, table: Table, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Table | None:
        if name in columns.DROPS:
            return self._dropped(table, name, arguments)
        if name == "assign":
            for argument in arguments:
                if argument.keyword is not None:
                    content = argument.value
                    if isinstance(content.thing, Function):
                        content = self.machine.call(content, [Argument(base)], site)
                    table = table.with_column(argument.keyword, self.of(content))
                self.lists.column_set(table, argument.keyword)
            return table
        if name == "select_dtypes":
            nodes = [code(one.node) for one in arguments if one.node is not None and one.keyword in (None, "include")]
            numbers = len(nodes) == len(arguments) == 1 and columns.NUMBERS_ONLY.match(nodes[0])
            return self.lists.of_numbers(table) or table.lost if numbers else table.lost
        if name in columns.FOLLOWS_TIME:
            return self._in_time(table, base, name, arguments, site)
        if name in columns.FILLS_BACKWARDS or (name == "fillna" and _fills_backwards(arguments)):
            return replace(table, future=site) if table.timed is not None and table.only is not None else table
        if name in ("sort_values", "sort_index"):
            descending = any(one.keyword == "ascending" and one.value.constant is not True for one in arguments)
            return replace(table, backwards=table.backwards or descending)
        if name in columns.ONE_ROW_EACH and table.timed is not None and _is_sort(table.timed):
            table = replace(table, timed=None, whole=False)
        if name in columns.KEEPS_COLUMNS or (name in columns.OF_ONE_COLUMN and table.column is not None):
            return table
        if base.data is None or base.data.table is None:
            return None
        return replace(table.lost, future=None) if name in columns.PUTS_TOGETHER else table.lost

    def _dropped(self, table: Table, name: str, arguments: Sequence[Argument]) -> Table:
        """`df.drop(columns=["a"])`, `df.drop("a", axis=1)`, `df.pop("a")`; what is dropped without an axis is not known."""
        given = {argument.keyword: argument.value for argument in arguments if argument.keyword is not None}
        plain = [argument.value for argument in arguments if argument.keyword is None]
        if name == "pop":
            return table.to(frozenset[Column](self._names(plain[0]))) if plain and self._names(plain[0]) else table.lost
        axis = given.get("axis", plain[1] if len(plain) > 1 else UNKNOWN).constant
        if "columns" not in given and axis not in (1, "columns"):
            rows_only = axis in (0, "index") or "index" in given
            return table if rows_only else table.lost  # polars drops columns without being told an axis
        said = given.get("columns", given.get("labels", plain[0] if plain else UNKNOWN))
        names = self._names(said)
        return table.but(frozenset[Column](names)) if names else table.lost

    def taken_out(self, base: Value, name: str, arguments: Sequence[Argument]) -> None:
        """`df.pop("a")` and `df.drop(..., inplace=True)` change a table, whoever else holds it."""
        in_place = any(argument.keyword == "inplace" and argument.value.constant is not False for argument in arguments)
        if name in ("insert", "eval", "rename"):
            table = self.of(base)
            if table is not None:
                self.lists.column_set(table, None)
        if name != "pop" and not (name in ("drop", "set_index") and in_place):
            return
        table = self.of(base)
        if table is None or table.of is None:
            return
        plain = next(
            (argument.value for argument in arguments if argument.keyword in (None, "columns", "labels", "keys")), UNKNOWN
        )
        self._take_out(table.of, frozenset[Column](self._names(plain)))

    def _take_out(self, table: Ref, names: frozenset[Column]) -> None:
        self.removed[table] = self.removed.get(table, frozenset[Column]()) | names

    def deleted(self, base: Value, index: Value) -> None:
        """`del df["a"]`"""
        self.lists.changed(base)
        table = self.of(base)
        if table is not None and table.of is not None and self._names(index):
            self._take_out(table.of, frozenset[Column](self._names(index)))

    def _in_time(self, table: Table, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Table | None:
        """The table after a method that looks at other rows."""
        if base.data is not None and base.data.one_row and name != "shift":
            return table.lost
        first = next((one for one in arguments if one.keyword in (None, "periods", "by", "rule", "window")), None)
        number = first.value.constant if first is not None else None
        if name == "sort_values":
            names = self._names(first.value) if first is not None else frozenset()
            descending = any(one.keyword == "ascending" and one.value.constant is not True for one in arguments)
            timed = site if names and all(_SAYS_TIME.search(one) for one in names) and not descending else table.timed
            whole = table.whole or timed is not None
            return replace(table, timed=table.timed or timed, whole=whole, backwards=descending)
        if name == "resample" and not isinstance(number, str):
            return table.lost
        if name == "download":
            return table
        ahead = isinstance(number, int | float) and number < 0 and name in ("shift", "diff", "pct_change")
        centred = any(one.keyword == "center" and one.value.constant is True for one in arguments)
        future = site if (ahead or (name == "rolling" and centred)) and not table.backwards else table.future
        of_group = base.data is not None and base.data.one_row
        timed = table.follows if of_group else table.follows or site
        return Table(future=future, timed=timed, whole=timed is not None, backwards=table.backwards)

    def of_function(self, name: str, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """What a function outside the project makes of tables."""
        if name.rpartition(".")[2] in ("list", "sorted") and arguments:
            self.lists.copied(arguments[0].value, result)
        if not isinstance(result.thing, Unknown | Opaque):
            return result
        if name in columns.SERIES:
            return self.with_table(result, Table(of=result.origin, timed=site, whole=True))
        last = name.rpartition(".")[2]
        if last == "sliding_window_view":
            return self.with_table(result, Table(timed=site, whole=True))
        if name == "pandas.DataFrame" and arguments:
            result = self._built(arguments[0].value, result)
        table = result.data.table if result.data is not None else None
        if last in columns.PUTS_TOGETHER and table is not None and table.of is None:
            return self.with_table(result, replace(table.lost, future=None))
        if table is None:
            return self._of_list(arguments, result) if last in ("array", "asarray", "stack", "tensor", "FloatTensor") else result
        if name == "pandas.get_dummies" and arguments:
            listed = next((self._names(one.value) for one in arguments if one.keyword == "columns"), None)
            if listed and table.of is not None and table.column is None:
                return self.with_table(result, table.but(frozenset[Column](listed)))
        if last in columns.KEEPS_COLUMNS or (last in columns.OF_ONE_COLUMN and table.column is not None):
            return result
        return self.with_table(result, table.lost)

    def _built(self, content: Value, result: Value) -> Value:
        """`pd.DataFrame({"a": ..., "b": ...})`: a table of these columns."""
        mapping = self.contents.mapping_of(content)
        if mapping is None or result.origin is None:
            return result
        table = Table(of=result.origin)
        for name, value in mapping.items:
            if isinstance(name, str):
                table = table.with_column(name, self.of(value))
        return self.with_table(result, table)

    def _of_list(self, arguments: Sequence[Argument], result: Value) -> Value:
        """`np.array(windows)`: rows that were collected in a list."""
        items = self.contents.items_of(arguments[0].value) if arguments else None
        found = (
            [one.data.table.follows for one in items.all if one.data is not None and one.data.table is not None] if items else []
        )
        timed = next((site for site in found if site is not None), None)
        return self.with_table(result, Table(timed=timed, whole=True)) if timed is not None else result

    # --- groups ---

    def _note_groups(self, table: Table, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """What a method says of rows that belong together."""
        if name in columns.COUNTS_REPEATED and isinstance(table.column, str) and _says_group(table.column):
            if not _is_compared(site):
                self._note_group(base, table.column, site)
        elif name in ("groupby", "drop_duplicates") or name == "set_index":
            first = next((one.value for one in arguments if one.keyword in (None, "by", "subset", "keys")), UNKNOWN)
            names = sorted(column for column in self._names(first) if _says_group(column))
            if names and name == "groupby" and (says_unit(names[0]) or _stays_row_by_row(site)):
                self._note_group(base, names[0], site)
            elif names and name == "drop_duplicates":
                self.one_of_each |= base.rows

    def _note_group(self, base: Value, column: str, site: Site) -> None:
        for row in base.rows:
            self.groups.setdefault(row, (column, site))

    def group_of(self, arrays: Sequence[Value]) -> tuple[str, Site] | None:
        """The column that says which of some rows belong together, where there may be several of each."""
        for value in arrays:
            data = value.data
            if data is None or data.condensed or data.one_row or not self.one_of_each.isdisjoint(data.rows):
                return None
            for row in sorted(data.rows & self.groups.keys(), key=id):
                return self.groups[row]
        return None

    # --- windows ---

    def _window(self, node: cst.Subscript, indices: Sequence[Value]) -> Site | None:
        """Where `series[i : i + n]` picks one of many windows that overlap: `i` counts up one by one."""
        first = node.slice[0].slice
        if not isinstance(first, cst.Slice) or first.lower is None or first.upper is None or first.step is not None:
            return None
        for plain, other in ((first.lower, first.upper), (first.upper, first.lower)):
            if isinstance(plain, cst.Name) and self._is_beside(other, plain.value) and self._counts(node, plain.value):
                return self.machine.site(node)
        return None

    def _is_beside(self, node: cst.BaseExpression, name: str) -> bool:
        """Whether an expression is a name plus or minus something; it may have got a name of its own before."""
        frame = self.machine.frame
        made = [node]
        if isinstance(node, cst.Name):
            scope = frame.function.node if frame.function is not None else frame.part.tree
            made = frame.part.names_in(scope).made.get(node.value, [])
        sums = [one for one in made if isinstance(one, cst.BinaryOperation) and isinstance(one.operator, cst.Add | cst.Subtract)]
        return any(_is_name(one.left, name) for one in sums)

    def _counts(self, node: cst.CSTNode, name: str) -> bool:
        """Whether a name counts up one by one in a loop or comprehension under way."""
        parents = self.machine.frame.part.parents
        here: cst.CSTNode | None = node
        while here is not None:
            clause = here.for_in if isinstance(here, cst.ListComp | cst.GeneratorExp) else here
            if isinstance(clause, cst.For | cst.CompFor) and _is_name(clause.target, name):
                over = clause.iter
                return isinstance(over, cst.Call) and _is_name(over.func, "range") and len(over.args) <= 2
            here = parents.get(here)
        return False

    # --- changes ---

    def stored(self, base: Value, target: cst.Subscript, names: frozenset[str] | None, value: Value) -> Value:
        """A table after `df["a"] = value`."""
        table, content = self.of(base), self.of(value)
        if table is None or isinstance(base.thing, Opaque):
            return base
        for column in names or (None,):
            self.lists.column_set(table, column, value)
        known = base.data is not None and base.data.table is not None
        says = content is not None and (content.future or content.follows or (content.column and content.of is table.of))
        predicted = value.marked is not None and value.marked.mark in OF_PREDICTIONS
        if not known and not says and not predicted:
            return base
        if names is None:  # a column of which the name is not known
            timed = content.follows if content is not None else None
            return self.with_table(base, replace(table, timed=table.timed or timed, whole=table.whole or timed is not None))
        for name in names:
            table = table.with_column(name, content)
            kept = frozenset(pair for pair in table.marks if pair[0] != name)
            table = replace(table, marks=kept | ({(name, value.marked)} if predicted else frozenset()))
        return self.with_table(base, table)


def _counted(table: Table, bounds: Sequence[object]) -> Table:
    """The columns of a slice by position: `:-1`, `1:`, `0:4`."""
    first, end, step = bounds
    if step is not None or not isinstance(first, int | None) or not isinstance(end, int | None):
        return table.lost
    if first in (None, 0) and end is None:
        return table
    if first in (None, 0) and end == -1:
        return table.but(frozenset[Column]({("#", -1)}))
    if isinstance(first, int) and first > 0 and end is None and first <= LAST_COUNTED:
        return table.but(frozenset[Column](("#", number) for number in range(first)))
    if isinstance(end, int) and (first or 0) >= 0 and 0 < end <= LAST_COUNTED:
        return table.to(frozenset[Column](("#", number) for number in range(first or 0, end)))
    return table.lost


def _says_rows(index: Value) -> bool:
    """Whether an index picks rows: a slice, a mask, or the numbers that a fold gives."""
    is_slice = _is_slice(index)
    is_mask = isinstance(index.thing, Opaque) and index.thing.cls == MASK
    return is_slice or is_mask or (index.data is not None and index.data.picks is not None)


def _is_slice(index: Value) -> bool:
    return isinstance(index.thing, Items) and index.thing.cls == "builtins.slice"


def _cuts(index: Value) -> bool:
    """Whether an index is a slice that leaves some out."""
    return isinstance(index.thing, Items) and _is_slice(index) and not all(bound.is_none for bound in index.thing.tail)


def _is_reversed(index: Value) -> bool:
    """`df[::-1]`"""
    return isinstance(index.thing, Items) and _is_slice(index) and index.thing.tail[-1].constant == -1


def _fills_backwards(arguments: Sequence[Argument]) -> bool:
    return any(one.keyword == "method" and one.value.constant in columns.FILLS_BACKWARDS for one in arguments)


def _says_group(column: str) -> bool:
    return says_unit(column) or says_party(column)


def _is_compared(site: Site) -> bool:
    """Whether a number of values is compared with another, such as that of all rows: there is one row of each."""
    parent = site.part.parents.get(site.node)
    return isinstance(parent, cst.Comparison | cst.ComparisonTarget)


def _stays_row_by_row(site: Site) -> bool:
    """Whether `table.groupby("a")...` gives a value for each row, and not one for each group."""
    node: cst.CSTNode | None = site.part.parents.get(site.node)
    while isinstance(node, cst.Attribute | cst.Subscript | cst.Call):
        if isinstance(node, cst.Attribute) and node.attr.value in columns.WITHIN_GROUPS:
            return True
        node = site.part.parents.get(node)
    return False


def _is_sort(site: Site) -> bool:
    node = site.node
    return isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "sort_values"


def _is_name(node: cst.CSTNode, name: str) -> bool:
    return isinstance(node, cst.Name) and node.value == name
