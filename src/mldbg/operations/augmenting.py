"""Transforms that change pictures at random: which ones do, and where compositions hold others."""

from __future__ import annotations

import re
from collections.abc import Mapping

_VISION = re.compile(r"^(?:torchvision\.transforms(?:\.v2|\.transforms)?|kornia\.augmentation)\.(\w+)$")
_OF_VISION = frozenset(
    [
        *("ColorJitter", "AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix", "ElasticTransform", "ScaleJitter"),
        *("CutMix", "MixUp", "GaussianNoise", "JPEG"),
    ]
)
_ALBUMENTATIONS = re.compile(r"^albumentations(?:\.\w+)*\.(\w+)$")
_OF_ALBUMENTATIONS = frozenset(
    [
        *(
            "HorizontalFlip",
            "VerticalFlip",
            "Flip",
            "Transpose",
            "Rotate",
            "ShiftScaleRotate",
            "Affine",
            "SafeRotate",
            "Perspective",
        ),
        *("ColorJitter", "HueSaturationValue", "RGBShift", "ChannelShuffle", "CoarseDropout", "Cutout", "GridDropout", "D4"),
        "Perspective",
        *("GaussNoise", "GaussianBlur", "MotionBlur", "Blur", "ElasticTransform", "GridDistortion", "OpticalDistortion", "CLAHE"),
    ]
)

COMPOSITIONS: Mapping[str, str] = dict.fromkeys(
    [
        *("torchvision.transforms.Compose", "torchvision.transforms.v2.Compose"),
        *("albumentations.Compose", "albumentations.Sequential"),
        *("albumentations.core.composition.Compose", "albumentations.core.composition.Sequential"),
    ],
    "transforms",
)
"""Classes whose objects apply several transforms, and the parameter that holds these."""

GIVEN_AS = ("transform", "transforms", "augment", "augmentation", "augmentations", "aug", "tfm", "tfms")
"""Parameters and attributes of data sets under which they hold their transforms."""

KERAS_GENERATOR = "ImageDataGenerator"
KERAS_RANDOM = frozenset(
    [
        *("rotation_range", "width_shift_range", "height_shift_range", "brightness_range", "shear_range", "zoom_range"),
        *("channel_shift_range", "horizontal_flip", "vertical_flip"),
    ]
)
"""Settings with which a Keras generator changes pictures at random."""

KERAS_FLOWS = frozenset({"flow", "flow_from_directory", "flow_from_dataframe"})
"""Methods of it that give out pictures."""


_COMPOSED = frozenset({"RandomApply", "RandomOrder", "RandomChoice"})


def changes_at_random(cls: str) -> bool:
    """Whether objects of a class change a picture at random, unless their probability says otherwise."""
    vision, other = _VISION.match(cls), _ALBUMENTATIONS.match(cls)
    if vision is not None:
        return vision[1] in _OF_VISION or (vision[1].startswith("Random") and vision[1] not in _COMPOSED)
    return other is not None and (other[1].startswith("Random") or other[1] in _OF_ALBUMENTATIONS)
