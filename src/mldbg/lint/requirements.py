"""Which versions of a library a project declares: in its requirements, its metadata, its environment, or a lock file.

Read only when a rule asks, once in a run; whatever stands in such a file, reading it raises nothing.
"""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_BYTES = 4_000_000
"""Bytes of a file that is read; lock files are long."""

MOST_FILES = 16
"""Files with requirements in one folder."""

Version = tuple[int, ...]

OTHER_NAMES = {
    "pytorch": "torch",
    "pytorch-gpu": "torch",
    "pytorch-cpu": "torch",
    "torch-cpu": "torch",
    "sklearn": "scikit-learn",
}
"""Names under which channels and old packages have a library."""

_SPECIFIER = re.compile(r"(===|==|~=|>=|<=|!=|\^|=|~|>|<)\s*v?(\d+(?:\.\d+)*)(\.\*|\*)?")
_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][\w.\-]*)\s*(?:\[[^\]]*\])?\s*(?:\(([^)]*)\)|(.*))", re.DOTALL)
_WHEEL = re.compile(r"@\s*\S*?/([A-Za-z0-9_.]+?)-(\d+(?:\.\d+)*)")
_LOCKED = re.compile(r'^name = "([\w.\-]+)"\r?\nversion = "(\d+(?:\.\d+)*)', re.MULTILINE)
_ITEM = re.compile(r"^\s*-\s+[\"']?(?:[\w\-]+::)?([A-Za-z0-9][^\s#\"']*(?:\s*[<>=~!]+\s*[^\s#\"']+)?)", re.MULTILINE)
_SETUP_STRING = re.compile(r"""["']([A-Za-z][\w.\-]*(?:\[[^\]]*\])?\s*[<>=~!][^"']*)["']""")


@dataclass(frozen=True, slots=True)
class Allowed:
    """The versions that declarations allow, in words of their bounds: from `lowest` on, and below `below`; None: no bound."""

    lowest: Version | None = None
    below: Version | None = None

    def both(self, other: Allowed) -> Allowed:
        """What two declarations allow together."""
        lowest = max((one for one in (self.lowest, other.lowest) if one is not None), default=None)
        below = min((one for one in (self.below, other.below) if one is not None), default=None)
        return Allowed(lowest, below)

    def may_be_older_than(self, version: Version) -> bool:
        """Whether versions before one are said to be allowed: where nothing says how old one may be, it is a new one."""
        if self.lowest is not None:
            return self.lowest < version
        return self.below is not None and self.below <= version


ANY = Allowed()

Declared = dict[str, Allowed]


@dataclass(slots=True)
class Requirements:
    """What a project declares, by folder: for a file the nearest folder above it counts that says anything of a library.

    Attributes:
        root: the project's top folder.
    """

    root: Path
    _known: dict[Path, Declared] = field(default_factory=dict)

    def of(self, library: str, file: Path | None) -> Allowed:
        """The versions of a library that the code in a file has to work with."""
        start = file.resolve().parent if file is not None else self.root
        for folder in (start, *start.parents):
            if not folder.is_relative_to(self.root):
                break
            if folder not in self._known:
                self._known[folder] = declared_in(folder)
            if library in self._known[folder]:
                return self._known[folder][library]
        return ANY


def declared_in(folder: Path) -> Declared:
    """What the files of one folder declare. What a lock file says is what is installed; others are taken together."""
    locked: Declared = {}
    for name, read in _LOCKS.items():
        for package, allowed in _read(folder / name, read):
            locked[package] = locked[package].both(allowed) if package in locked else allowed
    found: Declared = {}
    for file, read in _files(folder):
        for package, allowed in _read(file, read):
            found[package] = found[package].both(allowed) if package in found else allowed
    return {**found, **locked}


_Reader = Callable[[str], Iterator[str]]
"""Gives the requirements in a text, as pip writes them."""


def _files(folder: Path) -> Iterator[tuple[Path, _Reader]]:
    yield folder / "pyproject.toml", _of_pyproject
    yield folder / "setup.cfg", _of_setup_cfg
    yield folder / "setup.py", _of_setup_py
    yield folder / "Pipfile", _of_pipfile
    for pattern, read in _PATTERNS.items():
        try:
            files = sorted(folder.glob(pattern))[:MOST_FILES]
        except OSError:
            continue
        yield from ((file, read) for file in files)


def _read(file: Path, read: _Reader) -> Iterator[tuple[str, Allowed]]:
    try:
        text = file.read_text(encoding="utf-8-sig") if file.is_file() and file.stat().st_size <= MOST_BYTES else ""
        requirements = list(read(text)) if text else []
    except Exception:  # noqa: BLE001  # the file is somebody's input: what cannot be read declares nothing
        return
    for requirement in requirements:
        found = _parsed(requirement)
        if found is not None:
            yield found


def _parsed(requirement: str) -> tuple[str, Allowed] | None:
    """A requirement's package and the versions that it allows: `torch>=1.7,<2`, `torch @ https://.../torch-1.7.1-...whl`."""
    match = _REQUIREMENT.match(requirement.partition(";")[0].partition("#")[0] if "@" not in requirement else requirement)
    if match is None:
        return None
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    name = OTHER_NAMES.get(name, name)
    wheel = _WHEEL.search(requirement)
    if wheel is not None:
        return name, _exactly(_version(wheel[2]))
    allowed = ANY
    for operator, version, star in _SPECIFIER.findall(match[2] or match[3] or ""):
        allowed = allowed.both(_allowed(operator, _version(version), is_prefix=bool(star)))
    return name, allowed


def _allowed(operator: str, version: Version, *, is_prefix: bool) -> Allowed:
    match operator:
        case "==" | "===" | "=":
            return Allowed(version, _next(version)) if is_prefix else _exactly(version)
        case "~=":
            return Allowed(version, _next(version[:-1] or version))
        case "^" | "~":
            return Allowed(version, _next(version[: 1 if operator == "^" else 2]))
        case ">=" | ">":
            return Allowed(lowest=version)
        case "<":
            return Allowed(below=version)
        case "<=":
            return Allowed(below=(*version, 0))
        case _:
            return ANY


def _exactly(version: Version) -> Allowed:
    return Allowed(version, (*version, 0))


def _next(version: Version) -> Version:
    return (*version[:-1], version[-1] + 1)


def _version(text: str) -> Version:
    return tuple(int(part) for part in text.split("."))


# ---------------------------------------------------------------------------------------------------------------------- files
def _of_requirements(text: str) -> Iterator[str]:
    for line in text.replace("\\\n", " ").splitlines():
        if not line.lstrip().startswith(("#", "-", ".", "/", "git+", "http")):
            yield line.partition(" --")[0]


def _of_pyproject(text: str) -> Iterator[str]:
    content = tomllib.loads(text)
    project, tools = content.get("project", {}), content.get("tool", {})
    groups = [project.get("dependencies", []), *project.get("optional-dependencies", {}).values()]
    for group in (*groups, *content.get("dependency-groups", {}).values()):
        yield from (one for one in group if isinstance(one, str))
    poetry = tools.get("poetry", {})
    tables = [poetry, *poetry.get("group", {}).values(), tools.get("pixi", {})]
    for table in tables:
        for key in ("dependencies", "dev-dependencies", "pypi-dependencies"):
            yield from _of_table(table.get(key, {}))


def _of_table(table: dict[str, Any]) -> Iterator[str]:
    """`torch = "^1.8"`, `torch = {version = "1.8.1", extras = []}`, of poetry and others: a bare version is the least one."""
    for name, value in table.items():
        for each in value if isinstance(value, list) else [value]:
            version = each.get("version", "") if isinstance(each, dict) else each
            if isinstance(version, str):
                yield f"{name} {f'^{version}' if version[:1].isdigit() else version}"


def _of_setup_cfg(text: str) -> Iterator[str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    values = [parser.get("options", "install_requires", fallback="")]
    if parser.has_section("options.extras_require"):
        values += [value for _, value in parser.items("options.extras_require")]
    for value in values:
        yield from _of_requirements(value)


def _of_setup_py(text: str) -> Iterator[str]:
    yield from _SETUP_STRING.findall(text)


def _of_pipfile(text: str) -> Iterator[str]:
    content = tomllib.loads(text)
    for key in ("packages", "dev-packages"):
        yield from _of_table(content.get(key, {}))


def _of_environment(text: str) -> Iterator[str]:
    """Conda's environments: `- pytorch=1.7.1=py3.8_cuda11.0`, `- pytorch::pytorch>=1.7`, and what pip gets in them."""
    yield from _ITEM.findall(text)


def _of_toml_lock(text: str) -> Iterator[str]:
    yield from (f"{name}=={version}" for name, version in _LOCKED.findall(text))


def _of_pipfile_lock(text: str) -> Iterator[str]:
    content = json.loads(text)
    for key in ("default", "develop"):
        yield from (f"{name}{each.get('version', '')}" for name, each in content.get(key, {}).items())


_PATTERNS: dict[str, _Reader] = {
    "requirements*.txt": _of_requirements,
    "requirements/*.txt": _of_requirements,
    "environment*.y*ml": _of_environment,
    "conda*.y*ml": _of_environment,
}

_LOCKS: dict[str, _Reader] = {
    "poetry.lock": _of_toml_lock,
    "uv.lock": _of_toml_lock,
    "pdm.lock": _of_toml_lock,
    "Pipfile.lock": _of_pipfile_lock,
}
