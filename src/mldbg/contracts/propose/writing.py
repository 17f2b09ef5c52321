"""Writes annotations: the text of what several calls have in common at one place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mldbg.contracts import meanings
from mldbg.contracts.names import signature_of
from mldbg.contracts.propose.attributes import Attribute, attribute_for, bound_for
from mldbg.contracts.propose.axes import FAMILY_NAMES, Axes, Label, family_of, free
from mldbg.contracts.propose.forms import Absent, Array
from mldbg.contracts.propose.nodes import Either, Many, Node, Nothing, Optional, Plain, Record, Row, Table, Tensors
from mldbg.contracts.propose.recording import Call
from mldbg.contracts.propose.uses import Knowledge
from mldbg.semantics import IGNORED_CLASS, Semantic

ALIASES: Mapping[Semantic, str] = {
    Semantic.LOGITS: "Logits",
    Semantic.PROBS: "Probs",
    Semantic.LOG_PROBS: "LogProbs",
    Semantic.UNIT_INTERVAL: "UnitInterval",
    Semantic.NON_NEGATIVE: "NonNegative",
    Semantic.SCALAR_LOSS: "ScalarLoss",
    Semantic.CLASS_IDS: "ClassIds",
    Semantic.TOKEN_IDS: "TokenIds",
    Semantic.BOOL_MASK: "BoolMask",
    Semantic.ADDITIVE_MASK: "AdditiveMask",
}
"""Meanings that are written, and their annotations."""

_OF_RESULTS = {Semantic.NON_NEGATIVE, Semantic.UNIT_INTERVAL}
"""Meanings that a function gives to what it returns, and that say nothing about what another one needs."""


class Writer:
    """Writes the annotations of one scope: of a model's forward passes, or of the calls of one function.

    Args:
        axes: of the recording.
        knowledge: what the numbers of tensors are.
        per_call: whether a name means one size in each call, as under `@contract`, or in each forward pass, as under `attach`.
        taken: the names of annotations that stay, by their sizes.
    """

    def __init__(
        self, axes: Axes, knowledge: Knowledge, *, per_call: bool, taken: Mapping[str, Mapping[int, int]] | None = None
    ) -> None:
        self._axes = axes
        self._knowledge = knowledge
        self._per_call = per_call
        self._names: dict[str, tuple[Mapping[int, int], frozenset[int] | None, frozenset[str]]] = {
            name: (sizes, None, frozenset()) for name, sizes in (taken or {}).items()
        }

    def text(self, node: Node[Call], *, result: bool, nested: bool = False) -> str | None:
        """The annotation; None where there is no tensor to speak of."""
        match node:
            case Tensors():
                return self._tensor(node, result=result)
            case Optional(part):
                text = self.text(part, result=result, nested=nested)
                return None if text is None else optional(text)
            case Either(parts):
                texts = [self.text(part, result=result) for part in parts]
                return None if None in texts else " | ".join(filter(None, texts))
            case Row(parts):
                words = [self.text(part, result=result, nested=True) for part in parts]
                if all(one is None or one in _SAY_NOTHING for one in words):
                    return None
                return f"tuple[{', '.join(word or 'object' for word in words)}]"
            case Many(cls, part):
                text = self.text(part, result=result)
                return None if text is None else f"{cls.__name__}[{text}{', ...' if cls is tuple else ''}]"
            case Table(key, part):
                text = self.text(part, result=result)
                return None if text is None else f"dict[{key.__name__ if key in (str, int) else 'object'}, {text}]"
            case Nothing():
                return "None" if nested else None
            case Plain(cls):
                return cls.__name__ if nested and cls is not None else None
            case Record():
                return None

    def _tensor(self, node: Tensors[Call], *, result: bool) -> str:
        seen = node.seen
        words = self._words(seen, result=result)
        shape = " ".join(words)
        meaning = self._meaning(seen, words, node.place, result=result)
        if meaning is not None:
            name, extras = meaning
            text = f'{name}[Tensor, "{shape}"{"".join(f", {extra}" for extra in extras)}]'
            return optional(text) if name == "ScalarLoss" and result and _may_leave_out(seen) else text
        return f'{family_of(array.dtype for _, array in seen)}[Tensor, "{shape}"]'

    # --- axes ---

    def _words(self, seen: Sequence[tuple[Call, Array]], *, result: bool) -> list[str]:
        ranks = {len(array.shape) for _, array in seen}
        least = min(ranks)
        if len(ranks) > 1:
            if not least:
                return ["..."]
            first = self._word(seen, 0, result=result)
            if least == 1 and first != "_":
                return [first, "..."]
            last = self._word(seen, -1, result=result, attribute=Attribute.ANY)
            return [*([first] if least > 1 else []), "...", last]
        found: dict[int, str] = {}
        attribute: Attribute | None = Attribute.ANY
        for index in _features_first(least, seen[0][0].module):
            word = self._word(seen, index, result=result, attribute=attribute if index or least == 1 else None)
            attribute = Attribute.NAMED if attribute is not None and not word.startswith("{") else None
            found[index] = word
        return [found[index] for index in range(least)]

    def _word(self, seen: Sequence[tuple[Call, Array]], index: int, *, result: bool, attribute: Attribute | None = None) -> str:
        labels = {self._axes.label(array, index % len(array.shape)) for _, array in seen}
        sizes = self._sizes(seen, index)
        axes = {label.axis for label in labels}
        if axes == {self._axes.batch} and self._axes.batch is not None and sizes is not None:
            return self._named(sizes, labels) or "_"
        several = [(call.sizes, array.shape[index]) for call, array in seen]
        values = {size for _, size in several}
        if attribute is not None:
            is_heads = index == 1 and all(len(array.shape) == 4 for _, array in seen)
            found = attribute_for(several, result=result, kind=Attribute.HEADS if is_heads else attribute)
            if found is not None:
                return f"{{self.{found}}}"
        passes = {call.passing for call, _ in seen}
        if len(values) == 1 and (len(passes) > 1 or self._axes.passes == 1 or not any(axes)):
            is_known = len(seen) > 1 or self._axes.passes == 1  # of what was seen once, nobody knows whether it stays
            size = next(iter(values))
            return str(size) if is_known and not self._axes.may_be_batch(size) else "_"
        return "_" if sizes is None else self._named(sizes, labels) or "_"

    def _sizes(self, seen: Sequence[tuple[Call, Array]], index: int) -> Mapping[int, int] | None:
        """The size in each call, or in each pass; None where it changes within one."""
        found: dict[int, int] = {}
        for call, array in seen:
            size = array.shape[index]
            if found.setdefault(call.number if self._per_call else call.passing, size) != size:
                return None
        return found

    def _named(self, sizes: Mapping[int, int], labels: set[Label]) -> str | None:
        axes = {label.axis for label in labels}
        only = next(iter(axes)) if len(axes) == 1 else None
        if not self._per_call:
            return only.name if only is not None else None
        roles = frozenset(label.role for label in labels)
        bases = frozenset(label.base for label in labels)
        for name, (held, whose, called) in self._names.items():
            shared = held.keys() & sizes.keys()
            varies = len({held[each] for each in shared}) > 1
            is_same = whose is None or (whose == roles and (varies or called == bases))
            if is_same and shared and all(held[each] == sizes[each] for each in shared):
                self._names[name] = ({**held, **sizes}, whose, called)
                return name
        base = only.name if only is not None else min(label.base for label in labels)
        name = free(base, self._names)
        self._names[name] = (sizes, roles, bases)
        return name

    # --- meanings ---

    def _meaning(
        self, seen: Sequence[tuple[Call, Array]], words: Sequence[str], place: str, *, result: bool
    ) -> tuple[str, list[str]] | None:
        """The annotation's name, and what stands behind the axes."""
        found = {self._means(array, place, result=result) for _, array in seen}
        meaning = found.pop() if len(found) == 1 else None
        if meaning is None:
            return None
        if meaning is Semantic.TOKEN_IDS:
            return "TokenIds", self._below([(call, min(array.mark.tables)) for call, array in seen])
        if meaning is Semantic.CLASS_IDS:
            every = {ignored for _, array in seen for _, ignored in array.mark.classes}
            if len(every) > 1:
                return None
            ignored = every.pop()
            extras = [] if ignored == IGNORED_CLASS else [f"ignoring({ignored})"]
            return "ClassIds", [*self._below([(call, max(n for n, _ in array.mark.classes)) for call, array in seen]), *extras]
        if meaning not in (Semantic.LOGITS, Semantic.PROBS, Semantic.LOG_PROBS):
            return ALIASES[meaning], []
        places = {(array.axis or 0) - len(array.shape) for _, array in seen}
        if places == {-1}:
            return ALIASES[meaning], []
        ranks = {len(array.shape) for _, array in seen}
        if len(places) > 1 or len(ranks) > 1:
            return None
        word = words[places.pop()]
        is_clear = word != "_" and words.count(word) == 1
        return (ALIASES[meaning], [f'along("{word}")']) if is_clear else None

    def _means(self, array: Array, place: str, *, result: bool) -> Semantic | None:
        mark = array.mark
        if array.dtype == torch.bool:
            return Semantic.BOOL_MASK if mark.masks or "mask" in place.partition("[")[0] else None
        if not array.dtype.is_floating_point:
            return Semantic.TOKEN_IDS if mark.tables else Semantic.CLASS_IDS if mark.classes else None
        if mark.loss and not array.shape:
            return Semantic.SCALAR_LOSS
        if mark.masks:
            return Semantic.ADDITIVE_MASK
        if array.meaning is Semantic.LOGITS and id(array.site) not in self._knowledge.logits:
            return None
        return None if array.meaning in _OF_RESULTS and not result else array.meaning

    def _below(self, bounds: Sequence[tuple[Call, int]]) -> list[str]:
        """The number of ids: an attribute of the module, that of the embedding in it, or a number."""
        name = bound_for([(call.sizes, bound) for call, bound in bounds]) or _table_in(bounds)
        if name is not None:
            return [f'below("{{self.{name}}}")']
        numbers = {bound for _, bound in bounds}
        return [f"below({numbers.pop()})"] if len(numbers) == 1 else []


def _may_leave_out(seen: Sequence[tuple[Call, Array]]) -> bool:
    """Whether all calls gave a parameter that may be left out, as targets are where no loss is wanted."""
    parameters = signature_of(seen[0][0].module.forward).parameters.values()
    optional = {one.name for one in parameters if one.default is None}
    return any(all(not isinstance(call.arguments.get(name, Absent()), Absent) for call, _ in seen) for name in optional)


_SAY_NOTHING = {"None", "object", "bool", "int", "float", "str"}


def _features_first(rank: int, module: nn.Module) -> Iterable[int]:
    """The axes in the order in which they may be that of the features."""
    every = list(range(rank))
    is_image = rank > 3 or isinstance(module, (nn.Conv1d, nn.ConvTranspose1d, nn.BatchNorm1d))
    first = [1, rank - 1] if is_image and rank > 1 else [rank - 1]
    return [*(index for index in dict.fromkeys(first) if index >= 0), *(index for index in every if index not in first)]


def _table_in(bounds: Sequence[tuple[Call, int]]) -> str | None:
    """The embedding inside the module whose length is the bound, in every call."""
    found: list[str] | None = None
    for call, bound in bounds:
        names = [
            f"{_subscripted(path)}.num_embeddings"
            for path, module in call.module.named_modules()
            if isinstance(module, nn.Embedding) and path and module.num_embeddings == bound
        ]
        found = names if found is None else [name for name in found if name in names]
    return found[0] if found else None


def _subscripted(path: str) -> str:
    return re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", path)


def _namespace() -> dict[str, Any]:
    import jaxtyping

    names: dict[str, Any] = {name: getattr(jaxtyping, name) for name in FAMILY_NAMES}
    names |= {name: getattr(meanings, name) for name in (*ALIASES.values(), "along", "below", "ignoring")}
    return {**names, "Tensor": torch.Tensor}


NAMESPACE: Mapping[str, Any] = _namespace()
"""The names that annotations use."""


def evaluated(text: str) -> Any:
    """The annotation that a text says."""
    return eval(text, dict(NAMESPACE))  # noqa: S307 (written by this module)


def optional(text: str) -> str:
    """The annotation that allows None as well."""
    return text if text.endswith("| None") else f"{text} | None"


def numbers_in(text: str) -> set[int]:
    """The sizes that an annotation writes as numbers."""
    return {int(word) for shape in re.findall(r'Tensor, "([^"]*)"', text) for word in shape.split() if word.isdigit()}


def names_in(text: str, known: Callable[[str], bool] = NAMESPACE.__contains__) -> list[str]:
    """The names that an annotation uses, without those in its strings."""
    return [name for name in re.findall(r"[A-Za-z_]\w*", re.sub(r'"[^"]*"', "", text)) if known(name)]
