"""What the cases draw from: sizes, shapes, types, axes."""

from __future__ import annotations

from hypothesis import strategies as st

from shapes.oracle import T

SIZES = st.sampled_from([1, 2, 2, 3, 3, 4, 5, 6, 8])
FLOATS = st.sampled_from(["float32", "float32", "float64", "float16"])
DTYPES = st.sampled_from(["float32", "float32", "float64", "int64", "int32", "bool"])


def shapes(least: int = 0, most: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(SIZES, min_size=least, max_size=most).map(tuple)


def tensors(least: int = 0, most: int = 4, dtypes: st.SearchStrategy[str] = DTYPES) -> st.SearchStrategy[T]:
    return st.builds(T, shapes(least, most), dtypes)


def axes(rank: int) -> st.SearchStrategy[int]:
    """Mostly axes that exist."""
    return st.integers(-rank - (rank == 0), max(rank - 1, 0)) | st.integers(-rank - 1, rank + 1)


@st.composite
def broadcast_pair(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that mostly go together."""
    full = draw(shapes(0, 4))
    other = tuple(draw(st.sampled_from([size, size, size, 1])) for size in full)[draw(st.integers(0, len(full))) :]
    if draw(st.integers(0, 4)) == 0:
        other = draw(shapes(0, 4))
    return (full, other) if draw(st.booleans()) else (other, full)
