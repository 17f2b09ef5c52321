"""`@contract`: a function whose annotations hold."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import sys
import typing
from collections.abc import Callable, Mapping
from types import CodeType, FrameType, FunctionType, MethodType
from typing import Any, TypeVar, overload

import torch

from mldbg.contracts import annotation, inline
from mldbg.contracts.error import announce_once
from mldbg.contracts.later import Later
from mldbg.contracts.modes import Mode, current, parsed
from mldbg.contracts.names import Names, annotations_of
from mldbg.contracts.promises import Contract, given_by, kind_of, name_of, place_of, read

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def contract(function: Function, *, mode: str | Mode | None = None) -> Function: ...


@overload
def contract(*, mode: str | Mode | None = None) -> Callable[[Function], Function]: ...


def contract(function: Any = None, *, mode: str | Mode | None = None) -> Any:
    """Check the tensors that go into and come out of a function against its annotations.

    function: a function, coroutine function, generator function, method, staticmethod, classmethod or property; or a class, whose
        own annotated methods are checked, and for a dataclass (or attrs class) the fields whenever one has been constructed.
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
    function = _without_implied(function)
    level = None if mode is None else parsed(mode)
    if (current() if level is None else level) == Mode.OFF:
        return function
    frame = sys._getframe(1)  # noqa: SLF001 (string annotations may use names of the scopes around)
    if isinstance(function, type):
        return _class(function, frame, level)
    if not callable(function) and not isinstance(function, (staticmethod, classmethod, property)):
        raise TypeError(f"@contract applies to functions and classes, not to {function!r}")
    return _applied(function, frame, level)


def _without_implied(function: Any) -> Any:
    """What `install` has put checks around as it was before, for `@contract` says more: perhaps with which mode, or `off`."""
    if isinstance(function, (staticmethod, classmethod)):
        bare = _without_implied(function.__func__)
        return function if bare is function.__func__ else type(function)(bare)
    if isinstance(function, property):
        getter, setter = (one and _without_implied(one) for one in (function.fget, function.fset))
        is_bare = getter is function.fget and setter is function.fset
        return function if is_bare else property(getter, setter, function.fdel, function.__doc__)
    if isinstance(function, type):
        for key, member in list(vars(function).items()):
            if isinstance(member, (FunctionType, staticmethod, classmethod, property)):
                bare = _without_implied(member)
                if bare is not member:
                    setattr(function, key, bare)
        return function
    own = getattr(function, "__dict__", {})
    is_implied = getattr(own.get("__contract__"), "implied", False) and "__contract__" not in vars(own["__wrapped__"])
    return own["__wrapped__"] if is_implied else function


def _applied(function: Any, frame: FrameType, level: Mode | None, of: type | None = None) -> Any:
    """The function, or whatever wraps one in a class, with its checks.

    frame: where `@contract` stands.
    of: the class that it stands on, of which some methods may promise nothing.
    """
    if isinstance(function, (staticmethod, classmethod)):
        return type(function)(_applied(function.__func__, frame, level, of))
    if isinstance(function, property):
        getter, setter = (one and _applied(one, frame, level, of) for one in (function.fget, function.fset))
        return property(getter, setter, function.fdel, function.__doc__)
    if isinstance(function, MethodType):
        return MethodType(_applied(function.__func__, frame, level, of), function.__self__)
    if not isinstance(function, FunctionType):
        raise TypeError(f"@contract needs a Python function, not {function!r}")
    return _checked(function, frame, level, of)


def _checked(function: Any, frame: FrameType, level: Mode | None, of: type | None) -> Any:
    found = Names(function, frame, {} if of is None else {of.__name__: of})
    hints = annotation.hints(function, found, complete=False)
    if not hints.missing:
        try:
            promises = built(function, hints.known, level=level, names=hints.names, final=False)
        except NameError:  # in a class that an annotation names
            pass
        else:
            if promises is None and of is None:
                _say_that_nothing_is_promised(function)
            return function if promises is None else promises.entry
    for parameter, hint in hints.known.items():  # what is wrong already is said already
        promised = given_by(kind_of(function), hint) if parameter == "return" else hint
        with contextlib.suppress(NameError):
            read(promised, contract=name_of(function), parameter=parameter, names=hints.names, final=False)

    def contract_later() -> Contract | None:
        hints = annotation.hints(function, found, complete=True)
        promises = built(function, hints.known, level=level, names=hints.names)
        if promises is None and of is None:
            _say_that_nothing_is_promised(function)
        return promises

    return Later(function, contract_later, level).stub


def _say_that_nothing_is_promised(function: Any) -> None:
    promised = any(hint not in (None, "None") for hint in annotations_of(function).values())
    why = "say nothing about the axes or values of tensors" if promised else "are missing"
    text = f"@contract checks nothing of {name_of(function)}: its annotations {why}"
    announce_once(f"{text} {place_of(function)}", text)


def _class(cls: Any, frame: FrameType, level: Mode | None) -> Any:
    """The class itself: each method it defines with its checks, and for a dataclass the fields, once it is constructed.

    Raises TypeError for a kind of class that cannot be checked, or where nothing is promised about tensors.
    """
    name, has_fields = cls.__name__, dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__")
    if hasattr(cls, "_fields") or typing.is_typeddict(cls):
        raise TypeError(f"@contract does not check {name} where it is made; annotate the functions that take or return it")
    checked = {}
    for key, member in vars(cls).items():
        if key == "__init__" and has_fields:
            continue  # written by dataclass: fields may still be made by it, by a factory or by __post_init__
        if isinstance(member, (FunctionType, staticmethod, classmethod, property)):
            applied = member if _promises(member) else _applied(member, frame, level, of=cls)
            if _promises(applied):
                checked[key] = applied
    if has_fields:
        init = constructor(cls, frame, level)
        checked |= {} if init is None else {"__init__": init}
    elif not issubclass(cls, torch.nn.Module) and _promises_fields(cls):
        raise TypeError(f"@contract on {name}: fields are checked only in a dataclass; put @contract above @dataclass")
    if not checked:
        raise TypeError(f"@contract on {name}: it promises nothing about tensors")
    for key, applied in checked.items():
        setattr(cls, key, applied)
    return cls


def _promises(member: Any) -> bool:
    """Whether a member of a class has been given checks."""
    parts = (member, getattr(member, "__func__", None), getattr(member, "fget", None), getattr(member, "fset", None))
    return any("__contract__" in getattr(part, "__dict__", {}) for part in parts)


def _promises_fields(cls: type) -> bool:
    """Whether a class that is no dataclass has annotated attributes with tensors."""
    with contextlib.suppress(NameError):
        return any(map(annotation.holds_arrays, map(annotation.read, typing.get_type_hints(cls, include_extras=True).values())))
    return False


def constructor(cls: Any, frame: FrameType, level: Mode | None, wrong: Callable[[Exception], None] | None = None) -> Any:
    """The `__init__` of a dataclass with a check of the fields at its end; None where they say nothing about tensors.

    wrong: gets what is wrong with an annotation that can only be read when an object is made, in place of raising it.
    """

    def constructed(self: Any) -> None:
        return None

    constructed.__name__, constructed.__qualname__ = cls.__name__, cls.__qualname__

    def promised(*, final: bool) -> Contract | None:
        names = {**frame.f_locals, cls.__name__: cls}
        return built(constructed, {"self": cls}, name=cls.__name__, level=level, names=names, final=final)

    def promised_later() -> Contract | None:
        try:
            return promised(final=True)
        except Exception as error:
            if wrong is None:
                raise
            wrong(error)
            return None

    try:
        promises = promised(final=False)
    except NameError:  # a field of a class that is defined further down
        check = Later(constructed, promised_later, level).stub
    else:
        if promises is None:
            return None
        check = promises.entry
    init = cls.__init__

    @functools.wraps(init)
    def checked(self: Any, /, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        check(self)

    setattr(checked, CHECKS_FIELDS, True)
    return checked


CHECKS_FIELDS = "__checks_fields__"
"""The mark of an `__init__` that checks the fields at its end."""


def build(function: Any, hints: Mapping[str, Any], *, name: str = "", level: Mode | None = None) -> Any:
    """`function` with checks for resolved annotations, or `function` itself where they promise nothing about tensors.

    Raises ValueError or TypeError for annotations that make no sense.
    """
    promises = built(function, hints, name=name, level=level)
    return function if promises is None else promises.entry


def built(
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
