"""`MLDBG_SANITIZE` and `python -m mldbg.contracts.sanitize`, in programs of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).parents[2] / "src")
LOSS = """
import sys, threading
import torch
from torch.nn import functional as F

def loss():
    p = torch.randn(16, 3).softmax(1)
    return F.cross_entropy(p, torch.zeros(16, dtype=torch.long))
"""
IMPORTING = LOSS + "from mldbg import contract\nloss()\nprint('end')\n"
FOUND = "{0}:8: cross-entropy gets probabilities: softmax is applied twice (made at {0}:7) [softmax-before-cross-entropy]"


def run(program: Path, text: str, *before: str, after: tuple[str, ...] = (), **environment: str) -> tuple[int, str, str]:
    program.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, *before, str(program), *after],
        env={**os.environ, "PYTHONPATH": SOURCE, **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=program.parent,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def program(tmp_path: Path) -> Path:
    return tmp_path / "train.py"


def test_1_raises_where_a_meaning_is_misused(program: Path) -> None:
    code, out, err = run(program, IMPORTING, MLDBG_SANITIZE="1")
    assert (code, out) == (1, "")
    assert f"  consumed  {program}:8\n" in err
    assert err.count("Traceback") == 1  # and none of the end of the program


def test_collect_reports_at_exit(program: Path) -> None:
    assert run(program, IMPORTING, MLDBG_SANITIZE="collect") == (0, "end\n", f"sanitize: {FOUND.format(program)}\n")
    assert run(program, "from mldbg import contract\n", MLDBG_SANITIZE="collect") == (0, "", "sanitize: no findings\n")


@pytest.mark.parametrize("value", ["", "0"])
def test_empty_and_0_are_off(program: Path, value: str) -> None:
    assert run(program, IMPORTING, MLDBG_SANITIZE=value) == (0, "end\n", "")


def test_a_program_that_never_imports_contracts_is_not_followed(program: Path) -> None:
    assert run(program, LOSS + "import mldbg\nloss()\n", MLDBG_SANITIZE="collect") == (0, "", "")


def test_a_wrong_value_says_which_there_are(program: Path) -> None:
    code, _, err = run(program, IMPORTING, MLDBG_SANITIZE="yes")
    assert code == 1
    last = "ValueError: MLDBG_SANITIZE: unknown value 'yes'; it is 1 (raise at a misuse), collect (report at exit) or 0"
    assert err.splitlines()[-1] == last


def test_threads_that_start_later_are_followed(program: Path) -> None:
    text = LOSS + "from mldbg import contract\nthread = threading.Thread(target=loss)\nthread.start()\nthread.join()\n"
    assert run(program, text, MLDBG_SANITIZE="collect") == (0, "", f"sanitize: {FOUND.format(program)}\n")


@pytest.mark.parametrize("block", ["torch.device('cpu')", "sanitize(ignore=['softmax-before-cross-entropy'])"])
def test_an_import_inside_another_mode_leaves_both_as_they_are(program: Path, block: str) -> None:
    text = (
        LOSS + f"from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack as stack\n"
        f"class Mode(TorchFunctionMode):\n    def __torch_function__(self, f, t, a=(), k=None): return f(*a, **(k or {{}}))\n"
        f"with Mode() as mode:\n    from mldbg import sanitize\n    assert stack()[-1] is mode\n"
        f"    with {block}:\n        pass\n"
        f"assert len(stack()) == 1\nloss()\n"
    )
    assert run(program, text, MLDBG_SANITIZE="collect") == (0, "", f"sanitize: {FOUND.format(program)}\n")


def test_an_import_in_another_thread_follows_that_thread(program: Path) -> None:
    text = LOSS + (
        "def work():\n    from mldbg import contract\n    loss()\n"
        "thread = threading.Thread(target=work)\nthread.start()\nthread.join()\nloss()\n"
    )
    assert run(program, text, MLDBG_SANITIZE="collect") == (0, "", f"sanitize: {FOUND.format(program)}\n")


SHOWS = LOSS + "print(sys.argv[1:], __name__, sys.path[0])\nloss()\n"


def test_the_runner_follows_a_program_that_imports_nothing_of_this_package(program: Path) -> None:
    code, out, err = run(program, SHOWS, "-m", "mldbg.contracts.sanitize", after=("--collect", "x"))
    assert (code, out) == (1, f"['--collect', 'x'] __main__ {program.parent}\n")
    assert f"  consumed  {program}:8\n" in err
    collected = run(program, SHOWS, "-m", "mldbg.contracts.sanitize", "--collect", after=("-x",))
    assert collected == (0, f"['-x'] __main__ {program.parent}\n", f"sanitize: {FOUND.format(program)}\n")


def test_the_runner_runs_modules(program: Path) -> None:
    program.write_text(SHOWS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mldbg.contracts.sanitize", "--collect", "-m", "train", "-m"],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=True,
        cwd=program.parent,
    )
    assert done.stdout.startswith("['-m'] __main__")
    assert done.stderr == f"sanitize: {FOUND.format(program)}\n"


@pytest.mark.parametrize(("target", "what"), [(["no.py"], "file no.py"), (["-m", "no.such"], "module no.such")])
def test_what_is_not_there_is_one_line(target: list[str], what: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mldbg.contracts.sanitize", *target],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"python -m mldbg.contracts.sanitize: error: there is no {what}"
