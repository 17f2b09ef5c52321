"""Configuration files as data: JSON, YAML, TOML, and Hydra's, which are put together from several."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mldbg.operations.configuration import CONFIGURATION_FOLDERS, OTHERS_SETTINGS, Language

MOST_BYTES = 65_536
"""Bytes of a file of settings; what is longer holds data."""

MOST_SHIPPED = 8
"""Files of settings beside a program that are compared where only its user says which of them it reads."""

DEEPEST_SETTING = 12
"""Settings inside settings that are looked into, and references that lead to references."""

_PACKAGE = re.compile(r"^\s*#\s*@package\s+(\S+)", re.MULTILINE)
_REFERENCE = re.compile(r"\$\{([^${}]*)\}")
_PATH = re.compile(r"\w+(?:\.\w+)*")


class Unresolved:
    """A setting that only the run decides: `???`, `${oc.env:HOME}`."""


UNRESOLVED = Unresolved()


def parsed(file: Path, language: Language) -> Any:
    """The content of a file; None where it cannot be read, or is too long for settings."""
    text = _text(file)
    return None if text is None else _parsed(text, language)


def _text(file: Path) -> str | None:
    try:
        if file.stat().st_size > MOST_BYTES:
            return None
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None


def _parsed(text: str, language: Language) -> Any:
    try:
        if language is Language.JSON:
            return json.loads(text)
        if language is Language.TOML:
            return tomllib.loads(text)
        return _yaml(text)
    except (ValueError, RecursionError):
        return None


def _yaml(text: str) -> Any:
    import yaml  # takes 15 ms, and most programs have no such file

    try:
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506  # both are safe
    except (yaml.YAMLError, AttributeError, TypeError):  # the last two: values that a date or a merge key cannot be made of
        return None


def shipped(folder: Path, language: Language) -> list[Path]:
    """The files of settings that lie in a folder and in its folders for them; none where they are too many to be compared."""
    folders = [folder, *(folder / name for name in sorted(CONFIGURATION_FOLDERS))]
    found = [
        file
        for each in folders
        for suffix in language.suffixes
        for file in sorted(each.glob(f"*{suffix}"))
        if file.name not in OTHERS_SETTINGS and not file.name.startswith(".")
    ]
    return found if len(found) <= MOST_SHIPPED else []


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
    return one if all(other == one for other in others) else UNRESOLVED


def resolved(content: Any) -> Any:
    """Settings with what their references `${model.width}` mean; UNRESOLVED where only the run says it."""
    return _resolved(content, content, 0)


def _resolved(content: Any, root: Any, depth: int) -> Any:
    if depth > DEEPEST_SETTING:
        return UNRESOLVED
    if isinstance(content, Mapping):
        return {key: _resolved(each, root, depth + 1) for key, each in content.items()}
    if isinstance(content, list):
        return [_resolved(each, root, depth + 1) for each in content]
    if not isinstance(content, str):
        return content
    if content == "???":
        return UNRESOLVED
    whole = _REFERENCE.fullmatch(content)
    if whole is not None:
        return _referred(whole[1], root, depth)
    if "${" not in content:
        return content
    text = content
    for reference in _REFERENCE.finditer(content):
        value = _referred(reference[1], root, depth)
        if not isinstance(value, str | int | float):
            return UNRESOLVED
        text = text.replace(reference[0], str(value))
    return UNRESOLVED if "${" in text else text


def _referred(path: str, root: Any, depth: int) -> Any:
    here = root
    for name in path.strip().split(".") if _PATH.fullmatch(path.strip()) else [None]:
        if not isinstance(here, Mapping) or name not in here:
            return UNRESOLVED
        here = here[name]
    return _resolved(here, root, depth + 1)


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
    _compose(made, folder, name, (), _overrides(folder, name), 0)
    if not made.files:
        return None
    made.content = resolved(made.content)
    return made


def _overrides(folder: Path, name: str) -> dict[str, Any]:
    """The choices that a configuration makes in place of others: `- override /model: large`."""
    file = _file(folder, name)
    content = parsed(file, Language.YAML) if file is not None else None
    return {
        group.removeprefix("override ").lstrip("/"): option
        for entry in _defaults(content)
        if isinstance(entry, Mapping)
        for group, option in entry.items()
        if isinstance(group, str) and group.startswith("override ")
    }


def _defaults(content: Any) -> list[Any]:
    entries = content.get("defaults") if isinstance(content, Mapping) else None
    return entries if isinstance(entries, list) else []


def _file(folder: Path, name: str) -> Path | None:
    stem = re.sub(r"\.ya?ml$", "", name)
    found = (folder / f"{stem}{suffix}" for suffix in (".yaml", ".yml"))
    return next((file for file in found if file.is_file()), None)


def _compose(made: Composed, folder: Path, name: str, package: tuple[str, ...], overrides: Mapping[str, Any], depth: int) -> None:
    file = _file(folder, name)
    if file is None:
        made.missing.add(folder / f"{name}.yaml")
        return
    text = _text(file)
    content = _parsed(text, Language.YAML) if text is not None else None
    made.files.add(file)
    if text is None or not isinstance(content, Mapping) or depth > DEEPEST_SETTING:
        return
    header = _PACKAGE.search(text)
    if header is not None and header[1] != "_group_":
        package = () if header[1] == "_global_" else tuple(header[1].split("."))
    entries = _defaults(content)
    own = {key: value for key, value in content.items() if key != "defaults"}
    for entry in entries if "_self_" in entries else [*entries, "_self_"]:
        if entry == "_self_":
            _merge(made.content, package, own)
            continue
        for group, option in _chosen(entry, overrides):
            at, _, elsewhere = group.partition("@")
            base = name.rpartition("/")[0] if not at.startswith("/") else ""
            path = "/".join(part for part in (base, at.strip("/")) if part)
            inner = package if base else ()
            where = (*inner, *[part for part in at.strip("/").split("/") if part])
            if elsewhere:
                where = () if elsewhere == "_global_" else tuple(elsewhere.split("."))
            for each in option if isinstance(option, list) else [option]:
                if isinstance(each, str):
                    _compose(made, folder, f"{path}/{each}".lstrip("/"), where, overrides, depth + 1)


def _chosen(entry: Any, overrides: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The group and the option that an entry of a defaults list names."""
    if isinstance(entry, str):
        group, _, option = entry.rpartition("/")
        return [(group, option)]
    found = []
    for key, option in entry.items() if isinstance(entry, Mapping) else ():
        group = str(key).removeprefix("optional ")
        if not group.startswith(("override ", "hydra/")):
            found.append((group, overrides.get(group.lstrip("/"), option)))
    return found


def _merge(content: dict[str, Any], package: tuple[str, ...], more: Mapping[str, Any]) -> None:
    here = content
    for name in package:
        inner = here.setdefault(name, {})
        if not isinstance(inner, dict):
            inner = here[name] = {}
        here = inner
    merge(here, more)


def merge(content: dict[Any, Any], more: Mapping[Any, Any]) -> None:
    """Put settings over others: what stands in both is taken from the new ones, group by group."""
    for key, value in more.items():
        held = content.get(key)
        if isinstance(held, dict) and isinstance(value, Mapping):
            merge(held, value)
        else:
            content[key] = value
