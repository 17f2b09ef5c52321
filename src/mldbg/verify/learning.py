"""What the learning checks share: what there is to learn on a batch, and training a model for some steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from mldbg.verify.bench import Bench, copied, has_square, main_tensor, mapped, tensors_in, with_main
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.probe import Link, identity, link_of
from mldbg.verify.state import seeded

SEEDS = 5
"""Fresh models of a measurement with error bars."""

STEPS = 100
"""Steps of such a training run."""

UNBOUNDED = 1e3
"""A loss so many times its value at the start below zero has no minimum."""


# --------------------------------------------------------------------------------------------------------- what can be learned
@dataclass(frozen=True, slots=True)
class Stakes:
    """What there is to learn on a batch.

    Attributes:
        null: the loss of the best output that does not depend on the input: for cross-entropy the entropy of the classes, for
            the squared error the variance of the targets.
        floor: the least loss of any function of the inputs. Label smoothing lifts it, and so do rows with the same inputs and
            different targets.
    """

    null: float
    floor: float

    def share(self, loss: float) -> float:
        """What of it is left to be learned at a loss: 1 at the null, 0 at the floor; infinite for a loss that is not finite."""
        return (loss - self.floor) / (self.null - self.floor) if math.isfinite(loss) else math.inf


def stakes(bench: Bench) -> Stakes | None:
    """The stakes of the first batch, or None where the loss has no floor, or does not depend on the output alone.

    Both ends are found by minimising the user's loss over outputs: one output for all rows, and one for each distinct input.
    """
    return bench.once("stakes", lambda: _stakes(bench))


def _stakes(bench: Bench) -> Stakes | None:
    main = main_tensor(bench.output)
    if main is None or main.shape[:1] != (bench.size,) or not bool(torch.isfinite(main).all()):
        return None
    same = torch.zeros(_places(bench, main), dtype=torch.long, device=main.device)
    null = least_loss(bench, main, same)
    floor = least_loss(bench, main, _distinct(bench, main))
    if null is None or floor is None or not null - floor > 1e-6 * max(abs(null), abs(floor)):
        return None
    return Stakes(null, floor)


def _places(bench: Bench, main: Tensor) -> tuple[int, ...]:
    """The leading axes of the output over which predictions are made: rows, and positions that have class ids of their own."""
    targets = bench.first[1]
    positions = main.ndim == 3 and isinstance(targets, Tensor) and targets.shape == main.shape[:2] and bench.classes is not None
    return tuple(main.shape[: 2 if positions else 1])


def _distinct(bench: Bench, main: Tensor) -> Tensor:
    """The number of the distinct input of each place; of a causal model the input is what comes before."""
    places = _places(bench, main)
    rows = [tensor for tensor in tensors_in(bench.first[0]) if tensor.shape[:1] == (bench.size,)]
    of_rows = _numbered([b"".join(_bytes(tensor[row]) for tensor in rows) for row in range(bench.size)])
    if len(places) == 1:
        return torch.tensor(of_rows, device=main.device)
    length = places[1]
    timed = [tensor for tensor in rows if tensor.ndim >= 2 and tensor.shape[1] == length]
    prefixes = [
        (at, b"".join(_bytes(tensor[row, : at + 1]) for tensor in timed)) for row in range(bench.size) for at in range(length)
    ]
    of_prefixes = torch.tensor(_numbered(prefixes), device=main.device).reshape(places)
    if timed and _is_function_of(main, of_prefixes):
        return of_prefixes
    apart = torch.tensor(of_rows, device=main.device)[:, None] * length
    return apart + torch.arange(length, device=main.device)


def _is_function_of(main: Tensor, number: Tensor) -> bool:
    """Whether places with the same number have the same output, up to rounding: then the model cannot tell them apart."""
    flat, of = main.reshape(number.numel(), -1).double(), number.reshape(-1)
    first = {int(each): place for place, each in reversed(list(enumerate(of)))}
    like = flat[torch.tensor([first[int(each)] for each in of], device=flat.device)]
    return bool(torch.allclose(flat, like, rtol=1e-3, atol=1e-3 * float(flat.std())))


def _numbered(keys: Sequence[object]) -> list[int]:
    order: dict[object, int] = {}
    return [order.setdefault(key, len(order)) for key in keys]


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def least_loss(bench: Bench, main: Tensor, number: Tensor) -> float | None:
    """The least loss over outputs that are free for each number, shape of the places; None where it has no minimum.

    Outputs are free, or of the kind that the model gives where that is lower: a search that starts outside of a loss's domain
    stops early.
    """
    links = dict.fromkeys((identity, link_of(main)))
    found = [_minimum(bench, main, number, link) for link in links]
    return min((each for each in found if each is not None), default=None)


def _minimum(bench: Bench, main: Tensor, number: Tensor, link: Link) -> float | None:
    """L-BFGS from zero; None for a loss that raises, has no gradient here, or falls without end."""
    count = int(number.max()) + 1
    with torch.enable_grad():
        free = torch.zeros(count, *main.shape[number.ndim :], dtype=main.dtype, device=main.device, requires_grad=True)
        search = torch.optim.LBFGS(
            [free], max_iter=80, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
        )
        seen: list[float] = []

        def closure() -> Tensor:
            bench.tick()
            search.zero_grad()
            loss = bench.loss(with_main(bench.output, link(free[number])), copied(bench.first[1]))
            if not loss.requires_grad:
                raise ExperimentError("the loss does not depend on the output")
            loss.backward()  # type: ignore[no-untyped-call]
            seen.append(float(loss.detach()))
            return loss

        try:
            search.step(closure)  # type: ignore[no-untyped-call]
        except (ExperimentError, RuntimeError):  # torch's line search overflows where the loss falls without end
            return None
    finite = [value for value in seen if math.isfinite(value)]
    if not finite or min(finite) < -UNBOUNDED * max(abs(seen[0]), 1e-30):
        return None
    return min(finite)


# ------------------------------------------------------------------------------------------------------------------- training
def trained(
    bench: Bench,
    model: nn.Module,
    optimizer: Optimizer,
    steps: int,
    batch: tuple[Any, Any] | None = None,
    seed: int = 0,
) -> tuple[float, ...]:
    """Losses of so many steps on one batch (the first one); fewer where the loss is not finite."""
    inputs, targets = batch or bench.first
    losses: list[float] = []
    with seeded(bench.experiment.seed + seed):
        for _ in range(steps):
            losses.append(bench.step(model, optimizer, copied(inputs), copied(targets)))
            if not math.isfinite(losses[-1]):
                break
    return tuple(losses)


def optimizer_of(bench: Bench, model: nn.Module, seed: int = 0, factor: float = 1.0) -> Optimizer:
    """The user's optimizer with its learning rates times a factor; `adam` where there is none."""
    optimizer = bench.optimizer(model, seed)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * factor
    return optimizer


def trial(bench: Bench, seed: int, factor: float = 1.0, steps: int = STEPS) -> tuple[float, ...]:
    """The losses of a fresh model on the first batch with the user's learning rate times a factor."""

    def run() -> tuple[float, ...]:
        model = bench.model(seed)
        return trained(bench, model, optimizer_of(bench, model, seed, factor), steps, seed=seed)

    return bench.once(("trial", seed, factor, steps), run)


def end_of(losses: Sequence[float]) -> float:
    """The mean loss of the last quarter; infinite where training ended in a loss that is not finite."""
    tail = np.asarray(losses[-max(len(losses) // 4, 1) :])
    return float(tail.mean()) if np.isfinite(tail).all() else math.inf


def still_falling(losses: Sequence[float], floor: float, share: float = 0.05) -> bool:
    """Whether from the third to the last quarter a curve lost more than a share of what is left above the floor.

    A power law t^-a loses about a third of a, an exponential more; only a curve at rest loses nothing. One that falls at the end
    at least half as fast as at the start has not come to rest either, however slow it is.
    """
    quarter = len(losses) // 4
    if quarter < 2:
        return True
    first, second = float(np.mean(losses[:quarter])), float(np.mean(losses[quarter : 2 * quarter]))
    third, last = float(np.mean(losses[-2 * quarter : -quarter])), end_of(losses)
    fall, left = third - last, last - floor
    return fall > share * left or (fall > share / 50 * left and fall > 0.5 * (first - second))


def can_be_permuted(bench: Bench) -> bool:
    """Whether targets are one tensor with a row for each input, at least 8, and not all the same."""
    targets = bench.first[1]
    return (
        isinstance(targets, Tensor)
        and bench.size >= 8
        and targets.shape[:1] == (bench.size,)
        and len(torch.unique(targets, dim=0)) > 1
    )


def can_be_sliced(bench: Bench) -> bool:
    """Whether every tensor of the batch has a row for each example, none is a matrix over rows, as of a graph, and model and loss
    take half of the rows.
    """
    tensors = list(tensors_in(bench.first))
    if not all(tensor.shape[:1] == (bench.size,) for tensor in tensors) or has_square(bench.first[0], bench.size):
        return False

    def takes_half() -> bool:
        try:
            bench.evaluated(bench.model(0), *copied(rows(bench.first, slice(bench.size // 2, None))))
        except ExperimentError:
            return False
        return True

    return bench.once("takes half of the rows", takes_half)


def batches(bench: Bench, most: int) -> list[tuple[Any, Any]]:
    """As many different batches as the factory makes; some make only one."""
    found = [bench.first]
    for seed in range(1, most):
        batch = bench.batch(seed)
        before, after = list(tensors_in(bench.first)), list(tensors_in(batch))
        if len(before) == len(after) and all(torch.equal(a, b) for a, b in zip(before, after, strict=True)):
            break
        found.append(batch)
    return found


def rows(batch: Any, index: Tensor | slice) -> Any:
    """Some rows of a batch."""
    return mapped(batch, lambda tensor: tensor[index])


def tangent_rank(bench: Bench, most: int = 512) -> tuple[int, int]:
    """In how many directions parameters can move the outputs of the first batch, of how many that the loss asks for.

    Each output is asked for by a row of the Jacobian of outputs by parameters, of a fresh model in evaluation mode; of more than
    `most` rows a random selection is taken. The gradient of the loss tells which directions count: for cross-entropy all but one
    of each row's logits.
    """
    model = bench.model(0).eval()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    output = bench.run(model, copied(bench.first[0]))
    main = main_tensor(output)
    if main is None or not main.requires_grad:
        return 0, 1
    flat = main.reshape(bench.size, -1)
    if bench.classes is not None and flat.shape[1] == bench.classes:
        flat = flat[:, 1:] - flat[:, :1]
    flat = flat.reshape(-1)
    chosen = bench.rng("tangent").permutation(flat.numel())[:most]
    jacobian = []
    for index in chosen:
        bench.tick()
        grads = torch.autograd.grad(flat[int(index)], parameters, retain_graph=True, allow_unused=True)
        jacobian.append(torch.cat([grad.reshape(-1).double() for grad in grads if grad is not None]))  # type: ignore[redundant-expr]  # allow_unused
    width = max(len(row) for row in jacobian)
    matrix = torch.stack([functional.pad(row, (0, width - len(row))) for row in jacobian])
    gram = matrix @ matrix.T
    scale = gram.diagonal().clamp_min(1e-300).sqrt()
    values = torch.linalg.eigvalsh(gram / scale[:, None] / scale)
    return int((values > 1e-6 * values.max()).sum()), len(chosen)
