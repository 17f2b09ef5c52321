"""What a recording could not see, or not tell apart, and what to do about it: one line each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from torch import nn

from mldbg.contracts.ledger import RESULT
from mldbg.contracts.propose.axes import Axes
from mldbg.contracts.propose.forms import arrays
from mldbg.contracts.propose.nodes import Node, Record
from mldbg.contracts.propose.recording import NUMBERED, Call, Recording, is_wrapper
from mldbg.contracts.propose.writing import Writer
from mldbg.semantics import Semantic

MOST_NAMES = 6
"""Modules that a note names."""


def of_batches(recording: Recording, axes: Axes, constants: set[int]) -> Iterator[str]:
    """Which sizes the batches cannot tell apart. constants: sizes that are written as numbers."""
    outer = [call for call in recording.calls if call.outer]
    if not outer:
        if not any(recording.uncalled.values()):
            yield "the model was not called in the block, so there is nothing to propose"
        return
    shapes = {(call.path, tuple(array.shape for form in call.arguments.values() for _, array in arrays(form))) for call in outer}
    if recording.batches == 1:
        yield "only 1 batch: what varies cannot be told from what is constant; run a second one, of another batch size and length"
    elif len(shapes) == len({call.path for call in outer}):
        yield f"{recording.batches} batches, all of the same sizes: run one of another batch size and length, to tell axes apart"
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


def of_modules(recording: Recording, calls: Sequence[Call]) -> Iterator[str]:
    """Which modules were not seen, and why; which go by several names."""
    called = {call.path for call in calls}
    aliases: dict[str, list[str]] = {}
    first = {id(module): path for path, module in recording.model.named_modules()}
    for path, module in recording.model.named_modules(remove_duplicate=False):
        if first[id(module)] != path:
            aliases.setdefault(first[id(module)], []).append(path)
        if is_wrapper(module) and first[id(module)] == path:
            kind = type(module).__name__
            inside = "_orig_mod" if kind == "OptimizedModule" else "module"
            prefix = f"{path}." if path else ""
            yield f"{kind} only wraps its model: paths begin with {prefix}{inside}; attach to .{inside} for shorter ones"
    for path, names in aliases.items():
        yield f"{path} is the same module as {', '.join(names)}: it is promised under its first name"
    reasons: dict[str, list[str]] = {}
    for path, reason in recording.uncalled.items():
        if reason:
            reasons.setdefault(reason, []).append(path or "the model itself")
    for reason, names in reasons.items():
        yield f"not seen, since {reason}: {listed(names)}"
    hooked = [path for path, _ in recording.model.named_modules() if path not in recording.uncalled]
    missed = [path for path in hooked if path not in called]
    reached = [path for path in missed if _was_reached(path, called, recording.bypassed)]
    if reached:
        yield f"used but never called (by .forward(...), or through parts or weights alone), so not seen: {listed(reached)}"
    rest = [path for path in missed if path not in reached and not any(_is_inside(path, other) for other in missed)]
    if called and rest:
        yield f"never called: {listed(rest)}"
    unfinished = [call for call in calls if call.result is None]
    if recording.failed:
        yield f"the block has failed; calls that came to no end, whose results are not known: {len(unfinished)}"


def _is_inside(path: str, other: str) -> bool:
    return path != other and (not other or path.startswith(f"{other}."))


def _was_reached(path: str, called: Collection[str], bypassed: Sequence[str]) -> bool:
    return path in bypassed or any(_is_inside(other, path) for other in (*called, *bypassed))


def listed(paths: Sequence[str]) -> str:
    """`layers.*.attn, head and 3 more`"""
    starred = [NUMBERED.sub("*", path) for path in paths]
    several = [star if starred.count(star) > 1 else path for star, path in zip(starred, paths, strict=True)]
    names = list(dict.fromkeys(name or "the model itself" for name in several))
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def of_meanings(recording: Recording, calls: Sequence[Call]) -> Iterator[str]:
    """What a loss would have told."""
    results = [array for call in calls if call.outer and call.result is not None for _, array in arrays(call.result)]
    if not recording.knowledge.loss_was_run and any(
        array.meaning is Semantic.LOGITS and id(array.site) not in recording.knowledge.logits for array in results
    ):
        yield "no loss was run in the block: with it, results that are logits and targets that are ids are called so"


def of_records(node: Node[Call], module: nn.Module, path: str, slot: str, writer: Writer) -> Iterator[str]:
    """The fields of a dataclass, which are annotated where the class is defined."""
    if not isinstance(node, Record):
        return
    fields = [(name, writer.text(part, result=slot == RESULT)) for name, part in node.parts]
    texts = [f"{name}: {text}" for name, text in fields if text is not None]
    where = f"{path or type(module).__name__}.{slot}"
    if texts:
        yield f"{where} is a {node.cls.__name__}, whose fields may be annotated: {'; '.join(texts)}"
