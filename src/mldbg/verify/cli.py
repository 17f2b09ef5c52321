"""The command `mldebug-verify`: the only module that prints and that decides about exit codes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Self, TypeVar

import click

from mldbg import __version__
from mldbg.verify import catalogue, config
from mldbg.verify.config import Config, ConfigError

if TYPE_CHECKING:
    from mldbg.verify.experiment import Experiment
    from mldbg.verify.outcome import Outcome
    from mldbg.verify.report import Record

PROGRAM = "mldebug-verify"
WAIT_POLICY = "OMP_WAIT_POLICY"
"""Read by OpenMP when torch is loaded. Its threads spin while they wait; beside another busy process a run on a small model then
took 132 s, with threads that sleep 9 s (two cores).
"""
LIBRARIES = frozenset({"torch", "numpy", "scipy", "matplotlib"})
T = TypeVar("T")


class Exit(IntEnum):
    """Exit codes. What could not be measured outweighs what failed: silence about it would be a false promise."""

    PASS = 0
    FAIL = 1
    NOT_MEASURED = 2
    CANNOT_TELL = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, as the user gave it."""

    target: str | None
    html: Path | None
    json: Path | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    device: str | None
    budget: float | None
    seed: int | None
    strict: bool
    list_checks: bool
    color: str


def _converted(convert: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    def callback(_context: click.Context, _parameter: click.Parameter, value: str | None) -> T | None:
        try:
            return None if value is None else convert(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def _names(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    try:
        return config.words(names, catalogue.known_words())
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("target", required=False, metavar="EXPERIMENT.PY[:NAME]")
@click.option("--html", type=_FILE, metavar="FILE", help="Write the report as a self-contained HTML page.")
@click.option("--json", type=_FILE, metavar="FILE", help="Write the report as JSON.")
@click.option("--select", multiple=True, metavar="NAMES", callback=_names, help="Checks, ids or stages to run (default: all).")
@click.option("--ignore", multiple=True, metavar="NAMES", callback=_names, help="Checks, ids or stages to skip.")
@click.option("--device", metavar="DEVICE", callback=_converted(config.device), help="auto (default), cpu, cuda or cuda:N.")
@click.option(
    "--budget", metavar="TIME", callback=_converted(config.seconds), help="Time limit for the whole run, like 60s or 2m."
)
@click.option("--seed", type=int, metavar="N", help="Base seed, instead of the experiment's own.")
@click.option("--strict", is_flag=True, help="Exit with 3 if a check cannot tell.")
@click.option("--list", "list_checks", is_flag=True, help="List all checks and exit.")
@click.option("--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the summary.")
@click.version_option(__version__, prog_name=PROGRAM)
def command(**options: object) -> Exit:
    """Test a model by experiment, from apparatus to learning.

    EXPERIMENT.PY holds a line like experiment = Experiment(model, batch, loss). Give :NAME where it holds several.

    "mldebug-verify calibrate" measures the checks themselves; see "mldebug-verify calibrate --help".

    Exit codes: 0 nothing failed, 1 a check failed, 2 something could not be measured or the command is wrong, 3 with --strict: a
    check cannot tell.
    """
    return _run(Options(**options))  # type: ignore[arg-type]  # click's parameters are the fields of Options


def main() -> NoReturn:
    """Run the command and exit; no traceback ever reaches a user."""
    os.environ.setdefault(WAIT_POLICY, "PASSIVE")
    sys.exit(_guarded(sys.argv[1:]))


def _guarded(arguments: Sequence[str]) -> int:
    try:
        exit_code = _dispatched(list(arguments))
        sys.stdout.flush()
        return exit_code or Exit.PASS
    except click.ClickException as error:
        return _refuse(error.format_message())
    except ConfigError as error:
        return _refuse(str(error))
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter complains while it exits
        return Exit.BROKEN_PIPE
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] in LIBRARIES:
            return _refuse(f"needs {error.name}: pip install 'mldebug-lint[verify]'")
        return _internal(error)
    except Exception as error:  # noqa: BLE001  # see `main`
        return _internal(error)


def _dispatched(arguments: list[str]) -> int | None:
    if arguments[:1] == ["calibrate"]:
        from mldbg.verify import calibrate

        code: int | None = calibrate.command.main(arguments[1:], f"{PROGRAM} calibrate", standalone_mode=False)
        return code
    code = command.main(arguments, PROGRAM, standalone_mode=False)
    return code  # noqa: RET504  # its annotation is what mypy goes by


def _internal(error: Exception) -> int:
    return _refuse(f"internal error: {type(error).__name__}: {error}; please report it, along with the command you ran")


def _refuse(message: str) -> int:
    click.echo(f"{PROGRAM}: {' '.join(message.split())}", err=True)
    return Exit.NOT_MEASURED


# --- the command ---


def _run(options: Options) -> Exit:
    if options.list_checks:
        return _list(options)
    if options.target is None:
        raise click.UsageError("name an experiment file, as in mldebug-verify experiment.py; see --help")
    settings = _settings(options)
    for file in (options.html, options.json):
        _refuse_unwritable(file)
    experiment = _loaded(options.target, options.seed)
    record, interrupted = _measured(experiment, settings, options.target)
    _write(record, options)
    click.echo(_summary(record, options), nl=False, color=_colour(options))
    for problem in record.report.problems:
        _refuse(problem.message)
    return Exit.INTERRUPTED if interrupted else _exit_code(record, options)


def _list(options: Options) -> Exit:
    entries = catalogue.entries().values()
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        name = click.style(f"{entry.name:<{width}}", bold=True)
        click.echo(f"{entry.id:<4} {name}  {entry.stage.title:<9}  {entry.summary}", color=_colour(options))
    return Exit.PASS


def _settings(options: Options) -> Config:
    """The configuration nearest to the experiment's file, overruled by the command line."""
    assert options.target
    start = Path(options.target.rpartition(":")[0] or options.target).absolute().parent
    found = config.load(start, catalogue.known_words())
    return Config(
        select=options.select or found.select,
        ignore=(*found.ignore, *options.ignore),
        budget=options.budget or found.budget,
        device=options.device or found.device,
    )


def _refuse_unwritable(file: Path | None) -> None:
    """Before minutes of measuring, not after."""
    if file is not None and not file.absolute().parent.is_dir():
        raise click.UsageError(f"{file} cannot be written: folder {file.parent} does not exist")


def _loaded(target: str, seed: int | None) -> Experiment:
    from dataclasses import replace

    from mldbg.verify.load import LoadError, load

    try:
        experiment = load(target)
    except LoadError as error:
        raise click.ClickException(str(error)) from None
    return experiment if seed is None else replace(experiment, seed=seed)


def _measured(experiment: Experiment, settings: Config, subject: str) -> tuple[Record, bool]:
    """What was measured, and whether the user ended it early."""
    from mldbg.verify.report import Record
    from mldbg.verify.run import Problem, Report, run, selected

    device = config.placed(settings.device)
    checks = selected(settings.select, settings.ignore)
    if not checks:
        raise click.UsageError("--ignore leaves no checks to run")
    start = time.monotonic()
    with _Progress([check.name for check in checks]) as progress, _warnings_once():
        try:
            report = run(
                experiment,
                select=settings.select,
                ignore=settings.ignore,
                device=device,
                budget=settings.budget,
                seen=progress.seen,
            )
        except KeyboardInterrupt:
            problem = Problem("", f"interrupted after {len(progress.outcomes)} of {len(checks)} checks")
            return Record(
                subject,
                Report(
                    tuple(progress.outcomes),
                    (problem,),
                    device=device,
                    seed=experiment.seed,
                    seconds=time.monotonic() - start,
                ),
            ), True
    return Record(subject, report), False


def _exit_code(record: Record, options: Options) -> Exit:
    from mldbg.verify.outcome import Verdict

    counts = record.counts
    if record.report.problems:
        return Exit.NOT_MEASURED
    if counts[Verdict.FAIL]:
        return Exit.FAIL
    if counts[Verdict.SKIP] == len(record.report.outcomes):
        return Exit(_refuse(f"nothing was measured: {record.report.outcomes[0].check} {record.report.outcomes[0].why}"))
    return Exit.CANNOT_TELL if options.strict and counts[Verdict.CANNOT_TELL] else Exit.PASS


# --- output ---


def _write(record: Record, options: Options) -> None:
    from mldbg.verify.report import html, json

    for file, render in ((options.html, html.render), (options.json, json.render)):
        if file is None:
            continue
        try:
            file.write_text(render(record), encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"{file} cannot be written: {error.strerror or error}") from None


def _summary(record: Record, options: Options) -> str:
    from mldbg.verify.report import terminal

    written = [str(file) for file in (options.html, options.json) if file is not None]
    return terminal.render(record) + (f"report: {', '.join(written)}\n" if written else "")


def _colour(options: Options) -> bool | None:
    """True, False, or None for the decision by whether a terminal listens."""
    if options.color != "auto":
        return options.color == "always"
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


@contextmanager
def _warnings_once() -> Iterator[None]:
    """Warnings of the user's code, once for each line of code and without the code: checks run it again and again."""
    import warnings

    shown: set[tuple[str, int, type[Warning]]] = set()

    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
        if (filename, lineno, category) in shown:
            return
        shown.add((filename, lineno, category))
        start = "\r\x1b[K" if sys.stderr.isatty() else ""  # over the progress bar
        click.echo(f"{start}{filename}:{lineno}: {category.__name__}: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]  # the further parameters are optional and not used
        yield


class _Progress:
    """A line at the terminal: a bar, and the check that runs. It keeps the outcomes, should the run be ended early."""

    WIDTH = 24

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.outcomes: list[Outcome] = []
        self.shown = sys.stderr.isatty()

    def __enter__(self) -> Self:
        self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown:
            click.echo("\r\x1b[K", nl=False, err=True)

    def seen(self, outcome: Outcome) -> None:
        """One more check is done."""
        self.outcomes.append(outcome)
        self._show()

    def _show(self) -> None:
        if not self.shown:
            return
        done, total = len(self.outcomes), len(self.names)
        bar = "#" * (self.WIDTH * done // total)
        current = self.names[done] if done < total else "noise floor"
        click.echo(f"\r\x1b[K[{bar:<{self.WIDTH}}] {done} of {total}  {current}", nl=False, err=True)
