"""Where `sanitize` believes an axis to be after an operation, against what torch does to the values."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mldbg.contracts.sanitize import axes

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4)


def marked(shape: list[int], axis: int) -> Tensor:
    """A tensor whose values say where they lie along one axis."""
    return torch.arange(shape[axis]).view([-1 if dim == axis else 1 for dim in range(len(shape))]).expand(shape).clone()


def lies_along(tensor: Tensor, axis: int) -> bool:
    """Whether the values still count from 0 along this axis and do not depend on any other."""
    return torch.equal(tensor, marked(list(tensor.shape), axis))


@st.composite
def places(draw: st.DrawFn) -> tuple[list[int], int]:
    shape = draw(SHAPES)
    return shape, draw(st.integers(0, len(shape) - 1))


@settings(deadline=None)
@given(places(), st.data())
def test_permute(place: tuple[list[int], int], data: st.DataObject) -> None:
    shape, axis = place
    order = data.draw(st.permutations(range(len(shape))))
    result = axes.permuted(axis, len(shape), [dim - data.draw(st.sampled_from([0, len(shape)])) for dim in order])
    assert result is not None
    assert lies_along(marked(shape, axis).permute(order), result)


@settings(deadline=None)
@given(places(), st.data())
def test_transpose_and_movedim(place: tuple[list[int], int], data: st.DataObject) -> None:
    shape, axis = place
    rank = len(shape)
    first, second = (data.draw(st.integers(-rank, rank - 1)) for _ in range(2))
    assert lies_along(marked(shape, axis).transpose(first, second), axes.swapped(axis, rank, first, second))
    assert lies_along(marked(shape, axis).movedim(first, second), axes.moved(axis, rank, [first], [second]))


@settings(deadline=None)
@given(places(), st.data())
def test_squeeze_and_unsqueeze(place: tuple[list[int], int], data: st.DataObject) -> None:
    shape, axis = place
    rank = len(shape)
    dim = data.draw(st.integers(-rank - 1, rank))
    assert lies_along(marked(shape, axis).unsqueeze(dim), axes.unsqueezed(axis, rank, dim))
    for dims in (None, [data.draw(st.integers(-rank, rank - 1))]):
        result = axes.squeezed(axis, shape, dims)
        squeezed = marked(shape, axis).squeeze() if dims is None else marked(shape, axis).squeeze(dims)
        assert (shape[axis] == 1) if result is None else lies_along(squeezed, result)


@settings(deadline=None)
@given(places(), st.data())
def test_reshape(place: tuple[list[int], int], data: st.DataObject) -> None:
    shape, axis = place
    rest, new = prod(shape), list[int]()
    while rest > 1 and len(new) < 4:
        new.append(data.draw(st.sampled_from([size for size in range(1, rest + 1) if rest % size == 0])))
        rest //= new[-1]
    new.append(rest)
    result = axes.reshaped(axis, shape, new)
    assert result is None or lies_along(marked(shape, axis).reshape(new), result)


ITEMS = st.one_of(
    st.none(),
    st.just(...),
    st.integers(0, 0),
    st.builds(slice, st.none() | st.integers(0, 1), st.none() | st.integers(2, 4), st.none() | st.just(2)),
    st.just([0, 0]),
    st.just(torch.tensor([[0], [0]])),
)


@settings(deadline=None, max_examples=400)
@given(places(), st.lists(ITEMS, max_size=4), st.booleans())
def test_index(place: tuple[list[int], int], items: list[Any], mask: bool) -> None:
    shape, axis = place
    ellipses = [item for item in items if item is Ellipsis]
    consumed = sum(item is not None and item is not Ellipsis for item in items)
    if len(ellipses) > 1 or consumed > len(shape):
        return
    index = (torch.arange(shape[0]) == 0, *items[1:]) if mask and items and isinstance(items[0], int) else tuple(items)
    tensor = marked(shape, axis)
    result = tensor[index]
    found = axes.indexed(axis, shape, result.dim(), index)
    if found.whole and found.axis is not None:
        assert lies_along(result, found.axis)


@pytest.mark.parametrize(
    ("index", "axis", "whole"),
    [
        ((slice(None), 0), 1, True),
        ((..., slice(None, 2)), None, False),
        ((torch.ones(2, 3, dtype=torch.bool),), 1, True),
        ((torch.tensor([0, 1]), torch.tensor([0, 2])), 1, True),
        ((0, torch.tensor([0, 2]), None), 2, True),
        ((slice(None), slice(None), 1), None, False),
    ],
)
def test_index_of_batch_time_classes(index: tuple[Any, ...], axis: int | None, whole: bool) -> None:
    result = torch.zeros(2, 3, 4)[index]
    assert axes.indexed(2, (2, 3, 4), result.dim(), index) == (axis, whole)


@pytest.mark.parametrize(
    ("shape", "new", "axis"),
    [
        ((2, 7, 5), (14, 5), 1),
        ((2, 7, 5), (2, 35), None),
        ((2, 5, 3, 3), (2, 5, 9), 1),
        ((2, 1), (2, 1, 1), None),
        ((2, 1), (2, 1), 1),
    ],
)
def test_reshape_keeps_what_can_be_kept(shape: tuple[int, ...], new: tuple[int, ...], axis: int | None) -> None:
    assert axes.reshaped(1 if len(shape) != 3 else 2, shape, new) == axis
