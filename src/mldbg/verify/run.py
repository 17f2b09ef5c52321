"""Run checks in gate order: apparatus, loss, wiring, learning. An earlier failure greys out what depends on it."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch

from mldbg.verify.bench import Bench, Floor, OutOfTimeError, copied, first_line
from mldbg.verify.check import Check, Kind, Stage
from mldbg.verify.experiment import Experiment, ExperimentError
from mldbg.verify.outcome import Outcome, Verdict
from mldbg.verify.registry import checks
from mldbg.verify.state import preserved
from mldbg.verify.statistics import holm

SECONDS_FOR_ONE_CHECK = 120.0
"""A check that takes longer has lost its way; with a budget it is the budget."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a check could not be done: one clear line."""

    check: str
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """All outcomes of a run, in gate order, and what could not be measured."""

    outcomes: tuple[Outcome, ...]
    problems: tuple[Problem, ...] = ()
    device: str = "cpu"
    dtype: str = ""
    """Of the model's parameters, like float32; several are joined by commas."""
    seed: int = 0
    seconds: float = 0.0
    floor: Floor | None = None
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds by check."""

    def __getitem__(self, name: str) -> Outcome:
        return next(outcome for outcome in self.outcomes if outcome.check == name)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes that are FAIL."""
        return tuple(outcome for outcome in self.outcomes if outcome.verdict is Verdict.FAIL)


def selected(select: Sequence[str] = (), ignore: Sequence[str] = ()) -> tuple[type[Check], ...]:
    """The checks by name, id (U1) or stage. Raises ExperimentError for an unknown word."""
    every = checks()

    def meant(word: str) -> set[type[Check]]:
        found = {check for check in every if word.lower() in (check.name, check.id.lower(), check.stage.title, "all")}
        if not found:
            raise ExperimentError(f"unknown check {word!r}; see mldebug-verify --list")
        return found

    wanted = set().union(*map(meant, select)) if select else set(every)
    unwanted = set().union(*map(meant, ignore)) if ignore else set()
    return tuple(check for check in every if check in wanted and check not in unwanted)


def within_budget(wanted: Sequence[type[Check]], experiment: Experiment, budget: float) -> set[type[Check]]:
    """The cheapest checks first, as they tell most per second, until the budget is used up."""
    able = sorted((check for check in wanted if not missing(check, experiment)), key=lambda check: check.cost)
    chosen: set[type[Check]] = set()
    total = 0.0
    for check in able:
        total += check.cost
        if total > budget:
            break
        chosen.add(check)
    return chosen


def missing(check: type[Check], experiment: Experiment) -> list[str]:
    """The fields that a check needs and the experiment does not have."""
    return [name for name in check.needs if getattr(experiment, name) in (None, ())]


def run(
    experiment: Experiment,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    device: torch.device | str = "cpu",
    budget: float = math.inf,
    seen: Callable[[Outcome], None] = lambda _: None,
    enough: Callable[[Sequence[Outcome]], bool] = lambda _: False,
) -> Report:
    """Run the selected checks.

    Args:
        experiment: what is measured.
        select: names, ids or stages of checks; all where empty.
        ignore: the same, left out.
        device: where models and batches go.
        budget: seconds for everything.
        seen: is told every outcome as it comes.
        enough: is asked after each stage whether the outcomes so far do; later stages are then left out of the report.

    Raises:
        ExperimentError: an unknown check is named.
    """
    start = time.monotonic()
    wanted = selected(select, ignore)
    chosen = within_budget(wanted, experiment, budget) if math.isfinite(budget) else set(wanted)
    bench = Bench(experiment, device, min(SECONDS_FOR_ONE_CHECK, budget))
    outcomes: list[Outcome] = []
    problems: list[Problem] = []
    spent: dict[str, float] = {}
    with preserved():
        for stage in Stage:
            of_stage: list[Outcome] = []
            for check in (each for each in wanted if each.stage is stage):
                begun = time.monotonic()
                over = begun - start > budget
                outcome = _greyed(check, experiment, [*outcomes, *of_stage], chosen=check in chosen and not over)
                if outcome is None:
                    outcome = _measured(check, bench, problems)
                spent[check.name] = time.monotonic() - begun
                of_stage.append(outcome)
                seen(outcome)
            outcomes += _corrected(of_stage)
            if enough(outcomes):
                break
        bench.seconds = min(bench.seconds, max(1.0, budget - (time.monotonic() - start)))
        floor = _floor(bench)
        dtype = _dtype(bench)
    seconds = time.monotonic() - start
    return Report(tuple(outcomes), tuple(problems), str(bench.device), dtype, experiment.seed, seconds, floor, spent)


def verify(experiment: Experiment, check: str, *, device: torch.device | str = "cpu") -> Outcome:
    """The outcome of one check, by name or id: for a test of one's own.

    Raises:
        ExperimentError: the check is unknown, or the experiment cannot be run.
    """
    report = run(experiment, select=[check], device=device)
    if report.problems:
        raise ExperimentError(report.problems[0].message)
    return report.outcomes[0]


def _greyed(check: type[Check], experiment: Experiment, before: Iterable[Outcome], *, chosen: bool) -> Outcome | None:
    """Why a check is not done."""
    lacking = missing(check, experiment)
    if lacking:
        skipped = check().skipped(f"needs {' and '.join(lacking)}", f"add Experiment(..., {lacking[0]}=...) to enable it")
        return replace(skipped, details={"needs": lacking})
    by_name = {each.name: each for each in checks()}
    for outcome in before:
        if outcome.verdict is Verdict.FAIL and (outcome.check in check.after or by_name[outcome.check].stage in check.after):
            skipped = check().skipped(f"depends on {outcome.check}, which failed", f"fix {outcome.check} first")
            return replace(skipped, details={"depends_on": outcome.check})
    if not chosen:
        skipped = check().skipped("skipped: over budget", "raise --budget, or name it with --select")
        return replace(skipped, details={"over_budget": True})
    return None


def _measured(check: type[Check], bench: Bench, problems: list[Problem]) -> Outcome:
    bench.start_clock()
    try:
        with preserved(), _alarm(bench.seconds):
            outcome = check().run(bench)
    except OutOfTimeError:
        message = f"{check.name} did not finish within {bench.seconds:g} s"
        problems.append(Problem(check.name, message))
        return check().cannot_tell(message, "raise --budget, or use a smaller batch or model")
    except ExperimentError as error:
        message = str(error) if _can_never_run(bench) else f"{check.name}: {error}"
        if all(problem.message != message for problem in problems):
            problems.append(Problem(check.name, message))
        return check().skipped(str(error), "fix the experiment")
    except torch.OutOfMemoryError:
        problems.append(Problem(check.name, f"{check.name} ran out of memory on {bench.device}"))
        return check().skipped("out of memory", "use a smaller batch or model")
    except Exception as error:  # noqa: BLE001  # whatever one check stumbles over, the others are still worth their report
        message = f"{check.name} stopped with {type(error).__name__}: {first_line(error)}"
        problems.append(Problem(check.name, message))
        return check().skipped(message, "please report it, along with the experiment")
    if check.kind is Kind.HEURISTIC and outcome.verdict is Verdict.FAIL:
        return replace(outcome, verdict=Verdict.WARN)
    return outcome


def _can_never_run(bench: Bench) -> bool:
    """Whether the experiment itself is at fault, and not what one check does with it."""
    try:
        with preserved(), _alarm(bench.seconds):
            bench.evaluated(bench.model(0), *copied(bench.first))
    except (ExperimentError, OutOfTimeError):
        return True
    return False


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """End what hangs in the user's code, where the platform has signals and this is the main thread."""
    able = hasattr(signal, "setitimer") and threading.current_thread() is threading.main_thread() and math.isfinite(seconds)
    if not able:
        yield
        return

    def ring(*_: object) -> None:
        raise OutOfTimeError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds + 1)  # the bench looks at the clock first, where it is asked for something
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _corrected(outcomes: list[Outcome]) -> list[Outcome]:
    """Holm over the statistical failures of a stage: one that does not survive is a CANNOT-TELL."""
    tested = [outcome for outcome in outcomes if outcome.p_value is not None]
    rejected = holm([outcome.p_value for outcome in tested if outcome.p_value is not None])
    kept = {outcome.check: stays for outcome, stays in zip(tested, rejected, strict=True)}
    return [
        replace(
            outcome,
            verdict=Verdict.CANNOT_TELL,
            cause=None,
            why=f"{outcome.why} (not significant after correction for the checks of its stage)",
        )
        if outcome.verdict is Verdict.FAIL and not kept.get(outcome.check, True)
        else outcome
        for outcome in outcomes
    ]


def _floor(bench: Bench) -> Floor | None:
    try:
        bench.start_clock()
        with _alarm(bench.seconds):
            return bench.floor
    except (ExperimentError, OutOfTimeError):
        return None


def _dtype(bench: Bench) -> str:
    try:
        bench.start_clock()
        with _alarm(bench.seconds):
            dtypes = {str(parameter.dtype).removeprefix("torch.") for parameter in bench.model(0).parameters()}
    except (ExperimentError, OutOfTimeError):
        return ""
    return ", ".join(sorted(dtypes))
