"""Count findings on pinned releases of real projects, and compare them with the verdicts in docs/ecosystem.md.

Everything is kept in `.ecosystem/`: the archives, the unpacked trees, and `findings.json`. No code of a project is run.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pathspec import GitIgnoreSpec

from mldbg.lint import engine, files, gate, registry, report, run, syntax
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.rule import Rule
from mldbg.lint.run import Task
from mldbg.lint.triggers import TRIGGERS

HOME = Path(__file__).resolve().parent.parent
STORE = HOME / ".ecosystem"
VERDICTS = HOME / "docs" / "ecosystem.md"
DEEPEST_FRAMES = 5
"""How much of a traceback is shown."""


# ------------------------------------------------------------------------------------------------------------------ releases
@dataclass(frozen=True, slots=True)
class Release:
    """One project at one version; the source archive where it holds tests or examples that the wheel has not."""

    name: str
    version: str
    archive: str

    @property
    def tree(self) -> Path:
        """Where it is unpacked."""
        return STORE / f"{self.name}-{self.version}"


RELEASES = (
    Release("accelerate", "1.15.0", "sdist"),
    Release("catalyst", "22.4", "wheel"),
    Release("darts", "0.48.1", "wheel"),
    Release("diffusers", "0.42.1", "wheel"),
    Release("fastai", "2.8.12", "wheel"),
    Release("gluonts", "0.17.0", "sdist"),
    Release("imbalanced-learn", "0.14.2", "sdist"),
    Release("kornia", "0.9.0", "wheel"),
    Release("lightning", "2.6.6", "wheel"),
    Release("monai", "1.6.1", "wheel"),
    Release("peft", "0.21.2", "sdist"),
    Release("pytorch-forecasting", "1.8.0", "wheel"),
    Release("pytorch-lightning", "2.6.6", "wheel"),
    Release("pytorch-metric-learning", "2.9.0", "wheel"),
    Release("scikit-learn", "1.9.1", "sdist"),
    Release("segmentation-models-pytorch", "0.6.0", "sdist"),
    Release("sentence-transformers", "6.2.0", "sdist"),
    Release("skorch", "1.4.0", "sdist"),
    Release("timm", "1.0.31", "sdist"),
    Release("torchmetrics", "1.9.0", "wheel"),
    Release("torchvision", "0.29.1", "wheel"),
    Release("transformers", "5.23.0", "wheel"),
)

# pip asks the build backend of a source archive for its metadata, although the archive holds them. These modules take the
# place of the backends and answer with what is there: nothing is built, no backend is installed, no setup.py runs.
BACKENDS = ("mesonpy", "hatchling.build", "flit_core.buildapi", "pdm.backend", "poetry.core.masonry.api", "setuptools.build_meta")
BACKEND = """\
import email
import pathlib
import sys


def prepare_metadata_for_build_wheel(folder, config_settings=None):
    text = pathlib.Path("PKG-INFO").read_bytes()
    known = email.message_from_bytes(text)
    name = f"{known['Name'].replace('-', '_')}-{known['Version']}.dist-info"
    target = pathlib.Path(folder, name)
    target.mkdir()
    target.joinpath("METADATA").write_bytes(text)
    return name


__legacy__ = sys.modules[__name__]
"""


def fetch(release: Release) -> Path:
    """The unpacked tree of a release, downloaded on first use."""
    if not release.tree.is_dir():
        archive = _archived(release) or _downloaded(release)
        print(f"unpacking {archive.name}", file=sys.stderr)
        fresh = STORE / "unpacking"
        shutil.rmtree(fresh, ignore_errors=True)
        _unpack(archive, fresh)
        inner = list(fresh.iterdir()) if release.archive == "sdist" else [fresh]
        inner[0].rename(release.tree)
        shutil.rmtree(fresh, ignore_errors=True)
    return release.tree


def _unpack(archive: Path, folder: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(folder)
    else:
        with tarfile.open(archive) as sdist:
            sdist.extractall(folder, filter="data")


def _folder(release: Release) -> Path:
    return STORE / "archives" / f"{release.name}-{release.version}-{release.archive}"


def _archived(release: Release) -> Path | None:
    return next(iter(sorted(_folder(release).glob("*"))), None)


def _downloaded(release: Release) -> Path:
    print(f"downloading {release.name} {release.version} ({release.archive})", file=sys.stderr)
    target = _folder(release)
    kind = (
        ["--only-binary=:all:"] if release.archive == "wheel" else ["--no-binary=:all:", "--no-build-isolation", "--use-pep517"]
    )
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    environment = {**os.environ, "PYTHONPATH": str(_backends())} if release.archive == "sdist" else None
    subprocess.run([*pip, *kind, "--dest", str(target), f"{release.name}=={release.version}"], check=True, env=environment)
    archive = _archived(release)
    if archive is None:
        raise SystemExit(f"pip downloaded nothing for {release.name} {release.version}")
    return archive


def _backends() -> Path:
    root = STORE / "backends"
    for name in BACKENDS:
        *packages, module = name.split(".")
        folder = root.joinpath(*packages)
        folder.mkdir(parents=True, exist_ok=True)
        for depth in range(len(packages)):
            root.joinpath(*packages[: depth + 1], "__init__.py").touch()
        (folder / f"{module}.py").write_text(BACKEND, encoding="utf-8")
    return root


# -------------------------------------------------------------------------------------------------------------------- checks
@dataclass(frozen=True, slots=True)
class Checked:
    """What a run over one tree gave."""

    release: Release
    files: int
    lines: int
    passed: int
    accounted: int
    skipped: tuple[str, ...]
    findings: list[dict[str, Any]]
    errors: list[dict[str, Any]]
    tracebacks: tuple[str, ...]
    seconds: float

    @property
    def unaccounted(self) -> int:
        """Files of which the run says nothing at all."""
        return self.files - len(self.skipped) - self.accounted

    @property
    def internal(self) -> int:
        """Errors that are defects of ours."""
        return sum("internal error" in error["message"] for error in self.errors)


def check(release: Release, rules: tuple[type[Rule], ...], jobs: int | None) -> Checked:
    """Check the tree of a release the way the command does in its folder.

    The settings are the default ones, not those of our own pyproject.toml, which lies above `.ecosystem/`.
    """
    tree = fetch(release)
    (tree / ".git").mkdir(exist_ok=True)  # a project of its own: our .gitignore, which leaves `.ecosystem/` out, ends here
    os.chdir(tree)
    found = sorted(_files(Path(), "*.py"))
    ignored = _ignored_by(Path(".gitignore"))
    skipped = tuple(path for path in found if ignored(path))
    notebooks = sum(not ignored(path) for path in _files(Path(), "*.ipynb"))
    contents = {path: Path(path).read_bytes() for path in found}
    task = Task(Config(root=tree), rules, registry.rules())
    start = time.perf_counter()
    result = run.check_files([Path()], task, jobs)
    seconds = time.perf_counter() - start
    shown = json.loads(report.render("json", result, rules))
    failed = {error["path"] for error in shown["errors"]}
    return Checked(
        release=release,
        files=len(found),
        lines=sum(data.count(b"\n") for data in contents.values()),
        passed=sum(bool(gate.present(data, TRIGGERS)) for data in contents.values()),
        accounted=result.checked + len(failed) - notebooks,
        skipped=skipped,
        findings=shown["findings"],
        errors=shown["errors"],
        tracebacks=tuple(_tracebacks(shown["errors"], task)),
        seconds=seconds,
    )


def _files(folder: Path, pattern: str) -> Iterator[str]:
    return (path.as_posix() for path in folder.rglob(pattern) if path.is_file())


def _ignored_by(gitignore: Path) -> Callable[[str], bool]:
    """Whether the command leaves a file out: it lies in a folder that is never entered, or the project does not keep it."""
    lines = gitignore.read_text(encoding="utf-8").splitlines() if gitignore.is_file() else []
    kept_out = GitIgnoreSpec.from_lines(lines)
    return lambda path: not files.NEVER_ENTERED.isdisjoint(Path(path).parts) or kept_out.match_file(path)


def _tracebacks(errors: Iterable[dict[str, Any]], task: Task) -> Iterator[str]:
    """What the command hides from users: where our own defects happened."""
    for path in dict.fromkeys(error["path"] for error in errors if "internal error" in error["message"]):
        source = files.read(Path(path))
        if isinstance(source, Source):
            try:
                engine.check(source, task.rules, task.project())
                syntax.problem(source)
            except Exception:  # noqa: BLE001  # this is what is looked for
                yield f"{path}\n{traceback.format_exc(limit=-DEEPEST_FRAMES)}"


# ------------------------------------------------------------------------------------------------------------------ verdicts
@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """A finding as the table of verdicts names it."""

    package: str
    place: str
    rule: str

    def __str__(self) -> str:
        return f"{self.package}: {self.place} {self.rule}"


def hits(results: Iterable[Checked], rules: Sequence[type[Rule]]) -> Counter[Hit]:
    """The findings of some rules."""
    names = {rule.name for rule in rules}
    return Counter(
        Hit(result.release.name, f"{finding['path']}:{finding['line']}", finding["rule"])
        for result in results
        for finding in result.findings
        if finding["rule"] in names
    )


def listed(document: Path, rules: Sequence[type[Rule]], packages: Iterable[str]) -> Counter[Hit]:
    """The rows `| package | file:line | rule | verdict | why |` of a document that are about some rules and packages."""
    if not document.is_file():
        return Counter()
    names, wanted = {rule.name for rule in rules}, set(packages)
    rows = (_cells(line) for line in document.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("|"))
    return Counter(Hit(row[0], row[1], row[2]) for row in rows if len(row) > 3 and row[0] in wanted and row[2] in names)


def _cells(line: str) -> list[str]:
    cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
    return [re.sub(r"^\[(.*)\]\(.*\)$", r"\1", cell.strip()).strip("`") for cell in cells]


# -------------------------------------------------------------------------------------------------------------------- output
def show(results: Sequence[Checked]) -> None:
    """The table of all packages, and what deserves a look."""
    columns = ("package", "files", "lines", "passed gate", "findings", "errors", "seconds")
    rows = [
        (
            f"{result.release.name} {result.release.version}",
            str(result.files),
            f"{result.lines:,}",
            str(result.passed),
            str(len(result.findings)),
            str(len(result.errors)),
            f"{result.seconds:.1f}",
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in (columns, *rows)) for column in range(len(columns))]
    for row in (columns, *rows):
        cells = [
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
    for result in results:
        _show_details(result)


def _show_details(result: Checked) -> None:
    print(f"\n{result.release.name}")
    for rule, count in Counter(finding["rule"] for finding in result.findings).most_common():
        print(f"  {count:5}  {rule}")
    for error in result.errors:
        print(f"  error  {error['path']}:{error['line']}: {error['message']}")
    if result.skipped:
        print(f"  {len(result.skipped)} files that the project ignores, or in folders never entered, such as {result.skipped[0]}")
    if result.unaccounted:
        print(f"  {result.unaccounted} FILES UNACCOUNTED FOR")
    for text in result.tracebacks:
        print(f"\n{text}")


def compare(found: Counter[Hit], known: Counter[Hit]) -> bool:
    """Show how the findings differ from the listed ones; whether they do not."""
    for title, difference in (("not listed in", found - known), ("gone, but listed in", known - found)):
        if difference:
            print(f"\n{title} {VERDICTS.relative_to(HOME).as_posix()}:")
            for hit in sorted(difference.elements()):
                print(f"  {hit}")
    return found == known


def save(results: Iterable[Checked]) -> Path:
    """Write everything that was found."""
    target = STORE / "findings.json"
    content = {
        result.release.name: {"version": result.release.version, "findings": result.findings, "errors": result.errors}
        for result in results
    }
    target.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [release.name for release in RELEASES]
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help=f"only these of: {', '.join(names)}")
    parser.add_argument("--all", action="store_true", help="run all rules, not only those that are on by default")
    parser.add_argument("--jobs", type=int, help="number of processes")
    parser.add_argument("--fetch", action="store_true", help="only download and unpack, and print where")
    options = parser.parse_args()
    unknown = sorted(set(options.packages) - set(names))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    chosen = [release for release in RELEASES if release.name in (options.packages or names)]
    STORE.mkdir(exist_ok=True)
    if options.fetch:
        for release in chosen:
            print(fetch(release))
        return 0
    gc.set_threshold(100_000)  # as the command does
    known = registry.rules()
    default = registry.selected(known, (), ())
    results = []
    for release in chosen:
        print(f"checking {release.name}", file=sys.stderr)
        results.append(check(release, known if options.all else default, options.jobs))
    show(results)
    print(f"\nwritten: {save(results).relative_to(HOME).as_posix()}")
    same = compare(hits(results, default), listed(VERDICTS, default, (release.name for release in chosen)))
    complete = not any(result.unaccounted or result.internal for result in results)
    return 0 if same and complete else 1


if __name__ == "__main__":
    sys.exit(main())
