"""torch: functions of single matrices, and systems of equations."""

from __future__ import annotations

from collections.abc import Callable

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure
from mldbg.operations.sizes import ANY, Dim, same
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    check_equal,
    check_floats,
    check_rank,
    common_dtype,
    ending,
    flag,
    made,
    shape,
    tensor,
    under,
)
from mldbg.operations.transfers.products import batches

# --- square matrices ---


def _square(given: Given, name: str) -> tuple[Tensor, Shape]:
    value = tensor(given, name)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, None, "the function")
    check_floats(value, "the function")
    check_equal(start.at(-1), start.at(-2), "the matrix is not square")
    return value, start


def _first(given: Given) -> str:
    return "A" if "A" in given.values else "input"


def _like_square(given: Given) -> Result:
    return _square(given, _first(given))[0]


def _power(given: Given) -> Result:
    value, start = tensor(given, _first(given)), shape(given, _first(given))
    check_rank(start, 2, None, "the function")
    check_equal(start.at(-1), start.at(-2), "the matrix is not square")
    return value


def _number_of_square(given: Given) -> Result:
    value, start = _square(given, _first(given))
    return made(ending(start, 2), value.dtype)


def _numbers_of_square(given: Given) -> Result:
    result = _number_of_square(given)
    return result, result


def _matrix(given: Given) -> tuple[Tensor, Shape]:
    value = tensor(given, _first(given))
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, None, "the function")
    check_floats(value, "the function")
    return value, start


def _least(one: Dim, two: Dim) -> Dim:
    """The smaller of two sizes, where that is known."""
    if isinstance(one, int) and isinstance(two, int):
        return min(one, two)
    return one if same(one, two) else ANY


def _eigenvectors(given: Given) -> Result:
    value, start = _square(given, _first(given))
    return made(ending(start, 1), value.dtype), value


def _eigenvalues(given: Given) -> Result:
    value, start = _square(given, _first(given))
    return made(ending(start, 1), value.dtype)


def _singular(given: Given) -> Result:
    value, start = _matrix(given)
    rows, columns = start.at(-2), start.at(-1)
    inner, full = _least(rows, columns), flag(given, "full_matrices", usual=True)
    left, right = (rows, columns) if full else (inner, inner) if full is False else (ANY, ANY)
    shapes = (ending(start, 2, rows, left), ending(start, 2, inner), ending(start, 2, right, columns))
    return tuple(made(each, value.dtype) for each in shapes)


def _singular_values(given: Given) -> Result:
    value, start = _matrix(given)
    return made(ending(start, 2, _least(start.at(-2), start.at(-1))), value.dtype)


def _triangular(given: Given) -> Result:
    value, start = _matrix(given)
    rows, columns = start.at(-2), start.at(-1)
    inner, mode = _least(rows, columns), given.values.get("mode", "reduced")
    if mode not in ("reduced", "complete"):
        raise Unsure
    inner = rows if mode == "complete" else inner
    return made(ending(start, 2, rows, inner), value.dtype), made(ending(start, 2, inner, columns), value.dtype)


def _swapped(given: Given) -> Result:
    value, start = _matrix(given)
    return made(ending(start, 2, start.at(-1), start.at(-2)), value.dtype)


def _solve(given: Given) -> Result:
    """The right side is a vector where its axes are those of the matrix but the last, and a matrix otherwise."""
    value, start = _square(given, "A")
    right = tensor(given, "B")
    there = right.shape or ANY_SHAPE
    check_rank(there, 1, None, "solve")
    dtype = common_dtype(value, right, what="solve")
    if start.rank is None or there.rank is None:
        return Tensor(None, dtype)
    equal = [same(one, two) for one, two in zip(there.front, start.front[:-1], strict=False)]
    if there.rank == 1:
        check_equal(start.at(-1), there.at(-1), "the matrix and the right side have different sizes")
        return made(ending(start, 1), dtype)
    if there.rank == start.rank - 1 and False not in equal:
        return made(there, dtype) if None not in equal else Tensor(None, dtype)
    check_equal(start.at(-1), there.at(-2), "the matrix and the right side have different sizes")
    return made(ending(batches(start, there), 0, there.at(-2), there.at(-1)), dtype)


_COMPLEX = {"float32": "complex64", "float64": "complex128", "float": "complex"}


def _complex_eigenvalues(given: Given) -> Result:
    value, start = _square(given, _first(given))
    return made(ending(start, 1), _COMPLEX.get(value.dtype or ""))


def _complex_eigenvectors(given: Given) -> Result:
    value, start = _square(given, _first(given))
    dtype = _COMPLEX.get(value.dtype or "")
    return made(ending(start, 1), dtype), made(start, dtype)


def _ranks(given: Given) -> Result:
    _, start = _matrix(given)
    return made(ending(start, 2), "int64")


def _trace(given: Given) -> Result:
    value = tensor(given)
    check_rank(value.shape or ANY_SHAPE, 2, 2, "the trace")
    return Tensor(Shape(), "int64" if dtypes.kind(value.dtype) in ("int", "bool") else value.dtype)


def _old_singular(given: Given) -> Result:
    """`torch.svd`: the right vectors are not transposed."""
    value, start = _matrix(given)
    rows, columns = start.at(-2), start.at(-1)
    inner, some = _least(rows, columns), flag(given, "some", usual=True)
    left, right = (inner, inner) if some else (rows, columns) if some is False else (ANY, ANY)
    shapes = (ending(start, 2, rows, left), ending(start, 2, inner), ending(start, 2, columns, right))
    return tuple(made(each, value.dtype) for each in shapes)


def _old_triangular(given: Given) -> Result:
    some = flag(given, "some", usual=True)
    if some is None:
        raise Unsure
    return _triangular(Given({**given.values, "mode": "reduced" if some else "complete"}))


def _norm(usual: tuple[int, ...] | None) -> Callable[[Given], Result]:
    """A norm over some axes, or over all."""

    def compute(given: Given) -> Result:
        value = tensor(given, _first(given))
        start = value.shape or ANY_SHAPE
        check_floats(value, "the norm")
        dtype = dtypes.magnitude(given.dtype(usual=value.dtype))
        axes = given.axes("dim") if given.has("dim") else usual
        kept = given.flag("keepdim")
        if axes is None:
            rank = start.rank
            if kept and rank is None:
                return Tensor(None, dtype)
            return Tensor(Shape((1,) * rank if kept and rank else ()), dtype)
        if usual is not None:
            check_rank(start, 2, None, "the norm")
        if start.rest is not None:
            if len(axes) != 1:
                return Tensor(None, dtype)
            return made(start.with_axis(axes[0], 1) if kept else start.without(axes[0]), dtype)
        places = {start.place(axis) for axis in axes}
        if len(places) < len(axes):
            raise Mismatch(Problem.RANK, "an axis is named twice")
        dims = [1 if place in places else dim for place, dim in enumerate(start.front) if kept or place not in places]
        return Tensor(Shape(tuple(dims)), dtype)

    return compute


# --- rows ---

FUNCTIONS_AND_METHODS: dict[str, Transfer] = {
    "inverse cholesky": Transfer(("input",), _like_square),
    "det logdet": Transfer(("input",), _number_of_square),
    "slogdet": Transfer(("input",), _numbers_of_square),
    "matrix_power": Transfer(("input", "n"), _power),
    "matrix_exp": Transfer(("input",), _like_square),
    "trace": Transfer(("input",), _trace),
    "svd": Transfer(("input", "some", "compute_uv"), _old_singular),
    "qr": Transfer(("input", "some"), _old_triangular),
    "pinverse": Transfer(("input", "rcond"), _swapped),
}
LINEAR_ALGEBRA: dict[str, Transfer] = {
    "inv cholesky matrix_exp": Transfer(("A",), _like_square),
    "matrix_rank": Transfer(("A", "tol", "hermitian"), _ranks),
    "eig": Transfer(("A",), _complex_eigenvectors),
    "eigvals": Transfer(("A",), _complex_eigenvalues),
    "matrix_power": Transfer(("A", "n"), _power),
    "det": Transfer(("A",), _number_of_square),
    "slogdet": Transfer(("A",), _numbers_of_square),
    "solve": Transfer(("A", "B"), _solve),
    "eigh": Transfer(("A", "UPLO"), _eigenvectors),
    "eigvalsh": Transfer(("A", "UPLO"), _eigenvalues),
    "svd": Transfer(("A", "full_matrices"), _singular),
    "svdvals": Transfer(("A",), _singular_values),
    "qr": Transfer(("A", "mode"), _triangular),
    "pinv": Transfer(("A",), _swapped),
    "norm": Transfer(("A", "ord", "dim", "keepdim"), _norm(None)),
    "vector_norm": Transfer(("A", "ord", "dim", "keepdim"), _norm(None)),
    "matrix_norm": Transfer(("A", "ord", "dim", "keepdim"), _norm((-2, -1))),
}

ROWS: dict[str, Transfer] = {
    **under(("torch", "torch.Tensor"), FUNCTIONS_AND_METHODS),
    **under(("torch.linalg",), LINEAR_ALGEBRA),
}
