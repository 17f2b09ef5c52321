"""Short-time Fourier transforms of torch, and back."""

from __future__ import annotations

from hypothesis import strategies as st

from shapes.drawing import shapes
from shapes.drawing_layers import in_torch, mostly, rarely
from shapes.oracle import Case, Drawn, T

_SIZES = st.sampled_from([1, 2, 4, 5, 8, 9])


@st.composite
def _windows(draw: st.DrawFn, size: int, least: int = 1) -> dict[str, object]:
    """Steps and windows that mostly fit; `least`: how wide they are at least, where they are not wrong."""
    given: dict[str, object] = {}
    if draw(st.booleans()) or size < 4:
        given["hop_length"] = draw(st.integers(1, size)) if not rarely(draw) else draw(st.integers(-1, 12))
    width = size
    if draw(st.booleans()):
        width = draw(st.integers(least, size)) if not rarely(draw) else draw(st.sampled_from([-1, 0, size + 1]))
        given["win_length"] = width
    if draw(st.booleans()):
        given["window"] = T((max(width, 1),) if not rarely(draw) else draw(shapes(1, 2)))
    if draw(st.booleans()):
        given["center"] = draw(st.booleans())
    if rarely(draw):
        given["normalized"] = True
    return given


@st.composite
def _transforms(draw: st.DrawFn) -> Drawn:
    size, length = draw(_SIZES), draw(st.sampled_from([1, 3, 8, 16, 21]))
    dtype = draw(mostly("float32", "float64", "complex64", "int64"))
    signal = T((*draw(shapes(0, 1)), length) if not rarely(draw) else draw(shapes(0, 3)), dtype)
    given = draw(_windows(size))
    if not rarely(draw) and dtype != "complex64":
        given["return_complex"] = draw(mostly(True, False))
    if draw(st.integers(0, 3)) == 0:
        given["onesided"] = draw(st.booleans())
    if rarely(draw):
        given["pad_mode"] = "constant"
    return Drawn((signal, size), given)


@st.composite
def _restorations(draw: st.DrawFn) -> Drawn:
    size, frames = draw(_SIZES), draw(st.integers(1, 6))
    given = draw(_windows(size, size))  # whether narrower ones leave gaps depends on their numbers
    half = draw(mostly(True, False))
    if draw(st.booleans()):
        given["onesided"] = half if not rarely(draw) else not half
    frequencies = size // 2 + 1 if half else size
    if rarely(draw):
        frequencies = draw(_SIZES)
    value = T((*draw(shapes(0, 1)), frequencies, frames), draw(mostly("complex64", "complex128", "float32")))
    if draw(st.integers(0, 3)) == 0:
        given["length"] = draw(st.integers(1, 30))
    if draw(st.integers(0, 3)) == 0:
        given["return_complex"] = draw(st.booleans())
    return Drawn((value, size), given)


def _names(name: str) -> tuple[str, ...]:
    return (*in_torch(name), f"torch.Tensor.{name}")


CASES = [
    Case(_names("stft"), _transforms(), real="values"),
    Case(_names("istft"), _restorations(), real="values"),
]
