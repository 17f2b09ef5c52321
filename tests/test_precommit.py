"""The hooks as a user meets them: a repository of their own, `pre-commit try-repo`, an environment made from scratch."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGED = ("src", "pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml")
LOG = "import torch\n\n\ndef entropy(x):\n    return torch.log(torch.softmax(x, dim=-1))\n"
CELL: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": LOG}
NOTEBOOK = {"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("pre-commit")]


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, env=environment())


def environment() -> dict[str, str]:
    """The variables of this process, without those that bind git to the repository it was started from."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}


def committed(folder: Path) -> Path:
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all", "--no-verify")
    return folder


@pytest.fixture(scope="module")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What pre-commit would clone: the package as it is in the working tree."""
    folder = tmp_path_factory.mktemp("tool")
    for name in PACKAGED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder)
    return committed(folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def user(tmp_path: Path) -> Path:
    """A repository with a bug in a file and one in a notebook."""
    (tmp_path / "model.py").write_text(LOG, encoding="utf-8")
    (tmp_path / "model.ipynb").write_text(json.dumps(NOTEBOOK, indent=1), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("log(softmax)", encoding="utf-8")
    return committed(tmp_path)


def try_hook(hook: str, tool: Path, user: Path, home: Path) -> subprocess.CompletedProcess[str]:
    return pre_commit(user, home, "try-repo", str(tool), hook, "--all-files", "--verbose")


def pre_commit(user: Path, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *arguments, "--color", "never"],
        cwd=user,
        env=environment() | {"PRE_COMMIT_HOME": str(home)},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=600,
    )


def test_the_hook_reports(tool: Path, user: Path, home: Path) -> None:
    result = try_hook("mldebug-lint", tool, user, home)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "[log-of-softmax]" in result.stdout
    assert "model.ipynb:cell 1:5:12: " in result.stdout
    assert "2 findings in 2 files" in result.stdout
    assert (user / "model.py").read_text(encoding="utf-8") == LOG


def test_the_fixing_hook_fixes(tool: Path, user: Path, home: Path) -> None:
    result = try_hook("mldebug-lint-fix", tool, user, home)
    assert result.returncode == 1, result.stdout + result.stderr
    assert "files were modified by this hook" in result.stdout
    for name in ("model.py", "model.ipynb"):
        assert "torch.log_softmax(x, dim=-1)" in (user / name).read_text(encoding="utf-8")
    assert try_hook("mldebug-lint-fix", tool, user, home).returncode == 0


def test_the_environment_of_the_hook_is_small(tool: Path, user: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("kept")
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tool, check=True, capture_output=True, encoding="utf-8", env=environment()
    )
    config = f"repos: [{{repo: '{tool}', rev: {revision.stdout.strip()}, hooks: [{{id: mldebug-lint}}]}}]\n"
    (user / ".pre-commit-config.yaml").write_text(config, encoding="utf-8")
    result = pre_commit(user, home, "run", "--all-files")
    assert "[log-of-softmax]" in result.stdout, result.stdout + result.stderr
    packages = {path.name.partition("-")[0].lower() for path in home.glob("**/site-packages/*.dist-info")}
    assert packages >= {"mldebug_lint", "libcst", "click"}
    assert packages.isdisjoint({"torch", "numpy", "jaxtyping", "beartype", "scikit_learn"})
