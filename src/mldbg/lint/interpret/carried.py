"""What is left of a meaning when a tensor is cut, moved, joined or computed with, where only some axes are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mldbg.lint.interpret import along
from mldbg.lint.interpret.indexing import MASK, indexed
from mldbg.lint.interpret.shapes import argument
from mldbg.lint.interpret.value import (
    NO_ENTRIES,
    OF_PREDICTIONS,
    UNKNOWN,
    Axes,
    Constant,
    Items,
    Opaque,
    Unknown,
    Value,
    is_blank,
    literal,
)
from mldbg.operations.effect import (
    Arithmetic,
    Arranges,
    Choice,
    Chooses,
    Clamps,
    Contracts,
    Drops,
    Fills,
    Joins,
    Move,
    Moves,
    Multiplies,
    Negates,
    Normalizer,
    Operates,
    Pools,
    Reduces,
    Selects,
    Stacks,
)
from mldbg.semantics import FORGOTTEN, Semantic, either

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS
NON_NEGATIVE, ONE_HOT = Semantic.NON_NEGATIVE, Semantic.ONE_HOT

TINY_LOG = -12.0
"""A log-probability that is cut off here was below 1e-5."""

EPSILON = 1e-3
"""A constant up to this size that is added to probabilities keeps a logarithm finite and changes nothing else."""

Carrying = (
    Arranges
    | Clamps
    | Contracts
    | Chooses
    | Drops
    | Fills
    | Joins
    | Moves
    | Multiplies
    | Negates
    | Normalizer
    | Operates
    | Pools
    | Reduces
    | Selects
    | Stacks
)
"""Effects that carry a meaning on, or lose it. Where there is none, the result is only made from the arguments."""


UNKNOWN_AXES = Axes()


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a meaning: that meaning or a weaker one, the axes, and whether a factor has come in."""

    meaning: Semantic | None = None
    axes: Axes = UNKNOWN_AXES
    scaled: bool = False


LOST = Left()
ZERO = literal(0)
_CONSTANT = literal("constant")


def left(effect: Carrying, given: Mapping[str, Value], values: Sequence[Value]) -> Left:
    """What an effect leaves of the meanings of its arguments, by parameter in `given` and in order in `values`."""
    match effect:
        case Joins():
            return joined(elements_of(values[0]), _axis_of(given) if _names_axis(given) else effect.axis)
        case Stacks():
            return stacked(elements_of(values[0]), _axis_of(given) if _names_axis(given) else 0)
        case Chooses():
            return chosen([given[name] for name in ("input", "other") if name in given])
        case Operates():
            return operated(effect.how, *values[:2]) if len(values) == 2 and len(given) == 2 else LOST
        case Multiplies():
            return multiplied(values[0], values[1], effect.rank) if len(values) >= 2 else LOST
        case Contracts() | Normalizer():
            return LOST
        case _:
            return _of_one(effect, given, values)


def _of_one(
    effect: Arranges | Moves | Selects | Reduces | Pools | Negates | Clamps | Drops | Fills,
    given: Mapping[str, Value],
    values: Sequence[Value],
) -> Left:
    value = _as_one(values[0])
    match effect:
        case Arranges():
            return arranged(value, given, reduces=effect.reduces)
        case Moves():
            return moved(effect, value, given, values[1:])
        case Selects(Choice.EXTREME) if (other := other_extreme(given)) is not None:
            return chosen([value, other])
        case Selects():
            return selected(effect.what, value, _axis_of(given) if _names_axis(given) else 0)
        case Reduces():
            return reduced(value, _numbers(given.get("dim", given.get("axis"))), given, total=effect.total)
        case Pools():
            return pooled(value, effect, given)
        case Negates():
            return whole(value) if value.meaning is LOGITS else LOST
        case Clamps():
            return clamped(value, given)
        case Drops():
            return whole(value) if value.meaning is LOGITS or (value.meaning is NON_NEGATIVE and not effect.shifts) else LOST
        case Fills():
            if given.get("mode", _CONSTANT).constant != "constant":
                return part(value)  # F.pad repeats values
            return filled(value, given.get("value", literal(effect.usual)))


def other_extreme(given: Mapping[str, Value]) -> Value | None:
    """The tensor with which `max(a, b)` compares; None where it is called with an axis, or alone."""
    second = given.get("other", given.get("dim", UNKNOWN))
    is_tensor = "other" in given or second.meaning is not None or (is_blank(second) and isinstance(second.thing, Opaque))
    return second if is_tensor else None


def _names_axis(given: Mapping[str, Value]) -> bool:
    return "dim" in given or "axis" in given


def _axis_of(given: Mapping[str, Value]) -> int | None:
    """Torch's `dim`, numpy's `axis`."""
    return _number(given.get("dim", given.get("axis")))


def _as_one(value: Value) -> Value:
    """A list of arrays is taken for one array with an axis more, as numpy does."""
    if not isinstance(value.thing, Items):
        return value
    rest = stacked(value.thing.all, 0)
    return Value(meaning=rest.meaning, axes=rest.axes, scaled=rest.scaled)


def means_nothing(effect: Carrying, value: Value) -> bool:
    """Whether an effect has no meaning to carry: what is not known to be a tensor may have a method of that name of its own."""
    names_only_tensors = isinstance(effect, Moves | Clamps | Drops | Fills | Multiplies)
    unmarked = value.marked is None or value.marked.mark in OF_PREDICTIONS
    return value.meaning in (None, Semantic.SCALAR_LOSS) and unmarked and not names_only_tensors


def whole(value: Value) -> Left:
    """All of it."""
    return Left(value.meaning, value.axes, value.scaled)


def part(value: Value) -> Left:
    """Some of the values that a law ties together: probabilities stay between 0 and 1, log-probabilities become unknown."""
    if value.meaning in (PROBS, ONE_HOT):
        return LOST if value.scaled else Left(UNIT)
    return LOST if value.meaning is LOG_PROBS else Left(value.meaning, scaled=value.scaled)


def scaled(value: Value, axes: Axes) -> Left:
    """Times a positive number."""
    if value.meaning is PROBS:
        return Left(PROBS, axes, scaled=True)
    return Left(LOGITS, axes) if value.meaning is LOGITS else LOST


# --------------------------------------------------------------------------------------------------------------------- axes
def _number(value: Value | None) -> int | None:
    number = value.constant if value is not None else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _numbers(value: Value | None) -> list[int] | None:
    """`dim=1` and `dim=(1, 2)`; None where it is not known, or means all axes."""
    if value is not None and isinstance(value.thing, Items) and value.thing.exact:
        found = [_number(item) for item in value.thing.tail]
        return [number for number in found if number is not None] if None not in found else None
    number = _number(value)
    return None if number is None else [number]


def moved(effect: Moves, value: Value, given: Mapping[str, Value], sizes: Sequence[Value]) -> Left:
    """The same values with other axes."""
    if effect.how is Move.REPEAT:
        return repeated(effect, value, given)
    axes = Axes(rank=len(sizes)) if effect.rank_from_shape and len(sizes) > 1 else Axes()
    dim = _number(sizes[0]) if effect.how is Move.SQUEEZE and len(sizes) == 1 else None
    squeezed = dim is not None and value.axes.are_along(dim) is True
    named = [given[name] for name in effect.params[1:] if name in given]
    arguments = list(map(argument, named if len(named) >= len(sizes) else sizes))  # `permute(0, 2, 1)` gives `dims` one by one
    place = along.moved(effect.how, value.axes, arguments) if not squeezed else None
    single = value.axes.single or (value.meaning in (PROBS, LOG_PROBS) and (squeezed or value.axes.is_single))
    return Left(value.meaning, replace(axes, along=place, single=single), value.scaled)


def arranged(value: Value, given: Mapping[str, Value], *, reduces: bool) -> Left:
    """einops: an axis that stands alone on both sides of the pattern keeps its law; means over others do, too."""
    pattern = given.get("pattern", UNKNOWN).constant
    how = given.get("reduction", UNKNOWN).constant if reduces else "mean"
    if not isinstance(pattern, str) or how not in ("mean", "sum", "max", "min"):
        return LOST
    place = along.arranged(value.axes, pattern)
    if how in ("max", "min"):
        return part(value)
    if place is None:
        return LOST if how == "sum" else part(value)
    return scaled(value, Axes(along=place)) if how == "sum" else Left(value.meaning, Axes(along=place), value.scaled)


def repeated(effect: Moves, value: Value, given: Mapping[str, Value]) -> Left:
    """expand, repeat: what is repeated along the axis of the law no longer sums to 1."""
    if "dim" in effect.params:  # repeat_interleave
        dim = _number(given.get("dim"))
        kept = dim is not None and apart(value.axes, dim)
        return Left(value.meaning, Axes(along=value.axes.along), value.scaled) if kept else _each(value)
    if "repeats" in effect.params or "dims" in effect.params:
        return _each(value)
    return Left(value.meaning, Axes(along=_from_end(value.axes)), value.scaled)  # expand: new axes come in front


def _from_end(axes: Axes) -> int | None:
    """The axis of the law, counted from the last one; None where that is not known."""
    if axes.along is None or axes.along < 0:
        return axes.along
    return axes.along - axes.rank if axes.rank is not None else None


def _each(value: Value) -> Left:
    """What holds of each value by itself."""
    return part(value)


# ------------------------------------------------------------------------------------------------------------ cuts and means
def selected(what: Choice, value: Value, dim: int | None) -> Left:
    """Some of the values, chosen along one axis."""
    if what is Choice.ALL:
        return whole(value)
    if what not in _ALONG_ONE_AXIS or dim is None or not apart(value.axes, dim):
        return part(value)
    if what in (Choice.ENTRY, Choice.ENTRIES):
        return Left(value.meaning, Axes(along=along.without(value.axes, [dim])), value.scaled)
    return Left(value.meaning, Axes(value.axes.rank, along=value.axes.along), value.scaled)


_ALONG_ONE_AXIS = (Choice.CUT, Choice.PARTS, Choice.ENTRY, Choice.ENTRIES)
"""Of these, what is left along the other axes stays together."""


def entry(value: Value) -> Left:
    """What iterating over a tensor, or unpacking it, yields."""
    tells = isinstance(value.thing, Unknown) and value.meaning not in (None, Semantic.SCALAR_LOSS)
    return selected(Choice.ENTRY, value, 0) if tells else LOST


def picked(value: Value, indices: Sequence[Value]) -> Left:
    """What `tensor[indices]` is."""
    if value.meaning is None:
        return LOST
    found = indexed(value.axes, indices)
    single = value.axes.single or (value.meaning in (PROBS, LOG_PROBS) and value.axes.is_single)
    if not found.touched:
        return Left(value.meaning, Axes(along=found.along, single=single), value.scaled)
    rest = part(value)
    return replace(rest, axes=Axes(single=True)) if single and rest.meaning is UNIT else rest


def written(base: Value, value: Value) -> Left | None:
    """What a tensor is once some of its values were replaced: `scores[mask] = -inf`, `buffer[i] = row`; None: what it was."""
    number = _as_number(value)
    if is_blank(base):
        if number == 0:
            return None
        fits = value.meaning in (PROBS, UNIT, LOGITS, NON_NEGATIVE) and isinstance(base.thing, Opaque)
        return Left(value.meaning, scaled=value.scaled or value.meaning is PROBS) if fits else Left()
    if base.meaning is None or (number is not None and base.meaning is LOGITS):
        return None
    if number is not None:
        return filled(base, literal(number)) if base.meaning in (UNIT, NON_NEGATIVE) or number <= 1 else LOST
    meaning = either(base.meaning, value.meaning)
    return Left(meaning, base.axes, base.scaled or value.scaled) if meaning not in (None, LOG_PROBS) else LOST


def reduced(value: Value, dims: Sequence[int] | None, given: Mapping[str, Value], *, total: bool) -> Left:
    """Means and sums over other axes than the one of the law keep it; a mean of numbers in [0, 1] stays there."""
    if dims is None:
        return LOST
    if value.meaning is UNIT and not total:
        return Left(UNIT, scaled=value.scaled)
    # the mean of all classes is a constant that nobody asks for: where an axis may be theirs, it is another one
    kept = [
        value.axes.are_along(dim) is not True if value.meaning is PROBS and not total else apart(value.axes, dim) for dim in dims
    ]
    if value.meaning not in (PROBS, LOGITS) or value.axes.along is None or not all(kept):
        return part(value) if value.meaning is PROBS and not total else LOST
    keepdim = given.get("keepdim")
    if keepdim is None or keepdim.constant is False:
        axes = Axes(along=along.without(value.axes, dims))
    else:
        axes = Axes(value.axes.rank, along=value.axes.along) if keepdim.constant is True else Axes()
    return scaled(value, axes) if total else Left(value.meaning, axes, value.scaled)


def apart(axes: Axes, dim: int) -> bool:
    """Whether what happens along `dim` leaves the axis of the law alone.

    Only a vector's first axis is its last one, and what is made of a vector is a number, which no loss takes for probabilities.
    The first axis is that of the samples where nothing says along which axis the law holds.
    """
    known = axes.are_along(dim)
    return not known if known is not None else {axes.along, dim} == {0, -1} or (axes.along is None and dim == 0)


def pooled(value: Value, effect: Pools, given: Mapping[str, Value]) -> Left:
    """Means over neighbours along the last axes, or the greatest of them."""
    if given.get("mode", UNKNOWN).constant == "bicubic":
        return LOST  # it overshoots
    if value.meaning is UNIT:
        return LOST if "divisor_override" in given else whole(value)
    place, behind = value.axes.along, effect.spatial if effect.spatial is not None else 3
    beside = place is not None and (0 <= place <= 1 or place < -behind)
    if effect.greatest:
        return part(value) if value.meaning in (PROBS, LOGITS) else LOST
    if value.meaning is PROBS and not beside:
        return part(value)  # a mean of probabilities of other classes
    if value.meaning not in (PROBS, LOGITS) or not beside:
        return LOST
    padded = effect.beyond or given.get("padding", ZERO).constant != 0  # zeros are counted in at the border
    fewer = padded or "divisor_override" in given
    return scaled(value, value.axes) if fewer else whole(value)


def clamped(value: Value, given: Mapping[str, Value]) -> Left:
    """Values beyond a bound are put onto it: bounds that hardly touch probabilities guard a logarithm."""
    bounds = [given[name].constant if name in given else None for name in ("min", "max")]
    low, high = (bound if isinstance(bound, int | float) else None for bound in bounds)
    match value.meaning:
        case Semantic.PROBS | Semantic.UNIT_INTERVAL if value.scaled:
            return whole(value) if (low is None or low <= 0) and high is None else LOST
        case Semantic.PROBS:
            if (low is None or low <= EPSILON) and (high is None or high >= 1 - EPSILON):
                return whole(value)
            return Left(UNIT) if _meets_unit(low, high) else LOST
        case Semantic.UNIT_INTERVAL:
            return whole(value) if _meets_unit(low, high) else LOST
        case Semantic.LOG_PROBS:
            return whole(value) if (low is None or low <= TINY_LOG) and (high is None or high >= 0) else LOST
        case _:
            return LOST


def _meets_unit(low: float | None, high: float | None) -> bool:
    return (low is None or low <= 1) and (high is None or high >= 0)


def filled(value: Value, filler: Value | None) -> Left:
    """Some values are replaced by a number: logits stay logits, probabilities no longer sum to 1."""
    number = filler.constant if filler is not None else None
    if value.meaning is LOGITS:
        return whole(value)
    if not isinstance(number, int | float) or isinstance(number, bool):
        return LOST
    if value.meaning is PROBS and (number >= 0 or number <= FORGOTTEN):
        return scaled(value, value.axes)
    within = value.meaning is UNIT and 0 <= number <= 1 and not (value.scaled and number)
    return whole(value) if within or (value.meaning is NON_NEGATIVE and number >= 0) else LOST


# ----------------------------------------------------------------------------------------------------------- several tensors
def elements_of(value: Value) -> Sequence[Value]:
    """The elements of a sequence; a value that is none by itself."""
    thing = value.thing
    return thing.all if isinstance(thing, Items) else (value,)


def _common(values: Sequence[Value]) -> Value | None:
    """What all values share, zeros and tensors without entries apart; None where nothing holds of all."""
    telling = [each for each in values if not is_blank(each)]
    if not telling:
        return None
    first = telling[0]
    meaning = first.meaning
    for each in telling[1:]:
        meaning = either(meaning, each.meaning)
    zeros = any(is_blank(each) and not _has_no_entries(each) for each in values)
    if meaning is None or (zeros and meaning not in (PROBS, UNIT, LOGITS, NON_NEGATIVE)):
        return None
    place = first.axes.along if all(each.axes.along == first.axes.along for each in telling) else None
    factor = any(each.scaled for each in telling) or (zeros and meaning is PROBS)
    return replace(first, meaning=meaning, axes=Axes(along=place), scaled=factor)


def _has_no_entries(value: Value) -> bool:
    return isinstance(value.thing, Opaque) and value.thing.cls == NO_ENTRIES


def joined(values: Sequence[Value], dim: int | None) -> Left:
    """Of cat and the like: what all parts are, the whole is; not so along the axis of the law."""
    value = _common(values)
    if value is None:
        return LOST
    return whole(value) if dim is not None and apart(value.axes, dim) else part(value)


def stacked(values: Sequence[Value], dim: int | None) -> Left:
    """stack: a new axis."""
    value = _common(values)
    if value is None:
        return LOST
    place = along.moved(Move.UNSQUEEZE, value.axes, [dim]) if dim is not None else None
    return Left(value.meaning, Axes(along=place), value.scaled)


def multiplied(first: Value, second: Value, rank: int | None = None) -> Left:
    """A matrix product: weights that sum to 1 take means of the rows of the second factor. `rank`: of both, where it is fixed.

    Weights along an axis that is not known are taken to run over the rows where these are one-hot: so labels are looked up.
    """
    last = replace(first.axes, rank=rank or first.axes.rank).are_along(-1)
    looks_up = first.axes.along is None and second.meaning is ONE_HOT
    if first.meaning not in (PROBS, ONE_HOT) or first.scaled or second.scaled or not (last or looks_up):
        return LOST
    of_rows = replace(second.axes, rank=rank or second.axes.rank).are_along(-1)
    if second.meaning in (PROBS, ONE_HOT) and (rank or 0) >= 2 and of_rows:
        return Left(PROBS, Axes(along=-1))
    return Left(UNIT) if second.meaning in (PROBS, ONE_HOT, UNIT) else LOST


def chosen(values: Sequence[Value]) -> Left:
    """where(condition, a, b): what both are, value by value; a number fills up what the other one leaves free."""
    if len(values) != 2:
        return LOST
    numbers = [value for value in values if _as_number(value) is not None]
    if len(numbers) == 1:
        other = next(value for value in values if value is not numbers[0])
        return filled(other, literal(_as_number(numbers[0])))
    value = _common(values)
    return part(value) if value is not None else LOST


# --------------------------------------------------------------------------------------------------------------- arithmetic
def operated(how: Arithmetic, first: Value, second: Value) -> Left:
    """Arithmetic of a tensor with a number or with another tensor."""
    if (number := _as_number(second)) is not None:
        return _broadcast(second, _with_number(how, first, number))
    if (number := _as_number(first)) is not None:
        return _broadcast(first, _number_with(how, number, second))
    if isinstance(second.thing, Constant) or isinstance(first.thing, Constant):
        return LOST
    return _of_two(how, first, second)


def _broadcast(number: Value, rest: Left) -> Left:
    """What is left where the number is a tensor of zeros, which may have more axes: they come in front."""
    if isinstance(number.thing, Constant):
        return rest
    return replace(rest, axes=Axes(along=_from_end(rest.axes)))


def summed(element: Value) -> Left:
    """Python's sum over such elements."""
    if element.meaning is Semantic.SCALAR_LOSS:
        return Left(element.meaning)
    return operated(Arithmetic.PLUS, element, element) if element.meaning is not None else LOST


def _as_number(value: Value) -> float | None:
    """A number, or a tensor that is the same as one."""
    if is_blank(value):
        return 0
    number = value.constant
    return number if isinstance(number, int | float) and not isinstance(number, bool) else None


def _of_two(how: Arithmetic, first: Value, second: Value) -> Left:
    both = either(first.meaning, second.meaning)
    match how:
        case Arithmetic.PLUS if first.meaning is second.meaning is PROBS and first.axes.along == second.axes.along:
            return scaled(first, first.axes)
        case Arithmetic.PLUS if both in (PROBS, UNIT):
            return Left(UNIT, scaled=True)
        case Arithmetic.PLUS | Arithmetic.MINUS | Arithmetic.FROM if both is LOGITS:
            return Left(LOGITS, replace(first.axes, last=_last_of_both(first.axes.last, second.axes.last)))
        case Arithmetic.OVER if first.meaning is LOGITS and second.meaning is None:
            return whole(first)  # a temperature
        case Arithmetic.OVER if first.scaled and first.meaning in (PROBS, UNIT) and second.meaning is None:
            return whole(first)  # a sum, divided by how many were added up
        case Arithmetic.TIMES if both in (PROBS, UNIT) and not first.scaled and not second.scaled:
            return Left(UNIT)
        case Arithmetic.TIMES if MASK in (_class_of(first), _class_of(second)):
            return filled(second if _class_of(first) == MASK else first, ZERO)
        case _:
            return LOST


def _last_of_both(one: int | None, two: int | None) -> int | None:
    """The size of the last axis where two tensors are broadcast: a column and a transposed one give a table."""
    known = [size for size in (one, two) if size not in (None, 1)]
    return known[0] if known else 1 if one == two == 1 else None


def _class_of(value: Value) -> str | None:
    return value.thing.cls if isinstance(value.thing, Opaque) else None


def _with_number(how: Arithmetic, value: Value, number: float) -> Left:
    if how is Arithmetic.FROM:
        return _complement(value, number)
    if how is Arithmetic.TO:
        inside = value.meaning in (PROBS, UNIT) and not value.scaled
        return Left(UNIT) if inside and number > 0 else LOST
    if value.meaning is LOGITS:
        return whole(value)
    if how in (Arithmetic.TIMES, Arithmetic.OVER):
        return _times(value, number, how) if number > 0 else LOST
    if number == 0:
        return whole(value)
    guards = abs(number) <= EPSILON and value.meaning in (PROBS, UNIT)
    return whole(value) if guards else LOST  # p + 1e-8 guards a logarithm


def _times(value: Value, number: float, how: Arithmetic) -> Left:
    if value.meaning is UNIT:
        shrinks = number <= 1 if how is Arithmetic.TIMES else number >= 1
        return whole(value) if shrinks else LOST
    return scaled(value, value.axes)


def _number_with(how: Arithmetic, number: float, value: Value) -> Left:
    match how:
        case Arithmetic.MINUS:
            return _complement(value, number)
        case Arithmetic.PLUS | Arithmetic.TIMES:
            return _with_number(how, value, number)
        case Arithmetic.FROM:
            return _with_number(Arithmetic.MINUS, value, number)
        case _:
            return LOST


def _complement(value: Value, number: float) -> Left:
    """A number minus a tensor."""
    if value.meaning is LOGITS:
        return whole(value)
    return Left(UNIT) if number == 1 and value.meaning in (PROBS, UNIT) and not value.scaled else LOST
