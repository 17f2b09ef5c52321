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


def measured_first(node: cst.BaseExpression) -> cst.Name | None:
    """The name of the tensor whose first axis an expression measures: `len(x)`, `x.size(0)`, `x.shape[0]`."""
    match node:
        case cst.Call(func=cst.Name("len"), args=[cst.Arg(value=cst.Name() as tensor)]):
            return tensor
        case cst.Call(func=cst.Attribute(cst.Name() as tensor, cst.Name("size")), args=[cst.Arg(value=cst.Integer("0"))]):
            return tensor
        case cst.Subscript(
            value=cst.Attribute(cst.Name() as tensor, cst.Name("shape")),
            slice=[cst.SubscriptElement(slice=cst.Index(value=cst.Integer("0")))],
        ):
            return tensor
        case _:
            return None
