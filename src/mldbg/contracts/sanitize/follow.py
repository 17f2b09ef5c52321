"""The function mode that hands torch's functions to their effects."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from mldbg.contracts.sanitize import masks, ragged, tables
from mldbg.contracts.sanitize.effect import Effect
from mldbg.contracts.sanitize.watch import Watch

_trace_under_way = torch._C._get_tracing_state  # noqa: SLF001 (torch.jit.is_tracing takes ten times as long)


_EFFECTS: Mapping[Any, Effect] = {**tables.EFFECTS, **masks.EFFECTS, **ragged.EFFECTS}


class FollowMeanings(TorchFunctionMode):
    """Sees every torch function that its thread calls. Functions without a row in the table pass through.

    So does everything that `torch.jit.trace` records: what is read of a tensor, even its shape, would become part of the graph.
    """

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch
        self._effects: Mapping[Any, Effect] = _EFFECTS

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        effect = self._effects.get(func)
        if effect is None or _trace_under_way() is not None:
            return func(*args, **kwargs) if kwargs else func(*args)
        return effect(self._watch, func, args, kwargs or {})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not _forget_paused(self):
            super().__exit__(kind, error, trace)  # type: ignore[no-untyped-call]

    def retire(self) -> None:
        """Lets everything pass from now on: a thread that outlives the block keeps the mode."""
        self._effects = {}


# An optimizer's step is most of the torch functions of a training step, and none of them changes a meaning. The modes of the
# thread stand aside while it runs, unless it gets a closure, which is the user's code.

_here = threading.local()


def _paused() -> dict[int, list[FollowMeanings]]:
    if not hasattr(_here, "paused"):
        _here.paused = {}
    paused: dict[int, list[FollowMeanings]] = _here.paused
    return paused


def before_optimizer(optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> None:
    """A pre-hook for every optimizer's step: the innermost modes of this thread stand aside."""
    if len(args) > 1 or kwargs:
        return
    aside: list[FollowMeanings] = []
    while isinstance(mode := _innermost(), FollowMeanings):
        TorchFunctionMode.__exit__(mode, None, None, None)  # type: ignore[no-untyped-call]
        aside.append(mode)
    if aside:
        _paused()[id(optimizer)] = aside


def after_optimizer(optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[Any, Any]) -> None:
    """A post-hook for every optimizer's step: they come back. After a step that raised, the next one brings them back."""
    for mode in reversed(_paused().pop(id(optimizer), [])):
        mode.__enter__()  # type: ignore[no-untyped-call]


def _innermost() -> TorchFunctionMode | None:
    mode: TorchFunctionMode | None = torch.overrides._get_current_function_mode()  # type: ignore[no-untyped-call] # noqa: SLF001
    return mode


def _forget_paused(mode: FollowMeanings) -> bool:
    """Whether a mode stood aside when its block ended, because a step raised."""
    for modes in _paused().values():
        if mode in modes:
            modes.remove(mode)
            return True
    return False
