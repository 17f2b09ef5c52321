"""Every transfer function against the library itself: same shapes, same types, and the same calls that raise.

With names in the place of sizes, and with less known, what is said has to be true of the library's result.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from shapes.oracle import Case, Drawn, difference, symbolic_difference, uncertain_difference

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
