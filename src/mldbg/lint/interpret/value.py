"""Abstract values: what is known of an expression. Frozen; `join` says how two of them meet.

A value has a *thing* (what it is: a constant, a function, an object ...) and marks beside it: the meaning of its numbers,
the data it was made from, its origin, the sizes of its axes, and the trail of steps by which it came to be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, cast

from mldbg.lint.interpret.address import Made, Ref, Site, class_ref, made_at, site_of
from mldbg.lint.interpret.data import Data as Data
from mldbg.lint.interpret.data import Fit as Fit
from mldbg.lint.interpret.data import FitKind as FitKind
from mldbg.lint.interpret.data import Known as Known
from mldbg.lint.interpret.data import Means as Means
from mldbg.lint.interpret.data import Role as Role
from mldbg.lint.interpret.data import Shuffle as Shuffle
from mldbg.lint.interpret.data import Trail as Trail
from mldbg.lint.interpret.data import first_step as first_step
from mldbg.lint.interpret.data import moment as moment
from mldbg.lint.interpret.data import onward as onward
from mldbg.lint.interpret.slots import Key
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.module import Module, Part
    from mldbg.operations.shape import Tensor
    from mldbg.operations.sizes import Dim

MOST_ITEMS = 64

MOST_TEXT = 200
"""Characters of a string that is kept."""


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
    """A function or lambda of the project. `closure` is the frame in which it was defined.

    `inner`: its definition, when it is not the one that the part consists of. A function at module level and a method of a class
    there are known by their names before anything of them is parsed.
    """

    part: Part
    inner: cst.FunctionDef | cst.Lambda | None
    closure: Ref
    owner: ClassThing | None = None
    raw: bool = False
    """The function as it is without its decorators."""

    @property
    def node(self) -> cst.FunctionDef | cst.Lambda:
        return self.part.function if self.inner is None else self.inner

    @property
    def name(self) -> str:
        if self.inner is None:
            return self.part.statement.names[0]
        name = getattr(self.inner, "name", None)  # this module does not load libcst: rules import it at start-up
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
            return class_ref(self.part)
        return made_at(site_of(self.part, self.inner), None, Made.CLASS)


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

    @property
    def all(self) -> tuple[Value, ...]:
        """All elements that are known of; those like `lead` once."""
        return self.tail if self.lead is None else (*self.tail, self.lead)


@dataclass(frozen=True, slots=True)
class Entries:
    """The content of a dict with constant keys; `exact` is False when there may be more."""

    items: tuple[tuple[object, Value], ...]
    exact: bool = True

    def get(self, key: object) -> Value | None:
        return next((value for name, value in self.items if name == key), None)

    def with_item(self, key: object, value: Value) -> Entries:
        """The same with another value for a key; a new key comes last."""
        if self.get(key) is None:
            return replace(self, items=(*self.items, (key, value)))
        return replace(self, items=tuple((name, value if name == key else held) for name, held in self.items))

    def under(self, more: Entries | None) -> Entries:
        """What is left of it under other entries; where those are not all known (None: none of them is), any may be replaced."""
        exact = more is not None and more.exact
        held = self if exact else Entries(tuple((key, UNKNOWN) for key, _ in self.items), exact=False)
        for key, value in more.items if more is not None else ():
            held = held.with_item(key, value)
        return held


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
class File:
    """A file or folder of which the path is known: the path, the open file, or the text that was read from it."""

    path: str


@dataclass(frozen=True, slots=True)
class ArrayType:
    """An array annotation: `Float[Tensor, "batch d"]`.

    Attributes:
        family: of element types, as jaxtyping names it.
        axes: the string that describes the axes.
        meaning: what the numbers mean, where the annotation says it.
    """

    family: str
    axes: str
    meaning: Semantic | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """An annotation that is an array type, or one of several."""

    options: tuple[ArrayType, ...]


@dataclass(frozen=True, slots=True)
class Lazy:
    """A value that nobody has asked for yet. `compute` gives it, and the records of the objects that were made on the way."""

    key: object
    compute: Callable[[], tuple[Value, dict[Ref, Record]]] = field(compare=False, hash=False, repr=False)


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
    | Entries
    | Method
    | Bound
    | Partial
    | Super
    | File
    | Declared
    | Lazy
)


# ------------------------------------------------------------------------------------------------------------------- marks
@dataclass(frozen=True, slots=True)
class Axes:
    """What is known of a tensor's axes.

    Attributes:
        rank: how many there are.
        last: size of the last one.
        along: the axis along which the law of the meaning ties values together, as softmax's `dim` counts it.
        single: whether that axis had a single entry; the axis itself may be gone by now.
    """

    rank: int | None = None
    last: int | None = None
    along: int | None = None
    single: bool = False

    def are_along(self, dim: int) -> bool | None:
        """Whether `dim` is the axis along which the law holds; None where that is not known."""
        place, rank = self.along, self.rank
        if place is None:
            return None
        if (place < 0) == (dim < 0):
            return place == dim
        return place % rank == dim % rank if rank else None

    @property
    def is_single(self) -> bool:
        """Whether what lies along the axis of the law is one entry, so that softmax made it 1."""
        is_last = self.along == -1 or (self.rank is not None and self.along == self.rank - 1)
        return self.single or (self.last == 1 and is_last)


@dataclass(frozen=True, slots=True)
class Shaped:
    """What is known of a tensor's shape and of the type of its elements.

    Attributes:
        tensor: shape and type.
        ladder: the operations that led to the shape, with what each made of it.
        stretched: where an axis of size 1 was put in on purpose, by `x[:, None]` or `x.unsqueeze(1)`.
        is_array: whether it is an array of numpy.
        is_batch: whether its first axis is known to be that of a batch.
        is_table: whether it is a table of pandas, or a column of one.
        batch_first: of what a recurrent or attention layer gives, whether it took the first axis for the batch, and where; None
            of anything else.
        reduced_from: of what is left of a tensor when one axis is reduced: that tensor's identity, and the axis.
        is_longer: whether its last axis was made longer by one entry, and the tensor only cut and reshaped since.
        supposed: what it is if the labels that it was made of, of which only the name is known, are one column.
    """

    tensor: Tensor
    ladder: Trail | None = field(default=None, compare=False)
    stretched: Site | None = field(default=None, compare=False)
    is_array: bool = False
    is_batch: bool = False
    is_table: bool = False
    batch_first: tuple[bool, Site] | None = field(default=None, compare=False)
    reduced_from: tuple[Ref, int] | None = None
    is_longer: bool = False
    supposed: Tensor | None = None


# ----------------------------------------------------------------------------------------------------------- possibilities
@dataclass(frozen=True, slots=True)
class Outcome:
    """What a test gives where its outcome is not known: whether a subject is true, or equal to a constant.

    Attributes:
        subject: the identity of what is tested, so that tests of the same thing in several places are known to agree.
        equals: what it is compared with; None where it is tested as it is.
        holds: the outcome.
        test: where it is asked.
        usual: what the subject is unless somebody sets it; None where that is not known.
        said: how a report says it, where it is no test of the program.
    """

    subject: Ref
    equals: Constant | None
    holds: bool
    test: Site = field(compare=False)
    usual: Constant | None = field(compare=False, default=None)
    said: str = field(compare=False, default="")

    @property
    def is_usual(self) -> bool:
        """Whether it is so unless somebody sets the subject."""
        if self.usual is None:
            return False
        return (bool(self.usual.value) if self.equals is None else self.usual == self.equals) is self.holds

    def excludes(self, other: Outcome) -> bool:
        """Whether both cannot be so."""
        if self.subject is not other.subject:
            return False
        if self.equals == other.equals:
            return self.holds is not other.holds
        return self.holds and other.holds and self.equals is not None and other.equals is not None


@dataclass(frozen=True, slots=True)
class Option:
    """One of the values that something may be, and the outcomes of tests without which it is not that one."""

    value: Value
    when: frozenset[Outcome] = frozenset()


@dataclass(frozen=True, slots=True)
class Among:
    """The values that something may be: one of these, and no other. Their order does not count."""

    options: tuple[Option, ...] = field(compare=False)
    each: frozenset[Option]


# ------------------------------------------------------------------------------------------------------------------ values
class Mark(Enum):
    """What is known of numbers beside their meaning."""

    RATE = "positive, because an exponential or a softplus made them so"
    UNMASKED = "sums of products, or the softmax of such, from which no mask has taken anything"
    HIDDEN = "weights of a softmax, some of which a mask has set to minus infinity"
    CUT = "weights of a softmax, some of which a mask has set to 0"
    MEAN = "means of rows, with such weights: they are too small"
    KEPT_AS_DROPPED = "scores in which what a mask keeps is left out"
    DROPPED_AS_KEPT = "scores in which only what a mask leaves out takes part"
    ONES = "all 1"
    BOOLEAN_ONES = "all True"
    LOWER = "1 on and below the diagonal, 0 above it"
    UPPER = "1 above the diagonal, 0 on and below it"
    COUNTING = "0, 1, 2, ..., however it is shaped"
    POSITIONS = "True or False, as a place is before or behind another one"
    EQUALS = "True where an id is a certain one"
    DIFFERS = "True where an id is not a certain one"
    DROPPED = "what a layer gave, or its softmax, after dropout has set some of it to 0"
    SQUEEZED = "what a layer gave, without the axes that happened to have size 1"
    RECTIFIED = "the softmax of what a ReLU has made non-negative"
    OF_ROWS = "a mask that says one thing of each row, and may leave out no part of one"
    PREDICTED = "what a model predicts: classes or scores"
    PREDICTED_CLASSES = "classes that a model predicts"
    PREDICTED_SCORES = "probabilities or other scores that a model predicts"
    HITS = "True where a prediction is right"
    COUNT = "how many predictions are right"
    SHARE = "the share of predictions that are right in a batch, where no gradients are recorded"
    SHARE_IN_TRAINING = "the share of predictions that are right in a batch"
    BATCHED = "a loader of batches"
    BATCHES = "the number of batches"
    SAMPLES = "the number of samples"
    CLASSES = "classes, made of scores of which it is not known that a model gave them"


OF_PREDICTIONS = frozenset({Mark.PREDICTED, Mark.PREDICTED_CLASSES, Mark.PREDICTED_SCORES, Mark.CLASSES})
"""Marks of what a model predicts, and of what is made of it."""

COLLECTED = OF_PREDICTIONS | {Mark.COUNT, Mark.SHARE, Mark.SHARE_IN_TRAINING, Mark.BATCHES}
"""Marks that hold of a sum or a collection which begins empty."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A mark: where it was made, the steps that led there, and of a comparison the ids and the one they are compared with.

    `by`: of predictions the name of the estimator's class, where that is known.
    """

    mark: Mark
    site: Site = field(compare=False)
    trail: Trail | None = field(compare=False, default=None)
    about: tuple[Ref, object] | None = None
    by: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class Value:
    """What is known of an expression; see the module's docstring."""

    thing: Thing = Unknown()
    meaning: Semantic | None = None
    data: Data | None = None
    origin: Ref | None = None
    axes: Axes = Axes()
    attached: bool | None = None
    """Whether a backward pass through it would reach parameters: True, False (detached, under no_grad) or not known.

    In the lattice True < None < False: what may be detached counts as detached, since a loss that reaches parameters on one path
    only is no loss that is kept with its graph.
    """
    trail: Trail | None = field(default=None, compare=False)
    scaled: bool = False
    """The meaning holds but for a positive factor: half of some probabilities, a sum of several."""
    marked: Marked | None = None
    or_none: bool = False
    """A join has let None give way: whether the value is None is not known."""
    among: Among | None = None
    """The few values that it may be, where they are known; everything else here holds of each of them."""
    shaped: Shaped | None = None
    """Its shape, where shapes are followed and it is known to be a tensor."""
    size: Dim | None = None
    """The number that it is, if it is a number: an expression over sizes, where shapes are followed."""
    loaders: frozenset[Ref] = frozenset()
    """The data loaders that going through it goes through, or may; what is known of the rows is that of their datasets."""

    def step(self, site: Site, text: str) -> Value:
        """The same value one step further on its way, where there is a way to tell of."""
        if self.among is not None:
            options = tuple(replace(option, value=option.value.step(site, text)) for option in self.among.options)
            return replace(self, among=replace(self.among, options=options))
        marked = self.marked
        if marked is not None and marked.trail is not None:
            marked = replace(marked, trail=onward(marked.trail, site, text))
        if self.trail is None or (self.meaning is None and not self.fits):
            return self if marked is self.marked else replace(self, marked=marked)
        return replace(self, trail=onward(self.trail, site, text), marked=marked)

    def gathered(self, since: int) -> Value:
        """One among many that is put together with the others: what was learned from it alone says nothing of them."""
        data = self.data.gathered(since) if self.data is not None else None
        return self if data is self.data else replace(self, data=data)

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


VALUES_AND_INDICES = "torch.return_types"
"""The class of what `torch.max(x, dim)` and its like return."""

ZEROS = "a tensor of zeros"
"""The class of a tensor that is zero everywhere, or was never given values: it waits for those that mean something."""

NO_ENTRIES = "a tensor without entries"
"""The class of a tensor of size 0, to which others will be joined."""


def is_blank(value: Value) -> bool:
    """Whether a value is the start of a sum or of a collection: the number 0, zeros, or a tensor without entries.

    Wherever it meets a tensor that means something it gives way, as None does. What it leaves of a meaning is that meaning up to
    a factor, for some rows may still be 0.
    """
    thing = value.thing
    if isinstance(thing, Constant):
        return thing.kind in ("int", "float") and thing.value == 0
    return isinstance(thing, Opaque) and thing.cls in (ZEROS, NO_ENTRIES)


UNKNOWN = Value()
NONE = Value(Constant("NoneType", None))

Record = dict[Key, Value]
"""What is known of something that has state: its attributes or variables by name, and its slots."""


def literal(value: object) -> Value:
    """The value of a literal."""
    return Value(Constant(type(value).__name__, value))
