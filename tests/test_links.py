"""Which names of other files are worth executing a file for."""

from __future__ import annotations

from pathlib import Path

import pytest

from mldbg.lint import engine
from mldbg.lint.files import Source, read
from mldbg.lint.imports import Binding, bindings
from mldbg.lint.links import Offer
from mldbg.lint.outline import Import
from mldbg.lint.surveys import DEEPEST_LINK

LOOP = "def fit(model, loader):\n    for x, y in loader:\n        model(x, y).backward()\n"


def joined(folder: Path, files: dict[str, str], name: str = "main.py") -> Offer:
    """What the names of a file mean, among these files."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return engine.Project(folder).links.into((folder / name).resolve())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import a", [Binding("a", Import("a", None, 0))]),
        ("import a.b, c as d  # why", [Binding("a", Import("a.b", None, 0)), Binding("d", Import("c", None, 0))]),
        ("from a import b", [Binding("b", Import("a", "b", 0))]),
        ("from .. import b as c", [Binding("c", Import("", "b", 2))]),
        (
            "from .a import (\n    b,  # first\n    c as d,\n)",
            [Binding("b", Import("a", "b", 1)), Binding("d", Import("a", "c", 1))],
        ),
        ("from a import b, \\\n    c", [Binding("b", Import("a", "b", 0)), Binding("c", Import("a", "c", 0))]),
        ("from a import *", [Binding("*", Import("a", None, 0))]),
        ("def f():\n    import a; g()", [Binding("a", Import("a", None, 0))]),
        ("try:\r\n    from a import b\r\nexcept ImportError:\r\n    b = None\r\n", [Binding("b", Import("a", "b", 0))]),
        ("x = 'import a'\nimporting = 1\n", []),
    ],
)
def test_imports_are_read_from_bytes(text: str, expected: list[Binding]) -> None:
    assert list(bindings(text.encode())) == expected


@pytest.mark.parametrize(
    ("text", "names", "modules"),
    [
        ("import loop\n", set(), {"loop": {"fit"}}),
        ("import loop as l\n", set(), {"l": {"fit"}}),
        ("from loop import fit\n", {"fit"}, {}),
        ("from loop import fit as train\n", {"train"}, {}),
        ("from loop import *\n", {"fit"}, {}),
        ("def main():\n    from loop import fit\n", {"fit"}, {}),
        ("from loop import helper\n", set(), {}),
        ("import torch\n", set(), {}),
    ],
)
def test_a_name_of_another_file_is_joined_however_it_is_imported(
    text: str, names: set[str], modules: dict[str, set[str]], tmp_path: Path
) -> None:
    found = joined(tmp_path, {"loop.py": LOOP + "\n\ndef helper(x):\n    return x\n", "main.py": text})
    assert found.names == names
    assert dict(found.modules) == modules


def test_packages_hand_on_what_they_import(tmp_path: Path) -> None:
    files = {"kit/__init__.py": "from . import loop\nfrom .loop import fit\n", "kit/loop.py": LOOP, "main.py": "import kit\n"}
    assert joined(tmp_path, files).modules["kit"] >= {"fit", "loop"}
    files["main.py"] = "import kit.loop\nfrom kit import loop as l, fit\n"
    found = joined(tmp_path, files)
    assert "fit" in found.names
    assert "fit" in found.modules["kit"]
    assert found.modules["l"] == {"fit"}


def test_files_that_import_one_another_offer_the_same_in_any_order(tmp_path: Path) -> None:
    files = {
        "a.py": "import b\n\n\ndef first(x):\n    return b.second(x)\n",
        "b.py": "import a\nfrom loop import fit\n\n\ndef second(x):\n    a.first(x)\n    return fit(x, x)\n",
        "loop.py": LOOP,
        "main.py": "from a import first\n",
    }
    forwards = joined(tmp_path, files)
    project = engine.Project(tmp_path)
    for name in ("loop.py", "b.py", "a.py"):
        project.links.into((tmp_path / name).resolve())
    assert project.links.into((tmp_path / "main.py").resolve()) == forwards
    assert forwards.names == {"first"}


def test_a_chain_of_files_is_followed_so_far(tmp_path: Path) -> None:
    files = {"step0.py": LOOP.replace("fit", "step0")}
    for i in range(1, DEEPEST_LINK + 2):
        files[f"step{i}.py"] = f"from step{i - 1} import step{i - 1}\n\n\ndef step{i}(m, x):\n    step{i - 1}(m, x)\n"
    joined(tmp_path, files, "step1.py")
    project = engine.Project(tmp_path)
    reached = [i for i in range(1, DEEPEST_LINK + 2) if project.links.into((tmp_path / f"step{i}.py").resolve())]
    assert reached == list(range(1, DEEPEST_LINK + 1))


@pytest.mark.parametrize(
    "text",
    [
        "def fit():\n    LOSS.backward()\n",  # nothing can be handed to it, and it hands nothing back
        "@torch.no_grad()\ndef embed(model, x):\n    return model(x)\n",  # without gradients, and evaluates nothing
        "def probabilities(x):\n    return x.softmax(1)\n",
        "import pytest\n\n\ndef fit(x):\n    x.backward()\n",
    ],
)
def test_what_acts_on_nothing_is_not_joined(text: str, tmp_path: Path) -> None:
    assert not joined(tmp_path, {"other.py": text, "main.py": "from other import *\nimport other\n"})


def test_a_loop_that_evaluates_is_joined(tmp_path: Path) -> None:
    text = "@torch.no_grad()\ndef evaluate(model, loader):\n    for x in loader:\n        print(model(x))\n"
    assert joined(tmp_path, {"loops.py": text, "main.py": "from loops import evaluate\n"}).names == {"evaluate"}


def test_subclasses_of_what_acts_are_known(tmp_path: Path) -> None:
    base = "class Trainer:\n    def fit(self, x):\n        self.loss(x).backward()\n\n\n"
    files = {"base.py": base, "main.py": "import base\nfrom base import Trainer as T\n"}
    assert joined(tmp_path, files).bases == {"base.Trainer", "T"}


def test_what_the_tables_know_is_not_looked_for_in_the_project(tmp_path: Path) -> None:
    """Examples of scikit-learn, in its own repository, import from the library that the tables describe."""
    splits = "def train_test_split(*arrays):\n    return fit_transform(arrays)\n"
    files = {
        "sklearn/__init__.py": "",
        "sklearn/model_selection.py": splits + "\n\ndef own_split(*arrays):\n    return train_test_split(*arrays)\n",
        "main.py": "from sklearn.model_selection import own_split, train_test_split\n",
    }
    assert joined(tmp_path, files).names == {"own_split"}


# --- shapes ---

LAYERS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64, 10)
"""
ALIAS = "from jaxtyping import Float\nX = Float\n"


@pytest.mark.parametrize(
    ("main", "names", "is_joined"),
    [
        ("from net import Net\n\n\ndef main():\n    Net()\n", {"Net"}, True),
        ("import net as n\n\n\nif __name__ == '__main__':\n    n.Net()\n", set(), True),
        ("from other import Net\n\n\ndef main():\n    Net()\n", set(), False),
    ],
)
def test_for_shapes_a_file_is_joined_to_whatever_stands_at_the_top_of_another(
    main: str, names: set[str], is_joined: bool, tmp_path: Path
) -> None:
    joined(tmp_path, {"net.py": LAYERS + "\n\nWIDTH: int = 64\n", "main.py": main})
    found = engine.Project(tmp_path).shape_links.into((tmp_path / "main.py").resolve())
    assert found.names == names
    assert bool(found) is is_joined


@pytest.mark.parametrize(
    ("files", "follows"),
    [
        ({"main.py": LAYERS}, False),
        ({"main.py": LAYERS + "\n\ndef main():\n    Net()\n"}, True),
        ({"main.py": LAYERS + "\n\ndef step(loss):\n    loss.backward()\n"}, True),
        ({"main.py": LAYERS + "\n\nclass Round(Function):\n    def backward(self, grad):\n        return grad\n"}, False),
        ({"main.py": LAYERS + '\n\ndef loss():\n    """A loss.\n\n    >>> loss().backward()\n    """\n'}, False),
        ({"main.py": LAYERS + "\n\nNet()(torch.rand(2, 4))\n"}, True),
        ({"main.py": LAYERS + "\n\nx = np.random.rand(2, 4)\n"}, True),
        ({"main.py": LAYERS + "\n\ndef made(x=torch.zeros(1)):\n    return x + torch.ones(1)\n"}, False),
        ({"main.py": ALIAS + LAYERS}, True),
        ({"types_.py": ALIAS, "main.py": "from types_ import X\n" + LAYERS}, True),
        ({"types_.py": ALIAS, "p.py": "from types_ import X\n", "main.py": "from p import X\n"}, True),
        ({"types_.py": "X = 1\n", "main.py": "from types_ import X\n" + LAYERS}, False),
    ],
)
def test_shapes_come_from_data_and_from_annotations(files: dict[str, str], follows: bool, tmp_path: Path) -> None:
    joined(tmp_path, files)
    file = (tmp_path / "main.py").resolve()
    source = read(file)
    assert isinstance(source, Source)
    assert engine.Project(tmp_path).shape_links.follows_data(source, file) is follows
