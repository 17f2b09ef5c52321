from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, dense
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import batches, can_be_sliced, rows
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded

PARTS = 32
"""Parts of a batch, at most; fewer rows than 8 are too few for an interval."""

PASSES = 16
"""Passes of the same batch, to see what the model's own randomness does."""

COORDINATES = 200_000
"""Coordinates of the gradient that are looked at, evenly spread."""

LEAST = 0.1
"""Share of signal in the squared gradient of one batch, below which a step is mostly in a random direction."""

MOST = 0.5
"""Share at which signal and noise are equal."""

BATCHES = 8
"""Batches that are drawn."""


@dataclass(frozen=True, slots=True)
class _Signal:
    """The share of signal in the squared gradient of one whole batch, with a jackknife interval at 99 %."""

    share: float
    low: float
    high: float

    @property
    def noise_scale(self) -> float:
        """Noise by signal, tr(S) / (B |G|^2): the batch would have to be so many times as large for both to be equal."""
        return (1 - self.share) / self.share if self.share > 0 else math.inf


class GradientNoise(Check):
    """the gradient of a batch is more than noise

    ## Why
    Where the gradient changes from batch to batch, or from pass to pass, by more than its length, training is a random walk, and
    no learning rate helps; a larger batch or less randomness does.

    ## Measures
    The gradient of a fresh model on parts of the batch, or of 8 batches where the factory draws them, in evaluation mode.
    Their scatter gives tr(S), the variance between rows, and with it the signal share: |G|^2 / (|G|^2 + tr(S) / B), of which
    the noise scale tr(S) / |G|^2 (McCandlish and others 2018) is another form: the batch size at which both are equal. The
    same for 16 passes of the whole batch in training mode, which differ by dropout and other randomness of the model. A
    jackknife gives 99 % intervals; a share whose upper bound is below 0.1 is a warning. The rate of turning points of the
    loss on one batch is given, too: 0 for a smooth curve, 2/3 for white noise, 1 for a loss that jumps back and forth at
    every step.

    ## Causes
    - `too-much-dropout`: passes of the same batch differ, without dropout they agree.
    - `random-step`: passes of the same batch differ for another reason: noise, shuffled rows, a random loss.
    - `gradient-is-noise`: the rows disagree: the batch is too small, or the targets have nothing to do with the inputs.

    ## Limits
    Fresh weights: near the end of training the signal is weaker in every healthy run. It warns and never fails.
    """

    id = "T4"
    stage = Stage.LEARNING
    kind = Kind.HEURISTIC
    after = (Stage.LOSS, Stage.WIRING, "first-non-finite")
    cost = 0.5

    def run(self, bench: Bench) -> Outcome:
        if bench.size < 8 or not can_be_sliced(bench):
            return self.skipped(
                "needs a batch of at least 8 rows whose tensors can be split along the first axis", "use such a batch"
            )
        between_rows, between_passes = _signal_of_rows(bench), _signal_of_passes(bench, bench.model(0))
        turns = _turning_rate(bench.overfit().losses)
        if between_rows is None or between_passes is None:
            return self.cannot_tell("the gradient is zero or not finite", "see gradient-reach and first-non-finite")
        worse = min(between_rows, between_passes, key=lambda signal: signal.share)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Signal in the squared gradient of one batch",
                lambda canvas: _drawn(canvas, between_rows, between_passes, bench.size),
                "By batch size, as predicted from the scatter between rows (line) with its 99 % interval (band); the "
                "mark is what the model's own randomness leaves.",
            ),
            "statistic": worse.share,
            "null": "1: every batch and every pass yields the same gradient",
            "threshold": LEAST,
            "between_rows": (between_rows.low, between_rows.high),
            "between_passes": (between_passes.low, between_passes.high),
            "noise_scale_rows": between_rows.noise_scale * bench.size,
            "turning_rate": turns,
        }
        if between_passes.high < LEAST:
            calm = bench.model(0)
            bench.without_regularisation(calm)
            quiet = _signal_of_passes(bench, calm)
            drops = quiet is not None and quiet.share > MOST
            return self.warned(
                "too-much-dropout" if drops else "random-step",
                f"{between_passes.share:.2g} of the squared gradient is signal (at most {between_passes.high:.2g}), the "
                f"rest differs from pass to pass of the same batch",
                "reduce the dropout" if drops else "find what is random in the model or the loss",
                **numbers,
            )
        if between_rows.high < LEAST:
            return self.warned(
                "gradient-is-noise",
                f"{between_rows.share:.2g} of the squared gradient is signal (at most {between_rows.high:.2g}): rows disagree",
                f"a batch of {bench.size * min(between_rows.noise_scale, 1e6):.0f} rows would be half signal; are the "
                "targets paired with the inputs?",
                **numbers,
            )
        interval = f"99 % interval {between_rows.low:.2g} to {between_rows.high:.2g}"
        if between_rows.low < LEAST and between_rows.high > MOST:
            return self.cannot_tell(
                f"{between_rows.share:.2g} of the squared gradient is signal, but the {interval} includes both noise and signal",
                "use larger batches, or a factory that draws new ones",
                **numbers,
            )
        return self.passed(
            f"{between_rows.share:.2g} of the squared gradient is signal between rows ({interval}), {between_passes.share:.2g} "
            "between passes of one batch",
            **numbers,
        )


def _signal_of_rows(bench: Bench) -> _Signal | None:
    """From parts of as many batches as the factory makes."""
    drawn = batches(bench, BATCHES)
    parts = PARTS if len(drawn) == 1 else PARTS // 4
    length = -(-bench.size // parts)
    model = _without_randomness(bench)
    slices = [slice(start, start + length) for start in range(0, bench.size - length + 1, length)]
    found = [_gradient(bench, model, rows(batch, part)) for batch in drawn for part in slices]
    return _signal(np.stack(found), len(slices))


def _signal_of_passes(bench: Bench, model: nn.Module) -> _Signal | None:
    found = []
    for seed in range(PASSES):
        with seeded(bench.experiment.seed + seed):
            found.append(_gradient(bench, model, bench.first))
    return _signal(np.stack(found), 1)


def _without_randomness(bench: Bench) -> nn.Module:
    model = bench.model(0).eval()
    for module in model.modules():
        if isinstance(module, nn.RNNBase):  # cuDNN has no backward of theirs in evaluation mode
            module.dropout = 0.0
            module.train()
    return model


def _gradient(bench: Bench, model: nn.Module, batch: Any) -> np.ndarray:
    inputs, targets = copied(batch)
    with torch.enable_grad():
        model.zero_grad(set_to_none=True)
        loss = bench.loss(bench.run(model, inputs), targets)
        if loss.requires_grad:
            loss.backward()  # type: ignore[no-untyped-call]
    whole = [dense(each.grad) for each in model.parameters() if each.requires_grad and each.grad is not None]
    count = sum(each.numel() for each in whole)
    step = max(1, count // COORDINATES)
    if not whole:
        return np.zeros(1)
    return torch.cat([each.reshape(-1)[::step].double().cpu() for each in whole]).numpy()


def _signal(gradients: np.ndarray, of_one_step: int) -> _Signal | None:
    """The share of signal in the square of one step's gradient, which is the mean of so many of these, shape (n, coordinates)."""
    n = len(gradients)
    total = gradients.sum(0)
    lengths = (gradients * gradients).sum(1)
    along = gradients @ total
    if not np.isfinite(lengths).all() or not lengths.max() > 0:
        return None

    def share(count: int, of_total: float, of_lengths: float) -> float:
        """From the squared length of the sum, and the sum of squared lengths."""
        mean_square = of_total / count**2
        scatter = max(of_lengths - count * mean_square, 0.0) / (count - 1)
        signal = max(mean_square - scatter / count, 0.0)
        return signal / max(signal + scatter / of_one_step, 1e-300)

    square, sum_of_squares = float(total @ total), float(lengths.sum())
    whole = share(n, square, sum_of_squares)
    without = np.array([share(n - 1, square - 2 * a + b, sum_of_squares - b) for a, b in zip(along, lengths, strict=True)])
    error = math.sqrt((n - 1) / n * float(((without - without.mean()) ** 2).sum()))
    return _Signal(whole, max(whole - 2.6 * error, 0.0), min(whole + 2.6 * error, 1.0))


def _turning_rate(losses: tuple[float, ...]) -> float:
    """Share of steps at which the loss turns from falling to rising or back."""
    changes = np.diff(np.asarray(losses))
    return float(np.mean(changes[1:] * changes[:-1] < 0)) if len(changes) > 1 else math.nan


def _drawn(canvas: Canvas, between_rows: _Signal, between_passes: _Signal, size: int) -> None:
    ax = draw.axes(canvas, "batch size [rows]", "share of signal in the squared gradient", log_x=True)
    sizes = np.geomspace(1, 64 * size, 60)

    def at(share: float) -> np.ndarray:
        ratio = (1 - share) / max(share, 1e-6)
        return np.asarray(1 / (1 + ratio * size / sizes))

    ax.fill_between(sizes, at(between_rows.low), at(between_rows.high), color=draw.SEEN, alpha=0.2, linewidth=0)
    ax.plot(sizes, at(between_rows.share), color=draw.SEEN, label="rows")
    ax.errorbar(
        [size],
        [between_passes.share],
        [[between_passes.share - between_passes.low], [between_passes.high - between_passes.share]],
        fmt="o",
        color=draw.GOOD,
        label="passes",
    )
    draw.line(ax, size, "your batch", upright=True)
    draw.line(ax, LEAST, "warning below", color=draw.BAD)
    ax.set_ylim(-0.02, 1.02)
    draw.legend(ax)
