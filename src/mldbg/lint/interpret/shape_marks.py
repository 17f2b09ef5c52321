"""What goes with a shape: which axis is the batch, which was put in on purpose, which was reduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import libcst as cst

from mldbg.lint.interpret.address import Ref, Site
from mldbg.lint.interpret.arguments import Argument
from mldbg.lint.interpret.shape_results import identity, is_plain
from mldbg.lint.interpret.value import Items, Shaped, Value, first_step
from mldbg.lint.library.names import says_label
from mldbg.operations import dtypes, shape
from mldbg.operations.shape import Rest, Shape, Tensor
from mldbg.operations.sizes import ANY, atom, same

STRETCHES = frozenset({"unsqueeze", "expand_dims"})

PRODUCTS = frozenset({"matmul", "mm", "bmm", "einsum", "t", "T", "cdist"})
"""Operations after which the first axis is another one, even where it has the same size."""

MOVES = frozenset({"transpose", "permute", "swapaxes", "swapdims", "movedim", "moveaxis"})
"""Operations that move axes."""

TAKES_BATCHES: dict[str, int] = {
    **{f"torch.nn.Conv{n}d.__call__": n + 2 for n in (1, 2, 3)},
    **{f"torch.nn.ConvTranspose{n}d.__call__": n + 2 for n in (1, 2, 3)},
    **{f"torch.nn.functional.conv{n}d": n + 2 for n in (1, 2, 3)},
    **{f"torch.nn.BatchNorm{n}d.__call__": n + 1 for n in (1, 2, 3)},
}
"""Layers whose input has a batch on axis 0 from so many axes on."""


def has_batch(name: str, operands: Sequence[Value]) -> bool:
    """Whether the first axis of what a layer gives is known to be that of a batch."""
    first = operands[0].shaped if operands else None
    if first is None:
        return False
    shape = first.tensor.shape
    return first.is_batch or (shape is not None and shape.least_rank >= TAKES_BATCHES.get(name, 99))


ORDERED = frozenset({"LSTM", "GRU", "RNN", "MultiheadAttention", "TransformerEncoderLayer", "TransformerEncoder"})
"""Layers that take one of the first two axes for the batch."""

REDUCES = frozenset({"sum", "mean", "amax", "norm", "logsumexp"})

RECURRENT = frozenset({"LSTM", "GRU", "RNN"})


def as_batch(argument: Argument, rank: int) -> Argument:
    """What a layer gets of which the number of axes is not known: a batch, which code hardly ever leaves away.

    So it is with pictures before a convolution, and with sequences before a layer that was told where the batch is.
    """
    value = argument.value
    if value.shaped is None and not is_plain(value):
        return argument
    shaped = value.shaped or Shaped(Tensor())
    shape = shaped.tensor.shape or Shape((), Rest(), ())
    if shape.rest is None or shape.least_rank > rank:
        return argument
    closed = Shape((*shape.front, *(ANY,) * (rank - shape.least_rank), *shape.back))
    return replace(argument, value=replace(value, shaped=replace(shaped, tensor=replace(shaped.tensor, shape=closed))))


def first_stays(name: str, positional: Sequence[Value]) -> bool:
    """Whether the first axis is the same one after an operation, as far as its arguments say."""
    if name in MOVES:
        axes = [each for value in positional[1:] for each in (value.thing.tail if isinstance(value.thing, Items) else (value,))]
        if name == "permute":
            return bool(axes) and axes[0].constant == 0
        return bool(axes) and all(isinstance(axis.constant, int) and axis.constant != 0 for axis in axes)
    return name not in PRODUCTS


def picks_samples(index: Value) -> bool:
    """Whether rows are picked by their numbers: `x[batch]`, where `batch` is a tensor of them."""
    items = index.thing.tail if isinstance(index.thing, Items) else ()
    first = items[0].shaped if len(items) == 1 else None
    shape = first.tensor.shape if first is not None else None
    return first is not None and shape is not None and shape.rank == 1 and dtypes.kind(first.tensor.dtype) == "int"


def with_order(result: Value, first: bool | None, site: Site) -> Value:
    """What a recurrent or attention layer gives, with the axis that it took for the batch."""
    items = result.thing if isinstance(result.thing, Items) and result.thing.tail else None
    output = items.tail[0] if items is not None else result
    if output.shaped is None or first is None:
        return result
    known = output.shaped.tensor.shape
    is_batch = output.shaped.is_batch or (first and known is not None and known.rank == 3)
    output = replace(output, shaped=replace(output.shaped, batch_first=(first, site), is_batch=is_batch))
    return output if items is None else replace(result, thing=replace(items, tail=(output, *items.tail[1:])))


def reduced(positional: Sequence[Value], keywords: Mapping[str, Value], result: Shaped) -> tuple[Ref, int] | None:
    """Which axis of which tensor was reduced, where it is gone."""
    value = positional[0]
    dim = positional[1] if len(positional) > 1 else keywords.get("dim", keywords.get("axis"))
    shape = value.shaped.tensor.shape if value.shaped is not None else None
    axis = dim.constant if dim is not None else None
    if not isinstance(axis, int) or shape is None or shape.rank is None or value.origin is None or result.tensor.shape is None:
        return None
    return (value.origin, axis % shape.rank) if result.tensor.shape.rank == shape.rank - 1 else None


def keeps_batch(before: Shaped | None, after: Shaped) -> bool:
    """Whether the first axis is still the same one, by its size."""
    if before is None or not before.is_batch or before.tensor.shape is None or after.tensor.shape is None:
        return False
    one, two = before.tensor.shape, after.tensor.shape
    return one.least_rank > 0 and two.least_rank > 0 and one.rest is None and two.rest is None and one.at(0) == two.at(0)


def crossed_in_numbers(one: Value, two: Value) -> bool:
    """Whether the one value for each sample that a network gives meets a list of numbers, both of them of unknown length."""
    return any(
        column.meaning is not None and _has_shape(column, Shape((ANY, 1))) and _has_shape(row, Shape((ANY,)))
        for column, row in ((one, two), (two, one))
    )


def _has_shape(value: Value, shape: Shape) -> bool:
    """Whether a tensor has a shape, of which nobody has put in an axis on purpose."""
    return value.shaped is not None and value.shaped.stretched is None and value.shaped.tensor.shape == shape


def keeps_axis(keywords: Mapping[str, Value]) -> bool:
    return any(keywords[name].constant is True for name in ("keepdim", "keepdims") if name in keywords)


def has_new_axis(name: str, positional: Sequence[Value]) -> bool:
    """Whether an index holds None, or a reshape a literal 1."""
    if name in ("view", "reshape"):
        sizes = [each for value in positional[1:] for each in (value.thing.tail if isinstance(value.thing, Items) else (value,))]
        return any(size.constant == 1 and not isinstance(size.constant, bool) for size in sizes)
    index = positional[1].thing if len(positional) > 1 else None
    items = index.tail if isinstance(index, Items) and index.cls == "builtins.tuple" else ()
    return any(item.is_none for item in items)


_CUTS_AND_RESHAPES = frozenset({"view", "reshape", "__getitem__", "narrow"})
_JOINS = frozenset({"cat", "concat", "concatenate"})


def is_longer(name: str, operand: shape.Argument, before: Shaped | None, after: Shaped) -> bool:
    """Whether the last axis was made longer by one entry, by this operation or before it, as the relative shift begins.

    Args:
        name: of the operation.
        operand: its first argument.
        before: what is known of that, where it is a tensor.
        after: what is known of the result.
    """
    if name in _CUTS_AND_RESHAPES:
        return before is not None and before.is_longer
    parts = (operand,) if name == "pad" else operand if name in _JOINS and isinstance(operand, tuple) else ()
    known = [part.shape for part in parts if isinstance(part, Tensor) and part.shape is not None and part.shape.least_rank > 0]
    made = after.tensor.shape
    if made is None or made.least_rank == 0 or (name in _JOINS and not any(part.at_end(0) == 1 for part in known)):
        return False
    return any(same(part.at_end(0) + 1, made.at_end(0)) is True for part in known)


def column_of_labels(value: Value, site: Site) -> Value | None:
    """What an array is made of that gets its entries from labels: supposed to be one column; None where nothing says labels.

    A table with one column in it would be `(n, 1)`, so nobody may rely on it.
    """
    name = _name_of_array(site.node)
    if value.shaped is not None or not is_plain(value) or not says_label(name):
        return None
    column = Tensor(Shape((atom("rows", (identity(value) or site, "rows")),)))
    ladder = first_step(site, f"supposing that `{name}` is one column")
    return replace(value, shaped=Shaped(Tensor(), ladder, is_array=True, supposed=column))


_SAME_ENTRIES = frozenset({"to_numpy", "to_list", "tolist", "astype", "copy"})


def _name_of_array(node: cst.CSTNode) -> str:
    """What the source calls the `y` of `torch.tensor(y.values)` and `y.to_numpy()`; empty where it is no plain name."""
    if isinstance(node, cst.Call) and node.args and not _leaves_entries(node):
        node = node.args[0].value
    while isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and _leaves_entries(node):
        node = node.func.value
    if isinstance(node, cst.Attribute):
        node = node.value if node.attr.value == "values" else node.attr
    return node.value if isinstance(node, cst.Name) else ""


def _leaves_entries(call: cst.Call) -> bool:
    return isinstance(call.func, cst.Attribute) and call.func.attr.value in _SAME_ENTRIES


def supposed(value: Value) -> Value:
    """The value as it is if the labels that it was made of are one column."""
    if value.shaped is None or value.shaped.supposed is None:
        return value
    return replace(value, shaped=replace(value.shaped, tensor=value.shaped.supposed))
