from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, Curve, adam, at_rest, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import stakes
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.probe import BCE_LOGITS, LOGITS, class_axis, loss_calls, probe_of
from mldbg.verify.state import modes_preserved, seeded

STEPS = 300
"""Steps of the shared curve."""

MORE = 900
"""Further steps with Adam at RATE, where a line is suspected but not yet reached."""

RATE = 0.01

TAIL = 0.2
"""Share of the curve that must be at rest."""

SDS = 3.0
"""Standard deviations of the tail within which a plateau matches a line."""

ROUNDING = 0.005
"""Share of a line's height within which it counts as reached, however still the tail is."""

STUCK = 0.1
"""Share of the way from a least loss up to that of the best constant within which it counts as reached: where the squashing
function is sure it is flat, and a few rows stay stuck on the wrong side.
"""

SAME = 0.02
"""Outputs that differ by less than this share of what the targets ask for are the same."""


@dataclass(frozen=True, slots=True)
class Line:
    """A known height of the loss.

    Attributes:
        cause: what makes the loss rest there. height: the loss. formula: where it comes from. confirmed: a test of the trained
        model, besides the height. next_step: what to do. above: how far above the line the loss may rest: the line is the least
        loss, and rows that are stuck in the wrong class keep
            it above.
    """

    cause: str
    height: float
    formula: str
    confirmed: Callable[[], bool]
    next_step: str
    above: float = 0.0


class PlateauLines(Check):
    """a loss that plateaus does not do so at the height of a known mistake

    ## Why
    Many mistakes have a characteristic height at which the loss stops, like the lines of a spectrum: the entropy of the
    classes when inputs are ignored, 1.461 when probabilities of ten classes enter cross-entropy, the variance of the targets
    when the mean is predicted. The height names the cause.

    ## Measures
    The tail of the curve of overfitting one batch (the last fifth), which must be flat, against the lines. A match needs the
    tail's mean within 3 of its standard deviations (or 0.5 %) of a line, and a test of the trained model that confirms the
    cause: heights meet by chance (a learning rate of 10 stuck at 1.442 was once taken for the double softmax at 1.461). If
    the test suggests a line that is not reached yet, training continues with Adam. The statistic is the distance from the
    nearest line over the height of that line.

    ## Causes
    - `softmax-before-cross-entropy`: ln(1 + (K - 1) / e). Confirmed by rows of the loss's input that sum to 1.
    - `sigmoid-before-bce-with-logits`: ln(1 + 1/e) for targets of 1, ln 2 for targets of 0. Confirmed by inputs within [0, 1].
    - `mse-broadcast`: the loss of the best constant. Confirmed by a loss that ignores the pairing until shapes agree.
    - `ignores-inputs`: the loss of the best constant, like the entropy of the classes, or the variance. Confirmed by outputs that
      are the same for all rows.
    - `uniform`: ln K. Confirmed by outputs that are the same for all classes.
    - `targets-ignored`: exactly 0 from the first step on. Confirmed by other targets.

    ## Limits
    A curve that is still falling while a test suggests a line gives CANNOT-TELL. A loss that plateaus for another reason is
    not named here (see `overfit-one-batch`).
    """

    id = "U2"
    stage = Stage.LEARNING
    kind = Kind.STATISTICAL
    after = (Stage.LOSS, Stage.WIRING, "first-non-finite")
    cost = 1.0

    def run(self, bench: Bench) -> Outcome:
        if bench.size < 2 or not isinstance(bench.first[1], Tensor):
            return self.skipped("needs a batch of at least two rows, with targets in one tensor", "use a larger batch")
        curve = bench.overfit(STEPS)
        if not all(map(math.isfinite, curve.losses)):
            return self.cannot_tell("the loss did not stay finite", "see first-non-finite")
        lines = _lines(bench, curve)
        if not lines:
            return self.skipped("no plateau lines are known for this loss", "use the losses of torch.nn")
        suspected = [line for line in lines if line.confirmed()]
        losses = list(curve.losses)
        if suspected and not any(_matches(losses, line) for line in suspected):
            losses += _trained_on(bench, curve)
            if not all(map(math.isfinite, losses)):
                return self.cannot_tell("the loss did not stay finite", "see first-non-finite")
        tail = _tail(losses)
        nearest = min(lines, key=lambda line: abs(tail.mean() - line.height) / max(line.height, 1e-300))
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Loss on one batch, with the lines at which known mistakes plateau",
                lambda canvas: _drawn(canvas, losses, lines),
                "A healthy curve goes below every line. A plateau on one suggests a cause, which a test of the trained "
                "model must confirm.",
            ),
            "statistic": abs(float(tail.mean()) - nearest.height) / max(nearest.height, 1e-300),
            "null": "on no line",
            "threshold": ROUNDING,
            "plateau": float(tail.mean()),
            "lines": {line.formula: line.height for line in lines},
        }
        for line in suspected:
            if _matches(losses, line):
                return self.failed(
                    line.cause,
                    f"the loss plateaus at {tail.mean():.4g}, on the line {line.formula} = {line.height:.4g}, "
                    "and a test of the trained model confirms the cause",
                    line.next_step,
                    **numbers,
                )
        if tail.mean() < 0.9 * min(line.height for line in lines):
            return self.passed(f"the loss falls to {tail.mean():.3g}, below every line", **numbers)
        if suspected and not at_rest(losses, TAIL):
            return self.cannot_tell(
                f"a test of the trained model suggests {suspected[0].cause}, but the loss is still falling at {tail.mean():.4g}",
                "use an optimizer that learns the batch in 300 steps",
                **numbers,
            )
        return self.passed(f"the loss ends at {tail.mean():.4g}, and no test of the trained model confirms a line", **numbers)


def _tail(losses: list[float]) -> np.ndarray:
    return np.asarray(losses[-max(int(len(losses) * TAIL), 10) :])


def _matches(losses: list[float], line: Line) -> bool:
    tail = _tail(losses)
    allowed = max(SDS * float(tail.std()), ROUNDING * abs(line.height))
    distance = float(tail.mean()) - line.height
    return at_rest(losses, TAIL) and -allowed <= distance <= allowed + line.above


def _trained_on(bench: Bench, curve: Curve) -> list[float]:
    """More losses of the same model, at a high learning rate; that of the curve is left as it is."""
    model = bench.model(0)
    model.load_state_dict(curve.model.state_dict())
    optimizer = adam(model, RATE)
    inputs, targets = bench.first
    losses: list[float] = []
    with seeded(bench.experiment.seed):
        for step in range(MORE):
            losses.append(bench.step(model, optimizer, copied(inputs), copied(targets)))
            if not math.isfinite(losses[-1]) or (step > STEPS and step % 100 == 0 and at_rest(losses, TAIL)):
                break
    return losses


# ------------------------------------------------------------------------------------------------------------------ the lines
def _lines(bench: Bench, curve: Curve) -> list[Line]:
    """The lines that the loss and the targets have."""
    targets = bench.first[1]
    output = _output(bench, curve)
    wants = {call.wants for call in loss_calls(bench)}
    at_stake = stakes(bench)
    found: list[Line] = []
    if not any(curve.losses):
        found.append(
            Line("targets-ignored", 0.0, "0", lambda: _ignored(bench), "make the loss use its targets: are all of them ignored?")
        )
    if output is None:
        return found
    axis, classes = class_axis(bench), bench.classes
    spread = _needed_spread(bench, output)
    best_constant = at_stake.null if at_stake is not None else _at_constant(bench, float(targets.double().mean()))
    found.append(
        Line(
            "mse-broadcast",
            best_constant,
            "loss of the best constant (pairs)",
            lambda: _broadcasts(bench),
            "make the shapes of output and targets match",
        )
    )
    if LOGITS in wants and axis is not None and classes is not None and classes > 1:
        nat = _at_constant(bench, 0.0) / math.log(classes)
        found += [
            Line(
                "softmax-before-cross-entropy",
                nat * math.log(1 + (classes - 1) / math.e),
                "ln(1 + (K - 1)/e)",
                lambda: _sums_to_one(output, axis),
                "remove the softmax from the model",
                STUCK * abs(best_constant - nat * math.log(1 + (classes - 1) / math.e)),
            ),
            Line(
                "uniform",
                nat * math.log(classes),
                "ln K",
                lambda: float((output.amax(axis) - output.amin(axis)).max()) < SAME,
                "find out why all classes get the same logit: a dead layer, or all-zero weights",
            ),
        ]
    if BCE_LOGITS in wants and targets.shape == output.shape:
        share = float(targets.double().mean())
        nat = _at_constant(bench, 0.0) / math.log(2)
        rest = nat * (share * math.log(1 + 1 / math.e) + (1 - share) * math.log(2))
        found.append(
            Line(
                "sigmoid-before-bce-with-logits",
                rest,
                "share of ones ln(1 + 1/e) + share of zeros ln 2",
                lambda: bool(((output >= 0) & (output <= 1)).all()),
                "remove the sigmoid from the model",
                STUCK * abs(best_constant - rest),
            )
        )
    if at_stake is not None:
        found.append(
            Line(
                "ignores-inputs",
                at_stake.null,
                "loss of the best constant",
                lambda: not _broadcasts(bench) and float(output.std(0).max()) < SAME * spread,
                "find out where the inputs are lost: a detached or dead layer, or identical inputs",
            )
        )
    return [line for line in found if line.cause != "mse-broadcast" or _broadcasts(bench)]


def _output(bench: Bench, curve: Curve) -> Tensor | None:
    """The main tensor of the trained model's output on the batch, in float64."""
    with modes_preserved(curve.model), torch.no_grad(), seeded(bench.experiment.seed):
        curve.model.eval()
        output = main_tensor(bench.run(curve.model, copied(bench.first[0])))
    return output.double() if output is not None and output.shape[:1] == (bench.size,) and output.ndim else None


def _at_constant(bench: Bench, value: float) -> float:
    """The loss of an output that is the same everywhere, in the loss's own unit: of logits that is ln K (two classes: ln 2), of a
    squared error about the mean the variance of the targets, times whatever the loss is multiplied by or summed over.
    """
    probe = probe_of(bench)
    if probe is None:
        return math.nan
    return float(probe.at(torch.full_like(probe.random(bench.rng("plateau-lines")), value)))


def _needed_spread(bench: Bench, output: Tensor) -> float:
    """By how much outputs must differ to say what the targets say: one nat for logits, the targets' spread for values."""
    targets = bench.first[1]
    binary = BCE_LOGITS in {call.wants for call in loss_calls(bench)}
    if bench.classes is not None or binary or not targets.is_floating_point():
        bounded = bool(((output >= 0) & (output <= 1)).all())
        return 0.1 if bounded else 1.0
    return float(targets.double().std(correction=0))


def _sums_to_one(output: Tensor, axis: int) -> bool:
    return bool((output >= 0).all()) and float((output.sum(axis) - 1).abs().max()) < 1e-3


def _broadcasts(bench: Bench) -> bool:
    probe = probe_of(bench)
    return probe is not None and bool(bench.once("broadcasts", probe.broadcasts))


def _ignored(bench: Bench) -> bool:
    targets = bench.first[1]
    probe = probe_of(bench)
    if probe is None:
        return True
    main = probe.random(bench.rng("plateau-lines"))
    return probe.at(main) == 0 and all(
        probe.at(main, targets[row : row + 1].expand_as(targets)) == 0 for row in range(len(targets))
    )


def _drawn(canvas: Canvas, losses: list[float], lines: list[Line]) -> None:
    ax = draw.axes(canvas, "step", "loss on one batch")
    ax.plot(losses, color=draw.SEEN, label="loss")
    highest = max([line.height for line in lines] + [losses[-1]])
    for height, names in _by_height(lines, 0.06 * highest).items():
        draw.line(ax, height, "")
        ax.annotate(
            ", ".join(names),
            (1, height),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            fontsize="small",
            color=draw.INK,
        )
    ax.set_ylim(min(0.0, *losses), 1.3 * min(max(highest, losses[0]), 4 * max(highest, 1e-300)) or None)


def _by_height(lines: list[Line], apart: float) -> dict[float, list[str]]:
    found: dict[float, list[str]] = {}
    for line in lines:
        near = next((height for height in found if abs(height - line.height) <= apart), line.height)
        found.setdefault(near, []).append(f"{line.cause}: {line.formula}")
    return found
