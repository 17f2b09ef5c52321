"""Array annotations as the program's own statements about its values: on parameters, results, variables and fields.

The names of axes belong to one call of a function. Where they meet a value whose shape is known, they stand for its sizes; where
nothing is known of the value, it has the sizes that are declared, and each name is a size of its own.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import libcst as cst

from mldbg.lint.interpret.address import Made, Ref, Site, site_of
from mldbg.lint.interpret.classes import Classes
from mldbg.lint.interpret.facts import Contradiction, Promise
from mldbg.lint.interpret.frames import Frame
from mldbg.lint.interpret.machine import Machine
from mldbg.lint.interpret.shapes import size_of
from mldbg.lint.interpret.source_text import code
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ArrayType,
    ClassThing,
    Constant,
    Declared,
    Function,
    Items,
    Object,
    Shaped,
    Symbol,
    Unknown,
    Value,
    first_step,
    onward,
)
from mldbg.lint.library.names import says_batch
from mldbg.operations import dims, dtypes
from mldbg.operations.annotations import computed, family_of, kind_of
from mldbg.operations.families import FAMILIES
from mldbg.operations.shape import Rest, Shape, Tensor, counted
from mldbg.operations.sizes import ANY, AnySize, Dim, Size, atom, atoms, said, same
from mldbg.semantics import Semantic

MOST_OPTIONS = 8
"""Array types of a union that are told apart."""

_OPTIONAL = frozenset({"typing.Optional", "typing.Union", "typing.Annotated", "typing_extensions.Annotated", "typing.Final"})
_TUPLES = frozenset({"builtins.tuple", "typing.Tuple"})
_CONTRARY: dict[Semantic, frozenset[Semantic]] = {
    Semantic.LOGITS: frozenset({Semantic.PROBS, Semantic.UNIT_INTERVAL, Semantic.LOG_PROBS}),
    Semantic.PROBS: frozenset({Semantic.LOGITS, Semantic.LOG_PROBS}),
    Semantic.LOG_PROBS: frozenset({Semantic.LOGITS, Semantic.PROBS, Semantic.UNIT_INTERVAL, Semantic.NON_NEGATIVE}),
    Semantic.UNIT_INTERVAL: frozenset({Semantic.LOGITS, Semantic.LOG_PROBS}),
    Semantic.NON_NEGATIVE: frozenset({Semantic.LOGITS, Semantic.LOG_PROBS}),
    Semantic.KEEP_MASK: frozenset({Semantic.DROP_MASK}),
    Semantic.DROP_MASK: frozenset({Semantic.KEEP_MASK}),
}
"""For each meaning that may be declared the meanings that contradict it."""

_OF_TYPE = "its elements are of type"

Sizes = dict[str, Dim | tuple[Dim, ...] | Rest]
"""What the names of one call stand for; a name after `*` for several sizes, or for any number of them."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A class of the project whose fields are arrays: a dataclass, a NamedTuple."""

    cls: ClassThing
    of: tuple[tuple[str, cst.Annotation, Declared], ...]


Declaration = Declared | Fields | tuple["Declaration | None", ...]
"""What an annotation says of arrays: one array, an object that holds some, or a tuple with arrays in it."""


class Declarations:
    """Reads array annotations, and holds values against them.

    Args:
        machine: the machine.
        classes: says what a class derives from.
    """

    def __init__(self, machine: Machine, classes: Classes) -> None:
        self._machine = machine
        self._classes = classes
        self.shapes = False
        """Whether shapes are followed, and not only meanings."""

    # --- reading ---

    def of(self, node: cst.BaseExpression | cst.Annotation | None) -> Declaration | None:
        """What an annotation says of arrays; None where it says nothing of any."""
        if node is None:
            return None
        expression = node.annotation if isinstance(node, cst.Annotation) else node
        kept = self._machine.frame.part.kept
        key = ("declared", expression)
        if key not in kept:
            kept[key] = None  # an alias of itself
            kept[key] = self._read(expression)
        found: Declaration | None = kept[key]
        return found

    def _read(self, node: cst.BaseExpression) -> Declaration | None:
        if isinstance(node, cst.SimpleString):
            return self._read_text(node.evaluated_value)
        if isinstance(node, cst.BinaryOperation) and isinstance(node.operator, cst.BitOr):
            return _either(self._read(node.left), self._read(node.right))
        if isinstance(node, cst.Subscript):
            return self._read_subscript(node)
        if isinstance(node, cst.Name | cst.Attribute):
            thing = self._machine.now(node).thing
            if isinstance(thing, ClassThing):
                return self.fields(thing)
            return thing if isinstance(thing, Declared) else None
        return None

    def fields(self, cls: ClassThing) -> Fields | None:
        """The fields of a class that are arrays; None where it has none."""
        kept = cls.part.kept
        key = ("fields", cls.name)
        if key not in kept:
            kept[key] = None
            kept[key] = self._fields(cls)
        found: Fields | None = kept[key]
        return found

    def _fields(self, cls: ClassThing) -> Fields | None:
        lines = [line for line in cls.node.body.body if isinstance(line, cst.SimpleStatementLine)]
        found = []
        with self._machine.in_module(cls.part.module):
            self._machine.frame.part = cls.part
            for statement in (one for line in lines for one in line.body if isinstance(one, cst.AnnAssign)):
                declaration = self.of(statement.annotation) if isinstance(statement.target, cst.Name) else None
                if isinstance(declaration, Declared) and isinstance(statement.target, cst.Name):
                    found.append((statement.target.value, statement.annotation, declaration))
        return Fields(cls, tuple(found)) if found else None

    def built(self, cls: ClassThing, ref: Ref, site: Site) -> None:
        """Hold the fields of a new object against their annotations; the names of axes belong to the object."""
        if not self.shapes:
            return
        classes = [one for one in reversed(list(self._classes.ancestors(cls))) if isinstance(one, ClassThing)]
        several = [fields for one in classes if (fields := self.fields(one)) is not None]
        frame = Frame(ref, cls.part, None)
        for name, node, declaration, owner in ((*field, fields.cls) for fields in several for field in fields.of):
            value = self._machine.state.get(ref, name)
            if value is not None:
                here = site_of(owner.part, node)
                kept = self.held(declaration, value, frame, here, Promise.ARGUMENT, name, site)
                if kept is not value:
                    self._machine.state.set(ref, name, kept)

    def _read_text(self, text: object) -> Declaration | None:
        """An annotation in quotes."""
        if not isinstance(text, str) or ("[" not in text and not text.isidentifier()):
            return None
        try:
            return self._read(cst.parse_expression(text.strip()))
        except (cst.ParserSyntaxError, cst.CSTValidationError):
            return None

    def _read_subscript(self, node: cst.Subscript) -> Declaration | None:
        base = self._machine.now(node.value).thing
        elements = [one.slice.value for one in node.slice if isinstance(one.slice, cst.Index)]
        if isinstance(base, Declared):
            return base
        if not isinstance(base, Symbol) or len(elements) != len(node.slice):
            return None
        if family_of(base.name) is not None and len(elements) == 2:
            return self._array(base.name, elements[0], self._machine.now(elements[1]))
        if base.name in _OPTIONAL:
            found = [self._read(one) for one in elements]
            return found[0] if base.name.endswith(("Annotated", "Final")) else _either(*found)
        if base.name in _TUPLES:
            if any(isinstance(one, cst.Ellipsis) for one in elements):
                return None
            several = tuple(self._read(one) for one in elements)
            return several if any(one is not None for one in several) else None
        return None

    def _array(self, name: str, of: cst.BaseExpression, axes: Value) -> Declared | None:
        inner = self._read(of) if isinstance(of, cst.Subscript | cst.Name | cst.Attribute) else None
        return declared(name, axes, inner if isinstance(inner, Declared) else None)

    def names_sizes(self, function: Function) -> bool:
        """Whether a function says by names what sizes it works for: then it is worth a look with no particular ones."""
        return self.shapes and any(True for _ in self._annotated(function))

    # --- parameters ---

    def bind(self, function: Function, frame: Frame) -> None:
        """Hold the parameters of a function that is entered against their annotations; they are bound already."""
        found = list(self._annotated(function))
        if not found:
            return
        waiting = []
        for name, node, declaration in found:
            value = self._machine.state.get(frame.ref, name)
            if value is None or value.is_none or isinstance(value.thing, Constant):
                continue
            if value.shaped is None or value.shaped.tensor.shape is None:
                waiting.append((name, node, declaration, value))
            else:
                self._bind_one(frame, name, node, declaration, value)
        for each in waiting:
            self._bind_one(frame, *each)

    def _annotated(self, function: Function) -> Iterator[tuple[str, cst.Annotation, Declaration]]:
        params = function.node.params
        for parameter in (*params.posonly_params, *params.params, *params.kwonly_params):
            if parameter.annotation is not None:
                declaration = self.of(parameter.annotation)
                if declaration is not None:
                    yield parameter.name.value, parameter.annotation, declaration

    def _bind_one(self, frame: Frame, name: str, node: cst.Annotation, declaration: Declaration, value: Value) -> None:
        call = frame.context.site if frame.context is not None and not frame.assumed else None
        kept = self.held(declaration, value, frame, self._machine.site(node), Promise.ARGUMENT, name, call)
        if kept is not value:
            self._machine.state.set(frame.ref, name, kept)

    # --- results and variables ---

    def returned(self, value: Value, site: Site) -> Value:
        """A value that a function returns, held against its annotation."""
        function = self._machine.frame.function
        node = function.node if function is not None else None
        if not isinstance(node, cst.FunctionDef) or node.returns is None or self._machine.frame.yields:
            return value
        declaration = self.of(node.returns)
        if declaration is None:
            return value
        return self.held(
            declaration, value, self._machine.frame, self._machine.site(node.returns), Promise.RETURN, node.name.value, site
        )

    def assigned(self, annotation: cst.Annotation | cst.BaseExpression, name: str, value: Value, site: Site) -> Value:
        """A value that an annotated name gets, or that `check` is given."""
        declaration = self.of(annotation)
        if declaration is None:
            return value
        return self.held(declaration, value, self._machine.frame, self._machine.site(annotation), Promise.ASSIGNMENT, name, site)

    def checked(self, value: Value, annotation: Value, site: Site) -> Value:
        """`check(x, Float[Tensor, "b d"])`"""
        if not isinstance(annotation.thing, Declared):
            return value
        node = site.node
        name = code(node.args[0].value) if isinstance(node, cst.Call) and node.args else "the value"
        return self.held(annotation.thing, value, self._machine.frame, site, Promise.ASSIGNMENT, name, site)

    # --- holding values against a declaration ---

    def held(
        self, declaration: Declaration, value: Value, frame: Frame, here: Site, where: Promise, name: str, site: Site | None
    ) -> Value:
        """The value with what the declaration adds to it; a contradiction is told."""
        if isinstance(declaration, tuple):
            items = value.thing if isinstance(value.thing, Items) and value.thing.exact else None
            if items is None or len(items.tail) != len(declaration):
                return value
            tail = tuple(
                item if one is None else self.held(one, item, frame, here, where, name, site)
                for one, item in zip(declaration, items.tail, strict=True)
            )
            return replace(value, thing=replace(items, tail=tail))
        if isinstance(declaration, Fields):
            return self._with_fields(declaration, value, frame, site)
        if isinstance(value.thing, Constant | Items) or value.is_none:
            return value
        value = self._with_meaning(declaration, value, here, where, name, site)
        if not self.shapes:
            return value
        return self._with_shape(declaration, value, frame, here, where, name, site)

    def _with_fields(self, declaration: Fields, value: Value, frame: Frame, site: Site | None) -> Value:
        """An object of which nothing is known has arrays of the declared shapes as its fields.

        Its names of axes mean the same as those of the function that takes it, where they share any.
        """
        if not isinstance(value.thing, Object) or value.thing.cls is not None or not self.shapes:
            return value
        ref = value.thing.ref
        words = {name for _, _, one in declaration.of for option in one.options for name in option.axes.split()}
        shared = not words.isdisjoint(frame.axes)
        inner = frame if shared else Frame(ref, declaration.cls.part, None)
        for name, node, one in declaration.of:
            if self._machine.state.get(ref, name) is None:
                unknown = Value(Object(ref.inside(Made.ATTRIBUTE, name)), origin=ref.inside(Made.ATTRIBUTE, name))
                here = site_of(declaration.cls.part, node)
                self._machine.state.ensure(ref.inside(Made.ATTRIBUTE, name))
                held = self.held(one, unknown, inner, here, Promise.ARGUMENT, name, site)
                self._machine.state.set(ref, name, held)
        return value

    def _with_meaning(
        self, declaration: Declared, value: Value, here: Site, where: Promise, name: str, site: Site | None
    ) -> Value:
        meanings = {option.meaning for option in declaration.options}
        meaning = next(iter(meanings)) if len(meanings) == 1 else None
        if meaning is None or value.among is not None:
            return value
        if value.meaning is None:
            trail = first_step(here, f"declared as {meaning.words}")
            plain = isinstance(value.thing, Unknown) or (isinstance(value.thing, Object) and value.thing.cls is None)
            return replace(value, meaning=meaning, axes=replace(value.axes, along=-1), trail=trail) if plain else value
        if value.meaning in _CONTRARY.get(meaning, ()) and not value.scaled:
            self._tell(here, where, name, value, "", site, meaning)
            return replace(value, meaning=meaning, trail=first_step(here, f"declared as {meaning.words}"))
        return value

    def _with_shape(
        self, declaration: Declared, value: Value, frame: Frame, here: Site, where: Promise, name: str, site: Site | None
    ) -> Value:
        tensor = value.shaped.tensor if value.shaped is not None else Tensor()
        reasons: list[str] = []
        fitting: list[tuple[ArrayType, Sizes]] = []
        for option in declaration.options:
            sizes: Sizes = dict(frame.axes)
            reason = self._reason(option, tensor, sizes, frame)
            if reason is None:
                fitting.append((option, sizes))
            else:
                reasons.append(reason)
        if not fitting:
            self._tell(here, where, name, value, reasons[0], site)
            if where is Promise.ASSIGNMENT:
                return value
            fitting = [(declaration.options[0], dict(frame.axes))] if len(declaration.options) == 1 else []
            tensor = Tensor()
        if len(fitting) != 1:
            return value
        option, sizes = fitting[0]
        known = tensor.shape
        shape = self._declared_shape(option, sizes, frame)
        if where is not Promise.RETURN:  # what a name stands for in the result only may be another size at each return
            frame.axes.update(sizes)
        if known is not None and known.rest is None:
            shape = _finer(known, shape)
        dtype = tensor.dtype if tensor.dtype is not None else kind_of(option.family)
        made = Tensor(shape, dtype)
        if value.shaped is not None and value.shaped.tensor == made:
            return value
        ladder = value.shaped.ladder if value.shaped is not None else None
        text = f"declared as {option.family}[{option.axes!r}]"
        is_array = value.shaped.is_array if value.shaped is not None else False
        if known is None:
            ladder = onward(ladder, here, f"{text}: {shape}")
        return replace(value, shaped=Shaped(made, ladder, is_array=is_array), size=None)

    def _tell(
        self,
        here: Site,
        where: Promise,
        name: str,
        value: Value,
        reason: str,
        site: Site | None,
        meaning: Semantic | None = None,
    ) -> None:
        annotation = _said(here.node)
        place = self._machine.place(site or here)
        of_type = reason.startswith(_OF_TYPE)
        told = Contradiction(place, where, name, annotation, here, value, reason, meaning, of_type)
        self._machine.facts.append(told)

    def _reason(self, option: ArrayType, tensor: Tensor, sizes: Sizes, frame: Frame) -> str | None:
        """Why a tensor is not of this type; `sizes` learns what the names stand for."""
        allowed = FAMILIES.get(option.family, frozenset())
        if tensor.dtype is not None and allowed:
            exact = tensor.dtype in allowed
            kinds = {dtypes.kind(name) for name in allowed}
            if not exact and (dtypes.kind(tensor.dtype) not in kinds or tensor.dtype in FAMILIES["Shaped"]):
                return f"{_OF_TYPE} {tensor.dtype}"
        axes = _parsed(option.axes)
        if axes is None or tensor.shape is None:
            return None
        return self._reason_of_axes(axes, tensor.shape, sizes, frame)

    def _reason_of_axes(self, axes: tuple[dims.Dim, ...], shape: Shape, sizes: Sizes, frame: Frame) -> str | None:
        several = next((index for index, axis in enumerate(axes) if isinstance(axis, dims.Several)), None)
        if shape.rest is not None:
            return self._reason_of_open(axes, shape, sizes, frame, several)
        have = shape.front
        least = len(axes) - (several is not None)
        if len(have) < least or (several is None and len(have) != least):
            more = " or more" if several is not None else ""
            return f"it has {counted(len(have), 'axis', 'axes')}, {shape}, and {least}{more} are declared"
        if several is None:
            pairs = list(zip(axes, have, strict=True))
        else:
            after = len(axes) - several - 1
            middle = have[several : len(have) - after]
            reason = _reason_of_several(axes[several], middle, sizes)
            if reason is not None:
                return reason
            pairs = [
                *zip(axes[:several], have[:several], strict=True),
                *zip(axes[several + 1 :], have[len(have) - after :], strict=True),
            ]
        return next((text for axis, size in pairs if (text := self._reason_of_axis(axis, size, shape, sizes, frame))), None)

    def _reason_of_open(
        self, axes: tuple[dims.Dim, ...], shape: Shape, sizes: Sizes, frame: Frame, several: int | None
    ) -> str | None:
        """The same for a shape with an unknown number of axes, as far as both are known from one end."""
        if several is None and len(axes) < shape.least_rank:
            return f"it has at least {counted(shape.least_rank, 'axis', 'axes')}, {shape}, and {len(axes)} are declared"
        front = axes if several is None else axes[:several]
        back = axes if several is None else axes[several + 1 :]
        pairs = [*zip(front, shape.front, strict=False), *zip(back[::-1], shape.back[::-1], strict=False)]
        return next((text for axis, size in pairs if (text := self._reason_of_axis(axis, size, shape, sizes, frame))), None)

    def _reason_of_axis(self, axis: dims.Dim, size: Dim, shape: Shape, sizes: Sizes, frame: Frame) -> str | None:
        if getattr(axis, "broadcast", False) and size == 1:
            return None
        wanted: Dim = ANY
        match axis:
            case dims.Fixed(size=number):
                wanted = number
            case dims.Named(name=name):
                known = sizes.get(name)
                if not isinstance(known, int | Size):
                    sizes[name] = size
                    return None
                wanted = known
                if _is_other_batch(name, size, known, frame):
                    return f"it has shape {shape}, where the axis {name!r} of any size is declared for size {said(size)}"
            case dims.Symbolic():
                wanted = self._computed(axis, sizes, frame)
        if same(size, wanted) is not False:
            return None
        equal = f" = {said(wanted)}" if said(wanted) != axis.text.lstrip("#") else ""
        return f"it has shape {shape}, where {axis.text.lstrip('#')!r}{equal} is declared for size {said(size)}"

    def _declared_shape(self, option: ArrayType, sizes: Sizes, frame: Frame) -> Shape | None:
        """The shape that an annotation describes; names without a size get one of their own."""
        axes = _parsed(option.axes)
        if axes is None:
            return None
        found: list[Dim] = []
        front: tuple[Dim, ...] = ()
        rest: Rest | None = None
        for axis in axes:
            match axis:
                case dims.Several(name=name):
                    known = sizes.get("*" + name) if name else None
                    if isinstance(known, tuple):
                        found += known
                        continue
                    if name and not isinstance(known, Rest):
                        known = sizes["*" + name] = Rest(name, (frame.ref, name))
                    front, found, rest = tuple(found), [], known if isinstance(known, Rest) else Rest()
                case dims.Fixed(size=number, broadcast=False):
                    found.append(number)
                case dims.Named(name=name, broadcast=False):
                    if name not in sizes:
                        sizes[name] = atom(name, (frame.ref, name), scope=frame.ref)
                    size = sizes[name]
                    found.append(size if isinstance(size, int | Size) else ANY)
                case dims.Symbolic(broadcast=False):
                    found.append(self._computed(axis, sizes, frame))
                case _:
                    found.append(ANY)
        return Shape(tuple(found)) if rest is None else Shape(front, rest, tuple(found))

    def _computed(self, axis: dims.Symbolic, sizes: Mapping[str, object], frame: Frame) -> Dim:
        names: dict[str, Dim] = {name: size for name, size in sizes.items() if isinstance(size, int | Size)}
        return computed(axis, names, lambda node: self._argument(node, frame))

    def _argument(self, node: ast.expr, frame: Frame) -> Dim:
        """`self.d` of `{self.d}`."""
        size = size_of(self._value(node, frame))
        return ANY if size is None else size

    def _value(self, node: ast.expr, frame: Frame) -> Value:
        if isinstance(node, ast.Name):
            return self._machine.state.get(frame.ref, node.id.removeprefix(dims.ARGUMENT)) or UNKNOWN
        if isinstance(node, ast.Attribute):
            base = self._value(node.value, frame)
            site = frame.context.site if frame.context is not None else None
            if base is UNKNOWN or site is None:
                return UNKNOWN
            return self._machine.force(self._machine.attribute(base, node.attr, site))
        return UNKNOWN


def declared(name: str, axes: Value, inner: Declared | None = None) -> Declared | None:
    """The array type that `Float[Tensor, "batch d"]` is; `inner`: of `Float[Image, "batch"]` what `Image` is.

    An annotation that cannot be read says nothing.
    """
    known = family_of(name)
    if known is None or not isinstance(axes.constant, str):
        return None
    family, meaning = known
    text = axes.constant
    if inner is not None:
        if len(inner.options) != 1:
            return None
        text = f"{text} {inner.options[0].axes}"
        meaning = meaning or inner.options[0].meaning
    return Declared((ArrayType(family, " ".join(text.split()), meaning),)) if _parsed(text) is not None else None


def _parsed(text: str) -> tuple[dims.Dim, ...] | None:
    try:
        return dims.parsed(text)
    except ValueError:
        return None


def _is_other_batch(name: str, size: Dim, known: int | Size, frame: Frame) -> bool:
    """Whether a number stands where the batch of a function belongs that works for any; a call of it may be about that number."""
    own = isinstance(known, Size) and all(one.scope is frame.ref for one in atoms(known))
    return frame.assumed and own and isinstance(size, int) and size != 1 and says_batch(name)


def _either(*several: Declaration | None) -> Declaration | None:
    """A union: the array types in it. One with a part that is not known says nothing."""
    arrays = [one for one in several if one is not None]
    options = tuple(option for one in arrays if isinstance(one, Declared) for option in one.options)
    if len(arrays) == 1:
        return arrays[0]
    return Declared(options) if options and len(options) <= MOST_OPTIONS else None


def _reason_of_several(axis: dims.Dim, middle: tuple[Dim, ...], sizes: Sizes) -> str | None:
    if not isinstance(axis, dims.Several) or not axis.name or axis.broadcast:
        return None
    known = sizes.get("*" + axis.name)
    if not isinstance(known, tuple):
        sizes["*" + axis.name] = middle
        return None
    if len(known) != len(middle) or any(same(one, two) is False for one, two in zip(known, middle, strict=True)):
        return f"{axis.text!r} is {Shape(known)} elsewhere and {Shape(middle)} here"
    return None


def _finer(known: Shape, shape: Shape | None) -> Shape:
    """Of what is known and what is declared, for each axis what says more."""
    if shape is None or shape.rest is not None or len(shape.front) != len(known.front):
        return known
    return Shape(tuple(two if isinstance(one, AnySize) else one for one, two in zip(known.front, shape.front, strict=True)))


def _said(node: cst.CSTNode) -> str:
    if isinstance(node, cst.Call) and len(node.args) == 2:
        return code(node.args[1].value)
    return code(node.annotation if isinstance(node, cst.Annotation) else node)
