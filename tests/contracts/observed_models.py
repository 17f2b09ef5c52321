# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN003, ANN201, ANN204
"""Models of many kinds, written as people write them: without annotations. `MODELS` makes each with two batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Mlp(nn.Module):
    def __init__(self, d_in=12, hidden=20, classes=5):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(d_in, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, classes))

    def forward(self, x):
        return self.net(x)


class Cnn(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, 3, stride=2)
        self.fc = nn.Linear(16, classes)

    def forward(self, image):
        x = F.relu(self.conv1(image))
        x = F.relu(self.conv2(x))
        return F.log_softmax(self.fc(x.mean((2, 3))), dim=1)


class Tagger(nn.Module):
    def __init__(self, vocab=30, dim=16, hidden=24, tags=7):
        super().__init__()
        self.embedding = nn.Embedding(vocab, dim, padding_idx=0)
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * hidden, tags)

    def forward(self, words, *, state=None):
        h, (last, _) = self.lstm(self.embedding(words), state)
        return self.out(h).softmax(-1), last


class TimeFirst(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(6, 9)

    def forward(self, x):
        return self.gru(x)[0]


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x, mask=None):
        b, t, d = x.shape
        q, k, v = (z.view(b, t, self.heads, d // self.heads).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
        scores = q @ k.transpose(-2, -1) / math.sqrt(d // self.heads)
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None, None, :], -1e9)
        weights = scores.softmax(dim=-1)
        return self.out((weights @ v).transpose(1, 2).reshape(b, t, d)), weights


class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x, mask=None):
        x = x + self.attention(self.ln1(x), mask)[0]
        return x + self.mlp(self.ln2(x))


@dataclass
class Config:
    vocab_size: int = 50
    n_embd: int = 32
    n_head: int = 4
    n_layer: int = 3
    block_size: int = 64


class Gpt(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.config = config or Config()
        c = self.config
        self.wte, self.wpe = nn.Embedding(c.vocab_size, c.n_embd), nn.Embedding(c.block_size, c.n_embd)
        self.blocks = nn.ModuleList(Block(c.n_embd, c.n_head) for _ in range(c.n_layer))
        self.ln_f = nn.LayerNorm(c.n_embd)
        self.head = nn.Linear(c.n_embd, c.vocab_size, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, idx, targets=None, mask=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        for block in self.blocks:
            x = block(x, mask)
        logits = self.head(self.ln_f(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


class DoubleConv(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.conv1, self.bn = nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)

    def forward(self, x):
        return self.conv2(self.bn(self.conv1(x)).relu()).relu()


class Up(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        self.up = nn.ConvTranspose2d(c_in, c_out, 2, stride=2)
        self.conv = DoubleConv(2 * c_out, c_out)

    def forward(self, x, skip):
        return self.conv(torch.cat([self.up(x), skip], dim=1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.down1, self.down2 = DoubleConv(1, 8), DoubleConv(8, 16), DoubleConv(16, 32)
        self.up1, self.up2 = Up(32, 16), Up(16, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, image):
        a = self.enter(image)
        b = self.down1(F.max_pool2d(a, 2))
        c = self.down2(F.max_pool2d(b, 2))
        return self.out(self.up2(self.up1(c, b), a))


class Vae(nn.Module):
    def __init__(self, d=20, z=4):
        super().__init__()
        self.d, self.z = d, z
        self.encoder, self.decoder = nn.Linear(d, 2 * z), nn.Linear(z, d)

    def encode(self, x):
        mu, logvar = self.encoder(x).chunk(2, dim=-1)
        return mu, logvar

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return torch.sigmoid(self.decoder(z)), mu, logvar


class Several(nn.Module):
    """Keyword-only arguments, *args, **kwargs, lists, dicts, numbers, flags."""

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(6, 6)

    def forward(self, x, *more, scale=2.0, flags=None, **extra):
        for each in more:
            x = x + each
        for each in extra.values():
            x = x + self.mix(each)
        steps = [x, x * scale]
        return {"last": x, "first": steps[0]}, steps, len(more)


@dataclass
class Output:
    logits: torch.Tensor
    hidden: tuple[torch.Tensor, ...] = ()
    loss: torch.Tensor | None = None


class Structured(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(6)
        self.layers = nn.ModuleList(nn.Linear(6, 6) for _ in range(3))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> Output:
        hidden = []
        for layer in self.layers:
            x = self.norm(layer(x))
            hidden.append(x)
        return Output(x, tuple(hidden))


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(40, 16)
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, batch_first=True)
        self.out = nn.Linear(16, 40)

    def forward(self, src, tgt, src_padding=None):
        masked = nn.Transformer.generate_square_subsequent_mask(tgt.size(1))
        h = self.transformer(self.embed(src), self.embed(tgt), tgt_mask=masked, src_key_padding_mask=src_padding)
        return self.out(h)


class Clip(nn.Module):
    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(12, 8), nn.EmbeddingBag(20, 8)

    def forward(self, image, text):
        a, b = F.normalize(self.image(image.flatten(1)), dim=-1), F.normalize(self.text(text), dim=-1)
        return a @ b.T


class Graph(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(5, 3)

    def forward(self, x, edges):
        h = self.lin(x)
        return torch.zeros_like(h).index_add(0, edges[1], h[edges[0]])


class Mixture(nn.Module):
    """Experts that see as many rows as the gate sends them."""

    def __init__(self, n=3, d=6):
        super().__init__()
        self.gate, self.experts = nn.Linear(d, n), nn.ModuleList(nn.Linear(d, d) for _ in range(n))

    def forward(self, x):
        weights = self.gate(x).softmax(-1)
        chosen = weights.argmax(-1)
        out = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows = chosen == index
            if rows.any():
                out[rows] = expert(x[rows])
        return out, weights


class Ranks(nn.Module):
    """One layer for tensors of two and of three axes."""

    def __init__(self):
        super().__init__()
        self.lin = nn.Linear(6, 6)

    def forward(self, x):
        return self.lin(x) + self.lin(x.mean(1))[:, None]


class Lambda(nn.Module):
    def __init__(self, function: Callable[..., Any]):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def lambdas() -> nn.Module:
    return nn.Sequential(
        Lambda(lambda x: x.flatten(1)), nn.Linear(12, 4), Lambda(lambda x: x[..., None]), Lambda(lambda x: x.softmax(1)[:, :, 0])
    )


def _gpt(b: int, t: int) -> tuple[Any, ...]:
    mask = torch.ones(b, t, dtype=torch.bool)
    return torch.randint(50, (b, t)), torch.randint(50, (b, t)), mask


Batch = tuple[tuple[Any, ...], dict[str, Any]]


def _plain(*args: Any) -> Batch:
    return args, {}


MODELS: dict[str, Callable[[], tuple[nn.Module, list[Batch]]]] = {
    "mlp": lambda: (Mlp(), [_plain(torch.randn(8, 12)), _plain(torch.randn(5, 12))]),
    "cnn": lambda: (Cnn(), [_plain(torch.randn(8, 3, 16, 20)), _plain(torch.randn(5, 3, 12, 14))]),
    "square": lambda: (Cnn(), [_plain(torch.randn(8, 3, 16, 16)), _plain(torch.randn(5, 3, 12, 12))]),
    "tagger": lambda: (Tagger(), [_plain(torch.randint(30, (4, 9))), _plain(torch.randint(30, (3, 6)))]),
    "time first": lambda: (TimeFirst(), [_plain(torch.randn(7, 3, 6)), _plain(torch.randn(5, 4, 6))]),
    "gpt": lambda: (Gpt(), [_plain(*_gpt(4, 16)), _plain(*_gpt(3, 10))]),
    "gpt, b == t": lambda: (Gpt(), [_plain(*_gpt(8, 8)), _plain(*_gpt(6, 6))]),
    "gpt, inference": lambda: (Gpt(), [_plain(*_gpt(4, 16)), _plain(_gpt(3, 10)[0])]),
    "unet": lambda: (UNet(), [_plain(torch.randn(2, 1, 16, 24)), _plain(torch.randn(3, 1, 32, 16))]),
    "vae": lambda: (Vae(), [_plain(torch.randn(8, 20)), _plain(torch.randn(5, 20))]),
    "several": lambda: (
        Several(),
        [
            (
                (torch.randn(4, 6), torch.randn(4, 6), torch.randn(4, 6)),
                {"one": torch.randn(4, 6), "flags": torch.ones(4, dtype=torch.bool)},
            ),
            ((torch.randn(3, 6), torch.randn(3, 6)), {"one": torch.randn(3, 6), "two": torch.randn(3, 6)}),
        ],
    ),
    "structured": lambda: (Structured(), [_plain(torch.randn(4, 6)), _plain(torch.randn(3, 6))]),
    "translator": lambda: (
        Translator(),
        [
            _plain(torch.randint(40, (4, 9)), torch.randint(40, (4, 7)), torch.zeros(4, 9, dtype=torch.bool)),
            _plain(torch.randint(40, (3, 6)), torch.randint(40, (3, 8))),
        ],
    ),
    "clip": lambda: (
        Clip(),
        [
            _plain(torch.randn(4, 3, 2, 2), torch.randint(20, (4, 5))),
            _plain(torch.randn(6, 3, 2, 2), torch.randint(20, (6, 7))),
        ],
    ),
    "graph": lambda: (
        Graph(),
        [_plain(torch.randn(7, 5), torch.randint(7, (2, 11))), _plain(torch.randn(4, 5), torch.randint(4, (2, 6)))],
    ),
    "mixture": lambda: (Mixture(), [_plain(torch.randn(9, 6)), _plain(torch.randn(5, 6))]),
    "ranks": lambda: (Ranks(), [_plain(torch.randn(4, 3, 6)), _plain(torch.randn(5, 2, 6))]),
    "lambdas": lambda: (lambdas(), [_plain(torch.randn(4, 3, 4)), _plain(torch.randn(5, 3, 4))]),
    "one batch": lambda: (Tagger(), [_plain(torch.randint(30, (4, 9)))]),
    "same sizes": lambda: (Cnn(), [_plain(torch.randn(4, 3, 16, 20)), _plain(torch.randn(4, 3, 16, 20))]),
}
