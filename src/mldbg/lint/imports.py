"""Imports: which names a text imports, and to which files of the project they lead. No syntax tree inside."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mldbg.lint.files import is_installed_packages
from mldbg.lint.statement import Import

_IMPORT = re.compile(
    rb"\n[ \t]*(?:"  # a search for one character is fast
    rb"from[ \t]+(?P<dots>[. \t]*)(?P<base>[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n(\\]*(?:\\\r?\n?[^\n\\]*)*)"
    rb"|import[ \t]+(?P<modules>[^\n\\]*(?:\\\r?\n?[^\n\\]*)*))"
)
_COMMENT = re.compile(r"#[^\n]*")
_ALIAS = re.compile(r"([\w.]+)(?:\s+as\s+(\w+))?")


@dataclass(frozen=True, slots=True)
class Binding:
    """A name that an import statement binds, and to what. A star import binds no name of its own: `*`."""

    name: str
    what: Import

    @property
    def dotted(self) -> str:
        """How the code says what is bound: `a.b` after `import a.b`, which binds `a`."""
        module = self.what.module
        return module if self.what.name is None and module.startswith(f"{self.name}.") else self.name


def bindings(data: bytes) -> tuple[Binding, ...]:
    """What the lines of a file that look like import statements bind, at any depth; `import a.b` binds `a` to `a.b`.

    Read from the bytes alone, for files that may never be parsed: examples in docstrings count, too.
    """
    found = _IMPORT.finditer(b"\n" + data.removeprefix(BOM_UTF8))
    return tuple(dict.fromkeys(binding for statement in found for binding in _bound_by(statement)))


def _bound_by(found: re.Match[bytes]) -> Iterator[Binding]:
    if found["modules"] is not None:
        for module, alias in _aliases(found["modules"]):
            yield Binding(alias or module.partition(".")[0], Import(module, None, 0))
        return
    base, level = found["base"].decode(errors="replace"), found["dots"].count(b".")
    if found["names"].strip().startswith(b"*"):
        yield Binding("*", Import(base, None, level))
        return
    for name, alias in _aliases(found["names"]):
        yield Binding(alias or name, Import(base, name, level))


def _aliases(text: bytes) -> list[tuple[str, str | None]]:
    plain = text.decode(errors="replace")
    if "#" in plain:
        plain = _COMMENT.sub("", plain)
    plain = plain.replace("\\", " ").partition(";")[0]
    items = (_ALIAS.match(item.strip()) for item in plain.strip("() \t\r\n").split(","))
    return [(item[1], item[2]) for item in items if item is not None]


def absolute(imported: Import, name: str, *, is_package: bool) -> str:
    """The absolute dotted name of the module that an import statement names.

    Args:
        imported: what the statement says.
        name: dotted name of the module that holds the statement.
        is_package: whether that one is an `__init__.py`.
    """
    if not imported.level:
        return imported.module
    package = name.split(".")
    keep = len(package) - imported.level + (1 if is_package else 0)
    base = package[: max(keep, 0)]
    return ".".join([*base, imported.module] if imported.module else base)


def import_name(file: Path) -> tuple[Path, str]:
    """The folder that imports start from, and the dotted name of a file below it."""
    parts = [] if file.name == "__init__.py" else [file.stem]
    folder = os.path.dirname(file)  # noqa: PTH120  # as text: this is asked of every file
    while os.path.isfile(f"{folder}{os.sep}__init__.py"):  # noqa: PTH113
        above, name = os.path.split(folder)
        if not name:
            break
        parts.insert(0, name)
        folder = above
    return Path(folder), ".".join(parts)


@dataclass(frozen=True, slots=True)
class Look:
    """Where an import leads: the file, if there is one, and the folders in which it was looked for."""

    dotted: str
    folders: tuple[Path, ...]
    file: Path | None
    near: bool
    """Whether one of the folders holds something that is called like the first part of the name."""

    @property
    def missing(self) -> list[Path]:
        """The places where it was looked for in vain."""
        relative = self.dotted.replace(".", os.sep)
        places = [Path(place) for folder in self.folders for place in _candidates(os.fspath(folder), relative)]
        return places if self.file is None else places[: places.index(self.file)]


class Home:
    """The file that imports: where it lies, and what it is called.

    Attributes:
        file: None for standard input.
        root: the folder that its dotted name starts from.
        name: that dotted name.
        folder: the text of the path of its folder.
    """

    __slots__ = ("_is_alone", "file", "folder", "name", "root")

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.root, self.name = import_name(file) if file is not None else (Path.cwd(), "")
        self.folder = os.path.dirname(file) if file is not None else None  # noqa: PTH120  # as text: it is looked up often
        self._is_alone = file is not None and is_installed_packages(file.parent)

    def folder_or_file(self, dotted: str) -> str | None:
        """Who finds the same by a name: all files of its folder, but that a file does not import itself or another project."""
        if self.file is None or (not self._is_alone and not dotted.endswith(self.file.stem)):
            return self.folder
        return os.fspath(self.file)

    @property
    def is_package(self) -> bool:
        """Whether it is an `__init__.py`."""
        return self.file is not None and self.file.name == "__init__.py"


class Finder:
    """Finds the files of the project that imports lead to; nothing outside the project is ever found.

    In a folder of installed packages each package is a project of its own: what lies beside it is library code.

    Args:
        roots: the folders of the project that imports may start from.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = tuple(roots)
        self._by_name: dict[tuple[str | None, str], Look] = {}
        self._folders: dict[str, tuple[Path, ...]] = {}
        self._installed: dict[str, Path | None] = {}
        """For each folder the folder of installed packages that it lies in."""
        self._listings: dict[str, frozenset[str]] = {}

    def find(self, dotted: str, home: Home) -> Look:
        """Where an absolute name leads that a file imports."""
        key = (home.folder_or_file(dotted), dotted)
        if key not in self._by_name:
            self._by_name[key] = self._find(dotted, home)
        return self._by_name[key]

    def is_of_project(self, path: Path) -> bool:
        """Whether a path lies in one of the folders of the project."""
        return any(path.is_relative_to(root) for root in self._roots)

    def holds(self, package: Path, name: str) -> bool:
        """Whether a package, given by its `__init__.py`, has a module or folder of this name."""
        names = self._listing(package.parent)
        return name in names or f"{name}.py" in names

    def _find(self, dotted: str, home: Home) -> Look:
        if not dotted:
            return Look(dotted, (), None, near=True)
        top = dotted.partition(".")[0]
        folders = self._searched(home)
        relative: str | None = None
        for folder in folders:
            names = self._listing(folder)
            if top not in names and f"{top}.py" not in names:
                continue
            if not self._is_of_project(folder, top, home):
                continue
            relative = relative or dotted.replace(".", os.sep)
            for candidate in _candidates(os.fspath(folder), relative):
                if os.path.isfile(candidate) and Path(candidate) != home.file:  # noqa: PTH113  # text is faster by half
                    return Look(dotted, folders, Path(candidate), near=True)
        return Look(dotted, folders, None, near=relative is not None)

    def _searched(self, home: Home) -> tuple[Path, ...]:
        """The folders from which the names of imports may start."""
        if home.file is None or home.folder is None:
            return tuple(dict.fromkeys((home.root, *self._roots)))
        if home.folder not in self._folders:
            everywhere = dict.fromkeys((home.root, *self._parents(home.file, home.root), *self._roots))
            self._folders[home.folder] = tuple(everywhere)
        return self._folders[home.folder]

    def _is_of_project(self, root: Path, top: str, home: Home) -> bool:
        """Whether a top-level name found in a root belongs to the project of a file that imports it."""
        if home.file is None or home.folder is None:
            return True
        if home.folder not in self._installed:
            installed = (folder for folder in home.file.parents if is_installed_packages(folder))
            self._installed[home.folder] = next(installed, None)
        packages = self._installed[home.folder]
        if packages is None:
            return not is_installed_packages(root)
        own = home.file.relative_to(packages).parts[0].removesuffix(".py")
        return root.is_relative_to(packages) and (root != packages or top == own)

    def _parents(self, importer: Path, root: Path) -> list[Path]:
        """Folders above a script up to the project's root: scripts are often run from there."""
        top = self._roots[0] if self._roots else root
        return [folder for folder in importer.parents if folder.is_relative_to(top)]

    def _listing(self, folder: Path) -> frozenset[str]:
        key = os.fspath(folder)
        if key not in self._listings:
            try:
                self._listings[key] = frozenset(os.listdir(key))  # noqa: PTH208  # names are all that is wanted
            except OSError:
                self._listings[key] = frozenset()
        return self._listings[key]


def _candidates(folder: str, relative: str) -> tuple[str, str]:
    return f"{folder}{os.sep}{relative}.py", f"{folder}{os.sep}{relative}{os.sep}__init__.py"
