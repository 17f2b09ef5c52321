"""The kinds of effect that an operation can have.

A row of the tables is one of these. How an effect is carried out is the reader's business: the linter does it on values of which
some things are known, `sanitize` on real tensors. `params` are the parameters in torch's order; a method's receiver is the first
of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from mldbg.semantics import Semantic


# ------------------------------------------------------------------------------------------------------------ made from one
@dataclass(frozen=True, slots=True)
class Gives:
    """The result is a tensor made from the first argument, with this meaning. `verb` names the step in a path."""

    meaning: Semantic | None
    verb: str
    params: tuple[str, ...] = ("input", "dim")
    keeps_meanings: frozenset[Semantic] = frozenset()
    """Meanings of the input that survive."""
    axis: int | None = None
    """The axis along which the law holds where the call names none."""


@dataclass(frozen=True, slots=True)
class Affine:
    """A linear layer: any real number can come out; the last axis gets the layer's `out` constructor argument as its size."""

    verb: str
    out: str | None = None
    params: tuple[str, ...] = ("input",)
    features: int = -1
    """The axis of the layer's outputs, counted from the end."""
    rank: int | None = None
    """How many axes the layer's input has where nothing else says it."""


@dataclass(frozen=True, slots=True)
class Activates:
    """A layer of Keras, which ends in the activation that it was built with: a name, a function or a layer.

    Attributes:
        verb: names the step in a path.
        params: of the function; a layer has the argument from its constructor.
        out: the argument that says the size of the last axis.
        argument: the one that says the activation; "" where there is none.
        usual: the activation where none is given.
        affine: any real number comes out before the activation; False: what came in.
        top: an argument without which (False) the last layers are missing.
    """

    verb: str
    params: tuple[str, ...] = ("input",)
    out: str | None = None
    argument: str = "activation"
    usual: str = ""
    affine: bool = True
    top: str = ""


@dataclass(frozen=True, slots=True)
class Keeps:
    """The same values in the same places: casts, copies, clamps."""

    of: int = 0
    attached: bool | None = None
    """False: the result is cut off from the graph."""


@dataclass(frozen=True, slots=True)
class Clamps:
    """Values beyond a bound are put onto it. What bounds them may be the law of another meaning."""

    params: tuple[str, ...] = ("input", "min", "max")


@dataclass(frozen=True, slots=True)
class Drops:
    """Dropout: in training some values become 0 and the others are scaled. `shifts`: and moved, as alpha dropout does."""

    params: tuple[str, ...] = ("input", "p", "training")
    shifts: bool = False


class Move(Enum):
    """Where the axes go."""

    REGROUP = "neighbouring axes are joined or split: view, reshape, flatten"
    FLATTEN = "the axes from one on become one"
    TRANSPOSE = "two axes change places"
    PERMUTE = "all axes in a given order"
    MOVE = "some axes go to given places"
    REVERSE = "all axes in reverse"
    SWAP_LAST = "the last two change places"
    SQUEEZE = "axes of size 1 go"
    UNSQUEEZE = "an axis of size 1 comes"
    REPEAT = "values are repeated along axes, and new axes may come in front: expand, repeat"


@dataclass(frozen=True, slots=True)
class Moves:
    """The same values with other axes."""

    how: Move
    params: tuple[str, ...] = ("input",)
    rank_from_shape: bool = False
    """The result's rank is the number of sizes given."""


class Choice(Enum):
    """What is taken of a tensor."""

    INDEX = "what an index says"
    CUT = "some entries along one axis"
    PARTS = "all entries along one axis, dealt out to several tensors"
    ENTRY = "one entry along an axis, which goes"
    ENTRIES = "each entry along an axis as a tensor of its own"
    ALL = "all, in an array of its own"
    VALUES = "single values from anywhere"
    BEST = "some of the greatest or smallest along one axis, and beside them their places"
    EXTREME = "the greatest or smallest: of all values, along one axis with their places, or of two tensors value by value"


@dataclass(frozen=True, slots=True)
class Selects:
    """Some of the values."""

    what: Choice
    params: tuple[str, ...] = ("input",)


@dataclass(frozen=True, slots=True)
class Arranges:
    """The axes go where a pattern of einops says. `reduces`: those that the pattern leaves out on the right are reduced."""

    params: tuple[str, ...] = ("input", "pattern", "reduction")
    reduces: bool = False


@dataclass(frozen=True, slots=True)
class Reduces:
    """A mean over axes; `total`: a sum."""

    total: bool = False
    params: tuple[str, ...] = ("input", "dim", "keepdim")


@dataclass(frozen=True, slots=True)
class Pools:
    """Means over neighbours along the last axes, as pooling and interpolation take. `spatial`: how many; None: all but two."""

    spatial: int | None = None
    greatest: bool = False
    """The greatest of the neighbours instead of their mean."""
    beyond: bool = False
    """Zeros from beyond the border are taken in."""
    params: tuple[str, ...] = ("input",)


@dataclass(frozen=True, slots=True)
class Maps:
    """The meaning of the first argument turns into another; unlisted meanings are lost."""

    meanings: Mapping[Semantic, Semantic]
    verb: str
    params: tuple[str, ...] = ("input",)

    def __hash__(self) -> int:
        return hash((self.verb, tuple(self.meanings.items())))


@dataclass(frozen=True, slots=True)
class Negates:
    """Minus the tensor."""


@dataclass(frozen=True, slots=True)
class Normalizer:
    """The logarithm of the sum of exponentials, which makes log-probabilities of what it is subtracted from."""

    params: tuple[str, ...] = ("input", "dim", "keepdim")


# -------------------------------------------------------------------------------------------------------- made from several
class Arithmetic(Enum):
    """What is computed from two operands, value by value."""

    TIMES = "times"
    OVER = "divided by"
    PLUS = "plus"
    MINUS = "minus"
    FROM = "subtracted from"
    TO = "to the power of"


@dataclass(frozen=True, slots=True)
class Operates:
    """Arithmetic of a tensor with a number or another tensor."""

    how: Arithmetic
    params: tuple[str, ...] = ("input", "other")


@dataclass(frozen=True, slots=True)
class Joins:
    """Tensors are put one behind the other along an axis. `axis`: the usual one."""

    axis: int = 0
    params: tuple[str, ...] = ("tensors", "dim")


@dataclass(frozen=True, slots=True)
class Stacks:
    """Tensors are put one behind the other along a new axis."""

    params: tuple[str, ...] = ("tensors", "dim")


@dataclass(frozen=True, slots=True)
class Chooses:
    """Each value comes from one of two tensors."""

    params: tuple[str, ...] = ("condition", "input", "other")


@dataclass(frozen=True, slots=True)
class Fills:
    """Some values are replaced by another one, or such values are put around them. `usual`: the value where none is given."""

    params: tuple[str, ...] = ("input", "mask", "value")
    usual: float | None = None


@dataclass(frozen=True, slots=True)
class Multiplies:
    """A product of matrices: an affine layer if the second factor is a parameter, weighted means if the first holds weights.

    `rank`: how many axes both factors have, where that is fixed.
    """

    params: tuple[str, ...] = ("input", "other")
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Contracts:
    """Products summed over axes that an equation names."""

    params: tuple[str, ...] = ("equation",)


# ------------------------------------------------------------------------------------------------------------- masks, attention
class Test(Enum):
    """How values are tested, or tests connected."""

    EQUAL = "equal to"
    UNEQUAL = "unequal to"
    GREATER = "greater than"
    NOT_LESS = "at least"
    LESS = "less than"
    NOT_GREATER = "at most"
    TRUE = "other than 0"
    NOT = "not"
    AND = "and"
    OR = "or"


@dataclass(frozen=True, slots=True)
class Tests:
    """True or False for each value: a comparison, or what connects the results of such."""

    how: Test
    params: tuple[str, ...] = ("input", "other")


@dataclass(frozen=True, slots=True)
class Attends:
    """Attention. `masks`: its masks that may be boolean, and what such a mask says there by True."""

    params: tuple[str, ...]
    masks: Mapping[str, Semantic]

    def __hash__(self) -> int:
        return hash((self.params, tuple(self.masks.items())))


# ------------------------------------------------------------------------------------------------------------------- losses
class ClassAxis(Enum):
    """Where a loss looks for the classes."""

    SECOND = "axis 1 of (N, C, ...), axis 0 of (C)"
    LAST = "the last axis"


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss: the result is a scalar loss.

    Attributes:
        name: of the function in `torch.nn.functional`.
        cls: of the class in `torch.nn`.
        params: of the function.
        takes: what the first argument has to be; None: any values.
        applies: what the loss does to it itself; "" for nothing.
        class_axis: where it looks for the classes; None where values stand by themselves.
        elementwise: it compares prediction and target value by value, and broadcasts them.
        fused: the loss that takes the logits instead, and applies itself what this one leaves to the caller.
    """

    name: str
    cls: str
    params: tuple[str, ...]
    takes: Semantic | None = None
    applies: str = ""
    class_axis: ClassAxis | None = None
    elementwise: bool = False
    fused: str | None = None

    @property
    def function(self) -> str:
        """The function's qualified name."""
        return f"torch.nn.functional.{self.name}"

    @property
    def call(self) -> str:
        """The qualified name under which a call of an object of the class is known."""
        return f"torch.nn.{self.cls}.__call__"


@dataclass(frozen=True, slots=True)
class FlaggedLoss:
    """A loss of Keras or TensorFlow, which takes logits or probabilities as a flag says; the result is a scalar loss.

    Attributes:
        params: of the function.
        prediction: which of them is the output of the model.
        activation: what it applies to logits.
        flag: the parameter that says whether they are logits; "" where they always have to be.
    """

    params: tuple[str, ...]
    prediction: str
    activation: str
    flag: str = ""


# ------------------------------------------------------------------------------------------------------------ data and objects
@dataclass(frozen=True, slots=True)
class Derives:
    """The result is made from the data of all arguments; meanings are lost."""

    params: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Returns:
    """The result is an instance of a class outside the project.

    Attributes:
        params: names of the leading parameters.
        holds: the parameter whose argument the instance keeps, as its constructor would.
    """

    cls: str
    params: tuple[str, ...] = ()
    holds: str = ""


@dataclass(frozen=True, slots=True)
class Wraps:
    """The result stands for the argument: DataParallel(model), torch.compile(model), tqdm(loader)."""

    of: int = 0
    keyword: str = ""


@dataclass(frozen=True, slots=True)
class Trains:
    """Trains a module by a loss, which are given to it as classes, functions or objects.

    Attributes:
        params: names of the leading parameters.
        module: the parameter that takes the module.
        loss: the parameter that takes the loss.
        usual: the loss where none is given.
        prepared_for: losses before which it changes what the module gives, by the names of their functions.
        changed_by: a parameter that makes it change what the module gives before any loss.
    """

    params: tuple[str, ...]
    module: str
    loss: str
    usual: str | None = None
    prepared_for: frozenset[str] = frozenset()
    changed_by: str = ""


@dataclass(frozen=True, slots=True)
class WrapsAll:
    """The result is the tuple of the arguments (one argument: itself): accelerator.prepare(...)."""


@dataclass(frozen=True, slots=True)
class Resamples:
    """Rows are drawn again, with the same row possibly twice."""

    replace_keyword: str | None = None
    """Only when this keyword is not False."""
    default: bool = True


@dataclass(frozen=True, slots=True)
class Scales:
    """A function that scales its argument by statistics of that argument, as a scaler does that is fitted on it.

    Attributes:
        axis: along which the statistics are taken unless the call says otherwise; None: along all.
        position: of the axis among the arguments.
    """

    axis: int | None = 0
    position: int = 1


@dataclass(frozen=True, slots=True)
class Writes:
    """Arguments are written to a file: all from `first` on, by position or by name."""

    first: int = 0
    last: int | None = None


@dataclass(frozen=True, slots=True)
class SplitsArrays:
    """train_test_split: for each array its training part and its test part."""


@dataclass(frozen=True, slots=True)
class RandomSplits:
    """random_split: parts of a dataset, in the order of the sizes."""


@dataclass(frozen=True, slots=True)
class CrossValidates:
    """Splits the data, fits and scores: cross_val_score(estimator, X, y)."""


@dataclass(frozen=True, slots=True)
class Measures:
    """A metric: it compares labels with predictions, and changes nothing.

    Attributes:
        truth: the parameter that takes the labels; "" for what makes a scorer of a metric.
        predicted: the parameter that takes the predictions.
        ranks: it needs scores or probabilities, and of classes says next to nothing.
        symmetric: it gives the same where both are exchanged.
        of_classes: it refuses anything but classes.
    """

    params: tuple[str, ...]
    truth: str
    predicted: str
    ranks: bool = False
    symmetric: bool = False
    of_classes: bool = False


@dataclass(frozen=True, slots=True)
class NoEffect:
    """Known to change nothing that matters here; the result is not known."""


@dataclass(frozen=True, slots=True)
class Special:
    """Has an effect of its own in the linter's interpreter, by this name."""

    name: str
    params: tuple[str, ...] = field(default=())


Effect = (
    Gives
    | Affine
    | Activates
    | Keeps
    | Clamps
    | Drops
    | Moves
    | Selects
    | Arranges
    | Reduces
    | Pools
    | Maps
    | Negates
    | Normalizer
    | Operates
    | Joins
    | Stacks
    | Chooses
    | Fills
    | Multiplies
    | Contracts
    | Tests
    | Attends
    | Loss
    | FlaggedLoss
    | Derives
    | Returns
    | Wraps
    | Trains
    | WrapsAll
    | Resamples
    | Scales
    | Writes
    | SplitsArrays
    | RandomSplits
    | CrossValidates
    | Measures
    | NoEffect
    | Special
)
