from __future__ import annotations

import copy
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas
from torch.utils import data

from mldbg.verify import draw
from mldbg.verify.bench import Bench, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.rows import batches, row_keys

MOST_ROWS = 50_000
"""An epoch is followed for so many rows."""

MOST_SECONDS = 10.0
"""And for so long."""

FEW = 0.01
"""Share of lost rows up to which it is a warning: a collate function that leaves out broken samples."""

_OWN_SAMPLERS = (data.SequentialSampler, data.RandomSampler, data.SubsetRandomSampler, data.WeightedRandomSampler)


class LoaderAudit(Check):
    """in one epoch the loader delivers every row, and no row twice

    ## Why
    A sampler that skips batches, a collate function that loses the last row, a loop that throws away every fifth batch:
    training goes on as if nothing were wrong, on different data than intended. Physicists call it the dead time of the
    detector.

    ## Measures
    Every `DataLoader` that the user's loader iterates over (it may be inside a generator) is followed for one epoch: which
    indices the sampler gave, which were fetched, and how many rows arrived. What is lost on the way is counted exactly; only
    the incomplete batch of `drop_last` may be missing. Repeats are allowed where the sampler declares replacement. The
    period of the losses is named. A loader without a `DataLoader` is audited by the contents of its rows, against `train`.

    ## Causes
    - `rows-dropped`: rows were drawn but never delivered.
    - `rows-repeated`: rows were delivered more than once in an epoch, without a sampler that declares it.
    - `rows-never-drawn`: a custom sampler leaves out rows (a warning, as this may be intended).
    - `epoch-is-short`: the loader ended although the sampler had more rows (a warning, as this may be intended).

    ## Limits
    One epoch in one process: workers are not started, so that rows doubled by an iterable dataset in several workers are not
    seen. Rows cannot be counted where a collate function packs several into one. Long epochs are followed for 50,000 rows.
    """

    id = "A1"
    stage = Stage.APPARATUS
    kind = Kind.EXACT
    needs = ("loader",)
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        log = followed(bench)
        if log.of_loader is None:
            return self._by_contents(bench, log)
        counted = log.rows_are_counted
        lost = log.lost if counted else 0
        tapped = log.skipped_by_batching
        drawn = sum(len(each) for each in log.drawn)
        total = drawn + tapped
        gone = (lost + tapped) / total if total else 0.0
        repeats = Counter(index for batch in log.drawn for index in batch)
        doubled = sum(count - 1 for count in repeats.values())
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Which rows an epoch delivered",
                lambda canvas: _drawn(canvas, log),
                "Each dot is a row fetched for a batch; red: it was not delivered. Right: visits by row index.",
            ),
            "statistic": gone,
            "null": "0: every drawn row is delivered",
            "threshold": 0.0,
            "rows": drawn,
            "batches": len(log.drawn),
            "repeated": doubled,
            "counted": counted,
        }
        if lost + tapped > 0:
            rhythm = log.period
            why = f"{lost + tapped} of {total} rows were drawn but never delivered" + (
                f": every {rhythm}th batch" if rhythm else ""
            )
            verdict = self.failed if gone > FEW else self.warned
            step = "check the batch sampler, the collate function and anything that wraps the loader"
            return verdict("rows-dropped", why, step, **numbers)
        source = log.of_loader
        if doubled and not _replacing(source):
            verdict = self.failed if isinstance(source.sampler, _OWN_SAMPLERS) and _plain(source) else self.warned
            return verdict(
                "rows-repeated",
                f"{doubled} of {drawn} rows were delivered again within one epoch, and the sampler does not declare replacement",
                "draw without replacement, or set the attribute replacement = True on the sampler",
                **numbers,
            )
        if log.cut_short:
            return self.passed(
                f"the first {drawn} rows of an epoch were delivered, none twice; the rest was not tracked", **numbers
            )
        size = _expected(source)
        remainder = (source.batch_size or 1) - 1 if _drops_last(source) else 0
        if size is not None and not _replacing(source) and len(repeats) < size - remainder:
            cause = "epoch-is-short" if isinstance(source.sampler, _OWN_SAMPLERS) and _plain(source) else "rows-never-drawn"
            return self.warned(
                cause,
                f"an epoch draws {len(repeats)} of {size} rows",
                "check whether the rest is left out on purpose",
                **numbers,
            )
        return self.passed(f"all {drawn} drawn rows were delivered, in {len(log.drawn)} batches", **numbers)

    def _by_contents(self, bench: Bench, log: Log) -> Outcome:
        """A loader that is no DataLoader: its rows must be those of `train`."""
        if bench.experiment.train is None:
            return self.skipped(
                "the loader is not a DataLoader, so its indices cannot be observed", "provide train, or a DataLoader"
            )
        known = Counter(row_keys(bench.arrays("train")[0]))
        seen = Counter(key for batch in log.keys for key in batch)
        arrived = sum(seen.values())
        matching = sum(count for key, count in seen.items() if key in known)
        if not arrived or matching < 0.99 * arrived:
            return self.cannot_tell(
                f"{arrived - matching} of {arrived} rows of the loader do not occur in train unchanged: they are transformed",
                "use a DataLoader, or a loader without random transformations",
            )
        size = sum(known.values())
        largest = max(len(batch) for batch in log.keys)
        absent = sum((known - seen).values())
        doubled = sum((seen - known).values())
        lost = absent - (largest - 1)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "How often each row of train was delivered in an epoch",
                lambda canvas: _visits(canvas, [seen[key] for key in row_keys(bench.arrays("train")[0])]),
                "A stripe of zeros is data that training never sees.",
            ),
            "statistic": absent / size,
            "null": "0: every row of train is delivered; the rest of an incomplete last batch may be missing",
            "threshold": (largest - 1) / size,
        }
        if log.cut_short:
            return self.passed(f"the first {arrived} rows of an epoch are rows of train; the rest was not tracked", **numbers)
        if lost > 0:
            return self.failed(
                "rows-dropped",
                f"{absent} of the {size} rows of train are not delivered in an epoch",
                "count the rows where the loader builds its batches",
                **numbers,
            )
        if doubled:
            why = f"{doubled} rows are delivered more often in an epoch than they occur in train"
            return self.warned("rows-repeated", why, "check whether this is intended", **numbers)
        return self.passed(f"the {arrived} rows of an epoch are those of train", **numbers)


@dataclass
class Log:
    """What one epoch did.

    Attributes:
        of_loader: the DataLoader that was followed; None where there was none.
        sampled: how many rows the sampler inside of a batch sampler gave; None where there is none.
        drawn: indices that were fetched, by batch that arrived (a batch may have cost the rows of several).
        arrived: rows that arrived, by batch.
        scalar: whether every row has a single number as its target, and the batch one for each.
        keys: contents of the rows that arrived, by batch.
        cut_short: the epoch was not followed to its end.
        pending: indices that were fetched since the last batch arrived.
        ended: the DataLoader gave its last batch.
    """

    of_loader: Any = None
    sampled: int | None = None
    drawn: list[list[Any]] = field(default_factory=list)
    arrived: list[int] = field(default_factory=list)
    scalar: bool = True
    keys: list[list[bytes]] = field(default_factory=list)
    cut_short: bool = False
    pending: list[Any] = field(default_factory=list)
    ended: bool = False

    def begin(self, loader: Any) -> None:
        """Follow a loader from its first row."""
        self.of_loader, self.sampled, self.scalar, self.ended = loader, None, True, False
        self.pending.clear()

    @property
    def rows_are_counted(self) -> bool:
        """Whether one row of a batch is one row drawn: in most batches it is, or each has a target of its own."""
        same = sum(len(drawn) == arrived for drawn, arrived in zip(self.drawn, self.arrived, strict=True))
        return self.scalar or same > len(self.drawn) / 2

    @property
    def lost(self) -> int:
        """Rows that were fetched and did not arrive, over the whole epoch: a prefetching loop only delays."""
        return max(sum(len(each) for each in self.drawn) - sum(self.arrived), 0)

    @property
    def skipped_by_batching(self) -> int:
        """Rows that the sampler gave and the batch sampler did not use, but for an incomplete last batch."""
        if self.sampled is None or self.cut_short:
            return 0
        unused = self.sampled - sum(len(each) for each in self.drawn)
        largest = max((len(each) for each in self.drawn), default=1)
        return unused if unused >= largest else 0

    @property
    def period(self) -> int | None:
        """Every how many batches one is lost, where that is regular."""
        sizes = [len(each) for each in self.drawn]
        if not sizes:
            return None
        usual = int(np.median(sizes))
        places: list[int] = []
        position = 0
        for drawn, arrived in zip(self.drawn, self.arrived, strict=True):
            batches = max(round(len(drawn) / usual), 1)
            if len(drawn) - arrived >= usual:
                places += range(position, position + batches - 1)
            position += batches
        gaps = set(np.diff(places).tolist())
        return int(gaps.pop()) if len(gaps) == 1 else None


class _Rows(data.Dataset[Any]):
    """A dataset that writes down which rows are asked for."""

    def __init__(self, dataset: Any, log: Log) -> None:
        self._dataset, self._log = dataset, log

    def __getitem__(self, index: Any) -> Any:
        item = self._dataset[index]
        self._log.pending.append(index if isinstance(index, int) else repr(index))
        self._log.scalar &= _has_scalar_target(item)
        return item

    def __getitems__(self, indices: list[Any]) -> list[Any]:
        several = getattr(self._dataset, "__getitems__", None)
        if several is None:
            return [self[index] for index in indices]
        items = list(several(indices))
        self._log.pending += indices
        self._log.scalar &= all(map(_has_scalar_target, items))
        return items

    def __len__(self) -> int:
        return len(self._dataset)


class _Stream(data.IterableDataset[Any]):
    """The same of a dataset that is a stream."""

    def __init__(self, dataset: Any, log: Log) -> None:
        self._dataset, self._log = dataset, log

    def __iter__(self) -> Iterator[Any]:
        for number, item in enumerate(self._dataset):
            self._log.pending.append(number)
            self._log.scalar &= _has_scalar_target(item)
            yield item


class _Tap:
    """A sampler that counts what it gives."""

    def __init__(self, sampler: Any, log: Log) -> None:
        self._sampler, self._log = sampler, log

    def __iter__(self) -> Iterator[Any]:
        self._log.sampled = 0
        for index in self._sampler:
            self._log.sampled += 1
            yield index

    def __len__(self) -> int:
        return len(self._sampler)


def followed(bench: Bench) -> Log:
    """One epoch of the user's loader."""
    return bench.once("loader epoch", lambda: _followed(bench))


def _followed(bench: Bench) -> Log:
    log = Log()
    start = time.monotonic()
    rows = 0
    with _spied(log):
        for batch in batches(bench):  # made under observation too: a generator expression begins to iterate where it is made
            bench.tick()
            count = next((len(each) for each in tensors_in(batch) if each.ndim), 0)
            log.scalar &= _one_target_each(batch, count)
            log.drawn.append(log.pending[:])
            log.pending.clear()
            log.arrived.append(count)
            if log.of_loader is None:
                log.keys.append(_keys(batch))
            rows += count
            if rows > MOST_ROWS or time.monotonic() - start > MOST_SECONDS:
                log.cut_short = True
                break
    if not log.drawn:
        raise ExperimentError("loader() yields no batch: the dataset is empty, or smaller than a batch with drop_last")
    if log.pending and not log.cut_short:
        log.drawn[-1] += log.pending
    return log


@contextmanager
def _spied(log: Log) -> Iterator[None]:
    """Whoever iterates over a DataLoader here iterates over a twin that keeps the log; at the end all is as before."""
    original = data.DataLoader.__iter__

    def recorded(loader: Any) -> Any:
        if log.of_loader is not None and not (log.ended and not log.drawn):
            return original(loader)  # a loader beside or within a loader: the first one is followed
        log.begin(loader)  # one that ended before a batch arrived was for something else, like a mean
        return _until_the_end(original(_twin(loader, log)), log)

    data.DataLoader.__iter__ = recorded  # type: ignore[method-assign]  # for the length of the audit
    try:
        yield
    finally:
        data.DataLoader.__iter__ = original  # type: ignore[method-assign]  # as it was


def _until_the_end(made: Iterator[Any], log: Log) -> Iterator[Any]:
    yield from made
    log.ended = True


def _twin(loader: Any, log: Log) -> Any:
    """The same loader over a recording dataset, in this process. DataLoader forbids to set these, so it is done beneath it."""
    twin = copy.copy(loader)
    stream = isinstance(loader.dataset, data.IterableDataset)
    changed: dict[str, Any] = {"dataset": (_Stream if stream else _Rows)(loader.dataset, log), "num_workers": 0, "timeout": 0}
    batching = loader.batch_sampler
    if not stream and isinstance(batching, data.BatchSampler):
        tapped = copy.copy(batching)
        tapped.sampler = _Tap(batching.sampler, log)
        changed["batch_sampler"] = tapped
    for name, value in changed.items():
        object.__setattr__(twin, name, value)
    return twin


def _has_scalar_target(item: Any) -> bool:
    if not isinstance(item, tuple | list) or len(item) != 2:
        return False
    return bool(np.ndim(item[1]) == 0) and not isinstance(item[1], str | dict)


def _one_target_each(batch: Any, count: int) -> bool:
    return isinstance(batch, tuple | list) and len(batch) == 2 and tuple(getattr(batch[1], "shape", ())) == (count,)


def _keys(batch: Any) -> list[bytes]:
    first = next((each for each in tensors_in(batch) if each.ndim), None)
    return [] if first is None else row_keys(first.detach().cpu().numpy())


def _plain(loader: Any) -> bool:
    """Whether indices go from the sampler to the batches by torch's own code."""
    return loader.batch_sampler is None or type(loader.batch_sampler) is data.BatchSampler


def _drops_last(loader: Any) -> bool:
    return bool(loader.drop_last or getattr(loader.batch_sampler, "drop_last", False))


def _replacing(loader: Any) -> bool:
    """Whether the sampler says that rows may come again: by an attribute, or by drawing more rows than there are."""
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    more = getattr(sampler, "num_samples", 0)
    sized = hasattr(loader.dataset, "__len__")
    spread = isinstance(sampler, data.distributed.DistributedSampler)
    return (
        bool(getattr(sampler, "replacement", False)) or spread or (sized and isinstance(more, int) and more > len(loader.dataset))
    )


def _expected(loader: Any) -> int | None:
    """How many different rows an epoch is meant to have; None where nobody knows."""
    if isinstance(loader.dataset, data.IterableDataset):
        return None
    sampler = getattr(loader.batch_sampler, "sampler", loader.sampler)
    own = isinstance(sampler, (*_OWN_SAMPLERS, data.distributed.DistributedSampler))
    try:
        return len(sampler) if own else len(loader.dataset)
    except TypeError:
        return None


def _drawn(canvas: Canvas, log: Log) -> None:
    left, right = canvas.subplots(1, 2, width_ratios=(3, 1))
    draw.dressed(left, "batch [number]", "row [index in the dataset]")
    draw.dressed(right, "visits [1 per epoch]", "")
    kept: list[tuple[int, int]] = []
    gone: list[tuple[int, int]] = []
    for number, (batch, arrived) in enumerate(zip(log.drawn, log.arrived, strict=True)):
        for place, index in enumerate(batch):
            if isinstance(index, int):
                (gone if place < len(batch) - arrived else kept).append((number, index))
    for points, colour, label in ((kept, draw.SEEN, "arrived"), (gone, draw.BAD, "lost")):
        if points:
            xs, ys = zip(*points, strict=True)
            left.scatter(xs, ys, s=2, color=colour, label=label, rasterized=True)
    visits = Counter(index for _, index in kept)
    if visits:
        size = max([index for _, index in kept + gone]) + 1
        steps = range(size)
        right.step([visits[index] for index in steps], list(steps), color=draw.SEEN, linewidth=0.8)
        draw.line(right, 1, "once", upright=True)
        right.set_ylim(left.get_ylim())
        right.set_xlim(-0.1, max(visits.values()) + 0.2)
    draw.legend(left)


def _visits(canvas: Canvas, visits: list[int]) -> None:
    ax = draw.axes(canvas, "row of train [index]", "visits [1 per epoch]")
    ax.step(range(len(visits)), visits, color=draw.SEEN, linewidth=0.8)
    draw.line(ax, 1, "once")
    draw.legend(ax)
