"""Every test of the contracts runs in a known mode, on the device that `MLDBG_TEST_DEVICE` names (`make cuda` sets it)."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from mldbg import contracts
from mldbg.contracts import flags, scope


@pytest.fixture
def device() -> torch.device:
    return torch.device(os.environ.get("MLDBG_TEST_DEVICE", "cpu"))


@pytest.fixture(autouse=True)
def _full_mode() -> Iterator[None]:
    torch.manual_seed(0)
    with contracts.mode("full"):
        yield
    assert scope.EAGER.top is None, "a scope was left open"
    assert scope.TRACED.top is None, "a scope was left open by compiled code"
    assert scope.EAGER.depth == scope.TRACED.depth == 0, "a forward pass was left open"
    assert flags.PENDING.here().steps == 0, "a step was left open"
    flags.PENDING.take()


@pytest.fixture(params=["at hand", "on a device"])
def values(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judge values at once, as on the CPU, and in another run let all wait until they are read, as on any other device."""
    if request.param == "on a device":
        monkeypatch.setattr(flags, "is_at_hand", lambda one: not isinstance(one, torch.Tensor))
