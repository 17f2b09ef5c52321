"""The linter reads code and needs nothing of what that code needs; the light things stay light. Each test here can fail."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "jaxtyping", "beartype", "numpy", "sklearn", "pandas")
CHECK_ALL = """
import sys
from mldbg.lint.cli import command
try:
    command.main(sys.argv[1:], standalone_mode=False)
finally:
    print("LOADED", *sorted(sys.modules))
"""


def loaded(code_root: Path, *arguments: str) -> set[str]:
    """The modules that a run of the linter has imported."""
    result = subprocess.run(
        [sys.executable, "-c", CHECK_ALL, *arguments],
        env=os.environ | {"PYTHONPATH": str(code_root)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "LOADED" in result.stdout, result.stderr
    return set(result.stdout.rpartition("LOADED")[2].split())


def heavy_modules_of_a_full_run(code_root: Path) -> set[str]:
    run = loaded(code_root, "--select", "ALL", "--jobs", "1", str(ROOT / "examples"))
    assert "mldbg.lint.engine" in run
    return run & set(HEAVY)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of our code that a test may spoil, and an empty stand-in for torch."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "src" / "torch.py").write_text("", encoding="utf-8")
    return tmp_path / "src"


def append(file: Path, text: str) -> None:
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    file.write_text(before + text, encoding="utf-8")


def test_a_run_over_all_rules_imports_nothing_heavy() -> None:
    assert heavy_modules_of_a_full_run(ROOT / "src") == set()


def test_a_planted_import_is_noticed(copy: Path) -> None:
    assert heavy_modules_of_a_full_run(copy) == set()
    append(copy / "mldbg/lint/rules/log_of_softmax.py", "\nimport torch\n")
    assert heavy_modules_of_a_full_run(copy) == {"torch"}


def parser_modules(code_root: Path, text: str, folder: Path) -> set[str]:
    file = folder / "a.py"
    file.write_text(text, encoding="utf-8")
    return {name for name in loaded(code_root, "--exit-zero", str(file)) if name.startswith("libcst.")}


def test_a_file_that_the_gate_rejects_never_loads_the_parser(tmp_path: Path) -> None:
    assert parser_modules(ROOT / "src", "x = 1\n", tmp_path) == set()


def test_the_parser_is_noticed_when_it_is_loaded(tmp_path: Path) -> None:
    text = "import torch.nn.functional as F\n\n\ndef f(x, y):\n    return F.cross_entropy(F.softmax(x), y)\n"
    assert parser_modules(ROOT / "src", text, tmp_path) != set()


def test_a_rejected_file_takes_little_time(tmp_path: Path) -> None:
    """Measured against a start of Python with click alone, in turns, so that a busy machine slows down both."""
    (tmp_path / "a.py").write_text("x = 1\n", encoding="utf-8")
    ours: list[Path | str] = [Path(sys.executable).parent / "mldebug-lint", "a.py"]
    bare: list[Path | str] = [sys.executable, "-c", "import click"]
    cpu_seconds(ours, tmp_path)  # compiles, as an installation does; what is measured is every start after that
    pairs = [(cpu_seconds(ours, tmp_path), cpu_seconds(bare, tmp_path)) for _ in range(9)]
    assert median(first / second for first, second in pairs) < 8, pairs  # with libcst loaded it is above 11


def cpu_seconds(command: Sequence[Path | str], folder: Path) -> float:
    """What a command takes, its bytecode being kept in the folder, whatever the machine's setting is."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


# --- import contracts ---


def broken_contracts(code_root: Path) -> list[str]:
    """The names of the import contracts that do not hold."""
    shutil.copy(ROOT / "pyproject.toml", code_root.parent)
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=code_root.parent,
        env=os.environ | {"PYTHONPATH": str(code_root)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert "Contracts:" in result.stdout, result.stdout + result.stderr
    return [line.removesuffix(" BROKEN") for line in result.stdout.splitlines() if line.endswith(" BROKEN")]


def test_the_contracts_hold(copy: Path) -> None:
    assert broken_contracts(copy) == []


@pytest.mark.parametrize(
    ("file", "planted", "broken"),
    [
        (
            "rules/log_of_softmax.py",
            "import mldbg.lint.rules.softmax_before_cross_entropy",
            "lint: a rule never imports another rule",
        ),
        ("rule.py", "import mldbg.lint.registry", "lint: imports point one way"),
        ("finding.py", "import mldbg.lint.files", "lint: imports point one way"),
        ("rule.py", "import torch", "lint: runs without the libraries it reads about"),
        (
            "interpret/training.py",
            "import mldbg.lint.interpret.interpreter",
            "lint: inside the interpreter imports point down",
        ),
        ("interpret/value.py", "import mldbg.lint.interpret.state", "lint: inside the interpreter imports point down"),
        ("interpret/drawer.py", "", "lint: inside the interpreter imports point down"),
    ],
)
def test_a_forbidden_import_breaks_a_contract(copy: Path, file: str, planted: str, broken: str) -> None:
    append(copy / "mldbg/lint" / file, f"\n{planted}\n")
    assert broken in broken_contracts(copy)


# --- files that a reader can hold in mind ---

MOST_LINES = 700


def long_files(code_root: Path) -> list[str]:
    """The files of the interpreter that are longer than they may be."""
    files = sorted((code_root / "mldbg/lint/interpret").glob("*.py"))
    return [file.name for file in files if len(file.read_text(encoding="utf-8").splitlines()) > MOST_LINES]


def test_no_file_of_the_interpreter_is_long(copy: Path) -> None:
    assert long_files(copy) == []


def test_a_long_file_is_noticed(copy: Path) -> None:
    append(copy / "mldbg/lint/interpret/state.py", "\n" * MOST_LINES)
    assert "state.py" in long_files(copy)
