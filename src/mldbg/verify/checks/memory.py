from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.learning import can_be_sliced, optimizer_of, rows
from mldbg.verify.outcome import Figure, Outcome

STEPS = 5
"""Training steps."""

SETTLED = 3
"""Steps at the end whose growth counts; the first ones fill caches."""

SQUARE = {"cpu": 0.01, "cuda": 0.05}
"""Share of the memory of rows, in the whole batch, that grows with the square of its size. On a CPU saved tensors are counted to
the byte (without a square it is 1e-14); CUDA's allocator rounds each tensor up to 512 bytes.
"""

ROUNDING = 0.01
"""Share by which a square may seem smaller in a batch twice as large."""

MARGIN = 0.9
"""Share of the memory that may be planned for."""


class Memory(Check):
    """the memory of a step grows with the batch, and not with the number of steps

    ## Why
    A loss kept with its graph for a running mean keeps every step's graph alive, until memory runs out after hours. And
    whether a larger batch fits is known before it crashes.

    ## Measures
    Leak: the number of nodes of autograd graphs that hang on live tensors after each of five training steps; it must not grow in
    each of the last three. Size: bytes of a step for a quarter, half and the whole batch, from which a + b B + c B^2 follows
    (what looks like a square must not fade in a batch twice as large, of the same rows again), and with it the largest batch that
    fits. On CUDA it is the peak of the allocator for a whole step, optimizer included; on a CPU, where nothing reports a peak,
    the tensors saved for the backward pass, plus weights, gradients and the optimizer's state. No batch size is tried until it
    crashes (on a CPU that would never end).

    ## Causes
    - `loss-graph-kept`: each step leaves a graph behind: a loss or output is stored without `detach()` or `item()`.
    - `memory-grows-with-the-square`: a warning: more than 1 % of the memory of the rows (5 % on CUDA, where the allocator
      rounds) grows with the square of the batch. In a contrastive loss that is so by design (and passes where the output itself
      has a value for each pair of rows), elsewhere it is a broadcast of (B, 1) with (B,).

    ## Limits
    Graphs that are kept in another process or in C++ are not seen. Workspaces of kernels are not counted on a CPU.
    """

    id = "T5"
    stage = Stage.LEARNING
    kind = Kind.EXACT
    after = ("first-non-finite",)
    cost = 0.4

    def run(self, bench: Bench) -> Outcome:
        nodes = _nodes_after_steps(bench)
        growth = np.diff(nodes)[-SETTLED:]
        if bool((growth > 0).all()):
            return self.failed(
                "loss-graph-kept",
                f"every training step leaves {growth[-1]} graph nodes behind",
                "store loss.item() or loss.detach(), not the loss",
                Figure(
                    "Autograd graph nodes alive after each step",
                    lambda canvas: _leak_drawn(canvas, nodes),
                    "A step should leave nothing behind: a flat line.",
                ),
                statistic=float(growth[-1]),
                null="0 nodes per step",
                threshold=0.0,
            )
        if bench.size < 8 or not can_be_sliced(bench):
            return self.passed(
                "no step leaves a graph behind; the batch is too small, or cannot be split, to measure growth", statistic=0.0
            )
        return self._sized(bench)

    def _sized(self, bench: Bench) -> Outcome:
        fit = _fitted(bench, (bench.size // 4, bench.size // 2, bench.size))
        threshold = SQUARE.get(bench.device.type, SQUARE["cuda"])
        grows = fit.share > threshold
        if grows:  # buffers of kernels come in steps, which fade in larger batches; a true square grows
            larger = _fitted(bench, (bench.size // 2, bench.size, 2 * bench.size))
            grows = larger.share > fit.share * (1 - ROUNDING)
            fit = fit if grows else larger
        limit = _memory(bench)
        largest = _largest(fit.square if grows else 0.0, fit.linear, fit.constant, MARGIN * limit)
        numbers: dict[str, Any] = {
            "figure": Figure(
                "Memory of one training step against the batch size",
                lambda canvas: _drawn(canvas, fit, limit),
                "Marks: measured. Line: fit of a + b B + c B^2. Dashed: device memory.",
            ),
            "statistic": fit.share,
            "null": "0: memory is linear in the batch size",
            "threshold": threshold,
            "bytes": fit.measured.tolist(),
            "sizes": fit.sizes.tolist(),
            "largest_batch": largest,
        }
        room = f"about {largest:.2g} rows fit into {limit / 2**30:.3g} GiB"
        if grows and not _is_pairwise(bench):
            return self.warned(
                "memory-grows-with-the-square",
                f"{fit.share:.0%} of the {(fit.measured[-1] - fit.constant) / 2**20:.3g} MiB that the rows of a step "
                f"use grows with the square of the batch; {room}",
                "look for a broadcast of (B, 1) with (B,), unless all rows are compared with each other on purpose",
                **numbers,
            )
        return self.passed(
            f"no step leaves a graph behind; a step uses {fit.constant / 2**20:.3g} MiB and {fit.linear / 2**10:.3g} KiB "
            f"per row: {room}",
            **numbers,
        )


@dataclass(frozen=True, slots=True)
class _Fit:
    """Bytes of a step for three batch sizes B, and a + b B + c B^2 through them."""

    sizes: np.ndarray
    measured: np.ndarray
    constant: float
    linear: float
    square: float

    @property
    def share(self) -> float:
        """What grows with the square, of the memory of the rows of the largest batch."""
        return self.square * float(self.sizes[-1]) ** 2 / max(float(self.measured[-1]) - self.constant, 1.0)


def _fitted(bench: Bench, sizes: tuple[int, ...]) -> _Fit:
    measured = np.array([_bytes_of_step(bench, size) for size in sizes], dtype=float)
    square, linear, constant = (float(each) for each in np.polyfit(sizes, measured, 2))
    return _Fit(np.array(sizes), measured, constant, linear, square)


def _is_pairwise(bench: Bench) -> bool:
    """Whether the model's output has a value for each pair of rows: then memory grows with the square on purpose."""
    main = main_tensor(bench.output)
    return main is not None and main.shape[:2] == (bench.size, bench.size)


def _nodes_after_steps(bench: Bench) -> np.ndarray:
    """Nodes that are alive after each of the last steps."""
    model = bench.model(0)
    optimizer = optimizer_of(bench, model)
    counts = []
    for step in range(STEPS):
        bench.step(model, optimizer, *copied(bench.first))
        if step >= STEPS - SETTLED - 1:
            ends = [each for each in gc.get_objects() if type(each) is Tensor and each.grad_fn is not None]
            counts.append(_nodes(ends))
    return np.array(counts)


def _nodes(ends: list[Tensor]) -> int:
    seen: set[Any] = set()
    waiting: list[Any] = [each.grad_fn for each in ends]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [after for after, _ in node.next_functions]
    return len(seen)


def _bytes_of_step(bench: Bench, size: int) -> float:
    """Bytes of a step on the first `size` rows, cycled if the batch has fewer."""
    model = bench.model(0)
    optimizer = optimizer_of(bench, model)
    inputs, targets = copied(rows(bench.first, torch.arange(size, device=bench.device) % bench.size))
    if bench.device.type == "cuda":
        bench.step(model, optimizer, inputs, targets)  # the optimizer's state exists from the first step on
        torch.cuda.synchronize(bench.device)
        torch.cuda.reset_peak_memory_stats(bench.device)
        before = torch.cuda.memory_allocated(bench.device)
        own = _bytes(model.parameters()) + _bytes(_state(optimizer))
        bench.step(model, optimizer, inputs, targets)
        return float(torch.cuda.max_memory_allocated(bench.device) - before + own)
    saved: dict[int, int] = {}
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        bench.step(model, optimizer, inputs, targets)
    return float(sum(saved.values()) + 2 * _bytes(model.parameters()) + _bytes(_state(optimizer)))


def _state(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for state in optimizer.state.values():
        yield from (each for each in state.values() if isinstance(each, Tensor))


def _bytes(tensors: Iterator[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


def _memory(bench: Bench) -> float:
    """Bytes that the device has."""
    if bench.device.type == "cuda":
        return float(torch.cuda.get_device_properties(bench.device).total_memory)
    return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if hasattr(os, "sysconf") else float("nan")


def _largest(square: float, linear: float, constant: float, limit: float) -> float:
    """The largest batch size with a + b B + c B^2 below a limit."""
    roots = np.roots([square, linear, constant - limit]) if square > 0 else np.array([(limit - constant) / max(linear, 1e-9)])
    return float(max(roots.real.max(), 0.0))


def _leak_drawn(canvas: Canvas, nodes: np.ndarray) -> None:
    ax = draw.axes(canvas, "training step", "live nodes of graphs")
    ax.plot(range(STEPS - len(nodes) + 1, STEPS + 1), nodes, "o-", color=draw.BAD)
    draw.line(ax, float(nodes[0]), "nothing left behind")
    draw.legend(ax)


def _drawn(canvas: Canvas, fit: _Fit, limit: float) -> None:
    ax = draw.axes(canvas, "batch size [rows]", "memory of one step [MiB]", log_x=True, log_y=True)
    wide = np.geomspace(max(fit.sizes[0] / 2, 1), 1e4 * fit.sizes[-1], 100)
    ax.plot(wide, np.maximum(np.polyval((fit.square, fit.linear, fit.constant), wide), 1) / 2**20, color=draw.NULL, label="fit")
    ax.plot(fit.sizes, fit.measured / 2**20, "o", color=draw.SEEN, label="measured")
    draw.line(ax, limit / 2**20, "memory of the device", color=draw.BAD)
    draw.legend(ax)
