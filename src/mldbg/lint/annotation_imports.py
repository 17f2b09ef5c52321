"""Imports that annotations need: how a file calls what they use, and which lines of imports are missing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint.finding import Edit, Span

if TYPE_CHECKING:
    from mldbg.lint.files import Source
    from mldbg.lint.shown import Sightings


def name_of_tensor(seen: Sightings) -> str | None:
    """How the file calls `torch.Tensor`, or may call it."""
    imports = seen.module.outline.imports
    torch = imports.get("torch")
    is_module = torch is not None and (torch.module, torch.name) == ("torch", None)
    held = imports.get("Tensor")
    if held is not None and (held.module, held.name) == ("torch", "Tensor"):
        return "Tensor"
    says_torch = is_module and any(re.search(r"(?::|->|\[|\|) ?torch\.Tensor\b", line) for line in seen.module.outline.lines)
    if held is None and "Tensor" not in seen.module.part_of and not says_torch:
        return "Tensor"
    return "torch.Tensor" if is_module else None


def taken(seen: Sightings) -> frozenset[str]:
    """The names of families that mean something else in the file."""
    imports = seen.module.outline.imports
    others = {name for name, what in imports.items() if what.module != "jaxtyping"}
    return frozenset(others | set(seen.module.part_of))


def missing(source: Source, seen: Sightings, families: frozenset[str], tensor: str) -> Iterator[Edit]:
    """The import lines that are missing; a line that imports a few names already gets those that are missing."""
    outline = seen.module.outline
    wanted = {"jaxtyping": sorted(name for name in families if name not in outline.imports)}
    wanted["torch"] = ["Tensor"] if tensor == "Tensor" and "Tensor" not in outline.imports else []
    new: list[str] = []
    for package, names in wanted.items():
        found = _line_of(seen, package) if names else None
        if found is not None:
            number, line, held = found
            every = [*held, *(name for name in names if name not in held)]
            text = f"from {package} import {', '.join(sorted(every) if held == sorted(held) else every)}"
            yield Edit(Span(source.path, number, 1, number, len(line) + 1), text)
        elif names:
            new.append(f"from {package} import {', '.join(names)}")
    if new:
        end = "\r\n" if "\r\n" in source.text else "\n"
        yield inserted(source.path, _place_of_imports(seen), 1, "".join(f"{line}{end}" for line in new))


def _line_of(seen: Sightings, package: str) -> tuple[int, str, list[str]] | None:
    """The line that imports a few names of a package and does nothing else."""
    from mldbg.lint.outline import Kind

    outline = seen.module.outline
    for one in outline.statements:
        line = outline.lines[one.first - 1].rstrip("\r\n")
        found = re.fullmatch(rf"from {package} import (\w+(?:, \w+)*)", line)
        if one.kind is Kind.IMPORT and found is not None:
            return one.first, line, found[1].split(", ")
    return None


def _place_of_imports(seen: Sightings) -> int:
    """The line above which imports go: that of the first `from torch`, else below the last import of torch, or of anything."""
    from mldbg.lint.outline import Kind

    statements = seen.module.outline.statements
    lines = seen.module.outline.lines
    imports = [one for one in statements if one.kind is Kind.IMPORT]
    of_torch = [one for one in imports if re.match(r"(?:from|import) torch\b", lines[one.first - 1])]
    for one in of_torch:
        if lines[one.first - 1].startswith("from"):
            return one.first
    if of_torch or imports:
        return (of_torch or imports)[-1].last + 1
    first = statements[0] if statements else None
    is_docstring = first is not None and lines[first.first - 1].lstrip("rRuU").startswith(("'", '"'))
    return first.last + 1 if first is not None and is_docstring else 1


def inserted(path: str, line: int, column: int, text: str) -> Edit:
    """Text that is put before a place."""
    return Edit(Span(path, line, column, line, column), text)
