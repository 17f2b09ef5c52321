from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from scipy import stats
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import loss_calls, part
from mldbg.verify.state import modes_preserved, seeded
from mldbg.verify.statistics import ALPHA, Floats, bootstrap_interval

BATCHES = 4
"""Batches whose rows are taken."""

STEPS = 100
"""Steps of training on one half of the rows."""

NOISE = -0.1
"""Share by which the error on unseen rows falls over the second half of training, below which noise is being learned."""

GENERAL = 1.5
"""Error on unseen rows over that on the rows trained on, below which the model has no error of its own to speak of."""

LEAST_ROWS = 64
"""Anderson and Darling's test sees Student's t with 3 degrees of freedom in so many rows four times out of five."""

MOST_COLUMNS = 4
"""Outputs whose residuals are looked at, evenly spaced."""

KURTOSIS = 1.0
"""Excess kurtosis of the residuals below which a squared error loses less than a tenth of its efficiency."""

EXPLAINED = 0.1
"""Share of the variance of squared residuals that must be explained before unequal variances matter."""


MOST_DOTS = 300
"""Dots in each half of the picture."""


@dataclass(frozen=True, slots=True)
class _Residuals:
    """Out-of-fold residuals and predictions, each of shape (rows, columns); residuals half-way through training, and those of the
    rows that were trained on, at the end.
    """

    left: Floats
    fitted: Floats
    halfway: Floats
    seen: Floats

    @property
    def improvement(self) -> float:
        """The share by which the median error fell over the second half of training."""
        return 1 - float(np.median(np.abs(self.left)) / max(float(np.median(np.abs(self.halfway))), 1e-300))

    @property
    def are_noise(self) -> bool:
        """Whether they are not the model's own error: it does no worse on unseen rows, or gets worse there while it trains on."""
        gap = float(np.sqrt(np.mean(self.left**2)) / max(float(np.sqrt(np.mean(self.seen**2))), 1e-300))
        return self.improvement < NOISE or (gap < GENERAL and self.improvement < -NOISE)


class Likelihood(Check):
    """residuals are what the squared error assumes: normal, with the same variance everywhere

    ## Why
    A squared error is, up to constants, the negative logarithm of a normal density with one variance: exp(-r^2 / 2 s^2), with the
    minus sign and the half that derivations tend to lose. Where residuals have long tails or a variance that depends on the
    prediction, another loss uses the data better.

    ## Measures
    The model is trained on one half of up to four batches, for 100 steps, and predicts the other half, and the other way round.
    Of these residuals: Anderson and Darling's test of normality with the excess kurtosis and its bootstrap interval, and
    Koenker's form of the Breusch-Pagan test, the regression of r^2 on the prediction and its square. The statistic is the excess
    kurtosis. It warns where a test rejects at 0.01 and the effect matters: a kurtosis whose interval lies above 1, more than a
    tenth of r^2 explained.

    ## Causes
    - `heavy-tails`: the residuals call for huber_loss or a Student's t likelihood.
    - `unequal-variance`: the residuals call for gaussian_nll_loss, or for the logarithm of the targets.

    ## Limits
    It warns at most, and needs a squared error and 64 rows. Where a model does worse on unseen rows than on those it was
    trained on, and still gets no worse there, what is left is its own error: CANNOT-TELL.
    """

    id = "U9"
    stage = Stage.LOSS
    kind = Kind.HEURISTIC
    after = ("input-range", "pairing", "loss-direction")
    cost = 0.8

    def run(self, bench: Bench) -> Outcome:
        if not bench.is_regression or not any(call.name == "mse_loss" for call in loss_calls(bench)):
            return self.skipped("needs a regression with mse_loss", "not applicable to other losses")
        pool = _pool(bench)
        if pool is None or pool[2] < LEAST_ROWS:
            return self.cannot_tell(
                f"{LEAST_ROWS} rows are needed to detect heavy tails, but there are {pool[2] if pool else bench.size}",
                "use a larger batch, or a batch() that draws a new one for each seed",
            )
        residuals = _residuals(bench, *pool)
        if not np.isfinite(residuals.left).all() or not (residuals.left.std(0) > 0).all():
            return self.cannot_tell("residuals are not finite, or all equal", "see first-non-finite")
        columns = residuals.left.shape[1]
        normal_p = min(1.0, columns * min(_normality_p(column) for column in residuals.left.T))
        scaled = residuals.left / residuals.left.std(0)
        low, high = bootstrap_interval(scaled, lambda x: float(np.mean(stats.kurtosis(x))), bench.rng(self.name), draws=300)
        seen = float(np.mean(stats.kurtosis(scaled)))
        tests = [_variance_test(left, fitted) for left, fitted in zip(residuals.left.T, residuals.fitted.T, strict=True)]
        variance_p, explained = min(1.0, columns * min(p for p, _ in tests)), float(np.mean([r2 for _, r2 in tests]))
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Residuals of rows that the model was not trained on",
                lambda canvas: _drawn(canvas, residuals),
                "Left: on the grey line residuals are normal. Right: squared residuals should not follow the prediction.",
            ),
            "statistic": seen,
            "null": "0: the excess kurtosis of a normal distribution",
            "threshold": KURTOSIS,
            "interval": (low, high),
            "normality_p": normal_p,
            "variance_p": variance_p,
            "variance_explained": explained,
            "rows": len(scaled),
            "improvement": residuals.improvement,
        }
        heavy, unequal = normal_p < ALPHA and low > KURTOSIS, variance_p < ALPHA and explained > EXPLAINED
        if (heavy or unequal) and not residuals.are_noise:
            return self.cannot_tell(
                f"the model's own error is among the residuals of unseen rows (they fell by {residuals.improvement:.0%} over the "
                f"last {STEPS // 2} steps)",
                "check the residuals of the fully trained model again",
                **numbers,
            )
        if heavy:
            return self.warned(
                "heavy-tails",
                f"the residuals have the excess kurtosis {seen:.2g} ({low:.2g} to {high:.2g}), normality is rejected (p = "
                f"{normal_p:.1g})",
                "check the largest residuals; huber_loss or a Student's t likelihood gives them less weight",
                **numbers,
            )
        if unequal:
            return self.warned(
                "unequal-variance",
                f"the prediction explains {explained:.0%} of the squared residuals (p = {variance_p:.1g})",
                "predict the variance too (gaussian_nll_loss), or the logarithm of the targets",
                **numbers,
            )
        return self.passed(
            f"the residuals of {len(scaled)} rows are consistent with a squared error (excess kurtosis {seen:.2g}, "
            f"{explained:.0%} of r^2 explained)",
            **numbers,
        )


def _pool(bench: Bench) -> tuple[Any, Tensor, int] | None:
    """Inputs and targets of some batches, each once, and the number of rows; None where they cannot be put together."""
    found: list[tuple[Any, Tensor]] = []
    for seed in range(BATCHES):
        inputs, targets = bench.batch(seed)
        if all(not torch.equal(targets, each[1]) for each in found if each[1].shape == targets.shape):
            found.append((inputs, targets))
    try:
        inputs = _joined([each[0] for each in found])
        targets = torch.cat([each[1] for each in found])
    except (RuntimeError, TypeError):
        return None
    return inputs, targets, len(targets)


def _joined(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(values)
    if isinstance(first, Mapping):
        return {key: _joined([each[key] for each in values]) for key in first}
    if isinstance(first, tuple | list):
        return type(first)(_joined([each[index] for each in values]) for index in range(len(first)))
    raise TypeError


def _residuals(bench: Bench, inputs: Any, targets: Tensor, rows: int) -> _Residuals:
    order = torch.from_numpy(bench.rng("likelihood, halves").permutation(rows)).to(targets.device)
    halves = order[: rows // 2], order[rows // 2 :]
    shape = rows, targets[0].numel()
    left, fitted, halfway, seen = (np.zeros(shape) for _ in range(4))
    for seed, (here, there) in enumerate([halves, halves[::-1]]):
        model = bench.model(seed)
        optimizer = bench.optimizer(model)
        chosen, others = part(inputs, rows, here), part(inputs, rows, there)
        wanted = targets[there].double().reshape(len(there), -1).cpu().numpy()
        at = there.cpu().numpy()
        with seeded(bench.experiment.seed + seed):
            for step in range(STEPS):
                bench.step(model, optimizer, copied(chosen), targets[here])
                if step == STEPS // 2:
                    halfway[at] = wanted - _predicted(bench, model, others)
            fitted[at] = _predicted(bench, model, others)
            left[at] = wanted - fitted[at]
            learned = targets[here].double().reshape(len(here), -1).cpu().numpy()
            seen[here.cpu().numpy()] = learned - _predicted(bench, model, chosen)
    columns = np.unique(np.linspace(0, left.shape[1] - 1, MOST_COLUMNS).astype(int))
    return _Residuals(left[:, columns], fitted[:, columns], halfway[:, columns], seen[:, columns])


def _predicted(bench: Bench, model: nn.Module, inputs: Any) -> Floats:
    with modes_preserved(model), torch.no_grad():
        model.eval()
        output = main_tensor(bench.run(model, copied(inputs)))
    assert output is not None
    return np.asarray(output.double().reshape(len(output), -1).cpu().numpy())


def _normality_p(values: Floats) -> float:
    """Anderson and Darling's test with estimated mean and variance; p after D'Agostino and Stephens (1986), table 4.9."""
    n = len(values)
    z = np.sort((values - values.mean()) / values.std(ddof=1))
    logs = stats.norm.logcdf(z) + stats.norm.logsf(z)[::-1]
    square = -n - float(((2 * np.arange(1, n + 1) - 1) * logs).sum()) / n
    a = min(square * (1 + 0.75 / n + 2.25 / n**2), 13.0)
    if a >= 0.6:
        return math.exp(1.2937 - 5.709 * a + 0.0186 * a * a)
    if a > 0.34:
        return math.exp(0.9177 - 4.279 * a - 1.38 * a * a)
    if a > 0.2:
        return 1 - math.exp(-8.318 + 42.796 * a - 59.938 * a * a)
    return 1 - math.exp(-13.436 + 101.14 * a - 223.73 * a * a)


def _variance_test(left: Floats, fitted: Floats) -> tuple[float, float]:
    """Koenker's (1981) n R^2 of r^2 on the prediction and its square: p-value and R^2."""
    centred = fitted - fitted.mean()
    scale = float(centred.std())
    if not scale > 0:
        return 1.0, 0.0
    x = np.column_stack([np.ones_like(left), centred / scale, (centred / scale) ** 2])
    square = left**2
    error = square - x @ np.linalg.lstsq(x, square, rcond=None)[0]
    r2 = max(0.0, 1 - float(error @ error) / float(((square - square.mean()) ** 2).sum()))
    return float(stats.chi2.sf(len(left) * r2, 2)), r2


def _drawn(canvas: Canvas, residuals: _Residuals) -> None:
    left, right = canvas.subplots(1, 2)
    z = np.sort((residuals.left / residuals.left.std(0)).ravel())
    normal = stats.norm.ppf((np.arange(len(z)) + 0.5) / len(z))
    draw.dressed(left, "quantile of a normal distribution [sd]", "residual [sd]")
    left.plot(normal, normal, color=draw.NULL, linestyle="--", linewidth=1, label="normal")
    shown = np.unique(
        np.concatenate([np.linspace(0, len(z) - 1, MOST_DOTS).astype(int), np.arange(-20, 20)]) % len(z)
    )  # all of both tails
    left.plot(normal[shown], z[shown], ".", color=draw.SEEN, markersize=3, label="residuals")
    draw.legend(left)
    draw.dressed(right, "prediction [sd]", "squared residual [variance]")
    scale = residuals.fitted.std(0)
    fitted = (residuals.fitted - residuals.fitted.mean(0)) / np.where(scale > 0, scale, 1)
    squares = ((residuals.left / residuals.left.std(0)) ** 2).ravel()
    every = -(-len(squares) // MOST_DOTS)
    right.plot(fitted.ravel()[::every], squares[::every], ".", color=draw.SEEN, markersize=3)
    draw.line(right, 1.0, "equal variance")
    draw.legend(right)
