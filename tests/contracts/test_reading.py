"""A promise is kept or said: what annotations name, whenever it is defined, and what they hold, however deep."""

from __future__ import annotations

import asyncio
import inspect
import typing
import warnings
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    TypeVar,
    Union,
    cast,
)

import attrs
import pytest
import torch
import typing_extensions
from jaxtyping import Float, Int
from torch import Tensor, nn

from mldbg.contracts import ContractError, ContractWarning, Logits, Probs, check, contract

if TYPE_CHECKING:
    from decimal import Decimal

    from nowhere.at.all import Unknown  # type: ignore[import-not-found]

T = TypeVar("T")
B = TypeVar("B", bound="Below")
Vector = NewType("Vector", "Float[Tensor, 'n']")

right, wrong = torch.zeros(2), torch.zeros(2, 2)


def refused(call: Callable[[], object], parameter: str) -> None:
    with pytest.raises(ContractError) as caught:
        call()
    assert caught.value.parameter == parameter


# Classes that are defined below


@contract
def plain(x: Below) -> None: ...


@contract
def optional(x: Below | None = None) -> None: ...


@contract
def old_optional(x: Optional[Below], y: Union[int, Below] = 3) -> None: ...  # noqa: UP007, UP045


@contract
def listed(x: list[Below]) -> None: ...


@contract
def tabled(x: Mapping[str, Sequence[Below]]) -> None: ...


@contract
def in_a_tuple(x: tuple[Below, ...]) -> None: ...


@contract
def in_a_pair(x: tuple[int, Below]) -> None: ...


@contract
def annotated(x: Annotated[Below, "of importance"]) -> None: ...


@contract
def starred(*x: Below) -> None: ...


@contract
def named(**x: Below) -> None: ...


@contract
def nested(x: Below.Inner) -> None: ...


@contract
def nested_in_a_list(x: list[Below.Inner]) -> None: ...


@contract
def quoted(x: list["Below"]) -> None: ...


@contract
def keyed(x: KeysBelow) -> None: ...


@contract
def tupled(x: TupleBelow) -> None: ...


@contract
def aliased(x: Rows) -> None: ...


@contract
def a_field_of_a_field(x: Outer) -> None: ...


@contract
def bounded(x: B) -> B:
    return x


@contract
def of_a_generic(x: Box[Below]) -> None: ...


@contract
def generic_in_a_list(x: list[Box[Float[Tensor, "n"]]]) -> None: ...


@dataclass
class Below:
    x: Float[Tensor, "n"]

    @dataclass
    class Inner:
        x: Float[Tensor, "n"]


class KeysBelow(TypedDict):
    x: Float[Tensor, "n"]


class TupleBelow(NamedTuple):
    x: Float[Tensor, "n"]


@dataclass
class Outer:
    inner: Deeper


@dataclass
class Deeper:
    below: list[Below]


@dataclass
class Box(Generic[T]):
    content: T


Rows = list[Float[Tensor, "n"]]


@pytest.mark.parametrize(
    ("function", "holding", "place"),
    [
        (plain, Below, "x.x"),
        (optional, Below, "x.x"),
        (old_optional, Below, "x.x"),
        (listed, lambda x: [Below(right), Below(x)], "x[1].x"),
        (tabled, lambda x: {"a": [Below(right)], "b": (Below(right), Below(x))}, "x['b'][1].x"),
        (in_a_tuple, lambda x: (Below(right), Below(x)), "x[1].x"),
        (in_a_pair, lambda x: (1, Below(x)), "x[1].x"),
        (annotated, Below, "x.x"),
        (nested, Below.Inner, "x.x"),
        (nested_in_a_list, lambda x: [Below.Inner(x)], "x[0].x"),
        (quoted, lambda x: [Below(x)], "x[0].x"),
        (keyed, lambda x: {"x": x}, "x['x']"),
        (tupled, TupleBelow, "x.x"),
        (aliased, lambda x: [x], "x[0]"),
        (a_field_of_a_field, lambda x: Outer(Deeper([Below(right), Below(x)])), "x.inner.below[1].x"),
        (bounded, Below, "x.x"),
        (of_a_generic, lambda x: Box(Below(x)), "x.content.x"),
        (generic_in_a_list, lambda x: [Box(x)], "x[0].content"),
    ],
)
def test_classes_that_are_defined_below(function: Any, holding: Callable[[Tensor], Any], place: str) -> None:
    function(holding(right))
    refused(lambda: function(holding(wrong)), place)


def test_parameters_with_stars_of_classes_below() -> None:
    starred(Below(right), Below(right))
    refused(lambda: starred(Below(right), Below(wrong)), "x[1].x")
    named(a=Below(right))
    refused(lambda: named(a=Below(right), b=Below(wrong)), "x['b'].x")


def test_a_first_call_that_is_wrong_is_refused() -> None:
    @contract
    def function(x: Local) -> None: ...

    @dataclass
    class Local:
        x: Float[Tensor, "n"]

    refused(lambda: function(Local(wrong)), "x.x")


def test_after_the_first_call_it_is_a_contract_like_others() -> None:
    @contract
    def function(x: Local, y: Float[Tensor, "n"], /, *, z: int = 3) -> Float[Tensor, "n"]:
        """What it does."""
        return y + z

    @contract
    def other(x: Local, y: Float[Tensor, "n"], /, *, z: int = 3) -> Float[Tensor, "n"]:
        return y + z

    @dataclass
    class Local:
        x: Float[Tensor, "n"]

    entry: Any = function
    assert (entry.__name__, entry.__doc__) == ("function", "What it does.")
    assert list(inspect.signature(entry).parameters) == ["x", "y", "z"]
    assert entry.__contract__.source.startswith("def function(x, y, /, *, z=default_z):")
    assert entry.__contract__.source == cast("Any", contract(inspect.unwrap(entry))).__contract__.source
    assert function(Local(right), right).tolist() == [3, 3]
    code = entry.__code__
    assert function(Local(right), right, z=4).tolist() == [4, 4]
    assert entry.__code__ is code
    assert "ready" not in code.co_names
    refused(lambda: function(Local(right), torch.zeros(3)), "y")
    with pytest.raises(TypeError, match="positional"):
        other(x=Local(right), y=right)  # type: ignore[call-arg]


def test_coroutines_and_generators_of_classes_below() -> None:
    @contract
    async def waiting(x: Local) -> Float[Tensor, "n"]:
        await asyncio.sleep(0)
        return x.x

    @contract
    def giving(x: Local) -> Iterator[Float[Tensor, "n"]]:
        received: Any = yield x.x
        yield received

    @contract
    async def giving_later(x: Local) -> AsyncIterator[Float[Tensor, "n"]]:
        yield x.x

    @dataclass
    class Local:
        x: Float[Tensor, "n"]

    async def collected(x: Local) -> list[Tensor]:
        return [one async for one in giving_later(x)]

    assert inspect.iscoroutinefunction(waiting)
    assert inspect.isgeneratorfunction(giving)
    assert inspect.isasyncgenfunction(giving_later)
    for _ in range(2):
        assert asyncio.run(waiting(Local(right))) is right
        steps: Any = giving(Local(right))
        assert next(steps) is right
        refused(lambda steps=steps: steps.send(wrong), "yield 2")  # type: ignore[misc]
        assert asyncio.run(collected(Local(right)))[0] is right
        refused(lambda: asyncio.run(waiting(Local(wrong))), "x.x")
        refused(lambda: list(giving(Local(wrong))), "x.x")
        refused(lambda: asyncio.run(collected(Local(wrong))), "x.x")


class Store:
    """Its methods name it, what is inside it, and what is inside that."""

    @dataclass
    class Item:
        x: Float[Tensor, "n"]

        @contract
        def beside(self, other: Store.Item, one: Store.Last | None = None) -> Store.Item:
            return other

    def __init__(self, n: int = 2) -> None:
        self.n = n

    @contract
    def all(self, other: Store) -> list[Store.Item]:
        return [Store.Item(right), Store.Item(torch.zeros([2] * other.n))]

    @staticmethod
    @contract
    def static(x: Store.Item) -> None: ...

    @contract
    @classmethod
    def of_class(cls, x: Item) -> None: ...

    @contract  # type: ignore[prop-decorator]
    @property
    def first(self) -> Store.Last:
        return Store.Last(torch.zeros([2] * self.n))

    @dataclass
    class Last:
        x: Float[Tensor, "n"]


def test_names_inside_the_class_of_a_method() -> None:
    assert len(Store(1).all(Store(1))) == 2
    refused(lambda: Store().all(Store(2)), "return[1].x")
    refused(lambda: Store.static(Store.Item(wrong)), "x.x")
    refused(lambda: Store.of_class(Store.Item(wrong)), "x.x")
    refused(lambda: Store.Item(right).beside(Store.Item(wrong)), "other.x")
    refused(lambda: Store.Item(right).beside(Store.Item(right), Store.Last(wrong)), "one.x")
    refused(lambda: Store().first, "return.x")


class Older:
    """Stands for the class of the same name in a notebook whose cell is run again."""


def test_an_older_class_of_the_same_name_is_not_taken_for_the_new_one() -> None:
    names: dict[str, Any] = {"Float": Float, "Tensor": Tensor, "contract": contract}
    cell = (
        "from __future__ import annotations\n"
        "class Older:\n"
        "    @contract\n"
        "    def pair(self) -> tuple[Older, Float[Tensor, 'n']]:\n"
        "        return self, x\n"
    )
    for _ in range(2):
        exec(cell, names)
    names["x"] = right
    assert names["Older"]().pair()[1] is right


def test_classes_that_are_local() -> None:
    @dataclass
    class Leaf:
        x: Float[Tensor, "n"]

    class Holder:
        @contract
        def method(self, leaf: Leaf, branch: Branch | None = None) -> None: ...

        def later(self) -> Any:
            @contract
            def inner(holder: Holder, branch: Branch) -> None: ...

            return inner

    @dataclass
    class Branch:
        leaf: Leaf
        more: list[Leaf] = field(default_factory=list)

    refused(lambda: Holder().method(Leaf(wrong)), "leaf.x")
    refused(lambda: Holder().method(Leaf(right), Branch(Leaf(right), [Leaf(wrong)])), "branch.more[0].x")
    refused(lambda: Holder().later()(Holder(), Branch(Leaf(right), [Leaf(right), Leaf(wrong)])), "branch.more[1].x")


def test_the_frames_around_are_given_up_after_the_first_call() -> None:
    def made() -> tuple[Any, Any]:
        @contract
        def function(x: Local) -> None: ...

        @dataclass
        class Local:
            x: Float[Tensor, "n"]

        return function, Local

    function, Local = made()  # noqa: N806
    function(Local(right))
    refused(lambda: function(Local(wrong)), "x.x")
    assert all(type(value).__name__ != "Names" for value in vars(inspect.unwrap(function)).values())


def test_compiled_code_reads_them_at_its_first_call() -> None:
    @contract
    def function(batch: Local, scale: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
        return batch.x * scale

    class Model(nn.Module):
        @contract
        def forward(self, x: Float[Tensor, "n"], other: Model | None = None) -> Float[Tensor, "n"]:
            return 2 * x

    @dataclass
    class Local:
        x: Float[Tensor, "n"]

    for fullgraph in (False, True):
        torch._dynamo.reset()
        compiled = torch.compile(function, backend="eager", fullgraph=fullgraph)
        model: Any = torch.compile(Model(), backend="eager", fullgraph=fullgraph)
        for _ in range(2):
            assert compiled(Local(right + 1), right + 2).tolist() == [2, 2]
            assert model(right + 1).tolist() == [2, 2]
        with pytest.raises(Exception, match=r"expected|broken"):
            compiled(Local(right), torch.zeros(3))
        with pytest.raises(Exception, match=r"expected|broken"):
            model(wrong)


# Names that are never defined


def test_what_is_imported_for_type_checkers_is_found_where_it_is_loaded() -> None:
    import decimal

    @contract
    def function(x: Decimal | Float[Tensor, "n"]) -> None: ...

    function(decimal.Decimal(3))
    refused(lambda: function(wrong), "x")
    refused(lambda: function(cast("Any", "text")), "x")


def test_a_name_that_nobody_knows_is_said_once() -> None:
    @contract
    def function(x: Unknown, y: Float[Tensor, "n"]) -> None: ...

    with pytest.warns(ContractWarning, match=r"function: x is not checked: name 'Unknown' is not defined"):
        function(None, right)
    function(None, right)
    refused(lambda: function(None, wrong), "y")


def test_a_name_that_nobody_knows_beside_a_shape_is_an_error_at_the_first_call() -> None:
    @contract
    def function(x: Unknown | Float[Tensor, "n"]) -> None: ...

    for _ in range(2):
        with pytest.raises(TypeError, match=r"function: an annotation cannot be evaluated: name 'Unknown' is not defined"):
            function(right)


@dataclass
class Partly:
    x: Float[Tensor, "n"]
    y: Unknown = None


@dataclass
class Wrongly:
    x: Unknown | Float[Tensor, "n"]


def test_a_field_that_cannot_be_read() -> None:
    @contract
    def function(x: Partly) -> None: ...

    with pytest.warns(ContractWarning, match=r"function: x: Partly\.y is not checked: name 'Unknown' is not defined"):
        function(Partly(right))
    refused(lambda: function(Partly(wrong)), "x.x")

    @contract
    def other(x: Wrongly) -> None: ...

    with pytest.raises(TypeError, match=r"other: annotation of x: the annotation of Wrongly\.x cannot be evaluated"):
        other(Wrongly(right))


def test_other_mistakes_are_still_found_at_decoration() -> None:
    with pytest.raises(ValueError, match="'2\\*' is not a name"):

        @contract
        def function(x: BelowAll, y: Float[Tensor, "2*"]) -> None: ...

    class BelowAll: ...


# Parameters without names


class Inputs(TypedDict):
    ids: Int[Tensor, "b t"]
    mask: NotRequired[Float[Tensor, "b t"]]
    name: str


class AllOptional(TypedDict, total=False):
    ids: Required[Int[Tensor, "b t"]]
    mask: Float[Tensor, "b t"]


class Inherited(Inputs, total=False):
    bias: Float[Tensor, "t"]


class OfExtensions(typing_extensions.TypedDict, total=False):
    ids: typing_extensions.Required[Int[Tensor, "b t"]]
    mask: typing_extensions.ReadOnly[Float[Tensor, "b t"]]


class OfAnything(TypedDict, Generic[T]):
    ids: Int[Tensor, "b t"]
    mask: T


def inputs(**kwargs: typing.Unpack[Inputs]) -> None: ...
def all_optional(**kwargs: typing.Unpack[AllOptional]) -> None: ...
def inherited(**kwargs: typing.Unpack[Inherited]) -> None: ...
def of_extensions(**kwargs: typing_extensions.Unpack[OfExtensions]) -> None: ...
def beside(x: Float[Tensor, "t"], **kwargs: typing.Unpack[AllOptional]) -> None: ...


IDS, MASK = torch.zeros(2, 5, dtype=torch.int64), torch.zeros(2, 5)


@pytest.mark.parametrize("function", [inputs, all_optional, inherited, of_extensions])
def test_unpacked_typed_dicts(function: Any) -> None:
    checked = contract(function)
    checked(ids=IDS, mask=MASK)
    checked(ids=IDS)
    checked(ids=IDS, more=3)  # a TypedDict may have other keys at run time
    refused(lambda: checked(ids=IDS, mask=MASK[1:]), "kwargs['mask']")
    refused(lambda: checked(ids=MASK), "kwargs['ids']")
    with pytest.raises(ContractError, match=r"with the key 'ids'"):
        checked(mask=MASK)
    if function is inherited:
        refused(lambda: checked(ids=IDS, bias=torch.zeros(2)), "kwargs['bias']")


def test_unpacked_generic_typed_dicts_and_the_axes_of_other_parameters() -> None:
    def function(**kwargs: Any) -> None: ...

    function.__annotations__ = {"kwargs": typing.Unpack[OfAnything[Float[Tensor, "b t"]]]}
    checked: Any = contract(function)
    checked(ids=IDS, mask=MASK)
    refused(lambda: checked(ids=IDS, mask=MASK[1:]), "kwargs['mask']")
    refused(lambda: contract(beside)(torch.zeros(4), ids=IDS), "kwargs['ids']")


@pytest.mark.parametrize("fullgraph", [False, True])
def test_unpacked_typed_dicts_in_compiled_code(fullgraph: bool) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(contract(beside), backend="eager", fullgraph=fullgraph)
    compiled(torch.zeros(5), ids=IDS)
    with pytest.raises(Exception, match=r"expected|broken"):
        compiled(torch.zeros(4), ids=IDS)


def test_unpacked_tuples() -> None:
    @contract
    def fixed(*xs: *tuple[Float[Tensor, "n"], Int[Tensor, "n"]]) -> None: ...

    @contract
    def several(*xs: *tuple[Float[Tensor, "n"], ...]) -> None: ...

    @contract
    def inside(xs: tuple[int, *tuple[Float[Tensor, "n"], Float[Tensor, "n"]]]) -> None: ...

    fixed(right, right.long())
    refused(lambda: fixed(right, torch.zeros(3).long()), "xs[1]")
    refused(lambda: fixed(right), "xs")  # type: ignore[call-arg]
    several(right, right, right)
    refused(lambda: several(right, right, wrong), "xs[2]")
    inside((1, right, right))
    refused(lambda: inside((1, right, wrong)), "xs[2]")
    with pytest.raises(TypeError, match="a tuple of any length stands inside of another"):

        @contract
        def unknown(xs: tuple[int, *tuple[Float[Tensor, "n"], ...]]) -> None: ...


# What holds tensors


class Batches(list[Float[Tensor, "n"]]):
    """Says what it is a list of."""


class Deep(Batches):
    """The same, by inheritance."""


class Registry(dict[str, T]):
    """A generic with one parameter that is a mapping nevertheless."""


class Stack(Generic[T]):
    """Holds something in a way that nobody else knows."""

    def __init__(self, *items: T) -> None:
        self.items = items


@dataclass
class Images(Box[Float[Tensor, "n"]]):
    """A field whose type the class gives to its base."""


class Twin(NamedTuple, Generic[T]):
    left: T
    right: T


@attrs.define
class Defined(Generic[T]):
    x: T


@pytest.mark.parametrize(
    ("annotation", "holding", "place"),
    [
        (Batches, lambda x: Batches([right, x]), "x[1]"),
        (Deep, lambda x: Deep([right, x]), "x[1]"),
        (list[Batches], lambda x: [Batches([x])], "x[0][0]"),
        (Registry[Float[Tensor, "n"]], lambda x: Registry(a=right, b=x), "x['b']"),
        (list[Registry[Float[Tensor, "n"]]], lambda x: [Registry(a=x)], "x[0]['a']"),
        (Box[Float[Tensor, "n"]], Box, "x.content"),
        (Box[list[Float[Tensor, "n"]]], lambda x: Box([right, x]), "x.content[1]"),
        (Box[Box[Float[Tensor, "n"]]], lambda x: Box(Box(x)), "x.content.content"),
        (cast("Any", Box)[cast("Any", Box)[cast("Any", T)]][Float[Tensor, "n"]], lambda x: Box(Box(x)), "x.content.content"),
        (Images, Images, "x.content"),
        (Twin[Float[Tensor, "n"]], lambda x: Twin(right, x), "x.right"),
        (Defined[Float[Tensor, "n"]], Defined, "x.x"),
        (Vector, lambda x: x, "x"),
        (deque[Float[Tensor, "n"]], lambda x: deque([right, x]), "x[1]"),
        (frozenset[Float[Tensor, "n"]], lambda x: frozenset([x]), "x[0]"),
        (OrderedDict[str, Float[Tensor, "n"]], lambda x: OrderedDict(a=x), "x['a']"),
        (Sequence[tuple[Float[Tensor, "n"], ...]], lambda x: [(right,), (right, x)], "x[1][1]"),
        (Mapping[str, Float[Tensor, "n"] | None], lambda x: {"a": None, "b": x}, "x['b']"),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", "").strip("<>") or str(value),
)
def test_containers(annotation: Any, holding: Callable[[Tensor], Any], place: str) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__ = {"x": annotation}
    checked: Any = contract(function)
    checked(holding(right))
    refused(lambda: checked(holding(wrong)), place)


@dataclass
class Lazy:
    x: Float[Tensor, "n"]
    computed: Float[Tensor, "n"] = field(init=False)
    seed: InitVar[Float[Tensor, "n n"] | None] = None


def test_fields_that_are_not_set_yet() -> None:
    @contract
    def function(lazy: Lazy) -> None: ...

    lazy = Lazy(right)
    function(lazy)
    lazy.computed = torch.zeros(3)
    refused(lambda: function(lazy), "lazy.computed")


@dataclass
class Node:
    x: Float[Tensor, "n"]
    next: Node | None = None


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (Callable[[Float[Tensor, "n"]], Float[Tensor, "n"]], "calls of .* are not checked"),
        (Iterator[Float[Tensor, "n"]], "what .* gives is not checked, since that would use it up"),
        (Stack[Float[Tensor, "n"]], "the class of .*, and nothing that it holds, is checked"),
        (Node, "Node holds objects of its own class; only those of the first level are checked"),
    ],
)
def test_what_cannot_be_checked_is_said_once(annotation: Any, said: str) -> None:
    def function(x: Any, y: Any) -> None: ...

    function.__annotations__ = {"x": annotation, "y": Float[Tensor, "n"]}
    with pytest.warns(ContractWarning, match=said):
        contract(function)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contract(function)


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({}, "its annotations are missing"),
        ({"x": int, "return": Tensor}, "say nothing about the axes or values of tensors"),
    ],
)
def test_a_function_that_promises_nothing_is_said(annotations: dict[str, Any], said: str) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__ = annotations
    with pytest.warns(ContractWarning, match=rf"@contract checks nothing of .*function: .*{said}") as caught:
        assert contract(function) is function
    assert caught[0].filename == __file__


def test_a_lambda_and_a_procedure_without_annotations_are_said() -> None:
    with pytest.warns(ContractWarning, match="its annotations are missing"):
        contract(lambda x: None)
    with pytest.warns(ContractWarning, match="its annotations are missing"):

        @contract
        def other(x) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001


def test_values_are_judged_in_what_is_defined_below() -> None:
    @contract
    def function(x: Local) -> Probs[Tensor, "b c"]:
        return x.scores

    @dataclass
    class Local:
        scores: Logits[Tensor, "b c"]

    function(Local(torch.full((2, 2), 0.5)))
    with pytest.raises(ContractError, match="does not sum to 1"):
        function(Local(torch.ones(2, 2) * 3))


def test_check_inside_a_function_that_is_read_later() -> None:
    @contract
    def function(x: Local) -> None:
        check(torch.zeros(3), Float[Tensor, "n"], "y")

    @dataclass
    class Local:
        x: Float[Tensor, "n"]

    function(Local(torch.zeros(3)))
    refused(lambda: function(Local(right)), "y")


@pytest.mark.parametrize("fullgraph", [False, True])
def test_records_in_compiled_code(fullgraph: bool) -> None:
    torch._dynamo.reset()

    @contract
    def function(lazy: Lazy, box: Box[Float[Tensor, "n"]]) -> Float[Tensor, "n"]:
        return lazy.x + box.content

    compiled = torch.compile(function, backend="eager", fullgraph=fullgraph)
    assert compiled(Lazy(right), Box(right)).shape == (2,)
    with pytest.raises(Exception, match=r"expected|broken"):
        compiled(Lazy(right), Box(torch.zeros(3)))
