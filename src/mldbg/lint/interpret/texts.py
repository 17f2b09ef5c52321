"""Methods of strings that are known, or known but for somebody who sets them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import libcst as cst

from mldbg.lint.interpret.address import Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.value import MOST_ITEMS, MOST_TEXT, Constant, Items, Opaque, Value, literal
from mldbg.operations.python import TEXT_METHODS

_WIDE = re.compile(r"%[^%a-zA-Z]*(?:\d{3}|\*)")
"""A width or a precision that makes a long text of a short one."""


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


def combined(machine: Machine, operator: cst.BaseBinaryOp, left: Value, right: Value, site: Site) -> Value | None:
    """`"configs/%s.yaml" % name`, `"configs/" + name`: known, or what it usually is."""
    values = right.thing.tail if isinstance(operator, cst.Modulo) and isinstance(right.thing, Items) else (right,)
    parts = [_known(machine, value) for value in (left, *values)]
    known = [part.value for part in parts if part is not None]
    if len(known) < len(parts) or not isinstance(known[0], str):
        return None
    if isinstance(operator, cst.Modulo) and _WIDE.search(known[0]) is not None:
        return None
    try:
        text = known[0] + str(known[1]) if isinstance(operator, cst.Add) else known[0] % tuple(known[1:])
    except (TypeError, ValueError):
        return None
    if len(text) > MOST_TEXT or (isinstance(operator, cst.Add) and not isinstance(known[1], str)):
        return None
    if all(isinstance(value.thing, Constant) for value in (left, *values)):
        return literal(text)
    ref = machine.new_ref(site)
    machine.usual[ref] = Constant("str", text)
    return Value(Opaque("builtins.str"), origin=ref)


def _known(machine: Machine, value: Value) -> Constant | None:
    if isinstance(value.thing, Constant):
        return value.thing
    return machine.usual.get(value.origin) if value.origin is not None else None


def _made(text: str, name: str, arguments: list[Any]) -> Value | None:
    if any(isinstance(argument, str) and len(argument) > MOST_TEXT for argument in arguments):
        return None
    try:
        result = getattr(text, name)(*arguments)
    except (TypeError, ValueError):
        return None
    if isinstance(result, list | tuple):
        return (
            Value(Items(f"builtins.{type(result).__name__}", tuple(map(literal, result)))) if len(result) <= MOST_ITEMS else None
        )
    return literal(result) if not isinstance(result, str) or len(result) <= MOST_TEXT else None
