"""With `fullgraph=True` a wrong shape raises torch's `Unsupported`; its text is that of the error in eager code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mldbg.contracts import ContractError, Probs, attach, check, contract


@contract
def project(x: Float[Tensor, "b d"], w: Float[Tensor, "d k"]) -> Float[Tensor, "b k"]:
    return x @ w


@contract
def turned(x: Float[Tensor, "b d"]) -> Float[Tensor, "d b"]:
    return x * 1


@contract
def led(x: Float[Tensor, "*lead d"], y: Float[Tensor, "*lead k"]) -> Float[Tensor, "*lead"]:
    return x.sum(-1) + y.sum(-1)


@contract
def joined(xs: list[Float[Tensor, "b d"]], named: dict[str, Float[Tensor, "b"]]) -> Float[Tensor, "b"]:
    return torch.cat(xs, -1).sum(-1) + named["y"]


@contract
def counted(x: Float[Tensor, "b d"], y: Int[Tensor, "b"] | None = None) -> Float[Tensor, "b"]:
    return x.sum(-1) if y is None else x.sum(-1) + y


@contract
def widened(x: Float[Tensor, "b d"], y: Float[Tensor, "b 2*d+1"]) -> Float[Tensor, "b"]:
    return x.sum(-1) + y.sum(-1)


def checking(x: Tensor) -> Tensor:
    return check(x, Float[Tensor, "b 3"], "hidden") * 2


class Attached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(4, 4)
        attach(self, {"inner": {"input": Float[Tensor, "b 3"]}})

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.d = 8

    @contract
    def forward(self, x: Float[Tensor, "b {self.d}"]) -> Probs[Tensor, "b {self.d}"]:
        return x.softmax(-1)


PROGRAMS: list[tuple[Callable[[], Callable[..., Any]], tuple[Any, ...]]] = [
    (lambda: project, (torch.zeros(2, 3), torch.zeros(4, 4))),
    (lambda: project, (torch.zeros(2, 3), torch.zeros(3))),
    (lambda: project, (torch.zeros(2, 3).long(), torch.zeros(3, 4))),
    (lambda: turned, (torch.zeros(2, 3),)),
    (lambda: led, (torch.zeros(2, 3, 4), torch.zeros(2, 5, 4))),
    (lambda: joined, ([torch.zeros(2, 3), torch.zeros(2, 4)], {"y": torch.zeros(2)})),
    (lambda: joined, ([torch.zeros(2, 3)], {"y": torch.zeros(5)})),
    (lambda: counted, (torch.zeros(2, 3), torch.zeros(2))),
    (lambda: counted, (torch.zeros(2, 3), torch.zeros(3).long())),
    (lambda: widened, (torch.zeros(2, 3), torch.zeros(2, 8))),
    (Layer, (torch.zeros(2, 7),)),
    (lambda: checking, (torch.zeros(2, 4),)),
    (lambda: checking, (torch.zeros(2, 3).long(),)),
    (Attached, (torch.zeros(2, 4),)),
]


def compiled(function: Any, dynamic: bool | None, *, fullgraph: bool = False) -> Any:
    return torch.compile(function, fullgraph=fullgraph, backend="eager", dynamic=dynamic)


@pytest.mark.parametrize("dynamic", [None, True])
@pytest.mark.parametrize(("make", "arguments"), PROGRAMS)
def test_the_text_is_that_of_eager_code(make: Any, arguments: Any, dynamic: bool | None) -> None:
    torch._dynamo.reset()
    function = make()
    with pytest.raises(ContractError) as eager:
        function(*arguments)
    with pytest.raises(torch._dynamo.exc.Unsupported) as caught:
        compiled(function, dynamic, fullgraph=True)(*arguments)
    text = str(caught.value)
    error = eager.value
    parts = [f"{error.violation.subject}\n", error.expected, error.actual, error.axis, error.cause, error.advice]
    assert [part for part in (*parts, *map(str, error.bindings)) if part not in text] == []
    torch._dynamo.reset()
    with pytest.raises(ContractError) as broken_off:  # the graph ends, and eager code raises
        compiled(function, dynamic)(*arguments)
    assert (broken_off.value.parameter, broken_off.value.actual) == (error.parameter, error.actual)


@contract
def deeper(x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    check(x.mT, Float[Tensor, "b d"], "turned")
    return x


def test_a_check_inside_a_contract_names_both() -> None:
    torch._dynamo.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported) as caught:
        compiled(deeper, None, fullgraph=True)(torch.zeros(2, 3))
    for part in ("deeper: turned\n", 'Float[Tensor, "b d"] with b = 2', "float32 (3, 2)"):
        assert part in str(caught.value)


def test_an_explanation_fixes_no_sizes() -> None:
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    function = torch.compile(project, fullgraph=True, backend=counter)
    for b in (2, 3, 4):
        function(torch.zeros(b, 5), torch.zeros(5, 6))
    frames = counter.frame_count
    with pytest.raises(torch._dynamo.exc.Unsupported, match="d = 5"):
        function(torch.zeros(4, 5), torch.zeros(7, 6))
    function(torch.zeros(9, 5), torch.zeros(5, 6))
    assert counter.frame_count == frames
