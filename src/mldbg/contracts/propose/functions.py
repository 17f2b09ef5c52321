"""The `forward` methods that were called: what they promise already, and what is proposed for them."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from mldbg.contracts import annotation, names
from mldbg.contracts.annotation import Plan
from mldbg.contracts.ledger import RESULT
from mldbg.contracts.matching import Failure, judge
from mldbg.contracts.names import signature_of
from mldbg.contracts.propose.axes import Axes
from mldbg.contracts.propose.forms import Array, rebuilt
from mldbg.contracts.propose.nodes import merged
from mldbg.contracts.propose.recording import Call, elements
from mldbg.contracts.propose.uses import Knowledge
from mldbg.contracts.propose.writing import Writer, evaluated, optional
from mldbg.operations import dims

_TENSOR_WORDS = {
    *(
        "torch",
        "Tensor",
        "FloatTensor",
        "LongTensor",
        "BoolTensor",
        "IntTensor",
        "typing",
        "Optional",
        "Union",
        "None",
        "NoneType",
    ),
    *("tuple", "Tuple", "list", "List", "dict", "Dict", "str", "int", "float", "bool"),
}


@dataclass
class Function:
    """One `forward`, and all its calls.

    function: as it is written, without wrappers.
    kept: parameter -> plan of an annotation that stays. broken: what is wrong with those that stay.
    parameters, result: the text of each new annotation.
    """

    function: FunctionType
    calls: list[Call] = field(default_factory=list)
    kept: dict[str, Plan] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    result: str | None = None
    broken: str = ""

    @property
    def name(self) -> str:
        """As messages call it: `Encoder.forward`."""
        name = self.function.__qualname__.rpartition("<locals>.")[2]
        return name if "." in name else f"{type(self.calls[0].module).__name__}.{name}"

    @property
    def is_decorated(self) -> bool:
        """Whether it has a contract."""
        return hasattr(self.function, "__contract__") or any(
            hasattr(vars(cls).get("forward"), "__contract__") for cls in type(self.calls[0].module).__mro__
        )

    def signature(self) -> inspect.Signature:
        """With its own annotations."""
        return signature_of(self.function)

    def header(self) -> str:
        """`def forward(self, x: Float[Tensor, "batch dim"]) -> ...`, on one line."""
        words: list[str] = []
        before = None
        parameters = list(self.signature().parameters.values())
        for each in parameters:
            if before is not None and before.kind is each.POSITIONAL_ONLY and each.kind is not each.POSITIONAL_ONLY:
                words.append("/")
            is_starred = any(one.kind is each.VAR_POSITIONAL for one in parameters)
            if each.kind is each.KEYWORD_ONLY and not is_starred and (before is None or before.kind is not each.KEYWORD_ONLY):
                words.append("*")
            words.append(self._parameter(each))
            before = each
        if parameters and parameters[-1].kind is inspect.Parameter.POSITIONAL_ONLY:
            words.append("/")
        kept = self.signature().return_annotation
        result = self.result or (None if kept is inspect.Signature.empty else said(kept))
        return f"def {self.function.__name__}({', '.join(words)}){f' -> {result}' if result else ''}"

    def _parameter(self, one: inspect.Parameter) -> str:
        star = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        own = None if one.annotation is one.empty else said(one.annotation)
        hint = self.parameters.get(one.name, own)
        text = f"{star}{one.name}{f': {hint}' if hint else ''}"
        if one.default is one.empty:
            return text
        default = repr(one.default)
        return f"{text}{' = ' if hint else '='}{'...' if ' at 0x' in default or len(default) > 30 else default}"


def said(hint: Any) -> str:
    """An annotation as a person writes it."""
    if isinstance(hint, str):
        return hint
    text = getattr(hint, "__name__", "") if isinstance(hint, type) and hasattr(hint, "dim_str") else ""
    text = text or inspect.formatannotation(hint)
    text = text.replace("torch.Tensor", "Tensor").replace("typing.", "").replace("jaxtyping.", "")
    return text if '"' in text else text.replace("'", '"')


def says_only_tensor(hint: Any) -> bool:
    """Whether a hint says that something is a tensor, or several, and no more: then a finer one may take its place."""
    text = said(hint).strip("'\"")
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    return words <= _TENSOR_WORDS and any(word.endswith("Tensor") for word in words) and '"' not in text


def proposed(function: FunctionType, calls: Sequence[Call], axes: Axes, knowledge: Knowledge) -> Function:
    """What is proposed for a function: never what one of its calls would break."""
    found = Function(function, list(calls))
    complete = [call for call in calls if call.result is not None]
    found.kept = _kept(function)
    writer = Writer(axes, knowledge, per_call=True, taken=_named(found.kept, calls))
    hints = {name: one.annotation for name, one in found.signature().parameters.items()}
    for name, one in found.signature().parameters.items():
        if hints[name] is not one.empty and not says_only_tensor(hints[name]):
            continue
        seen = [(call, each) for call in calls if name in call.arguments for each in elements(one, call.arguments[name])]
        text = writer.text(merged(seen, name), result=False) if seen else None
        if text is not None:
            own = "" if one.annotation is one.empty else said(one.annotation)
            may_be_none = one.default is None or "None" in own or "Optional" in own
            found.parameters[name] = optional(text) if may_be_none else text
    returns = found.signature().return_annotation
    if (returns is inspect.Signature.empty or says_only_tensor(returns)) and complete:
        seen = [(call, call.result) for call in complete if call.result is not None]
        found.result = writer.text(merged(seen, RESULT), result=True)
    _drop_what_breaks(found)
    return found


def _kept(function: FunctionType) -> dict[str, Plan]:
    """The plans of annotations that speak of tensors, and stay."""
    found: dict[str, Plan] = {}
    for name, hint in names.annotations_of(function).items():
        if says_only_tensor(hint):
            continue
        with contextlib.suppress(TypeError, ValueError, NameError, AttributeError, SyntaxError):
            plan = annotation.read(names.resolved(hint, function.__globals__, function.__module__))
            if annotation.holds_arrays(plan):
                found[name] = plan
    return found


def _named(kept: Mapping[str, Plan], calls: Sequence[Call]) -> dict[str, dict[int, int]]:
    """The axes that annotations which stay give names to, with their size in each call."""
    found: dict[str, dict[int, int]] = {}
    for name, plan in kept.items():
        for each in annotation.axis_names(plan):
            found.setdefault(each, {})
        for call in calls:
            form = call.arguments.get(name) if name != RESULT else call.result
            for index, axis in enumerate(_plain_axes(plan)):
                if isinstance(form, Array) and isinstance(axis, dims.Named) and len(form.shape) == len(_plain_axes(plan)):
                    found.setdefault(axis.name, {}).setdefault(call.number, form.shape[index])
    return found


def _plain_axes(plan: Plan) -> tuple[dims.Dim, ...]:
    """The axes of the one tensor that a plan speaks of."""
    arrays = annotation.arrays(plan)
    return arrays[0].dims if len(arrays) == 1 and arrays[0].several is None else ()


def given_names(function: FunctionType) -> dict[str, dict[int, str]]:
    """Parameter, or `return` -> index of an axis -> its name, in annotations that stay."""
    found: dict[str, dict[int, str]] = {}
    for name, plan in _kept(function).items():
        axes = {index: axis.name for index, axis in enumerate(_plain_axes(plan)) if isinstance(axis, dims.Named)}
        if axes:
            found[name] = axes
    return found


def _drop_what_breaks(found: Function) -> None:
    """Takes away each new annotation that some call does not keep; says so where one that stays is broken."""
    while True:
        failed = _first_failure(found)
        if failed is None:
            return
        name, failure = failed
        if name == RESULT and found.result is not None:
            found.result = None
        elif name in found.parameters:
            del found.parameters[name]
        else:
            found.broken = f"{name}: expected {failure.expected}, was {failure.actual}"
            return


def _first_failure(found: Function) -> tuple[str, Failure] | None:
    parameters = found.signature().parameters
    plans = dict(found.kept)
    plans |= {name: annotation.read(evaluated(text)) for name, text in found.parameters.items()}
    if found.result is not None:
        plans[RESULT] = annotation.read(evaluated(found.result))
    for call in found.calls:
        scope: dict[str, Any] = {"{self}": call.module}
        values: dict[str, Any] = {}
        for name, form in call.slots():
            with contextlib.suppress(TypeError):
                values[name] = rebuilt(form)
        scope |= {f"{{{name}}}": value for name, value in values.items()}
        for name in (*parameters, RESULT):
            if name not in plans or name not in values:
                continue
            plan = plans[name]
            if name in parameters and parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
                plan = annotation.Many(tuple, plan)
            elif name in parameters and parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
                plan = annotation.Table(dict, plan)
            failure = judge(plan, values[name], scope, name)
            if failure is not None:
                return name, failure
    return None
