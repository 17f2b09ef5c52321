"""The gate: does a text hold anything worth executing? A test on bytes, so that most files are never parsed."""

from __future__ import annotations

import re
from functools import lru_cache

from mldbg.lint.prose import bytes_without_prose
from mldbg.lint.triggers import Trigger

_WORD = re.compile(rb"(?<!def )\b\w+\(?")


def present(data: bytes, triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    """The triggers that a file with these bytes holds. Comments, long strings and the names of definitions do not count."""
    if not any(_may_hold(data, trigger) for trigger in triggers) or _any_word(triggers).search(data) is None:
        return ()
    code = bytes_without_prose(data)
    found = set(_WORD.findall(code))
    return tuple(
        trigger
        for trigger in triggers
        if _holds(found, trigger.words) and all(any(_pattern(one).search(code) for one in group) for group in trigger.beside)
    )


def _may_hold(data: bytes, trigger: Trigger) -> bool:
    """Whether a file holds what a trigger asks for first besides its words; quick, before a pattern of all words is made."""
    return not trigger.beside or any(_pattern(one).search(data) for one in trigger.beside[0])


@lru_cache(maxsize=16)
def _any_word(triggers: tuple[Trigger, ...]) -> re.Pattern[bytes]:
    """Matches wherever a word of any trigger may stand: one search that rejects more than half of all files."""
    words = sorted({word for trigger in triggers for word in trigger.words})
    return re.compile(rb"\b(?:" + b"|".join(re.escape(word.encode()) for word in words) + b")")


def _holds(found: set[bytes], words: frozenset[str]) -> bool:
    return any(each in found for word in words for each in _spellings(word))


@lru_cache(maxsize=512)
def _spellings(word: str) -> tuple[bytes, ...]:
    """What the text may hold for a word: of one that need not be called also the call."""
    return (word.encode(),) if word.endswith("(") else (word.encode(), f"{word}(".encode())


@lru_cache(maxsize=128)
def _pattern(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode())
