"""einops: its patterns, and the shapes that follow from them.

Dots stand for the axes that a pattern does not name; what they match is a `Shape` here, of which the number of axes may not be
known. Of a call that gives the lengths of axes by keywords all keywords have to be there: one that is not known is `ANY`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    UNKNOWN,
    Each,
    Given,
    Mismatch,
    Rest,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    broadcast_size,
    counted,
)
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, divided, product, quotient, said, same

DOTS = "..."
REARRANGE, REPEAT = "rearrange", "repeat"
REDUCTIONS = ("min", "max", "sum", "mean", "prod", "any", "all")


def _refused(reason: str, got: Dim | None = None, wanted: Dim | None = None) -> Mismatch:
    return Mismatch(Problem.PATTERN, reason, got, wanted)


# --- patterns ---


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis as a pattern writes it.

    Attributes:
        name: `h`, or dots; None of an axis that is only a number.
        length: that number.
    """

    name: str | None = None
    length: int | None = None

    def __str__(self) -> str:
        return self.name or str(self.length)


@dataclass(frozen=True, slots=True)
class Term:
    """What becomes one axis of a tensor: an axis, or a group in brackets. `1` and `()` are without axes.

    Dots outside brackets are the only term that stands for any number of a tensor's axes.
    """

    axes: tuple[Axis, ...] = ()
    grouped: bool = False

    @property
    def is_open(self) -> bool:
        return not self.grouped and self.axes == (Axis(DOTS),)

    @property
    def name(self) -> str | None:
        """The name of the axis that stands here alone."""
        return self.axes[0].name if len(self.axes) == 1 and not self.is_open else None


@dataclass(frozen=True, slots=True)
class Side:
    """One tensor of a pattern."""

    terms: tuple[Term, ...] = ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes in order, those in groups included."""
        return tuple(axis for term in self.terms for axis in term.axes)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(axis.name for axis in self.axes if axis.name is not None)

    @property
    def dots(self) -> int | None:
        """Where dots stand outside brackets."""
        return next((place for place, term in enumerate(self.terms) if term.is_open), None)

    @property
    def closed(self) -> tuple[Term, ...]:
        """The terms that each stand for one axis."""
        return tuple(term for term in self.terms if not term.is_open)


@dataclass(frozen=True, slots=True)
class Pattern:
    """`inputs -> output`; there are several inputs in einsum only."""

    inputs: tuple[Side, ...]
    output: Side


def parsed(pattern: str) -> Pattern:
    """The parts of a pattern. Raises Mismatch where no function of einops can read it.

    What only some functions refuse is accepted: names that come twice, underscores, numbers, names that are on one side only.
    """
    if pattern.count("->") != 1:
        raise _refused("a pattern has one `->`")
    before, after = pattern.split("->")
    return Pattern(tuple(_side(text) for text in before.split(",")), _side(after))


_WORD = re.compile(r"[()]|[^() ]+")


def _side(text: str) -> Side:
    terms: list[Term] = []
    group: list[Axis] | None = None
    for word in _WORD.findall(text):
        if word == "(":
            if group is not None:
                raise _refused("a bracket stands inside another")
            group = []
        elif word == ")":
            if group is None:
                raise _refused("a bracket is closed that was not opened")
            terms.append(Term(tuple(group), grouped=True))
            group = None
        elif group is not None:
            group += _axes(word)
        else:
            terms.append(Term(_axes(word)))
    if group is not None:
        raise _refused("a bracket is not closed")
    if text.count(DOTS) > 1:
        raise _refused("dots stand more than once for one tensor")
    return Side(tuple(terms))


def _axes(word: str) -> tuple[Axis, ...]:
    """The axis that a word names; none for 1, which is no axis of its own."""
    if word.isdecimal() and int(word) > 0:
        return (Axis(length=int(word)),) if int(word) != 1 else ()
    if word not in (DOTS, "_") and not _is_name(word):
        raise _refused(f"`{word}` is no name of an axis")
    return (Axis(word),)


def _is_name(word: str) -> bool:
    return word.isidentifier() and not word.startswith("_") and not word.endswith("_")


# --- what one function refuses ---


def _check(before: Side, after: Side, operation: str, lengths: Mapping[str, Dim]) -> None:
    """Raises Mismatch where a pattern does not go with a function and the lengths that are given by keywords."""
    for side, where in ((before, "on the left"), (after, "on the right")):
        _check_names(side, where)
    if DOTS in before.names and before.dots is None:
        raise _refused("dots stand in brackets on the left")
    for axis in before.axes:
        if operation in (REARRANGE, REPEAT) and axis.name not in after.names:
            raise _refused(f"axis `{axis}` stands only on the left")
    for axis in after.axes:
        if axis.name in before.names:
            continue
        if operation != REPEAT or axis.name == DOTS:
            raise _refused(f"axis `{axis}` stands only on the right")
        if axis.length is None and axis.name not in lengths:
            raise _refused(f"the length of the new axis `{axis}` is not given")
    for name in lengths:
        if name not in before.names | after.names:
            raise _refused(f"no axis is called `{name}`, and its length is given")
    for term in before.closed:
        open_names = [axis.name for axis in term.axes if axis.name is not None and axis.name not in lengths]
        if len(open_names) > 1:
            raise _refused(f"the lengths of `{open_names[0]}` and `{open_names[1]}` in one group are both not given")


def _check_names(side: Side, where: str) -> None:
    names = [axis.name for axis in side.axes if axis.name is not None]
    for name in names:
        if names.count(name) > 1:
            raise _refused(f"axis `{name}` stands twice {where}")
    if "_" in names:
        raise _refused("`_` is no name of an axis here")


# --- sizes ---


def _taken_apart(side: Side, shape: Shape) -> tuple[tuple[Dim, ...], Shape]:
    """The size of each closed term of a side, and what the dots stand for."""
    place, count = side.dots, len(side.closed)
    missing = count - shape.least_rank
    if (missing > 0 and shape.rest is None) or (missing < 0 and place is None):
        least = "at least " if place is not None else ""
        has = str(shape.least_rank) if shape.rest is None else f"at least {shape.least_rank}"
        raise _refused(f"the pattern has {least}{counted(count, 'axis', 'axes')} and the tensor {has}")
    if place is None:
        return (*shape.front, *(ANY,) * missing, *shape.back), Shape()
    after = count - place
    if shape.rest is None:
        end = len(shape.front) - after
        return (*shape.front[:place], *shape.front[end:]), Shape(shape.front[place:end])
    first = (*shape.front, *(ANY,) * place)[:place]
    last = (*(ANY,) * after, *shape.back)[len(shape.back) :]
    if place > len(shape.front) or after > len(shape.back):
        return (*first, *last), Shape((), Rest())
    return (*first, *last), Shape(shape.front[place:], shape.rest, shape.back[: len(shape.back) - after])


def _put_together(side: Side, sizes: Sequence[Dim], middle: Shape) -> Shape:
    """The shape of closed terms of these sizes, with other axes where the dots stand."""
    if side.dots is None:
        return Shape(tuple(sizes))
    first, last = sizes[: side.dots], sizes[side.dots :]
    if middle.rest is None:
        return Shape((*first, *middle.front, *last))
    return Shape((*first, *middle.front), middle.rest, (*middle.back, *last))


def _lengths(side: Side, sizes: Sequence[Dim], given: Mapping[str, Dim]) -> Mapping[str, Dim]:
    """The length of each axis, from the sizes of the terms and the lengths that are given."""
    found = dict(given)
    for term, size in zip(side.closed, sizes, strict=True):
        open_names = [name for axis in term.axes if (name := axis.name) and isinstance(found.get(name, ANY), AnySize)]
        others = [axis for axis in term.axes if axis.name not in open_names]
        known = product(_length(axis, found) for axis in others)
        if not open_names and same(size, known) is False:
            raise _refused(f"an axis of size {said(size)} is to be {_written(others, found)}", size, known)
        if len(open_names) == 1:
            found[open_names[0]] = _share(size, known, _written(others, found))
        else:
            found |= dict.fromkeys(open_names, ANY)
    return found


def _length(axis: Axis, lengths: Mapping[str, Dim]) -> Dim:
    return axis.length if axis.length is not None else lengths[axis.name or ""]


def _share(size: Dim, known: Dim, written: str) -> Dim:
    """What is left of a size for the one axis of a group whose length is not given."""
    if isinstance(size, int) and isinstance(known, int) and (known == 0 or size % known):
        raise _refused(f"{size} does not divide by {written}", size)
    exact = divided(size, known)
    return exact if exact is not None else quotient(size, known)


def _written(axes: Sequence[Axis], lengths: Mapping[str, Dim]) -> str:
    """`p1=7 * 2`"""
    names = [f"{axis.name}={said(_length(axis, lengths))}" if axis.name else str(axis) for axis in axes]
    return " * ".join(names) or "1"


def arranged(pattern: str, operation: str, shape: Shape, given: Mapping[str, Dim]) -> tuple[Shape, bool | None]:
    """The shape after `rearrange`, `repeat` or any reduction, and whether an axis was reduced.

    Args:
        pattern: the pattern of einops.
        operation: `rearrange`, `repeat`, or any other name for a reduction.
        shape: what goes in.
        given: the lengths of axes.
    """
    read = parsed(pattern)
    if len(read.inputs) != 1:
        raise _refused("a comma stands between axes")
    before, after = read.inputs[0], read.output
    _check(before, after, operation, given)
    sizes, middle = _taken_apart(before, shape)
    lengths = _lengths(before, sizes, given)

    def size_of(axis: Axis) -> Dim:
        return middle.count() if axis.name == DOTS else _length(axis, lengths)

    result = _put_together(after, [product(map(size_of, term.axes)) for term in after.closed], middle)
    dropped = [axis for axis in before.axes if axis.name not in after.names]
    if dropped == [Axis(DOTS)]:
        return result, bool(middle.least_rank) or (None if middle.rest is not None else False)
    return result, bool(dropped)


# --- arguments ---

_INPUT = "input"
"""The parameter of a layer's call."""


def _positive(value: object) -> Dim:
    """A length that is given by a keyword. Torch reads a negative one in its own ways."""
    if isinstance(value, int) and not isinstance(value, bool) and value < 1:
        raise Unsure
    return value if isinstance(value, int | Size) and not isinstance(value, bool) else ANY


def agreed(one: Dim, two: Dim) -> Dim:
    """The size of axes that have to be equal."""
    equal = same(one, two)
    if equal is False:
        raise Mismatch(Problem.SIZES, f"tensors to be stacked have sizes {said(one)} and {said(two)}", one, two)
    return two if isinstance(one, AnySize) or (equal is None and isinstance(two, int)) else one


def alike(one: Shape, two: Shape) -> Shape:
    """The shape of tensors that have to have one shape."""
    if one.rest is not None or two.rest is not None:
        return one if two.rest is not None else two
    if len(one.front) != len(two.front):
        raise Mismatch(Problem.RANK, f"tensors to be stacked have shapes {one} and {two}")
    return Shape(tuple(map(agreed, one.front, two.front)))


def _promoted(tensors: Sequence[Tensor]) -> str | None:
    return reduce(dtypes.promoted, (tensor.dtype for tensor in tensors))


def known(tensor: Tensor) -> Shape:
    """The shape of a tensor, with any axes where it is not known."""
    return tensor.shape if tensor.shape is not None else Shape((), Rest())


def _one_tensor(given: Given, name: str) -> Tensor:
    """The tensor that is given; several in a list are stacked along a new first axis, but not by a layer."""
    value = given.raw(name)
    if name == _INPUT:
        return given.tensor(name)
    if isinstance(value, Each):
        return Tensor(known(value.tensor).with_new(0, ANY), value.tensor.dtype)
    if not isinstance(value, tuple):
        return given.tensor(name)
    tensors = given.tensors(name)
    if not tensors:
        raise _refused("the list of tensors is empty")
    shape = reduce(alike, map(known, tensors))
    return Tensor(shape.with_new(0, len(tensors)), _promoted(tensors))


def _given_lengths(given: Given, *others: str) -> Mapping[str, Dim]:
    return {name: _positive(value) for name, value in given.values.items() if name not in others}


# --- rearrange, repeat, reduce ---


def _moving(operation: str, tensor: str) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = _one_tensor(given, tensor)
        shape, _ = arranged(given.text("pattern"), operation, known(value), _given_lengths(given, tensor, "pattern"))
        return Tensor(shape, value.dtype)

    return compute


def _reducing(tensor: str, refused: tuple[str, ...] = ()) -> Callable[[Given], Result]:
    """`refused`: reductions that a layer does not have."""

    def compute(given: Given) -> Result:
        value = _one_tensor(given, tensor)
        how = given.raw("reduction")
        if how is not UNKNOWN and how not in (*REDUCTIONS, REARRANGE, REPEAT):
            raise _refused(f"{how!r} is no reduction") if isinstance(how, str) else Unsure
        lengths = _given_lengths(given, tensor, "pattern", "reduction")
        shape, reduces = arranged(given.text("pattern"), str(how), known(value), lengths)
        if reduces and how in refused:
            raise _refused(f"the layer has no reduction {how!r}")
        return Tensor(shape, _reduced_dtype(value.dtype, how, reduces=reduces))

    return compute


def _reduced_dtype(dtype: str | None, how: object, *, reduces: bool | None) -> str | None:
    """The type after a reduction; None where it is not known whether anything is reduced."""
    if reduces is False:
        return dtype
    kind = dtypes.kind(dtype)
    if reduces and how == "mean" and kind not in ("float", None):
        raise Mismatch(Problem.DTYPE, f"the mean is only for floating-point numbers, and these are {dtype}")
    after = dtype if how in REDUCTIONS else None
    if how in ("any", "all"):
        after = "bool"
    elif how in ("sum", "prod") and kind in ("int", "bool"):
        after = "int64"
    return after if reduces or after == dtype else None


# --- einsum ---


def contracted(pattern: Pattern, shapes: Sequence[Shape]) -> Shape:
    """The shape of a sum of products, in which every term of the pattern is one name, or dots."""
    if len(pattern.inputs) != len(shapes):
        raise _refused(f"the pattern is for {counted(len(pattern.inputs), 'tensor', 'tensors')}, and there are {len(shapes)}")
    lengths: dict[str, Dim] = {}
    middles = [Shape()]
    for side, shape in zip(pattern.inputs, shapes, strict=True):
        sizes, middle = _taken_apart(side, shape)
        if side.dots is not None:
            middles.append(middle)
        for name, size in _collapsed(side, sizes).items():
            lengths[name] = broadcast_size(lengths[name], size, f"for axis `{name}` ") if name in lengths else size
    for axis in pattern.output.axes:
        if axis.name not in lengths and axis.name != DOTS:
            raise _refused(f"axis `{axis}` stands only on the right")
    _check_names_of_sum(pattern.output)
    return _put_together(pattern.output, [lengths[term.name or ""] for term in pattern.output.closed], broadcast(*middles))


def _collapsed(side: Side, sizes: Sequence[Dim]) -> Mapping[str, Dim]:
    """The size of each name. One that comes twice means the diagonal."""
    found: dict[str, Dim] = {}
    for term, size in zip(side.closed, sizes, strict=True):
        name = term.name or ""
        if name in found and same(found[name], size) is False:
            raise _refused(f"axis `{name}` has sizes {said(found[name])} and {said(size)}", size, found[name])
        if name not in found or isinstance(found[name], AnySize):
            found[name] = size
    return found


def _check_names_of_sum(side: Side) -> None:
    for axis in side.axes:
        if side.axes.count(axis) > 1:
            raise _refused(f"axis `{axis}` stands twice on the right")


def _einsum(given: Given) -> Result:
    values = given.raw("operands")
    if not isinstance(values, tuple) or not values or not isinstance(values[-1], str):
        raise Unsure
    read = parsed(values[-1])
    for side in (*read.inputs, read.output):
        if any(term.name is None and not term.is_open for term in side.terms) or Term((Axis(DOTS),), grouped=True) in side.terms:
            raise _refused("einsum takes no groups, numbers or empty axes")
    tensors = [value if isinstance(value, Tensor) else Tensor() for value in values[:-1]]
    if not tensors:
        raise _refused("no tensors are given")
    one_dtype = len({tensor.dtype for tensor in tensors}) == 1
    return Tensor(contracted(read, [known(tensor) for tensor in tensors]), tensors[0].dtype if one_dtype else None)


# --- pack, unpack ---


def _pack_pattern(pattern: str) -> tuple[int, int]:
    """How many axes stand before and behind the star."""
    names = pattern.split()
    if "*" not in names:
        raise _refused("the pattern has no `*`")
    for word in names:
        if names.count(word) > 1:
            raise _refused(f"axis `{word}` stands twice")
        if word != "*" and not _is_name(word):
            raise _refused(f"`{word}` is no name of an axis")
    return names.index("*"), len(names) - names.index("*") - 1


def _star(before: int, after: int) -> Side:
    """The side of a pattern that has dots in the place of the star."""
    return Side((*(Term(),) * before, Term((Axis(DOTS),)), *(Term(),) * after))


def _pack(given: Given) -> Result:
    before, after = _pack_pattern(given.text("pattern"))
    side = _star(before, after)
    value = given.raw("tensors")
    if isinstance(value, Each):
        sizes, _ = _taken_apart(side, known(value.tensor))
        return Tensor(_put_together(side, sizes, Shape((ANY,))), value.tensor.dtype), UNKNOWN
    tensors = given.tensors("tensors")
    if not tensors:
        raise _refused("no tensors are given")
    parts = [_taken_apart(side, known(tensor)) for tensor in tensors]
    outside = [reduce(agreed, sizes) for sizes in zip(*(sizes for sizes, _ in parts), strict=True)]
    packed: Dim = 0
    for _, middle in parts:
        packed = packed + middle.count()
    inside = tuple(middle.front if middle.rest is None else UNKNOWN for _, middle in parts)
    return Tensor(_put_together(side, outside, Shape((packed,))), _promoted(tensors)), inside


def _unpack(given: Given) -> Result:
    before, after = _pack_pattern(given.text("pattern"))
    value = given.tensor("tensor")
    side = Side((Term(),) * (before + 1 + after))
    sizes, _ = _taken_apart(side, known(value))
    outside, total = (*sizes[:before], *sizes[before + 1 :]), sizes[before]
    packed = given.raw("packed_shapes")

    def piece(middle: Shape) -> Tensor:
        return Tensor(_put_together(_star(before, after), outside, middle), value.dtype)

    if not isinstance(packed, tuple):
        return Each(piece(Shape((), Rest())))
    if not all(isinstance(shape, tuple) for shape in packed):
        return tuple(piece(Shape((), Rest())) for _ in packed)
    return tuple(piece(Shape(shape)) for shape in _unpacked([tuple(map(_as_size, shape)) for shape in packed], total))


def _as_size(value: object) -> Dim:
    return value if isinstance(value, int | Size) and not isinstance(value, bool) else ANY


def _unpacked(shapes: Sequence[tuple[Dim, ...]], total: Dim) -> Iterator[tuple[Dim, ...]]:
    """The shapes into which an axis falls, of which one size may be -1."""
    if [size for shape in shapes for size in shape].count(-1) > 1:
        raise _refused("-1 stands for more than one axis")
    known: Dim = 0
    for shape in shapes:
        known = known + (product(shape) if -1 not in shape else 0)
    exact = not any(-1 in shape for shape in shapes)
    if shapes and exact and same(total, known) is False:
        raise _refused(f"{said(total)} entries are to fall into shapes with {said(known)}", total, known)
    for shape in shapes:
        yield shape if -1 not in shape else tuple(_rest(total - known, shape) if size == -1 else size for size in shape)


def _rest(size: Dim, shape: Sequence[Dim]) -> Dim:
    others = product(each for each in shape if each != -1)
    if isinstance(size, int) and isinstance(others, int) and (size < 0 or others == 0 or size % others):
        raise _refused(f"{size} entries are left for a shape with a multiple of {others}")
    exact = divided(size, others)
    return exact if exact is not None else quotient(size, others)


ROWS: dict[str, Transfer] = {
    "einops.rearrange": Transfer(("tensor", "pattern"), _moving(REARRANGE, "tensor")),
    "einops.repeat": Transfer(("tensor", "pattern"), _moving(REPEAT, "tensor")),
    "einops.reduce": Transfer(("tensor", "pattern", "reduction"), _reducing("tensor")),
    "einops.einsum": Transfer(("*operands",), _einsum),
    "einops.pack": Transfer(("tensors", "pattern"), _pack),
    "einops.unpack": Transfer(("tensor", "packed_shapes", "pattern"), _unpack),
    "einops.layers.torch.Rearrange.__call__": Transfer((_INPUT,), _moving(REARRANGE, _INPUT)),
    "einops.layers.torch.Reduce.__call__": Transfer((_INPUT,), _reducing(_INPUT, ("any", "all"))),
}
