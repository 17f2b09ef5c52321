"""A rule's page is its docstring: this module only sets it as markdown, or as text for a terminal."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from mldbg.lint import registry
from mldbg.lint.rule import Rule

SECTIONS = ("Why", "Bad", "Good", "Limits")
EXAMPLES = ("Bad", "Good")

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_GENERATED = "<!-- generated from the docstring of the rule by `make docs`; do not edit -->"


def summary(rule: type[Rule]) -> str:
    """The claim with which the docstring opens, on one line."""
    return " ".join(_parts(rule)[0].split())


def sections(rule: type[Rule]) -> dict[str, str]:
    """The text under each heading, in the order of the docstring; examples without their indentation."""
    _, *rest = _parts(rule)
    texts = dict(zip(rest[::2], rest[1::2], strict=True))
    return {title: _code(text) if title in EXAMPLES else text.strip() for title, text in texts.items()}


def render(rule: type[Rule]) -> str:
    """The page as markdown."""
    return f"{_GENERATED}\n\n# {rule.name}\n\n{standing(rule)}\n\n{body(rule)}"


def body(rule: type[Rule]) -> str:
    """The page as markdown, without its title."""
    parts = [summary(rule) + "."]
    for title, text in sections(rule).items():
        parts += [f"## {title}", f"```python\n{text}\n```" if title in EXAMPLES else text]
    return "\n\n".join(parts) + "\n"


def explain(rule: type[Rule]) -> str:
    """The page for a terminal: examples stay indented."""
    parts = [rule.name, standing(rule), summary(rule) + "."]
    for title, text in sections(rule).items():
        parts += [title, textwrap.indent(text, "    ") if title in EXAMPLES else text]
    return "\n\n".join(parts) + "\n"


def standing(rule: type[Rule]) -> str:
    """Group and default of a rule in one line."""
    default = "on by default" if registry.is_on(rule) else f"opt in with `--select {rule.group.value}`"
    return f"Group {rule.group.value}, {default}."


def write(rules: Sequence[type[Rule]], folder: Path) -> None:
    """Write all pages into a folder, and remove the pages of rules that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    pages = {f"{rule.name}.md": render(rule) for rule in rules}
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    for page in folder.glob("*.md"):
        if page.name not in pages:
            page.unlink()


def _parts(rule: type[Rule]) -> list[str]:
    """What precedes the first heading, then heading and text by turns."""
    return _HEADING.split(inspect.cleandoc(rule.__doc__ or ""))


def _code(text: str) -> str:
    return textwrap.dedent(text.strip("\n")).rstrip()


if __name__ == "__main__":
    import mldbg.lint.rules

    write((*registry.built_in(mldbg.lint.rules), *registry.about_comments()), Path(sys.argv[1]))
