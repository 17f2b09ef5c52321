"""Calls of numpy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from shapes.drawing import DTYPES, SIZES, axes, broadcast_pair, shapes, tensors
from shapes.oracle import Case, Drawn, T

_FLOATS = st.sampled_from(["float32", "float64", "float16", "int64"])
_TYPES = st.sampled_from([np.float32, np.int64, "float32", "float64", "int32", "bool", None])
_NUMBERS = st.sampled_from([True, 0, 1, 2, 3, 0.5, 2.0])
_INDICES = st.sampled_from(["int64", "int64", "int32", "float32", "bool"])

Calls = st.SearchStrategy[Drawn]


@st.composite
def _nested(draw: st.DrawFn, depth: int) -> object:
    """Numbers in nested lists, mostly of equal lengths."""
    sizes = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(0, depth)))]
    numbers = draw(st.sampled_from([st.just(1), st.just(0.5), st.booleans(), st.sampled_from([1, 2.5, True])]))
    uneven = draw(st.integers(0, 4)) == 0

    def made(sizes: Sequence[int]) -> object:
        if not sizes:
            return draw(numbers)
        return [made(sizes[1:]) for _ in range(sizes[0] + (uneven and draw(st.integers(0, 3)) == 0))]

    return made(sizes)


_ARRAYS = tensors(0, 3) | tensors(1, 4)


_NO_KEYWORDS: st.SearchStrategy[dict[str, object]] = st.just({})


def _of_arrays(more: st.SearchStrategy[dict[str, object]] = _NO_KEYWORDS, arrays: st.SearchStrategy[T] = _ARRAYS) -> Calls:
    """An array alone, and keywords."""
    return st.builds(lambda array, kwargs: Drawn((array,), kwargs), arrays, more)


@st.composite
def _along(draw: st.DrawFn, *names: str, several: bool = False, default: bool = True, least: int = 0) -> Drawn:
    """An array, an axis or several or none, and some of the flags of a reduction."""
    array = draw(tensors(least, 4))
    rank = len(array.sizes)
    options: list[st.SearchStrategy[object]] = [axes(rank), axes(rank)]
    options += [st.none()] if default else []
    options += [st.lists(axes(rank), min_size=1, max_size=2).map(tuple)] if several else []
    kwargs: dict[str, object] = {} if default and draw(st.integers(0, 4)) == 0 else {"axis": draw(st.one_of(options))}
    if "keepdims" in names and draw(st.booleans()):
        kwargs["keepdims"] = draw(st.booleans())
    if "dtype" in names and draw(st.integers(0, 4)) == 0:
        kwargs["dtype"] = draw(st.sampled_from([np.float32, np.float64, None]))
    return Drawn((array,), kwargs)


@st.composite
def _pairs(draw: st.DrawFn, dtypes: st.SearchStrategy[str] = DTYPES, *, numbers: bool = True) -> Drawn:
    one, two = draw(broadcast_pair())
    args: list[object] = [T(one, draw(dtypes)), T(two, draw(dtypes))]
    if numbers and draw(st.integers(0, 2)) == 0:
        args[draw(st.integers(0, 1))] = draw(_NUMBERS)
    return Drawn(tuple(args))


# --- new arrays ---


@st.composite
def _creations(draw: st.DrawFn, *, filled: bool = False) -> Drawn:
    sizes: object = draw(shapes(0, 3) | SIZES | st.sampled_from([(-1, 2), (2, -3)]))
    kwargs = {"dtype": draw(_TYPES)} if draw(st.booleans()) else {}
    return Drawn((sizes, draw(_NUMBERS | tensors(0, 2))) if filled else (sizes,), kwargs)


_ALIKE: st.SearchStrategy[dict[str, object]] = st.fixed_dictionaries({}, optional={"dtype": _TYPES, "shape": shapes(0, 3)})


@st.composite
def _ranges(draw: st.DrawFn) -> Drawn:
    numbers = st.integers(-3, 9) | st.sampled_from([0.5, 2.5])
    args = draw(st.lists(numbers, min_size=1, max_size=3).filter(lambda args: len(args) < 3 or args[2] != 0))
    return Drawn(tuple(args), {"dtype": draw(st.sampled_from([np.float32, np.int64]))} if draw(st.integers(0, 3)) == 0 else {})


@st.composite
def _spaces(draw: st.DrawFn) -> Drawn:
    start, stop = draw(st.sampled_from([(0, 1), (0.5, 2), (T((2, 3)), 1), (T((3,), "float64"), T((2, 1)))]))
    kwargs = draw(st.fixed_dictionaries({}, optional={"axis": st.integers(-2, 2), "dtype": st.just(np.float32)}))
    return Drawn((start, stop, *draw(st.sampled_from([(), (5,), (1,), (-1,)]))), kwargs)


_EYES = st.builds(
    lambda args, kwargs: Drawn(tuple(args), kwargs),
    st.lists(st.integers(-1, 5), min_size=1, max_size=2),
    st.fixed_dictionaries({}, optional={"k": st.integers(-2, 2), "dtype": _TYPES}),
)
_IDENTITIES = st.builds(
    lambda n, kwargs: Drawn((n,), kwargs), st.integers(-1, 5), st.fixed_dictionaries({}, optional={"dtype": _TYPES})
)
_RANDOM_SIZES = shapes(0, 3) | SIZES | st.just((-1, 2))


@st.composite
def randoms(draw: st.DrawFn, *numbers: object, both: bool = True) -> Drawn:
    """`both`: also sizes beside arrays."""
    args: list[object] = []
    for number in numbers:
        dtype = "float32" if isinstance(number, float) else "int64"
        args.append(draw(st.just(number) | st.sampled_from([T((3,), dtype), T((2, 1), dtype), T((), dtype)])))
    are_numbers = all(not isinstance(arg, T) or not arg.sizes for arg in args)
    if are_numbers or (both and draw(st.booleans())):
        return Drawn(tuple(args), {"size": draw(_RANDOM_SIZES)})
    return Drawn(tuple(args))


# --- shapes ---


@st.composite
def _reshapes(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(0, 4))
    count = int(np.prod(array.sizes))
    sizes = list(draw(st.permutations(array.sizes)))
    if len(sizes) > 1 and draw(st.booleans()):
        sizes = [sizes[0] * sizes[1], *sizes[2:]]
    if draw(st.booleans()) and sizes:
        sizes[draw(st.integers(0, len(sizes) - 1))] = draw(st.sampled_from([-1, -1, -1, 3]))
    whole: list[object] = [tuple(sizes)] * 3
    return Drawn((array, draw(st.sampled_from([*whole, -1, count, (3, -1), (-1, -1)]))))


@st.composite
def _transposes(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(0, 4))
    rank = len(array.sizes)
    order = draw(st.permutations(range(rank)) | st.permutations(range(rank)) | st.lists(axes(rank), max_size=4))
    order = [axis - rank if draw(st.booleans()) else axis for axis in order]
    return Drawn((array, tuple(order)) if draw(st.integers(0, 3)) else (array,))


@st.composite
def _two_axes(draw: st.DrawFn, *, several: bool = False) -> Drawn:
    array = draw(tensors(0, 4))
    rank = len(array.sizes)
    if several and draw(st.booleans()):
        count = draw(st.integers(1, 2))
        one, two = (tuple(draw(axes(rank)) for _ in range(count + (draw(st.integers(0, 9)) == 0))) for _ in range(2))
        return Drawn((array, one, two))
    return Drawn((array, draw(axes(rank)), draw(axes(rank))))


@st.composite
def _expansions(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(0, 3))
    rank = len(array.sizes)
    one, several = axes(rank + 1), st.lists(axes(rank + 2), min_size=2, max_size=2).map(tuple)
    return Drawn((array, draw(one | one | several)))


@st.composite
def _squeezes(draw: st.DrawFn) -> Drawn:
    sizes = draw(st.lists(st.sampled_from([1, 1, 1, 2, 3]), max_size=4).map(tuple))
    rank = len(sizes)
    ones = [place for place, size in enumerate(sizes) if size == 1]
    options = [axes(rank), st.lists(axes(rank), min_size=1, max_size=2).map(tuple)]
    options += [st.sampled_from(ones), st.lists(st.sampled_from(ones), unique=True).map(tuple)] if ones else []
    return Drawn((T(sizes, draw(DTYPES)),), {"axis": draw(st.one_of(options))} if draw(st.integers(0, 3)) else {})


_BROADCASTS = st.builds(lambda pair, dtype: Drawn((T(pair[0], dtype), pair[1])), broadcast_pair(), DTYPES)


@st.composite
def _repeats(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(1, 3))
    rank = len(array.sizes)
    axis = draw(st.none() | axes(rank))
    size = int(np.prod(array.sizes)) if axis is None else array.sizes[axis] if -rank <= axis < rank else 2
    several = tuple(draw(st.integers(0, 3)) for _ in range(size + (draw(st.integers(0, 4)) == 0)))
    times = draw(st.integers(-1, 3) | st.just(2) | st.just((2,)) | st.just(several))
    return Drawn((array, times), {} if axis is None else {"axis": axis})


_TILES = st.builds(
    lambda array, times: Drawn((array, times)),
    tensors(0, 3),
    st.integers(0, 3) | st.lists(st.integers(-1, 3), max_size=4).map(tuple),
)


# --- several arrays ---


@st.composite
def _joins(draw: st.DrawFn, how: str) -> Drawn:
    sizes = draw(shapes(1 if how == "concatenate" else 0, 3))
    rank = len(sizes)
    along = {"vstack": 0, "hstack": 0 if rank == 1 else 1, "column_stack": 1}.get(how)
    axis = draw(axes(rank if how == "concatenate" else rank + 1)) if along is None else along
    arrays = []
    for _ in range(draw(st.integers(1, 3))):
        mine = list(sizes)
        spoiled = draw(st.integers(0, 9)) == 0
        differs = how != "stack" and not (rank == 1 and how in ("vstack", "column_stack"))
        place = draw(st.integers(0, max(rank - 1, 0))) if spoiled else axis if differs else rank
        if -rank <= place < rank:
            mine[place] = draw(SIZES)
        if draw(st.integers(0, 14)) == 0:
            mine = [*mine, 2]
        arrays.append(T(tuple(mine), draw(DTYPES)))
    if along is not None:
        return Drawn((arrays,))
    return Drawn((arrays,), {"axis": draw(st.sampled_from([axis] * 9 + [None] * (how == "concatenate")))})


@st.composite
def _splits(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(1, 3))
    sections = st.sampled_from([1, 2, 2, 3, 0, [1], [1, 2], [2, 3, 5], [2, 1], [-1], [9]])
    return Drawn((array, draw(sections)), {} if draw(st.booleans()) else {"axis": draw(axes(len(array.sizes)))})


# --- products ---


@st.composite
def _products(draw: st.DrawFn, how: str, least: int = 0) -> Drawn:
    shared, one, two = draw(SIZES), draw(shapes(0, 2)), draw(shapes(0, 2))
    if how == "matmul":
        batch, other = draw(broadcast_pair())
        one, two = (*batch, *one[:1]) if one else (), (*other[: len(other) * bool(two)], *two[:1]) if two else ()
    left = (*one, shared)
    right = (*two, shared) if how == "inner" else (*two[:-1], shared, *two[-1:])
    if draw(st.integers(0, 4)) == 0:
        right = draw(shapes(least, 3))
    if draw(st.integers(0, 9)) == 0:
        left = ()
    return Drawn((T(left, draw(DTYPES)), T(right, draw(DTYPES))))


@st.composite
def _tensordots(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(0, 3))
    count = draw(st.integers(0, len(sizes)))
    one, two = (*draw(shapes(0, 1)), *sizes), (*sizes[len(sizes) - count :], *draw(shapes(0, 1)))
    lists = (tuple(range(len(one) - count, len(one))), tuple(range(count)))
    return Drawn(
        (T(one, draw(DTYPES)), T(two, draw(DTYPES)), draw(st.sampled_from([count, count, lists, lists, 1, 2, (0, 0), (-1, 0)])))
    )


@st.composite
def _einsums(draw: st.DrawFn) -> Drawn:
    lengths = {letter: draw(SIZES) for letter in "ijkl"}
    dots = draw(st.lists(SIZES, max_size=2))
    words, arrays = [], []
    for _ in range(draw(st.integers(1, 3))):
        letters = draw(st.lists(st.sampled_from("ijkl"), max_size=3, unique=draw(st.integers(0, 5)) > 0))
        sizes = [[lengths[letter] if draw(st.integers(0, 14)) else 4] for letter in letters]
        if draw(st.integers(0, 3)) == 0:
            place = draw(st.integers(0, len(letters)))
            letters.insert(place, "...")
            sizes.insert(place, dots)
        words.append("".join(letters))
        arrays.append(T(tuple(size for several in sizes for size in several), draw(DTYPES)))
    text = ",".join(words)
    if draw(st.booleans()):
        used = sorted(set(text) - set(",."))
        after = draw(st.lists(st.sampled_from(used), unique=True)) if used else []
        if "..." in text or draw(st.integers(0, 9)) == 0:
            after.insert(draw(st.integers(0, len(after))), "...")
        text += "->" + "".join(after)
    if draw(st.integers(0, 7)) == 0:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from(["i", "z", ",", "1", " ", "."])) + text[place:]
    return Drawn((text, *arrays))


# --- selections ---


@st.composite
def _rolls(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(0, 3))
    rank = len(array.sizes)
    if draw(st.integers(0, 2)) == 0:
        return Drawn((array, draw(st.integers(-2, 2) | st.just((1, 2)))))
    axis = draw(axes(rank) | st.lists(axes(rank), min_size=1, max_size=3).map(tuple))
    return Drawn((array, draw(st.integers(-2, 2) | st.just((1, 2)))), {"axis": axis})


_TRIANGLES = st.builds(
    lambda array, args: Drawn((array, *args)), tensors(0, 3), st.sampled_from([(), (), (1,), (-1,), (-4,), (9,)])
)


@st.composite
def _pads(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(1, 3))
    pair = st.tuples(st.integers(0, 2), st.integers(0, 2))
    rank = len(array.sizes)
    each = st.lists(pair, min_size=rank, max_size=rank).map(tuple)
    width = draw(
        st.one_of(st.integers(0, 3), pair, each, each, st.sampled_from([-1, (1,), ((1, 2),), ((1, 2),) * 3, (1, 2, 3), ((1,),)]))
    )
    return Drawn((array, width, *draw(st.sampled_from([(), ("constant",), ("edge",)]))))


@st.composite
def _takes(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(1, 3).filter(lambda array: min(array.sizes) > 1))
    indices = draw(st.builds(T, shapes(0, 2), _INDICES) | st.sampled_from([0, 1, [0, 1], [[1], [0]]]))
    return Drawn((array, indices), {} if draw(st.booleans()) else {"axis": draw(axes(len(array.sizes)))})


@st.composite
def _takes_along(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(1, 3).filter(lambda array: min(array.sizes) > 1))
    rank = len(array.sizes)
    axis = draw(st.integers(-rank, rank - 1))
    sizes = list(array.sizes)
    sizes[axis] = draw(SIZES)
    how = draw(st.sampled_from(["fits", "fits", "fits", "one", "other", "more"]))
    if how in ("one", "other"):
        sizes[draw(st.integers(0, rank - 1))] = 1 if how == "one" else draw(SIZES)
    indices = T((*sizes, *(2,) * (how == "more")), draw(_INDICES))
    return Drawn((array, indices), {"axis": draw(st.just(axis) | st.just(axis) | axes(rank) | st.none())})


_UNIQUE = st.builds(
    lambda array, flags, axis: Drawn((array,), {**dict.fromkeys(flags, True), **axis}),
    tensors(1, 3),
    st.lists(st.sampled_from(["return_index", "return_inverse", "return_counts"]), unique=True),
    st.sampled_from([{}, {}, {"axis": 0}, {"axis": 2}]),
)


@st.composite
def _counts(draw: st.DrawFn) -> Drawn:
    array = draw(tensors(1, 1, _INDICES) | tensors(0, 2, _INDICES))
    weights = T(draw(st.just(array.sizes) | shapes(1, 1)), "float32")
    return Drawn((array,), {"weights": weights} if draw(st.booleans()) else {})


@st.composite
def _norms(draw: st.DrawFn) -> Drawn:
    drawn = draw(_along("keepdims", several=True))
    order = draw(st.sampled_from([None, None, 2, 1]))
    return Drawn(drawn.args, {**drawn.kwargs, **({"ord": order} if order is not None else {})})


@st.composite
def _matrices(draw: st.DrawFn, *, solves: bool = False) -> Drawn:
    size, batch = draw(SIZES), draw(shapes(0, 1))
    sizes = draw(st.sampled_from([(*batch, size, size)] * 4 + [(*batch, size, size + 1), (size,), ()]))
    dtypes = st.sampled_from(["float32", "float64", "int64", "bool", "float32", "float16"])
    matrix = T(sizes, draw(dtypes))
    if not solves:
        return Drawn((matrix,))
    right = draw(st.sampled_from([(size,), (size, 3), (*batch, size, 2), (1, size, 2), (size + 1,), (size + 1, 2), (2,), ()]))
    return Drawn((matrix, T(right, draw(dtypes))))


_WHERES = st.builds(
    lambda drawn, condition: Drawn((T(condition, "bool"), *drawn.args)),
    _pairs(),
    st.sampled_from([(), (1,), (2,), (3,), (2, 1)]),
)


@st.composite
def _clips(draw: st.DrawFn) -> Drawn:
    drawn = draw(_pairs())
    bound = draw(st.none() | _NUMBERS)
    if draw(st.booleans()):
        return Drawn((*drawn.args, bound))
    return Drawn(drawn.args[:1], {"min": drawn.args[1], **({"max": bound} if draw(st.booleans()) else {})})


def cases(names: str, calls: Calls, real: str = "numpy", *, open: bool = False, open_dtype: bool = False) -> Case:  # noqa: A002 (as the field is called)
    return Case(tuple(f"numpy.{name}" for name in names.split()), calls, real, open=open, open_dtype=open_dtype)


CASES = [
    cases(
        "array asarray ascontiguousarray",
        st.builds(Drawn, st.tuples(_nested(3) | tensors(1, 3) | st.lists(st.just(T((2, 3))), min_size=1)))
        | _of_arrays(st.fixed_dictionaries({}, optional={"dtype": _TYPES})),
    ),
    cases("zeros ones empty", _creations()),
    cases("full", _creations(filled=True)),
    cases("zeros_like ones_like empty_like", _of_arrays(_ALIKE)),
    cases("full_like", st.builds(lambda drawn, value: Drawn((*drawn.args, value), drawn.kwargs), _of_arrays(_ALIKE), _NUMBERS)),
    cases("arange", _ranges()),
    cases("linspace", _spaces()),
    cases("eye", _EYES),
    cases("identity", _IDENTITIES),
    cases("random.rand random.randn", st.builds(Drawn, shapes(1, 3) | st.just((2, -1)))),
    cases("random.random random.random_sample", st.builds(lambda size: Drawn((size,)), _RANDOM_SIZES)),
    cases("random.normal", randoms(0.0, 1)),
    cases("random.uniform", randoms(0, 1.5)),
    cases(
        "random.randint",
        randoms(5, both=False) | randoms(5, both=False).map(lambda drawn: Drawn((0, *drawn.args), drawn.kwargs)),
    ),
    cases("random.permutation", _of_arrays(arrays=tensors(1, 3)) | st.just(Drawn((5,))) | st.just(Drawn(([1, 2, 3],)))),
    cases("add multiply maximum minimum subtract divide true_divide power", _pairs()),
    cases("equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor", _pairs()),
    cases(
        "exp expm1 log log2 log10 log1p sqrt sin cos tan tanh sinh cosh arctan abs absolute negative sign square floor ceil"
        " isnan isinf isfinite logical_not",
        _of_arrays() | st.builds(lambda number: Drawn((number,)), _NUMBERS),
    ),
    cases("clip", _clips()),
    cases("where", _WHERES),
    cases("sum prod mean", _along("keepdims", "dtype", several=True)),
    cases("std var max min amax amin all any", _along("keepdims", several=True)),
    cases("median", _along("keepdims", several=True)),
    cases("argmax argmin", _along("keepdims")),
    cases("cumsum", _along("dtype")),
    cases("reshape", _reshapes()),
    cases("ravel", _of_arrays()),
    cases("transpose", _transposes()),
    cases("swapaxes", _two_axes()),
    cases("moveaxis", _two_axes(several=True)),
    cases("expand_dims", _expansions()),
    cases("squeeze", _squeezes()),
    cases("broadcast_to", _BROADCASTS),
    cases("repeat", _repeats()),
    cases("tile", _TILES),
    cases("concatenate", _joins("concatenate")),
    cases("stack", _joins("stack")),
    cases("vstack", _joins("vstack")),
    cases("hstack", _joins("hstack")),
    cases("column_stack", _joins("column_stack")),
    cases("split array_split", _splits()),
    cases("dot", _products("dot")),
    cases("matmul", _products("matmul")),
    cases("inner", _products("inner")),
    cases("outer", _products("outer")),
    cases("tensordot", _tensordots()),
    cases("einsum", _einsums()),
    cases("sort argsort", _along(least=1)),
    cases("flip", _along(several=True)),
    cases("roll", _rolls()),
    cases("diag tril triu", _TRIANGLES),
    cases("pad", _pads()),
    cases("take", _takes()),
    cases("take_along_axis", _takes_along()),
    cases("unique", _UNIQUE, open=True),
    cases("bincount", _counts(), open=True),
    cases("linalg.norm", _norms()),
    cases("linalg.inv", _matrices(), real="regular"),
    cases("linalg.solve", _matrices(solves=True), real="regular"),
]
