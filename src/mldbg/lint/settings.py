"""Configuration files as data: JSON, YAML, TOML, and Hydra's, which are put together from several.

Whatever stands in such a file, reading it ends soon and raises nothing: it is somebody's input, and no fault of the program.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldbg.operations.configuration import CONFIGURATION_FOLDERS, OTHERS_SETTINGS, Language

MOST_BYTES = 65_536
"""Bytes of a file of settings; what is longer holds data."""

MOST_SETTINGS = 512
"""Settings of one file; where there are more, they are data."""

DEEPEST_SETTING = 12
"""Settings inside settings that are looked into, and references that lead to references."""

MOST_SHIPPED = 8
"""Files of settings beside a program that are compared where only its user says which of them it reads."""

MOST_COMPOSED = 64
"""Files that Hydra puts together."""

MOST_BRACKETS = 32
"""Brackets in brackets of a file that is parsed: libyaml goes down one call for each, and overflows the stack."""

MOST_ALIASES = 64
MOST_MERGED = 16
"""Aliases in a YAML file, and in one that merges mappings: each merge copies what it merges, so that merges of merges explode."""

_DEEP = re.compile(r"(?:[-?:] ){32}|(?:[^\s.=]+\s*\.\s*){64}")
"""Lists in lists on one line of YAML, and a dotted name of TOML with more parts than anybody gives it."""

_ALIAS = re.compile(r"(?<![\w&])\*[\w-]+")
_PACKAGE = re.compile(r"\A(?:\s*(?:#.*)?\n)*?\s*#\s*@package\s+(\S+)")
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_PATH = re.compile(r"\.*\w+(?:\.\w+)*")
_FLOAT = re.compile(r"[-+]?\d+(?:\.\d*)?[eE][-+]?\d+")


class Unresolved:
    """A setting that only the run decides: `???`, `${oc.env:HOME}`."""


UNRESOLVED = Unresolved()


def parsed(file: Path, language: Language) -> dict[Any, Any] | None:
    """The settings of a file by name; None where it cannot be read, holds something else, or too much for settings."""
    text = _text(file)
    return _parsed(text, language) if text is not None else None


def is_file(path: Path) -> bool:
    """Whether there is a regular file: no pipe to wait for, no device that never ends."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def _text(file: Path) -> str | None:
    try:
        if not is_file(file) or file.stat().st_size > MOST_BYTES:
            return None
        return file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None


def _parsed(text: str, language: Language) -> dict[Any, Any] | None:
    if _nesting(text) > MOST_BRACKETS or _DEEP.search(text) is not None:
        return None
    try:
        content = _READERS[language](text)
    except Exception:  # noqa: BLE001  # constructors of YAML's values raise whatever they come upon
        return None
    return _plain(content, 0, [MOST_SETTINGS]) if isinstance(content, Mapping) else None


def _nesting(text: str) -> int:
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _yaml(text: str) -> Any:
    import yaml  # takes 15 ms, and most programs have no such file

    if len(_ALIAS.findall(text)) > (MOST_MERGED if "<<" in text else MOST_ALIASES):
        return None
    return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe


_READERS: dict[Language, Callable[[str], Any]] = {Language.JSON: json.loads, Language.TOML: tomllib.loads, Language.YAML: _yaml}


class _TooMuchError(ValueError):
    """There are too many settings, or they are nested too deeply."""


def _plain(content: Any, depth: int, left: list[int]) -> Any:
    """The same in dicts and lists of its own, which YAML's aliases may share or put into themselves; None of too much."""
    try:
        return _copied(content, depth, left)
    except _TooMuchError:
        return None


def _copied(content: Any, depth: int, left: list[int]) -> Any:
    left[0] -= 1
    if left[0] < 0 or depth > DEEPEST_SETTING:
        raise _TooMuchError
    if isinstance(content, Mapping):
        return {key: _copied(each, depth + 1, left) for key, each in content.items()}
    if isinstance(content, list):
        return [_copied(each, depth + 1, left) for each in content]
    return content


# ------------------------------------------------------------------------------------------------------------ several files
def shipped(folder: Path, language: Language) -> list[Path]:
    """The files of settings that lie in a folder and in its folders for them; none where they are too many to be compared."""
    found = []
    for each in (folder, *(folder / name for name in sorted(CONFIGURATION_FOLDERS))):
        try:
            names = sorted(entry.name for entry in os.scandir(each) if entry.name.endswith(language.suffixes))
        except OSError:
            continue
        found += [each / name for name in names if name not in OTHERS_SETTINGS and not name.startswith(".")]
    return [file for file in found if is_file(file)] if len(found) <= MOST_SHIPPED else []


def agreed(contents: list[Mapping[Any, Any]]) -> Mapping[Any, Any] | None:
    """What several files of settings have in common; UNRESOLVED stands for what some of them say in another way."""
    if not contents:
        return None
    first, *others = contents
    keys = dict.fromkeys(key for content in contents for key in content)
    return {key: _alike(first.get(key, UNRESOLVED), [other.get(key, UNRESOLVED) for other in others]) for key in keys}


def _alike(one: Any, others: list[Any]) -> Any:
    if all(isinstance(each, Mapping) for each in (one, *others)):
        return agreed([one, *others])
    return one if all(repr(other) == repr(one) for other in others) else UNRESOLVED  # 1, 1.0 and True are told apart


# --------------------------------------------------------------------------------------------------------------- references
def resolved(content: dict[Any, Any]) -> dict[Any, Any]:
    """OmegaConf's settings with what their references `${model.width}` mean; UNRESOLVED where only the run says it."""
    return {key: _resolved(each, (content,), 0) for key, each in content.items()}


def _resolved(content: Any, around: tuple[Any, ...], depth: int) -> Any:
    """`around`: the settings that this one is in, outermost first."""
    if depth > DEEPEST_SETTING:
        return UNRESOLVED
    if isinstance(content, Mapping):
        return {key: _resolved(each, (*around, content), depth + 1) for key, each in content.items()}
    if isinstance(content, list):
        return [_resolved(each, (*around, content), depth + 1) for each in content]
    if isinstance(content, dt.date):
        return content.isoformat()
    return _text_resolved(content, around, depth) if isinstance(content, str) else content


def _text_resolved(content: str, around: tuple[Any, ...], depth: int) -> Any:
    if _FLOAT.fullmatch(content):
        return float(content)
    if content == "???":
        return UNRESOLVED
    if "\\${" in content:  # written so, it is none
        return content.replace("\\${", "${") if content.count("\\${") == content.count("${") else UNRESOLVED
    whole = _REFERENCE.fullmatch(content)
    if whole is not None:
        return _referred(whole[1], around, depth)
    if "${" not in content:
        return content
    text = content
    for reference in _REFERENCE.finditer(content):
        value = _referred(reference[1], around, depth)
        if not isinstance(value, str | int | float):
            return UNRESOLVED
        text = text.replace(reference[0], str(value))
    return UNRESOLVED if "${" in text else text


def _referred(path: str, around: tuple[Any, ...], depth: int) -> Any:
    """What a path stands for: from the root, or with leading dots from the settings around, as in `${.width}`, `${..act}`."""
    path = path.strip()
    if not _PATH.fullmatch(path):
        return UNRESOLVED
    names = path.lstrip(".")
    up = len(path) - len(names)
    chain = around[: len(around) - up + 1] if up else around[:1]
    for name in names.split("."):
        here = chain[-1] if chain else None
        if not isinstance(here, Mapping) or name not in here:
            return UNRESOLVED
        chain = (*chain, here[name])
    return _resolved(chain[-1], chain[:-1], depth + 1)


# ----------------------------------------------------------------------------------------------------------------- Hydra
@dataclass(slots=True)
class Composed:
    """A configuration that Hydra puts together.

    Attributes:
        content: the settings.
        files: where they stand.
        missing: files that were looked for in vain.
    """

    content: dict[str, Any] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)
    missing: set[Path] = field(default_factory=set)


def composed(folder: Path, name: str) -> Composed | None:
    """What Hydra makes of a configuration without overrides on the command line; None where there is no such file.

    A configuration is merged after those that its `defaults` name, unless `_self_` says otherwise
    (hydra.cc, "The Defaults List", as of Hydra 1.1).
    """
    made = Composed()
    composer = _Composer(folder, made)
    composer.note_choices(name, "")
    composer.compose(name, "", (), (), own=True)
    if not made.files:
        return None
    made.content.pop("hydra", None)
    made.content = resolved(made.content)
    return made


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of a defaults list: a configuration of a group, and where its settings go."""

    group: str
    option: str
    package: tuple[str, ...]
    key: str


class _Composer:
    def __init__(self, folder: Path, made: Composed) -> None:
        self.folder = folder
        self.made = made
        self.overrides: dict[str, Any] = {}
        self.choices: dict[str, str] = {}
        self._left = MOST_COMPOSED

    def note_choices(self, name: str, group: str, under_way: tuple[str, ...] = ()) -> None:
        """Note what configurations choose for others: `- override /model: large`; the first that says it counts."""
        found = self._read(name)
        if found is None or name in under_way or len(under_way) > DEEPEST_SETTING:
            return
        for entry in _defaults(found[1]):
            for key, option in entry.items() if isinstance(entry, Mapping) else ():
                if str(key).startswith("override "):
                    self.overrides.setdefault(_absolute(str(key).removeprefix("override ").strip(), group), option)
                elif isinstance(option, str):
                    self.choices.setdefault(_absolute(str(key).removeprefix("optional "), group), option)
        for each in self._entries(found[1], group, ()):
            self.note_choices(f"{each.group}/{each.option}".strip("/"), each.group, (*under_way, name))

    def compose(self, name: str, group: str, package: tuple[str, ...], under_way: tuple[str, ...], *, own: bool = False) -> None:
        """Merge a configuration and all that it names."""
        found = self._read(name)
        self._left -= 1
        if found is None or name in under_way or self._left < 0 or len(under_way) > DEEPEST_SETTING:
            return
        text, content = found
        header = _PACKAGE.match(text)
        if header is not None and header[1] != "_group_":
            package = () if header[1] == "_global_" else tuple(header[1].split("."))
        settings = {key: value for key, value in content.items() if key != "defaults"}
        entries = _defaults(content)
        for entry in entries if "_self_" in entries else [*entries, "_self_"]:
            if entry == "_self_":
                _merge(self.made.content, package, settings)
            for each in self._entries({"defaults": [entry]}, group, package) if entry != "_self_" else ():
                self.compose(f"{each.group}/{each.option}".strip("/"), each.group, each.package, (*under_way, name))

    def _entries(self, content: Mapping[Any, Any], group: str, package: tuple[str, ...]) -> Iterator[_Entry]:
        for entry in _defaults(content):
            if isinstance(entry, str):
                named, _, place = entry.partition("@")
                at, _, option = named.rpartition("/")
                if named != "_self_":
                    options = {(at or ("/" if named.startswith("/") else "")) + (f"@{place}" if place else ""): option}
                    yield from self._of_options(options, group, package)
            elif isinstance(entry, Mapping):
                yield from self._of_options(entry, group, package)

    def _of_options(self, options: Mapping[Any, Any], group: str, package: tuple[str, ...]) -> Iterator[_Entry]:
        for said, option in options.items():
            key = str(said).removeprefix("optional ").strip()
            if key.startswith(("override ", "hydra/", "/hydra/")):
                continue
            absolute = _absolute(key, group)
            chosen = self.overrides.get(absolute, option)
            at, _, place = key.partition("@")
            parts = tuple(part for part in at.split("/") if part)
            where = _package(place, package, parts)
            for each in chosen if isinstance(chosen, list) else [chosen]:
                filled = self._filled(each)
                if filled is not None:
                    yield _Entry(absolute.partition("@")[0], filled, where, absolute)

    def _filled(self, option: Any) -> str | None:
        """The name of an option, in which other choices may be named: `${data}_net`."""
        if not isinstance(option, str):
            return None
        text = _REFERENCE.sub(lambda found: str(self.choices.get(found[1], found[0])), option)
        return text if "${" not in text else None

    def _read(self, name: str) -> tuple[str, dict[Any, Any]] | None:
        stem = re.sub(r"\.ya?ml$", "", name)
        for suffix in (".yaml", ".yml"):
            file = Path(os.path.normpath(self.folder / f"{stem}{suffix}"))
            if not file.is_relative_to(self.folder):
                return None
            if is_file(file):
                self.made.files.add(file)
                text = _text(file)
                content = _parsed(text, Language.YAML) if text is not None else None
                return (text, content) if text is not None and content is not None else None
        self.made.missing.add(self.folder / f"{stem}.yaml")
        return None


def _defaults(content: Any) -> list[Any]:
    entries = content.get("defaults") if isinstance(content, Mapping) else None
    return entries if isinstance(entries, list) else []


def _absolute(key: str, group: str) -> str:
    """The full name of a group that a configuration of another group names."""
    return key.strip("/") if key.startswith("/") or not group else f"{group}/{key}".strip("/")


def _package(place: str, package: tuple[str, ...], parts: tuple[str, ...]) -> tuple[str, ...]:
    """Where the settings of an entry go: to its group's name inside the package that names it, or where `@place` says."""
    if not place:
        return (*package, *parts)
    names = place.split(".")
    if names[0] == "_global_":
        return tuple(names[1:])
    return (*package, *(name for name in names if name != "_here_"))


def _merge(content: dict[str, Any], package: tuple[str, ...], more: Mapping[str, Any]) -> None:
    here = content
    for name in package:
        inner = here.setdefault(name, {})
        if not isinstance(inner, dict):
            inner = here[name] = {}
        here = inner
    merge(here, more)


def merge(content: dict[Any, Any], more: Mapping[Any, Any]) -> None:
    """Put settings over others: what stands in both is taken from the new ones, group by group; `???` gives way."""
    for key, value in more.items():
        held = content.get(key)
        if isinstance(held, dict) and isinstance(value, Mapping):
            merge(held, value)
        elif value != "???" or key not in content:
            content[key] = _plain(value, 0, [MOST_SETTINGS])
