"""torch: which functions, layers and tensor methods make, keep or change the meaning of a tensor."""

from __future__ import annotations

from mldbg.operations.effect import (
    Affine,
    Derives,
    Effect,
    Gives,
    Keeps,
    Loss,
    Maps,
    NoEffect,
    RandomSplits,
    Returns,
    Special,
    Wraps,
)
from mldbg.semantics import Semantic

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS

_SOFTMAX = Gives(PROBS, "softmax")
_LOG_SOFTMAX = Gives(LOG_PROBS, "log_softmax")
_SIGMOID = Gives(UNIT, "sigmoid", ("input",))
_RELU = Gives(Semantic.NON_NEGATIVE, "relu", ("input", "inplace"), keeps_meanings=frozenset({PROBS, UNIT}))
_REAL = Gives(LOGITS, "activation", ("input",))
_EXP = Maps({LOG_PROBS: PROBS}, "exp")

_CLAMP = Gives(None, "clamp", ("input", "min", "max"), keeps_meanings=frozenset({PROBS, UNIT, LOG_PROBS}))

ACTIVATIONS: dict[str, Effect] = {
    "softmax": _SOFTMAX,
    "log_softmax": _LOG_SOFTMAX,
    "sigmoid": _SIGMOID,
    "hardsigmoid": _SIGMOID,
    "logsigmoid": Maps({}, "logsigmoid"),
    "relu": _RELU,
    "relu_": _RELU,
    "relu6": _RELU,
    "leaky_relu": _REAL,
    "elu": _REAL,
    "gelu": _REAL,
    "silu": _REAL,
    "tanh": Gives(None, "tanh", ("input",)),
    "softplus": Gives(Semantic.NON_NEGATIVE, "softplus", ("input",)),
    "gumbel_softmax": Gives(None, "gumbel_softmax"),
}

TENSOR_AND_FUNCTION: dict[str, Effect] = {
    "softmax": _SOFTMAX,
    "log_softmax": _LOG_SOFTMAX,
    "sigmoid": _SIGMOID,
    "sigmoid_": _SIGMOID,
    "special.expit": _SIGMOID,
    "relu": _RELU,
    "relu_": _RELU,
    "log": Maps({PROBS: LOG_PROBS, UNIT: LOG_PROBS}, "log"),
    "exp": _EXP,
    "clamp": _CLAMP,
    "clamp_": _CLAMP,
    "clip": _CLAMP,
    "nan_to_num": Keeps(),
    "clone": Keeps(),
    "detach": Keeps(attached=False),
    "squeeze": Keeps(keeps_axes=False),
    "unsqueeze": Keeps(keeps_axes=False),
    "flatten": Special("flatten", ("input", "start_dim", "end_dim")),
    "ravel": Keeps(keeps_axes=False),
    "reshape": Keeps(keeps_axes=False, rank_from_shape=True),
    "transpose": Keeps(keeps_axes=False),
    "permute": Keeps(keeps_axes=False),
    "swapaxes": Keeps(keeps_axes=False),
    "movedim": Keeps(keeps_axes=False),
    "t": Keeps(keeps_axes=False),
    "masked_fill": Keeps(),
    "cat": Derives(),
    "stack": Derives(),
    "where": Derives(),
    "matmul": Derives(),
}

TENSOR_ONLY: dict[str, Effect] = {
    "to": Keeps(),
    "cuda": Keeps(),
    "cpu": Keeps(),
    "float": Keeps(),
    "double": Keeps(),
    "half": Keeps(),
    "bfloat16": Keeps(),
    "type": Keeps(),
    "type_as": Keeps(),
    "contiguous": Keeps(),
    "requires_grad_": Keeps(),
    "view": Keeps(keeps_axes=False, rank_from_shape=True),
    "view_as": Keeps(keeps_axes=False),
    "reshape_as": Keeps(keeps_axes=False),
    "expand": Keeps(keeps_axes=False),
    "index_select": Keeps(),
    "item": Keeps(attached=False),
    "numpy": Keeps(attached=False),
    "tolist": Keeps(attached=False),
    "backward": Special("backward"),
}

_CLASS = ("input", "target", "weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing")
_BINARY = ("input", "target", "weight", "size_average", "reduce", "reduction")
_KL = ("input", "target", "size_average", "reduce", "reduction", "log_target")

LOSS_FUNCTIONS: dict[str, Effect] = {
    "cross_entropy": Loss(_CLASS),
    "nll_loss": Loss(_CLASS),
    "kl_div": Loss(_KL),
    "binary_cross_entropy": Loss(_BINARY),
    "binary_cross_entropy_with_logits": Loss(_BINARY),
    **{
        name: Loss()
        for name in [
            "mse_loss",
            "l1_loss",
            "smooth_l1_loss",
            "huber_loss",
            "gaussian_nll_loss",
            "poisson_nll_loss",
            "soft_margin_loss",
            "multi_margin_loss",
            "multilabel_margin_loss",
            "multilabel_soft_margin_loss",
            "hinge_embedding_loss",
            "cosine_embedding_loss",
            "margin_ranking_loss",
            "triplet_margin_loss",
            "ctc_loss",
        ]
    },
}

LOSS_CLASSES: tuple[str, ...] = (
    "CrossEntropyLoss",
    "NLLLoss",
    "NLLLoss2d",
    "KLDivLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "MSELoss",
    "L1Loss",
    "SmoothL1Loss",
    "HuberLoss",
    "GaussianNLLLoss",
    "PoissonNLLLoss",
    "SoftMarginLoss",
    "MultiMarginLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "HingeEmbeddingLoss",
    "CosineEmbeddingLoss",
    "MarginRankingLoss",
    "TripletMarginLoss",
    "CTCLoss",
)

LAYERS: dict[str, Effect] = {
    "Softmax": _SOFTMAX,
    "Softmax2d": _SOFTMAX,
    "LogSoftmax": _LOG_SOFTMAX,
    "Sigmoid": _SIGMOID,
    "Hardsigmoid": _SIGMOID,
    "ReLU": _RELU,
    "ReLU6": _RELU,
    "LeakyReLU": _REAL,
    "PReLU": _REAL,
    "ELU": _REAL,
    "GELU": _REAL,
    "SiLU": _REAL,
    "Tanh": Gives(None, "tanh", ("input",)),
    "Softplus": Gives(Semantic.NON_NEGATIVE, "softplus", ("input",)),
    "Linear": Affine("nn.Linear", "out_features"),
    "LazyLinear": Affine("nn.LazyLinear", "out_features"),
    "Bilinear": Affine("nn.Bilinear", "out_features"),
    "Conv1d": Affine("nn.Conv1d"),
    "Conv2d": Affine("nn.Conv2d"),
    "Conv3d": Affine("nn.Conv3d"),
    "ConvTranspose1d": Affine("nn.ConvTranspose1d"),
    "ConvTranspose2d": Affine("nn.ConvTranspose2d"),
    "ConvTranspose3d": Affine("nn.ConvTranspose3d"),
    "BatchNorm1d": Affine("nn.BatchNorm1d"),
    "BatchNorm2d": Affine("nn.BatchNorm2d"),
    "BatchNorm3d": Affine("nn.BatchNorm3d"),
    "LayerNorm": Affine("nn.LayerNorm"),
    "GroupNorm": Affine("nn.GroupNorm"),
    "Identity": Keeps(),
    "Flatten": Special("flatten", ("input",)),
    "Unflatten": Keeps(keeps_axes=False),
    "Dropout": Gives(None, "dropout", keeps_meanings=frozenset({LOGITS})),
    "Dropout1d": Gives(None, "dropout", keeps_meanings=frozenset({LOGITS})),
    "Dropout2d": Gives(None, "dropout", keeps_meanings=frozenset({LOGITS})),
    "AlphaDropout": Gives(None, "dropout", keeps_meanings=frozenset({LOGITS})),
}

CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {
    "torch.nn.Linear": ("in_features", "out_features", "bias"),
    "torch.nn.LazyLinear": ("out_features", "bias"),
    "torch.nn.Bilinear": ("in1_features", "in2_features", "out_features", "bias"),
    "torch.nn.Flatten": ("start_dim", "end_dim"),
    "torch.nn.Softmax": ("dim",),
    "torch.nn.LogSoftmax": ("dim",),
    "torch.nn.Dropout": ("p", "inplace"),
    "torch.nn.Dropout1d": ("p", "inplace"),
    "torch.nn.Dropout2d": ("p", "inplace"),
    "torch.nn.Dropout3d": ("p", "inplace"),
    "torch.nn.AlphaDropout": ("p", "inplace"),
    **{
        f"torch.nn.{name}": ("num_features", "eps", "momentum", "affine", "track_running_stats")
        for name in ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm")
    },
    **{
        f"torch.nn.{name}": ("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout", "bidirectional")
        for name in ("LSTM", "GRU")
    },
    "torch.nn.CrossEntropyLoss": ("weight", "size_average", "ignore_index", "reduce", "reduction", "label_smoothing"),
    "torch.nn.KLDivLoss": ("size_average", "reduce", "reduction", "log_target"),
}

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

CONTAINERS: frozenset[str] = frozenset({"torch.nn.Sequential", "torch.nn.ModuleList", "torch.nn.ModuleDict"})

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

MODE_DEPENDENT_MODELS: tuple[str, ...] = (
    "torchvision.models.resnet",
    "torchvision.models.vgg",
    "torchvision.models.alexnet",
    "torchvision.models.densenet",
    "torchvision.models.mobilenet",
    "torchvision.models.efficientnet",
    "torchvision.models.inception",
    "torchvision.models.googlenet",
    "torchvision.models.squeezenet",
    "torchvision.models.shufflenet",
    "torchvision.models.resnext",
    "torchvision.models.wide_resnet",
    "torchvision.models.regnet",
    "torchvision.models.mnasnet",
)
"""Prefixes of model factories whose models hold dropout or batch normalisation."""

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


def _rows() -> dict[str, Effect]:
    rows: dict[str, Effect] = {}
    for name, effect in TENSOR_AND_FUNCTION.items():
        rows[f"torch.{name}"] = effect
        rows[f"torch.Tensor.{name}"] = effect
    for name, effect in TENSOR_ONLY.items():
        rows[f"torch.Tensor.{name}"] = effect
    for name, effect in (*ACTIVATIONS.items(), *LOSS_FUNCTIONS.items()):
        rows[f"torch.nn.functional.{name}"] = effect
    for name, effect in LAYERS.items():
        rows[f"torch.nn.{name}.__call__"] = effect
    for name in LOSS_CLASSES:
        rows[f"torch.nn.{name}.__call__"] = Loss()
    for name in ("rand", "randn", "zeros", "ones", "empty"):
        rows[f"torch.{name}"] = Special("filled")
    rows |= {
        "torch.special.softmax": _SOFTMAX,
        "torch.special.log_softmax": _LOG_SOFTMAX,
        "torch.nn.functional.dropout": Gives(None, "dropout", ("input", "p", "training"), keeps_meanings=frozenset({LOGITS})),
        "torch.nn.functional.linear": Affine("F.linear"),
        "torch.nn.functional.conv2d": Affine("F.conv2d"),
        "torch.tensor": Keeps(attached=False),
        "torch.as_tensor": Keeps(),
        "torch.asarray": Keeps(),
        "torch.from_numpy": Keeps(attached=False),
        "torch.Tensor": Keeps(attached=False),
        "torch.FloatTensor": Keeps(attached=False),
        "torch.LongTensor": Keeps(attached=False),
        "torch.squeeze": Keeps(keeps_axes=False),
        "torch.compile": Wraps(0, "model"),
        "torch.jit.script": Wraps(),
        "torch.nn.DataParallel": Wraps(0, "module"),
        "torch.nn.parallel.DataParallel": Wraps(0, "module"),
        "torch.nn.parallel.DistributedDataParallel": Wraps(0, "module"),
        "torch.distributed.fsdp.FullyShardedDataParallel": Wraps(0, "module"),
        "torch.utils.data.DataLoader": Wraps(0, "dataset"),
        "torch.utils.data.TensorDataset": Special("tensor_dataset"),
        "torch.utils.data.Subset": Special("subset"),
        "torch.utils.data.random_split": RandomSplits(),
        "torch.autograd.backward": Special("backward"),
        "torch.autograd.grad": NoEffect(),
        "torch.nn.utils.clip_grad_norm_": Special("clip"),
        "torch.nn.utils.clip_grad_value_": Special("clip"),
        "torch.nn.utils.clip_grad_norm": Special("clip"),
        "torch.manual_seed": NoEffect(),
        "torch.save": NoEffect(),
        "torch.amp.GradScaler": Returns("torch.amp.GradScaler"),
        "torch.cuda.amp.GradScaler": Returns("torch.amp.GradScaler"),
        "torch.amp.GradScaler.scale": Keeps(),
        "torch.amp.GradScaler.step": Special("scaler_step"),
        "torch.amp.GradScaler.update": NoEffect(),
        "torch.amp.GradScaler.unscale_": NoEffect(),
        "torch.set_grad_enabled": NoEffect(),
    }
    return rows


ROWS: dict[str, Effect] = _rows()
