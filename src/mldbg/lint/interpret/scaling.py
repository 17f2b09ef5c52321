"""Arithmetic that amounts to a scaler fitted on its operand: `(X - X.mean()) / X.std()`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.value import Data, Fit, FitKind, Means, Value, onward

SCALING = "this scaling"
"""What such a fit is called where an estimator has its name."""

_SUBTRACTIONS = (cst.Subtract, cst.SubtractAssign)
_DIVISIONS = (cst.Divide, cst.DivideAssign)
_METHODS: dict[str, type[cst.BaseBinaryOp]] = {
    "sub": cst.Subtract,
    "subtract": cst.Subtract,
    "div": cst.Divide,
    "divide": cst.Divide,
    "truediv": cst.Divide,
}


def noted(operator: cst.CSTNode | type[cst.CSTNode], left: Value, right: Value, result: Value, by: Ref) -> Value:
    """The result of arithmetic, with the fit that it amounts to.

    Subtracting a mean is half of it; what is divided by another statistic of the same rows afterwards has been scaled.
    `by`: the identity of the result, whose place is that of the arithmetic.
    """
    statistic = right.data
    if statistic is None or not statistic.condensed or result.data is None:
        return result
    rows = derived_data(left)
    if rows is None or rows.condensed or rows.one_row or not _is_of(statistic, rows):
        return result
    kind = operator if isinstance(operator, type) else type(operator)
    if issubclass(kind, _SUBTRACTIONS):
        fit = _fit(FitKind.CENTRING, statistic, left, by, "a statistic of these rows is subtracted from them")
    elif issubclass(kind, _DIVISIONS) and _is_centred(rows, statistic):
        fit = _fit(FitKind.TRANSFORM, statistic, left, by, "they are divided by a statistic of theirs")
    else:
        return result
    return replace(result, data=replace(result.data, fits=result.data.fits | {fit}), trail=fit.trail)


def noted_method(name: str, base: Value, arguments: Sequence[Argument], result: Value, by: Ref) -> Value:
    """The same of `X.sub(X.mean())` and `X.div(X.std())`."""
    operator = _METHODS.get(name)
    return noted(operator, base, arguments[0].value, result, by) if operator is not None and arguments else result


def _is_of(statistic: Data, rows: Data) -> bool:
    """Whether a statistic was taken of all these rows: of just them, of those that they come from, or of others as well."""
    if not statistic.rows or statistic.role not in (None, rows.role):
        return False
    others = statistic.rows - rows.rows
    return not others or (rows.rows <= statistic.rows and all(row.kind is not Made.ROWS for row in others))


def _is_centred(rows: Data, statistic: Data) -> bool:
    return any(fit.kind is FitKind.CENTRING and fit.rows == statistic.rows and fit.role is statistic.role for fit in rows.fits)


def _fit(kind: FitKind, statistic: Data, left: Value, by: Ref, step: str) -> Fit:
    assert by.site is not None
    trail = onward(left.trail if left.fits else None, by.site, step)
    return Fit(kind, SCALING, by.site, statistic.rows, statistic.role, by, trail, Means.ARITHMETIC, statistic.split)
