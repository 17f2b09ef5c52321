"""A run: many files through the engine, then everything that needs to see all findings together.

Findings of one file may come from the check of another one (a loss in `losses.py`, misused in `train.py`). Therefore
suppression, per-file ignores, removal of doubles and sorting happen here, after all files were checked.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from mldbg.lint import directives, engine, files, patterns, registry, suppress
from mldbg.lint.config import ALL, Config
from mldbg.lint.files import Foreign, Source
from mldbg.lint.finding import Finding, Group, Partly, Problem, cell_name
from mldbg.lint.importers import has_importers_besides, importers_of
from mldbg.lint.links import Links
from mldbg.lint.notebook import Layout
from mldbg.lint.rule import Rule

# Below this many files the start of processes costs more than they save.
FILES_WORTH_PROCESSES = 50

# Fewer new objects than this are left for the next file: most files are never interpreted and leave hardly any.
OBJECTS_WORTH_A_COLLECTION = 50_000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Task:
    """What to look for: the rules to run, out of all known ones, under the settings of the project."""

    config: Config
    rules: tuple[type[Rule], ...]
    known: tuple[type[Rule], ...]
    ignore: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    """The names by which `rules` were selected; a finding in another group than its rule is shown if they say so."""
    only: frozenset[str] = frozenset()
    """The rules about comments that are to report alone, what `rules` find being only of use to them; empty: all report."""

    def graphs(self, project: engine.Project) -> tuple[Links, ...]:
        """What says which files of a project are worth executing for the sake of these rules."""
        return (project.links, project.shape_links) if any(rule.about_shapes for rule in self.rules) else (project.links,)

    def project(self) -> engine.Project:
        """A fresh view of the project's files."""
        return engine.Project(self.config.root, self.config.semantics, known=self.known)


@dataclass(frozen=True, slots=True)
class Result:
    """Sorted findings and problems, the texts of all files that findings mention, and how many files were checked.

    `foreign` are notebooks in other languages; `excluded` says whether the configuration left something out.
    """

    findings: tuple[Finding, ...] = ()
    problems: tuple[Problem, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    checked: int = 0
    callers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """For each file with findings the other files whose check led to them."""
    notebooks: Mapping[str, Layout] = field(default_factory=dict)
    """For each notebook that findings or problems mention where the lines of its code stand."""
    foreign: tuple[Foreign, ...] = ()
    excluded: bool = False
    partly: tuple[Partly, ...] = ()
    """What calls more than was followed: where nothing is found, this says that not everything was seen."""
    judged: frozenset[str] = frozenset()
    """The files that were checked themselves: only of those is it known which comments suppress nothing."""
    passed_over: tuple[Problem, ...] = ()
    """Imported files that could not be read and were not to be checked themselves: what they define is unknown."""
    unsure: frozenset[str] = frozenset()
    """The files that could not be checked, and those that they lead to: some findings there may be missing."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A file before and after its fixes."""

    source: Source
    text: str

    def changes(self) -> Iterator[tuple[str, str, str]]:
        """What changes, by name, before and after: the file, or each of its cells in which something does."""
        notebook = self.source.notebook
        if notebook is None:
            yield self.source.path, self.source.text, self.text
            return
        changed = notebook.sources(self.text) or {}
        for cell in notebook.cells:
            if cell.source.number in changed:
                yield cell_name(self.source.path, cell.source.number), cell.source.source, changed[cell.source.number]


def check_files(paths: Iterable[Path], task: Task, jobs: int | None = None, progress: Progress | None = None) -> Result:
    """Check files and folders. `jobs` is the number of processes, by default chosen from the number of files."""
    paths = list(paths)
    found = files.discover(paths, task.config)
    named = [file for file in found.files if isinstance(file, Path)]
    problems = [problem for problem in found.files if isinstance(problem, Problem)]
    parts: list[Result] = [Result(problems=tuple(problems))]
    project = task.project()
    followed = (
        importers_of(named, task.config, project.surveys, task.graphs(project)) if all(path.is_file() for path in paths) else []
    )
    to_check = [*named, *followed]
    shown = frozenset(map(files.displayed, named))
    processes = min(jobs or _processes_for(len(to_check)), len(to_check))
    with closing(
        _check_in_processes(to_check, task, processes) if processes > 1 else _check_here(to_check, task, project)
    ) as check:
        for done, part in enumerate(check, start=1):
            parts.append(part if done <= len(named) else _about(part, shown))
            if progress:
                progress(done, len(to_check))
    whole = any(path.is_dir() and task.config.root.resolve().is_relative_to(path.resolve()) for path in paths)
    executed = None if whole else frozenset(map(files.displayed, to_check))
    return replace(_merged(parts, task, executed), excluded=found.excluded)


def _about(result: Result, paths: frozenset[str]) -> Result:
    """What the check of a file that nobody named says about those that were: findings that lie in them or pass through them.

    Nobody asked for the file itself to be changed.
    """
    findings = tuple(
        replace(finding, fix=finding.fix if finding.span.path in paths else None)
        for finding in result.findings
        if not paths.isdisjoint({finding.span.path, *(step.span.path for step in finding.steps)})
    )
    mentioned = {span.path for finding in findings for span in (finding.span, *(step.span for step in finding.steps))}
    texts = {path: text for path, text in result.texts.items() if path in mentioned}
    return Result(
        findings,
        (),
        texts,
        callers=result.callers,
        notebooks=result.notebooks,
        passed_over=result.passed_over,
        unsure=result.unsure,
    )


def set_aside() -> None:
    """Between two files: remove the garbage of the last one, and let later collections of garbage pass over what is kept of it.

    What is kept, the trees of project files, lives as long as the run. Only for processes that do nothing but check files: the
    parser is told to trust itself, too.
    """
    _trust_the_parser()
    if gc.get_count()[0] > OBJECTS_WORTH_A_COLLECTION:
        gc.collect(0)
        gc.freeze()


def _trust_the_parser() -> None:
    """Keep libcst from validating each node that its parser makes: a tree made of text is valid, and no other is made here.

    That takes a fifth of the time of parsing. It lasts for the whole process, for switching it costs more than it saves.
    """
    loaded = sys.modules.get("libcst._nodes.base")  # libcst itself may stand there unloaded, until somebody uses it
    if loaded is not None and loaded.CSTNode.__post_init__ is not _accept:
        loaded.CSTNode.__post_init__ = _accept


def _accept(_node: object) -> None:
    """In place of the validation of a node."""


def check_source(source: Source | Problem | Foreign, task: Task) -> Result:
    """Check one text, for instance standard input."""
    return _merged([_check(source, task, task.project())], task, frozenset({source.path}))


def fix_source(
    source: Source, task: Task, *, unsafe: bool, callers: Sequence[Source] = ()
) -> tuple[Fixed | None, Problem | None]:
    """The text after all fixes that are wanted; None where nothing changes."""
    rules = _rules_for(source.path, task)
    keep = partial(_not_allowed, path=source.path)
    try:
        text, _ = engine.fix(source, rules, task.project(), unsafe, keep=keep, callers=callers)
        return (Fixed(source, text) if text != source.text else None), None
    except Exception as error:  # noqa: BLE001  # a defect of ours must not cost the user the other files
        return None, engine.internal_error(source.path, 0, error)


def fix_files(result: Result, task: Task, *, unsafe: bool) -> tuple[list[Fixed], list[Problem]]:
    """The new texts of all files in which a finding has a fix; nothing is written."""
    paths = sorted({finding.span.path for finding in result.findings if finding.fix and (finding.fix.safe or unsafe)})
    sources = {path: _sources([path]) for path in paths}
    attempts = [
        fix_source(source, task, unsafe=unsafe, callers=_sources(result.callers.get(path, ())))
        for path, found in sources.items()
        for source in found
    ]
    return [fixed for fixed, _ in attempts if fixed], [problem for _, problem in attempts if problem]


def _sources(paths: Iterable[str]) -> list[Source]:
    return [source for path in sorted(paths) if isinstance(source := files.read(Path(path)), Source)]


def _not_allowed(finding: Finding, text: str, path: str) -> bool:
    return finding.span.path != path or not suppress.allowed(finding, text)


# --- one file ---


def _check(source: Source | Problem | Foreign, task: Task, project: engine.Project) -> Result:
    if isinstance(source, Problem):
        return Result(problems=(source,))
    if isinstance(source, Foreign):
        return Result(foreign=(source,))
    try:
        outcome = engine.check(source, task.rules, project)
        texts = {
            path: text for path in _mentioned(source, outcome.findings) if (text := _text(path, source, project)) is not None
        }
    except Exception as error:  # noqa: BLE001  # a defect of ours must not cost the user the other files
        return Result(problems=(engine.internal_error(source.path, 0, error),), unsure=_reached_from(source, project))
    elsewhere = {finding.span.path for finding in outcome.findings} - {source.path}
    callers = {path: frozenset({source.path}) for path in elsewhere}
    wanted = source.notebook is not None and (texts or outcome.problems or outcome.partly)
    notebooks = {source.path: source.notebook.layout()} if source.notebook is not None and wanted else {}
    checked = 0 if outcome.problems else 1
    judged = frozenset({source.path})
    passed_over = project.passed_over()
    unsure = _reached_from(source, project) if outcome.problems or passed_over else frozenset()
    return Result(
        outcome.findings,
        outcome.problems,
        texts,
        checked,
        callers,
        notebooks,
        partly=outcome.partly,
        judged=judged,
        passed_over=passed_over,
        unsure=unsure,
    )


def _reached_from(source: Source, project: engine.Project) -> frozenset[str]:
    """A file, and those of the project that its imports lead to."""
    reached = project.surveys.consulted_by(source.file.resolve())[0] if source.file is not None else ()
    return frozenset({source.path, *map(files.displayed, reached)})


def _mentioned(source: Source, findings: Iterable[Finding]) -> set[str]:
    """The files whose text is needed for comments that allow findings, or for the report."""
    paths = {span.path for finding in findings for span in (finding.span, *(step.span for step in finding.steps))}
    return paths | ({source.path} if directives.may_stand_in(source.data) else set())


def _text(path: str, source: Source, project: engine.Project) -> str | None:
    return source.text if path == source.path else project.text(path)


# --- many files ---


def _processes_for(count: int) -> int:
    return (os.cpu_count() or 1) if count > FILES_WORTH_PROCESSES else 1


def _check_here(to_check: Iterable[Path], task: Task, project: engine.Project) -> Generator[Result, None, None]:
    for file in to_check:
        yield _check(files.read(file), task, project)


def _check_in_processes(to_check: Sequence[Path], task: Task, processes: int) -> Generator[Result, None, None]:
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Many more chunks than processes, because files with something in them cost far more than the others.
    chunks = list(_chunks(to_check, max(1, len(to_check) // (processes * 16))))
    pool = ProcessPoolExecutor(processes, initializer=_Worker.start, initargs=(task,))
    try:
        with _deaf_to_interrupts():
            futures = [pool.submit(_Worker.check, chunk) for chunk in chunks]
        for chunk, future in zip(chunks, futures, strict=True):
            try:
                yield from future.result()
            except BrokenProcessPool:
                yield from (Result(problems=(_lost(file),)) for file in chunk)
    except BaseException:  # interrupted: nobody wants what is still under way
        _kill_workers()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started meanwhile never see an interrupt from the terminal: it is for this process, which ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill_workers() -> None:
    """A worker inside libcst's parser hears no polite request."""
    from multiprocessing import active_children

    for worker in active_children():
        worker.kill()


def _lost(file: Path) -> Problem:
    return Problem(files.displayed(file), 0, "the worker process checking it died; try again with --jobs 1")


def _chunks(items: Iterable[Path], size: int) -> Iterator[list[Path]]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


class _Worker:
    """The state of one process: what to look for, and the project files that it has read so far."""

    task: Task
    project: engine.Project

    @classmethod
    def start(cls, task: Task) -> None:
        cls.task, cls.project = task, task.project()

    @classmethod
    def check(cls, to_check: list[Path]) -> list[Result]:
        return [cls._checked(file) for file in to_check]

    @classmethod
    def _checked(cls, file: Path) -> Result:
        result = _check(files.read(file), cls.task, cls.project)
        set_aside()
        return result


# --- all findings together ---


def _merged(parts: Iterable[Result], task: Task, executed: frozenset[str] | None) -> Result:
    """One result of many. `executed` are the files from which the run started, None where it is about the whole project."""
    parts = list(parts)
    texts = {path: text for part in parts for path, text in part.texts.items()}
    findings = _without_doubles(finding for part in parts for finding in part.findings)
    paths = sorted({*texts, *(finding.span.path for finding in findings)})
    by_path: dict[str, list[Finding]] = {path: [] for path in paths}
    for finding in findings:
        by_path[finding.span.path].append(finding)
    judged = frozenset(path for part in parts for path in part.judged)
    kept = [
        finding
        for path in paths
        for finding in _kept_in(path, texts.get(path, ""), by_path[path], task)
        if path in judged or finding.rule not in suppress.OWN_NAMES
    ]
    unsure = frozenset(path for part in parts for path in part.unsure)
    kept = [
        finding
        for finding in _without_rash_complaints(kept, unsure, task, executed)
        if not task.only or finding.rule in task.only
    ]
    problems = dict.fromkeys(problem for part in parts for problem in part.problems)
    callers: dict[str, frozenset[str]] = {}
    for part in parts:
        for path, calling in part.callers.items():
            callers[path] = callers.get(path, frozenset()) | calling
    checked = sum(part.checked for part in parts)
    foreign = tuple(sorted(notebook for part in parts for notebook in part.foreign))
    ordered = tuple(sorted(kept, key=_place))
    partly = tuple(sorted({code for part in parts for code in part.partly}))
    told = {problem.path for problem in problems}
    passed_over = tuple(sorted({each for part in parts for each in part.passed_over if each.path not in told}))
    merged = Result(
        ordered,
        tuple(sorted(problems)),
        texts,
        checked,
        callers,
        foreign=foreign,
        partly=partly,
        judged=judged,
        passed_over=passed_over,
    )
    return _in_cells(merged, {path: layout for part in parts for path, layout in part.notebooks.items()})


def _without_rash_complaints(
    findings: Iterable[Finding], unsure: frozenset[str], task: Task, executed: frozenset[str] | None
) -> Iterator[Finding]:
    """The findings, where nobody is told to remove a comment that the check of another file, or a repaired one, may need."""
    needed: dict[str, bool] = {}
    for finding in findings:
        path = finding.span.path
        if finding.rule == suppress.UNUSED and path not in needed:
            project = task.project()
            needing = Path(path), task.config, project.surveys, task.graphs(project)
            others = executed is not None and has_importers_besides(executed, *needing)
            needed[path] = path in unsure or others
        if finding.rule != suppress.UNUSED or not needed[path]:
            yield finding


def _in_cells(result: Result, notebooks: Mapping[str, Layout]) -> Result:
    """The result with places in cells where it tells of lines of notebooks."""
    if not notebooks:
        return result
    findings = tuple(_in_cells_of(finding, notebooks) for finding in result.findings)
    problems = tuple(
        notebooks[problem.path].problem(problem) if problem.path in notebooks else problem for problem in result.problems
    )
    partly = tuple(notebooks[code.path].problem(code) if code.path in notebooks else code for code in result.partly)
    return replace(result, findings=findings, problems=problems, partly=partly, notebooks=notebooks)


def _in_cells_of(finding: Finding, notebooks: Mapping[str, Layout]) -> Finding:
    for path in {finding.span.path, *(step.span.path for step in finding.steps)} & notebooks.keys():
        finding = notebooks[path].finding(finding, path)
    return finding


def _without_doubles(findings: Iterable[Finding]) -> list[Finding]:
    """Of several ways that lead to the same defect, the shortest of those that are not open only in some branch."""
    best: dict[tuple[object, ...], Finding] = {}
    for finding in findings:
        key = (finding.span, finding.rule)
        if key not in best or _length(finding) < _length(best[key]):
            best[key] = finding
    return list(best.values())


def _length(finding: Finding) -> tuple[object, ...]:
    return finding.group is Group.SUSPICIOUS, len(finding.steps), finding.steps, finding.message


def _place(finding: Finding) -> tuple[object, ...]:
    return finding.span, finding.rule, finding.message


def _kept_in(path: str, text: str, findings: Iterable[Finding], task: Task) -> list[Finding]:
    active = {rule.name for rule in _rules_for(path, task)}
    ignored = _ignored_in(path, task)
    here = [finding for finding in findings if finding.rule in active]
    about_comments = {rule.name: rule.group for rule in registry.about_comments() if registry.names_of(rule).isdisjoint(ignored)}
    known = {rule.name: rule.group for rule in (*task.known, *registry.about_comments())}
    kept = suppress.apply(here, text, path, active.union(about_comments), known)
    by_name = {rule.name: rule for rule in task.rules}
    shown = (one for one in kept if one.rule not in by_name or registry.is_shown(one, by_name[one.rule], task.select))
    return [finding for finding in shown if ignored.isdisjoint({finding.rule, finding.group.value, ALL})]


def _rules_for(path: str, task: Task) -> tuple[type[Rule], ...]:
    ignored = _ignored_in(path, task)
    return tuple(rule for rule in task.rules if registry.names_of(rule).isdisjoint(ignored))


def _ignored_in(path: str, task: Task) -> frozenset[str]:
    """The names that are ignored in a file, by the whole run or by a pattern for files."""
    by_pattern = [
        names
        for pattern, names in task.config.per_file_ignores
        if files.matches(patterns.spec([pattern]), task.config.root, Path(path))
    ]
    return frozenset(task.ignore).union(*by_pattern)
