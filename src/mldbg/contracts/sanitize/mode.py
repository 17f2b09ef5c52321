"""`sanitize`: follows the meanings of tensors through a block of code and reports where a loss gets the wrong one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection
from contextlib import ExitStack
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from mldbg.contracts.sanitize.finding import Report
from mldbg.contracts.sanitize.surroundings import followed
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.losses import MISUSES

P = ParamSpec("P")
R = TypeVar("R")

OPTIONAL = frozenset(misuse.rule for misuse in MISUSES if misuse.optional)
"""Rules that stay silent unless asked for: what they report is wasteful or fragile, and gives the right numbers."""

RULES = frozenset(misuse.rule for misuse in MISUSES)
"""Every rule that `sanitize` knows."""


class Sanitizer:
    """What `sanitize` gives: a context manager, and a decorator."""

    def __init__(self, *, collect: bool, silent: frozenset[str]) -> None:
        self._collect = collect
        self._silent = silent
        self._open: ExitStack | None = None

    def __enter__(self) -> Report:
        if self._open is not None:
            raise RuntimeError("this sanitize() is already in use: call sanitize() again for another block")
        watch = Watch(collect=self._collect, silent=self._silent)
        with ExitStack() as stack:
            stack.callback(self._closed)
            stack.push(lambda kind, error, trace: watch.raise_from_threads() if error is None else None)
            stack.enter_context(followed(watch))
            self._open = stack.pop_all()
        return watch.report

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._open is not None
        self._open.__exit__(kind, error, trace)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if self._collect:
            raise TypeError(
                "sanitize(collect=True) returns its report from a with statement; a decorated function cannot receive it"
            )

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.again():
                return function(*args, **kwargs)

        return guarded

    def again(self) -> Self:
        """A fresh one with the same options."""
        return type(self)(collect=self._collect, silent=self._silent)

    def _closed(self) -> None:
        self._open = None


def sanitize(*, collect: bool = False, ignore: Collection[str] = (), include: Collection[str] = ()) -> Sanitizer:
    """Follows the meanings of tensors through a block, without annotations.

    `with sanitize():` raises `ContractError` where a meaning is misused; `with sanitize(collect=True) as report:` goes on and
    gathers `report.findings`. `@sanitize()` guards each call of a function.

    collect: gather findings instead of raising the first.
    ignore: rules to leave out.
    include: rules of `OPTIONAL` to report as well.
    Raises ValueError for a rule that does not exist, at once.

    While the block runs, `torch.compile` runs functions eagerly, so that their insides are seen. Threads that are started
    inside the block are followed; a misuse in one of them is raised there, and again at the end of the block unless
    another exception is on its way. Threads that were started before are not seen, nor is TorchScript.
    """
    for rule in (*ignore, *include):
        if rule not in RULES:
            raise ValueError(f"sanitize has no rule {rule!r}; the rules are {', '.join(sorted(RULES))}")
    return Sanitizer(collect=collect, silent=(OPTIONAL - set(include)) | frozenset(ignore))
