"""Settings: the table `[tool.mldebug-lint]` of one `pyproject.toml`, the nearest one; nothing cascades."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldbg.lint.patterns import PatternError, spec
from mldbg.lint.suggest import did_you_mean

TABLE = "mldebug-lint"

ALL = "ALL"
"""The name of all rules together."""

RENAMED = {"unused-allowance": "unused-suppression", "unknown-allowance": "invalid-suppression"}
"""What rules were called in earlier versions; the old names still work."""


class ConfigError(Exception):
    """A setting that cannot be used; the message is one line with file and key."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the user set. Patterns are those of `.gitignore`, relative to `root`."""

    root: Path
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    semantics: Mapping[str, Mapping[str, object]] = field(default_factory=dict)


def current_name(name: str) -> str:
    """The name of a rule, or of a group, as it is today."""
    return RENAMED.get(name, name)


_MARKERS = (".git", ".hg", "setup.py", "setup.cfg")
"""What stands in the topmost folder of a project."""


def load(start: Path, known: Collection[str]) -> Config:
    """The settings that hold for a folder: those of the nearest `pyproject.toml` with our table.

    Without such a file the nearest `pyproject.toml` still marks the root of the project, else a folder under version control
    or with a `setup.py`, else the working directory, of anything below it.
    `known` are the names that may be selected or ignored.
    """
    candidates = [file for folder in (start, *start.parents) if (file := folder / "pyproject.toml").is_file()]
    for file in candidates:
        if (table := _table(file)) is not None:
            return _parsed(file, table, known)
    return Config(root=candidates[0].parent if candidates else _root(start))


def _root(start: Path) -> Path:
    for folder in (start, *start.parents):
        if any((folder / marker).exists() for marker in _MARKERS):
            return folder
    here = Path.cwd()
    return here if start.is_relative_to(here) else start


def load_file(file: Path, known: Collection[str]) -> Config:
    """The settings in a file that the user named; its table is expected to be there."""
    table = _table(file)
    if table is None:
        raise ConfigError(f"{file}: has no [tool.{TABLE}] table")
    return _parsed(file, table, known)


def _table(file: Path) -> dict[str, Any] | None:
    import tomllib

    try:
        text = file.read_bytes().decode()
        if TABLE not in text:
            return None
        tool = tomllib.loads(text).get("tool", {})
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{file}: is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not valid TOML: {error}") from None
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{file}: tool.{TABLE} must be a table")
    return table


def _parsed(file: Path, table: Mapping[str, Any], known: Collection[str]) -> Config:
    settings = {}
    for key, value in table.items():
        place = f"{file}: {key}"
        if key not in _READERS:
            raise ConfigError(f"{place}: unknown key in [tool.{TABLE}]{did_you_mean(key, _READERS)}")
        settings[key.replace("-", "_")] = _READERS[key](value, place, known)
    return Config(root=file.absolute().parent, **settings)


def _names(value: object, place: str, known: Collection[str]) -> tuple[str, ...]:
    names = tuple(map(current_name, _strings(value, place, known)))
    for name in names:
        if name not in known:
            raise ConfigError(f'{place}: unknown rule or group "{name}"{did_you_mean(name, known)}')
    return names


def _strings(value: object, place: str, _known: Collection[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{place}: must be a list of strings")
    return tuple(value)


def _patterns(value: object, place: str, known: Collection[str]) -> tuple[str, ...]:
    found = _strings(value, place, known)
    _refuse_invalid(found, place)
    return found


def _refuse_invalid(patterns: Iterable[str], place: str) -> None:
    try:
        spec(patterns)
    except PatternError as error:
        raise ConfigError(f"{place}: {error}") from None


def _names_by_pattern(value: object, place: str, known: Collection[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    table = _mapping(value, place)
    _refuse_invalid(table, place)
    return tuple((pattern, _names(names, f'{place}."{pattern}"', known)) for pattern, names in table.items())


def _meanings(value: object, place: str, _known: Collection[str]) -> dict[str, dict[str, object]]:
    table = _mapping(value, place)
    return {name: _meaning(entry, f'{place}."{name}"') for name, entry in table.items()}


def _meaning(value: object, place: str) -> dict[str, object]:
    entry = _mapping(value, place)
    if len(entry) != 1:
        raise ConfigError(f'{place}: must be {{ gives = "<meaning>" }} or {{ keeps = <argument index> }}')
    [(key, content)] = entry.items()
    if key not in ("gives", "keeps"):
        raise ConfigError(f"{place}.{key}: unknown key{did_you_mean(key, ('gives', 'keeps'))}")
    return {key: _semantic(content, f"{place}.gives") if key == "gives" else _index(content, f"{place}.keeps")}


def _semantic(value: object, place: str) -> str:
    from mldbg.semantics import Semantic

    known = [semantic.value for semantic in Semantic]
    if not isinstance(value, str):
        raise ConfigError(f"{place}: must be one of {', '.join(known)}")
    if value not in known:
        raise ConfigError(f'{place}: unknown meaning "{value}"{did_you_mean(value, known)}')
    return value


def _index(value: object, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"{place}: must be an argument index, counting from 0")
    return value


def _mapping(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: must be a table")
    return value


_READERS: Mapping[str, Callable[[object, str, Collection[str]], Any]] = {
    "select": _names,
    "ignore": _names,
    "exclude": _patterns,
    "per-file-ignores": _names_by_pattern,
    "semantics": _meanings,
}
