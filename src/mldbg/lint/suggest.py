"""Did you mean: the one place that turns an unknown name into a helpful half-sentence."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """'; did you mean "x"?' when something known is close to the word, else nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), sorted(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def aside(question: str) -> str:
    """What `did_you_mean` says, in brackets, for a sentence that goes on or that ends without a stop."""
    return f" ({question.removeprefix('; ')})" if question else ""
