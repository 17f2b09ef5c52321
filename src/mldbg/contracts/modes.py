"""How much is checked: `off | shapes | sampled | full | sync`, by argument, context manager or environment variable."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from numbers import Real

VARIABLE = "MLDBG_CONTRACTS"
"""The environment variable that names the mode of a run, with a budget behind a colon if it has one: `full:0.05`."""


class Mode(IntEnum):
    """Each mode checks what the modes before it check, and more.

    `SAMPLED` looks at 32 rows of each tensor that is not small, `FULL` at all of them; both read their verdicts once per step.
    `SYNC` waits for every verdict, so that the traceback ends at the line that broke the contract.
    """

    OFF = 0
    SHAPES = 1
    SAMPLED = 2
    FULL = 3
    SYNC = 4


DEFAULT = Mode.SAMPLED


def parsed(name: str | Mode) -> Mode:
    """The mode called `name`.

    Raises ValueError for an unknown name.
    """
    if isinstance(name, Mode):
        return name
    known = {mode.name.lower(): mode for mode in Mode}
    if name not in known:
        raise ValueError(f"unknown contract mode {name!r}; the modes are {', '.join(known)}")
    return known[name]


class Budget:
    """Which share of the time checks of values may take.

    share: from 0 to 1. level: that of the steps in which values are checked.
    spent: seconds that checks of values have taken since the last step began; whoever makes them adds theirs.
    """

    def __init__(self, share: float, level: int) -> None:
        self.share = share
        self.level = level
        self.spent = 0.0
        self._begun = time.perf_counter()
        self._until = self._begun if share else math.inf  # before then, no values are checked

    def next_level(self) -> int:
        """How much the step that begins now checks.

        After a check that took `c` seconds, the next one comes once `c / share` have passed, in which nothing more was spent.
        Time that goes by without checks is not saved up.
        """
        now = time.perf_counter()
        if self.spent:
            self._until = self._begun + (self.spent / self.share if self.share else math.inf)
            self.spent = 0.0
        if now < self._until:
            return min(self.level, Mode.SHAPES)
        self._begun = now
        return self.level


def budgeted(share: object, level: int) -> Budget:
    """The budget for a share of the time.

    Raises ValueError for what is no number from 0 to 1.
    """
    if isinstance(share, bool) or not isinstance(share, Real) or not 0 <= float(share) <= 1:
        raise ValueError(f"a budget is a share of the time, a number from 0 to 1, not {share!r}")
    return Budget(float(share), level)


def _from_environment() -> tuple[Mode, Budget | None]:
    name, colon, share = os.environ.get(VARIABLE, "").strip().lower().partition(":")
    try:
        level = parsed(name.strip()) if name or colon else DEFAULT
        return level, budgeted(_number(share), level) if colon else None
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: {error}") from None


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


SHAPES_ONLY = "mode shapes"
"""Why values are not judged in that mode."""


class Setting:
    """The mode of this process. One for all threads: threads started by a data-parallel wrapper must follow it.

    The level is an attribute of one object, not a context variable, because compiled code can read (and guard on) it.

    budget: what lowers the level to `SHAPES`, and raises it again, if there is one.
    counting: whether a block of `coverage()` is open.
    """

    def __init__(self) -> None:
        self.counting = False
        self.follow_environment()

    def follow_environment(self) -> None:
        """Take over the mode, and the budget if there is one, of `MLDBG_CONTRACTS`. Raises ValueError for what it cannot say."""
        mode, self.budget = _from_environment()
        self.level = int(mode)
        self.next_step()

    def next_step(self) -> None:
        """A step begins. With a budget, it may check values, or may not."""
        if self.budget is not None:
            self.level = int(self.budget.next_level())

    def why_no_values(self) -> str:
        """Why values are not judged while the level is `SHAPES`."""
        if self.budget is None or self.budget.level <= Mode.SHAPES:
            return SHAPES_ONLY
        return f"a budget of {self.budget.share:g}"


SETTING = Setting()


def current() -> Mode:
    """The mode that holds now."""
    return Mode(SETTING.level)


@contextmanager
def mode(name: str | Mode, *, budget: float | None = None) -> Iterator[None]:
    """Check as `name` says until the block ends.

    budget: about which share of the time the checks of values may take, from 0 to 1. Where steps are too short for that, values
        are checked in some of them only; shapes are checked in all. A step is a `contracts.step()`, or the call of an outermost
        contract. What compiled code spends on values is not known and not counted.

    Raises ValueError for an unknown mode or a budget that is none. A function decorated while the mode was `off` stays unchecked.
    """
    level = parsed(name)
    allowed = None if budget is None else budgeted(budget, level)
    before = SETTING.level, SETTING.budget
    SETTING.level, SETTING.budget = int(level), allowed
    SETTING.next_step()
    try:
        yield
    finally:
        SETTING.level, SETTING.budget = before
