"""A file together with what it takes from other files of its project: for rules about code as it is written.

Decided from names alone: a definition of an imported file counts where its name is said by the file, or by what counts already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mldbg.lint.outline import Kind

if TYPE_CHECKING:
    from mldbg.lint.interpret.module import Module, Modules, Part
    from mldbg.lint.rule import Together

MOST_LEVELS = 3
"""Imports from the file to the last one that is looked at."""

MOST_FILES = 40
"""Files that are looked at, the nearest first."""

_STARTS = re.compile(r"\s*if\s+__name__\b")


@dataclass(frozen=True, eq=False)
class Gathered:
    """A file and definitions of others.

    Attributes:
        module: the file that is checked.
        others: what it takes from the files that it imports.
        kept: what rules have found out about all of it.
    """

    module: Module
    others: tuple[Part, ...] = ()
    kept: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for part in (*self.module.parts, *self.others) if part.statement.kind is not Kind.IMPORT)

    @cached_property
    def _modules(self) -> tuple[Module, ...]:
        return tuple(dict.fromkeys((self.module, *(part.module for part in self.others))))

    def says(self, pattern: re.Pattern[str]) -> bool:
        """Whether a pattern matches in what the files say, also in what nobody takes: for words that keep a rule silent."""
        return any(module.says(pattern) for module in self._modules)


def imported(module: Module, modules: Modules, together: Together) -> list[Module]:
    """The files that one leads to through its imports and that are looked at together with it, the nearest first."""
    if module.file is None:
        return []
    seen = {module.file}
    found: list[Module] = []
    level = [module.file]
    for _ in range(MOST_LEVELS):
        level = [file for each in dict.fromkeys(level) for file in modules.leads_to(each) if file not in seen]
        for file in dict.fromkeys(level):
            seen.add(file)
            other = modules.at(file) if len(seen) <= MOST_FILES else None
            if other is not None and other.says(together.each) and not other.is_test:
                found.append(other)
    return found if any(each.says_in_code(together.one) for each in (module, *found)) else []


def gathered(module: Module, others: Iterable[Module]) -> Gathered:
    """A file with the definitions that it takes from others."""
    left = [part for other in others for part in other.parts if part.statement.kind is not Kind.IMPORT]
    names = set(_foreign(module, module.parts))
    taken: dict[Part, None] = {}
    while True:
        new = [part for part in left if part not in taken and _is_taken(part, names)]
        if not new:
            return Gathered(module, tuple(part for part in left if part in taken))
        taken.update(dict.fromkeys(new))
        for part in new:
            names.update(part.words)


def _foreign(module: Module, parts: Iterable[Part]) -> Iterator[str]:
    """The names that some parts of a file say and the file does not define itself."""
    own = {name for part in module.parts if part.statement.kind is not Kind.IMPORT for name in part.statement.names}
    return (name for part in parts for name in part.words if name not in own)


def _is_taken(part: Part, names: set[str]) -> bool:
    if part.statement.kind is not Kind.CODE:
        return not names.isdisjoint(part.statement.names)
    own = part.module.part_of.keys()  # `tokenizer.pad_token = ...` belongs to `tokenizer`
    return _STARTS.match(part.code) is None and any(word in own and word in names for word in part.words)
