"""Importers: the files of a project that use those that a user named, found without checking the whole project.

A pre-commit hook names the files of a commit. What is wrong with a model may only show where another file trains it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from mldbg.lint import files
from mldbg.lint.config import Config
from mldbg.lint.files import Source
from mldbg.lint.links import Links
from mldbg.lint.surveys import DEEPEST_LINK, Surveys

MOST_NAMED = 100
"""Files that a user may name for their importers to be looked for: whoever names more checks most of the project anyway."""

MOST_ENTRIES = 30_000
"""Files and folders of any kind that are passed in search of a project's Python files."""

MOST_SEARCHED = 3_000
"""Files that are searched for imports of those that were named, the nearest first."""

MOST_BYTES = 30_000_000
"""Bytes of them, and as many of notebooks, whose pictures must not keep files from being searched."""

MOST_FOLLOWED = 30
"""Importers that are checked, too, those with the fewest files between first."""

_RELATIVE = rb"from\s+\.+\s+import"


def importers_of(named: Sequence[Path], config: Config, surveys: Surveys, graphs: Sequence[Links]) -> list[Path]:
    """The files that lead to any of the named ones through their imports, and in which something is worth executing.

    Args:
        named: files that a user named, all of which are checked themselves.
        config: says where the project begins, and what it leaves out.
        surveys: say where imports lead.
        graphs: say what is worth executing.
    """
    if not named or len(named) > MOST_NAMED:
        return []
    found: list[Path] = []
    level = {file.resolve() for file in named}
    texts = _texts_around(level, config)
    for _ in range(DEEPEST_LINK):
        mention = _mention(level)
        using = [file for file, data in texts.items() if mention.search(data) and not level.isdisjoint(surveys.leads_to(file))]
        level = set(using)
        texts = {file: data for file, data in texts.items() if file not in level}
        found += [file for file in using if any(graph.is_of_interest(file) for graph in graphs)]
        if not level or len(found) >= MOST_FOLLOWED:
            break
    return found[:MOST_FOLLOWED]


def has_importers_besides(
    executed: Collection[str], file: Path, config: Config, surveys: Surveys, graphs: Sequence[Links]
) -> bool:
    """Whether more files lead to one than those that are executed, given by the paths that reports print."""
    found = importers_of([file], config, surveys, graphs)
    return len(found) == MOST_FOLLOWED or any(files.displayed(each) not in executed for each in found)


def _texts_around(named: set[Path], config: Config) -> dict[Path, bytes]:
    """The other files of the project and what is in them, the nearest to those that were named first."""
    texts: dict[Path, bytes] = {}
    left = {True: MOST_BYTES, False: MOST_BYTES}
    for file in islice(files.around(_outwards(named, config.root.resolve()), config, MOST_ENTRIES), MOST_SEARCHED):
        is_notebook = files.is_notebook(file.name)
        size = _size(file)
        if size > left[is_notebook]:
            continue
        left[is_notebook] -= size
        source = files.read(file) if file not in named else None
        if isinstance(source, Source):
            texts[file] = source.data
    return texts


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _outwards(named: set[Path], root: Path) -> Iterator[Path]:
    """The folders of some files, then those that hold these, up to the project's root."""
    level = sorted({file.parent for file in named})
    while level:
        yield from level
        level = sorted({folder.parent for folder in level if folder != root and folder.is_relative_to(root)})


def _mention(modules: Iterable[Path]) -> re.Pattern[bytes]:
    """Matches in every text that imports one of these files."""
    names: set[bytes] = set()
    for path in modules:
        is_package = path.name == "__init__.py"
        names.add(re.escape((path.parent.name if is_package else path.stem).encode()))
        names.update({_RELATIVE} if is_package else ())
    return re.compile(rb"\b(?:" + b"|".join(sorted(names)) + rb")\b")
