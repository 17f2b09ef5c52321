"""Whether two parts of the data come from two calls of one function that reads the rows and splits them at random."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import nodes
from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.value import Data, Known, Role
from mldbg.lint.outline import Kind

if TYPE_CHECKING:
    import libcst as cst

_SAME_AGAIN = re.compile(r"seed|random_state|[gG]enerator|shuffle ?= ?False|cache|exists|dump|save")
"""What lets a function split alike each time."""

_SEEDS = re.compile(r"seed\w*\(")
_SAYS_PART = re.compile(r"""['"](?:train\w*|val\w*|dev|test\w*|eval\w*)['"]|True|False""")
_DRAWS = re.compile(r"(?:train_test_split|random_split)\(")


def drawn_twice(trained: Data, evaluated: Data) -> bool:
    """Whether a function without a seed was called for the one part, and again, for the same rows, for the other."""
    split = trained.split
    if split is None or split is not evaluated.split or trained.role is not Role.TRAIN:
        return False
    if split.part.statement.kind is not Kind.FUNCTION:
        return False
    sure = (Known.SPLIT, Known.NAMED_PART)
    one, two = _only(trained), _only(evaluated)
    if trained.known not in sure or evaluated.known not in sure or one is None or two is None:
        return False
    if one.site is None or one.site is not two.site or (one.kind, one.detail) != (two.kind, two.detail):
        return False
    text = split.part.code
    if not _DRAWS.match(_called(split)) or _SAME_AGAIN.search(text):
        return False
    first, second = list(_calls(one)), list(_calls(two))
    modules = {site.part.module for site in (split, *first, *second)}
    if sum(len(_SEEDS.findall(module.text)) for module in modules) > 1:
        return False  # the generator may have been set back between the two
    if len(first) != len(second) or first == second:
        return False
    return all(_are_alike(a, b, text) for a, b in zip(first, second, strict=True))


def _only(data: Data) -> Ref | None:
    return next(iter(data.rows)) if len(data.rows) == 1 else None


def _calls(ref: Ref) -> Iterator[Site]:
    context = ref.context
    while context is not None:
        yield context.site
        context = context.outer


def _called(site: Site) -> str:
    return nodes.code(site.node).partition("(")[0].rpartition(".")[2] + "("


def _are_alike(one: Site, two: Site, function: str) -> bool:
    """Whether two calls are given the same, but for the word that says which of the parts is asked for."""
    if one is two:
        return True
    first, second = _arguments(one.node), _arguments(two.node)
    if first is None or second is None or len(first) != len(second):
        return False
    for a, b in zip(first, second, strict=True):
        if a != b and not (_says_part(a) and _says_part(b) and _only_asked(function)):
            return False
    return True


def _arguments(node: cst.CSTNode) -> list[str] | None:
    import libcst as cst

    return [nodes.code(argument).strip(", ") for argument in node.args] if isinstance(node, cst.Call) else None


def _says_part(argument: str) -> bool:
    return _SAYS_PART.fullmatch(argument.rpartition("=")[2].strip()) is not None


def _only_asked(function: str) -> bool:
    """Whether nothing that is read depends on the word: no path is put together in the function."""
    return re.search(r"""\bf["']|\.format\(|%|join\(|\+ ?["']|["'] ?\+| / """, function) is None
