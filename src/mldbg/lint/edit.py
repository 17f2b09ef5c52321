"""Building blocks of fixes: text edits made from places in libcst trees."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from mldbg.lint import nodes
from mldbg.lint.finding import Edit, Fix, Span
from mldbg.lint.interpret.address import site_of
from mldbg.lint.interpret.value import Object
from mldbg.lint.library.names import CONVENTIONAL_ALIASES
from mldbg.lint.nodes import (
    activation_input,
    code,
    descendants,
    is_call,
    is_literal,
    is_name,
    number_of,
    text_called_on,
)
from mldbg.lint.outline import Kind
from mldbg.operations.tables import constructor_parameters

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.address import Site
    from mldbg.lint.interpret.facts import Call, Misfit, Place
    from mldbg.lint.interpret.module import Part
    from mldbg.lint.interpret.value import Value
else:
    from mldbg.lint.nodes import cst  # loaded on first use


_QUOTES = ('"', "'", 'r"', "r'")
"""What a docstring begins with."""

_ACTIVATION = re.compile(r"softmax\w*(\([^()]*\))?$|sigmoid(\(\))?$|expit$", re.IGNORECASE)


def code_in(part: Part, node: cst.CSTNode) -> str:
    """The source text of a node of a part: of a function or a loop, for many findings in one may ask."""
    key = ("code", node)
    if key not in part.kept:
        part.kept[key] = code(node)
    return str(part.kept[key])


def safe(*edits: Edit) -> Fix:
    """A fix that keeps the meaning, or restores the one that plainly was intended."""
    return Fix(True, edits)


def unsafe(*edits: Edit) -> Fix:
    """A fix that changes what the program computes, as it should, but which a person must confirm."""
    return Fix(False, edits)


def replaced(part: Part, node: cst.CSTNode, text: str) -> Edit:
    """Replace a node's text."""
    return Edit(part.span(node), text)


def renamed(site: Site, old: str, name: str) -> Edit | None:
    """Replace the last name in a call's function: `nn.BCELoss()` -> `nn.<name>()`; None where it would have to be imported."""
    node = site.node
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or node.func.attr.value != old:
        return None
    return replaced(site.part, node.func.attr, name)


def constructor(call: Call) -> Site | None:
    """Where the object that is called was built, when a call of a class built it."""
    thing = call.receiver.thing if call.receiver is not None else None
    return (
        thing.ref.site
        if isinstance(thing, Object) and thing.ref.site is not None and isinstance(thing.ref.site.node, cst.Call)
        else None
    )


def is_made_leaf(part: Part, name: cst.Name) -> bool:
    """Whether the code around says of a variable that it requires a gradient: nobody says so of a loss that has one."""
    scope = function_around(part, name) or part.tree
    said = re.compile(rf"\b{name.value}\.requires_grad(?: ?= ?True|_\()")
    return said.search(code(scope)) is not None


def argument_in(scope: cst.CSTNode, part: Part, name: cst.Name) -> cst.BaseExpression | None:
    """What the only call of a function in some code gives to the parameter of this name."""
    function = function_around(part, name)
    if not isinstance(function, cst.FunctionDef):
        return None
    names = [parameter.name.value for parameter in function.params.params if parameter.name.value != "self"]
    called = function.name.value
    found = [node for node in descendants(scope) if isinstance(node, cst.Call) and code(node.func).rpartition(".")[2] == called]
    if name.value not in names or len(found) != 1:
        return None
    return argument_of(found[0], names.index(name.value), name.value)


def steps_behind(place: Place) -> bool:
    """Whether a statement behind a place, in its block, steps anything but a scheduler."""
    statement = statement_of(place)
    block = siblings(place.site.part, statement) if statement is not None else []
    behind = block[block.index(statement) + 1 :] if statement in block else []
    called = (
        text_called_on(node) for one in behind for node in descendants(one) if isinstance(node, cst.Call) and _is_step(node)
    )
    return any(name is not None and "sched" not in name for name in called)


def _is_step(node: cst.Call) -> bool:
    return isinstance(node.func, cst.Attribute) and node.func.attr.value == "step"


def differentiated(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What backward runs on: `loss` of `loss.backward()`, `scaler.scale(loss).backward()` and `accelerator.backward(loss)`."""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute):
        return None
    positional = [arg.value for arg in node.args if arg.keyword is None and not arg.star]
    loss = positional[0] if positional else node.func.value
    while isinstance(loss, cst.Call) and isinstance(loss.func, cst.Attribute) and loss.func.attr.value == "scale" and loss.args:
        loss = loss.args[0].value
    return loss


def differentiated_in(scope: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    """What backward runs on in a function."""
    for node in descendants(scope):
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "backward":
            loss = differentiated(node)
            if loss is not None:
                yield loss


def is_function(part: Part) -> bool:
    """Whether a part of a module defines a function."""
    return part.statement.kind is Kind.FUNCTION


def is_statement(site: Site) -> bool:
    """Whether an expression is a statement by itself: nobody uses its value."""
    return isinstance(site.part.parents.get(site.node), cst.Expr)


# ------------------------------------------------------------------------------------------------------------- sole consumers
def argument_call(call: Call, parameter: str) -> cst.Call | None:
    """The call that stands in an argument's place (for a method: what it is called on)."""
    node = call.nodes.get(parameter)
    whole = call.place.site.node
    if node is None and parameter == "input" and isinstance(whole, cst.Call) and isinstance(whole.func, cst.Attribute):
        node = whole.func.value
    return node if isinstance(node, cst.Call) else None


def sole_source(call: Call, parameter: str) -> cst.Call | None:
    """The call that made an argument, when nothing else uses what it made.

    Either it stands in the argument's place, or it is assigned to a local name that is used only there.
    """
    node = call.nodes.get(parameter)
    if isinstance(node, cst.Call):
        return node if made_by(call.argument(parameter), node) else None
    if not isinstance(node, cst.Name):
        return None
    part = call.place.site.part
    made = part.names_in(call.place.function or part.tree).made.get(node.value, [])
    if (
        uses_of(node.value, part, call.place.function) == 2
        and len(made) == 1
        and isinstance(made[0], cst.Call)
        and made_by(call.argument(parameter), made[0])
    ):
        return made[0]
    return None


def uses_of(name: str, part: Part, function: cst.CSTNode | None) -> int:
    """How often a name stands in a function, or for a name of the module, in the whole module."""
    if function is None:
        return part.module.uses[name]
    return part.names_in(function).uses[name]


def made_by(value: Value, node: cst.CSTNode) -> bool:
    """Whether a value was born at this node."""
    return value.origin is not None and value.origin.site is not None and value.origin.site.node is node


def got_meaning_at(value: Value, node: cst.CSTNode) -> bool:
    """Whether a value was born at this node with the meaning that it has: an activation, and not the mean of its results."""
    return made_by(value, node) and value.trail is not None and value.trail.site.node is node


def without_activation(call: Call, parameter: str) -> Fix | None:
    """Drop the activation before a loss, where only the loss consumes it."""
    source = sole_source(call, parameter)
    inner = activation_input(source) if source is not None and _ACTIVATION.search(code(source.func)) else None
    if source is None or inner is None:
        return None
    return unsafe(*unwrapped(call.place.site.part, source, inner))


_LAST = re.compile(r"(?:relu6?|softplus|drop\w*)(?:\(.*\))?$", re.IGNORECASE)


def without_last(call: Call, parameter: str) -> Fix | None:
    """Drop a ReLU or dropout before a loss, where only the loss consumes it."""
    source = sole_source(call, parameter)
    inner = activation_input(source) if source is not None and _LAST.search(code(source.func)) else None
    if source is None or inner is None:
        return None
    return unsafe(*unwrapped(call.place.site.part, source, inner))


def without_call(call: Call) -> Fix | None:
    """Put what a function is applied to in its place.

    None where that is not written there, is changed in place, or is a parameter: another caller may hand in something else.
    """
    whole, inner = call.place.site.node, call.nodes.get("input")
    if not isinstance(whole, cst.Call) or "#" in code(whole) or is_statement(call.place.site):
        return None
    if inner is None and call.name.startswith("torch.Tensor.") and isinstance(whole.func, cst.Attribute):
        inner = whole.func.value
    part, function = call.place.site.part, call.place.function
    if isinstance(inner, cst.Name) and function is not None and inner.value not in part.names_in(function).made:
        return None
    if inner is None or not isinstance(inner, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
        return None
    return unsafe(*unwrapped(part, whole, inner))


def other_keyword(call: Call, old: str, new: str) -> Fix | None:
    """Give an argument to another parameter, where it is named in the call."""
    node = call.place.site.node
    named = [arg.keyword for arg in node.args if arg.keyword is not None] if isinstance(node, cst.Call) else []
    found = next((keyword for keyword in named if keyword.value == old), None)
    if found is None or any(keyword.value == new for keyword in named):
        return None
    return unsafe(replaced(call.place.site.part, found, new))


def unwrapped(part: Part, outer: cst.CSTNode, inner: cst.CSTNode) -> tuple[Edit, Edit]:
    """Replace an expression by a part of it: what stands around that part is deleted."""
    whole, kept = part.span(outer), part.span(inner)
    before = Span(whole.path, whole.line, whole.column, kept.line, kept.column)
    after = Span(whole.path, kept.end_line, kept.end_column, whole.end_line, whole.end_column)
    return Edit(before, ""), Edit(after, "")


def other_activation(call: Call, parameter: str, names: dict[str, str]) -> Fix | None:
    """Exchange the activation before a loss for another one, where only the loss consumes it."""
    source = sole_source(call, parameter)
    change = other_function(call.place.site.part, source, names) if source is not None else None
    return unsafe(change) if change is not None else None


def other_function(part: Part, node: cst.Call, names: Mapping[str, str]) -> Edit | None:
    """Exchange the last name of the function in `F.softmax(x)`, `x.softmax(1)` or `nn.Softmax(1)(x)`."""
    named = node.func.func if isinstance(node.func, cst.Call) else node.func
    if not isinstance(named, cst.Attribute) or named.attr.value not in names:
        return None
    of_tensor = named is node.func and activation_input(node) is named.value
    if not of_tensor and not _is_library(part, named.value):  # `model.softmax(x)`: the model has no layer of the other name
        return None
    return replaced(part, named.attr, names[named.attr.value])


def _is_library(part: Part, node: cst.BaseExpression) -> bool:
    """Whether a dotted name leads into an imported module (or one that snippets leave out)."""
    while isinstance(node, cst.Attribute):
        node = node.value
    return isinstance(node, cst.Name) and (node.value in part.module.outline.imports or node.value in CONVENTIONAL_ALIASES)


def as_logsigmoid(part: Part, node: cst.Call) -> tuple[Edit, ...]:
    """Exchange a call of sigmoid for logsigmoid, which torch has only among its functionals; empty where that is not plain."""
    function = node.func
    if not isinstance(function, cst.Attribute) or function.attr.value != "sigmoid" or activation_input(node) is function.value:
        return ()
    if is_name(function.value, "torch"):
        return (replaced(part, function, "torch.nn.functional.logsigmoid"),)
    return (
        (replaced(part, function.attr, "logsigmoid"),) if code(function.value).rpartition(".")[2] in ("F", "functional") else ()
    )


# ------------------------------------------------------------------------------------------------------ arguments and operands
def last_name(node: cst.CSTNode | None) -> str:
    """The last name in an expression: `self.y_test.values` -> y_test, `batch["labels"].cpu()` -> labels."""
    while node is not None:
        match node:
            case cst.Name():
                return node.value
            case cst.Attribute() if node.attr.value not in _ABOUT_ARRAYS:
                return node.attr.value
            case cst.Attribute():
                node = node.value
            case cst.Call(func=cst.Attribute(value=base)):
                node = _first_argument(node) if _is_of_package(base) else base
            case cst.Call():
                node = _first_argument(node)
            case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as text))]):
                return text.raw_value
            case cst.Subscript():
                node = node.value
            case _:
                return ""
    return ""


_ABOUT_ARRAYS = frozenset({"values", "T", "data", "iloc", "loc", "flat"})


def _is_of_package(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Name) and node.value in CONVENTIONAL_ALIASES


def _first_argument(node: cst.Call) -> cst.BaseExpression | None:
    return node.args[0].value if node.args else None


def keyword_of(site: Site, node: cst.CSTNode | None) -> str | None:
    """The keyword with which a call gives an argument; None where it is given by its position."""
    call = site.node
    found = (arg.keyword for arg in call.args if arg.value is node) if isinstance(call, cst.Call) else iter(())
    keyword = next(found, None)
    return keyword.value if keyword is not None else None


def names_keyword(site: Site, name: str) -> bool:
    """Whether a call gives an argument by this keyword, and not None."""
    arguments = site.node.args if isinstance(site.node, cst.Call) else ()
    return any(arg.keyword is not None and arg.keyword.value == name and not is_name(arg.value, "None") for arg in arguments)


def positional(site: Site) -> list[cst.BaseExpression]:
    """The arguments that a call gives by their position; empty where some are unpacked."""
    call = site.node
    if not isinstance(call, cst.Call) or any(arg.star for arg in call.args):
        return []
    return [arg.value for arg in call.args if arg.keyword is None]


def preceded_by(part: Part, node: cst.BaseExpression, text: str) -> Edit:
    """Put `name=` before an argument, outside of any parentheses around it."""
    span = part.span(node.lpar[0] if node.lpar else node)
    return Edit(Span(span.path, span.line, span.column, span.line, span.column), text)


def followed_by(part: Part, node: cst.BaseExpression, text: str) -> tuple[Edit, ...]:
    """Put `.squeeze(-1)` or the like behind an expression, in parentheses where it would bind to the end of it only."""
    if node.rpar:
        return (_inserted_after(part, node.rpar[-1], text),)
    if isinstance(node, cst.Name | cst.Attribute | cst.Call | cst.Subscript):
        return (_inserted_after(part, node, text),)
    span = part.span(node)
    return Edit(Span(span.path, span.line, span.column, span.line, span.column), "("), _inserted_after(part, node, ")" + text)


def _inserted_after(part: Part, node: cst.CSTNode, text: str) -> Edit:
    span = part.span(node)
    return Edit(Span(span.path, span.end_line, span.end_column, span.end_line, span.end_column), text)


def squeezed(loss: Call | Misfit, parameter: str, axis: int) -> Fix | None:
    """Squeeze an axis of an argument in a call, where the argument stands there."""
    node = loss.nodes.get(parameter)
    return unsafe(*followed_by(loss.place.site.part, node, f".squeeze({axis})")) if node is not None else None


def replaced_by_method(site: Site, node: cst.BaseExpression, text: str) -> tuple[Edit, ...]:
    """Put `.transpose(1, 2)` or the like behind one operand of a call, instead of the call; empty where comments would go."""
    whole, kept = site.part.span(site.node), site.part.span(node)
    if "#" in code(site.node):
        return ()
    before = Span(whole.path, whole.line, whole.column, kept.line, kept.column)
    after = Span(whole.path, kept.end_line, kept.end_column, whole.end_line, whole.end_column)
    plain = isinstance(node, cst.Name | cst.Attribute | cst.Call | cst.Subscript)
    return Edit(before, "" if plain else "("), Edit(after, text if plain else ")" + text)


def with_argument(call: Call, name: str, text: str) -> Edit | None:
    """Give a parameter another value, in the call or where the layer that is called was built.

    A literal is replaced, and what was not given is added. None where something else stands there, or comes from elsewhere.
    """
    node = call.nodes.get(name)
    given = site_of(call.place.site.part, node) if node is not None else call.built.get(name)
    if given is not None:
        return replaced(given.part, given.node, text) if is_literal(given.node) else None
    if name in call.arguments:
        return None
    if call.receiver is not None:
        return built_with(call.receiver, name, text)
    return with_keyword(call.place.site, name, text) if call.nodes else None


def is_given(call: Call, name: str) -> bool | None:
    """Whether a parameter gets an argument, in a call or where what is called was built; None where that is not known."""
    if name in call.arguments:
        return True
    is_object = call.name.endswith(".__call__")
    made = constructor(call) if is_object else call.place.site
    node = made.node if made is not None else None
    if not is_object and node is not None and not is_call(node):
        return False  # a function that is named to a library, which calls it with prediction and target only
    return False if isinstance(node, cst.Call) and not any(arg.star for arg in node.args) else None


def built_with(layer: Value, name: str, text: str) -> Edit | None:
    """Say a keyword in the call of a library's class that built a layer; None where it is given by its position."""
    thing = layer.thing
    if not isinstance(thing, Object) or not isinstance(thing.cls, str) or thing.ref.site is None:
        return None
    node = thing.ref.site.node
    positional = [arg for arg in node.args if arg.keyword is None] if isinstance(node, cst.Call) else []
    if name in constructor_parameters(thing.cls, len(positional))[: len(positional)]:
        return None
    return with_keyword(thing.ref.site, name, text)


def with_keyword(site: Site, name: str, text: str) -> Edit | None:
    """Say a keyword in a call; None where unpacked arguments may hold it, or what stands there is no literal."""
    node = site.node
    if not isinstance(node, cst.Call) or any(arg.star for arg in node.args):
        return None
    said = next((arg.value for arg in node.args if arg.keyword is not None and arg.keyword.value == name), None)
    if said is not None:
        return replaced(site.part, said, text) if is_literal(said) else None
    if node.args:
        last = node.args[-1].value
        return _inserted_after(site.part, last.rpar[-1] if last.rpar else last, f", {name}={text}")
    span = site.part.span(node)
    return Edit(Span(span.path, span.end_line, span.end_column - 1, span.end_line, span.end_column - 1), f"{name}={text}")


def with_axis(site: Site, axis: int) -> Edit | None:
    """Give another axis to `F.softmax(x, 1)`, `x.softmax(dim=1)` or `nn.Softmax(1)(x)`; None where none is written there."""
    node = site.node
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Call):
        node = node.func
    numbers = [arg.value for arg in node.args if number_of(arg.value) is not None] if isinstance(node, cst.Call) else []
    return replaced(site.part, numbers[0], str(axis)) if len(numbers) == 1 else None


def _axes_of(node: cst.CSTNode) -> cst.SimpleString | None:
    """The string in an annotation `Float[Tensor, "batch dim"]`."""
    match node:
        case cst.Annotation(
            annotation=cst.Subscript(slice=[_, cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString() as text))])
        ):
            return text
        case _:
            return None


def text_of_axes(node: cst.CSTNode) -> str | None:
    """What an annotation `Float[Tensor, "batch dim"]` says of axes; None of any other."""
    text = _axes_of(node)
    return text.raw_value if text is not None else None


def with_axes(site: Site, axes: str) -> Edit | None:
    """Say other axes in an annotation."""
    text = _axes_of(site.node)
    return replaced(site.part, text, f"{text.prefix}{text.quote}{axes}{text.quote}") if text is not None else None


def loss_object(site: Site, name: str, flag: str) -> Edit | None:
    """Put an object of a loss of Keras, with a flag set, in the place of its name; None where the file does not import Keras."""
    imports = site.part.module.outline.imports
    cls = "".join(word.capitalize() for word in name.rpartition(".")[2].split("_"))
    for alias, what in imports.items():
        package = what.module if what.name is None else f"{what.module}.{what.name}"
        path = {"tensorflow": ".keras.losses", "keras": ".losses", "tensorflow.keras": ".losses", "keras.losses": ""}.get(
            package.replace("tensorflow.keras.", "keras.")
        )
        if path is not None:
            return replaced(site.part, site.node, f"{alias}{path}.{cls}({flag}=True)")
    return None


def factors_of(site: Site) -> Iterator[cst.CSTNode]:
    """What an expression is multiplied with or divided by where it stands."""
    node: cst.CSTNode | None = site.node
    while (above := site.part.parents.get(node) if node is not None else None) is not None:
        if not isinstance(above, cst.BinaryOperation) or not isinstance(above.operator, cst.Multiply | cst.Divide):
            return
        yield above.right if above.left is node else above.left
        node = above


def with_last_axis(part: Part, node: cst.Call) -> Edit:
    """`x.squeeze()` as `x.squeeze(-1)`"""
    span = part.span(node)
    at = Span(span.path, span.end_line, span.end_column - 1, span.end_line, span.end_column - 1)
    return Edit(at, ", -1" if node.args else "-1")


def name_of_nn(part: Part) -> str | None:
    """How a file calls `torch.nn`."""
    for alias, what in part.module.outline.imports.items():
        if (what.module, what.name) in (("torch", "nn"), ("torch.nn", None)) and alias != "torch":
            return alias
    return "torch.nn" if "torch" in part.module.outline.imports else None


def wrapped_in_call(part: Part, node: cst.CSTNode, function: str) -> tuple[Edit, ...]:
    """`function(...)` around a list or dict that is written out; an empty one becomes a call without arguments."""
    if isinstance(node, cst.List | cst.Dict) and not node.elements:
        return (replaced(part, node, f"{function}()"),)
    if isinstance(node, cst.Dict) and not all(
        isinstance(each, cst.DictElement) and isinstance(each.key, cst.SimpleString | cst.FormattedString)
        for each in node.elements
    ):
        return ()
    if not isinstance(node, cst.List | cst.ListComp | cst.Dict):
        return ()
    span = part.span(node)
    before = Span(span.path, span.line, span.column, span.line, span.column)
    after = Span(span.path, span.end_line, span.end_column, span.end_line, span.end_column)
    return Edit(before, f"{function}("), Edit(after, ")")


def _compared_in(function: cst.CSTNode) -> tuple[dict[cst.CSTNode, set[str]], dict[str, set[str]]]:
    """The names that expressions, and names, are compared with in a function."""
    by_node: dict[cst.CSTNode, set[str]] = {}
    by_name: dict[str, set[str]] = {}
    for node in descendants(function):
        pair = _compared(node)
        for one, other in (pair, pair[::-1]) if pair is not None else ():
            prediction, labels = nodes.unwrapped(one), nodes.unwrapped(other)
            if isinstance(labels, cst.Name):
                by_node.setdefault(prediction, set()).add(labels.value)
                if isinstance(prediction, cst.Name):
                    by_name.setdefault(prediction.value, set()).add(labels.value)
    return by_node, by_name


def _compared(node: cst.CSTNode) -> tuple[cst.BaseExpression, cst.BaseExpression] | None:
    """The two sides of `a == b`, `a != b` and `a.eq(b)`."""
    if isinstance(node, cst.Comparison) and isinstance(node.comparisons[0].operator, cst.Equal | cst.NotEqual):
        return node.left, node.comparisons[0].comparator
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "eq" and node.args:
        of_torch = is_name(node.func.value, "torch") and len(node.args) > 1
        return (node.args[0].value, node.args[1].value) if of_torch else (node.func.value, node.args[0].value)
    return None


_LOADS = re.compile(r"loader|_dl\b|\bdl\b", re.IGNORECASE)


def is_prediction_for_labels(place: Place, scores: cst.CSTNode) -> bool:
    """Whether what a call gives is compared with the labels of a batch, and its argument is what a model gives for the rows.

    As the source says it: `for x, y in loader`, `out = model(x)`, `pred = out.argmax()`, `pred == y`.
    """
    part, node = place.site.part, place.site.node
    above = part.parents.get(node)
    kept: cst.CSTNode | None = above.targets[0].target if isinstance(above, cst.Assign) and len(above.targets) == 1 else None
    if isinstance(kept, cst.Tuple) and len(kept.elements) == 2:
        kept = kept.elements[1].value  # `_, pred = torch.max(out, 0)`
    name = kept.value if isinstance(kept, cst.Name) else None
    function = place.function or part.tree
    key = ("compared", function)
    if key not in part.kept:
        part.kept[key] = _compared_in(function)
    by_node, by_name = part.kept[key]
    compared = by_node.get(node, set()) | by_name.get(name, set())
    made = [scores, *sources_of(place, scores)]
    passed = [nodes.unwrapped(arg.value) for one in made if isinstance(one, cst.Call) for arg in one.args]
    given = {argument.value for argument in passed if isinstance(argument, cst.Name)}
    here: cst.CSTNode | None = node
    while here is not None:
        if isinstance(here, cst.For) and _LOADS.search(code(here.iter)):
            batch: cst.BaseExpression = here.target
            if isinstance(batch, cst.Tuple) and isinstance(batch.elements[-1].value, cst.Tuple):
                batch = batch.elements[-1].value  # `for step, (x, y) in enumerate(loader)`
            elements = batch.elements if isinstance(batch, cst.Tuple) else ()
            names = [each.value.value for each in elements if isinstance(each.value, cst.Name)]
            if len(names) == 2 and names[0] in given and names[1] in compared:
                return True
        here = part.parents.get(here)
    return False


def argument_of(node: cst.CSTNode, position: int, *names: str) -> cst.BaseExpression | None:
    """The argument of a call that is given by its position, or by one of these names."""
    if not isinstance(node, cst.Call):
        return None
    positional = [arg.value for arg in node.args if arg.keyword is None and not arg.star]
    named = {arg.keyword.value: arg.value for arg in node.args if arg.keyword is not None}
    found = next((named[name] for name in names if name in named), None)
    return found if found is not None or position >= len(positional) else positional[position]


# ------------------------------------------------------------------------------------------------------------------ statements


def statement_of(place: Place) -> cst.CSTNode | None:
    """The statement line or compound statement that holds a place."""
    return statement_at(place.site)


def statement_at(site: Site) -> cst.CSTNode | None:
    """The innermost statement line, or compound statement's header, that holds a site."""
    node: cst.CSTNode | None = site.node
    while node is not None and not isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
        node = site.part.parents.get(node)
    return node


def is_used(site: Site) -> bool:
    """Whether the value of an expression is used: it is not a statement by itself."""
    statement = statement_at(site)
    return not (isinstance(statement, cst.SimpleStatementLine) and any(_is_alone(one, site.node) for one in statement.body))


def _is_alone(statement: cst.CSTNode, node: cst.CSTNode) -> bool:
    return isinstance(statement, cst.Expr) and statement.value is node


def is_bound_between(site: Site, outer: cst.CSTNode, expression: cst.BaseExpression) -> bool:
    """Whether a loop inside another node, around a site, binds the name that an expression begins with."""
    root: cst.CSTNode = expression
    while isinstance(root, cst.Attribute | cst.Subscript):
        root = root.value
    node = site.part.parents.get(site.node)
    while node is not None and node is not outer:
        targets = descendants(node.target) if isinstance(node, cst.For) else ()
        if isinstance(root, cst.Name) and any(is_name(target, root.value) for target in targets):
            return True
        node = site.part.parents.get(node)
    return False


def siblings(part: Part, statement: cst.CSTNode) -> list[cst.CSTNode]:
    """The statements of the block that a statement stands in, in order."""
    block = part.parents.get(statement)
    return list(block.body) if isinstance(block, cst.IndentedBlock | cst.Module) else []


def following(part: Part, statement: cst.CSTNode) -> tuple[Part, cst.CSTNode] | None:
    """The statement after one in the same block; at the top level it belongs to the next part of the module."""
    block = siblings(part, statement)
    if statement in block[:-1]:
        return part, block[block.index(statement) + 1]
    if not isinstance(part.parents.get(statement), cst.Module) or part is part.module.parts[-1]:
        return None
    next_part = part.module.parts[part.module.parts.index(part) + 1]
    return (next_part, next_part.tree.body[0]) if next_part.tree.body else None


def function_around(part: Part, node: cst.CSTNode) -> cst.CSTNode | None:
    """The innermost function definition around a node."""
    here: cst.CSTNode | None = node
    while here is not None and not isinstance(here, cst.FunctionDef):
        here = part.parents.get(here)
    return here


def outermost_function(site: Site) -> cst.FunctionDef | None:
    """The outermost function definition around a place, below its class."""
    found: cst.FunctionDef | None = None
    here: cst.CSTNode | None = site.node
    while here is not None:
        found = here if isinstance(here, cst.FunctionDef) else found
        here = None if isinstance(here, cst.ClassDef) else site.part.parents.get(here)
    return found


def is_parameter(place: Place, node: cst.CSTNode) -> bool:
    """Whether an expression is a parameter of the function under way, which its callers know better."""
    function = place.function
    if not isinstance(function, cst.FunctionDef) or not isinstance(node, cst.Name):
        return False
    params = function.params
    return any(is_name(param.name, node.value) for param in (*params.posonly_params, *params.params, *params.kwonly_params))


def sources_of(place: Place, node: cst.CSTNode) -> list[cst.CSTNode]:
    """What a name is given in the function under way."""
    if not isinstance(node, cst.Name):
        return []
    part = place.site.part
    return list(part.names_in(place.function or part.tree).made.get(node.value, []))


def tests_over(site: Site) -> Iterator[cst.CSTNode]:
    """The tests that decide, within its function, whether a place is reached: around it, or before a return."""
    part = site.part
    around: set[cst.CSTNode] = set()
    here: cst.CSTNode | None = site.node
    while here is not None:
        around.add(here)
        here = part.parents.get(here)
    function = function_around(part, site.node)
    key = ("tests", function)
    if key not in part.kept:
        part.kept[key] = list(_tests_in(function)) if function is not None else []
    for node, leaves in part.kept[key]:
        if node in around or leaves:
            yield node.test


def _tests_in(function: cst.CSTNode) -> Iterator[tuple[cst.If | cst.IfExp | cst.While, bool]]:
    """What tests something in a function, and whether the function may be left there."""
    for node in descendants(function):
        if isinstance(node, cst.If | cst.IfExp | cst.While):
            yield node, isinstance(node, cst.If) and any(isinstance(one, cst.Return) for one in descendants(node.body))


def is_attribute_of(site: Site) -> bool:
    """Whether what is made at a place is assigned to an attribute, which outlives the function."""
    statement = statement_at(site)
    found = descendants(statement) if statement is not None else ()
    return any(isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Attribute) for node in found)


def holds(part: Part, outer: cst.CSTNode, node: cst.CSTNode) -> bool:
    """Whether a node is another one, or below it."""
    here: cst.CSTNode | None = node
    while here is not None and here is not outer:
        here = part.parents.get(here)
    return here is outer


def lines_of(part: Part, statement: cst.CSTNode) -> Span:
    """The whole lines of a statement, its line end included."""
    span = part.span(statement)
    return Span(span.path, span.line, 1, span.end_line + 1, 1)


def text_of_lines(part: Part, statement: cst.CSTNode) -> str:
    """The text of a statement's whole lines, ended by a newline."""
    span = lines_of(part, statement)
    text = "".join(part.module.outline.lines[span.line - 1 : span.end_line - 1])
    return text if text.endswith(("\n", "\r")) else text + "\n"


def inserted_before(part: Part, statement: cst.CSTNode, text: str) -> Edit:
    """A line of its own before a statement, indented alike."""
    span = part.span(statement)
    at = Span(span.path, span.line, 1, span.line, 1)
    return Edit(at, _indent(part, span.line) + text + "\n")


def inserted_after(part: Part, statement: cst.CSTNode, text: str) -> Edit:
    """Whole lines after a statement."""
    span = lines_of(part, statement)
    at = Span(span.path, span.end_line, 1, span.end_line, 1)
    missing = "" if span.end_line <= len(part.module.outline.lines) or part.module.text.endswith("\n") else "\n"
    return Edit(at, missing + text)


def _indent(part: Part, line: int) -> str:
    text = part.module.outline.lines[line - 1]
    return text[: len(text) - len(text.lstrip())]


def put_under(part: Part, statement: cst.CSTNode, header: str) -> tuple[Edit, ...]:
    """Indent a statement under a header of its own: a `with`."""
    span = part.span(statement)
    path, lines = span.path, part.module.outline.lines
    unit = "\t" if _indent(part, span.line).startswith("\t") else "    "
    numbers = [number for number in range(span.line, span.end_line + 1) if lines[number - 1].strip()]
    inside = tuple(Edit(Span(path, number, 1, number, 1), unit) for number in numbers if number != span.line)
    return Edit(Span(path, span.line, 1, span.line, 1), f"{_indent(part, span.line)}{header}\n{unit}"), *inside


def indented_like(part: Part, statement: cst.CSTNode, text: str) -> str:
    """A line with a statement's indentation."""
    return _indent(part, part.span(statement).line) + text + "\n"


def removed(part: Part, statement: cst.CSTNode) -> Edit:
    """Delete a statement's whole lines."""
    return Edit(lines_of(part, statement), "")


def moved_after(part: Part, statement: cst.CSTNode, target: cst.CSTNode) -> Fix | None:
    """Move a statement directly behind another one of the same block."""
    block = siblings(part, statement)
    if statement not in block or target not in block:
        return None
    return unsafe(removed(part, statement), inserted_after(part, target, text_of_lines(part, statement)))


def name_of_function(part: Part, package: str, function: str) -> tuple[str, tuple[Edit, ...]] | None:
    """How a file calls a function, and the import line that it lacks; None where the package's name is taken."""
    outline = part.module.outline
    for name, what in outline.imports.items():
        if what.level == 0 and (what.module, what.name) == (package, function):
            return name, ()
        if what.level == 0 and (what.module, what.name) == (package, None) and (name == package or "." not in package):
            return f"{name}.{function}", ()
    if package in outline.imports or package in part.module.part_of or package in part.bound_names:
        return None
    lines = outline.lines
    before = [one for one in outline.statements if not lines[one.first - 1].startswith(("from __future__", *_QUOTES))]
    first = next((one for one in before if one.kind is Kind.IMPORT), before[0] if before else None)
    if first is None or part.module.text[:1] == "\ufeff":
        return None
    end = "\r\n" if lines[first.first - 1].endswith("\r\n") else "\n"
    text = f"import {package}{end if first.kind is Kind.IMPORT else 3 * end}"
    return f"{package}.{function}", (Edit(Span(part.module.path, first.first, 1, first.first, 1), text),)


def precedes(part: Part, one: cst.CSTNode, other: cst.CSTNode) -> bool:
    """Whether one statement stands before another of the same block."""
    block = siblings(part, one)
    return one in block and other in block and block.index(one) < block.index(other)


def same_block(one: Place, other: Place) -> bool:
    """Whether the statements that hold two places stand in the same block."""
    if one.site.part is not other.site.part:
        return False
    first, second = statement_of(one), statement_of(other)
    return first is not None and second is not None and first is not second and second in siblings(one.site.part, first)


def outermost_evaluation(place: Place) -> cst.CSTNode | None:
    """The outermost loop or with-statement around a place, within its function and below any loop that also trains."""
    parents = place.site.part.parents
    node: cst.CSTNode | None = place.site.node
    best = statement_of(place)
    while node is not None and node is not place.function:
        if isinstance(node, cst.For | cst.While) and any(_is_backward(found) for found in descendants(node)):
            break
        if isinstance(node, cst.For | cst.While | cst.With):
            best = node
        node = parents.get(node)
    return best


def _is_backward(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Attribute) and node.attr.value == "backward"


def unpacked_names(site: Site) -> list[cst.Name | cst.Attribute]:
    """The names and attributes that the statement at a call unpacks its result into."""
    statement = statement_at(site)
    for node in descendants(statement) if statement is not None else ():
        if isinstance(node, cst.Assign) and node.value is site.node and isinstance(node.targets[0].target, cst.Tuple | cst.List):
            return [
                element.value
                for element in node.targets[0].target.elements
                if isinstance(element.value, cst.Name | cst.Attribute)
            ]
    return []
