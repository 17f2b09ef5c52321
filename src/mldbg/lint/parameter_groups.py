"""Which parameters an optimizer gets, as far as the text around says it: lists that loops fill, and parts of a model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.interpret.address import Made
from mldbg.lint.interpret.value import ClassThing
from mldbg.lint.outline import Kind
from mldbg.operations import torch

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part
    from mldbg.lint.interpret.value import Object
else:
    from mldbg.lint.nodes import cst  # loaded when it is first used

_SAYS_LEFT_OUT = re.compile(r"froz|freez|skip|ignor|exclud|unused|fixed|untrain|other_opt", re.IGNORECASE)
"""Names of what is left out on purpose."""

_WITH_PARAMETERS = re.compile(
    r"^(nn\.|torch\.nn\.)?(Linear|LazyLinear|Bilinear|Conv[123]d|ConvTranspose[123]d|Embedding|LSTM|GRU|RNN|MultiheadAttention"
    r"|TransformerEncoder|TransformerDecoder|Transformer|TransformerEncoderLayer|TransformerDecoderLayer)$"
)
"""Layers that begin with random weights."""

DEEPEST_NAME = 4
"""Names made of names, and functions, that are followed from an optimizer's arguments."""


# --------------------------------------------------------------------------------------------------------------------- lists
def left_out_lists(parameters: cst.BaseExpression, part: Part) -> Iterator[tuple[str, Part, cst.CSTNode]]:
    """Lists that a loop over parameters fills beside one that the optimizer gets, and that nobody reads; and where that is."""
    reached = list(_reached(parameters, part, 0))
    names = {node.value for _, node in reached if isinstance(node, cst.Name)}
    for owner, scope in _scopes(reached, part):
        for loop in nodes.descendants(scope):
            if not isinstance(loop, cst.For) or re.search(r"parameters\(|modules\(", nodes.code(loop.iter)) is None:
                continue
            filled = _filled(loop)
            if filled.keys().isdisjoint(names) or re.search(r"requires_grad(_\()? ?=? ?False", nodes.code(loop)):
                continue
            for name, node in filled.items():
                if name not in names and not _SAYS_LEFT_OUT.search(name) and not _is_read(name, owner, scope):
                    yield name, owner, node


def _reached(node: cst.CSTNode, part: Part, depth: int) -> Iterator[tuple[Part, cst.CSTNode]]:
    """The names in what an optimizer gets, and those in what these names are made of."""
    for one in nodes.descendants(node):
        if isinstance(one, cst.Call) and isinstance(one.func, cst.Name) and depth < DEEPEST_NAME:
            home = part.module.part_of.get(one.func.value)
            if home is not None and home.statement.kind is Kind.FUNCTION:
                for inner in nodes.descendants(home.function):
                    if isinstance(inner, cst.Return) and inner.value is not None:
                        yield from _reached(inner.value, home, depth + 1)
        if not isinstance(one, cst.Name):
            continue
        yield part, one
        for made in _made(one, part) if depth < DEEPEST_NAME else ():
            yield from _reached(made, part, depth + 1)


def _made(node: cst.Name, part: Part) -> list[cst.BaseExpression]:
    scope = edit.function_around(part, node)
    if scope is not None:
        return part.names_in(scope).made.get(node.value, [])
    home = part.module.part_of.get(node.value)
    return home.names_in(home.tree).made.get(node.value, []) if home is not None and home.statement.kind is not Kind.CLASS else []


def _scopes(reached: list[tuple[Part, cst.CSTNode]], part: Part) -> Iterator[tuple[Part, cst.CSTNode]]:
    """The functions in which names stand that an optimizer gets; at the top level every statement."""
    seen: set[cst.CSTNode] = set()
    for owner, node in reached:
        scope = edit.function_around(owner, node)
        each = [(owner, scope)] if scope is not None else [(one, one.tree) for one in owner.module.parts if _is_code(one)]
        for here, tree in each:
            if tree not in seen:
                seen.add(tree)
                yield here, tree


def _is_code(part: Part) -> bool:
    return part.statement.kind in (Kind.CODE, Kind.ASSIGNMENT)


def _filled(loop: cst.For) -> dict[str, cst.CSTNode]:
    """The names of lists to which a loop adds, each with a place where it does."""
    found: dict[str, cst.CSTNode] = {}
    for node in nodes.descendants(loop.body):
        into, added = _added(node)
        if isinstance(into, cst.Name) and added is not None and _is_parameter(added, loop):
            found.setdefault(into.value, node)
    return found


def _added(node: cst.CSTNode) -> tuple[cst.CSTNode | None, cst.BaseExpression | None]:
    """What `params.append(p)` and `params += [p]` add, and to what."""
    match node:
        case cst.Call(
            func=cst.Attribute(value=into, attr=cst.Name(value="append" | "extend" | "add")), args=[cst.Arg(value=value)]
        ):
            return into, value
        case cst.AugAssign(target=into, value=cst.List(elements=[cst.Element(value=value)])):
            return into, value
    return None, None


def _is_parameter(node: cst.CSTNode, loop: cst.For) -> bool:
    """Whether what is added is the parameter of the round, or one of the module of the round."""
    root = node
    while isinstance(root, cst.Attribute):
        root = root.value
    last = loop.target.elements[-1].value if isinstance(loop.target, cst.Tuple) else loop.target
    return isinstance(root, cst.Name) and isinstance(last, cst.Name) and root.value == last.value


def _is_read(name: str, part: Part, scope: cst.CSTNode) -> bool:
    """Whether a list is used for anything but to add to it and to say how long it is."""
    trees = [(part, scope)] if isinstance(scope, cst.FunctionDef) else [(one, one.tree) for one in part.module.parts]
    for owner, tree in trees:
        for node in nodes.descendants(tree):
            if nodes.is_name(node, name) and not _only_adds(node, owner):
                return True
    return False


def _only_adds(node: cst.CSTNode, part: Part) -> bool:
    parent = part.parents.get(node)
    if isinstance(parent, cst.AssignTarget | cst.AugAssign):
        return True
    if isinstance(parent, cst.Element):  # `decay, no_decay = [], []`
        around = part.parents.get(parent)
        return around is not None and isinstance(part.parents.get(around), cst.AssignTarget)
    if isinstance(parent, cst.Attribute):
        return parent.attr.value in ("append", "extend", "add")
    if isinstance(parent, cst.Arg):
        call = part.parents.get(parent)
        return isinstance(call, cst.Call) and nodes.is_name(call.func, "len")
    return False


# --------------------------------------------------------------------------------------------------------------------- parts
def left_out_parts(parameters: cst.BaseExpression, part: Part) -> Iterator[tuple[str, str]]:
    """Layers of a model of which an optimizer gets several other parts; and what the model is called."""
    listed: dict[str, set[str]] = {}
    names = [node for _, node in _reached(parameters, part, 0) if isinstance(node, cst.Name)]
    texts = [nodes.code(parameters), *(nodes.code(made) for name in names for made in _made(name, part))]
    for text in texts:
        for model, name in re.findall(r"\b((?:self\.)?\w+)\.(\w+)\.(?:named_)?parameters\(", text):
            listed.setdefault(model, set()).add(name)
        for model in re.findall(r"(?<![\w.])((?:self\.)?\w+)\.(?:named_)?parameters\(", text):
            listed.setdefault(model, set()).add("")
    for model, parts in listed.items():
        if len(parts) < 2 or "" in parts:  # a single part is often meant
            continue
        home = _class_around(part) if model == "self" else _class_of(model, part)
        for name in _layers_of(home) if home is not None else ():
            if name not in parts and is_left_alone(f"{model}.{name}", part):
                yield name, model


def _class_around(part: Part) -> Part | None:
    """The class of which a text is a method."""
    return next((one for one in part.module.parts if one.statement.kind is Kind.CLASS and part in one.methods.values()), None)


def _class_of(model: str, part: Part) -> Part | None:
    """The class of the file that a variable's value is made of, where it is written once."""
    pattern = re.compile(rf"^\s*{re.escape(model)} ?= ?(\w+)\(", re.MULTILINE)
    made = set(pattern.findall(part.module.text))
    home = part.module.part_of.get(made.pop()) if len(made) == 1 else None
    return home if home is not None and home.statement.kind is Kind.CLASS else None


def _layers_of(home: Part) -> Iterator[str]:
    """The layers with random weights that a class of the file holds, and that another method than `__init__` uses."""
    text = home.code
    for name, made in re.findall(r"^\s+self\.(\w+) ?= ?([\w.]+)\(", text, re.MULTILINE):
        if (_WITH_PARAMETERS.match(made) or _is_own_layer(made, home)) and len(re.findall(rf"\bself\.{name}\b", text)) > 1:
            yield name


def _is_own_layer(name: str, home: Part) -> bool:
    """Whether a class of the same file is a network with random weights."""
    own = home.module.part_of.get(name)
    is_class = own is not None and own.statement.kind is Kind.CLASS
    return own is not None and is_class and _WITH_ANY_PARAMETERS.search(own.code) is not None


# --------------------------------------------------------------------------------------------------------------------- networks
def made_for_itself(model: Object) -> bool:
    """Whether a network is built with random weights, and not as a part of another one."""
    ref = model.ref
    if ref.kind is not Made.OBJECT or ref.site is None:
        return False
    if isinstance(model.cls, str) and not _WITH_PARAMETERS.match(model.cls) and model.cls not in torch.CONTAINERS:
        return False
    if isinstance(model.cls, ClassThing) and not _WITH_ANY_PARAMETERS.search(model.cls.part.code):
        return False
    sites = [ref.site]
    context = ref.context
    while context is not None:
        sites.append(context.site)
        context = context.outer
    return not any(_is_in_network(site.part, site.node) for site in sites)


_NETWORK = re.compile(r"Module$|Net$|Model$|Layer$|Block$")
"""What the base of a network is called."""

_WITH_ANY_PARAMETERS = re.compile(r"\b(Linear|Conv[123]d|Embedding|LSTM|GRU|RNN|MultiheadAttention|Parameter)\(")


def _is_in_network(part: Part, node: cst.CSTNode) -> bool:
    """Whether a place stands in a method of a network."""
    around = edit.function_around(part, node)
    if around is None or part.statement.kind is not Kind.FUNCTION:
        return False
    for one in part.module.parts:
        if one.statement.kind is Kind.CLASS and part in one.methods.values():
            return any(base is None or _NETWORK.search(base) for base in one.statement.base_names)
    return False


def is_left_alone(name: str, part: Part) -> bool:
    """Whether a file neither freezes a network or layer, nor loads its weights, nor does anything with its parameters."""
    text = part.module.text
    last = re.escape(name.rpartition(".")[2])
    touched = rf"\b{last}\b(\.\w+)*\.(?:(?:named_)?parameters|load_state_dict|requires_grad_?|eval|weight|bias)\b"
    cut = rf"\b{last}\([^\n]*\)\.detach\("
    loaded = rf"\b{last} ?= ?[^\n]*(?:load|pretrained)"
    frozen = rf"(?:freeze|frozen|load)\w*\([^\n]*\b{last}\b"
    return re.search(f"{touched}|{cut}|{loaded}|{frozen}", text) is None and _SAYS_LEFT_OUT.search(name) is None
