"""The hooks of Lightning's callbacks, for both names that it is published under."""

from __future__ import annotations

from typing import Any

from mldbg.contracts.integrations.steps import SANITIZED, Steps


class Hooks:
    """A training step is what Lightning does with one batch: also where it accumulates gradients, and in each process.

    Validation, its sanity check, test and prediction are no steps: contracts read their verdicts there at the end of each call.
    """

    def __init__(self, *, sanitize_steps: int = SANITIZED) -> None:
        """sanitize_steps: the first steps of every `fit` that run under `sanitize()`; compiled models run eagerly in them.

        Raises ValueError for a negative number.
        """
        super().__init__()
        self._steps = Steps(sanitize_steps)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Training begins, or is resumed from a checkpoint, which knows nothing of this callback."""
        self._steps.restart()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """A step begins."""
        self._steps.begin()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """A step ends. Raises ContractError where a contract was broken in it."""
        self._steps.end()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Where a hook ends the epoch early, Lightning begins a step that it never ends."""
        self._steps.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """A step fails. A broken contract that is behind it becomes a note of the exception, so that Lightning can tidy up."""
        self._steps.fail(exception)
