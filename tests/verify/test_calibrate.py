"""The instrument that measures the checks is measured itself: what it counts, what it must not count, and its bounds."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from mldbg.verify import Experiment, calibration
from mldbg.verify.calibration import Calibration, Rate, calibrate, mutated
from mldbg.verify.fault import Fault, Host, faults
from mldbg.verify.hosts import HOSTS
from mldbg.verify.registry import checks
from mldbg.verify.report import calibration as report
from mldbg.verify.traits import traits_of
from mldbg.verify.trial import fault_trial, judged

Run = Callable[..., subprocess.CompletedProcess[str]]
BY_NAME = {host.name: host for host in HOSTS}
ONLY_SHOW = {"contact-sheet", "gradient-noise", "memory"}
"""Checks that measure or draw and find no fault of their own."""

CHEAP = ("pairing", "reduction-exponent", "loss-direction", "train-test-overlap", "optimizer-ledger")


def _summed(e: Experiment) -> Experiment:
    return replace(e, loss=lambda output, target: len(target) * e.loss(output, target))


def _twice(e: Experiment) -> Experiment:
    assert e.train
    return replace(e, test=e.train)


def _raising() -> nn.Module:
    raise ZeroDivisionError("division by zero")


SUMMED = Fault("summed", "reduction-exponent", ("sum-reduction",), _summed)
FLIPPED = Fault(
    "flipped", "loss-direction", ("loss-sign-flipped",), lambda e: replace(e, loss=lambda output, target: -e.loss(output, target))
)
TESTED_ON_TRAIN = Fault("tested on train", "train-test-overlap", ("train-test-overlap",), _twice, frozenset({"arrays"}))
NOTHING = Fault("nothing at all", "pairing", ("targets-ignored",), lambda e: e)
MISNAMED = Fault("misnamed", "reduction-exponent", ("another-cause",), _summed)
BROKEN = Fault("broken", "pairing", ("targets-ignored",), lambda e: replace(e, model=_raising))
RESISTED = Fault("resisted", "pairing", ("targets-ignored",), lambda e: 1 / 0)  # type: ignore[arg-type, return-value]
ZERO = "model() raised ZeroDivisionError: division by zero"
PLANTED = (SUMMED, FLIPPED, TESTED_ON_TRAIN, NOTHING, MISNAMED, BROKEN)


@pytest.fixture(scope="module")
def small() -> Calibration:
    hosts = [BY_NAME["linear"], BY_NAME["mlp"], BY_NAME["autoencoder"]]
    return calibrate(hosts, PLANTED, seeds=1, healthy_seeds=2, select=CHEAP)


# --- rates ---


@pytest.mark.parametrize(("hits", "trials"), [(0, 100), (100, 100), (3, 60), (59, 60), (1, 1), (0, 1)])
def test_bounds_are_the_exact_ones(hits: int, trials: int) -> None:
    expected = stats.binomtest(hits, trials).proportion_ci(0.95, method="exact")
    assert Rate(hits, trials).bounds == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_no_trial_says_nothing() -> None:
    assert Rate(0, 0).bounds == (0.0, 1.0)
    assert report.percent(Rate(0, 0)) == report.counts(Rate(0, 0)) == "-"


# --- what is counted ---


def test_faults_are_found_and_named(small: Calibration) -> None:
    rows = {row.name: row for row in small.by_fault}
    for fault in (SUMMED, FLIPPED):
        assert rows[fault.name].detection == rows[fault.name].cause == rows[fault.name].own == Rate(3, 3)
    assert rows["tested on train"].cause == Rate(2, 2)  # the autoencoder has no arrays


def test_what_is_no_fault_is_not_found(small: Calibration) -> None:
    row = next(row for row in small.by_fault if row.name == "nothing at all")
    assert row.detection == Rate(0, 3)
    assert any("undetected: nothing at all in mlp" in line for line in report.missed(small))


def test_a_wrong_cause_is_found_but_not_right(small: Calibration) -> None:
    row = next(row for row in small.by_fault if row.name == "misnamed")
    assert (row.detection, row.cause) == (Rate(3, 3), Rate(0, 3))


def test_an_experiment_that_cannot_run_is_not_found(small: Calibration) -> None:
    trials = [trial for trial in small.injected if trial.fault == "broken"]
    assert all("ZeroDivisionError" in trial.problems[0] for trial in trials)
    assert not any(found.detected for trial, found in zip(small.injected, small.found, strict=True) if trial.fault == "broken")


def test_healthy_hosts_give_no_alarm(small: Calibration) -> None:
    assert small.total.false_alarms == small.total.warnings == Rate(0, 6)
    rows = {row.name: row for row in small.by_check}
    assert rows["pairing"].false_alarms == Rate(0, 6)
    assert rows["train-test-overlap"].false_alarms == Rate(0, 4)  # a check that was skipped did not run


def test_an_alarm_that_the_healthy_host_has_does_not_count() -> None:
    sick = Host("sick", lambda seed: _summed(BY_NAME["mlp"].experiment(seed)), BY_NAME["mlp"].traits)
    found = calibrate([sick], [NOTHING], seeds=1, healthy_seeds=1, select=CHEAP)
    assert not any(each.detected for each in found.found)
    assert found.total.false_alarms == Rate(1, 1)
    assert any("false alarm: reduction-exponent (sum-reduction) in sick" in line for line in report.missed(found))


def test_the_stage_of_the_first_alarm_is_the_last() -> None:
    trial = fault_trial(BY_NAME["linear"].experiment(0), "linear", TESTED_ON_TRAIN, (), select=("apparatus", "loss"))
    assert judged(trial, TESTED_ON_TRAIN, ()).right
    stages = {check.stage.title for check in checks() if check.name in trial.verdicts}
    assert stages == {"apparatus"}


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "TRIALS_OF_A_PROCESS", 2)  # so that processes are replaced on the way
    known = [fault for fault in faults() if fault.name in ("sign of the loss flipped", "test rows in train")]
    assert len(known) == 2
    one, two = (calibrate([BY_NAME["linear"]], known, seeds=3, healthy_seeds=3, select=CHEAP, jobs=jobs) for jobs in (1, 2))
    assert [trial.alarms for trial in one.injected] == [trial.alarms for trial in two.injected]
    assert one.total == two.total


# --- hosts and faults ---


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_traits_are_those_of_the_experiment(host: Host) -> None:
    assert traits_of(host.experiment(0)) == host.traits


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.name)
def test_a_host_is_drawn_from_its_seed(host: Host) -> None:
    def draw(seed: int) -> torch.Tensor:
        experiment = host.experiment(seed)
        torch.manual_seed(0)
        inputs = experiment.batch()[0]
        assert isinstance(inputs, torch.Tensor)
        return inputs

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_faults_can_be_told_apart_and_fit_somewhere() -> None:
    names = [fault.name for fault in faults()]
    assert len(set(names)) == len(names) >= 40
    every = frozenset().union(*(host.traits for host in HOSTS))
    for fault in faults():
        assert fault.needs <= every, f"{fault.name} needs a trait that no host has: {fault.needs - every}"
        assert any(fault.fits(host) for host in HOSTS), f"{fault.name} fits no host"
        assert fault.check in {check.name for check in checks()}


def test_every_check_that_can_fail_has_a_fault() -> None:
    causes = {fault.check for fault in faults()}
    assert {check.name for check in checks()} - causes <= ONLY_SHOW


# --- tables ---


def test_json(small: Calibration) -> None:
    loaded = json.loads(report.render(small))
    assert loaded["version"] == report.VERSION
    assert loaded["total"]["detection"]["trials"] == len(loaded["injected"]) == len(small.injected)
    summed = [each for each in loaded["injected"] if each["fault"] == "summed" and each["host"] == "mlp"]
    assert summed[0]["first"] == {"check": "reduction-exponent", "verdict": "FAIL", "cause": "sum-reduction"}
    assert summed[0]["detected"]
    assert summed[0]["right_cause"]
    assert [row["name"] for row in loaded["checks"]] == [check.name for check in checks()]


def test_page_and_table(small: Calibration) -> None:
    page = report.page(small)
    assert "| tested on train | train-test-overlap | 2 | 2/2 | 2/2 | train-test-overlap: train-test-overlap (2) |" in page
    assert "| mlp | 0 |" in page  # the same seed gives the same loss
    assert "pairing" in report.table(small)
    text = f"before\n{report.START}\nold\n{report.END}\nafter"
    assert report.spliced(text, "new") == f"before\n{report.START}\n\nnew\n\n{report.END}\nafter"
    with pytest.raises(ValueError, match="has no lines"):
        report.spliced("nothing", "new")


# --- a user's own experiment ---


def test_own_experiment() -> None:
    own = Experiment(lambda: nn.Linear(4, 3), lambda: (torch.randn(16, 4), torch.randint(0, 3, (16,))), functional.cross_entropy)
    found = mutated("own.py", lambda seed: own, (SUMMED, FLIPPED, TESTED_ON_TRAIN, NOTHING, BROKEN, RESISTED), select=CHEAP)
    text = report.mutations(found)
    caught, unseen, untried = text.split("\n\n")
    assert caught.startswith("caught: 2 of 5 faults\n")
    assert "  flipped  loss-direction: loss-sign-flipped" in caught
    assert unseen == "would go undetected: 1\n  nothing at all"
    assert (
        untried
        == f"could not be injected\n  broken    {ZERO}\n  resisted  cannot be injected: {ZERO.removeprefix('model() raised ')}"
    )
    assert "tested on train" not in text  # it has no arrays


def test_own_experiment_by_the_command(command: Run, project: Path) -> None:
    result = command(
        "calibrate", "healthy.py", "--fault", "sign of the loss flipped", "--select", "loss-direction", "--json", "found.json"
    )
    assert result.returncode == 0, result.stderr
    assert "caught: 1 of 1 fault" in result.stdout
    assert json.loads((project / "found.json").read_text(encoding="utf-8"))["total"]["detection"]["hits"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--host", "nobody"), "unknown host 'nobody'"),
        (("--fault", "no such thing"), "no fault matches no such thing"),
        (("missing.py",), "missing.py does not exist"),
        (("--select", "no-such-check", "--host", "linear"), "no-such-check"),
        (("--device", "cuda:77"), "cuda:77"),
    ],
)
def test_bad_use_is_one_clear_line(command: Run, arguments: tuple[str, ...], said: str) -> None:
    result = command("calibrate", *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
