"""What torch.compile is told of functions, without loading it: `torch._dynamo` takes longer to import than torch itself.

The marks are those that `torch._dynamo.assume_constant_result` and `torch.compiler.disable` leave; a test compares them.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")
Function = TypeVar("Function", bound=Callable[..., Any])


def constant(function: Function) -> Function:
    """Have torch.compile call a function while it traces, and take what it returns for a constant."""
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]  # noqa: SLF001
    return function


def untraced(reason: str, *, recursive: bool = True) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have torch.compile leave a function to eager code, for a reason that it will give.

    recursive: leave what the function calls to eager code as well.
    """

    def marked(function: Callable[P, R]) -> Callable[P, R]:
        disabled: Callable[P, R] | None = None

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            nonlocal disabled
            if disabled is None:
                if "torch._dynamo" not in sys.modules:
                    return function(*args, **kwargs)  # nobody compiles
                disabled = torch.compiler.disable(function, recursive=recursive, reason=reason)  # type: ignore[no-untyped-call]
            return disabled(*args, **kwargs)

        call._torchdynamo_disable = True  # type: ignore[attr-defined]  # noqa: SLF001
        call._torchdynamo_disable_msg = reason  # type: ignore[attr-defined]  # noqa: SLF001
        return call

    return marked
