"""What the tables, the interpreter and `sanitize` say is left of a meaning holds for what torch computes.

For every operation of tensors in the tables, programs are drawn: inputs with a meaning along a drawn axis, arguments that the
operation takes. The interpreter reads a program, torch runs it, and the law of the meaning that the interpreter gives a result is
tested on the tensor that torch gives. In the other direction, an operation that keeps a law in all that is drawn, and of whose
result the interpreter says nothing, stands in a list with a reason.

Drawn is what the interpreter takes for granted: tensors have an axis of samples in front of the axis of the law, an index of
which nothing is known picks samples, what is squeezed has the size 1, what a sum is divided by is positive, and nobody takes the
mean of a whole distribution.
"""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import libcst as cst
import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mldbg.contracts.laws import LAWS, Sample
from mldbg.contracts.sanitize import RULES
from mldbg.contracts.sanitize.surroundings import followed
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.lint.interpret.interpreter import Interpreter
from mldbg.lint.interpret.module import Part
from mldbg.lint.interpret.value import Axes, Items, Value
from mldbg.operations import arrays
from mldbg.operations import torch as rows
from mldbg.operations.effect import Affine, Effect, Joins, Loss, Moves, Reduces, Selects, Stacks
from mldbg.semantics import FORGOTTEN, Semantic
from test_interpret import interpreted

T = TypeVar("T")
PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS
NON_NEGATIVE, ONE_HOT = Semantic.NON_NEGATIVE, Semantic.ONE_HOT
PROGRAMS = 12
"""Programs that are drawn for one operation."""


# --- laws ---


def breach(value: Value, tensor: Any) -> str | None:
    """What contradicts an abstract value in what was computed; None where nothing does."""
    if isinstance(value.thing, Items):
        return breach_of_several(value.thing, tensor)
    if not isinstance(tensor, Tensor):
        if value.meaning is None:
            return None
        tensor = torch.as_tensor(tensor)
    if value.axes.rank not in (None, tensor.dim()):
        return f"rank {value.axes.rank}, and it has {tensor.dim()} axes"
    if value.axes.last is not None and list(tensor.shape[-1:]) != [value.axes.last]:
        return f"last {value.axes.last}, and its shape is {tuple(tensor.shape)}"
    return broken_law(value, tensor) if value.meaning is not None and tensor.numel() else None


def breach_of_several(items: Items, tensors: Any) -> str | None:
    several = list(tensors)
    if not items.exact:
        assert items.lead is not None
        return next(filter(None, (breach(items.lead, each) for each in several)), None)
    if len(items.tail) != len(several):
        return f"{len(items.tail)} elements, and there are {len(several)}"
    return next(filter(None, map(breach, items.tail, several)), None)


def broken_law(value: Value, tensor: Tensor) -> str | None:
    meaning = value.meaning
    assert meaning is not None
    if value.scaled and meaning in (PROBS, UNIT):  # up to a factor, where some may have been forgotten
        fine = bool(((tensor >= 0) | (tensor <= FORGOTTEN)).all())
        return None if fine else f"{meaning} up to a factor, and some are negative"
    if meaning is Semantic.SCALAR_LOSS:
        return None if tensor.numel() == 1 else f"a scalar, and its shape is {tuple(tensor.shape)}"
    along = value.axes.along
    if along is not None and not -tensor.dim() <= along < tensor.dim():
        return f"along {along}, and its shape is {tuple(tensor.shape)}"
    if along is None and meaning in (PROBS, ONE_HOT):
        meaning = UNIT  # the law holds along an axis that is not known, or was split
    if along is None and meaning is LOG_PROBS:
        return None if bool((tensor <= 1e-5).all()) else "logarithms of probabilities, and some are positive"
    if meaning is LOGITS:  # any real number, and what a mask puts among them
        return None if not bool(tensor.isnan().any()) else "not a number"
    return law_of(meaning, tensor, -1 if along is None else along)


def law_of(meaning: Semantic, tensor: Tensor, axis: int) -> str | None:
    law, tensor = LAWS[meaning], tensor.detach().reshape(tensor.shape or (1,))
    found = {name: float(one) for name, one in zip(law.names, law.measure(tensor, axis, None), strict=True)}
    tolerance = meaning.tolerance.of(str(tensor.dtype).removeprefix("torch."))
    sample = Sample(tolerance, tensor.numel() // max(tensor.shape[axis], 1) if tensor.dim() else 1, tensor.shape[axis], 1)
    broken = law.broken(found, sample)
    return f"{meaning}, and {broken.fact}" if broken is not None else None


# --- programs ---


@dataclass
class Draw:
    """One program: the inputs that it has been given so far, and its lines."""

    number: int
    random: random.Random
    rank: int = 0
    inputs: dict[str, Tensor] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    shape: tuple[int, ...] = ()
    law_axis: int = 1
    meaning: Semantic = PROBS

    def one_of(self, *choices: T) -> T:
        return self.random.choice(choices)

    def given(self, tensor: Tensor) -> str:
        """A tensor that comes from elsewhere: of it the interpreter knows nothing."""
        name = f"given_{self.number}_{len(self.inputs)}"
        self.inputs[name] = tensor
        return name

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(shape or self.shape, generator=torch.Generator().manual_seed(self.random.randrange(2**30)))

    def spelled(self, axis: int) -> int:
        """An axis, counted from either end."""
        return axis - self.one_of(0, self.rank)

    def axis(self, *, but: int | None = None) -> int:
        """Any axis of the input, in either spelling."""
        return self.spelled(self.one_of(*[each for each in range(self.rank) if each != but]))

    def tensor(self, meaning: Semantic | None = None, *, shape: tuple[int, ...] = ()) -> str:
        """An expression for a tensor with a meaning."""
        source = f"torch.clone({self.given(self.noise(*(shape or self.shape)))})"
        if self.one_of(True, False) and not shape:
            source = f"{source}.reshape({', '.join(map(str, self.shape))})"  # now its rank is known
        dim = self.spelled(self.law_axis)
        match meaning or self.meaning:
            case Semantic.PROBS:
                return self.one_of(f"F.softmax({source}, dim={dim})", f"{source}.softmax({dim})", f"nn.Softmax({dim})({source})")
            case Semantic.LOG_PROBS:
                return f"F.log_softmax({source}, dim={dim})"
            case Semantic.UNIT_INTERVAL:
                return self.one_of(f"torch.sigmoid({source})", f"{source}.sigmoid()")
            case Semantic.NON_NEGATIVE:
                return f"F.relu({source})"
            case Semantic.ONE_HOT:
                ids = self.given(torch.randint(0, 3, shape or (*self.shape[:-1],)))
                return f"F.one_hot({ids}, {(shape or self.shape)[-1]}).float()"
            case _:
                return f"F.leaky_relu({source})"

    def bind(self, name: str, expression: str) -> None:
        self.lines.append(f"{name} = {expression}")


MEANINGS = (PROBS, PROBS, PROBS, LOG_PROBS, UNIT, UNIT, LOGITS, NON_NEGATIVE)


def drawn(seed: int, ranks: tuple[int, ...]) -> Draw:
    """An input `p` with a meaning, bound; sometimes twice as large, or a sum of two."""
    draw = Draw(seed, random.Random(seed))
    draw.rank = draw.one_of(*ranks)
    draw.shape = tuple(draw.one_of(3, 4) for _ in range(draw.rank))
    draw.law_axis = draw.one_of(*range(1, draw.rank)) if draw.rank > 1 else 0
    draw.meaning = draw.one_of(*MEANINGS)
    draw.bind("p", draw.tensor())
    if draw.meaning in (PROBS, UNIT) and draw.one_of(True, False, False):
        draw.bind("p", draw.one_of("p / 2", f"p + {draw.tensor()}", f"0 + p + {draw.tensor()}"))
    return draw


Template = Callable[[Draw], str]
"""The arguments behind the first one, drawn."""


def _dims(draw: Draw) -> str:
    return str(draw.axis())


def _two_dims(draw: Draw) -> str:
    return f"{draw.axis()}, {draw.axis()}"


def _order(draw: Draw) -> str:
    return f"({', '.join(str(draw.spelled(each)) for each in draw.random.sample(range(draw.rank), draw.rank))},)"


def _regrouped(draw: Draw) -> str:
    shape = draw.shape
    place = draw.one_of(*range(draw.rank))
    kept = draw.one_of(shape, (*shape[:place], 1, *shape[place:]), (math.prod(shape[:2]), *shape[2:]), (-1,))
    return f"({', '.join(map(str, kept))},)"


def _regrouped_spread(draw: Draw) -> str:
    return _regrouped(draw) if draw.one_of(True, False) else _regrouped(draw).strip("(),")


def _larger(draw: Draw) -> str:
    return str(draw.one_of(draw.shape, (2, *draw.shape)))


def _halves(draw: Draw) -> str:
    return draw.one_of("2", f"2, {draw.axis()}", f"2, dim={draw.axis()}")


def _sections(draw: Draw) -> str:
    axis = draw.one_of(*range(draw.rank))
    return f"[1, {draw.shape[axis] - 1}], {draw.spelled(axis)}"


def _places(draw: Draw) -> str:
    return draw.given(torch.zeros(draw.shape, dtype=torch.long))


def _mask(draw: Draw) -> str:
    """A mask for each value, for each row, or for each sample."""
    shape = draw.one_of(draw.shape, draw.shape, (*draw.shape[:-1], 1), (draw.shape[0], *[1] * (draw.rank - 1)))
    return f"({draw.given(draw.noise(*shape))} > 0)"


def _number(draw: Draw) -> str:
    return str(draw.one_of(0, 1, 2, 0.5, 1e-8, 3, -1, 0.0))


def _other(draw: Draw) -> str:
    """A number, a tensor of the same meaning or another, zeros, or something unknown."""
    another = draw.tensor(draw.one_of(draw.meaning, draw.meaning, *MEANINGS))
    return draw.one_of(_number(draw), another, another, "torch.zeros_like(p)", draw.given(draw.noise()))


def _other_tensor(draw: Draw) -> str:
    another = draw.tensor(draw.one_of(draw.meaning, draw.meaning, *MEANINGS))
    return draw.one_of(another, another, "torch.zeros_like(p)", draw.given(draw.noise()))


def _exponent(draw: Draw) -> str:
    return draw.one_of("2", "0.5", "3", "1.0", _other(draw))


def _divisor(draw: Draw) -> str:
    another = draw.tensor(draw.one_of(draw.meaning, draw.meaning, *MEANINGS))
    return draw.one_of(_number(draw), another, draw.given(draw.noise().abs() + 0.1), draw.given(torch.tensor(7.0)))


def _bounds(draw: Draw) -> str:
    return draw.one_of(
        "0, 1", "1e-8, 1 - 1e-8", "min=1e-7", "max=1", "0.2, 0.7", "min=0.3", "max=0.5", "-2, 2", "min=-100", "-1, 3"
    )


def _low(draw: Draw) -> str:
    return str(draw.one_of(0, 1e-8, 0.3, 2, -100))


def _high(draw: Draw) -> str:
    return str(draw.one_of(1, 0.5, 2, 0))


def _mean_over(draw: Draw) -> str:
    dims = [draw.axis(but=draw.law_axis if draw.meaning is PROBS else None)]
    return draw.one_of("", f"{dims[0]}", f"dim={dims[0]}, keepdim=True", f"dim=({dims[0]},)")


def _sum_over(draw: Draw) -> str:
    return draw.one_of("", f"{draw.axis()}", f"dim={draw.axis()}, keepdim=True")


def _index(draw: Draw) -> str:
    samples = draw.given(torch.tensor([0, 2, 1]))
    rows_mask = f"({draw.given(draw.noise(draw.shape[0]).abs() + 1)} > 0)"
    items = [draw.one_of(":", ":", "1:", "0", "None", ":", "[0, 1]") for _ in range(draw.one_of(1, 2, draw.rank))]
    taken = [item for item in items if item != "None"]
    ellipsis = draw.one_of([], ["..."]) if len(taken) <= draw.rank else []
    place = draw.one_of(0, len(items))
    text = ", ".join([*items[:place], *ellipsis, *items[place:]])
    return draw.one_of(text, text, text, "0", "-1", "1:", samples, rows_mask, "p > 0.3", _mask_of_all(draw))


def _mask_of_all(draw: Draw) -> str:
    return f"{draw.given(draw.noise().abs())} > 0"


def _tensors(draw: Draw) -> str:
    """A list that begins with the input."""
    more = [draw.tensor(draw.one_of(draw.meaning, draw.meaning, draw.meaning, *MEANINGS)) for _ in range(draw.one_of(1, 2))]
    more += draw.one_of([], [], ["torch.zeros_like(p)"])
    return f"[p, {', '.join(more)}]"


def _weights(draw: Draw) -> str:
    size = draw.shape[-1]
    shape = (*draw.shape[:-2], size, size)
    factor = f"F.softmax({draw.given(draw.noise(*shape))}, dim=-1)"
    hot = f"F.one_hot({draw.given(torch.randint(0, 3, shape[:-1]))}, {size}).float()"
    mild = f"torch.sigmoid({draw.given(draw.noise(*shape))})"
    return draw.one_of(factor, hot, mild, draw.given(draw.noise(*shape)))


def _window(draw: Draw) -> str:
    return draw.one_of("2", "3, padding=1", "2, 1", "3, 1, 1", "kernel_size=2, stride=2, padding=0")


def _size(draw: Draw) -> str:
    several = draw.rank - 2
    return draw.one_of(f"({', '.join(['2'] * several)},)", "1")


def _resized(draw: Draw) -> str:
    return draw.one_of("scale_factor=2", "scale_factor=2, mode='nearest'", "scale_factor=2, mode='bilinear'", "size=(6, 5)")


def _resized_of_function(draw: Draw) -> str:
    bicubic = draw.one_of(False, False, True)
    return "size=(7, 9), mode='bicubic'" if bicubic else _resized(draw)


def _grid(draw: Draw) -> str:
    grid = draw.given(draw.noise(draw.shape[0], 3, 3, 2))
    mode = draw.one_of("", "mode='nearest', ", "mode='bicubic', ")
    return f"{grid}, {mode}align_corners=False"


def _padding(draw: Draw) -> str:
    around = ["(1, 1)", "(0, 0, 1, 1)", "(1, 0), 'constant'", "(1, 1), value=0.5", "(1, 1), 'constant', 2", "(1, 1), value=0"]
    return draw.one_of(*around, *(["(1, 1), 'reflect'", "(1, 1), mode='replicate'"] if draw.rank in (2, 3) else []))


def _nothing(draw: Draw) -> str:
    return ""


def _rowwise(text: str) -> Template:
    return lambda draw: text


@dataclass(frozen=True, slots=True)
class Shaped:
    """Arguments, and the ranks of inputs for which the operation is defined."""

    arguments: Template = _nothing
    ranks: tuple[int, ...] = (2, 3, 4)
    statement: str = ""
    """A call that differs from `function(p, arguments)`: `{function}` and `{arguments}` stand for them."""
    constructor: Template | None = None


ARGUMENTS: Mapping[str, Shaped] = {
    "softmax log_softmax softmin": Shaped(lambda draw: f"dim={draw.axis()}"),
    "Softmax LogSoftmax Softmin": Shaped(constructor=_dims),
    "Softmax2d": Shaped(constructor=_nothing, ranks=(4,)),
    "logsumexp": Shaped(_dims),
    "gumbel_softmax": Shaped(lambda draw: f"dim={draw.axis()}"),
    "one_hot": Shaped(_rowwise("7"), statement="{function}((p > 0).long(), {arguments})"),
    "matmul __matmul__": Shaped(_weights, ranks=(2, 3)),
    "mm": Shaped(_weights, ranks=(2,)),
    "bmm": Shaped(_weights, ranks=(3,)),
    "clamp clip": Shaped(_bounds),
    "clamp_min": Shaped(_low),
    "clamp_max": Shaped(_high),
    "roll": Shaped(_rowwise("1, 0")),
    "flip": Shaped(lambda draw: f"({draw.axis()},)"),
    "to type_as": Shaped(_other_tensor),
    "type": Shaped(_rowwise("torch.float64")),
    "__deepcopy__": Shaped(_rowwise("{}"), statement="p.detach().__deepcopy__({arguments})"),
    "data": Shaped(statement="p.data"),
    "item": Shaped(statement="p.flatten()[0].item()"),
    "tensor Tensor FloatTensor as_tensor asarray": Shaped(statement="torch.{name}(p.tolist())"),
    "LongTensor": Shaped(statement="torch.LongTensor((p > 0).long().tolist())"),
    "from_numpy": Shaped(statement="torch.from_numpy(p.numpy())"),
    "scale": Shaped(statement="torch.amp.GradScaler('cpu', enabled=False).scale(p)"),
    "reshape view": Shaped(_regrouped_spread),
    "view_as reshape_as": Shaped(lambda draw: draw.given(draw.noise(math.prod(draw.shape)))),
    "flatten": Shaped(lambda draw: draw.one_of("", "1", f"0, {draw.rank - 1}", f"{draw.rank - 2}", "start_dim=1")),
    "Flatten": Shaped(constructor=lambda draw: draw.one_of("", "0", "1")),
    "unflatten": Shaped(lambda draw: draw.one_of(*[f"{draw.spelled(i)}, (1, {draw.shape[i]})" for i in range(draw.rank)])),
    "Unflatten": Shaped(constructor=lambda draw: draw.one_of(*[f"{i}, ({draw.shape[i]}, 1)" for i in range(draw.rank)])),
    "transpose swapdims swapaxes movedim moveaxis": Shaped(_two_dims),
    "permute": Shaped(_order),
    "t": Shaped(ranks=(2,)),
    "T mT mH": Shaped(ranks=(2,), statement="p.{name}"),
    "squeeze": Shaped(lambda draw: str(draw.one_of(0, 1, -1))),
    "unsqueeze": Shaped(lambda draw: str(draw.one_of(*range(-draw.rank - 1, min(draw.rank, 2) + 1)))),
    "broadcast_to": Shaped(_larger),
    "expand": Shaped(lambda draw: draw.one_of(_larger(draw), _larger(draw).strip("()"))),
    "expand_as": Shaped(lambda draw: draw.given(draw.noise(2, *draw.shape))),
    "tile repeat": Shaped(lambda draw: str(tuple(draw.one_of(1, 2) for _ in range(draw.rank)))),
    "repeat_interleave": Shaped(lambda draw: f"2, {draw.axis()}"),
    "narrow": Shaped(lambda draw: f"{draw.axis()}, 0, 2"),
    "index_select": Shaped(lambda draw: f"{draw.axis()}, {draw.given(torch.tensor([0, 2, 2]))}"),
    "split chunk tensor_split": Shaped(_halves),
    "split_with_sizes": Shaped(_sections),
    "select": Shaped(lambda draw: f"{draw.axis()}, 0"),
    "unbind": Shaped(lambda draw: draw.one_of("", _dims(draw))),
    "masked_select": Shaped(_mask_of_all),
    "gather": Shaped(lambda draw: f"{draw.axis()}, {_places(draw)}"),
    "take": Shaped(_places),
    "take_along_dim": Shaped(lambda draw: f"{_places(draw)}, {draw.axis()}"),
    "amax amin": Shaped(lambda draw: draw.one_of("", _dims(draw))),
    "max min": Shaped(lambda draw: draw.one_of("", _dims(draw), f"dim={draw.axis()}", _other_tensor(draw))),
    "median": Shaped(lambda draw: draw.one_of("", _dims(draw))),
    "topk kthvalue": Shaped(lambda draw: f"2, {draw.axis()}"),
    "sort cummax cummin": Shaped(_dims),
    "__getitem__": Shaped(_index, statement="p[{arguments}]"),
    "maximum minimum fmax fmin": Shaped(_other_tensor),
    "where": Shaped(lambda draw: f"{_mask(draw)}, {_other(draw)}", statement="{chosen}"),
    "mean": Shaped(_mean_over),
    "sum": Shaped(_sum_over),
    "mul multiply add sub subtract rsub": Shaped(_other),
    "pow __pow__": Shaped(_exponent),
    "__mul__ __rmul__ __imul__ __add__ __radd__ __iadd__ __sub__ __isub__ __rsub__": Shaped(_other),
    "div divide true_divide __truediv__ __itruediv__": Shaped(_divisor),
    "masked_fill": Shaped(lambda draw: f"{_mask(draw)}, {draw.one_of(0, 0.5, 1, -1e9, 2)}"),
    "__setitem__": Shaped(lambda draw: draw.one_of("0", "..., 0", _mask_of_all(draw)), statement="{set}"),
    "pad": Shaped(_padding, ranks=(2, 3, 4)),
    "cat concat concatenate": Shaped(
        lambda draw: draw.one_of("", f", dim={draw.axis()}"), statement="{function}({tensors}{arguments})"
    ),
    "stack": Shaped(lambda draw: draw.one_of("", ", dim=0", ", dim=1"), statement="{function}({tensors}{arguments})"),
    "vstack row_stack hstack": Shaped(statement="{function}({tensors})"),
    "avg_pool1d max_pool1d": Shaped(_window, ranks=(3,)),
    "avg_pool2d max_pool2d": Shaped(_window, ranks=(4,)),
    "avg_pool3d max_pool3d": Shaped(_window, ranks=(5,)),
    "adaptive_avg_pool1d adaptive_max_pool1d": Shaped(_size, ranks=(3,)),
    "adaptive_avg_pool2d adaptive_max_pool2d": Shaped(_size, ranks=(4,)),
    "adaptive_avg_pool3d adaptive_max_pool3d": Shaped(_size, ranks=(5,)),
    "interpolate upsample": Shaped(_resized_of_function, ranks=(4,)),
    "grid_sample": Shaped(_grid, ranks=(4,)),
    "AvgPool1d MaxPool1d": Shaped(constructor=_window, ranks=(3,)),
    "AvgPool2d MaxPool2d": Shaped(constructor=_window, ranks=(4,)),
    "AvgPool3d MaxPool3d": Shaped(constructor=_window, ranks=(5,)),
    "AdaptiveAvgPool1d AdaptiveMaxPool1d": Shaped(constructor=_size, ranks=(3,)),
    "AdaptiveAvgPool2d AdaptiveMaxPool2d": Shaped(constructor=_size, ranks=(4,)),
    "AdaptiveAvgPool3d AdaptiveMaxPool3d": Shaped(constructor=_size, ranks=(5,)),
    "Upsample": Shaped(constructor=_resized, ranks=(4,)),
    "UpsamplingBilinear2d UpsamplingNearest2d": Shaped(constructor=_rowwise("scale_factor=2"), ranks=(4,)),
    "dropout feature_dropout alpha_dropout feature_alpha_dropout": Shaped(_rowwise("0.5, True"), ranks=(2, 3, 4)),
    "dropout1d": Shaped(_rowwise("0.5"), ranks=(3,)),
    "dropout2d": Shaped(_rowwise("0.5"), ranks=(4,)),
    "dropout3d": Shaped(_rowwise("0.5"), ranks=(5,)),
    "Dropout AlphaDropout": Shaped(constructor=_rowwise("0.5")),
    "Dropout1d": Shaped(constructor=_rowwise("0.5"), ranks=(3,)),
    "Dropout2d": Shaped(constructor=_rowwise("0.5"), ranks=(4,)),
    "Dropout3d": Shaped(constructor=_rowwise("0.5"), ranks=(5,)),
    "PReLU ReLU ReLU6 Sigmoid Hardsigmoid LeakyReLU ELU GELU SiLU Tanh Softplus LogSigmoid Identity": Shaped(
        constructor=_nothing
    ),
    "GradScaler": Shaped(),
}
"""By the last part of a qualified name. Names that stand here nowhere take the input alone."""

OF_NAME: Mapping[str, Shaped] = {name: shaped for names, shaped in ARGUMENTS.items() for name in names.split()}

NOT_RUN: Mapping[str, str] = {
    "cuda": "needs a GPU",
    "pin_memory": "needs a GPU",
    "half": "torch computes little in this format on a CPU",
    "addmm": "an affine layer: any real number",
    "bilinear": "an affine layer: any real number",
    "ones_like": "takes no number of the tensor",
    "arange": "takes no tensor",
    **dict.fromkeys(
        (
            *("tril", "triu", "cdist", "broadcast_tensors", "cosine_similarity", "scatter_add", "index_add", "lerp", "addcmul"),
            *("index_put", "index_copy", "masked_scatter", "select_scatter", "slice_scatter", "rot90", "as_strided", "cumsum"),
            *("unfold", "hardtanh"),
        ),
        "only sanitize says something of it, and tests/contracts/test_sanitize_kinds.py holds that",
    ),
}
"""Operations that are not drawn, and why."""


def is_drawn(name: str, row: Effect) -> bool:
    """Whether a row says something of tensors that a program can be drawn for."""
    last = _plain(name).rpartition(".")[2].removesuffix("_")
    tells = not isinstance(row, Affine | Loss) and type(row).__name__ not in NOT_OF_MEANINGS
    return tells and last not in NOT_RUN


NOT_OF_MEANINGS = {"Special", "Wraps", "Measures", "NoEffect", "RandomSplits", "Returns", "Contracts", "Tests", "Attends"}
"""Kinds of rows that say nothing of the meaning of a tensor, or lose each."""


def _plain(name: str) -> str:
    return name.removesuffix(".__call__")


OPERATIONS = {name: row for name, row in {**rows.ROWS, **arrays.ROWS}.items() if is_drawn(name, row)}


def statement(name: str, draw: Draw) -> str:
    """Statements that bind `r` to what an operation makes of `p`."""
    plain = _plain(name)
    owner, _, last = plain.rpartition(".")
    in_place = last.endswith("_") and not last.endswith("__")
    shaped = shape_of(name)
    arguments = (shaped.constructor or shaped.arguments)(draw)
    if owner == "numpy":
        return of_arrays(last, draw)
    function = {"torch.nn.functional": f"F.{last}", "torch.Tensor": f"p.{last}"}.get(owner, plain)
    first = "" if owner == "torch.Tensor" else "p, " if arguments else "p"
    if last in ("squeeze", "squeeze_"):
        draw.bind("p", f"p.unsqueeze({arguments})")
    if in_place:
        first, function = ("", f"r.{last}") if owner == "torch.Tensor" else (first.replace("p", "r"), function)
        return f"r = p.clone()\n{function}({first}{arguments})"
    if last.startswith("__i") and last != "__init__":
        return f"r = p.clone()\nr = r.{last}({arguments})"
    if shaped.constructor is not None:
        return f"r = nn.{last}({arguments})(p)"
    if last == "where":
        condition, _, other = arguments.partition(", ")
        return f"r = torch.where({condition}, p, {other})" if owner == "torch" else f"r = p.where({condition}, {other})"
    if last == "__setitem__":
        return f"r = p.clone()\nr[{arguments}] = {draw.one_of(0, 0.5, 1, 2, -1)}"
    text = shaped.statement or "{function}({first}{arguments})"
    tensors = _tensors(draw) if "{tensors}" in text else ""
    text = text.format(function=function, receiver=function, first=first, arguments=arguments, name=last, tensors=tensors)
    return f"r = {text}"


OF_ARRAYS: Mapping[str, Template] = {
    "mean": lambda draw: f"axis={draw.axis(but=draw.law_axis if draw.meaning is PROBS else None)}",
    "sum max min amax amin sort": lambda draw: draw.one_of(f"axis={draw.axis()}", str(draw.axis())),
    "clip": lambda draw: draw.one_of("0, 1", "1e-8, 1 - 1e-8", "0.2, 0.7", "-2, 2"),
    "maximum minimum": lambda draw: draw.one_of(_number(draw), f"{_other_tensor(draw)}.numpy()"),
    "add subtract multiply": lambda draw: draw.one_of(_number(draw), f"{_other_tensor(draw)}.numpy()"),
    "divide": lambda draw: draw.one_of("2", "0.5", "1", "7"),
    "power": lambda draw: draw.one_of("2", "0.5", "3"),
    "expand_dims": lambda draw: str(draw.one_of(0, 1, -1)),
}
"""Of functions of numpy: the arguments behind the array."""


def of_arrays(name: str, draw: Draw) -> str:
    """Statements that bind `r` to what numpy makes of the array behind `p`."""
    if name in ("concatenate", "stack", "vstack", "hstack"):
        along = draw.one_of("", f", axis={draw.one_of(0, 1)}") if name in ("concatenate", "stack") else ""
        another = draw.tensor(draw.one_of(draw.meaning, draw.meaning, *MEANINGS))
        return f"r = np.{name}([p.numpy(), {another}.numpy()]{along})"
    if name == "where":
        return f"r = np.where({draw.given(draw.noise())}.numpy() > 0, p.numpy(), {draw.one_of('0', '1', '0.5')})"
    template = next((template for names, template in OF_ARRAYS.items() if name in names.split()), _nothing)
    arguments = ", ".join(filter(None, ["p.numpy()", template(draw)]))
    return draw.one_of(f"r = np.{name}({arguments})", f"r = torch.from_numpy(np.asarray(np.{name}({arguments})))")


def shape_of(name: str) -> Shaped:
    last = _plain(name).rpartition(".")[2]
    known = OF_NAME.get(last)
    if known is None and last.endswith("_") and not last.endswith("__"):
        known = OF_NAME.get(last.removesuffix("_"))
    return known or Shaped()


# --- both readings ---

HEADER = "import numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\nfrom elsewhere import {}\n"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the interpreter says at the end of a program."""

    number: int
    value: Value


def read(programs: list[Draw]) -> dict[int, Value]:
    """What the interpreter says of `r` at the end of each program."""
    names = ", ".join(name for draw in programs for name in draw.inputs) or "nothing"
    lines = []
    for number, draw in enumerate(programs):
        *before, last = "\n".join(draw.lines).split("\n")
        lines += [*before, f"{last}  # {number}"]
    text = HEADER.format(names) + "\n".join(lines) + "\n"

    def watch(run: Interpreter, part: Part, comment: cst.Comment) -> Iterator[object]:
        yield Seen(int(comment.value.removeprefix("# ")), _known(run, run.force(run.names.lookup("r"))))

    seen = interpreted(Path("program.py"), Path(), watch, text)
    return {one.number: one.value for one in seen if isinstance(one, Seen)}


def _known(run: Interpreter, value: Value) -> Value:
    """The value with its elements computed."""
    items = run.contents.items_of(value)
    if items is None:
        return value
    lead = run.force(items.lead) if items.lead is not None else None
    return Value(Items(items.cls, tuple(run.force(each) for each in items.tail), lead))


def computed(draw: Draw) -> Any:
    """What torch makes of a program."""
    scope: dict[str, Any] = {"np": np, "torch": torch, "F": functional, "nn": nn, **draw.inputs}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have other names used
        exec("\n".join(draw.lines), scope)
    return scope["r"]


@cache
def results(name: str) -> list[tuple[Draw, Value, Any]]:
    """Programs that torch runs, what the interpreter says of them, and what they give."""
    ranks = shape_of(name).ranks
    programs: list[Draw] = []
    given: list[Any] = []
    for seed in range(4 * PROGRAMS):
        draw = drawn(seed, ranks)
        draw.lines += statement(name, draw).split("\n")
        try:
            result = computed(draw)
        except (RuntimeError, ValueError, TypeError, IndexError):
            continue  # torch takes no such arguments
        programs.append(draw)
        given.append(result)
        if len(programs) == PROGRAMS:
            break
    values = read(programs)
    return [(draw, values[number], given[number]) for number, draw in enumerate(programs)]


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_left_of_a_meaning_holds_in_torch(name: str) -> None:
    seen = results(name)
    assert len(seen) >= PROGRAMS // 2, "torch runs too few of the programs"
    wrong = [f"{'; '.join(draw.lines)}: {fault}" for draw, value, result in seen if (fault := breach(value, result))]
    assert wrong == []


UNDERSTATED: Mapping[str, str] = {
    "tanh": "it is made for values of either sign, and of those it says nothing",
}
"""Operations that keep values between 0 and 1 there, of which nothing is said all the same."""


def is_kept_in_silence(seen: list[tuple[Draw, Value, Any]]) -> bool:
    """Whether all values between 0 and 1 stay there, and the interpreter never says so."""
    inside = [(value, result) for draw, value, result in seen if draw.meaning in (PROBS, UNIT) and not is_summed(draw)]
    tensors = [first_of(result) for _, result in inside]
    kept = all(each.is_floating_point() and bool(((each > -1e-5) & (each < 1 + 1e-5)).all()) for each in tensors)
    return bool(inside) and kept and not any(says_something(value) for value, _ in inside)


def is_summed(draw: Draw) -> bool:
    return any(line.startswith(("p = p /", "p = p +", "p = 0 +")) for line in draw.lines)


def first_of(result: Any) -> Tensor:
    return torch.as_tensor(result if isinstance(result, Tensor | float) else result[0])


def says_something(value: Value) -> bool:
    thing = value.thing
    return any(map(says_something, thing.all)) if isinstance(thing, Items) else value.meaning is not None


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_an_operation_keeps_is_said_or_listed(name: str) -> None:
    listed = _plain(name).rpartition(".")[2].removesuffix("_").lower() in UNDERSTATED
    assert is_kept_in_silence(results(name)) == listed


def followed_through(draw: Draw) -> list[tuple[Tag | None, Tensor]]:
    """What `sanitize` says of the tensors that a program ends with, and these tensors."""
    watch = Watch(collect=True, silent=RULES)
    with followed(watch):
        result = computed(draw)
    tensors = [each for each in (result if isinstance(result, tuple | list) else [result]) if isinstance(each, Tensor)]
    return [(watch.tags.of(tensor), tensor) for tensor in tensors]


def tagged(draw: Draw) -> list[tuple[Value, Tensor]]:
    """The same as values of the interpreter, where something is said of them that they do not have to prove themselves."""
    tags = [(tag, each) for tag, each in followed_through(draw) if tag is not None and not tag.by_hand]
    return [(Value(meaning=tag.meaning, axes=Axes(along=tag.axis), scaled=tag.scaled), each) for tag, each in tags]


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name in rows.ROWS])
def test_what_sanitize_follows_holds_too(name: str) -> None:
    seen = [(draw, value, tensor) for draw, _, _ in results(name) for value, tensor in tagged(draw)]
    assert [f"{'; '.join(draw.lines)}: {fault}" for draw, value, tensor in seen if (fault := breach(value, tensor))] == []


MOVING = [
    name for name, row in rows.ROWS.items() if name in OPERATIONS and isinstance(row, Moves | Selects | Reduces | Joins | Stacks)
]


def disagreement(draw: Draw, value: Value) -> str | None:
    """Where the interpreter says that the axis of a law is, if `sanitize`, which knows all sizes, says something else.

    Of zeros, which the interpreter takes for any meaning, `sanitize` knows nothing.
    """
    values = value.thing.all if isinstance(value.thing, Items) else [value]
    for said, (tag, tensor) in zip(values, followed_through(draw), strict=False):
        if said.meaning not in (PROBS, LOG_PROBS) or said.axes.along is None or "zeros" in "".join(draw.lines):
            continue
        if tag is None or tag.axis != said.axes.along % tensor.dim():
            return f"{'; '.join(draw.lines)}: {said.axes.along} of {tensor.dim()}, and {tag.axis if tag is not None else None}"
    return None


@pytest.mark.parametrize("name", MOVING)
def test_both_readers_have_one_answer_to_where_an_axis_goes(name: str) -> None:
    assert list(filter(None, (disagreement(draw, value) for draw, value, _ in results(name)))) == []


def test_another_answer_is_noticed() -> None:
    known = [
        (draw, value) for draw, value, _ in results("torch.permute") if value.axes.along is not None and value.meaning is PROBS
    ]
    assert len(known) > 2
    for draw, value in known:
        assert disagreement(draw, replace(value, axes=replace(value.axes, along=(value.axes.along or 0) + 1))) is not None


def test_every_row_of_tensors_is_drawn_or_named() -> None:
    for name, row in {**rows.ROWS, **arrays.ROWS}.items():
        last = _plain(name).rpartition(".")[2].removesuffix("_")
        assert name in OPERATIONS or last in NOT_RUN or isinstance(row, Affine | Loss) or type(row).__name__ in NOT_OF_MEANINGS
    assert len(OPERATIONS) > 340


def test_a_wrong_claim_is_noticed() -> None:
    halves = torch.full((2, 4), 0.5)
    assert breach(Value(meaning=UNIT), halves) is None
    assert breach(Value(meaning=PROBS, axes=Axes(along=0)), halves) is None
    assert breach(Value(meaning=PROBS, axes=Axes(along=-1)), halves) == "probs, and the class axis does not sum to 1"
    assert breach(Value(meaning=PROBS, axes=Axes(along=2)), halves) == "along 2, and its shape is (2, 4)"
    assert breach(Value(meaning=UNIT, scaled=True), -halves) is not None
    assert breach(Value(meaning=UNIT), 3 * halves) is not None
    assert breach(Value(meaning=LOG_PROBS), halves) is not None
    assert breach(Value(axes=Axes(rank=3)), halves) is not None
    assert breach(Value(axes=Axes(last=2)), halves) is not None
    assert breach(Value(Items("builtins.tuple", (Value(),))), (halves, halves)) is not None
