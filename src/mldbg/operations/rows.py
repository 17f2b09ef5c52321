"""Which rows the result of an operation holds, apart from those that it was computed with.

Names are those that numpy, pandas, torch and scipy share, as functions or as methods; only where a name means the same in all.
"""

from __future__ import annotations

_AXIS_FIRST = (
    "mean nanmean average median nanmedian std nanstd var nanvar min max amin amax nanmin nanmax prod skew kurt kurtosis sem mad "
    "argmin argmax idxmin idxmax all any nansum logsumexp"
)

CONDENSING: dict[str, int] = {
    **dict.fromkeys(_AXIS_FIRST.split(), 1),
    **dict.fromkeys(("quantile", "nanquantile", "percentile", "nanpercentile", "norm", "agg", "aggregate"), 2),
    **dict.fromkeys(("unique", "mode", "cov", "corr", "corrcoef", "nlargest", "nsmallest"), 9),
}
"""Operations that make one number, or one row, of all rows. The value is the axis argument's position, the array being 0."""

WINDOWS: frozenset[str] = frozenset({"rolling", "expanding", "ewm"})
"""Methods after which a condensing operation gives a result for every row."""

OF_THE_FIRST: frozenset[str] = frozenset(
    ["map", "replace", "fillna", "reindex", "reindex_like", "clip", "isin", "in1d"]
) | frozenset(["interp", "digitize", "cut", "dot", "matmul", "mm", "cdist"])
"""Operations that look something up for each row of the array (or receiver); their other arguments are only parameters."""


def runs_over_rows(axis: object) -> bool:
    """Whether a reduction along this axis (None: along all) leaves no rows."""
    if isinstance(axis, tuple | list):
        return 0 in axis
    return axis is None or (axis == 0 and not isinstance(axis, bool)) or axis in ("index", "rows")
