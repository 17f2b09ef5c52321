"""What is known of numbers beside their meaning: rates, scores that no mask has touched, weights that one has, and masks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.contents import Contents
from mldbg.lint.interpret.facts import MaskedMean
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import (
    OF_PREDICTIONS,
    UNKNOWN,
    Axes,
    Constant,
    Items,
    Mark,
    Marked,
    Opaque,
    Symbol,
    Trail,
    Value,
    first_step,
    is_blank,
    onward,
)
from mldbg.operations.effect import (
    Affine,
    Arithmetic,
    Chooses,
    Clamps,
    Contracts,
    Drops,
    Effect,
    Fills,
    Gives,
    Joins,
    Keeps,
    Maps,
    Move,
    Moves,
    Multiplies,
    Operates,
    Test,
    Tests,
)
from mldbg.semantics import FORGOTTEN, Semantic

PROBS, KEEP, DROP = Semantic.PROBS, Semantic.KEEP_MASK, Semantic.DROP_MASK
LOGITS, LOG_PROBS, NON_NEGATIVE = Semantic.LOGITS, Semantic.LOG_PROBS, Semantic.NON_NEGATIVE

OPPOSITE: Mapping[Semantic, Semantic] = {KEEP: DROP, DROP: KEEP}
_TRIANGLES: Mapping[Mark, Semantic] = {Mark.LOWER: KEEP, Mark.UPPER: DROP}
_OTHER_TRIANGLE: Mapping[Mark, Mark] = {Mark.LOWER: Mark.UPPER, Mark.UPPER: Mark.LOWER}
_COMPARED: Mapping[Mark, Semantic] = {Mark.EQUALS: DROP, Mark.DIFFERS: KEEP}
_OTHER_COMPARED: Mapping[Mark, Mark] = {Mark.EQUALS: Mark.DIFFERS, Mark.DIFFERS: Mark.EQUALS}
_ONES = (Mark.ONES, Mark.BOOLEAN_ONES)
_OF_WEIGHTS = (Mark.HIDDEN, Mark.CUT)

_TURNS = frozenset({Move.TRANSPOSE, Move.PERMUTE, Move.MOVE, Move.REVERSE, Move.SWAP_LAST})
"""Moves after which what looked back looks ahead."""

_REVERSES = frozenset({"roll", "flip", "fliplr", "flipud"})
_TO_FLOAT = frozenset({"float", "double", "half", "bfloat16", "type_as"})

_MINUS_INFINITY = re.compile(r"""-\s*(?:torch|np|numpy|math)\.inf$|float\(\s*["']-inf|-\s*float\(\s*["']inf|\)\.min$""")
"""The spellings of what softmax forgets for certain: `float("-inf")`, `-torch.inf`, `torch.finfo(scores.dtype).min`."""

EPSILON = 1e-3
"""A constant up to this size that is added keeps a rate from 0."""


class Marks:
    """Gives the results of operations their marks, and tells of masked weights that are used."""

    def __init__(self, machine: Machine, contents: Contents) -> None:
        self._machine = machine
        self._contents = contents

    # --- calls ---

    def after(
        self,
        effect: Effect,
        name: str,
        given: Mapping[str, Value],
        values: Sequence[Value],
        arguments: Sequence[Argument],
        result: Value,
        site: Site,
    ) -> Value:
        """The result of a call, with what is known of it beside its meaning. `given`: its arguments by name."""
        first = given.get("input", values[0] if values else UNKNOWN)
        last = name.removesuffix(".__call__").rpartition(".")[2]
        match effect:
            case Gives() | Maps():
                return _activated(effect, first, result, site)
            case Affine():
                self._used(first, site)
                return replace(result, marked=Marked(Mark.UNMASKED, site))
            case Keeps():
                return _cast(last, arguments, result)
            case Moves(Move.SQUEEZE) if "dim" not in given and result.meaning in (LOGITS, Semantic.UNIT_INTERVAL):
                return replace(result, marked=Marked(Mark.SQUEEZED, site, result.trail))
            case Moves() if effect.how in _TURNS:
                return _without_triangle(result)
            case Moves() if _puts_one_behind(effect, given, values):
                return _of_rows(result, site)
            case Drops():
                return (
                    replace(result, axes=first.axes, marked=first.marked) if _is_masked(first) else _dropped(given, result, site)
                )
            case Clamps():
                return replace(result, marked=first.marked) if _is(first, Mark.RATE) else result
            case Multiplies():
                return self.multiplied(first, values[1] if len(values) > 1 else UNKNOWN, result, site)
            case Contracts():
                return self._contracted(arguments, result, site)
            case Fills() if "mask" in given:
                mask = self.proved(given["mask"])
                nodes = {each.keyword: each.node for each in arguments} | dict(
                    zip(("value", "mask"), (each.node for each in reversed(arguments)), strict=False)
                )
                return filled(first, mask, _filler(given.get("value", UNKNOWN), nodes.get("value")), result, site)
            case Chooses() if "condition" in given:
                return _chosen({**given, "condition": self.proved(given["condition"])}, arguments, result, site)
            case Joins():
                joined = self._contents.items_of(values[0]) if values else None
                for each in joined.all if joined is not None else ():
                    self._used(each, site)
                return result
            case Operates():
                return self.operated(effect.how, first, values[1] if len(values) > 1 else UNKNOWN, result, site)
            case Tests():
                return tested(effect.how, first, given.get("other"), result, site)
            case _:
                return _made(last, first, arguments, result, site) if name.startswith("torch.") else result

    # --- paddings ---

    def embedded(self, given: Mapping[str, Value], arguments: Sequence[Argument]) -> None:
        """An embedding says which of the ids that it takes is the padding."""
        ids = arguments[0].value.origin if arguments else None
        padding = _id_of(given["padding_idx"]) if "padding_idx" in given else None
        if ids is not None and padding is not None:
            self._machine.paddings.add((ids, padding))

    def proved(self, mask: Value) -> Value:
        """A mask of which it is known by now what it says: that the id with which others are compared is the padding."""
        marked = mask.marked
        if marked is None or marked.mark not in _COMPARED or marked.about not in self._machine.paddings:
            return mask
        return replace(mask, meaning=_COMPARED[marked.mark], trail=marked.trail)

    # --- operators ---

    def combined(self, operator: cst.CSTNode, left: Value, right: Value, result: Value, site: Site) -> Value:
        """The result of an operator on two values."""
        if isinstance(operator, cst.MatrixMultiply | cst.MatrixMultiplyAssign):
            return self.multiplied(left, right, result, site)
        if type(operator) in _CONNECTS:
            return tested(_CONNECTS[type(operator)], left, right, result, site)
        how = _ARITHMETIC.get(type(operator))
        return self.operated(how, left, right, result, site) if how is not None else result

    def operated(self, how: Arithmetic, left: Value, right: Value, result: Value, site: Site) -> Value:
        """Arithmetic of two values."""
        marks = left.marked, right.marked
        if marks == (None, None):
            return result
        if how is Arithmetic.PLUS and not isinstance(left.thing, Constant) and not isinstance(right.thing, Constant):
            self._used(left, site)
            self._used(right, site)
        number = right.constant if isinstance(right.constant, int | float) else None
        if how is Arithmetic.FROM or (how is Arithmetic.MINUS and left.constant == 1):
            return _complement(left if how is Arithmetic.FROM else right, result)
        scales = how in (Arithmetic.TIMES, Arithmetic.OVER)
        for weights, mask in ((left, right), (right, left)) if how is Arithmetic.TIMES else ():
            if _can_be_cut(weights) and _takes_places(self.proved(mask)):
                return _zeroed(weights, result, site)
        for one, other in ((left, right), (right, left)):
            if _is(one, Mark.UNMASKED) and scales and (one is left or how is Arithmetic.TIMES) and one.meaning is not PROBS:
                return replace(result, marked=one.marked)
            if _is(one, Mark.RATE) and one is left and number is not None and _leaves_rate(how, number):
                return replace(result, marked=one.marked)
            if _is(one, Mark.COUNTING) and isinstance(other.thing, Constant):
                return replace(result, marked=one.marked)
        return result

    def multiplied(self, first: Value, second: Value, result: Value, site: Site) -> Value:
        """A matrix product: scores, unless the first factor holds masked weights."""
        if _is(first, Mark.HIDDEN):
            self._machine.facts.append(MaskedMean(self._machine.place(site), first))
        if _is(first, Mark.CUT):
            return replace(result, marked=_mean(first)) if first.axes.are_along(-1) else result
        plain = result.meaning is None and not _is_masked(first) and not _is_masked(second)
        return replace(result, marked=Marked(Mark.UNMASKED, site)) if plain else result

    def _contracted(self, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
        """einsum: the same, where its equation says so."""
        equation = arguments[0].value.constant if arguments else None
        operands = [each.value for each in arguments[1:]]
        if not isinstance(equation, str) or len(operands) != 2:
            return result
        letters, _, left = equation.replace(" ", "").partition("->")
        for operand, axes, others in zip(operands, letters.split(","), reversed(letters.split(",")), strict=False):
            if _is(operand, Mark.HIDDEN):
                self._machine.facts.append(MaskedMean(self._machine.place(site), operand))
            if _is(operand, Mark.CUT):
                along = operand.axes.along
                known = along is not None and "." not in axes and -len(axes) <= along < len(axes)
                letter = axes[along] if known and along is not None else ""
                is_mean = letter != "" and letter in others and letter not in left and set(others) - set(axes)
                return replace(result, marked=_mean(operand)) if is_mean else result
        plain = result.meaning is None and not any(map(_is_masked, operands))
        return replace(result, marked=Marked(Mark.UNMASKED, site)) if plain else result

    def _used(self, mean: Value, site: Site) -> None:
        """A mean goes on to where nobody divides it."""
        if _is(mean, Mark.MEAN):
            self._machine.facts.append(MaskedMean(self._machine.place(site), mean))


# ------------------------------------------------------------------------------------------------------------- rates, scores
def _is(value: Value, mark: Mark) -> bool:
    return value.marked is not None and value.marked.mark is mark


def _activated(effect: Gives | Maps, first: Value, result: Value, site: Site) -> Value:
    if effect.verb == "softplus":
        return replace(result, marked=Marked(Mark.RATE, site, result.trail))
    if effect.verb == "exp" and result.meaning is None:
        return replace(result, marked=Marked(Mark.RATE, site, first_step(site, "exp returns positive values")))
    if isinstance(effect, Gives) and effect.meaning is PROBS and _is(first, Mark.UNMASKED) and first.meaning is not PROBS:
        return replace(result, marked=Marked(Mark.UNMASKED, site))
    if _is(first, Mark.SQUEEZED):
        return replace(result, marked=first.marked)
    if isinstance(effect, Gives) and effect.meaning in (PROBS, LOG_PROBS) and first.meaning is not None:
        if _is(first, Mark.DROPPED):
            return replace(result, marked=first.marked)
        if first.meaning is NON_NEGATIVE and effect.meaning is LOG_PROBS:
            return replace(result, marked=Marked(Mark.RECTIFIED, site, first.trail))
    return result


def _dropped(given: Mapping[str, Value], result: Value, site: Site) -> Value:
    """Dropout of what a layer gives."""
    if result.meaning is not LOGITS or given.get("p", UNKNOWN).constant in (0, 0.0):
        return result
    return replace(result, marked=Marked(Mark.DROPPED, site, onward(result.trail, site, "dropout sets some of it to 0")))


def _complement(source: Value, result: Value) -> Value:
    """`1 - mask`"""
    marked = source.marked
    mark = _OTHER_TRIANGLE.get(marked.mark) if marked is not None else None
    return replace(result, marked=replace(marked, mark=mark)) if marked is not None and mark is not None else result


def _leaves_rate(how: Arithmetic, number: float) -> bool:
    if how in (Arithmetic.TIMES, Arithmetic.OVER):
        return number > 0
    return how is Arithmetic.PLUS and 0 <= number <= EPSILON


# ------------------------------------------------------------------------------------------------------------ masked weights
def _is_masked(weights: Value) -> bool:
    return weights.marked is not None and weights.marked.mark in _OF_WEIGHTS


def _can_be_cut(weights: Value) -> bool:
    return weights.meaning is PROBS and not weights.scaled and _is(weights, Mark.UNMASKED)


def _takes_places(mask: Value) -> bool:
    """Whether a mask is one of places, and no choice among weights, no dropout, and no weight itself."""
    marked = mask.marked.mark if mask.marked is not None else None
    return (mask.meaning in OPPOSITE and marked in (None, *_COMPARED)) or marked in (Mark.LOWER, Mark.UPPER, Mark.POSITIONS)


def _zeroed(weights: Value, result: Value, site: Site) -> Value:
    """The weights of a softmax, some of which are 0 by now."""
    marked = Marked(Mark.CUT, site, weights.trail)
    return replace(result, meaning=PROBS, scaled=True, axes=weights.axes, trail=weights.trail, marked=marked)


def _mean(weights: Value) -> Marked:
    marked = weights.marked
    assert marked is not None
    return replace(marked, mark=Mark.MEAN)


def _filler(value: Value, node: cst.CSTNode | None) -> float | None:
    """The number that a value is, as far as it matters: minus infinity has many spellings."""
    if isinstance(value.constant, int | float):
        return value.constant
    if is_blank(value):
        return 0
    return -float("inf") if node is not None and _MINUS_INFINITY.search(code(node)) else None


def filled(source: Value, mask: Value, filler: float | None, result: Value, site: Site) -> Value:
    """What is left where a mask is True, or where an index says: a number."""
    if filler is None:
        return _unmarked(result)
    if filler <= FORGOTTEN:
        if source.meaning is PROBS:
            hidden = not source.scaled
            return replace(result, axes=source.axes, marked=Marked(Mark.HIDDEN, site, source.trail) if hidden else None)
        if mask.meaning is KEEP and mask.trail is not None:
            return replace(result, marked=_inverted(Mark.KEPT_AS_DROPPED, mask, site))
    if filler == 0 and _can_be_cut(source) and _takes_places(mask):
        return _zeroed(source, result, site)
    return _unmarked(result)


def _inverted(mark: Mark, mask: Value, site: Site) -> Marked:
    left = "leaves out what is to take part" if mark is Mark.KEPT_AS_DROPPED else "leaves in what is to be left out"
    return Marked(mark, site, onward(mask.trail, site, f"-inf {left}"))


def _unmarked(value: Value) -> Value:
    return replace(value, marked=None) if value.marked is not None else value


def _chosen(given: Mapping[str, Value], arguments: Sequence[Argument], result: Value, site: Site) -> Value:
    """where(condition, a, b)"""
    nodes = [each.node for each in arguments]
    of_method = "input" in given and len(arguments) == 2
    other = _filler(given.get("other", UNKNOWN), nodes[-1] if nodes else None)
    first = None if of_method else _filler(given.get("input", UNKNOWN), nodes[1] if len(nodes) > 1 else None)
    condition = given["condition"]
    if other is not None and first is None:
        source = given.get("input", UNKNOWN)
        if other <= FORGOTTEN and condition.meaning is DROP and condition.trail is not None and source.meaning is not PROBS:
            return replace(result, marked=_inverted(Mark.DROPPED_AS_KEPT, condition, site))
        if other == 0 and _can_be_cut(source) and _takes_places(condition):
            return _zeroed(source, result, site)
    hides = first is not None and other is None and first <= FORGOTTEN
    if hides and condition.meaning is KEEP and condition.trail is not None:
        return replace(result, marked=_inverted(Mark.KEPT_AS_DROPPED, condition, site))
    weights = given.get("other", UNKNOWN)
    return _zeroed(weights, result, site) if first == 0 and _can_be_cut(weights) and _takes_places(condition) else result


# --------------------------------------------------------------------------------------------------------------------- masks
def _cast(last: str, arguments: Sequence[Argument], result: Value) -> Value:
    """A cast: what is no truth value any more is no mask. A mask that is turned round looks the other way."""
    if last in _REVERSES:
        return _without_triangle(result)
    if result.meaning in OPPOSITE and (last in _TO_FLOAT or (last in ("to", "type") and not _says_device(arguments))):
        return replace(result, meaning=None)
    return result


def _says_device(arguments: Sequence[Argument]) -> bool:
    """Whether `.to(...)` moves a tensor, or makes truth values of it."""
    told = [each for each in arguments if each.keyword not in ("non_blocking", "copy")]
    return bool(told) and all(
        each.keyword == "device"
        or isinstance(each.value.constant, str)
        or each.value.thing == Symbol("torch.bool")
        or (each.keyword is None and each.node is not None and "device" in code(each.node))
        for each in told
    )


def _without_triangle(result: Value) -> Value:
    if result.meaning in OPPOSITE:
        result = replace(result, meaning=None)
    marked = result.marked.mark if result.marked is not None else None
    return replace(result, marked=None) if marked in (*_TRIANGLES, *_COMPARED, Mark.POSITIONS) else result


def _puts_one_behind(effect: Moves, given: Mapping[str, Value], values: Sequence[Value]) -> bool:
    """Whether the last axis may be a new one of size 1 from now on."""
    if effect.how is Move.UNSQUEEZE:
        dim = given.get("dim", UNKNOWN).constant
        return dim not in (0, 1, -2, -3)
    return effect.how is Move.REGROUP and (len(values) < 2 or values[-1].constant == 1)


def _of_rows(result: Value, site: Site) -> Value:
    is_mask = result.meaning in OPPOSITE or _is(result, Mark.POSITIONS)
    return replace(result, marked=Marked(Mark.OF_ROWS, site)) if is_mask else result


def _made(last: str, first: Value, arguments: Sequence[Argument], result: Value, site: Site) -> Value:
    """Tensors of ones, and triangles of such; places in a row."""
    match last:
        case "ones" | "ones_like":
            is_boolean = any(each.keyword == "dtype" and each.value.thing == Symbol("torch.bool") for each in arguments)
            return replace(result, marked=Marked(Mark.BOOLEAN_ONES if is_boolean else Mark.ONES, site))
        case "arange":
            return replace(result, marked=Marked(Mark.COUNTING, site))
        case "tril" | "triu" | "tril_" | "triu_":
            return _triangle(first, _diagonal(first, arguments), result, site, upper=last.startswith("triu"))
        case _:
            return result


def _diagonal(first: Value, arguments: Sequence[Argument]) -> object:
    named = next((each.value.constant for each in arguments if each.keyword == "diagonal"), None)
    if named is not None:
        return named
    others = [each.value for each in arguments if each.keyword is None and each.value is not first]
    return others[0].constant if others else 0


def _triangle(first: Value, diagonal: object, result: Value, site: Site, *, upper: bool) -> Value:
    if _can_be_cut(first):
        return _zeroed(first, result, site)
    if first.marked is None or first.marked.mark not in _ONES or diagonal != int(upper):
        return result
    mark = Mark.UPPER if upper else Mark.LOWER
    trail = first_step(site, f"{'triu' if upper else 'tril'} of ones: {mark.value}")
    if first.marked.mark is Mark.BOOLEAN_ONES:
        return _mask(result, _TRIANGLES[mark], trail)
    return replace(result, marked=Marked(mark, site, trail))


def _mask(result: Value, meaning: Semantic, trail: Trail | None) -> Value:
    return replace(result, meaning=meaning, trail=trail, axes=Axes(result.axes.rank), marked=None)


def tested(how: Test, first: Value, other: Value | None, result: Value, site: Site) -> Value:
    """A comparison with a number, the inverse of a mask, or two masks in one."""
    if how in (Test.AND, Test.OR):
        return _connected(how, first, other if other is not None else UNKNOWN, result)
    if other is not None and _tells_places(how, first, other, site):
        return replace(result, marked=Marked(Mark.POSITIONS, site))
    compared = _compared(how, first, other, site)
    if compared is not None:
        return replace(result, marked=compared)
    keeps = _truth_kept(how, other.constant if other is not None else None)
    if keeps is None:
        return result
    if first.marked is not None and first.marked.mark in _COMPARED:
        mark = first.marked.mark if keeps else _OTHER_COMPARED[first.marked.mark]
        return replace(result, marked=replace(first.marked, mark=mark))
    if first.marked is not None and first.marked.mark in _TRIANGLES:
        meaning, trail = _TRIANGLES[first.marked.mark], first.marked.trail
    elif first.meaning in OPPOSITE:
        meaning, trail = KEEP if first.meaning is KEEP else DROP, first.trail
    elif _is(first, Mark.POSITIONS):
        return replace(result, marked=first.marked)
    else:
        return result
    return _mask(result, meaning if keeps else OPPOSITE[meaning], trail if keeps else onward(trail, site, "inverted"))


_ONE_A_ROW = re.compile(r"\bNone\b|unsqueeze\(|view\(|reshape\(")


def _tells_places(how: Test, first: Value, other: Value, site: Site) -> bool:
    """Whether places are compared with one another, or with a number for each row: `arange(n) < lengths[:, None]`.

    One number for all rows takes the same places from each, perhaps such as stand for nothing.
    """
    counts = [_is(each, Mark.COUNTING) for each in (first, other)]
    if how in (Test.EQUAL, Test.UNEQUAL) or not any(counts) or not isinstance(site.node, cst.Comparison):
        return False
    sides = (site.node.left, site.node.comparisons[0].comparator)
    return all(counts) or any(_ONE_A_ROW.search(code(side)) for side, is_count in zip(sides, counts, strict=True) if not is_count)


def _compared(how: Test, first: Value, other: Value | None, site: Site) -> Marked | None:
    """The mark of `ids == pad` and `ids != pad`; None of any other comparison."""
    one = _id_of(other) if other is not None else None
    if how not in (Test.EQUAL, Test.UNEQUAL) or one is None or first.origin is None or first.marked is not None:
        return None
    if first.meaning is not None or isinstance(first.thing, Opaque):
        return None
    mark = Mark.EQUALS if how is Test.EQUAL else Mark.DIFFERS
    trail = first_step(site, f"true where an id is {'' if mark is Mark.EQUALS else 'not '}that of the padding")
    return Marked(mark, site, trail, (first.origin, one))


def _id_of(value: Value) -> object:
    """What a single id is known by: its number, or where a setting comes from; None where neither is known."""
    if isinstance(value.thing, Constant):
        return value.constant if type(value.constant) is int else None
    return value.origin


def _truth_kept(how: Test, number: object) -> bool | None:
    """Whether a test of 0 and 1 gives False and True, or the opposite; None where it gives neither."""
    if how is Test.TRUE:
        return True
    if how is Test.NOT:
        return False
    if not isinstance(number, int | float):
        return None
    match how:
        case Test.EQUAL:
            outcomes = number == 0, number == 1
        case Test.UNEQUAL:
            outcomes = number != 0, number != 1
        case Test.GREATER:
            outcomes = number < 0, number < 1
        case Test.NOT_LESS:
            outcomes = number <= 0, number <= 1
        case Test.LESS:
            outcomes = number > 0, number > 1
        case _:
            outcomes = number >= 0, number >= 1
    return {(False, True): True, (True, False): False}.get(outcomes)


def _connected(how: Test, first: Value, other: Value, result: Value) -> Value:
    """`&` and `|`: a mask that keeps stays one whatever else must hold; one that drops, whatever else may hold."""
    stricter = KEEP if how is Test.AND else DROP
    masks = [each for each in (first, other) if each.meaning in OPPOSITE]
    alike = len(masks) == 2 and masks[0].meaning is masks[1].meaning
    if masks and (alike or (len(masks) == 1 and masks[0].meaning is stricter)):
        return replace(result, meaning=masks[0].meaning, trail=masks[0].trail)
    return result


def written(base: Value, index: Value, value: Value, site: Site) -> Marked | None:
    """The mark that is left of a tensor after `tensor[index] = value`."""
    return filled(base, index, _filler(value, None), base, site).marked


def picked(base: Value, indices: Sequence[Value], result: Value, site: Site) -> Value:
    """`tensor[indices]`: a rate stays one; slices and new axes leave a mask what it is."""
    if base.marked is None and base.meaning not in OPPOSITE:
        return result
    if base.marked is not None and base.marked.mark in OF_PREDICTIONS:
        return replace(result, marked=base.marked)
    if indices and indices[-1].is_none:
        return _of_rows(replace(result, marked=base.marked), site)
    plain = all(_is_slice_or_new(index) for index in indices)
    marked = base.marked.mark if base.marked is not None else None
    if marked is Mark.RATE or (
        plain and marked in (*_TRIANGLES, *_ONES, *_COMPARED, Mark.COUNTING, Mark.POSITIONS, Mark.UNMASKED)
    ):
        keeps = marked is not Mark.UNMASKED or base.meaning is not PROBS
        return replace(result, marked=base.marked) if keeps else result
    return result if plain or base.meaning not in OPPOSITE else replace(result, meaning=None)


def _is_slice_or_new(index: Value) -> bool:
    is_slice = isinstance(index.thing, Items) and index.thing.cls == "builtins.slice"
    return is_slice or index.is_none or index.constant is Ellipsis


_ARITHMETIC: Mapping[type[cst.CSTNode], Arithmetic] = {
    cst.Add: Arithmetic.PLUS,
    cst.AddAssign: Arithmetic.PLUS,
    cst.Subtract: Arithmetic.MINUS,
    cst.SubtractAssign: Arithmetic.MINUS,
    cst.Multiply: Arithmetic.TIMES,
    cst.MultiplyAssign: Arithmetic.TIMES,
    cst.Divide: Arithmetic.OVER,
    cst.DivideAssign: Arithmetic.OVER,
}
_CONNECTS: Mapping[type[cst.CSTNode], Test] = {
    cst.BitAnd: Test.AND,
    cst.BitAndAssign: Test.AND,
    cst.BitOr: Test.OR,
    cst.BitOrAssign: Test.OR,
}
COMPARES: Mapping[type[cst.CSTNode], Test] = {
    cst.Equal: Test.EQUAL,
    cst.NotEqual: Test.UNEQUAL,
    cst.GreaterThan: Test.GREATER,
    cst.GreaterThanEqual: Test.NOT_LESS,
    cst.LessThan: Test.LESS,
    cst.LessThanEqual: Test.NOT_GREATER,
}
