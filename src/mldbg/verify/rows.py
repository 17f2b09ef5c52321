"""A batch or a pair of arrays as a table: one vector a row, one number a target; and what cheap models can do with it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mldbg.verify.bench import Bench, OutOfTimeError, tensors_in
from mldbg.verify.experiment import ExperimentError

Floats = NDArray[np.float64]
Places = NDArray[np.int_]

MOST_COLUMNS = 1024
"""Wider rows are averaged over neighbouring columns."""

MOST_CLASSES = 0.2
"""Whole numbers are class ids where there are at most so many different ones per row (and at least two)."""

WORD_BINS = 256
"""Token ids are counted in so many bins."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of inputs with their targets.

    Attributes:
        x: shape (rows, columns); finite.
        y: shape (rows,): class numbers 0 .. K - 1, or values.
        classes: K, or None where the targets are values.
        source: where it is from: "train", "test", "batch" or "loader".
    """

    x: Floats
    y: NDArray[Any]
    classes: int | None
    source: str

    def __len__(self) -> int:
        return len(self.x)


def batches(bench: Bench) -> Iterator[Any]:
    """The loader's batches. Raises ExperimentError where it fails on the way."""
    try:
        yield from bench.loader()
    except (ExperimentError, OutOfTimeError):
        raise
    except Exception as error:
        raise ExperimentError(f"the loader raised {type(error).__name__} while iterating: {error}") from error


def groups(bench: Bench) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """The group of each row of train and of test. Raises ExperimentError for anything but a pair."""
    factory = bench.experiment.groups
    if factory is None:
        return None
    given: Any = bench.once("groups", factory)
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ExperimentError("groups() must return a pair: the groups of the rows of train and of test")
    return np.asarray(given[0]).ravel(), np.asarray(given[1]).ravel()


def has_numbers(inputs: Any) -> bool:
    """Whether the inputs hold measurements (floating point) and not only token ids."""
    return any(each.is_floating_point() for each in tensors_in(inputs))


def vectors(inputs: Any) -> Floats | None:
    """The inputs of a batch as an array of shape (rows, columns); token ids become counts. None where there is no batch axis."""
    tensors = [each.detach().cpu() for each in tensors_in(inputs) if each.ndim]
    if not tensors:
        return None
    numbers = [each for each in tensors if each.is_floating_point() and each.shape[0] == tensors[0].shape[0]]
    if numbers:
        parts = [each.reshape(each.shape[0], -1).double().numpy() for each in numbers]
        return _narrowed(np.concatenate(parts, axis=1))
    ids = tensors[0].reshape(tensors[0].shape[0], -1).numpy().astype(np.int64) % WORD_BINS
    return np.stack([np.bincount(row, minlength=WORD_BINS) for row in ids]).astype(np.float64)


def _narrowed(x: Floats) -> Floats:
    if x.shape[1] <= MOST_COLUMNS:
        return x
    pieces = np.array_split(np.arange(x.shape[1]), MOST_COLUMNS)
    return np.stack([x[:, piece].mean(axis=1) for piece in pieces], axis=1)


def targets_of(targets: Any) -> tuple[NDArray[Any], int | None] | None:
    """One number a row: `(y, K)` for class ids, `(y, None)` for values; None for anything else."""
    y = targets.detach().cpu().numpy() if isinstance(targets, Tensor) else np.asarray(targets)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or len(y) < 2:
        return None
    if y.dtype.kind in "fc" and not np.isfinite(y).all():
        return None
    found, coded = np.unique(y, return_inverse=True)
    few = 2 <= len(found) <= max(2, MOST_CLASSES * len(y))
    whole = y.dtype.kind not in "fc" or bool((y == np.round(y)).all())
    if y.dtype.kind not in "fciub":
        return (coded, len(found)) if few else None
    if whole and few and (y.dtype.kind != "f" or len(found) == 2):
        return coded, len(found)
    return (y.astype(np.float64), None) if len(found) > 1 else None


def of_batch(inputs: Any, targets: Any, source: str) -> Table | None:
    """The table of one batch; None where rows are no vectors or targets no numbers."""
    x, y = vectors(inputs), targets_of(targets)
    if x is None or y is None or len(x) != len(y[0]):
        return None
    return _finite(x, y, source)


def of_arrays(bench: Bench, part: str) -> Table | None:
    """The table of the part "train" or "test"; None where it is not given or targets are no numbers."""
    if getattr(bench.experiment, part) is None:
        return None
    x, targets = bench.arrays(part)
    y = targets_of(targets)
    return None if y is None else _finite(x, y, part)


def _finite(x: Floats, y: tuple[NDArray[Any], int | None], source: str) -> Table | None:
    good = np.isfinite(x).all(axis=1)
    return Table(x[good], y[0][good], y[1], source) if good.any() else None


def thinned(table: Table, most: int, rng: np.random.Generator) -> Table:
    """At most so many rows, drawn without replacement, in their order."""
    if len(table) <= most:
        return table
    kept = np.sort(rng.choice(len(table), most, replace=False))
    return Table(table.x[kept], table.y[kept], table.classes, table.source)


def distinct(table: Table) -> Table:
    """The first of equal rows only: a neighbour must not be the row itself, drawn or copied again."""
    first: dict[bytes, int] = {}
    for row, key in enumerate(row_keys(table.x)):
        first.setdefault(key, row)
    kept = np.fromiter(first.values(), dtype=int)
    return Table(table.x[kept], table.y[kept], table.classes, table.source)


def varying(x: Floats) -> NDArray[np.bool_]:
    """Which columns are not the same in all rows."""
    return np.asarray((x != x[:1]).any(axis=0))


def standardised(x: Floats, reference: Floats | None = None) -> Floats:
    """Columns in units of their standard deviation in `reference` (the rows themselves without one); constant ones go."""
    fitted = x if reference is None else reference
    used = varying(fitted)
    if not used.any():
        return np.zeros((len(x), 1))
    kept = fitted[:, used]
    scale = kept.std(axis=0)
    return np.asarray((x[:, used] - kept.mean(axis=0)) / np.where(scale > 0, scale, 1))


def row_keys(x: NDArray[Any]) -> list[bytes]:
    """The bytes of every row in float32: equal for equal rows, whatever the dtype on the way."""
    if not len(x):
        return []
    plain = np.ascontiguousarray(x.reshape(len(x), -1), dtype=np.float32) + np.float32(0)  # -0.0 becomes 0.0
    return [row.tobytes() for row in plain]


def rounding(x: NDArray[Any]) -> float:
    """Machine epsilon of the values: of float32 where all of them are exact in it, whatever dtype holds them now."""
    finite = x[np.isfinite(x)]
    with np.errstate(over="ignore"):
        single = bool((finite.astype(np.float32).astype(np.float64) == finite).all())
    return float(np.finfo(np.float32 if single else np.float64).eps)


def nearest(
    rows: Floats, among: Floats, k: int = 1, *, itself: NDArray[np.int_] | None = None
) -> tuple[Floats, NDArray[np.int_]]:
    """Distances to and positions of the k nearest rows, shape (rows, k); `itself[i]` is the row of `among` that row i is."""
    square = (among * among).sum(axis=1)
    distances, places = np.empty((len(rows), k)), np.empty((len(rows), k), dtype=int)
    for start in range(0, len(rows), 256):
        piece = rows[start : start + 256]
        gaps = (piece * piece).sum(axis=1)[:, None] - 2 * piece @ among.T + square[None, :]
        if itself is not None:
            gaps[np.arange(len(piece)), itself[start : start + 256]] = np.inf
        found = np.argpartition(gaps, k - 1, axis=1)[:, :k]
        order = np.argsort(np.take_along_axis(gaps, found, axis=1), axis=1)
        found = np.take_along_axis(found, order, axis=1)
        places[start : start + 256] = found
        exact = piece[:, None, :] - among[found]  # the expanded square above loses half of the digits
        distances[start : start + 256] = np.sqrt((exact * exact).sum(axis=2))
    return distances, places


class CheapModels:
    """Leave-one-out predictions of ridge regression and of 5 nearest neighbours, linear in the targets: many sets at once."""

    NEIGHBOURS = 5

    def __init__(self, x: Floats) -> None:
        z = standardised(x)
        rows = len(z)
        _, places = nearest(z, z, min(self.NEIGHBOURS, rows - 1), itself=np.arange(rows))
        self._votes = np.zeros((rows, rows))
        np.put_along_axis(self._votes, places, 1 / places.shape[1], axis=1)
        gram = z @ z.T
        strength = float(np.trace(gram)) / rows + np.finfo(np.float64).tiny
        hat = gram @ np.linalg.inv(gram + strength * np.eye(rows)) + 1 / rows
        leverage = np.diag(hat)[:, None]
        self._ridge = (hat - np.diag(np.diag(hat))) / np.maximum(1 - leverage, 1e-12)

    def skill(self, y: NDArray[Any], classes: int | None) -> float:
        """The better of the two held-out scores: the share of the way from chance (0) to no error (1); of classes by
        the mean recall, of values by the squared error.
        """
        return float(self.skills(y[None], classes)[0])

    def skills(self, y: NDArray[Any], classes: int | None) -> Floats:
        """The same of many labellings of the rows at once: `y` has shape (labellings, rows)."""
        return np.asarray(np.maximum(*(_skills(matrix, y, classes) for matrix in (self._ridge, self._votes))))


def _skills(matrix: Floats, y: NDArray[Any], classes: int | None) -> Floats:
    if classes is None:
        spread = ((y - y.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
        return np.asarray(1 - ((y @ matrix.T - y) ** 2).sum(axis=1) / np.maximum(spread, np.finfo(np.float64).tiny))
    marks = np.eye(classes)[y]  # (labellings, rows, classes)
    counts = marks.sum(axis=1)
    guesses = (matrix @ marks.transpose(1, 0, 2).reshape(len(matrix), -1)).reshape(len(matrix), len(y), classes)
    right = y == (guesses - counts / y.shape[1]).argmax(axis=2).T  # beyond its share: rare classes count as much as frequent ones
    weights = np.take_along_axis(1 / np.maximum(counts, 1), y, axis=1)
    present = (counts > 0).sum(axis=1)
    recall = (right * weights).sum(axis=1) / present
    return np.asarray((recall * present - 1) / np.maximum(present - 1, 1))
