"""The README and docs/architecture.md say what the program does: their examples are run, their tables compared with the code."""

import importlib
import json
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from conftest import Run
from mldbg.lint import cli, config
from mldbg.semantics import Semantic

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

TABLES = runpy.run_path(str(ROOT / "tools" / "tables.py"))

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#:]+)\)")
_BUDGET = re.compile(r"^\| `([a-z_.]+)\.([A-Z_]+)` \| ([\d,]+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Session:
    """A command in the README, the files that its section shows above it, and what it is said to print."""

    files: dict[str, str]
    command: str
    output: str


def sessions(text: str) -> list[Session]:
    found = []
    for section in re.split(r"^## ", text, flags=re.MULTILINE):
        files: dict[str, str] = {}
        for language, body in _BLOCK.findall(section):
            if language == "python" and (name := re.match(r"# (\w+\.py)\n", body)):
                files[name[1]] = body
            elif language == "console":
                command, _, output = body.partition("\n")
                found.append(Session(dict(files), command.removeprefix("$ mldebug-lint "), output))
    return found


def blocks(text: str, language: str) -> list[str]:
    return [body for name, body in _BLOCK.findall(text) if name == language]


# --- generated tables ---


def test_tables_are_those_that_make_docs_writes() -> None:
    for text in (README, ARCHITECTURE):
        assert TABLES["updated"](text) == text, "run `make docs`"


def test_the_rules_and_all_parts_of_the_package_have_a_table() -> None:
    found = re.findall(r"^<!-- (rules|modules of \w+): .* -->$", README + ARCHITECTURE, re.MULTILINE)
    assert found == ["rules", *(f"modules of {part}" for part in ("lint", "operations", "contracts", "verify"))]


def test_a_stale_table_is_noticed() -> None:
    for name in ("softmax-before-cross-entropy", "log-softmax-before-cross-entropy"):
        stale = re.sub(rf"^\| \[{name}\].*\n", "", README, flags=re.MULTILINE)
        assert stale != README
        assert TABLES["updated"](stale) == README
    assert README.count("(group `redundant`, off by default)") == 1


# --- examples ---


@pytest.mark.parametrize("session", sessions(README), ids=lambda session: session.command)
def test_a_session_prints_exactly_this(session: Session, project: Path, lint: Run) -> None:
    for name, text in session.files.items():
        (project / name).write_text(text, encoding="utf-8")
    result = lint(*shlex.split(session.command))
    code = 0 if "--show-shapes" in session.command else 1
    assert (result.stdout, result.stderr, result.returncode) == (session.output, "", code)


def test_the_first_screen_shows_a_bug_in_two_files() -> None:
    first = sessions(README.partition("\n## ")[0])
    assert [sorted(session.files) for session in first] == [["model.py", "train.py"]]
    assert README.index(first[0].output) + len(first[0].output) < README.index("\n## ")


# --- configuration ---


def test_the_configuration_is_accepted_and_shows_every_key(project: Path, lint: Run) -> None:
    [text] = blocks(README, "toml")
    assert tomllib.loads(text)["tool"]["mldebug-lint"].keys() == config._READERS.keys()
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    source = (
        "import torch.nn.functional as F\nfrom mypackage.ops import all_gather, fast_softmax\n\n\n"
        "def loss(x, y):\n    return F.cross_entropy(all_gather(fast_softmax(x)), y)\n"
    )
    for name in ("train.py", "schema_pb2.py", "tests/helper.py", "third_party/loss.py"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text(source, encoding="utf-8")
    result = lint("--format", "concise")
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == ["train.py", "1 finding in 2 files"]


def test_a_row_for_a_class_of_another_package_has_effect(project: Path, lint: Run) -> None:
    [text] = blocks(README, "toml")
    (project / "pyproject.toml").write_text(text, encoding="utf-8")
    (project / "a.py").write_text(
        "from mypackage import Classifier\nfrom torch import nn\n\nnet = Classifier()\n\n\n"
        "def loss(x, y):\n    return nn.BCELoss()(net(x), y)\n",
        encoding="utf-8",
    )
    assert "[bce-on-logits]" in lint("--format", "concise").stdout


def test_all_meanings_are_named() -> None:
    listed = " ".join(README.split()).partition("Meanings: ")[2].partition(".")[0]
    assert re.findall(r"`([a-z-]+)`", listed) == [meaning.value for meaning in Semantic]


# --- names ---


def test_every_option_exists() -> None:
    context = click.Context(cli.command)
    known = {name for parameter in cli.command.get_params(context) for name in parameter.opts} | {"--html"}  # of mldebug-verify
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) - {"--strict"} <= known


def test_every_hook_exists() -> None:
    hooks = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    shown = re.findall(r"- id: (\S+)", README)
    assert sorted(shown) == sorted(re.findall(r"- id: (\S+)", hooks))


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)\b", README):
        assert re.search(rf"^(?:\w+ )*{target}(?: \w+)*:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(("text", "folder"), [(README, ROOT), (ARCHITECTURE, ROOT / "docs")], ids=["README", "architecture"])
def test_every_link_leads_somewhere(text: str, folder: Path) -> None:
    links = _LINK.findall(text)
    assert links
    assert [link for link in links if not (folder / link).exists()] == []


# --- architecture ---


def test_the_budgets_are_those_of_the_code() -> None:
    rows = _BUDGET.findall(ARCHITECTURE)
    assert rows
    for module, name, number in rows:
        assert getattr(importlib.import_module(f"mldbg.lint.{module}"), name) == int(number.replace(",", "")), name


def test_no_budget_of_the_interpreter_is_missing() -> None:
    shown = {f"{module}.{name}" for module, name, _ in _BUDGET.findall(ARCHITECTURE)}
    assert limits_of("interpret") - shown == set()
    assert "interpret.value.MOST_ITEMS" in limits_of("interpret")


def limits_of(package: str) -> set[str]:
    """The limits that the modules of a package state: constants with a name that says so."""
    files = (ROOT / "src" / "mldbg" / "lint" / package).glob("*.py")
    pattern = re.compile(r"^((?:MOST|DEEPEST|LONGEST)_[A-Z_]+) = ", re.MULTILINE)
    return {f"{package}.{file.stem}.{name}" for file in files for name in pattern.findall(file.read_text(encoding="utf-8"))}


def test_the_worked_example_is_that_of_the_readme() -> None:
    [session] = sessions(README.partition("\n## ")[0])
    for line in session.output.splitlines():
        assert line in ARCHITECTURE


def test_no_path_of_one_machine() -> None:
    assert not re.findall(r"(?<![\w.])/(?:home|tmp|work|root|Users)/", README + ARCHITECTURE)


def test_the_demo_shows_the_founding_bugs_one_of_them_across_files_and_one_in_a_notebook() -> None:
    command: list[str | Path] = [Path(sys.executable).parent / "mldebug-lint", "--format", "json", "--exit-zero", "examples"]
    shown = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, encoding="utf-8").stdout)
    files = {finding["rule"]: {step["path"] for step in finding["steps"]} for finding in shown["findings"]}
    assert {"softmax-before-cross-entropy", "bce-on-logits", "fit-before-split"} <= files.keys()
    assert len(files["softmax-before-cross-entropy"]) == 2
    assert not any("correct.py" in finding["path"] for finding in shown["findings"])
    in_cells = {finding["rule"] for finding in shown["findings"] if "cell" in finding}
    assert in_cells == {"fit-before-split"}
