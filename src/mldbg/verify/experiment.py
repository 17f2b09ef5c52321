"""What the user gives: factories, so that every measurement starts from a fresh seed and nothing has to be restored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


class ExperimentError(Exception):
    """The experiment cannot be run as it is; the text is one clear line."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A model, a batch and a loss; each optional field unlocks more checks.

    Attributes:
        model: makes a fresh model. The seed is set before each call, here and for the other factories.
        batch: makes one batch `(inputs, targets)`. Inputs are a tensor, a tuple of positional or a dict of keyword arguments.
        loss: maps `(output, targets)` to a scalar tensor.
        optimizer: makes the optimizer of a model.
        loader: makes an iterable of batches, as training uses it; a `DataLoader` lets the loader audit see indices.
        train: arrays `(X, y)` of the training part, shape (rows, features) and (rows,), as the model gets them.
        test: the same of the test part.
        pipeline: preprocessing as used, from a table (rows in time order) to a table with as many rows.
        frame: makes the table that `pipeline` is tried on.
        tokenizer: an object with `encode` and `decode`, or a callable that maps a text to ids.
        texts: texts for the tokenizer, at least 100.
        frozen: patterns (as in a shell) of the names of parameters that are meant not to be trained.
        time_axis: the axis of the inputs that is time, for models that must not look ahead.
        groups: makes the group of each row of `train` and of `test`: `(train_groups, test_groups)`.
        reduction: what the loss is meant to do over the batch: "mean" or "sum".
        pad: appends masked padding to a batch: `pad(inputs, targets) -> (inputs, targets)` with an unchanged loss.
        accumulate: leaves in `.grad` the gradient of a batch, computed in micro-batches as in training, without the optimizer's
            step: `accumulate(model, inputs, targets)`.
        evaluate: the user's evaluation function `evaluate(model)`, returning a number.
        width: makes a model of a given size, `width(k)` for k = 1, 2, 4, ...: the capacity sweep.
        runs: two run records (mappings with any of code, data, config, seed, env) to be compared.
        gradient: a custom operation `(function, inputs)` for the gradient check; without it the loss is checked.
        render: draws one input of a batch: `render(axes, x, y)`.
        output_shape: the expected shape of the output; -1 stands for the batch size.
        seed: the base of all seeds.
    """

    model: Callable[[], nn.Module]
    batch: Callable[[], tuple[Any, Any]]
    loss: Callable[[Any, Any], Tensor]
    optimizer: Callable[[nn.Module], Optimizer] | None = None
    loader: Callable[[], Iterable[Any]] | None = None
    train: Callable[[], tuple[Any, Any]] | None = None
    test: Callable[[], tuple[Any, Any]] | None = None
    pipeline: Callable[[Any], Any] | None = None
    frame: Callable[[], Any] | None = None
    tokenizer: Any = None
    texts: Sequence[str] | None = None
    frozen: Sequence[str] = ()
    time_axis: int | None = None
    groups: Callable[[], tuple[Any, Any]] | None = None
    reduction: str | None = None
    pad: Callable[[Any, Any], tuple[Any, Any]] | None = None
    accumulate: Callable[[nn.Module, Any, Any], None] | None = None
    evaluate: Callable[[nn.Module], float] | None = None
    width: Callable[[int], nn.Module] | None = None
    runs: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None
    gradient: tuple[Callable[..., Tensor], tuple[Tensor, ...]] | None = None
    render: Callable[..., None] | None = None
    output_shape: Sequence[int] | None = None
    seed: int = 0

    def __init__(  # the three that every experiment has may be given by position
        self,
        model: Callable[[], nn.Module],
        batch: Callable[[], tuple[Any, Any]],
        loss: Callable[[Any, Any], Tensor],
        **optional: Any,
    ) -> None:
        """Raises ExperimentError for a field that does not exist and for a factory that cannot be called."""
        fields = type(self).__dataclass_fields__
        unknown = sorted(optional.keys() - fields.keys())
        if unknown:
            known = ", ".join(name for name in fields if name not in ("model", "batch", "loss"))
            raise ExperimentError(f"Experiment has no field {unknown[0]!r}; it has model, batch, loss, {known}")
        given = {"model": model, "batch": batch, "loss": loss, **optional}
        for name, each in fields.items():
            value = given.get(name, each.default)
            if name in _CALLABLE and not callable(value) and not (value is None and name in optional.keys() | _OPTIONAL):
                hint = " (pass a function that creates it, not the object itself)" if name in ("model", "batch", "loader") else ""
                raise ExperimentError(f"Experiment: {name} must be callable, not {type(value).__name__}{hint}")
            if name == "model" and isinstance(value, nn.Module):
                raise ExperimentError("Experiment: model must be a function that creates the model, not the model itself")
            object.__setattr__(self, name, value)


_CALLABLE = frozenset(
    {"model", "batch", "loss", "optimizer", "loader", "train", "test", "pipeline", "frame", "groups", "pad", "accumulate"}
    | {"evaluate", "width", "render"}
)
_OPTIONAL = _CALLABLE - {"model", "batch", "loss"}
