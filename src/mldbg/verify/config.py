"""Settings: the table `[tool.mldebug-verify]` of one `pyproject.toml`, the nearest one that has it; nothing cascades."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = "mldebug-verify"

_BUDGET = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|)", re.IGNORECASE)
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")


class ConfigError(Exception):
    """A setting that cannot be used; the message is one line with file and key."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the user set.

    Attributes:
        select: names, ids or stages of checks; all where empty.
        ignore: the same, left out.
        budget: seconds for everything.
        device: auto, cpu, cuda or cuda:n.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    budget: float = math.inf
    device: str = "auto"


def load(start: Path, known: Iterable[str]) -> Config:
    """The settings that hold for a folder: those of the nearest `pyproject.toml` with our table.

    `known` are the words that may be selected or ignored. Raises ConfigError.
    """
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and (table := _table(file)) is not None:
            return _parsed(file, table, frozenset(known))
    return Config()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'; did you mean "x"?' when something known is close to the word, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def seconds(text: str) -> float:
    """Of a duration like 60s, 2m, 1.5h or 90. Raises ValueError with a clear text."""
    match = _BUDGET.fullmatch(text.strip())
    if not match or not float(match[1]):
        raise ValueError(f'"{text}" is not a duration; use 60s, 2m or 1h')
    return float(match[1]) * _SECONDS[match[2].lower()]


def device(text: str) -> str:
    """The name of a device, checked for its form only. Raises ValueError with a clear text."""
    if not _DEVICE.fullmatch(text):
        raise ValueError(f'"{text}" is not a device; use auto, cpu, cuda or cuda:0')
    return text


def placed(name: str) -> str:
    """The device that is meant: auto is cuda where there is one. Raises ConfigError for one that is not there."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ConfigError(f"device {name}: this machine has no CUDA device that torch can use")
        if int(name.partition(":")[2] or 0) >= torch.cuda.device_count():
            raise ConfigError(f"device {name}: the last CUDA device on this machine is cuda:{torch.cuda.device_count() - 1}")
    return name


def words(names: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """Names, ids or stages of checks. Raises ValueError for one that does not exist."""
    known = frozenset(known)
    for name in names:
        if name.lower() not in known:
            raise ValueError(f'unknown check or stage "{name}"{did_you_mean(name, known)}; see mldebug-verify --list')
    return tuple(names)


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


def _parsed(file: Path, table: Mapping[str, Any], known: frozenset[str]) -> Config:
    settings = {}
    for key, value in table.items():
        if key not in _READERS:
            raise ConfigError(f'{file}: unknown key "{key}" in [tool.{TABLE}]{did_you_mean(key, _READERS)}')
        try:
            settings[key] = _READERS[key](value, known)
        except ValueError as error:
            raise ConfigError(f"{file}: {key}: {error}") from None
    return Config(**settings)


def _words(value: object, known: frozenset[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of strings")
    return words(value, known)


def _budget(value: object, _known: frozenset[str]) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError('must be a duration like "60s"')  # noqa: TRY004  # the caller adds the place
    return seconds(str(value))


def _device(value: object, _known: frozenset[str]) -> str:
    if not isinstance(value, str):
        raise ValueError('must be a string like "cpu"')  # noqa: TRY004  # the caller adds the place
    return device(value)


_READERS: Mapping[str, Callable[[object, frozenset[str]], Any]] = {
    "select": _words,
    "ignore": _words,
    "budget": _budget,
    "device": _device,
}
