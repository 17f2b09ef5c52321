"""What operations on tables make of their columns, and what they say of the order of the rows."""

from __future__ import annotations

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KEEPS_COLUMNS: frozenset[str] = _words(
    "copy values to_numpy array asarray head tail sample dropna fillna reset_index astype drop_duplicates sort_values sort_index "
    "replace clip abs query interpolate ffill bfill pad backfill round asfreq infer_objects convert_dtypes deepcopy DataFrame "
    "to_pandas where mask nan_to_num float64 float32 shuffle fit_transform transform tail truncate loc iloc set_axis"
)
"""Functions and methods that leave the columns of a table what they are."""

OF_ONE_COLUMN: frozenset[str] = _words(
    "map apply to_list tolist ravel reshape flatten squeeze log log1p sqrt exp list array asarray Series to_frame factorize cut "
    "qcut to_categorical label_binarize get_dummies codes cat int64 eq ne gt ge lt le mul div"
)
"""Those that compute a value from each value of a column by itself: what comes out says the same as the column."""

PUTS_TOGETHER: frozenset[str] = _words(
    "concat merge join append hstack vstack column_stack concatenate stack DataFrame c_ r_ combine_first"
)
"""Those that put columns or rows beside others: what holds of one of them does not hold of all."""

CHANGES_A_LIST: frozenset[str] = _words("append extend insert pop clear update add discard")
"""Methods that change which names a list of columns holds, in a way that is not followed."""

LISTS_ANEW: frozenset[str] = _words("tolist to_list copy unique sort_values")
"""Those that make another list of the same names."""

LISTS_OTHERS: frozenset[str] = _words("drop difference")
"""Those that make one without some of the names."""

GIVES_NUMBERS: re.Pattern[str] = re.compile(
    r"""\.(?:map|replace)\(\{\s*[^:{}]+:\s*-?\d[^{}]*\}\)$"""
    r"""|\.astype\(\s*["']?(?:np\.)?(?:int|float)\w*["']?\s*\)$"""
    r"""|^(?:pd|pandas)\.to_numeric\([^()]*\)$"""
)
"""Source of calls that make a column of numbers."""

NUMBERS_ONLY: re.Pattern[str] = re.compile(r"""^(?:include ?= ?)?\[?\s*(?:["']number["']|(?:np|numpy)\.number)\s*\]?$""")
"""The argument of `select_dtypes` that picks all columns of numbers."""

DROPS: frozenset[str] = _words("drop pop")

FOLLOWS_TIME: dict[str, str] = {
    "shift": "each row holds a value of an earlier one",
    "rolling": "each row holds a statistic of the rows before",
    "expanding": "each row holds a statistic of all rows before",
    "ewm": "each row holds a mean of the rows before",
    "pct_change": "each row holds the change since an earlier one",
    "diff": "each row holds the difference from an earlier one",
    "asfreq": "the rows are given a frequency",
    "resample": "the rows are put together by time",
    "download": "the rows are a series of prices",
    "sort_values": "the rows are sorted by time",
    "sliding_window_view": "the rows are overlapping windows of a series",
}
"""Methods after which it is certain that the rows of a table follow one another in time."""

SERIES: frozenset[str] = frozenset({"yfinance.download", "pandas_datareader.data.DataReader", "pandas_datareader.DataReader"})
"""Functions that give a series of prices."""

FILLS_BACKWARDS: frozenset[str] = _words("bfill backfill")
"""Methods, and values of `method=`, that put the value of a later row where one is missing."""

ONE_ROW_EACH: frozenset[str] = _words("drop_duplicates first last nth agg aggregate")
"""Methods that leave other rows: the order in which they were before may only have said which of them are kept."""

COUNTS_REPEATED: frozenset[str] = _words("nunique value_counts duplicated unique cumcount ngroup")
"""Methods that one asks of a column whose values are repeated."""

WITHIN_GROUPS: frozenset[str] = _words(
    "transform shift cumcount rolling cumsum rank diff ngroup expanding ffill bfill pct_change cummax ewm"
)
"""Methods of a grouped table that give a value for each of its rows."""

RANDOM_SPLITTERS: frozenset[str] = _words("ShuffleSplit StratifiedShuffleSplit RepeatedKFold RepeatedStratifiedKFold")
SHUFFLING_SPLITTERS: frozenset[str] = _words("KFold StratifiedKFold")
"""Splitters that shuffle where they are told to."""
