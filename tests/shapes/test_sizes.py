"""Sizes of axes against Python's own integers: whatever is computed with names has to be true of all numbers."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from mldbg.operations.sizes import (
    ANY,
    AnySize,
    Atom,
    Dim,
    Quotient,
    Size,
    _quotients,
    at_most,
    atom,
    atoms,
    coming_out,
    divided,
    product,
    quotient,
    replaced,
    said,
    same,
    same_axis,
)

MORE = int(os.environ.get("SHAPE_EXAMPLES", "10")) // 10
"""How many times as many examples as by default."""

NAMES = "abc"
ATOMS = {name: atom(name, name) for name in NAMES}
OPERATIONS: dict[str, Callable[..., Dim]] = {"+": operator.add, "-": operator.sub, "*": operator.mul, "//": operator.floordiv}

Values = dict[str, int]
VALUES: st.SearchStrategy[Values] = st.fixed_dictionaries(dict.fromkeys(NAMES, st.integers(1, 12)))
MANY = st.lists(VALUES, min_size=20, max_size=20)

thorough = settings(max_examples=100 * max(MORE, 1), deadline=None, derandomize=MORE <= 1)


class NotPositive(Exception):  # noqa: N818 (nothing is wrong: such values are left out)
    """A divisor is not positive, which divisors are taken to be."""


@dataclass(frozen=True)
class Both:
    """One operation on two expressions."""

    operation: str
    left: Expression
    right: Expression


Expression = int | str | Both


def expressions(operations: Iterable[str] = OPERATIONS, leaves: int = 7) -> st.SearchStrategy[Expression]:
    numbers: st.SearchStrategy[Expression] = st.integers(-3, 6) | st.sampled_from(NAMES) | st.sampled_from(NAMES)
    which = st.sampled_from(sorted(operations))
    return st.recursive(numbers, lambda inner: st.builds(Both, which, inner, inner), max_leaves=leaves)


POLYNOMIALS = expressions("+-*")


def symbolic(expression: Expression) -> Dim:
    if isinstance(expression, Both):
        left, right = symbolic(expression.left), symbolic(expression.right)
        if expression.operation == "//" and not isinstance(left, Size) and not isinstance(right, Size):
            return quotient(left, right)
        return OPERATIONS[expression.operation](left, right)
    return ATOMS[expression] if isinstance(expression, str) else expression


def computed(expression: Expression, values: Values) -> int:
    """What Python makes of it."""
    if isinstance(expression, Both):
        left, right = computed(expression.left, values), computed(expression.right, values)
        if expression.operation == "//" and right <= 0:
            raise NotPositive
        result = OPERATIONS[expression.operation](left, right)
        assert isinstance(result, int)
        return result
    return values[expression] if isinstance(expression, str) else expression


def at(size: Dim, values: Values) -> Dim:
    """A size for some numbers in the place of the names."""
    return replaced(size, {found: values[found.name] if found.name in values else part(found, values) for found in atoms(size)})


def possible(many: list[Values], *expressions: Expression) -> list[tuple[int, ...]]:
    """What expressions come to for those values for which no divisor is 0 or less."""
    found = []
    for values in many:
        try:
            found.append(tuple(computed(each, values) for each in expressions))
        except NotPositive:
            continue
    return found


# --- arithmetic ---


@thorough
@given(expressions(), MANY)
def test_what_is_computed_with_names_is_true_of_numbers(expression: Expression, many: list[Values]) -> None:
    size = symbolic(expression)
    assume(not isinstance(size, AnySize))
    for values in many:
        try:
            expected = computed(expression, values)
        except NotPositive:
            continue
        assert at(size, values) == expected


@thorough
@given(POLYNOMIALS, POLYNOMIALS)
@example(Both("*", Both("+", "a", "b"), Both("-", "a", "b")), Both("-", Both("*", "a", "a"), Both("*", "b", "b")))
def test_polynomials_are_equal_as_data_exactly_where_they_are_equal_for_all_values(one: Expression, two: Expression) -> None:
    far_apart = {name: 10 ** (30 * 10**place) for place, name in enumerate(NAMES)}  # no two polynomials this small meet there
    first, second = symbolic(one), symbolic(two)
    assume(ANY not in (first, second))
    assert (first == second) == (computed(one, far_apart) == computed(two, far_apart))


@st.composite
def rewritten(draw: st.DrawFn, expression: Expression) -> Expression:
    """Another expression that is equal by the laws of arithmetic."""
    if not isinstance(expression, Both):
        return Both("-", Both("+", expression, 3), 3) if draw(st.booleans()) else expression
    one, two = draw(rewritten(expression.left)), draw(rewritten(expression.right))
    if expression.operation == "-":
        return Both("+", Both("*", -1, two), one)
    if expression.operation == "*" and isinstance(one, Both) and one.operation in "+-":
        return Both(one.operation, Both("*", one.left, two), Both("*", two, one.right))
    return Both(expression.operation, two, one) if draw(st.booleans()) else Both(expression.operation, one, two)


@thorough
@given(st.data(), POLYNOMIALS)
def test_the_laws_of_arithmetic_hold_as_data(data: st.DataObject, expression: Expression) -> None:
    size = symbolic(expression)
    assume(size is not ANY)
    assert symbolic(data.draw(rewritten(expression))) == size
    assert same(size, symbolic(data.draw(rewritten(expression)))) is True


@thorough
@given(st.lists(expressions(leaves=3), max_size=4))
def test_a_product_is_that_of_all_sizes(several: list[Expression]) -> None:
    sizes = [symbolic(each) for each in several]
    if 0 in sizes:
        assert product(sizes) == 0
    else:
        assert product(sizes) == prod(sizes)


# --- division ---


@thorough
@given(expressions(leaves=5), expressions(leaves=5))
def test_an_exact_quotient_times_the_divisor_is_the_dividend(one: Expression, two: Expression) -> None:
    above, below = symbolic(one), symbolic(two)
    exact = divided(above, below)
    assert exact is None or exact * below == above


@thorough
@given(expressions("+-*", leaves=4), expressions("+-*", leaves=4))
def test_a_product_is_divided_by_each_of_its_factors(one: Expression, two: Expression) -> None:
    above, below = symbolic(one), symbolic(two)
    whole = above * below
    assume(below != 0 and whole is not ANY)
    assert divided(whole, below) == above


@thorough
@given(expressions(leaves=4), expressions(leaves=4), MANY)
def test_a_quotient_rounds_down(one: Expression, two: Expression, many: list[Values]) -> None:
    result = quotient(symbolic(one), symbolic(two))
    assume(not isinstance(result, AnySize))
    for values in many:
        for above, below in possible([values], one, two):
            assert below <= 0 or at(result, values) == above // below


def test_a_quotient_by_what_is_not_positive_is_not_known() -> None:
    a = ATOMS["a"]
    assert quotient(4, 0) is quotient(a, 0) is quotient(4, -2) is quotient(a, ANY) is quotient(ANY, 2) is ANY


@thorough
@given(st.lists(expressions(leaves=5), min_size=1, max_size=3), MANY)
@example([Both("*", Both("//", "a", "b"), "b"), "a"], [{"a": 6, "b": 3, "c": 1}])
@example([Both("//", "a", "b"), Both("//", "b", 2)], [{"a": 12, "b": 6, "c": 1}])
def test_where_divisions_come_out_the_sizes_are_the_same(several: list[Expression], many: list[Values]) -> None:
    sizes = [symbolic(each) for each in several]
    after = coming_out(*sizes)
    assert len(after) == len(sizes)
    divisions = [division for size in sizes for division in divisions_in(size)]
    for values in many:
        if not possible([values], *several) or not all(comes_out(division, values) for division in divisions):
            continue
        for before, size in zip(sizes, after, strict=True):
            assert size is ANY or at(size, values) == at(before, values)


def divisions_in(size: Dim) -> Iterator[Quotient]:
    """The divisions in a size, those inside of others included."""
    for division in _quotients(size):
        yield division
        yield from divisions_in(division.above)
        yield from divisions_in(division.below)


def comes_out(division: Quotient, values: Values) -> bool:
    above, below = at(division.above, values), at(division.below, values)
    return isinstance(above, int) and isinstance(below, int) and below > 0 and above % below == 0


def has_entries(division: Quotient, values: Values) -> bool:
    """Whether a division gives a number that an axis can have."""
    above, below = at(division.above, values), at(division.below, values)
    return isinstance(above, int) and isinstance(below, int) and below > 0 and above // below >= 1


def part(found: Atom, values: Values) -> Dim:
    """The number that stands for a division that comes out."""
    assert isinstance(found.key, tuple)
    division = found.key[1]
    return quotient(at(division.above, values), at(division.below, values))


def test_a_division_that_comes_out_can_be_multiplied_back() -> None:
    a, b = ATOMS["a"], ATOMS["b"]
    one, two = coming_out(a // b * b, a)
    assert one == two
    assert a // b * b != a


# --- comparison ---


@thorough
@given(expressions(leaves=5), expressions(leaves=5), MANY)
@example(Both("+", Both("//", "a", 2), 1), 1, [{"a": 1, "b": 1, "c": 1}])
@example(Both("//", Both("-", "a", "b"), 2), -1, [{"a": 1, "b": 2, "c": 1}])
def test_sizes_are_called_the_same_or_different_only_where_they_are(one: Expression, two: Expression, many: list[Values]) -> None:
    verdict = same(symbolic(one), symbolic(two))
    shared = {*_quotients(symbolic(one))} & {*_quotients(symbolic(two))}
    many = [values for values in many if all(has_entries(division, values) for division in shared)]
    if verdict is not None:
        assert all((first == second) is verdict for first, second in possible(many, one, two))


@thorough
@given(POLYNOMIALS, st.integers(-3, 6))
def test_a_size_is_the_same_as_itself_and_never_as_a_larger_one(expression: Expression, more: int) -> None:
    size = symbolic(expression)
    assume(size is not ANY)
    assert same(size, size + more) is (more == 0)
    assert same(size, size + ATOMS["a"]) is False


@thorough
@given(expressions(leaves=5), expressions(leaves=5), MANY)
def test_a_size_is_called_no_larger_only_where_it_is_not(one: Expression, two: Expression, many: list[Values]) -> None:
    if at_most(symbolic(one), symbolic(two)):
        assert all(first <= second for first, second in possible(many, one, two))


def test_nothing_is_said_of_a_size_that_is_not_known() -> None:
    assert same(ANY, ANY) is None
    assert same(ANY, 3) is None
    assert same(ATOMS["a"], ANY) is None


def test_what_is_no_axis_may_be_any_number() -> None:
    number = atom("k", "k", positive=False)
    assert same(number, 0) is None
    assert same(ATOMS["a"] + number, ATOMS["a"]) is None
    assert same(ATOMS["a"], 0) is False


def test_a_number_that_is_an_axis_by_itself_is_at_least_1() -> None:
    number = atom("k", "k", positive=False)
    assert same(number // 2, number) is None
    assert same_axis(number // 2, number) is False
    assert same_axis(number // 3 + 1, number) is None, "1 // 3 + 1"
    assert same_axis(number - 1, 1) is None
    assert same_axis(ANY, number) is None


def test_two_names_of_one_annotated_call_are_two_sizes() -> None:
    """A function that says `a b` has to work where they differ."""
    a, b = (atom(name, name, scope="call") for name in "ab")
    other = atom("b", "b of another", scope="another call")
    assert same(a, b) is False
    assert same(3 * a, 3 * b) is False
    assert same(a * b, a * a) is False
    assert same(a, a) is True
    assert same(a, other) is None
    assert same(a, ATOMS["b"]) is None
    assert same(a, b + 1) is None
    assert same(a, 2 * b) is None
    assert same(a, 4) is None


# --- words ---


@thorough
@given(expressions(), MANY)
@example(Both("*", 3, Both("//", "a", 2)), [{"a": 3, "b": 1, "c": 1}])
@example(Both("*", -1, Both("//", "a", 2)), [{"a": 3, "b": 1, "c": 1}])
@example(Both("*", Both("//", "a", 2), Both("//", "a", 2)), [{"a": 3, "b": 1, "c": 1}])
def test_what_is_said_of_a_size_is_an_expression_of_the_same_value(expression: Expression, many: list[Values]) -> None:
    size = symbolic(expression)
    assume(not isinstance(size, AnySize))
    for values in many:
        if possible([values], expression):
            for text in (said(size), said(size, inner=True)):
                assert eval(text, {}, dict(values)) == at(size, values), text
