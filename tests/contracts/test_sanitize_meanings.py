"""Which rule `sanitize` names for a short program, and the right programs next to it, of which it says nothing.

A program that is right stands beside each wrong one that differs little from it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch._functorch import vmap
from torch.nn import functional as F

from mldbg.contracts.sanitize import Finding, sanitize

Program = Callable[[], object]

torch.manual_seed(0)
DECODER, HEAD, COLUMN = nn.Linear(8, 30), nn.Linear(8, 5), nn.Linear(8, 1)
PICTURE, SEQUENCE = nn.Conv2d(1, 1, 3, padding=1), nn.Conv1d(8, 1, 1)
TOKENS, X, Y = torch.randn(5, 4, 8), torch.randn(16, 8), torch.randint(0, 5, (16,))
LENGTHS = torch.tensor([[True] * 4] * 3 + [[True, True, False, False]] * 2)


def findings(program: Program) -> list[Finding]:
    with sanitize(collect=True) as report, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program()
    return report.findings


def rules(program: Program) -> list[str]:
    return [finding.rule for finding in findings(program)]


def programs(cases: dict[str, Program]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("program", list(cases.values()), ids=list(cases))


def words(number: int, *, of: int = 30) -> Tensor:
    return torch.randint(0, of, (number,))


# --- an axis that is lost on the way to the loss ---


def over(dim: int) -> Tensor:
    """Words of a language model, normalised along one axis of (time, batch, words)."""
    return F.log_softmax(DECODER(TOKENS), dim=dim)


@programs(
    {
        "time, view": lambda: F.nll_loss(over(0).view(-1, 30), words(20)),
        "batch, flatten": lambda: F.nll_loss(over(1).flatten(0, 1), words(20)),
        "time, reshape": lambda: F.nll_loss(over(0).reshape(20, 30), words(20)),
        "time, transposed": lambda: F.nll_loss(over(0).transpose(0, 1).reshape(-1, 30), words(20)),
        "turned after it was lost": lambda: F.nll_loss(over(0).view(-1, 30).t().contiguous().t(), words(20)),
        "mask": lambda: F.nll_loss(over(1)[LENGTHS], words(16)),
        "some rows": lambda: F.nll_loss(over(0).view(-1, 30)[torch.tensor([1, 3, 5])], words(3)),
        "last step": lambda: F.nll_loss(over(0)[-1], words(4)),
        "shifted": lambda: F.nll_loss(over(0)[:-1].flatten(0, 1), words(16)),
        "steps joined": lambda: F.nll_loss(torch.cat([over(1).flatten(0, 1), over(1).flatten(0, 1)]), words(40)),
        "steps of a list": lambda: F.nll_loss(torch.cat(over(1).unbind(0)[:2]), words(8)),
        "cast": lambda: F.nll_loss(over(0).view(-1, 30).double(), words(20)),
        "logarithm taken later": lambda: F.nll_loss(DECODER(TOKENS).softmax(0).view(-1, 30).log(), words(20)),
        "class": lambda: nn.NLLLoss()(nn.LogSoftmax(dim=0)(DECODER(TOKENS)).view(-1, 30), words(20)),
    }
)
def test_axis_that_is_lost(program: Program) -> None:
    assert rules(program) in (["wrong-class-axis"], ["softmax-over-batch"])


def test_axis_that_is_lost_in_words() -> None:
    (finding,) = findings(lambda: F.nll_loss(over(0).view(-1, 30), words(20)))
    assert (
        finding.violation.axis == "axis 1 (classes); the activation ran over another axis, which was merged or taken from since"
    )


def both_ways() -> Tensor:
    """Pictures against texts and texts against pictures, in several groups."""
    pairs = DECODER(TOKENS)[:, :, :4]
    labels = torch.arange(4).repeat(5)
    return F.nll_loss(pairs.log_softmax(1).flatten(0, 1), labels) + F.nll_loss(pairs.log_softmax(2).flatten(0, 1), labels)


def heat_maps() -> Tensor:
    joint = DECODER(TOKENS).flatten(1).log_softmax(1).view(5, 4, 30)
    return F.nll_loss(joint.flatten(1), words(5, of=120)) + F.kl_div(joint, torch.full((5, 4, 30), 1 / 120))


@programs(
    {
        "classes": lambda: F.nll_loss(over(2).view(-1, 30), words(20)),
        "classes, mask": lambda: F.nll_loss(over(-1)[LENGTHS], words(16)),
        "classes first": lambda: F.nll_loss(over(2).permute(0, 2, 1), torch.randint(0, 30, (5, 4))),
        "groups of classes": lambda: F.nll_loss(DECODER(X).view(16, 6, 5).log_softmax(2).view(16, 30), words(16)),
        "some of the words": lambda: F.nll_loss(over(2).view(-1, 30)[:, :20], words(20, of=20)),
        "two heads joined": lambda: F.nll_loss(torch.cat([HEAD(X).log_softmax(1), DECODER(X).log_softmax(1)], 1), words(16)),
        "contrastive, both ways": both_ways,
        "heat maps": heat_maps,
        "one position for all": lambda: F.nll_loss(DECODER(X).view(-1).log_softmax(0)[None], words(1, of=480)),
        "places in a sequence": lambda: F.nll_loss(DECODER(TOKENS).log_softmax(1)[..., 0], words(5, of=4)),
        "only a mean of them": lambda: over(0).view(-1, 30).mean(),
    }
)
def test_axis_that_is_where_it_belongs(program: Program) -> None:
    assert rules(program) == []


# --- shapes that are broadcast ---


def pictures(number: int) -> Tensor:
    return PICTURE(torch.randn(number, 1, 6, 6))


@programs(
    {
        "pictures": lambda: F.mse_loss(pictures(4), torch.randn(4, 6, 6)),
        "pictures, target longer": lambda: F.l1_loss(pictures(4)[:, 0], torch.randn(4, 1, 6, 6)),
        "pictures of three channels": lambda: F.mse_loss(torch.randn(4, 1, 3, 6), torch.randn(4, 3, 6)),
        "sequence": lambda: F.huber_loss(SEQUENCE(torch.randn(4, 8, 9)), torch.randn(4, 9)),
        "column": lambda: F.smooth_l1_loss(COLUMN(X), torch.randn(16)),
        "steps": lambda: F.mse_loss(COLUMN(torch.randn(5, 5, 8)), torch.randn(5, 5)),
        "weighted later": lambda: torch.mean(nn.MSELoss(reduction="none")(COLUMN(X), torch.randn(16)) * 2),
        "pictures, weighted later": lambda: F.l1_loss(pictures(4), torch.randn(4, 6, 6), reduction="none").mean(),
    }
)
def test_every_prediction_meets_every_target(program: Program) -> None:
    assert rules(program) == ["broadcast-loss"]


@programs(
    {
        "table of all pairs": lambda: F.l1_loss(torch.randn(4)[:, None], torch.randn(4), reduction="none"),
        "table of squares": lambda: F.mse_loss(torch.randn(4, 1), torch.randn(4), None, None, "none"),
        "table of outputs": lambda: F.l1_loss(COLUMN(X).squeeze(1)[:, None], torch.randn(16), reduction="none"),
        "one picture": lambda: F.mse_loss(pictures(1), torch.randn(1, 6, 6)),
        "a row among rows": lambda: F.mse_loss(torch.randn(1, 8), torch.randn(8)),
        "equal shapes": lambda: F.mse_loss(pictures(4), torch.randn(4, 1, 6, 6)),
        "a number for all": lambda: F.mse_loss(COLUMN(X), torch.tensor(1.0)),
        "one target for all": lambda: F.mse_loss(pictures(4), torch.randn(6, 6)),
        "a constant for each channel": lambda: F.mse_loss(torch.randn(4, 3, 1), torch.randn(3, 1)),
    }
)
def test_shapes_that_are_meant(program: Program) -> None:
    assert rules(program) == []


# --- the activation that a finding names ---


def softmax() -> Tensor:
    return HEAD(X).softmax(1)


SOFTMAX, SIGMOID, RELU = (f"{name}-before-cross-entropy" for name in ("softmax", "sigmoid", "relu"))


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (SOFTMAX, lambda: DECODER(X).softmax(1)[:, :5]),
        (SOFTMAX, lambda: DECODER(X).softmax(1).narrow(1, 0, 7)),
        (SOFTMAX, lambda: DECODER(X).softmax(1).topk(5).values),
        (SOFTMAX, lambda: torch.cat([softmax(), softmax()], 1)),
        (SOFTMAX, lambda: 1 - softmax()),
        (SOFTMAX, lambda: softmax() ** 2),
        (SOFTMAX, lambda: softmax().sqrt()),
        (SOFTMAX, lambda: torch.maximum(softmax(), softmax())),
        (SOFTMAX, lambda: DECODER(X).softmax(1)[:, :9][:, 1:6]),
        (SIGMOID, lambda: HEAD(X).sigmoid()),
        (SIGMOID, lambda: torch.cat([COLUMN(X).sigmoid()] * 5, 1)),
        (SIGMOID, lambda: 1 - DECODER(X).sigmoid()[:, :5]),
        (RELU, lambda: HEAD(X).relu()),
        (RELU, lambda: F.softplus(HEAD(X))),
        (RELU, lambda: DECODER(X).relu()[:, :5]),
    ],
)
def test_the_activation_that_is_named(rule: str, make: Callable[[], Tensor]) -> None:
    (finding,) = findings(lambda: F.cross_entropy(make(), Y))
    assert finding.rule == rule
    named = {"softmax", "sigmoid", "relu"} - {rule.partition("-")[0]}
    said = f"{finding.message} {finding.violation.actual} {finding.violation.advice}"
    assert not [name for name in named if name in said.replace("log-softmax", "")]


# --- probabilities that no softmax function gave last ---

OTHER, WEIGHT, EXPERTS = nn.Linear(8, 5), nn.Linear(8, 1), nn.ModuleList(nn.Linear(8, 5) for _ in range(3))
ONE_HOT = F.one_hot(Y, 5).float()


def other() -> Tensor:
    return OTHER(X).softmax(1)


def weight() -> Tensor:
    return WEIGHT(X).sigmoid()


def experts() -> Tensor:
    """Probabilities of each expert: (samples, experts, classes)."""
    return torch.stack([expert(X).softmax(1) for expert in EXPERTS], 1)


def gates() -> Tensor:
    return nn.functional.linear(X, torch.eye(3, 8)).softmax(1)


def by_hand(scores: Tensor) -> Tensor:
    raised = torch.exp(scores - scores.max(dim=1, keepdim=True).values)
    return raised / raised.sum(dim=1, keepdim=True)


def in_place(scores: Tensor) -> Tensor:
    scores = scores.exp()
    scores /= scores.sum(1, keepdim=True)
    return scores


def halves(scores: Tensor) -> Tensor:
    scores = scores.relu() + 0.1
    return scores.div(scores.sum(1)[:, None])


PROBABILITIES: dict[str, Callable[[], Tensor]] = {
    "gumbel": lambda: F.gumbel_softmax(HEAD(X), tau=0.5),
    "gumbel, hard": lambda: F.gumbel_softmax(HEAD(X), hard=True, dim=1),
    "mixture by a number": lambda: 0.3 * softmax() + 0.7 * other(),
    "mixture by a gate": lambda: weight() * softmax() + (1 - weight()) * other(),
    "mixture by the other gate": lambda: softmax() * (gate := weight()) + other() * (1 - gate),
    "mixture by a vector": lambda: softmax() * gates()[:, :1] + other() * (1 - gates()[:, :1]),
    "mixture of experts": lambda: (gates().unsqueeze(-1) * experts()).sum(1),
    "mixture by a matrix product": lambda: torch.bmm(gates()[:, None], experts()).squeeze(1),
    "attention over probabilities": lambda: F.softmax(X @ X.T, dim=1) @ softmax(),
    "product": lambda: softmax() * other(),
    "product with a gate for each": lambda: softmax() * HEAD(X).sigmoid(),
    "product, normalised": lambda: (joint := softmax() * other()) / joint.sum(1, keepdim=True),
    "exponentials": lambda: by_hand(HEAD(X)),
    "exponentials, twice computed": lambda: HEAD(X).exp() / HEAD(X).exp().sum(1, keepdim=True),
    "exponentials, in place": lambda: in_place(HEAD(X)),
    "positive part": lambda: halves(HEAD(X)),
    "kept from 0": lambda: (high := HEAD(X).relu() + 0.01) / (high.sum(-1, keepdim=True) + 1e-9),
    "clamped": lambda: (high := HEAD(X).relu() + 0.01) / high.sum((1,), keepdim=True).clamp(min=1e-9),
    "expanded": lambda: torch.div(high := HEAD(X).sigmoid(), high.sum(1, keepdim=True).expand_as(high)),
    "logarithm by hand, raised": lambda: torch.exp(HEAD(X) - HEAD(X).logsumexp(1, keepdim=True)),
    "distribution": lambda: torch.distributions.Categorical(probs=HEAD(X).exp()).probs,
}


@pytest.mark.parametrize("make", list(PROBABILITIES.values()), ids=list(PROBABILITIES))
def test_probabilities_before_cross_entropy(make: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.cross_entropy(make(), Y)) == [SOFTMAX]


@pytest.mark.parametrize("make", list(PROBABILITIES.values()), ids=list(PROBABILITIES))
def test_probabilities_before_log_likelihood(make: Callable[[], Tensor]) -> None:
    assert rules(lambda: F.nll_loss(make(), Y)) == ["nll-without-log-probs"]
    assert rules(lambda: F.nll_loss((make() + 1e-9).log(), Y)) == []


@pytest.mark.parametrize("make", list(PROBABILITIES.values()), ids=list(PROBABILITIES))
def test_probabilities_where_they_belong(make: Callable[[], Tensor]) -> None:
    def program() -> None:
        p = make().clamp(1e-6, 1)
        logs = HEAD(X).log_softmax(1)
        F.kl_div(logs, p, reduction="batchmean")  # distillation
        F.cross_entropy(HEAD(X), p)  # soft targets
        F.cross_entropy(HEAD(X), 0.9 * p + 0.1 / 5)  # smoothed ones
        -((1 - p) ** 2 * p.log() * ONE_HOT).sum(1).mean()  # focal
        F.binary_cross_entropy(p.clamp(max=1), ONE_HOT)
        F.cross_entropy(OTHER(p @ torch.randn(5, 8)), Y)  # weights of a codebook
        torch.distributions.Categorical(probs=p).log_prob(Y)  # type: ignore[no-untyped-call]
        p.multinomial(1), p.argmax(1)

    assert rules(program) == []


def test_a_mixture_that_sums_to_1_is_called_probabilities() -> None:
    (whole,) = findings(lambda: F.cross_entropy(weight() * softmax() + (1 - weight()) * other(), Y))
    (less,) = findings(lambda: F.cross_entropy(0.5 * softmax() + 0.2 * other(), Y))
    assert (whole.violation.actual, less.violation.actual) == (
        "probabilities, shape (16, 5)",
        "probabilities, scaled, shape (16, 5)",
    )


@programs(
    {
        "mixture": lambda: F.softmax(0.3 * softmax() + 0.7 * other(), 1),
        "gumbel of probabilities": lambda: F.gumbel_softmax(softmax(), dim=1),
        "by hand": lambda: F.softmax(by_hand(HEAD(X)), 1),
        "experts": lambda: F.log_softmax((gates().unsqueeze(-1) * experts()).sum(1), 1),
    }
)
def test_softmax_of_probabilities(program: Program) -> None:
    assert rules(program) == ["softmax-of-probabilities"]


@programs(
    {
        "mixture, logged target": lambda: F.kl_div(HEAD(X).log_softmax(1), (0.3 * softmax() + 0.7 * other()).log()),
        "by hand, logged target": lambda: F.kl_div(HEAD(X).log_softmax(1), by_hand(HEAD(X)).log()),
    }
)
def test_logarithm_as_target(program: Program) -> None:
    assert rules(program) == ["kl-div-log-target"]


@programs(
    {
        "log-softmax by hand, time": lambda: F.nll_loss(
            (DECODER(TOKENS) - DECODER(TOKENS).logsumexp(0, keepdim=True)).view(-1, 30), words(20)
        ),
        "log-softmax by hand, batch": lambda: F.nll_loss(HEAD(X) - torch.logsumexp(HEAD(X), 0, keepdim=True), Y),
    }
)
def test_log_softmax_by_hand_along_another_axis(program: Program) -> None:
    assert rules(program) in (["wrong-class-axis"], ["softmax-over-batch"])


def pointer_network() -> Tensor:
    copied = torch.zeros(16, 5).scatter_add(1, Y[:, None], other()[:, :1])
    return F.nll_loss((weight() * softmax() + (1 - weight()) * copied + 1e-9).log(), Y)


@programs(
    {
        "sharpened": lambda: F.softmax(softmax() / 0.05, 1),
        "scores less their mean": lambda: F.cross_entropy(HEAD(X) - HEAD(X).mean(1, keepdim=True), Y),
        "scores divided by their sum": lambda: F.cross_entropy(HEAD(X) / HEAD(X).sum(1, keepdim=True), Y),
        "scores divided by a norm": lambda: F.cross_entropy(HEAD(X) / HEAD(X).norm(dim=1, keepdim=True), Y),
        "scores divided by their number": lambda: F.cross_entropy((HEAD(X) + OTHER(X)) / LENGTHS.sum(1, keepdim=True)[0], Y),
        "positive part over all": lambda: F.cross_entropy(OTHER(X) * HEAD(X).relu() / HEAD(X).relu().sum(), Y),
        "scores less a maximum": lambda: F.cross_entropy(HEAD(X) - HEAD(X).amax(1, keepdim=True), Y),
        "gated scores": lambda: F.cross_entropy(HEAD(X) * weight(), Y),
        "scores weighed by probabilities": lambda: F.cross_entropy(HEAD(X) * softmax(), Y),
        "gated gates": lambda: F.binary_cross_entropy(weight() * weight(), torch.rand(16, 1)),
        "log-softmax by hand": lambda: F.nll_loss(HEAD(X) - HEAD(X).logsumexp(1, keepdim=True), Y),
        "mean attention": lambda: F.cross_entropy(OTHER((X.softmax(1) / X.softmax(1).sum(1, keepdim=True)) * X), Y),
        "transport": lambda: (
            (p := HEAD(X).exp()).div(p.sum(1, keepdim=True)).div(p.sum(0, keepdim=True)) * X.new_ones(16, 5)
        ).sum(),
        "masked mean": lambda: F.cross_entropy(HEAD((X * (m := torch.rand(16, 1))).sum(1, keepdim=True) / m.sum() * X), Y),
        "pointer network": pointer_network,
        "straight through": lambda: F.cross_entropy(OTHER(F.gumbel_softmax(HEAD(X), hard=True) @ torch.randn(5, 8)), Y),
    }
)
def test_right_arithmetic(program: Program) -> None:
    assert rules(program) == []


# --- vmap ---


def each_row(scores: Tensor) -> Tensor:
    return torch.vmap(lambda row: row.softmax(0))(scores)


def over_time(scores: Tensor) -> Tensor:
    return scores.log_softmax(0)


def of_each(p: Tensor, y: Tensor) -> Tensor:
    return torch.vmap(lambda row, label: F.cross_entropy(row, label))(p, y)  # noqa: PLW0108 (vmap looks at the signature)


@pytest.mark.parametrize(
    ("rule", "program"),
    [
        (SOFTMAX, lambda: F.cross_entropy(each_row(HEAD(X)), Y)),
        (SOFTMAX, lambda: F.cross_entropy(torch.vmap(lambda row: row.softmax(0), in_dims=1)(HEAD(X).t()), Y)),
        (SOFTMAX, lambda: F.cross_entropy(torch.vmap(lambda row: row.softmax(0), out_dims=-1)(HEAD(X)).t(), Y)),
        (SOFTMAX, lambda: of_each(softmax(), Y)),
        (SOFTMAX, lambda: F.cross_entropy(torch.vmap(each_row)(DECODER(TOKENS)).flatten(0, 1), words(20))),
        (SOFTMAX, lambda: F.cross_entropy(torch.vmap(lambda row: row.softmax(0)[:5])(DECODER(X)), Y)),
        (SOFTMAX, lambda: F.cross_entropy(torch.vmap(lambda row: (row.softmax(0), row))(HEAD(X))[0], Y)),
        (SOFTMAX, lambda: F.cross_entropy(torch.vmap(lambda row: row.softmax(0), chunk_size=5)(HEAD(X)), Y)),
        ("softmax-over-batch", lambda: F.nll_loss(torch.vmap(lambda c: c.log_softmax(0), 1, 1)(HEAD(X)), Y)),
        (
            "wrong-class-axis",
            lambda: F.nll_loss(torch.vmap(over_time)(DECODER(TOKENS)).flatten(0, 1), words(20)),
        ),
        ("nll-without-log-probs", lambda: F.nll_loss(each_row(HEAD(X)), Y)),
        ("softmax-of-probabilities", lambda: each_row(softmax())),
    ],
)
def test_into_vmap_and_out_of_it(rule: str, program: Program) -> None:
    assert rules(program) == [rule]


@programs(
    {
        "log-softmax": lambda: F.nll_loss(torch.vmap(lambda row: row.log_softmax(0))(HEAD(X)), Y),
        "columns": lambda: F.nll_loss(torch.vmap(lambda row: row.log_softmax(0), 0, 1)(HEAD(X)).t(), Y),
        "logits": lambda: F.cross_entropy(torch.vmap(lambda row: row * 2)(HEAD(X)), Y),
        "losses": lambda: of_each(HEAD(X), Y),
        "soft targets": lambda: F.cross_entropy(HEAD(X), each_row(OTHER(X))),
        "one class of each": lambda: F.binary_cross_entropy(torch.vmap(lambda row: row.softmax(0)[1])(HEAD(X)), Y.gt(2).float()),
        "classes mapped over": lambda: F.binary_cross_entropy(torch.vmap(lambda c: c * 1, 1, 1)(softmax()), ONE_HOT),
    }
)
def test_right_programs_with_vmap(program: Program) -> None:
    assert rules(program) == []


def test_vmap_is_as_it_was_after_the_block() -> None:
    before = dict(vars(vmap))
    with sanitize():
        assert dict(vars(vmap)) != before
        with sanitize():
            each_row(HEAD(X))
    assert dict(vars(vmap)) == before
