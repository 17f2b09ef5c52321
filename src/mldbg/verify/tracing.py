"""Where a number that is not finite is born: every operation of a training step, forward and backward, in call order."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mldbg.verify.bench import Bench, copied, dense, tensors_in

_PACKAGE = str(Path(__file__).resolve().parent)
_TORCH = str(Path(torch.__file__).resolve().parent)

_MOVES = (
    *("view", "reshape", "expand", "transpose", "permute", "slice", "select", "detach", "alias", "clone", "copy", "index"),
    *("gather", "squeeze", "unsqueeze"),
)
"""Operations that hand on values without computing."""


@dataclass(slots=True)
class Operation:
    """One operation of a step.

    Attributes:
        index: place in call order.
        name: of the operation, like `log` or `mul`.
        where: name of the innermost module that runs, "loss" in the loss, "backward of ..." in the backward pass.
        line: file and line of the user's code that called it; "" where there is none.
        low: the least input value that is finite; NaN where there is none.
        high: the greatest.
        result: "finite", "inf" or "nan": the worst in the outputs.
        inputs: the same for the inputs (scalars included).
        sources: operations that made its inputs that are not finite.
        makers: names of the operations that made its inputs.
        backward: whether it is part of the backward pass.
        of: place of the forward operation whose backward it is part of.
    """

    index: int
    name: str
    where: str
    line: str
    low: float
    high: float
    result: str
    inputs: str
    sources: tuple[int, ...] = ()
    makers: tuple[str, ...] = ()
    backward: bool = False
    of: int | None = None

    @property
    def gives_birth(self) -> bool:
        """Whether what is not finite, or worse than the inputs, comes from this operation."""
        order = ("finite", "inf", "nan")
        return order.index(self.result) > order.index(self.inputs)


@dataclass(slots=True)
class Trace:
    """A training step, or as much of it as was done.

    Attributes:
        operations: in call order.
        loss: its value.
        bad_gradients: names of parameters whose gradient is not finite.
        culprit: the operation by which the loss or a gradient ceased to be finite; None where all is finite, or where nothing but
            inputs, targets or weights is to blame.
    """

    operations: list[Operation] = field(default_factory=list)
    loss: float = math.nan
    bad_gradients: tuple[str, ...] = ()
    culprit: Operation | None = None

    @property
    def is_finite(self) -> bool:
        """Whether loss and gradients are."""
        return math.isfinite(self.loss) and not self.bad_gradients


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own __init_subclass__
    """Notes every operation. What is made from numbers that are not finite is traced back to where they came from."""

    def __init__(self, names: Mapping[nn.Module, str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self.names = names
        self.running: list[str] = []
        self.backward = False
        self._forward_of: dict[int, Operation] = {}
        self._maker: dict[int, Operation] = {}
        self._kept: list[Tensor] = []

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = [*tensors_in(args), *tensors_in(kwargs or {})]
        before = _worst(given)
        if _has_bad_number(args, kwargs or {}):
            before = "nan" if before == "nan" else "inf"
        low, high = _range(given)
        made = func(*args, **(kwargs or {}))
        outputs = list(tensors_in(made))
        if not any(each.is_floating_point() for each in outputs):
            return made
        known = [self._maker[id(each)] for each in given if id(each) in self._maker]
        where, line, of = self._place()
        operation = Operation(
            len(self.operations),
            func.__name__.split(".")[0].strip("_"),
            where,
            line,
            low,
            high,
            _worst(outputs),
            before,
            tuple(maker.index for maker in known if maker.result != "finite"),
            tuple(itertools.chain.from_iterable(m.makers if m.name.startswith(_MOVES) else (m.name,) for m in known)),
            self.backward,
            of,
        )
        self.operations.append(operation)
        if not self.backward:
            # The first operation after a node was made is that node's own. No public name gives its number.
            number = torch.autograd._get_sequence_nr() - 1  # type: ignore[attr-defined]  # noqa: SLF001
            self._forward_of.setdefault(number, operation)
        if not self.backward or operation.result != "finite":
            for each in outputs:
                self._maker[id(each)] = operation
                self._kept.append(each)  # an id is worth something only while the tensor lives
        return made

    def _place(self) -> tuple[str, str, int | None]:
        """Where it is, the line of the user's code, and the place of the forward operation."""
        if not self.backward:
            return (self.running[-1] if self.running else "loss"), _users_line(), None
        node: Any = torch._C._current_autograd_node()  # noqa: SLF001  # no public name
        forward = self._forward_of.get(node._sequence_nr()) if node is not None else None  # noqa: SLF001
        name = node.name().rstrip("0123456789").removesuffix("Backward") if node is not None else "a hook"
        if forward is None:
            return f"backward of {name}", "", None
        return f"backward of {forward.name} in {forward.where}", forward.line, forward.index


def traced(bench: Bench, model: nn.Module, inputs: Any, targets: Any) -> Trace:
    """Run one forward and backward pass and look at every operation. Raises ExperimentError."""
    names = {module: name or type(module).__name__ for name, module in model.named_modules()}
    recorder = _Recorder(names)
    trace = Trace(recorder.operations)
    with torch.enable_grad(), _following(model, recorder):
        model.zero_grad(set_to_none=True)
        inputs, targets = copied(inputs), copied(targets)
        with recorder:
            output = bench.run(model, inputs)
            loss = bench.loss(output, targets)
            trace.loss = float(loss.detach())
            end = recorder._maker.get(id(loss)) or (recorder.operations[-1] if recorder.operations else None)  # noqa: SLF001
            if not math.isfinite(trace.loss):
                trace.culprit = _birth(recorder.operations, end)
                return trace
            if loss.requires_grad:
                recorder.backward = True
                loss.backward()  # type: ignore[no-untyped-call]
    gradients = {name: dense(parameter.grad) for name, parameter in model.named_parameters() if parameter.grad is not None}
    trace.bad_gradients = tuple(name for name, gradient in gradients.items() if not bool(torch.isfinite(gradient).all()))
    if trace.bad_gradients:
        bad = [each for each in recorder.operations if each.backward and each.result != "finite"]
        trace.culprit = next((each for each in bad if each.gives_birth), bad[0] if bad else None)
    return trace


def _birth(operations: list[Operation], end: Operation | None) -> Operation | None:
    """The first operation, among those that the end goes back to, from which something not finite comes."""
    reached: set[int] = set()
    waiting = [end.index] if end is not None else []
    while waiting:
        index = waiting.pop()
        if index not in reached:
            reached.add(index)
            waiting += operations[index].sources
    births = [operations[index] for index in sorted(reached) if operations[index].gives_birth]
    return births[0] if births else None


@contextmanager
def _following(model: nn.Module, recorder: _Recorder) -> Iterator[None]:
    """Know which module runs."""

    def enter(module: nn.Module, _: Any) -> None:
        recorder.running.append(recorder.names.get(module, type(module).__name__))

    def leave(*_: Any) -> None:
        if recorder.running:
            recorder.running.pop()

    handles = []
    for module in model.modules():
        handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave, always_call=True)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _worst(tensors: list[Tensor]) -> str:
    worst = "finite"
    for tensor in map(dense, tensors):
        if (tensor.is_floating_point() or tensor.is_complex()) and not bool(torch.isfinite(tensor).all()):
            if bool(torch.isnan(tensor).any()):
                return "nan"
            worst = "inf"
    return worst


def _range(tensors: list[Tensor]) -> tuple[float, float]:
    """The least and the greatest finite value."""
    lows, highs = [], []
    for tensor in map(dense, tensors):
        if tensor.is_floating_point() and tensor.numel():
            low, high = torch.aminmax(torch.nan_to_num(tensor.detach(), 0.0, 0.0, 0.0))
            lows.append(float(low))
            highs.append(float(high))
    return (min(lows), max(highs)) if lows else (math.nan, math.nan)


def _has_bad_number(*values: Any) -> bool:
    """Whether a scalar argument is infinite or NaN: a mask is filled on purpose."""
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            return True
        nested = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
        if _has_bad_number(*nested):
            return True
    return False


def _users_line() -> str:
    """File and line of the innermost frame that is neither torch's nor this package's."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # traceback reads source files, which takes long
    while frame is not None:
        if not frame.f_code.co_filename.startswith((_PACKAGE, _TORCH, "<")):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
