"""What holds tensors is checked by straight lines: with the verdicts of jaxtyping + beartype, in eager and in compiled code."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from typing import Any, NamedTuple, NotRequired, Protocol, TypedDict

import pytest
import torch
from beartype import beartype
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float, Int, jaxtyped
from torch import Tensor

from mldbg import contracts
from mldbg.contracts import ClassIds, ContractError, Probs, below, check, contract
from mldbg.contracts.decorator import build

axes = st.sampled_from(["a", "b", "c", "a b", "b a", "#a b", "*r a", "...", "a 2", "_ b", "a+1", "b a*2"])
sizes = st.integers(1, 3)


@dataclass(frozen=True)
class Part:
    """An annotation with a value for it, and the tensors inside: what jaxtyping has to say of each."""

    hint: Any
    value: Any
    leaves: tuple[tuple[Any, Any], ...]


@st.composite
def tensors(draw: st.DrawFn, hint: Any) -> Part:
    dtype = torch.int64 if draw(st.integers(0, 9)) == 0 else torch.float32
    value = None if draw(st.integers(0, 9)) == 0 else torch.zeros(draw(st.lists(sizes, max_size=2)), dtype=dtype)
    return Part(hint, value, ((hint, value),))


@st.composite
def leaf_hints(draw: st.DrawFn) -> Any:
    hint = Float[Tensor, draw(axes)]
    return draw(st.sampled_from([hint, hint, hint | None, hint | Int[Tensor, "a"]]))


def of(generic: Any, *arguments: Any) -> Any:
    return generic[arguments]


def made(cls: Any, values: list[Any], leaves: tuple[tuple[Any, Any], ...]) -> Part:
    return Part(cls, cls(*values), leaves)


@st.composite
def parts(draw: st.DrawFn, depth: int = 2) -> Part:
    kind = draw(st.sampled_from(["tensor", "tuple", "many", "list", "dict", "named", "data", "typed"] if depth else ["tensor"]))
    if kind == "tensor":
        return draw(tensors(draw(leaf_hints())))
    if kind in ("many", "list", "dict"):  # all elements have one annotation
        hint = draw(leaf_hints())
        inside = draw(st.lists(tensors(hint), max_size=3))
    else:
        inside = draw(st.lists(parts(depth - 1), min_size=1, max_size=3))
        hint = None
    leaves = tuple(leaf for part in inside for leaf in part.leaves)
    values = [part.value for part in inside]
    names = [f"f{index}" for index in range(len(inside))]
    hints = [part.hint for part in inside]
    match kind:
        case "tuple":
            return Part(of(tuple, *hints), tuple(values), leaves)
        case "many":
            return Part(of(tuple, hint, ...), tuple(values), leaves)
        case "list":
            return Part(of(draw(st.sampled_from([list, Sequence, Iterable])), hint), values, leaves)
        case "dict":
            return Part(of(draw(st.sampled_from([dict, Mapping])), int, hint), dict(enumerate(values)), leaves)
        case "named":
            return made(NamedTuple("Named", list(zip(names, hints, strict=True))), values, leaves)
        case "data":
            return made(make_dataclass("Data", list(zip(names, hints, strict=True))), values, leaves)
        case _:
            keyed: Any = TypedDict("Keyed", dict(zip(names, hints, strict=True)))  # type: ignore[misc]
            return Part(keyed, dict(zip(names, values, strict=True)), leaves)


def verdict(function: Callable[..., Any], *args: Any) -> str:
    try:
        function(*args)
    except (ContractError, NameError):  # jaxtyping's word for an axis whose names have no size
        return "refused"
    except Exception as error:
        if type(error).__module__.startswith("jaxtyping"):
            return "refused"
        raise
    return "accepted"


def flat(leaves: Sequence[tuple[Any, Any]], result: Sequence[tuple[Any, Any]]) -> Any:
    """A function with one parameter for each tensor, and the tensors of the result in a tuple, of which beartype looks at all."""
    scope: dict[str, Any] = {"result": tuple(value for _, value in result)}
    names = [f"x{index}" for index in range(len(leaves))]
    exec(f"def function({', '.join(names)}): return result", scope)
    function = scope["function"]
    function.__annotations__ = {name: hint for name, (hint, _) in zip(names, leaves, strict=True)}
    if result:
        function.__annotations__["return"] = of(tuple, *(hint for hint, _ in result))
    return jaxtyped(typechecker=beartype)(function)


@settings(max_examples=300, deadline=None)
@given(one=parts(), two=parts(), result=parts())
def test_same_verdict_as_for_each_tensor_by_itself(one: Part, two: Part, result: Part) -> None:
    def function(x: Any, y: Any) -> Any:
        return result.value

    hints = {"x": one.hint, "y": two.hint, "return": result.hint}
    try:
        checked = build(function, hints)
    except ValueError as error:
        if "which no earlier annotation provides" not in str(error):
            raise
        return
    leaves = (*one.leaves, *two.leaves)
    assert verdict(checked, one.value, two.value) == verdict(flat(leaves, result.leaves), *(value for _, value in leaves)), hints


def test_the_oracle_refuses_and_accepts() -> None:
    leaf = (Float[Tensor, "a"], torch.zeros(2))
    other = (Float[Tensor, "a"], torch.zeros(3))
    assert verdict(flat([leaf, leaf], [leaf]), leaf[1], leaf[1]) == "accepted"
    assert verdict(flat([leaf, leaf], [other]), leaf[1], leaf[1]) == "refused"


class Two(NamedTuple):
    a: Float[Tensor, "b d"]
    b: Float[Tensor, "b d"] | None


@dataclass
class Both:
    a: Float[Tensor, "b d"]
    b: Probs[Tensor, "b d"]
    rest: list[Float[Tensor, "b"]] = field(default_factory=list)


class Keyed(TypedDict):
    a: Float[Tensor, "b d"]
    b: NotRequired[Float[Tensor, "b"]]


STRAIGHT = [
    tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]],
    tuple[Float[Tensor, "b d"], int, str | None],
    tuple[Float[Tensor, "b d"], ...],
    list[Float[Tensor, "b d"]],
    list[Float[Tensor, "b d"] | None],
    dict[str, Float[Tensor, "b d"]],
    Two,
    Both,
    Keyed,
    Sequence[Two],
    list[tuple[Two, ...]] | None,
    Iterable[dict[str, list[Probs[Tensor, "b d"]]]],
]


@pytest.mark.parametrize("hint", STRAIGHT)
def test_nothing_of_these_is_left_to_the_walk(hint: Any) -> None:
    def passed(x: Any) -> Any:
        return x

    passed.__annotations__ = {"x": hint, "return": hint}
    checked: Any = contract(passed)
    assert "judge(" not in checked.__contract__.source


class Shaped(Protocol):
    shape: Any


def test_alternatives_and_protocols_are_left_to_the_walk_in_the_middle_of_lines() -> None:
    @contract
    def passed(
        x: list[tuple[Float[Tensor, "b d"], Float[Tensor, "d"] | Float[Tensor, "b d"], Shaped]], y: Float[Tensor, "d"]
    ) -> list[Float[Tensor, "b"] | Float[Tensor, "d b"]]:
        return [y]

    source: Any = passed
    assert source.__contract__.source.count("judge(") == 3
    x, y = torch.zeros(2, 3), torch.zeros(3)
    with pytest.raises(ContractError) as caught:
        passed([(x, y, x), (x, x, x)], y)
    assert caught.value.violation.parameter == "return[0]"
    with pytest.raises(ContractError, match=r"passed: x\[1\]\[1\]"):
        passed([(x, y, x), (x, torch.zeros(2), x)], y)
    with pytest.raises(ContractError, match="passed: y"):
        passed([(x, y, x)], torch.zeros(2))


P, Q = torch.full((2, 4), 0.25), torch.full((2, 4), 0.5)
ROW = torch.zeros(2)


@contract
def everything(
    pair: tuple[Float[Tensor, "b d"], Probs[Tensor, "b d"]],
    many: tuple[Probs[Tensor, "b d"] | None, ...],
    both: Both,
    two: Two | None,
    table: dict[str, list[Probs[Tensor, "b d"]]],
    keyed: Keyed,
) -> tuple[Probs[Tensor, "b d"], ClassIds[Tensor, "n", below("n")]]:
    return pair[1], torch.arange(3 + int(len(many) == 0))


def given_(**changed: Any) -> dict[str, Any]:
    usual = {"pair": (P, P), "many": (P, None), "both": Both(P, P), "two": None, "table": {"k": [P]}, "keyed": {"a": P}}
    return usual | changed


WRONG = [
    ({"pair": (P, Q)}, "pair[1]"),
    ({"pair": (P, ROW)}, "pair[1]"),
    ({"pair": [P, P]}, "pair"),
    ({"many": (P, None, Q)}, "many[2]"),
    ({"many": (P, ROW)}, "many[1]"),
    ({"both": Both(P, Q)}, "both.b"),
    ({"both": Both(P, P, [ROW, P])}, "both.rest[1]"),
    ({"two": Two(P, ROW)}, "two.b"),
    ({"two": (P, P)}, "two"),
    ({"table": {"k": [P], "l": [P, Q]}}, "table['l'][1]"),
    ({"table": {"k": [P, ROW]}}, "table['k'][1]"),
    ({"keyed": {"a": P, "b": P}}, "keyed['b']"),
    ({"keyed": {"b": ROW}}, "keyed"),
]


def test_what_fits_passes() -> None:
    everything(**given_())
    everything(**given_(many=(), both=Both(P, P, [ROW]), two=Two(P, None), keyed={"a": P, "b": ROW}))


@pytest.mark.parametrize(("changed", "path"), WRONG)
def test_errors_name_the_element(changed: dict[str, Any], path: str) -> None:
    with pytest.raises(ContractError) as caught:
        everything(**given_(**changed))
    assert caught.value.violation.parameter == path


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_what_fits_passes_in_one_graph(backend: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(everything, backend=backend, fullgraph=True)
    compiled(**given_())
    compiled(**given_(two=Two(P, None), both=Both(P, P, [ROW])))


@pytest.mark.parametrize(("changed", "path"), WRONG)
def test_errors_name_the_element_in_compiled_code(changed: dict[str, Any], path: str) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(everything, backend="eager")
    with pytest.raises(ContractError) as caught:
        compiled(**given_(**changed))
    of_values = "class axis" in str(caught.value)  # compiled code keeps the parameter of a value, and no more
    assert caught.value.violation.parameter == (path.partition("[")[0].partition(".")[0] if of_values else path)


def test_a_loop_over_elements_gives_axes_their_sizes() -> None:
    @contract
    def passed(xs: list[Float[Tensor, "n"]], y: Float[Tensor, "n"] | None = None) -> Float[Tensor, "n"]:
        return check(torch.zeros(3), Float[Tensor, "n"])

    passed([])  # nothing gives n a size before the body does
    passed([torch.zeros(3), torch.zeros(3)])
    with pytest.raises(ContractError, match=r"passed: xs\[1\]"):
        passed([torch.zeros(3), torch.zeros(4)])
    with pytest.raises(ContractError, match="passed: y"):
        passed([torch.zeros(3)], torch.zeros(4))
    with pytest.raises(ContractError, match="check"):
        passed([torch.zeros(4)])


def test_an_axis_without_a_size_is_refused_where_it_is_read() -> None:
    @contract
    def passed(xs: list[Float[Tensor, "n+1"]], y: Float[Tensor, "n"]) -> None:
        return None

    passed([], torch.zeros(2))
    with pytest.raises(ContractError, match="needs the size of n"):
        passed([torch.zeros(3)], torch.zeros(2))


def test_names_of_parameters_do_not_get_in_the_way() -> None:
    @contract
    def passed(
        getattr: Both,  # noqa: A002
        enumerate: list[Probs[Tensor, "b d"]],  # noqa: A002
        unset: Two,
        part_0_a: Float[Tensor, "b d"],
    ) -> None:
        return None

    passed(Both(P, P), [P], Two(P, P), P)
    with pytest.raises(ContractError, match=r"passed: enumerate\[1\]"):
        passed(Both(P, P), [P, Q], Two(P, P), P)


ODD = "a{b}'\"$c.0"
Odd = TypedDict("Odd", {"a{b}'\"$c.0": Probs[Tensor, "b d"]})


def test_keys_that_are_no_names_stand_in_the_path() -> None:
    @contract
    def passed(x: Odd, y: dict[str, Probs[Tensor, "b d"]]) -> None:
        return None

    values: Any = {ODD: P}
    passed(values, {"{$k}": P})
    with pytest.raises(ContractError) as caught:
        passed({ODD: Q}, {})  # type: ignore[misc]
    assert caught.value.violation.parameter == f"x[{ODD!r}]"
    with pytest.raises(ContractError) as caught:
        passed(values, {"{$k}": Q})
    assert caught.value.violation.parameter == "y['{$k}']"


def test_a_field_that_is_not_set_is_passed_over() -> None:
    @dataclass
    class Slow:
        a: Float[Tensor, "n"]
        b: Float[Tensor, "n"] = field(init=False)

    @contract
    def passed(x: Slow, y: Float[Tensor, "n"]) -> None:
        return None

    slow = Slow(torch.zeros(2))
    passed(slow, torch.zeros(2))
    slow.b = torch.zeros(3)
    with pytest.raises(ContractError, match=r"passed: x\.b"):
        passed(slow, torch.zeros(2))


def test_what_is_used_up_is_left_alone() -> None:
    @contract
    def passed(x: Iterable[Float[Tensor, "n"]]) -> list[Tensor]:
        return list(x)

    assert len(passed(iter([torch.zeros(2), torch.zeros(3)]))) == 2
    with contracts.mode("shapes"), pytest.raises(ContractError, match=r"x\[1\]"):
        passed([torch.zeros(2), torch.zeros(3)])
