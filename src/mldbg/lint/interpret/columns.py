"""Columns of tables, as far as they are known by name: which of them carry which fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.value import UNKNOWN, Constant, Data, Items, Object, Unknown, Value
from mldbg.lint.library.names import says_position
from mldbg.operations import rows

CHOOSES_COLUMNS = frozenset({"drop", "filter", "pop", "assign"})
"""Methods that take columns out of a table, or put some in."""

_BY_POSITION = frozenset({"loc", "iloc", "at", "iat", "values"})


class Columns:
    """Reads the names of columns off indices and arguments."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents

    def named(self, index: Value) -> frozenset[str] | None:
        """The columns that an index names: `"a"`, `["a", "b"]`; None where it does not say."""
        if isinstance(index.constant, str):
            return frozenset({index.constant})
        items = self.contents.items_of(index)
        if items is None or not items.exact or (isinstance(index.thing, Items) and index.thing.cls == "builtins.slice"):
            return None
        names = frozenset(item.constant for item in items.tail if isinstance(item.constant, str))
        return names if names and len(names) == len({item.thing for item in items.tail}) else None

    def replaced(self, target: cst.Subscript, indices: list[Value]) -> frozenset[str] | None:
        """The columns that an assignment gives new content, all rows of them: `df["a"] = ...`, `df.loc[:, ["a", "b"]] = ...`."""
        by_position = isinstance(target.value, cst.Attribute) and target.value.attr.value in _BY_POSITION
        if len(indices) != 1 or by_position is not (len(target.slice) == 2):
            return None
        return self.named(indices[0])

    def chosen(self, base: Value, method: str, arguments: Sequence[Argument]) -> Data | None:
        """Lineage of `df.drop(columns="a")`, `df.filter(["a"])`, `df.pop("a")`, `df.assign(a=...)`; None: as of any method."""
        data = derived_data(base)
        if data is None or method not in CHOOSES_COLUMNS:
            return None
        if method == "assign":
            for argument in arguments:
                if argument.keyword is not None:
                    data = data.with_column_set(frozenset({argument.keyword}), argument.value.fits)
            return data
        names = self._named_by(arguments)
        if names is None or not data.columns:
            return None
        return data.without_columns(names) if method == "drop" else data.of_columns(names)

    def left(self, base: Value, method: str, arguments: Sequence[Argument]) -> Data | None:
        """Lineage of what a method in place leaves of a table: `df.pop("a")`, `df.drop(columns="a", inplace=True)`."""
        in_place = any(argument.keyword == "inplace" and argument.value.constant is True for argument in arguments)
        if base.data is None or not base.data.columns or not (method == "pop" or (method == "drop" and in_place)):
            return None
        names = self._named_by(arguments)
        return base.data.without_columns(names) if names is not None else None

    def _named_by(self, arguments: Sequence[Argument]) -> frozenset[str] | None:
        given = {argument.keyword: argument.value for argument in arguments if argument.keyword is not None}
        first = arguments[0].value if arguments and arguments[0].keyword is None else UNKNOWN
        return self.named(next((given[key] for key in ("columns", "items", "labels", "item") if key in given), first))


def of_attribute(data: Data | None, name: str) -> Data | None:
    """Lineage of `df.a`: of a table with known columns it is that one, unless the name means something else."""
    if data is None or name in rows.FRAME_ATTRIBUTES:
        return data
    data = replace(data, column=name)
    return data.of_columns(frozenset({name})) if data.columns else data


def picks_one(index: Value, node: cst.CSTNode) -> bool:
    """Whether an index picks one row among many: `X[3]`, `X[i]`, but neither `frame["age"]` nor `frame[column]`."""
    if isinstance(index.thing, Constant):
        return isinstance(index.constant, int)
    inner = node.slice[0].slice if isinstance(node, cst.Subscript) else None
    named = inner.value if isinstance(inner, cst.Index) else None
    return isinstance(named, cst.Name) and says_position(named.value) and isinstance(index.thing, Unknown | Object)
