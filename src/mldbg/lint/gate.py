"""The gate: can any selected rule fire in this text? A test on bytes, so that most files are never parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mldbg.lint.rule import Rule


def trigger_words(rules: Iterable[type[Rule]]) -> frozenset[str]:
    """The words of which a text must hold at least one for any of the rules to fire."""
    return frozenset(word for rule in rules for word in rule.listens_to.words)


def able(data: bytes, rules: Sequence[type[Rule]]) -> tuple[type[Rule], ...]:
    """The rules that can fire in a file with these bytes."""
    words = trigger_words(rules)
    if not words or not _holds(data, words):
        return ()
    return tuple(rule for rule in rules if _holds(data, rule.listens_to.words) and _holds(data, rule.listens_to.beside))


def passes(data: bytes, rules: Sequence[type[Rule]]) -> bool:
    """Whether any rule can fire in a file with these bytes."""
    return bool(able(data, rules))


def _holds(data: bytes, words: frozenset[str]) -> bool:
    """Whether the bytes hold one of some words; of no words, none is missing. Text in 16-bit units is let through."""
    return not words or data.startswith((b"\xff\xfe", b"\xfe\xff")) or _pattern(words).search(data) is not None


@lru_cache(maxsize=128)
def _pattern(words: frozenset[str]) -> re.Pattern[bytes]:
    return re.compile(rb"\b(?:" + b"|".join(re.escape(word).encode() for word in sorted(words)) + rb")\b")
