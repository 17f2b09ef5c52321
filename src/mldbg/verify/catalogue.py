"""What is known of the checks without running their code: names, places in the gate order, docstrings. Loads no torch."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mldbg.verify.check import Kind, Stage, gate_order

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_CAUSE = re.compile(r"^- `([^`]+)`:?\s*(.*?)(?=^- `|^$|\Z)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """One check, as its source text states it; the fields are those of `Check`."""

    name: str
    id: str
    stage: Stage
    kind: Kind
    needs: tuple[str, ...]
    docstring: str

    @property
    def summary(self) -> str:
        """The claim with which the docstring opens, on one line."""
        return " ".join(_HEADING.split(self.docstring)[0].split())

    @property
    def sections(self) -> dict[str, str]:
        """The text under each heading, in the order of the docstring."""
        _, *rest = _HEADING.split(self.docstring)
        return {title: text.strip() for title, text in zip(rest[::2], rest[1::2], strict=True)}

    @property
    def causes(self) -> dict[str, str]:
        """What each cause means, from the section Causes."""
        found = _CAUSE.findall(self.sections.get("Causes", ""))
        return {name: " ".join(meaning.split()) for name, meaning in found}


@cache
def entries() -> dict[str, Entry]:
    """All checks by name, in gate order."""
    folder = Path(__file__).parent / "checks"
    found = [entry for file in folder.glob("[!_]*.py") for entry in read(file)]
    found.sort(key=lambda entry: gate_order(entry.stage, entry.kind, entry.id))
    return {entry.name: entry for entry in found}


def read(file: Path) -> list[Entry]:
    """The checks that a module defines: its classes with the base `Check`."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [_entry(file.stem, node) for node in tree.body if isinstance(node, ast.ClassDef) and _is_check(node)]


def known_words() -> set[str]:
    """Everything that --select and --ignore understand, in lower case."""
    words = {"all", *(stage.title for stage in Stage)}
    return words.union(*({entry.name, entry.id.lower()} for entry in entries().values()))


def _is_check(node: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id == "Check" for base in node.bases)


def _entry(module: str, node: ast.ClassDef) -> Entry:
    values = {
        target.id: statement.value
        for statement in node.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    return Entry(
        name=module.replace("_", "-"),
        id=ast.literal_eval(values["id"]),
        stage=Stage[_member(values["stage"])],
        kind=Kind[_member(values["kind"])],
        needs=ast.literal_eval(values["needs"]) if "needs" in values else (),
        docstring=inspect.cleandoc(ast.get_docstring(node) or ""),
    )


def _member(node: ast.expr) -> str:
    assert isinstance(node, ast.Attribute), "stage and kind are written as Stage.LOSS, Kind.EXACT"
    return node.attr
