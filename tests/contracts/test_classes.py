"""`@contract` on a class: its methods, and the fields of a dataclass when one is constructed."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, TypedDict

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from mldbg import contracts
from mldbg.contracts import ContractError, Probs, contract, coverage


@contract
class Model(nn.Module):
    """A model."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.d = d
        self.linear = nn.Linear(d, d)

    def forward(self, x: Float[Tensor, "b {self.d}"]) -> Float[Tensor, "b {self.d}"]:
        return self.scaled(self.linear(x))

    @staticmethod
    def scaled(x: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
        return 2 * x

    @classmethod
    def like(cls, x: Float[Tensor, "b d"]) -> Model:
        return cls(x.shape[1])

    @property
    def first(self) -> Float[Tensor, "d"]:
        return self.linear.weight

    def plain(self, x: int) -> int:
        return x


def test_every_annotated_method_of_a_model_is_checked() -> None:
    x = torch.zeros(2, 3)
    model = Model.like(x)
    assert model(x).shape == (2, 3)
    assert model.plain(1) == 1
    assert (Model.__name__, Model.__doc__) == ("Model", "A model.")
    wrong: list[tuple[str, Any]] = [
        ("Model.forward", lambda: model(torch.zeros(2, 4))),
        ("Model.scaled", lambda: Model.scaled(torch.zeros(2))),
        ("Model.like", lambda: Model.like(torch.zeros(2))),
        ("Model.first: the result", lambda: model.first),
    ]
    for name, call in wrong:
        with pytest.raises(ContractError, match=f"^{name}"):
            call()


def test_a_model_in_compiled_code() -> None:
    torch.compiler.reset()
    model = Model(3).requires_grad_(False)
    run: Any = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(run(torch.ones(2, 3)), model(torch.ones(2, 3)))


def test_what_has_a_contract_already_keeps_the_one_it_has() -> None:
    @contract
    class Two:
        @contract(mode="shapes")
        def soft(self, x: Float[Tensor, "b c"]) -> Probs[Tensor, "b c"]:
            return x

    with coverage() as found:
        Two().soft(torch.zeros(2, 3))
    assert [line.calls for line in found.lines if line.contract.endswith("Two.soft") and not line.parameter] == [1]


@contract
@dataclass
class Batch:
    x: Float[Tensor, "b d"]
    y: Float[Tensor, "b"]
    mask: Float[Tensor, "b"] | None = None
    weight: Float[Tensor, "b"] = field(init=False)
    scale: Float[Tensor, ""] = field(default_factory=lambda: torch.ones(()))
    name: str = ""
    count: ClassVar[int] = 0

    def __post_init__(self) -> None:
        self.weight = torch.ones(self.x.shape[0])

    def joined(self, other: Float[Tensor, "b d"]) -> Float[Tensor, "b e"]:
        return torch.cat([self.x, other], 1)


@contract
@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    x: Float[Tensor, "b d"]
    p: Probs[Tensor, "b d"]


def test_the_fields_of_a_dataclass_share_their_axes_when_it_is_constructed() -> None:
    batch = Batch(torch.zeros(2, 3), torch.zeros(2))
    assert batch.joined(torch.zeros(2, 1)).shape == (2, 4)
    with pytest.raises(ContractError, match=r"^Batch: self\.y"):
        Batch(torch.zeros(2, 3), torch.zeros(3))
    with pytest.raises(ContractError, match=r"^Batch: self\.mask"):
        Batch(torch.zeros(2, 3), torch.zeros(2), torch.zeros(3))
    with pytest.raises(ContractError, match=r"^Batch\.joined: other"):
        batch.joined(torch.zeros(2))
    with pytest.raises(ContractError, match=r"^Batch: self\.scale"):
        dataclasses.replace(batch, scale=torch.zeros(2))
    assert dataclasses.replace(batch, name="b").name == "b"


def test_values_frozen_slots_and_copies() -> None:
    good = torch.full((2, 4), 0.25)
    one = Frozen(x=torch.zeros(2, 4), p=good)
    for other in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert torch.equal(other.p, good)
    with pytest.raises(ContractError, match=r"^Frozen: self\.p"):
        Frozen(x=torch.zeros(2, 4), p=good * 2)
    with contracts.mode("shapes"):
        Frozen(x=torch.zeros(2, 4), p=good * 2)
    with pytest.raises(TypeError, match="missing"):
        Frozen(x=good)  # type: ignore[call-arg]


def test_what_cannot_be_checked_is_refused() -> None:
    class Pair(NamedTuple):
        x: Float[Tensor, "b"]

    class Table(TypedDict):
        x: Float[Tensor, "b"]

    class Early:
        x: Float[Tensor, "b"]

        def use(self, x: Float[Tensor, "b"]) -> None: ...

    class Nothing:
        def use(self, x: int) -> None: ...

    for cls, message in (
        (Pair, "does not check Pair where it is made"),
        (Table, "does not check Table where it is made"),
        (Early, "@contract on Early: fields are checked only in a dataclass; put @contract above @dataclass"),
        (Nothing, "@contract on Nothing: it promises nothing about tensors"),
    ):
        with pytest.raises(TypeError, match=message):
            contract(cls)
    with contracts.mode("off"):
        assert contract(Nothing) is Nothing


def test_a_dataclass_that_is_constructed_in_compiled_code() -> None:
    torch.compiler.reset()

    def total(x: Tensor, y: Tensor) -> Tensor:
        return Frozen(x=x, p=y.softmax(-1)).p.sum()

    run: Any = torch.compile(total, backend="eager", fullgraph=True)
    assert float(run(torch.zeros(2, 4), torch.zeros(2, 4))) == pytest.approx(2)
    with pytest.raises((ContractError, torch._dynamo.exc.Unsupported)):
        run(torch.zeros(2, 4), torch.zeros(2, 5))


def test_fields_of_classes_that_are_defined_further_down() -> None:
    @contract
    @dataclass
    class Pair:
        x: Float[Tensor, "n"]
        inner: Inner | None = None

    @dataclass
    class Inner:
        y: Float[Tensor, "n"]

    assert Pair(torch.rand(3), Inner(torch.rand(3))).x.shape == (3,)
    with pytest.raises(ContractError, match=r"inner\.y"):
        Pair(torch.rand(3), Inner(torch.rand(4)))
