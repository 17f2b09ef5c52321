"""`law`: promises about values that a user has written."""

from __future__ import annotations

import copy
import pickle
from typing import Annotated, Any

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mldbg import contracts
from mldbg.contracts import ContractError, Logits, along, attach, check, contract, coverage, law


def is_signed(x: Tensor) -> Tensor:
    return x.abs() <= 1


def are_boxes(x: Tensor) -> Tensor:
    return (x[..., 0] < x[..., 2]) & (x[..., 1] < x[..., 3])


def are_rotations(x: Tensor) -> Tensor:
    unit = torch.eye(3, dtype=x.dtype, device=x.device)
    return ((x @ x.mT - unit).abs().amax((-2, -1)) < 1e-4) & (torch.linalg.det(x) > 0)


def are_positive_definite(x: Tensor) -> Tensor:
    return torch.linalg.cholesky_ex(x).info == 0


SIGNED = law("every value in [-1, 1]", is_signed, axes=0, advice="divide by 127.5 and subtract 1")
BOXES = law("x1 < x2 and y1 < y2", are_boxes, axes=1)
ROTATIONS = law("rotation matrices", are_rotations, axes=2)
DEFINITE = law("positive definite", are_positive_definite)


def boxes(count: int) -> Tensor:
    return torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(count, 1)


def rotations(count: int) -> Tensor:
    return torch.eye(3).repeat(count, 1, 1)


CASES = {
    "signed": (Annotated[Float[Tensor, "b c h w"], SIGNED], torch.zeros(100, 3, 4, 4), torch.full((100, 3, 4, 4), 2.0)),
    "NaN": (Annotated[Float[Tensor, "b"], SIGNED], torch.zeros(3), torch.full((3,), torch.nan)),
    "boxes": (Annotated[Float[Tensor, "*b 4"], BOXES], boxes(100), boxes(100).flip(-1)),
    "one box": (Annotated[Float[Tensor, "4"], BOXES], boxes(1)[0], boxes(1)[0].flip(-1)),
    "rotations": (Annotated[Float[Tensor, "b 3 3"], ROTATIONS], rotations(100), -rotations(100)),
    "definite": (Annotated[Float[Tensor, "n n"], DEFINITE], torch.eye(64), -torch.eye(64)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["sampled", "full", "sync"])
def test_right_and_wrong_values(name: str, mode: str) -> None:
    annotation, right, wrong = CASES[name]

    def passed(x: Any) -> Any:
        return x

    passed.__annotations__ = {"x": annotation, "return": annotation}
    checked = contract(passed)
    with contracts.mode(mode):
        assert checked(right) is right
        assert check(right, annotation) is right
        for call in (lambda: checked(wrong), lambda: check(wrong, annotation)):
            with pytest.raises(ContractError, match="verdicts are against it"):
                call()
    with contracts.mode("shapes"):
        checked(wrong)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_in_compiled_code(name: str, backend: str) -> None:
    annotation, right, wrong = CASES[name]
    torch.compiler.reset()

    def passed(x: Any) -> Any:
        return x + 0

    passed.__annotations__ = {"x": annotation}
    run: Any = torch.compile(contract(passed), backend=backend, fullgraph=True)
    run(right)
    with pytest.raises(ContractError, match="verdicts are against it"):
        run(wrong)


def test_the_message_says_the_law_and_what_to_do() -> None:
    @contract
    def show(image: Annotated[Float[Tensor, "b c"], SIGNED]) -> None:
        return None

    with pytest.raises(ContractError) as caught:
        show(torch.tensor([[0.0, 2.0], [3.0, 1.0]]))
    error = caught.value
    assert error.expected == 'every value in [-1, 1] [Float[Tensor, "b c"]]'
    assert "2 of 4 verdicts are against it" in error.actual
    assert error.advice == "divide by 127.5 and subtract 1"
    assert error.parameter == "image"


def test_sampled_looks_at_32_of_what_a_verdict_is_about() -> None:
    seen = []

    def remember(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return x[..., 0, 0] < 1

    @contract(mode="sampled")
    def passed(
        x: Annotated[Float[Tensor, "b 40 40"], law("matrices", remember, axes=2)],
        y: Annotated[Float[Tensor, "b 40 40"], law("whole", remember)],
    ) -> None:
        return None

    passed(torch.zeros(100, 40, 40), torch.zeros(100, 40, 40))
    assert seen == [(32, 40, 40), (100, 40, 40)]


def test_attached_copied_pickled_and_counted() -> None:
    model = nn.Sequential(nn.Identity())
    attach(model, {"0": {"return": Annotated[Float[Tensor, "b"], SIGNED]}})
    for one in (model, copy.deepcopy(model)):
        with coverage() as found:
            one(torch.zeros(3))
        assert [line.judged for line in found.lines if line.parameter == "0.return"] == [1]
    for one in (model, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        with pytest.raises(ContractError, match=r"0\.return"):
            one(torch.full((3,), 2.0))


def test_empty_tensors_and_bools() -> None:
    check(torch.zeros(0, 4), Annotated[Float[Tensor, "n 4"], BOXES])
    keeps = Annotated[Bool[Tensor, "b t"], law("a row keeps something", lambda x: x.any(-1), axes=1)]
    check(torch.ones(2, 3, dtype=torch.bool), keeps)
    with pytest.raises(ContractError, match="2 of 2 verdicts"):
        check(torch.zeros(2, 3, dtype=torch.bool), keeps)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"says": " ", "holds": is_signed}, "law: it must be said in words"),
        ({"says": is_signed, "holds": 1}, "law: it must be said in words, not <function .*>"),
        ({"says": "x", "holds": 1}, "law 'x': holds must be a function of a tensor, not 1"),
        ({"says": "x", "holds": is_signed, "axes": -1}, "law 'x': axes must be a number of axes, not -1"),
        ({"says": "x", "holds": is_signed, "axes": 1.5}, "law 'x': axes must be a number of axes, not 1.5"),
    ],
)
def test_a_law_that_is_none(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{message}$"):
        law(**arguments)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        (Annotated[Float[Tensor, "b"], ROTATIONS], "the law 'rotation matrices' is about 2 axes"),
        (Annotated[Logits[Tensor, "b c"], SIGNED], "has two meanings"),
        (Annotated[Float[Tensor, "b c"], SIGNED, along("c")], r"along\(\) has no meaning"),
        (Annotated[list[Float[Tensor, "b"]], SIGNED], "a law describes a single tensor"),
    ],
)
def test_an_annotation_that_makes_no_sense(annotation: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        check(torch.zeros(2), annotation)


@pytest.mark.parametrize("holds", [lambda x: bool((x < 1).all()), lambda x: x, lambda x: None])
def test_a_law_that_gives_no_verdicts_says_so(holds: Any) -> None:
    with pytest.raises(TypeError, match=r"^law 'small': what holds\(\) returns must be a tensor of bools$"):
        check(torch.zeros(2), Annotated[Float[Tensor, "b"], law("small", holds)])
