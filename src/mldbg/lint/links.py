"""The graph of a project: which definitions of its files act on what is handed to them, and which other files hand it.

The file that joins the pieces of a program often holds no trigger word: a `main.py` builds the model of one file and trains it
with the loop of another. It is of interest for what it imports. All decided from import statements and words, before any libcst
tree is built.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mldbg.lint import gate
from mldbg.lint.files import Source
from mldbg.lint.imports import Binding, Finder, Home, Look, absolute, bindings
from mldbg.lint.triggers import Trigger
from mldbg.operations import tables
from mldbg.operations.spelling import canonical

if TYPE_CHECKING:
    from mldbg.lint.interpret.module import Module, Modules, Part
    from mldbg.lint.interpret.roots import Closure, Joined, Root

MOST_STAR_IMPORTS = 20
"""Star imports of a file that are followed; one with more collects the names of a whole library for others."""

DEEPEST_LINK = 5
"""Files from the one that joins pieces to the one that holds a trigger word, re-exporting ones included."""

_NO_PARAMETERS = re.compile(r"\s*(?:@.*\n\s*)*(?:async\s+)?def\s+\w+\s*\(\s*\)")
_RETURNS = re.compile(r"\b(?:return|yield)\s+(?!None\b)\S")


@dataclass(frozen=True, slots=True)
class Offer:
    """What other files can do with the names of a file.

    Attributes:
        names: definitions that act on what is handed to them.
        modules: names of modules that hold such definitions, and the names in these.
        bases: the classes among the definitions that make their subclasses of interest.
        triggers: why all these are of interest.
    """

    names: frozenset[str] = frozenset()
    modules: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()
    triggers: frozenset[Trigger] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names or self.modules)

    @property
    def inside(self) -> frozenset[str]:
        """All names that may follow the name of the module."""
        return self.names.union(self.modules, *self.modules.values())


NO_OFFER = Offer()


@dataclass(frozen=True, slots=True)
class _Target:
    """What an import statement binds a name to: something in one file, or another file as a whole. Files by their paths."""

    binding: Binding
    source: str | None
    module: str | None


@dataclass(slots=True)
class _Survey:
    """What the text of one file says by itself."""

    triggers: tuple[Trigger, ...]
    targets: tuple[_Target, ...]
    looks: tuple[Look, ...]
    """Where its imports lead."""
    leads_to: tuple[str, ...]
    """The files that its imports lead to."""
    joined: dict[int, Offer] = field(default_factory=dict)
    """What the names that it imports mean, by the number of files that may be passed through."""
    offers: dict[int, Offer] = field(default_factory=dict)
    """What it offers, in the same way."""


class Links:
    """Finds what the files of a project offer one another.

    Args:
        finder: says where imports lead.
        read: the source of a file, or None where it cannot be read.
        triggers: what makes code worth executing.
        modules: the modules of the project, once they are needed.
    """

    def __init__(
        self,
        finder: Finder,
        read: Callable[[Path], Source | None],
        triggers: tuple[Trigger, ...],
        modules: Callable[[], Modules],
    ) -> None:
        self._finder = finder
        self._read = read
        self._triggers = triggers
        self._modules = modules
        self._surveys: dict[str, _Survey | None] = {}

    def triggers_in(self, source: Source, file: Path | None) -> tuple[Trigger, ...]:
        """The triggers that a text holds."""
        if file is None:
            return gate.present(source.data, self._triggers)
        survey = self._survey(os.fspath(file), source)
        return survey.triggers if survey is not None else ()

    def into(self, file: Path | None) -> Offer:
        """What the names of a file mean in others that is worth executing with what this file hands to it."""
        return self._joined(os.fspath(file), DEEPEST_LINK) if file is not None else NO_OFFER

    def leads_to(self, file: Path) -> frozenset[Path]:
        """The files of the project that a file imports."""
        survey = self._survey(os.fspath(file))
        return frozenset(map(Path, survey.leads_to)) if survey is not None else frozenset()

    def is_of_interest(self, file: Path) -> bool:
        """Whether anything in a file may be worth executing."""
        survey = self._survey(os.fspath(file))
        return survey is not None and bool(survey.triggers or self.into(file))

    def consulted_by(self, file: Path) -> tuple[frozenset[Path], frozenset[Path]]:
        """The files that this rests on, and where files were looked for in vain."""
        found: set[str] = set()
        missing: set[Path] = set()
        level = {os.fspath(file)}
        for _ in range(DEEPEST_LINK + 1):
            found |= level
            surveys = [survey for each in level if (survey := self._surveys.get(each)) is not None]
            missing.update(place for survey in surveys for look in survey.looks for place in look.missing)
            level = {each for survey in surveys for each in survey.leads_to} - found
        return frozenset(map(Path, found)) - {file}, frozenset(missing)

    # ------------------------------------------------------------------------------------------------------------- surveys
    def _survey(self, file: str, source: Source | None = None) -> _Survey | None:
        if file not in self._surveys:
            source = source or self._read(Path(file))
            self._surveys[file] = self._surveyed(Home(Path(file)), source.data) if source is not None else None
        return self._surveys[file]

    def _surveyed(self, home: Home, data: bytes) -> _Survey:
        targets: list[_Target] = []
        by_module: dict[tuple[str, int], Look] = {}
        looks: list[Look] = []
        stars = 0
        for binding in bindings(data):
            what = binding.what
            stars += binding.name == "*"
            if binding.name == "*" and stars > MOST_STAR_IMPORTS:
                continue
            if what.name is not None and not what.level and tables.is_known(canonical(f"{what.module}.{what.name}")):
                continue  # the tables know it better than its source, when that is the project itself
            key = what.module, what.level
            if key not in by_module:
                by_module[key] = self._finder.find(absolute(what, home.name, is_package=home.is_package), home)
                looks.append(by_module[key])
            look = by_module[key]
            whole = what.name is None and binding.name != "*"
            inner = look if whole else self._submodule(look, what.name, home) if what.name is not None else None
            if inner is not None:
                looks.append(inner)
            source = None if whole else _path(look)
            module = _path(inner) if inner is not None else None
            if source is not None or module is not None:
                targets.append(_Target(binding, source, module))
        leads_to = dict.fromkeys(file for each in targets for file in (each.source, each.module) if file is not None)
        return _Survey(gate.present(data, self._triggers), tuple(targets), tuple(looks), tuple(leads_to))

    def _submodule(self, package: Look, name: str, home: Home) -> Look | None:
        """Where a module lies that `from package import name` may bind."""
        file = package.file
        if not package.near or (file is not None and (file.name != "__init__.py" or not self._finder.holds(file, name))):
            return None
        return self._finder.find(f"{package.dotted}.{name}" if package.dotted else name, home)

    # -------------------------------------------------------------------------------------------------------------- offers
    def _joined(self, file: str, depth: int) -> Offer:
        """What the names that a file imports mean, followed through so many files."""
        survey = self._survey(file)
        if survey is None or depth == 0:
            return NO_OFFER
        if depth not in survey.joined:
            offers = {each: offer for each in survey.leads_to if (offer := self._offer(each, depth - 1))}
            survey.joined[depth] = _joined_by(survey.targets, offers) if offers else NO_OFFER
        return survey.joined[depth]

    def _offer(self, file: str, depth: int) -> Offer:
        """What a file offers to those that import it."""
        survey = self._survey(file)
        if survey is None:
            return NO_OFFER
        if depth not in survey.offers:
            joined = self._joined(file, depth)
            same = depth > 0 and self._joined(file, depth - 1) == joined
            survey.offers[depth] = self._offer(file, depth - 1) if same else self._offered(file, survey, joined)
        return survey.offers[depth]

    def _offered(self, file: str, survey: _Survey, joined: Offer) -> Offer:
        if not survey.triggers and not joined:
            return NO_OFFER
        module = self._modules().at(Path(file))
        if module is None or module.is_test:
            return NO_OFFER
        found = _spreading(module, survey.triggers, joined)
        acting = [name for part in found.parts if _acts(part) for name in part.statement.names if name in found.names]
        names = joined.names.union(acting)
        triggers = joined.triggers.union(survey.triggers if acting else ())
        return Offer(names, joined.modules, (joined.bases | found.inherited) & names, triggers)


def _path(look: Look) -> str | None:
    return os.fspath(look.file) if look.file is not None else None


def _joined_by(targets: Iterable[_Target], offers: Mapping[str, Offer]) -> Offer:
    """What names mean that import statements bind."""
    names: set[str] = set()
    modules: dict[str, frozenset[str]] = {}
    bases: set[str] = set()
    triggers: set[Trigger] = set()
    for target in targets:
        bound = target.binding.name
        source = offers.get(target.source or "", NO_OFFER)
        module = offers.get(target.module or "", NO_OFFER)
        wanted = target.binding.what.name
        if bound == "*":
            taken = {name for name in source.names if not name.startswith("_")}
            names |= taken
            bases |= source.bases & taken
            triggers |= source.triggers
            modules.update({name: inside for name, inside in source.modules.items() if not name.startswith("_")})
        elif wanted in source.names:
            names.add(bound)
            bases.update({bound} if wanted in source.bases else ())
            triggers |= source.triggers
        elif wanted is not None and wanted in source.modules:
            modules[bound] = modules.get(bound, frozenset()) | source.modules[wanted]
            triggers |= source.triggers
        if module.inside:
            modules[bound] = modules.get(bound, frozenset()) | module.inside
            bases.update(f"{target.binding.dotted}.{name}" for name in module.bases)
            triggers |= module.triggers
    return Offer(frozenset(names), modules, frozenset(bases), frozenset(triggers)) if names or modules else NO_OFFER


def _acts(part: Part) -> bool:
    """Whether a definition can do anything with what other files hand to it, or gives them something."""
    from mldbg.lint.outline import Kind

    if part.is_framework:
        return False
    return (
        part.statement.kind is not Kind.FUNCTION
        or _NO_PARAMETERS.match(part.code) is None
        or _RETURNS.search(part.code) is not None
    )


def _spreading(module: Module, triggers: Sequence[Trigger], offer: Offer) -> Closure:
    """What other files may want to use: all that leads to a loss, a backward pass, a split or a fit, or evaluates a model."""
    from mldbg.lint.interpret.roots import LOCAL_WORDS, SOFT_WORDS, Closure, closure
    from mldbg.lint.outline import Kind

    evaluating = [
        part
        for part in module.parts
        for trigger in triggers
        if part.statement.kind is Kind.FUNCTION and trigger.within and not trigger.words.isdisjoint(part.words)
        if _holds_any(part, trigger.within)
    ]
    words = frozenset(word for trigger in triggers for word in trigger.words) - SOFT_WORDS - LOCAL_WORDS
    names = frozenset(name for part in evaluating for name in part.statement.names)
    found = closure(module, words | names, joined_by(offer))
    return Closure((*found.parts, *(part for part in evaluating if part not in found.parts)), found.names, found.inherited)


def joined_by(offer: Offer) -> Joined:
    """The same as the choice of roots wants it."""
    from mldbg.lint.interpret.roots import Joined

    return Joined(offer.names, offer.modules, offer.bases)


def closures(module: Module, triggers: Sequence[Trigger], offer: Offer) -> list[Closure]:
    """What is worth executing in a module, for the sake of each group of triggers. Raises CannotOutlineError."""
    from mldbg.lint.interpret.roots import LOCAL_WORDS, closure

    words: dict[tuple[str, ...], frozenset[str]] = {}
    for trigger in triggers:
        words[trigger.within] = words.get(trigger.within, frozenset()) | trigger.words
    joined = joined_by(offer)
    if joined:
        words.setdefault((), frozenset())
    found: list[Closure] = []
    for within, wanted in words.items():
        each = closure(module, wanted, joined if not within else joined_by(NO_OFFER))
        if within and wanted <= LOCAL_WORDS:
            each = replace(each, parts=tuple(part for part in each.parts if _holds_any(part, within)), within=within)
        if each.parts and (not within or any(_holds_any(part, within) for part in each.parts)):
            found.append(each)
    return found


def _holds_any(part: Part, patterns: Sequence[str]) -> bool:
    from mldbg.lint.interpret.roots import holds_any

    return holds_any(part.code, patterns)


def roots_in(module: Module, triggers: Sequence[Trigger], offer: Offer) -> list[Root]:
    """What to execute in a module. Raises CannotOutlineError."""
    from mldbg.lint.interpret.roots import together

    return together(module, [root for each in closures(module, triggers, offer) for root in each.roots()])
