from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas

from mldbg.verify import draw
from mldbg.verify.bench import Bench, adam, copied
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import Stakes, end_of, stakes, still_falling, tangent_rank, trained
from mldbg.verify.outcome import Figure, Outcome

STEPS = 300
"""Steps of training."""

MEMORISED = 0.02
"""Share of the stakes that may be left."""

MUCH = 0.5
"""Share that a healthy regulariser does not leave after so many steps where without it the batch is memorised."""

STUCK = 0.25
"""Share below which a wrong model is not told from a small one."""

HARDLY = 0.05
"""Share of the stakes: a loss that moved by less has not come to rest, it never started."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """A training run, and the share of the stakes that was left: in training mode, and the lesser of both modes."""

    name: str
    losses: tuple[float, ...]
    trained: float
    left: float
    falling: bool

    @property
    def memorised(self) -> bool:
        return self.left <= MEMORISED


class OverfitOneBatch(Check):
    """the model can memorise one batch

    ## Why
    A model that cannot even fit a batch it is trained on repeatedly will not learn anything from more data: gradients,
    optimizer and loss do not work together.

    ## Measures
    The share of the reducible loss that is left after 300 steps with the user's optimizer: 1 is the loss of the best
    constant output (for cross-entropy the entropy of the classes, for the squared error the variance), 0 the known floor.
    Both are found by minimising the user's loss over free outputs, so that label smoothing, and equal inputs with different
    targets, lift the floor. "A tenth of the first loss" would depend on the initial weights and alarms on every linear
    model. At most 2 % may be left, in training or in evaluation mode. Otherwise the run is repeated with dropout and weight
    decay off, then with Adam in place of the user's optimizer: what fixes it is the cause. It fails only where curves have
    plateaued and the model can move its outputs in enough directions (rank of the Jacobian of outputs by parameters) to
    memorise.

    ## Causes
    - `too-much-dropout`: without dropout (or other noise of training mode) the batch is memorised; with it, half of the
      reducible loss is left.
    - `too-much-weight-decay`: the same for a model without such noise.
    - `learning-rate-too-high`: Adam at 1e-3 memorises; with the user's optimizer the loss rose or did not stay finite.
    - `optimizer`: Adam at 1e-3 memorises; the user's optimizer plateaus elsewhere.
    - `cannot-memorise`: nothing helps, and more than a quarter of the reducible loss is left: model and loss do not fit
      together, or rows are mixed or replaced along the way.

    ## Limits
    Memorising proves the plumbing, not the alignment: shuffled labels are memorised too. A batch with more rows than the
    model can hold gives CANNOT-TELL, and so does a loss that is still falling after 300 steps.
    """

    id = "T1"
    stage = Stage.LEARNING
    kind = Kind.STATISTICAL
    after = (Stage.LOSS, Stage.WIRING, "first-non-finite")
    cost = 2.0

    def run(self, bench: Bench) -> Outcome:
        if bench.size < 2:
            return self.skipped("needs a batch of at least 2 rows", "use a larger batch")
        at_stake = stakes(bench)
        if at_stake is None:
            return self.cannot_tell(
                "the reducible loss on the batch is unknown: the loss has no floor, or no constant output is worse",
                "use a loss of output and targets that is bounded below, and a batch with different targets",
            )
        as_is = _with_users_optimizer(bench, at_stake, regularised=True)
        attempts = [as_is]
        if not as_is.memorised:
            attempts.append(_with_users_optimizer(bench, at_stake, regularised=False))
            if not attempts[-1].memorised:
                attempts.append(_with_adam(bench, at_stake))
        return self._judged(bench, attempts, at_stake)

    def _judged(self, bench: Bench, attempts: list[_Attempt], at_stake: Stakes) -> Outcome:
        as_is, last = attempts[0], attempts[-1]
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Loss on one batch, trained repeatedly",
                lambda canvas: _drawn(canvas, attempts, at_stake),
                "1 is the loss of the best constant output, 0 the lowest loss that these targets allow. Curves must "
                "drop below 0.02.",
            ),
            "statistic": as_is.left,
            "null": "at most 0.02 of the reducible loss is left",
            "threshold": MEMORISED,
            "null_loss": at_stake.null,
            "floor": at_stake.floor,
            "left": {attempt.name: attempt.left for attempt in attempts},
        }
        left = f"{as_is.left:.2g} of the reducible loss is left after {STEPS} steps"
        if as_is.memorised:
            return self.passed(f"the batch is memorised: {left}", **numbers)
        if len(attempts) == 2 and as_is.trained <= MUCH:
            return self.passed(f"the batch is memorised with regularisation off; with it {left}", **numbers)
        if len(attempts) == 2:
            cause = "too-much-dropout" if _drops(bench) else "too-much-weight-decay"
            why = (
                f"{as_is.trained:.2g} of the reducible loss is left after {STEPS} steps, and {last.left:.2g} without "
                f"dropout and decay"
            )
            return self.failed(cause, why, "reduce it until the batch can be memorised", **numbers)
        slow = as_is.falling or abs(at_stake.share(as_is.losses[0]) - as_is.trained) < HARDLY
        if last.memorised and slow:
            return self.cannot_tell(
                f"{left} and the loss is still falling; Adam at 1e-3 memorises the batch",
                "see learning-rate, or train longer",
                **numbers,
            )
        if last.memorised:
            rose = not math.isfinite(as_is.left) or max(as_is.losses) > as_is.losses[0] + 0.5 * (at_stake.null - at_stake.floor)
            cause = "learning-rate-too-high" if rose else "optimizer"
            why = f"{left}; Adam at 1e-3 memorises the batch without regularisation"
            return self.failed(cause, why, "lower the learning rate" if rose else "check the optimizer's settings", **numbers)
        return self._judged_without_cure(bench, attempts, left, numbers)

    def _judged_without_cure(self, bench: Bench, attempts: list[_Attempt], left: str, numbers: dict[str, Any]) -> Outcome:
        best = min(attempt.left for attempt in attempts)
        if any(attempt.falling for attempt in attempts[1:]):
            return self.cannot_tell(f"{left} and the loss is still falling", "train longer, or use a smaller batch", **numbers)
        if best <= STUCK:
            return self.cannot_tell(
                f"{left}, and a model that leaves less than {STUCK} may be too small for the batch",
                "use a smaller batch",
                **numbers,
            )
        rank, outputs = tangent_rank(bench)
        if rank < outputs:
            return self.cannot_tell(
                f"{left}, but parameters move only {rank} of {outputs} outputs independently: the model cannot hold the batch",
                "use a smaller batch; if the model should hold it, see the wiring checks",
                directions=rank,
                outputs=outputs,
                **numbers,
            )
        return self.failed(
            "cannot-memorise",
            f"{best:.2g} of the reducible loss remains after convergence, whatever the optimizer and the regularisation",
            "trace one row from the input to its term of the loss: is it mixed, replaced, squashed or ignored along the way?",
            directions=rank,
            outputs=outputs,
            **numbers,
        )


def _with_users_optimizer(bench: Bench, at_stake: Stakes, *, regularised: bool) -> _Attempt:
    curve = bench.overfit(STEPS, regularised=regularised)
    name = "as it is" if regularised else "no dropout, no decay"
    return _attempt(bench, name, curve.losses, curve.model, at_stake)


def _with_adam(bench: Bench, at_stake: Stakes) -> _Attempt:
    model = bench.model(0)
    bench.without_regularisation(model)
    losses = trained(bench, model, adam(model), STEPS)
    return _attempt(bench, "the same with Adam, 1e-3", losses, model, at_stake)


def _attempt(bench: Bench, name: str, losses: tuple[float, ...], model: torch.nn.Module, at_stake: Stakes) -> _Attempt:
    share = at_stake.share(end_of(losses[-40:]))
    left = share
    if math.isfinite(share):
        left = min(share, at_stake.share(bench.evaluated(model, *copied(bench.first))))
    return _Attempt(name, losses, share, left, math.isfinite(share) and still_falling(losses, at_stake.floor))


def _drops(bench: Bench) -> bool:
    """Whether the model in training mode is random."""
    model = bench.model(0)
    with torch.no_grad():
        inputs, targets = bench.first
        first, second = (bench.loss(bench.run(model, copied(inputs)), copied(targets)) for _ in range(2))
    return bool(first != second)


def _drawn(canvas: Canvas, attempts: list[_Attempt], at_stake: Stakes) -> None:
    ax = draw.axes(canvas, "step", "share of the reducible loss left", log_y=True)
    for attempt, colour in zip(attempts, (draw.SEEN, draw.GOOD, draw.INK), strict=False):
        shares = np.maximum([at_stake.share(loss) for loss in attempt.losses], 1e-4)
        ax.plot(shares, color=colour, linewidth=1, label=attempt.name)
    draw.line(ax, 1.0, "best constant output")
    draw.line(ax, MEMORISED, "memorised below", color=draw.BAD)
    draw.legend(ax)
