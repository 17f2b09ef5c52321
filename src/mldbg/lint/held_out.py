"""What the rules about choices share: which of the rows that decide are test data, and how that is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from mldbg.lint.finding import Group
from mldbg.lint.interpret.address import Made, Ref, Site
from mldbg.lint.interpret.facts import Chosen, Evaluated, Fact, Loop, Scored
from mldbg.lint.interpret.value import Known, Role, Trail, Value, first_step
from mldbg.lint.outline import Kind

_REPORTS = r"\b(?:print|return|log\w*|info|write|warning|add_scalar|format|update)\b[^\n]*\b(?:%s)\b"


@dataclass(slots=True)
class Choices:
    """The choices that scores make from an entry point on, and what is evaluated besides."""

    chosen: list[Chosen] = field(default_factory=list)
    evaluated: list[Evaluated | Scored] = field(default_factory=list)
    order: dict[int, int] = field(default_factory=dict)
    together: dict[int, set[int]] = field(default_factory=dict)
    """Of each choice the evaluations in the loops around it."""

    def hear(self, fact: Fact) -> None:
        """Take note of a fact."""
        self.order[id(fact)] = len(self.order)
        if isinstance(fact, Chosen):
            self.chosen.append(fact)
        elif isinstance(fact, Evaluated | Scored):
            self.evaluated.append(fact)
        elif isinstance(fact, Loop):
            inside = {id(one) for one in fact.facts if isinstance(one, Evaluated | Scored)}
            for one in fact.facts:
                if isinstance(one, Chosen):
                    self.together.setdefault(id(one), set()).update(inside)

    def forget(self) -> None:
        """Start anew."""
        self.chosen.clear()
        self.evaluated.clear()
        self.order.clear()
        self.together.clear()

    # ---------------------------------------------------------------------------------------------------------------- proof
    def by_test_data(self, *, trains: bool) -> Iterator[tuple[Chosen, Group]]:
        """The choices that test data makes, and whether more than its name says that it is test data."""
        for chosen in self.chosen:
            data = chosen.value.data
            if chosen.trains is trains and data is not None and data.role is Role.TEST and data.known is not None:
                if self._is_cut_in_two(chosen):
                    continue
                if self._is_proved(chosen):
                    yield chosen, Group.CORRECTNESS
                elif not self._has_another(chosen):
                    yield chosen, Group.SUSPICIOUS

    def _is_proved(self, chosen: Chosen) -> bool:
        data = chosen.value.data
        if data is None:
            return False
        match data.known:
            case Known.LIBRARY | Known.FILE:
                return True
            case Known.SPLIT | Known.NAMED_PART:
                if chosen.has_validation or self._is_validated(chosen) or (data.whole is not None and data.whole[0].held_out):
                    return True
                return self._is_reported(chosen) and not self._has_another(chosen)
            case _:
                return False

    def _is_cut_in_two(self, chosen: Chosen) -> bool:
        """Whether the rows that decide are one slice of the test data, and another slice of it is evaluated besides."""
        cut = _slices(chosen.value)
        elsewhere = [one.value for one in self.evaluated if one.place.site is not chosen.place.site] if cut else []
        others = [value for value in elsewhere if _slices(value) and cut.isdisjoint(_slices(value))]
        return any(value.rows - _slices(value) == chosen.value.rows - cut for value in others)

    def _is_validated(self, chosen: Chosen) -> bool:
        """Whether another part of the same split is for validation."""
        return any(one.value.role is Role.VALIDATION and split_of(one.value) is split_of(chosen.value) for one in self.evaluated)

    def _is_reported(self, chosen: Chosen) -> bool:
        """Whether the same rows, or the score that was chosen, give the result in the end."""
        inside = self.together.get(id(chosen), set())
        for one in self.evaluated:
            later = self.order[id(one)] > self.order[id(chosen)] and id(one) not in inside
            if later and not one.value.rows.isdisjoint(chosen.value.rows) and one.value.role is Role.TEST:
                return True
        names = "|".join(re.escape(name) for name in chosen.read_later if name)
        site = chosen.place.site
        part = site.part
        whole = part.code if part.statement.kind in (Kind.FUNCTION, Kind.CLASS) else part.module.text
        return bool(names) and re.search(_REPORTS % names, whole) is not None

    def _has_another(self, chosen: Chosen) -> bool:
        """Whether other rows are held out besides, so that these may be for validation whatever they are called."""
        return any(
            one.value.role is not None
            and one.value.role.held_out
            and one.value.rows.isdisjoint(chosen.value.rows)
            and split_of(one.value) is not split_of(chosen.value)
            for one in self.evaluated
        )


def _slices(value: Value) -> frozenset[Ref]:
    return frozenset(row for row in value.rows if row.kind is Made.ROWS)


def split_of(value: Value) -> Site | None:
    """The split that some rows came out of."""
    return value.data.split if value.data is not None else None


def way_of(chosen: Chosen) -> Trail | None:
    """Where test data was split off, for the path of a finding."""
    split = split_of(chosen.value)
    return first_step(split, "the test set is split off here") if split is not None else None
