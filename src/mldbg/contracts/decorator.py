"""`@contract`: a function whose annotations hold."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, TypeVar, overload

from mldbg.contracts import annotation, inline
from mldbg.contracts.modes import Mode, current, parsed
from mldbg.contracts.promises import Contract

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

    Raises ContractError when a call breaks the contract; at decoration ValueError or TypeError for an annotation or a mode that
    makes no sense.
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
    names = sys._getframe(2).f_locals  # noqa: SLF001 (string annotations may use names of the function around)
    return build(function, annotation.hints(function, local=names), level=level)


def build(function: Any, hints: Mapping[str, Any], *, name: str = "", level: Mode | None = None) -> Any:
    """`function` with checks for resolved annotations, or `function` itself where they promise nothing about tensors.

    Raises ValueError or TypeError for annotations that make no sense.
    """
    promises = Contract(function, hints, name=name, level=level)
    if promises.is_empty():
        return function
    checked: Any = promises.checked(joins=_may_check(function.__code__, function.__globals__))
    functools.update_wrapper(checked, function)
    checked.__contract__ = promises
    return checked


def _may_check(code: CodeType, names: Mapping[str, Any]) -> bool:
    """Whether a body names `check`, as far as its text says."""
    if any(name == "check" or names.get(name) is inline.check for name in (*code.co_names, *code.co_freevars)):
        return True
    return any(_may_check(constant, names) for constant in code.co_consts if isinstance(constant, CodeType))
