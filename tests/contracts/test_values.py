"""The law of each meaning: values that keep it, values that break it, and what is said about them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mldbg import contracts
from mldbg.contracts import (
    AdditiveMask,
    BoolMask,
    ClassIds,
    ContractError,
    DropMask,
    Finite,
    KeepMask,
    Logits,
    LogProbs,
    NonNegative,
    OneHot,
    Probs,
    ScalarLoss,
    Scaled,
    TokenIds,
    UnitInterval,
    UnitNorm,
    along,
    below,
    check,
    ignoring,
)
from mldbg.contracts.laws import LAWS
from mldbg.semantics import EXACT, Extent, Semantic

INF, NAN = torch.inf, torch.nan
generator = torch.Generator().manual_seed(0)
scores = torch.randn(16, 10, generator=generator)
pixels = torch.randint(0, 256, (16, 10), generator=generator).float()
rows: Any = "batch classes"

KEPT: list[tuple[Any, Tensor]] = [
    (Logits[Tensor, rows], scores),
    (Logits[Tensor, rows], torch.full((4, 3), -INF)),
    (Logits[Tensor, rows], scores.masked_fill(scores < 0, -INF)),
    (Logits[Tensor, rows], torch.nn.functional.one_hot(torch.arange(10)).float()),
    (Logits[Tensor, rows], torch.zeros(32, 10)),
    (Logits[Tensor, rows], torch.ones(32, 1)),
    (Logits[Tensor, rows], scores[:1].softmax(-1)),
    (Probs[Tensor, rows], scores.softmax(-1)),
    (Probs[Tensor, rows], torch.nn.functional.one_hot(torch.arange(10)).float()),
    (Probs[Tensor, rows], torch.full((4, 10), 0.1) * 0.9 + 0.01),
    (Probs[Tensor, "batch classes h", along("classes")], torch.randn(2, 5, 3).softmax(1)),
    (Probs[Tensor, "*lead classes h", along("classes")], torch.randn(2, 5, 3).softmax(1)),
    (Probs[Tensor, rows], torch.zeros(0, 10)),
    (LogProbs[Tensor, rows], scores.log_softmax(-1)),
    (LogProbs[Tensor, rows], torch.tensor([[0.0, -INF]])),
    (LogProbs[Tensor, rows], torch.zeros(2, 50_000, dtype=torch.bfloat16).log_softmax(-1)),
    (UnitInterval[Tensor, rows], scores.sigmoid()),
    (NonNegative[Tensor, rows], scores.relu()),
    (ScalarLoss[Tensor, ""], torch.tensor(2.3)),
    (ClassIds[Tensor, "batch", below(3)], torch.tensor([0, 2, -100])),
    (ClassIds[Tensor, "batch"], torch.tensor([0, 2000], dtype=torch.int32)),
    (ClassIds[Tensor, "batch", below(3), ignoring(255)], torch.tensor([0, 2, 255])),
    (ClassIds[Tensor, "batch", below(3), ignoring(255)], torch.tensor([0, 2, 255], dtype=torch.uint8)),
    (ClassIds[Tensor, "batch", below(3), ignoring(255)], torch.tensor([0, 2, 255]).to(torch.uint16)),
    (ClassIds[Tensor, "batch", ignoring(-1)], torch.tensor([0, -1])),
    (TokenIds[Tensor, "batch", below(3)], torch.tensor([0, 2])),
    (OneHot[Tensor, rows], torch.nn.functional.one_hot(torch.arange(4))),
    (OneHot[Tensor, rows], torch.eye(3, dtype=torch.bool)),
    (OneHot[Tensor, rows], torch.ones(3, 1)),
    (BoolMask[Tensor, rows], scores > 0),
    (KeepMask[Tensor, "t t"], torch.ones(4, 4).tril().bool()),
    (KeepMask[Tensor, "t t"], torch.ones(4, 4).triu().bool()),
    (KeepMask[Tensor, "t t"], torch.ones(2, 2).triu(1).bool()),
    (KeepMask[Tensor, "b t t"], torch.stack([torch.ones(4, 4).tril(), torch.ones(4, 4).triu(1)]).bool()),
    (KeepMask[Tensor, rows], torch.tensor([[1, 1, 0], [0, 0, 0]])),
    (KeepMask[Tensor, rows], torch.tensor([[1.0, 0.0]])),
    (KeepMask[Tensor, "t"], torch.zeros(1).bool()),
    (DropMask[Tensor, "t t"], torch.ones(4, 4).triu(1).bool()),
    (DropMask[Tensor, "t t"], torch.ones(4, 4).triu().bool()),
    (DropMask[Tensor, "t t"], torch.ones(4, 4).tril(-1)),
    (DropMask[Tensor, rows], torch.zeros(3, 3, dtype=torch.uint8)),
    (DropMask[Tensor, rows], torch.tensor([[True, False], [True, True]])),
    (DropMask[Tensor, "t"], torch.zeros(0).bool()),
    (AdditiveMask[Tensor, rows], torch.zeros(2, 3).masked_fill(torch.eye(2, 3) > 0, -INF)),
    (AdditiveMask[Tensor, rows], torch.full((2, 3), -INF)),
    (AdditiveMask[Tensor, rows], torch.tensor([[0.0, -10000.0]])),
    (UnitNorm[Tensor, rows], torch.nn.functional.normalize(scores, dim=-1)),
    (Finite[Tensor, rows], scores * 1e37),
    (Scaled[Tensor, rows], scores),
    (Scaled[Tensor, rows], scores[:1] - 2),
]

BROKEN: list[tuple[Any, Tensor, str]] = [
    (Logits[Tensor, rows], scores.softmax(-1), "these are probabilities: softmax has already been applied"),
    (Logits[Tensor, rows], scores.softmax(-1).bfloat16(), "these are probabilities"),
    (Logits[Tensor, rows], scores.masked_fill(scores < 0, NAN), "NaN"),
    (Logits[Tensor, rows], scores.masked_fill(scores < 0, INF), "overflow"),
    (Probs[Tensor, rows], scores, "softmax was not applied"),
    (Probs[Tensor, rows], scores.log_softmax(-1), "log-probabilities"),
    (Probs[Tensor, rows], scores.softmax(0), "softmax over another axis"),
    (Probs[Tensor, rows], scores.sigmoid(), "sigmoid instead of softmax"),
    (Probs[Tensor, rows], scores.softmax(-1) * NAN, "NaN"),
    (Probs[Tensor, "batch classes h", along("classes")], torch.rand(2, 5, 3).softmax(-1), "another axis"),
    (LogProbs[Tensor, rows], scores.softmax(-1), "softmax instead of log_softmax"),
    (LogProbs[Tensor, rows], 3 * scores, "log_softmax was not applied"),
    (LogProbs[Tensor, rows], scores.log_softmax(0), "another axis"),
    (UnitInterval[Tensor, rows], scores, "sigmoid was not applied"),
    (UnitInterval[Tensor, rows], pixels, "pixels"),
    (NonNegative[Tensor, rows], scores, "missing ReLU"),
    (ScalarLoss[Tensor, ""], torch.tensor(NAN), "NaN"),
    (ScalarLoss[Tensor, ""], torch.tensor(INF), "infinite"),
    (ClassIds[Tensor, "batch", below(3)], torch.tensor([0, 3]), "an id of 3 with a bound of 3"),
    (ClassIds[Tensor, "batch"], torch.tensor([0, -1]), "a negative id"),
    (ClassIds[Tensor, "batch", below(3)], torch.tensor([0, 255]), "an id of 255 with a bound of 3"),
    (ClassIds[Tensor, "batch", below(3)], torch.tensor([0, 156], dtype=torch.uint8), "an id of 156"),
    (ClassIds[Tensor, "batch", below(3), ignoring(255)], torch.tensor([0, 254]), "an id of 254"),
    (ClassIds[Tensor, "batch", below(3), ignoring(255)], torch.tensor([0, -100]), "a negative id"),
    (ClassIds[Tensor, "batch", ignoring(255)], torch.tensor([0, -1], dtype=torch.int8), "a negative id"),
    (TokenIds[Tensor, "batch", below(3)], torch.tensor([0, -100]), "a negative id"),
    (TokenIds[Tensor, "batch", below(2**40)], torch.tensor([2**40]), "bound"),
    (OneHot[Tensor, rows], scores.softmax(-1), "soft or smoothed"),
    (OneHot[Tensor, rows], torch.ones(2, 3), "several labels"),
    (KeepMask[Tensor, rows], torch.zeros(2, 3).bool(), "nothing is kept"),
    (KeepMask[Tensor, "t t"], torch.ones(4, 4).triu(1).bool(), "only later positions are kept"),
    (KeepMask[Tensor, "b h t t"], torch.ones(2, 3, 4, 4).triu(1), "only later positions are kept"),
    (KeepMask[Tensor, rows], torch.tensor([[0.0, -INF]]), "values other than 0 and 1"),
    (KeepMask[Tensor, rows], torch.tensor([[5, 7, 0]]), "token ids"),
    (KeepMask[Tensor, rows], torch.tensor([[NAN, 1]]), "values other than 0 and 1"),
    (DropMask[Tensor, rows], torch.ones(2, 3), "nothing is kept"),
    (DropMask[Tensor, "t t"], torch.ones(4, 4).tril().bool(), "the causal mask is inverted"),
    (AdditiveMask[Tensor, rows], (scores > 0).float(), "a mask of zeros and ones is added instead of applied"),
    (AdditiveMask[Tensor, rows], -scores.abs(), "a bias, not a mask"),
    (UnitNorm[Tensor, rows], scores, "normalize is missing"),
    (UnitNorm[Tensor, rows], torch.tensor([[1.0, 0.0], [0.0, 0.0]]), "zero vectors"),
    (Finite[Tensor, rows], scores / 0, "overflow"),
    (Finite[Tensor, rows], scores * NAN, "NaN"),
    (Scaled[Tensor, rows], pixels, "scaler was not applied"),
    (Scaled[Tensor, rows], torch.rand(4000, 10), "scaler was not applied"),
]


@pytest.mark.usefixtures("values")
@pytest.mark.parametrize("number", range(len(KEPT)))
def test_values_that_keep_the_law(number: int, device: torch.device) -> None:
    annotation, tensor = KEPT[number]
    check(tensor.to(device), annotation)


@pytest.mark.usefixtures("values")
@pytest.mark.parametrize("number", range(len(BROKEN)))
def test_values_that_break_the_law(number: int, device: torch.device) -> None:
    annotation, tensor, words = BROKEN[number]
    with pytest.raises(ContractError) as caught:
        check(tensor.to(device), annotation)
    assert words in str(caught.value)
    assert caught.value.statistics


@pytest.mark.parametrize("mode", ["shapes", "full"])
def test_complex_numbers_are_not_one_hot(mode: str) -> None:
    with (
        contracts.mode(mode),
        pytest.raises(ContractError, match=r"a dtype from the RealOrBool family\n  actual    complex64 \(3, 3\)"),
    ):
        check(torch.eye(3, dtype=torch.complex64), OneHot[Tensor, rows])


@pytest.mark.usefixtures("values")
def test_a_loss_is_judged_as_it_was_when_it_was_checked() -> None:
    with contracts.step():
        check(torch.tensor(2.3), ScalarLoss[Tensor, ""]).fill_(NAN)


def test_every_meaning_is_tested() -> None:
    def meanings(cases: Any) -> set[Semantic]:
        return {case[0].__metadata__[0].semantic for case in cases}

    assert meanings(KEPT) == set(Semantic)
    assert meanings(BROKEN) == set(LAWS) == set(Semantic) - {Semantic.BOOL_MASK}


def test_every_meaning_has_its_words() -> None:
    for semantic in Semantic:
        assert semantic.law
        assert semantic.words
        assert isinstance(semantic.extent, Extent)
        assert semantic.tolerance.reason
        assert semantic.tolerance.of("no dtype") == 0
    assert Semantic.NON_NEGATIVE.tolerance is EXACT
    assert Semantic.PROBS.tolerance.of("bfloat16") > Semantic.PROBS.tolerance.of("float32")


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64]),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
    seed=st.integers(0, 2**16),
)
def test_softmax_and_its_kin_keep_their_laws(shape: list[int], dtype: torch.dtype, scale: float, seed: int) -> None:
    x = (scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(dtype)
    check(x, Logits[Tensor, "... classes"])
    check(x.softmax(-1), Probs[Tensor, "... classes"])
    check(x.softmax(0), Probs[Tensor, "classes ...", along("classes")])
    check(x.log_softmax(-1), LogProbs[Tensor, "... classes"])
    check(x.sigmoid(), UnitInterval[Tensor, "..."])
    check(x.relu(), NonNegative[Tensor, "..."])
    check(torch.nn.functional.one_hot(x.argmax(-1), shape[-1]), OneHot[Tensor, "... classes"])
    if x.abs().amax(-1).amin() > 0:
        check(torch.nn.functional.normalize(x, dim=-1), UnitNorm[Tensor, "... d"])


def test_one_value_of_a_large_tensor_counts() -> None:
    p = torch.rand(64, 40, 300).softmax(-1)
    check(p, Probs[Tensor, "a b c"])
    p[63, 39, 299] += 0.5
    with pytest.raises(ContractError, match=r"highest row sum 1\.5"):
        check(p, Probs[Tensor, "a b c"])
    p[63, 39, 299], p[0, 0, 0] = 0.0, -1.0
    with pytest.raises(ContractError, match="min -1"):
        check(p, Probs[Tensor, "a b c"])


@pytest.mark.parametrize("narrow", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("wide", [torch.float32, torch.float64])
def test_a_cast_to_a_wider_format_keeps_the_rounding_of_the_narrow_one(narrow: torch.dtype, wide: torch.dtype) -> None:
    for classes in (2, 3, 10, 1000):
        x = torch.randn(64, classes).to(narrow)
        check(x.softmax(-1).to(wide), Probs[Tensor, "batch classes"])
        check(x.log_softmax(-1).to(wide), LogProbs[Tensor, "batch classes"])
        check(torch.nn.functional.normalize(x, dim=-1).to(wide), UnitNorm[Tensor, "batch d"])


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 8])
def test_a_few_scaled_samples_may_be_alike(batch: int) -> None:
    for _ in range(20):
        check(0.3 * torch.rand(batch, 1), Scaled[Tensor, "batch d"])


def test_the_mask_of_swin_transformers_is_a_mask() -> None:
    check(torch.tensor([[0.0, -100.0], [0.0, 0.0]]), AdditiveMask[Tensor, "t t"])
