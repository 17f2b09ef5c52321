"""torch: distributions. What is drawn has the axes that were asked for, those of the batch, and those of one event.

The batch is what the parameters are broadcast to. Values are weighed one by one: they are broadcast against the batch, and the
axes of an event are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mldbg.operations import dtypes
from mldbg.operations.distributions import DIVERGENCE, PACKAGE, PARAMETERS
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Built, Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure, broadcast, counted
from mldbg.operations.sizes import Dim, Size, same
from mldbg.operations.transfers.common import ANY_SHAPE, check_equal, check_rank, ending, last, made, tensor

DEFAULT = "float32"


@dataclass(frozen=True, slots=True)
class Parts:
    """A distribution: the shape of its batch, the sizes of one event, the type of its parameters."""

    batch: Shape
    event: tuple[Dim, ...]
    dtype: str | None

    @property
    def whole(self) -> Shape:
        """The shape of one draw."""
        return ending(self.batch, 0, *self.event)


# --- of what it was built ---


def parts(distribution: object) -> Parts:
    """What a distribution consists of. Raises Mismatch where its parameters do not go together."""
    if not isinstance(distribution, Built):
        raise Unsure
    given, name = Given(distribution.given), distribution.cls.removeprefix(PACKAGE)
    if name == "Independent":
        return _independent(given)
    if name == "MultivariateNormal":
        return _of_vectors(given)
    parameters = _parameters(given, name)
    dtype = _dtype(parameters)
    if name not in _LAST_AXIS:
        return Parts(broadcast(*(each.shape or ANY_SHAPE for each in parameters)), (), dtype)
    start = parameters[0].shape or ANY_SHAPE
    check_rank(start, 1, None, f"`{name}`")
    return Parts(ending(start, 1), () if name == "Categorical" else (start.at(-1),), dtype)


_LAST_AXIS = frozenset({"Categorical", "OneHotCategorical", "Dirichlet"})
"""Distributions over what lies along the last axis of their parameter."""

_LOGITS = frozenset({"Bernoulli", "Categorical", "Geometric", "OneHotCategorical"})
"""Distributions that are built with probabilities or with logits."""


def _parameters(given: Given, name: str) -> list[Tensor]:
    wanted = PARAMETERS[name]
    if name in _LOGITS:
        wanted = tuple(parameter for parameter in wanted if given.has(parameter))
        if len(wanted) != 1:
            raise Unsure
    return [_parameter(given, parameter) for parameter in wanted]


_BY_DEFAULT = frozenset({"loc", "scale"})
"""Parameters that may be left away, and are numbers then, of a Student distribution."""


def _parameter(given: Given, name: str) -> Tensor:
    """A parameter as a tensor; the type of a number gives way to that of any tensor."""
    value = given.raw(name)
    if isinstance(value, int | float | Size) or (value is None and name in _BY_DEFAULT):
        return Tensor(Shape(), "int")
    found = tensor(given, name)
    if dtypes.kind(found.dtype) in ("int", "bool"):
        raise Unsure  # it depends on the distribution whether that works
    return found


def _dtype(parameters: list[Tensor]) -> str | None:
    found = {each.dtype for each in parameters if each.dtype != "int"}
    return DEFAULT if not found else found.pop() if len(found) == 1 else None


def _of_vectors(given: Given) -> Parts:
    matrices = [name for name in PARAMETERS["MultivariateNormal"][1:] if given.has(name)]
    if len(matrices) != 1:
        raise Unsure
    loc, matrix = _parameter(given, "loc"), _parameter(given, matrices[0])
    mean, spread = loc.shape or ANY_SHAPE, matrix.shape or ANY_SHAPE
    check_rank(mean, 1, None, "the mean of `MultivariateNormal`")
    check_rank(spread, 2, None, f"`{matrices[0]}`")
    if matrices[0] != "scale_tril":
        check_equal(spread.at(-1), spread.at(-2), f"`{matrices[0]}` is not square")
    if False in (same(spread.at(-1), spread.at(-2)), same(spread.at(-1), mean.at(-1))):
        raise Unsure  # it can be built, and hardly anything can be done with it
    return Parts(broadcast(ending(spread, 2), ending(mean, 1)), (mean.at(-1),), _dtype([loc, matrix]))


def _independent(given: Given) -> Parts:
    base, count = parts(given.raw("base_distribution")), given.integer("reinterpreted_batch_ndims")
    if count < 0 or (base.batch.rest is not None and count > len(base.batch.back)):
        raise Unsure
    if base.batch.rank is not None and count > base.batch.rank:
        axes = counted(base.batch.rank, "axis", "axes")
        raise Mismatch(Problem.RANK, f"{count} axes of a batch are to belong to one event, and {base.batch} has {axes}")
    return Parts(ending(base.batch, count), (*last(base.batch, count), *base.event), base.dtype)


def innermost(distribution: object) -> object:
    """The distribution that one says of which axes of its batch belong to one event."""
    while isinstance(distribution, Built) and distribution.cls == f"{PACKAGE}Independent":
        distribution = distribution.given.get("base_distribution")
    return distribution


def pair(name: str, given: Given) -> Mapping[str, Shape]:
    """The shapes that a call broadcasts against one another, by parameter: a batch and values, two batches, two parameters.

    Raises Unsure where there are no two.
    """
    if name == DIVERGENCE:
        return {param: parts(innermost(given.raw(param))).batch for param in ("p", "q")}
    if given.has("value"):
        base = parts(innermost(given.raw("self")))
        return {"self": base.batch, "value": ending(tensor(given, "value").shape or ANY_SHAPE, len(base.event))}
    cls = name.removeprefix(PACKAGE)
    if cls not in _PLAIN or len(PARAMETERS[cls]) != 2:
        raise Unsure
    return {param: _parameter(given, param).shape or ANY_SHAPE for param in PARAMETERS[cls]}


_PLAIN = frozenset(PARAMETERS) - _LOGITS - {"Independent", "MultivariateNormal"}
"""Distributions whose parameters are broadcast against one another."""


# --- what it gives ---


def _constructor(name: str) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        built = Built(f"{PACKAGE}{name}", given.values)
        parts(built)
        return built

    return compute


_WHOLE_NUMBERS = frozenset({"Categorical"})
"""Distributions whose draws are indices."""


def _drawn_type(distribution: object, dtype: str | None) -> str | None:
    found = innermost(distribution)
    return "int64" if isinstance(found, Built) and found.cls.removeprefix(PACKAGE) in _WHOLE_NUMBERS else dtype


def _drawn(given: Given) -> Result:
    found = parts(given.raw("self"))
    if given.has("sample_shape") and not isinstance(given.raw("sample_shape"), tuple):
        raise Unsure
    lead, draw = given.sizes("sample_shape") if given.has("sample_shape") else (), found.whole
    return made(Shape((*lead, *draw.front), draw.rest, draw.back), _drawn_type(given.raw("self"), found.dtype))


def _weighed(given: Given) -> Result:
    return _weighed_under(given.raw("self"), tensor(given, "value"), given)


def _weighed_under(distribution: object, value: Tensor, given: Given) -> Tensor:
    found = parts(distribution)
    if isinstance(distribution, Built) and distribution.cls == f"{PACKAGE}Independent":
        base = _weighed_under(distribution.given["base_distribution"], value, given)
        return made(ending(base.shape or ANY_SHAPE, Given(distribution.given).integer("reinterpreted_batch_ndims")), base.dtype)
    if not isinstance(given.raw("value"), Tensor):
        value = Tensor()
    start = value.shape or ANY_SHAPE
    check_rank(start, len(found.event), None, "the distribution")
    is_checked = not isinstance(distribution, Built) or distribution.given.get("validate_args") in (None, True)
    for axis in range(-len(found.event), 0):
        if not is_checked and same(start.at(axis), found.event[axis]) is False:
            raise Unsure  # an axis of size 1 may be broadcast then
        check_equal(start.at(axis), found.event[axis], "axes of the values and of an event differ")
    try:
        result = broadcast(ending(start, len(found.event)), found.batch)
    except Mismatch as mismatch:
        reason = f"values of shape {start} do not go with a batch of shape {found.batch}"
        raise Mismatch(mismatch.problem, reason, mismatch.got, mismatch.wanted) from mismatch
    is_same = value.dtype == found.dtype or _drawn_type(distribution, found.dtype) == "int64"
    return made(result, found.dtype if is_same else None)


def _of_batch(given: Given) -> Result:
    found = parts(given.raw("self"))
    return made(found.batch, found.dtype)


def _of_draw(given: Given) -> Result:
    found = parts(given.raw("self"))
    return made(found.whole, found.dtype)


def _most_likely(given: Given) -> Result:
    found = parts(given.raw("self"))
    return made(found.whole, _drawn_type(given.raw("self"), found.dtype))


def _of_classes(given: Given) -> Result:
    """The probabilities or logits themselves."""
    built = given.raw("self")
    found = parts(built)
    if not isinstance(built, Built):
        raise Unsure
    inner = _parameters(Given(built.given), built.cls.removeprefix(PACKAGE))[0]
    return made(inner.shape or ANY_SHAPE, found.dtype)


def _matrix(given: Given) -> Result:
    found = parts(given.raw("self"))
    return made(ending(found.batch, 0, *found.event * 2), found.dtype)


def _batch_shape(given: Given) -> Result:
    return parts(given.raw("self")).batch.dims


def _event_shape(given: Given) -> Result:
    return parts(given.raw("self")).event


# --- two of them ---


def _divergence(given: Given) -> Result:
    result, dtype = _divergence_of(given.raw("p"), given.raw("q"))
    return made(result, dtype)


_SINGLE = ("Beta", "Categorical", "Dirichlet", "Exponential", "Gamma", "Laplace", "MultivariateNormal", "Normal")
_COMPARED = frozenset(f"{PACKAGE}{name}" for name in (*_SINGLE, "Independent"))
"""Distributions of which two of one class are broadcast against one another."""


def _divergence_of(one: object, two: object) -> tuple[Shape, str | None]:
    first, second = parts(one), parts(two)
    if not isinstance(one, Built) or not isinstance(two, Built) or one.cls != two.cls or one.cls not in _COMPARED:
        raise Unsure
    if one.cls == f"{PACKAGE}Independent":
        count, other = (Given(each.given).integer("reinterpreted_batch_ndims") for each in (one, two))
        if count != other:
            raise Unsure
        inner, dtype = _divergence_of(one.given["base_distribution"], two.given["base_distribution"])
        return ending(inner, count), dtype
    over = [_over(one), _over(two)]
    if any(same(here, there) is False for here, there in zip(*over, strict=True)):
        raise Unsure
    dtype = first.dtype if first.dtype == second.dtype else None
    return broadcast(first.batch, second.batch), dtype


def _over(distribution: Built) -> tuple[Dim, ...]:
    """The sizes that two distributions share beside those of their batches: of one event, or the number of classes."""
    if distribution.cls != f"{PACKAGE}Categorical":
        return parts(distribution).event
    return ((_parameters(Given(distribution.given), "Categorical")[0].shape or ANY_SHAPE).at(-1),)


# --- rows ---

_PATHWISE = (
    "Beta Cauchy Dirichlet Exponential Gamma Gumbel HalfNormal Independent Laplace LogNormal MultivariateNormal Normal StudentT"
    " Uniform"
)
_ALL = " ".join(PARAMETERS)
_WITH_ENTROPY = " ".join(name for name in PARAMETERS if name != "Poisson")
_SELF = ("self",)

_MEMBERS: dict[str, tuple[str, Transfer]] = {
    "sample": (_ALL, Transfer(("self", "sample_shape"), _drawn)),
    "rsample": (_PATHWISE, Transfer(("self", "sample_shape"), _drawn)),
    "log_prob": (_ALL, Transfer(("self", "value"), _weighed)),
    "cdf": ("Cauchy Exponential HalfNormal Laplace LogNormal Normal Uniform", Transfer(("self", "value"), _weighed)),
    "entropy": (_WITH_ENTROPY, Transfer(_SELF, _of_batch)),
    "mean variance stddev": (_ALL, Transfer(_SELF, _of_draw)),
    "mode": ("Bernoulli Categorical Independent Laplace LogNormal Normal OneHotCategorical", Transfer(_SELF, _most_likely)),
    "batch_shape": (_ALL, Transfer(_SELF, _batch_shape)),
    "event_shape": (_ALL, Transfer(_SELF, _event_shape)),
    "probs logits": (" ".join(sorted(_LOGITS)), Transfer(_SELF, _of_classes)),
    "loc": ("Cauchy Gumbel Laplace LogNormal MultivariateNormal Normal StudentT", Transfer(_SELF, _of_draw)),
    "scale": ("Cauchy Gumbel HalfNormal Laplace LogNormal Normal StudentT", Transfer(_SELF, _of_draw)),
    "low high": ("Uniform", Transfer(_SELF, _of_draw)),
    "rate": ("Exponential Gamma Poisson", Transfer(_SELF, _of_draw)),
    "concentration": ("Dirichlet Gamma", Transfer(_SELF, _of_draw)),
    "concentration0 concentration1": ("Beta", Transfer(_SELF, _of_draw)),
    "covariance_matrix precision_matrix scale_tril": ("MultivariateNormal", Transfer(_SELF, _matrix)),
}
"""Methods and attributes, and the distributions that have them."""

ATTRIBUTES = frozenset(name for names, (_, row) in _MEMBERS.items() if row.params == _SELF for name in names.split()) - {
    "entropy"
}


def _rows() -> Iterator[tuple[str, Transfer]]:
    for name, params in PARAMETERS.items():
        yield f"{PACKAGE}{name}", Transfer(params, _constructor(name))
    for members, (classes, row) in _MEMBERS.items():
        yield from ((f"{PACKAGE}{name}.{member}", row) for name in classes.split() for member in members.split())
    yield DIVERGENCE, Transfer(("p", "q"), _divergence)


ROWS: dict[str, Transfer] = dict(_rows())
