"""What an experiment is, found out from the experiment itself: which faults can be injected into it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mldbg.verify.bench import Bench, main_tensor, tensors_in
from mldbg.verify.experiment import Experiment
from mldbg.verify.state import preserved


def _first_input(bench: Bench) -> Tensor | None:
    return next(tensors_in(bench.first[0]), None)


def _floats(bench: Bench) -> bool:
    found = _first_input(bench)
    return found is not None and found.is_floating_point()


def _has(*kinds: type[nn.Module]) -> Callable[[Bench], bool]:
    return lambda bench: any(isinstance(module, kinds) for module in bench.model(0).modules())


def _binary(bench: Bench) -> bool:
    """One logit for each target, and targets that are 0.0 or 1.0, both of them."""
    target = bench.first[1]
    return bench.is_regression and set(target.unique().tolist()) == {0.0, 1.0}


def _rank(bench: Bench) -> int:
    found = _first_input(bench)
    return 0 if found is None else found.ndim


def _weights(bench: Bench) -> int:
    return sum(parameter.ndim > 1 for parameter in bench.model(0).parameters())


def _sequence(bench: Bench) -> bool:
    """An output for every place on the time axis."""
    output = main_tensor(bench.output)
    return bench.experiment.time_axis is not None and output is not None and output.ndim > 2


TRAITS: dict[str, tuple[str, Callable[[Bench], bool]]] = {
    "classification": ("targets are class ids, outputs logits of K classes", lambda bench: bench.classes is not None),
    "binary": ("one logit for each target, which is 0.0 or 1.0", _binary),
    "regression": ("targets are other floating-point values, as many as outputs", lambda b: b.is_regression and not _binary(b)),
    "floats": ("inputs are floating-point values", _floats),
    "tokens": ("inputs are integers", lambda bench: not _floats(bench)),
    "vectors": ("inputs have shape (B, features)", lambda bench: _floats(bench) and _rank(bench) == 2),
    "images": ("inputs have shape (B, channels, height, width)", lambda bench: _floats(bench) and _rank(bench) == 4),
    "sequence": ("there is an output for every place on the time axis", _sequence),
    "causal": ("there is an output for every place on the time axis, which must not depend on later places", _sequence),
    "hidden": ("the model has at least two weights of rank 2 or more", lambda bench: _weights(bench) > 1),
    "relu": ("the model has an nn.ReLU", _has(nn.ReLU)),
    "dropout": ("the model has a dropout", _has(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)),
    "batchnorm": ("the model has a BatchNorm", _has(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)),
}
"""Traits that are measured: meaning and test. A given optional field of the experiment is a trait with its name, too."""


def traits_of(experiment: Experiment, device: torch.device | str = "cpu") -> frozenset[str]:
    """The traits of an experiment; "arrays" stands for `train` and `test`.

    Raises:
        ExperimentError: the experiment cannot be run.
    """
    with preserved():
        bench = Bench(experiment, device)
        found = {name for name, (_, holds) in TRAITS.items() if holds(bench)}
    optional = set(Experiment.__dataclass_fields__) - {"model", "batch", "loss", "seed"}
    found |= {name for name in optional if getattr(experiment, name) not in (None, ())}
    return frozenset(found | {"arrays"} if {"train", "test"} <= found else found)
