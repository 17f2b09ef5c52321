"""Calibration: inject every fault into every host that it fits, run the healthy hosts, and count what the checks say."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from mldbg.verify.experiment import Experiment
from mldbg.verify.fault import Fault, Host, faults
from mldbg.verify.outcome import Verdict
from mldbg.verify.registry import checks
from mldbg.verify.statistics import clopper_pearson
from mldbg.verify.traits import traits_of
from mldbg.verify.trial import Alarm, Found, Trial, fault_trial, healthy_trial, judged

SEEDS = 5
"""Seeds of every pair of a fault and a host."""

HEALTHY_SEEDS = 13
"""Seeds of every healthy host: with 8 hosts more than 100 runs, so that no alarm bounds their rate at 3.5 %."""

TRIALS_OF_A_PROCESS = 100
"""After which it is replaced by a fresh one, about: there are faults that keep memory."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many of so many, with exact bounds at 95 %."""

    hits: int
    trials: int

    @property
    def share(self) -> float:
        """The rate; 0 of 0 is 0."""
        return self.hits / self.trials if self.trials else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Clopper and Pearson's two-sided interval; of no trial the whole range."""
        return clopper_pearson(self.hits, self.trials) if self.trials else (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """What one check, or one fault, did."""

    name: str
    detection: Rate
    """Trials in which the fault was found by any check."""
    cause: Rate
    """Trials in which the first alarm named a right cause."""
    own: Rate
    """Trials in which the fault's own check gave an alarm."""
    false_alarms: Rate = Rate(0, 0)
    """FAIL verdicts of the check among its healthy runs (SKIP is no run)."""
    warnings: Rate = Rate(0, 0)
    """WARN verdicts of the check among its healthy runs."""
    untold: Rate = Rate(0, 0)
    """CANNOT-TELL verdicts of the check among its healthy runs."""


@dataclass(frozen=True)
class Calibration:
    """All trials, and what they come to."""

    healthy: tuple[Trial, ...]
    injected: tuple[Trial, ...]
    faults: tuple[Fault, ...]
    device: str = "cpu"

    @cached_property
    def found(self) -> tuple[Found, ...]:
        """The judgement of each trial in `injected`."""
        alarms = {(trial.host, trial.seed): trial.alarms for trial in self.healthy}
        by_name = {fault.name: fault for fault in self.faults}
        return tuple(judged(trial, by_name[trial.fault], alarms.get((trial.host, trial.seed), ())) for trial in self.injected)

    def _row(self, name: str, of: Container[str]) -> Row:
        found = [each for trial, each in zip(self.injected, self.found, strict=True) if trial.fault in of]
        return Row(
            name,
            Rate(sum(each.detected for each in found), len(found)),
            Rate(sum(each.right for each in found), len(found)),
            Rate(sum(each.own for each in found), len(found)),
        )

    @property
    def total(self) -> Row:
        """All faults together; a false alarm is a healthy run with at least one FAIL."""
        fails = sum(any(alarm.verdict == Verdict.FAIL for alarm in trial.alarms) for trial in self.healthy)
        warns = sum(any(alarm.verdict == Verdict.WARN for alarm in trial.alarms) for trial in self.healthy)
        row = self._row("all", {fault.name for fault in self.faults})
        return replace(row, false_alarms=Rate(fails, len(self.healthy)), warnings=Rate(warns, len(self.healthy)))

    @property
    def by_fault(self) -> tuple[Row, ...]:
        """One row for each fault that was injected."""
        tried = {trial.fault for trial in self.injected}
        return tuple(self._row(fault.name, {fault.name}) for fault in self.faults if fault.name in tried)

    @property
    def by_check(self) -> tuple[Row, ...]:
        """One row for each check, in gate order: the faults that are its own, and its healthy runs."""
        rows = []
        for check in checks():
            own = {fault.name for fault in self.faults if fault.check == check.name}
            row = self._row(check.name, own)
            ran = [trial.verdicts[check.name] for trial in self.healthy if check.name in trial.verdicts]
            ran = [verdict for verdict in ran if verdict != Verdict.SKIP]
            rows.append(
                replace(
                    row,
                    false_alarms=Rate(ran.count(Verdict.FAIL), len(ran)),
                    warnings=Rate(ran.count(Verdict.WARN), len(ran)),
                    untold=Rate(ran.count(Verdict.CANNOT_TELL), len(ran)),
                )
            )
        return tuple(rows)

    @property
    def misses(self) -> tuple[Trial, ...]:
        """Trials whose fault nobody saw."""
        return tuple(trial for trial, each in zip(self.injected, self.found, strict=True) if not each.detected)


# -------------------------------------------------------------------------------------------------------------------- running
@dataclass(frozen=True, slots=True)
class Task:
    """What a process needs to know for one trial. A fault has only its name here: it holds functions that do not travel."""

    host: str
    experiment: Callable[[int], Experiment]
    seed: int
    device: str
    select: tuple[str, ...]
    fault: str = ""
    healthy: tuple[Alarm, ...] = ()

    def run(self, known: Sequence[Fault] | None = None) -> Trial:
        """The trial; the fault is one of `known`, in another process one of all that exist."""
        experiment = self.experiment(self.seed)
        if not self.fault:
            return healthy_trial(experiment, self.host, self.device, self.select)
        fault = next(fault for fault in known or faults() if fault.name == self.fault)
        return fault_trial(experiment, self.host, fault, self.healthy, self.device, self.select)


def calibrate(
    hosts: Sequence[Host],
    injected: Sequence[Fault],
    *,
    seeds: int = SEEDS,
    healthy_seeds: int = HEALTHY_SEEDS,
    select: Sequence[str] = (),
    device: str = "cpu",
    jobs: int = 1,
    seen: Callable[[Trial, int], None] = lambda *_: None,
) -> Calibration:
    """Run the healthy hosts, then every fault in every host that it fits.

    Args:
        hosts: healthy experiments.
        injected: the faults.
        seeds: runs of each pair of a fault and a host.
        healthy_seeds: runs of each healthy host; at least `seeds` are done.
        select: names, ids or stages of checks; all where empty.
        device: where models and batches go.
        jobs: processes.
        seen: is told every trial as it comes, and how many there will be.

    Raises:
        ExperimentError: an unknown check is named.
    """
    wanted = tuple(select)
    pairs = [(host, fault, seed) for fault in injected for host in hosts if fault.fits(host) for seed in range(seeds)]
    untouched = [Task(h.name, h.experiment, seed, device, wanted) for h in hosts for seed in range(max(seeds, healthy_seeds))]
    expected = len(pairs) + len(untouched)
    healthy = tuple(_done(untouched, injected, jobs, lambda trial: seen(trial, expected)))
    known = {(trial.host, trial.seed): trial.alarms for trial in healthy}
    tasks = [
        Task(host.name, host.experiment, seed, device, wanted, fault.name, known[host.name, seed]) for host, fault, seed in pairs
    ]
    trials = tuple(_done(tasks, injected, jobs, lambda trial: seen(trial, expected)))
    return Calibration(healthy, trials, tuple(injected), device)


def mutated(
    name: str,
    experiment: Callable[[int], Experiment],
    injected: Iterable[Fault] | None = None,
    *,
    seeds: int = 1,
    select: Sequence[str] = (),
    device: str = "cpu",
    jobs: int = 1,
    seen: Callable[[Trial, int], None] = lambda *_: None,
) -> Calibration:
    """Inject every fault that fits into a user's own experiment: which would have gone unseen there?

    Args:
        name: what the experiment is called.
        experiment: gives it for a seed; where there are processes it must be found again by import.
        injected: the faults; all where None.
        seeds: runs of each fault.
        select: names, ids or stages of checks; all where empty.
        device: where models and batches go.
        jobs: processes.
        seen: is told every trial as it comes, and how many there will be.

    Raises:
        ExperimentError: the experiment cannot be run.
    """
    host = Host(name, experiment, traits_of(experiment(0), device))
    chosen = faults() if injected is None else tuple(injected)
    return calibrate([host], chosen, seeds=seeds, healthy_seeds=seeds, select=select, device=device, jobs=jobs, seen=seen)


def _done(tasks: Sequence[Task], injected: Sequence[Fault], jobs: int, seen: Callable[[Trial], None]) -> Iterator[Trial]:
    """The trials in the order of the tasks, whatever order they end in."""
    if jobs == 1:
        for task in tasks:
            trial = task.run(injected)
            seen(trial)
            yield trial
        return
    spawn = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    several = jobs * TRIALS_OF_A_PROCESS
    for start in range(0, len(tasks), several):  # a pool's own max_tasks_per_child can stand still (python/cpython#115634)
        with ProcessPoolExecutor(jobs, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            futures = [pool.submit(task.run) for task in tasks[start : start + several]]
            for future in as_completed(futures):
                seen(future.result())
            yield from (future.result() for future in futures)
