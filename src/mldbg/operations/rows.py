"""Which rows the result of an operation holds, apart from those that it was computed with.

Names are those that numpy, pandas, torch and scipy share, as functions or as methods; only where a name means the same in all.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_AXIS_FIRST = _words(
    "mean nanmean average median nanmedian std nanstd var nanvar min max amin amax nanmin nanmax prod skew kurt kurtosis sem mad "
    "argmin argmax idxmin idxmax all any nansum logsumexp"
)

CONDENSING: dict[str, int] = {
    **dict.fromkeys(_AXIS_FIRST, 1),
    **dict.fromkeys(("quantile", "nanquantile", "percentile", "nanpercentile", "norm", "agg", "aggregate"), 2),
    **dict.fromkeys(("unique", "mode", "cov", "corr", "corrcoef"), 9),
}
"""Operations that make one number, or one row, of all rows. The value is the axis argument's position, the array being 0."""

WINDOWS: frozenset[str] = frozenset({"rolling", "expanding", "ewm"})
"""Methods after which a condensing operation gives a result for every row."""

OF_THE_FIRST: frozenset[str] = _words(
    "map replace fillna reindex reindex_like clip isin in1d interp digitize cut dot matmul mm cdist"
)
"""Operations that look something up for each row of the array (or receiver); their other arguments are only parameters."""


KEEPING_COLUMN_NAMES: frozenset[str] = _words(
    "copy dropna fillna ffill bfill interpolate sample reset_index set_index sort_values sort_index astype head tail query "
    "concat append merge join reindex reindex_like replace clip drop drop_duplicates filter assign groupby select_dtypes "
    "round where mask infer_objects convert_dtypes nlargest nsmallest truncate pipe resample rolling between_time isin"
)
"""Operations on tables after which the columns that there are still have the names that they had."""

FRAME_ATTRIBUTES: frozenset[str] = frozenset(["values", "T", "loc", "iloc", "at", "iat", "array", "data", "A", "real", "attrs"])
"""Attributes of a table that give more than one column."""


def runs_over_rows(axis: object) -> bool:
    """Whether a reduction along this axis (None: along all) leaves no rows."""
    if isinstance(axis, tuple | list):
        return 0 in axis
    return axis is None or (axis == 0 and not isinstance(axis, bool)) or axis in ("index", "rows")


RETURNS_ANOTHER_TABLE: frozenset[str] = frozenset(
    {"drop", "dropna", "fillna", "reset_index", "set_index", "sort_values", "sort_index", "drop_duplicates", "astype", "rename"}
    | {"replace", "interpolate", "ffill", "bfill", "clip", "assign", "reindex", "fill_null", "drop_nulls", "with_columns"}
)
"""Methods of tables and their columns that leave the table as it is, unless `inplace` is given."""
