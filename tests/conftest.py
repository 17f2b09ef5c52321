import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).parent / "mldebug-lint"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project of a user."""
    (tmp_path / "pyproject.toml").write_text("[tool.mldebug-lint]\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def lint(project: Path) -> Run:
    """The installed command, run in the user's project as a user types it."""

    def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
        result = subprocess.run(
            [COMMAND, *arguments],
            cwd=project,
            input=stdin,
            env=variables | environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        assert "Traceback" not in result.stdout + result.stderr
        return result

    return run
