"""Takes the statistics of a tensor whose annotation has a meaning, on the device, without waiting for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from mldbg.contracts import flags, sampling, tracing
from mldbg.contracts.annotation import Array, dtype_name
from mldbg.contracts.error import ContractError, Violation
from mldbg.contracts.laws import Proof, without
from mldbg.contracts.matching import Scope, Seen, described
from mldbg.contracts.modes import SETTING, Mode
from mldbg.operations import dims
from mldbg.semantics import Semantic

LISTENERS: list[Callable[[Tensor, flags.Site], None]] = []
"""Who hears of the tensors that a contract calls by a meaning, while a mode for torch's functions is on: `sanitize`."""

WHOLE = frozenset({Semantic.KEEP_MASK, Semantic.DROP_MASK})
"""Meanings whose law is about all values together, of which some rows would prove nothing."""

_PLAIN = frozenset({Tensor, torch.nn.Parameter})
_NAMES = {dtype: dtype_name(dtype) for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}
_WIDER = {
    **{dtype: torch.float32 for dtype in _NAMES if dtype.is_floating_point and dtype.itemsize == 1},
    **dict.fromkeys((torch.uint16, torch.uint32, torch.uint64), torch.int64),
}
"""dtypes for which torch lacks the reductions."""


def observe(tensor: Tensor, site: flags.Site, level: int, bound: Any = None) -> None:
    """Check the law of a site in eager code: at once in `sync` mode, else when the records are read.

    bound: the number that ids stay below, if there is one, or the exception that its expression raised.
    Raises ContractError in `sync` mode, and where the bound is an exception.
    """
    if isinstance(bound, Exception):
        raise ContractError(_without_bound(tensor, site, bound)) from bound
    if not _is_visible(tensor):
        site.tally.leave_out(_why_unseen(tensor))
        return
    budget = SETTING.budget
    if budget is None:
        _observe(tensor, site, level, bound)
        return
    start = time.perf_counter()
    try:
        _observe(tensor, site, level, bound)
    finally:
        budget.spent += time.perf_counter() - start


def _observe(tensor: Tensor, site: flags.Site, level: int, bound: Any) -> None:
    if torch._C._len_torch_function_stack():  # noqa: SLF001
        for listener in LISTENERS:
            listener(tensor, site)
        with torch._C.DisableTorchFunction():  # noqa: SLF001
            _observe_plainly(tensor, site, level, bound)
    else:
        _observe_plainly(tensor, site, level, bound)


def _observe_plainly(tensor: Tensor, site: flags.Site, level: int, bound: Any) -> None:
    if flags.PENDING.repeats:
        level = Mode.SYNC  # now it is about the exact line, and all rows
    number = flags.next_number()
    looked_at = tensor.detach() if tensor.requires_grad else tensor
    if level == Mode.SAMPLED and _is_worth_sampling(tensor, site):
        looked_at = _some_rows(looked_at, site, number)
    law = site.meaning.law
    assert law is not None
    if law.fine is not None and flags.is_at_hand(looked_at) and tensor.dtype not in _WIDER:
        low, high = torch.aminmax(looked_at)
        if law.fine(low.item(), high.item(), bound):
            site.tally.judge(sampled=looked_at.shape != tensor.shape)
            return
    statistics: tuple[Tensor | float, ...]
    if law.proof is not None and level > Mode.SAMPLED and _proves(law.proof, tensor, site):
        statistics = law.proof.measure(looked_at, _some_rows(looked_at, site, number), site.axis)
    else:
        looked_at = _prepared(looked_at, site)
        statistics = law.measure(looked_at, site.axis, bound)
    record = flags.Record(site, statistics, _NAMES[tensor.dtype], tuple(tensor.shape), tuple(looked_at.shape), number)
    if level == Mode.SYNC:
        violation = flags.verdict(record)
        if violation is not None:
            raise ContractError(violation)
    else:
        flags.add(record)


def _without_bound(tensor: Tensor, site: flags.Site, error: Exception) -> Violation:
    assert isinstance(site.meaning.bound, dims.Symbolic)
    return Violation(
        contract=site.contract,
        parameter=site.parameter,
        expected=f"{site.text}, below {site.meaning.bound.text}",
        actual=described(tensor),
        cause=dims.excuse(site.meaning.bound, error),
        advice="correct the annotation, or make sure the object has the attribute it reads",
        place=site.place,
    )


def observe_traced(tensor: Tensor, site: flags.Site, number: int, level: int, bound: Any = None) -> None:
    """As `observe`, in code that is being compiled. All modes beyond `sampled` are `full` there."""
    if not tracing.values_can_be_seen():
        tracing.leave_out(number, "compiled inside vmap or grad, or for an export")
        return
    if tensor.numel() == 0 or tensor.is_meta or tensor.layout is not torch.strided:
        tracing.leave_out(number, "compiled for a tensor without values at hand")
        return
    tensor = tensor.detach()
    if level == Mode.SAMPLED:
        counts = sampling.counts(tensor.shape, _whole_axes(tensor, site))
        tensor = tensor if counts is None else tracing.rows(tensor, counts)
    looked_at = _prepared(tensor, site)
    law = site.meaning.law
    assert law is not None
    statistics = law.measure(looked_at, site.axis, bound)
    tracing.record(statistics, number, _NAMES[tensor.dtype], tensor.shape, looked_at.shape)


@dataclass(frozen=True, slots=True)
class Known:
    """A tensor of an annotation and the place where its law is checked. number: of the site in compiled code."""

    array: Array
    site: flags.Site
    number: int


def has_law(array: Array) -> bool:
    """Whether values can break the meaning of a tensor; a boolean mask, for one, is one by its dtype."""
    return array.meaning is not None and array.meaning.law is not None


def known(contract: str, parameter: str, array: Array, place: str) -> Known:
    """The place of a tensor with a meaning."""
    assert array.meaning is not None
    axis = array.meaning.position(array.dims)
    site = flags.Site(contract, parameter, array.text, place, array.meaning, -1 if axis is None else axis)
    return Known(array, site, tracing.number_of(site))


def observe_seen(seen: Seen, places: list[Known], names: Scope, level: int) -> None:
    """Observe all tensors with a meaning that a match has found, in eager and in compiled code."""
    compiling = torch.compiler.is_dynamo_compiling()
    for tensor, array, path in seen:
        for place in places:
            if place.array is array:
                bound = _bound(array, names)
                if compiling:
                    observe_traced(tensor, place.site, place.number, level, bound)
                else:
                    observe(tensor, replace(place.site, parameter=path), level, bound)


def _bound(array: Array, names: Scope) -> Any:
    """The number that ids stay below; None where there is none, or its axes have no size.

    In eager code the exception that its expression raised, if it did.
    """
    bound = array.meaning.bound if array.meaning is not None else None
    if not isinstance(bound, dims.Symbolic):
        return bound
    try:
        return dims.size(bound, names)
    except dims.Unbound:
        return None
    except Exception as error:
        if torch.compiler.is_dynamo_compiling():
            raise
        return error


SMALL = 2**14
"""Values of a tensor that are judged in less time than rows of it are chosen in."""


def _is_worth_sampling(tensor: Tensor, site: flags.Site) -> bool:
    return tensor.numel() > SMALL or site.meaning.own is not None  # what a law of the user's own costs, nobody knows


def _some_rows(tensor: Tensor, site: flags.Site, number: int) -> Tensor:
    counts = sampling.counts(tensor.shape, _whole_axes(tensor, site))
    return tensor if counts is None else sampling.rows(tensor, counts, number)


def _proves(proof: Proof, tensor: Tensor, site: flags.Site) -> bool:
    """Whether the tensor is what a node of autograd has given, along the axis of its law, and is unchanged since.

    A change in place raises the version, which all views share, `detach()` included.
    """
    node = tensor.grad_fn
    if node is None or node.name() != proof.node or tensor._version or not tensor.ndim:  # noqa: SLF001
        return False
    axis: int = node._saved_dim  # type: ignore[attr-defined]  # noqa: SLF001 (an unsigned number, where it was negative)
    return (axis - 2**64 if axis >= 2**63 else axis) % tensor.ndim == site.axis % tensor.ndim


def _is_visible(tensor: Tensor) -> bool:
    """Whether the values are there, and all of them: subclasses (fake, distributed, nested, quantised tensors) are left alone."""
    return (
        type(tensor) in _PLAIN
        and not tensor.is_meta
        and tensor.layout is torch.strided
        and tensor.numel() > 0
        and not torch._C._functorch.is_functorch_wrapped_tensor(tensor)  # noqa: SLF001
        and not torch._C._is_tracing()  # noqa: SLF001
        and torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.PROXY) is None  # noqa: SLF001
        and not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())
    )


def _why_unseen(tensor: Tensor) -> str:
    """Why a tensor is not visible; asked for the few that are not."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):  # noqa: SLF001
        return "inside vmap or grad"
    if type(tensor) not in _PLAIN:
        return f"a tensor subclass, {type(tensor).__name__}"
    if tensor.is_meta:
        return "a meta tensor"
    if tensor.layout is not torch.strided:
        return "a tensor that is not strided"
    return "traced or captured" if tensor.numel() else "an empty tensor"


def leave_out_seen(seen: Seen, places: list[Known], reason: str) -> None:
    """The values of all tensors with a meaning that a match has found are not judged; counted in eager code."""
    if torch.compiler.is_dynamo_compiling():
        return
    for _, array, _ in seen:
        for place in places:
            if place.array is array:
                place.site.tally.leave_out(reason)


def _whole_axes(tensor: Tensor, site: flags.Site) -> Collection[int]:
    """The axes that `sampled` mode looks at as a whole: the law's, or as many last ones as a law of the user's own needs."""
    count = max(tensor.ndim, 1)
    own = site.meaning.own
    if own is None:
        return range(count) if site.meaning.semantic in WHOLE else (site.axis % count,)
    return range(count) if own.axes is None else range(count - max(own.axes, 1), count)


def _prepared(tensor: Tensor, site: flags.Site) -> Tensor:
    wider = _WIDER.get(tensor.dtype)
    if wider is not None:
        tensor = tensor.to(wider)
    ignored = site.meaning.ignored
    return tensor if ignored is None else without(tensor, ignored)
