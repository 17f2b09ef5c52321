"""Healthy experiments on synthetic data: faults are injected into them, and checks must pass them as they are.

Every host draws its data and its task from a seed, can be learnt, and is small. Each has something of healthy practice that a
hasty check calls a fault: noisy labels, a frozen layer that is declared, masked positions, BatchNorm, a bottleneck, one logit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Host

Data = tuple[Tensor, Tensor]

TRAIN, TEST = 512, 256
"""Rows of data."""

BATCH = 64
"""Rows of a batch."""


# ------------------------------------------------------------------------------------------------------- what hosts share
def _generator(seed: int, host: str) -> torch.Generator:
    return torch.Generator().manual_seed(1000 * seed + sum(host.encode()))


def _halves(x: Tensor, y: Tensor) -> tuple[Data, Data]:
    return (x[:TRAIN], y[:TRAIN]), (x[TRAIN:], y[TRAIN:])


def _standardised(x: Tensor) -> Tensor:
    """Columns of shape (rows, features) in units of the training part's standard deviation."""
    return (x - x[:TRAIN].mean(0)) / x[:TRAIN].std(0, correction=0)


def _loader(data: Data, rows: int = BATCH) -> Callable[[], Iterable[Any]]:
    return lambda: DataLoader(TensorDataset(*data), batch_size=rows, shuffle=True)


def _batch(data: Data, rows: int = BATCH) -> Callable[[], Data]:
    def draw() -> Data:
        chosen = torch.randperm(len(data[0]))[:rows]
        return data[0][chosen], data[1][chosen]

    return draw


def _arrays(data: Data) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    return lambda: (data[0].numpy(), data[1].numpy())


def _evaluation(data: Data, score: Callable[[Tensor, Tensor], Tensor]) -> Callable[[nn.Module], float]:
    """Scores a model in evaluation mode on its own device, and leaves it in the mode it was in."""

    def evaluate(model: nn.Module) -> float:
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        with torch.no_grad():
            value = float(score(model(data[0].to(device)), data[1].to(device)))
        model.train(training)
        return value

    return evaluate


def _accuracy(output: Tensor, target: Tensor) -> Tensor:
    return (output.argmax(1) == target).float().mean()


def _adam(rate: float) -> Callable[[nn.Module], torch.optim.Optimizer]:
    return lambda model: torch.optim.Adam((each for each in model.parameters() if each.requires_grad), rate)


# ----------------------------------------------------------------------------------------------------------------- the hosts
def linear(seed: int) -> Experiment:
    """Logistic regression: one logit of shape (B,), targets 0.0 and 1.0, noisy labels."""
    draw = _generator(seed, "linear")
    x = _standardised(torch.randn(TRAIN + TEST, 40, generator=draw))
    score = x @ torch.randn(40, generator=draw)
    y = (score + torch.randn(len(x), generator=draw) > 0).float()
    train, test = _halves(x, y)
    return Experiment(
        lambda: nn.Sequential(nn.Linear(40, 1), nn.Flatten(0)),
        _batch(train),
        functional.binary_cross_entropy_with_logits,
        optimizer=_adam(0.1),
        loader=_loader(train),
        train=_arrays(train),
        test=_arrays(test),
        evaluate=_evaluation(test, lambda output, target: ((output > 0) == (target > 0)).float().mean()),
        reduction="mean",
        output_shape=(-1,),
        seed=seed,
    )


def mlp(seed: int) -> Experiment:
    """A multilayer perceptron on four classes, made by another such network."""
    draw = _generator(seed, "mlp")
    x = torch.randn(TRAIN + TEST, 20, generator=draw)
    hidden = torch.tanh(x @ torch.randn(20, 12, generator=draw) / 20**0.5)
    y = (hidden @ torch.randn(12, 4, generator=draw)).argmax(1)
    train, test = _halves(x, y)

    def made(width: int) -> nn.Module:
        hidden = [layer for _ in range(3) for layer in (nn.Linear(width, width), nn.ReLU())]
        return nn.Sequential(nn.Linear(20, width), nn.ReLU(), *hidden, nn.Linear(width, 4))

    return Experiment(
        lambda: made(64),
        _batch(train),
        functional.cross_entropy,
        optimizer=_adam(3e-3),
        loader=_loader(train),
        train=_arrays(train),
        test=_arrays(test),
        evaluate=_evaluation(test, _accuracy),
        width=lambda factor: made(4 * factor),
        runs=({"code": "a1", "config": {"rate": 0.003}, "seed": 0}, {"code": "a1", "config": {"rate": 0.001}, "seed": 0}),
        reduction="mean",
        output_shape=(-1, 4),
        seed=seed,
    )


class _Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.stem.requires_grad_(requires_grad=False)
        self.body = nn.Sequential(nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(16 * 4 * 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.stem(x)))
        return logits


def cnn(seed: int) -> Experiment:
    """Convolutions on images of 8 x 8 with four kinds of stripes; the first layer is frozen and declared so."""
    draw = _generator(seed, "cnn")
    y = torch.randint(0, 4, (TRAIN + TEST,), generator=draw)
    row, column = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    waves = torch.stack([row, column, row + column, row - column])[y]
    phase = 6.28 * torch.rand(len(y), 1, 1, generator=draw)
    x = (torch.sin(1.5 * waves + phase) + 0.3 * torch.randn(len(y), 8, 8, generator=draw))[:, None]
    train, test = _halves(x / x.std(), y)
    return Experiment(
        _Convolutions,
        _batch(train),
        functional.cross_entropy,
        optimizer=_adam(3e-3),
        loader=_loader(train),
        evaluate=_evaluation(test, _accuracy),
        frozen=("stem.*",),
        render=lambda axes, image, label: axes.imshow(np.asarray(image)[0], cmap="gray"),
        reduction="mean",
        output_shape=(-1, 4),
        seed=seed,
    )


class _Transformer(nn.Module):
    """Two causal layers on token ids of shape (B, T); logits of shape (B, T, tokens)."""

    def __init__(self, tokens: int, width: int = 32, longest: int = 32) -> None:
        super().__init__()
        self.tokens = nn.Embedding(tokens, width)
        self.places = nn.Embedding(longest, width)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, tokens)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        mask = torch.full((length, length), -torch.inf, device=ids.device, dtype=self.head.weight.dtype).triu(1)
        hidden = self.tokens(ids) + self.places(torch.arange(length, device=ids.device))
        logits: Tensor = self.head(self.layers(hidden, mask=mask))
        return logits


def transformer(seed: int) -> Experiment:
    """A causal language model on a Fibonacci sequence modulo 13; the first token of the answer, which is free, is masked."""
    draw = _generator(seed, "transformer")
    columns = [torch.randint(0, 13, (TRAIN + TEST,), generator=draw) for _ in range(2)]
    while len(columns) < 12:
        columns.append((columns[-1] + columns[-2]) % 13)
    ids = torch.stack(columns, 1)
    x, y = ids[:, :-1], ids[:, 1:].clone()
    y[:, 0] = -100
    train, _ = _halves(x, y)

    def padded(inputs: Tensor, targets: Tensor) -> Data:
        return functional.pad(inputs, (0, 3)), functional.pad(targets, (0, 3), value=-100)

    return Experiment(
        lambda: _Transformer(13),
        _batch(train, 32),
        lambda output, target: functional.cross_entropy(output.flatten(0, 1), target.flatten()),
        optimizer=_adam(3e-3),
        loader=_loader(train, 32),
        time_axis=1,
        pad=padded,
        reduction="mean",
        output_shape=(-1, 11, 13),
        seed=seed,
    )


class Characters:
    """A tokenizer with an id for each character it knows; 0 stands for all others."""

    def __init__(self, alphabet: str) -> None:
        self.alphabet = alphabet
        self.ids = {character: index for index, character in enumerate(alphabet, 1)}

    def encode(self, text: str) -> list[int]:
        """One id for each character."""
        return [self.ids.get(character, 0) for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        """The text; unknown characters come out as a replacement character."""
        return "".join("\ufffd" if index == 0 else self.alphabet[index - 1] for index in ids)


class _Recurrent(nn.Module):
    def __init__(self, tokens: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, 16)
        self.memory = nn.GRU(16, 32, batch_first=True)
        self.head = nn.Linear(32, classes)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.memory(self.embedding(ids))[0][:, -1])
        return logits


def rnn(seed: int) -> Experiment:
    """A recurrent net that tells three made-up languages apart, from the characters of texts of length 16."""
    draw = _generator(seed, "rnn")
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ."
    y = torch.randint(0, 3, (TRAIN + TEST,), generator=draw)
    frequencies = torch.rand(3, len(alphabet), generator=draw) ** 2
    letters = torch.multinomial(frequencies[y], 16, replacement=True, generator=draw)
    texts = ["".join(alphabet[index] for index in row) for row in letters.tolist()]
    tokenizer = Characters(alphabet)
    train, test = _halves(torch.tensor([tokenizer.encode(text) for text in texts]), y)
    return Experiment(
        lambda: _Recurrent(len(alphabet) + 1, 3),
        _batch(train),
        functional.cross_entropy,
        optimizer=_adam(5e-3),
        loader=_loader(train),
        tokenizer=tokenizer,
        texts=texts,
        evaluate=_evaluation(test, _accuracy),
        reduction="mean",
        output_shape=(-1, 3),
        seed=seed,
    )


def autoencoder(seed: int) -> Experiment:
    """An autoencoder with a bottleneck of 6 for 16 features that vary in 2 directions; the targets are the inputs."""
    draw = _generator(seed, "autoencoder")
    x = torch.sin(torch.randn(TRAIN, 2, generator=draw) @ torch.randn(2, 16, generator=draw))
    x = x + 0.02 * torch.randn(x.shape, generator=draw)
    rows = _batch((x, x))
    return Experiment(
        lambda: nn.Sequential(nn.Linear(16, 48), nn.Tanh(), nn.Linear(48, 6), nn.Linear(6, 48), nn.Tanh(), nn.Linear(48, 16)),
        rows,
        functional.mse_loss,
        optimizer=_adam(1e-2),
        loader=_loader((x, x)),
        reduction="mean",
        output_shape=(-1, 16),
        seed=seed,
    )


def _recent_mean(table: np.ndarray) -> np.ndarray:
    """Each row minus the mean of the five rows up to it: shape (rows, columns)."""
    sums = np.cumsum(np.vstack([np.zeros((1, table.shape[1])), table]), axis=0)
    ends = np.arange(1, len(table) + 1)
    starts = np.maximum(ends - 5, 0)
    return np.asarray(table - (sums[ends] - sums[starts]) / (ends - starts)[:, None])


def tabular(seed: int) -> Experiment:
    """Two unequal classes from 12 columns of measured people, several rows each; BatchNorm and Dropout."""
    draw = _generator(seed, "tabular")
    people = (TRAIN + TEST) // 4
    x = _standardised(torch.exp(0.5 * torch.randn(TRAIN + TEST, 12, generator=draw)) + torch.arange(12.0))
    score = x[:, 0] * x[:, 1] + x[:, 2] - x[:, 3] + 0.5 * torch.randn(len(x), generator=draw)
    y = (score > score.quantile(0.65)).long()
    train, test = _halves(x, y)
    person = np.repeat(np.arange(people), 4)
    walk = np.cumsum(torch.randn(200, 3, generator=draw, dtype=torch.float64).numpy(), axis=0)

    def made(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(12, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 2))

    return Experiment(
        lambda: made(64),
        _batch(train),
        functional.cross_entropy,
        optimizer=lambda model: torch.optim.AdamW(model.parameters(), 1e-2),
        loader=_loader(train),
        train=_arrays(train),
        test=_arrays(test),
        groups=lambda: (person[:TRAIN], person[TRAIN:]),
        pipeline=_recent_mean,
        frame=walk.copy,
        evaluate=_evaluation(test, _accuracy),
        width=lambda factor: made(4 * factor),
        reduction="mean",
        output_shape=(-1, 2),
        seed=seed,
    )


def regression(seed: int) -> Experiment:
    """A multilayer perceptron for one number, output and target of shape (B, 1), noise of a tenth of its variance."""
    draw = _generator(seed, "regression")
    x = _standardised(torch.randn(TRAIN + TEST, 10, generator=draw).double()).float()
    clean = torch.sin(x[:, 0]) + 0.5 * x[:, 1] * x[:, 2] + 0.5 * x[:, 3]
    y = clean + 0.3 * clean.std() * torch.randn(len(x), generator=draw)
    y = ((y - y[:TRAIN].mean()) / y[:TRAIN].std())[:, None]
    train, test = _halves(x, y)

    def made(width: int) -> nn.Module:
        return nn.Sequential(nn.Linear(10, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    return Experiment(
        lambda: made(64),
        _batch(train),
        functional.mse_loss,
        optimizer=_adam(3e-3),
        loader=_loader(train),
        train=lambda: (train[0].numpy(), train[1][:, 0].numpy()),
        test=lambda: (test[0].numpy(), test[1][:, 0].numpy()),
        evaluate=_evaluation(test, functional.mse_loss),
        width=lambda factor: made(4 * factor),
        reduction="mean",
        output_shape=(-1, 1),
        seed=seed,
    )


# ------------------------------------------------------------------------------------------------------------------- traits
_GIVEN = frozenset({"optimizer", "loader", "reduction", "output_shape"})
_ARRAYS = frozenset({"arrays", "train", "test"})

HOSTS: tuple[Host, ...] = (
    Host("linear", linear, _GIVEN | _ARRAYS | {"binary", "floats", "vectors", "evaluate"}),
    Host("mlp", mlp, _GIVEN | _ARRAYS | {"classification", "floats", "vectors", "hidden", "relu", "evaluate", "width", "runs"}),
    Host("cnn", cnn, _GIVEN | {"classification", "floats", "images", "hidden", "relu", "frozen", "evaluate", "render"}),
    Host(
        "transformer",
        transformer,
        _GIVEN | {"classification", "tokens", "hidden", "dropout", "sequence", "causal", "time_axis", "pad"},
    ),
    Host("rnn", rnn, _GIVEN | {"classification", "tokens", "hidden", "tokenizer", "texts", "evaluate"}),
    Host("autoencoder", autoencoder, _GIVEN | {"regression", "floats", "vectors", "hidden"}),
    Host(
        "tabular",
        tabular,
        _GIVEN
        | _ARRAYS
        | {"classification", "floats", "vectors", "hidden", "relu", "dropout", "batchnorm", "groups", "pipeline", "frame"}
        | {"evaluate", "width"},
    ),
    Host("regression", regression, _GIVEN | _ARRAYS | {"regression", "floats", "vectors", "hidden", "evaluate", "width"}),
)
