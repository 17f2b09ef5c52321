"""The bench: fresh models and batches on the right device, seeds, time, and what several checks measure only once."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from mldbg.verify.experiment import Experiment, ExperimentError
from mldbg.verify.state import modes_preserved, seed_all, seeded

T = TypeVar("T")


class OutOfTimeError(Exception):
    """A check has used up its time."""


@dataclasses.dataclass(frozen=True, slots=True)
class Floor:
    """What one number is worth: nothing smaller than this is a difference.

    Attributes:
        repeatability: relative difference of the initial loss between two runs with the same seed.
        rounding: relative difference between the loss on this device in the model's dtype and on the CPU in float64.
        reproducibility: relative standard deviation of the initial loss over seeds.
    """

    repeatability: float
    rounding: float
    reproducibility: float


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """The training loss on one fixed batch, step by step, and the model at the end."""

    losses: tuple[float, ...]
    model: nn.Module
    finished: bool
    """False: the budget of steps ended while the loss was still falling."""


class Bench:
    """Serves the checks of one run.

    Args:
        experiment: what the user gave.
        device: where models and batches go.
        seconds: time for one check; checks ask for models, losses and steps here, and that is when it is looked at.
    """

    def __init__(self, experiment: Experiment, device: torch.device | str = "cpu", seconds: float = math.inf) -> None:
        self.experiment = experiment
        self.device = torch.device(device)
        self.seconds = seconds
        self._deadline = math.inf
        self._kept: dict[object, Any] = {}
        self._originals: dict[int, tuple[nn.Module, nn.Module]] = {}

    # ------------------------------------------------------------------------------------------------------------------ time
    def start_clock(self) -> None:
        """A check begins."""
        self._deadline = time.monotonic() + self.seconds

    def tick(self) -> None:
        """Raises OutOfTimeError when the check's time is over."""
        if time.monotonic() > self._deadline:
            raise OutOfTimeError(f"the check did not finish within {self.seconds:g} s")

    def once(self, key: object, compute: Callable[[], T]) -> T:
        """What is measured only once in a run, whichever check asks first."""
        if key not in self._kept:
            self._kept[key] = compute()
        value: T = self._kept[key]
        return value

    def rng(self, name: str) -> np.random.Generator:
        """A generator of a check's own."""
        return np.random.default_rng([self.experiment.seed, *name.encode()])

    # ------------------------------------------------------------------------------------------------------------- factories
    def model(self, seed: int = 0) -> nn.Module:
        """A fresh model in training mode on the device.

        A factory that hands out the same object again gets a copy of what it was at first; the object itself is never touched.
        """
        self.tick()
        made = self._make("model", self.experiment.model, seed)
        if not isinstance(made, nn.Module):
            raise ExperimentError(f"model() returned {_kind(made)}, not a torch.nn.Module")
        if id(made) not in self._originals:
            self._originals[id(made)] = (made, copy.deepcopy(made))
        return self._placed("model()", lambda: copy.deepcopy(self._originals[id(made)][1]).to(self.device)).train()

    def batch(self, seed: int = 0) -> tuple[Any, Any]:
        """A batch `(inputs, targets)` on the device, safe to be changed in place."""
        self.tick()
        made = self._make("batch", self.experiment.batch, seed)
        if not isinstance(made, tuple | list) or len(made) != 2:
            raise ExperimentError(f"batch() returned {_kind(made)}, not a pair (inputs, targets)")
        inputs, targets = self._placed("batch()", lambda: tuple(moved(copied(each), self.device) for each in made))
        return inputs, targets

    def optimizer(self, model: nn.Module, seed: int = 0) -> Optimizer:
        """The user's optimizer for a model; where a scheduler's warm-up begins with the rate 0, with the rate that this leads to.
        `adam` where there is none.
        """
        factory = self.experiment.optimizer
        if factory is None:
            return adam(model)
        made = self._make("optimizer", lambda: factory(model), seed)
        if not isinstance(made, Optimizer):
            raise ExperimentError(f"optimizer(model) returned {_kind(made)}, not a torch.optim.Optimizer")
        for group in made.param_groups:
            if group.get("lr") == 0 and group.get("initial_lr"):
                group["lr"] = group["initial_lr"]
        return made

    def loader(self, seed: int = 0) -> Iterable[Any]:
        """The user's loader. Raises ExperimentError where there is none."""
        if self.experiment.loader is None:
            raise ExperimentError("the experiment has no loader")
        made = self._make("loader", self.experiment.loader, seed)
        if not isinstance(made, Iterable):
            raise ExperimentError(f"loader() returned {_kind(made)}, which is not iterable")
        return made

    def arrays(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """`X` of shape (rows, features) in float64 and `y` of shape (rows,) of the part "train" or "test"."""

        def load() -> tuple[np.ndarray, np.ndarray]:
            factory = getattr(self.experiment, part)
            made = self._make(part, factory, 0)
            if not isinstance(made, tuple | list) or len(made) != 2:
                raise ExperimentError(f"{part}() returned {_kind(made)}, not a pair (X, y)")
            x, y = (np.asarray(each.detach().cpu() if isinstance(each, Tensor) else each) for each in made)
            if len(x) != len(y) or not len(x):
                raise ExperimentError(f"{part}() returned {len(x)} rows of X and {len(y)} of y")
            try:
                return x.reshape(len(x), -1).astype(np.float64), y
            except (TypeError, ValueError):
                raise ExperimentError(f"{part}() returned X of {x.dtype}, which is not numeric") from None

        return self.once(("arrays", part), load)

    def _placed(self, name: str, move: Callable[[], T]) -> T:
        """What a factory made, on the device. Raises ExperimentError where it cannot go there."""
        try:
            return move()
        except (RuntimeError, NotImplementedError, TypeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ExperimentError(
                f"{name} returned something that cannot be moved to {self.device}: {first_line(error)}"
            ) from error

    def _make(self, name: str, factory: Callable[[], Any], seed: int) -> Any:
        with seeded(self.experiment.seed + seed):
            try:
                return factory()
            except (OutOfTimeError, ExperimentError):
                raise
            except Exception as error:
                raise ExperimentError(f"{name}() raised {type(error).__name__}: {first_line(error)}") from error

    # -------------------------------------------------------------------------------------------------------------- running
    def run(self, model: nn.Module, inputs: Any) -> Any:
        """The model's output; a tuple of inputs is passed by position, a dict by keyword. Raises ExperimentError."""
        self.tick()
        try:
            if isinstance(inputs, Mapping):
                return model(**inputs)
            return model(*inputs) if isinstance(inputs, tuple) else model(inputs)
        except (OutOfTimeError, ExperimentError):
            raise
        except Exception as error:
            raise ExperimentError(
                f"the model raised {type(error).__name__}: {first_line(error)}{self._elsewhere(inputs)}"
            ) from error

    def loss(self, output: Any, targets: Any) -> Tensor:
        """The loss, a tensor of shape (). Raises ExperimentError for any other result."""
        try:
            value = self.experiment.loss(output, targets)
        except (OutOfTimeError, ExperimentError):
            raise
        except Exception as error:
            raise ExperimentError(f"loss(output, target) raised {type(error).__name__}: {first_line(error)}") from error
        if not isinstance(value, Tensor):
            raise ExperimentError(f"loss(output, target) returned {_kind(value)}, not a tensor")
        if value.numel() != 1:
            raise ExperimentError(
                f"loss(output, target) returned shape {tuple(value.shape)}, not a scalar: reduce it over the batch"
            )
        return value.reshape(())

    def step(self, model: nn.Module, optimizer: Optimizer, inputs: Any, targets: Any) -> float:
        """One training step; the loss before it. An optimizer that wants a closure, like L-BFGS, gets one."""

        def closure() -> Tensor:
            optimizer.zero_grad(set_to_none=True)
            value = self.loss(self.run(model, inputs), targets)
            if value.requires_grad:
                value.backward()  # type: ignore[no-untyped-call]
            return value.detach()

        try:
            if needs_closure(optimizer):
                return float(optimizer.step(closure))  # type: ignore[arg-type]  # torch says that it returns a number
            value = closure()
            optimizer.step()
        except (OutOfTimeError, ExperimentError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise ExperimentError(f"the training step raised {type(error).__name__}: {first_line(error)}") from error
        return float(value)

    def evaluated(self, model: nn.Module, inputs: Any, targets: Any) -> float:
        """The loss in evaluation mode without gradients; modes and buffers stay as they were."""
        with modes_preserved(model), torch.no_grad():
            model.eval()
            return float(self.loss(self.run(model, inputs), targets))

    def _elsewhere(self, inputs: Any) -> str:
        places = sorted({str(each.device) for each in tensors_in(inputs)})
        return f" (the batch is on {', '.join(places)})" if len(places) > 1 else ""

    # --------------------------------------------------------------------------------------------------- what a batch is about
    @cached_property
    def first(self) -> tuple[Any, Any]:
        """The batch of seed 0; do not change it in place."""
        return self.batch(0)

    @cached_property
    def size(self) -> int:
        """Rows of the batch: the first axis of the first tensor of the inputs."""
        found = next(tensors_in(self.first[0]), None)
        if found is None or found.ndim == 0:
            raise ExperimentError("batch() returned inputs without a tensor that has a batch axis")
        return found.shape[0]

    @cached_property
    def output(self) -> Any:
        """The output of the model of seed 0 on that batch, in evaluation mode, without a graph."""
        model = self.model(0)
        with modes_preserved(model), torch.no_grad(), seeded(self.experiment.seed):
            model.eval()
            return self.run(model, copied(self.first[0]))

    @cached_property
    def classes(self) -> int | None:
        """K where targets are class ids, shape (B,) or (B, ...), and the output has logits of K classes in axis 1 (or in the last
        axis, for sequences); else None.
        """
        target, output = self.first[1], main_tensor(self.output)
        if not isinstance(target, Tensor) or output is None or target.is_floating_point() or output.ndim < 2:
            return None
        if output.shape[0] == target.shape[0] and output.shape[2:] == target.shape[1:]:
            return int(output.shape[1])
        return int(output.shape[-1]) if output.shape[:-1] == target.shape or output.ndim == 2 else None

    @cached_property
    def is_regression(self) -> bool:
        """Whether targets are floating-point values with as many elements as the output."""
        target, output = self.first[1], main_tensor(self.output)
        return (
            isinstance(target, Tensor) and target.is_floating_point() and output is not None and output.numel() == target.numel()
        )

    # ---------------------------------------------------------------------------------------------------- shared measurements
    @cached_property
    def floor(self) -> Floor:
        """The noise floor of the initial loss."""
        inputs, targets = self.first
        again = [self.evaluated(self.model(0), copied(inputs), targets) for _ in range(2)]
        scale = max(abs(again[0]), np.finfo(np.float64).tiny)
        exact = self._in_double(inputs, targets)
        seeds = [self.evaluated(self.model(seed), copied(inputs), targets) for seed in range(5)]
        return Floor(
            abs(again[1] - again[0]) / scale,
            abs(again[0] - exact) / scale if exact is not None else math.nan,
            float(np.std(seeds, ddof=1)) / scale if np.isfinite(seeds).all() else math.nan,
        )

    def _in_double(self, inputs: Any, targets: Any) -> float | None:
        try:
            model = self.model(0).to("cpu").double()
            with modes_preserved(model), torch.no_grad():
                model.eval()
                inputs, targets = doubled(moved(copied(inputs), "cpu")), doubled(moved(copied(targets), "cpu"))
                return float(self.loss(self.run(model, inputs), targets))
        except ExperimentError:
            return None  # an operation without a float64 or CPU version

    @staticmethod
    def without_regularisation(model: nn.Module) -> None:
        """Switch dropout off: modules, functions that ask for `training`, and numbers called `dropout`.

        Normalisation and recurrent layers stay in training mode.
        """
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):  # noqa: SLF001  # the base class of all dropouts has no other name
                module.p = 0.0
            if isinstance(getattr(module, "dropout", None), float):
                module.dropout = 0.0  # type: ignore[assignment]  # it is a float already
            if not isinstance(module, nn.modules.batchnorm._NormBase | nn.RNNBase):  # noqa: SLF001  # of all batch norms
                module.training = False

    def overfit(self, steps: int = 300, *, regularised: bool = True) -> Curve:
        """Train a fresh model on the first batch with the user's optimizer (Adam, 1e-3, without one).

        Args:
            steps: at most so many; it ends earlier where the loss has come to rest.
            regularised: with dropout and weight decay as they are; else both are off.
        """
        return self.once(("overfit", steps, regularised), lambda: self._overfit(steps, regularised=regularised))

    def _overfit(self, steps: int, *, regularised: bool) -> Curve:
        model = self.model(0)
        inputs, targets = self.first
        optimizer = self.optimizer(model)
        if not regularised:
            self.without_regularisation(model)
            for group in optimizer.param_groups:
                group["weight_decay"] = 0.0
        losses: list[float] = []
        with seeded(self.experiment.seed):
            for _ in range(steps):
                losses.append(self.step(model, optimizer, copied(inputs), targets))
                if not math.isfinite(losses[-1]):
                    break
        return Curve(tuple(losses), model, finished=at_rest(losses))


def adam(model: nn.Module, rate: float = 1e-3) -> Optimizer:
    """Adam for all parameters that are trained, whose embeddings give dense gradients from now on: Adam takes no others."""
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            module.sparse = False
    return torch.optim.Adam([each for each in model.parameters() if each.requires_grad], rate)


def dense(gradient: Tensor) -> Tensor:
    """Sparse gradients (of embeddings) as plain tensors."""
    return gradient.to_dense() if gradient.is_sparse else gradient


def needs_closure(optimizer: Optimizer) -> bool:
    """Whether `step` cannot be called without a function that evaluates the loss again."""
    asked = inspect.signature(optimizer.step).parameters.get("closure")
    return asked is not None and asked.default is inspect.Parameter.empty


def at_rest(losses: list[float] | tuple[float, ...], share: float = 0.2) -> bool:
    """Whether the last part of a curve has no slope beyond its noise: |slope| * length < 1 % of the whole fall, or 3 of its
    standard errors.
    """
    tail = np.asarray(losses[-max(int(len(losses) * share), 10) :])
    if len(tail) < 10 or not np.isfinite(tail).all():
        return False
    x = np.arange(len(tail)) - (len(tail) - 1) / 2
    slope = float((x * tail).sum() / (x * x).sum())
    noise = float(np.std(tail - tail.mean() - slope * x, ddof=2)) / math.sqrt(float((x * x).sum()))
    fall = abs(slope) * len(tail)
    return fall <= 0.01 * (max(losses) - min(losses)) or abs(slope) <= 3 * noise


# -------------------------------------------------------------------------------------------------------------- nested tensors
def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples, lists, mappings and dataclasses, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from tensors_in(each)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors_in(getattr(value, field.name, None))


def is_square(tensor: Tensor, size: int) -> bool:
    """Whether it may be a matrix over the rows of the batch: an adjacency, a mask of pairs."""
    return tensor.ndim == 2 and tensor.shape == (size, size)


def has_square(inputs: Any, size: int) -> bool:
    """Whether inputs of several tensors hold such a matrix."""
    tensors = list(tensors_in(inputs))
    return len(tensors) > 1 and any(is_square(each, size) for each in tensors)


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same structure, of the same classes, with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        new = {key: mapped(each, change) for key, each in value.items()}
        if type(value) is dict or not isinstance(value, MutableMapping):
            return new
        same = copy.copy(value)  # a class of its own, whose entries may be attributes, too
        for key, each in new.items():
            same[key] = each
        return same
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(each, change) for each in value))
    if isinstance(value, tuple | list):
        return type(value)(mapped(each, change) for each in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changed = copy.copy(value)
        for field in dataclasses.fields(value):
            if hasattr(value, field.name):
                object.__setattr__(changed, field.name, mapped(getattr(value, field.name), change))  # also where it is frozen
        return changed
    return value


def copied(value: Any) -> Any:
    return mapped(value, lambda x: x.detach().clone())


def moved(value: Any, device: torch.device | str) -> Any:
    return mapped(value, lambda x: x.to(device))


def doubled(value: Any) -> Any:
    """Floating-point tensors in float64."""
    return mapped(value, lambda x: x.double() if x.is_floating_point() else x)


def main_tensor(output: Any) -> Tensor | None:
    """The output's first floating-point tensor with a batch axis; of an output with `logits` that."""
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits  # type: ignore[no-any-return]  # just asked
    if isinstance(output, Mapping) and isinstance(output.get("logits"), Tensor):
        return output["logits"]  # type: ignore[no-any-return]  # just asked
    found = (each for each in tensors_in(output) if each.is_floating_point() and each.ndim)
    return next(found, None)


def with_main(output: Any, replacement: Tensor) -> Any:
    """The model's output with its main tensor (see `main_tensor`) replaced."""
    main = main_tensor(output)
    changed = mapped(output, lambda each: replacement if each is main else each)
    if changed is output:  # an object of a class that is not looked into
        changed = copy.copy(output)
        changed.logits = replacement
    return changed


def _kind(value: object) -> str:
    return f"a {type(value).__name__}" if value is not None else "None"


def first_line(error: BaseException) -> str:
    """The first line of its message, of at most 200 characters."""
    line = (str(error).strip().splitlines() or [""])[0]
    return line if len(line) <= 200 else f"{line[:199]}…"


__all__ = [
    "Bench",
    "Curve",
    "Floor",
    "OutOfTimeError",
    "adam",
    "at_rest",
    "copied",
    "dense",
    "doubled",
    "first_line",
    "main_tensor",
    "mapped",
    "moved",
    "needs_closure",
    "seed_all",
]
