"""The vocabulary of tensor meanings, shared by the linter, the contracts and the verification bench.

A meaning says what the numbers of a tensor *are*, beyond dtype and shape. Each has a law: a property that holds for
every tensor with that meaning and that can be checked from its values. This module is pure data and imports nothing heavy.
"""

from __future__ import annotations

from enum import StrEnum


class Semantic(StrEnum):
    """What the numbers of a tensor mean. The value is the name used in configuration and messages."""

    LOGITS = "logits"
    PROBS = "probs"
    LOG_PROBS = "log-probs"
    UNIT_INTERVAL = "unit-interval"
    NON_NEGATIVE = "non-negative"
    SCALAR_LOSS = "scalar-loss"

    @property
    def law(self) -> str:
        """What must hold for the values, in words."""
        return _LAWS[self]

    @property
    def words(self) -> str:
        """The meaning as it reads in a sentence."""
        return _WORDS[self]


_LAWS = {
    Semantic.LOGITS: "real numbers without bound; softmax or sigmoid turns them into probabilities",
    Semantic.PROBS: "every value in [0, 1], and the values along the class axis sum to 1",
    Semantic.LOG_PROBS: "every value at most 0, and the exponentials along the class axis sum to 1",
    Semantic.UNIT_INTERVAL: "every value in [0, 1], each on its own (independent probabilities, as a sigmoid gives)",
    Semantic.NON_NEGATIVE: "every value at least 0 (as a ReLU gives)",
    Semantic.SCALAR_LOSS: "one real number, the quantity that training lowers",
}

_WORDS = {
    Semantic.LOGITS: "logits (any real number)",
    Semantic.PROBS: "probabilities",
    Semantic.LOG_PROBS: "log-probabilities",
    Semantic.UNIT_INTERVAL: "values between 0 and 1",
    Semantic.NON_NEGATIVE: "values that are never negative",
    Semantic.SCALAR_LOSS: "a scalar loss",
}
