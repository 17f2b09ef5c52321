"""A budget keeps the share of the time that checks of values take; what it leaves out is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

from mldbg import attach, check, contracts
from mldbg.contracts import ContractError, Probs, contract, flags, modes, observing

P, Q = torch.full((2, 4), 0.25), torch.full((2, 4), 0.5)


@contract
def passed(p: Probs[Tensor, "b d"]) -> None:
    return None


class Clock:
    """Time that passes only where it is told to: `per_check` seconds for each check of a tensor."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, per_check: float) -> None:
        self.now = 0.0
        measured = observing._observe

        def slowly(*args: Any) -> None:
            self.now += per_check
            measured(*args)

        for module in (modes, flags, observing):
            monkeypatch.setattr(module, "time", self)
        monkeypatch.setattr(observing, "_observe", slowly)

    def perf_counter(self) -> float:
        return self.now


def judged(clock: Clock, steps: int, seconds: float, call: Callable[[], Any], **budget: float) -> list[int]:
    """In which of several steps, of so many seconds besides the checks, values were judged."""
    found = []
    with contracts.mode("full", **budget):
        for step in range(steps):
            before = clock.now
            call()
            if clock.now > before:
                found.append(step)
            clock.now += seconds
    return found


@pytest.mark.parametrize(
    ("seconds", "share", "every"),
    [(1.0, 0.1, 1), (0.95, 0.05, 2), (0.05, 0.05, 38), (0.1, 0.5, 1), (0.05, 1.0, 1), (100.0, 1e-3, 1)],
)
def test_values_are_judged_in_as_many_steps_as_the_budget_pays_for(
    monkeypatch: pytest.MonkeyPatch, seconds: float, share: float, every: int
) -> None:
    clock = Clock(monkeypatch, per_check=0.1)
    found = judged(clock, 200, seconds, lambda: passed(P), budget=share)
    gaps = {other - one for one, other in pairwise(found)}
    assert found[0] == 0
    assert gaps <= {every, every + 1}
    assert len(found) * 0.1 <= share * clock.now + 0.1


def test_without_a_budget_each_step_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(judged(Clock(monkeypatch, per_check=0.1), 20, 0.01, lambda: passed(P))) == 20


def test_time_without_checks_is_not_saved_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, per_check=0.1)
    with contracts.mode("full", budget=0.1):
        passed(P)
        clock.now += 1000
        assert judged_again(clock) == [1]


def judged_again(clock: Clock) -> list[int]:
    found = []
    for step in range(10):
        before = clock.now
        passed(P)
        if clock.now > before:
            found.append(step)
    return found


def test_a_step_is_judged_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, per_check=0.1)

    def step() -> None:
        with contracts.step():
            passed(P)
            passed(P)

    with contracts.mode("full", budget=0.5), contracts.coverage() as seen:
        for _ in range(10):
            step()
            clock.now += 0.2
    line = next(line for line in seen.lines if line.parameter == "p")
    assert line.judged % 2 == 0
    assert line.left_out == {"a budget of 0.5": 20 - line.judged}


def test_attached_promises_and_single_checks_are_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch, per_check=0.1)
    model = torch.nn.Softmax(-1)
    attach(model, {"": {"return": Probs[Tensor, "b d"]}})
    for call in (lambda: model(P), lambda: check(P, Probs[Tensor, "b d"])):
        found = judged(clock, 40, 0.1, call, budget=0.1)
        assert 3 <= len(found) <= 5


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_code_follows_the_budget_with_two_graphs(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    torch._dynamo.reset()

    @contract
    def doubled(x: Float[Tensor, "b d"]) -> Probs[Tensor, "b d"]:
        return x * 2

    counter = CompileCounterWithBackend(backend)
    compiled = torch.compile(doubled, backend=counter, fullgraph=True)
    clock = Clock(monkeypatch, per_check=0.1)
    refused = []
    with contracts.mode("full", budget=0.1):
        for call in range(40):
            budget: Any = modes.SETTING.budget
            if modes.SETTING.level == modes.Mode.FULL:
                budget.spent += 0.1  # what the graph spends is not known to the host
            try:
                compiled(P)
            except ContractError:
                refused.append(call)
            clock.now += 0.1
    assert refused[0] == 0
    assert {other - one for one, other in pairwise(refused)} <= {9, 10, 11, 12}
    assert counter.frame_count == 2


def test_a_broken_law_is_found_in_a_step_that_is_judged() -> None:
    with contracts.mode("full", budget=1.0), pytest.raises(ContractError):
        passed(Q)


def test_no_budget_no_values() -> None:
    with contracts.mode("full", budget=0), contracts.coverage() as seen:
        for _ in range(3):
            passed(Q)
        with pytest.raises(ContractError):
            passed(Q[0])
    line = next(line for line in seen.lines if line.parameter == "p")
    assert line.judged == 0
    assert line.left_out["a budget of 0"] >= 3


def test_a_budget_ends_with_its_block() -> None:
    with contracts.mode("full", budget=0):
        with contracts.mode("sync"), pytest.raises(ContractError):
            passed(Q)
        passed(Q)
    with pytest.raises(ContractError):
        passed(Q)


@pytest.mark.parametrize("mode", ["off", "shapes"])
def test_a_budget_adds_no_checks(mode: str) -> None:
    for share in (0, 0.5):
        with contracts.mode(mode, budget=share):
            for _ in range(3):
                passed(Q)
                assert modes.current().name.lower() == mode


WRONG: list[Any] = [-0.1, 1.5, float("nan"), float("inf"), "0.05", True, [0.1], 1j]


@pytest.mark.parametrize("share", WRONG)
def test_what_is_no_share_is_refused(share: Any) -> None:
    with (
        pytest.raises(ValueError, match="a budget is a share of the time, a number from 0 to 1, not "),
        contracts.mode("full", budget=share),
    ):
        pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("full:0.05", "3 0.05"),
        (" Full : 0.05 ", "3 0.05"),
        ("sampled:1", "2 1.0"),
        ("full:0", "1 0.0"),
        ("full", "3 None"),
        ("", "2 None"),
        ("full:", "MLDBG_CONTRACTS: a budget is a share of the time, a number from 0 to 1, not ''"),
        ("full:5%", "MLDBG_CONTRACTS: a budget is a share of the time, a number from 0 to 1, not '5%'"),
        ("full:nan", "MLDBG_CONTRACTS: a budget is a share of the time, a number from 0 to 1, not nan"),
        (":0.05", "MLDBG_CONTRACTS: unknown contract mode ''"),
    ],
)
def test_the_environment_names_a_budget(text: str, said: str) -> None:
    program = "from mldbg.contracts.modes import SETTING; print(SETTING.level, SETTING.budget and SETTING.budget.share)"
    environment = os.environ | {"MLDBG_CONTRACTS": text}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=False, env=environment
    )
    assert said in (done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1])
