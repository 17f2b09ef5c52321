"""Arithmetic that amounts to a scaler fitted on its operand: `(X - X.mean()) / X.std()`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.indexing import MASK
from mldbg.lint.interpret.lineage import derived_data
from mldbg.lint.interpret.source_text import code, last_name
from mldbg.lint.interpret.value import Data, Fit, FitKind, Means, Opaque, Value, onward

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


_FILLS = frozenset({"fillna", "clip", "clip_lower", "clip_upper"})
_ASKS_FOR_GAPS = frozenset({"isnan", "isna", "isnull"})
_LOOKS_UP = frozenset({"map", "replace", "merge", "join"})
_OF_A_GROUP = frozenset({"mean", "median", "std", "var", "min", "max"})
_IN_ORDER = re.compile(r"shift|expanding|rolling|cumsum|cumcount|sum\(\)|sample|fold", re.IGNORECASE)
_TAKES_MEAN = re.compile(r"\b(?:mean|median|nanmean|average)\b")


def noted_statistic(name: str, base: Value, arguments: Sequence[Argument], result: Value, by: Ref) -> Value:
    """What a table becomes when a statistic of all its rows goes into it: gaps filled with a mean, means by group."""
    if name == "transform" and base.data is not None and base.data.one_row and base.data.column is not None:
        return _noted_group(base, base.data, arguments, result, by)
    rows = derived_data(base)
    if rows is None or rows.condensed or rows.one_row or result.data is None:
        return result
    for argument in arguments:
        statistic = argument.value.data
        if statistic is None or not statistic.condensed or not _is_of(replace(statistic, one_row=False), rows):
            continue
        if name in _FILLS | {"replace"} and not statistic.one_row:
            fit = _fit(FitKind.STATISTIC, statistic, base, by, f"`{name}` puts a statistic of all these rows into them")
            fit = replace(fit, estimator=f"`{name}`")
        elif name in _LOOKS_UP and statistic.one_row and statistic.column is not None:
            fit = _target(statistic, base, by)
        else:
            continue
        return replace(result, data=replace(result.data, fits=result.data.fits | {fit}), trail=fit.trail)
    return result


def noted_mask(base: Value, indices: Sequence[Value], value: Value, by: Ref) -> Value:
    """`X[np.isnan(X)] = np.nanmean(X)`: what is put into the rows that a mask picks."""
    statistic, rows = value.data, derived_data(base)
    masked = any(_is_mask(index) for index in indices[:1])
    if not masked or statistic is None or rows is None or not statistic.condensed or statistic.one_row:
        return value
    if rows.condensed or rows.one_row or not _is_of(statistic, rows):
        return value
    fit = _fit(FitKind.STATISTIC, statistic, base, by, "a statistic of all these rows is put into some of them")
    return replace(
        value, data=replace(statistic, fits=statistic.fits | {replace(fit, estimator="this filling")}), trail=fit.trail
    )


def _is_mask(index: Value) -> bool:
    if isinstance(index.thing, Opaque):
        return index.thing.cls == MASK
    node = index.origin.site.node if index.origin is not None and index.origin.site is not None else None
    return isinstance(node, cst.Call) and last_name(node.func) in _ASKS_FOR_GAPS


def noted_choice(values: Sequence[Value], result: Value, by: Ref) -> Value:
    """`np.where(np.isnan(x), np.nanmean(x), x)`"""
    for statistic in values:
        for rows in values:
            if statistic.data is None or not statistic.data.condensed or statistic.data.one_row or result.data is None:
                continue
            data = derived_data(rows)
            if data is None or data.condensed or data.one_row or not _is_of(statistic.data, data):
                continue
            fit = _fit(FitKind.STATISTIC, statistic.data, rows, by, "a statistic of all these rows is put into them")
            fit = replace(fit, estimator="`where`")
            return replace(result, data=replace(result.data, condensed=False, fits=result.data.fits | {fit}), trail=fit.trail)
    return result


def _noted_group(base: Value, grouped: Data, arguments: Sequence[Argument], result: Value, by: Ref) -> Value:
    """`table.groupby("city")["price"].transform("mean")`"""
    given = arguments[0] if arguments else None
    if given is None or result.data is None:
        return result
    text = code(given.node) if given.node is not None else ""
    plain = given.value.constant in _OF_A_GROUP or (_TAKES_MEAN.search(text) and not _IN_ORDER.search(text))
    if not plain:
        return result
    fit = _target(grouped, base, by)
    data = replace(result.data, one_row=False, column=None, fits=result.data.fits | {fit})
    return replace(result, data=data, trail=fit.trail)


def _target(statistic: Data, left: Value, by: Ref) -> Fit:
    fit = _fit(FitKind.TARGET, statistic, left, by, f"each category gets a statistic of `{statistic.column}`, of all these rows")
    return replace(fit, estimator=f"the encoding by `{statistic.column}`", column=statistic.column)


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
