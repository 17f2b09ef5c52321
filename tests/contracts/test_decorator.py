"""What `@contract` takes, how it refuses, and what its errors say, word for word."""

from __future__ import annotations

import asyncio
import inspect
import traceback
import typing
import warnings
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, cast

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int, jaxtyped
from torch import Tensor, nn

import mldbg
from mldbg import contracts
from mldbg.contracts import (
    ClassIds,
    ContractError,
    ContractWarning,
    Logits,
    Probs,
    ScalarLoss,
    TokenIds,
    along,
    attach,
    below,
    check,
    contract,
    ignoring,
)
from mldbg.contracts.foreign import UncheckedInCompiledCode

if TYPE_CHECKING:
    from decimal import Decimal as Elsewhere


def text_of(error: ContractError) -> str:
    """The message without the place, which is a path of this machine."""
    return "\n".join(line for line in str(error).splitlines() if not line.startswith("  contract "))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.d, self.encoder, self.head = 8, nn.Linear(8, 6), nn.Linear(6, 5)

    @contract
    def forward(
        self, x: Float[Tensor, "batch {self.d}"], y: Int[Tensor, "batch"] | None = None
    ) -> Logits[Tensor, "batch classes"]:
        h = check(self.encoder(x), Float[Tensor, "batch hidden"])
        return self.head(h)


def test_a_module_that_keeps_its_contract() -> None:
    assert Classifier()(torch.randn(4, 8), torch.zeros(4, dtype=torch.int64)).shape == (4, 5)


def test_wrong_size_of_an_attribute() -> None:
    with pytest.raises(ContractError) as caught:
        Classifier()(torch.randn(4, 9))
    assert text_of(caught.value) == (
        "Classifier.forward: x\n"
        '  expected  Float[Tensor, "batch {self.d}"] with {self.d} = 8\n'
        "  actual    float32 (4, 9)\n"
        "  axis      axis 1 ({self.d})\n"
        "  cause     the tensor has 9 along this axis\n"
        "  do        make the size of axis 1 of x 8, or rename the axis if it need not agree"
    )


class Short:
    """Its annotations read what it does not have."""

    @contract
    def axis(self, x: Float[Tensor, "batch {self.d}"]) -> None: ...

    @contract
    def result(self, x: Float[Tensor, "batch"]) -> Float[Tensor, "2*{self.d}"]:
        return x

    @contract
    def inside(self, x: list[Float[Tensor, "batch #{self.d}"]]) -> None: ...

    @contract
    def bound(self, x: TokenIds[Tensor, "batch", below("{self.d}")]) -> None: ...

    @contract
    def bound_inside(self, x: tuple[TokenIds[Tensor, "batch", below("{self.d}")]]) -> None: ...

    @contract
    def inline(self, x: Float[Tensor, "..."]) -> None:
        check(x, Float[Tensor, "{self.d}"], "x")


IDS = torch.zeros(2, dtype=torch.int64)
NOT_THERE = "cannot be computed: AttributeError: 'Short' object has no attribute 'd'"


@pytest.mark.parametrize(
    ("name", "value", "parameter"),
    [
        ("axis", torch.zeros(2, 3), "x"),
        ("result", torch.zeros(2), "return"),
        ("inside", [torch.zeros(2, 1), torch.zeros(2, 3)], "x[1]"),
        ("bound", IDS, "x"),
        ("bound_inside", (IDS,), "x[0]"),
        ("inline", torch.zeros(2), "x"),
    ],
)
def test_an_attribute_that_is_not_there(name: str, value: Any, parameter: str) -> None:
    with pytest.raises(ContractError, match=NOT_THERE) as caught:
        getattr(Short(), name)(value)
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(("name", "value"), [("axis", torch.zeros(2, 3)), ("result", torch.zeros(2)), ("bound", IDS)])
def test_an_attribute_that_is_not_there_in_compiled_code(name: str, value: Tensor) -> None:
    torch._dynamo.reset()
    with pytest.raises(ContractError, match=NOT_THERE):
        cast("Any", torch.compile)(getattr(Short(), name), backend="eager")(value)


@pytest.mark.filterwarnings("ignore::mldbg.contracts.foreign.UncheckedInCompiledCode")
def test_an_attribute_that_is_not_there_for_jaxtyping() -> None:
    @contract
    def function(x: Float[np.ndarray, "{x.d}"]) -> None: ...

    with pytest.raises(ContractError, match=r"cannot check it: AttributeError: 'numpy\.ndarray' object has no attribute 'd'"):
        function(np.zeros(2))


def test_sizes_that_disagree_name_where_each_was_bound() -> None:
    @contract
    def matmul(a: Float[Tensor, "n k"], b: Float[Tensor, "k m"]) -> Float[Tensor, "n m"]:
        return a @ b

    with pytest.raises(ContractError) as caught:
        matmul(torch.zeros(2, 3), torch.zeros(2, 3))
    assert text_of(caught.value) == (
        "test_sizes_that_disagree_name_where_each_was_bound.matmul: b\n"
        '  expected  Float[Tensor, "k m"] with k = 3\n'
        "  actual    float32 (2, 3)\n"
        "  axis      axis 0 (k)\n"
        "  bound     n = 2 from a, axis 0, k = 3 from a, axis 1\n"
        "  given     a (2, 3), b (2, 3)\n"
        "  cause     2 is the size of n: axes may be swapped (transpose, permute or a wrong dim)\n"
        "  do        make the size of axis 0 of b 3, or rename the axis if it need not agree"
    )
    error = caught.value
    assert (error.contract.rpartition(".")[2], error.parameter, error.axis) == ("matmul", "b", "axis 0 (k)")
    assert [(binding.name, binding.size, binding.where) for binding in error.bindings] == [
        ("n", 2, "a, axis 0"),
        ("k", 3, "a, axis 1"),
    ]
    assert error.place.startswith(__file__)


def test_wrong_rank_and_wrong_dtype() -> None:
    with pytest.raises(ContractError) as caught:
        Classifier()(torch.randn(8))
    assert text_of(caught.value) == (
        "Classifier.forward: x\n"
        '  expected  Float[Tensor, "batch {self.d}"], 2 axes\n'
        "  actual    float32 (8,)\n"
        "  cause     an axis is missing: perhaps one sample was passed without a batch axis, or a reduction dropped one"
    )
    with pytest.raises(ContractError) as caught:
        Classifier()(torch.zeros(4, 8, dtype=torch.int64))
    assert text_of(caught.value) == (
        "Classifier.forward: x\n"
        '  expected  Float[Tensor, "batch {self.d}"], a dtype from the Float family\n'
        "  actual    int64 (4, 8)\n"
        "  do        convert it first, or use an annotation for the family of int64"
    )


def test_a_result_that_is_no_probability() -> None:
    @contract
    def predict(x: Float[Tensor, "batch classes"]) -> Probs[Tensor, "batch classes"]:
        return x

    with pytest.raises(ContractError) as caught:
        predict(torch.tensor([[-1.0, 3.0], [2.0, 0.5]]))
    lines = text_of(caught.value).splitlines()
    assert lines[0] == "test_a_result_that_is_no_probability.predict: the result"
    assert lines[1] == (
        "  expected  probabilities: every value in [0, 1], and the values along the class axis sum to 1 "
        '[Probs[Tensor, "batch classes"]]'
    )
    assert lines[2].startswith("  actual    float32 (2, 2): negative values (check ")
    assert lines[3:] == [
        "  axis      axis 1 (the last) of (2, 2)",
        "  values    min -1, lowest row sum 2, highest row sum 2.5",
        "  cause     these look like logits: softmax was not applied",
        "  do        apply softmax, or annotate Logits",
    ]
    assert caught.value.statistics == {"min": -1.0, "lowest row sum": 2.0, "highest row sum": 2.5}


def test_inline_check_joins_the_scope_of_the_contract() -> None:
    @contract
    def function(x: Float[Tensor, "batch d"], how: int) -> Float[Tensor, "batch h"]:
        h = check(x[: 2 * how], Float[Tensor, "batch d"], "h")
        check(x[:, :2], Float[Tensor, "batch h"])
        return h[:, :how]

    assert function(torch.zeros(4, 3), 2).shape == (4, 2)
    with pytest.raises(ContractError, match=r"function: h\n(.|\n)*bound     batch = 4 from x, axis 0, d = 3 from x, axis 1"):
        function(torch.zeros(4, 3), 1)
    with pytest.raises(ContractError, match=r"function: the result\n(.|\n)*with h = 2"):
        function(torch.zeros(4, 3), 3)


def test_check_by_itself() -> None:
    x = torch.zeros(2, 3)
    assert check(x, Float[Tensor, "a b"]) is x
    check(torch.zeros(5, 5), Float[Tensor, "a b"])  # names of one check do not bind the next
    with pytest.raises(ContractError, match="check: scores"):
        check(x, Float[Tensor, "a a"], "scores")
    with pytest.raises(ContractError, match="probabilities"):
        check(x, Probs[Tensor, "a b"])
    with pytest.raises(TypeError, match="says nothing about a tensor"):
        check(x, int)


class Holder:
    n = 3

    @contract
    @staticmethod
    def first(x: Float[Tensor, "a a"]) -> None: ...

    @staticmethod
    @contract
    def second(x: Float[Tensor, "a a"]) -> None: ...

    @contract
    @classmethod
    def third(cls, x: Float[Tensor, "{cls.n}"]) -> None: ...

    @classmethod
    @contract
    def fourth(cls, x: Float[Tensor, "{cls.n}"]) -> None: ...

    @contract  # type: ignore[prop-decorator]
    @property
    def fifth(self) -> Float[Tensor, "{self.n}"]:
        return torch.zeros(self.n + (self.n > 3))


def test_static_methods_class_methods_and_properties() -> None:
    for method in (Holder.first, Holder.second, Holder().first):
        method(torch.zeros(2, 2))
        with pytest.raises(ContractError):
            method(torch.zeros(2, 3))
    for method in (Holder.third, Holder.fourth, Holder().third):
        method(torch.zeros(3))
        with pytest.raises(ContractError):
            method(torch.zeros(4))
    holder = Holder()
    assert holder.fifth.shape == (3,)
    holder.n = 4
    with pytest.raises(ContractError):
        _ = holder.fifth


def test_coroutines() -> None:
    @contract
    async def double(x: Float[Tensor, "n"], wrong: bool = False) -> Float[Tensor, "n"]:
        await asyncio.sleep(0)
        check(x, Float[Tensor, "n"])
        return x[1:] if wrong else 2 * x

    async def together() -> list[Tensor]:
        return await asyncio.gather(*(double(torch.zeros(size)) for size in (1, 2, 3)))

    assert [len(x) for x in asyncio.run(together())] == [1, 2, 3]
    assert inspect.iscoroutinefunction(double)
    with pytest.raises(ContractError, match="the result"):
        asyncio.run(double(torch.zeros(3), wrong=True))


def test_generators() -> None:
    @contract
    def rows(x: Float[Tensor, "n d"], wrong: bool = False) -> Iterator[Float[Tensor, "d"]]:
        for index, row in enumerate(x):
            check(row, Float[Tensor, "d"])
            received = yield row[1:] if wrong and index == 1 else row
            assert received is None

    assert len(list(rows(torch.zeros(3, 2)))) == 3
    assert inspect.isgeneratorfunction(rows)
    broken = rows(torch.zeros(3, 2), wrong=True)
    next(broken)
    with pytest.raises(ContractError, match="yield 2"):
        next(broken)


def test_generators_pass_on_what_is_sent_and_thrown() -> None:
    @contract
    def echo(x: Float[Tensor, "n"]) -> Iterator[Float[Tensor, "n"]]:
        sent: list[Any] = []
        try:
            while True:
                sent.append((yield x))
        except KeyError:
            sent.append("thrown")
        return sent  # type: ignore[return-value]

    steps: Any = echo(torch.zeros(2))
    next(steps)
    steps.send(1)
    with pytest.raises(StopIteration) as stop:
        steps.throw(KeyError())
    assert stop.value.value == [1, "thrown"]


def test_asynchronous_generators() -> None:
    @contract
    async def rows(x: Float[Tensor, "n d"], wrong: bool = False) -> AsyncIterator[Float[Tensor, "d"]]:
        for row in x:
            await asyncio.sleep(0)
            yield row[1:] if wrong else row

    async def collected(*args: Any) -> int:
        return len([row async for row in rows(*args)])

    assert asyncio.run(collected(torch.zeros(3, 2))) == 3
    with pytest.raises(ContractError, match="yield 1"):
        asyncio.run(collected(torch.zeros(3, 2), True))


@dataclass
class Batch:
    tokens: TokenIds[Tensor, "batch t", below(100)]
    mask: Float[Tensor, "batch t"] | None = None
    name: str = ""


class Pair(NamedTuple):
    left: Float[Tensor, "n"]
    right: Float[Tensor, "n"]


class Keys(TypedDict, total=False):
    x: Float[Tensor, "n"]


def test_containers_are_checked_to_the_last_element() -> None:
    @contract
    def function(
        batch: Batch,
        *xs: Float[Tensor, "batch"],
        table: dict[str, tuple[Float[Tensor, "t"], ...]] | None = None,
        pair: Pair | None = None,
        keys: Keys | None = None,
        **more: Float[Tensor, "batch"],
    ) -> tuple[Float[Tensor, "batch"], Float[Tensor, "t"]]:
        return torch.zeros(2), torch.zeros(3)

    good, ids = torch.zeros(2), torch.zeros(2, 3, dtype=torch.int64)
    three = torch.zeros(3)
    function(Batch(ids, torch.zeros(2, 3)), *[good] * 8, table={"a": (three,) * 4}, more=good)
    function(Batch(ids), pair=Pair(three, three), keys={"x": three})
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        (r"xs\[6\]", (Batch(ids), *[good] * 6, three), {}),
        (r"table\['a'\]\[2\]", (Batch(ids),), {"table": {"a": (three, three, good)}}),
        (r"batch\.mask", (Batch(ids, torch.zeros(3, 2)),), {}),
        (r"more\['z'\]", (Batch(ids),), {"z": three}),
        (r"pair\.right", (Batch(ids),), {"pair": Pair(three, good)}),
        (r"batch\.tokens", (Batch(ids + 100),), {}),
        (r"batch", (None,), {}),
    ]
    for path, args, named in cases:
        with pytest.raises(ContractError, match=rf"function: {path}"):
            function(*args, **named)


@pytest.mark.parametrize("family", [typing.Iterable, Iterable, typing.Reversible, typing.Collection])
def test_iterables_are_checked_to_the_last_element_unless_that_uses_them_up(family: Any) -> None:
    @contract
    def count(xs: family[Float[Tensor, "n"]]) -> int:
        return len(list(xs))

    right, wrong = torch.zeros(2), torch.zeros(3)
    assert count([right] * 8) == 8
    assert count({"a": right}.values()) == 1
    with pytest.raises(ContractError, match=r"count: xs\[6\]"):
        count([*[right] * 6, wrong])
    with pytest.raises(ContractError, match=r"count: xs\n(.|\n)*actual    int"):
        count(3)
    if family in (typing.Iterable, Iterable):
        assert count(iter([right, wrong])) == 2


@pytest.mark.parametrize("annotation", [typing.Generator[Float[Tensor, "n"], None, None], typing.Container[Float[Tensor, "n"]]])
@pytest.mark.filterwarnings("ignore::mldbg.contracts.foreign.UncheckedInCompiledCode")
def test_beartype_does_not_warn_about_spelling(annotation: Any) -> None:
    checked = contract(_annotated(annotation))
    with pytest.raises(ContractError):
        checked(3)


def test_unions_take_the_alternative_that_fits() -> None:
    @contract
    def function(x: Float[Tensor, "n"] | Int[Tensor, "n n"] | list[Float[Tensor, "n"]] | int) -> Float[Tensor, "n"]:
        return torch.zeros(2)

    for good in (torch.zeros(2), torch.zeros(2, 2, dtype=torch.int64), [torch.zeros(2)], 3):
        function(good)
    for bad in (torch.zeros(2, 2), torch.zeros(2, 3, dtype=torch.int64), [torch.zeros(2), torch.zeros(3)], "text", None):
        with pytest.raises(ContractError):
            function(bad)  # type: ignore[arg-type]


def test_parameters_of_every_kind_and_name() -> None:
    @contract
    def function(
        scope: Float[Tensor, "n"], /, level: Any = 1, *result: Any, outer: Float[Tensor, "n"], inner: Any = 2, **setting: Any
    ) -> Any:
        return level, result, inner, setting

    x = torch.zeros(2)
    assert function(x, outer=x) == (1, (), 2, {})
    assert function(x, 5, 6, outer=x, inner=7, broken=8) == (5, (6,), 7, {"broken": 8})
    with pytest.raises(TypeError, match="outer"):
        function(x)  # type: ignore[call-arg]


def test_what_says_nothing_about_tensors_is_left_alone() -> None:
    def function(x: int, y: list[str], z: Tensor) -> str:
        return ""

    with pytest.warns(ContractWarning, match="its annotations say nothing about the axes or values of tensors"):
        assert contract(function) is function

    @contract
    def other(x: int, y: Float[Tensor, "n"]) -> str:
        return x  # type: ignore[return-value]

    assert other("no int", torch.zeros(2)) == "no int"  # type: ignore[arg-type]


def test_numpy_arrays_are_left_to_jaxtyping_and_beartype() -> None:
    with pytest.warns(UncheckedInCompiledCode, match="checked by jaxtyping and beartype"):

        @contract
        def function(x: Float[Tensor, "n d"], y: Float[np.ndarray, "n"]) -> None: ...

    function(torch.zeros(2, 3), np.zeros(2))
    with pytest.raises(ContractError, match="function: y"):
        function(torch.zeros(2, 3), np.zeros(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        @contract
        def again(x: Float[np.ndarray, "n"]) -> None: ...


def test_plain_jaxtyped_accepts_meanings() -> None:
    from beartype import beartype

    @jaxtyped(typechecker=beartype)
    def function(x: Logits[Tensor, "b c"], y: ClassIds[Tensor, "b", below("c")] | None = None) -> Probs[Tensor, "b c"]:
        return x.softmax(-1)

    function(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    with pytest.raises(Exception, match="parameter"):
        function(torch.zeros(3))


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ('Float[Tensor, "batch {self.d"]', "expected '}' before end of string"),
        ('Float[Tensor, "batch {sel.d}"]', "{sel} in '{sel.d}' is not a parameter"),
        ('Float[Tensor, "batch 2*"]', "axis '2*' is not a name, a number or an expression"),
        ('Float[Tensor, "2*batch batch"]', "needs the size of 'batch', which no earlier annotation provides"),
        ('Probs[Tensor, "batch classes", along("class")]', "along('class') does not name one of its axes"),
        ('Probs[Tensor, ""]', "its law is about an axis, but there is none"),
        ('ScalarLoss[Tensor, "batch"]', 'ScalarLoss[..., "batch"]: its law is about a single number, so its shape must be ""'),
        ('ScalarLoss[Tensor, "..."]', "its law is about a single number"),
        ('Probs[Tensor, "batch classes", below(3)]', "only ids have a bound"),
        ('Probs[Tensor, "batch classes", 3]', "expected along(...), below(...) or ignoring(...) after the shape, not 3"),
        ('TokenIds[Tensor, "batch", ignoring(0)]', "only class ids can be ignored"),
        ('ClassIds[Tensor, "batch", below("klasses")]', "no axis is called 'klasses'"),
        ('ClassIds[Tensor, "batch", along("batch")]', "its law is about each value by itself"),
        ("Probs[Tensor]", 'needs a tensor type and a shape: Probs[Tensor, "batch d"]'),
        ("Flaot[Tensor, 'batch']", "name 'Flaot' is not defined"),
    ],
)
def test_bad_annotations_are_refused_at_decoration(annotation: str, message: str) -> None:
    names = {"Float": Float, "Tensor": Tensor, "Probs": Probs, "ClassIds": ClassIds, "along": along, "below": below}
    names |= {"ScalarLoss": ScalarLoss, "TokenIds": TokenIds, "ignoring": ignoring}
    exec(f"from __future__ import annotations\ndef function(self, x: {annotation}): pass", names)
    with pytest.raises((TypeError, ValueError)) as caught:
        contract(cast("Any", names["function"]))
    assert message in str(caught.value)


def test_bad_use_is_refused() -> None:
    with pytest.raises(ValueError, match=r"unknown contract mode 'ful'; the modes are off, shapes, sampled, full, sync"):
        contract(mode="ful")(lambda x: x)
    with pytest.raises(TypeError, match="applies to functions"):
        contract(cast("Any", 3))
    with pytest.raises(TypeError, match=r"is an annotation|not callable"):
        Probs()  # type: ignore[operator]


def _annotated(annotation: object) -> Any:
    def function(x: Any) -> None: ...

    function.__annotations__ = {"x": annotation}
    return function


class State:
    """Its methods name it, and a class that exists for type checkers only, before either can be looked up."""

    @contract
    def joined(self, other: State, x: Float[Tensor, "n"], given: Elsewhere | None = None) -> tuple[State, Float[Tensor, "n"]]:
        return other, x


def test_names_that_are_unknown_at_run_time_do_no_harm() -> None:
    state = State()
    assert state.joined(state, torch.ones(2))[0] is state
    with pytest.raises(ContractError, match=r"State\.joined: x"):
        state.joined(state, torch.ones(2, 2))


@pytest.mark.parametrize(
    "annotation",
    [
        'Flaot[Tensor, "n"]',
        "dict[str, Flaot[Tensor, 'n']]",
        "list[\"Flaot[Tensor, 'n']\"]",
    ],
)
def test_an_unknown_name_beside_a_shape_is_an_error(annotation: object) -> None:
    with pytest.raises(TypeError, match="cannot be evaluated: name 'Flaot' is not defined"):
        contract(_annotated(annotation))


Row = Float[Tensor, "n"]


def test_what_is_no_annotation_is_refused() -> None:
    with pytest.raises(TypeError, match=r"x: Probs needs a tensor type and a shape"):
        contract(_annotated(Probs))
    with pytest.raises(TypeError, match=r"x: Float needs a tensor type and a shape"):
        contract(_annotated(Float))
    with pytest.raises(TypeError, match="needs its shape as a string"):
        cast("Any", Probs)[Tensor, 3]
    with pytest.raises(TypeError, match=r"an integer or an expression of axis names, not 3\.5"):
        below(cast("Any", 3.5))
    with pytest.raises(TypeError, match=r"ignoring\(\) takes an integer, not '255'"):
        ignoring(cast("Any", "255"))
    with pytest.raises(ValueError, match=r"below\(0\) leaves no valid id"):
        below(0)


def test_the_checker_can_be_read_and_shows_in_tracebacks() -> None:
    forward: Any = Classifier.forward
    source = forward.__contract__.source
    assert source.startswith("def forward(self, x, y=default_y):")
    assert "size_batch, axis_0_1 = shape_0" in source
    try:
        Classifier()(torch.randn(4, 9))
    except ContractError:
        assert "raise broken('x'" in traceback.format_exc()
    assert inspect.signature(Classifier.forward).parameters["y"].default is None
    assert forward.__name__ == "forward"
    assert forward.__doc__ is None


def test_names_of_the_package() -> None:
    assert mldbg.contract is contract
    assert mldbg.check is check
    assert mldbg.attach is attach
    assert mldbg.ContractError is ContractError
    with pytest.raises(AttributeError, match="has no attribute 'contrakt'"):
        _ = mldbg.contrakt
    assert contracts.mode is not None
