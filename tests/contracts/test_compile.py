"""Contracts under torch.compile and torch.export: no graph break, no extra compilation, and they still hold."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch.utils.checkpoint import checkpoint

from mldbg import contracts
from mldbg.contracts import ClassIds, ContractError, Finite, Logits, Probs, attach, below, check, contract, ignoring

SIZES = (3, 4, 5, 6)


class Block(nn.Module):
    def __init__(self, d: int) -> None:
        super().__init__()
        self.d, self.linear = d, nn.Linear(d, d)

    @contract
    def forward(self, x: Float[Tensor, "batch {self.d}"]) -> Finite[Tensor, "batch {self.d}"]:
        return self.linear(x).relu()


class Net(nn.Module):
    """Everything at once: attributes, optionals, containers, a bound, inline checks, a meaning."""

    def __init__(self, *, saves_memory: bool = False) -> None:
        super().__init__()
        self.d, self.block, self.head, self.saves_memory = 8, Block(8), nn.Linear(8, 5), saves_memory

    @contract
    def forward(
        self,
        x: Float[Tensor, "batch {self.d}"],
        y: ClassIds[Tensor, "batch", below("classes")] | None = None,
        extra: list[Float[Tensor, "batch _"]] | None = None,
    ) -> Probs[Tensor, "batch classes"]:
        h = checkpoint(self.block, x, use_reentrant=False) if self.saves_memory else self.block(x)
        h = check(h, Logits[Tensor, "batch hidden"])
        return self.head(h).softmax(-1)


class Wrong(Net):
    @contract
    def forward(self, x: Float[Tensor, "batch {self.d}"]) -> Probs[Tensor, "batch classes"]:  # type: ignore[override]
        return self.head(self.block(x))


def frames(backend: str, model: nn.Module, device: torch.device) -> int:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(model.to(device), backend=counter, fullgraph=True)
    for size in SIZES:
        x, y = torch.randn(size, 8, device=device), torch.randint(5, (size,), device=device)
        compiled(x, y, [torch.randn(size, 3, device=device)]).pow(2).sum().backward()
    return int(counter.frame_count)


@pytest.mark.parametrize("saves_memory", [False, True])
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("mode", ["shapes", "sampled", "full", "sync"])
def test_one_graph_for_all_sizes(backend: str, mode: str, saves_memory: bool, device: torch.device) -> None:
    with contracts.mode("off"):
        plain = frames(backend, Net(saves_memory=saves_memory), device)
    with contracts.mode(mode):
        assert frames(backend, Net(saves_memory=saves_memory), device) == plain


@pytest.mark.parametrize("backend", ["eager", "aot_eager", "inductor"])
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")  # of inductor itself
def test_values_are_judged_in_compiled_code(backend: str, device: torch.device) -> None:
    torch._dynamo.reset()
    right = torch.compile(Net().to(device), backend=backend, fullgraph=True)
    assert right(torch.randn(3, 8, device=device)).shape == (3, 5)
    wrong = torch.compile(Wrong().to(device), backend=backend, fullgraph=True)
    with pytest.raises(ContractError) as caught:
        wrong(torch.randn(3, 8, device=device))
    assert caught.value.contract == "Wrong.forward"
    assert caught.value.parameter == "return"
    with pytest.raises(ContractError):
        wrong(torch.randn(3, 8, device=device))  # again, from compiled code


def test_a_step_reads_what_compiled_code_recorded(device: torch.device) -> None:
    torch._dynamo.reset()
    wrong = torch.compile(Wrong().to(device), backend="eager", fullgraph=True)
    reached = False

    def train() -> None:
        nonlocal reached
        with contracts.step():
            wrong(torch.randn(3, 8, device=device))
            reached = True

    with pytest.raises(ContractError):
        train()
    assert reached


def test_ids_beyond_their_bound_in_compiled_code(device: torch.device) -> None:
    torch._dynamo.reset()
    net = torch.compile(Net().to(device), backend="eager", fullgraph=True)
    with pytest.raises(ContractError, match="an id of 5 with a bound of 5"):
        net(torch.randn(3, 8, device=device), torch.tensor([0, 5, 1], device=device))


def test_an_id_to_ignore_in_compiled_code(device: torch.device) -> None:
    torch._dynamo.reset()

    @contract
    def shown(y: ClassIds[Tensor, "n", below(5), ignoring(255)]) -> Tensor:
        return y + 1

    compiled = torch.compile(shown, backend="eager", fullgraph=True)
    compiled(torch.tensor([0, 255, 4], device=device))
    with pytest.raises(ContractError, match="an id of 254 with a bound of 5"):
        compiled(torch.tensor([0, 254, 4], device=device))


def test_wrong_shapes_are_refused(device: torch.device) -> None:
    torch._dynamo.reset()
    net = torch.compile(Net().to(device), backend="eager")
    net(torch.randn(3, 8, device=device))
    with pytest.raises(ContractError, match=r"x\n"):
        net(torch.randn(3, 9, device=device))


def test_wrong_shapes_are_refused_in_a_full_graph(device: torch.device) -> None:
    torch._dynamo.reset()
    net = torch.compile(Net().to(device), backend="eager", fullgraph=True)
    with pytest.raises(torch._dynamo.exc.Unsupported, match="a contract is broken here"):
        net(torch.randn(3, 9, device=device))


def test_generators_in_compiled_code(device: torch.device) -> None:
    from collections.abc import Iterator

    torch._dynamo.reset()

    @contract
    def halves(x: Float[Tensor, "n d"]) -> Iterator[Float[Tensor, "n half"]]:
        yield x[:, :2]
        yield x[:, 2:]

    def joined(x: Tensor) -> Tensor:
        return sum(halves(x))  # type: ignore[return-value]

    assert torch.compile(joined, backend="eager", fullgraph=True)(torch.ones(3, 4, device=device)).shape == (3, 2)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.filterwarnings("ignore:While compiling, we found certain side effects")
def test_export(strict: bool, device: torch.device) -> None:
    x = torch.randn(3, 8, device=device)
    net = Net().to(device)
    exported = torch.export.export(net, (x,), strict=strict).module()
    torch.testing.assert_close(exported(x), net(x))
    assert "mldbg" not in str(exported.graph)


def test_vmap_and_grad_in_compiled_code(device: torch.device) -> None:
    torch._dynamo.reset()
    net = Net().to(device)

    def per_sample(x: Tensor) -> Tensor:
        return torch.func.vmap(lambda one: net(one).pow(2))(x)

    def slope(x: Tensor) -> Tensor:
        return torch.func.grad(lambda one: net(one).pow(2).sum())(x)

    assert torch.compile(per_sample, backend="eager", fullgraph=True)(torch.randn(2, 3, 8, device=device)).shape == (2, 3, 5)
    assert torch.compile(slope, backend="eager", fullgraph=True)(torch.randn(3, 8, device=device)).shape == (3, 8)


def test_attached_promises_in_compiled_code(device: torch.device) -> None:
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)).to(device)
    attach(
        model,
        {"0": {"input": Float[Tensor, "batch d"], "return": Float[Tensor, "batch h"]}, "2": {"return": Probs[Tensor, "batch c"]}},
    )
    compiled: Any = torch.compile(model, backend="eager", fullgraph=True)
    with pytest.raises(ContractError, match=r"2\.return"):
        compiled(torch.randn(5, 4, device=device))


def test_checks_join_the_scope_in_compiled_code(device: torch.device) -> None:
    torch._dynamo.reset()

    @contract
    def function(x: Float[Tensor, "n d"], turned: Int[Tensor, ""]) -> Float[Tensor, "d n"]:
        return check(x.mT if x.shape[0] > 2 else x, Float[Tensor, "d n"])

    compiled = torch.compile(function, backend="eager")
    assert compiled(torch.ones(3, 4, device=device), torch.tensor(1)).shape == (4, 3)
    with pytest.raises(ContractError, match="check"):
        compiled(torch.ones(2, 4, device=device), torch.tensor(1))


class Broken(nn.Module):
    """A model whose graph breaks inside of a contract, with checks behind the break."""

    d = 4

    def __init__(self, *, swapped: bool) -> None:
        super().__init__()
        self.swapped = swapped

    @contract
    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
        torch._dynamo.graph_break()
        check(x if self.swapped else x.mT, Float[Tensor, "d n"])
        return check(x, Float[Tensor, "n {self.d}"])


def test_checks_behind_a_graph_break_know_the_axes() -> None:
    torch._dynamo.reset()
    compiled = torch.compile(Broken(swapped=False), backend="eager")
    assert compiled(torch.ones(2, 4)).shape == (2, 4)
    assert compiled(torch.ones(3, 4)).shape == (3, 4)
    torch._dynamo.reset()
    with pytest.raises(ContractError, match=r"forward: check"):
        torch.compile(Broken(swapped=True), backend="eager")(torch.ones(2, 4))
