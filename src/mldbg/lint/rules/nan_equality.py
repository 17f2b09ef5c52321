from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes, reading
from mldbg.lint.finding import Finding, Fix, Group
from mldbg.lint.interpret.facts import Place, Written
from mldbg.lint.rule import Rule, Topic, reads
from mldbg.operations.python import HAVE_NAN, NOT_A_NUMBER

if TYPE_CHECKING:
    import libcst as cst

_MODULES = ("", "np.", "numpy.", "math.", "torch.", "pd.", "jnp.", "cp.")
_BEHIND = "|".join(rf"(?<=[!=]={space}{module}...)" for module in map(re.escape, _MODULES) for space in ("", " "))
_WHERE = (
    rf"[nN][aA][NnT]\b(?:\s*[!=]=|{_BEHIND}"
    r"|.\)(?:\s*[!=]=|(?<=[!=]=float\(.{5}\))|(?<=[!=]= float\(.{5}\))))"
)
"""What begins with the three letters is found four times as fast as what begins with a sign; `.{5}` is "nan" in quotes."""


class NanEquality(Rule):
    """a comparison with NaN is False whatever the value, and `!=` is True

    ## Why
    NaN is not equal to anything, itself included. `x == np.nan` finds no missing value, `x != np.nan` keeps them all: rows are
    not dropped, gaps are not filled, a training that diverged goes on.

    ## Bad
        import numpy as np

        def without_gaps(values):
            return values[values != np.nan]

    ## Good
        import numpy as np

        def without_gaps(values):
            return values[~np.isnan(values)]

    ## Limits
    Silent where both sides are NaN, which shows what NaN is, and where the same test asks the right way, too. The fix takes the
    test of the library that NaN comes from, and pandas' where the file imports it, which takes text and dates as well.
    """

    group = Group.CORRECTNESS
    topic = Topic.OTHER
    listens_to = reads("Comparison", where=_WHERE)

    def on_written(self, written: Written) -> Iterator[Finding]:
        site = written.place.site
        compared = reading.equation(site.node)
        if compared is None:
            return
        left, operator, right = compared
        nan, other = (right, left) if _is_nan(written.place, right) else (left, right)
        if not _is_nan(written.place, nan) or _is_nan(written.place, other) or _is_asked_rightly(written.place, other):
            return
        always = "False" if operator == "==" else "True"
        yield self.found(
            site,
            f"`{nodes.code(site.node)}` is {always} whatever is compared: NaN is not equal to anything",
            hint="ask with isnan, or isna of pandas",
            last=(site, "compared with NaN"),
            fix=_fix(written.place, operator, nan, other),
        )


def _is_nan(place: Place, node: cst.BaseExpression) -> bool:
    if nodes.is_call(node):
        return nodes.code(node).replace(" ", "").lower() in ("float('nan')", 'float("nan")')
    return reading.qualified(place.site.part, node) in NOT_A_NUMBER


def _is_asked_rightly(place: Place, other: cst.BaseExpression) -> bool:
    """Whether the condition around asks of the same value with isnan or isna, too."""
    around = reading.outermost_condition(place.site)
    if around is None:
        return False
    text = nodes.code(other)
    return any(f"{name}({text})" in nodes.code(around) for name in ("isnan", "isna", "isnull")) or any(
        f"{text}.{name}()" in nodes.code(around) for name in ("isnan", "isna", "isnull")
    )


def _fix(place: Place, operator: str, nan: cst.BaseExpression, other: cst.BaseExpression) -> Fix | None:
    part = place.site.part
    name = reading.qualified(part, nan) or ""
    pandas = next((alias for alias, what in part.module.outline.imports.items() if what.module == "pandas" and not what.name), "")
    tested = nodes.code(other)
    if pandas:
        return edit.safe(edit.replaced(part, place.site.node, f"{pandas}.{'isna' if operator == '==' else 'notna'}({tested})"))
    if name.rpartition(".")[0] not in HAVE_NAN or "." not in nodes.code(nan):
        return None
    call = f"{nodes.code(nan).rpartition('.')[0]}.isnan({tested})"
    if operator == "==":
        return edit.safe(edit.replaced(part, place.site.node, call))
    return edit.safe(edit.replaced(part, place.site.node, f"(not {call})" if name.startswith("math.") else f"~{call}"))
