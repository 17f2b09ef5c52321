"""`mldebug-verify calibrate`: how well the checks find faults that are injected on purpose."""

from __future__ import annotations

import fnmatch
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mldbg.verify.calibration import Calibration
    from mldbg.verify.experiment import Experiment
    from mldbg.verify.fault import Fault
    from mldbg.verify.trial import Trial


@dataclass(frozen=True, slots=True)
class FromFile:
    """Loads a user's experiment; a process that is told of it imports the file anew."""

    target: str

    def __call__(self, seed: int) -> Experiment:
        """The experiment with its seed moved on. Raises LoadError."""
        from mldbg.verify.load import load

        experiment = load(self.target)
        return replace(experiment, seed=experiment.seed + seed)


@click.command("calibrate", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.argument("target", required=False, metavar="[FILE.PY[:NAME]]")
@click.option(
    "--fault", "patterns", multiple=True, help="Only faults whose name or check matches this shell pattern; repeatable."
)
@click.option("--host", "hosts", multiple=True, help="Only this host; repeatable.")
@click.option("--select", multiple=True, help="Run only these checks (names, ids, stages); repeatable.")
@click.option("--seeds", type=click.IntRange(1), help="Runs per fault and host (default: 5; with your own file 1).")
@click.option("--healthy-seeds", type=click.IntRange(0), help="Runs per healthy host (default: 13).")
@click.option("--jobs", type=click.IntRange(1), default=1, show_default=True, help="Processes.")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write all trials to this file.")
@click.option("--page", type=click.Path(dir_okay=False, exists=True, path_type=Path), help="Write the tables to this page.")
def command(
    target: str | None,
    patterns: tuple[str, ...],
    hosts: tuple[str, ...],
    select: tuple[str, ...],
    seeds: int | None,
    healthy_seeds: int | None,
    jobs: int,
    device: str,
    json_file: Path | None,
    page: Path | None,
) -> None:
    """Inject faults and count which are found.

    Without a file: every fault in every healthy host model that it fits, and the healthy hosts themselves. With a file: every
    fault that fits your own experiment, so that you see which would have gone unseen there.
    """
    from mldbg.verify.calibration import HEALTHY_SEEDS, SEEDS, calibrate, mutated
    from mldbg.verify.config import placed
    from mldbg.verify.experiment import ExperimentError
    from mldbg.verify.fault import faults
    from mldbg.verify.hosts import HOSTS
    from mldbg.verify.load import LoadError
    from mldbg.verify.report import calibration as report

    device = placed(device)
    injected = [fault for fault in faults() if _matches(fault, patterns)]
    if not injected:
        raise click.UsageError(f"no fault matches {', '.join(patterns)}")
    known = {host.name: host for host in HOSTS}
    for name in hosts:
        if name not in known:
            raise click.UsageError(f"unknown host {name!r}; known hosts: {', '.join(known)}")
    chosen = [known[name] for name in hosts] if hosts else list(HOSTS)
    progress = _Progress()
    try:
        if target is not None:
            found = mutated(
                target, FromFile(target), injected, seeds=seeds or 1, select=select, device=device, jobs=jobs, seen=progress
            )
        else:
            healthy = HEALTHY_SEEDS if healthy_seeds is None else healthy_seeds
            found = calibrate(
                chosen,
                injected,
                seeds=seeds or SEEDS,
                healthy_seeds=healthy,
                select=select,
                device=device,
                jobs=jobs,
                seen=progress,
            )
    except (ExperimentError, LoadError) as error:
        raise click.UsageError(str(error)) from error
    progress.end()
    click.echo(report.table(found) if target is None else report.mutations(found))
    _written(found, json_file, page)


def _matches(fault: Fault, patterns: tuple[str, ...]) -> bool:
    names = (fault.name, fault.check)
    return not patterns or any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _written(found: Calibration, json_file: Path | None, page: Path | None) -> None:
    from mldbg.verify.report import calibration as report

    if json_file:
        json_file.write_text(report.render(found), encoding="utf-8")
    if page:
        try:
            text = report.spliced(page.read_text(encoding="utf-8"), report.page(found))
        except ValueError as error:
            raise click.UsageError(f"{page}: {error}") from error
        page.write_text(text, encoding="utf-8")


class _Progress:
    """One line that counts, on a terminal only."""

    def __init__(self) -> None:
        self.done = 0
        self.shown = sys.stderr.isatty()

    def __call__(self, trial: Trial, expected: int) -> None:
        """A trial has ended."""
        self.done += 1
        if self.shown:
            what = f"{trial.host}: {trial.fault or 'healthy'}"
            click.echo(f"\r\x1b[2K{self.done}/{expected} {what[:80]}", err=True, nl=False)

    def end(self) -> None:
        """Take the line away."""
        if self.shown:
            click.echo("\r\x1b[2K", err=True, nl=False)
