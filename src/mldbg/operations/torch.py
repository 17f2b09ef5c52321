"""torch: which functions, layers and tensor methods make, keep or change the meaning of a tensor, and where its axes go.

Adding a function is adding a name. A name that ends in an underscore works in place, as always in torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from mldbg.operations import attention, loading, losses
from mldbg.operations.effect import (
    Affine,
    Arithmetic,
    Choice,
    Chooses,
    Clamps,
    Contracts,
    Derives,
    Drops,
    Effect,
    Fills,
    Gives,
    Joins,
    Keeps,
    Loss,
    Maps,
    Move,
    Moves,
    Multiplies,
    Negates,
    NoEffect,
    Normalizer,
    Operates,
    Pools,
    RandomSplits,
    Reduces,
    Returns,
    Selects,
    Special,
    Stacks,
    Test,
    Tests,
    Wraps,
)
from mldbg.semantics import Semantic

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS
NON_NEGATIVE = Semantic.NON_NEGATIVE

_SOFTMAX = Gives(PROBS, "softmax")
_LOG_SOFTMAX = Gives(LOG_PROBS, "log_softmax")
_SIGMOID = Gives(UNIT, "sigmoid", ("input",))
_RELU = Gives(NON_NEGATIVE, "relu", ("input",), keeps_meanings=frozenset({PROBS, UNIT}))
_SOFTPLUS = Gives(NON_NEGATIVE, "softplus", ("input",))
_ROOT = {UNIT: UNIT, PROBS: UNIT}
_REAL = Gives(LOGITS, "activation", ("input",))
_TANH = Gives(None, "tanh", ("input",))

_WINDOW = ("input", "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
_AXIS = ("input", "dim")
_AXES = ("input", "dim0", "dim1")

METHODS_AND_FUNCTIONS: Mapping[str, Effect] = {
    "softmax": _SOFTMAX,
    "log_softmax": _LOG_SOFTMAX,
    "sigmoid sigmoid_": _SIGMOID,
    "relu relu_": _RELU,
    "tanh tanh_": _TANH,
    "log log_": Maps({PROBS: LOG_PROBS}, "log"),
    "exp exp_": Maps({LOG_PROBS: PROBS}, "exp"),
    "logsumexp": Normalizer(),
    "matmul": Multiplies(),
    "mm": Multiplies(("input", "mat2"), rank=2),
    "bmm": Multiplies(("input", "mat2"), rank=3),
    "sqrt sqrt_": Maps(_ROOT, "sqrt"),
    "square square_": Maps(_ROOT, "square"),
    "clone nan_to_num nan_to_num_ roll flip fliplr flipud positive": Keeps(),
    "detach detach_": Keeps(attached=False),
    "clamp clamp_ clip clip_": Clamps(),
    "clamp_min clamp_min_": Clamps(("input", "min")),
    "clamp_max clamp_max_": Clamps(("input", "max")),
    "reshape": Moves(Move.REGROUP, ("input", "shape"), rank_from_shape=True),
    "flatten": Moves(Move.FLATTEN, ("input", "start_dim", "end_dim")),
    "ravel": Moves(Move.REGROUP),
    "unflatten": Moves(Move.REGROUP, ("input", "dim", "sizes")),
    "transpose swapdims": Moves(Move.TRANSPOSE, _AXES),
    "swapaxes": Moves(Move.TRANSPOSE, ("input", "axis0", "axis1")),
    "permute": Moves(Move.PERMUTE, ("input", "dims")),
    "movedim moveaxis": Moves(Move.MOVE, ("input", "source", "destination")),
    "t": Moves(Move.REVERSE),
    "adjoint": Moves(Move.SWAP_LAST),
    "squeeze": Moves(Move.SQUEEZE, _AXIS),
    "unsqueeze": Moves(Move.UNSQUEEZE, _AXIS),
    "broadcast_to": Moves(Move.REPEAT, ("input", "size")),
    "tile": Moves(Move.REPEAT, ("input", "dims")),
    "repeat_interleave": Moves(Move.REPEAT, ("input", "repeats", "dim")),
    "narrow": Selects(Choice.CUT, ("input", "dim", "start", "length")),
    "index_select": Selects(Choice.CUT, ("input", "dim", "index")),
    "split": Selects(Choice.PARTS, ("tensor", "split_size_or_sections", "dim")),
    "split_with_sizes": Selects(Choice.PARTS, ("input", "split_sizes", "dim")),
    "chunk": Selects(Choice.PARTS, ("input", "chunks", "dim")),
    "tensor_split": Selects(Choice.PARTS, ("input", "indices_or_sections", "dim")),
    "select": Selects(Choice.ENTRY, ("input", "dim", "index")),
    "unbind": Selects(Choice.ENTRIES, _AXIS),
    "masked_select": Selects(Choice.VALUES, ("input", "mask")),
    "gather": Selects(Choice.VALUES, ("input", "dim", "index")),
    "take": Selects(Choice.VALUES, ("input", "index")),
    "take_along_dim": Selects(Choice.VALUES, ("input", "indices", "dim")),
    "diagonal": Selects(Choice.VALUES, ("input", "offset", "dim1", "dim2")),
    "amax amin": Selects(Choice.VALUES, ("input", "dim", "keepdim")),
    "max min median": Selects(Choice.EXTREME, ("input", "dim", "keepdim")),
    "topk": Selects(Choice.BEST, ("input", "k", "dim", "largest", "sorted")),
    "kthvalue": Selects(Choice.BEST, ("input", "k", "dim", "keepdim")),
    "sort": Selects(Choice.BEST, ("input", "dim", "descending")),
    "cummax cummin": Selects(Choice.BEST, _AXIS),
    "maximum minimum fmax fmin": Chooses(("input", "other")),
    "mean": Reduces(),
    "sum": Reduces(total=True),
    "neg neg_ negative negative_": Negates(),
    "mul multiply": Operates(Arithmetic.TIMES),
    "div divide true_divide": Operates(Arithmetic.OVER),
    "add": Operates(Arithmetic.PLUS),
    "sub subtract": Operates(Arithmetic.MINUS),
    "pow": Operates(Arithmetic.TO, ("input", "exponent")),
    "masked_fill": Fills(),
    "eq": Tests(Test.EQUAL),
    "ne not_equal": Tests(Test.UNEQUAL),
    "gt greater": Tests(Test.GREATER),
    "ge greater_equal": Tests(Test.NOT_LESS),
    "lt less": Tests(Test.LESS),
    "le less_equal": Tests(Test.NOT_GREATER),
    "logical_not bitwise_not": Tests(Test.NOT, ("input",)),
    "logical_and bitwise_and": Tests(Test.AND),
    "logical_or bitwise_or": Tests(Test.OR),
    "tril triu": Derives(),
    "scatter_add index_add lerp addcmul index_put index_copy masked_scatter select_scatter slice_scatter": Derives(),
    "rot90 as_strided cumsum": Derives(),
    "argmax argmin": Derives(("input", "dim", "keepdim")),
    "round": Maps({PROBS: UNIT, UNIT: UNIT}, "round"),
}
"""Names that are methods of a tensor and functions of `torch`."""

METHODS: Mapping[str, Effect] = {
    "to cuda cpu float double half bfloat16 type type_as contiguous requires_grad_ pin_memory __deepcopy__": Keeps(),
    "item numpy tolist": Keeps(attached=False),
    "view": Moves(Move.REGROUP, ("input", "shape"), rank_from_shape=True),
    "view_as reshape_as": Moves(Move.REGROUP, ("input", "other")),
    "transpose_ swapdims_": Moves(Move.TRANSPOSE, _AXES),
    "swapaxes_": Moves(Move.TRANSPOSE, ("input", "axis0", "axis1")),
    "t_": Moves(Move.REVERSE),
    "squeeze_": Moves(Move.SQUEEZE, _AXIS),
    "unsqueeze_": Moves(Move.UNSQUEEZE, _AXIS),
    "expand": Moves(Move.REPEAT, ("input", "size")),
    "expand_as": Moves(Move.REPEAT, ("input", "other")),
    "repeat": Moves(Move.REPEAT, ("input", "repeats")),
    "__getitem__": Selects(Choice.INDEX, ("input", "index")),
    "__neg__": Negates(),
    "__matmul__": Multiplies(),
    "mul_ multiply_ __mul__ __rmul__ __imul__": Operates(Arithmetic.TIMES),
    "div_ divide_ true_divide_ __truediv__ __itruediv__": Operates(Arithmetic.OVER),
    "add_ __add__ __radd__ __iadd__": Operates(Arithmetic.PLUS),
    "sub_ subtract_ __sub__ __isub__": Operates(Arithmetic.MINUS),
    "__rsub__": Operates(Arithmetic.FROM),
    "pow_ __pow__": Operates(Arithmetic.TO, ("input", "exponent")),
    "where": Chooses(("input", "condition", "other")),
    "new_zeros new_empty": Special("waiting"),
    "bool": Tests(Test.TRUE, ("input",)),
    "__eq__": Tests(Test.EQUAL),
    "__ne__": Tests(Test.UNEQUAL),
    "__gt__": Tests(Test.GREATER),
    "__ge__": Tests(Test.NOT_LESS),
    "__lt__": Tests(Test.LESS),
    "__le__": Tests(Test.NOT_GREATER),
    "__invert__": Tests(Test.NOT, ("input",)),
    "__and__ __rand__": Tests(Test.AND),
    "__or__ __ror__": Tests(Test.OR),
    "masked_fill_": Fills(),
    "__setitem__": Fills(("input", "index", "value")),
    "scatter_add_ index_add_ lerp_ addcmul_ index_put_ index_copy_ masked_scatter_ cumsum_ unfold": Derives(),
    "backward": Special("backward"),
    "copy_": Special("copied", ("input", "src", "non_blocking")),
}
"""Names that are only methods of a tensor."""

ATTRIBUTES: Mapping[str, Effect] = {
    "T": Moves(Move.REVERSE),
    "mT mH": Moves(Move.SWAP_LAST),
    "data": Keeps(attached=False),
}
"""Attributes of a tensor -> effect of reading them."""

FUNCTIONS: Mapping[str, Effect] = {
    "cat concat concatenate": Joins(),
    "vstack row_stack": Joins(params=("tensors",)),
    "hstack": Joins(1, ("tensors",)),
    "stack": Stacks(),
    "where": Chooses(),
    "rsub": Operates(Arithmetic.FROM),
    "einsum": Contracts(),
    "addmm": Affine("addmm", params=("input", "mat1", "mat2")),
    "baddbmm": Affine("baddbmm", params=("input", "batch1", "batch2")),
    "bilinear": Affine("bilinear", params=("input1", "input2", "weight", "bias")),
    "conv1d": Affine("conv1d", params=("input", "weight", "bias"), features=-2),
    "conv2d": Affine("conv2d", params=("input", "weight", "bias"), features=-3),
    "conv3d": Affine("conv3d", params=("input", "weight", "bias"), features=-4),
    "conv_transpose1d": Affine("conv_transpose1d", params=("input", "weight", "bias"), features=-2),
    "conv_transpose2d": Affine("conv_transpose2d", params=("input", "weight", "bias"), features=-3),
    "conv_transpose3d": Affine("conv_transpose3d", params=("input", "weight", "bias"), features=-4),
    "avg_pool1d": Pools(1, params=_WINDOW),
    "adaptive_avg_pool1d": Pools(1),
    "dropout dropout_ feature_dropout": Drops(("input", "p", "train")),
    "alpha_dropout": Drops(("input", "p", "train"), shifts=True),
    "tensor": Keeps(attached=False),
    "as_tensor asarray": Keeps(),
    "from_numpy": Keeps(attached=False),
    "Tensor FloatTensor LongTensor": Keeps(attached=False),
    "rand randn ones": Special("filled"),
    "ones_like arange": Derives(),
    "zeros empty zeros_like empty_like": Special("waiting"),
    "compile": Wraps(0, "model"),
    "cdist broadcast_tensors": Derives(),
    "manual_seed set_grad_enabled": NoEffect(),
}
"""Names that are only functions of `torch`."""

FUNCTIONAL: Mapping[str, Effect] = {
    "softmax": _SOFTMAX,
    "softmin": Gives(PROBS, "softmin"),
    "log_softmax": _LOG_SOFTMAX,
    "sigmoid hardsigmoid": _SIGMOID,
    "logsigmoid": Maps({}, "logsigmoid"),
    "relu": Gives(NON_NEGATIVE, "relu", ("input", "inplace"), keeps_meanings=frozenset({PROBS, UNIT})),
    "relu_": _RELU,
    "relu6": Gives(NON_NEGATIVE, "relu", ("input", "inplace"), keeps_meanings=frozenset({PROBS, UNIT})),
    "leaky_relu elu gelu silu": _REAL,
    "tanh": _TANH,
    "softplus": _SOFTPLUS,
    "gumbel_softmax": Gives(PROBS, "gumbel_softmax", ("logits", "tau", "hard", "eps", "dim"), axis=-1),
    "linear": Affine("F.linear", params=("input", "weight", "bias")),
    "bilinear": Affine("F.bilinear", params=("input1", "input2", "weight", "bias")),
    "conv1d": Affine("F.conv1d", params=("input", "weight", "bias"), features=-2),
    "conv2d": Affine("F.conv2d", params=("input", "weight", "bias"), features=-3),
    "conv3d": Affine("F.conv3d", params=("input", "weight", "bias"), features=-4),
    "conv_transpose1d": Affine("F.conv_transpose1d", params=("input", "weight", "bias"), features=-2),
    "conv_transpose2d": Affine("F.conv_transpose2d", params=("input", "weight", "bias"), features=-3),
    "conv_transpose3d": Affine("F.conv_transpose3d", params=("input", "weight", "bias"), features=-4),
    "dropout dropout1d dropout2d dropout3d": Drops(),
    "alpha_dropout feature_alpha_dropout": Drops(shifts=True),
    "avg_pool1d": Pools(1, params=_WINDOW),
    "avg_pool2d": Pools(2, params=(*_WINDOW, "divisor_override")),
    "avg_pool3d": Pools(3, params=(*_WINDOW, "divisor_override")),
    "adaptive_avg_pool1d": Pools(1),
    "adaptive_avg_pool2d": Pools(2),
    "adaptive_avg_pool3d": Pools(3),
    "max_pool1d adaptive_max_pool1d": Pools(1, greatest=True),
    "max_pool2d adaptive_max_pool2d": Pools(2, greatest=True),
    "max_pool3d adaptive_max_pool3d": Pools(3, greatest=True),
    "interpolate upsample": Pools(params=("input", "size", "scale_factor", "mode")),
    "grid_sample": Pools(beyond=True, params=("input", "grid", "mode")),
    "pad": Fills(("input", "pad", "mode", "value"), usual=0),
    "hardtanh hardtanh_": Derives(),
    "cosine_similarity": Derives(),
    "one_hot": Gives(Semantic.ONE_HOT, "one_hot", ("input", "num_classes"), axis=-1),
}
"""Names in `torch.nn.functional`, losses apart."""

SPECIAL: Mapping[str, Effect] = {"softmax": _SOFTMAX, "log_softmax": _LOG_SOFTMAX, "expit": _SIGMOID, "logsumexp": Normalizer()}
"""Names in `torch.special`."""

LAYERS: Mapping[str, Effect] = {
    "Softmax": _SOFTMAX,
    "Softmax2d": Gives(PROBS, "softmax", ("input",), axis=-3),
    "Softmin": Gives(PROBS, "softmin"),
    "LogSoftmax": _LOG_SOFTMAX,
    "Sigmoid Hardsigmoid": _SIGMOID,
    "LogSigmoid": Maps({}, "logsigmoid"),
    "ReLU ReLU6": _RELU,
    "LeakyReLU PReLU ELU GELU SiLU": _REAL,
    "Tanh": _TANH,
    "Softplus": _SOFTPLUS,
    "Linear": Affine("nn.Linear", "out_features"),
    "LazyLinear": Affine("nn.LazyLinear", "out_features"),
    "Bilinear": Affine("nn.Bilinear", "out_features"),
    "Conv1d": Affine("nn.Conv1d", features=-2, rank=3),
    "Conv2d": Affine("nn.Conv2d", features=-3, rank=4),
    "Conv3d": Affine("nn.Conv3d", features=-4, rank=5),
    "ConvTranspose1d": Affine("nn.ConvTranspose1d", features=-2, rank=3),
    "ConvTranspose2d": Affine("nn.ConvTranspose2d", features=-3, rank=4),
    "ConvTranspose3d": Affine("nn.ConvTranspose3d", features=-4, rank=5),
    "BatchNorm1d": Affine("nn.BatchNorm1d"),
    "BatchNorm2d": Affine("nn.BatchNorm2d", features=-3, rank=4),
    "BatchNorm3d": Affine("nn.BatchNorm3d", features=-4, rank=5),
    "LayerNorm": Affine("nn.LayerNorm"),
    "GroupNorm": Affine("nn.GroupNorm"),
    "Identity": Keeps(),
    "Flatten": Moves(Move.FLATTEN),
    "Unflatten": Moves(Move.REGROUP),
    "Dropout Dropout1d Dropout2d Dropout3d": Drops(("input",)),
    "AlphaDropout": Drops(("input",), shifts=True),
    "AvgPool1d AdaptiveAvgPool1d": Pools(1),
    "AvgPool2d AdaptiveAvgPool2d": Pools(2),
    "AvgPool3d AdaptiveAvgPool3d": Pools(3),
    "MaxPool1d AdaptiveMaxPool1d": Pools(1, greatest=True),
    "MaxPool2d AdaptiveMaxPool2d": Pools(2, greatest=True),
    "MaxPool3d AdaptiveMaxPool3d": Pools(3, greatest=True),
    "Upsample UpsamplingBilinear2d UpsamplingNearest2d": Pools(),
    "GRU RNN": Special("recurrent", ("input", "hx")),
    "LSTM": Special("recurrent with cells", ("input", "hx")),
}
"""Layers of `torch.nn`, losses apart -> effect of calling one."""

GIVES_PARAMETERS: frozenset[str] = frozenset({"parameters", "named_parameters"})
"""Methods of a module that give its parameters."""

WITH_PARAMETERS: frozenset[str] = frozenset(
    f"torch.nn.{name}"
    for name in (
        *("Linear", "LazyLinear", "Bilinear", "Embedding", "EmbeddingBag", "LSTM", "GRU", "RNN", "MultiheadAttention"),
        *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "Sequential", "ModuleList"),
        *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm", "Parameter"),
        *("Transformer", "TransformerEncoder", "TransformerDecoder", "TransformerEncoderLayer", "TransformerDecoderLayer"),
    )
)
"""Layers that have parameters, or may hold some that have."""

SCALER = "torch.amp.GradScaler"
"""What scales a loss so that gradients of half precision do not vanish."""

SCALER_METHODS: frozenset[str] = frozenset({"scale", "unscale_", "step", "update"})
"""Its methods that a training loop calls."""

_SCATTERED = ("input", "dim", "index", "src", "value")

OTHERS: Mapping[str, Effect] = {
    "torch.jit.script": Wraps(),
    "torch.jit.trace": Wraps(0, "func"),
    "torch.jit.trace_module": Wraps(0, "mod"),
    "torch.jit.freeze": Wraps(0, "mod"),
    "torch.jit.optimize_for_inference": Wraps(0, "mod"),
    "torch.fx.symbolic_trace": Wraps(0, "root"),
    "torch.nn.SyncBatchNorm.convert_sync_batchnorm": Wraps(0, "module"),
    **{
        f"torch.nn.utils.{name}": Wraps(0, "module")
        for name in (
            "spectral_norm",
            "weight_norm",
            "remove_spectral_norm",
            "remove_weight_norm",
            "parametrizations.spectral_norm",
            "parametrizations.weight_norm",
            "parametrizations.orthogonal",
            "parametrize.register_parametrization",
            "prune.identity",
            "prune.random_unstructured",
            "prune.l1_unstructured",
            "prune.random_structured",
            "prune.ln_structured",
            "prune.custom_from_mask",
            "prune.remove",
        )
    },
    "torch.autograd.Variable": Keeps(),
    "torch.utils.checkpoint.checkpoint": Special("called"),
    "torch.utils.checkpoint.checkpoint_sequential": Special("called_in_turn"),
    "torch.nn.parallel.data_parallel": Special("called"),
    "torch.scatter": Special("scattered", _SCATTERED),
    "torch.Tensor.scatter": Special("scattered", _SCATTERED),
    "torch.Tensor.scatter_": Special("scattered", _SCATTERED),
    "torch.nn.DataParallel": Wraps(0, "module"),
    "torch.nn.parallel.DataParallel": Wraps(0, "module"),
    "torch.nn.parallel.DistributedDataParallel": Wraps(0, "module"),
    "torch.distributed.fsdp.FullyShardedDataParallel": Wraps(0, "module"),
    "torch.distributed.fsdp.fully_shard": Wraps(0, "module"),
    **loading.ROWS,
    "torch.utils.data.TensorDataset": Special("tensor_dataset"),
    "torch.utils.data.Subset": Special("subset"),
    "torch.utils.data.random_split": RandomSplits(),
    "torch.autograd.backward": Special("backward"),
    "torch.autograd.grad": NoEffect(),
    "torch.optim.Optimizer.state_dict": NoEffect(),
    "torch.optim.Optimizer.load_state_dict": NoEffect(),
    "torch.nn.utils.clip_grad_norm_": Special("clip"),
    "torch.nn.utils.clip_grad_value_": Special("clip"),
    "torch.nn.utils.clip_grad_norm": Special("clip"),
    "torch.amp.GradScaler": Returns("torch.amp.GradScaler"),
    "torch.cuda.amp.GradScaler": Returns("torch.amp.GradScaler"),
    "torch.amp.GradScaler.scale": Keeps(1),
    "torch.amp.GradScaler.step": Special("scaler_step"),
    "torch.amp.GradScaler.update": NoEffect(),
    "torch.amp.GradScaler.unscale_": NoEffect(),
}
"""All that is known by its qualified name alone."""

LOSS_CLASSES: Mapping[str, Loss] = {
    f"torch.nn.{cls}": loss
    for cls, loss in (
        *((loss.cls, loss) for loss in losses.LOSSES.values()),
        *((cls, losses.LOSSES[name]) for cls, name in losses.OLD_CLASSES.items()),
    )
}
"""Classes of losses, by qualified name."""

_CONVOLUTION = ("kernel_size", "stride", "padding", "dilation", "groups", "bias", "padding_mode")
_TRANSPOSED = ("kernel_size", "stride", "padding", "output_padding", "groups", "bias", "dilation", "padding_mode")
_NORMALISATION = ("num_features", "eps", "momentum", "affine", "track_running_stats")
_TRANSFORMER_LAYER = (
    "d_model",
    "nhead",
    "dim_feedforward",
    "dropout",
    "activation",
    "layer_norm_eps",
    "batch_first",
    "norm_first",
    "bias",
)
_REDUCTION = ("size_average", "reduce", "reduction")

_CONSTRUCTORS: Mapping[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features", "bias"),
    "LazyLinear": ("out_features", "bias"),
    "Bilinear": ("in1_features", "in2_features", "out_features", "bias"),
    "Flatten": ("start_dim", "end_dim"),
    "Unflatten": ("dim", "unflattened_size"),
    "Conv1d Conv2d Conv3d": ("in_channels", "out_channels", *_CONVOLUTION),
    "LazyConv1d LazyConv2d LazyConv3d": ("out_channels", *_CONVOLUTION),
    "ConvTranspose1d ConvTranspose2d ConvTranspose3d": ("in_channels", "out_channels", *_TRANSPOSED),
    "LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d": ("out_channels", *_TRANSPOSED),
    "MaxPool1d MaxPool2d MaxPool3d": ("kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"),
    "AvgPool1d AvgPool2d AvgPool3d": ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"),
    "LPPool1d LPPool2d LPPool3d": ("norm_type", "kernel_size", "stride", "ceil_mode"),
    "AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d": ("output_size",),
    "AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d": ("output_size", "return_indices"),
    "Upsample": ("size", "scale_factor", "mode"),
    "UpsamplingNearest2d UpsamplingBilinear2d": ("size", "scale_factor"),
    "PixelShuffle": ("upscale_factor",),
    "PixelUnshuffle": ("downscale_factor",),
    "ChannelShuffle": ("groups",),
    "Unfold": ("kernel_size", "dilation", "padding", "stride"),
    "Fold": ("output_size", "kernel_size", "dilation", "padding", "stride"),
    "ZeroPad1d ZeroPad2d ZeroPad3d ReflectionPad1d ReflectionPad2d ReflectionPad3d": ("padding",),
    "ReplicationPad1d ReplicationPad2d ReplicationPad3d CircularPad1d CircularPad2d CircularPad3d": ("padding",),
    "ConstantPad1d ConstantPad2d ConstantPad3d": ("padding", "value"),
    "Softmax Softmin LogSoftmax GLU": ("dim",),
    "PReLU": ("num_parameters", "init"),
    "Dropout Dropout1d Dropout2d Dropout3d AlphaDropout": ("p", "inplace"),
    "BatchNorm1d BatchNorm2d BatchNorm3d SyncBatchNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d": _NORMALISATION,
    "LazyBatchNorm1d LazyBatchNorm2d LazyBatchNorm3d": _NORMALISATION[1:],
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine", "bias"),
    "RMSNorm": ("normalized_shape", "eps", "elementwise_affine"),
    "GroupNorm": ("num_groups", "num_channels", "eps", "affine"),
    "LocalResponseNorm": ("size", "alpha", "beta", "k"),
    "Embedding": ("num_embeddings", "embedding_dim", "padding_idx"),
    "EmbeddingBag": (
        "num_embeddings",
        "embedding_dim",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "mode",
        "sparse",
        "_weight",
        "include_last_offset",
    ),
    "LSTM GRU": (
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ),
    "RNN": ("input_size", "hidden_size", "num_layers"),  # the fourth is the nonlinearity, which RNNBase has not
    "RNNCell LSTMCell GRUCell": ("input_size", "hidden_size", "bias"),
    "MultiheadAttention": (
        "embed_dim",
        "num_heads",
        "dropout",
        "bias",
        "add_bias_kv",
        "add_zero_attn",
        "kdim",
        "vdim",
        "batch_first",
    ),
    "TransformerEncoderLayer TransformerDecoderLayer": _TRANSFORMER_LAYER,
    "TransformerEncoder": ("encoder_layer", "num_layers", "norm"),
    "TransformerDecoder": ("decoder_layer", "num_layers", "norm"),
    "Transformer": (
        *_TRANSFORMER_LAYER[:2],
        "num_encoder_layers",
        "num_decoder_layers",
        *_TRANSFORMER_LAYER[2:5],
        "custom_encoder",
        "custom_decoder",
        *_TRANSFORMER_LAYER[5:],
    ),
    "CosineSimilarity": ("dim", "eps"),
    "PairwiseDistance": ("p", "eps", "keepdim"),
    "CrossEntropyLoss": ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"),
    "NLLLoss": ("weight", "size_average", "ignore_index", "reduce", "reduction"),
    "KLDivLoss": (*_REDUCTION, "log_target"),
    "BCELoss MultiLabelSoftMarginLoss": ("weight", *_REDUCTION),
    "BCEWithLogitsLoss": ("weight", *_REDUCTION, "pos_weight"),
    "MSELoss L1Loss SoftMarginLoss MultiLabelMarginLoss": _REDUCTION,
    "SmoothL1Loss": (*_REDUCTION, "beta"),
    "HuberLoss": ("reduction", "delta"),
    "PoissonNLLLoss": ("log_input", "full", "size_average", "eps", "reduce", "reduction"),
    "HingeEmbeddingLoss CosineEmbeddingLoss MarginRankingLoss": ("margin", *_REDUCTION),
    "MultiMarginLoss": ("p", "margin", "weight", *_REDUCTION),
    "TripletMarginLoss": ("margin", "p", "eps", "swap", *_REDUCTION),
    "CTCLoss": ("blank", "reduction", "zero_infinity"),
}

CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {
    f"torch.nn.{name}": params for names, params in _CONSTRUCTORS.items() for name in names.split()
}
"""Names of the parameters of layers' constructors, in order, as far as positions are known."""

MODE_DEPENDENT: frozenset[str] = frozenset(
    f"torch.nn.{name}"
    for name in [
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "AlphaDropout",
        "FeatureAlphaDropout",
        "BatchNorm1d",
        "BatchNorm2d",
        "BatchNorm3d",
        "SyncBatchNorm",
        "LazyBatchNorm1d",
        "LazyBatchNorm2d",
        "LazyBatchNorm3d",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
        "Transformer",
    ]
)
"""Layers that differ between training and evaluation mode. A transformer layer holds dropout of 0.1 unless told otherwise."""

HOLDS_PARAMETERS = re.compile(
    r"torch\.nn\.(?:Lazy)?(?:Linear|Bilinear|Conv|Embedding|LSTM|GRU|RNN|BatchNorm|LayerNorm|GroupNorm|RMSNorm|SyncBatchNorm"
    r"|MultiheadAttention|Transformer|PReLU|Sequential|ModuleList|ModuleDict)"
)
"""Classes of layers that have parameters, or hold such."""

NORMALISES: frozenset[str] = frozenset(name for name in MODE_DEPENDENT if "BatchNorm" in name)
"""Layers with running statistics, unless told otherwise."""

DROPOUT_KEYWORD: dict[str, str] = {
    **{
        f"torch.nn.{name}": "p"
        for name in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
    },
    **{f"torch.nn.{name}": "dropout" for name in ("TransformerEncoderLayer", "TransformerDecoderLayer", "Transformer")},
}

RECURRENT: frozenset[str] = frozenset({"torch.nn.LSTM", "torch.nn.GRU", "torch.nn.RNN"})
"""Mode-dependent only with `dropout` between several layers."""

CHAIN = "torch.nn.Sequential"

CONTAINERS: frozenset[str] = frozenset({CHAIN, "torch.nn.ModuleList", "torch.nn.ModuleDict"})

MODULE_BASES: frozenset[str] = frozenset(
    {
        "torch.nn.Module",
        "lightning.LightningModule",
        "transformers.PreTrainedModel",
        "huggingface_hub.PyTorchModelHubMixin",
        "torch.jit.ScriptModule",
    }
)
"""Classes outside the project whose subclasses are torch modules (all of torch.nn's classes are, too)."""

MODEL_HEADS: dict[str, dict[str, int]] = {
    **{f"torchvision.models.{name}": {"fc": -1} for name in ("resnet", "resnext", "wide_resnet", "shufflenet", "regnet")},
    **{f"torchvision.models.{name}": {"classifier": 6} for name in ("vgg", "alexnet")},
    **{f"torchvision.models.{name}": {"classifier": 1} for name in ("mobilenet_v2", "efficientnet", "mnasnet")},
    "torchvision.models.mobilenet_v3": {"classifier": 3},
    "torchvision.models.mobilenet.": {"classifier": 1},
    "torchvision.models.densenet": {"classifier": -1},
    "torchvision.models.squeezenet": {"classifier": 3},
    "torchvision.models.convnext": {"classifier": 2},
    "torchvision.models.vit_": {"heads": -1},
    "torchvision.models.swin_": {"head": -1},
    "timm.create_model": {"fc": -1, "classifier": -1, "head": -1},
    "torch.hub.load": {"fc": -1, "classifier": -1, "head": -1},
    "efficientnet_pytorch.EfficientNet.from_": {"_fc": -1},
    "pretrainedmodels.": {"last_linear": -1},
}
"""Prefixes of model factories, the attribute that holds the layers which the models end with, and which of these is the last.

Source: the `forward` methods in torchvision.models and timm.models. Models of googlenet and inception give several outputs while
they are trained, and stand in the next table only.
"""

MODE_DEPENDENT_MODELS: tuple[str, ...] = (
    *(name for name in MODEL_HEADS if name.startswith("torchvision.")),
    "torchvision.models.inception",
    "torchvision.models.googlenet",
    *(
        f"transformers.{name}"
        for name in (
            "AutoModelForSequenceClassification.from_",
            "AutoModelForTokenClassification.from_",
            "AutoModelForQuestionAnswering.from_",
            "AutoModelForMaskedLM.from_",
            "AutoModelForMultipleChoice.from_",
        )
    ),
    *(
        f"transformers.{family}{kind}"
        for family in ("Albert", "Bart", "Bert", "Camembert", "DistilBert", "Electra", "Roberta", "XLMRoberta")
        for kind in ("Model.from_pretrained", "For")
    ),
)
"""Prefixes of model factories whose models hold dropout or batch normalisation.

Those of transformers are families whose configurations have dropout unless somebody takes it out, and the automatic classes for
what encoders are tuned for; those for causal models, of which only some have dropout, are not among them.
"""

GIVES_EVALUATION_MODE = ".from_pretrained"
"""How the functions of transformers end that put the model which they load into evaluation mode."""

MODEL_FACTORIES: tuple[str, ...] = (
    *MODE_DEPENDENT_MODELS,
    *(name for name in MODEL_HEADS if not name.startswith("torchvision.")),
)
"""Prefixes of all functions of which it is known that they build a model."""

RETURNS_SELF: frozenset[str] = frozenset(
    {"to", "cuda", "cpu", "float", "half", "double", "bfloat16", "requires_grad_", "share_memory", "apply", "xpu", "type"}
)
"""Methods of a module that give back the module itself."""

LEAVES_NUMBERS: frozenset[str] = frozenset({"requires_grad_", "detach_", "share_memory_"})
"""Methods in place that change no number of a tensor."""

CALLED_FOR_THEIR_EFFECT: frozenset[str] = frozenset(
    {"eval", "train", "zero_grad", "step", "backward", "cuda", "cpu", "half", "freeze", "unfreeze", "empty_cache", "synchronize"}
    | {"requires_grad_", "detach_", "zero_", "reset_parameters", "init_weights", "barrier", "gradient_checkpointing_enable"}
)
"""Methods and functions that are called because of what they do."""

FLAGS_OF_TENSORS: frozenset[str] = frozenset({"requires_grad"})
"""Attributes that tensors have and modules do not: set on a module they do nothing."""

RETURNS_ANOTHER: frozenset[str] = frozenset(
    {"detach", "unsqueeze", "squeeze", "permute", "contiguous", "masked_fill", "clamp", "softmax", "log_softmax", "sigmoid"}
    | {"long", "int", "bool", "expand", "flatten", "argmax", "new_zeros"}
)
"""Methods of tensors, and of few other things, that leave the tensor as it is."""

MOVES_OR_CASTS: frozenset[str] = frozenset({"to", "cuda", "cpu", "float", "half", "double", "bfloat16", "type"})
"""Methods that change a module in place, and give another tensor."""

PURE_FUNCTIONS: frozenset[str] = frozenset(
    {f"torch.{name}" for name in ("clamp", "clip", "sigmoid", "softmax", "log_softmax", "relu", "tanh", "cat", "concat", "stack")}
    | {f"torch.{name}" for name in ("squeeze", "unsqueeze", "flatten", "reshape", "permute", "transpose", "masked_fill", "where")}
    | {f"torch.{name}" for name in ("abs", "exp", "log", "sqrt", "round", "nan_to_num")}
    | {f"torch.nn.functional.{name}" for name in ("relu", "gelu", "softmax", "log_softmax", "sigmoid", "normalize", "pad")}
)
"""Functions that are called for their result alone."""

ASKED_FOR_THEIR_ANSWER: frozenset[str] = frozenset(
    {"torch.cuda.is_available", "torch.backends.mps.is_available", "torch.mps.is_available", "torch.xpu.is_available"}
    | {
        "torch.distributed.is_available",
        "torch.distributed.is_initialized",
        "torch.is_grad_enabled",
        "torch.cuda.is_bf16_supported",
    }
)
"""Functions without arguments that say yes or no."""

NO_GRAD: frozenset[str] = frozenset(
    {
        "torch.no_grad",
        "torch.inference_mode",
        "torch.autograd.no_grad",
        "torch.autograd.inference_mode",
        "torch.autograd.grad_mode.no_grad",
    }
)
ENABLE_GRAD: frozenset[str] = frozenset({"torch.enable_grad", "torch.autograd.enable_grad"})


def _rows() -> Iterator[tuple[str, Effect]]:
    for packages, effects in (
        (("torch", "torch.Tensor"), METHODS_AND_FUNCTIONS),
        (("torch.Tensor",), METHODS),
        (("torch.Tensor",), ATTRIBUTES),
        (("torch",), FUNCTIONS),
        (("torch.nn.functional",), FUNCTIONAL),
        (("torch.special",), SPECIAL),
    ):
        for names, effect in effects.items():
            yield from ((f"{package}.{name}", effect) for package in packages for name in names.split())
    for names, effect in LAYERS.items():
        yield from ((f"torch.nn.{name}.__call__", effect) for name in names.split())
    yield from attention.ROWS.items()
    yield from ((loss.function, loss) for loss in losses.LOSSES.values())
    yield from ((f"{cls}.__call__", loss) for cls, loss in LOSS_CLASSES.items())
    yield from OTHERS.items()


ROWS: dict[str, Effect] = dict(_rows())

NORMALIZERS: frozenset[str] = frozenset(
    name for name, effect in ROWS.items() if isinstance(effect, Gives) and effect.meaning in (PROBS, LOG_PROBS)
)
"""Softmax and its kin, by every name under which torch has them: what comes out depends on all values along an axis."""

SIGMOIDS: frozenset[str] = frozenset(
    name for name, effect in ROWS.items() if isinstance(effect, Gives) and effect.verb == "sigmoid"
)
"""Sigmoid and its kin, by every name under which torch has them."""

DROPOUTS: frozenset[str] = frozenset(
    name for name, effect in ROWS.items() if isinstance(effect, Drops) and name.startswith("torch.nn.functional.")
)
"""Functions that drop values unless they are told that this is no training."""

DROPOUT_LAYERS: frozenset[str] = frozenset(
    name for name, effect in ROWS.items() if isinstance(effect, Drops) and name.endswith(".__call__")
)
"""Layers that drop values in training mode."""

LOGARITHMS: frozenset[str] = frozenset(name for name, effect in ROWS.items() if isinstance(effect, Maps) and effect.verb == "log")
"""The natural logarithm, by every name under which torch has it."""
