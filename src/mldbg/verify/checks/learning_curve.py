from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from scipy import stats
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.learning import optimizer_of
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import perfect_output, probe_of
from mldbg.verify.state import modes_preserved, seeded

SHARES = (1 / 4, 1 / 2, 1.0)
"""Parts of the training rows."""

SEEDS = 3
"""Runs of each."""

STEPS = 120
"""Steps of each run, at the size of the user's batch."""

MARGIN = 0.1
"""Difference of skills that matters."""

DRAWS = 300
"""Bootstrap draws over test rows."""

BESIDE = 0.1
"""How far beside the target the loss must be higher, in standard deviations and relative."""

LEAST_ROWS = 64
"""Rows of the training part, and of the test part, at least."""


@dataclass(frozen=True, slots=True)
class _Task:
    """The arrays as tensors that the model takes, and how skill is measured: 1 is perfect, 0 the best constant prediction."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    kind: str


@dataclass(frozen=True, slots=True)
class _Run:
    """Predictions of one trained model, shape (rows,) or (rows, K), for the training rows it saw and for the test rows."""

    seen: int
    train: np.ndarray
    test: np.ndarray
    falling: bool


class LearningCurve(Check):
    """the model does better than a linear one, on rows it has seen and on new ones

    ## Why
    A large gap between training and test is not a fault by itself, and neither is a small one. What matters is whether a
    cheap reference gets more out of the same data: on the training rows (underfit) or on the test rows (overfit).

    ## Measures
    Fresh models are trained for 120 steps on 1/4, 1/2 and all of `train`, with three seeds each. Skill is accuracy, area
    under the ROC curve or R^2, scaled so that 1 is perfect and 0 the best constant. The gap between training and test
    skill has a bootstrap interval over test rows at 99 %, and the test skill in the number n of rows a fit a - b n^-c. The
    reference is a ridge regression (of one-hot classes), its penalty chosen by generalised cross-validation. The statistic is the
    test skill of the model less that of the reference; differences below 0.1 do not count.

    ## Causes
    - `underfit`: after its loss has plateaued, the model does worse than a linear one on the rows it was trained on.
    - `overfit`: it does better there, and worse on the test rows (bootstrap interval).

    ## Limits
    120 steps are not a full training run: a model whose loss is still falling gets CANNOT-TELL instead of underfit. It warns
    and never fails. It needs inputs that are one tensor, and targets that are class ids or one number for each row, and an
    output that predicts them as it is: the loss must be lower at the target than beside it.
    """

    id = "T6"
    stage = Stage.LEARNING
    kind = Kind.HEURISTIC
    needs = ("train", "test")
    after = (Stage.APPARATUS, Stage.LOSS, Stage.WIRING, "overfit-one-batch", "learning-rate")
    cost = 3.0

    def run(self, bench: Bench) -> Outcome:
        task = _task(bench)
        if task is None:
            return self.skipped(
                f"needs at least {LEAST_ROWS} rows of train and test in the shape of the batch, class ids or one number as "
                "targets, and a loss that takes the output for a prediction of them",
                "provide train and test in the form the model receives",
            )
        runs = [[_trained(bench, task, int(len(task.x) * share), seed) for seed in range(SEEDS)] for share in SHARES]
        y, y_test = task.y.cpu().numpy(), task.y_test.cpu().numpy()
        train = np.array([[_skill(task.kind, run.train, y[: run.seen]) for run in row] for row in runs])
        test = np.array([[_skill(task.kind, run.test, y_test) for run in row] for row in runs])
        linear, linear_test = _ridge(task)
        rungs = _skill(task.kind, linear, y), _skill(task.kind, linear_test, y_test)
        sizes = np.array([row[0].seen for row in runs])
        gap, better = _intervals(bench, task.kind, runs[-1], linear_test, y_test, float(train[-1].mean()))
        asymptote = _asymptote(sizes, test.mean(1))
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Skill on training rows and on new rows",
                lambda canvas: _drawn(canvas, sizes, train, test, rungs[1]),
                "Mean and range of three seeds. 1 is perfect, 0 the best constant prediction. Dashed: ridge regression on "
                "all rows.",
            ),
            "statistic": float(test[-1].mean() - rungs[1]),
            "null": "at least 0: no worse than a linear model",
            "threshold": -MARGIN,
            "train_skill": train.tolist(),
            "test_skill": test.tolist(),
            "ridge": rungs,
            "gap": gap,
            "asymptote": asymptote,
        }
        measured = (
            f"skill {train[-1].mean():.2f} on training rows, {test[-1].mean():.2f} on test rows (ridge "
            f"{rungs[0]:.2f}, {rungs[1]:.2f})"
        )
        if train[-1].max() < rungs[0] - MARGIN:
            if any(run.falling for run in runs[-1]):
                return self.cannot_tell(f"{measured}; the loss is still falling after {STEPS} steps", "train longer", **numbers)
            return self.failed(
                "underfit",
                f"the model does worse than a linear one on its own training rows: {measured}",
                "look for a bottleneck, too much regularisation, or inputs that get lost",
                **numbers,
            )
        if train[-1].min() > rungs[0] and better[1] < -MARGIN:
            return self.failed(
                "overfit",
                f"the model does better than a linear one on training rows but worse on new ones: {measured}",
                "regularise, use more rows, or look for wrong labels among the memorised rows",
                **numbers,
            )
        return self.passed(
            f"{measured}; gap {gap[0]:.2f} to {gap[1]:.2f}, extrapolated to infinite rows {asymptote:.2f}", **numbers
        )


# -------------------------------------------------------------------------------------------------------------------- the data
def _task(bench: Bench) -> _Task | None:
    inputs, targets = bench.first
    if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor) or targets.shape[:1] != (bench.size,):
        return None
    if bench.classes is not None and targets.ndim == 1:
        kind = "classes"
    elif bench.is_regression and targets.numel() == bench.size:
        kind = "binary" if set(torch.unique(targets).tolist()) <= {0.0, 1.0} else "numbers"
    else:
        return None
    if not _is_prediction(bench, kind):
        return None
    tensors = []
    for part in ("train", "test"):
        x, y = bench.arrays(part)
        per_row = inputs[0].numel()
        if len(x) < LEAST_ROWS or x.shape[1] != per_row or y.size != len(x) or len(np.unique(y)) < 2:
            return None
        order = bench.rng("learning-curve").permutation(len(x))
        tensors.append(torch.from_numpy(x[order].reshape(-1, *inputs.shape[1:])).to(inputs.device, inputs.dtype))
        tensors.append(torch.from_numpy(np.asarray(y).reshape(-1)[order].astype(np.float64)).to(targets.device, targets.dtype))
    return _Task(tensors[0], tensors[1], tensors[2], tensors[3], kind)


def _is_prediction(bench: Bench, kind: str) -> bool:
    """Whether the loss takes the output for a prediction of the target: it is lower at the target than beside it.

    The logarithm of a rate, a cumulative logit, the embedding of a row have other scales, on which skill says nothing.
    """
    probe = probe_of(bench)
    perfect = perfect_output(probe) if probe is not None else None
    if probe is None or perfect is None:
        return False
    step = BESIDE * float(perfect.std())
    if kind == "numbers":
        beside = [perfect + step, perfect - step, perfect * (1 + BESIDE), perfect * (1 - BESIDE)]
    else:
        beside = [torch.roll(perfect, 1, 1) if kind == "classes" else perfect.max() + perfect.min() - perfect]
    try:
        return all(probe.at(perfect) < probe.at(other) for other in beside)
    except ExperimentError:
        return False


def _trained(bench: Bench, task: _Task, seen: int, seed: int) -> _Run:
    model = bench.model(seed)
    optimizer = optimizer_of(bench, model, seed)
    rng = np.random.default_rng([bench.experiment.seed, seed, seen])
    shape = bench.first[1].shape[1:]
    losses: list[float] = []
    with seeded(bench.experiment.seed + seed):
        order = np.empty(0, dtype=int)
        for _ in range(STEPS):
            if len(order) < min(bench.size, seen):
                order = rng.permutation(seen)
            chosen, order = torch.from_numpy(order[: bench.size]), order[bench.size :]
            chosen = chosen.to(task.x.device)
            losses.append(bench.step(model, optimizer, task.x[chosen], task.y[chosen].reshape(-1, *shape)))
            if not math.isfinite(losses[-1]):
                raise ExperimentError("the loss is not finite when training on rows of train()")
    quarter = STEPS // 4
    third, last = np.mean(losses[-2 * quarter : -quarter]), np.mean(losses[-quarter:])
    return _Run(
        seen,
        _predicted(bench, model, task.x[:seen]),
        _predicted(bench, model, task.x_test),
        bool(third - last > 0.05 * abs(last)),
    )


def _predicted(bench: Bench, model: torch.nn.Module, x: Tensor) -> np.ndarray:
    with modes_preserved(model), torch.no_grad():
        model.eval()
        parts = [main_tensor(bench.run(model, part.clone())) for part in torch.split(x, 256)]
    return torch.cat([part.reshape(len(part), -1).double().cpu() for part in parts if part is not None]).numpy()


def _ridge(task: _Task) -> tuple[np.ndarray, np.ndarray]:
    """Predictions of a ridge regression for training and test rows; the penalty has the least generalised cross-validation."""
    x, x_test = (each.double().cpu().reshape(len(each), -1).numpy() for each in (task.x, task.x_test))
    y = task.y.cpu().numpy()
    wanted = np.eye(int(y.max()) + 1)[y.astype(int)] if task.kind == "classes" else y[:, None].astype(float)
    middle, spread = x.mean(0), x.std(0)
    spread[spread == 0] = 1
    x, x_test = (x - middle) / spread, (x_test - middle) / spread
    mean = wanted.mean(0)
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    along = u.T @ (wanted - mean)
    best, least = 1.0, math.inf
    for penalty in np.geomspace(1e-3, 1e4, 15) * max(float(s[0]) ** 2 / len(x), 1e-12):
        shrink = s**2 / (s**2 + penalty)
        error = float(((wanted - mean - u @ (shrink[:, None] * along)) ** 2).mean()) / max(1 - shrink.sum() / len(x), 1e-3) ** 2
        if error < least:
            best, least = float(penalty), error
    weights = vt.T @ ((s / (s**2 + best))[:, None] * along)
    return x @ weights + mean, x_test @ weights + mean


# ------------------------------------------------------------------------------------------------------------------ the skills
def _skill(kind: str, predicted: np.ndarray, y: np.ndarray) -> float:
    """1 is perfect, 0 the best constant prediction."""
    if kind == "classes":
        usual = np.unique(y, return_counts=True)[1].max() / len(y)
        return float((np.mean(predicted.argmax(1) == y) - usual) / max(1 - usual, 1e-9))
    values = predicted.reshape(-1)
    if kind == "binary":
        positive = y > 0.5
        pairs = max(int(positive.sum() * (~positive).sum()), 1)
        above = stats.rankdata(values)[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
        return float(2 * above / pairs - 1)
    return float(1 - np.mean((values - y) ** 2) / max(np.var(y), 1e-300))


def _intervals(
    bench: Bench, kind: str, runs: list[_Run], linear: np.ndarray, y: np.ndarray, train: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Bootstrap intervals at 99 % over test rows: of the gap to the training skill, and of the lead over the linear model."""
    rng = bench.rng("learning-curve bootstrap")
    gaps, leads = [], []
    for _ in range(DRAWS):
        rows = rng.integers(0, len(y), len(y))
        skill = float(np.mean([_skill(kind, run.test[rows], y[rows]) for run in runs]))
        gaps.append(train - skill)
        leads.append(skill - _skill(kind, linear[rows], y[rows]))
    low, high = np.quantile(gaps, [0.005, 0.995]), np.quantile(leads, [0.005, 0.995])
    return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))


def _asymptote(sizes: np.ndarray, skills: np.ndarray) -> float:
    """`a` of the best fit a - b n^-c to mean test skills, with 0.1 <= c <= 2 and b >= 0, at most 1."""
    best, least = float(skills[-1]), math.inf
    for exponent in np.linspace(0.1, 2, 20):
        design = np.stack([np.ones(len(sizes)), -(sizes**-exponent)], 1)
        (a, b), *_ = np.linalg.lstsq(design, skills, rcond=None)
        error = float(((design @ (a, b) - skills) ** 2).sum())
        if b >= 0 and a <= 1 and error < least:
            best, least = float(a), error
    return best


def _drawn(canvas: Canvas, sizes: np.ndarray, train: np.ndarray, test: np.ndarray, rung: float) -> None:
    ax = draw.axes(canvas, "training rows", "skill", log_x=True)
    for skills, colour, label in ((train, draw.GOOD, "training rows"), (test, draw.SEEN, "test rows")):
        ax.fill_between(sizes, skills.min(1), skills.max(1), color=colour, alpha=0.2, linewidth=0)
        ax.plot(sizes, skills.mean(1), "o-", color=colour, markersize=3, label=label)
    draw.line(ax, rung, "ridge, test rows")
    draw.line(ax, 0.0, "best constant", color=draw.BAD)
    draw.legend(ax)
