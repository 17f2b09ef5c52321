"""`ContractsCallback` for trainers of the package `pytorch_lightning`."""

from __future__ import annotations

from pytorch_lightning import Callback

from mldbg.contracts.integrations.hooks import Hooks


class ContractsCallback(Hooks, Callback):  # type: ignore[misc]
    """`contracts.step()` around each training step, and `sanitize()` around the first ones of each `fit`."""
