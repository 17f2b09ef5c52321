"""What `model` may mean where a definition gets it from nobody: the only network that the files around define."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.module import Module, Modules, Part
from mldbg.lint.interpret.names import Names
from mldbg.lint.interpret.value import ClassThing
from mldbg.lint.outline import Kind

MODEL_NAMES = frozenset({"model", "net", "network"})
"""What a parameter is called that takes the network of a program."""

MOST_FILES = 80
"""Files beside and below the one that is checked in which networks are looked for; where there are more, any may be meant."""

_TAKES_MODEL = re.compile(rf"\bdef\s+\w+\s*\([^)]*\b(?:{'|'.join(sorted(MODEL_NAMES))})\s*[,)]")
_DEFINES_NETWORK = re.compile(r"^class \w+\([^)]*Module\b", re.MULTILINE)
_IS_LOSS = re.compile(r"Loss$|Criterion$")


class SupposedModels:
    """Finds the network.

    Args:
        machine: the machine.
        names: looks names up.
        modules: the project's modules.
    """

    def __init__(self, machine: Machine, names: Names, modules: Modules) -> None:
        self._machine = machine
        self._names = names
        self._modules = modules

    def of(self, part: Part) -> ClassThing | None:
        """The only network that may be meant by a parameter of a definition, if it has one that says no more."""
        if part.module.is_test or part.module.file is None or _TAKES_MODEL.search(part.code) is None:
            return None
        if "the network" not in part.module.kept:
            part.module.kept["the network"] = self._only_network(part.module, part.module.file)
        found: Part | None = part.module.kept["the network"]
        if found is None or found is part:
            return None
        thing = self._names.module_name(found.module, found.statement.names[0]).thing
        return thing if isinstance(thing, ClassThing) else None

    def _only_network(self, module: Module, file: Path) -> Part | None:
        files = list(islice(chain(file.parent.glob("*.py"), file.parent.glob("*/*.py")), MOST_FILES + 1))
        if len(files) > MOST_FILES:
            return None
        files.sort(key=os.fspath)
        modules = {module: None}
        for path in files:
            other = self._modules.at(path)
            if other is not None and not other.is_test:
                modules[other] = None
        module.found.update(each.file for each in modules if each.file is not None)  # any of them may come to define one
        with_networks = [each for each in modules if _DEFINES_NETWORK.search(each.text) is not None]
        networks = [part for each in with_networks for part in _networks(each)]
        free = [part for part in networks if not any(_uses(other, part) for other in networks if other is not part)]
        if len(free) != 1:
            return None
        heir = re.compile(rf"^class \w+\([^)]*\b{free[0].statement.names[0]}\b", re.MULTILINE)
        return None if any(heir.search(each.text) for each in modules) else free[0]


def _networks(module: Module) -> Iterator[Part]:
    """The classes of a module that are networks, as their text says it; modules that are losses are none."""
    heirs: set[str] = set()
    for part in module.parts:
        if part.statement.kind is not Kind.CLASS:
            continue
        bases = {base.rpartition(".")[2] for base in part.statement.base_names if base is not None}
        if "Module" in bases or not heirs.isdisjoint(bases):
            heirs.update(part.statement.names)
            if _IS_LOSS.search(part.statement.names[0]) is None and any(
                name == "forward" for name, _, _ in part.statement.methods
            ):
                yield part


def _uses(part: Part, other: Part) -> bool:
    """Whether a network mentions another one: it derives from it, or has it as a part of itself."""
    return other.statement.names[0] in part.words
