"""What a message says where one fact alone would mislead."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mldbg import check, contract
from mldbg.contracts import ClassIds, ContractError, OneHot, Probs, TokenIds, matching

IDS = torch.tensor([0, 2, 1, 2])


def refused(value: Any, annotation: Any) -> ContractError:
    with pytest.raises(ContractError) as caught:
        check(value, annotation)
    assert ContractError(str(caught.value)).violation == caught.value.violation
    return caught.value


@pytest.mark.parametrize(
    ("value", "annotation", "expected", "cause", "advice"),
    [
        (F.one_hot(IDS).float(), ClassIds[Tensor, "b"], "1 axis", "these look one-hot", "take the ids: argmax(1)"),
        (F.one_hot(IDS), ClassIds[Tensor, "b"], "1 axis", "these look one-hot", "take the ids: argmax(1)"),
        (F.one_hot(IDS).bool(), ClassIds[Tensor, "b"], "1 axis", "these look one-hot", "take the ids: argmax(1)"),
        (torch.randn(4, 3).softmax(1), ClassIds[Tensor, "b"], "1 axis", "these look like probabilities", "argmax(1)"),
        (torch.randn(4, 3), ClassIds[Tensor, "b"], "1 axis", "these look like scores of the classes", "argmax(1)"),
        (torch.randn(4, 3, 5, 5), ClassIds[Tensor, "b h w"], "3 axes", "these look like scores", "argmax(1)"),
        (
            torch.randn(4, 1),
            ClassIds[Tensor, "b"],
            "Integer family, 1 axis",
            "axis 1 has size 1 and may need a squeeze",
            "convert",
        ),
        (IDS[:, None], ClassIds[Tensor, "b"], "1 axis", "axis 1 has size 1 and may need a squeeze", ""),
        (torch.randn(4), ClassIds[Tensor, "b"], "a dtype from the Integer family", "", "convert it first"),
        (torch.randn(3, 4, 5), ClassIds[Tensor, "b"], "Integer family, 1 axis", "", "convert it first"),
        (torch.randn(3).bool(), TokenIds[Tensor, "b t"], "Integer family, 2 axes", "an axis is missing", "convert it first"),
        (IDS, OneHot[Tensor, "b c"], "2 axes", "these look like class ids", "apply one_hot"),
        (IDS, Probs[Tensor, "b c"], "a dtype from the Float family, 2 axes", "an axis is missing", "convert it first"),
        (IDS, Float[Tensor, "... b c d"], "a dtype from the Float family, at least 3 axes", "", "convert it first"),
        (torch.randn(4, 3, device="meta"), ClassIds[Tensor, "b"], "Integer family, 1 axis", "there is an extra axis", "convert"),
    ],
)
def test_rank_and_dtype_at_once(value: Tensor, annotation: Any, expected: str, cause: str, advice: str) -> None:
    error = refused(value, annotation)
    assert error.expected.endswith(expected)
    assert cause in error.cause
    assert bool(cause) == bool(error.cause)
    assert advice in error.advice


def test_values_are_read_only_if_no_alternative_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def read(x: Tensor, axis: int) -> bool:
        reads.append(axis)
        return True

    monkeypatch.setattr(matching, "_ROWS", (("one-hot", read),))
    either = ClassIds[Tensor, "b"] | Float[Tensor, "b c"] | None
    check(F.one_hot(IDS).float(), either)
    assert reads == []
    assert refused(F.one_hot(IDS), ClassIds[Tensor, "b"] | None).cause == "these look one-hot"
    assert set(reads) == {1}


@pytest.mark.parametrize("compiled", [False, True])
def test_rank_and_dtype_of_an_argument(compiled: bool) -> None:
    @contract
    def loss(scores: Float[Tensor, "b c"], y: ClassIds[Tensor, "b"]) -> Tensor:
        return scores

    called = torch.compile(loss, backend="eager") if compiled else loss
    with pytest.raises(ContractError) as caught:
        called(torch.randn(4, 3), F.one_hot(IDS).float())
    assert caught.value.cause == "these look one-hot"
    assert caught.value.expected == 'ClassIds[Tensor, "b"], a dtype from the Integer family, 1 axis'


def test_the_shapes_of_all_arguments() -> None:
    @contract
    def joined(
        a: Float[Tensor, "n k"],
        more: list[Float[Tensor, "k"]],
        table: dict[str, Tensor],
        *,
        c: Int[Tensor, "n"],
        flag: bool = True,
    ) -> Float[Tensor, "n 2"]:
        return a

    a, k, n = torch.zeros(4, 3), torch.zeros(3), torch.zeros(4, dtype=torch.long)
    with pytest.raises(ContractError) as caught:
        joined(a, [k, k[:2]], {"z": a}, c=n)
    assert caught.value.arguments == "a (4, 3), more[0] (3,), more[1] (2,), table['z'] (4, 3), c (4,)"
    assert "\n  given     a (4, 3), more[0] (3,)," in str(caught.value)
    assert ContractError(str(caught.value)).violation == caught.value.violation
    with pytest.raises(ContractError) as caught:
        joined(a, [k] * 20, {}, c=n)
    assert caught.value.arguments.endswith("more[6] (3,) and 14 more")
    with pytest.raises(ContractError) as caught:
        joined(a.long(), [], {}, c=n)
    assert caught.value.arguments == ""  # it is not about sizes
    assert refused(a, Float[Tensor, "n n"]).arguments == ""


def test_the_result_is_called_so_wherever_it_stands() -> None:
    @contract
    def pair(x: Float[Tensor, "n"]) -> tuple[Float[Tensor, "m"], Float[Tensor, "m"]]:
        return torch.zeros(2), x

    with pytest.raises(ContractError) as caught:
        pair(torch.zeros(3))
    text = str(caught.value).splitlines()
    assert text[0].endswith("pair: the result[1]")
    assert "  bound     n = 3 from x, axis 0, m = 2 from the result[0], axis 0" in text
    assert "  do        make the size of axis 0 of the result[1] 2, or rename the axis if it need not agree" in text
    assert caught.value.parameter == "return[1]"
    assert caught.value.bindings[1].where == "return[0], axis 0"
    told = ContractError(str(caught.value))
    assert told.violation == caught.value.violation

    @contract
    def returned(returned: Float[Tensor, "n"], return_dict: Float[Tensor, "n"]) -> None: ...

    with pytest.raises(ContractError) as caught:
        returned(torch.zeros(3), torch.zeros(2))
    assert str(caught.value).splitlines()[0].endswith("returned: return_dict")
    assert "n = 3 from returned, axis 0" in str(caught.value)


BATCHES = """
from dataclasses import dataclass
from jaxtyping import Float
from torch import Tensor

@dataclass
class Batch:
    x: Float[Tensor, "n"]

class Config:
    pass
"""


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    for name in ("batches_one", "batches_two"):
        (tmp_path / f"{name}.py").write_text(BATCHES, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("batches_one"), importlib.import_module("batches_two")


def test_two_classes_of_one_name(batches: tuple[Any, Any]) -> None:
    one, two = batches
    error = refused(two.Batch(torch.zeros(2)), one.Batch)
    assert error.expected == "Batch, the class batches_one.Batch"
    assert error.actual == "an object of batches_two.Batch"
    assert error.cause == "two classes are called Batch"
    error = refused(two.Config(), one.Config | Float[Tensor, "n"])
    assert error.expected == "Config, the class batches_one.Config"
    assert refused(two.Batch(torch.zeros(2)), one.Batch | None).cause == "two classes are called Batch"
    assert refused(1.5, one.Batch | None).expected == "Batch | None"


def test_a_class_of_a_module_that_was_reloaded(batches: tuple[Any, Any]) -> None:
    one, _ = batches
    before = one.Batch(torch.zeros(2))
    importlib.reload(one)
    check(one.Batch(torch.zeros(2)), one.Batch)
    error = refused(before, one.Batch)
    assert error.expected == "Batch, the class batches_one.Batch"
    assert error.cause.startswith("batches_one.Batch exists twice: its module was reloaded")
    assert error.advice == "make the object anew, and import again what uses the class"
    assert refused({"x": 1}, one.Batch).actual == "dict of 1"
