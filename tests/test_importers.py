"""Files that nobody named, but that use those that were: what is wrong with these may show there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mldbg.lint import engine, importers, registry, run
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.run import Result, Task

RULES = registry.rules()

FILES = {
    "parts/__init__.py": "from parts.net import Net\n",
    "parts/net.py": (
        "from torch import nn\n\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.head = nn.Linear(8, 3)\n\n    def forward(self, x):\n        return self.head(x).softmax(1)\n"
    ),
    "loop.py": (
        "from torch import nn\n\n\ndef fit(net, loader):\n    for x, y in loader:\n"
        "        nn.functional.cross_entropy(net(x), y).backward()\n"
    ),
    "main.py": "from loop import fit\nfrom parts import Net\n\n\ndef main(loader):\n    fit(Net(), loader)\n",
    "other.py": (
        "import torch\n\n\ndef entropy(x):\n    p = x.softmax(1)\n"
        "    return -(p * torch.log(x.softmax(1))).sum()  # mldebug: allow[log-of-softmax] the logits are small\n"
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def check(root: Path, *names: str, exclude: tuple[str, ...] = ()) -> Result:
    return run.check_files([root / name for name in names], Task(Config(root=root, exclude=exclude), RULES, RULES), jobs=1)


def places(result: Result) -> list[str]:
    return [f"{finding.span.path}:{finding.span.line} {finding.rule}" for finding in result.findings]


TWICE = "loop.py:6 softmax-before-cross-entropy"


@pytest.mark.parametrize("name", ["parts/net.py", "loop.py", "main.py"])
def test_each_file_on_the_way_leads_to_the_defect(name: str, project: Path) -> None:
    result = check(project, name)
    assert places(result) == [TWICE]
    assert result.checked == 1
    assert not result.problems


def test_of_others_only_what_concerns_the_named_files_is_said(project: Path) -> None:
    (project / "main.py").write_text(FILES["main.py"] + FILES["other.py"], encoding="utf-8")
    assert places(check(project, "parts/net.py")) == [TWICE]
    (project / "main.py").write_text(FILES["main.py"] + "x = (\n", encoding="utf-8")
    assert places(check(project, "parts/net.py")) == []
    assert not check(project, "parts/net.py").problems


def test_no_fix_is_offered_for_a_file_that_nobody_named(project: Path) -> None:
    text = FILES["parts/net.py"].replace(".softmax(1)", "") + "\n\ndef net():\n    return Net()\n"
    (project / "parts" / "net.py").write_text(text, encoding="utf-8")
    use = (
        "from torch import nn\n\nfrom parts.net import net\n\n\n"
        "def loss(x, y):\n    return nn.functional.cross_entropy(net()(x).softmax(1), y)\n"
    )
    (project / "use.py").write_text(use, encoding="utf-8")
    (of_its_own,) = check(project, "use.py").findings
    assert of_its_own.fix is not None
    assert all(finding.fix is None for finding in check(project, "parts/net.py").findings)


def test_comments_of_others_are_no_concern_of_the_run(project: Path) -> None:
    text = FILES["loop.py"] + "\n\nx = 1  # mldebug: allow[log-of-softmax] nothing here\n"
    (project / "loop.py").write_text(text, encoding="utf-8")
    assert places(check(project, "parts/net.py")) == [TWICE]
    assert "loop.py:9 unused-suppression" in places(check(project, "loop.py"))


def suppressed_in(project: Path) -> None:
    """A finding in `loop.py`, to which only the check of `main.py` leads, is suppressed where it is reported.

    A second network keeps the linter from supposing what `loop.py` trains.
    """
    spare = "from torch import nn\n\nclass Spare(nn.Module):\n    def forward(self, x):\n        return x\n"
    (project / "spare.py").write_text(spare, encoding="utf-8")
    text = FILES["loop.py"].replace(".backward()", ".backward()  # mldebug: allow[softmax-before-cross-entropy] as published")
    (project / "loop.py").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("names", [("loop.py",), ("loop.py", "parts"), ("loop.py", "other.py"), (".",)])
def test_a_suppression_that_an_importer_needs_is_not_unused(project: Path, names: tuple[str, ...]) -> None:
    suppressed_in(project)
    assert places(check(project, *names)) == []
    (project / "main.py").unlink()
    assert places(check(project, *names)) == ["loop.py:6 unused-suppression"]


def test_nor_is_it_in_an_editor(project: Path) -> None:
    suppressed_in(project)
    source = Source("loop.py", None, (project / "loop.py").read_bytes())
    task = Task(Config(root=project), RULES, RULES)
    assert run.check_source(source, task).findings == ()
    (project / "main.py").unlink()
    assert places(run.check_source(source, task)) == ["loop.py:6 unused-suppression"]


@pytest.mark.parametrize("names", [("loop.py",), (".",)])
@pytest.mark.parametrize("broken", ["main.py", "loop.py"])
def test_nor_while_a_file_that_may_need_it_cannot_be_read(project: Path, names: tuple[str, ...], broken: str) -> None:
    suppressed_in(project)
    with (project / broken).open("a", encoding="utf-8") as file:
        file.write("x = (\n")
    assert places(check(project, *names)) == []


@pytest.mark.parametrize("names", [("loop.py",), ("a.py", "loop.py"), (".",)])
def test_a_broken_file_is_a_problem_even_when_its_importers_came_first(project: Path, names: tuple[str, ...]) -> None:
    (project / "main.py").rename(project / "a.py")
    with (project / "loop.py").open("a", encoding="utf-8") as file:
        file.write("x = (\n")
    assert [problem.path for problem in check(project, *names).problems] == ["loop.py"]


def test_importers_that_are_too_many_to_be_followed_may_need_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    suppressed_in(project)
    monkeypatch.setattr(importers, "MOST_FOLLOWED", 1)
    (project / "an_importer.py").write_text("import loop\n\n\ndef train(net, data):\n    loop.fit(net, data)\n", encoding="utf-8")
    assert places(check(project, "loop.py")) == []


def test_what_a_folder_holds_is_not_left(project: Path) -> None:
    assert places(check(project, "parts")) == []
    assert places(check(project, ".")) == [TWICE]


def test_excluded_files_are_not_followed(project: Path) -> None:
    assert places(check(project, "parts/net.py", exclude=("main.py",))) == []


@pytest.mark.parametrize("limit", ["MOST_NAMED", "MOST_ENTRIES", "MOST_SEARCHED", "MOST_BYTES", "MOST_FOLLOWED"])
def test_the_search_is_bounded(limit: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importers, limit, 0)
    assert places(check(project, "parts/net.py")) == []


def test_the_nearest_come_first(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "a.py").write_text(FILES["main.py"], encoding="utf-8")
    (project / "parts" / "z.py").write_text("from .net import Net\nimport loop\n", encoding="utf-8")
    monkeypatch.setattr(importers, "MOST_FOLLOWED", 1)
    whole = engine.Project(project)
    found = importers.importers_of([project / "parts" / "net.py"], Config(root=project), whole.surveys, [whole.links])
    assert [file.name for file in found] == ["z.py"]


def test_a_notebook_can_be_the_one_that_joins_the_pieces(project: Path) -> None:
    (project / "main.py").unlink()
    cells: list[dict[str, object]] = [
        {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": FILES["main.py"]}
    ]
    book = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    (project / "explore.ipynb").write_text(json.dumps(book), encoding="utf-8")
    assert places(check(project, "parts/net.py")) == [TWICE]


WIDE = """
from torch import nn


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)

    def forward(self, x):
        return self.head(x)
"""
FEED = """
import torch
from wide import Wide


def main():
    return Wide()(torch.randn(8, 32))
"""


def test_a_file_that_feeds_a_network_leads_to_what_does_not_fit_in_it(project: Path) -> None:
    (project / "wide.py").write_text(WIDE, encoding="utf-8")
    (project / "feed.py").write_text(FEED, encoding="utf-8")
    assert places(check(project, "wide.py")) == ["wide.py:11 wrong-in-features"]
    (project / "feed.py").write_text(FEED.replace("32", "64"), encoding="utf-8")
    assert places(check(project, "wide.py")) == []
