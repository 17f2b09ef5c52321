"""Distributions of torch, and what is drawn from them and weighed under them."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from mldbg.operations.distributions import DIVERGENCE, PACKAGE, PARAMETERS
from mldbg.operations.transfers.distributions import ROWS
from shapes.drawing import SIZES, broadcast_pair, shapes
from shapes.drawing_layers import mostly, rarely, sometimes_other
from shapes.oracle import B, Case, Drawn, T

_TYPES = st.sampled_from(["float32", "float32", "float64"])
_VALUES: dict[str, float | str] = {
    **dict.fromkeys(PARAMETERS, 0.5),
    **dict.fromkeys(("Bernoulli", "Poisson", "Geometric"), 1.0),
    "Categorical": 0.0,
    "OneHotCategorical": "one-hot",
    "Dirichlet": "one-hot",
}
"""Numbers that each distribution may give."""


@st.composite
def _with_numbers(draw: st.DrawFn, name: str) -> B:
    """Parameters that are broadcast, some of them plain numbers."""
    dtype, params = draw(_TYPES), PARAMETERS[name]
    sizes = [*draw(broadcast_pair()), draw(st.sampled_from([(), (1,)]))]
    numbers = {"low": 0.0, "loc": 0.0}
    given: list[object] = [T(sizes[index], dtype, numbers.get(param, 1.0)) for index, param in enumerate(params)]
    for index, param in enumerate(params):
        if rarely(draw):
            given[index] = draw(st.sampled_from([numbers.get(param, 1.0), int(numbers.get(param, 1))]))
    return B(f"{PACKAGE}{name}", tuple(given))


@st.composite
def _with_logits(draw: st.DrawFn, name: str) -> B:
    start = T(draw(shapes(0 if name in ("Bernoulli", "Geometric") or rarely(draw) else 1, 3)), draw(_TYPES), 0.5)
    return B(f"{PACKAGE}{name}", *draw(st.sampled_from([((start,), {}), ((), {"probs": start}), ((), {"logits": start})])))


@st.composite
def _over_simplex(draw: st.DrawFn, name: str) -> B:
    return B(f"{PACKAGE}{name}", (T(draw(shapes(0 if rarely(draw) else 1, 3)), draw(_TYPES), 1.0),))


@st.composite
def _of_vectors(draw: st.DrawFn, name: str) -> B:
    size, dtype = draw(SIZES), draw(_TYPES)
    of_mean, of_matrix = (batch[-2:] for batch in draw(broadcast_pair()))
    which = draw(st.sampled_from(["covariance_matrix", "precision_matrix", "scale_tril"]))
    other = size if which == "scale_tril" else draw(sometimes_other(size))  # torch notices late that a factor is not square
    mean = T((*of_mean, size) if not rarely(draw) else (), dtype, 0.0)
    matrix = T((*of_matrix, size, other) if not rarely(draw) else (size,), dtype, "identity")
    args = (mean, matrix) if which == "covariance_matrix" and draw(st.booleans()) else (mean,)
    return B(f"{PACKAGE}{name}", args, {} if len(args) == 2 else {which: matrix})


_BASES = ("Normal", "Bernoulli", "Categorical", "Laplace", "MultivariateNormal")
_PATHWISE_BASES = ("Normal", "Laplace", "MultivariateNormal")


@st.composite
def _independent(draw: st.DrawFn, name: str, bases: tuple[str, ...] = _BASES) -> B:
    base = draw(built(draw(st.sampled_from(bases))))
    return B(f"{PACKAGE}{name}", (base, draw(st.integers(0, 3))))


def built(name: str, bases: tuple[str, ...] = _BASES) -> st.SearchStrategy[B]:
    """An object of a class."""
    makers: dict[str, Callable[[str], st.SearchStrategy[B]]] = {
        **dict.fromkeys(("Bernoulli", "Categorical", "Geometric", "OneHotCategorical"), _with_logits),
        "Dirichlet": _over_simplex,
        "MultivariateNormal": _of_vectors,
        "Independent": lambda name: _independent(name, bases),
    }
    return makers.get(name, _with_numbers)(name)


def _tensors_in(value: object) -> list[T]:
    if isinstance(value, B):
        return [tensor for each in (*value.args, *value.kwargs.values()) for tensor in _tensors_in(each)]
    return [value] if isinstance(value, T) else []


def _innermost(distribution: B) -> B:
    base = distribution.args[0] if distribution.args else None
    return _innermost(base) if isinstance(base, B) else distribution


@st.composite
def _weighed(draw: st.DrawFn, name: str) -> Drawn:
    """Values that mostly have the axes of a draw, or some of them, or more."""
    bases = tuple(base for base in _BASES if base not in ("Bernoulli", "Categorical"))
    distribution = draw(built(name, bases))
    inner = _innermost(distribution)
    its_name, tensors = inner.cls.removeprefix(PACKAGE), _tensors_in(inner)
    sizes = max((tensor.sizes for tensor in tensors), key=len, default=())
    if its_name == "MultivariateNormal":
        sizes = (*tensors[1].sizes[:-2], *tensors[0].sizes[-1:])
    if its_name == "Categorical":
        sizes = sizes[:-1]
    sizes = tuple(draw(mostly(size, 1, 4)) for size in sizes)
    sizes = draw(mostly(sizes, sizes[1:], (2, *sizes), (3, *sizes), (*sizes, 1)))
    dtype = tensors[0].dtype if tensors else "float32"
    if its_name == "Categorical":
        dtype = draw(st.sampled_from(["int64", dtype]))
    return Drawn((distribution, T(sizes, dtype, _VALUES[its_name])))


@st.composite
def _sampled(draw: st.DrawFn, name: str, bases: tuple[str, ...] = _BASES) -> Drawn:
    sizes = draw(st.none() | shapes(0, 2) | shapes(1, 1).map(list))
    args = (draw(built(name, bases)),)
    if sizes is None:
        return Drawn(args)
    return Drawn((*args, sizes)) if draw(st.booleans()) else Drawn(args, {"sample_shape": sizes})


_COMPARED = ("Beta", "Categorical", "Dirichlet", "Exponential", "Gamma", "Laplace", "MultivariateNormal", "Normal")


@st.composite
def _two(draw: st.DrawFn) -> Drawn:
    """Two distributions of a class, or of events of so many axes each."""
    name, other = (draw(st.sampled_from(_COMPARED)),) * 2 if not rarely(draw) else ("Normal", "Laplace")
    one, two = draw(built(name)), draw(built(other))
    if draw(st.integers(0, 2)) == 0:
        two = one
    if draw(st.integers(0, 3)) == 0:
        count = draw(st.integers(0, 2))
        one, two = (B(f"{PACKAGE}Independent", (each, draw(mostly(count, 1)))) for each in (one, two))
    return Drawn((one, two))


def _calls(row: str) -> st.SearchStrategy[Drawn]:
    name, _, member = row.removeprefix(PACKAGE).partition(".")
    if not member:
        return built(name).map(lambda made: Drawn(made.args, made.kwargs))
    if member in ("log_prob", "cdf"):
        return _weighed(name)
    if member in ("sample", "rsample"):
        return _sampled(name, _PATHWISE_BASES if member == "rsample" else _BASES)
    return st.builds(lambda made: Drawn((made,)), built(name))


CASES = [
    *(Case((row,), _calls(row), real="values") for row in ROWS if row != DIVERGENCE),
    Case((DIVERGENCE,), _two(), real="values", open=True, open_dtype=True),
]
