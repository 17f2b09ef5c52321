"""Shapes carried through operations: each call that the transfer functions know gets the shape of its result.

Only where shapes are followed (`Shaping.on`); elsewhere every method gives back what it got.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.batches import Batches
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Broadcast, Call, Misfit, Place
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.shapes import FLOAT, INT, argument, is_number, name_of, number, size_of
from mldbg.lint.interpret.slots import ArgumentOf, argument_of
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import (
    VALUES_AND_INDICES,
    Constant,
    Entries,
    Items,
    Object,
    Opaque,
    Shaped,
    Trail,
    Unknown,
    Value,
    literal,
    onward,
)
from mldbg.operations import dtypes, shape
from mldbg.operations.shape import Each, Mismatch, NotGiven, Perhaps, Rest, Shape, Tensor, Transfer, Unsure, crossed
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, atom
from mldbg.operations.transfers.tables import ROWS

OPERATORS: dict[type[cst.CSTNode], str] = {
    cst.Add: "add",
    cst.AddAssign: "add",
    cst.Subtract: "sub",
    cst.SubtractAssign: "sub",
    cst.Multiply: "mul",
    cst.MultiplyAssign: "mul",
    cst.Divide: "div",
    cst.DivideAssign: "div",
    cst.FloorDivide: "floor_divide",
    cst.FloorDivideAssign: "floor_divide",
    cst.Modulo: "remainder",
    cst.ModuloAssign: "remainder",
    cst.Power: "pow",
    cst.PowerAssign: "pow",
    cst.MatrixMultiply: "matmul",
    cst.MatrixMultiplyAssign: "matmul",
    cst.BitAnd: "bitwise_and",
    cst.BitOr: "bitwise_or",
    cst.BitOrAssign: "bitwise_or",
    cst.BitAndAssign: "bitwise_and",
    cst.BitXorAssign: "bitwise_xor",
    cst.BitXor: "bitwise_xor",
    cst.Equal: "eq",
    cst.NotEqual: "ne",
    cst.LessThan: "lt",
    cst.LessThanEqual: "le",
    cst.GreaterThan: "gt",
    cst.GreaterThanEqual: "ge",
}
"""The torch function that an operator stands for."""

MOST_NUMBERS = 16
"""Numbers of a range that are told one by one."""

_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "floor_divide": "//"}
_SIGNS = {
    **_ARITHMETIC,
    "div": "/",
    "remainder": "%",
    "pow": "**",
    "matmul": "@",
    "bitwise_and": "&",
    "bitwise_or": "|",
    "bitwise_xor": "^",
    "eq": "==",
    "ne": "!=",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
}

_WITH_PLACES = frozenset({"max", "min", "topk", "sort", "median", "nanmedian", "mode", "kthvalue", "cummax", "cummin"})
"""Functions that return values and their places under the names `values` and `indices`."""

_STRETCHES = frozenset({"unsqueeze", "expand_dims"})
_MAKES_ARRAY = frozenset({"numpy", "__array__"})
_LEAVES_SHAPE_OF_ARRAY = frozenset({"astype", "copy"})
_SHAPES_ANYTHING = frozenset({"view", "reshape"})
"""Methods that say the shape of something of which nothing is known."""

_COUNTS = frozenset({"builtins.len", "builtins.int", "builtins.range", "builtins.enumerate"})

_REGISTERS = frozenset({"register_buffer", "register_parameter"})

_ASKS_FOR_SHAPE = re.compile(r"\.shape\b|\.ndim\b|\.size\(|\.dim\(\)|\.numel\(|\blen\(")

_PRODUCTS = frozenset({"matmul", "mm", "bmm", "einsum", "t", "T", "cdist"})
"""Operations after which the first axis is another one, even where it has the same size."""

_MOVES = frozenset({"transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis"})
"""Operations that move axes."""

_NUMBERS = ("math.", "builtins.float", "builtins.round")
"""Functions whose result is a number and no tensor."""

_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real", "imag", "data", "grad"})


class Shaping:
    """Applies transfer functions to abstract values.

    Attributes:
        on: whether shapes are followed.
    """

    def __init__(self, machine: Machine, contents: Contents, batches: Batches) -> None:
        self.machine = machine
        self.contents = contents
        self.batches = batches
        self.on = False
        self.wanted: frozenset[str] = frozenset()
        """Names of calls that some rule listens to."""

    def tells(self, name: str) -> bool:
        """Whether the rules hear of a call from here, with the shapes in it."""
        return self.on and name in ROWS

    # --- calls ---

    def function(self, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """The result of a function outside the project."""
        if not self.on:
            return result
        if name in _COUNTS and arguments:
            return self._count(name, arguments, site, result)
        made = self.batches.function(name, arguments, site, result)
        if made is not None:
            return made
        row = ROWS.get(name)
        if row is None:
            return number_result(name, result)
        return self._called(name, row, arguments, {}, site, result)

    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """The result of a method outside the project."""
        if not self.on:
            return result
        if name in _REGISTERS and isinstance(base.thing, Object):
            self._register(base.thing, arguments)
            return result
        made = self.batches.method(base, name, arguments, result) or self._method(base, name, arguments, site, result)
        if made is not None:
            return made
        return replace(result, shaped=None) if result.shaped is not None and result.shaped is base.shaped else result

    def _register(self, module: Object, arguments: Sequence[Argument]) -> None:
        """`self.register_buffer("mask", mask)` sets an attribute."""
        values = [argument.value for argument in arguments]
        if len(values) > 1 and isinstance(values[0].constant, str):
            self.machine.state.set(module.ref, values[0].constant, values[1])

    def _method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        if base.shaped is None:
            if not _is_plain(base):
                return None
            if name == "size":
                return self._size_of_unknown(base, arguments)
            if name not in _SHAPES_ANYTHING:
                return None
        elif base.shaped.is_array:
            return self._method_of_array(base, base.shaped, name, arguments, site, result)
        if name in _MAKES_ARRAY and base.shaped is not None:
            return replace(result, shaped=replace(base.shaped, is_array=True))
        row = ROWS.get(f"torch.Tensor.{name}") or ROWS.get(f"torch.Tensor.{name.removesuffix('_')}")
        if row is None:
            return None
        return self._called(f"torch.Tensor.{name}", row, [Argument(base), *arguments], {}, site, result)

    def _method_of_array(
        self, base: Value, shaped: Shaped, name: str, arguments: Sequence[Argument], site: Site, result: Value
    ) -> Value | None:
        if name in _LEAVES_SHAPE_OF_ARRAY:
            dtype = _named_dtype(arguments[0].value) if name == "astype" and arguments else shaped.tensor.dtype
            return replace(result, shaped=replace(shaped, tensor=replace(shaped.tensor, dtype=dtype)))
        given = [Argument(base), *arguments]
        if name in ("reshape", "flatten"):
            row = ROWS.get(f"torch.Tensor.{name}")
        elif name == "transpose":
            row = ROWS.get("numpy.transpose")
            positional = [one for one in arguments if one.keyword is None]
            if len(positional) > 1:
                given = [Argument(base), Argument(Value(Items("builtins.tuple", tuple(one.value for one in positional))))]
        else:
            row = ROWS.get(f"numpy.{name}")
        return self._called(f"numpy.{name}", row, given, {}, site, result) if row is not None else None

    def layer(self, cls: str, layer: Value, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """The result of calling an object of a class outside the project."""
        row = ROWS.get(f"{cls}.__call__") if self.on else None
        if row is None or not isinstance(layer.thing, Object):
            return result
        record = self.machine.state.record(layer.thing.ref)
        built = {key.name: value for key, value in record.items() if isinstance(key, ArgumentOf)}
        rank = 3 if cls.rpartition(".")[2] in _RECURRENT and "batch_first" in built else _TAKES_BATCHES.get(f"{cls}.__call__")
        if rank is not None and not cls.startswith("torch.nn.BatchNorm"):
            arguments = [*(_as_batch(argument, rank) for argument in arguments[:1]), *arguments[1:]]
        return self._called(f"{cls}.__call__", row, arguments, built, site, result, layer)

    def operation(self, operator: cst.CSTNode, left: Value, right: Value, site: Site, result: Value) -> Value:
        """The result of an operator."""
        name = OPERATORS.get(type(operator)) if self.on else None
        if name is None:
            return result
        if left.shaped is None and right.shaped is None:
            return self._number(name, left, right, result)
        row = ROWS.get(f"torch.{name}")
        if row is None:
            return _without_shape(result)
        if name != "matmul" and (_may_be_tensor(left) or _may_be_tensor(right)):
            known = left.shaped or right.shaped
            return replace(result, shaped=_with_unknown(known), size=None) if known is not None else result
        return self._called(f"torch.{name}", row, [Argument(left), Argument(right)], {}, site, result)

    def _number(self, name: str, left: Value, right: Value, result: Value) -> Value:
        """Arithmetic of two values of which none is known to be a tensor."""
        size = _computed(name, left, right)
        if size is not None:
            sure = is_number(left) or is_number(right)
            return replace(result, thing=Opaque(INT) if sure else result.thing, size=None if _is_any(size) else size)
        numbers = [is_number(one) or isinstance(one.constant, int | float) for one in (left, right)]
        in_init = self.machine.frame.is_init and True in numbers and _is_plain(left if numbers[1] else right)
        if name in _ARITHMETIC_OF_NUMBERS and (all(numbers) or in_init) and isinstance(result.thing, Unknown):
            return replace(result, thing=Opaque(FLOAT))  # what an __init__ computes with are settings
        return result

    def unary(self, value: Value, result: Value) -> Value:
        """Minus a tensor, the opposite of a mask: the same shape. Minus a size."""
        if not self.on:
            return result
        if value.shaped is not None:
            return replace(result, shaped=replace(value.shaped, batch_first=None))
        return replace(result, size=None if value.size is None or _is_any(-value.size) else -value.size)

    def _note_crossing(self, name: str, left: Value, right: Value, site: Site, result: Value) -> None:
        """Tell of `(n, 1)` that meets `(n,)`, which gives `(n, n)`, and of a square matrix over the sums of its rows."""
        if left.shaped is None or right.shaped is None or result.shaped is None:
            return
        one, two = left.shaped.tensor.shape, right.shaped.tensor.shape
        place = self.machine.place(site)
        if one is None or two is None or self._is_told_apart(place):
            return
        source = right.shaped.reduced_from
        turned = source is not None and source[0] is left.origin and source[1] > 0 and one.rank == 2
        if crossed(one, two) or turned:
            self.machine.facts.append(Broadcast(place, _SIGNS[name], left, right, result))

    def _called(
        self,
        name: str,
        row: Transfer,
        arguments: Sequence[Argument],
        built: Mapping[str, Value],
        site: Site,
        result: Value,
        layer: Value | None = None,
    ) -> Value:
        """The result with the shape that the row gives it; without one where that is not known, or the call cannot work."""
        if any(each.star for each in arguments):
            return _without_shape(result)
        positional = [each.value for each in arguments if each.keyword is None]
        keywords = {**built, **{each.keyword: each.value for each in arguments if each.keyword is not None}}
        given = row.bound(
            [self._argument(value) for value in positional], {key: self._argument(value) for key, value in keywords.items()}
        )
        operands = tuple(value for value in (*positional, *keywords.values()) if value.shaped is not None)
        try:
            made = row.compute(given)
        except (Unsure, ValueError, OverflowError):  # a count from a number that is not known, which is passed on as nan
            self._tell(name, row, positional, keywords, layer, site, _without_shape(result))
            return _without_shape(result)
        except Mismatch as mismatch:
            if name.endswith("__getitem__") and given.shape().rank == 0:
                return _without_shape(result)  # `loss.data[0]`, as it was written before torch 0.4
            self._fails(Misfit(self.machine.place(site), name, mismatch, operands, layer))
            return _without_shape(result)
        before = operands[0].shaped if operands else None
        ladder = before.ladder if before is not None else None
        short = name.removesuffix(".__call__").rpartition(".")[2]
        is_array = name.startswith(("numpy.", "sklearn.")) or (
            name not in _FROM_ARRAY and any(_is_array(value) for value in operands)
        )
        on_purpose = short in _STRETCHES or _has_new_axis(positional) or _keeps_axis(keywords)
        stretched = site if on_purpose else before.stretched if before is not None else None
        whole = _Made(site, short, before, ladder, is_array=is_array, stretched=stretched).value(made, result)
        if whole.shaped is not None and _first_stays(short, positional):
            if name in _TAKES_BATCHES or _keeps_batch(before, whole.shaped):
                whole = replace(whole, shaped=replace(whole.shaped, is_batch=_has_batch(name, operands)))
            elif short == "__getitem__" and _picks_samples(positional[1]) and whole.shaped is not None:
                whole = replace(whole, shaped=replace(whole.shaped, is_batch=True))
        if short in _ORDERED:
            first = self._batch_first(keywords)
            whole = _with_order(whole, first, site)
            keywords = {**keywords, "batch_first": literal(first) if first is not None else Value()}
        if short in _SIGNS and short != "matmul" and len(positional) == 2:
            self._note_crossing(short, positional[0], positional[1], site, whole)
        if short in _REDUCES and whole.shaped is not None and positional:
            whole = replace(whole, shaped=replace(whole.shaped, reduced_from=_reduced(positional, keywords, whole.shaped)))
        self._tell(name, row, positional, keywords, layer, site, whole)
        return whole

    def _tell(
        self,
        name: str,
        row: Transfer,
        positional: Sequence[Value],
        keywords: Mapping[str, Value],
        layer: Value | None,
        site: Site,
        result: Value,
    ) -> None:
        """Tell the rules of a call that works."""
        if name not in self.wanted or not isinstance(site.node, cst.BaseExpression):
            return
        given = dict(keywords)
        for index, (param, value) in enumerate(zip(row.params, positional, strict=False)):
            if param.startswith("*"):
                given[param[1:]] = Value(Items("builtins.tuple", tuple(positional[index:])))
                break
            given[param] = value
        grad = self.machine.state.grad
        self.machine.facts.append(Call(self.machine.place(site), name, given, {}, layer, result, grad))

    def _fails(self, misfit: Misfit) -> None:
        """Tell of a call that fails. What stands behind it is not reached."""
        if self._is_told_apart(misfit.place):
            return
        self.machine.facts.append(misfit)
        self.machine.state.live = False

    def _batch_first(self, built: Mapping[str, Value]) -> bool | None:
        """Whether a layer was built to take the first axis for the batch; of a stack of layers whether its layers were."""
        inner = built.get("encoder_layer")
        if inner is not None:
            if not isinstance(inner.thing, Object):
                return None
            record = self.machine.state.record(inner.thing.ref)
            built = {key.name: value for key, value in record.items() if isinstance(key, ArgumentOf)}
        given = built.get("batch_first")
        if given is None:
            return False
        return given.constant if isinstance(given.constant, bool) else None

    def _is_told_apart(self, place: Place) -> bool:
        """Whether the program has asked for shapes on the way here: what it does then it does for some shapes only."""
        return any(_ASKS_FOR_SHAPE.search(code(condition.test.node)) for condition in place.conditions)

    def _argument(self, value: Value) -> shape.Argument:
        items = self.contents.items_of(value) if isinstance(value.thing, Object) and value.thing.cls == "builtins.list" else None
        return argument(value, items)

    # --- items and attributes ---

    def item(self, base: Value, indices: Sequence[Value], site: Site, result: Value) -> Value:
        """`tensor[indices]`."""
        if not self.on:
            return result
        if base.shaped is None:
            size = self._size_at(base, indices)
            return size if size is not None else result
        column = self.batches.item(base, indices[0], result) if base.shaped.is_table and len(indices) == 1 else None
        if column is not None:
            return column
        row = ROWS["torch.Tensor.__getitem__"]
        index = Value(Items("builtins.tuple", tuple(indices)))
        made = self._called("torch.Tensor.__getitem__", row, [Argument(base), Argument(index)], {}, site, result)
        if made.shaped is not None and base.shaped.is_table:
            return replace(made, shaped=replace(made.shaped, is_table=True))
        return made

    def attribute(self, base: Value, name: str, site: Site, result: Value) -> Value:
        """`tensor.shape`, `tensor.T`."""
        if not self.on:
            return result
        if base.shaped is None:
            return self._setting(base, name, result)
        known = base.shaped.tensor.shape
        if name == "shape":
            return _sizes(known) if known is not None else result
        if name in ("ndim", "dim") and known is not None and known.rank is not None:
            return number(known.rank) if name == "ndim" else result
        if name == "dtype":
            return result
        if name in ("data", "grad"):
            return replace(result, shaped=base.shaped)
        if base.shaped.is_table:
            if name == "values":
                return replace(result, shaped=replace(base.shaped, is_table=False))
            if name in ("iloc", "loc", "at", "iat"):
                return replace(result, shaped=base.shaped)
            return self.batches.column(base, result)
        row = ROWS.get(f"torch.Tensor.{name}") if name in _ATTRIBUTES else None
        return self._called(f"torch.Tensor.{name}", row, [Argument(base)], {}, site, result) if row is not None else result

    def _setting(self, base: Value, name: str, result: Value) -> Value:
        """`self.rnn.bidirectional`: what a layer was built with."""
        thing = base.thing
        if not isinstance(thing, Object) or not isinstance(thing.cls, str) or not thing.cls.startswith("torch.nn."):
            return result
        given = self.machine.state.get(thing.ref, argument_of(name))
        return given if given is not None else result

    def _range(self, arguments: Sequence[Argument], site: Site) -> Value:
        """The numbers of a range: one by one where they are few and something is built from them."""
        bounds = [number for argument in arguments if isinstance(number := argument.value.constant, int)]
        builds = self.machine.frame.is_init or isinstance(site.part.parents.get(site.node), cst.CompFor)
        if builds and len(bounds) == len(arguments) <= 3 and 0 not in bounds[2:]:
            numbers = range(*bounds)
            if len(numbers) <= MOST_NUMBERS:
                return Value(Items("builtins.range", tuple(map(literal, numbers))))
        return Value(Items("builtins.range", (), Value(Opaque(INT))))

    def _count(self, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """`len(tensor)`, `int(size)`, `range(4)`, `enumerate(layers)`."""
        value = arguments[0].value
        if name == "builtins.int":
            size = size_of(value)
            return number(size) if size is not None else Value(Opaque(INT)) if result.thing == Unknown() else result
        if name == "builtins.range":
            return self._range(arguments, site) if isinstance(result.thing, Unknown) else result
        if name == "builtins.enumerate":
            return _with_numbers(result)
        known = value.shaped.tensor.shape if value.shaped is not None else None
        if known is not None and known.least_rank > 0:
            return number(known.at(0))
        return Value(Opaque(INT), origin=result.origin) if isinstance(result.thing, Unknown) else result

    def _size_of_unknown(self, base: Value, arguments: Sequence[Argument]) -> Value | None:
        """`x.size(0)` of an `x` of which nothing is known."""
        axis = arguments[0].value.constant if arguments else None
        ref = identity(base)
        if not isinstance(axis, int) or ref is None:
            return None
        return number(axis_atom(ref, axis))

    def _size_at(self, base: Value, indices: Sequence[Value]) -> Value | None:
        """`x.shape[0]` of an `x` of which nothing is known."""
        thing = base.thing
        if not isinstance(thing, Object) or thing.ref.kind is not Made.ATTRIBUTE or thing.ref.detail != "shape":
            return None
        axis = indices[0].constant if len(indices) == 1 else None
        if not isinstance(axis, int) or thing.ref.whole is None:
            return None
        return number(axis_atom(thing.ref.whole, axis))

    # --- what a program says about shapes ---

    def unpacked(self, value: Value, names: Sequence[str], site: Site) -> Value | None:
        """What is known of `x` once `b, t, d = x.shape` has worked: its rank, and a name for each size that was not known."""
        known = value.shaped.tensor.shape if value.shaped is not None else None
        ref = identity(value)
        if known is None:
            if ref is None or not (value.shaped is not None or _is_plain(value)):
                return None
            known = Shape((), shape.Rest(), ())
        if known.rest is None and len(known.front) != len(names):
            counted = shape.counted(len(known.front), "axis", "axes")
            reason = f"{known} has {counted}, and {shape.counted(len(names), 'name gets', 'names get')} a size"
            mismatch = Mismatch(shape.Problem.RANK, reason)
            self._fails(Misfit(self.machine.place(site), "shape", mismatch, (value,), None))
            return None
        missing = len(names) - known.least_rank
        if missing < 0:
            return None
        dims = (*known.front, *(ANY,) * (missing if known.rest is not None else 0), *known.back)
        named = tuple(
            atom(name, (ref or site, index)) if isinstance(dim, AnySize) else dim
            for index, (name, dim) in enumerate(zip(names, dims, strict=True))
        )
        dtype = value.shaped.tensor.dtype if value.shaped is not None else None
        return self.with_shape(value, Tensor(Shape(named), dtype), site, "unpacked as")

    def with_shape(self, value: Value, tensor: Tensor, site: Site, said: str) -> Value:
        """The value with a shape that the program states."""
        before = value.shaped
        if before is not None and before.tensor == tensor:
            return value
        ladder = onward(before.ladder if before is not None else None, site, f"{said} {tensor.shape}")
        return replace(value, shaped=Shaped(tensor, ladder, before.stretched if before is not None else None))


_TAKES_BATCHES: dict[str, int] = {
    **{f"torch.nn.Conv{n}d.__call__": n + 2 for n in (1, 2, 3)},
    **{f"torch.nn.ConvTranspose{n}d.__call__": n + 2 for n in (1, 2, 3)},
    **{f"torch.nn.functional.conv{n}d": n + 2 for n in (1, 2, 3)},
    **{f"torch.nn.BatchNorm{n}d.__call__": n + 1 for n in (1, 2, 3)},
}
"""Layers whose input has a batch on axis 0 from so many axes on."""


def _has_batch(name: str, operands: Sequence[Value]) -> bool:
    """Whether the first axis of what a layer gives is known to be that of a batch."""
    first = operands[0].shaped if operands else None
    if first is None:
        return False
    shape = first.tensor.shape
    return first.is_batch or (shape is not None and shape.least_rank >= _TAKES_BATCHES.get(name, 99))


_ORDERED = frozenset({"LSTM", "GRU", "RNN", "MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder"})
"""Layers that take one of the first two axes for the batch."""

_REDUCES = frozenset({"sum", "mean", "amax", "norm", "logsumexp"})
_ARITHMETIC_OF_NUMBERS = frozenset({*_ARITHMETIC, "div", "pow", "remainder"})


_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


def _as_batch(argument: Argument, rank: int) -> Argument:
    """What a layer gets of which the number of axes is not known: a batch, which code hardly ever leaves away.

    So it is with pictures before a convolution, and with sequences before a layer that was told where the batch is.
    """
    value = argument.value
    if value.shaped is None and not _is_plain(value):
        return argument
    shaped = value.shaped or Shaped(Tensor())
    shape = shaped.tensor.shape or Shape((), Rest(), ())
    if shape.rest is None or shape.least_rank > rank:
        return argument
    closed = Shape((*shape.front, *(ANY,) * (rank - shape.least_rank), *shape.back))
    return replace(argument, value=replace(value, shaped=replace(shaped, tensor=replace(shaped.tensor, shape=closed))))


def _first_stays(name: str, positional: Sequence[Value]) -> bool:
    """Whether the first axis is the same one after an operation, as far as its arguments say."""
    if name in _MOVES:
        axes = [each for value in positional[1:] for each in (value.thing.tail if isinstance(value.thing, Items) else (value,))]
        if name == "permute":
            return bool(axes) and axes[0].constant == 0
        return bool(axes) and all(isinstance(axis.constant, int) and axis.constant != 0 for axis in axes)
    return name not in _PRODUCTS


def _picks_samples(index: Value) -> bool:
    """Whether rows are picked by their numbers: `x[batch]`, where `batch` is a tensor of them."""
    items = index.thing.tail if isinstance(index.thing, Items) else ()
    first = items[0].shaped if len(items) == 1 else None
    shape = first.tensor.shape if first is not None else None
    return first is not None and shape is not None and shape.rank == 1 and dtypes.kind(first.tensor.dtype) == "int"


def _with_order(result: Value, first: bool | None, site: Site) -> Value:
    """What a recurrent or attention layer gives, with the axis that it took for the batch."""
    items = result.thing if isinstance(result.thing, Items) and result.thing.tail else None
    output = items.tail[0] if items is not None else result
    if output.shaped is None or first is None:
        return result
    output = replace(output, shaped=replace(output.shaped, batch_first=(first, site)))
    return output if items is None else replace(result, thing=replace(items, tail=(output, *items.tail[1:])))


def _reduced(positional: Sequence[Value], keywords: Mapping[str, Value], result: Shaped) -> tuple[Ref, int] | None:
    """Which axis of which tensor was reduced, where it is gone."""
    value = positional[0]
    dim = positional[1] if len(positional) > 1 else keywords.get("dim", keywords.get("axis"))
    shape = value.shaped.tensor.shape if value.shaped is not None else None
    axis = dim.constant if dim is not None else None
    if not isinstance(axis, int) or shape is None or shape.rank is None or value.origin is None or result.tensor.shape is None:
        return None
    return (value.origin, axis % shape.rank) if result.tensor.shape.rank == shape.rank - 1 else None


def _keeps_batch(before: Shaped | None, after: Shaped) -> bool:
    """Whether the first axis is still the same one, by its size."""
    if before is None or not before.is_batch or before.tensor.shape is None or after.tensor.shape is None:
        return False
    one, two = before.tensor.shape, after.tensor.shape
    return one.least_rank > 0 and two.least_rank > 0 and one.rest is None and two.rest is None and one.at(0) == two.at(0)


_FROM_ARRAY = frozenset({"torch.from_numpy", "torch.tensor", "torch.as_tensor", "torch.Tensor", "torch.FloatTensor"})


class _Made:
    """Gives values the shapes that a transfer function computed for them."""

    def __init__(
        self, site: Site, name: str, before: Shaped | None, ladder: Trail | None, *, is_array: bool, stretched: Site | None
    ) -> None:
        self._site = site
        self._name = name
        self._before = before
        self._ladder = ladder
        self._is_array = is_array
        self._stretched = stretched

    def value(self, made: shape.Result, result: Value) -> Value:
        """The value with its shape; of a tuple each element."""
        if isinstance(made, Tensor):
            return self._tensor(made, result)
        if isinstance(made, Each):
            return Value(Items("builtins.tuple", (), self._tensor(made.tensor, _element(result))), data=result.data)
        if isinstance(made, tuple):
            held = result.thing if isinstance(result.thing, Items) and result.thing.exact else None
            elements = held.tail if held is not None and len(held.tail) == len(made) else [_element(result)] * len(made)
            cls = VALUES_AND_INDICES if self._name in _WITH_PLACES and len(made) == 2 else "builtins.tuple"
            tail = tuple(self.value(one, element) for one, element in zip(made, elements, strict=True))
            return replace(result, thing=Items(held.cls if held is not None else cls, tail), shaped=None)
        if isinstance(made, int | Size) and not isinstance(made, bool):
            return number(made)
        return _without_shape(result)

    def _tensor(self, tensor: Tensor, result: Value) -> Value:
        if tensor.says_nothing:
            return _without_shape(result)
        dtype = dtypes.kind(tensor.dtype) if self._is_array and self._name in _SIGNS else tensor.dtype
        shaped = Shaped(replace(tensor, dtype=dtype), self._onward(tensor), self._stretched, is_array=self._is_array)
        thing = Unknown() if isinstance(result.thing, Items | Entries | Constant | Object) else result.thing
        return replace(result, thing=thing, shaped=shaped, size=None)

    def _onward(self, tensor: Tensor) -> Trail | None:
        after = tensor.shape
        if after is None:
            return self._ladder
        before = self._before.tensor.shape if self._before is not None else None
        if before == after:
            return self._ladder
        name = _SIGNS.get(self._name, self._name)
        text = f"`{name}`: {before} -> {after}" if before is not None else f"`{name}` gives {after}"
        return onward(self._ladder, self._site, text)


def _may_be_tensor(value: Value) -> bool:
    """Whether nothing is known of an operand, so that it may have any shape."""
    return isinstance(argument(value), Perhaps | NotGiven)


def _with_unknown(known: Shaped) -> Shaped | None:
    """What is known of arithmetic with something unknown: it may have more axes, and an axis of size 1 may grow."""
    shape = known.tensor.shape
    if shape is None:
        return None
    dims = shape.front if shape.rest is None else shape.back
    grown = Shape((), Rest(), tuple(ANY if dim == 1 else dim for dim in dims))
    return replace(known, tensor=Tensor(grown), is_batch=False)


def axis_atom(ref: Ref, axis: int) -> Size:
    """The size of an axis of something of which nothing else is known."""
    return atom(f"{name_of(ref)}.shape[{axis}]", (ref, axis))


def identity(value: Value) -> Ref | None:
    return value.thing.ref if isinstance(value.thing, Object) else value.origin


def _is_plain(value: Value) -> bool:
    """Whether it may be a tensor of which nothing is known."""
    thing = value.thing
    return isinstance(thing, Unknown) or (isinstance(thing, Object) and thing.cls is None)


def _computed(name: str, left: Value, right: Value) -> Dim | None:
    """What arithmetic of two numbers gives; None where one of them is none, or both are plain numbers."""
    one, two = size_of(left), size_of(right)
    if one is None or two is None or (isinstance(one, int) and isinstance(two, int)):
        return None
    match name:
        case "add":
            return one + two
        case "sub":
            return one - two
        case "mul":
            return one * two
        case "floor_divide":
            return one // two if two != 0 else None
        case _:
            return None


def _is_any(size: Dim) -> bool:
    return isinstance(size, AnySize | int)


def _is_array(value: Value) -> bool:
    return value.shaped is not None and value.shaped.is_array


def _without_shape(value: Value) -> Value:
    return replace(value, shaped=None) if value.shaped is not None else value


def _element(result: Value) -> Value:
    """One of several results, of which only where they come from is known."""
    return Value(data=result.data, origin=result.origin, attached=result.attached)


def _sizes(known: Shape) -> Value:
    """`tensor.shape` as a tuple."""
    if known.rest is None:
        return Value(Items("builtins.tuple", tuple(map(number, known.front))))
    return Value(Items("builtins.tuple", tuple(map(number, known.back)), Value(Opaque("builtins.int"))))


def _with_numbers(result: Value) -> Value:
    """What `enumerate` gives: the first of each pair is a number."""
    items = result.thing if isinstance(result.thing, Items) else None
    pair = items.lead.thing if items is not None and items.lead is not None else None
    if items is None or items.lead is None or not isinstance(pair, Items) or len(pair.tail) != 2:
        return result
    counted = replace(items.lead, thing=replace(pair, tail=(Value(Opaque(INT)), pair.tail[1])))
    return replace(result, thing=replace(items, lead=counted))


def number_result(name: str, result: Value) -> Value:
    """The result of a function of Python: a number, where it is one."""
    if not name.startswith(_NUMBERS) or not isinstance(result.thing, Unknown):
        return result
    return replace(result, thing=Opaque("builtins.float"), shaped=None)


def _keeps_axis(keywords: Mapping[str, Value]) -> bool:
    return any(keywords[name].constant is True for name in ("keepdim", "keepdims") if name in keywords)


def _has_new_axis(positional: Sequence[Value]) -> bool:
    """Whether an index holds None, or a reshape a literal 1."""
    index = positional[1].thing if len(positional) > 1 else None
    items = index.tail if isinstance(index, Items) and index.cls == "builtins.tuple" else ()
    return any(item.is_none for item in items)


def _named_dtype(value: Value) -> str | None:
    name = getattr(value.thing, "name", value.constant)
    return dtypes.named(name.rpartition(".")[2]) if isinstance(name, str) else None
