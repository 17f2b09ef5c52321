"""Contracts beside the rest of torch: autocast, checkpointing, functorch, threads, processes, fake tensors, copies."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, distributed, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.checkpoint import checkpoint

from mldbg import contracts
from mldbg.contracts import ContractError, Finite, Probs, attach, check, contract


class Net(nn.Module):
    def __init__(self, *, right: bool = True) -> None:
        super().__init__()
        self.linear, self.right = nn.Linear(8, 5), right

    @contract
    def forward(self, x: Finite[Tensor, "batch d"]) -> Probs[Tensor, "batch classes"]:
        scores = self.linear(x)
        return scores.softmax(-1) if self.right else scores


def test_autocast(device: torch.device) -> None:
    with torch.autocast(device.type, dtype=torch.bfloat16):
        assert Net().to(device)(torch.randn(3, 8, device=device)).shape == (3, 5)
        with pytest.raises(ContractError):
            Net(right=False).to(device)(torch.randn(3, 8, device=device))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_probabilities_of_every_dtype(dtype: torch.dtype, device: torch.device) -> None:
    @contract
    def softmax(x: Float[Tensor, "batch classes"]) -> Probs[Tensor, "batch classes"]:
        return x.softmax(-1)

    softmax(torch.randn(64, 1000, device=device).to(dtype))
    softmax(torch.zeros(4, 30_000, device=device).to(dtype))


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(reentrant: bool, device: torch.device) -> None:
    net, x = Net().to(device), torch.randn(3, 8, device=device, requires_grad=True)
    checkpoint(net, x, use_reentrant=reentrant).pow(2).sum().backward()
    assert x.grad is not None
    with pytest.raises(ContractError):
        checkpoint(Net(right=False).to(device), x, use_reentrant=reentrant)


def test_gradients_are_those_of_the_plain_function(device: torch.device) -> None:
    net = Net().to(device)
    found = []
    for mode in ("off", "full", "sync"):
        with contracts.mode(mode):
            net.zero_grad()
            x = torch.ones(3, 8, device=device)
            net(x).pow(2).sum().backward()
            assert net.linear.weight.grad is not None
            found.append(net.linear.weight.grad.clone())
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_vmap_and_grad_are_let_pass(device: torch.device) -> None:
    net = Net(right=False).to(device)  # values cannot be judged under vmap and grad; shapes are
    assert torch.func.vmap(net)(torch.randn(2, 3, 8, device=device)).shape == (2, 3, 5)
    assert torch.func.grad(lambda x: net(x).sum())(torch.randn(3, 8, device=device)).shape == (3, 8)
    with pytest.raises(ContractError):
        torch.func.vmap(net)(torch.randn(3, 8, device=device))


def test_tensors_without_values_are_let_pass() -> None:
    net = Net(right=False)
    assert net.to("meta")(torch.randn(3, 8, device="meta")).shape == (3, 5)
    with FakeTensorMode():
        assert Net(right=False)(torch.randn(3, 8)).shape == (3, 5)
    assert "mldbg" not in str(make_fx(Net())(torch.randn(3, 8)).graph)


class Traceable(nn.Module):
    """Contracts of every kind around a value: of arguments, of a result alone, of what is yielded, inline and attached."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.act = Net(), nn.Sequential(nn.ReLU())
        attach(self, {"net": {"x": Float[Tensor, "batch d"]}, "act": {"return": Float[Tensor, "batch d"]}})

    @contract
    def both(self, xs: list[Float[Tensor, "batch d"]]) -> Iterator[Float[Tensor, "batch d"]]:
        yield from xs

    @contract
    def joined(self, x: Tensor) -> Float[Tensor, "batch d"]:
        first, second = self.both([x, x])
        return self.act(check(first, Float[Tensor, "batch d"]) + second)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.joined(x))


def test_symbolic_traces_of_fx(device: torch.device) -> None:
    model, x = Traceable().to(device), torch.randn(3, 8, device=device)
    traced = torch.fx.symbolic_trace(model)
    torch.testing.assert_close(traced(x), model(x))
    assert [node.op for node in traced.graph.nodes if node.op == "call_function"] == ["call_function"]  # the sum, and no check
    with pytest.raises(ContractError):
        model(x[0])


def test_empty_batches_are_legal(device: torch.device) -> None:
    assert Net().to(device)(torch.randn(0, 8, device=device)).shape == (0, 5)


def test_threads_do_not_see_each_other(device: torch.device) -> None:
    nets, failures = [Net().to(device), Net(right=False).to(device)], []

    def run(net: Net, size: int) -> None:
        for _ in range(20):
            try:
                net(torch.randn(size, 8, device=device))
            except ContractError:
                failures.append(net.right)

    threads = [threading.Thread(target=run, args=(net, size)) for size, net in enumerate(nets * 2, start=1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == [False] * 40


def test_replicas_of_an_attached_model_are_checked(device: torch.device) -> None:
    """DataParallel copies a module's attributes into replicas that run in threads; hooks follow, and know their module."""
    model = nn.Sequential(nn.Linear(4, 3)).to(device)
    attach(model, {"0": {"return": Float[Tensor, "batch {self.out_features}"]}})
    replicated: Any = nn.Module._replicate_for_data_parallel
    replica = replicated(model)
    replica._modules = {"0": replicated(model[0])}
    replica._modules["0"].weight, replica._modules["0"].bias = torch.ones(3, 4, device=device), torch.zeros(3, device=device)
    assert replica(torch.ones(2, 4, device=device)).tolist() == [[4.0] * 3] * 2


def test_copies_and_pickles() -> None:
    net = Net()
    attach(net, {"linear": {"input": Float[Tensor, "batch d"], "return": Float[Tensor, "batch c"]}})
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other(torch.randn(3, 8)).shape == (3, 5)
        with pytest.raises(ContractError, match=r"linear\.input"):
            other.linear(torch.randn(8))
    assert pickle.loads(pickle.dumps(module_level)) is module_level


@contract
def module_level(x: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    return x


def test_state_dict_is_untouched() -> None:
    net = Net()
    before = list(net.state_dict())
    handle = attach(net, {"linear": {"return": Float[Tensor, "batch c"]}})
    assert list(net.state_dict()) == before
    net(torch.randn(3, 8))
    handle.remove()


def _rank(rank: int, port: int, case: str, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    outcome = "nothing raised"
    try:
        if case == "gathers":
            _gathers(torch.full((2, 2), 0.5 + rank))
        else:
            _train(rank, case)
    except ContractError as error:
        outcome = f"{error.contract}|{error.parameter}|{error.ranks}"
    Path(folder, str(rank)).write_text(outcome, encoding="utf-8")
    distributed.barrier()
    distributed.destroy_process_group()


@contract
def _gathers(p: Finite[Tensor, "rows classes"]) -> Probs[Tensor, "rows classes"]:
    """Repeated by one rank alone, it would wait for the other."""
    distributed.all_reduce(p.clone())
    return p


def _train(rank: int, case: str) -> None:
    net = nn.parallel.DistributedDataParallel(Net())
    at_fault = rank == 1 and case != "healthy"
    contracts.modes.SETTING.level = int(contracts.Mode.FULL)
    x = torch.randn(4, 8)
    if at_fault and case == "shape":
        x = torch.randn(8)
    if at_fault:
        net.module.right = case == "shape"
    if case == "step":
        with contracts.step():
            net(x).pow(2).sum().backward()
    else:
        net(x).pow(2).sum().backward()
    if rank == 0 and case == "healthy":
        with torch.no_grad():
            net.module(x)  # one rank validates by itself: nobody waits for the other


@pytest.mark.parametrize(
    ("case", "outcomes"),
    [
        ("value", ["Net.forward|return|(1,)"] * 2),
        ("shape", ["Net.forward|x|(1,)", "Net.forward|x|()"]),
        ("step", ["Net.forward|return|(1,)"] * 2),
        ("healthy", ["nothing raised"] * 2),
        ("gathers", ["nothing raised", "_gathers|return|()"]),
    ],
)
def test_a_violation_on_one_rank_raises_on_every_rank(case: str, outcomes: list[str], tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context: Any = multiprocessing.get_context("spawn")
    ranks = [context.Process(target=_rank, args=(rank, port, case, str(tmp_path))) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join(90)
    hung = [process for process in ranks if process.is_alive()]
    for process in hung:
        process.kill()
    assert not hung
    assert [Path(tmp_path, str(rank)).read_text(encoding="utf-8") for rank in range(2)] == outcomes
