"""Annotations as Python 3.14 has them (PEP 649, PEP 749): evaluated when somebody asks, all at once, with a NameError until then.

Python 3.14 itself is imitated: `inspect.get_annotations` fails as it does there, and `annotationlib` gives the text.
"""

from __future__ import annotations

import enum
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mldbg.contracts import ContractError, contract
from mldbg.contracts.names import annotations_of, signature_of


class Format(enum.Enum):
    STRING = 4


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any], Any]]:
    """Marks functions and classes of which an annotation names something that stands further down."""
    marked: dict[Any, dict[str, str]] = {}
    plain = inspect.get_annotations

    def get(owner: Any, **options: Any) -> dict[str, Any]:
        if owner in marked and options.get("format") is None:
            missing = "Batch"
            raise NameError(f"name {missing!r} is not defined", name=missing)
        return plain(owner)

    plainly = inspect.signature

    def signature(function: Any, *, annotation_format: Format | None = None) -> inspect.Signature:
        if annotation_format is None:
            return plainly(function)
        assert annotation_format is Format.STRING
        held = marked.pop(function)
        found = plainly(function)
        marked[function] = held
        return found

    def as_text(owner: Any, *, format: Format) -> dict[str, str]:  # noqa: A002  # its name in the standard library
        assert format is Format.STRING
        return marked[owner]

    library = ModuleType("annotationlib")
    library.Format, library.get_annotations = Format, as_text  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "annotationlib", library)
    monkeypatch.setattr(inspect, "get_annotations", get)
    monkeypatch.setattr(inspect, "signature", signature)

    def mark(owner: Any) -> Any:
        marked[owner] = dict(plain(owner))
        return owner

    yield mark
    monkeypatch.undo()


def test_text_stands_for_what_cannot_be_evaluated_yet(lazy: Callable[[Any], Any]) -> None:
    def first(batch: Batch) -> Float[Tensor, "b"]:
        raise NotImplementedError

    def other(x: Float[Tensor, "b"]) -> None: ...

    assert annotations_of(lazy(first))["batch"] == "Batch"
    assert annotations_of(other).keys() == {"x", "return"}
    assert list(signature_of(first).parameters) == ["batch"]


def test_a_class_further_down_is_kept_to(lazy: Callable[[Any], Any]) -> None:
    @contract
    @lazy
    def total(batch: Batch) -> Float[Tensor, "b"]:
        return batch.x.sum(1)

    x = torch.ones(3, 2)
    assert total(Batch(x)).shape == (3,)
    with pytest.raises(ContractError, match="x"):
        total(Batch(torch.ones(3)))


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="has that library")
def test_without_that_library_the_error_is_that_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(owner: Any, **options: Any) -> dict[str, Any]:
        raise NameError("name 'Batch' is not defined")

    monkeypatch.setattr(inspect, "get_annotations", fails)
    with pytest.raises(NameError, match="Batch"):
        annotations_of(fails)
    with pytest.raises(NameError, match="Batch"):
        signature_of(fails)


@dataclass
class Batch:
    x: Float[Tensor, "b d"]
