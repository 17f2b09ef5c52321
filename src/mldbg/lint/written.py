"""Code as it is written: the one pass over syntax trees that all rules about single expressions and statements share.

Only definitions whose code matches what one of these rules looks for are parsed, and a file in which nothing matches costs the
search alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import libcst as cst

from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.facts import Place, Written
from mldbg.lint.interpret.tree import below

if TYPE_CHECKING:
    from mldbg.lint.interpret.gathered import Gathered
    from mldbg.lint.interpret.module import Part
    from mldbg.lint.rule import Listening

_NODES = "nodes that rules read"


def pieces(gathered: Gathered, listening: Sequence[Listening]) -> Iterator[tuple[Part, tuple[Written, ...]]]:
    """For each top-level statement what somebody listens to in it, about in the order of the text: positions cost time."""
    for part in gathered.parts:
        is_own = part.module is gathered.module
        heard = _heard(part, [one for one in listening if is_own or one.across])
        if not heard:
            continue
        found = list(_in_part(part, part.tree, heard, gathered))
        for method in part.methods.values():
            inside = _heard(method, heard)
            found += _in_part(method, method.function, inside, gathered) if inside else ()
        if found:
            yield part, tuple(found)


def _heard(part: Part, listening: Sequence[Listening]) -> tuple[Listening, ...]:
    return tuple(one for one in listening if one.where is not None and part.says(one.where))


def _in_part(part: Part, root: cst.CSTNode, heard: Sequence[Listening], gathered: Gathered) -> Iterator[Written]:
    syntax = frozenset(kind for one in heard for kind in one.syntax)
    found: frozenset[re.Pattern[str]] = frozenset(one.where for one in heard if one.where is not None)
    if (_NODES, syntax) not in part.kept:  # remembered, for many files may take the part
        part.kept[_NODES, syntax] = tuple(_nodes(root, syntax))
    for node, functions in part.kept[_NODES, syntax]:
        within = tuple(function.name.value for function in functions)
        yield Written(Place(site_of(part, node), within, functions[-1] if functions else None), found, gathered)


def _nodes(root: cst.CSTNode, syntax: frozenset[str]) -> Iterator[tuple[cst.CSTNode, tuple[cst.FunctionDef, ...]]]:
    """The nodes of some kinds, each with the functions around it, from the outermost to the innermost."""
    todo: list[tuple[cst.CSTNode, tuple[cst.FunctionDef, ...]]] = [(root, ())]
    while todo:
        node, functions = todo.pop()
        if type(node).__name__ in syntax:
            yield node, functions
        if isinstance(node, cst.FunctionDef):
            functions = (*functions, node)
        todo += ((child, functions) for child in reversed(below(node)))
