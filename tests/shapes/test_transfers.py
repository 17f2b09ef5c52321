"""Every transfer function against the library itself: same shapes, same types, and the same calls that raise."""

from __future__ import annotations

import os

import cases_arrays
import cases_einops
import cases_layers
import cases_samples
import cases_tensors
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Case, difference, symbolic_difference, uncertain_difference

from mldbg.operations.transfers.tables import ROWS

CASES = {
    name: case for module in (cases_tensors, cases_layers, cases_arrays, cases_einops, cases_samples) for case in module.CASES for name in case.names
}
EXAMPLES = int(os.environ.get("SHAPE_EXAMPLES", "25"))


def test_every_row_has_an_oracle() -> None:
    assert ROWS.keys() == CASES.keys()


@pytest.mark.parametrize("name", sorted(CASES))
def test_it_says_what_the_library_does(name: str) -> None:
    case: Case = CASES[name]

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=EXAMPLES <= 25)
    @given(drawn=st.shared(case.calls, key=name))
    def holds(drawn: object) -> None:
        assert difference(name, drawn, case) is None  # type: ignore[arg-type]
        assert symbolic_difference(name, drawn, case) is None  # type: ignore[arg-type]
        if case in (*cases_tensors.CASES, *cases_layers.CASES):
            assert uncertain_difference(name, drawn, case) is None  # type: ignore[arg-type]

    holds()
