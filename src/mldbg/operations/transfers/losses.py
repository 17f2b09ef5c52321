"""torch: the losses, as functions and as layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mldbg.operations import dtypes, losses
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Shape, Tensor, Transfer, broadcast
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    check_equal,
    check_fits,
    check_floats,
    check_rank,
    check_same_shape,
    ending,
    made,
    shape,
    tensor,
)
from mldbg.operations.transfers.elementwise import result_type

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
    if start.rank is None or there.rank is None:
        return _reduced(given, _batch(start), value.dtype)
    if start.rank == there.rank == 1 and not isinstance(there.at(0), int):
        return _reduced(given, Shape(), value.dtype)  # one index, or probabilities
    if start.rank == there.rank and not (start.rank == 1 and there.at(0) == 1):
        return _reduced(given, _of_probabilities(given, start, there, target), value.dtype)
    return _reduced(given, _of_indices(given, start, there, target), value.dtype)


def _batch(start: Shape) -> Shape:
    """The axes of an input but for that of its classes."""
    if start.rank is None:
        return ANY_SHAPE
    return Shape((*start.front[:1], *start.front[2:])) if start.rank > 1 else Shape()


def _of_probabilities(given: Given, start: Shape, there: Shape, target: Tensor) -> Shape:
    if dtypes.kind(target.dtype) in ("int", "bool"):
        if start.rank == 2 and there.at(1) == 1:
            raise Mismatch(Problem.RANK, f"class indices of shape {there} have one axis too many for an input of shape {start}")
        reason = f"a target of shape {there}, like the input, holds probabilities of classes, and its type is {target.dtype}"
        raise Mismatch(Problem.DTYPE, reason, parameter="target", cast="float")
    _check_class_weights(given, start)
    check_same_shape(start, there, "input and target differ")
    return _batch(start)


def _of_indices(given: Given, start: Shape, there: Shape, target: Tensor) -> Shape:
    batch = _batch(start)
    if start.rank == 1 and there.rank == 1:
        check_equal(there.at(0), 1, "the input has no batch, and the target more than one index")
    elif len(there.front) != len(batch.front):
        raise Mismatch(Problem.RANK, f"an input of shape {start} needs a target of shape {batch}, and gets {there}")
    else:
        check_same_shape(there, batch, f"target and input {start} differ")
    if target.dtype is not None and target.dtype not in ("int64", "uint8", "int"):
        reason = f"class indices have to be int64, and are {target.dtype}"
        raise Mismatch(Problem.DTYPE, reason, parameter="target", cast="long")
    _check_class_weights(given, start)
    return batch


def _check_class_weights(given: Given, start: Shape) -> None:
    weight = given.raw("weight")
    if isinstance(weight, Tensor) and weight.shape is not None:
        check_rank(weight.shape, 1, 1, "the weight of classes")
        check_equal(weight.shape.at(0), start.at(1 if len(start.front) > 1 else 0), "weights and classes differ in number")


def _nll(given: Given) -> Result:
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_rank(start, 1, None, "the loss")
    check_floats(value, "the loss")
    if start.rank is None or there.rank is None:
        return _reduced(given, there if start.least_rank > 1 else _batch(start), value.dtype)
    return _reduced(given, _of_indices(given, start, there, target), value.dtype)


def _multi_margin(given: Given) -> Result:
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_rank(start, 1, 2, "the loss")
    check_rank(there, 0, 1, "the loss")
    check_floats(value, "the loss")
    samples = 1 if start.rank == 1 else start.at(0)
    if start.rank is not None and there.rank is not None:
        check_equal(there.at(0) if there.rank else 1, samples, "targets and samples differ in number")
    if dtypes.kind(target.dtype) in ("float", "bool"):
        reason = f"class indices have to be int64, and are {target.dtype}"
        raise Mismatch(Problem.DTYPE, reason, parameter="target", cast="long")
    return _reduced(given, there, value.dtype)


def _several_labels(given: Given) -> Result:
    """Of each sample the classes that hold come first in the target."""
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_rank(start, 1, 2, "the loss")
    check_same_shape(there, start, "target and input differ")
    check_floats(value, "the loss")
    if dtypes.kind(target.dtype) in ("float", "bool"):
        reason = f"class indices have to be int64, and are {target.dtype}"
        raise Mismatch(Problem.DTYPE, reason, parameter="target", cast="long")
    return _reduced(given, ending(start if start.rank is not None else there, 1), value.dtype)


def _several_logits(given: Given) -> Result:
    """The mean over classes of a loss for each."""
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_floats(value, "the loss")
    both = broadcast(start, there)
    if isinstance(given.raw("weight"), Tensor):
        both = broadcast(both, shape(given, "weight"))
    if both.rank is None or start.rank is None:
        return _reduced(given, ANY_SHAPE, result_type(value, target))
    check_rank(start, 1, None, "the loss")
    return _reduced(given, both.without(start.rank - 1), result_type(value, target))


def _temporal(given: Given) -> Result:
    """Connectionist temporal classification."""
    value, targets = tensor(given, "log_probs"), tensor(given, "targets")
    start, there = value.shape or ANY_SHAPE, targets.shape or ANY_SHAPE
    check_rank(start, 2, 3, "the loss")
    check_rank(there, 1, 2, "the loss")
    check_floats(value, "the loss")
    if start.rank is None:
        return _reduced(given, ANY_SHAPE, value.dtype)
    batch = Shape(start.front[1:-1])
    if batch.front and there.rank == 2:
        check_equal(there.at(0), batch.front[0], "targets and samples differ in number")
    return _reduced(given, batch, value.dtype)


# --- losses of pairs ---


def _equal_pair(given: Given) -> Result:
    """Binary cross-entropy: no broadcasting."""
    value, target = tensor(given), tensor(given, "target")
    start, there = value.shape or ANY_SHAPE, target.shape or ANY_SHAPE
    check_same_shape(there, start, "target and input differ")
    for name in ("weight", "pos_weight"):
        weight = given.raw(name)
        if isinstance(weight, Tensor) and weight.shape is not None:
            check_fits(weight.shape, start, name)
    check_floats(value, "the loss")
    if dtypes.kind(target.dtype) in ("int", "bool"):
        reason = f"the target has to be of floating-point numbers, and is {target.dtype}"
        raise Mismatch(Problem.DTYPE, reason, parameter="target", cast="float")
    return _reduced(given, start if start.rank is not None else there, value.dtype)


def _pair(
    rule: Callable[[Tensor, Tensor], str | None], *, floats: Callable[[Given], bool] | None = None
) -> Callable[[Given], Result]:
    """Each element of the input with one of the target. `rule`: the type of the loss; `floats`: when it must be floats."""

    def compute(given: Given) -> Result:
        value, target = tensor(given), tensor(given, "target")
        dtype = rule(value, target)
        if floats is not None and floats(given):
            check_floats(Tensor(None, dtype), "the loss")
        return _reduced(given, broadcast(value.shape or ANY_SHAPE, target.shape or ANY_SHAPE), dtype)

    return compute


def _always(given: Given) -> bool:
    return True


def _in_mean(given: Given) -> bool:
    """A mean of integers has no type."""
    return _reduction(given) == "mean"


def _expanded(value: Tensor, target: Tensor) -> str | None:
    """Tensors without axes count like others where both are expanded first."""
    return dtypes.promoted(value.dtype, target.dtype)


def _of_input(value: Tensor, target: Tensor) -> str | None:
    return value.dtype


def _of_counts(value: Tensor, target: Tensor) -> str | None:
    return dtypes.floating(result_type(value, target))


def _divergence(given: Given) -> Result:
    for name in ("input", "target"):
        check_floats(tensor(given, name), "the loss")
    return _pair(result_type)(given)


def _soft_margin(given: Given) -> Result:
    """The result takes the place of a tensor like the input."""
    value, target = tensor(given), tensor(given, "target")
    check_floats(value, "the loss")
    check_fits(target.shape or ANY_SHAPE, value.shape or ANY_SHAPE, "the target")
    return _reduced(given, value.shape or ANY_SHAPE, value.dtype)


def _gaussian(given: Given) -> Result:
    value, target, variance = tensor(given), tensor(given, "target"), tensor(given, "var")
    start, spread = value.shape or ANY_SHAPE, variance.shape or ANY_SHAPE
    if start.rank is None or spread.rank is None or not isinstance(given.raw("var"), Tensor):
        return _reduced(given, ANY_SHAPE, result_type(value, target, variance))
    if spread.rank == start.rank - 1:
        check_same_shape(spread, ending(start, 1), "the variance does not fit the input")
        spread = spread.with_new(-1, 1)
    elif spread.rank != start.rank:
        raise Mismatch(Problem.RANK, f"the variance has shape {spread}, and the input {start}")
    else:
        check_fits(spread, start, "the variance")
    return _reduced(given, broadcast(start, target.shape or ANY_SHAPE, spread), result_type(value, target, variance))


# --- losses of embeddings ---


def _cosine_embedding(given: Given) -> Result:
    one, two, target = (tensor(given, name) for name in ("input1", "input2", "target"))
    there = target.shape or ANY_SHAPE
    check_rank(there, 0, 1, "the target")
    for each in (one, two):
        check_rank(each.shape or ANY_SHAPE, 1, 2, "the loss")
        if there.rank is not None:
            check_rank(each.shape or ANY_SHAPE, there.rank + 1, there.rank + 1, "the loss, by the axes of its target,")
    both = broadcast(one.shape or ANY_SHAPE, two.shape or ANY_SHAPE)
    return _reduced(given, broadcast(ending(both, 1), there), result_type(one, two))


def _ranking(given: Given) -> Result:
    values = [tensor(given, name) for name in ("input1", "input2", "target")]
    shapes = [each.shape or ANY_SHAPE for each in values]
    ranks = {each.rank for each in shapes} - {None}
    if len(ranks) > 1:
        raise Mismatch(Problem.RANK, f"inputs and target have different numbers of axes: {', '.join(map(str, shapes))}")
    return _reduced(given, broadcast(*shapes), result_type(*values))


def _triplet(given: Given) -> Result:
    values = [tensor(given, name) for name in ("anchor", "positive", "negative")]
    shapes = [each.shape or ANY_SHAPE for each in values]
    ranks = {each.rank for each in shapes} - {None}
    if len(ranks) > 1:
        raise Mismatch(Problem.RANK, f"anchor, positive and negative have different axes: {', '.join(map(str, shapes))}")
    return _reduced(given, ending(broadcast(*shapes), 1), result_type(*values))


# --- rows ---

_RULES: dict[str, Callable[[Given], Result]] = {
    "cross_entropy": _cross_entropy,
    "nll_loss": _nll,
    "multi_margin_loss": _multi_margin,
    "multilabel_margin_loss": _several_labels,
    "multilabel_soft_margin_loss": _several_logits,
    "ctc_loss": _temporal,
    "binary_cross_entropy": _equal_pair,
    "binary_cross_entropy_with_logits": _equal_pair,
    "mse_loss": _pair(_expanded, floats=_always),
    "smooth_l1_loss": _pair(_expanded, floats=_always),
    "l1_loss": _pair(_expanded, floats=_in_mean),
    "huber_loss": _pair(_of_input, floats=_always),
    "kl_div": _divergence,
    "poisson_nll_loss": _pair(_of_counts),
    "gaussian_nll_loss": _gaussian,
    "hinge_embedding_loss": _pair(_of_input, floats=_in_mean),
    "soft_margin_loss": _soft_margin,
    "cosine_embedding_loss": _cosine_embedding,
    "margin_ranking_loss": _ranking,
    "triplet_margin_loss": _triplet,
}
"""By the name of the function."""

_TENSORS = frozenset(
    [
        "input",
        "target",
        "input1",
        "input2",
        "anchor",
        "positive",
        "negative",
        "log_probs",
        "targets",
        "input_lengths",
        "target_lengths",
        "var",
    ]
)
"""Parameters that a layer takes when it is called; it is built with the others."""


def _rows() -> Iterator[tuple[str, Transfer]]:
    for name, compute in _RULES.items():
        loss = losses.LOSSES[name]
        yield loss.function, Transfer(loss.params, compute)
        yield f"torch.nn.{loss.cls}.__call__", Transfer(tuple(each for each in loss.params if each in _TENSORS), compute)
    for cls, name in losses.OLD_CLASSES.items():
        yield f"torch.nn.{cls}.__call__", Transfer(("input", "target"), _RULES[name])


ROWS: dict[str, Transfer] = dict(_rows())
