"""Generated data of scikit-learn, padded sequences, and other things that stand at the start of a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mldbg.operations.problem import Problem
from mldbg.operations.shape import UNKNOWN, Each, Given, Mismatch, Rest, Result, Shape, Tensor, Transfer, Unsure
from mldbg.operations.sizes import ANY, Dim, same


def _made(rows: int, columns: int, target: str) -> Callable[[Given], Result]:
    """Features and targets with the usual numbers of rows and columns, unless others are given."""

    def compute(given: Given) -> Result:
        count = given.raw("n_samples")
        total = given.size("n_samples", rows) if not isinstance(count, tuple) else ANY
        width: Dim = given.size("n_features", columns) if columns != _PLANE else _PLANE
        several = given.size("n_targets", 1)
        targets = Shape((total,) if several == 1 else (total, several))
        return Tensor(Shape((total, width)), "float64"), Tensor(targets if same(several, 1) is not None else None, target)

    return compute


_PLANE = 2
"""Columns of data that are points in a plane, whatever the caller asks for."""


def _blobs(given: Given) -> Result:
    if given.flag("return_centers"):
        raise Unsure
    features, labels = _result_pair(_made(100, 0, "int64")(_with_usual(given, "n_features", 2)))
    return features, labels


def _with_usual(given: Given, name: str, usual: int) -> Given:
    return given if given.has(name) else Given({**given.values, name: usual})


def _result_pair(made: Result) -> tuple[Tensor, Tensor]:
    assert isinstance(made, tuple)
    return made


def _same(given: Given) -> Result:
    """The same tensor under another name."""
    value = given.tensor("input")
    if value.says_nothing:
        raise Unsure
    return value


def _padded(given: Given) -> Result:
    """Sequences of different lengths as one tensor: `(time, batch, ...)`, or `(batch, time, ...)`."""
    sequences = given.raw("sequences")
    count: Dim
    if isinstance(sequences, Each):
        count, one = ANY, sequences.tensor
    else:
        several = given.tensors("sequences")
        if not several:
            raise Unsure
        count, one = len(several), _common(several)
    if one.shape is None or one.shape.rest is not None:
        raise Unsure
    if not one.shape.front:
        raise Mismatch(Problem.RANK, "a tensor without axes is no sequence")
    first = given.flag("batch_first")
    lead = (count, ANY) if first else (ANY, count)
    return Tensor(Shape((*lead, *one.shape.front[1:])), one.dtype)


def _common(several: tuple[Tensor, ...]) -> Tensor:
    shapes = [one.shape for one in several]
    first = shapes[0]
    if first is None or any(shape is None or shape.rank != first.rank or shape.rank is None for shape in shapes):
        raise Unsure
    tails = [shape.front[1:] for shape in shapes if shape is not None]
    if any(same(a, b) is False for tail in tails for a, b in zip(tail, tails[0], strict=True)):
        raise Mismatch(Problem.SIZES, "the sequences differ in more than their lengths")
    dtypes = {one.dtype for one in several}
    longest = max((shape.front[:1] for shape in shapes if shape is not None), key=len)
    return Tensor(Shape((*longest, *tails[0])), dtypes.pop() if len(dtypes) == 1 else None)


def _packed(given: Given) -> Result:
    """A packed sequence stands for its features: how its batch and its time lie is not told."""
    value = given.tensor("input")
    if value.shape is None or value.shape.least_rank == 0:
        raise Unsure
    return replace(value, shape=Shape((), Rest(), (value.shape.at_end(0),)))


def _unpacked(given: Given) -> Result:
    value = given.tensor("sequence")
    features = value.shape.at_end(0) if value.shape is not None else ANY
    return Tensor(Shape((ANY, ANY, features)), value.dtype), Tensor(Shape((ANY,)), "int64")


def _of_kind(dtype: str) -> Callable[[Given], Result]:
    """The old constructors: `torch.FloatTensor(values)`, `torch.FloatTensor(2, 3)`."""

    def compute(given: Given) -> Result:
        values = given.raw("data")
        one = values[0] if isinstance(values, tuple) and len(values) == 1 else UNKNOWN
        if isinstance(one, Tensor):
            return replace(one, dtype=dtype)
        if isinstance(values, tuple) and values and all(isinstance(each, int) and not isinstance(each, bool) for each in values):
            return Tensor(Shape(given.sizes("data")), dtype)
        return Tensor(None, dtype)

    return compute


_SAMPLES = ("n_samples", "n_features")

MADE: dict[str, Transfer] = {
    "make_regression": Transfer(_SAMPLES, _made(100, 100, "float64")),
    "make_classification": Transfer(_SAMPLES, _made(100, 20, "int64")),
    "make_moons": Transfer(("n_samples",), _made(100, _PLANE, "int64")),
    "make_circles": Transfer(("n_samples",), _made(100, _PLANE, "int64")),
    "make_blobs": Transfer(_SAMPLES, _blobs),
    "make_friedman1": Transfer(_SAMPLES, _made(100, 10, "float64")),
}
"""Functions of `sklearn.datasets`. Source: its reference, "Samples generator"."""

ROWS: dict[str, Transfer] = {
    **{f"sklearn.datasets.{name}": row for name, row in MADE.items()},
    "torch.nn.Parameter": Transfer(("input",), _same),
    "torch.nn.Buffer": Transfer(("input",), _same),
    "torch.autograd.Variable": Transfer(("input",), _same),
    "torch.nn.utils.rnn.pad_sequence": Transfer(("sequences", "batch_first"), _padded),
    "torch.nn.utils.rnn.pack_padded_sequence": Transfer(("input", "lengths", "batch_first"), _packed),
    "torch.nn.utils.rnn.pad_packed_sequence": Transfer(("sequence", "batch_first"), _unpacked),
    "torch.FloatTensor": Transfer(("*data",), _of_kind("float32")),
    "torch.Tensor": Transfer(("*data",), _of_kind("float32")),
    "torch.LongTensor": Transfer(("*data",), _of_kind("int64")),
    "torch.DoubleTensor": Transfer(("*data",), _of_kind("float64")),
}
