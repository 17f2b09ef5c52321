"""The shapes and meanings in a file, line by line: what is seen while everything in it is executed, and how that is laid out."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

from click import style

from mldbg.lint import engine, files
from mldbg.lint.finding import Problem
from mldbg.lint.report.text import width
from mldbg.operations.shape import Rest, Shape, Tensor
from mldbg.operations.sizes import ANY, Atom, Dim, Size, atoms, has_name, is_name, replaced, said

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.files import Source
    from mldbg.lint.interpret.address import Ref, Site
    from mldbg.lint.interpret.interpreter import Interpreter
    from mldbg.lint.interpret.module import Module
    from mldbg.lint.interpret.sightings import Seen, Watcher
    from mldbg.lint.interpret.value import Function, Record, Value

VERSION = 1

LEAST_COLUMN, LARGEST_COLUMN = 60, 100
"""Where the notes begin: behind the longest line that has one, within these bounds."""

MOST_APART = 2
"""Shapes of one name that are shown side by side; of more only what they have in common is."""

MOST_ELEMENTS = 6
"""Elements of a tuple that are shown."""


# --- what is known of a value ---


@dataclass(frozen=True, slots=True)
class Known:
    """What is shown of a value: a tensor's shape, type and meaning, the size that a number is, the elements of a tuple."""

    tensor: Tensor = field(default_factory=Tensor)
    meaning: str | None = None
    size: int | Size | None = None
    elements: tuple[Known, ...] = ()
    or_none: bool = False

    @property
    def says_nothing(self) -> bool:
        """Whether nothing is to be shown. A number that is no size of a tensor is of interest only beside sizes."""
        if isinstance(self.size, int):
            return True
        return replace(self, or_none=False) == NOTHING or (bool(self.elements) and all(one.says_nothing for one in self.elements))

    @property
    def has_rank(self) -> bool:
        """Whether the number of axes is known, where it is a tensor; of a tuple of each element."""
        if self.elements:
            return all(one.has_rank for one in self.elements)
        return self.size is not None or (self.tensor.shape is not None and self.tensor.shape.rest is None)

    def __str__(self) -> str:
        if self.elements:
            return f"[{', '.join(str(one) or '?' for one in self.elements)}]"
        if self.size is not None:
            return said(self.size)
        shape = self.tensor.shape
        pieces = str(shape) if shape is not None else "", self.tensor.dtype, self.meaning, "or None" if self.or_none else ""
        return " ".join(piece for piece in pieces if piece)

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        if self.elements:
            return {"elements": [one.as_json() for one in self.elements]}
        if self.size is not None:
            return {"size": said(self.size)}
        shape = self.tensor.shape
        axes = _axes(shape) if shape is not None else None
        return {"shape": axes, "dtype": self.tensor.dtype, "meaning": self.meaning, "optional": self.or_none}


NOTHING = Known()


def _axes(shape: Shape) -> list[int | str]:
    rest = [] if shape.rest is None else ["..." if shape.rest.name == "..." else f"*{shape.rest.name}"]
    return [*map(_axis, shape.front), *rest, *map(_axis, shape.back)]


def _axis(dim: Dim) -> int | str:
    return dim if isinstance(dim, int) else said(dim)


def known(value: Value) -> Known:
    """What is to be shown of a value."""
    from mldbg.lint.interpret import shapes
    from mldbg.lint.interpret.value import Items

    thing = value.thing
    if isinstance(thing, Items) and thing.exact and 0 < len(thing.tail) <= MOST_ELEMENTS:
        elements = tuple(map(known, thing.tail))
        return NOTHING if all(one.says_nothing for one in elements) else Known(elements=elements)
    tensor = value.shaped.tensor if value.shaped is not None else Tensor()
    if tensor.shape == Shape((), Rest()):
        tensor = Tensor(None, tensor.dtype)
    meaning = value.meaning.value if value.meaning is not None and not value.scaled else None
    size = value.size if isinstance(value.size, Size) and shapes.is_number(value) else value.constant
    size = size if isinstance(size, int | Size) and not isinstance(size, bool) else None
    return Known(tensor, meaning, size, or_none=value.or_none)


def joined(one: Known, two: Known) -> Known:
    """What holds of both."""
    from mldbg.lint.interpret import shapes
    from mldbg.lint.interpret.value import Shaped

    if len(one.elements) != len(two.elements):
        return NOTHING
    if one.elements:
        return Known(elements=tuple(map(joined, one.elements, two.elements)))
    both = shapes.joined(Shaped(one.tensor), Shaped(two.tensor))
    tensor = both.tensor if both is not None else Tensor()
    if tensor.shape == Shape((), Rest()):
        tensor = Tensor(None, tensor.dtype)
    meaning = one.meaning if one.meaning == two.meaning else None
    size = one.size if one.size == two.size else None
    return Known(tensor, meaning, size, or_none=one.or_none or two.or_none)


# --- watching ---


@dataclass(frozen=True, slots=True)
class Sight:
    """What a name was seen to hold in one execution of a line.

    Attributes:
        seen: what happened to the value.
        line: on which line.
        name: as the source says it.
        value: the value.
        site: where.
        function: the function under way.
        own: whether that function is executed by itself, with nothing known of a caller.
        execution: tells apart the calls of a function.
        root: the function that is executed by itself, from which this one was called; None where that is the top level.
    """

    seen: Seen
    line: int
    name: str
    value: Value
    site: Site
    function: Function | None
    own: bool
    execution: Hashable
    root: cst.CSTNode | None


@dataclass(slots=True)
class Sightings:
    """All that was seen in one file. Of what one execution does several times, as rounds of a loop do, the last time counts.

    Attributes:
        run: the machine.
        module: the file.
        sights: in the order in which they were seen first.
        receivers: for each execution what is known of `self` when it begins, and its identity.
        inputs: what was put into layers, and by what classes.
        outputs: where a layer gave something.
    """

    run: Interpreter
    module: Module
    sights: dict[Hashable, Sight] = field(default_factory=dict)
    receivers: dict[Hashable, tuple[Ref, Record]] = field(default_factory=dict)
    inputs: dict[Ref, str] = field(default_factory=dict)
    outputs: dict[Hashable, str] = field(default_factory=dict)
    _self: dict[Ref, Ref | None] = field(default_factory=dict)
    _rebound: set[tuple[Hashable, str]] = field(default_factory=set)

    @property
    def called(self) -> frozenset[cst.CSTNode]:
        """The functions that something in the file calls."""
        functions = {sight.function.node for sight in self.sights.values() if sight.function is not None and not sight.own}
        return frozenset(functions)

    def telling(self, sights: Iterable[Sight]) -> list[Sight]:
        """Of the calls of a function those that tell what it is called with.

        A function that others call is executed by itself, too, with arguments that may be anything; what it calls then is known
        better from its callers.
        """
        calls = [sight for sight in sights if not sight.own]
        called = self.called
        return [sight for sight in calls if sight.root is None or sight.root not in called] or calls

    def told(self, seen: Seen, site: Site, name: str, value: Value) -> None:
        """Something was seen."""
        frame = self.run.frame
        if frame.module is not self.module:
            return
        if seen is _seen().ENTERED:
            self._entered()
        elif seen is _seen().APPLIED:
            ref = identity(value)
            if ref is not None:
                self.inputs.setdefault(ref, name)
        elif seen is _seen().GIVEN:
            self.outputs[site] = name
            if value.origin is not None:
                self.outputs[value.origin] = name
        elif name != "_" and not _is_inside_expression(site):
            self._note(seen, site, name, value)

    def _entered(self) -> None:
        from mldbg.lint.interpret.address import site_of
        from mldbg.lint.interpret.value import Object

        frame = self.run.frame
        assert frame.function is not None
        params = frame.function.node.params
        names = [one.name.value for one in (*params.posonly_params, *params.params)]
        first = self.run.state.get(frame.ref, names[0]) if names and frame.function.owner is not None else None
        receiver = first.thing.ref if first is not None and isinstance(first.thing, Object) else None
        self._self[frame.ref] = receiver
        if receiver is not None:
            self.receivers[self._execution()] = (receiver, dict(self.run.state.record(receiver)))
        for one in (*params.posonly_params, *params.params, *params.kwonly_params):
            value = self.run.state.get(frame.ref, one.name.value)
            if value is not None:
                self._note(_seen().ENTERED, site_of(frame.part, one), one.name.value, value)

    def _execution(self) -> Hashable:
        frame = self.run.frame
        return frame.ref, frame.context, self._self.get(frame.ref)

    def _note(self, seen: Seen, site: Site, name: str, value: Value) -> None:
        frame = self.run.frame
        execution = self._execution()
        root = next((each.function.node for each in self.run.frames if each.assumed and each.function is not None), None)
        if seen is _seen().ASSIGNED:
            self._rebound.add((execution, name))
        elif seen is _seen().LEARNED and len(self.run.conditions) == frame.conditions and not frame.loops:
            self._learn(execution, name, value)
        place = seen if seen is not _seen().LEARNED else _seen().ASSIGNED
        key = (execution, place, site if seen is _seen().ENTERED or seen is _seen().RETURNED else site.span.line, name)
        self.sights[key] = Sight(seen, site.span.line, name, value, site, frame.function, frame.assumed, execution, root)

    def _learn(self, execution: Hashable, name: str, value: Value) -> None:
        """What each execution learns of a parameter holds from the beginning, unless the name holds something else by now."""
        if (execution, name) in self._rebound:
            return
        for key, sight in self.sights.items():
            if sight.execution != execution or sight.seen is not _seen().ENTERED or sight.name != name:
                continue
            if identity(sight.value) is not None and identity(sight.value) is identity(value):
                self.sights[key] = replace(sight, value=value)
                return


def _seen() -> type[Seen]:
    from mldbg.lint.interpret.sightings import Seen

    return Seen


def identity(value: Value) -> Ref | None:
    """The identity of what a value is."""
    from mldbg.lint.interpret import shape_results

    return shape_results.identity(value)


def _is_inside_expression(site: Site) -> bool:
    """Whether a name is bound only inside an expression: `x for x in xs`."""
    return type(site.node).__name__ == "CompFor"


def sightings(source: Source, project: engine.Project) -> tuple[Sightings, tuple[Problem, ...]]:
    """What is seen when everything in a file is executed, and what could not be. Raises CannotOutlineError."""
    made: list[Sightings] = []

    def watch(run: Interpreter, module: Module) -> Watcher:
        made.append(Sightings(run, module))
        return made[0].told

    problems = engine.watched(source, project, watch)
    return made[0], problems


# --- notes on lines ---


@dataclass(frozen=True, slots=True)
class Note:
    """What is shown of one name on a line: one thing that is known, or a few that may be."""

    name: str
    kind: str
    values: tuple[Known, ...]

    def __str__(self) -> str:
        return " | ".join(dict.fromkeys(map(str, self.values)))


_KINDS = {"ENTERED": "parameter", "ASSIGNED": "assigned", "LEARNED": "assigned", "RETURNED": "returned"}


def notes(seen: Sightings) -> dict[int, list[Note]]:
    """What is shown beside each line of a file."""
    lines = seen.module.outline.lines
    foreign = _foreign(seen.sights.values())
    by_name: dict[tuple[int, str, str], list[Sight]] = {}
    for sight in seen.sights.values():
        by_name.setdefault((sight.line, _KINDS[sight.seen.name], sight.name), []).append(sight)
    found: dict[int, list[Note]] = {}
    for (line, kind, name), sights in sorted(by_name.items(), key=lambda item: item[0][0]):
        values = _to_show(sights, seen.telling(sights), lines[line - 1], name, foreign)
        if values:
            found.setdefault(line, []).append(Note(name, kind, values))
    return found


def _foreign(sights: Iterable[Sight]) -> dict[Hashable, dict[Atom, Dim]]:
    """The sizes in each execution that have no name of their own there.

    They are called like another one, for a function that it calls has named them, or they are what a slice leaves of an axis.
    """
    found: dict[Hashable, dict[Atom, Dim]] = {}
    named: dict[tuple[Hashable, str], Atom] = {}
    several = list(sights)
    for sight in several:
        for each in atoms(sight.value.size) if isinstance(sight.value.size, Size) and is_name(sight.value.size) else ():
            if each.name == sight.name:
                named.setdefault((sight.execution, each.name), each)
    for sight in several:
        for each in _atoms(known(sight.value)):
            if not has_name(each) or named.setdefault((sight.execution, each.name), each) != each:
                found.setdefault(sight.execution, {})[each] = ANY
    return found


def _atoms(one: Known) -> list[Atom]:
    """The numbers that are not known in what is shown of a value, in the order of its axes."""
    shape = one.tensor.shape
    dims = [*shape.front, *shape.back] if shape is not None else [one.size] if one.size is not None else []
    inner = [each for element in one.elements for each in _atoms(element)]
    return [*inner, *(each for dim in dims for each in sorted(atoms(dim), key=lambda each: each.name))]


def _without(one: Known, foreign: Mapping[Atom, Dim]) -> Known:
    """What is shown of a value where some sizes have no name."""
    if not foreign.keys() & set(_atoms(one)):
        return one
    if one.elements:
        return replace(one, elements=tuple(_without(each, foreign) for each in one.elements))
    size = replaced(one.size, foreign) if one.size is not None else None
    shape = one.tensor.shape
    if shape is not None:
        front, back = (tuple(replaced(dim, foreign) for dim in dims) for dims in (shape.front, shape.back))
        shape = replace(shape, front=front, back=back)
    return replace(one, tensor=replace(one.tensor, shape=shape), size=size if isinstance(size, int | Size) else None)


def _to_show(
    sights: Sequence[Sight], telling: Sequence[Sight], code: str, name: str, foreign: Mapping[Hashable, Mapping[Atom, Dim]]
) -> tuple[Known, ...]:
    own = _distinct((sight for sight in sights if sight.own), foreign)
    calls = _distinct(telling, foreign)
    if own and all(one.has_rank for one in own):
        chosen = _few(own)
    elif any(one.has_rank for one in calls):
        chosen = _few([one for one in calls if one.has_rank or not own])
    else:
        chosen = _few(own or calls)
    if any(one.size is not None and _stands_in(said(one.size), code, name) for one in chosen):
        return ()
    return tuple(chosen)


def _distinct(sights: Iterable[Sight], foreign: Mapping[Hashable, Mapping[Atom, Dim]]) -> list[Known]:
    several = dict.fromkeys(_without(known(sight.value), foreign.get(sight.execution, {})) for sight in sights)
    return [one for one in several if not one.says_nothing]


def _few(several: list[Known]) -> list[Known]:
    if len(dict.fromkeys(map(str, several))) <= MOST_APART:
        return several
    common = reduce(joined, several)
    return [] if common.says_nothing else [common]


def _stands_in(size: str, code: str, name: str) -> bool:
    """Whether a line says by itself which size it is about."""
    return size == name or _plain(size) in _plain(code)


def _plain(code: str) -> str:
    return re.sub(r"\s|\b\w+\.|[()]", "", code)


# --- layout ---


def as_text(source: Source, found: dict[int, list[Note]]) -> str:
    """The source with notes behind its lines."""
    lines = files.lines(source.text)
    if lines and not lines[-1]:
        del lines[-1]
    long = [length for line in found if (length := width(lines[line - 1].expandtabs())) <= LARGEST_COLUMN]
    column = min(max([LEAST_COLUMN, *long]), LARGEST_COLUMN)
    return "".join(_line(line, found.get(number, ()), column) for number, line in enumerate(lines, start=1))


def _line(code: str, beside: Sequence[Note], column: int) -> str:
    if not beside:
        return f"{code}\n"
    gap = " " * (max(0, column - width(code.expandtabs())) + 2)
    text = "; ".join(_together(beside))
    return f"{code}{gap}{style(f'# {text}', fg='cyan')}\n"


def _together(beside: Sequence[Note]) -> Iterator[str]:
    """Names that hold the same are named together: `q, k, v: (b, t, d)`."""
    names: list[str] = []
    for index, note in enumerate(beside):
        names.append(note.name)
        if index + 1 == len(beside) or str(beside[index + 1]) != str(note):
            yield f"{', '.join(names)}: {note}"
            names = []


def as_json(source: Source, found: dict[int, list[Note]], problems: Sequence[Problem]) -> str:
    """The same for programs; its shape only ever changes together with `version`."""
    report = {
        "version": VERSION,
        "path": source.path,
        "shapes": [
            {"line": line, "name": note.name, "kind": note.kind, "values": [one.as_json() for one in note.values]}
            for line, several in found.items()
            for note in several
        ],
        "errors": [{"path": each.path, "line": each.line, "message": each.message} for each in problems],
    }
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"
