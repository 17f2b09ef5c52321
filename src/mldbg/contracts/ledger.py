"""Which promises of `attach` a call has met, and what is said of those that none ever meets.

A promise is kept by hooks, which run where a module is called, and nowhere else: not for `module.forward(x)`, nor for code that
uses the module's weights alone. What has not been met is said once: after the first forward pass of the model, or when the
promises end.
"""

from __future__ import annotations

import difflib
import sys
import warnings
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import nn

from mldbg.contracts import dynamo, tracing
from mldbg.contracts.flags import Site
from mldbg.contracts.matching import number
from mldbg.contracts.modes import Mode, current

RESULT = "return"


class NeverChecked(UserWarning):
    """A promise that nothing has checked."""


class Row:
    """The promises about one module.

    name: as messages call the contract. path: of the module; kind: its class. names: parameters and `return`; unmet: those that
    no call has met. parameters: those that `forward` declares. sites: where values are judged.
    calls: of the module through its hooks; unchecked ones are not counted here. traced: whether it is part of compiled code.
    number: under which compiled code knows it.
    """

    def __init__(
        self, name: str, path: str, kind: str, names: tuple[str, ...], parameters: tuple[str, ...], sites: Sequence[Site]
    ) -> None:
        self.name = name
        self.path = path
        self.sites = sites
        self.kind = kind
        self.names = names
        self.parameters = parameters
        self.unmet = set(names)
        self.calls = self.unchecked = 0
        self.traced = False
        self.travelled = False
        self.number = tracing.number_for(self)

    def __deepcopy__(self, memo: object) -> Row:
        return self  # a copy of the model meets the same promises

    def __getstate__(self) -> dict[str, Any]:
        self.travelled = True  # what another process meets is not known here
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.number = tracing.number_for(self)

    @property
    def was_called(self) -> bool:
        """Whether its hooks have run, or are part of compiled code."""
        return self.calls > 0 or self.traced


@dataclass
class Ledger:
    """The rows of one `attach`.

    model: name of its class. patterns: pattern -> what it promises, and the rows of the modules that it matches.
    place: file and line of the call. root: of the model itself. said: whether unmet promises have been named.
    off: whether a pass has run unchecked because the mode was `off`.
    """

    model: str
    place: tuple[str, int]
    patterns: dict[str, tuple[tuple[str, ...], list[Row]]] = field(default_factory=dict)
    root: Row | None = None
    said: bool = False
    off: bool = False

    def __deepcopy__(self, memo: object) -> Ledger:
        return self

    @property
    def rows(self) -> list[Row]:
        """Every module with promises once."""
        return list({id(row): row for _, rows in self.patterns.values() for row in rows}.values())

    def say(self, when: str) -> None:
        """Warn of promises that nothing has met; once.

        A parameter that `forward` declares may have been left to its default, so that is no reason.
        """
        unmet = [] if self.said else self._unmet()
        self.said = True
        if unmet:
            text = f"attach: {self.model}: never checked {when}: {'; '.join(unmet)}"
            warnings.warn_explicit(text, NeverChecked, *self.place)

    def _unmet(self) -> list[str]:
        found = []
        for pattern, (names, rows) in self.patterns.items():
            label = repr(pattern) if pattern else "the model itself"
            if any(row.was_called for row in rows):
                found += [f"{label}: {name} was not passed{_similar(name, rows)}" for name in names if _is_foreign(name, rows)]
            else:
                found.append(f"{label} ({', '.join(names)}): {_BYPASSED}")
        return found

    def end(self) -> None:
        """The promises end: by `remove`, with the model, or with the program.

        Nothing is said where the program or the first pass has failed, which is known, nor where checks were switched off, or the
        model went to another process.
        """
        failed = getattr(sys, "last_value", None) is not None or (self.root is not None and self.root.was_called)
        elsewhere = any(row.travelled for row in self.rows)
        if not (failed or elsewhere or self.off or current() == Mode.OFF):
            self.say("while they held")


_BYPASSED = (
    "its hooks did not run. It was not called, or by .forward(...), or its weights alone were used, or it was replaced after "
    "attach, or compiled before it (torch.compiler.reset() makes it compile anew)"
)


def _is_foreign(name: str, rows: list[Row]) -> bool:
    """Whether no call has passed a name that no `forward` declares."""
    return all(name in row.unmet and name != RESULT and name not in row.parameters for row in rows)


def _similar(name: str, rows: list[Row]) -> str:
    declared = {parameter for row in rows for parameter in row.parameters}
    near = difflib.get_close_matches(name, sorted(declared), n=1)
    return f"; {rows[0].kind}.forward has {near[0]}" if near else ""


class FirstPass:
    """A hook of the model that runs once, after its first forward pass, and takes itself off."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.number = tracing.number_for(ledger)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.number = tracing.number_for(self.ledger)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """The pass is over."""
        if torch.compiler.is_dynamo_compiling():
            said_in_trace(number(self.number))
        elif current() == Mode.OFF:
            self.ledger.off = True
        else:
            hooks = module._forward_hooks  # noqa: SLF001 (a handle would have to be copied with the model)
            for key in [key for key, hook in hooks.items() if hook is self]:
                del hooks[key]
            self.ledger.say(WHEN)


WHEN = "in the first forward pass"


@dynamo.constant
def said_in_trace(number: int) -> None:
    """The first pass of a model ends in code that is being compiled."""
    tracing.COUNTED[number].say(WHEN)


@dynamo.constant
def called_in_trace(number: int) -> None:
    """A module is part of the code that is being compiled."""
    tracing.COUNTED[number].traced = True


@dynamo.constant
def met_in_trace(number: int, name: str) -> None:
    """A promise is checked by code that is being compiled."""
    tracing.COUNTED[number].unmet.discard(name)


def ends_with(model: nn.Module, ledger: Ledger) -> weakref.finalize[[], nn.Module]:
    """Have the ledger closed when the model, or the program, ends."""
    return weakref.finalize(model, ledger.end)


_CALLS = {"__call__", "_call_impl", "_wrapped_call_impl"}


def passes_hooks_by(cls: type) -> bool:
    """Whether a class replaces `nn.Module.__call__` by code that cannot come to the hooks: neither it, nor a method, decorator or
    inner function it uses, names what runs them. Code that cannot be read counts as coming there.
    """
    start = cls.__call__
    if start is nn.Module.__call__:
        return False
    waiting, known = [start], set()
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType):
            return False
        if function in known:
            continue
        known.add(function)
        names = _names(function.__code__)
        if names & _CALLS:
            return False
        waiting += [method for method in (_of_its_own(cls, name) for name in names) if method is not None]
        waiting += [value for value in map(function.__globals__.get, names) if isinstance(value, FunctionType)]
        waiting += [value for value in map(_content, function.__closure__ or ()) if callable(value) or hasattr(value, "func")]
    return True


def _names(code: CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, CodeType)]
    return set(code.co_names).union(*inner)


def _of_its_own(cls: type, name: str) -> Any:
    """The method of a class or of its bases up to `nn.Module`."""
    for base in cls.__mro__:
        if base is nn.Module:
            return None
        if name in vars(base):
            return vars(base)[name] if callable(vars(base)[name]) else None
    return None


def _content(cell: Any) -> Any:
    """What a closure holds; None for a class, which is no part of a call, and where nothing is in it yet."""
    try:
        return None if isinstance(cell.cell_contents, type) else cell.cell_contents
    except ValueError:
        return None
