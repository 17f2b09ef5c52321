"""Paths of files, as far as a program says them: `Path(__file__).parent / "conf" / "base.yaml"`, `open("config.json")`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from mldbg.lint.interpret.address import Made, Site
from mldbg.lint.interpret.choices import members
from mldbg.lint.interpret.command_line import OPTIONS
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.shapes import usual_size
from mldbg.lint.interpret.value import Constant, File, Items, Object, Symbol, Value
from mldbg.operations.configuration import SUFFIXES

MOST_PARENTS = 6

SAID_BY_USER = "\0"
"""In place of a path that only the user says."""


def path_of(machine: Machine, value: Value) -> str | None:
    """The path that a value is, or that it is unless somebody sets it: the default of an option."""
    thing = value.thing
    if isinstance(thing, File):
        return thing.path if thing.path != SAID_BY_USER else None
    if value.among is not None:
        said = {path_of(machine, one) for one in members(value)} - {None}
        return said.pop() if len(said) == 1 else None
    known = thing if isinstance(thing, Constant) else machine.usual.get(value.origin) if value.origin is not None else None
    return known.value if known is not None and isinstance(known.value, str) else None


def is_command_line(value: Value) -> bool:
    """Whether a value holds the arguments of the command line."""
    return isinstance(value.thing, Symbol) and value.thing.name == "sys.argv"


def is_said_by_user(value: Value) -> bool:
    """Whether a path, or the file opened there, is what the user says: an argument, an option, a parameter from nobody."""
    thing = value.thing
    if isinstance(thing, File):
        return thing.path == SAID_BY_USER
    ref = thing.ref if isinstance(thing, Object) else value.origin
    if ref is None or isinstance(thing, Symbol):
        return is_command_line(value)
    return ref.kind is Made.PARAMETER or (ref.kind is Made.ATTRIBUTE and ref.whole is not None and ref.whole.detail == OPTIONS)


def usually(machine: Machine, value: Value, site: Site) -> Value:
    """What somebody may set, and is this value otherwise: `sys.argv[1] if len(sys.argv) > 1 else "config.json"`."""
    if not isinstance(value.thing, Constant):
        return value
    ref = machine.new_ref(site, Made.OBJECT, "setting")
    machine.state.ensure(ref)
    machine.usual[ref] = value.thing
    return Value(Object(ref), origin=ref, size=usual_size(value.thing))


def joined(machine: Machine, values: Sequence[Value], result: Value) -> Value:
    """The path that several parts make, as the file that it leads to, if it may be one of settings."""
    parts = [path_of(machine, value) for value in values]
    said = [part for part in parts if part is not None]
    if not said or len(said) < len(parts):
        return result
    path = os.path.join(*said)  # noqa: PTH118  # as the program does it: an absolute part begins anew
    return replace(result, thing=File(path)) if PurePath(path).suffix in SUFFIXES else result


def folder_of(path: str) -> str:
    """The folder that a path lies in."""
    if path in ("", "."):
        return ".."
    return os.path.join(path, "..") if path.endswith("..") else os.path.dirname(path) or "."  # noqa: PTH118, PTH120  # text


def attribute(base: Value, name: str) -> Value | None:
    """An attribute of a path that is a path."""
    assert isinstance(base.thing, File)
    path = base.thing.path
    if path == SAID_BY_USER:
        return None
    if name == "parent":
        return replace(base, thing=File(folder_of(path)))
    if name == "parents":
        above = [path]
        for _ in range(MOST_PARENTS):
            above.append(folder_of(above[-1]))
        return Value(Items("builtins.tuple", tuple(replace(base, thing=File(each)) for each in above[1:])))
    return None
