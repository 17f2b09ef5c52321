"""The axes of a jaxtyping annotation: `batch`, `4`, `#batch`, `*lead`, `...`, `_`, `2*t+1`, `{self.d}`.

The grammar is jaxtyping's. Its own parser keeps the result in private classes and leaves mistakes inside symbolic axes to the
first call; this one finds them when the annotation is read, and runs nothing for that: the linter reads annotations of code that
nobody trusts yet.
"""

from __future__ import annotations

import ast
import builtins
import string
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Fixed:
    """An axis with a size written as a number."""

    text: str
    size: int
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """An axis whose name stands for one size within a scope."""

    text: str
    name: str
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Anonymous:
    """An axis of any size: `_`."""

    text: str = "_"


@dataclass(frozen=True, slots=True)
class Several:
    """Any number of axes: `*name`, or `...` with an empty name."""

    text: str
    name: str
    broadcast: bool = False


@dataclass(frozen=True, slots=True)
class Symbolic:
    """An axis whose size is computed.

    source: a Python expression; `{self.d}` has become `(argument_self.d)`.
    names: axis names it reads.
    arguments: parameters it reads, inside braces; a name that no parameter has is a builtin, as `len` in `{len(xs)}`.
    shadowed: names of builtins that it reads outside of braces, which stand for an axis where one is called so.
    """

    text: str
    source: str
    names: tuple[str, ...]
    arguments: tuple[str, ...]
    broadcast: bool = False
    shadowed: tuple[str, ...] = ()


Dim = Fixed | Named | Anonymous | Several | Symbolic


class Unbound(Exception):  # noqa: N818 (not an error of the user's program: the caller turns it into one)
    """A symbolic axis reads a name that has no size yet."""


def parsed(text: str) -> tuple[Dim, ...]:
    """The axes that `text` describes.

    Raises ValueError for what is no axis, saying which one.
    """
    dims = tuple(_dim(word) for word in text.split())
    if sum(isinstance(dim, Several) for dim in dims) > 1:
        raise ValueError(f"{text!r} has more than one axis that stands for several")
    return dims


def _dim(word: str) -> Dim:
    if word == "...":
        return Several(word, "")
    if "..." in word:
        raise ValueError(f"axis {word!r}: '...' must stand alone")
    rest, marks = word, set()
    while rest:
        if rest[0] in "#*_?":
            if rest[0] in marks:
                raise ValueError(f"axis {word!r} has {rest[0]!r} twice")
            marks.add(rest[0])
            rest = rest[1:]
        elif rest.count("=") == 1:
            rest = rest.split("=")[1]
        else:
            break
    if "?" in marks:
        raise ValueError(f"axis {word!r}: '?' belongs inside a PyTree")
    broadcast, several, anonymous = "#" in marks, "*" in marks, "_" in marks
    if not rest or rest.isidentifier():
        if anonymous:
            return Several(word, "") if several else Anonymous(word)
        return Several(word, rest, broadcast) if several else Named(word, rest, broadcast)
    if anonymous or several:
        raise ValueError(f"axis {word!r}: only a name can follow '_' or '*'")
    try:
        return Fixed(word, int(rest), broadcast)
    except ValueError:
        return symbolic(rest, broadcast=broadcast)


def names(axes: Iterable[Dim]) -> list[str]:
    """The names that a tensor with these axes may give a size: `batch`, `*lead`."""
    named = ["*" + axis.name if isinstance(axis, Several) else axis.name for axis in axes if isinstance(axis, (Named, Several))]
    return [name for name in named if name not in ("*", "")]


def symbolic(text: str, *, broadcast: bool = False) -> Symbolic:
    """The expression of a symbolic axis, or of a bound.

    Raises ValueError where it is not one Python expression, or a brace is not closed.
    """
    try:
        pieces = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"axis {text!r}: {error}") from None
    source, arguments = "", []
    for literal, inside, form, conversion in pieces:
        source += literal
        if inside is None:
            continue
        if form or conversion:
            raise ValueError(f"axis {text!r}: a format spec in braces is meaningless for a size")
        tree = _tree(inside, text)
        arguments += _names(tree)
        source += f"({ast.unparse(renamed(tree, {name: ARGUMENT + name for name in arguments}))})"
    read = [name for name in _names(_tree(source, text)) if not name.startswith(ARGUMENT)]
    shadowed = [name for name in read if is_builtin(name) and source.strip() != name]  # a builtin by itself is no size
    names = [name for name in read if name not in shadowed]
    return Symbolic(text, source, tuple(names), tuple(dict.fromkeys(arguments)), broadcast, tuple(shadowed))


def is_builtin(name: str) -> bool:
    """Whether an expression finds the name without anybody defining it."""
    return hasattr(builtins, name)


ARGUMENT = "argument_"
"""Stands before the names of parameters in `Symbolic.source`, where axes may have the same names."""


def _tree(source: str, text: str) -> ast.Expression:
    try:
        return ast.parse(source.strip(), mode="eval")
    except SyntaxError:
        raise ValueError(f"axis {text!r} is not a name, a number or an expression") from None


def _names(tree: ast.AST) -> list[str]:
    """The names that an expression reads from outside: not those of its own loops and lambdas."""
    named = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
    own = {node.id for node in named if not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return list(dict.fromkeys(node.id for node in named if node.id not in own))


def renamed(tree: ast.Expression, names: Mapping[str, str]) -> ast.Expression:
    """`tree` with other names; it is changed in place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return tree


def size(dim: Symbolic, scope: Mapping[str, Any]) -> Any:
    """What a symbolic axis comes to. Sizes stand in `scope` under their names, arguments under `{name}`.

    Raises Unbound where a name has no size, and whatever the expression raises.
    """
    values = []
    for key in (*dim.names, *dim.shadowed, *["{" + name + "}" for name in dim.arguments]):
        name = key.strip("{}")
        if key in scope:
            values.append(scope[key])
        elif is_builtin(name) and key not in dim.names:
            values.append(getattr(builtins, name))
        else:
            raise Unbound(key)
    return function(dim)(*values)


def excuse(dim: Symbolic, error: Exception) -> str:
    """Why an expression has no value, in words."""
    return f"{dim.text} cannot be computed: {type(error).__name__}: {error}"


_functions: dict[Symbolic, Callable[..., Any]] = {}


def function(dim: Symbolic) -> Callable[..., Any]:
    """The expression as a function of its axis names, the builtins that an axis may shadow, and its parameters."""
    if dim not in _functions:
        parameters = ", ".join((*dim.names, *dim.shadowed, *(ARGUMENT + name for name in dim.arguments)))
        _functions[dim] = eval(f"lambda {parameters}: ({dim.source})", {})  # noqa: S307 (annotations are code of the same program)
    return _functions[dim]


def merged(before: tuple[bool, tuple[int, ...]], shape: tuple[int, ...], *, broadcast: bool) -> tuple[int, ...] | None:
    """What `*name` stands for once another tensor's axes `shape` are matched with those `before`; None where they disagree.

    before: whether the axes so far may be broadcast, and their sizes. As in jaxtyping, axes marked `#` have to be
    broadcastable with the others, and axes without the mark have to be what all of them broadcast to.
    """
    stretchable, known = before
    if not stretchable and not broadcast:
        return known if shape == known else None
    common = _broadcast(shape, known)
    if common is None or (not broadcast and common != shape) or (not stretchable and common != known):
        return None
    return common


def _broadcast(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    longer, shorter = (first, second) if len(first) >= len(second) else (second, first)
    sizes = list(longer[: len(longer) - len(shorter)])
    for one, other in zip(longer[len(sizes) :], shorter, strict=True):
        if one not in (1, other) and other != 1:
            return None
        sizes.append(other if one == 1 else one)
    return tuple(sizes)
