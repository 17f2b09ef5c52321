"""Calls of numpy: functions of matrices, of variables in rows, and random numbers of many distributions."""

from __future__ import annotations

from hypothesis import strategies as st

from shapes.cases_arrays import cases, randoms
from shapes.drawing import SIZES, axes, shapes, tensors
from shapes.drawing_layers import mostly, rarely, sometimes_other
from shapes.oracle import Case, Drawn, T

_TYPES = st.sampled_from(["float32", "float32", "float64", "int64", "int32", "bool", "float16"])


@st.composite
def _squares(draw: st.DrawFn) -> T:
    """Mostly matrices that are square."""
    size = draw(SIZES)
    sizes = (*draw(shapes(0, 2)), size, draw(sometimes_other(size)))
    return T(sizes if not rarely(draw) else draw(shapes(0, 1)), draw(_TYPES))


@st.composite
def _matrices(draw: st.DrawFn) -> T:
    return T(draw(shapes(2, 4)) if not rarely(draw) else draw(shapes(0, 1)), draw(_TYPES))


_OF_SQUARES = st.builds(lambda matrix: Drawn((matrix,)), _squares())
_OF_MATRICES = st.builds(lambda matrix: Drawn((matrix,)), _matrices())


@st.composite
def _with(draw: st.DrawFn, matrices: st.SearchStrategy[T], options: dict[str, st.SearchStrategy[object]]) -> Drawn:
    """A matrix, and some of the keywords."""
    return Drawn((draw(matrices),), {name: draw(option) for name, option in options.items() if draw(st.booleans())})


@st.composite
def _powers(draw: st.DrawFn) -> Drawn:
    return Drawn((draw(_squares()), draw(st.integers(-2, 4))))


@st.composite
def _least_squares(draw: st.DrawFn) -> Drawn:
    rows, columns = draw(SIZES), draw(SIZES)
    matrix = (rows, columns) if not rarely(draw) else draw(shapes(1, 3))
    right = draw(mostly((rows,), (rows, draw(SIZES)), draw(shapes(0, 3))))
    return Drawn((T(matrix, draw(_TYPES)), T(right, draw(_TYPES))), {"rcond": None} if draw(st.booleans()) else {})


@st.composite
def _crosses(draw: st.DrawFn) -> Drawn:
    lead = draw(shapes(0, 2))
    size = draw(mostly(3, 4, 1))
    other = draw(mostly(lead, lead[1:], tuple(1 for _ in lead)))
    one, two = T((*lead, size), draw(_TYPES)), T((*other, draw(mostly(size, 3))), draw(_TYPES))
    if draw(st.integers(0, 3)) == 0:
        axis = draw(axes(len(lead) + 1))
        return Drawn((T((3,) * (len(lead) + 1)), T((3,) * draw(st.integers(1, 3)))), {"axis": axis})
    return Drawn((one, two))


@st.composite
def _traces(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(2, 4) if not rarely(draw) else tensors(0, 1))
    rank = len(array.sizes)
    kwargs: dict[str, object] = {}
    if draw(st.booleans()):
        kwargs = {"axis1": draw(axes(rank)), "axis2": draw(axes(rank))}
    return Drawn((array,), {**kwargs, **({"offset": 1} if rarely(draw) else {})})


@st.composite
def _variables(draw: st.DrawFn) -> Drawn:
    kwargs: dict[str, object] = {"rowvar": draw(st.booleans())} if draw(st.booleans()) else {}
    return Drawn((T(draw(shapes(1, 2) if not rarely(draw) else shapes(0, 3)), draw(_TYPES)),), kwargs)


@st.composite
def _grids(draw: st.DrawFn) -> Drawn:
    vectors = draw(st.lists(tensors(1, 1) | tensors(0, 2), min_size=1, max_size=3))
    kwargs = draw(
        st.fixed_dictionaries({}, optional={"indexing": st.sampled_from(["ij", "ij", "xy", "yx"]), "sparse": st.booleans()})
    )
    return Drawn(tuple(vectors), kwargs)


_RANDOM_SIZES = shapes(0, 3) | SIZES


@st.composite
def _choices(draw: st.DrawFn) -> Drawn:
    chosen: object = draw(SIZES | tensors(1, 1) | st.just([0, 1, 2]))
    return Drawn((chosen, draw(_RANDOM_SIZES)))


@st.composite
def _vectors(draw: st.DrawFn, *, normal: bool) -> Drawn:
    size = draw(SIZES)
    sizes = {"size": draw(_RANDOM_SIZES)} if draw(st.booleans()) else {}
    if not normal:
        return Drawn((T((size,), "float64"),), sizes)
    mean = (size,) if not rarely(draw) else draw(shapes(0, 2))
    matrix = (size, draw(sometimes_other(size))) if not rarely(draw) else draw(shapes(1, 3))
    return Drawn((T(mean, "float64"), T(matrix, "float64")), sizes)


CASES: list[Case] = [
    cases("linalg.cholesky linalg.det linalg.slogdet linalg.eigh linalg.eigvalsh", _OF_SQUARES, real="regular"),
    cases("linalg.eig linalg.eigvals", _OF_SQUARES, real="regular", open_dtype=True),
    cases("linalg.matrix_power", _powers(), real="regular"),
    cases("linalg.svd", _with(_matrices(), {"full_matrices": st.booleans(), "compute_uv": st.booleans()})),
    cases("linalg.qr", _with(_matrices(), {"mode": st.sampled_from(["reduced", "complete", "r"])})),
    cases("linalg.pinv", _OF_MATRICES),
    cases("linalg.matrix_rank", st.builds(lambda matrix: Drawn((matrix,)), tensors(2, 4))),
    cases("linalg.cond", _with(_matrices(), {"p": st.sampled_from([2, 1, "fro"])}), real="regular"),
    cases("linalg.lstsq", _least_squares(), open=True),
    cases("cross", _crosses()),
    cases("trace", _traces()),
    cases("cov corrcoef", _variables()),
    cases("meshgrid", _grids()),
    cases("random.standard_normal", st.builds(lambda size: Drawn((size,)), _RANDOM_SIZES)),
    cases("random.laplace random.lognormal", randoms(0.0, 1)),
    cases("random.gamma random.beta", randoms(1.5, 1.0)),
    cases("random.exponential random.poisson", randoms(1.5)),
    cases("random.geometric", randoms(1.0)),
    cases("random.binomial", randoms(5, 0.5)),
    cases("random.choice", _choices()),
    cases("random.dirichlet", _vectors(normal=False)),
    cases("random.multivariate_normal", _vectors(normal=True), real="regular"),
]
