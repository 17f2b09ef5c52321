"""`@contract`: a function whose annotations hold."""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, TypeVar, overload

from mldbg.contracts import annotation, inline
from mldbg.contracts.error import announce_once
from mldbg.contracts.later import Later
from mldbg.contracts.modes import Mode, current, parsed
from mldbg.contracts.names import Names
from mldbg.contracts.promises import Contract, given_by, kind_of, name_of, place_of, read

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def contract(function: Function, *, mode: str | Mode | None = None) -> Function: ...


@overload
def contract(*, mode: str | Mode | None = None) -> Callable[[Function], Function]: ...


def contract(function: Any = None, *, mode: str | Mode | None = None) -> Any:
    """Check the tensors that go into and come out of a function against its annotations.

    function: a function, coroutine function, generator function, method, staticmethod, classmethod or property.
    mode: checks of this function in place of `contracts.mode(...)` and `MLDBG_CONTRACTS`. With `off`, or while `off` holds,
        the function itself is returned.

    Only annotations with tensors are checked: `Float[Tensor, "batch d"]`, `Logits[Tensor, "batch classes"]`, inside unions,
    lists, tuples, dicts, dataclasses. Axis names mean the same size in all parameters and in the result of one call.
    A parameter with the default None may be None.

    Annotations may name what is defined further down, and classes under definition: they are then read at the first call. What is
    promised about tensors and cannot be checked is said once, by a ContractWarning; so is a function that promises nothing.

    Raises ContractError when a call breaks the contract; ValueError or TypeError for an annotation or a mode that makes no sense,
    at decoration, or at the first call if it could not be read before.
    """
    if function is None:
        return functools.partial(contract, mode=mode)
    level = None if mode is None else parsed(mode)
    if (current() if level is None else level) == Mode.OFF:
        return function
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_checked(function.__func__, level))
    if isinstance(function, property):
        return property(
            function.fget and _checked(function.fget, level),
            function.fset and _checked(function.fset, level),
            function.fdel,
            function.__doc__,
        )
    if isinstance(function, MethodType):
        return MethodType(_checked(function.__func__, level), function.__self__)
    if isinstance(function, type):
        raise TypeError(f"@contract applies to methods such as {function.__name__}.forward, not on the class")
    if not callable(function):
        raise TypeError(f"@contract applies to functions, not to {function!r}")
    return _checked(function, level)


def _checked(function: Any, level: Mode | None) -> Any:
    if not isinstance(function, FunctionType):
        raise TypeError(f"@contract needs a Python function, not {function!r}")
    found = Names(function, sys._getframe(2))  # noqa: SLF001 (string annotations may use names of the scopes around)
    hints = annotation.hints(function, found, complete=False)
    if not hints.missing:
        try:
            promises = _built(function, hints.known, level=level, names=hints.names, final=False)
        except NameError:  # in a class that an annotation names
            pass
        else:
            if promises is None:
                _say_that_nothing_is_promised(function)
            return function if promises is None else promises.entry
    for parameter, hint in hints.known.items():  # what is wrong already is said already
        promised = given_by(kind_of(function), hint) if parameter == "return" else hint
        with contextlib.suppress(NameError):
            read(promised, contract=name_of(function), parameter=parameter, names=hints.names, final=False)

    def contract_later() -> Contract | None:
        hints = annotation.hints(function, found, complete=True)
        promises = _built(function, hints.known, level=level, names=hints.names)
        if promises is None:
            _say_that_nothing_is_promised(function)
        return promises

    return Later(function, contract_later, level).stub


def _say_that_nothing_is_promised(function: Any) -> None:
    promised = any(hint not in (None, "None") for hint in function.__annotations__.values())
    why = "say nothing about the axes or values of tensors" if promised else "are missing"
    text = f"@contract checks nothing of {name_of(function)}: its annotations {why}"
    announce_once(f"{text} {place_of(function)}", text)


def build(function: Any, hints: Mapping[str, Any], *, name: str = "", level: Mode | None = None) -> Any:
    """`function` with checks for resolved annotations, or `function` itself where they promise nothing about tensors.

    Raises ValueError or TypeError for annotations that make no sense.
    """
    promises = _built(function, hints, name=name, level=level)
    return function if promises is None else promises.entry


def _built(
    function: Any,
    hints: Mapping[str, Any],
    *,
    name: str = "",
    level: Mode | None = None,
    names: Mapping[str, Any] | None = None,
    final: bool = True,
) -> Contract | None:
    """The contract, with its checker; None where nothing is promised about tensors."""
    promises = Contract(function, hints, name=name, level=level, names=names, final=final)
    if promises.is_empty():
        return None
    checked: Any = promises.checked(joins=_may_check(function.__code__, function.__globals__))
    functools.update_wrapper(checked, function)
    checked.__contract__ = promises
    return promises


def _may_check(code: CodeType, names: Mapping[str, Any]) -> bool:
    """Whether a body names `check`, as far as its text says."""
    if any(name == "check" or names.get(name) is inline.check for name in (*code.co_names, *code.co_freevars)):
        return True
    return any(_may_check(constant, names) for constant in code.co_consts if isinstance(constant, CodeType))
