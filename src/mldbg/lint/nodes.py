"""What nodes of a libcst tree are and hold: calls and their arguments, names, attributes, literals, blocks of statements."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part
else:

    class _OnFirstUse:
        """libcst, loaded when it is first used: rules import this file at start-up, and it takes 0.2 s to load.

        A loader of the standard library would leave half a module behind where Ctrl-C ends the loading.
        """

        def __getattr__(self, name: str) -> object:
            found = getattr(importlib.import_module("libcst"), name)
            self.__dict__[name] = found  # asked only once: what every node is compared with must cost no call
            return found

    cst = _OnFirstUse()


def called(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a call calls; None of anything else."""
    return node.func if isinstance(node, cst.Call) else None


def last_name(node: cst.CSTNode | None) -> str | None:
    """The last name of a dotted expression."""
    return node.attr.value if isinstance(node, cst.Attribute) else node.value if isinstance(node, cst.Name) else None


def owner(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What an attribute is one of."""
    return node.value if isinstance(node, cst.Attribute) else None


def name_of(node: cst.CSTNode) -> str | None:
    """The name that a node is; None of anything else."""
    return node.value if isinstance(node, cst.Name) else None


def is_dotted(node: cst.CSTNode) -> bool:
    """Whether a node is a name or an attribute."""
    return isinstance(node, cst.Name | cst.Attribute)


def returned(function: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    """What the `return` statements of a function give back."""
    yield from (node.value for node in descendants(function) if isinstance(node, cst.Return) and node.value is not None)


def bindings(scope: cst.CSTNode) -> dict[str, list[cst.BaseExpression]]:
    """What the names below a node are bound to, by assignments, `with ... as` and `:=`."""
    found: dict[str, list[cst.BaseExpression]] = {}
    bound: list[tuple[cst.BaseExpression, cst.BaseExpression]]
    for node in descendants(scope):
        match node:
            case cst.Assign(targets=targets, value=value):
                bound = [(target.target, value) for target in targets]
            case cst.AnnAssign(target=target, value=cst.BaseExpression() as value):
                bound = [(target, value)]
            case cst.NamedExpr(target=target, value=value):
                bound = [(target, value)]
            case cst.WithItem(item=value, asname=cst.AsName(name=target)):
                bound = [(target, value)]
            case _:
                continue
        for target, value in bound:
            names = [target] if isinstance(target, cst.Name) else [one.value for one in getattr(target, "elements", ())]
            for name in names:
                if isinstance(name, cst.Name):
                    found.setdefault(name.value, []).append(value)
    return found


def local_names(function: cst.CSTNode) -> frozenset[str]:
    """The parameters of a function, and the names that it binds."""
    parameters = function.params if isinstance(function, cst.FunctionDef | cst.Lambda) else None
    names = (node.name.value for node in descendants(parameters) if isinstance(node, cst.Param)) if parameters is not None else ()
    return frozenset(names) | bindings(function).keys()


def own_attribute(node: cst.CSTNode) -> str | None:
    """The name of an attribute of `self`."""
    return node.attr.value if isinstance(node, cst.Attribute) and is_name(node.value, "self") else None


def attributes_bound(function: cst.CSTNode) -> dict[str, list[cst.BaseExpression]]:
    """What a method gives to the attributes of `self`."""
    found: dict[str, list[cst.BaseExpression]] = {}
    for node in descendants(function):
        targets = node.targets if isinstance(node, cst.Assign) else ()
        names = [one.target for one in targets]
        for name in (part for one in names for part in (one, *(each.value for each in getattr(one, "elements", ())))):
            attribute = own_attribute(name)
            if attribute is not None and isinstance(node, cst.Assign):
                found.setdefault(attribute, []).append(node.value)
    return found


def assigned(node: cst.CSTNode) -> list[tuple[cst.BaseExpression, cst.BaseExpression]]:
    """The targets of an assignment, each with the value; nothing for any other node."""
    if isinstance(node, cst.Assign):
        return [(target.target, node.value) for target in node.targets]
    if isinstance(node, cst.AnnAssign) and node.value is not None:
        return [(node.target, node.value)]
    return []


def entry(node: cst.CSTNode | None, key: str) -> cst.BaseExpression | None:
    """What a dict that is written out holds under a key."""
    elements = node.elements if isinstance(node, cst.Dict) else ()
    return next((one.value for one in elements if isinstance(one, cst.DictElement) and text_of(one.key) == key), None)


def is_under_test_of(part: Part, node: cst.CSTNode, word: str) -> bool:
    """Whether an `if` around a node, in the same function, asks about something of a name."""
    here = part.parents.get(node)
    while here is not None and not isinstance(here, cst.FunctionDef):
        if isinstance(here, cst.If | cst.IfExp) and word in code(here.test):
            return True
        here = part.parents.get(here)
    return False


def is_in_branch(part: Part, statement: cst.CSTNode) -> bool:
    """Whether a statement stands inside another one, other than a function or class."""
    block = part.parents.get(statement)
    around = part.parents.get(block) if block is not None else None
    return around is not None and not isinstance(around, cst.FunctionDef)


def are_in_one_scope(part: Part, one: cst.CSTNode, other_part: Part, other: cst.CSTNode) -> bool:
    """Whether two statements stand side by side, in one function or both at the top level of a module."""
    if part is other_part:
        return part.parents.get(one) is part.parents.get(other)
    at_top = isinstance(part.parents.get(one), cst.Module) and isinstance(other_part.parents.get(other), cst.Module)
    return at_top and part.module is other_part.module


def bound_name(statement: cst.CSTNode) -> str | None:
    """The plain name, or attribute of `self`, that a statement line gives its value to."""
    bodies = statement.body if isinstance(statement, cst.SimpleStatementLine) else ()
    targets = [target for node in bodies for target, _ in assigned(node)]
    plain = len(targets) == 1 and (name_of(targets[0]) is not None or own_attribute(targets[0]) is not None)
    return code(targets[0]) if plain else None


def head(statement: cst.CSTNode) -> str:
    """The text of a statement line; of a compound statement nothing."""
    return code(statement) if isinstance(statement, cst.SimpleStatementLine) else ""


def argument(call: cst.CSTNode, name: str, position: int | None = None) -> cst.BaseExpression | None:
    """The expression that a call gives to a parameter, by name or by position; None where none stands there."""
    if not isinstance(call, cst.Call):
        return None
    named = next((arg.value for arg in call.args if arg.keyword is not None and arg.keyword.value == name), None)
    leading = [arg.value for arg in call.args if arg.keyword is None and not arg.star]
    starred = any(arg.star == "*" for arg in call.args)
    by_place = leading[position] if position is not None and position < len(leading) and not starred else None
    return named if named is not None else by_place


def said_by(node: cst.CSTNode, name: str) -> str | None:
    """The text of what an entry of a dict, or the default of a parameter, says of a name; None where it is about another one."""
    if isinstance(node, cst.DictElement):
        return code(node.value) if text_of(node.key) == name else None
    if isinstance(node, cst.Param) and node.default is not None:
        return code(node.default) if node.name.value == name else None
    return None


def has_unpacked(call: cst.CSTNode) -> bool:
    """Whether a call unpacks arguments, of which it is not known what they are."""
    return isinstance(call, cst.Call) and any(arg.star for arg in call.args)


def text_of(node: cst.CSTNode | None) -> str | None:
    """The text of a string that is written out; None of anything else."""
    value = node.evaluated_value if isinstance(node, cst.SimpleString | cst.ConcatenatedString) else None
    return value if isinstance(value, str) else None


def counter(loop: cst.For | cst.While) -> str | None:
    """The name that counts the rounds of a loop, as `epoch` does in `for epoch in range(10)`."""
    if not isinstance(loop, cst.For) or not isinstance(loop.target, cst.Name) or not isinstance(loop.iter, cst.Call):
        return None
    function = code(loop.iter.func).rpartition(".")[2]
    inner = loop.iter.args[0].value if loop.iter.args else None
    if function == "tqdm" and isinstance(inner, cst.Call):
        function = code(inner.func)
    return loop.target.value if function in ("range", "trange", "count") else None


def entry_of(node: cst.CSTNode, key: str) -> cst.BaseExpression | None:
    """The value of a dict's entry, where it has this key."""
    return node.value if isinstance(node, cst.DictElement) and text_of(node.key) == key else None


def key_of(node: cst.CSTNode) -> str | None:
    """The key of `anything["input_ids"]`."""
    index = node.slice[0].slice if isinstance(node, cst.Subscript) and len(node.slice) == 1 else None
    return text_of(index.value) if isinstance(index, cst.Index) else None


def subscripted(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a subscript picks from."""
    return node.value if isinstance(node, cst.Subscript) else None


def whole_slice(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What `ids[:]` copies."""
    index = node.slice[0].slice if isinstance(node, cst.Subscript) and len(node.slice) == 1 else None
    bare = isinstance(index, cst.Slice) and index.lower is None and index.upper is None and index.step is None
    return node.value if isinstance(node, cst.Subscript) and bare else None


def is_format(node: cst.CSTNode) -> bool:
    """Whether a node is an f-string, or text put together with `+`."""
    if isinstance(node, cst.BinaryOperation):
        return any(text_of(side) is not None or is_format(side) for side in (node.left, node.right))
    return isinstance(node, cst.FormattedString | cst.ConcatenatedString)


def length_of(node: cst.CSTNode) -> int | None:
    """How many elements a list or tuple has that is written out."""
    elements = node.elements if isinstance(node, cst.List | cst.Tuple) else None
    starred = elements is not None and any(isinstance(one, cst.StarredElement) for one in elements)
    return len(elements) if elements is not None and not starred else None


def keyword_value(node: cst.CSTNode) -> tuple[str, cst.BaseExpression] | None:
    """The name and value of a keyword in a call."""
    return (node.keyword.value, node.value) if isinstance(node, cst.Arg) and node.keyword is not None else None


def is_comprehension(node: cst.CSTNode) -> bool:
    """Whether a node is a list that is built by a loop inside of it."""
    return isinstance(node, cst.ListComp | cst.GeneratorExp)


def gone_through(node: cst.CSTNode) -> str | None:
    """What a loop or the innermost `for` of a comprehension goes through, as it is written; None of anything else."""
    if isinstance(node, cst.ListComp | cst.GeneratorExp):
        return code(node.for_in.iter)
    return code(node.iter) if isinstance(node, cst.For) else None


def is_sliced(node: cst.CSTNode) -> bool:
    """Whether a node is a part of a sequence: `texts[start : start + 8]`."""
    index = node.slice[0].slice if isinstance(node, cst.Subscript) and len(node.slice) == 1 else None
    return isinstance(index, cst.Slice)


def values_of(node: cst.CSTNode) -> list[tuple[str | None, cst.BaseExpression]]:
    """The entries of a dict that is written out, by key."""
    elements = node.elements if isinstance(node, cst.Dict) else ()
    return [(text_of(one.key), one.value) for one in elements if isinstance(one, cst.DictElement)]


def elements_of(node: cst.CSTNode) -> list[cst.BaseExpression]:
    """The elements of a list, tuple or set that is written out."""
    return [one.value for one in node.elements] if isinstance(node, cst.List | cst.Tuple | cst.Set) else []


def given(call: cst.CSTNode) -> list[cst.BaseExpression]:
    """All that a call is given, unpacked or not."""
    return [arg.value for arg in call.args] if isinstance(call, cst.Call) else []


def ends_at_once(loop: cst.For | cst.While) -> bool:
    """Whether a loop is left at the end of its first round, whatever happens in it."""
    last = loop.body.body[-1] if isinstance(loop.body, cst.IndentedBlock) and loop.body.body else None
    return isinstance(last, cst.SimpleStatementLine) and any(isinstance(one, cst.Break) for one in last.body)


def iterated(loop: cst.For | cst.While) -> str:
    """What a loop goes through, as the source says it; nothing of a `while`."""
    return code(loop.iter) if isinstance(loop, cst.For) else ""


_255 = re.compile(r"\(*(?:255(?:\.0*)?|127\.5)\)*")
_PART_OF_255 = re.compile(r"\(*1(?:\.0*)?\s*/\s*255(?:\.0*)?\)*")
_DIVIDES = frozenset({"div", "div_", "divide", "divide_", "true_divide", "true_divide_"})


def divided_by_255(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What is divided by 255, or half of it: `x / 255.0`, `x *= 1 / 255`, `torch.div(x, 255)`, `x / 127.5`; else None."""
    match node:
        case cst.BinaryOperation(left=left, operator=cst.Divide(), right=right) if _255.fullmatch(code(right)):
            return left
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right) if _PART_OF_255.fullmatch(code(right)):
            return left
        case cst.AugAssign(target=target, operator=cst.DivideAssign(), value=value) if _255.fullmatch(code(value)):
            return target
        case cst.AugAssign(target=target, operator=cst.MultiplyAssign(), value=value) if _PART_OF_255.fullmatch(code(value)):
            return target
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name)), args=args) if name in _DIVIDES and args:
            if len(args) == 1:
                return owner if _255.fullmatch(code(args[0].value)) else None
            return args[0].value if _255.fullmatch(code(args[1].value)) else None
        case _:
            return None


_SAME = frozenset(
    {"to", "cuda", "cpu", "float", "double", "half", "contiguous", "clone", "view", "reshape", "flatten", "squeeze"}
)


def unwrapped(node: cst.BaseExpression) -> cst.BaseExpression:
    """The expression without methods that keep the numbers, and without indices: `x` of `x.to(device).float()[0]`."""
    while True:
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value in {*_SAME, "unsqueeze"}:
            node = node.func.value
        elif isinstance(node, cst.Subscript):
            node = node.value
        else:
            return node


def loop_binding(part: Part, node: cst.CSTNode, name: str) -> tuple[cst.BaseExpression, int | None] | None:
    """What the innermost loop around a node that binds a name goes through, and at which place of each entry the name stands.

    The place is None where the name is all of an entry; None as a whole where no loop binds it.
    """
    parent = part.parents.get(node)
    while parent is not None and not isinstance(parent, cst.FunctionDef):
        if isinstance(parent, cst.For):
            target = parent.target
            if is_name(target, name):
                return parent.iter, None
            if isinstance(target, cst.Tuple):
                places = [place for place, element in enumerate(target.elements) if is_name(element.value, name)]
                if places:
                    return parent.iter, places[0]
        parent = part.parents.get(parent)
    return None


def names_from_target(loop: cst.For | cst.While) -> frozenset[str]:
    """The names that a loop gives its items to, and those that take these apart."""
    target = loop.target if isinstance(loop, cst.For) else None
    found = {node.value for node in descendants(target) if isinstance(node, cst.Name)} if target is not None else set()
    return names_passed_on(loop.body, found)


def names_passed_on(block: cst.CSTNode, names: Iterable[str]) -> frozenset[str]:
    """Some names, and those that a block gives the same to, or parts of it."""
    found = set(names)
    for node in descendants(block):
        for bound, value in assigned(node):
            root = unwrapped(value)
            if isinstance(root, cst.Name) and root.value in found:
                found |= {each.value for each in descendants(bound) if isinstance(each, cst.Name)}
    return frozenset(found)


def names_gathered_from(block: cst.CSTNode, names: Iterable[str]) -> frozenset[str]:
    """Some names, and those that a block makes of them in any way: `images, labels = zip(*batch)`, `for image, _ in batch`."""
    found = set(names)
    for node in descendants(block):
        pairs = assigned(node)
        if isinstance(node, cst.For | cst.CompFor):
            pairs = [(node.target, node.iter)]
        for bound, value in pairs:
            if any(isinstance(each, cst.Name) and each.value in found for each in descendants(value)):
                found |= {each.value for each in descendants(bound) if isinstance(each, cst.Name)}
    return frozenset(found)


def lambda_body(node: cst.CSTNode | None) -> cst.BaseExpression | None:
    """What a lambda gives."""
    return node.body if isinstance(node, cst.Lambda) else None


def is_augmented(node: cst.CSTNode) -> bool:
    """Whether a node is `x /= y` or the like."""
    return isinstance(node, cst.AugAssign)


def difference(node: cst.CSTNode) -> tuple[cst.BaseExpression, cst.BaseExpression] | None:
    """The two sides of `a - b`."""
    if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.Subtract):
        return node.left, node.right
    return None


def is_line(statement: cst.CSTNode) -> bool:
    """Whether a statement is a line of its own, and no header of a block."""
    return isinstance(statement, cst.SimpleStatementLine)


def parameters(function: cst.FunctionDef) -> tuple[str, ...]:
    """The names of a function's parameters that can be given by position."""
    return tuple(param.name.value for param in (*function.params.posonly_params, *function.params.params))


def parameters_of(function: cst.CSTNode | None) -> tuple[str, ...]:
    """The same of what may be no function; none then."""
    return parameters(function) if isinstance(function, cst.FunctionDef) else ()


def name_of_function(function: cst.CSTNode | None) -> str | None:
    """The name of a function definition."""
    return function.name.value if isinstance(function, cst.FunctionDef) else None


def default_of(function: cst.CSTNode | None, name: str) -> cst.BaseExpression | None:
    """What a parameter is where a call does not give it."""
    params = (*function.params.posonly_params, *function.params.params) if isinstance(function, cst.FunctionDef) else ()
    return next((param.default for param in params if param.name.value == name), None)


def is_label(part: Part, node: cst.CSTNode) -> bool:
    """Whether a name stands for no variable: it is that of an attribute, or of a parameter in a call."""
    parent = part.parents.get(node)
    return (isinstance(parent, cst.Attribute) and parent.attr is node) or (isinstance(parent, cst.Arg) and parent.keyword is node)


def code(node: cst.CSTNode) -> str:
    """The source text of a node."""
    return cst.Module([]).code_for_node(node)


def bare(node: cst.BaseExpression) -> str:
    """The source text of an expression, without parentheses around it."""
    return code(node.with_changes(lpar=(), rpar=()))


def is_call(node: cst.CSTNode) -> bool:
    """Whether a node calls something."""
    return isinstance(node, cst.Call)


def is_any_name(node: cst.CSTNode) -> TypeGuard[cst.Name]:
    """Whether a node is a name."""
    return isinstance(node, cst.Name)


def targets_of(statement: cst.CSTNode) -> list[cst.BaseExpression]:
    """What a statement line assigns to."""
    small = statement.body if isinstance(statement, cst.SimpleStatementLine) else ()
    return [target.target for one in small if isinstance(one, cst.Assign) for target in one.targets]


def is_arithmetic(node: cst.CSTNode) -> bool:
    """Whether a node is an operator on two values."""
    return isinstance(node, cst.BinaryOperation)


def operands(node: cst.CSTNode) -> tuple[cst.BaseExpression, ...]:
    """The two sides of arithmetic; none of anything else."""
    return (node.left, node.right) if isinstance(node, cst.BinaryOperation) else ()


def is_plain(node: cst.CSTNode) -> bool:
    """Whether a node can stand anywhere without parentheses."""
    return isinstance(node, cst.Name | cst.Attribute | cst.Call | cst.Subscript | cst.Integer)


def text_called_on(node: cst.CSTNode) -> str | None:
    """The text of what a method is called on; None of any other call."""
    return code(node.func.value) if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else None


def returned_in(scope: cst.CSTNode) -> Iterator[cst.BaseExpression]:
    """What a function returns."""
    for node in descendants(scope):
        if isinstance(node, cst.Return) and node.value is not None:
            yield node.value


def called_attribute(node: cst.CSTNode) -> str | None:
    """The name of `self.name(...)`; None of anything else."""
    return own_attribute(node.func) if isinstance(node, cst.Call) else None


def is_named(node: cst.CSTNode, name: str) -> bool:
    """Whether a node defines a function of this name."""
    return isinstance(node, cst.FunctionDef) and node.name.value == name


def owner_of(node: cst.CSTNode) -> cst.CSTNode:
    """Of an attribute of something, that something; of anything else, itself."""
    return node.value if isinstance(node, cst.Attribute) else node


def is_break(node: cst.CSTNode) -> bool:
    """Whether a node leaves a loop."""
    return isinstance(node, cst.Break)


def is_counted(loop: cst.For | cst.While) -> bool:
    """Whether the rounds of a loop are counted: `for epoch in range(epochs)`, or `while`."""
    return isinstance(loop, cst.While) or re.search(r"\bt?range\(", code(loop.iter)) is not None


def is_item_of_name(node: cst.CSTNode) -> bool:
    """Whether a node is `name[...]`."""
    return isinstance(node, cst.Subscript) and isinstance(node.value, cst.Name)


def is_name(node: cst.CSTNode, name: str) -> bool:
    return isinstance(node, cst.Name) and node.value == name


def activation_input(node: cst.Call) -> cst.BaseExpression | None:
    """What an activation is applied to: the tensor of `x.softmax(-1)`, the first argument of `F.softmax(x)` and `layer(x)`."""
    for arg in node.args:
        if arg.keyword is not None and arg.keyword.value == "input":
            return arg.value
    first = node.args[0] if node.args else None
    of_tensor = first is None or first.keyword is not None or _is_axis(first.value)
    if of_tensor:
        return node.func.value if isinstance(node.func, cst.Attribute) else None
    return first.value if first is not None and not first.star else None


def _is_axis(node: cst.BaseExpression) -> bool:
    return isinstance(node.expression if isinstance(node, cst.UnaryOperation) else node, cst.Integer)


def batch_size_of(node: cst.CSTNode) -> str | None:
    """What a call of DataLoader says of the batch size; None of anything else, or where it is not said."""
    if not isinstance(node, cst.Call) or any(arg.star for arg in node.args):
        return None
    named = {arg.keyword.value: code(arg.value) for arg in node.args if arg.keyword is not None}
    plain = [code(arg.value) for arg in node.args if arg.keyword is None]
    if "batch_sampler" in named or "len(" in named.get("batch_size", ""):
        return None
    is_loader = code(node.func).endswith("Loader")
    return named.get("batch_size", plain[1] if len(plain) > 1 else "1") if is_loader else None


def drops_last(node: cst.CSTNode) -> bool:
    """Whether a call of DataLoader may leave out the last batch."""
    if not isinstance(node, cst.Call):
        return False
    given = [arg.value for arg in node.args if arg.keyword is not None and arg.keyword.value == "drop_last"]
    return any(not is_name(value, "False") for value in given)


def measured_divisor(node: cst.CSTNode) -> cst.BaseExpression | None:
    """The name in `total / len(name)`; None of any other quotient."""
    by = node.right if isinstance(node, cst.BinaryOperation) else node.value if isinstance(node, cst.AugAssign) else None
    if isinstance(by, cst.Call) and is_name(by.func, "float") and len(by.args) == 1:
        by = by.args[0].value
    if not isinstance(by, cst.Call) or not is_name(by.func, "len") or len(by.args) != 1:
        return None
    inner = by.args[0].value
    return inner if isinstance(inner, cst.Name | cst.Attribute | cst.Subscript) else None


def raw_text_of(node: cst.CSTNode) -> str | None:
    """What a string says that stands there as it is; None of any other node."""
    return str(node.raw_value) if isinstance(node, cst.SimpleString) else None


def is_literal(node: cst.CSTNode) -> bool:
    """Whether a node is a number, True, False or None, as it stands."""
    return number_of(node) is not None or (isinstance(node, cst.Name) and node.value in ("True", "False", "None"))


def has_positional(node: cst.Call) -> bool:
    """Whether a call has arguments without a name."""
    return any(arg.keyword is None for arg in node.args)


def squeezes_all(node: cst.CSTNode) -> bool:
    """Whether a node is `x.squeeze()` or `torch.squeeze(x)`: which axes go, nobody says."""
    if not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or node.func.attr.value != "squeeze":
        return False
    return len(node.args) == (1 if is_name(node.func.value, "torch") else 0)


def chain_of(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """An expression, and what its methods and functions of one argument are applied to, outermost first."""
    here: cst.CSTNode | None = node
    while here is not None:
        yield here
        if isinstance(here, cst.Call) and isinstance(here.func, cst.Attribute):
            root = here.func.value
            while isinstance(root, cst.Attribute):
                root = root.value
            of_module = isinstance(root, cst.Name) and root.value in ("torch", "F", "nn")
            here = (here.args[0].value if here.args else None) if of_module else here.func.value
        else:
            here = None


def wraps_one_name(node: cst.CSTNode) -> bool:
    """Whether a node is `[model]`: a list that hides one thing that was made elsewhere."""
    return isinstance(node, cst.List) and len(node.elements) == 1 and isinstance(node.elements[0].value, cst.Name | cst.Attribute)


def is_dict(node: cst.CSTNode) -> bool:
    """Whether a node makes a dict."""
    named = isinstance(node, cst.Call) and isinstance(node.func, cst.Name) and node.func.value in ("dict", "OrderedDict")
    return named or isinstance(node, cst.Dict | cst.DictComp)


def container_of(node: cst.CSTNode) -> str:
    """What kind of container a node makes."""
    is_tuple = isinstance(node, cst.Tuple) or (isinstance(node, cst.Call) and is_name(node.func, "tuple"))
    return "dict" if is_dict(node) else "tuple" if is_tuple else "list"


def attributes_given(function: cst.CSTNode) -> Iterator[tuple[str, cst.BaseExpression, cst.BaseExpression]]:
    """The attributes of `self` that a function gives a value, the values, and what those were made by if they are local names."""
    assigned = [node for node in descendants(function) if isinstance(node, cst.Assign | cst.AnnAssign) and node.value is not None]
    pairs = [(node.target if isinstance(node, cst.AnnAssign) else node.targets[0].target, node.value) for node in assigned]
    local = {target.value: value for target, value in pairs if isinstance(target, cst.Name)}
    for target, value in reversed(pairs):
        if isinstance(target, cst.Attribute) and is_name(target.value, "self") and value is not None:
            source = local.get(value.value) if isinstance(value, cst.Name) else value
            if source is not None:
                yield str(target.attr.value), value, source


def torch_function(node: cst.CSTNode) -> str | None:
    """Of `torch.zeros(...)` the name `zeros`; None of anything else."""
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and is_name(node.func.value, "torch"):
        return str(node.func.attr.value)
    return None


def makes_axes(node: cst.CSTNode) -> bool:
    """Whether `torch.tensor([...])` or `torch.full((...), ...)` makes something with axes, as it is written."""
    first = node.args[0].value if isinstance(node, cst.Call) and node.args else None
    return isinstance(first, cst.List | cst.Tuple | cst.ListComp)


def is_plain_assignment(statement: cst.CSTNode) -> bool:
    """Whether a line is `self.name = value` and nothing else."""
    if not isinstance(statement, cst.SimpleStatementLine) or len(statement.body) != 1:
        return False
    node = statement.body[0]
    return isinstance(node, cst.Assign) and len(node.targets) == 1 and isinstance(node.targets[0].target, cst.Attribute)


def first_of(statement: cst.CSTNode) -> cst.CSTNode:
    """The first small statement of a line."""
    return statement.body[0] if isinstance(statement, cst.SimpleStatementLine) else statement


def receiver_of(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a method is called on."""
    return node.func.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else None


def is_number(node: cst.CSTNode) -> bool:
    """Whether a number is written out."""
    return isinstance(node, cst.Integer | cst.Float)


def float_of(node: cst.CSTNode) -> float | None:
    """The number that is written out, as `1.0` or `5`."""
    return float(node.evaluated_value) if isinstance(node, cst.Float | cst.Integer) else None


def numbers_in(node: cst.CSTNode) -> list[int]:
    """The numbers that are written out: one, or a list of them; empty of anything else."""
    each = [element.value for element in node.elements] if isinstance(node, cst.List | cst.Tuple) else [node]
    found = [number for one in each if (number := number_of(one)) is not None]
    return found if len(found) == len(each) else []


def number_of(node: cst.CSTNode) -> int | None:
    """The integer that is written out, as `400`, `-1` or `16 * 5 * 5`; None of anything with a name in it."""
    match node:
        case cst.Integer():
            return node.evaluated_value
        case cst.UnaryOperation(operator=cst.Minus(), expression=inner):
            number = number_of(inner)
            return -number if number is not None else None
        case cst.BinaryOperation(left=left, operator=cst.Multiply(), right=right):
            one, two = number_of(left), number_of(right)
            return one * two if one is not None and two is not None else None
        case _:
            return None


def other_method(node: cst.CSTNode, old: str, new: str | None) -> str | None:
    """The text of a call of a method with another one in its place: `model.predict(X)` -> `model.predict_proba(X)`."""
    if new is None or not isinstance(node, cst.Call) or not isinstance(node.func, cst.Attribute) or node.func.attr.value != old:
        return None
    return code(node.with_changes(func=node.func.with_changes(attr=cst.Name(new))))


def descendants(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A node and all below it."""
    from mldbg.lint.interpret import tree

    return tree.descendants(node)


def called_on(node: cst.CSTNode) -> cst.BaseExpression | None:
    """What a method is called on, where that is a name, an attribute or an item."""
    base = node.func.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else None
    return base if isinstance(base, cst.Name | cst.Attribute | cst.Subscript) else None


def method_of(node: cst.CSTNode) -> str:
    """The name of the method that a call is of."""
    return node.func.attr.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else ""


def goes_on(statement: cst.CSTNode | None) -> bool:
    """Whether the statement after a line is reached from it."""
    return isinstance(statement, cst.SimpleStatementLine) and not any(
        isinstance(one, cst.Return | cst.Raise | cst.Break | cst.Continue) for one in statement.body
    )


def siblings_in(loop: cst.For | cst.While) -> list[cst.CSTNode]:
    """The statements of a loop's body, where they have lines of their own."""
    return list(loop.body.body) if isinstance(loop.body, cst.IndentedBlock) else []


def first_parameter(function: cst.FunctionDef) -> str | None:
    """The name of a function's first parameter."""
    params = (*function.params.posonly_params, *function.params.params)
    return str(params[0].name.value) if params else None


def first_of_body(loop: cst.For | cst.While) -> cst.CSTNode | None:
    """The first statement of a loop's body, when the body has lines of its own."""
    return loop.body.body[0] if isinstance(loop.body, cst.IndentedBlock) and loop.body.body else None


def detached(node: cst.BaseExpression) -> str:
    """The text of an expression, cut off from its graph."""
    text = code(node)
    return f"{text}.detach()" if isinstance(node, cst.Name | cst.Attribute | cst.Call | cst.Subscript) else f"({text}).detach()"
