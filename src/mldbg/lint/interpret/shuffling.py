"""Rows in random order: which arrays were shuffled alike, and which are paired although they were not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Paired
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code, last_name
from mldbg.lint.interpret.value import Data, Function, Items, Shuffle, Symbol, Value
from mldbg.lint.library.names import says_label

DRAWING = frozenset(
    [
        *("shuffle", "permutation", "permuted", "randperm", "sample"),
        *("seed", "manual_seed", "random_seed", "set_seed", "get_state", "set_state", "getstate", "setstate"),
    ]
)
"""Names of calls that draw a random order, or say where the drawing begins."""

PAIRING = frozenset({"fit", "partial_fit", "train_test_split", "zip", "TensorDataset", "from_tensor_slices", "score"})
"""Names of calls that take rows of several arrays for pairs."""

_LIBRARIES = ("numpy.random.", "random.", "sklearn.utils.", "torch.", "tensorflow.random.", "cupy.random.")
_GENERATOR = re.compile(r"rng|rand|(^|_)(?:gen|generator|prng|rs|r)(_|$|\d)|state", re.IGNORECASE)
_COUNTS = re.compile(r"^(?:\d|len\(|\w*\.shape\[0\]|\w*\.size\(0\)|n$|n_\w+$|num_?\w*$|size$|\w*_size$|total$|N$|m$)")
_LABELS = re.compile(r"mask|annot|caption|(^|_)(?:gt|truth|tgt|labels?|targets?|classes|y|ys)(_|$|\d)", re.IGNORECASE)

MOST_SHUFFLES = 4
MOST_DRAWN = 3
"""Orders drawn after one seed that are told apart by their number; later ones by their place."""


class Shuffling:
    """Gives arrays the order that they are shuffled into."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self.machine = machine
        self.contents = contents
        self._streams: dict[object, tuple[object, int]] = {}
        """Of each generator what it was seeded with, and how many orders were drawn since."""

    # ------------------------------------------------------------------------------------------------------------- drawing
    def drawn(
        self, node: cst.Call, name: str, base: Value, arguments: Sequence[Argument], result: Value
    ) -> tuple[Value, Value | None]:
        """The result of a call, and what its first argument has become where it is shuffled in place."""
        library = self._library(name, base)
        if library is None and not self._is_generator(node, base):
            return (self._sampled(node, base, arguments, result), None) if name == "sample" else (result, None)
        stream = library.rpartition(".")[0] if library is not None else base.origin
        if "seed" in name or "state" in name:
            self._streams[stream] = ("state" if "state" in name else tuple(code(arg.value) for arg in node.args), 0)
            return result, None
        site = self.machine.site(node)
        arrays = [each for each in arguments if each.keyword in (None, "x", "a", "array", "value")]
        if not arrays or name == "sample":
            return result, None
        shuffle = Shuffle((*self._drawing(node, stream, base), len(arrays) > 1 and site), site)
        if library == "sklearn.utils.shuffle":
            if len(arrays) == 1:
                return _in_order(result, arrays[0].value, shuffle), None
            items = result.thing
            if not isinstance(items, Items) or len(items.tail) != len(arrays):
                return result, None
            tail = tuple(_in_order(item, each.value, shuffle) for item, each in zip(items.tail, arrays, strict=True))
            return replace(result, thing=replace(items, tail=tail)), None
        first = arrays[0]
        if name == "shuffle" and library != "tensorflow.random.shuffle":
            return result, _in_order(first.value, first.value, shuffle)
        counts = first.node is not None and _COUNTS.search(code(first.node)) is not None
        source = Value() if counts or name == "randperm" else first.value
        return _in_order(result, source, shuffle), None

    def _library(self, name: str, base: Value) -> str | None:
        """The qualified name of a function that draws from a stream of its library."""
        if not isinstance(base.thing, Symbol):
            return None
        qualified = base.thing.name if base.thing.name.rpartition(".")[2] == name else f"{base.thing.name}.{name}"
        return qualified if qualified.startswith(_LIBRARIES) else None

    def _is_generator(self, node: cst.Call, base: Value) -> bool:
        """Whether a method is one of a generator: `rng.shuffle(X)`."""
        if not isinstance(node.func, cst.Attribute) or isinstance(base.thing, Symbol | Function):
            return False
        text = code(node.func.value)
        return bool(_GENERATOR.search(last_name(node.func.value)) or "Random(" in text or "default_rng(" in text)

    def _drawing(self, node: cst.Call, stream: object, base: Value) -> tuple[object, ...]:
        """How an order is drawn: with which seed, as which one after it; else by its place."""
        for arg in node.args:
            if (
                arg.keyword is not None
                and arg.keyword.value in ("random_state", "seed", "generator")
                and code(arg.value) != "None"
            ):
                return ("seed", code(arg.value))
        made = base.origin.site.node if base.origin is not None and base.origin.site is not None else None
        if not isinstance(base.thing, Symbol) and isinstance(made, cst.Call) and made.args and stream not in self._streams:
            self._streams[stream] = (code(made), 0)
        seed, count = self._streams.get(stream, (None, MOST_DRAWN))
        if seed is None or count >= MOST_DRAWN:
            return ("place", self.machine.site(node))
        self._streams[stream] = (seed, count + 1)
        return ("seed", seed, count)

    def _sampled(self, node: cst.Call, base: Value, arguments: Sequence[Argument], result: Value) -> Value:
        """`table.sample(frac=1)`"""
        share = next((each.value.constant for each in arguments if each.keyword == "frac"), None)
        if share not in (1, 1.0):
            return result
        site = self.machine.site(node)
        return _in_order(result, base, Shuffle(self._drawing(node, "numpy.random", base), site))

    # ------------------------------------------------------------------------------------------------------------- pairing
    def paired(self, name: str, arguments: Sequence[Argument], site: Site) -> None:
        """Rows of several arrays are taken for pairs."""
        given = [(each.value, _called(each.node)) for each in arguments if each.keyword in (None, "X", "x", "y")]
        if name == "from_tensor_slices" and len(given) == 1:
            items = self.contents.items_of(given[0][0])
            given = [(value, "") for value in items.tail] if items is not None and items.exact else []
        for (first, one), (second, other) in pairwise(given):
            apart = _apart(_order(first), _order(second))
            if apart is not None and (name != "zip" or says_label(other) or _LABELS.search(other)):
                self.machine.facts.append(Paired(self.machine.place(site), apart[0].site, apart[1].site, (one, other)))
                return


def _called(node: cst.BaseExpression | None) -> str:
    """What an array is called: `X` of `torch.tensor(X)`."""
    while isinstance(node, cst.Call) and node.args:
        node = node.args[0].value
    return last_name(node)


def _order(value: Value) -> tuple[Shuffle, ...]:
    return value.data.order if value.data is not None else ()


def _in_order(made: Value, source: Value, shuffle: Shuffle) -> Value:
    """A value whose rows are those of another one, in a new order."""
    order = (*_order(source), shuffle)[-MOST_SHUFFLES:]
    return replace(made, data=replace(made.data or Data(rows=made.rows), order=order))


def _apart(one: tuple[Shuffle, ...], two: tuple[Shuffle, ...]) -> tuple[Shuffle, Shuffle] | None:
    """The first shufflings that two arrays do not share; None where one of them was only shuffled as the other was, or less."""
    return next(((first, second) for first, second in zip(one, two, strict=False) if first != second), None)
