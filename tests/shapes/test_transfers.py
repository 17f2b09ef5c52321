"""Every transfer function against the library itself: same shapes, same types, and the same calls that raise.

With names in the place of sizes, and with less known, what is said has to be true of the library's result.
"""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mldbg.operations.shape import Mismatch, Unsure, in_place
from mldbg.operations.transfers import array_random, arrays
from mldbg.operations.transfers.tables import ROWS
from shapes import (
    cases_array_algebra,
    cases_arrays,
    cases_distributions,
    cases_einops,
    cases_layers,
    cases_samples,
    cases_spectra,
    cases_tensors,
)
from shapes.oracle import (
    Case,
    Drawn,
    Raised,
    T,
    bound,
    compared,
    difference,
    made,
    really,
    symbolic_difference,
    uncertain_difference,
)

MODULES = (
    cases_tensors,
    cases_layers,
    cases_arrays,
    cases_einops,
    cases_samples,
    cases_array_algebra,
    cases_distributions,
    cases_spectra,
)
CASES = {name: case for module in MODULES for case in module.CASES for name in case.names}
EXAMPLES = int(os.environ.get("SHAPE_EXAMPLES", "10"))


def test_every_row_has_an_oracle() -> None:
    assert ROWS.keys() == CASES.keys()


def test_there_are_as_many_rows_as_the_readme_says() -> None:
    assert len(ROWS) > 1300


@pytest.fixture(autouse=True)
def _checked_arguments() -> None:
    """torch.compile switches off, for good, the checks that distributions make of their arguments."""
    torch.distributions.Distribution.set_default_validate_args(True)


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_says_what_the_library_does(name: str) -> None:
    case: Case = CASES[name]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 25)
    @given(drawn=st.shared(case.calls, key=name))
    def holds(drawn: Drawn) -> None:
        assert difference(name, drawn, case) is None
        assert symbolic_difference(name, drawn, case) is None
        assert uncertain_difference(name, drawn, case) is None

    holds()


_OF_COMPLEX = [
    "abs",
    "absolute",
    "angle",
    "std",
    "var",
    "norm",
    "real",
    "imag",
    "conj",
    "exp",
    "log",
    "sqrt",
    "sum",
    "mean",
    "cumsum",
    "clone",
    "float",
    "double",
    "to",
    "type_as",
    "isnan",
    "neg",
    "square",
    "reciprocal",
    "sigmoid",
    "tanh",
    "__abs__",
    "T",
    "mT",
    "view_as_real",
]


@pytest.mark.parametrize("name", [f"torch.Tensor.{name}" for name in _OF_COMPLEX if f"torch.Tensor.{name}" in ROWS])
@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_of_complex_numbers_it_says_what_the_library_does(name: str, dtype: str) -> None:
    case = replace(CASES[name], real="values")
    more = (T((2,), "float32"),) if name.endswith("type_as") else ("cpu",) if name.endswith(".to") else ()
    assert difference(name, Drawn((T((3, 4), dtype), *more)), case) is None


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "floor_divide", "remainder", "pow"])
def test_in_place_it_fails_where_the_library_does(name: str) -> None:
    case: Case = CASES[f"torch.Tensor.{name}"]

    @settings(max_examples=5 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 25)
    @given(drawn=st.shared(case.calls, key=name))
    def holds(drawn: Drawn) -> None:
        real = really(f"torch.Tensor.{name}_", drawn, "values")  # on the meta device, some change the size of a number
        try:
            said = in_place(ROWS[f"torch.Tensor.{name}"]).compute(bound(f"torch.Tensor.{name}", drawn))
        except Mismatch:
            said = None
        if isinstance(real, Raised):
            assert said is None or _holds_no_numbers(drawn)
        else:
            assert said is not None
            assert compared(real, said, case) is None

    holds()


def _holds_no_numbers(drawn: Drawn) -> bool:
    """Whether the first operand cannot hold a fraction or a number at all: of truth values nothing is said."""
    first = drawn.args[0]
    return isinstance(first, T) and first.dtype == "bool"


_SHARED = {"axis", "keepdims", "dtype", "ddof"}
"""Keywords that functions and methods call the same."""


def _is_method_call(drawn: Drawn) -> bool:
    return isinstance(drawn.args[0], T) and drawn.kwargs.keys() <= _SHARED


@pytest.mark.parametrize("name", sorted(arrays.METHODS))
def test_arrays_have_the_functions_as_methods(name: str) -> None:
    case = CASES[f"numpy.{name}"]

    @settings(max_examples=5 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 25)
    @given(
        drawn=st.shared(case.calls, key=name).filter(
            lambda drawn: isinstance(drawn.args[0], T) and drawn.kwargs.keys() <= _SHARED
        )
    )
    def holds(drawn: Drawn) -> None:
        assert difference(f"numpy.{name}", drawn, replace(case, called=f"numpy.ndarray.{name}")) is None

    holds()


@pytest.mark.parametrize(("method", "function"), sorted(array_random.METHODS.items()))
def test_generators_draw_what_the_functions_draw(method: str, function: str) -> None:
    case = CASES[function]

    @settings(max_examples=2 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 25)
    @given(drawn=st.shared(case.calls, key=method).filter(lambda drawn: "dtype" not in drawn.kwargs))
    def holds(drawn: Drawn) -> None:
        draw = getattr(np.random.default_rng(0), method)
        try:
            keywords = {key: made(each, case.real) for key, each in drawn.kwargs.items()}
            real = draw(*(made(each, case.real) for each in drawn.args), **keywords)
            said = ROWS[function].compute(bound(function, drawn))
        except (ValueError, TypeError, Mismatch, Unsure):
            return  # which calls raise is asked of the functions
        assert compared(real, said, case) is None

    holds()
