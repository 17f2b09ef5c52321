"""What the text of each file of a project says by itself: the triggers in it, and where its imports lead. Read only once.

All decided from import statements and words, before anything is parsed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mldbg.lint import gate
from mldbg.lint.files import Source
from mldbg.lint.imports import Binding, Finder, Home, Look, absolute, bindings
from mldbg.lint.prose import bytes_without_prose
from mldbg.lint.triggers import RUNS_ON_DATA, Trigger
from mldbg.operations import tables
from mldbg.operations.spelling import canonical

MOST_STAR_IMPORTS = 20
"""Star imports of a file that are followed; one with more collects the names of a whole library for others."""

DEEPEST_LINK = 5
"""Files from the one that joins pieces to the one that holds a trigger word, re-exporting ones included."""

_ON_DATA = re.compile("|".join(RUNS_ON_DATA).encode())


@dataclass(frozen=True, slots=True)
class Target:
    """What an import statement binds a name to: something in one file, or another file as a whole. Files by their paths."""

    binding: Binding
    source: str | None
    module: str | None


@dataclass(frozen=True, slots=True)
class Survey:
    """What the text of one file says by itself.

    Attributes:
        triggers: those in it.
        targets: what its import statements bind.
        looks: where its imports lead.
        leads_to: the files that its imports lead to.
        on_data: whether it runs something on data.
    """

    triggers: frozenset[Trigger]
    targets: tuple[Target, ...]
    looks: tuple[Look, ...]
    leads_to: tuple[str, ...]
    on_data: bool


class Surveys:
    """The surveys of a project.

    Args:
        finder: says where imports lead.
        read: the source of a file, or None where it cannot be read.
        triggers: those that are looked for.
    """

    def __init__(self, finder: Finder, read: Callable[[Path], Source | None], triggers: tuple[Trigger, ...]) -> None:
        self._finder = finder
        self._read = read
        self._triggers = triggers
        self._surveys: dict[str, Survey | None] = {}

    def of(self, file: str, source: Source | None = None) -> Survey | None:
        """The survey of a file; None where it cannot be read."""
        if file not in self._surveys:
            source = source or self._read(Path(file))
            self._surveys[file] = self._surveyed(Home(Path(file)), source.data) if source is not None else None
        return self._surveys[file]

    def text(self, file: str) -> str:
        """The text of a file; empty where it cannot be read."""
        source = self._read(Path(file))
        return source.text if source is not None else ""

    def leads_to(self, file: Path) -> frozenset[Path]:
        """The files of the project that a file imports."""
        survey = self.of(os.fspath(file))
        return frozenset(map(Path, survey.leads_to)) if survey is not None else frozenset()

    def consulted_by(self, file: Path) -> tuple[frozenset[Path], frozenset[Path]]:
        """The files that this rests on, and where files were looked for in vain."""
        found: set[str] = set()
        missing: set[Path] = set()
        level = {os.fspath(file)}
        for _ in range(DEEPEST_LINK + 1):
            found |= level
            surveys = [survey for each in level if (survey := self._surveys.get(each)) is not None]
            missing.update(place for survey in surveys for look in survey.looks for place in look.missing)
            level = {each for survey in surveys for each in survey.leads_to} - found
        return frozenset(map(Path, found)) - {file}, frozenset(missing)

    def _surveyed(self, home: Home, data: bytes) -> Survey:
        targets: list[Target] = []
        by_module: dict[tuple[str, int], Look] = {}
        looks: list[Look] = []
        stars = 0
        for binding in bindings(data):
            what = binding.what
            stars += binding.name == "*"
            if binding.name == "*" and stars > MOST_STAR_IMPORTS:
                continue
            if what.name is not None and not what.level and tables.is_known(canonical(f"{what.module}.{what.name}")):
                continue  # the tables know it better than its source, when that is the project itself
            key = what.module, what.level
            if key not in by_module:
                by_module[key] = self._finder.find(absolute(what, home.name, is_package=home.is_package), home)
                looks.append(by_module[key])
            look = by_module[key]
            whole = what.name is None and binding.name != "*"
            inner = look if whole else self._submodule(look, what.name, home) if what.name is not None else None
            if inner is not None:
                looks.append(inner)
            source = None if whole else _path(look)
            module = _path(inner) if inner is not None else None
            if source is not None or module is not None:
                targets.append(Target(binding, source, module))
        leads_to = dict.fromkeys(file for each in targets for file in (each.source, each.module) if file is not None)
        triggers = frozenset(gate.present(data, self._triggers))
        return Survey(triggers, tuple(targets), tuple(looks), tuple(leads_to), runs_on_data(data))

    def _submodule(self, package: Look, name: str, home: Home) -> Look | None:
        """Where a module lies that `from package import name` may bind."""
        file = package.file
        if not package.near or (file is not None and (file.name != "__init__.py" or not self._finder.holds(file, name))):
            return None
        return self._finder.find(f"{package.dotted}.{name}" if package.dotted else name, home)


def runs_on_data(data: bytes) -> bool:
    """Whether a text runs something on data; the examples in its docstrings do not count."""
    return _ON_DATA.search(data) is not None and _ON_DATA.search(bytes_without_prose(data)) is not None


def _path(look: Look) -> str | None:
    return os.fspath(look.file) if look.file is not None else None
