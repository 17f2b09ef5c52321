"""Types of elements as numpy 2 promotes them: numbers of Python are weak, and wide integers make wide floats."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from mldbg.operations import dtypes

KIND_ORDER = ("bool", "int", "float", "complex")
OF_NUMBERS: dict[str, str] = {"bool": "bool", "int": "int64", "float": "float64", "complex": "complex128"}
"""The types that numbers of Python become where no array says otherwise."""

_ALIASES: dict[str, str] = {
    **OF_NUMBERS,
    "bool_": "bool",
    "half": "float16",
    "single": "float32",
    "double": "float64",
    "float_": "float64",
    "byte": "int8",
    "short": "int16",
    "intc": "int32",
    "int_": "int64",
    "intp": "int64",
    "long": "int64",
    "longlong": "int64",
    "ubyte": "uint8",
    "uint": "uint64",
}
_WHOLE = re.compile(r"(u?)int(\d+)")
_WIDTH = re.compile(r"\d+$")


@dataclass(frozen=True, slots=True)
class Weak:
    """The type of a number of Python: its kind, which gives way to the type of an array."""

    kind: str


Type = str | Weak | None


def named(name: str) -> str | None:
    """The type that numpy means by `numpy.float32`, `float` or `"int64"`; None where that is not known."""
    name = name.rpartition(".")[2]
    name = _ALIASES.get(name, name)
    return name if name in dtypes.KINDS and name not in ("float", "int", "complex") else None


def promoted(types: Iterable[Type]) -> str | None:
    """The type of arithmetic on arrays and numbers of these types."""
    types = tuple(types)
    strong = [each for each in types if not isinstance(each, Weak)]
    weak = [each.kind for each in types if isinstance(each, Weak)]
    highest = max(weak, key=KIND_ORDER.index, default="bool")
    if not strong:
        return OF_NUMBERS[highest]
    result = reduce(_promoted_two, strong)
    kind = dtypes.kind(result)
    if result is None or kind is None or KIND_ORDER.index(kind) >= KIND_ORDER.index(highest):
        return result
    if highest == "complex" and kind == "float":
        return {"float16": "complex64", "float32": "complex64", "float64": "complex128"}.get(result, "complex")
    return OF_NUMBERS[highest]


def _promoted_two(one: str | None, two: str | None) -> str | None:
    if one is None or two is None:
        return None
    if one == two or two == "bool":
        return one
    if one == "bool":
        return two
    kind = max(dtypes.KINDS[one], dtypes.KINDS[two], key=KIND_ORDER.index)
    widths = [_width_as(kind, each) for each in (one, two)]
    if None in widths:
        return None if kind == "int" else kind
    if kind == "int":
        return _promoted_integers(one, two)
    return f"{kind}{max(width for width in widths if width is not None)}"


def _width_as(kind: str, dtype: str) -> int | None:
    """How many bits a type needs where it becomes one of a kind; None where that is not known."""
    width = _WIDTH.search(dtype)
    if width is None or dtype == "bfloat16":
        return None
    bits = int(width[0])
    if kind != "int" and dtypes.kind(dtype) == "int":
        bits = min(bits * 2, 64)
    if kind == "complex" and dtypes.kind(dtype) != "complex":
        bits = max(bits * 2, 64)
    return bits


def _promoted_integers(one: str, two: str) -> str | None:
    (first_sign, first), (second_sign, second) = (_parts(each) for each in (one, two))
    if first_sign == second_sign:
        return one if first >= second else two
    signed, unsigned = (second, first) if first_sign else (first, second)
    if signed > unsigned:
        return f"int{signed}"
    return f"int{unsigned * 2}" if unsigned < 64 else "float64"


def _parts(dtype: str) -> tuple[str, int]:
    match = _WHOLE.fullmatch(dtype)
    assert match is not None
    return match[1], int(match[2])


def floating(dtype: str | None) -> str | None:
    """The type of a root or an exponential: integers become floats that are as wide as they need."""
    kind = dtypes.kind(dtype)
    if dtype is None or kind in ("float", "complex"):
        return dtype
    width = 16 if kind == "bool" else _width_as("float", dtype)
    return f"float{width}" if width is not None else "float"


def averaged(dtype: str | None) -> str | None:
    """The type of a mean or a quotient: integers become `float64`."""
    return "float64" if dtypes.kind(dtype) in ("int", "bool") else dtype


def counting(dtype: str | None) -> str | None:
    """The type of a sum: those of small integers do not overflow."""
    if dtypes.kind(dtype) not in ("int", "bool") or dtype is None:
        return dtype
    return "uint64" if dtype.startswith("u") else "int64"


def not_bool(dtype: str | None) -> str | None:
    """The type of a power: truth values become small integers."""
    return "int8" if dtype == "bool" else dtype
