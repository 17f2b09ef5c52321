"""From a recording to what is proposed: promises for `attach`, signatures, and where they go."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType

from torch import nn

from mldbg.contracts.attach import _matches, _segments
from mldbg.contracts.ledger import RESULT
from mldbg.contracts.names import signature_of
from mldbg.contracts.propose import notes
from mldbg.contracts.propose.axes import Axes
from mldbg.contracts.propose.functions import Function, given_names, proposed
from mldbg.contracts.propose.nodes import Node, merged
from mldbg.contracts.propose.recording import Call, Recording, elements
from mldbg.contracts.propose.source import Annotated, File, is_of_library, text_of
from mldbg.contracts.propose.writing import Writer, numbers_in, optional


@dataclass(frozen=True)
class Proposal:
    """All that is proposed: pattern -> slot -> text; the functions; and what has to be said."""

    attach: Mapping[str, Mapping[str, str]]
    functions: Sequence[Function]
    notes: Sequence[str]
    sources: Mapping[str, Sequence[Annotated]]


def propose(recording: Recording) -> Proposal:
    """All that the calls so far allow to say."""
    calls = list(recording.calls)
    by_function, strange = _functions(calls)
    given: dict[str, dict[int, str]] = {}
    for function, several in by_function.items():
        for slot, names in given_names(function).items():
            given |= {f"{path}.{slot}": names for path in {call.path for call in several}}
    axes = Axes(calls, given)
    attach, records = _promises(recording, calls, axes)
    functions = [proposed(function, several, axes, recording.knowledge) for function, several in by_function.items()]
    texts = [text for promised in attach.values() for text in promised.values()]
    texts += [text for one in functions for text in (*one.parameters.values(), one.result or "")]
    constants = {size for text in texts for size in numbers_in(text)}
    sources, unwritten = _sources(functions)
    said = [
        *notes.of_batches(recording, axes, constants),
        *notes.of_modules(recording, calls),
        *notes.of_meanings(recording, calls),
        *records,
        *strange,
        *unwritten,
    ]
    return Proposal(attach, functions, list(dict.fromkeys(said)), sources)


def _functions(calls: Sequence[Call]) -> tuple[dict[FunctionType, list[Call]], list[str]]:
    """The forward methods that belong to the user, with their calls; and those that cannot be written."""
    found: dict[FunctionType, list[Call]] = {}
    said: list[str] = []
    for call in calls:
        cls = type(call.module)
        function = inspect.unwrap(cls.forward)
        if "forward" in vars(call.module):
            said.append(f"{call.path or cls.__name__}: its forward was replaced by hand; it is promised by attach only")
        elif not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
            said.append(f"{cls.__name__}.forward is no function with a header; it is promised by attach only")
        elif not is_of_library(function.__code__):
            found.setdefault(function, []).append(call)
        elif not cls.__module__.startswith("torch."):
            top = function.__module__.partition(".")[0]
            said.append(f"forward methods of {top} are promised by attach only")
    return found, said


def _promises(recording: Recording, calls: Sequence[Call], axes: Axes) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Pattern -> slot -> text; and what is said of dataclasses."""
    writer = Writer(axes, recording.knowledge, per_call=False)
    by_path: dict[str, list[Call]] = {}
    for call in calls:
        by_path.setdefault(call.path, []).append(call)
    found: dict[str, dict[str, str]] = {}
    said: list[str] = []
    for path, module in recording.model.named_modules():
        several = by_path.get(path, [])
        promised: dict[str, str] = {}
        for slot, node in _slots(module, several).items():
            text = writer.text(node, result=slot == RESULT)
            if text is not None:
                promised[slot] = text if slot == RESULT or not _may_be_none(module, slot) else optional(text)
            said += notes.of_records(node, module, path, slot, writer)
        if promised and not _is_noise(module, path, promised):
            found[path] = promised
    return _collapsed(found, [path for path, _ in recording.model.named_modules()]), said


def _slots(module: nn.Module, calls: Sequence[Call]) -> dict[str, Node[Call]]:
    found: dict[str, Node[Call]] = {}
    if not calls:
        return found
    for name, one in signature_of(module.forward).parameters.items():
        seen = [(call, each) for call in calls if name in call.arguments for each in elements(one, call.arguments[name])]
        if seen:
            found[name] = merged(seen, name)
    results = [(call, call.result) for call in calls if call.result is not None]
    if results:
        found[RESULT] = merged(results, RESULT)
    return found


def _may_be_none(module: nn.Module, parameter: str) -> bool:
    """Whether a caller may leave a parameter out, and so may hand on that it was: `block(x, mask)`."""
    return signature_of(module.forward).parameters[parameter].default is None


_MEANINGS = {"Probs", "LogProbs", "ScalarLoss", "UnitInterval"}


def _is_noise(module: nn.Module, path: str, promised: Mapping[str, str]) -> bool:
    """Whether the promises only repeat those of the modules around: of a ReLU, a dropout, a Sequential."""
    if not path or not type(module).__module__.startswith("torch.nn."):
        return False
    is_small = isinstance(module, nn.Sequential) or not [*module.children(), *module.parameters()]
    result = promised.get(RESULT, "").partition("[")[0]
    makes = result in _MEANINGS and all(result != text.partition("[")[0] for slot, text in promised.items() if slot != RESULT)
    return is_small and not makes


def _collapsed(found: Mapping[str, Mapping[str, str]], paths: Sequence[str]) -> dict[str, dict[str, str]]:
    """`layers.*` in place of layers that promise the same, segment by segment."""
    entries = {path: (dict(promised), {path}) for path, promised in found.items()}
    for depth in range(max((path.count(".") + 1 for path in found), default=0)):
        groups: dict[str, list[str]] = {}
        for pattern in entries:
            segments = pattern.split(".")
            if depth < len(segments) and segments[depth].isdigit():
                groups.setdefault(".".join([*segments[:depth], "*", *segments[depth + 1 :]]), []).append(pattern)
        for pattern, members in groups.items():
            promised = entries[members[0]][0]
            covered = set().union(*(entries[member][1] for member in members))
            matched = {path for path in paths if _matches(_segments(path), _segments(pattern))}
            if len(members) > 1 and matched == covered and all(entries[member][0] == promised for member in members):
                entries = {
                    (pattern if name == members[0] else name): ((promised, covered) if name == members[0] else entry)
                    for name, entry in entries.items()
                    if name == members[0] or name not in members
                }
    return {pattern: promised for pattern, (promised, _) in entries.items()}


def _sources(functions: Sequence[Function]) -> tuple[dict[str, list[Annotated]], list[str]]:
    """File -> what is put into it; and what cannot be."""
    found: dict[str, list[Annotated]] = {}
    said: list[str] = []
    files: dict[str, File | str] = {}
    for one in functions:
        code = one.function.__code__
        path = str(Path(code.co_filename).absolute())
        if path not in files:
            files[path] = _file(path)
        file = files[path]
        if one.broken:
            said.append(f"{one.name} breaks an annotation that it has, so the diff leaves it out: {one.broken}")
        elif not one.parameters and one.result is None:
            continue
        elif isinstance(file, str):
            said.append(f"{one.name}: {file}, so there is no diff for it")
        elif file.function(code) is None:
            said.append(f"{one.name}: {Path(path).name} has changed since it was loaded, so there is no diff for it")
        else:
            found.setdefault(path, []).append(Annotated(code, one.parameters, one.result, one.is_decorated))
    return found, said


def _file(path: str) -> File | str:
    text = text_of(path)
    if text is None:
        return "its source is in no UTF-8 file"
    if "jit.script" in text:
        return "its file uses torch.jit.script, which reads annotations and knows no axes"
    try:
        return File(path, text)
    except (SyntaxError, ValueError):
        return "its source is no plain Python"
