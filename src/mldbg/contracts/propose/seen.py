"""What `observe` gives: promises, signatures and a diff, and all of it as text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from mldbg.contracts.propose.notes import listed
from mldbg.contracts.propose.proposal import Proposal, propose
from mldbg.contracts.propose.recording import Recorder, Recording
from mldbg.contracts.propose.source import File, text_of, unified
from mldbg.contracts.propose.writing import NAMESPACE, evaluated, names_in

WIDTH = 110
"""Letters in a line of the text; a longer signature gets a line for each parameter."""


class Seen:
    """What a block has shown of a model. Its text is Python: the call of `attach`, the signatures, and notes as comments."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._closed: Proposal | None = None

    @property
    def attach(self) -> dict[str, dict[str, Any]]:
        """Promises that `contracts.attach` takes: pattern -> {parameter or "return": annotation}."""
        return {
            pattern: {slot: evaluated(text) for slot, text in promised.items()}
            for pattern, promised in self._found.attach.items()
        }

    @property
    def signatures(self) -> dict[str, str]:
        """`Encoder.forward` -> its header with annotations, of each `forward` that is not a library's."""
        named: dict[str, str] = {}
        for one in self._found.functions:
            name = one.name if one.name not in named else f"{one.function.__module__}.{one.function.__qualname__}"
            named[name] = one.header()
        return named

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be seen, or told apart, and what to do about it; one line each."""
        return tuple(self._found.notes)

    def diff(self, root: str | os.PathLike[str] | None = None) -> str:
        """The unified difference that puts the signatures into their source files; empty where there is nothing to change.

        root: the folder in which it is applied, by `patch -p0` or `git apply -p0`; by default the one of this process.
        """
        folder = str(Path(root if root is not None else os.curdir).absolute())
        found = []
        for path, functions in sorted(self._found.sources.items()):
            text = text_of(path)
            if text is not None:
                found.append(unified(path, text, File(path, text).annotated(functions), folder))
        return "".join(found)

    def __str__(self) -> str:
        found = self._found
        return "\n".join(
            [*_summary(self._recording), *(f"# {note}" for note in found.notes), *_attached(found), *_written(found)]
        )

    def close(self) -> None:
        """What is proposed does not change any more."""
        self._closed = propose(self._recording)

    @property
    def _found(self) -> Proposal:
        return self._closed or propose(self._recording)


@contextmanager
def observing(model: nn.Module) -> Iterator[Seen]:
    """Watch a model until the block ends."""
    recorder = Recorder(model)
    seen = Seen(recorder.recording)
    with recorder.listening():
        yield seen
    seen.close()


# --- text ---


def _summary(recording: Recording) -> list[str]:
    names = len({call.path for call in recording.calls})
    batches = f"{recording.batches} batch{'' if recording.batches == 1 else 'es'}"
    return [f"# {type(recording.model).__name__}: {batches}, {names} module{'' if names == 1 else 's'} called"]


def _attached(found: Proposal) -> list[str]:
    if not found.attach:
        return []
    lines = ["", *_imports(found), "attach(model, {"]
    for pattern, promised in found.attach.items():
        items = [f'"{slot}": {text}' for slot, text in promised.items()]
        line = f'    "{pattern}": {{{", ".join(items)}}},'
        lines += [line] if len(line) <= WIDTH else [f'    "{pattern}": {{', *(f"        {item}," for item in items), "    },"]
    return [*lines, "})"]


def _imports(found: Proposal) -> list[str]:
    texts = [text for promised in found.attach.values() for text in promised.values()]
    texts += [text for one in found.functions for text in (*one.parameters.values(), one.result or "")]
    used = {name for text in texts for name in names_in(text)}
    jaxtyping = sorted(name for name in used if NAMESPACE[name].__module__.startswith("jaxtyping"))
    own = {*used, "attach", *(["contract"] if found.functions else [])} - {*jaxtyping, "Tensor"}
    lines = [f"from jaxtyping import {', '.join(jaxtyping)}"] if jaxtyping else []
    return [*lines, "from torch import Tensor", "", f"from mldbg.contracts import {', '.join(sorted(own))}", ""]


def _written(found: Proposal) -> list[str]:
    lines: list[str] = []
    for one in found.functions:
        code = one.function.__code__
        paths = list(dict.fromkeys(call.path for call in one.calls))
        owner = one.name.rpartition(".")[0]
        lines += ["", f"# {Path(code.co_filename).name}:{code.co_firstlineno}: {listed(paths)}"]
        header = f"    {one.header()}: ..."
        lines += [f"class {owner}:", *(["    @contract"] if one.parameters or one.result else [])]
        lines += [header] if len(header) <= WIDTH else _exploded(header)
    return lines


def _exploded(header: str) -> list[str]:
    """A line for each parameter."""
    depth, quoted, pieces, last = 0, False, [], 0
    opening = header.index("(")
    for index in range(opening, len(header)):
        letter = header[index]
        quoted ^= letter == '"'
        if quoted:
            continue
        depth += (letter in "([{") - (letter in ")]}")
        if (letter == "," and depth == 1) or depth == 0:
            pieces.append(header[last or opening + 1 : index].strip())
            last = index + 1
            if depth == 0:
                return [header[: opening + 1], *(f"        {piece}," for piece in pieces if piece), f"    {header[index:]}"]
    return [header]
