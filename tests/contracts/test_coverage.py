"""`coverage()` and `report()` say what was checked, what was not, and why."""

from __future__ import annotations

import asyncio
import copy
import gc
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mldbg import contracts
from mldbg.contracts import ContractError, Coverage, Probs, attach, check, contract, coverage, flags
from mldbg.contracts.counting import Line
from mldbg.contracts.modes import SETTING

SOFT = torch.full((2, 3), 1 / 3)


def line(found: Coverage, contract: str, parameter: str = "") -> Line | None:
    return next((one for one in found.lines if (one.contract, one.parameter) == (contract, parameter)), None)


@contract
def soft(x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
    return x.softmax(-1)


@contract
def idle(x: Float[Tensor, "b c"]) -> None:
    return None


def counted(found: Coverage, name: str) -> tuple[int, int]:
    """Calls, and values of the result that were judged."""
    whole, result = line(found, name), line(found, name, "return")
    return whole.calls if whole else 0, result.judged if result else 0


def test_calls_and_values_of_a_block() -> None:
    soft(SOFT)
    with coverage() as found:
        assert found.lines == ()
        soft(SOFT)
        soft(SOFT)
    soft(SOFT)
    assert counted(found, "soft") == (2, 2)
    assert "idle" in found.never
    assert "soft" not in found.never
    assert line(found, "idle") is None
    assert not SETTING.counting
    with coverage() as found:
        pass
    assert found.lines == ()
    assert str(found).startswith("contract            calls  judged  sampled  not judged\nnothing was called\nnever met: ")


def test_what_promises_nothing_is_never_missed() -> None:
    gc.disable()  # garbage must not be what hides it
    try:

        @contract
        @dataclass
        class Samples:
            x: Float[Tensor, "b c"]

            def size(self) -> int:
                return len(self.x)

        with coverage() as found:
            Samples(SOFT)
    finally:
        gc.enable()
    assert [one.calls for one in found.lines if one.contract.endswith("Samples")] == [1]
    assert not [name for name in found.never if "Samples" in name]


def test_blocks_within_blocks() -> None:
    with coverage() as outer:
        soft(SOFT)
        with coverage() as inner:
            soft(SOFT)
        soft(SOFT)
    assert counted(inner, "soft") == (1, 1)
    assert counted(outer, "soft") == (3, 3)


def test_a_block_that_fails_still_counts() -> None:
    @contract
    def wrong(x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
        return x

    with pytest.raises(ContractError), coverage() as found:
        wrong(torch.zeros(2, 3))
    assert line(found, "test_a_block_that_fails_still_counts.wrong") is not None
    assert not SETTING.counting


def test_contracts_that_are_made_in_the_block() -> None:
    with coverage() as found:

        @contract
        def late(x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
            return x.softmax(-1)

        late(SOFT)
    name = "test_contracts_that_are_made_in_the_block.late"
    assert counted(found, name) == (1, 1)
    late(SOFT)
    with coverage() as found:
        pass
    assert name in found.never


@pytest.mark.parametrize(("mode", "calls", "judged", "sampled"), [("sampled", 1, 1, 1), ("full", 1, 1, 0), ("sync", 1, 1, 0)])
def test_how_many_rows_were_looked_at(mode: str, calls: int, judged: int, sampled: int) -> None:
    with contracts.mode(mode), coverage() as found:
        soft(torch.zeros(6000, 3))
    result = line(found, "soft", "return")
    assert result is not None
    assert (*counted(found, "soft"), result.sampled) == (calls, judged, sampled)


def test_modes_that_judge_no_values_or_nothing() -> None:
    with contracts.mode("shapes"), coverage() as found:
        soft(SOFT)
    assert line(found, "soft", "return") == Line("soft", "return", left_out={"mode shapes": 1})
    with contracts.mode("off"), coverage() as found:
        soft(SOFT)
    assert line(found, "soft") == Line("soft", left_out={"mode off": 1})


class Labelled(Tensor):
    pass


def test_why_values_were_not_judged() -> None:
    reasons: dict[str, Any] = {
        "a tensor subclass, Labelled": lambda: soft(SOFT.as_subclass(Labelled)),
        "inside vmap or grad": lambda: torch.vmap(soft)(SOFT[None]),
        "a meta tensor": lambda: soft(SOFT.to("meta")),
        "an empty tensor": lambda: soft(SOFT[:0]),
    }
    for reason, call in reasons.items():
        with coverage() as found:
            call()
        assert line(found, "soft", "return") == Line("soft", "return", left_out={reason: 1})
        assert f"1 ({reason})" in str(found)


def test_values_of_a_call_that_failed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "is_at_hand", lambda one: not isinstance(one, Tensor))  # they wait, as on any device but the CPU

    @contract
    def fails(x: Probs[Tensor, "b c"]) -> None:
        check(x, Float[Tensor, "b 9"])

    with coverage() as found, pytest.raises(ContractError):
        fails(SOFT)
    name = "test_values_of_a_call_that_failed_first.fails"
    assert line(found, name, "x") == Line(name, "x", left_out={"the call failed first": 1})


def test_every_kind_of_function() -> None:
    class Kinds:
        @contract
        def method(self, x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
            return x.softmax(-1)

        @contract
        @staticmethod
        def static(x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
            return x.softmax(-1)

        @contract
        async def later(self, x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
            return x.softmax(-1)

        @contract
        def steps(self, x: Float[Tensor, "b c"]) -> Iterator[Probs[Tensor, "b c"]]:
            yield x.softmax(-1)
            yield x.softmax(-1)

        @contract
        async def stream(self, x: Float[Tensor, "b c"]) -> AsyncIterator[Probs[Tensor, "b c"]]:
            yield x.softmax(-1)

    async def run() -> None:
        await Kinds().later(SOFT)
        async for _ in Kinds().stream(SOFT):
            pass

    with coverage() as found:
        Kinds().method(SOFT)
        Kinds.static(SOFT)
        list(Kinds().steps(SOFT))
        asyncio.run(run())
    for kind in ("method", "static", "later", "stream"):
        assert counted(found, f"test_every_kind_of_function.Kinds.{kind}") == (1, 1), kind
    whole = line(found, "test_every_kind_of_function.Kinds.steps")
    assert whole is not None
    assert whole.calls == 1


def test_values_of_check() -> None:
    with coverage() as found:
        check(SOFT, Probs[Tensor, "b c"], "attention")
    assert line(found, "check", "attention") == Line("check", "attention", judged=1)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_code_is_counted_where_it_runs(backend: str) -> None:
    torch.compiler.reset()
    run: Any = torch.compile(soft, backend=backend, fullgraph=True)
    run(SOFT)
    with coverage() as found:
        for _ in range(3):
            run(SOFT)
    assert counted(found, "soft") == (3, 3)
    run(SOFT)
    with coverage() as found:
        run(SOFT)
    assert counted(found, "soft") == (1, 1)
    with contracts.mode("off"), coverage() as found:
        run(SOFT)
    assert counted(found, "soft") == (0, 0)


def test_compiled_code_that_cannot_see_its_values() -> None:
    torch.compiler.reset()
    run: Any = torch.compile(torch.vmap(soft), backend="eager", fullgraph=True)
    with coverage() as found:
        run(SOFT[None])
    result = line(found, "soft", "return")
    assert result is not None
    assert result.judged == 0
    assert list(result.left_out) == ["compiled inside vmap or grad, or for an export"]
    assert "soft" not in found.never


def test_nothing_is_compiled_anew_outside_of_a_block() -> None:
    torch.compiler.reset()
    counter = torch._dynamo.testing.CompileCounter()
    run: Any = torch.compile(soft, backend=counter, fullgraph=True)
    run(SOFT)
    run(SOFT)
    assert counter.frame_count == 1
    with coverage():
        run(SOFT)
    assert counter.frame_count == 2
    run(SOFT)
    assert counter.frame_count == 2


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.idle = nn.Linear(3, 3), nn.Linear(3, 3)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.first(x).softmax(-1)


PROMISES: dict[str, dict[str, Any]] = {
    "*": {"input": Float[Tensor, "b d"]},
    "": {"mask": Float[Tensor, "b"], "return": Probs[Tensor, "b d"]},
}


@pytest.mark.parametrize("compiled", [False, True])
def test_attached_promises(compiled: bool) -> None:
    torch.compiler.reset()
    model = Net().requires_grad_(False)
    handle = attach(model, PROMISES)
    run: Any = torch.compile(model, backend="eager", fullgraph=True) if compiled else model
    run(SOFT)
    with coverage() as found:
        run(SOFT)
        run(SOFT)
    name = "Net (attached)"
    assert [one for one in found.lines if one.contract == name] == [
        Line(name, "first", 2),
        Line(name, "", 2),
        Line(name, "return", judged=2),
    ]
    assert [one for one in found.never if one.startswith(name)] == [f"{name}: idle.input", f"{name}: mask"]
    report = handle.report()
    assert counted(report, name)[1] == 3
    assert report.never == (f"{name}: idle.input", f"{name}: mask")
    assert str(report).splitlines()[-1] == f"never met: {name}: idle.input, {name}: mask"


def test_a_report_counts_copies_and_says_why() -> None:
    model = Net()
    handle = attach(model, PROMISES)
    copy.deepcopy(model)(SOFT)
    with contracts.mode("shapes"), coverage() as found:
        model(SOFT)
    assert line(found, "Net (attached)", "return") == Line("Net (attached)", "return", left_out={"mode shapes": 1})
    assert [one.calls for one in handle.report().lines] == [2, 2, 0]


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    table = Coverage((Line("Net.forward", "", 12), Line("Net.forward", "x", 0, 10, 8, {"inside vmap or grad": 2})), ("a", "b"))
    assert str(table).splitlines() == [
        "contract     calls  judged  sampled  not judged",
        "Net.forward     12",
        "  x                     10        8  2 (inside vmap or grad)",
        "never met: a, b",
    ]
    assert str(Coverage((), tuple("abcdefghijkl"))).endswith("never met: a, b, c, d, e, f, g, h, i, j and 2 more")
    with coverage(show=True) as found:
        soft(SOFT)
    assert capsys.readouterr().out == f"{found}\n"
