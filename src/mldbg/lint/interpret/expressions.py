"""The abstract value of every kind of expression."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import libcst as cst

from mldbg.lint.interpret import hits, paths, predictions, scaling, texts
from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.assignment import Assignment
from mldbg.lint.interpret.choices import Choices, is_told_apart_by_meaning
from mldbg.lint.interpret.columns import Columns
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import Compared, Condition, told
from mldbg.lint.interpret.frames import held_under_key
from mldbg.lint.interpret.indexing import MASK
from mldbg.lint.interpret.join import join_all, join_data, joined, mix_data, of_branches, scored_as, spliced, tuple_of
from mldbg.lint.interpret.library_calls import LibraryCalls
from mldbg.lint.interpret.lineage import derived_data, made_of_element
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.marks import COMPARES, Marks, tested
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.operators import NORMALISABLE, combined, compared, folded, is_named_loss, summed_axis, truth_of
from mldbg.lint.interpret.shuffling import DRAWING, PAIRING, Shuffling
from mldbg.lint.interpret.source_text import last_name
from mldbg.lint.interpret.subscripts import Subscripts
from mldbg.lint.interpret.sums import note_cut
from mldbg.lint.interpret.tree import below
from mldbg.lint.interpret.value import (
    MOST_ITEMS,
    MOST_TEXT,
    UNKNOWN,
    Axes,
    Constant,
    Entries,
    File,
    Function,
    Items,
    Lazy,
    ModuleThing,
    Object,
    Opaque,
    Symbol,
    Unknown,
    Value,
    literal,
    moment,
    onward,
)
from mldbg.operations.effect import Test
from mldbg.operations.torch import LEAVES_NUMBERS
from mldbg.semantics import Semantic

FILLS_IN_PLACE = frozenset({"fillna", "clip", "replace"})
"""Methods that may put a statistic into the table that they are called on."""

MOST_ONE_BY_ONE = 16
"""Elements of a known sequence that a comprehension takes one by one."""

_KEYWORDS = {"None": literal(None), "True": literal(True), "False": literal(False)}


class Expressions:
    """Evaluates expressions in the machine's current state."""

    def __init__(
        self,
        machine: Machine,
        names: Names,
        contents: Contents,
        library: LibraryCalls,
        assignment: Assignment,
        subscripts: Subscripts,
    ) -> None:
        self.machine = machine
        self.names = names
        self.contents = contents
        self.library = library
        self.assignment = assignment
        self.columns = Columns(contents)
        self.choices = Choices(machine)
        self.marks = Marks(machine, contents)
        self.subscripts = subscripts
        self.choosing = library.estimators.evaluations.choosing
        self.shuffling = Shuffling(machine, contents)
        self._acting: dict[cst.CSTNode, bool] = {}
        self._by_type: dict[type, Callable[[Any], Value]] = {
            cst.Name: self._name,
            cst.Attribute: self._attribute,
            cst.Call: self.call,
            cst.Subscript: self._subscript,
            cst.Integer: self._number,
            cst.Float: self._number,
            cst.Imaginary: lambda node: UNKNOWN,
            cst.Ellipsis: lambda node: literal(...),
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
        return self.machine.force(self.of(node))

    def _name(self, node: cst.Name) -> Value:
        constant = _KEYWORDS.get(node.value)
        return constant if constant is not None else self.names.lookup(node.value)

    def _attribute(self, node: cst.Attribute) -> Value:
        return self.machine.attribute(self.of(node.value), node.attr.value, self.machine.site(node))

    def _number(self, node: cst.Integer | cst.Float) -> Value:
        return _number_value(node.value)

    def _string(self, node: cst.SimpleString | cst.ConcatenatedString) -> Value:
        if isinstance(node, cst.SimpleString):
            return _text_value(node.value)
        value = node.evaluated_value
        return literal(value) if isinstance(value, str) and len(value) <= MOST_TEXT else Value(Opaque("builtins.str"))

    def _formatted(self, node: cst.FormattedString) -> Value:
        texts: list[str] = []
        known = True
        usual = False
        for part in node.parts:
            if isinstance(part, cst.FormattedStringText):
                texts.append(part.value)
                continue
            assert isinstance(part, cst.FormattedStringExpression)
            value = self.of(part.expression)
            text = paths.path_of(self.machine, value)
            if text is None and isinstance(value.thing, Constant) and isinstance(value.thing.value, int | float):
                text = str(value.thing.value)
            plain = part.conversion is None and part.format_spec is None and part.equal is None
            known = known and text is not None and plain
            usual = usual or not isinstance(value.thing, Constant)
            texts.append(text or "")
        whole = "".join(texts)
        if not known or len(whole) > MOST_TEXT or "\\" in whole or "{{" in whole:
            return Value(Opaque("builtins.str"))
        if not usual:
            return literal(whole)
        ref = self.machine.new_ref(self.machine.site(node))
        self.machine.usual[ref] = Constant("str", whole)
        return Value(Opaque("builtins.str"), origin=ref)

    def _elements(self, elements: list[cst.BaseElement] | tuple[cst.BaseElement, ...]) -> Items:
        """The content of a display; `*more` is spliced in where its elements are known."""
        if len(elements) > MOST_ITEMS:
            return Items("builtins.tuple", (), UNKNOWN)
        if not any(type(element) is cst.StarredElement for element in elements):
            return Items("builtins.tuple", tuple(self.of(element.value) for element in elements))
        items = Items("builtins.tuple", ())
        for element in elements:
            value = self.of(element.value)
            if isinstance(element, cst.StarredElement):
                more = self.contents.items_of(value) or Items(
                    "", (), self.contents.element_of(value, self.machine.site(element.value))
                )
                items = spliced(items, more)
            else:
                items = replace(items, tail=(*items.tail, value))
        return items

    def _tuple(self, node: cst.Tuple) -> Value:
        return Value(self._elements(tuple(node.elements)))

    def _list(self, node: cst.List) -> Value:
        return self.contents.new_sequence(node, replace(self._elements(tuple(node.elements)), cls="builtins.list"))

    def _set(self, node: cst.Set) -> Value:
        items = self._elements(tuple(node.elements))
        return Value(Items("builtins.set", (), join_all(items)))

    def _dict(self, node: cst.Dict) -> Value:
        found = Entries((), exact=len(node.elements) <= MOST_ITEMS)
        for element in node.elements if found.exact else ():
            value = self.of(element.value)
            if not isinstance(element, cst.DictElement):
                found = found.under(self.contents.mapping_of(value))
                continue
            key = self.of(element.key)
            if isinstance(key.thing, Constant):
                found = found.with_item(key.constant, held_under_key(key.constant, value, self.machine.frame.module))
            else:
                found = replace(found, exact=False)
        return self.contents.new_mapping(node, found)

    def _list_comprehension(self, node: cst.ListComp | cst.SetComp | cst.GeneratorExp) -> Value:
        since = moment()
        values = [
            (value.gathered(since) if inexact else value, inexact)
            for value, inexact in self._rounds(node.for_in, lambda: self.of(node.elt))
        ]
        exact = _is_plain(node.for_in) and all(not inexact for _, inexact in values)
        elements = tuple(value for value, _ in values)
        if isinstance(node, cst.SetComp):
            return Value(Items("builtins.set", (), joined(elements)))
        cls = "builtins.generator" if isinstance(node, cst.GeneratorExp) else "builtins.list"
        items = Items(cls, elements) if exact else Items(cls, (), joined(elements))
        if isinstance(node, cst.GeneratorExp):
            return Value(items)
        made = self.contents.new_sequence(node, items)
        self.library.tables.lists.chosen(node, made)
        return made

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
        made = self.contents.new_mapping(node, Entries(tuple(found.items()), exact and _is_plain(node.for_in)))
        return scored_as(made, *(pair.thing.tail[1] for pair, _ in pairs if isinstance(pair.thing, Items)))

    def _rounds(self, clause: cst.CompFor, body: Callable[[], Value]) -> Iterator[tuple[Value, bool]]:
        """The body's value for each element known one by one, else once for their join (then marked as not exact)."""
        machine = self.machine
        iterable = self.of(clause.iter)
        items = self.contents.iterated(iterable)
        saved = dict(machine.state.record(machine.frame.ref))
        site = machine.site(clause)
        one_by_one = items is not None and items.exact and len(items.tail) <= MOST_ONE_BY_ONE
        elements = items.tail if one_by_one and items is not None else (self.contents.element_of(iterable, site),)
        for number, element in enumerate(elements):
            with machine.round(clause, number):
                self.assignment.assign(clause.target, element, site)
                for condition in clause.ifs:
                    self.of(condition.test)
                if clause.inner_for_in is not None:
                    values = [(value, True) for value, _ in self._rounds(clause.inner_for_in, body)]
                else:
                    values = [(made_of_element(body(), element), not one_by_one)]
            yield from values
        for name in _target_names(clause.target):
            if name in saved:
                machine.state.set(machine.frame.ref, name, saved[name])
            else:
                machine.state.drop(machine.frame.ref, name)

    def _binary(self, node: cst.BinaryOperation) -> Value:
        return self._operated(node, self.of(node.left), self.of(node.right))

    def _operated(self, node: cst.BinaryOperation, left: Value, right: Value) -> Value:
        if isinstance(left.thing, Lazy) or isinstance(right.thing, Lazy):
            made = self.machine.defer(node, lambda: self._operated(node, self.machine.force(left), self.machine.force(right)))
            return scored_as(made, left, right)
        site = self.machine.site(node)
        if is_told_apart_by_meaning(left):
            return self.choices.each(left, lambda one: self._operated(node, one, right), site)
        if is_told_apart_by_meaning(right):
            return self.choices.each(right, lambda one: self._operated(node, left, one), site)
        if isinstance(left.thing, File) and isinstance(node.operator, cst.Divide):
            return paths.joined(self.machine, [left, right], replace(left, thing=Unknown()))
        known = folded(node.operator, left, right)
        if known is not None:
            return known
        return self.library.shaping.operation(node.operator, left, right, site, self._combined(node, left, right, site))

    def _combined(self, node: cst.BinaryOperation, left: Value, right: Value, site: Site) -> Value:
        if isinstance(node.operator, cst.Modulo | cst.Add):
            text = texts.combined(self.machine, node.operator, left, right, site)
            if text is not None:
                return text
        first, second = self.contents.items_of(left), self.contents.items_of(right)
        if isinstance(node.operator, cst.Add) and first is not None and second is not None:
            both = spliced(first, second)
            made = self.contents.new_sequence(node, both) if both.cls == "builtins.list" else Value(both)
            return replace(made, data=join_data(left.data, right.data)) if left.data and right.data else made
        axis = summed_axis(node)
        unnamed = isinstance(left.thing, Unknown) or (isinstance(left.thing, Object) and left.thing.cls is None)
        if axis is not None and unnamed and left.meaning in NORMALISABLE:
            dim = self.of(axis).constant
            if isinstance(dim, int):
                return _normalised(left, dim, self.machine.new_ref(site), site)
        origin = self.machine.new_ref(site)
        result = scaling.noted(node.operator, left, right, combined(node.operator, left, right, origin), origin)
        result = self.marks.combined(node.operator, left, right, result, site)
        result = predictions.combined(left, right, result)
        result = self.library.hits.combined(node.operator, left, right, result, site)
        named = [value for value, side in ((left, node.left), (right, node.right)) if is_named_loss(side)]
        if (
            result.meaning is None
            and len(named) == 1
            and named[0].origin is not None
            and isinstance(node.operator, cst.Multiply | cst.Divide)
        ):
            return replace(result, origin=named[0].origin)  # loss * n: the same graph
        return result

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
        data = derived_data(value)
        made = Value(meaning=kept, data=data, origin=value.origin, attached=value.attached, trail=value.trail)
        made = predictions.combined(value, literal(0), made)
        if isinstance(node.operator, cst.BitInvert):
            made = tested(Test.NOT, value, None, made, self.machine.site(node))
        return self.library.shaping.unary(value, made)

    def _boolean(self, node: cst.BooleanOperation) -> Value:
        left = self.of(node.left)
        truth = truth_of(left)
        held = self.contents.mapping_of(left) if truth is None and isinstance(left.thing, Object) and not left.or_none else None
        if held is not None and held.exact:
            truth = bool(held.items)
        stops = truth is False if isinstance(node.operator, cst.And) else truth is True
        if stops:
            return left
        if truth is not None:
            return self.of(node.right)
        condition = self.machine.condition(node.left, holds=isinstance(node.operator, cst.And))
        return self._perhaps(node.right, left, condition)

    def _comparison(self, node: cst.Comparison) -> Value:
        left = self.of(node.left)
        rights = [(target.operator, self.of(target.comparator)) for target in node.comparisons]
        self.choosing.compared(node, [left, *(right for _, right in rights)])
        if len(rights) == 1:
            known = compared(rights[0][0], left, self._shown(node.comparisons[0], rights[0][1]))
            if known is not None:
                return literal(known)
            self._tell_compared(node, left, rights[0][1])
        if isinstance(left.thing, Lazy):
            return scored_as(Value(Opaque(MASK)), left)
        data = mix_data(derived_data(left), derived_data(rights[0][1])) if len(rights) == 1 else derived_data(left)
        made = Value(Opaque(MASK), data=data, axes=Axes(left.axes.rank))
        if len(rights) != 1:
            return made
        (operator, right), site = rights[0], self.machine.site(node)
        if type(operator) in COMPARES:
            made = tested(COMPARES[type(operator)], left, right, made, site)
        made = self.library.predictions.compared(operator, left, right, made, site)
        if isinstance(operator, cst.Equal):
            made = hits.compared(left, right, made, site)
        return self.library.shaping.operation(operator, left, right, site, made)

    def _tell_compared(self, node: cst.Comparison, left: Value, right: Value) -> None:
        """Tell the rules of a tensor that is compared with a fraction, as probabilities are."""
        comparator = node.comparisons[0].comparator
        for value, bound, at in ((left, right.constant, comparator), (right, left.constant, node.left)):
            if isinstance(bound, float) and 0 < bound < 1 and isinstance(value.thing, Unknown | Lazy):
                place = self.machine.place(self.machine.site(node))
                self.machine.facts.append(Compared(place, self.machine.force(value), bound, at))

    def _shown(self, target: cst.ComparisonTarget, value: Value) -> Value:
        """What `in` looks through: the elements of a list or a set, the keys of a dict."""
        if not isinstance(target.operator, cst.In | cst.NotIn):
            return value
        if isinstance(target.comparator, cst.Set):
            return Value(self._elements(tuple(target.comparator.elements)))
        held = self.contents.iterated(value) if isinstance(value.thing, Object | Entries) else None
        return value if held is None else Value(held)

    def _conditional(self, node: cst.IfExp) -> Value:
        test = self.of(node.test)
        truth = truth_of(test)
        truth = self.choices.decided(node.test) if truth is None else truth
        if truth is True:
            return self.of(node.body)
        if truth is False:
            return self.of(node.orelse)
        machine = self.machine
        if isinstance(node.body, cst.Subscript) and self._is_command_line(node.body.value):
            return paths.usually(machine, self.of(node.orelse), machine.site(node))
        holds, fails = machine.outcomes(node.test)
        if not self._acts(node.body):
            value = self.of(node.body)
            either = self._perhaps(node.orelse, value, fails)
            if test.marked is None or self._acts(node.orelse):
                return either
            return predictions.chosen(test, (value, self.of(node.orelse)), either)
        if not self._acts(node.orelse):
            return self._perhaps(node.body, self.of(node.orelse), holds)
        other = machine.state.fork()
        with machine.under(holds):
            one = self.of(node.body)
        taken = machine.state.left_for(other)
        with machine.under(fails):
            two = self.of(node.orelse)
        both = taken.live and machine.state.live
        value = of_branches(one, told(holds), two, told(fails)) if both else one if taken.live else two
        taken.meet(machine.state, told(holds), told(fails))
        machine.state.become(taken)
        return value

    def _is_command_line(self, node: cst.BaseExpression) -> bool:
        """`sys.argv`, `argv`"""
        plain = isinstance(node, cst.Name) or (isinstance(node, cst.Attribute) and isinstance(node.value, cst.Name))
        return plain and paths.is_command_line(self.of(node))

    def _perhaps(self, node: cst.BaseExpression, other: Value, condition: Condition) -> Value:
        """The value of an expression that is evaluated under a condition, or the other value where it is not."""
        so, otherwise = told(condition), told(condition.opposite)
        if not self._acts(node):
            return of_branches(other, otherwise, self.of(node), so)
        machine = self.machine
        without = machine.state.fork()
        with machine.under(condition):
            value = self.of(node)
        live = machine.state.live
        machine.state.meet(without, so, otherwise)
        return of_branches(other, otherwise, value, so) if live else other

    def _acts(self, node: cst.BaseExpression) -> bool:
        """Whether evaluating an expression can change the state."""
        known = self._acting.get(node)
        if known is None:
            known = self._acting[node] = _can_act(node, self._acts)
        return known

    def _walrus(self, node: cst.NamedExpr) -> Value:
        value = self.of(node.value)
        self.assignment.assign(node.target, value, self.machine.site(node))
        return value

    def _lambda(self, node: cst.Lambda) -> Value:
        self.machine.frame.keeps = True
        function = Function(self.machine.frame.part, node, self.machine.frame.ref)
        self.machine.outstanding.note(function)
        return Value(function)

    def _yield(self, node: cst.Yield) -> Value:
        value = UNKNOWN
        if isinstance(node.value, cst.From):
            inner = self.of(node.value.item)
            value = self.contents.element_of(inner, self.machine.site(node))
        elif node.value is not None:
            value = self.of(node.value)
            self.library.estimators.evaluations.handed_on(value, self.machine.site(node), "is yielded")
        frame = self.machine.frame
        frame.yields.append(value)
        if frame.at_yield is not None:
            frame.at_yield(value)
        return UNKNOWN

    def _subscript(self, node: cst.Subscript) -> Value:
        base = self.of(node.value)
        site = self.machine.site(node)
        indices = self.assignment.indices(node)
        if isinstance(node.value, cst.Call) and last_name(node.value.func) == "sorted" and len(indices) == 1:
            self._first_of_sorted(node.value, indices[0], site)
        return self.subscripts.item(base, indices, node, site)

    def _first_of_sorted(self, call: cst.Call, index: Value, site: Site) -> None:
        """`sorted(results, key=score)[0]`"""
        given = call.args[0].value if call.args else None
        if index.constant in (0, -1) and isinstance(given, cst.Name | cst.Attribute):
            self.choosing.best_of("argmax", [Argument(self.of(given), node=given)], site)

    def call(self, node: cst.Call) -> Value:
        """The value of a call expression."""
        site = self.machine.site(node)
        function = node.func
        if isinstance(function, cst.Attribute):
            base = self.of(function.value)
            arguments = self.arguments(node)
            name = function.attr.value
            self.choosing.called(name, function, arguments, site)
            if name.endswith("_") and not name.endswith("__"):
                base = self.machine.force(base)
                if not isinstance(base.thing, Symbol | ModuleThing):
                    result = self.machine.call_method(base, name, arguments, site)
                    self._changed_in_place(function.value, name, base, result)
                    return result
            result = self.machine.call_method(base, name, arguments, site)
            if isinstance(base.thing, Symbol) and arguments and _works_in_place(name, arguments):
                self._changed_in_place(node.args[0].value, name, arguments[0].value, result)
            self.library.tables.taken_out(base, name, arguments)
            result = self._shuffled(node, name, base, arguments, result)
            if name in FILLS_IN_PLACE and result.fits and _works_in_place(name, arguments):
                self.assignment.assign(function.value, result, site)
            left = self.columns.left(base, name, arguments)
            if left is not None:
                self.assignment.rebind(function.value, replace(base, data=left))
            return result
        callee = self.now(function)
        arguments = self.arguments(node)
        self.choosing.called(function.value if isinstance(function, cst.Name) else "", function, arguments, site)
        if isinstance(callee.thing, Unknown) and callee.among is None:
            name = function.value if isinstance(function, cst.Name) else ""
            return self.library.unknown_call(callee, name, arguments, site)
        result = self.machine.call(callee, arguments, site)
        return self._shuffled(node, function.value, callee, arguments, result) if isinstance(function, cst.Name) else result

    def _shuffled(self, node: cst.Call, name: str, base: Value, arguments: Sequence[Argument], result: Value) -> Value:
        """The result of a call that may shuffle rows, in place or not; and what takes rows of two arrays for pairs."""
        if name in PAIRING:
            self.shuffling.paired(name, arguments, self.machine.site(node))
        if name not in DRAWING:
            return result
        made, in_place = self.shuffling.drawn(node, name, base, arguments, result)
        if in_place is not None and node.args:
            self.assignment.rebind(node.args[0].value, in_place)
        return made

    def _changed_in_place(self, node: cst.BaseExpression, method: str, before: Value, after: Value) -> None:
        """The name or attribute that holds a tensor holds from now on what an operation in place has made of it."""
        node = _changed_before(node)
        if method == "detach_":
            note_cut(self.machine, node, self.machine.site(node))
        known = (before.meaning, before.marked, after.meaning, after.marked)
        if method not in LEAVES_NUMBERS and known != (None, None, None, None):
            self.assignment.rebind(node, after)

    def arguments(self, node: cst.Call) -> list[Argument]:
        """The arguments of a call; `*args` and `**kwargs` are spliced in where their content is known."""
        found: list[Argument] = []
        for arg in node.args:
            value = self.of(arg.value)
            if arg.star == "*":
                items = self.contents.items_of(value)
                if items is not None and items.exact:
                    found += [Argument(item) for item in items.tail]
                elif items is not None and not items.exact:
                    found.append(Argument(Value(items), star="*"))
                else:
                    found.append(Argument(value, star="*"))
            elif arg.star == "**":
                mapping = self.contents.mapping_of(value)
                if mapping is not None:
                    found += [Argument(item, key) for key, item in mapping.items if isinstance(key, str)]
                if mapping is None or not mapping.exact:
                    found.append(Argument(value, star="**"))
            else:
                found.append(Argument(value, arg.keyword.value if arg.keyword else None, node=arg.value))
        return found


def _normalised(value: Value, dim: int, origin: Ref, site: Site) -> Value:
    """What is left when values are divided by their sum."""
    trail = onward(value.trail if value.fits else None, site, f"division by the sum returns {Semantic.PROBS.words}")
    axes = Axes(value.axes.rank, value.axes.last, along=dim)
    return Value(meaning=Semantic.PROBS, data=derived_data(value), origin=origin, axes=axes, attached=value.attached, trail=trail)


def _changed_before(node: cst.BaseExpression) -> cst.BaseExpression:
    """The tensor behind a chain of operations in place: `scores` of `scores.mul_(2).sigmoid_()`."""
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        name = node.func.attr.value
        if not name.endswith("_") or name.endswith("__"):
            break
        node = node.func.value
    return node


def _works_in_place(name: str, arguments: Sequence[Argument]) -> bool:
    """Whether a function changes its first argument: `F.relu_(x)`, `F.relu(x, inplace=True)`."""
    return (name.endswith("_") and not name.endswith("__")) or any(
        argument.keyword == "inplace" and argument.value.constant is True for argument in arguments
    )


@lru_cache(maxsize=4096)
def _number_value(source: str) -> Value:
    """The value of a number's literal."""
    try:
        return literal(ast.literal_eval(source))
    except (ValueError, SyntaxError):
        return UNKNOWN


@lru_cache(maxsize=4096)
def _text_value(source: str) -> Value:
    """The value of a string literal."""
    if len(source) > MOST_TEXT:
        return Value(Opaque("builtins.str"))
    try:
        return literal(ast.literal_eval(source))
    except (ValueError, SyntaxError):
        return Value(Opaque("builtins.str"))


def _is_plain(clause: cst.CompFor) -> bool:
    return not clause.ifs and clause.inner_for_in is None


def _can_act(node: cst.CSTNode, acts: Callable[[cst.BaseExpression], bool]) -> bool:
    """Whether evaluating a node can change the state; `acts` remembers it of nodes that are often inside one another."""
    if isinstance(node, cst.Name | cst.BaseNumber | cst.BaseString | cst.Lambda):
        return isinstance(node, cst.FormattedString) and any(_can_act(part, acts) for part in node.parts)
    if isinstance(node, cst.Attribute):
        return _can_act(node.value, acts)
    if isinstance(node, cst.Call | cst.NamedExpr | cst.Await | cst.Yield):
        return True
    return any(
        acts(child) if isinstance(child, cst.IfExp | cst.BooleanOperation) else _can_act(child, acts) for child in below(node)
    )


def _target_names(target: cst.BaseExpression) -> list[str]:
    if isinstance(target, cst.Name):
        return [target.value]
    if isinstance(target, cst.Tuple | cst.List):
        return [name for element in target.elements for name in _target_names(element.value)]
    return []
