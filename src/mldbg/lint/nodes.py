"""Parts of code: what a call calls and is given, what names are bound to, how statements stand to one another."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from mldbg.lint.edit import code, descendants, is_name

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Part
else:
    from mldbg.lint.edit import cst  # loaded on first use


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
