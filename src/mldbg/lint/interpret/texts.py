"""Methods of strings that are known, or known but for somebody who sets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import MOST_ITEMS, MOST_TEXT, Constant, Items, Value, literal
from mldbg.operations.python import TEXT_METHODS


def called(
    machine: Machine, base: Value, name: str, arguments: Sequence[Argument], otherwise: Value | None = None
) -> Value | None:
    """What a method gives of a string and of constants.

    `otherwise`: the result where the string is not known; it gets to be usually what the method makes of the usual string.
    """
    if name not in TEXT_METHODS:
        return otherwise
    thing = base.thing
    known = thing if isinstance(thing, Constant) else machine.usual.get(base.origin) if base.origin is not None else None
    constants = [argument.value.thing for argument in arguments]
    if known is None or not isinstance(known.value, str) or not all(isinstance(each, Constant) for each in constants):
        return otherwise
    made = _made(known.value, name, [each.value for each in constants if isinstance(each, Constant)])
    if known is thing or otherwise is None:
        return made if known is thing else None
    if made is not None and isinstance(made.thing, Constant) and otherwise.origin is not None:
        machine.usual[otherwise.origin] = made.thing
    return otherwise


def _made(text: str, name: str, arguments: list[Any]) -> Value | None:
    try:
        result = getattr(text, name)(*arguments)
    except (TypeError, ValueError):
        return None
    if isinstance(result, list | tuple):
        return (
            Value(Items(f"builtins.{type(result).__name__}", tuple(map(literal, result)))) if len(result) <= MOST_ITEMS else None
        )
    return literal(result) if not isinstance(result, str) or len(result) <= MOST_TEXT else None
