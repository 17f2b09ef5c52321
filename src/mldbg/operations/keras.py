"""Keras and TensorFlow: activations, layers, losses, and what a model is made of.

Names are those of Keras 3; `spelling` knows the others (`tensorflow.keras`, `tf_keras`, `keras.engine`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mldbg.operations.effect import (
    Activates,
    Drops,
    Effect,
    FlaggedLoss,
    Gives,
    Keeps,
    Maps,
    Move,
    Moves,
    Special,
    Wraps,
)
from mldbg.semantics import Semantic

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS
NON_NEGATIVE = Semantic.NON_NEGATIVE

_SOFTMAX = Gives(PROBS, "softmax", axis=-1)
_SIGMOID = Gives(UNIT, "sigmoid", ("input",))
_RELU = Gives(NON_NEGATIVE, "relu", ("input",), keeps_meanings=frozenset({PROBS, UNIT}))
_REAL = Gives(LOGITS, "activation", ("input",))

ACTIVATIONS: Mapping[str, Effect] = {
    "softmax": _SOFTMAX,
    "log_softmax": Gives(LOG_PROBS, "log_softmax", axis=-1),
    "sigmoid hard_sigmoid": _SIGMOID,
    "relu relu6": _RELU,
    "softplus exponential": Gives(NON_NEGATIVE, "activation", ("input",)),
    "leaky_relu elu gelu silu swish selu mish": _REAL,
    "linear": Keeps(),
    "tanh softsign hard_tanh": Gives(None, "activation", ("input",)),
}
"""Activations, by the names that layers take them by."""

BY_NAME: Mapping[str, Effect] = {name: effect for names, effect in ACTIVATIONS.items() for name in names.split()}

_PACKAGES = ("keras.activations", "keras.ops", "keras.ops.nn", "keras.backend", "tensorflow.nn", "tensorflow.math", "tensorflow")

_POOLED = {LOGITS: LOGITS, NON_NEGATIVE: NON_NEGATIVE, UNIT: UNIT, PROBS: PROBS}
"""What means over neighbours, and values that are repeated, still are: the classes are the last axis, and stay apart."""

_CONVOLUTION = ("filters", "kernel_size", "strides", "padding")

LAYERS: Mapping[str, Effect] = {
    "Dense": Activates("a Dense layer", out="units"),
    "EinsumDense": Activates("an EinsumDense layer"),
    "Conv1D Conv2D Conv3D Convolution1D Convolution2D Convolution3D Conv1DTranspose Conv2DTranspose Conv3DTranspose "
    "SeparableConv1D SeparableConv2D": Activates("a convolution", out="filters"),
    "DepthwiseConv1D DepthwiseConv2D": Activates("a convolution"),
    "BatchNormalization LayerNormalization GroupNormalization": Activates("normalisation", argument=""),
    "Activation": Activates("", affine=False),
    "Softmax": _SOFTMAX,
    "ReLU": _RELU,
    "LeakyReLU PReLU ELU": _REAL,
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D": Drops(("input",)),
    "Flatten": Moves(Move.FLATTEN),
    "Reshape Permute": Moves(Move.REGROUP),
    "GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D AveragePooling1D AveragePooling2D AveragePooling3D "
    "UpSampling1D UpSampling2D UpSampling3D Cropping1D Cropping2D Cropping3D Resizing": Maps(_POOLED, "the layer"),
    "GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D MaxPooling1D MaxPooling2D MaxPooling3D": Maps(
        {**_POOLED, PROBS: UNIT}, "pooling"
    ),
    "Identity": Keeps(),
}
"""Layers of `keras.layers` -> effect of calling one."""

WRAPPERS: Mapping[str, Effect] = {
    "keras.layers.TimeDistributed": Wraps(0, "layer"),
    "keras.layers.Lambda": Wraps(0, "function"),
}
"""Layers that do what is given to them."""

CHAIN = "keras.Sequential"
MODEL = "keras.Model"

BASES: frozenset[str] = frozenset({CHAIN, MODEL, "keras.layers.Layer"})
"""Classes whose subclasses are run by their method `call`."""

CLASSIFIERS = "keras.applications."
"""Networks that end in a softmax unless they are built without their top, or told otherwise."""

CLASSIFIER = Activates("the classifier", argument="classifier_activation", usual="softmax", top="include_top")

CONSTRUCTOR_PARAMETERS: dict[str, tuple[str, ...]] = {
    MODEL: ("inputs", "outputs"),
    **{
        f"keras.layers.{name}": params
        for names, params in {
            "Dense": ("units", "activation"),
            "EinsumDense": ("equation", "output_shape", "activation"),
            "Conv1D Conv2D Conv3D Convolution1D Convolution2D Convolution3D": _CONVOLUTION,
            "Conv1DTranspose Conv2DTranspose Conv3DTranspose SeparableConv1D SeparableConv2D": _CONVOLUTION,
            "Activation": ("activation",),
            "Softmax": ("dim",),
            "Dropout": ("rate",),
        }.items()
        for name in names.split()
    },
    "keras.losses.CategoricalCrossentropy": ("from_logits", "label_smoothing", "axis"),
    "keras.losses.SparseCategoricalCrossentropy": ("from_logits",),
    "keras.losses.BinaryCrossentropy": ("from_logits", "label_smoothing", "axis"),
    "keras.losses.BinaryFocalCrossentropy": ("apply_class_balancing", "alpha", "gamma", "from_logits"),
    "keras.losses.CategoricalFocalCrossentropy": ("alpha", "gamma", "from_logits"),
}
"""Names of the parameters of constructors, in order, as far as positions matter."""


def _crossentropy(activation: str, *more: str) -> FlaggedLoss:
    return FlaggedLoss(("y_true", "y_pred", *more), "y_pred", activation, "from_logits")


_OF_BACKEND = ("target", "output", "from_logits")

_KERAS_LOSSES: Mapping[tuple[str, str], FlaggedLoss] = {
    ("categorical_crossentropy", "CategoricalCrossentropy"): _crossentropy("softmax", "from_logits"),
    ("sparse_categorical_crossentropy", "SparseCategoricalCrossentropy"): _crossentropy("softmax", "from_logits"),
    ("binary_crossentropy", "BinaryCrossentropy"): _crossentropy("sigmoid", "from_logits"),
    ("binary_focal_crossentropy", "BinaryFocalCrossentropy"): _crossentropy("sigmoid"),
    ("categorical_focal_crossentropy", "CategoricalFocalCrossentropy"): _crossentropy("softmax"),
}
"""Losses of `keras.losses`, as functions and as classes."""

LOSSES_BY_NAME: Mapping[str, str] = {name: f"keras.losses.{names[0]}" for names in _KERAS_LOSSES for name in names}
"""The functions that `model.compile(loss="...")` means."""


def _losses() -> Iterator[tuple[str, FlaggedLoss]]:
    for (function, cls), loss in _KERAS_LOSSES.items():
        yield f"keras.losses.{function}", loss
        yield f"keras.metrics.{function}", loss
        yield f"keras.losses.{cls}.__call__", loss
    for package in ("keras.backend", "keras.ops", "keras.ops.nn"):
        for name, activation in (("categorical", "softmax"), ("sparse_categorical", "softmax"), ("binary", "sigmoid")):
            loss = FlaggedLoss(_OF_BACKEND, "output", activation, "from_logits")
            yield f"{package}.{name}_crossentropy", loss
    for name, activation in (
        ("softmax", "softmax"),
        ("sparse_softmax", "softmax"),
        ("sigmoid", "sigmoid"),
        ("weighted", "sigmoid"),
    ):
        loss = FlaggedLoss(("labels", "logits"), "logits", activation)
        yield f"tensorflow.nn.{name}_cross_entropy_with_logits", loss
        yield f"tensorflow.nn.{name}_cross_entropy_with_logits_v2", loss
    yield "tensorflow.losses.softmax_cross_entropy", FlaggedLoss(("onehot_labels", "logits"), "logits", "softmax")
    yield "tensorflow.losses.sparse_softmax_cross_entropy", FlaggedLoss(("labels", "logits"), "logits", "softmax")
    yield "tensorflow.losses.sigmoid_cross_entropy", FlaggedLoss(("multi_class_labels", "logits"), "logits", "sigmoid")


SOFTMAXES: frozenset[str] = frozenset({f"{package}.softmax" for package in _PACKAGES}) | {"keras.layers.Softmax.__call__"}
"""Softmax, by every name under which Keras and TensorFlow have it."""

ENDING: frozenset[str] = (
    frozenset(
        f"keras.layers.{name}.__call__"
        for names, effect in LAYERS.items()
        if isinstance(effect, Activates)
        for name in names.split()
    )
    | SOFTMAXES
)
"""Calls that may apply a softmax."""

PREDICTS: frozenset[str] = frozenset({"predict", "predict_on_batch", "predict_proba", "predict_generator"})
"""Methods of a model that give what a call of it gives, as arrays."""

LOSSES: Mapping[str, FlaggedLoss] = dict(_losses())
"""Losses that take logits or probabilities, by the qualified names of their calls."""

_COMPILE = Special("compiled", ("model", "optimizer", "loss"))

_DENSE = ("input", "units", "activation")

ROWS: dict[str, Effect] = {
    **{f"{package}.{name}": effect for package in _PACKAGES for name, effect in BY_NAME.items()},
    **{f"keras.layers.{name}.__call__": effect for names, effect in LAYERS.items() for name in names.split()},
    **WRAPPERS,
    **LOSSES,
    "tensorflow.layers.dense": Activates("a dense layer", params=_DENSE, out="units"),
    "keras.Sequential.add": Special("added"),
    "keras.Model.compile": _COMPILE,
    "keras.Sequential.compile": _COMPILE,
    "keras.Model.__call__": Special("functional"),
}
