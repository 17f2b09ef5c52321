"""A deferred verdict is raised where its values were seen, is about the law that broke, and costs one repetition."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mldbg import contracts
from mldbg.contracts import ContractError, Finite, Probs, check, contract, flags

pytestmark = pytest.mark.usefixtures("values")

GOOD, BAD = torch.full((4, 5), 0.2), torch.full((4, 5), 0.3)
calls: list[str] = []
Service = Callable[[Tensor, float], Awaitable[Tensor]]


@contract(mode="full")
def fixed(x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
    calls.append("fixed")
    return x * 1


@contract(mode="sampled")
def fixed_sampled(x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
    calls.append("fixed_sampled")
    return x * 1


@contract
def with_a_mode_inside(x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    calls.append("with_a_mode_inside")
    with contracts.mode("full"):
        return check(x * 1, Probs[Tensor, "b c"])


@contract(mode="full")
def nested(x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    calls.append("nested")
    return fixed(x)


@contract
def in_a_step(x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    calls.append("in_a_step")
    with contracts.step():
        return check(x * 1, Probs[Tensor, "b c"])


@pytest.mark.parametrize(
    ("function", "mode"),
    [
        *((function, mode) for function in (fixed, fixed_sampled, nested) for mode in ("shapes", "sampled", "full")),
        (with_a_mode_inside, "sampled"),
        (with_a_mode_inside, "full"),
    ],
)
def test_a_broken_call_is_repeated_once(function: Callable[[Tensor], Tensor], mode: str) -> None:
    calls.clear()
    with contracts.mode(mode), pytest.raises(ContractError, match="sum to 1") as caught:
        function(BAD)
    assert calls.count(function.__name__) == 2
    assert "contracts.mode('sync')" not in str(caught.value)  # the exact line is known
    assert not flags.PENDING.repeats


def test_a_step_inside_of_a_contract_is_repeated_by_nobody() -> None:
    calls.clear()
    with pytest.raises(ContractError, match="sum to 1"):
        in_a_step(BAD)
    assert len(calls) == 1


def test_the_repetition_looks_at_all_rows() -> None:
    p = torch.full((640, 2), 0.5)
    p[7] = 3.0
    for _ in range(200):
        try:
            fixed_sampled(p)
        except ContractError as error:
            assert "seen in a sample" not in str(error)  # noqa: PT017 (which call it is, is not known)
            return
    pytest.fail("never seen")


class Cache(nn.Module):
    """Attention's cache: each call makes it longer, and a second call with the same tensors does not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.kept = torch.zeros(0, 5)

    @contract
    def forward(self, x: Float[Tensor, "t c"]) -> Probs[Tensor, "t c"]:
        self.kept = torch.cat([self.kept, x])
        return check(self.kept, Float[Tensor, "t c"]) * 1


class Counter(Cache):
    """Fails when it is called once too often."""

    @contract
    def forward(self, x: Float[Tensor, "t c"]) -> Probs[Tensor, "t c"]:
        if len(self.kept):
            raise RuntimeError("called once too often")
        self.kept = x
        return x * 1


class Mended(Cache):
    """Is right from the second call on."""

    @contract
    def forward(self, x: Float[Tensor, "t c"]) -> Probs[Tensor, "t c"]:
        first, self.kept = not len(self.kept), x
        return x if first else x.softmax(-1)


class Other(Cache):
    """Breaks another law in the second call."""

    @contract
    def forward(self, x: Float[Tensor, "t c"]) -> Probs[Tensor, "t c"]:
        check(self.kept.log(), Finite[Tensor, "n c"], "memory")
        self.kept = torch.zeros(1, 5)
        return x * 1


class Averaged(Cache):
    """Statistics of batches; in place, too."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    @contract
    def forward(self, x: Float[Tensor, "t c"]) -> Probs[Tensor, "t c"]:
        return self.norm(x.mul_(2)) + x


@pytest.mark.parametrize("in_step", [False, True])
@pytest.mark.parametrize("module", [Cache, Counter, Mended, Other, Averaged])
def test_state_does_not_hide_the_law(module: type[nn.Module], in_step: bool) -> None:
    model, x = module(), BAD.clone()

    def run() -> None:
        if not in_step:
            model(x)
            return
        with contracts.step():
            model(x)

    with pytest.raises(ContractError, match="sum to 1") as caught:
        run()
    assert (caught.value.contract, caught.value.parameter) == (f"{module.__name__}.forward", "return")
    assert not flags.PENDING.here().records


@contract
async def served(p: Probs[Tensor, "b c"], wait: float) -> Float[Tensor, "b c"]:
    await asyncio.sleep(wait)
    return p


@contract
async def served_through(x: Float[Tensor, "b c"], wait: float) -> Float[Tensor, "b c"]:
    check(x, Probs[Tensor, "b c"])
    await asyncio.sleep(wait)
    return await asyncio.create_task(served_plainly(x, wait))


async def served_plainly(x: Tensor, wait: float) -> Tensor:
    await asyncio.sleep(wait)
    return fixed(x)


async def served_in_a_step(x: Tensor, wait: float) -> Tensor:
    with contracts.step():
        check(x, Probs[Tensor, "b c"])
        await asyncio.sleep(wait)
        fixed(x)
        await asyncio.sleep(wait)
    return x


@contract
async def streamed(x: Float[Tensor, "b c"], wait: float) -> AsyncIterator[Probs[Tensor, "b c"]]:
    for _ in range(3):
        await asyncio.sleep(wait)
        yield x * 1


async def served_by_a_stream(x: Tensor, wait: float) -> Tensor:
    async for y in streamed(x, wait):
        x = y
    return x


async def served_by_a_thread(x: Tensor, wait: float) -> Tensor:
    await asyncio.sleep(wait)
    return await asyncio.to_thread(fixed, x)


@pytest.mark.parametrize(
    "service", [served, served_through, served_plainly, served_in_a_step, served_by_a_stream, served_by_a_thread]
)
@pytest.mark.parametrize("waits", [(0.03, 0.001), (0.001, 0.03), (0.01, 0.01)])
def test_each_task_has_its_own_verdicts(
    service: Callable[[Tensor, float], Awaitable[Tensor]], waits: tuple[float, float]
) -> None:
    async def main() -> list[Any]:
        requests = [service(BAD, waits[0]), service(GOOD, waits[1]), service(BAD, waits[1]), service(GOOD, waits[0])]
        return list(await asyncio.gather(*requests, return_exceptions=True))

    kinds = [type(outcome) for outcome in asyncio.run(main())]
    assert kinds == [ContractError, Tensor, ContractError, Tensor]
    assert not flags.PENDING.tasks


@pytest.mark.parametrize("service", [served, served_in_a_step, served_by_a_stream])
def test_a_cancelled_task_leaves_no_verdict(service: Callable[[Tensor, float], Any]) -> None:
    async def main() -> Tensor:
        task = asyncio.ensure_future(service(BAD, 10))
        healthy = asyncio.ensure_future(service(GOOD, 0.02))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        fixed(GOOD)
        return await healthy

    assert asyncio.run(main()) is not None
    fixed(GOOD)


def test_a_task_that_is_forgotten_leaves_no_verdict() -> None:
    loop = asyncio.new_event_loop()

    async def main() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    forgotten = loop.create_task(served(BAD, 10))
    forgotten._log_destroy_pending = False  # type: ignore[attr-defined]  # this is what is tried
    loop.run_until_complete(main())
    loop.close()
    del forgotten
    gc.collect()
    fixed(GOOD)
    assert not flags.PENDING.here().records


@contract
def runs_a_loop(x: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
    async def main() -> Tensor:
        await asyncio.gather(served(GOOD, 0.001), served(x, 0.001))
        return x

    return asyncio.run(main())


def test_a_contract_that_runs_a_loop_answers_for_its_tasks() -> None:
    runs_a_loop(GOOD)
    with pytest.raises(ContractError, match="served: p"):
        runs_a_loop(BAD)
    runs_a_loop(GOOD)


@contract
def parts(x: Float[Tensor, "b c"]) -> Iterator[Probs[Tensor, "b c"]]:
    yield x * 1
    yield x * 1


@contract
def closes(p: Probs[Tensor, "b c"], generator: Iterator[Tensor]) -> Float[Tensor, "b c"]:
    generator.close()  # type: ignore[attr-defined]
    return p


def test_closing_a_generator_drops_nobody_elses_verdict() -> None:
    generator = parts(GOOD)
    next(generator)
    with pytest.raises(ContractError, match="closes: p"):
        closes(BAD, generator)


def test_generators_in_turn_keep_their_verdicts() -> None:
    good, bad = parts(GOOD), parts(BAD)
    next(good)
    with pytest.raises(ContractError, match="yield 1"):
        next(bad)
    next(good)


def test_each_thread_has_its_own_verdicts() -> None:
    outcomes: dict[str, type] = {}
    together = threading.Barrier(2)

    def run(name: str, x: Tensor) -> None:
        try:
            with contracts.step():
                together.wait()
                fixed(x)
                together.wait()
            outcomes[name] = Tensor
        except ContractError as error:
            outcomes[name] = type(error)

    threads = [threading.Thread(target=run, args=item) for item in (("bad", BAD), ("good", GOOD))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"bad": ContractError, "good": Tensor}
