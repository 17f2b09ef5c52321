"""Where tables come from, and what keeps their shape: pandas and scikit-learn."""

from __future__ import annotations

from mldbg.operations.shape import Shape, Tensor

READS_TABLE: frozenset[str] = frozenset(
    f"pandas.{name}"
    for name in (
        *("read_csv", "read_parquet", "read_excel", "read_table", "read_feather", "read_json", "read_pickle", "read_sql"),
        *("DataFrame", "get_dummies"),
    )
)
"""Functions whose result is a table with rows and columns."""

KEEPS_TABLE: frozenset[str] = frozenset(
    {
        "head",
        "tail",
        "sample",
        "dropna",
        "fillna",
        "reset_index",
        "astype",
        "drop",
        "drop_duplicates",
        "sort_values",
        "sort_index",
    }
    | {"rename", "replace", "clip", "abs", "query", "filter", "interpolate", "ffill", "bfill", "round", "set_index", "assign"}
)
"""Methods of a table, or a column of one, that give a table or a column."""

CONDENSES_TABLE: frozenset[str] = frozenset({"mean", "std", "var", "min", "max", "sum", "median", "nunique", "count"})
"""Methods that leave one number of each column."""

SCALES_COLUMNS: frozenset[str] = frozenset(
    f"sklearn.{name}"
    for name in (
        *("preprocessing.StandardScaler", "preprocessing.MinMaxScaler", "preprocessing.RobustScaler"),
        *("preprocessing.MaxAbsScaler", "preprocessing.Normalizer", "preprocessing.PowerTransformer"),
        *("preprocessing.QuantileTransformer", "impute.SimpleImputer"),
    )
)
"""Classes that give each column back as one column, as floats."""

ENCODES_LABELS: frozenset[str] = frozenset({"sklearn.preprocessing.LabelEncoder"})


def _pair(rows: int, columns: int, target: str) -> tuple[Tensor, Tensor]:
    return Tensor(Shape((rows, columns)), "float64"), Tensor(Shape((rows,)), target)


BUNCHES: dict[str, tuple[Tensor, Tensor]] = {
    f"sklearn.datasets.{name}": _pair(rows, columns, target)
    for name, rows, columns, target in (
        ("load_iris", 150, 4, "int64"),
        ("load_wine", 178, 13, "int64"),
        ("load_breast_cancer", 569, 30, "int64"),
        ("load_digits", 1797, 64, "int64"),
        ("load_diabetes", 442, 10, "float64"),
        ("fetch_california_housing", 20640, 8, "float64"),
    )
}
"""Data sets that scikit-learn loads: features and targets. Source: its documentation, "Toy datasets"."""
