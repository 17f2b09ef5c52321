"""Classes of Lightning, which owns the training loop: who runs backward and steps, as far as the text of the class says it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from mldbg.lint import nodes
from mldbg.lint.outline import Kind

if TYPE_CHECKING:
    from mldbg.lint.interpret.module import Part

_PACKAGES = ("lightning", "pytorch_lightning")
_BASE = "LightningModule"
_STEP = "training_step"

_SET_ELSEWHERE = re.compile(r"(?<!self)\.automatic_optimization\b|\bautomatic_optimization=(?!=)")
"""Somebody else than the class sets the mode: `model.automatic_optimization = False`, `Trainer(automatic_optimization=False)`."""

_HANDS_ON = re.compile(r"(?<!super)\((?:self|[^()\n]*(?:\boptimizers?\(\)|, ?self\b))[,)]")

DEEPEST_BASE = 4
"""Classes of the same file above one another that are followed."""


class Optimisation(Enum):
    """Who runs backward, step and zero_grad."""

    AUTOMATIC = "automatic"
    MANUAL = "manual"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LightningClass:
    """A LightningModule of a file.

    Attributes:
        code: its text, with that of its bases in the same file.
        step: its training_step.
        optimisation: who optimises.
    """

    code: str
    step: Part
    optimisation: Optimisation

    @property
    def gives_loss(self) -> bool:
        """Whether training_step returns something: what returns nothing is not optimised automatically."""
        return any(True for _ in nodes.returned_in(self.step.function))

    @property
    def hands_itself_on(self) -> bool:
        """Whether training_step gives the module or its optimizers to a function, which may do what is missing."""
        return _HANDS_ON.search(re.sub(r"def \w+\([^)]*\)", "", self.step.code)) is not None

    def returns(self, name: str) -> bool:
        """Whether what training_step returns holds a name."""
        returned = nodes.returned_in(self.step.function)
        return any(nodes.is_name(node, name) for value in returned for node in nodes.descendants(value))


def lightning_class_of(part: Part) -> LightningClass | None:
    """The LightningModule of which a text is a method; None of anything else, and where its bases are not all known."""
    for one in part.module.parts:
        if one.statement.kind is Kind.CLASS and part in one.methods.values():
            line = _line(one, 0)
            if line is None:
                return None
            methods = {name: method for each in reversed(line) for name, method in _methods(each).items()}
            step = methods.get(_STEP)
            code = "".join(each.code for each in line)
            return LightningClass(code, step, _optimisation(code, part)) if step is not None else None
    return None


def _methods(home: Part) -> dict[str, Part]:
    return {method.statement.names[0]: method for method in home.methods.values()}


def _line(home: Part, depth: int) -> list[Part] | None:
    """A class and its bases of the same file up to LightningModule; None where another base stands between."""
    bases = home.statement.base_names
    if len(bases) != 1 or bases[0] is None or depth > DEEPEST_BASE:
        return None
    base = bases[0]
    root, _, rest = base.partition(".")
    imported = home.module.outline.imports.get(root)
    if imported is not None:
        named = rest.rpartition(".")[2] or imported.name
        return [home] if imported.module.partition(".")[0] in _PACKAGES and named == _BASE else None
    above = home.module.part_of.get(base)
    if above is None or above.statement.kind is not Kind.CLASS or above is home:
        return None
    line = _line(above, depth + 1)
    return [home, *line] if line is not None else None


def _optimisation(code: str, part: Part) -> Optimisation:
    if _SET_ELSEWHERE.search(part.module.text):
        return Optimisation.UNKNOWN
    if "automatic_optimization" not in code:
        return Optimisation.AUTOMATIC
    said = re.findall(r"^\s*(?:self\.)?automatic_optimization ?= ?(\w+)\s*$", code, re.MULTILINE)
    property_says = re.search(r"def automatic_optimization\(self\)[^\n]*:\s+return False\b", code)
    if property_says or (said and all(value == "False" for value in said)):
        return Optimisation.MANUAL
    return Optimisation.AUTOMATIC if said and all(value == "True" for value in said) else Optimisation.UNKNOWN
