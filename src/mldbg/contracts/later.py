"""A contract whose annotations name what is not defined yet: a class further down, the class around, one inside it.

Its function has a stub until the first call, which reads the annotations and turns the stub into the checker: from then on it
costs what any other contract does.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from mldbg.contracts import dynamo, generate
from mldbg.contracts.modes import SETTING, Mode
from mldbg.contracts.promises import Contract, kind_of


class Later:
    """The contract of a function until its annotations can be read.

    read: gives the contract, or None where it promises nothing about tensors; called once.
    implied: nobody wrote it down at the function.
    """

    implied = False

    def __init__(self, function: Any, read: Callable[[], Contract | None], level: Mode | None) -> None:
        self._function = function
        self._read: Callable[[], Contract | None] | None = read
        self._level = level
        self._lock = threading.Lock()

        @dynamo.constant
        def ready() -> None:
            self.ready()

        stub: Any = generate.stub(function, kind_of(function), ready)
        functools.update_wrapper(stub, function)
        stub.__contract__ = self
        self.stub = stub

    @property
    def source(self) -> str:
        """The text of the checker for eager code, empty where nothing is promised about tensors.

        Raises TypeError or ValueError for annotations that make no sense.
        """
        self.ready()
        return "" if self.stub.__contract__ is self else self.stub.__contract__.source

    def ready(self) -> None:
        """Make the stub the checker, unless contracts are switched off.

        Raises TypeError or ValueError for annotations that make no sense, or have a name that is not known now either.
        """
        if (SETTING.level if self._level is None else self._level) == Mode.OFF:
            return
        with self._lock:
            if self._read is None:  # there is nothing to check, or another thread has just been here
                return
            contract = self._read()
            if contract is not None:
                checked = generate.prefix_of(contract.signature) + "checked"  # for calls that run the stub now, or are compiled
                self.stub.__globals__.update(contract.entry.__globals__, **{checked: contract.entry})
                self.stub.__contract__ = contract
                self.stub.__code__ = contract.entry.__code__
            self._read = None
