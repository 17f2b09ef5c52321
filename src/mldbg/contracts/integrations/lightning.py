"""`ContractsCallback` for trainers of the package `lightning`."""

from __future__ import annotations

from lightning.pytorch import Callback

from mldbg.contracts.integrations.hooks import Hooks


class ContractsCallback(Hooks, Callback):  # type: ignore[misc]
    """`contracts.step()` around each training step, and `sanitize()` around the first ones of each `fit`."""
