"""jaxtyping + beartype is the oracle: the generated checkers give the same verdict on random annotations and shapes."""

from __future__ import annotations

from typing import Any

import torch
from beartype import beartype
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Bool, Float, Float32, Int, Integer, Num, Shaped, jaxtyped
from torch import Tensor

from mldbg.contracts import ContractError, contract
from mldbg.contracts.decorator import build

FAMILIES: list[Any] = [Float, Float32, Int, Integer, Num, Shaped, Bool]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]

sizes = st.integers(0, 3)
plain_axes = st.sampled_from(["a", "b", "c", "_", "_x", "1", "2", "3", "n=2", "#a", "#b", "#2"])
late_axes = st.sampled_from(["a+b", "2*a", "#a+1", "a//1", "max(a,b)", "{self.k}", "{self.k}*a", "{other.shape[0]}"])
several_axes = st.sampled_from(["...", "*r", "*#r", "#*r", "*s", "_*q"])


@st.composite
def shapes(draw: st.DrawFn, *, late: bool) -> str:
    words = draw(st.lists(plain_axes | late_axes if late else plain_axes, max_size=3))
    if draw(st.booleans()):
        words.insert(draw(st.integers(0, len(words))), draw(several_axes))
    return " ".join(words)


@st.composite
def hints_(draw: st.DrawFn, *, late: bool) -> Any:
    family = draw(st.sampled_from(FAMILIES) if draw(st.integers(0, 3)) == 0 else st.just(Float))
    annotation = family[Tensor, draw(shapes(late=late))]
    match draw(st.integers(0, 5)):
        case 0:
            return annotation | None
        case 1:
            return annotation | Float[Tensor, draw(shapes(late=False))]
        case _:
            return annotation


@st.composite
def values(draw: st.DrawFn) -> Any:
    if draw(st.integers(0, 12)) == 0:
        return None
    dtype = draw(st.sampled_from(DTYPES) if draw(st.integers(0, 4)) == 0 else st.just(torch.float32))
    return torch.zeros(draw(st.lists(sizes, max_size=4)), dtype=dtype)


class Owner:
    k = 2


def verdict(function: Any, *args: Any) -> str:
    try:
        function(*args)
    except ContractError:
        return "refused"
    except Exception as error:
        if type(error).__module__.startswith("jaxtyping"):
            return "refused"
        raise
    return "accepted"


def unbound(error: ValueError) -> bool:
    """jaxtyping finds out about a name without a size in a call, the generator when it writes the checker."""
    return "which no earlier annotation provides" in str(error)


@settings(max_examples=400, deadline=None)
@given(
    hints=st.tuples(hints_(late=False), hints_(late=True), hints_(late=True)),
    calls=st.lists(st.tuples(values(), values(), values()), min_size=8, max_size=8),
)
def test_same_verdict_as_jaxtyping_and_beartype(hints: tuple[Any, ...], calls: list[tuple[Any, ...]]) -> None:
    def function(self: Owner, other: Any, x: Any, result: Any) -> Any:
        return result

    function.__annotations__ = dict(zip(("other", "x", "return"), hints, strict=True))
    try:
        checked = build(function, function.__annotations__)
    except ValueError as error:
        if not unbound(error):
            raise
        return
    oracle = jaxtyped(typechecker=beartype)(function)
    for other, x, result in calls:
        args = (torch.zeros(2) if other is None or other.ndim == 0 else other, x, result)
        assert verdict(checked, Owner(), *args) == verdict(oracle, Owner(), *args), (hints, args)


near = st.tuples(sizes, sizes, sizes).flatmap(
    lambda abc: st.tuples(
        st.just(abc),
        st.sampled_from([(0, 1), (0, 2), (1, 2), (0, 0)]),
        st.sampled_from([(0, 1), (1, 0), (2, 1)]),
        st.integers(0, 9),
    )
)


@settings(max_examples=300, deadline=None)
@given(case=near, broadcast=st.booleans())
def test_same_verdict_where_most_shapes_fit(case: Any, broadcast: bool) -> None:
    """Random shapes rarely fit; here they are made from the names and only sometimes changed."""
    extents, first, second, change = case
    mark = "#" if broadcast else ""
    names = "abc"
    hints = {
        "x": Float[Tensor, " ".join(names[i] for i in first)],
        "y": Float[Tensor, " ".join(mark + names[i] for i in second) + " ..."],
        "return": Float[Tensor, "*r " + names[first[0]]],
    }
    x = torch.zeros([extents[i] for i in first])
    y_shape = [extents[i] for i in second] + [4]
    if change == 0:
        y_shape[0] += 1
    if change == 1:
        y_shape[0] = 1
    result = torch.zeros([7, extents[first[0]] + (change == 2)])

    def function(x: Any, y: Any, result: Any) -> Any:
        return result

    function.__annotations__ = hints
    checked, oracle = build(function, hints), jaxtyped(typechecker=beartype)(function)
    assert verdict(checked, x, torch.zeros(y_shape), result) == verdict(oracle, x, torch.zeros(y_shape), result)


def test_the_oracle_can_disagree() -> None:
    """A checker that accepts everything would not pass the tests above."""

    def function(x: Any) -> Any:
        return x

    function.__annotations__ = {"x": Float[Tensor, "a b"]}
    assert verdict(function, torch.zeros(2)) != verdict(jaxtyped(typechecker=beartype)(function), torch.zeros(2))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(sizes, min_size=2, max_size=2), min_size=1, max_size=4))
def test_a_list_is_checked_like_as_many_parameters(shapes_: list[list[int]]) -> None:
    @contract
    def together(xs: list[Float[Tensor, "a b"]]) -> None:
        return None

    names = [f"x{index}" for index in range(len(shapes_))]
    scope: dict[str, Any] = {}
    exec(f"def apart({', '.join(names)}): return None", scope)
    scope["apart"].__annotations__ = dict.fromkeys(names, Float[Tensor, "a b"])
    oracle = jaxtyped(typechecker=beartype)(scope["apart"])
    tensors = [torch.zeros(shape) for shape in shapes_]
    assert verdict(together, tensors) == verdict(oracle, *tensors)
