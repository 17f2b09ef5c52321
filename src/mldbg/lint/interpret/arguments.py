"""Arguments of a call, and which parameter gets which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from mldbg.lint.interpret.value import Constant, Items, Partial, Value


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a call: `star` is "*" or "**" for unpacked ones."""

    value: Value
    keyword: str | None = None
    star: str = ""
    node: cst.BaseExpression | None = None


def bound(
    params: tuple[str, ...], arguments: Sequence[Argument], receiver: Value | None
) -> tuple[dict[str, Value], dict[str, cst.BaseExpression]]:
    """Arguments by parameter name; a method's receiver is the first parameter. Positional ones beyond `params` are left out."""
    values: dict[str, Value] = {}
    nodes: dict[str, cst.BaseExpression] = {}
    position = 0
    if receiver is not None and params:
        values[params[0]] = receiver
        position = 1
    for argument in arguments:
        name = argument.keyword
        if name is None:
            if argument.star:
                break
            if position >= len(params):
                continue
            name = params[position]
            position += 1
        values[name] = argument.value
        if argument.node is not None:
            nodes[name] = argument.node
    return values, nodes


def completed(callee: Partial, arguments: Sequence[Argument]) -> list[Argument]:
    """The arguments of a call of a partial: those given before, unless a keyword is given anew."""
    fresh = {argument.keyword for argument in arguments if argument.keyword}
    before = [Argument(value, keyword) for keyword, value in callee.arguments if keyword is None or keyword not in fresh]
    positional = [argument for argument in before if argument.keyword is None]
    named = [argument for argument in before if argument.keyword is not None]
    return [*positional, *arguments, *named]


_UNKNOWN_AXIS = -1


def axis_of(arguments: Sequence[Argument], position: int, default: int | None = None) -> object:
    """The axis (or axes) along which an operation runs: the default where none is given, the last where it is not known."""
    given = next((argument.value for argument in arguments if argument.keyword in ("axis", "dim")), None)
    if given is None and len(arguments) > position and arguments[position].keyword is None:
        given = arguments[position].value
    if given is None:
        return default
    if isinstance(given.thing, Items):
        return tuple(axis.constant for axis in given.thing.tail)
    return given.constant if isinstance(given.thing, Constant) else _UNKNOWN_AXIS
