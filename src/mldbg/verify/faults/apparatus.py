"""Faults of the data path: loaders, inputs, labels, splits, preprocessing."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Sampler, default_collate

from mldbg.verify.bench import mapped
from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Fault
from mldbg.verify.rows import row_keys

Array = NDArray[Any]
Pair = tuple[Any, Any]


# ------------------------------------------------------------------------------------------------------------ how to inject
def _everywhere(
    experiment: Experiment, batches: Callable[[Any, Any], Pair], arrays: Callable[[Array, Array], Pair]
) -> Experiment:
    """Change batches, the loader's batches, and both arrays."""
    loader, train, test = experiment.loader, experiment.train, experiment.test

    def changed_loader() -> Iterator[Pair]:
        assert loader is not None
        for inputs, targets in loader():
            yield batches(inputs, targets)

    return replace(
        experiment,
        batch=lambda: batches(*experiment.batch()),
        loader=changed_loader if loader is not None else None,
        train=(lambda: arrays(*train())) if train is not None else None,
        test=(lambda: arrays(*test())) if test is not None else None,
    )


def _inputs(change: Callable[[Tensor], Tensor]) -> Callable[[Experiment], Experiment]:
    """Change every floating-point input, wherever it is given."""

    def floats(value: Any) -> Any:
        return mapped(value, lambda x: change(x) if x.is_floating_point() else x)

    def arrays(x: Array, y: Array) -> Pair:
        return floats(torch.from_numpy(np.asarray(x))).numpy(), y

    return lambda experiment: _everywhere(experiment, lambda inputs, targets: (floats(inputs), targets), arrays)


def _split(
    change: Callable[[Array, Array, Array, Array], tuple[Array, Array, Array, Array]],
) -> Callable[[Experiment], Experiment]:
    """Change the arrays: `change(x_train, y_train, x_test, y_test)`."""

    def inject(experiment: Experiment) -> Experiment:
        train, test = experiment.train, experiment.test
        assert train is not None
        assert test is not None

        def both() -> tuple[Array, Array, Array, Array]:
            return change(*(np.asarray(each) for part in (train, test) for each in part()))

        return replace(experiment, train=lambda: both()[:2], test=lambda: both()[2:])

    return inject


def _loading(change: Callable[[DataLoader[Any]], Iterable[Any]]) -> Callable[[Experiment], Experiment]:
    """Change what the loader factory returns."""

    def inject(experiment: Experiment) -> Experiment:
        factory: Any = experiment.loader
        return replace(experiment, loader=lambda: change(factory()))

    return inject


# ------------------------------------------------------------------------------------------------------------------- loaders
def _every_fifth_thrown_away(loader: DataLoader[Any]) -> Iterator[Any]:
    return (batch for number, batch in enumerate(loader) if number % 5 != 4)


class _Skipping(BatchSampler):
    """Leaves out every fourth batch."""

    def __iter__(self) -> Iterator[list[int]]:
        return (batch for number, batch in enumerate(super().__iter__()) if number % 4 != 3)


def _skipping(loader: DataLoader[Any]) -> DataLoader[Any]:
    return DataLoader(loader.dataset, batch_sampler=_Skipping(loader.sampler, loader.batch_size or 1, drop_last=False))


def _shortened(loader: DataLoader[Any]) -> DataLoader[Any]:
    """A collate function with `rows[:-1]`."""
    return DataLoader(loader.dataset, batch_size=loader.batch_size, collate_fn=lambda rows: default_collate(rows[:-1]))


class _Dice(Sampler[int]):
    """Draws with replacement and does not say so."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randint(0, self.size, (self.size,)).tolist())

    def __len__(self) -> int:
        return self.size


def _diced(loader: DataLoader[Any]) -> DataLoader[Any]:
    dataset: Any = loader.dataset
    return DataLoader(dataset, batch_size=loader.batch_size, sampler=_Dice(len(dataset)))


def _sorted_by_class(loader: DataLoader[Any]) -> Iterator[Pair]:
    inputs, targets = (torch.cat(each) for each in zip(*loader, strict=True))
    order = torch.argsort(targets, stable=True)
    for kind in torch.unique(targets):
        rows = order[targets[order] == kind]
        for start in range(0, len(rows), 16):
            piece = rows[start : start + 16]
            yield inputs[piece], targets[piece]


# -------------------------------------------------------------------------------------------------------------------- inputs
def _as_pixels(x: Tensor) -> Tensor:
    """Whole numbers from 0 to 255."""
    return ((x + 3) / 6 * 255).clamp(0, 255).round()


def _one_nan(x: Tensor) -> Tensor:
    changed = x.clone()
    changed.view(-1)[0] = torch.nan
    return changed


# -------------------------------------------------------------------------------------------------------------------- labels
def _rolled(targets: Tensor) -> Tensor:
    return torch.roll(targets, 1, dims=0)


def _shuffled(targets: Any) -> Any:
    return targets[np.random.default_rng(7).permutation(len(targets))]


def _batches_relabelled(change: Callable[[Tensor], Tensor]) -> Callable[[Experiment], Experiment]:
    """Batches and loader get wrong labels; the arrays keep the right ones."""
    return lambda experiment: _everywhere(experiment, lambda inputs, targets: (inputs, change(targets)), lambda x, y: (x, y))


def _train_shuffled(experiment: Experiment) -> Experiment:
    """The labels of the training part were shuffled on disk: in the array, and so in what is batched from it."""
    factory = experiment.train
    assert factory is not None
    x, y = (np.asarray(each) for each in factory())
    wrong = _shuffled(y)
    labels = dict(zip(row_keys(x), wrong.tolist(), strict=True))

    def relabelled(inputs: Any, targets: Tensor) -> Pair:
        given = [labels[key] for key in row_keys(inputs.numpy())]
        return inputs, torch.tensor(given, dtype=targets.dtype).reshape(targets.shape)

    changed = _everywhere(experiment, relabelled, lambda x, y: (x, y))
    return replace(changed, train=lambda: (x, wrong), test=experiment.test)


def _mostly_first(x: Any, y: Any) -> Pair:
    """All but every fortieth row get the label 0, chosen by its contents: a row has the same label wherever it is."""
    kept = [zlib.crc32(key) % 40 == 0 for key in row_keys(np.asarray(x))]
    marks = torch.tensor(kept).to(y.dtype) if isinstance(y, Tensor) else np.array(kept, dtype=y.dtype)
    return x, y * marks


def _imbalanced(experiment: Experiment) -> Experiment:
    return _everywhere(experiment, _mostly_first, _mostly_first)


# -------------------------------------------------------------------------------------------------------- leaks between parts
def _target_column(noise: float) -> Callable[[Experiment], Experiment]:
    """The last column becomes the target, with some noise."""

    def column(x: Any, y: Any) -> Any:
        changed = x.copy() if isinstance(x, np.ndarray) else x.clone()
        values = np.asarray(y).reshape(len(y)).astype(np.float64)
        values = values + noise * np.random.default_rng(len(y)).normal(size=len(y))
        changed[:, -1] = torch.from_numpy(values).to(x.dtype) if isinstance(x, Tensor) else values
        return changed

    return lambda experiment: _everywhere(experiment, lambda x, y: (column(x, y), y), lambda x, y: (column(x, y), y))


def _raw(x: Array) -> Array:
    """As measured: columns with a location and a scale of their own."""
    columns = np.arange(x.shape[1])
    return np.asarray(x.astype(np.float64) * (1 + columns % 5) + 10 * columns)


def _scaled_together(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    every = np.concatenate([_raw(x), _raw(v)])
    return (_raw(x) - every.mean(axis=0)) / every.std(axis=0), y, (_raw(v) - every.mean(axis=0)) / every.std(axis=0), w


def _min_max_together(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    every = np.concatenate([_raw(x), _raw(v)])
    low, width = every.min(axis=0), np.ptp(every, axis=0)
    return (_raw(x) - low) / width, y, (_raw(v) - low) / width, w


def _scaled_apart(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    first, second = ((_raw(each) - _raw(each).mean(axis=0)) / _raw(each).std(axis=0) for each in (x, v))
    return first, y, second, w


def _copied(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """A fifth of test is put into train."""
    count = len(v) // 5
    return np.concatenate([x, v[:count]]), np.concatenate([y, w[:count]]), v, w


def _doubled(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """A quarter of all rows is drawn again before the split, which is then made anew."""
    rng = np.random.default_rng(3)
    rows, labels = np.concatenate([x, v]), np.concatenate([y, w])
    again = rng.choice(len(rows), len(rows) // 4, replace=False)
    rows, labels = np.concatenate([rows, rows[again]]), np.concatenate([labels, labels[again]])
    order = rng.permutation(len(rows))
    rows, labels = rows[order], labels[order]
    return rows[: len(x)], labels[: len(x)], rows[len(x) :], labels[len(x) :]


def _nearly_copied(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """A fifth of test is train with a little noise."""
    count = len(v) // 5
    noise = 0.005 * x.std() * np.random.default_rng(4).normal(size=v[:count].shape)
    return x, y, np.concatenate([(x[:count] + noise).astype(v.dtype), v[count:]]), np.concatenate([y[:count], w[count:]])


def _other_sensor(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """The first column of test reads 0.8 standard deviations more."""
    changed = v.copy()
    changed[:, 0] += 0.8 * x[:, 0].std()
    return x, y, changed, w


def _tied_columns(x: Array, y: Array, v: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """In test the first three columns say the same: each alone looks as before, and labels follow only one of them."""
    changed = v.copy()
    ranks = changed[:, 0].argsort().argsort()
    for column in (1, 2):
        changed[:, column] = np.sort(changed[:, column])[ranks]
    return x, y, changed, w


def _shared_groups(experiment: Experiment) -> Experiment:
    factory = experiment.groups
    assert factory is not None

    def groups() -> Pair:
        train, test = (np.asarray(each).copy() for each in factory())
        test[0] = train[0]
        return train, test

    return replace(experiment, groups=groups)


# ------------------------------------------------------------------------------------------------------------- preprocessing
def _then(change: Callable[[Array], Array]) -> Callable[[Experiment], Experiment]:
    """A further step after the pipeline; tables become arrays."""

    def inject(experiment: Experiment) -> Experiment:
        pipeline: Any = experiment.pipeline
        return replace(experiment, pipeline=lambda table: change(np.asarray(pipeline(table), dtype=np.float64).copy()))

    return inject


def _centred_window(x: Array) -> Array:
    """The mean of each row with its two neighbours."""
    padded = np.concatenate([x[:1], x, x[-1:]])
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3)


# -------------------------------------------------------------------------------------------------------------------- texts
class _WithoutCapitals:
    """A tokenizer whose vocabulary was made from texts in lower case."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, text: str) -> Any:
        """Capitals are characters that it has never seen."""
        known = "".join("\ue000" if each.isupper() else each for each in text)
        return getattr(self.tokenizer, "encode", self.tokenizer)(known)


def _in_cyrillic(experiment: Experiment) -> Experiment:
    """Every letter becomes one of another alphabet."""
    texts = ["".join(chr(0x430 + ord(each) % 32) if each.isalpha() else each for each in text) for text in experiment.texts or ()]
    return replace(experiment, texts=texts)


def _fault(name: str, check: str, causes: str, inject: Callable[[Experiment], Experiment], needs: str) -> Fault:
    return Fault(name, check, tuple(causes.split()), inject, frozenset(needs.split()))


FAULTS: tuple[Fault, ...] = (
    _fault("every fifth batch is thrown away", "loader-audit", "rows-dropped", _loading(_every_fifth_thrown_away), "loader"),
    _fault("the batch sampler skips every fourth batch", "loader-audit", "rows-dropped", _loading(_skipping), "loader"),
    _fault(
        "the collate function loses a row", "loader-audit", "rows-dropped", _loading(_shortened), "loader classification images"
    ),
    _fault("rows are drawn with replacement", "loader-audit", "rows-repeated", _loading(_diced), "loader"),
    _fault("raw pixels 0-255", "input-range", "unscaled-input", _inputs(_as_pixels), "images floats"),
    _fault(
        "inputs in a thousandth of the unit",
        "input-range",
        "unscaled-input",
        _inputs(lambda x: 1000 * x),
        "binary floats",
    ),
    _fault("constant input", "input-range", "constant-input", _inputs(torch.ones_like), "classification floats"),
    _fault("one input is NaN", "input-range", "non-finite-input", _inputs(_one_nan), "floats"),
    _fault(
        "a vocabulary without capitals",
        "vocabulary-audit",
        "case-mismatch",
        lambda experiment: replace(experiment, tokenizer=_WithoutCapitals(experiment.tokenizer)),
        "tokenizer texts",
    ),
    _fault("a tokenizer for another language", "vocabulary-audit", "mostly-unknown", _in_cyrillic, "tokenizer texts"),
    _fault(
        "shuffled labels",
        "label-alignment",
        "labels-do-not-match-inputs",
        _batches_relabelled(_shuffled),
        "arrays classification",
    ),
    _fault(
        "labels are shifted by a row", "label-alignment", "labels-do-not-match-inputs", _batches_relabelled(_rolled), "arrays"
    ),
    _fault("shuffled training labels", "label-alignment", "labels-do-not-match-inputs", _train_shuffled, "arrays"),
    _fault(
        "shuffled labels, and no arrays",
        "label-alignment",
        "labels-do-not-match-inputs",
        _batches_relabelled(_shuffled),
        "images",
    ),
    _fault("scaled before the split", "scaler-fingerprint", "fit-before-split", _split(_scaled_together), "arrays floats"),
    _fault(
        "min-max scaled before the split", "scaler-fingerprint", "fit-before-split", _split(_min_max_together), "arrays floats"
    ),
    _fault("test scaled by itself", "scaler-fingerprint", "fit-on-test", _split(_scaled_apart), "arrays floats"),
    _fault("target in features", "single-feature-oracle", "target-in-features", _target_column(0.0), "arrays vectors"),
    _fault(
        "target with noise in features",
        "single-feature-oracle",
        "target-in-features",
        _target_column(0.05),
        "arrays vectors classification",
    ),
    _fault("test rows in train", "train-test-overlap", "train-test-overlap", _split(_copied), "arrays floats"),
    _fault(
        "oversampled before the split",
        "train-test-overlap",
        "resample-before-split train-test-overlap",
        _split(_doubled),
        "arrays floats",
    ),
    _fault("near-duplicates across the split", "train-test-overlap", "near-duplicates", _split(_nearly_copied), "arrays floats"),
    _fault("a group on both sides", "train-test-overlap", "group-overlap", _shared_groups, "groups arrays"),
    _fault("a centred window", "prefix-invariance", "looks-ahead", _then(_centred_window), "pipeline frame"),
    _fault(
        "a backward difference with the wrong sign",
        "prefix-invariance",
        "looks-ahead",
        _then(lambda x: np.roll(x, -1, axis=0) - x),
        "pipeline frame",
    ),
    _fault(
        "scaled over the whole table",
        "prefix-invariance",
        "fit-before-split",
        _then(lambda x: x / x.std(axis=0)),
        "pipeline frame",
    ),
    _fault(
        "one class has 97 % of the rows",
        "class-balance",
        "class-imbalance majority-collapse",
        _imbalanced,
        "arrays classification",
    ),
    _fault(
        "the loader is sorted by class",
        "class-balance",
        "batches-of-one-class",
        _loading(_sorted_by_class),
        "loader images classification",
    ),
    _fault("another sensor in test", "drift", "drift", _split(_other_sensor), "arrays floats"),
    _fault(
        "three columns of test say the same",
        "drift",
        "joint-drift labels-do-not-match-inputs",
        _split(_tied_columns),
        "arrays floats vectors",
    ),
)
