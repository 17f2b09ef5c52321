"""The law of each meaning as arithmetic: a few reductions on the device, and the verdict on the host.

A measurement gives a handful of 0-d tensors (the statistics). They are all that a deferred check keeps of a tensor. The verdict
needs only them, the dtype and the sizes, so that the numbers in an error message are the numbers that were judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mldbg.semantics import FORGOTTEN, Semantic

Statistics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Sample:
    """What the verdict may know besides the statistics.

    tolerance: absolute deviation allowed for the dtype.
    rows: how many rows were looked at: the number of values divided by the size of the law's axis.
    length: size of the law's axis.
    batch: size of the first axis.
    """

    tolerance: float
    rows: int
    length: int
    batch: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Which part of a law does not hold, why that may be, and what to do."""

    fact: str
    cause: str
    advice: str


@dataclass(frozen=True, slots=True)
class Proof:
    """What is left to measure of a tensor whose history proves the most of a law.

    node: name of the node of autograd that gives tensors which keep the law along its axis, up to NaN.
    measure: (tensor, some of its rows, axis) -> the statistics of the law, of which the dear one is that of the rows: they and
        the cheap one show a NaN, and changes in place that torch is not told of (`.data`, numpy).
    """

    node: str
    measure: Callable[[Tensor, Tensor, int], tuple[Tensor, ...]]


@dataclass(frozen=True, slots=True)
class Law:
    """names: of the statistics. measure: (tensor, axis, bound) -> one 0-d tensor, or number, for each name. broken: the verdict.

    fine: (minimum, maximum, bound) -> whether these alone show that the law holds; False, too, where they do not tell.
    proof: of the law by the history of a tensor, where there is one.
    """

    names: tuple[str, ...]
    measure: Callable[[Tensor, int, float | None], tuple[Tensor | float, ...]]
    broken: Callable[[Statistics, Sample], Broken | None]
    fine: Callable[[float, float, object], bool] | None = None
    proof: Proof | None = None


@dataclass(frozen=True, slots=True)
class OwnLaw:
    """A law that a user has written. says, holds, axes and advice: as given to `own_law`; law: made of them."""

    says: str
    holds: Callable[[Tensor], Tensor]
    axes: int | None
    advice: str
    law: Law = field(compare=False, repr=False)

    def __reduce__(self) -> tuple[Callable[..., OwnLaw], tuple[object, ...]]:
        return own_law, (self.says, self.holds, self.axes, self.advice)


def own_law(says: str, holds: Callable[[Tensor], Tensor], axes: int | None, advice: str) -> OwnLaw:
    """The law that every verdict of `holds` is True."""

    def measure(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
        verdicts = holds(x)
        if getattr(verdicts, "dtype", None) is not torch.bool:
            raise TypeError(f"law {says!r}: what holds() returns must be a tensor of bools")
        broken = (~verdicts).sum()
        return broken, torch.full_like(broken, verdicts.numel())

    def broken(found: Statistics, sample: Sample) -> Broken | None:
        if not found["verdicts against it"]:
            return None
        fact = f"{found['verdicts against it']:.0f} of {found['verdicts']:.0f} verdicts are against it"
        return Broken(fact, "", advice or "correct the code that made these values, or the law")

    return OwnLaw(says, holds, axes, advice, Law(("verdicts against it", "verdicts"), measure, broken))


_NAN = Broken(
    "NaN among the values",
    "a NaN arose earlier: 0/0, log of a negative number, inf - inf, or softmax over a row of -inf",
    "locate it with torch.autograd.set_detect_anomaly(True), or with a Finite[...] contract on earlier tensors",
)


def _accumulator(x: Tensor) -> torch.dtype | None:
    """Sums of short formats are taken in float32, for their own rounding would exceed the tolerance."""
    return torch.float32 if x.is_floating_point() and x.dtype.itemsize < 4 else None


def _range(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    low, high = torch.aminmax(x)
    return low, high


def _sums(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    return (x.amin(), *torch.aminmax(x.sum(axis, dtype=_accumulator(x))))


def _all_sums_and_some_least(x: Tensor, rows: Tensor, axis: int) -> tuple[Tensor, ...]:
    return (rows.amin(), *torch.aminmax(x.sum(axis, dtype=_accumulator(x))))


def _greatest_and_some_sums(x: Tensor, rows: Tensor, axis: int) -> tuple[Tensor, ...]:
    return (x.amax(), *_exponential_sums(rows, axis, None)[1:])


def _range_and_sums(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    return (*torch.aminmax(x), *torch.aminmax(x.sum(axis, dtype=_accumulator(x))))


def _exponential_sums(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    return (x.amax(), *torch.aminmax(x.to(_accumulator(x) or x.dtype).exp().sum(axis)))


def _one_hot(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    if x.dtype is torch.bool:
        x = x.to(torch.uint8)
    totals = torch.aminmax(x.sum(axis, dtype=_accumulator(x)))
    return (x.amin(), *torch.aminmax(x.amax(axis)), *totals)


def without(x: Tensor, ignored: int) -> Tensor:
    """Class ids with 0 in place of the one that stands for no target.

    A short format that cannot hold `ignored` is left as it is: torch would wrap the number around (-100 is 156 in uint8).
    """
    limits = torch.iinfo(x.dtype)
    return x.masked_fill(x == ignored, 0) if limits.min <= ignored <= limits.max else x


def _range_and_bound(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor | float, ...]:
    low, high = (end.to(torch.int64) for end in torch.aminmax(x))
    limit = torch.iinfo(torch.int64).max if bound is None else bound
    if isinstance(limit, int) and not torch.compiler.is_dynamo_compiling():
        return low, high, limit
    return low, high, torch.full_like(high, limit)


def _additive(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    return x.amax(), x.masked_fill(x == 0, -torch.inf).amax()


def _masked(*, keeps: bool) -> Callable[[Tensor, int, float | None], tuple[Tensor, ...]]:
    def measure(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
        marked = x if x.dtype is torch.bool else x != 0
        count = marked.sum()
        strange = torch.zeros_like(count) if x.dtype is torch.bool else ((x != 0) & (x != 1)).sum()
        upper = (marked if keeps else ~marked).triu(1).sum() if _is_square(x) else torch.zeros_like(count)
        return count, torch.full_like(count, marked.numel()), strange, upper

    return measure


def _is_square(x: Tensor) -> bool:
    """Whether it may be a mask of positions against the same positions."""
    return x.ndim > 1 and x.shape[-1] == x.shape[-2] and x.shape[-1] > 2


def _norms(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    low, high = torch.aminmax(torch.linalg.vector_norm(x, dim=axis, dtype=_accumulator(x)))
    return low, high


def _moments(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    sd, mean = torch.std_mean(x.to(_accumulator(x) or x.dtype), correction=0)
    return mean, sd


def _value(x: Tensor, axis: int, bound: float | None) -> tuple[Tensor, ...]:
    return (x.clone(),)  # the tensor itself may be changed in place before it is read


def _logits(found: Statistics, sample: Sample) -> Broken | None:
    """-inf is legal: masked classes have it, and a fully masked row is all -inf.

    Values can refute logits in one more way: every row sums to 1 and lies in (0, 1), as softmax leaves it. Real logits do that by
    chance with a probability below tolerance ** rows, so at least 8 rows are asked for. Rows with an exact 0 are let pass:
    one-hot rows stand in for perfect logits in many a test.
    """
    if math.isnan(found["min"]) or math.isnan(found["max"]):
        return _NAN
    if found["max"] == math.inf:
        return Broken("+inf among the values", "overflow, often in float16", "reduce the scale, or compute this layer in float32")
    like_sums = all(abs(found[name] - 1) <= sample.tolerance for name in ("lowest row sum", "highest row sum"))
    if sample.rows >= 8 and sample.length >= 2 and found["min"] > 0 and found["max"] <= 1 and like_sums:
        return Broken(
            "every row is positive and sums to 1",
            "these are probabilities: softmax has already been applied",
            "return the scores before softmax, or annotate them as Probs",
        )
    return None


def _like_no_probs(low: float, high: float, bound: object) -> bool:
    """Whether logits are no probabilities, nor NaN or plus infinity, by their range."""
    return low <= 0 and high < math.inf


def _are_finite(low: float, high: float, bound: object) -> bool:
    return -math.inf < low and high < math.inf


def _are_ids(low: float, high: float, bound: object) -> bool:
    return low >= 0 and (bound is None or (isinstance(bound, int) and high < bound))


def _probs(found: Statistics, sample: Sample) -> Broken | None:
    low, sums = found["min"], (found["lowest row sum"], found["highest row sum"])
    if math.isnan(low) or any(map(math.isnan, sums)):
        return _NAN
    fine = all(abs(total - 1) <= sample.tolerance for total in sums)
    if low < -sample.tolerance:
        if fine:
            return Broken("negative values", "an affine change after softmax, or rounding", "clamp, or renormalise")
        if sums[1] < 0:
            return Broken("negative values", "these look like log-probabilities", "exponentiate them, or annotate LogProbs")
        return Broken("negative values", "these look like logits: softmax was not applied", "apply softmax, or annotate Logits")
    if fine:
        return None
    if sums[1] <= sample.length and sums[0] > sample.tolerance:
        cause = "softmax over another axis, sigmoid instead of softmax, or a change after softmax (dropout, masking, scaling)"
    else:
        cause = "these are not probabilities: counts, positive scores, or fully masked rows"
    return Broken(
        "the class axis does not sum to 1",
        cause,
        "normalise over the class axis as the last step; along(...) selects another axis",
    )


def _log_probs(found: Statistics, sample: Sample) -> Broken | None:
    sums = (found["lowest row sum of exp"], found["highest row sum of exp"])
    if math.isnan(found["max"]) or any(map(math.isnan, sums)):
        return _NAN
    if all(abs(total - 1) <= sample.tolerance for total in sums):
        return None
    if found["max"] <= sample.tolerance:
        cause = "log-softmax over another axis, log-sigmoid, or a change after log-softmax"
    elif found["max"] <= 1:
        cause = "these may be probabilities: softmax instead of log_softmax"
    else:
        cause = "these look like logits: log_softmax was not applied"
    return Broken("the exponentials along the class axis do not sum to 1", cause, "apply log_softmax over the class axis")


def _within_unit(found: Statistics, sample: Sample) -> Broken | None:
    if math.isnan(found["min"]) or math.isnan(found["max"]):
        return _NAN
    if found["min"] >= -sample.tolerance and found["max"] <= 1 + sample.tolerance:
        return None
    if found["min"] >= 0 and found["max"] <= 255:
        return Broken("values above 1", "pixels from 0 to 255, or counts", "divide by the largest possible value")
    return Broken("values outside [0, 1]", "these look like logits: sigmoid was not applied", "apply sigmoid")


def _never_negative(found: Statistics, sample: Sample) -> Broken | None:
    if math.isnan(found["min"]):
        return _NAN
    if found["min"] >= 0:
        return None
    return Broken(
        "negative values",
        "a missing ReLU, abs or softplus, or a difference of nearly equal numbers",
        "clamp, or rewrite the expression",
    )


def _finite(found: Statistics, sample: Sample) -> Broken | None:
    if math.isnan(found["min"]) or math.isnan(found["max"]):
        return _NAN
    if math.isfinite(found["min"]) and math.isfinite(found["max"]):
        return None
    return Broken(
        "infinite values", "overflow, a logarithm of 0, or a division by 0", "clamp the argument, or compute in float32"
    )


def _loss(found: Statistics, sample: Sample) -> Broken | None:
    if math.isfinite(found["value"]):
        return None
    return (
        _NAN
        if math.isnan(found["value"])
        else Broken("the loss is infinite", "overflow or log(0)", "use the numerically stable loss on logits")
    )


def _ids(found: Statistics, sample: Sample) -> Broken | None:
    if found["min"] < 0:
        advice = "map it to an id, mask these positions, or list it in ignoring(...) of ClassIds"
        return Broken("a negative id", "padding or an 'unknown' label was left in", advice)
    if found["max"] >= found["bound"]:
        cause = "ids start at 1, or the table is too small for the data"
        advice = "start at 0, raise the bound, or list it in ignoring(...) of ClassIds"
        return Broken(f"an id of {found['max']:.0f} with a bound of {found['bound']:.0f}", cause, advice)
    return None


def _hot(found: Statistics, sample: Sample) -> Broken | None:
    wanted = {"min": 0.0, **{f"{end} row {what}": 1.0 for end in ("lowest", "highest") for what in ("maximum", "sum")}}
    if sample.length == 1:
        wanted["min"] = 1.0
    if any(math.isnan(number) for number in found.values()):
        return _NAN
    if all(found[name] == number for name, number in wanted.items()):
        return None
    if found["min"] >= 0 and found["highest row sum"] <= 1.001 and found["lowest row maximum"] < 1:
        return Broken("rows are not one-hot", "soft or smoothed labels, or probabilities", "annotate them as Probs")
    return Broken(
        "rows are not one-hot", "several labels per row, class ids, or a different class axis", "apply one_hot to the class ids"
    )


def _mask(found: Statistics, sample: Sample) -> Broken | None:
    if any(math.isnan(number) for number in found.values()):
        return _NAN
    if found["max"] <= 0 and found["highest value that is not 0"] <= FORGOTTEN:
        return None
    if found["max"] == 1:
        return Broken(
            "values of 1", "a mask of zeros and ones is added instead of applied", "use -inf where the mask excludes, 0 elsewhere"
        )
    return Broken(
        f"values between {FORGOTTEN:g} and 0, or above 0", "a bias, not a mask", "mask with -inf, or annotate a bias as Float"
    )


def _which(*, keeps: bool) -> Callable[[Statistics, Sample], Broken | None]:
    """Of masks that say by True what to keep, or what to drop.

    Only what cannot be meant counts: nothing at all is kept, or what is kept of square masks is all that lies above the diagonal,
    the future without the present. A mask of a single position may leave it out.
    """
    other, name = ("DropMask", "keep") if keeps else ("KeepMask", "drop")

    def broken(found: Statistics, sample: Sample) -> Broken | None:
        count, positions = found["positions marked"], found["positions"]
        if found["neither 0 nor 1"]:
            return Broken("values other than 0 and 1", "an additive mask, scores, or token ids", "annotate it as what it is")
        kept = count if keeps else positions - count
        inverted = f"invert it (~mask), or annotate it as {other}"
        if kept == 0 and positions > 1:
            return Broken("nothing is kept", f"the mask is inverted: it does not say what to {name}", inverted)
        future = positions / sample.length * (sample.length - 1) / 2
        if 0 < kept == found["kept above the diagonal"] == future:
            return Broken("only later positions are kept", "the causal mask is inverted", inverted)
        return None

    return broken


def _unit_norm(found: Statistics, sample: Sample) -> Broken | None:
    low, high = found["lowest norm"], found["highest norm"]
    if math.isnan(low) or math.isnan(high):
        return _NAN
    if abs(low - 1) <= sample.tolerance and abs(high - 1) <= sample.tolerance:
        return None
    if low == 0 and abs(high - 1) <= sample.tolerance:
        return Broken("zero vectors", "normalize leaves zero vectors unchanged: dead units or padding", "mask these rows")
    return Broken(
        "vectors do not have unit norm", "normalize is missing, or ran over another axis", "apply F.normalize(x, dim=...) last"
    )


FEW = 16
"""Fewer samples than this may be alike: the standard deviation of 8 normal ones falls below the limit once in 2500 batches, that
of 16 once in 200,000 (simulated)."""


def _scaled(found: Statistics, sample: Sample) -> Broken | None:
    mean, sd = found["mean"], found["sd"]
    if math.isnan(mean) or math.isnan(sd):
        return _NAN
    chance = 3 / math.sqrt(max(sample.batch, 1))
    factor = 2 * (1 + chance)
    least = 1 / factor if sample.batch >= FEW else 0.0
    if abs(mean) <= sample.tolerance + chance and least <= sd <= factor:
        return None
    return Broken(
        "mean far from 0 or standard deviation far from 1",
        "the scaler was not applied, or fitted on other data",
        "standardise the inputs",
    )


_RANGE = ("min", "max")
_ROWS = ("lowest row sum", "highest row sum")
_IDS = (*_RANGE, "bound")
_MASKS = ("positions marked", "positions", "neither 0 nor 1", "kept above the diagonal")

LAWS = {
    Semantic.LOGITS: Law((*_RANGE, *_ROWS), _range_and_sums, _logits, _like_no_probs),
    Semantic.PROBS: Law(("min", *_ROWS), _sums, _probs, proof=Proof("SoftmaxBackward0", _all_sums_and_some_least)),
    Semantic.LOG_PROBS: Law(
        ("max", *(f"{name} of exp" for name in _ROWS)),
        _exponential_sums,
        _log_probs,
        proof=Proof("LogSoftmaxBackward0", _greatest_and_some_sums),
    ),
    Semantic.UNIT_INTERVAL: Law(_RANGE, _range, _within_unit, lambda low, high, bound: low >= 0 and high <= 1),
    Semantic.NON_NEGATIVE: Law(_RANGE, _range, _never_negative, lambda low, high, bound: low >= 0),
    Semantic.FINITE: Law(_RANGE, _range, _finite, _are_finite),
    Semantic.SCALAR_LOSS: Law(("value",), _value, _loss, _are_finite),
    Semantic.CLASS_IDS: Law(_IDS, _range_and_bound, _ids, _are_ids),
    Semantic.TOKEN_IDS: Law(_IDS, _range_and_bound, _ids, _are_ids),
    Semantic.ONE_HOT: Law(("min", "lowest row maximum", "highest row maximum", *_ROWS), _one_hot, _hot),
    Semantic.KEEP_MASK: Law(_MASKS, _masked(keeps=True), _which(keeps=True)),
    Semantic.DROP_MASK: Law(_MASKS, _masked(keeps=False), _which(keeps=False)),
    Semantic.ADDITIVE_MASK: Law(("max", "highest value that is not 0"), _additive, _mask),
    Semantic.UNIT_NORM: Law(("lowest norm", "highest norm"), _norms, _unit_norm),
    Semantic.SCALED: Law(("mean", "sd"), _moments, _scaled),
}
"""A boolean mask has no law beyond its dtype."""
