"""Annotations that are written for the user: what a few batches show of a model, as promises, signatures and a diff."""

from mldbg.contracts.propose.seen import Seen, observe

__all__ = ["Seen", "observe"]
