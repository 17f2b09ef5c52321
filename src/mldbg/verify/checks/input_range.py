from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, has_square, is_square, main_tensor, mapped, tensors_in
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.outcome import Figure, Outcome, Verdict
from mldbg.verify.state import modes_preserved, seeded

MOST_MEAN = 3.0
"""Distance of a channel's mean from zero, in its standard deviations."""

SD_RANGE = (0.1, 10.0)
"""Standard deviations of a channel for which usual initial weights are made."""

MOST_LOGIT_VARIANCE = 1.0
"""Variance over the classes: beyond, the initial loss exceeds ln K by more than half a nat."""

LEAST_UNCERTAINTY = 0.5
"""Entropy of the untrained model's prediction, as a share of ln K, below which it has decided before it has learned."""

MOST_LOSS_RATIO = {"classes": 2.0, "values": 10.0}
"""Initial loss on the inputs as they are over that on standardised inputs."""

FADED = 0.03
"""The outputs' spread over the rows, over that on standardised inputs, below which the inputs hardly reach the output."""

FEWEST_ROWS = 4
"""Fewer equal rows may be a coincidence."""


class InputRange(Check):
    """inputs are finite, differ between rows, and have a scale that the untrained model can work with

    ## Why
    One NaN in a batch ruins a training run; identical rows cannot be distinguished; pixels from 0 to 255 make an untrained
    network so confident that it starts with ten times the loss of chance.

    ## Measures
    Exactly: NaN, infinite values (a mask of zeros and minus infinities is none), rows that are all the same. The scale is judged
    by its effect, as a cause needs one: where a channel is out of range (mean beyond 3 sd, sd outside 0.1 to 10), untrained
    models get the batch as it is and standardised. A warning says that standardising takes the logits' class variance from
    above 1 to less than half (an excess of half a nat over ln K: the excess is about half the variance). It fails where the
    prediction on the batch as it is has less than half of the entropy ln K *and* standardising alone halves the initial
    loss. A model that normalises its inputs itself shows no effect and passes; so does one that was trained at this scale.

    ## Causes
    - `non-finite-input`: NaN or infinite inputs (a warning where the outputs stay finite: the model expects them).
    - `constant-input`: all rows of the batch are the same, while targets differ (a warning where they do not).
    - `unscaled-input`: the scale of the inputs alone spoils the start.

    ## Limits
    Tokens have no scale. Without class ids or values as targets the scale is not judged. Constant columns are common and only
    counted.
    """

    id = "A3"
    stage = Stage.APPARATUS
    kind = Kind.EXACT
    cost = 0.1

    def run(self, bench: Bench) -> Outcome:
        inputs, targets = bench.first
        tensors = [each for each in tensors_in(inputs) if each.ndim]
        if not tensors:
            return self.skipped("the inputs have no tensor with a batch axis", "use a batch of tensors")
        channels = _channels(inputs)
        figure = Figure(
            "Location and spread of every input channel",
            lambda canvas: _drawn(canvas, channels),
            "Dots: means; whiskers: one standard deviation. Grey: the standard normal within 3 sd; red dots: out of range.",
        )
        broken = self._non_finite(bench, figure)
        if broken is not None:
            return broken
        if bench.size < 2:
            return self.skipped("a batch of one row has no spread", "use a larger batch")
        same = all(bool((each == each[:1]).all()) for each in tensors)
        if same:
            return self._constant(bench, targets, figure)
        off = [each for each in channels if each.off]
        constant = sum(each.sd == 0 for each in channels)
        note = f"; {constant} of {len(channels)} channels are constant" if constant else ""
        if not off:
            return self.passed(
                f"inputs are finite, differ between rows, and all {len(channels)} channels are in range{note}"
                if channels
                else "inputs are tokens, and rows differ",
                figure,
                statistic=max((each.offset for each in channels), default=0.0),
                null="every channel has |mean| < 3 sd and an sd between 0.1 and 10",
                threshold=1.0,
                constant_channels=constant,
            )
        return self._scale(bench, off, channels, note, figure)

    def _non_finite(self, bench: Bench, figure: Figure) -> Outcome | None:
        bad, total = _non_finite(bench.first[0])
        where = "the batch"
        if not bad and bench.experiment.train is not None:
            x = bench.arrays("train")[0]
            bad, total, where = int((~np.isfinite(x)).sum()), x.size, "train"
        if not bad:
            return None
        output = main_tensor(bench.output)
        survives = where == "the batch" and output is not None and bool(torch.isfinite(output).all())
        why = f"{bad} of {total} values of {where} are NaN or infinite"
        step = "impute or drop them where the data is prepared, and assert that none is left"
        verdict = self.warned if survives or where == "train" else self.failed
        if survives:
            why += "; the outputs are finite nonetheless"
        return verdict(
            "non-finite-input", why, step, figure, statistic=bad / total, null="0: every value is finite", threshold=0.0
        )

    def _constant(self, bench: Bench, targets: Any, figure: Figure) -> Outcome:
        numbers: dict[str, Any] = {"statistic": 0.0, "null": "more than 0: rows differ", "threshold": 0.0}
        if bench.size < FEWEST_ROWS:
            return self.cannot_tell(
                f"all {bench.size} rows are identical, but there are few of them", "use a larger batch", figure, **numbers
            )
        labels = [each for each in tensors_in(targets) if each.ndim and each.shape[0] == bench.size]
        differ = any(bool((each != each[:1]).any()) for each in labels)
        verdict = self.failed if differ else self.warned
        return verdict(
            "constant-input",
            f"all {bench.size} rows of the inputs are the same" + (", and their targets differ" if differ else ""),
            "trace one row from the file to the batch: somewhere the data is overwritten, never filled in, or multiplied by 0",
            figure,
            **numbers,
        )

    def _scale(self, bench: Bench, off: list[Channel], channels: list[Channel], note: str, figure: Figure) -> Outcome:
        worst = max(off, key=lambda each: each.offset)
        said = f"{len(off)} of {len(channels)} channels are out of range (the worst: mean {worst.mean:.3g}, sd {worst.sd:.3g})"
        effect = _effect(bench)
        numbers: dict[str, Any] = {
            "figure": figure,
            "null": "standardising the inputs makes no difference to the untrained model",
            "out_of_range": len(off),
        }
        if effect is None:
            why = f"{said}; its effect is judged for class ids and values only{note}"
            return self.passed(why, statistic=worst.offset, threshold=1.0, **numbers)
        numbers |= {
            "statistic": effect.variance,
            "threshold": MOST_LOGIT_VARIANCE,
            "variance_standardised": effect.variance_standardised,
            "uncertainty": effect.uncertainty,
            "loss_ratio": effect.loss_ratio,
            "spread_ratio": effect.spread_ratio,
        }
        step = "scale the inputs by constants from the training data (or the sensor: /255) before the model"
        seen = f"{said}; standardised, the untrained model's output variance goes from {effect.variance:.3g} to "
        seen += f"{effect.variance_standardised:.3g} and its initial loss to {1 / effect.loss_ratio:.2g} of what it is"
        caused = effect.variance_standardised < effect.variance / 2
        if effect.kind == "classes":
            decided = effect.uncertainty < LEAST_UNCERTAINTY
            noticeable = effect.variance > MOST_LOGIT_VARIANCE
        else:
            decided = noticeable = effect.variance > MOST_LOGIT_VARIANCE
        if caused and decided and effect.loss_ratio > MOST_LOSS_RATIO[effect.kind]:
            return self._outcome(Verdict.FAIL, seen, cause="unscaled-input", next_step=step, **numbers)
        if caused and noticeable and effect.loss_ratio > 1:
            return self.warned("unscaled-input", seen, step, **numbers)
        if effect.spread_ratio < FADED:
            why = f"{said}; the rows move the output by {effect.spread_ratio:.2g} of what they would if standardised"
            return self.warned("unscaled-input", why, step, **numbers)
        return self.passed(f"{said}, with no effect on the untrained model{note}", **numbers)


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of an image, one feature of a row or sequence."""

    mean: float
    sd: float

    @property
    def off(self) -> bool:
        """Whether it is out of range."""
        return self.offset > 1

    @property
    def offset(self) -> float:
        """Beyond 1 it is out of range; of a constant channel the value over 10."""
        if self.sd == 0 or not math.isfinite(self.sd):
            return abs(self.mean) / SD_RANGE[1]
        return max(abs(self.mean) / self.sd / MOST_MEAN, self.sd / SD_RANGE[1], SD_RANGE[0] / self.sd)


@dataclass(frozen=True, slots=True)
class Effect:
    """What the scale of the inputs does to an untrained model: medians over seeds.

    Attributes:
        kind: "classes" or "values".
        variance: of the logits over the classes, or of the outputs in units of the targets' variance.
        variance_standardised: the same on standardised inputs.
        uncertainty: mean entropy of the predictions over ln K.
        loss_ratio: initial loss over that on standardised inputs.
        spread_ratio: the output's standard deviation over the rows, over that on standardised inputs.
    """

    kind: str
    variance: float
    variance_standardised: float
    uncertainty: float
    loss_ratio: float
    spread_ratio: float


def _is_measurement(x: Tensor, inputs: Any) -> bool:
    """Whether a tensor of the inputs has channels with a scale: not tokens, masks and matrices over the rows, as of a graph."""
    if not x.is_floating_point() or not x.ndim or _is_mask(x):
        return False
    return not (has_square(inputs, len(x)) and is_square(x, len(x)))


def _is_mask(x: Tensor) -> bool:
    """Zeros and ones, or zeros and minus infinities: no measurement."""
    return bool(((x == 0) | (x == 1)).all()) or bool(((x == 0) | (x == -math.inf)).all())


def _non_finite(inputs: Any) -> tuple[int, int]:
    found = [each for each in tensors_in(inputs) if each.is_floating_point() and not _is_mask(each)]
    return sum(int((~torch.isfinite(each)).sum()) for each in found), sum(each.numel() for each in found)


def _other_axes(x: Tensor) -> tuple[int, ...]:
    """All axes but that of the channels: axis 1 of images, the last of rows and sequences."""
    channel = 1 if x.ndim >= 4 else x.ndim - 1
    return tuple(axis for axis in range(x.ndim) if axis != channel)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    axes = _other_axes(x) or (0,)
    x = x.double()
    return x.mean(dim=axes, keepdim=True), x.std(dim=axes, keepdim=True, unbiased=False)


def _channels(inputs: Any) -> list[Channel]:
    found: list[Channel] = []
    for each in tensors_in(inputs):
        if _is_measurement(each, inputs):
            means, sds = (moment.reshape(-1).tolist() for moment in _moments(each.detach().cpu()))
            same = (each == each[:1]).all(dim=0) if each.ndim == 2 else torch.zeros(len(means), dtype=torch.bool)
            found += [Channel(mean, 0.0 if fixed else sd) for mean, sd, fixed in zip(means, sds, same.tolist(), strict=True)]
    return found


def _standardised(inputs: Any) -> Any:
    def change(x: Tensor) -> Tensor:
        if not _is_measurement(x, inputs):
            return x
        mean, sd = _moments(x)
        return ((x.double() - mean) / torch.where(sd > 1e-12 * mean.abs(), sd, 1.0)).to(x.dtype)

    return mapped(inputs, change)


def _effect(bench: Bench) -> Effect | None:
    """None where outputs and targets are neither class ids and logits nor values, and where anything is not finite."""
    inputs, targets = bench.first
    if bench.classes is None and not bench.is_regression:
        return None
    binary = bench.is_regression and bool(((targets == 0) | (targets == 1)).all())
    kind = "values" if bench.is_regression and not binary else "classes"
    found = []
    for seed in range(3):
        both = [_start(bench, seed, each, targets, kind) for each in (inputs, _standardised(inputs))]
        if not all(math.isfinite(number) for each in both for number in each):
            return None
        found.append(both)
    raw, standard = np.median(np.array(found), axis=0)
    if standard[2] <= 0 or raw[2] <= 0:
        return None
    return Effect(kind, raw[0], standard[0], raw[1], raw[2] / standard[2], raw[3] / max(standard[3], 1e-300))


def _start(bench: Bench, seed: int, inputs: Any, targets: Any, kind: str) -> tuple[float, float, float, float]:
    """Variance, uncertainty, loss and spread over the rows of an untrained model, in training mode as the first step has it."""
    model = bench.model(seed)
    with modes_preserved(model), torch.no_grad(), seeded(bench.experiment.seed):
        result = bench.run(model, copied(inputs))
        loss = float(bench.loss(result, copied(targets)))
    output = main_tensor(result)
    if output is None:
        return math.nan, math.nan, loss, math.nan
    output = output.double()
    spread = float(output.std(dim=0).mean())
    if kind == "values":
        return float(output.var() / targets.double().var().clamp(min=1e-300)), 1.0, loss, spread
    logits = _logits(output, bench)
    log_p = logits.log_softmax(dim=-1)
    entropy = -(log_p.exp() * log_p).sum(dim=-1).mean() / math.log(logits.shape[-1])
    return float(logits.var(dim=-1, unbiased=False).mean()), float(entropy), loss, spread


def _logits(output: Tensor, bench: Bench) -> Tensor:
    """Logits with the classes last; of one logit the pair (0, z); of probabilities their logarithms."""
    if bench.classes is None or bench.classes < 2:
        one = output.reshape(-1, 1)
        if bool(((one >= 0) & (one <= 1)).all()):
            return torch.cat([1 - one, one], dim=1).clamp(min=1e-12).log()
        return torch.cat([torch.zeros_like(one), one], dim=1)
    logits = output.movedim(1, -1) if output.shape[1] == bench.classes else output
    sums = logits.sum(dim=-1)
    if bool((logits >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-2):
        return logits.clamp(min=1e-12).log()
    return logits


def _drawn(canvas: Canvas, channels: list[Channel]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax = draw.axes(canvas, "channel [index]", "value [unit of the inputs]")
    draw.band(ax, -3, 3, "standard normal, 3 sd")
    for bad, colour in ((False, draw.SEEN), (True, draw.BAD)):
        chosen = [(index, each) for index, each in enumerate(channels) if each.off == bad and math.isfinite(each.mean)]
        if chosen:
            ax.errorbar(
                [index for index, _ in chosen],
                [each.mean for _, each in chosen],
                [each.sd for _, each in chosen],
                fmt=".",
                markersize=3,
                linewidth=0.8,
                color=colour,
                label="out of range" if bad else "in range",
            )
    ax.set_xlim(-0.5, max(len(channels), 1) - 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if any(abs(each.mean) + each.sd > 100 for each in channels if math.isfinite(each.mean)):
        ax.set_yscale("symlog", linthresh=3)
    draw.legend(ax)
