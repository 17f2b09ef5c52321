"""torch: products of matrices, einsum, and linear algebra."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    Given,
    Mismatch,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    broadcast_size,
)
from mldbg.operations.sizes import Dim, said, same
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    check_equal,
    check_fits,
    check_fits_exactly,
    check_floats,
    check_rank,
    common_dtype,
    ending,
    made,
    shape,
    tensor,
    under,
)
from mldbg.operations.transfers.moving import with_rank

# --- products of matrices ---


def _matmul(given: Given, one: str = "input", two: str = "other") -> Result:
    first, second = tensor(given, one), tensor(given, two)
    dtype = common_dtype(first, second, what="the product")
    return made(_product(first.shape or ANY_SHAPE, second.shape or ANY_SHAPE), dtype)


def _product(one: Shape, two: Shape) -> Shape:
    """The shape of `one @ two`."""
    check_rank(one, 1, None, "the product")
    check_rank(two, 1, None, "the product")
    if two.rank == 1 or two.least_rank >= 2:
        _check_inner(one, two, one.at(-1), two.at(-1 if two.rank == 1 else -2))
    if two.rank == 1:
        return ending(one, 1)
    if one.rank == 1:
        return ending(ending(two, 2), 0, two.at(-1)) if two.least_rank >= 2 else ANY_SHAPE
    if two.rank == 2:
        return ending(one, 1, two.at(-1))
    if one.least_rank < 2 or two.least_rank < 2:
        return ANY_SHAPE
    return ending(batches(one, two), 0, one.at(-2), two.at(-1))


def batches(one: Shape, two: Shape) -> Shape:
    """The axes before those of the matrices."""
    try:
        return broadcast(ending(one, 2), ending(two, 2))
    except Mismatch as mismatch:
        reason = f"the batches of {one} and {two} cannot be broadcast"
        raise Mismatch(Problem.SIZES, reason, mismatch.got, mismatch.wanted) from None


def _check_inner(one: Shape, two: Shape, first: Dim, second: Dim) -> None:
    if same(first, second) is False:
        reason = f"{one} and {two} cannot be multiplied: the inner sizes are {said(first)} and {said(second)}"
        raise Mismatch(Problem.SIZES, reason, first, second)


def _of_ranks(one: tuple[str, int], two: tuple[str, int]) -> Callable[[Given], Result]:
    """A product of which the numbers of axes are fixed: `mm`, `bmm`, `mv`, `dot`. Batches are not broadcast."""

    def compute(given: Given) -> Result:
        first, second = (with_rank(shape(given, name), rank) for name, rank in (one, two))
        if one[1] == 3:
            check_equal(first.at(0), second.at(0), "the batches have different sizes")
        dtype = common_dtype(tensor(given, one[0]), tensor(given, two[0]), what="the product")
        return made(_product(first, second), dtype)

    return compute


def _added(product: Callable[[Given], Result], *, summed: bool = False) -> Callable[[Given], Result]:
    """A product to which a tensor is added that can be broadcast to it; `summed`: over the batch."""

    def compute(given: Given) -> Result:
        result = product(given)
        assert isinstance(result, Tensor)
        start = result.shape or ANY_SHAPE
        if summed:
            start = start.without(0)
        added = tensor(given)
        check_fits(added.shape or ANY_SHAPE, start, "the tensor that is added")
        return made(start, common_dtype(added, result, what="the sum"))

    return compute


def _in_place(compute: Callable[[Given], Result]) -> Callable[[Given], Result]:
    """The same where the result takes the place of the tensor that is added."""

    def placed(given: Given) -> Result:
        result, there = compute(given), shape(given)
        assert isinstance(result, Tensor)
        check_fits_exactly(there, result.shape or ANY_SHAPE, "the tensor in whose place the result comes")
        return replace(result, dtype=tensor(given).dtype)

    return placed


def _outer_added(given: Given) -> Result:
    pair = Given({"input": given.raw("vec1"), "vec2": given.raw("vec2")})
    return _added(lambda _: _outer(pair))(given)


def _inner(given: Given) -> Result:
    one, two = tensor(given), tensor(given, "other")
    first, second = one.shape or ANY_SHAPE, two.shape or ANY_SHAPE
    dtype = common_dtype(one, two, what="the product")
    if first.rank == 0 or second.rank == 0:
        return made(broadcast(first, second), dtype)
    if first.rank is None or second.rank is None:
        return Tensor(None, dtype)
    _check_inner(first, second, first.at(-1), second.at(-1))
    return Tensor(Shape((*first.front[:-1], *second.front[:-1])), dtype)


def _outer(given: Given) -> Result:
    one, two = tensor(given), tensor(given, "vec2")
    starts = [each.shape or ANY_SHAPE for each in (one, two)]
    for start in starts:
        check_rank(start, 1, 1, "the product")
    return Tensor(Shape((starts[0].at(0), starts[1].at(0))), dtypes.promoted(one.dtype, two.dtype))


def _kron(given: Given) -> Result:
    one, two = tensor(given), tensor(given, "other")
    first, second = given.dims(), given.dims("other")
    rank = max(len(first), len(second))
    sizes = zip(*((1,) * (rank - len(dims)) + dims for dims in (first, second)), strict=True)
    return Tensor(Shape(tuple(a * b for a, b in sizes)), dtypes.promoted(one.dtype, two.dtype))


def _tensordot(given: Given) -> Result:
    one, two = tensor(given, "a"), tensor(given, "b")
    first, second = given.dims("a"), given.dims("b")
    dims = given.values.get("dims", 2)
    if isinstance(dims, int):
        if dims > min(len(first), len(second)):
            raise Mismatch(Problem.RANK, f"{dims} axes of {Shape(first)} and {Shape(second)} cannot be contracted")
        left, right = list(range(len(first) - dims, len(first))), list(range(dims))
    else:
        left, right = _axes_of_pair(dims, Shape(first), Shape(second))
    for a, b in zip(left, right, strict=True):
        try:
            broadcast_size(first[a], second[b])
        except Mismatch as mismatch:
            reason = f"axes of sizes {said(first[a])} and {said(second[b])} cannot be contracted"
            raise Mismatch(Problem.SIZES, reason, mismatch.got, mismatch.wanted) from None
    kept = [dim for axis, dim in enumerate(first) if axis not in left]
    kept += [dim for axis, dim in enumerate(second) if axis not in right]
    return Tensor(Shape(tuple(kept)), common_dtype(one, two, what="the product"))


def _axes_of_pair(dims: object, first: Shape, second: Shape) -> tuple[list[int], list[int]]:
    if not isinstance(dims, tuple) or len(dims) != 2:
        raise Unsure
    places: list[list[int]] = []
    for start, axes in zip((first, second), dims, strict=True):
        several = axes if isinstance(axes, tuple) else (axes,)
        if not all(isinstance(axis, int) for axis in several):
            raise Unsure
        places.append([start.place(axis) for axis in several])
    if len(places[0]) != len(places[1]):
        raise Mismatch(Problem.RANK, f"{len(places[0])} axes are contracted with {len(places[1])}")
    return places[0], places[1]


def _chain(given: Given) -> Result:
    """A product of several matrices; the first and the last may be vectors."""
    matrices = given.tensors("tensors")
    for matrix in matrices[1:-1]:
        check_rank(matrix.shape or ANY_SHAPE, 2, 2, "the chain")
    result = matrices[0].shape or ANY_SHAPE
    for matrix in matrices[1:]:
        result = _product(result, matrix.shape or ANY_SHAPE)
    return made(result, common_dtype(*matrices, what="the chain"))


def _cdist(given: Given) -> Result:
    one, two = tensor(given, "x1"), tensor(given, "x2")
    first, second = one.shape or ANY_SHAPE, two.shape or ANY_SHAPE
    for each, start in ((one, first), (two, second)):
        check_rank(start, 2, None, "cdist")
        check_floats(each, "cdist")
    check_equal(first.at(-1), second.at(-1), "points have different numbers of coordinates")
    return made(ending(batches(first, second), 0, first.at(-2), second.at(-2)), dtypes.promoted(one.dtype, two.dtype))


def _cross(given: Given) -> Result:
    one, two = tensor(given), tensor(given, "other")
    first, second = one.shape or ANY_SHAPE, two.shape or ANY_SHAPE
    if first.rank is not None and second.rank is not None and first.rank != second.rank:
        raise Mismatch(Problem.RANK, f"{first} and {second} have different numbers of axes")
    both = broadcast(first, second)
    axis = given.raw("dim")
    if axis is None:
        axis = _axis_of_three(first)
    for start in (first, second):
        check_rank(start, 1, None, "the product")
        if isinstance(axis, int):
            there = start.at(axis)
            if same(there, 3) is False:
                raise Mismatch(Problem.SIZES, f"axis {axis} has size {said(there)}, and must have size 3", there, 3)
    return made(both, dtypes.promoted(one.dtype, two.dtype))


def _axis_of_three(start: Shape) -> int | None:
    """The first axis of size 3; None where it is not known which that is. Raises Mismatch where there is none."""
    for axis, dim in enumerate(start.front):
        equal = same(dim, 3)
        if equal is not False:
            return axis if equal else None
    if start.rest is None:
        raise Mismatch(Problem.SIZES, f"no axis of {start} has size 3")
    return None


# --- einsum ---


@dataclass(frozen=True, slots=True)
class _Term:
    """The letters of one operand, before and after its ellipsis."""

    front: str
    back: str = ""
    is_open: bool = False

    @property
    def letters(self) -> str:
        return self.front + self.back


def _term(text: str) -> _Term:
    front, dots, back = text.partition("...")
    if not (front + back).isalpha() and front + back:
        raise Mismatch(Problem.PATTERN, f"{text!r} holds other signs than letters and one ellipsis")
    return _Term(front, back, bool(dots))


def _parsed(equation: str) -> tuple[list[_Term], _Term]:
    """The operands' letters, and the result's, which are the letters that occur once where it is not written."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = [_term(text) for text in left.split(",")]
    if arrow:
        result = _term(right)
    else:
        counts = Counter("".join(term.letters for term in terms))
        once = "".join(sorted(letter for letter, count in counts.items() if count == 1))
        result = _Term("", once, any(term.is_open for term in terms))
    return terms, result


def _einsum(given: Given) -> Result:
    terms, result = _parsed(given.text("equation"))
    operands = given.raw("operands")
    if isinstance(operands, tuple) and len(operands) == 1 and isinstance(operands[0], tuple):
        operands = operands[0]
    if not isinstance(operands, tuple) or (len(operands) == 1 and not isinstance(operands[0], Tensor)):
        raise Unsure  # one alone may be a sequence of them
    if len(operands) != len(terms):
        raise Mismatch(Problem.PATTERN, f"the equation names {len(terms)} operands, and there are {len(operands)}")
    known = [each if isinstance(each, Tensor) else Tensor() for each in operands]
    sizes: dict[str, Dim] = {}
    batch = Shape()
    for term, each in zip(terms, known, strict=True):
        batch = _bound(term, each.shape or ANY_SHAPE, sizes, batch)
    for letter, count in Counter(result.letters).items():
        if letter not in sizes:
            raise Mismatch(Problem.PATTERN, f"the result names {letter}, which no operand has")
        if count > 1:
            raise Mismatch(Problem.PATTERN, f"the result names {letter} more than once")
    front, back = (tuple(sizes[letter] for letter in part) for part in (result.front, result.back))
    middle = batch if result.is_open else Shape()
    shaped = (
        Shape((*front, *middle.front, *back))
        if middle.rest is None
        else Shape((*front, *middle.front), middle.rest, (*middle.back, *back))
    )
    return made(shaped, _dtype_of_all(known))


def _dtype_of_all(operands: Sequence[Tensor]) -> str | None:
    result = operands[0].dtype
    for each in operands[1:]:
        result = dtypes.promoted(result, each.dtype)
    return result


def _bound(term: _Term, start: Shape, sizes: dict[str, Dim], batch: Shape) -> Shape:
    """Notes the size of each letter of an operand, and gives back the axes that the ellipses stand for, broadcast."""
    letters = term.letters
    if start.rest is None:
        fits = len(letters) <= len(start.front) if term.is_open else len(letters) == len(start.front)
    else:
        fits = term.is_open or start.least_rank <= len(letters)
    if not fits:
        raise Mismatch(Problem.RANK, f"the equation names {len(letters)} axes of an operand of shape {start}")
    if not term.is_open:
        start = with_rank(start, len(letters))
    here: dict[str, Dim] = {}
    dims = [start.at(axis) for axis in range(len(term.front))]
    dims += [start.at(axis - len(term.back)) for axis in range(len(term.back))]
    for letter, dim in zip(letters, dims, strict=True):
        if letter in here:
            check_equal(here[letter], dim, f"{letter} stands for two sizes of an operand")
        here[letter] = dim
    for letter, dim in here.items():
        sizes[letter] = _unified(letter, sizes.get(letter, 1), dim)
    if not term.is_open:
        return batch
    between = ending(start, len(term.back))
    for _ in term.front:
        between = between.without(0) if between.rank is not None or between.front else ANY_SHAPE
    return broadcast(batch, between)


def _unified(letter: str, one: Dim, two: Dim) -> Dim:
    try:
        return broadcast_size(one, two)
    except Mismatch:
        raise Mismatch(Problem.SIZES, f"{letter} stands for sizes {said(one)} and {said(two)}", two, one) from None


# --- rows ---

_MATRICES = ("input", "mat1", "mat2")
_BATCHES = ("input", "batch1", "batch2")

FUNCTIONS_AND_METHODS: dict[str, Transfer] = {
    "matmul": Transfer(("input", "other"), _matmul),
    "mm": Transfer(("input", "mat2"), _of_ranks(("input", 2), ("mat2", 2))),
    "bmm": Transfer(("input", "mat2"), _of_ranks(("input", 3), ("mat2", 3))),
    "mv": Transfer(("input", "vec"), _of_ranks(("input", 2), ("vec", 1))),
    "dot": Transfer(("input", "tensor"), _of_ranks(("input", 1), ("tensor", 1))),
    "vdot": Transfer(("input", "other"), _of_ranks(("input", 1), ("other", 1))),
    "inner": Transfer(("input", "other"), _inner),
    "outer ger": Transfer(("input", "vec2"), _outer),
    "kron": Transfer(("input", "other"), _kron),
    "addmm": Transfer(_MATRICES, _added(_of_ranks(("mat1", 2), ("mat2", 2)))),
    "addmv": Transfer(("input", "mat", "vec"), _added(_of_ranks(("mat", 2), ("vec", 1)))),
    "baddbmm": Transfer(_BATCHES, _added(_of_ranks(("batch1", 3), ("batch2", 3)))),
    "addbmm": Transfer(_BATCHES, _added(_of_ranks(("batch1", 3), ("batch2", 3)), summed=True)),
    "cross": Transfer(("input", "other", "dim"), _cross),
    "addr": Transfer(("input", "vec1", "vec2"), _outer_added),
}
FUNCTIONS: dict[str, Transfer] = {
    "einsum": Transfer(("equation", "*operands"), _einsum),
    "tensordot": Transfer(("a", "b", "dims"), _tensordot),
    "chain_matmul": Transfer(("*tensors",), _chain),
    "cdist": Transfer(("x1", "x2", "p"), _cdist),
}
METHODS: dict[str, Transfer] = {
    "addmm_": Transfer(_MATRICES, _in_place(_added(_of_ranks(("mat1", 2), ("mat2", 2))))),
    "addmv_": Transfer(("input", "mat", "vec"), _in_place(_added(_of_ranks(("mat", 2), ("vec", 1))))),
    "baddbmm_": Transfer(_BATCHES, _in_place(_added(_of_ranks(("batch1", 3), ("batch2", 3))))),
    "__matmul__": Transfer(("input", "other"), _matmul),
    "__rmatmul__": Transfer(("other", "input"), _matmul),
}
LINEAR_ALGEBRA: dict[str, Transfer] = {
    "matmul": Transfer(("input", "other"), _matmul),
    "multi_dot": Transfer(("tensors",), _chain),
    "cross": Transfer(("input", "other"), lambda given: _cross(Given({"dim": -1, **given.values}))),
}

ROWS: dict[str, Transfer] = {
    **under(("torch", "torch.Tensor"), FUNCTIONS_AND_METHODS),
    **under(("torch",), FUNCTIONS),
    **under(("torch.Tensor",), METHODS),
    **under(("torch.linalg",), LINEAR_ALGEBRA),
}
