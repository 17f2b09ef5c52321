"""Matches values with plans, one after the other, and says exactly what does not fit.

This is the reference that the generated checkers agree with; it checks what they leave to it (the alternatives of unions) and
explains every failure.

A *scope* is a dictionary: `batch` -> size, `*lead` -> (may be broadcast, sizes), `{self}` -> argument for `{self.d}`, and
`@batch` -> the place that gave the size.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from mldbg.contracts import foreign
from mldbg.contracts.annotation import (
    Anything,
    Array,
    Either,
    Foreign,
    Instance,
    Many,
    Nothing,
    Plan,
    Record,
    Row,
    Table,
    dtype_name,
)
from mldbg.operations import dims

Scope = dict[str, Any]
Seen = list[tuple[torch.Tensor, Array, str]]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a value does not fit a plan. The fields are those of `error.Violation`.

    final: the annotation itself is at fault, so no other alternative of a union is tried.
    """

    path: str
    expected: str
    actual: str
    axis: str = ""
    cause: str = ""
    advice: str = ""
    final: bool = False


UNEXPLAINED = Failure("", "", "")
"""Stands for a failure while code is compiled: an explanation would fix the sizes, so it is made only where it is the end."""

EXPLAINED = "!"
"""In a scope: failures are to be explained in code that is being compiled, too."""


def _is_silent(scope: Scope) -> bool:
    return torch.compiler.is_dynamo_compiling() and EXPLAINED not in scope


UNSET = object()
"""Stands for an attribute that is not set yet."""


def judge(plan: Plan, value: Any, scope: Scope, path: str, seen: Seen | None = None) -> Failure | None:
    """None where `value` fits, and then its axes are in `scope`; else the first reason why not.

    path: the parameter, with the place inside it.
    seen: gets every tensor with a meaning, its plan and its path.
    """
    match plan:
        case Array():
            return _judge_array(plan, value, scope, path, seen)
        case Anything():
            return None
        case Nothing():
            return None if value is None else _unlike("None", value, path, scope)
        case Instance():
            return None if _is(value, plan.cls) else _unlike(plan.text, value, path, scope)
        case Either():
            return _judge_either(plan, value, scope, path, seen)
        case Foreign():
            reason = foreign.objection(plan.annotation, value, scope, path)
            return Failure(path, plan.text, described(value), cause=reason) if reason else None
        case Row() | Many() | Table() | Record():
            return _judge_parts(plan, value, scope, path, seen)


def _unlike(expected: str, value: Any, path: str, scope: Scope) -> Failure:
    return UNEXPLAINED if _is_silent(scope) else Failure(path, expected, described(value))


def _is(value: Any, cls: type) -> bool:
    if cls is float:
        return isinstance(value, (int, float))  # the numeric tower of static typing
    try:
        return isinstance(value, cls)
    except TypeError:  # a protocol that cannot be checked at run time
        return True


def _judge_either(plan: Either, value: Any, scope: Scope, path: str, seen: Seen | None) -> Failure | None:
    failures = []
    for option in plan.options:
        trial = dict(scope)
        found: Seen | None = None if seen is None else []
        failure = judge(option, value, trial, path, found)
        if failure is None:
            scope.update(trial)
            if seen is not None and found is not None:
                seen.extend(found)
            return None
        if failure.final:
            return failure
        failures.append((option, failure))
    if _is_silent(scope):
        return UNEXPLAINED
    deeper = [failure for _, failure in failures if failure.path != path]
    if len(deeper) == 1:
        return deeper[0]  # the right kind of container, with something wrong inside
    near = [failure for option, failure in failures if not isinstance(option, (Nothing, Instance))]
    if len(near) == 1 and isinstance(value, torch.Tensor):
        return near[0]
    return Failure(path, plan.text, described(value), advice="pass a value that one of the alternatives allows")


def _judge_parts(plan: Row | Many | Table | Record, value: Any, scope: Scope, path: str, seen: Seen | None) -> Failure | None:
    parts: list[tuple[Plan, Any, str]]
    match plan:
        case Row(items):
            if not isinstance(value, tuple) or len(value) != len(items):
                return _unlike(f"a tuple of {len(items)}", value, path, scope)
            parts = [(item, value[index], f"{path}[{index}]") for index, item in enumerate(items)]
        case Many(cls, item):
            if not _is(value, cls):
                return _unlike(plan.text, value, path, scope)
            if not isinstance(value, Collection) or isinstance(value, torch.Tensor):
                return None
            parts = [(item, element, f"{path}[{index}]") for index, element in enumerate(value)]
        case Table(cls, inner):
            if not _is(value, cls):
                return _unlike(plan.text, value, path, scope)
            parts = [(inner, value[key], f"{path}[{key!r}]") for key in value]
        case Record(cls, fields, keyed):
            if not _is(value, Mapping if keyed else cls):
                return _unlike(plan.text, value, path, scope)
            if keyed:
                for key in plan.required:
                    if key not in value:
                        return _unlike(f"{plan.text}, with the key {key!r}", value, path, scope)
                parts = [(inner, value[name], f"{path}[{name!r}]") for name, inner in fields if name in value]
            else:
                parts = []
                for name, inner in fields:
                    element = getattr(value, name, UNSET)
                    if element is not UNSET:
                        parts.append((inner, element, f"{path}.{name}"))
    for inner, element, place in parts:
        failure = judge(inner, element, scope, place, seen)
        if failure is not None:
            return failure
    return None


def _judge_array(plan: Array, value: Any, scope: Scope, path: str, seen: Seen | None) -> Failure | None:
    if not isinstance(value, plan.cls):
        return _unlike(plan.text, value, path, scope)
    if plan.dtypes is not None and value.dtype not in plan.dtypes:
        if _is_silent(scope):
            return UNEXPLAINED
        return Failure(
            path,
            f"{plan.text}, a dtype from the {plan.family} family",
            described(value),
            cause="a tensor of another kind was passed" if value.is_floating_point() == ("Float" in plan.family) else "",
            advice=f"convert it first, or use an annotation for the family of {dtype_name(value.dtype)}",
        )
    sizes, several = list(value.shape) if EXPLAINED not in scope else [number(size) for size in value.shape], plan.several
    if len(sizes) != len(plan.dims) if several is None else len(sizes) < len(plan.dims) - 1:
        if _is_silent(scope):
            return UNEXPLAINED
        least = "" if several is None else "at least "
        wanted = len(plan.dims) if several is None else len(plan.dims) - 1
        return Failure(path, f"{plan.text}, {least}{_count(wanted, 'axis', 'axes')}", described(value), cause=_rank(plan, sizes))
    found: Scope = {}
    failure = _judge_axes(plan, sizes, scope, found, path, value)
    if failure is not None:
        return failure
    scope.update(found)
    if seen is not None and plan.meaning is not None:
        seen.append((value, plan, path))
    return None


def _judge_axes(plan: Array, sizes: list[int], scope: Scope, found: Scope, path: str, value: torch.Tensor) -> Failure | None:
    several = len(plan.dims) if plan.several is None else plan.several
    behind = len(plan.dims) - several - 1  # axes after the one that stands for several
    for index, dim in enumerate(plan.dims):
        if isinstance(dim, dims.Several):
            continue
        at = index if index < several else len(sizes) - (len(plan.dims) - index)
        failure = _judge_axis(dim, sizes[at], at, scope, found, plan, path, value)
        if failure is not None:
            return failure
    if plan.several is None:
        return None
    dim = plan.dims[plan.several]
    assert isinstance(dim, dims.Several)
    return _judge_several(dim, tuple(sizes[several : len(sizes) - behind]), scope, found, plan, path, value)


def _judge_axis(
    dim: dims.Dim, size: int, at: int, scope: Scope, found: Scope, plan: Array, path: str, value: torch.Tensor
) -> Failure | None:
    match dim:
        case dims.Anonymous():
            return None
        case dims.Fixed(broadcast=True) | dims.Named(broadcast=True) | dims.Symbolic(broadcast=True) if size == 1:
            return None
        case dims.Fixed(_, wanted):
            known: Any = wanted
        case dims.Named(_, name):
            if name not in found and name not in scope:
                found[name] = size
                found["@" + name] = f"{path}, axis {at}"
                return None
            known = found[name] if name in found else scope[name]
        case dims.Symbolic():
            try:
                known = dims.size(dim, scope | found)
            except dims.Unbound as missing:
                if _is_silent(scope):
                    return UNEXPLAINED
                return Failure(
                    path,
                    plan.text,
                    described(value),
                    axis=f"axis {at} ({dim.text})",
                    cause=f"{dim.text} needs the size of {missing}, which no earlier check provided",
                    advice=f"name the axis {missing} in an annotation that is checked earlier",
                    final=True,
                )
            except Exception as error:  # noqa: BLE001 (the expression is the user's)
                if _is_silent(scope):
                    return UNEXPLAINED
                return Failure(
                    path,
                    plan.text,
                    described(value),
                    axis=f"axis {at} ({dim.text})",
                    cause=dims.excuse(dim, error),
                    advice="correct the annotation, or make sure the object has the attribute it reads",
                    final=True,
                )
        case _:
            raise AssertionError(dim)
    if known == size:
        return None
    if _is_silent(scope):
        return UNEXPLAINED
    return Failure(
        path,
        f"{plan.text} with {_sized(dim, known)}",
        described(value),
        axis=f"axis {at} ({dim.text})",
        cause=_wrong_size(dim, size, scope | found, value),
        advice=f"make the size of axis {at} of {path} {known}, or rename the axis if it need not agree",
    )


def _judge_several(
    dim: dims.Several, sizes: tuple[int, ...], scope: Scope, found: Scope, plan: Array, path: str, value: torch.Tensor
) -> Failure | None:
    key = "*" + dim.name
    if not dim.name:
        return None
    if key not in scope:
        found[key] = (dim.broadcast, sizes)
        found["@" + key] = f"{path}, axes before the last {len(plan.dims) - 1}" if plan.several == 0 else path
        return None
    common = dims.merged(scope[key], sizes, broadcast=dim.broadcast)
    if common is not None:
        found[key] = (scope[key][0] and dim.broadcast, common)
        return None
    if _is_silent(scope):
        return UNEXPLAINED
    return Failure(
        path,
        f"{plan.text} with {dim.text} = {scope[key][1]}",
        described(value),
        axis=f"axes {dim.text} = {sizes}",
        cause=f"the leading axes differ: {sizes} here, {scope[key][1]} before",
        advice="make their sizes equal, or mark the axes with # if broadcasting is intended",
    )


def explained(scope: Scope) -> Scope:
    """A copy of a scope in which failures are explained, in code that is being compiled with its sizes as they are now."""
    return {name: size if name[0] in "@{#" else _plain(size) for name, size in scope.items()} | {EXPLAINED: True}


def _plain(entry: Any) -> Any:
    if isinstance(entry, tuple):
        return entry[0], tuple([number(size) for size in entry[1]])
    return None if entry is None else number(entry)


def number(size: int) -> int:
    """A size as a plain number. Where it is a symbol of a trace, this fixes it: torch.compile knows the length of a range."""
    return len(range(size))


def described(value: Any) -> str:
    """A value as a person would call it: `float32 (32, 10)` for a tensor, the class for anything else."""
    if isinstance(value, torch.Tensor):
        name = "" if type(value) is torch.Tensor else f"{type(value).__name__} "
        return f"{name}{dtype_name(value.dtype)} {tuple([number(size) for size in value.shape])}"
    if value is None:
        return "None"
    if isinstance(value, (list, tuple, dict, set)):
        return f"{type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def _sized(dim: dims.Dim, known: Any) -> str:
    return f"{dim.text} = {known}" if dim.text != str(known) else f"size {known}"


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _rank(plan: Array, sizes: list[int]) -> str:
    if len(sizes) == len(plan.dims) - 1:
        return "an axis is missing: perhaps one sample was passed without a batch axis, or a reduction dropped one"
    if len(sizes) == len(plan.dims) + 1:
        return "there is an extra axis: " + (
            f"axis {sizes.index(1)} has size 1 and may need a squeeze"
            if 1 in sizes
            else "perhaps a flatten or a reduction is missing"
        )
    return ""


def _wrong_size(dim: dims.Dim, size: int, scope: Scope, value: torch.Tensor) -> str:
    """A guess from the sizes that are known: which other axis the size belongs to, or what a common slip would give."""
    name = dim.name if isinstance(dim, dims.Named) else ""
    others = [key for key, known in scope.items() if key[0] not in "@{*#!" and known == size and key != name]
    if others:
        return f"{size} is the size of {' and '.join(others)}: axes may be swapped (transpose, permute or a wrong dim)"
    if size == 1:
        return "the size is 1: a reduction with keepdim, an unsqueeze, or a batch of one where broadcasting is not declared"
    known = scope.get(name)
    if isinstance(known, int) and known > 0 and size % known == 0:
        return f"{size} = {size // known} x {known}: perhaps two axes were merged"
    return f"the tensor has {size} along this axis"
