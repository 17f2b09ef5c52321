"""What contracts do differently in code that is being traced: by torch.compile, torch.export, torch.fx, torch.jit, make_fx or
functorch.

Compiled code hands the statistics of a check to an operator of its own, `mldbg::record`, that runs as it is in every backend. (A
list that compiled code appends to would be compared at the start of every call, and each new length would compile anew.) The
operator claims to write to a token, so that no compiler drops it for having no result.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import torch
from torch import Tensor
from torch.fx import Proxy
from torch.utils._pytree import tree_leaves

from mldbg.contracts import dynamo, flags, sampling
from mldbg.contracts.error import Binding, Violation
from mldbg.contracts.scope import EAGER

SITES: list[flags.Site] = []
"""Places known to compiled code, by number."""

COUNTED: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
"""What compiled code knows by number besides places: whatever has `calls`, and what attached promises have met."""

TOKEN = torch.zeros(())

_library = torch.library.Library("mldbg", "DEF")  # type: ignore[no-untyped-call]
_library.define("record(Tensor(a!) token, Tensor statistics, int site, str dtype, SymInt[] shape, SymInt[] looked_at) -> ()")  # type: ignore[no-untyped-call]
_library.define("rows(Tensor tensor, SymInt[] wanted) -> Tensor")  # type: ignore[no-untyped-call]
_library.define("settle(Tensor(a!) token) -> ()")  # type: ignore[no-untyped-call]
_library.define("count(Tensor(a!) token, int number) -> ()")  # type: ignore[no-untyped-call]


def _record(token: Tensor, statistics: Tensor, site: int, dtype: str, shape: list[int], looked_at: list[int]) -> None:
    flags.add(flags.Record(SITES[site], statistics.unbind(), dtype, tuple(shape), tuple(looked_at), flags.next_number()))


def _rows(tensor: Tensor, wanted: list[int]) -> Tensor:
    return sampling.rows(tensor, wanted, flags.next_number()).clone(memory_format=torch.contiguous_format)


def _settle(token: Tensor) -> None:
    if EAGER.top is None:
        flags.settle(None)


def _count(token: Tensor, number: int) -> None:
    counted = COUNTED.get(number)
    if counted is not None:
        counted.calls += 1


def _like_rows(tensor: Tensor, wanted: Any) -> Tensor:
    return tensor.new_empty(wanted)


def _no_effect(*args: Any) -> None:
    """On fake tensors nothing is recorded."""


_library.impl("record", _record, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
_library.impl("rows", _rows, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
_library.impl("settle", _settle, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
_library.impl("count", _count, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("mldbg::record", _no_effect, lib=_library)
torch.library.register_fake("mldbg::rows", _like_rows, lib=_library)
torch.library.register_fake("mldbg::settle", _no_effect, lib=_library)
torch.library.register_fake("mldbg::count", _no_effect, lib=_library)


def break_graph(violation: Violation) -> None:
    """End the graph that is being traced. With `fullgraph=True` torch raises `Unsupported` with the violation in its text."""
    texts: dict[str, Any] = {name: getattr(violation, name) for name in _TEXTS}
    sizes = [(one.name, one.size, one.where) for one in violation.bindings]
    torch._dynamo.graph_break(msg=_reason(texts, sizes))  # noqa: SLF001


_TEXTS = ("contract", "parameter", "expected", "actual", "axis", "arguments", "cause", "advice", "place")


@dynamo.constant
def _reason(texts: dict[str, Any], sizes: list[tuple[str, Any, str]]) -> str:
    return reason(Violation(**texts, bindings=tuple(Binding(*one) for one in sizes)))


def reason(violation: Violation) -> str:
    """What torch is told."""
    return f"a contract is broken here, which ends the graph\n{violation}"


@dynamo.constant
def is_one_graph() -> bool:
    """Whether `fullgraph=True` holds for what is being traced, so that a break of the graph is an error."""
    tracer = torch._dynamo.symbolic_convert.InstructionTranslator.current_tx()  # noqa: SLF001
    return bool(getattr(tracer, "one_graph", False))


BREAK = "a contract is broken here; run without fullgraph=True, or without torch.compile, for the details"
"""Why compilation stops where a check fails and nothing more can be said: the error is raised in eager code."""


class StandAside(Exception):  # noqa: N818 (it tells a checker to let a call pass, and never leaves it)
    """A value is one of torch.fx's symbolic trace, about which nothing can be checked."""


def is_symbolic(*values: Any) -> bool:
    """Whether any of the values, or of what their lists and dicts hold, is a proxy of torch.fx, which stands for every tensor.

    Asked where a check has failed, so that calls with tensors do not pay for it.
    """
    return any(isinstance(leaf, Proxy) for leaf in tree_leaves(values))


def rows(tensor: Tensor, wanted: Any) -> Tensor:
    """Rows of a tensor for `sampled` mode, from compiled code: which ones is decided when it runs, not when it is compiled."""
    return torch.ops.mldbg.rows(tensor, wanted)  # type: ignore[no-any-return]


def record(statistics: tuple[Any, ...], site: int, dtype: str, shape: Any, looked_at: Any) -> None:
    """Leave a record, from compiled code."""
    torch.ops.mldbg.record(TOKEN, torch.stack(statistics), site, dtype, shape, looked_at)


def settle() -> None:
    """Read the records, from compiled code."""
    if values_can_be_seen():
        torch.ops.mldbg.settle(TOKEN)


def count(number: int) -> None:
    """Count a call, from compiled code. Where operators of its own have no place, the trace is what is counted."""
    if values_can_be_seen():
        torch.ops.mldbg.count(TOKEN, number)
    else:
        _count_trace(number)


def number_for(counted: Any) -> int:
    """The number under which compiled code knows an object."""
    number = next(_numbers)
    COUNTED[number] = counted
    return number


_numbers = itertools.count()


def number_of(site: flags.Site) -> int:
    """The number under which compiled code knows a site."""
    SITES.append(site)
    return len(SITES) - 1


# The functions below run while torch.compile traces; their answers become constants of the compiled code. What they read is
# private to torch: where that has changed, they answer on the safe side.


class _Nesting:
    """How many contracts the trace under way is inside of. A trace that starts anew has another output, and begins at 0."""

    def __init__(self) -> None:
        self.output: weakref.ref[Any] | None = None
        self.depth = 0

    def of(self, output: Any) -> _Nesting:
        if self.output is None or self.output() is not output:
            self.output, self.depth = weakref.ref(output), 0
        return self


_NESTING = _Nesting()


def _output() -> Any:
    try:
        from torch._dynamo.symbolic_convert import InstructionTranslator

        return InstructionTranslator.current_tx().output
    except (ImportError, AttributeError):
        return None


@dynamo.constant
def values_can_be_seen() -> bool:
    """Whether the tensors of the trace are whole tensors: not under vmap or grad, and not for an export."""
    return not torch.compiler.is_exporting() and torch._C._functorch.peek_interpreter_stack() is None  # noqa: SLF001


@dynamo.constant
def _count_trace(number: int) -> None:
    COUNTED[number].calls += 1


@dynamo.constant
def leave_out(number: int, reason: str) -> None:
    """The values at a place are not judged in the code that is being compiled."""
    SITES[number].tally.leave_out(reason)


@dynamo.constant
def scope_can_be_set() -> bool:
    """Whether the trace may change an object outside itself: not inside a checkpointed or otherwise nested graph."""
    output = _output()
    return output is not None and output.current_tracer.parent is None


@dynamo.constant
def enter() -> bool:
    """Whether the contract that begins is the outermost one of the trace."""
    output = _output()
    if output is None:
        return False
    nesting = _NESTING.of(output)
    nesting.depth += 1
    return nesting.depth == 1


@dynamo.constant
def leave() -> None:
    """A contract of the trace has come to its end."""
    output = _output()
    if output is not None:
        _NESTING.of(output).depth -= 1
