"""How much is checked, and when verdicts about values are read."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
import weakref
from collections.abc import Callable

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mldbg import contracts
from mldbg.contracts import ContractError, Probs, UnitInterval, check, contract, flags, inline, tracing

pytestmark = pytest.mark.usefixtures("values")


@contract
def passed(p: Probs[Tensor, "rows classes"]) -> None: ...


def broken_in(p: Tensor, mode: str) -> bool:
    with contracts.mode(mode):
        try:
            passed(p)
        except ContractError:
            return True
    return False


def test_each_mode_checks_more() -> None:
    shape, values = torch.zeros(3), torch.ones(3, 3)
    modes = ["off", "shapes", "sampled", "full", "sync"]
    assert [broken_in(shape, mode) for mode in modes] == [False, True, True, True, True]
    assert [broken_in(values, mode) for mode in modes] == [False, False, True, True, True]


def test_sampled_looks_at_other_rows_each_time() -> None:
    p = torch.full((6400, 4), 0.25)
    p[770:780] = 3.0
    assert broken_in(p, "full")
    caught = [broken_in(p, "sampled") for _ in range(100)]
    assert any(caught)
    assert not all(caught)


def test_off_gives_the_function_itself() -> None:
    def function(x: Float[Tensor, "n"]) -> None: ...

    assert contract(function, mode="off") is function
    with contracts.mode("off"):
        assert contract(function) is function
    assert contract(function) is not function


def test_a_mode_of_its_own_wins() -> None:
    @contract(mode="shapes")
    def lenient(p: Probs[Tensor, "rows classes"]) -> None: ...

    with contracts.mode("sync"):
        lenient(torch.ones(3, 3))


def test_a_mode_ends_with_its_block() -> None:
    with contracts.mode("shapes"), contracts.mode("sync"):
        pass
    assert contracts.modes.current() == contracts.Mode.FULL
    with pytest.raises(ValueError, match="unknown contract mode 'fast'"), contracts.mode("fast"):
        pass


@pytest.mark.parametrize(("value", "printed"), [("off", "True"), ("shapes", "False"), ("", "False")])
def test_environment_variable(value: str, printed: str) -> None:
    program = (
        "import torch; from torch import Tensor; from jaxtyping import Float; from mldbg import contract\n"
        "def f(x: Float[Tensor, 'n']): pass\nprint(contract(f) is f)"
    )
    environment = os.environ | {"MLDBG_CONTRACTS": value}
    result = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == printed


def test_a_wrong_environment_variable_is_refused() -> None:
    environment = os.environ | {"MLDBG_CONTRACTS": "ful"}
    result = subprocess.run(
        [sys.executable, "-c", "from mldbg import contract"], env=environment, capture_output=True, text=True, check=False
    )
    assert result.stderr.strip().endswith(
        "ValueError: MLDBG_CONTRACTS: unknown contract mode 'ful'; the modes are off, shapes, sampled, full, sync"
    )


def test_importing_the_package_loads_no_torch() -> None:
    program = "import sys, mldbg, mldbg.semantics; print('torch' in sys.modules, 'jaxtyping' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["False", "False"]


def test_a_step_reads_at_its_end_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    transfers = 0
    transferred = flags._transferred

    def counted(*args: object) -> list[list[float]]:
        nonlocal transfers
        transfers += 1
        return transferred(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(flags, "_transferred", counted)
    monkeypatch.setattr(flags, "is_at_hand", lambda one: not isinstance(one, Tensor))
    with contracts.step():
        for _ in range(5):
            passed(torch.full((3, 2), 0.5))
        assert transfers == 0
    assert transfers == 1
    passed(torch.full((3, 2), 0.5))
    assert transfers == 2


def test_all_violations_of_a_step_are_told() -> None:
    @contract
    def other(x: Probs[Tensor, "rows classes"]) -> None: ...

    def run() -> None:
        with contracts.step():
            passed(torch.ones(3, 3))
            passed(torch.ones(3, 3))
            other(torch.ones(3, 3))

    with pytest.raises(ContractError) as caught:
        run()
    assert (caught.value.contract, [one.contract.rpartition(".")[2] for one in caught.value.others]) in [
        ("passed", ["other"]),
        ("passed", []),  # the repetition stops at the first
    ]


def test_deferred_verdicts_are_repeated_for_the_line() -> None:
    def inner(x: Tensor) -> Tensor:
        return check(2 * x, Probs[Tensor, "rows classes"])

    @contract
    def outer(x: Float[Tensor, "rows classes"]) -> Float[Tensor, "rows classes"]:
        y = inner(x)
        return y + 1

    with pytest.raises(ContractError) as caught:
        outer(torch.full((3, 2), 0.5))
    lines = [frame.line for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "y = inner(x)" in lines
    assert any(line is not None and line.startswith("return check(2 * x") for line in lines)


def test_a_repetition_that_goes_well_leaves_the_first_verdict() -> None:
    calls = 0

    @contract
    def flaky(x: Float[Tensor, "n k"]) -> Probs[Tensor, "n k"]:
        nonlocal calls
        calls += 1
        return x if calls == 1 else x / 2

    with pytest.raises(ContractError, match="the result"):
        flaky(torch.ones(3, 2))
    assert calls == 2


@contract
def fails(p: Probs[Tensor, "rows classes"]) -> None:
    raise KeyError


def fails_in_step(p: Tensor) -> None:
    with contracts.step():
        passed(p)
        raise KeyError


@pytest.mark.parametrize("function", [fails, fails_in_step])
def test_a_broken_law_is_the_cause_of_what_fails_after_it(function: Callable[[Tensor], None]) -> None:
    with pytest.raises(ContractError, match="sum to 1") as caught:
        function(torch.ones(3, 3))
    assert isinstance(caught.value.__cause__, KeyError)
    assert not flags.PENDING.here().records


@pytest.mark.parametrize("function", [fails, fails_in_step])
def test_another_exception_stays_what_it_is(function: Callable[[Tensor], None]) -> None:
    with pytest.raises(KeyError):
        function(torch.ones(3, 3) / 3)
    assert not flags.PENDING.here().records


def test_what_is_repeated_has_its_scope() -> None:
    class Model:
        d = 3

        @contract
        def forward(self, x: Float[Tensor, "n {self.d}"]) -> Float[Tensor, "n {self.d}"]:
            return check(x, UnitInterval[Tensor, "n {self.d}"])

    with (
        contracts.mode("full"),
        pytest.raises(ContractError, match=r"forward: check\n  expected  values between 0 and 1"),
        contracts.step(),
    ):
        Model().forward(torch.full((2, 3), 2.0))


def test_the_queue_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "MOST", 10)

    def run(bad: Callable[[int], bool]) -> int:
        with contracts.step():
            for index in range(25):
                passed(torch.ones(3, 3) if bad(index) else torch.full((3, 2), 0.5))
                assert len(flags.PENDING.here().records) < 10
        return index

    assert run(lambda _: False) == 24
    with pytest.raises(ContractError):
        run(lambda index: index == 3)


def test_records_hold_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, "is_at_hand", lambda one: False)
    x = torch.full((3, 2), 0.5, requires_grad=True)
    with contracts.step():
        passed(x * 1)
        statistics = [one for record in flags.PENDING.here().records for one in record.statistics]
        assert statistics
        assert not any(one.requires_grad for one in statistics if isinstance(one, Tensor))


def test_sync_raises_at_once() -> None:
    with contracts.mode("sync"), contracts.step(), pytest.raises(ContractError):
        passed(torch.ones(3, 3))


def test_a_step_keeps_no_argument_alive() -> None:
    with contracts.step():
        p = torch.full((2, 2), 0.5)
        passed(p)
        reference = weakref.ref(p)
        del p
        assert reference() is None


def test_a_call_whose_tensors_are_gone_is_not_repeated() -> None:
    with pytest.raises(ContractError, match=r"run it with contracts\.mode\('sync'\)"), contracts.step():
        passed(torch.ones(2, 2))


def test_a_check_in_a_body_is_read_once() -> None:
    def body(width: int) -> None:
        x = torch.full((2, width), 1 / width)
        check(x, Float[Tensor, f"b {width}"])
        check((x, x), tuple[Float[Tensor, f"b {width}"], Probs[Tensor, f"b {width}"]])

    inline._promises.clear()
    body(2)
    before = len(tracing.SITES), len(inline._promises)
    for _ in range(5):
        body(2)
    assert (len(tracing.SITES), len(inline._promises)) == before
    body(3)
    assert (len(tracing.SITES), len(inline._promises)) == (before[0] + 1, before[1] + 2)
