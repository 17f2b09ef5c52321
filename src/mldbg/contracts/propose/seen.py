"""`observe`: annotations for a model, written from what a few batches have shown."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from torch import nn

from mldbg.contracts.attach import _matches, _segments
from mldbg.contracts.ledger import RESULT
from mldbg.contracts.propose.axes import Axes
from mldbg.contracts.propose.functions import Function, given_names, proposed
from mldbg.contracts.propose.nodes import Node, Record, merged, tensors
from mldbg.contracts.propose.recording import NUMBERED, Call, Recorder, Recording, elements, is_wrapper
from mldbg.contracts.propose.source import Annotated, File, is_of_library, text_of, unified
from mldbg.contracts.propose.writing import NAMESPACE, Writer, evaluated, names_in

WIDTH = 110
"""Letters in a line of the text; a longer signature gets a line for each parameter."""

MOST_NAMES = 6
"""Modules that a note names."""


@dataclass(frozen=True)
class _Proposal:
    """All that is proposed: pattern -> slot -> text; the functions; and what has to be said."""

    attach: Mapping[str, Mapping[str, str]]
    functions: Sequence[Function]
    notes: Sequence[str]
    sources: Mapping[str, Sequence[Annotated]]


class Seen:
    """What a block has shown of a model. Its text is Python: the call of `attach`, the signatures, and notes as comments."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._closed: _Proposal | None = None

    @property
    def attach(self) -> dict[str, dict[str, Any]]:
        """Promises that `contracts.attach` takes: pattern -> {parameter or "return": annotation}."""
        return {
            pattern: {slot: evaluated(text) for slot, text in promised.items()} for pattern, promised in self._found.attach.items()
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
        folder = os.path.abspath(os.fspath(root) if root is not None else os.curdir)
        found = []
        for path, functions in sorted(self._found.sources.items()):
            text = text_of(path)
            if text is not None:
                found.append(unified(path, text, File(path, text).annotated(functions), folder))
        return "".join(found)

    def __str__(self) -> str:
        found = self._found
        return "\n".join([*_summary(self._recording), *(f"# {note}" for note in found.notes), *_attached(found), *_written(found)])

    def close(self) -> None:
        """What is proposed does not change any more. The tensors' marks and the calls are kept until the object goes."""
        self._closed = _propose(self._recording)

    @property
    def _found(self) -> _Proposal:
        return self._closed or _propose(self._recording)


def observe(model: nn.Module) -> AbstractContextManager[Seen]:
    """Watch a model at work, and write its annotations.

    `with contracts.observe(model) as seen: model(batch1); model(batch2)`, then `print(seen)`.

    Axes get one name where their sizes agree in every forward pass, so that a second batch with other sizes tells apart what the
    first cannot. A size that never changes is an attribute of the module (`{self.d_model}`, `{self.config.n_embd}`), or a number.
    Meanings come from what the block does with the numbers: an embedding takes token ids, a loss its logits and targets; run the
    loss in the block, too.

    `seen.attach` is what `contracts.attach` takes, `seen.signatures` and `seen.diff()` annotate the model's own `forward` methods.
    Outputs, gradients and random numbers stay as they are; hooks and all else are taken off at the end, whatever happens. Compiled
    models run eagerly inside the block.

    Raises TypeError for what is no module.
    """
    if not isinstance(model, nn.Module):
        hint = f"; make one first: {model.__name__}(...)" if isinstance(model, type) else ""
        raise TypeError(f"observe: a model must be a torch.nn.Module, not {model!r}{hint}")
    return _observing(model)


@contextmanager
def _observing(model: nn.Module) -> Iterator[Seen]:
    recorder = Recorder(model)
    seen = Seen(recorder.recording)
    with recorder.listening():
        yield seen
    seen.close()


# --- what is proposed ---


def _propose(recording: Recording) -> _Proposal:
    calls = list(recording.calls)
    by_function, strange = _functions(calls)
    given: dict[str, dict[int, str]] = {}
    for function, several in by_function.items():
        for slot, names in given_names(function).items():
            given |= {f"{path}.{slot}": names for path in {call.path for call in several}}
    axes = Axes(calls, given)
    attach, records, constants = _promises(recording, calls, axes)
    functions = []
    for function, several in by_function.items():
        one, more = proposed(function, several, axes, recording.knowledge)
        functions.append(one)
        constants |= more
    sources, unwritten = _sources(functions)
    notes = [
        *_of_batches(recording, axes, constants),
        *_of_modules(recording, calls),
        *_of_meanings(recording, calls),
        *records,
        *strange,
        *unwritten,
    ]
    return _Proposal(attach, functions, list(dict.fromkeys(notes)), sources)


def _functions(calls: Sequence[Call]) -> tuple[dict[FunctionType, list[Call]], list[str]]:
    """The forward methods that belong to the user, with their calls; and those that cannot be written."""
    found: dict[FunctionType, list[Call]] = {}
    notes: list[str] = []
    for call in calls:
        cls = type(call.module)
        function = inspect.unwrap(cls.forward)
        if "forward" in vars(call.module):
            notes.append(f"{call.path or cls.__name__}: its forward was replaced by hand; it is promised by attach only")
        elif not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
            notes.append(f"{cls.__name__}.forward is no function with a header; it is promised by attach only")
        elif not is_of_library(function.__code__):
            found.setdefault(function, []).append(call)
        elif not cls.__module__.startswith("torch."):
            top = function.__module__.partition(".")[0]
            notes.append(f"forward methods of {top} are promised by attach only")
    return found, notes


def _promises(
    recording: Recording, calls: Sequence[Call], axes: Axes
) -> tuple[dict[str, dict[str, str]], list[str], set[int]]:
    """Pattern -> slot -> text."""
    writer = Writer(axes, recording.knowledge, per_call=False)
    by_path: dict[str, list[Call]] = {}
    for call in calls:
        by_path.setdefault(call.path, []).append(call)
    found: dict[str, dict[str, str]] = {}
    notes: list[str] = []
    for path, module in recording.model.named_modules():
        several = by_path.get(path, [])
        promised: dict[str, str] = {}
        for slot, node in _slots(module, several).items():
            text = writer.text(node, result=slot == RESULT)
            if text is not None:
                promised[slot] = text
            notes += _of_records(node, module, path, slot, writer)
        if promised and not _is_noise(module, path, promised):
            found[path] = promised
    return _collapsed(found, [path for path, _ in recording.model.named_modules()]), notes, writer.constants


def _slots(module: nn.Module, calls: Sequence[Call]) -> dict[str, Node[Call]]:
    found: dict[str, Node[Call]] = {}
    for name, one in inspect.signature(module.forward).parameters.items():
        seen = [(call, each) for call in calls if name in call.arguments for each in elements(one, call.arguments[name])]
        if seen:
            found[name] = merged(seen, name)
    results = [(call, call.result) for call in calls if call.result is not None]
    if results:
        found[RESULT] = merged(results, RESULT)
    return found


def _is_noise(module: nn.Module, path: str, promised: Mapping[str, str]) -> bool:
    """Whether the promises only repeat those of the modules around: of a ReLU, a dropout, a Sequential."""
    if not path or not type(module).__module__.startswith("torch.nn."):
        return False
    is_small = isinstance(module, nn.Sequential) or not [*module.children(), *module.parameters()]
    says_meaning = any(text.startswith(("Logits", "Probs", "LogProbs", "ScalarLoss", "ClassIds")) for text in promised.values())
    return is_small and not says_meaning


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


# --- what has to be said ---


def _of_batches(recording: Recording, axes: Axes, constants: set[int]) -> Iterator[str]:
    outer = [call for call in recording.calls if call.outer]
    if not outer:
        yield "the model was not called in the block, so there is nothing to propose"
        return
    shapes = {repr([[array for array in _shapes(form)] for form in call.arguments.values()]) for call in outer}
    if recording.passes == 1:
        yield "only 1 batch: what varies cannot be told from what is constant; run a second one, of another batch size and length"
    elif len(shapes) == 1:
        yield f"{recording.passes} batches, all of the same sizes: run one of another batch size and length, to tell axes apart"
    else:
        batch = axes.batch
        if batch is not None and len(set(batch.sizes.values())) == 1 and len(batch.sizes) > 1:
            size = next(iter(batch.sizes.values()))
            yield f"the first axis was {size} in all batches, and is called {batch.name} by convention"
        for one, two in axes.alike:
            yield f"{one} and {two} were equal in all batches: run one where they differ, to be sure which is which"
        if constants - {1}:
            numbers = ", ".join(map(str, sorted(constants - {1})[:MOST_NAMES]))
            yield f"sizes that never changed are numbers ({numbers}); run a batch where they differ if they are free"


def _shapes(form: Any) -> list[tuple[int, ...]]:
    from mldbg.contracts.propose.forms import arrays

    return [array.shape for _, array in arrays(form)]


def _of_modules(recording: Recording, calls: Sequence[Call]) -> Iterator[str]:
    called = {call.path for call in calls}
    aliases: dict[str, list[str]] = {}
    first = {id(module): path for path, module in recording.model.named_modules()}
    for path, module in recording.model.named_modules(remove_duplicate=False):
        if first[id(module)] != path:
            aliases.setdefault(first[id(module)], []).append(path)
        if is_wrapper(module) and first[id(module)] == path:
            inside = ("_orig_mod" if type(module).__name__ == "OptimizedModule" else "module")
            prefix = f"{path}." if path else ""
            yield f"{type(module).__name__} only wraps its model: paths begin with {prefix}{inside}; attach to .{inside} for short ones"
    for path, names in aliases.items():
        yield f"{path} is the same module as {', '.join(names)}: it is promised under its first name"
    reasons: dict[str, list[str]] = {}
    for path, reason in recording.uncalled.items():
        if reason:
            reasons.setdefault(reason, []).append(path or "the model itself")
    for reason, names in reasons.items():
        yield f"not seen, since {reason}: {_listed(names)}"
    hooked = [path for path, _ in recording.model.named_modules() if path not in recording.uncalled]
    missed = [path for path in hooked if path not in called]
    inside = [path for path in missed if _was_reached(path, called, recording.bypassed)] if called or recording.bypassed else []
    if inside:
        yield f"not seen, since reached by .forward(...) or by its parts alone, which passes hooks by: {_listed(inside)}"
    rest = [path for path in missed if path not in inside and not any(_is_inside(path, other) for other in missed)]
    if called and rest:
        yield f"never called: {_listed(rest)}"
    unfinished = [call for call in calls if call.result is None]
    if recording.failed or unfinished:
        yield f"{len(unfinished)} calls came to no end, so their results are not known"


def _is_inside(path: str, other: str) -> bool:
    return path != other and (not other or path.startswith(f"{other}."))


def _was_reached(path: str, called: set[str], bypassed: Sequence[str]) -> bool:
    return path in bypassed or any(_is_inside(other, path) for other in (*called, *bypassed))


def _listed(paths: Sequence[str]) -> str:
    """`layers.*.attn, head and 3 more`"""
    names = list(dict.fromkeys(NUMBERED.sub("*", path) or "the model itself" for path in paths))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _of_meanings(recording: Recording, calls: Sequence[Call]) -> Iterator[str]:
    from mldbg.contracts.propose.forms import arrays
    from mldbg.semantics import Semantic

    results = [array for call in calls if call.outer and call.result is not None for _, array in arrays(call.result)]
    if not recording.knowledge.loss_was_run and any(
        array.meaning is Semantic.LOGITS and id(array.site) not in recording.knowledge.logits for array in results
    ):
        yield "no loss was run in the block: with it, results that are logits and targets that are ids are called so"


def _of_records(node: Node[Call], module: nn.Module, path: str, slot: str, writer: Writer) -> Iterator[str]:
    """The fields of a dataclass, which are annotated where the class is defined."""
    if not isinstance(node, Record):
        return
    fields = [(name, writer.text(part, result=slot == RESULT)) for name, part in node.parts]
    texts = [f"{name}: {text}" for name, text in fields if text is not None]
    where = f"{path or type(module).__name__}.{slot}"
    if texts:
        yield f"{where} is a {node.cls.__name__}, whose fields may be annotated: {'; '.join(texts)}"


def _sources(functions: Sequence[Function]) -> tuple[dict[str, list[Annotated]], list[str]]:
    """File -> what is put into it; and what cannot be."""
    found: dict[str, list[Annotated]] = {}
    notes: list[str] = []
    files: dict[str, File | str] = {}
    for one in functions:
        code = one.function.__code__
        path = os.path.abspath(code.co_filename)
        if path not in files:
            files[path] = _file(path)
        file = files[path]
        if one.broken:
            notes.append(f"{one.name} breaks an annotation that it has, so the diff leaves it out: {one.broken}")
        elif not one.parameters and one.result is None:
            continue
        elif isinstance(file, str):
            notes.append(f"{one.name}: {file}, so there is no diff for it")
        elif file.function(code) is None:
            notes.append(f"{one.name}: {os.path.basename(path)} has changed since it was loaded, so there is no diff for it")
        else:
            found.setdefault(path, []).append(Annotated(code, one.parameters, one.result, one.is_decorated))
    return found, notes


def _file(path: str) -> File | str:
    text = text_of(path)
    if text is None:
        return "its source is in no file"
    if "jit.script" in text:
        return "its file uses torch.jit.script, which reads annotations and knows no axes"
    try:
        return File(path, text)
    except (SyntaxError, ValueError):
        return "its source is no plain Python"


# --- text ---


def _summary(recording: Recording) -> list[str]:
    names = len({call.path for call in recording.calls})
    batches = f"{recording.passes} batch{'' if recording.passes == 1 else 'es'}"
    return [f"# {type(recording.model).__name__}: {batches}, {names} module{'' if names == 1 else 's'} called"]


def _attached(found: _Proposal) -> list[str]:
    if not found.attach:
        return []
    lines = ["", *_imports(found), "attach(model, {"]
    for pattern, promised in found.attach.items():
        items = [f'"{slot}": {text}' for slot, text in promised.items()]
        line = f'    "{pattern}": {{{", ".join(items)}}},'
        lines += [line] if len(line) <= WIDTH else [f'    "{pattern}": {{', *(f"        {item}," for item in items), "    },"]
    return [*lines, "})"]


def _imports(found: _Proposal) -> list[str]:
    texts = [text for promised in found.attach.values() for text in promised.values()]
    texts += [text for one in found.functions for text in (*one.parameters.values(), one.result or "")]
    used = {name for text in texts for name in names_in(text)}
    jaxtyping = sorted(name for name in used if NAMESPACE[name].__module__.startswith("jaxtyping"))
    own = {*used, "attach", *(["contract"] if found.functions else [])} - {*jaxtyping, "Tensor"}
    lines = [f"from jaxtyping import {', '.join(jaxtyping)}"] if jaxtyping else []
    return [*lines, "from torch import Tensor", "", f"from mldbg.contracts import {', '.join(sorted(own))}", ""]


def _written(found: _Proposal) -> list[str]:
    lines: list[str] = []
    for one in found.functions:
        paths = list(dict.fromkeys(NUMBERED.sub("*", call.path) or "the model itself" for call in one.calls))
        code = one.function.__code__
        more = f" and {len(paths) - MOST_NAMES} more" if len(paths) > MOST_NAMES else ""
        owner = one.name.rpartition(".")[0]
        lines += ["", f"# {os.path.basename(code.co_filename)}:{code.co_firstlineno}: {', '.join(paths[:MOST_NAMES])}{more}"]
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
