"""Masks that say by True what to keep, or what to drop: `sanitize` tells where attention takes one for the other.

Beside each wrong program stands a right one that differs little from it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from mldbg import check, contract
from mldbg.contracts import ContractError, DropMask, KeepMask
from mldbg.contracts.sanitize import Finding, sanitize

Program = Callable[[], object]
RULE = "inverted-attention-mask"

torch.manual_seed(0)
X = torch.randn(3, 5, 8)
PAST, FUTURE = torch.ones(5, 5).tril().bool(), torch.ones(5, 5).triu(1).bool()
IDS = torch.tensor([[17, 21, 30, 9, 8], [12, 40, 7, 0, 0], [25, 3, 0, 0, 0]])
LEFT = IDS.flip(1)
FIXED = torch.cat([IDS, torch.zeros(3, 4, dtype=torch.long)], 1)
LONG = torch.randn(3, 9, 8)
SEGMENTS = (IDS > 20).long()
ATTENTION = nn.MultiheadAttention(8, 2, batch_first=True)
LAYER = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
ENCODER = nn.TransformerEncoder(LAYER, 2, enable_nested_tensor=False)
DECODER = nn.TransformerDecoderLayer(8, 2, 16, batch_first=True)
WHOLE = nn.Transformer(8, 2, 1, 1, 16, batch_first=True)


def findings(program: Program) -> list[Finding]:
    with sanitize(collect=True) as report, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program()
    return report.findings


def programs(cases: dict[str, Program]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("program", list(cases.values()), ids=list(cases))


def keeping(mask: Tensor | None, x: Tensor = X) -> Tensor:
    return F.scaled_dot_product_attention(x, x, x, mask)


def heads(x: Tensor) -> Tensor:
    return x[:, None].expand(-1, 2, -1, -1)


def dropping(mask: Tensor | None = None, padding: Tensor | None = None, x: Tensor = X) -> Tensor:
    return ATTENTION(x, x, x, attn_mask=mask, key_padding_mask=padding)[0]


def by_hand(mask: Tensor, x: Tensor = X) -> Tensor:
    return (x @ x.transpose(1, 2) / 3).masked_fill(mask, float("-inf")).softmax(-1) @ x


def chosen(mask: Tensor) -> Tensor:
    return torch.where(mask, X @ X.transpose(1, 2), float("-inf")).softmax(dim=-1) @ X


def declared(mask: Tensor) -> Tensor:
    return check(mask, KeepMask[Tensor, "..."])


def is_dropped(mask: Tensor) -> Tensor:
    return check(mask, DropMask[Tensor, "..."])


SOME = torch.tensor([[True, False, True, True, False]] * 3)


@programs(
    {
        "causal to keep": lambda: keeping(FUTURE),
        "causal, made on the spot": lambda: keeping(torch.triu(torch.ones(5, 5), diagonal=1) == 1),
        "causal of each sample": lambda: keeping(FUTURE.expand(3, 5, 5)),
        "causal and padding": lambda: keeping(FUTURE & (IDS != 0)[:, None]),
        "causal to drop": lambda: dropping(PAST),
        "causal to drop, inverted twice": lambda: dropping(~~PAST),
        "causal to an encoder": lambda: ENCODER(X, mask=PAST),
        "causal to a layer": lambda: LAYER(X, src_mask=PAST),
        "causal to a decoder": lambda: DECODER(X, X, tgt_mask=PAST),
        "causal to a transformer": lambda: WHOLE(X, X, tgt_mask=PAST),
        "causal by hand": lambda: by_hand(PAST),
        "causal by hand, chosen": lambda: chosen(FUTURE),
        "causal by hand, very negative": lambda: F.softmax((X @ X.mT).masked_fill(PAST, -1e9), -1),
        "causal by hand, in place": lambda: F.softmax((X @ X.mT).masked_fill_(PAST, torch.finfo(torch.float32).min), -1),
        "tokens to drop": lambda: dropping(padding=IDS != 0),
        "tokens to drop, to an encoder": lambda: ENCODER(X, src_key_padding_mask=IDS.ne(0)),
        "tokens to drop, to a decoder": lambda: DECODER(X, X, memory_key_padding_mask=IDS != 0),
        "tokens to drop, inverted": lambda: dropping(padding=~(IDS == 0)),
        "tokens to drop, as numbers": lambda: dropping(padding=(IDS != 0).long().bool()),
        "tokens to drop, as 0 and 1": lambda: dropping(padding=(1 - (IDS == 0).long()) > 0),
        "tokens to drop, left": lambda: dropping(padding=LEFT != 0),
        "tokens to drop, every sequence padded": lambda: dropping(padding=FIXED != 0, x=LONG),
        "tokens to drop, of a tokenizer": lambda: dropping(padding=torch.tensor([[1, 1, 1, 1, 1]] * 3).bool()),
        "tokens to drop, from numpy": lambda: dropping(padding=torch.from_numpy((IDS != 0).numpy())),
        "padding to keep": lambda: keeping((IDS == 0)[:, None, None, :], heads(X)),
        "padding to keep, expanded": lambda: keeping((IDS == 0)[:, None].expand(3, 5, 5)),
        "padding to keep, another id": lambda: keeping(FIXED.eq(torch.tensor(0))[:, None], LONG),
        "padding to keep by hand": lambda: by_hand((IDS != 0).unsqueeze(1)),
        "declared to drop": lambda: dropping(padding=declared(SOME)),
        "declared to drop, to an encoder": lambda: ENCODER(X, src_key_padding_mask=declared(SOME)),
        "declared to drop, inverted": lambda: dropping(padding=~is_dropped(SOME)),
        "declared to drop, compared": lambda: dropping(padding=is_dropped(SOME.long()) == 0),
        "declared to drop, joined": lambda: dropping((torch.ones(6, 5, 5) > 0) & declared(SOME).repeat_interleave(2, 0)[:, None]),
        "declared to keep": lambda: keeping(is_dropped(SOME)[:, None]),
        "declared to keep, functional": lambda: by_hand(declared(SOME)[:, None].to("cpu")),
        "declared to keep, joined": lambda: keeping((is_dropped(SOME)[:, None] | FUTURE).clone()),
        "declared to keep, both": lambda: keeping((is_dropped(SOME) & is_dropped(~SOME.flip(1)))[:, None]),
        "declared to keep, logical": lambda: keeping(declared(SOME).logical_not()[:, None]),
    }
)
def test_masks_that_say_the_opposite(program: Program) -> None:
    found = findings(program)
    assert found
    assert {finding.rule for finding in found} == {RULE}


def pairs() -> Tensor:
    """The best pair of two different positions."""
    return (X @ X.mT).masked_fill(PAST, float("-inf")).flatten(1).softmax(-1)


def negatives() -> Tensor:
    return (X @ X.mT).masked_fill(declared(SOME)[:, None], float("-inf")).amax(-1)


@programs(
    {
        "causal to keep": lambda: keeping(PAST),
        "causal to drop": lambda: dropping(FUTURE),
        "causal numbers": lambda: dropping(nn.Transformer.generate_square_subsequent_mask(5)),
        "causal numbers to keep": lambda: keeping(nn.Transformer.generate_square_subsequent_mask(5)),
        "causal flag": lambda: F.scaled_dot_product_attention(X, X, X, is_causal=True),
        "causal to an encoder": lambda: ENCODER(X, mask=FUTURE, is_causal=True),
        "causal by hand": lambda: by_hand(PAST == 0),
        "causal by hand, chosen": lambda: chosen(PAST),
        "the tutorial's": lambda: keeping((torch.triu(torch.ones(5, 5)) == 1).transpose(0, 1)),
        "backwards": lambda: keeping(torch.ones(5, 5).triu().bool()),
        "backwards, dropped": lambda: dropping(torch.ones(5, 5).tril(-1).bool()),
        "without itself": lambda: keeping(~torch.eye(5).bool()),
        "a band": lambda: dropping(torch.ones(5, 5).triu(2).bool() | torch.ones(5, 5).tril(-2).bool()),
        "two positions": lambda: keeping(torch.tensor([[False, True], [True, True]]), X[:, :2]),
        "tokens to keep": lambda: keeping((IDS != 0)[:, None]),
        "padding to drop": lambda: dropping(padding=IDS == 0),
        "padding to drop, left": lambda: dropping(padding=LEFT == 0),
        "padding to drop, an empty sequence": lambda: dropping(padding=torch.tensor([[1] * 5, [0, 0, 0, 1, 1], [0] * 5]) > 0),
        "left padding, an empty sequence, one whole": lambda: dropping(
            padding=torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0], [0] * 5]).bool()
        ),
        "one segment": lambda: dropping(padding=SEGMENTS != 0),
        "another segment": lambda: keeping((SEGMENTS == 0)[:, None]),
        "a segment behind another": lambda: dropping(padding=torch.tensor([[0, 0, 0, 1, 1]] * 3) != 1),
        "documents": lambda: keeping(SEGMENTS[:, None] == SEGMENTS[:, :, None]),
        "other documents": lambda: dropping((SEGMENTS[:, None] != SEGMENTS[:, :, None]).repeat_interleave(2, 0)),
        "class token at the start": lambda: keeping((torch.cat([IDS[:, :1] * 0 + 50, IDS[:, 1:]], 1) == 50)[:, None]),
        "all but the class token": lambda: dropping(padding=torch.cat([IDS[:, :1] * 0 + 50, IDS[:, 1:]], 1) != 50),
        "only masked tokens": lambda: keeping((IDS == 30)[:, None] | True),
        "best of the rest": negatives,
        "pairs": pairs,
        "declared to keep": lambda: keeping(declared(SOME)[:, None]),
        "declared to drop": lambda: dropping(padding=is_dropped(SOME)),
        "declared, inverted": lambda: dropping(padding=~declared(SOME)),
        "declared, compared": lambda: dropping(padding=declared(SOME) == 0),
        "declared, as 0 and 1": lambda: dropping(padding=(1 - declared(SOME.long())).bool()),
        "declared, inverted in place": lambda: dropping(padding=declared(SOME.clone()).logical_not_()),
        "declared, mixed": lambda: keeping((declared(SOME) | is_dropped(~SOME))[:, None]),
        "declared, counted": lambda: keeping((declared(SOME).cumsum(1) < 2)[:, None]),
        "not a mask": lambda: keeping(X @ X.mT),
    }
)
def test_masks_that_are_right(program: Program) -> None:
    assert findings(program) == []


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    @contract
    def forward(self, x: Float[Tensor, "b t d"], mask: KeepMask[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        flipped = mask.clone().to(x.device)
        return self.attention(x, x, x, key_padding_mask=flipped)[0]


def test_both_lines_are_named() -> None:
    with pytest.raises(ContractError) as caught, sanitize():
        Block()(X, SOME)
    first = Block.forward.__wrapped__.__code__.co_firstlineno  # type: ignore[attr-defined]
    error = caught.value
    assert (error.rule, error.contract, error.parameter) == (RULE, "nn.MultiheadAttention", "key_padding_mask")
    assert error.producer == f"{__file__}:{first}"
    assert error.consumer == f"{__file__}:{first + 3}"
    assert error.cause == "a position is left out where the mask is True, but it is True where positions take part"
    assert error.advice.startswith("invert it (~mask): nn.MultiheadAttention")
    assert error.actual == "a keep mask (True takes part), shape (3, 5)"


def test_what_the_values_show_is_said() -> None:
    (finding,) = findings(lambda: keeping(FUTURE))
    assert finding.violation.cause.endswith(": what takes part are later positions only")
    (finding,) = findings(lambda: dropping(padding=FIXED != 0, x=LONG))
    assert finding.violation.cause.endswith(": what takes part is the padding")
    assert finding.producer != finding.consumer
    (finding,) = findings(lambda: dropping(padding=torch.ones(3, 5).bool()))
    assert finding.producer == finding.consumer
    assert finding.violation.cause.endswith(": the keys of a whole sequence are left out")


def test_a_contract_contradicts_another() -> None:
    @contract
    def kept(ids: Tensor) -> KeepMask[Tensor, "b t"]:
        return ids != 0

    @contract
    def attended(mask: DropMask[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
        return mask

    (finding,) = findings(lambda: attended(kept(IDS)))
    assert (finding.rule, finding.violation.parameter) == (RULE, "mask")
    assert finding.violation.contract.endswith(".attended")
    attended(kept(IDS))  # outside of a block nobody listens


def test_the_rule_may_be_left_out() -> None:
    with sanitize(ignore=[RULE]):
        keeping(FUTURE)
        dropping(padding=declared(SOME))
