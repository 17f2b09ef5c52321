"""The command `mldebug-lint`: the only module that prints and decides about exit codes, once it is loaded."""

from __future__ import annotations

import gc
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import NoReturn, Self

import click

from mldbg import __version__
from mldbg.lint import config, files, registry, report, run
from mldbg.lint.config import Config, ConfigError
from mldbg.lint.files import Foreign, Source
from mldbg.lint.finding import Problem
from mldbg.lint.registry import RegistryError
from mldbg.lint.report.summary import counted, problem_line
from mldbg.lint.rule import Rule
from mldbg.lint.run import Fixed, Result, Task

PROGRAM = "mldebug-lint"
STDIN = "-"
SECONDS_BEFORE_PROGRESS = 2.0
MOST_NAMED = 3


class Exit(IntEnum):
    """Exit codes. Where something could not be checked, this outweighs findings: silence about it would be a false promise."""

    CLEAN = 0
    FINDINGS = 1
    NOT_CHECKED = 2
    INTERRUPTED = 130
    BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as the user gave it."""

    paths: tuple[str, ...]
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    fix: bool
    unsafe_fixes: bool
    diff: bool
    format: str
    output: Path | None
    statistics: bool
    show_shapes: bool
    annotate: bool
    explain: str | None
    list_rules: bool
    config: Path | None
    exit_zero: bool
    jobs: int | None
    stdin_filename: str | None
    color: str

    @property
    def reads_stdin(self) -> bool:
        """Whether the text to check comes from standard input."""
        return STDIN in self.paths


def _names(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(config.current_name(name.strip()) for value in values for name in value.split(",") if name.strip())


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("paths", nargs=-1, metavar="[PATHS]...")
@click.option(
    "--select", multiple=True, metavar="NAMES", callback=_names, help="Rules or groups to enable, or ALL (default: correctness)."
)
@click.option("--ignore", multiple=True, metavar="NAMES", callback=_names, help="Rules or groups to disable.")
@click.option("--fix", is_flag=True, help="Apply safe fixes.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: include fixes that need review.")
@click.option("--diff", is_flag=True, help="Show what --fix would change without writing it.")
@click.option("--format", "-f", type=click.Choice(report.FORMATS), default="text", show_default=True, help="Report format.")
@click.option("--output", "-o", type=click.Path(path_type=Path), metavar="FILE", help="Write the report to a file.")
@click.option("--statistics", is_flag=True, help="Show how often each rule fired instead of listing findings.")
@click.option(
    "--show-shapes", is_flag=True, help="Print one file with the inferred shapes and meanings beside its lines, as text or json."
)
@click.option(
    "--annotate", is_flag=True, help="With --show-shapes: print a diff that adds jaxtyping annotations where there are none."
)
@click.option("--explain", metavar="RULE", help="Show the page of a rule and exit.")
@click.option("--list", "list_rules", is_flag=True, help="List all rules and exit.")
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="Use this pyproject.toml instead of the nearest one."
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--jobs", "-j", type=click.IntRange(min=1), metavar="N", help="Number of worker processes.")
@click.option("--stdin-filename", metavar="NAME", help="File name for code read from standard input.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the report.")
@click.version_option(__version__, prog_name=PROGRAM)
def command(**options: object) -> Exit:
    """Find machine-learning bugs in Python code without running it.

    PATHS are files and folders (default: the current folder); "-" reads standard input.

    Exit codes: 0 nothing found, 1 findings, 2 something could not be checked, there was nothing to
    check, or the command is wrong.
    """
    return _run(Options(**options))  # type: ignore[arg-type]  # click's parameters are the fields of Options


def main() -> NoReturn:
    """Run the command and exit; no traceback ever reaches a user."""
    gc.set_threshold(100_000)  # trees are many and live long: with the default, parsing takes twice the time
    sys.exit(_guarded(sys.argv[1:]))


def _guarded(arguments: Sequence[str]) -> int:
    try:
        exit_code = command.main(list(arguments), PROGRAM, standalone_mode=False)
        sys.stdout.flush()
        return int(exit_code or 0)
    except click.ClickException as error:
        return _refuse(error.format_message())
    except (ConfigError, RegistryError) as error:
        return _refuse(str(error))
    except (click.Abort, KeyboardInterrupt):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would find us leaving
        click.echo(f"{PROGRAM}: interrupted", err=True)
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains while it exits
        return Exit.BROKEN_PIPE
    except Exception as error:  # noqa: BLE001  # see `main`
        return _refuse(f"internal error: {type(error).__name__}: {error}; please report it, along with the command you ran")


def _refuse(message: str) -> int:
    click.echo(f"{PROGRAM}: {' '.join(message.split())}", err=True)
    return Exit.NOT_CHECKED


def _run(options: Options) -> Exit:
    _refuse_contradictions(options)
    known = registry.rules()
    if options.list_rules:
        return _list((*known, *registry.about_comments()), options)
    if options.explain:
        return _explain((*known, *registry.about_comments()), options.explain)
    task = _task(known, options)
    if options.show_shapes:
        return _show_shapes(task, options)
    return _check_stdin(task, options) if options.reads_stdin else _check_paths(task, options)


def _refuse_contradictions(options: Options) -> None:
    if options.reads_stdin and len(options.paths) > 1:
        raise click.UsageError('"-" cannot be combined with other paths')
    if options.stdin_filename and not options.reads_stdin:
        raise click.UsageError('--stdin-filename requires "-" as the path')
    if options.fix and options.diff:
        raise click.UsageError("--fix and --diff cannot be combined")
    if options.unsafe_fixes and not (options.fix or options.diff):
        raise click.UsageError("--unsafe-fixes requires --fix or --diff")
    if options.statistics and options.format not in report.FOR_PEOPLE:
        raise click.UsageError(f"--statistics cannot be combined with --format {options.format}")
    if options.annotate and not options.show_shapes:
        raise click.UsageError("--annotate requires --show-shapes")
    if options.show_shapes:
        _refuse_contradictions_of_shapes(options)


def _refuse_contradictions_of_shapes(options: Options) -> None:
    for name, given in (("--fix", options.fix), ("--diff", options.diff), ("--statistics", options.statistics)):
        if given:
            raise click.UsageError(f"--show-shapes and {name} cannot be combined")
    if options.format not in ("text", "json"):
        raise click.UsageError(f"--show-shapes cannot be combined with --format {options.format}")
    if options.annotate and (options.format != "text" or options.output is not None):
        raise click.UsageError("--annotate prints a diff, and cannot be combined with --format or --output")
    if len(options.paths) != 1:
        given_paths = f"{len(options.paths)} paths are named" if options.paths else "none is named"
        raise click.UsageError(f"--show-shapes takes one file, and {given_paths}")
    if not options.reads_stdin and Path(options.paths[0]).is_dir():
        raise click.UsageError(f"--show-shapes takes one file, and {options.paths[0]} is a folder")


# --- questions about rules ---


def _list(known: Iterable[type[Rule]], options: Options) -> Exit:
    from mldbg.lint import page

    rules = sorted(known, key=lambda rule: rule.name)
    width = max((len(rule.name) for rule in rules), default=0)
    for rule in rules:
        mark = "on " if registry.is_on(rule) else "off"
        line = f"{click.style(f'{rule.name:<{width}}', bold=True)}  {mark}  {rule.group.value:<15}  {page.summary(rule)}"
        click.echo(line, color=_colour(options))
    return Exit.CLEAN


def _explain(known: Sequence[type[Rule]], name: str) -> Exit:
    from mldbg.lint import page

    click.echo(page.explain(registry.named(known, name)), nl=False)
    return Exit.CLEAN


# --- checks ---


def _task(known: tuple[type[Rule], ...], options: Options) -> Task:
    names = registry.known_names((*known, *registry.about_comments()))
    settings = _settings(options, names)
    select = options.select or settings.select
    ignore = (*settings.ignore, *options.ignore)
    for option, values in (("--select", options.select), ("--ignore", options.ignore)):
        _refuse_unknown(option, values, names)
    about_comments = registry.selected(registry.about_comments(), select, ignore) if select else ()
    rules = registry.selected(known, select, ignore)
    if not rules and about_comments:  # whether a comment is needed is known once the rules have run that it may be about
        only = frozenset(rule.name for rule in about_comments)
        return Task(settings, registry.selected(known, (), ignore), known, ignore, only=only)
    if not rules:
        raise click.UsageError("no rule is selected")
    return Task(settings, rules, known, ignore, tuple(select))


def _settings(options: Options, names: frozenset[str]) -> Config:
    if options.config:
        return config.load_file(options.config, names)
    return config.load(_common_folder(options), names)


def _common_folder(options: Options) -> Path:
    """The folder from which the search for a configuration starts: the one that holds everything that is checked."""
    paths = [options.stdin_filename or "."] if options.reads_stdin else list(options.paths) or ["."]
    folder = Path(os.path.commonpath([os.path.abspath(path) for path in paths]))  # noqa: PTH100  # ".." removed, links kept
    return folder if folder.is_dir() else folder.parent


def _refuse_unknown(option: str, names: Iterable[str], known: Iterable[str]) -> None:
    from mldbg.lint.suggest import did_you_mean

    for name in names:
        if name not in known:
            raise click.UsageError(f'{option}: unknown rule or group "{name}"{did_you_mean(name, known)}')


def _check_paths(task: Task, options: Options) -> Exit:
    result = _checked(task, options)
    _tell_what_was_passed_over(result)
    problems: list[Problem] = []
    if options.fix or options.diff:
        fixed, problems = run.fix_files(result, task, unsafe=options.unsafe_fixes)
        if options.diff:
            _show_diff(fixed, options)
            if result.findings and not fixed:
                click.echo(f"{PROGRAM}: {_nothing_to_fix(result, options)}", err=True)
            return _told_of_problems(_with_problems(result, problems), options)
        problems += [problem for each in fixed if (problem := files.write(each.source, each.text))]
        if fixed:
            click.echo(f"{PROGRAM}: fixed {', '.join(each.source.path for each in fixed)}", err=True)
            result = _checked(task, options)
    result = _with_problems(result, problems)
    _show(result, task, options)
    return _exit_code(result, options)


def _nothing_to_fix(result: Result, options: Options) -> str:
    """Why a difference is empty although there are findings."""
    if options.unsafe_fixes:
        return "no applicable fix"
    tip = "; try --unsafe-fixes" if any(finding.fix for finding in result.findings) else ""
    paths = sorted({finding.span.path for finding in result.findings})
    where = f" in {_first_few(paths)}" if len(paths) > 1 else ""
    return f"{counted(len(result.findings), 'finding')}{where}, no safe fix{tip}"


def _checked(task: Task, options: Options) -> Result:
    with _Progress() as progress:

        def seen(done: int, total: int) -> None:
            run.set_aside()
            progress.show(done, total)

        return run.check_files([Path(path) for path in options.paths or (".",)], task, options.jobs, seen)


def _tell_what_was_passed_over(result: Result) -> None:
    """What was not checked without being a problem: notebooks in other languages, or everything."""
    if result.foreign:
        click.echo(f"{PROGRAM}: {_in_other_languages(result.foreign)}", err=True)
    if result.passed_over:
        click.echo(f"{PROGRAM}: {_unread(result.passed_over)}", err=True)
    if not (result.checked or result.problems or result.foreign):
        reason = "the configuration excludes everything" if result.excluded else "no Python files found"
        click.echo(f"{PROGRAM}: nothing was checked: {reason}", err=True)


def _in_other_languages(foreign: Sequence[Foreign]) -> str:
    """One line about notebooks that are not in Python, the first few by name."""
    named = [f"{each.path} ({each.language})" for each in foreign]
    listed = _first_few(named)
    if len(foreign) == 1:
        return f"a notebook was not checked, because it is not in Python: {listed}"
    return f"{len(foreign)} notebooks were not checked, because they are not in Python: {listed}"


def _unread(passed_over: Sequence[Problem]) -> str:
    """One line about imported files that could not be read."""
    named = [f"{each.path}{f':{each.line}' if each.line else ''} ({each.message})" for each in passed_over]
    if len(passed_over) == 1:
        return f"an imported file could not be read, so what it defines is unknown: {named[0]}"
    return f"{len(passed_over)} imported files could not be read, so what they define is unknown: {_first_few(named)}"


def _first_few(names: Sequence[str]) -> str:
    return ", ".join([*names[:MOST_NAMED], *(["..."] if len(names) > MOST_NAMED else [])])


def _show_shapes(task: Task, options: Options) -> Exit:
    """Print a file with what is known of its tensors, or how it looks with annotations."""
    from mldbg.lint import shown
    from mldbg.lint.outline import CannotOutlineError

    source = _source_to_show(options)
    problems: tuple[Problem, ...] = ()
    if isinstance(source, Source):
        try:
            seen, problems = shown.sightings(source, task.project())
        except CannotOutlineError as error:
            source = Problem(source.path, error.line, error.reason)
    if isinstance(source, Problem):
        return _told_of_problems(Result(problems=(source,)), options)
    if options.annotate:
        from mldbg.lint import annotate

        text = annotate.annotated(source, seen, task)
        if text is None:
            click.echo(f"{PROGRAM}: no annotation is certain enough to be proposed for {source.path}", err=True)
        else:
            _show_diff([Fixed(source, text)], options)
    elif options.format == "json":
        _write(shown.as_json(source, shown.notes(seen), problems), options)
    else:
        _write(shown.as_text(source, shown.notes(seen)), options)
    return _told_of_problems(Result(checked=1, problems=problems), options)


def _source_to_show(options: Options) -> Source | Problem:
    if options.reads_stdin:
        name = Path(options.stdin_filename or "stdin.py")
        source = files.admitted(Source(files.displayed(name), None, sys.stdin.buffer.read()))
    else:
        source = files.read(Path(options.paths[0]))
    if isinstance(source, Foreign) or (isinstance(source, Source) and source.notebook is not None):
        return Problem(source.path, 0, "is a notebook; --show-shapes shows files of Python only")
    return source


def _check_stdin(task: Task, options: Options) -> Exit:
    name = Path(options.stdin_filename or "stdin.py")
    source = Source(files.displayed(name), None, sys.stdin.buffer.read())
    admitted = files.admitted(source)
    excluded = options.stdin_filename is not None and files.excluder(task.config)(name)
    if excluded or not isinstance(admitted, Source):
        result = Result(excluded=True) if excluded else run.check_source(admitted, task)
        if options.fix:
            sys.stdout.buffer.write(source.data)
    elif options.fix or options.diff:
        result = _fix_stdin(admitted, task, options)
    else:
        result = run.check_source(admitted, task)
    if result.foreign or result.passed_over:
        _tell_what_was_passed_over(result)
    if options.diff:
        return _told_of_problems(result, options)
    _show(result, task, options, to_stderr=options.fix)
    return _exit_code(result, options)


def _fix_stdin(source: Source, task: Task, options: Options) -> Result:
    """Print the fixed text, or the difference; what remains, or was found, is the result."""
    fixed, problem = run.fix_source(source, task, unsafe=options.unsafe_fixes)
    if options.diff:
        _show_diff([fixed] if fixed else [], options)
        return _with_problems(run.check_source(source, task), [problem] if problem else [])
    after = source.contents(fixed.text if fixed else source.text)
    sys.stdout.buffer.write(after)
    return _with_problems(run.check_source(files.admitted(Source(source.path, None, after)), task), [problem] if problem else [])


def _with_problems(result: Result, more: Sequence[Problem]) -> Result:
    if not more:
        return result
    return replace(result, problems=tuple(sorted({*result.problems, *more})))


def _exit_code(result: Result, options: Options) -> Exit:
    nothing = not (result.checked or result.excluded or result.foreign)
    if result.problems or nothing:
        return Exit.NOT_CHECKED
    return Exit.FINDINGS if result.findings and not options.exit_zero else Exit.CLEAN


# --- output ---


def _show(result: Result, task: Task, options: Options, *, to_stderr: bool = False) -> None:
    text = report.render(
        "statistics" if options.statistics else options.format, result, (*task.rules, *registry.about_comments())
    )
    _write(text, options, to_stderr=to_stderr)


def _write(text: str, options: Options, *, to_stderr: bool = False) -> None:
    """Print a report, or put it into the file that the user named."""
    if options.output is None:
        click.echo(text, nl=False, color=_colour(options), err=to_stderr)
        return
    try:
        options.output.write_text(text if options.color == "always" else click.unstyle(text), encoding="utf-8")
    except OSError as error:
        raise click.UsageError(f"--output: {options.output} cannot be written: {error.strerror or error}") from None


def _told_of_problems(result: Result, options: Options) -> Exit:
    """What could not be checked, on standard error: standard output holds nothing but a difference."""
    for problem in result.problems:
        click.echo(problem_line(problem), err=True, color=_colour(options))
    return _exit_code(result, options)


def _show_diff(fixed: Iterable[Fixed], options: Options) -> None:
    from difflib import unified_diff

    colours = {"+": "green", "-": "red", "@": "cyan"}
    for each in fixed:
        for name, *texts in each.changes():
            before, after = (text.splitlines(keepends=True) for text in texts)
            for line in unified_diff(before, after, name, name):
                ended = line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"
                click.echo(click.style(ended, fg=colours.get(line[0])), nl=False, color=_colour(options))


def _colour(options: Options) -> bool | None:
    """True, False, or None for the decision by whether a terminal listens."""
    if options.color != "auto":
        return options.color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


class _Progress:
    """A line on the terminal that counts files, once a run turns out to be long."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def show(self, done: int, total: int) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self.start < SECONDS_BEFORE_PROGRESS:
            return
        self.shown = True
        width = 30
        bar = "#" * (width * done // total)
        click.echo(f"\r\x1b[K[{bar:<{width}}] {done} of {total} files", nl=False, err=True)
