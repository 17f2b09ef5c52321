"""Sizes of pictures after transforms: what `operations.pictures` says is what torchvision gives."""

from __future__ import annotations

import importlib
import inspect
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mldbg.operations.pictures import _CHANGES, IN_MEMORY, PARAMETERS, PICTURES, Picture, Setting, change_of
from mldbg.operations.sizes import ANY

# torchvision's wheel is built for CUDA: beside a CPU build of torch its operators are not loaded, and what it registers for them
# fails. The transforms need none of them.
sys.modules.setdefault("torchvision._meta_registrations", ModuleType("torchvision._meta_registrations"))

SIDES = st.integers(4, 20)
SIZES = st.one_of(SIDES, st.tuples(SIDES, SIDES))
DRAWN: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "Resize": {"size": SIZES},
    "CenterCrop": {"size": SIZES},
    "RandomResizedCrop": {"size": SIZES},
    "RandomCrop": {"size": st.integers(2, 4), "padding": st.integers(0, 3)},
    "Pad": {"padding": st.one_of(st.integers(0, 3), st.tuples(*[st.integers(0, 3)] * 2), st.tuples(*[st.integers(0, 3)] * 4))},
    "Grayscale": {"num_output_channels": st.sampled_from([1, 3])},
    "RandomRotation": {"expand": st.booleans()},
}
"""What the parameters are drawn from that the sizes depend on."""
NEEDED: dict[str, dict[str, Any]] = {
    "Normalize": {"mean": (0.5,), "std": (0.5,)},
    "RandomRotation": {"degrees": 30},
    "RandomAffine": {"degrees": 30},
    "RandomPosterize": {"bits": 4},
    "RandomSolarize": {"threshold": 100},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "GaussianBlur": {"kernel_size": 3},
    "ConvertImageDtype": {"dtype": torch.float32},
    "ToDtype": {"dtype": torch.float32},
}
"""Other parameters without which there is no such transform."""
ON_TENSORS = frozenset(
    {"Normalize", "RandomErasing", "ConvertImageDtype", "ToDtype", "ToPILImage", "GaussianNoise", "RandomChannelPermutation"}
)
"""Transforms that take tensors only."""


def of(package: str, name: str) -> Any:
    return getattr(importlib.import_module(package), name, None)


@pytest.mark.filterwarnings("ignore:The transform:UserWarning")  # `v2.ToTensor` is deprecated, and still in use
@settings(deadline=None)
@given(st.data(), SIDES, SIDES, st.sampled_from(sorted(_CHANGES)), st.sampled_from(["transforms", "transforms.v2"]))
def test_sizes_are_those_of_torchvision(data: st.DataObject, height: int, width: int, name: str, where: str) -> None:
    package = f"torchvision.{where}"
    cls = of(package, name)
    if cls is None:
        return
    drawn: dict[str, Setting] = {key: data.draw(drawing) for key, drawing in DRAWN.get(name, {}).items()}
    real = cls(**drawn, **NEEDED.get(name, {}))
    before, picture = Picture(3, height, width), Image.new("RGB", (width, height))
    given_to: Any = picture
    if name in ON_TENSORS:
        given_to, before = torch.rand(3, height, width), Picture(3, height, width, "float32")
    made = real(given_to)
    change = change_of(f"{package}.{name}")
    assert change is not None
    after = change(before, drawn)
    if after.dtype is None:
        found = (len(made.getbands()), made.height, made.width)
    else:
        found = tuple(made.shape)
        assert str(made.dtype) == f"torch.{after.dtype}"
    said = (after.channels, after.height, after.width)
    assert all(one is ANY or one == other for one, other in zip(said, found, strict=True)), (name, drawn, said, found)


def test_every_change_is_one_of_torchvision() -> None:
    known = {name for name in _CHANGES if of("torchvision.transforms", name) or of("torchvision.transforms.v2", name)}
    assert known == set(_CHANGES)
    assert of("torchvision.transforms", "Resize") is not None


def test_sizes_are_known_where_they_can_be() -> None:
    square, wide = Picture(3, 32, 32), Picture(3, 30, 40)
    resize = change_of("torchvision.transforms.Resize")
    assert resize is not None
    assert resize(square, {"size": 8}) == Picture(3, 8, 8)
    assert resize(wide, {"size": 8}) == Picture(3, ANY, ANY)
    assert resize(wide, {"size": (8, 9)}) == Picture(3, 8, 9)
    assert change_of("torchvision.transforms.FiveCrop") is None
    assert change_of("elsewhere.Resize") is None


def test_data_sets_are_those_of_torchvision() -> None:
    for name in (*PICTURES, *IN_MEMORY):
        package, _, short = name.rpartition(".")
        assert isinstance(of(package, short), type), name
    for name, parameters in PARAMETERS.items():
        package, _, short = name.rpartition(".")
        if package in ("torchvision.datasets", "torchvision.transforms"):
            in_order = tuple(inspect.signature(of(package, short)).parameters)
            assert in_order[: len(parameters)] == parameters, name
