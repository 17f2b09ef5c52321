"""What the cases of layers share: their names, sizes that mostly fit, types."""

from __future__ import annotations

from typing import TypeVar

from hypothesis import strategies as st

from shapes.drawing import SIZES

NUMBERS = st.sampled_from(["float32", "float32", "float32", "float64", "float16", "int64", "int32"])
MOSTLY_FLOATS = st.sampled_from(["float32", "float32", "float32", "float32", "float32", "int64"])
DTYPE_PAIRS = st.sampled_from(
    [("float32", "float32")] * 12 + [("float64", "float64"), ("float32", "int64"), ("int64", "float32"), ("float32", "float64")]
)
"""Types of two tensors that mostly can be multiplied."""

Kind = TypeVar("Kind")


def layers(names: str) -> tuple[str, ...]:
    """The rows of calls of layers."""
    return tuple(f"torch.nn.{name}.__call__" for name in names.split())


def functions(names: str) -> tuple[str, ...]:
    return tuple(f"torch.nn.functional.{name}" for name in names.split())


def in_torch(names: str) -> tuple[str, ...]:
    return tuple(f"torch.{name}" for name in names.split())


def rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 7)) == 7


def sometimes_other(size: int) -> st.SearchStrategy[int]:
    """Mostly this size."""
    return st.just(size) | st.just(size) | st.just(size) | st.just(size) | SIZES


def some(count: int, sizes: st.SearchStrategy[int] = SIZES) -> st.SearchStrategy[tuple[int, ...]]:
    """So many sizes."""
    return st.tuples(*(sizes for _ in range(count)))


def either(count: int, sizes: st.SearchStrategy[int]) -> st.SearchStrategy[object]:
    """One size for several axes, or one for each."""
    return sizes | some(count, sizes)


def mostly(value: Kind, *others: Kind) -> st.SearchStrategy[Kind]:
    return st.sampled_from([value] * 3 * len(others) + [*others])
