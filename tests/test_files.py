import json
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from mldbg.lint import files
from mldbg.lint.config import Config
from mldbg.lint.files import Foreign, Source
from mldbg.lint.finding import Problem


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def made(root: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def found(here: Path, *paths: str, exclude: tuple[str, ...] = ()) -> list[str]:
    return [each.path for each in iterated(here, paths, exclude)]


def iterated(here: Path, paths: Iterable[str], exclude: tuple[str, ...] = ()) -> list[Source | Problem | Foreign]:
    return list(files.iterate([Path(path) for path in paths], Config(root=here, exclude=exclude)))


def only_problem(here: Path, *paths: str) -> Problem:
    [problem] = [each for each in iterated(here, paths) if isinstance(each, Problem)]
    assert "\n" not in problem.message
    return problem


# --- which files ---


def test_folders_are_walked_in_order_and_each_file_is_taken_once(here: Path) -> None:
    made(here, "b.py", "a/z.py", "a/b/c.py", "a/notes.txt")
    assert found(here, ".", "b.py", "a") == ["a/b/c.py", "a/z.py", "b.py"]


@pytest.mark.parametrize("name", ["Explore.IPYNB", "explore.Ipynb"])
def test_the_case_of_a_suffix_does_not_count(here: Path, name: str) -> None:
    cell: dict[str, object] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": "x = 1\n"}
    book = {"cells": [cell], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}
    made(here, name, text=json.dumps(book))
    made(here, "OLD.PY")
    for paths in ((name, "OLD.PY"), (".",)):
        sources = [each for each in iterated(here, paths) if isinstance(each, Source)]
        assert {each.path: each.notebook is not None for each in sources} == {name: True, "OLD.PY": False}


@pytest.mark.parametrize("name", ["data.json", "notes.md", "train.py.orig"])
def test_a_named_file_that_is_no_python_by_its_name_is_a_problem(here: Path, name: str) -> None:
    made(here, name, text="{}\n")
    assert only_problem(here, name).message == "is neither Python code nor a notebook, by its name; not checked"
    assert found(here, ".") == []


@pytest.mark.parametrize(
    ("name", "text"), [("run.cgi", "#!/usr/bin/env python3\n"), ("stub.pyi", "x: int\n"), ("tool.PYW", "x = 1\n")]
)
def test_python_goes_by_other_names_too(here: Path, name: str, text: str) -> None:
    made(here, name, text=text)
    assert [type(each) for each in iterated(here, [name])] == [Source]


def test_a_named_file_needs_no_suffix(here: Path) -> None:
    made(here, "train")
    assert found(here, "train") == ["train"]


@pytest.mark.parametrize("odd", ["!", "\\", "[z-a]", "[[a]"])
def test_a_line_that_git_passes_over_is_passed_over(here: Path, odd: str, recwarn: pytest.WarningsRecorder) -> None:
    made(here, "a.py", "b.py", "pkg/c.py")
    (here / ".gitignore").write_text(f"a.py\n{odd}\npkg\n", encoding="utf-8")
    assert found(here, ".") == ["b.py"]
    assert not recwarn.list


def test_some_folders_are_never_entered(here: Path) -> None:
    made(here, ".venv/a.py", "node_modules/a.py", "build/a.py", "x/__pycache__/a.py", "src/a.py")
    assert found(here, ".") == ["src/a.py"]
    assert found(here, "build") == ["build/a.py"]


def test_virtual_environments_are_never_entered_whatever_they_are_called(here: Path) -> None:
    made(here, "env/pyvenv.cfg", "env/lib/a.py", "tools/conda-meta/history", "tools/b.py", "src/c.py")
    assert found(here, ".") == ["src/c.py"]
    assert found(here, "env") == ["env/lib/a.py"]


def test_a_folder_that_an_installer_fills_is_known_by_its_name_or_by_what_it_leaves_there(here: Path) -> None:
    made(here, "lib/site-packages/a.py", "vendor/a-1.dist-info/RECORD", "vendor/b-1.dist-info/RECORD", "app/a-1.dist-info/RECORD")
    installed = [folder for folder in ("lib/site-packages", "vendor", "app", "lib") if files.is_installed_packages(here / folder)]
    assert installed == ["lib/site-packages", "vendor"]


def test_gitignore_of_every_level_holds_up_to_the_git_root(here: Path) -> None:
    made(here, ".git/HEAD", "repo.py", "out/a.py", "sub/keep_me.py", "sub/drop.py", "sub/deep/gen_x.py", "sub/deep/y.py")
    (here / ".gitignore").write_text("out/\nkeep_*.py\ngen_*.py\n", encoding="utf-8")
    (here / "sub/.gitignore").write_text("!keep_me.py\n/drop.py\n", encoding="utf-8")
    assert found(here, ".") == ["repo.py", "sub/deep/y.py", "sub/keep_me.py"]
    assert found(here, "sub/deep") == ["sub/deep/y.py"]


def test_gitignore_above_the_git_root_is_nobodys_business(here: Path) -> None:
    made(here, "repo/.git/HEAD", "repo/a.py")
    (here / ".gitignore").write_text("*.py\n", encoding="utf-8")
    assert found(here, "repo") == ["repo/a.py"]


def test_a_named_file_is_taken_although_git_ignores_it(here: Path) -> None:
    made(here, "a.py")
    (here / ".gitignore").write_text("a.py\n", encoding="utf-8")
    assert found(here, "a.py") == ["a.py"]


def test_exclude_holds_for_named_files_too(here: Path) -> None:
    made(here, "gen/a.py", "gen/deep/b.py", "c.py", "d_pb2.py")
    assert found(here, ".", "gen/a.py", exclude=("gen/", "*_pb2.py")) == ["c.py"]
    assert found(here, "gen", exclude=("gen",)) == []


def test_links_to_folders_are_followed_and_doubles_are_not(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    made(elsewhere, "far.py")
    made(here, "real/a.py")
    (here / "alias").symlink_to(here / "real")
    (here / "outside").symlink_to(elsewhere)
    (here / "a_link.py").symlink_to(here / "real/a.py")
    assert found(here, ".") == ["outside/far.py", "real/a.py"]


def test_paths_outside_the_working_directory_are_absolute(here: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    made(elsewhere, "far.py")
    assert found(here, str(elsewhere)) == [(elsewhere / "far.py").as_posix()]


# --- what cannot be checked ---


def test_a_missing_path(here: Path) -> None:
    made(here, "ok.py")
    assert only_problem(here, "gone.py", "ok.py") == Problem("gone.py", 0, "cannot be read: no such file or directory")


def test_a_folder_link_that_leads_back(here: Path) -> None:
    made(here, "pkg/a.py")
    (here / "pkg/again").symlink_to(here / "pkg")
    assert found(here, ".") == ["pkg/a.py", "pkg/again"]
    assert only_problem(here, ".").message == "symlink loop back to pkg; skipped"


def test_a_file_link_that_leads_to_itself(here: Path) -> None:
    (here / "me.py").symlink_to(here / "me.py")
    assert "link" in only_problem(here, ".").message
    assert "link" in only_problem(here, "me.py").message


def test_a_dangling_link(here: Path) -> None:
    (here / "gone.py").symlink_to(here / "nowhere.py")
    assert only_problem(here, ".").message == "cannot be read: no such file or directory"


def test_a_null_byte(here: Path) -> None:
    (here / "a.py").write_bytes(b"x = 1\ny = '\0'\n")
    assert only_problem(here, ".").message == "line 2 contains a null byte, so this is not Python source; not checked"


def test_not_utf8(here: Path) -> None:
    (here / "a.py").write_bytes(b"x = 1\ny = 2\nz = '\xff'\n")
    assert only_problem(here, ".").message == "line 3 is not valid UTF-8; not checked"


def test_not_utf8_where_the_coding_comment_is_searched(here: Path) -> None:
    (here / "a.py").write_bytes(b"# caf\xe9\n")
    assert only_problem(here, ".").message == "one of the first two lines is not valid UTF-8; not checked"


@pytest.mark.parametrize(
    ("coding", "message"),
    [
        ("klingon", "has an unknown encoding: klingon; not checked"),
        ("rot13", "declares rot13, which is not a text encoding; not checked"),
    ],
)
def test_a_coding_that_is_none(here: Path, coding: str, message: str) -> None:
    for first in ("", f"# {'x' * 300}\n"):
        (here / "a.py").write_text(f"{first}# coding: {coding}\n", encoding="utf-8")
        assert only_problem(here, ".").message == message


def test_a_generated_file(here: Path) -> None:
    (here / "table.py").write_bytes(b"x = 1\n" * 900_000)
    assert only_problem(here, ".").message == "file too large (5.4 MB, limit 2 MB); not checked"
    assert files.admitted(Source("-", None, b" " * 3_000_000)) == Problem(
        "-", 0, "file too large (3.0 MB, limit 2 MB); not checked"
    )


def test_something_that_is_no_file(here: Path) -> None:
    os.mkfifo(here / "pipe.py")
    assert only_problem(here, ".").message == "is not a regular file; not checked"


def test_a_notebook_that_is_none(here: Path) -> None:
    made(here, "n.ipynb")
    assert only_problem(here, ".") == Problem("n.ipynb", 1, "is not a notebook: invalid JSON (expecting value); not checked")


def test_an_unreadable_file(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(here, "a.py", "b.py")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert list(iterated(here, ["."])) == [
        Problem("a.py", 0, "cannot be read: permission denied"),
        Problem("b.py", 0, "cannot be read: permission denied"),
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder(here: Path) -> None:
    made(here, "shut/a.py", "b.py")
    (here / "shut").chmod(0)
    assert found(here, ".") == ["b.py", "shut"]
    (here / "shut").chmod(0o755)


# --- what is in a file ---


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfx = '\xc3\xa9'\r\n", "x = 'é'\r\n"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "# -*- coding: latin-1 -*-\nx = 'é'\n"),
        ("x = 'é'\n".encode(), "x = 'é'\n"),
        (b"", ""),
    ],
)
def test_text_is_decoded_and_encoded_alike(data: bytes, text: str) -> None:
    assert Source("a.py", None, data).text == text
    assert files.encoded(text, like=data) == data


def test_lines_are_those_of_python() -> None:
    assert files.lines("a\r\nb\x0cc\u2028d\re\nf") == ["a", "b\x0cc\u2028d", "e", "f"]


def test_a_file_that_cannot_be_written_is_a_problem(here: Path) -> None:
    problem = files.write(Source("gone/a.py", here / "gone/a.py", b""), "x = 1\n")
    assert problem == Problem("gone/a.py", 0, "cannot be written: no such file or directory")
