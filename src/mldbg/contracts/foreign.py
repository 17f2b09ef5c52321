"""Annotations that only jaxtyping and beartype can check: numpy arrays, PyTrees, beartype's own validators.

They are checked in eager code, with the sizes of the surrounding scope.
"""

from __future__ import annotations

import contextlib
import typing
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from beartype.door import is_bearable
from beartype.roar import BeartypeDecorHintPep585DeprecationWarning
from jaxtyping import AbstractArray, _storage

from mldbg.contracts.error import ContractWarning, announce_once
from mldbg.operations import dims


class UncheckedInCompiledCode(ContractWarning):
    """A part of a contract does not hold in compiled code."""


def announce(text: str, contract: str, *, shallow: bool) -> None:
    """Say once for each annotation that jaxtyping and beartype check it. shallow: only the class of what holds the arrays."""
    which = f"the class of {text}, and nothing that it holds," if shallow else text
    announce_once(text, f"{contract}: {which} is checked by jaxtyping and beartype, in eager code only", UncheckedInCompiledCode)


def inside(annotation: Any) -> Iterator[type[AbstractArray]]:
    """The array annotations that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        yield annotation
    elif is_pytree(annotation):
        yield from inside(getattr(annotation, "leaftype", None))
    else:
        for part in typing.get_args(annotation):
            yield from inside(part)


def is_pytree(annotation: Any) -> bool:
    """Whether it is jaxtyping's `PyTree[...]`, which only exists beside jax."""
    return type(annotation).__module__ == "jaxtyping._pytree_type"


def axis_names(annotation: Any) -> list[str]:
    """The axis names that get a size where jaxtyping checks an annotation; those of `?` belong to one leaf each."""
    texts = [" ".join(word for word in array.dim_str.split() if "?" not in word) for array in inside(annotation)]
    return [name for text in texts for name in dims.names(dims.parsed(text))]


def prepare(annotation: Any) -> None:
    """Have beartype write its test of an annotation, which it keeps, without its warning that `typing.List` is now `list`."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # what is wrong with the annotation shows when it is used
        warnings.simplefilter("ignore", BeartypeDecorHintPep585DeprecationWarning)
        is_bearable(None, annotation)


_STRUCTURES = "#structures"
"""Where a scope keeps what the names of structures stand for, as in `PyTree[Float[Array, "b"], "T"]`."""


def objection(annotation: Any, value: Any, scope: dict[str, Any], path: str) -> str:
    """Why jaxtyping and beartype refuse `value`, empty where they accept it. New axis sizes go into `scope`, found at `path`.

    jaxtyping keeps sizes in a stack without a public door; it is filled here with the sizes that are known so far.
    """
    if torch.compiler.is_dynamo_compiling():
        return ""
    single = {name: size for name, size in scope.items() if name[0] not in "*{@#"}
    structures = scope.get(_STRUCTURES, {})
    several = {name[1:]: shape for name, shape in scope.items() if name[0] == "*"}
    arguments = {name[1:-1]: argument for name, argument in scope.items() if name[0] == "{"}
    _storage.push_shape_memo(arguments)
    try:
        _storage.set_shape_memo(single, several, dict(structures), arguments)
        if not is_bearable(value, annotation):
            return f"rejected by jaxtyping and beartype; sizes so far: {single or 'none'}"
        single, several, scope[_STRUCTURES], _ = _storage.get_shape_memo()  # type: ignore[no-untyped-call]
        for name, size in (single | {"*" + name: shape for name, shape in several.items()}).items():
            if not name.lstrip("*").startswith("~~delete~~"):  # jaxtyping's own, of a trial
                if name not in scope:
                    scope["@" + name] = path
                scope[name] = size
        return ""
    except Exception as error:  # noqa: BLE001 (a size that cannot be computed, an annotation that beartype does not take)
        return f"jaxtyping and beartype cannot check it: {type(error).__name__}: {error}"
    finally:
        _storage.pop_shape_memo()
