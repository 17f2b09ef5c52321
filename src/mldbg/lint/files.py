"""Files: which ones to check, and what is in them. The only module that reads and writes source files."""

from __future__ import annotations

import io
import os
import re
import stat
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from mldbg.lint import ipynb, notebook
from mldbg.lint.finding import Problem
from mldbg.lint.notebook import NotANotebookError, Notebook
from mldbg.lint.patterns import spec, spec_of_valid

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

    from mldbg.lint.config import Config

# Generated tables pass this size, code written by people does not: the largest file in CPython's standard library has 0.3 MB.
SIZE_LIMIT = 2_000_000

# Of a notebook only the code is measured by the limit above. Pictures make the rest large; GitHub takes no file beyond this.
NOTEBOOK_SIZE_LIMIT = 100_000_000

NEVER_ENTERED = frozenset(
    {
        ".bzr", ".direnv", ".eggs", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pants.d", ".pytest_cache",
        ".pytype", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode", "__pycache__", "__pypackages__", "_build", "build",
        "dist", "node_modules", "site-packages", "venv",
    }
)  # fmt: skip

NOTEBOOK = ".ipynb"

# What Python code and notebooks are called. A script may have no suffix at all, or any if its first line names Python.
SUFFIXES = frozenset({"", ".py", ".pyi", ".pyw", ".wsgi", NOTEBOOK})

_SHEBANG = re.compile(rb"#!.*\bpython")
_NEWLINE = re.compile(r"\r\n|\r|\n")


class UndecodableError(Exception):
    """The bytes of a file are not text in the encoding that it declares."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file as it is on disk. `path` is how reports print it; `file` is None for standard input.

    Of a notebook `data` is its code, all cells as one module, and `notebook` the way back to cells and file.
    """

    path: str
    file: Path | None
    data: bytes
    notebook: Notebook | None = None

    @property
    def text(self) -> str:
        """The decoded file, line ends as they are, without a byte order mark. May raise `UndecodableError`."""
        return decoded(self.data)

    def holding(self, text: str) -> Source | None:
        """The same file with another text; None where it is a notebook that cannot take it."""
        if self.notebook is not None and self.notebook.sources(text) is None:
            return None
        return replace(self, data=encoded(text, like=self.data))

    def contents(self, text: str) -> bytes:
        """The bytes of the file with another text, which it can take."""
        if self.notebook is None:
            return encoded(text, like=self.data)
        changed = self.notebook.contents(text)
        assert changed is not None  # see `holding`
        return changed


@dataclass(frozen=True, slots=True, order=True)
class Foreign:
    """A notebook that is not checked because its kernel runs another language."""

    path: str
    language: str


@lru_cache(maxsize=16)
def decoded(data: bytes) -> str:
    """Source text by the rules of PEP 263: a byte order mark, a coding comment, else UTF-8."""
    encoding = _encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UndecodableError(f"line {line} is not valid {_spoken(encoding)}") from None
    except (LookupError, UnicodeError):
        raise UndecodableError(f"declares {encoding}, which is not a text encoding") from None


def encoded(text: str, like: bytes) -> bytes:
    """Text in the encoding, and with the byte order mark, of the file that it came from."""
    return text.encode(_encoding(like))


def _encoding(data: bytes) -> str:
    try:
        return tokenize.detect_encoding(io.BytesIO(data).readline)[0]
    except SyntaxError as error:
        unreadable = str(error).startswith("invalid or missing")
        raise UndecodableError("one of the first two lines is not valid UTF-8" if unreadable else f"has an {error}") from None


def _spoken(encoding: str) -> str:
    return {"utf-8": "UTF-8", "utf-8-sig": "UTF-8"}.get(encoding, encoding)


def lines(text: str) -> list[str]:
    """The lines as Python counts them: form feeds and Unicode separators end none."""
    return _NEWLINE.split(text)


def displayed(path: Path) -> str:
    """A path as reports print it: relative to the working directory where it lies below, with forward slashes."""
    absolute = os.path.abspath(path)  # noqa: PTH100  # Path.absolute() keeps "..", resolve() follows links
    here = os.path.join(os.getcwd(), "")  # noqa: PTH109, PTH118  # as text: it is asked for each file
    return absolute.removeprefix(here).replace(os.sep, "/")


def iterate(paths: Iterable[Path], config: Config) -> Iterator[Source | Problem | Foreign]:
    """All files to check, read one at a time, in the order of their paths."""
    for found in discover(paths, config).files:
        yield found if isinstance(found, Problem) else read(found)


def read(file: Path) -> Source | Problem | Foreign:
    """The content of one file, or why there is none that can be checked."""
    path = displayed(file)
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            return Problem(path, 0, "is not a regular file; not checked")
        if state.st_size > _limit(path):
            return _too_large(path, state.st_size)
        data = file.read_bytes()
    except OSError as error:
        return Problem(path, 0, f"cannot be read: {_reason(error)}")
    return admitted(Source(path, file, data))


def admitted(source: Source) -> Source | Problem | Foreign:
    """The same source when it is text of a reasonable size, else the reason why it is not. A notebook is opened."""
    if len(source.data) > _limit(source.path):
        return _too_large(source.path, len(source.data))
    return _admitted_notebook(source) if is_notebook(source.path) else _admitted_text(source)


def is_notebook(path: str) -> bool:
    """Whether a file is a notebook, by its name."""
    return path.lower().endswith(NOTEBOOK)


def _admitted_notebook(source: Source) -> Source | Problem | Foreign:
    try:
        found = notebook.opened(source.data)
    except NotANotebookError as error:
        return Problem(source.path, error.line, f"{error}; not checked")
    if not ipynb.is_python(found.language):
        return Foreign(source.path, found.language)
    code = found.module.encode()
    if len(code) > SIZE_LIMIT:
        return _too_large(source.path, len(code))
    if b"\0" in code:
        return found.layout().problem(Problem(source.path, _line_of_null(code), "contains a null byte; not checked"))
    return Source(source.path, source.file, code, found)


def _admitted_text(source: Source) -> Source | Problem:
    if b"\0" in source.data:
        return Problem(
            source.path, 0, f"line {_line_of_null(source.data)} contains a null byte, so this is not Python source; not checked"
        )
    if not source.data.isascii() or _may_declare_encoding(source.data):
        try:
            decoded(source.data)
        except UndecodableError as error:
            return Problem(source.path, 0, f"{error}; not checked")
    return source


def _may_declare_encoding(data: bytes) -> bool:
    """Whether one of the first two lines may be a coding comment."""
    end = data.find(b"\n", data.find(b"\n") + 1)
    return data.find(b"coding", 0, end if end >= 0 else len(data)) >= 0


def write(source: Source, text: str) -> Problem | None:
    """Put new text into the file of a source; a problem when that fails."""
    if source.file is None:
        return None
    try:
        source.file.write_bytes(source.contents(text))
    except OSError as error:
        return Problem(source.path, 0, f"cannot be written: {_reason(error)}")
    return None


def _limit(path: str) -> int:
    return NOTEBOOK_SIZE_LIMIT if is_notebook(path) else SIZE_LIMIT


def _too_large(path: str, size: int) -> Problem:
    limit = NOTEBOOK_SIZE_LIMIT if size > NOTEBOOK_SIZE_LIMIT else SIZE_LIMIT
    return Problem(path, 0, f"file too large ({size / 1e6:.1f} MB, limit {limit / 1e6:.0f} MB); not checked")


def _line_of_null(data: bytes) -> int:
    return data.count(b"\n", 0, data.index(b"\0")) + 1


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


@lru_cache(maxsize=4096)
def is_installed_packages(folder: Path) -> bool:
    """Whether a folder is one that an installer fills: many projects lie in it side by side."""
    if folder.name in ("site-packages", "dist-packages"):
        return True
    return len(list(islice(folder.glob("*.dist-info"), 2))) == 2


# --- which files ---


@dataclass(frozen=True, slots=True)
class Found:
    """What the paths that a user named hold.

    Attributes:
        files: the files to check, and what cannot be looked at, in the order of their paths.
        excluded: whether something is left out because the configuration says so.
    """

    files: tuple[Path | Problem, ...]
    excluded: bool


def discover(paths: Iterable[Path], config: Config) -> Found:
    """The files named, and the Python files and notebooks in the folders named: once each.

    `exclude` of the configuration holds for everything; `.gitignore` and the folders that are never entered (virtual
    environments among them, whatever they are called) hold only for what a walk finds, so that naming a file always reaches
    it. Links to folders are followed, after all real folders.
    """
    excluded = excluder(config)
    files: dict[str, Path] = {}
    problems: list[Problem] = []
    for path in paths:
        for found in _named(path, excluded):
            if isinstance(found, Problem):
                problems.append(found)
            else:
                _keep_real(files, found)
    by_path: list[tuple[str, Path | Problem]] = [(displayed(file), file) for file in files.values()]
    by_path += [(problem.path, problem) for problem in dict.fromkeys(problems)]
    in_order = tuple(found for _, found in sorted(by_path, key=lambda pair: pair[0]))
    return Found(in_order, excluded.fired)


def around(folders: Iterable[Path], config: Config, most: int) -> Iterator[Path]:
    """The files in some folders and below that could be checked, one folder after the other, each file once.

    What a walk leaves out is left out here, too; it ends when so many entries were passed.
    """
    walk = _Walk(excluder(config), most)
    for folder in folders:
        yield from (path for path in walk.walk(folder) if isinstance(path, Path))


def excluder(config: Config) -> _Excluder:
    """A test for the `exclude` patterns of the configuration."""
    return _Excluder(config.root, config.exclude)


class _Excluder:
    def __init__(self, root: Path, patterns: tuple[str, ...]) -> None:
        self.root = root
        self.spec = spec(patterns) if patterns else None
        self.fired = False
        """Whether it said yes to anything so far."""

    def __call__(self, path: Path) -> bool:
        matched = self.spec is not None and matches(self.spec, self.root, path)
        self.fired = self.fired or matched
        return matched


def matches(spec: GitIgnoreSpec, root: Path, path: Path) -> bool:
    """Whether a path, or a folder above it, matches patterns that are relative to a root."""
    try:
        relative = Path(os.path.abspath(path)).relative_to(root)  # noqa: PTH100  # see `displayed`
    except ValueError:
        return False
    return spec.match_file(relative.as_posix()) or spec.match_file(relative.as_posix() + "/")


def _keep_real(files: dict[str, Path], file: Path) -> None:
    """Of several names of one file keep the one that is no link, else the first."""
    real = os.path.realpath(file)
    if real not in files or (files[real].is_symlink() and not file.is_symlink()):
        files[real] = file


def _named(path: Path, excluded: _Excluder) -> Iterator[Path | Problem]:
    shown = displayed(path)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        yield Problem(shown, 0, f"cannot be read: {_reason(error)}")
        return
    if stat.S_ISDIR(mode):
        yield from _Walk(excluded).walk(path)
    elif not excluded(path):
        known = not stat.S_ISREG(mode) or path.suffix.lower() in SUFFIXES or _says_python(path)
        yield path if known else Problem(shown, 0, "is neither Python code nor a notebook, by its name; not checked")


def _says_python(script: Path) -> bool:
    """Whether the first line of a script says that Python runs it."""
    try:
        with script.open("rb") as file:
            return _SHEBANG.match(file.readline(200)) is not None
    except OSError:
        return True  # why it cannot be read is said by `read`


@dataclass(frozen=True, slots=True)
class _Ignore:
    """The patterns of one `.gitignore`."""

    folder: Path
    spec: GitIgnoreSpec


class _Walk:
    """A walk below folders; remembers which it has seen, because links may lead to them again.

    `most`: entries of folders after which it ends.
    """

    def __init__(self, excluded: _Excluder, most: int = sys.maxsize) -> None:
        self.excluded = excluded
        self.left = most
        self.seen: set[str] = set()
        self.links: list[tuple[Path, tuple[_Ignore, ...]]] = []

    def walk(self, top: Path) -> Iterator[Path | Problem]:
        top = Path(os.path.abspath(top))  # noqa: PTH100  # see `displayed`
        if self.excluded(top):
            return
        yield from self._folder(top, _ignores_above(top))
        while self.links:
            link, ignores = self.links.pop(0)
            yield from self._link(link, ignores)

    def _link(self, link: Path, ignores: tuple[_Ignore, ...]) -> Iterator[Path | Problem]:
        target = os.path.realpath(link)
        if os.path.realpath(link.parent).startswith(os.path.join(target, "")) or os.path.realpath(link.parent) == target:  # noqa: PTH118
            yield Problem(displayed(link), 0, f"symlink loop back to {displayed(Path(target))}; skipped")
        elif target not in self.seen:
            yield from self._folder(link, ignores)

    def _folder(self, folder: Path, ignores: tuple[_Ignore, ...]) -> Iterator[Path | Problem]:
        real = os.path.realpath(folder)
        if real in self.seen:
            return
        self.seen.add(real)
        try:
            with os.scandir(folder) as found:
                entries = sorted(islice(found, self.left), key=lambda entry: entry.name)
        except OSError as error:
            yield Problem(displayed(folder), 0, f"cannot be read: {_reason(error)}")
            return
        self.left -= len(entries)
        if any(entry.name == ".gitignore" for entry in entries):
            ignores = (*ignores, *_ignore_in(folder))
        for entry in entries:
            yield from self._entry(entry, ignores)

    def _entry(self, entry: os.DirEntry[str], ignores: tuple[_Ignore, ...]) -> Iterator[Path | Problem]:
        path = Path(entry.path)
        try:
            is_folder = entry.is_dir()
        except OSError:  # a link that leads to itself
            is_folder = False
        if is_folder and not _is_of_others(path) and not self._left_out(path, ignores, is_folder=True):
            if entry.is_symlink():
                self.links.append((path, ignores))
            else:
                yield from self._folder(path, ignores)
        elif (
            not is_folder
            and entry.name.lower().endswith((".py", NOTEBOOK))
            and not self._left_out(path, ignores, is_folder=False)
        ):
            yield path

    def _left_out(self, path: Path, ignores: tuple[_Ignore, ...], *, is_folder: bool) -> bool:
        return self.excluded(path) or _ignored(path, ignores, is_folder=is_folder)


def _is_of_others(folder: Path) -> bool:
    """Whether a folder holds what tools made or installed: known by its name, or by what marks a virtual environment."""
    return folder.name in NEVER_ENTERED or (folder / "pyvenv.cfg").is_file() or (folder / "conda-meta").is_dir()


def _ignored(path: Path, ignores: tuple[_Ignore, ...], *, is_folder: bool) -> bool:
    """Git's rule: the deepest file with a matching pattern decides."""
    for ignore in reversed(ignores):
        relative = path.relative_to(ignore.folder).as_posix() + ("/" if is_folder else "")
        decision = ignore.spec.check_file(relative).include
        if decision is not None:
            return decision
    return False


def _ignores_above(top: Path) -> tuple[_Ignore, ...]:
    """The `.gitignore` files between the git root and a folder, outermost first; none outside a repository."""
    if (top / ".git").exists():
        return ()
    above = []
    for folder in top.parents:
        above.append(folder)
        if (folder / ".git").exists():
            return tuple(ignore for each in reversed(above) for ignore in _ignore_in(each))
    return ()


def _ignore_in(folder: Path) -> tuple[_Ignore, ...]:
    try:
        text = (folder / ".gitignore").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ()
    return (_Ignore(folder, spec_of_valid(text.splitlines())),)
