"""What to execute in a module: the definitions that hold a trigger word, and those that lead to them.

All decided from words of the text, before any libcst tree is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mldbg.lint.interpret.module import Module, Part
from mldbg.lint.outline import Kind, Statement

SOFT_WORDS = frozenset({"no_grad", "inference_mode", "optim"})
"""Trigger words that stand in many definitions where nothing comes of them; what inherits from those is not of interest."""

LOCAL_WORDS = frozenset({"softmax", "log_softmax", "Softmax", "LogSoftmax", "sigmoid", "Sigmoid"})
"""Trigger words of rules that look at what stands close together: callers are not of interest."""

FILLING = ("__init__", "_init_weights", "init_weights", "reset_parameters")
"""Methods that fill parameters: gradients are off there for another reason than an evaluation."""

_SILENT = dict.fromkeys(FILLING, SOFT_WORDS)

MOST_REACHED = 60
"""Definitions that are looked through for trigger words before a class is taken to hold none."""


LONGEST_ASSIGNMENT = 40
"""Lines of an assignment that are looked through for the attribute on its left."""

_BINDS = re.compile(
    r"\s*(?:self\.(?P<attribute>\w+)(?:\.(?:append|extend|insert|update)\(|\s*(?:\[[^\]=]*\]\s*)?(?::[^=]*)?=(?!=))"
    r"|(?P<several>\(?(?:self\.)?\w+(?:\s*,\s*(?:self\.)?\w+)+\)?)\s*=(?!=)"
    r"|(?P<name>\w+)\s*(?::[^=]*)?=(?!=))"
)
"""A line that gives a value to an attribute, or to a name (in a class body that is an attribute, too)."""

_HEADER = re.compile(r"\s*(?:async\s+)?def\b")
_PARAMETER = re.compile(r"\b(\w+)\s*[:=](?!=)")
"""Where a parameter may stand in the header of a function."""

_WHOLE_HEADER = re.compile(r"\bdef\s+\w+\s*\((.*?)\)\s*(?:->[^:]*)?:", re.DOTALL)
_WORD = re.compile(r"\w+")

_HOLDS_NOTHING = re.compile(r"\s*(?:(?:el)?if|while|assert|raise|return)\b|\s*(?:logg(?:er|ing)|warnings|print)\b")
"""A line that asks or tells, and gives no value to anything."""


@dataclass(frozen=True, slots=True)
class Root:
    """A part to be executed; of a class the methods that are of interest (None: all)."""

    part: Part
    methods: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """What names of a module mean in other files of the project, where that is worth executing with what the module hands on.

    Attributes:
        names: names of functions, classes and the like.
        modules: names of modules, each with what is of interest in it.
        bases: of the classes those that make their subclasses of interest, as the header of a subclass says them.
    """

    names: frozenset[str] = frozenset()
    modules: Mapping[str, frozenset[str]] = field(default_factory=dict)
    bases: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.names or self.modules)

    def are_mentioned(self, words: frozenset[str]) -> bool:
        """Whether words name any of it."""
        return not self.names.isdisjoint(words) or any(
            name in words and not inside.isdisjoint(words) for name, inside in self.modules.items()
        )

    def is_base_of(self, statement: Statement) -> bool:
        """Whether a class inherits from any of it."""
        return not self.bases.isdisjoint(statement.base_names)


@dataclass(frozen=True, slots=True)
class Closure:
    """Parts that hold certain words, and all that lead to them.

    Attributes:
        parts: in text order.
        names: what they bind, where what mentions it is of interest, too; the words themselves, and names of other files.
        inherited: the classes among them whose subclasses are of interest.
        within: regular expressions of which one must match in what is executed; none where anything may be.
    """

    parts: tuple[Part, ...]
    names: frozenset[str]
    inherited: frozenset[str]
    within: tuple[str, ...] = ()

    def roots(self) -> list[Root]:
        """The parts with the methods that are of interest."""
        roots = (Root(part, _methods(part.module, part.statement, set(self.names))) for part in self.parts)
        return [each for root in roots if (each := _narrowed(root, self.within)) is not None]


NOTHING = Joined()


def closure(module: Module, words: frozenset[str], joined: Joined, *, callers: bool = True) -> Closure:
    """The parts that hold a trigger word or a name of another file, or, with callers, a name bound by one that does.

    Raises CannotOutlineError.
    """
    parts = [part for part in module.parts if part.statement.kind is not Kind.IMPORT and part.statement.names != ("__all__",)]
    texts = {part: _mentioned(module, part.statement) for part in parts}
    wanted = set(words)
    inherited: set[str] = set()
    found: set[Part] = set()
    grown = True
    while grown:
        grown = False
        for part in parts:
            statement = part.statement
            if part in found:
                continue
            mentioned = texts[part] - statement.bases
            inherits = not inherited.isdisjoint(statement.bases) or joined.is_base_of(statement)
            of_package = module.home.is_package and statement.kind in (Kind.ASSIGNMENT, Kind.CODE)  # it only hands names on
            leads = inherits or (not of_package and joined.are_mentioned(mentioned))
            if not leads and wanted.isdisjoint(mentioned):
                continue
            found.add(part)
            grown = True
            if not leads and (not callers or (wanted - LOCAL_WORDS).isdisjoint(mentioned)):
                continue
            wanted.update(statement.names)
            loud = words - SOFT_WORDS - LOCAL_WORDS
            if statement.kind is Kind.CLASS and (joined.is_base_of(statement) or not loud.isdisjoint(texts[part])):
                inherited.update(statement.names)
    names = wanted.union(joined.names, joined.modules)
    return Closure(tuple(part for part in parts if part in found), frozenset(names), frozenset(inherited))


def roots_of(module: Module, words: frozenset[str], joined: Joined = NOTHING) -> list[Root]:
    """What to execute for the sake of some words and of what other files define, in text order.

    Raises CannotOutlineError.
    """
    return closure(module, words, joined).roots()


def together(module: Module, roots: list[Root]) -> list[Root]:
    """Each part once, in text order; of a class the methods that any of them wants."""
    found: dict[Part, Root] = {}
    for root in roots:
        known = found.get(root.part)
        if known is None or known.methods is None or root.methods is None:
            found[root.part] = root if known is None or root.methods is None else known
        else:
            found[root.part] = Root(root.part, known.methods | root.methods)
    return [found[part] for part in module.parts if part in found]


def _methods(module: Module, statement: Statement, wanted: set[str]) -> frozenset[str] | None:
    """The methods of a class that hold a wanted word, and those that mention them."""
    if statement.kind is not Kind.CLASS or not statement.methods:
        return None
    texts = {name: module.outline.words(first, last) - _SILENT.get(name, frozenset()) for name, first, last in statement.methods}
    names = wanted - set(statement.names) - statement.bases  # what stands in the header says nothing of a method
    held = _attributes_that_hold(module, statement, names)
    if held is None:
        return None
    names |= held
    found: set[str] = set()
    grown = True
    while grown:
        more = {name for name, words in texts.items() if name not in found and not names.isdisjoint(words)}
        grown = bool(more)
        found |= more
        names |= more - {"__init__"}
        if "forward" in more:
            names.add("self(")
    return None if found == {"__init__"} else frozenset(found)


def _narrowed(root: Root, within: tuple[str, ...]) -> Root | None:
    """A root without the methods in which no regular expression matches.

    Callers of one that matches are kept where it matches on a line with a parameter: then they say what it is about.
    """
    if not within or root.part.statement.kind is not Kind.CLASS:
        return root
    outline = root.part.module.outline
    methods = {name: (first, last) for name, first, last in root.part.statement.methods}
    code = {name: outline.code[first - 1 : last] for name, (first, last) in methods.items()}
    matching = {name: [line for line in lines if holds_any(line, within)] for name, lines in code.items()}
    found = {name for name, lines in matching.items() if lines}
    names = {name for name in found if _names_parameter(code[name], matching[name])}
    while more := {name for name, place in methods.items() if name not in found and not names.isdisjoint(outline.words(*place))}:
        found |= more
        names |= more | ({"self("} if "forward" in more else set())
    wanted = found if root.methods is None else found & root.methods
    return Root(root.part, frozenset(wanted)) if wanted or not methods else None


def _names_parameter(method: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether one of some lines of a method names a parameter other than `self`."""
    header = _WHOLE_HEADER.search("".join(method))
    leading = (_WORD.match(parameter.strip(" \n*")) for parameter in header[1].split(",")) if header is not None else ()
    parameters = {word[0] for word in leading if word is not None} - {"self"}
    return any(not parameters.isdisjoint(_WORD.findall(line)) for line in lines)


def holds_any(code: str, patterns: Sequence[str]) -> bool:
    """Whether one of some regular expressions matches in a text."""
    return any(re.search(pattern, code) for pattern in patterns)


def _attributes_that_hold(module: Module, statement: Statement, wanted: set[str]) -> set[str] | None:
    """The attributes to which `__init__` and the class body give something wanted: the methods that read them are of interest.

    None where something wanted goes elsewhere, and every method may be.
    """
    inside = {line for name, first, last in statement.methods if name != "__init__" for line in range(first, last + 1)}
    filling = {line for name, first, last in statement.methods if name == "__init__" for line in range(first, last + 1)}
    code = module.outline.code
    names, found = set(wanted), set[str]()
    for line in range(statement.first + 1, statement.last + 1):
        if line in inside or names.isdisjoint(module.outline.words(line, line)):
            continue
        first = code[_start_of_statement(code, line) - 1]
        bound = _BINDS.match(first)
        if _HEADER.match(first) is not None:
            names.update(_PARAMETER.findall(code[line - 1]))
        elif bound is None:
            if _HOLDS_NOTHING.match(first) is None:
                return None
        elif bound["several"] is not None:
            each = re.findall(r"(self\.)?\b(\w+)", bound["several"])
            found.update(name for of_self, name in each if of_self)
            names.update(name for of_self, name in each if not of_self)
        elif bound["attribute"] is None and line in filling:
            names.add(bound["name"])  # a variable, which may be given to an attribute further down
        else:
            found.add(bound["attribute"] or bound["name"])
    return found


def _start_of_statement(code: Sequence[str], line: int) -> int:
    """The line on which the statement begins that a line belongs to, judged from brackets and backslashes."""
    start, depth = line, 0
    for above in range(line - 1, max(line - LONGEST_ASSIGNMENT, 0), -1):
        text = code[above - 1].rstrip()
        depth += sum(map(text.count, "([{")) - sum(map(text.count, ")]}"))
        if depth > 0 or (text.endswith("\\") and start == above + 1):
            start, depth = above, 0
    return start


def _mentioned(module: Module, statement: Statement) -> frozenset[str]:
    """The words of a statement that say what it does."""
    words = module.outline.words(statement.first, statement.last)
    if statement.kind is not Kind.CLASS or words.isdisjoint(SOFT_WORDS):
        return words
    methods = [module.outline.words(first, last) - _SILENT.get(name, frozenset()) for name, first, last in statement.methods]
    return (words - SOFT_WORDS).union(*methods, _outside_methods(module, statement) & SOFT_WORDS)


def _outside_methods(module: Module, statement: Statement) -> frozenset[str]:
    inside = {line for _, first, last in statement.methods for line in range(first, last + 1)}
    lines = [line for line in range(statement.first + 1, statement.last + 1) if line not in inside]
    return frozenset(word for line in lines for word in module.outline.words(line, line))


class Reach:
    """Which classes can be run without anything happening that a rule listens to.

    Their calls may wait until somebody asks for the result.
    """

    def __init__(self, words: frozenset[str]) -> None:
        self._loud = words - SOFT_WORDS - LOCAL_WORDS
        self._words = self._loud | {"eval"}
        self._known: dict[Part, bool] = {}

    def is_quiet(self, part: Part) -> bool:
        """Whether neither the part nor what it mentions in its module holds a trigger word."""
        if part not in self._known:
            self._known[part] = self._search(part)
        return self._known[part]

    def loud_methods(self, part: Part) -> frozenset[str]:
        """The methods of a class whose own text holds a trigger word."""
        outline = part.module.outline
        return frozenset(
            name for name, first, last in part.statement.methods if not self._loud.isdisjoint(outline.words(first, last))
        )

    def _search(self, start: Part) -> bool:
        seen = {start}
        todo = [start]
        while todo and len(seen) <= MOST_REACHED:
            part = todo.pop()
            outline = part.module.outline
            words = outline.words(part.statement.first, part.statement.last)
            if not self._words.isdisjoint(words):
                return False
            for word in words - part.statement.bases:
                other = part.module.part_of.get(word)
                if other is not None and other not in seen:
                    seen.add(other)
                    todo.append(other)
        return True
