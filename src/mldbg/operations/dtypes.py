"""Types of tensors' elements, by torch's names.

A type is known exactly (`float32`), by its kind alone (`float`), or not at all (None).
"""

from __future__ import annotations

FLOATS = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex32", "complex64", "complex128")

KINDS: dict[str, str] = {
    **dict.fromkeys((*FLOATS, "float"), "float"),
    **dict.fromkeys((*INTEGERS, "int"), "int"),
    **dict.fromkeys((*COMPLEX, "complex"), "complex"),
    "bool": "bool",
}
"""The kind of each type, and of each kind itself."""

ALIASES: dict[str, str] = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "char": "int8",
    "byte": "uint8",
    "cfloat": "complex64",
    "cdouble": "complex128",
    "FloatTensor": "float32",
    "DoubleTensor": "float64",
    "HalfTensor": "float16",
    "LongTensor": "int64",
    "IntTensor": "int32",
    "ShortTensor": "int16",
    "ByteTensor": "uint8",
    "BoolTensor": "bool",
}
"""Torch's other names for types: `torch.long`, `x.half()`."""

_ORDER = ("bool", "int", "float", "complex")
_RANKED = ("uint8", "int8", "int16", "int32", "int64")
_FLOATS_RANKED = ("bfloat16", "float16", "float32", "float64")


def kind(dtype: str | None) -> str | None:
    """`float`, `int`, `bool` or `complex`; None where nothing is known."""
    return KINDS.get(dtype) if dtype is not None else None


def named(name: str) -> str | None:
    """The type that `torch.long`, `torch.float32` or `numpy.int64` means, by its last word; None where it means none."""
    name = ALIASES.get(name, name)
    return name if name in KINDS and name not in ("float", "int", "complex") else None


def magnitude(dtype: str | None) -> str | None:
    """The type of an absolute value."""
    return {"complex64": "float32", "complex128": "float64", "complex": "float"}.get(dtype or "", dtype)


def agree(one: str | None, two: str | None) -> bool | None:
    """Whether two types are the same one; None where that is not known."""
    if one is None or two is None:
        return None
    if kind(one) != kind(two):
        return False
    exact = one not in _ORDER[1:] and two not in _ORDER[1:]
    return one == two if exact else None


def promoted(one: str | None, two: str | None) -> str | None:
    """The type of arithmetic on two tensors that both have axes, as torch promotes them."""
    first, second = kind(one), kind(two)
    if first is None or second is None or one is None or two is None:
        return None
    if first != second:
        return max((one, two), key=lambda each: _ORDER.index(KINDS[each]))
    if one == two:
        return one
    if first == "float":
        if one == "float" or two == "float" or one not in _FLOATS_RANKED or two not in _FLOATS_RANKED:
            return "float"
        if {one, two} == {"float16", "bfloat16"}:
            return "float32"
        return max((one, two), key=_FLOATS_RANKED.index)
    if first == "int":
        if one not in _RANKED or two not in _RANKED:
            return "int"
        if "uint8" in (one, two):
            other = two if one == "uint8" else one
            return "int16" if other == "int8" else other
        return max((one, two), key=_RANKED.index)
    return first


def floating(dtype: str | None) -> str | None:
    """The type of a mean, a root, a quotient: integers become floats of torch's default size."""
    return dtype if kind(dtype) in ("float", "complex", None) else "float32"
