"""Annotations with a meaning: `Logits[Tensor, "batch classes"]`, `ClassIds[Tensor, "batch", below("classes")]`.

Static type checkers see `Annotated[Tensor, ...]`, i.e. `Tensor`. At run time each is `Annotated[Float[Tensor, ...], Meaning]`,
which jaxtyping and beartype accept as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import jaxtyping
import torch

from mldbg.contracts import dynamo
from mldbg.contracts.laws import LAWS, Law, OwnLaw, own_law
from mldbg.operations import dims
from mldbg.semantics import EXACT, IGNORED_CLASS, Extent, Semantic, Tolerance

BOUNDED = frozenset({Semantic.CLASS_IDS, Semantic.TOKEN_IDS})
"""Meanings that can have an upper bound."""


@dataclass(frozen=True, slots=True)
class Along:
    """Names the axis that a law is about."""

    axis: str


@dataclass(frozen=True, slots=True)
class Below:
    """Holds the bound that ids stay below: a number or an expression of axis names and `{self.attribute}`s."""

    bound: int | str


@dataclass(frozen=True, slots=True)
class Ignoring:
    """Names the class id that stands for no target."""

    class_id: int


def along(axis: str) -> Along:
    """Name the axis that a law is about.

    `Probs[Tensor, "batch classes h w", along("classes")]`; without it, the law is about the last axis.
    """
    return Along(axis)


def below(bound: int | str) -> Below:
    """Give ids a bound.

    `TokenIds[Tensor, "batch t", below(32000)]`; an expression of axis names and attributes is a bound too: `below("classes")`,
    `below("{self.vocab}")`.

    Raises TypeError for what is neither, ValueError for a number that leaves no id.
    """
    if not isinstance(bound, (int, str)):
        raise TypeError(f"below() takes an integer or an expression of axis names, not {bound!r}")
    if isinstance(bound, int) and bound < 1:
        raise ValueError(f"below({bound}) leaves no valid id")
    return Below(bound)


def ignoring(class_id: int) -> Ignoring:
    """Name the class id that stands for no target, as the `ignore_index` of a loss does.

    `ClassIds[Tensor, "batch h w", below("classes"), ignoring(255)]`; without it, the id is -100. Every other id, -100 too, has to
    be one of a class.

    Raises TypeError for what is no whole number.
    """
    if not isinstance(class_id, int):
        raise TypeError(f"ignoring() takes an integer, not {class_id!r}")
    return Ignoring(class_id)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The tag of an annotation.

    semantic: None for a law of the user's own. alias: the name under which users know it; empty for a law of their own.
    axis: name of the axis that the law is about; empty for the last one.
    bound: what ids stay below: a number, an expression, or None for no bound.
    ignored: the class id that stands for no target; None for a meaning that has none.
    own: the law of the user's own.
    """

    semantic: Semantic | None
    alias: str
    axis: str = ""
    bound: int | dims.Symbolic | None = None
    ignored: int | None = None
    own: OwnLaw | None = None

    @property
    def law(self) -> Law | None:
        """What the values must keep; None where the dtype says it all, as for a boolean mask."""
        return LAWS.get(self.semantic) if self.semantic is not None else self.own.law if self.own is not None else None

    @property
    def says(self) -> str:
        """The meaning and its law, in words."""
        if self.semantic is not None:
            return f"{self.semantic.words}: {self.semantic.law}"
        return self.own.says if self.own is not None else ""

    @property
    def extent(self) -> Extent:
        """Which values the law ties together."""
        return Extent.TENSOR if self.semantic is None else self.semantic.extent

    @property
    def tolerance(self) -> Tolerance:
        """How far rounding may take honest values from the law; a law of the user's own has its own."""
        return EXACT if self.semantic is None else self.semantic.tolerance

    def refined(self, extras: Iterable[object]) -> Meaning:
        """The same meaning with the `along`, `below` and `ignoring` that stand beside it.

        Raises ValueError or TypeError where they do not suit it.
        """
        refined = self
        for extra in extras:
            match extra:
                case Along(axis) if self.extent is Extent.AXIS:
                    refined = replace(refined, axis=axis)
                case Below(bound) if self.semantic in BOUNDED:
                    refined = replace(refined, bound=bound if isinstance(bound, int) else dims.symbolic(bound))
                case Ignoring(ignored) if self.semantic is Semantic.CLASS_IDS:
                    refined = replace(refined, ignored=ignored)
                case Along():
                    raise ValueError(f"{self.alias}: its law is about {self.extent}, so along() has no meaning")
                case Below():
                    raise ValueError(f"{self.alias}: only ids have a bound, so below() has no meaning")
                case Ignoring():
                    raise ValueError(f"{self.alias}: only class ids can be ignored, so ignoring() has no meaning")
                case _:
                    raise TypeError(
                        f"{self.alias}: expected along(...), below(...) or ignoring(...) after the shape, not {extra!r}"
                    )
        return refined

    def fits(self, axes: tuple[dims.Dim, ...], shape: str) -> None:
        """Raises ValueError where the annotation has no axis for the law, or one that the law has no use for."""
        if self.own is not None and len(axes) < (self.own.axes or 0) and not any(isinstance(axis, dims.Several) for axis in axes):
            raise ValueError(f'[..., "{shape}"]: the law {self.own.says!r} is about {self.own.axes} axes')
        if self.semantic is Semantic.SCALAR_LOSS and axes:
            raise ValueError(f'{self.alias}[..., "{shape}"]: its law is about a single number, so its shape must be ""')
        if self.extent is not Extent.AXIS:
            return
        if not axes:
            raise ValueError(f'{self.alias}[..., "{shape}"]: its law is about an axis, but there is none')
        if self.axis and self.position(axes) is None:
            raise ValueError(f'{self.alias}[..., "{shape}"]: along({self.axis!r}) does not name one of its axes')

    def position(self, axes: tuple[dims.Dim, ...]) -> int | None:
        """Index of the axis that the law is about: counted from the end where it stands behind `*name` or `...`."""
        if not self.axis:
            return -1
        for index, axis in enumerate(axes):
            if self.axis in (axis.text, getattr(axis, "name", "")) and not isinstance(axis, dims.Several):
                return index - len(axes) if any(isinstance(one, dims.Several) for one in axes[:index]) else index
        return None


def law(says: str, holds: Callable[[torch.Tensor], torch.Tensor], *, axes: int | None = None, advice: str = "") -> Meaning:
    """Make a law of one's own, for use in `Annotated`.

    `Annotated[Float[Tensor, "batch 4"], law("x1 < x2", lambda x: x[:, 0] < x[:, 2])]`

    says: the law in words, for messages.
    holds: (tensor) -> tensor of bools of any shape; the law holds where all are True. It gets the values without their gradient,
        in eager and in compiled code, and must not change them. What it raises is raised by the call.
        A model with attached promises is pickled only if this is a function of a module, no lambda.
    axes: how many of the last axes one verdict is about: 0 for single values, 1 for boxes, 2 for matrices. The mode `sampled`
        then looks at 32 of them; without `axes` it looks at the whole tensor.
    advice: what to do where the law is broken.

    Raises TypeError or ValueError for arguments of another kind.
    """
    if not isinstance(says, str):
        raise TypeError(f"law: it must be said in words, not {says!r}")
    if not says.strip():
        raise ValueError("law: it must be said in words")
    if not callable(holds):
        raise TypeError(f"law {says!r}: holds must be a function of a tensor, not {holds!r}")
    if axes is not None and not isinstance(axes, int):
        raise TypeError(f"law {says!r}: axes must be a number of axes, not {axes!r}")
    if axes is not None and axes < 0:
        raise ValueError(f"law {says!r}: axes must be a number of axes, not {axes}")
    return Meaning(None, "", own=own_law(says, holds, axes, advice))


__all__ = [
    "AdditiveMask",
    "BoolMask",
    "ClassIds",
    "DropMask",
    "Finite",
    "KeepMask",
    "LogProbs",
    "Logits",
    "NonNegative",
    "OneHot",
    "Probs",
    "ScalarLoss",
    "Scaled",
    "TokenIds",
    "UnitInterval",
    "UnitNorm",
    "along",
    "below",
    "ignoring",
    "law",
]


@dataclass(frozen=True)
class _Alias:
    """An annotation that can be subscripted: tensor class, shape and perhaps `along(...)`, `below(...)` or `ignoring(...)`.

    A frozen dataclass, because torch.compile can take such an object as a constant when a compiled function subscripts it.
    """

    name: str
    base: Any
    semantic: Semantic
    ignored: int | None = None

    @dynamo.constant
    def __getitem__(self, item: Any) -> Any:
        try:
            return _annotated(self, item)  # the same object each time it is written
        except TypeError:
            return self.annotated(item)

    def annotated(self, item: Any) -> Any:
        """The annotation for a tensor type, a shape, and what may stand behind them.

        Raises TypeError or ValueError where they make none.
        """
        if not isinstance(item, tuple) or len(item) < 2:
            raise TypeError(f'{self.name} needs a tensor type and a shape: {self.name}[Tensor, "batch d"]')
        array, shape, *extras = item
        if not isinstance(shape, str):
            raise TypeError(f'{self.name} needs its shape as a string, such as "batch d", not {shape!r}')
        annotation: Any = self.base[array, shape]
        if not hasattr(annotation, "dim_str"):
            raise TypeError(f"{self.name} describes one tensor type; combine several with |")
        meaning = Meaning(self.semantic, self.name, ignored=self.ignored).refined(extras)
        meaning.fits(dims.parsed(annotation.dim_str), annotation.dim_str)
        return Annotated[annotation, meaning]

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        return f"{self.semantic.words}: {self.semantic.law}."

    def __repr__(self) -> str:
        return self.name


@cache
def _annotated(alias: _Alias, item: Any) -> Any:
    return alias.annotated(item)


def is_alias(annotation: object) -> bool:
    """Whether it is `Logits` or one of its kin, as it stands, without a tensor type and a shape."""
    return isinstance(annotation, _Alias)


if TYPE_CHECKING:
    from jaxtyping import Bool as BoolMask
    from jaxtyping import Float as AdditiveMask
    from jaxtyping import Float as Finite
    from jaxtyping import Float as LogProbs
    from jaxtyping import Float as Logits
    from jaxtyping import Float as NonNegative
    from jaxtyping import Float as Probs
    from jaxtyping import Float as ScalarLoss
    from jaxtyping import Float as Scaled
    from jaxtyping import Float as UnitInterval
    from jaxtyping import Float as UnitNorm
    from jaxtyping import Integer as ClassIds
    from jaxtyping import Integer as TokenIds
    from jaxtyping import Shaped as DropMask
    from jaxtyping import Shaped as KeepMask
    from jaxtyping import Shaped as OneHot
else:

    class RealOrBool(jaxtyping.AbstractDtype):
        """All dtypes but the complex ones, whose values have no order."""

        dtypes = (*jaxtyping.Real.dtypes, *jaxtyping.Bool.dtypes)

    Logits = _Alias("Logits", jaxtyping.Float, Semantic.LOGITS)
    Probs = _Alias("Probs", jaxtyping.Float, Semantic.PROBS)
    LogProbs = _Alias("LogProbs", jaxtyping.Float, Semantic.LOG_PROBS)
    UnitInterval = _Alias("UnitInterval", jaxtyping.Float, Semantic.UNIT_INTERVAL)
    NonNegative = _Alias("NonNegative", jaxtyping.Float, Semantic.NON_NEGATIVE)
    ScalarLoss = _Alias("ScalarLoss", jaxtyping.Float, Semantic.SCALAR_LOSS)
    ClassIds = _Alias("ClassIds", jaxtyping.Integer, Semantic.CLASS_IDS, IGNORED_CLASS)
    TokenIds = _Alias("TokenIds", jaxtyping.Integer, Semantic.TOKEN_IDS)
    OneHot = _Alias("OneHot", RealOrBool, Semantic.ONE_HOT)
    BoolMask = _Alias("BoolMask", jaxtyping.Bool, Semantic.BOOL_MASK)
    KeepMask = _Alias("KeepMask", RealOrBool, Semantic.KEEP_MASK)
    DropMask = _Alias("DropMask", RealOrBool, Semantic.DROP_MASK)
    AdditiveMask = _Alias("AdditiveMask", jaxtyping.Float, Semantic.ADDITIVE_MASK)
    UnitNorm = _Alias("UnitNorm", jaxtyping.Float, Semantic.UNIT_NORM)
    Finite = _Alias("Finite", jaxtyping.Float, Semantic.FINITE)
    Scaled = _Alias("Scaled", jaxtyping.Float, Semantic.SCALED)
