"""Faults of training: learning rates, numbers that are not finite, too much noise, and comparisons that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from mldbg.verify.bench import main_tensor, with_main
from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Fault


# ------------------------------------------------------------------------------------------------------------- ways to inject
def _with_groups(change: Callable[[dict[str, Any]], None]) -> Callable[[Experiment], Experiment]:
    """Change every parameter group of the optimizer."""

    def inject(healthy: Experiment) -> Experiment:
        made = healthy.optimizer
        assert made is not None  # a trait

        def optimizer(model: nn.Module) -> Optimizer:
            found = made(model)
            for group in found.param_groups:
                change(group)
            return found

        return replace(healthy, optimizer=optimizer)

    return inject


def _with_model(change: Callable[[nn.Module], None]) -> Callable[[Experiment], Experiment]:
    """Change every fresh model, its names and parameters kept."""

    def inject(healthy: Experiment) -> Experiment:
        def model() -> nn.Module:
            made = healthy.model()
            change(made)
            return made

        return replace(healthy, model=model)

    return inject


def _with_output(change: Callable[[Tensor], Tensor]) -> Callable[[Experiment], Experiment]:
    """Change the main tensor of the model's output."""

    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        main = main_tensor(output)
        return output if main is None else with_main(output, change(main))

    def attach(model: nn.Module) -> None:
        model.register_forward_hook(hook)

    return _with_model(attach)


def _with_loss(change: Callable[[Callable[[Any, Any], Tensor], Any, Any], Tensor]) -> Callable[[Experiment], Experiment]:
    """Another loss, made from the loss, the output and the targets."""

    def inject(healthy: Experiment) -> Experiment:
        return replace(healthy, loss=lambda output, target: change(healthy.loss, output, target))

    return inject


# ------------------------------------------------------------------------------------------------------------------ the faults
def _root_at_zero(output: Tensor) -> Tensor:
    """Adds the length of a zero vector, which is 0 and has no slope."""
    return output + (output - output.detach()).square().sum(-1, keepdim=True).sqrt()


def _own_softmax(output: Tensor) -> Tensor:
    """Logarithms of probabilities, by hand and without the maximum taken away; then the same logits up to a constant."""
    return (output + 200).exp().log() - 200


def _log_of_softmax(loss: Callable[[Any, Any], Tensor], output: Any, target: Any) -> Tensor:
    main = main_tensor(output)
    assert main is not None  # a trait
    return loss(with_main(output, (3000 * main).softmax(-1).log()), target)  # mldebug: allow[log-of-softmax] planted


def _drop_before_last(model: nn.Module) -> None:
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    last.register_forward_pre_hook(lambda module, inputs: (functional.dropout(inputs[0], 0.95, module.training),))
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.95


def _noisy_inputs(model: nn.Module) -> None:
    model.register_forward_pre_hook(
        lambda module, inputs: (inputs[0] + 10 * torch.randn_like(inputs[0]), *inputs[1:]) if module.training else inputs
    )


def _dead_for_some_seeds(healthy: Experiment) -> Experiment:
    """Weights are 0 for every other seed."""

    def model() -> nn.Module:
        made = healthy.model()
        if (torch.initial_seed() - healthy.seed) % 2:
            with torch.no_grad():
                for parameter in made.parameters():
                    parameter.zero_()
        return made

    return replace(healthy, model=model)


def _shuffled_targets(healthy: Experiment) -> Experiment:
    def batch() -> tuple[Any, Any]:
        inputs, targets = healthy.batch()
        return inputs, targets[torch.randperm(len(targets))]

    return replace(healthy, batch=batch)


def _graph_kept(healthy: Experiment) -> Experiment:
    history: list[Tensor] = []

    def loss(output: Any, target: Any) -> Tensor:
        value = healthy.loss(output, target)
        history.append(value)
        return value

    return replace(healthy, loss=loss)


def _all_pairs(loss: Callable[[Any, Any], Tensor], output: Any, target: Any) -> Tensor:
    """A loss of all pairs of rows whose weight was set to 0, but which is still computed."""
    main = main_tensor(output)
    assert main is not None  # an experiment has an output
    rows = main.flatten(1) if main.ndim > 1 else main[:, None]
    return loss(output, target) + 0 * (rows[:, None] - rows[None]).tanh().square().mean()


def _first_feature_only(model: nn.Module) -> None:
    def hook(module: nn.Module, inputs: Any) -> Any:
        return (inputs[0] * (torch.arange(inputs[0].shape[1], device=inputs[0].device) == 0), *inputs[1:])

    model.register_forward_pre_hook(hook)


def _wrong_labels(healthy: Experiment) -> Experiment:
    """Four of ten labels of the training rows are drawn at random."""
    made = healthy.train
    assert made is not None  # a trait

    def train() -> tuple[Any, Any]:
        x, y = made()
        rng = np.random.default_rng(healthy.seed)
        wrong = rng.random(len(y)) < 0.4
        return x, np.where(wrong, rng.permutation(y), y)

    return replace(healthy, train=train)


def _two_differences(healthy: Experiment) -> Experiment:
    return replace(healthy, runs=({"config": {"rate": 1e-3}, "seed": 0}, {"config": {"rate": 1e-2}, "seed": 1}))


FAULTS: tuple[Fault, ...] = (
    Fault(
        "learning rate of 1e-7",
        "learning-rate",
        ("learning-rate-too-low",),
        _with_groups(lambda group: group.update(lr=1e-7)),
        frozenset({"optimizer"}),
    ),
    Fault(
        "learning rate of 10",
        "learning-rate",
        ("learning-rate-too-high",),
        _with_groups(lambda group: group.update(lr=10.0)),
        frozenset({"optimizer", "hidden"}),  # on a convex loss it is not too high
    ),
    Fault(
        "optimizer that climbs",
        "known-answer",
        ("optimizer-goes-uphill",),
        _with_groups(lambda group: group.update(maximize=True)),
        frozenset({"optimizer"}),
    ),
    Fault("root of 0 in the model", "first-non-finite", ("undefined-gradient",), _with_output(_root_at_zero)),
    Fault("exponential beyond float32", "first-non-finite", ("overflow",), _with_output(_own_softmax)),
    Fault(
        "logarithm of a softmax in the loss",
        "first-non-finite",
        ("log-of-softmax", "overflow"),
        _with_loss(_log_of_softmax),
        frozenset({"classification"}),
    ),
    Fault(
        "dropout of 0.95",
        "overfit-one-batch",
        ("too-much-dropout",),
        _with_model(_drop_before_last),
        frozenset({"dropout"}),
    ),
    Fault(
        "noise of ten units on the inputs",
        "overfit-one-batch",
        ("too-much-dropout", "random-step"),
        _with_model(_noisy_inputs),
        frozenset({"floats"}),
    ),
    Fault(
        "output bounded far below the targets",
        "overfit-one-batch",
        ("cannot-memorise",),
        _with_output(lambda output: 0.3 * output.tanh()),
        frozenset({"regression"}),
    ),
    Fault("weights of 0 for every other seed", "seed-variance", ("seed-decides",), _dead_for_some_seeds, frozenset({"hidden"})),
    Fault(
        "targets of a batch dealt out anew",
        "random-labels",
        ("labels-look-random", "shuffled-labels", "labels-do-not-match-inputs"),
        _shuffled_targets,
    ),
    Fault("losses kept with their graphs", "memory", ("loss-graph-kept",), _graph_kept),
    Fault("every row compared with every row", "memory", ("memory-grows-with-the-square",), _with_loss(_all_pairs)),
    Fault(
        "labels drawn at random for four rows of ten",
        "learning-curve",
        ("overfit", "labels-do-not-match-inputs"),
        _wrong_labels,
        frozenset({"arrays", "classification"}),
    ),
    Fault(
        "only the first feature reaches the model",
        "learning-curve",
        ("underfit", "cannot-memorise", "unused-input", "input-ignored"),
        _with_model(_first_feature_only),
        frozenset({"arrays", "vectors"}),
    ),
    Fault(
        "width that is not passed on",
        "capacity-sweep",
        ("width-ignored",),
        lambda healthy: replace(healthy, width=lambda factor: healthy.model()),
        frozenset({"width"}),
    ),
    Fault("two things changed between runs", "run-diff", ("confounded-comparison",), _two_differences, frozenset({"runs"})),
)
