"""What is said of a call of which less is known has to be true, too: no alarm where the call works, and no wrong size."""

from __future__ import annotations

import os
from random import Random

import cases_layers
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Case, Drawn, Raised, bound, really

from mldbg.operations import dtypes
from mldbg.operations.shape import UNKNOWN, Each, Given, Mismatch, Rest, Shape, Tensor, Unsure
from mldbg.operations.sizes import ANY
from mldbg.operations.transfers.tables import ROWS

CASES = {name: case for case in cases_layers.CASES for name in case.names}
EXAMPLES = int(os.environ.get("SHAPE_EXAMPLES", "25"))


def weaker_shape(shape: Shape, random: Random) -> Shape | None:
    """A shape that fits this one, of which less is known."""
    dims = tuple(dim if random.random() < 0.7 else ANY for dim in shape.front)
    start, end = sorted(random.randint(0, len(dims)) for _ in range(2))
    return random.choice([shape, Shape(dims), Shape(dims[:start], Rest(), dims[end:]), None])


def weaker(value: object, random: Random) -> object:
    """An argument of which less is known."""
    if random.random() < 0.1:
        return UNKNOWN
    if isinstance(value, Tensor) and value.shape is not None:
        return Tensor(weaker_shape(value.shape, random), random.choice([value.dtype, value.dtype, None]))
    if isinstance(value, tuple):
        return tuple(weaker(each, random) for each in value)
    return value


def contradiction(real: object, said: object) -> str | None:
    """What is said of a result and is not so."""
    if isinstance(said, tuple):
        if not isinstance(real, tuple | list) or len(real) != len(said):
            return f"{len(said)} results instead of {real!r}"
        return next((text for pair in zip(real, said, strict=True) if (text := contradiction(*pair))), None)
    if isinstance(said, Each):
        return next((text for each in real if (text := contradiction(each, said.tensor))), None)  # type: ignore[attr-defined]
    if isinstance(said, Tensor):
        return _of_tensor(real, said)
    return f"{said} instead of {real}" if isinstance(said, int) and said != real else None


def _of_tensor(real: object, said: Tensor) -> str | None:
    if not isinstance(real, torch.Tensor | np.ndarray):
        return f"a tensor instead of {real!r}"
    dtype, sizes = str(real.dtype).removeprefix("torch."), tuple(real.shape)
    if said.dtype is not None and said.dtype not in (dtype, dtypes.kind(dtype)):
        return f"{said.dtype} instead of {dtype}"
    if said.shape is None:
        return None
    front, back = said.shape.front, said.shape.back
    fits = len(sizes) >= len(front) + len(back) if said.shape.rest is not None else len(sizes) == len(front)
    known = [*zip(sizes, front, strict=False), *zip(sizes[len(sizes) - len(back) :], back, strict=False)]
    if not fits or any(isinstance(there, int) and there != size for size, there in known):
        return f"{said.shape} instead of {sizes}"
    return None


def untrue(name: str, drawn: Drawn, case: Case, less: Given) -> str | None:
    """What is wrong in the answer to a call of which only this much is known."""
    try:
        said = ROWS[name].compute(less)
    except Unsure:
        return None
    except Mismatch as mismatch:
        return None if isinstance(really(name, drawn, case.real), Raised) else f"raises: {mismatch.reason}"
    real = really(name, drawn, case.real)
    return None if isinstance(real, Raised) else contradiction(real, said)


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_is_said_with_less_knowledge_is_true(name: str) -> None:
    case: Case = CASES[name]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 25)
    @given(drawn=case.calls, random=st.randoms(use_true_random=False))
    def holds(drawn: Drawn, random: Random) -> None:
        given_there = bound(name, drawn)
        less = Given({key: weaker(value, random) for key, value in given_there.values.items()})
        assert untrue(name, drawn, case, less) is None, str(less.values)

    holds()


def test_a_contradiction_is_noticed() -> None:
    assert contradiction(torch.empty(2, 3), Tensor(Shape((2,), Rest(), (3,)), "float")) is None
    assert contradiction(torch.empty(2, 3), Tensor(Shape((ANY, 4)))) == "(?, 4) instead of (2, 3)"
    assert contradiction(torch.empty(2), Tensor(Shape((2,), Rest(), (2,)))) == "(2, ..., 2) instead of (2,)"
    assert contradiction(torch.empty(2), Tensor(None, "int64")) == "int64 instead of float32"
