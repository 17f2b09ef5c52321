"""Where the sizes of the call under way are found: by `check` in its body, and by modules that share a scope.

One place for eager code, of its own in each thread, and one for compiled code, since torch.compile follows the attributes of a
plain object but neither thread-local nor context variables. Nothing stays in the latter after a trace.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from types import FrameType
from typing import Any


class Here:
    """What each checked call of a thread reads and sets. It asks the thread for this object once: that is a dear question.

    top: the innermost scope, None outside every contract. It may be what a scope is made of, its keys and then the values, for
        few calls ask for it.
    waits: whether a verdict may be waiting, which the end of every outermost contract asks.
    """

    __slots__ = ("top", "waits")

    def __init__(self) -> None:
        self.top: dict[str, Any] | tuple[Any, ...] | None = None
        self.waits = False


class Active(threading.local):
    """The scopes of this thread.

    here: the innermost one, which is `top` as well.
    shared: the one of the forward pass of a model with attached promises, with the scope `before` it, the modules that are
        `open`, by id, and the `frame` that runs the outermost one.
    """

    shared: dict[str, Any] | None = None
    before: dict[str, Any] | None = None
    frame: FrameType | None = None

    def __init__(self) -> None:
        self.here = Here()
        self.open: list[int] = []

    @property
    def top(self) -> dict[str, Any] | None:
        """The innermost scope."""
        top = self.here.top
        if isinstance(top, tuple):
            keys, *values = top
            top = self.here.top = dict(zip(keys, values, strict=True))
        return top

    @top.setter
    def top(self, scope: dict[str, Any] | None) -> None:
        self.here.top = scope

    @property
    def depth(self) -> int:
        """In how many modules with attached promises the forward pass is."""
        return len(self.open)

    def is_stale(self) -> bool:
        """Whether the forward pass is over although nobody said so: KeyboardInterrupt skips the hooks of modules."""
        frame: FrameType | None = sys._getframe()  # noqa: SLF001
        while frame is not None and frame is not self.frame:
            frame = frame.f_back
        return bool(self.open) and frame is None

    def end_pass(self) -> None:
        """The forward pass is over: the scope before it holds again."""
        if self.top is self.shared:
            self.top = self.before
        self.shared = self.before = self.frame = None
        self.open.clear()


class Traced:
    """The same for the function that is being compiled. depth: in how many modules the forward pass is."""

    def __init__(self) -> None:
        self.top: dict[str, Any] | None = None
        self.shared: dict[str, Any] | None = None
        self.before: dict[str, Any] | None = None
        self.depth = 0


EAGER = Active()
TRACED = Traced()


def stepwise(steps: Any, scope: dict[str, Any], each: Callable[[Any], None] | None = None) -> Generator[Any, Any, Any]:
    """Run a generator or coroutine to its end; `scope` is active while it runs, and not while it waits.

    each: called with every value that it yields.
    """
    action, argument = steps.send, None
    while True:
        outer, EAGER.top = EAGER.top, scope
        try:
            value = action(argument)
        except StopIteration as stop:
            return stop.value
        finally:
            EAGER.top = outer
        if each is not None:
            each(value)
        try:
            argument = yield value
            action = steps.send
        except GeneratorExit:
            steps.close()
            raise
        except BaseException as error:  # noqa: BLE001 (thrown in by whoever runs this; it is passed on)
            argument, action = error, steps.throw


class Stepwise(Awaitable[Any]):
    """An awaitable that runs a coroutine with a scope that is active only while it runs."""

    def __init__(self, coroutine: Any, scope: dict[str, Any]) -> None:
        self.coroutine = coroutine
        self.scope = scope

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield from stepwise(self.coroutine, self.scope))


async def stepwise_async(
    steps: AsyncGenerator[Any, Any], scope: dict[str, Any], each: Callable[[Any], None]
) -> AsyncGenerator[Any, Any]:
    """As `stepwise`, for an asynchronous generator."""
    action: Callable[[Any], Any] = steps.asend
    argument: Any = None
    try:
        while True:
            try:
                value = await Stepwise(action(argument), scope)
            except StopAsyncIteration:
                return
            each(value)
            try:
                argument = yield value
                action = steps.asend
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 (thrown in by whoever runs this; it is passed on)
                argument, action = error, steps.athrow
    finally:
        await steps.aclose()
