"""Values that may be one of several: whether a finding holds whichever it is, or only where some tests have some outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mldbg.lint.finding import Finding, Group, Step
from mldbg.lint.interpret.facts import Loop
from mldbg.lint.rule import Rule

if TYPE_CHECKING:
    from mldbg.lint.interpret.facts import Fact, Supposition
    from mldbg.lint.interpret.value import Among, Outcome

MOST_IN_A_LOOP = 2
"""Values in a loop of which each may be one of several that are told apart when the loop is judged."""

Supposed = tuple["Supposition", ...]


def judged(rule: Rule, facts: Iterable[Fact]) -> Iterator[Finding]:
    """What a rule finds in facts.

    In the rule's group what holds whichever its possibilities a value is, or when the program runs with its default options; as
    suspicious what holds otherwise.
    """
    found: dict[object, list[tuple[Finding, Supposed]]] = {}
    anyway: set[object] = set()
    for fact in facts:
        for finding, supposed in _heard(rule, fact):
            if supposed:
                found.setdefault((finding.rule, finding.span), []).append((finding, supposed))
            else:
                anyway.add((finding.rule, finding.span))
                yield finding
    yield from rule.at_end()
    for several in (several for key, several in found.items() if key not in anyway):
        usual = next(((finding, supposed) for finding, supposed in several if _is_usual(supposed)), None)
        if _covered([supposed for _, supposed in several]):
            yield several[0][0]
        elif usual is not None:
            yield _with_branch(*usual)
        else:
            yield from (replace(_with_branch(finding, supposed), group=Group.SUSPICIOUS) for finding, supposed in several)


def _heard(rule: Rule, fact: Fact) -> Iterator[tuple[Finding, Supposed]]:
    worlds = [(fact, fact.place.supposed)]
    if isinstance(fact, Loop) and type(fact) in rule.listens_to.kinds:
        worlds = [(replace(fact, facts=inside), (*fact.place.supposed, *more)) for inside, more in _worlds(fact.facts)]
    for judged_fact, supposed in worlds:
        yield from ((finding, supposed) for finding in rule.hear(judged_fact))


def _worlds(facts: tuple[Fact, ...], supposed: Supposed = ()) -> Iterator[tuple[tuple[Fact, ...], Supposed]]:
    """What happens in a loop, once for each of the values that something in it may be."""
    open_choices = (one.among for fact in facts for one in fact.place.supposed if not _is_settled(one.among, supposed))
    among = next(open_choices, None)
    if among is None or len(supposed) == MOST_IN_A_LOOP:
        yield facts, supposed
        return
    suppositions = {one for fact in facts for one in fact.place.supposed if one.among == among}
    for option in among.options:
        this = next((one for one in suppositions if one.option == option), None)
        if this is not None and not any(this.excludes(other) for other in supposed):
            inside = tuple(fact for fact in facts if not any(this.excludes(other) for other in fact.place.supposed))
            yield from _worlds(inside, (*supposed, this))


def _is_settled(among: Among, supposed: Supposed) -> bool:
    return any(one.among == among for one in supposed)


def _covered(several: Sequence[Supposed], depth: int = 0) -> bool:
    """Whether one of several lists of suppositions is so in any case: nothing is left to suppose, or every option is covered."""
    if any(len(supposed) == depth for supposed in several):
        return True
    first: dict[Among, dict[object, list[Supposed]]] = {}
    for supposed in several:
        this = supposed[depth]
        first.setdefault(this.among, {}).setdefault(this.option, []).append(supposed)
    return any(
        len(by_option) == len(among.options) and all(_covered(rest, depth + 1) for rest in by_option.values())
        for among, by_option in first.items()
    )


def _is_usual(supposed: Supposed) -> bool:
    """Whether things are as supposed unless somebody sets an option of the command: it runs like that by default."""
    return all(one.option.when and all(outcome.is_usual for outcome in one.option.when) for one in supposed)


def _with_branch(finding: Finding, supposed: Supposed) -> Finding:
    """A finding that holds in a branch only: the path begins with the branch, and nothing is changed because of it."""
    outcomes = sorted({outcome for one in supposed for outcome in one.option.when}, key=lambda outcome: outcome.test.span)
    steps = [Step(outcome.test.span, _said(outcome)) for outcome in outcomes]
    return replace(finding, steps=(*steps, *finding.steps), fix=None)


def _said(outcome: Outcome) -> str:
    if outcome.said:
        return outcome.said
    if outcome.is_usual and outcome.usual is not None:
        return f"by default this is {outcome.usual.value!r}"
    if outcome.equals is not None:
        return f"supposing that it {'is' if outcome.holds else 'is not'} {outcome.equals.value!r}"
    return f"supposing that this {'holds' if outcome.holds else 'does not hold'}"
