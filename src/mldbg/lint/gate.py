"""The gate: can any selected rule fire in this text? A test on bytes, so that most files are never parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mldbg.lint.prose import bytes_without_prose
from mldbg.lint.rule import Rule

_WORD = re.compile(rb"(?<!def )\b\w+\(?")


def trigger_words(rules: Iterable[type[Rule]]) -> frozenset[str]:
    """The words of which a text must hold at least one for any of the rules to fire."""
    return frozenset(word for rule in rules for word in rule.listens_to.words)


def able(data: bytes, rules: Sequence[type[Rule]]) -> tuple[type[Rule], ...]:
    """The rules that can fire in a file with these bytes."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return tuple(rules)  # text in 16-bit units: nothing can be said from its bytes
    found = _firing(data, rules)
    return _firing(bytes_without_prose(data), found) if found else ()


def passes(data: bytes, rules: Sequence[type[Rule]]) -> bool:
    """Whether any rule can fire in a file with these bytes."""
    return bool(able(data, rules))


def _firing(data: bytes, rules: Sequence[type[Rule]]) -> tuple[type[Rule], ...]:
    found = set(_WORD.findall(data))
    return tuple(
        rule
        for rule in rules
        if _holds(found, rule.listens_to.words)
        and all(any(_pattern(one).search(data) for one in group) for group in rule.listens_to.beside)
    )


def _holds(found: set[bytes], words: frozenset[str]) -> bool:
    return any(each in found for word in words for each in _spellings(word))


@lru_cache(maxsize=512)
def _spellings(word: str) -> tuple[bytes, ...]:
    """What the text may hold for a word: of one that need not be called also the call."""
    return (word.encode(),) if word.endswith("(") else (word.encode(), f"{word}(".encode())


@lru_cache(maxsize=128)
def _pattern(pattern: str) -> re.Pattern[bytes]:
    return re.compile(pattern.encode())
