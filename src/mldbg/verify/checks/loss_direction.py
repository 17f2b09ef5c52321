from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.learning import least_loss
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import BCE, NO_PROBE, PROBE_NEXT, Probe, loss_calls, perfect_output, probe_of
from mldbg.verify.statistics import Floats

PERMUTATIONS = 40
"""Perfect predictions dealt out to the wrong rows."""

CHANCE_SDS = 5.0
"""Standard deviations below the mean of permuted predictions that chance does not reach."""

FLIPPED_SDS = 3.0
"""Standard deviations above the mean of permuted predictions, and above all of them, that mean the loss points the wrong way."""

AS_MUCH = 0.5
"""Share of the loss by which predictions are too high that they must be lower by, turned over."""

SIZES = tuple(10 ** (power / 4) for power in range(-8, 9))
"""Perturbations of a perfect prediction, in units of its spread: 0.01 to 100."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """Losses of one way to line up predictions and targets.

    perfect: of predictions made from the targets. dealt: of the same predictions with rows permuted.
    """

    perfect: float
    dealt: Floats
    shift: int

    @property
    def effect(self) -> float:
        """Mean of the wrong ones minus the perfect one, in units of the largest such difference; positive is right."""
        return float(self.dealt.mean() - self.perfect) / max(float(np.abs(self.dealt - self.perfect).max()), 1e-300)


class LossDirection(Check):
    """a perfect prediction has a lower loss than the same predictions assigned to the wrong rows

    ## Why
    With a flipped sign training drives the model away from its targets, and the falling loss looks like progress. A loss that
    compares each prediction with its neighbour's target teaches something else just as smoothly.

    ## Measures
    The loss of predictions made from the targets (their values, or logits of 4 for the right class) against 40
    permutations of their rows. An honest loss is lower for every permutation, also one whose best output is another function of
    the target, as in a Poisson loss: the two only have to rise together. Losses that shift predictions against targets along a
    sequence are tried at shifts of up to one. The statistic is the mean gain over the largest one: near 1 for an honest loss,
    near -1 for a flipped sign. "Never negative" is no test: many honest likelihoods are.

    ## Causes
    - `loss-sign-flipped`: the perfect prediction has the highest loss.
    - `targets-misaligned`: predictions shifted by one row, or reversed, have a lower loss than those in place.

    ## Limits
    Losses with other outputs than one value for each target, or K logits, are not measured. A custom loss that is lowest for
    outputs that run opposite to the targets may be meant for distances, or be flipped: CANNOT-TELL. The size of the loss is
    not judged.
    """

    id = "U7"
    stage = Stage.LOSS
    kind = Kind.EXACT
    after = ("input-range", "pairing")
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        probe = probe_of(bench)
        if probe is None:
            return self.skipped(NO_PROBE, PROBE_NEXT)
        targets = bench.first[1]
        perfect = perfect_output(probe)
        if perfect is None:
            return self.skipped(
                "needs targets that are class ids, or values of the shape of the output", "make the targets a tensor"
            )
        if bench.size < 4 or len(torch.unique(targets, dim=0)) < 2:
            return self.skipped("needs a batch of 4 rows with two different targets", "use a larger batch")
        try:
            ways = [_measured(probe, perfect, shift, bench) for shift in _shifts(perfect, targets)]
        except ExperimentError as error:
            return self.skipped(f"the loss does not accept synthetic outputs: {error}", PROBE_NEXT)
        best = max(ways, key=lambda way: abs(way.effect))
        if not (np.isfinite(best.perfect) and np.isfinite(best.dealt).all()):
            return self.cannot_tell("the loss of perfect predictions is not finite", "see loss-input-range")
        rounding = 64 * probe.exactness * float(np.abs(best.dealt).max())
        below = int((best.dealt >= best.perfect - rounding).sum())
        above = int((best.dealt <= best.perfect + rounding).sum())
        flat = float(np.ptp(np.append(best.dealt, best.perfect))) <= rounding
        curve = _perturbed(probe, perfect, best.shift, bench)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Loss of a perfect prediction, and of perturbed ones",
                lambda canvas: _drawn(canvas, best, curve),
                "The loss must rise away from the perfect prediction. Grey: the same predictions assigned to the wrong rows.",
            ),
            "statistic": best.effect,
            "null": "1 for a loss that is lowest for the correct rows; -1 with a flipped sign",
            "threshold": 0.0,
            "perfect": best.perfect,
            "wrong_rows": float(best.dealt.mean()),
        }
        if flat:
            return self.cannot_tell(
                "the loss of predictions that equal the targets is the same as of those of other rows, to rounding: they may be "
                "on another scale than the targets",
                "see pairing",
                **numbers,
            )
        moved = _better_moved(probe, perfect, ways)
        wrong = moved is not None or above == PERMUTATIONS
        if wrong and _runs_against(probe, bench, _shifted(perfect, best.shift, probe), best):
            return self.cannot_tell(
                "the loss is lowest for outputs that run opposite to the targets, as for a distance",
                "check the loss of an output that you know to be correct",
                **numbers,
            )
        if moved is not None:
            return self.failed(
                "targets-misaligned",
                f"predictions {moved[0]} have the loss {moved[1]:.4g}, lower than {best.perfect:.4g} of those in their own rows",
                "compare every prediction with the target of its own row: look for a roll, flip or sort on one side only",
                **numbers,
            )
        if below == PERMUTATIONS:
            return self.passed(
                f"a perfect prediction has a loss of {best.perfect:.4g}, assigned to the wrong rows {best.dealt.mean():.4g}",
                **numbers,
            )
        if above == PERMUTATIONS and best.perfect - best.dealt.mean() > FLIPPED_SDS * best.dealt.std():
            return self.failed(
                "loss-sign-flipped",
                f"a perfect prediction has the loss {best.perfect:.4g}, higher than all of {PERMUTATIONS} wrong ones "
                f"(mean {best.dealt.mean():.4g}): training moves away from the targets",
                "check the sign of the loss and the order of its arguments",
                **numbers,
            )
        return self.cannot_tell(
            f"the loss of a perfect prediction is above {PERMUTATIONS - below} of {PERMUTATIONS} wrong ones: "
            "its best output is not made from the target as supposed here",
            "check the loss of an output that you know to be correct",
            **numbers,
        )


def _shifts(perfect: Tensor, targets: Tensor) -> tuple[int, ...]:
    """Along a sequence predictions may be meant for the next place."""
    return (0, -1, 1) if targets.ndim > 1 and targets.shape[1] > 2 and perfect.ndim > 1 else (0,)


def _measured(probe: Probe, perfect: Tensor, shift: int, bench: Bench) -> _Measured:
    rng = bench.rng("loss-direction")
    output = _shifted(perfect, shift, probe)
    dealt = [probe.at(output[torch.from_numpy(rng.permutation(len(output))).to(output.device)]) for _ in range(PERMUTATIONS)]
    return _Measured(probe.at(output), np.array(dealt), shift)


def _shifted(perfect: Tensor, shift: int, probe: Probe) -> Tensor:
    """Along the first axis after the batch that outputs and targets share."""
    if not shift:
        return perfect
    length = probe.targets.shape[1]
    axis = next((each for each in range(1, perfect.ndim) if perfect.shape[each] == length), 1)
    return torch.roll(perfect, shift, axis)


def _better_moved(probe: Probe, perfect: Tensor, ways: list[_Measured]) -> tuple[str, float] | None:
    """Predictions moved as a whole whose loss is far below those in their places, and below all permuted ones, of every way."""
    found: list[tuple[str, float]] = []
    least = min(min(way.perfect, float(way.dealt.min())) for way in ways)
    for way in ways:
        output = _shifted(perfect, way.shift, probe)
        others = {
            "shifted down by one row": torch.roll(output, 1, 0),
            "shifted up by one row": torch.roll(output, -1, 0),
            "in reverse order": output.flip(0),
        }
        for name, other in others.items():
            loss = probe.at(other)
            chance = loss > float(way.dealt.mean()) - CHANCE_SDS * float(way.dealt.std())
            if loss < least and not chance:
                found.append((name, loss))
    return min(found, key=lambda pair: pair[1], default=None)


def _runs_against(probe: Probe, bench: Bench, perfect: Tensor, best: _Measured) -> bool:
    """Whether the loss is meant for outputs that fall where targets rise: turned over, predictions are about as much better than
    those of other rows as they are worse as they are, and the loss has a minimum. Not so where a function of torch takes the
    output itself, whose direction is known.
    """
    main = probe.main.detach()
    if any(_same(call.given, main) for call in loss_calls(bench)):
        return False
    gain = float(best.dealt.mean()) - probe.at(perfect.max() + perfect.min() - perfect)
    if not gain > AS_MUCH * (best.perfect - float(best.dealt.mean())) > 0:
        return False
    return least_loss(bench, main, torch.arange(len(main), device=main.device)) is not None


def _same(given: Tensor, main: Tensor) -> bool:
    """Whether a loss function was given the output, in whatever shape; other kernels run with a gradient than without."""
    if given.numel() != main.numel():
        return False
    return torch.allclose(given.reshape(-1), main.reshape(-1).to(given), rtol=1e-3, atol=1e-4 * float(main.abs().max()))


def _perturbed(probe: Probe, perfect: Tensor, shift: int, bench: Bench) -> list[float]:
    """The mean loss of perturbed perfect predictions, for each size of the perturbation."""
    rng = bench.rng("loss-direction, perturbed")
    output = _shifted(perfect, shift, probe)
    spread = float(output.std()) or 1.0
    fitted = output.min() >= 0 and output.max() <= 1 and {call.wants for call in loss_calls(bench)} == {BCE}
    means = []
    for size in SIZES:
        noise = [torch.from_numpy(rng.standard_normal(tuple(output.shape))).to(output) * size * spread for _ in range(4)]
        made = [(output + each).clamp(0, 1) if fitted else output + each for each in noise]
        means.append(float(np.mean([probe.at(each) for each in made])))
    return means


def _drawn(canvas: Canvas, best: _Measured, curve: list[float]) -> None:
    ax = draw.axes(canvas, "perturbation [spread of the perfect prediction]", "loss", log_x=True)
    ax.plot(SIZES, curve, "o-", color=draw.SEEN, markersize=3, label="perturbed")
    draw.line(ax, best.perfect, "perfect prediction", color=draw.GOOD if best.effect > 0 else draw.BAD)
    draw.band(ax, float(best.dealt.min()), float(best.dealt.max()), "assigned to the wrong rows")
    low, high = min(best.perfect, *best.dealt), max(best.perfect, *best.dealt)
    ax.set_ylim(low - 0.5 * (high - low), high + 0.5 * (high - low))
    draw.legend(ax)
