"""Patterns for paths, as git reads them in `.gitignore`."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec


class PatternError(Exception):
    """A pattern that means nothing; the message is one line."""


def spec(patterns: Iterable[str]) -> GitIgnoreSpec:
    """The patterns, ready to be matched. May raise PatternError."""
    wanted = tuple(patterns)
    found = _spec(wanted)
    if found is None:
        wrong = next((pattern for pattern in wanted if _spec((pattern,)) is None), " ".join(wanted))
        raise PatternError(f'invalid pattern "{wrong}"')
    return found


def spec_of_valid(patterns: Iterable[str]) -> GitIgnoreSpec:
    """The same without the patterns that mean nothing: git passes over such lines of a file."""
    wanted = tuple(patterns)
    return _spec(wanted) or spec(pattern for pattern in wanted if _spec((pattern,)) is not None)


def _spec(patterns: tuple[str, ...]) -> GitIgnoreSpec | None:
    from pathspec import GitIgnoreSpec

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a bracket in brackets makes `re` warn, which is nothing to the user
            return GitIgnoreSpec.from_lines(patterns)
    except (ValueError, re.error):
        return None
