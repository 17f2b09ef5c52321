"""Faults of the loss: what enters it, what it compares, how it is reduced, and what comes back out of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mldbg.verify.bench import Bench, main_tensor, mapped, with_main
from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Fault
from mldbg.verify.probe import class_axis, part
from mldbg.verify.state import preserved

Change = Callable[[Tensor], Tensor]


# --------------------------------------------------------------------------------------------------------- ways to change one
def _ending(experiment: Experiment, change: Change) -> Experiment:
    """The model's output goes through something more; names of parameters stay."""

    def made() -> nn.Module:
        model = copy.deepcopy(experiment.model())
        model.register_forward_hook(lambda module, inputs, output: _changed(output, change))
        return model

    return replace(experiment, model=made)


def _changed(output: Any, change: Change) -> Any:
    main = main_tensor(output)
    assert main is not None
    return with_main(output, change(main))


def _loss(experiment: Experiment, change: Callable[[Callable[[Any, Any], Tensor], Any, Any], Tensor]) -> Experiment:
    """Another loss, made from the old one, an output and targets."""
    old = experiment.loss
    return replace(experiment, loss=lambda output, targets: change(old, output, targets))


def _batch(experiment: Experiment, change: Callable[[Any, Any], tuple[Any, Any]]) -> Experiment:
    return replace(experiment, batch=lambda: change(*experiment.batch()))


def _data(experiment: Experiment, change: Callable[[Any, Any], tuple[Any, Any]]) -> Experiment:
    """All data are so: the batch is changed, and the arrays, which would contradict it, are left out."""
    return replace(_batch(experiment, change), train=None, test=None)


def _axis(experiment: Experiment) -> int:
    """The class axis of the output."""
    with preserved():
        axis = class_axis(Bench(experiment))
    return -1 if axis is None else axis


def _on_classes(change: Callable[[Tensor, int], Tensor]) -> Callable[[Experiment], Experiment]:
    def inject(experiment: Experiment) -> Experiment:
        axis = _axis(experiment)
        return _ending(experiment, lambda output: change(output, axis))

    return inject


def _class_loss(loss: Callable[[Tensor, Any], Tensor]) -> Callable[[Experiment], Experiment]:
    """A loss of logits with the classes in axis 1."""

    def inject(experiment: Experiment) -> Experiment:
        axis = _axis(experiment)

        def instead(old: Any, output: Any, targets: Any) -> Tensor:
            main = main_tensor(output)
            assert main is not None
            return loss(main.movedim(axis, 1), targets)

        return _loss(experiment, instead)

    return inject


def _divergence(logits: Tensor, targets: Tensor) -> Tensor:
    """The divergence of probabilities, where log-probabilities are expected, from smoothed one-hot rows."""
    count = logits.shape[1]
    kept = targets >= 0
    wanted = functional.one_hot(targets.clamp(min=0), count).to(logits.dtype) * 0.9 + 0.1 / count
    given = logits.movedim(1, -1).softmax(-1)
    # mldebug: allow[kl-div-without-log-probs] this is the fault
    return functional.kl_div(given[kept], wanted[kept], reduction="batchmean")


# -------------------------------------------------------------------------------------------------------------- wrong gradients
class _Doubled(torch.autograd.Function):
    """The identity, with twice its derivative."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return 2 * gradients[0]


class _Forgetful(torch.autograd.Function):
    """The identity, whose derivative forgets every other row."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        kept = gradients[0].clone()
        kept[::2] = 0
        return kept


def _through(function: type[torch.autograd.Function]) -> Callable[[Experiment], Experiment]:
    def inject(experiment: Experiment) -> Experiment:
        return _loss(
            experiment,
            lambda old, output, targets: old(_changed(output, function.apply), targets),
        )

    return inject


# ---------------------------------------------------------------------------------------------------------------- accumulation
def _accumulating(shares: tuple[float, ...], divisor: float) -> Callable[[Experiment], Experiment]:
    """Micro-batches with these shares of the rows, each loss over the same divisor."""

    def inject(experiment: Experiment) -> Experiment:
        def accumulate(model: nn.Module, inputs: Any, targets: Any) -> None:
            rows = len(targets)
            cuts = [round(rows * sum(shares[:index])) for index in range(len(shares) + 1)]
            for start, end in pairwise(cuts):
                chosen = torch.arange(start, end)
                x, y = part(inputs, rows, chosen), part(targets, rows, chosen)
                output = model(**x) if isinstance(x, dict) else model(*x) if isinstance(x, tuple) else model(x)
                (experiment.loss(output, y) / divisor).backward()  # type: ignore[no-untyped-call]

        return replace(experiment, accumulate=accumulate)

    return inject


def _ragged(experiment: Experiment) -> Experiment:
    """Rows of different lengths: the end of each is masked; micro-batches of as many rows each have another number of tokens."""

    def cut(inputs: Any, targets: Tensor) -> tuple[Any, Tensor]:
        length = targets.shape[1]
        ends = torch.linspace(length // 2, length, len(targets), device=targets.device).long()[:, None]
        return inputs, torch.where(torch.arange(length, device=targets.device) < ends, targets, -100)

    return _accumulating((0.25,) * 4, 4)(_batch(experiment, cut))


def _padding_counted(experiment: Experiment) -> Experiment:
    """Padded places get a class instead of the mask."""
    pad = experiment.pad
    assert pad is not None

    def padded(inputs: Any, targets: Any) -> tuple[Any, Any]:
        length = targets.shape[1]
        inputs, longer = pad(inputs, targets)
        longer = longer.clone()
        longer[:, length:] = longer[longer >= 0].min()
        return inputs, longer

    return replace(experiment, pad=padded)


# ------------------------------------------------------------------------------------------------------------------- the rest
def _pretrained(experiment: Experiment) -> Experiment:
    """The factory hands out models that have been trained."""

    def made() -> nn.Module:
        model = copy.deepcopy(experiment.model())
        optimizer = torch.optim.Adam((each for each in model.parameters() if each.requires_grad), 3e-3)
        for _ in range(150):
            inputs, targets = experiment.batch()
            output = (
                model(**inputs) if isinstance(inputs, dict) else model(*inputs) if isinstance(inputs, tuple) else model(inputs)
            )
            optimizer.zero_grad()
            experiment.loss(output, targets).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return model

    return replace(experiment, model=made)


def _spikes(inputs: Any, targets: Tensor) -> tuple[Any, Tensor]:
    """Every 50th target is a hundred times too large."""
    targets = targets.clone()
    targets[::50] *= 100
    return inputs, targets


def _long_tails(inputs: Any, targets: Tensor) -> tuple[Any, Tensor]:
    """Noise of Student's t with 1.5 degrees of freedom."""
    noise = torch.distributions.StudentT(torch.tensor(1.5, dtype=targets.dtype)).sample(targets.shape)
    return inputs, targets + targets.std() * noise.to(targets.device)


def _growing_noise(inputs: Any, targets: Tensor) -> tuple[Any, Tensor]:
    """Noise in proportion to the target above its least value."""
    above = (targets - targets.min(0).values) / targets.std()
    return inputs, targets + 0.5 * targets.std() * above**2 * torch.randn_like(targets)


_CLASSES, _BINARY, _VALUES = (frozenset({trait}) for trait in ("classification", "binary", "regression"))

FAULTS: tuple[Fault, ...] = (
    # what enters the loss
    Fault(
        "softmax at the end of the model, then cross-entropy",
        "loss-input-range",
        ("softmax-before-cross-entropy",),
        _on_classes(lambda output, axis: output.softmax(axis)),
        _CLASSES,
    ),
    Fault(
        "softmax inside the loss, before cross-entropy",
        "loss-input-range",
        ("softmax-before-cross-entropy",),
        # mldebug: allow[softmax-before-cross-entropy] this is the fault
        _class_loss(lambda logits, targets: functional.cross_entropy(logits.softmax(1), targets)),
        _CLASSES,
    ),
    Fault(
        "softmax along the batch",
        "loss-input-range",
        ("softmax-over-batch",),
        _on_classes(lambda output, axis: output.softmax(0)),
        _CLASSES,
    ),
    Fault(
        "sigmoid at the end of the model, then cross-entropy",
        "loss-input-range",
        ("sigmoid-before-cross-entropy",),
        lambda experiment: _ending(experiment, torch.sigmoid),
        _CLASSES,
    ),
    Fault(
        "sigmoid at the end of the model, then BCE with logits",
        "loss-input-range",
        ("sigmoid-before-bce-with-logits",),
        lambda experiment: _ending(experiment, torch.sigmoid),
        _BINARY,
    ),
    Fault(
        "a sigmoid of one's own, then BCE with logits",
        "loss-input-range",
        ("sigmoid-before-bce-with-logits",),
        lambda experiment: _ending(experiment, lambda output: 1 / (1 + torch.exp(-output))),
        _BINARY,
    ),
    Fault(
        "binary cross-entropy of logits",
        "loss-input-range",
        ("bce-on-logits",),
        lambda experiment: replace(experiment, loss=functional.binary_cross_entropy),
        _BINARY,
    ),
    Fault(
        "targets of -1 and 1 for BCE with logits",
        "loss-input-range",
        ("targets-out-of-range",),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(output, 2 * targets - 1)),
        _BINARY,
    ),
    Fault("NLL of logits", "loss-input-range", ("nll-without-log-probs",), _class_loss(functional.nll_loss), _CLASSES),
    Fault(
        "NLL of probabilities",
        "loss-input-range",
        ("nll-without-log-probs",),
        # mldebug: allow[nll-without-log-probs] this is the fault
        _class_loss(lambda logits, targets: functional.nll_loss(logits.softmax(1), targets)),
        _CLASSES,
    ),
    Fault(
        "Kullback-Leibler divergence of probabilities",
        "loss-input-range",
        ("kl-div-without-log-probs",),
        _class_loss(_divergence),
        _CLASSES,
    ),
    # what the loss compares
    Fault(
        "squared error of (N, 1) against (N,)",
        "pairing",
        ("mse-broadcast",),
        lambda experiment: _loss(
            _ending(experiment, lambda output: output.unsqueeze(1)),
            lambda old, output, targets: (output - targets).square().mean(),
        ),
        _VALUES,
    ),
    Fault(
        "targets ignored",
        "pairing",
        ("targets-ignored",),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(output, torch.zeros_like(targets))),
    ),
    Fault(
        "targets sorted",
        "pairing",
        ("pairing-lost",),
        lambda experiment: _loss(
            experiment, lambda old, output, targets: old(output, targets.flatten(1).sum(1).mean() + 0 * targets)
        ),
        _VALUES,
    ),
    Fault(
        "targets moved by one row",
        "loss-direction",
        ("targets-misaligned",),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(output, targets.roll(1, 0))),
    ),
    Fault(
        "targets in reverse order",
        "loss-direction",
        ("targets-misaligned",),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(output, targets.flip(0))),
    ),
    Fault(
        "sign of the loss flipped",
        "loss-direction",
        ("loss-sign-flipped",),
        lambda experiment: _loss(experiment, lambda old, output, targets: -old(output, targets)),
    ),
    # how it is reduced
    Fault(
        "summed over the batch",
        "reduction-exponent",
        ("sum-reduction", "wrong-reduction"),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(output, targets) * len(targets)),
    ),
    Fault(
        "a mean where a sum is declared",
        "reduction-exponent",
        ("mean-reduction",),
        lambda experiment: replace(experiment, reduction="sum"),
        frozenset({"reduction"}),
    ),
    Fault(
        "divided by the square of the batch size",
        "reduction-exponent",
        ("wrong-reduction",),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(output, targets) / len(targets)),
        frozenset({"reduction"}),
    ),
    Fault(
        "unequal micro-batches averaged as equals",
        "padding-and-accumulation",
        ("ragged-accumulation",),
        _accumulating((0.5, 0.25, 0.25), 3),
    ),
    Fault(
        "micro-batches not divided by their number",
        "padding-and-accumulation",
        ("accumulation-scale",),
        _accumulating((0.25,) * 4, 1),
    ),
    Fault(
        "micro-batches with means over their own tokens",
        "padding-and-accumulation",
        ("ragged-accumulation",),
        _ragged,
        frozenset({"sequence", "pad"}),
    ),
    Fault("padding counted", "padding-and-accumulation", ("padding-counted",), _padding_counted, frozenset({"sequence", "pad"})),
    # what comes back
    Fault(
        "output detached before the loss",
        "gradient-check",
        ("detached-loss",),
        lambda experiment: _loss(experiment, lambda old, output, targets: old(mapped(output, Tensor.detach), targets)),
    ),
    Fault(
        "loss rebuilt from its number",
        "gradient-check",
        ("detached-loss",),
        lambda experiment: _loss(experiment, lambda old, output, targets: torch.tensor(old(output, targets).item())),
    ),
    Fault("a custom backward twice too large", "gradient-check", ("wrong-gradient",), _through(_Doubled)),
    Fault("a custom backward that forgets rows", "gradient-check", ("wrong-gradient",), _through(_Forgetful)),
    # where it starts, what it supposes, where it ends
    Fault("a factory of trained models", "loss-at-init", ("pretrained-weights",), _pretrained),
    Fault(
        "logits a hundred times too large",
        "loss-at-init",
        ("over-confident",),
        lambda experiment: _ending(experiment, lambda output: 100 * output),
        _CLASSES,
    ),
    Fault(
        "targets far from zero",
        "loss-at-init",
        ("targets-not-centred",),
        lambda experiment: _data(experiment, lambda inputs, targets: (inputs, targets + 20 * targets.std())),
        _VALUES,
    ),
    Fault(
        "some targets in another unit",
        "outlier-influence",
        ("outliers-dominate",),
        lambda experiment: _batch(experiment, _spikes),
        _VALUES,
    ),
    Fault("noise with long tails", "likelihood", ("heavy-tails",), lambda experiment: _data(experiment, _long_tails), _VALUES),
    Fault(
        "noise that grows with the target",
        "likelihood",
        ("unequal-variance", "heavy-tails"),
        lambda experiment: _data(experiment, _growing_noise),
        _VALUES,
    ),
    Fault(
        "softmax at the end of the model, seen in the curve",
        "plateau-lines",
        ("softmax-before-cross-entropy",),
        _on_classes(lambda output, axis: output.softmax(axis)),
        _CLASSES | {"floats"},
    ),
)
