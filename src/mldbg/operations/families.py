"""The names of array annotations: jaxtyping's families of types, and the meanings of `mldbg.contracts`."""

from __future__ import annotations

from mldbg.operations.dtypes import COMPLEX, FLOATS, INTEGERS
from mldbg.semantics import Semantic

_SIGNED = tuple(name for name in INTEGERS if name.startswith("int"))
_UNSIGNED = tuple(name for name in INTEGERS if name.startswith("uint"))


_COMPLEX = tuple(name for name in COMPLEX if name != "complex32")  # jaxtyping's families leave torch's half-size one out


def _capital(name: str) -> str:
    """The family of one type: `Float32`, `UInt8`, `BFloat16`, `Float8e4m3fn`."""
    name = name.replace("_", "")
    return name[:2].upper() + name[2:] if name.startswith(("ui", "bf")) else name.capitalize()


FAMILIES: dict[str, frozenset[str]] = {
    "Float": frozenset(FLOATS),
    "Int": frozenset(_SIGNED),
    "UInt": frozenset(_UNSIGNED),
    "Integer": frozenset(INTEGERS),
    "Bool": frozenset({"bool"}),
    "Complex": frozenset(_COMPLEX),
    "Inexact": frozenset((*FLOATS, *_COMPLEX)),
    "Real": frozenset((*FLOATS, *INTEGERS)),
    "RealOrBool": frozenset((*FLOATS, *INTEGERS, "bool")),
    "Num": frozenset((*FLOATS, *INTEGERS, *_COMPLEX)),
    "Shaped": frozenset((*FLOATS, *INTEGERS, *COMPLEX, "bool")),
    **{_capital(name): frozenset({name}) for name in (*FLOATS, *INTEGERS, *_COMPLEX)},
}
"""Which types of elements an annotation allows. Source: jaxtyping's documentation, "Array annotations".

`RealOrBool` is none of jaxtyping's: it is what `OneHot`, `KeepMask` and `DropMask` of `mldbg.contracts` allow."""

MEANINGS: dict[str, tuple[str, Semantic]] = {
    "Logits": ("Float", Semantic.LOGITS),
    "Probs": ("Float", Semantic.PROBS),
    "LogProbs": ("Float", Semantic.LOG_PROBS),
    "UnitInterval": ("Float", Semantic.UNIT_INTERVAL),
    "NonNegative": ("Float", Semantic.NON_NEGATIVE),
    "ScalarLoss": ("Float", Semantic.SCALAR_LOSS),
    "ClassIds": ("Integer", Semantic.CLASS_IDS),
    "TokenIds": ("Integer", Semantic.TOKEN_IDS),
    "OneHot": ("RealOrBool", Semantic.ONE_HOT),
    "BoolMask": ("Bool", Semantic.BOOL_MASK),
    "KeepMask": ("RealOrBool", Semantic.KEEP_MASK),
    "DropMask": ("RealOrBool", Semantic.DROP_MASK),
    "AdditiveMask": ("Float", Semantic.ADDITIVE_MASK),
    "UnitNorm": ("Float", Semantic.UNIT_NORM),
    "Finite": ("Float", Semantic.FINITE),
    "Scaled": ("Float", Semantic.SCALED),
}
"""The annotations of `mldbg.contracts`: the family of each, and what its numbers mean."""
