"""Where `sanitize` believes an axis to be after an operation, against what torch does to the values.

The tensor that an operation gets says in each place where that lies along one axis. So the result says where the axis is now.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mldbg.contracts.sanitize import RULES, axes
from mldbg.contracts.sanitize.site import users_site
from mldbg.contracts.sanitize.surroundings import followed
from mldbg.contracts.sanitize.tags import Tag
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations import axis, effect, shape
from mldbg.operations.effect import Choice, Joins, Moves, Reduces, Selects, Stacks
from mldbg.operations.shape import Transfer
from mldbg.operations.torch import ROWS
from mldbg.operations.transfers.tensors import ROWS as TRANSFERS
from mldbg.semantics import Semantic
from shapes import cases_tensors
from shapes.oracle import Drawn, T

CASES = {name: case for case in cases_tensors.CASES for name in case.names}
_MOVING = (Choice.INDEX, Choice.CUT, Choice.PARTS, Choice.ENTRY, Choice.ENTRIES)


def moves_axes(name: str, row: effect.Effect) -> bool:
    """Whether an operation of the tables gives a tensor, or each of several, in which axes stand elsewhere."""
    kind = isinstance(row, Moves | Reduces | Joins | Stacks) or (isinstance(row, Selects) and row.what in _MOVING)
    return kind and name.rpartition(".")[0] in ("torch", "torch.Tensor")


NAMES = sorted(name for name, row in ROWS.items() if moves_axes(name, row))


def test_every_operation_that_moves_axes_has_a_transfer_function() -> None:
    assert set(NAMES) <= TRANSFERS.keys() & CASES.keys()
    assert len(NAMES) > 70


# --- tensors that say where their values lie ---


def marked(sizes: tuple[int, ...], place: int) -> Tensor:
    """A tensor whose values say where they lie along one axis."""
    return torch.arange(1.0, 1 + sizes[place]).view([-1 if at == place else 1 for at in range(len(sizes))]).expand(sizes).clone()


def lies_along(tensor: Tensor, place: int, size: int) -> bool:
    """Whether the values still count along this axis, up to a factor, and depend on no other."""
    if tensor.shape[place] != size:
        return False
    counted = marked(tuple(tensor.shape), place)
    return torch.equal(tensor, counted * tensor.flatten()[0])


def made(value: object) -> object:
    """Another argument: the first place everywhere, and masks that are true in the first place alone."""
    if isinstance(value, T):
        tensor = torch.zeros(value.sizes, dtype=getattr(torch, value.dtype))
        if value.dtype == "bool" and tensor.numel():
            tensor.view(-1)[0] = True
        return tensor
    return type(value)(map(made, value)) if isinstance(value, tuple | list) else value


def run(name: str, first: object, others: list[object], kwargs: dict[str, object]) -> Any:
    """What torch gives; None where it takes no such call."""
    package, _, last = name.rpartition(".")
    function: Any = getattr(torch if package == "torch" else Tensor, last)
    try:
        return function(first, *others, **kwargs) if callable(function) else function.__get__(first)
    except (RuntimeError, ValueError, LookupError, TypeError):
        return None


def followed_through(name: str, drawn: Drawn, place: int) -> list[tuple[Tag | None, Tensor]]:
    """What a call gives where the tensors that it takes first say where they lie along an axis, with what `sanitize` says of it.

    Empty where there is no such axis, or torch takes no such call.
    """
    first, *others = drawn.args
    several = [each for each in (first if isinstance(first, tuple | list) else [first]) if isinstance(each, T)]
    if not several or any(place >= len(each.sizes) or 0 in each.sizes for each in several):
        return []
    sources = [marked(each.sizes, place) for each in several]
    watch = Watch(collect=True, silent=RULES)
    for source in sources:
        watch.tags.put(source, Tag(Semantic.PROBS, place, users_site(1)))
    kwargs = {key: made(value) for key, value in drawn.kwargs.items() if key != "dtype"}
    with followed(watch), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = run(name, sources if isinstance(first, tuple | list) else sources[0], list(map(made, others)), kwargs)
    results = result if isinstance(result, tuple | list) else [result]
    return [(watch.tags.of(each), each) for each in results if isinstance(each, Tensor) and each.numel()]


def fault(name: str, drawn: Drawn, place: int) -> str | None:
    """What `sanitize` gets wrong about the place of an axis; None where nothing is."""
    first = drawn.args[0]
    size = (first[0] if isinstance(first, tuple | list) else first).sizes[place]  # type: ignore[union-attr]
    for tag, result in followed_through(name, drawn, place):
        said = tag.axis if tag is not None else None
        if said is not None and not (said < result.dim() and lies_along(result, said, size)):
            return f"axis {place} is said to be at {said}, and is not"
        there = [at for at in range(result.dim()) if lies_along(result, at, size)]
        if said is None and there and size > 1 and not _picks_from_list(drawn):
            return f"axis {place} is said to be lost, and is at {there[0]}"
    return None


def _picks_from_list(drawn: Drawn) -> bool:
    """Whether a list of places may be that of all entries in their order, which nobody asks."""
    return any(isinstance(item, list) for value in drawn.args[1:] if isinstance(value, tuple) for item in value)


def rank_of(drawn: Drawn) -> int:
    first = drawn.args[0] if drawn.args else None
    several = first if isinstance(first, tuple | list) else [first]
    return min((len(each.sizes) for each in several if isinstance(each, T)), default=0)


def check(name: str, *, examples: int = 30) -> None:
    """Draws calls of an operation and axes of what it gets, and compares."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
    @given(drawn=CASES[name].calls, data=st.data())
    def holds(drawn: Drawn, data: st.DataObject) -> None:
        assume(rank_of(drawn))
        assert fault(name, drawn, data.draw(st.integers(0, rank_of(drawn) - 1))) is None

    holds()


@pytest.mark.parametrize("name", NAMES)
def test_the_axis_is_where_it_is_said_to_be(name: str) -> None:
    check(name)


def other_way_round(transfer: Transfer) -> Transfer:
    """A transfer function that takes the axes of what it gives in the wrong order."""

    def compute(given: shape.Given) -> shape.Result:
        result = transfer.compute(given)
        several = result if isinstance(result, tuple) else (result,)
        turned = tuple(
            replace(each, shape=shape.of(*reversed(each.shape.dims))) if isinstance(each, shape.Tensor) and each.shape else each
            for each in several
        )
        return turned if isinstance(result, tuple) else turned[0]

    return replace(transfer, compute=compute)


@pytest.mark.parametrize("name", ["torch.permute", "torch.Tensor.__getitem__", "torch.cat", "torch.Tensor.mean", "torch.unbind"])
def test_a_wrong_transfer_function_is_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TRANSFERS, name, other_way_round(TRANSFERS[name]))
    axes._place.cache_clear()
    try:
        with pytest.raises(AssertionError):
            check(name, examples=100)
    finally:
        axes._place.cache_clear()


# --- single calls ---


def place_of(program: Callable[[Tensor], Tensor], sizes: tuple[int, ...], at: int) -> int | None:
    """Where `sanitize` says that an axis is at the end of a program."""
    watch = Watch(collect=True, silent=RULES)
    source = marked(sizes, at)
    watch.tags.put(source, Tag(Semantic.PROBS, at, users_site(1)))
    with followed(watch):
        tag = watch.tags.of(program(source))
    return tag.axis if tag is not None else None


@pytest.mark.parametrize(
    ("program", "place"),
    [
        (lambda x: x[:, 0], 1),
        (lambda x: x[..., :2], None),
        (lambda x: x[..., :9], 2),
        (lambda x: x[torch.ones(2, 3, dtype=torch.bool)], 1),
        (lambda x: x[torch.tensor([0, 1]), torch.tensor([0, 2])], 1),
        (lambda x: x[torch.tensor([0, 1]), :, :][:, [[0], [1]]], 3),
        (lambda x: x[True], 3),
        (lambda x: x[[True, False]], 2),
        (lambda x: x[[1, 0]], 2),
        (lambda x: x[0, torch.tensor([0, 2]), None], 2),
        (lambda x: x[:, :, 1], None),
        (lambda x: x.index_select(2, torch.tensor([0, 0, 1, 1])), None),
        (lambda x: x.index_select(1, torch.tensor([0, 0, 1, 1])), 2),
        (lambda x: x.narrow(2, 0, 4), 2),
        (lambda x: x.split(9, dim=-1)[0], 2),
        (lambda x: x.sum(axis=1), 1),
        (lambda x: x.mean(dim=()), None),
        (lambda x: torch.movedim(input=x, source=(0, 2), destination=(2, 0)), 0),
        (lambda x: torch.vstack([x[0], x[1]]), 1),
        (lambda x: x.reshape(6, 4), 1),
        (lambda x: x.reshape(2, 12), None),
        (lambda x: x.reshape(3, 2, 4).unflatten(2, (4, 1)), 2),
    ],
)
def test_classes_behind_batch_and_time(program: Callable[[Tensor], Tensor], place: int | None) -> None:
    assert place_of(program, (2, 3, 4), 2) == place


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ((2, 7, 5), (14, 5), 1),
        ((2, 7, 5), (2, 35), None),
        ((2, 5, 3, 3), (2, 5, 9), 1),
        ((2, 1), (2, 1, 1), None),
        ((2, 1), (2, 1), 1),
    ],
)
def test_reshape_keeps_what_can_be_kept(old: tuple[int, ...], new: tuple[int, ...], place: int | None) -> None:
    assert axis.regrouped(1 if len(old) != 3 else 2, old, new) == place


def test_a_mark_of_size_1_goes_with_its_axis() -> None:
    assert place_of(lambda x: x.squeeze(), (2, 1, 3), 1) is None
    assert place_of(lambda x: x.squeeze(), (1, 3), 1) == 0
    assert place_of(lambda x: x.transpose(0, 1), (1, 1, 3), 1) == 0
    assert place_of(lambda x: x.expand(2, 3), (2, 1), 1) is None
