"""Identities: places in the source, the calls under way there, and what was made at such a place (an abstract address).

Each identity is made only once, by the functions here, so that two of them are the same exactly if they are one object. The
tables that hold them belong to what they are about: a part of the source, or the calls under way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.finding import Span
    from mldbg.lint.interpret.module import Module, Part

DEEPEST_ORIGIN = 12
"""Steps from a value to something in it that are told apart; a loop over a linked structure must come to an end."""


class _Identity:
    """Something that is equal to nothing but itself, copies included."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Site(_Identity):
    """A place in the source: a node and the part that holds it. Its span is computed only when it is reported."""

    part: Part
    node: cst.CSTNode

    @property
    def span(self) -> Span:
        return self.part.span(self.node)

    def __repr__(self) -> str:
        return f"Site({self.part.module.path}:{self.span.line})"


def site_of(part: Part, node: cst.CSTNode) -> Site:
    """The place of a node in the part that holds it."""
    site: Site | None = part.sites.get(node)
    if site is None:
        site = part.sites[node] = Site(part, node)
    return site


@dataclass(frozen=True, slots=True, eq=False)
class Context(_Identity):
    """The calls that are under way: the innermost call's site, and the calls around it. The interpreter makes each only once."""

    site: Site
    outer: Context | None
    made: Table = field(default_factory=dict, repr=False)


class Made(Enum):
    """What was made. Members are compared and hashed by identity."""

    VALUE = auto()
    """The result of an expression."""
    OBJECT = auto()
    """An object of a class that was called."""
    COPY = auto()
    """A copy of an object."""
    LIST = auto()
    DICT = auto()
    CONTAINER = auto()
    """Some of the layers of a container, as a container."""
    KEYWORDS = auto()
    """What `**kwargs` collects."""
    PARAMETER = auto()
    """An argument of which only the parameter's name is known."""
    SUPPOSED = auto()
    """What a parameter that takes a model is supposed to get."""
    ATTRIBUTE = auto()
    """What an object of which little is known has under this name."""
    ITEM = auto()
    """What a sequence of which little is known holds at this place."""
    UNPACKED = auto()
    """What unpacking something unknown puts at this place."""
    ELEMENT = auto()
    """What iterating yields."""
    ROWS = auto()
    """Some of the rows of a table or array, picked by a slice or a mask."""
    SPLIT = auto()
    """One side of a split."""
    LOSS = auto()
    """What was assigned to a name that says loss."""
    SUM = auto()
    """A sum or product of several losses; its detail names them."""
    SCALED = auto()
    """A product with a number; its detail names what was multiplied."""
    TOTAL = auto()
    """What a statement that adds to a variable leaves in it."""
    EITHER = auto()
    """A loss that is one of several; its detail names them."""
    VOLATILE = auto()
    """What `Variable(x, volatile=True)` made: before torch had no_grad, nothing computed from it recorded a graph."""
    PARAMETERS = auto()
    """The parameters of a model, all of them."""
    WEIGHTS = auto()
    """A state dict: it refers to the weights of the model that its detail names, and copies none."""
    GRADIENTS = auto()
    """The gradients of everything."""
    LAZY = auto()
    """A value that nobody has asked for yet."""
    FRAME = auto()
    DECORATORS = auto()
    """The frame in which a function's decorators are looked up."""
    CLASS = auto()
    MODULE = auto()
    SELF = auto()
    """The object on which a method is executed of which no caller is known."""

    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True, eq=False)
class Ref(_Identity):
    """The identity of something that holds state: an object, a frame, a module.

    Attributes:
        site: where it was made.
        context: the calls under way there.
        kind: what it is.
        detail: tells apart what one site makes of one kind: a name, a position.
        whole: what it is an attribute or an item of.
    """

    site: Site | None
    context: Context | None
    kind: Made
    detail: object = None
    whole: Ref | None = None
    made: Table = field(default_factory=dict, repr=False)
    """The table in which it stands, or a new one."""

    def inside(self, kind: Made, detail: object) -> Ref:
        """The identity of something in it."""
        key = (self, kind, detail)
        ref = self.made.get(key)
        if ref is None:
            ref = self.made[key] = Ref(self.site, self.context, kind, detail, self, self.made)
        return ref

    def depth(self, kind: Made) -> int:
        """How many steps of a kind led to it: attributes of attributes, items of items."""
        steps = 0
        here: Ref | None = self
        while here is not None:
            steps += here.kind is kind
            here = here.whole
        return steps

    def attribute(self, name: str) -> Ref:
        """The identity of an attribute; its own beyond the greatest depth."""
        return self.inside(Made.ATTRIBUTE, name) if self.depth(Made.ATTRIBUTE) < DEEPEST_ORIGIN else self


Table = dict[tuple[object, Made, object], Ref]


def made_at(site: Site, context: Context | None, kind: Made = Made.VALUE, detail: object = None) -> Ref:
    """The identity of what a site makes under some calls."""
    table: Table = site.part.made if context is None else context.made
    key = (site, kind, detail)
    ref = table.get(key)
    if ref is None:
        ref = table[key] = Ref(site, context, kind, detail, None, table)
    return ref


def one_of(members: frozenset[Ref]) -> Ref:
    """The identity of what is one of several, whichever came first."""
    table = min(members, key=id).made
    key = (None, Made.EITHER, members)
    ref = table.get(key)
    if ref is None:
        ref = table[key] = Ref(None, None, Made.EITHER, members, None, table)
    return ref


def class_ref(part: Part) -> Ref:
    """The identity of the class that a top-level statement defines, which need not be parsed for that."""
    return _of_source(part, Made.CLASS)


def module_ref(module: Module) -> Ref:
    """The identity of a module's namespace."""
    return _of_source(module, Made.MODULE)


def _of_source(owner: Part | Module, kind: Made) -> Ref:
    table: Table = owner.made
    key = (owner, kind, None)
    ref = table.get(key)
    if ref is None:
        ref = table[key] = Ref(None, None, kind, None, None, table)
    return ref


GRADIENTS = Ref(None, None, Made.GRADIENTS)
"""The record of what optimizers' gradients hold."""
