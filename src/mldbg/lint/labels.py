"""Whether a text has labels for held-out rows: without them nothing is evaluated there, only predicted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mldbg.lint.interpret.value import Role
from mldbg.lint.library.names import array_and_part, says_label, says_test, says_validation
from mldbg.lint.outline import trees

if TYPE_CHECKING:
    from mldbg.lint.interpret.module import Module

_METRIC = re.compile(
    r"(^|_)(score|error|loss|accuracy|auc|roc|f1|rmse|mae|mse|mape|r2|report|matrix|deviance|precision|recall)(_|$)"
)

_KEPT = "names of labels"


def has_labels(module: Module, role: Role) -> bool:
    """Whether a module names labels of a part of the data: `y_test`, `test["label"]`, `accuracy_score(test["kind"], guess)`."""
    said = says_test if role is Role.TEST else says_validation
    known: frozenset[str] | None = module.kept.get(_KEPT)
    if known is None:
        known = module.kept[_KEPT] = frozenset(_label_names(trees(module.text)))
    return any(said(name) for name in known)


def _label_names(trees: Iterable[ast.Module]) -> Iterator[str]:
    """What is used as labels, by name; what a model has predicted is none."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    predicted = set(_predicted(nodes))
    for node in nodes:
        if isinstance(node, ast.Name | ast.arg | ast.Attribute):
            name = node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else node.attr
            if name not in predicted and says_label(array_and_part(name)[0]):
                yield name
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            column = node.slice.value if isinstance(node.slice, ast.Constant) else None
            if isinstance(column, str) and says_label(column):
                yield from _names_in(node.value, predicted)
        elif isinstance(node, ast.Call) and _METRIC.search(_last_name(node.func)):
            yield from _compared(node.args, predicted)
        elif isinstance(node, ast.Compare):
            yield from _compared((node.left, *node.comparators), predicted)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            yield from _compared((node.left, node.right), predicted)


def _compared(values: Sequence[ast.expr], predicted: set[str]) -> Iterator[str]:
    """The names in what predictions are compared with."""
    others = [value for value in values if not _is_prediction(value, predicted)]
    if 0 < len(others) < len(values):
        for other in others:
            yield from _names_in(other, predicted)


def _names_in(node: ast.expr, predicted: set[str]) -> Iterator[str]:
    for found in ast.walk(node):
        name = found.id if isinstance(found, ast.Name) else found.attr if isinstance(found, ast.Attribute) else ""
        if name and name not in predicted:
            yield name


def _predicted(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Names and attributes that hold what a model has predicted."""
    for node in nodes:
        if isinstance(node, ast.Assign) and _is_prediction(node.value, set()):
            yield from (_last_name(target) for target in node.targets)


def _is_prediction(node: ast.expr, predicted: set[str]) -> bool:
    """Whether predictions go into an expression."""
    return any(
        ("predict" in found.attr or "decision_function" in found.attr or found.attr in predicted)
        if isinstance(found, ast.Attribute)
        else isinstance(found, ast.Name) and found.id in predicted
        for found in ast.walk(node)
    )


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""
