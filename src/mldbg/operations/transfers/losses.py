"""torch: the losses, as functions and as layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mldbg.operations import dtypes, losses
from mldbg.operations.shape import Given, Mismatch, Problem, Result, Shape, Tensor, Transfer, broadcast
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    check_equal,
    check_fits,
    check_floats,
    check_rank,
    check_same_shape,
    made,
    tensor,
)

# --- reduction ---


def _reduction(given: Given) -> str | None:
    """The way in which a loss is reduced; None where it is not known."""
    for name in ("size_average", "reduce"):
        value = given.raw(name)
        if value is not None:
            whole, average = given.raw("reduce"), given.raw("size_average")
            if whole is False:
                return "none"
            return ("sum" if average is False else "mean") if whole in (None, True) and average in (None, True, False) else None
    value = given.values.get("reduction", "mean")
    return value if isinstance(value, str) else None


def _reduced(given: Given, each: Shape, dtype: str | None) -> Tensor:
    """A loss, of which `each` is the shape where it is not reduced."""
    reduction = _reduction(given)
    if reduction is None:
        return Tensor(None, dtype)
    return made(each, dtype) if reduction == "none" else Tensor(Shape(), dtype)


# --- losses of classes ---


def _cross_entropy(given: Given) -> Result:
    """The target has class indices, without the axis of classes, or a probability for each class."""
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_rank(start, 1, None, "the loss")
    check_floats(value, "the loss")
    if start.rank is not None and start.rank == there.rank:
        return _reduced(given, _of_probabilities(start, there, target), value.dtype)
    if start.rank is None or there.rank is None:
        return _reduced(given, ANY_SHAPE, value.dtype)
    return _reduced(given, _of_indices(given, start, there, target), value.dtype)


def _of_probabilities(start: Shape, there: Shape, target: Tensor) -> Shape:
    if dtypes.kind(target.dtype) in ("int", "bool"):
        if start.rank == 2 and there.at(1) == 1:
            raise Mismatch(Problem.RANK, f"class indices of shape {there} have one axis too many for an input of shape {start}")
        reason = f"a target of shape {there}, like the input, holds probabilities of classes, and its type is {target.dtype}"
        raise Mismatch(Problem.DTYPE, reason)
    check_same_shape(start, there, "input and target differ")
    return start.without(1 if len(start.front) > 1 else 0)


def _of_indices(given: Given, start: Shape, there: Shape, target: Tensor) -> Shape:
    dims = start.dims
    batch = Shape((*dims[:1], *dims[2:])) if len(dims) > 1 else Shape()
    if len(there.front) != len(batch.front):
        raise Mismatch(Problem.RANK, f"an input of shape {start} needs a target of shape {batch}, and gets {there}")
    check_same_shape(there, batch, f"target and input {start} differ")
    if target.dtype is not None and target.dtype not in ("int64", "uint8", "int"):
        raise Mismatch(Problem.DTYPE, f"class indices have to be int64, and are {target.dtype}")
    return there


def _nll(given: Given) -> Result:
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_rank(start, 1, None, "the loss")
    check_floats(value, "the loss")
    if start.rank is None or there.rank is None:
        return _reduced(given, there, value.dtype)
    return _reduced(given, _of_indices(given, start, there, target), value.dtype)


def _multi_margin(given: Given) -> Result:
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_rank(start, 1, 2, "the loss")
    check_rank(there, 0, 1, "the loss")
    check_floats(value, "the loss")
    if start.rank == 2 and there.rank == 1:
        check_equal(start.at(0), there.at(0), "input and target have different sizes")
    if dtypes.kind(target.dtype) in ("float", "bool"):
        raise Mismatch(Problem.DTYPE, f"class indices have to be int64, and are {target.dtype}")
    return _reduced(given, there, value.dtype)


# --- losses of pairs ---


def _equal_pair(given: Given, *, floats: bool) -> Result:
    """Binary cross-entropy: no broadcasting."""
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_same_shape(there, start, "target and input differ")
    for name in ("weight", "pos_weight"):
        weight = given.raw(name)
        if isinstance(weight, Tensor) and weight.shape is not None:
            check_fits(weight.shape, start, name)
    check_floats(value, "the loss")
    if floats and dtypes.kind(target.dtype) in ("int", "bool"):
        raise Mismatch(Problem.DTYPE, f"the target has to be of floating-point numbers, and is {target.dtype}")
    if target.dtype == "bool":
        raise Mismatch(Problem.DTYPE, "the target cannot be bool")
    return _reduced(given, start if start.rank is not None else there, value.dtype)


def _broadcast_pair(*names: str) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        values = [tensor(given, name) for name in names]
        return _reduced(given, broadcast(*(each.shape or ANY_SHAPE for each in values)), _promoted(values))

    return compute


def _promoted(values: Sequence[Tensor]) -> str | None:
    result = values[0].dtype
    for each in values[1:]:
        result = dtypes.promoted(result, each.dtype)
    return result


# --- rows ---

_RULES: dict[str, Callable[[Given], Result]] = {
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll,
    "binary_cross_entropy": lambda given: _equal_pair(given, floats=True),
    "binary_cross_entropy_with_logits": lambda given: _equal_pair(given, floats=False),
    **dict.fromkeys(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"), _broadcast_pair("input", "target")),
    "kl_div": _broadcast_pair("input", "target"),
}
"""By the name of the function."""


def _rows() -> dict[str, Transfer]:
    rows: dict[str, Transfer] = {}
    for name, compute in _RULES.items():
        loss = losses.LOSSES[name]
        rows[f"torch.nn.functional.{name}"] = Transfer(loss.params, compute)
        tensors = tuple(each for each in loss.params if each in ("input", "target"))
        rows[f"torch.nn.{loss.cls}.__call__"] = Transfer(tensors, compute)
    for cls, name in losses.OLD_CLASSES.items():
        if name in _RULES:
            rows[f"torch.nn.{cls}.__call__"] = Transfer(("input", "target"), _RULES[name])
    return rows


ROWS: dict[str, Transfer] = _rows()
