"""Write the tables of README.md and docs/architecture.md that the code itself states: rules, and modules with their sentences.

`make docs` runs it. With `--check` it writes nothing, and says which file is stale (exit code 1).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import mldbg.lint.rules
from mldbg.lint import page, registry
from mldbg.lint.rule import Rule, Topic

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "mldbg"
FILES = (ROOT / "README.md", ROOT / "docs" / "architecture.md")

ONE_A_FILE = ("rules", "comment_rules", "checks")
"""Folders in which each module is one rule or check; their pages say more than a sentence could."""

_TABLE = re.compile(
    r"(?P<start><!-- (?P<kind>rules|modules)(?: of (?P<where>[\w/]+))?: .*?-->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def updated(text: str) -> str:
    """The text with every marked table written anew."""
    return _TABLE.sub(lambda match: f"{match['start']}\n{_TABLES[match['kind']](match['where'])}\n{match['end']}", text)


def rules(_where: str) -> str:
    """One row for each rule, by topic."""
    lines = ["| Rule | Fires when |", "|---|---|"]
    known = [*registry.built_in(mldbg.lint.rules), *registry.about_comments()]
    for topic in Topic:
        of_topic = sorted((rule for rule in known if rule.topic is topic), key=lambda rule: rule.name)
        lines += [f"| **{topic.value.capitalize()}** | |", *map(_rule, of_topic)] if of_topic else []
    return "\n".join(lines) + "\n"


def _rule(rule: type[Rule]) -> str:
    note = "" if registry.is_on(rule) else f" (group `{rule.group.value}`, off by default)"
    return f"| [{rule.name}](docs/rules/{rule.name}.md) | {page.summary(rule)}{note} |"


def modules(where: str) -> str:
    """One row for each module below a folder of the package, with the sentence its docstring starts with."""
    rows = [f"| `{file.relative_to(PACKAGE).as_posix()}` | {_sentence(file)} |" for file in _modules(PACKAGE / where)]
    return "\n".join(["| Module | What it holds |", "|---|---|", *rows]) + "\n"


def _modules(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.rglob("*.py"), key=lambda file: (file.parent, file.name)):
        if not file.name.startswith("__") and file.parent.name not in ONE_A_FILE:
            yield file


def _sentence(file: Path) -> str:
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split())


_TABLES: dict[str, Callable[[str], str]] = {"rules": rules, "modules": modules}


def main() -> int:
    """Write the tables, or compare them."""
    stale = [file for file in FILES if updated(file.read_text(encoding="utf-8")) != file.read_text(encoding="utf-8")]
    for file in stale:
        if "--check" in sys.argv:
            print(f"{file.relative_to(ROOT)} is stale: run `make docs`")
        else:
            file.write_text(updated(file.read_text(encoding="utf-8")), encoding="utf-8")
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
