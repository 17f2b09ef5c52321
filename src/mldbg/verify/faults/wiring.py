"""Faults of the wiring: cut graphs, wrong optimizers, dead and idle layers, mixed rows, looks ahead, wrong modes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.overrides import TorchFunctionMode

from mldbg.verify.bench import Bench, main_tensor, mapped, tensors_in, with_main
from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Fault
from mldbg.verify.state import preserved
from mldbg.verify.wiring import DROPOUTS, NORMALISATIONS, is_declared, weighted_modules

DEPTH = 12
"""Layers that are put in where a net shall be deep; 30 where the signal shall be lost in it."""


# --------------------------------------------------------------------------------------------------------- ways to change one
def _model(experiment: Experiment, change: Callable[[nn.Module], object]) -> Experiment:
    """A model that is changed after it was made, with random numbers of the same seed."""

    def made() -> nn.Module:
        model = copy.deepcopy(experiment.model())
        change(model)
        return model

    return replace(experiment, model=made)


def _output(experiment: Experiment, change: Callable[[Tensor], Tensor]) -> Experiment:
    """The main tensor of the output goes through something more."""

    def changed(_: nn.Module, __: Any, output: Any) -> Any:
        main = main_tensor(output)
        assert main is not None
        return with_main(output, change(main))

    return _model(experiment, lambda model: model.register_forward_hook(changed))


def _input(experiment: Experiment, change: Callable[[Tensor], Tensor]) -> Experiment:
    """The inputs go through something before the model."""

    def changed(_: nn.Module, args: Any, kwargs: Any) -> Any:
        return mapped(args, change), mapped(kwargs, change)

    return _model(experiment, lambda model: model.register_forward_pre_hook(changed, with_kwargs=True))


def _optimizer(experiment: Experiment, change: Callable[[nn.Module, Optimizer], object]) -> Experiment:
    """An optimizer that is changed after it was made."""
    factory = experiment.optimizer
    assert factory is not None

    def made(model: nn.Module) -> Optimizer:
        optimizer = factory(model)
        change(model, optimizer)
        return optimizer

    return replace(experiment, optimizer=made)


def _names(experiment: Experiment, model: nn.Module) -> list[str]:
    """The layers with a weight that is meant to learn, in the order of their definition."""
    frozen = experiment.frozen
    return [
        name
        for name, module in weighted_modules(model).items()
        if any(p.requires_grad and not is_declared(f"{name}.{own}", frozen) for own, p in module.named_parameters(recurse=False))
    ]


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(model.get_submodule(parent), own, module)


def _after_first(experiment: Experiment, extra: Callable[[int], nn.Module]) -> Experiment:
    """A module put in after the first layer that learns; it is made for the size of the last axis there."""
    with preserved():
        bench = Bench(experiment)
        model = bench.model(0)
        name = _names(experiment, model)[0]
        sizes: list[int] = []

        def note(_: nn.Module, __: Any, output: Any) -> None:
            sizes.append(output.shape[-1])

        model.get_submodule(name).register_forward_hook(note)
        bench.run(model, bench.first[0])

    return _model(experiment, lambda model: _put(model, name, nn.Sequential(model.get_submodule(name), extra(sizes[0]))))


# ------------------------------------------------------------------------------------------------------------------ gradients
def _detach_backbone(experiment: Experiment) -> Experiment:
    def change(model: nn.Module) -> None:
        head = model.get_submodule(list(weighted_modules(model))[-1])
        head.register_forward_pre_hook(lambda _, args: tuple(mapped(each, Tensor.detach) for each in args))

    return _model(experiment, change)


class _Rounded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (8 * x).round() / 8


def _detach_loss(experiment: Experiment) -> Experiment:
    old = experiment.loss
    return replace(experiment, loss=lambda output, targets: old(output, targets).detach())


# ------------------------------------------------------------------------------------------------------------------ optimizer
def _freeze_first(experiment: Experiment) -> Experiment:
    return _model(experiment, lambda model: model.get_submodule(_names(experiment, model)[0]).requires_grad_(requires_grad=False))


def _drop(optimizer: Optimizer, parameters: list[nn.Parameter]) -> dict[str, Any]:
    """Take parameters out of their groups; a copy of the options of the first group."""
    gone = {id(each) for each in parameters}
    for group in optimizer.param_groups:
        group["params"] = [each for each in group["params"] if id(each) not in gone]
    return {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}


def _last(experiment: Experiment, model: nn.Module) -> list[nn.Parameter]:
    return [each for each in model.get_submodule(_names(experiment, model)[-1]).parameters() if each.requires_grad]


def _without_head(experiment: Experiment) -> Experiment:
    return _optimizer(experiment, lambda model, optimizer: _drop(optimizer, _last(experiment, model)))


def _twice(experiment: Experiment) -> Experiment:
    def change(model: nn.Module, optimizer: Optimizer) -> None:
        first = optimizer.param_groups[0]
        optimizer.param_groups.append({**first, "params": list(first["params"][-1:])})

    return _optimizer(experiment, change)


def _of_a_copy(experiment: Experiment) -> Experiment:
    factory = experiment.optimizer
    assert factory is not None
    return replace(experiment, optimizer=lambda model: factory(copy.deepcopy(model)))


def _head_with_rate(rate: float) -> Callable[[Experiment], Experiment]:
    def inject(experiment: Experiment) -> Experiment:
        def change(model: nn.Module, optimizer: Optimizer) -> None:
            head = _last(experiment, model)
            options = _drop(optimizer, head)
            optimizer.add_param_group({**options, "lr": rate, "params": head})

        return _optimizer(experiment, change)

    return inject


# ---------------------------------------------------------------------------------------------------------------------- layers
def _stack(layers: int, activation: type[nn.Module]) -> Callable[[int], nn.Module]:
    """Square layers with an activation each, initialised as torch does by default."""

    def made(width: int) -> nn.Module:
        stack = nn.Sequential()
        for _ in range(layers):
            stack.extend([nn.Linear(width, width), activation()])
        return stack

    return made


def _explode(experiment: Experiment) -> Experiment:
    """Layers before the head that make everything ten times as large, forwards and backwards."""

    def change(model: nn.Module) -> None:
        head = model.get_submodule(list(weighted_modules(model))[-1])
        width = next(head.parameters()).shape[1]
        head.add_module("before", nn.Sequential(*(nn.Linear(width, width) for _ in range(DEPTH))))
        for layer in head.get_submodule("before").children():
            assert isinstance(layer, nn.Linear)
            nn.init.orthogonal_(layer.weight, gain=10.0)
        head.register_forward_pre_hook(lambda head, args: (head.before(args[0]),))

    return _model(experiment, change)


def _kill(experiment: Experiment) -> Experiment:
    """A large negative bias before the first ReLU."""

    def change(model: nn.Module) -> None:
        bias: Tensor | None = None
        for module in model.modules():
            if isinstance(module, nn.ReLU):
                break
            own = getattr(module, "bias", None)
            bias = own if isinstance(own, Tensor) else bias
        assert bias is not None
        nn.init.constant_(bias, -100.0)

    return _model(experiment, change)


def _strong_dropout(experiment: Experiment) -> Experiment:
    with preserved():
        given = [each for each in Bench(experiment).model(0).modules() if isinstance(each, DROPOUTS)]
    if not given:
        return _after_first(experiment, lambda _: nn.Dropout(0.95))

    def change(model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, DROPOUTS):
                module.p = 0.95

    return _model(experiment, change)


class _AlwaysDropping(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(x, 0.3)  # mldebug: allow[dropout-always-on] this is the fault


class _Idle(nn.Module):
    """A residual branch whose last weight is zero and stays so."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.register_buffer("outer", torch.zeros(width, width))

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.inner(x).tanh() @ self.outer
        return x + branch


# ------------------------------------------------------------------------------------------------------------ batch and time
def _mixed(x: Tensor) -> Tensor:
    """Axes in the wrong order before a view: shape (B, ...) as before."""
    return x.flatten(1).t().reshape(x.shape) if x.ndim > 1 else x.flip(0)


def _same_rows(experiment: Experiment) -> Experiment:
    def batch() -> tuple[Any, Any]:
        inputs, targets = experiment.batch()
        return mapped(inputs, lambda x: x[:1].expand_as(x).clone()), targets

    return replace(experiment, batch=batch)


def _fixed_rows(experiment: Experiment) -> Experiment:
    with preserved():
        size = next(tensors_in(experiment.batch()[0])).shape[0]
    return _output(experiment, lambda y: y.reshape(size, *y.shape[1:]))


def _within(experiment: Experiment, mode: Callable[[], TorchFunctionMode]) -> Experiment:
    """The forward pass runs within a mode that changes what functions of torch do."""

    def change(model: nn.Module) -> None:
        plain = type(model)

        def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            with mode():
                return plain.forward(self, *args, **kwargs)

        model.__class__ = type(plain.__name__, (plain,), {"forward": forward})

    return _model(experiment, change)


class _Unmasked(TorchFunctionMode):
    """Attention without its mask."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is functional.multi_head_attention_forward:
            kwargs.update(attn_mask=None, is_causal=False)
        elif func is functional.scaled_dot_product_attention:
            args = args[:3]
            kwargs.update(attn_mask=None, is_causal=False)
        elif func in (Tensor.masked_fill, torch.masked_fill) and args[-1] == -torch.inf:
            return args[0]
        return func(*args, **kwargs)


class _Unasked(TorchFunctionMode):
    """Attention whose queries are zero."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.multi_head_attention_forward:
            width, keep = args[3], torch.ones_like(args[5])
            keep[:width] = 0
            args = (*args[:5], args[5] * keep, None if args[6] is None else args[6] * keep[:, 0], *args[7:])
        elif func is functional.scaled_dot_product_attention:
            args = (args[0] * 0, *args[1:])
        return func(*args, **(kwargs or {}))


# ---------------------------------------------------------------------------------------------------------------------- modes
def _evaluation(act: Callable[[Experiment, nn.Module], float]) -> Callable[[Experiment], Experiment]:
    return lambda experiment: replace(experiment, evaluate=lambda model: act(experiment, model))


def _score(experiment: Experiment, model: nn.Module) -> Tensor:
    """The loss of a batch on the model's device."""
    inputs, targets = experiment.batch()
    device = next(model.parameters()).device
    inputs, targets = (mapped(each, lambda x: x.to(device)) for each in (inputs, targets))
    several = isinstance(inputs, tuple)
    output: Any = model(**inputs) if isinstance(inputs, dict) else model(*inputs) if several else model(inputs)
    return experiment.loss(output, targets)


def _left_in_eval(experiment: Experiment, model: nn.Module) -> float:
    model.eval()
    with torch.no_grad():
        return float(_score(experiment, model))


def _in_training(experiment: Experiment, model: nn.Module) -> float:
    with torch.no_grad():
        return float(_score(experiment, model))


def _training(experiment: Experiment, model: nn.Module) -> float:
    training = model.training
    model.eval()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss = _score(experiment, model)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    model.train(training)
    return float(loss.detach())


def _stuck(experiment: Experiment) -> Experiment:
    """Normalisations that stay in training mode."""

    def change(model: nn.Module) -> None:
        for module in model.modules():
            if isinstance(module, NORMALISATIONS):
                module.__class__ = type(type(module).__name__, (type(module),), {"train": lambda self, mode=True: self})

    return _model(experiment, change)


def _needs(*traits: str) -> frozenset[str]:
    return frozenset(traits)


FAULTS: tuple[Fault, ...] = (
    Fault("detached backbone", "gradient-reach", ("detached",), _detach_backbone, _needs("hidden")),
    Fault("detached loss", "gradient-reach", ("loss-detached", "detached-loss"), _detach_loss),
    Fault(
        "rounded activations",
        "gradient-reach",
        ("zero-gradient",),
        lambda e: _after_first(e, lambda _: _Rounded()),
        _needs("hidden"),
    ),
    Fault("undeclared frozen layer", "optimizer-ledger", ("undeclared-frozen",), _freeze_first, _needs("hidden")),
    Fault("optimizer misses head", "optimizer-ledger", ("not-in-optimizer",), _without_head, _needs("hidden", "optimizer")),
    Fault("parameter in two groups", "optimizer-ledger", ("parameter-twice",), _twice, _needs("optimizer")),
    Fault(
        "optimizer of another copy",
        "optimizer-ledger",
        ("foreign-parameters", "optimizer-does-nothing"),
        _of_a_copy,
        _needs("optimizer"),
    ),
    Fault("learning rate 0", "parameters-move", ("zero-learning-rate",), _head_with_rate(0.0), _needs("hidden", "optimizer")),
    Fault(
        "step below rounding",
        "parameters-move",
        ("update-below-rounding",),
        _head_with_rate(1e-15),
        _needs("hidden", "optimizer"),
    ),
    Fault(
        "deep sigmoid net",
        "gradient-depth",
        ("vanishing-gradient", "signal-collapse"),
        lambda e: _after_first(e, _stack(DEPTH, nn.Sigmoid)),
        _needs("hidden"),
    ),
    Fault(
        "large initial weights",
        "gradient-depth",
        ("exploding-gradient",),
        _explode,
        _needs("hidden"),
    ),
    Fault(
        "deep default net",
        "dead-units",
        ("signal-collapse", "dead-units"),
        lambda e: _after_first(e, _stack(30, nn.ReLU)),
        _needs("hidden"),
    ),
    Fault("dead ReLU", "dead-units", ("dead-units",), _kill, _needs("relu")),
    Fault(
        "wrong output width",
        "output-contract",
        ("wrong-output-shape",),
        lambda e: _output(e, lambda y: functional.pad(y, (0, 1))),
        _needs("classification", "output_shape"),
    ),
    Fault("batch size written into a view", "output-contract", ("fixed-batch-size",), _fixed_rows),
    Fault("branch times zero", "module-ablation", ("does-nothing",), lambda e: _after_first(e, _Idle), _needs("hidden")),
    Fault("attention without its mask", "time-arrow", ("looks-ahead",), lambda e: _within(e, _Unmasked), _needs("causal")),
    Fault(
        "normalised over time",
        "time-arrow",
        ("looks-ahead",),
        lambda e: _output(e, lambda y: y - y.mean(e.time_axis, keepdim=True)),
        _needs("causal"),
    ),
    Fault("batch mixed by a view", "batch-independence", ("batch-mixing",), lambda e: _input(e, _mixed), _needs("floats")),
    Fault(
        "softmax over the batch",
        "batch-independence",
        ("softmax-over-batch",),
        lambda e: _output(e, lambda y: y.softmax(0)),
        _needs("classification"),
    ),
    Fault("the same row again and again", "input-dependence", ("constant-input",), _same_rows),
    Fault("input times zero", "input-dependence", ("ignores-input",), lambda e: _input(e, lambda x: x * 0)),
    Fault("constant attention", "attention-varies", ("constant-attention",), lambda e: _within(e, _Unasked), _needs("causal")),
    Fault("a dropout of 0.95 inserted", "mode-audit", ("dropout-too-strong",), _strong_dropout, _needs("hidden")),
    Fault(
        "dropout without training=",
        "mode-audit",
        ("dropout-in-eval",),
        lambda e: _after_first(e, lambda _: _AlwaysDropping()),
        _needs("hidden"),
    ),
    Fault(
        "normalisation stuck in training mode",
        "mode-audit",
        ("buffers-change-in-eval", "batchnorm-in-training-mode"),
        _stuck,
        _needs("batchnorm"),
    ),
    Fault("left in evaluation mode", "mode-audit", ("train-mode-not-restored",), _evaluation(_left_in_eval), _needs("dropout")),
    Fault("evaluated in training mode", "mode-audit", ("missing-eval-mode",), _evaluation(_in_training), _needs("dropout")),
    Fault("batch statistics in evaluation", "mode-audit", ("missing-eval-mode",), _evaluation(_in_training), _needs("batchnorm")),
    Fault("evaluation that trains", "mode-audit", ("evaluation-trains",), _evaluation(_training)),
)
