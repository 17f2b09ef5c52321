"""Joins of abstract values form a lattice, mark by mark; and states come together as if every record were compared."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from mldbg.lint.interpret import address
from mldbg.lint.interpret.address import Made, Ref
from mldbg.lint.interpret.join import MOST_OPTIONS, among, join, joined, options_of, under
from mldbg.lint.interpret.module import Module
from mldbg.lint.interpret.state import State, merged
from mldbg.lint.interpret.value import (
    NONE,
    UNKNOWN,
    Axes,
    Data,
    Entries,
    Items,
    Object,
    Opaque,
    Outcome,
    Record,
    Role,
    Value,
    literal,
)
from mldbg.semantics import Semantic

laws = settings(max_examples=400, deadline=None, derandomize=True, database=None)
Join = Callable[[Value, Value], Value]

REFS = [Ref(None, None, Made.VALUE, name) for name in "abcd"]
MARKS = st.builds(
    Value,
    thing=st.sampled_from(
        [UNKNOWN.thing, literal(0).thing, literal(1).thing, literal("x").thing, Opaque("builtins.str"), Object(REFS[0], "a.B")]
    ),
    meaning=st.none() | st.sampled_from([Semantic.LOGITS, Semantic.PROBS, Semantic.SCALAR_LOSS]),
    data=st.none()
    | st.builds(Data, rows=st.frozensets(st.sampled_from(REFS), max_size=2), role=st.none() | st.sampled_from(Role)),
    origin=st.none() | st.sampled_from(REFS),
    axes=st.builds(Axes, st.none() | st.integers(1, 2), st.none() | st.integers(1, 2)),
    attached=st.none() | st.booleans(),
    or_none=st.booleans(),
)


def _containers(inner: st.SearchStrategy[Value]) -> st.SearchStrategy[Value]:
    elements = st.lists(inner, max_size=3).map(tuple)
    keys = st.lists(st.sampled_from("xy"), unique=True, max_size=2)
    things = st.one_of(
        st.builds(Items, st.just("builtins.tuple"), elements, st.none() | inner),
        st.builds(
            lambda names, held, exact: Entries(tuple(zip(names, held, strict=False)), exact), keys, elements, st.booleans()
        ),
    )
    return st.builds(lambda thing, or_none: Value(thing, or_none=or_none), things, st.booleans())


SMALL = st.builds(
    lambda thing, or_none: Value(thing, or_none=or_none), st.sampled_from([NONE.thing, literal(1).thing]), st.booleans()
)
OBJECTS = [Object(ref, cls) for ref in REFS for cls in ("a.B", "a.C")]
SITE = address.site_of((PART := Module("a.py", None, "f()\n").parts[0]), PART.tree.body[0])
OUTCOMES = st.frozensets(st.builds(Outcome, st.sampled_from(REFS[:2]), st.none(), st.booleans(), st.just(SITE)), max_size=2)
ONE_OF_FEW = st.builds(
    under,
    st.builds(
        Value,
        thing=st.sampled_from([UNKNOWN.thing, *OBJECTS]),
        meaning=st.none() | st.sampled_from([Semantic.LOGITS, Semantic.PROBS]),
        or_none=st.booleans(),
    ),
    OUTCOMES,
)
ONE_OF_SEVERAL = st.lists(ONE_OF_FEW, min_size=1, max_size=3).map(joined)

THREE = st.one_of(
    st.tuples(*[st.one_of(ONE_OF_SEVERAL, MARKS, st.just(UNKNOWN))] * 3),
    st.tuples(*[st.one_of(MARKS, st.just(NONE), st.just(UNKNOWN), st.recursive(MARKS, _containers, max_leaves=4))] * 3),
    st.tuples(*[_containers(SMALL)] * 3),
)


def seen(value: Value) -> object:
    """Everything that a join says, `or_none` included, which equality of values leaves out; the order of keys does not count."""
    thing: object = value.thing
    if isinstance(thing, Items):
        thing = (thing.cls, tuple(map(seen, thing.tail)), seen(thing.lead) if thing.lead is not None else None)
    elif isinstance(thing, Entries):
        thing = (frozenset((key, seen(held)) for key, held in thing.items), thing.exact)
    among = frozenset((seen(one.value), one.when) for one in value.among.options) if value.among is not None else None
    return (thing, value.meaning, value.data, value.origin, value.axes, value.attached, value.or_none, among)


def broken_laws(join: Join, one: Value, two: Value, three: Value) -> list[str]:
    """The laws of a lattice that do not hold for three values."""
    both = join(one, two)
    claims = {
        "idempotent": seen(join(one, one)) == seen(one),
        "commutative": seen(both) == seen(join(two, one)),
        "associative": seen(join(both, three)) == seen(join(one, join(two, three))),
        "an upper bound": seen(join(both, one)) == seen(both),
        "monotone": seen(join(join(one, three), join(both, three))) == seen(join(both, three)),
        "attached": one.is_none or two.is_none or both.attached is max(one.attached, two.attached, key=ATTACHED.index),
        "or_none": both.or_none >= (one.or_none or two.or_none) and (both.or_none or one.is_none == two.is_none),
        "role": both.role is None or both.role in (one.role, two.role),
        "meaning": both.meaning is None or both.meaning in (one.meaning, two.meaning),
    }
    return [law for law, holds in claims.items() if not holds]


ATTACHED = [True, None, False]
"""From what says most to what says least."""


@laws
@given(THREE)
def test_joins_form_a_lattice(three: tuple[Value, Value, Value]) -> None:
    assert broken_laws(join, *three) == []


@laws
@given(st.lists(ONE_OF_FEW, min_size=1, max_size=8))
def test_few_possibilities_are_kept_apart(values: list[Value]) -> None:
    both = joined(values)
    assert len(options_of(both)) <= MOST_OPTIONS
    things = {value.thing for value in values if isinstance(value.thing, Object)}
    if len(values) == len({value.thing for value in values}) <= MOST_OPTIONS and len(things) == len(values):
        assert {option.value.thing for option in options_of(both)} == things


def without_or_none(one: Value, two: Value) -> Value:
    return replace(join(one, two), or_none=one.or_none)


def attached_if_either_is(one: Value, two: Value) -> Value:
    return replace(join(one, two), attached=one.attached or two.attached)


def first_role(one: Value, two: Value) -> Value:
    both = join(one, two)
    return replace(both, data=replace(both.data, role=one.role)) if both.data is not None else both


def first_meaning(one: Value, two: Value) -> Value:
    return replace(join(one, two), meaning=one.meaning)


def equal_ends_only(one: Value, two: Value) -> Value:
    """Keeps of two sequences of different lengths those elements at the end that are equal."""
    both, first, second = join(one, two), one.thing, two.thing
    if not isinstance(first, Items) or not isinstance(second, Items) or len(first.tail) == len(second.tail):
        return both
    assert isinstance(both.thing, Items)
    ends = list(takewhile(lambda pair: pair[0] == pair[1], zip(reversed(first.tail), reversed(second.tail), strict=False)))
    kept = both.thing.tail[len(both.thing.tail) - len(ends) :]
    rest = joined([*first.tail[: len(first.tail) - len(ends)], *second.tail[: len(second.tail) - len(ends)]])
    return replace(both, thing=Items(both.thing.cls, kept, rest))


def outcomes_of_both(one: Value, two: Value) -> Value:
    """Takes what an object depends on in either branch for what it depends on in both."""
    both = join(one, two)
    if both.among is None:
        return both
    known = [option for value in (one, two) for option in options_of(value)]
    options = [
        replace(option, when=frozenset().union(*(each.when for each in known if each.value.thing == option.value.thing)))
        for option in both.among.options
    ]
    return replace(both, among=among(*options))


def first_options(one: Value, two: Value) -> Value:
    return replace(join(one, two), among=one.among)


@pytest.mark.parametrize(
    "wrong", [outcomes_of_both, first_options, without_or_none, attached_if_either_is, first_role, first_meaning, equal_ends_only]
)
def test_a_wrong_join_breaks_a_law(wrong: Join) -> None:
    assert find(THREE, lambda three: bool(broken_laws(wrong, *three)), settings=settings(laws, max_examples=5_000))


# --- states ---

KEYS = st.sampled_from("xy")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.sampled_from(REFS), KEYS, st.integers(0, 2)),
        st.tuples(st.sampled_from(["open", "close", "adopt"]), st.sampled_from(REFS), KEYS, st.integers(0, 2)),
        st.tuples(st.just("drop"), st.sampled_from(REFS), KEYS, st.just(0)),
        st.tuples(st.sampled_from(["branch", "leave"]), st.just(REFS[0]), KEYS, st.just(0)),
    ),
    max_size=14,
)


def walk(steps: Sequence[tuple[str, Ref, str, int]]) -> State:
    """The state after some writes, branches that split off and branches that come together again."""
    here = State()
    waiting: list[State] = []
    for what, ref, key, number in steps:
        match what:
            case "set":
                here.set(ref, key, literal(number))
            case "open":
                here.open(ref)
            case "close":
                here.close(ref)
            case "adopt":
                here.adopt({ref: {key: literal(number)}})
            case "drop":
                here.drop(ref, key)
            case "branch":
                waiting.append(here.fork())
            case _ if waiting:
                here.become(merged([here, waiting.pop()]))
    return merged([here, *waiting])


def content(state: State) -> dict[Ref, Record]:
    return {ref: dict(state.record(ref)) for ref in state.refs()}


@laws
@given(STEPS)
def test_what_was_written_is_all_that_states_can_differ_in(steps: list[tuple[str, Ref, str, int]]) -> None:
    assert content(walk(steps)) == compared_in_full(steps)


def compared_in_full(steps: list[tuple[str, Ref, str, int]]) -> dict[Ref, Record]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(State, "differing", lambda one, other: one._records.keys() | other._records.keys())
        return content(walk(steps))


def test_a_write_that_is_not_noted_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(State, "_note", lambda state, ref: state._owned.add(ref))
    assert find(STEPS, lambda steps: content(walk(steps)) != compared_in_full(steps), settings=laws)


# --- identities ---


def makers_of_identities() -> set[str]:
    """The modules of the linter that call the classes of identities: elsewhere the functions of `address` are used."""
    files = Path(address.__file__).parent.parent.rglob("*.py")
    return {file.stem for file in files if re.search(r"(?<![\w.])(?:Ref|Site)\((?!\{)", file.read_text(encoding="utf-8"))}


def test_identities_are_made_in_one_place() -> None:
    assert makers_of_identities() == {"address"}


def test_an_identity_is_made_once() -> None:
    module = Module("a.py", None, "f()\ng()\n")
    [first, second] = module.parts
    node = first.tree.body[0]
    site = address.site_of(first, node)
    assert site is address.site_of(first, node)
    assert site is not address.site_of(second, second.tree.body[0])
    assert address.made_at(site, None) is address.made_at(site, None)
    assert address.made_at(site, None) is not address.made_at(site, None, Made.OBJECT)
    assert address.made_at(site, None).attribute("x") is address.made_at(site, None).attribute("x")
    assert address.made_at(site, address.Context(site, None)) is not address.made_at(site, address.Context(site, None))
    assert copy.deepcopy(site) is site
