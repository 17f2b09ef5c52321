"""Annotations read into plans: what has to be checked of a value, and nothing else.

Only what holds arrays is planned. An annotation such as `cfg: Config` says nothing about tensors and is left alone.
"""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from jaxtyping import AbstractArray, AbstractDtype

from mldbg.contracts import foreign
from mldbg.contracts.meanings import Meaning, is_alias
from mldbg.operations import dims


@dataclass(frozen=True, slots=True)
class Anything:
    """No promise about tensors."""

    text: str = "anything"


@dataclass(frozen=True, slots=True)
class Nothing:
    """None."""

    text: str = "None"


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class without tensors of its own; tells the alternatives of a union apart."""

    cls: type
    text: str


@dataclass(frozen=True, slots=True)
class Array:
    """A tensor with a dtype family, axes and perhaps a meaning.

    dtypes: None allows all. several: the position of the axis that stands for several, if there is one.
    """

    cls: type[torch.Tensor]
    dtypes: tuple[torch.dtype, ...] | None
    family: str
    dims: tuple[dims.Dim, ...]
    shape: str
    several: int | None
    meaning: Meaning | None = None

    @property
    def text(self) -> str:
        """The annotation as one would say it: `Float[Tensor, "batch d"]`."""
        name = (self.meaning and self.meaning.alias) or self.family
        return f'{name}[{self.cls.__name__}, "{self.shape}"]'


@dataclass(frozen=True, slots=True)
class Either:
    """The first alternative that fits."""

    options: tuple[Plan, ...]

    @property
    def text(self) -> str:
        """The alternatives, joined."""
        return " | ".join(option.text for option in self.options)


@dataclass(frozen=True, slots=True)
class Row:
    """A tuple with one plan for each place."""

    items: tuple[Plan, ...]

    @property
    def text(self) -> str:
        """The places, in order."""
        return f"tuple[{', '.join(item.text for item in self.items)}]"


@dataclass(frozen=True, slots=True)
class Many:
    """A list, tuple, set or other iterable, each element of which fits one plan.

    Only a collection is looked into: an iterator would be used up.
    """

    cls: type
    item: Plan

    @property
    def text(self) -> str:
        """The collection and its element."""
        return f"{self.cls.__name__}[{self.item.text}{', ...' if self.cls is tuple else ''}]"


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping, each value of which fits one plan."""

    cls: type
    value: Plan

    @property
    def text(self) -> str:
        """The mapping and its value."""
        return f"{self.cls.__name__}[..., {self.value.text}]"


@dataclass(frozen=True, slots=True)
class Record:
    """A dataclass, attrs class or NamedTuple with annotated attributes, or a TypedDict with annotated keys."""

    cls: type
    fields: tuple[tuple[str, Plan], ...]
    keyed: bool = False

    @property
    def text(self) -> str:
        """The name of the class."""
        return self.cls.__name__


@dataclass(frozen=True, slots=True)
class Foreign:
    """An annotation with arrays that only jaxtyping and beartype can check."""

    annotation: Any
    text: str


Plan = Anything | Nothing | Instance | Array | Either | Row | Many | Table | Record | Foreign
ANYTHING = Anything()


def read(annotation: Any, *, optional: bool = False) -> Plan:
    """The plan of an annotation that is resolved, i.e. no string.

    optional: None is allowed as well, as for a parameter whose default is None.
    Raises ValueError or TypeError where a part of the annotation makes no sense.
    """
    plan = _read(annotation, ())
    options = plan.options if isinstance(plan, Either) else (plan,)
    if optional and not any(isinstance(option, (Anything, Nothing)) for option in options):
        return Either((*options, Nothing()))
    return plan


def holds_arrays(plan: Plan) -> bool:
    """Whether anything has to be checked: an instance by itself is no promise about tensors."""
    match plan:
        case Array() | Foreign():
            return True
        case Either(options):
            return any(map(holds_arrays, options))
        case Row(items):
            return any(map(holds_arrays, items))
        case Many(_, inner) | Table(_, inner):
            return holds_arrays(inner)
        case Record():
            return True
        case _:
            return False


def arrays(plan: Plan) -> list[Array]:
    """All tensors that a plan speaks of."""
    match plan:
        case Array():
            return [plan]
        case Either(parts) | Row(parts):
            return [array for part in parts for array in arrays(part)]
        case Many(_, inner) | Table(_, inner):
            return arrays(inner)
        case Record(_, fields):
            return [array for _, part in fields for array in arrays(part)]
        case _:
            return []


def _read(annotation: Any, inside: tuple[type, ...]) -> Plan:
    plan = _reading(annotation, inside)
    if holds_arrays(plan) or isinstance(plan, (Nothing, Instance)):
        return plan
    match plan:  # a collection without tensors: only its class tells it from the other alternatives of a union
        case Row():
            return Instance(tuple, plan.text)
        case Many(cls) | Table(cls):
            return Instance(cls, plan.text)
        case _:
            return ANYTHING


def _reading(annotation: Any, inside: tuple[type, ...]) -> Plan:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return _array(annotation, None)
    if annotation is None or annotation is type(None):
        return Nothing()
    if is_alias(annotation) or (isinstance(annotation, type) and issubclass(annotation, AbstractDtype)):
        name = getattr(annotation, "name", None) or annotation.__name__
        raise TypeError(f'{name} needs a tensor type and a shape: {name}[Tensor, "batch d"]')
    if hasattr(annotation, "__value__"):  # `type Batch = ...` of Python 3.12
        return _reading(annotation.__value__, inside)
    if isinstance(annotation, typing.TypeVar):
        return _type_variable(annotation, inside)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _annotated(annotation, inside)
    if origin is typing.Literal:
        return Either(tuple(Instance(type(value), repr(value)) for value in args))
    if origin in (typing.Union, types.UnionType):
        return Either(tuple(_read(arg, inside) for arg in args))
    if origin in (typing.Final, typing.ClassVar, typing.Required, typing.NotRequired) and args:
        return _reading(args[0], inside)
    if isinstance(origin, type):
        return _generic(annotation, origin, args, inside)
    if isinstance(annotation, type):
        return _class(annotation, inside)
    return _foreign(annotation) if _mentions_arrays(annotation) else ANYTHING


def _array(annotation: Any, meaning: Meaning | None) -> Plan:
    cls = annotation.array_type
    if not (isinstance(cls, type) and issubclass(cls, torch.Tensor)) or "?" in annotation.dim_str:
        return _foreign(annotation)
    axes = dims.parsed(annotation.dim_str)
    if meaning is not None:
        meaning.fits(axes, annotation.dim_str)
    family = annotation.__name__.partition("[")[0]
    several = next((index for index, dim in enumerate(axes) if isinstance(dim, dims.Several)), None)
    return Array(cls, _dtypes(annotation.dtypes), family, axes, annotation.dim_str, several, meaning)


def _annotated(annotation: Any, inside: tuple[type, ...]) -> Plan:
    base, *extras = typing.get_args(annotation)
    tags = [extra for extra in extras if isinstance(extra, Meaning)]
    if len(tags) > 1:
        raise ValueError(f"{annotation} has two meanings; a tensor can have only one")
    others = [extra for extra in extras if not isinstance(extra, Meaning)]
    if any(type(extra).__module__.partition(".")[0] == "beartype" for extra in others):
        return _foreign(annotation)
    if not tags:
        return _reading(base, inside)
    meaning = tags[0].refined(others)
    if not (isinstance(base, type) and issubclass(base, AbstractArray)):
        raise TypeError(f"{meaning.alias or 'a law'} describes a single tensor, not {base}")
    return _array(base, meaning)


def _type_variable(variable: typing.TypeVar, inside: tuple[type, ...]) -> Plan:
    if variable.__bound__ is not None:
        return _reading(variable.__bound__, inside)
    if variable.__constraints__:
        return Either(tuple(_read(option, inside) for option in variable.__constraints__))
    return ANYTHING


def _generic(annotation: Any, origin: type, args: tuple[Any, ...], inside: tuple[type, ...]) -> Plan:
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return Many(tuple, _read(args[0], inside))
        return Row(tuple(_read(arg, inside) for arg in args))
    if issubclass(origin, collections.abc.Mapping) and len(args) == 2:
        return Table(origin, _read(args[1], inside))
    if (origin in _ITERABLES or issubclass(origin, collections.abc.Collection)) and len(args) == 1:
        return Many(origin, _read(args[0], inside))
    if _mentions_arrays(annotation) and not issubclass(origin, (collections.abc.Callable, type)):  # type: ignore[arg-type]
        return _foreign(annotation)
    return Instance(origin, str(annotation))  # what a function is called with later cannot be seen here


_ITERABLES = (collections.abc.Iterable, collections.abc.Iterator, collections.abc.Reversible)


def _class(cls: type, inside: tuple[type, ...]) -> Plan:
    """The plan of a class that is no generic: its annotated attributes, if any holds arrays."""
    fieldlike = dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__") or hasattr(cls, "_fields")
    keyed = typing.is_typeddict(cls)
    if not (fieldlike or keyed) or cls in inside:
        return Instance(dict if keyed else cls, cls.__name__)
    try:
        hints = typing.get_type_hints(cls, include_extras=True)
    except NameError:  # names that exist for type checkers only; such a class promises nothing at run time
        return Instance(dict if keyed else cls, cls.__name__)
    plans = tuple((name, _read(hint, (*inside, cls))) for name, hint in hints.items())
    fields = tuple((name, plan) for name, plan in plans if holds_arrays(plan))
    return Record(cls, fields, keyed) if fields else Instance(dict if keyed else cls, cls.__name__)


def _foreign(annotation: Any) -> Foreign:
    foreign.prepare(annotation)
    return Foreign(annotation, str(annotation).replace("typing.", "").replace("jaxtyping.", ""))


def _mentions_arrays(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    if type(annotation).__module__ == "jaxtyping._pytree_type":
        return True
    return any(_mentions_arrays(arg) for arg in typing.get_args(annotation))


@cache
def _known_dtypes() -> Mapping[torch.dtype, str]:
    return {value: dtype_name(value) for value in vars(torch).values() if isinstance(value, torch.dtype)}


def dtype_name(dtype: torch.dtype) -> str:
    """The name of a dtype without `torch.`."""
    return str(dtype).rpartition(".")[2]


def _dtypes(patterns: Any) -> tuple[torch.dtype, ...] | None:
    """The dtypes of torch that a jaxtyping family stands for; jaxtyping compares names, with strings or regular expressions."""
    if not isinstance(patterns, tuple):
        return None
    return tuple(
        dtype
        for dtype, name in _known_dtypes().items()
        if any(pattern == name if isinstance(pattern, str) else pattern.match(name) for pattern in patterns)
    )


def hints(function: Any, *, local: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The resolved annotations of a function, with their extras.

    A name in a string may be unknown at run time: that of the class under definition, or of one imported for type checkers only.
    An annotation that has such a name and says nothing of tensors is left out.
    Raises TypeError where it does speak of tensors, NameError's reason included.
    """
    try:
        return typing.get_type_hints(function, localns=dict(local) if local else None, include_extras=True)
    except SyntaxError as error:
        raise TypeError(f"{function.__qualname__}: an annotation is not an expression: {error.text}") from None
    except NameError:
        pass
    classes = {name: Any for name in function.__qualname__.split(".")[:-1] if name.isidentifier()}
    known = {**classes, **function.__globals__, **(local or {})}
    resolved: dict[str, Any] = {}
    for name, annotation in function.__annotations__.items():
        try:
            resolved |= typing.get_type_hints(_Annotated({name: annotation}), known, known, include_extras=True)
        except NameError as error:
            if _speaks_of_arrays(annotation, known):
                raise TypeError(f"{function.__qualname__}: an annotation cannot be evaluated: {error}") from None
    return resolved


class _Annotated:
    """Something with annotations, for `typing.get_type_hints`."""

    def __init__(self, annotations: dict[str, Any]) -> None:
        self.__annotations__ = annotations


def _speaks_of_arrays(annotation: Any, known: Mapping[str, Any]) -> bool:
    """Whether an annotation that cannot be resolved has a shape in it, or a name that stands for arrays."""
    if not isinstance(annotation, str):
        return _mentions_arrays(annotation) or any(
            _speaks_of_arrays(arg.__forward_arg__ if isinstance(arg, typing.ForwardRef) else arg, known)
            for arg in typing.get_args(annotation)
        )
    for node in ast.walk(ast.parse(annotation.strip(), mode="eval")):
        match node:
            case ast.Subscript(slice=ast.Tuple(elts=[_, ast.Constant(value=str()), *_])):
                return True
            case ast.Name(id=name) if _mentions_arrays(known.get(name)):
                return True
            case ast.Constant(value=str(inner)) if inner != annotation and _is_expression(inner):
                if _speaks_of_arrays(inner, known):
                    return True
    return False


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text.strip(), mode="eval")
    except SyntaxError:
        return False
    return True


def parameters(function: Any) -> dict[str, inspect.Parameter]:
    """The parameters of a function, in order."""
    return dict(inspect.signature(function).parameters)
