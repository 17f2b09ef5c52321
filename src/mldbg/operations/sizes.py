"""Sizes of axes: integers, names, and sums, products and floor divisions of them, in a normal form.

A size that is known is a plain int. One that is not is a `Size`, a polynomial with integer coefficients over atoms, so that two
expressions that are equal for all values are equal as data. An atom is a name, or a floor division that does not come out.
`ANY` is a size of which nothing is known: whatever is computed from it is `ANY`.

Arithmetic is that of Python's ints: `//` rounds down. Divisors are taken to be positive, as sizes, strides and counts are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import gcd, inf

DEEPEST_DIVISION = 3
"""Divisions inside one another that are taken to come out."""

MOST_TERMS = 24
"""Terms of a polynomial; what has more is not followed."""


@dataclass(frozen=True, slots=True)
class Atom:
    """A number that is not known.

    Attributes:
        name: how people call it.
        key: its identity; atoms with the same key are the same number.
        scope: of a named axis in an annotation the identity of the call that the name belongs to. Such names are rigid: a
            program has to work for any sizes of theirs, so two of them in one scope are two sizes. None of any other number.
        positive: whether it is the size of an axis, and not just any number.
    """

    name: str = field(compare=False)
    key: Hashable
    scope: Hashable = None
    positive: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Quotient:
    """`above // below`, where that does not come out."""

    above: Size
    below: Dim

    @property
    def name(self) -> str:
        return f"{said(self.above, inner=True)}//{said(self.below, inner=True)}"

    @property
    def scope(self) -> None:
        return None


Factor = Atom | Quotient
Monomial = frozenset[tuple[Factor, int]]
"""A product of powers; the empty one is 1."""

_ONE: Monomial = frozenset()


@dataclass(frozen=True, slots=True)
class Size:
    """A polynomial that is no plain number: the coefficient of each of its monomials, none of them 0."""

    terms: frozenset[tuple[Monomial, int]]

    def __add__(self, other: object) -> Dim:
        return _combined(self, other, lambda one, two: _sum(one, two, 1))

    __radd__ = __add__

    def __sub__(self, other: object) -> Dim:
        return _combined(self, other, lambda one, two: _sum(one, two, -1))

    def __rsub__(self, other: object) -> Dim:
        return _combined(self, other, lambda one, two: _sum(two, one, -1))

    def __neg__(self) -> Dim:
        return 0 - self

    def __mul__(self, other: object) -> Dim:
        return _combined(self, other, _product)

    __rmul__ = __mul__

    def __floordiv__(self, other: object) -> Dim:
        if isinstance(other, AnySize):
            return ANY
        return quotient(self, other) if _is_dim(other) else NotImplemented

    def __rfloordiv__(self, other: object) -> Dim:
        return quotient(other, self) if _is_dim(other) else NotImplemented

    def __mod__(self, other: object) -> Dim:
        if isinstance(other, AnySize):
            return ANY
        return self - quotient(self, other) * other if isinstance(other, int | Size) else NotImplemented

    def __str__(self) -> str:
        return said(self)


class AnySize:
    """The size of which nothing is known."""

    __slots__ = ()

    def _absorb(self, other: object) -> AnySize:
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _absorb
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _absorb

    def __neg__(self) -> AnySize:
        return self

    def __repr__(self) -> str:
        return "ANY"

    def __str__(self) -> str:
        return "?"


ANY = AnySize()
Dim = int | Size | AnySize


def atom(name: str, key: Hashable, *, scope: Hashable = None, positive: bool = True) -> Size:
    """The size that a name stands for."""
    return _of_factor(Atom(name, key, scope, positive))


def _of_factor(factor: Factor) -> Size:
    return Size(frozenset({(frozenset({(factor, 1)}), 1)}))


CUT, PART = "cut", "part"
"""What the keys of atoms begin with that stand for what is left of an axis: of a slice, of one of the parts of a split."""


def has_name(found: Atom) -> bool:
    """Whether somebody calls a number so; of what a slice or a split leaves of an axis nobody does."""
    return not (isinstance(found.key, tuple) and found.key[:1] in ((CUT,), (PART,)))


def _is_dim(value: object) -> bool:
    return isinstance(value, int | Size | AnySize) and not isinstance(value, bool)


# --- arithmetic ---


def _terms(size: int | Size) -> dict[Monomial, int]:
    if isinstance(size, Size):
        return dict(size.terms)
    return {_ONE: size} if size else {}


def _made(terms: Mapping[Monomial, int]) -> Dim:
    kept = {monomial: number for monomial, number in terms.items() if number}
    if not kept:
        return 0
    if kept.keys() == {_ONE}:
        return kept[_ONE]
    return Size(frozenset(kept.items())) if len(kept) <= MOST_TERMS else ANY


def _combined(one: Size, other: object, how: Callable[[int | Size, int | Size], Dim]) -> Dim:
    if isinstance(other, AnySize):
        return ANY
    if isinstance(other, int | Size) and not isinstance(other, bool):
        return how(one, other)
    return NotImplemented  # type: ignore[no-any-return]


def _sum(one: int | Size, two: int | Size, sign: int) -> Dim:
    terms = _terms(one)
    for monomial, number in _terms(two).items():
        terms[monomial] = terms.get(monomial, 0) + sign * number
    return _made(terms)


def _product(one: int | Size, two: int | Size) -> Dim:
    terms: dict[Monomial, int] = {}
    for first, number in _terms(one).items():
        for second, times in _terms(two).items():
            both = _times(first, second)
            terms[both] = terms.get(both, 0) + number * times
    return _made(terms)


def _times(one: Monomial, two: Monomial) -> Monomial:
    powers = dict(one)
    for factor, power in two:
        powers[factor] = powers.get(factor, 0) + power
    return frozenset((factor, power) for factor, power in powers.items() if power)


def product(sizes: Iterable[Dim]) -> Dim:
    """The product of sizes; 0 where one of them is 0, whatever the others are. Beside ones a size is passed on as it is."""
    result: Dim = 1
    unsure = False
    for size in sizes:
        if size == 0:
            return 0
        unsure |= isinstance(size, AnySize)
        if size != 1:
            result = size if result == 1 else result * size
    return ANY if unsure else result


def quotient(above: object, below: object) -> Dim:
    """`above // below`; ANY where the divisor is not positive."""
    if not isinstance(above, int | Size) or not isinstance(below, int | Size) or below == 0:
        return ANY
    if isinstance(above, int) and isinstance(below, int):
        return above // below if below > 0 else ANY
    exact = divided(above, below)
    if exact is not None:
        return exact
    above, below = _without_common(above, below)
    if isinstance(below, Size) or not isinstance(above, Size):
        return _of_factor(Quotient(above, below)) if isinstance(above, Size) else ANY
    return _with_remainder(above, below)


def _with_remainder(above: Size, below: int) -> Dim:
    """Whole multiples of the divisor are taken out, and divisions inside one another become one."""
    if below < 0:
        return ANY
    whole: dict[Monomial, int] = {}
    rest: dict[Monomial, int] = {}
    for monomial, number in above.terms:
        out, left = divmod(number, below)
        whole[monomial], rest[monomial] = out, left
    outside, inside = _made(whole), _made(rest)
    if not isinstance(inside, Size):
        return outside + (inside // below if isinstance(inside, int) else ANY)
    inner = [(factor, number) for monomial, number in inside.terms for factor, power in monomial if monomial == {(factor, 1)}]
    if len(inner) == 1 and len([monomial for monomial, _ in inside.terms if monomial]) == 1 and inner[0][1] == 1:
        factor = inner[0][0]
        constant = dict(inside.terms).get(_ONE, 0)
        if isinstance(factor, Quotient) and isinstance(factor.below, int):  # ((n + a) // b + c) // d = (n + a + b*c) // (b*d)
            return outside + quotient(factor.above + factor.below * constant, factor.below * below)
    return outside + _of_factor(Quotient(inside, below))


def divided(above: Dim, below: Dim) -> Dim | None:
    """The exact quotient as a polynomial; None where there is none."""
    if isinstance(above, AnySize) or isinstance(below, AnySize) or below == 0:
        return None
    if above == 0:
        return 0
    if isinstance(below, Size) and len(below.terms) > 1:
        return _long_division(above, below)
    [(monomial, number)] = _terms(below).items()
    powers = dict(monomial)
    found: dict[Monomial, int] = {}
    for term, times in _terms(above).items():
        have = dict(term)
        if times % number or any(have.get(factor, 0) < power for factor, power in powers.items()):
            return None
        found[_times(term, frozenset((factor, -power) for factor, power in powers.items()))] = times // number
    return _made(found)


def _long_division(above: int | Size, below: Size) -> Dim | None:
    """Division by a sum: tried with the leading terms in some fixed order, for as many steps as there are terms."""

    def rank(monomial: Monomial) -> tuple[int, list[str]]:
        return sum(power for _, power in monomial), sorted(factor.name for factor, power in monomial for _ in range(power))

    lead = max((monomial for monomial, _ in below.terms), key=rank)
    head = Size(frozenset({(lead, dict(below.terms)[lead])}))
    rest: Dim = above
    found: Dim = 0
    for _ in range(MOST_TERMS):
        if rest == 0:
            return found
        if not isinstance(rest, Size):
            return None
        top = max((monomial for monomial, _ in rest.terms), key=rank)
        step = divided(_made({top: dict(rest.terms)[top]}), head)
        if step is None:
            return None
        found, rest = found + step, rest - step * below
    return None


# --- comparison ---


def same_axis(one: Dim, two: Dim) -> bool | None:
    """As `same`, of two that are sizes of axes: a number that is one of them by itself is at least 1."""
    names = {_alone(size) for size in (one, two) if isinstance(size, Size)}
    counts = {name: _of_factor(replace(name, positive=True)) for name in names if name is not None and not name.positive}
    return same(replaced(one, counts), replaced(two, counts))


def same(one: Dim, two: Dim) -> bool | None:
    """Whether two sizes are equal: True where they are for all values, False where they cannot be, None where that depends.

    Axes are taken to have at least one entry, and so are divisions by which both are multiplied: `h // 4 * 2` and `h // 4 * 3`
    are two sizes, since a map without pixels is none. Two named axes of one annotated call count as different, for the code must
    work where they are.
    """
    if isinstance(one, AnySize) or isinstance(two, AnySize):
        return None
    if one == two:
        return True
    if isinstance(one, int) and isinstance(two, int):
        return False
    one, two = _without_common(one, two)
    if _is_other_name(one, two):
        return False
    if isinstance(one, int) and isinstance(two, int):
        return False
    for larger, smaller in ((one, two), (two, one)):
        gap = larger - smaller
        if isinstance(gap, AnySize):
            return None
        if _least(gap) > 0:
            return False
    return None


def _without_common(one: int | Size, two: int | Size) -> tuple[int | Size, int | Size]:
    """Both without the factors that they share."""
    terms = [*_terms(one).items(), *_terms(two).items()]
    if not terms or one == 0 or two == 0:
        return one, two
    common = dict(terms[0][0])
    number = 0
    for monomial, times in terms:
        powers = dict(monomial)
        common = {factor: min(power, powers.get(factor, 0)) for factor, power in common.items()}
        number = gcd(number, times)
    shared = _made({frozenset((factor, power) for factor, power in common.items() if power): number})
    first, second = divided(one, shared), divided(two, shared)
    if isinstance(first, int | Size) and isinstance(second, int | Size):
        return first, second
    return one, two


def _is_other_name(one: int | Size, two: int | Size) -> bool:
    first, second = _name_of(one), _name_of(two)
    return first is not None and second is not None and first.scope == second.scope and first.key != second.key


def _name_of(size: int | Size) -> Atom | None:
    """The rigid name that a size consists of."""
    name = _alone(size)
    return name if name is not None and name.scope is not None else None


def at_most(one: Dim, two: Dim) -> bool:
    """Whether one size is known to be no larger than another, whatever the sizes in them are."""
    gap = two - one
    return not isinstance(gap, AnySize) and _least(gap) >= 0


def _least(size: int | Size) -> float:
    """A number that a size cannot be below; minus infinity where there is none."""
    if isinstance(size, int):
        return size
    for monomial, number in size.terms:
        if number < 0 and monomial:
            [(factor, power), *others] = monomial
            if others or power > 1 or not isinstance(factor, Quotient) or not isinstance(factor.below, int):
                return -inf
            if _least(factor.above) < 0:
                return -inf
            without = _made({each: times for each, times in size.terms if each != monomial})
            lower = without * factor.below + number * factor.above  # a // b is no more than a / b
            return -inf if isinstance(lower, AnySize) else _least(lower) / factor.below
    return sum(number * _least_product(monomial) for monomial, number in size.terms)


def _least_product(monomial: Monomial) -> float:
    factors = [factor for factor, _ in monomial]
    if any(_least(factor.above) < 0 if isinstance(factor, Quotient) else not factor.positive for factor in factors):
        return -inf
    return 0 if any(isinstance(factor, Quotient) for factor in factors) else 1


# --- names ---


def atoms(size: Dim) -> frozenset[Atom]:
    """The names in a size, those inside divisions included."""
    if not isinstance(size, Size):
        return frozenset()
    found: set[Atom] = set()
    for monomial, _ in size.terms:
        for factor, _ in monomial:
            found |= {factor} if isinstance(factor, Atom) else atoms(factor.above) | atoms(factor.below)
    return frozenset(found)


def replaced(size: Dim, values: Mapping[Atom, Dim]) -> Dim:
    """The size with other sizes in the place of some names."""
    if not isinstance(size, Size) or not values:
        return size
    total: Dim = 0
    for monomial, number in size.terms:
        term: Dim = number
        for factor, power in monomial:
            if isinstance(factor, Atom):
                value: Dim = values.get(factor, _of_factor(factor))
            else:
                value = quotient(replaced(factor.above, values), replaced(factor.below, values))
            for _ in range(power):
                term = term * value
        total = total + term
    return total


def coming_out(*sizes: Dim) -> tuple[Dim, ...]:
    """The same sizes where every division of a name is taken to come out: with `d` a multiple of `h`, `d//h*h` is `d`."""
    for _ in range(DEEPEST_DIVISION):
        sizes, before = _one_coming_out(sizes), sizes
        if sizes == before:
            break
    return sizes


def _one_coming_out(sizes: tuple[Dim, ...]) -> tuple[Dim, ...]:
    values: dict[Atom, Dim] = {}
    for quotient_ in (factor for size in sizes for factor in _quotients(size)):
        name = _alone(quotient_.above)
        if name is not None and name not in values and name not in atoms(quotient_.below):
            values[name] = atom(f"{name.name}'", (PART, quotient_)) * quotient_.below
    return tuple(replaced(size, values) for size in sizes)


def _quotients(size: Dim) -> Iterator[Quotient]:
    for monomial, _ in size.terms if isinstance(size, Size) else ():
        yield from (factor for factor, _ in monomial if isinstance(factor, Quotient))


def is_name(size: int | Size) -> bool:
    """Whether a size is one name, and nothing computed from it."""
    return _alone(size) is not None


def factor_of(size: int | Size) -> int | None:
    """The number in a product of names; None of a sum."""
    terms = _terms(size)
    return next(iter(terms.values())) if len(terms) == 1 else None


def _alone(size: int | Size) -> Atom | None:
    """The name that a size consists of."""
    if not isinstance(size, Size) or len(size.terms) != 1:
        return None
    [(monomial, number)] = size.terms
    [*factors] = monomial
    if number != 1 or len(factors) != 1 or factors[0][1] != 1:
        return None
    factor = factors[0][0]
    return factor if isinstance(factor, Atom) else None


def said(size: Dim, *, inner: bool = False) -> str:
    """A size as people write it: `2*d+1`; `inner`: in parentheses where it is a sum or a product."""
    if not isinstance(size, Size):
        return str(size)
    pieces: list[str] = []
    ordered = sorted((_said_monomial(monomial, number), number) for monomial, number in size.terms)
    ordered.sort(key=lambda piece: (not piece[0], piece[1] < 0, -piece[0].count("*")))
    for text, number in ordered:
        term = str(abs(number)) if not text else text if abs(number) == 1 else f"{abs(number)}*{text}"
        pieces.append(f"-{term}" if number < 0 else f"+{term}" if pieces else term)
    text = "".join(pieces)
    return f"({text})" if inner and not text.isidentifier() else text


def _said_monomial(monomial: Monomial, number: int) -> str:
    several = number != 1 or sum(power for _, power in monomial) > 1
    names = []
    for factor, power in monomial:
        name = factor.name if isinstance(factor, Atom) or not several else f"({factor.name})"
        names += [name] * power
    return "*".join(sorted(names))
