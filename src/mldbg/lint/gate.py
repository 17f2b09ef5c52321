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
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return tuple(rules)  # text in 16-bit units: nothing can be said from its bytes
    words = trigger_words(rules)
    if not words or _any_word(words).search(data) is None:
        return ()
    return tuple(rule for rule in rules if _can_fire(data, rule))


def passes(data: bytes, rules: Sequence[type[Rule]]) -> bool:
    """Whether any rule can fire in a file with these bytes."""
    return bool(able(data, rules))


def _can_fire(data: bytes, rule: type[Rule]) -> bool:
    beside = rule.listens_to.beside
    return _any_word(rule.listens_to.words).search(data) is not None and (
        not beside or _any_pattern(beside).search(data) is not None
    )


@lru_cache(maxsize=128)
def _any_word(words: frozenset[str]) -> re.Pattern[bytes]:
    """Any of some whole words."""
    ends = (re.escape(word) + (r"\b" if word[-1] != "(" else "") for word in sorted(words))
    return re.compile(rb"\b(?:" + "|".join(ends).encode() + rb")")


@lru_cache(maxsize=128)
def _any_pattern(patterns: frozenset[str]) -> re.Pattern[bytes]:
    return re.compile("|".join(sorted(patterns)).encode())
