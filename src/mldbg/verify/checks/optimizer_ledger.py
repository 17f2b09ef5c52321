from __future__ import annotations

from collections import Counter
from typing import Any

from matplotlib.figure import Figure as Canvas
from torch import nn
from torch.optim import Optimizer

from mldbg.verify import draw
from mldbg.verify.bench import Bench
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.wiring import gradients, is_declared, listed

TWICE_IN_TORCH = "parameter group"
"""What torch's own refusal of a parameter in two groups speaks of."""

_Convolution = nn.modules.conv._ConvNd  # noqa: SLF001  # the base class of all convolutions has no other name

DEFAULT_TRAINED = (nn.Linear, _Convolution, nn.RNNBase, nn.MultiheadAttention, nn.LayerNorm, nn.Bilinear)
"""Layers that are trained unless someone says otherwise; embeddings (`from_pretrained`) and bare parameters (fixed position
codes) often come frozen.
"""


class OptimizerLedger(Check):
    """the optimizer holds every parameter that is meant to learn, once, and nothing else

    ## Why
    An optimizer that was built before a head was replaced, from another copy of the model or from a part of it, trains
    something other than you think. A layer that is frozen by accident does not learn at all.

    ## Measures
    Each parameter, by identity: in one group, in two, in none; foreign tensors in the optimizer; and whether `requires_grad`
    agrees with what `frozen` declares. Counting `param_groups` says nothing: it counts groups. Freezing is a matter of
    intent, so it must be declared: whatever is frozen but not declared fails. The statistic is the share of the model's
    weights (numbers, not tensors) that are booked wrongly.

    ## Causes
    - `not-in-optimizer`: a parameter gets a gradient but no group holds it.
    - `foreign-parameters`: the optimizer holds parameters of another model.
    - `parameter-twice`: a parameter is held twice, and so is stepped twice.
    - `undeclared-frozen`: a layer does not require a gradient, and `frozen` does not say so.
    - `frozen-but-trained`: declared frozen, but it requires a gradient and is in the optimizer.
    - `pattern-matches-nothing`: a pattern in `frozen` matches no parameter name (a warning).

    ## Limits
    Without an optimizer only the intent is checked. Bare parameters and embeddings that are frozen by construction give a
    warning, as fixed position codes do. Foreign parameters that get a gradient belong to the loss and are healthy.
    """

    id = "W2"
    stage = Stage.WIRING
    kind = Kind.EXACT
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        model = bench.model(0)
        owned = dict(model.named_parameters())
        if not owned:
            return self.skipped("the model has no parameters", "use a model with parameters")
        patterns = bench.experiment.frozen
        optimizer: Optimizer | None = None
        if bench.experiment.optimizer is not None:
            try:
                optimizer = bench.optimizer(model)
            except ExperimentError as error:
                if TWICE_IN_TORCH not in str(error):
                    raise
                return self.failed(
                    "parameter-twice",
                    "torch rejects the optimizer: a parameter is in more than one group",
                    "put each parameter in exactly one group",
                    statistic=1.0,
                    null="0: every weight is in one group or declared frozen",
                    threshold=0.0,
                    figure=Figure(
                        "Weights of the model by their place in the optimizer",
                        lambda canvas: _drawn(
                            canvas, dict.fromkeys(owned, "rejected by torch"), {n: p.numel() for n, p in owned.items()}, 0
                        ),
                        "Torch rejects the whole optimizer.",
                    ),
                )
        held = Counter(id(p) for group in optimizer.param_groups for p in group["params"]) if optimizer else Counter[int]()
        status = {name: _status(bench, p, held[id(p)], optimizer, name) for name, p in owned.items()}
        if "in no group" in status.values():
            reached = gradients(bench, model, bench.first) or {}
            for name in [name for name, each in status.items() if each == "in no group"]:
                if reached.get(name) is None:
                    status[name] = "not used by this loss"
        own = {id(p) for p in owned.values()}
        foreign = [p for group in optimizer.param_groups for p in group["params"] if id(p) not in own] if optimizer else []
        if foreign:
            gradient_of_loss(bench, model)
            foreign = [p for p in foreign if p.grad is None]
        mass = {name: p.numel() for name, p in owned.items()}
        total = sum(mass.values()) + sum(p.numel() for p in foreign)
        bad = {name for name, each in status.items() if each in _WRONG}
        numbers: dict[str, Any] = {
            "statistic": (sum(mass[name] for name in bad) + sum(p.numel() for p in foreign)) / max(total, 1),
            "null": "0: every weight is in one group or declared frozen",
            "threshold": 0.0,
            "figure": Figure(
                "Weights of the model by their place in the optimizer",
                lambda canvas: _drawn(canvas, status, mass, sum(p.numel() for p in foreign)),
                "Each bar is the share of all weights with that status. There should be no red ones.",
            ),
            "status": status,
            "foreign": len(foreign),
        }
        return self._judged(bench, owned, status, foreign, numbers) or self._asides(model, owned, status, patterns, numbers)

    def _judged(
        self, bench: Bench, owned: dict[str, nn.Parameter], status: dict[str, str], foreign: list[Any], numbers: dict[str, Any]
    ) -> Outcome | None:
        missing = [name for name, each in status.items() if each == "in no group"]
        if foreign and missing:
            return self.failed(
                "foreign-parameters",
                f"the optimizer holds {len(foreign)} parameters that do not belong to the model, and misses {listed(missing)}",
                "build the optimizer from the parameters of the trained model, after its last modification",
                **numbers,
            )
        if missing:
            return self.failed(
                "not-in-optimizer",
                f"{listed(missing)} gets a gradient but is in no group of the optimizer",
                "add it to the optimizer, or declare it: Experiment(..., frozen=[...])",
                **numbers,
            )
        twice = [name for name, each in status.items() if each == "in two groups"]
        if twice:
            return self.failed(
                "parameter-twice",
                f"the optimizer holds {listed(twice)} more than once",
                "put each parameter in exactly one group",
                **numbers,
            )
        trained = [name for name, each in status.items() if each == "declared frozen, but trained"]
        if trained:
            return self.failed(
                "frozen-but-trained",
                f"{listed(trained)} is declared frozen but requires a gradient and is in the optimizer",
                "call requires_grad_(False) on it, or remove it from `frozen`",
                **numbers,
            )
        frozen = [name for name, each in status.items() if each == "frozen, not declared"]
        layers = [name for name in frozen if _is_of_layer(bench.model(0), name)]
        if layers:
            return self.failed(
                "undeclared-frozen",
                f"{listed(layers)} does not require a gradient, and nothing says that this is intended",
                f"if intended, declare it: Experiment(..., frozen=[{layers[0].rpartition('.')[0] + '.*'!r}])",
                **numbers,
            )
        if frozen:
            return self.warned(
                "undeclared-frozen",
                f"{listed(frozen)} does not require a gradient",
                f"if intended, declare it: Experiment(..., frozen=[{frozen[0]!r}])",
                **numbers,
            )
        if foreign:
            return self.warned(
                "foreign-parameters",
                f"the optimizer holds {len(foreign)} parameters that neither the model nor the loss uses",
                "build the optimizer from the trained model",
                **numbers,
            )
        return None

    def _asides(
        self, model: nn.Module, owned: dict[str, nn.Parameter], status: dict[str, str], patterns: Any, numbers: dict[str, Any]
    ) -> Outcome:
        idle = [pattern for pattern in patterns if not any(is_declared(name, [pattern]) for name in owned)]
        if idle:
            return self.warned(
                "pattern-matches-nothing",
                f"no parameter matches {listed(list(idle))}",
                f"correct `frozen`; names look like {next(iter(owned))}",
                **numbers,
            )
        counted = Counter(status.values())
        return self.passed("; ".join(f"{count} {each}" for each, count in counted.items()), **numbers)


_WRONG = ("in no group", "in two groups", "frozen, not declared", "declared frozen, but trained")


def _status(bench: Bench, parameter: nn.Parameter, times: int, optimizer: Optimizer | None, name: str) -> str:
    declared = is_declared(name, bench.experiment.frozen)
    if times > 1:
        return "in two groups"
    if not parameter.requires_grad:
        return "declared frozen" if declared else "frozen, not declared"
    if declared:
        return "declared frozen, but trained" if times else "declared frozen"
    if optimizer is None:
        return "trainable"
    return "in one group" if times else "in no group"


def gradient_of_loss(bench: Bench, model: nn.Module) -> None:
    """Leave the gradient of the first batch in `.grad`, of parameters of the loss, too."""
    loss = bench.loss(bench.run(model, bench.first[0]), bench.first[1])
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]


def _is_of_layer(model: nn.Module, name: str) -> bool:
    """Whether a parameter belongs to a layer that is trained unless someone says otherwise."""
    return isinstance(model.get_submodule(name.rpartition(".")[0]), DEFAULT_TRAINED)


def _drawn(canvas: Canvas, status: dict[str, str], mass: dict[str, int], foreign: int) -> None:
    shares: Counter[str] = Counter()
    for name, each in status.items():
        shares[each] += mass[name]
    if foreign:
        shares["of another model"] = foreign
    total = sum(shares.values())
    names = [each for each, _ in shares.most_common()]
    draw.bars(
        canvas,
        names,
        [100 * shares[name] / total for name in names],
        "share of all weights [%]",
        bad=[name in (*_WRONG, "of another model", "rejected by torch") for name in names],
    )
