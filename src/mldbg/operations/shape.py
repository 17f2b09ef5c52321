"""Shapes, and what a function that computes a shape gets and gives.

A shape is a tuple of sizes; in one place there may be any number of further axes (`*batch`, `...`). `Tensor` is a shape with the
type of its elements. A *transfer function* takes `Given`, the arguments of one call as far as they are known, and returns the
shape of the result. It raises `Mismatch` where the call cannot work for any values that fit what is known, and `Unsure` where
too little is known to say anything; `Given` does that by itself where an argument that is asked for is not known.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NoReturn, TypeVar

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, coming_out, divided, factor_of, is_name, product, quotient, said, same


@dataclass(frozen=True, slots=True)
class Rest:
    """Any number of axes. `key`: the identity of those that a name stands for; None where nothing is known of them."""

    name: str = field(default="...", compare=False)
    key: Hashable = None


@dataclass(frozen=True, slots=True)
class Shape:
    """The axes of a tensor: `front`, then `rest` where their number is not known, then `back`. Without it all are in `front`."""

    front: tuple[Dim, ...] = ()
    rest: Rest | None = None
    back: tuple[Dim, ...] = ()

    @property
    def rank(self) -> int | None:
        """The number of axes; None where it is not known."""
        return len(self.front) if self.rest is None else None

    @property
    def least_rank(self) -> int:
        return len(self.front) + len(self.back)

    @property
    def dims(self) -> tuple[Dim, ...]:
        """All sizes. Raises Unsure where the number of axes is not known."""
        if self.rest is not None:
            raise Unsure
        return self.front

    def at(self, axis: int) -> Dim:
        """The size of an axis, counted from the end where negative; ANY where it lies among those that are not known.

        Raises Mismatch where there is no such axis.
        """
        if self.rest is None:
            place = self.place(axis)
            if not self.front:
                raise Mismatch(Problem.RANK, f"axis {axis} of a tensor without axes")
            return self.front[place]
        if 0 <= axis < len(self.front):
            return self.front[axis]
        if axis < 0 and -axis <= len(self.back):
            return self.back[axis]
        return ANY

    def at_end(self, steps: int) -> Dim:
        """The size of an axis, counted from the last one; ANY where it is not known or there is none."""
        known = self.front if self.rest is None else self.back
        return known[-1 - steps] if steps < len(known) else ANY

    def place(self, axis: int, more: int = 0) -> int:
        """An axis counted from the front; `more`: axes that come beside those of the shape.

        Raises Mismatch where there is no such axis, Unsure where the number of axes is not known and it is counted from the end.
        """
        if self.rest is not None:
            if 0 <= axis < len(self.front):
                return axis
            raise Unsure
        rank = len(self.front) + more
        if not -max(rank, 1) <= axis < max(rank, 1):  # torch allows axis 0 and -1 of a tensor without axes
            raise Mismatch(Problem.RANK, f"axis {axis} of a tensor with {counted(rank, 'axis', 'axes')}")
        return axis % rank if rank else 0

    def with_axis(self, axis: int, size: Dim) -> Shape:
        """The same with another size of one axis."""
        if self.rest is None:
            place = self.place(axis)
            return replace(self, front=(*self.front[:place], size, *self.front[place + 1 :]))
        if 0 <= axis < len(self.front):
            return replace(self, front=(*self.front[:axis], size, *self.front[axis + 1 :]))
        if axis < 0 and -axis <= len(self.back):
            place = axis % len(self.back)
            return replace(self, back=(*self.back[:place], size, *self.back[place + 1 :]))
        raise Unsure

    def without(self, axis: int) -> Shape:
        """The same without one axis."""
        if self.rest is None:
            place = self.place(axis)
            return replace(self, front=(*self.front[:place], *self.front[place + 1 :]))
        if 0 <= axis < len(self.front):
            return replace(self, front=(*self.front[:axis], *self.front[axis + 1 :]))
        if axis < 0 and -axis <= len(self.back):
            place = axis % len(self.back)
            return replace(self, back=(*self.back[:place], *self.back[place + 1 :]))
        raise Unsure

    def with_new(self, axis: int, size: Dim) -> Shape:
        """The same with one more axis, which `axis` counts as an axis of the result."""
        if self.rest is None:
            place = self.place(axis, 1)
            return replace(self, front=(*self.front[:place], size, *self.front[place:]))
        if 0 <= axis <= len(self.front):
            return replace(self, front=(*self.front[:axis], size, *self.front[axis:]))
        if axis < 0 and -axis - 1 <= len(self.back):
            place = len(self.back) + axis + 1
            return replace(self, back=(*self.back[:place], size, *self.back[place:]))
        raise Unsure

    def count(self) -> Dim:
        """The number of elements; ANY where that is not known."""
        return product(self.front) if self.rest is None else ANY

    def __str__(self) -> str:
        pieces = [said(dim) for dim in self.front]
        if self.rest is not None:
            pieces += [self.rest.name if self.rest.name == "..." else f"*{self.rest.name}"]
            pieces += [said(dim) for dim in self.back]
        return f"({pieces[0]},)" if len(pieces) == 1 else f"({', '.join(pieces)})"


def of(*dims: Dim) -> Shape:
    """The shape with these axes."""
    return Shape(tuple(dims))


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor or array: its shape (None: not known) and the type of its elements, as `dtypes` names it."""

    shape: Shape | None = None
    dtype: str | None = None

    @property
    def says_nothing(self) -> bool:
        return self.shape is None and self.dtype is None


@dataclass(frozen=True, slots=True)
class Each:
    """A sequence of any number of tensors that are alike."""

    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Perhaps:
    """Something of which nothing is known, not even whether it is a tensor or a number; if it is a number, it is this one."""

    size: Dim


@dataclass(frozen=True, slots=True)
class Built:
    """An object of a library's class, as an argument: the qualified name of the class, and what it was built with."""

    cls: str
    given: Mapping[str, object]


class NotGiven(Enum):
    """What an argument is of which nothing is known."""

    UNKNOWN = "unknown"


UNKNOWN = NotGiven.UNKNOWN

Argument = object
"""What a transfer function is given for a parameter: `Tensor`, a size (`int`, `Size`, `ANY`), `float`, `bool`, `str`, None,
`...`, `slice`, a tuple of such, `Each`, `Perhaps`, `Built`, or UNKNOWN."""

Result = object
"""What it gives back: `Tensor`, a size, a tuple of results, `Each`, `Built`, or UNKNOWN."""


class Mismatch(Exception):  # noqa: N818 (a verdict on the program that is read, and no error of this one)
    """A call that cannot work.

    Attributes:
        problem: of what kind.
        reason: why, as part of a sentence: "axis 1 has size 3 here and 4 there".
        got: the size that is there, where one size is wrong.
        wanted: the size that it would have to be.
        parameter: the one whose argument is wrong; of a layer the constructor's, which says the size that is wanted.
        cast: the method of a tensor that gives that argument the type which is needed.
    """

    def __init__(
        self,
        problem: Problem,
        reason: str,
        got: Dim | None = None,
        wanted: Dim | None = None,
        *,
        parameter: str | None = None,
        cast: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.problem = problem
        self.reason = reason
        self.got = got
        self.wanted = wanted
        self.parameter = parameter
        self.cast = cast


class Unsure(Exception):  # noqa: N818 (no error: too little is known)
    """Too little is known to say what comes out."""


def counted(number: int, one: str, many: str) -> str:
    """`1 axis`, `2 axes`."""
    return f"{number} {one if number == 1 else many}"


Kind = TypeVar("Kind")


class Given:
    """The arguments of a call by parameter, as far as they are known.

    Every accessor raises Unsure where the argument is not known, and takes `usual` where none is given.
    """

    def __init__(self, values: Mapping[str, Argument]) -> None:
        self.values = values

    def has(self, name: str) -> bool:
        """Whether a parameter was given something other than None."""
        return self.values.get(name) is not None

    def raw(self, name: str) -> Argument:
        """Whatever was given; None where nothing was."""
        return self.values.get(name)

    def tensor(self, name: str = "input") -> Tensor:
        """A tensor, of which the shape may not be known. A number is a tensor without axes."""
        value = self.values.get(name, UNKNOWN)
        if isinstance(value, Tensor):
            return value
        if value is UNKNOWN or isinstance(value, Perhaps | AnySize):
            return Tensor()
        return number_as_tensor(value) if isinstance(value, int | float | Size | AnySize) else _unsure()

    def shape(self, name: str = "input") -> Shape:
        """The shape of a tensor."""
        shape = self.tensor(name).shape
        return shape if shape is not None else _unsure()

    def dims(self, name: str = "input") -> tuple[Dim, ...]:
        """The sizes of all axes of a tensor."""
        return self.shape(name).dims

    def size(self, name: str, usual: Dim | None = None) -> Dim:
        """A size, known or not."""
        value = _as_size(self.values.get(name))
        if value is None and usual is not None:
            return usual
        return value if isinstance(value, int | Size | AnySize) and not isinstance(value, bool) else _unsure()

    def integer(self, name: str, usual: int | None = None) -> int:
        """A number that has to be known exactly: an axis, a count."""
        value = self.values.get(name)
        if value is None and usual is not None:
            return usual
        return value if isinstance(value, int) and not isinstance(value, bool) else _unsure()

    def flag(self, name: str, *, usual: bool = False) -> bool:
        value = self.values.get(name, usual)
        return value if isinstance(value, bool) else _unsure()

    def text(self, name: str, usual: str | None = None) -> str:
        value = self.values.get(name, usual)
        return value if isinstance(value, str) else _unsure()

    def sizes(self, name: str) -> tuple[Dim, ...]:
        """Sizes as a sequence, or one alone: `view(2, 3)`, `view((2, 3))`, `randn(5)`."""
        value = self.values.get(name)
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], tuple):
            value = value[0]
        if isinstance(value, tuple) and len(value) == 1 and (isinstance(value[0], Perhaps) or value[0] is UNKNOWN):
            _unsure()  # it may be a sequence of sizes
        if isinstance(value, int | Size) and not isinstance(value, bool):
            return (value,)
        if not isinstance(value, tuple):
            _unsure()
        several = [_as_size(each) for each in value]
        return tuple(
            each if isinstance(each, int | Size) and not isinstance(each, bool) else ANY if _may_be_size(each) else _unsure()
            for each in several
        )

    def repeated(self, name: str, count: int, usual: Dim | tuple[Dim, ...] | None = None) -> tuple[Dim, ...]:
        """One size for each of several axes, where one alone stands for all: the kernel of a convolution."""
        value = self.values.get(name)
        value = usual if value is None else value
        if isinstance(value, int | Size | AnySize) and not isinstance(value, bool):
            return (value,) * count
        if not isinstance(value, tuple) or len(value) not in (1, count):
            _unsure()
        found = tuple(each if isinstance(each, int | Size) else ANY for each in map(_as_size, value))
        return found * count if len(found) == 1 else found

    def axes(self, name: str) -> tuple[int, ...] | None:
        """One axis or several; None where none are given, which means all of them."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], tuple):
            value = value[0]
        several = value if isinstance(value, tuple) else (value,)
        return tuple(each if isinstance(each, int) and not isinstance(each, bool) else _unsure() for each in several)

    def tensors(self, name: str) -> tuple[Tensor, ...]:
        """A sequence of tensors whose number is known."""
        value = self.values.get(name)
        if not isinstance(value, tuple):
            _unsure()
        return tuple(each if isinstance(each, Tensor) else Tensor() for each in value)

    def dtype(self, name: str = "dtype", usual: str | None = None) -> str | None:
        """The type that a call names, as `torch.float32` or `"float32"`; None where it names one that is not known."""
        value = self.values.get(name)
        if value is None:
            return usual
        return dtypes.named(value.rpartition(".")[2]) if isinstance(value, str) else None


def _as_size(value: object) -> object:
    return value.size if isinstance(value, Perhaps) else value


def _may_be_size(value: object) -> bool:
    return value is UNKNOWN or isinstance(value, AnySize)


def _unsure() -> NoReturn:
    raise Unsure


def number_as_tensor(value: object) -> Tensor:
    """A Python number where a tensor may stand. Its type gives way to that of a tensor: only its kind is known."""
    kind = "bool" if isinstance(value, bool) else "float" if isinstance(value, float) else "int"
    return Tensor(Shape(), kind)


# --- broadcasting ---


def broadcast_size(one: Dim, two: Dim, where: str = "") -> Dim:
    """The size of two axes that are broadcast. Raises Mismatch where that fails."""
    if one == 1:
        return two
    if two == 1:
        return one
    equal = same(one, two)
    if equal:
        return one
    if equal is False:
        raise Mismatch(Problem.SIZES, f"{where}sizes {said(one)} and {said(two)} cannot be broadcast", one, two)
    for known, other in ((one, two), (two, one)):
        if isinstance(known, int) and known != 1:
            return known  # the other is 1, or the same
        if isinstance(other, AnySize) and isinstance(known, Size):
            return known  # an axis that somebody has named is hardly of size 1
    return ANY


def broadcast(*shapes: Shape) -> Shape:
    """The shape of arithmetic on tensors of these shapes. Raises Mismatch where they cannot be broadcast."""
    result = shapes[0]
    for shape in shapes[1:]:
        result = _broadcast_two(result, shape)
    return result


def _broadcast_two(one: Shape, two: Shape) -> Shape:
    if one.rest is None and two.rest is None:
        longer, shorter = (one.front, two.front) if len(one.front) >= len(two.front) else (two.front, one.front)
        lead = len(longer) - len(shorter)
        tail = tuple(
            broadcast_size(first, second, f"at axis {index - len(shorter)} ")
            for index, (first, second) in enumerate(zip(longer[lead:], shorter, strict=True))
        )
        return Shape((*longer[:lead], *tail))
    if one == two:
        return one
    for open_one, closed in ((one, two), (two, one)):
        if closed.rest is None and len(closed.front) <= len(open_one.back):
            cut = len(open_one.back) - len(closed.front)
            pairs = zip(open_one.back[cut:], closed.front, strict=True)
            return replace(open_one, back=(*open_one.back[:cut], *(broadcast_size(a, b) for a, b in pairs)))
    ends = [shape.back if shape.rest is not None else shape.front for shape in (one, two)]
    length = min(map(len, ends))
    back = tuple(
        broadcast_size(a, b) for a, b in zip(ends[0][len(ends[0]) - length :], ends[1][len(ends[1]) - length :], strict=True)
    )
    if one.rest is not None and one.rest.key is not None and one.rest == two.rest and one.front == two.front:
        return Shape(one.front, one.rest, back) if len(one.back) == len(two.back) else Shape((), Rest(), back)
    return Shape((), Rest(), back)


def crossed(one: Shape, two: Shape) -> bool:
    """Whether two tensors hold the same entries, but for an axis of size 1, and are broadcast against one another for it.

    `(n, 1)` and `(n,)` give `(n, n)`; `(b, 1, h, w)` and `(b, h, w)` give `(b, b, h, w)`. It works, and is hardly ever meant.
    """
    return extra_axis(one, two) is not None or extra_axis(two, one) is not None


def extra_axis(longer: Shape, shorter: Shape) -> int | None:
    """The axis of size 1 that one shape has and the other lacks, and for which they are crossed; the last one is -1."""
    if longer.rest is not None or shorter.rest is not None or len(longer.front) != len(shorter.front) + 1:
        return None
    dims = longer.front
    for axis in range(1, len(dims)):
        rest = (*dims[:axis], *dims[axis + 1 :])
        if dims[axis] == 1 and all(same(a, b) for a, b in zip(rest, shorter.front, strict=True)):
            crosses = any(size != 1 for size in shorter.front[:axis])
            return (axis if axis + 1 < len(dims) else -1) if crosses else None
    return None


def scrambled(before: Shape, after: Shape) -> bool:
    """Whether a reshape gives an axis the size of another one, which only a transpose would move there.

    Joining neighbours and splitting an axis is what a reshape is for. Between two places where both shapes have come to the same
    number of elements, one side has to be a single axis, then. Where several axes become several others, each of them the product
    of some of the old ones, the order in memory is not the order that the sizes say.
    """
    if before.rest is not None or after.rest is not None:
        return False
    dims = coming_out(*before.front, *after.front)
    old = [dim for dim in dims[: len(before.front)] if dim != 1]
    new = [dim for dim in dims[len(before.front) :] if dim != 1]
    if _is_displaced(old, new):
        return True
    while old and new:
        one, two = _segment(old, new)
        if one is None or two is None:
            return False
        if len(one) > 1 and len(two) > 1 and (_regrouped(one, two) or _splits_behind(one, two) or _splits_behind(two, one)):
            return True
        old, new = old[len(one) :], new[len(two) :]
    return False


def moved_axes(before: Shape, after: Shape) -> tuple[int, ...] | None:
    """For each axis of a shape which axis of another one it is, by its size; None where that is not plain."""
    if before.rest is not None or after.rest is not None or len(before.front) != len(after.front):
        return None
    found = [[axis for axis, size in enumerate(before.front) if same(size, wanted)] for wanted in after.front]
    if any(len(axes) != 1 for axes in found) or len({axes[0] for axes in found}) != len(found):
        return None
    return tuple(axes[0] for axes in found)


def _is_displaced(old: Sequence[Dim], new: Sequence[Dim]) -> bool:
    """Whether an axis that keeps its name has passed another one, or has one in front of it that was not there.

    One in front of it that is only gone may have had size 1, and names without a common factor may be the same number.
    """
    for place, size in enumerate(new):
        if isinstance(size, Size) and is_name(size) and old.count(size) == new.count(size) == 1:
            then = old.index(size)
            before, after = product(old[:then]), product(new[:place])
            gone, come = divided(before, after), divided(after, before)
            if gone not in (None, 1) and divided(product(new[place + 1 :]), gone) is not None:
                return True
            if come not in (None, 1):
                return True
    return False


def _splits_behind(few: Sequence[Dim], many: Sequence[Dim]) -> bool:
    """Whether `(n, d)` and `(h, n, d/h)` are read as one another, all of them numbers: heads whose axis nobody has moved.

    Of numbers no other order is told from sizes that happen to be equal.
    """
    match (*few, *many):
        case int(steps), int(whole), int(heads), int(between), int(part):
            return steps == between and heads * part == whole and steps not in (heads, part, whole)
        case _:
            return False


def _segment(old: Sequence[Dim], new: Sequence[Dim]) -> tuple[Sequence[Dim] | None, Sequence[Dim] | None]:
    """The shortest beginnings of two lists of sizes with the same number of elements; None where there are none."""
    for total in range(2, len(old) + len(new) + 1):
        for first in range(max(1, total - len(new)), min(len(old), total - 1) + 1):
            if same(product(old[:first]), product(new[: total - first])):
                return old[:first], new[: total - first]
    return None, None


def _regrouped(old: Sequence[Dim], new: Sequence[Dim]) -> bool:
    """Whether each of the new sizes is the product of some of the old ones, each of which is used once."""
    if not new:
        return not old
    for chosen in range(1, 1 << len(old)):
        some = [dim for index, dim in enumerate(old) if chosen >> index & 1]
        if same(product(some), new[0]) and _regrouped([dim for index, dim in enumerate(old) if not chosen >> index & 1], new[1:]):
            return True
    return False


def reshaped(shape: Shape, sizes: Sequence[Dim]) -> Shape:
    """The shape after a reshape to these sizes, of which one may be -1. Raises Mismatch where the elements do not fit."""
    count = shape.count()
    _check_known_part(shape, sizes)
    open_axes = [index for index, size in enumerate(sizes) if size == -1]
    if len(open_axes) > 1:
        raise Mismatch(Problem.ELEMENTS, "-1 stands for more than one axis")
    if any(isinstance(size, int) and size < -1 for size in sizes):
        raise Mismatch(Problem.ELEMENTS, "a size is negative")
    if not open_axes:
        wanted = product(sizes)
        if same(count, wanted) is False:
            raise _elements(shape, count, sizes, wanted)
        return Shape(tuple(sizes))
    place = open_axes[0]
    others = product(size for index, size in enumerate(sizes) if index != place)
    missing = _missing(shape, count, sizes, others)
    return Shape((*sizes[:place], missing, *sizes[place + 1 :]))


def _check_known_part(shape: Shape, sizes: Sequence[Dim]) -> None:
    """Of a shape with an unknown number of axes in front the last ones have to go into the numbers of the new sizes.

    `(..., 4608)` cannot become `(b, 128, 7, 7)`: for `b = 1` those have 6272 elements, which is no multiple.
    """
    total = product(sizes)
    if shape.rest is None or isinstance(total, AnySize) or -1 in sizes or 0 in sizes:
        return
    known = product(itertools.takewhile(lambda size: isinstance(size, int), reversed(shape.back)))
    number = factor_of(total)
    if isinstance(known, int) and known > 1 and number is not None and number % known:
        raise _elements(shape, ANY, sizes, total)


def _missing(shape: Shape, count: Dim, sizes: Sequence[Dim], others: Dim) -> Dim:
    if isinstance(count, int) and isinstance(others, int):
        if others == 0 or count % others:
            raise _elements(shape, count, sizes, others)
        return count // others
    exact = divided(count, others)
    if exact is not None:
        return exact
    rest = _cancelled(shape, sizes)
    return rest if rest is not None else quotient(count, others)


def _cancelled(shape: Shape, sizes: Sequence[Dim]) -> Dim | None:
    """What is left for -1 when the sizes that the shape has are taken away, also where a size of it is not known."""
    if shape.rest is not None:
        return None
    left = list(shape.front)
    for size in sizes:
        if size == -1 or size == 1:
            continue
        match = next((index for index, dim in enumerate(left) if same(dim, size)), None)
        if match is None:
            return None
        del left[match]
    return product(left)


def _elements(shape: Shape, count: Dim, sizes: Sequence[Dim], wanted: Dim) -> Mismatch:
    target = Shape(tuple(sizes))
    if isinstance(count, AnySize):
        return Mismatch(Problem.ELEMENTS, f"the elements of {shape} cannot be those of {target}")
    if -1 in sizes:
        return Mismatch(Problem.ELEMENTS, f"{shape} has {said(count)} elements, and {target} needs a multiple of {said(wanted)}")
    return Mismatch(Problem.ELEMENTS, f"{shape} has {said(count)} elements, and {target} has {said(wanted)}", count, wanted)


# --- a row of the table ---


@dataclass(frozen=True, slots=True)
class Transfer:
    """How the shape of a call's result follows from its arguments.

    Attributes:
        params: names of the parameters in order; a method's receiver is the first of them. `*name` takes all positional
            arguments that are left. Of a layer they are those of its call, and its constructor's arguments come beside them.
        compute: the function.
    """

    params: tuple[str, ...]
    compute: Callable[[Given], Result]

    def bound(self, positional: Sequence[Argument], keywords: Mapping[str, Argument]) -> Given:
        """The arguments of a call by parameter."""
        values: dict[str, Argument] = {}
        for index, name in enumerate(self.params):
            if name.startswith("*"):
                if index < len(positional):
                    values[name[1:]] = tuple(positional[index:])
                break
            if index < len(positional):
                values[name] = positional[index]
        return Given({**values, **keywords})


def in_place(row: Transfer) -> Transfer:
    """The same with its result written into the first operand, as `x += y` and `x.add_(y)` do.

    Raises Mismatch where that operand cannot hold the result: it has fewer entries, or holds whole numbers and gets others.
    """

    def compute(given: Given) -> Result:
        made, held = row.compute(given), given.tensor(row.params[0])
        if not isinstance(made, Tensor):
            return made
        if held.shape is not None and made.shape is not None and _differ(held.shape, made.shape):
            raise Mismatch(Problem.SIZES, f"the result has shape {made.shape} and does not fit into {held.shape}, in place")
        if dtypes.kind(held.dtype) == "int" and dtypes.kind(made.dtype) == "float":
            raise Mismatch(Problem.DTYPE, f"the result has type {made.dtype} and does not fit into {held.dtype}, in place")
        return Tensor(held.shape or made.shape, held.dtype)

    return Transfer(row.params, compute)


def _differ(one: Shape, two: Shape) -> bool:
    if one.rest is not None or two.rest is not None:
        return one.rest is None and two.least_rank > len(one.front)
    return len(one.front) != len(two.front) or any(same(a, b) is False for a, b in zip(one.front, two.front, strict=True))
