"""`install`: all modules of a package that are imported from now on get contracts, with no decorator in their source.

A finder in front of all others asks them for the module, and has it run from a syntax tree with decorators (`implied`). The code
is made anew in each process: no file of byte code is read or written.
"""

from __future__ import annotations

import ast
import atexit
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType, TracebackType
from typing import Any, Self
from zipimport import zipimporter

from mldbg.contracts import implied
from mldbg.contracts.error import ContractWarning, announce_once
from mldbg.contracts.ledger import NeverChecked
from mldbg.contracts.modes import Mode, current, parsed

SHOWN = 5
"""Modules that a warning names."""


class Installation:
    """What `install` gives: it takes the hook away again, at the end of a `with` block or by `remove()`.

    packages: whose modules get contracts. modules: names of those that have, in the order of their imports.
    fixed: their mode, or None for that of the process.
    """

    def __init__(self, packages: tuple[str, ...], level: Mode | None, place: tuple[str, int]) -> None:
        self.packages = packages
        self.modules: list[str] = []
        self._place = place
        self._found = False
        self.fixed = level
        self._finder = _Finder(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is not None:
            self._found = True  # what failed is known, and came before the rest
        self.remove()

    def remove(self) -> None:
        """Leave modules alone that are imported from now on. What has contracts keeps them. A second call does nothing."""
        if self._finder in sys.meta_path:
            sys.meta_path.remove(self._finder)
            atexit.unregister(self._end)
            self._end()

    def covers(self, module: str) -> bool:
        """Whether a module is one of the packages, or inside of one."""
        return any(module == package or module.startswith(package + ".") for package in self.packages)

    def install(self) -> None:
        """Take part in imports. Modules that are there already are named by a ContractWarning."""
        here = {name: module for name, module in sorted(sys.modules.items()) if self.covers(name)}
        missed = [name for name, module in here.items() if _came_before(module)]
        self._found = bool(here)
        sys.meta_path.insert(0, self._finder)
        atexit.register(self._end)
        if missed:
            these = "it was" if len(missed) == 1 else "they were"
            text = f"install: {_listed(missed)}: not checked, since {these} imported before; install first, then import"
            warnings.warn_explicit(text, ContractWarning, *self._place)

    def found(self) -> None:
        """A module that it covers exists."""
        self._found = True

    @property
    def level(self) -> Mode:
        """The mode that its contracts have now."""
        return current() if self.fixed is None else self.fixed

    def _end(self) -> None:
        """Say that nothing was ever imported: a name is wrong. Where the program has failed, or checks nothing, that is known."""
        if not self._found and getattr(sys, "last_value", None) is None and self.level != Mode.OFF:
            text = f"install: never checked: no module of {' or '.join(self.packages)} was imported while the hook was there"
            warnings.warn_explicit(text, NeverChecked, *self._place)
        self._found = True


def install(*packages: str, mode: str | Mode | None = None) -> Installation:
    """Hold all functions, methods and dataclasses of packages to their annotations, as `@contract` does.

    It concerns modules that are imported while the hook is there: until `remove()`, or the end of a `with` block.

    packages: names of packages or modules; their submodules belong to them.
    mode: checks of these functions in place of `contracts.mode(...)` and `MLDBG_CONTRACTS`.

    Functions that promise nothing about tensors stay as they are. `@contract` and `@contract(mode=...)` at a function go first.
    Not covered: functions inside functions, NamedTuples and TypedDicts where they are made, what jaxtyping's decorator,
    TorchScript, numba or triton works on, and `typing.no_type_check`. An annotation that makes no sense is said once, and its
    function is not checked. Packages of which no module is ever imported are named by a `NeverChecked` warning at the end.

    Raises TypeError or ValueError for what is no name of a package, or no mode.
    """
    if not packages:
        raise TypeError("install() needs the name of a package")
    for package in packages:
        if not isinstance(package, str):
            raise TypeError(f"install() takes names of packages, not {package!r}")
        if not all(part.isidentifier() for part in package.split(".")):
            raise ValueError(f"install(): {package!r} is not the name of a package")
    caller = sys._getframe(1)  # noqa: SLF001 (the line that warnings are about)
    place = (caller.f_code.co_filename, caller.f_lineno)
    installation = Installation(packages, None if mode is None else parsed(mode), place)
    installation.install()
    return installation


class _Finder(MetaPathFinder):
    """Asks the other finders for a module, and puts a loader with contracts in the place of a plain one."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module as it would be found without it, with contracts if it is made from source."""
        if not self.installation.covers(name) or self.installation.level == Mode.OFF:
            return None
        others = (finder for finder in sys.meta_path if not isinstance(finder, _Finder))
        specs = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is None:
            return None
        for installation in _installed():
            if installation.covers(name):
                installation.found()
        self._take_over(spec)
        return spec

    def _take_over(self, spec: ModuleSpec) -> None:
        loader: Any = spec.loader
        if type(loader) is SourceFileLoader:
            new: Any = _FileLoader(loader.name, loader.path)
        elif type(loader) is zipimporter:
            new = _ZipLoader(f"{loader.archive}/{loader.prefix}".rstrip("/"))
        else:
            if spec.has_location and not str(spec.origin).endswith(tuple(EXTENSION_SUFFIXES)) and not _is_of_pytest(loader):
                by = f"{type(loader).__module__}.{type(loader).__name__}"
                _say_unchecked(spec.name, "its source is missing" if type(loader) is SourcelessFileLoader else f"{by} loads it")
            return
        new.level = self.installation.fixed
        spec.loader = new


def _is_of_pytest(loader: object) -> bool:
    """Whether pytest rewrites the assertions of a module: its tests, which lie inside of some packages."""
    return type(loader).__module__.partition(".")[0] == "_pytest"


class _FileLoader(SourceFileLoader):
    """For a file. level: the mode of its contracts, or None for that of the process."""

    level: Mode | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        """The code of a module, with decorators."""
        path = self.get_filename(fullname)
        return _code(fullname, self.get_data(path), path, self.level)


class _ZipLoader(zipimporter):
    """For a file in an archive."""

    level: Mode | None = None

    def get_code(self, fullname: str) -> CodeType:
        """The code of a module, with decorators if its source is there."""
        path = self.get_filename(fullname)
        if not path.endswith(".py"):
            _say_unchecked(fullname, "its source is missing")
            return super().get_code(fullname)
        return _code(fullname, self.get_data(path), path, self.level)


def _code(module: str, source: bytes, path: str, level: Mode | None) -> CodeType:
    for installation in _installed():
        if installation.covers(module) and module not in installation.modules:
            installation.modules.append(module)
    tree = implied.decorated(ast.parse(source, path), level)
    code: CodeType = compile(tree, path, "exec", dont_inherit=True)
    return code


def _installed() -> list[Installation]:
    return [finder.installation for finder in sys.meta_path if isinstance(finder, _Finder)]


def _came_before(module: Any) -> bool:
    """Whether a module was imported without contracts, and not by the import that is under way: a package may install its own."""
    spec = getattr(module, "__spec__", None)
    is_code = getattr(module, "__file__", None) is not None
    return (
        is_code
        and not isinstance(getattr(spec, "loader", None), _FileLoader | _ZipLoader)
        and not getattr(spec, "_initializing", False)
    )


def _say_unchecked(module: str, why: str) -> None:
    announce_once(f"install: {module}", f"install: {module}: not checked, since {why}")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
