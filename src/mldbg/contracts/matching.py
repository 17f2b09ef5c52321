"""Matches values with plans, one after the other, and says exactly what does not fit.

This is the reference that the generated checkers agree with; it checks what they leave to it (the alternatives of unions) and
explains every failure.

A *scope* is a dictionary: `batch` -> size, `*lead` -> (may be broadcast, sizes), `{self}` -> argument for `{self.d}`, and
`@batch` -> the place that gave the size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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
from mldbg.contracts.error import in_words
from mldbg.operations import dims
from mldbg.semantics import Semantic

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

TRIAL = "#trial"
"""In a scope: other alternatives of a union may fit, so that no values are read to explain why this one does not."""

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
            return None if _is(value, plan.cls) else _unlike(plan.text, value, path, scope, plan.cls)
        case Either():
            return _judge_either(plan, value, scope, path, seen)
        case Foreign():
            reason = foreign.objection(plan.annotation, value, scope, path)
            return Failure(path, plan.text, described(value), cause=reason) if reason else None
        case Row() | Many() | Table() | Record():
            return _judge_parts(plan, value, scope, path, seen)


def _unlike(expected: str, value: Any, path: str, scope: Scope, cls: type | None = None) -> Failure:
    if _is_silent(scope):
        return UNEXPLAINED
    if cls is None or type(value).__name__ != cls.__name__:
        return Failure(path, expected, described(value))
    here, there = (f"{one.__module__}.{one.__qualname__}" for one in (cls, type(value)))
    if here != there:
        cause, advice = f"two classes are called {cls.__name__}", "import the same one everywhere"
    else:
        cause = f"{here} exists twice: its module was reloaded, or runs again under the same name, and the object is from before"
        advice = "make the object anew, and import again what uses the class"
    return Failure(path, f"{expected}, the class {here}", f"an object of {there}", cause=cause, advice=advice)


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
        trial = {**scope, TRIAL: True}
        found: Seen | None = None if seen is None else []
        failure = judge(option, value, trial, path, found)
        if failure is None:
            scope.update({name: size for name, size in trial.items() if name != TRIAL})
            if seen is not None and found is not None:
                seen.extend(found)
            return None
        if failure.final:
            return failure
        failures.append((option, failure))
    if _is_silent(scope):
        return UNEXPLAINED
    if TRIAL not in scope:
        failures = [(option, judge(option, value, dict(scope), path) or failure) for option, failure in failures]
    deeper = [failure for _, failure in failures if failure.path != path]
    if len(deeper) == 1:
        return deeper[0]  # the right kind of container, with something wrong inside
    for option, failure in failures:
        if isinstance(option, (Instance, Record)) and option.cls.__name__ == type(value).__name__:
            return failure  # which is of another class, called the same
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
                return _unlike(plan.text, value, path, scope, cls)
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
        return _unlike(plan.text, value, path, scope, plan.cls)
    if plan.dtypes is not None and value.dtype not in plan.dtypes:
        if _is_silent(scope):
            return UNEXPLAINED
        likeness = _likeness(plan, value, scope)
        rank = _axes_expected(plan) if _has_wrong_rank(plan, value.ndim) else ""
        kind = "a tensor of another kind was passed" if value.is_floating_point() == ("Float" in plan.family) else ""
        return Failure(
            path,
            f"{plan.text}, a dtype from the {plan.family} family" + (f", {rank}" if rank else ""),
            described(value),
            cause=likeness[0] or (_rank(plan, list(value.shape)) if rank else "") or kind,
            advice=likeness[1] or f"convert it first, or use an annotation for the family of {dtype_name(value.dtype)}",
        )
    sizes = list(value.shape) if EXPLAINED not in scope else [number(size) for size in value.shape]
    if _has_wrong_rank(plan, len(sizes)):
        if _is_silent(scope):
            return UNEXPLAINED
        likeness = _likeness(plan, value, scope)
        cause = likeness[0] or _rank(plan, sizes)
        return Failure(path, f"{plan.text}, {_axes_expected(plan)}", described(value), cause=cause, advice=likeness[1])
    found: Scope = {}
    failure = _judge_axes(plan, sizes, scope, found, path, value)
    if failure is not None:
        return failure
    scope.update(found)
    if seen is not None and plan.meaning is not None:
        seen.append((value, plan, path))
    return None


def _has_wrong_rank(plan: Array, rank: int) -> bool:
    return rank != len(plan.dims) if plan.several is None else rank < len(plan.dims) - 1


def _axes_expected(plan: Array) -> str:
    if plan.several is None:
        return _count(len(plan.dims), "axis", "axes")
    return f"at least {_count(len(plan.dims) - 1, 'axis', 'axes')}"


_IDS = (Semantic.CLASS_IDS, Semantic.TOKEN_IDS)


def _likeness(plan: Array, value: torch.Tensor, scope: Scope) -> tuple[str, str]:
    """Cause and advice where ids came for a row of each class, or rows for ids, as far as rank and values say; else empty."""
    meaning = plan.meaning.semantic if plan.meaning is not None else None
    if plan.several is not None or TRIAL in scope or value.ndim == 0 or torch.compiler.is_dynamo_compiling():
        return "", ""
    if meaning is Semantic.ONE_HOT and value.ndim == len(plan.dims) - 1 and not (value.is_floating_point() or value.is_complex()):
        return "these look like class ids", "apply one_hot to them, or annotate them as ClassIds"
    if meaning not in _IDS or value.ndim != len(plan.dims) + 1:
        return "", ""
    axis = 1 if value.ndim > 1 else 0  # torch's class axis; the last one of pairs, which is the same
    try:
        like = next((words for words, holds in _ROWS if holds(value, axis)), "")
    except (RuntimeError, NotImplementedError):  # no values at hand
        return "", ""
    return (f"these look {like}", f"take the ids: argmax({axis})") if like else ("", "")


def _are_one_hot(x: torch.Tensor, axis: int) -> bool:
    return bool(((x == 0) | (x == 1)).all() & (x.sum(axis) == 1).all())


def _are_probabilities(x: torch.Tensor, axis: int) -> bool:
    return x.is_floating_point() and bool((x >= 0).all() & ((x.float().sum(axis) - 1).abs() < 0.05).all())


_ROWS: tuple[tuple[str, Callable[[torch.Tensor, int], bool]], ...] = (
    ("one-hot", _are_one_hot),
    ("like probabilities of the classes", _are_probabilities),
    ("like scores of the classes", lambda x, axis: x.is_floating_point() and x.shape[axis] > 1),
)


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
        advice=f"make the size of axis {at} of {in_words(path)} {known}, or rename the axis if it need not agree",
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
        return f"{name}{dtype_name(value.dtype)} {shape_of(value)}"
    if value is None:
        return "None"
    if isinstance(value, (list, tuple, dict, set)):
        return f"{type(value).__name__} of {len(value)}"
    shape = getattr(value, "shape", None)
    return type(value).__name__ + (f" of shape {tuple(shape)}" if isinstance(shape, tuple) else "")


def shape_of(tensor: torch.Tensor) -> tuple[int, ...]:
    """The sizes of a tensor as plain numbers."""
    return tuple([number(size) for size in tensor.shape])


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
