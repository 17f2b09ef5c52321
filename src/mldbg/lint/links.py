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
from mldbg.lint.surveys import DEEPEST_LINK, Survey, Surveys, Target, runs_on_data
from mldbg.lint.triggers import ANNOTATED, Trigger

if TYPE_CHECKING:
    from mldbg.lint.interpret.module import Module, Modules, Part
    from mldbg.lint.interpret.roots import Closure, Joined, Root

_NO_PARAMETERS = re.compile(r"\s*(?:@.*\n\s*)*(?:async\s+)?def\s+\w+\s*\(\s*\)")
_AT_TOP = re.compile(r"^(?:(?:async +)?(?P<kind>def|class) +(?P<name>\w+)|(?P<variable>\w+) *(?::[^=\n]*)?=(?!=))", re.MULTILINE)
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

_FILES_TO_AN_ALIAS = 2
"""Imports from a file to the one in which an array type has got its name: one that hands it on may stand between."""


class Links:
    """Finds what the files of a project offer one another.

    Args:
        surveys: what each file says.
        triggers: what makes code worth executing.
        modules: the modules of the project, once they are needed.
    """

    def __init__(self, surveys: Surveys, triggers: tuple[Trigger, ...], modules: Callable[[], Modules]) -> None:
        self._surveys = surveys
        self._triggers = triggers
        self._modules = modules
        self._joined_of: dict[tuple[str, int], Offer] = {}
        """What the names that a file imports mean, by the number of files that may be passed through."""
        self._offer_of: dict[tuple[str, int], Offer] = {}
        """What it offers, in the same way."""

    def triggers_in(self, source: Source, file: Path | None) -> tuple[Trigger, ...]:
        """The triggers that a text holds."""
        if file is None:
            return gate.present(source.data, self._triggers)
        survey = self._surveys.of(os.fspath(file), source)
        return self._of_interest(survey) if survey is not None else ()

    def into(self, file: Path | None) -> Offer:
        """What the names of a file mean in others that is worth executing with what this file hands to it."""
        return self._joined(os.fspath(file), DEEPEST_LINK) if file is not None else NO_OFFER

    def is_of_interest(self, file: Path) -> bool:
        """Whether anything in a file may be worth executing."""
        survey = self._surveys.of(os.fspath(file))
        return survey is not None and bool(self._of_interest(survey) or self.into(file))

    def _of_interest(self, survey: Survey) -> tuple[Trigger, ...]:
        return tuple(trigger for trigger in self._triggers if trigger in survey.triggers)

    def _joined(self, file: str, depth: int) -> Offer:
        """What the names that a file imports mean, followed through so many files."""
        survey = self._surveys.of(file)
        if survey is None or depth == 0:
            return NO_OFFER
        if (file, depth) not in self._joined_of:
            offers = {each: offer for each in survey.leads_to if (offer := self._offer(each, depth - 1))}
            self._joined_of[file, depth] = _joined_by(survey.targets, offers) if offers else NO_OFFER
        return self._joined_of[file, depth]

    def _offer(self, file: str, depth: int) -> Offer:
        """What a file offers to those that import it."""
        survey = self._surveys.of(file)
        if survey is None:
            return NO_OFFER
        if (file, depth) not in self._offer_of:
            joined = self._joined(file, depth)
            same = depth > 0 and self._joined(file, depth - 1) == joined
            self._offer_of[file, depth] = self._offer(file, depth - 1) if same else self._offered(file, survey, joined)
        return self._offer_of[file, depth]

    def _offered(self, file: str, survey: Survey, joined: Offer) -> Offer:
        triggers = tuple(trigger for trigger in self._of_interest(survey) if not trigger.local)
        if not triggers and not joined:
            return NO_OFFER
        module = self._modules().at(Path(file))
        if module is None or module.is_test:
            return NO_OFFER
        found = _spreading(module, triggers, joined)
        acting = [name for part in found.parts if _acts(part) for name in part.statement.names if name in found.names]
        names = joined.names.union(acting)
        of_these = joined.triggers.union(triggers if acting else ())
        return Offer(names, joined.modules, (joined.bases | found.inherited) & names, of_these)


class ShapeLinks(Links):
    """The same for shapes, decided file by file: nearly every definition of a network does something with sizes.

    A file that runs something on data is of interest for whatever it imports from files with layers and tensors in them.
    """

    def follows_data(self, source: Source, file: Path | None) -> bool:
        """Whether shapes come from data or annotations in a file, or from aliases of annotations in those that it imports.

        Else only what says sizes can contradict itself.
        """
        if ANNOTATED in self.triggers_in(source, file) or runs_on_data(source.data):
            return True
        level = {os.fspath(file)} if file is not None else set()
        for _ in range(_FILES_TO_AN_ALIAS):
            surveys = [survey for each in level if (survey := self._surveys.of(each)) is not None]
            level = {each for survey in surveys for each in survey.leads_to}
            if any(ANNOTATED in survey.triggers for each in level if (survey := self._surveys.of(each)) is not None):
                return True
        return False

    def is_of_interest(self, file: Path) -> bool:
        """Whether a file gives shapes to what others define."""
        survey = self._surveys.of(os.fspath(file))
        return survey is not None and survey.on_data and super().is_of_interest(file)

    def _offered(self, file: str, survey: Survey, joined: Offer) -> Offer:
        triggers = self._of_interest(survey)
        if not triggers and not joined:
            return NO_OFFER
        found = list(_AT_TOP.finditer(self._surveys.text(file)))
        names = joined.names.union(match["name"] or match["variable"] for match in found)
        classes = frozenset(match["name"] for match in found if match["kind"] == "class")
        return Offer(names, joined.modules, joined.bases | classes, joined.triggers.union(triggers))


def _joined_by(targets: Iterable[Target], offers: Mapping[str, Offer]) -> Offer:
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
    local = {trigger.within for trigger in triggers if trigger.local and trigger.within}
    for trigger in triggers:
        words[trigger.within] = words.get(trigger.within, frozenset()) | trigger.words
    joined = joined_by(offer)
    if joined:
        words.setdefault((), frozenset())
    found: list[Closure] = []
    for within, wanted in words.items():
        is_local = within in local or (bool(within) and wanted <= LOCAL_WORDS)
        each = closure(module, wanted, joined if not within else joined_by(NO_OFFER), callers=not is_local)
        if is_local:
            kept = tuple(part for part in each.parts if _holds_any(part, within))
            each = replace(each, parts=kept, within=() if within in local else within)
        if each.parts and (not within or any(_holds_any(part, within) for part in each.parts)):
            found.append(each)
    return found


def _holds_any(part: Part, patterns: Sequence[str]) -> bool:
    from mldbg.lint.interpret.roots import holds_any

    return holds_any(part.code, patterns)


def roots_in(
    module: Module, triggers: Sequence[Trigger], offer: Offer, wanted: Callable[[Part], bool] | None = None
) -> list[Root]:
    """What to execute in a module, of the wanted parts (None: all). Raises CannotOutlineError."""
    from mldbg.lint.interpret.roots import together

    found = closures(module, triggers, offer)
    if wanted is not None:
        found = [replace(each, parts=tuple(filter(wanted, each.parts))) for each in found]
    return together(module, [root for each in found for root in each.roots()])
