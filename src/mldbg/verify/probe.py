"""The loss by itself: what it does to made-up outputs, and which functions of torch it calls on what."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from mldbg.operations.effect import ClassAxis, Loss
from mldbg.operations.losses import LOSSES, MADE_OF
from mldbg.semantics import Semantic
from mldbg.verify.bench import Bench, copied, doubled, main_tensor, mapped, with_main
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.state import modes_preserved, seeded

LOGITS, BCE_LOGITS, BCE, LOG_PROBS, KL_DIV, VALUES = "logits", "bce-logits", "bce", "log-probs", "kl-div", "values"
"""What a loss function of torch wants as its input."""


def wanted(loss: Loss) -> str:
    """Which of these a loss wants, as the shared row has it."""
    match loss.takes:
        case Semantic.LOGITS:
            return LOGITS if loss.class_axis is not None else BCE_LOGITS
        case Semantic.UNIT_INTERVAL:
            return BCE
        case Semantic.LOG_PROBS:
            return LOG_PROBS if loss.class_axis is not None else KL_DIV
        case _:
            return VALUES


def _functions() -> Iterator[tuple[Callable[..., Any], Loss]]:
    """The losses that compare one prediction with its target, and the functions of which people build a loss of their own."""
    for loss in LOSSES.values():
        if loss.params[1].startswith("target"):
            yield getattr(functional, loss.name), loss
    for name, of in MADE_OF.items():
        yield attrgetter(name.removeprefix("torch."))(torch), LOSSES[of]


_LOSSES: dict[Callable[..., Any], Loss] = dict(_functions())

_SAME_VALUES = (
    *("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute", "Transpose", "T", "Slice", "Select", "Index"),
    *("Expand", "Clone", "ToCopy", "Alias", "Split", "Unbind"),
)
"""Operations of the autograd graph that move values without changing them."""


NORMALISED = 1e-3
"""The logarithm of the sum of probabilities is below that for outputs that are log-probabilities, up to rounding."""

CONFIDENCE = 4.0
"""The logit of the right class of a perfect prediction: large enough to be right, small enough not to saturate float32."""

Link = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class LossCall:
    """One call of a loss function of torch.

    Attributes:
        name: of the function, like `cross_entropy`.
        wants: one of the constants above.
        given: the input, without its graph.
        target: the target, where there is one.
        made_by: the operation that made the values of the input, like "Softmax", as autograd names it; "" where unknown.
        axis: the class axis, where the function has one.
    """

    name: str
    wants: str
    given: Tensor
    target: Tensor | None
    made_by: str
    axis: int | None


class _Listening(TorchFunctionMode):
    """Notes the outermost calls of loss functions."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[LossCall] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        loss = _LOSSES.get(func)
        if loss is not None:
            given = args[0] if args else kwargs.get(loss.params[0], kwargs.get("input"))
            if isinstance(given, Tensor) and given.is_floating_point():
                self.calls.append(_noted(func, loss, given, args, kwargs))
        return func(*args, **kwargs)


def _noted(func: Callable[..., Any], loss: Loss, given: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> LossCall:
    second = args[1] if len(args) > 1 else kwargs.get(loss.params[1], kwargs.get("target"))
    axis: int | None = None
    if "log_softmax" in func.__name__:
        axis = kwargs.get("dim", second if isinstance(second, int) else -1)
    elif loss.class_axis is ClassAxis.SECOND:
        axis = 1 if given.ndim > 1 else 0
    elif loss.takes is Semantic.LOG_PROBS:
        axis = -1
    target = second.detach() if isinstance(second, Tensor) else None
    return LossCall(func.__name__, wanted(loss), given.detach(), target, made_by(given), axis)


def made_by(value: Tensor) -> str:
    """The operation that made the values, as autograd names it, without those that only move values; "" without a graph."""
    node = value.grad_fn
    while node is not None:
        name = node.name().rstrip("0123456789").removesuffix("Backward")
        if not name.startswith(_SAME_VALUES) or not node.next_functions:
            return name
        node = node.next_functions[0][0]
    return ""


def loss_calls(bench: Bench, loudness: float = 1.0, seed: int = 0) -> tuple[LossCall, ...]:
    """The calls of loss functions while the user's loss runs on the output of an untrained model, in evaluation mode.

    A loss that raises leaves the calls until then.

    Args:
        bench: what is measured.
        loudness: all weights are multiplied by this: what is bounded stays bounded.
        seed: of the model.
    """

    def listen() -> tuple[LossCall, ...]:
        model = bench.model(seed)
        inputs, targets = bench.first
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(loudness)
        listening = _Listening()
        with modes_preserved(model), seeded(bench.experiment.seed):
            model.eval()
            output = bench.run(model, copied(inputs))
            try:
                with listening:
                    bench.loss(output, copied(targets))
            except ExperimentError:
                pass  # what was noted tells why
        return tuple(listening.calls)

    return bench.once(("loss calls", loudness, seed), listen)


class Probe:
    """The loss as a function of the main tensor of the output, in float64 where the loss can do that.

    Attributes:
        main: the output of the untrained model that is probed, shape and dtype as the loss gets it.
        targets: the targets of the batch.
        dtype: in which the loss is evaluated.
    """

    def __init__(self, bench: Bench) -> None:
        """Raises ExperimentError where the loss cannot be evaluated."""
        self.bench = bench
        main = main_tensor(bench.output)
        if main is None:
            raise ExperimentError("the output has no floating-point tensor with a batch axis")
        self.main = main.detach()
        self.dtype = torch.float64
        self.targets = bench.first[1]
        try:
            self.exactness = _exactness(self.loss(self.main).dtype)
        except ExperimentError:
            self.dtype = self.main.dtype
            self.exactness = _exactness(self.loss(self.main).dtype)

    def loss(self, main: Tensor, targets: Any = None, output: Any = None) -> Tensor:
        """The loss of made-up values of the main tensor; of other targets where they are given. Differentiable."""
        output = self.bench.output if output is None else output
        targets = self.targets if targets is None else targets
        double = self.dtype is torch.float64
        output, targets = (doubled(copied(each)) if double else copied(each) for each in (output, targets))
        with seeded(self.bench.experiment.seed):
            return self.bench.loss(with_main(output, main.to(self.dtype).clone()), targets)

    def at(self, main: Tensor, targets: Any = None) -> float:
        """The loss as a number."""
        with torch.no_grad():
            return float(self.loss(main, targets))

    def gradient(self, main: Tensor, targets: Any = None, output: Any = None) -> Tensor | None:
        """The derivative of the loss by the main tensor; None where the loss has none."""
        leaf = main.detach().to(self.dtype).requires_grad_()
        with torch.enable_grad():
            value = self.loss(leaf, targets, output)
            if not value.requires_grad:
                return None
            return torch.autograd.grad(value, leaf, allow_unused=True)[0]

    def random(self, rng: Any, *, like_targets: bool = True) -> Tensor:
        """Values as an output could have them: free ones (see there), squeezed to what the loss takes (see `fitted`)."""
        return self.fitted(self.free(rng, like_targets=like_targets))

    def free(self, rng: Any, *, like_targets: bool = True) -> Tensor:
        """Normal random numbers in the shape of the output.

        Args:
            rng: a numpy generator.
            like_targets: with the mean and spread of the targets, where these are values of the output's kind and the loss stays
                finite there. Far from all targets an absolute error is the same for any order of them.
        """
        values = torch.from_numpy(rng.standard_normal(tuple(self.main.shape))).to(self.main.device)
        centre, spread = self._place if like_targets else (0.0, 1.0)
        return centre + spread * values

    @cached_property
    def link(self) -> Link:
        """From free numbers to what both the model gives and the loss takes; differentiable."""
        wants = {call.wants for call in loss_calls(self.bench)}
        return torch.sigmoid if BCE in wants and BCE_LOGITS not in wants else link_of(self.main)

    @cached_property
    def _place(self) -> tuple[float, float]:
        """Mean and standard deviation of random outputs."""
        targets = self.targets
        if not isinstance(targets, Tensor) or not targets.is_floating_point() or targets.numel() != self.main.numel():
            return 0.0, 1.0
        if {call.wants for call in loss_calls(self.bench)} - {VALUES}:
            return 0.0, 1.0
        centre = float(targets.double().mean())
        spread = float(targets.double().std()) if targets.numel() > 1 else 0.0
        if not (math.isfinite(centre) and spread > 0):
            return 0.0, 1.0
        wide = torch.linspace(centre - 4 * spread, centre + 4 * spread, self.main.numel(), dtype=torch.float64)
        finite = math.isfinite(self.at(wide.to(self.main.device).reshape(self.main.shape)))
        return (centre, spread) if finite else (0.0, 1.0)

    def fitted(self, values: Tensor) -> Tensor:
        """Real numbers as the input that the loss wants: itself, probabilities in (0, 1), or log-probabilities."""
        wants = {call.wants for call in loss_calls(self.bench)}
        if BCE in wants and BCE_LOGITS not in wants:
            return values.sigmoid()
        return values

    def broadcasts(self) -> bool:
        """Whether the loss compares all pairs of rows, and each row with its own once the output has the shape of the targets."""
        targets = self.targets
        if not isinstance(targets, Tensor) or self.main.shape == targets.shape or self.main.numel() != targets.numel():
            return False
        main = self.random(self.bench.rng("broadcast"))
        rounding = 1e5 * self.exactness
        pairs, moved = self.at(main), self.at(main, torch.roll(targets, 1, 0))
        try:
            own, others = (self.at(main.reshape(targets.shape), each) for each in (targets, torch.roll(targets, 1, 0)))
        except ExperimentError:
            return False
        return abs(pairs - moved) <= rounding * abs(pairs) and abs(own - others) > rounding * abs(own)

    @property
    def reads_output(self) -> bool:
        """Whether the loss depends on the main tensor at all (a model may return its loss beside it)."""
        rng = self.bench.rng("probe")
        values = {self.at(self.random(rng)) for _ in range(3)}
        return len(values) > 1


def identity(values: Tensor) -> Tensor:
    """The link of outputs that may be any numbers."""
    return values


def link_of(main: Tensor) -> Link:
    """From free numbers to values of the kind that the model gives: log-probabilities, numbers in [0, 1], or any numbers."""
    whole = main.double()
    if main.ndim >= 2 and bool((whole <= 0).all()):
        for axis in (1, -1):
            if float(whole.logsumexp(axis).abs().max()) < NORMALISED:
                return lambda values, axis=axis: functional.log_softmax(values, axis)  # type: ignore[misc]
    if bool((whole >= 0).all()) and bool((whole <= 1).all()):
        return torch.sigmoid
    return identity


def probe_of(bench: Bench) -> Probe | None:
    """The probe; None where the output has no tensor that the loss reads, or the loss cannot take made-up outputs."""

    def make() -> Probe | None:
        try:
            probe = Probe(bench)
            return probe if probe.reads_output else None
        except ExperimentError:
            return None

    return bench.once("probe", make)


def perfect_output(probe: Probe) -> Tensor | None:
    """The output that says what the targets are; None where that is not known."""
    bench, targets, main = probe.bench, probe.bench.first[1], probe.main
    if not isinstance(targets, Tensor) or targets.is_complex():
        return None
    axis, classes = class_axis(bench), bench.classes
    if axis is not None and classes is not None:
        if classes < 2 or targets.shape != main.shape[:axis] + main.shape[axis + 1 :]:
            return None
        known = (targets >= 0) & (targets < classes)
        if not bool(known[targets >= 0].all()):
            return None
        ids = torch.where(known, targets, 0).long()
        logits = CONFIDENCE * functional.one_hot(ids, classes).double() * known[..., None]
        wants = {call.wants for call in loss_calls(bench)}
        if LOG_PROBS in wants and LOGITS not in wants:
            logits = logits.log_softmax(-1)
        return logits.movedim(-1, axis)
    if targets.numel() != main.numel() or not (
        targets.is_floating_point() or targets.dtype in (torch.bool, torch.int64, torch.int32)
    ):
        return None
    values = targets.double().reshape(main.shape)
    wants = {call.wants for call in loss_calls(bench)}
    if BCE in wants and BCE_LOGITS not in wants:
        return values.clamp(0.02, 0.98)
    if BCE_LOGITS in wants:
        return CONFIDENCE * (2 * values - 1)
    return values


NO_PROBE = "the loss does not read a tensor of the model's output that could be replaced"
"""Why a check of the loss by itself is skipped."""

PROBE_NEXT = "have the model return its predictions, and compute the loss from them in `loss(output, target)`"
"""What to do about that."""


def permuted(targets: Any, order: Tensor) -> Any:
    """The targets with their rows in another order."""
    return mapped(targets, lambda each: each[order.to(each.device)] if each.ndim and each.shape[0] == len(order) else each)


def repeated(value: Any, rows: int) -> Any:
    """Every tensor with that many rows twice in a row."""
    return mapped(value, lambda each: torch.cat([each, each]) if each.ndim and each.shape[0] == rows else each)


def part(value: Any, rows: int, chosen: Tensor) -> Any:
    """Some rows of every tensor that has so many."""
    return mapped(value, lambda each: each[chosen.to(each.device)] if each.ndim and each.shape[0] == rows else each)


def class_axis(bench: Bench) -> int | None:
    """The axis of the main tensor that holds the classes, where targets are class ids."""
    target, main = bench.first[1], main_tensor(bench.output)
    if bench.classes is None or main is None:
        return None
    return 1 if main.shape[0] == target.shape[0] and main.shape[2:] == target.shape[1:] else main.ndim - 1


def _exactness(dtype: torch.dtype) -> float:
    return float(torch.finfo(dtype).eps) if dtype.is_floating_point else float(torch.finfo(torch.float32).eps)


__all__ = [
    "BCE",
    "BCE_LOGITS",
    "KL_DIV",
    "LOGITS",
    "LOG_PROBS",
    "NO_PROBE",
    "PROBE_NEXT",
    "VALUES",
    "LossCall",
    "Probe",
    "class_axis",
    "loss_calls",
    "made_by",
    "part",
    "permuted",
    "probe_of",
    "repeated",
    "with_main",
]
