"""Shapes carried through operations: each call that the transfer functions know gets the shape of its result.

Only where shapes are followed (`Shaping.on`); elsewhere every method gives back what it got.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.arguments import Argument, bound
from mldbg.lint.interpret.attached import ATTACH, HANDLE, Attached
from mldbg.lint.interpret.batches import Batches
from mldbg.lint.interpret.construction import Construction
from mldbg.lint.interpret.declared import Declarations
from mldbg.lint.interpret.distributions import Distributions
from mldbg.lint.interpret.facts import Broadcast, Call, Misfit, Place
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.shape_marks import (
    ORDERED,
    RECURRENT,
    REDUCES,
    STRETCHES,
    TAKES_BATCHES,
    as_batch,
    column_of_labels,
    crossed_in_numbers,
    first_stays,
    has_batch,
    has_new_axis,
    is_longer,
    keeps_axis,
    keeps_batch,
    picks_samples,
    reduced,
    supposed,
    with_order,
)
from mldbg.lint.interpret.shape_results import (
    ARITHMETIC_OF_NUMBERS,
    FROM_ARRAY,
    IN_PLACE,
    OPERATORS,
    SIGNS,
    Shaper,
    asks_for_shape,
    axis_atom,
    computed,
    holds_array,
    identity,
    is_any,
    is_expected_to_fail,
    is_plain,
    is_tried,
    may_be_tensor,
    named_dtype,
    number_result,
    promoted_arrays,
    runs_backwards,
    sizes,
    with_numbers,
    with_unknown,
    without_shape,
)
from mldbg.lint.interpret.shapes import FLOAT, INT, argument, class_of_number, is_number, may_be_anything, number, size_of
from mldbg.lint.interpret.slots import ArgumentOf, argument_of
from mldbg.lint.interpret.value import (
    Items,
    Object,
    Opaque,
    Shaped,
    Unknown,
    Value,
    literal,
    onward,
)
from mldbg.lint.library.names import says_batch
from mldbg.operations import shape
from mldbg.operations.distributions import CONSTRUCTOR_PARAMETERS, PACKAGE
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Mismatch, Shape, Tensor, Transfer, Unsure, crossed
from mldbg.operations.sizes import ANY, AnySize, Dim, atom
from mldbg.operations.transfers import array_random, arrays
from mldbg.operations.transfers.tables import ROWS

DEEPEST_LIST = 4
"""Lists inside lists of numbers of which a tensor is made."""

MOST_NUMBERS = 16
"""Numbers of a range that are told one by one."""

_MAKES_ARRAY = frozenset({"numpy", "__array__"})

_MAKES_ARRAY_OF = FROM_ARRAY | {"numpy.array", "numpy.asarray"}

_LEAVES_SHAPE_OF_ARRAY = frozenset({"astype", "copy"})

_SHAPES_ANYTHING = frozenset({"view", "reshape"})
"""Methods that say the shape of something of which nothing is known."""

_GENERATOR = "numpy.random.Generator"
_CHECKS = frozenset({"mldbg.check", "mldbg.contracts.check", "mldbg.contracts.inline.check"})

_COUNTS = frozenset({"builtins.len", "builtins.int", "builtins.range", "builtins.enumerate"})

_REGISTERS = frozenset({"register_buffer", "register_parameter"})

_ATTRIBUTES = frozenset({"T", "mT", "H", "mH", "real", "imag", "data", "grad"})


class Shaping:
    """Applies transfer functions to abstract values.

    Attributes:
        on: whether shapes are followed.
    """

    def __init__(self, machine: Machine, construction: Construction, batches: Batches, declarations: Declarations) -> None:
        self.machine = machine
        self.construction = construction
        self.contents = construction.contents
        self.batches = batches
        self.declarations = declarations
        self.attached = Attached(machine, construction.contents, declarations)
        self.distributions = Distributions(machine, self._argument)
        self.on = False
        self.wanted: frozenset[str] = frozenset()
        """Names of calls that some rule listens to."""

    def tells(self, name: str) -> bool:
        """Whether the rules hear of a call from here, with the shapes in it."""
        return self.on and name in ROWS

    # --- calls ---

    def function(self, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """The result of a function outside the project."""
        if name in _CHECKS and len(arguments) == 2:
            return self.declarations.checked(arguments[0].value, arguments[1].value, site)
        if name in ATTACH and arguments:
            return self.attached.attach(arguments, site)
        if not self.on:
            return result
        if name in _MAKES_ARRAY_OF and arguments and (labels := column_of_labels(arguments[0].value, site)) is not None:
            arguments = [replace(arguments[0], value=labels), *arguments[1:]]
        if name in _COUNTS and arguments:
            return self._count(name, arguments, site, result)
        if name == "builtins.sum" and len(arguments) == 1:
            return self._sum(arguments[0].value, site, result)
        if name == "numpy.random.default_rng":
            return Value(Opaque(_GENERATOR))
        made = self.batches.function(name, arguments, site, result)
        if made is not None:
            return made
        row = ROWS.get(name)
        if row is None:
            return number_result(name, result)
        if name in CONSTRUCTOR_PARAMETERS:
            result = replace(self.construction.construct(name, arguments, site), data=result.data)
        return self._called(name, row, arguments, {}, site, result)

    def method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """The result of a method outside the project."""
        if name == "remove" and isinstance(base.thing, Object) and base.thing.cls == HANDLE:
            self.attached.remove(base.thing)
        if name in _REGISTERS and isinstance(base.thing, Object):
            self._register(base.thing, arguments)
            return result
        if not self.on:
            return result
        made = self.batches.method(base, name, arguments, result) or self._method(base, name, arguments, site, result)
        if made is not None:
            return made
        return replace(result, shaped=None) if result.shaped is not None and result.shaped is base.shaped else result

    def _register(self, module: Object, arguments: Sequence[Argument]) -> None:
        """`self.register_buffer("mask", mask)` sets an attribute."""
        values = [argument.value for argument in arguments]
        says_something = self.on or (len(values) > 1 and (values[1].meaning or values[1].marked) is not None)
        if len(values) > 1 and says_something and isinstance(values[0].constant, str):
            self.machine.state.set(module.ref, values[0].constant, values[1])

    def _method(self, base: Value, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value | None:
        member = self.distributions.member(base, name, attribute=False)
        if member is not None:
            return self._called(*member, [Argument(base), *arguments], {}, site, result)
        if base.shaped is None:
            if isinstance(base.thing, Opaque) and base.thing.cls == _GENERATOR and name in array_random.METHODS:
                row = ROWS.get(array_random.METHODS[name])
                return self._called(array_random.METHODS[name], row, arguments, {}, site, result) if row is not None else None
            if not is_plain(base):
                return None
            if name == "to_numpy":
                labels = column_of_labels(base, site)
                return replace(result, shaped=labels.shaped) if labels is not None else None
            if name == "size":
                return self._size_of_unknown(base, arguments)
            if name == "argmax":  # the rules hear of it; it may be numpy's, so nothing follows
                self._called(f"torch.Tensor.{name}", ROWS[f"torch.Tensor.{name}"], [Argument(base), *arguments], {}, site, result)
            if name not in _SHAPES_ANYTHING:
                return None
        elif base.shaped.is_array:
            return self._method_of_array(base, base.shaped, name, arguments, site, result)
        if name in _MAKES_ARRAY and base.shaped is not None:
            return replace(result, shaped=replace(base.shaped, is_array=True))
        row = ROWS.get(f"torch.Tensor.{name}") or ROWS.get(f"torch.Tensor.{name.removesuffix('_')}")
        if row is None:
            return None
        if name.removesuffix("_") in ARITHMETIC_OF_NUMBERS and name.endswith("_"):
            row = shape.in_place(row)
        return self._called(f"torch.Tensor.{name}", row, [_receiver(base, name, site), *arguments], {}, site, result)

    def _method_of_array(
        self, base: Value, shaped: Shaped, name: str, arguments: Sequence[Argument], site: Site, result: Value
    ) -> Value | None:
        if name in _LEAVES_SHAPE_OF_ARRAY:
            dtype = named_dtype(arguments[0].value) if name == "astype" and arguments else shaped.tensor.dtype
            return replace(result, shaped=replace(shaped, tensor=replace(shaped.tensor, dtype=dtype)))
        given = [_receiver(base, name, site), *arguments]
        if name in ("reshape", "flatten"):
            row = ROWS.get(f"torch.Tensor.{name}")
        elif name == "transpose":
            row = ROWS.get("numpy.transpose")
            positional = [one for one in arguments if one.keyword is None]
            if len(positional) > 1:
                given = [given[0], Argument(Value(Items("builtins.tuple", tuple(one.value for one in positional))))]
        else:
            row = ROWS.get(f"numpy.{name}") if name in arrays.METHODS else None
        return self._called(f"numpy.{name}", row, given, {}, site, result) if row is not None else None

    def layer(self, cls: str, layer: Value, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """The result of calling an object of a class outside the project."""
        row = ROWS.get(f"{cls}.__call__") if self.on else None
        if row is None or not isinstance(layer.thing, Object):
            return result
        record = self.machine.state.record(layer.thing.ref)
        built = {key.name: value for key, value in record.items() if isinstance(key, ArgumentOf)}
        rank = 3 if cls.rpartition(".")[2] in RECURRENT and "batch_first" in built else TAKES_BATCHES.get(f"{cls}.__call__")
        if rank is not None and not cls.startswith("torch.nn.BatchNorm"):
            arguments = [*(as_batch(argument, rank) for argument in arguments[:1]), *arguments[1:]]
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
            return without_shape(result)
        if name != "matmul" and (may_be_tensor(left) or may_be_tensor(right)):
            known = left.shaped or right.shaped
            return replace(result, shaped=with_unknown(known), size=None) if known is not None else result
        if left.shaped is not None and not left.shaped.is_table and isinstance(operator, IN_PLACE):
            row = shape.in_place(row)
        if name == "matmul":
            left, right = promoted_arrays(left, right)
        return self._called(f"torch.{name}", row, _operands(left, right, site), {}, site, result)

    def _number(self, name: str, left: Value, right: Value, result: Value) -> Value:
        """Arithmetic of two values of which none is known to be a tensor."""
        size = computed(name, left, right)
        if size is not None:
            sure = is_number(left) or is_number(right)
            return replace(result, thing=Opaque(INT) if sure else result.thing, size=None if isinstance(size, AnySize) else size)
        left, right = self._as_usual(left), self._as_usual(right)
        numbers = [is_number(one) or isinstance(one.constant, int | float) for one in (left, right)]
        other = left if numbers[1] else right
        in_init = self.machine.frame.is_init and True in numbers and is_plain(other) and isinstance(other.thing, Object)
        if name in ARITHMETIC_OF_NUMBERS and (all(numbers) or in_init) and isinstance(result.thing, Unknown):
            whole = name not in ("div", "pow") or (name == "pow" and isinstance(right.constant, int) and right.constant >= 0)
            cls = INT if whole and FLOAT not in (_class_of(left), _class_of(right)) else FLOAT
            return replace(result, thing=Opaque(cls))  # the parameters of an __init__ are settings
        return result

    def _as_usual(self, value: Value) -> Value:
        """A setting that is a number where nobody sets it: some number."""
        usual = self.machine.usual.get(value.origin) if value.origin is not None and isinstance(value.thing, Object) else None
        cls = {"int": INT, "float": FLOAT}.get(usual.kind) if usual is not None else None
        return replace(value, thing=Opaque(cls)) if cls is not None else value

    def unary(self, value: Value, result: Value) -> Value:
        """Minus a tensor, the opposite of a mask: the same shape. Minus a size."""
        if not self.on:
            return result
        if value.shaped is not None:
            return replace(result, shaped=replace(value.shaped, batch_first=None))
        return replace(result, size=None if value.size is None or is_any(-value.size) else -value.size)

    def _note_crossing(self, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> None:
        """Tell of `(n, 1)` that meets `(n,)`, which gives `(n, n)`, and of a square matrix over the sums of its rows."""
        left, right = (argument.value for argument in arguments)
        if left.shaped is None or right.shaped is None or result.shaped is None:
            return
        one, two = left.shaped.tensor.shape, right.shaped.tensor.shape
        place = self.machine.place(site)
        if one is None or two is None or self._is_told_apart(place):
            return
        source = right.shaped.reduced_from
        turned = source is not None and source[0] is left.origin and source[1] > 0 and one.rank == 2
        if crossed(one, two) or turned or (name == "sub" and crossed_in_numbers(left, right)):
            self.machine.facts.append(Broadcast(place, SIGNS[name], left, right, result, (arguments[0].node, arguments[1].node)))

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
            return without_shape(result)
        positional = [each.value for each in arguments if each.keyword is None]
        keywords = {**built, **{each.keyword: each.value for each in arguments if each.keyword is not None}}
        given = row.bound(
            [self._argument(value) for value in positional], {key: self._argument(value) for key, value in keywords.items()}
        )
        order = {param: index for index, param in enumerate(row.params)}
        named = [keywords[key] for key in sorted(keywords, key=lambda key: order.get(key, len(order)))]
        operands = tuple(value for value in (*positional, *named) if value.shaped is not None)
        is_array = name.startswith(("numpy.", "sklearn.")) or (
            name not in FROM_ARRAY and any(holds_array(value) for value in operands)
        )
        try:
            made = row.compute(given)
        except (Unsure, ValueError, OverflowError):  # a count from a number that is not known, which is passed on as nan
            unknown = self._supposing(row, positional, keywords, without_shape(result), is_array=is_array)
            self._tell(name, row, arguments, keywords, layer, site, unknown)
            return unknown
        except Mismatch as mismatch:
            if name.endswith("__getitem__") and given.shape().rank == 0:
                return without_shape(result)  # `loss.data[0]`, as it was written before torch 0.4
            _, nodes = bound(row.params, arguments, None)
            operands = operands or self._listed(positional)
            self._fails(Misfit(self.machine.place(site), name, mismatch, operands, layer, nodes, self._written(layer)))
            return without_shape(result)
        before = operands[0].shaped if operands else None
        ladder = before.ladder if before is not None else None
        short = name.removesuffix(".__call__").rpartition(".")[2]
        on_purpose = short in STRETCHES or has_new_axis(short, positional) or keeps_axis(keywords)
        stretched = site if on_purpose else before.stretched if before is not None else None
        whole = Shaper(site, short, before, ladder, is_array=is_array, stretched=stretched).value(made, result)
        if whole.shaped is not None and first_stays(short, positional):
            if name in TAKES_BATCHES or keeps_batch(before, whole.shaped):
                whole = replace(whole, shaped=replace(whole.shaped, is_batch=has_batch(name, operands)))
            elif short == "__getitem__" and picks_samples(positional[1]) and whole.shaped is not None:
                whole = replace(whole, shaped=replace(whole.shaped, is_batch=True))
        if short in ORDERED:
            first = self._batch_first(keywords)
            whole = with_order(whole, first, site)
            keywords = {**keywords, "batch_first": literal(first) if first is not None else Value()}
        if short in SIGNS and short != "matmul" and len(positional) == 2:
            self._note_crossing(short, [each for each in arguments if each.keyword is None], site, whole)
        if name.startswith(PACKAGE) and not self._is_told_apart(place := self.machine.place(site)):
            self.distributions.note_crossing(name, row, given, arguments, whole, place)
        if short in REDUCES and whole.shaped is not None and positional:
            whole = replace(whole, shaped=replace(whole.shaped, reduced_from=reduced(positional, keywords, whole.shaped)))
        if short in SIGNS and whole.shaped is not None and any(value.shaped.is_table for value in operands if value.shaped):
            whole = replace(whole, shaped=replace(whole.shaped, is_table=True))
        if whole.shaped is not None and positional and is_longer(short, given.raw(row.params[0]), before, whole.shaped):
            whole = replace(whole, shaped=replace(whole.shaped, is_longer=True))
        whole = self._supposing(row, positional, keywords, whole, is_array=is_array)
        self._tell(name, row, arguments, keywords, layer, site, whole)
        return whole

    def _listed(self, values: Sequence[Value]) -> tuple[Value, ...]:
        """The tensors of a list that is joined."""
        lists = [self.contents.items_of(value) for value in values]
        return tuple(one for items in lists if items is not None for one in items.tail if one.shaped is not None)

    def _supposing(
        self,
        row: Transfer,
        positional: Sequence[Value],
        keywords: Mapping[str, Value],
        result: Value,
        *,
        is_array: bool,
    ) -> Value:
        """The result with what it is if labels of which only the name is known are one column."""
        operands = [value.shaped for value in (*positional, *keywords.values()) if value.shaped is not None]
        if all(one.supposed is None for one in operands):
            return result
        given = row.bound(
            [self._argument(supposed(value)) for value in positional],
            {key: self._argument(supposed(value)) for key, value in keywords.items()},
        )
        try:
            made = row.compute(given)
        except (Unsure, Mismatch, ValueError, OverflowError):
            return result
        if not isinstance(made, Tensor) or made.shape is None:
            return result
        shaped = result.shaped or Shaped(Tensor(), operands[0].ladder, is_array=is_array)
        return replace(result, shaped=replace(shaped, supposed=made))

    def _tell(
        self,
        name: str,
        row: Transfer,
        arguments: Sequence[Argument],
        keywords: Mapping[str, Value],
        layer: Value | None,
        site: Site,
        result: Value,
    ) -> None:
        """Tell the rules of a call that works."""
        if name not in self.wanted or not isinstance(site.node, cst.BaseExpression):
            return
        given = dict(keywords)
        positional = [each.value for each in arguments if each.keyword is None]
        for index, (param, value) in enumerate(zip(row.params, positional, strict=False)):
            if param.startswith("*"):
                given[param[1:]] = Value(Items("builtins.tuple", tuple(positional[index:])))
                break
            given[param] = value
        _, nodes = bound(row.params, arguments, None)
        place, grad = self.machine.place(site), self.machine.state.grad
        self.machine.facts.append(Call(place, name, given, nodes, layer, result, grad, built=self._written(layer)))

    def _written(self, layer: Value | None) -> Mapping[str, Site]:
        """The expressions that the constructor of a layer got."""
        return self.construction.written(layer.thing.ref) if layer is not None and isinstance(layer.thing, Object) else {}

    def _fails(self, misfit: Misfit) -> None:
        """Tell of a call that fails. What stands behind it is not reached."""
        if self._is_told_apart(misfit.place) or is_expected_to_fail(misfit.place.site):
            return
        if any(frame.context is not None and is_tried(frame.context.site) for frame in self.machine.frames):
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
        asker = place.site.node
        return any(asks_for_shape(each.test.node, each.test.part, place.function, asker) for each in place.conditions)

    def _argument(self, value: Value) -> shape.Argument:
        distribution = self.distributions.described(value)
        return distribution if distribution is not None else argument(value, self._elements(value, DEEPEST_LIST))

    def _elements(self, value: Value, depth: int) -> Items | None:
        """What a list holds, and lists in it; None of anything else."""
        if not isinstance(value.thing, Object) or value.thing.cls != "builtins.list":
            return None
        items = self.contents.items_of(value)
        if items is None or depth == 0:
            return items
        inner = [self._elements(item, depth - 1) for item in items.tail]
        tail = (item if each is None else replace(item, thing=each) for item, each in zip(items.tail, inner, strict=True))
        return replace(items, tail=tuple(tail))

    # --- items and attributes ---

    def item(self, base: Value, indices: Sequence[Value], site: Site, result: Value) -> Value:
        """`tensor[indices]`."""
        if not self.on:
            return result
        if base.shaped is None:
            known = self._size_at(base, indices) or self.batches.pictures.row(base, site)
            return known if known is not None else result
        column = self.batches.item(base, indices[0], result) if base.shaped.is_table and len(indices) == 1 else None
        if column is not None:
            return column
        if base.shaped.is_array and any(map(runs_backwards, indices)):
            return without_shape(result)
        row = ROWS["torch.Tensor.__getitem__"]
        index = Value(Items("builtins.tuple", tuple(indices)))
        made = self._called("torch.Tensor.__getitem__", row, [Argument(base), Argument(index)], {}, site, result)
        if may_be_anything(base.shaped, made.shaped):
            return without_shape(made)
        if made.shaped is not None and base.shaped.is_table:
            return replace(made, shaped=replace(made.shaped, is_table=True))
        return made

    def stored(self, base: Value, indices: Sequence[Value], value: Value, site: Site) -> None:
        """`tensor[indices] = value`; an array of objects may hold arrays."""
        if not self.on or base.shaped is None or value.shaped is None or base.shaped.is_table:
            return
        if base.shaped.tensor.dtype is not None or not base.shaped.is_array:
            name = "torch.Tensor.__setitem__"
            arguments = [Argument(one) for one in (base, Value(Items("builtins.tuple", tuple(indices))), value)]
            self._called(name, ROWS[name], arguments, {}, site, base)

    def attribute(self, base: Value, name: str, site: Site, result: Value) -> Value:
        """`tensor.shape`, `tensor.T`."""
        if not self.on:
            return result
        member = self.distributions.member(base, name, attribute=True)
        if member is not None:
            return self._called(*member, [Argument(base)], {}, site, Value(origin=self.machine.new_ref(site)))
        if base.shaped is None:
            return self.batches.pictures.attribute(base, name, site, result) or self._setting(base, name, result)
        known = base.shaped.tensor.shape
        if name == "shape":
            return sizes(known) if known is not None else result
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
        of_layer = isinstance(thing, Object) and isinstance(thing.cls, str) and thing.cls.startswith("torch.nn.")
        if (
            not isinstance(thing, Object) or not of_layer or name in ("bias", "weight")
        ):  # those are tensors, not whether there are any
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

    def _sum(self, value: Value, site: Site, result: Value) -> Value:
        """`sum(sizes)`, and the sum of a few tensors."""
        items = self.contents.items_of(value)
        if items is None or not items.exact or not 0 < len(items.tail) <= MOST_NUMBERS:
            return without_shape(result)
        sizes = [size_of(item) for item in items.tail]
        total: Dim = 0
        for size in sizes:
            total = total + size if size is not None else ANY
        if None not in sizes:
            return result if isinstance(total, AnySize) else number(total)
        if any(item.shaped is None for item in items.tail):
            return without_shape(result)
        whole = items.tail[0]
        for item in items.tail[1:]:
            whole = self.operation(cst.Add(), whole, item, site, result)
        return replace(result, shaped=whole.shaped)

    def _count(self, name: str, arguments: Sequence[Argument], site: Site, result: Value) -> Value:
        """`len(tensor)`, `int(size)`, `range(4)`, `enumerate(layers)`."""
        value = arguments[0].value
        if name == "builtins.int":
            size = size_of(value)
            return number(size) if size is not None else Value(Opaque(INT)) if result.thing == Unknown() else result
        if name == "builtins.range":
            return self._range(arguments, site) if isinstance(result.thing, Unknown) else result
        if name == "builtins.enumerate":
            return with_numbers(result)
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
            if ref is None or not (value.shaped is not None or is_plain(value)):
                return None
            known = Shape((), shape.Rest(), ())
        if known.rest is None and len(known.front) != len(names):
            counted = shape.counted(len(known.front), "axis", "axes")
            reason = f"{known} has {counted}, and {shape.counted(len(names), 'name gets', 'names get')} a size"
            mismatch = Mismatch(Problem.RANK, reason)
            self._fails(Misfit(self.machine.place(site), "shape", mismatch, (value,), None))
            return None
        missing = len(names) - known.least_rank
        if missing < 0:
            return None
        if ref is None or not (isinstance(value.thing, Object) or value.shaped is None):
            ref = self.machine.new_ref(site)  # an operation has made it, and only its origin is that of the operand
        dims = (*known.front, *(ANY,) * (missing if known.rest is not None else 0), *known.back)
        named = tuple(
            atom(name, (ref, index)) if isinstance(dim, AnySize) and name != "_" else dim
            for index, (name, dim) in enumerate(zip(names, dims, strict=True))
        )
        dtype = value.shaped.tensor.dtype if value.shaped is not None else None
        result = self.with_shape(value, Tensor(Shape(named), dtype), site, "unpacked as")
        return (says_batch(names[0]) and self.as_batch(result)) or result

    @staticmethod
    def as_batch(value: Value) -> Value | None:
        """A tensor whose first axis is called a batch; None where nothing is known of its shape."""
        return replace(value, shaped=replace(value.shaped, is_batch=True)) if value.shaped is not None else None

    def asserted(self, node: cst.BaseExpression) -> tuple[cst.BaseExpression, Value] | None:
        """The tensor that `assert x.shape == (b, t, 8)` or `assert x.ndim == 3` is about, with what is known of it afterwards."""
        if not self.on or not isinstance(node, cst.Comparison) or len(node.comparisons) != 1:
            return None
        left, target = node.left, node.comparisons[0]
        of_name = isinstance(left, cst.Attribute) and isinstance(left.value, cst.Name)
        if not isinstance(left, cst.Attribute) or not of_name or not isinstance(target.operator, cst.Equal):
            return None
        value = self.machine.now(left.value)
        tensor = value.shaped.tensor if value.shaped is not None else Tensor() if is_plain(value) else None
        dims = self._stated(left.attr.value, self.machine.now(target.comparator))
        if tensor is None or dims is None or (tensor.shape is not None and tensor.shape.rest is None):
            return None
        return left.value, self.with_shape(value, Tensor(Shape(dims), tensor.dtype), self.machine.site(node), "asserted to be")

    def _stated(self, attribute: str, stated: Value) -> tuple[Dim, ...] | None:
        """The sizes that an assertion about `shape` or `ndim` leaves; None where it says nothing of them."""
        if attribute == "ndim":
            rank = stated.constant
            return (ANY,) * rank if isinstance(rank, int) and 0 <= rank < MOST_NUMBERS else None
        items = self.contents.items_of(stated) if attribute == "shape" else None
        if items is None or not items.exact:
            return None
        return tuple(ANY if size is None else size for size in map(size_of, items.tail))

    def with_shape(self, value: Value, tensor: Tensor, site: Site, said: str) -> Value:
        """The value with a shape that the program states."""
        before = value.shaped
        if before is not None and before.tensor == tensor:
            return value
        ladder = onward(before.ladder if before is not None else None, site, f"{said} {tensor.shape}")
        return replace(value, shaped=Shaped(tensor, ladder, before.stretched if before is not None else None))


def _receiver(base: Value, name: str, site: Site) -> Argument:
    """The tensor whose method is called, as an argument of it."""
    match site.node:
        case cst.Call(func=cst.Attribute(value=node, attr=cst.Name(value=called))) if called == name:
            return Argument(base, node=node)
        case _:
            return Argument(base)


def _operands(left: Value, right: Value, site: Site) -> list[Argument]:
    """The operands of an operator; what an augmented assignment changes is a target, and no expression."""
    match site.node:
        case cst.BinaryOperation(left=one, right=two):
            return [Argument(left, node=one), Argument(right, node=two)]
        case cst.Comparison(left=one, comparisons=[cst.ComparisonTarget(comparator=two)]):
            return [Argument(left, node=one), Argument(right, node=two)]
        case cst.AugAssign(value=two):
            return [Argument(left), Argument(right, node=two)]
        case _:
            return [Argument(left), Argument(right)]


def _class_of(value: Value) -> str | None:
    """The class of a number: INT, FLOAT, or None where it is another thing."""
    return class_of_number(value) or {int: INT, float: FLOAT}.get(type(value.constant))
