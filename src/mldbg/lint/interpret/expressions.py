"""The abstract value of every kind of expression."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import libcst as cst

from mldbg.lint.interpret.carried import LOST, Left, operated
from mldbg.lint.interpret.facts import Condition
from mldbg.lint.interpret.frames import Argument
from mldbg.lint.interpret.module import Site
from mldbg.lint.interpret.state import merged
from mldbg.lint.interpret.value import (
    MOST_ITEMS,
    UNKNOWN,
    Axes,
    Constant,
    Data,
    FitKind,
    Function,
    Items,
    Lazy,
    Mapping,
    ModuleThing,
    Object,
    Opaque,
    Ref,
    Symbol,
    Trail,
    Unknown,
    Value,
    join,
    join_data,
    literal,
    tuple_of,
)
from mldbg.lint.library.names import says_loss
from mldbg.operations import torch
from mldbg.operations.effect import Arithmetic
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.interpret.interpreter import Interpreter


class Expressions:
    """Evaluates expressions in the interpreter's current state."""

    def __init__(self, run: Interpreter) -> None:
        self.run = run
        self._acting: dict[cst.CSTNode, bool] = {}
        self._by_type: dict[type, Callable[[Any], Value]] = {
            cst.Name: self._name,
            cst.Attribute: self._attribute,
            cst.Call: self.call,
            cst.Subscript: self._subscript,
            cst.Integer: self._number,
            cst.Float: self._number,
            cst.Imaginary: lambda node: UNKNOWN,
            cst.SimpleString: self._string,
            cst.ConcatenatedString: self._string,
            cst.FormattedString: self._formatted,
            cst.Tuple: self._tuple,
            cst.List: self._list,
            cst.Set: self._set,
            cst.Dict: self._dict,
            cst.BinaryOperation: self._binary,
            cst.UnaryOperation: self._unary,
            cst.BooleanOperation: self._boolean,
            cst.Comparison: self._comparison,
            cst.IfExp: self._conditional,
            cst.Lambda: self._lambda,
            cst.ListComp: self._list_comprehension,
            cst.SetComp: self._list_comprehension,
            cst.GeneratorExp: self._list_comprehension,
            cst.DictComp: self._dict_comprehension,
            cst.NamedExpr: self._walrus,
            cst.Await: lambda node: self.of(node.expression),
            cst.Yield: self._yield,
            cst.StarredElement: lambda node: self.of(node.value),
        }

    def of(self, node: cst.BaseExpression) -> Value:
        """The value of an expression."""
        evaluate = self._by_type.get(type(node))
        return UNKNOWN if evaluate is None else evaluate(node)

    def now(self, node: cst.BaseExpression) -> Value:
        """The value of an expression, computed even if it could wait."""
        return self.run.force(self.of(node))

    # ------------------------------------------------------------------------------------------------------------- simple
    def _name(self, node: cst.Name) -> Value:
        constant = _KEYWORDS.get(node.value)
        return constant if constant is not None else self.run.lookup(node.value)

    def _attribute(self, node: cst.Attribute) -> Value:
        return self.run.attribute(self.of(node.value), node.attr.value, self.run.site(node))

    def _number(self, node: cst.Integer | cst.Float) -> Value:
        try:
            return literal(ast.literal_eval(node.value))
        except (ValueError, SyntaxError):
            return UNKNOWN

    def _string(self, node: cst.SimpleString | cst.ConcatenatedString) -> Value:
        if isinstance(node, cst.SimpleString):
            return _text_value(node.value)
        value = node.evaluated_value
        return literal(value) if isinstance(value, str) and len(value) < 200 else Value(Opaque("builtins.str"))

    def _formatted(self, node: cst.FormattedString) -> Value:
        for part in node.parts:
            if isinstance(part, cst.FormattedStringExpression):
                self.of(part.expression)
        return Value(Opaque("builtins.str"))

    # ---------------------------------------------------------------------------------------------------------- containers
    def _elements(self, elements: list[cst.BaseElement] | tuple[cst.BaseElement, ...]) -> Items:
        """The content of a display; `*more` is spliced in where its elements are known."""
        if len(elements) > MOST_ITEMS:
            return Items("builtins.tuple", (), UNKNOWN)
        items = Items("builtins.tuple", ())
        for element in elements:
            value = self.of(element.value)
            if isinstance(element, cst.StarredElement):
                more = self.run.items_of(value) or Items("", (), self.run.element_of(value, self.run.site(element.value)))
                items = spliced(items, more)
            else:
                items = replace(items, tail=(*items.tail, value))
        return items

    def _tuple(self, node: cst.Tuple) -> Value:
        return Value(self._elements(tuple(node.elements)))

    def _list(self, node: cst.List) -> Value:
        return self.run.new_sequence(node, replace(self._elements(tuple(node.elements)), cls="builtins.list"))

    def _set(self, node: cst.Set) -> Value:
        items = self._elements(tuple(node.elements))
        return Value(Items("builtins.set", (), _join_all(items)))

    def _dict(self, node: cst.Dict) -> Value:
        found: dict[object, Value] = {}
        exact = True
        if len(node.elements) > MOST_ITEMS:
            return self.run.new_mapping(node, Mapping((), exact=False))
        for element in node.elements:
            value = self.of(element.value)
            if isinstance(element, cst.DictElement):
                key = self.of(element.key)
                if isinstance(key.thing, Constant):
                    found[key.constant] = value
                else:
                    exact = False
            else:
                more = self.run.mapping_of(value)
                if more is None or not more.exact:
                    exact = False
                if more is not None:
                    found.update(more.items)
        return self.run.new_mapping(node, Mapping(tuple(found.items()), exact))

    def _list_comprehension(self, node: cst.ListComp | cst.SetComp | cst.GeneratorExp) -> Value:
        values = list(self._rounds(node.for_in, lambda: self.of(node.elt)))
        exact = _is_plain(node.for_in) and all(not inexact for _, inexact in values)
        elements = tuple(value for value, _ in values)
        if isinstance(node, cst.SetComp):
            return Value(Items("builtins.set", (), _join_values(elements)))
        cls = "builtins.generator" if isinstance(node, cst.GeneratorExp) else "builtins.list"
        items = Items(cls, elements) if exact else Items(cls, (), _join_values(elements))
        return Value(items) if isinstance(node, cst.GeneratorExp) else self.run.new_sequence(node, items)

    def _dict_comprehension(self, node: cst.DictComp) -> Value:
        pairs = list(self._rounds(node.for_in, lambda: tuple_of(self.of(node.key), self.of(node.value))))
        found: dict[object, Value] = {}
        exact = True
        for pair, inexact in pairs:
            assert isinstance(pair.thing, Items)
            key, value = pair.thing.tail
            if isinstance(key.thing, Constant) and not inexact:
                found[key.constant] = value
            else:
                exact = False
        return self.run.new_mapping(node, Mapping(tuple(found.items()), exact and _is_plain(node.for_in)))

    def _rounds(self, clause: cst.CompFor, body: Callable[[], Value]) -> Iterator[tuple[Value, bool]]:
        """The body's value for each element known one by one, else once for their join (then marked as not exact)."""
        run = self.run
        iterable = self.of(clause.iter)
        items = run.items_of(iterable)
        saved = dict(run.state.record(run.frame.ref))
        site = run.site(clause)
        one_by_one = items is not None and items.exact and len(items.tail) <= 16
        elements = items.tail if one_by_one and items is not None else (run.element_of(iterable, site),)
        for number, element in enumerate(elements):
            with run.round(clause, number):
                run.statements.assign(clause.target, element, site)
                for condition in clause.ifs:
                    self.of(condition.test)
                if clause.inner_for_in is not None:
                    values = [(value, True) for value, _ in self._rounds(clause.inner_for_in, body)]
                else:
                    values = [(body(), not one_by_one)]
            yield from values
        for name in _target_names(clause.target):
            if name in saved:
                run.state.set(run.frame.ref, name, saved[name])
            else:
                run.state.drop(run.frame.ref, name)

    # ---------------------------------------------------------------------------------------------------------- operations
    def _binary(self, node: cst.BinaryOperation) -> Value:
        return self._operated(node, self.of(node.left), self.of(node.right))

    def _operated(self, node: cst.BinaryOperation, left: Value, right: Value) -> Value:
        if isinstance(left.thing, Lazy) or isinstance(right.thing, Lazy):
            return self.run.defer(node, lambda: self._operated(node, self.run.force(left), self.run.force(right)))
        site = self.run.site(node)
        folded = _folded(node.operator, left, right)
        if folded is not None:
            return folded
        first, second = self.run.items_of(left), self.run.items_of(right)
        if isinstance(node.operator, cst.Add) and first is not None and second is not None:
            both = spliced(first, second)
            return self.run.new_sequence(node, both) if both.cls == "builtins.list" else Value(both)
        result = self.combined(node.operator, left, right, site)
        named = [value for value, side in ((left, node.left), (right, node.right)) if _is_named_loss(side)]
        if (
            result.meaning is None
            and len(named) == 1
            and named[0].origin is not None
            and isinstance(node.operator, cst.Multiply | cst.Divide)
        ):
            return replace(result, origin=named[0].origin)  # loss * n: the same graph
        return result

    def combined(self, operator: cst.BaseBinaryOp | cst.BaseAugOp, left: Value, right: Value, site: Site) -> Value:
        """The value of arithmetic on two tensors or arrays."""
        rest = _left_after(operator, left, right)
        meaning = rest.meaning
        origin = self.run.new_ref(site.node)
        losses = [value for value in (left, right) if value.meaning is Semantic.SCALAR_LOSS]
        if len(losses) == 1 and losses[0].origin is not None and isinstance(operator, _SCALINGS):
            origin = losses[0].origin
        carrier = left if left.meaning is meaning and left.trail is not None else right
        data = join_data(derived_data(left), derived_data(right))
        keeps_trail = meaning is not None or (data is not None and data.fits)
        trail = carrier.trail or left.trail or right.trail
        return Value(
            meaning=meaning,
            data=data,
            origin=origin,
            axes=carrier.axes if meaning is Semantic.SCALAR_LOSS else rest.axes,
            attached=_attached(left, right),
            trail=trail if keeps_trail else None,
            scaled=rest.scaled,
        )

    def _unary(self, node: cst.UnaryOperation) -> Value:
        value = self.of(node.expression)
        if isinstance(value.thing, Lazy):
            return UNKNOWN
        if isinstance(node.operator, cst.Not):
            truth = truth_of(value)
            return UNKNOWN if truth is None else literal(not truth)
        if isinstance(value.thing, Constant) and isinstance(value.constant, int | float):
            number = value.constant
            if isinstance(node.operator, cst.Minus):
                return literal(-number)
        kept = value.meaning if value.meaning in (Semantic.LOGITS, Semantic.SCALAR_LOSS) else None
        return Value(meaning=kept, data=derived_data(value), origin=value.origin, attached=value.attached, trail=value.trail)

    def _boolean(self, node: cst.BooleanOperation) -> Value:
        left = self.of(node.left)
        truth = truth_of(left)
        stops = truth is False if isinstance(node.operator, cst.And) else truth is True
        if stops:
            return left
        if truth is not None:
            return self.of(node.right)
        condition = Condition(self.run.site(node.left), holds=isinstance(node.operator, cst.And))
        return self._perhaps(node.right, left, condition)

    def _comparison(self, node: cst.Comparison) -> Value:
        left = self.of(node.left)
        rights = [(target.operator, self.of(target.comparator)) for target in node.comparisons]
        if len(rights) == 1:
            known = _compared(rights[0][0], left, rights[0][1])
            if known is not None:
                return literal(known)
        if isinstance(left.thing, Lazy):
            return Value(Opaque(MASK))
        return Value(Opaque(MASK), data=derived_data(left), axes=Axes(left.axes.rank))

    def _conditional(self, node: cst.IfExp) -> Value:
        truth = self.run.statements.decided(node.test)
        if truth is True:
            return self.of(node.body)
        if truth is False:
            return self.of(node.orelse)
        run = self.run
        site = run.site(node.test)
        if not self._acts(node.body):
            return self._perhaps(node.orelse, self.of(node.body), Condition(site, holds=False))
        if not self._acts(node.orelse):
            return self._perhaps(node.body, self.of(node.orelse), Condition(site, holds=True))
        other = run.state.fork()
        with run.under(Condition(site, holds=True)):
            one = self.of(node.body)
        taken = run.state.fork()
        run.state.become(other)
        with run.under(Condition(site, holds=False)):
            two = self.of(node.orelse)
        value = join(one, two) if taken.live and run.state.live else one if taken.live else two
        run.state.become(merged([taken, run.state]))
        return value

    def _perhaps(self, node: cst.BaseExpression, other: Value, condition: Condition) -> Value:
        """The value of an expression that is evaluated under a condition, or the other value where it is not."""
        if not self._acts(node):
            return join(other, self.of(node))
        run = self.run
        without = run.state.fork()
        with run.under(condition):
            value = self.of(node)
        live = run.state.live
        run.state.become(merged([run.state, without]))
        return join(other, value) if live else other

    def _acts(self, node: cst.BaseExpression) -> bool:
        """Whether evaluating an expression can change the state."""
        known = self._acting.get(node)
        if known is None:
            known = self._acting[node] = _can_act(node)
        return known

    def _walrus(self, node: cst.NamedExpr) -> Value:
        value = self.of(node.value)
        self.run.statements.assign(node.target, value, self.run.site(node))
        return value

    def _lambda(self, node: cst.Lambda) -> Value:
        self.run.frame.keeps = True
        return Value(Function(self.run.frame.part, node, self.run.frame.ref))

    def _yield(self, node: cst.Yield) -> Value:
        value = UNKNOWN
        if isinstance(node.value, cst.From):
            inner = self.of(node.value.item)
            value = self.run.element_of(inner, self.run.site(node))
        elif node.value is not None:
            value = self.of(node.value)
        frame = self.run.frame
        frame.yields.append(value)
        if frame.at_yield is not None:
            frame.at_yield(value)
        return UNKNOWN

    # ---------------------------------------------------------------------------------------------------------- subscripts
    def _subscript(self, node: cst.Subscript) -> Value:
        base = self.of(node.value)
        site = self.run.site(node)
        indices = [self._index(element.slice) for element in node.slice]
        return self.item(base, indices, node, site)

    def _index(self, index: cst.BaseSlice) -> Value:
        if isinstance(index, cst.Index):
            return self.of(index.value)
        assert isinstance(index, cst.Slice)
        bounds = [self.of(bound) if bound is not None else literal(None) for bound in (index.lower, index.upper, index.step)]
        return Value(Items("builtins.slice", tuple(bounds)))

    def item(self, base: Value, indices: list[Value], node: cst.CSTNode, site: Site) -> Value:
        """The value of `base[indices]`."""
        if isinstance(base.thing, Lazy):
            return self.run.defer(node, lambda: self.item(self.run.force(base), indices, node, site))
        indices = [self.run.force(index) for index in indices]
        index = indices[0] if len(indices) == 1 else UNKNOWN
        found = self._known_item(base, index, site)
        if found is not None:
            return found
        if isinstance(base.thing, Symbol):
            return base  # list[int], Float[Tensor, "..."]
        data = _rows_of_part(derived_data(base), indices, self.run.new_ref(node, "part"))
        data = _with_selection(data, indices)
        picked = next((one.data for one in indices if one.data is not None and one.data.picks is not None), None)
        if data is not None and picked is not None:
            data = replace(data, role=picked.picks, split=picked.split)
        origin = self.run.new_ref(node)
        if (
            isinstance(base.thing, Object)
            and base.thing.cls is None
            and index.constant is not None
            and isinstance(index.constant, str | int)
        ):
            ref = replace(base.thing.ref, label=f"{base.thing.ref.label}[{index.constant}]")
            if ref.label.count("[") <= 3:
                self.run.state.ensure(ref)
                return Value(Object(ref), data=data, origin=ref, trail=base.trail)
        meaning = base.meaning if self._keeps_classes(indices) and not _picks_numbers(base, index) else None
        return Value(
            meaning=meaning,
            data=data,
            origin=origin,
            attached=base.attached,
            trail=_trail_of(base, indices) if meaning is not None or (data is not None and data.fits) else None,
            scaled=base.scaled and meaning is not None,
        )

    def _known_item(self, base: Value, index: Value, site: Site) -> Value | None:
        mapping = self.run.mapping_of(base)
        if mapping is not None:
            return mapping.get(index.constant) if isinstance(index.thing, Constant) else UNKNOWN
        items = self.run.items_of(base)
        if items is None:
            return self._field(base, index)
        if isinstance(index.thing, Items) and index.thing.cls == "builtins.slice":
            low, high, step = (bound.constant for bound in index.thing.tail)
            known = all(
                isinstance(bound.thing, Constant) and isinstance(bound.constant, int | None) for bound in index.thing.tail
            )
            if items.exact and step is None and known:
                items = replace(items, tail=_cut(items.tail, low, high))
            else:
                items = Items(items.cls, (), _join_all(items))
            cls = base.thing.cls if isinstance(base.thing, Object) else None
            copied = isinstance(cls, str) and (cls == "builtins.list" or cls in torch.CONTAINERS)
            return self.run.new_sequence(site.node, items, str(cls)) if copied else Value(items)
        position = index.constant
        named = self._named_layer(base, index, items) if isinstance(position, str) else None
        if named is not None:
            return named
        if isinstance(position, int) and not isinstance(position, bool):
            if position < 0 and -position <= len(items.tail):
                return items.tail[position]
            if items.exact and 0 <= position < len(items.tail):
                return items.tail[position]
        return self.run.element_of(base, site)

    def _field(self, base: Value, index: Value) -> Value | None:
        """`output["logits"]` and `output[0]` of a dataclass-like object of the project."""
        if isinstance(base.thing, Object) and isinstance(index.constant, str):
            return self.run.state.get(base.thing.ref, index.constant)
        return None

    def _named_layer(self, base: Value, index: Value, items: Items) -> Value | None:
        """`heads["a"]` of an nn.ModuleDict that is as it was made."""
        held = self.run.state.get(base.thing.ref, "#names") if isinstance(base.thing, Object) else None
        if held is None or not isinstance(held.thing, Mapping) or tuple(value for _, value in held.thing.items) != items.tail:
            return None
        return held.thing.get(index.constant)

    @staticmethod
    def _keeps_classes(indices: list[Value]) -> bool:
        """Whether an index leaves the class axis alone: `x[mask]`, `x[:n]`, `x[i]` do, `x[:, 0]` and `x[..., 0]` do not."""
        return len(indices) == 1 or all(
            isinstance(index.thing, Items) and all(bound.is_none for bound in index.thing.tail) for index in indices[1:]
        )

    # --------------------------------------------------------------------------------------------------------------- calls
    def call(self, node: cst.Call) -> Value:
        """The value of a call expression."""
        site = self.run.site(node)
        function = node.func
        if isinstance(function, cst.Attribute):
            base = self.of(function.value)
            arguments = self.arguments(node)
            name = function.attr.value
            if name.endswith("_") and not name.endswith("__"):
                base = self.run.force(base)
                if not isinstance(base.thing, Symbol | ModuleThing):
                    result = self.run.call_method(base, name, arguments, site)
                    self._changed_in_place(function.value, name, base, result)
                    return result
            result = self.run.call_method(base, name, arguments, site)
            if isinstance(base.thing, Symbol) and arguments and _works_in_place(name, arguments):
                self._changed_in_place(node.args[0].value, name, arguments[0].value, result)
            return result
        callee = self.now(function)
        arguments = self.arguments(node)
        if isinstance(callee.thing, Unknown):
            name = function.value if isinstance(function, cst.Name) else ""
            return self.run.library.unknown_call(callee, name, arguments, site)
        return self.run.call(callee, arguments, site)

    def _changed_in_place(self, node: cst.BaseExpression, method: str, before: Value, after: Value) -> None:
        """The name or attribute that holds a tensor holds from now on what an operation in place has made of it."""
        if method not in _LEAVES_NUMBERS and (before.meaning is not None or after.meaning is not None):
            self.run.statements.rebind(node, after)

    def arguments(self, node: cst.Call) -> list[Argument]:
        """The arguments of a call; `*args` and `**kwargs` are spliced in where their content is known."""
        found: list[Argument] = []
        for arg in node.args:
            value = self.of(arg.value)
            if arg.star == "*":
                items = self.run.items_of(value)
                if items is not None and items.exact:
                    found += [Argument(item) for item in items.tail]
                elif items is not None and not items.exact:
                    found.append(Argument(Value(items), star="*"))
                else:
                    found.append(Argument(value, star="*"))
            elif arg.star == "**":
                mapping = self.run.mapping_of(value)
                if mapping is not None:
                    found += [Argument(item, key) for key, item in mapping.items if isinstance(key, str)]
                if mapping is None or not mapping.exact:
                    found.append(Argument(value, star="**"))
            else:
                found.append(Argument(value, arg.keyword.value if arg.keyword else None, node=arg.value))
        return found


def _works_in_place(name: str, arguments: Sequence[Argument]) -> bool:
    """Whether a function changes its first argument: `F.relu_(x)`, `F.relu(x, inplace=True)`."""
    return (name.endswith("_") and not name.endswith("__")) or any(
        argument.keyword == "inplace" and argument.value.constant is True for argument in arguments
    )


_LEAVES_NUMBERS = frozenset({"requires_grad_", "detach_", "share_memory_"})
"""Methods in place that change no number of a tensor."""

_KEYWORDS = {"None": literal(None), "True": literal(True), "False": literal(False)}
_SCALINGS = (cst.Multiply, cst.Divide, cst.MultiplyAssign, cst.DivideAssign, cst.Add, cst.Subtract)


@lru_cache(maxsize=4096)
def _text_value(source: str) -> Value:
    """The value of a string literal."""
    if len(source) > 200:
        return Value(Opaque("builtins.str"))
    try:
        return literal(ast.literal_eval(source))
    except (ValueError, SyntaxError):
        return Value(Opaque("builtins.str"))


MASK = "a boolean mask"


def _rows_of_part(data: Data | None, indices: list[Value], part: Ref) -> Data | None:
    """Lineage of some of the rows: they are rows of the whole, and a part of it with an identity of its own."""
    first = indices[0].thing if indices else Unknown()
    sliced = isinstance(first, Items) and first.cls == "builtins.slice" and not all(bound.is_none for bound in first.tail)
    masked = isinstance(first, Opaque) and first.cls == MASK
    if data is None or not data.rows or not (sliced or masked):
        return data
    return replace(data, rows=data.rows | {part})


def _picks_numbers(base: Value, index: Value) -> bool:
    """`p[p > 0.5]`: single numbers of distributions; a mask of one axis picks rows."""
    masked = isinstance(index.thing, Opaque) and index.thing.cls == MASK and index.axes.rank != 1
    return masked and base.meaning in (Semantic.PROBS, Semantic.LOG_PROBS)


def _with_selection(data: Data | None, indices: list[Value]) -> Data | None:
    """Columns that were chosen by a fitted selector carry that fit with them."""
    chosen = frozenset(fit for index in indices for fit in index.fits if fit.kind is FitKind.SELECTION)
    return replace(data or Data(), fits=(data.fits if data else frozenset()) | chosen) if chosen else data


def _trail_of(base: Value, indices: list[Value]) -> Trail | None:
    return base.trail or next((index.trail for index in indices if index.fits), None)


def _attached(left: Value, right: Value) -> bool | None:
    """Whether a sum or product hangs on a graph: it is cut off where one side is, unless the other is known to be a loss."""
    cut = [value.attached is False for value in (left, right)]
    if not any(cut):
        return None
    return (
        None
        if any(value.meaning is Semantic.SCALAR_LOSS and not off for value, off in zip((left, right), cut, strict=True))
        else False
    )


def _is_named_loss(node: cst.BaseExpression) -> bool:
    if isinstance(node, cst.Attribute):
        return says_loss(node.attr.value)
    return isinstance(node, cst.Name) and says_loss(node.value)


def derived_data(value: Value) -> Data | None:
    """The lineage of something made from a value."""
    rows = value.rows
    if value.data is not None:
        return value.data if value.data.rows else replace(value.data, rows=rows)
    return Data(rows=rows) if rows and isinstance(value.thing, Unknown | Opaque | Object) else None


def _cut(values: tuple[Value, ...], low: object, high: object) -> tuple[Value, ...]:
    return values[low if isinstance(low, int) else None : high if isinstance(high, int) else None]


def truth_of(value: Value) -> bool | None:
    """Whether a value is true, where that is known."""
    thing = value.thing
    known: bool | None = None
    if isinstance(thing, Constant):
        known = bool(thing.value)
    elif isinstance(thing, Items) and thing.exact:
        known = bool(thing.tail)
    elif isinstance(thing, Function):
        known = True
    return None if value.or_none and known else known


def spliced(one: Items, two: Items) -> Items:
    """The elements of one and then those of two."""
    if two.exact:
        return (
            replace(one, tail=(*one.tail, *two.tail))
            if len(one.tail) + len(two.tail) <= 64
            else Items(one.cls, (), _join_all(one, two))
        )
    return Items(
        one.cls, two.tail, _join_values((*one.tail, *((one.lead,) if one.lead else ()), *((two.lead,) if two.lead else ())))
    )


def _join_values(values: tuple[Value, ...]) -> Value:
    result = values[0] if values else UNKNOWN
    for value in values[1:]:
        result = join(result, value)
    return result


def _join_all(*several: Items) -> Value:
    return _join_values(tuple(value for items in several for value in (*items.tail, *((items.lead,) if items.lead else ()))))


def _is_plain(clause: cst.CompFor) -> bool:
    return not clause.ifs and clause.inner_for_in is None


def _can_act(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.Name | cst.BaseNumber | cst.BaseString | cst.Lambda):
        return isinstance(node, cst.FormattedString) and any(_can_act(part) for part in node.parts)
    if isinstance(node, cst.Attribute):
        return _can_act(node.value)
    return isinstance(node, cst.Call | cst.NamedExpr | cst.Await | cst.Yield) or any(map(_can_act, node.children))


def _target_names(target: cst.BaseExpression) -> list[str]:
    if isinstance(target, cst.Name):
        return [target.value]
    if isinstance(target, cst.Tuple | cst.List):
        return [name for element in target.elements for name in _target_names(element.value)]
    return []


def _folded(operator: cst.BaseBinaryOp, left: Value, right: Value) -> Value | None:
    """Arithmetic on numbers and strings that are known."""
    one, two = left.constant, right.constant
    if isinstance(one, str) and isinstance(two, str) and isinstance(operator, cst.Add) and len(one) + len(two) < 200:
        return literal(one + two)
    if isinstance(one, bool | str | type(None)) or isinstance(two, bool | str | type(None)):
        return None
    if not isinstance(one, int | float) or not isinstance(two, int | float) or max(abs(one), abs(two)) > 1e12:
        return None
    if isinstance(operator, cst.Add):
        return literal(one + two)
    if isinstance(operator, cst.Subtract):
        return literal(one - two)
    if isinstance(operator, cst.Multiply):
        return literal(one * two)
    if isinstance(operator, cst.FloorDivide) and two != 0:
        return literal(one // two)
    if isinstance(operator, cst.Divide) and two != 0:
        return literal(one / two)
    return None


def _left_after(operator: cst.BaseBinaryOp | cst.BaseAugOp, left: Value, right: Value) -> Left:
    """What a sum, product ... of two values leaves of their meanings."""
    if Semantic.SCALAR_LOSS in (left.meaning, right.meaning):
        return Left(Semantic.SCALAR_LOSS)
    how = _ARITHMETIC.get(type(operator))
    return operated(how, left, right) if how is not None else LOST


_ARITHMETIC: dict[type[cst.CSTNode], Arithmetic] = {
    cst.Add: Arithmetic.PLUS,
    cst.AddAssign: Arithmetic.PLUS,
    cst.Subtract: Arithmetic.MINUS,
    cst.SubtractAssign: Arithmetic.MINUS,
    cst.Multiply: Arithmetic.TIMES,
    cst.MultiplyAssign: Arithmetic.TIMES,
    cst.Divide: Arithmetic.OVER,
    cst.DivideAssign: Arithmetic.OVER,
}


def _compared(operator: cst.BaseCompOp, left: Value, right: Value) -> bool | None:
    if left.or_none or right.or_none:
        return None
    if isinstance(operator, cst.Is | cst.IsNot | cst.Equal | cst.NotEqual):
        same = _identical(left, right) if isinstance(operator, cst.Is | cst.IsNot) else _same(left, right)
        if same is None:
            return None
        return same if isinstance(operator, cst.Is | cst.Equal) else not same
    one, two = left.constant, right.constant
    if isinstance(operator, cst.In | cst.NotIn) and isinstance(left.thing, Constant) and isinstance(right.thing, Items):
        members = right.thing.tail
        if right.thing.exact and all(isinstance(member.thing, Constant) for member in members):
            inside = any(member.constant == one for member in members)
            return inside if isinstance(operator, cst.In) else not inside
        return None
    if isinstance(one, int | float) and isinstance(two, int | float):
        for kind, answer in (
            (cst.LessThan, one < two),
            (cst.GreaterThan, one > two),
            (cst.LessThanEqual, one <= two),
            (cst.GreaterThanEqual, one >= two),
        ):
            if isinstance(operator, kind):
                return answer
    return None


def _identical(left: Value, right: Value) -> bool | None:
    one, two = left.thing, right.thing
    if not isinstance(one, Constant) or not isinstance(two, Constant):
        return _same(left, right)
    if one.kind != two.kind or one.value != two.value:
        return False
    return True if one.kind in ("bool", "NoneType") else None


def _same(left: Value, right: Value) -> bool | None:
    if isinstance(left.thing, Constant) and isinstance(right.thing, Constant):
        return left.thing.value == right.thing.value
    for one, two in ((left, right), (right, left)):
        if one.is_none and isinstance(two.thing, Object | Items | Function | Symbol | Opaque | Mapping):
            return None if isinstance(two.thing, Object) and two.thing.cls is None else False
        if one.is_none and two.meaning is not None:
            return False
    return None
