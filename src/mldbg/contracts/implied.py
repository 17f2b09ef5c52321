"""Contracts that nobody wrote down: what `install` puts into the modules of a package.

`decorated` puts a decorator into the syntax tree of a module; it stands where `@contract` would, and runs when the module does.
What promises nothing about tensors stays the very object that it was, and nothing that is wrong with an annotation breaks an
import: it is said, and that function is left unchecked.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping
from functools import partial
from types import FrameType, FunctionType
from typing import Any

from mldbg.contracts import annotation, decorator
from mldbg.contracts.error import announce_once
from mldbg.contracts.later import Later
from mldbg.contracts.modes import Mode, current
from mldbg.contracts.names import Names, annotations_of
from mldbg.contracts.promises import Contract, name_of, place_of

# ------------------------------------------------------------------------------------------------ in the tree of a module
_EXEMPT = ("typing.overload", "typing_extensions.overload", "typing.no_type_check", "jaxtyping.jaxtyped")
_COMPILED = ("torch.jit.", "triton.", "numba.")
"""Decorators that read the source or the byte code of a function, which has to be the user's own."""

_PLAIN = frozenset({"None", "bool", "bytes", "complex", "float", "int", "object", "str"})


def decorated(tree: ast.Module, level: Mode | None) -> ast.Module:
    """The tree, changed in place, with a decorator at all that may promise something about tensors.

    Functions and classes of the module and of its classes get one, but those inside functions do not: they are made anew in each
    call, and in code that torch.compile traces. Nor do bodies that do nothing (overloads, abstract methods, protocols).
    The decorator is the innermost one of a function, so that every other finds what is checked, and the outermost one of a class.
    It is an expression that needs no name in the module, and stands on a line that was there.
    """
    _LATER.append(_named_later(tree))
    number = None if level is None else int(level)
    made = f"__import__({__name__!r}, None, None, ['_']).{Implied.__name__}({number}, {len(_LATER) - 1})"
    _Decorating(_imports(tree), made).visit(tree)
    return tree


_LATER: list[frozenset[str]] = []
"""Of each module: names that annotations may use before they stand for something that holds tensors."""


class _Decorating:
    """made: the text of the decorator."""

    def __init__(self, imports: Mapping[str, str], made: str) -> None:
        self._imports = imports
        self._made = made

    def visit(self, node: ast.AST) -> None:
        """All statements, and no expression."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._function(node)
                return
            case ast.ClassDef() if not self._class(node):
                return
            case ast.expr():
                return
            case _:
                for child in ast.iter_child_nodes(node):
                    self.visit(child)

    def _class(self, node: ast.ClassDef) -> bool:
        """Whether its methods come next."""
        names = self._decorators(node)
        if any(name.endswith(".no_type_check") or name.startswith(_COMPILED) for name in names):
            return False
        if any(isinstance(statement, ast.AnnAssign) for statement in node.body) and "jaxtyping.jaxtyped" not in names:
            node.decorator_list.insert(0, self._decorator(node.decorator_list[0] if node.decorator_list else node))
        return True

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        left_alone = any(name in _EXEMPT or name.startswith(_COMPILED) for name in self._decorators(node))
        if not left_alone and not _does_nothing(node) and any(map(_says_something, _annotations(node))):
            node.decorator_list.append(self._decorator(node))

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> list[str]:
        """The qualified names of decorators, as far as they are imported."""
        found = []
        for one in node.decorator_list:
            first, *rest = ast.unparse(one.func if isinstance(one, ast.Call) else one).split(".")
            found.append(".".join([self._imports.get(first, first), *rest]))
        return found

    def _decorator(self, at: ast.stmt | ast.expr) -> ast.expr:
        """The decorator, on the line of `at`."""
        made = ast.parse(self._made, mode="eval").body
        for node in ast.walk(made):
            if isinstance(node, ast.expr):
                node.lineno = node.end_lineno = at.lineno
                node.col_offset = node.end_col_offset = at.col_offset
        return made


def _imports(tree: ast.Module) -> dict[str, str]:
    """Name -> what it stands for, of all imports but relative ones."""
    found: dict[str, str] = {}
    for node in _statements(tree, inside=True):
        match node:
            case ast.Import(names=aliases):
                found |= {alias.asname: alias.name for alias in aliases if alias.asname}
            case ast.ImportFrom(module=str(module), names=aliases, level=0):
                found |= {alias.asname or alias.name: f"{module}.{alias.name}" for alias in aliases}
            case _:
                pass
    return found


def _named_later(tree: ast.Module) -> frozenset[str]:
    """Names that an annotation may use before they stand for something that holds tensors.

    Classes with fields of their own or a decorator, what is assigned, and what is imported, perhaps for type checkers only. A
    class of any other kind is an object like others, of which a contract has nothing to say.
    """
    found: set[str] = set()
    for node in _statements(tree, inside=False):
        match node:
            case ast.ClassDef(name=name, bases=bases, body=body, decorator_list=decorators):
                has_fields = decorators or any(isinstance(one, ast.AnnAssign) for one in body)
                inherits = any(not isinstance(base, ast.Name | ast.Attribute) or ast.unparse(base) in found for base in bases)
                found |= {name} if has_fields or inherits else set()
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {alias.asname or alias.name.partition(".")[0] for alias in aliases}
            case ast.Assign(targets=targets):
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                found.add(name)
            case _ if type(node).__name__ == "TypeAlias":  # of Python 3.12
                found.add(node.name.id)  # type: ignore[attr-defined]
    return frozenset(found)


def _statements(node: ast.AST, *, inside: bool) -> Iterator[ast.AST]:
    """All statements below a node. inside: those in functions, too."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.expr):
            yield child
            if inside or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _statements(child, inside=inside)


def _does_nothing(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a body is there for its signature: a docstring, `...`, `pass`, or NotImplementedError."""
    for statement in node.body:
        match statement:
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                pass
            case ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError"))):
                pass
            case _:
                return False
    return True


def _annotations(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    args = node.args
    for arg in (*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg):
        if arg is not None and arg.annotation is not None:
            yield arg.annotation
    if node.returns is not None:
        yield node.returns


def _says_something(node: ast.expr) -> bool:
    """Whether an annotation is more than None and the simplest types, of which most functions of a package make do."""
    match node:
        case ast.Name(id=name):
            return name not in _PLAIN
        case ast.Constant(value=str(text)):
            return text not in _PLAIN
        case ast.Constant():
            return False
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return _says_something(left) or _says_something(right)
        case _:
            return True


# ----------------------------------------------------------------------------------------------- while the module runs
class Implied:
    """The decorator: what is promised about tensors is checked, and all else is left as it is.

    level: a fixed mode, or None for the mode of the process. number: of the module in `_LATER`.
    """

    def __init__(self, level: int | None, number: int) -> None:
        self._level = None if level is None else Mode(level)
        self._later = _LATER[number]

    def __call__(self, defined: Any) -> Any:
        """A function, or a class, whose fields are checked whenever an object of it is made."""
        if (current() if self._level is None else self._level) == Mode.OFF:
            return defined
        frame = sys._getframe(1)  # noqa: SLF001 (annotations in quotes may use names of the classes around)
        try:
            if isinstance(defined, type):
                return self._class(defined, frame)
            return self._function(defined, frame) if isinstance(defined, FunctionType) else defined
        except Exception as error:  # noqa: BLE001 (annotations are expressions of the user)
            _say_unchecked(defined, error)
            return defined

    def _function(self, function: FunctionType, frame: FrameType) -> Any:
        found = Names(function, frame)
        hints = annotation.hints(function, found, complete=False, quiet=True)
        known = found.known(complete=False)
        annotations = annotations_of(function)
        unread = [annotations[name] for name, error in hints.missing.items() if not isinstance(error, SyntaxError)]
        if not any(self._may_hold_tensors(hint, known) for hint in unread):
            with contextlib.suppress(NameError):  # of a name in a class that an annotation names
                promises = decorator.built(function, hints.known, level=self._level, names=hints.names, final=False)
                return function if promises is None else _implied(promises).entry

        def contract_later() -> Contract | None:
            try:
                hints = annotation.hints(function, found, complete=True, quiet=True)
                promises = decorator.built(function, hints.known, level=self._level, names=hints.names)
            except Exception as error:  # noqa: BLE001 (the same)
                _say_unchecked(function, error)
                return None
            return promises and _implied(promises)

        later = Later(function, contract_later, self._level)
        later.implied = True
        return later.stub

    def _may_hold_tensors(self, hint: Any, known: Mapping[str, Any]) -> bool:
        """Whether an annotation with names that are not known yet may turn out to speak of tensors."""
        return annotation.speaks_of_arrays(hint, known) or not self._later.isdisjoint(_names(hint) - known.keys())

    def _class(self, cls: type, frame: FrameType) -> type:
        own, init = vars(cls), vars(cls).get("__init__")
        has_fields = (dataclasses.is_dataclass(cls) and "__dataclass_fields__" in own) or "__attrs_attrs__" in own
        if has_fields and not hasattr(init, decorator.CHECKS_FIELDS):
            constructor = decorator.constructor(cls, frame, self._level, partial(_say_unchecked, cls))
            if constructor is not None:
                setattr(cls, "__init__", constructor)  # noqa: B010 (an assignment would be a type error)
        return cls


def _implied(promises: Contract) -> Contract:
    promises.implied = True
    return promises


def _names(hint: Any) -> set[str]:
    """The names in the parts of an annotation that are text."""
    text = getattr(hint, "__forward_arg__", hint)
    if not isinstance(text, str):
        return set().union(*map(_names, typing.get_args(hint)))
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except SyntaxError:
        return set()
    inner = [_names(node.value) for node in nodes if isinstance(node, ast.Constant) and node.value not in (text, None)]
    return {node.id for node in nodes if isinstance(node, ast.Name)}.union(*inner)


def _say_unchecked(defined: Any, error: Exception) -> None:
    name = f"{defined.__module__}.{name_of(defined)}"
    reason = str(error).removeprefix(f"{defined.__qualname__}: ").removeprefix(f"{name_of(defined)}: ")
    announce_once(f"{name} {place_of(defined)}", f"{name} is not checked: {reason}")
