"""Annotations for functions that have none: what is certain of their tensors, written as jaxtyping does.

An annotation is proposed where a function says by itself what shape a tensor has, or all calls of it in the file do.
"""

from __future__ import annotations

import builtins
import io
import keyword
import re
import tokenize
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import count
from typing import TYPE_CHECKING

from mldbg.lint import engine, shown
from mldbg.lint.annotation_imports import inserted, missing, name_of_tensor, taken
from mldbg.lint.finding import Edit, Span
from mldbg.lint.interpret import shapes
from mldbg.lint.shown import Sight, Sightings
from mldbg.operations import dtypes
from mldbg.operations.dtypes import FLOATS, INTEGERS
from mldbg.operations.shape import Shape, Tensor
from mldbg.operations.sizes import AnySize, Atom, Dim, Size, atom, atoms, replaced, said
from mldbg.operations.usual_axes import usual_axes
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.files import Source
    from mldbg.lint.interpret.address import Ref
    from mldbg.lint.interpret.module import Part
    from mldbg.lint.interpret.value import Record, Shaped, Trail, Value
    from mldbg.lint.run import Task

MOST_ELEMENTS = 6
"""Elements of a returned tuple that are annotated one by one."""

_TAKE_FLOATS = re.compile(
    r"torch\.nn\.(?:Bi)?(?:Linear|Conv(?:Transpose)?\dd|\w*Norm(?:\dd)?|LSTM|GRU|RNN|\w+Cell|MultiheadAttention|Transformer\w*)$"
)
"""Layers whose input and output are floats."""

_TAKE_PLACES = re.compile(r"torch\.nn\.Embedding(?:Bag)?$")

_FLOAT_MEANINGS = frozenset(
    {Semantic.LOGITS, Semantic.PROBS, Semantic.LOG_PROBS, Semantic.SCALAR_LOSS, Semantic.ADDITIVE_MASK, Semantic.UNIT_NORM}
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is put into the text of one function, and the names of jaxtyping that it uses."""

    edits: tuple[Edit, ...]
    families: frozenset[str]
    otherwise: Proposal | None = None
    """What is proposed where this contradicts the function: one name for sizes that it calls by one name, or only what it says
    by itself."""


def annotated(source: Source, seen: Sightings, task: Task) -> str | None:
    """The text of a file with all annotations that are certain and that add no finding; None where there are none."""
    text = source.text
    tensor = name_of_tensor(seen)
    if tensor is None or "jit.script" in text:  # torch.jit reads annotations, and knows no arrays
        return None
    proposals = [one for one in _proposals(seen, tensor) if one.families.isdisjoint(taken(seen))]
    if not proposals:
        return None
    is_harmless = engine.harmless(source, task.known, task.project())

    def with_all(several: Sequence[Proposal]) -> str:
        families = frozenset(name for one in several for name in one.families)
        edits = [edit for one in several for edit in one.edits]
        return engine.apply(text, [*missing(source, seen, families, tensor), *edits])

    def holds(several: Sequence[Proposal]) -> bool:
        return is_harmless(with_all(several))

    kept = _largest(proposals, holds)
    return with_all(kept) if kept else None


def _largest(proposals: Sequence[Proposal], holds: Callable[[Sequence[Proposal]], bool]) -> Sequence[Proposal]:
    """As many proposals as hold together: all, or what is left of both halves, put together one by one."""
    if not proposals or holds(proposals):
        return proposals
    if len(proposals) == 1:
        other = proposals[0].otherwise
        return _largest([other], holds) if other is not None else ()
    half = len(proposals) // 2
    first, second = _largest(proposals[:half], holds), _largest(proposals[half:], holds)
    if first and second and holds([*first, *second]):
        return [*first, *second]
    kept = list(first)
    for one in second:
        if not kept or holds([*kept, one]):
            kept.append(one)
    return kept


# --- what is proposed ---


def _proposals(seen: Sightings, tensor: str) -> Iterator[Proposal]:
    by_function: dict[cst.CSTNode, list[Sight]] = {}
    for sight in seen.sights.values():
        if sight.function is not None:
            by_function.setdefault(sight.function.node, []).append(sight)
    for node, sights in by_function.items():
        if type(node).__name__ == "FunctionDef":
            tries = [
                _Annotating(seen, sights, tensor, by_name=by_name, with_calls=with_calls).proposal()
                for with_calls in (True, False)
                for by_name in (False, True)
            ]
            several = [one for one in dict.fromkeys(tries) if one is not None]
            if several:
                yield reduce(lambda other, one: replace(one, otherwise=other), reversed(several))


Held = tuple[Hashable, "Value"]
"""A value, and the execution that it belongs to."""


class _Annotating:
    """Finds the annotations of one function.

    Args:
        seen: all that was seen in the file.
        sights: what was seen of the function.
        tensor: how the file calls `torch.Tensor`.
        by_name: whether sizes that have one name are one size.
        with_calls: whether calls count, where the function says nothing by itself.
    """

    def __init__(
        self, seen: Sightings, sights: Sequence[Sight], tensor: str, *, by_name: bool = False, with_calls: bool = True
    ) -> None:
        self.with_calls = with_calls
        self.seen = seen
        self.tensor = tensor
        self.own = [sight for sight in sights if sight.own]
        self.calls = seen.telling(sights)
        function = sights[0].function
        assert function is not None
        self.function = function
        self.node: cst.FunctionDef = function.node  # type: ignore[assignment]  # a lambda has none to annotate
        self.families: set[str] = set()
        self.passed: list[Held] = []
        """What calls have given to parameters so far: given to one more, as in `attend(x, x)`, it says nothing of that one."""
        self.axes = _Axes(self._attributes(), self._names(), by_name)

    def proposal(self) -> Proposal | None:
        """What is put into the text of the function; None where nothing is certain."""
        edits = [edit for edit in map(self._parameter, self._parameters()) if edit is not None]
        edit = self._result()
        if edit is not None:
            edits.append(edit)
        return Proposal(tuple(edits), frozenset(self.families)) if edits else None

    def _result(self) -> Edit | None:
        returns = self.node.returns
        if returns is not None and not _says_tensor(returns):
            return None
        families = set(self.families)
        text = self._returned()
        if text is None:
            return None
        if returns is not None and text.startswith("tuple"):
            self.families = families
            return None
        if returns is not None:
            return self._refined(returns, text)
        place = self._end_of_header()
        return inserted(self.seen.module.path, *place, f" -> {text}") if place is not None else None

    def _refined(self, annotation: cst.Annotation, text: str) -> Edit:
        """A hint that says no more than "a tensor" becomes one that says which; it stays one that allows None."""
        before = _text(annotation)
        bare = text.removesuffix(" | None")
        after = re.sub(_TENSOR, lambda _: bare, before)
        return Edit(self.part.span(annotation.annotation), after if "Optional" in before or "None" in before else text)

    @property
    def part(self) -> Part:
        """The part of the file that holds the function."""
        return self.function.part

    def _parameters(self) -> list[cst.Param]:
        params = self.node.params
        every = (*params.posonly_params, *params.params, *params.kwonly_params)
        return [one for one in every if one.annotation is None or _says_tensor(one.annotation)]

    def _parameter(self, param: cst.Param) -> Edit | None:
        default = param.default
        if default is not None and getattr(default, "value", None) != "None":
            return None
        own = [_held(sight) for sight in self.own if sight.seen.name == "ENTERED" and sight.name == param.name.value]
        calls = [_held(sight) for sight in self.calls if sight.seen.name == "ENTERED" and sight.name == param.name.value]
        text = self._annotation(own, own=True)
        if text is not None:
            self._learn_from_calls(text, calls)
        elif self.with_calls and not all(one in self.passed for one in calls):
            text = self._annotation(calls, own=False)
        self.passed += calls
        if text is None:
            return None
        if param.annotation is not None:
            return self._refined(param.annotation, text)
        span = self.part.span(param.name)
        if default is None:
            return inserted(span.path, span.end_line, span.end_column, f": {text}")
        until = self.part.span(default)
        optional = text if text.endswith("| None") else f"{text} | None"
        return Edit(Span(span.path, span.end_line, span.end_column, until.line, until.column), f": {optional} = ")

    def _learn_from_calls(self, annotation: str, calls: Sequence[Held]) -> None:
        """What the names are in the calls that the function gives to sizes by itself."""
        words = annotation.partition('"')[2].partition('"')[0].split()
        found = {execution: value.shaped.tensor.shape for execution, value in calls if value.shaped is not None}
        if not found or any(shape is None or shape.rank != len(words) for shape in found.values()):
            return
        each = [found.get(sight) for sight in dict.fromkeys(sight.execution for sight in self.calls)]
        for index, word in enumerate(words):
            if word.isidentifier():
                self.axes.in_calls.setdefault(word, tuple(one.front[index] if one is not None else None for one in each))

    def _returned(self) -> str | None:
        returns = _returns(self.node)
        if returns is None:
            return None
        own = [sight for sight in self.own if sight.seen.name == "RETURNED"]
        calls = [sight for sight in self.calls if sight.seen.name == "RETURNED"]
        all_own = {sight.site.node for sight in own} == returns
        if not self.with_calls or {sight.execution for sight in calls} != {sight.execution for sight in self.calls}:
            calls = []  # or one of them came to no end
        self.axes.of_result(self._arguments())
        before = replace(self.axes, bound=dict(self.axes.bound)), set(self.families)
        text = self._annotation([_held(sight) for sight in own], own=True) if all_own else None
        if text is not None and _unsaid(text) == (0, 0):
            return text
        after = self.axes, self.families
        self.axes, self.families = before
        finer = own[0].value if all_own and len(own) == 1 else None
        of_calls = self._annotation([_held(sight) for sight in calls], own=False, finer=finer)
        if of_calls is not None and (text is None or _unsaid(of_calls, in_calls=True) < _unsaid(text)):
            return of_calls
        self.axes, self.families = after
        return text

    # --- one annotation ---

    def _annotation(self, held: Sequence[Held], *, own: bool, finer: Value | None = None, is_element: bool = False) -> str | None:
        """The annotation that holds of all of several values; None where nothing is known of one of them."""
        present = [(execution, value) for execution, value in held if not value.is_none]
        if not present:
            return None
        families = set(self.families)
        text = self._of_tuples(present, own=own) or self._of_tensors(present, own=own, finer=finer)
        if text is None or (not is_element and _is_vague(text)):
            self.families = families
            return None
        optional = len(present) < len(held) or any(value.or_none for _, value in present)
        return f"{text} | None" if optional else text

    def _of_tuples(self, held: Sequence[Held], *, own: bool) -> str | None:
        from mldbg.lint.interpret.value import Items

        several = [
            [(execution, element) for element in value.thing.tail]
            for execution, value in held
            if isinstance(value.thing, Items) and value.thing.exact and value.thing.cls == "builtins.tuple"
        ]
        if len(several) != len(held) or len(set(map(len, several))) != 1 or len(several[0]) > MOST_ELEMENTS:
            return None
        found: list[str] = []
        for elements in zip(*several, strict=True):
            text = "None" if all(one.is_none for _, one in elements) else self._annotation(elements, own=own, is_element=True)
            if text is None:
                return None
            found.append(text)
        return f"tuple[{', '.join(found)}]" if any(text != "None" for text in found) else None

    def _of_tensors(self, held: Sequence[Held], *, own: bool, finer: Value | None) -> str | None:
        by_execution: dict[Hashable, Shaped] = {}
        for execution, value in held:
            one = value.shaped
            if one is not None and execution in by_execution:
                one = shapes.joined(by_execution[execution], one)
            if one is None or one.is_array or one.is_table or one.tensor.shape is None:
                return None
            by_execution[execution] = one
        both = _common(list(by_execution.values()))
        if both is None or both.tensor.shape is None:
            return None
        sights = self.own if own else self.calls
        order = list(dict.fromkeys(sight.execution for sight in sights))
        each = [by_execution[one].tensor.shape if one in by_execution else None for one in order]
        known = finer.shaped.tensor.shape if finer is not None and finer.shaped is not None else None
        layer = None if self.axes.is_result else self._layer_of(held[0][1])
        axes = self.axes.text(both.tensor.shape, each, known, own=own, usual=_usual_names(layer, both.tensor.shape))
        if axes is None:
            return None
        family = self._family(both.tensor, [value for _, value in held])
        self.families.add(family)
        return f'{family}[{self.tensor}, "{axes}"]'

    def _family(self, tensor: Tensor, values: Sequence[Value]) -> str:
        if tensor.dtype is not None:
            return _family_of(tensor.dtype)
        if all(value.meaning in _FLOAT_MEANINGS for value in values):
            return "Float"
        layers = [self._layer_of(value) for value in values]
        if all(layer is not None and _TAKE_FLOATS.match(layer) for layer in layers):
            return "Float"
        return "Int" if all(layer is not None and _TAKE_PLACES.match(layer) for layer in layers) else "Shaped"

    def _layer_of(self, value: Value) -> str | None:
        """The class of a layer that a value goes into, or comes out of."""
        ref = shown.identity(value)
        if ref in self.seen.inputs:
            return self.seen.inputs[ref]
        places: list[Hashable] = [value.origin, *_sites(value.shaped.ladder if value.shaped is not None else None)]
        return next((self.seen.outputs[place] for place in places if place in self.seen.outputs), None)

    # --- names of sizes ---

    def _attributes(self) -> dict[Dim, str]:
        """The sizes that attributes of `self` hold whenever the function begins, and how they are written."""
        executions = {sight.execution for sight in self.own}
        found: list[dict[Dim, str]] = []
        for execution in executions:
            known = self.seen.receivers.get(execution)
            if known is not None:
                found.append(dict(_sizes_of(*known)))
        if len(found) != 1 or self.function.owner is None:
            return {}
        return found[0]

    def _names(self) -> dict[Dim, str]:
        """The sizes that the function gives a name: `b = x.size(0)`."""
        found: dict[Dim, str] = {}
        for sight in self.own:
            if sight.seen.name == "ASSIGNED" and isinstance(sight.value.size, Size) and sight.name.isidentifier():
                found.setdefault(sight.value.size, sight.name)
        return found

    def _arguments(self) -> dict[Dim, str]:
        """The sizes that parameters of the function are."""
        found: dict[Dim, str] = {}
        for sight in self.own:
            if sight.seen.name == "ENTERED" and sight.name not in ("self", "cls"):
                size = shapes.size_of(sight.value)
                if isinstance(size, Size):
                    found.setdefault(size, sight.name)
        return found

    def _end_of_header(self) -> tuple[int, int] | None:
        """Where the parenthesis stands that closes the parameters; the place behind it."""
        start = self.part.span(self.node.name)
        lines = self.seen.module.outline.lines[start.line - 1 :]
        text = lines[0][start.column - 1 :], *lines[1:]
        depth = 0
        try:
            for token in tokenize.generate_tokens(io.StringIO("".join(text)).readline):
                if token.type == tokenize.OP and token.string in "([{":
                    depth += 1
                elif token.type == tokenize.OP and token.string in ")]}":
                    depth -= 1
                    if depth == 0 and token.string == ")":
                        line, column = token.end
                        return start.line + line - 1, column + (start.column if line == 1 else 1)
        except (tokenize.TokenError, IndentationError, SyntaxError):
            pass
        return None


def _held(sight: Sight) -> Held:
    return sight.execution, sight.value


def _common(several: Sequence[Shaped]) -> Shaped | None:
    """What is known of a tensor that is one of several."""
    both: Shaped | None = several[0]
    for one in several[1:]:
        both = shapes.joined(both, one)
    return both


def _usual_names(layer: str | None, shape: Shape | None) -> Sequence[str]:
    """What people call the axes of a tensor that goes into a layer; none where its axes may have another order."""
    return () if shape is None or shape.rest is not None else usual_axes(layer, len(shape.front))


def _family_of(dtype: str) -> str:
    if dtype in INTEGERS:
        return "UInt" if dtype.startswith("u") else "Int"
    if dtype in FLOATS:
        return "Float"
    return {"float": "Float", "int": "Integer", "bool": "Bool", "complex": "Complex"}.get(dtypes.kind(dtype) or "", "Shaped")


_TENSOR = r"(?:torch\.)?Tensor"

_ONLY_TENSOR = re.compile(rf"{_TENSOR}|(?:typing\.)?Optional\[{_TENSOR}\]|{_TENSOR} ?\| ?None|None ?\| ?{_TENSOR}")


def _text(annotation: cst.Annotation) -> str:
    from mldbg.lint.interpret.source_text import code

    return code(annotation.annotation)


def _says_tensor(annotation: cst.Annotation) -> bool:
    """Whether a hint says that something is a tensor, or None, and no more."""
    return _ONLY_TENSOR.fullmatch(_text(annotation)) is not None


def _sites(trail: Trail | None) -> Iterator[Hashable]:
    while trail is not None:
        yield trail.site
        trail = trail.before


def _sizes_of(receiver: Ref, record: Record) -> Iterator[tuple[Dim, str]]:
    """What `self.d` and `self.config.d` stand for."""
    from mldbg.lint.interpret.address import Made
    from mldbg.lint.interpret.value import Object

    for name, value in record.items():
        if not isinstance(name, str):
            continue
        size = shapes.size_of(value)
        if isinstance(size, Size):
            yield size, f"self.{name}"
        if isinstance(value.thing, Object) and value.thing.cls is None:
            for inner in list(value.thing.ref.made.values()):
                if inner.kind is Made.ATTRIBUTE and inner.whole is value.thing.ref and isinstance(inner.detail, str):
                    yield atom(inner.detail, inner, positive=False), f"self.{name}.{inner.detail}"


def _returns(node: cst.FunctionDef) -> set[cst.CSTNode] | None:
    """The return statements of a function; None where it yields, or may end without one."""
    import libcst as cst

    found: set[cst.CSTNode] = set()
    todo: list[cst.CSTNode] = [node.body]
    while todo:
        each = todo.pop()
        if isinstance(each, cst.Yield):
            return None
        if isinstance(each, cst.Return):
            found.add(each)
        if not isinstance(each, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            todo.extend(each.children)
    return found if found and _leaves(node.body) and node.asynchronous is None else None


def _leaves(body: cst.BaseSuite | cst.If | cst.Else) -> bool:
    """Whether control never comes to the end of a block."""
    import libcst as cst

    suite = body.body if isinstance(body, cst.If | cst.Else) else body
    last = suite.body[-1] if suite.body else None
    if isinstance(last, cst.SimpleStatementLine):
        last = last.body[-1]
    if isinstance(last, cst.Return | cst.Raise):
        return True
    if isinstance(last, cst.With):
        return _leaves(last.body)
    if isinstance(last, cst.If):
        return last.orelse is not None and _leaves(last) and _leaves_else(last.orelse)
    return False


def _leaves_else(orelse: cst.If | cst.Else) -> bool:
    import libcst as cst

    return _leaves(orelse) and (not isinstance(orelse, cst.If) or (orelse.orelse is not None and _leaves_else(orelse.orelse)))


# --- axes ---

Several = tuple[Dim | None, ...]
"""The size of an axis in each execution of a function; None where there is no such tensor."""


@dataclass(slots=True)
class _Axes:
    """Writes the axes of one function: a size has the same name wherever it stands.

    Attributes:
        attributes: sizes that attributes of `self` hold.
        names: sizes that the function names.
        by_name: whether sizes that have one name are one size.
        bound: the names that axes have got so far.
        in_calls: what the names that a function gives to sizes by itself are in its calls.
        leading: the size of the first axis in the calls of a function that says nothing of it by itself.
        is_result: whether what is written is about the result: then names that nobody knows are left out.
        usual: what people call the axes of the tensor that is written.
    """

    attributes: Mapping[Dim, str]
    names: Mapping[Dim, str]
    by_name: bool
    bound: dict[str, Several] = field(default_factory=dict)
    in_calls: dict[str, Several] = field(default_factory=dict)
    leading: Dim | None = None
    is_result: bool = False
    usual: Sequence[str] = ()

    def of_result(self, arguments: Mapping[Dim, str]) -> None:
        """What is written from here on is about the result, where arguments may be used as sizes."""
        self.is_result = True
        self.attributes = {**arguments, **self.attributes}

    def text(
        self, shape: Shape, each: Sequence[Shape | None], finer: Shape | None, *, own: bool, usual: Sequence[str] = ()
    ) -> str | None:
        """The axes as one string; None where it would say nothing.

        Args:
            shape: what all executions have in common.
            each: the shape in each execution.
            finer: what the function knows by itself of what its calls have as numbers.
            own: whether the function was executed by itself.
            usual: what people call such axes, where the code does not say.
        """
        self.usual = usual
        closed = shape.rest is None and all(one is None or one.rest is None for one in each)
        words: list[str] = []
        for index, dim in enumerate(shape.front):
            several = tuple(one.front[index] if one is not None else None for one in each) if closed else (dim,) * len(each)
            better = _known_at(finer, index, len(shape.front)) if closed and isinstance(dim, int) else None
            if better is not None:
                words.append(self._axis((better,), own=True))
            else:
                word = self._axis(several, own=own, first=index == 0 and len(shape.front) > 1)
                words.append(self._usual(index, several) if word == "_" else word)
        if shape.rest is None:
            return " ".join(words)
        named = shape.rest.key is not None and shape.rest.name.isidentifier()
        back = [self._axis((dim,) * len(each), own=own) for dim in shape.back]
        while back and back[0] == "_":
            del back[0]
        if not named and not any(word != "_" for word in (*words, *back)):
            return None
        return " ".join([*words, f"*{shape.rest.name}" if named else "...", *back])

    def _axis(self, several: Several, *, own: bool, first: bool = False) -> str:
        """One axis, whose size is known in each execution."""
        dims = [dim for dim in dict.fromkeys(several) if isinstance(dim, int | Size)]
        if not dims or any(isinstance(dim, AnySize) for dim in several):
            return "_"
        known = next((name for name, held in self.in_calls.items() if _agree(held, several)), None) if not own else None
        if known is not None:
            return known
        if len(dims) > 1:
            names = {name_of(dim) if isinstance(dim, Size) else None for dim in dims}
            only = next(iter(names)) if len(names) == 1 else None
            return self._name(only or ("n" if first else "d"), several)
        dim = dims[0]
        if isinstance(dim, int):
            return str(dim) if own or not first else self._leading(dim, several)
        if own and dim in self.attributes:
            return f"{{{self.attributes[dim]}}}"
        name = self.names.get(dim) if own else None
        if name is None:
            name = name_of(dim)
            if name is not None and own and self.is_result and not self._is_spoken_of(dim, several):
                return "_"
        if name is not None:
            return self._name(name, several)
        return self._expression(dim) if own else self._name("d", several)

    def _usual(self, index: int, several: Several) -> str:
        """The name that people give to an axis for which the code has none; the result has only those of parameters."""
        is_known = not any(isinstance(dim, AnySize) for dim in several) and any(isinstance(dim, Size) for dim in several)
        if is_known:
            before = next((name for name, held in self.bound.items() if _agree(held, several)), None)
            if before is not None:
                return before
        if self.is_result or index >= len(self.usual):
            return "_"
        name = self.usual[index]
        return self._name(name, several if is_known else (atom(name, ("unknown", len(self.bound))),))

    def _is_spoken_of(self, dim: Dim, several: Several) -> bool:
        """Whether a name stands in an annotation of a parameter, or is that of an argument of the class."""
        from mldbg.lint.interpret.address import Made, Ref

        keys = [each.key for each in atoms(dim)]
        of_class = all(isinstance(key, Ref) and key.kind in (Made.PARAMETER, Made.ATTRIBUTE) for key in keys)
        return several in self.bound.values() or of_class

    def _leading(self, dim: int, several: Several) -> str:
        """The first of several axes is that of a batch, as a rule: the calls of one file say little of its size."""
        if self.leading is None:
            self.leading = dim
        return self._name("n", several) if self.leading == dim else str(dim)

    def _name(self, name: str, several: Several) -> str:
        if not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name) or hasattr(builtins, name):
            return "_"
        for number in count(1):
            each = name if number == 1 else f"{name}{number}"
            held = self.bound.setdefault(each, several)
            if self.by_name or _agree(held, several):
                return each
        raise AssertionError

    def _expression(self, dim: Size) -> str:
        """`4*d` where `d` is a name that stands before, or an attribute."""
        values: dict[Atom, Dim] = {}
        by_size = {several[0]: name for name, several in self.bound.items() if len(several) == 1}
        for each in atoms(dim):
            size = atom(each.name, each.key, scope=each.scope)
            attribute = self.attributes.get(size)
            name = f"{{{attribute}}}" if attribute is not None else by_size.get(size)
            if name is None:
                return "_"
            values[each] = atom(name, ("written", name))
        text = said(replaced(dim, values)).replace(" ", "")
        return text if _is_axis(text) else "_"


def _known_at(shape: Shape | None, index: int, rank: int) -> Size | None:
    """The size that a shape with open axes has at one of so many axes, where it says one by a name."""
    if shape is None:
        return None
    dim = shape.front[index] if index < len(shape.front) else None
    if dim is None and shape.rest is not None and rank - index <= len(shape.back):
        dim = shape.back[index - rank]
    return dim if isinstance(dim, Size) else None


def _agree(one: Several, two: Several) -> bool:
    """Whether two axes have the same size in each execution that has both."""
    both = [(a, b) for a, b in zip(one, two, strict=False) if a is not None and b is not None]
    return len(one) == len(two) and bool(both) and all(a == b for a, b in both)


def _is_vague(annotation: str) -> bool:
    """Whether an annotation says no size of any axis."""
    every = re.findall(r'"([^"]*)"', annotation)
    return all(axes and {"_", "..."}.issuperset(axes.split()) for axes in every)


def _unsaid(annotation: str, *, in_calls: bool = False) -> tuple[int, int]:
    """What an annotation leaves open: how many axes there are, and how many have no name. A number in calls is only theirs."""
    words = [word for axes in re.findall(r'"([^"]*)"', annotation) for word in axes.split()]
    is_open = any(word == "..." or word.startswith("*") for word in words)
    return int(is_open), sum(word == "_" or (in_calls and word.isdigit()) for word in words)


def _is_axis(text: str) -> bool:
    from mldbg.operations import dims

    try:
        return len(dims.parsed(text)) == 1
    except ValueError:
        return False


def name_of(size: Size) -> str | None:
    """The name that a size consists of."""
    found = atoms(size)
    only = next(iter(found)) if len(found) == 1 else None
    return only.name if only is not None and size == atom(only.name, only.key, scope=only.scope) else None
