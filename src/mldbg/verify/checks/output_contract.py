from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure as Canvas
from torch import Tensor, nn

from mldbg.verify import draw
from mldbg.verify.bench import Bench, copied, main_tensor
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import ExperimentError
from mldbg.verify.outcome import Figure, Outcome
from mldbg.verify.state import modes_preserved, seeded
from mldbg.verify.wiring import hooked, is_batch_of_rows, plain_attention, taken

MOST_MODULES = 40
"""Modules in the picture."""


class OutputContract(Check):
    """the output has the declared shape, for every number of rows

    ## Why
    A wrong output width, a `view` with the batch size written into it, or a `squeeze` that takes the batch axis away at one row
    work by accident with the usual batch: sizes that happen to be equal broadcast without an error.

    ## Measures
    Exact shapes, in evaluation mode: of the whole batch against `output_shape`, then with the largest prime number of rows below
    it (a prime equals no other dimension, so that an accidental broadcast shows), and with one row. The statistic is the
    number of trials that broke the contract.

    ## Causes
    - `wrong-output-shape`: the output is not as declared in `output_shape`.
    - `batch-axis-lost`: with another number of rows the output does not have that many.
    - `fixed-batch-size`: the model or the loss raises with another number of rows (a warning).
    - `single-row`: a single row raises or loses its axis, as the last batch of an epoch may be one (a warning).

    ## Limits
    Other numbers of rows are tried only where inputs, targets and outputs have one row for each example.
    """

    id = "W6"
    stage = Stage.WIRING
    kind = Kind.EXACT
    cost = 0.05

    def run(self, bench: Bench) -> Outcome:
        output = main_tensor(bench.output)
        if output is None:
            return self.skipped("the output has no floating-point tensor", "have the model return a tensor")
        shapes = bench.once("output contract", lambda: _shapes(bench))
        declared = bench.experiment.output_shape
        numbers: dict[str, Any] = {
            "null": "0: shapes follow the number of rows",
            "threshold": 0.0,
            "figure": Figure(
                "Shapes through the model",
                lambda canvas: _drawn(canvas, shapes),
                "Values per row of the batch after each module, with the shape.",
            ),
            "shape": list(output.shape),
            "declared": list(declared) if declared is not None else None,
        }
        if declared is not None and not _agrees(tuple(output.shape), tuple(declared), bench.size):
            return self.failed(
                "wrong-output-shape",
                f"the output has shape {_text(output.shape)}, but {_text(declared)} is declared, where -1 is {bench.size} rows",
                "correct the last layer, or `output_shape`",
                statistic=1.0,
                **numbers,
            )
        if not is_batch_of_rows(bench) or bench.size < 3:
            said = "as declared" if declared is not None else "and no shape is declared"
            return self.passed(f"the output has shape {_text(output.shape)}, {said}", statistic=0.0, **numbers)
        trials = {rows: _trial(bench, rows) for rows in (_prime_below(bench.size), 1)}
        odd, single = trials.values()
        rows = next(iter(trials))
        numbers["statistic"] = float(sum(each is not None for each in trials.values()))
        numbers["trials"] = {str(each): found or "as it should" for each, found in trials.items()}
        if odd is not None and odd.startswith("shape"):
            return self.failed(
                "batch-axis-lost",
                f"with {rows} rows instead of {bench.size} the output has {odd}",
                "look for view or reshape with a fixed number in place of the batch size or -1",
                **numbers,
            )
        if odd is not None:
            return self.warned(
                "fixed-batch-size",
                f"with {rows} rows instead of {bench.size}: {odd}",
                "take the batch size from the input, x.shape[0]",
                **numbers,
            )
        if single is not None:
            return self.warned(
                "single-row",
                f"with a single row: {single}",
                "name the axis, as in squeeze(-1), or set drop_last in the loader",
                **numbers,
            )
        return self.passed(
            f"the output has shape {_text(output.shape)}, and as many rows as the input for {rows} and 1", **numbers
        )


def _agrees(seen: tuple[int, ...], declared: tuple[int, ...], rows: int) -> bool:
    return len(seen) == len(declared) and all(
        have == (rows if want == -1 else want) for have, want in zip(seen, declared, strict=True)
    )


def _text(shape: Any) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _trial(bench: Bench, rows: int) -> str | None:
    """What is wrong with so many rows: a shape, or what was raised."""
    index = torch.arange(rows)
    inputs, targets = (taken(copied(each), bench.size, index) for each in bench.first)
    model = bench.model(0).eval()
    try:
        with torch.no_grad(), seeded(bench.experiment.seed):
            output = bench.run(model, inputs)
            found = main_tensor(output)
            if found is None or found.shape[:1] != (rows,):
                return f"shape {_text(found.shape) if found is not None else 'of no tensor'}"
            bench.loss(output, targets)
    except ExperimentError as error:
        return str(error)
    return None


def _prime_below(size: int) -> int:
    """The largest prime number below; 2 at least."""
    return next((n for n in range(size - 1, 2, -1) if all(n % k for k in range(2, int(n**0.5) + 1))), 2)


def _shapes(bench: Bench) -> list[tuple[str, tuple[int, ...]]]:
    """The shape after each module without children, in the order of the calls."""
    model = bench.model(0)
    found: list[tuple[str, tuple[int, ...]]] = []

    def keep(name: str, _: nn.Module, __: Any, output: Any) -> None:
        tensor: Tensor | None = main_tensor(output)
        if tensor is not None:
            found.append((name, tuple(tensor.shape)))

    leaves = {name: module for name, module in model.named_modules() if name and not any(module.children())}
    with modes_preserved(model), torch.no_grad(), seeded(bench.experiment.seed), plain_attention(), hooked(leaves, keep):
        model.eval()
        bench.run(model, copied(bench.first[0]))
    return [*found, ("output", tuple(getattr(main_tensor(bench.output), "shape", ())))]


def _drawn(canvas: Canvas, shapes: list[tuple[str, tuple[int, ...]]]) -> None:
    shown = shapes[-MOST_MODULES:]
    counts = [float(np.prod(shape[1:])) if len(shape) > 1 else 1.0 for _, shape in shown]
    ax = draw.bars(canvas, [name for name, _ in shown], counts, "values per row")
    ax.set_xscale("log")
    ax.set_xlim(0.5, 8 * max(counts))
    for place, (count, (_, shape)) in enumerate(zip(counts, shown, strict=True)):
        ax.text(count * 1.1, place, _text(shape), va="center", fontsize="x-small", color=draw.INK)
