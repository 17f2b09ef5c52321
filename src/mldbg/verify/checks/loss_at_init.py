from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.statistics import PERMUTATIONS

MOST_SDS = 4.0
"""Standard deviations of the permutation null beyond which the loss is not that of an untrained model."""


class LossAtInit(Check):
    """the loss of an untrained model is what chance predicts

    ## Why
    An untrained model knows nothing of the labels. Its loss must be the one that it would have with the labels dealt out
    anew. Where it is not, labels are ignored, the reduction or the number of classes is wrong, or the weights are not fresh.

    ## Measures
    The loss on a batch, in standard deviations of its permutation null: the same outputs with permuted targets. This holds
    for every loss and every scale of the initial weights, where "about ln K" does not (for cross-entropy the null mean is
    the mean of logsumexp(z) - sum of pi_c z_c over the batch, with the class shares pi). Beyond 4 standard deviations it fails.

    ## Causes
    - `pretrained-weights`: the loss is lower than chance: the model has seen these labels.
    - `worse-than-chance`: the loss is higher than chance: outputs and targets disagree systematically, as after a wrong sign.

    ## Limits
    It cannot see labels that are ignored (that is `pairing`), and needs a batch of 8 rows with at least two different targets.
    """

    id = "U1"
    stage = Stage.LOSS
    kind = Kind.STATISTICAL
    after = ("input-range",)
    cost = 0.3

    def run(self, bench: Bench) -> Outcome:
        _, targets = bench.first
        if not _can_be_permuted(targets, bench.size):
            return self.skipped(
                "needs a batch of at least 8 rows whose targets are one tensor and not all the same", "give a larger batch"
            )
        seen, null = bench.once("loss at init", lambda: _measured(bench))
        spread = float(null.std(ddof=1))
        floor = 1e-6 * max(abs(float(null.mean())), np.finfo(np.float64).tiny)
        z = (seen - float(null.mean())) / max(spread, floor)
        figure = Figure(
            "The loss of the untrained model against its permutation null",
            lambda canvas: _drawn(canvas, seen, null, bench.classes),
            "Grey: the same outputs with permuted targets. Blue: the loss as it is. It should lie within the grey.",
        )
        numbers: dict[str, Any] = {
            "figure": figure,
            "statistic": z,
            "null": "0 within 4: the loss does not depend on which target belongs to which row",
            "threshold": MOST_SDS,
            "loss": seen,
            "expected": float(null.mean()),
        }
        if abs(z) <= MOST_SDS:
            return self.passed(f"the loss {seen:.4g} is that of chance, {null.mean():.4g} ({z:+.1f} sd)", **numbers)
        low = z < 0
        return self.failed(
            "pretrained-weights" if low else "worse-than-chance",
            f"the loss {seen:.4g} of the untrained model is {abs(z):.1f} standard deviations {'below' if low else 'above'} "
            f"that of chance, {null.mean():.4g}",
            "check that the factory makes fresh weights" if low else "check the sign of the loss and the order of the classes",
            **numbers,
        )


def _can_be_permuted(targets: object, size: int) -> bool:
    return isinstance(targets, Tensor) and size >= 8 and targets.shape[:1] == (size,) and len(torch.unique(targets, dim=0)) > 1


def _measured(bench: Bench) -> tuple[float, np.ndarray]:
    """The loss of the untrained model on the batch, and with permuted targets."""
    inputs, targets = bench.first
    rng = bench.rng("loss-at-init")
    model = bench.model(0).eval()
    with torch.no_grad():
        output = bench.run(model, copied(inputs))
        seen = float(bench.loss(output, copied(targets)))
        null = [
            float(bench.loss(output, targets[torch.from_numpy(rng.permutation(bench.size)).to(targets.device)]))
            for _ in range(PERMUTATIONS)
        ]
    return seen, np.array(null)


def _drawn(canvas: Canvas, seen: float, null: np.ndarray, classes: int | None) -> None:
    draw.null_histogram(canvas, null, seen, "loss of the untrained model [nats]" if classes else "loss of the untrained model")
    if classes:
        draw.line(canvas.axes[0], math.log(classes), "ln K", upright=True)
        draw.legend(canvas.axes[0])
