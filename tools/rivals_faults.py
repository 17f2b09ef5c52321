"""The 18 faults that all tools are tried on, injected into healthy hosts. Needs no more than torch and numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mldbg.verify.experiment import Experiment
from mldbg.verify.hosts import HOSTS

Change = Callable[[Experiment], Experiment]


@dataclass(frozen=True, slots=True)
class Case:
    """One fault in one host; `causes` are the names under which this project's report may name it."""

    name: str
    host: str
    inject: Change
    causes: tuple[str, ...]


def healthy(host: str, seed: int) -> Experiment:
    """A host as it is."""
    return next(each for each in HOSTS if each.name == host).experiment(seed)


# --------------------------------------------------------------------------------------------------------- changing a host
class Around(nn.Module):
    """A model with something done before and after it."""

    def __init__(
        self, model: nn.Module, before: Callable[[Tensor], Tensor] | None, after: Callable[[Tensor], Tensor] | None
    ) -> None:
        super().__init__()
        self.model = model
        self.before = before
        self.after = after

    def forward(self, x: Tensor) -> Tensor:
        x = self.before(x) if self.before else x
        output: Tensor = self.model(x)
        return self.after(output) if self.after else output


def around(before: Callable[[Tensor], Tensor] | None = None, after: Callable[[Tensor], Tensor] | None = None) -> Change:
    return lambda e: replace(e, model=lambda: Around(e.model(), before, after))


def edited(edit: Callable[[nn.Module], None]) -> Change:
    def inject(e: Experiment) -> Experiment:
        def made() -> nn.Module:
            model = e.model()
            edit(model)
            return model

        return replace(e, model=made)

    return inject


def inserted(layer: int, module: Callable[[], nn.Module]) -> Change:
    """One module more in an `nn.Sequential`."""

    def inject(e: Experiment) -> Experiment:
        def made() -> nn.Module:
            layers = list(e.model())  # type: ignore[call-overload]  # the host's model is a Sequential
            return nn.Sequential(*layers[:layer], module(), *layers[layer:])

        return replace(e, model=made)

    return inject


def fed(change: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> Change:
    """All data changed in the same way: batch, loader, arrays."""

    def batches(e: Experiment) -> Iterable[Any]:
        assert e.loader
        return [change(x, y) for x, y in e.loader()]

    def arrays(part: Callable[[], Any] | None) -> Callable[[], Any] | None:
        return part and (lambda: tuple(each.numpy() for each in change(*map(torch.as_tensor, part()))))

    return lambda e: replace(
        e,
        batch=lambda: change(*e.batch()),
        loader=lambda: batches(e),
        train=arrays(e.train),
        test=arrays(e.test),
    )


class Lambda(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


# -------------------------------------------------------------------------------------------------------------- the 18 faults
def _frozen(model: nn.Module) -> None:
    model[2].requires_grad_(requires_grad=False)  # type: ignore[index]


def _dead(model: nn.Module) -> None:
    model[0].bias.data.fill_(-100.0)  # type: ignore[index]


def _mixed(x: Tensor) -> Tensor:
    return x.reshape(x.shape[1], x.shape[0]).t()


def _without_head(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(list(model.parameters())[:-2], 3e-3)


def _root(h: Tensor) -> Tensor:
    """Finite forward; the gradient of the branch that is not taken is NaN."""
    return torch.where(h > 0, h.sqrt(), torch.zeros_like(h))


def _shuffled(e: Experiment) -> Experiment:
    """Labels of the training part dealt out anew, once: the same row always has the same wrong label."""

    def wrong(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        code = (x.double() * 1e4).sum(1).round().long() * 2654435761 % 1000003
        return x, code % 4

    return replace(fed(wrong)(e), test=e.test)


def _with_target(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return torch.cat([x[:, :-1], y[:, None].to(x.dtype)], 1), y


FAULTS: tuple[Case, ...] = (
    Case("double softmax", "mlp", around(after=lambda z: z.softmax(1)), ("softmax-before-cross-entropy",)),
    Case(
        "MSE of (N, 1) against (N,)",
        "regression",
        fed(lambda x, y: (x, y.reshape(-1))),
        ("mse-broadcast",),
    ),
    Case(
        "sum reduction",
        "mlp",
        lambda e: replace(e, loss=lambda o, t: functional.cross_entropy(o, t, reduction="sum")),
        ("sum-reduction",),
    ),
    Case(
        "loss sign flipped",
        "mlp",
        lambda e: replace(e, loss=lambda o, t: -functional.cross_entropy(o, t)),
        ("loss-sign-flipped",),
    ),
    Case("detached backbone", "mlp", inserted(4, lambda: Lambda(Tensor.detach)), ("detached",)),
    Case("undeclared frozen layer", "mlp", edited(_frozen), ("undeclared-frozen",)),
    Case("optimizer misses head", "mlp", lambda e: replace(e, optimizer=_without_head), ("not-in-optimizer",)),
    Case("raw pixels 0-255", "cnn", fed(lambda x, y: ((x * 50 + 128).clamp(0, 255), y)), ("unscaled-input",)),
    Case("batch mixing by view", "mlp", around(before=_mixed), ("batch-mixing",)),
    Case("softmax over batch", "mlp", inserted(4, lambda: nn.Softmax(0)), ("softmax-over-batch", "batch-mixing")),
    Case("dead ReLU", "mlp", edited(_dead), ("dead-units",)),
    Case("dropout .95", "mlp", inserted(4, lambda: nn.Dropout(0.95)), ("too-much-dropout", "dropout-too-strong")),
    Case(
        "lr 1e-7",
        "mlp",
        lambda e: replace(e, optimizer=lambda m: torch.optim.Adam(m.parameters(), 1e-7)),
        ("learning-rate-too-low",),
    ),
    Case(
        "lr 10",
        "mlp",
        lambda e: replace(e, optimizer=lambda m: torch.optim.Adam(m.parameters(), 10.0)),
        ("learning-rate-too-high",),
    ),
    Case("shuffled labels", "mlp", _shuffled, ("labels-do-not-match-inputs",)),
    Case("constant input", "mlp", fed(lambda x, y: (torch.ones_like(x), y)), ("constant-input",)),
    Case("NaN gradient", "mlp", inserted(3, lambda: Lambda(_root)), ("undefined-gradient",)),
    Case("target in features", "mlp", fed(_with_target), ("target-in-features",)),
)
