"""torch: short-time Fourier transforms. Of a signal it makes frequencies times frames."""

from __future__ import annotations

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Transfer, Unsure
from mldbg.operations.sizes import Dim, quotient, said, same
from mldbg.operations.transfers.common import ANY_SHAPE, check_floats, check_rank, ending, made, tensor, under

_COMPLEX = {"float16": "complex32", "float32": "complex64", "float64": "complex128", "float": "complex"}
_REAL = {complex_: real for real, complex_ in _COMPLEX.items()}


def _windows(given: Given) -> tuple[Dim, Dim]:
    """The size of the transform and the step from one frame to the next. Raises Mismatch where the window does not fit."""
    size = given.size("n_fft")
    step = given.size("hop_length") if given.has("hop_length") else quotient(size, 4)
    width = given.size("win_length") if given.has("win_length") else size
    for number, what in ((size, "size"), (step, "step"), (width, "width")):
        if isinstance(number, int) and number <= 0:
            raise Mismatch(Problem.SIZES, f"the {what} of a window is {number}")
    if isinstance(width, int) and isinstance(size, int) and width > size:
        raise Mismatch(Problem.SIZES, f"the window is {width} wide, and the transform takes {size} samples", width, size)
    if given.has("window"):
        window = tensor(given, "window")
        if dtypes.kind(window.dtype) not in ("float", None):
            raise Unsure
        start = window.shape or ANY_SHAPE
        check_rank(start, 1, 1, "a window")
        if same(start.at(0), width) is False:
            reason = f"the window has size {said(start.at(0))}, and is to be {said(width)} wide"
            raise Mismatch(Problem.SIZES, reason, start.at(0), width)
    return size, step


def _frequencies(size: Dim, *, half: bool) -> Dim:
    return quotient(size, 2) + 1 if half else size


def _transformed(given: Given) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 1, 2, "`stft`")
    check_floats(value, "`stft`")
    if given.has("align_to_window") or value.dtype is None:
        raise Unsure
    size, step = _windows(given)
    of_complex = dtypes.kind(value.dtype) == "complex"
    half = given.flag("onesided") if given.has("onesided") else not of_complex
    if half and of_complex:
        raise Mismatch(Problem.DTYPE, "only of a real signal one half of the frequencies says all", parameter="onesided")
    if not given.has("return_complex") and not of_complex:
        raise Mismatch(Problem.DTYPE, "`stft` of a real signal has to be told `return_complex`", parameter="return_complex")
    frames = _frames(given, start.at(-1), size, step)
    dtype = value.dtype if of_complex else _COMPLEX.get(value.dtype)
    result = ending(start, 1, _frequencies(size, half=half), frames)
    if given.flag("return_complex", usual=of_complex):
        return made(result, dtype)
    return made(ending(result, 0, 2), _REAL.get(dtype or ""))


def _frames(given: Given, length: Dim, size: Dim, step: Dim) -> Dim:
    """The number of frames. Raises Mismatch where the signal is too short."""
    if given.flag("center", usual=True):
        margin = quotient(size, 2)
        mirrored = given.text("pad_mode", "reflect") == "reflect"
        if mirrored and isinstance(margin, int) and isinstance(length, int) and margin >= length:
            raise Mismatch(Problem.SIZES, f"a signal of {length} cannot be mirrored for {margin} at its ends", length)
        length = length + margin * 2
    if isinstance(length, int) and isinstance(size, int) and size > length:
        raise Mismatch(Problem.SIZES, f"a signal of {length} is too short for a window of {size}", length, size)
    return quotient(length - size, step) + 1


def _restored(given: Given) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, 3, "`istft`")
    if dtypes.kind(value.dtype) not in ("complex", None):
        raise Mismatch(Problem.DTYPE, f"`istft` takes complex numbers, and gets {value.dtype}")
    size, step = _windows(given)
    width = given.size("win_length") if given.has("win_length") else size
    if isinstance(width, int) and isinstance(step, int) and step > width:
        raise Mismatch(Problem.SIZES, f"a step of {step} leaves gaps between windows of {width}", step, width)
    there, whole = start.at(-2), size
    half = given.flag("onesided") if given.has("onesided") else same(there, whole) is False
    if given.has("onesided") or isinstance(size, int):
        wanted = _frequencies(size, half=half)
        if same(there, wanted) is False:
            raise Mismatch(Problem.SIZES, f"there are {said(there)} frequencies, and {said(wanted)} are wanted", there, wanted)
    is_complex = given.flag("return_complex")
    if is_complex and half:
        raise Mismatch(Problem.DTYPE, "of one half of the frequencies only a real signal comes", parameter="return_complex")
    centred = given.flag("center", usual=True)
    length = given.size("length") if given.has("length") else size + step * (start.at(-1) - 1)
    if centred and not given.has("length"):
        length = length - quotient(size, 2) * 2
        if size == 1 or (isinstance(length, int) and length <= 0):
            raise Mismatch(Problem.SIZES, "nothing is left of the signal without its ends", length)
    dtype = value.dtype if is_complex else _REAL.get(value.dtype or "")
    return made(ending(start, 2, length), dtype)


_TRANSFORM = (
    *("input", "n_fft", "hop_length", "win_length", "window", "center", "pad_mode", "normalized", "onesided", "return_complex"),
    "align_to_window",
)
_BACK = ("input", "n_fft", "hop_length", "win_length", "window", "center", "normalized", "onesided", "length", "return_complex")

ROWS: dict[str, Transfer] = under(
    ("torch", "torch.Tensor"), {"stft": Transfer(_TRANSFORM, _transformed), "istft": Transfer(_BACK, _restored)}
)
