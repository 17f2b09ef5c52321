"""Calls of einops: patterns are made of random axes, and some of them are then spoiled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from hypothesis import strategies as st

from shapes.drawing import DTYPES, FLOATS
from shapes.oracle import Case, Drawn, T

_NAMES = "abcdef"
_LENGTHS = st.sampled_from([1, 2, 2, 3, 3, 4, 5])
_SPOILS = st.sampled_from(
    [" a", " g", "(", ")", "1 ", "2 ", "...", ".", "-> ", ",", "_", "a_", "ab ", " ()", "+", "(a b) ", " 0", "\n", "((a))"]
)

_SPOILS_OF_SUMS = st.sampled_from([" a ", " e ", ",", " (a b) ", " 2 ", " 1 ", ".", "->", "a"])

Groups = Sequence[Sequence[str]]


@st.composite
def _grouped(draw: st.DrawFn, axes: Sequence[str]) -> Groups:
    """The axes in this order, in groups; some groups are empty."""
    groups: list[list[str]] = []
    for axis in axes:
        if groups and draw(st.integers(0, 3)) == 0:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if draw(st.integers(0, 5)) == 0:
        groups.insert(draw(st.integers(0, len(groups))), [])
    return groups


@st.composite
def _written(draw: st.DrawFn, groups: Groups, *, dots_apart: bool = False) -> str:
    """One side of a pattern."""
    words = []
    for group in groups:
        if not group:
            words.append(draw(st.sampled_from(["1", "()", "(1)"])))
        else:
            bare = len(group) == 1 and (dots_apart or draw(st.integers(0, 4)) > 0)
            words.append(group[0] if bare else f"({' '.join(group)})")
    return " ".join(words)


@st.composite
def _pattern(draw: st.DrawFn, operation: str) -> tuple[tuple[int, ...], str, Mapping[str, int]]:
    """The sizes of a tensor, a pattern for it, and the lengths of axes."""
    names = _NAMES[: draw(st.integers(1, 4))]
    lengths = {name: draw(_LENGTHS) for name in names}
    dots = draw(st.lists(_LENGTHS, max_size=2)) if draw(st.integers(0, 2)) == 0 else None
    before = [list(group) for group in draw(_grouped(names))]
    known: dict[str, int] = {}
    for group in before:
        open_ones = 1 if draw(st.booleans()) else 0
        known |= {name: lengths[name] for name in group[open_ones:] if len(group) > 1}
        known |= {name: lengths[name] for name in group[:open_ones] if draw(st.integers(0, 5)) == 0}
        known |= {name: lengths[name] for name in group if len(group) > 1 and not open_ones}
    after = draw(st.permutations(names))
    if operation == "reduce":
        after = after[: draw(st.integers(0, len(after)))]
        for group in before:
            for place, name in enumerate(group):
                if name not in after and name in known and draw(st.booleans()):
                    group[place] = str(lengths[name])
                    del known[name]
    elif operation == "repeat":
        for new in "xy"[: draw(st.integers(0, 2))]:
            length = draw(_LENGTHS)
            place = draw(st.integers(0, len(after)))
            as_number = draw(st.booleans())
            after = [*after[:place], str(length) if as_number else new, *after[place:]]
            known |= {} if as_number else {new: length}
    sizes = [[prod(int(name) if name.isdecimal() else lengths[name] for name in group)] for group in before]
    if dots is not None:
        place = draw(st.integers(0, len(before)))
        before.insert(place, ["..."])
        sizes.insert(place, dots)
        if operation != "reduce" or draw(st.booleans()):
            place = draw(st.integers(0, len(after)))
            after = [*after[:place], "...", *after[place:]]
    left = draw(_written(before, dots_apart=True))
    right = draw(_written(draw(_grouped(after))))
    return tuple(size for several in sizes for size in several), f"{left} -> {right}", known


@st.composite
def _spoiled(
    draw: st.DrawFn, call: tuple[tuple[int, ...], str, Mapping[str, int]]
) -> tuple[tuple[int, ...], str, Mapping[str, int]]:
    """The call as it is, or one with something changed that mostly makes it fail."""
    sizes, pattern, lengths = call
    how = draw(st.sampled_from(["no"] * 12 + ["insert", "insert", "cut", "size", "rank", "more", "fewer", "length"]))
    if how == "insert":
        place = draw(st.integers(0, len(pattern)))
        pattern = pattern[:place] + draw(_SPOILS) + pattern[place:]
    elif how == "cut":
        place = draw(st.integers(0, len(pattern) - 1))
        pattern = pattern[:place] + pattern[place + 1 :]
    elif how == "size" and sizes:
        place = draw(st.integers(0, len(sizes) - 1))
        sizes = (*sizes[:place], draw(st.integers(1, 8)), *sizes[place + 1 :])
    elif how == "rank":
        sizes = draw(st.sampled_from([sizes[1:], (*sizes, 2), (1, *sizes)]))
    elif how == "more":
        lengths = {**lengths, draw(st.sampled_from("abgz")): draw(_LENGTHS)}
    elif how == "fewer" and lengths:
        lengths = {name: length for name, length in lengths.items() if name != min(lengths)}
    elif how == "length" and lengths:
        lengths = {**lengths, min(lengths): draw(_LENGTHS)}
    return sizes, pattern, lengths


@st.composite
def _moves(draw: st.DrawFn, operation: str) -> Drawn:
    sizes, pattern, lengths = draw(_spoiled(draw(_pattern(operation))))
    dtype = draw(DTYPES)
    if sizes and draw(st.integers(0, 5)) == 0:
        others = sizes[1:] if draw(st.integers(0, 9)) else tuple(draw(st.permutations(sizes[1:])))
        return Drawn(([T(sizes[1:], dtype), *[T(others, dtype)] * (sizes[0] - 1)], pattern), lengths)
    return Drawn((T(sizes, dtype), pattern), lengths)


@st.composite
def _reduces(draw: st.DrawFn) -> Drawn:
    sizes, pattern, lengths = draw(_spoiled(draw(_pattern("reduce"))))
    how = draw(st.sampled_from(["min", "max", "sum", "mean", "prod", "any", "all", "rearrange", "median"]))
    return Drawn((T(sizes, draw(DTYPES)), pattern, how), lengths)


def _as_layer(drawn: Drawn) -> Drawn:
    if isinstance(drawn.args[0], list):  # a layer takes no list
        drawn = replace(drawn, args=(drawn.args[0][0], *drawn.args[1:]))
    return Drawn((drawn.args[0],), built=drawn.args[1:], built_with=drawn.kwargs)


@st.composite
def _einsum(draw: st.DrawFn) -> Drawn:
    lengths = {name: draw(_LENGTHS) for name in _NAMES[:4]}
    dots = draw(st.lists(_LENGTHS, max_size=2))
    tensors, words, used = [], [], [""]
    dtype = draw(st.sampled_from(["float32", "float64", "int64"]))
    for _ in range(draw(st.integers(1, 3))):
        names = draw(st.lists(st.sampled_from(list(lengths)), max_size=3, unique=draw(st.integers(0, 5)) > 0))
        sizes = [[draw(st.sampled_from([lengths[name]] * 9 + [1, 4]))] for name in names]
        used += names
        if draw(st.integers(0, 2)) == 0:
            place = draw(st.integers(0, len(names)))
            names.insert(place, "...")
            sizes.insert(place, dots)
        tensors.append(T(tuple(size for several in sizes for size in several), dtype))
        words.append(" ".join(names))
    known = sorted({*used} - {""})
    after = draw(st.lists(st.sampled_from(known), unique=True)) if known else []
    if draw(st.booleans()):
        after.insert(draw(st.integers(0, len(after))), "...")
    pattern = f"{', '.join(words)} -> {' '.join(after)}"
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(pattern)))
        pattern = (
            pattern[:place]
            + draw(st.sampled_from([" a ", " e ", ",", " (a b) ", " 2 ", " 1 ", ".", "->", "a"]))
            + pattern[place:]
        )
    return Drawn((*tensors, pattern))


_PACKS = st.sampled_from(
    ["*"] * 3 + ["a *"] * 3 + ["* c"] * 3 + ["a * c", "a b *"] + ["a c", "a a *", "* *", "1 *", "a* ", "_ *"]
)
"""Patterns for at most two axes beside those that are packed."""


@st.composite
def _pack(draw: st.DrawFn) -> Drawn:
    pattern = draw(_PACKS)
    before, _, after = pattern.partition("*")
    first, last = ([draw(_LENGTHS) for _ in side.split()] for side in (before, after))
    shapes = [(*first, *draw(st.lists(_LENGTHS, max_size=2)), *last) for _ in range(draw(st.integers(1, 3)))]
    if draw(st.integers(0, 4)) == 0:
        shapes[-1] = tuple(draw(st.lists(_LENGTHS, max_size=3)))
    return Drawn(([T(shape, draw(DTYPES)) for shape in shapes], pattern))


@st.composite
def _unpack(draw: st.DrawFn) -> Drawn:
    pattern = draw(_PACKS)
    before, _, after = pattern.partition("*")
    first, last = ([draw(_LENGTHS) for _ in side.split()] for side in (before, after))
    shapes = [draw(st.lists(_LENGTHS, max_size=2)) for _ in range(draw(st.integers(1, 3)))]
    total = sum(map(prod, shapes))
    if draw(st.booleans()):
        shape = draw(st.sampled_from(shapes))
        if shape:
            shape[-1] = -1
    total += draw(st.sampled_from([0, 0, 0, 0, 1, -2]))
    sizes = (*first, max(total, 0), *last, *draw(st.sampled_from([()] * 9 + [(2,)])))
    return Drawn((T(sizes, draw(FLOATS)), [tuple(shape) for shape in shapes], pattern))


CASES = [
    Case(("einops.rearrange",), _moves("rearrange"), real="values"),
    Case(("einops.repeat",), _moves("repeat"), real="values"),
    Case(("einops.reduce",), _reduces(), real="values"),
    Case(("einops.einsum",), _einsum(), real="values"),
    Case(("einops.pack",), _pack(), real="values"),
    Case(("einops.unpack",), _unpack(), real="values"),
    Case(("einops.layers.torch.Rearrange.__call__",), _moves("rearrange").map(_as_layer), real="values"),
    Case(("einops.layers.torch.Reduce.__call__",), _reduces().map(_as_layer), real="values"),
]
