"""From one source to its findings, and from findings to fixed text."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from mldbg.lint import links, registry, syntax, worlds
from mldbg.lint.files import Source, read
from mldbg.lint.finding import Edit, Finding, Fix, Partly, Problem, Span
from mldbg.lint.imports import Finder, import_name
from mldbg.lint.interpret.facts import Call, Written
from mldbg.lint.links import Links, ShapeLinks
from mldbg.lint.prose import without_prose
from mldbg.lint.requirements import Requirements
from mldbg.lint.rule import Listening, Rule
from mldbg.lint.surveys import Surveys
from mldbg.lint.triggers import SHAPE_TRIGGERS, is_small_example, says_sizes, with_calls

if TYPE_CHECKING:
    from mldbg.lint.interpret.facts import Fact
    from mldbg.lint.interpret.interpreter import Interpreter
    from mldbg.lint.interpret.module import Module, Modules, Part
    from mldbg.lint.interpret.roots import Root
    from mldbg.lint.interpret.sightings import Watcher
    from mldbg.lint.interpret.value import Function
    from mldbg.operations.effect import Effect

DEEPEST_RECURSION = 12_000
"""Python frames for evaluating nested expressions; `ast` has refused what is nested more deeply than that needs."""

DEEP_NESTING = 300
"""Levels of a libcst tree beyond which a recursion without end is put down to the code; people write a few dozen."""

LONGEST_REASON = 300
"""Characters of an internal error's own message: it may quote whole trees."""

MOST_FIX_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """Findings before suppression, what could not be checked, and what was followed only in part."""

    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    partly: tuple[Partly, ...] = ()


class Project:
    """The files that imports may lead to, and the parsed definitions of those that were consulted.

    Args:
        root: the project's top folder.
        overlay: texts that count instead of what files hold.
        semantics: effects of the user's own functions: qualified name -> {"gives": meaning} or {"keeps": argument index}.
        known: all rules that may be asked about the files (None: all that exist). What is executed, and of which calls is told,
            does not depend on which of them are.
    """

    def __init__(
        self,
        root: Path,
        semantics: Mapping[str, Mapping[str, object]] | None = None,
        overlay: Mapping[Path, Source] | None = None,
        known: Sequence[type[Rule]] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.known = registry.rules() if known is None else known
        self.told = frozenset(name for rule in self.known for name in rule.listens_to.names)
        plugged_in = [rule for rule in self.known if not registry.is_built_in(rule)]
        self.reads = tuple(dict.fromkeys(rule.listens_to for rule in self.known if rule.listens_to.where is not None))
        self.triggers = with_calls(name for rule in plugged_in for name in rule.listens_to.names)
        self.semantics = semantics or {}
        self._overlay = overlay or {}
        self._finder = Finder((self.root, self.root / "src"))
        self._modules: Modules | None = None
        self._passed_over: list[Problem] = []
        self.requirements = Requirements(self.root)
        self.surveys = Surveys(self._finder, self._read, (*self.triggers, *SHAPE_TRIGGERS))
        self.links = Links(self.surveys, self.triggers, lambda: self.modules)
        self.shape_links = ShapeLinks(self.surveys, SHAPE_TRIGGERS, lambda: self.modules)

    @property
    def modules(self) -> Modules:
        """Project modules by file and import name."""
        if self._modules is None:
            from mldbg.lint.interpret.module import Modules

            self._modules = Modules(self._finder, self._text_of, self._passed_over.append, self.surveys.leads_to)
        return self._modules

    @property
    def effects(self) -> dict[str, Effect]:
        """The user's own table rows."""
        from mldbg.operations.effect import Gives, Keeps
        from mldbg.semantics import Semantic

        rows: dict[str, Effect] = {}
        for name, row in self.semantics.items():
            if "gives" in row:
                rows[name] = Gives(Semantic(str(row["gives"])), name.rpartition(".")[2])
            elif isinstance(row.get("keeps"), int):
                rows[name] = Keeps(int(str(row["keeps"])))
        return rows

    def passed_over(self) -> tuple[Problem, ...]:
        """Why imported files could not be read since this was asked last: what they define is unknown."""
        found = tuple(dict.fromkeys(self._passed_over))
        self._passed_over.clear()
        return found

    def _read(self, file: Path) -> Source | None:
        source = self._overlay.get(file) or read(file)
        if isinstance(source, Problem):
            self._passed_over.append(source)
        return source if isinstance(source, Source) else None

    def _text_of(self, file: Path) -> tuple[str, str] | None:
        source = self._read(file)
        return (source.path, source.text) if source is not None else None

    def has_read(self, source: Source, file: Path | None) -> bool:
        """Whether a text was found to be Python already, when others imported it."""
        known = self._modules.known_as(source.path, file, source.text) if self._modules is not None else None
        return known is not None and known.is_read

    def text(self, path: str) -> str | None:
        """The text of a consulted file, by the path that reports print."""
        known = self._modules.known() if self._modules is not None else []
        return next((module.text for module in known if module.path == path), None)


# ----------------------------------------------------------------------------------------------------------------------- facts
@dataclass(frozen=True)
class Entry:
    """What executing one definition, or a module's top level, has shown.

    Attributes:
        facts: in the order in which they happened.
        is_test: whether it is a test of software, which is no experiment.
        line: where the definition begins; 0 for the top level.
        shapes: whether shapes were followed.
    """

    facts: tuple[Fact, ...]
    is_test: bool
    line: int
    shapes: bool = False

    def findings(self, rule: Rule) -> Iterator[Finding]:
        """What a rule makes of it."""
        deaf = (self.is_test and rule.about_experiments) or rule.about_shapes is not self.shapes
        return iter(()) if deaf else worlds.judged(rule, self._concerning(rule.listens_to))

    def _concerning(self, listening: Listening) -> list[Fact]:
        """The facts that somebody listens to, in order: there are many facts, and of most of them few rules want to hear."""
        wanted: set[object] = {*listening.names, *listening.syntax, *(listening.kinds - {Call, Written})}
        return [self.facts[index] for index in sorted(index for key in wanted for index in self._places.get(key, ()))]

    @cached_property
    def _places(self) -> dict[object, list[int]]:
        """Where calls stand among the facts, by name, code as it is written, by its syntax, and other facts, by kind."""
        found: dict[object, list[int]] = {}
        for index, fact in enumerate(self.facts):
            key: object = type(fact)
            if isinstance(fact, Call):
                key = fact.name
            elif isinstance(fact, Written):
                key = type(fact.place.site.node).__name__
            found.setdefault(key, []).append(index)
        return found


@dataclass(frozen=True, slots=True)
class Facts:
    """What happens in a file, whoever asks: rules only judge it.

    Attributes:
        entries: what each entry point did, in the order of execution.
        problems: what could not be executed.
        grounds: what they rest on besides the text of the file.
        partly: what calls more than was followed.
    """

    entries: tuple[Entry, ...] = ()
    problems: tuple[Problem, ...] = ()
    grounds: Grounds | None = field(default=None, compare=False, repr=False)
    partly: tuple[Partly, ...] = ()

    @property
    def consulted(self) -> frozenset[Path]:
        """The project files that the facts rest on, the file itself left out."""
        return self.grounds.consulted if self.grounds is not None else frozenset()

    @property
    def missing(self) -> frozenset[Path]:
        """Paths at which a project file was looked for and none was. The facts are void once one of them exists."""
        return self.grounds.missing if self.grounds is not None else frozenset()


class Grounds:
    """What the facts of a file rest on besides its text: the files that it imports, and those that they import.

    Worked out when somebody asks.

    Args:
        file: the file, None for standard input.
        module: the file as it was executed, None where nothing in it was.
        project: its project.
    """

    def __init__(self, file: Path | None, module: Module | None, project: Project) -> None:
        self._file = file
        self._module = module
        self._project = project

    @cached_property
    def consulted(self) -> frozenset[Path]:
        return self._all[0]

    @cached_property
    def missing(self) -> frozenset[Path]:
        return self._all[1]

    @cached_property
    def _all(self) -> tuple[frozenset[Path], frozenset[Path]]:
        files, missing = self._project.surveys.consulted_by(self._file) if self._file is not None else (frozenset(), frozenset())
        if self._module is not None:
            executed, sought = self._project.modules.consulted_by(self._module)
            files, missing = files | executed, missing | sought
        return files, missing | {_package_above(file) for file in (self._file, *files) if file is not None}


def _package_above(file: Path) -> Path:
    """What would change the import name of a file if it were there: the `__init__.py` that is missing above it."""
    return import_name(file)[0] / "__init__.py"


def facts_of(source: Source, project: Project, *, shapes: bool = False) -> Facts:
    """Execute what is worth it in a file, and what that calls. Of a notebook cells that are no Python are left out.

    Args:
        source: the file.
        project: its project.
        shapes: whether shapes are followed, in what is worth it for their sake. They are followed in a run of their own, for
            there nothing may wait until somebody asks for it.
    """
    if source.notebook is None:
        return _facts_of(source, project, shapes=shapes)
    readable, broken = syntax.without_broken_cells(source, source.notebook)
    facts = _facts_of(readable, project, shapes=shapes)
    return replace(facts, problems=(*facts.problems, *broken))


def _facts_of(source: Source, project: Project, *, shapes: bool) -> Facts:
    facts = _executed(source, project, shapes=shapes)
    if shapes:
        return facts
    listening = [one for one in project.reads if one.where is not None and one.where.search(source.text)]
    across = [one for one in project.reads if one.across is not None and one.across.each.search(source.text)]
    return _with_written(facts, source, project, listening, across) if listening or across else facts


def _with_written(
    facts: Facts, source: Source, project: Project, listening: list[Listening], across: Sequence[Listening]
) -> Facts:
    """The facts of a file, with what stands in it for those who look at code as it is written.

    Args:
        facts: what was executed.
        source: the file.
        project: its project.
        listening: who looks at the file.
        across: who looks at what it takes from others as well.
    """
    from mldbg.lint import written
    from mldbg.lint.interpret.gathered import Gathered, gathered, imported
    from mldbg.lint.interpret.module import Module
    from mldbg.lint.outline import CannotOutlineError

    file = source.file.resolve() if source.file else None
    module = project.modules.known_as(source.path, file, source.text) or Module(source.path, file, source.text)
    alike = dict.fromkeys(one.across for one in across if one.across is not None)
    others = list(dict.fromkeys(other for each in alike for other in imported(module, project.modules, each)))
    listening += [one for one in across if one not in listening and any(_says(one, other) for other in others)]
    if not listening:
        return facts
    try:
        module.must_be_read()
        together = gathered(module, others) if others else Gathered(module)
        with _deep_recursion():
            entries = [
                Entry(pieces, module.is_test or part.is_test, part.statement.first)
                for part, pieces in written.pieces(together, listening)
            ]
    except CannotOutlineError as error:
        unread = Problem(source.path, error.line, error.reason)
        return replace(facts, problems=tuple(dict.fromkeys((*facts.problems, unread))))
    return replace(facts, entries=(*facts.entries, *entries))


def _says(listening: Listening, module: Module) -> bool:
    return listening.where is not None and module.says(listening.where)


def _executed(source: Source, project: Project, *, shapes: bool) -> Facts:
    file = source.file.resolve() if source.file else None
    graph = project.shape_links if shapes else project.links
    triggers = graph.triggers_in(source, file)
    alone = shapes and not project.shape_links.follows_data(source, file)
    code = without_prose(source.text) if alone and triggers else ""
    small = alone and is_small_example(code)
    if alone and not (small or says_sizes(code)):
        return Facts(grounds=Grounds(file, None, project))
    joined = links.NO_OFFER if alone else graph.into(file)
    if not triggers and not joined:
        problem = None if shapes or project.has_read(source, file) else syntax.problem(source)
        return Facts(problems=(problem,) if problem else (), grounds=Grounds(file, None, project))
    from mldbg.lint.interpret.module import Module
    from mldbg.lint.outline import CannotOutlineError

    module = project.modules.known_as(source.path, file, source.text) or Module(source.path, file, source.text)
    grounds = Grounds(file, module, project)
    try:
        module.must_be_read()
        if module.is_test and shapes:
            return Facts(grounds=grounds)  # whoever runs tests of software sees which shapes do not fit, or wants them not to
        if module.is_test:
            joined = links.NO_OFFER  # what a test joins is tried on a few rows
        roots = links.roots_in(module, triggers, joined, (lambda part: says_sizes(part.code)) if alone and not small else None)
    except CannotOutlineError as error:
        module.wanted = False  # for those that import it
        return Facts(problems=(Problem(source.path, error.line, error.reason),), grounds=grounds)
    if not roots:
        return Facts(grounds=grounds)
    project.modules.add(module)
    reached = (trigger for trigger in joined.triggers.union(triggers) if not trigger.local)  # the others matter where they stand
    words = frozenset(word for trigger in reached for word in trigger.words)
    with _deep_recursion():
        entries, problems, partly = _interpreted(module, roots, project, words, shapes=shapes, alone=alone)
    return Facts(entries, problems, grounds, partly)


def watched(source: Source, project: Project, watch: Callable[[Interpreter, Module], Watcher]) -> tuple[Problem, ...]:
    """Execute everything in a file, its top level and each definition by itself, while somebody watches the shapes.

    Args:
        source: the file.
        project: its project.
        watch: gets the machine and the module, and returns who is told which values names get.

    Returns what could not be executed. Raises CannotOutlineError where the file cannot be read.
    """
    from mldbg.lint.interpret.interpreter import Interpreter
    from mldbg.lint.interpret.module import Module
    from mldbg.lint.interpret.roots import Root
    from mldbg.lint.outline import Kind

    file = source.file.resolve() if source.file else None
    module = project.modules.known_as(source.path, file, source.text) or Module(source.path, file, source.text)
    module.must_be_read()
    project.modules.add(module)
    roots = [Root(part) for part in module.parts if part.statement.kind is not Kind.IMPORT]
    run = Interpreter(project.modules, project.effects, frozenset(module.outline.mentions))  # each definition is of interest
    run.follow_shapes(frozenset())
    run.watcher = watch(run, module)
    problems: list[Problem] = []
    with _deep_recursion():
        for part, enter in _entry_points(run, module, roots):
            run.visited.clear()  # what others have called is executed by itself all the same
            _enter(run, part, enter, module, project, problems)
    return tuple(dict.fromkeys(problems))


@contextmanager
def _deep_recursion() -> Iterator[None]:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(DEEPEST_RECURSION)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


def _interpreted(
    module: Module, roots: list[Root], project: Project, words: frozenset[str], *, shapes: bool, alone: bool
) -> tuple[tuple[Entry, ...], tuple[Problem, ...], tuple[Partly, ...]]:
    from mldbg.lint.interpret.budget import MOST_FOR_DEFINITION
    from mldbg.lint.interpret.interpreter import Interpreter

    run = Interpreter(project.modules, project.effects, words)
    run.library.wanted = project.told
    if shapes:
        run.follow_shapes(project.told)
        if alone:
            run.budget.total = MOST_FOR_DEFINITION
    entries: list[Entry] = []
    problems: list[Problem] = []
    for part, enter in _entry_points(run, module, roots):
        line = _enter(run, part, enter, module, project, problems)
        entries.append(Entry(tuple(run.facts), module.is_test or (part is not None and part.is_test), line, shapes))
    return tuple(entries), tuple(problems), tuple(map(_in_part, run.budget.partly))


def _enter(
    run: Interpreter, part: Part | None, enter: Callable[[], None], module: Module, project: Project, problems: list[Problem]
) -> int:
    """Execute one entry point; the line on which it begins."""
    run.budget.begin()
    run.facts.clear()
    before = run.state.fork()
    line = part.statement.first if part is not None else 0
    try:
        enter()
    except Exception as error:  # noqa: BLE001  # a defect of ours must not cost the user the other findings
        run.frames.clear()
        problems.append(_stopped(error, module.path, line, project))
    if part is not None:
        run.state.become(before)
    return line


def _in_part(code: Function | Module) -> Partly:
    """What a report says of code of which not every call was followed."""
    from mldbg.lint.interpret.value import Function

    if not isinstance(code, Function):
        return Partly(code.path, 0, "the top level")
    line = code.part.statement.first if code.inner is None else code.part.span(code.inner).line
    return Partly(code.part.module.path, line, code.name if code.owner is None else f"{code.owner.name}.{code.name}")


# ----------------------------------------------------------------------------------------------------------------------- check
def check(source: Source, rules: Sequence[type[Rule]], project: Project) -> Outcome:
    """The findings of one file; some may be located in other project files that it calls."""
    runs = [facts_of(source, project)]
    if any(rule.about_shapes for rule in rules):
        runs.append(facts_of(source, project, shapes=True))
    return judged(source, runs, rules, project)


def judged(source: Source, runs: Sequence[Facts], rules: Sequence[type[Rule]], project: Project) -> Outcome:
    """What rules make of the facts of a file, from a run that follows shapes and from one that does not."""
    entries = [entry for facts in runs for entry in facts.entries]
    problems = [problem for facts in runs for problem in facts.problems]
    partly = [part for facts in runs for part in facts.partly]
    instances = [rule() for rule in rules]
    for instance in instances:
        instance.versions = partial(project.requirements.of, file=source.file)
    findings: dict[Finding, None] = {}
    at: set[tuple[str, Span]] = set()
    with _deep_recursion():
        for entry, rule in product(entries, instances):
            try:
                found = list(entry.findings(rule))
            except Exception as error:  # noqa: BLE001  # a rule that fails must not cost the user what the others find
                problems.append(_stopped(error, source.path, entry.line, project, rule))
                continue
            if rule.about_shapes:  # a function that is called with several shapes is reported once
                found = [one for one in found if (one.rule, one.span) not in at]
                at |= {(one.rule, one.span) for one in found}
            findings.update(dict.fromkeys(found))
    in_order = tuple(sorted(findings, key=lambda finding: finding.span))
    return Outcome(in_order, tuple(dict.fromkeys(problems)), tuple(dict.fromkeys(partly)))


def _stopped(error: Exception, path: str, line: int, project: Project, rule: Rule | None = None) -> Problem:
    """Why executing an entry point, or a rule's judging it, ended early: code that cannot be read, or a defect of ours."""
    from mldbg.lint.outline import TOO_DEEP, CannotOutlineError

    if isinstance(error, CannotOutlineError):
        return Problem(error.path or path, error.line, error.reason)
    if isinstance(error, RecursionError):
        parts = [part for module in project.modules.known() for each in module.parts for part in each.parsed()]
        deepest = max(parts, key=lambda part: part.depth, default=None)
        if deepest is not None and deepest.depth > DEEP_NESTING:
            return Problem(deepest.module.path, deepest.statement.first, TOO_DEEP)
    return internal_error(path, line, error, rule)


def internal_error(path: str, line: int, error: Exception, rule: Rule | None = None) -> Problem:
    """A defect of the linter, or of a rule: what it says, and that it should be reported, to those who wrote the rule."""
    try:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
    except Exception:  # noqa: BLE001  # an error may quote a tree that is too deep to be written down
        reason = "its message cannot be shown"
    where = f" in the rule {rule.name}" if rule is not None else ""
    to_whom = "" if rule is None or registry.is_built_in(type(rule)) else f" to the authors of {_package(rule)}"
    message = f"internal error{where}: {type(error).__name__}: {reason}; please report it{to_whom}, along with this file"
    return Problem(path, line, message)


def _package(rule: Rule) -> str:
    return type(rule).__module__.partition(".")[0]


def _entry_points(run: Interpreter, module: Module, roots: list[Root]) -> Iterator[tuple[Part | None, Callable[[], None]]]:
    """What to execute: the top level if anything there is of interest, then every definition that nothing has called yet.

    Definitions that others mention come last: their callers, executed first, know what they are called with.
    """
    from mldbg.lint.interpret.alone import Alone
    from mldbg.lint.outline import Kind

    alone = Alone(run)
    run.entry = module
    if any(root.part.statement.kind in (Kind.ASSIGNMENT, Kind.CODE) for root in roots):
        yield None, partial(alone.module, module)
    definitions = [root for root in roots if root.part.statement.kind in (Kind.FUNCTION, Kind.CLASS)]
    words = {root: module.outline.words(root.part.statement.first, root.part.statement.last) for root in definitions}
    mentioned = {
        root: any(other is not root and not words[other].isdisjoint(root.part.statement.names) for other in definitions)
        for root in definitions
    }
    for root in sorted(definitions, key=lambda root: (mentioned[root], root.part.statement.first)):
        yield root.part, partial(alone.enter, module, root)


# ------------------------------------------------------------------------------------------------------------------------- fix
def apply(text: str, edits: Iterable[Edit]) -> str:
    """The text after edits of one file. Of edits that overlap the first wins; insertions at one place all count, in order."""
    starts = [0]
    for line in _lines(text):
        starts.append(starts[-1] + len(line))
    ranges = sorted(
        (
            _offset(starts, text, edit.span.line, edit.span.column),
            _offset(starts, text, edit.span.end_line, edit.span.end_column),
            index,
            edit,
        )
        for index, edit in enumerate(edits)
    )
    pieces: list[str] = []
    done = 0
    for start, end, _, edit in ranges:
        if start < done:
            continue
        pieces += [text[done:start], edit.replacement]
        done = end
    return "".join([*pieces, text[done:]])


def _lines(text: str) -> list[str]:
    from mldbg.lint.outline import split_lines

    return split_lines(text)


def _offset(starts: list[int], text: str, line: int, column: int) -> int:
    return min(starts[line - 1] + column - 1, len(text)) if line <= len(starts) else len(text)


def fix(
    source: Source,
    rules: Sequence[type[Rule]],
    project: Project,
    unsafe: bool,
    keep: Callable[[Finding, str], bool] | None = None,
    callers: Sequence[Source] = (),
) -> tuple[str, Outcome]:
    """The text after all wanted fixes, and what remains to be found in it.

    A fix is taken only if it is proved: the new text parses, its finding is gone, and no finding appeared that was not there.

    Args:
        source: the file before.
        rules: the rules to run.
        project: the project that the file belongs to.
        unsafe: take fixes that are not safe, too.
        keep: says whether a finding counts (it is not suppressed in the text).
        callers: other files whose check leads to findings in this one.
    """
    bench = _Bench(rules, project, callers)
    text = source.text
    outcome = bench.check(source)
    refused: set[tuple[str, str]] = set()
    for _ in range(MOST_FIX_ROUNDS):
        wanted = [finding for finding in outcome.findings if _wanted(finding, source.path, unsafe)]
        candidates = [finding for finding in wanted if keep is None or keep(finding, text)]
        candidates = [finding for finding in candidates if _key(finding, text) not in refused]
        taken = _disjoint(candidates)
        if not taken:
            break
        attempt = bench.proved(source, text, outcome, taken)
        if attempt is None:
            for finding in taken:
                attempt = bench.proved(source, text, outcome, [finding])
                if attempt is not None:
                    break
                refused.add(_key(finding, text))
        if attempt is not None:
            text, outcome = attempt
    return text, outcome


@dataclass(frozen=True, slots=True)
class _Bench:
    """Where fixes are tried: the file with its new text, and the callers that lead to findings in it."""

    rules: Sequence[type[Rule]]
    project: Project
    callers: Sequence[Source]

    def check(self, source: Source) -> Outcome:
        overlay = {source.file.resolve(): source} if source.file is not None else {}
        project = Project(self.project.root, self.project.semantics, overlay, self.project.known)
        outcomes = [check(each, self.rules, project) for each in (source, *self.callers)]
        findings = {(finding.span, finding.rule): finding for outcome in outcomes for finding in reversed(outcome.findings)}
        return Outcome(tuple(sorted(findings.values())), tuple(problem for outcome in outcomes for problem in outcome.problems))

    def proved(self, source: Source, text: str, before: Outcome, findings: list[Finding]) -> tuple[str, Outcome] | None:
        """The text after some fixes and what is found in it, if every fix holds what it promises."""
        fixed = apply(text, [edit for finding in findings for edit in _edits(finding)])
        changed = source.holding(fixed)
        if changed is None or not _is_python(fixed):
            return None
        after = self.check(changed)
        allowed = Counter(finding.rule for finding in before.findings)
        allowed.subtract(finding.rule for finding in findings)
        found = Counter(finding.rule for finding in after.findings)
        return (fixed, after) if not after.problems and all(count <= allowed[rule] for rule, count in found.items()) else None


def harmless(source: Source, rules: Sequence[type[Rule]], project: Project) -> Callable[[str], bool]:
    """A test of other texts of a file: whether one is Python in which no rule finds more than in the file as it is."""
    bench = _Bench(rules, project, ())
    before = Counter(finding.rule for finding in bench.check(source).findings)

    def is_harmless(text: str) -> bool:
        changed = source.holding(text)
        if changed is None or not _is_python(text):
            return False
        after = bench.check(changed)
        found = Counter(finding.rule for finding in after.findings)
        return not after.problems and all(number <= before[rule] for rule, number in found.items())

    return is_harmless


def _is_python(text: str) -> bool:
    from mldbg.lint.outline import CannotOutlineError, outline

    try:
        outline(text)
    except CannotOutlineError:
        return False
    return True


def _edits(finding: Finding) -> tuple[Edit, ...]:
    return finding.fix.edits if finding.fix is not None else ()


def _wanted(finding: Finding, path: str, unsafe: bool) -> bool:
    fix = finding.fix
    return fix is not None and (fix.safe or unsafe) and finding.span.path == path


def _key(finding: Finding, text: str) -> tuple[str, str]:
    line = finding.span.line
    return finding.rule, "".join(_lines(text)[line - 1 : line])


def _disjoint(findings: list[Finding]) -> list[Finding]:
    """As many findings as have fixes that do not touch one another."""
    taken: list[Finding] = []
    spans: list[tuple[tuple[int, int], tuple[int, int]]] = []
    for finding in findings:
        wanted = [((edit.span.line, edit.span.column), (edit.span.end_line, edit.span.end_column)) for edit in _edits(finding)]
        if not any(start <= other_end and other_start <= end for start, end in wanted for other_start, other_end in spans):
            taken.append(finding)
            spans += wanted
    return taken


__all__ = ["Fix", "Outcome", "Project", "apply", "check", "fix"]
