"""Probabilities that something picks from: they have to add up along the axis that it picks along."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mldbg.lint import edit
from mldbg.lint.interpret.value import UNKNOWN
from mldbg.lint.ladder import axis_parameter, shape_of, short
from mldbg.operations.distributions import DRAWS_ALONG_LAST
from mldbg.semantics import Semantic

if TYPE_CHECKING:
    from mldbg.lint.finding import Finding
    from mldbg.lint.interpret.facts import Call
    from mldbg.lint.interpret.value import Value
    from mldbg.lint.rule import Rule

PICKS = frozenset({"torch.argmax", "torch.Tensor.argmax", "torch.max", "torch.Tensor.max", *DRAWS_ALONG_LAST})
"""What picks an entry of an axis, mostly that of the classes."""


def picked_beside_softmax(rule: Rule, call: Call, *, over_first: bool) -> Iterator[Finding]:
    """What a rule says where the last axis is picked from and a softmax ran along the first one before, or along one between."""
    value = _picked_from(call)
    along = _sums_along(value)
    made = value.origin.site if value.origin is not None else None
    if along is None or (along == 0) is not over_first or made is None:
        return
    change = edit.with_axis(made, -1)
    yield rule.found(
        made,
        f"softmax ran along axis {along} of {shape_of(value)}, and {short(call.name)} picks from the last one",
        hint="take the axis that is picked from, dim=-1",
        trail=value.trail,
        last=(call.place.site, f"{short(call.name)} picks from the last axis here"),
        fix=edit.unsafe(change) if change is not None else None,
    )


def _picked_from(call: Call) -> Value:
    """The tensor whose last axis a call picks from; unknown where it takes another axis."""
    parameters = DRAWS_ALONG_LAST.get(call.name)
    if parameters is not None:
        return next((call.argument(name) for name in parameters if name in call.arguments), UNKNOWN)
    value, axis = call.argument("input"), call.argument(axis_parameter(call)).constant
    shape = shape_of(value)
    is_last = axis == -1 or (shape is not None and shape.rank is not None and axis == shape.rank - 1)
    return value if is_last and not isinstance(axis, bool) else UNKNOWN


def _sums_along(value: Value) -> int | None:
    """The axis along which probabilities add up to 1, where that is not the last one; None where it is, or nothing says so."""
    shape, along = shape_of(value), value.axes.along
    if value.meaning not in (Semantic.PROBS, Semantic.LOG_PROBS) or shape is None or along is None:
        return None
    if shape.rank is None:
        return along if 0 <= along < shape.least_rank - 1 else None
    return along % shape.rank if shape.rank > 1 and along % shape.rank != shape.rank - 1 else None
