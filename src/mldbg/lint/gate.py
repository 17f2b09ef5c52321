"""The gate: can any selected rule fire in this text? A test on bytes, so that most files are never parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

from mldbg.lint.rule import Rule


def trigger_words(rules: Iterable[type[Rule]]) -> frozenset[str]:
    """The words of which a text must hold at least one for any of the rules to fire."""
    return frozenset(word for rule in rules for word in rule.listens_to.words)


@lru_cache(maxsize=8)
def _pattern(words: frozenset[str]) -> re.Pattern[bytes]:
    return re.compile(rb"\b(?:" + b"|".join(re.escape(word).encode() for word in sorted(words)) + rb")\b")


def passes(data: bytes, rules: Sequence[type[Rule]]) -> bool:
    """Whether a file's bytes hold a trigger word of any rule."""
    words = trigger_words(rules)
    if not words:
        return False
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    return _pattern(words).search(data) is not None
