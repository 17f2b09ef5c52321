"""What contracts cost, as ratios: medians of interleaved rounds in one run.

    python benchmarks/contracts.py [--device cuda] [--rounds 30]

Each figure compares variants that run in turns, so that a machine that gets slower or faster in between touches them alike. The
last column says which figure the project has set itself; the exit code is 1 if one is missed. Absolute times are of no interest.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from beartype import beartype
from jaxtyping import Float, jaxtyped
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounter
from torch.nn import functional as F

from mldbg import contracts
from mldbg.contracts import ClassIds, Finite, Logits, Probs, TokenIds, below, contract

Row = tuple[str, float, float | None]


Times = dict[str, list[float]]


def timed(variants: dict[str, Callable[[], object]], *, rounds: int, calls: int, device: str) -> Times:
    """Seconds per call of each variant, one number for each round, in which every variant runs `calls` times."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    # of one thread on the CPU, only the time in which it ran: what other programs take does not count
    clock = time.process_time if device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    for turn in range(rounds + 2):
        names = list(variants) if turn % 2 else list(reversed(variants))
        for name in names:
            call = variants[name]
            synchronize(device)
            start = clock()
            for _ in range(calls):
                call()
            synchronize(device)
            if turn >= 2:  # the first rounds warm up
                times[name].append((clock() - start) / calls)
    return times


def ratio(times: Times, name: str, of: str, without: str = "") -> float:
    """Median over rounds of the time of `name` in units of `of`, both after the time of `without` is taken off."""
    base = times[without] if without else [0.0] * len(times[of])
    return statistics.median((one - less) / (other - less) for one, other, less in zip(times[name], times[of], base, strict=True))


def synchronize(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def bare(x: Tensor, w: Tensor) -> Tensor:
    return F.linear(x, w)


def asserted(x: Tensor, w: Tensor) -> Tensor:
    assert isinstance(x, Tensor)
    assert x.is_floating_point()
    assert x.ndim == 2
    assert isinstance(w, Tensor)
    assert w.is_floating_point()
    assert w.ndim == 2
    batch, d_in = x.shape
    assert w.shape[1] == d_in
    out = F.linear(x, w)
    assert isinstance(out, Tensor)
    assert out.is_floating_point()
    assert out.shape == (batch, w.shape[0])
    return out


def annotated(x: Float[Tensor, "batch d_in"], w: Float[Tensor, "d_out d_in"]) -> Float[Tensor, "batch d_out"]:
    return F.linear(x, w)


def call_cost(device: str, rounds: int) -> list[Row]:
    x, w = torch.randn(4, 8, device=device), torch.randn(6, 8, device=device)
    checked, oracle, off = contract(annotated), jaxtyped(typechecker=beartype)(annotated), contract(annotated, mode="off")
    found = timed(
        {
            "bare": lambda: bare(x, w),
            "asserts": lambda: asserted(x, w),
            "contract": lambda: checked(x, w),
            "jaxtyping": lambda: oracle(x, w),
            "off": lambda: off(x, w),
        },
        rounds=rounds,
        calls=2000,
        device=device,
    )
    return [
        *added(found, "two tensors and a result", 1.3, 0.06),
        ("contract(mode='off') is the function itself (1 = yes)", float(off is annotated), None),
    ]


def added(found: Times, what: str, asserts: float, jaxtyping: float) -> list[Row]:
    """What a contract adds to a call, as a share of what others add."""
    return [
        (f"{what}: contract adds, of what asserts add", ratio(found, "contract", "asserts", without="bare"), asserts),
        (f"{what}: of what jaxtyping + beartype adds", ratio(found, "contract", "jaxtyping", without="bare"), jaxtyping),
    ]


class Two(NamedTuple):
    a: Float[Tensor, "b d"]
    b: Float[Tensor, "b d"]


@dataclass
class Both:
    a: Float[Tensor, "b d"]
    b: Float[Tensor, "b d"]


def pair(x: tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
    return x


def listed(x: list[Float[Tensor, "b d"]]) -> list[Float[Tensor, "b d"]]:
    return x


def named(x: Two) -> Two:
    return x


def held(x: Both) -> Both:
    return x


def asserted_parts(kind: type, parts: Callable[[Any], tuple[Tensor, Tensor]]) -> Callable[[Any], Any]:
    """What one would write by hand for a pair that goes in and comes out."""

    def passed(x: Any) -> Any:
        for side in (x, x):
            assert isinstance(side, kind)
            a, b = parts(side)
            assert isinstance(a, Tensor)
            assert a.is_floating_point()
            assert a.ndim == 2
            assert isinstance(b, Tensor)
            assert b.is_floating_point()
            assert b.shape == a.shape
        return x

    return passed


def container_cost(device: str, rounds: int) -> list[Row]:
    x = torch.randn(4, 8, device=device)
    cases: dict[str, tuple[Any, Any, Callable[[Any], Any]]] = {
        "pair": (pair, (x, x), asserted_parts(tuple, lambda side: side)),
        "list of two": (listed, [x, x], asserted_parts(list, lambda side: side)),
        "NamedTuple": (named, Two(x, x), asserted_parts(Two, lambda side: side)),
        "dataclass": (held, Both(x, x), asserted_parts(Both, lambda side: (side.a, side.b))),
    }
    rows: list[Row] = []
    for name, (function, value, by_hand) in cases.items():
        checked, oracle = contract(function), jaxtyped(typechecker=beartype)(function)
        found = timed(
            {
                "bare": partial(function, value),
                "asserts": partial(by_hand, value),
                "contract": partial(checked, value),
                "jaxtyping": partial(oracle, value),
            },
            rounds=rounds,
            calls=1000,
            device=device,
        )
        both = added(found, name, 3.0, 0.15)
        rows += both if name == "pair" else both[:1]  # beartype looks into one element of a list, and not into objects
    return rows


def value_cost(device: str, rounds: int) -> list[Row]:
    scores = torch.randn(32, 128, 1000, device=device)

    def passed(p: Probs[Tensor, "batch t classes"]) -> None:
        return None

    bare, with_history = scores.softmax(-1), scores.clone().requires_grad_().softmax(-1)
    sampled, full = contract(passed, mode="sampled"), contract(passed, mode="full")
    found = timed(
        {
            "softmax": lambda: scores.softmax(-1),
            "full, bare": lambda: full(bare),
            "full, with history": lambda: full(with_history),
            "sampled, bare": lambda: sampled(bare),
            "sampled, with history": lambda: sampled(with_history),
        },
        rounds=rounds,
        calls=10,
        device=device,
    )
    return [
        (f"check of probabilities, of their softmax: {name}", ratio(found, name, "softmax"), 0.35 if "full" in name else 0.02)
        for name in found
        if name != "softmax"
    ]


class Block(nn.Module):
    """One layer of a transformer, with a contract for its input, its attention and its output."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.d, self.heads = d, heads
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.before, self.after = nn.LayerNorm(d), nn.LayerNorm(d)

    def attention(self, x: Tensor) -> Tensor:
        batch, t, d = x.shape
        q, k, v = self.qkv(x).view(batch, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        weights = self.weights(q, k)
        return self.out((weights @ v).transpose(1, 2).reshape(batch, t, d))

    def weights(self, q: Tensor, k: Tensor) -> Tensor:
        return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.before(x))
        return x + self.mlp(self.after(x))


class CheckedBlock(Block):
    """The same with contracts."""

    @contract
    def weights(
        self, q: Float[Tensor, "batch heads t k"], k: Float[Tensor, "batch heads t k"]
    ) -> Probs[Tensor, "batch heads t t"]:
        return super().weights(q, k)

    @contract
    def forward(self, x: Float[Tensor, "batch t {self.d}"]) -> Finite[Tensor, "batch t {self.d}"]:
        return super().forward(x)


class Classifier(nn.Module):
    """Two layers over tokens, and a head."""

    block: type[Block] = Block

    def __init__(self, vocab: int = 1000, d: int = 128, classes: int = 10) -> None:
        super().__init__()
        self.vocab = vocab
        self.embed = nn.Embedding(vocab, d)
        self.blocks = nn.ModuleList(self.block(d, 4) for _ in range(2))
        self.head = nn.Linear(d, classes)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(1))


class CheckedClassifier(Classifier):
    """The same with contracts."""

    block = CheckedBlock

    @contract
    def forward(self, tokens: TokenIds[Tensor, "batch t", below("{self.vocab}")]) -> Logits[Tensor, "batch classes"]:
        return super().forward(tokens)


@contract
def loss_of(scores: Logits[Tensor, "batch classes"], labels: ClassIds[Tensor, "batch", below("classes")]) -> Float[Tensor, ""]:
    return F.cross_entropy(scores, labels)


def training_step(device: str, rounds: int) -> list[Row]:
    tokens, labels = torch.randint(1000, (32, 64), device=device), torch.randint(10, (32,), device=device)

    def step_of(
        model: Classifier, loss: Callable[[Tensor, Tensor], Tensor], around: Callable[[], AbstractContextManager[object]]
    ) -> Callable[[], None]:
        model = model.to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

        def run() -> None:
            with around():
                optimizer.zero_grad()
                loss(model(tokens), labels).backward()
                optimizer.step()

        return run

    @contextmanager
    def checked(name: str) -> Iterator[None]:
        with contracts.mode(name), contracts.step():
            yield

    variants = {
        "bare": step_of(Classifier(), F.cross_entropy, nullcontext),
        "off": step_of(CheckedClassifier(), loss_of, lambda: contracts.mode("off")),
        "full": step_of(CheckedClassifier(), loss_of, lambda: checked("full")),
    }
    if importlib.util.find_spec("mldbg.contracts.sanitize") is not None:
        from mldbg import sanitize

        variants["sanitize"] = step_of(Classifier(), F.cross_entropy, sanitize)
    found = timed(variants, rounds=rounds, calls=2, device=device)
    goals = {"full": 1.05, "sanitize": 1.15, "off": 1.01}
    rows: list[Row] = []
    for name, goal in goals.items():
        if name in found:
            rows.append((f"training step of a transformer, {name}, of the bare step", ratio(found, name, "bare"), goal))
    return rows


class Perceptron(nn.Module):
    """Three layers, of which a training step takes less than a millisecond."""

    def __init__(self, d: int = 64, hidden: int = 256, classes: int = 10) -> None:
        super().__init__()
        self.d = d
        sizes = [d, hidden, hidden, classes]
        layers = [layer for one, other in pairwise(sizes) for layer in (nn.Linear(one, other), nn.ReLU())]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class CheckedPerceptron(Perceptron):
    """The same with contracts."""

    @contract
    def forward(self, x: Float[Tensor, "batch {self.d}"]) -> Logits[Tensor, "batch classes"]:
        return self.layers(x)


def small_step(device: str, rounds: int) -> list[Row]:
    x, labels = torch.randn(64, 64, device=device), torch.randint(10, (64,), device=device)

    def step_of(model: nn.Module, loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[], None]:
        optimizer = torch.optim.SGD(model.to(device).parameters(), lr=1e-3, momentum=0.9)

        def run() -> None:
            optimizer.zero_grad()
            loss(model(x), labels).backward()
            optimizer.step()

        return run

    variants = {"bare": step_of(Perceptron(), F.cross_entropy), "checked": step_of(CheckedPerceptron(), loss_of)}
    found = timed(variants, rounds=rounds, calls=50, device=device)
    return [("training step of a small MLP, default mode, of the bare step", ratio(found, "checked", "bare"), 1.1)]


def compiling(device: str) -> list[Row]:
    """Frames that torch.compile makes over four batch sizes, beyond those of the plain model; a graph break would raise."""
    frames = {}
    for name, model in {"plain": Classifier(), "checked": CheckedClassifier()}.items():
        torch._dynamo.reset()
        counter = CompileCounter()
        compiled = torch.compile(model.to(device), backend=counter, fullgraph=True)
        with contracts.mode("full"):
            for batch in (3, 5, 8, 13):
                compiled(torch.randint(1000, (batch, 16), device=device))
        frames[name] = counter.frame_count
    return [("graphs compiled over four batch sizes, beyond the plain model's", frames["checked"] - frames["plain"], 0.0)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1, help="of torch on the CPU; one, so that other programs disturb less")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("no CUDA device: torch.cuda.is_available() is False")
        return 2
    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else f"CPU, {torch.get_num_threads()} threads"
    print(f"torch {torch.__version__}, {name}, medians of {options.rounds} rounds\n")
    missed = False
    rows = [
        *call_cost(options.device, options.rounds),
        *container_cost(options.device, options.rounds),
        *value_cost(options.device, options.rounds),
        *training_step(options.device, options.rounds),
        *small_step(options.device, options.rounds),
        *compiling(options.device),
    ]
    for title, ratio, goal in rows:
        late = goal is not None and ratio > goal
        missed |= late
        note = "" if goal is None else f"at most {goal:g}" + ("  MISSED" if late else "")
        print(f"{title:<66} {ratio:8.3f}   {note}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
