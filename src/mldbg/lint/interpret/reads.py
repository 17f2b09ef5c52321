"""Which attributes functions read, as far as the source says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import libcst as cst

from mldbg.lint.interpret.tree import below
from mldbg.lint.interpret.value import Function

REFLECTIVE = frozenset({"getattr", "vars", "__dict__", "_modules", "children", "named_children", "get_submodule"})
"""Names by which code reaches attributes without naming them. `modules()` is not among them: it serves to initialise weights."""


def reached(functions: Mapping[str, Sequence[Function]], entries: Iterable[str]) -> frozenset[str] | None:
    """Attribute names read by some methods of a class and by the methods that those mention; None: any attribute may be.

    Args:
        functions: methods by name; several where a subclass overrides one.
        entries: names of the methods to begin with.
    """
    todo = [name for name in entries if name in functions]
    if not todo:
        return None
    read: set[str] = set()
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for function in functions.get(name, ()):
            names = names_read(function.node)
            read |= names
            todo += names
    return None if read & REFLECTIVE else frozenset(read)


@lru_cache(maxsize=1024)
def names_read(function: cst.FunctionDef | cst.Lambda) -> frozenset[str]:
    """Names of the attributes that a function reads, of whatever object, and reflective functions that it names."""
    read: set[str] = set()
    todo: list[cst.CSTNode] = [function.body]
    while todo:
        node = todo.pop()
        if isinstance(node, cst.Attribute):
            read.add(node.attr.value)
            todo.append(node.value)
        elif isinstance(node, cst.AssignTarget) and isinstance(node.target, cst.Attribute):
            todo.append(node.target.value)  # `self.a.b = 1` reads a
        elif isinstance(node, cst.Name):
            read |= REFLECTIVE & {node.value}
        else:
            todo += below(node)
    return frozenset(read)
