from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded

CUTS = 12
"""Times at which the future is taken away."""

MOST_SECONDS = 5.0
"""Of a slow pipeline fewer times are looked at."""

FEWEST_ROWS = 20
"""Fewer leave no room for windows."""

ROUNDING = 1e-9
"""Of a column's largest value: what running sums may differ by, in float64."""

LOCAL = 0.5
"""Share of the earlier rows up to which a change is local: the pipeline looks some rows ahead."""

Pipeline = Callable[[Any], Any]


class PrefixInvariance(Check):
    """preprocessing of the past does not depend on the future

    ## Why
    A centred window, a backward fill, a mean over the whole table, a difference in the wrong direction: each carries
    tomorrow into today's row. In evaluation the model is a prophet; in production it is not.

    ## Measures
    Exactly: `pipeline(table[:t])` must be the first t rows of `pipeline(table)`, for twelve random times t; and these rows
    must stay when everything from t on is replaced by values a thousand ranges away (a plain NaN is swallowed by many
    aggregates). Tolerance: 1e-9 of a column's largest value (1e-4 in float32), for running sums. How far back from t rows
    change distinguishes a local look-ahead from a fit on everything. For a method of a scikit-learn `Pipeline`
    (`fit_transform`) the first offending step is named.

    ## Causes
    - `looks-ahead`: rows shortly before t change with what comes after.
    - `fit-before-split`: most earlier rows change: a statistic of the whole table is in them.

    ## Limits
    Cannot judge pipelines that draw random numbers. Returned tables are compared row by row: by their index, where they have
    one.
    """

    id = "A9"
    stage = Stage.APPARATUS
    kind = Kind.EXACT
    needs = ("pipeline", "frame")
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        pipeline, factory = bench.experiment.pipeline, bench.experiment.frame
        assert pipeline is not None
        assert factory is not None
        frame: Any = _called("frame()", factory, bench)
        size = len(frame) if hasattr(frame, "__len__") else 0
        if size < FEWEST_ROWS:
            return self.skipped(f"needs a table of at least {FEWEST_ROWS} rows", "use a longer frame")
        whole = _result(pipeline, frame, bench, 0)
        if _differs(whole, _result(pipeline, frame, bench, 1), size).any():
            return self.cannot_tell(
                "the pipeline returns different results for different seeds: it draws random numbers",
                "provide it without augmentation or noise",
            )
        rng = bench.rng("prefix-invariance")
        cuts = sorted(rng.choice(np.arange(size // 2, size - 1), min(CUTS, size - 1 - size // 2), replace=False).tolist())
        changes = []
        begun = time.monotonic()
        for cut in rng.permutation(cuts).tolist():
            changes.append((cut, _changed(pipeline, frame, whole, cut, bench)))
            if time.monotonic() - begun > MOST_SECONDS:
                break
        cut, changed = max(changes, key=lambda each: float(each[1].mean()))
        rows = np.flatnonzero(changed.any(axis=1))
        share = len(rows) / cut
        stages = _stages(pipeline)
        first = _first_stage(stages, frame, cut, bench) if len(rows) and stages else None
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Earlier rows that change when the future does",
                lambda canvas: _drawn(canvas, changed, whole.names, cut),
                f"Red: the value changes when the rows from {cut} on are removed or replaced. Nothing should be red.",
            ),
            "statistic": share,
            "null": "0: no row before t depends on rows from t on",
            "threshold": 0.0,
            "cuts": sorted(cut for cut, _ in changes),
            "columns": [whole.names[place] for place in np.flatnonzero(changed.any(axis=0))],
        }
        if not len(rows):
            return self.passed(
                f"for {len(changes)} cut points t, the first t rows do not change with what comes after", **numbers
            )
        columns = ", ".join(numbers["columns"][:4])
        where = f" (first after the step {first!r})" if first else ""
        if share > LOCAL:
            return self.failed(
                "fit-before-split",
                f"{len(rows)} of {cut} earlier rows change with what comes later, in {columns}{where}",
                "fit on the past only: fit once on the training data, or use expanding statistics",
                **numbers,
            )
        return self.failed(
            "looks-ahead",
            f"the last {cut - int(rows.min())} rows before t change with what comes later, in {columns}{where}",
            "look for centred windows, backward fills, negative shifts, interpolation",
            **numbers,
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What a pipeline returned: values of shape (rows, columns), the position of each row in the input, names of columns."""

    values: NDArray[Any]
    rows: NDArray[np.int_]
    names: list[str]


def _called(name: str, function: Callable[[], Any], bench: Bench, seed: int = 0) -> Any:
    bench.tick()
    with seeded(bench.experiment.seed + seed):
        try:
            return function()
        except Exception as error:
            raise ExperimentError(f"{name} raised {type(error).__name__}: {(str(error).splitlines() or [''])[0]}") from error


def _result(pipeline: Pipeline, frame: Any, bench: Bench, seed: int = 0) -> Result:
    given = frame.copy() if hasattr(frame, "copy") else frame.clone()
    made = _called("pipeline(table)", lambda: pipeline(given), bench, seed)
    made = made.toarray() if hasattr(made, "toarray") else made  # a sparse matrix
    made = made.detach().cpu().numpy() if hasattr(made, "detach") else made
    values = made.to_numpy() if hasattr(made, "to_numpy") else np.asarray(made)
    if not values.ndim:
        raise ExperimentError(f"pipeline(table) returned a {type(made).__name__}, not a table")
    values = values.reshape(len(values), -1)
    names = [str(each) for each in getattr(made, "columns", [f"column {index}" for index in range(values.shape[1])])]
    before, after = getattr(frame, "index", None), getattr(made, "index", None)
    if before is not None and after is not None and not callable(before) and before.is_unique:
        return Result(values, np.asarray(before.get_indexer(after)), names)
    if len(values) != len(frame):
        raise ExperimentError(
            f"pipeline(table) returned {len(values)} rows for {len(frame)}; return one that keeps the rows or an index"
        )
    return Result(values, np.arange(len(values)), names)


def _differs(one: Result, other: Result, cut: int) -> NDArray[np.bool_]:
    """Which values of the first `cut` rows of the input differ, shape (cut, columns); a row that only one has differs."""
    columns = max(one.values.shape[1], other.values.shape[1])
    bad = np.zeros((cut, columns), dtype=bool)
    if one.values.shape[1] != other.values.shape[1]:
        bad[:] = True
        return bad
    places = [{int(row): place for place, row in enumerate(each.rows) if 0 <= row < cut} for each in (one, other)]
    shared = sorted(places[0].keys() & places[1].keys())
    bad[sorted(places[0].keys() ^ places[1].keys())] = True
    first = one.values[[places[0][row] for row in shared]]
    second = other.values[[places[1][row] for row in shared]]
    for column in range(columns):
        bad[shared, column] = _unequal(first[:, column], second[:, column])
    return bad


def _unequal(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.bool_]:
    try:
        a, b = one.astype(np.float64), other.astype(np.float64)
    except (TypeError, ValueError):
        return np.array([x is not y and str(x) != str(y) for x, y in zip(one, other, strict=True)], dtype=bool)
    single = np.dtype(one.dtype).itemsize < 8
    finite = np.abs(a[np.isfinite(a)])
    tolerance = (1e-4 if single else ROUNDING) * (float(finite.max()) if finite.size else 0.0)
    with np.errstate(invalid="ignore"):
        near = (np.abs(a - b) <= tolerance) | (a == b) | (np.isnan(a) & np.isnan(b))
    return np.asarray(~near)


def _changed(pipeline: Pipeline, frame: Any, whole: Result, cut: int, bench: Bench) -> NDArray[np.bool_]:
    """Which values before `cut` depend on what comes after."""
    changed = _differs(whole, _result(pipeline, _head(frame, cut), bench), cut)
    try:
        changed = changed | _differs(whole, _result(pipeline, _poisoned(frame, cut), bench), cut)
    except ExperimentError:
        bench.tick()  # the pipeline refuses such values; the prefix has been compared all the same
    return changed


def _head(frame: Any, cut: int) -> Any:
    return frame.iloc[:cut] if hasattr(frame, "iloc") else frame[:cut]


def _poisoned(frame: Any, cut: int) -> Any:
    """The same table with numbers from `cut` on moved up by a thousand ranges of their column."""
    if not hasattr(frame, "iloc"):
        changed = frame.clone() if hasattr(frame, "clone") else np.array(frame, copy=True)
        if changed.dtype.__str__().startswith(("float", "torch.float")):
            changed[cut:] += 1000 * (float(np.nanmax(np.asarray(frame))) - float(np.nanmin(np.asarray(frame))) + 1)
        return changed
    changed = frame.copy()
    for place, kind in enumerate(frame.dtypes):
        if getattr(kind, "kind", "") == "f":
            column = frame.iloc[:, place]
            changed.iloc[cut:, place] = column.iloc[cut:] + 1000 * (column.max() - column.min() + 1)
    return changed


def _stages(pipeline: Pipeline) -> list[tuple[str, Pipeline]]:
    """Of a method of an object with `steps` and slices (a scikit-learn Pipeline): that method of its first 1, 2, ... steps."""
    owner, name = getattr(pipeline, "__self__", None), getattr(pipeline, "__name__", "")
    steps = getattr(owner, "steps", None)
    if owner is None or not isinstance(steps, list) or not name.startswith("fit"):
        return []
    return [(str(steps[count][0]), getattr(owner[: count + 1], name)) for count in range(len(steps))]


def _first_stage(stages: list[tuple[str, Pipeline]], frame: Any, cut: int, bench: Bench) -> str | None:
    for name, stage in stages:
        try:
            if _changed(stage, frame, _result(stage, frame, bench), cut, bench).any():
                return name
        except ExperimentError:
            bench.tick()  # a step that does not stand alone
    return None


def _drawn(canvas: Canvas, changed: NDArray[np.bool_], names: list[str], cut: int) -> None:
    from matplotlib.colors import ListedColormap

    shown = changed[:, :24].T
    ax = draw.axes(canvas, "row before t [rows after t]", "")
    ax.imshow(
        shown, aspect="auto", cmap=ListedColormap(["#dddddd", draw.BAD]), vmin=0, vmax=1, extent=(-cut, 0, len(shown) - 0.5, -0.5)
    )
    ax.set_yticks(range(len(shown)), [name[:20] for name in names[:24]])
