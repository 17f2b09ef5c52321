"""Where the names in annotations are found: in the class and the functions around, in the module, and among what the module
imports for type checkers only.

A name may be unknown while a function is decorated, and known when it is called: that of the class under definition, of one
further down, of one inside either.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import itertools
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import FrameType, FunctionType
from typing import Any


class Names:
    """The names that the annotations of one function may use.

    It keeps the frames of the functions around, whose variables may get their values later.
    """

    def __init__(self, function: Any, frame: FrameType, more: Mapping[str, Any] | None = None) -> None:
        """frame: the one that decorates the function. more: names that are not bound there yet."""
        self._function = function
        self._more = more or {}
        around = list(_around(function, frame))
        further = [one for one in around if one is not frame and not _is_class_body(one)]
        self._frames = [one for one in (frame, *further) if one.f_code.co_name != "<module>"]
        classes = [one.f_code.co_name for one in itertools.takewhile(_is_class_body, around)]
        self._unfinished = classes[-1:]  # the outermost one: until it is bound, its name may stand for an older class

    def local(self) -> dict[str, Any]:
        """Those of the functions around and of the class."""
        found: dict[str, Any] = {}
        for frame in reversed(self._frames):
            found |= frame.f_locals
        return (
            found
            | _closure(self._function)
            | dict(self._more)
            | {one.__name__: one for one in getattr(self._function, "__type_params__", ())}
        )

    def known(self, *, complete: bool) -> dict[str, Any]:
        """All of them. complete: the class that the function stands in is bound to its name by now."""
        known: dict[str, Any] = self._function.__globals__ | self.local()
        if not complete:
            for name in self._unfinished:
                known.pop(name, None)
        return known


def _around(function: Any, frame: FrameType) -> Iterator[FrameType]:
    """The frames of the classes and functions around a function, from the inside to the outside, that are still running."""
    running: FrameType | None = frame
    parts = function.__qualname__.split(".")
    for count in range(len(parts) - 1, 0, -1):
        found = running if parts[count - 1] != "<locals>" else None
        while found is not None and not _runs(found, parts[:count], function.__code__.co_filename):
            if found.f_code.co_name.startswith("<generic parameters of"):  # of Python 3.12
                yield found
            found = found.f_back
        if found is not None:
            yield found
            running = found.f_back


def _runs(frame: FrameType, scope: list[str], file: str) -> bool:
    """Whether a frame runs the class body or function with a qualified name."""
    return frame.f_code.co_filename == file and frame.f_code.co_qualname == ".".join(scope)


def _is_class_body(frame: FrameType) -> bool:
    return "__qualname__" in frame.f_locals and "__module__" in frame.f_locals


def annotations_of(owner: Any) -> dict[str, Any]:
    """The annotations of a function, or those that a class has itself; as text where a name in one is not defined yet.

    Python 3.14 evaluates annotations when somebody asks for them, and all of them at once (PEP 649, PEP 749): where one of them
    names a class that stands further down, asking is a NameError. As text they are what `from __future__ import annotations`
    makes of them.
    """
    try:
        return inspect.get_annotations(owner)
    except NameError:
        lazy = _lazy()
        if lazy is None:
            raise
        return dict(lazy.get_annotations(owner, format=lazy.Format.STRING))


def signature_of(function: Any) -> inspect.Signature:
    """The signature of a function, with annotations as `annotations_of` has them."""
    read: Callable[..., inspect.Signature] = inspect.signature
    try:
        return read(function)
    except NameError:
        lazy = _lazy()
        if lazy is None:
            raise
        return read(function, annotation_format=lazy.Format.STRING)


def _lazy() -> Any:
    """The library of Python 3.14 for annotations that are not evaluated; None of an older Python."""
    try:
        return importlib.import_module("annotationlib")
    except ModuleNotFoundError:
        return None


def _closure(function: Any) -> dict[str, Any]:
    """What a function, and the one that evaluates its annotations in Python 3.14, sees of the functions around it."""
    found = {}
    for one in (getattr(function, "__annotate__", None), function):
        if not isinstance(one, FunctionType):
            continue
        for name, cell in zip(one.__code__.co_freevars, one.__closure__ or (), strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:  # not bound yet
                continue
    return found


def resolved(annotation: Any, known: Mapping[str, Any], module: str) -> Any:
    """An annotation without strings. module: where it is written.

    Raises NameError or AttributeError for a name that is not there yet; SyntaxError for what is no expression.
    """
    names = dict(known)
    holder = type("_", (), {"__annotations__": {"_": annotation}})  # of a class, whose fields may be ClassVar or Final
    while True:
        try:
            return typing.get_type_hints(holder, names, names, include_extras=True)["_"]
        except NameError as error:
            name = error.name or ""
            found = None if name in names else _loaded(*_guarded_imports(module).get(name, ("", "")))
            if found is None:
                raise
            names[name] = found


def _loaded(module: str, attribute: str) -> Any:
    """What an import would give. It is not made: a class whose module nobody has loaded has no objects."""
    if not attribute:
        return sys.modules.get(module)
    return getattr(sys.modules.get(module), attribute, sys.modules.get(f"{module}.{attribute}"))


def _guarded_imports(module: str) -> dict[str, tuple[str, str]]:
    """Name -> module and attribute, of the imports under `if TYPE_CHECKING:`."""
    try:
        return _guarded_imports_in(inspect.getsource(sys.modules[module]), sys.modules[module].__package__ or "")
    except (KeyError, OSError, TypeError, SyntaxError):  # code without a file
        return {}


@cache
def _guarded_imports_in(source: str, package: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for guard in ast.walk(ast.parse(source)) if "TYPE_CHECKING" in source else ():
        if not isinstance(guard, ast.If) or ast.unparse(guard.test).rpartition(".")[2] != "TYPE_CHECKING":
            continue
        for statement in guard.body:
            match statement:
                case ast.Import(names=aliases):
                    top = {alias.asname or alias.name.partition(".")[0]: alias for alias in aliases}
                    found |= {name: (alias.name if alias.asname else name, "") for name, alias in top.items()}
                case ast.ImportFrom(module=origin, names=aliases, level=level):
                    source = importlib.util.resolve_name("." * level + (origin or ""), package) if level else origin or ""
                    found |= {alias.asname or alias.name: (source, alias.name) for alias in aliases}
                case _:
                    pass
    return found
