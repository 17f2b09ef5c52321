"""A `ContractError` says everything in its text, and arrives as one wherever Python and torch carry it."""

from __future__ import annotations

import concurrent.futures
import copy
import multiprocessing
import pickle
import traceback
from dataclasses import replace
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor
from torch._utils import ExceptionWrapper
from torch.utils.data import DataLoader, IterableDataset

from mldbg.contracts import Binding, ContractError, Probs, Violation, check, contract

FULL = Violation(
    "Net.forward",
    "xs['a = 3 from b'].mask",
    "Float[Tensor, 'b *lead d']",
    "float32 (4, 5)",
    axis="axis 1 (d)",
    bindings=(Binding("b", 4, "x, axis 0"), Binding("*lead", (), "x, axes before the last 1"), Binding("*more", (2, 3), "y")),
    statistics={"min": -0.5, "lowest row sum of exp": float("nan"), "highest row sum": float("inf")},
    cause="one line\nanother line",
    advice="do: this",
    place="net.py:3",
    rule="softmax-of-probabilities",
    producer="net.py:4",
    consumer="net.py:5",
    ranks=(0, 3),
)
PLAIN = Violation("f", "return", "this", "that")


def same(one: Violation, other: Violation) -> bool:
    return repr(one) == repr(other)  # NaN does not equal itself


def test_the_text() -> None:
    error = ContractError(
        Violation("f", "x", "this", "that", cause="one\ntwo", statistics={"min": 1.0}), (Violation("g", "y", "1", "2"),)
    )
    assert str(error).splitlines() == [
        "f: x",
        "  expected  this",
        "  actual    that",
        "  values    min 1",
        "  cause     one",
        "            two",
        "and 1 more in this step:",
        "  g: y",
        "    expected  1",
        "    actual    2",
    ]


@pytest.mark.parametrize("violation", [FULL, PLAIN, replace(FULL, parameter=""), replace(FULL, expected="")])
@pytest.mark.parametrize("others", [(), (PLAIN, FULL)])
def test_a_text_tells_all_that_the_error_knows(violation: Violation, others: tuple[Violation, ...]) -> None:
    error = ContractError(violation, others)
    told = ContractError(str(error))
    assert str(told) == str(error)
    assert same(told.violation, violation)
    assert all(map(same, told.others, others))
    assert len(told.others) == len(others)
    assert told.parameter == violation.parameter


class MineError(ContractError):
    """Somebody's own kind of it."""


@pytest.mark.parametrize("kind", [ContractError, MineError])
def test_the_last_error_of_a_traceback_counts(kind: type[ContractError]) -> None:
    error = kind(FULL)
    error.__cause__ = ContractError(PLAIN)
    error.add_note("a note\nof two lines")
    told = kind("Caught it somewhere.\n" + "".join(traceback.format_exception(error)))
    assert same(told.violation, FULL)


@pytest.mark.parametrize("text", ["", "nothing known", "f: x\n  expected  this\n  values    many", "f: x\n  bound     b"])
def test_another_text_is_the_message(text: str) -> None:
    error = ContractError(text)
    assert str(error) == text
    assert isinstance(error.parameter, str)


def exact(error: ContractError) -> bool:
    return same(error.violation, FULL) and str(error) == str(ContractError(FULL, (PLAIN,))) and error.others == (PLAIN,)


def test_pickle_and_copy_keep_everything() -> None:
    error = MineError(replace(FULL, statistics={"min": 1 / 3}), (PLAIN,))
    error.add_note("a note")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is MineError
        assert str(other) == str(error)
        assert other.statistics == {"min": 1 / 3}  # all digits, more than the text has
        assert other.violation == error.violation
        assert other.others == (PLAIN,)
        assert other.__notes__ == ["a note"]


def raised(_: Any) -> None:
    raise ContractError(FULL, (PLAIN,))


@pytest.mark.parametrize("method", ["spawn", "fork"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # torch has threads, which a fork does not take along
def test_from_another_process(method: str) -> None:
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool, pytest.raises(ContractError) as caught:
        pool.submit(raised, 0).result()
    assert exact(caught.value)
    with context.Pool(1) as pool_of_workers, pytest.raises(ContractError) as caught:
        pool_of_workers.map(raised, [0])
    assert exact(caught.value)


def test_twice_through_the_wrapper_of_torch() -> None:
    def wrapped(error: BaseException) -> BaseException:
        try:
            raise error
        except ContractError:
            wrapper = ExceptionWrapper(where="in a worker")  # type: ignore[no-untyped-call]
        try:
            wrapper.reraise()  # type: ignore[no-untyped-call]
        except BaseException as other:  # noqa: BLE001
            return other
        raise AssertionError

    error = wrapped(wrapped(ContractError(FULL)))
    assert isinstance(error, ContractError)
    assert same(error.violation, FULL)


@contract
def collate(rows: list[Float[Tensor, "d"]]) -> Float[Tensor, "b d"]:
    return torch.stack(rows)


@contract
def judged(rows: list[Tensor]) -> Probs[Tensor, "b d"]:
    return torch.stack(rows)


class Rows(IterableDataset[Tensor]):
    def __iter__(self) -> Any:
        yield check(torch.zeros(3), Float[Tensor, "a b"], "row")


@pytest.mark.parametrize(
    ("data", "collated", "contract_name", "parameter"),
    [
        ([torch.zeros(3), torch.zeros(4)], collate, "collate", "rows[1]"),
        ([torch.ones(3), torch.ones(3)], judged, "judged", "return"),
        (Rows(), None, "check", "row"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_from_a_worker_of_a_loader(data: Any, collated: Any, contract_name: str, parameter: str) -> None:
    with pytest.raises(ContractError) as caught:
        list(DataLoader(data, batch_size=2, collate_fn=collated, num_workers=1))
    assert (caught.value.contract, caught.value.parameter) == (contract_name, parameter)
    assert "in DataLoader worker process 0" in str(caught.value)
