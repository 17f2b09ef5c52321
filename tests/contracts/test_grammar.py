"""Annotations mean what jaxtyping says they mean: its published grammar, drawn at random, with torch and numpy side by side.

jaxtyping + beartype is the oracle, on the same function. Where a contract differs on purpose, a test below says why.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import jaxtyping
import numpy as np
import pytest
import torch
from beartype import beartype
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import AbstractDtype, AnnotationError, Float, Int, Shaped, jaxtyped
from numpy.typing import ArrayLike
from torch import Tensor

from mldbg.contracts import ClassIds, ContractError, TokenIds, below, check, contract
from mldbg.contracts.foreign import inside

pytestmark = pytest.mark.filterwarnings("ignore::mldbg.contracts.foreign.UncheckedInCompiledCode")


class Half(AbstractDtype):
    """A family of one's own."""

    dtypes = ("float16", "bfloat16")


FAMILIES: list[Any] = [
    *(
        family
        for name, family in vars(jaxtyping).items()
        if isinstance(family, type(Float)) and name not in ("AbstractDtype", "Key")
    ),
    Half,
]
"""Every family of dtypes that jaxtyping has, from `BFloat16` to `UInt64`; `Key` is for keys of jax."""

LAST = ["{0}+1", "{1}", "{0}*{1}", "#{0}-{1}", "*r {0}", "{0} ...", "min({0},{1})", "{{len(x)}}", "{{max(len(x),1)}}"]
BUILTIN_NAMES = ["len", "max", "sum", "id", "bin", "slice", "input", "type", "tuple", "isinstance", "Exception"]
Either = TypeVar("Either", np.ndarray, Tensor)
BoundToTensor = TypeVar("BoundToTensor", bound=Tensor)
ARRAYS: list[Any] = [Tensor, np.ndarray, Any, Tensor | np.ndarray, np.ndarray | Tensor, Either, BoundToTensor, ArrayLike]
TORCH = [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.int32, torch.bool, torch.complex64]
NUMPY = [np.float32, np.float64, np.int64, np.uint16, np.bool_, np.complex128]

names = st.sampled_from(["a", "b", "len", "max", "id", "n"])
fixed = st.sampled_from(["0", "1", "2", "3", "rows=2", "#2", "#cols=3", "=1"])
marked = st.builds("{}{}".format, st.sampled_from(["", "", "", "#", "_", "doc="]), names)
anonymous = st.sampled_from(["_", "_a", "doc=_"])
several = st.sampled_from(["...", "*r", "*#r", "#*r", "*_", "_*r", "*len", "doc=*r"])
symbolic = st.sampled_from(
    [
        "a+1",
        "2*a",
        "a-b",
        "a//2",
        "#a+1",
        "len+1",
        "max*id",
        "len-len",
        "max(a,b)",
        "min(a,2)",
        "sum((a,b))",
        "len((a,b))",
        "abs(a-b)",
        "int(a/2)",
        "(a)if(a>1)else(2)",
        "[a,b][0]",
        "sum([(1)for(i)in(range(a))])",
        "{sum([(x)for(x)in(xs)])}",
        "{k}",
        "{k}+1",
        "#{k}",
        "{k}*a",
        "{self.d}",
        "{len(xs)}",
        "{len(xs)}+a",
        "{max(xs)}",
        "{xs[0]}",
        "{sum(xs)-xs[0]}",
        "{max(len(xs),k)}",
        "{self.size(1)}",
        "doc={k}",
    ]
)


@st.composite
def texts(draw: st.DrawFn, *, late: bool) -> str:
    words = draw(st.lists(marked | fixed | anonymous | (symbolic if late else marked), max_size=3))
    if draw(st.integers(0, 2)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(several))
    return " ".join(words)


@st.composite
def hints_(draw: st.DrawFn, *, late: bool) -> Any:
    family = draw(st.sampled_from(FAMILIES)) if draw(st.integers(0, 2)) == 0 else Shaped
    array = draw(st.sampled_from(ARRAYS))
    text = draw(texts(late=late))
    try:
        whole = family[array, text]
        if isinstance(array, type) and draw(st.integers(0, 5)) == 0:
            # an annotation within an annotation; of another family, beartype, which knows hints by their text, would take it
            # for one without
            whole = family[whole, draw(marked)]
    except ValueError:  # not of the grammar; `test_what_is_no_axis` has those
        return Shaped[Tensor, "..."]
    return whole if draw(st.integers(0, 3)) else whole | None


class Owner:
    d = 2

    @staticmethod
    def size(k: int) -> int:
        return k + 1


def shape_for(text: str, sizes: dict[str, int], arguments: dict[str, Any]) -> list[int]:
    """A shape that fits an annotation, for the most part; whether it does is for jaxtyping to say."""
    shape: list[int] = []
    for word in text.split():
        core = word.lstrip("#*_").rpartition("=")[2].lstrip("*_")
        if ("*" in word.partition("(")[0] and core.isidentifier()) or word in ("...", "*_"):
            shape += [sizes["n"], 2]
        elif core.isidentifier():
            shape.append(sizes.get(core, 1))
        else:
            try:
                shape.append(max(0, int(eval(eval(f"f{core!r}", arguments), dict(sizes))))) if core else shape.append(1)
            except (NameError, TypeError, ZeroDivisionError):
                shape.append(1)
    return shape


@st.composite
def programs(draw: st.DrawFn) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
    """Annotations of x, y and the result, and calls of which about half fit."""
    hints = (draw(hints_(late=False)), draw(hints_(late=True)), draw(hints_(late=True)))
    calls = []
    for _ in range(6):
        k = draw(st.integers(0, 3))
        text = " ".join(array.dim_str for hint in hints for array in inside(hint))
        sizes = {
            name: draw(st.integers(0, 3)) for name in ("a", "b", "n", "len", "max", "id") if name in text.split() or name in "abn"
        }
        arguments = {"self": Owner(), "xs": [k, 2], "k": k}
        values = [draw(arrays(hint, sizes, arguments)) for hint in hints]
        calls.append((k, *values))
    return hints, calls


@st.composite
def arrays(draw: st.DrawFn, hint: Any, sizes: dict[str, int], arguments: dict[str, Any]) -> Any:
    if type(None) in get_args(hint) and draw(st.integers(0, 3)) == 0:
        return None
    one = draw(st.sampled_from(list(inside(hint))))
    shape = shape_for(one.dim_str, sizes, arguments)
    if draw(st.integers(0, 8)) == 0:
        shape = draw(st.lists(st.integers(0, 3), max_size=4))
    elif shape and draw(st.integers(0, 5)) == 0:
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(0, 3))
    made: list[Any] = [np.zeros(shape, dtype=dtype) for dtype in NUMPY] + [torch.zeros(shape, dtype=dtype) for dtype in TORCH]
    fitting = [value for value in made if isinstance(value, one.dtype[one.array_type, "..."])]
    return draw(st.sampled_from(fitting or made) if draw(st.integers(0, 9)) else st.sampled_from(made))


def accepts(function: Any, *args: Any) -> bool | None:
    """None where jaxtyping does not take the annotation: one of its names has no size when it is needed."""
    try:
        function(*args)
    except (ContractError, jaxtyping.TypeCheckError):
        return False
    except AnnotationError:
        return None
    return True


@settings(max_examples=250, deadline=None)
@given(program=programs())
def test_the_same_verdict_whatever_the_annotation(program: tuple[tuple[Any, ...], list[tuple[Any, ...]]]) -> None:
    hints, calls = program

    def function(self: Any, xs: Any, k: Any, x: Any, y: Any, result: Any) -> Any:
        return result

    function.__annotations__ = dict(zip(("x", "y", "return"), hints, strict=True))
    try:
        checked: Any = contract(function)
    except ValueError as error:
        if "which no earlier annotation provides" not in str(error):  # jaxtyping says so in the call
            raise
        return
    oracle = jaxtyped(typechecker=beartype)(function)
    for k, x, y, result in calls:
        args = (Owner(), [k, 2], k, x, y, result)
        wanted = accepts(oracle, *args)
        if wanted is None:
            wanted = False  # refused with an account of what is missing
        assert accepts(checked, *args) == wanted, (hints, args)


@settings(max_examples=200, deadline=None)
@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
    kinds=st.tuples(*[st.booleans()] * 3),
    words=st.tuples(st.sampled_from(BUILTIN_NAMES), st.sampled_from([*BUILTIN_NAMES, "d"])),
    last=st.sampled_from(LAST),
    off=st.sampled_from([0, 0, 0, 1]),
    broadcast=st.booleans(),
)
def test_the_same_verdict_where_most_shapes_fit(
    sizes: Any, kinds: tuple[bool, ...], words: tuple[str, str], last: str, off: int, broadcast: bool
) -> None:
    """Random shapes rarely fit. Axes are called like builtins here, and torch and numpy take turns."""
    one, other = words
    text = last.format(one, other)
    mark = "#" if broadcast else ""
    classes: list[Any] = [np.ndarray if kind else Tensor for kind in kinds]
    a, b = sizes[0], sizes[0] if one == other else sizes[1]
    value = a + 1 if text.startswith(f"{one}+") else {"{1}": b, "min({0},{1})": min(a, b)}.get(last, a)
    shapes = [(a, b), (b, 1 if broadcast and off else b + off), (value,)]

    def function(x: Any, y: Any, result: Any) -> Any:
        return result

    function.__annotations__ = {
        "x": Float[classes[0], f"{one} {other}"],
        "y": Float[classes[1], f"{mark}{other} {mark}{other}"],
        "return": Float[classes[2], text],
    }
    checked, oracle = contract(function), jaxtyped(typechecker=beartype)(function)
    args = [np.zeros(shape) if cls is np.ndarray else torch.zeros(shape) for cls, shape in zip(classes, shapes, strict=True)]
    assert accepts(checked, *args) == accepts(oracle, *args), (function.__annotations__, shapes)


@pytest.mark.parametrize(
    "text",
    ["##a", "**a", "__a", "??a", "*4", "_4", "?4", "_a+1", "*a+1", "a... b", "... *a", "*a *b", "a,b", "a#", "#_", "?a+1"],
)
def test_what_is_no_axis(text: str) -> None:
    """jaxtyping itself refuses these, before a contract sees them."""
    with pytest.raises(ValueError, match=r"."):
        Float[Tensor, text]


def test_the_oracle_can_disagree() -> None:
    """A contract that accepted everything would not pass the tests above, nor would one that took `max` for the builtin."""

    def function(x: Any) -> Any:
        return x

    function.__annotations__ = {"x": Float[Tensor, "max max+1"]}
    oracle = jaxtyped(typechecker=beartype)(function)
    assert [accepts(oracle, torch.zeros(2, size)) for size in (2, 3)] == [False, True]
    assert [accepts(contract(function), torch.zeros(2, size)) for size in (2, 3)] == [False, True]


# Axes and parameters that are called like builtins


def add_bos(x: Float[Tensor, "b len d"]) -> Float[Tensor, "b len+1 d"]:
    return torch.cat([x[:, :1], x], 1)


def stacked(xs: list[Float[Tensor, "d"]], wrong: int = 0) -> Float[Tensor, "{len(xs)} d"]:
    return torch.stack(xs[wrong:])


def parameters(len: Float[Tensor, "a"], isinstance: Float[Tensor, "*r"], tuple: Float[Tensor, "*r"]) -> Float[Tensor, "a+1"]:  # noqa: A002
    return torch.cat([len, len[:1]])


def hidden(max: int, x: Float[Tensor, "a b max(a,b)"], y: Float[Tensor, "{max}"]) -> None:  # noqa: A002
    return None


def shadowed(x: Float[Tensor, "max"] | None, y: Float[Tensor, "a"], z: Float[Tensor, "max(a,1)"]) -> None:
    """`max` is a size where x is given, and the builtin where it is not."""


def counted(xs: list[Float[Tensor, "n"]], y: Float[Tensor, "{sum([(x.shape[0])for(x)in(xs)])}"]) -> None:
    """The expression has a loop of its own."""


ALL: list[tuple[Callable[..., Any], tuple[Any, ...], tuple[Any, ...]]] = [
    (add_bos, (torch.zeros(2, 7, 3),), (torch.zeros(2, 3),)),
    (stacked, ([torch.zeros(3)] * 4,), ([torch.zeros(3)] * 4, 1)),
    (parameters, (torch.zeros(3), torch.zeros(1, 2), torch.zeros(1, 2)), (torch.zeros(3), torch.zeros(1, 2), torch.zeros(2, 1))),
    (hidden, (3, torch.zeros(1, 2, 2), torch.zeros(3)), (3, torch.zeros(1, 2, 3), torch.zeros(3))),
    (shadowed, (None, torch.zeros(2), torch.zeros(2)), (None, torch.zeros(2), torch.zeros(3))),
    (counted, ([torch.zeros(2)] * 3, torch.zeros(6)), ([torch.zeros(2)] * 3, torch.zeros(5))),
]


@pytest.mark.parametrize("mode", ["eager", "compiled", "fullgraph"])
@pytest.mark.parametrize(("function", "good", "bad"), ALL, ids=lambda value: getattr(value, "__name__", ""))
def test_names_of_builtins(function: Any, good: tuple[Any, ...], bad: tuple[Any, ...], mode: str) -> None:
    checked = contract(function)
    if mode != "eager":
        torch._dynamo.reset()
        checked = torch.compile(checked, backend="eager", fullgraph=mode == "fullgraph")
    checked(*good)
    with pytest.raises(ContractError if mode == "eager" else Exception, match=r"expected|broken"):
        checked(*bad)


def test_a_size_that_is_sometimes_there_shadows_the_builtin() -> None:
    """jaxtyping finds an integer where it looks for a function, too; it raises a TypeError, a contract says what is wrong."""
    with pytest.raises(TypeError):
        jaxtyped(typechecker=beartype)(shadowed)(torch.zeros(2), torch.zeros(2), torch.zeros(2))
    with pytest.raises(ContractError, match="'int' object is not callable"):
        contract(shadowed)(torch.zeros(2), torch.zeros(2), torch.zeros(2))


def test_bounds_read_builtins_and_arguments() -> None:
    @contract
    def function(
        xs: list[int], x: TokenIds[Tensor, "max", below("{len(xs)}")], y: ClassIds[Tensor, "max", below("max+1")]
    ) -> None: ...

    ids = torch.tensor([0, 1, 2])
    function([1, 2, 3], ids, ids + 1)
    with pytest.raises(ContractError, match="an id of 2 with a bound of 2"):
        function([1, 2], ids, ids)
    with pytest.raises(ContractError, match="an id of 4 with a bound of 4"):
        function([1, 2, 3], ids, ids + 2)
    with pytest.raises(ValueError, match="no axis is called 'max'"):

        @contract
        def other(x: ClassIds[Tensor, "a", below("max")]) -> None: ...


def test_check_reads_axes_that_are_called_like_builtins() -> None:
    @contract
    def function(xs: list[int], x: Float[Tensor, "len max"]) -> Float[Tensor, "sum max(len,sum)"]:
        check(x.T, Float[Tensor, "max len"])
        check(torch.zeros(5), Float[Tensor, "sum"])
        return torch.zeros(5, 5)

    with pytest.raises(ContractError, match="'int' object is not callable"):
        function([1], torch.zeros(2, 3))  # `max` is a size of x


@pytest.mark.parametrize("promised", ["#a+1 2*a", "#a+1 max(2,2*a)", "#2*a 2*a"])
def test_sizes_that_only_the_body_knows(promised: str) -> None:
    """They come from the scope on every path through the checker: the first axis does not ask for `a`, the second one does."""

    def function(n: int, result: Any) -> Any:
        check(torch.zeros(n), Float[Tensor, "a"])
        return result

    function.__annotations__ = {"return": Float[Tensor, promised] | None}
    checked: Any = contract(function)
    assert checked(1, None) is None
    checked(1, torch.zeros(1, 2))
    with pytest.raises(ContractError, match="the result"):
        checked(2, torch.zeros(1, 2))


def test_a_bound_that_only_the_result_knows() -> None:
    @contract
    def function(
        ids: TokenIds[Tensor, "i"] | None, x: TokenIds[Tensor, "i", below("a+1")], y: Any
    ) -> Float[Tensor, "#a n"] | None:
        return y

    assert function(None, torch.zeros(1, dtype=torch.int64), None) is None
    function(None, torch.ones(1, dtype=torch.int64), torch.zeros(2, 3))
    with pytest.raises(ContractError, match="an id of 3 with a bound of 3"):
        function(None, torch.full((1,), 3), torch.zeros(2, 3))


# Arrays of several libraries


@pytest.mark.parametrize("first", [Float[np.ndarray, "b d"], Float[np.ndarray, "*b d"], list[Float[np.ndarray, "b d"]] | None])
def test_axes_of_numpy_arrays_bind_those_of_tensors(first: Any) -> None:
    several = "*b" if "*" in str(first) else "b"

    def function(x: Any, y: Any, wrong: int = 0) -> Any:
        check(y[..., 0], Float[Tensor, several])
        return torch.zeros(2 * y.shape[-1] + wrong)

    function.__annotations__ = {"x": first, "y": Float[Tensor, f"{several} d"], "return": Float[Tensor, "2*d"]}
    checked: Any = contract(function)
    given = [np.zeros((2, 3))] if isinstance(first, type(int | str)) or "list" in str(first) else np.zeros((2, 3))
    checked(given, torch.zeros(2, 3))
    for y, wrong, parameter in [(torch.zeros(2, 4), 0, "y"), (torch.zeros(4, 3), 0, "y"), (torch.zeros(2, 3), 1, "return")]:
        with pytest.raises(ContractError) as caught:
            checked(given, y, wrong)
        assert caught.value.parameter == parameter
        assert "from x" in str(caught.value)


def test_a_size_of_a_numpy_array_says_where_it_is_from() -> None:
    @contract
    def function(x: Float[np.ndarray, "b d"], y: Float[Tensor, "b d"]) -> None: ...

    with pytest.raises(ContractError, match=r"bound     b = 2 from x, d = 3 from x"):
        function(np.zeros((2, 3)), torch.zeros(2, 4))


def test_compiled_code_goes_on_without_the_sizes_of_numpy() -> None:
    """As the warning at decoration says; what can be seen there still has to agree."""
    torch._dynamo.reset()

    @contract
    def function(x: Float[np.ndarray, "b d"] | None, y: Float[Tensor, "b d"]) -> Float[Tensor, "b"]:
        return y.sum(1)

    compiled = torch.compile(function, backend="eager")
    assert compiled(None, torch.zeros(2, 4)).shape == (2,)


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="PyTree stands beside jax only")
@pytest.mark.filterwarnings("ignore")
def test_trees_and_arrays_of_jax() -> None:
    """`?` belongs to one leaf of a tree, and structures have names as axes do."""
    from jaxtyping import Array, PyTree

    jnp = importlib.import_module("jax.numpy")

    def function(x: Any, y: Any, z: Any) -> Any:
        return z

    def leaf(*shape: int) -> Any:
        return torch.zeros(shape)

    cases: list[tuple[Any, Any, Any, list[tuple[Any, Any, Any]]]] = [
        (
            PyTree[Float[Tensor, "?n"], "T"],
            PyTree[Float[Tensor, "?n"], "T"],
            Float[Tensor, "..."],
            [
                ([leaf(2), leaf(3)], [leaf(2), leaf(3)], leaf()),
                ([leaf(2), leaf(3)], [leaf(3), leaf(2)], leaf()),
                ([leaf(2), leaf(3)], (leaf(2), leaf(3)), leaf()),
            ],
        ),
        (
            PyTree[Float[Tensor, "n"]],
            Float[Array, "n"],
            Float[Tensor, "n+1"],
            [([leaf(2)], jnp.zeros(2), leaf(3)), ([leaf(2)], jnp.zeros(3), leaf(3)), ([leaf(2)], jnp.zeros(2), leaf(2))],
        ),
        (
            Float[Array, "n"],
            PyTree[Float[Tensor, "n"]],
            Int[Array, "n"] | Float[Tensor, "n"],
            [(jnp.zeros(2), [leaf(2)], leaf(2)), (jnp.zeros(2), [leaf(3)], leaf(2)), (jnp.zeros(2), [leaf(2)], leaf(3))],
        ),
    ]
    for x, y, z, calls in cases:
        function.__annotations__ = {"x": x, "y": y, "return": z}
        checked, oracle = contract(function), jaxtyped(typechecker=beartype)(function)
        wanted = [accepts(oracle, *call) for call in calls]
        assert wanted == [True, False, False]
        assert [accepts(checked, *call) for call in calls] == wanted


# Where a contract differs on purpose


def test_every_element_is_checked_and_not_one_at_random() -> None:
    def function(xs: list[Float[Tensor, "n"]]) -> None: ...

    function.__annotations__ = {"xs": list[Float[Tensor, "n"]]}
    xs = [torch.zeros(2)] * 7 + [torch.zeros(3)]
    assert {accepts(contract(function), xs) for _ in range(20)} == {False}


def test_annotations_without_axes_are_left_to_other_tools() -> None:
    """beartype is a type checker for everything; a contract looks at tensors, and lets an integer be a float."""

    def function(k: int, x: Float[Tensor, "n"]) -> None: ...

    function.__annotations__ = {"k": int, "x": Float[Tensor, "n"]}
    assert accepts(contract(function), "no int", torch.zeros(2))
    assert not accepts(jaxtyped(typechecker=beartype)(function), "no int", torch.zeros(2))


def test_a_symbolic_axis_without_its_size_is_said_at_decoration() -> None:
    """jaxtyping waits for the first call."""

    def function(x: Any) -> None: ...

    function.__annotations__ = {"x": Float[Tensor, "n+1"]}
    with pytest.raises(ValueError, match="needs the size of 'n'"):
        contract(function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert accepts(jaxtyped(typechecker=beartype)(function), torch.zeros(2)) is None
