"""Neighbours of what `sanitize` finds: each kind of misuse in several spellings, and right programs that differ little."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch import distributions as D
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from mldbg.contracts.sanitize import axes, evidence, sanitize
from mldbg.contracts.sanitize.watch import MOST_LOOKS

Program = Callable[[], object]

torch.manual_seed(0)
HEAD, GATE, COLUMN = nn.Linear(8, 5), nn.Linear(8, 3), nn.Linear(8, 1)
EXPERTS = nn.ModuleList(nn.Linear(8, 5) for _ in range(3))
X, Y, T = torch.randn(16, 8), torch.randint(0, 5, (16,)), torch.rand(16, 5).round()


def rules(program: Program) -> list[str]:
    with sanitize(collect=True) as report:
        program()
    return [finding.rule for finding in report.findings]


def programs(cases: dict[str, Program]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("program", list(cases.values()), ids=list(cases))


def gates() -> Tensor:
    return GATE(X).softmax(1)


def votes() -> Tensor:
    return torch.stack([expert(X).softmax(1) for expert in EXPERTS], 1)


def softmax() -> Tensor:
    return HEAD(X).softmax(1)


def sigmoid() -> Tensor:
    return HEAD(X).sigmoid()


# --- mixtures by einsum ---


@programs(
    {
        "weights first": lambda: torch.einsum("be,bec->bc", gates(), votes()),
        "rows first": lambda: torch.einsum("bec,be->bc", votes(), gates()),
        "ellipsis": lambda: torch.einsum("...e,...ec->...c", gates(), votes()),
        "classes first": lambda: torch.einsum("b e, b e c -> c b", gates(), votes()).t(),
        "experts first": lambda: torch.einsum("eb,ebc->bc", gates().t(), votes().transpose(0, 1)),
        "a list": lambda: torch.einsum("be,bec->bc", [gates(), votes()]),
        "loop": lambda: sum(gates()[:, i : i + 1] * expert(X).softmax(1) for i, expert in enumerate(EXPERTS)),
    }
)
def test_mixture_of_softmaxes(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.cross_entropy(program(), Y)) == ["softmax-before-cross-entropy"]
    assert rules(lambda: F.nll_loss(program().log(), Y)) == []


def test_einsum_that_is_no_mixture() -> None:
    assert rules(lambda: F.cross_entropy(torch.einsum("be,bec->be", gates(), votes()), Y % 3)) == []
    assert rules(lambda: F.cross_entropy(torch.einsum("be,bec->bc", gates(), votes().log()), Y)) == []


@pytest.mark.parametrize(
    ("equation", "ranks", "named"),
    [
        ("ij, jk -> ik", (2, 2), axes.Letters(("ij", "jk"), "ik", frozenset("j"))),
        ("ij,jk", (2, 2), axes.Letters(("ij", "jk"), "ik", frozenset("j"))),
        ("...e,...ec->...c", (2, 3), axes.Letters(("0e", "0ec"), "0c", frozenset("e"))),
        ("...e,e->...", (3, 1), axes.Letters(("01e", "e"), "01", frozenset("e"))),
        ("...a,...b", (2, 1), axes.Letters(("0a", "b"), "0ab", frozenset())),
    ],
)
def test_letters_of_an_einsum(equation: str, ranks: tuple[int, ...], named: axes.Letters) -> None:
    assert axes.letters_of(equation, ranks) == named
    operands = [torch.rand((2,) * rank) for rank in ranks]
    assert torch.einsum(equation, operands).dim() == len(named.result)


def test_letters_of_a_trace() -> None:
    assert axes.letters_of("ii->i", (2,)) is None


# --- softmax of probabilities that were made smaller ---


@programs(
    {
        "temperature": lambda: F.softmax(softmax() / 4, 1),
        "factor": lambda: F.log_softmax(softmax() * 0.25, 1),
        "gumbel": lambda: F.gumbel_softmax(softmax() / 3, dim=1),
        "tensor": lambda: F.softmax(softmax() / torch.tensor(2.0), 1),
        "learned": lambda: F.softmax(softmax() / nn.Parameter(torch.tensor([2.0])), 1),
        "layer": lambda: nn.Softmax(1)(softmax()[torch.randperm(16)[:4]].div(4.0)),
    }
)
def test_flattened_twice(program: Program) -> None:
    assert rules(program) == ["softmax-of-probabilities"]


@programs(
    {
        "sharpened": lambda: F.softmax(softmax() / 0.05, 1),
        "dropout": lambda: F.softmax(F.dropout(softmax(), 0.3) * 0.5, 1),
        "mask": lambda: F.softmax(softmax().masked_fill(T > 0, 0), 1),
        "sum over time": lambda: F.softmax(votes().sum(1), 1),
        "another axis": lambda: F.softmax(softmax() / 4, 0),
        "one row": lambda: F.softmax(softmax()[:1] * 0.5, 1),
    }
)
def test_flattened_once(program: Program) -> None:
    assert rules(program) == []


# --- distributions ---


@programs(
    {
        "Bernoulli": lambda: D.Bernoulli(logits=sigmoid()).log_prob(T),  # type: ignore[no-untyped-call]
        "of a softmax": lambda: D.Bernoulli(logits=softmax()),
        "Independent": lambda: D.Independent(D.Bernoulli(logits=sigmoid().view(4, 4, 5)), 1),
        "Binomial": lambda: D.Binomial(3, logits=sigmoid()),
        "Binomial, tensor": lambda: D.Binomial(torch.ones(16, 5), logits=sigmoid()),
        "Geometric": lambda: D.Geometric(logits=sigmoid()),
        "RelaxedBernoulli": lambda: D.RelaxedBernoulli(torch.tensor(0.5), logits=sigmoid()),
        "ContinuousBernoulli": lambda: D.ContinuousBernoulli(logits=sigmoid()),
        "NegativeBinomial": lambda: D.NegativeBinomial(4.0, logits=sigmoid()),
        "Categorical of a sigmoid": lambda: D.Categorical(logits=sigmoid()),
        "Multinomial": lambda: D.Multinomial(3, logits=softmax()),
        "OneHotCategorical": lambda: D.OneHotCategorical(logits=softmax()),
        "RelaxedOneHotCategorical": lambda: D.RelaxedOneHotCategorical(torch.tensor(0.5), logits=softmax()),
    }
)
def test_probabilities_as_logits_of_a_distribution(program: Program) -> None:
    assert rules(program) == ["probs-as-logits"]


def test_the_distribution_is_named_where_it_is_made() -> None:
    with sanitize(collect=True) as report:
        D.Geometric(logits=sigmoid())
    (finding,) = report.findings
    assert str(finding.violation).startswith("Geometric: logits\n")


def test_broadcasting_elsewhere_is_no_distribution() -> None:
    def program() -> None:
        p, _ = torch.broadcast_tensors(sigmoid(), T)  # type: ignore[no-untyped-call]
        F.binary_cross_entropy(p, T)
        wide, _ = torch.broadcast_tensors(softmax()[:1], T)  # type: ignore[no-untyped-call]
        F.mse_loss(wide, T)

    assert rules(program) == []


# --- rates ---

POISSON = F.poisson_nll_loss


@programs(
    {
        "exp": lambda: POISSON(HEAD(X).exp(), T),
        "softplus": lambda: POISSON(F.softplus(HEAD(X)), T),
        "softplus and epsilon": lambda: POISSON(nn.Softplus()(HEAD(X)) + 1e-6, T),
        "clamp and factor": lambda: POISSON(HEAD(X).exp().clamp(min=1e-4) * 2, T),
        "view": lambda: POISSON(torch.exp(HEAD(X)).view(-1), T.view(-1)),
        "cat": lambda: nn.PoissonNLLLoss()(torch.cat([HEAD(X).exp(), HEAD(X).exp()]), torch.cat([T, T])),
        "said": lambda: POISSON(HEAD(X).exp(), T, True, True),
        "logarithm as rate": lambda: POISSON(HEAD(X), T, log_input=False),
        "logarithm as rate, by position": lambda: POISSON(HEAD(X).log_softmax(1), T, False),
    }
)
def test_rate_and_logarithm_of_a_rate(program: Program) -> None:
    assert rules(program) == ["poisson-log-input"]


@programs(
    {
        "logarithm": lambda: POISSON(HEAD(X), T),
        "rate": lambda: POISSON(HEAD(X).exp(), T, log_input=False),
        "positive by chance": lambda: POISSON(HEAD(X) + 100, T, log_input=False),
        "logarithm again": lambda: POISSON((HEAD(X).exp() + 1e-8).log(), T),
        "relu": lambda: POISSON(HEAD(X).relu(), T),
        "shifted": lambda: POISSON(HEAD(X).exp() - 2, T),
        "a term of it": lambda: POISSON(HEAD(X) + X[:, :1].exp() * COLUMN(X).exp(), T),
        "no gradient": lambda: POISSON(HEAD(X).exp().detach(), T),
        "learned scale": lambda: F.cross_entropy(HEAD(X) * COLUMN.bias.exp(), Y),
        "kernel": lambda: F.cross_entropy((-HEAD(X).square()).exp(), Y),
    }
)
def test_rates_where_they_belong(program: Program) -> None:
    assert rules(program) == []


def test_a_learned_scale_leaves_logits_what_they_are() -> None:
    scaled: Program = lambda: F.nll_loss(HEAD(X) * COLUMN.bias.exp(), Y)  # noqa: E731
    assert rules(scaled) == ["nll-without-log-probs"]


# --- similarities ---


def others() -> Tensor:
    return HEAD(X[:5] * 2)


@programs(
    {
        "squared distance": lambda: F.nll_loss(-torch.cdist(HEAD(X), others()).pow(2), Y),
        "distance": lambda: F.nll_loss(-torch.cdist(HEAD(X), others()) / 2, Y),
        "dot product": lambda: F.nll_loss(HEAD(X) @ others().t(), Y),
        "cosine by product": lambda: F.nll_loss(torch.mm(F.normalize(HEAD(X)), F.normalize(others()).t()) / 0.1, Y),
        "cosine": lambda: F.nll_loss(F.cosine_similarity(HEAD(X)[:, None], others()[None], dim=-1), Y),
    }
)
def test_similarities_without_log_softmax(program: Program) -> None:
    assert rules(program) == ["nll-without-log-probs"]


CENTRES = nn.Parameter(torch.randn(5, 5))


@programs(
    {
        "log-softmax": lambda: F.nll_loss((HEAD(X) @ others().t()).log_softmax(1), Y),
        "densities of centres": lambda: F.nll_loss(-(torch.cdist(HEAD(X), CENTRES) ** 2) / 2, Y),
        "densities of data": lambda: F.nll_loss(-(torch.cdist(X[:, :5], HEAD(X[:5])) ** 2) / 2, Y),
        "kernel": lambda: F.binary_cross_entropy(torch.exp(-torch.cdist(HEAD(X), HEAD(X)).pow(2)), torch.eye(16)),
        "mean of log-probabilities": lambda: F.nll_loss(softmax() @ others().log_softmax(1), Y),
        "log-probabilities of features": lambda: F.nll_loss(torch.bmm(X[:, None, :5], votes().log().mT)[:, 0], Y % 3),
    }
)
def test_similarities_that_are_right(program: Program) -> None:
    assert rules(program) == []


# --- scores that a clamp forces into [0, 1] ---

CONV, WORDS = nn.Conv2d(1, 1, 3, padding=1), nn.Embedding(20, 8)
PICTURE, IDS, BITS = torch.rand(4, 1, 6, 6), torch.randint(0, 20, (32, 2)), torch.rand(32).round()
BCE = F.binary_cross_entropy


def factorised() -> Tensor:
    rows = WORDS(IDS)
    return (rows[:, 0] * rows[:, 1]).sum(1)


@programs(
    {
        "layer": lambda: BCE(HEAD(X).clamp(0, 1), T),
        "inside": lambda: BCE(torch.clamp(HEAD(X), 1e-6, 1 - 1e-6).view(-1), T.view(-1)),
        "dot products": lambda: BCE(factorised().clamp(0, 1), BITS),
        "sum of two": lambda: BCE((factorised() + factorised()).clamp(min=0.0, max=1.0), BITS),
        "pictures": lambda: BCE(CONV(PICTURE * 5 - 2).clamp(0, 1), PICTURE),
        "links": lambda: BCE(torch.clip(HEAD(X) @ HEAD(X).t(), 0, 1), torch.eye(16)),
        "in place": lambda: nn.BCELoss()(HEAD(X).clamp_(0, 1), T),
    }
)
def test_clamped_scores(program: Program) -> None:
    assert rules(program) == ["bce-on-logits"]


@programs(
    {
        "guard": lambda: BCE((0.01 * X @ torch.randn(8, 5, requires_grad=True) + 0.5).clamp(0, 1), T),
        "hard sigmoid": lambda: BCE((HEAD(X) * 3 + 0.5).clamp(0, 1), T),
        "hard sigmoid, factor last": lambda: BCE(((HEAD(X) + 1) * 2).clamp(0, 1), T),
        "noise": lambda: BCE((sigmoid() + torch.randn(16, 5)).clamp(0, 1), T),
        "no gradient": lambda: BCE(HEAD(X).clamp(0, 1).detach(), T),
        "other bounds": lambda: F.mse_loss(HEAD(X).clamp(-1, 1), T),
        "other loss": lambda: (F.mse_loss(HEAD(X).clamp(0, 1), T), HEAD(X).clamp(0, 1).sigmoid()),
        "probabilities": lambda: BCE(votes().sum(1).clamp(0, 1), T),
    }
)
def test_clamps_that_are_right(program: Program) -> None:
    assert rules(program) == []


# --- masks after the softmax ---

KEYS, VALUES, OUT = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
STEPS = torch.randn(4, 8, 8)
KEEP = torch.arange(8) < torch.tensor([3, 8, 5, 6])[:, None]
CAUSAL = torch.ones(8, 8).tril()


def attention() -> Tensor:
    return (KEYS(STEPS) @ VALUES(STEPS).mT).softmax(-1)


def pooling() -> Tensor:
    return KEYS(STEPS).sum(-1).softmax(1)


def values() -> Tensor:
    return VALUES(STEPS)


def filled_in_place() -> Tensor:
    weights = attention().clone()
    weights[(CAUSAL == 0).expand(4, 8, 8)] = 0
    return weights


CUT: dict[str, Callable[[], Tensor]] = {
    "filled": lambda: attention().masked_fill(CAUSAL == 0, 0) @ values(),
    "filled, padding": lambda: attention().masked_fill(~KEEP[:, None], 0.0) @ values(),
    "filled in place": lambda: filled_in_place() @ values(),
    "product": lambda: (attention() * CAUSAL) @ values(),
    "product, bool": lambda: torch.bmm(attention() * KEEP[:, None], values()),
    "product in place": lambda: attention().mul_(CAUSAL) @ values(),
    "mask first": lambda: (CAUSAL * attention()) @ values(),
    "one minus padding": lambda: (attention() * (1 - (~KEEP[:, None]).float())) @ values(),
    "tril": lambda: attention().tril() @ values(),
    "torch.tril": lambda: torch.matmul(torch.tril(attention()), values()),
    "where": lambda: torch.where(CAUSAL.bool(), attention(), 0.0) @ values(),
    "where, zero first": lambda: torch.where(CAUSAL == 0, torch.zeros(()), attention()) @ values(),
    "padding on the left": lambda: (attention() * KEEP.flip(1)[:, None]) @ values(),
    "two masks": lambda: (attention() * KEEP[:, None] * CAUSAL) @ values(),
    "dropout behind": lambda: F.dropout(attention() * CAUSAL, 0.2) @ values(),
    "dropout before": lambda: (F.dropout(attention(), 0.2) * CAUSAL) @ values(),
    "epsilon": lambda: (attention() * CAUSAL + 1e-9) @ values(),
    "einsum": lambda: torch.einsum("bqk,bkd->bqd", attention() * CAUSAL, values()),
    "pooling": lambda: torch.bmm((pooling() * KEEP).unsqueeze(1), values()).squeeze(1),
    "pooling, weights second": lambda: torch.bmm(values().mT, (pooling() * KEEP).unsqueeze(-1)).squeeze(-1),
    "pooling, weighted sum": lambda: ((pooling() * KEEP).unsqueeze(-1) * values()).sum(1),
    "pooling, rows first": lambda: (STEPS * (pooling() * KEEP)[..., None]).sum(dim=1),
    "pooling, einsum": lambda: torch.einsum("bn,bnd->bd", pooling() * KEEP, values()),
    "over the keys": lambda: (KEYS(STEPS).softmax(1) * KEEP[..., None]).mT @ values(),
}


@pytest.mark.parametrize("mean", list(CUT.values()), ids=list(CUT))
def test_weights_that_were_cut(mean: Callable[[], Tensor]) -> None:
    assert rules(lambda: OUT(mean())) == ["mask-after-softmax"]
    assert rules(lambda: F.layer_norm(mean(), (8,))) == []
    assert rules(lambda: OUT(mean() / torch.rand(8))) == []


@programs(
    {
        "joined": lambda: torch.cat([(attention() * CAUSAL) @ values(), STEPS], -1),
        "residual": lambda: STEPS + (attention() * CAUSAL) @ values(),
        "parameter": lambda: ((attention() * CAUSAL) @ values()) @ KEYS.weight,
        "scaled": lambda: OUT(F.dropout((attention() * CAUSAL) @ values(), 0.1) * 2),
        "turned": lambda: OUT(((attention() * CAUSAL) @ values()).transpose(0, 1).contiguous().view(-1, 8)),
    }
)
def test_where_a_mean_goes_on(program: Program) -> None:
    assert rules(program) == ["mask-after-softmax"]


def divided_late() -> Tensor:
    weights = pooling() * KEEP
    return torch.bmm(weights.unsqueeze(1), values()).squeeze(1) / weights.sum(1, keepdim=True)


def divided_for_one() -> Tensor:
    weights = (pooling() * KEEP)[:1]
    return torch.bmm(weights.unsqueeze(1), values()[:1]).squeeze(1) / weights.sum()


def in_parts() -> Tensor:
    weights = attention()
    return (weights * KEEP[:, None]) @ values() + (weights * ~KEEP[:, None]) @ values()


def rows_filled() -> Tensor:
    weights = attention()[:, 0]
    weights[torch.tensor([False, True, False, True])] = 0
    weights = attention().clone()
    weights[KEEP] = 0
    return weights


@programs(
    {
        "whole rows": lambda: OUT(rows_filled() @ values()),
        "divided": lambda: OUT((w := attention() * CAUSAL) / w.sum(-1, keepdim=True) @ values()),
        "divided late": lambda: OUT(divided_late()),
        "divided late, one sample": lambda: OUT(divided_for_one()),
        "in parts": lambda: OUT(in_parts()),
        "rows of queries": lambda: OUT((attention() * KEEP[..., None]) @ values()),
        "the same place in all rows": lambda: OUT((attention() * torch.tensor([0.0] + [1.0] * 7)) @ values()),
        "threshold": lambda: OUT(((w := attention()) * (w > 0.12)) @ values()),
        "random": lambda: OUT((attention() * (torch.rand(4, 8, 8) > 0.1)) @ values()),
        "decay": lambda: OUT((attention() * CAUSAL * torch.full((8, 8), 0.9)) @ values()),
        "learned": lambda: OUT((attention() * nn.Parameter(CAUSAL.clone())) @ values()),
        "nothing left out": lambda: OUT((attention() * torch.ones(8, 8)) @ values()),
        "mass": lambda: OUT.bias.sum() + (attention() * CAUSAL).sum(-1),
        "expectation": lambda: OUT.bias.sum() + (pooling() * KEEP) @ torch.arange(8.0),
        "all of it": lambda: OUT.bias + ((pooling() * KEEP)[..., None] * values()).sum() + (pooling() * KEEP).sum(),
        "steps": lambda: nn.functional.linear(((pooling() * KEEP)[..., None] * values()).flatten(1), torch.rand(2, 64)),
        "one step": lambda: OUT(((pooling() * KEEP)[..., None] * values())[:, 0]),
        "features": lambda: STEPS[..., 0] + ((pooling() * KEEP)[..., None] * values()).sum(-1),
        "cumulative": lambda: STEPS[..., 0] + (pooling()[:, None] * CAUSAL).sum(-1),
    }
)
def test_masks_that_are_right(program: Program) -> None:
    assert rules(program) == []


@pytest.mark.parametrize("number", [1, 2, 3])
def test_the_best_of_some_experts(number: int) -> None:
    def program() -> None:
        chosen = torch.zeros(4, 8, 8).scatter(2, (weights := attention()).topk(number, -1).indices, 1.0)
        OUT((weights * chosen) @ values())
        room = (chosen.cumsum(1) <= 2).float()
        OUT((attention() * room * chosen) @ values())

    assert rules(program) == []


def test_what_a_mask_has_to_show() -> None:
    weights = STEPS.softmax(-1)[0]
    assert evidence.cuts(weights, CAUSAL, 1)
    assert evidence.cuts(weights.t(), CAUSAL.t(), 0)
    assert not evidence.cuts(weights[:3], CAUSAL[:3], 1)  # few rows
    assert not evidence.cuts(weights, CAUSAL * 0.5, 1)  # no mask
    assert not evidence.cuts(weights, CAUSAL[:, torch.randperm(8)], 1)  # no end
    assert not evidence.cuts(weights, CAUSAL[[3] * 8], 1)  # all rows alike
    assert not evidence.cuts(weights * CAUSAL, CAUSAL, 1)  # nothing taken
    assert not evidence.cuts(weights.sort(1, descending=True).values, CAUSAL, 1)  # the least taken


def test_values_of_a_line_are_read_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    judge = evidence.cuts

    def counted(weights: Tensor, kept: Tensor, axis: int) -> bool:
        read.append(axis)
        return judge(weights, kept, axis)

    monkeypatch.setattr(evidence, "cuts", counted)
    with sanitize():
        for _ in range(20):
            OUT((attention() * torch.ones(8, 8)) @ values())
    assert read == [2] * MOST_LOOKS


def test_what_cannot_be_read_is_left_alone() -> None:
    def program() -> None:
        with torch.device("meta"):
            weights, mask, out = torch.randn(8, 8).softmax(1), torch.ones(8, 8).tril(), nn.Linear(8, 3)
        for cut in (weights * mask, weights.tril(), torch.where(mask > 0, weights, 0 * mask), weights.masked_fill(mask == 0, 0)):
            out(cut @ weights)
        torch.vmap(lambda w: OUT(torch.where(CAUSAL > 0, w, torch.zeros_like(w)) @ STEPS[0]))(attention())

    assert rules(program) == []


# --- joined and written side by side ---

LOSS_Y = torch.randint(0, 5, (16,))


def side_by_side() -> Tensor:
    return torch.cat([HEAD(X), sigmoid(), softmax()], 1)


@programs(
    {
        "slice": lambda: F.cross_entropy(side_by_side()[:, 5:10], LOSS_Y),
        "slice of a slice": lambda: F.cross_entropy(side_by_side()[:, 3:][:, 2:7], LOSS_Y),
        "split": lambda: F.cross_entropy(side_by_side().tensor_split(3, 1)[1], LOSS_Y),
        "chunk": lambda: F.cross_entropy(side_by_side().chunk(3, -1)[1], LOSS_Y),
        "narrow": lambda: F.cross_entropy(side_by_side().narrow(1, 5, 5), LOSS_Y),
        "index": lambda: F.cross_entropy(side_by_side()[:, torch.arange(5, 10)], LOSS_Y),
        "rows first": lambda: F.cross_entropy(side_by_side()[torch.randperm(16)][:, 5:10], LOSS_Y),
        "turned": lambda: F.cross_entropy(side_by_side().t().contiguous()[5:10].t(), LOSS_Y),
        "cast and detached": lambda: F.cross_entropy(side_by_side().double().detach().clone()[:, 5:10], LOSS_Y),
        "view": lambda: F.cross_entropy(side_by_side().view(4, 4, 15).flatten(0, 1)[..., 5:10], LOSS_Y),
        "written": lambda: F.cross_entropy(sigmoid_written()[:, 5:], LOSS_Y % 3),
    }
)
def test_a_piece_of_what_was_joined(program: Program) -> None:
    assert rules(program) == ["sigmoid-before-cross-entropy"]


@programs(
    {
        "whole": lambda: F.cross_entropy(side_by_side()[:, 10:], LOSS_Y),
        "stack": lambda: F.cross_entropy(torch.stack([HEAD(X), softmax()])[1], LOSS_Y),
        "unbind": lambda: F.cross_entropy(torch.stack([HEAD(X), softmax()], 1).unbind(1)[1], LOSS_Y),
        "two softmaxes": lambda: F.cross_entropy(torch.cat([softmax(), softmax()], 1)[:, :5], LOSS_Y),
        "over the other axis": lambda: [F.cross_entropy(s, LOSS_Y[:5]) for s in torch.stack([square(), square().t()])],
    }
)
def test_a_piece_that_is_a_whole_softmax(program: Program) -> None:
    assert set(rules(program)) == {"softmax-before-cross-entropy"}


@programs(
    {
        "the logits": lambda: F.cross_entropy(side_by_side()[:, :5], LOSS_Y),
        "some of two": lambda: F.cross_entropy(side_by_side()[:, 3:8], LOSS_Y),
        "rolled": lambda: F.cross_entropy(side_by_side().roll(5, 1)[:, 5:10], LOSS_Y),
        "overwritten": lambda: F.cross_entropy(overwritten()[:, 5:10], LOSS_Y),
        "all of it": lambda: F.cross_entropy(side_by_side(), LOSS_Y),
        "the sigmoids": lambda: F.binary_cross_entropy(side_by_side()[:, 5:10], T),
    }
)
def test_pieces_that_are_right(program: Program) -> None:
    assert rules(program) == []


def test_pieces_that_cannot_be_read_are_left_alone() -> None:
    def program() -> None:
        with torch.device("meta"):
            p, raw = torch.randn(4, 5).softmax(1), nn.Linear(8, 5)(torch.randn(4, 8))
        F.cross_entropy(torch.cat([p, raw], 1)[:, :5], torch.zeros(4, dtype=torch.long, device="meta"))
        torch.vmap(lambda row, at: torch.cat([row.softmax(0), HEAD(row)])[at] + 0)(X, LOSS_Y)

    assert rules(program) == []


def square() -> Tensor:
    return HEAD(X[:5]).softmax(1)


def sigmoid_written() -> Tensor:
    decoded = torch.cat([HEAD(X), GATE(X)], 1)
    decoded[:, 5:] = decoded[:, 5:].sigmoid()
    return decoded


def overwritten() -> Tensor:
    decoded = side_by_side()
    decoded[:, 5:10] = torch.randn(16, 5)
    return decoded


# --- scattered, padded, put into a buffer ---

PLACES = torch.randint(0, 5, (16, 5))


def into_buffer(buffer: Tensor) -> Tensor:
    for step in range(4):
        buffer[:, step] = HEAD(X).softmax(-1)
    return buffer.flatten(0, 1)


@programs(
    {
        "scatter_add": lambda: softmax().scatter_add(1, PLACES, softmax()),
        "scatter_add into zeros": lambda: torch.zeros(16, 7).scatter_add_(1, PLACES, softmax()),
        "index_add": lambda: torch.zeros(16, 7).index_add(1, PLACES[0], softmax()),
        "rows": lambda: torch.zeros(16, 5).index_add(0, torch.arange(16), softmax()),
        "padded": lambda: F.pad(softmax(), (0, 2)),
        "buffer": lambda: into_buffer(torch.zeros(16, 4, 5))[:16],
        "copy_": lambda: torch.empty(16, 5).copy_(softmax()),
        "everything": lambda: whole_written().clone(),
        "lerp": lambda: softmax().lerp(softmax(), 0.3),
        "masked rows": lambda: softmax() * (torch.arange(16) < 9)[:, None],
        "a mean of what is not masked": lambda: (votes() * torch.ones(16, 3, 1)).sum(1) / torch.ones(16, 3).sum(1, keepdim=True),
        "where": lambda: torch.where(X[:, :1] > 0, softmax(), 0.0),
        "index_put": lambda: softmax().index_put((torch.tensor([0, 3]),), softmax()[:2]),
        "addcmul": lambda: torch.addcmul(softmax(), COLUMN(X).sigmoid(), softmax()),
    }
)
def test_probabilities_that_are_added_and_written(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.nll_loss(program(), LOSS_Y)) == ["nll-without-log-probs"]
    assert rules(lambda: F.nll_loss((program() + 1e-6).log(), LOSS_Y)) == []


@programs(
    {
        "scatter into data": lambda: torch.full((16, 5), -9.0).scatter_add(1, PLACES, softmax()),
        "negative": lambda: softmax().scatter_add(1, PLACES, -softmax()),
        "buffer that was not empty": lambda: into_buffer(torch.full((16, 4, 5), -1.0))[:16],
        "padded with a number below 0": lambda: F.pad(softmax(), (0, 2), value=-5.0),
        "log-probabilities": lambda: F.pad(HEAD(X).log_softmax(1), (0, 2), value=float("-inf")),
    }
)
def test_what_is_no_probability_any_more(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.nll_loss(program(), LOSS_Y)) == []


def whole_written() -> Tensor:
    buffer = torch.empty(16, 5)
    buffer[:] = softmax()
    return buffer


@programs(
    {
        "rot90": lambda: torch.rot90(sigmoid(), 2, (0, 1)),
        "unfold": lambda: sigmoid().unfold(1, 5, 1).squeeze(1),
        "as_strided": lambda: sigmoid().as_strided((16, 5), (5, 1)),
        "scatter": lambda: torch.zeros(16, 5).scatter(1, PLACES, sigmoid()),
        "select_scatter": lambda: sigmoid().select_scatter(sigmoid()[0], 0, 1),
        "masked_scatter": lambda: sigmoid().masked_scatter(T > 0, sigmoid()),
        "index_copy": lambda: sigmoid().index_copy(0, torch.tensor([0]), sigmoid()[:1]),
        "masked": lambda: sigmoid() * T,
        "filled": lambda: sigmoid().masked_fill(T > 0, 0.5),
        "where": lambda: torch.where(T > 0, sigmoid(), 0.0),
        "cumsum": lambda: softmax().cumsum(1),
        "hardtanh": lambda: F.hardtanh(sigmoid(), 0, 1),
    }
)
def test_values_in_the_unit_interval_stay_there(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.binary_cross_entropy_with_logits(program(), T)) == ["sigmoid-before-bce-with-logits"]


@programs(
    {
        "hardtanh": lambda: F.hardtanh(4 * HEAD(X), 0, 1),
        "by name": lambda: F.hardtanh(4 * HEAD(X), min_val=0.0, max_val=1.0),
        "[-1, 1]": lambda: (F.hardtanh(HEAD(X)) + 1) / 2,
    }
)
def test_arithmetic_before_or_after_a_hard_tanh(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.binary_cross_entropy(program(), T)) == []


# --- a softmax, a cross-entropy, a squeeze by hand ---


def by_hand(values: Tensor, dim: int = 1) -> Tensor:
    return values.exp() / values.exp().sum(dim, keepdim=True)


@programs(
    {
        "exponentials": lambda: by_hand(softmax()),
        "divided in place": lambda: (e := softmax().exp()).div_(e.sum(1, keepdim=True)),
        "flatter": lambda: by_hand(softmax() / 3),
        "logarithm": lambda: (p := softmax()) - p.logsumexp(1, keepdim=True),
        "over axis 0": lambda: by_hand(softmax().t(), 0),
        "without gradient": lambda: by_hand(softmax().detach()),
    }
)
def test_a_second_softmax_by_hand(program: Program) -> None:
    assert rules(program) == ["softmax-of-probabilities"]


@programs(
    {
        "of logits": lambda: by_hand(HEAD(X)),
        "of sigmoids": lambda: by_hand(sigmoid()),
        "of log-probabilities": lambda: by_hand(softmax().log()),
        "over the batch": lambda: by_hand(softmax(), 0),
        "sharpened": lambda: by_hand(softmax() / 0.1),
        "by another sum": lambda: softmax().exp() / HEAD(X).exp().sum(1, keepdim=True),
        "minus another": lambda: softmax() - HEAD(X).logsumexp(1, keepdim=True),
    }
)
def test_exponentials_that_are_right(program: Program) -> None:
    assert rules(program) == []


MAPS, CLASSES = torch.randn(3, 6, 7, 8), torch.randint(0, 5, (3, 6, 7))


@programs(
    {
        "sum": lambda: (F.one_hot(CLASSES, 5) * HEAD(MAPS).log_softmax(1)).sum(-1),
        "mean of all": lambda: -(F.one_hot(CLASSES, 5).float() * HEAD(MAPS).log_softmax(2)).mean(),
        "logarithm first": lambda: -((HEAD(MAPS).softmax(1) + 1e-8).log() * F.one_hot(CLASSES, 5).to(X)).sum((1, 3)),
        "classes second": lambda: (
            F.one_hot(CLASSES, 5).permute(0, 3, 1, 2) * HEAD(MAPS).permute(0, 3, 1, 2).log_softmax(-1)
        ).sum(1),
    }
)
def test_one_hot_rows_that_pick_from_another_axis(program: Program) -> None:
    assert rules(program) == ["wrong-class-axis"]


@programs(
    {
        "same axis": lambda: (F.one_hot(CLASSES, 5) * HEAD(MAPS).log_softmax(-1)).sum(-1),
        "sum over another axis": lambda: (F.one_hot(CLASSES, 5) * HEAD(MAPS).log_softmax(1)).sum(1),
        "a matching": lambda: (F.one_hot(torch.randperm(5), 5) * HEAD(X[:5]).log_softmax(0)).sum(-1),
        "a mask": lambda: ((MAPS[..., :5] > 0) * HEAD(MAPS).log_softmax(1)).sum(-1),
    }
)
def test_one_hot_rows_that_are_right(program: Program) -> None:
    assert rules(program) == []


@programs(
    {
        "methods": lambda: (s := COLUMN(X)[:, 0], (s - s.min()) / (s.max() - s.min()))[1],
        "functions": lambda: (s := COLUMN(X)[:, 0], (s - torch.amin(s)) / (torch.amax(s) - torch.amin(s) + 1e-8))[1],
        "kept from 0": lambda: (s := COLUMN(X)[:, 0], (s - s.min()) / (s.max() - s.min()).clamp_min(1e-6))[1],
        "torch.div": lambda: (s := COLUMN(X)[:, 0], torch.div(torch.sub(s, s.min()), s.max() - s.min()))[1],
    }
)
def test_scores_scaled_by_their_range(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.binary_cross_entropy(program(), T[:, 0])) == ["bce-on-logits"]
    assert rules(lambda: F.mse_loss(program(), T[:, 0])) == []


@programs(
    {
        "by another range": lambda: (s := COLUMN(X)[:, 0], r := COLUMN(X)[:, 0], (s - s.min()) / (r.max() - r.min()))[2],
        "of probabilities": lambda: (s := COLUMN(X).sigmoid()[:, 0], (s - s.min()) / (s.max() - s.min()))[1],
        "of data": lambda: (s := X[:, 0], (s - s.min()) / (s.max() - s.min()))[1],
        "for each row": lambda: (s := HEAD(X), (s - s.amin(1, True)) / (s.amax(1, True) - s.amin(1, True)))[1][:, 0],
    }
)
def test_ranges_that_are_right(program: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.binary_cross_entropy(program().clamp(0, 1), T[:, 0])) == []


# --- masks of graphs, and keys that are missing ---

LINKS = torch.rand(12, 12) < 0.2
NEAR = (LINKS | LINKS.t() | torch.eye(12, dtype=torch.bool)).float()
PRESENT = (torch.rand(8, 5) < 0.6).float()
PRESENT[0], PRESENT[:, 0] = 1, 1
NODES, TOKENS = torch.randn(12, 8), torch.randn(8, 5, 8)


def of_nodes() -> Tensor:
    return (KEYS(NODES) @ VALUES(NODES).t()).softmax(-1)


def of_tokens() -> Tensor:
    return (KEYS(TOKENS) @ VALUES(TOKENS).mT).softmax(-1)


@programs(
    {
        "graph": lambda: OUT((of_nodes() * NEAR) @ VALUES(NODES)),
        "graph, filled": lambda: OUT(of_nodes().masked_fill(NEAR == 0, 0.0) @ VALUES(NODES)),
        "graph, activation": lambda: F.elu((of_nodes() * NEAR) @ VALUES(NODES)),
        "graph, relu and layer": lambda: OUT(F.relu((of_nodes() * NEAR) @ VALUES(NODES))),
        "graph, heads": lambda: OUT(((of_nodes().expand(2, 12, 12) * NEAR) @ VALUES(NODES)).mean(0)),
        "keys": lambda: OUT((of_tokens() * PRESENT[:, None]) @ VALUES(TOKENS)),
        "keys, where": lambda: OUT(torch.where(PRESENT[:, None] > 0, of_tokens(), 0.0) @ VALUES(TOKENS)),
    }
)
def test_masks_of_graphs_and_missing_keys(program: Program) -> None:
    assert rules(program) == ["mask-after-softmax"]


@programs(
    {
        "divided": lambda: OUT((w := of_nodes() * NEAR) / w.sum(-1, keepdim=True) @ VALUES(NODES)),
        "relu, divided": lambda: OUT(F.relu((of_nodes() * NEAR) @ VALUES(NODES)) / NEAR.sum(-1, keepdim=True)),
        "one direction": lambda: OUT((of_nodes() * LINKS) @ VALUES(NODES)),
        "without itself": lambda: OUT((of_nodes() * (1 - torch.eye(12))) @ VALUES(NODES)),
        "both parts": lambda: OUT((w := of_nodes()) * NEAR @ NODES + (w * (1 - NEAR)) @ NODES),
        "queries": lambda: OUT((of_tokens() * PRESENT[..., None]) @ VALUES(TOKENS)),
        "random": lambda: OUT((of_tokens() * (torch.rand(8, 5, 5) > 0.3)) @ VALUES(TOKENS)),
        "experts": lambda: OUT((KEYS(TOKENS)[:, 0, :5].softmax(-1) * PRESENT) @ VALUES(TOKENS)[0]),
    }
)
def test_masks_of_graphs_that_are_right(program: Program) -> None:
    assert rules(program) == []


def test_lengths_without_memory_of_their_own_are_left_alone() -> None:
    def within(lengths: Tensor) -> Tensor:
        return torch.arange(6)[None] < lengths[:, None]

    lengths = torch.tensor([[3, 5], [2, 4]])
    with sanitize(collect=True) as report:
        lengths_of_none = torch.eye(3).to_sparse()
        assert torch.func.vmap(within)(lengths).shape == (2, 2, 6)
        assert within(lengths[0]).sum() == 8
        lengths_of_nothing = torch.empty(3, dtype=torch.long, device="meta")
        assert (torch.arange(6, device="meta")[None] < lengths_of_nothing[:, None]).shape == (3, 6)
        with FakeTensorMode():
            assert within(torch.ones(3, dtype=torch.long)).shape == (3, 6)
    assert lengths_of_none.is_sparse
    assert report.findings == []
