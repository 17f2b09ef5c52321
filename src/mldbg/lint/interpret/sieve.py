"""Which roots need not be executed: those in which what a rule needs cannot reach the call that it listens to.

Most classes of a model library compute a loss from the output of a linear layer, and softmax from a product of matrices. A rule
about activations before losses has nothing to find there, and `ast` is enough to see it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from mldbg.lint.interpret.flow import SOURCE, Code, Family, Flow, Judge, Passage, Scope, nodes_of
from mldbg.lint.interpret.module import Module, Modules
from mldbg.lint.interpret.roots import Root, roots_of
from mldbg.lint.library.names import SAYS_ONE
from mldbg.lint.outline import Kind
from mldbg.operations import tables, torch
from mldbg.operations.effect import Affine, Contracts, Derives, Gives, Keeps, Loss, Moves, Multiplies, Normalizer
from mldbg.semantics import Semantic

ACTIVATED = frozenset({Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL})
"""What activations make."""


def _activation(module: Module) -> Judge:
    """Looks for the results of activations."""

    def judge(name: str, made: ast.Call | None) -> Passage | None:
        effect = tables.effect_of(name)
        if isinstance(effect, Gives):
            if effect.meaning in ACTIVATED:
                return Passage.SOURCE
            return Passage.STOPS if effect.keeps_meanings.isdisjoint(ACTIVATED) else Passage.PASSES
        return Passage.STOPS if isinstance(effect, Affine) else _any(name)

    return judge


def _one_output(module: Module) -> Judge:
    """Looks for the results of layers that have one output: a size that is spelled 1, or may be where one is somewhere."""
    named = re.search(SAYS_ONE, "".join(module.outline.code)) is not None

    def judge(name: str, made: ast.Call | None) -> Passage | None:
        effect = tables.effect_of(name)
        if isinstance(effect, Affine):
            size = _argument(made, name.removesuffix(".__call__"), effect.out) if made is not None and effect.out else None
            one = size.value == 1 if isinstance(size, ast.Constant) else isinstance(size, ast.Name) or named
            return Passage.SOURCE if size is not None and one else Passage.STOPS
        if isinstance(effect, Gives | Keeps):
            return Passage.PASSES
        if isinstance(effect, Moves):
            return Passage.STOPS
        return _any(name)

    return judge


def _any(name: str) -> Passage | None:
    effect = tables.effect_of(name)
    if isinstance(effect, Derives | Loss | Multiplies | Contracts | Normalizer):
        return Passage.STOPS
    if effect is None and name.endswith(".__call__") and tables.is_module_class(name.removesuffix(".__call__")):
        return Passage.STOPS  # of a layer that the tables do not know nothing is known
    return None


def _argument(made: ast.Call, cls: str, name: str) -> ast.expr | None:
    """An argument of a constructor."""
    index = torch.CONSTRUCTOR_PARAMETERS[cls].index(name)
    if len(made.args) > index:
        return made.args[index]
    return next((keyword.value for keyword in made.keywords if keyword.arg in (name, None)), None)


def _names(wanted: Callable[[object], bool]) -> frozenset[str]:
    return frozenset(name.removesuffix(".__call__").rpartition(".")[2] for name, row in tables.ROWS.items() if wanted(row))


SOUGHT: dict[str, tuple[Callable[[Module], Judge], frozenset[str]]] = {
    "an activation": (_activation, _names(lambda row: isinstance(row, Gives) and row.meaning in ACTIVATED)),
    "one output": (_one_output, _names(lambda row: isinstance(row, Affine) and row.out is not None)),
}
"""What a rule may need to come before a call (`Listening.behind`): how to judge calls, and what its sources are called."""


def sifted(module: Module, modules: Modules, words: frozenset[str], sought: str) -> list[Root]:
    """The roots for rules that need something sought to come before a call that one of the words names.

    Raises CannotOutlineError.
    """
    roots = roots_of(module, words)
    judge, names = SOUGHT[sought]
    sieve = _Sieve(Flow(modules, judge(module), names), words, roots)
    return [kept for root in roots if (kept := sieve.kept(root)) is not None]


class _Sieve:
    def __init__(self, flow: Flow, words: frozenset[str], roots: list[Root]) -> None:
        self._flow = flow
        self._words = words
        called = {word.removesuffix("(") for word in words if word.endswith("(")}
        self._beside = frozenset(called)
        self._sinks = (words - called) | {name for root in roots for name in root.part.statement.names}

    def kept(self, root: Root) -> Root | None:
        """The root with those methods in which something can be found; None where there are none."""
        if root.part.statement.kind not in (Kind.FUNCTION, Kind.CLASS):
            return root
        defined = self._flow.code_of(root.part)
        if isinstance(defined, Code):
            return root if self._can_fire(defined, self._sinks) else None
        if defined is None or self._outside_methods(defined):
            return root
        sinks = self._sinks_of(defined)
        own = frozenset(
            code.name
            for code in self._flow.methods(defined)
            if code.owner is defined.classes[0][1]
            and (root.methods is None or code.name in root.methods)
            and self._can_fire(code, sinks)
        )
        inherited = any(
            not code.words.isdisjoint(self._words) and self._can_fire(code, sinks) for code in self._flow.methods(defined, 1)
        )
        if not own and not inherited:
            return None
        return root if "__init__" in own else replace(root, methods=own)

    def _outside_methods(self, family: Family) -> bool:
        """Whether the body of a class, not only its methods, names a sink."""
        others = [item for item in family.classes[0][1].body if not isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
        return any(_name_of(each) in self._sinks for item in others for each in ast.walk(item))

    def _sinks_of(self, family: Family) -> frozenset[str]:
        """The sinks with the attributes that hold one, and the methods that lead to one."""
        sinks = set(self._sinks)
        waiting = [code for code in self._flow.methods(family) if code.name != "__init__"]
        for code in self._flow.methods(family):
            if not sinks.isdisjoint(code.words):
                values = self._flow.scope(code).names.attributes
                sinks.update(name for name, held in values.items() if any(_mentions(value, sinks) for value in held))
        grown = True
        while grown:
            more = {code.name for code in waiting if code.name not in sinks and not sinks.isdisjoint(code.words)}
            sinks |= more
            grown = bool(more)
        return frozenset(sinks)

    def _can_fire(self, code: Code, sinks: frozenset[str]) -> bool:
        """Whether an activation can reach a sink in a function, or a sink goes where it is not followed."""
        if sinks.isdisjoint(code.words) and self._beside.isdisjoint(code.words):
            return False
        scope = self._flow.scope(code)
        nodes = list(nodes_of(code.node))
        called = {node.func for node in nodes if isinstance(node, ast.Call)}
        names = scope.names
        kept = {value for name in names.bound for value in names.values(name)}
        kept |= {value for values in names.attributes.values() for value in values} | _compared(nodes)
        for node in nodes:
            if isinstance(node, ast.Call):
                if not self._is_sink(node.func, scope, sinks):
                    continue
                followed = node in kept or node in called or not _makes(node.func)
                if not followed or any(SOURCE in self._flow.origins(value, scope) for value in _values(node, names.receiver)):
                    return True
            elif isinstance(node, ast.Name | ast.Attribute):
                name = _name_of(node)
                if name in self._beside:
                    return True
                if name in sinks and not isinstance(node.ctx, ast.Store) and node not in called and node not in kept:
                    return True
        return False

    def _is_sink(self, node: ast.expr, scope: Scope, sinks: frozenset[str]) -> bool:
        if isinstance(node, ast.Call):
            return self._is_sink(node.func, scope, sinks)
        if _name_of(node) in sinks or (isinstance(node, ast.Name) and node.id == scope.names.receiver and "forward" in sinks):
            return True
        if isinstance(node, ast.Name):
            return any(_mentions(value, sinks) for value in scope.names.values(node.id))
        if isinstance(node, ast.Attribute):
            base = node.value
            return not (isinstance(base, ast.Name) and base.id == scope.names.receiver) and self._is_sink(base, scope, sinks)
        return _mentions(node, sinks)


def _compared(nodes: list[ast.AST]) -> set[ast.expr]:
    """Classes in questions like isinstance(module, Loss)."""
    calls = [node for node in nodes if isinstance(node, ast.Call) and _name_of(node.func) in ("isinstance", "issubclass")]
    return {each for call in calls for value in call.args for each in ast.walk(value) if isinstance(each, ast.expr)}


def _mentions(node: ast.AST, sinks: set[str] | frozenset[str]) -> bool:
    return any(_name_of(each) in sinks for each in ast.walk(node))


def _values(node: ast.Call, receiver: str | None) -> Iterator[ast.expr]:
    """Arguments, and what a method is called on, unless that is `self`."""
    if isinstance(node.func, ast.Attribute) and _name_of(node.func.value) != receiver:
        yield node.func.value
    yield from node.args
    yield from (keyword.value for keyword in node.keywords)


def _makes(node: ast.expr) -> bool:
    """Whether a call makes a loss object rather than a loss, judged from its name."""
    return (_name_of(node) or "_")[0].isupper()


def _name_of(node: ast.AST) -> str | None:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None
