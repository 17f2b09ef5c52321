from __future__ import annotations

import itertools
import math
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
from mldbg.verify.probe import LOGITS, class_axis, loss_calls, permuted
from mldbg.verify.state import seed_all, seeded
from mldbg.verify.statistics import ALPHA, Floats, entropy

MOST_SDS = 4.0
"""Standard deviations beyond which the loss is not that of an untrained model."""

MODELS = 12
"""Fresh models: the smallest p-value of their signs is 2 / 2^12, far below ALPHA."""

DEALS = 40
"""Permutations of the targets for each model."""

MOST_VARIANCE = 2.0
"""Variance of the logits over the classes. The loss of chance exceeds ln K by about half of it: one nat."""

MOST_OFFSET = 3.0
"""Standard deviations of the targets between their mean and that of the outputs."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Losses of fresh models.

    seen: of each model. dealt: with permuted targets, shape (models, DEALS).
    """

    seen: Floats
    dealt: Floats

    @property
    def deviations(self) -> Floats:
        """Of each model, in standard deviations of its permuted losses."""
        centre, spread = self.dealt.mean(1), self.dealt.std(1, ddof=1)
        floor = 1e-6 * np.maximum(np.abs(centre), np.finfo(np.float64).tiny)
        return np.asarray((self.seen - centre) / np.maximum(spread, floor))


class LossAtInit(Check):
    """the loss of untrained models is what chance predicts

    ## Why
    An untrained model knows nothing about the labels. Its loss must be the same as with shuffled labels. If it is not, the
    weights are not fresh. A model that starts far from chance has to unlearn before it learns.

    ## Measures
    The loss on a batch, in standard deviations of its permutation null: the same outputs with permuted targets. This holds
    for every loss and every scale of the initial weights, where "about ln K", "within 75 %" or "within a factor of 2" do not
    (for cross-entropy the null mean is the mean of logsumexp(z) - sum of pi_c z_c over the batch, with the class shares pi).
    One fresh model is no evidence: where an input predicts the target, random weights are correlated with it too, with a
    random sign. So 12 fresh models are measured; their deviations must not share a sign (exact sign-flip test of the mean),
    nor exceed 4. Even then it may be the architecture: a network that adds its input to its output starts close to targets
    that resemble the input. So the same is done with 12 copies whose layers are reinitialised: they must not show it as well
    (half of it or more), and must differ by a rank test; where the factory makes the same weights each time, by 4 of the
    copies' standard deviations. Separately, of cross-entropy the variance of the logits over the classes, of a squared error
    the distance of the targets' mean from that of the outputs.

    ## Causes
    - `pretrained-weights`: the loss is lower than chance: the model has seen these labels.
    - `worse-than-chance`: the loss is higher than chance: trained weights, and labels in another order than they were trained on.
    - `over-confident`: the variance of the logits exceeds 2, and the loss starts a nat above chance (warns): unscaled inputs, or
      initial weights that are too large.
    - `targets-not-centred`: the targets' mean is more than 3 of their standard deviations from the outputs (warns).

    ## Limits
    It cannot see labels that are ignored (that is `pairing`), nor a sum in place of a mean (`reduction-exponent`), and needs a
    batch of 8 rows with at least two different targets. A low loss is no sign of leaked labels: an untrained model cannot exploit
    them. Weights that are set to the identity on purpose are taken for trained ones.
    """

    id = "U1"
    stage = Stage.LOSS
    kind = Kind.STATISTICAL
    after = ("input-range",)
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        _, targets = bench.first
        if not _can_be_permuted(targets, bench.size):
            return self.skipped(
                "needs a batch of at least 8 rows whose targets are one tensor and not all equal", "use a larger batch"
            )
        measured = bench.once("loss at init", lambda: _measured(bench))
        if not (np.isfinite(measured.seen).all() and np.isfinite(measured.dealt).all()):
            return self.cannot_tell("the loss of an untrained model is not finite", "see input-range and first-non-finite")
        deviations = measured.deviations
        z, p_value = float(np.median(deviations)), _sign_flip_p(deviations)
        same = float(np.ptp(measured.seen)) <= 1e-6 * float(np.abs(measured.seen).max())
        beyond, built_in = False, False
        if abs(z) > MOST_SDS and (same or p_value < ALPHA):
            anew = bench.once("loss at init, anew", lambda: _measured(bench, anew=True)).deviations
            built_in = float(np.median(anew)) * z > 0 and abs(float(np.median(anew))) > abs(z) / 2
            if same:
                gap = abs(z - float(np.median(anew))) / max(1.0, float(anew.std(ddof=1)))
                beyond, p_value = gap > MOST_SDS and not built_in, 2 * float(stats.t.sf(gap, MODELS - 1))
            else:
                p_value = max(p_value, float(stats.mannwhitneyu(deviations, anew).pvalue))
                beyond = not built_in
        seen, expected = float(measured.seen.mean()), float(measured.dealt.mean())
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Loss of untrained models against their permutation null",
                lambda canvas: _drawn(canvas, measured, bench),
                "Grey: the same outputs with permuted targets. Blue: the actual targets, which should lie among the grey.",
            ),
            "statistic": z,
            "null": "within 4 of 0: the loss does not depend on which target belongs to which row",
            "threshold": MOST_SDS,
            "p_value": p_value,
            "loss": seen,
            "expected": expected,
            "models": MODELS,
        }
        if beyond and p_value < ALPHA:
            low = z < 0
            return self.failed(
                "pretrained-weights" if low else "worse-than-chance",
                f"the loss {seen:.4g} of untrained models is {abs(z):.1f} standard deviations {'below' if low else 'above'} "
                f"the chance level of {expected:.4g}",
                "check that the factory creates fresh weights" if low else "check the order of the classes and of the labels",
                **numbers,
            )
        numbers.pop("p_value")
        return self._far_start(bench, expected, numbers) or self.passed(
            f"the loss {seen:.4g} matches chance, {expected:.4g} ({z:+.1f} sd)"
            + (_EXCUSES[built_in] if abs(z) > MOST_SDS else ""),
            p_value=p_value,
            **numbers,
        )

    def _far_start(self, bench: Bench, expected: float, numbers: dict[str, Any]) -> Outcome | None:
        """A warning where the untrained model starts far from the best that it can say without looking at the inputs."""
        names = {call.name for call in loss_calls(bench)}
        main, axis, targets = main_tensor(bench.output), class_axis(bench), bench.first[1]
        if main is None:
            return None
        if axis is not None and LOGITS in {call.wants for call in loss_calls(bench)}:
            variance = float(main.double().var(axis, correction=0).mean())
            numbers["variance_of_logits"] = variance
            if variance > MOST_VARIANCE:
                return self.warned(
                    "over-confident",
                    f"the logits of an untrained model have a variance of {variance:.3g} over the classes: the loss "
                    f"{expected:.4g} starts "
                    f"{expected - math.log(main.shape[axis]):.3g} above ln K = {math.log(main.shape[axis]):.4g}",
                    "scale the inputs to a standard deviation near 1, or make the last layer's initial weights smaller",
                    **numbers,
                )
        elif bench.is_regression and "mse_loss" in names:
            y = targets.double().flatten()
            offset = abs(float(y.mean() - main.double().mean())) / max(float(y.std()), 1e-300)
            numbers["offset_of_targets"] = offset
            if offset > MOST_OFFSET:
                return self.warned(
                    "targets-not-centred",
                    f"the targets' mean is {offset:.3g} of their standard deviations away from the outputs: the loss "
                    f"{expected:.4g} is mostly that offset, their variance is {float(y.var()):.4g}",
                    "subtract the mean of the training targets, or set the last layer's bias to it",
                    **numbers,
                )
        return None


_EXCUSES = {
    True: ", as it also is with reinitialised layers: it comes from the architecture",
    False: ", and fresh models deviate as much in both directions",
}


def _can_be_permuted(targets: object, size: int) -> bool:
    return isinstance(targets, Tensor) and size >= 8 and targets.shape[:1] == (size,) and len(torch.unique(targets, dim=0)) > 1


def _measured(bench: Bench, *, anew: bool = False) -> _Measured:
    """Losses of fresh models, or of copies of the first one whose layers are initialised anew."""
    inputs, targets = bench.first
    rng = bench.rng("loss-at-init")
    seen, dealt = [], []
    for seed in range(MODELS):
        model = bench.model(0 if anew else seed).eval()
        with torch.no_grad(), seeded(bench.experiment.seed + seed):
            if anew:
                seed_all(bench.experiment.seed + 1000 + seed)
                _initialised(model)
            output = bench.run(model, copied(inputs))
            seen.append(float(bench.loss(output, copied(targets))))
            orders = [torch.from_numpy(rng.permutation(bench.size)) for _ in range(DEALS)]
            dealt.append([float(bench.loss(output, permuted(targets, order))) for order in orders])
    return _Measured(np.array(seen), np.array(dealt))


def _initialised(model: nn.Module) -> None:
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()


def _sign_flip_p(values: Floats) -> float:
    """Two-sided p-value of a mean, exact over all choices of signs."""
    signs = np.array(list(itertools.product((1.0, -1.0), repeat=len(values))))
    return float(np.mean(np.abs(signs @ values) >= abs(values.sum()) * (1 - 1e-12)))


def _drawn(canvas: Canvas, measured: _Measured, bench: Bench) -> None:
    unit = " [nats]" if bench.classes else ""
    ax = draw.axes(canvas, f"loss of untrained models{unit}", "permutations")
    ax.hist(measured.dealt.ravel(), bins=40, color=draw.NULL, alpha=0.5, label="permuted targets")
    ax.plot(measured.seen, np.zeros(MODELS), "|", color=draw.SEEN, markersize=24, markeredgewidth=2, label="targets as they are")
    targets = bench.first[1]
    if bench.classes:
        draw.line(ax, math.log(bench.classes), "ln K: uniform", upright=True)
        kept = targets[(targets >= 0) & (targets < bench.classes)]
        counts = torch.bincount(kept.flatten().long(), minlength=bench.classes).cpu().numpy()
        if counts.sum():
            draw.line(ax, entropy(counts.astype(float)), "H: class shares", color=draw.GOOD, upright=True)
    elif bench.is_regression and any(call.name == "mse_loss" for call in loss_calls(bench)):
        draw.line(ax, float(targets.double().var()), "variance of the targets", color=draw.GOOD, upright=True)
    draw.legend(ax)
