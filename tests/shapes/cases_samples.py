"""Calls of what stands at the start of a program."""

from __future__ import annotations

from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils import rnn

from shapes.drawing import SIZES, tensors
from shapes.oracle import Case, Drawn, T

_ROWS = st.integers(40, 60)


def _generated(**more: st.SearchStrategy[int]) -> st.SearchStrategy[Drawn]:
    drawn = st.fixed_dictionaries({}, optional={"n_samples": _ROWS, **more})
    return drawn.map(lambda kwargs: Drawn((), kwargs))


@st.composite
def _sequences(draw: st.DrawFn) -> Drawn:
    tail = draw(st.lists(SIZES, max_size=2).map(tuple))
    others = draw(st.sampled_from([tail, tail, tail, (7,)]))
    several = tuple(T((draw(SIZES), *(tail if number else others)), "float32") for number in range(draw(st.integers(1, 4))))
    return Drawn((several,), draw(st.sampled_from([{}, {"batch_first": True}, {"batch_first": False}])))


def packed(value: Tensor, lengths: list[int], *, batch_first: bool) -> Tensor:
    """What a packed sequence stands for."""
    return rnn.pad_packed_sequence(rnn.pack_padded_sequence(value, lengths, batch_first), batch_first)[0]


def unpacked(value: Tensor) -> tuple[Tensor, Tensor]:
    return rnn.pad_packed_sequence(rnn.pack_padded_sequence(value, [len(value)] * value.shape[1]))


def _call(one: T) -> Drawn:
    return Drawn((one,))


_PREFIX = "sklearn.datasets.make_"

CASES = [
    Case((f"{_PREFIX}regression",), _generated(n_features=st.integers(10, 30), n_targets=st.integers(1, 3)), real="numpy"),
    Case((f"{_PREFIX}classification",), _generated(n_features=st.integers(10, 30)), real="numpy"),
    Case((f"{_PREFIX}blobs",), _generated(n_features=st.integers(2, 5)), real="numpy"),
    Case((f"{_PREFIX}friedman1",), _generated(n_features=st.integers(5, 12)), real="numpy"),
    Case((f"{_PREFIX}moons", f"{_PREFIX}circles"), _generated(), real="numpy"),
    Case(("torch.nn.Parameter", "torch.nn.Buffer", "torch.autograd.Variable"), tensors(dtypes=st.just("float32")).map(_call)),
    Case(
        ("torch.nn.utils.rnn.pack_padded_sequence",),
        st.tuples(SIZES, SIZES, SIZES).map(lambda sizes: Drawn((T(sizes), [sizes[1]] * sizes[0]), {"batch_first": True})),
        real="values",
        open=True,
        called="shapes.cases_samples.packed",
    ),
    Case(
        ("torch.nn.utils.rnn.pad_packed_sequence",),
        st.tuples(SIZES, SIZES, SIZES).map(lambda sizes: Drawn((T(sizes),))),
        real="values",
        open=True,
        called="shapes.cases_samples.unpacked",
    ),
    Case(("torch.nn.utils.rnn.pad_sequence",), _sequences(), real="values", open=True),
    Case(
        ("torch.FloatTensor", "torch.LongTensor", "torch.DoubleTensor", "torch.Tensor"),
        st.lists(SIZES, min_size=1, max_size=3).map(lambda sizes: Drawn(tuple(sizes))),
        real="values",
    ),
]
