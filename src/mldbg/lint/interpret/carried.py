"""What is left of a meaning when a tensor is cut, moved, joined or computed with, where only some axes are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mldbg.lint.interpret.value import Axes, Constant, Items, Value
from mldbg.operations.effect import (
    Arithmetic,
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
from mldbg.semantics import FORGOTTEN, Semantic

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS

EPSILON = 1e-3
"""A constant up to this size that is added to probabilities keeps a logarithm finite and changes nothing else."""

Carrying = (
    Clamps
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


def left(effect: Carrying, given: Mapping[str, Value], values: Sequence[Value]) -> Left:
    """What an effect leaves of the meanings of its arguments, by parameter in `given` and in order in `values`."""
    match effect:
        case Joins():
            return joined(elements_of(values[0]), _number(given.get("dim")) if "dim" in given else effect.axis)
        case Stacks():
            return stacked(elements_of(values[0]), _number(given.get("dim")) if "dim" in given else 0)
        case Chooses():
            return chosen(values[1:])
        case Operates():
            return operated(effect.how, *values[:2]) if len(values) == 2 and len(given) == 2 else LOST
        case Multiplies() | Contracts() | Normalizer():
            return LOST
        case _:
            return _of_one(effect, given, values)


def _of_one(
    effect: Moves | Selects | Reduces | Pools | Negates | Clamps | Drops | Fills,
    given: Mapping[str, Value],
    values: Sequence[Value],
) -> Left:
    value = values[0]
    match effect:
        case Moves():
            return moved(effect, value, given, values[1:])
        case Selects():
            return selected(effect.what, value, _number(given.get("dim")) if "dim" in given else 0)
        case Reduces():
            return reduced(value, _numbers(given.get("dim")), given, total=effect.total)
        case Pools():
            return pooled(value, effect.spatial)
        case Negates():
            return whole(value) if value.meaning is LOGITS else LOST
        case Clamps():
            return whole(value) if value.meaning in (PROBS, UNIT, LOG_PROBS) else LOST
        case Drops():
            return whole(value) if value.meaning is LOGITS else LOST
        case Fills():
            return filled(value, given.get("value"))


def means_nothing(effect: Carrying, value: Value) -> bool:
    """Whether an effect has no meaning to carry: what is not known to be a tensor may have a method of that name of its own."""
    return value.meaning in (None, Semantic.SCALAR_LOSS) and not isinstance(effect, Moves | Clamps | Drops)


def whole(value: Value) -> Left:
    """All of it."""
    return Left(value.meaning, value.axes, value.scaled)


def part(value: Value) -> Left:
    """Some of the values that a law ties together: probabilities stay between 0 and 1, log-probabilities become unknown."""
    if value.meaning is PROBS:
        return LOST if value.scaled else Left(UNIT)
    return LOST if value.meaning is LOG_PROBS else Left(value.meaning)


def scaled(value: Value, axes: Axes) -> Left:
    """Times a positive number."""
    if value.meaning is PROBS:
        return Left(PROBS, axes, scaled=True)
    return Left(LOGITS, axes) if value.meaning is LOGITS else LOST


# --------------------------------------------------------------------------------------------------------------------- axes
def is_axis(axes: Axes, dim: int) -> bool | None:
    """Whether `dim` is the axis along which the law holds; None where that is not known."""
    along, rank = axes.along, axes.rank
    if along is None:
        return None
    if (along < 0) == (dim < 0):
        return along == dim
    return along % rank == dim % rank if rank else None


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
    return Left(value.meaning, replace(axes, along=_moved_axis(effect.how, value.axes, given, sizes)), value.scaled)


def _moved_axis(how: Move, axes: Axes, given: Mapping[str, Value], sizes: Sequence[Value]) -> int | None:
    along = axes.along
    dims = [_number(size) for size in sizes]
    if along is None or None in dims or len(dims) != len([name for name in given if name != "input"]):
        return None if how is not Move.PERMUTE else _permuted(along, dims)
    known = [dim for dim in dims if dim is not None]
    match how:
        case Move.TRANSPOSE if len(known) == 2 and all((dim < 0) == (along < 0) for dim in known):
            return {known[0]: known[1], known[1]: known[0]}.get(along, along)
        case Move.SWAP_LAST if along < 0:
            return {-1: -2, -2: -1}.get(along, along)
        case Move.UNSQUEEZE if len(known) == 1:
            return _unsqueezed(along, known[0])
        case Move.SQUEEZE if len(known) == 1:
            return _without(along, known)
        case Move.PERMUTE:
            return _permuted(along, dims)
        case _:
            return None


def _permuted(along: int | None, dims: Sequence[int | None]) -> int | None:
    order = [dim % len(dims) for dim in dims if dim is not None]
    return order.index(along % len(dims)) if along is not None and sorted(order) == list(range(len(dims))) and order else None


def _unsqueezed(along: int, dim: int) -> int | None:
    if along >= 0 and dim >= 0:
        return along + (dim <= along)
    if along < 0 and dim < 0:
        return along - (dim >= along)
    return along if dim == 0 else None


def _without(along: int, dims: Sequence[int]) -> int | None:
    """The axis after others have gone. Axes that are counted from different ends stay where they are if the first one goes."""
    if along >= 0:
        return along - sum(dim < along for dim in dims) if all(dim >= 0 for dim in dims) else None
    from_end = [dim for dim in dims if dim < 0]
    return along + sum(dim > along for dim in from_end)


def repeated(effect: Moves, value: Value, given: Mapping[str, Value]) -> Left:
    """expand, repeat: what is repeated along the axis of the law no longer sums to 1."""
    if "dim" in effect.params:  # repeat_interleave
        dim = _number(given.get("dim"))
        apart = dim is not None and is_axis(value.axes, dim) is False
        return Left(value.meaning, Axes(along=value.axes.along), value.scaled) if apart else _each(value)
    if "repeats" in effect.params or "dims" in effect.params:
        return _each(value)
    along = value.axes.along  # expand: new axes come in front
    return Left(value.meaning, Axes(along=along if along is not None and along < 0 else None), value.scaled)


def _each(value: Value) -> Left:
    """What holds of each value by itself."""
    return part(value)


# ------------------------------------------------------------------------------------------------------------ cuts and means
def selected(what: Choice, value: Value, dim: int | None) -> Left:
    """Some of the values, chosen along one axis."""
    apart = what not in (Choice.VALUES, Choice.INDEX) and dim is not None and is_axis(value.axes, dim) is False
    if not apart:
        return part(value)
    assert dim is not None
    if what in (Choice.ENTRY, Choice.ENTRIES):
        assert value.axes.along is not None
        return Left(value.meaning, Axes(along=_without(value.axes.along, [dim])), value.scaled)
    return Left(value.meaning, Axes(value.axes.rank, along=value.axes.along), value.scaled)


def reduced(value: Value, dims: Sequence[int] | None, given: Mapping[str, Value], *, total: bool) -> Left:
    """Means and sums over other axes than the one of the law keep it; a mean of numbers in [0, 1] stays there."""
    if dims is None:
        return LOST
    if value.meaning is UNIT and not total:
        return Left(UNIT)
    along = value.axes.along
    if value.meaning not in (PROBS, LOGITS) or along is None or any(not _apart(value.axes, dim) for dim in dims):
        return LOST
    keepdim = given.get("keepdim")
    if keepdim is None or keepdim.constant is False:
        axes = Axes(along=_without(along, dims))
    else:
        axes = Axes(value.axes.rank, along=along) if keepdim.constant is True else Axes()
    return scaled(value, axes) if total else Left(value.meaning, axes, value.scaled)


def _apart(axes: Axes, dim: int) -> bool:
    """Whether a mean over `dim` surely leaves the axis of the law alone.

    Only a vector's first axis is its last one, and the mean of a vector is a number, which no loss takes for probabilities.
    """
    return is_axis(axes, dim) is False or {axes.along, dim} == {0, -1}


def pooled(value: Value, spatial: int | None) -> Left:
    """Means over neighbours along the last axes."""
    along, behind = value.axes.along, spatial if spatial is not None else 3
    apart = along is not None and (0 <= along <= 1 or along < -behind)
    return whole(value) if apart and value.meaning in (PROBS, LOGITS) else LOST


def filled(value: Value, filler: Value | None) -> Left:
    """Some values are replaced by a number: logits stay logits, probabilities no longer sum to 1."""
    number = filler.constant if filler is not None else None
    if value.meaning is LOGITS:
        return whole(value)
    if not isinstance(number, int | float) or isinstance(number, bool):
        return LOST
    if value.meaning is PROBS and (number >= 0 or number <= FORGOTTEN):
        return scaled(value, value.axes)
    within = value.meaning is UNIT and 0 <= number <= 1
    return whole(value) if within or (value.meaning is Semantic.NON_NEGATIVE and number >= 0) else LOST


# ----------------------------------------------------------------------------------------------------------- several tensors
def elements_of(value: Value) -> Sequence[Value]:
    """The elements of a sequence; a value that is none by itself."""
    thing = value.thing
    return thing.all if isinstance(thing, Items) else (value,)


def _common(values: Sequence[Value]) -> Value | None:
    """What all values share; None where they mean different things."""
    first = values[0] if values else None
    if first is None or any(each.meaning is not first.meaning for each in values):
        return None
    along = first.axes.along if all(each.axes.along == first.axes.along for each in values) else None
    return replace(first, axes=Axes(along=along), scaled=any(each.scaled for each in values))


def joined(values: Sequence[Value], dim: int | None) -> Left:
    """Of cat and the like: what all parts are, the whole is; not so along the axis of the law."""
    value = _common(values)
    if value is None:
        return LOST
    return whole(value) if dim is not None and is_axis(value.axes, dim) is False else part(value)


def stacked(values: Sequence[Value], dim: int | None) -> Left:
    """stack: a new axis."""
    value = _common(values)
    if value is None:
        return LOST
    along = _unsqueezed(value.axes.along, dim) if value.axes.along is not None and dim is not None else None
    return Left(value.meaning, Axes(along=along), value.scaled)


def chosen(values: Sequence[Value]) -> Left:
    """where(condition, a, b): what both are, value by value."""
    value = _common(values) if len(values) == 2 else None
    return LOST if value is None or value.meaning is LOG_PROBS else Left(value.meaning, Axes(), value.scaled)


def operated(how: Arithmetic, first: Value, second: Value) -> Left:
    """Arithmetic of a tensor with a number or with another tensor."""
    if isinstance(second.thing, Constant):
        return _with_number(how, first, second.constant)
    if isinstance(first.thing, Constant):
        return _number_with(how, first.constant, second)
    if how in (Arithmetic.PLUS, Arithmetic.MINUS, Arithmetic.FROM) and LOGITS is first.meaning is second.meaning:
        return Left(LOGITS, first.axes)
    if how is Arithmetic.OVER and first.meaning is LOGITS and second.meaning is None:
        return whole(first)  # a temperature
    alike = first.meaning is second.meaning and first.axes.along == second.axes.along
    return scaled(first, first.axes) if how is Arithmetic.PLUS and first.meaning is PROBS and alike else LOST


def _with_number(how: Arithmetic, value: Value, number: object) -> Left:
    if value.meaning is LOGITS:
        return whole(value)
    if not isinstance(number, int | float) or isinstance(number, bool):
        return LOST
    if how in (Arithmetic.TIMES, Arithmetic.OVER) and number > 0:
        return scaled(value, value.axes)
    tiny = isinstance(number, float) and 0 < abs(number) <= EPSILON
    guards = how in (Arithmetic.PLUS, Arithmetic.MINUS) and tiny and value.meaning in (PROBS, UNIT)
    return whole(value) if guards else LOST  # p + 1e-8 guards a logarithm


def _number_with(how: Arithmetic, number: object, value: Value) -> Left:
    if how is Arithmetic.MINUS and number in (1, 1.0) and value.meaning is UNIT:
        return Left(UNIT)
    if how is Arithmetic.OVER:
        return LOST
    return whole(value) if how is Arithmetic.MINUS and value.meaning is LOGITS else _with_number(how, value, number)
