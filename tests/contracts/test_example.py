"""The transformer on digits: it learns, and every planted bug is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "contracts" / "digits_transformer.py"


def run(*arguments: str, mode: str = "full") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MLDBG_CONTRACTS": mode}
    command = [sys.executable, str(EXAMPLE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize("mode", ["full", "off"])
def test_it_learns(mode: str) -> None:
    done = run(mode=mode)
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.splitlines()[-2].rpartition(" ")[2])
    assert accuracy > 0.85


@pytest.mark.parametrize(
    ("bug", "said"),
    [
        ("softmax", "these are probabilities: softmax has already been applied"),
        ("axis", "8 is the size of time: axes may be swapped"),
        ("norm", "normalize is missing, or ran over another axis"),
        ("pixels", "pixels from 0 to 255, or counts"),
        ("labels", "ids start at 1"),
    ],
)
def test_every_planted_bug_is_named(bug: str, said: str) -> None:
    done = run("--epochs", "1", "--bug", bug)
    assert (done.returncode, done.stderr) == (1, "")
    assert said in done.stdout
