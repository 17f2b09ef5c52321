"""Reports: each module turns the result of a run into text by one function `render`; its name is the format's."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from mldbg.lint.rule import Rule
from mldbg.lint.run import Result

FORMATS = ("text", "concise", "json", "github", "sarif")
FOR_PEOPLE = ("text", "concise")


def render(report: str, result: Result, rules: Sequence[type[Rule]]) -> str:
    """The result in one of the formats, or as "statistics". `rules` are those that were run. May hold colour codes."""
    text: str = import_module(f"{__name__}.{report}").render(result, rules)
    return text
