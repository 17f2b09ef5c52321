"""The command as a user meets it: what it prints, what it writes, how it exits."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments import COMMAND, HEAD
from mldbg.verify import catalogue, cli
from mldbg.verify.registry import checks

CHEAP = "loss-at-init,pairing"
Run = Callable[..., subprocess.CompletedProcess[str]]
InProcess = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verify(project: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> InProcess:
    """The command without a process of its own: the same code from the arguments to the exit code, without torch's start."""
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "path", [*sys.path])
    known = set(sys.modules)

    def run(*arguments: str, **files: str) -> tuple[int, str, str]:
        for name, text in files.items():
            (project / f"{name}.py").write_text(text, encoding="utf-8")
        try:
            code = cli._guarded(arguments)
        finally:
            for name in set(sys.modules) - known:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project)):
                    del sys.modules[name]
        out, err = capfd.readouterr()
        assert "Traceback" not in out + err
        return int(code), out, err

    return run


def loaded(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


# --- by the installed command ---


def test_a_healthy_experiment_passes(command: Run, project: Path) -> None:
    result = command("healthy.py", "--select", CHEAP, "--html", "report.html", "--json", "report.json")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("PASS  healthy.py  (")
    assert "2 checks: 2 PASS" in result.stdout
    report = loaded(project / "report.json")
    assert (report["version"], report["verdict"]) == (1, "PASS")
    assert [outcome["verdict"] for outcome in report["outcomes"]] == ["PASS", "PASS"]
    assert (project / "report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_faulty_experiment_fails_with_its_cause(command: Run) -> None:
    result = command("faulty.py", "--select", CHEAP)
    assert result.returncode == 1
    assert "FAIL  pairing: mse-broadcast: " in result.stdout
    assert "-> " in result.stdout, "the next step"


def test_a_check_that_runs_out_of_its_time(command: Run, project: Path) -> None:
    slow = (
        HEAD + "import time\ndef endless(output, target):\n    time.sleep(60)\nexperiment = Experiment(model, batch, endless)\n"
    )
    (project / "slow.py").write_text(slow, encoding="utf-8")
    start = time.monotonic()
    result = command("slow.py", "--select", "pairing", "--budget", "1s", "--json", "report.json", "--html", "report.html")
    assert time.monotonic() - start < 60
    assert result.returncode == 2
    assert result.stderr == "mldebug-verify: pairing did not finish within 1 s\n"
    assert loaded(project / "report.json")["outcomes"][0]["verdict"] == "CANNOT-TELL"
    assert "pairing did not finish within 1 s" in (project / "report.html").read_text(encoding="utf-8")


def test_help_and_list_start_without_torch() -> None:
    code = "import sys\nfrom mldbg.verify import cli\nassert cli._guarded([sys.argv[1]]) == 0\nprint('LOADED', *sys.modules)"
    for option in ("--help", "--list", "--version"):
        result = subprocess.run([sys.executable, "-c", code, option], capture_output=True, encoding="utf-8", check=True)
        loaded_modules = set(result.stdout.rpartition("LOADED")[2].split())
        assert not loaded_modules & {"torch", "numpy", "scipy", "matplotlib"}, option


def _interruptible() -> None:
    """A job in the background ignores the signal, and so would its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_run_leaves_what_was_measured(project: Path) -> None:
    hang = (
        "import pathlib, time\n"
        "def hang(output, target):\n"
        "    if target.shape == (32,) and pathlib.Path('wait').exists():\n"
        "        pathlib.Path('waiting').touch()\n"
        "        time.sleep(100)\n"
        "    pathlib.Path('wait').touch()\n"
        "    return nn.functional.cross_entropy(output, target)\n"
        "experiment = Experiment(model, batch, hang)\n"
    )
    (project / "hang.py").write_text(HEAD + hang, encoding="utf-8")
    process = subprocess.Popen(
        [COMMAND, "hang.py", "--select", CHEAP, "--json", "report.json"],
        cwd=project,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        preexec_fn=_interruptible,  # noqa: PLW1509  # no other thread runs here
    )
    while not (project / "waiting").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted after 0 of 2 checks" in errors
    assert "Traceback" not in errors
    assert loaded(project / "report.json")["problems"]


def test_a_terminal_shows_the_progress(project: Path) -> None:
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [COMMAND, "healthy.py", "--select", CHEAP], cwd=project, stdout=subprocess.PIPE, stderr=follower, encoding="utf-8"
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while part := os.read(leader, 4096):
                shown += part
        except OSError:  # the other end was closed
            pass
        os.close(leader)
        assert process.wait() == 0
    assert b"[############            ] 1 of 2  loss-at-init" in shown
    assert shown.endswith(b"\r\x1b[K"), "the line is wiped at the end"


# --- exit codes and options ---


def test_strict_makes_cannot_tell_a_3(verify: InProcess) -> None:
    torn = HEAD + (
        "from mldbg.verify.checks.loss_at_init import LossAtInit\n"
        "LossAtInit.run = lambda self, bench: self.cannot_tell('too few rows', 'give more')\n"
        "experiment = Experiment(model, batch, nn.functional.cross_entropy)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        from mldbg.verify.checks.loss_at_init import LossAtInit

        patch.setattr(LossAtInit, "run", LossAtInit.run)  # put back what the experiment's file takes away
        assert verify("torn.py", "--select", "U1", torn=torn)[0] == 0
        code, out, _ = verify("torn.py", "--select", "U1", "--strict", torn=torn)
    assert code == 3
    assert "CANNOT-TELL  loss-at-init" in out


def test_nothing_measured_is_no_pass(verify: InProcess) -> None:
    code, out, err = verify("healthy.py", "--select", "loader-audit")
    assert code == 2
    assert "SKIP  1 check more with Experiment(..., loader)" in out
    assert err == "mldebug-verify: nothing was measured: loader-audit needs loader\n"


def test_names_ids_and_stages_select(verify: InProcess, project: Path) -> None:
    def done(*arguments: str) -> list[str]:
        assert verify("healthy.py", "--json", "report.json", *arguments)[0] in (0, 2)
        return [outcome["check"] for outcome in loaded(project / "report.json")["outcomes"]]

    assert done("--select", "U1, pairing") == ["pairing", "loss-at-init"], "exact checks come first"
    assert done("--select", "u1", "--select", "U4", "--ignore", "pairing") == ["loss-at-init"]
    of_loss = [check.name for check in checks() if check.stage.title == "loss"]
    assert done("--select", "loss", "--ignore", ",".join(of_loss[2:])) == of_loss[:2]


def test_seed_and_device_are_recorded(verify: InProcess, project: Path) -> None:
    assert verify("healthy.py", "--select", "U1", "--seed", "7", "--device", "cpu", "--json", "report.json")[0] == 0
    report = loaded(project / "report.json")
    assert (report["seed"], report["device"], report["dtype"]) == (7, "cpu", "float32")
    assert report["outcomes"][0]["seed"] == 7


def test_list_knows_every_check(verify: InProcess) -> None:
    code, out, _ = verify("--list")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()] == [[check.id, check.name] for check in checks()]


def test_the_catalogue_is_what_the_registry_loads() -> None:
    read = [(each.name, each.id, each.stage, each.kind, each.needs) for each in catalogue.entries().values()]
    assert read == [(each.name, each.id, each.stage, each.kind, each.needs) for each in checks()]


def test_warnings_of_the_users_code_come_once(command: Run, project: Path) -> None:
    loud = HEAD + (
        "import warnings\n"
        "def loss(output, target):\n"
        "    warnings.warn(f'loud {torch.rand(())}', stacklevel=1)\n"
        "    return nn.functional.cross_entropy(output, target)\n"
        "experiment = Experiment(model, batch, loss)\n"
    )
    (project / "loud.py").write_text(loud, encoding="utf-8")
    result = command("loud.py", "--select", CHEAP)
    assert result.returncode == 0
    assert result.stderr.count("UserWarning: loud") == 1


def test_calibrate_is_a_command_of_its_own(verify: InProcess) -> None:
    code, out, _ = verify("calibrate", "--help")
    assert code == 0
    assert "mldebug-verify calibrate" in out


# --- bad input: one clear line, exit code 2 ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name an experiment file"),
        (("missing.py",), "missing.py does not exist"),
        ((".",), ". is a folder"),
        (("healthy.py:nope",), 'healthy.py has no "nope"; it has experiment'),
        (("healthy.py:HEAD",), 'healthy.py has no "HEAD"'),
        (("healthy.py:nn",), 'healthy.py: "nn" is a module, not an Experiment'),
        (("healthy.py:Experiment",), 'healthy.py: "Experiment" is a class, not an Experiment'),
        (("healthy.py", "--select", "loss-at-int"), 'unknown check or stage "loss-at-int"; did you mean "loss-at-init"?'),
        (("healthy.py", "--ignore", "zzz"), 'unknown check or stage "zzz"'),
        (("healthy.py", "--select", "U1", "--ignore", "loss"), "--ignore leaves no checks to run"),
        (("healthy.py", "--budget", "soon"), '"soon" is not a duration; use 60s, 2m or 1h'),
        (("healthy.py", "--budget", "0s"), '"0s" is not a duration'),
        (("healthy.py", "--device", "tpu"), '"tpu" is not a device; use auto, cpu, cuda or cuda:0'),
        (("healthy.py", "--html", "no/such/folder/report.html"), "cannot be written: folder no/such/folder does not exist"),
        (("healthy.py", "--html", "."), "is a directory"),
        (("healthy.py", "--nonsense"), "No such option"),
    ],
)
def test_a_wrong_command_line(verify: InProcess, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = verify(*arguments)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD, "user.py has no experiment: add a line like experiment = Experiment(model, batch, loss)"),
        (
            HEAD + "a = Experiment(model, batch, broadcast)\nb = Experiment(model, batch, broadcast)\n",
            "several experiments: a, b;",
        ),
        (HEAD + "experiment = 1\n", "user.py has no experiment"),
        (HEAD + "def experiment(): return 3\n", "user.py: experiment() returned a int, not an Experiment"),
        (HEAD + "def experiment(): 1 / 0\n", "user.py:14: experiment() raised ZeroDivisionError: division by zero"),
        (HEAD + "experiment = Experiment(model(), batch, broadcast)\n", "user.py:14: Experiment: model must be a function"),
        (HEAD + "experiment = Experiment(model, batch, broadcast, lodaer=1)\n", "Experiment has no field 'lodaer'"),
        ("import no_such_module_anywhere\n", "user.py:1: ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("def f(:\n", "user.py:1: invalid syntax"),
        ("raise SystemExit(0)\n", "user.py:1: SystemExit: 0"),
        ("x = 1 / 0\n", "user.py:1: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_without_an_experiment_to_run(verify: InProcess, text: str, message: str) -> None:
    code, out, err = verify("user.py", user=text)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("lambda: 1 / 0, batch, broadcast", "model() raised ZeroDivisionError: division by zero"),
        ("model, lambda: 1 / 0, broadcast", "batch() raised ZeroDivisionError: division by zero"),
        ("model, lambda: 3, broadcast", "batch() returned a int, not a pair (inputs, targets)"),
        ("lambda: 3, batch, broadcast", "model() returned a int, not a torch.nn.Module"),
        ("model, batch, lambda o, t: o.sum(1)", "loss(output, target) returned shape (32,), not a scalar"),
        ("model, batch, lambda o, t: 3.0", "loss(output, target) returned a float, not a tensor"),
        ("model, batch, lambda o, t: 1 / 0", "loss(output, target) raised ZeroDivisionError"),
        ("lambda: model().to('meta'), batch, broadcast", "model() returned something that cannot be moved to cpu: "),
        ("model, lambda: (batch()[0].to('meta'), batch()[1]), broadcast", "batch() returned something that cannot be moved"),
        ("lambda: nn.Linear(3, 4), batch, broadcast", "the model raised RuntimeError: mat1 and mat2 shapes cannot be multiplied"),
    ],
)
def test_an_experiment_that_cannot_be_run(verify: InProcess, project: Path, arguments: str, message: str) -> None:
    text = HEAD + f"experiment = Experiment({arguments})\n"
    code, out, err = verify("user.py", "--select", CHEAP, "--html", "report.html", "--json", "report.json", user=text)
    assert code == 2
    assert f"mldebug-verify: {message}" in err
    assert err.count("\n") == 1, "one line for all checks that meet the same problem"
    assert out.startswith("INCOMPLETE  user.py")
    problem = loaded(project / "report.json")["problems"][0]["message"]
    assert problem.startswith(message)
    assert "Could not be measured" in (project / "report.html").read_text(encoding="utf-8")


def test_an_empty_loader(verify: InProcess) -> None:
    text = HEAD + "experiment = Experiment(model, batch, broadcast, loader=lambda: [])\n"
    code, _, err = verify("user.py", "--select", "loader-audit", user=text)
    assert code == 2
    assert "loader" in err
    assert err.count("\n") == 1


def test_a_problem_in_one_check_keeps_the_outcomes_of_the_others(verify: InProcess, project: Path) -> None:
    text = HEAD + "experiment = Experiment(model, batch, nn.functional.cross_entropy, loader=lambda: 1 / 0)\n"
    code, _, err = verify("user.py", "--select", f"loader-audit,{CHEAP}", "--json", "report.json", user=text)
    assert (code, err) == (2, "mldebug-verify: loader-audit: loader() raised ZeroDivisionError: division by zero\n")
    verdicts = {outcome["check"]: outcome["verdict"] for outcome in loaded(project / "report.json")["outcomes"]}
    assert verdicts == {"loader-audit": "SKIP", "loss-at-init": "PASS", "pairing": "PASS"}


def test_a_check_with_a_defect_does_not_end_the_run(verify: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    from mldbg.verify.checks.loss_at_init import LossAtInit

    def stumble(*_: object) -> None:
        raise KeyError("missing")

    monkeypatch.setattr(LossAtInit, "run", stumble)
    code, out, err = verify("healthy.py", "--select", CHEAP)
    assert (code, err) == (2, "mldebug-verify: loss-at-init stopped with KeyError: 'missing'\n")
    assert "1 PASS, 1 SKIP" in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="it is about a machine without CUDA")
def test_absent_cuda_is_an_error(verify: InProcess) -> None:
    code, _, err = verify("healthy.py", "--device", "cuda")
    assert (code, err) == (2, "mldebug-verify: device cuda: this machine has no CUDA device that torch can use\n")


# --- configuration ---


def configured(project: Path, text: str) -> None:
    (project / "pyproject.toml").write_text(f"[tool.mldebug-verify]\n{text}\n", encoding="utf-8")


def test_the_nearest_configuration_counts(verify: InProcess, project: Path) -> None:
    configured(project, 'select = ["U1", "pairing"]\nignore = ["U4"]\nbudget = "50s"\ndevice = "cpu"')
    assert "1 check: 1 PASS" in verify("healthy.py")[1]
    assert "1 check: 1 PASS" in verify("healthy.py", "--select", CHEAP)[1], "the command line selects, both ignore"
    (project / "inner").mkdir()
    (project / "inner" / "healthy.py").write_text((project / "healthy.py").read_text(encoding="utf-8"), encoding="utf-8")
    assert "1 check: 1 PASS" in verify("inner/healthy.py")[1]
    (project / "inner" / "pyproject.toml").write_text("[tool.other]\n", encoding="utf-8")
    assert "1 check: 1 PASS" in verify("inner/healthy.py")[1], "a file without our table does not count"
    (project / "inner" / "pyproject.toml").write_text('[tool.mldebug-verify]\nselect = ["U1", "U4"]\n', encoding="utf-8")
    assert "2 checks: 2 PASS" in verify("inner/healthy.py")[1], "nothing cascades"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("selct = []", 'unknown key "selct" in [tool.mldebug-verify]; did you mean "select"?'),
        ('select = "U1"', "select: must be a list of strings"),
        ('select = ["nope"]', 'select: unknown check or stage "nope"'),
        ("budget = true", 'budget: must be a duration like "60s"'),
        ('budget = "long"', 'budget: "long" is not a duration'),
        ("device = 1", 'device: must be a string like "cpu"'),
        ('device = "gpu"', 'device: "gpu" is not a device'),
        ("select = [", "is not valid TOML"),
    ],
)
def test_a_wrong_setting(verify: InProcess, project: Path, text: str, message: str) -> None:
    configured(project, text)
    code, _, err = verify("healthy.py")
    assert code == 2
    assert message in err
    assert "pyproject.toml: " in err
    assert err.count("\n") == 1
