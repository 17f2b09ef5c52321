"""Functions of the project that a table applies to its columns: `frame.apply(scaled)`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument, axis_of
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import Function, Lazy, Symbol, Value
from mldbg.operations import rows
from mldbg.operations.effect import Scales

_SCALES = re.compile(r"fit_transform\(|\.std\(|\.ptp\(|\.min\(|scale\(|zscore\(")
"""What stands in a function that scales what it is given."""


def applied(machine: Machine, base: Value, name: str, arguments: Sequence[Argument], site: Site) -> Value | None:
    """The result of applying a function to each column, where it may learn from it; None where it is not so."""
    if name not in ("apply", "pipe") or not arguments:
        return None
    function, data = arguments[0].value.thing, derived_data(base)
    if data is None or data.one_row or isinstance(base.thing, Lazy):
        return None
    if name != "pipe" and not rows.runs_over_rows(axis_of(arguments, 1, 0)):
        return None
    scales = isinstance(function, Symbol) and isinstance(machine.effect_of(function.name), Scales)
    if not scales and not (isinstance(function, Function) and _SCALES.search(code(function.node))):
        return None
    column = Value(data=data.without_names(), origin=machine.new_ref(site, Made.ELEMENT, "column"), trail=base.trail)
    return machine.call(arguments[0].value, [Argument(column)], site)
