import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from experiments import COMMAND, FAULTY, HEALTHY

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project with one healthy and one faulty experiment."""
    (tmp_path / "pyproject.toml").write_text("[tool.mldebug-verify]\n", encoding="utf-8")
    (tmp_path / "healthy.py").write_text(HEALTHY, encoding="utf-8")
    (tmp_path / "faulty.py").write_text(FAULTY, encoding="utf-8")
    return tmp_path


@pytest.fixture
def command(project: Path) -> Run:
    """The installed command, run in the user's project as a user types it."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
        result = subprocess.run(
            [COMMAND, *arguments],
            cwd=project,
            env=variables | {"OMP_NUM_THREADS": "1"} | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=300,
        )
        assert "Traceback" not in result.stdout + result.stderr
        return result

    return run


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small models gain nothing from threads, and the tests run in as many processes as there are cores."""
    torch.set_num_threads(1)
