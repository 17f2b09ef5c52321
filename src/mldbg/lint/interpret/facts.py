"""What the interpreter tells the rules: facts, in the order in which they happen.

Every fact has a `site` and `within`, the names of the functions under way, outermost first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, cast

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.data_facts import BehindPart as BehindPart
from mldbg.lint.interpret.data_facts import Chosen as Chosen
from mldbg.lint.interpret.data_facts import CrossValidated as CrossValidated
from mldbg.lint.interpret.data_facts import Evaluated as Evaluated
from mldbg.lint.interpret.data_facts import Fitted as Fitted
from mldbg.lint.interpret.data_facts import Keeps as Keeps
from mldbg.lint.interpret.data_facts import Learned as Learned
from mldbg.lint.interpret.data_facts import Paired as Paired
from mldbg.lint.interpret.data_facts import RandomPart as RandomPart
from mldbg.lint.interpret.data_facts import RowsSplit as RowsSplit
from mldbg.lint.interpret.data_facts import Scored as Scored
from mldbg.lint.interpret.place import Condition as Condition
from mldbg.lint.interpret.place import Place as Place
from mldbg.lint.interpret.place import Supposition as Supposition
from mldbg.lint.interpret.place import told as told
from mldbg.lint.interpret.slots import Key, Slot
from mldbg.lint.interpret.value import (
    UNKNOWN,
    ClassThing,
    Function,
    Marked,
    Object,
    Value,
)
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    import libcst as cst

    from mldbg.lint.interpret.gathered import Gathered
    from mldbg.operations.meters import Use
    from mldbg.operations.shape import Mismatch


@dataclass(frozen=True, slots=True)
class Call:
    """A call of something that the library tables know, with its arguments by parameter name."""

    place: Place
    name: str
    arguments: Mapping[str, Value]
    nodes: Mapping[str, cst.BaseExpression]
    """The argument expressions by parameter name, as far as they stand in the call."""
    receiver: Value | None
    result: Value
    grad: bool
    targets: tuple[str, ...] = ()
    """The names that the result is unpacked into, when it is and all are plain names."""
    built: Mapping[str, Site] = field(default_factory=dict)
    """Of a layer the expressions that its constructor got, by parameter; where shapes are followed."""
    module: ClassThing | None = None
    """The class of the project whose `forward`, or another method of a module, is under way, the innermost one."""

    @property
    def node(self) -> cst.Call:
        """The call; where another library calls a loss, instead of it what names the loss there."""
        return cast("cst.Call", self.place.site.node)

    def argument(self, name: str) -> Value:
        """The value of a parameter, unknown when it was not given."""
        return self.arguments.get(name, UNKNOWN)


class Gradients(Enum):
    """What an optimizer's gradients hold."""

    CLEARED = "cleared"
    FRESH = "fresh"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Backward:
    """A backward pass. `owned`: a framework runs it (and may clear gradients itself)."""

    place: Place
    loss: Value
    owned: bool
    keeps_graph: bool


@dataclass(frozen=True, slots=True)
class GradientUse:
    """Something that needs gradients: an optimizer's step, or clipping (`clip`)."""

    place: Place
    optimizer: Value
    expression: cst.BaseExpression | None
    """The optimizer as the source names it."""
    gradients: Gradients
    cleared: Site | None
    parameters: frozenset[Ref]
    """The models whose parameters the optimizer has; empty where that is not known."""
    clip: bool
    chosen_by: frozenset[cst.CSTNode] = frozenset()
    """The loops whose round decides which optimizer this is: in each of them, every optimizer has its turn."""
    identity: Key = Slot.ANY_OPTIMIZER
    """Whose gradients they are, as `Loop.cleared_at_end` names them."""


@dataclass(frozen=True, slots=True)
class OptimizerBuilt:
    """An optimizer of torch is built.

    Attributes:
        optimizer: the optimizer.
        parameters: the expression that names what it gets.
        models: whose parameters these are, or some of these; empty where that is not known.
    """

    place: Place
    optimizer: Value
    parameters: cst.BaseExpression
    models: frozenset[Ref]


@dataclass(frozen=True, slots=True)
class LayerSet:
    """A model that exists already gets a layer with parameters of its own: `model.fc = nn.Linear(512, 10)`.

    Attributes:
        target: what it is assigned to.
        models: the model, and those that it is a part of, as the target names them.
    """

    place: Place
    target: cst.BaseExpression
    models: frozenset[Ref]


@dataclass(frozen=True, slots=True)
class ScalerUse:
    """A gradient scaler scales a loss, unscales gradients, lets an optimizer step, or adapts its factor.

    Attributes:
        does: the name of the method.
    """

    place: Place
    scaler: Value
    does: str


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long a learning-rate schedule is, in steps of its scheduler.

    Attributes:
        site: the call that built the scheduler.
        parameter: which argument says it.
        node: the argument.
        length: its value.
    """

    site: Site
    parameter: str
    node: cst.BaseExpression
    length: Value


@dataclass(frozen=True, slots=True)
class SchedulerStep:
    """A learning-rate scheduler steps.

    Attributes:
        optimizer: the one whose learning rate it sets; unknown for a scheduler that comes from outside.
        given: how many arguments the step gets: an epoch, or a metric.
        schedules: the lengths that it was built with, and those of the schedulers that it runs in turn.
    """

    place: Place
    scheduler: Value
    optimizer: Value
    given: int = 0
    schedules: tuple[Schedule, ...] = ()


@dataclass(frozen=True, slots=True)
class GradientsCleared:
    """Gradients are set to zero or None.

    Attributes:
        parameters: of which models; empty where that is not known.
        identity: the optimizer that does it, as `GradientUse` names it; None where no optimizer does.
    """

    place: Place
    parameters: frozenset[Ref]
    identity: Key | None = None


@dataclass(frozen=True, slots=True)
class Escape:
    """An optimizer, model or loss is handed to code that is not known."""

    place: Place
    name: str
    values: tuple[Value, ...]


Cell = tuple[Ref, str]
"""A variable: a frame, object or module, and the name that it holds."""


@dataclass(frozen=True, slots=True)
class Restarted:
    """In a loop, a variable is given a value that is not made from what it held, or a container loses elements.

    Attributes:
        cell: the variable.
        content: the new value's identity, or the container's.
        by_loss: the new value is a loss with its graph.
    """

    place: Place
    cell: Cell | None
    content: Ref | None
    by_loss: bool = False


@dataclass(frozen=True, slots=True)
class Accumulated:
    """A value is added to something that outlives it: `total += value`, `values.append(value)`.

    Attributes:
        into: what it is added to, as the source says it.
        into_ref: the identity of the list or other object that it is added to.
        cells: the variables on the way there: of `state.losses` the name `state` and its attribute.
        expression: what is added, where the source names it alone.
        total: the identity that everything added here has in the sum.
        counted: the loops that give each value a place of its own, as `values[step] = value` does; None: each is added anyway.
    """

    place: Place
    into: str
    into_ref: Ref | None
    value: Value
    expression: cst.BaseExpression | None
    before: Value
    grad: bool
    cells: frozenset[Cell] = frozenset()
    total: Ref | None = None
    counted: frozenset[cst.CSTNode] | None = None


@dataclass(frozen=True, slots=True)
class WeightsKept:
    """A variable is given the weights of a model, or the model, and not a copy.

    Attributes:
        model: whose weights.
        into: the name, attribute or item that holds them.
        source: the expression that refers to them.
        whole: it is the model itself.
        collected: it stands beside others, in a list or under keys.
    """

    place: Place
    model: Ref
    into: cst.BaseExpression
    source: cst.BaseExpression
    whole: bool = False
    collected: bool = False


@dataclass(frozen=True, slots=True)
class ModeSet:
    """A module's mode is set: train() or eval(). `model`: None where it may be any, as in `[net.train() for net in nets]`."""

    place: Place
    model: Object | None
    training: bool | None
    expression: cst.BaseExpression | None


@dataclass(frozen=True, slots=True)
class ModelCall:
    """A module is run."""

    place: Place
    model: Value
    expression: cst.BaseExpression
    training: bool | None
    mode_set: Value | None
    """The value that carries the trail of how the mode came to be."""
    mode_dependent: str | bool | None
    """Name of a layer in it that is run and behaves differently in the two modes; False: there is none; None: not known."""
    dependent_in_training: str | None
    """Name of such a layer that is in training mode itself, where the module is."""
    grad: bool
    data: Value
    feeding: tuple[str, ...]
    """Names of what the loops around iterate over."""
    result: Value
    loaded: bool = False
    """It was given the weights of a file, nobody has set its mode since, and nothing around trains."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A call that cannot work with the shapes or types that it gets.

    Attributes:
        name: the qualified name of what is called; `shape` where sizes are unpacked.
        mismatch: what is wrong.
        operands: the tensors among the arguments.
        layer: the layer that is called.
        nodes: the argument expressions by parameter name, as far as they stand in the call.
        built: of a layer the expressions that its constructor got, by parameter.
    """

    place: Place
    name: str
    mismatch: Mismatch = field(compare=False)
    operands: tuple[Value, ...]
    layer: Value | None
    nodes: Mapping[str, cst.BaseExpression] = field(default_factory=dict, compare=False)
    built: Mapping[str, Site] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class MaskedMean:
    """A weighted mean, with weights of a softmax some of which a mask has taken since, goes where nobody divides it any more.

    Attributes:
        weights: the weights, or the mean; their mark says where the mask is, and whether it set weights to 0.
    """

    place: Place
    weights: Value


@dataclass(frozen=True, slots=True)
class Broadcast:
    """Two tensors that hold the same entries, but for an axis of size 1, are broadcast against one another for it.

    `operator`: the sign, or what is called of distributions, which the shapes of their batches stand for then.
    `nodes`: the expressions that the tensors are written as; None where that is not plain, or the result replaces one of them.
    """

    place: Place
    operator: str
    left: Value
    right: Value
    result: Value
    nodes: tuple[cst.BaseExpression | None, cst.BaseExpression | None] = field(default=(None, None), compare=False)


@dataclass(frozen=True, slots=True)
class Compared:
    """A tensor is compared with a number, value by value: `scores > 0.5`.

    Attributes:
        value: the tensor.
        bound: the number.
        node: the expression that stands for it.
    """

    place: Place
    value: Value
    bound: float
    node: cst.BaseExpression = field(compare=False)


@dataclass(frozen=True, slots=True)
class Averaged:
    """What was counted or averaged in each batch, and summed up over batches, is divided by a number.

    Attributes:
        total: of the sum, whether it is of hits or of shares of them.
        by: of the number, whether it is that of batches or that of samples; its place is where the loader was made, if known.
    """

    place: Place
    total: Marked
    by: Marked


@dataclass(frozen=True, slots=True)
class MeterUse:
    """A metric that gathers what it is given is built, updated, computed, reset, or handed to unknown code.

    `meter`: None where something unknown is reset.
    """

    place: Place
    use: Use
    meter: Ref | None


@dataclass(frozen=True, slots=True)
class UnknownParameter:
    """A grid or `set_params` names a parameter that there is none of.

    Attributes:
        key: the name, as in `clf__C`.
        part: the part of it that nothing is called.
        owner: what ought to have something of that name.
        known: what it has.
    """

    place: Place
    key: str
    part: str
    owner: str
    known: frozenset[str]


@dataclass(frozen=True, slots=True)
class ModuleBuilt:
    """An object of a class of the project that is a module, after its `__init__`.

    Attributes:
        cls: its class.
        attributes: what it holds, by name.
        modules: of attributes that are lists or dicts, the modules in them; nested lists count as one.
        hidden: the names among those of which no module is held by a registered attribute, too.
        read: names of the attributes that running it reads; None where it may be any.
        init: its `__init__`, where the project defines it.
    """

    place: Place
    cls: ClassThing
    attributes: Mapping[str, Value] = field(compare=False)
    modules: Mapping[str, tuple[Object, ...]] = field(compare=False)
    hidden: frozenset[str]
    read: frozenset[str] | None
    init: Function | None = field(compare=False, default=None)


class Promise(Enum):
    """Where an annotation stands."""

    ARGUMENT = "argument"
    RETURN = "return"
    ASSIGNMENT = "assignment"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A value that is not what an annotation says.

    Attributes:
        where: what is annotated.
        name: of the parameter, function or variable.
        annotation: as the source says it.
        declared: the place of the annotation.
        value: what is there.
        reason: why it does not fit, as part of a sentence; empty where only the meaning differs.
        meaning: the meaning that is declared, where the value has another one.
        is_about_type: the type of the elements differs, not the shape.
    """

    place: Place
    where: Promise
    name: str
    annotation: str
    declared: Site
    value: Value
    reason: str
    meaning: Semantic | None = None
    is_about_type: bool = False


@dataclass(frozen=True, slots=True)
class Named:
    """An expression that stands for something at a point: `sampler`, `self.loader.sampler`. `or_none`: or it is None there."""

    text: str
    or_none: bool


@dataclass(frozen=True, slots=True)
class Loader:
    """A data loader that a loop goes through, or may.

    Attributes:
        ref: its identity.
        arguments: what it was built with.
        parts: what a library's dataset and the samplers among the arguments, and those in them, were built with, and what was
            set in the samplers since.
        steps: the classes of the library's transforms that the dataset applies, in order.
        whole: the dataset of which rows are loaded, where it loads some of them only, as random_split deals them out.
        named: by which expressions the functions under way know these, by sampler and definition of the function; None stands
            for the top level.
    """

    ref: Ref
    arguments: Mapping[str, Value]
    parts: Mapping[Ref, Mapping[str, Value]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    whole: Value = UNKNOWN
    named: Mapping[tuple[Ref, cst.CSTNode | None], Named] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Heard:
    """A call of a library, on the way to a row of a dataset.

    Attributes:
        name: the qualified name of a function or class; of a method its name behind a dot, whatever has it.
        receiver: what a method is called on.
        arguments: in the order of the call, with the keyword if there is one.
    """

    place: Place
    name: str
    receiver: Value | None
    arguments: tuple[tuple[str | None, Value], ...]


@dataclass(frozen=True, slots=True)
class LoaderBuilt:
    """A data loader is built.

    Attributes:
        dataset: the object of the project whose rows it loads, where it is known; also where it loads some of them only.
        workers: whether processes of their own make the rows; None where that is not known.
        rows: the calls that making a row makes, and putting rows together; only where there are workers and the dataset is known.
        started: those that a worker makes before the first row.
        kept: those of the dataset's `__init__` of which the result is kept, in an attribute that a row needs.
        iterates: the `__iter__` of a dataset that is gone through as a whole, an IterableDataset.
        holds_rows: one of the dataset's attributes is a sequence.
    """

    place: Place
    loader: Loader
    dataset: Value
    workers: bool | None
    rows: tuple[Heard, ...] = ()
    started: tuple[Heard, ...] = ()
    kept: tuple[Heard, ...] = ()
    iterates: Site | None = None
    holds_rows: bool = False


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Data loaders or samplers are handed to code that is not known."""

    place: Place
    refs: frozenset[Ref]


@dataclass(frozen=True, slots=True)
class FlagSet:
    """A flag of tensors is set on a module, which has none of that name.

    Attributes:
        module: the module.
        expression: the same, as the source names it.
        value: what the flag is set to.
    """

    place: Place
    module: Object
    expression: cst.BaseExpression
    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of code as it is written, whether anything executes it or not.

    Attributes:
        found: which of the regular expressions of those who listen match the code of the definition around.
        gathered: the file that is checked, with what it takes from others where somebody asks for that. The piece may stand
            in one of these.
    """

    place: Place
    found: frozenset[re.Pattern[str]]
    gathered: Gathered


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop ended; `facts` are those of its last round, loops inside it included."""

    place: Place
    node: cst.For | cst.While
    facts: tuple[Fact, ...]
    mode_at_start: Mapping[Ref, bool | None]
    mode_at_end: Mapping[Ref, bool | None]
    """Modes where a round goes on to the next one, by the end of its body or by `continue`."""
    built_inside: frozenset[Ref]
    """Objects whose mode is set in the loop, and loaders and samplers, which did not exist before it."""
    cleared_at_end: Mapping[Key, Site | None] = field(default_factory=dict)
    """Whose gradients are cleared where a round goes on to the next one, and where that was done."""
    loaders: tuple[Loader, ...] = ()
    """The data loaders that it goes through."""
    bound: Value = UNKNOWN
    """The number of rounds of a `range`, where a scheduler steps in it."""


Fact = (
    Call
    | Backward
    | GradientUse
    | OptimizerBuilt
    | LayerSet
    | ScalerUse
    | SchedulerStep
    | GradientsCleared
    | Escape
    | Accumulated
    | Restarted
    | WeightsKept
    | ModeSet
    | ModelCall
    | Evaluated
    | Chosen
    | Scored
    | BehindPart
    | CrossValidated
    | Paired
    | RandomPart
    | Fitted
    | Misfit
    | MaskedMean
    | Broadcast
    | Compared
    | Averaged
    | MeterUse
    | Learned
    | UnknownParameter
    | RowsSplit
    | ModuleBuilt
    | Contradiction
    | HandedOver
    | LoaderBuilt
    | FlagSet
    | Written
    | Loop
)
