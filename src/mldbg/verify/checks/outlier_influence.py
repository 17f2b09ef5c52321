from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from scipy import stats
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import NO_PROBE, PROBE_NEXT, part, probe_of
from mldbg.verify.statistics import Floats, bootstrap_interval

BATCHES = 8
"""Batches that are looked at."""

LEAST_ROWS = 32
"""With fewer rows the largest of them says nothing."""

TOP = 0.01
"""Share of the rows that is compared with their share of the gradient."""

TIMES = 3.0
"""The top rows of normal targets may have their share of the gradient times this."""

DRAWS = 400
"""Normal samples of the null."""


class OutlierInfluence(Check):
    """no handful of rows dominates the gradient

    ## Why
    The gradient of a squared error grows with the residual: a few far-off targets can pull the whole fit. Huber's loss, an
    absolute error or a logarithm of the targets limits that. Whether they are right, or the best data there is, only the user
    knows.

    ## Measures
    Of a regression the share of the gradient's size (sum of the rows' norms) that comes from the top 1 % of the rows, at least
    one, for a prediction of the median. Its null is the same share for normal targets and a squared error, by simulation. It
    warns beyond 3 times that share and above the 99.9 % quantile. The excess kurtosis of the targets is given with a bootstrap
    interval.

    ## Causes
    - `outliers-dominate`: the top rows contribute an outsized part of the gradient.

    ## Limits
    It warns at most. It looks at targets, not at residuals of a trained model; `likelihood` looks at those.
    """

    id = "U8"
    stage = Stage.LOSS
    kind = Kind.HEURISTIC
    after = ("input-range", "pairing", "loss-direction")
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        if not bench.is_regression or len(torch.unique(bench.first[1])) <= 2:
            return self.skipped(
                "needs a regression with one output for each floating-point target", "not applicable to other experiments"
            )
        probe = probe_of(bench)
        if probe is None:
            return self.skipped(NO_PROBE, PROBE_NEXT)
        targets = _targets(bench)
        if len(targets) < LEAST_ROWS:
            return self.skipped(f"needs {LEAST_ROWS} rows, but there are {len(targets)}", "use a larger batch")
        if not bool(torch.isfinite(targets).all()):
            return self.cannot_tell("targets are not finite", "see input-range")
        norms = _norms(bench, targets)
        if norms is None or not norms.sum() > 0:
            return self.cannot_tell("the loss has no gradient at the median of the targets", "see gradient-check")
        top = max(1, math.ceil(TOP * len(norms)))
        share = float(np.sort(norms)[-top:].sum() / norms.sum())
        width = int(np.prod(targets.shape[1:])) or 1
        null = _null(len(norms), width, top, bench.rng(self.name))
        threshold = max(TIMES * float(null.mean()), float(np.quantile(null, 0.999)))
        values = targets.flatten().double().cpu().numpy()
        kurtosis = bootstrap_interval(values, lambda x: float(stats.kurtosis(x)), bench.rng("kurtosis"), draws=200)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Share of the gradient contributed by the rows",
                lambda canvas: _drawn(canvas, norms, width, bench),
                "Rows are sorted by the size of their gradient. Grey: normal targets with a squared error. A curve "
                "that stays low and rises at the end is dominated by a few rows.",
            ),
            "statistic": share,
            "null": f"{null.mean():.3g} for normal targets",
            "threshold": threshold,
            "rows": len(norms),
            "top_rows": top,
            "excess_kurtosis": kurtosis,
        }
        times = share / float(null.mean())
        said = (
            f"{top} of {len(norms)} rows contribute {share:.1%} of the gradient, {times:.2g} times as much as with normal targets"
        )
        if share > threshold:
            return self.warned(
                "outliers-dominate",
                said,
                "inspect these rows; if they are correct, use huber_loss or the logarithm of the targets",
                **numbers,
            )
        return self.passed(said, **numbers)


def _targets(bench: Bench) -> Tensor:
    """Targets of some batches, each batch once: a factory may make the same one each time."""
    found: list[Tensor] = []
    for seed in range(BATCHES):
        targets = bench.batch(seed)[1]
        if targets.shape[1:] == bench.first[1].shape[1:] and all(not torch.equal(targets, each) for each in found):
            found.append(targets)
    return torch.cat(found)


def _norms(bench: Bench, targets: Tensor) -> Floats | None:
    """The size of each row's gradient for a prediction of the median, shape (rows,)."""
    probe = probe_of(bench)
    assert probe is not None
    rows = bench.size
    centre = targets.double().flatten(1).median(0).values if targets.ndim > 1 else targets.double().median()
    norms = []
    for start in range(0, len(targets), rows):
        chosen = targets[start : start + rows]
        main = (torch.zeros_like(chosen, dtype=torch.float64).flatten(1) if chosen.ndim > 1 else chosen.double() * 0) + centre
        output = part(bench.output, rows, torch.arange(len(chosen)))
        try:
            gradient = probe.gradient(main.reshape(len(chosen), *probe.main.shape[1:]), chosen, output)
        except (ExperimentError, RuntimeError):
            return None
        if gradient is None:
            return None
        norms.append(len(chosen) * gradient.flatten(1).norm(dim=1) if gradient.ndim > 1 else len(chosen) * gradient.abs())
    return np.asarray(torch.cat(norms).double().cpu().numpy())


def _null(rows: int, width: int, top: int, rng: np.random.Generator) -> Floats:
    """The share of the top rows when targets are normal."""
    norms = np.sort(np.sqrt(rng.chisquare(width, (DRAWS, rows))), axis=1)
    return np.asarray(norms[:, -top:].sum(1) / norms.sum(1))


def _drawn(canvas: Canvas, norms: Floats, width: int, bench: Bench) -> None:
    ax = draw.axes(canvas, "share of the rows, smallest gradient first", "share of the gradient")
    x = np.linspace(0, 1, len(norms) + 1)
    normal = np.sort(np.sqrt(bench.rng("lorenz").chisquare(width, (100, len(norms)))), axis=1).cumsum(1)
    normal = np.hstack([np.zeros((100, 1)), normal / normal[:, -1:]])
    ax.fill_between(
        x, *np.quantile(normal, [0.005, 0.995], axis=0), color=draw.NULL, alpha=0.25, linewidth=0, label="normal targets"
    )
    ax.plot(x, np.append(0, np.sort(norms).cumsum()) / norms.sum(), color=draw.SEEN, label="these targets")
    draw.line(ax, 1 - TOP, f"top {TOP:.0%}", upright=True)
    draw.legend(ax)
