"""Metrics that are objects: they gather what they are given until they are reset."""

from __future__ import annotations

from enum import Enum


class Use(Enum):
    """What is done with such an object."""

    MADE = "it is built"
    UPDATED = "it takes in a batch"
    COMPUTED = "its value over all that it took in is asked for"
    RESET = "it forgets what it took in"
    GIVEN_AWAY = "unknown code gets it"


METHODS: dict[str, Use] = {
    "update": Use.UPDATED,
    "update_state": Use.UPDATED,
    "add_batch": Use.UPDATED,
    "forward": Use.UPDATED,
    "compute": Use.COMPUTED,
    "result": Use.COMPUTED,
    "reset": Use.RESET,
    "reset_state": Use.RESET,
    "reset_states": Use.RESET,
}

KEEPS_OBJECT: frozenset[str] = frozenset({"to", "cuda", "cpu", "set_dtype", "double", "float", "half", "eval", "train"})
"""Methods that return the object itself."""

_PACKAGES = (
    "torchmetrics.",
    "keras.metrics.",
    "tensorflow.keras.metrics.",
    "tensorflow.python.keras.metrics.",
    "tf_keras.metrics.",
)

_OTHERS = ("torchmetrics.functional.", "torchmetrics.utilities.")

_NOT_GATHERING = frozenset({"Running", "RunningMean", "RunningSum", "MetricTracker", "BootStrapper"})
"""Those that forget by themselves, or keep each epoch apart."""


def is_meter(cls: str) -> bool:
    """Whether a class outside the project is such a metric."""
    name = cls.rpartition(".")[2]
    return cls.startswith(_PACKAGES) and not cls.startswith(_OTHERS) and name[:1].isupper() and name not in _NOT_GATHERING
