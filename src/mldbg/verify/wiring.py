"""What the wiring checks share: gradients by parameter, models in exact arithmetic, and what happens inside a forward pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from mldbg.verify.bench import Bench, copied, dense, doubled, has_square, main_tensor, mapped, tensors_in
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.state import seeded

DROPOUTS = nn.modules.dropout._DropoutNd  # noqa: SLF001  # the base class of all dropouts has no other name

NORMALISATIONS = nn.modules.batchnorm._NormBase  # noqa: SLF001  # the same of BatchNorm and InstanceNorm

NOT_FINITE = "the output of the untrained model is not finite"
"""Why wiring checks are skipped where something overflows; `first-non-finite` and `input-range` say where."""

NOT_FINITE_NEXT = "fix first-non-finite or input-range first"

WARM_STEPS = 3
"""Steps after which a branch that starts at zero takes part: one for its own weights, then one for those before it."""

TOLERANCE = 256
"""Units of rounding (eps times the largest value) that two runs of the same sums may differ by. Different blocking of a sum over
n terms changes it by about sqrt(n) eps; 256 allows for n = 65536."""


# ------------------------------------------------------------------------------------------------------------------ parameters
def is_declared(name: str, patterns: Sequence[str]) -> bool:
    """Whether a parameter is one of those that the user declares frozen; the name of a module stands for all in it."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*") for pattern in patterns)


def trainable(bench: Bench, model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are meant to learn: they require a gradient and are not declared frozen; tied ones once."""
    frozen = bench.experiment.frozen
    return {name: p for name, p in model.named_parameters() if p.requires_grad and not is_declared(name, frozen)}


def gradients(bench: Bench, model: nn.Module, batch: tuple[Any, Any], seed: int = 0) -> dict[str, Tensor | None] | None:
    """The gradient of the loss by trainable parameter; None for a parameter outside of the graph.

    All is None where the loss has no graph.
    """
    with seeded(bench.experiment.seed + seed), torch.enable_grad():
        loss = bench.loss(bench.run(model, copied(batch[0])), copied(batch[1]))
        wanted = trainable(bench, model)
        if not loss.requires_grad or not wanted:
            return None
        found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
        by_name: list[tuple[str, Tensor | None]] = list(zip(wanted, found, strict=True))
    return {name: None if each is None else dense(each.detach()) for name, each in by_name}


def warmed(bench: Bench, seed: int = 0) -> nn.Module:
    """A fresh model after some gradient steps on the first batch: what starts at zero has left it. Yours to change.

    Each step moves every tensor by a root mean square of a thousandth, whatever the size of its gradient.
    """

    def train() -> nn.Module:
        model = bench.model(seed)
        for step in range(WARM_STEPS):
            found = gradients(bench, model, bench.first, step) or {}
            parameters = dict(model.named_parameters())
            with torch.no_grad():
                for name, gradient in found.items():
                    size = 0.0 if gradient is None or not gradient.numel() else float(gradient.double().pow(2).mean().sqrt())
                    if gradient is not None and 0 < size < float("inf"):
                        parameters[name].sub_(1e-3 * gradient / size)
        return model

    return copy.deepcopy(bench.once(("warmed", seed), train))


def without_dropout(model: nn.Module) -> nn.Module:
    """The same model in training mode, but with its dropout off."""
    model.train()
    for module in model.modules():
        if isinstance(module, (DROPOUTS, nn.MultiheadAttention, nn.RNNBase)):  # the latter two drop by themselves
            module.eval()
    return model


# --------------------------------------------------------------------------------------------------------------------- outputs
def floats_of(output: Any) -> list[Tensor]:
    """All floating-point tensors of an output."""
    found = [each for each in tensors_in(output) if each.is_floating_point()]
    main = main_tensor(output)
    return found or ([main] if main is not None else [])


def is_readable(bench: Bench) -> bool:
    """Whether the untrained model's output has a tensor, and no NaN."""
    found = floats_of(bench.output)
    return bool(found) and not any(bool(torch.isnan(each).any()) for each in found)


def finite(value: Tensor) -> Tensor:
    """Infinities (masked logits) as zeros, so that differences are defined."""
    return torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class Rig:
    """A model in evaluation mode in the most exact arithmetic that it runs in (float64, else its own), and the first batch.

    Attributes:
        eps: rounding of that arithmetic.
    """

    bench: Bench
    model: nn.Module
    inputs: Any
    targets: Any
    eps: float

    def outputs(self, inputs: Any = None) -> list[Tensor]:
        """The floating-point tensors of the output; the same random numbers in each call, and no gradients."""
        with torch.no_grad(), seeded(self.bench.experiment.seed), plain_attention():
            output = self.bench.run(self.model, copied(self.inputs if inputs is None else inputs))
        return [finite(each) for each in floats_of(output)]

    def loss(self) -> float:
        """The loss of the first batch."""
        with torch.no_grad(), seeded(self.bench.experiment.seed), plain_attention():
            return float(self.bench.loss(self.bench.run(self.model, copied(self.inputs)), copied(self.targets)))


def rig_of(bench: Bench, model: nn.Module) -> Rig:
    """The rig for a model, which it takes over. Raises ExperimentError where the model does not run at all."""
    inputs, targets = bench.first
    widest = max((torch.finfo(p.dtype).eps for p in model.parameters() if p.is_floating_point()), default=1e-7)
    own = Rig(bench, model.eval(), inputs, targets, widest)
    try:
        exact = Rig(bench, copy.deepcopy(model).double(), doubled(copied(inputs)), doubled(copied(targets)), 2.0**-52)
        if all(each.dtype == torch.float64 for each in exact.outputs()):
            exact.loss()
            return exact
    except (ExperimentError, TypeError, RuntimeError):
        pass  # an operation, a constant of the model's own or a device without float64
    own.outputs()
    return own


@contextmanager
def plain_attention() -> Iterator[None]:
    """Attention in single operations, so that modules inside are called and maps are seen."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(value=False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(value=fast)


# ------------------------------------------------------------------------------------------------------- inside a forward pass
def weighted_modules(model: nn.Module) -> dict[str, nn.Module]:
    """Modules with a weight of their own of rank 2 or more (linear, convolution, recurrent, attention, embedding), by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if name and any(p.ndim >= 2 for p in module.parameters(recurse=False))
    }


@contextmanager
def hooked(modules: dict[str, nn.Module], react: Callable[[str, nn.Module, Any, Any], Any]) -> Iterator[None]:
    """Call `react(name, module, inputs, output)` after each; what it returns, if not None, replaces the output."""
    handles: list[RemovableHandle] = []
    for name, module in modules.items():
        handles.append(module.register_forward_hook(lambda module, args, output, name=name: react(name, module, args, output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True, slots=True)
class Heard:
    """The result of one operation.

    Attributes:
        operation: its name, like "relu".
        module: the name of the innermost module that it ran in.
        value: the result.
        numbers: its plain arguments after the first: an axis, bounds.
    """

    operation: str
    module: str
    value: Tensor
    numbers: tuple[float, ...]


class Listening(TorchDispatchMode):  # type: ignore[no-untyped-call,misc,unused-ignore]  # torch leaves it untyped
    """Notes the results of chosen operations of torch's dispatcher, whichever function of the model called them."""

    def __init__(self, model: nn.Module, operations: frozenset[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.heard: list[Heard] = []
        self._operations = operations
        self._within: list[str] = [""]
        self._handles: list[RemovableHandle] = []
        for name, module in model.named_modules():
            self._handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._within.append(name)))
            self._handles.append(module.register_forward_hook(lambda *_: self._leave(), always_call=True))

    def _leave(self) -> None:
        if len(self._within) > 1:
            self._within.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__.strip("_")
        if name in self._operations and isinstance(result, Tensor):
            numbers = tuple(each for each in args[1:] if isinstance(each, int | float))
            self.heard.append(Heard(name, self._within[-1], result.detach().clone(), numbers))
        return result

    def close(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()


def listen(rig: Rig, operations: frozenset[str], inputs: Any = None) -> list[Heard]:
    """The results of chosen operations in one forward pass."""
    listening = Listening(rig.model, operations)
    try:
        with listening:
            rig.outputs(inputs)
    finally:
        listening.close()
    return listening.heard


# ------------------------------------------------------------------------------------------------------------------------ rows
def has_rows(value: Any, size: int) -> bool:
    """Whether every tensor has `size` rows."""
    return all(each.shape[:1] == (size,) for each in tensors_in(value))


def is_batch_of_rows(bench: Bench) -> bool:
    """Whether inputs and outputs have one row for each example, as far as shapes tell.

    Not so where an input has no such axis or is a square matrix over rows (graphs), and for time-major inputs.
    """
    targets = list(tensors_in(bench.first[1]))
    of_targets = not targets or targets[0].shape[:1] == (bench.size,)
    outputs = floats_of(bench.output)
    of_outputs = bool(outputs) and outputs[0].shape[:1] == (bench.size,)
    return (
        has_rows(bench.first[0], bench.size)
        and not has_square(bench.first[0], bench.size)
        and of_targets
        and of_outputs
        and bench.experiment.time_axis != 0
    )


def taken(value: Any, size: int, index: Tensor) -> Any:
    """Some rows of each tensor that has `size` rows."""
    return mapped(value, lambda each: each[index.to(each.device)] if each.shape[:1] == (size,) else each)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Names for a sentence."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _differs(tensor: Tensor) -> bool:
    """Whether it has two rows that differ."""
    return not bool((tensor == tensor[:1]).all())


def replaced_rows(value: Any, size: int, rows: Tensor, generator: torch.Generator) -> Any:
    """The same inputs with other content in some rows: that of other rows, and for measurements noise of their size on top."""
    others = torch.randint(1, max(size, 2), (len(rows),), generator=generator)
    varies = any(_differs(each) for each in tensors_in(value) if each.shape[:1] == (size,))

    def change(each: Tensor) -> Tensor:
        if each.shape[:1] != (size,) or (varies and not _differs(each)):  # a mask that is repeated holds nothing of a row
            return each
        changed = each.clone()
        sources = ((rows + others) % size).to(each.device)
        content = each[sources]
        if each.is_floating_point():
            spread = float(finite(each).double().std()) if each.numel() > 1 else 0.0
            content = content + (spread or 1.0) * torch.randn(content.shape, generator=generator).to(each)
        changed[rows.to(each.device)] = content
        return changed

    return mapped(value, change)
