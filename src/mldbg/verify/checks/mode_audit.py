from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import seeded
from mldbg.verify.wiring import (
    DROPOUTS,
    NORMALISATIONS,
    NOT_FINITE,
    NOT_FINITE_NEXT,
    TOLERANCE,
    Listening,
    finite,
    floats_of,
    is_readable,
    listed,
    plain_attention,
)

MASKS = 24
"""Forward passes with different dropout masks."""

MOST_NOISE = 9.0
"""Power of the noise that dropout makes in the output, in units of what tells rows apart. One dropout with probability p before
a sum gives at least p / (1 - p): 9 is p = 0.9.
"""

LEAST_PROBABILITY = 0.75
"""The noise is judged only where some dropout is as strong: rows that are alike make the ratio large with any dropout."""

DROPS = frozenset({"bernoulli", "native_dropout"})


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one call of the user's `evaluate` did to a model in training mode.

    Attributes:
        forward_in_training: modules that ran in training mode.
        modes_changed: modules that are in another mode afterwards.
        buffers_changed: buffers with other values afterwards.
        parameters_changed: the same of parameters.
    """

    forward_in_training: list[str]
    modes_changed: list[str]
    buffers_changed: list[str]
    parameters_changed: list[str]


class ModeAudit(Check):
    """evaluation is deterministic and leaves the model unchanged

    ## Why
    Dropout or BatchNorm in training mode during evaluation makes scores random and lets the evaluation data into the running
    statistics; a model left in evaluation mode continues training without dropout.

    ## Measures
    Exactly: two passes in evaluation mode with different random numbers give the same output and leave all buffers as they were.
    Where there is an `evaluate`, it is called with a model in training mode, as after an epoch: no module may run in training
    mode in it, and modes, buffers and parameters must be as before (modes where the model depends on them). The statistic is the
    largest difference between the two passes, in units of the output. Beside it, as a warning, the noise that the dropout masks
    make in the output, in units of the power that tells rows apart: above 9 (one dropout of 0.9) little gets through. It is
    judged where a dropout has a probability of 0.75 or more.

    ## Causes
    - `dropout-in-eval`: a dropout stays active, as `functional.dropout` does without `training=self.training`.
    - `random-in-eval`: the output is random in evaluation mode for another reason (a warning: it may be sampled on purpose).
    - `buffers-change-in-eval`: a forward pass in evaluation mode changes buffers.
    - `missing-eval-mode`: `evaluate` runs the model in training mode.
    - `train-mode-not-restored`: `evaluate` leaves the model in evaluation mode (a warning).
    - `evaluation-trains`: `evaluate` changes parameters.
    - `dropout-too-strong`: the masks' noise drowns the signal (a warning).

    ## Limits
    If the caller of `evaluate` sets the modes, provide a function that does so too.
    """

    id = "W12"
    stage = Stage.WIRING
    kind = Kind.EXACT
    after = ("input-range", "first-non-finite")
    cost = 0.2

    def run(self, bench: Bench) -> Outcome:
        if not is_readable(bench):
            return self.skipped(NOT_FINITE, NOT_FINITE_NEXT)
        model = bench.model(0).eval()
        with seeded(bench.experiment.seed):
            first, second, changed = _twice(bench, model)
        share = max((_distance(x, y) for x, y in zip(first, second, strict=True)), default=0.0)
        floor = TOLERANCE * max((torch.finfo(each.dtype).eps for each in first), default=0.0)
        depends = _depends_on_mode(bench)
        noise = float(np.median([_noise(bench, seed) for seed in range(3)])) if depends else 0.0
        numbers: dict[str, Any] = {
            "statistic": share,
            "null": "0: two passes in evaluation mode agree",
            "threshold": floor,
            "figure": Figure(
                "Outputs in training and in evaluation mode",
                lambda canvas: _drawn(canvas, bench),
                "All output values on one batch. Before training the two may differ if there is BatchNorm.",
            ),
            "depends_on_mode": depends,
            "noise": noise,
        }
        if share > floor:
            dropped = _dropped_in_eval(bench)
            if dropped:
                return self.failed(
                    "dropout-in-eval",
                    f"two passes in evaluation mode differ by {share:.2g} of the output: {listed(dropped)} drops values",
                    "use nn.Dropout as a registered module, or functional.dropout(..., training=self.training)",
                    **numbers,
                )
            return self.warned(
                "random-in-eval",
                f"two passes in evaluation mode differ by {share:.2g} of the output",
                "unless the model samples on purpose, look for random numbers in forward",
                **numbers,
            )
        if changed:
            return self.failed(
                "buffers-change-in-eval",
                f"a pass in evaluation mode changes {listed(changed)}",
                "update running statistics only `if self.training`",
                **numbers,
            )
        found = _evaluated(bench) if bench.experiment.evaluate is not None else None
        wrong = self._of_evaluation(found, numbers, depends=depends) if found is not None else None
        if wrong is not None:
            return wrong
        if noise > MOST_NOISE:
            return self.warned(
                "dropout-too-strong",
                f"the dropout masks add {noise:.3g} times as much noise to the output as there is signal",
                f"lower the dropout probability: {_strongest(bench)}",
                **{**numbers, "statistic": noise, "threshold": MOST_NOISE, "null": "about p / (1 - p) for one dropout"},
            )
        said = "; evaluate leaves everything unchanged" if found is not None else ""
        return self.passed(f"evaluation mode is deterministic and changes no buffer{said}", **numbers)

    def _of_evaluation(self, found: Evaluation, numbers: dict[str, Any], *, depends: bool) -> Outcome | None:
        if found.parameters_changed:
            return self.failed(
                "evaluation-trains",
                f"evaluate changes {listed(found.parameters_changed)}",
                "do not step the optimizer there",
                **numbers,
            )
        if found.forward_in_training and depends:
            also = f", and changes {listed(found.buffers_changed)}" if found.buffers_changed else ""
            return self.failed(
                "missing-eval-mode",
                f"evaluate runs {listed(found.forward_in_training)} in training mode{also}",
                "call model.eval() at its start and model.train() at its end",
                **numbers,
            )
        if found.buffers_changed:
            return self.failed(
                "buffers-change-in-eval",
                f"evaluate changes {listed(found.buffers_changed)}",
                "find what writes to them",
                **numbers,
            )
        if found.modes_changed and depends:
            return self.warned(
                "train-mode-not-restored",
                "evaluate leaves the model in a different mode than before",
                "save model.training at its start, and restore it with model.train(was_training)",
                **numbers,
            )
        return None


def _twice(bench: Bench, model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[str]]:
    """The outputs of two passes in evaluation mode with different random numbers, and the buffers that the second changed."""
    with torch.no_grad():
        first = [finite(each) for each in floats_of(bench.run(model, copied(bench.first[0])))]
        before = {name: each.clone() for name, each in model.named_buffers()}
        second = [finite(each) for each in floats_of(bench.run(model, copied(bench.first[0])))]
    changed = [
        name
        for name, each in model.named_buffers()
        if each.is_floating_point() and name in before and not _same(each, before[name])
    ]
    return first, second, changed


def _same(x: Tensor, y: Tensor) -> bool:
    return x.shape != y.shape or torch.equal(finite(x), finite(y))  # a cache that grows is none of the running statistics


def _distance(x: Tensor, y: Tensor) -> float:
    if x.shape != y.shape or not x.numel():
        return 0.0
    size = float(x.abs().max())
    return float((y - x).abs().max()) / size if size else float(y.abs().max() > 0)


def _depends_on_mode(bench: Bench) -> bool:
    """Whether the output of a fresh model differs between the modes."""
    model = bench.model(0)
    outputs = []
    for training in (False, True):
        model.train(training)
        try:
            with torch.no_grad(), seeded(bench.experiment.seed):
                outputs.append([finite(each) for each in floats_of(bench.run(model, copied(bench.first[0])))])
        except ExperimentError:
            return True  # as BatchNorm does in training mode with a single row
    evaluated, trained = outputs
    floors = [TOLERANCE * torch.finfo(each.dtype).eps for each in evaluated]
    return len(evaluated) != len(trained) or any(
        x.shape != y.shape or _distance(x, y) > floor for x, y, floor in zip(evaluated, trained, floors, strict=True)
    )


def _masked(bench: Bench, seed: int) -> nn.Module:
    """A fresh model in training mode with its normalisations in evaluation mode: only dropout is active."""
    model = bench.model(seed)
    for module in model.modules():
        if isinstance(module, NORMALISATIONS):
            module.eval()
    return model


def _noise(bench: Bench, seed: int) -> float:
    """Power of the output's variation over dropout masks, in units of that of its mean's variation over rows."""
    if _largest_probability(bench) < LEAST_PROBABILITY:
        return 0.0
    model = _masked(bench, seed)
    drawn = []
    try:
        with torch.no_grad(), seeded(bench.experiment.seed + seed):
            for _ in range(MASKS):
                found = main_tensor(bench.run(model, copied(bench.first[0])))
                if found is not None:
                    drawn.append(finite(found).double())
    except ExperimentError:
        return 0.0
    if not drawn or drawn[0].ndim == 0 or len(drawn[0]) < 2 or any(each.shape != drawn[0].shape for each in drawn):
        return 0.0
    outputs = torch.stack(drawn)
    noise = float(outputs.var(0).mean())
    signal = float(outputs.mean(0).var(0).mean()) - noise / MASKS
    return (noise / signal if signal > 0 else math.inf) if noise else 0.0


def _dropped_in_eval(bench: Bench) -> list[str]:
    """The modules in which values are dropped in evaluation mode."""
    model = bench.model(0).eval()
    listening = Listening(model, DROPS)
    try:
        with torch.no_grad(), seeded(bench.experiment.seed), plain_attention(), listening:
            bench.run(model, copied(bench.first[0]))
    finally:
        listening.close()
    return sorted({heard.module or "the model" for heard in listening.heard})


def _probabilities(bench: Bench) -> dict[str, float]:
    """By dropout its probability."""
    return {name: float(module.p) for name, module in bench.model(0).named_modules() if isinstance(module, DROPOUTS)}


def _largest_probability(bench: Bench) -> float:
    return max(_probabilities(bench).values(), default=0.0)


def _strongest(bench: Bench) -> str:
    """The dropout with the largest probability."""
    found = _probabilities(bench)
    name = max(found, key=lambda each: found[each])
    return f"{name} has {found[name]:g}"


def _evaluated(bench: Bench) -> Evaluation:
    """Call the user's `evaluate` on a fresh model in training mode."""
    function = bench.experiment.evaluate
    assert function is not None
    model = bench.model(0)
    modes = {name: module.training for name, module in model.named_modules()}
    buffers = {name: each.clone() for name, each in model.named_buffers()}
    parameters = {name: each.detach().clone() for name, each in model.named_parameters()}
    ran: list[str] = []

    def note(name: str, module: nn.Module) -> None:
        stateful = isinstance(module, (DROPOUTS, NORMALISATIONS))
        if module.training and (stateful or not name):
            ran.append(name or "the model")

    handles = [
        module.register_forward_pre_hook(lambda module, _, name=name: note(name, module))
        for name, module in model.named_modules()
    ]
    try:
        with seeded(bench.experiment.seed):
            function(model)
    except Exception as error:
        first_line = (str(error).strip().splitlines() or [""])[0]
        raise ExperimentError(f"evaluate(model) raised {type(error).__name__}: {first_line}") from error
    finally:
        for handle in handles:
            handle.remove()
    return Evaluation(
        list(dict.fromkeys(ran)),
        [name or "the model" for name, module in model.named_modules() if module.training != modes.get(name, module.training)],
        [name for name, each in model.named_buffers() if name in buffers and not _same(each, buffers[name])],
        [name for name, each in model.named_parameters() if name in parameters and not _same(each.detach(), parameters[name])],
    )


def _values(bench: Bench, *, training: bool) -> NDArray[np.float64]:
    model = bench.model(0).train(training)
    with torch.no_grad(), seeded(bench.experiment.seed):
        found = main_tensor(bench.run(model, copied(bench.first[0])))
    return np.zeros(0) if found is None else finite(found).double().cpu().numpy().ravel()


def _drawn(canvas: Canvas, bench: Bench) -> None:
    ax = draw.axes(canvas, "value of the output", "number of values")
    for training, color, label in ((False, draw.SEEN, "evaluation mode"), (True, draw.NULL, "training mode")):
        ax.hist(_values(bench, training=training), bins=40, color=color, alpha=0.5, label=label)
    draw.legend(ax)
