"""The vocabulary of tensor meanings, shared by the linter, the contracts and the verification bench.

A meaning says what the numbers of a tensor *are*, beyond dtype and shape. Each has a law: a property that holds for
every tensor with that meaning and that can be checked from its values. This module is pure data and imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

IGNORED_CLASS = -100
"""The class id that stands for "no target here": the default `ignore_index` of torch's cross-entropy."""

FORGOTTEN = -1e2
"""A score at or below this is forgotten by softmax: exp(-100) is below 1e-43, and -100 is what Swin transformers mask with."""


class Semantic(StrEnum):
    """What the numbers of a tensor mean. The value is the name used in configuration and messages."""

    LOGITS = "logits"
    PROBS = "probs"
    LOG_PROBS = "log-probs"
    UNIT_INTERVAL = "unit-interval"
    NON_NEGATIVE = "non-negative"
    SCALAR_LOSS = "scalar-loss"
    CLASS_IDS = "class-ids"
    ONE_HOT = "one-hot"
    BOOL_MASK = "bool-mask"
    KEEP_MASK = "keep-mask"
    DROP_MASK = "drop-mask"
    ADDITIVE_MASK = "additive-mask"
    TOKEN_IDS = "token-ids"  # noqa: S105 (tokens of text, not a password)
    UNIT_NORM = "unit-norm"
    FINITE = "finite"
    SCALED = "scaled"

    @property
    def law(self) -> str:
        """What must hold for the values, in words."""
        return _LAWS[self]

    @property
    def words(self) -> str:
        """The meaning as it reads in a sentence."""
        return _WORDS[self]

    @property
    def extent(self) -> Extent:
        """Which values the law ties together."""
        return _EXTENTS.get(self, Extent.ELEMENT)

    @property
    def tolerance(self) -> Tolerance:
        """How far rounding may take honest values from the law."""
        return _TOLERANCES.get(self, EXACT)


def either(one: Semantic | None, two: Semantic | None) -> Semantic | None:
    """What numbers mean that are one or the other; None where nothing holds of both that misuses of either would break.

    Probabilities lie in [0, 1], too. That they are also not negative is left unsaid: a loss may ask for [0, 1].
    """
    if one is two:
        return one
    return Semantic.UNIT_INTERVAL if {one, two} <= _WITHIN_UNIT else None


_WITHIN_UNIT = {Semantic.PROBS, Semantic.UNIT_INTERVAL}


class Extent(StrEnum):
    """Which values of a tensor one statement of a law is about."""

    ELEMENT = "each value by itself"
    AXIS = "the values along one axis (the last one by default)"
    TENSOR = "all values together"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far values may be from a law and still count as keeping it.

    by_dtype: dtype name as torch prints it, without `torch.`, -> absolute deviation. Other dtypes keep the law exactly.
    reason: where the numbers come from.
    """

    by_dtype: Mapping[str, float]
    reason: str

    def of(self, dtype: str) -> float:
        """The absolute deviation allowed for a dtype, given by name (`float32`)."""
        return self.by_dtype.get(dtype, 0.0)


_LAWS = {
    Semantic.LOGITS: "any real number; softmax or sigmoid turns them into probabilities",
    Semantic.PROBS: "every value in [0, 1], and the values along the class axis sum to 1",
    Semantic.LOG_PROBS: "every value at most 0, and the exponentials along the class axis sum to 1",
    Semantic.UNIT_INTERVAL: "every value in [0, 1], independently of the others (as returned by sigmoid)",
    Semantic.NON_NEGATIVE: "every value at least 0 (as returned by ReLU)",
    Semantic.SCALAR_LOSS: "a single real number, the quantity that training minimises",
    Semantic.CLASS_IDS: "integers from 0 to the number of classes minus 1, or the id of a target to ignore "
    f"({IGNORED_CLASS} by default)",
    Semantic.ONE_HOT: "along the class axis one value is 1 and all others are 0",
    Semantic.BOOL_MASK: "True or False",
    Semantic.KEEP_MASK: "True (1) or False (0), and some position takes part",
    Semantic.DROP_MASK: "True (1) or False (0), and not every position is left out",
    Semantic.ADDITIVE_MASK: f"every value 0 (keep) or at most {FORGOTTEN:g} (softmax forgets it); -inf is usual",
    Semantic.TOKEN_IDS: "integers from 0 to the vocabulary size minus 1",
    Semantic.UNIT_NORM: "the squares along the axis sum to 1",
    Semantic.FINITE: "no value is NaN or infinite",
    Semantic.SCALED: "mean near 0 and standard deviation near 1 over the batch",
}

_WORDS = {
    Semantic.LOGITS: "logits (unbounded values)",
    Semantic.PROBS: "probabilities",
    Semantic.LOG_PROBS: "log-probabilities",
    Semantic.UNIT_INTERVAL: "values between 0 and 1",
    Semantic.NON_NEGATIVE: "non-negative values",
    Semantic.SCALAR_LOSS: "a scalar loss",
    Semantic.CLASS_IDS: "class ids",
    Semantic.ONE_HOT: "one-hot rows",
    Semantic.BOOL_MASK: "a boolean mask",
    Semantic.KEEP_MASK: "a keep mask (True takes part)",
    Semantic.DROP_MASK: "a drop mask (True is left out)",
    Semantic.ADDITIVE_MASK: "an additive mask",
    Semantic.TOKEN_IDS: "token ids",
    Semantic.UNIT_NORM: "unit-norm vectors",
    Semantic.FINITE: "finite values",
    Semantic.SCALED: "scaled values (mean 0, standard deviation 1)",
}

_EXTENTS = {
    Semantic.LOGITS: Extent.AXIS,
    Semantic.PROBS: Extent.AXIS,
    Semantic.LOG_PROBS: Extent.AXIS,
    Semantic.ONE_HOT: Extent.AXIS,
    Semantic.UNIT_NORM: Extent.AXIS,
    Semantic.SCALED: Extent.TENSOR,
    Semantic.KEEP_MASK: Extent.TENSOR,
    Semantic.DROP_MASK: Extent.TENSOR,
    Semantic.SCALAR_LOSS: Extent.TENSOR,
}

EXACT = Tolerance({}, "comparison with a bound that every format represents exactly")

_SUMS = Tolerance(
    {
        "float64": 8e-3,
        "float32": 8e-3,
        "float16": 8e-3,
        "bfloat16": 3.2e-2,
        "float8_e4m3fn": 0.5,
        "float8_e4m3fnuz": 0.5,
        "float8_e5m2": 1.0,
        "float8_e5m2fnuz": 1.0,
    },
    "rounding every value moves the sum of a row by at most one unit roundoff: 8 for the short formats (2^-8 for bfloat16, "
    "2^-4 and 2^-3 for the two of 8 bits); a cast to a wider format keeps the rounding of the format before, so the wider ones "
    "allow 2 of bfloat16's, which also covers TF32 and values clamped away from 0",
)

_LOG_SUMS = Tolerance(
    {"float64": 3.2e-2, "float32": 3.2e-2, "float16": 3.2e-2, "bfloat16": 0.125},
    "a log-probability of size L is rounded by L unit roundoffs, which multiplies its probability: 4 times the tolerance of "
    "sums covers a uniform distribution over 10^13 classes",
)

_TOLERANCES = {
    Semantic.LOGITS: _SUMS,  # for telling that logits are probabilities after all
    Semantic.PROBS: _SUMS,
    Semantic.LOG_PROBS: _LOG_SUMS,
    Semantic.UNIT_INTERVAL: _SUMS,
    Semantic.UNIT_NORM: _SUMS,
    Semantic.SCALED: Tolerance(
        {"float64": 0.5, "float32": 0.5, "float16": 0.5, "bfloat16": 0.5},
        "coarse on purpose: one batch is a sample, so besides this the law allows 3 standard errors of the number of rows; "
        "raw pixels and forgotten scalers are far outside",
    ),
}
