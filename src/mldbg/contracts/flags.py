"""Verdicts about values that wait on the device until they are read, all in one transfer.

A check of values leaves a `Record`: a few 0-d tensors (the statistics), and what was checked. On the CPU, where nothing has to be
waited for, it is judged at once, and only waits if it breaks its law. Records are read at the end of the
outermost contract, or at the end of a `step()`. They hold no gradients and keep no large tensor alive, there are at most `MOST`
of them, and an exception on the way ends their waiting. Each thread and each asyncio task has a queue of its own, so that a
verdict is raised where its values were seen.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import threading
import time
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from mldbg.contracts import distributed, dynamo
from mldbg.contracts.error import ContractError, Violation
from mldbg.contracts.laws import Broken, Sample
from mldbg.contracts.meanings import Meaning
from mldbg.contracts.modes import SETTING, Mode, mode
from mldbg.contracts.scope import EAGER
from mldbg.contracts.tally import Tally
from mldbg.semantics import Extent

MOST = 4096
"""Records that may wait; the next one makes all of them be read."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place of a contract where values are checked.

    axis: position of the law's axis.
    text: the annotation, as written.
    place: `path:line` of the contract.
    tally: how often its values were judged.
    """

    contract: str
    parameter: str
    text: str
    place: str
    meaning: Meaning
    axis: int
    tally: Tally = field(default_factory=Tally, compare=False, repr=False)


class _Held(weakref.ref[Tensor]):
    """A tensor among the arguments of a call, as long as somebody else keeps it."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an outermost contract, kept until its records are read so that it can be repeated in `sync` mode."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def held_weakly(self) -> Call:
        """The same, without keeping its tensors alive: a long step would hold all that went through its contracts."""
        args, kwargs = tree_map_only(Tensor, _Held, (self.args, self.kwargs))
        return Call(self.function, args, kwargs)

    def is_whole(self) -> bool:
        """Whether its tensors are still there."""
        return not any(isinstance(leaf, _Held) and leaf() is None for leaf in tree_leaves((self.args, self.kwargs)))

    def repeat(self, wanted: Collection[Violation]) -> None:
        """Call again, once, so that a broken law raises where it is broken.

        Raises ContractError for a violation that is among the wanted ones. Whatever else happens in the repetition is of no
        interest, for the state of a module may have changed (a cache, a counter): the deferred verdict stands.
        """
        args, kwargs = tree_map_only(_Held, _Held.__call__, (self.args, self.kwargs))
        PENDING.repeats = True
        values = mode(Mode.SYNC) if SETTING.level <= Mode.SHAPES else nullcontext()  # the block that looked at values may be over
        try:
            with values:
                self.function(*args, **kwargs)
        except ContractError as error:
            if any(_alike(error.violation, one) for one in wanted):
                raise
        except Exception:  # noqa: BLE001, S110
            pass
        finally:
            PENDING.repeats = False


def _alike(one: Violation, other: Violation) -> bool:
    """Whether two violations are of the same promise."""
    return (one.contract, one.parameter, one.expected) == (other.contract, other.parameter, other.expected)


@dataclass(slots=True)
class Record:
    """What is known of one checked tensor. shape: of the tensor; looked_at: of the part that was measured.

    statistics: on the device, or as numbers where they have been read.
    """

    site: Site
    statistics: Sequence[Tensor | float]
    dtype: str
    shape: tuple[int, ...]
    looked_at: tuple[int, ...]
    number: int
    call: Call | None = None


@dataclass(slots=True)
class Queue:
    """What waits in one thread, or in one asyncio task.

    steps: how many `step()`s it is inside of.
    """

    records: list[Record] = field(default_factory=list)
    steps: int = 0


class Pending(threading.local):
    """The queues of this thread: its own, and those of its asyncio tasks.

    repeats: whether a call is being repeated, when no verdict waits.
    """

    repeats: bool = False

    def __init__(self) -> None:
        self.own = Queue()
        self.tasks: WeakKeyDictionary[asyncio.Task[Any], Queue] = WeakKeyDictionary()

    def here(self) -> Queue:
        """The queue of the task that is running, or of the thread where no task is."""
        loop = asyncio._get_running_loop()  # noqa: SLF001 (asks without raising, unlike its public sister)
        task = None if loop is None else asyncio.current_task(loop)
        if task is None:
            return self.own
        queue = self.tasks.get(task)
        if queue is None:
            queue = self.tasks[task] = Queue()
            task.add_done_callback(self._hand_over)
        return queue

    def _hand_over(self, task: asyncio.Task[Any]) -> None:
        """A task has ended. What it leaves belongs to the contract with `asyncio.run` in its body, if there is one."""
        left = self.tasks.pop(task, None)
        if left is not None and left.records and EAGER.top is not None:
            self.own.records += left.records
            EAGER.here.waits = True

    def take(self) -> list[Record]:
        """The records that wait here; they wait no longer."""
        queue = self.here()
        records, queue.records = queue.records, []
        EAGER.here.waits = bool(self.own.records) or any(other.records for other in self.tasks.values())
        return records


PENDING = Pending()
_numbers = itertools.count(1)


def next_number() -> int:
    """Checks of values are numbered through the run."""
    return next(_numbers)


def add(record: Record) -> None:
    """Let a record wait.

    Raises ContractError where a law is broken, and there were too many records, or a call is being repeated.
    """
    if PENDING.repeats:
        violation = verdict(record)
        if violation is not None:
            raise ContractError(violation)
        return
    if all(map(is_at_hand, record.statistics)):
        numbers = [float(one) for one in record.statistics]
        record.statistics = numbers
        if _broken(record, numbers)[0] is None:
            record.site.tally.judge(sampled=record.looked_at != record.shape)
            return
    queue = PENDING.here()
    queue.records.append(record)
    EAGER.here.waits = True
    if len(queue.records) >= MOST:
        _raise(_read())


def settle(call: Call | None, owner: object = None) -> None:
    """Read what waits, unless a step does so later: the outermost contract has come to its end.

    owner: the module whose forward it was. Where DistributedDataParallel wraps it, all ranks meet here, and all raise.
    Raises ContractError where a law is broken.
    """
    group = distributed.group_of(owner)
    queue = PENDING.here()
    if group is None and queue.steps:
        if call is not None:
            call = call.held_weakly()
            for record in reversed(queue.records):
                if record.call is not None:
                    break
                record.call = call
        return
    found = _read()
    if not PENDING.repeats:
        SETTING.next_step()
    if group is not None:
        violations = distributed.shared(group, tuple(violation for violation, _ in found))
        found = [(violation, None) for violation in violations]
    elif found and call is not None:
        found = [(violation, call) for violation, _ in found]
    _raise(found)


@dynamo.untraced("verdicts are read in eager code")
def abandon(error: BaseException, owner: object = None) -> None:
    """The outermost contract ends with `error`: nothing waits any longer, unless a generator is only closed, which is no failure.

    The other ranks are told where they wait for this one. Raises ContractError from `error` where what waits breaks a law: ids
    out of their range, say, which are the cause when an embedding or a loss then fails.
    """
    if isinstance(error, GeneratorExit):
        return  # what waits here belongs to whoever closes it, or has dropped it
    cause = None if PENDING.here().steps else _cause_of(error)
    group = distributed.group_of(owner)
    if group is not None and isinstance(error, Exception):
        distributed.shared(group, (_violation_of(cause or error),))
    if cause is not None:
        raise cause from error


def _cause_of(error: BaseException) -> ContractError | None:
    """Take all records; what they say where something else has failed."""
    if not isinstance(error, Exception) or isinstance(error, ContractError):
        for record in PENDING.take():
            record.site.tally.leave_out("the call failed first")
        return None
    try:
        found = [violation for violation, _ in _read()]
    except RuntimeError:  # the device itself has failed
        return None
    return ContractError(found[0], tuple(found[1:])) if found else None


def _violation_of(error: Exception) -> Violation:
    if isinstance(error, ContractError):
        return error.violation
    return Violation(
        "another rank", "", "no exception", f"{type(error).__name__}: {error}", advice="see the traceback of that rank"
    )


@contextmanager
def step() -> Iterator[None]:
    """Read the verdicts about values at the end of the block, in one transfer, not at the end of each outermost contract.

    In a distributed run every rank has to run the same steps: all ranks meet at the end of the block.
    Raises ContractError where a law was broken inside the block, also when something else failed after that.
    """
    queue = PENDING.here()
    queue.steps += 1
    try:
        yield
    except BaseException as error:
        queue.steps -= 1
        cause = None if queue.steps else _cause_of(error)
        if cause is not None:
            raise cause from error
        raise
    queue.steps -= 1
    if queue.steps:
        return
    found = _read()
    SETTING.next_step()
    if distributed.several_ranks():
        found = [(violation, None) for violation in distributed.shared(distributed.everyone(), tuple(one for one, _ in found))]
    _raise(found)


def _read() -> list[tuple[Violation, Call | None]]:
    """Take all records, transfer their statistics and return what breaks a law, first come first, each place once."""
    records = PENDING.take()
    if not records:
        return []
    found: dict[Site, tuple[Violation, Call | None]] = {}
    with _counted_in_budget(records):
        numbers_of_all = _transferred([record.statistics for record in records])
    for record, numbers in zip(records, numbers_of_all, strict=True):
        violation = judged(record, numbers)
        if violation is not None:
            found.setdefault(record.site, (violation, record.call))
    return list(found.values())


@contextmanager
def _counted_in_budget(records: Iterable[Record]) -> Iterator[None]:
    """Count the time of reading, if there is a budget, without that for which the device is still busy with other things."""
    budget = SETTING.budget
    if budget is not None:
        for device in {one.device for record in records for one in record.statistics if isinstance(one, Tensor)}:
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        start = time.perf_counter()
    yield
    if budget is not None:
        budget.spent += time.perf_counter() - start


def is_at_hand(one: Tensor | float) -> bool:
    """Whether it can be read without waiting for a device."""
    return not isinstance(one, Tensor) or one.is_cpu


def _transferred(groups: Sequence[Sequence[Tensor | float]]) -> list[list[float]]:
    """The numbers of all groups, with one transfer for each device."""
    flat = [one for group in groups for one in group]
    numbers = {at: float(one) for at, one in enumerate(flat) if is_at_hand(one)}
    waiting = {at: one for at, one in enumerate(flat) if isinstance(one, Tensor) and at not in numbers}
    for device in dict.fromkeys(one.device for one in waiting.values()):
        wide = torch.float32 if device.type == "mps" else torch.float64
        indices, stacks = [], []
        for dtype in dict.fromkeys(one.dtype for one in waiting.values() if one.device == device):
            chosen = [at for at, one in waiting.items() if one.device == device and one.dtype == dtype]
            indices += chosen
            stacks.append(torch.stack([waiting[at] for at in chosen]))
        numbers.update(zip(indices, _joined(stacks, wide).tolist(), strict=True))
    return _grouped([numbers[at] for at in range(len(flat))], groups)


def _joined(stacks: list[Tensor], wide: torch.dtype) -> Tensor:
    return torch.cat([stack.to(wide) for stack in stacks]) if len(stacks) > 1 else stacks[0]


def _grouped(numbers: Iterable[float], groups: Sequence[Sequence[object]]) -> list[list[float]]:
    ordered = iter(numbers)
    return [list(itertools.islice(ordered, len(group))) for group in groups]


def _broken(record: Record, numbers: Sequence[float]) -> tuple[Broken | None, dict[str, float]]:
    """Which part of the law does not hold, if any, and the statistics by name."""
    site, meaning, looked_at = record.site, record.site.meaning, record.looked_at
    law = meaning.law
    assert law is not None
    statistics = dict(zip(law.names, numbers, strict=True))
    length = looked_at[site.axis] if looked_at else 1
    sample = Sample(
        tolerance=meaning.tolerance.of(record.dtype),
        rows=math.prod(looked_at) // max(length, 1),
        length=length,
        batch=looked_at[0] if looked_at else 1,
    )
    return law.broken(statistics, sample), statistics


def judged(record: Record, numbers: Sequence[float]) -> Violation | None:
    """The violation that the statistics of a record show, if they show one."""
    site, meaning, looked_at = record.site, record.site.meaning, record.looked_at
    site.tally.judge(sampled=looked_at != record.shape)
    broken, statistics = _broken(record, numbers)
    if broken is None:
        return None
    axis = ""
    if meaning.extent is Extent.AXIS and record.shape:
        at = site.axis % len(record.shape)
        axis = f"axis {at} ({meaning.axis or 'the last'}) of {record.shape}"
    part = "" if looked_at == record.shape else f", seen in a sample of {looked_at}"
    return Violation(
        contract=site.contract,
        parameter=site.parameter,
        expected=f"{meaning.says} [{site.text}]",
        actual=f"{record.dtype} {record.shape}: {broken.fact}{part} (check {record.number} of this run)",
        axis=axis,
        statistics={name: number for name, number in statistics.items() if name != "bound" or meaning.bound is not None},
        cause=broken.cause,
        advice=broken.advice,
        place=site.place,
    )


def verdict(record: Record) -> Violation | None:
    """Judge one record now, which waits for the device."""
    return judged(record, _transferred([record.statistics])[0])


def _raise(found: list[tuple[Violation, Call | None]]) -> None:
    if not found:
        return
    first, call = found[0]
    if call is not None and (distributed.several_ranks() or PENDING.repeats or not call.is_whole()):
        call = None  # what it would gather from other ranks, they do not send again; and it is repeated once
    if call is not None:
        call.repeat([violation for violation, _ in found])
    advice = f"{first.advice}; run it with contracts.mode('sync') for the line" if call is None else first.advice
    raise ContractError(replace(first, advice=advice), tuple(violation for violation, _ in found[1:]))
