"""Calls of torch's convolutions, pools, paddings, and other functions of grids."""

from __future__ import annotations

from hypothesis import assume
from hypothesis import strategies as st

from shapes.drawing import FLOATS, SIZES, shapes
from shapes.drawing_layers import DTYPE_PAIRS, MOSTLY_FLOATS, either, functions, layers, mostly, rarely, some, sometimes_other
from shapes.oracle import Case, Drawn, T

PLACES = st.sampled_from([1, 3, 4, 5, 6, 7, 8, 9, 5, 6, 7, 8, 9])
KERNELS = st.sampled_from([1, 2, 3, 3])
STRIDES = st.sampled_from([1, 2, 3])
PADDINGS = st.sampled_from([0, 0, 1, 1, 2])
DILATIONS = st.sampled_from([1, 1, 2])


@st.composite
def _grid(draw: st.DrawFn, count: int, channels: int) -> tuple[int, ...]:
    """A shape of a batch of grids, or of one."""
    places = draw(some(count, PLACES))
    if rarely(draw):
        return draw(st.sampled_from([places, (2, 2, channels, *places)]))
    return (draw(SIZES), channels, *places) if draw(st.booleans()) else (channels, *places)


@st.composite
def _options(draw: st.DrawFn, /, count: int, **strategies: st.SearchStrategy[int]) -> dict[str, object]:
    """Some of the arguments."""
    return {name: draw(either(count, each)) for name, each in strategies.items() if draw(st.booleans())}


# --- convolutions ---


@st.composite
def _convolution(draw: st.DrawFn, count: int, *, layer: bool, lazy: bool = False) -> Drawn:
    groups = draw(mostly(1, 2, 3))
    inputs, outputs = groups * draw(SIZES), groups * draw(st.sampled_from([1, 2]))
    dtypes = draw(DTYPE_PAIRS) if not layer else (draw(MOSTLY_FLOATS), "float32")
    sizes = draw(_grid(count, draw(sometimes_other(inputs))))
    options = draw(_options(count, stride=STRIDES, padding=PADDINGS, dilation=DILATIONS))
    if rarely(draw):
        options |= {"padding": draw(st.sampled_from(["same", "valid"]))} if not lazy else {}
        if options.get("padding") == "same":
            options.pop("stride", None)
    if groups > 1:
        options["groups"] = groups
    if layer:
        if rarely(draw):
            options["padding_mode"] = draw(st.sampled_from(["reflect", "circular", "replicate"]))
        kernel = draw(either(count, KERNELS))
        return Drawn((T(sizes, dtypes[0]),), built=(outputs, kernel) if lazy else (inputs, outputs, kernel), built_with=options)
    weight = (outputs, inputs // groups, *draw(some(count, KERNELS)))
    if draw(st.booleans()):
        options["bias"] = T((draw(sometimes_other(outputs)),), dtypes[1])
    return Drawn((T(sizes, dtypes[0]), T(weight, dtypes[1])), options)


def _no_empty_result(sizes: tuple[int, ...], kernel: object, options: dict[str, object]) -> None:
    """Some backends allow a result without entries."""
    count = len(sizes)

    def each(name: str, usual: object) -> tuple[int, ...]:
        value = options.get(name, usual)
        return value if isinstance(value, tuple) else (value,) * count  # type: ignore[return-value] # ints

    kernels = kernel if isinstance(kernel, tuple) else (kernel,) * count
    numbers = zip(
        sizes, kernels, each("stride", 1), each("padding", 0), each("dilation", 1), each("output_padding", 0), strict=True
    )
    for there, spanned, stride, padding, dilation, more in numbers:
        assume((there - 1) * stride - 2 * padding + dilation * (spanned - 1) + 1 + more != 0)


@st.composite
def _transposed(draw: st.DrawFn, count: int, *, layer: bool, lazy: bool = False) -> Drawn:
    groups = draw(mostly(1, 2))
    inputs, outputs = groups * draw(SIZES), groups * draw(st.sampled_from([1, 2]))
    sizes = draw(_grid(count, draw(sometimes_other(inputs))))
    options = draw(_options(count, stride=STRIDES, padding=PADDINGS, dilation=DILATIONS))
    if draw(st.booleans()):
        options["output_padding"] = draw(mostly(0, 1))
    if groups > 1:
        options["groups"] = groups
    if layer:
        kernel = draw(either(count, KERNELS))
        _no_empty_result(sizes[-count:], kernel, options)
        built = (outputs, kernel) if lazy else (inputs, outputs, kernel)
        return Drawn((T(sizes, draw(MOSTLY_FLOATS)),), built=built, built_with=options)
    kernels = draw(some(count, KERNELS))
    _no_empty_result(sizes[-count:], kernels, options)
    return Drawn((T(sizes), T((inputs, outputs // groups, *kernels))), options)


# --- pools ---


@st.composite
def _pool(draw: st.DrawFn, count: int, *, layer: bool, greatest: bool = False) -> Drawn:
    sizes = draw(_grid(count, draw(SIZES)))
    options = draw(_options(count, stride=STRIDES, padding=st.sampled_from([0, 0, 1])))
    if greatest and draw(st.booleans()):
        options["dilation"] = draw(DILATIONS)
    if draw(st.booleans()):
        options["ceil_mode"] = draw(st.booleans())
    if greatest and rarely(draw):
        options["return_indices"] = True
    return _called(T(sizes), (draw(either(count, KERNELS)),), options, layer=layer)


def _called(value: T, args: tuple[object, ...], options: dict[str, object], *, layer: bool) -> Drawn:
    return Drawn((value,), built=args, built_with=options) if layer else Drawn((value, *args), options)


@st.composite
def _power_pool(draw: st.DrawFn, count: int, *, layer: bool) -> Drawn:
    sizes = draw(_grid(count, draw(SIZES)))
    options: dict[str, object] = {"ceil_mode": True} if draw(st.booleans()) else {}
    kernel = draw(KERNELS) if count == 1 else draw(either(count, KERNELS))
    return _called(T(sizes), (2, kernel), options, layer=layer)


@st.composite
def _adaptive(draw: st.DrawFn, count: int, *, layer: bool, greatest: bool = False) -> Drawn:
    sizes = draw(_grid(count, draw(SIZES)))
    wanted: object = draw(either(count, STRIDES))
    if count > 1 and rarely(draw):
        wanted = (None, *draw(some(count - 1, STRIDES)))
    return _called(T(sizes), (wanted,), {"return_indices": True} if greatest and rarely(draw) else {}, layer=layer)


# --- padding ---


@st.composite
def _padding(draw: st.DrawFn, count: int, *, negative: bool = False, value: bool = False) -> Drawn:
    sizes = draw(_grid(count, draw(SIZES)))
    sides = draw(either(2 * count, st.sampled_from([0, 1, 2, 3, *([-1, -2] if negative else [])])))
    return Drawn((T(sizes, draw(FLOATS)),), built=(sides, 0) if value else (sides,))


@st.composite
def _pad(draw: st.DrawFn) -> Drawn:
    sizes = draw(shapes(1, 5))
    sides = draw(st.lists(st.sampled_from([0, 1, 2, 3, -1]), max_size=6))
    if len(sides) % 2 and not rarely(draw):
        sides = sides[1:]
    options: dict[str, object] = draw(st.sampled_from([{}, {}, {"value": 1}, {"mode": "constant"}]))
    return Drawn((T(sizes), tuple(sides)), options)


@st.composite
def _pad_modes(draw: st.DrawFn) -> Drawn:
    count = draw(st.sampled_from([1, 2, 3]))
    sizes = draw(_grid(count, draw(SIZES)))
    sides = draw(some(2 * count, st.sampled_from([0, 1, 2, 3])))
    return Drawn((T(sizes), sides), {"mode": draw(st.sampled_from(["reflect", "replicate", "circular"]))})


# --- other sizes ---

_MODES = {1: ["nearest", "linear", "area"], 2: ["nearest", "bilinear", "bicubic", "area"], 3: ["nearest", "trilinear", "area"]}


@st.composite
def _interpolate(draw: st.DrawFn, *, layer: bool) -> Drawn:
    count = draw(st.sampled_from([1, 2, 2, 3]))
    sizes = (2, draw(SIZES), *draw(some(count, PLACES)))
    if rarely(draw):
        sizes = sizes[1:]
    mode = draw(st.sampled_from(_MODES[count])) if not rarely(draw) else draw(st.sampled_from(["bilinear", "linear"]))
    if draw(st.booleans()):
        options = {"size": draw(either(count, PLACES))}
    else:
        factors = st.sampled_from([2, 2, 0.5, 1.5, 3.0, 0.3])
        options = {"scale_factor": draw(factors | some(count, factors))}  # type: ignore[arg-type] # factors may be floats
    if mode != "nearest":
        options["mode"] = mode
    return Drawn((T(sizes),), built_with=options) if layer else Drawn((T(sizes),), options)


@st.composite
def _grid_sample(draw: st.DrawFn) -> Drawn:
    count = draw(mostly(2, 3))
    batch = draw(SIZES)
    images = (batch, draw(SIZES), *draw(some(count, PLACES)))
    grid = (draw(sometimes_other(batch)), *draw(some(count, PLACES)), draw(sometimes_other(count)))
    if rarely(draw):
        grid = grid[1:]
    return Drawn((T(images), T(grid)), {"align_corners": True} if draw(st.booleans()) else {})


@st.composite
def _upsampling(draw: st.DrawFn) -> Drawn:
    sizes = (2, draw(SIZES), *draw(some(2 if not rarely(draw) else 1, PLACES)))
    options: dict[str, object] = draw(st.sampled_from([{"scale_factor": 2}, {"size": (4, 5)}, {"size": 6}]))
    return Drawn((T(sizes),), built_with=options)


@st.composite
def _shuffle(draw: st.DrawFn, *, layer: bool, up: bool) -> Drawn:
    factor = draw(st.sampled_from([1, 2, 2, 3]))
    lead = draw(shapes(0, 2))
    channels, *places = draw(some(3))
    ends = (channels * factor * factor, *places) if up else (channels, *(factor * size for size in places))
    if rarely(draw):
        ends = draw(shapes(1, 3))
    return _called(T((*lead, *ends)), (factor,), {}, layer=layer)


@st.composite
def _channel_shuffle(draw: st.DrawFn, *, layer: bool) -> Drawn:
    groups = draw(st.sampled_from([1, 2, 3]))
    channels = draw(sometimes_other(groups * draw(st.sampled_from([1, 2]))))
    return _called(T((2, channels, *draw(shapes(1, 2)))), (groups,), {}, layer=layer)


@st.composite
def _unfold(draw: st.DrawFn, *, layer: bool) -> Drawn:
    sizes = draw(_grid(2, draw(SIZES)))
    options = draw(_options(2, stride=STRIDES, padding=PADDINGS, dilation=DILATIONS))
    return _called(T(sizes), (draw(either(2, KERNELS)),), options, layer=layer)


@st.composite
def _fold(draw: st.DrawFn, *, layer: bool) -> Drawn:
    kernel, wanted = draw(some(2, KERNELS)), draw(some(2, PLACES))
    options = draw(_options(2, stride=STRIDES, padding=PADDINGS, dilation=DILATIONS))
    places = 1
    for axis in (0, 1):
        numbers = {name: options.get(name, usual) for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1))}
        each = {name: value[axis] if isinstance(value, tuple) else value for name, value in numbers.items()}
        room = wanted[axis] + 2 * each["padding"] - each["dilation"] * (kernel[axis] - 1) - 1  # type: ignore[operator] # ints
        places *= room // each["stride"] + 1  # type: ignore[operator] # ints
    columns = draw(SIZES) * kernel[0] * kernel[1]
    sizes = (draw(sometimes_other(columns)), draw(sometimes_other(max(places, 1))))
    lead = draw(st.sampled_from([(), (2,), (2,), (2, 2)] if rarely(draw) else [(), (2,)]))
    return _called(T((*lead, *sizes)), (wanted, kernel), options, layer=layer)


def _values(names: tuple[str, ...], calls: st.SearchStrategy[Drawn]) -> Case:
    return Case(names, calls, real="values")


CASES = [
    *(
        case
        for count in (1, 2, 3)
        for case in (
            _values(layers(f"Conv{count}d"), _convolution(count, layer=True)),
            _values(layers(f"LazyConv{count}d"), _convolution(count, layer=True, lazy=True)),
            _values((*functions(f"conv{count}d"), f"torch.conv{count}d"), _convolution(count, layer=False)),
            _values(layers(f"ConvTranspose{count}d"), _transposed(count, layer=True)),
            _values(layers(f"LazyConvTranspose{count}d"), _transposed(count, layer=True, lazy=True)),
            _values((*functions(f"conv_transpose{count}d"), f"torch.conv_transpose{count}d"), _transposed(count, layer=False)),
            _values(layers(f"MaxPool{count}d"), _pool(count, layer=True, greatest=True)),
            _values(functions(f"max_pool{count}d"), _pool(count, layer=False, greatest=True)),
            _values(layers(f"AvgPool{count}d"), _pool(count, layer=True)),
            _values(functions(f"avg_pool{count}d"), _pool(count, layer=False)),
            _values(layers(f"LPPool{count}d"), _power_pool(count, layer=True)),
            _values(functions(f"lp_pool{count}d"), _power_pool(count, layer=False)),
            _values(layers(f"AdaptiveAvgPool{count}d"), _adaptive(count, layer=True)),
            _values(functions(f"adaptive_avg_pool{count}d"), _adaptive(count, layer=False)),
            _values(layers(f"AdaptiveMaxPool{count}d"), _adaptive(count, layer=True, greatest=True)),
            _values(functions(f"adaptive_max_pool{count}d"), _adaptive(count, layer=False, greatest=True)),
            _values(layers(f"ZeroPad{count}d"), _padding(count, negative=True)),
            _values(layers(f"ConstantPad{count}d"), _padding(count, negative=True, value=True)),
            _values(layers(f"ReflectionPad{count}d ReplicationPad{count}d CircularPad{count}d"), _padding(count)),
        )
    ),
    _values(functions("pad"), _pad() | _pad_modes()),
    _values(layers("Upsample"), _interpolate(layer=True)),
    _values(functions("interpolate upsample"), _interpolate(layer=False)),
    _values(functions("grid_sample"), _grid_sample()),
    _values(("torch.avg_pool1d",), _pool(1, layer=False)),
    _values(("torch.adaptive_avg_pool1d",), _adaptive(1, layer=False)),
    _values(layers("UpsamplingNearest2d UpsamplingBilinear2d"), _upsampling()),
    _values(layers("PixelShuffle"), _shuffle(layer=True, up=True)),
    _values((*functions("pixel_shuffle"), "torch.pixel_shuffle"), _shuffle(layer=False, up=True)),
    _values(layers("PixelUnshuffle"), _shuffle(layer=True, up=False)),
    _values((*functions("pixel_unshuffle"), "torch.pixel_unshuffle"), _shuffle(layer=False, up=False)),
    _values(layers("ChannelShuffle"), _channel_shuffle(layer=True)),
    _values((*functions("channel_shuffle"), "torch.channel_shuffle"), _channel_shuffle(layer=False)),
    _values(layers("Unfold"), _unfold(layer=True)),
    _values(functions("unfold"), _unfold(layer=False)),
    _values(layers("Fold"), _fold(layer=True)),
    _values(functions("fold"), _fold(layer=False)),
]
