"""torchvision's data sets, and what its transforms make of the size of a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mldbg.operations.sizes import ANY, Dim

DATASETS = "torchvision.datasets."
COMPOSE = frozenset({"torchvision.transforms.Compose", "torchvision.transforms.v2.Compose", "torch.nn.Sequential"})
_PACKAGES = ("torchvision.transforms.", "torchvision.transforms.v2.")
LAMBDA = frozenset(f"{package}Lambda" for package in _PACKAGES)

Setting = int | tuple[int, ...] | bool | None
"""What a parameter of a transform was given; None where that is not known, or it was not given."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a data set.

    Attributes:
        channels, height, width: its size in pixels.
        dtype: of its elements once it is a tensor; None as long as it is a picture of PIL.
    """

    channels: Dim
    height: Dim
    width: Dim
    dtype: str | None = None


PICTURES: Mapping[str, Picture] = {
    f"{DATASETS}{name}": picture
    for names, picture in (
        (("MNIST", "FashionMNIST", "KMNIST", "EMNIST", "QMNIST"), Picture(1, 28, 28)),
        (("CIFAR10", "CIFAR100", "SVHN"), Picture(3, 32, 32)),
        (("STL10",), Picture(3, 96, 96)),
        (("USPS",), Picture(1, 16, 16)),
        (("Omniglot",), Picture(1, 105, 105)),
        (("PCAM",), Picture(3, 96, 96)),
        (("EuroSAT",), Picture(3, 64, 64)),
        (("GTSRB", "ImageFolder", "ImageNet", "Food101", "Flowers102", "OxfordIIITPet", "StanfordCars"), Picture(3, ANY, ANY)),
        (("Caltech256", "FGVCAircraft", "DTD", "SUN397", "Country211", "Imagenette", "RenderedSST2"), Picture(3, ANY, ANY)),
    )
    for name in names
}
"""The pictures of data sets whose targets are class ids. Source: torchvision's documentation, and the papers that it names."""

IN_MEMORY: Mapping[str, Picture] = {
    f"{DATASETS}{name}": PICTURES[f"{DATASETS}{name}"]
    for name in ("MNIST", "FashionMNIST", "KMNIST", "QMNIST", "CIFAR10", "CIFAR100")
}
"""Data sets whose attribute `data` holds all pictures: a tensor without channels, or an array with channels last."""

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    **{
        f"{DATASETS}{name}": ("root", "train", "transform", "target_transform", "download")
        for name in ("MNIST", "FashionMNIST", "KMNIST", "CIFAR10", "CIFAR100", "USPS")
    },
    f"{DATASETS}SVHN": ("root", "split", "transform", "target_transform", "download"),
    f"{DATASETS}ImageFolder": ("root", "transform", "target_transform"),
    f"{DATASETS}EuroSAT": ("root", "transform", "target_transform", "download"),
    **{f"{package}Compose": ("transforms",) for package in _PACKAGES},
    **dict.fromkeys(LAMBDA, ("lambd",)),
    **{
        f"{package}{name}": parameters
        for package in _PACKAGES
        for name, parameters in {
            "Resize": ("size",),
            "CenterCrop": ("size",),
            "RandomCrop": ("size", "padding"),
            "RandomResizedCrop": ("size",),
            "Pad": ("padding",),
            "Grayscale": ("num_output_channels",),
        }.items()
    },
}
"""The parameters of constructors, in order."""


def _resized(picture: Picture, given: Mapping[str, Setting]) -> Picture:
    """`Resize`: an integer is the length of the shorter side."""
    size = given.get("size")
    if isinstance(size, int) and (picture.height != picture.width or picture.height is ANY):
        return replace(picture, height=ANY, width=ANY)
    return _cut(picture, given)


def _cut(picture: Picture, given: Mapping[str, Setting]) -> Picture:
    """Crops: an integer is the length of both sides."""
    size = given.get("size")
    sides = (size, size) if isinstance(size, int) else size if isinstance(size, tuple) else ()
    if len(sides) == 1:
        sides *= 2
    height, width = sides if len(sides) == 2 else (ANY, ANY)
    return replace(picture, height=height, width=width)


def _padded(picture: Picture, given: Mapping[str, Setting]) -> Picture:
    """`Pad`: (left, top, right, bottom), two numbers for both directions, or one for all sides."""
    padding = given.get("padding")
    sides = (padding,) if isinstance(padding, int) else padding if isinstance(padding, tuple) else ()
    if len(sides) not in (1, 2, 4):
        return replace(picture, height=ANY, width=ANY)
    left, top, right, bottom = sides * (4 // len(sides))
    return replace(picture, height=picture.height + (top + bottom), width=picture.width + (left + right))


def _gray(picture: Picture, given: Mapping[str, Setting]) -> Picture:
    channels = given.get("num_output_channels", 1)
    return replace(picture, channels=channels if isinstance(channels, int) else ANY)


def _turned(picture: Picture, given: Mapping[str, Setting]) -> Picture:
    """`RandomRotation`: the picture grows where it is told to."""
    return replace(picture, height=ANY, width=ANY) if given.get("expand") else picture


def _kept(picture: Picture, given: Mapping[str, Setting]) -> Picture:
    return picture


_CHANGES: Mapping[str, Callable[[Picture, Mapping[str, Setting]], Picture]] = {
    "Resize": _resized,
    **dict.fromkeys(("CenterCrop", "RandomCrop", "RandomResizedCrop"), _cut),
    "Pad": _padded,
    "Grayscale": _gray,
    "RandomRotation": _turned,
    "ToTensor": lambda picture, given: replace(picture, dtype="float32"),
    **dict.fromkeys(("PILToTensor", "ToImage"), lambda picture, given: replace(picture, dtype="uint8")),
    **dict.fromkeys(("ToDtype", "ConvertImageDtype"), lambda picture, given: replace(picture, dtype=picture.dtype and "float32")),
    "ToPILImage": lambda picture, given: replace(picture, dtype=None),
    **dict.fromkeys(
        (
            *("Normalize", "RandomHorizontalFlip", "RandomVerticalFlip", "ColorJitter", "RandomAffine", "RandomErasing"),
            *("RandomGrayscale", "RandomInvert", "RandomPosterize", "RandomSolarize", "RandomAdjustSharpness", "GaussianBlur"),
            *("RandomAutocontrast", "RandomEqualize", "AutoAugment", "RandAugment", "TrivialAugmentWide", "AugMix"),
            *("RandomPerspective", "GaussianNoise", "RandomChannelPermutation"),
        ),
        _kept,
    ),
}


def change_of(name: str) -> Callable[[Picture, Mapping[str, Setting]], Picture] | None:
    """What a transform, by its qualified name, does to the size of a picture; None where that is not known."""
    package, _, short = name.rpartition(".")
    return _CHANGES.get(short) if f"{package}." in _PACKAGES else None
