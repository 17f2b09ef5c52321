"""Which versions a project declares, by every kind of file that declares some."""

from pathlib import Path

import pytest

from mldbg.lint.requirements import ANY, Allowed, Requirements

FILES = {
    "requirements.txt": "numpy\ntorch==1.7.1+cu110  # pinned\n-f https://example.org/torch_stable.html\n",
    "requirements-train.txt": "torch [opt] >= 1.7.1, < 1.9 ; python_version < '3.10'\n",
    "requirements/base.txt": "Torch~=1.7.1 --hash=sha256:00\n",
    "pyproject.toml": "[project]\nname = 'x'\ndependencies = ['torch>=1.7.1,!=1.8.0']\n",
    "setup.cfg": "[options]\ninstall_requires =\n    numpy\n    torch>=1.7.1\n",
    "setup.py": "from setuptools import setup\nsetup(install_requires=['numpy', 'torch>=1.7.1,<2'])\n",
    "Pipfile": "[packages]\ntorch = '==1.7.1'\n",
    "environment.yml": "dependencies:\n  - python=3.8\n  - pytorch::pytorch=1.7.1=py3.8_cuda11.0\n  - pip:\n    - wandb\n",
    "environment.yaml": "dependencies:\n  - pip:\n    - torch==1.7.1\n",
    "poetry.lock": '[[package]]\nname = "torch"\nversion = "1.7.1"\ndescription = ""\n',
    "uv.lock": 'version = 1\n\n[[package]]\nname = "torch"\nversion = "1.7.1"\nsource = { registry = "x" }\n',
    "Pipfile.lock": '{"default": {"torch": {"version": "==1.7.1"}}, "develop": {}}',
}


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
def test_each_kind_of_file_is_read(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, FILES[name])
    allowed = Requirements(tmp_path).of("torch", tmp_path / "train.py")
    assert allowed.lowest == (1, 7, 1)
    assert allowed.may_be_older_than((1, 9))
    assert not allowed.may_be_older_than((1, 7))


@pytest.mark.parametrize(
    ("text", "lowest"),
    [
        ("torch = '^1.8'", (1, 8)),
        ("torch = '1.8'", (1, 8)),
        ("torch = {version = '~1.8.1', extras = []}", (1, 8, 1)),
        ("torch = [{version = '1.8.1', python = '<3.9'}, {version = '2.1', python = '>=3.9'}]", (2, 1)),
        ("torch = '*'", None),
        ("torch = {git = 'https://example.org/torch.git'}", None),
    ],
)
def test_tables_of_poetry(tmp_path: Path, text: str, lowest: tuple[int, ...] | None) -> None:
    write(tmp_path, "pyproject.toml", f"[tool.poetry.dependencies]\n{text}\n")
    assert Requirements(tmp_path).of("torch", None).lowest == lowest


def test_a_wheel_says_its_version(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "torch @ https://example.org/whl/torch-1.7.1%2Bcu110-cp38-linux_x86_64.whl\n")
    assert Requirements(tmp_path).of("torch", None).lowest == (1, 7, 1)


def test_old_only_by_an_upper_bound(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "torch<1.9\nscikit-learn<=0.21\n")
    declared = Requirements(tmp_path)
    assert declared.of("torch", None) == Allowed(None, (1, 9))
    assert declared.of("torch", None).may_be_older_than((1, 9))
    assert not declared.of("torch", None).may_be_older_than((1, 8))
    assert declared.of("scikit-learn", None).may_be_older_than((0, 22))


def test_what_nothing_declares_is_new(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "torch\n")
    declared = Requirements(tmp_path)
    assert declared.of("torch", None) == declared.of("transformers", None) == ANY
    assert not ANY.may_be_older_than((9,))


def test_a_lock_file_says_what_is_installed(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[project]\nname = 'x'\ndependencies = ['torch>=1.7']\n")
    write(tmp_path, "uv.lock", FILES["uv.lock"].replace("1.7.1", "2.4.0"))
    assert Requirements(tmp_path).of("torch", None).lowest == (2, 4, 0)


def test_the_nearest_folder_counts(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "torch>=2.6\nnumpy>=1.20\n")
    write(tmp_path, "old/requirements.txt", "torch==1.4\n")
    declared = Requirements(tmp_path)
    assert declared.of("torch", tmp_path / "old" / "lib" / "net.py").lowest == (1, 4)
    assert declared.of("numpy", tmp_path / "old" / "lib" / "net.py").lowest == (1, 20)
    assert declared.of("torch", tmp_path / "new" / "net.py").lowest == (2, 6)


@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_declares_nothing(tmp_path: Path, name: str) -> None:
    write(tmp_path, name, "[[[ \x00 {'torch': ")
    assert Requirements(tmp_path).of("torch", None) == ANY
