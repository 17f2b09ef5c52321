"""`sanitize` for the rest of a program: what `MLDBG_SANITIZE` asks for when the contracts are imported."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys

import torch

from mldbg.contracts.sanitize.finding import Report
from mldbg.contracts.sanitize.mode import Sanitizer, sanitize

VARIABLE = "MLDBG_SANITIZE"
"""The environment variable."""

_open: list[Sanitizer] = []


def start_as_the_environment_says() -> None:
    """Start, unless the variable is empty or 0.

    Raises ValueError for a value that it does not have.
    """
    value = os.environ.get(VARIABLE, "").strip().lower()
    if value in ("", "0"):
        return
    if value not in ("1", "collect"):
        raise ValueError(f"{VARIABLE}: unknown value {value!r}; it is 1 (raise at a misuse), collect (report at exit) or 0")
    start(collect=value == "collect")


def start(*, collect: bool) -> None:
    """Follow meanings from now on, in this thread and in those that are started from it; a second start has no effect.

    collect: print the findings to stderr when the program ends, in place of raising the first.
    """
    if _open:
        return
    block = sanitize(collect=collect)
    report = _entered_below(block)
    _open.append(block)
    atexit.register(_end, block, report if collect else None)


def _entered_below(block: Sanitizer) -> Report:
    """Enter a block that never ends. It may be inside others by now, which take the innermost mode away when they end."""
    inner = []
    while torch._C._len_torch_function_stack():  # noqa: SLF001
        inner.append(torch.overrides._pop_mode())  # type: ignore[no-untyped-call]  # noqa: SLF001
    try:
        return block.__enter__()
    finally:
        for mode in reversed(inner):
            torch.overrides._push_mode(mode)  # type: ignore[no-untyped-call]  # noqa: SLF001


def _end(block: Sanitizer, report: Report | None) -> None:
    """The program ends, and with it the block: later, torch cannot be put back as it was."""
    with contextlib.suppress(Exception):  # what threads have found was raised there; the block may be of another thread
        block.__exit__(None, None, None)
    if report is not None:
        sys.stderr.write("".join(f"sanitize: {line}\n" for line in str(report).splitlines()))
