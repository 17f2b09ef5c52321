"""torch.nn: linear layers, normalisations, activations, embeddings, and their functions.

The arguments of a layer are those of its call beside those of its constructor, which have the names of
`torch.CONSTRUCTOR_PARAMETERS`. Its own weights may have any type of floats, for a model can be converted as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mldbg.operations import dtypes
from mldbg.operations.problem import Problem
from mldbg.operations.shape import (
    Given,
    Mismatch,
    Result,
    Shape,
    Tensor,
    Transfer,
    Unsure,
    broadcast,
    reshaped,
)
from mldbg.operations.sizes import ANY, Dim, product, quotient, said, same
from mldbg.operations.transfers.common import (
    ANY_SHAPE,
    FUNCTIONAL,
    check_equal,
    check_feature,
    check_fits,
    check_fits_exactly,
    check_floats,
    check_rank,
    common_dtype,
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
from mldbg.operations.transfers.elementwise import result_type
from mldbg.operations.transfers.moving import flat

# --- linear layers ---


def _linear_layer(given: Given, *, lazy: bool = False) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 1, None, "the layer")
    if not lazy:
        check_feature(start, -1, size(given, "in_features"), "in_features")
    check_floats(value, "the layer")
    return made(ending(start, 1, size(given, "out_features")), value.dtype)


def _linear(given: Given) -> Result:
    value, weight = tensor(given), tensor(given, "weight")
    start, matrix = value.shape or ANY_SHAPE, weight.shape or ANY_SHAPE
    check_rank(start, 1, None, "linear")
    check_rank(matrix, 1, 2, "the weight")
    check_feature(start, -1, matrix.at(-1))
    dtype = common_dtype(value, weight, what="linear")
    if matrix.rank == 1:
        return made(ending(start, 1), dtype)
    if matrix.rank is None:
        return Tensor(None, dtype)
    if given.has("bias"):
        check_fits(shape(given, "bias"), Shape((matrix.at(-2),)), "the bias")
    return made(ending(start, 1, matrix.at(-2)), dtype)


def _bilinear_layer(given: Given) -> Result:
    one, two = tensor(given, "input1"), tensor(given, "input2")
    starts = [each.shape or ANY_SHAPE for each in (one, two)]
    for start, name in zip(starts, ("in1_features", "in2_features"), strict=True):
        check_rank(start, 1, None, "the layer")
        check_feature(start, -1, size(given, name), name)
    for each in (one, two):
        check_floats(each, "the layer")
    return made(_beside(starts[0], starts[1], size(given, "out_features")), common_dtype(one, two, what="the layer"))


def _bilinear(given: Given) -> Result:
    one, two, weight = tensor(given, "input1"), tensor(given, "input2"), tensor(given, "weight")
    starts = [each.shape or ANY_SHAPE for each in (one, two)]
    cube = weight.shape or ANY_SHAPE
    check_rank(cube, 3, 3, "the weight")
    for start, axis in zip(starts, (-2, -1), strict=True):
        check_rank(start, 1, None, "bilinear")
        check_feature(start, -1, cube.at(axis))
    return made(_beside(starts[0], starts[1], cube.at(-3)), common_dtype(one, two, weight, what="bilinear"))


def _beside(one: Shape, two: Shape, features: Dim) -> Shape:
    """The shape of one, with other features, where both agree in all axes but the last."""
    if one.rest is None and two.rest is None:
        if len(one.front) != len(two.front):
            raise Mismatch(Problem.RANK, f"inputs of shape {one} and {two} have different numbers of axes")
        for first, second in zip(one.front[:-1], two.front[:-1], strict=True):
            check_equal(first, second, f"inputs of shape {one} and {two} differ in an axis")
    return ending(one if one.rest is None or two.rest is not None else two, 1, features)


# --- normalisations ---


def _batch_norm(least: int, most: int, *, lazy: bool = False) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        start = value.shape or ANY_SHAPE
        check_rank(start, least, most, "the layer")
        has_weights = flag(given, "affine", usual=True) or flag(given, "track_running_stats", usual=True)
        if has_weights and not lazy:
            check_feature(start, 1, size(given, "num_features"), "num_features")
        check_floats(value, "the layer")
        return value

    return compute


def _function_of_channels(given: Given) -> Result:
    """`batch_norm` and its kin, with one number for each channel."""
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, None, "the normalisation")
    for name in ("running_mean", "running_var", "weight", "bias"):
        if given.has(name):
            channels = shape(given, name).count()
            if same(channels, start.at(1)) is False:
                reason = f"{name} has {said(channels)} entries, and there are {said(start.at(1))} channels"
                raise Mismatch(Problem.FEATURES, reason, start.at(1), channels)
    check_floats(value, "the normalisation")
    return value


def _instance_norm(count: int) -> Callable[[Given], Result]:
    def compute(given: Given) -> Result:
        value = tensor(given)
        start = value.shape or ANY_SHAPE
        check_rank(start, count + 1, count + 2, "the layer")
        if flag(given, "affine"):
            check_feature(start, -count - 1, size(given, "num_features"), "num_features")
        if flag(given, "track_running_stats") is False and product(last(start, count)) == 1:
            raise Mismatch(Problem.SIZES, f"{start} has one entry for each channel, which has no variance")
        check_floats(value, "the layer")
        return value

    return compute


def _layer_norm(given: Given) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_floats(value, "the normalisation")
    try:
        wanted = given.sizes("normalized_shape")
    except Unsure:
        return value
    check_rank(start, len(wanted), None, "the normalisation")
    for axis, there in enumerate(wanted):
        check_feature(start, axis - len(wanted), there, "normalized_shape" if len(wanted) == 1 else None)
    for name in ("weight", "bias"):
        weight = given.raw(name)
        if isinstance(weight, Tensor) and weight.shape is not None:
            check_fits_exactly(weight.shape, Shape(wanted), name)
    return value


def _group_norm(given: Given, *, layer: bool = False, needs_variance: bool = True) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, None, "the normalisation")
    channels, groups = start.at(1), size(given, "num_groups")
    if layer:
        wanted = size(given, "num_channels")
        _check_groups(wanted, groups)
        if flag(given, "affine", usual=True):
            check_feature(start, 1, wanted, "num_channels")
    else:
        for name in ("weight", "bias"):
            if given.has(name):
                check_fits_exactly(shape(given, name), Shape((channels,)), name)
    _check_groups(channels, groups)
    check_floats(value, "the normalisation")
    if needs_variance and groups != ANY and start.count() == groups:
        raise Mismatch(Problem.SIZES, f"{start} has one entry for each of {said(groups)} groups, which has no variance")
    return value


def _check_groups(channels: Dim, groups: Dim) -> None:
    if isinstance(channels, int) and isinstance(groups, int) and groups > 0 and channels % groups:
        raise Mismatch(Problem.SIZES, f"{channels} channels cannot be divided into {groups} groups", channels)


# --- activations ---


def _keeps(given: Given) -> Result:
    return tensor(given)


def _keeps_floats(given: Given) -> Result:
    value = tensor(given)
    check_floats(value, "the function")
    return value


def _becomes_float(given: Given) -> Result:
    value = tensor(given)
    return replace(value, dtype=dtypes.floating(value.dtype))


def _of_rank(least: int, most: int | None, compute: Callable[[Given], Result]) -> Callable[[Given], Result]:
    """The same where the number of axes is checked, too."""

    def checked(given: Given) -> Result:
        check_rank(shape(given), least, most, "the layer")
        return compute(given)

    return checked


def _along_axis(given: Given) -> Result:
    """Softmax and its kin."""
    value = tensor(given, "logits" if "logits" in given.values else "input")
    _check_axis(value, given.raw("dim"))
    if given.has("dtype"):
        return replace(value, dtype=given.dtype())
    check_floats(value, "the function")
    return value


def _check_axis(value: Tensor, axis: object) -> None:
    """Raises Mismatch where there is no such axis."""
    if value.shape is not None and value.shape.rest is None and isinstance(axis, int):
        value.shape.place(axis)


def _normalize(given: Given) -> Result:
    value = tensor(given)
    dim = given.values.get("dim", 1)
    for axis in dim if isinstance(dim, tuple) else (dim,):
        _check_axis(value, axis)
    check_floats(value, "the function")
    return value


def _glu(given: Given) -> Result:
    """The half of an axis is the gate of the other half."""
    value, axis = tensor(given), given.integer("dim", -1)
    start = value.shape or ANY_SHAPE
    check_rank(start, 1, None, "the gate")
    check_floats(value, "the gate")
    there = start.at(axis)
    if isinstance(there, int) and there % 2:
        raise Mismatch(Problem.SIZES, f"axis {axis} has size {there}, which must be even to be halved", there)
    return made(start.with_axis(axis, quotient(there, 2)), value.dtype)


def _prelu(given: Given, *, layer: bool) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_floats(value, "the function")
    slopes = size(given, "num_parameters", 1) if layer else shape(given, "weight").count()
    channels = 1 if start.rank == 1 or start.rank == 0 else start.at(1)
    if slopes != 1 and same(slopes, channels) is False:
        raise Mismatch(Problem.FEATURES, f"there are {said(slopes)} slopes and {said(channels)} channels", channels, slopes)
    return value


# --- embeddings ---


def _check_indices(value: Tensor) -> None:
    if value.dtype is not None and value.dtype not in ("int64", "int32", "int"):
        raise Mismatch(Problem.DTYPE, f"the indices have type {value.dtype}, and must be int64 or int32")


def _embedding_layer(given: Given) -> Result:
    value = tensor(given)
    _check_indices(value)
    return made((value.shape or ANY_SHAPE).with_new(-1, size(given, "embedding_dim")), given.dtype() or "float")


def _embedding(given: Given) -> Result:
    value, weight = tensor(given), tensor(given, "weight")
    matrix = weight.shape or ANY_SHAPE
    check_rank(matrix, 2, 2, "the weight")
    _check_indices(value)
    return made((value.shape or ANY_SHAPE).with_new(-1, matrix.at(-1)), weight.dtype)


def _embedding_bag(given: Given) -> Result:
    """Of a sequence of indices, or of several in one, which begin at the offsets."""
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    _check_indices(value)
    check_rank(start, 1, 2, "the layer")
    bags = start.at(0)
    if start.rank == 1 and not given.has("offsets"):
        raise Mismatch(Problem.RANK, f"indices of shape {start} need offsets, where the bags begin")
    if start.rank == 1:
        ends = flag(given, "include_last_offset")
        bags = ANY if ends is None else shape(given, "offsets").at(0) - int(ends)
    elif start.rank is None:
        bags = ANY
    return Tensor(Shape((bags, size(given, "embedding_dim"))), given.dtype() or "float")


def _one_hot(given: Given) -> Result:
    value = tensor(given)
    if dtypes.agree(value.dtype, "int64") is False:
        reason = f"the indices have type {value.dtype}, and must be int64"
        raise Mismatch(Problem.DTYPE, reason, parameter="input", cast="long")
    classes = size(given, "num_classes", -1)
    return made((value.shape or ANY_SHAPE).with_new(-1, ANY if classes == -1 else classes), "int64")


# --- axes and distances ---


def _flatten(given: Given) -> Result:
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    return made(flat(start, given.integer("start_dim", 1), given.integer("end_dim", -1)), value.dtype)


def _unflatten(given: Given) -> Result:
    value = tensor(given)
    start, axis, sizes = value.shape or ANY_SHAPE, given.integer("dim"), given.sizes("unflattened_size")
    dims = start.dims
    place = start.place(axis)
    parts = reshaped(Shape((dims[place],)), sizes).front
    return Tensor(Shape((*dims[:place], *parts, *dims[place + 1 :])), value.dtype)


def _cosine_similarity(given: Given) -> Result:
    one, two = tensor(given, "x1"), tensor(given, "x2")
    both = broadcast(one.shape or ANY_SHAPE, two.shape or ANY_SHAPE)
    return made(both.without(given.integer("dim", 1)), dtypes.promoted(one.dtype, two.dtype))


def _pairwise_distance(given: Given) -> Result:
    one, two = tensor(given, "x1"), tensor(given, "x2")
    both = broadcast(one.shape or ANY_SHAPE, two.shape or ANY_SHAPE)
    kept = flag(given, "keepdim")
    if kept is None:
        raise Unsure
    return made(ending(both, 1, 1) if kept else ending(both, 1), result_type(one, two))


def _all_distances(given: Given) -> Result:
    """Between each two rows."""
    value = tensor(given)
    start = value.shape or ANY_SHAPE
    check_rank(start, 2, 2, "the distances")
    check_floats(value, "the distances")
    count = start.at(-2)
    return Tensor(Shape((quotient(count * (count - 1), 2),)), value.dtype)


# --- rows ---

_INPUT = ("input",)

LAYERS: dict[str, Transfer] = {
    "Linear": Transfer(_INPUT, _linear_layer),
    "LazyLinear": Transfer(_INPUT, lambda given: _linear_layer(given, lazy=True)),
    "Bilinear": Transfer(("input1", "input2"), _bilinear_layer),
    "BatchNorm1d": Transfer(_INPUT, _batch_norm(2, 3)),
    "BatchNorm2d": Transfer(_INPUT, _batch_norm(4, 4)),
    "BatchNorm3d": Transfer(_INPUT, _batch_norm(5, 5)),
    "LazyBatchNorm1d": Transfer(_INPUT, _batch_norm(2, 3, lazy=True)),
    "LazyBatchNorm2d": Transfer(_INPUT, _batch_norm(4, 4, lazy=True)),
    "LazyBatchNorm3d": Transfer(_INPUT, _batch_norm(5, 5, lazy=True)),
    "InstanceNorm1d": Transfer(_INPUT, _instance_norm(1)),
    "InstanceNorm2d": Transfer(_INPUT, _instance_norm(2)),
    "InstanceNorm3d": Transfer(_INPUT, _instance_norm(3)),
    "LayerNorm RMSNorm": Transfer(_INPUT, _layer_norm),
    "GroupNorm": Transfer(_INPUT, lambda given: _group_norm(given, layer=True)),
    "LocalResponseNorm": Transfer(_INPUT, _of_rank(3, None, _keeps)),
    "Identity ReLU ReLU6 Hardtanh Threshold": Transfer(_INPUT, _keeps),
    "ELU SELU CELU LeakyReLU GELU SiLU Mish Hardswish Hardsigmoid LogSigmoid Softplus Softshrink Hardshrink RReLU": Transfer(
        _INPUT, _keeps_floats
    ),
    "Sigmoid Tanh Softsign Tanhshrink": Transfer(_INPUT, _becomes_float),
    "Dropout Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout": Transfer(_INPUT, _keeps),
    "Dropout1d": Transfer(_INPUT, _of_rank(2, 3, _keeps)),
    "Softmax LogSoftmax Softmin": Transfer(_INPUT, _along_axis),
    "Softmax2d": Transfer(_INPUT, _of_rank(3, 4, _keeps_floats)),
    "GLU": Transfer(_INPUT, _glu),
    "PReLU": Transfer(_INPUT, lambda given: _prelu(given, layer=True)),
    "Embedding": Transfer(_INPUT, _embedding_layer),
    "EmbeddingBag": Transfer(("input", "offsets", "per_sample_weights"), _embedding_bag),
    "Flatten": Transfer(_INPUT, _flatten),
    "Unflatten": Transfer(_INPUT, _unflatten),
    "CosineSimilarity": Transfer(("x1", "x2"), _cosine_similarity),
    "PairwiseDistance": Transfer(("x1", "x2"), _pairwise_distance),
}
FUNCTIONS: dict[str, Transfer] = {
    "linear": Transfer(("input", "weight", "bias"), _linear),
    "bilinear": Transfer(("input1", "input2", "weight", "bias"), _bilinear),
    "batch_norm": Transfer(("input", "running_mean", "running_var", "weight", "bias", "training"), _function_of_channels),
    "instance_norm": Transfer(("input", "running_mean", "running_var", "weight", "bias"), _function_of_channels),
    "layer_norm": Transfer(("input", "normalized_shape", "weight", "bias", "eps"), _layer_norm),
    "rms_norm": Transfer(("input", "normalized_shape", "weight", "eps"), _layer_norm),
    "group_norm": Transfer(("input", "num_groups", "weight", "bias", "eps"), _group_norm),
    "local_response_norm": Transfer(("input", "size"), _of_rank(3, None, _keeps)),
    "relu relu_ relu6 hardtanh hardtanh_ threshold threshold_": Transfer(_INPUT, _keeps),
    "elu_ selu_ celu_ leaky_relu_ rrelu_": Transfer(_INPUT, _keeps_floats),
    "elu selu celu leaky_relu gelu silu mish hardswish hardsigmoid logsigmoid softplus softshrink hardshrink rrelu": Transfer(
        _INPUT, _keeps_floats
    ),
    "sigmoid tanh softsign tanhshrink": Transfer(_INPUT, _becomes_float),
    "dropout alpha_dropout feature_alpha_dropout dropout2d dropout3d": Transfer(("input", "p", "training"), _keeps),
    "dropout1d": Transfer(("input", "p", "training"), _of_rank(2, 3, _keeps)),
    "softmax log_softmax softmin": Transfer(("input", "dim", "_stacklevel", "dtype"), _along_axis),
    "gumbel_softmax": Transfer(("logits", "tau", "hard", "eps", "dim"), _along_axis),
    "normalize": Transfer(("input", "p", "dim", "eps"), _normalize),
    "glu": Transfer(("input", "dim"), _glu),
    "prelu": Transfer(("input", "weight"), lambda given: _prelu(given, layer=False)),
    "embedding": Transfer(("input", "weight", "padding_idx"), _embedding),
    "one_hot": Transfer(("input", "num_classes"), _one_hot),
    "cosine_similarity": Transfer(("x1", "x2", "dim", "eps"), _cosine_similarity),
    "pdist": Transfer(_INPUT, _all_distances),
    "pairwise_distance": Transfer(("x1", "x2", "p", "eps", "keepdim"), _pairwise_distance),
}

IN_TORCH: dict[str, Transfer] = {
    "bilinear": FUNCTIONS["bilinear"],
    "cosine_similarity": FUNCTIONS["cosine_similarity"],
    "pairwise_distance": FUNCTIONS["pairwise_distance"],
    "pdist": FUNCTIONS["pdist"],
    "prelu": FUNCTIONS["prelu"],
    "layer_norm": FUNCTIONS["layer_norm"],
    "rms_norm": FUNCTIONS["rms_norm"],
    "group_norm": Transfer(
        ("input", "num_groups", "weight", "bias", "eps"), lambda given: _group_norm(given, needs_variance=False)
    ),
    "relu_ threshold threshold_": Transfer(_INPUT, _keeps),
    "selu selu_ celu celu_ rrelu rrelu_ hardshrink": Transfer(_INPUT, _keeps_floats),
    "dropout dropout_ alpha_dropout feature_dropout feature_alpha_dropout": Transfer(("input", "p", "train"), _keeps),
    "embedding": Transfer(
        ("weight", "indices"), lambda given: _embedding(Given({**given.values, "input": given.raw("indices")}))
    ),
}
"""Functions of `torch` itself."""

ROWS: dict[str, Transfer] = {**of_layers(LAYERS), **under((FUNCTIONAL,), FUNCTIONS), **under(("torch",), IN_TORCH)}
