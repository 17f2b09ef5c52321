"""What rules ask of code as it is written, where no value is known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint.edit import statement_at
from mldbg.lint.library.names import CONVENTIONAL_ALIASES
from mldbg.lint.nodes import code, descendants, is_name

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.facts import Place
    from mldbg.lint.interpret.module import Part
else:
    from mldbg.lint.nodes import cst  # loaded on first use

_LOADER = re.compile(r"loader|(^|_)(dl|batches)(_|$)|DataLoader", re.IGNORECASE)


def equation(node: cst.CSTNode) -> tuple[cst.BaseExpression, str, cst.BaseExpression] | None:
    """The sides of `a == b` or `a != b`, and the sign; None for other comparisons and chains of them."""
    if not isinstance(node, cst.Comparison) or len(node.comparisons) != 1:
        return None
    target = node.comparisons[0]
    if not isinstance(target.operator, cst.Equal | cst.NotEqual):
        return None
    return node.left, "==" if isinstance(target.operator, cst.Equal) else "!=", target.comparator


def outermost_condition(site: Site) -> cst.CSTNode | None:
    """The `and`s, `or`s and `not`s, or `&`s and `|`s, around an expression, outermost; None where there are none."""
    found, node = None, site.part.parents.get(site.node)
    while isinstance(node, cst.BooleanOperation | cst.BinaryOperation | cst.UnaryOperation):
        found, node = node, site.part.parents.get(node)
    return found


def qualified(part: Part, node: cst.CSTNode) -> str | None:
    """The name that a dotted expression has outside the project: `numpy.nan` of `np.nan`; None where no import says it."""
    names: list[str] = []
    while isinstance(node, cst.Attribute):
        names.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name) or node.value in part.bound_names:
        return None
    imported = part.module.outline.imports.get(node.value)
    if imported is not None:
        base = None if imported.level else ".".join(filter(None, (imported.module, imported.name)))
    else:
        base = CONVENTIONAL_ALIASES.get(node.value) if node.value not in part.module.part_of else None
    return ".".join((base, *reversed(names))) if base is not None else None


def is_condition(site: Site) -> bool:
    """Whether an expression is asked for its truth: the test of an `if`, or an operand of `not`, `and`, `or` in one."""
    node, parent = site.node, site.part.parents.get(site.node)
    while isinstance(parent, cst.BooleanOperation):
        node, parent = parent, site.part.parents.get(parent)
    if isinstance(parent, cst.UnaryOperation):
        return isinstance(parent.operator, cst.Not)
    return isinstance(parent, cst.If | cst.IfExp | cst.While) and parent.test is node


def is_assigned(site: Site) -> bool:
    """Whether an assignment binds what an expression names."""
    parent = site.part.parents.get(site.node)
    return isinstance(parent, cst.AssignTarget | cst.AnnAssign) and parent.target is site.node


def sole_assignment(site: Site) -> cst.Assign | None:
    """The assignment that binds what an expression names, and nothing else."""
    target = site.part.parents.get(site.node)
    assignment = site.part.parents.get(target) if target is not None else None
    return assignment if isinstance(assignment, cst.Assign) and len(assignment.targets) == 1 else None


def is_manager(site: Site) -> bool:
    """Whether an expression is what a `with` enters."""
    return isinstance(site.part.parents.get(site.node), cst.WithItem)


def is_tried(site: Site) -> bool:
    """Whether a statement is the only one of a `try`, or of a `with` that expects it to fail, to see if something is there."""
    statement = statement_at(site)
    block = site.part.parents.get(statement) if statement is not None else None
    around = site.part.parents.get(block) if block is not None else None
    if isinstance(around, cst.With):
        return any("raises" in code(item.item) for item in around.items)
    return isinstance(around, cst.Try) and around.body is block and len(around.body.body) == 1


def functions_of_class(part: Part, cls: cst.ClassDef) -> Iterator[tuple[Part, cst.FunctionDef]]:
    """The methods that a class defines, each with the part that holds it."""
    for node in cls.body.body:
        if isinstance(node, cst.FunctionDef):
            method = part.methods.get(node)
            yield (method, method.function) if method is not None else (part, node)


def first_statement(function: cst.FunctionDef) -> cst.CSTNode | None:
    """The first statement of a function behind its docstring; None where the body has no line of its own."""
    body = function.body.body if isinstance(function.body, cst.IndentedBlock) else ()
    told = function.get_docstring() is not None
    return body[told] if len(body) > told else None


def called_name(call: cst.Call) -> str | None:
    """The last name of what is called: `to` of `x.to(device)`."""
    return call.func.attr.value if isinstance(call.func, cst.Attribute) else None


def receiver(call: cst.Call) -> cst.BaseExpression | None:
    """What a method is called on."""
    return call.func.value if isinstance(call.func, cst.Attribute) else None


def callee(node: cst.CSTNode) -> cst.CSTNode:
    """What a call calls; of anything else the expression itself."""
    return node.func if isinstance(node, cst.Call) else node


def root_name(node: cst.BaseExpression) -> str | None:
    """The name that an expression like `batch["x"].values` starts with."""
    while isinstance(node, cst.Subscript | cst.Attribute):
        node = node.value
    return node.value if isinstance(node, cst.Name) else None


def text_key(node: cst.BaseExpression) -> str | None:
    """The key of `batch["input_ids"]`."""
    if not isinstance(node, cst.Subscript) or len(node.slice) != 1 or not isinstance(node.value, cst.Name):
        return None
    index = node.slice[0].slice
    value = index.value if isinstance(index, cst.Index) else None
    return str(value.evaluated_value) if isinstance(value, cst.SimpleString) else None


def made_in(place: Place, name: str) -> list[cst.BaseExpression]:
    """What plain assignments make of a name: in the function around, or for a name of the module at its top level."""
    part = place.site.part
    if place.function is not None and name in part.bound_names:
        return part.names_in(place.function).made.get(name, [])
    parts = [each for each in part.module.parts if name in each.statement.names]
    return [value for each in parts for value in each.names_in(each.tree).made.get(name, [])]


def is_bound_here(place: Place, name: str) -> bool:
    """Whether a name may be assigned at a place without becoming another variable: it is local there already, or global code."""
    function = place.function
    if function is None:
        return True
    parameters = [node.name.value for node in descendants(function) if isinstance(node, cst.Param)]
    return name in parameters or bool(made_in(place, name)) or _loops_over(place, name) is not None


def _loops_over(place: Place, name: str) -> cst.For | None:
    """The innermost loop around a place that binds a name."""
    node: cst.CSTNode | None = place.site.node
    while node is not None:
        if isinstance(node, cst.For) and any(is_name(target, name) for target in descendants(node.target)):
            return node
        node = place.site.part.parents.get(node)
    return None


def is_unpacked_from_a_loader(place: Place, name: str) -> bool:
    """Whether a name is one of several that a loop around unpacks from what is called a loader."""
    loop = _loops_over(place, name)
    if loop is None:
        return False
    tuples = [node for node in descendants(loop.target) if isinstance(node, cst.Tuple | cst.List)]
    beside = [each for each in tuples if any(is_name(element.value, name) for element in each.elements)]
    counted = isinstance(loop.iter, cst.Call) and code(loop.iter.func) == "enumerate"
    return bool(beside) and (not counted or beside[0] is not loop.target) and _LOADER.search(code(loop.iter)) is not None


def is_unpacked_from_torch(place: Place, name: str) -> bool:
    """Whether a loop around unpacks a name from a loader of torch that puts its batches together itself."""
    loop = _loops_over(place, name)
    if loop is None:
        return False
    names = {node.value for node in descendants(loop.iter) if isinstance(node, cst.Name)}
    made = [value for each in names for value in made_in(place, each)] + list(descendants(loop.iter))
    built = [node for node in made if isinstance(node, cst.Call) and _is_loader_of_torch(place.site.part, node)]
    return bool(built) and not any("collate_fn" in code(node) for node in built)


def _is_loader_of_torch(part: Part, call: cst.Call) -> bool:
    return qualified(part, call.func) in ("torch.utils.data.DataLoader", "torch.utils.data.dataloader.DataLoader")


def is_used_as_mapping(place: Place, name: str) -> bool:
    """Whether a name is unpacked as keywords, or asked for a key, around a place: it may hold tensors that it moves in place."""
    around = place.function or place.site.part.tree
    return any(
        (isinstance(node, cst.Arg) and node.star == "**" and is_name(node.value, name))
        or (isinstance(node, cst.Subscript) and is_name(node.value, name) and text_key(node) is not None)
        for node in descendants(around)
    )
