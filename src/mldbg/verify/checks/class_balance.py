from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import LOG_PROBS, LOGITS, loss_calls
from mldbg.verify.rows import batches
from mldbg.verify.state import modes_preserved, seeded
from mldbg.verify.statistics import bootstrap_interval, clopper_pearson, entropy

MOST_SHARE = 0.9
"""Share of the largest class above which accuracy says little."""

FEWEST_ROWS = 16
"""Fewer labels say nothing about shares."""

IMBALANCED = 0.6
"""Share of the largest class from which predictions are looked at."""

MOST_IDS = 1000
"""More classes are tokens of a vocabulary: their counts are no matter of balance."""

STEPS = 100
"""Training steps on the batch before predictions are counted."""


class ClassBalance(Check):
    """all classes are present, none has nearly all rows, and predictions are as varied as labels

    ## Why
    If 97 % of the rows belong to one class, a model that always predicts it is right 97 % of the time, and its loss looks
    fine. A class that never occurs cannot be learned; batches of a single class make training forget one class while it
    learns the next.

    ## Measures
    Shares of the classes in `train` (in the batch without it), and the effective number of classes exp(H). It warns where the 95
    % lower bound of the largest share is over 0.9, where the model has outputs for classes that would have to occur by their
    number and do not, and where each batch of the loader has a single class. Where labels are imbalanced (largest share over
    0.6), a model is trained for 100 steps on the batch: if then the upper bootstrap bound of its predictions' entropy is below
    half of the labels' entropy, that is collapse.

    ## Causes
    - `class-imbalance`: nearly all rows are of one class; accuracy must be compared with this share.
    - `majority-collapse`: predictions are nearly all of one class, on imbalanced labels.
    - `missing-class`: the model has outputs for classes without a row.
    - `batches-of-one-class`: the loader delivers the classes one after the other.
    - `single-class`: all labels are the same.

    ## Limits
    It only warns: the right balance depends on the task. Targets must be class ids, or 0 and 1.
    """

    id = "A10"
    stage = Stage.APPARATUS
    kind = Kind.HEURISTIC
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        labels, classes, source = _labels(bench)
        if labels is None:
            return self.skipped("the targets are not class ids", "not applicable: this check is about classification")
        if len(labels) < FEWEST_ROWS:
            return self.skipped(f"needs {FEWEST_ROWS} labels", "provide train, or use a larger batch")
        counts = np.bincount(labels, minlength=classes)
        largest, rows = int(counts.max()), int(counts.sum())
        share = largest / rows
        effective = math.exp(entropy(counts.astype(float)))
        predicted = _predicted(bench, classes) if IMBALANCED < share < 1 else None
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Classes in the labels and in the predictions" if predicted is not None else "Classes in the labels",
                lambda canvas: _drawn(canvas, counts, predicted, source),
                "The line is the score of always predicting the largest class: the baseline for accuracy.",
            ),
            "statistic": share,
            "null": "the largest class has at most 90 % of the rows",
            "threshold": MOST_SHARE,
            "effective_classes": effective,
            "classes": classes,
            "rows": rows,
        }
        if largest == rows:
            why = f"all {rows} labels of {source} are the same"
            return self.warned("single-class", why, "check how the labels are read and filtered", **numbers)
        alone = _single_class_batches(bench, classes)
        if alone is not None:
            why = f"each of {alone} batches of the loader has a single class, of {classes}"
            return self.warned("batches-of-one-class", why, "shuffle the rows", **numbers)
        collapse = _collapse(bench, predicted, counts)
        if collapse is not None:
            return self.warned("majority-collapse", collapse, "weight the loss by class, or resample train", **numbers)
        if clopper_pearson(largest, rows)[0] > MOST_SHARE:
            return self.warned(
                "class-imbalance",
                f"{share:.1%} of the labels of {source} are class {int(counts.argmax())}: always predicting it has that accuracy",
                "evaluate by recall per class or average precision, and compare with this baseline",
                **numbers,
            )
        absent = [index for index in range(classes) if not counts[index]]
        expected = len(absent) and rows / classes > 10 * math.log(classes + 1)
        if absent and expected and source != "batch" and _outputs_are_classes(bench):
            return self.warned(
                "missing-class",
                f"the model has {classes} outputs, and class {', '.join(map(str, absent[:5]))} has no row in {source}",
                "check the label encoding (does it start at 0?) and the number of outputs",
                **numbers,
            )
        return self.passed(f"{effective:.1f} effective classes of {classes}; the largest has {share:.0%} of {source}", **numbers)


def _outputs_are_classes(bench: Bench) -> bool:
    """Whether a loss function takes the output as one number for each class; of an embedding it does not."""
    return any(call.wants in (LOGITS, LOG_PROBS) for call in loss_calls(bench))


def _labels(bench: Bench) -> tuple[NDArray[np.int_] | None, int, str]:
    """Class ids, the number of classes and where they are from; None where targets are no class ids."""
    target = bench.first[1]
    if not isinstance(target, Tensor):
        return None, 0, ""
    binary = bench.classes is None and target.numel() > 1 and bool(((target == 0) | (target == 1)).all())
    classes = 2 if binary and bench.is_regression else bench.classes
    if (
        classes is None
        or not 2 <= classes <= MOST_IDS
        or (bench.is_regression and target.ndim > 1 and target.shape[1:].numel() > 1)
    ):
        return None, 0, ""
    if bench.experiment.train is not None:
        y = bench.arrays("train")[1]
        alike = y.ndim == 1 or y.shape[1:] == tuple(target.shape[1:])
        y = y.reshape(-1)
        if alike and y.dtype.kind in "iubf" and bool((y == np.round(y)).all()) and bool((y < classes).all()):
            return y[y >= 0].astype(int), classes, "train"
    ids = target.detach().cpu().reshape(-1).long().numpy()
    return ids[(ids >= 0) & (ids < classes)], classes, "batch"  # negative ids mark what is ignored


def _predicted(bench: Bench, classes: int) -> NDArray[np.int_] | None:
    """Predicted classes of the batch after some training on it."""
    model = bench.model(0)
    inputs, targets = bench.first
    optimizer = bench.optimizer(model)
    with seeded(bench.experiment.seed):
        for _ in range(STEPS):
            if not math.isfinite(bench.step(model, optimizer, copied(inputs), targets)):
                return None
        with modes_preserved(model), torch.no_grad():
            model.eval()
            output = main_tensor(bench.run(model, copied(inputs)))
    if output is None:
        return None
    if bench.classes is None or bench.classes < 2:
        limit = 0.5 if bool(((output >= 0) & (output <= 1)).all()) else 0.0
        return (output.reshape(-1) > limit).long().cpu().numpy()
    axis = 1 if output.shape[1] == classes else -1
    return output.argmax(dim=axis).reshape(-1).cpu().numpy()


def _collapse(bench: Bench, predicted: NDArray[np.int_] | None, counts: NDArray[np.int_]) -> str | None:
    """In words, that predictions are much less varied than the labels of the same batch."""
    if predicted is None:
        return None
    target = bench.first[1].detach().cpu().reshape(-1).long().numpy()
    target = target[(target >= 0) & (target < len(counts))]
    if (target != counts.argmax()).sum() < 3:
        return None  # too few other rows in the batch to expect one of them

    def varied(rows: NDArray[np.float64]) -> float:
        return entropy(np.bincount(rows.astype(int), minlength=len(counts)).astype(float))

    high = bootstrap_interval(predicted.astype(float), varied, bench.rng("class-balance"), draws=200)[1]
    asked = varied(target.astype(float))
    if high >= asked / 2:
        return None
    share = np.bincount(predicted).max() / len(predicted)
    return (
        f"after {STEPS} steps on the batch {share:.0%} of the predictions are class {np.bincount(predicted).argmax()}; "
        f"they have an entropy below {high:.2f} nats, the labels {asked:.2f}"
    )


def _single_class_batches(bench: Bench, classes: int) -> int | None:
    """How many of the loader's first batches were looked at, where each has one class although there are several."""
    if bench.experiment.loader is None:
        return None
    sets: list[set[int]] = []
    for batch in batches(bench):
        if not isinstance(batch, tuple | list) or len(batch) != 2 or not isinstance(batch[1], Tensor) or len(sets) >= 8:
            break
        ids = batch[1].detach().cpu().reshape(-1)
        if len(ids) >= 8:
            sets.append(set(ids.tolist()))
    labels = _labels(bench)[0]
    if len(sets) < 3 or labels is None or any(len(each) > 1 for each in sets):
        return None
    largest = float(np.bincount(labels, minlength=classes).max() / len(labels))
    return len(sets) if largest ** (8 * len(sets)) < 1e-6 else None


def _drawn(canvas: Canvas, counts: NDArray[np.int_], predicted: NDArray[np.int_] | None, source: str) -> None:
    ax = draw.axes(canvas, "class", "share of rows")
    places = np.arange(len(counts))
    width = 0.4 if predicted is not None else 0.8
    ax.bar(
        places - (0.2 if predicted is not None else 0), counts / counts.sum(), width, color=draw.SEEN, label=f"labels of {source}"
    )
    if predicted is not None:
        shares = np.bincount(predicted, minlength=len(counts))[: len(counts)] / len(predicted)
        ax.bar(places + 0.2, shares, width, color=draw.NULL, label=f"predictions after {STEPS} steps")
    if len(counts) <= 20:
        ax.set_xticks(places)
    draw.line(ax, float(counts.max() / counts.sum()), "always the largest class")
    draw.legend(ax)
