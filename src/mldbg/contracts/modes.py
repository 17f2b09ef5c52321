"""How much is checked: `off | shapes | sampled | full | sync`, by argument, context manager or environment variable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

VARIABLE = "MLDBG_CONTRACTS"
"""The environment variable that names the mode of a run."""


class Mode(IntEnum):
    """Each mode checks what the modes before it check, and more.

    `SAMPLED` looks at up to 32 rows of each tensor, `FULL` at all of them; both read their verdicts once per step. `SYNC` waits
    for every verdict, so that the traceback ends at the line that broke the contract.
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


def _from_environment() -> Mode:
    name = os.environ.get(VARIABLE, "").strip().lower()
    if not name:
        return DEFAULT
    try:
        return parsed(name)
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: {error}") from None


class Setting:
    """The mode of this process. One for all threads: threads started by a data-parallel wrapper must follow it.

    The level is an attribute of one object, not a context variable, because compiled code can read (and guard on) it.

    counting: whether a block of `coverage()` is open.
    """

    def __init__(self) -> None:
        self.level = int(_from_environment())
        self.counting = False


SETTING = Setting()


def current() -> Mode:
    """The mode that holds now."""
    return Mode(SETTING.level)


@contextmanager
def mode(name: str | Mode) -> Iterator[None]:
    """Check as `name` says until the block ends.

    Raises ValueError for an unknown mode. A function decorated while the mode was `off` stays unchecked.
    """
    before = SETTING.level
    SETTING.level = int(parsed(name))
    try:
        yield
    finally:
        SETTING.level = before
