"""Families of types: what lint reads from annotations, against what jaxtyping and `mldbg.contracts` check at run time."""

from __future__ import annotations

import jaxtyping
import pytest

from mldbg.contracts import meanings
from mldbg.operations.families import FAMILIES, MEANINGS

KNOWN = FAMILIES["Shaped"]


@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"Shaped", "RealOrBool"}))
def test_a_family_allows_the_types_that_jaxtyping_allows(name: str) -> None:
    assert FAMILIES[name] == KNOWN.intersection(getattr(jaxtyping, name).dtypes)


def test_both_layers_have_the_same_meanings() -> None:
    aliases = {name: alias for name, alias in vars(meanings).items() if meanings.is_alias(alias)}
    assert MEANINGS.keys() == aliases.keys()
    for name, (family, semantic) in MEANINGS.items():
        assert semantic is aliases[name].semantic
        assert FAMILIES[family] == KNOWN.intersection(aliases[name].base.dtypes)
