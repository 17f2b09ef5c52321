"""A check's page is its docstring: this module only sets it as markdown."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from mldbg.verify.catalogue import Entry, entries

SECTIONS = ("Why", "Measures", "Causes", "Limits")

_GENERATED = "<!-- generated from the docstring of the check by `make docs`; do not edit -->"


def render(entry: Entry) -> str:
    """The page as markdown."""
    parts = [_GENERATED, f"# {entry.name}", standing(entry), entry.summary + "."]
    for title, text in entry.sections.items():
        parts += [f"## {title}", text]
    return "\n\n".join(parts) + "\n"


def standing(entry: Entry) -> str:
    """Id, stage, kind and needs of a check in one line."""
    needs = f" Needs {' and '.join(f'`{name}`' for name in entry.needs)}." if entry.needs else ""
    return f"{entry.id}, stage {entry.stage.title}, {entry.kind.value}.{needs}"


def write(wanted: Iterable[Entry], folder: Path) -> None:
    """Write all pages into a folder, and remove the pages of checks that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{entry.name}.md": render(entry) for entry in wanted}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    for page in folder.glob("*.md"):
        if page.name not in pages:
            page.unlink()


if __name__ == "__main__":
    write(entries().values(), Path(sys.argv[1]))
