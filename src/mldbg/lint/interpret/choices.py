"""Which of several values something is: executed one after the other, each under the outcomes of tests that it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.facts import Condition, Supposition
from mldbg.lint.interpret.join import MOST_OPTIONS, joined, options_of, settled, under
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import UNKNOWN, Among, Constant, Entries, Items, Lazy, Object, Option, Outcome, Value

MODE = "training"
"""The attribute that says how a module runs; a loss and a module under it are not chosen apart, they belong to one design."""


class Choices:
    """Takes the possibilities of a value one by one."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def each(self, value: Value, act: Callable[[Value], Value], site: Site, *, supposing: bool = True) -> Value:
        """What an action at a place gives, whichever of its possibilities a value is.

        `supposing`: what happens on the way holds only if the value is that possibility.
        """
        machine = self.machine
        value = self.possible(value)
        if value.among is None:
            return act(value)
        results: list[Value] = []
        for number, option in enumerate(value.among.options):
            before = machine.state.fork()
            circumstances = self._supposing(value.among, option) if supposing else nullcontext()
            with circumstances, machine.round(site.node, number):
                result = act(option.value if option.value != UNKNOWN else replace(value, among=None))
            if machine.state.live:
                results.append(under(result, option.when))
            else:
                machine.state.become(before)
        if not results:
            machine.state.live = False
        result = settled(joined(results))
        known = result.origin is not None or isinstance(result.thing, Lazy | Constant | Items | Entries)
        return result if known else replace(result, origin=machine.new_ref(site))

    def of_arguments(self, arguments: Sequence[Argument], act: Callable[[Sequence[Argument]], Value], site: Site) -> Value | None:
        """What a function gives, whichever of its possibilities an argument is; None where each is one tensor only."""
        for index, argument in enumerate(arguments):
            value = self.possible(argument.value)
            if value is argument.value and not is_told_apart_by_meaning(value):
                continue
            return self.each(value, partial(_with_argument, act, arguments, index), site)
        return None

    def possible(self, value: Value) -> Value:
        """A value without what it cannot be at this point, for tests have other outcomes here."""
        if value.among is None:
            return value
        known = self._known()
        left = tuple(option for option in value.among.options if not any(_excluded(outcome, known) for outcome in option.when))
        if len(left) == len(value.among.options):
            return value
        if len(left) == 1 and left[0].value != UNKNOWN:
            return left[0].value
        return replace(value, among=Among(left, frozenset(left)) if len(left) > 1 else None)

    def now(self, node: cst.BaseExpression) -> tuple[Value, ...]:
        """The values that an expression may have at this point, all of them computed."""
        return members(self.possible(self.machine.now(node)))

    def decided(self, test: cst.BaseExpression) -> bool | None:
        """The outcome of a test where something was supposed of it."""
        if not self.machine.supposed:
            return None
        outcome = outcome_of(self.machine, test, holds=True)
        if outcome is None:
            return None
        known = [known for supposed in self.machine.supposed for known in supposed.option.when]
        if _excluded(outcome, known):
            return False
        return True if _excluded(replace(outcome, holds=False), known) else None

    def _known(self) -> list[Outcome]:
        machine = self.machine
        known = [condition.outcome for condition in machine.conditions if condition.outcome is not None]
        for supposed in machine.supposed:
            known += supposed.option.when
        return known

    @contextmanager
    def _supposing(self, among: Among, option: Option) -> Iterator[None]:
        supposed = self.machine.supposed
        self.machine.supposed = (*supposed, Supposition(among, option))
        try:
            yield
        finally:
            self.machine.supposed = supposed


def _excluded(outcome: Outcome, known: Sequence[Outcome]) -> bool:
    return any(outcome.excludes(other) for other in known)


def _with_argument(act: Callable[[Sequence[Argument]], Value], arguments: Sequence[Argument], index: int, value: Value) -> Value:
    return act([*arguments[:index], replace(arguments[index], value=value), *arguments[index + 1 :]])


@contextmanager
def given(machine: Machine, conditions: list[Condition], supposed: tuple[Supposition, ...]) -> Iterator[None]:
    """Execute under the circumstances of another point."""
    saved = machine.conditions, machine.supposed
    machine.conditions, machine.supposed = conditions, supposed
    try:
        yield
    finally:
        machine.conditions, machine.supposed = saved


def is_told_apart_by_meaning(value: Value) -> bool:
    """Whether a value is a tensor that may be one of several, of which some mean something."""
    return value.among is not None and any(option.value.meaning is not None for option in value.among.options)


def members(value: Value) -> tuple[Value, ...]:
    """The values that a value may be, as far as they are known; of most it is that value alone."""
    if value.among is None:
        return (value,)
    unknown = replace(value, among=None)
    return tuple(option.value if option.value != UNKNOWN else unknown for option in value.among.options)


def one_of_entries(machine: Machine, mapping: Entries, key: Value, node: cst.CSTNode, otherwise: Value | None = None) -> Value:
    """What a dict holds under a key that is not known, where it holds a few things that are told apart: one of them.

    `otherwise`: what is taken where the dict does not have the key.
    """
    if not mapping.items or len(mapping.items) > MOST_OPTIONS or not all(options_of(held) for _, held in mapping.items):
        return UNKNOWN
    chosen = [(equals(machine, key, name, node), held) for name, held in mapping.items]
    values = [under(held, frozenset({outcome})) for outcome, held in chosen]
    if not mapping.exact or otherwise is not None:
        rest = UNKNOWN if otherwise is None or not mapping.exact else otherwise
        values.append(under(rest, frozenset(replace(outcome, holds=False) for outcome, _ in chosen)))
    return settled(joined(values))


# --- tests ---


def outcome_of(machine: Machine, test: cst.CSTNode, *, holds: bool) -> Outcome | None:
    """The outcome of a test, in words that tests elsewhere share; None where nothing is to be told apart by it."""
    while isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        test, holds = test.expression, not holds
    if isinstance(test, cst.Attribute) and test.attr.value == MODE:
        return None
    site = machine.site(test)
    if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
        compared = test.comparisons[0]
        equal = isinstance(compared.operator, cst.Equal | cst.Is)
        if equal or isinstance(compared.operator, cst.NotEqual | cst.IsNot):
            constant = machine.evaluate(compared.comparator).thing if _is_plain(compared.comparator) else None
            subject = _subject(machine, test.left)
            if isinstance(constant, Constant) and subject is not None:
                return Outcome(subject.ref, constant, holds is equal, site, machine.usual.get(subject.ref))
    subject = _subject(machine, test)
    ref = machine.new_ref(site) if subject is None else subject.ref
    return Outcome(ref, None, holds, site, machine.usual.get(ref))


def equals(machine: Machine, subject: Value, constant: object, node: cst.CSTNode) -> Outcome:
    """That a value of which little is known equals a constant."""
    site = machine.site(node)
    ref = subject.thing.ref if isinstance(subject.thing, Object) else subject.origin or machine.new_ref(site)
    return Outcome(ref, Constant(type(constant).__name__, constant), holds=True, test=site, usual=machine.usual.get(ref))


def _subject(machine: Machine, node: cst.CSTNode) -> Object | None:
    """The identity of what a name or attribute stands for."""
    if not isinstance(node, cst.BaseExpression) or not _is_plain(node):
        return None
    value = machine.evaluate(node)
    if isinstance(value.thing, Object):
        return value.thing
    return Object(value.origin) if value.origin is not None else None


def _is_plain(node: cst.CSTNode) -> bool:
    while isinstance(node, cst.Attribute):
        node = node.value
    return isinstance(node, cst.Name | cst.SimpleString | cst.BaseNumber)


def is_one_of(value: Value, refs: set[Ref]) -> bool:
    """Whether a value is one of some objects."""
    return isinstance(value.thing, Object) and value.thing.ref in refs
