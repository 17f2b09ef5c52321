# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202, ANN205, N805, SIM105
"""`observe` on odd calls and odd values: what is proposed holds on them, and nothing fails."""

from __future__ import annotations

import ast
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mldbg import contracts
from mldbg.contracts import attach, observe
from mldbg.contracts.decorator import build
from mldbg.contracts.propose.writing import evaluated

Case = Callable[[], tuple[nn.Module, Callable[[], Any]]]
CASES: dict[str, Case] = {}


def case(make: Case) -> Case:
    CASES[make.__name__] = make
    return make


def model(forward: Any, **modules: nn.Module) -> Any:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name, module in modules.items():
                setattr(self, name, module)

    Model.forward = forward
    return Model()


@case
def checkpointed():
    def forward(self, x):
        return checkpoint(self.a, x, use_reentrant=False).sum(-1)

    m = model(forward, a=nn.Linear(6, 6))

    def run():
        for b in (3, 5):
            m(torch.randn(b, 4, 6)).sum().backward()

    return m, run


@case
def autocast():
    def forward(self, x):
        return self.a(x)

    m = model(forward, a=nn.Linear(6, 6))

    def run():
        with torch.autocast("cpu", torch.bfloat16):
            m(torch.randn(3, 6))
        m(torch.randn(4, 6))

    return m, run


@case
def packed():
    def forward(self, x):
        return self.l(x)

    m = model(forward, l=nn.LSTM(4, 5, batch_first=True))

    def run():
        for b in (3, 2):
            m(nn.utils.rnn.pack_padded_sequence(torch.randn(b, 6, 4), [6] * b, batch_first=True))

    return m, run


@case
def sparse_nested():
    def forward(self, x, y=None):
        return x

    m = model(forward)

    def run():
        m(torch.eye(3).to_sparse())
        m(torch.eye(4).to_sparse())
        m(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]))

    return m, run


@case
def vmapped():
    def forward(self, x):
        return self.a(x)

    m = model(forward, a=nn.Linear(6, 6))

    def run():
        torch.vmap(m)(torch.randn(3, 5, 6))
        torch.vmap(m)(torch.randn(3, 4, 6))
        torch.func.functional_call(m, dict(m.named_parameters()), torch.randn(2, 6))

    return m, run


@case
def inference_meta():
    def forward(self, x):
        return self.a(x).relu().softmax(-1)

    m = model(forward, a=nn.Linear(6, 6))

    def run():
        with torch.inference_mode():
            m(torch.randn(3, 6))
        m(torch.randn(4, 6))

    return m, run


@case
def meta():
    def forward(self, x):
        return self.a(x).softmax(-1)

    m = model(forward, a=nn.Linear(6, 6)).to("meta")
    return m, lambda: [m(torch.randn(b, 6, device="meta")) for b in (3, 4)]


@case
def scalars():
    def forward(self, x, t, *, n=3):
        return x * t, t, n, [], (), {}, None, "s"

    m = model(forward)
    return m, lambda: [m(torch.randn(b, 6), torch.tensor(1.0)) for b in (3, 4, 1, 0)]


@case
def lazy():
    def forward(self, x):
        return self.a(x)

    m = model(forward, a=nn.LazyLinear(6))
    return m, lambda: [m(torch.randn(b, 5)) for b in (3, 4)]


@case
def dictbatch():
    def forward(self, batch):
        return {"logits": self.e(batch["ids"]), "pooled": self.e(batch["ids"]).mean(1), "n": batch["labels"]}

    m = model(forward, e=nn.Embedding(9, 6))
    return m, lambda: [
        m({"ids": torch.randint(9, (b, t)), "labels": torch.randint(2, (b,)), "mask": torch.ones(b, t).bool()})
        for b, t in ((3, 7), (4, 5))
    ]


@case
def pyramid():
    def forward(self, x):
        return [F.max_pool2d(x, k) for k in (1, 2, 4)], tuple(F.max_pool2d(x, k) for k in (1, 2, 4, 1, 1, 1, 1))

    m = model(forward)
    return m, lambda: [m(torch.randn(b, 3, 16, 32)) for b in (3, 4)]


@case
def caught():
    class Bad(nn.Module):
        def forward(self, x):
            raise ValueError

    def forward(self, x):
        try:
            self.b(x)
        except ValueError:
            pass
        return self.a(x)

    m = model(forward, a=nn.Linear(6, 2), b=Bad())
    return m, lambda: [m(torch.randn(b, 6)) for b in (3, 4)]


@case
def generate():
    def forward(self, ids):
        return self.o(self.e(ids))

    m = model(forward, e=nn.Embedding(9, 6), o=nn.Linear(6, 9))

    def run():
        ids = torch.randint(9, (2, 3))
        for _ in range(4):
            ids = torch.cat([ids, m(ids)[:, -1:].softmax(-1).argmax(-1)], 1)

    return m, run


@case
def threads():
    def forward(self, x):
        return self.a(x)

    m = model(forward, a=nn.Linear(6, 2))

    def run():
        ts = [threading.Thread(target=lambda b=b: m(torch.randn(b, 6))) for b in (3, 4, 5)]
        for t in ts:
            t.start()
        for t in ts:
            t.join()

    return m, run


@case
def parts_only():
    def forward(self, x):
        return self.a(x)

    m = model(forward, a=nn.Linear(6, 2), b=nn.Linear(2, 3))
    return m, lambda: [m.b(m.a(torch.randn(b, 6))) for b in (3, 4)]


@case
def union_kinds():
    def forward(self, x):
        return x if x.shape[0] > 3 else (x, x.sum(-1))

    m = model(forward)
    return m, lambda: [m(torch.randn(b, 6)) for b in (3, 4)]


@case
def inplace_probs():
    def forward(self, x):
        p = self.a(x).softmax(-1)
        p[:, 0] = 5.0
        return p, self.a(x).softmax(-1) * 2, F.dropout(self.a(x).softmax(-1), 0.5)

    m = model(forward, a=nn.Linear(6, 3))
    return m, lambda: [m(torch.randn(b, 6)) for b in (30, 40)]


@case
def complexes():
    def forward(self, x):
        return torch.fft.fft(x), x.to(torch.float16), x.to(torch.uint8)

    m = model(forward)
    return m, lambda: [m(torch.rand(b, 8)) for b in (3, 4)]


@case
def mutates():
    def forward(self, x):
        self.T = x.size(1)
        self.h = x.size(0)
        return self.a(x)

    m = model(forward, a=nn.Linear(6, 3))
    m(torch.randn(7, 9, 6))
    return m, lambda: [
        m(torch.randn(7, 9, 6)),
    ]


@case
def multihead():
    def forward(self, x):
        return self.m(x, x, x)

    m = model(forward, m=nn.MultiheadAttention(8, 2))
    return m, lambda: [m(torch.randn(t, b, 8)) for t, b in ((3, 4), (5, 2))]


@case
def weird_self():
    class S(nn.Module):
        @staticmethod
        def forward(x):
            return x + 1

    class P(nn.Module):
        def forward(this, x, /, *, flag=True):
            return x * 2

    m = nn.Sequential(S(), P())
    return m, lambda: [m(torch.randn(b, 6)) for b in (3, 4)]


@case
def randomly():
    def forward(self, x):
        return self.d(self.a(x)).softmax(-1).log()

    m = model(forward, a=nn.Linear(6, 3), d=nn.Dropout(0.5))
    return m, lambda: [m(torch.randn(b, 6)) for b in (3, 4)]


@case
def multilabel():
    def forward(self, x):
        return torch.sigmoid(self.a(x)), self.a(x)[:, :2]

    m = model(forward, a=nn.Linear(6, 5))
    return m, lambda: [F.cross_entropy(m(torch.randn(b, 6))[1], torch.randint(2, (b,))) for b in (3, 4)]


@case
def segmentation():
    def forward(self, x):
        return self.c(x)

    m = model(forward, c=nn.Conv2d(3, 5, 1))
    return m, lambda: [
        F.cross_entropy(m(torch.randn(b, 3, h, w)), torch.randint(5, (b, h, w))) for b, h, w in ((3, 8, 9), (4, 6, 7))
    ]


# What each case has to show, where there is more than that it holds.
SHOWN = {
    "dictbatch": 'dict[str, Shaped[Tensor, "batch ..."]]',
    "generate": 'Logits[Tensor, "batch length {self.o.out_features}"]',
    "inplace_probs": 'tuple[NonNegative[Tensor, "batch {self.a.out_features}"], NonNegative',
    "mutates": 'x: Float[Tensor, "batch 9 {self.a.in_features}"]',
    "multihead": 'Float[Tensor, "batch length length"]]',
    "segmentation": 'Logits[Tensor, "batch {self.c.out_channels} height width", along("{self.c.out_channels}")]',
    "union_kinds": 'tuple[Float[Tensor, "batch _"], Float[Tensor, "batch"]] | Float[Tensor, "batch _"]',
    "weird_self": 'def forward(this, x: Float[Tensor, "batch 6"], /, *, flag=True) -> Float[Tensor, "batch 6"]',
}


@pytest.mark.filterwarnings("ignore:.*(nested|Sparse|Lazy|lazy)")  # what torch says of them
@pytest.mark.parametrize("name", CASES)
def test_it_holds(name: str) -> None:
    made, run = CASES[name]()
    with observe(made) as seen:
        run()
    ast.parse(str(seen))
    assert SHOWN.get(name, "") in str(seen)
    with contracts.mode("sync"):
        if seen.attach:
            handle = attach(made, seen.attach)
            run()
            handle.remove()
        for one in seen._found.functions:
            hints = {slot: evaluated(text) for slot, text in one.parameters.items()}
            hints |= {"return": evaluated(one.result)} if one.result is not None else {}
            checked = build(one.function, hints)
            for cls in {type(call.module) for call in one.calls}:
                is_static = isinstance(vars(cls).get("forward"), staticmethod)
                setattr(cls, "forward", staticmethod(checked) if is_static else checked)  # noqa: B010 (a type error otherwise)
        run()
