"""A transformer that reads scikit-learn's 8x8 digits row by row, with a contract on every intermediate value.

    python examples/contracts/digits_transformer.py
    MLDBG_CONTRACTS=full python examples/contracts/digits_transformer.py   # every value of every step
    MLDBG_CONTRACTS=off python examples/contracts/digits_transformer.py    # the bare model

`--bug` plants one of the mistakes that train without an error, and shows what the contracts say.
"""

from __future__ import annotations

import argparse
import math
import time

import torch
import torch.nn.functional as F
from jaxtyping import Float
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from mldbg import ContractError, check, contract, contracts
from mldbg.contracts import ClassIds, Finite, Logits, Probs, Scaled, ScalarLoss, UnitInterval, UnitNorm, below

CLASSES, ROWS, WIDTH = 10, 8, 8


class Attention(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.d, self.heads, self.head = d, heads, d // heads
        self.qkv = nn.Linear(d, 3 * d)
        self.out = nn.Linear(d, d)

    @contract
    def forward(self, x: Finite[Tensor, "batch time {self.d}"]) -> Finite[Tensor, "batch time {self.d}"]:
        batch, time_, _ = x.shape
        q, k, v = self.qkv(x).view(batch, time_, 3, self.heads, self.head).permute(2, 0, 3, 1, 4)
        q = check(q, Float[Tensor, "batch {self.heads} time {self.head}"])
        weights = self.weights(q, k)
        mixed = (weights @ v).transpose(1, 2).reshape(batch, time_, self.d)
        return self.out(mixed)

    @contract
    def weights(
        self, q: Float[Tensor, "batch heads query width"], k: Float[Tensor, "batch heads key width"]
    ) -> Probs[Tensor, "batch heads query key"]:
        return F.softmax(q @ k.transpose(-2, -1) / math.sqrt(self.head), dim=-1)


class Block(nn.Module):
    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.d = d
        self.attention = Attention(d, heads)
        self.feed = nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))
        self.before, self.between = nn.LayerNorm(d), nn.LayerNorm(d)

    @contract
    def forward(self, x: Finite[Tensor, "batch time {self.d}"]) -> Finite[Tensor, "batch time {self.d}"]:
        x = x + self.attention(check(self.before(x), Float[Tensor, "batch time {self.d}"]))
        return x + self.feed(self.between(x))


class Digits(nn.Module):
    """Eight rows of eight pixels are a sequence of eight tokens."""

    def __init__(self, d: int = 32, heads: int = 4, depth: int = 2, bug: str | None = None) -> None:
        super().__init__()
        self.d, self.bug = d, bug
        self.embed = nn.Linear(WIDTH, d)
        self.position = nn.Parameter(torch.randn(ROWS, d) / math.sqrt(d))
        self.blocks = nn.Sequential(*(Block(d, heads) for _ in range(depth)))
        self.head = nn.Linear(d, CLASSES)

    @contract
    def forward(self, pixels: UnitInterval[Tensor, "batch 8 8"]) -> Logits[Tensor, "batch 10"]:
        tokens = check(self.embed(pixels) + self.position, Finite[Tensor, "batch time {self.d}"])
        read = check(self.blocks(tokens), Finite[Tensor, "batch time {self.d}"])
        pooled = check(read.mean(dim=0 if self.bug == "axis" else 1), Float[Tensor, "batch {self.d}"])
        direction = check(F.normalize(pooled, dim=-1) * (2 if self.bug == "norm" else 1), UnitNorm[Tensor, "batch {self.d}"])
        logits = self.head(direction * math.sqrt(self.d))
        return F.softmax(logits, dim=-1) if self.bug == "softmax" else logits


@contract
def loss_of(logits: Logits[Tensor, "batch classes"], y: ClassIds[Tensor, "batch", below("classes")]) -> ScalarLoss[Tensor, ""]:
    return F.cross_entropy(logits, y)


@contract
def accuracy(logits: Logits[Tensor, "batch classes"], y: ClassIds[Tensor, "batch", below("classes")]) -> UnitInterval[Tensor, ""]:
    return (logits.argmax(dim=-1) == y).float().mean()


@contract
def standardised(x: Float[Tensor, "rows features"]) -> Scaled[Tensor, "rows features"]:
    return (x - x.mean(dim=0)) / x.std(dim=0, correction=0).clamp_min(1e-6)


def train(epochs: int, bug: str | None) -> float:
    """The accuracy on held-out digits."""
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x, x_test, y, y_test = (
        torch.from_numpy(part) for part in train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels)
    )
    unit = 1.0 if bug == "pixels" else 16.0
    x, x_test = (part.float().view(-1, ROWS, WIDTH) / unit for part in (x, x_test))
    if bug == "labels":
        y, y_test = y + 1, y_test + 1
    model = Digits(bug=bug)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for epoch in range(epochs):
        model.train()
        for rows in torch.randperm(len(x)).split(64):
            with contracts.step():  # all values of a step are judged with one look at the device
                optimizer.zero_grad()
                loss = loss_of(model(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
        model.eval()
        with torch.no_grad(), contracts.step():
            score = float(accuracy(model(x_test), y_test))
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, held-out accuracy {score:.3f}")
    return score


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--bug", choices=["softmax", "axis", "norm", "pixels", "labels"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    try:
        train(options.epochs, options.bug)
    except ContractError as error:
        print(error)
        return 1
    print(f"{time.perf_counter() - start:.1f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
