"""What the rules about shapes share: how a shape came to be, step by step, and what to say of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint.library.names import says_batch, says_classes, says_samples
from mldbg.operations.losses import LOSSES
from mldbg.operations.problem import Problem
from mldbg.operations.torch import LOSS_CLASSES

if TYPE_CHECKING:
    from mldbg.lint.interpret.address import Ref, Site
    from mldbg.lint.interpret.facts import Call, Contradiction, Misfit
    from mldbg.lint.interpret.value import Value
    from mldbg.operations.shape import Shape
    from mldbg.operations.sizes import Dim

Steps = list[tuple["Site", str]]

_LOSS_NAMES = {
    **{loss.function: loss.name for loss in LOSSES.values()},
    **{f"{cls}.__call__": loss.name for cls, loss in LOSS_CLASSES.items()},
}

OVER_CLASSES = ("cross_entropy", "nll_loss")
"""Losses that take samples on the first axis and their classes on the second."""

_REDUCTIONS = frozenset({"mean", "sum", "prod", "amax", "amin", "max", "min", "nanmean", "nansum", "logsumexp", "norm", *LOSSES})


def ladder(*values: Value) -> Steps:
    """The operations that led to the shapes of some tensors, with what each made of it; those of the first tensor first."""
    found: Steps = []
    for value in values:
        if value.shaped is not None and value.shaped.ladder is not None:
            found += [step for step in value.shaped.ladder.steps() if step not in found]
    return found


def shape_of(value: Value) -> Shape | None:
    """The shape of a tensor, where anything is known of it."""
    return value.shaped.tensor.shape if value.shaped is not None else None


def supposed_shape(value: Value) -> Shape | None:
    """The shape of a tensor if the labels that it was made of are one column; None where it is known, or nothing says labels."""
    known = shape_of(value)
    if value.shaped is None or value.shaped.supposed is None or (known is not None and known.rank is not None):
        return None
    return value.shaped.supposed.shape


def short(name: str) -> str:
    """How people call a function or layer of a qualified name."""
    last = name.removesuffix(".__call__").rpartition(".")[2]
    return {"__getitem__": "the index", "__setitem__": "the assignment", "__matmul__": "`@`"}.get(last, f"`{last}`")


def loss_named(name: str) -> str | None:
    """The name of the loss that a call applies, as a function; None of any other call."""
    return _LOSS_NAMES.get(name)


def calls_of_losses(*names: str) -> Iterator[str]:
    """The qualified names of the calls of some losses, given by their names in `torch.nn.functional`."""
    yield from (call for call, name in _LOSS_NAMES.items() if name in names)


def is_about_classes(misfit: Misfit) -> bool:
    """Whether a loss over classes fails on sizes that would fit with the last axis of its input moved to axis 1."""
    from mldbg.operations.sizes import same

    if loss_named(misfit.name) not in OVER_CLASSES or misfit.mismatch.problem not in (
        Problem.SIZES,
        Problem.RANK,
    ):
        return False
    shapes = [shape for value in misfit.operands[:2] if (shape := shape_of(value)) is not None]
    if len(shapes) != 2 or any(shape.rest is not None for shape in shapes):
        return False
    logits, target = shapes[0].front, shapes[1].front
    if len(logits) != len(target) + 1 or len(logits) < 3:
        return False
    return all(same(one, two) is not False for one, two in zip(logits[:-1], target, strict=True))


def ends_in_reduction(contradiction: Contradiction) -> bool:
    """Whether what contradicts the annotation of a function was reduced last, by the function itself."""
    shape = shape_of(contradiction.value)
    if shape is not None and 1 in (*shape.front, *shape.back):
        return False  # an axis was kept
    steps = ladder(contradiction.value)
    here = bool(steps) and steps[-1][0].part is contradiction.declared.part
    return here and any(steps[-1][1].startswith(f"`{name}`") for name in _REDUCTIONS)


def axis_name(size: Dim) -> str:
    """The name of an axis whose size is one name; empty for any other."""
    from mldbg.operations.sizes import Size, said

    return said(size) if isinstance(size, Size) and said(size).isidentifier() else ""


def axis_parameter(call: Call) -> str:
    """The parameter by which a call was told its axis: numpy's name for it, which torch takes too, or torch's own."""
    return "axis" if "axis" in call.arguments else "dim"


def class_axis(value: Value, batch: int) -> int | None:
    """The axis of the classes, where it is plain: the only one beside the batch with more than one entry, or that is named so."""
    shape = shape_of(value)
    if shape is None or shape.rank is None:
        return None
    others = [axis for axis, size in enumerate(shape.front) if axis != batch % shape.rank and size != 1]
    named = [axis for axis in others if says_classes(axis_name(shape.front[axis]))]
    found = named if len(others) > 1 else others
    if len(found) != 1:
        return None
    return found[0] if found[0] + 1 < shape.rank else -1


class BatchesOfLosses:
    """The tensors that losses over classes have taken for batches: their first axis is that of the samples."""

    def __init__(self) -> None:
        self._taken: set[Ref] = set()

    def note(self, call: Call) -> None:
        """A loss is called. Nothing is concluded from a table of pairs, whose rows and columns may both be samples."""
        from mldbg.operations.sizes import AnySize

        value = call.argument("input")
        shape = shape_of(value)
        if loss_named(call.name) not in OVER_CLASSES or value.origin is None or shape is None or shape.least_rank < 2:
            return
        classes = shape.at(-1 if shape.rank is None else 1)
        if not isinstance(classes, AnySize) and classes != shape.at(0):
            self._taken.add(value.origin)

    def hold(self, value: Value, axis: int | None) -> bool:
        """Whether an axis of a tensor, or without one the whole tensor, runs over several samples."""
        shape = shape_of(value)
        if batch_axis(value, axis or 0):
            return True
        if shape is None or value.origin not in self._taken or axis not in (None, 0, -(shape.rank or 0)):
            return False
        samples = shape.at(0)
        return samples != 1 and (axis is not None or isinstance(samples, int))


def batch_axis(value: Value, axis: int) -> bool:
    """Whether an axis of a tensor with others is known to be that of the batch, and no other one is."""
    from mldbg.operations.sizes import AnySize

    shape = shape_of(value)
    if shape is None or value.shaped is None:
        return False
    if shape.rank is None:
        return value.shaped.is_batch and axis == 0 and shape.least_rank > 1
    if shape.rank < 2 or not -shape.rank <= axis < shape.rank:
        return False
    place = axis % shape.rank
    if shape.front[place] == 1:
        return False
    others = [axis_name(dim) for index, dim in enumerate(shape.front) if index != place]
    is_known = not isinstance(shape.front[place], AnySize)
    may_be_table = shape.front.count(shape.front[place]) > 1 if is_known else value.shaped.stretched is not None
    if may_be_table or any(map(says_batch, others)):
        return False
    name = axis_name(shape.front[place])
    rows = place == 0 and shape.rank == 2 and says_samples(name)
    return says_batch(name) or rows or (value.shaped.is_batch and place == 0)
