"""One trial of the calibration: a host with or without a fault, run through the gate order; and what counts as found."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from mldbg.verify.bench import Floor
from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Fault
from mldbg.verify.outcome import Outcome, Verdict
from mldbg.verify.run import Report, run


@dataclass(frozen=True, slots=True)
class Alarm:
    """An outcome that is FAIL or WARN."""

    check: str
    verdict: str
    cause: str


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run of one experiment said.

    Attributes:
        host: the host's name.
        seed: the seed of its data and of everything else.
        fault: the fault's name; empty for the healthy host.
        alarms: in gate order.
        verdicts: by check. A fault's trial ends with the stage that gives the first alarm: what later stages would say changes
            neither whether the fault was found nor which cause came first.
        problems: why something could not be measured.
        floor: the noise floor of the initial loss.
        seconds: how long it took.
    """

    host: str
    seed: int
    fault: str
    alarms: tuple[Alarm, ...]
    verdicts: dict[str, str]
    problems: tuple[str, ...] = ()
    floor: Floor | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Found:
    """A fault's trial, judged.

    Attributes:
        detected: a check said FAIL, or the fault's own check WARN, and not so on the healthy host.
        first: that alarm, the first in gate order.
        right: the first alarm names a cause that counts as right.
        own: the fault's own check gave an alarm.
    """

    detected: bool
    first: Alarm | None
    right: bool
    own: bool


def alarms(outcomes: Iterable[Outcome]) -> tuple[Alarm, ...]:
    """The alarms among outcomes, in their order."""
    return tuple(
        Alarm(outcome.check, outcome.verdict.value, outcome.cause or "")
        for outcome in outcomes
        if outcome.verdict in (Verdict.FAIL, Verdict.WARN)
    )


def counting(found: Sequence[Alarm], fault: Fault, healthy: Sequence[Alarm]) -> list[Alarm]:
    """The alarms that detect a fault: every FAIL, and a WARN of the fault's own check; not those that the healthy host has."""
    known = {(alarm.check, alarm.cause) for alarm in healthy}
    return [
        alarm
        for alarm in found
        if (alarm.verdict == Verdict.FAIL or alarm.check == fault.check) and (alarm.check, alarm.cause) not in known
    ]


def judged(trial: Trial, fault: Fault, healthy: Sequence[Alarm]) -> Found:
    """Whether a trial found its fault."""
    counted = counting(trial.alarms, fault, healthy)
    first = counted[0] if counted else None
    return Found(
        detected=first is not None,
        first=first,
        right=first is not None and first.cause in fault.causes,
        own=any(alarm.check == fault.check for alarm in counted),
    )


def healthy_trial(experiment: Experiment, host: str, device: torch.device | str = "cpu", select: Sequence[str] = ()) -> Trial:
    """Run all selected checks on an experiment as it is."""
    return _trial(run(experiment, device=device, select=select), host, experiment.seed, "")


def fault_trial(
    experiment: Experiment,
    host: str,
    fault: Fault,
    healthy: Sequence[Alarm],
    device: torch.device | str = "cpu",
    select: Sequence[str] = (),
) -> Trial:
    """Inject a fault and run the checks up to the stage of the first alarm.

    An experiment that a fault makes impossible to run has a problem, and its fault does not count as found.
    """
    start = time.monotonic()
    try:
        faulty = fault.inject(experiment)
    except Exception as error:  # noqa: BLE001  # a user's experiment may have the traits of a fault and still resist it
        return Trial(host, experiment.seed, fault.name, (), {}, (f"cannot be injected: {type(error).__name__}: {error}",))

    def enough(outcomes: Sequence[Outcome]) -> bool:
        return bool(counting(alarms(outcomes), fault, healthy))

    report = run(faulty, device=device, select=select, enough=enough)
    return _trial(report, host, experiment.seed, fault.name, time.monotonic() - start)


def _trial(report: Report, host: str, seed: int, fault: str, seconds: float | None = None) -> Trial:
    return Trial(
        host,
        seed,
        fault,
        alarms(report.outcomes),
        {outcome.check: outcome.verdict.value for outcome in report.outcomes},
        tuple(problem.message for problem in report.problems),
        report.floor,
        report.seconds if seconds is None else seconds,
    )
