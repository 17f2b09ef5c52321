"""Joins: what holds of a value that is one of two. They form a lattice of finite height whose top is `UNKNOWN`.

A join keeps what both have in common and, where that is possible, which few values it may be (`Value.among`). An object, class or
function is worth telling apart as it is; a tensor, and something of which nothing is known, only *under* outcomes of tests,
for an alternative must be reported together with the branch that it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mldbg.lint.interpret import shapes
from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.parts import either_of, says_it_is_loss
from mldbg.lint.interpret.table import join_tables
from mldbg.lint.interpret.value import (
    COLLECTED,
    MOST_ITEMS,
    NONE,
    UNKNOWN,
    ZEROS,
    Among,
    Axes,
    Bound,
    ClassThing,
    Constant,
    Data,
    Entries,
    Fit,
    Function,
    Items,
    Known,
    Lazy,
    Marked,
    Object,
    Opaque,
    Option,
    Outcome,
    Partial,
    Record,
    Symbol,
    Thing,
    Unknown,
    Value,
    is_blank,
)
from mldbg.lint.library.names import says_loss
from mldbg.semantics import Semantic, either

MOST_OPTIONS = 4
"""Values that something may be which are kept apart."""

MOST_SCORES = 6
"""Sets of rows whose predictions may have gone into one value."""

MOST_UNDER = 8
"""Elements of a sequence of which the outcomes are kept that lead to it."""


def join(one: Value, two: Value) -> Value:
    """What holds of a value that is either of two. None gives way: code that uses the value would have failed on None."""
    if one is two or one == two:
        return two if two.or_none else one
    if one.is_none:
        return two if two.or_none else replace(two, or_none=True)
    if two.is_none:
        return one if one.or_none else replace(one, or_none=True)
    if isinstance(one.thing, Lazy) or isinstance(two.thing, Lazy):
        return _join_lazy(one, two)
    if is_loss(one) or is_loss(two):
        for begins, loss in ((one, two), (two, one)):
            if is_blank(begins) and is_loss(loss):
                return replace(loss, attached=_attached(one, two), or_none=one.or_none or two.or_none)
    blanks = is_blank(one), is_blank(two)
    return Value(
        thing=Opaque(ZEROS) if all(blanks) and one.thing != two.thing else _join_things(one.thing, two.thing),
        meaning=_join_meanings(one, two, blanks),
        data=join_data(one.data, two.data),
        origin=one.origin if one.origin == two.origin else _one_of(one, two),
        axes=Axes(
            one.axes.rank if one.axes.rank == two.axes.rank else None,
            one.axes.last if one.axes.last == two.axes.last else None,
            two.axes.along if blanks[0] else one.axes.along if blanks[1] or one.axes.along == two.axes.along else None,
            one.axes.single and two.axes.single,
        ),
        attached=_attached(one, two),
        trail=one.trail if one.trail is not None else two.trail,
        scaled=one.scaled or two.scaled or blanks[0] is not blanks[1],
        marked=_join_marks(one, two, blanks),
        or_none=one.or_none or two.or_none,
        among=_among(one, two),
        shaped=shapes.joined(one.shaped, two.shaped),
        size=one.size if one.size == two.size else None,
        loaders=one.loaders | two.loaders,
    )


def is_loss(value: Value) -> bool:
    """Whether a value is a loss: by its meaning, or by the name that it was given."""
    return value.meaning is Semantic.SCALAR_LOSS or says_it_is_loss(value.origin)


def named_loss(name: str, value: Value) -> Value:
    """A value of which nothing is known is a loss where it gets a name that says so."""
    origin = value.origin
    if origin is None or origin.kind not in _UNSAID or value.meaning is not None or not isinstance(value.thing, Unknown):
        return value
    return replace(value, origin=origin.inside(Made.LOSS, None)) if says_loss(name) else value


_UNSAID = frozenset({Made.VALUE, Made.UNPACKED, Made.SCALED})


def _one_of(one: Value, two: Value) -> Ref | None:
    """The origin of a loss that comes from one of two places."""
    if one.origin is None or two.origin is None or not (is_loss(one) and is_loss(two)):
        return None
    return either_of(one.origin, two.origin)


def _attached(one: Value, two: Value) -> bool | None:
    return False if False in (one.attached, two.attached) else one.attached if one.attached is two.attached else None


# --- possibilities ---


def _among(one: Value, two: Value) -> Among | None:
    """The few values that either may be; None where that is too many, or not known, or only one."""
    if one.among is None and two.among is None and one.thing == two.thing:
        return None
    first, second = options_of(one), options_of(two)
    return among(*first, *second) if first and second else None


def options_of(value: Value) -> tuple[Option, ...]:
    """What a value may be; nothing where it may be anything."""
    if value.among is not None:
        return value.among.options
    return (Option(plain(value)),) if _is_told_apart(value.thing) else ()


def plain(value: Value) -> Value:
    """A value without what a join has let give way."""
    return replace(value, or_none=False, among=None) if value.or_none or value.among is not None else value


def among(*options: Option) -> Among | None:
    """These possibilities, each only once; None where they are too many, where one may be anything, or only one is left."""
    found: dict[object, Option] = {}
    for option in options:
        key = option.value.thing if _is_told_apart(option.value.thing) else (option.value.meaning, option.when)
        known = found.get(key)
        if known is not None:
            option = Option(join(known.value, option.value), known.when & option.when)  # noqa: PLW2901  # the two are one
        found[key] = option
    unbound = any(not option.when and not _is_told_apart(option.value.thing) for option in found.values())
    if len(found) > MOST_OPTIONS or unbound or (len(found) == 1 and not next(iter(found.values())).when):
        return None
    return Among(tuple(found.values()), frozenset(found.values()))


def _is_told_apart(thing: Thing) -> bool:
    """Whether a thing is one among several for what it is, and not for the numbers in it."""
    if isinstance(thing, Object):
        return thing.cls is not None and not (isinstance(thing.cls, str) and thing.cls.startswith("builtins."))
    return isinstance(thing, Symbol | Function | ClassThing | Bound | Partial)


def under(value: Value, outcomes: frozenset[Outcome]) -> Value:
    """The value as it is where tests have these outcomes; to be joined with what it is where they have others."""
    if not outcomes or value.is_none or is_loss(value):
        return value
    if isinstance(value.thing, Lazy):
        return _under_lazy(value, value.thing, outcomes)
    if isinstance(value.thing, Items) and value.thing.exact and len(value.thing.tail) <= MOST_UNDER:
        return replace(value, thing=replace(value.thing, tail=tuple(under(item, outcomes) for item in value.thing.tail)))
    known = options_of(value) or (Option(_told_of(value)),)
    return replace(value, among=among(*(replace(option, when=option.when | outcomes) for option in known)))


def _told_of(value: Value) -> Value:
    """What of a value is told apart: of one that is neither a tensor with a meaning nor an object, that it is something else."""
    return plain(value) if isinstance(value.thing, Unknown) and value.meaning is not None else UNKNOWN


def _under_lazy(value: Value, thing: Lazy, outcomes: frozenset[Outcome]) -> Value:
    def compute() -> tuple[Value, dict[Ref, Record]]:
        known, made = thing.compute()
        return under(known, outcomes), made

    return replace(value, thing=Lazy((thing.key, outcomes), compute))


def of_branches(one: Value, if_one: frozenset[Outcome], two: Value, if_two: frozenset[Outcome]) -> Value:
    """What holds of a value that is one of two, as tests turn out."""
    if not (_differs_by_branch(one) or _differs_by_branch(two)) or one == two:
        return join(one, two)
    return settled(join(under(one, if_one), under(two, if_two)))


def _differs_by_branch(value: Value) -> bool:
    """Whether it may be worth knowing in which branch this value is the one."""
    known = value.meaning is not None or value.among is not None or isinstance(value.thing, Items | Lazy)
    return known or _is_told_apart(value.thing)


def settled(value: Value) -> Value:
    """A value without possibilities among which there is nothing to choose; of a sequence each element."""
    if isinstance(value.thing, Items):
        tail, lead = value.thing.tail, value.thing.lead
        if any(item.among is not None for item in value.thing.all):
            items = replace(value.thing, tail=tuple(map(settled, tail)), lead=settled(lead) if lead is not None else None)
            return replace(value, thing=items)
    known = value.among.options if value.among is not None else ()
    if any(_is_told_apart(option.value.thing) for option in known) and len(known) > 1:
        return value
    nothing_else = value.meaning is not None or all(option.value.meaning is None for option in known)
    return replace(value, among=None) if known and (len(known) == 1 or nothing_else) else value


def joined(values: tuple[Value, ...] | list[Value]) -> Value:
    """The join of several values; unknown when there are none."""
    if not values:
        return UNKNOWN
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _join_meanings(one: Value, two: Value, blanks: tuple[bool, bool]) -> Semantic | None:
    """Either meaning; the start of a sum or of a collection gives way to those of its elements that zeros do not break."""
    if True not in blanks:
        return either(one.meaning, two.meaning)
    meaning = two.meaning if blanks[0] else one.meaning
    return meaning if meaning in _SURVIVES_ZEROS else None


def _join_marks(one: Value, two: Value, blanks: tuple[bool, bool]) -> Marked | None:
    """The mark that both have; the start of a collection gives way to predictions that are collected."""
    if one.marked == two.marked:
        return one.marked
    if True not in blanks:
        return None
    marked = two.marked if blanks[0] else one.marked
    return marked if marked is not None and marked.mark in COLLECTED else None


_SURVIVES_ZEROS = (Semantic.PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS)


def _join_lazy(one: Value, two: Value) -> Value:
    """The join of values of which at least one is not computed yet."""

    def compute() -> tuple[Value, dict[Ref, Record]]:
        records: dict[Ref, Record] = {}
        values = []
        for value in (one, two):
            known = value
            while isinstance(known.thing, Lazy):
                known, made = known.thing.compute()
                records |= made
            values.append(known)
        return join(*values), records

    scores = scores_of(one) | scores_of(two)
    data = Data(scores=scores) if scores else None
    return Value(Lazy(_keys_of(one) | _keys_of(two), compute), data=data, or_none=one.or_none or two.or_none)


def _keys_of(value: Value) -> frozenset[object]:
    """What a value that is one of several is known by: flat, so that joining it once more with one of them gives nothing new."""
    if not isinstance(value.thing, Lazy):
        return frozenset({value})
    key = value.thing.key
    return key if isinstance(key, frozenset) else frozenset({key})


def widened(before: Value, after: Value) -> Value:
    """What is left of a value that changes with each round of a loop: only what can change a few times more.

    Widening anything with what it has become ends in at most a step for each row and fit that there is.
    """
    if isinstance(after.thing, Lazy):
        return before if isinstance(before.thing, Unknown) else UNKNOWN
    return Value(
        data=after.data,
        attached=after.attached,
        trail=after.trail if after.fits else None,
        scaled=after.scaled,
        or_none=after.or_none,
        loaders=after.loaders,
    )


def _join_things(one: Thing, two: Thing) -> Thing:
    if one == two:
        return one
    if isinstance(one, Object) and isinstance(two, Object) and one.cls == two.cls:
        return Unknown() if one.cls is None else Opaque(one.cls) if isinstance(one.cls, str) else Unknown()
    if isinstance(one, Items) and isinstance(two, Items) and one.cls == two.cls:
        return _join_items(one, two)
    if isinstance(one, Entries) and isinstance(two, Entries):
        keys = _in_order([key for key, _ in one.items], [key for key, _ in two.items])
        both = tuple((key, join(one.get(key) or NONE, two.get(key) or NONE)) for key in keys)
        return Entries(both, one.exact and two.exact)
    if isinstance(one, Opaque) and isinstance(two, Object | Opaque) and one.cls == two.cls:
        return one
    if isinstance(two, Opaque) and isinstance(one, Object) and one.cls == two.cls:
        return two
    return _join_numbers(one, two)


def _join_numbers(one: Thing, two: Thing) -> Thing:
    """Of two numbers that they are numbers."""
    classes = [
        shapes.class_of_number(Value(thing)) or _NUMBERS.get(thing.kind if isinstance(thing, Constant) else "")
        for thing in (one, two)
    ]
    if None in classes:
        return Unknown()
    return Opaque(shapes.FLOAT if shapes.FLOAT in classes else shapes.INT)


_NUMBERS = {"int": shapes.INT, "float": shapes.FLOAT}


def _in_order(one: list[object], two: list[object]) -> Iterable[object]:
    """The keys of two dicts, each behind those that precede it in either."""
    found: list[object] = []
    for key in one:
        if key in two:
            place = two.index(key) + 1
            found += two[:place]
            two = two[place:]
        else:
            found.append(key)
    return dict.fromkeys([*found, *two])


def _join_items(one: Items, two: Items) -> Items:
    """Place by place from the end, as far as both have places; what precedes them may be there any number of times."""
    length = min(len(one.tail), len(two.tail))
    cut_one, cut_two = len(one.tail) - length, len(two.tail) - length
    tail = tuple(join(a, b) for a, b in zip(one.tail[cut_one:], two.tail[cut_two:], strict=True))
    rest = [*one.tail[:cut_one], *two.tail[:cut_two], *(lead for lead in (one.lead, two.lead) if lead is not None)]
    return Items(one.cls, tail, joined(rest) if rest else None)


def join_data(one: Data | None, two: Data | None) -> Data | None:
    """Lineage of what is either of two, or holds both: rows and fits of both; a part of the data only if both are that part."""
    if one is None or two is None or one == two:
        return one or two
    role = one.role if one.role is two.role else None
    split = one.split if one.split == two.split else None
    whole = one.whole if one.whole == two.whole else None
    if split is not None and whole is not None and one.role is not two.role:  # the two sides of a split together
        (role, split), whole = whole, None
    return Data(
        rows=one.rows | two.rows,
        role=role,
        split=split,
        whole=whole,
        fits=one.fits | two.fits,
        picks=one.picks if one.picks is two.picks else None,
        condensed=one.condensed and two.condensed,
        columns=_columns_of(one, two),
        one_row=one.one_row or two.one_row,
        known=_less_sure(one.known, two.known) if role is not None else None,
        order=one.order if one.order == two.order else (),
        column=one.column if one.column == two.column else None,
        itself=one.itself if one.itself is two.itself else None,
        scores=one.scores | two.scores,
        table=join_tables(one.table, two.table),
    )


def _less_sure(one: Known | None, two: Known | None) -> Known | None:
    return one if two is None else two if one is None else max(one, two, key=list(Known).index)


def _columns_of(*several: Data) -> frozenset[tuple[str, Fit]]:
    """The fits that are in named columns only, whichever of several tables it is."""
    anywhere = frozenset(fit for one in several for fit in one.fits_everywhere)
    return frozenset((name, fit) for one in several for name, fit in one.columns if fit not in anywhere)


def scores_of(value: Value) -> frozenset[Data]:
    """The rows of which a model's predictions went into a value."""
    return value.data.scores if value.data is not None else frozenset()


def with_scores(value: Value, scores: frozenset[Data]) -> Value:
    """A value into which predictions of some rows went."""
    known = scores_of(value)
    if scores <= known or len(scores | known) > MOST_SCORES:
        return value
    return replace(value, data=replace(value.data or Data(), scores=scores | known))


def scored_as(made: Value, *sources: Value) -> Value:
    """What was made of values, with the predictions that went into those."""
    scores = frozenset(one for source in sources for one in scores_of(source))
    return with_scores(made, scores) if scores else made


def came_of(waiting: Value, known: Value) -> Value:
    """A value that was waited for, with what was known of it before."""
    known = scored_as(known, waiting)
    return replace(known, or_none=True) if waiting.or_none else known


def mix_data(one: Data | None, two: Data | None) -> Data | None:
    """Lineage of something computed from both: a statistic brings its fits along, but none of its rows."""
    if one is None or two is None or one.condensed is two.condensed:
        return join_data(one, two)
    holder, statistic = (two, one) if one.condensed else (one, two)
    columns = _columns_of(holder, statistic.without_names())
    return replace(holder, fits=holder.fits | statistic.fits, columns=columns, scores=holder.scores | statistic.scores)


def rows_of_first(first: Data | None, both: Data | None) -> Data | None:
    """Lineage of something that looks up or projects each row of the first: its rows, with the fits of all."""
    if first is None or both is None:
        return first or both
    return replace(first, fits=both.fits, columns=first.columns & both.columns, scores=both.scores)


# --- sequences ---


def tuple_of(*values: Value, cls: str = "builtins.tuple") -> Value:
    """A sequence of known elements."""
    if len(values) > MOST_ITEMS:
        return Value(Items(cls, (), joined(values)))
    return Value(Items(cls, values))


def spliced(one: Items, two: Items) -> Items:
    """The elements of one and then those of two."""
    if two.lead is None:
        return (
            replace(one, tail=(*one.tail, *two.tail))
            if len(one.tail) + len(two.tail) <= MOST_ITEMS
            else Items(one.cls, (), join_all(one, two))
        )
    return Items(one.cls, two.tail, joined((*one.all, two.lead)))


def join_all(*several: Items) -> Value:
    return joined(tuple(value for items in several for value in items.all))
