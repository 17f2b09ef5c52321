"""numpy: products of arrays, functions of matrices, and what is computed of rows and columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure, broadcast, of
from mldbg.operations.sizes import ANY, AnySize, Dim, said, same, same_axis
from mldbg.operations.transfers import array_types
from mldbg.operations.transfers.array_arguments import (
    Compute,
    array_in,
    array_of,
    at_least,
    at_most,
    in_numpy,
    place_of,
    places_of,
    reduced_along,
    without_axes,
)
from mldbg.operations.transfers.common import ending
from mldbg.operations.transfers.einops import DOTS, Axis, Pattern, Side, Term, contracted, known

# --- products ---


def contract(one: Dim, two: Dim) -> None:
    if same_axis(one, two) is False:
        raise Mismatch(Problem.SIZES, f"sizes {said(one)} and {said(two)} are to be summed over together", two, one)


def _dotted(one: Shape, two: Shape) -> Shape:
    if one == Shape() or two == Shape():
        return one if two == Shape() else two
    contract(one.dims[-1], two.dims[-2 if len(two.dims) > 1 else -1])
    return of(*one.dims[:-1], *two.dims[:-2], *two.dims[-1:][: len(two.dims) - 1])


def _multiplied(one: Shape, two: Shape) -> Shape:
    for shape in (one, two):
        at_least(shape, 1, "a product of matrices")
    left, right = one.dims, two.dims
    contract(left[-1], right[-2 if len(right) > 1 else -1])
    batch = broadcast(of(*left[:-2]), of(*right[:-2]))
    return of(*batch.dims, *left[:-1][-1:], *right[-1:][: len(right) - 1])


def _inner(one: Shape, two: Shape) -> Shape:
    if one == Shape() or two == Shape():
        return one if two == Shape() else two
    contract(one.dims[-1], two.dims[-1])
    return of(*one.dims[:-1], *two.dims[:-1])


def _outer(one: Shape, two: Shape) -> Shape:
    return of(one.count(), two.count())


def _product(how: Callable[[Shape, Shape], Shape], first: str = "a", second: str = "b") -> Compute:
    def compute(given: Given) -> Result:
        (one, its_dtype), (two, other) = array_in(given, first), array_in(given, second)
        return Tensor(how(one, two), array_types.promoted((its_dtype, other)))

    return compute


def _tensordot(given: Given) -> Result:
    (one, its_dtype), (two, other) = array_in(given), array_in(given, "b")
    axes = given.raw("axes")
    count = 2 if axes is None else axes
    if isinstance(count, int) and not isinstance(count, bool):
        if count < 0:
            raise Unsure
        first, second = tuple(range(-count, 0)), tuple(range(count))
    elif isinstance(axes, tuple) and len(axes) == 2:
        first, second = (Given({"axes": each}).axes("axes") or () for each in axes)
    else:
        raise Unsure
    if len(first) != len(second):
        raise Mismatch(Problem.RANK, f"{len(first)} and {len(second)} axes are to be summed over together")
    of_one, of_two = of(*one.dims), of(*two.dims)
    first, second = places_of(of_one, first), places_of(of_two, second)
    for here, there in zip(first, second, strict=True):
        contract(of_one.at(here), of_two.at(there))
    return Tensor(
        of(*without_axes(of_one, first).dims, *without_axes(of_two, second).dims), array_types.promoted((its_dtype, other))
    )


def _einsum(given: Given) -> Result:
    text = given.text("subscripts")
    operands = given.raw("operands")
    if not isinstance(operands, tuple):
        raise Unsure
    arrays = [array_of(each) for each in operands]
    return Tensor(contracted(_subscripts(text), [known(array) for array in arrays]), _promoted(arrays))


def _promoted(arrays: Sequence[Tensor]) -> str | None:
    return array_types.promoted(array.dtype for array in arrays)


def _subscripts(text: str) -> Pattern:
    """The letters of numpy's einsum as a pattern. Without an arrow those that come once are left, in alphabetical order."""
    before, arrow, after = text.replace(_STAR, "?").replace(DOTS, _STAR).replace(" ", "").partition("->")
    inputs = tuple(_letters(each) for each in before.split(","))
    if arrow:
        return Pattern(inputs, _letters(after))
    letters = before.replace(",", "").replace(_STAR, "")
    once = "".join(sorted(letter for letter in letters if letters.count(letter) == 1))
    return Pattern(inputs, _letters(_STAR * (_STAR in before) + once))


_STAR = "*"
"""Dots as one letter."""


def _letters(text: str) -> Side:
    for letter in text:
        if letter != _STAR and not (letter.isascii() and letter.isalpha()):
            raise Mismatch(Problem.PATTERN, f"the subscripts `{text}` are not only letters and dots")
    if text.count(_STAR) > 1:
        raise Mismatch(Problem.PATTERN, "dots stand more than once for one array")
    return Side(tuple(Term((Axis(DOTS if letter == _STAR else letter),)) for letter in text))


def _crossed(given: Given) -> Result:
    """The cross product of vectors of three."""
    (one, its_dtype), (two, other) = array_in(given), array_in(given, "b")
    if {"axisa", "axisb", "axisc"} & given.values.keys():
        raise Unsure
    axis, dtype = given.integer("axis", -1), array_types.promoted((its_dtype, other))
    if dtype == "bool":
        raise Mismatch(Problem.DTYPE, "a cross product is not defined for elements of type bool")
    if one.rest is not None or two.rest is not None:
        raise Unsure
    sides = []
    for side in (one, two):
        place = place_of(side, axis)
        if same(side.at(place), 2) is not False:
            raise Unsure  # numpy takes vectors of two for some in a plane, and warns
        if same(side.at(place), 3) is False:
            raise Mismatch(Problem.SIZES, f"a vector of a cross product has size {said(side.at(place))}", side.at(place), 3)
        sides.append(side.without(place))
    batch = broadcast(*sides)
    return Tensor(batch.with_new(place_of(batch, axis, more=1), 3), dtype)


# --- square matrices ---


def _square(shape: Shape) -> None:
    at_least(shape, 2, "linear algebra")
    rows, columns = shape.at(-2), shape.at(-1)
    if same(rows, columns) is False:
        raise Mismatch(Problem.SIZES, f"a matrix of {said(rows)} times {said(columns)} is not square", columns, rows)


def _of_matrices(*types: str | None) -> str | None:
    dtype = array_types.promoted(map(array_types.averaged, types))
    if "float16" in types or dtype == "float16":
        raise Mismatch(Problem.DTYPE, "linear algebra is not defined for elements of type float16")
    return dtype


def _inverse(given: Given) -> Result:
    shape, dtype = array_in(given)
    _square(shape)
    return Tensor(shape, _of_matrices(dtype))


def _solved(given: Given) -> Result:
    (matrix, its_dtype), (right, other) = array_in(given), array_in(given, "b")
    _square(matrix)
    dtype = _of_matrices(its_dtype, other)
    if right.rank == 1:
        contract(matrix.at(-1), right.front[0])
        return Tensor(without_axes(matrix, [-2, -1]).with_new(-1, right.front[0]) if matrix.rest is None else None, dtype)
    at_least(right, 1, "linear algebra")
    if matrix.rest is not None or right.rest is not None:
        return Tensor(None, dtype)
    contract(matrix.at(-1), right.at(-2))
    batch = broadcast(of(*matrix.front[:-2]), of(*right.front[:-2]))
    return Tensor(of(*batch.front, *right.front[-2:]), dtype)


def _number_of_square(given: Given) -> Result:
    shape, dtype = array_in(given)
    _square(shape)
    return Tensor(ending(shape, 2), _of_matrices(dtype))


def _sign_and_logarithm(given: Given) -> Result:
    shape, dtype = array_in(given)
    _square(shape)
    dtype, numbers = _of_matrices(dtype), ending(shape, 2)
    return Tensor(numbers, dtype), Tensor(numbers, dtypes.magnitude(dtype))


def _eigenvalues(given: Given) -> Result:
    """They are complex only where one of them is."""
    shape, dtype = array_in(given)
    _square(shape)
    _of_matrices(dtype)
    return Tensor(ending(shape, 1))


def _eigenvectors(given: Given) -> Result:
    return _eigenvalues(given), Tensor(array_in(given)[0])


def _eigenvalues_of_symmetric(given: Given) -> Result:
    shape, dtype = array_in(given)
    _square(shape)
    return Tensor(ending(shape, 1), dtypes.magnitude(_of_matrices(dtype)))


def _eigenvectors_of_symmetric(given: Given) -> Result:
    return _eigenvalues_of_symmetric(given), _inverse(given)


def _power(given: Given) -> Result:
    shape, dtype = array_in(given)
    _square(shape)
    number = given.raw("n")
    if not isinstance(number, int) or isinstance(number, bool):
        return Tensor(shape)
    return Tensor(shape, _of_matrices(dtype) if number < 0 else dtype)


# --- any matrices ---


def _matrix(given: Given, name: str = "a") -> tuple[Shape, str | None]:
    shape, dtype = array_in(given, name)
    at_least(shape, 2, "linear algebra")
    return shape, _of_matrices(dtype)


def _least(one: Dim, two: Dim) -> Dim:
    """The smaller of two sizes, where that is known."""
    if isinstance(one, int) and isinstance(two, int):
        return min(one, two)
    return one if same(one, two) else ANY


def _singular(given: Given) -> Result:
    shape, dtype = _matrix(given)
    rows, columns = shape.at(-2), shape.at(-1)
    inner = _least(rows, columns)
    values = Tensor(ending(shape, 2, inner), dtypes.magnitude(dtype))
    if not given.flag("compute_uv", usual=True):
        return values
    if given.has("hermitian"):
        raise Unsure
    full = given.raw("full_matrices")
    left, right = (rows, columns) if full in (None, True) else (inner, inner) if full is False else (ANY, ANY)
    return Tensor(ending(shape, 2, rows, left), dtype), values, Tensor(ending(shape, 2, right, columns), dtype)


def _triangular(given: Given) -> Result:
    shape, dtype = _matrix(given)
    rows, columns = shape.at(-2), shape.at(-1)
    inner, mode = _least(rows, columns), given.text("mode", "reduced")
    if mode == "r":
        return Tensor(ending(shape, 2, inner, columns), dtype)
    if mode not in ("reduced", "complete"):
        raise Unsure
    inner = rows if mode == "complete" else inner
    return Tensor(ending(shape, 2, rows, inner), dtype), Tensor(ending(shape, 2, inner, columns), dtype)


def _pseudoinverse(given: Given) -> Result:
    shape, dtype = _matrix(given)
    return Tensor(ending(shape, 2, shape.at(-1), shape.at(-2)), dtype)


def _rank(given: Given) -> Result:
    shape, dtype = array_in(given, "A")
    if shape.rank is None or shape.rank < 2:
        raise Unsure  # of a vector it is a number of Python
    _of_matrices(dtype)
    return Tensor(ending(shape, 2), "int64")


def _condition(given: Given) -> Result:
    shape, dtype = _matrix(given, "x")
    if isinstance(given.raw("p"), int | str) and given.raw("p") not in (2, -2):
        _square(shape)
    return Tensor(ending(shape, 2), dtypes.magnitude(dtype))


def _least_squares(given: Given) -> Result:
    (matrix, its_dtype), (right, other) = array_in(given), array_in(given, "b")
    if matrix.rank is None or right.rank is None:
        raise Unsure
    if matrix.rank != 2 or right.rank not in (1, 2):
        raise Mismatch(Problem.RANK, f"least squares take a matrix and a vector or matrix, and get {matrix} and {right}")
    dtype = _of_matrices(its_dtype, other)
    rows, columns = matrix.front
    if same(rows, right.front[0]) is False:
        reason = f"the matrix has {said(rows)} rows, and the right side {said(right.front[0])}"
        raise Mismatch(Problem.SIZES, reason, right.front[0], rows)
    solution, residuals = of(columns, *right.front[1:]), of(ANY)
    real = dtypes.magnitude(dtype)
    return Tensor(solution, dtype), Tensor(residuals, real), Tensor(Shape(), "int32"), Tensor(of(_least(rows, columns)), real)


# --- variables in rows ---


def _covariance(name: str) -> Compute:
    """A matrix of the variables that stand in the rows, or the columns; of a single one it is a number."""

    def compute(given: Given) -> Result:
        shape, dtype = array_in(given, name)
        at_most(shape, 2, "a covariance")
        if shape.rank is None or given.has("y"):
            raise Unsure
        in_rows = given.flag("rowvar", usual=True)
        count = 1 if shape.rank < 2 else shape.front[0 if in_rows else 1]
        if isinstance(count, AnySize):
            raise Unsure
        known_type = array_types.promoted((dtype, "float64")) if not given.has("dtype") else None
        return Tensor(Shape() if count == 1 else of(count, count), known_type)

    return compute


def _trace(given: Given) -> Result:
    shape, dtype = array_in(given)
    at_least(shape, 2, "a trace")
    if given.has("dtype"):
        raise Unsure
    axes = places_of(shape, (given.integer("axis1", 0), given.integer("axis2", 1)))
    return Tensor(without_axes(shape, axes), array_types.counting(dtype))


def _grid(given: Given) -> Result:
    """Each coordinate at each point; what comes first runs along the columns unless `ij` is said."""
    vectors, indexing = given.raw("xi"), given.text("indexing", "xy")
    if not isinstance(vectors, tuple):
        raise Unsure
    if indexing not in ("xy", "ij"):
        raise Mismatch(Problem.PATTERN, f"the indexing of a grid is `xy` or `ij`, and not `{indexing}`")
    arrays = [array_of(vector) for vector in vectors]
    counts = [known(array).count() for array in arrays]
    order = [1, 0, *range(2, len(counts))] if indexing == "xy" and len(counts) > 1 else [*range(len(counts))]
    sparse = given.flag("sparse")
    return tuple(
        Tensor(of(*(1 if sparse and axis != own else counts[axis] for axis in order)), array.dtype)
        for own, array in enumerate(arrays)
    )


def _norm(given: Given) -> Result:
    shape, dtype = array_in(given, "x")
    axes, keeps = given.axes("axis"), given.flag("keepdims")
    if axes is None and given.has("ord"):
        at_least(shape, 1, "a norm of an order")
        at_most(shape, 2, "a norm of an order")
    if axes is not None:
        if len(axes) not in (1, 2):
            raise Mismatch(Problem.RANK, "a norm goes along one axis or two")
        places_of(shape, axes)
    return Tensor(reduced_along(shape, axes, keeps=keeps), array_types.averaged(dtypes.magnitude(dtype)))


# --- rows ---

_TWO = ("x1", "x2")
FUNCTIONS: dict[str, Transfer] = {
    "dot": Transfer(("a", "b"), _product(_dotted)),
    "matmul": Transfer(_TWO, _product(_multiplied, *_TWO)),
    "inner": Transfer(("a", "b"), _product(_inner)),
    "outer": Transfer(("a", "b"), _product(_outer)),
    "tensordot": Transfer(("a", "b", "axes"), _tensordot),
    "einsum": Transfer(("subscripts", "*operands"), _einsum),
    "linalg.norm": Transfer(("x", "ord", "axis", "keepdims"), _norm),
    "linalg.inv": Transfer(("a",), _inverse),
    "linalg.solve": Transfer(("a", "b"), _solved),
    "cross": Transfer(("a", "b", "axisa", "axisb", "axisc", "axis"), _crossed),
    "trace": Transfer(("a", "offset", "axis1", "axis2", "dtype"), _trace),
    "cov": Transfer(("m", "y", "rowvar", "bias", "ddof"), _covariance("m")),
    "corrcoef": Transfer(("x", "y", "rowvar"), _covariance("x")),
    "meshgrid": Transfer(("*xi",), _grid),
    "linalg.cholesky": Transfer(("a",), _inverse),
    "linalg.det": Transfer(("a",), _number_of_square),
    "linalg.slogdet": Transfer(("a",), _sign_and_logarithm),
    "linalg.eig": Transfer(("a",), _eigenvectors),
    "linalg.eigvals": Transfer(("a",), _eigenvalues),
    "linalg.eigh": Transfer(("a", "UPLO"), _eigenvectors_of_symmetric),
    "linalg.eigvalsh": Transfer(("a", "UPLO"), _eigenvalues_of_symmetric),
    "linalg.matrix_power": Transfer(("a", "n"), _power),
    "linalg.svd": Transfer(("a", "full_matrices", "compute_uv", "hermitian"), _singular),
    "linalg.qr": Transfer(("a", "mode"), _triangular),
    "linalg.pinv": Transfer(("a", "rcond"), _pseudoinverse),
    "linalg.matrix_rank": Transfer(("A", "tol"), _rank),
    "linalg.cond": Transfer(("x", "p"), _condition),
    "linalg.lstsq": Transfer(("a", "b", "rcond"), _least_squares),
}

ROWS: dict[str, Transfer] = in_numpy(FUNCTIONS)
