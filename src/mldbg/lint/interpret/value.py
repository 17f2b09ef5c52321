"""Abstract values: what is known of an expression. Frozen; joins form a lattice of finite height whose top is `UNKNOWN`.

A value has a *thing* (what it is: a constant, a function, an object ...) and marks beside it: the meaning of its numbers,
the data it was made from, its origin, the sizes of its axes, and the trail of steps by which it came to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from mldbg.semantics import Semantic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Module, Part, Site

MOST_ITEMS = 64
MOST_STEPS = 16


# ---------------------------------------------------------------------------------------------------------------- identity
@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The calls that are under way: the innermost call's site, and the calls around it. The interpreter makes each only once."""

    site: Site
    outer: Context | None


@dataclass(frozen=True, slots=True)
class Ref:
    """The identity of something that holds state: an object, a frame, a module. Equal where the same site made it under the same
    calls; `label` tells apart what one site makes (parameters, attributes).
    """

    site: Site | None
    context: Context | None = None
    label: str = ""
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.site, self.context, self.label)))

    def __hash__(self) -> int:
        return self._hash


# ------------------------------------------------------------------------------------------------------------------ things
@dataclass(frozen=True, slots=True)
class Unknown:
    """Nothing is known."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A literal. `kind` keeps 1, 1.0 and True apart."""

    kind: str
    value: object


@dataclass(frozen=True, slots=True)
class Symbol:
    """A module, class, function or constant that the project does not define, by its canonical qualified name."""

    name: str


@dataclass(frozen=True, slots=True)
class ModuleThing:
    """A module of the project."""

    module: Module


@dataclass(frozen=True, slots=True)
class Function:
    """A function or lambda of the project. `closure` is the frame in which it was defined."""

    part: Part
    node: cst.FunctionDef | cst.Lambda
    closure: Ref
    owner: ClassThing | None = None
    raw: bool = False
    """The function as it is without its decorators."""

    @property
    def name(self) -> str:
        name = getattr(self.node, "name", None)  # this module does not load libcst: rules import it at start-up
        return name.value if name is not None else "lambda"


@dataclass(frozen=True, slots=True)
class ClassThing:
    """A class of the project. `inner`: its definition, when it is not the statement that the part consists of.

    A top-level class has a name, bases and an identity before anything of it is parsed.
    """

    part: Part
    inner: cst.ClassDef | None
    closure: Ref

    @property
    def node(self) -> cst.ClassDef:
        return cast("cst.ClassDef", self.part.tree.body[0]) if self.inner is None else self.inner

    @property
    def name(self) -> str:
        return self.part.statement.names[0] if self.inner is None else self.inner.name.value

    @property
    def ref(self) -> Ref:
        """The identity of the class's own record."""
        if self.inner is None:
            return Ref(None, None, f"class {self.part.module.path}:{self.part.statement.first}")
        return Ref(_site(self.part, self.inner), None, "class")


@dataclass(frozen=True, slots=True)
class Object:
    """Something with an identity and a record of attributes in the state. `cls`: its class (of the project, or the qualified name
    of one outside), or None where only the identity is known.
    """

    ref: Ref
    cls: ClassThing | str | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value of a class outside the project whose identity does not matter."""

    cls: str


@dataclass(frozen=True, slots=True)
class Items:
    """The content of a sequence: any number of elements like `lead` (None: there are none of those), then `tail`."""

    cls: str
    tail: tuple[Value, ...]
    lead: Value | None = None

    @property
    def exact(self) -> bool:
        return self.lead is None


@dataclass(frozen=True, slots=True)
class Mapping:
    """The content of a dict with constant keys; `exact` is False when there may be more."""

    items: tuple[tuple[object, Value], ...]
    exact: bool = True

    def get(self, key: object) -> Value | None:
        return next((value for name, value in self.items if name == key), None)


@dataclass(frozen=True, slots=True)
class Method:
    """A method outside the project, bound to a receiver: `name` is looked up in the library tables."""

    receiver: Value
    name: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A function of the project bound to its first argument."""

    function: Function
    receiver: Value


@dataclass(frozen=True, slots=True)
class Partial:
    """functools.partial: a callable with some arguments given."""

    callee: Value
    arguments: tuple[tuple[str | None, Value], ...]


@dataclass(frozen=True, slots=True)
class Super:
    """super() in a method of `cls`."""

    cls: ClassThing
    receiver: Value


@dataclass(frozen=True, slots=True)
class Lazy:
    """A value that nobody has asked for yet. `compute` gives it, and the records of the objects that were made on the way."""

    key: object
    compute: Callable[[], tuple[Value, dict[Ref, dict[str, Value]]]] = field(compare=False, hash=False, repr=False)


Thing = (
    Unknown
    | Constant
    | Symbol
    | ModuleThing
    | Function
    | ClassThing
    | Object
    | Opaque
    | Items
    | Mapping
    | Method
    | Bound
    | Partial
    | Super
    | Lazy
)


def _site(part: Part, node: cst.CSTNode) -> Site:
    from mldbg.lint.interpret.module import Site  # loads libcst

    return Site(part, node)


# ------------------------------------------------------------------------------------------------------------------- marks
class Role(StrEnum):
    """Which part of the data a value holds."""

    TRAIN = "training"
    VALIDATION = "validation"
    TEST = "test"

    @property
    def held_out(self) -> bool:
        return self is not Role.TRAIN


class FitKind(StrEnum):
    """What was learned from data."""

    TRANSFORM = "transform"
    SELECTION = "selection"
    RESAMPLING = "resampling"


@dataclass(frozen=True, slots=True)
class Fit:
    """An estimator was fitted: where, on which rows, and on which part of the data (None: all of it, or not known)."""

    kind: FitKind
    estimator: str
    site: Site
    rows: frozenset[Ref]
    role: Role | None
    by: Ref | None
    trail: Trail | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Data:
    """Which rows a value was made from, which part of them it is and by which split, and the fits whose result flowed into it.

    `picks`: the value is an index array that picks this part out of the rows.
    """

    rows: frozenset[Ref] = frozenset()
    role: Role | None = None
    split: Site | None = None
    fits: frozenset[Fit] = frozenset()
    picks: Role | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """Steps, last first."""

    site: Site
    text: str
    before: Trail | None
    length: int

    def steps(self) -> list[tuple[Site, str]]:
        """From cause to effect."""
        found: list[tuple[Site, str]] = []
        here: Trail | None = self
        while here is not None:
            if not found or found[-1] != (here.site, here.text):
                found.append((here.site, here.text))
            here = here.before
        return found[::-1]


def onward(trail: Trail | None, site: Site, text: str) -> Trail:
    """The trail with one more step."""
    if trail is not None and (trail.length >= MOST_STEPS or (trail.site == site and trail.text == text)):
        return trail
    return Trail(site, text, trail, 1 + (trail.length if trail else 0))


def first_step(site: Site, text: str) -> Trail:
    """A trail that begins here."""
    return Trail(site, text, None, 1)


@dataclass(frozen=True, slots=True)
class Axes:
    """What is known of a tensor's axes.

    Attributes:
        rank: how many there are.
        last: size of the last one.
        along: the axis along which the law of the meaning ties values together, as softmax's `dim` counts it.
    """

    rank: int | None = None
    last: int | None = None
    along: int | None = None


# ------------------------------------------------------------------------------------------------------------------ values
@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an expression; see the module's docstring."""

    thing: Thing = Unknown()
    meaning: Semantic | None = None
    data: Data | None = None
    origin: Ref | None = None
    axes: Axes = Axes()
    attached: bool | None = None
    """Whether a backward pass through it would reach parameters: True, False (detached, under no_grad) or not known."""
    trail: Trail | None = field(default=None, compare=False)
    scaled: bool = False
    """The meaning holds but for a positive factor: half of some probabilities, a sum of several."""
    or_none: bool = field(default=False, compare=False)
    """A join has let None give way: whether the value is None is not known."""

    def step(self, site: Site, text: str) -> Value:
        """The same value, one step further on its way."""
        return replace(self, trail=onward(self.trail, site, text))

    @property
    def constant(self) -> object:
        """The literal's value, or None."""
        return self.thing.value if isinstance(self.thing, Constant) else None

    @property
    def is_none(self) -> bool:
        return isinstance(self.thing, Constant) and self.thing.value is None

    @property
    def rows(self) -> frozenset[Ref]:
        """The data rows it was made from; a value that was made from nothing known stands for its own rows."""
        if self.data is not None and self.data.rows:
            return self.data.rows
        if isinstance(self.thing, Object):
            return frozenset({self.thing.ref})
        return frozenset({self.origin}) if self.origin is not None else frozenset()

    @property
    def role(self) -> Role | None:
        return self.data.role if self.data else None

    @property
    def fits(self) -> frozenset[Fit]:
        return self.data.fits if self.data else frozenset()


UNKNOWN = Value()
NONE = Value(Constant("NoneType", None))


def literal(value: object) -> Value:
    """The value of a literal."""
    return Value(Constant(type(value).__name__, value))


def tuple_of(*values: Value, cls: str = "builtins.tuple") -> Value:
    """A sequence of known elements."""
    if len(values) > MOST_ITEMS:
        return Value(Items(cls, (), joined(values)))
    return Value(Items(cls, values))


# ------------------------------------------------------------------------------------------------------------------- joins
def join(one: Value, two: Value) -> Value:
    """What holds of a value that is either of two. None gives way: code that uses the value would have failed on None."""
    if one is two or one == two:
        return two if two.or_none else one
    if one.is_none:
        return two if two.or_none else replace(two, or_none=True)
    if two.is_none:
        return one if one.or_none else replace(one, or_none=True)
    if isinstance(one.thing, Lazy) or isinstance(two.thing, Lazy):
        return _join_lazy(one, two)
    return Value(
        thing=_join_things(one.thing, two.thing),
        meaning=one.meaning if one.meaning is two.meaning else None,
        data=join_data(one.data, two.data),
        origin=one.origin if one.origin == two.origin else None,
        axes=Axes(
            one.axes.rank if one.axes.rank == two.axes.rank else None,
            one.axes.last if one.axes.last == two.axes.last else None,
            one.axes.along if one.axes.along == two.axes.along else None,
        ),
        attached=False if False in (one.attached, two.attached) else one.attached if one.attached is two.attached else None,
        trail=one.trail if one.trail is not None else two.trail,
        scaled=one.scaled or two.scaled,
        or_none=one.or_none or two.or_none,
    )


def joined(values: tuple[Value, ...] | list[Value]) -> Value:
    """The join of several values; unknown when there are none."""
    if not values:
        return UNKNOWN
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _join_lazy(one: Value, two: Value) -> Value:
    """The join of values of which at least one is not computed yet."""

    def compute() -> tuple[Value, dict[Ref, dict[str, Value]]]:
        records: dict[Ref, dict[str, Value]] = {}
        values = []
        for value in (one, two):
            known = value
            while isinstance(known.thing, Lazy):
                known, made = known.thing.compute()
                records |= made
            values.append(known)
        return join(*values), records

    keys = frozenset(value.thing.key if isinstance(value.thing, Lazy) else value for value in (one, two))
    return Value(Lazy(keys, compute), or_none=one.or_none or two.or_none)


def _join_things(one: Thing, two: Thing) -> Thing:
    if one == two:
        return one
    if isinstance(one, Object) and isinstance(two, Object) and one.cls == two.cls:
        return Unknown() if one.cls is None else Opaque(one.cls) if isinstance(one.cls, str) else Unknown()
    if isinstance(one, Items) and isinstance(two, Items) and one.cls == two.cls:
        return _join_items(one, two)
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        keys = dict.fromkeys([key for key, _ in one.items] + [key for key, _ in two.items])
        both = tuple((key, join(one.get(key) or NONE, two.get(key) or NONE)) for key in keys)
        return Mapping(both, one.exact and two.exact)
    if isinstance(one, Opaque) and isinstance(two, Opaque) and one.cls == two.cls:
        return one
    return Unknown()


def _join_items(one: Items, two: Items) -> Items:
    if one.exact and two.exact and len(one.tail) == len(two.tail):
        return Items(one.cls, tuple(join(a, b) for a, b in zip(one.tail, two.tail, strict=True)))
    shared: list[Value] = []
    for a, b in zip(reversed(one.tail), reversed(two.tail), strict=False):
        if a != b:
            break
        shared.insert(0, a)
    cut = len(shared)
    rest = [*one.tail[: len(one.tail) - cut], *two.tail[: len(two.tail) - cut]]
    rest += [lead for lead in (one.lead, two.lead) if lead is not None]
    return Items(one.cls, tuple(shared), joined(rest) if rest else None)


def join_data(one: Data | None, two: Data | None) -> Data | None:
    """Lineage of something made from both: rows and fits of both; a part of the data only if both are that part."""
    if one is None or two is None or one == two:
        return one or two
    return Data(
        rows=one.rows | two.rows,
        role=one.role if one.role is two.role else None,
        split=one.split if one.split == two.split else None,
        fits=one.fits | two.fits,
        picks=one.picks if one.picks is two.picks else None,
    )
