"""What is done with the tensors of a block, as far as it says what their numbers mean.

Ids are proven by the embedding that takes them, targets and logits by the loss, masks by what they mask. Meanings of floats
that an operation makes (probabilities, their logarithms) are followed by `sanitize`; this adds who takes them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from mldbg.contracts import observing
from mldbg.contracts.error import ContractError
from mldbg.contracts.flags import Site
from mldbg.contracts.meanings import Meaning
from mldbg.contracts.modes import Mode
from mldbg.contracts.propose.forms import Array, Mark
from mldbg.contracts.sanitize.effect import argument
from mldbg.contracts.sanitize.watch import Watch
from mldbg.operations.effect import Loss
from mldbg.operations.torch import ROWS
from mldbg.semantics import IGNORED_CLASS, Semantic


class Knowledge:
    """What is known of tensors, by identity; no tensor is kept alive.

    logits: the operations whose results were taken as logits; by identity of `Tag.site`.
    """

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.logits: dict[int, object] = {}
        self.loss_was_run = False
        self._marks: dict[int, tuple[Mark, weakref.ref[Tensor]]] = {}

    def mark(self, tensor: Tensor) -> Mark:
        """The mark of a tensor, a new one where it has none."""
        found = self.known(tensor)
        if found is None:
            found = Mark()
            self.put(tensor, found)
        return found

    def known(self, tensor: object) -> Mark | None:
        """The mark of a tensor, if it has one."""
        entry = self._marks.get(id(tensor))
        return entry[0] if entry is not None else None

    def put(self, tensor: Tensor, mark: Mark) -> None:
        """Two tensors with one mark have the same numbers."""
        key = id(tensor)
        self._marks[key] = (mark, weakref.ref(tensor, partial(self._marks.pop, key)))

    def array(self, tensor: Tensor) -> Array | None:
        """What is known of a tensor now; what is learned later comes to its mark."""
        if tensor.is_nested:
            return None
        mark, shape = self.mark(tensor), tuple(int(size) for size in tensor.shape)
        tag = self.watch.tags.of(tensor)
        if tag is None or tag.meaning is None or tag.masked is not None:
            return Array(tensor.dtype, shape, mark)
        meaning, axis = tag.meaning, tag.axis
        if tag.scaled:
            meaning, axis = Semantic.NON_NEGATIVE, None
        if meaning is Semantic.PROBS and axis is None:
            meaning = Semantic.UNIT_INTERVAL
        is_tied = meaning in (Semantic.LOGITS, Semantic.PROBS, Semantic.LOG_PROBS)
        if (is_tied and axis is None) or not keeps(meaning, axis if is_tied else None, tensor):
            return Array(tensor.dtype, shape, mark)
        return Array(tensor.dtype, shape, mark, meaning, axis if is_tied else None, tag.site)

    def takes_logits(self, tensor: Any, axis: int | None) -> None:
        """An operation takes a tensor as logits. axis: along which; None where each value stands by itself."""
        tag = self.watch.tags.of(tensor)
        if tag is not None and tag.meaning is Semantic.LOGITS and axis in (None, tag.axis):
            self.logits[id(tag.site)] = tag.site


def keeps(meaning: Semantic, axis: int | None, tensor: Tensor) -> bool:
    """Whether the values of a tensor keep a law, as contracts judge it in the mode `sync`."""
    site = Site("observe", "", "", "", Meaning(meaning, ""), -1 if axis is None else axis)
    try:
        observing.observe(tensor, site, Mode.SYNC)
    except ContractError:
        return False
    return True


class Uses(TorchFunctionMode):
    """Sees every torch function of its thread, and notes what it takes."""

    def __init__(self, knowledge: Knowledge, weights: Mapping[int, str], uncalled: Callable[[str], None]) -> None:
        """weights: id of a parameter -> path of the module that has it. uncalled: is told of a path whose weights are used."""
        super().__init__()
        self._knowledge = knowledge
        self._weights = weights
        self._uncalled = uncalled

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch._C._get_tracing_state() is not None:  # noqa: SLF001 (what is read of a tensor would be part of the graph)
            return func(*args, **kwargs)
        note = _NOTES.get(func)
        if note is not None:
            note(self._knowledge, args, kwargs)
        if self._weights and func in _LAYERS:
            for value in (*args, *kwargs.values()):
                path = self._weights.get(id(value))
                if path is not None:
                    self._uncalled(path)
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            self._follow(func, args, result)
        return result

    def _follow(self, func: Any, args: tuple[Any, ...], result: Tensor) -> None:
        knowledge = self._knowledge
        if func in _SAME and args:
            mark = knowledge.known(args[0])
            if mark is not None and not (result.is_floating_point() and not args[0].is_floating_point()):
                knowledge.put(result, mark)
        elif result.dim() == 0 and result.is_floating_point():
            if func in _LOSSES:
                knowledge.loss_was_run = True
                knowledge.put(result, Mark(loss=True))
            elif getattr(func, "__name__", "") in _SUMS and any(_is_loss(knowledge.known(one)) for one in args):
                knowledge.put(result, Mark(loss=True))


def _is_loss(mark: Mark | None) -> bool:
    return mark is not None and mark.loss


def _embedding(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    ids, table = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "weight")
    mark = knowledge.known(ids)
    if mark is not None and isinstance(table, Tensor):
        mark.tables.append(int(table.shape[0]))


def _softmax(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    scores, axis = argument(args, kwargs, 0, "input", "self"), argument(args, kwargs, 1, "dim")
    if isinstance(scores, Tensor) and isinstance(axis, int) and scores.dim():
        knowledge.takes_logits(scores, axis % scores.dim())


def _gumbel(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    scores, axis = argument(args, kwargs, 0, "logits"), argument(args, kwargs, 4, "dim", default=-1)
    if isinstance(scores, Tensor) and scores.dim():
        knowledge.takes_logits(scores, axis % scores.dim())


def _sigmoid(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    knowledge.takes_logits(argument(args, kwargs, 0, "input", "self"), None)


def _cross_entropy(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    scores = argument(args, kwargs, 0, "input")
    if isinstance(scores, Tensor):
        knowledge.takes_logits(scores, min(scores.dim() - 1, 1))
    _targets(knowledge, args, kwargs)


def _targets(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    scores, target = argument(args, kwargs, 0, "input"), argument(args, kwargs, 1, "target")
    mark = knowledge.known(target)
    if mark is None or not isinstance(scores, Tensor) or target.is_floating_point() or not scores.dim():
        return
    ignored = argument(args, kwargs, 4, "ignore_index", default=IGNORED_CLASS)
    classes = int(scores.shape[min(scores.dim() - 1, 1)])
    with torch._C.DisableTorchFunction():  # noqa: SLF001
        valid = ((target >= 0) & (target < classes)) | (target == ignored)
        if bool(valid.all()):
            mark.classes.append((classes, ignored))


def _masks(position: int, *names: str) -> Callable[[Knowledge, tuple[Any, ...], dict[str, Any]], None]:
    def note(knowledge: Knowledge, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in (argument(args, kwargs, position, names[0]), *(kwargs.get(name) for name in names[1:])):
            mark = knowledge.known(value)
            if mark is not None and (value.dtype == torch.bool or keeps(Semantic.ADDITIVE_MASK, None, value)):
                mark.masks = True

    return note


_NOTES: Mapping[Any, Callable[[Knowledge, tuple[Any, ...], dict[str, Any]], None]] = {
    functional.embedding: _embedding,
    functional.embedding_bag: _embedding,
    functional.cross_entropy: _cross_entropy,
    functional.nll_loss: _targets,
    functional.gumbel_softmax: _gumbel,
    **dict.fromkeys(
        (
            functional.softmax,
            functional.log_softmax,
            torch.softmax,
            torch.log_softmax,
            Tensor.softmax,
            Tensor.log_softmax,
        ),
        _softmax,
    ),
    **dict.fromkeys(
        (
            torch.sigmoid,
            Tensor.sigmoid,
            functional.sigmoid,
            functional.logsigmoid,
            functional.binary_cross_entropy_with_logits,
            functional.multilabel_soft_margin_loss,
        ),
        _sigmoid,
    ),
    Tensor.masked_fill: _masks(1, "mask"),
    Tensor.masked_fill_: _masks(1, "mask"),
    torch.masked_fill: _masks(1, "mask"),
    torch.where: _masks(0, "condition"),
    functional.scaled_dot_product_attention: _masks(3, "attn_mask"),
    functional.multi_head_attention_forward: _masks(99, "attn_mask", "key_padding_mask"),
}


def _named(*names: str) -> Iterator[Any]:
    for name in names:
        for owner in (torch, Tensor):
            function = getattr(owner, name, None)
            if callable(function):
                yield function


_SAME = frozenset(
    _named(
        *("long", "int", "bool", "to", "cpu", "cuda", "contiguous", "clone", "detach", "view", "reshape", "flatten", "ravel"),
        *(
            "unsqueeze",
            "squeeze",
            "t",
            "transpose",
            "permute",
            "swapaxes",
            "movedim",
            "expand",
            "view_as",
            "reshape_as",
            "type_as",
        ),
    )
)
"""Functions after which the numbers are the same ones."""

_SUMS = frozenset({"add", "sub", "mul", "div", "mean", "sum", "__add__", "__radd__", "__mul__", "__rmul__", "__truediv__", "neg"})
"""What of losses is a loss again."""

_LOSSES = frozenset(
    function for row in ROWS.values() if isinstance(row, Loss) and callable(function := getattr(functional, row.name, None))
)

_LAYERS = frozenset(
    {
        functional.linear,
        functional.embedding,
        functional.multi_head_attention_forward,
        *(getattr(torch, f"conv{transposed}{dims}d") for transposed in ("", "_transpose") for dims in (1, 2, 3)),
        functional.layer_norm,
        functional.batch_norm,
        functional.group_norm,
        torch.matmul,
        Tensor.matmul,
        Tensor.__matmul__,
        torch.addmm,
        torch.einsum,
        torch.lstm,
        torch.gru,
    }
)
"""Functions that use the weights of a layer."""
