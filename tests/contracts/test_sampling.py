"""`sampled` mode looks at few rows, others each time, and leaves none out for ever: in eager and in compiled code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mldbg import contracts
from mldbg.contracts import ContractError, Probs, contract, observing, sampling

CALLS = 400


@pytest.fixture(autouse=True)
def _small_tensors_are_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "SMALL", 0)


@contract
def passed(x: Float[Tensor, "... c"]) -> Probs[Tensor, "... c"]:
    return x * 1


@contract
def passed_twice(p: Probs[Tensor, "... c"]) -> Probs[Tensor, "... c"]:
    return p * 1


@contract
def checkpointed(x: Float[Tensor, "... c"]) -> Float[Tensor, "... c"]:
    return checkpoint(passed, x, use_reentrant=False)


def calls_until_seen(function: Callable[[Tensor], Tensor], shape: tuple[int, ...], at: tuple[int, ...]) -> int | None:
    """In which call a single wrong row is seen."""
    p = torch.full(shape, 1 / shape[-1])
    p[at] = 0.9
    with contracts.mode("sampled"):
        for call in range(1, CALLS):
            try:
                function(p)
            except ContractError:
                return call
    return None


@pytest.mark.parametrize("function", [passed, passed_twice, checkpointed])
@pytest.mark.parametrize(
    ("shape", "at"),
    [
        ((64, 5), (1,)),
        ((64, 5), (62,)),
        ((63, 5), (62,)),  # behind the last whole stride
        ((95, 5), (94,)),
        ((64, 8, 5), (1, 4)),  # two axes sampled, with a common divisor
        ((4, 100, 5), (3, 99)),
    ],
)
def test_every_row_is_seen_at_some_time(function: Any, shape: tuple[int, ...], at: tuple[int, ...]) -> None:
    assert calls_until_seen(function, shape, at) is not None


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("function", [passed, passed_twice, checkpointed])
@pytest.mark.parametrize(("shape", "at"), [((64, 5), (1,)), ((63, 5), (62,)), ((64, 8, 5), (1, 4))])
@pytest.mark.parametrize("dynamic", [None, True])
def test_every_row_is_seen_in_compiled_code(
    function: Any, shape: tuple[int, ...], at: tuple[int, ...], backend: str, dynamic: bool | None
) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(function, backend=backend, fullgraph=True, dynamic=dynamic)
    assert calls_until_seen(compiled, shape, at) is not None


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of inductor itself
def test_every_row_is_seen_by_inductor() -> None:
    torch._dynamo.reset()
    assert calls_until_seen(torch.compile(passed, fullgraph=True), (64, 5), (1,)) is not None


def test_gradients_pass_by_the_rows_of_compiled_code() -> None:
    torch._dynamo.reset()
    x: Any = torch.randn(64, 5, requires_grad=True)

    def loss(x: Tensor) -> Any:
        return passed_twice(x.softmax(-1)).pow(2).sum()

    with contracts.mode("sampled"):
        torch.compile(loss, backend="aot_eager", fullgraph=True)(x).backward()
    compiled, x.grad = x.grad, None
    x.softmax(-1).pow(2).sum().backward()
    torch.testing.assert_close(compiled, x.grad)


@pytest.mark.parametrize(
    ("shape", "axis", "wanted"),
    [
        ((64, 5), -1, [32, 5]),
        ((32, 5), -1, None),
        ((5, 64), 0, [5, 32]),
        ((4, 100, 5), -1, [4, 8, 5]),
        ((100, 7, 5), 2, [32, 1, 5]),
        ((1000,), -1, None),
        ((), -1, None),
    ],
)
def test_few_rows_of_a_large_tensor(shape: tuple[int, ...], axis: int, wanted: list[int] | None) -> None:
    assert sampling.counts(shape, {axis % max(len(shape), 1)}) == wanted
    if wanted is not None:
        assert sampling.rows(torch.zeros(shape), wanted, 3).shape == tuple(wanted)


@pytest.mark.parametrize(("rows", "sampled"), [(100, 0), (1024, 0), (1025, 1)])
def test_a_small_tensor_is_judged_as_a_whole(monkeypatch: pytest.MonkeyPatch, rows: int, sampled: int) -> None:
    monkeypatch.setattr(observing, "SMALL", 2**14)
    with contracts.mode("sampled"), contracts.coverage() as seen:
        passed(torch.full((rows, 16), 1 / 16))
    line = next(line for line in seen.lines if line.parameter == "return")
    assert (line.judged, line.sampled) == (1, sampled)
