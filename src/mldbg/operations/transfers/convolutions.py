"""torch: convolutions, pooling, padding, and other functions of grids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import floor

from mldbg.operations.problem import Problem
from mldbg.operations.shape import Given, Mismatch, Result, Shape, Tensor, Transfer, Unsure
from mldbg.operations.sizes import ANY, Dim, Size, product, quotient, said
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    FUNCTIONAL,
    check_equal,
    check_feature,
    check_floats,
    check_rank,
    common_dtype,
    each_size,
    ending,
    flag,
    last,
    made,
    of_layers,
    shape,
    size,
    tensor,
    under,
)


@dataclass(frozen=True, slots=True)
class Window:
    """What slides along one axis."""

    kernel: Dim
    stride: Dim = 1
    padding: Dim = 0
    dilation: Dim = 1

    @property
    def extent(self) -> Dim:
        """How many entries it spans."""
        return self.dilation * (self.kernel - 1) + 1

    def positions(self, entries: Dim, *, ceil: bool | None = False) -> Dim:
        """In how many places it fits. Raises Mismatch where there is none."""
        room = entries + 2 * self.padding - self.extent
        if isinstance(room, int) and room < 0 and ceil is False:
            padded = f" (with padding {said(entries + 2 * self.padding)})" if self.padding != 0 else ""
            reason = f"an axis has size {said(entries)}{padded}, and the kernel spans {said(self.extent)}"
            raise Mismatch(Problem.SIZES, reason, entries)
        if ceil is None:
            return ANY if self.stride != 1 else room + 1
        return quotient(room, self.stride) + 1 if not ceil else self._positions_with_rest(entries, room)

    def _positions_with_rest(self, entries: Dim, room: Dim) -> Dim:
        """The same where a last place counts in which the window juts out, if it begins inside the axis or its left padding."""
        count = quotient(room + self.stride - 1, self.stride) + 1
        past_end = (count - 1) * self.stride - entries - self.padding
        if isinstance(past_end, int) and isinstance(count, int):
            count -= past_end >= 0
            if count < 1:
                raise Mismatch(
                    Problem.SIZES, f"an axis has size {said(entries)}, and the kernel spans {said(self.extent)}", entries
                )
            return count
        spare = self.extent - self.stride - self.padding
        return count if isinstance(spare, int) and spare >= 0 else ANY


def _windows(given: Given, count: int, kernel: Sequence[Dim], *, stride_is_kernel: bool = False) -> list[Window]:
    """The windows of a call for each of its axes, with the arguments that all functions of them have."""
    strides = each_size(given, "stride", count, tuple(kernel) if stride_is_kernel else 1)
    padding = each_size(given, "padding", count, 0)
    dilation = each_size(given, "dilation", count, 1)
    return [Window(*each) for each in zip(kernel, strides, padding, dilation, strict=True)]


# --- convolutions ---


@dataclass(frozen=True, slots=True)
class _Weights:
    """What a convolution was built with."""

    inputs: Dim
    outputs: Dim
    kernel: tuple[Dim, ...]
    dtype: str | None = None


def _built(given: Given, count: int) -> _Weights:
    for name in ("in_channels", "out_channels"):
        _check_multiple(size(given, name), size(given, "groups", 1), name)
    return _Weights(size(given, "in_channels"), size(given, "out_channels"), each_size(given, "kernel_size", count))


def _given_weights(given: Given, count: int, *, transposed: bool) -> _Weights:
    weight = tensor(given, "weight")
    start = weight.shape or ANY_SHAPE
    check_rank(start, count + 2, count + 2, "the weight")
    groups = size(given, "groups", 1)
    first, second = start.at(-count - 2), start.at(-count - 1)
    inputs, outputs = (first, second * groups) if transposed else (second * groups, first)
    _check_multiple(first, groups, "channels of the weight")
    return _Weights(inputs, outputs, last(start, count), weight.dtype)


def _convolution(count: int, *, layer: bool, lazy: bool = False) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        start = value.shape or ANY_SHAPE
        weights = _built(given, count) if layer else _given_weights(given, count, transposed=False)
        check_rank(start, count + 1, count + 2, "the convolution")
        if lazy:
            _check_multiple(start.at(-count - 1), size(given, "groups", 1), "channels")
        else:
            check_feature(start, -count - 1, weights.inputs, "in_channels")
        if layer:
            check_floats(value, "the layer")
        dtype = common_dtype(value, Tensor(None, weights.dtype), what="the convolution")
        _check_bias(given, weights, layer=layer)
        entries = last(start, count)
        if given.raw("padding") == "same":
            places: list[Dim] = list(entries)
        elif given.raw("padding") == "valid":
            strides, dilation = each_size(given, "stride", count, 1), each_size(given, "dilation", count, 1)
            windows = [
                Window(kernel, *each) for kernel, *each in zip(weights.kernel, strides, (0,) * count, dilation, strict=True)
            ]
            places = [window.positions(there) for window, there in zip(windows, entries, strict=True)]
        else:
            windows = _windows(given, count, weights.kernel)
            _check_padding_mode(given, windows, entries)
            places = [window.positions(there) for window, there in zip(windows, entries, strict=True)]
        return made(ending(start, count + 1, weights.outputs, *places), dtype)

    return compute


def _check_bias(given: Given, weights: _Weights, *, layer: bool) -> None:
    """Of a layer `bias` is a flag."""
    if not layer and given.has("bias"):
        start = shape(given, "bias")
        check_rank(start, 1, 1, "the bias")
        check_equal(start.at(-1), weights.outputs, "the bias and the output channels have different sizes")


def _check_padding_mode(given: Given, windows: Sequence[Window], entries: Sequence[Dim]) -> None:
    mode = given.raw("padding_mode")
    if isinstance(mode, str):
        for window, there in zip(windows, entries, strict=True):
            _check_padded(mode, there, window.padding)


def _transposed_convolution(count: int, *, layer: bool, lazy: bool = False) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        start = value.shape or ANY_SHAPE
        weights = _built(given, count) if layer else _given_weights(given, count, transposed=True)
        check_rank(start, count + 1, count + 2, "the convolution")
        if lazy:
            _check_multiple(start.at(-count - 1), size(given, "groups", 1), "channels")
        else:
            check_feature(start, -count - 1, weights.inputs, "in_channels")
        if layer:
            check_floats(value, "the layer")
        dtype = common_dtype(value, Tensor(None, weights.dtype), what="the convolution")
        _check_bias(given, weights, layer=layer)
        windows = _windows(given, count, weights.kernel)
        more = each_size(given, "output_padding", count, 0)
        places = [_spread(window, there, extra) for window, there, extra in zip(windows, last(start, count), more, strict=True)]
        if given.has("output_size"):
            places = _wanted_places(given, windows, places)
        return made(ending(start, count + 1, weights.outputs, *places), dtype)

    return compute


def _spread(window: Window, entries: Dim, more: Dim) -> Dim:
    if isinstance(more, int) and isinstance(window.stride, int) and isinstance(window.dilation, int):
        most = max(window.stride, window.dilation)
        if more >= most:
            raise Mismatch(Problem.SIZES, f"output_padding is {more}, and must be below {most}, the stride or dilation", more)
    places = (entries - 1) * window.stride - 2 * window.padding + window.extent + more
    if isinstance(places, int) and places < 0:  # some devices allow 0
        raise Mismatch(Problem.SIZES, f"the result of an axis of size {said(entries)} would have size {places}", entries)
    return places


def _wanted_places(given: Given, windows: Sequence[Window], least: Sequence[Dim]) -> list[Dim]:
    """The sizes that `output_size` names, each of which the stride must leave open."""
    value = given.raw("output_size")
    count = len(windows)
    if not isinstance(value, tuple) or len(value) < count:
        return [ANY] * count
    wanted: list[Dim] = [each if isinstance(each, int | Size) else ANY for each in value[-count:]]
    for window, there, low in zip(windows, wanted, least, strict=True):
        below = low + window.stride
        if isinstance(there, int) and isinstance(low, int) and isinstance(below, int) and not low <= there < below:
            raise Mismatch(Problem.SIZES, f"output_size has {there}, which must be from {low} to {below - 1}", there)
    return wanted


# --- pools ---


def _pool(count: int, *, greatest: bool = False) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        start = value.shape or ANY_SHAPE
        check_rank(start, count + 1, count + 2, "the pool")
        windows = _windows(given, count, each_size(given, "kernel_size", count), stride_is_kernel=True)
        for window, there in zip(windows, last(start, count), strict=True):
            _check_half(window)
            if count == 3 and not greatest:
                replace(window, padding=0).positions(there)
        ceil = flag(given, "ceil_mode")
        places = [window.positions(there, ceil=ceil) for window, there in zip(windows, last(start, count), strict=True)]
        result = made(ending(start, count, *places), value.dtype)
        return _with_indices(given, result) if greatest else result

    return compute


def _check_half(window: Window) -> None:
    if isinstance(window.padding, int) and isinstance(window.extent, int) and window.padding > window.extent // 2:
        reason = f"the padding is {window.padding}, and may be at most half of what the kernel spans, {window.extent}"
        raise Mismatch(Problem.SIZES, reason, window.padding)


def _with_indices(given: Given, result: Tensor) -> Result:
    wanted = flag(given, "return_indices")
    if wanted is None:
        raise Unsure
    return (result, Tensor(result.shape, "int64")) if wanted else result


def _adaptive(count: int, *, greatest: bool = False) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        start = value.shape or ANY_SHAPE
        wanted = given.raw("output_size")
        several = wanted if isinstance(wanted, tuple) and len(wanted) == count else (wanted,) * count
        if (
            count == 1 or greatest or any(each is None or (isinstance(each, int) and each != 1) for each in several)
        ):  # torch takes a mean instead
            check_rank(start, count + 1, count + 2, "the pool")
        else:
            check_rank(start, count + isinstance(wanted, tuple), None, "the pool")
        places = [
            there if each is None else each if isinstance(each, int | Size) else ANY
            for there, each in zip(last(start, count), several, strict=True)
        ]
        result = made(ending(start, count, *places), value.dtype)
        return _with_indices(given, result) if greatest else result

    return compute


# --- padding ---


def _check_padded(mode: str, there: Dim, padding: Dim) -> None:
    """Raises Mismatch where the values of an axis do not suffice for what is put beside them."""
    if isinstance(there, int) and isinstance(padding, int):
        if mode == "reflect" and padding >= there:
            raise Mismatch(
                Problem.SIZES, f"an axis has size {there}, which must be above its padding {padding} to be reflected", there
            )
        if mode == "circular" and padding > there:
            raise Mismatch(Problem.SIZES, f"an axis has size {there}, which must be at least its padding {padding}", there)


def _padded(value: Tensor, sides: Sequence[Dim], mode: str) -> Tensor:
    """A tensor with entries before and after those of its last axes; the sides of the last axis come first."""
    start = value.shape or ANY_SHAPE
    count = len(sides) // 2
    if len(sides) % 2:
        raise Mismatch(Problem.RANK, f"the padding has {len(sides)} numbers, and needs two for each axis")
    if mode == "constant":
        check_rank(start, count, None, "the padding")
    else:
        check_rank(start, count + 1, count + 2, f"padding in mode {mode!r}")
    places = []
    for axis, there in enumerate(last(start, count)):
        before, after = sides[2 * (count - axis) - 2], sides[2 * (count - axis) - 1]
        for side in (before, after):
            _check_padded(mode, there, side)
        place = there + before + after
        left = there + sum(side for side in (before, after) if isinstance(side, int) and side < 0)
        if isinstance(left, int) and left < 0:
            raise Mismatch(
                Problem.SIZES, f"padding by {said(before)} and {said(after)} leaves nothing of size {said(there)}", there
            )
        places.append(place)
    return made(ending(start, count, *places), value.dtype)


def _pad(given: Given) -> Result:
    mode = given.text("mode", "constant")
    return _padded(tensor(given), given.sizes("pad"), mode)


def _padding_layer(count: int, mode: str) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        return _padded(value, each_size(given, "padding", 2 * count), mode)

    return compute


# --- other sizes of a grid ---

_RANKS = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3}
"""Ways to interpolate -> the number of axes that they work on."""


def _interpolated(given: Given, mode: object) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    count = _RANKS.get(mode) if isinstance(mode, str) else None
    if count is None:
        check_rank(start, 3, 5, "interpolation")
        count = len(start.dims) - 2
    else:
        check_rank(start, count + 2, count + 2, f"interpolation in mode {mode!r}")
    wanted, factors = given.raw("size"), given.raw("scale_factor")
    if (wanted is None) == (factors is None):
        raise Unsure  # it raises; that both are None is more often what a reader does not know
    chosen = wanted if factors is None else factors
    several = chosen if isinstance(chosen, tuple) else (chosen,) * count
    if len(several) != count:
        raise Mismatch(Problem.RANK, f"{len(several)} sizes or factors for {count} axes")
    if factors is None:
        places: list[Dim] = [each if isinstance(each, int | Size) else ANY for each in several]
    else:
        places = [
            _scaled(there, factor, least=isinstance(mode, str) and mode != "area")
            for there, factor in zip(last(start, count), several, strict=True)
        ]
    return made(ending(start, count, *places), value.dtype)


def _scaled(there: Dim, factor: object, *, least: int) -> Dim:
    """`floor(there * factor)`."""
    if isinstance(factor, Size):
        return there * factor
    if not isinstance(factor, int | float):
        return ANY
    if isinstance(there, int):
        place = floor(float(there) * factor)
        if place < least:
            raise Mismatch(Problem.SIZES, f"an axis of size {there} times {factor} leaves nothing", there)
        return place
    above, below = float(factor).as_integer_ratio()
    return quotient(there * above, below) if below <= 64 else ANY


def _interpolate(given: Given) -> Result:
    return _interpolated(given, given.raw("mode") or "nearest")


def _shuffled(given: Given, name: str, *, up: bool) -> Result:
    """Channels become positions, or positions channels."""
    value, factor = tensor(given), size(given, name)
    start = value.shape or ANY_SHAPE
    check_rank(start, 3, None, "the shuffle")
    channels, *places = last(start, 3)
    block = factor * factor
    if up:
        _check_multiple(channels, block, "channels")
        return made(ending(start, 3, quotient(channels, block), *(there * factor for there in places)), value.dtype)
    for there in places:
        _check_multiple(there, factor, "positions")
    return made(ending(start, 3, channels * block, *(quotient(there, factor) for there in places)), value.dtype)


def _check_multiple(there: Dim, of: Dim, what: str) -> None:
    if isinstance(there, int) and isinstance(of, int) and of > 0 and there % of:
        raise Mismatch(Problem.SIZES, f"{there} {what}, which must be a multiple of {of}", there)


def _channel_shuffle(given: Given) -> Result:
    value, groups = tensor(given), size(given, "groups")
    start = value.shape or ANY_SHAPE
    check_rank(start, 3, None, "the shuffle")
    _check_multiple(start.at(1), groups, "channels")
    return value


def _patch_windows(given: Given) -> list[Window]:
    return _windows(given, 2, each_size(given, "kernel_size", 2))


def _unfold(given: Given) -> Result:
    """Patches of images as columns."""
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 3, 4, "unfold")
    windows = _patch_windows(given)
    channels, *entries = last(start, 3)
    places = product(window.positions(there) for window, there in zip(windows, entries, strict=True))
    return made(ending(start, 3, channels * product(window.kernel for window in windows), places), value.dtype)


def _fold(given: Given) -> Result:
    """Images from columns of patches."""
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, 3, "fold")
    windows, wanted = _patch_windows(given), each_size(given, "output_size", 2)
    columns, there = last(start, 2)
    block = product(window.kernel for window in windows)
    _check_multiple(columns, block, "entries of a column")
    places = product(window.positions(each) for window, each in zip(windows, wanted, strict=True))
    check_equal(there, places, "columns, and places of the kernel, differ in number")
    return made(ending(start, 2, quotient(columns, block), *wanted), value.dtype)


# --- rows ---

_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_POOL = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
_GREATEST = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")


def _sampled(given: Given) -> Result:
    """Values of images at the places that a grid names."""
    value, grid = tensor(given), tensor(given, "grid")
    start, places = value.shape or ANY_SHAPE, grid.shape or ANY_SHAPE
    for each in (start, places):
        check_rank(each, 4, 5, "the sampling")
    if start.rank is not None and places.rank is not None and start.rank != places.rank:
        raise Mismatch(Problem.RANK, f"images of shape {start} and a grid of shape {places} have different numbers of axes")
    check_equal(start.at(0), places.at(0), "images and grids differ in number")
    rank = start.rank or places.rank
    if rank is not None:
        check_equal(places.at(-1), rank - 2, "places have another number of coordinates than images have axes")
    dtype = common_dtype(value, grid, what="the sampling")
    if places.rank is None:
        return Tensor(None, dtype)
    return Tensor(Shape((start.at(0), start.at(1), *places.front[1:-1])), dtype)


LAYERS: dict[str, Transfer] = {
    "PixelShuffle": Transfer(("input",), lambda given: _shuffled(given, "upscale_factor", up=True)),
    "PixelUnshuffle": Transfer(("input",), lambda given: _shuffled(given, "downscale_factor", up=False)),
    "ChannelShuffle": Transfer(("input",), _channel_shuffle),
    "Upsample": Transfer(("input",), _interpolate),
    "UpsamplingNearest2d": Transfer(("input",), lambda given: _interpolated(given, "nearest")),
    "UpsamplingBilinear2d": Transfer(("input",), lambda given: _interpolated(given, "bilinear")),
    "Unfold": Transfer(("input",), _unfold),
    "Fold": Transfer(("input",), _fold),
}
FUNCTIONS: dict[str, Transfer] = {
    "grid_sample": Transfer(("input", "grid", "mode", "padding_mode", "align_corners"), _sampled),
    "upsample": Transfer(("input", "size", "scale_factor", "mode", "align_corners"), _interpolate),
    "pad": Transfer(("input", "pad", "mode", "value"), _pad),
    "interpolate": Transfer(
        ("input", "size", "scale_factor", "mode", "align_corners", "recompute_scale_factor", "antialias"), _interpolate
    ),
    "pixel_shuffle": Transfer(("input", "upscale_factor"), LAYERS["PixelShuffle"].compute),
    "pixel_unshuffle": Transfer(("input", "downscale_factor"), LAYERS["PixelUnshuffle"].compute),
    "channel_shuffle": Transfer(("input", "groups"), _channel_shuffle),
    "unfold": Transfer(("input", "kernel_size", "dilation", "padding", "stride"), _unfold),
    "fold": Transfer(("input", "output_size", "kernel_size", "dilation", "padding", "stride"), _fold),
}
for _count in (1, 2, 3):
    LAYERS |= {
        f"Conv{_count}d": Transfer(("input",), _convolution(_count, layer=True)),
        f"LazyConv{_count}d": Transfer(("input",), _convolution(_count, layer=True, lazy=True)),
        f"ConvTranspose{_count}d": Transfer(("input", "output_size"), _transposed_convolution(_count, layer=True)),
        f"LazyConvTranspose{_count}d": Transfer(("input", "output_size"), _transposed_convolution(_count, layer=True, lazy=True)),
        f"MaxPool{_count}d": Transfer(("input",), _pool(_count, greatest=True)),
        f"AvgPool{_count}d LPPool{_count}d": Transfer(("input",), _pool(_count)),
        f"AdaptiveAvgPool{_count}d": Transfer(("input",), _adaptive(_count)),
        f"AdaptiveMaxPool{_count}d": Transfer(("input",), _adaptive(_count, greatest=True)),
        f"ZeroPad{_count}d ConstantPad{_count}d": Transfer(("input",), _padding_layer(_count, "constant")),
        f"ReflectionPad{_count}d": Transfer(("input",), _padding_layer(_count, "reflect")),
        f"ReplicationPad{_count}d": Transfer(("input",), _padding_layer(_count, "replicate")),
        f"CircularPad{_count}d": Transfer(("input",), _padding_layer(_count, "circular")),
    }
    FUNCTIONS |= {
        f"conv{_count}d": Transfer(_CONVOLUTION, _convolution(_count, layer=False)),
        f"conv_transpose{_count}d": Transfer(_TRANSPOSED, _transposed_convolution(_count, layer=False)),
        f"max_pool{_count}d": Transfer(_GREATEST, _pool(_count, greatest=True)),
        f"avg_pool{_count}d": Transfer(_POOL, _pool(_count)),
        f"lp_pool{_count}d": Transfer(("input", "norm_type", "kernel_size", "stride", "ceil_mode"), _pool(_count)),
        f"adaptive_avg_pool{_count}d": Transfer(("input", "output_size"), _adaptive(_count)),
        f"adaptive_max_pool{_count}d": Transfer(("input", "output_size", "return_indices"), _adaptive(_count, greatest=True)),
    }

IN_TORCH = frozenset(
    [
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "avg_pool1d",
        "adaptive_avg_pool1d",
    ]
)
"""Functions that `torch` has under the same name."""

ROWS: dict[str, Transfer] = {
    **of_layers(LAYERS),
    **under((FUNCTIONAL,), FUNCTIONS),
    **under(("torch",), {name: transfer for name, transfer in FUNCTIONS.items() if name in IN_TORCH}),
}
