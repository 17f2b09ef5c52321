"""`check`: a promise about an intermediate value."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import Any, TypeVar, get_args, get_origin

import torch
from jaxtyping import AbstractArray
from torch import Tensor

from mldbg.contracts import annotation, dynamo, flags
from mldbg.contracts.annotation import Plan
from mldbg.contracts.error import ContractError
from mldbg.contracts.matching import Scope, Seen, explained, judge, number
from mldbg.contracts.modes import SETTING, Mode
from mldbg.contracts.observing import Known, has_law, known, leave_out_seen, observe_seen
from mldbg.contracts.promises import violation
from mldbg.contracts.scope import EAGER, TRACED
from mldbg.contracts.tracing import BREAK, is_one_graph, is_symbolic, reason

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Promise:
    plan: Plan
    places: list[Known]


_promises: dict[tuple[Any, str], _Promise] = {}


def _content(annotation: Any) -> Any:
    """What an annotation says: `Float[Tensor, "batch"]` is another class each time it is evaluated."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return annotation.dtype, annotation.array_type, annotation.dim_str
    arguments = get_args(annotation)
    return (get_origin(annotation), *map(_content, arguments)) if arguments else (type(annotation), annotation)


def check(value: T, promised: Any, name: str = "check") -> T:
    """`value`, if it is what `promised` says.

    promised: an annotation, such as `Float[Tensor, "batch hidden"]`. Inside a function with a contract its axis names are those
        of the call under way, and names that are new become known to it; elsewhere they hold for this check only.
    name: how messages call the value.

    Raises ContractError if it is not; TypeError or ValueError for an annotation that makes no sense.
    """
    level = SETTING.level
    if not level:
        return value
    promise = _promise(promised, name)
    compiling = torch.compiler.is_dynamo_compiling()
    names: Scope | None = TRACED.top if compiling else EAGER.top
    if names is None and compiling and _is_inside():
        return _checked_eagerly(value, promised, name)  # type: ignore[no-any-return]
    if names is None:
        names = {}
    seen: Seen = []
    failure = judge(promise.plan, value, names, name, seen)
    if failure is not None:
        if compiling and is_one_graph() and isinstance(value, Tensor):
            torch._dynamo.graph_break(msg=_why(promised, value, names, name))  # noqa: SLF001
        _refuse(promise.plan, value, name)
        return value
    if level > Mode.SHAPES and seen:
        places = promise.places if compiling else _placed(promise.places, names)
        observe_seen(seen, places, names, level)
    elif seen and SETTING.counting:
        leave_out_seen(seen, promise.places, SETTING.why_no_values())
    if not compiling and EAGER.top is None and (EAGER.here.waits or SETTING.budget is not None):
        flags.settle(None)
    return value


@dynamo.constant
def _is_inside() -> bool:
    """Whether a contract is under way in eager code around what is being compiled: the graph broke inside of it."""
    return EAGER.top is not None


@dynamo.constant
def _promise(promised: Any, name: str) -> _Promise:
    """The plan of an annotation; torch.compile takes it as a constant."""
    key = (_content(promised), name)
    if key not in _promises:
        plan = annotation.read(promised)
        if not annotation.holds_arrays(plan):
            raise TypeError(f"check: {promised!r} says nothing about a tensor")
        places = [known("check", name, array, "") for array in annotation.arrays(plan) if has_law(array)]
        _promises[key] = _Promise(plan, places)
    return _promises[key]


def _why(promised: Any, value: Any, names: Scope, name: str) -> str:
    """The reason that the error will give in eager code, for which the graph that is being traced ends."""
    enclosing = names.get("#")
    sizes = {axis: size for axis, size in explained(names).items() if axis[0] not in "{#"}
    shape = [number(size) for size in value.shape]
    contract = "check" if enclosing is None else enclosing.name
    return _reason(promised, name, contract, shape, value.dtype, sizes)


@dynamo.constant
def _reason(promised: Any, name: str, contract: str, shape: list[int], dtype: torch.dtype, sizes: Scope) -> str:
    alike = torch.empty(shape, dtype=dtype, device="meta")
    failure = judge(_promise(promised, name).plan, alike, sizes, name)
    return BREAK if failure is None else reason(violation(contract, failure, sizes, ""))


@dynamo.untraced(BREAK)
def _checked_eagerly(value: Any, promised: Any, name: str) -> Any:
    return check(value, promised, name)


def _placed(places: list[Known], names: Scope) -> list[Known]:
    enclosing = names.get("#")
    contract = "check" if enclosing is None else enclosing.name
    place = _caller()
    return [replace(one, site=replace(one.site, contract=contract, place=place)) for one in places]


def _caller() -> str:
    """`path:line` of the call of `check`: the first frame outside this module and torch's machinery."""
    frame = sys._getframe(2)  # noqa: SLF001
    ours = (__file__, dynamo.__file__)
    while (frame.f_code.co_filename in ours or "_dynamo" in frame.f_code.co_filename) and frame.f_back is not None:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


@dynamo.untraced(BREAK)
def _refuse(plan: Plan, value: Any, name: str) -> None:
    """Raises ContractError with an account of what is wrong, unless it fits here, or is one of torch.fx's trace."""
    if is_symbolic(value):
        return
    names: Scope = TRACED.top or EAGER.top or {}
    enclosing = names.get("#")
    if enclosing is not None:
        enclosing.where(names)
    failure = judge(plan, value, names, name)
    if failure is None:
        return  # compiled without the scope that is active now
    raise ContractError(violation("check" if enclosing is None else enclosing.name, failure, names, _caller()))
