"""The source text of expressions, and the names in it."""

from __future__ import annotations

from functools import lru_cache

import libcst as cst


@lru_cache(maxsize=4096)
def code(node: cst.CSTNode) -> str:
    """The source text of a node."""
    return cst.Module([]).code_for_node(node)


def last_name(node: cst.BaseExpression | None) -> str:
    """The last name in an expression: `self.optimizer` -> optimizer, `optimizers["g"]` -> optimizers."""
    while isinstance(node, cst.Subscript | cst.Call):
        node = node.value if isinstance(node, cst.Subscript) else node.func
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return node.value if isinstance(node, cst.Name) else ""
