"""Whether the gradient of a value can reach parameters, as far as the text around says it: followed backwards from the value.

Calls of anything but known functions may use parameters of their own, and what comes from outside a function may carry a
gradient: only where every way back ends at something that has none, or is cut off from it, is that said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from mldbg.lint import edit, nodes
from mldbg.lint.interpret.value import ClassThing, Function, Object
from mldbg.lint.library.names import says_label, says_loader, says_loss

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.facts import Call
    from mldbg.lint.interpret.module import Module, Part
    from mldbg.lint.interpret.value import Value
else:
    from mldbg.lint.nodes import cst  # loaded when it is first used

DEEPEST_STEP = 120
"""Steps back from a value until nothing more is said."""

MOST_SEEN = 200
"""Expressions that are looked at on the way back to a source."""

DEEPEST_FUNCTION = 2
"""Functions of the project inside one another that are followed."""


class Flow(IntEnum):
    """What a value carries; of a sum the greatest of its terms."""

    NONE = 0
    """No gradient, and none was ever there: numbers, labels."""
    CUT = 1
    """None any more."""
    RAW = 2
    """Perhaps one: it comes from outside."""
    GRADIENT = 3
    """One, or it may be: it comes from a call that is not known."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What a value carries, and where and by what it was cut off."""

    flow: Flow
    part: Part | None = None
    node: cst.CSTNode | None = None
    by: str = ""


NOTHING, RAW, GRADIENT = Carried(Flow.NONE), Carried(Flow.RAW), Carried(Flow.GRADIENT)

_SHAPING = frozenset(
    word
    for words in (
        "float double half bfloat16 to cuda cpu view reshape flatten squeeze unsqueeze permute transpose t contiguous clone",
        "expand repeat chunk split stack cat hstack vstack concatenate concat unbind where type type_as masked_fill data",
        "mean sum prod abs pow sqrt exp log log2 log1p square clamp clip min max norm std var neg div mul add sub cumsum average",
        "softmax log_softmax sigmoid tanh relu logsumexp amax amin maximum minimum mse_loss mean_squared_error",
        "item tolist numpy detach argmax argmin argsort round floor ceil sign long int bool nonzero eq ne gt lt ge le any all",
        "array asarray as_tensor tensor from_numpy FloatTensor Tensor LongTensor astype requires_grad_ size numel dim one_hot",
    )
    for word in words.split()
)
"""Functions and methods of tensors and arrays whose result carries what their arguments do, or nothing."""

_OF_SEVERAL = frozenset(
    {"where", "type_as", "masked_fill", "pow", "clamp", "clip", "min", "max", "div", "mul", "add", "sub", "maximum", "minimum"}
    | {"mse_loss", "mean_squared_error", "average", "eq", "ne", "gt", "lt", "ge", "le", "stack", "cat", "hstack", "vstack"}
    | {"concatenate", "concat"}
)
"""Those whose further arguments may be tensors that the result is computed from; of others they are sizes, axes and devices."""

_CUTS = {
    **dict.fromkeys(("argmax", "argmin", "argsort", "nonzero", "multinomial", "bernoulli"), "gives indices"),
    **dict.fromkeys(("round", "floor", "ceil", "sign"), "has a gradient of zero everywhere"),
    **dict.fromkeys(("long", "int", "bool"), "makes whole numbers"),
    **dict.fromkeys(("eq", "ne", "gt", "lt", "ge", "le"), "compares"),
    **dict.fromkeys(("item", "tolist"), "makes a plain number"),
    **dict.fromkeys(("numpy", "array", "asarray", "astype"), "makes an array"),
    **dict.fromkeys(("tensor", "as_tensor", "FloatTensor", "Tensor", "LongTensor", "from_numpy"), "makes a new tensor"),
    "detach": "detach",
}
"""Functions and methods whose result carries no gradient, and why."""

_MAKES_TENSOR = frozenset({"tensor", "as_tensor", "FloatTensor", "Tensor", "LongTensor", "from_numpy", "array", "asarray"})
_DELIBERATE = frozenset({"detach", "data", "no_grad"})
"""What says that no gradient is wanted, rather than that none is left."""

_MODULES = re.compile(r"^(torch|np|numpy|F|functional|nn\.functional|torch\.nn\.functional|math|builtins)$")
_WEIGHT = re.compile(r"^(lam|lambda|alpha|beta|gamma|eta|mu)\w*_?$|(^|_)(weight|coef|coeff|strength|factor)$", re.IGNORECASE)
"""What the weight of a term is called."""

_NUMBERS = frozenset({"float", "int", "len", "range", "bool"})


class Backtrace:
    """Follows values of one file backwards.

    Attributes:
        losses: the calls of losses that are known, with what each gets.
        forwards: the forward methods that calls of models run.
        weighted: a factor that is an attribute is the weight of a term: what it may learn itself does not count.
        inside: what comes from outside a function has no gradient.
    """

    def __init__(
        self,
        losses: Mapping[cst.CSTNode, Call],
        forwards: Mapping[cst.CSTNode, Part],
        *,
        weighted: bool = False,
        inside: bool = False,
    ) -> None:
        self._losses = losses
        self._forwards = forwards
        self._weighted = weighted
        self._outside = NOTHING if inside else RAW
        self._steps = 0
        self._callers: list[tuple[Part, cst.Call, cst.FunctionDef]] = []

    def carried(self, node: cst.CSTNode, part: Part) -> Carried:
        """What an expression carries."""
        self._steps = 0
        return self._of(node, part, frozenset(), 0)

    def _of(self, node: cst.CSTNode, part: Part, seen: frozenset[cst.CSTNode], inside: int) -> Carried:
        self._steps += 1
        if self._steps > DEEPEST_STEP or node in seen:
            return GRADIENT if node not in seen else NOTHING
        seen |= {node}
        match node:
            case cst.BaseNumber() | cst.SimpleString() | cst.FormattedString():
                return NOTHING
            case cst.Name(value=name):
                return NOTHING if name in ("True", "False", "None") else self._name(node, part, seen, inside)
            case cst.UnaryOperation(expression=inner):
                return self._of(inner, part, seen, inside)
            case cst.BinaryOperation(left=left, operator=operator, right=right):
                scales = isinstance(operator, cst.Multiply | cst.Divide)
                sides = [side for side in (left, right) if not (scales and self._weighted and _is_setting(side))]
                return self._all(sides, part, seen, inside)
            case cst.Comparison(left=left, comparisons=several):
                compared = self._all([left, *(one.comparator for one in several)], part, seen, inside)
                return _cut(compared, part, node, "compares")
            case cst.BooleanOperation(left=left, right=right):
                return self._all([left, right], part, seen, inside)
            case cst.IfExp(body=body, orelse=orelse):
                return self._all([body, orelse], part, seen, inside)
            case cst.List(elements=elements) | cst.Tuple(elements=elements):
                return self._all([element.value for element in elements], part, seen, inside)
            case cst.ListComp(elt=elt) | cst.GeneratorExp(elt=elt):
                return self._of(elt, part, seen, inside)
            case cst.Subscript(value=value):
                held = self._of(value, part, seen, inside)
                return _cut(held, part, node, "gives indices") if _picks_indices(node) else held
            case cst.Attribute(value=value, attr=cst.Name(value=name)):
                return self._attribute(node, value, name, part, seen, inside)
            case cst.Call():
                return self._call(node, part, seen, inside)
        return GRADIENT

    def _all(self, nodes: Iterable[cst.CSTNode], part: Part, seen: frozenset[cst.CSTNode], inside: int) -> Carried:
        return max((self._of(node, part, seen, inside) for node in nodes), key=lambda one: one.flow, default=NOTHING)

    def _attribute(
        self, node: cst.CSTNode, value: cst.CSTNode, name: str, part: Part, seen: frozenset[cst.CSTNode], inside: int
    ) -> Carried:
        if name in ("shape", "ndim", "device", "dtype"):
            return NOTHING
        if nodes.is_name(value, "self") and _is_number_of_object(part, name):
            return NOTHING
        held = self._of(value, part, seen, inside)
        if name == "data":
            return _cut(held, part, node, "data") if held.flow is not Flow.NONE else NOTHING
        if name == "indices":
            return _cut(held, part, value, "gives indices")
        return held if held.flow is not Flow.NONE else self._outside

    def _name(self, node: cst.Name, part: Part, seen: frozenset[cst.CSTNode], inside: int) -> Carried:
        values: list[cst.BaseExpression | None] = list(_reaching(node, part))
        found: list[Carried] = []
        if not values or None in values:
            computed: list[cst.BaseExpression | None] = [value for value in values if value is not None]
            given = self._given(node.value, seen, inside) if not computed else None
            if given is not None and given.flow is Flow.GRADIENT:
                return given  # whatever the name says
            if says_label(node.value) or _is_number_of_module(node, part):
                return NOTHING
            if not _is_of_a_loader(node, part):
                return given if given is not None else self._outside
            values = computed
        for value in values:
            assert value is not None
            one = self._of(value, part, seen, inside)
            found.append(
                _cut(one, part, value, "no_grad") if one.flow is Flow.GRADIENT and _is_without_grad(value, part) else one
            )
        return max(found, key=lambda one: one.flow, default=NOTHING)

    def _given(self, name: str, seen: frozenset[cst.CSTNode], inside: int) -> Carried | None:
        """What the caller gives a parameter of the function that is being followed; None where that is not known."""
        if not self._callers:
            return None
        part, call, function = self._callers.pop()
        try:
            parameters = nodes.parameters(function)
            if name == "self" or name not in parameters or nodes.has_unpacked(call):
                return None
            place = parameters.index(name) - (bool(parameters) and parameters[0] == "self")
            argument = nodes.argument(call, name, place) or nodes.default_of(function, name)
            return self._of(argument, part, seen, inside - 1) if argument is not None else None
        finally:
            self._callers.append((part, call, function))

    def _call(self, node: cst.Call, part: Part, seen: frozenset[cst.CSTNode], inside: int) -> Carried:
        loss = self._losses.get(node)
        if loss is not None:
            given = [loss.nodes[name] for name in ("input", "target") if name in loss.nodes]
            return self._all(given, part, seen, inside) if "input" in loss.nodes else GRADIENT
        name, receiver = _called(node)
        if receiver is None and name in _NUMBERS:
            held = self._all([arg.value for arg in node.args], part, seen, inside)
            return _cut(held, part, node, "makes a plain number") if name in ("float", "int") else NOTHING
        if receiver is None and name == "sum":
            return self._all([arg.value for arg in node.args[:1]], part, seen, inside)
        own = self._own(node, part, seen, inside)
        if own is not None:
            return own
        if name not in _SHAPING or (receiver is None and name not in _MAKES_TENSOR):
            return GRADIENT
        of_module = receiver is not None and _MODULES.match(nodes.code(receiver)) is not None
        given = [arg.value for arg in node.args if arg.keyword is None or arg.keyword.value in ("input", "tensors")]
        of_layer = receiver is not None and nodes.is_name(receiver, "self")  # `self.log_softmax(x)`: a layer of that name
        operands = given if of_module or of_layer or receiver is None else [receiver, *given]
        held = self._all(operands if name in _OF_SEVERAL else operands[:1], part, seen, inside)
        if name == "requires_grad_":
            return held if _is_scalar_loss(node, part) or _is_step_function(held) else GRADIENT
        if name in _MAKES_TENSOR:
            return self._made(node, held, part)
        return _cut(held, part, node, _CUTS[name]) if name in _CUTS else held

    def _made(self, node: cst.Call, held: Carried, part: Part) -> Carried:
        """`torch.tensor(...)`: no gradient goes through it. With one of its own it is a leaf, unless a loss is put into it."""
        leaf = any(
            arg.keyword is not None and arg.keyword.value == "requires_grad" and nodes.code(arg.value) == "True"
            for arg in node.args
        )
        if held.flow in (Flow.NONE, Flow.RAW):
            return GRADIENT if leaf else NOTHING
        if leaf and not (_is_scalar_loss(node, part) or _is_step_function(held)):
            return GRADIENT
        return Carried(Flow.CUT, part, node, "makes a new tensor")

    def _own(self, node: cst.Call, part: Part, seen: frozenset[cst.CSTNode], inside: int) -> Carried | None:
        """What a function of the module, or a method of the class around, returns; None where it is none of these."""
        name, receiver = _called(node)
        is_method = receiver is not None and nodes.is_name(receiver, "self")
        forward = self._forwards.get(node)
        home = (forward, forward.function) if forward is not None else None
        if home is None and (receiver is None or is_method):
            home = _function(part, name, is_method)
        if inside >= DEEPEST_FUNCTION or home is None:
            return None
        owner, function = home
        returned = [one.value for one in nodes.descendants(function) if isinstance(one, cst.Return) and one.value is not None]
        if not returned:
            return GRADIENT
        self._callers.append((part, node, function))
        try:
            return self._all(returned, owner, seen, inside + 1)
        finally:
            self._callers.pop()


def _cut(held: Carried, part: Part, node: cst.CSTNode, by: str) -> Carried:
    """What is left of something that is cut here; the last cut is told, unless it is one on purpose."""
    if held.flow is Flow.NONE:
        return NOTHING
    return held if held.flow is Flow.CUT and by in _DELIBERATE else Carried(Flow.CUT, part, node, by)


def is_deliberate(carried: Carried) -> bool:
    """Whether code says that no gradient is wanted: `detach()`, `.data`, `no_grad`."""
    return carried.by in _DELIBERATE


def _is_step_function(carried: Carried) -> bool:
    """Whether it was cut by what no leaf is made from: indices, whole numbers, comparisons."""
    return carried.flow is Flow.CUT and carried.by not in (*_DELIBERATE, _CUTS["numpy"], _CUTS["tensor"], _CUTS["item"])


def _is_scalar_loss(node: cst.CSTNode, part: Part) -> bool:
    """Whether a call is given the name of a loss, or applied to one: what comes out goes to backward, and to no model."""
    parent = part.parents.get(node)
    while isinstance(parent, cst.Attribute | cst.Call | cst.BinaryOperation | cst.Arg):  # `torch.tensor(losses).mean()`
        parent = part.parents.get(parent)
    if isinstance(parent, cst.Assign) and len(parent.targets) == 1:
        return says_loss(nodes.code(parent.targets[0].target).rpartition(".")[2])
    called = node.func.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else None
    return isinstance(called, cst.Name) and says_loss(called.value)


def _is_setting(node: cst.BaseExpression) -> bool:
    """`self.weight`, `0.5`, `ALPHA`: a factor that was set somewhere."""
    if isinstance(node, cst.Attribute):
        return nodes.is_name(node.value, "self") or nodes.code(node.value).rpartition(".")[2] in (
            "args",
            "cfg",
            "config",
            "opt",
            "hparams",
        )
    if isinstance(node, cst.Name):
        return node.value.isupper() or _WEIGHT.search(node.value) is not None
    return isinstance(node, cst.BaseNumber)


def _called(node: cst.Call) -> tuple[str, cst.BaseExpression | None]:
    if isinstance(node.func, cst.Attribute):
        return node.func.attr.value, node.func.value
    return (node.func.value, None) if isinstance(node.func, cst.Name) else ("", node.func)


def _function(part: Part, name: str, is_method: bool) -> tuple[Part, cst.FunctionDef] | None:
    """A function at the top level of the module, or a method of the class that a method belongs to."""
    if not is_method:
        found = _definition(part.module, name)
        return (found, found.function) if found is not None and edit.is_function(found) else None
    methods = _methods_beside(part)
    found = methods.get(name) or _forward_of_layer(methods.get("__init__"), name)
    return (found, found.function) if found is not None else None


def _definition(module: Module, name: str) -> Part | None:
    """The function or class of a name at the top level of a module; of an imported one where somebody has used it."""
    imported = module.definitions.get(name)
    thing = imported.thing if imported is not None else None
    return module.part_of.get(name) or (thing.part if isinstance(thing, Function | ClassThing) and thing.inner is None else None)


def _methods_beside(part: Part) -> dict[str, Part]:
    """The methods of the class that a method belongs to."""
    for one in part.module.parts:
        if part in one.methods.values():
            return {method.statement.names[0]: method for method in one.methods.values()}
    return {}


def _is_number_of_object(part: Part, name: str) -> bool:
    """Whether `__init__` gives an attribute a number, or what a parameter of that name has for a default: `eps=1e-6`."""
    init = _methods_beside(part).get("__init__")
    if init is None:
        return False
    made = nodes.attributes_bound(init.function).get(name, [])
    default = nodes.default_of(init.function, name)
    return len(made) == 1 and any(one is not None and nodes.float_of(one) is not None for one in (made[0], default))


def _forward_of_layer(init: Part | None, name: str) -> Part | None:
    """The forward method of what `__init__` makes an attribute: `self.dice = DiceLoss()`."""
    made = nodes.attributes_bound(init.function).get(name, []) if init is not None else []
    called = nodes.called(made[0]) if len(made) == 1 else None
    cls = nodes.name_of(called) if called is not None else None
    if init is None or cls is None:
        return None
    found = _definition(init.module, cls)
    methods = found.methods.values() if found is not None else ()
    return next((method for method in methods if method.statement.names[0] == "forward"), None)


# -------------------------------------------------------------------------------------------------------- what a name may hold
def _reaching(name: cst.Name, part: Part) -> Iterator[cst.BaseExpression | None]:
    """The expressions that a name may have been given where it stands; None for what comes from outside, or is not followed."""
    statement = _statement(name, part)
    while statement is not None:
        block = edit.siblings(part, statement)
        before = block[: block.index(statement)] if statement in block else []
        for one in reversed(before):
            found, certain = _given(one, name.value)
            yield from found
            if certain:
                return
        around = _compound_around(part, statement)
        if isinstance(around, cst.For | cst.While):
            for one in block[block.index(statement) :]:
                yield from _given(one, name.value)[0]
            if isinstance(around, cst.For) and any(nodes.is_name(each, name.value) for each in nodes.descendants(around.target)):
                yield None
                return
        if around is None or isinstance(around, cst.FunctionDef | cst.ClassDef):
            yield None
            return
        statement = around
    yield None


def _given(statement: cst.CSTNode, name: str) -> tuple[list[cst.BaseExpression | None], bool]:
    """What a statement gives a name, and whether it holds nothing else afterwards."""
    inside = _blocks(statement)
    if inside and not (isinstance(statement, cst.With) and _binds(statement, name)):
        each = [_given_in(block, name) for block in inside]
        return [value for values, _ in each for value in values], all(certain for _, certain in each)
    found: list[cst.BaseExpression | None] = []
    for node in nodes.descendants(statement):
        if isinstance(node, cst.Assign):
            for target in node.targets:
                if nodes.is_name(target.target, name):
                    found.append(node.value)
                elif isinstance(target.target, cst.Tuple) and any(
                    nodes.is_name(one.value, name) for one in target.target.elements
                ):
                    found.append(_unpacked(target.target, node.value, name))
                elif isinstance(target.target, cst.Subscript) and nodes.is_name(target.target.value, name):
                    found.append(node.value)
        elif isinstance(node, cst.AugAssign | cst.AnnAssign) and nodes.is_name(node.target, name):
            found.append(node.value)
        elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and nodes.is_name(node.func.value, name):
            if node.func.attr.value in ("append", "extend") and node.args:
                found.append(node.args[0].value)
        elif isinstance(node, cst.For | cst.With | cst.NamedExpr) and _binds(node, name):
            found.append(None)
    small = statement.body if isinstance(statement, cst.SimpleStatementLine) else ()
    return found, bool(found) and any(isinstance(one, cst.Assign | cst.AnnAssign) and not _writes_item(one) for one in small)


def _blocks(statement: cst.CSTNode) -> list[cst.BaseSuite]:
    """The blocks of which one is executed for certain: that of a `with`, and those of an `if` with an `else`."""
    if isinstance(statement, cst.With):
        return [statement.body]
    if isinstance(statement, cst.If) and isinstance(statement.orelse, cst.Else):
        return [statement.body, statement.orelse.body]
    return []


def _given_in(block: cst.BaseSuite, name: str) -> tuple[list[cst.BaseExpression | None], bool]:
    found: list[cst.BaseExpression | None] = []
    for one in reversed(block.body):
        values, certain = _given(one, name)
        found += values
        if certain:
            return found, True
    return found, False


def _writes_item(node: cst.Assign | cst.AnnAssign) -> bool:
    return isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Subscript)


def _binds(node: cst.CSTNode, name: str) -> bool:
    if isinstance(node, cst.For | cst.NamedExpr):
        return any(nodes.is_name(one, name) for one in nodes.descendants(node.target))
    items = node.items if isinstance(node, cst.With) else ()
    return any(item.asname is not None and nodes.is_name(item.asname.name, name) for item in items)


def _unpacked(target: cst.Tuple, value: cst.BaseExpression, name: str) -> cst.BaseExpression | None:
    """Of `a, b = x, y` the right one; of `values, indices = x.max(1)` the indices as an attribute; else unknown."""
    place = _place_in(target, name)
    if place is not None and isinstance(value, cst.Tuple) and len(value.elements) == len(target.elements):
        return value.elements[place].value
    picks = isinstance(value, cst.Call) and _called(value)[0] in ("max", "min", "topk", "sort") and place == 1
    return cst.Attribute(value, cst.Name("indices")) if picks else None


def _picks_indices(node: cst.Subscript) -> bool:
    """`torch.max(outputs, 1)[1]`."""
    call, index = node.value, node.slice[0].slice
    if not isinstance(call, cst.Call) or len(node.slice) != 1 or not isinstance(index, cst.Index):
        return False
    name, receiver = _called(call)
    of_module = receiver is not None and _MODULES.match(nodes.code(receiver)) is not None
    has_axis = name in ("sort", "topk") or len(call.args) > of_module
    return name in ("max", "min", "topk", "sort") and has_axis and nodes.number_of(index.value) == 1


def _is_number_of_module(node: cst.Name, part: Part) -> bool:
    """`ACCUMULATE = 4` at the top level."""
    bound = part.module.part_of.get(node.value)
    return bound is not None and re.match(rf"{node.value}\s*(?::[^=]+)?=\s*-?[\d.][\w.+-]*\s*$", bound.code) is not None


def _is_of_a_loader(node: cst.Name, part: Part) -> bool:
    """Whether the innermost loop that binds a name goes through the batches of a loader: what it gives was never computed."""
    here = part.parents.get(node)
    while here is not None and not isinstance(here, cst.FunctionDef):
        if isinstance(here, cst.For) and any(nodes.is_name(one, node.value) for one in nodes.descendants(here.target)):
            return any(nodes.is_any_name(one) and says_loader(one.value) for one in nodes.descendants(here.iter))
        here = part.parents.get(here)
    return False


def _place_in(target: cst.Tuple, name: str) -> int | None:
    return next((index for index, one in enumerate(target.elements) if nodes.is_name(one.value, name)), None)


def _is_without_grad(node: cst.CSTNode, part: Part) -> bool:
    """Whether a statement stands under `with torch.no_grad():`."""
    here: cst.CSTNode | None = node
    while here is not None and not isinstance(here, cst.FunctionDef):
        if isinstance(here, cst.With) and any(re.search(r"no_grad|inference_mode", nodes.code(item.item)) for item in here.items):
            return True
        here = part.parents.get(here)
    return False


def _statement(node: cst.CSTNode, part: Part) -> cst.CSTNode | None:
    here: cst.CSTNode | None = node
    while here is not None and not isinstance(here, cst.SimpleStatementLine | cst.BaseCompoundStatement):
        here = part.parents.get(here)
    return here


def _compound_around(part: Part, node: cst.CSTNode) -> cst.CSTNode | None:
    """The loop, branch or definition that a statement stands in."""
    here = part.parents.get(node)
    while here is not None and not isinstance(here, cst.BaseCompoundStatement):
        here = part.parents.get(here)
    return here


# ---------------------------------------------------------------------------------------------------------------- what is asked
def forward_of(model: Value) -> Part | None:
    """The forward method of a class of the project, if the model is of one that defines it itself."""
    thing = model.thing
    if not isinstance(thing, Object) or not isinstance(thing.cls, ClassThing) or thing.cls.inner is not None:
        return None
    methods = {method.statement.names[0]: method for method in thing.cls.part.methods.values()}
    return methods.get("forward")


def is_meant(term: Carried) -> bool:
    """Whether a term is detached on purpose; a sum over `p.data` of all parameters is an old way to write a penalty."""
    if not is_deliberate(term) or term.part is None or term.node is None:
        return False
    around = _compound_around(term.part, term.node)
    sums = term.by == "data" and isinstance(around, cst.For) and re.search(r"parameters\(", nodes.code(around.iter)) is not None
    return not sums


def terms_in(scope: cst.CSTNode, part: Part) -> dict[cst.CSTNode, list[tuple[cst.BaseExpression, cst.BaseExpression]]]:
    """What goes into the sums of a function: as a term itself, in a sum or product that is one, or by a name that holds such.

    Each expression is given with the two sides of its sum: the one that it is in, and the other.
    """
    found: dict[cst.CSTNode, list[tuple[cst.BaseExpression, cst.BaseExpression]]] = {}
    for one, other in _sums_in(scope):
        for node in _made_of(one, part):
            found.setdefault(node, []).append((one, other))
    return found


def _sums_in(scope: cst.CSTNode) -> Iterator[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """The two sides of each sum in a function, either way round."""
    for node in nodes.descendants(scope):
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Add):
            yield node.left, node.right
            yield node.right, node.left
        elif isinstance(node, cst.AugAssign) and isinstance(node.operator, cst.AddAssign) and isinstance(node.target, cst.Name):
            yield node.target, node.value


def _made_of(node: cst.CSTNode, part: Part) -> set[cst.CSTNode]:
    """An expression, the sides of the sums and products in it, and what the names among them hold."""
    seen: set[cst.CSTNode] = set()
    todo = [node]
    while todo:
        here = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        if isinstance(here, cst.BinaryOperation):
            todo += [here.left, here.right]
        elif isinstance(here, cst.Name):
            todo += [value for value in _reaching(here, part) if value is not None]
    return seen


def made_leaves(part: Part, node: cst.CSTNode) -> bool:
    """Whether the code around makes something but a loss a leaf with a gradient of its own: an input that is optimised."""
    scope = edit.function_around(part, node) or part.tree
    assigned = (target.target for one in nodes.descendants(scope) if isinstance(one, cst.Assign) for target in one.targets)
    leaves = (target.value for target in assigned if isinstance(target, cst.Attribute) and target.attr.value == "requires_grad")
    return any(not says_loss(nodes.code(leaf).rpartition(".")[2]) for leaf in leaves)


def comes_from(
    node: cst.CSTNode,
    part: Part,
    is_source: Callable[[cst.CSTNode], bool],
    *,
    through_calls: bool = False,
    through: frozenset[str] = frozenset(),
) -> bool:
    """Whether what an expression holds was made of a source, as a tensor: by arithmetic, by functions that keep the graph.

    Args:
        node: the expression.
        part: the text that it stands in.
        is_source: what is looked for.
        through_calls: follow the arguments of any other call, too.
        through: functions that end the graph and are followed all the same.
    """
    seen: set[cst.CSTNode] = set()
    todo: list[cst.CSTNode] = [node]
    while todo and len(seen) < MOST_SEEN:
        here = todo.pop()
        if is_source(here):
            return True
        if here in seen:
            continue
        seen.add(here)
        match here:
            case cst.Name():
                todo += [value for value in _reaching(here, part) if value is not None]
                todo += _unpacked_from(here, part)
            case cst.BinaryOperation(left=left, right=right):
                todo += [left, right]
            case cst.UnaryOperation(expression=inner):
                todo.append(inner)
            case cst.Tuple(elements=elements) | cst.List(elements=elements):
                todo += [element.value for element in elements]
            case cst.Subscript(value=value) | cst.Attribute(value=value):
                todo.append(value)
            case cst.Call(args=args):
                name, receiver = _called(here)
                keeps = name in _SHAPING and (name not in _CUTS or name in through)
                if keeps or through_calls:
                    todo += [arg.value for arg in args]
                    todo += [receiver] if receiver is not None else []
    return False


def _unpacked_from(name: cst.Name, part: Part) -> Iterator[cst.BaseExpression]:
    """The calls whose results are unpacked into a name: `out, (h, c) = self.lstm(x)`."""
    for node in nodes.descendants(edit.function_around(part, name) or part.tree):
        if isinstance(node, cst.Assign) and isinstance(node.value, cst.Call):
            targets = (target.target for target in node.targets if isinstance(target.target, cst.Tuple))
            if any(nodes.is_name(one, name.value) for target in targets for one in nodes.descendants(target)):
                yield node.value
