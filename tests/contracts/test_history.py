"""What the history of a tensor proves is not measured once more; what breaks a law is found all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from mldbg import contracts
from mldbg.contracts import ContractError, LogProbs, Probs, along, contract

SHAPE = (50, 40, 30)


@contract
def probs(p: Probs[Tensor, "a b c"]) -> None:
    return None


@contract
def log_probs(p: LogProbs[Tensor, "a b c"]) -> None:
    return None


@contract
def probs_along_a(p: Probs[Tensor, "a b c", along("a")]) -> None:
    return None


class Measured(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """How many values reductions of a kind have seen at most in one call."""

    def __init__(self, kind: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ == self.kind:
            self.most = max(self.most, args[0].numel())
        return func(*args, **(kwargs or {}))


def scores(dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(SHAPE).to(dtype).requires_grad_()


WHOLE = 50 * 40 * 30
CASES: list[tuple[Callable[[Tensor], None], Callable[[Tensor], Tensor], str]] = [
    (probs, lambda x: x.softmax(-1), "amin"),
    (probs, lambda x: torch.nn.functional.softmax(x, 2, dtype=torch.float64), "amin"),
    (probs_along_a, lambda x: x.softmax(0), "amin"),
    (probs_along_a, lambda x: x.softmax(-3), "amin"),
    (log_probs, lambda x: x.log_softmax(-1), "exp"),
]


@pytest.mark.parametrize("mode", ["full", "sync"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("function", "normalised", "dear"), CASES)
def test_the_dear_half_is_measured_on_some_rows(
    function: Callable[[Tensor], None], normalised: Callable[[Tensor], Tensor], dear: str, mode: str, dtype: torch.dtype
) -> None:
    p = normalised(scores(dtype))
    with contracts.mode(mode):
        with Measured(dear) as with_history:
            function(p)
        with Measured(dear) as without:
            function(p.detach())
    assert 0 < with_history.most < WHOLE / 10
    assert without.most == WHOLE or dear == "amin"  # which large tensors are given to in pieces


def test_what_is_judged_counts_as_judged_in_full() -> None:
    with contracts.coverage() as seen:
        probs(scores().softmax(-1))
    line = next(line for line in seen.lines if line.parameter == "p")
    assert (line.judged, line.sampled) == (1, 0)


def in_view(p: Tensor) -> None:
    with torch.no_grad():
        p.view(-1)[-1] = 5


def in_detached(p: Tensor) -> None:
    p.detach()[-1, -1, -1] = 5


def in_detached_view(p: Tensor) -> None:
    p.detach().transpose(0, 1)[3, 3].mul_(2)


def without_negative_sign(p: Tensor) -> None:
    with torch.no_grad():
        p[7, 7, 0] -= 0.5
        p[7, 7, 1] += 0.5


def in_data(p: Tensor) -> None:
    p.data[7, 7].mul_(2)


def in_numpy(p: Tensor) -> None:
    p.detach().numpy()[49, 39, 0] += 0.5


def nan(p: Tensor) -> None:
    p.data[49, 39, 29] = torch.nan


def replaced(p: Tensor) -> None:
    p.data = torch.randn(SHAPE)


@pytest.mark.parametrize(
    "change", [in_view, in_detached, in_detached_view, without_negative_sign, in_data, in_numpy, nan, replaced]
)
def test_changes_in_place_are_seen(change: Callable[[Tensor], None]) -> None:
    p = scores().softmax(-1)
    change(p)
    with pytest.raises(ContractError):
        probs(p)


@pytest.mark.parametrize("change", [in_view, in_detached, nan, replaced])
def test_changes_in_place_of_logarithms_are_seen(change: Callable[[Tensor], None]) -> None:
    p = scores().log_softmax(-1)
    change(p)
    with pytest.raises(ContractError):
        log_probs(p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_masked_row_is_nan(dtype: torch.dtype) -> None:
    x = scores(dtype).masked_fill(torch.arange(50)[:, None, None] == 49, -torch.inf)
    for function, p in ((probs, x.softmax(-1)), (log_probs, x.log_softmax(-1))):
        with pytest.raises(ContractError, match="NaN"):
            function(p)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * 2


class Handed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        return x.mul_(2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return grads[0] * 2


doubled: Any = Doubled.apply
handed: Any = Handed.apply
same_name: Any = type("SoftmaxBackward0", (Doubled,), {})

WRONG: list[Callable[[Tensor], Any]] = [
    lambda x: x.softmax(1),
    lambda x: x.softmax(-1).detach() * 2,
    lambda x: x.log_softmax(-1),
    lambda x: doubled(x.softmax(-1)),
    lambda x: handed(x.softmax(-1)),
    lambda x: same_name.apply(x.softmax(-1)),
    lambda x: torch.nn.functional.dropout(x.softmax(-1), 0.5),
    lambda x: x.softmax(-1)[..., :-1],
    lambda x: x.softmax(-1).transpose(1, 2),
    lambda x: x.softmax(-1).mul_(2),
]


@pytest.mark.parametrize("wrong", WRONG)
def test_another_history_proves_nothing(wrong: Callable[[Tensor], Tensor]) -> None:
    with pytest.raises(ContractError):
        probs(wrong(scores()))


def test_a_tensor_without_axes_and_one_made_for_inference_have_no_history_to_ask() -> None:
    @contract
    def any_probs(p: Probs[Tensor, "..."]) -> None:
        return None

    any_probs(torch.tensor(3.0, requires_grad=True).softmax(0))
    with torch.inference_mode():
        any_probs(torch.randn(8, 3).softmax(-1))
