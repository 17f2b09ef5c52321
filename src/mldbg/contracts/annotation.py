"""Annotations read into plans: what has to be checked of a value, and nothing else.

Only what holds arrays is planned. An annotation such as `cfg: Config` says nothing about tensors and is left alone.
"""

from __future__ import annotations

import ast
import collections.abc
import dataclasses
import inspect
import sys
import types
import typing
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from jaxtyping import AbstractArray, AbstractDtype

from mldbg.contracts import foreign, names
from mldbg.contracts.error import announce_once
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
    """A dataclass, attrs class or NamedTuple with annotated attributes, or a TypedDict with annotated keys.

    An attribute that is not set yet is passed over: whoever reads it will hear of it.
    required: the keys that may not be missing.
    """

    cls: type
    fields: tuple[tuple[str, Plan], ...]
    keyed: bool = False
    required: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The name of the class."""
        return self.cls.__name__


@dataclass(frozen=True, slots=True)
class Foreign:
    """An annotation with arrays that only jaxtyping and beartype can check.

    names: axes that it may give a size. shallow: whether they check the class alone, of something that holds arrays.
    """

    annotation: Any
    text: str
    names: tuple[str, ...]
    shallow: bool = False


Plan = Anything | Nothing | Instance | Array | Either | Row | Many | Table | Record | Foreign
ANYTHING = Anything()


@dataclass(frozen=True)
class _Reading:
    """An annotation being read.

    names: of the functions around, for the fields of classes that are local to them.
    final: whether a name that is not known now never will be.
    notes: what is promised and cannot be checked.
    inside: the classes whose fields are being read, with what their type variables stand for.
    variables: type variable -> what it stands for.
    without: classes that have been looked into; None among them where something was passed over.
    """

    names: Mapping[str, Any]
    final: bool
    notes: list[str]
    without: set[type | None]
    inside: tuple[tuple[type, Mapping[Any, Any]], ...] = ()
    variables: Mapping[Any, Any] = field(default_factory=dict)

    def binding(self, parameters: tuple[Any, ...], args: tuple[Any, ...]) -> _Reading:
        """The same inside a class with type parameters, where they stand for `args`."""
        return replace(self, variables=dict(zip(parameters, map(self._substituted, args), strict=False)))

    def _substituted(self, arg: Any) -> Any:
        if isinstance(arg, typing.TypeVar):
            return self.variables.get(arg, arg)
        own = getattr(arg, "__parameters__", ())
        return arg[tuple(self.variables.get(one, one) for one in own)] if own and not isinstance(arg, type) else arg


def read(
    annotation: Any,
    *,
    optional: bool = False,
    names: Mapping[str, Any] | None = None,
    final: bool = True,
    of: str = "",
) -> Plan:
    """The plan of an annotation that is resolved, i.e. no string.

    optional: None is allowed as well, as for a parameter whose default is None.
    names: of the functions around, for the fields of local classes.
    final: whether a name in such a field that is not known now never will be.
    of: what has the annotation, for the warnings about what cannot be checked.

    Raises ValueError or TypeError where a part of the annotation makes no sense; NameError for a name that may yet be defined.
    """
    reading = _Reading(names or {}, final, [], set())
    plan = _read(annotation, reading)
    if not holds_arrays(plan) and None not in reading.without:
        _WITHOUT_ARRAYS.update(filter(None, reading.without))
    for note in dict.fromkeys(reading.notes):
        announce_once(f"{of}: {note}", f"{of}: {note}" if of else note)
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


def axis_names(plan: Plan) -> list[str]:
    """The axes (`batch`, `*lead`) that may have a size once a value fits, each once."""
    match plan:
        case Array(dims=axes):
            found = dims.names(axes)
        case Foreign(names=names):
            found = list(names)
        case Either(parts) | Row(parts):
            found = [name for part in parts for name in axis_names(part)]
        case Many(_, inner) | Table(_, inner):
            found = axis_names(inner)
        case Record(_, fields):
            found = [name for _, part in fields for name in axis_names(part)]
        case _:
            found = []
    return list(dict.fromkeys(found))


def _read(annotation: Any, reading: _Reading) -> Plan:
    plan = _reading(annotation, reading)
    if holds_arrays(plan) or isinstance(plan, (Nothing, Instance)):
        return plan
    match plan:  # a collection without tensors: only its class tells it from the other alternatives of a union
        case Row():
            return Instance(tuple, plan.text)
        case Many(cls) | Table(cls):
            return Instance(cls, plan.text)
        case _:
            return ANYTHING


def _reading(annotation: Any, reading: _Reading) -> Plan:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return _array(annotation, None)
    if foreign.is_pytree(annotation):  # a class, too
        return _foreign(annotation) if hasattr(annotation, "leaftype") else ANYTHING
    if annotation is None or annotation is type(None):
        return Nothing()
    if is_alias(annotation) or (isinstance(annotation, type) and issubclass(annotation, AbstractDtype)):
        name = getattr(annotation, "name", None) or annotation.__name__
        raise TypeError(f'{name} needs a tensor type and a shape: {name}[Tensor, "batch d"]')
    if hasattr(annotation, "__value__"):  # `type Batch = ...` of Python 3.12
        return _reading(annotation.__value__, reading)
    if isinstance(annotation, typing.NewType):
        return _reading(_resolved(annotation.__supertype__, reading, annotation.__module__, annotation.__name__), reading)
    if isinstance(annotation, typing.TypeVar):
        return _type_variable(annotation, reading)
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _annotated(annotation, reading)
    if origin is typing.Literal:
        return Either(tuple(Instance(type(value), repr(value)) for value in args))
    if origin in (typing.Union, types.UnionType):
        return Either(tuple(_read(arg, reading) for arg in args))
    if _qualifier(annotation) in ("Final", "ClassVar", "Required", "NotRequired", "ReadOnly") and args:
        return _reading(args[0], reading)
    if isinstance(origin, type):
        return _generic(annotation, origin, args, reading)
    if isinstance(annotation, type):
        return _class(annotation, replace(reading, variables={}))
    return _foreign(annotation) if _mentions_arrays(annotation) else ANYTHING


def _qualifier(annotation: Any) -> str:
    """`Required` of `Required[...]`, whether from typing or from typing_extensions."""
    return getattr(typing.get_origin(annotation), "_name", None) or ""


def unpacked(annotation: Any) -> Any:
    """What `Unpack[...]`, or `*tuple[...]`, unpacks; None for any other annotation."""
    if _qualifier(annotation) == "Unpack":
        return typing.get_args(annotation)[0]
    if getattr(annotation, "__unpacked__", False):
        return typing.get_origin(annotation)[typing.get_args(annotation)]
    return None


def _array(annotation: Any, meaning: Meaning | None) -> Plan:
    cls = annotation.array_type
    if not (isinstance(cls, type) and issubclass(cls, torch.Tensor)) or "?" in annotation.dim_str:
        return _foreign(annotation)
    axes = dims.parsed(annotation.dim_str)
    for axis in axes:
        if isinstance(axis, dims.Symbolic):
            dims.function(axis)  # made now: torch.compile cannot trace how
    if meaning is not None:
        meaning.fits(axes, annotation.dim_str)
    family = annotation.__name__.partition("[")[0]
    several = next((index for index, dim in enumerate(axes) if isinstance(dim, dims.Several)), None)
    return Array(cls, _dtypes(annotation.dtypes), family, axes, annotation.dim_str, several, meaning)


def _annotated(annotation: Any, reading: _Reading) -> Plan:
    base, *extras = typing.get_args(annotation)
    tags = [extra for extra in extras if isinstance(extra, Meaning)]
    if len(tags) > 1:
        raise ValueError(f"{annotation} has two meanings; a tensor can have only one")
    others = [extra for extra in extras if not isinstance(extra, Meaning)]
    if any(type(extra).__module__.partition(".")[0] == "beartype" for extra in others):
        return _foreign(annotation)
    if not tags:
        return _reading(base, reading)
    meaning = tags[0].refined(others)
    if not (isinstance(base, type) and issubclass(base, AbstractArray)):
        raise TypeError(f"{meaning.alias or 'a law'} describes a single tensor, not {base}")
    return _array(base, meaning)


def _type_variable(variable: typing.TypeVar, reading: _Reading) -> Plan:
    if variable in reading.variables:
        return _reading(reading.variables[variable], replace(reading, variables={}))
    module = variable.__module__
    if variable.__bound__ is not None:
        return _reading(_resolved(variable.__bound__, reading, module, variable.__name__), reading)
    options = [_resolved(option, reading, module, variable.__name__) for option in variable.__constraints__]
    return Either(tuple(_read(option, reading) for option in options)) if options else ANYTHING


def _generic(annotation: Any, origin: type, args: tuple[Any, ...], reading: _Reading) -> Plan:
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return Many(tuple, _read(args[0], reading))
        return _row(annotation, args, reading)
    if _has_fields(origin):
        return _class(origin, reading.binding(_parameters(origin), args))
    if hasattr(origin, "__orig_bases__"):
        plan = _base(origin, reading.binding(_parameters(origin), args))
        if plan is not None:
            return plan
    elif issubclass(origin, collections.abc.Mapping) and len(args) == 2:
        return Table(origin, _read(args[1], reading))
    elif (origin in _ITERABLES or issubclass(origin, collections.abc.Collection)) and len(args) == 1:
        if origin is collections.abc.Iterator and _mentions_arrays(annotation):
            reading.notes.append(f"what {_text(annotation)} gives is not checked, since that would use it up")
        return Many(origin, _read(args[0], reading))
    if not _mentions_arrays(annotation):
        return Instance(origin, str(annotation))
    if origin is _CALLABLE:
        reading.notes.append(f"calls of {_text(annotation)} are not checked; give the function a contract of its own")
        return Instance(origin, str(annotation))
    if origin is type:
        return Instance(origin, str(annotation))
    return replace(_foreign(annotation), shallow=True)


_CALLABLE: Any = collections.abc.Callable
_ITERABLES = (collections.abc.Iterable, collections.abc.Iterator, collections.abc.Reversible)


def _row(annotation: Any, args: tuple[Any, ...], reading: _Reading) -> Plan:
    """A tuple with a place for each of `args`, where one may be unpacked: `tuple[int, *tuple[Array, Array]]`."""
    places: list[Any] = []
    for arg in args:
        inner = unpacked(arg)
        if inner is None:
            places.append(arg)
        elif typing.get_origin(inner) is tuple and Ellipsis not in typing.get_args(inner):
            places += typing.get_args(inner)
        elif _mentions_arrays(annotation):
            raise TypeError(f"{_text(annotation)} cannot be checked: a tuple of any length stands inside of another")
        else:
            return Instance(tuple, str(annotation))
    return Row(tuple(_read(place, reading) for place in places))


_DEEP = 20
"""Classes inside of classes that are read. A generic class that holds one of its own with other parameters has no end."""


def _parameters(cls: type) -> tuple[Any, ...]:
    """The type variables of a generic class; one that is made of `dict[str, T]` alone does not list them."""
    own: tuple[Any, ...] | None = getattr(cls, "__parameters__", None)
    inherited = (one for base in getattr(cls, "__orig_bases__", ()) for one in getattr(base, "__parameters__", ()))
    return tuple(dict.fromkeys(inherited)) if own is None else own


_NO_COLLECTIONS: tuple[Any, ...] = (None, typing.Generic, typing.Protocol)


def _base(cls: type, reading: _Reading) -> Plan | None:
    """The plan of a class that says what it is a collection of, as in `class Batches(list[Batch])`, if that holds arrays."""
    for base in getattr(cls, "__orig_bases__", ()):
        origin = typing.get_origin(base)
        if origin in _NO_COLLECTIONS:
            continue
        plan = _reading(base, reading)
        if isinstance(plan, (Many, Table)) and holds_arrays(plan):
            return replace(plan, cls=cls)
    return None


def _has_fields(cls: type) -> bool:
    return dataclasses.is_dataclass(cls) or hasattr(cls, "__attrs_attrs__") or hasattr(cls, "_fields") or _is_keyed(cls)


def _is_keyed(cls: type) -> bool:
    return typing.is_typeddict(cls) or hasattr(cls, "__required_keys__")  # the second one is that of typing_extensions


def _class(cls: type, reading: _Reading) -> Plan:
    """The plan of a class by itself: its annotated attributes, if any holds arrays."""
    keyed = _is_keyed(cls)
    plain = Instance(dict if keyed else cls, cls.__name__)
    if not _has_fields(cls):
        return _base(cls, reading) or plain
    if cls in _WITHOUT_ARRAYS and not reading.variables:
        return plain
    if len(reading.inside) > _DEEP:
        reading.without.add(None)
    elif not reading.variables:
        reading.without.add(cls)
    if (cls, reading.variables) in reading.inside or len(reading.inside) > _DEEP:
        reading.notes.append(f"{cls.__name__} holds objects of its own class; only those of the first level are checked")
        return plain
    inner = replace(
        reading, inside=(*reading.inside, (cls, reading.variables)), notes=[], variables=_inherited(cls) | dict(reading.variables)
    )
    hints = _fields(cls, inner)
    plans = tuple((name, _read(hint, inner)) for name, hint in hints.items())
    fields = tuple((name, plan) for name, plan in plans if holds_arrays(plan))
    if not fields:
        return plain
    reading.notes.extend(inner.notes)
    required = tuple(name for name, _ in fields if keyed and _is_required(cls, name, hints[name]))
    return Record(cls, fields, keyed, required)


_WITHOUT_ARRAYS: weakref.WeakSet[type] = weakref.WeakSet()
"""Classes that were looked into once, and hold neither arrays nor objects that do. Those of a large program hold one another."""


def _inherited(cls: type) -> dict[Any, Any]:
    """What the type variables of the bases stand for, as in `class Images(Box[Image])`."""
    found: dict[Any, Any] = {}
    for base in getattr(cls, "__orig_bases__", ()):
        origin = typing.get_origin(base)
        if isinstance(origin, type) and origin is not typing.Generic:
            found |= _inherited(origin) | dict(zip(_parameters(origin), typing.get_args(base), strict=False))
    return {variable: value for variable, value in found.items() if variable is not value}


def _is_required(cls: Any, key: str, hint: Any) -> bool:
    """Whether a key of a TypedDict may not be missing.

    `__required_keys__` is wrong where the annotations are postponed, so the annotation itself is asked first.
    """
    while typing.get_args(hint):
        if _qualifier(hint) in ("Required", "NotRequired"):
            return _qualifier(hint) == "Required"
        if _qualifier(hint) != "ReadOnly" and typing.get_origin(hint) is not typing.Annotated:
            break
        hint = typing.get_args(hint)[0]
    return key in cls.__required_keys__


def _fields(cls: type, reading: _Reading) -> dict[str, Any]:
    """The resolved annotations of a class and its bases. One with a name that nobody knows is left out, and said to be."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name, annotation in names.annotations_of(base).items():
            found[name] = _resolved(annotation, reading, base.__module__, f"{cls.__name__}.{name}", base)
    return found


def _resolved(annotation: Any, reading: _Reading, module: str, of: str, cls: type | None = None) -> Any:
    """An annotation that stands in a class or a type variable, without strings; Any where a name in it is not known.

    Raises NameError where the name may yet be defined, TypeError where it never will be and the annotation speaks of arrays.
    """
    around = vars(sys.modules[module]) if module in sys.modules else {}
    own = dict(vars(cls)) if cls is not None else {}
    is_local = cls is not None and "<locals>" in cls.__qualname__
    known = own | around | dict(reading.names) if is_local else own | dict(reading.names) | around
    try:
        return names.resolved(annotation, known, module)
    except (NameError, AttributeError) as error:
        if not reading.final:
            raise error if isinstance(error, NameError) else NameError(str(error)) from None
        if speaks_of_arrays(annotation, known):
            raise TypeError(f"the annotation of {of} cannot be evaluated: {error}") from None
        reading.notes.append(f"{of} is not checked: {error}")
        reading.without.add(None)
        return Any
    except SyntaxError as error:
        raise TypeError(f"the annotation of {of} is not an expression: {error.text}") from None


def _foreign(annotation: Any) -> Foreign:
    foreign.prepare(annotation)
    return Foreign(annotation, _text(annotation), tuple(foreign.axis_names(annotation)))


def _text(annotation: Any) -> str:
    text = annotation.__name__ if isinstance(annotation, type) else str(annotation)
    return text.replace("jaxtyping.", "").replace("typing.", "").replace("collections.abc.", "")


def _mentions_arrays(annotation: Any) -> bool:
    return foreign.is_pytree(annotation) or any(foreign.inside(annotation))


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


@dataclass(frozen=True)
class Hints:
    """The annotations of a function.

    known: those that are resolved, with their extras. missing: parameter -> why its annotation cannot be evaluated.
    names: of the functions around, for the fields of local classes.
    """

    known: dict[str, Any]
    missing: dict[str, Exception]
    names: dict[str, Any]


def hints(function: Any, found: names.Names, *, complete: bool, quiet: bool = False) -> Hints:
    """Resolve the annotations of a function.

    complete: everything that is going to be defined is, so that a name that is unknown stays so. An annotation that has one and
        says nothing of tensors is then left out, with a warning.
    quiet: without a warning; and so is one that is no expression, or raises whatever it likes.

    Raises TypeError for what is no expression; for a name that is unknown in the place of a family of dtypes; if complete, for
    any annotation that speaks of tensors and has an unknown name.
    """
    known = found.known(complete=complete)
    resolved: dict[str, Any] = {}
    missing: dict[str, Exception] = {}
    for name, annotation in names.annotations_of(function).items():
        try:
            resolved[name] = names.resolved(annotation, known, function.__module__)
        except SyntaxError as error:
            if not quiet:
                raise TypeError(f"{function.__qualname__}: an annotation is not an expression: {error.text}") from None
            missing[name] = error
        except Exception as error:
            if not (quiet or isinstance(error, (NameError, AttributeError))):
                raise
            missing[name] = error
            if speaks_of_arrays(annotation, known) if complete else _has_unknown_family(annotation, error):
                raise TypeError(f"{function.__qualname__}: an annotation cannot be evaluated: {error}") from None
            if complete and not quiet:
                text = f"{function.__qualname__.replace('<locals>.', '')}: {name} is not checked: {error}"
                announce_once(text, text)
    return Hints(resolved, missing, found.local())


def speaks_of_arrays(annotation: Any, known: Mapping[str, Any]) -> bool:
    """Whether an annotation that cannot be resolved has a shape in it, or a name that stands for arrays."""
    if not isinstance(annotation, str):
        return _mentions_arrays(annotation) or any(
            speaks_of_arrays(arg.__forward_arg__ if isinstance(arg, typing.ForwardRef) else arg, known)
            for arg in typing.get_args(annotation)
        )
    for node in ast.walk(ast.parse(annotation.strip(), mode="eval")):
        match node:
            case ast.Subscript(slice=ast.Tuple(elts=[_, ast.Constant(value=str()), *_])):
                return True
            case ast.Name(id=name) if _mentions_arrays(known.get(name)):
                return True
            case ast.Constant(value=str(inner)) if inner != annotation and _is_expression(inner):
                if speaks_of_arrays(inner, known):
                    return True
    return False


def _has_unknown_family(annotation: Any, error: Exception) -> bool:
    """Whether the missing name stands for a family of dtypes, as in `Flaot[Tensor, "batch"]`; nobody defines those below."""
    if not isinstance(annotation, str):
        parts = (getattr(arg, "__forward_arg__", arg) for arg in typing.get_args(annotation))
        return any(_has_unknown_family(part, error) for part in parts)
    if not _is_expression(annotation):
        return False
    for node in ast.walk(ast.parse(annotation.strip(), mode="eval")):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Tuple(elts=[_, ast.Constant(value=str())])):
                if name == getattr(error, "name", None):
                    return True
            case ast.Constant(value=str(inner)) if inner != annotation and _has_unknown_family(inner, error):
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
    return dict(names.signature_of(function).parameters)
