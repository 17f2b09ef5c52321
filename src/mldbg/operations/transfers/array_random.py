"""numpy: random numbers."""

from __future__ import annotations

from mldbg.operations.problem import Problem
from mldbg.operations.shape import UNKNOWN, Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure, broadcast, of
from mldbg.operations.sizes import Size, same
from mldbg.operations.transfers.array_arguments import (
    Compute,
    array_in,
    array_of,
    check_broadcast_to,
    in_numpy,
    named_type,
    sizes_in,
)
from mldbg.operations.transfers.einops import known


def _random(dtype: str, *parameters: str, fits: bool = True) -> Compute:
    """Numbers of a distribution whose parameters may be arrays. Without sizes and arrays it is a number of Python.

    `fits`: whether these arrays have to fit the sizes.
    """

    def compute(given: Given) -> Result:
        values = [given.raw(name) for name in parameters if given.has(name)]
        shape = broadcast(Shape(), *(known(array_of(value)) for value in values if value is not UNKNOWN))
        if given.has("size"):
            sizes = of(*sizes_in(given, "size"))
            if fits:
                check_broadcast_to(shape, sizes)
            return Tensor(sizes, named_type(given, dtype))
        if UNKNOWN in values or shape == Shape():
            raise Unsure
        return Tensor(shape, named_type(given, dtype))

    return compute


def _random_of_sizes(given: Given) -> Result:
    if not given.sizes("sizes"):
        raise Unsure  # a number of Python
    return Tensor(of(*sizes_in(given, "sizes")), "float64")


def _permutation(given: Given) -> Result:
    value = given.raw("x")
    if isinstance(value, int | Size) and not isinstance(value, bool):
        return Tensor(of(value), "int64")
    shape, dtype = array_in(given, "x")
    if shape == Shape():
        raise Unsure
    return Tensor(shape, dtype)


def _chosen(given: Given) -> Result:
    """`choice`; numpy's generators also choose along an axis, which its old function does not."""
    value = given.raw("a")
    if not given.has("size"):
        raise Unsure  # one entry
    if isinstance(value, int | Size) and not isinstance(value, bool):
        return Tensor(of(*sizes_in(given, "size")), "int64")
    shape, dtype = array_in(given)
    if shape.rank != 1:
        raise Unsure
    return Tensor(of(*sizes_in(given, "size")), dtype)


def _vectors(name: str) -> Compute:
    """Vectors: as many as asked for, each like the parameter of this name."""

    def compute(given: Given) -> Result:
        shape, _ = array_in(given, name)
        if shape.rank != 1:
            raise Unsure
        sizes = sizes_in(given, "size") if given.has("size") else ()
        return Tensor(of(*sizes, *shape.front), "float64")

    return compute


def _normal_vectors(given: Given) -> Result:
    mean, _ = array_in(given, "mean")
    covariance, _ = array_in(given, "cov")
    if mean.rank is not None and mean.rank != 1:
        raise Mismatch(Problem.RANK, f"the mean is to be a vector, and is {mean}")
    if covariance.rank is not None and covariance.rank != 2:
        raise Mismatch(Problem.RANK, f"the covariance is to be a matrix, and is {covariance}")
    if mean.rank is not None and covariance.rank is not None:
        for size in covariance.front:
            if same(size, mean.front[0]) is False:
                reason = f"a mean {mean} does not go with a covariance {covariance}"
                raise Mismatch(Problem.SIZES, reason, size, mean.front[0])
    return _vectors("mean")(given)


# --- rows ---

FUNCTIONS: dict[str, Transfer] = {
    "random.rand random.randn": Transfer(("*sizes",), _random_of_sizes),
    "random.random random.random_sample": Transfer(("size",), _random("float64")),
    "random.normal": Transfer(("loc", "scale", "size"), _random("float64", "loc", "scale")),
    "random.uniform": Transfer(("low", "high", "size"), _random("float64", "low", "high")),
    "random.randint": Transfer(("low", "high", "size", "dtype"), _random("int64", "low", "high", fits=False)),
    "random.permutation": Transfer(("x",), _permutation),
    "random.standard_normal": Transfer(("size",), _random("float64")),
    "random.laplace": Transfer(("loc", "scale", "size"), _random("float64", "loc", "scale")),
    "random.lognormal": Transfer(("mean", "sigma", "size"), _random("float64", "mean", "sigma")),
    "random.gamma": Transfer(("shape", "scale", "size"), _random("float64", "shape", "scale")),
    "random.beta": Transfer(("a", "b", "size"), _random("float64", "a", "b")),
    "random.exponential": Transfer(("scale", "size"), _random("float64", "scale")),
    "random.poisson": Transfer(("lam", "size"), _random("int64", "lam")),
    "random.geometric": Transfer(("p", "size"), _random("int64", "p")),
    "random.binomial": Transfer(("n", "p", "size"), _random("int64", "n", "p")),
    "random.choice": Transfer(("a", "size", "replace", "p"), _chosen),
    "random.dirichlet": Transfer(("alpha", "size"), _vectors("alpha")),
    "random.multivariate_normal": Transfer(("mean", "cov", "size"), _normal_vectors),
}

_SAME_DRAWS = (
    *("beta", "binomial", "choice", "dirichlet", "exponential", "gamma", "geometric", "laplace", "lognormal"),
    *("multivariate_normal", "normal", "permutation", "poisson", "random", "uniform", "standard_normal"),
)
METHODS = {"integers": "numpy.random.randint", **{name: f"numpy.random.{name}" for name in _SAME_DRAWS}}
"""Methods of `numpy.random.Generator`, and the functions that have the same parameters."""

ROWS: dict[str, Transfer] = in_numpy(FUNCTIONS)
