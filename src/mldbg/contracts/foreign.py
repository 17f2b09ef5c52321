"""Annotations that only jaxtyping and beartype can check: numpy arrays, PyTrees, beartype's own validators.

They are checked in eager code, with the sizes of the surrounding scope.
"""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

import torch
from beartype.door import is_bearable
from beartype.roar import BeartypeDecorHintPep585DeprecationWarning
from jaxtyping import _storage

_announced: set[str] = set()


class UncheckedInCompiledCode(UserWarning):
    """A part of a contract does not hold in compiled code."""


def announce(text: str, contract: str) -> None:
    """Say once for each annotation that jaxtyping and beartype check it."""
    if text not in _announced:
        _announced.add(text)
        warnings.warn(
            f"{contract}: {text} is checked by jaxtyping and beartype, in eager code only", UncheckedInCompiledCode, stacklevel=4
        )


def prepare(annotation: Any) -> None:
    """Have beartype write its test of an annotation, which it keeps, without its warning that `typing.List` is now `list`."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # what is wrong with the annotation shows when it is used
        warnings.simplefilter("ignore", BeartypeDecorHintPep585DeprecationWarning)
        is_bearable(None, annotation)


def objection(annotation: Any, value: Any, scope: dict[str, Any]) -> str:
    """Why jaxtyping and beartype refuse `value`, empty where they accept it. New axis sizes go into `scope`.

    jaxtyping keeps sizes in a stack without a public door; it is filled here with the sizes that are known so far.
    """
    if torch.compiler.is_dynamo_compiling():
        return ""
    single = {name: size for name, size in scope.items() if name[0] not in "*{@#"}
    several = {name[1:]: shape for name, shape in scope.items() if name[0] == "*"}
    arguments = {name[1:-1]: argument for name, argument in scope.items() if name[0] == "{"}
    _storage.push_shape_memo(arguments)
    try:
        _storage.set_shape_memo(single, several, {}, arguments)
        if not is_bearable(value, annotation):
            return f"rejected by jaxtyping and beartype; sizes so far: {single or 'none'}"
        single, several, _, _ = _storage.get_shape_memo()  # type: ignore[no-untyped-call]
        scope.update(single)
        scope.update({"*" + name: shape for name, shape in several.items()})
        return ""
    except Exception as error:  # noqa: BLE001 (a size that cannot be computed, an annotation that beartype does not take)
        return f"jaxtyping and beartype cannot check it: {type(error).__name__}: {error}"
    finally:
        _storage.pop_shape_memo()
