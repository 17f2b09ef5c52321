"""Batches and outputs of a class of their own keep it, and what they hold is found."""

from __future__ import annotations

import collections
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mldbg.verify import Experiment, Verdict, run
from mldbg.verify.bench import main_tensor, mapped, tensors_in, with_main


class Pair(NamedTuple):
    logits: Tensor
    note: str


@dataclass(frozen=True, slots=True)
class Frozen:
    logits: Tensor
    hidden: tuple[Tensor, ...] = ()


@dataclass
class Predicted:
    mean: Tensor
    loss: Tensor | None = None


class Entries(collections.UserDict):  # type: ignore[type-arg]
    """Like the batches and outputs of libraries: entries are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        if name == "data":
            raise AttributeError(name)
        return self.data[name]


def values() -> list[Any]:
    one = torch.arange(6.0).reshape(3, 2)
    return [
        one,
        [one, "text"],
        {"logits": one},
        Pair(one, "text"),
        Frozen(one, (one + 1,)),
        Predicted(one),
        Entries(logits=one),
        collections.OrderedDict(mean=one),
    ]


@pytest.mark.parametrize("value", values(), ids=lambda value: type(value).__name__)
def test_the_class_stays_and_every_tensor_changes(value: Any) -> None:
    before = [each.clone() for each in tensors_in(value)]
    changed = mapped(value, lambda each: each + 10)
    assert type(changed) is type(value)
    assert before
    for old, still, new in zip(before, tensors_in(value), tensors_in(changed), strict=True):
        assert torch.equal(still, old)
        assert torch.equal(new, old + 10)


@pytest.mark.parametrize("value", [*values(), SimpleNamespace(logits=torch.zeros(3, 2))], ids=lambda value: type(value).__name__)
def test_the_main_tensor_is_replaced(value: Any) -> None:
    new = torch.ones(3, 2)
    changed = with_main(value, new)
    assert main_tensor(changed) is new
    assert main_tensor(value) is not new


class Regression(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, x: Tensor) -> Predicted:
        return Predicted(self.layers(x).squeeze(-1))


def _batch() -> tuple[Tensor, Tensor]:
    x = torch.randn(48, 6)
    return x, x @ torch.linspace(-1, 1, 6) + 0.1 * torch.randn(48)


def _loss(output: Predicted, target: Tensor) -> Tensor:
    return functional.mse_loss(output.mean, target)


def _adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), 3e-3)


def test_a_model_that_returns_a_dataclass_is_healthy() -> None:
    report = run(Experiment(Regression, _batch, _loss, optimizer=_adam))
    assert not report.problems
    assert not report.failed
    assert report["pairing"].verdict is Verdict.PASS
    assert report["overfit-one-batch"].verdict is Verdict.PASS
