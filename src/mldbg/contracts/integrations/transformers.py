"""`ContractsCallback` for the `Trainer` of the package `transformers`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from transformers import Trainer, TrainerCallback

from mldbg.contracts.integrations.steps import SANITIZED, Steps


class ContractsCallback(TrainerCallback):  # type: ignore[misc]
    """`contracts.step()` around each training step, and `sanitize()` around the first ones of each `train`.

    A step is one call of `Trainer.training_step`: forward, loss and backward of one batch, also where gradients are accumulated.
    So a broken contract is raised before the optimizer uses what came of it. Evaluation and prediction are no steps.

    Callbacks hear nothing of exceptions. Therefore the method is wrapped while the training lasts, instead of opening a step in
    one call and ending it in another.
    """

    def __init__(self, *, sanitize_steps: int = SANITIZED) -> None:
        """sanitize_steps: the first steps of every training that run under `sanitize()`; compiled models run eagerly in them.

        Raises ValueError for a negative number.
        """
        self._steps = Steps(sanitize_steps)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Training begins, or is resumed. Raises RuntimeError where no `Trainer` runs it."""
        trainer = _trainer_around()
        self._steps.restart()
        _unwrap(trainer)  # what a training left that failed
        trainer.training_step = _Step(trainer.training_step, self._steps, before=vars(trainer).get("training_step"))

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Training is over."""
        _unwrap(_trainer_around())


class _Step:
    """`Trainer.training_step` in its surroundings. before: what stood in its place on the object, if anything did."""

    def __init__(self, inner: Callable[..., Any], steps: Steps, before: Any) -> None:
        self.inner = inner
        self.steps = steps
        self.before = before

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.steps.around():
            return self.inner(*args, **kwargs)


def _unwrap(trainer: Any) -> None:
    step = vars(trainer).get("training_step")
    if isinstance(step, _Step):
        if step.before is None:
            del trainer.training_step
        else:
            trainer.training_step = step.before


def _trainer_around() -> Any:
    """The trainer whose method has called the hook: callbacks are not told."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001
    while frame is not None:
        found = frame.f_locals.get("self")
        if isinstance(found, Trainer):
            return found
        frame = frame.f_back
    raise RuntimeError("ContractsCallback works for transformers.Trainer only, which did not call it")
