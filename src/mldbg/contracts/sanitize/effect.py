"""An effect: what a torch function does to the meaning of its tensors, and what all effects need to write that down.

Every effect runs the function itself, once, with the arguments as they came, and gives back what it gave. Tags are read
before, because an in-place function changes the version of its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mldbg.contracts.sanitize.watch import Watch
from mldbg.semantics import Semantic

PROBS, LOG_PROBS, UNIT, LOGITS = Semantic.PROBS, Semantic.LOG_PROBS, Semantic.UNIT_INTERVAL, Semantic.LOGITS
NON_NEGATIVE = Semantic.NON_NEGATIVE

Function = Callable[..., Any]
Arguments = tuple[Any, ...]
Keywords = dict[str, Any]
Effect = Callable[[Watch, Function, Arguments, Keywords], Any]
"""(watch, torch function, its arguments, its keywords) -> its result."""


def argument(args: Arguments, kwargs: Keywords, position: int, *names: str, default: Any = None) -> Any:
    """An argument by position or by one of its names."""
    if len(args) > position:
        return args[position]
    for name in names:
        if name in kwargs:
            return kwargs[name]
    return default


def first_of(args: Arguments, kwargs: Keywords) -> Any:
    return args[0] if args else kwargs.get("input", kwargs.get("self"))
